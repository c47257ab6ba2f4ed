"""Log-sum-exp along lines by scaled matrix products: fast for large ε, and refused where it would be wrong.

For each line a, with m = max a, in bits,

    out[y] = m + log2 Σₓ K(x, y) 2^(a[x] − m) .

Terms below 2^−1000 are flushed, n of them at most.  So a sum is certified by being above 2^−900.  That is sure
beforehand if no a[x] lies more than 900 bits below the maximum, since K(0) ≥ 1; and it is looked at afterwards
in any case.  The same holds for the products of all axes together, with the maximum of the whole array: then the powers are
taken once and the logarithms once, and nothing is rounded to logarithms between the axes.
"""

from __future__ import annotations

import numpy as np

from ....machine.exponentials import CHUNK, FLOOR, LN2, LOG2E, VOID, exp2, exponentiate, jit, largest, lean, least, log2

SURE = 900.0  # bits of oscillation, or of smallness of a sum, up to which a matrix product is exact to round-off


@lean
def powers(h, top, out):
    """out = exp(h − top), flushed at 2^−1000."""
    for i in range(h.size):
        v = (h[i] - top) * LOG2E
        out[i] = exp2(v if v > FLOOR else FLOOR)


@lean
def logarithms(sums, top):
    """sums = top + log sums."""
    for i in range(sums.size):
        sums[i] = log2(sums[i]) * LN2 + top


@lean
def scale_lines(lines, r0, r1, scale, scaled, tops, lanes):
    """scaled = 2^(a − max a) for lines r0 … r1−1; stop and return False at the first that oscillates too much."""
    for r in range(r0, r1):
        line, target = lines[r], scaled[r - r0]
        for x in range(target.size):
            v = line[x] * scale
            target[x] = v if v > VOID else VOID
        top = largest(target, lanes)
        low = least(target, lanes)
        if low <= VOID:  # no mass is no oscillation: its absence is exact
            low = top
            for x in range(target.size):
                low = target[x] if VOID < target[x] < low else low
        if top - low > SURE:
            return False
        exponentiate(target, top)
        tops[r - r0] = top
    return True


@lean
def unscale_lines(sums, tops, scale, out, r0, lanes):
    """Columns r0 … of ``out``: scale·(max a + log2 of the sums); stop and return False at a sum too small to be certified."""
    for y in range(sums.shape[0]):
        row, target = sums[y], out[y, r0 : r0 + tops.size]
        if not least(row, lanes) > 2.0**-SURE:
            return False
        for r in range(tops.size):
            target[r] = (log2(row[r]) + tops[r]) * scale
    return True


@jit
def direct_lines(lines, r0, r1, scale, log_kernel, scale_out, out):
    """Lines r0 … r1−1 summed term by term against a log-kernel in bits: for wild data and ε too large for tiles."""
    n = lines.shape[1]
    a, terms, lanes = np.empty(n), np.empty(n), np.empty(CHUNK)
    for r in range(r0, r1):
        for x in range(n):
            v = lines[r, x] * scale
            a[x] = v if v > VOID else VOID
        for y in range(n):
            kernel = log_kernel[y]
            for x in range(n):
                terms[x] = a[x] + kernel[x]
            top = largest(terms, lanes)
            exponentiate(terms, top)
            total = 0.0
            for x in range(n):
                total += terms[x]
            out[y, r] = (top + log2(total)) * scale_out
