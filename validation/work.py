"""Claim: KL against work for explicit steps, proximal steps and Sinkhorn: the first have a longest step, the others have none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from pmasolve import SYMMETRIC, BregmanProximal, ConstantSteps, GrowingSteps, MirrorDescent, Sinkhorn, evolve
from pmasolve.flows.schedules import StepSizes
from pmasolve.machine.arrays import Array

from .cases import ANALYTIC_1D, ANALYTIC_2D, Case
from .claims import AtMost, Check, Claim, Level
from .energies import divergences
from .evidence import Rows, inequality

CLAIM = Claim(
    name="work",
    title="KL against work: explicit, proximal, Sinkhorn",
    statement="explicit steps φ + ηA(φ) lose convexity beyond η = 2 inf D²φ/∑(πN_j/L_j)², proximal steps φ⁺ − ηA(φ⁺) = φ never; "
    "work is counted in passes over the grid: one for A(φ), one for a product with its derivative, two for a Sinkhorn iteration",
    source="explicit: Deb, Liang, arXiv 2504.09279; proximal: Chen, Teboulle 1993 in that geometry; the comparison is ours",
    expected="explicit steps end well at 0.9 of that bound and not at 1.3; from some hundred passes on the proximal scheme with "
    "growing steps has the least KL",
    tolerance="KL of the proximal scheme at most that of the explicit one at every equal number of passes from 200 on",
    problem=f"{ANALYTIC_1D.name}, 48 points: {ANALYTIC_1D.words}; {ANALYTIC_2D.name}, 20² points: {ANALYTIC_2D.words}",
    mutations="proximal steps as long as the explicit ones; explicit steps at 0.9 of the bound said to fail",
)
BELOW, ENDS = {"violation": AtMost(0)}, {"violation": AtMost(0)}
SAFE, UNSAFE = 0.9, 1.3
LADDER = np.geomspace(1, 1200, 34).round()
FIRST = 200
FLOOR = 1e-15  # rounding of KL


@dataclass(frozen=True, eq=False)
class Curve:
    """KL(ρ_k | e^{−f}) of the iterates and the passes spent until then."""

    passes: Array
    kl: Array
    well: bool = True

    def at(self, work: Array) -> Array:
        """KL after so many passes: that of the last iterate reached; NaN beyond the end of a run that broke off."""
        found = np.maximum(self.kl, FLOOR)[np.maximum(np.searchsorted(self.passes, work, side="right") - 1, 0)]
        return found if self.well else np.where(work <= self.passes[-1], found, np.nan)


def study(level: Level) -> Iterator[Check]:
    """Both problems, then what is broken."""
    cases = (ANALYTIC_1D.on(48), replace(ANALYTIC_2D, name="2D analytic 20²", n=20))
    for case in cases:
        yield Check(case.name, compared(case), BELOW)
        yield Check(f"{case.name}, the bound of explicit steps", bound(case), ENDS)
    yield Check(
        cases[0].name, compared(cases[0], ConstantSteps(SAFE * cfl(cases[0]))), BELOW, "proximal steps as short"
    )
    yield Check(cases[0].name, bound(cases[0], unsafe=SAFE), ENDS, "explicit steps at 0.9 of the bound said to fail")


def cfl(case: Case) -> float:
    """The longest explicit step that damps the shortest waves, at the start."""
    return MirrorDescent(case.problem, ConstantSteps(1.0)).cfl(case.initial)


@cache
def explicit(case: Case, part: float) -> Curve:
    """Steps of so large a part of the bound, until the last rung of the ladder."""
    flow = MirrorDescent(case.problem, ConstantSteps(part * cfl(case)))
    run = evolve(flow, flow.times(int(LADDER[-1]))[-1:], initial=case.initial, throw=False)
    kl = run.records["reverse_kl"]  # in the letters of that scheme; of φ_k, before the step
    kl = kl[np.isfinite(kl)]
    return Curve(np.arange(1.0, kl.size + 1), kl, run.outcome.ok)


def proximal(case: Case, steps: StepSizes, count: int) -> Curve:
    """A(φ₀), then for each step its Newton steps and products."""
    flow = BregmanProximal(case.problem, steps)
    records = evolve(flow, flow.times(count)[-1:], initial=case.initial).records
    passes = 1 + np.cumsum(records["newton"] + records["krylov"] + 1)
    return Curve(np.append(1.0, passes), np.append(divergences(case, case.initial)[0], records["kl"]))


def sinkhorn(case: Case, eps: float, count: int) -> Curve:
    """Iterates in the symmetric gauge, read at some of them."""
    k = np.unique(np.geomspace(1, count, 30).round())
    run = evolve(Sinkhorn(case.problem, eps, gauge=SYMMETRIC), k * eps, initial=case.initial)
    kl = [divergences(case, u)[0] for u in (case.initial, *run.potentials)]
    return Curve(1 + 2 * np.append(0, k), np.array(kl))


def compared(case: Case, steps: StepSizes | None = None) -> Rows:
    """Growing proximal steps against explicit ones at 0.9 of the bound; Sinkhorn and constant steps are drawn beside."""
    broken = steps is not None
    ours = proximal(case, steps or GrowingSteps(0.01, 4.0), 30 if broken else 8).at(LADDER)
    theirs, late = explicit(case, SAFE).at(LADDER), LADDER >= FIRST
    rows = inequality("passes", LADDER, np.where(late, ours, 0.0), np.where(late, theirs, 1.0))
    columns = {"proximal": ours, "explicit": theirs}
    if broken:
        return replace(rows, columns=columns, drawn={"proximal, η = 0.9 CFL": ours})
    drawn = {
        "explicit, η = 0.9 CFL": theirs,
        "explicit, η = 1.3 CFL, until it loses convexity": explicit(case, UNSAFE).at(LADDER),
        "proximal, η = 0.01·4ᵏ": ours,
        "proximal, η = 0.02": proximal(case, ConstantSteps(0.02), 30).at(LADDER),
        "Sinkhorn, symmetric, ε = 1/64": sinkhorn(case, 1 / 64, 150).at(LADDER),
    }
    note = f"CFL of the explicit scheme: η = {cfl(case):.3g}"
    return replace(rows, columns=columns, drawn=drawn, note=note)


def bound(case: Case, unsafe: float = UNSAFE) -> Rows:
    """Parts of the bound, and whether a run of so many steps ended well."""
    ended = [float(not explicit(case, part).well) for part in (SAFE, unsafe)]
    rows = inequality("η/CFL", [SAFE, UNSAFE], [ended[0], 1 - ended[1]], 0.0, names=("as not expected", "0"))
    return replace(rows, drawn={})
