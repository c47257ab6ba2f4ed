"""Compiled passes of `soft`: windows, log-sums, conditional probabilities and their banded products, line by line.

`WINDOW_LANES` neighbouring outputs have one window, which holds those of each of them, and their weights lie side by side: one load
of a node serves them all, and they are worked out at once.  Columns of results are written CACHE_LINE at a time, since those of a
grid lie a power of two apart.

Exponents are in nats, κ = h²/2ε; on a torus a line is continued by half a period (``before`` nodes) to each side.
"""

from __future__ import annotations

import numpy as np

from ...machine.exponentials import LN2, LOG2E, VOID, jit, lean, log2, part, power

EMPTY = 0.1 * VOID  # below: no mass
WINDOW_LANES = 4  # outputs that have one window
CACHE_LINE = 8  # numbers
LOWEST_EXPONENT = -200.0  # exponents below are raised to it: 2^t is 0 from −126 on, in float64 far below every window


@part
def _extended(line, before, buffer):
    """The line at the nodes −before … n − 1 + n − before on a torus, itself in a box; the number of nodes."""
    n = line.size
    for i in range(n):  # not by slices: what numba compiles for them takes longer than all of the rest
        buffer[before + i] = line[i]
    if before == 0:
        return n
    for i in range(before):
        buffer[i] = line[n - before + i]
    for i in range(n - before):
        buffer[before + n + i] = line[i]
    return 2 * n


@jit
def find(lines, kappa, before, window, low, width, best):
    """Greatest term for each output y of each line; first node and number of nodes of the window of WINDOW_LANES of them."""
    rows, n = lines.shape
    e, hull = np.empty(2 * n), np.empty(2 * n, np.int64)
    for r in range(rows):
        span = _extended(lines[r], before, e)
        size = _corners(e, span, kappa, before, hull)
        if size == 0:  # no mass on the line: one entry, which no later pass will give any weight
            for b in range(low.shape[1]):
                low[r, b] = 0
                width[r, b] = 1
            for y in range(n):
                best[r, y] = VOID
            continue
        _greatest(e, kappa, before, hull, size, best[r])
        k = 0
        for b in range(low.shape[1]):
            y = b * WINDOW_LANES
            k = max(k, y) if before else k
            while e[k] - kappa * (k - before - y) ** 2 < best[r, y] - window:
                k += 1
            low[r, b] = k
        k = span - 1
        for b in range(low.shape[1] - 1, -1, -1):
            y = min(b * WINDOW_LANES + WINDOW_LANES, n) - 1
            k = min(k, y + n - 1) if before else k
            while e[k] - kappa * (k - before - y) ** 2 < best[r, y] - window:
                k -= 1
            width[r, b] = k + 1 - low[r, b]


@part
def _corners(e, span, kappa, before, hull):
    """Nodes whose parabola is somewhere the greatest: the upper hull of the points (k, e[k] − κk²), and their number.

    On a torus those of one period are enough, from the one on that is the greatest at y = 0.
    """
    first, last = 0, span
    if before:
        for k in range(1, span // 2):
            if e[k] - kappa * (k - before) ** 2 > e[first] - kappa * (first - before) ** 2:
                first = k
        last = first + span // 2 + 1
    size = 0
    for k in range(first, last):
        if e[k] < EMPTY:
            continue
        v = e[k] - kappa * k * k
        while size >= 2:
            p, r = hull[size - 1], hull[size - 2]
            vp, vr = e[p] - kappa * p * p, e[r] - kappa * r * r
            if (v - vp) * (p - r) < (vp - vr) * (k - p):
                break
            size -= 1
        hull[size] = k
        size += 1
    return size


@part
def _greatest(e, kappa, before, hull, size, best):
    """max_k e[k] − κ(k − before − y)² for each y, along the hull."""
    i = 0
    for y in range(best.size):
        here = e[hull[i]] - kappa * (hull[i] - before - y) ** 2
        while i + 1 < size:
            following = e[hull[i + 1]] - kappa * (hull[i + 1] - before - y) ** 2
            if following < here:
                break
            here = following
            i += 1
        best[y] = here


@lean
def _terms(e, low, start, best, kappa, before, terms):
    """2^(e[k] − κ(k − before − y)² − best[y]), all in bits, for the windows of one line; e and best of period n on a torus."""
    n = e.size // 2
    for b in range(low.size):
        y, k, s, m = b * WINDOW_LANES, low[b], start[b] - start[0], (start[b + 1] - start[b]) // WINDOW_LANES
        v, t, d0 = e[k : k + m], terms[s : s + WINDOW_LANES * m], float(k - before - y)
        b0, b1, b2, b3 = best[y], best[y + 1], best[y + 2], best[y + 3]
        for i in range(m):
            d = d0 + i
            t[4 * i] = max(v[i] - b0 - kappa * (d * d), LOWEST_EXPONENT)
            t[4 * i + 1] = max(v[i] - b1 - kappa * ((d - 1.0) * (d - 1.0)), LOWEST_EXPONENT)
            t[4 * i + 2] = max(v[i] - b2 - kappa * ((d - 2.0) * (d - 2.0)), LOWEST_EXPONENT)
            t[4 * i + 3] = max(v[i] - b3 - kappa * ((d - 3.0) * (d - 3.0)), LOWEST_EXPONENT)
        if before and (k < y + WINDOW_LANES - 1 or k + m > y + n):  # no image twice
            for lane in range(WINDOW_LANES):
                for i in range(m):
                    if k + i < y + lane or k + i >= y + lane + n:
                        t[WINDOW_LANES * i + lane] = LOWEST_EXPONENT
    for i in range(start[low.size] - start[0]):
        terms[i] = power(terms[i])


@lean
def _totals(terms, start, totals):
    """Sums of the terms of each output."""
    for b in range(start.size - 1):
        t = terms[start[b] - start[0] : start[b + 1] - start[0]]
        s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
        for i in range(t.size // WINDOW_LANES):
            s0 += t[4 * i]
            s1 += t[4 * i + 1]
            s2 += t[4 * i + 2]
            s3 += t[4 * i + 3]
        totals[4 * b], totals[4 * b + 1], totals[4 * b + 2], totals[4 * b + 3] = s0, s1, s2, s3


@jit
def sums(lines, low, best, scale, start, kappa, before, kept, out):
    """S of each line, into the columns of ``out``; unless ``kept`` is empty the terms of all windows, and what makes their sums 1.

    ``scale`` may be ``best``.  The terms are of the type of ``kept``, float32 or float64.
    """
    rows, n = lines.shape
    keep, most, count = kept.size > 0, 0, low.shape[1]
    for r in range(rows):
        most = max(most, start[(r + 1) * count] - start[r * count])
    e, terms, top = np.empty(2 * n), np.empty(0 if keep else most, kept.dtype), np.empty(WINDOW_LANES * count)
    totals, found = np.empty(WINDOW_LANES * count), np.empty((CACHE_LINE, n))
    for r in range(rows):
        s = start[r * count : (r + 1) * count + 1]
        room = kept[s[0] : s[count]] if keep else terms
        if best[r, 0] < EMPTY:
            for i in range(s[count] - s[0]):
                room[i] = 1.0
            _totals(room, s, totals)
            for y in range(n):
                found[r % CACHE_LINE, y] = VOID
        else:
            span = _extended(lines[r], before, e)
            for i in range(span):
                e[i] *= LOG2E
            for y in range(WINDOW_LANES * count):
                top[y] = best[r, min(y, n - 1)] * LOG2E
            _terms(e, low[r], s, top, kappa * LOG2E, before, room)
            _totals(room, s, totals)
            for y in range(n):
                found[r % CACHE_LINE, y] = best[r, y] + LN2 * log2(totals[y])
        if keep:
            for y in range(n):
                scale[r, y] = 1.0 / totals[y]
        if (r + 1) % CACHE_LINE == 0 or r + 1 == rows:
            _written(found, r - r % CACHE_LINE, r % CACHE_LINE + 1, out)


@part
def _written(found, first, count, out):
    """The lines found, into columns."""
    for y in range(out.shape[0]):
        for i in range(count):
            out[y, first + i] = found[i, y]


@jit
def gather(lines, low, scale, start, kappa, before, weights, power, out):
    """out[y, r] = Σ_x P(x|y) (x − y)^power lines[r, x], power 0, 1 or 2."""
    rows, n = lines.shape
    count = low.shape[1]
    e, found, line = np.empty(2 * n), np.empty((CACHE_LINE, n)), np.empty(WINDOW_LANES * count)
    for r in range(rows):
        _extended(lines[r], before, e)
        _gathered(e, low[r], start[r * count : (r + 1) * count + 1], before, weights, power, line)
        for y in range(n):
            found[r % CACHE_LINE, y] = line[y] * scale[r, y]
        if (r + 1) % CACHE_LINE == 0 or r + 1 == rows:
            _written(found, r - r % CACHE_LINE, r % CACHE_LINE + 1, out)


@lean
def _gathered(e, low, start, before, weights, power, out):
    """One line of `gather`, weights as they are."""
    for b in range(low.size):
        k, m = low[b], (start[b + 1] - start[b]) // WINDOW_LANES
        v, w, d = e[k : k + m], weights[start[b] : start[b + 1]], float(k - before - WINDOW_LANES * b)
        s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
        if power == 0:
            for i in range(m):
                s0 += w[4 * i] * v[i]
                s1 += w[4 * i + 1] * v[i]
                s2 += w[4 * i + 2] * v[i]
                s3 += w[4 * i + 3] * v[i]
        elif power == 1:
            for i in range(m):
                s0 += w[4 * i] * (v[i] * (d + i))
                s1 += w[4 * i + 1] * (v[i] * (d + i - 1.0))
                s2 += w[4 * i + 2] * (v[i] * (d + i - 2.0))
                s3 += w[4 * i + 3] * (v[i] * (d + i - 3.0))
        else:
            for i in range(m):
                s0 += w[4 * i] * (v[i] * (d + i) ** 2)
                s1 += w[4 * i + 1] * (v[i] * (d + i - 1.0) ** 2)
                s2 += w[4 * i + 2] * (v[i] * (d + i - 2.0) ** 2)
                s3 += w[4 * i + 3] * (v[i] * (d + i - 3.0) ** 2)
        out[4 * b], out[4 * b + 1], out[4 * b + 2], out[4 * b + 3] = s0, s1, s2, s3


@jit
def scatter(z, low, scale, start, before, weights, power, out):
    """out[r, x] = Σ_y z[y, r] P(x|y) (x − y)^power, power 0, 1 or 2."""
    n, rows = z.shape
    count = low.shape[1]
    e, given, line = np.empty(2 * n), np.empty((CACHE_LINE, n)), np.zeros(WINDOW_LANES * count)
    for r in range(rows):
        if r % CACHE_LINE == 0:
            for y in range(n):
                for i in range(min(CACHE_LINE, rows - r)):
                    given[i, y] = z[y, r + i]
        for y in range(n):
            line[y] = given[r % CACHE_LINE, y] * scale[r, y]
        for i in range(2 * n):
            e[i] = 0.0
        _scattered(line, low[r], start[r * count : (r + 1) * count + 1], before, weights, power, e)
        for i in range(n):
            out[r, i] = e[before + i]
        for i in range(before):
            out[r, n - before + i] += e[i]
        for i in range(n - before if before else 0):
            out[r, i] += e[before + n + i]


@lean
def _scattered(z, low, start, before, weights, power, e):
    """One line of `scatter`, weights as they are."""
    for b in range(low.size):
        k, m = low[b], (start[b + 1] - start[b]) // WINDOW_LANES
        v, w, d = e[k : k + m], weights[start[b] : start[b + 1]], float(k - before - WINDOW_LANES * b)
        z0, z1, z2, z3 = z[4 * b], z[4 * b + 1], z[4 * b + 2], z[4 * b + 3]
        if power == 0:
            for i in range(m):
                v[i] += w[4 * i] * z0 + w[4 * i + 1] * z1 + (w[4 * i + 2] * z2 + w[4 * i + 3] * z3)
        elif power == 1:
            for i in range(m):
                total = w[4 * i] * z0 * (d + i) + w[4 * i + 1] * z1 * (d + i - 1.0)
                v[i] += total + w[4 * i + 2] * z2 * (d + i - 2.0) + w[4 * i + 3] * z3 * (d + i - 3.0)
        else:
            for i in range(m):
                total = w[4 * i] * z0 * (d + i) ** 2 + w[4 * i + 1] * z1 * (d + i - 1.0) ** 2
                v[i] += total + w[4 * i + 2] * z2 * (d + i - 2.0) ** 2 + w[4 * i + 3] * z3 * (d + i - 3.0) ** 2
