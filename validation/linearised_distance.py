"""Claim: W₂ is at most the linearised distance: equal on the line, less on the circle by a flux around it, less in space."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from pmasolve import PLAIN, Box, Problem, Study, transport
from pmasolve.calculus.hessians import apply
from pmasolve.calculus.operators import jet_of
from pmasolve.gaussian import ClosedForm, Normal, Pair, Quadratic
from pmasolve.machine.arrays import Array
from pmasolve.studies.convergence import Band

from .cases import ANALYTIC_1D, WORDS, Case, light, linearised, plain_corrector
from .claims import AtMost, Check, Claim, Level
from .evidence import Rows, against, inequality
from .gaussians import Gaussians
from .marginals import distances, marginal, target

CLAIM = Claim(
    name="w2-lot",
    title="W₂ is at most the linearised distance",
    statement="LOT(ρ, ρ′) = ‖∇φ* − ∇φ′*‖_{L²(e^{−g})}, ρ = (∇φ*)_# e^{−g}:  W₂ ≤ LOT, with equality on the line and on an "
    "interval;  marginals of Sinkhorn, k = t/ε, v = (D²φ̃_t)⁻¹∇(w_t − ½A(φ̃_t)): on the circle W₂(p_Xγ_k, ρ_t)² = "
    "ε²(∫v² dρ_t − (∫v)²/∫ρ_t⁻¹) + O(ε³), less than LOT² = ε²∫v² dρ_t + O(ε³) unless ∫v = 0, as for even densities",
    source="that W₂, LOT and KL of the marginals are O(ε): Deb, Kim, Pal, Schiebinger, arXiv 2307.16421; the constants "
    "were derived for this package: a flow along the circle may add a constant flux c to ρv, and W₂ takes the best one",
    expected="the inequality at every ε; equality for d = 1 and on the interval; on the circle the constant of W₂, "
    "extrapolated from ε and ε/2, with order 2",
    tolerance="violation ≤ 1e-9 of LOT, strictly less by 1e-6 of it in 1D analytic and d = 3; relative difference ≤ 1e-9 "
    "for d = 1 and on the interval; constant within 0.002, last running order in [1.7, 2.3]",
    problem=WORDS + "; normal distributions of d = 1 and d = 3, seed 31, ε = 2⁻² … 2⁻⁵; on [0, 1]: the densities "
    "1 + 0.3 cos kπx, k = 1, 2, 3; the real pair in one dimension is even",
    mutations="W₂ ≤ LOT/1.5; the flux around the circle left out of the constant; LOT in L²(e^{−f}); W₂² for W₂",
)
HOLDS, STRICT = {"violation": AtMost(1e-9)}, {"violation": AtMost(-1e-6)}
EQUAL = {"difference": AtMost(1e-9)}
CONSTANT = {"W₂": Band(1.7, 2.3, last=1, below=0.002)}
EPS = (0.25, 0.125, 0.0625, 0.03125)


def study(level: Level) -> Iterator[Check]:
    """The torus, normal distributions, an interval, then what is broken."""
    problems = [case for case in light(level) if case.dim < 3]
    for case in problems:
        yield Check(case.name, torus(case), STRICT if case.name == ANALYTIC_1D.name else HOLDS)
        if case.dim == 1:
            yield Check(f"{case.name}, constant", circle(case), CONSTANT)
    line, space = _line(), Gaussians.random(3, 31)
    yield Check("d = 1, equal", normal(line), EQUAL)
    yield Check("d = 3, less", normal_inequality(space), STRICT)
    yield Check("interval, equal", interval(), EQUAL)
    yield Check(problems[0].name, torus(problems[0], factor=1 / 1.5), HOLDS, "W₂ ≤ LOT/1.5")
    yield Check(problems[0].name, circle(problems[0], flux=False), CONSTANT, "the flux around the circle left out")
    yield Check("d = 1", normal(line, law=line.pair.source), EQUAL, "LOT in L²(e^{−f})")
    yield Check("d = 1", normal(line, power=2), EQUAL, "W₂² for W₂")


def wasserstein(case: Case, eps: float) -> float:
    """W₂(p_Xγ_k, ρ_t)/ε."""
    log_rho, log_p = target(case).log_density(-1), marginal(case, eps, PLAIN)
    return float(np.sqrt(transport(Problem(case.problem.domain, -log_rho, -log_p), tolerance=1e-13).w2_squared)) / eps


def torus(case: Case, *, factor: float = 1.0) -> Rows:
    """W₂ ≤ LOT for each ε, both over ε and relative to LOT; the factor on LOT is for the mutation."""
    ladder = np.array(case.eps[:3])
    short = np.array([wasserstein(case, eps) for eps in ladder])
    lot = np.array([distances(case, eps, True)["LOT"] for eps in ladder])
    return inequality("eps", ladder, short, factor * lot, scale=lot, names=("W₂/ε", "LOT/ε"))


def circle(case: Case, *, flux: bool = True) -> Study:
    """W₂/ε, extrapolated, against its constant."""
    grid, limit = case.problem.domain, target(case)
    here = linearised(case, limit.potentials[-1])
    v = apply(here.inverse, jet_of(here.operators, plain_corrector(case) - 0.5 * here.speed).D)[0]
    rho = np.exp(here.log_density)
    around = grid.integral(v) ** 2 / grid.integral(1 / rho) if flux else 0.0
    expected = float(np.sqrt(grid.integral(v**2 * rho) - around))

    def at(eps: float) -> Mapping[str, float]:
        return {"W₂": abs((2 * wasserstein(case, eps / 2) - wasserstein(case, eps)) / expected - 1)}

    return Study.over("eps", case.eps[:3], at)


def _line() -> Gaussians:
    pair = Pair(Normal([1.0], [[2.0]]), Normal([0.0], [[0.7]]))
    return Gaussians("d = 1", pair, Quadratic([[0.8]], [0.3], 0.0, [1.0]))


def _normal(g: Gaussians, law: Normal | None = None) -> tuple[Array, Array]:
    """W₂ and LOT of p_Xγ_k and ρ_t at t = 1, each (ε,); another law than e^{−g} for LOT is for the mutation."""
    flow, rows = ClosedForm(g.pair, g.start), []
    rho, conjugate = flow.law(1.0), flow.potential(1.0).conjugate()
    for eps in EPS:
        p = g.pair.source_marginal(ClosedForm(g.pair, g.start, eps).potential(1.0 - eps), eps)
        other = g.pair.potential(p).conjugate()
        rows.append((p.wasserstein(rho), _lot(law or g.pair.target, conjugate, other)))
    first, second = np.array(rows).T
    return first, second


def _lot(nu: Normal, psi: Quadratic, other: Quadratic) -> float:
    """‖∇ψ − ∇ψ′‖ in L²(ν), both affine."""
    here, there = psi.about(nu.mean), other.about(nu.mean)
    D, e = here.hessian - there.hessian, here.slope - there.slope
    return float(np.sqrt(np.sum((D @ nu.cov) * D) + e @ e))


def normal(g: Gaussians, law: Normal | None = None, power: int = 1) -> Rows:
    """W₂ = LOT; the last two arguments are for mutations."""
    short, lot = _normal(g, law)
    rows = {f"W₂, ε = {eps:g}": (float(a) ** power, float(b)) for eps, a, b in zip(EPS, short, lot, strict=True)}
    return against(rows, source="LOT")


def normal_inequality(g: Gaussians) -> Rows:
    """W₂ ≤ LOT."""
    short, lot = _normal(g)
    return inequality("eps", EPS, short, lot, scale=lot, names=("W₂", "LOT"))


def interval(n: int = 256) -> Rows:
    """W₂ = LOT on [0, 1], for three pairs of a triple of densities."""
    box = Box((n,))
    x = box.points[0]
    logs = [np.log(1 + 0.3 * np.cos((k + 1) * np.pi * x)) for k in range(3)]
    rows = {}
    for i in range(3):
        nu, rho, p = (logs[(i + j) % 3] for j in range(3))
        first, second = (transport(Problem(box, -density, -nu), tolerance=1e-13) for density in (rho, p))
        moved = second.inverse(first(box.points)) - box.points
        lot = float(np.sqrt(box.integral(moved[0] ** 2 * np.exp(rho))))
        cost = transport(Problem(box, -rho, -p), tolerance=1e-13).w2_squared
        rows[f"W₂, reference {i + 1}"] = (float(np.sqrt(cost)), lot)
    return against(rows, source="LOT")
