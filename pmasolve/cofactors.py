"""The elliptic equation at every grid point: r = μ − ν(x+∇u) det(I+D²u) and the matrices ν cof(I+D²u) of its linearisation.

Symmetric matrices are packed as in `pointwise`.  Every kernel makes one pass over memory.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .domains import Array
from .threads import blocks, each

# Each kernel turns the packed Hessian H into ν cof(I+H), writes r, and returns ∑|r| and max |r|/det.


@njit(cache=True, nogil=True, error_model="numpy")
def _balance_1d(H, nu, mu, r):
    total, worst = 0.0, 0.0
    for i in range(r.size):
        det = 1.0 + H[0, i]
        r[i] = mu[i] - nu[i] * det
        total += abs(r[i])
        worst = max(worst, abs(r[i]) / det)
        H[0, i] = nu[i]
    return total, worst


@njit(cache=True, nogil=True, error_model="numpy")
def _balance_2d(H, nu, mu, r):
    total, worst = 0.0, 0.0
    for i in range(r.size):
        a, b, c, w = 1.0 + H[0, i], H[1, i], 1.0 + H[2, i], nu[i]
        det = a * c - b * b
        r[i] = mu[i] - w * det
        total += abs(r[i])
        worst = max(worst, abs(r[i]) / det)
        H[0, i], H[1, i], H[2, i] = w * c, -w * b, w * a
    return total, worst


@njit(cache=True, nogil=True, error_model="numpy")
def _balance_3d(H, nu, mu, r):
    total, worst = 0.0, 0.0
    for i in range(r.size):
        a, b, c, w = 1.0 + H[0, i], H[1, i], H[2, i], nu[i]
        d, e, f = 1.0 + H[3, i], H[4, i], 1.0 + H[5, i]
        A, B, C = d * f - e * e, c * e - b * f, b * e - c * d
        det = a * A + b * B + c * C
        r[i] = mu[i] - w * det
        total += abs(r[i])
        worst = max(worst, abs(r[i]) / det)
        H[0, i], H[1, i], H[2, i] = w * A, w * B, w * C
        H[3, i], H[4, i], H[5, i] = w * (a * f - c * c), w * (b * c - a * e), w * (a * d - b * b)
    return total, worst


# Each returns how many of the matrices I+H are not positive definite, by leading minors; NaN counts.


@njit(cache=True, nogil=True)
def _indefinite_1d(H):
    bad = 0
    for i in range(H.shape[1]):
        bad += not (1.0 + H[0, i] > 0.0)
    return bad


@njit(cache=True, nogil=True)
def _indefinite_2d(H):
    bad = 0
    for i in range(H.shape[1]):
        a, c = 1.0 + H[0, i], 1.0 + H[2, i]
        bad += not ((a > 0.0) & (a * c - H[1, i] * H[1, i] > 0.0))
    return bad


@njit(cache=True, nogil=True)
def _indefinite_3d(H):
    bad = 0
    for i in range(H.shape[1]):
        a, b, c = 1.0 + H[0, i], H[1, i], H[2, i]
        d, e, f = 1.0 + H[3, i], H[4, i], 1.0 + H[5, i]
        det = a * (d * f - e * e) + b * (c * e - b * f) + c * (b * e - c * d)
        bad += not ((a > 0.0) & (a * d - b * b > 0.0) & (det > 0.0))
    return bad


# Each writes A v over v.


@njit(cache=True, nogil=True)
def _flux_1d(A, v):
    for i in range(v.shape[1]):
        v[0, i] *= A[0, i]


@njit(cache=True, nogil=True)
def _flux_2d(A, v):
    for i in range(v.shape[1]):
        x, y = v[0, i], v[1, i]
        v[0, i] = A[0, i] * x + A[1, i] * y
        v[1, i] = A[1, i] * x + A[2, i] * y


@njit(cache=True, nogil=True)
def _flux_3d(A, v):
    for i in range(v.shape[1]):
        x, y, z = v[0, i], v[1, i], v[2, i]
        v[0, i] = A[0, i] * x + A[1, i] * y + A[2, i] * z
        v[1, i] = A[1, i] * x + A[3, i] * y + A[4, i] * z
        v[2, i] = A[2, i] * x + A[4, i] * y + A[5, i] * z


_BALANCE = {1: _balance_1d, 2: _balance_2d, 3: _balance_3d}
_INDEFINITE = {1: _indefinite_1d, 2: _indefinite_2d, 3: _indefinite_3d}
_FLUX = {1: _flux_1d, 2: _flux_2d, 3: _flux_3d}


def balance(D2u: Array, nu: Array, mu: Array, r: Array) -> tuple[float, float]:
    """Write r = μ − ν det(I+D²u); overwrite D²u (rows, *shape) by ν cof(I+D²u); return mean |r| and max |r|/det.

    ``nu`` is ν at x + ∇u.
    """
    H, kernel = D2u.reshape(D2u.shape[0], -1), _BALANCE[r.ndim]
    flat_nu, flat_mu, flat_r = nu.reshape(-1), mu.reshape(-1), r.reshape(-1)
    parts = blocks(r.size, r.size)
    sums = np.empty((len(parts), 2))

    def work(k: int, b: slice) -> None:
        sums[k] = kernel(H[:, b], flat_nu[b], flat_mu[b], flat_r[b])

    each(work, list(range(len(parts))), parts)
    return float(sums[:, 0].sum()) / r.size, float(sums[:, 1].max())


def positive_definite(D2u: Array) -> bool:
    """Whether I + D²u is positive definite at every point."""
    H, kernel, bad = D2u.reshape(D2u.shape[0], -1), _INDEFINITE[D2u.ndim - 1], []
    each(lambda b: bad.append(kernel(H[:, b])), blocks(H.shape[1], H.shape[1]))
    return not any(bad)


def flux(A: Array, v: Array) -> None:
    """The packed symmetric matrices A times the vectors v (dim, *shape), written over v."""
    S, w, kernel = A.reshape(A.shape[0], -1), v.reshape(v.shape[0], -1), _FLUX[v.shape[0]]
    each(lambda b: kernel(S[:, b], w[:, b]), blocks(w.shape[1], w.shape[1]))
