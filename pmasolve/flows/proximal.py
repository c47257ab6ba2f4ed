"""The proximal point scheme of the mirror geometry: implicit Euler steps of PMA, of any length.

    ρ_{k+1} = argmin_ρ F(ρ) + B_G(ρ | ρ_k)/η_k      ⇔      φ_{k+1} − η_k h(A(φ_{k+1})) = φ_k,

B_G the Bregman divergence of G = ½W₂²(·, e^{−g}).  For F = KL(· | e^{−f}), h(s) = s, every density π and every η, with no
condition on the step,

    [B_G(π | ρ_k) − B_G(π | ρ_{k+1})]/η = KL(ρ_{k+1} | μ) − KL(π | μ) + KL(π | ρ_{k+1}) + B_G(ρ_{k+1} | ρ_k)/η,      μ = e^{−f},

an identity, of which the last term is ≥ 0; for other F the terms of KL are ∫h(A(φ_{k+1})) d(ρ_{k+1} − π) ≥ F(ρ_{k+1}) − F(π).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ..calculus.operators import Fourier, Space
from ..machine.arrays import Array, positive
from ..problems.divergences import Divergence, checked_objective, log_ratio, value
from ..problems.objectives import KL
from ..problems.outcomes import REACHED, STALLED, Outcome
from ..problems.problem import Problem, checked
from .implicit import Implicit, ImplicitStep
from .reading import LOST_MASS, OPERATORS, Linearisation, OnGrid, folds, linearise_at, look, lost, need_convex
from .refinement import by_refinement
from .schedules import ConstantSteps, Halved, StepSizes, step_of, steps_until, times_of
from .trajectories import ErrorEstimate, Trajectory


@dataclass(frozen=True, eq=False)
class ProximalState:
    """φ_k, its part of the Bregman divergence, and the sums so far."""

    k: int
    t: float
    u: Array
    energy: float  # B_G(π | ρ_k) less a constant, π the law where F is least
    regret: float = 0.0  # ∑η·pairing
    outcome: Outcome = REACHED
    record: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class BregmanProximal:
    """Implicit Euler of ∂ₜφ = h(A(φ)), φ_{k+1} − η_k h(A(φ_{k+1})) = φ_k: proximal points of F, of order 1 in η, for any η.

    Parameters
    ----------
    problem : densities on a torus or a box, 1 to 3 dimensions.
    step : η > 0, or a schedule k ↦ η_k: `ConstantSteps`, `GrowingSteps` (a road to the Brenier map from any start),
        `HarmonicSteps`, or any function; t is the sum of the steps taken.
    objective : F, and so h: `KL()`, for which h(A) = A and the limit is PMA, or another as for `MongeAmpere`.
    space : derivatives.

    Raises
    ------
    ValueError : steps that are not positive, a start that is not strictly convex, samples, densities that vanish,
        times that are not sums of the first steps (see `times`).

    Notes
    -----
    Records of each step: ``eta``, ``newton`` steps and ``krylov`` products, ``residual`` (about the error of u), ``value`` = F(ρ),
    ``kl`` = KL(ρ | e^{−f}), ``mass`` ∫ρ, ``min_eigenvalue`` of I + D²u, and with π the law where F is least (e^{−f}, of
    `Entropy` the uniform one) ``pairing`` = ∫h d(ρ − π) (of KL: KL(ρ | e^{−f}) + KL(e^{−f} | ρ)), ``bregman_drop`` =
    B_G(π | ρ_k) − B_G(π | ρ_{k+1}), ``slack`` = bregman_drop/η − pairing, which is B_G(ρ_{k+1} | ρ_k)/η ≥ 0, and the sum of
    all steps so far, ``regret`` = ∑η·pairing ≤ B_G(π | ρ₀).  So F(ρ_T) − F(π) ≤ B_G(π | ρ₀)/t, and F falls at every step.
    Cost: for smooth data two to four Newton steps of some five to ten products with 𝓛, whatever η and the grid.

    References
    ----------
    The scheme is Bregman's proximal point (Chen, Teboulle, SIAM J. Optim. 3 (1993)) in the mirror geometry of Deb, Kim, Pal,
    Schiebinger, arXiv 2307.16421; the identity is derived in docs/theory.md.

    Examples
    --------
    >>> from pmasolve import Problem, Torus, evolve
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> flow = BregmanProximal(problem, 500.0)
    >>> run = evolve(flow, [500.0])  # one step
    >>> bool(run.records["kl"][0] < 1e-8), bool(run.records["slack"][0] > 0)
    (True, True)
    """

    problem: Problem
    step: float | StepSizes
    objective: Divergence = field(default=KL(), kw_only=True)
    space: Space = field(default=Fourier(), kw_only=True)

    def __post_init__(self) -> None:
        if not callable(self.step):
            positive(self.step, "step", "the step", "0.1")
        checked_objective(self.objective)
        checked(self.problem).need_positive("a proximal step")

    @property
    def schedule(self) -> StepSizes:
        """The steps η_k as a function of k."""
        return self.step if callable(self.step) else ConstantSteps(self.step)

    reading = cached_property(OnGrid.of)
    operators = OPERATORS

    def times(self, count: int) -> Array:
        """η_0, η_0 + η_1, …: the times of the first ``count`` iterates, the ones that can be asked for."""
        return times_of(self.schedule, count)

    def admit(self, times: Array) -> None:
        """Refuse times that no iterate has."""
        for t in times:
            steps_until(self.schedule, float(t))

    def resume(self, potential: Array, t: float) -> ProximalState:
        """φ_k with t the sum of the first k steps; the sums start again."""
        need_convex(self.operators, potential)
        here = linearise_at(self.problem, self.operators, potential)
        return ProximalState(steps_until(self.schedule, t), t, potential, self._energy(potential, here))

    def advance(self, state: ProximalState, until: float) -> ProximalState:
        """One step; the last state stays where its equation is not solved."""
        eta = step_of(self.schedule, state.k)
        found = ImplicitStep(self.problem, self.operators, eta, self.objective).solve(state.u)
        if not found.solved:
            return replace(state, outcome=self._unsolved(state, eta, found))
        t = state.t + eta
        after = ProximalState(
            state.k + 1,
            until if abs(t - until) <= 1e-9 * until else t,
            found.u,
            self._energy(found.u, found.here),
            state.regret + eta * self._pairing(found.here),
        )
        return replace(after, record=self._record(state, after, found, eta), outcome=self._inspect(found, after, until))

    def halted(self, state: ProximalState) -> Outcome:
        """Whether the map folds between the nodes, where an event ends the run."""
        told = folds(look(self.operators, state.u))
        return STALLED.advising(told) if told else REACHED

    @cached_property
    def _goal(self) -> Array:
        """The law π where F is least, at the nodes."""
        f, volume = self.problem.f, self.problem.domain.volume
        return np.full_like(f, 1.0 / volume) if self.objective.uniform else np.exp(-f)

    def _energy(self, u: Array, here: Linearisation) -> float:
        """∫u dπ − ∫(u + ½|∇u|²) dρ: B_G(π | ρ) but for what depends on π and g only."""
        D = self.operators.gradient(u)
        law = np.exp(here.log_density) * (u + 0.5 * np.sum(D**2, axis=0))
        return self.problem.domain.integral(u * self._goal - law)

    def _pairing(self, here: Linearisation) -> float:
        """∫h(A) d(ρ − π)."""
        drive = self.objective.h(log_ratio(self.objective, self.problem, here.speed))
        return self.problem.domain.integral(drive * (np.exp(here.log_density) - self._goal))

    def _record(self, before: ProximalState, after: ProximalState, found: Implicit, eta: float) -> dict[str, float]:
        grid, rho, pairing = self.problem.domain, np.exp(found.here.log_density), self._pairing(found.here)
        drop = before.energy - after.energy
        return {
            "eta": eta,
            "newton": float(found.newton),
            "krylov": float(found.krylov),
            "residual": found.residual,
            "value": value(self.objective, self.problem, found.here.speed),
            "kl": grid.integral(rho * found.here.speed),
            "mass": grid.integral(rho),
            "min_eigenvalue": 1.0 / found.here.diffusion[1],
            "pairing": pairing,
            "bregman_drop": drop,
            "slack": drop / eta - pairing,
            "regret": after.regret,
        }

    def _inspect(self, found: Implicit, after: ProximalState, until: float) -> Outcome:
        """The mass after every step; at a requested time whether the map folds between the nodes."""
        mass = self.problem.domain.integral(np.exp(found.here.log_density))
        if abs(mass - 1.0) > LOST_MASS:
            return lost(mass, "refine the grid, or smooth the densities")
        return self.halted(after) if after.t >= until else REACHED

    def _unsolved(self, state: ProximalState, eta: float, found: Implicit) -> Outcome:
        return STALLED.advising(
            f"Newton's method did not solve step {state.k} with η={eta:.3g} (error about {found.residual:.2g}); "
            "take shorter steps, GrowingSteps from a short one, or a finer grid"
        )

    def potential(self, state: ProximalState) -> Array:
        """u of φ_k on the grid."""
        return state.u

    def error_estimate(self, trajectory: Trajectory) -> ErrorEstimate:
        """Distance from PMA.  Time: by halving every step, order 1.  Space: that run on a grid refined twice.

        Sup distances with constants removed, on the trajectory's own grid.  Cost: that of the two runs, with twice the steps
        each on 1 and 2^dim times the points.
        """
        return by_refinement(trajectory, replace(self, step=Halved(self.schedule)), 2.0)
