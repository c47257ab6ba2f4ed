"""Compiled passes of `soft`: windows, log-sums, conditional probabilities and their banded products, line by line.

Exponents are in nats, κ = h²/2ε; on a torus a line is continued by half a period (``before`` nodes) to each side.
"""

from __future__ import annotations

import numpy as np

from ...machine.exponentials import FLOOR, LOG2E, VOID, exp2, jit, part

EMPTY = 0.1 * VOID  # below: no mass


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
def find(lines, kappa, before, window, low, high, best):
    """Greatest term and window for each output y of each line."""
    rows, n = lines.shape
    e, hull = np.empty(2 * n), np.empty(2 * n, np.int64)
    for r in range(rows):
        span = _extended(lines[r], before, e)
        size = _corners(e, span, kappa, hull)
        if size == 0:  # no mass on the line: one entry, which no later pass will give any weight
            for y in range(n):
                low[r, y] = 0
                high[r, y] = 0
                best[r, y] = VOID
            continue
        _greatest(e, kappa, before, hull, size, best[r])
        k = 0
        for y in range(n):
            k = max(k, y) if before else k
            while e[k] - kappa * (k - before - y) ** 2 < best[r, y] - window:
                k += 1
            low[r, y] = k
        k = span - 1
        for y in range(n - 1, -1, -1):
            k = min(k, y + n - 1) if before else k
            while e[k] - kappa * (k - before - y) ** 2 < best[r, y] - window:
                k -= 1
            high[r, y] = k


@part
def _corners(e, span, kappa, hull):
    """Nodes whose parabola is somewhere the greatest: the upper hull of the points (k, e[k] − κk²), and their number."""
    size = 0
    for k in range(span):
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


@part
def _terms(e, low, start, best, kappa, before, first, terms):
    """exp(e[k] − κ(k − before − y)² − best[y]) for all windows of one line, from start[0] − ``first`` on."""
    for y in range(low.size):
        for i in range(start[y], start[y + 1]):
            k = low[y] + i - start[y]
            terms[i - first] = (e[k] - kappa * (k - before - y) ** 2 - best[y]) * LOG2E
    for i in range(start[0] - first, start[low.size] - first):
        terms[i] = exp2(max(terms[i], FLOOR))


@jit
def sums(lines, low, best, scale, start, kappa, before, kept, out):
    """S of each line, into the columns of ``out``; unless ``kept`` is empty the terms of all windows, and what makes their sums 1.

    ``scale`` may be ``best``.
    """
    rows, n = lines.shape
    keep, most = kept.size > 0, 0
    for r in range(rows):
        most = max(most, start[(r + 1) * n] - start[r * n])
    e, terms = np.empty(2 * n), np.empty(most)
    for r in range(rows):
        s = start[r * n : (r + 1) * n + 1]
        void = best[r, 0] < EMPTY
        if not void:
            _extended(lines[r], before, e)
            _terms(e, low[r], s, best[r], kappa, before, s[0], terms)
        for y in range(n):
            total = 0.0
            for i in range(s[y] - s[0], s[y + 1] - s[0]):
                total += terms[i]
            out[y, r] = VOID if void else best[r, y] + np.log(total)
            if keep:
                total = 0.0
                for i in range(s[y], s[y + 1]):
                    kept[i] = 1.0 if void else terms[i - s[0]]
                    total += kept[i]
                scale[r, y] = 1.0 / total


@jit
def gather(lines, low, scale, start, kappa, before, weights, power, out):
    """out[y, r] = Σ_x P(x|y) (x − y)^power lines[r, x], power 0, 1 or 2."""
    rows, n = lines.shape
    e = np.empty(2 * n)
    for r in range(rows):
        _extended(lines[r], before, e)
        for y in range(n):
            first, last = start[r * n + y], start[r * n + y + 1]
            k, total = low[r, y], 0.0
            if power == 0:
                for i in range(last - first):
                    total += weights[first + i] * e[k + i]
            else:
                for i in range(last - first):
                    d = k + i - before - y
                    total += weights[first + i] * e[k + i] * (d if power == 1 else d * d)
            out[y, r] = total * scale[r, y]


@jit
def scatter(z, low, scale, start, before, weights, power, out):
    """out[r, x] = Σ_y z[y, r] P(x|y) (x − y)^power, power 0, 1 or 2."""
    n, rows = z.shape
    e = np.empty(2 * n)
    for r in range(rows):
        for i in range(2 * n):
            e[i] = 0.0
        for y in range(n):
            first, last = start[r * n + y], start[r * n + y + 1]
            k, value = low[r, y], z[y, r] * scale[r, y]
            if power == 0:
                for i in range(last - first):
                    e[k + i] += weights[first + i] * value
            else:
                for i in range(last - first):
                    d = k + i - before - y
                    e[k + i] += weights[first + i] * value * (d if power == 1 else d * d)
        for i in range(n):
            out[r, i] = e[before + i]
        for i in range(before):
            out[r, n - before + i] += e[i]
        for i in range(n - before if before else 0):
            out[r, i] += e[before + n + i]
