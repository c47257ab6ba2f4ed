"""Functions and maps on a grid as pictures of a plane: densities, arrows, warped meshes; oriented as images or as formulas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..machine.arrays import Array
from ..problems.densities import Analytic
from ..problems.grids import Grid
from ..problems.problem import Problem
from .figures import OKABE_ITO, Axes, colour_bar, few_ticks

ARROWS = 16  # along the longer side
TORN = 6.0  # images of neighbouring nodes that are so many times further apart than most are not joined


@dataclass(frozen=True)
class View:
    """A plane of a grid as it is seen.

    Attributes
    ----------
    grid : two or three dimensions.
    image : rows (the first axis) run downwards, as in images; otherwise the first axis runs to the right and the second upwards.
    normal : in three dimensions the axis that the plane cuts.
    at : index of the plane on that axis; the middle one unless given.
    """

    grid: Grid
    image: bool = False
    normal: int = 2
    at: int | None = None

    @classmethod
    def of(cls, problem: Problem, image: bool | None = None, normal: int = 2, at: int | None = None) -> View:
        """The view of a problem's densities: as images where both are given as arrays on two axes, unless ``image`` says it."""
        given = not any(isinstance(density.at, Analytic) for density in (problem.source, problem.target))
        grid = problem.domain
        if grid.dim == 3 and not (0 <= normal < 3 and -grid.shape[normal] <= (at or 0) < grid.shape[normal]):
            raise ValueError(f"normal={normal}, at={at}: give an axis, 0, 1 or 2, and an index on it")
        return cls(grid, grid.dim == 2 and given if image is None else image, normal, at)

    @property
    def axes(self) -> tuple[int, int]:
        """Which axis of the grid runs to the right, and which up or down."""
        first, second = (j for j in range(self.grid.dim) if self.grid.dim == 2 or j != self.normal)
        return (second, first) if self.image else (first, second)

    @property
    def where(self) -> str:
        """Which plane it is, in three dimensions."""
        if self.grid.dim == 2:
            return ""
        return f", {'xyz'[self.normal]} = {self.grid.axis(self.normal)[self._index]:.3g}"

    @property
    def _index(self) -> int:
        return self.grid.shape[self.normal] // 2 if self.at is None else self.at

    def plane(self, values: Array) -> Array:
        """The values (…, *shape) on the plane, (…, up, right)."""
        flat = values if self.grid.dim == 2 else np.take(values, self._index, values.ndim - 3 + self.normal)
        right, up = self.axes
        return flat if up < right else np.swapaxes(flat, -1, -2)

    def pair(self, vectors: Array) -> tuple[Array, Array]:
        """The parts to the right and upwards of vectors (dim, *shape), on the plane."""
        right, up = self.axes
        return self.plane(vectors[right]), self.plane(vectors[up])

    def dress(self, axis: Axes, title: str = "") -> None:
        """Limits, labels and direction of the axes."""
        right, up = self.axes
        (left, end), (low, high) = (self._sides(j) for j in (right, up))
        words = (" (columns)", " (rows)") if self.image else ("", "")
        axis.set(title=title, xlim=(left, end), ylim=(high, low) if self.image else (low, high), aspect="equal")
        axis.set(xlabel="xyz"[right] + words[0], ylabel="xyz"[up] + words[1])
        few_ticks(axis)

    def _sides(self, j: int) -> tuple[float, float]:
        start = self.grid.axis(j)[0] - 0.5 * self.grid.spacing[j]
        return start, start + self.grid.lengths[j]

    def field(self, axis: Axes, values: Array, title: str, label: str = "", largest: float | None = None) -> None:
        """Values on the grid in colour, with their scale from 0 to the largest, of these values unless given."""
        right, up = self.axes
        extent = (*self._sides(right), *(self._sides(up)[::-1] if self.image else self._sides(up)))
        image = axis.imshow(
            self.plane(values), origin="upper" if self.image else "lower", extent=extent, vmin=0.0, vmax=largest
        )
        self.dress(axis, title)
        colour_bar(axis, image, label)

    def arrows(self, axis: Axes, displacement: Array, hidden: Array, colour: str = "white") -> None:
        """Some of the displacements (dim, *shape), to scale, but for the hidden nodes; white ones have a dark edge."""
        x, y = self.pair(self.grid.points)
        u, v = self.pair(displacement)
        every = max(1, max(x.shape) // ARROWS)
        kept = np.zeros(x.shape, dtype=bool)
        kept[every // 2 :: every, every // 2 :: every] = True
        kept &= ~self.plane(hidden)
        edge = {"edgecolor": "0.15", "linewidth": 0.3} if colour == "white" else {}
        look = {"scale_units": "xy", "scale": 1, "width": 0.009, "color": colour, **edge}
        axis.quiver(x[kept], y[kept], u[kept], v[kept], angles="xy", **look)

    def mesh(self, axis: Axes, image: Array, hidden: Array, lines: int, torn: bool) -> None:
        """The image of a regular mesh under a map (dim, *shape), without hidden nodes, and not joined where it is torn."""
        x, y = (np.where(self.plane(hidden), np.nan, part) for part in self.pair(image))
        every = max(1, max(x.shape) // lines)
        for a, b in ((x, y), (x.T, y.T)):
            along, up = a[every // 2 :: every].copy(), b[every // 2 :: every].copy()
            if torn:
                _tear(along, up)
            axis.plot(along.T, up.T, color=OKABE_ITO[0], linewidth=0.5)


def _tear(x: Array, y: Array) -> None:
    """Leave out the first node of each step that is much longer than most."""
    step = np.hypot(np.diff(x, axis=1), np.diff(y, axis=1))
    if np.isfinite(step).any():
        x[:, :-1][step > TORN * np.nanmedian(step)] = np.nan
