"""Softmin on clouds of points by fused, threaded loops: no compiler, no GPU, memory linear in the number of nodes.

The sums skip what cannot matter (``blocks``) and take whole groups of points at once where ε is large against their size
(``expansions``).  No state is kept between calls: the same ``h`` gives the same bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import log

import numpy as np

from ...machine.arrays import Array
from ...machine.threads import spread
from .clouds.blocks import BLOCK, TILE, Sums, log_sums
from .clouds.groups import Groups, grouped
from .clouds.sides import Side, sort
from .clouds.waves import log_sums_by_waves, waves
from .nodes import NEGLIGIBLE, Geometry, exponents, geometry, images
from .protocol import GridOrCloud


@dataclass(frozen=True)
class Blockwise:
    """Softmin by compiled loops over blocks of sorted points, in double precision on all threads numba may use.

    Notes
    -----
    Cost of a pass over n and m points at most n·m exponentials; less where pairs are skipped or expanded (``report``).  No
    potential known beforehand is needed to shift the sums: a term of every sum is found on the way, in 1/32 of its cost.
    Memory linear in the points, and a byte for each pair of groups of 256 points or more.
    On a torus or in a box the images of the points are summed, those that matter: one or two for small ε, about
    (1 + 10√ε/L)^dim in general, and Fourier modes for large ε (``waves``).  On a torus of dimension 4 and more with
    ε between 0.01 and 0.1 L² that is expensive; KeOps is then the better engine.

    Examples
    --------
    >>> from pmasolve import Cloud
    >>> nodes = Cloud([[0.0], [0.5], [1.0]])
    >>> kernel = Blockwise().bind(nodes, nodes, 0.1)
    >>> kernel.forward(np.zeros(3)).shape
    (3,)
    """

    def bind(self, source: GridOrCloud, target: GridOrCloud, eps: float) -> FusedKernel:
        """Sort the nodes into blocks for one ε (see ``Softmin``)."""
        space = geometry(source, target, eps)
        x, y = sort(space.source), sort(space.target)
        return FusedKernel(space, x, y, grouped(x, y, space.eps))


@dataclass(frozen=True, eq=False)
class FusedKernel:
    """Blockwise bound to two sets of nodes and one ε; ``groups`` are those of its expansions, None where all pairs are summed."""

    space: Geometry
    source: Side
    target: Side
    groups: Groups | None
    tally: dict[str, int] = field(default_factory=lambda: {"passes": 0, "pairs": 0, "summed": 0, "expanded": 0})

    def forward(self, h: Array) -> Array:
        """Log-sums over the source, one for each target."""
        h = exponents(h, self.space.source_shape)
        return self._sums(self.source, h, self.target, self.groups).reshape(self.space.target_shape)

    def backward(self, h: Array) -> Array:
        """Log-sums over the target, one for each source."""
        h = exponents(h, self.space.target_shape)
        groups = self.groups and self.groups.swapped()
        return self._sums(self.target, h, self.source, groups).reshape(self.space.source_shape)

    @property
    def report(self) -> Mapping[str, float | int | str]:
        """Engine, passes, pairs of nodes, pairs (of node and image) summed one by one, pairs summed by expansions.

        The others were below rounding.
        """
        return {"engine": "Blockwise", **self.tally}

    def _sums(self, x: Side, h: Array, y: Side, groups: Groups | None) -> Array:
        self.tally["passes"] += 1
        self.tally["pairs"] += x.size * y.size
        if h.max() == -np.inf:
            return np.full(y.size, -np.inf)
        if (modes := waves(self.space)) is not None:
            return log_sums_by_waves(x.points, h, y.points, self.space, modes)
        signs, shifts = images(self.space)
        h, cut = h[x.order], NEGLIGIBLE + log(h.size * len(signs))
        values, wanted, group = np.full(y.size, -np.inf), np.ones((1, 1), bool), max(x.size, y.size)
        if groups is not None:
            values, expanded = groups.log_sums(h, signs, shifts, self.space.eps, cut)
            self.tally["expanded"] += expanded
            wanted, group = groups.rest, groups.size
        out = np.empty(y.size)
        out[y.order] = self._pairs(x, h, y, cut, wanted, group, values) if wanted.any() else values
        return out

    def _pairs(self, x: Side, h: Array, y: Side, cut: float, wanted: Array, group: int, known: Array) -> Array:
        """The sums ``known`` and those over all wanted pairs of groups, one pair of points after the other."""
        signs, shifts = images(self.space)
        tops, out = np.maximum.reduceat(h, np.arange(0, h.size, BLOCK)), np.empty(y.size)

        sums = Sums(x.blocks, h, tops, y.tiles, signs, shifts, 0.5 / self.space.eps, cut)

        def tiles(begin: int, end: int) -> int:
            return log_sums(sums, wanted, group, known, begin, end, out)

        self.tally["summed"] += spread(tiles, len(y.tiles.radii), h.size * len(signs) * TILE)
        return out
