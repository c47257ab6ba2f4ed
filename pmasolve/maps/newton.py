"""Newton–Krylov for the elliptic Monge–Ampère equation μ = ν(x+∇u) det(I+D²u), the steady state of PMA.

The residual r = μ − ν(x+∇u) det(I+D²u) has the derivative v ↦ −div(ν(x+∇u) cof(I+D²u) ∇v), symmetric and elliptic while I + D²u
is positive definite (Loeper, Rapetti, C. R. Acad. Sci. Paris 340 (2005), for the damped method).  The potential lives in
coefficients, so that rounding in D²u does not grow with the grid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ..calculus.operators import Jet, Operators, Space
from ..calculus.series import Coefficients
from ..machine.arrays import Array, integer, number
from ..machine.threads import blocks, each
from ..problems.grids import Grid
from ..problems.outcomes import INTERRUPTED, REACHED, STALLED, STEP_LIMIT, Outcome
from ..problems.problem import Problem
from .elliptic import Elliptic, Solve
from .residual import balance, positive_definite

NEWTON_AT_ROUNDING = STALLED.advising(
    "no step reduces the residual any more; refine the grid or smooth the densities, or take SemiDual() for rough data"
)
STEPS_SPENT = STEP_LIMIT.advising("Newton's steps are spent; raise steps=, or start from a nearby solution")

Watch = Callable[[Mapping[str, float]], None]


@dataclass(frozen=True)
class NewtonKrylov:
    """Options of Newton's method on Monge–Ampère.

    Parameters
    ----------
    steps : most Newton steps on each grid.
    krylov : most conjugate-gradient iterations in each step.
    forcing : largest relative residual (Ḣ⁻¹ norm) of an inner solve; it shrinks with the outer residual.
    halvings : of a step that loses convexity or does not reduce the residual, before Newton is called stalled.
    coarsest : points of an axis at which the grid cascade starts; grids of fewer than twice as many are solved directly.

    Raises
    ------
    ValueError : counts below 1, ``coarsest`` below 4, ``forcing`` outside (0, 1).

    Examples
    --------
    >>> from pmasolve import Problem, Torus, transport
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> transport(problem, method=NewtonKrylov(coarsest=16)).outcome.name
    'reached'
    """

    steps: int = 30
    krylov: int = 200
    forcing: float = 0.05
    halvings: int = 8
    coarsest: int = 32

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("krylov", 1), ("halvings", 1), ("coarsest", 4)):
            integer(getattr(self, name), name, least)
        if not 0 < number(self.forcing, "forcing") < 1:
            raise ValueError(f"forcing={self.forcing}: give a number between 0 and 1, for example 0.05")


@dataclass(frozen=True)
class State:
    """Where Newton stands: norms of r; infinite where convexity is lost.

    ``l1`` = ∫|r| = ∫|T_#μ − ν|, ``sup`` = sup |T_#μ − ν|, ``dual`` the Ḣ⁻¹ norm.  ``defect`` ≥ ∫|r − r̄|, by Cauchy and Schwarz, is
    what Newton reduces: on a grid the two sides may differ in mass by the truncation error, which no potential can change.
    """

    l1: float
    sup: float
    dual: float
    defect: float


REFUSED = State(np.inf, np.inf, np.inf, np.inf)


class Level:
    """The equation on one grid, with all the memory that it needs."""

    def __init__(self, problem: Problem, operators: Operators) -> None:
        self.problem, self.grid = problem, problem.domain
        self.operators, self.transform = operators, operators.transform
        self.jet = Jet.empty(self.grid)
        self.elliptic = Elliptic(self.operators, self.jet.D)
        self.residual = np.empty(self.grid.local)
        self.coefficients: Coefficients = self.transform.zeros()  # of u
        self.r: Coefficients = self.transform.zeros()  # of the residual

    @cached_property
    def trial(self) -> Coefficients:
        """Room for another potential."""
        return self.transform.zeros()

    @cached_property
    def mu(self) -> Array:
        """e^{−f} at the nodes."""
        return np.exp(-self.problem.f)

    def start_from(self, coarse: Level) -> None:
        """The potential of a coarser level; modes that it does not have are exactly 0."""
        coarse.transform.refined(coarse.coefficients, self.grid, self.coefficients)

    def evaluate(self, coefficients: Coefficients) -> State:
        """Residual and linearisation at a potential; `REFUSED` if it is not strictly convex."""
        self.operators.jet(coefficients, self.jet)
        return self.balance() if self.grid.least(float(positive_definite(self.jet.D2))) else REFUSED

    def balance(self) -> State:
        """Residual where ``jet`` is that of a strictly convex potential: the gradient is lost, D²u becomes ν(T) cof(I+D²u)."""
        return self.compare(self.mu, self.pulled())

    def pulled(self) -> Array:
        """ν at x + ∇u; the gradient is lost."""
        nu = self.problem.target.at(self.problem.domain.displaced(self.jet.D))
        each(lambda b: _exp_minus(nu.reshape(-1)[b]), blocks(nu.size, nu.size))
        return nu

    def compare(self, mu: Array, nu: Array) -> State:
        """r = μ − ν det(I+D²u) of two densities on the nodes; D²u becomes ν cof(I+D²u)."""
        total, worst = balance(self.jet.D2, nu, mu, self.residual)
        mean, worst = self.grid.summed(total) / self.grid.size, self.grid.most(worst)
        self.transform.without_mean(self.transform.forward(self.residual, self.r))  # which no potential changes
        volume, dual, square = self.grid.volume, self.elliptic.energy(self.r), self.elliptic.square(self.r)
        return State(mean * volume, worst, float(np.sqrt(dual * volume)), float(np.sqrt(square)) * volume)

    @property
    def values(self) -> Array:
        """u on the grid, mean-free, of its shape."""
        return self.transform.derivative(self.coefficients, (0,) * self.grid.dim, np.empty(self.grid.local))


def _exp_minus(values: Array) -> None:
    np.negative(values, out=values)
    np.exp(values, out=values)


@dataclass(frozen=True, eq=False)
class Solution:
    """What Newton found.

    Attributes
    ----------
    level : the equation on the finest grid, at the solution: ``level.values`` is u.
    state : residual norms there.
    outcome : `REACHED`, `STALLED` or `STEP_LIMIT`.
    records : one for each Newton step, coarse grids first.
    """

    level: Level
    state: State
    outcome: Outcome
    records: tuple[Mapping[str, float], ...] = field(default=())


def newton(
    problem: Problem, space: Space, tolerance: float, settings: NewtonKrylov, watch: Watch = lambda record: None
) -> Solution:
    """u with ∫|r − r̄| dx ≤ tolerance, r = μ − ν(x+∇u) det(I+D²u), by a cascade of grids from ``settings.coarsest`` points up.

    A coarse grid is solved no better than its own truncation error deserves.
    """
    records: list[Mapping[str, float]] = []

    def note(record: Mapping[str, float]) -> None:
        records.append(record)
        watch(record)

    solution, grids = None, _coarse_to_fine(problem.domain, settings.coarsest)
    while grids:
        grid = grids.pop(0)
        here = problem if grid == problem.domain else problem.on(grid)
        level = Level(here, space.on(grid))
        if solution is not None:
            level.start_from(solution.level)
        try:
            solution = _solve(level, tolerance, settings, grid == problem.domain, note)
        except KeyboardInterrupt:
            solution = Solution(level, level.evaluate(level.coefficients), INTERRUPTED)
            break
        if records and records[-1]["points"] != grid.size:  # nothing was left to do: the coarser grid resolves it all
            grids = grids[-1:]
    assert solution is not None
    return replace(_on(problem, space, solution), records=tuple(records))


def _on(problem: Problem, space: Space, solution: Solution) -> Solution:
    """The solution on the problem's own grid, where an interruption has left it on a coarser one."""
    if solution.level.grid == problem.domain:
        return solution
    level = Level(problem, space.on(problem.domain))
    level.start_from(solution.level)
    return replace(solution, level=level, state=_start(level))


def _coarse_to_fine(grid: Grid, coarsest: int) -> list[Grid]:
    """Grids with half the points of each axis, coarse to fine."""
    grids = [grid]
    while min(grids[0].shape) >= 2 * coarsest:
        grids.insert(0, replace(grid, shape=tuple((n + 1) // 2 for n in grids[0].shape)))
    return grids


def _solve(level: Level, tolerance: float, settings: NewtonKrylov, last: bool, note: Watch) -> Solution:
    """Newton's method on one grid from the coefficients that the level holds."""
    state = _start(level)
    if not last:  # superalgebraic convergence squares the truncation error from grid to grid
        tolerance = max(0.5 * tolerance, 1e-2 * min(state.defect, 1e-3) ** 2)
    for step in range(1, settings.steps + 1):
        if state.defect <= tolerance:
            return Solution(level, state, REACHED)
        eta = _forcing(settings, state.defect, tolerance)
        solve = level.elliptic.solve(level.jet.D2, level.r, eta, settings.krylov)
        before, (state, t) = state, _search(level, state, settings.halvings)
        note({"points": level.grid.size, "step": step, "defect": state.defect, "krylov": solve.iterations, "length": t})
        if t == 0:
            return Solution(level, state, REACHED if state.defect <= _rounding(level) else NEWTON_AT_ROUNDING)
        if not last and _aliased(state, before, solve):
            return Solution(level, state, REACHED)
    return Solution(level, state, REACHED if state.defect <= tolerance else STEPS_SPENT)


def _forcing(settings: NewtonKrylov, defect: float, tolerance: float) -> float:
    """Relative residual of a linear solve: what the quadratic term makes of it anyway, or what the tolerance needs."""
    return min(settings.forcing, max(10.0 * defect, 0.3 * tolerance / defect))


def _aliased(state: State, before: State, solve: Solve) -> bool:
    """Whether a step near the solution falls short of its linear model: what is left is what this grid does not resolve."""
    return state.defect < 1e-4 and state.dual > max(3 * solve.relative, 0.05) * before.dual


def _rounding(level: Level) -> float:
    """Residual that rounding of u and its second derivatives leaves."""
    amplified = level.grid.sup(level.values) * level.grid.most(float(np.max(level.operators.symbol)))
    return 1e-15 * (10.0 + amplified)


def _start(level: Level) -> State:
    """The state at the level's coefficients, scaled down until the potential is convex."""
    while True:
        state = level.evaluate(level.coefficients)
        if state is not REFUSED:
            return state
        level.coefficients *= 0.5 if level.grid.sup(level.values) > 1e-6 * max(level.grid.lengths) ** 2 else 0.0


def _search(level: Level, state: State, halvings: int) -> tuple[State, float]:
    """The longest step 1, ½, ¼ … that keeps the potential convex and reduces the Ḣ⁻¹ norm of the residual; 0 if none does."""
    t = 1.0
    for _ in range(halvings):
        np.multiply(level.elliptic.solution, -t, out=level.trial)
        level.trial += level.coefficients
        new = level.evaluate(level.trial)
        if new.dual <= (1.0 - 0.1 * t) * state.dual:
            level.coefficients, level.trial = level.trial, level.coefficients
            return new, t
        t *= 0.5
    return level.evaluate(level.coefficients), 0.0
