"""The algebra at every grid point: log det, inverse and least eigenvalue of I + D²u, sums of products.

Symmetric matrices are packed by rows of the upper triangle: (xx), (xx, xy, yy), (xx, xy, xz, yy, yz, zz); all arrays are
(rows, N).  Every kernel makes one pass over memory.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .domains import Array
from .threads import blocks, each


def packed(dim: int) -> list[tuple[int, int]]:
    """The index pairs (i, j), i ≤ j, in the order of the packed rows."""
    return [(i, j) for i in range(dim) for j in range(i, dim)]


@njit(cache=True, nogil=True, error_model="numpy")
def _invert_1d(H, logdet, inverse):
    for i in range(H.shape[1]):
        a = 1.0 + H[0, i]
        good = a > 0.0
        logdet[i] = np.log(a) if good else -np.inf
        inverse[0, i] = 1.0 / a


@njit(cache=True, nogil=True, error_model="numpy")
def _invert_2d(H, logdet, inverse):
    for i in range(H.shape[1]):
        a, b, c = 1.0 + H[0, i], H[1, i], 1.0 + H[2, i]
        det = a * c - b * b
        good = (a > 0.0) and (det > 0.0)
        logdet[i] = np.log(det) if good else -np.inf
        s = 1.0 / det
        inverse[0, i], inverse[1, i], inverse[2, i] = s * c, -s * b, s * a


@njit(cache=True, nogil=True, error_model="numpy")
def _invert_3d(H, logdet, inverse):
    for i in range(H.shape[1]):
        a, b, c = 1.0 + H[0, i], H[1, i], H[2, i]
        d, e, f = 1.0 + H[3, i], H[4, i], 1.0 + H[5, i]
        A, B, C = d * f - e * e, c * e - b * f, b * e - c * d
        det = a * A + b * B + c * C
        good = (a > 0.0) and (a * d - b * b > 0.0) and (det > 0.0)
        logdet[i] = np.log(det) if good else -np.inf
        s = 1.0 / det
        inverse[0, i], inverse[1, i], inverse[2, i] = s * A, s * B, s * C
        inverse[3, i], inverse[4, i], inverse[5, i] = s * (a * f - c * c), s * (b * c - a * e), s * (a * d - b * b)


@njit(cache=True, nogil=True)
def add_product(v, factor, weight, out):
    """out += weight·factor·v; matrices of one shape."""
    for r in range(v.shape[0]):
        for i in range(v.shape[1]):
            out[r, i] += weight * factor[r, i] * v[r, i]


@njit(cache=True, nogil=True)
def _extremes_1d(H, found):
    for i in range(H.shape[1]):
        found[0], found[1] = min(found[0], H[0, i]), max(found[1], H[0, i])


@njit(cache=True, nogil=True)
def _extremes_2d(H, found):
    low, high = found
    for i in range(H.shape[1]):
        middle, half = 0.5 * (H[0, i] + H[2, i]), 0.5 * (H[0, i] - H[2, i])
        radius = np.sqrt(half * half + H[1, i] * H[1, i])
        low, high = min(low, middle - radius), max(high, middle + radius)
    found[0], found[1] = low, high


@njit(cache=True, nogil=True)
def _definite(a, b, c, d, e, f):
    """Is the packed matrix positive definite?"""
    minor = a * d - b * b
    return (a > 0.0) and (minor > 0.0) and (f * minor - e * (a * e - b * c) + c * (b * e - c * d) > 0.0)


@njit(cache=True, nogil=True)
def _extremes_3d(H, found):
    """Eigenvalues by the trigonometric formula (Smith, CACM 4, 1961), at points that may have one outside of what was found."""
    low, high = found
    for i in range(H.shape[1]):
        a, b, c, d, e, f = H[0, i], H[1, i], H[2, i], H[3, i], H[4, i], H[5, i]
        if _definite(a - low, b, c, d - low, e, f - low) and _definite(high - a, -b, -c, high - d, -e, high - f):
            continue
        q = (a + d + f) / 3.0
        a, d, f = a - q, d - q, f - q
        p = np.sqrt((a * a + d * d + f * f + 2.0 * (b * b + c * c + e * e)) / 6.0)
        cosine = 1.0
        if p > 0.0:
            det = a * (d * f - e * e) + b * (c * e - b * f) + c * (b * e - c * d)
            cosine = min(1.0, max(-1.0, 0.5 * det / (p * p * p)))
        angle = np.arccos(cosine) / 3.0
        high = max(high, q + 2.0 * p * np.cos(angle))
        low = min(low, q + 2.0 * p * np.cos(angle + 2.0943951023931953))  # 2π/3
    found[0], found[1] = low, high


_INVERT = {1: _invert_1d, 2: _invert_2d, 3: _invert_3d}
_EXTREMES = {1: _extremes_1d, 2: _extremes_2d, 3: _extremes_3d}


def log_det_inverse(D2u: Array, inverse: Array | None = None) -> tuple[Array, Array]:
    """log det(I + D²u), −inf where that matrix is not positive definite, and the packed inverse.

    The inverse is written to ``inverse`` if given, which may be ``D2u`` itself.

    ``D2u`` is packed, (dim(dim+1)/2, *shape).
    """
    inverse = np.empty_like(D2u) if inverse is None else inverse
    flat = D2u.reshape(D2u.shape[0], -1)
    logdet, flat_inverse = np.empty(flat.shape[1]), inverse.reshape(flat.shape)
    kernel = _INVERT[D2u.ndim - 1]
    each(lambda b: kernel(flat[:, b], logdet[b], flat_inverse[:, b]), blocks(logdet.size, logdet.size))
    return logdet.reshape(D2u.shape[1:]), inverse


def add(v: Array, factor: Array, weight: float, out: Array) -> Array:
    """out += weight·factor·v of arrays of one shape, on all threads."""
    rows = [array.reshape(1, -1) for array in (v, factor, out)]
    each(lambda b: add_product(rows[0][:, b], rows[1][:, b], weight, rows[2][:, b]), blocks(out.size, out.size))
    return out


def extreme_eigenvalues(S: Array) -> tuple[float, float]:
    """Least and greatest eigenvalue over all points of the packed symmetric matrices S (dim(dim+1)/2, *shape)."""
    flat, parts = S.reshape(S.shape[0], -1), blocks(S[0].size, S[0].size)
    ranges = np.tile([np.inf, -np.inf], (len(parts), 1))
    kernel = _EXTREMES[S.ndim - 1]
    each(lambda b, found: kernel(flat[:, b], found), parts, list(ranges))
    return float(ranges[:, 0].min()), float(ranges[:, 1].max())


@njit(cache=True, nogil=True)
def _apply_1d(S, v):
    for i in range(v.shape[1]):
        v[0, i] *= S[0, i]


@njit(cache=True, nogil=True)
def _apply_2d(S, v):
    for i in range(v.shape[1]):
        a, b = v[0, i], v[1, i]
        v[0, i] = S[0, i] * a + S[1, i] * b
        v[1, i] = S[1, i] * a + S[2, i] * b


@njit(cache=True, nogil=True)
def _apply_3d(S, v):
    for i in range(v.shape[1]):
        a, b, c = v[0, i], v[1, i], v[2, i]
        v[0, i] = S[0, i] * a + S[1, i] * b + S[2, i] * c
        v[1, i] = S[1, i] * a + S[3, i] * b + S[4, i] * c
        v[2, i] = S[2, i] * a + S[4, i] * b + S[5, i] * c


_APPLY = {1: _apply_1d, 2: _apply_2d, 3: _apply_3d}


def apply(S: Array, v: Array) -> Array:
    """The packed symmetric matrices S times the vectors v (dim, *shape), written over v."""
    flat_S, flat_v = S.reshape(S.shape[0], -1), v.reshape(v.shape[0], -1)
    kernel = _APPLY[v.shape[0]]
    each(lambda b: kernel(flat_S[:, b], flat_v[:, b]), blocks(flat_v.shape[1], flat_v.shape[1]))
    return v
