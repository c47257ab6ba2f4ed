"""Exact transport between few nodes of a grid: the costs of all pairs in whole numbers, and one compiled simplex.

Nodes are put together by twos along each axis, and again, until few clusters are left.  The optimum between clusters, its
potential c-transformed to the next finer nodes, is the start there: pairs of small slack, a basis built of those of least slack
at once (the least-cost rule), pivots (`network`), and pairs of negative slack, looked for among all.

Positions are counted in half steps, so that middles of clusters are whole, and costs in quarters of `WholeCosts.unit`: nothing is
rounded, each c-transform is exact.  What is compiled has loops and no sums of arrays, for which Numba would compile how an error
about their shapes is worded, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np

from ..machine.arrays import Array, Indices, Integers
from ..machine.interruptions import breakable
from ..problems.grids import Grid
from .forests import least_cost_basis, settled
from .network import WHOLE, heights, pivots, whole
from .pairs import Arcs
from .semidual.arcs import EXACT_COSTS, WholeCosts
from .simplex import Basic, Bounds, Optimum

FEW_CLUSTERS = 64  # clusters of a grid that need no coarser ones
SLACK_STEPS = 16  # slack of the first pairs, in squares of half a step
BUCKETS = 64  # of the first pairs by slack
NONE = -1  # not numbered yet
PRICE_RISE = 8  # by what the price of staying away rises, and exceeds the slack at first

Found = tuple[Integers, Integers, Indices, Indices, Integers, Integers, int, int]


def holds(costs: WholeCosts) -> bool:
    """Whether sums of four times the costs along a path through the nodes are exact in float64."""
    return costs.farthest <= EXACT_COSTS / 4


@dataclass(frozen=True, eq=False)
class Support:
    """The nodes of a density that have mass, and clusters of them.

    Attributes
    ----------
    nodes, mass : flat indices and masses, of sum 1.
    levels : (positions (dim, k) in half steps, masses (k,) in parts of `network.WHOLE`) of the nodes, and of coarser clusters.
    """

    nodes: Indices
    mass: Array
    levels: tuple[tuple[Integers, Integers], ...]

    @classmethod
    def of(cls, grid: Grid, density: Array) -> Support:
        """The support of a density ≥ 0 of mean 1."""
        nodes = np.flatnonzero(density > 0)
        mass = density.ravel()[nodes] / grid.size
        k, parts = np.array(np.unravel_index(nodes, grid.shape)), whole(mass)
        shape, levels = np.array(grid.shape), [(2 * k, parts)]
        while np.prod(((shape - 1) >> (len(levels) - 1)) + 1) > FEW_CLUSTERS:
            k, parts, middles = _clusters(k, parts, shape, len(levels))
            levels.append((middles, parts))
        return cls(nodes, mass, tuple(levels))


def optimum_of_few(source: Support, target: Support, costs: WholeCosts) -> Optimum:
    """The optimal coupling for costs between the nodes of a grid that have mass; see `simplex.optimum`.

    Memory: 32 bytes for each pair of nodes at most.  Time: some 2 pivots a node, and 3 to 5 passes over all pairs.
    """
    bounds, basic, rounds, arcs = bounds_of_few(source, target, costs)
    return bounds.optimum(basic, True, rounds, arcs)


@breakable()
def bounds_of_few(source: Support, target: Support, costs: WholeCosts) -> tuple[Bounds, Basic, int, int]:
    """The bounds of the optimal cost alone, and what gives them: the basis, rounds and pairs."""
    u, v, rows, columns, there, flow, rounds, arcs = _by_clusters(source, target, costs)
    sent = settled(rows, columns, source.mass, target.mass, flow / WHOLE)
    used = Arcs(rows, columns, there / 4).chosen(sent > 0)
    basic = Basic(used, sent[sent > 0], 0.0, u / 4, v / 4)
    bounds = Bounds(source.mass, target.mass, costs)
    bounds.take(basic, basic.v)
    return bounds, basic, rounds, arcs


def _by_clusters(source: Support, target: Support, costs: WholeCosts) -> Found:
    """The optimum, from that between clusters of nodes, from that between larger ones."""
    A, period, periodic = np.array(costs.A), 2 * np.array(costs.grid.shape), not costs.grid.reflects
    (p, a), (q, b) = source.levels[-1], target.levels[-1]
    slack = SLACK_STEPS * int(A.min()) * 4 ** (len(source.levels) - 1)
    found = _optimal(_costs(p, q, A, period, periodic), a, b, np.zeros(a.size, np.int64), slack)
    for (p, a), (finer, b) in zip(source.levels[-2::-1], target.levels[-2::-1], strict=True):
        u, slack = _back(_costs(p, q, A, period, periodic), found[1]), slack // 4
        q = finer
        found = _optimal(_costs(p, q, A, period, periodic), a, b, u, slack)
    return found


@numba.njit(cache=True, nogil=True)
def _clusters(k, mass, shape, level):
    """Halves of node numbers k (dim, n), each once; their masses; the middles of their nodes on the finest grid, in half steps."""
    dim, n = k.shape
    size = 1
    for j in range(dim):
        size *= (shape[j] >> level) + 1
    numbers, count = np.full(size, NONE), 0
    out, middle, total = np.empty((dim, n), np.int64), np.empty((dim, n), np.int64), np.zeros(n, np.int64)
    for i in range(n):
        flat = 0
        for j in range(dim):
            flat = flat * ((shape[j] >> level) + 1) + (k[j, i] >> 1)
        if numbers[flat] == NONE:
            numbers[flat] = count
            for j in range(dim):
                first = (k[j, i] >> 1) << level
                out[j, count] = k[j, i] >> 1
                middle[j, count] = first + min(first + (1 << level), shape[j]) - 1
            count += 1
        total[numbers[flat]] += mass[i]
    return out[:, :count].copy(), total[:count].copy(), middle[:, :count].copy()


@numba.njit(cache=True, nogil=True)
def _costs(p, q, A, period, periodic):
    """Σ A d² of all pairs of positions, the shorter way round: along each axis once for each position there."""
    n, m = p.shape[1], q.shape[1]
    C = np.zeros((n, m), np.int64)
    for axis in range(A.size):
        rows, numbers, count = np.empty((min(n, period[axis]), m), np.int64), np.full(period[axis], NONE), 0
        for i in range(n):
            k = numbers[p[axis, i]]
            if k == NONE:
                k, count = count, count + 1
                numbers[p[axis, i]] = k
                for j in range(m):
                    d = abs(p[axis, i] - q[axis, j])
                    d = min(d, period[axis] - d) if periodic else d
                    rows[k, j] = A[axis] * d * d
            for j in range(m):
                C[i, j] += rows[k, j]
    return C


@numba.njit(cache=True, nogil=True)
def _back(C, v):
    """u_i = min_j c_ij − v_j."""
    u = np.empty(C.shape[0], np.int64)
    for i in range(u.size):
        least = C[i, 0] - v[0]
        for j in range(1, v.size):
            least = min(least, C[i, j] - v[j])
        u[i] = least
    return u


@numba.njit(cache=True, nogil=True)
def _conjugate(C, u):
    """v_j = min_i c_ij − u_i."""
    v = np.empty(C.shape[1], np.int64)
    for j in range(v.size):
        v[j] = C[0, j] - u[0]
    for i in range(1, u.size):
        for j in range(v.size):
            v[j] = min(v[j], C[i, j] - u[i])
    return v


def _optimal(C: Integers, a: Integers, b: Integers, u: Integers, slack: int) -> Found:
    """u, v, the pairs of a basis and what they send, rounds and pairs; a start is u, the first pairs those within the slack."""
    n, m = C.shape
    tail, head, cost, height, flow, via, rounds, arcs = _simplex(C, np.concatenate([a, b, [0]]), u, slack)
    basis = np.flatnonzero(via[: n + m] >= n + m)
    e, u = via[basis], height[:n].copy()
    rows, columns = tail[e].astype(np.int64), head[e].astype(np.int64) - n
    return u, _conjugate(C, u), rows, columns, cost[e], flow[basis], rounds, arcs - n - m


@numba.njit(cache=True, nogil=True)
def _simplex(C, masses, u, slack):
    """Arcs (tail, head, cost), heights, flows and arcs of the tree at the optimum; rounds and arcs."""
    n, m = C.shape
    v = _conjugate(C, u)
    u = _back(C, v)
    tail, head = np.empty(n + m + n * m, np.uint32), np.empty(n + m + n * m, np.uint32)
    cost = np.empty(n + m + n * m, np.int64)
    arcs = _first(C, u, v, slack, tail, head, cost)
    flow, tree = least_cost_basis(np.arange(n + m, arcs), tail, head, masses)
    height, price, rounds = np.zeros(n + m + 1, np.int64), PRICE_RISE * slack, 0
    dearest = C.max() - u.min() - v.min()  # no pair of negative slack and mass away: 2 price ≤ c_ij − u_i − v_j
    while True:
        rounds += 1
        for k in range(n + m):
            cost[k] = price + (u[k] if k < n else v[k - n])
        heights(n, cost, height, tree)
        pivots(n, tail[:arcs], head[:arcs], cost, height, flow, tree)
        more = _violating(C, height, tail, head, cost, arcs)
        if more == arcs:
            away = 0
            for i in range(n):
                away += flow[i] if tree[0][i] == n + m else 0
            if away == 0:
                break
            if price > dearest:  # numba compiles no assertion that pytest has rewritten
                raise AssertionError("mass stays away though every pair costs less")
            price *= PRICE_RISE
        arcs = more
    return tail, head, cost, height, flow, tree[1], rounds, arcs


@numba.njit(cache=True, nogil=True)
def _first(C, u, v, slack, tail, head, cost):
    """The arcs to and from the root, then the pairs within the slack, nearly in its order; how many."""
    n, m = C.shape
    starts, root, size = np.zeros(BUCKETS + 1, np.int64), n + m, 0
    near = np.empty((2, n * m), np.uint32)
    for k in range(root):
        tail[k], head[k] = (k, root) if k < n else (root, k)
    for i in range(n):
        for j in range(m):
            s = C[i, j] - u[i] - v[j]
            if s <= slack:
                near[0, size], near[1, size], size = i, j, size + 1
                starts[(s * BUCKETS) // (slack + 1) + 1] += 1
    starts[0] = root
    for k in range(BUCKETS):
        starts[k + 1] += starts[k]
    for k in range(size):
        i, j = near[0, k], near[1, k]
        bucket = ((C[i, j] - u[i] - v[j]) * BUCKETS) // (slack + 1)
        e = starts[bucket]
        tail[e], head[e], cost[e], starts[bucket] = i, n + j, C[i, j], e + 1
    return starts[BUCKETS - 1]


@numba.njit(cache=True, nogil=True)
def _violating(C, height, tail, head, cost, arcs):
    """Of each source the pairs whose reduced cost is at most half the least one, if that is negative, put behind the arcs."""
    n, m = C.shape
    for i in range(n):
        least = np.int64(0)
        for j in range(m):
            least = min(least, C[i, j] - height[i] + height[n + j])
        if least < 0:
            for j in range(m):
                if 2 * (C[i, j] - height[i] + height[n + j]) <= least:
                    tail[arcs], head[arcs], cost[arcs] = i, n + j, C[i, j]
                    arcs += 1
    return arcs
