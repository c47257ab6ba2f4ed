"""The algebra at every grid point: log det and inverse of I + D²u, eigenvalues, products with vectors.

Symmetric matrices are packed by rows of the upper triangle: (xx), (xx, xy, yy), (xx, xy, xz, yy, yz, zz); all arrays are
(rows, N).  Every kernel makes one pass over memory.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..machine.arrays import Array
from ..machine.compiling import inner
from ..machine.exponentials import LN2, log2
from ..machine.threads import over


def packed(dim: int) -> list[tuple[int, int]]:
    """The index pairs (i, j), i ≤ j, in the order of the packed rows."""
    return [(i, j) for i in range(dim) for j in range(i, dim)]


POINTS_TOGETHER = 64  # points looked at together
SAMPLE = 128  # points that give a first range of eigenvalues

WITH_NAN = {"error_model": "numpy", "fastmath": {"contract"}}  # NaN may come: no other licence
vectorised = njit(cache=True, nogil=True, **WITH_NAN)


@vectorised
def _finite(values, begin, end):
    """How many are."""
    count = 0
    for i in range(np.uint64(begin), np.uint64(end)):
        count += values[i] - values[i] == 0.0
    return count


@vectorised
def _usual(values, begin, end):
    """Whether all are positive, finite and far from the ends of the range."""
    count = 0
    for i in range(np.uint64(begin), np.uint64(end)):
        count += (values[i] > 1e-300) & (values[i] < 1e300)
    return count == end - begin


@vectorised
def _logarithms(values, begin, end):
    """log in place, −∞ where a value is not positive; whether all are finite."""
    if _usual(values, begin, end):
        for i in range(np.uint64(begin), np.uint64(end)):
            values[i] = LN2 * log2(values[i])
        return True
    for i in range(begin, end):
        values[i] = np.log(values[i]) if values[i] > 0.0 else -np.inf
    return _finite(values, begin, end) == end - begin


@vectorised
def _invert_1d(H, begin, end, det, inverse):
    for i in range(np.uint64(begin), np.uint64(end)):
        a = 1.0 + H[0, i]
        det[i] = a
        inverse[0, i] = 1.0 / a


@vectorised
def _invert_2d(H, begin, end, det, inverse):
    for i in range(np.uint64(begin), np.uint64(end)):
        a, b, c = 1.0 + H[0, i], H[1, i], 1.0 + H[2, i]
        full = a * c - b * b
        det[i] = full if a > 0.0 else -1.0
        s = 1.0 / full
        inverse[0, i], inverse[1, i], inverse[2, i] = s * c, -s * b, s * a


@vectorised
def _invert_3d(H, begin, end, det, inverse):
    for i in range(np.uint64(begin), np.uint64(end)):
        a, b, c = 1.0 + H[0, i], H[1, i], H[2, i]
        d, e, f = 1.0 + H[3, i], H[4, i], 1.0 + H[5, i]
        A, B, C, minor = d * f - e * e, c * e - b * f, b * e - c * d, a * d - b * b
        full = a * A + b * B + c * C
        det[i] = full if (a > 0.0) & (minor > 0.0) else -1.0
        s = 1.0 / full
        inverse[0, i], inverse[1, i], inverse[2, i] = s * A, s * B, s * C
        inverse[3, i], inverse[4, i], inverse[5, i] = s * (a * f - c * c), s * (b * c - a * e), s * minor


@vectorised
def _add_difference(total, a, b, begin, end):
    """How many sums are finite."""
    count = 0
    for i in range(np.uint64(begin), np.uint64(end)):
        total[i] = total[i] - b[i] + a[i]
        count += total[i] - total[i] == 0.0
    return count


_INVERT = {1: _invert_1d, 2: _invert_2d, 3: _invert_3d}


def log_det_inverse(D2u: Array, inverse: Array | None = None) -> tuple[Array, Array, bool]:
    """log det(I + D²u), −inf where that matrix is not positive definite; the packed inverse; whether all logarithms are finite.

    The inverse is written to ``inverse`` if given, which may be ``D2u`` itself.

    ``D2u`` is packed, (dim(dim+1)/2, *shape).
    """
    inverse = np.empty_like(D2u) if inverse is None else inverse
    flat = D2u.reshape(D2u.shape[0], -1)
    logdet, flat_inverse = np.empty(flat.shape[1]), inverse.reshape(flat.shape)
    kernel = _INVERT[D2u.ndim - 1]

    def work(begin: int, end: int) -> bool:
        kernel(flat, begin, end, logdet, flat_inverse)
        return _logarithms(logdet, begin, end)

    finite = all(over(work, logdet.size))
    return logdet.reshape(D2u.shape[1:]), inverse, finite


def add_difference(total: Array, a: Array, b: Array) -> bool:
    """total += a − b of arrays of one shape, on all threads; whether all sums are finite."""
    return sum(over(_add_difference, total.size, total.reshape(-1), a.reshape(-1), b.reshape(-1))) == total.size


def all_finite(values: Array) -> bool:
    """Whether neither NaN nor infinity is among them."""
    return sum(over(_finite, values.size, values.reshape(-1))) == values.size


@vectorised
def _apply_1d(S, v, begin, end):
    for i in range(np.uint64(begin), np.uint64(end)):
        v[0, i] *= S[0, i]


@vectorised
def _apply_2d(S, v, begin, end):
    for i in range(np.uint64(begin), np.uint64(end)):
        a, b = v[0, i], v[1, i]
        v[0, i] = S[0, i] * a + S[1, i] * b
        v[1, i] = S[1, i] * a + S[2, i] * b


@vectorised
def _apply_3d(S, v, begin, end):
    for i in range(np.uint64(begin), np.uint64(end)):
        a, b, c = v[0, i], v[1, i], v[2, i]
        v[0, i] = S[0, i] * a + S[1, i] * b + S[2, i] * c
        v[1, i] = S[1, i] * a + S[3, i] * b + S[4, i] * c
        v[2, i] = S[2, i] * a + S[4, i] * b + S[5, i] * c


_APPLY = {1: _apply_1d, 2: _apply_2d, 3: _apply_3d}


def apply(S: Array, v: Array) -> Array:
    """The packed symmetric matrices S times the vectors v (dim, *shape), written over v."""
    over(_APPLY[v.shape[0]], v[0].size, S.reshape(S.shape[0], -1), v.reshape(v.shape[0], -1))
    return v


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
    for first in range(begin, end, POINTS_TOGETHER):
        last = min(first + POINTS_TOGETHER, end)
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
    flat = S.reshape(S.shape[0], -1)

    def work(begin: int, end: int) -> tuple[float, float, float]:
        found, (inside, traces) = np.array([np.inf, -np.inf]), np.zeros((2, POINTS_TOGETHER))
        _extremes(S.shape[1:], flat, begin, end, found, inside, traces)
        return float(found[0]), float(found[1]), float(traces.sum())

    lows, highs, traces = np.transpose(over(work, flat.shape[1]))
    return float(lows.min()), float(highs.max()), float(traces.sum()) / (S.ndim - 1) / S[0].size


def extreme_eigenvalues(S: Array) -> tuple[float, float]:
    """Least and greatest of them."""
    return eigenvalue_range(S)[:2]
