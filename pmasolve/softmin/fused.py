"""Softmin on clouds of points by fused, threaded loops: no compiler, no GPU, memory linear in the number of nodes.

The sums skip what cannot matter (``blocks``): the cost is at most that of all pairs, about eight times below KeOps on a
CPU, and falls like ε^{dim/2} for small ε.  No state is kept between calls: the same ``h`` gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from math import log

import numpy as np
from numba import get_num_threads
from numpy.typing import NDArray

from ..domains import Array
from .blocks import BLOCK, TILE, Blocks, log_sums
from .nodes import NEGLIGIBLE, Geometry, Nodes, exponents, geometry, images
from .waves import log_sums_by_waves, waves

Order = NDArray[np.intp]

SHARES = 8  # pieces of work for each thread: pruned tiles cost unequal times
FEW = 300_000  # pairs that take less time than starting threads


@dataclass(frozen=True)
class Fused:
    """Softmin by compiled loops over blocks of sorted points, in double precision on all threads numba may use.

    Notes
    -----
    On a torus or in a box the images of the points are summed, those that matter: one or two for small ε, about
    (1 + 10√ε/L)^dim in general, and Fourier modes for large ε (``waves``).  On a torus of dimension 4 and more with
    ε between 0.01 and 0.1 L² that is expensive; KeOps is then the better engine.
    """

    def bind(self, source: Nodes, target: Nodes, eps: float) -> FusedKernel:
        """Sort the nodes into blocks for one ε (see ``Softmin``)."""
        space = geometry(source, target, eps)
        return FusedKernel(space, sort(space.source), sort(space.target))


@dataclass(frozen=True, eq=False)
class FusedKernel:
    """Fused bound to two sets of nodes and one ε."""

    space: Geometry
    source: Side
    target: Side
    tally: dict[str, int] = field(default_factory=lambda: {"passes": 0, "pairs": 0, "summed": 0})

    def forward(self, h: Array) -> Array:
        """Log-sums over the source, one for each target."""
        h = exponents(h, self.space.source_shape)
        return self._sums(self.source, h, self.target).reshape(self.space.target_shape)

    def backward(self, h: Array) -> Array:
        """Log-sums over the target, one for each source."""
        h = exponents(h, self.space.target_shape)
        return self._sums(self.target, h, self.source).reshape(self.space.source_shape)

    @property
    def report(self) -> Mapping[str, float | int | str]:
        """Engine, passes, pairs of nodes, and pairs (of node and image) summed: the others were below rounding."""
        return {"engine": "Fused", **self.tally}

    def _sums(self, x: Side, h: Array, y: Side) -> Array:
        self.tally["passes"] += 1
        self.tally["pairs"] += x.order.size * y.order.size
        if h.max() == -np.inf:
            return np.full(y.order.size, -np.inf)
        if (modes := waves(self.space)) is not None:
            return log_sums_by_waves(x.points, h, y.points, self.space, modes)
        signs, shifts = images(self.space)
        h = h[x.order]
        tops = np.maximum.reduceat(h, np.arange(0, h.size, BLOCK))
        cut = NEGLIGIBLE + log(h.size * len(signs))
        values, out = np.empty(y.order.size), np.empty(y.order.size)

        def tiles(begin: int, end: int) -> int:
            c = 0.5 / self.space.eps
            return log_sums(x.blocks, h, tops, y.tiles, signs, shifts, c, cut, begin, end, values)

        self.tally["summed"] += spread(tiles, len(y.tiles.radii), h.size * len(signs) * TILE)
        out[y.order] = values
        return out


def spread(work: Callable[[int, int], int], count: int, cost: int) -> int:
    """Sum of ``work(begin, end)`` over shares of range(count), on threads where count·cost pairs are worth them."""
    threads = get_num_threads()
    if threads == 1 or count * cost < FEW:
        return work(0, count)
    ends = np.linspace(0, count, 1 + min(count, SHARES * threads)).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(work, ends[:-1], ends[1:]))


@dataclass(frozen=True, eq=False)
class Side:
    """One set of nodes: as given, and sorted into blocks (as sources) and tiles (as targets)."""

    points: Array
    order: Order
    blocks: Blocks
    tiles: Blocks


def sort(points: Array) -> Side:
    """Order the points (n, dim) so that every run of TILE·2^k of them is compact: a k-d tree, left complete."""
    order = np.arange(len(points))
    ranges = [(0, len(points))]
    while ranges:
        low, high = ranges.pop()
        leaves = -(-(high - low) // TILE)
        if leaves < 2:
            continue
        middle = low + TILE * 2 ** ((leaves - 1).bit_length() - 1)
        part = points[order[low:high]]
        axis = np.argmax(np.ptp(part, axis=0))
        order[low:high] = order[low:high][np.argpartition(part[:, axis], middle - low)]
        ranges += [(low, middle), (middle, high)]
    sorted_points = np.ascontiguousarray(points[order].T)
    return Side(points, order, bound(sorted_points, BLOCK), bound(sorted_points, TILE))


def bound(points: Array, size: int) -> Blocks:
    """Bounding boxes and radii of consecutive runs of ``size`` points (dim, n)."""
    starts = np.arange(0, points.shape[1], size)
    low, high = np.minimum.reduceat(points, starts, axis=1), np.maximum.reduceat(points, starts, axis=1)
    centres = (low + high) / 2
    distances = np.sqrt(np.sum((points - np.repeat(centres, size, axis=1)[:, : points.shape[1]]) ** 2, axis=0))
    half = (high - low) / 2
    return Blocks(points, centres.T.copy(), half.T.copy(), np.maximum.reduceat(distances, starts))
