"""The parabolic Monge–Ampère equation ∂ₜφ = f − g(∇φ) + log det D²φ as a flow (arXiv 2307.16421).

With φ = |x|²/2 + u the state is w = (1 − Δ/κ²)u, κ² the mean of (2π/L)², so that the integrator's error control sees D²u;
it is kept as orthonormal coefficients, in which the preconditioner is diagonal and costs no transform.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from .domains import Array
from .integrator import Integrator, System
from .operators import Fourier, Jet, Operators, Space, jet_of
from .pointwise import apply, contract, extreme_eigenvalues, log_det_inverse, packed
from .problems import Problem
from .trajectories import CONVEXITY_LOST, ErrorEstimate, Outcome, Trajectory, evolve, sup_distances
from .transforms import resample


@dataclass(frozen=True, eq=False)
class Linearisation:
    """A(φ) = f − g(∇φ) + log det D²φ at one potential, and its derivative 𝓛w = tr(G⁻¹D²w) − ∇g(∇φ)·∇w."""

    problem: Problem
    operators: Operators
    speed: Array  # A(φ); −inf where φ is not convex
    inverse: Array  # G⁻¹, packed
    composed: Array  # g(∇φ)

    @property
    def convex(self) -> bool:
        """Whether I + D²u is positive definite, and everything finite, at every point."""
        return bool(np.isfinite(self.speed).all())

    @property
    def log_density(self) -> Array:
        """log ρ = A − f."""
        return self.speed - self.problem.f

    @cached_property
    def drift(self) -> Array:
        """∇g(∇φ) = G⁻¹∇[g(∇φ)]: the chain rule spares a derivative of g off the grid."""
        return apply(self.inverse, self.operators.gradient(self.composed))

    def times(self, jet: Jet) -> Array:
        """𝓛w from the jet of w."""
        return contract(self.inverse, jet.D2, self.drift, jet.D)


def linearise(problem: Problem, operators: Operators, jet: Jet, inverse: Array | None = None) -> Linearisation:
    """Evaluate A and prepare 𝓛 at the potential with this jet, whose gradient is overwritten by the map."""
    speed, inverse = log_det_inverse(jet.D2, inverse)
    if not np.isfinite(speed).all():  # not convex: the map may be anywhere, g is not asked
        return Linearisation(problem, operators, speed, inverse, speed)
    composed = problem.target(problem.domain.displaced(jet.D))
    speed -= composed
    speed += problem.f
    return Linearisation(problem, operators, speed, inverse, composed)


def linearise_at(problem: Problem, operators: Operators, u: Array) -> Linearisation:
    """The same at a potential given by its values."""
    return linearise(problem, operators, jet_of(operators, u))


def convexity(operators: Operators, u: Array) -> tuple[float, float]:
    """Least and greatest eigenvalue of D²φ = I + D²u over the grid."""
    low, high = extreme_eigenvalues(jet_of(operators, u).D2)
    return 1.0 + low, 1.0 + high


class Evolution:
    """PMA as a `System` in the preconditioned coefficients."""

    def __init__(self, problem: Problem, operators: Operators) -> None:
        self.problem, self.operators, self.transform = problem, operators, operators.transform
        kappa2 = float(np.mean([k.ravel()[1] ** 2 for k in self.transform.wavenumbers]))
        self.lift = self.transform.isometry * (1.0 + operators.symbol / kappa2)
        self.scale = 4 * np.pi**2 / kappa2  # mean squared period: the unit of u and w
        self.here: Linearisation | None = None
        self._sample = np.empty(0)
        self._jet = Jet.empty(problem.domain)  # reused: allocating costs more than arithmetic
        self._inverse = np.empty_like(self._jet.D2)
        self._diffusion = 1.0

    def vector(self, values: Array) -> Array:
        """State of a function on the grid."""
        coefficients = self.transform.forward(values)
        coefficients *= self.lift
        return self.transform.as_vector(coefficients)

    def coefficients(self, y: Array) -> Array:
        """Coefficients of u, the function with state y."""
        return self.transform.as_coefficients(y) / self.lift

    def values(self, y: Array) -> Array:
        """The function on the grid."""
        out = np.empty(self.problem.domain.shape)
        return self.transform.derivative(self.coefficients(y), (0,) * out.ndim, out)

    def derivative(self, y: Array) -> Array | None:
        """A(φ), or None where φ is not convex."""
        self.here = None
        jet = self.operators.jet(self.coefficients(y), self._jet)
        here = linearise(self.problem, self.operators, jet, self._inverse)
        if not here.convex:
            return None
        self.here, self._sample = here, self._sampled(y).copy()
        return self.vector(here.speed)

    @staticmethod
    def _sampled(y: Array) -> Array:
        """Some thousand entries, by which a state is known again."""
        return y[:: max(1, y.size // 4096)]

    def linearise(self, y: Array) -> None:
        """The last admissible state serves unless the integrator has moved on."""
        if self.here is None or not np.array_equal(self._sampled(y), self._sample):
            self.derivative(y)
        if self.here is None:  # refused: the attempt must fail, any linearisation will do
            return
        diagonal = [row for row, (i, j) in enumerate(packed(self.problem.domain.dim)) if i == j]
        self._diffusion = float(np.mean(self.here.inverse[diagonal]))

    def jacobian_times(self, v: Array) -> Array:
        """𝓛v."""
        if self.here is None:
            return np.zeros_like(v)
        return self.vector(self.here.times(self.operators.jet(self.coefficients(v), self._jet)))

    def precondition(self, r: Array, gamma: float) -> Array:
        """(1 − γāΔ)⁻¹ r with ā the mean of G⁻¹'s diagonal.

        On what 𝓛 does not see the operator is 1, and so must the preconditioner be: damped there, it would hide these
        parts from GMRES, and the predictor would let them grow.
        """
        c = self.transform.as_coefficients(r)
        damping = self.operators.symbol * (gamma * self._diffusion)
        damping += 1.0
        return self.transform.as_vector(self.transform.keep_redundant(c / damping, c))


def local_tolerance(rtol: float) -> float:
    """Error of one step for which the error of the result is proportional to rtol.

    At order 4 the number of steps grows like (error of a step)^(−1/5), so that the result's error is that to the power 4/5.
    """
    return max(rtol * (rtol / 1e-6) ** 0.25, 1e-14)


class PotentialSystem(System, Protocol):
    """A system that remembers the linearisation at the last potential it admitted."""

    @property
    def here(self) -> Linearisation | None:
        """None if the last state tried was refused."""
        ...


@dataclass(eq=False)
class MongeAmpereState:
    """The integrator and what it knows."""

    integrator: Integrator
    evolution: PotentialSystem
    record: Mapping[str, float] = field(default_factory=dict)

    @property
    def t(self) -> float:
        """Time reached."""
        return self.integrator.t

    @property
    def outcome(self) -> Outcome:
        """How the last step ended."""
        return self.integrator.outcome


@dataclass(frozen=True, eq=False)
class MongeAmpere:
    """PMA flow ∂ₜu = f − g(x+∇u) + log det(I + D²u), adaptive in time (CVODE, BDF 1–5).

    Parameters
    ----------
    problem : densities on a torus or a box.
    space : `Fourier()` or `FiniteDifference(order)`.
    rtol : tolerance on w = (1 − Δ/κ²)u, root mean square over the grid, in units of the mean squared period; between 1e-13 and
        1e-2.  The error of the result is proportional to it: of u within a factor of about ten, of D²u up to κ² ≈ 40 times more.

    Notes
    -----
    Every state that the integrator tries is tested: where I + D²u is not positive definite the step is shrunk, and if
    that does not help the run ends with the outcome `CONVEXITY_LOST`.  Records of each step: step size ``dt``, work
    (``derivatives``, ``jacobian_products``, cumulative), ``min_eigenvalue`` of I + D²u, ``mass`` ∫ρ_t,
    ``kl`` = KL(ρ_t | e^{−f}) and ``speed`` = sup |∂ₜu − mean|, the last four at the last Newton iterate of the step.
    Cost: 2 + dim(dim+3)/2 transforms for each right-hand side and Jacobian product; their number does not grow with the grid.

    References
    ----------
    Berman, arXiv 1712.03082; Deb, Kim, Pal, Schiebinger, arXiv 2307.16421.

    Examples
    --------
    >>> from pmasolve import Problem, Torus, evolve
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> evolve(MongeAmpere(problem, rtol=1e-8), times=[0.1]).potentials.shape
    (1, 32)
    """

    problem: Problem
    space: Space = field(default=Fourier(), kw_only=True)
    rtol: float = field(default=1e-8, kw_only=True)

    def __post_init__(self) -> None:
        if not 1e-13 <= self.rtol <= 1e-2:
            raise ValueError(f"rtol={self.rtol}: give a tolerance between 1e-13 and 1e-2")
        if self.problem.has_densities:
            self.problem.need_positive("the Monge–Ampère flow")

    @cached_property
    def operators(self) -> Operators:
        """The discretisation on the problem's grid."""
        return self.space.on(self.problem.domain)

    def admit(self, times: Array) -> None:
        """Every time can be visited."""

    def start(self, initial: Array) -> MongeAmpereState:
        """Check that the start is strictly convex and hand it to the integrator."""
        return self.resume(initial, 0.0)

    def resume(self, potential: Array, t: float) -> MongeAmpereState:
        """A fresh integrator at time t."""
        low, _ = convexity(self.operators, potential)
        if not low > 0:
            raise ValueError(
                f"initial: I + D²u₀ has the eigenvalue {low:.3g} ≤ 0, so |x|²/2 + u₀ is not strictly convex; "
                "start from a smaller u₀, or from 0"
            )
        evolution = Evolution(self.problem, self.operators)
        integrator = Integrator(evolution, evolution.vector(potential), local_tolerance(self.rtol) * evolution.scale, t)
        return MongeAmpereState(integrator, evolution)

    def advance(self, state: MongeAmpereState, until: float) -> MongeAmpereState:
        """One step of the integrator, or the interpolant at ``until``."""
        return take_step(self.problem, state, until)

    def potential(self, state: MongeAmpereState) -> Array:
        """u on the grid."""
        assert isinstance(state.evolution, Evolution)
        return state.evolution.values(state.integrator.y)

    def fields(self, state: MongeAmpereState) -> Mapping[str, Array]:
        """Nothing beside the potential."""
        return {}

    def error_estimate(self, trajectory: Trajectory) -> ErrorEstimate:
        """Time: against a run at a tenth of the tolerance.  Space: that run against one on a grid refined twice along each axis.

        Both are sup distances with constants removed, on the trajectory's own grid.  Cost: that of the two runs, 2^dim times
        the trajectory's and more.  The estimate in space has a floor at about a tenth of that in time.  For an estimate that
        shares nothing with this solver see `corrector.certify`.
        """
        grid = self.problem.domain
        finer = replace(grid, shape=tuple(2 * n for n in grid.shape))
        tight = evolve(replace(self, rtol=max(0.1 * self.rtol, 1e-13)), trajectory.times, initial=trajectory.initial)
        fine = evolve(
            replace(tight.flow, problem=self.problem.on(finer)),
            trajectory.times,
            initial=resample(trajectory.initial, grid, finer),
        )
        reference = np.stack([resample(u, finer, grid) for u in fine.potentials])
        return ErrorEstimate(
            trajectory.times,
            sup_distances(grid, trajectory.potentials, tight.potentials),
            sup_distances(grid, tight.potentials, reference),
        )

    def map(self, u: Array) -> Array:
        """x + ∇u."""
        return self.problem.domain.points + self.operators.gradient(u)

    def log_density(self, u: Array) -> Array:
        """log ρ = −g(x+∇u) + log det(I + D²u)."""
        return linearise_at(self.problem, self.operators, u).log_density


WATCH = 0.01  # least eigenvalue of the last Newton iterate below which the accepted state itself is tested


def take_step(problem: Problem, state: MongeAmpereState, until: float) -> MongeAmpereState:
    """One step of the integrator, or the interpolant at ``until``; a state that is not convex is not accepted."""
    integrator = state.integrator
    t, y, before = integrator.t, integrator.y, integrator.reached
    integrator.advance(until)
    state.record = step_record(problem, state, integrator.reached - before)
    near = state.record.get("min_eigenvalue", 0.0) < WATCH
    if integrator.outcome.ok and near and state.evolution.derivative(integrator.y) is None:
        integrator.t, integrator.y, integrator.outcome = t, y, CONVEXITY_LOST
    return state


def step_record(problem: Problem, state: MongeAmpereState, dt: float) -> dict[str, float]:
    """Diagnostics of the step of size ``dt`` that led to this state."""
    counts, grid = state.integrator.counts, problem.domain
    work = {"dt": dt, "derivatives": counts.derivatives, "jacobian_products": counts.jacobian_products}
    here = state.evolution.here
    if here is None:  # the last state tried was refused
        return work
    density = np.exp(here.log_density)
    return {
        **work,
        "min_eigenvalue": 1.0 / extreme_eigenvalues(here.inverse)[1],
        "mass": grid.integral(density),
        "kl": grid.integral(density * here.speed),
        "speed": grid.sup(grid.gauge(here.speed)),
    }
