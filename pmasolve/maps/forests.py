"""Flows on pairs without a cycle, those of a basis, from the masses alone: what a simplex has lost to rounding comes back."""

from __future__ import annotations

import numba
import numpy as np

from ..machine.arrays import Array


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
