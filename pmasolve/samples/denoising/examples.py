"""The laws of arXiv 2411.01629's worked examples, by name."""

from __future__ import annotations

from dataclasses import dataclass
from math import log, pi

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erfcx, ndtr

from ...machine.arrays import Array
from .mixtures import Mixture
from .points import Points
from .sources import DenoisingPosterior, rows_of


def dirac(dim: int = 1) -> Points:
    """Example 1: X = 0; L = 0, ζ* = 1/(1 − e^{−2t}).

    Parameters
    ----------
    dim : dimension.

    Returns
    -------
    Points : one point.

    Examples
    --------
    >>> dirac().curvature(2.0, [0.3])
    array([0.])
    """
    return Points(np.zeros((1, dim)))


def normal(variance: float, dim: int = 1) -> Mixture:
    """Example 2: N(0, σ² I); L ≡ r²σ²/(1 + r²σ²), ζ* = 1/(1 + e^{−2t}(σ² − 1)).

    Parameters
    ----------
    variance : σ² ≥ 0.
    dim : dimension.

    Returns
    -------
    Mixture : of one component.

    Examples
    --------
    >>> normal(1.0).curvature(2.0, [0.3])
    array([0.8])
    """
    return Mixture(np.ones(1), np.zeros((1, dim)), np.array([variance]))


def two_points(distance: float = 1.0) -> Points:
    """Example 4: X = ±µ with equal mass; L_r(y) = µ²r² sech²(µry), r* = 1/µ.

    Parameters
    ----------
    distance : µ > 0.

    Returns
    -------
    Points : two of equal mass.

    Examples
    --------
    >>> float(two_points(2.0).curvature(0.5, [0.0])[0])
    1.0
    """
    return Points(np.array([-distance, distance]))


def slab() -> Mixture:
    """Example 5: ½δ₀ + ½N(0, 1), a spike and a slab; r* = 1.50030, m* → ½.

    Returns
    -------
    Mixture : of two components.

    Parameters
    ----------
    None : it is one law.

    Examples
    --------
    >>> slab().moments()[1]  # E X²
    0.5
    """
    return Mixture(np.full(2, 0.5), np.zeros(2), np.array([0.0, 1.0]))


def four_modes(inner: float = 0.5) -> Mixture:
    """Example 6: .1 N(−4, 1) + .2 N(−2, ½) + .4 N(2, ½) + .3 N(4, 1), four normals of unequal masses.

    The ½ is a variance here: r* = .42775.  Read as a standard deviation, ``inner`` = ¼, it gives r* = .42400.

    Parameters
    ----------
    inner : variance ≥ 0 of the two components at ±2.

    Returns
    -------
    Mixture : of four components.

    Examples
    --------
    >>> four_modes().moments()[0]  # E X
    array([1.2])
    """
    return Mixture(np.array([0.1, 0.2, 0.4, 0.3]), np.array([-4.0, -2.0, 2.0, 4.0]), np.array([1.0, inner, inner, 1.0]))


@dataclass(frozen=True)
class Uniform:
    """Example 3: X uniform on [−a, a]; given Y = y, rX is N(y, 1) cut to [−ra, ra].

    L_r(0) = 1 − 2ra φ(ra)/(2Φ(ra) − 1) is the largest value; Y is log-concave for all r.

    Examples
    --------
    >>> Uniform().curvature(1.0, [0.0]).round(4)
    array([0.2911])
    """

    half_width: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.half_width < np.inf:
            raise ValueError(f"half_width={self.half_width}: [−a, a] needs a finite a > 0")

    @property
    def dim(self) -> int:
        """1."""
        return 1

    def draw(self, count: int, rng: np.random.Generator, *, stratified: bool = True) -> Array:
        """(count, 1) draws; ``stratified``: one from every count-th part of the interval."""
        place = (np.arange(count) + rng.random(count)) / count if stratified else rng.random(count)
        return (self.half_width * (2 * place - 1))[:, None]

    def moments(self) -> tuple[Array, float]:
        """The mean (1,), and E|X|² = a²/3."""
        return np.zeros(1), self.half_width**2 / 3

    def ceiling(self, r: float) -> float:
        """1: a normal law that is cut has a smaller variance."""
        return 1.0

    def span(self, r: float) -> tuple[float, float]:
        """An interval outside which Y has a mass below 1e-17."""
        return -r * self.half_width - 9.0, r * self.half_width + 9.0

    def cdf(self, x: ArrayLike) -> Array:
        """P(X ≤ x), of the shape of x."""
        return np.clip(0.5 * (1 + np.asarray(x, dtype=np.float64) / self.half_width), 0.0, 1.0)

    def posterior(self, r: float, y: ArrayLike) -> DenoisingPosterior:
        """log p_Y, E[rX | Y = y] and Var(rX | Y = y) for the rows y (k, 1)."""
        y = rows_of(y, 1)[:, 0]
        log_mass, first, variance = _truncated_normal(np.abs(y), r * self.half_width)
        return DenoisingPosterior(log_mass - log(2 * r * self.half_width), (y + np.sign(y) * first)[:, None], variance)

    def curvature(self, r: float, y: ArrayLike) -> Array:
        """(k,) L_r(y) for the rows y (k, 1)."""
        return self.posterior(r, y).trace


def _truncated_normal(y: Array, a: float) -> tuple[Array, Array, Array]:
    """N(0, 1) cut to [α, β] = [−a − y, a − y], y ≥ 0: log of its mass, mean and variance.

    With h = φ(α)/mass and k = φ(β)/mass: mean h − k, variance 1 + αh − βk − (h − k)².  Far out in the tail (β < −1) the ratios
    are taken by the scaled erfc.
    """
    low, high = -a - y, a - y
    ratio = np.exp(np.maximum(0.5 * (high**2 - low**2), -700.0))  # φ(α)/φ(β) ≤ 1
    tail = np.sqrt(pi / 2) * (erfcx(np.maximum(-high, 0.0) / np.sqrt(2)) - ratio * erfcx(-low / np.sqrt(2)))
    near = high > 0
    phi = np.exp(-0.5 * high**2) / np.sqrt(2 * pi)
    mass = np.where(near, ndtr(high) - ndtr(low), tail * np.maximum(phi, 1e-300))
    k = np.where(near, phi / np.where(near, mass, 1.0), 1 / tail)
    h = k * ratio
    log_mass = np.where(near, np.log(mass), np.log(tail) - 0.5 * high**2 - 0.5 * log(2 * pi))
    return log_mass, h - k, np.maximum(1 + low * h - high * k - (h - k) ** 2, 0.0)
