"""From files to densities on a grid: what options and tables of the commands say about them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from ..machine import archives
from ..machine.arrays import Array, number
from ..problems.formats.samples import Samples
from ..problems.images import read_samples
from ..studies.figures import FIGURE_FORMATS

POINT_FILES = (".csv", ".npy")  # of points that are written
ARRAYS_HELD = 20  # arrays of the grid that a run holds at least

NEGATIVE_ROUNDING = 1e-3  # of the largest value: less than nothing by more than this is no rounding


@dataclass(frozen=True)
class ReadingOptions:
    """How files become densities.

    Attributes
    ----------
    name, frame : which array, which page; see `read_array`.
    floor : added, in units of the largest value.
    clip : what is negative by no more than this, in units of the largest value, becomes 0.
    """

    name: str | None = None
    frame: int | None = None
    floor: float = 0.0
    clip: float = 0.0

    def of(self, path: Path) -> Samples:
        """The density in a file, without axes of one point.

        Raises
        ------
        ValueError : what cannot be read, more than 3 axes, values that are not finite or negative: with the file's name.
        """
        samples = read_samples(path, self.name, frame=self.frame).squeezed()
        return Samples(self._lifted(path, samples.values), samples.spacing, samples.orientation)

    def _lifted(self, path: Path, values: Array) -> Array:
        """What a floor would hide is said before it is added."""
        if values.size == 0 or not 1 <= values.ndim <= 3:
            raise ValueError(
                f"{path} has shape {values.shape}: give numbers on 1, 2 or 3 axes (--frame takes one page)"
            )
        if not np.isfinite(values).all():
            bad = np.count_nonzero(~np.isfinite(values))
            raise ValueError(f"{path} has {bad} NaN or infinite values: clean it first")
        for option, value in (("floor", self.floor), ("clip", self.clip)):
            if not 0 <= number(value, option) < np.inf:
                raise ValueError(f"{option}={value}: give a number ≥ 0, for example 0.001")
        largest = max(0.0, float(np.max(values)))
        values = np.where((values < 0) & (values >= -self.clip * largest), 0.0, values)
        if (bad := np.count_nonzero(values < 0)) > 0:
            least = float(values.min()) / (largest or 1.0)
            remedy = "give the density itself, for example less its background or clipped at 0"
            if -least <= NEGATIVE_ROUNDING:
                remedy = f"--clip {-least:.1e} (clip in a table) sets them to 0, where they are rounding"
            raise ValueError(
                f"{path} has {bad} negative values (least {least:.3g} of the largest): a density is ≥ 0; {remedy}"
            )
        return values + self.floor * largest


def lengths_of(given: str | None, samples: Sequence[tuple[Path, Samples]]) -> tuple[float, ...]:
    """Lengths of the sides: as given, "2,1"; otherwise by the spacing that the files know, the longest side 1.

    Raises
    ------
    ValueError : not one positive number for each axis; two files whose grids differ.
    """
    (first, a), (second, b) = samples
    if a.values.shape != b.values.shape:
        raise ValueError(
            f"{first} has shape {a.values.shape}, {second} has {b.values.shape}: resize one, maps join densities of one grid"
        )
    if None not in (a.orientation, b.orientation) and a.orientation != b.orientation:
        raise ValueError(f"{first} has axes {a.orientation}, {second} {b.orientation}: turn one, axes must agree")
    if given is not None:
        return _side_lengths(given, a.values.ndim)
    known = [s.spacing for s in (a, b) if s.spacing is not None] or [(1.0,) * a.values.ndim]
    if not np.allclose(known[0], known[-1], rtol=1e-4, atol=0):
        raise ValueError(f"{first} has spacing {known[0]}, {second} {known[-1]}: resample one, or say --lengths")
    sides = [n * h for n, h in zip(a.values.shape, known[0], strict=True)]
    return tuple(side / max(sides) for side in sides)


def _side_lengths(given: str, axes: int) -> tuple[float, ...]:
    try:
        sides = tuple(float(word) for word in given.split(","))
    except ValueError:
        sides = ()
    if len(sides) != axes or not all(0 < side < np.inf for side in sides):
        raise ValueError(f"lengths={given!r}: give {axes} positive numbers, for example {','.join(['1'] * axes)}")
    return sides


def check_outputs(outputs: Sequence[Path | None], inputs: Sequence[Path | None]) -> None:
    """All that can be said about the files to be written is said before anything is solved.

    Raises
    ------
    OSError : one cannot be written.
    ValueError : one of them is read from.
    """
    for path in outputs:
        if path is not None:
            archives.check_writable(path)
            if path.exists() and any(given is not None and given.exists() and path.samefile(given) for given in inputs):
                raise ValueError(f"{path} is one of the densities: give another name, it would be overwritten")


def check_figure(figure: Path | None) -> None:
    """Refuse now the name of a figure that could not be written after the work.

    Raises
    ------
    ValueError : another ending than those of figures.
    """
    if figure is not None and figure.suffix[1:] not in FIGURE_FORMATS:
        raise ValueError(f"figure={figure}: give a name that ends with .{', .'.join(FIGURE_FORMATS)}")


def check_memory(shape: Sequence[int]) -> None:
    """Refuse a grid of which this machine cannot hold the arrays of a run.

    Raises
    ------
    ValueError : with the memory needed and there.
    """
    need, there = ARRAYS_HELD * 8.0 * prod(shape), _memory()
    if need > there:
        raise ValueError(
            f"shape={tuple(shape)}: a run holds {ARRAYS_HELD} arrays of the grid, {need / 2**30:.3g} GiB, and this machine has "
            f"{there / 2**30:.3g}; take fewer points"
        )


def _memory() -> float:
    """Bytes of this machine's memory, infinite where that is not known."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return np.inf
