"""Transport on a line: the monotone coupling, by sorting, and optimal potentials."""

from __future__ import annotations

import numpy as np

from ..machine.arrays import Array


def monotone(x: Array, y: Array, a: Array, b: Array) -> tuple[Array, Array, Array]:
    """The pairs of the monotone coupling from left to right, one step at a time, and their masses, some 0 where both sides end."""
    orders = np.argsort(x, kind="stable"), np.argsort(y, kind="stable")
    ends = [np.cumsum(w[o].astype(np.longdouble)) for w, o in zip((a, b), orders, strict=True)]
    ends = [end / end[-1] for end in ends]
    merged = np.concatenate([ends[0][:-1], ends[1][:-1]])
    which = np.argsort(merged, kind="stable")  # of equal ends the source's first: a pair of mass 0 between
    first = which < a.size - 1
    i, j = (np.concatenate([[0], np.cumsum(step)]) for step in (first, ~first))
    flow = np.diff(merged[which], prepend=0, append=1).astype(float)
    return orders[0][i], orders[1][j], flow


def potentials(x: Array, y: Array, a: Array, b: Array) -> Array:
    """u at the points x, uᵢ + vⱼ ≤ ½|xᵢ − yⱼ|²: midway between those that take the source's steps first and the target's."""
    one, (j, i, _) = _along_pairs(x, y, *monotone(x, y, a, b)[:2]), monotone(y, x, b, a)
    return 0.5 * (one + _along_pairs(x, y, i, j))


def _along_pairs(x: Array, y: Array, i: Array, j: Array) -> Array:
    """From one pair to the next either i or j changes, and the potential of the one that changes by the change of the cost."""
    along = np.diff(0.5 * (x[i].astype(np.longdouble) - y[j]) ** 2)
    u = np.empty(x.size)
    u[i] = np.concatenate([[0.0], np.cumsum(np.where(np.diff(i) != 0, along, 0.0))])
    return u
