"""Costs ½|x−y|² between the points of two clouds as `maps.simplex` asks for them, and pairs of small slack for plans.

Nothing is stored for a pair that is not among those asked for.  On a torus the distance is that of the nearest image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ....machine.arrays import ROUNDOFF, Array, Indices
from ....machine.threads import spread
from ....maps.pairs import Arcs
from .blocks import TILE
from .nearest import TILES, highest, partners
from .sides import Side, sort

ROUNDINGS = 8  # of a difference h − ½|x−y|², besides one for each coordinate


@dataclass(frozen=True, eq=False)
class PairCosts:
    """½|xᵢ − yⱼ|² for points x (n, dim), y (m, dim), in ℝᵈ or with periods (dim,): see `maps.pairs.Costs`.

    Memory is linear in points and pairs found; a search costs some hundred operations a point in the plane, n·m in many dimensions.
    """

    x: Array
    y: Array
    periods: Array | None = None

    @cached_property
    def source(self) -> Side:
        """x in blocks."""
        return sort(self.x)

    @cached_property
    def target(self) -> Side:
        """y in tiles."""
        return sort(self.y)

    @property
    def rounding(self) -> float:
        """Of a cost, relative: a difference, its square, their sum."""
        return (self.x.shape[1] + 4) * ROUNDOFF

    @cached_property
    def farthest(self) -> float:
        """No cost is greater."""
        if self.periods is not None:
            return 0.125 * float(np.sum(self.periods**2)) * (1 + 8 * ROUNDOFF)
        both = ((self.x, self.y), (self.y, self.x))
        side = np.maximum(*(one.max(axis=0) - other.min(axis=0) for one, other in both))
        return 0.5 * float(np.sum(side**2)) * (1 + 8 * ROUNDOFF)

    @property
    def step(self) -> float:
        """Slack below which a pair counts as dearer than it need be: some roundings of the greatest cost."""
        return 16 * ROUNDOFF * self.farthest

    def error(self, u: Array) -> float:
        """A bound of the roundings in a value of the conjugate that do not come from its own size."""
        return 2 * (self.x.shape[1] + ROUNDINGS) * ROUNDOFF * float(np.max(np.abs(u)))

    def conjugate(self, u: Array) -> Array:
        """vⱼ = minᵢ ½|xᵢ − yⱼ|² − uᵢ, rounded downwards."""
        h, out = np.ascontiguousarray(u[self.source.order]), np.empty(len(self.y))
        self._over(lambda b, e: highest(self.source.blocks, h, self.target.tiles, *self._images, b, e, out))
        v = np.empty_like(out)
        v[self.target.order] = -out
        return v - ((self.x.shape[1] + ROUNDINGS) * ROUNDOFF * np.abs(v) + self.error(u))

    def back(self, v: Array) -> Array:
        """uᵢ = minⱼ ½|xᵢ − yⱼ|² − vⱼ, rounded downwards."""
        return self.swapped.conjugate(v)

    @cached_property
    def swapped(self) -> PairCosts:
        """The costs with both clouds exchanged."""
        other = PairCosts(self.y, self.x, self.periods)
        vars(other).update(source=self.target, target=self.source)
        return other

    def below(self, u: Array, level: Array, most: int) -> Arcs:
        """The pairs with ½|xᵢ − yⱼ|² − uᵢ ≤ levelⱼ, for each j the ``most`` least."""
        h = np.ascontiguousarray(u[self.source.order])
        floor = np.ascontiguousarray(-level[self.target.order])
        found, counts = np.empty((len(self.y), min(most, len(self.x))), np.int32), np.zeros(len(self.y), np.int64)
        self._over(
            lambda b, e: partners(self.source.blocks, h, self.target.tiles, *self._images, floor, b, e, found, counts)
        )
        rows = self.source.order[found[np.arange(found.shape[1]) < counts[:, None]]]
        columns = np.repeat(self.target.order, counts)
        if self.periods is not None:  # by several images
            keys = np.unique(rows * len(self.y) + columns)
            rows, columns = keys // len(self.y), keys % len(self.y)
        return Arcs(rows, columns, self.between(rows, columns))

    def between(self, rows: Indices, columns: Indices) -> Array:
        """½|xᵢ − yⱼ|² of some pairs."""
        costs = np.zeros(rows.size)
        for j in range(self.x.shape[1]):
            step = np.abs(self.x[rows, j] - self.y[columns, j])
            if self.periods is not None:
                step = np.minimum(step, self.periods[j] - step)
            costs += step * step
        return 0.5 * costs

    @cached_property
    def _images(self) -> tuple[Array, Array]:
        dim = self.x.shape[1]
        if self.periods is None:
            return np.ones((1, dim)), np.zeros((1, dim))
        shifts = np.stack(np.meshgrid(*([-p, 0.0, p] for p in self.periods), indexing="ij"), axis=-1).reshape(-1, dim)
        return np.ones(shifts.shape), shifts

    def _over(self, work: Callable[[int, int], int]) -> None:
        """The runs of tiles, on all threads."""
        runs = -(-len(self.target.tiles.radii) // TILES)
        spread(work, runs, len(self.x) * TILE * len(self._images[0]))
