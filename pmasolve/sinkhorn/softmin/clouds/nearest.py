"""The cheapest partners of the points of a cloud: c-transforms between clouds, and all pairs of small slack.

    H(y) = maxᵢ hᵢ − ½|xᵢ − y|²,        pairs (i, j) with hᵢ − ½|xᵢ − yⱼ|² ≥ floorⱼ,

over all images on a torus or in a box.  With M = max hᵢ − ½|xᵢ − s|² over a block of sources of centre x̄ and radius ρ,

    hᵢ − ½|xᵢ − y|² ≤ M + ½(|x̄ − s|² − |x̄ − y|²) + ρ|y − s|      for all i of the block and all y.

M is found for the centre s of some thousand targets, then, for the blocks that may matter, for the centre of a tile; what may still
matter to a target is looked at.  In two or three dimensions that is a few hundred sources for each target, in many all of them.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
from numba import njit

from ....machine.arrays import ROUNDOFF
from ....machine.compiling import inner
from .blocks import BLOCK, TILE, block_peak, peak, place, square_distances

HALVED = 0.5  # of |x − y|²
TILES = 32  # of a run of tiles that share their first bounds


@inner
def bound_between(source, b, top, s, y, k, spread):
    """The bound above for y[:, k] and all points within ``spread`` of it, from M = top at s, with its roundings."""
    there, here, moved = 0.0, 0.0, 0.0
    for j in range(y.shape[0]):
        there += (source.centres[b, j] - s[j, 0]) ** 2
        here += (source.centres[b, j] - y[j, k]) ** 2
        moved += (y[j, k] - s[j, 0]) ** 2
    nearest = max(sqrt(here) - spread, 0.0)
    steps = source.radii[b] * (sqrt(moved) + spread)
    rounding = 32 * ROUNDOFF * (abs(top) + there + here + steps)
    return top + HALVED * (there - nearest * nearest) + steps + rounding


@inner
def run_peaks(source, h, target, first, last, signs, shifts, middles, peaks, squares):
    """The centres (images, dim, 1) of a run of tiles, and M of every block seen from there (images, blocks)."""
    for g in range(peaks.shape[0]):
        for j in range(middles.shape[1]):
            total = 0.0
            for tile in range(first, last):
                total += target.centres[tile, j]
            middles[g, j, 0] = signs[g, j] * (total / (last - first)) + shifts[g, j]
        for b in range(peaks.shape[1]):
            peaks[g, b] = block_peak(source, h, b, middles[g], HALVED, squares)[0]


@inner
def tile_bounds(source, peaks, middles, centres, radius, bounds):
    """Bounds for a whole tile from M at the centre of its run; the image and the block of the highest."""
    best, g0, b0 = -np.inf, 0, 0
    for g in range(peaks.shape[0]):
        for b in range(peaks.shape[1]):
            bounds[g, b] = bound_between(source, b, peaks[g, b], middles[g], centres[g], 0, radius)
            if bounds[g, b] > best:
                best, g0, b0 = bounds[g, b], g, b
    return g0, b0


@inner
def raise_maxima(source, h, b, y, squares, centre, out):
    """Raise out[k] to max h − ½|x − y[:, k]|² over a block, where its bound from the centre of the tile is above."""
    low = b * BLOCK
    high = min(low + BLOCK, h.shape[0])
    top = block_peak(source, h, b, centre, HALVED, squares)[0]
    for k in range(out.shape[0]):
        if bound_between(source, b, top, centre, y, k, 0.0) > out[k]:
            square_distances(source.points, low, y, k, squares[: high - low])
            found = peak(h[low:high], squares[: high - low], HALVED)
            out[k] = found if found > out[k] else out[k]


@njit(cache=True, nogil=True)
def highest(source, h, target, signs, shifts, begin, end, out):
    """out[k] = H for the targets of the runs begin … end−1 of ``TILES`` tiles."""
    images, dim, blocks = signs.shape[0], signs.shape[1], -(-h.shape[0] // BLOCK)
    y, centres, middles = np.empty((images, dim, TILE)), np.empty((images, dim, 1)), np.empty((images, dim, 1))
    peaks, bounds, squares = np.empty((images, blocks)), np.empty((images, blocks)), np.empty(BLOCK)
    for run in range(begin, end):
        first, last = run * TILES, min((run + 1) * TILES, target.radii.shape[0])
        run_peaks(source, h, target, first, last, signs, shifts, middles, peaks, squares)
        for tile in range(first, last):
            count = place(target, tile, signs, shifts, y, centres)
            values = out[tile * TILE : tile * TILE + count]
            values[:] = -np.inf
            g0, b0 = tile_bounds(source, peaks, middles, centres, target.radii[tile], bounds)
            raise_maxima(source, h, b0, y[g0], squares, centres[g0], values)
            bounds[g0, b0] = -np.inf
            least = values.min()
            for g in range(images):
                for b in range(blocks):
                    if bounds[g, b] > least:
                        raise_maxima(source, h, b, y[g], squares, centres[g], values)
    return 0


@inner
def insert(value, index, values, indices, count):
    """Put a value into the first ``count`` of a heap, the least on top, which falls out of a full one; returns the new count."""
    if count == values.shape[0]:
        if value <= values[0]:
            return count
        sink(value, index, values, indices)
        return count
    at = count
    while at > 0 and values[(at - 1) // 2] > value:
        values[at], indices[at] = values[(at - 1) // 2], indices[(at - 1) // 2]
        at = (at - 1) // 2
    values[at], indices[at] = value, index
    return count + 1


@inner
def sink(value, index, values, indices):
    """Put a value in place of the least of a full heap."""
    at, child, size = 0, 1, values.shape[0]
    while child < size:
        if child + 1 < size and values[child + 1] < values[child]:
            child += 1
        if value <= values[child]:
            break
        values[at], indices[at] = values[child], indices[child]
        at, child = child, 2 * child + 1
    values[at], indices[at] = value, index


@inner
def collect(source, h, b, y, squares, centre, floor, values, found, counts):
    """Add the sources of a block that are above the floor of each target of a tile to the target's list."""
    low = b * BLOCK
    high = min(low + BLOCK, h.shape[0])
    top = block_peak(source, h, b, centre, HALVED, squares)[0]
    for k in range(floor.shape[0]):
        if bound_between(source, b, top, centre, y, k, 0.0) < floor[k]:
            continue
        square_distances(source.points, low, y, k, squares[: high - low])
        for i in range(high - low):
            value = h[low + i] - HALVED * squares[i]
            if value >= floor[k]:
                counts[k] = insert(value, low + i, values[k], found[k], counts[k])


@njit(cache=True, nogil=True)
def partners(source, h, target, signs, shifts, floor, begin, end, found, counts):
    """The sources i of hᵢ − ½|xᵢ − g·y[k]|² ≥ floor[k], g any image, for the targets of the runs begin … end−1 of ``TILES`` tiles.

    ``found`` (targets, most) has their indices, the first ``counts`` (targets,) of them: the ``most`` highest where there are more.
    A source that is near by several images is there several times.
    """
    images, dim, blocks = signs.shape[0], signs.shape[1], -(-h.shape[0] // BLOCK)
    y, centres, middles = np.empty((images, dim, TILE)), np.empty((images, dim, 1)), np.empty((images, dim, 1))
    peaks, bounds, squares = np.empty((images, blocks)), np.empty((images, blocks)), np.empty(BLOCK)
    values = np.empty((TILE, found.shape[1]))
    for run in range(begin, end):
        first, last = run * TILES, min((run + 1) * TILES, target.radii.shape[0])
        run_peaks(source, h, target, first, last, signs, shifts, middles, peaks, squares)
        for tile in range(first, last):
            count = place(target, tile, signs, shifts, y, centres)
            these = slice(tile * TILE, tile * TILE + count)
            counts[these], least = 0, floor[these].min()
            tile_bounds(source, peaks, middles, centres, target.radii[tile], bounds)
            for g in range(images):
                for b in range(blocks):
                    if bounds[g, b] >= least:
                        where = (values, found[these], counts[these])
                        collect(source, h, b, y[g], squares, centres[g], floor[these], *where)
    return 0
