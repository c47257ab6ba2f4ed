"""Certified windows: which sources can matter for which outputs of one line.

With G_y(x) = b[x] − κ(x−y)² in bits, edge y keeps best = max G_y, its first argmax p and the first and last x with
G_y(x) > best − T.  Because G_{y'}(x) − G_{y'}(p) = G_y(x) − G_y(p) + 2κ(x−p)(y'−y), all three are nondecreasing in y,
for any b.  Hence for all outputs in [y0, y1) the window [first(y0), last(y1)] is enough, every source outside it being
below 2^−T of the sum; and an edge between two known ones is found between them.
"""

from __future__ import annotations

import numpy as np

from ....machine.exponentials import CHUNK, VOID, largest, lean

TOLERANCE = 58.0  # T: a thousand neglected sources are below 1e-14 together


@lean
def extend(line, scale, reflect, reach, b):
    """Copy ``line`` in bits to x = −reach … n+reach of ``b``, periodic or reflected at both walls."""
    n = line.size
    left, mid, right = b[: reach + n], b[reach : reach + n], b[reach:]
    for i in range(n):
        v = line[i] * scale
        mid[i] = v if v > VOID else VOID
    if reflect:
        for i in range(reach + 1):  # node i beyond the right wall, node i beyond the left one
            j = i % (2 * n)
            right[n + i] = mid[n - 1 - j if j < n else j - n]
            if i < reach:
                left[reach - 1 - i] = mid[j if j < n else 2 * n - 1 - j]
        return
    for i in range(n, n + reach + 1):
        right[i] = right[i - n]
    for i in range(reach - 1, -1, -1):
        left[i] = b[i + n]


@lean
def is_concave(b, kappa, start, n):
    """Is every G_y concave, b[x−1] − 2b[x] + b[x+1] ≤ 2κ, on one period?"""
    left, mid, right = b[start - 1 : start + n - 1], b[start : start + n], b[start + 1 : start + n + 1]
    bad = 0
    for i in range(n):
        bad += left[i] - 2.0 * mid[i] + right[i] > 2.0 * kappa
    return bad == 0


@lean
def count_kinks(b, kappa, kinks):
    """kinks[x] = number of z < x where G_y is not concave: between two kinks a line may be searched as if it were."""
    total = 0
    kinks[0], kinks[1] = 0, 0
    for x in range(1, b.size - 1):
        total += b[x - 1] - 2.0 * b[x] + b[x + 1] > 2.0 * kappa
        kinks[x + 1] = total


@lean
def parabola(b, iota, kappa, y, first, last, g):
    """g[i] = G_y(first + i) up to ``last``."""
    part, x, target = b[first : last + 1], iota[first : last + 1], g[: last + 1 - first]
    centre = np.float64(y)
    for i in range(part.size):
        d = x[i] - centre
        target[i] = part[i] - kappa * d * d


@lean
def sweep(b, iota, kappa, y, first, last, cut, g):
    """The first x in first … last with G_y(x) > cut, chunk by chunk; ``last`` if there is none before."""
    for start in range(first, last, CHUNK):
        stop = min(last, start + CHUNK - 1)
        parabola(b, iota, kappa, y, start, stop, g)
        found = 0
        for i in range(stop - start + 1):
            found += g[i] > cut
        if found > 0:
            for i in range(stop - start + 1):
                if g[i] > cut:
                    return start + i
    return last


@lean
def sweep_down(b, iota, kappa, y, first, last, cut, g):
    """The last x in first … last with G_y(x) > cut, chunk by chunk; ``first`` if there is none after."""
    for stop in range(last, first, -CHUNK):
        start = max(first, stop - CHUNK + 1)
        parabola(b, iota, kappa, y, start, stop, g)
        found = 0
        for i in range(stop - start + 1):
            found += g[i] > cut
        if found > 0:
            for i in range(stop - start, -1, -1):
                if g[i] > cut:
                    return start + i
    return first


@lean
def scan(b, iota, kappa, y, first, p0, p1, last, g, lanes):
    """Edge y of any line, its argmax in p0 … p1, its window in first … last: (first, argmax, last, best)."""
    parabola(b, iota, kappa, y, p0, p1, g)
    values = g[: p1 - p0 + 1]
    best = largest(values, lanes)
    i = 0
    while values[i] < best:
        i += 1
    p, cut = p0 + i, best - TOLERANCE
    return (
        sweep(b, iota, kappa, y, first, p, cut, g),
        p,
        sweep_down(b, iota, kappa, y, p, last, cut, g),
        best,
    )


@lean
def bisect(b, kappa, y, first, p0, p1, last):
    """Edge y of a concave line by three binary searches: (first, argmax, last, best)."""
    lo, hi = p0, p1
    while lo < hi:  # the argmax is the first x with G(x+1) ≤ G(x)
        mid = (lo + hi) >> 1
        if b[mid + 1] - b[mid] > kappa * np.float64(2 * (mid - y) + 1):
            lo = mid + 1
        else:
            hi = mid
    p = lo
    best = b[p] - kappa * np.float64(p - y) ** 2
    cut = best - TOLERANCE
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


@lean
def edge(b, iota, kappa, concave, y, first, p0, p1, last, g, lanes):
    """Edge y by the search that the line allows."""
    if concave:
        return bisect(b, kappa, y, first, p0, p1, last)
    return scan(b, iota, kappa, y, first, p0, p1, last, g, lanes)
