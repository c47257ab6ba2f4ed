"""Claim: the O(ε) term of Sinkhorn's relatives, for any step η ≤ ε and any objective: subtracting it leaves O(ε²)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache

import numpy as np

from pmasolve import CHI_SQUARED, KL, Band, LinearisedMongeAmpere, Study, evolve
from pmasolve.machine.arrays import Array
from pmasolve.problems.divergences import Divergence

from .cases import Case, linearised
from .claims import Check, Claim, Level
from .objectives import FAMILY, FROM_IDENTITY, MILD_2D, MORE, discrete, limit, problems

CLAIM = Claim(
    name="step-corrector",
    title="The first-order corrector, for any step and any objective",
    statement="φ ← φ + η h((S_ε(φ) − φ)/ε), η = θε:  φ_{t/η} = φ̃_t + ε r_t + O(ε²),  r_t = w_t − f/2 + ½z_t,  ∂ₜw = h'(A)𝓛w, "
    "w₀ = r₀ + f/2,  ∂ₜz = h'(A)𝓛(z + A − θh(A)), z₀ = 0; constants included; θ = 0 is Sinkhorn in continuous time",
    source="derived for this package from the one-step expansion (docs/theory.md); Sinkhorn as mirror descent, arXiv 2206.08873; "
    "the questions of other mirrors and divergences close the slides on arXiv 2504.09279 and arXiv 2307.16421",
    expected="sup |φ_{t/η} − φ̃_t − ε r_t| of order 2, for θ = 1, ½, ¼, ⅛ and 0",
    tolerance="last two running orders in [1.95, 2.05]",
    problem=f"{FROM_IDENTITY.name}: {FROM_IDENTITY.words}; {MILD_2D.name}: {MILD_2D.words}; r₀ = 0; KL for every θ, and χ², "
    "reverse KL, Hellinger, Jensen–Shannon for θ = ½, at full level the entropy and sinh too",
    mutations="z left out; z = (1 − θ)t∂ₜA, as if D²A[A, A] were 0; the z of θ = 1 for θ = ¼",
)
RATIOS = {"1": 1.0, "½": 0.5, "¼": 0.25, "⅛": 0.125}
DEMANDS = {"corrected": Band(1.95, 2.05)}


def study(level: Level) -> Iterator[Check]:
    """KL with every θ, the other objectives with ½, then what is broken."""
    line, plane = problems(level)
    for case in (line, plane if level is Level.FULL else replace(plane, eps=plane.eps[:-1])):
        for name, theta in RATIOS.items():
            yield Check(f"{case.name}, KL, θ = {name}", errors(case, KL(), theta), DEMANDS)
    case = line
    yield Check(f"{case.name}, KL, θ = 0", errors(case, KL(), 0.0), DEMANDS)
    for name, objective in (FAMILY if level is Level.QUICK else FAMILY | MORE).items():
        if name != "KL":
            yield Check(f"{case.name}, {name}, θ = ½", errors(case, objective, 0.5), DEMANDS)
    yield from broken(case)


def broken(case: Case) -> Iterator[Check]:
    """Three wrong correctors of θ = ¼."""
    half, (w, _) = 0.5 * case.problem.f, fields(case, KL(), 0.25)
    yield Check(case.name, errors(case, KL(), 0.25, w - half), DEMANDS, "z left out")
    frozen = 0.75 * case.t * second_time_derivative(case)
    yield Check(case.name, errors(case, KL(), 0.25, w - half + 0.5 * frozen), DEMANDS, "z = (1 − θ)t∂ₜA")
    w, z = fields(case, CHI_SQUARED, 1.0)
    yield Check(case.name, errors(case, CHI_SQUARED, 0.25, w - half + 0.5 * z), DEMANDS, "the z of θ = 1")


@cache
def fields(case: Case, objective: Divergence, theta: float) -> tuple[Array, Array]:
    """w and z at the final time, for r₀ = 0."""
    flow = LinearisedMongeAmpere(case.problem, 0.5 * case.problem.f, objective=objective, ratio=theta, rtol=1e-8)
    run = evolve(flow, [case.t], initial=case.initial)
    return run.fields["w"][0], run.fields["z"][0]


def errors(case: Case, objective: Divergence, theta: float, r: Array | None = None) -> Study:
    """sup |φ_{t/η} − φ̃_t − ε r_t|; ``r`` is given for the mutations."""
    w, z = fields(case, objective, theta)
    term = w - 0.5 * case.problem.f + 0.5 * z if r is None else r

    def at(eps: float) -> Mapping[str, float]:
        found = discrete(case, objective, eps, theta) - limit(case, objective)
        return {"corrected": float(np.abs(found - eps * term).max())}

    return Study.over("eps", case.eps, at)


def second_time_derivative(case: Case) -> Array:
    """∂ₜA = 𝓛A along PMA at the final time."""
    here = linearised(case, limit(case, KL()))
    return here.times(here.operators.transform.forward(here.speed))
