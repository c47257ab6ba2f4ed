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


@njit(cache=True, nogil=True, fastmath={"contract"})
def combine(X, weights, points, V):
    """Half spectra from the coefficients k and n − k along each row, n = ``points``."""
    one, two, n = np.uint64(1), np.uint64(2), np.uint64(points)
    for r in range(X.shape[0]):
        x, out = X[r], V[r]
        out[0], out[1] = weights[0, 0] * x[0], weights[1, 0] * x[0]
        for k in range(one, np.uint64(weights.shape[1])):
            a, b = x[k], x[n - k]
            out[two * k] = weights[0, k] * a + weights[2, k] * b
            out[two * k + one] = weights[1, k] * a + weights[3, k] * b


@njit(cache=True, nogil=True, fastmath={"contract"})
def extract(V, weights, points, X):
    """The way back; what is left of a row of X is 0."""
    one, two, n, half = np.uint64(1), np.uint64(2), np.uint64(points), np.uint64(weights.shape[1])
    for r in range(X.shape[0]):
        v, out = V[r], X[r]
        out[n:] = 0.0
        for k in range(one, half):
            out[n - k] = weights[2, k] * v[two * k] - weights[3, k] * v[two * k + one]
        for k in range(np.uint64(0), half):
            out[k] = weights[0, k] * v[two * k] - weights[1, k] * v[two * k + one]
