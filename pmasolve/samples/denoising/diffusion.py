"""The Ornstein–Uhlenbeck chain dX = −X dt + √(2/β) dB from any source: exact laws, scores, and the maps that go back in time.

X_t = e^{−t} X₀ + √((1 − e^{−2t})/β) Z,   s² = β/(1 − e^{−2t}),   r = s e^{−t},   s X_t = r X₀ + Z = Y,
∇log p_t(x) = s (E[rX₀ | Y = sx] − sx),   D²log p_t(x) = −s² (I − Cov(rX₀ | Y = sx)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp

from ...machine.arrays import Array
from .sources import Source, rows_of

LAST = 1e-6  # part of a step to time 0 that the probability flow leaves to Tweedie's map


@dataclass(frozen=True, eq=False)
class Diffusion:
    """The chain that starts in a source.

    Parameters
    ----------
    source : the law of X₀.
    beta : inverse temperature β > 0: equilibrium is N(0, I/β).

    Examples
    --------
    >>> from pmasolve import denoising
    >>> chain = Diffusion(denoising.normal(4.0))
    >>> chain.score(0.5, [1.0]).round(6)  # −x/(1 + 3e^{−2t})
    array([[-0.475367]])
    """

    source: Source
    beta: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.beta < np.inf:
            raise ValueError(f"beta={self.beta}: give a finite inverse temperature > 0")

    @property
    def dim(self) -> int:
        """Dimension d."""
        return self.source.dim

    def snr(self, t: ArrayLike) -> Array:
        """r(t) = (β/(e^{2t} − 1))^½, of the shape of t; t > 0."""
        return np.sqrt(self.beta / np.expm1(2 * _later(t)))

    def scale(self, t: ArrayLike) -> Array:
        """s(t) = (β/(1 − e^{−2t}))^½, of the shape of t; t > 0."""
        return np.sqrt(-self.beta / np.expm1(-2 * _later(t)))

    def time(self, snr: ArrayLike) -> Array:
        """The t > 0 at which the signal-to-noise ratio is r, of its shape: ½ log(1 + β/r²)."""
        return 0.5 * np.log1p(self.beta / np.asarray(snr, dtype=np.float64) ** 2)

    def draw(self, t: float, count: int, rng: np.random.Generator) -> Array:
        """(count, d) draws of X_t, stratified in X₀; t ≥ 0."""
        x = self.source.draw(count, rng, stratified=True)
        return np.exp(-t) * x + np.sqrt(-np.expm1(-2 * t) / self.beta) * rng.standard_normal(x.shape)

    def log_density(self, t: float, x: ArrayLike) -> Array:
        """(k,) log p_t at the rows x (k, d); t > 0."""
        s = float(self.scale(t))
        return self.source.posterior(float(self.snr(t)), s * rows_of(x, self.dim, "x")).log_density + self.dim * np.log(
            s
        )

    def score(self, t: float, x: ArrayLike) -> Array:
        """(k, d) ∇log p_t at the rows x (k, d); t > 0."""
        s = float(self.scale(t))
        y = s * rows_of(x, self.dim, "x")
        return s * (self.source.posterior(float(self.snr(t)), y).mean - y)

    def largest_second_derivative(self, t: float, x: ArrayLike) -> Array:
        """(k,) the largest eigenvalue of D²log p_t, −s² (1 − L_r(sx)), at the rows x (k, d); t > 0."""
        s = float(self.scale(t))
        return -(s**2) * (1 - self.source.curvature(float(self.snr(t)), s * rows_of(x, self.dim, "x")))


class Backward(Protocol):
    """A map from time t to t − η ≥ 0, made of the score at t."""

    def __call__(self, chain: Diffusion, t: float, eta: float, x: Array) -> Array: ...


@dataclass(frozen=True)
class Euler:
    """b(x) = x + η (x + ∇log p_t(x)/β): the paper's map, one explicit step of the probability flow.

    Examples
    --------
    >>> from pmasolve import denoising
    >>> chain = denoising.Diffusion(denoising.normal(4.0))
    >>> Euler()(chain, 0.7, 0.3, np.array([[1.0]])).round(4)
    array([[1.1276]])
    """

    def __call__(self, chain: Diffusion, t: float, eta: float, x: Array) -> Array:
        return x + eta * (x + chain.score(t, x) / chain.beta)


@dataclass(frozen=True)
class Tweedie:
    """b(x) = E[X_{t−η} | X_t = x] = e^η (x + (1 − e^{−2η}) ∇log p_t(x)/β): the mean of where x came from.

    Repeated, it loses variance: each step leaves out what is random in X_{t−η} given X_t.

    Examples
    --------
    >>> from pmasolve import denoising
    >>> chain = denoising.Diffusion(denoising.normal(4.0))
    >>> Tweedie()(chain, 0.7, 0.3, np.array([[1.0]])).round(4)
    array([[0.9998]])
    """

    def __call__(self, chain: Diffusion, t: float, eta: float, x: Array) -> Array:
        return np.exp(eta) * (x - np.expm1(-2 * eta) * chain.score(t, x) / chain.beta)


@dataclass(frozen=True)
class ProbabilityFlow:
    """The exact flow ẋ = −x − ∇log p_t(x)/β, back from t to t − η: it turns µ_t into µ_{t−η}.

    Integrated by DOP853 to ``rtol``; where t − η = 0 the last millionth of the step is Tweedie's.

    Examples
    --------
    >>> from pmasolve import denoising
    >>> chain = denoising.Diffusion(denoising.normal(4.0))
    >>> ProbabilityFlow()(chain, 0.7, 0.3, np.array([[1.0]])).round(4)
    array([[1.1617]])
    """

    rtol: float = 1e-8

    def __call__(self, chain: Diffusion, t: float, eta: float, x: Array) -> Array:
        end = max(t - eta, LAST * eta)

        def velocity(time: float, flat: Array) -> Array:
            points = flat.reshape(x.shape)
            return (-points - chain.score(time, points) / chain.beta).ravel()

        found = solve_ivp(velocity, (t, end), x.ravel(), method="DOP853", rtol=self.rtol, atol=self.rtol)
        if not found.success:
            raise ValueError(f"the probability flow from t={t:.3g} to {end:.3g} failed ({found.message}); loosen rtol")
        out = found.y[:, -1].reshape(x.shape)
        return out if t - eta > 0 else Tweedie()(chain, end, end, out)


def _later(t: ArrayLike) -> Array:
    out = np.asarray(t, dtype=np.float64)
    if not np.all(out > 0) or not np.isfinite(out).all():
        raise ValueError(f"t={np.min(out)}: the law at time t has a score for finite t > 0")
    return out
