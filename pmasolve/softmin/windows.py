"""Certified windows: which sources can matter for which outputs of one line.

With G_y(x) = b[x] − κ(x−y)² in bits, edge y keeps best = max G_y, an argmax p and the first and last x with
G_y(x) > best − T.  Because G_{y'}(x) − G_{y'}(p) = G_y(x) − G_y(p) + 2κ(x−p)(y'−y), the first and the last are
nondecreasing in y, for any b.  Hence for all outputs in [y0, y1) the window [first(y0), last(y1)] is enough: every source
outside it is below 2^−T of the sum.
"""

from __future__ import annotations

import numpy as np

from .bits import VOID, jit

TOLERANCE = 58.0  # T: a thousand neglected sources are below 1e-14 together


@jit
def extend(line, scale, reflect, reach, b):
    """Copy ``line`` in bits to x = −reach … n+reach of ``b``, periodic or reflected at both walls; return its maximum."""
    n = line.size
    top = VOID
    for i in range(n):
        v = line[i] * scale
        v = v if v > VOID else VOID
        b[reach + i] = v
        top = v if v > top else top
    left, right = b[: reach + n], b[reach:]
    if reflect:
        for i in range(reach):
            j = i % (2 * n)
            left[reach - 1 - i] = right[j if j < n else 2 * n - 1 - j]
        for i in range(n, n + reach + 1):
            j = i % (2 * n)
            right[i] = right[j if j < n else 2 * n - 1 - j]
    else:
        for i in range(n, n + reach + 1):
            right[i] = right[i - n]
        for i in range(reach - 1, -1, -1):
            left[i] = left[i + n]
    return top


@jit
def is_concave(b, kappa, start, n):
    """Is every G_y concave, b[x−1] − 2b[x] + b[x+1] ≤ 2κ, on one period?"""
    left, mid, right = b[start - 1 : start + n - 1], b[start : start + n], b[start + 1 : start + n + 1]
    bad = 0
    for i in range(n):
        bad += left[i] - 2.0 * mid[i] + right[i] > 2.0 * kappa
    return bad == 0


@jit
def scan(b, kappa, y, first, last):
    """Edge y of any line from the sources first … last: (first, argmax, last, best)."""
    best = VOID * 2
    for x in range(first, last + 1):
        d = np.float64(x - y)
        v = b[x] - kappa * d * d
        best = v if v > best else best
    # an argmax up to half a bit centres the tile as well; the second term allows for rounding of huge potentials
    slack = 0.5 + 1e-14 * abs(best)
    lo, hi = first, last
    while lo < hi and b[lo] - kappa * np.float64(lo - y) ** 2 <= best - TOLERANCE - slack:
        lo += 1
    while hi > lo and b[hi] - kappa * np.float64(hi - y) ** 2 <= best - TOLERANCE - slack:
        hi -= 1
    p = lo
    while p < hi and b[p] - kappa * np.float64(p - y) ** 2 < best - slack:
        p += 1
    return lo, p, hi, best


@jit
def bisect(b, kappa, y, first, last):
    """Edge y of a concave line by three binary searches: (first, argmax, last, best)."""
    lo, hi = first, last
    while lo < hi:  # the argmax is the first x with G(x+1) ≤ G(x)
        mid = (lo + hi) >> 1
        if b[mid + 1] - b[mid] > kappa * np.float64(2 * (mid - y) + 1):
            lo = mid + 1
        else:
            hi = mid
    p = lo
    best = b[p] - kappa * np.float64(p - y) ** 2
    cut = best - TOLERANCE - 0.5 - 1e-14 * abs(best)
    lo, hi = first, p
    while lo < hi:
        mid = (lo + hi) >> 1
        if b[mid] - kappa * np.float64(mid - y) ** 2 > cut:
            hi = mid
        else:
            lo = mid + 1
    start = lo
    lo, hi = p, last
    while lo < hi:
        mid = (lo + hi + 1) >> 1
        if b[mid] - kappa * np.float64(mid - y) ** 2 > cut:
            lo = mid
        else:
            hi = mid - 1
    return start, p, lo, best


@jit
def edge(b, kappa, concave, y, first, last):
    """Edge y by the search that the line allows."""
    if concave:
        return bisect(b, kappa, y, first, last)
    return scan(b, kappa, y, first, last)
