"""The reference e^{−g} of a sampler: a normal distribution, its points, its density and its score."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtri
from scipy.stats import qmc

from ...gaussian.normal import Normal
from ...machine.arrays import Array, generator, integer

EDGE = 1e-12  # Sobol' points stay so far from 0 and 1

FRESH = 8192  # points of a law that a summary draws


@dataclass(frozen=True, eq=False)
class Nodes:
    """Points with weights of sum 1: integrals against the reference.

    Parameters
    ----------
    points : (n, d).
    weights : (n,).
    """

    points: Array = field(repr=False)
    weights: Array = field(repr=False)

    def mean(self, values: Array) -> Array:
        """∫values, over the first axis."""
        return self.weights @ values


@dataclass(frozen=True, eq=False)
class Reference:
    """N(mean, factor·factorᵀ) in float64.

    Examples
    --------
    >>> nu = Reference.of(None, 2)
    >>> nu.sobol(1024).points.mean(axis=0).round(2).tolist(), float(nu.log_density(np.zeros((1, 2))).round(4)[0])
    ([0.0, 0.0], -1.8379)
    """

    mean: Array = field(repr=False)
    factor: Array = field(repr=False)

    @classmethod
    def of(cls, normal: Normal | Reference | None, dim: int) -> Reference:
        """The given normal, or N(0, I); a ``ValueError`` for another dimension."""
        if isinstance(normal, Reference):
            return normal
        if normal is None:
            return cls(np.zeros(dim), np.eye(dim))
        if not isinstance(normal, Normal) or normal.dim != dim:
            raise ValueError(f"reference={normal!r}: give a gaussian.Normal in {dim} dimensions, or None for N(0, I)")
        return cls(normal.mean, normal.factor)

    def drawn(self, standard: Array) -> Array:
        """Points of N(0, I) as points of the reference, (n, d)."""
        return standard @ self.factor.T + self.mean

    def white(self, y: Array) -> Array:
        """Points of the reference as points of N(0, I), (n, d)."""
        return np.linalg.solve(self.factor, (y - self.mean).T).T

    def log_density(self, y: Array) -> Array:
        """−g, (n,)."""
        constant = len(self.mean) * np.log(2 * np.pi) + 2 * np.sum(np.log(np.diag(self.factor)))
        return -0.5 * np.sum(self.white(y) ** 2, axis=1) - 0.5 * constant

    def slope(self, y: Array) -> Array:
        """∇g, (n, d)."""
        return np.linalg.solve(self.factor.T, self.white(y).T).T

    def sobol(self, count: int, seed: int = 0) -> Nodes:
        """At least ``count`` scrambled Sobol' points, a power of two, of equal weights."""
        power = int(np.ceil(np.log2(integer(count, "count"))))
        u = np.clip(qmc.Sobol(len(self.mean), seed=seed).random_base2(power), EDGE, 1 - EDGE)
        return Nodes(self.drawn(ndtri(u)), np.full(1 << power, 1.0 / (1 << power)))

    def sample(self, count: int, seed: int | np.random.Generator) -> Array:
        """Independent points, (count, d)."""
        rng = generator(seed)
        return self.drawn(rng.standard_normal((integer(count, "count", 0), len(self.mean))))
