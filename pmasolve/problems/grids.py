"""Where things live: the torus, the box (a torus seen through reflections) and, from `clouds`, clouds of points.

A grid knows its points, its quadrature, its mean and its norms, so that no other file has to.  All arrays of
values have shape ``grid.shape``; all arrays of vectors have shape ``(dim, *grid.shape)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..machine.arrays import Array, real, shown
from ..machine.speaking import numbers
from ..machine.threads import in_blocks
from .clouds import Cloud as Cloud
from .clouds import finite
from .nodes import Whole
from .points import Places, PointsLike, field, given

LONGEST_SIDE = 1e40  # side, and one over the shortest: squares of volumes stay in range, with room


def _counts(shape: ArrayLike) -> tuple[int, ...]:
    """Whole numbers of points."""
    numbers = np.ravel(real(shape, "shape"))
    if not (np.isfinite(numbers).all() and np.array_equal(numbers, np.rint(numbers))):
        raise ValueError(f"shape={shown(shape)}: numbers of points are whole")
    return tuple(int(n) for n in numbers)


def _too_few(shape: tuple[int, ...]) -> str:
    """What to do about short axes."""
    if min(shape) == 1 < max(shape):
        return "drop the axes of one point, values.squeeze()"
    if shape[-1] in (2, 3) and len(shape) == 3:
        return "if the last axis is colours take their mean, values.mean(axis=-1)"
    return "refine the grid; bins of a histogram may be split, np.repeat(values, 4)"


@dataclass(frozen=True)
class Grid(Whole):
    """What the torus and the box share: a uniform product grid with the midpoint (= trapezoidal) quadrature."""

    shape: tuple[int, ...]
    lengths: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        shape = _counts(self.shape)
        if not 1 <= len(shape) <= 3:
            raise ValueError(
                f"shape={shown(self.shape)}: the grid needs 1, 2 or 3 axes; use Cloud for higher dimensions"
            )
        if min(shape) < 4:
            raise ValueError(f"shape={self.shape}: every axis needs at least 4 points; {_too_few(shape)}")
        lengths = tuple(np.ravel(real(self.lengths, "lengths")).tolist()) or (1.0,) * len(shape)
        if len(lengths) != len(shape) or not all(0 < length < np.inf for length in lengths):
            raise ValueError(
                f"lengths={shown(self.lengths)}: give one positive length for each of the {len(shape)} axes"
            )
        if not 1 / LONGEST_SIDE <= min(lengths) <= max(lengths) <= LONGEST_SIDE:
            raise ValueError(
                f"lengths={shown(self.lengths)}: squares of volumes leave float64 where a side is not between "
                f"{1 / LONGEST_SIDE:g} and {LONGEST_SIDE:g}; take another unit of length"
            )
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "lengths", lengths)

    @property
    def dim(self) -> int:
        """Number of axes, 1 to 3."""
        return len(self.shape)

    @cached_property
    def size(self) -> int:
        """Number of grid points."""
        return prod(self.shape)

    @property
    def spacing(self) -> tuple[float, ...]:
        """Mesh width h of each axis."""
        return tuple(length / n for length, n in zip(self.lengths, self.shape, strict=True))

    @property
    def reflects(self) -> bool:
        """Whether functions continue evenly at walls, as on a `Box`; periodically otherwise."""
        return False

    @property
    def periods(self) -> tuple[float, ...]:
        """Periods of functions on the grid, continued to space: on a box twice its sides."""
        return self.lengths

    @property
    def farthest(self) -> tuple[float, ...]:
        """The largest distance along each axis: half a period, or a side of a box."""
        return tuple(0.5 * period for period in self.periods)

    def extent(self, other: Grid | Cloud) -> float:
        """The largest distance along an axis between nodes of this grid and of the other domain of a problem, the same grid."""
        return max(self.farthest)

    @property
    def refined(self) -> Self:
        """The grid of the same domain with twice the points along each axis."""
        return replace(self, shape=tuple(2 * n for n in self.shape))

    @property
    def signature(self) -> Array:
        """What, with the shape of its arrays, tells this grid from others: the lengths."""
        return np.array(self.lengths)

    @cached_property
    def volume(self) -> float:
        """Volume of the domain."""
        return prod(self.lengths)

    @cached_property
    def cell(self) -> float:
        """Volume of one cell, the weight of every point in the quadrature."""
        return self.volume / self.size

    def axis(self, j: int) -> Array:
        """Coordinates along axis ``j``, shape (shape[j],)."""
        return (np.arange(self.shape[j]) + self.offset) * self.spacing[j]

    @property
    def offset(self) -> float:
        """Position of the first point in units of h: 0 on the torus, ½ (cell centres) on the box."""
        return 0.0

    def coordinates(self, j: int) -> Array:
        """Coordinates along axis ``j`` of the nodes in this process, (local[j],)."""
        return self.axis(j)

    @property
    def points(self) -> Array:
        """Coordinates of the grid points in this process, shape (dim, *local); made anew at each call, not kept."""
        return np.stack(np.meshgrid(*(self.coordinates(j) for j in range(self.dim)), indexing="ij", copy=False))

    @property
    def words(self) -> str:
        """In a few words: "a torus of 64 × 64 points"."""
        return f"a {type(self).__name__.lower()} of {' × '.join(map(str, self.shape))} points"

    @property
    def facts(self) -> dict[str, str]:
        """What a summary tells besides: the sides."""
        return {"sides": numbers(self.lengths)}

    @property
    def measured(self) -> str:
        """What a measure has at the nodes: "density"."""
        return "density"

    @property
    def description(self) -> dict[str, Any]:
        """The grid in numbers, lists and words, for files."""
        return {"type": type(self).__name__, "shape": list(self.shape), "lengths": list(self.lengths)}

    def placed(self) -> Places:
        """The nodes of the grid as `Places`, a field, for what evaluates at points."""
        return field(self.points)

    def displaced(self, displacement: Array) -> Array:
        """x + displacement, written over the displacement (dim, *local) if that is contiguous."""
        displacement = np.ascontiguousarray(displacement, dtype=np.float64)
        places = [np.broadcast_to(x, self.local) for x in np.ix_(*map(self.coordinates, range(self.dim)))]

        def move(rows: slice) -> None:
            for vector, x in zip(displacement, places, strict=True):
                vector[rows] += x[rows]

        in_blocks(move, self.local[0], self.size)
        return displacement

    def integral(self, values: Array) -> float:
        """∫ values dx by the midpoint rule, of values at the nodes."""
        return self.total(values) * self.cell

    def total(self, values: Array) -> float:
        """∑ values over all nodes."""
        return self.summed(float(np.sum(values)))

    def mean(self, values: Array) -> float:
        """Average of the values over the domain."""
        return self.total(values) / self.size

    def centred(self, values: Array) -> Array:
        """The values less their mean: potentials are determined up to a constant."""
        return values - self.mean(values)

    def sup(self, values: Array) -> float:
        """sup |values|, of the Euclidean length for vectors of shape (dim, *shape)."""
        return self.most(
            float(np.max(np.abs(values) if values.ndim == self.dim else np.sqrt(np.sum(values**2, axis=0))))
        )

    def l2(self, values: Array) -> float:
        """(average of |values|²)^½: the same number on every grid."""
        return float(np.sqrt(self.total(values**2) / self.size))

    def across(self, values: Array, j: int) -> tuple[Array, ...]:
        """Differences of values odd at walls, from the outermost nodes along axis ``j`` to those beyond."""
        first, last = np.take(values, 0, axis=j), np.take(values, -1, axis=j)
        return (2 * first, -2 * last) if self.reflects else (first - last,)

    def values(self, array: ArrayLike, name: str) -> Array:
        """Check that ``array`` holds one finite number for each point and return it as contiguous float64."""
        if getattr(array, "dtype", None) in (np.uint8, np.uint16) and self.shape[-1] == 4 and self.dim == 3:
            raise ValueError(
                f"{name} has shape {np.shape(array)} of {array.dtype}: an image in colour; take its luminance, for example "
                f"{name}[..., :3].mean(axis=-1), and give a volume as floats"
            )
        return finite(array, name, self.local, "the grid has {}: sample it at grid.points")


@dataclass(frozen=True)
class Torus(Grid):
    """The flat torus ∏[0, Lⱼ) with ``shape`` points, the first at the origin.

    Parameters
    ----------
    shape : points along each of 1, 2 or 3 axes.
    lengths : periods, one for each axis, between 1e-40 and 1e40; all 1 unless given.

    Examples
    --------
    >>> torus = Torus((4, 8), lengths=(1.0, 2.0))
    >>> torus.spacing, torus.points.shape
    ((0.25, 0.25), (2, 4, 8))
    """

    def neighbours(self, j: int, width: int) -> NDArray[np.intp]:
        """Indices along axis ``j`` of the points −width … n+width−1: periodic."""
        n = self.shape[j]
        return np.arange(-width, n + width) % n

    def fold(self, points: PointsLike) -> Array:
        """Points (n, dim) or a field (dim, *shape), moved by periods into the fundamental cell."""
        where, lengths = given(points, self.dim), np.reshape(self.lengths, (-1, 1))
        return where.vectors(where.columns - lengths * np.floor(where.columns / lengths))


@dataclass(frozen=True)
class Box(Grid):
    """The box ∏[0, Lⱼ] with ``shape`` cell centres; functions are extended by even reflection.

    Transport maps of the box onto itself satisfy ∂φ(Ω) = Ω; in the even extension this is ∂u/∂n = 0.

    Parameters
    ----------
    shape : cells along each of 1, 2 or 3 axes; values live at their centres (i + ½)h.
    lengths : side lengths, between 1e-40 and 1e40; all 1 unless given.

    Examples
    --------
    >>> Box((4,)).axis(0)
    array([0.125, 0.375, 0.625, 0.875])
    """

    @property
    def offset(self) -> float:
        """Half a cell: values live at cell centres."""
        return 0.5

    @property
    def reflects(self) -> bool:
        """True: at the walls."""
        return True

    @property
    def periods(self) -> tuple[float, ...]:
        """Twice the sides, those of the even continuation."""
        return tuple(2 * length for length in self.lengths)

    def neighbours(self, j: int, width: int) -> NDArray[np.intp]:
        """Indices along axis ``j`` of the points −width … n+width−1: reflected at the walls."""
        n = self.shape[j]
        i = np.arange(-width, n + width) % (2 * n)
        return np.where(i < n, i, 2 * n - 1 - i)

    def fold(self, points: PointsLike) -> Array:
        """Points (n, dim) or a field (dim, *shape), reflected at the walls into the box."""
        where, lengths = given(points, self.dim), np.reshape(self.lengths, (-1, 1))
        return where.vectors(lengths - np.abs(where.columns % (2 * lengths) - lengths))


GRIDS: Mapping[str, type[Grid]] = {"Torus": Torus, "Box": Box}  # by the names that files have for them
