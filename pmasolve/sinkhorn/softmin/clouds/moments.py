"""Mean and covariance of the displacement under the weights of a log-sum, in one or two passes and linear memory.

With weights w_{ig} ∝ exp(h_i) exp(−|d_{ig}|²/2ε), d_{ig} the displacement from the point z to the g-th image of node x_i,

    L = log Σ exp(h_i) K_ε(x_i, z),     m = Σ w d = ε ∇L(z),     C = Σ w (d−m)(d−m)ᵀ = ε (I + ε D²L(z)),

exactly, also on a torus and in a box, since images are summed like points.  The covariance takes a second pass about the mean
of the first, so that it keeps its digits when it is far smaller than |m|².
"""

from __future__ import annotations

from math import log
from typing import NamedTuple

import numpy as np
from numba import njit

from ....machine.arrays import Array
from ....machine.compiling import inner
from ....machine.exponentials import exp
from ....machine.threads import spread
from ..nodes import NEGLIGIBLE, Geometry, images
from .blocks import BLOCK, GAP, SUMMING, TILE, Sums, add_blocks, block_upper_bound, find_shifts, place, square_distances
from .sides import Side
from .waves import derivatives_by_waves, waves


class Moments(NamedTuple):
    """Log-sums (n,), mean displacements (dim, n) and, unless they were not asked for, covariances (dim, dim, n)."""

    log_sum: Array
    mean: Array
    covariance: Array | None


def displacement_moments(x: Side, h: Array, z: Side, space: Geometry, second: bool) -> Moments:
    """Moments of the displacements from the points z to the nodes x with exponents h, not all −inf.

    Skips what cannot matter.  Measured in the plane: 1.4 to 2.2 times a log-sum of `Blockwise`, 3 to 3.7 times with ``second``.
    """
    if (modes := waves(space)) is not None:
        return Moments(*derivatives_by_waves(x.points, h, z.points, space, modes))
    count, dim = z.points.shape
    centre = np.zeros((dim, count))
    log_sum, mean, _ = _sums_and_moments(x, h, z, space, centre, False)
    if not second:
        return Moments(log_sum, mean, None)
    _, rest, squares = _sums_and_moments(x, h, z, space, mean, True)
    return Moments(log_sum, mean + rest, squares - rest[:, None] * rest[None])


def _sums_and_moments(
    x: Side, h: Array, z: Side, space: Geometry, centre: Array, second: bool
) -> tuple[Array, Array, Array]:
    """Log-sums, and moments of d − centre: first (dim, n) and second (dim, dim, n)."""
    signs, shifts = images(space)
    h = h[x.order]
    tops = np.maximum.reduceat(h, np.arange(0, h.size, BLOCK))
    cut = NEGLIGIBLE + log(h.size * len(signs))
    sums = Sums(x.blocks, h, tops, z.tiles, signs, shifts, 0.5 / space.eps, cut)
    dim, count = centre.shape
    log_sum, first = np.empty(count), np.zeros((dim, count))
    squares = np.zeros((dim, dim, count) if second else (0, 0, count))
    centre = np.ascontiguousarray(centre[:, z.order])

    def tiles(begin: int, end: int) -> int:
        moments(sums, begin, end, centre, log_sum, first, squares)
        return 0

    spread(tiles, len(z.tiles.radii), h.size * len(signs) * TILE)
    back = np.empty_like(z.order)
    back[z.order] = np.arange(count)
    return log_sum[back], first[:, back], squares[:, :, back]


@inner(fastmath=SUMMING)
def weigh(h, squares, c, shift):
    """Turn ``squares`` into exp(h − shift − c·squares) and return their sum."""
    total = 0.0
    for i in range(h.shape[0]):
        squares[i] = exp((h[i] - shift) - c * squares[i])
        total += squares[i]
    return total


@inner(fastmath=SUMMING)
def first_moment(weights, row, origin):
    """Σ weights·(row − origin)."""
    total = 0.0
    for i in range(weights.shape[0]):
        total += weights[i] * (row[i] - origin)
    return total


@inner(fastmath=SUMMING)
def second_moment(weights, row, origin, other, other_origin):
    """Σ weights·(row − origin)·(other − other_origin)."""
    total = 0.0
    for i in range(weights.shape[0]):
        total += weights[i] * (row[i] - origin) * (other[i] - other_origin)
    return total


@inner
def add_moments(source, low, high, weights, origin, signs, first, second):
    """Add the moments of one block about ``origin``, turned by ``signs``, to those of one target."""
    for j in range(first.shape[0]):
        row = source.points[j, low:high]
        first[j] += signs[j] * first_moment(weights, row, origin[j])
        for i in range(min(j + 1, second.shape[0])):
            other = source.points[i, low:high]
            second[j, i] += signs[j] * signs[i] * second_moment(weights, row, origin[j], other, origin[i])


@inner
def visit(sums, peaks, y, centres, k, shift, centre, first, second, squares, origin):
    """Add all blocks that matter to target k of a tile; return the sum of the weights."""
    source, h, signs, c, total = sums.source, sums.h, sums.signs, sums.c, 0.0
    for g in range(peaks.shape[0]):
        for b in range(peaks.shape[1]):
            if (
                peaks[g, b] == -np.inf
                or block_upper_bound(source, b, peaks[g, b], centres[g], y[g], k, c) < shift - sums.cut
            ):
                continue
            low = b * BLOCK
            high = min(low + BLOCK, h.shape[0])
            weights = squares[: high - low]
            square_distances(source.points, low, y[g], k, weights)
            total += weigh(h[low:high], weights, c, shift)
            for j in range(origin.shape[0]):
                origin[j] = y[g, j, k] + signs[g, j] * centre[j]
            add_moments(source, low, high, weights, origin, signs[g], first, second)
    return total


@njit(cache=True, nogil=True)
def moments(sums, begin, end, centre, log_sum, first, second):
    """Fill log-sums and moments for the targets of tiles begin … end−1; no second moments where their array is empty."""
    images, dim = sums.signs.shape
    y, centres = np.empty((images, dim, TILE)), np.empty((images, dim, 1))
    peaks, squares, origin = np.empty((images, sums.tops.shape[0])), np.empty(BLOCK), np.empty(dim)
    shift, unused, every = np.empty(TILE), np.empty(TILE), np.ones(1, np.bool_)
    for tile in range(begin, end):
        count = place(sums.target, tile, sums.signs, sums.shifts, y, centres)
        shift[:] = -np.inf
        half = sums.target.halves[tile]
        find_shifts(sums, every, sums.h.shape[0], y, centres, half, shift[:count], squares, peaks)
        add_blocks(sums, peaks, y, centres, GAP, True, shift[:count], squares, unused)
        for k in range(count):
            i = tile * TILE + k
            one, two = first[:, i], second[:, :, i]
            total = visit(sums, peaks, y, centres, k, shift[k], centre[:, i], one, two, squares, origin)
            log_sum[i] = shift[k] + log(total)
            one /= total
            two /= total
            for j in range(two.shape[0]):
                for other in range(j):
                    two[other, j] = two[j, other]
