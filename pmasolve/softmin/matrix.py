"""Log-sum-exp along lines by scaled matrix products: fast for large ε, and refused where it would be wrong.

For each line a, with m = max a, in bits,

    out[y] = m + log2 Σₓ K(x, y) 2^(a[x] − m) .

Terms below 2^−1000 are flushed, n of them at most.  So a sum is certified by being above 2^−900.  That is sure beforehand if
no a[x] lies more than 900 bits below the maximum, since K(0) ≥ 1; and it is looked at afterwards in any case.
"""

from __future__ import annotations

import numpy as np

from .bits import FLOOR, VOID, exp2, jit, log2

SURE = 900.0  # bits of oscillation, or of smallness of a sum, up to which a matrix product is exact to round-off


@jit
def scale_lines(lines, r0, r1, scale, scaled, tops):
    """scaled = 2^(a − max a) for lines r0 … r1−1; return the largest oscillation, in bits, of those that carry mass."""
    n = lines.shape[1]
    worst = 0.0
    for r in range(r0, r1):
        line, target = lines[r], scaled[r - r0]
        top, low = VOID, -VOID
        for x in range(n):
            v = line[x] * scale
            v = v if v > VOID else VOID
            top = v if v > top else top
            v = v if v > VOID else -VOID  # no mass is no oscillation: its absence is exact
            low = v if v < low else low
            target[x] = line[x] * scale
        for x in range(n):
            v = target[x]
            v = (v if v > VOID else VOID) - top
            target[x] = exp2(v if v > FLOOR else FLOOR)
        tops[r - r0] = top
        worst = top - low if top - low > worst else worst
    return worst


@jit
def smallest(sums):
    """The smallest entry of (n, R), zero included."""
    least = np.inf
    for y in range(sums.shape[0]):
        row = sums[y]
        for r in range(row.size):
            least = row[r] if row[r] < least else least
    return least


@jit
def unscale_lines(sums, tops, scale, out, r0):
    """Columns r0 … of ``out``: scale·(max a + log2 of the sums)."""
    for y in range(sums.shape[0]):
        row, target = sums[y], out[y, r0 : r0 + tops.size]
        for r in range(tops.size):
            target[r] = (log2(row[r]) + tops[r]) * scale


@jit
def direct_lines(lines, r0, r1, scale, log_kernel, scale_out, out):
    """Lines r0 … r1−1 summed term by term against a log-kernel in bits: for wild data and ε beyond the reach of tiles."""
    n = lines.shape[1]
    a, terms = np.empty(n), np.empty(n)
    for r in range(r0, r1):
        for x in range(n):
            v = lines[r, x] * scale
            a[x] = v if v > VOID else VOID
        for y in range(n):
            kernel = log_kernel[y]
            top = VOID * 2
            for x in range(n):
                v = a[x] + kernel[x]
                terms[x] = v
                top = v if v > top else top
            total = 0.0
            for x in range(n):
                v = terms[x] - top
                total += exp2(v if v > FLOOR else FLOOR)
            out[y, r] = (top + log2(total)) * scale_out
