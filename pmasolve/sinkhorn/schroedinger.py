"""The fixed point of Sinkhorn's iteration: Schrödinger potentials, found faster than by iterating.

    φ = S_ε(φ),    the maximum of the concave dual  D(φ) = −∫u dμ − ∫v dν,   v the half step of u.

Newton's method on φ ↦ S_ε(φ) − φ, whose derivative is P − I with P = E[E[·|Y]|X] (`markov`), solved by conjugate gradients:
each of their steps costs as much as a Sinkhorn iteration and their number grows like the square root of Sinkhorn's on clouds,
hardly at all on grids, where PMA supplies the preconditioner.  Where a step on clouds needs many, the next are taken on a table of
the pairs that matter, damped as far as needed (`truncated`; Levenberg 1944, Marquardt 1963).  Safeguard: a step that does not
raise the dual value or lower the marginal error is halved, and replaced by a plain iteration, which always raises the dual value,
if that does not help (`fixed_points`).  Larger ε come first (`annealing`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..machine.arrays import Array, having, number
from ..machine.progress import progress_bar
from ..machine.speaking import count, drawn, numbers, page, sheet
from ..problems.outcomes import Outcome
from ..problems.problem import Problem, checked
from .annealing import anneal, carried, passed_through
from .fixed_points import NEWTON, Search, SinkhornNewton
from .gauges import PLAIN, Gauge, second_order
from .iteration import Sinkhorn
from .line import on_a_line
from .markov import Markov
from .plans import Plan
from .potentials import Potential
from .self_potential import Debiased
from .softmin.protocol import Softmin


@dataclass(frozen=True, eq=False)
class Schroedinger:
    """Schrödinger potentials φ = |x|²/2 + u, ψ = |y|²/2 + v at one ε.

    Attributes
    ----------
    flow : problem, ε and engine.
    u, v : the potentials; u is the half step of v, so that the source marginal of their plan is exact.
    marginal_error : ∫|p_X − μ| of the plan before the last half step; that of the target, after it, is no larger.
    outcome : reached, stalled, step limit, not finite, eps unresolved or interrupted, with advice.  A run that ends before
        annealing is over has the ε where it stood: see ``eps``.
    iterations : Sinkhorn iterations spent, with products by P (which cost the same) and with all ε of the annealing.
    records : for every point visited, arrays: ``eps``, ``iterations`` spent so far, ``marginal_error``, ``dual``, ``newton``
        (1 for a Newton step, 0 for a plain one), ``products`` of that step and ``contraction``, the ratio of the
        L²(μ) norms of φ⁺ − φ over a plain step.
    seconds : wall time.

    Examples
    --------
    >>> from pmasolve import Torus
    >>> found = schroedinger(Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y), 0.01)
    >>> found.map.shape, bool(found.plan.duality_gap < 1e-9)
    ((1, 32), True)
    """

    flow: Sinkhorn
    u: Array
    v: Array
    marginal_error: float
    outcome: Outcome
    records: Mapping[str, Array]
    seconds: float

    def __repr__(self) -> str:
        where = self.flow.problem.domain.words
        error = f"marginal error {self.marginal_error:.2g}"
        return f"<Schroedinger at ε = {self.eps:.6g} on {where}: {error}, {self.outcome.name}>"

    def _repr_html_(self) -> str:
        return page(self)

    def summary(self) -> str:
        """Outcome with its advice, ε and those before it, errors, work, on a page of at most 80 columns; no new passes are made."""
        ladder = list(dict.fromkeys(self.records["eps"].tolist()))
        newton = int(np.sum(self.records["newton"] > 0))
        return sheet(
            repr(self),
            {
                "outcome": self.outcome,
                "ε": numbers(ladder),
                "marginal": f"∫|p_X − μ| = {self.marginal_error:.3g}",
                "work": f"{count(self.iterations, 'iteration')}, {count(newton, 'Newton step')}, {self.seconds:.2g} s",
                "flow": repr(self.flow),
            },
        )

    def plot(self) -> Any:
        """The marginal error against the work, one colour for each ε; beside it the potentials, on clouds where the points go.

        Returns
        -------
        A matplotlib ``Figure``, not shown: notebooks show it, ``figure.savefig(path)`` keeps it.
        """
        return drawn(self)

    @property
    def eps(self) -> float:
        """ε of the potentials: the one asked for, or where an interrupted annealing stood."""
        return self.flow.eps

    @property
    def iterations(self) -> int:
        """Sinkhorn iterations spent, with products by P, which cost as much, and with all ε of the annealing."""
        return int(self.records["iterations"][-1])

    @property
    def corrected(self) -> Array:
        """χ − |x|²/2, mean-free: within O(ε²) of Brenier's potential.

        χ = φ + (ε/2)f for densities, φ − u_ff for samples and wherever gauge=SELF was given.
        A ``ValueError`` where (ε/2)f is asked of a density that vanishes, where it is +∞, and where ε is so large
        that χ on a grid is not convex or its density has not the mass 1; ``u`` itself is convex at every ε.
        """
        u = self.chi
        found = self.flow.look(u).verdict(lambda: "take a smaller ε, or u without the correction")
        if not found.ok:
            raise ValueError(
                f"eps={self.eps:g} is too large to be corrected in the gauge {self._even.gauge.name!r} here: {found}"
            )
        return u

    @property
    def chi(self) -> Array:
        """χ − |x|²/2, mean-free, convex or not: what extrapolation in ε is made of."""
        flow = self._even
        if flow.gauge.needs_density:
            flow.problem.need_positive(f"the gauge {flow.gauge.name!r}")
        return flow.problem.domain.centred(flow.returned(self.u))

    @property
    def _even(self) -> Sinkhorn:
        """The flow in its own gauge, if that is of order 2, else in the one that its problem has."""
        return self.flow if self.flow.gauge.order > 1 else replace(self.flow, gauge=second_order(self.flow.problem))

    @property
    def potential(self) -> Array:
        """u in the gauge that was asked for: u itself in the plain one."""
        return self.flow.returned(self.u)

    @property
    def function(self) -> Potential | Debiased:
        """``potential`` as a function of any points: values, gradient, map, Hessian; plain or self gauge."""
        return self.flow.function(self.v)

    @property
    def inverse(self) -> Potential | Debiased:
        """The potential of the target, ψ or ψ − v_gg, as a function of any points y; its map goes back from y to x."""
        return self.flow.inverse(self.u)

    def error_estimate(self) -> float:
        """Estimated sup distance of ``corrected`` from Brenier's potential: 4/3 of that to the one with ε/2, which is solved for.

        Safe as long as ε² dominates; `brenier` has estimates for every order.  The quadrature of ε/2 goes untested.
        """
        if not self.flow.problem.has_densities:
            raise ValueError("a smaller ε estimates the error for densities; for samples the noise is most of it")
        options = {"gauge": self._even.gauge, "softmin": self.flow.softmin, "quadrature": 1.0, "progress": False}
        finer = schroedinger(self.flow.problem, self.eps / 2, start=self, **options)
        return 4 / 3 * self.flow.problem.domain.sup(self.corrected - finer.chi)

    @cached_property
    def plan(self) -> Plan:
        """The plan of (φ, ψ): marginals, costs, rows and the certified gap."""
        return Plan(self.flow.problem, self.eps, self.u, self.v, self.flow.softmin)

    @property
    def map(self) -> Array:
        """x + ∇u of ``potential`` at the nodes, a field (dim, *shape), or (n, dim) at the points of a cloud."""
        return self.flow.reading.map(self.potential, self.v)

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
    duality_gap: float = np.inf,
    start: ArrayLike | Schroedinger | None = None,
    ladder: Sequence[float] | None = None,
    gauge: Gauge = PLAIN,
    newton: SinkhornNewton | None = NEWTON,
    limit: int = 20_000,
    softmin: Softmin | None = None,
    quadrature: float = 1e-12,
    progress: bool | None = None,
) -> Schroedinger:
    """The Schrödinger potentials of a problem at ε: the fixed point of `Sinkhorn`.

    Parameters
    ----------
    problem : densities on a grid, or samples.
    eps : ε > 0 for the cost ½|x−y|².
    marginal : largest ∫|p_X − μ| accepted, that of the plan after a half step, whose other marginal is exact.
    duality_gap : largest certified duality gap accepted, `Plan.duality_gap`; both must hold.
        ``marginal=np.inf`` leaves the gap alone.
    start : u at the nodes, for this ε; then there is no annealing.  Or a result, interrupted or at another ε, to go on from: at
        its ε, if that is larger, and through those of the ladder that are left.
    ladder : decreasing ε to pass through before ``eps``; by default powers of 1/4 from a tenth of the squared size, and none
        between clouds on a line, where the monotone coupling is a start for any ε.
    gauge : what ``potential``, ``map`` and ``function`` are read in; u and v are Schrödinger's potentials in every gauge.
    newton : options of Newton's method; None for plain annealed Sinkhorn.
    limit : most iterations, with everything that costs as much.
    softmin : engine; the domain's own unless given.
    quadrature : as in `Sinkhorn`: on grids that do not resolve ε the answer comes with the outcome "eps unresolved".
    progress : show a bar; by default on a terminal, once two seconds have passed.

    Returns
    -------
    `Schroedinger`: the potentials, their marginal error, what was done, and how it ended.

    Raises
    ------
    ValueError : ε, tolerances or ladder that are not positive (or not decreasing), a start of another shape or not finite.

    Notes
    -----
    From one ε to the next the potential moves by −(ε/2)f, χ = φ + (ε/2)f being that of ε = 0 up to O(ε²); on clouds, where f
    is not known, it is taken as it is.  Memory: a dozen arrays of the nodes; on clouds in ℝᵈ some 300 MB at most besides, for a
    table of pairs; none on a line.  Ctrl-C returns the best potentials so far, with the
    outcome "interrupted" (unless not even one iteration is complete).

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
    number(eps, "eps")
    if newton is not None:
        having(newton, "products", "newton", "give SinkhornNewton(), or None for plain Sinkhorn")
    before = start if isinstance(start, Schroedinger) else None
    straight = start is None and ladder is None and newton is not None and on_a_line(checked(problem))
    ladder = () if ladder is None and before is None and (straight or start is not None) else ladder
    rungs = passed_through(checked(problem), eps, ladder, before.eps if before else np.inf)
    demands = {"marginal": marginal, "duality_gap": duality_gap, "limit": limit}
    if not all(number(value, name) > 0 for name, value in demands.items()):
        raise ValueError(
            f"marginal={marginal}, duality_gap={duality_gap}, limit={limit}: all must be positive, for example 1e-9"
        )
    flow = Sinkhorn(problem, rungs[0], gauge=gauge, softmin=softmin, quadrature=quadrature)
    with progress_bar("schroedinger", float(len(rungs)), progress, "stage") as show:
        search = Search(flow, newton, limit, show)
        u = search.started_on_a_line() if straight else _started(problem, start, rungs[0])
        outcome = anneal(search, u, rungs, marginal, duality_gap)
    best = search.best
    return Schroedinger(best.flow, best.after, best.v, best.marginal_error, outcome, search.records, search.seconds)


def _started(problem: Problem, start: ArrayLike | Schroedinger | None, eps: float) -> Array:
    """u to begin with at the first ε."""
    if start is None:
        return np.zeros(problem.domain.shape)
    if isinstance(start, Schroedinger):
        return carried(problem, problem.domain.values(start.u, "start"), start.eps, eps)
    return problem.domain.values(start, "start")
