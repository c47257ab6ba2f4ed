"""Claim: the expansion of one Sinkhorn iteration in ε, to second and third order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pmasolve import Band, Fourier, Problem, Sinkhorn, Study, evolve
from pmasolve.flows.reading import linearise_at
from pmasolve.machine.arrays import Array

from .cases import QUADRATURE, WORDS, Case, cases, powers
from .claims import Check, Claim, Level

CLAIM = Claim(
    name="one-step",
    title="One iteration is one step of length ε",
    statement="S_ε(φ) = φ + ε A(φ) + ε² B(φ) + O(ε³),  A(φ) = f − g(∇φ) + log det D²φ,  B = ½ 𝓛_φ(2f + log ρ_φ),  "
    "𝓛_φ w = tr((D²φ)⁻¹ D²w) − ∇g(∇φ)·∇w,  log ρ_φ = A(φ) − f; constants included",
    source="A: Berman, arXiv 1712.03082, and Deb, Kim, Pal, Schiebinger, arXiv 2307.16421 (PMA as scaling limit); "
    "B: derived for this package by Laplace expansion of both half steps to second order",
    expected="sup |S_ε(φ) − φ − εA| of order 2, sup |S_ε(φ) − φ − εA − ε²B| of order 3",
    tolerance="last two running orders in [1.95, 2.05] and [2.95, 3.05]",
    problem=WORDS + "; φ is the start of each",
    mutations="B without its factor ½; g with the wrong sign in A and B",
)
FINEST = 192  # points along each axis that resolve 2⁻¹⁴
DEMANDS = {"without B": Band(1.95, 2.05), "with B": Band(2.95, 3.05)}


def study(level: Level) -> Iterator[Check]:
    """Every test problem, then the mutations on the first and last."""
    problems = [case.on(max(case.n, FINEST)) for case in cases(level)]
    for case in problems:
        yield Check(case.name, residuals(case, case.problem, 0.5), DEMANDS)
    for case in (problems[0], problems[-1]):
        yield Check(
            case.name, residuals(case, case.problem, 1.0), {"with B": DEMANDS["with B"]}, "factor ½ of B dropped"
        )
        wrong = Problem(case.problem.domain, case.f, lambda *y, g=case.g: -g(*y))
        yield Check(case.name, residuals(case, wrong, 0.5), DEMANDS, "sign of g flipped in A and B")


def residuals(case: Case, expanded: Problem, factor: float) -> Study:
    """Distance of one iteration from the expansion of the problem ``expanded`` with B = ``factor``·𝓛(2f + log ρ)."""
    operators, u = Fourier().on(case.problem.domain), case.initial
    here = linearise_at(expanded, operators, u)
    A = here.speed
    B = factor * here.times(operators.transform.forward(2 * expanded.f + here.log_density))

    def errors(eps: float) -> Mapping[str, float]:
        rest = step(case, eps, u) - u - eps * A
        return {"without B": case.problem.domain.sup(rest), "with B": case.problem.domain.sup(rest - eps**2 * B)}

    return Study.over("eps", powers(11, 14), errors)


def step(case: Case, eps: float, u: Array) -> Array:
    """One iteration φ ↦ ψ ↦ φ, refused where the grid does not resolve ε."""
    return evolve(Sinkhorn(case.problem, eps, quadrature=QUADRATURE), [eps], initial=u).potentials[0]
