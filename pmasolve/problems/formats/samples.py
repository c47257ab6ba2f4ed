"""What a reader is asked and what it gives, and the questions that several formats share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...machine.archives import BadFile
from ...machine.arrays import Array


@dataclass(frozen=True)
class Choice:
    """Which of several arrays, by ``name``, and which of several pages, from 0, by ``frame``."""

    name: str | None = None
    frame: int | None = None


@dataclass(frozen=True, eq=False)
class Samples:
    """Numbers on a uniform grid, as a file has them.

    Attributes
    ----------
    values : of 1, 2, 3 or more axes.
    spacing : distance of the nodes along each axis where the file knows it, in its own unit.
    orientation : which way the axes point where the file knows it; None otherwise.
    """

    values: Array
    spacing: tuple[float, ...] | None = None
    orientation: str | None = None

    def squeezed(self) -> Samples:
        """Without the axes of one point."""
        kept = [j for j, n in enumerate(self.values.shape) if n != 1]
        spacing = None if self.spacing is None else tuple(self.spacing[j] for j in kept)
        return Samples(np.squeeze(self.values), spacing, self.orientation)


def named(file: Path, names: Sequence[str], choice: Choice) -> str:
    """The array asked for, or the only one."""
    if choice.name is None and len(names) == 1:
        return names[0]
    if choice.name in names:
        return choice.name
    asked = "several arrays and no name" if choice.name is None else f"no array {choice.name!r}"
    raise BadFile(f"{file}: {asked}; it holds {', '.join(names) or 'none'}")


def paged(file: Path, values: Array, choice: Choice, axis: int = 0) -> Array:
    """The page asked for along an axis; all where none is."""
    return values if choice.frame is None else values.take(checked_frame(file, values.shape[axis], choice), axis)


def checked_frame(file: Path, pages: int, choice: Choice, unit: str = "pages") -> int:
    """The page asked for, or the only one."""
    if choice.frame is None and pages == 1:
        return 0
    if choice.frame is not None and 0 <= choice.frame < pages:
        return choice.frame
    asked = "" if choice.frame is None else f", not number {choice.frame}"
    raise BadFile(f"{file} has {pages} {unit}{asked}: choose one of 0 to {pages - 1} by frame (--frame)")


def refuse_colours(file: Path, values: Array) -> Array:
    """An array that looks like an image in colour is no volume of 3 or 4 layers."""
    if values.ndim == 3 and values.shape[-1] in (3, 4) and values.dtype in (np.uint8, np.uint16):
        raise BadFile(
            f"{file} has shape {values.shape} of {values.dtype}: an image in colour; "
            "take its luminance, for example values[..., :3].mean(axis=-1), or store a volume as floats"
        )
    return values


def luminance(colours: Array) -> Array:
    """(299 R + 587 G + 114 B)/1000 of (…, 3) colours, not rounded: Rec. 601, as Pillow's mode F has it."""
    return np.asarray(colours, dtype=np.float64) @ np.array([299.0, 587.0, 114.0]) / 1000.0


def refuse_transparency(file: Path, opaque: bool) -> None:
    """Colours below transparent pixels are arbitrary."""
    if not opaque:
        raise BadFile(
            f"{file} is transparent in places: put it on a background, or save its alpha channel as an image of its own"
        )
