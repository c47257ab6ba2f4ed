"""Sinkhorn in continuous time: ∂ₜφ = h((S_ε(φ) − φ)/ε), the mirror flow of F with the mirror OT_ε(·, e^{−g}) in place of ½W₂².

The mirror coordinate of a law is then its Schrödinger potential, φ, and (S_ε(φ) − φ)/ε = log p_X/e^{−f} of the plan of φ.  Explicit
Euler steps of length η ≤ ε are `Sinkhorn(problem, eps, step=eta)`, η = ε Sinkhorn itself.  The equation is stiff as 1/ε only, so
that explicit Runge–Kutta steps of a few ε are stable, at two iterations of Sinkhorn for each ε of time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy.integrate import DOP853

from ..calculus.operators import Fourier, Space
from ..flows.integrator import admit_tolerance
from ..flows.reading import OPERATORS
from ..flows.trajectories import ErrorEstimate, Trajectory
from ..machine.arrays import Array
from ..problems.divergences import Divergence, speed_and_slope
from ..problems.objectives import KL
from ..problems.outcomes import NOT_PARABOLIC, REACHED, STEP_LIMIT, Outcome
from ..problems.problem import Problem
from .estimates import by_halving
from .iteration import Sinkhorn
from .potentials import Potential
from .readings import IterateReading, reading
from .softmin.protocol import Softmin

RELATIVE = 1e-13  # scipy's own relative tolerance, of u itself: not used


class Speed:
    """The right-hand side as scipy calls it, and what it last saw: (S_ε φ − φ)/ε, h and h′ of it."""

    def __init__(self, iteration: Sinkhorn) -> None:
        self.iteration, self.shape = iteration, iteration.problem.domain.shape
        self.evaluations = 0
        self.change, self.drive, self.slope = np.empty(0), np.empty(0), 1.0

    def __call__(self, t: float, y: Array) -> Array:
        flow, u = self.iteration, y.reshape(self.shape)
        self.evaluations += 1
        self.change = (flow.half_step_back(flow.half_step(u)) - u) / flow.eps
        self.drive, self.slope = speed_and_slope(flow.objective, flow.problem, self.change)
        return self.drive.ravel()


@dataclass(eq=False)
class SinkhornFlowState:
    """φ at the time reached, and the integrator, which stands there."""

    solver: DOP853
    speed: Speed
    t: float
    u: Array
    outcome: Outcome = REACHED
    record: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class SinkhornFlow:
    """∂ₜφ = h((S_ε φ − φ)/ε) in continuous time, on a grid or on clouds, adaptive (Dormand and Prince, order 8).

    Parameters
    ----------
    problem : densities on a torus or a box, or weighted samples.
    eps : ε > 0 of the mirror, for the cost ½|x−y|².
    objective : what falls, and so h; `KL()` unless given.
    softmin : the engine of the log-sums; the domain's own unless given.
    space, quadrature : as for `Sinkhorn`: derivatives on grids; largest relative quadrature error that is accepted.
    rtol : error of one step in u, root mean square over the nodes, in units of the squared extent; between 1e-13 and 1e-2.

    Raises
    ------
    ValueError : what `Sinkhorn` refuses of the problem, ε and the objective; rtol out of range.

    Notes
    -----
    To first order in ε it follows PMA, φ_t = φ̃_t + ε(w_t − f/2 + ½z_t) + O(ε²), see `LinearisedMongeAmpere` with ratio=0.
    Records of each step: ``dt``, ``evaluations`` of the right-hand side so far, and, of the plan of φ at the step's end, what
    `Sinkhorn` records.  The half step ``v`` among the fields is that of φ_t.
    Cost: 12 iterations of Sinkhorn for each step, of some 6 ε unless accuracy asks for less.  Memory: 20 arrays of the nodes.

    References
    ----------
    Sinkhorn as mirror descent: Aubin-Frankowski, Korba, Léger, arXiv 2206.08873; the flow: Karimi, Hsieh, Krause, arXiv 2311.16706.

    Examples
    --------
    >>> from pmasolve import Problem, Torus, evolve
    >>> problem = Problem(Torus((64,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> run = evolve(SinkhornFlow(problem, 1e-3), times=[0.01, 0.02])
    >>> bool(np.all(np.diff(run.records["value"]) < 0))
    True
    """

    problem: Problem
    eps: float
    objective: Divergence = field(default=KL(), kw_only=True)
    softmin: Softmin | None = field(default=None, kw_only=True)
    space: Space = field(default=Fourier(), kw_only=True)
    quadrature: float = field(default=1e-12, kw_only=True)
    rtol: float = field(default=1e-9, kw_only=True)

    def __post_init__(self) -> None:
        admit_tolerance(self.rtol)
        _ = self.iteration

    @cached_property
    def iteration(self) -> Sinkhorn:
        """Sinkhorn's iteration with this ε, whose half steps are the flow's."""
        given = {"softmin": self.softmin, "space": self.space, "quadrature": self.quadrature}
        return Sinkhorn(self.problem, self.eps, objective=self.objective, **given)

    operators = OPERATORS

    @cached_property
    def reading(self) -> IterateReading:
        """``map(u, v)`` and ``log_density(u)`` of a potential on this domain; clouds need v, the half step of u."""
        return reading(self.problem, self.space, self.function)

    @property
    def report(self) -> Mapping[str, float | int | str]:
        """What ran since this flow was made: the engine and its passes."""
        return self.iteration.report

    def function(self, v: Array) -> Potential:
        """S_ε(φ) as a function of any points, from the half step v of φ: the potential whose map is the plan's, E[y|x]."""
        return Potential(self.problem.nu, v, self.eps)

    def iterate_of(self, potential: Array) -> Array:
        """The potential itself: there is no gauge."""
        return potential

    def resume(self, potential: Array, t: float) -> SinkhornFlowState:
        """A state at time t with a fresh integrator."""
        flow, speed = self.iteration, Speed(self.iteration)
        seen = flow.look(potential).admitted()
        tolerance = self.rtol * self.problem.extent**2
        solver = DOP853(speed, t, potential.ravel(), np.inf, rtol=RELATIVE, atol=tolerance)
        return SinkhornFlowState(solver, speed, t, potential, flow.verdict(seen, seen))

    def advance(self, state: SinkhornFlowState, until: float) -> SinkhornFlowState:
        """One step of the integrator, cut short at ``until``.

        Its interpolant there would be some thousand times less accurate than its steps, which are as long as stability allows.
        """
        solver, before, longest = state.solver, state.solver.t, state.solver.h_abs
        solver.t_bound, solver.status = until, "running"
        solver.step()
        state.record = self._record(state.speed, solver.t - before)
        if solver.status == "failed" or not np.isfinite(solver.y).all():
            state.outcome = STEP_LIMIT.advising("the steps became too short; loosen rtol")
        elif not np.min(state.speed.slope) >= 0:
            state.outcome = NOT_PARABOLIC
        if not state.outcome.ok:
            return state
        state.t, state.u = solver.t, solver.y.reshape(state.u.shape)
        if state.t >= until:
            solver.h_abs = max(solver.h_abs, longest)  # that this step was short says nothing of the next
            state.outcome = self.halted(state)
        return state

    def halted(self, state: SinkhornFlowState) -> Outcome:
        """The verdict on a state, at a requested time or where an event ends the run."""
        seen = self.iteration.look(state.u)
        return self.iteration.verdict(seen, seen)

    def _record(self, speed: Speed, dt: float) -> dict[str, float]:
        known = self.iteration.stepping.record(speed.change, speed.drive)
        return {"dt": dt, "evaluations": speed.evaluations, **known}

    def potential(self, state: SinkhornFlowState) -> Array:
        """u of φ_t at the nodes."""
        return state.u

    def fields(self, state: SinkhornFlowState) -> Mapping[str, Array]:
        """``v`` of the half step of φ_t, ψ = |y|²/2 + v on the target nodes; one pass of the engine."""
        return {"v": self.iteration.half_step(state.u)}

    def error_estimate(self, trajectory: Trajectory) -> ErrorEstimate:
        """Distance from PMA.  Time: by halving ε, of order 1.  Space: of the quadrature, as `Sinkhorn.error_estimate`.

        Cost: twice that of the trajectory.
        """
        return by_halving(trajectory, self.reading, replace(self, eps=self.eps / 2, quadrature=1.0), 1)
