"""Claim: Fourier and finite differences solve the same equation, and the differences have their orders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from unittest.mock import patch

from pmasolve import Band, FiniteDifference, MongeAmpere, Study, compare, evolve
from pmasolve.calculus import differences

from .cases import ANALYTIC_1D, ANALYTIC_2D, REAL_1D, REAL_2D, WORDS, Case, reference
from .claims import Check, Claim, Level

CLAIM = Claim(
    name="differences",
    title="Fourier against finite differences of order 2, 4 and 6",
    statement="(∫|u_p − u_F|²)^½ = C_p h^p + o(h^p) for central differences of order p = 2, 4, 6 "
    "against Fourier on the same grid, PMA at time t",
    source="central differences: textbook; equation: arXiv 1712.03082, arXiv 2307.16421",
    expected="orders 2, 4 and 6 in h, and errors of the stated size",
    tolerance="last two running orders within 0.1 of p (0.15 for p = 6), finest error below a written number",
    problem=WORDS + "; rtol 1e-11 (1e-12 on 1D real at full level) for both solvers",
    mutations="second derivatives by the stencil of order 2 within order 4; the outer weight of order 6 with the wrong sign",
)


@dataclass(frozen=True)
class Plan:
    """Grids for one test problem, and the largest error accepted on the finest, by order."""

    case: Case
    points: tuple[int, ...]
    below: dict[int, float]
    rtol: float = 1e-11


PLANS = {
    Level.QUICK: (
        Plan(ANALYTIC_1D, (24, 32, 48, 64), {2: 3e-6, 4: 1.2e-8, 6: 1.6e-10}),
        Plan(ANALYTIC_2D, (32, 48, 64), {4: 1.2e-8}),
        Plan(REAL_1D, (64, 96, 128), {2: 1e-6, 4: 2e-9}),
    ),
    Level.FULL: (
        Plan(ANALYTIC_1D, (24, 32, 48, 64), {2: 3e-6, 4: 1.2e-8, 6: 1.6e-10}),
        Plan(ANALYTIC_2D, (32, 48, 64, 96), {2: 3.5e-6, 4: 3e-9, 6: 2e-11}),
        Plan(REAL_1D, (48, 64, 96), {2: 2e-6, 4: 6e-9, 6: 6e-11}, rtol=1e-12),
        Plan(REAL_2D, (64, 96, 128, 192), {2: 6e-7, 4: 4e-10}),
    ),
}


WRONG = (  # weights of second differences that are not those of the order
    (4, (1.0, 0.0), "second derivatives of order 2 within order 4"),
    (6, (1.5, -0.15, -1 / 90), "the outer weight of order 6 with the wrong sign"),
)


def study(level: Level) -> Iterator[Check]:
    """Every order on every problem, then the mutation on the cheapest."""
    for plan in PLANS[level]:
        for order in plan.below:
            yield Check(f"{plan.case.name}, order {order}", errors(plan, order), {"l2": band(plan, order)})
    plan = PLANS[level][0]
    for order, weights, what in WRONG:
        with patch.dict(differences._SECOND, {order: weights}):
            yield Check(plan.case.name, errors(plan, order), {"l2": band(plan, order)}, what)


def band(plan: Plan, order: int) -> Band:
    """What is accepted."""
    width = 0.1 if order < 6 else 0.15
    return Band(order - width, order + width, below=plan.below[order])


def errors(plan: Plan, order: int) -> Study:
    """Differences of one order against Fourier, over the grids."""
    grids = {1.0 / n: plan.case.on(n) for n in plan.points}
    return Study.over("h", tuple(grids), lambda h: _error(grids[h], order, plan.rtol))


def _error(case: Case, order: int, rtol: float) -> dict[str, float]:
    flow = MongeAmpere(case.problem, space=FiniteDifference(order), rtol=rtol)
    return compare(evolve(flow, [case.t], initial=case.initial), reference(case, rtol)).last()
