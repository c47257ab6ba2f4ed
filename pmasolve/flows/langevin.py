"""The mirror Langevin diffusion with a fixed mirror φ, beside which the McKean–Vlasov diffusion of `particles` stands.

    dY = −∇f(X) dt + (2D²φ(X))^½ dB,      Y = ∇φ(X)      (Itô),

in X the drift −(D²φ)⁻¹∇(f + log det D²φ) and the noise (2(D²φ)⁻¹)^½ dB: the diffusion whose law is the mirror flow, for KL, is this
one with the mirror φ_t that moves along, so that ∇φ_t(X_t) keeps the law e^{−g}.  Both go to e^{−f}.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..gaussian import Quadratic
from ..machine.arrays import Array, having, integer, positive
from ..problems.points import PointsLike, given


class Mirror(Protocol):
    """A strictly convex function on an open convex set: gradient, Hessian, and the way back.

    Examples
    --------
    >>> class Interval:  # φ = −log(1 − x²) on (−1, 1)
    ...     def gradient(self, x):
    ...         return 2 * x / (1 - x**2)
    ...     def hessian(self, x):
    ...         return (2 * (1 + x**2) / (1 - x**2) ** 2)[:, :, None]
    ...     def inverse(self, y):
    ...         return y / (1 + np.sqrt(1 + y**2))
    >>> x = mirror_langevin(Interval(), lambda x: 0 * x, np.zeros((4000, 1)), 0.02, 400, np.random.default_rng(0))
    >>> bool(np.abs(x).max() < 1), bool(abs(x.var() - 1 / 3) < 0.03)  # uniform on (−1, 1)
    (True, True)
    """

    def gradient(self, x: Array) -> Array:
        """∇φ at points (n, dim)."""
        ...

    def hessian(self, x: Array) -> Array:
        """D²φ at points (n, dim), (n, dim, dim)."""
        ...

    def inverse(self, y: Array) -> Array:
        """x with ∇φ(x) = y, (n, dim)."""
        ...


@dataclass(frozen=True, eq=False)
class QuadraticMirror:
    """A quadratic mirror: preconditioned Langevin, with the Brenier potential of two normal distributions for instance.

    Parameters
    ----------
    phi : strictly convex.

    Examples
    --------
    >>> mirror = QuadraticMirror(Quadratic([[4.0]]))
    >>> mirror.gradient(np.array([[1.0]])), mirror.inverse(np.array([[4.0]]))
    (array([[4.]]), array([[1.]]))
    """

    phi: Quadratic

    def gradient(self, x: Array) -> Array:
        """∇φ at points (n, dim)."""
        return self.phi.gradient(x)

    def hessian(self, x: Array) -> Array:
        """D²φ at points (n, dim), (n, dim, dim)."""
        return np.broadcast_to(self.phi.hessian, (len(x), *self.phi.hessian.shape))

    def inverse(self, y: Array) -> Array:
        """x with ∇φ(x) = y, (n, dim)."""
        return self.phi.conjugate().gradient(y)


def mirror_langevin(
    mirror: Mirror,
    slope: Callable[[Array], Array],
    start: PointsLike,
    step: float,
    count: int,
    rng: np.random.Generator,
    *,
    inner: int = 4,
) -> Array:
    """``count`` steps of Ahn and Chewi: Y ← ∇φ(X) − h∇f(X), then dY = (2D²φ(∇φ*(Y)))^½ dB for a time h, X ← ∇φ*(Y).

    Parameters
    ----------
    mirror : φ, with gradient, Hessian and inverse gradient; particles stay in its domain.
    slope : ∇f at points (n, dim).
    start : (n, dim) particles in the domain of φ.
    step : h > 0.
    count : steps.
    rng : the source of randomness; the same seed gives the same paths.
    inner : Euler–Maruyama steps by which each diffusion of length h is taken; exact for quadratic φ.

    Returns
    -------
    (n, dim) particles after the last step.

    Raises
    ------
    ValueError : a step that is not positive, counts below 1, no generator; particles that are no longer finite, with the step.

    Notes
    -----
    With the diffusion taken exactly the bias is of order h for relatively convex and smooth f.  Cost: for each step and inner step
    one inverse gradient, one Hessian and its Cholesky factor at each particle.

    References
    ----------
    Ahn, Chewi, arXiv 2010.16212; Zhang, Peyré, Fadili, Pereyra, arXiv 2002.04363 (the diffusion).

    Examples
    --------
    >>> from pmasolve.gaussian import Normal, Pair, negative_log
    >>> goal, rng = Normal([1.0], [[4.0]]), np.random.default_rng(3)
    >>> mirror = QuadraticMirror(Pair(goal, Normal([0.0], [[1.0]])).brenier())
    >>> x = mirror_langevin(mirror, negative_log(goal).gradient, rng.standard_normal((4000, 1)), 0.05, 80, rng)
    >>> bool(abs(x.mean() - 1) < 0.2), bool(abs(x.var() - 4) < 0.4)
    (True, True)
    """
    having(
        mirror, "inverse", "mirror", "give φ with .gradient, .hessian and .inverse, for example QuadraticMirror(phi)"
    )
    h, steps = positive(step, "step", "the step", "0.01"), integer(inner, "inner")
    having(slope, "__call__", "slope", "give ∇f, a function of points (n, dim)")
    if not np.size(start):
        raise ValueError(f"start of shape {np.shape(start)}: give particles (n, dim), n ≥ 1")
    x = np.ascontiguousarray(given(start, np.shape(np.atleast_2d(start))[-1]).columns.T)
    having(rng, "standard_normal", "rng", "give a generator, for example np.random.default_rng(0)")
    for k in range(integer(count, "count")):
        y = mirror.gradient(x) - h * slope(x)
        if lost := int(np.count_nonzero(~np.isfinite(y))):
            raise ValueError(
                f"step={h:g}: {lost} coordinates are not finite in step {k}: take shorter steps, or mend slope"
            )
        for _ in range(steps):
            x = mirror.inverse(y)
            factor = np.linalg.cholesky(mirror.hessian(x))
            y = y + np.sqrt(2 * h / steps) * np.einsum("nij,nj->ni", factor, rng.standard_normal(y.shape))
        x = mirror.inverse(y)
    return x
