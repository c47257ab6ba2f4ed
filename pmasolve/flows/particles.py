"""The diffusion whose law is the mirror flow (arXiv 2307.16421), as particles.

    dZ = [−(D²φ_t)⁻¹∇δF/δρ(Z) − ∇g(∇φ_t(Z))] dt + (2(D²φ_t(Z))⁻¹)^½ dB      (Itô)

For F = KL(· | e^{−f}) the drift is −(D²φ)⁻¹∇(f + log det D²φ): no ρ in it.  Z_t has the law ρ_t, and ∇φ_t(Z_t) that of e^{−g}, for
all t.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from ..calculus.hessians import packed
from ..gaussian import ClosedForm
from ..machine.arrays import Array, shown
from ..problems.densities import Interpolation, Spline
from ..problems.grids import Torus
from ..problems.points import PointsLike, given
from .loop import increasing
from .mirror import Law
from .trajectories import Trajectory


class Coefficients(Protocol):
    """Drift and diffusion of an Itô equation.

    Examples
    --------
    >>> class Heat:
    ...     dim = 2
    ...     def __call__(self, t):
    ...         return lambda z: 0 * z, lambda z, xi: np.sqrt(2) * xi
    >>> simulate(Heat(), np.zeros((3, 2)), [0.0, 0.1], np.random.default_rng(0)).shape
    (3, 2)
    """

    @property
    def dim(self) -> int:
        """Dimension of the space."""
        ...

    def __call__(self, t: float) -> tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]:
        """At time t: points (n, dim) ↦ drift (n, dim); points and normal variates ξ (n, dim) ↦ noise σ(Z)ξ (n, dim)."""
        ...


@dataclass(frozen=True, eq=False)
class GaussianCoefficients:
    """Between normal distributions, from the closed form: exact coefficients at all times.

    Parameters
    ----------
    flow : the closed form of PMA.
    reduced : the drift −A⁻¹Σ⁻¹(z−a), without ρ; otherwise −A⁻¹∇(f + log ρ_t) − Θ⁻¹(∇φ(z) − b), the same function.

    Examples
    --------
    >>> from pmasolve.gaussian import Normal, Pair, Quadratic
    >>> flow = ClosedForm(Pair(Normal([0.0], [[1.0]]), Normal([0.0], [[4.0]])), Quadratic([[1.0]]))
    >>> drift, noise = GaussianCoefficients(flow)(0.0)
    >>> drift(np.array([[1.0], [2.0]])).ravel().tolist(), noise(np.zeros((1, 1)), np.ones((1, 1))).round(3).tolist()
    ([-1.0, -2.0], [[1.414]])
    """

    flow: ClosedForm
    reduced: bool = True

    @property
    def dim(self) -> int:
        """Dimension of the space."""
        return self.flow.pair.source.dim

    def __call__(self, t: float) -> tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]:
        """The affine drift and the constant noise at time t, as functions of points (n, dim)."""
        pair, A, q = self.flow.pair, self.flow.hessian(t), self.flow.slope(t)
        inverse, factor = np.linalg.inv(A), np.linalg.cholesky(2 * np.linalg.inv(A))
        a, b = pair.source.mean, pair.target.mean
        P, Q = np.linalg.inv(pair.source.cov), np.linalg.inv(pair.target.cov)
        if self.reduced:
            return lambda z: -(z - a) @ P @ inverse, lambda z, xi: xi @ factor.T
        law = pair.law(self.flow.potential(t))
        R, m = np.linalg.inv(law.cov), law.mean

        def full(z: Array) -> Array:
            return -((z - a) @ P - (z - m) @ R) @ inverse - ((z - a) @ A + q - b) @ Q

        return full, lambda z, xi: xi @ factor.T


@dataclass(frozen=True, eq=False)
class TrajectoryCoefficients:
    """Along the potentials of a trajectory on a torus, by splines between the nodes; times must be among the trajectory's.

    Parameters
    ----------
    trajectory : of any flow that follows PMA, at the times of the steps, 0 included.
    reduced : the drift −(D²φ)⁻¹∇(f + log det D²φ), without ρ; otherwise −(D²φ)⁻¹∇(f + log ρ) − ∇g(∇φ), the same function.
    interpolation : of drift and noise.

    Raises
    ------
    ValueError : a box or a cloud, on which particles would have to be reflected; times that the trajectory has not.

    Examples
    --------
    >>> from pmasolve import MongeAmpere, Problem, Torus, evolve
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> drift, noise = TrajectoryCoefficients(evolve(MongeAmpere(problem), [0.0, 0.01]))(0.01)
    >>> drift(np.array([[0.2], [0.7]])).shape, noise(np.zeros((4, 1)), np.ones((4, 1))).shape
    ((2, 1), (4, 1))
    """

    trajectory: Trajectory
    reduced: bool = True
    interpolation: Interpolation = field(default=Spline(3), kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(domain := self.trajectory.flow.problem.domain, Torus):
            raise ValueError(
                f"the trajectory lives on {domain}: particles move on a Torus; walls would have to reflect them"
            )

    @property
    def dim(self) -> int:
        """Dimension of the torus."""
        return self.trajectory.flow.problem.domain.dim

    def __call__(self, t: float) -> tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]:
        """Drift and the Cholesky factor of 2(D²φ)⁻¹ on the grid, interpolated, as functions of points (n, dim)."""
        i = int(np.argmin(np.abs(self.trajectory.times - t)))
        if not abs(self.trajectory.times[i] - t) <= 1e-9 * self.trajectory.times[-1]:
            raise ValueError(
                f"t={t:g} is not among the trajectory's times; evolve it to every time of a step, 0 included"
            )
        law = Law.of(self.trajectory, i)
        grid, dim = law.problem.domain, law.problem.domain.dim
        drift = [self.interpolation.of(grid, component) for component in drift_of(law, self.reduced)]
        lower = np.moveaxis(np.linalg.cholesky(2 * _full(law.inverse_hessian)), (-2, -1), (0, 1))
        factor = {(i, j): self.interpolation.of(grid, np.ascontiguousarray(lower[j, i])) for i, j in packed(dim)}

        def noise(z: Array, xi: Array) -> Array:
            at = {pair: f.at(z.T) for pair, f in factor.items()}
            return np.stack([sum(at[j, i] * xi[:, j] for j in range(i + 1)) for i in range(dim)], axis=1)

        return lambda z: np.stack([component.at(z.T) for component in drift], axis=1), noise


def drift_of(law: Law, reduced: bool = True) -> Array:
    """The drift on the grid: −(D²φ)⁻¹∇(f + log det D²φ), or −(D²φ)⁻¹∇(f + log ρ) − ∇g(∇φ), which is the same function.

    Parameters
    ----------
    law : ρ with its potential.
    reduced : the first form, without ρ; otherwise the second.  For the law's objective in general −(D²φ)⁻¹∇(h(f + log ρ) + g(∇φ)),
        or −(D²φ)⁻¹∇h(f + log ρ) − ∇g(∇φ).

    Returns
    -------
    A field (dim, *shape).

    Examples
    --------
    >>> from pmasolve import Problem, Torus
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> drift_of(Law(problem, np.zeros(32))).shape
    (1, 32)
    """
    if reduced:
        return law.downhill(law.variation + law.log_det - law.log_density)
    return law.velocity() - law.target_slope


def simulate(coefficients: Coefficients, start: PointsLike, times: ArrayLike, rng: np.random.Generator) -> Array:
    """Euler–Maruyama steps of all particles at once: weak order 1 in the step.

    Parameters
    ----------
    coefficients : drift and noise at each time.
    start : (n, dim) particles at ``times[0]``, or a cloud; the points of a field are listed one after the other.
    times : (m,) increasing; a step from each to the next.
    rng : the source of randomness; the same seed gives the same paths.

    Returns
    -------
    (n, dim) particles at ``times[-1]``; on a torus not wrapped.

    Raises
    ------
    ValueError : times that do not increase, a start of another shape or ambiguous, as (dim, dim).

    Notes
    -----
    Cost: for each path and step 0.1 µs (closed forms, 2D), 1 µs (splines of degree 3 in 2D).

    Examples
    --------
    >>> from pmasolve.gaussian import Normal, Pair, Quadratic
    >>> pair, rng = Pair(Normal([0.0], [[1.0]]), Normal([0.0], [[4.0]])), np.random.default_rng(5)
    >>> flow = ClosedForm(pair, Quadratic([[1.0]]))
    >>> z = simulate(GaussianCoefficients(flow), flow.law(0).sample(20_000, rng), np.linspace(0, 0.5, 51), rng)
    >>> bool(abs(z.var() / flow.law(0.5).cov[0, 0] - 1) < 0.05)
    True
    """
    t = increasing(times)
    if t.size < 2:
        raise ValueError(f"times={shown(times)}: give at least two times")
    z = np.ascontiguousarray(given(start, coefficients.dim).columns.T)
    for now, dt in zip(t[:-1], np.diff(t), strict=True):
        drift, noise = coefficients(float(now))
        z = z + dt * drift(z) + np.sqrt(dt) * noise(z, rng.standard_normal(z.shape))
    return z


def sample(law: Law, count: int, rng: np.random.Generator) -> Array:
    """Independent points of ρ on a torus: a node drawn by its mass, then uniform in its cell, exact to order 2 in h.

    Parameters
    ----------
    law : ρ on a torus.
    count : how many.
    rng : the source of randomness.

    Returns
    -------
    (count, dim) points.

    Examples
    --------
    >>> from pmasolve import Problem, Torus
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> sample(Law(problem, np.zeros(32)), 5, np.random.default_rng(0)).shape
    (5, 1)
    """
    grid = law.problem.domain
    mass = law.density.ravel() / law.density.sum()
    nodes = rng.choice(mass.size, size=count, p=mass)
    return grid.points.reshape(grid.dim, -1).T[nodes] + np.array(grid.spacing) * (rng.random((count, grid.dim)) - 0.5)


def _full(S: Array) -> Array:
    """Packed symmetric matrices (rows, *shape) as (*shape, dim, dim)."""
    dim = S.ndim - 1
    out = np.empty((*S.shape[1:], dim, dim))
    for row, (i, j) in enumerate(packed(dim)):
        out[..., i, j] = out[..., j, i] = S[row]
    return out
