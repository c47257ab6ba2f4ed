"""Where mass is: the part of a box that holds all of it, on which the problem is the same, and what is found there on the whole.

Distances in a box are those of space, so nodes beyond all mass of either side only cost time: between shapes on zeros half of it.
The part's spacings are those of the box but for a rounding, which the bounds make up for; potentials outside are the
conjugates of those at the targets, (F^c)^c there as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...machine.arrays import Array
from ...problems.grids import Grid
from .c_transform import c_transform
from .interval import LEAST_GAP, SemiDualResult

MARGIN = 8  # nodes around all mass: splines of coarser grids see a mirror behind the walls, which tells for some three of theirs
ROUNDED = 2.0**-49  # of a squared distance, four times what the two roundings of a length may change


@dataclass(frozen=True)
class Held:
    """A part of a box that holds all mass, as a box of its own."""

    whole: Grid
    nodes: tuple[slice, ...]  # of the whole
    grid: Grid

    @classmethod
    def of(cls, grid: Grid, mu: Array, nu: Array, coarsest: int) -> Held | None:
        """The least part, of sides that can be halved down to ``coarsest`` nodes; None on a torus, or where that is the whole."""
        if not grid.reflects:
            return None
        nodes, unit = [], 1 << max((max(grid.shape) - 1).bit_length() - (coarsest - 1).bit_length(), 0)
        for j, n in enumerate(grid.shape):
            there = np.flatnonzero(np.any((mu + nu) > 0, axis=tuple(k for k in range(grid.dim) if k != j)))
            first, last = max(there[0] - MARGIN, 0), min(there[-1] + 1 + MARGIN, n)
            size = min(-(-max(last - first, 8) // unit) * unit, n)
            first = min(first, n - size)
            nodes.append(slice(int(first), int(first + size)))
        shape = tuple(part.stop - part.start for part in nodes)
        if shape == grid.shape:
            return None
        lengths = tuple(length * m / n for length, m, n in zip(grid.lengths, shape, grid.shape, strict=True))
        return cls(grid, tuple(nodes), replace(grid, shape=shape, lengths=lengths))

    def wanted(self, gap: float) -> float:
        """The gap on the part that makes one of at most ``gap`` on the whole, where that is above roundings."""
        return max(gap * (1 - 4 * ROUNDED) - 4 * ROUNDED, LEAST_GAP)  # infinite gaps stay

    def extended(self, found: SemiDualResult) -> SemiDualResult:
        """What was found on the part, on the whole: nodes beyond it stay where they are."""
        far = 4.0 * (sum(length**2 for length in self.whole.lengths) + float(np.max(np.abs(found.potential))))
        G = np.full(self.whole.shape, -far)
        G[self.nodes] = c_transform(self.grid, -found.potential)
        barycentre, spread = self.whole.points, np.zeros(self.whole.shape)
        barycentre[(slice(None), *self.nodes)] += found.barycentre - self.grid.points
        spread[self.nodes] = found.spread
        return replace(
            found,
            potential=self.whole.centred(-c_transform(self.whole, G)),
            lower=found.lower * (1 - ROUNDED),
            upper=found.upper * (1 + ROUNDED),
            barycentre=barycentre,
            spread=spread,
        )
