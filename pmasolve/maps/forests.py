"""Flows on pairs without a cycle, those of a basis: one to begin with, and at the end from the masses alone.

What a simplex has lost to rounding comes back so.  Trees are those of `network`: nodes are sources, targets and the root.
"""

from __future__ import annotations

import numba
import numpy as np

from ..machine.arrays import Array

NO_NODE = np.uint32((1 << 32) - 1)  # above the root; indices without a sign are not looked at for being negative


def settled(rows: Array, columns: Array, a: Array, b: Array, flow: Array) -> Array:
    """The flow on a forest of pairs (rows, columns) that has the marginals a and b, subtracting leaf by leaf with twice the digits.

    A pair on a cycle keeps what it has in ``flow``; no flow is negative.  Masses of a tree that differ by roundings leave as much
    at its last point.  Linear in the pairs.
    """
    n = a.size
    ends = np.concatenate([rows, columns + n])
    order = np.argsort(ends, kind="stable")
    starts = np.searchsorted(ends[order], np.arange(n + b.size + 1))
    out = flow.copy()
    _leaves(rows, columns + n, order % rows.size, starts, np.concatenate([a, b]), out)
    return out


@numba.njit(cache=True, nogil=True)
def _leaves(rows, columns, pairs, starts, mass, flow):
    """Leaves are cut until there are none: a leaf's one pair takes all its mass, off that of its neighbour (Knuth's two-sum)."""
    count = starts.size - 1
    degree, small = np.empty(count, np.int64), np.zeros(count)
    done = np.zeros(rows.size, np.bool_)
    stack, size = np.empty(count, np.int64), 0
    for x in range(count):
        degree[x] = starts[x + 1] - starts[x]
        if degree[x] == 1:
            stack[size] = x
            size += 1
    while size > 0:
        size -= 1
        leaf = stack[size]
        if degree[leaf] != 1:
            continue
        at = starts[leaf]
        while done[pairs[at]]:
            at += 1
        k = pairs[at]
        done[k] = True
        other = rows[k] + columns[k] - leaf
        flow[k] = max(mass[leaf] + small[leaf], 0.0)
        total = mass[other] - flow[k]
        part = total - mass[other]
        small[other] += (mass[other] - (total - part)) + (-flow[k] - part)
        mass[other] = total
        degree[leaf], degree[other] = 0, degree[other] - 1
        if degree[other] == 1:
            stack[size] = other
            size += 1


@numba.njit(cache=True, nogil=True)
def least_cost_basis(order, tail, head, masses):
    """A basis by the rule of least cost: each arc in this order takes all it can, and the node that it exhausts hangs on the other.

    Where both are, the source goes up to the root with nothing: arcs without flow point to the root, as they must.  What no arc
    takes stays away.  Returns the flow between each node and its parent, and the tree.
    """
    root = masses.size - 1
    parent, via = np.empty(root + 1, np.uint32), np.empty(root + 1, np.uint32)
    for x in range(root):
        parent[x], via[x] = root, x
    flow, left = masses.copy(), masses.copy()
    for e in order:
        x, y = tail[e], head[e]
        if left[x] == 0 or left[y] == 0:
            continue
        gone, stays = (x, y) if left[x] < left[y] else (y, x)
        parent[gone], via[gone], flow[gone] = stays, e, left[gone]
        left[stays] -= left[gone]
        left[gone] = 0
        flow[stays] = left[stays]
    parent[root], via[root] = NO_NODE, NO_NODE
    return flow, _ordered(parent, via)


@numba.njit(cache=True, nogil=True)
def _ordered(parent, via):
    """A tree as `network` keeps it, from its parents."""
    count = parent.size
    root, child, sibling = count - 1, np.full(count, NO_NODE, np.uint32), np.full(count, NO_NODE, np.uint32)
    for x in range(root):
        sibling[x], child[parent[x]] = child[parent[x]], x
    order, stack, top = np.empty(count, np.uint32), np.empty(count, np.uint32), 1
    stack[0] = root
    for k in range(count):
        top -= 1
        order[k] = stack[top]
        y = child[order[k]]
        while y != NO_NODE:
            stack[top], y, top = y, sibling[y], top + 1
    after, before = np.empty(count, np.uint32), np.empty(count, np.uint32)
    size, last = np.ones(count, np.uint32), np.empty(count, np.uint32)
    for k in range(count):
        after[order[k]], before[order[k]] = order[(k + 1) % count], order[k - 1]
    for k in range(count - 1, 0, -1):
        size[parent[order[k]]] += size[order[k]]
    for k in range(count):
        last[order[k]] = order[k + size[order[k]] - 1]
    return parent, via, after, before, size, last
