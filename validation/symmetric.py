"""Claim: in the symmetric gauge Sinkhorn is of second order, in even powers of ε, so that extrapolation gives order four."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pmasolve import PLAIN, SYMMETRIC, Band, Gauge, Study, Trajectory, compare
from pmasolve.corrector import extrapolate

from .cases import WORDS, Case, cases, reference, sinkhorn
from .claims import Check, Claim, Level

CLAIM = Claim(
    name="symmetric",
    title="Second order in the symmetric gauge, fourth after Richardson",
    statement="χ_k = φ_k + (ε/2)f with χ₀ = φ̃₀ ⇒ χ_{t/ε} = φ̃_t + ε²e₂ + ε⁴e₄ + …;  (4χ^{ε/2} − χ^ε)/3 = φ̃_t + O(ε⁴)",
    source="derived for this package: χ ↦ (·+εf/2)∘Λ_ε∘(·+εg)∘Λ_ε∘(·+εf/2) is inverted by ε → −ε, "
    "since Λ_{−ε} = Λ_ε⁻¹ as formal series; "
    "PMA as limit: arXiv 1712.03082, 2307.16421",
    expected="order 2 for potential and gradient, order 4 after one Richardson step",
    tolerance="last two running orders in [1.9, 2.1]; Richardson: last running order in [3.7, 4.3]",
    problem=WORDS + "; the reference is the PDE solver (Fourier, BDF), rtol 1e-11",
    mutations="the gauge with the wrong sign, χ = φ − (ε/2)f; the plain start",
)
DEMANDS = {"sup": Band(1.9, 2.1), "gradient": Band(1.9, 2.1)}
RICHARDSON = {"sup": Band(3.7, 4.3, last=1)}
LADDER = 3  # coarsest ε of the Richardson study: further on its error falls below the reference's
WRONG_SIGN = Gauge("wrong sign", source=+0.5, returned=-0.5)


def study(level: Level) -> Iterator[Check]:
    """Order 2, order 4, then the mutations."""
    for case in cases(level):
        yield Check(case.name, errors(case, SYMMETRIC), DEMANDS)
        yield Check(f"{case.name}, Richardson", extrapolated(case, SYMMETRIC), RICHARDSON)
        for gauge, mutation in ((WRONG_SIGN, "wrong sign of the gauge"), (PLAIN, "plain start")):
            yield Check(case.name, errors(case, gauge), DEMANDS, mutation)
        yield Check(f"{case.name}, Richardson", extrapolated(case, PLAIN), RICHARDSON, "plain start")


def errors(case: Case, gauge: Gauge) -> Study:
    """Sinkhorn in a gauge against PMA."""
    return Study.over("eps", case.eps, lambda eps: compare(sinkhorn(case, eps, gauge), reference(case)).last())


def extrapolated(case: Case, gauge: Gauge) -> Study:
    """The runs of ε and ε/2 combined, against PMA."""

    def errors(eps: float) -> Mapping[str, float]:
        return compare(combined(sinkhorn(case, eps, gauge), sinkhorn(case, eps / 2, gauge)), reference(case)).last()

    return Study.over("eps", case.eps[:LADDER], errors)


def combined(coarse: Trajectory, fine: Trajectory) -> Trajectory:
    """Richardson's combination of the potentials; what `pmasolve.Richardson` does, without running ε twice."""
    return replace(fine, potentials=extrapolate([coarse.potentials, fine.potentials]))
