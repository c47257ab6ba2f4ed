"""Annealing: through which larger ε the search for a fixed point goes, from what, and what a grid says of ε on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import ldexp

import numpy as np

from ..machine.arrays import Array, positive
from ..problems.outcomes import INTERRUPTED, NOT_FINITE, REACHED, STALLED, STEP_LIMIT, Outcome
from ..problems.problem import Problem
from .fixed_points import Search
from .readings import NOT_CONVEX, resolution_outcome

COARSE_MARGINAL = 1e-2  # marginal error at which annealing goes on to the next ε


def passed_through(
    problem: Problem, eps: float, ladder: Sequence[float] | None, since: float = np.inf
) -> tuple[float, ...]:
    """All ε to pass through, the wanted one last; of those below ``since``, that of a start, which comes first.

    Without a ladder, powers of 1/4 from a tenth of the squared size.
    """
    positive(eps, "eps", "the regularisation")
    if ladder is None:
        count = int(np.ceil((np.log(max(0.1 * problem.extent**2, eps)) - np.log(eps)) / np.log(4.0) - 1e-9))
        rungs = tuple(ldexp(eps, 2 * k) for k in range(count, -1, -1))
    else:
        rungs = (*(float(e) for e in ladder), eps)
        if not all(b < a < np.inf for a, b in pairwise(rungs)):
            raise ValueError(f"ladder={ladder}: give decreasing ε above eps={eps:g}, or None")
    if since == np.inf:
        return rungs
    left = tuple(rung for rung in rungs if rung < since)
    return (since, *left) if left else (eps,)


def carried(problem: Problem, u: Array, eps: float, to: float) -> Array:
    """A start for another ε: the same χ where f is known and finite."""
    return u + 0.5 * (eps - to) * problem.f if problem.has_densities and not problem.vanishing else u


def anneal(search: Search, u: Array, rungs: Sequence[float], marginal: float, duality_gap: float) -> Outcome:
    """Through all ε from u at the first, coarsely until the last; how it ended, with ``search.best`` as the result."""
    final, foreseen = replace(search.flow, eps=rungs[-1]), REACHED
    for rung in rungs[1:]:
        outcome = search.run(u, COARSE_MARGINAL, np.inf)
        if outcome in (INTERRUPTED, NOT_FINITE, STEP_LIMIT):
            return _judged_search(search, outcome, foreseen)
        verdict = resolution_outcome(final.reading.look(search.best.after, mass=False), final.eps, final.quadrature)
        foreseen = foreseen if verdict is NOT_CONVEX else verdict
        u = carried(search.flow.problem, search.best.after, search.flow.eps, rung)
        search.flow = replace(search.flow, eps=rung)
    return _judged_search(search, search.run(u, marginal, duality_gap), foreseen)


def _judged_search(search: Search, outcome: Outcome, foreseen: Outcome) -> Outcome:
    """With the grid's own verdict on ε, which may be why the iteration does not end.

    A potential that is not convex does not tell the least ε; one at a larger ε did, and ``foreseen`` is what it said.
    """
    best, flow = search.best, search.best.flow
    if outcome in (REACHED, STALLED, STEP_LIMIT):
        verdict = resolution_outcome(flow.reading.look(best.after, mass=False), flow.eps, flow.quadrature)
        verdict = foreseen if verdict is NOT_CONVEX and not foreseen.ok else verdict
        outcome = outcome if verdict.ok else verdict
    return flow.own.outcome if outcome.ok and flow.gauge.needs_own else outcome
