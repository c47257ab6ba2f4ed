"""The parabolic Monge–Ampère equation ∂ₜφ = f − g(∇φ) + log det D²φ as a flow (arXiv 2307.16421)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from ..calculus.hessians import density_sums
from ..calculus.operators import Fourier, Jet, Operators, Shifted, Space
from ..calculus.series import Coefficients
from ..machine.arrays import Array, having
from ..problems.outcomes import CONVEXITY_LOST, REACHED, REFUSED, Outcome
from ..problems.problem import Problem, checked
from .integrator import Integrator, System, admit_tolerance
from .reading import LOST_MASS, OPERATORS, ChainRule, Linearisation, OnGrid, least_stretch, linearise, lost, need_convex
from .refinement import by_refinement
from .trajectories import ErrorEstimate, Trajectory

# Beyond this factor GMRES needs more vectors than it is given (measured with least eigenvalues of I + D²u down to 0.003).
STRICTEST = 30.0


def local_tolerance(rtol: float) -> float:
    """Error of one step for which the error of the result is proportional to rtol.

    At order 4 the number of steps grows like (error of a step)^(−1/5), so that the result's error is that to the power 4/5.
    """
    return max(rtol * (rtol / 1e-6) ** 0.25, 1e-14)


class Evolution:
    """PMA as a `System`: right-hand side, linearisation, preconditioner.

    The state is w = (1 − Δ/κ²)u, κ the least wavenumber (in mean square over the axes), so that the integrator's error control
    sees D²u; it is kept as orthonormal coefficients, in which the preconditioner is diagonal and costs no transform.
    """

    def __init__(self, problem: Problem, operators: Operators) -> None:
        self.problem, self.operators, self.transform = problem, operators, operators.transform
        kappa2 = float(np.mean([k.ravel()[1] ** 2 for k in self.transform.wavenumbers]))
        self._shifted, self._unit = Shifted(self.operators), 1.0 / kappa2
        self._isometry, self._ones = map(self._shifted.weights, (self.transform.isometry, np.ones(1)))
        self.scale = 4 * np.pi**2 / kappa2  # mean squared period: the unit of u and w
        self.here: Linearisation | None = None
        self._sample, self._chain_rule = np.empty(0), ChainRule(problem)
        self._jet = Jet.empty(problem.domain)  # reused: allocating costs more than arithmetic
        self._values = np.empty(problem.domain.shape)
        self._spectrum = self.transform.zeros()
        self._flat = self.transform.as_vector(self._spectrum)
        self._diffusion, self._strictness = 1.0, 1.0

    def vector(self, values: Array) -> Array:
        """State of a function on the grid: orthonormal coefficients of (1 − Δ/κ²)u."""
        out = np.empty(self._shifted.shape).reshape(-1)
        self._write(values, out)
        return out

    def _write(self, values: Array, out: Array) -> None:
        """That state in an array."""
        self.transform.forward(values, self._spectrum)
        self._shifted.multiply(self._flat, self._unit, self._isometry, out)

    def coefficients(self, y: Array) -> Coefficients:
        """Coefficients of u, the function with state y; the next call of any method writes over them."""
        self._shifted.divide(y, self._unit, self._isometry, self._flat)
        return self._spectrum

    def values(self, y: Array) -> Array:
        """The function on the grid that a state stands for, of the grid's shape."""
        out = np.empty(self.problem.domain.shape)
        return self.transform.derivative(self.coefficients(y), (0,) * out.ndim, out)

    def derivative(self, y: Array, out: Array) -> bool:
        """A(φ) at a state, written to ``out``; False where φ is not convex."""
        admissible = self._evaluate(y)
        if self.here is not None:
            self._write(self.here.speed, out)
        return admissible

    def _evaluate(self, y: Array) -> bool:
        """Whether φ is convex; `here` is what is known there."""
        self.here = None
        jet = self.operators.jet(self.coefficients(y), self._jet)
        here = linearise(self.problem, self.operators, jet, differences=self._chain_rule.lost)
        if here.convex:
            self.here, self._sample = here, self._sampled(y).copy()
            self._chain_rule.remember(jet.D)
        return self.here is not None

    @staticmethod
    def _sampled(y: Array) -> Array:
        """Some thousand entries, by which a state is known again."""
        return y[:: max(1, y.size // 4096)]

    def linearise(self, y: Array) -> None:
        """The last admissible state serves unless the integrator has moved on."""
        if self.here is None or not np.array_equal(self._sampled(y), self._sample):
            self._evaluate(y)
        if self.here is None:  # refused: the attempt must fail, any linearisation will do
            return
        self._prepare(self.here)
        if self._chain_rule.fails(self.here.drift):
            self._evaluate(y)
            self._prepare(self.here)
        low, _, self._diffusion = self.here.diffusion
        self._strictness = min(max(1.0, self._diffusion / low), STRICTEST)

    def _prepare(self, here: Linearisation) -> None:
        """For products, in the arrays there are: the map gives way to ∇g(∇φ)."""
        if here.slope is None:
            np.copyto(self._values, here.composed)
            here = replace(here, composed=self._values)
        self.here = here.prepared(self._jet.D, self._spectrum)

    def jacobian_times(self, v: Array, out: Array) -> None:
        """𝓛v at the last linearised state, written to ``out``."""
        if self.here is None:
            out.fill(0.0)
            return
        if self.here.slope is None:
            self._prepare(self.here)
        self._write(self.here.times(self.coefficients(v), self._values), out)

    def precondition(self, r: Array, gamma: float, out: Array) -> None:
        """s(1 − γāΔ)⁻¹ r with ā the mean eigenvalue of G⁻¹.

        GMRES ends at a preconditioned residual of fixed size, and where the diffusion is d the error of a stiff mode is ā/d
        times that.  The factor s = ā/min d makes it stop later by as much; unscaled it left so much that steps were held small.
        On what 𝓛 does not see the operator is 1, and so must the preconditioner be: damped there, it would hide these
        parts from GMRES, and the predictor would let them grow.
        """
        self._shifted.divide(r, gamma * self._diffusion, self._ones, out)
        self.transform.keep_redundant(self.transform.as_coefficients(out), self.transform.as_coefficients(r))
        out *= self._strictness


class PotentialSystem(System, Protocol):
    """A system that remembers the linearisation at the last potential it admitted."""

    @property
    def here(self) -> Linearisation | None:
        """None if the last state tried was refused."""
        ...


@dataclass(eq=False)
class MongeAmpereState:
    """The last state that is well, and the integrator, which goes on from it."""

    integrator: Integrator
    evolution: PotentialSystem
    t: float
    y: Array
    outcome: Outcome = REACHED
    record: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, evolution: PotentialSystem, y: Array, tolerance: float, t: float) -> MongeAmpereState:
        """A fresh integrator at time t."""
        return cls(Integrator(evolution, y, tolerance, t), evolution, t, y)


@dataclass(frozen=True, eq=False)
class MongeAmpere:
    """PMA flow ∂ₜu = f − g(x+∇u) + log det(I + D²u), adaptive in time (CVODE, BDF 1–4).

    Parameters
    ----------
    problem : densities on a torus or a box.
    space : `Fourier()` or `FiniteDifference(order)`.
    rtol : tolerance on w = (1 − Δ/κ²)u, κ the least wavenumber, root mean square over the grid, in units of the mean squared
        period (on a box that of the even extension); between 1e-13 and 1e-2.  The error of the result is proportional to it:
        of u within a factor of about ten, of D²u up to κ² ≈ 40 times more.

    Notes
    -----
    Every state that the integrator tries is tested: where I + D²u is not positive definite the step is shrunk, and if
    that does not help the run ends with the outcome `CONVEXITY_LOST`; where ∫ρ_t on the grid leaves 1 by 0.05, with
    ``unresolved``.  Records of each step: step size ``dt``, ``order`` (1 to 4; NaN where no linear system had to be solved), work
    (``derivatives``, ``newton_iterations`` and ``jacobian_products``, that is Krylov vectors, cumulative), ``min_eigenvalue`` of
    I + D²u, ``mass`` ∫ρ_t, ``kl`` = KL(ρ_t | e^{−f}) and ``speed`` = sup |∂ₜu − mean|, the last four at the last Newton iterate
    of the step.
    Cost: 5 transforms in the plane, 8 in space, for each right-hand side and Jacobian product, whose number does not grow with
    the grid; some 40 arrays of the grid at most, and one for each vector of GMRES beyond the fourth, of which data of high
    contrast need up to 30.

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
        admit_tolerance(self.rtol)
        having(self.space, "on", "space", "give Fourier(), or FiniteDifference(order)")
        if checked(self.problem).has_densities:
            self.problem.need_positive("the Monge–Ampère flow")

    reading = cached_property(OnGrid.of)
    operators = OPERATORS

    def resume(self, potential: Array, t: float) -> MongeAmpereState:
        """A state at time t with a fresh integrator, which starts at low order; the potential must be strictly convex."""
        need_convex(self.operators, potential)
        evolution = Evolution(self.problem, self.operators)
        return MongeAmpereState.of(
            evolution, evolution.vector(potential), local_tolerance(self.rtol) * evolution.scale, t
        )

    def advance(self, state: MongeAmpereState, until: float) -> MongeAmpereState:
        """One step of the integrator, or the interpolant at ``until``."""
        return unfolded(take_step(state, until), until, self.operators, self.potential)

    def potential(self, state: MongeAmpereState) -> Array:
        """u on the grid at the state's time."""
        assert isinstance(state.evolution, Evolution)
        return state.evolution.values(state.y)

    def error_estimate(self, trajectory: Trajectory) -> ErrorEstimate:
        """Time: against a run at a tenth of the tolerance.  Space: that run against one on a grid refined twice along each axis.

        Both are sup distances with constants removed, on the trajectory's own grid.  Cost: that of the two runs, 2^dim times
        the trajectory's and more.  The estimate in space has a floor at about a tenth of that in time.  For an estimate that
        shares nothing with this solver see `cross_check`.
        """
        return by_refinement(trajectory, replace(self, rtol=max(0.1 * self.rtol, 1e-13)))


WATCH = 0.01  # least eigenvalue of the last Newton iterate below which the accepted state itself is tested


def take_step(state: MongeAmpereState, until: float) -> MongeAmpereState:
    """One step of the integrator, or the interpolant at ``until``; a state that is not convex, or loses mass, ends the run."""
    integrator, before = state.integrator, state.integrator.reached
    integrator.advance(until)
    record = state.record = step_record(state, integrator.reached - before)
    state.outcome = CONVEXITY_LOST if integrator.outcome == REFUSED else integrator.outcome
    near = state.outcome.ok and record.get("min_eigenvalue", 0.0) < WATCH
    if near and not state.evolution.derivative(integrator.y, np.empty_like(integrator.y)):
        state.outcome = CONVEXITY_LOST
    if state.outcome.ok:
        state.t, state.y = integrator.t, integrator.y
        if abs((mass := record.get("mass", 1.0)) - 1.0) > LOST_MASS:
            state.outcome = lost(mass, "refine the grid, or lower the contrast")
    return state


def unfolded(
    state: MongeAmpereState, until: float, operators: Operators, potential: Callable[[MongeAmpereState], Array]
) -> MongeAmpereState:
    """Convex at the nodes may still fold between them: at a requested time the map that is handed out is looked at."""
    if state.outcome.ok and state.t >= until and not (low := least_stretch(operators, potential(state))) > 0:
        state.outcome = CONVEXITY_LOST.advising(
            f"the map x + ∇u folds between nodes (least stretch {low:.3g}); refine the grid"
        )
    return state


def step_record(state: MongeAmpereState, dt: float) -> dict[str, float]:
    """Diagnostics of the step of size ``dt`` that led to this state."""
    counts = state.integrator.counts
    work = {
        "dt": dt,
        "order": state.integrator.order,
        "derivatives": counts.derivatives,
        "newton_iterations": counts.newton_iterations,
        "jacobian_products": counts.jacobian_products,
    }
    here = state.evolution.here
    if here is None:  # the last state tried was refused
        return work
    cell, sums = here.problem.domain.cell, density_sums(here.speed, here.problem.f)
    mean = sums.total / here.speed.size
    return {
        **work,
        "min_eigenvalue": 1.0 / here.diffusion[1],
        "mass": sums.mass * cell,
        "kl": sums.entropy * cell,
        "speed": max(sums.high - mean, mean - sums.low),
    }
