"""The parabolic Monge–Ampère equation ∂ₜφ = A(φ) = f − g(∇φ) + log det D²φ, and ∂ₜφ = h(A(φ)), as a flow (arXiv 2307.16421)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from ..calculus.hessians import POINTS_TOGETHER, vectorised
from ..calculus.operators import Fourier, Space
from ..machine.arrays import Array, having
from ..machine.exponentials import FLOOR, LOG2E, exp2
from ..machine.threads import over
from ..problems.divergences import Divergence, checked_objective, value
from ..problems.nodes import Whole
from ..problems.objectives import KL
from ..problems.outcomes import CONVEXITY_LOST, REACHED, REFUSED, Outcome
from ..problems.problem import Problem, checked
from .evolution import Evolution
from .integrator import Steps, System, admit_tolerance, integrator_on
from .reading import LOST_MASS, OPERATORS, Linearisation, OnGrid, Seen, folds, lost, need_convex
from .refinement import by_refinement
from .trajectories import ErrorEstimate, Trajectory


def local_tolerance(rtol: float) -> float:
    """Error of one step for which the error of the result is proportional to rtol.

    At order 4 the number of steps grows like (error of a step)^(−1/5), so that the result's error is that to the power 4/5.
    """
    return max(rtol * (rtol / 1e-6) ** 0.25, 1e-14)


class PotentialSystem(System, Protocol):
    """A system that remembers the linearisation at the last potential it admitted, and why it refused one."""

    @property
    def objective(self) -> Divergence:
        """What falls along the flow."""
        ...

    @property
    def drive(self) -> Array:
        """h(A) at the last potential it admitted; A itself, not a copy, for KL."""
        ...

    @property
    def refusal(self) -> Outcome:
        """Why the last state that was refused was."""
        ...

    @property
    def here(self) -> Linearisation | None:
        """None if the last state tried was refused."""
        ...

    def look(self, y: Array) -> Seen:
        """What is to be seen of the potential of a state; the linearisation's arrays may be written over."""
        ...


@dataclass(eq=False)
class MongeAmpereState:
    """The last state that is well, and the integrator, which goes on from it."""

    integrator: Steps
    evolution: PotentialSystem
    t: float
    y: Array
    outcome: Outcome = REACHED
    record: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, domain: Whole, evolution: PotentialSystem, y: Array, tolerance: float, t: float) -> MongeAmpereState:
        """A fresh integrator at time t."""
        return cls(integrator_on(domain, evolution, y, tolerance, t), evolution, t, y)


@dataclass(frozen=True, eq=False)
class MongeAmpere:
    """PMA flow ∂ₜu = A = f − g(x+∇u) + log det(I + D²u), or h(A) of another objective, adaptive in time (CVODE, BDF 1–4).

    Parameters
    ----------
    problem : densities on a torus or a box.
    objective : what falls, and so h: ∂ₜu = h(A) is the mirror flow of F(ρ) = ∫Φ(ρe^f) e^{−f}, h(s) = Φ′(e^s).  `KL()`, for which
        h(A) = A; `AlphaDivergence`, `JensenShannon()`, `Entropy()`, or your own `Objective`.
    space : `Fourier()` or `FiniteDifference(order)`.
    rtol : tolerance on w = (1 − Δ/κ²)u, κ the least wavenumber, root mean square over the grid, in units of the mean squared
        period (on a box that of the even extension); between 1e-13 and 1e-2.  The error of the result is proportional to it:
        of u within a factor of about ten, of D²u up to κ² ≈ 40 times more.

    Notes
    -----
    Every state that the integrator tries is tested: where I + D²u is not positive definite the step is shrunk, and if
    that does not help the run ends with the outcome `CONVEXITY_LOST`; where h does not increase on the values of A met, with
    ``not parabolic``; where ∫ρ_t on the grid leaves 1 by 0.05, with
    ``unresolved``.  Records of each step: step size ``dt``, ``order`` (1 to 4; NaN where no linear system had to be solved), work
    (``derivatives``, ``newton_iterations`` and ``jacobian_products``, that is Krylov vectors, cumulative), ``min_eigenvalue`` of
    I + D²u, ``mass`` ∫ρ_t, ``kl`` = ∫ρ_t(f + log ρ_t), ``value`` = F(ρ_t) = ∫Φ(ρ_t e^f) e^{−f}, for KL ``kl`` − ``mass`` + 1, and
    ``speed`` = sup |∂ₜu − mean|, the last five at the last Newton iterate of the step.  The rates of F: `mirror.along`.
    Cost: 5 transforms in the plane, 8 in space, for each right-hand side and Jacobian product, whose number does not grow with
    the grid; some 40 arrays of the grid at most, and one for each vector of GMRES beyond the fourth, of which data of high
    contrast need up to 30.

    References
    ----------
    Berman, arXiv 1712.03082; Deb, Kim, Pal, Schiebinger, arXiv 2307.16421; other objectives were derived for this package
    (docs/theory.md).

    Examples
    --------
    >>> from pmasolve import CHI_SQUARED, Problem, Torus, evolve
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> evolve(MongeAmpere(problem, rtol=1e-8), times=[0.1]).potentials.shape
    (1, 32)
    >>> values = evolve(MongeAmpere(problem, objective=CHI_SQUARED), times=[0.1]).records["value"]
    >>> bool(np.all(np.diff(values) < 0))
    True
    """

    problem: Problem
    objective: Divergence = field(default=KL(), kw_only=True)
    space: Space = field(default=Fourier(), kw_only=True)
    rtol: float = field(default=1e-8, kw_only=True)

    def __post_init__(self) -> None:
        admit_tolerance(self.rtol)
        having(self.space, "on", "space", "give Fourier(), or FiniteDifference(order)")
        checked_objective(self.objective)
        if checked(self.problem, shared=True).has_densities:
            self.problem.need_positive("the Monge–Ampère flow")

    reading = cached_property(OnGrid.of)
    operators = OPERATORS

    def resume(self, potential: Array, t: float) -> MongeAmpereState:
        """A state at time t with a fresh integrator, which starts at low order; the potential must be strictly convex."""
        need_convex(self.operators, potential)
        evolution = Evolution(self.problem, self.operators, self.objective)
        y, tolerance = evolution.vector(potential), local_tolerance(self.rtol) * evolution.scale
        return MongeAmpereState.of(self.problem.domain, evolution, y, tolerance, t)

    def advance(self, state: MongeAmpereState, until: float) -> MongeAmpereState:
        """One step of the integrator, or the interpolant at ``until``."""
        return unfolded(take_step(state, until), until)

    def halted(self, state: MongeAmpereState) -> Outcome:
        """Whether the map folds between the nodes, where an event ends the run."""
        return unfolded(state, state.t).outcome

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
    state.outcome = state.evolution.refusal if integrator.outcome == REFUSED else integrator.outcome
    near = state.outcome.ok and record.get("min_eigenvalue", 0.0) < WATCH
    if near and not state.evolution.derivative(integrator.y, np.empty_like(integrator.y)):
        state.outcome = state.evolution.refusal
    if state.outcome.ok:
        state.t, state.y = integrator.t, integrator.y
        if abs((mass := record.get("mass", 1.0)) - 1.0) > LOST_MASS:
            state.outcome = lost(mass, "refine the grid, or lower the contrast")
    return state


def unfolded(state: MongeAmpereState, until: float) -> MongeAmpereState:
    """Convex at the nodes may still fold between them: at a requested time the map that is handed out is looked at."""
    if state.outcome.ok and state.t >= until and (told := folds(state.evolution.look(state.y))):
        state.outcome = CONVEXITY_LOST.advising(told)
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
    domain, sums = here.problem.domain, density_sums(here.speed, here.problem.f)
    mass, kl, total = (domain.cell * domain.summed(np.array([sums.mass, sums.entropy, sums.total]))).tolist()
    drive = state.evolution.drive
    if drive is here.speed:  # KL: all is known from the sums
        fallen, mean, low, high = kl - mass + 1.0, total / domain.volume, sums.low, sums.high
    else:
        fallen = value(state.evolution.objective, here.problem, here.speed)
        mean, low, high = domain.mean(drive), float(np.min(drive)), float(np.max(drive))
    low, high = domain.extremes(low, high)
    return {
        **work,
        "min_eigenvalue": 1.0 / here.diffusion[1],
        "mass": mass,
        "kl": kl,
        "value": fallen,
        "speed": max(high - mean, mean - low),
    }


@vectorised
def _density_sums(speed, f, begin, end, sums):
    """Add ρ, ρA, A, and the extremes of A, of some points at a time; ρ = exp(A − f), clipped far outside of what occurs."""
    for first in range(begin, end, POINTS_TOGETHER):
        last = min(first + POINTS_TOGETHER, end)
        for i in range(np.uint64(first), np.uint64(last)):
            k, a = i - np.uint64(first), speed[i]
            e = LOG2E * (a - f[i])
            e = e if e > FLOOR else FLOOR
            rho = exp2(e if e < -FLOOR else -FLOOR)
            sums[0, k] += rho
            sums[1, k] += rho * a
            sums[2, k] += a
            sums[3, k] = a if a < sums[3, k] else sums[3, k]
            sums[4, k] = a if a > sums[4, k] else sums[4, k]


@dataclass(frozen=True)
class DensitySums:
    """Over all points: of ρ = exp(A − f), of ρA and of A; least and greatest A."""

    mass: float
    entropy: float
    total: float
    low: float
    high: float


def density_sums(A: Array, f: Array) -> DensitySums:
    """Sums and extremes in one pass, from finite arrays of one shape."""

    def work(begin: int, end: int) -> Array:
        """Of some points: three sums, the least and the greatest, by as many as are taken together."""
        sums = np.zeros((5, POINTS_TOGETHER))
        sums[3], sums[4] = np.inf, -np.inf
        _density_sums(A.reshape(-1), f.reshape(-1), begin, end, sums)
        return sums

    sums = np.stack(over(work, A.size))
    return DensitySums(*sums[:, :3].sum(axis=(0, 2)).tolist(), float(sums[:, 3].min()), float(sums[:, 4].max()))
