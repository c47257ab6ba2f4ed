"""Newton–Krylov for the elliptic Monge–Ampère equation μ = ν(x+∇u) det(I+D²u), the steady state of PMA.

The residual r = μ − ν(x+∇u) det(I+D²u) has the derivative v ↦ −div(ν(x+∇u) cof(I+D²u) ∇v), symmetric and elliptic while I + D²u
is positive definite (Loeper, Rapetti, C. R. Acad. Sci. Paris 340 (2005), for the damped method).  The potential lives in
coefficients, so that rounding in D²u does not grow with the grid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
from scipy.fft import next_fast_len

from ..calculus.operators import Space
from ..calculus.transforms import transform_of
from ..machine.arrays import keep_integers, number
from ..problems.grids import Grid
from ..problems.outcomes import INTERRUPTED, REACHED, STALLED, STEP_LIMIT, Outcome
from ..problems.problem import Problem
from .certificates import squares_of_gradient
from .elliptic import Solve
from .level import REFUSED_STATE, Level, NewtonState

NEWTON_AT_ROUNDING = STALLED.advising(
    "no step reduces the residual any more; refine the grid or smooth the densities, or take SemiDual() for rough data"
)
STEPS_SPENT = STEP_LIMIT.advising("Newton's steps are spent; raise steps=, or start from a nearby solution")

SLOW = 1e-3  # of a grid's defect at the start, on the next one: more where the data are not smooth, and grids may be further apart
NOT_BEGUN = 0.1  # a defect, of mass 1: Newton's method has not begun to converge
NO_NEARER = 0.8  # of the coarser grid's defect: a finer one is no nearer
JAGGED = 0.25  # of ∫|∇f|², in the highest octave of the problem's grid: sharp bumps have below 0.13, pairs of images from 0.4 on
BUSY = 5000  # points of a grid on which a step takes longer than the calls of which it is made

Watch = Callable[[Mapping[str, float]], None]
LevelFactory = Callable[[Problem, Space], Any]  # to a `Level`, or what does the same elsewhere


@dataclass(frozen=True)
class NewtonKrylov:
    """Options of Newton's method on Monge–Ampère.

    Parameters
    ----------
    steps : most Newton steps on each grid.
    krylov : most conjugate-gradient iterations in each step.
    forcing : largest relative residual (Ḣ⁻¹ norm) of an inner solve; it shrinks with the outer residual.
    halvings : of a step that loses convexity or does not reduce the residual, before Newton is called stalled.
    coarsest : fewest points of an axis on a grid of the cascade; with less than twice as many (in space 3/2) there is no cascade.

    Raises
    ------
    ValueError : counts below 1, ``coarsest`` below 4, ``forcing`` outside (0, 1).

    Examples
    --------
    >>> import numpy as np
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
        keep_integers(self, steps=1, krylov=1, halvings=1, coarsest=4)
        if not 0 < number(self.forcing, "forcing") < 1:
            raise ValueError(f"forcing={self.forcing}: give a number between 0 and 1, for example 0.05")


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
    state: NewtonState
    outcome: Outcome
    records: tuple[Mapping[str, float], ...] = field(default=())


def on_processor(problem: Problem, space: Space) -> Level:
    """The equation in NumPy's arrays; what makes levels elsewhere is called in the same way."""
    return Level(problem, space.on(problem.domain))


def newton(
    problem: Problem,
    space: Space,
    tolerance: float,
    settings: NewtonKrylov,
    watch: Watch = lambda record: None,
    levels: LevelFactory = on_processor,
) -> Solution:
    """u with ∫|r − r̄| dx ≤ tolerance, r = μ − ν(x+∇u) det(I+D²u), by a cascade of grids from ``settings.coarsest`` points up.

    A coarse grid is solved no better than its own truncation error deserves; where a density is rough on the problem's own grid,
    finer ones are spared after two in turn that have stalled far off, and anywhere after two without a step.
    ``levels`` makes the equation on one grid.  Processes exchange float32 inside the linear solves.  Of that nothing is left once r
    is small; where it does not become so, all steps of a grid are done again in float64.
    """
    records: list[Mapping[str, float]] = []

    def note(record: Mapping[str, float]) -> None:
        records.append(record)
        watch(record)

    solution, before, halved = None, float("inf"), _halved(problem.domain, settings.coarsest)
    grids = _coarse_to_fine(halved, settings.coarsest)
    while grids:
        grid = grids.pop(0)
        here = problem.on(grid)
        level = levels(here, space)
        if solution is not None:
            level.start_from(solution.level)
        try:
            start = _start(level)
            last, begun = grid == problem.domain, len(records)
            aim = tolerance if last else _deserved(tolerance, start, grid, solution)
            found = _solve(level, start, aim, settings, last, note)
            if not found.outcome.ok and any(record["bits"] < 64 for record in records[begun:]):
                del records[begun:]  # float32 did not get there: again, all in float64
                level.start_from(solution.level) if solution else level.shrink(0.0)
                found = _solve(level, _start(level), aim, settings, last, note, exact=True)
            coarse, solution = solution, found
        except KeyboardInterrupt:
            solution = Solution(level, level.begin(), INTERRUPTED)
            break
        if problem.domain.size > BUSY and _no_nearer(coarse, solution) and (_unmoved(records) or _jagged(problem)):
            break
        if records and records[-1]["points"] != grid.size:  # nothing was left to do: the coarser grid resolves it all
            grids = grids[-1:]
        elif start.defect > SLOW * before:
            grids = [finer for finer in grids if finer in halved]
        before = start.defect
    assert solution is not None
    solution = replace(solution, level=solution.level.here, records=tuple(records))
    return _on(problem, space, solution)


def _no_nearer(coarse: Solution | None, fine: Solution) -> bool:
    """Whether two grids in turn have stalled far from a solution, the finer no nearer."""
    stalled = coarse is not None and coarse.outcome == fine.outcome == NEWTON_AT_ROUNDING
    return stalled and fine.state.defect > max(NOT_BEGUN, NO_NEARER * coarse.state.defect)


def _unmoved(records: Sequence[Mapping[str, float]]) -> bool:
    """Whether on two grids in turn no step helped.  Of 153 sharp problems so stuck none converged later."""
    return all(record["step"] == 1 and record["length"] == 0 for record in records[-2:])


def _jagged(problem: Problem) -> bool:
    """Whether a density has much that only the finest grid sees: jumps, noise.  Sharp ones that it resolves may converge there."""
    grid = problem.domain
    half, transform = replace(grid, shape=tuple((n + 1) // 2 for n in grid.shape)), transform_of(grid)
    for f in (problem.f, problem.g):
        squares = grid.summed(squares_of_gradient([grid, half], transform, transform.forward(f)))
        if squares[0] > JAGGED * np.sum(squares):
            return True
    return False


def _on(problem: Problem, space: Space, solution: Solution) -> Solution:
    """The solution on the problem's own grid, where it is on a coarser one: interrupted, or finer ones were spared."""
    if solution.level.grid == problem.domain:
        return solution
    level = Level(problem, space.on(problem.domain))
    level.start_from(solution.level)
    return replace(solution, level=level, state=_start(level))


def _halved(grid: Grid, coarsest: int) -> list[Grid]:
    """The grid and those with half the points of each axis, again and again, coarse to fine."""
    grids = [grid]
    while min(grids[0].shape) >= 2 * coarsest:
        grids.insert(0, replace(grid, shape=tuple((n + 1) // 2 for n in grids[0].shape)))
    return grids


def _coarse_to_fine(halved: list[Grid], coarsest: int) -> list[Grid]:
    """Halved grids, and before each a grid with two thirds of its points, on which less is lacking of a series that is smooth.

    Not where that has fewer than `BUSY` points: steps cost the same there on all grids.
    """
    grids = []
    for grid in halved:
        between = tuple(
            next_fast_len(-(-2 * n // 3), real=True) for n in grid.shape
        )  # of 4 points: 3, too few for a grid
        worth = min(between) >= coarsest and prod(between) >= BUSY
        grids += [replace(grid, shape=between), grid] if worth else [grid]
    return grids


def _deserved(tolerance: float, start: NewtonState, grid: Grid, coarse: Solution | None) -> float:
    """The defect to which a coarse grid is solved: a tenth of its truncation error, if that falls geometrically with the points.

    What is left at the start is the truncation error d of the coarser grid; with r times its points it is about dʳ.
    """
    ratio = (grid.size / coarse.level.grid.size) ** (1 / grid.dim) if coarse else 2.0
    return max(0.5 * tolerance, 0.1 * min(start.defect, 1e-3) ** ratio)


def _solve(
    level: Level,
    state: NewtonState,
    tolerance: float,
    settings: NewtonKrylov,
    last: bool,
    note: Watch,
    exact: bool = False,
) -> Solution:
    """Newton's method on one grid from the coefficients that the level holds, whose state is given."""
    for step in range(1, settings.steps + 1):
        if state.defect <= tolerance:
            return Solution(level, state, REACHED)
        eta = _forcing(settings, state.defect, tolerance)
        solve = level.correct(eta, settings.krylov, exact)
        before, (state, t) = state, _search(level, state, settings.halvings)
        work = {"krylov": solve.iterations, "bits": solve.bits, "length": t}
        note({"points": level.grid.size, "step": step, "defect": state.defect, **work})
        if t == 0:
            return Solution(level, state, REACHED if state.defect <= _rounding(level) else NEWTON_AT_ROUNDING)
        if not last and _aliased(state, before, solve):
            return Solution(level, state, REACHED)
    return Solution(level, state, REACHED if state.defect <= tolerance else STEPS_SPENT)


def _forcing(settings: NewtonKrylov, defect: float, tolerance: float) -> float:
    """Relative residual of a linear solve: what the quadratic term makes of it anyway, or what the tolerance needs."""
    return min(settings.forcing, max(10.0 * defect, 0.3 * tolerance / defect))


def _aliased(state: NewtonState, before: NewtonState, solve: Solve) -> bool:
    """Whether a step near the solution falls short of its linear model: what is left is what this grid does not resolve."""
    return state.defect < 1e-4 and state.dual > max(3 * solve.relative, 0.05) * before.dual


def _rounding(level: Level) -> float:
    """Residual that rounding of u and its second derivatives leaves."""
    return 1e-15 * (10.0 + level.height * level.steepest)


def _start(level: Level) -> NewtonState:
    """The state at the level's coefficients, scaled down until the potential is convex."""
    while True:
        state = level.begin()
        if state is not REFUSED_STATE:
            return state
        level.shrink(0.5 if level.height > 1e-6 * max(level.grid.lengths) ** 2 else 0.0)


def _search(level: Level, state: NewtonState, halvings: int) -> tuple[NewtonState, float]:
    """The longest step 1, ½, ¼ … that keeps the potential convex and reduces the Ḣ⁻¹ norm of the residual; 0 if none does."""
    t = 1.0
    for _ in range(halvings):
        new = level.move(t)
        if new.dual <= (1.0 - 0.1 * t) * state.dual:
            level.keep()
            return new, t
        t *= 0.5
    return level.begin(), 0.0
