"""Claim: φ + ε h((S_ε φ − φ)/ε) is the Sinkhorn of ∂ₜφ = h(A(φ)), for every f-divergence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache

import numpy as np

from pmasolve import (
    CHI_SQUARED,
    HELLINGER,
    KL,
    REVERSE_KL,
    Band,
    Entropy,
    JensenShannon,
    MongeAmpere,
    Objective,
    Sinkhorn,
    SinkhornFlow,
    Study,
    evolve,
)
from pmasolve.machine.arrays import Array
from pmasolve.problems.divergences import Divergence

from .cases import ANALYTIC_1D, QUADRATURE, TAU, Case, powers
from .claims import Check, Claim, Level

MILD_2D = Case(
    "2D mild",
    "f = 0.2 cos 2πx + 0.1 sin 2π(x+y), g = 0.1 sin 2πy − 0.1 cos 2π(x−y), "
    "u₀ = 0.002 cos(2πx + 0.7) + 0.001 sin 2π(x−y), t = 1/32",
    2,
    lambda x, y: 0.2 * np.cos(TAU * x) + 0.1 * np.sin(TAU * (x + y)),
    lambda x, y: 0.1 * np.sin(TAU * y) - 0.1 * np.cos(TAU * (x - y)),
    lambda x, y: 0.002 * np.cos(TAU * x + 0.7) + 0.001 * np.sin(TAU * (x - y)),
    1 / 32,
    64,
    powers(8, 11),
)
FROM_IDENTITY = replace(
    ANALYTIC_1D,
    name="1D from the identity",
    words="period 1, e^{−f} = 1 + 0.3 cos 2πx, e^{−g} = 1 + 0.3 sin 2πy, u₀ = 0, t = 1/32",
    u0=lambda x: 0.0 * x,
)
FAMILY: Mapping[str, Divergence] = {
    "KL": KL(),
    "χ²": CHI_SQUARED,
    "reverse KL": REVERSE_KL,
    "Hellinger": HELLINGER,
    "Jensen–Shannon": JensenShannon(),
}
MORE: Mapping[str, Divergence] = {"entropy": Entropy(), "sinh": Objective(np.sinh, np.cosh)}

CLAIM = Claim(
    name="objectives",
    title="A Sinkhorn for every f-divergence",
    statement="F(ρ) = ∫Φ(ρe^f)e^{−f}, h(s) = Φ'(e^s):  φ ← φ + ε h((S_ε(φ) − φ)/ε) follows ∂ₜφ = h(A(φ)), the mirror flow of F, to "
    "first order in ε, with all powers of ε in the error",
    source="derived for this package (docs/theory.md); the questions of other divergences and of Sinkhorn-like algorithms for "
    "other parabolic equations close the slides on arXiv 2504.09279 and arXiv 2307.16421",
    expected="order 1 in ε, 2 after one Richardson step in ε",
    tolerance="last two running orders in [0.97, 1.03], and in [1.95, 2.05]",
    problem=f"{FROM_IDENTITY.name}: {FROM_IDENTITY.words}; {MILD_2D.name}: {MILD_2D.words}; h: KL, χ², reverse KL, Hellinger, "
    "Jensen–Shannon, at full level the entropy and sinh too",
    mutations="h = id in the steps for the equation of χ²; extrapolation in ε², where all powers occur",
)
ORDERS = {"plain": Band(0.97, 1.03), "Richardson": Band(1.95, 2.05)}


def study(level: Level) -> Iterator[Check]:
    """Every objective on the line and in the plane, then what is broken."""
    for case in problems(level):
        for name, objective in (FAMILY if level is Level.QUICK else FAMILY | MORE).items():
            yield Check(f"{case.name}, {name}", orders(case, objective, objective), ORDERS)
    case, _ = problems(level)
    wrong = orders(case, KL(), CHI_SQUARED)
    yield Check(case.name, wrong, {"plain": ORDERS["plain"]}, "h = id in the steps for the equation of χ²")
    even = orders(case, CHI_SQUARED, CHI_SQUARED, (4 / 3, -1 / 3))
    yield Check(case.name, even, {"Richardson": ORDERS["Richardson"]}, "extrapolation in ε²")


def problems(level: Level) -> tuple[Case, Case]:
    """On the line and in the plane."""
    if level is Level.QUICK:
        return FROM_IDENTITY, MILD_2D
    return replace(FROM_IDENTITY, n=256, eps=powers(8, 13)), replace(MILD_2D, n=96, eps=powers(8, 12))


@cache
def limit(case: Case, objective: Divergence) -> Array:
    """The equation at the final time, by the PDE solver."""
    return evolve(
        MongeAmpere(case.problem, objective=objective, rtol=1e-11), [case.t], initial=case.initial
    ).potentials[0]


@cache
def discrete(case: Case, objective: Divergence, eps: float, theta: float = 1.0) -> Array:
    """Steps of length θε, or Sinkhorn in continuous time for θ = 0, at the final time."""
    given = {"objective": objective, "quadrature": QUADRATURE}
    stepped = Sinkhorn(case.problem, eps, step=theta * eps, **given) if theta else None
    return evolve(
        stepped or SinkhornFlow(case.problem, eps, rtol=1e-11, **given), [case.t], initial=case.initial
    ).potentials[0]


def orders(case: Case, steps: Divergence, equation: Divergence, weights: tuple[float, float] = (2.0, -1.0)) -> Study:
    """sup distances from the equation, of one run and of two extrapolated; its arguments differ for the mutations."""
    goal = limit(case, equation)

    def at(eps: float) -> Mapping[str, float]:
        coarse, fine = (discrete(case, steps, e) for e in (2 * eps, eps))
        both = weights[0] * fine + weights[1] * coarse
        return {"plain": float(np.abs(fine - goal).max()), "Richardson": float(np.abs(both - goal).max())}

    return Study.over("eps", case.eps[1:], at)
