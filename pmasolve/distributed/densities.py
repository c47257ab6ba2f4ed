"""Densities given by samples on slabs: splines and trigonometric series, read at points that may be on other ranks.

The displacement x + ∇u leads out of a slab.  Either planes come from the neighbours (ghosts), as many as the farthest point needs,
or the points go to the rank that has their plane and values come back (routing): whichever sends fewer numbers, counted anew at
every reading, since the displacement grows.  Planes that came are kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import singledispatch

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, spline_filter1d

from ..machine.arrays import Array
from ..machine.threads import CACHED, over
from ..problems.densities import SLOW_POINTS, Function, Interpolation, Spline, interpolant
from .domains import SlabTorus
from .ranks import Transpose, cut, width

Evaluate = Callable[
    [Array, Array], Array
]  # planes and coordinates in units of h, the first counted from plane 0 of these


@dataclass(eq=False)
class Planes:
    """Values of a function's planes on slabs, and on this rank as many beside its own as have been asked for."""

    grid: SlabTorus
    own: Array = field(repr=False)
    below: int = 0
    above: int = 0

    def __post_init__(self) -> None:
        self.values = self.own

    @property
    def size(self) -> int:
        """Numbers of one plane."""
        return int(np.prod(self.own.shape[1:]))

    def cost(self, below: int, above: int) -> int:
        """Numbers that all ranks send if so many planes on both sides are to be had."""
        return 0 if below <= self.below and above <= self.above else (below + above) * self.grid.ranks.size * self.size

    def widen(self, below: int, above: int) -> None:
        """Have at least so many planes below and above; all ranks ask for the same."""
        if below <= self.below and above <= self.above:
            return
        self.below, self.above = max(below, self.below), max(above, self.above)
        ranks = self.grid.ranks
        wanted = [self._places(q) for q in range(ranks.size)]
        pieces = [self.own[_inside(places, self.grid.planes) - self.grid.planes.start] for places in wanted]
        mine = wanted[ranks.rank]
        owned = [np.flatnonzero((mine >= part.start) & (mine < part.stop)) for part in self.grid.cuts]
        got = ranks.exchange(pieces, [len(places) * self.size for places in owned], "ghosts")
        self.values = np.empty((len(mine), *self.own.shape[1:]))
        for places, planes in zip(owned, got, strict=True):
            self.values[places] = planes.reshape(len(places), *self.own.shape[1:])

    def _places(self, rank: int) -> NDArray[np.intp]:
        """Which planes a rank has, its own and those beside them."""
        part = self.grid.cuts[rank]
        return np.arange(part.start - self.below, part.stop + self.above) % self.grid.shape[0]


def _inside(places: NDArray[np.intp], part: slice) -> NDArray[np.intp]:
    return places[(places >= part.start) & (places < part.stop)]


@dataclass(eq=False)
class SlabFunction:
    """A function by its planes, at any points: collective, coordinates (dim, …) to values (…).

    Parameters
    ----------
    grid : the slabs.
    planes : of B-spline coefficients, or of what else is summed over some planes near a point.
    reach : planes on either side of a point that its value needs.
    evaluate : the values, from planes and coordinates in units of h.
    interpolation : the options that it was made by.
    """

    grid: SlabTorus
    planes: Planes
    reach: int
    evaluate: Evaluate
    interpolation: Interpolation

    def __call__(self, points: Array) -> Array:
        index = points.reshape(len(points), -1) / np.reshape(self.grid.spacing, (-1, 1))
        part = self.grid.planes
        low, high = (float(index[0].min()), float(index[0].max())) if index.size else (part.start, part.start)
        below = int(self.grid.ranks.most(part.start - np.floor(low))) + self.reach
        above = int(self.grid.ranks.most(np.ceil(high) - (part.stop - 1))) + self.reach
        below, above = max(below, self.reach), max(above, self.reach)
        owner = self._owners(index)
        away = int(self.grid.ranks.summed(float(np.count_nonzero(owner != self.grid.ranks.rank))))
        routed = away * (len(points) + 1) + self.planes.cost(self.reach, self.reach)
        fits = below + above <= max(width(part) for part in self.grid.cuts)
        if fits and self.planes.cost(below, above) <= routed:
            self.planes.widen(below, above)
            found = self._here(index)
        else:
            self.planes.widen(self.reach, self.reach)
            found = self._routed(index, owner)
        return found.reshape(points.shape[1:])

    def _here(self, index: Array) -> Array:
        """Values at coordinates whose planes this rank has."""
        index[0] -= self.grid.planes.start - self.planes.below
        return self.evaluate(self.planes.values, index)

    def _owners(self, index: Array) -> NDArray[np.intp]:
        """The rank of each point's plane; also of this rank's own points, a period away."""
        plane = np.floor(index[0]) % self.grid.shape[0]
        return np.searchsorted([part.stop for part in self.grid.cuts], plane, side="right")

    def _routed(self, index: Array, owner: NDArray[np.intp]) -> Array:
        """Points go to the rank of their plane, values come back."""
        ranks, order = self.grid.ranks, np.argsort(owner, kind="stable")
        counts = np.bincount(owner, minlength=ranks.size)
        coming = [int(count) for count in np.array(ranks.gathered(counts))[:, ranks.rank]]
        sent = np.ascontiguousarray(self._folded(index)[:, order].T)
        pieces = np.split(sent, np.cumsum(counts)[:-1])
        got = ranks.exchange(pieces, [count * len(index) for count in coming], "routing")
        values = self._here(np.ascontiguousarray(np.concatenate(got).reshape(-1, len(index)).T))
        back = ranks.exchange(np.split(values, np.cumsum(coming)[:-1]), counts.tolist(), "routing")
        out = np.empty(len(order))
        out[order] = np.concatenate(back)
        return out

    def _folded(self, index: Array) -> Array:
        """Coordinates along the first axis within the planes that somebody has."""
        out = index.copy()
        out[0] -= self.grid.shape[0] * (np.floor(index[0]) // self.grid.shape[0])
        return out


def _splines(degree: int) -> Evaluate:
    def evaluate(planes: Array, index: Array) -> Array:
        """Values at coordinates in nodes (dim, n)."""
        out = np.empty(index.shape[1])

        def work(begin: int, end: int) -> None:
            map_coordinates(
                planes, index[:, begin:end], output=out[begin:end], order=degree, mode="grid-wrap", prefilter=False
            )

        over(work, out.size, share=CACHED, small=SLOW_POINTS)
        return out

    return evaluate


@singledispatch
def planes_of(interpolation: Interpolation, grid: SlabTorus, samples: Array) -> Function:
    """The function through samples on slabs."""
    raise ValueError(
        f"interpolation={interpolation!r}: on slabs take Spline(degree) or problems.interpolation.Spectral()"
    )


@planes_of.register
def _(interpolation: Spline, grid: SlabTorus, samples: Array) -> Function:
    coefficients = samples if interpolation.degree == 1 else _coefficients_on_slabs(grid, samples, interpolation.degree)
    reading = SlabFunction(
        grid, Planes(grid, coefficients), interpolation.degree // 2 + 1, _splines(interpolation.degree), interpolation
    )
    return Function(grid.dim, reading)


def _coefficients_on_slabs(grid: SlabTorus, samples: Array, degree: int) -> Array:
    """B-spline coefficients, axis by axis as on one process; the first on columns."""
    flat = samples.reshape(len(samples), -1)
    columns = cut(flat.shape[1], grid.ranks.size)
    transpose = Transpose(grid.ranks, grid.cuts, columns, "samples")
    lines = np.empty((grid.shape[0], width(columns[grid.ranks.rank])))
    transpose.to_columns(flat, lines)
    out = np.empty_like(flat)
    transpose.to_rows(_filtered(lines, 0, degree), out)
    values = out.reshape(samples.shape)
    for axis in range(1, grid.dim):
        values = _filtered(values, axis, degree)
    return np.ascontiguousarray(values)


def _filtered(values: Array, axis: int, degree: int) -> Array:
    return np.ascontiguousarray(spline_filter1d(values, order=degree, axis=axis, mode="grid-wrap"))


@interpolant.register
def _(grid: SlabTorus, samples: Array, interpolation: Interpolation) -> Function:
    return interpolation.of(grid.united, samples) if grid.whole else planes_of(interpolation, grid, samples)
