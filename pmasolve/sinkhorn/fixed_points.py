"""The search for a fixed point of Sinkhorn at one ε: points, Newton steps, safeguards, and how it may end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ..machine.arrays import Array
from ..machine.progress import Show
from ..problems.outcomes import INTERRUPTED, NOT_FINITE, REACHED, STALLED, STEP_LIMIT, Outcome
from .iteration import Sinkhorn
from .line import Line, on_a_line, start_on_a_line
from .markov import Markov, Preconditioner, preconditioner, solve
from .plans import Plan
from .softmin.clouds.pairs import PairCosts
from .truncated import Truncated, pair_costs, truncated

BROKEN_OFF = INTERRUPTED.advising("stopped by the user; give the result as start to go on from it")
SPENT = STEP_LIMIT.advising("the iterations allowed are spent; raise limit, or start from the potentials found")
AT_ROUNDING = STALLED.advising(
    "the marginal error no longer falls: rounding of the potential limits it to about osc(u)/ε·10⁻¹⁶; ask for less or raise ε; "
    "a duality gap is known to about 10⁻¹⁵ (|u| + |v|)/ε times the largest cost"
)
HARD = (
    10  # products of a Newton step, above which the next is damped, on a line or with a table of the pairs that matter
)
CHANGE, AFTER = 6.0, 0.1  # the factor of the damping of I − P, up and down, and what is tried after none helped
LONGEST_NEWTON_STEP = 1e3  # squared extents: a longer step is of an equation that is singular in float64
AT_FIRST = 1e-3  # damping from the start that the monotone coupling is
PATIENCE = (
    12  # plain iterations without a new least marginal error before the run counts as stalled; a Newton step is three
)


@dataclass(frozen=True)
class SinkhornNewton:
    """Options of Newton's method for the fixed point of Sinkhorn's iteration, by conjugate gradients.

    Parameters
    ----------
    products : most products with P in one Newton step.
    halvings : how often a step that makes things worse is halved before a plain iteration replaces it.
    precondition : on grids, by PMA's constant-coefficient part.

    References
    ----------
    Brauer, Clason, Lorenz, Wirth, arXiv 1710.06635.

    Examples
    --------
    >>> from pmasolve import Problem, schroedinger
    >>> problem = Problem.from_samples([[0.0], [1.0]], [[0.2], [0.7]])
    >>> schroedinger(problem, 0.1, newton=SinkhornNewton(products=50)).outcome.name
    'reached'
    """

    products: int = 300
    halvings: int = 3
    precondition: bool = True


NEWTON = SinkhornNewton()
"""The options unless others are given."""


@dataclass(frozen=True, eq=False)
class Point:
    """A potential of a flow with all that one iteration tells of it."""

    flow: Sinkhorn
    u: Array
    v: Array
    after: Array
    marginal_error: float
    dual: float

    @classmethod
    def at(cls, flow: Sinkhorn, u: Array) -> Point:
        """One iteration from u."""
        v = flow.half_step(u)
        after = flow.half_step_back(v)
        mu, nu = flow.problem.mu, flow.problem.nu
        with np.errstate(over="ignore"):
            error = mu.integral(np.abs(np.expm1((after - u) / flow.eps)))
        return cls(flow, u, v, after, error, -mu.integral(u) - nu.integral(v))

    def better_than(self, other: Point) -> bool:
        """A higher dual value by more than rounding, or a smaller marginal error at an equal one."""
        rounding = 1e-14 * (self.flow.problem.extent**2 + abs(other.dual))
        gain = self.dual - other.dual
        return gain > rounding or (gain > -rounding and self.marginal_error < other.marginal_error)


@dataclass
class Search:
    """The state of a run: the flow with its present ε, the best point so far, what was visited and what it cost.

    ``show`` is told of every point: how much of the way to the next ε, or to the goal, lies behind (0 to 1 for each ε).
    """

    flow: Sinkhorn
    newton: SinkhornNewton | None
    limit: int
    show: Show = lambda done, record: None
    passed: int = 0
    goal: float = 1.0
    spent: int = 0
    best: Point | None = None
    conditioner: Preconditioner | None = None
    hard: bool = False
    damping: float = 0.0
    straight: bool = False
    costs: PairCosts | None = None
    rows: list[dict[str, float]] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)

    def run(self, u: Array, marginal: float, duality_gap: float) -> Outcome:
        """Iterate at the present ε until the errors are small enough; the result is ``best``.

        An interruption keeps the best point, of the ε before this one if there is none yet; before any it is passed on.
        """
        self.conditioner = preconditioner(self.flow) if self.newton and self.newton.precondition else None
        self.goal, stale = marginal, 0
        self.straight = on_a_line(self.flow.problem)
        self.costs = pair_costs(self.flow.problem) if self.newton and not self.straight else None
        try:
            best = self.best = here = self._visit(u)
            while not self._arrived(here, marginal, duality_gap):
                if not np.isfinite(here.dual):
                    return NOT_FINITE
                if self.spent >= self.limit:
                    return SPENT
                if stale >= PATIENCE:
                    return AT_ROUNDING
                here = self._step(here, marginal)
                better = here.marginal_error < best.marginal_error
                best, stale = (here, 0) if better else (best, stale + (3 if self.newton else 1))
                self.best = best
        except KeyboardInterrupt:
            if self.best is None:
                raise
            return BROKEN_OFF
        self.best, self.passed = here, self.passed + 1
        return REACHED

    def started_on_a_line(self) -> Array:
        """u to begin with at the present ε, and the work it took."""
        u, own = start_on_a_line(self.flow.problem, self.flow.eps, self.flow.softmin)
        self.spent, self.hard, self.damping = own.half_steps // 2, True, AT_FIRST
        return u

    @property
    def records(self) -> Mapping[str, Array]:
        """What is known of every point visited, in columns."""
        return {name: np.array([row[name] for row in self.rows]) for name in self.rows[0]}

    @property
    def seconds(self) -> float:
        """Wall time so far."""
        return time.perf_counter() - self.began

    def _arrived(self, here: Point, marginal: float, duality_gap: float) -> bool:
        if not here.marginal_error <= marginal:
            return False
        if duality_gap == np.inf:
            return True
        self.spent += 4  # passes of a certificate, in pairs
        return Plan(self.flow.problem, self.flow.eps, here.after, here.v, self.flow.softmin).duality_gap <= duality_gap

    def _step(self, here: Point, marginal: float) -> Point:
        """A Newton step where it helps, else a plain iteration."""
        if self.newton is not None:
            error = here.marginal_error
            tolerance = min(0.1, max(error, 0.1 * marginal / max(error, 1e-300)))
            nearer = self._nearer(here)
            found = self._damped(here, nearer, tolerance) if nearer else self._newton(here, tolerance)
            if found is not None:
                return found
        return self._visit(here.after, before=here)

    def _nearer(self, here: Point) -> Line | Truncated | None:
        """P of points on a line or of the pairs that matter, once a Newton step was laborious.

        Where these are too many, they are not asked for again at this ε.
        """
        if not self.hard or (self.costs is None and not self.straight):
            return None
        if self.straight:
            self.spent += 1
            return Line.of(Markov(self.flow, here.u, here.v, here.after))
        assert self.costs is not None
        table = truncated(self.flow, self.costs, here.u, here.v)
        self.costs = self.costs if table else None
        return table

    def _newton(self, here: Point, tolerance: float) -> Point | None:
        """A Newton step, shortened until it makes things better; None where it does not."""
        assert self.newton is not None
        most = HARD + 1 if self.straight else self.newton.products
        budget = max(1, min(most, self.newton.products, self.limit - self.spent))
        markov = Markov(self.flow, here.u, here.v, here.after)
        w, products = solve(markov, here.after - here.u, self.conditioner, tolerance, budget)
        self.spent, self.hard = self.spent + products, products > HARD
        for halving in range(self.newton.halvings + 1):
            there = self._tried(here, w / 2**halving, 0 if halving else products)
            if there is not None:
                return there
        return None

    def _damped(self, here: Point, nearer: Line | Truncated, tolerance: float) -> Point | None:
        """A step of Levenberg and Marquardt: (I − P + δ)w = S(φ) − φ with the least δ found lately that makes things better."""
        self.spent += 1
        while self.damping <= 1.0:
            damped = replace(nearer, damping=self.damping)
            w, products = solve(damped, here.after - here.u, damped.conditioner, tolerance, damped.products)
            self.spent += damped.passes * products
            there = self._tried(here, w, damped.passes * products)
            if there is not None:
                self.damping = self.damping / CHANGE if self.damping > nearer.least_damping else 0.0
                return there
            self.damping = max(nearer.least_damping, self.damping * CHANGE)
        self.damping = AFTER
        return None

    def _tried(self, here: Point, w: Array, products: int) -> Point | None:
        """The point after a step w, if it is better; nothing is asked of a step beyond all costs, where exponents overflow."""
        if not np.max(np.abs(w)) <= LONGEST_NEWTON_STEP * self.flow.problem.extent**2:
            return None
        there = self._visit(here.u + w, newton=True, products=products)
        return there if there.better_than(here) else None

    def _visit(self, u: Array, newton: bool = False, products: int = 0, before: Point | None = None) -> Point:
        point = Point.at(self.flow, u)
        self.spent += 1
        mu = self.flow.problem.mu
        ratio = np.nan
        if before is not None and (moved := mu.integral((u - before.u) ** 2)) > 0:
            ratio = np.sqrt(mu.integral((point.after - u) ** 2) / moved)
        self.rows.append(
            {
                "eps": self.flow.eps,
                "iterations": self.spent,
                "marginal_error": point.marginal_error,
                "dual": point.dual,
                "newton": newton,
                "products": products,
                "contraction": ratio,
            }
        )
        self.show(self.passed + self._share(), {"eps": self.flow.eps, "error": point.marginal_error})
        return point

    def _share(self) -> float:
        """How far the marginal error has fallen at this ε, in logarithms."""
        errors = [row["marginal_error"] for row in self.rows if row["eps"] == self.flow.eps]
        if not self.goal < errors[0] < np.inf:
            return 0.0
        least = max(min(errors), self.goal)
        return float(np.log(errors[0] / least) / np.log(errors[0] / self.goal))
