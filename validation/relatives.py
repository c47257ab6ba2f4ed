"""Claim: the mirror flow among its relatives: Fokker–Planck and JKO, their rates and who is faster."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from pmasolve import Band, FokkerPlanck, MongeAmpere, Study, evolve
from pmasolve.gaussian import ClosedForm, Normal, Pair, fokker_planck, jko

from .cases import ANALYTIC_1D, ANALYTIC_2D, WORDS, Case, powers
from .claims import AtMost, Check, Claim, Level
from .evidence import Rows, against, inequality
from .gap import spectrum
from .gaussians import Gaussians

CLAIM = Claim(
    name="relatives",
    title="Mirror flow, Fokker–Planck and JKO",
    statement="JKO steps of length γ: W₂(ρ_n, FP_{nγ}) = O(γ), W₂²(ρ_n, π) ≤ (1+2γλ)^{−n} W₂²(ρ₀, π) ≤ (1+γλ/2)^{−n} "
    "W₂²(ρ₀, π), π = N(a, Σ), λ = 1/λ_max(Σ);  "
    "KL falls like e^{−2λt} under Fokker–Planck and like e^{−2t min 1/√eig(ΣΘ)} under the mirror flow, which is "
    "faster if ‖Σ⁻¹Θ‖ < 1;  "
    "on the torus log(ρ_t/e^{−f}) falls with the eigenvalues of either flow's generator",
    source="Cheng, Lu, Tan, Xie, arXiv 2310.17582, theorem 4.3 (JKO); slides on arXiv 2504.09279, example 3 (rates, "
    "commuting; here in general)",
    expected="order 1, inequalities, and the ratio of both KL growing with the predicted exponent",
    tolerance="last two running orders in [0.95, 1.05]; no violation; exponents to 1e-4 (normal), 2e-3 (torus)",
    problem="d = 3, non-commuting, seed 31, and with Θ/8; " + WORDS,
    mutations="the bound (1+8γλ)^{−n}; JKO of half the step; the exponent without its factor 2",
)
ORDER, HOLDS = {"W₂": Band(0.95, 1.05)}, {"violation": AtMost(1e-12)}
EXPONENT, TORUS = {"difference": AtMost(1e-4)}, {"difference": AtMost(2e-3)}
TIMES = (0.25, 0.3)  # on the torus


def study(level: Level) -> Iterator[Check]:
    """Normal distributions, the torus, then what is broken."""
    wide = Gaussians.random(3, 31)
    narrow = Gaussians(
        "d = 3, Θ/8", Pair(wide.pair.source, Normal(wide.pair.target.mean, wide.pair.target.cov / 8)), wide.start
    )
    yield Check("d = 3, JKO towards Fokker–Planck", towards(wide), ORDER)
    for name, bound in (("(1+2γλ)^{−n}", 2.0), ("(1+γλ/2)^{−n}", 0.5)):
        yield Check(f"d = 3, JKO contracts, {name}", contraction(wide, bound), HOLDS)
    yield Check("d = 3, exponents", exponents(wide), EXPONENT)
    yield Check("d = 3, Θ/8, exponents", exponents(narrow), EXPONENT)
    yield Check("d = 3, Θ/8, mirror flow is faster", faster(narrow), {"violation": AtMost(0)})
    for case in (ANALYTIC_1D,) if level is Level.QUICK else (ANALYTIC_1D, ANALYTIC_2D):
        yield Check(f"{case.name}, exponents", torus(case), TORUS)
    yield Check("d = 3, JKO contracts", contraction(wide, 8.0), HOLDS, "the bound (1+8γλ)^{−n}")
    yield Check("d = 3, JKO towards Fokker–Planck", towards(wide, factor=0.5), ORDER, "JKO of half the step")
    yield Check("d = 3, exponents", exponents(wide, factor=1.0), EXPONENT, "exponents without their factor 2")


def start(g: Gaussians) -> Normal:
    """ρ₀ of the mirror flow."""
    return g.pair.law(g.start)


def towards(g: Gaussians, factor: float = 1.0) -> Study:
    """W₂ between n JKO steps and Fokker–Planck at t = 1."""
    exact = fokker_planck(g.pair.source, start(g), 1.0)

    def at(step: float) -> Mapping[str, float]:
        return {"W₂": jko(g.pair.source, start(g), factor * step, round(1 / step)).wasserstein(exact)}

    return Study.over("γ", powers(3, 6), at)


def contraction(g: Gaussians, factor: float) -> Rows:
    """W₂² after n steps of γ = ½."""
    step, law, squares = 0.5, start(g), []
    for _ in range(12):
        law = jko(g.pair.source, law, step)
        squares.append(law.wasserstein(g.pair.source) ** 2)
    convexity = 1 / float(np.linalg.eigvalsh(g.pair.source.cov)[-1])
    n, first = np.arange(1.0, 13), start(g).wasserstein(g.pair.source) ** 2
    return inequality(
        "n", n, squares, first * (1 + factor * step * convexity) ** -n, scale=first, names=("W₂²", "bound")
    )


def exponents(g: Gaussians, factor: float = 2.0) -> Rows:
    """Late rates of KL of both flows, and of their ratio."""
    flow, late = ClosedForm(g.pair, g.start), (20.0, 24.0)
    mirror = [flow.law(t).kl(g.pair.source) for t in late]
    fokker = [fokker_planck(g.pair.source, start(g), t).kl(g.pair.source) for t in late]
    rates = [float(np.log(kl[0] / kl[1])) / (late[1] - late[0]) for kl in (mirror, fokker)]
    expected = factor * g.pair.rates.min(), factor / float(np.linalg.eigvalsh(g.pair.source.cov)[-1])
    rows = {"mirror flow": (rates[0], expected[0]), "Fokker–Planck": (rates[1], expected[1])}
    rows["KL ratio"] = (rates[0] - rates[1], expected[0] - expected[1])
    return against(rows, source="2 min 1/√eig(ΣΘ) and 2/λ_max(Σ)")


def faster(g: Gaussians) -> Rows:
    """KL under the mirror flow ≤ KL under Fokker–Planck from t = 1 on."""
    flow, times = ClosedForm(g.pair, g.start), np.array([1.0, 2, 4, 8])
    mirror = [flow.law(t).kl(g.pair.source) for t in times]
    fokker = [fokker_planck(g.pair.source, start(g), t).kl(g.pair.source) for t in times]
    return inequality("t", times, mirror, fokker, scale=np.array(fokker), names=("mirror flow", "Fokker–Planck"))


def torus(case: Case) -> Rows:
    """Late rates of log(ρ_t/e^{−f}) in both flows, projected on an eigenfunction of either generator, against its eigenvalue."""
    rows = {}
    for name, flow, identity in (("mirror flow", MongeAmpere, False), ("Fokker–Planck", FokkerPlanck, True)):
        run = evolve(flow(case.problem, rtol=1e-11), TIMES, initial=case.initial)
        values, functions = spectrum(case, identity=identity)
        logs = run.fields["log_density"] if identity else np.stack([run.log_density(i) for i in range(2)])
        first, second = (
            np.array([case.problem.mu.integral(w * (h + case.problem.f)) for w in functions]) for h in logs
        )
        largest = int(np.argmax(np.abs(first)))
        rows[name] = (float(np.log(first[largest] / second[largest])) / (TIMES[1] - TIMES[0]), values[largest])
    return against(rows, source="eigenvalues of the generators")
