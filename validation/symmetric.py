"""Claim: in the symmetric gauge Sinkhorn is of second order in even powers of ε: extrapolated, of orders four and six."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pmasolve import PLAIN, SYMMETRIC, Band, Gauge, Study, compare
from pmasolve.machine.arrays import Array
from pmasolve.sinkhorn.richardson import extrapolate

from .cases import ANALYTIC_1D, ANALYTIC_2D, REAL_1D, REAL_2D, WORDS, Case, cases, powers, reference, sinkhorn
from .claims import AtMost, Check, Claim, Level
from .evidence import Rows, against

CLAIM = Claim(
    name="symmetric",
    title="Second order in the symmetric gauge, fourth and sixth after Richardson",
    statement="χ_k = φ_k + (ε/2)f with χ₀ = φ̃₀ ⇒ χ_{t/ε} = φ̃_t + ε²e₂ + ε⁴e₄ + …;  (4χ^{ε/2} − χ^ε)/3 = φ̃_t + "
    "O(ε⁴), and once more O(ε⁶)",
    source="derived for this package: χ ↦ (·+εf/2)∘Λ_ε∘(·+εg)∘Λ_ε∘(·+εf/2) is inverted by ε → −ε, "
    "since Λ_{−ε} = Λ_ε⁻¹ as formal series; "
    "PMA as limit: arXiv 1712.03082, 2307.16421",
    expected="order 2 for potential and gradient, order 4 after one Richardson step, 6 after two",
    tolerance="last two running orders in [1.95, 2.05]; Richardson: last running order at least 3.9 (at most 4.1), at "
    "least 5.5 (at most 6.5); "
    "limits of both ≤ 2e-11",
    problem=WORDS
    + "; the reference is the PDE solver (Fourier, BDF), rtol 1e-11, for orders 4 rtol 1e-13, for order 6 the finest five runs "
    "of Sinkhorn extrapolated, whose distance from the PDE solver is checked; both orders at quick level on the first problem only",
    mutations="the gauge with the wrong sign, χ = φ − (ε/2)f; the plain start",
)
DEMANDS = {"sup": Band(1.95, 2.05), "gradient": Band(1.95, 2.05)}
EXTRAPOLATED = {"order 4": Band(3.9, 4.1, last=1), "order 6": Band(5.5, 6.5, last=1)}
LIMITS = {"difference": AtMost(2e-11)}
TIGHT = 1e-13  # rtol of the reference where errors are extrapolated away
WRONG_SIGN = Gauge("wrong sign", source=+0.5, returned=-0.5)


def ladders(level: Level) -> tuple[Case, ...]:
    """Where extrapolated errors are measured: grids and ε on which their orders show."""
    line, real = replace(ANALYTIC_1D, n=192, eps=powers(8, 13)), replace(REAL_1D, n=256, eps=powers(9, 14))
    if level is Level.QUICK:
        return (line,)
    return line, real, replace(ANALYTIC_2D, n=144, eps=powers(8, 13)), replace(REAL_2D, n=128, eps=powers(9, 13))


def study(level: Level) -> Iterator[Check]:
    """Order 2, orders 4 and 6, then the mutations."""
    problems = cases(level)
    for case in problems:
        yield Check(case.name, errors(case, SYMMETRIC), DEMANDS)
    for case in (problems[0], problems[-1]):
        yield Check(case.name, errors(case, WRONG_SIGN), DEMANDS, "wrong sign of the gauge")
        yield Check(case.name, errors(case, PLAIN), DEMANDS, "plain start")
    steep = ladders(level)
    for case in steep:
        yield Check(f"{case.name}, extrapolated", extrapolated(case, SYMMETRIC), EXTRAPOLATED)
        yield Check(f"{case.name}, limit of both", limits(case), LIMITS)
    yield Check(f"{steep[0].name}, extrapolated", extrapolated(steep[0], PLAIN), EXTRAPOLATED, "plain start")


def errors(case: Case, gauge: Gauge) -> Study:
    """Sinkhorn in a gauge against PMA."""
    return Study.over("eps", case.eps, lambda eps: compare(sinkhorn(case, eps, gauge), reference(case)).last())


def extrapolated(case: Case, gauge: Gauge) -> Study:
    """Runs of ε and ε/2 combined against PMA; of ε, ε/2 and ε/4 against what all runs of the symmetric gauge extrapolate to."""
    grid, limit, best = case.problem.domain, reference(case, TIGHT).potentials[0], everything(case)

    def errors(eps: float) -> Mapping[str, float]:
        runs = [sinkhorn(case, eps / 2**level, gauge).potentials[0] for level in range(3)]
        fourth, sixth = extrapolate(runs[:2]) - limit, extrapolate(runs) - best
        return {"order 4": grid.sup(grid.centred(fourth)), "order 6": grid.sup(grid.centred(sixth))}

    return Study.over("eps", case.eps[:-2], errors)


def everything(case: Case) -> Array:
    """The finest five runs extrapolated: order 10, for which the PDE solver is too coarse a reference."""
    return extrapolate([sinkhorn(case, eps, SYMMETRIC).potentials[0] for eps in case.eps[-5:]])


def limits(case: Case) -> Rows:
    """That extrapolation against PMA."""
    grid = case.problem.domain
    distance = grid.sup(grid.centred(everything(case) - reference(case, TIGHT).potentials[0]))
    return against({"sup distance": (distance, 0.0)}, source="the PDE solver")
