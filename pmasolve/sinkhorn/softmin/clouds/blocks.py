"""The compiled loops of the engine ``Blockwise``: log-sums of Gaussians, block of sources by tile of targets.

Writing c = 1/2ε, a pair contributes exp(h − c|x−y|²).  For a tile of targets y = y₀ + δ and a block of sources of
centre x̄ and radius ρ one maximum M = max(h − c|x−y₀|²), taken at x*, tells two things about every target of the tile:

    below:  L(y) = h* − c|x*−y|²  is one of the terms, so the shift L never underflows the sum;
    above:  h − c|x−y|² ≤ M + 2c(x̄−y₀)·δ + 2cρ|δ| − c|δ|²  for all x of the block.

Blocks whose upper bound lies ``cut`` below L are skipped, with a relative error below n·exp(−cut); where the two
bounds differ by more than ``GAP``, the exact maximum replaces L.  So no term overflows and none is lost: the sums are
safe without a running maximum, and the cost falls with ε as the plan concentrates.
"""

from __future__ import annotations

from math import log, sqrt
from typing import NamedTuple

import numpy as np
from numba import njit

from ....machine.arrays import Array
from ....machine.compiling import inner
from ....machine.exponentials import exp

TILE = 32  # targets that share their bounds
BLOCK = 256  # sources that share a bound; their distances stay in the first-level cache
GAP = 600.0  # nats: exp(600)·n stays far below overflow

# Only flags that cannot change the rounding of the reduction r = t − k·log 2; "reassoc" would cancel its magic constant
PLAIN_MATH = {"contract", "nnan", "nsz"}
SUMMING = {"contract", "nnan", "nsz", "reassoc"}


class Blocks(NamedTuple):
    """Points as (dim, n), in an order that keeps neighbours together, and the boxes around runs of them."""

    points: Array
    centres: Array  # (count, dim)
    halves: Array  # (count, dim): half the sides of the bounding boxes
    radii: Array  # (count,): largest distance from the centre


class Sums(NamedTuple):
    """What is summed: exp(h[i] − c|x[i] − g·y[k]|²) over the sources x and the images g·y = σ∘y + s, for each target y."""

    source: Blocks
    h: Array
    tops: Array  # the greatest h of each run of sources that share a bound
    target: Blocks
    signs: Array  # σ, (images, dim)
    shifts: Array  # s
    c: float
    cut: float  # nats below a term of a sum at which others do not matter


@inner(fastmath=PLAIN_MATH)
def square_distances(x, start, y, k, out):
    """out[i] = |x[:, start+i] − y[:, k]|²."""
    for j in range(x.shape[0]):
        coordinate, row = y[j, k], x[j, start : start + out.shape[0]]
        if j == 0:
            for i in range(out.shape[0]):
                out[i] = (row[i] - coordinate) * (row[i] - coordinate)
        else:
            for i in range(out.shape[0]):
                out[i] += (row[i] - coordinate) * (row[i] - coordinate)


@inner(fastmath=SUMMING)
def shifted_sum(h, squares, c, shift):
    """Σ exp(h − shift − c·squares)."""
    total = 0.0
    for i in range(h.shape[0]):
        total += exp((h[i] - shift) - c * squares[i])
    return total


@inner(fastmath=PLAIN_MATH)
def peak(h, squares, c):
    """Turn ``squares`` into h − c·squares and return its maximum."""
    best = -np.inf
    for i in range(h.shape[0]):
        squares[i] = h[i] - c * squares[i]
        best = squares[i] if squares[i] > best else best
    return best


@inner
def index_of(values, value):
    """Index of the first ``value`` in ``values``."""
    for i in range(values.shape[0]):
        if values[i] == value:
            return i
    return 0


@inner
def place(target, tile, signs, shifts, y, centres):
    """Fill y (images, dim, TILE) and centres (images, dim, 1) with the images σ∘y + s of a tile; return its size."""
    low = tile * TILE
    count = min(TILE, target.points.shape[1] - low)
    for g in range(signs.shape[0]):
        for j in range(signs.shape[1]):
            centres[g, j, 0] = signs[g, j] * target.centres[tile, j] + shifts[g, j]
            for k in range(count):
                y[g, j, k] = signs[g, j] * target.points[j, low + k] + shifts[g, j]
    return count


@inner
def coarse_bounds(sums, wanted, group, centre, half, out):
    """out[b] = max h − c·dist², with the distance between the bounding boxes of block b and of the tile; −inf if not wanted.

    ``wanted`` holds one flag for each ``group`` of so many points.
    """
    source = sums.source
    for b in range(out.shape[0]):
        out[b] = -np.inf
        if not wanted[b * BLOCK // group]:
            continue
        gap2 = 0.0
        for j in range(centre.shape[0]):
            gap = abs(source.centres[b, j] - centre[j, 0]) - source.halves[b, j] - half[j]
            gap2 += gap * gap if gap > 0 else 0.0
        out[b] = sums.tops[b] - sums.c * gap2


@inner
def block_peak(source, h, b, centre, c, squares):
    """M of block b seen from the centre of the tile, and the source that attains it."""
    low = b * BLOCK
    high = min(low + BLOCK, h.shape[0])
    square_distances(source.points, low, centre, centre.shape[1] - 1, squares[: high - low])  # 0, but no literal
    top = peak(h[low:high], squares[: high - low], c)
    return top, low + index_of(squares[: high - low], top)


@inner
def raise_shift(x, i, height, y, c, shift):
    """Use source i as a lower bound: shift = max(shift, h[i] − c|x[i]−y|²); return the smallest shift."""
    least = np.inf
    for k in range(shift.shape[0]):
        square = 0.0
        for j in range(x.shape[0]):
            square += (x[j, i] - y[j, k]) * (x[j, i] - y[j, k])
        value = height - c * square
        shift[k] = value if value > shift[k] else shift[k]
        least = shift[k] if shift[k] < least else least
    return least


@inner
def find_shifts(sums, wanted, group, y, centres, half, shift, squares, peaks):
    """Fill ``peaks`` (images, blocks) with M, −inf where skipped; raise ``shift`` to a term of every target's sum."""
    best, g0, b0 = -np.inf, 0, 0
    for g in range(peaks.shape[0]):
        coarse_bounds(sums, wanted, group, centres[g], half, peaks[g])
        for b in range(peaks.shape[1]):
            if peaks[g, b] > best:
                best, g0, b0 = peaks[g, b], g, b
    if best == -np.inf:
        return
    least = -np.inf
    for turn in range(-1, peaks.shape[0]):  # first the most promising block, and again in its turn; compiled once
        for n in range(1 if turn < 0 else peaks.shape[1]):
            g, b = (g0, b0) if turn < 0 else (turn, n)
            if peaks[g, b] < least - sums.cut:
                peaks[g, b] = -np.inf
                continue
            top, i = block_peak(sums.source, sums.h, b, centres[g], sums.c, squares)
            if turn >= 0:
                peaks[g, b] = top
            least = raise_shift(sums.source.points, i, sums.h[i], y[g], sums.c, shift)


@inner
def block_upper_bound(source, b, top, centre, y, k, c):
    """Upper bound of the terms of block b at target k, from M = top at the centre of the tile."""
    along, delta2 = 0.0, 0.0
    for j in range(y.shape[0]):
        delta = y[j, k] - centre[j, 0]
        along += (source.centres[b, j] - centre[j, 0]) * delta
        delta2 += delta * delta
    return top + c * (2 * along + 2 * source.radii[b] * sqrt(delta2) - delta2)


@inner
def add_blocks(sums, peaks, y, centres, least, exact, shift, squares, total):
    """Visit the blocks whose bound is above shift + least: raise the shift to their exact maximum, or else add their

    sum of exp(h − c|x−y|² − shift) to ``total``.  Returns the number of pairs visited.
    """
    source, h, c, pairs = sums.source, sums.h, sums.c, 0
    for g in range(peaks.shape[0]):
        for b in range(peaks.shape[1]):
            if peaks[g, b] == -np.inf:
                continue
            low = b * BLOCK
            high = min(low + BLOCK, h.shape[0])
            for k in range(shift.shape[0]):
                if block_upper_bound(source, b, peaks[g, b], centres[g], y[g], k, c) < shift[k] + least:
                    continue
                square_distances(source.points, low, y[g], k, squares[: high - low])
                if exact:
                    top = peak(h[low:high], squares[: high - low], c)
                    shift[k] = top if top > shift[k] else shift[k]
                else:
                    total[k] += shifted_sum(h[low:high], squares[: high - low], c, shift[k])
                pairs += high - low
    return pairs


@njit(cache=True, nogil=True)
def log_sums(sums, wanted, group, known, begin, end, out):
    """out[k] = log(exp(known[k]) + Σ_g Σ_i exp(h[i] − c|x[i] − g·y[k]|²)) for the targets of tiles begin … end−1.

    ``wanted`` says which pairs of groups of ``group`` points to sum (targets, sources); ``known`` may be −inf.
    Memory: one bound for each image and block.  Returns the number of pairs summed.
    """
    images, dim = sums.signs.shape
    y, centres = np.empty((images, dim, TILE)), np.empty((images, dim, 1))
    peaks, squares = np.empty((images, sums.tops.shape[0])), np.empty(BLOCK)
    shifts_of_tile, totals, pairs = np.empty(TILE), np.empty(TILE), 0
    for tile in range(begin, end):
        count = place(sums.target, tile, sums.signs, sums.shifts, y, centres)
        shift, total = shifts_of_tile[:count], totals[:count]
        start = known[tile * TILE : tile * TILE + count]
        for k in range(count):
            shift[k] = start[k]
        row = wanted[tile * TILE // group]
        find_shifts(sums, row, group, y, centres, sums.target.halves[tile], shift, squares, peaks)
        for exact in (True, False):  # one call is compiled once
            least = GAP if exact else -sums.cut
            seen = add_blocks(sums, peaks, y, centres, least, exact, shift, squares, total)
            if exact:
                for k in range(count):
                    total[k] = exp(start[k] - shift[k]) if start[k] > -np.inf else 0.0
            else:
                pairs += seen
        for k in range(count):
            out[tile * TILE + k] = shift[k] + log(total[k])
    return pairs
