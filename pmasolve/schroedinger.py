"""The fixed point of Sinkhorn's iteration: Schrödinger potentials, found faster than by iterating.

    φ = S_ε(φ),    the maximum of the concave dual  D(φ) = −∫u dμ − ∫v dν,   v the half step of u.

Newton's method on φ ↦ S_ε(φ) − φ, whose derivative is P − I with P = E[E[·|Y]|X] (`markov`), solved by conjugate gradients:
each of their steps costs as much as a Sinkhorn iteration and their number grows like the square root of Sinkhorn's on clouds,
hardly at all on grids, where PMA supplies the preconditioner.  Safeguard: a step that does not raise the dual value or lower
the marginal error is halved, and replaced by a plain iteration, which always raises the dual value, if that does not help.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike

from .domains import Array, Box, Cloud, Grid
from .markov import Markov, preconditioner, solve
from .plans import Plan
from .problems import Problem
from .sinkhorn import Sinkhorn
from .softmin.protocol import Softmin
from .trajectories import INTERRUPTED, NOT_FINITE, REACHED, Outcome

STEP_LIMIT = Outcome(
    "step limit", False, "the iterations allowed are spent; raise limit, or start from the potentials found"
)
STALLED = Outcome(
    "stalled",
    False,
    "the marginal error no longer falls: rounding of the potential limits it to about osc(u)/ε·10⁻¹⁶; ask for less or raise ε",
)
UNRESOLVED = Outcome(
    "eps unresolved", False, "the potential on the grid is not convex; refine the grid or take a larger ε"
)
COARSE = 1e-2  # marginal error at which annealing goes on to the next ε
PATIENCE = (
    12  # plain iterations without a new least marginal error before the run counts as stalled; a Newton step is three
)


@dataclass(frozen=True)
class Newton:
    """Newton steps by conjugate gradients.

    Parameters
    ----------
    products : most products with P in one Newton step.
    halvings : how often a step that makes things worse is halved before a plain iteration replaces it.
    precondition : on grids, by PMA's constant-coefficient part.
    """

    products: int = 300
    halvings: int = 3
    precondition: bool = True


NEWTON = Newton()
"""The options unless others are given."""


@dataclass(frozen=True, eq=False)
class Point:
    """A potential with all that one iteration tells of it."""

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
        return cls(u, v, after, error, -mu.integral(u) - nu.integral(v))

    def better_than(self, other: Point) -> bool:
        """A higher dual value by more than rounding, or a smaller marginal error at an equal one."""
        rounding = 1e-14 * (1.0 + abs(other.dual))
        gain = self.dual - other.dual
        return gain > rounding or (gain > -rounding and self.marginal_error < other.marginal_error)


@dataclass(frozen=True, eq=False)
class Schroedinger:
    """Schrödinger potentials φ = |x|²/2 + u, ψ = |y|²/2 + v at one ε.

    Attributes
    ----------
    flow : problem, ε and engine.
    u, v : the potentials; u is the half step of v, so that the source marginal of their plan is exact.
    marginal_error : ∫|p_X − μ| of the plan before the last half step; that of the target, after it, is no larger.
    outcome : reached, stalled, step limit, not finite, eps unresolved or interrupted, with advice.
    iterations : Sinkhorn iterations spent, with products by P (which cost the same) and with all ε of the annealing.
    records : for every point visited, arrays: ``eps``, ``iterations`` spent so far, ``marginal_error``, ``dual``, ``newton``
        (1 for a Newton step, 0 for a plain one), ``products`` of that step and ``contraction``, the ratio of the
        L²(μ) norms of φ⁺ − φ over a plain step.
    seconds : wall time.
    """

    flow: Sinkhorn
    u: Array
    v: Array
    marginal_error: float
    outcome: Outcome
    records: Mapping[str, Array]
    seconds: float

    @property
    def eps(self) -> float:
        """ε of the potentials."""
        return self.flow.eps

    @property
    def iterations(self) -> int:
        """Iterations and equivalents spent."""
        return int(self.records["iterations"][-1])

    @property
    def symmetric(self) -> Array:
        """χ − |x|²/2 = u + (ε/2)f, mean-free: within O(ε²) of Brenier's potential.  Not for samples, whose f is not known."""
        domain = self.flow.problem.domain
        return domain.gauge(self.u + 0.5 * self.eps * self.flow.problem.f)

    @cached_property
    def plan(self) -> Plan:
        """The plan of (φ, ψ): marginals, costs, rows and the certified gap."""
        return Plan(self.flow.problem, self.eps, self.u, self.v, self.flow.softmin)

    @property
    def map(self) -> Array:
        """x + ∇u at the nodes, (dim, *shape); the barycentric map on clouds."""
        return self.flow.map(self.u, self.v)

    @cached_property
    def contraction(self) -> float:
        """λ₁ of the Markov operator at the fixed point: by what plain Sinkhorn shrinks its error in each iteration."""
        v = self.flow.half_step(self.u)
        return Markov(self.flow, self.u, v, self.flow.half_step_back(v)).contraction


def schroedinger(
    problem: Problem,
    eps: float,
    *,
    marginal: float = 1e-9,
    gap: float = np.inf,
    start: ArrayLike | None = None,
    ladder: Sequence[float] | None = None,
    newton: Newton | None = NEWTON,
    limit: int = 20_000,
    softmin: Softmin | None = None,
    quadrature: float = 1e-12,
) -> Schroedinger:
    """The Schrödinger potentials of a problem at ε: the fixed point of `Sinkhorn`.

    Parameters
    ----------
    problem : densities on a grid, or samples.
    eps : ε > 0 for the cost ½|x−y|².
    marginal : largest ∫|p_X − μ| accepted, that of the plan after a half step, whose other marginal is exact.
    gap : largest certified duality gap accepted, `Plan.gap`; both must hold.  ``marginal=np.inf`` leaves the gap alone.
    start : u at the nodes, for this ε; then there is no annealing.
    ladder : decreasing ε to pass through before ``eps``; by default powers of 1/4 from a tenth of the squared size.
    newton : options of Newton's method; None for plain annealed Sinkhorn.
    limit : most iterations, with everything that costs as much.
    softmin : engine; the domain's own unless given.
    quadrature : as in `Sinkhorn`: on grids that do not resolve ε the answer comes with the outcome "eps unresolved".

    Raises
    ------
    ValueError : ε, tolerances or ladder that are not positive (or not decreasing), a start of another shape or not finite.

    Notes
    -----
    From one ε to the next the potential moves by −(ε/2)f, χ = φ + (ε/2)f being that of ε = 0 up to O(ε²); on clouds, where f
    is not known, it is taken as it is.  Memory: a dozen arrays of the nodes.

    References
    ----------
    Cuturi, arXiv 1306.0895; Brauer, Clason, Lorenz, Wirth, arXiv 1710.06635 (Newton's method for the same equation).

    Examples
    --------
    >>> from pmasolve import Torus
    >>> problem = Problem(Torus((64,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> found = schroedinger(problem, 1e-3, marginal=1e-12)
    >>> found.outcome.name, found.iterations < 100
    ('reached', True)
    """
    rungs = _rungs(problem, eps, start, ladder)
    if not (marginal > 0 and gap > 0 and limit > 0):
        raise ValueError(f"marginal={marginal}, gap={gap}, limit={limit}: all must be positive, for example 1e-9")
    u = np.zeros(problem.domain.shape) if start is None else problem.domain.values(start, "start")
    search = _Search(Sinkhorn(problem, rungs[0], softmin=softmin, quadrature=quadrature), newton, limit)
    for rung in rungs[1:]:
        search.run(u, COARSE, np.inf)
        u = _carried(problem, search.best.after, search.flow.eps, rung)
        search.flow = replace(search.flow, eps=rung)
    return search.result(search.run(u, marginal, gap))


def _rungs(problem: Problem, eps: float, start: ArrayLike | None, ladder: Sequence[float] | None) -> tuple[float, ...]:
    """All ε to pass through, the wanted one last."""
    if not 0 < eps < np.inf:
        raise ValueError(f"eps={eps}: the regularisation must be positive and finite, for example 1e-3")
    if ladder is not None:
        rungs = (*(float(e) for e in ladder), eps)
        if not all(b < a < np.inf for a, b in pairwise(rungs)):
            raise ValueError(f"ladder={ladder}: give decreasing ε above eps={eps:g}, or None")
        return rungs
    first = max(0.1 * _size(problem) ** 2, eps)
    count = 0 if start is not None else int(np.ceil(np.log(first / eps) / np.log(4.0) - 1e-9))
    return tuple(eps * 4.0**k for k in range(count, -1, -1))


def _size(problem: Problem) -> float:
    """Length over which mass can move: half a period, a side, or the spread of both clouds."""
    nodes = problem.domain
    if isinstance(nodes, Grid):
        return max(nodes.lengths) * (1.0 if isinstance(nodes, Box) else 0.5)
    if nodes.period is not None:
        return 0.5 * max(nodes.period)
    assert isinstance(problem.codomain, Cloud)
    both = np.concatenate([nodes.points, problem.codomain.points])
    return float(np.max(np.ptp(both, axis=0)))


def _carried(problem: Problem, u: Array, eps: float, to: float) -> Array:
    """A start for another ε: the same χ where f is known."""
    return u + 0.5 * (eps - to) * problem.f if problem.has_densities else u


@dataclass
class _Search:
    """The state of a run: what it has visited and what it has spent."""

    flow: Sinkhorn
    newton: Newton | None
    limit: int
    spent: int = 0
    rows: list[dict[str, float]] = field(default_factory=list)
    began: float = field(default_factory=time.perf_counter)

    def run(self, u: Array, marginal: float, gap: float) -> Outcome:
        """Iterate at the present ε until the errors are small enough; the result is ``best``."""
        self.conditioner = preconditioner(self.flow) if self.newton and self.newton.precondition else None
        self.best = here = self._visit(u)
        stale = 0
        try:
            while not self._arrived(here, marginal, gap):
                if not np.isfinite(here.dual):
                    return NOT_FINITE
                if self.spent >= self.limit:
                    return STEP_LIMIT
                if stale >= PATIENCE:
                    return STALLED
                here = self._step(here, marginal)
                better = here.marginal_error < self.best.marginal_error
                self.best, stale = (here, 0) if better else (self.best, stale + (3 if self.newton else 1))
        except KeyboardInterrupt:
            return INTERRUPTED
        self.best = here
        return REACHED

    def result(self, outcome: Outcome) -> Schroedinger:
        """The answer, with the grid's own verdict on ε."""
        flow, best = self.flow, self.best
        if outcome is REACHED:
            outcome = _resolution(flow, best.after)
        records = {name: np.array([row[name] for row in self.rows]) for name in self.rows[0]}
        seconds = time.perf_counter() - self.began
        return Schroedinger(flow, best.after, best.v, best.marginal_error, outcome, records, seconds)

    def _arrived(self, here: Point, marginal: float, gap: float) -> bool:
        if not here.marginal_error <= marginal:
            return False
        if gap == np.inf:
            return True
        self.spent += 4  # passes of a certificate, in pairs
        return Plan(self.flow.problem, self.flow.eps, here.after, here.v, self.flow.softmin).gap <= gap

    def _step(self, here: Point, marginal: float) -> Point:
        """A Newton step where it helps, else a plain iteration."""
        if self.newton is not None:
            error = here.marginal_error
            tolerance = min(0.1, max(error, 0.1 * marginal / error))
            budget = max(1, min(self.newton.products, self.limit - self.spent))
            markov = Markov(self.flow, here.u, here.v, here.after)
            w, products = solve(markov, here.after - here.u, self.conditioner, tolerance, budget)
            self.spent += products
            for halving in range(self.newton.halvings + 1):
                there = self._visit(here.u + w / 2**halving, products=products)
                if there.better_than(here):
                    return there
        return self._visit(here.after, before=here)

    def _visit(self, u: Array, products: int = 0, before: Point | None = None) -> Point:
        point = Point.at(self.flow, u)
        self.spent += 1
        mu = self.flow.problem.mu
        ratio = np.nan
        if before is not None:
            ratio = np.sqrt(mu.integral((point.after - u) ** 2) / mu.integral((u - before.u) ** 2))
        self.rows.append(
            {
                "eps": self.flow.eps,
                "iterations": self.spent,
                "marginal_error": point.marginal_error,
                "dual": point.dual,
                "newton": float(products > 0),
                "products": products,
                "contraction": ratio,
            }
        )
        return point


def _resolution(flow: Sinkhorn, u: Array) -> Outcome:
    """REACHED unless the grid is too coarse for ε."""
    try:
        return flow.reading.resolution(u, flow.quadrature)
    except ValueError:  # not convex between the nodes
        return UNRESOLVED
