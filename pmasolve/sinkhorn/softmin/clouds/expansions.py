"""Log-sums of whole groups of points at once, where ε is large against their size: Taylor polynomials with a proven error.

For targets y = y₀ + δ and sources x = x̄ + z of two groups, with c = 1/2ε,

    exp(h − c|x−y|²) = exp(h − c|x−y₀|²) · exp(2c z·δ) · exp(2c(x̄−y₀)·δ − c|δ|²),

and only the middle factor mixes x with y.  Where |2c z·δ| ≤ q, its Taylor polynomial of degree p has a relative error below
e^q q^{p+1}/(p+1)!, so that with the moments m_α = Σ exp(h − c|x−y₀|²) (z/√ε)^α/α! the sum over the group of sources is

    exp(2c(x̄−y₀)·δ − c|δ|²) Σ_{|α|≤p} m_α (δ/√ε)^α.

All terms are positive and of one size (q ≤ 1), so that nothing cancels; weights are taken relative to the largest term of their
group and sums relative to a term of theirs, so that nothing overflows; groups below rounding are skipped as in ``blocks``.
Cost (n + m)·binom(p+d, d) for two groups of n and m points in place of n·m exponentials: the fast Gauss transform of
Greengard and Strain (1991), about moving centres, so that it keeps its digits far from them.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations_with_replacement
from math import comb, factorial, log, sqrt
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ....machine.arrays import Array
from ....machine.compiling import inner
from ....machine.exponentials import exp
from .blocks import BLOCK, SUMMING, Blocks, block_peak, square_distances

DEGREE = 18  # q up to 1.09; rounding grows by e^2q at most
TERMS = 1400  # monomials, for all dimensions: DEGREE in three, 10 in four, 4 in ten
SOURCES_AT_ONCE = 64  # sources whose monomials are held at a time


class Monomials(NamedTuple):
    """Multi-indices in order of degree: each is its parent times one coordinate."""

    parents: NDArray[np.intp]
    axes: NDArray[np.intp]
    inverse_factorials: Array
    counts: NDArray[np.intp]  # of the monomials of degree ≤ p, for p = 0, 1, …
    limits: Array  # the largest q for degree p


@cache
def monomials(dim: int) -> Monomials:
    """The table of one dimension."""
    degrees = [p for p in range(DEGREE + 1) if comb(p + dim, dim) <= TERMS]
    indices = [a for p in degrees for a in combinations_with_replacement(range(dim), p)]
    place = {a: i for i, a in enumerate(indices)}
    return Monomials(
        np.array([place[a[:-1]] for a in indices]),
        np.array([(0, *a)[-1] for a in indices]),
        np.array([1.0 / np.prod([factorial(a.count(j)) for j in set(a)]) for a in indices]),
        np.array([comb(p + dim, dim) for p in degrees]),
        np.array([largest_argument(p) for p in degrees]),
    )


def largest_argument(degree: int) -> float:
    """The q with e^q q^{p+1}/(p+1)! = 2⁻⁵³, by Newton's method on the logarithm, which is concave in q."""
    p, q = degree + 1, 1e-20
    for _ in range(100):
        q += q * (log(factorial(p)) - 53 * log(2) - q - p * log(q)) / (q + p)
    return q


def mixing(source: Blocks, target: Blocks, eps: float) -> Array:
    """q for all pairs of groups, (targets, sources): Σ_axes (half side)(half side)/ε."""
    return target.halves @ source.halves.T / eps


@inner
def relative(source, target, a, b, sign, shift, out):
    """out = σ∘(x̄ − (σ∘y₀ + s)): where group b of sources lies, seen from the image of group a."""
    for j in range(out.shape[0]):
        out[j] = sign[j] * (source.centres[b, j] - shift[j]) - target.centres[a, j]


@inner
def farthest(source, target, a, b, top, place, c):
    """top − c·dist² with the distance between the bounding boxes of two groups."""
    square = 0.0
    for j in range(place.shape[0]):
        gap = abs(place[j]) - source.halves[b, j] - target.halves[a, j]
        square += gap * gap if gap > 0 else 0.0
    return top - c * square


@inner
def group_peak(source, h, b, size, centre, c, squares):
    """Largest h − c|x−centre|² in group b, and where it is attained."""
    best, at = -np.inf, b * size
    for block in range(b * size // BLOCK, -(-min((b + 1) * size, h.shape[0]) // BLOCK)):
        top, i = block_peak(source, h, block, centre, c, squares)
        if top > best:
            best, at = top, i
    return best, at


@inner(fastmath=SUMMING)
def lift(top, place, delta, c, shift):
    """shift = max(shift, top + 2c place·δ − c|δ|²): a term of every target's sum; return the smallest shift."""
    least = np.inf
    for k in range(shift.shape[0]):
        value = top
        for j in range(delta.shape[0]):
            value += c * delta[j, k] * (2 * place[j] - delta[j, k])
        shift[k] = value if value > shift[k] else shift[k]
        least = shift[k] if shift[k] < least else least
    return least


@inner
def matters(bound, place, delta, c, shift):
    """Whether bound + 2c place·δ − c|δ|² ≥ shift for some target."""
    for k in range(shift.shape[0]):
        value = bound
        for j in range(delta.shape[0]):
            value += c * delta[j, k] * (2 * place[j] - delta[j, k])
        if value >= shift[k]:
            return True
    return False


@inner(fastmath=SUMMING)
def weigh_group(h, squares, c, top, weights):
    """weights = exp(h − c·squares − top), 0 beyond the end of ``h``; return their sum."""
    total = 0.0
    for i in range(h.shape[0]):
        weights[i] = exp((h[i] - top) - c * squares[i])
        total += weights[i]
    for i in range(h.shape[0], SOURCES_AT_ONCE):
        weights[i] = 0.0
    return total


@inner(fastmath=SUMMING)
def multiply(parent, coordinate, out):
    """out = parent·coordinate, of SOURCES_AT_ONCE numbers each; return their sum."""
    total = 0.0
    for i in range(SOURCES_AT_ONCE):
        out[i] = parent[i] * coordinate[i]
        total += out[i]
    return total


@inner
def add_group_moments(sums, b, size, centre, top, sign, table, count, squares, z, powers, moments):
    """moments[α] = Σ exp(h − c|x−centre|² − top) (z/√ε)^α/α! over group b, for the first ``count`` indices."""
    source, h, c, scale = sums.source, sums.h, sums.c, sqrt(2 * sums.c)
    moments[:count] = 0.0
    high = min((b + 1) * size, h.shape[0])
    for low in range(b * size, high, SOURCES_AT_ONCE):
        some = min(SOURCES_AT_ONCE, high - low)
        square_distances(source.points, low, centre, 0, squares[:some])
        moments[0] += weigh_group(h[low : low + some], squares, c, top, powers[0])
        for j in range(z.shape[0]):
            for i in range(some):
                z[j, i] = sign[j] * (source.points[j, low + i] - source.centres[b, j]) * scale
        for m in range(1, count):
            moments[m] += multiply(powers[table.parents[m]], z[table.axes[m]], powers[m])
    for m in range(count):
        moments[m] *= table.inverse_factorials[m]


@inner(fastmath=SUMMING)
def dot_of_first(a, b, count):
    """Σ a·b over the first ``count``."""
    total = 0.0
    for m in range(count):
        total += a[m] * b[m]
    return total


@inner(fastmath=SUMMING)
def factors(tops, places, delta, c, shift, out):
    """out = exp(top + 2c place·δ − c|δ|² − shift) for all groups of sources, one target."""
    for s in range(out.shape[0]):
        out[s] = tops[s] - shift
    for j in range(delta.shape[0]):
        for s in range(out.shape[0]):
            out[s] += c * delta[j] * (2 * places[j, s] - delta[j])
    for s in range(out.shape[0]):
        out[s] = exp(out[s])


@inner
def evaluate(delta, tops, places, moments, counts, c, table, shift, out):
    """out = shift + log Σ_s factor_s Σ_α moments[s, α] (δ/√ε)^α for all targets of a group; −inf without groups."""
    out[:] = -np.inf
    if counts.shape[0] == 0:
        return
    factor, powers, most = np.empty(counts.shape[0]), np.empty(moments.shape[1]), 0
    scale = sqrt(2 * c)
    for s in range(counts.shape[0]):
        most = counts[s] if counts[s] > most else most
    for k in range(out.shape[0]):
        factors(tops, places, delta[:, k], c, shift[k], factor)
        powers[0], total = 1.0, 0.0
        for m in range(1, most):
            powers[m] = powers[table.parents[m]] * (delta[table.axes[m], k] * scale)
        for s in range(counts.shape[0]):
            if factor[s] > 1e-300:
                total += factor[s] * dot_of_first(moments[s], powers, counts[s])
        out[k] = shift[k] + log(total)


@inner
def survey(sums, a, size, degrees, delta, shift, squares, peaks):
    """Fill ``peaks`` (images, groups) with M, −inf where skipped or not expanded; raise ``shift`` to terms of the sums."""
    source, target, signs, shifts, c = sums.source, sums.target, sums.signs, sums.shifts, sums.c
    place, centre = np.empty(delta.shape[0]), np.empty((delta.shape[0], 1))
    best, first, least = -np.inf, 0, -np.inf
    bounds = np.empty(peaks.size)
    for n in range(peaks.size):
        g, b = n // peaks.shape[1], n % peaks.shape[1]
        bounds[n] = -np.inf
        if degrees[b] >= 0:
            relative(source, target, a, b, signs[g], shifts[g], place)
            bounds[n] = farthest(source, target, a, b, sums.tops[b], place, c)
            best, first = (bounds[n], n) if bounds[n] > best else (best, first)
    for visit in range(-1, peaks.size):  # the best first, for its shift
        n = first if visit < 0 else visit
        g, b = n // peaks.shape[1], n % peaks.shape[1]
        peaks[g, b] = -np.inf
        if bounds[n] > -np.inf and bounds[n] >= least - sums.cut:
            for j in range(delta.shape[0]):
                centre[j, 0] = signs[g, j] * target.centres[a, j] + shifts[g, j]
            peaks[g, b], i = group_peak(source, sums.h, b, size, centre, c, squares)
            for j in range(delta.shape[0]):
                place[j] = signs[g, j] * (source.points[j, i] - centre[j, 0])
            least = lift(peaks[g, b], place, delta, c, shift)


@inner
def keep(sums, a, degrees, table, delta, shift, peaks, kept, places):
    """List the groups (image, group) that matter to some target, and where they lie; return their number."""
    n = 0
    for g in range(peaks.shape[0]):
        for b in range(peaks.shape[1]):
            if peaks[g, b] == -np.inf:
                continue
            relative(sums.source, sums.target, a, b, sums.signs[g], sums.shifts[g], places[:, n])
            bound = peaks[g, b] + table.limits[degrees[b]] + sums.cut
            if matters(bound, places[:, n], delta, sums.c, shift):
                kept[n, 0], kept[n, 1] = g, b
                n += 1
    return n


@inner
def expand(sums, a, size, table, kept, peaks, counts, moments):
    """Fill the moments of the groups kept; return the number of sources in them."""
    dim, sources = sums.signs.shape[1], 0
    squares, powers = np.empty(SOURCES_AT_ONCE), np.empty((table.counts[-1], SOURCES_AT_ONCE))
    z, centre = np.zeros((dim, SOURCES_AT_ONCE)), np.empty((dim, 1))
    for s in range(counts.shape[0]):
        g, b = kept[s, 0], kept[s, 1]
        for j in range(dim):
            centre[j, 0] = sums.signs[g, j] * sums.target.centres[a, j] + sums.shifts[g, j]
        top, count, row = peaks[g, b], counts[s], moments[s]
        add_group_moments(sums, b, size, centre, top, sums.signs[g], table, count, squares, z, powers, row)
        sources += min((b + 1) * size, sums.h.shape[0]) - b * size
    return sources


@njit(cache=True, nogil=True)
def group_sums(sums, size, table, degrees, begin, end, out):
    """out[k] = log Σ exp(h − c|x − g·y[k]|²) over the groups b of sources with degrees[a, b] ≥ 0, for groups a of targets.

    Returns the number of pairs of points replaced.  Memory: the moments of all groups of sources.
    """
    target, (images, dim), pairs = sums.target, sums.signs.shape, 0
    squares, peaks = np.empty(BLOCK), np.empty((images, sums.tops.shape[0]))
    kept, places = np.empty((peaks.size, 2), np.int64), np.empty((dim, peaks.size))
    for a in range(begin, end):
        low, high = a * size, min((a + 1) * size, target.points.shape[1])
        delta, shift = np.empty((dim, high - low)), np.empty(high - low)
        shift[:] = -np.inf
        for j in range(dim):
            for k in range(high - low):
                delta[j, k] = target.points[j, low + k] - target.centres[a, j]
        survey(sums, a, size, degrees[a], delta, shift, squares, peaks)
        n = keep(sums, a, degrees[a], table, delta, shift, peaks, kept, places)
        highs, counts, moments = np.empty(n), np.empty(n, np.int64), np.empty((n, table.counts[-1]))
        for s in range(n):
            highs[s], counts[s] = peaks[kept[s, 0], kept[s, 1]], table.counts[degrees[a, kept[s, 1]]]
        pairs += expand(sums, a, size, table, kept, peaks, counts, moments) * (high - low)
        evaluate(delta, highs, places[:, :n], moments, counts, sums.c, table, shift, out[low:high])
    return pairs
