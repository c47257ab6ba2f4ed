"""Claim: the Legendre transform of PMA's solution solves PMA with source and target exchanged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from pmasolve import Band, Fourier, MongeAmpere, Problem, Study, evolve
from pmasolve.flows.reading import linearise_at

from .cases import WORDS, Case, light, linearised, powers
from .claims import AtMost, Check, Claim, Level
from .evidence import Rows, against
from .waves import dual

CLAIM = Claim(
    name="duality",
    title="Legendre duality of the flow",
    statement="∂ₜφ = f − g(∇φ) + log det D²φ ⇔ ψ = φ* solves ∂ₜψ = g − f(∇ψ) + log det D²ψ;  explicit Euler steps of "
    "the two differ by O(dt²)",
    source="the ψ-flow of Deb, Liang, arXiv 2504.09279, and the φ-flow of Deb, Kim, Pal, Schiebinger, arXiv 2307.16421; "
    "that they are one flow was checked for this package",
    expected="sup |φ̃_t* − ψ_t| = 0, constants included; order 2 in dt of the difference of one Euler step",
    tolerance="≤ 1e-9 at rtol 1e-11; last two running orders in [1.95, 2.05]",
    problem=WORDS + "; at t/4 and t; dt = 2⁻¹³ … 2⁻¹⁶",
    mutations="f and g not exchanged; −g in place of g in the dual flow",
)
FINEST = {1: 256, 2: 72}  # points along each axis: sums over all waves at all points cost their number squared
SAME, EULER = {"difference": AtMost(1e-9)}, {"sup": Band(1.95, 2.05)}


def study(level: Level) -> Iterator[Check]:
    """The flow and one Euler step, then what is broken."""
    problems = [case.on(min(case.n, FINEST[case.dim])) for case in light(level) if case.dim < 3]
    for case in problems:
        yield Check(f"{case.name}, flow", flows(case, case.problem.swapped()), SAME)
        yield Check(f"{case.name}, Euler", euler(case, case.problem.swapped()), EULER)
    case = problems[0]
    yield Check(case.name, flows(case, case.problem), SAME, "f and g not exchanged")
    wrong = Problem(case.problem.domain, lambda *y: -case.g(*y), case.f)
    yield Check(case.name, flows(case, wrong), SAME, "sign of g flipped in the dual flow")
    yield Check(case.name, euler(case, wrong), EULER, "sign of g flipped in the dual Euler step")


def flows(case: Case, swapped: Problem) -> Rows:
    """The transform of the solution against the solution of the transform."""
    times, grid = [case.t / 4, case.t], case.problem.domain
    u = evolve(MongeAmpere(case.problem, rtol=1e-11), times, initial=case.initial)
    v = evolve(MongeAmpere(swapped, rtol=1e-11), times, initial=dual(grid, case.initial))
    rows = {
        f"sup |φ* − ψ| at {t:g}": (grid.sup(dual(grid, a) - b), 0.0)
        for t, a, b in zip(times, u.potentials, v.potentials, strict=True)
    }
    return against(rows, source="duality")


def euler(case: Case, swapped: Problem) -> Study:
    """One explicit step of each."""
    grid, u = case.problem.domain, case.initial
    v = dual(grid, u)
    speed, dual_speed = linearised(case, u).speed, linearise_at(swapped, Fourier().on(grid), v).speed

    def at(dt: float) -> Mapping[str, float]:
        return {"sup": float(np.max(np.abs(dual(grid, u + dt * speed) - v - dt * dual_speed)))}

    return Study.over("dt", powers(13, 16), at)
