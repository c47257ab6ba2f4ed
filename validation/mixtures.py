"""Mixtures of normal distributions on the line: density, derivatives, and the curvature L of arXiv 2411.01629."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial.hermite_e import hermeval
from numpy.typing import ArrayLike

from pmasolve.machine.arrays import Array


@dataclass(frozen=True)
class Mixture:
    """∑pᵢ N(mᵢ, vᵢ²)."""

    p: tuple[float, ...]
    m: tuple[float, ...]
    v: tuple[float, ...]

    def _standard(self, y: ArrayLike) -> tuple[Array, Array, Array, Array]:
        """pᵢ, vᵢ, tᵢ = (y − mᵢ)/vᵢ and φ(tᵢ), components last."""
        p, m, v = (np.array(values) for values in (self.p, self.m, self.v))
        t = (np.asarray(y, dtype=np.float64)[..., None] - m) / v
        return p, v, t, np.exp(-0.5 * t**2) / np.sqrt(2 * np.pi)

    def derivative(self, y: ArrayLike, order: int) -> Array:
        """The density's derivative: ∑pᵢ(−1)ᵏHeₖ(tᵢ)φ(tᵢ)/vᵢᵏ⁺¹."""
        p, v, t, phi = self._standard(y)
        hermite = hermeval(t, [0.0] * order + [1.0])
        return np.sum((-1) ** order * p * v ** -(order + 1.0) * hermite * phi, axis=-1)

    def density(self, y: ArrayLike) -> Array:
        """p_Y."""
        return self.derivative(y, 0)

    def scores(self, y: ArrayLike) -> tuple[Array, Array, Array]:
        """(log p)′, (log p)″ and (log p)‴."""
        p, first, second, third = (self.derivative(y, k) for k in range(4))
        s, q = first / p, second / p
        return s, q - s**2, third / p - 3 * s * q + 2 * s**3

    def loss(self, y: ArrayLike, *, power: int = -1) -> Array:
        """L by (5.3); ``power`` = 1 has the denominators that are printed."""
        p, v, t, phi = self._standard(y)
        total = np.sum(p * v**power * phi, axis=-1)
        second, first = np.sum(p * v**-3 * (t**2 - 1) * phi, axis=-1), np.sum(p * v**-2 * t * phi, axis=-1)
        return 1 + second / total - (first / total) ** 2
