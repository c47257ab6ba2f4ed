"""Half spectra of real lines by complex FFTs of half the length (Sorensen et al., IEEE Trans. ASSP 35, 1987).

A line of n = 2m real values, read as m complex numbers x₂ⱼ + ix₂ⱼ₊₁, has an FFT Y, here called the folded spectrum.  With
eₖ = exp(2πik/n) the half spectrum is Xₖ = ½(1 − ie*ₖ)Yₖ + ½(1 + ie*ₖ)Y*ₘ₋ₖ, Yₘ = Y₀, and back Yₖ = (1 + ieₖ)Xₖ + (1 − ieₖ)X*ₘ₋ₖ for
transforms without factors.  Complex FFTs use vector instructions throughout, real ones hardly: they take up to three times as long.
The sums cost a pass over memory that derivatives need in any case, to weigh spectra.  Lines of odd length stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..machine.arrays import Array

Complex = NDArray[np.complex128]


@dataclass(frozen=True)
class RealLine:
    """Lines of so many points."""

    points: int

    @property
    def odd(self) -> bool:
        """Nothing is folded then."""
        return self.points % 2 == 1

    @property
    def half(self) -> int:
        """Length of the half spectrum."""
        return self.points // 2 + 1

    @property
    def folded(self) -> int:
        """Length of the folded spectrum."""
        return (self.points + 1) // 2

    @cached_property
    def _turn(self) -> Complex:
        """ieₖ, which is −i at Nyquist."""
        turn = 1j * np.exp(2j * np.pi / self.points * np.arange(self.half))
        turn[self.folded :] = -1j
        return turn

    def folding(self, weights: Array | Complex) -> tuple[Complex, Complex]:
        """P, Q of Yₖ = PₖXₖ + QₖX*ₘ₋ₖ, m = ⌊n/2⌋, where the half spectrum is X times ``weights``."""
        own, other = weights + 0j, np.conj(weights[::-1])
        if self.odd:
            return own, 0 * own
        turn = self._turn[:-1]
        return own[:-1] * (1 + turn), other[:-1] * (1 - turn)

    @cached_property
    def unfolding(self) -> tuple[Complex, Complex]:
        """P, Q of Xₖ = PₖYₖ + QₖY*ₘ₋ₖ."""
        one = np.ones(self.half) + 0j
        if self.odd:
            return one, 0 * one
        return 0.5 * (1 + np.conj(self._turn)), 0.5 * (1 - np.conj(self._turn))


def planar(weights: tuple[Complex, ...]) -> Array:
    """Real and imaginary parts of m complex rows as 2m rows: compiled loops over separate parts use vector instructions."""
    return np.concatenate([[w.real, w.imag] for w in weights])


@njit(cache=True, nogil=True, fastmath={"contract"})
def fold(c, weights, last, out):
    """Pₖcₖ + Qₖc*ₗ₋ₖ, l = ``last``, of rows of complex numbers as pairs of reals, where c₀ and cₗ count as real.

    Nothing sees the imaginary parts of the constant and of Nyquist's mode: what redundant coefficients leave there must not fold.
    """
    one, two, end = np.uint64(1), np.uint64(2), np.uint64(2 * last)
    for r in range(c.shape[0]):
        for k in range(np.uint64(weights.shape[1])):
            i, j = two * k, end - two * k
            a, b, x, y = c[r, i], c[r, i + one], c[r, j], c[r, j + one]
            p, q, s, t = weights[0, k], weights[1, k], weights[2, k], weights[3, k]
            out[r, i], out[r, i + one] = p * a - q * b + s * x + t * y, p * b + q * a + t * x - s * y
        out[r, 0] = weights[0, 0] * c[r, 0] + weights[2, 0] * c[r, end]
        out[r, 1] = weights[1, 0] * c[r, 0] + weights[3, 0] * c[r, end]


@njit(cache=True, nogil=True, fastmath={"contract"})
def unfold(Y, weights, X):
    """Half spectra PₖYₖ + QₖY*ₘ₋ₖ of lines of 2m points; X₀ = Re Y₀ + Im Y₀ and Xₘ = Re Y₀ − Im Y₀.  Rows of Y have room for Yₘ."""
    one, two, m = np.uint64(1), np.uint64(2), np.uint64(weights.shape[1])
    end = two * m
    for r in range(X.shape[0]):
        for k in range(m):
            i, j = two * k, end - two * k
            a, b, x, y = Y[r, i], Y[r, i + one], Y[r, j], Y[r, j + one]
            p, q, s, t = weights[0, k], weights[1, k], weights[2, k], weights[3, k]
            X[r, i], X[r, i + one] = p * a - q * b + s * x + t * y, p * b + q * a + t * x - s * y
        X[r, 0], X[r, 1] = Y[r, 0] + Y[r, 1], 0.0
        X[r, end], X[r, end + one] = Y[r, 0] - Y[r, 1], 0.0
