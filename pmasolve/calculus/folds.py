"""The passes over memory of a cosine transform, before and after the FFTs; what they compute is told in `cosines`.

Arrays are rows along the last axis; complex ones are rows of pairs of reals.
"""

from __future__ import annotations

import numpy as np
from numba import njit

# Unsigned indices, and one assignment to an array at a time: else the loops would not use vector instructions.


@njit(cache=True, nogil=True, fastmath={"contract"})
def synthesise(c, sources, weights, begin, end, V):
    """t(P − iQ), P and Q sums of rows of c, two neighbours of which make one complex number."""
    one, two, n = np.uint64(1), np.uint64(2), np.uint64(c.shape[1])
    lanes = n // two + n % two
    P, Q = np.zeros(two * lanes), np.zeros(two * lanes)
    for r in range(begin, end):
        g, h, i, j = c[sources[r, 0]], c[sources[r, 1]], c[sources[r, 2]], c[sources[r, 3]]
        u, v, A = weights[r, 0], weights[r, 1], weights[r, 2]
        B, C, D = weights[r, 3], weights[r, 4], weights[r, 5]
        out = V[r]
        for k in range(n):
            P[k] = A * g[k] - D * j[k]
            Q[k] = B * h[k] + C * i[k]
        for k in range(lanes):
            x, y = P[two * k] + Q[two * k + one], P[two * k + one] - Q[two * k]
            out[two * k], out[two * k + one] = u * x - v * y, u * y + v * x


@njit(cache=True, nogil=True, fastmath={"contract"})
def analyse(V, sources, weights, begin, end, c):
    """The way back: sums of rows of V with complex weights."""
    one, two, n = np.uint64(1), np.uint64(2), np.uint64(c.shape[1])
    used = n + n % two
    S, T = np.empty(used), np.empty(used)
    for r in range(begin, end):
        g, h, i, j = V[sources[r, 0]], V[sources[r, 1]], V[sources[r, 2]], V[sources[r, 3]]
        x, y, z, w = weights[r, 0], weights[r, 1], weights[r, 2], weights[r, 3]
        for k in range(used):
            S[k] = x.real * g[k] + y.real * h[k] + z.real * i[k] + w.real * j[k]
            T[k] = x.imag * g[k] + y.imag * h[k] + z.imag * i[k] + w.imag * j[k]
        out = c[r]
        for k in range(n // two):
            out[two * k], out[two * k + one] = S[two * k] - T[two * k + one], S[two * k + one] + T[two * k]
        if n % two:
            out[n - one] = S[n - one] - T[n]


# Along the last axis, n points; of even lines the spectra are folded.  Indices that are known from the width of the weights, and
# loops from 0, where a weight of 0 meets xₙ: on short lines all else costs twice the time.


@njit(cache=True, nogil=True, fastmath={"contract"})
def combine(X, weights, Y):
    """Folded spectra from the coefficients k, n − k, m − k and m + k along each row, n = 2m; xₙ must be finite."""
    one, two, m = np.uint64(1), np.uint64(2), np.uint64(weights.shape[1])
    for r in range(X.shape[0]):
        x, out = X[r], Y[r]
        for k in range(m):
            a, b, c, d = x[k], x[two * m - k], x[m - k], x[m + k]
            out[two * k] = weights[0, k] * a + weights[2, k] * b + weights[4, k] * c + weights[6, k] * d
            out[two * k + one] = weights[1, k] * a + weights[3, k] * b + weights[5, k] * c + weights[7, k] * d


@njit(cache=True, nogil=True, fastmath={"contract"})
def combine_odd(X, weights, Y):
    """Half spectra from the coefficients k and n − k, n odd; xₙ must be finite."""
    one, two, half = np.uint64(1), np.uint64(2), np.uint64(weights.shape[1])
    for r in range(X.shape[0]):
        x, out = X[r], Y[r]
        for k in range(half):
            a, b = x[k], x[two * half - one - k]
            out[two * k] = weights[0, k] * a + weights[2, k] * b
            out[two * k + one] = weights[1, k] * a + weights[3, k] * b


@njit(cache=True, nogil=True, fastmath={"contract"})
def extract(Y, weights, X):
    """The way back: the coefficients k and m + k; what is left of a row of X is 0."""
    one, two, m = np.uint64(1), np.uint64(2), np.uint64(weights.shape[1])
    re, im = np.empty(weights.shape[1] + 1), np.empty(weights.shape[1] + 1)
    for r in range(X.shape[0]):
        y, out = Y[r], X[r]
        for k in range(m):
            re[k] = y[two * k]
            im[k] = y[two * k + one]
        re[m], im[m] = re[0], im[0]
        for k in range(m):
            a, b, c, d = re[k], im[k], re[m - k], im[m - k]
            out[k] = weights[0, k] * a + weights[1, k] * b + weights[2, k] * c + weights[3, k] * d
        for k in range(m):
            a, b, c, d = re[k], im[k], re[m - k], im[m - k]
            out[m + k] = weights[4, k] * a + weights[5, k] * b + weights[6, k] * c + weights[7, k] * d
        out[two * m :] = 0.0


@njit(cache=True, nogil=True, fastmath={"contract"})
def extract_odd(V, weights, X):
    """The way back: the coefficients k and n − k; what is left of a row of X is 0."""
    one, two, half = np.uint64(1), np.uint64(2), np.uint64(weights.shape[1])
    for r in range(X.shape[0]):
        v, out = V[r], X[r]
        for k in range(half):
            out[two * half - one - k] = weights[2, k] * v[two * k] + weights[3, k] * v[two * k + one]
        for k in range(half):
            out[k] = weights[0, k] * v[two * k] + weights[1, k] * v[two * k + one]
        out[two * half - one :] = 0.0
