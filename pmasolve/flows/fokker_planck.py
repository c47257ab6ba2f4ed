"""The Fokker–Planck equation ∂ₜρ = div(ρ∇(f + log ρ)), the Wasserstein gradient flow of KL(· | e^{−f}), and its relatives.

In z = ρe^{f/2}|X|^½, |X| the volume, it is ∂ₜz = Δz − Vz with V = e^{f/2}Δe^{−f/2}, self-adjoint.  With the grid's own Δ in V,
e^{−f/2} is stationary to rounding and the mass ∑ρh^d, its product with z, is conserved; the Krylov solver spoils it by less than
the tolerance.  The gradient flow of another objective, ∂ₜρ = div(ρ∇h(s)), s = f + log ρ, is div(e^{−f}∇P(s)) with the pressure
P′ = h′e^s, and so ∂ₜz = (Δ − V)(e^{−f/2}|X|^½P(s)): the same operator, of a function of z at each point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ..calculus.operators import Fourier, Operators, Space
from ..machine.arrays import Array
from ..problems.divergences import Divergence, checked_objective, is_identity, value_of
from ..problems.objectives import KL, RELATIVE_ENTROPY
from ..problems.outcomes import NOT_PARABOLIC, POSITIVITY_LOST, REACHED, REFUSED, Outcome
from ..problems.problem import Problem, checked
from . import densities_as_states
from .densities_as_states import brenier_potential, starting_law
from .integrator import Integrator, admit_tolerance
from .reading import OPERATORS, OnGrid
from .refinement import by_refinement
from .trajectories import ErrorEstimate, Trajectory

LEAST_Z = 1e-300  # below any z that is not refused


class SymmetrisedSystem:
    """∂ₜz = (Δ − V)q(z) as a `System` in orthonormal coefficients; q = z for KL.  States that are not positive are refused.

    With μ the reference of the objective, e^{−f} or the uniform law, and |X| the volume, z = ρ(|X|/μ)^½ and q = (|X|μ)^½ P(s),
    s = log(z/(|X|μ)^½): of the order of 1 whatever the unit of length.
    """

    def __init__(self, problem: Problem, operators: Operators, objective: Divergence = RELATIVE_ENTROPY) -> None:
        self.operators, self.transform, self.shape = operators, operators.transform, problem.domain.shape
        self.objective, self.linear = objective, is_identity(objective)
        self.refusal: Outcome = POSITIVITY_LOST  # why the last state was refused
        self.volume = problem.domain.volume
        log_reference = 0.0 if objective.uniform else problem.f - np.log(self.volume)
        self.root = np.exp(np.full(self.shape, -0.5 * log_reference))  # (|X|μ)^½
        self.V = self._values(-operators.symbol * self.transform.forward(self.root)) / self.root
        self.level = float(np.mean(self.V))
        self.swiftness = float(np.mean([(2 * np.pi / period) ** 2 for period in problem.domain.periods]))  # κ²: 1/time
        self._slope, self._mean = 1.0, 1.0  # h′, and its mean, at the state last linearised

    def vector(self, values: Array) -> Array:
        """State of z given on the grid."""
        return self.transform.as_vector(self.transform.forward(values) * self.transform.isometry)

    def values(self, y: Array) -> Array:
        """z on the grid that a state stands for."""
        return self._values(self.transform.as_coefficients(y) / self.transform.isometry)

    def _values(self, coefficients: Array) -> Array:
        return self.transform.derivative(coefficients, (0,) * len(self.shape), np.empty(self.shape))

    def derivative(self, y: Array, out: Array) -> bool:
        """(Δ − V)q(z), unless ρ is not positive or h does not increase."""
        z = self.values(y)
        if not z.min() > 0:
            self.refusal = POSITIVITY_LOST
            return False
        if self.linear:
            self._apply(y, z, out)
            return True
        ratio = np.log(z / self.root)
        with np.errstate(over="ignore"):
            q = self.root * self.objective.pressure(ratio)
        if not np.min(self.objective.dh(ratio)) > 0 or not np.isfinite(q).all():
            self.refusal = NOT_PARABOLIC
            return False
        self._apply(self.vector(q), q, out)
        return True

    def _apply(self, y: Array, z: Array, out: Array) -> None:
        diffused = self.transform.as_vector(self.operators.symbol * self.transform.as_coefficients(y))
        np.subtract(-diffused, self.vector(self.V * z), out=out)

    def linearise(self, y: Array) -> None:
        """h′ at the state; KL's equation is linear."""
        if not self.linear:
            self._slope = self.objective.dh(np.log(np.maximum(self.values(y), LEAST_Z) / self.root))
            self._mean = float(np.mean(self._slope))

    def jacobian_times(self, v: Array, out: Array) -> None:
        """(Δ − V)(h′v)."""
        values = self.values(v)
        if not self.linear:
            values *= self._slope
            v = self.vector(values)
        self._apply(v, values, out)

    def precondition(self, r: Array, gamma: float, out: Array) -> None:
        """(1 − γh̄′(Δ − V̄))⁻¹ r."""
        c, solved = self.transform.as_coefficients(r), self.transform.as_coefficients(out)
        np.divide(c, 1.0 + gamma * self._mean * (self.operators.symbol + self.level), out=solved)
        self.transform.keep_redundant(out, r)


@dataclass(eq=False)
class FokkerPlanckState:
    """log ρ at the last time that is well, and its potential where that is known: at the start and at requested times."""

    integrator: Integrator
    system: SymmetrisedSystem
    log_density: Array
    u: Array | None
    t: float
    outcome: Outcome = REACHED
    record: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class FokkerPlanck:
    """∂ₜρ = div(ρ∇(f + log ρ)) from ρ₀ = (∇φ₀*)_# e^{−g}; adaptive in time (CVODE), conservative, positive.

    For another objective ∂ₜρ = div(ρ∇h(f + log ρ)), its gradient flow in W₂; `MongeAmpere` has its mirror flow.

    The trajectory's potentials are the Brenier potentials from ρ_t to e^{−g}; ``fields["log_density"]`` is log ρ_t itself.

    Parameters
    ----------
    problem : densities on a torus or a box, 1 to 3 dimensions; on a box f's even extension should be smooth.
    objective : what falls; `KL()` unless given, `AlphaDivergence`, `JensenShannon()`, `Entropy()` (the heat equation), `Objective`.
    space : `Fourier()` or `FiniteDifference(order)`.
    rtol : tolerance on z = ρe^{f/2}|X|^½, |X| the volume, root mean square over the grid, of one step; between 1e-13 and 1e-2.

    Raises
    ------
    ValueError : rtol out of range, a start that is not strictly convex, samples, densities that vanish.

    Notes
    -----
    A step that makes ρ negative somewhere is shrunk.  Records of each step: ``dt``, ``derivatives``, ``jacobian_products``,
    ``mass`` ∫ρ, ``kl`` = KL(ρ | e^{−f}), ``value`` = F(ρ).  Where `transport` fails the run
    ends with its advice.  Cost: two transforms for each right-hand side; one `transport` for each requested time.

    References
    ----------
    Jordan, Kinderlehrer, Otto, SIAM J. Math. Anal. 29 (1998).

    Examples
    --------
    >>> from pmasolve import Problem, Torus, evolve
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> run = evolve(FokkerPlanck(problem), times=[0.01, 0.02])
    >>> bool(run.records["kl"][-1] < run.records["kl"][0]), run.fields["log_density"].shape
    (True, (2, 32))
    """

    problem: Problem
    objective: Divergence = field(default=KL(), kw_only=True)
    space: Space = field(default=Fourier(), kw_only=True)
    rtol: float = field(default=1e-9, kw_only=True)

    def __post_init__(self) -> None:
        admit_tolerance(self.rtol)
        checked_objective(self.objective)
        checked(self.problem).need_positive("Fokker–Planck with a Brenier potential")

    reading = cached_property(OnGrid.of)
    operators = OPERATORS
    potential = densities_as_states.potential
    fields = densities_as_states.fields
    halted = densities_as_states.halted

    def resume(self, potential: Array, t: float) -> FokkerPlanckState:
        """The state at time t: the law ρ_t of a potential."""
        system = SymmetrisedSystem(self.problem, self.operators, self.objective)
        log_density = starting_law(self.problem, self.operators, potential)
        y = system.vector(np.exp(log_density) * system.volume / system.root)
        integrator = Integrator(system, y, self.rtol, t, system.swiftness)
        return FokkerPlanckState(integrator, system, log_density, potential, t)

    def advance(self, state: FokkerPlanckState, until: float) -> FokkerPlanckState:
        """One step of the integrator, or the interpolant at ``until``; a density that is not positive ends the run."""
        integrator, before = state.integrator, state.integrator.reached
        integrator.advance(until)
        state.outcome = state.system.refusal if integrator.outcome == REFUSED else integrator.outcome
        if state.outcome.ok:
            density = state.system.values(integrator.y) * state.system.root / state.system.volume  # ρ = z(μ/|X|)^½
            if density.min() > 0:  # the integrator tests the states it tries, not those that it returns
                state.t, state.u, state.log_density = integrator.t, None, np.log(density)
            else:
                state.outcome = POSITIVITY_LOST
        state.record = self._record(state, integrator.reached - before)
        if state.outcome.ok and state.t >= until:
            state.u, state.outcome = brenier_potential(self.problem, self.operators, state.log_density)
        return state

    def _record(self, state: FokkerPlanckState, dt: float) -> dict[str, float]:
        counts, density, grid = state.integrator.counts, np.exp(state.log_density), self.problem.domain
        A = state.log_density + self.problem.f
        mass, kl = grid.integral(density), grid.integral(density * A)
        return {
            "dt": dt,
            "derivatives": counts.derivatives,
            "jacobian_products": counts.jacobian_products,
            "mass": mass,
            "kl": kl,
            "value": value_of(self.objective, self.problem, A, kl, mass),
        }

    def error_estimate(self, trajectory: Trajectory) -> ErrorEstimate:
        """Time: against a hundredth of the tolerance.  Space: that run against one on a grid refined twice along each axis.

        Sup distances with constants removed, on the trajectory's own grid.  Cost: that of the two runs, 2^dim times the
        trajectory's and more.
        """
        return by_refinement(trajectory, replace(self, rtol=max(0.01 * self.rtol, 1e-13)))
