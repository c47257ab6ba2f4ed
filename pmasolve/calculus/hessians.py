"""The algebra at every grid point: log det and inverse of I + D²u, sums of products.

Symmetric matrices are packed by rows of the upper triangle: (xx), (xx, xy, yy), (xx, xy, xz, yy, yz, zz); all arrays are
(rows, N).  Every kernel makes one pass over memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from ..machine.arrays import Array
from ..machine.exponentials import FLOOR, LN2, LOG2E, exp2, log2
from ..machine.threads import blocks, each


def packed(dim: int) -> list[tuple[int, int]]:
    """The index pairs (i, j), i ≤ j, in the order of the packed rows."""
    return [(i, j) for i in range(dim) for j in range(i, dim)]


LANES = 64  # points looked at together

WITH_NAN = {"error_model": "numpy", "fastmath": {"contract"}}  # NaN may come: no other licence
vectorised = njit(cache=True, nogil=True, **WITH_NAN)


@vectorised
def _usual(values, begin, end):
    """Whether all are positive, finite and far from the ends of the range."""
    count = 0
    for i in range(np.uint64(begin), np.uint64(end)):
        count += (values[i] > 1e-300) & (values[i] < 1e300)
    return count == end - begin


@vectorised
def _logarithms(values, begin, end):
    """log in place, −∞ where a value is not positive."""
    if _usual(values, begin, end):
        for i in range(np.uint64(begin), np.uint64(end)):
            values[i] = LN2 * log2(values[i])
    else:
        for i in range(begin, end):
            values[i] = np.log(values[i]) if values[i] > 0.0 else -np.inf


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
def add_product(v, factor, weight, begin, out):
    """out += weight·factor·v, v a block that begins at ``begin``."""
    begin = np.uint64(begin)
    for i in range(np.uint64(v.size)):
        out[begin + i] += weight * factor[begin + i] * v[i]


@vectorised
def _add_difference(total, a, b, begin, end):
    for i in range(np.uint64(begin), np.uint64(end)):
        total[i] = total[i] - b[i] + a[i]


@vectorised
def _finite(values, begin, end):
    """How many are."""
    count = 0
    for i in range(np.uint64(begin), np.uint64(end)):
        count += values[i] - values[i] == 0.0
    return count


@vectorised
def _density_sums(speed, f, begin, end, sums):
    """Add ρ, ρA, A, and the extremes of A, of LANES points at a time; ρ = exp(A − f), clipped far outside of what occurs."""
    for first in range(begin, end, LANES):
        last = min(first + LANES, end)
        for i in range(np.uint64(first), np.uint64(last)):
            k, a = i - np.uint64(first), speed[i]
            e = LOG2E * (a - f[i])
            e = e if e > FLOOR else FLOOR
            rho = exp2(e if e < -FLOOR else -FLOOR)
            sums[0, k] += rho
            sums[1, k] += rho * a
            sums[2, k] += a
            sums[3, k] = a if a < sums[3, k] else sums[3, k]
            sums[4, k] = a if a > sums[4, k] else sums[4, k]


_INVERT = {1: _invert_1d, 2: _invert_2d, 3: _invert_3d}


def log_det_inverse(D2u: Array, inverse: Array | None = None) -> tuple[Array, Array]:
    """log det(I + D²u), −inf where that matrix is not positive definite, and the packed inverse.

    The inverse is written to ``inverse`` if given, which may be ``D2u`` itself.

    ``D2u`` is packed, (dim(dim+1)/2, *shape).
    """
    inverse = np.empty_like(D2u) if inverse is None else inverse
    flat = D2u.reshape(D2u.shape[0], -1)
    logdet, flat_inverse = np.empty(flat.shape[1]), inverse.reshape(flat.shape)
    kernel = _INVERT[D2u.ndim - 1]

    def work(b: slice) -> None:
        kernel(flat, b.start, b.stop, logdet, flat_inverse)
        _logarithms(logdet, b.start, b.stop)

    each(work, blocks(logdet.size, logdet.size))
    return logdet.reshape(D2u.shape[1:]), inverse


@dataclass(frozen=True)
class DensitySums:
    """Over all points: of ρ = exp(A − f), of ρA and of A; least and greatest A."""

    mass: float
    entropy: float
    total: float
    low: float
    high: float


def density_sums(A: Array, f: Array) -> DensitySums:
    """Sums and extremes in one pass, from finite arrays of one shape."""
    parts, speed, source = blocks(A.size, A.size), A.reshape(-1), f.reshape(-1)
    sums = np.zeros((len(parts), 5, LANES))
    sums[:, 3], sums[:, 4] = np.inf, -np.inf
    each(lambda b, out: _density_sums(speed, source, b.start, b.stop, out), parts, list(sums))
    return DensitySums(*sums[:, :3].sum(axis=(0, 2)).tolist(), float(sums[:, 3].min()), float(sums[:, 4].max()))


def add(v: Array, factor: Array, weight: float, out: Array) -> Array:
    """out += weight·factor·v of arrays of one shape, on all threads."""
    v, factor, sums = v.reshape(-1), factor.reshape(-1), out.reshape(-1)
    each(lambda b: add_product(v[b], factor, weight, b.start, sums), blocks(out.size, out.size))
    return out


def add_difference(total: Array, a: Array, b: Array) -> None:
    """total += a − b of arrays of one shape, on all threads."""
    flat, a, b = total.reshape(-1), a.reshape(-1), b.reshape(-1)
    each(lambda part: _add_difference(flat, a, b, part.start, part.stop), blocks(flat.size, flat.size))


def all_finite(values: Array) -> bool:
    """Whether neither NaN nor infinity is among them."""
    flat = values.reshape(-1)
    return sum(each(lambda b: _finite(flat, b.start, b.stop), blocks(flat.size, flat.size))) == flat.size


@vectorised
def _apply_1d(S, begin, end, v):
    for i in range(np.uint64(begin), np.uint64(end)):
        v[0, i] *= S[0, i]


@vectorised
def _apply_2d(S, begin, end, v):
    for i in range(np.uint64(begin), np.uint64(end)):
        a, b = v[0, i], v[1, i]
        v[0, i] = S[0, i] * a + S[1, i] * b
        v[1, i] = S[1, i] * a + S[2, i] * b


@vectorised
def _apply_3d(S, begin, end, v):
    for i in range(np.uint64(begin), np.uint64(end)):
        a, b, c = v[0, i], v[1, i], v[2, i]
        v[0, i] = S[0, i] * a + S[1, i] * b + S[2, i] * c
        v[1, i] = S[1, i] * a + S[3, i] * b + S[4, i] * c
        v[2, i] = S[2, i] * a + S[4, i] * b + S[5, i] * c


_APPLY = {1: _apply_1d, 2: _apply_2d, 3: _apply_3d}


def apply(S: Array, v: Array) -> Array:
    """The packed symmetric matrices S times the vectors v (dim, *shape), written over v."""
    flat_S, flat_v, kernel = S.reshape(S.shape[0], -1), v.reshape(v.shape[0], -1), _APPLY[v.shape[0]]
    each(lambda b: kernel(flat_S, b.start, b.stop, flat_v), blocks(flat_v.shape[1], flat_v.shape[1]))
    return v
