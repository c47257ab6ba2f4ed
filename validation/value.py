"""Claim: the entropic transport cost expands in ε with known terms, and no ε³."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

import numpy as np

from pmasolve import Band, Schroedinger, Study, schroedinger

from .cases import QUADRATURE, WORDS_3D, Case, light, powers, steady
from .claims import AtMost, Check, Claim, Level
from .energies import fisher_along_geodesic
from .evidence import Rows, against
from .gaussians import Gaussians

CLAIM = Claim(
    name="value",
    title="The entropic cost, to fourth order",
    statement="min ∫½|x−y|² dγ + ε KL(γ | μ⊗ν) = ½W₂² − ½dε log 2πε − ½ε (H(μ) + H(ν)) + ⅛ε² ∫₀¹ FI(ρ_s) ds + O(ε⁴),  "
    "H(ρ) = ∫ρ log ρ, FI(ρ) = ∫|∇ log ρ|² dρ along McCann's geodesic",
    source="Conforti, Tamanini, arXiv 1912.10555; Chizat, Roussillon, Léger, Vialard, Peyré, arXiv 2006.08172 "
    "(second-order term); that ε³ is absent was "
    "derived for this package from the evenness of the symmetric gauge",
    expected="remainder of order 2 without the last term, 4 with it",
    tolerance="last running order in [1.95, 2.05] and in [3.8, 4.2]; on the grid in three dimensions order 2 in "
    "[1.9, 2.1]; ∫FI of normal distributions: 1e-10",
    problem=WORDS_3D
    + "; dual values at marginal error ≤ 1e-12; W₂² and the geodesic from Newton's solution of Monge–Ampère; normal "
    "distributions of d = 3 and 10, seeds 31 and 32, ε = 2⁻² … 2⁻⁵",
    mutations="¼ in place of ⅛; H(ν) left out; log 2πε without its factor ½",
)
DEMANDS = {"without FI": Band(1.95, 2.05, last=1), "with FI": Band(3.8, 4.2, last=1)}
SAME = {"difference": AtMost(1e-10)}
COARSE = {"without FI": Band(1.9, 2.1, last=1)}
FINER = {1: powers(7, 10), 2: powers(7, 9), 3: powers(6, 8)}


def study(level: Level) -> Iterator[Check]:
    """Every problem, then what is broken."""
    problems = light(level)
    for case in problems:
        yield Check(case.name, remainders(case), COARSE if case.dim == 3 else DEMANDS)
    for g in (Gaussians.random(3, 31), Gaussians.random(10, 32)):
        yield Check(f"normal, {g.name}", normal(g), DEMANDS)
        yield Check(f"normal, {g.name}, ∫FI", fisher(g), SAME)
    case = problems[0]
    yield Check(case.name, remainders(case, eighth=0.25), {"with FI": DEMANDS["with FI"]}, "¼ in place of ⅛")
    yield Check(case.name, remainders(case, target=0.0), DEMANDS, "H(ν) left out")
    broken = normal(Gaussians.random(3, 31), eighth=0.25)
    yield Check("normal, d = 3", broken, {"with FI": DEMANDS["with FI"]}, "¼ in place of ⅛")
    yield Check(case.name, remainders(case, logarithm=1.0), DEMANDS, "log 2πε without its factor ½")


@cache
def solved(case: Case, eps: float) -> Schroedinger:
    """The potentials at ε."""
    return schroedinger(case.problem, eps, marginal=1e-12, quadrature=QUADRATURE)


def remainders(case: Case, *, eighth: float = 0.125, target: float = 0.5, logarithm: float = 0.5) -> Study:
    """Dual value less the expansion, without and with the Fisher information; the numbers are for the mutations."""
    mu, nu = case.problem.mu, case.problem.nu
    sources, targets = -mu.integral(case.problem.f), -nu.integral(case.problem.g)
    fisher = fisher_along_geodesic(case)

    def errors(eps: float) -> Mapping[str, float]:
        found = solved(case, eps)
        value = -mu.integral(found.u) - nu.integral(found.v)
        entropies = eps * (0.5 * sources + target * targets)
        rest = value - 0.5 * steady(case).w2_squared + logarithm * case.dim * eps * np.log(2 * np.pi * eps) + entropies
        return {"without FI": abs(rest), "with FI": abs(rest - eighth * eps**2 * fisher)}

    return Study.over("eps", FINER[case.dim], errors)


def normal(g: Gaussians, *, eighth: float = 0.125) -> Study:
    """The same between normal distributions, in closed form."""
    source, target, d = g.pair.source, g.pair.target, g.pair.source.dim
    entropies, square = source.entropy + target.entropy, source.wasserstein(target) ** 2

    def errors(eps: float) -> Mapping[str, float]:
        rest = g.pair.value(eps) - 0.5 * square + 0.5 * d * eps * np.log(2 * np.pi * eps) - 0.5 * eps * entropies
        return {"without FI": abs(rest), "with FI": abs(rest - eighth * eps**2 * g.pair.fisher_information)}

    return Study.over("eps", powers(2, 5), errors)


def fisher(g: Gaussians, nodes: int = 40) -> Rows:
    """∫₀¹ tr V_s⁻¹ ds, V_s = (1 − s + sA)Σ(1 − s + sA) with Brenier's A, by Gauss' rule, against ∑1/√eig(ΣΘ)."""
    A, cov = g.pair.brenier().hessian, g.pair.source.cov
    s, weights = np.polynomial.legendre.leggauss(nodes)
    maps = [(1 - t) * np.eye(len(A)) + t * A for t in 0.5 * (s + 1)]
    along = sum(0.5 * w * np.trace(np.linalg.inv(B @ cov @ B)) for w, B in zip(weights, maps, strict=True))
    expected = np.sum(np.real(np.linalg.eigvals(cov @ g.pair.target.cov)) ** -0.5)
    rows = {"by quadrature": (float(along), float(expected))}
    rows["closed form"] = (float(g.pair.fisher_information), float(expected))
    return against(rows, source="∑1/√eig(ΣΘ)")
