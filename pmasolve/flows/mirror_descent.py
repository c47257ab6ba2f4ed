"""No-regret mirror descent in Wasserstein space: the explicit Euler scheme of PMA (Deb, Liang, arXiv 2504.09279).

    φ_{k+1} = φ_k + η_k {f − g(∇φ_k) + log det D²φ_k},

in their letters with reference e^{−f}, target e^{−g} and samples (∇φ_k)_# e^{−f} (φ is their ψ: swap the problem for the primal
flow, `Problem.swapped`).  Every step is checked against the two-sided evolution variational inequality.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ..calculus.hessians import eigenvalue_range
from ..calculus.operators import Fourier, Space
from ..machine.arrays import Array, keep_integers
from ..problems.divergences import Divergence, checked_objective, log_ratio, value_of
from ..problems.objectives import KL
from ..problems.outcomes import CONVEXITY_LOST, REACHED, Outcome
from ..problems.problem import Problem, checked
from .reading import (
    LOST_MASS,
    OPERATORS,
    Linearisation,
    OnGrid,
    convexity,
    folds,
    linearise_at,
    look,
    lost,
    need_convex,
)
from .refinement import by_refinement, on_finer_grid
from .schedules import Halved, StepSizes, checked_schedule, steps_until, times_of
from .trajectories import ErrorEstimate, Trajectory

MASS_REMEDY = "refine the grid, or smooth the densities"


@dataclass(frozen=True, eq=False)
class DescentState:
    """φ_k, what is known there, and the sums of the certificate."""

    k: int
    t: float
    u: Array
    here: Linearisation
    energy: float  # ∫u e^{−f} − ∫(u + ½|∇u|²) dρ, the Bregman divergence less a constant
    low: float  # inf D²φ_k
    outcome: Outcome = REACHED
    record: Mapping[str, float] = field(default_factory=dict)
    certificate: float = 0.0


@dataclass(frozen=True, eq=False)
class MirrorDescent:
    """Explicit Euler of PMA, or of ∂ₜφ = h(A(φ)), with the steps of a schedule; t is the sum of the steps taken.

    Parameters
    ----------
    problem : densities on a torus or a box: reference e^{−f}, target e^{−g}.
    schedule : step sizes: `ConstantSteps`, `HarmonicSteps`, `square_root_steps(T)`, `logarithmic_steps(T, scale)`, or any
        k ↦ η_k > 0.
    objective : what falls, and so the direction h(A); `KL()` unless given.
    space : derivatives.
    modes : K: keep only wavenumbers |k_j| ≤ 2πK/L_j of each step; all that the grid has unless given.

    Raises
    ------
    ValueError : a start that is not strictly convex, ``modes`` < 1, samples, densities that vanish,
        times that are not sums of the first steps (see `times`).

    Notes
    -----
    A step loses two derivatives, so that it is stable only while η ≤ 2 inf D²φ/∑(2πK/L_j)² (for KL), see `cfl`: with all modes
    of an n-grid that is O(n⁻²).  Fewer modes allow longer steps; a step that loses convexity ends the run with an outcome that
    names the bound.  Sinkhorn is the implicit counterpart without such a bound.

    Records of each step, with d the direction taken, ρ = (∇φ*)_# e^{−g}, B the Bregman divergence of e^{−g} and the samples:
    ``eta``, ``kl`` = KL(samples | e^{−g}), ``reverse_kl``, ``value`` = F(ρ), ``pairing`` = ∫d (dρ − e^{−f}), for KL kl + reverse_kl
    up to projection, ``mass`` ∫ρ_{k+1}, ``bregman_drop`` = B_k − B_{k+1}, ``remainder`` = (η/2m_{k+1})∫|∇d|²dρ, and the two sides
    of pairing − remainder ≤ bregman_drop/η ≤ pairing: ``lower_slack`` and ``upper_slack``, both ≥ 0; ``certificate`` =
    B_0 − B_T + ∑η·remainder − ∑η·pairing ≥ 0.
    Cost: that of one right-hand side of `MongeAmpere` for each step.

    Examples
    --------
    >>> from pmasolve import ConstantSteps, Problem, Torus, evolve
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> flow = MirrorDescent(problem, ConstantSteps(1e-3), modes=4)
    >>> run = evolve(flow, flow.times(20)[-1:])
    >>> run.records["t"].size, bool(min(run.records["lower_slack"].min(), run.records["upper_slack"].min()) > 0)
    (20, True)
    """

    problem: Problem
    schedule: StepSizes
    objective: Divergence = field(default=KL(), kw_only=True)
    space: Space = field(default=Fourier(), kw_only=True)
    modes: int | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.modes is not None:
            keep_integers(self, modes=1)
        checked_schedule(self.schedule)
        checked_objective(self.objective)
        checked(self.problem).need_positive("mirror descent")

    reading = cached_property(OnGrid.of)
    operators = OPERATORS

    def times(self, count: int) -> Array:
        """η_0, η_0 + η_1, …: the times of the first ``count`` iterates, the ones that can be asked for."""
        return times_of(self.schedule, count)

    @cached_property
    def _limits(self) -> list[float]:
        """Largest wavenumber of each axis."""
        largest = [float(np.max(k)) for k in self.operators.transform.wavenumbers]
        kept = [2 * np.pi * (self.modes or np.inf) / length for length in self.problem.domain.lengths]
        return [min(pair) for pair in zip(largest, kept, strict=True)]

    def cfl(self, u: Array) -> float:
        """2/sup(h′G⁻¹)/∑(2πK/L_j)², G = D²φ, for KL 2 inf D²φ/∑…: the longest step that damps the shortest waves."""
        here = linearise_at(self.problem, self.operators, u)
        slope = self.objective.dh(log_ratio(self.objective, self.problem, here.speed))
        return 2 / eigenvalue_range(slope * here.inverse)[1] / sum(k**2 for k in self._limits)

    def admit(self, times: Array) -> None:
        """Refuse times that no iterate has."""
        for t in times:
            steps_until(self.schedule, float(t))

    def resume(self, potential: Array, t: float) -> DescentState:
        """φ_k with t the sum of the first k steps; the certificate starts again."""
        low, here = need_convex(self.operators, potential), linearise_at(self.problem, self.operators, potential)
        return DescentState(steps_until(self.schedule, t), t, potential, here, self._energy(potential, here), low)

    def advance(self, state: DescentState, until: float) -> DescentState:
        """One step; the last state stays where convexity would be lost."""
        eta, drive = self.schedule(state.k), self._drive(state.here)
        direction = self._kept(drive)
        u = state.u + eta * direction
        low, here = convexity(self.operators, u)[0], linearise_at(self.problem, self.operators, u)
        if not (low > 0 and here.convex):
            return replace(state, outcome=self._unstable(state, eta))
        mass = self.problem.domain.integral(np.exp(here.log_density))
        if abs(mass - 1.0) > LOST_MASS:
            return replace(state, outcome=lost(mass, MASS_REMEDY))
        energy, t = self._energy(u, here), state.t + eta
        record = self._record(state, eta, direction, state.energy - energy, low)
        certificate = state.certificate + eta * record["lower_slack"]
        record |= {"certificate": certificate, "mass": mass}
        t = until if abs(t - until) <= 1e-9 * until else t
        after = DescentState(state.k + 1, t, u, here, energy, low, REACHED, record, certificate)
        return replace(after, outcome=self.halted(after)) if t >= until else after

    def halted(self, state: DescentState) -> Outcome:
        """Whether the map folds between the nodes, at a requested time or where an event ends the run."""
        told = folds(look(self.operators, state.u))
        return CONVEXITY_LOST.advising(told) if told else REACHED

    def _drive(self, here: Linearisation) -> Array:
        return self.objective.h(log_ratio(self.objective, self.problem, here.speed))

    def _kept(self, values: Array) -> Array:
        """Without the wavenumbers beyond ``modes``."""
        if self.modes is None:
            return values
        transform = self.operators.transform
        coefficients = transform.forward(values)
        for k, limit in zip(transform.wavenumbers, self._limits, strict=True):
            coefficients = coefficients * (np.abs(k) <= limit * (1 + 1e-9))
        return transform.derivative(coefficients, (0,) * values.ndim, np.empty(values.shape))

    def _energy(self, u: Array, here: Linearisation) -> float:
        D = self.operators.gradient(u)
        law = np.exp(here.log_density) * (u + 0.5 * np.sum(D**2, axis=0))
        return self.problem.domain.integral(u * np.exp(-self.problem.f) - law)

    def _record(self, state: DescentState, eta: float, direction: Array, drop: float, low: float) -> dict[str, float]:
        """Both sides of the evolution variational inequality at step k."""
        grid, speed = self.problem.domain, state.here.speed
        rho, reference = np.exp(state.here.log_density), np.exp(-self.problem.f)
        slope, reverse = np.sum(self.operators.gradient(direction) ** 2, axis=0), grid.integral(speed * rho)
        pairing, remainder = grid.integral(direction * (rho - reference)), eta / (2 * low) * grid.integral(slope * rho)
        return {
            "eta": eta,
            "kl": -grid.integral(speed * reference),
            "reverse_kl": reverse,
            "value": value_of(self.objective, self.problem, speed, reverse, grid.integral(rho)),
            "pairing": pairing,
            "remainder": remainder,
            "bregman_drop": drop,
            "lower_slack": drop / eta - pairing + remainder,
            "upper_slack": pairing - drop / eta,
            "min_eigenvalue": low,
        }

    def _unstable(self, state: DescentState, eta: float) -> Outcome:
        return CONVEXITY_LOST.advising(
            f"step {state.k} with η={eta:.3g} made I + D²u indefinite; explicit steps are stable up to about "
            f"{self.cfl(state.u):.3g} here: take shorter steps or fewer modes, or Sinkhorn, which has no such bound",
        )

    def potential(self, state: DescentState) -> Array:
        """u of φ_k on the grid."""
        return state.u

    def error_estimate(self, trajectory: Trajectory) -> ErrorEstimate:
        """Distance from PMA.  Time: by halving every step, order 1.  Space: against twice the points, the same modes.

        Cost: that of the two runs, with twice the steps each on 1 and 2^dim times the points.
        """
        halved = replace(self, schedule=Halved(self.schedule))
        same_modes = replace(halved, modes=self.modes or min(self.problem.domain.shape) // 2)
        return by_refinement(trajectory, halved, 2.0, on_finer_grid(same_modes))
