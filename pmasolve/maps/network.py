"""A network simplex between weighted points that goes on where it stopped, when pairs come in or prices change.

    min Σ c_ij P_ij + Σ p_i r_i + Σ q_j s_j,   Σ_j P_ij + r_i = a_i,   Σ_i P_ij + s_j = b_j;   P, r, s ≥ 0:

mass may stay away, at the prices p and q, by way of one more node, the root.  A basis is a tree: each node has a parent, an arc to
it or from it, and the flow there.  Masses are whole numbers, 2⁶⁰ in all, and so are costs: nothing is rounded.  Arcs without flow
point to the root, which the choice of the arc that leaves keeps up, so that no basis comes back (Cunningham, Math. Programming 11
(1976); Ahuja, Magnanti, Orlin, Network Flows (1993), 11.5 to 11.8).  At first all stays away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from ..machine.arrays import Array, Indices
from .forests import NO_NODE, least_cost_basis

WHOLE = 1 << 60  # parts of the mass
SHORT_BLOCK, LONG_BLOCK = 64, 512  # arcs at least that are looked at for the next pivot: of few, of many
Short = NDArray[np.uint32]


@dataclass(eq=False)
class NetworkBasis:
    """A basis and its arcs.  Nodes: n sources, m targets, the root; arcs: first n + m between each of them and the root.

    Attributes
    ----------
    n, m : how many sources and targets.
    quantum : costs and potentials are counted in it, costs rounded down: sums along the tree have no roundings.
    tail, head, cost : of the arcs, from tail to head.
    height : π of the nodes, 0 at the root: an arc of the basis costs π(tail) − π(head); π is u at sources, −v at targets.
    flow : between each node and its parent, in parts of `WHOLE`.
    tree : (parent, arc to or from it, next and previous in an order with parents first, size of the subtree, its last node).
    """

    n: int
    m: int
    quantum: float
    tail: Short
    head: Short
    cost: Indices
    height: Indices
    flow: Indices
    tree: tuple[Short, Short, Short, Short, Short, Short]

    @classmethod
    def of(cls, a: Array, b: Array, quantum: float) -> NetworkBasis:
        """Masses of sum 1, all away; no pairs yet."""
        n, m = a.size, b.size
        nodes = np.arange(n + m + 1, dtype=np.uint32)
        own, root = nodes[:-1], np.full(n + m, n + m, np.uint32)
        tail, head = np.where(own < n, own, root), np.where(own < n, root, own)
        parent, via = (np.append(x, NO_NODE) for x in (root, own))
        size, last = np.ones_like(nodes), nodes.copy()
        size[-1], last[-1] = n + m + 1, n + m - 1
        tree = (parent, via, np.roll(nodes, -1), np.roll(nodes, 1), size, last)
        flow, height = np.concatenate([whole(a), whole(b), [0]]), np.zeros(n + m + 1, np.int64)
        return cls(n, m, quantum, tail, head, height[:-1].copy(), height, flow, tree)

    def price(self, sources: Array, targets: Array) -> None:
        """Prices of staying away; the flow stays."""
        self.cost[: self.n + self.m] = self._whole(np.concatenate([sources, targets]))

    def add(self, rows: Indices, columns: Indices, costs: Array) -> None:
        """More pairs."""
        self.tail = np.concatenate([self.tail, rows.astype(np.uint32)])
        self.head = np.concatenate([self.head, (columns + self.n).astype(np.uint32)])
        self.cost = np.concatenate([self.cost, self._whole(costs)])

    def begin(self, order: Indices) -> None:
        """A first basis, while all is away: pairs, counted from 0, each once, in this order take all they can."""
        self.flow, self.tree = least_cost_basis(order + (self.n + self.m), self.tail, self.head, self.flow)

    def _whole(self, costs: Array) -> Indices:
        return np.floor(costs / self.quantum).astype(np.int64)

    def solve(self) -> int:
        """Pivots until no arc has a negative reduced cost; how many."""
        heights(self.n, self.cost, self.height, self.tree)
        return pivots(self.n, self.tail, self.head, self.cost, self.height, self.flow, self.tree)

    @property
    def potentials(self) -> tuple[Array, Array]:
        """Of sources and targets, from a source's amid the others: the root's is off by prices, which would cost digits."""
        pi = self.height[:-1] - np.partition(self.height[: self.n], self.n // 2)[self.n // 2]
        return pi[: self.n] * self.quantum, -pi[self.n :] * self.quantum

    def basic(self) -> tuple[Indices, Indices]:
        """The pairs of the basis, counted from 0, and what flows there."""
        kept = np.flatnonzero(self.tree[1][:-1] >= self.n + self.m)
        return self.tree[1][kept].astype(np.int64) - (self.n + self.m), self.flow[kept]

    @property
    def away(self) -> float:
        """What stays away."""
        below_root = self.tree[1][: self.n] == np.arange(self.n)
        return float(np.sum(self.flow[: self.n][below_root])) / WHOLE


def whole(mass: Array) -> Indices:
    """Masses of sum 1 in parts of `WHOLE`, none of them 0; the greatest takes what roundings leave."""
    out = np.maximum(np.rint(mass * WHOLE).astype(np.int64), 1)
    out[np.argmax(out)] += WHOLE - out.sum()
    return out


@numba.njit(cache=True, nogil=True)
def heights(n, cost, height, tree):
    """π from the root down; arcs leave sources, nodes below n, and come to targets."""
    parent, via, after = tree[:3]
    root = parent.size - 1
    x = after[root]
    while x != root:
        height[x] = height[parent[x]] + (cost[via[x]] if x < n else -cost[via[x]])
        x = after[x]


@numba.njit(cache=True, nogil=True)
def pivots(n, tail, head, cost, height, flow, tree):
    """Pivots while there is an arc of negative reduced cost: the least of a block of arcs, blocks in turn, and of those kept.

    A pivot costs as much as the nodes whose heights it shifts: so many arcs are looked at for the next one, and half as many
    negative ones kept.  Few move at first, 10⁴ once the tree is one, where a better arc saves others.
    """
    arcs, count, e, since, moved = tail.size, 0, 0, 0, 0
    nothing = np.int64(-1)  # no constant, for which `_pivot` would be compiled once more
    block = min(max(SHORT_BLOCK, int(np.sqrt(arcs))), LONG_BLOCK)
    kept, many = np.empty(height.size // 4 + 1, np.uint32), 0  # at most half the nodes move
    while since < arcs:
        best, least, many = _least_kept(kept[:many], tail, head, cost, height)
        stop = min(e + max(block, moved - many), arcs)
        if moved > block:
            room = kept[: moved // 2]
            best, least, many = _least_and_kept(e, stop, best, least, room, many, tail, head, cost, height)
        else:
            for k in range(e, stop):
                reduced = cost[k] - height[tail[k]] + height[head[k]]
                if reduced < least:
                    best, least = k, reduced
        since += stop - e
        e = stop
        if best != nothing:
            moved += (_pivot(n, best, tail, head, least, height, flow, tree) - moved) // 4
            count, since = count + 1, 0
        if e == arcs:
            e, many = 0, 0  # they are met again
    height -= height[-1]
    return count


@numba.njit(cache=True, nogil=True)
def _least_kept(kept, tail, head, cost, height):
    """The arc of least reduced cost, that cost, and how many are still negative: these come to the front."""
    best, least, many = np.int64(-1), np.int64(0), 0
    for k in kept:
        reduced = cost[k] - height[tail[k]] + height[head[k]]
        if reduced < 0:
            kept[many] = k
            many += 1
            if reduced < least:
                best, least = k, reduced
    return best, least, many


@numba.njit(cache=True, nogil=True)
def _least_and_kept(start, stop, best, least, kept, many, tail, head, cost, height):
    """The best arc so far or of these, and the negative ones behind those kept, as far as there is room."""
    for k in range(start, stop):
        reduced = cost[k] - height[tail[k]] + height[head[k]]
        if reduced < 0:
            if many < kept.size:
                kept[many] = k
                many += 1
            if reduced < least:
                best, least = k, reduced
    return best, least, many


@numba.njit(cache=True, nogil=True)
def _pivot(n, e, tail, head, reduced, height, flow, tree):
    """The arc e comes in, flow goes round its cycle, and the last arc that it empties, seen from the top, leaves.

    Heights are shifted on the side with fewer nodes, be it that of the root; returns how many these are.
    """
    parent, via, size = tree[0], tree[1], tree[4]
    i, j = tail[e], head[e]
    x, y, out, amount, turned = i, j, i, np.int64(WHOLE), False
    while x != y:
        if size[x] <= size[y]:
            if x < n and flow[x] < amount:
                out, amount, turned = x, flow[x], False
            x = parent[x]
        else:
            if y >= n and flow[y] <= amount:
                out, amount, turned = y, flow[y], True
            y = parent[y]
    if amount > 0:
        _send(n, i, x, -amount, flow, parent)
        _send(n, j, x, amount, flow, parent)
    first, second, shift = (j, i, -reduced) if turned else (i, j, reduced)
    moved = size[out]
    _detach(out, x, tree)
    end = _turned(first, out, tree)
    _insert(first, end, second, x, moved, tree)
    _reversed(first, second, out, e, amount, flow, parent, via)
    after, rest = tree[2], parent.size - moved
    y, fewer, shift = (first, moved, shift) if moved <= rest else (after[end], rest, -shift)
    for _ in range(fewer):
        height[y] += shift
        y = after[y]
    return fewer


@numba.njit(cache=True, nogil=True)
def _send(n, x, top, amount, flow, parent):
    """So much more flow on arcs upwards, and less on those downwards, on the way from x to the top."""
    while x != top:
        flow[x] += amount if x < n else -amount
        x = parent[x]


@numba.njit(cache=True, nogil=True)
def _detach(x, top, tree):
    """Take the subtree of x out of the order and out of the counts of its ancestors, up to the top of the cycle."""
    parent, _, after, before, size, last = tree
    end, one, y = last[x], before[x], parent[x]
    other = after[end]
    after[one], before[other] = other, one
    while y != NO_NODE and last[y] == end:
        last[y] = one
        y = parent[y]
    y = parent[x]
    while y != top:
        size[y] -= size[x]
        y = parent[y]


@numba.njit(cache=True, nogil=True)
def _turned(x, out, tree):
    """The order, sizes and ends of the subtree of ``out`` with x on top; returns its end.  Parents are still the old ones.

    After the subtree of x comes what was below its parent besides, then below that one's, and so on.
    """
    parent, _, after, before, size, last = tree
    total, inner, end, was, follows = size[out], size[x], last[x], before[x], after[last[x]]
    old, y = end, x
    while y != out:
        y = parent[y]
        entry, rest, size[y], inner = before[y], follows, total - inner, size[y]
        beyond = last[y] != old
        if beyond:
            old = last[y]
            follows = after[old]
        after[end], before[y], end = y, end, was
        if beyond:
            after[end], before[rest], end = rest, end, old
        was = entry
    size[x] = total
    y = x
    while True:
        last[y] = end
        if y == out:
            return end
        y = parent[y]


@numba.njit(cache=True, nogil=True)
def _insert(x, end, p, top, moved, tree):
    """A subtree from x to its end in the order comes right behind its parent p; counts up to the top of the cycle."""
    parent, _, after, before, size, last = tree
    other = after[p]
    after[p], before[x], after[end], before[other] = x, p, other, end
    y = p
    while y != NO_NODE and last[y] == p:
        last[y] = end
        y = parent[y]
    while p != top:
        size[p] += moved
        p = parent[p]


@numba.njit(cache=True, nogil=True)
def _reversed(x, p, out, arc, amount, flow, parent, via):
    """x gets the parent p by an arc with so much flow, its old parent gets x, and so on up to ``out``."""
    while True:
        old, old_arc, old_flow = parent[x], via[x], flow[x]
        parent[x], via[x], flow[x] = p, arc, amount
        if x == out:
            break
        x, p, arc, amount = old, x, old_arc, old_flow
