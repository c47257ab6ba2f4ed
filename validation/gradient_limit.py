"""Claim: the start that makes (φ_k − φ̃_t)/ε have the gradient ½∇f + ∇log ρ_t in the limit, and that the plain one does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pmasolve import FORWARD, PLAIN, Band, Gauge, Study

from .cases import WORDS, Case, cases, reference, sinkhorn
from .claims import AtLeast, Check, Claim, Level

CLAIM = Claim(
    name="gradient-limit",
    title="The O(ε) term of the gradient, and the start it needs",
    statement="φ₀ = φ̃₀ + ε(½f + log ρ₀) ⇒ ∇(φ_{t/ε} − φ̃_t)/ε → ½∇f + ∇log ρ_t,  ρ_t = (∇φ̃_t*)_# e^{−g}; "
    "with φ₀ = φ̃₀ the limit is another one",
    source="limit announced for an “appropriate initialization” in N. Deb's slides on arXiv 2504.09279 and arXiv 2307.16421; "
    "the start was identified for this package: ∂ₜφ̃ and w = r + f/2 solve the same equation ∂ₜw = 𝓛w",
    expected="residual sup |∇(φ_k − φ̃_t)/ε − (½∇f + ∇log ρ_t)| of order 1 with the forward start, O(1) with the plain start",
    tolerance="last two running orders in [0.9, 1.1]; plain start: residual ≥ 0.1 of sup |½∇f + ∇log ρ_t| at every ε",
    problem=WORDS + "; residuals are divided by sup |½∇f + ∇log ρ_t|",
    mutations="the plain start φ₀ = φ̃₀ in place of the forward one",
)
DEMANDS = {"residual": Band(0.9, 1.1)}


def study(level: Level) -> Iterator[Check]:
    """Forward start, then the plain one: refused by the band, and bounded away from zero."""
    for case in cases(level):
        yield Check(case.name, residuals(case, FORWARD), DEMANDS)
        plain = residuals(case, PLAIN)
        yield Check(case.name, plain, DEMANDS, "plain start")
        yield Check(f"{case.name}, plain start stays away", plain, {"residual": AtLeast(0.1)})


def residuals(case: Case, gauge: Gauge) -> Study:
    """Distance of ∇(φ_k − φ̃_t)/ε from the announced limit, relative to the size of the limit."""
    limit, grid = reference(case), case.problem.domain
    gradient = limit.flow.operators.gradient
    announced = gradient(0.5 * case.problem.f + limit.log_density(0))

    def errors(eps: float) -> Mapping[str, float]:
        difference = sinkhorn(case, eps, gauge).potentials[0] - limit.potentials[0]
        return {"residual": grid.sup(gradient(difference) / eps - announced) / grid.sup(announced)}

    return Study.over("eps", case.eps, errors)
