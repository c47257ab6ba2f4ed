"""Log-sum-exp along lines by quadratically re-centred tiles: safe for any data, fast for small ε.

One pass computes, for every line a of n nodes and κ = h²/(2ε ln 2), in bits,

    out[y] = log2 Σₓ 2^(a[x] − κ(x−y)²)        (x over all images of the nodes).

A tile is a block of outputs y = y_c + t with the window of sources x = x_c + s that ``windows`` certifies.  With D =
x_c − y_c and the stretch q = Δx/Δy of the edges' argmaxes, rounded to a power of two,

    −κ(D+s−t)² = −κD² + 2κDt + κ(q−1)t²  −  2κDs − κ(1−1/q)s²  −  κ(s−qt)²/q ,

so that the sources E[s] are nearly flat, the first three terms come back after the logarithm, and what is left is the
short product Σₛ E[s] k_q(s−qt) with a tabulated Gaussian k_q.  Its sums are certified to lie above 2^−929 while all
that was flushed lies below 2^−1000; a tile that fails is halved (``lines``), so that no sum is ever lost.

Lines are taken four at a time, since neighbours need the same k_q: they share the loads of the product.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ....machine.arrays import Array, Integers
from ....machine.exponentials import FLOOR, exp2, largest, lean, least, log2
from .stretch import CLASSES, STEP, stretch_class
from .vectors import GROUP, LANES, panel

# Bits that a tile must promise (rounding: 600 · 1e−16) before its product, and keep after it
BITS_BEFORE, BITS_AFTER = -600.0, -929.0


class Edges(NamedTuple):
    """Edges of a group of lines, shape (GROUP, n+1): window, argmax and maximum of G_y, see ``windows``."""

    low: Integers
    arg: Integers
    high: Integers
    best: Array


class Scratch(NamedTuple):
    """Space for one group of lines."""

    b: Array
    kinks: Integers
    iota: Array
    g: Array
    lanes: Array
    sources: Array
    acc: Array
    level: Array
    stack: Integers


@lean
def product(sources, starts, shift, count, table, acc, m):
    """acc[r, t] = Σᵢ sources[r, i]·table[starts[i] + shift + t] for t < m, four lines at a time; m is padded to eight."""
    for t in range(0, m, LANES):
        panel(sources, starts, table, acc, shift, count, t)


@lean
def load_exponents(b, iota, xc, ref, tilt, bend, row):
    """row[i] = b[i] − ref − s·(tilt + bend·s), s = iota[i] − x_c: the exponents of the re-centred sources."""
    centre = np.float64(xc)
    for i in range(row.size):
        s = iota[i] - centre
        row[i] = b[i] - ref - s * (tilt + bend * s)


@lean
def load_exponentials(b, iota, xc, ref, tilt, bend, row):
    """row = 2^(what ``load_exponents`` gives), flushed at 2^−1000."""
    centre = np.float64(xc)
    for i in range(row.size):
        s = iota[i] - centre
        v = b[i] - ref - s * (tilt + bend * s)
        row[i] = exp2(v if v > FLOOR else FLOOR)


@lean
def finish(sums, iota, t0, level, tilt, curl, out):
    """out[t] = log2 sums[t] + level + tilt·t + curl·t²."""
    for i in range(out.size):
        t = t0 + iota[i]
        out[i] = log2(sums[i]) + level + t * (tilt + curl * t)


@lean
def ceiling(axis, q, best0, best1, t0, t1, s0, s1):
    """A bound for the exponents of all sources s0 … s1, from G_y ≤ best at either edge: no source need be looked at."""
    bend = axis.kappa / q
    far0, far1 = max(abs(s0 - q * t0), abs(s1 - q * t0)), max(abs(s0 - q * t1), abs(s1 - q * t1))
    return min(best0 + bend * far0 * far0, best1 + bend * far1 * far1)


@lean
def fill_sources(axis, edges, r, y0, y1, q, left, right, work):
    """Sources s = left … right of line r, that of s at index s − left; return (level, tilt, certificate in bits)."""
    kappa, yc = axis.kappa, (y0 + y1) >> 1
    p0, p1 = edges.arg[r, y0], edges.arg[r, y1]
    first, stop, xc = edges.low[r, y0], edges.high[r, y1] + 1, (p0 + p1) >> 1
    D = np.float64(xc - yc - axis.reach)
    tilt, curl, bend = 2.0 * kappa * D, kappa * (q - 1.0), kappa * (1.0 - 1.0 / q)
    t0, t1 = np.float64(y0 - yc), np.float64(y1 - yc)
    # what the certified edges would be on the scale of the sources: the largest term of each
    edge0 = edges.best[r, y0] - t0 * (tilt + curl * t0)
    edge1 = edges.best[r, y1] - t1 * (tilt + curl * t1)
    level = ceiling(axis, q, edge0, edge1, t0, t1, np.float64(first - xc), np.float64(stop - 1 - xc))
    b, iota, row = work.b[r, first:stop], work.iota[first:stop], work.sources[r]
    begin, end = first - xc - left, stop - xc - left
    part = row[begin:end]
    ref = work.b[r, p0]  # not b[xc], which may lie in a void
    if min(edge0, edge1) - level < BITS_BEFORE:  # the bound is too crude; the maximum itself may do
        load_exponents(b, iota, xc, ref, tilt, bend, part)
        level = largest(part, work.lanes) + ref - kappa * D * D
    sure = min(edge0, edge1) - level
    if sure > BITS_BEFORE:
        load_exponentials(b, iota, xc, level + kappa * D * D, tilt, bend, part)
        row[:begin] = 0.0
        row[end : right - left + 1 + STEP] = 0.0
    return level, tilt, sure


@lean
def tile(axis, edges, y0, y1, work, out):
    """Outputs y0 … y1−1 of a group of lines; return the certificate in bits, −inf (nothing written) if it failed."""
    m, yc = y1 - y0, (y0 + y1) >> 1
    left, right, dx = work.iota.size, -work.iota.size, 0
    for r in range(GROUP):
        p0, p1 = edges.arg[r, y0], edges.arg[r, y1]
        left = min(left, edges.low[r, y0] - ((p0 + p1) >> 1))
        right = max(right, edges.high[r, y1] - ((p0 + p1) >> 1))
        dx += p1 - p0
    c = stretch_class(dx, GROUP * m)
    q = 2.0**c
    for r in range(GROUP):
        level, tilt, sure = fill_sources(axis, edges, r, y0, y1, q, left, right, work)
        if not sure > BITS_BEFORE:
            return -np.inf
        work.level[r, 0], work.level[r, 1] = level, tilt
    # sources beyond the limit, whose kernel vanishes, had to enter the maximum but need no product
    limit, middle = axis.limit[c + CLASSES], axis.middle[c + CLASSES]
    first, last = max(left, -limit), min(right, limit)
    if first > last:
        return -np.inf
    sources, starts = work.sources[:, first - left :], axis.starts[middle + first :]
    product(sources, starts, y0 - yc, last - first + 1, axis.table, work.acc, m)
    lowest = np.inf
    for r in range(GROUP):
        lowest = min(lowest, least(work.acc[r, :m], work.lanes))
    if not lowest > 2.0**BITS_AFTER:
        return -np.inf
    for r in range(GROUP):
        level, tilt = work.level[r, 0], work.level[r, 1]
        finish(work.acc[r], work.iota, np.float64(y0 - yc), level, tilt, axis.kappa * (q - 1.0), out[r, y0:y1])
    return log2(lowest)
