"""The elliptic equation at every grid point: r = μ − ν(x+∇u) det(I+D²u) and the matrices ν cof(I+D²u) of its linearisation.

Symmetric matrices are packed as in `hessians`.  Every kernel makes one pass over memory.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..calculus.hessians import POINTS_TOGETHER, WITH_NAN, vectorised
from ..machine.arrays import Array
from ..machine.compiling import inner
from ..machine.threads import over

# Each kernel turns the packed Hessian H into ν cof(I+H), writes r, and adds to the sums |r| and max |r|/det of some points.


@inner(**WITH_NAN)
def _balance_1d(H, begin, end, nu, mu, r, total, worst):
    for i in range(np.uint64(begin), np.uint64(end)):
        k = i - np.uint64(begin)
        det = 1.0 + H[0, i]
        r[i] = mu[i] - nu[i] * det
        total[k] += abs(r[i])
        ratio = abs(r[i]) / det
        worst[k] = ratio if ratio > worst[k] else worst[k]
        H[0, i] = nu[i]


@inner(**WITH_NAN)
def _balance_2d(H, begin, end, nu, mu, r, total, worst):
    for i in range(np.uint64(begin), np.uint64(end)):
        k = i - np.uint64(begin)
        a, b, c, w = 1.0 + H[0, i], H[1, i], 1.0 + H[2, i], nu[i]
        det = a * c - b * b
        r[i] = mu[i] - w * det
        total[k] += abs(r[i])
        ratio = abs(r[i]) / det
        worst[k] = ratio if ratio > worst[k] else worst[k]
        H[0, i], H[1, i], H[2, i] = w * c, -w * b, w * a


@inner(**WITH_NAN)
def _balance_3d(H, begin, end, nu, mu, r, total, worst):
    for i in range(np.uint64(begin), np.uint64(end)):
        k = i - np.uint64(begin)
        a, b, c, w = 1.0 + H[0, i], H[1, i], H[2, i], nu[i]
        d, e, f = 1.0 + H[3, i], H[4, i], 1.0 + H[5, i]
        A, B, C = d * f - e * e, c * e - b * f, b * e - c * d
        det = a * A + b * B + c * C
        r[i] = mu[i] - w * det
        total[k] += abs(r[i])
        ratio = abs(r[i]) / det
        worst[k] = ratio if ratio > worst[k] else worst[k]
        H[0, i], H[1, i], H[2, i] = w * A, w * B, w * C
        H[3, i], H[4, i], H[5, i] = w * (a * f - c * c), w * (b * c - a * e), w * (a * d - b * b)


@njit(cache=True, nogil=True)
def _balance(shape, H, begin, end, nu, mu, r, total, worst):
    """Add to ∑|r| and max |r|/det; of the three kernels the one for len(shape) axes is compiled."""
    for first in range(begin, end, POINTS_TOGETHER):
        last = min(first + POINTS_TOGETHER, end)
        if len(shape) == 1:
            _balance_1d(H, first, last, nu, mu, r, total, worst)
        elif len(shape) == 2:
            _balance_2d(H, first, last, nu, mu, r, total, worst)
        else:
            _balance_3d(H, first, last, nu, mu, r, total, worst)


# Each returns how many of the matrices I+H are not positive definite, by leading minors; NaN counts.


@vectorised
def _indefinite_1d(H, begin, end):
    bad = 0
    for i in range(np.uint64(begin), np.uint64(end)):
        bad += not (1.0 + H[0, i] > 0.0)
    return bad


@vectorised
def _indefinite_2d(H, begin, end):
    bad = 0
    for i in range(np.uint64(begin), np.uint64(end)):
        a, c = 1.0 + H[0, i], 1.0 + H[2, i]
        bad += not ((a > 0.0) & (a * c - H[1, i] * H[1, i] > 0.0))
    return bad


@vectorised
def _indefinite_3d(H, begin, end):
    bad = 0
    for i in range(np.uint64(begin), np.uint64(end)):
        a, b, c = 1.0 + H[0, i], H[1, i], H[2, i]
        d, e, f = 1.0 + H[3, i], H[4, i], 1.0 + H[5, i]
        det = a * (d * f - e * e) + b * (c * e - b * f) + c * (b * e - c * d)
        bad += not ((a > 0.0) & (a * d - b * b > 0.0) & (det > 0.0))
    return bad


_INDEFINITE = {1: _indefinite_1d, 2: _indefinite_2d, 3: _indefinite_3d}


def balance(D2u: Array, nu: Array, mu: Array, r: Array) -> tuple[float, float]:
    """Write r = μ − ν det(I+D²u); overwrite D²u (rows, *shape) by ν cof(I+D²u); return ∑|r| and max |r|/det.

    ``nu`` is ν at x + ∇u.
    """
    H = D2u.reshape(D2u.shape[0], -1)

    def work(begin: int, end: int) -> tuple[float, float]:
        total, worst = np.zeros((2, POINTS_TOGETHER))
        _balance(r.shape, H, begin, end, nu.reshape(-1), mu.reshape(-1), r.reshape(-1), total, worst)
        return float(total.sum()), float(worst.max())

    totals, worst = np.transpose(over(work, r.size))
    return float(totals.sum()), float(worst.max())


def positive_definite(D2u: Array) -> bool:
    """Whether I + D²u is positive definite at every point."""
    H, kernel = D2u.reshape(D2u.shape[0], -1), _INDEFINITE[D2u.ndim - 1]
    return not any(over(kernel, H.shape[1], H))
