"""Least, greatest and mean eigenvalue over a grid of the symmetric matrices at its points, packed as in `pointwise`."""

from __future__ import annotations

from functools import partial

import numpy as np
from numba import njit

from ..machine.arrays import Array
from ..machine.compiling import inner
from ..machine.threads import blocks, each
from .hessians import LANES, WITH_NAN

SAMPLE = 128  # points that give a first range


@inner(**WITH_NAN)
def _inside_1d(H, begin, end, low, high, inside, traces):
    """Positive where no eigenvalue is outside of (low, high), looked at without finding it; traces are added up."""
    for i in range(np.uint64(begin), np.uint64(end)):
        a, b = H[0, i] - low, high - H[0, i]
        inside[i - np.uint64(begin)] = a if a < b else b
        traces[i - np.uint64(begin)] += H[0, i]


@inner(**WITH_NAN)
def _inside_2d(H, begin, end, low, high, inside, traces):
    for i in range(np.uint64(begin), np.uint64(end)):
        a, b, c, d, e = H[0, i] - low, H[1, i], H[2, i] - low, high - H[0, i], high - H[2, i]
        over, under = a * c - b * b, d * e - b * b
        over, under = over if over < a else a, under if under < d else d
        inside[i - np.uint64(begin)] = over if over < under else under
        traces[i - np.uint64(begin)] += H[0, i] + H[2, i]


@inner(**WITH_NAN)
def _least_minor(a, b, c, d, e, f):
    """The least leading minor of the packed matrix: positive if and only if that is positive definite."""
    minor = a * d - b * b
    full = f * minor - e * (a * e - b * c) + c * (b * e - c * d)
    least = minor if minor < a else a
    return full if full < least else least


@inner(**WITH_NAN)
def _inside_3d(H, begin, end, low, high, inside, traces):
    for i in range(np.uint64(begin), np.uint64(end)):
        a, b, c, d, e, f = H[0, i], H[1, i], H[2, i], H[3, i], H[4, i], H[5, i]
        over = _least_minor(a - low, b, c, d - low, e, f - low)
        under = _least_minor(high - a, -b, -c, high - d, -e, high - f)
        inside[i - np.uint64(begin)] = over if over < under else under
        traces[i - np.uint64(begin)] += a + d + f


@inner(**WITH_NAN)
def _eigenvalues_2d(H, i):
    """Least and greatest at one point."""
    middle, half = 0.5 * (H[0, i] + H[2, i]), 0.5 * (H[0, i] - H[2, i])
    radius = np.sqrt(half * half + H[1, i] * H[1, i])
    return middle - radius, middle + radius


@inner(**WITH_NAN)
def _eigenvalues_3d(H, i):
    """By the trigonometric formula (Smith, CACM 4, 1961)."""
    a, b, c, d, e, f = H[0, i], H[1, i], H[2, i], H[3, i], H[4, i], H[5, i]
    q = (a + d + f) / 3.0
    a, d, f = a - q, d - q, f - q
    p = np.sqrt((a * a + d * d + f * f + 2.0 * (b * b + c * c + e * e)) / 6.0)
    cosine = 1.0
    if p > 0.0:
        det = a * (d * f - e * e) + b * (c * e - b * f) + c * (b * e - c * d)
        cosine = min(1.0, max(-1.0, 0.5 * det / (p * p * p)))
    angle = np.arccos(cosine) / 3.0
    return q + 2.0 * p * np.cos(angle + 2.0943951023931953), q + 2.0 * p * np.cos(angle)  # 2π/3


@inner(error_model="numpy")
def _widen(shape, H, i, found):
    if len(shape) == 1:
        low, high = H[0, i], H[0, i]
    elif len(shape) == 2:
        low, high = _eigenvalues_2d(H, i)
    else:
        low, high = _eigenvalues_3d(H, i)
    found[0] = low if low < found[0] else found[0]
    found[1] = high if high > found[1] else found[1]


@njit(cache=True, nogil=True, error_model="numpy")
def _extremes(shape, H, begin, end, found, inside, traces):
    """Widen the range ``found`` by all eigenvalues, of which those are computed that may lie outside; add to ``traces``.

    Of the kernels those for len(shape) axes are compiled.
    """
    for i in range(begin, end, max(1, (end - begin) // SAMPLE)):
        _widen(shape, H, i, found)
    for first in range(begin, end, LANES):
        last = min(first + LANES, end)
        if len(shape) == 1:
            _inside_1d(H, first, last, found[0], found[1], inside, traces)
        elif len(shape) == 2:
            _inside_2d(H, first, last, found[0], found[1], inside, traces)
        else:
            _inside_3d(H, first, last, found[0], found[1], inside, traces)
        for i in range(first, last):
            if not inside[i - first] > 0.0:
                _widen(shape, H, i, found)


def eigenvalue_range(S: Array) -> tuple[float, float, float]:
    """Least, greatest and mean eigenvalue over all points of the packed symmetric matrices S (dim(dim+1)/2, *shape)."""
    flat, parts = S.reshape(S.shape[0], -1), blocks(S[0].size, S[0].size)
    found, room = np.tile([np.inf, -np.inf], (len(parts), 1)), np.zeros((2, len(parts), LANES))
    work = partial(_extremes, S.shape[1:], flat)
    each(lambda b, *out: work(b.start, b.stop, *out), parts, list(found), list(room[0]), list(room[1]))
    return float(found[:, 0].min()), float(found[:, 1].max()), float(room[1].sum()) / (S.ndim - 1) / S[0].size


def extreme_eigenvalues(S: Array) -> tuple[float, float]:
    """Least and greatest of them."""
    return eigenvalue_range(S)[:2]
