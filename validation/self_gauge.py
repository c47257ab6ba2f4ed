"""Claim: with the self-potential of the source in place of −(ε/2)f Sinkhorn is of second order, in even powers of ε."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from pmasolve import SELF, Band, Gauge, Sinkhorn, Study, Trajectory, compare, evolve, self_potential
from pmasolve.gaussian import ClosedForm, Normal, Pair, Quadratic
from pmasolve.machine.arrays import Array
from pmasolve.sinkhorn.richardson import extrapolate

from .cases import ANALYTIC_1D, ANALYTIC_2D, QUADRATURE, REAL_1D, WORDS, Case, cases, powers, reference, sinkhorn
from .claims import AtMost, Check, Claim, Level
from .evidence import Rows, against
from .gaussians import Gaussians

CLAIM = Claim(
    name="self-gauge",
    title="Second order without knowing the density: the self gauge",
    statement="u_ff = S_ff(u_ff), the Schrödinger potential from e^{−f} to itself; φ₀ = φ̃₀ + u_ff ⇒ χ_k = φ_k − u_ff has "
    "χ_{t/ε} = φ̃_t + ε²e₂ + ε⁴e₄ + …;  (4χ^{ε/2} − χ^ε)/3 = φ̃_t + O(ε⁴);  no density is used",
    source="derived for this package: u_ff = −(ε/2)f + ε²c + O(ε³) is the fixed point of the symmetric gauge's expansion; at "
    "k = ∞ the debiased potential, Feydy et al., arXiv 1810.08278",
    expected="order 2 for potential and gradient, order 4 after one Richardson step; between N(0, 1) and N(0, 2.5) at t = ½ the "
    "errors of D²χ_k are 7.147e-5, 1.787e-5, 4.469e-6, 1.117e-6 for k = 8, 16, 32, 64",
    tolerance="last two running orders in [1.95, 2.05]; Richardson: last running order in [3.9, 4.1]; numbers to 5e-4",
    problem=WORDS + "; normal distributions of d = 1 and 3 in closed form, seed 31, t = 1",
    mutations="half of u_ff; u_ff of the wrong sign; u_ff of the target; u_ff in the start only",
)
DEMANDS = {"sup": Band(1.95, 2.05), "gradient": Band(1.95, 2.05)}
FOURTH = {"order 4": Band(3.9, 4.1, last=1)}
NORMAL = {"Hessian": Band(1.95, 2.05), "order 4": Band(3.9, 4.1, last=1)}
NUMBERS = {"difference": AtMost(5e-4)}
HALF = replace(SELF, name="half", own_source=0.5, own_returned=-0.5)
FLIPPED = replace(SELF, name="flipped", own_source=-1.0, own_returned=1.0)
START_ONLY = replace(SELF, name="start only", own_returned=0.0)


def study(level: Level) -> Iterator[Check]:
    """Orders on grids and between normals, then what is broken."""
    problems = cases(level)[: 3 if level is Level.QUICK else None]
    for case in problems:
        yield Check(case.name, errors(case, SELF), DEMANDS)
    steep = (replace(ANALYTIC_1D, n=192, eps=powers(8, 13)), replace(REAL_1D, n=256, eps=powers(9, 14)))
    for case in steep if level is Level.QUICK else (*steep, replace(ANALYTIC_2D, n=144, eps=powers(8, 13))):
        yield Check(f"{case.name}, extrapolated", extrapolated(case), FOURTH)
    g = Gaussians.random(3, 31)
    yield Check("normal, d = 3", normals(g), NORMAL)
    yield Check("normal, d = 1, the numbers", on_a_line(), NUMBERS)
    for name, gauge in {
        "half of u_ff": HALF,
        "u_ff of the wrong sign": FLIPPED,
        "u_ff in the start only": START_ONLY,
    }.items():
        yield Check(problems[0].name, errors(problems[0], gauge), DEMANDS, name)
    yield Check(problems[0].name, errors(problems[0], SELF, of_target=True), DEMANDS, "u_ff of the target")
    yield Check("normal, d = 3", normals(g, 0.5), NORMAL, "half of u_ff")


def errors(case: Case, gauge: Gauge, of_target: bool = False) -> Study:
    """Sinkhorn in a gauge against PMA; ``of_target`` is for a mutation."""
    run = with_targets_own if of_target else sinkhorn
    return Study.over("eps", case.eps, lambda eps: compare(run(case, eps, gauge), reference(case)).last())


def with_targets_own(case: Case, eps: float, gauge: Gauge) -> Trajectory:
    """Sinkhorn with the self-potential of e^{−g} where that of e^{−f} belongs."""
    flow = Sinkhorn(case.problem, eps, gauge=gauge, quadrature=QUADRATURE)
    vars(flow)["own"] = self_potential(case.problem.nu, eps)
    return evolve(flow, [case.t], initial=case.initial)


def extrapolated(case: Case) -> Study:
    """Runs of ε and ε/2 combined, against PMA."""
    grid, limit = case.problem.domain, reference(case, 1e-13).potentials[0]

    def errors(eps: float) -> Mapping[str, float]:
        runs = [sinkhorn(case, eps / 2**level, SELF).potentials[0] for level in range(2)]
        return {"order 4": grid.sup(grid.centred(extrapolate(runs) - limit))}

    return Study.over("eps", case.eps[:-2], errors)


def hessian(pair: Pair, start: Quadratic, t: float, eps: float, share: float = 1.0) -> Array:
    """D²χ_{t/ε}: the closed form of Sinkhorn with this share of D²u_ff added before and taken off after."""
    own = share * (Pair(pair.source, pair.source).schroedinger(eps).hessian - np.eye(pair.source.dim))
    begun = Quadratic(start.hessian + own, start.slope, 0.0, pair.source.mean)
    return ClosedForm(pair, begun, eps).hessian(t) - own


def normals(g: Gaussians, share: float = 1.0, t: float = 1.0) -> Study:
    """Errors of D²χ_k, and of two extrapolated."""
    exact = ClosedForm(g.pair, g.start).hessian(t)

    def errors(eps: float) -> Mapping[str, float]:
        runs = [hessian(g.pair, g.start, t, eps / 2**level, share) for level in range(2)]
        return {"Hessian": _size(runs[0] - exact), "order 4": _size(extrapolate(runs) - exact)}

    return Study.over("eps", powers(4, 8), errors)


def on_a_line() -> Rows:
    """Errors between N(0, 1) and N(0, 2.5) from |x|²/2, at t = ½."""
    pair, start = Pair(Normal([0.0], [[1.0]]), Normal([0.0], [[2.5]])), Quadratic([[1.0]], [0.0], 0.0, [0.0])
    exact = ClosedForm(pair, start).hessian(0.5)
    expected = {8: 7.147e-5, 16: 1.787e-5, 32: 4.469e-6, 64: 1.117e-6}
    rows = {f"k = {k}": (_size(hessian(pair, start, 0.5, 0.5 / k) - exact), e) for k, e in expected.items()}
    return against(rows, source="a recursion of one number, worked out before")


def _size(matrix: Array) -> float:
    return float(np.max(np.abs(matrix)))
