"""Claim: Newton's method, the steady state of PMA and extrapolated Schrödinger potentials give the same transport map."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from pmasolve import MongeAmpere, brenier, evolve
from pmasolve.machine.arrays import Array

from .cases import ANALYTIC_1D, ANALYTIC_2D, REAL_1D, REAL_2D, WORDS, Case, steady
from .claims import AtMost, Check, Claim, Level
from .evidence import Rows, against

CLAIM = Claim(
    name="three-ways",
    title="Three roads to one map",
    statement="e^{−f} = e^{−g(∇φ)} det D²φ is solved by Newton's method, by PMA as t → ∞, and by Schrödinger "
    "potentials as ε → 0",
    source="PMA's limit: Berman, arXiv 1712.03082; Schrödinger's: arXiv 2307.16421; extrapolation: arXiv 2006.08172",
    expected="one potential up to constants",
    tolerance="sup distances of the potentials ≤ 1e-9",
    problem=WORDS
    + "; PMA at t = 1; Schrödinger potentials at six ε from 2⁻⁸ (2⁻⁹ on the real pair) down by factors √2, extrapolated",
    mutations="source and target exchanged in one of the three; PMA stopped at t = 0.25; no extrapolation",
)
SAME = {"difference": AtMost(1e-9)}
LATE, EARLY = 1.0, 0.25
LEVELS = 6
ROOT = float(np.sqrt(2))


def study(level: Level) -> Iterator[Check]:
    """All pairs of roads on every problem, then what is broken."""
    fine = [ANALYTIC_1D, REAL_1D.on(192)]
    problems = fine if level is Level.QUICK else [*fine, ANALYTIC_2D.on(96), REAL_2D.on(192)]
    for case in problems:
        yield Check(case.name, pairs(case, steady(case).potential, flow(case, LATE), static(case, LEVELS)), SAME)
    case = problems[0]
    swapped = steady(Case("", "", 1, case.g, case.f, case.u0, case.t, case.n, case.eps)).potential
    u, v, w = steady(case).potential, flow(case, LATE), static(case, LEVELS)
    yield Check(case.name, one(case, swapped, v), SAME, "source and target exchanged in Newton's method")
    yield Check(case.name, one(case, u, flow(case, EARLY)), SAME, "PMA stopped early")
    yield Check(case.name, one(case, w, static(case, 1)), SAME, "no extrapolation")


@cache
def flow(case: Case, t: float) -> Array:
    """PMA late."""
    return evolve(MongeAmpere(case.problem, rtol=1e-12), [t], initial=case.initial).potentials[0]


@cache
def static(case: Case, levels: int) -> Array:
    """Extrapolated Schrödinger potentials."""
    eps = 2.0**-8 if case.u0 in (ANALYTIC_1D.u0, ANALYTIC_2D.u0) else 2.0**-9
    return brenier(case.problem, eps, levels=levels, ratio=ROOT, marginal=1e-13, quadrature=1e-11).potential


def distance(case: Case, a: Array, b: Array) -> float:
    """Sup distance, constants removed."""
    grid = case.problem.domain
    return grid.sup(grid.centred(a - b))


def one(case: Case, a: Array, b: Array) -> Rows:
    """One pair."""
    return against({"sup distance": (distance(case, a, b), 0.0)}, source="each other")


def pairs(case: Case, newton: Array, late: Array, extrapolated: Array) -> Rows:
    """All three pairs."""
    rows = {
        "Newton, PMA": (distance(case, newton, late), 0.0),
        "Newton, Schrödinger": (distance(case, newton, extrapolated), 0.0),
        "PMA, Schrödinger": (distance(case, late, extrapolated), 0.0),
    }
    return against(rows, source="each other")
