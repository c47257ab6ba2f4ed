"""The passes over memory of a box's transforms, before and after the FFTs; what they compute is told in `cosines`.

Arrays are rows along the last axis, half spectra rows of pairs of reals.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def fold(x, order, signs, sign, v):
    """Rows of v = (x₀, x₂, …, x₃, x₁), with signs."""
    n = x.shape[1]
    for r in range(order.size):
        source, even = order[r], signs[r]
        odd = even * sign
        for j in range(n // 2):
            v[r, j] = even * x[source, 2 * j]
            v[r, n - 1 - j] = odd * x[source, 2 * j + 1]
        if n % 2:
            v[r, n // 2] = even * x[source, n - 1]


@njit(cache=True, nogil=True)
def unfold(v, order, signs, sign, x):
    """The way back."""
    n = v.shape[1]
    for r in range(order.size):
        target, even = order[r], signs[r]
        odd = even * sign
        for j in range(n // 2):
            x[target, 2 * j] = even * v[r, j]
            x[target, 2 * j + 1] = odd * v[r, n - 1 - j]
        if n % 2:
            x[target, n - 1] = even * v[r, n // 2]


@njit(cache=True, nogil=True)
def unfold_product(v, order, signs, sign, factor, x):
    """The same times ``factor``, added."""
    n = v.shape[1]
    for r in range(order.size):
        target, even = order[r], signs[r]
        odd = even * sign
        for j in range(n // 2):
            x[target, 2 * j] += even * factor[target, 2 * j] * v[r, j]
            x[target, 2 * j + 1] += odd * factor[target, 2 * j + 1] * v[r, n - 1 - j]
        if n % 2:
            x[target, n - 1] += even * factor[target, n - 1] * v[r, n // 2]


# Unsigned indices: numba would test signed ones for wrapping around, and the loops would not use vector instructions.


@njit(cache=True, nogil=True, fastmath={"contract"})
def analyse(V, sources, weights, last, c):
    """Cosine coefficients from the half spectrum, whose rows are pairs of reals."""
    one, two, n = np.uint64(1), np.uint64(2), np.uint64(c.shape[1])
    half = np.uint64(last.shape[1])
    T = np.empty((2, half))
    for r in range(c.shape[0]):
        g, h = sources[r, 0], sources[r, 1]
        a, b, p, q = weights[r, 0].real, weights[r, 0].imag, weights[r, 1].real, weights[r, 1].imag
        for k in range(np.uint64(0), half):
            x, y, z, w = V[g, two * k], V[g, two * k + one], V[h, two * k], V[h, two * k + one]
            T[0, k], T[1, k] = a * x - b * y + p * z - q * w, a * y + b * x + p * w + q * z
        if sources.shape[1] == 4:
            g, h = sources[r, 2], sources[r, 3]
            a, b, p, q = weights[r, 2].real, weights[r, 2].imag, weights[r, 3].real, weights[r, 3].imag
            for k in range(np.uint64(0), half):
                x, y, z, w = V[g, two * k], V[g, two * k + one], V[h, two * k], V[h, two * k + one]
                T[0, k] += a * x - b * y + p * z - q * w
                T[1, k] += a * y + b * x + p * w + q * z
        for k in range(one, half):
            c[r, n - k] = last[2, k] * T[0, k] - last[3, k] * T[1, k]
        for k in range(np.uint64(0), half):
            c[r, k] = last[0, k] * T[0, k] - last[1, k] * T[1, k]


@njit(cache=True, nogil=True, fastmath={"contract"})
def synthesise(c, sources, weights, begin, end, V):
    """Columns begin … end − 1 of t(P − iQ), rows of pairs of reals, for the complex lines cₖ + icₙ₋ₖ; cₙ = 0."""
    one, two, n = np.uint64(1), np.uint64(2), np.uint64(c.shape[1])
    first, last = np.uint64(max(begin, 1)), np.uint64(end)
    for r in range(V.shape[0]):
        u, v, A, B = weights[r, 0], weights[r, 1], weights[r, 2], weights[r, 3]
        h, i = sources[r, 0], sources[r, 1]
        if sources.shape[1] == 2:
            if begin == 0:
                P, Q = A * c[h, 0], B * c[i, 0]
                V[r, 0], V[r, 1] = u * P + v * Q, v * P - u * Q
            for k in range(first, last):
                x, y = A * c[h, k] + B * c[i, n - k], A * c[h, n - k] - B * c[i, k]
                V[r, two * k], V[r, two * k + one] = u * x - v * y, u * y + v * x
        else:
            j, m, C, D = sources[r, 2], sources[r, 3], weights[r, 4], weights[r, 5]
            if begin == 0:
                P, Q = A * c[h, 0] - D * c[m, 0], B * c[i, 0] + C * c[j, 0]
                V[r, 0], V[r, 1] = u * P + v * Q, v * P - u * Q
            for k in range(first, last):
                P, Q = A * c[h, k] - D * c[m, k], B * c[i, k] + C * c[j, k]
                p, q = A * c[h, n - k] - D * c[m, n - k], B * c[i, n - k] + C * c[j, n - k]
                x, y = P + q, p - Q
                V[r, two * k], V[r, two * k + one] = u * x - v * y, u * y + v * x


@njit(cache=True, nogil=True, fastmath={"contract"})
def combine(W, last, V):
    """Half spectrum along the last axis, from the series' coefficients k and n − k as real and imaginary parts."""
    one, two = np.uint64(1), np.uint64(2)
    for r in range(W.shape[0]):
        for k in range(np.uint64(0), np.uint64(last.shape[1])):
            x, y = W[r, two * k], W[r, two * k + one]
            V[r, two * k] = last[0, k] * x + last[2, k] * y
            V[r, two * k + one] = last[1, k] * x + last[3, k] * y
