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

from ..domains import Array
from .bits import FLOOR, VOID, exp2, jit, log2
from .windows import TOLERANCE, edge, extend, is_concave

CLASSES = 6  # stretches 2^−6 … 2^6
BEFORE, AFTER = -900.0, -929.0  # certificates of a tile before and after its product, in bits
LANES = 8  # sources of one step of the product, lines of one transposed write
SPLITS, ROUGH, LOWEST, STEEPEST = range(4)  # slots of the statistics


class Pass(NamedTuple):
    """All that a pass along one axis needs to know; the stretched kernels lie in ``table``, class c = log2 q from base[c+6].

    For q ≥ 1 the class has q rows, row r holding k_q(qj − r); for q ≤ 1 it has one, holding k_q(q·j) in steps of q.
    Rows have length 2·half + 1, j = −half … half; sources beyond ``limit`` multiply zeros.
    """

    kappa: float
    reflect: bool
    reach: int
    block: int
    table: Array
    base: np.ndarray
    half: np.ndarray
    limit: np.ndarray


def reach_of(n: int, kappa: float, reflect: bool) -> int:
    """How far images can matter: the best one lies within half a period, one beyond the reach is 2^−T below it."""
    period = 2 * n if reflect else n
    return period // 2 + ceil((TOLERANCE + 1) / (2 * kappa * period)) + 2


def prepare(n: int, kappa: float, reflect: bool) -> Pass:
    """Tabulate the stretched kernels of one axis."""
    reach = reach_of(n, kappa, reflect)
    width = sqrt(80 / (2 * kappa * np.log(2)))
    block = 16 if width < 12 else 32 if width < 60 else 64 if width < 250 else 128
    rows, half, limit = [], [], []
    for c in range(-CLASSES, CLASSES + 1):
        values, h, s = _stretched(kappa, c, n + 2 * reach, block)
        rows.append(values)
        half.append(h)
        limit.append(s)
    base = np.cumsum([0] + [row.size for row in rows[:-1]])
    integers = (np.array(x, dtype=np.int64) for x in (base, half, limit))
    return Pass(kappa, reflect, reach, block, np.concatenate(rows), *integers)


def _stretched(kappa: float, c: int, span: int, block: int) -> tuple[Array, int, int]:
    """Table, half-length and source limit of the class q = 2^c."""
    q, step = 2.0**c, max(1, 2**c)
    unit = max(1.0, 2.0**-c)  # entries per source
    zero = sqrt(1010 * q / kappa) + q * block  # |s − qt| beyond which k_q(s − qt) is below every floor
    limit = min(span, ceil(zero) + 1)
    half = ceil(limit * unit / step) + block + LANES
    j = np.arange(-half, half + 1)
    r = np.arange(step)[:, None]
    offset = (step * j - r) if c >= 0 else q * j
    exponent = -kappa * np.asarray(offset, dtype=float) ** 2 / q
    return np.where(exponent > -1020, np.exp2(np.maximum(exponent, -1020)), 0.0).ravel(), half, limit


@jit
def product(sources, starts, count, table, acc, m):
    """acc[t] = Σᵢ sources[i]·table[starts[i] + t] for t < m, eight sources at a time."""
    for t in range(m):
        acc[t] = 0.0
    for i in range(0, count, 8):
        e0, e1, e2, e3 = sources[i], sources[i + 1], sources[i + 2], sources[i + 3]
        e4, e5, e6, e7 = sources[i + 4], sources[i + 5], sources[i + 6], sources[i + 7]
        # slices, because the wrap-around test of indices would block vectorisation
        k0 = table[starts[i] : starts[i] + m]
        k1 = table[starts[i + 1] : starts[i + 1] + m]
        k2 = table[starts[i + 2] : starts[i + 2] + m]
        k3 = table[starts[i + 3] : starts[i + 3] + m]
        k4 = table[starts[i + 4] : starts[i + 4] + m]
        k5 = table[starts[i + 5] : starts[i + 5] + m]
        k6 = table[starts[i + 6] : starts[i + 6] + m]
        k7 = table[starts[i + 7] : starts[i + 7] + m]
        for t in range(m):
            low = e0 * k0[t] + e1 * k1[t] + e2 * k2[t] + e3 * k3[t]
            acc[t] += low + (e4 * k4[t] + e5 * k5[t] + e6 * k6[t] + e7 * k7[t])


@jit
def stretch_class(dx, dy):
    """The class c with 2^c nearest to dx/dy in the logarithm, between −6 and 6."""
    c = -CLASSES
    while c < CLASSES and np.float64(dx) > np.float64(dy) * 2.0**c * 1.4142135623730951:
        c += 1
    return c


@jit
def kernel_starts(c, half, base, s, count, t, starts):
    """Where the kernel row of each source s, s+1, … begins, for outputs from t on."""
    if c < 0:
        p = 1 << -c
        for i in range(count):
            starts[i] = base + half + t - p * (s + i)
        return
    q = 1 << c
    row = 2 * half + 1
    b = s >> c
    r = s - (b << c)
    for i in range(count):
        starts[i] = base + r * row + half + t - b
        r += 1
        if r == q:
            r = 0
            b += 1


@jit
def tile(b, axis, y0, y1, first, last, p0, p1, best0, best1, sources, starts, acc, out):
    """Outputs y0 … y1−1 (all in the coordinates of ``b``); return the certificate in bits, −inf if it failed."""
    m = y1 - y0
    kappa = axis.kappa
    c = stretch_class(p1 - p0, m)
    q = 2.0**c
    yc, xc = (y0 + y1) >> 1, (p0 + p1) >> 1
    D = np.float64(xc - yc)
    count = last - first + 1
    ref = b[p0]  # not b[xc], which may lie in a void
    tilt, bend = 2.0 * kappa * D, kappa * (1.0 - 1.0 / q)
    top = VOID * 2
    s0 = np.float64(first - xc)
    window = b[first : last + 1]
    for i in range(count):
        s = s0 + np.float64(i)
        v = window[i] - ref - s * (tilt + bend * s)
        sources[i] = v
        top = v if v > top else top
    level = top + ref - kappa * D * D
    lift, curl = 2.0 * kappa * D, kappa * (q - 1.0)
    t0, t1 = np.float64(y0 - yc), np.float64(y1 - yc)
    sure = min(best0 - level - t0 * (lift + curl * t0), best1 - level - t1 * (lift + curl * t1))
    if sure < BEFORE:
        return -np.inf
    # sources beyond the limit, whose kernel vanishes, had to enter the maximum but need no product
    limit = axis.limit[c + CLASSES]
    skip = max(0, xc - limit - first)
    first, last = first + skip, min(last, xc + limit)
    count = last - first + 1
    if count < 1:
        return -np.inf
    padded = (count + LANES - 1) // LANES * LANES
    for i in range(count):
        v = sources[i + skip] - top
        sources[i] = exp2(v if v > FLOOR else FLOOR)
    kernel_starts(c, axis.half[c + CLASSES], axis.base[c + CLASSES], first - xc, count, y0 - yc, starts)
    for i in range(count, padded):
        sources[i] = 0.0
        starts[i] = starts[count - 1]
    product(sources, starts, padded, axis.table, acc, (m + LANES - 1) // LANES * LANES)
    lowest = acc[0]
    for t in range(m):
        lowest = acc[t] if acc[t] < lowest else lowest
    if not lowest > 2.0**AFTER:
        return -np.inf
    for i in range(m):
        t = t0 + np.float64(i)
        out[i] = log2(acc[i]) + level + t * (lift + curl * t)
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
def one_line(b, axis, n, low, arg, high, best, stack, sources, starts, acc, out, stats):
    """All outputs of one extended line: halve the outputs until they fit a tile and the tile is certified."""
    kappa, reach = axis.kappa, axis.reach
    concave = is_concave(b, kappa, reach, n)
    stats[ROUGH] += not concave
    low[0], arg[0], high[0], best[0] = edge(b, kappa, concave, reach, 0, 2 * reach)
    low[n], arg[n], high[n], best[n] = edge(b, kappa, concave, reach + n, low[0], n + 2 * reach)
    stack[0, 0], stack[0, 1] = 0, n
    depth = 1
    while depth > 0:
        depth -= 1
        y0, y1 = stack[depth, 0], stack[depth, 1]
        m = y1 - y0
        if m <= axis.block:
            bits = tile(
                b, axis, y0 + reach, y1 + reach, low[y0], high[y1], arg[y0], arg[y1], best[y0], best[y1],
                sources, starts, acc, out[y0:y1],
            )  # fmt: skip
            if bits > -np.inf:
                stats[LOWEST] = min(stats[LOWEST], bits)
                if concave:
                    slope = np.float64(max(1, arg[y1] - arg[y0])) / np.float64(m)
                    stats[STEEPEST] = max(stats[STEEPEST], slope, 1.0 / slope)
                continue
            stats[SPLITS] += 1
            if m == 1:
                out[y0] = single(b, kappa, y0 + reach, low[y0], high[y0], best[y0])
                continue
        ym = y0 + (m >> 1) if m <= 2 * LANES else y0 + ((m >> 1) + LANES - 1) // LANES * LANES
        low[ym], arg[ym], high[ym], best[ym] = edge(b, kappa, concave, ym + reach, low[y0], high[y1])
        stack[depth, 0], stack[depth, 1] = ym, y1
        stack[depth + 1, 0], stack[depth + 1, 1] = y0, ym
        depth += 2


@jit
def tile_lines(lines, r0, r1, scale, axis, scale_out, out, stats):
    """Lines r0 … r1−1 of (R, n) into columns of ``out`` (n, R): a cache line of outputs is written at a time."""
    n = lines.shape[1]
    span = n + 2 * axis.reach + 1
    b, sources, starts = np.empty(span), np.empty(span + LANES), np.empty(span + LANES, np.int64)
    low, arg, high = np.empty(n + 1, np.int64), np.empty(n + 1, np.int64), np.empty(n + 1, np.int64)
    best, acc, stack = np.empty(n + 1), np.empty(axis.block + LANES), np.empty((128, 2), np.int64)
    buffer = np.empty((LANES, n))
    for start in range(r0, r1, LANES):
        rows = min(LANES, r1 - start)
        for r in range(rows):
            top = extend(lines[start + r], scale, axis.reflect, axis.reach, b)
            if top <= VOID:
                buffer[r, :] = VOID
            else:
                one_line(b, axis, n, low, arg, high, best, stack, sources, starts, acc, buffer[r], stats)
        for y in range(n):
            target = out[y, start : start + rows]
            for r in range(rows):
                target[r] = buffer[r, y] * scale_out
