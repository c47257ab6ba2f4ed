"""Log-sum-exp along lines by quadratically re-centred tiles: safe for any data, fast for small ε.

One pass computes, for every line a of n nodes and κ = h²/(2ε ln 2), in bits,

    out[y] = log2 Σₓ 2^(a[x] − κ(x−y)²)        (x over all images of the nodes).

A tile is a block of outputs y = y_c + t with the window of sources x = x_c + s that ``windows`` certifies.  With D = x_c − y_c
and the stretch q = Δx/Δy of the edges' argmaxes, rounded to a power of two,

    −κ(D+s−t)² = −κD² + 2κDt + κ(q−1)t²  −  2κDs − κ(1−1/q)s²  −  κ(s−qt)²/q ,

so that the sources E[s] are nearly flat, the first three terms come back after the logarithm, and what is left is the short
product Σₛ E[s] k_q(s−qt) with a tabulated Gaussian k_q.  Its sums are certified to lie above 2^−929 while all that was
flushed lies below 2^−1000; a tile that fails is halved, and one single output is summed directly: no sum is ever lost.
"""

from __future__ import annotations

from math import ceil, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..domains import Array
from .bits import CHUNK, FLOOR, exp2, jit, largest, least, log2
from .windows import TOLERANCE, edge, extend, is_concave

CLASSES = 6  # stretches 2^−6 … 2^6
BEFORE, AFTER = -900.0, -929.0  # certificates of a tile before and after its product, in bits
Integers = NDArray[np.int64]

GROUP = 4  # lines that share the loads of a kernel row
STEP = 4  # sources of one step of the product
LANES = 8  # outputs are padded to, and lines written, a cache line at a time
SPLITS, ROUGH, LOWEST, STEEPEST = range(4)  # slots of the statistics


class Pass(NamedTuple):
    """All that a pass along one axis needs to know.

    The stretched kernels lie in ``table``, row by row.  For q ≥ 1 a class has q rows, row r holding k_q(qj − r); for q ≤ 1
    it has one, holding k_q(q·j).  The row of source s begins, for output 0, at starts[middle[c+6] + s], |s| ≤ limit[c+6];
    sources beyond multiply zeros.
    """

    kappa: float
    reflect: bool
    reach: int
    block: int
    table: Array
    starts: Integers
    middle: Integers
    limit: Integers


class Edges(NamedTuple):
    """Edges of a group of lines, shape (GROUP, n+1): window, argmax and maximum of G_y, see ``windows``."""

    low: Integers
    arg: Integers
    high: Integers
    best: Array


class Scratch(NamedTuple):
    """Space for one group of lines."""

    b: Array
    iota: Array
    g: Array
    lanes: Array
    sources: Array
    acc: Array
    level: Array
    stack: Integers


def reach_of(n: int, kappa: float, reflect: bool) -> int:
    """How far images can matter: the best one lies within half a period, one beyond the reach is 2^−T below it."""
    period = 2 * n if reflect else n
    return period // 2 + ceil((TOLERANCE + 1) / (2 * kappa * period)) + 2


def block_of(kappa: float) -> int:
    """Outputs of a tile, from the half-width (in nodes) of the kernel above e^−80: measured optimum."""
    width = sqrt(80 / (2 * kappa * np.log(2)))
    return 32 if width < 20 else 64 if width < 60 else 128


def prepare(n: int, kappa: float, reflect: bool) -> Pass:
    """Tabulate the stretched kernels of one axis."""
    reach = reach_of(n, kappa, reflect)
    block = block_of(kappa)
    tables, starts, limits, size = [], [], [], 0
    for c in range(-CLASSES, CLASSES + 1):
        table, offsets = _stretched(kappa, c, n + 2 * reach, block)
        tables.append(table)
        starts.append(offsets + size)
        limits.append((offsets.size - STEP) // 2)
        size += table.size
    limit = np.array(limits, dtype=np.int64)
    middle = np.cumsum(2 * limit + STEP) - limit - STEP
    return Pass(kappa, reflect, reach, block, np.concatenate(tables), np.concatenate(starts), middle, limit)


def _stretched(kappa: float, c: int, span: int, block: int) -> tuple[Array, Integers]:
    """Table of the class q = 2^c, and where in it the row of each source s = −limit … limit begins for output 0."""
    q, p = max(1, 2**c), max(1, 2**-c)
    zero = sqrt(1010 * 2.0**c / kappa) + 2.0**c * block  # |s − qt| beyond which k_q(s − qt) is below every floor
    limit = min(span, ceil(zero) + 1)
    half = (limit + STEP) * p // q + block + LANES
    j, r = np.arange(-half, half + 1), np.arange(q)[:, None]
    exponent = -kappa * ((q * j - r) / p) ** 2 / 2.0**c
    s = np.arange(-limit, limit + STEP)
    starts = (s % q) * j.size + half - p * (s // q)
    return np.where(exponent > -1020, np.exp2(np.maximum(exponent, -1020)), 0.0).ravel(), starts


@jit
def product(sources, starts, shift, count, table, acc, m):
    """acc[l, t] = Σᵢ sources[l, i]·table[starts[i] + shift + t] for t < m; four sources and four lines share their loads."""
    acc0, acc1, acc2, acc3 = acc[0, :m], acc[1, :m], acc[2, :m], acc[3, :m]
    for t in range(m):
        acc0[t] = 0.0
        acc1[t] = 0.0
        acc2[t] = 0.0
        acc3[t] = 0.0
    E0, E1, E2, E3 = sources[0], sources[1], sources[2], sources[3]
    for i in range(0, count, STEP):
        a0, a1, a2, a3 = E0[i], E0[i + 1], E0[i + 2], E0[i + 3]
        b0, b1, b2, b3 = E1[i], E1[i + 1], E1[i + 2], E1[i + 3]
        c0, c1, c2, c3 = E2[i], E2[i + 1], E2[i + 2], E2[i + 3]
        d0, d1, d2, d3 = E3[i], E3[i + 1], E3[i + 2], E3[i + 3]
        # slices, because the wrap-around test of indices would block vectorisation
        j0, j1, j2, j3 = starts[i] + shift, starts[i + 1] + shift, starts[i + 2] + shift, starts[i + 3] + shift
        k0, k1, k2, k3 = table[j0 : j0 + m], table[j1 : j1 + m], table[j2 : j2 + m], table[j3 : j3 + m]
        for t in range(m):
            v0, v1, v2, v3 = k0[t], k1[t], k2[t], k3[t]
            acc0[t] += a0 * v0 + a1 * v1 + a2 * v2 + a3 * v3
            acc1[t] += b0 * v0 + b1 * v1 + b2 * v2 + b3 * v3
            acc2[t] += c0 * v0 + c1 * v1 + c2 * v2 + c3 * v3
            acc3[t] += d0 * v0 + d1 * v1 + d2 * v2 + d3 * v3


@jit
def stretch_class(dx, dy):
    """The class c with 2^c nearest to dx/dy in the logarithm, between −6 and 6."""
    c = -CLASSES
    while c < CLASSES and np.float64(dx) > np.float64(dy) * 2.0**c * 1.4142135623730951:
        c += 1
    return c


@jit
def load(b, iota, xc, ref, tilt, bend, row):
    """row[i] = b[i] − ref − s·(tilt + bend·s), s = iota[i] − x_c: the exponents of the re-centred sources."""
    centre = np.float64(xc)
    for i in range(row.size):
        s = iota[i] - centre
        row[i] = b[i] - ref - s * (tilt + bend * s)


@jit
def load_exponentials(b, iota, xc, ref, tilt, bend, row):
    """row = 2^(what ``load`` gives), flushed at 2^−1000."""
    centre = np.float64(xc)
    for i in range(row.size):
        s = iota[i] - centre
        v = b[i] - ref - s * (tilt + bend * s)
        row[i] = exp2(v if v > FLOOR else FLOOR)


@jit
def finish(sums, iota, t0, level, tilt, curl, out):
    """out[t] = log2 sums[t] + level + tilt·t + curl·t²."""
    for i in range(out.size):
        t = t0 + iota[i]
        out[i] = log2(sums[i]) + level + t * (tilt + curl * t)


@jit
def ceiling(axis, q, best0, best1, t0, t1, s0, s1):
    """A bound for the exponents of all sources s0 … s1, from G_y ≤ best at either edge: no source need be looked at."""
    bend = axis.kappa / q
    far0, far1 = max(abs(s0 - q * t0), abs(s1 - q * t0)), max(abs(s0 - q * t1), abs(s1 - q * t1))
    return min(best0 + bend * far0 * far0, best1 + bend * far1 * far1)


@jit
def fill_sources(axis, edges, r, y0, y1, q, left, right, work):
    """Sources s = left … right of line r, that of s at index s − left; return (level, tilt, can every sum be certified?)."""
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
    if min(edge0, edge1) - level < BEFORE:  # the bound is too crude; the maximum itself may do
        load(b, iota, xc, ref, tilt, bend, part)
        level = largest(part, work.lanes) + ref - kappa * D * D
    sure = min(edge0, edge1) - level
    if sure > BEFORE:
        load_exponentials(b, iota, xc, level + kappa * D * D, tilt, bend, part)
        row[:begin] = 0.0
        row[end : right - left + 1 + STEP] = 0.0
    return level, tilt, sure


@jit
def tile(axis, edges, y0, y1, work, out):
    """Outputs y0 … y1−1 of a group of lines into the columns of ``out``; return the certificate in bits, −inf if it failed."""
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
        if not sure > BEFORE:
            return -np.inf
        work.level[r, 0], work.level[r, 1] = level, tilt
    # sources beyond the limit, whose kernel vanishes, had to enter the maximum but need no product
    limit, middle = axis.limit[c + CLASSES], axis.middle[c + CLASSES]
    first, last = max(left, -limit), min(right, limit)
    if first > last:
        return -np.inf
    sources, starts = work.sources[:, first - left :], axis.starts[middle + first :]
    padded = (m + LANES - 1) // LANES * LANES
    product(sources, starts, y0 - yc, last - first + 1, axis.table, work.acc, padded)
    lowest = np.inf
    for r in range(GROUP):
        lowest = min(lowest, least(work.acc[r, :m], work.lanes))
    if not lowest > 2.0**AFTER:
        return -np.inf
    for r in range(GROUP):
        level, tilt = work.level[r, 0], work.level[r, 1]
        finish(work.acc[r], work.iota, np.float64(y0 - yc), level, tilt, axis.kappa * (q - 1.0), out[r, y0:y1])
    return log2(lowest)


@jit
def single(b, kappa, y, first, last, best):
    """One output summed directly, shifted by its largest term."""
    total = 0.0
    for x in range(first, last + 1):
        d = np.float64(x - y)
        v = b[x] - kappa * d * d - best
        total += exp2(v if v > FLOOR else FLOOR)
    return best + log2(total)


@jit
def put_edge(axis, edges, concave, r, y, first, p0, p1, last, work):
    """Edge y of line r, its argmax in p0 … p1 and its window in first … last."""
    first, p, last, best = edge(
        work.b[r], work.iota, axis.kappa, concave[r], y + axis.reach, first, p0, p1, last, work.g, work.lanes
    )
    edges.low[r, y], edges.arg[r, y], edges.high[r, y], edges.best[r, y] = first, p, last, best


@jit
def new_edge(axis, edges, concave, n, y0, y, y1, work):
    """Edge y of the group from those on both sides; edge 0 from nothing, edge n as its image or, between walls, above it."""
    for r in range(GROUP):
        first, p0 = (edges.low[r, y0], edges.arg[r, y0]) if y > 0 else (0, 0)
        p1, last = n + 2 * axis.reach, n + 2 * axis.reach
        if y == 0:
            p1, last = 2 * axis.reach, 2 * axis.reach
        elif y < n:
            p1, last = edges.arg[r, y1], edges.high[r, y1]
        if y == n and not axis.reflect:
            edges.low[r, n], edges.arg[r, n] = first + n, p0 + n
            edges.high[r, n], edges.best[r, n] = edges.high[r, 0] + n, edges.best[r, 0]
        else:
            put_edge(axis, edges, concave, r, y, first, p0, p1, last, work)


@jit
def note(edges, concave, y0, y1, bits, stats):
    """Keep the least certificate, and the largest of φ'' and 1/φ'' seen by the edges of smooth lines."""
    stats[LOWEST] = min(stats[LOWEST], bits)
    for r in range(GROUP):
        if concave[r]:
            slope = np.float64(max(1, edges.arg[r, y1] - edges.arg[r, y0])) / np.float64(y1 - y0)
            stats[STEEPEST] = max(stats[STEEPEST], slope, 1.0 / slope)


@jit
def one_group(axis, edges, n, work, concave, out, stats):
    """All outputs of a group of extended lines: halve the outputs until they fit a tile and the tile is certified."""
    stack, depth = work.stack, 1
    stack[0, 0], stack[0, 1] = 0, n
    for y in (0, n):
        new_edge(axis, edges, concave, n, 0, y, y, work)
    while depth > 0:
        depth -= 1
        y0, y1 = stack[depth, 0], stack[depth, 1]
        m = y1 - y0
        if m <= axis.block:
            bits = tile(axis, edges, y0, y1, work, out)
            if bits > -np.inf:
                note(edges, concave, y0, y1, bits, stats)
                continue
            stats[SPLITS] += 1
            if m == 1:
                for r in range(GROUP):
                    low, high, best = edges.low[r, y0], edges.high[r, y0], edges.best[r, y0]
                    out[r, y0] = single(work.b[r], axis.kappa, y0 + axis.reach, low, high, best)
                continue
        ym = y0 + (m >> 1) if m <= 2 * LANES else y0 + ((m >> 1) + LANES - 1) // LANES * LANES
        new_edge(axis, edges, concave, n, y0, ym, y1, work)
        stack[depth, 0], stack[depth, 1] = ym, y1
        stack[depth + 1, 0], stack[depth + 1, 1] = y0, ym
        depth += 2


@jit
def space(n, axis):
    """Edges and scratch of one thread."""
    span = n + 2 * axis.reach + 1
    shape = (GROUP, n + 1)
    edges = Edges(np.empty(shape, np.int64), np.empty(shape, np.int64), np.empty(shape, np.int64), np.empty(shape))
    work = Scratch(
        np.empty((GROUP, span)), np.empty(span + axis.block), np.empty(span + CHUNK), np.empty(CHUNK),
        np.empty((GROUP, 2 * span + STEP)), np.empty((GROUP, axis.block + LANES)), np.empty((GROUP, 2)),
        np.empty((128, 2), np.int64),
    )  # fmt: skip
    for i in range(work.iota.size):
        work.iota[i] = np.float64(i)
    return edges, work


@jit
def tile_lines(lines, r0, r1, scale, axis, scale_out, out, stats):
    """Lines r0 … r1−1 of (R, n) into columns of ``out`` (n, R): a cache line of outputs is written at a time."""
    n = lines.shape[1]
    edges, work = space(n, axis)
    concave, buffer = np.empty(GROUP, np.bool_), np.empty((LANES, n))
    for start in range(r0, r1, LANES):
        rows = min(LANES, r1 - start)
        for group in range(0, rows, GROUP):
            for r in range(GROUP):  # an incomplete group repeats the last line
                extend(lines[min(start + group + r, r1 - 1)], scale, axis.reflect, axis.reach, work.b[r])
                concave[r] = is_concave(work.b[r], axis.kappa, axis.reach, n)
                stats[ROUGH] += not concave[r] and group + r < rows
            one_group(axis, edges, n, work, concave, buffer[group : group + GROUP], stats)
        for y in range(n):
            target = out[y, start : start + rows]
            for r in range(rows):
                target[r] = buffer[r, y] * scale_out
