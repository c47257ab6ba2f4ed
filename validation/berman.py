"""Claim: Sinkhorn from the plain start follows PMA to first order in ε."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pmasolve import Band, Study, Trajectory, compare

from .cases import WORDS, Case, cases, reference, sinkhorn
from .claims import Check, Claim, Level

CLAIM = Claim(
    name="berman",
    title="Sinkhorn follows PMA, first order in ε",
    statement="φ₀ = φ̃₀ ⇒ sup |φ_{t/ε} − φ̃_t| = O(ε) and sup |∇φ_{t/ε} − ∇φ̃_t| = O(ε), where ∂ₜφ̃ = f − g(∇φ̃) + log det D²φ̃",
    source="Berman, arXiv 1712.03082 (potentials); Deb, Kim, Pal, Schiebinger, arXiv 2307.16421 (scaling limit, gradients)",
    expected="order 1 for the potential, constants removed, and for its gradient",
    tolerance="last two running orders in [0.9, 1.05]",
    problem=WORDS + "; the reference is the PDE solver (Fourier, BDF), rtol 1e-11",
    mutations="g with the wrong sign in PMA",
)
DEMANDS = {"sup": Band(0.9, 1.05), "gradient": Band(0.9, 1.05)}


def study(level: Level) -> Iterator[Check]:
    """Every test problem, then the mutation."""
    problems = cases(level)
    for case in problems:
        yield Check(case.name, errors(case, reference(case)), DEMANDS)
    case = problems[0]
    wrong = reference(replace(case, g=lambda *y: -case.g(*y)))
    yield Check(case.name, errors(case, wrong), DEMANDS, "sign of g flipped in PMA")


def errors(case: Case, limit: Trajectory) -> Study:
    """Plain Sinkhorn against ``limit``."""
    return Study.over("eps", case.eps, lambda eps: compare(sinkhorn(case, eps), limit).last())
