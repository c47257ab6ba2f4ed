"""Claim: in the symmetric gauge ψ_k is of second order too, at time (k − ½)ε, and so are the target marginals at kε."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from pmasolve import PLAIN, SYMMETRIC, Band, Gauge, Sinkhorn, Study, evolve
from pmasolve.calculus.hessians import log_det_inverse
from pmasolve.calculus.operators import jet_of
from pmasolve.machine.arrays import Array

from .cases import ANALYTIC_2D, LIGHT, QUADRATURE, REAL_2D, WORDS, Case, linearised, powers
from .claims import Check, Claim, Level
from .marginals import target
from .waves import at, displacement, dual

CLAIM = Claim(
    name="half-steps",
    title="The dual potentials live half a step earlier",
    statement="φ₀ = φ̃₀ − (ε/2)f, k = t/ε:  η_k = ψ_k + (ε/2)g − (ε/2)d log 2πε = (φ̃_{(k−½)ε})* + O(ε²), constants "
    "included;  log p_Yγ_{k+½} = log (∇φ̃_{kε})_# e^{−f} + O(ε²), p_Yγ_{k+½} = e^{−g} exp((ψ_{k+1} − ψ_k)/ε)",
    source="derived for this package from the symmetric gauge; PMA as limit: arXiv 1712.03082, 2307.16421",
    expected="order 2 of both",
    tolerance="last running order in [1.95, 2.05]",
    problem=WORDS + "; conjugates by Newton's method on the trigonometric interpolant",
    mutations="ψ_k compared with time kε; η_k without (ε/2)g; the plain start",
)
DEMANDS = {"η": Band(1.95, 2.05, last=1), "log-density": Band(1.95, 2.05, last=1)}


def study(level: Level) -> Iterator[Check]:
    """Every problem, then what is broken."""
    more = (ANALYTIC_2D, replace(REAL_2D, n=72, eps=powers(8, 11))) if level is Level.FULL else ()
    for case in (*LIGHT, *more):
        yield Check(f"{case.name}, n = {case.n}", errors(case, SYMMETRIC), DEMANDS)
    case, eta = LIGHT[0], {"η": DEMANDS["η"]}
    yield Check(case.name, errors(case, SYMMETRIC, early=False), eta, "ψ_k compared with time kε")
    yield Check(case.name, errors(case, SYMMETRIC, half=0.0), eta, "η_k without (ε/2)g")
    yield Check(case.name, errors(case, PLAIN), DEMANDS, "the plain start")


def errors(case: Case, gauge: Gauge, *, early: bool = True, half: float = 0.5) -> Study:
    """sup |η_k − φ̃*| and of the log-densities; the last two arguments are for mutations."""
    grid, problem, limit = case.problem.domain, case.problem, target(case)
    log_image = image(case, limit.potentials[-1])

    def errors_at(eps: float) -> Mapping[str, float]:
        flow = Sinkhorn(problem, eps, gauge=gauge, quadrature=QUADRATURE)
        run = evolve(flow, [case.t], initial=case.initial)
        v, after = run.fields["v"][0], flow.half_step(flow.iterate_of(run.potentials[0]))
        log_p = -problem.g + (after - v) / eps
        index = int(np.argmin(np.abs(limit.times - (case.t - 0.5 * eps)))) if early else -1
        eta = v + half * eps * problem.g - 0.5 * eps * case.dim * np.log(2 * np.pi * eps)
        return {"η": grid.sup(eta - dual(grid, limit.potentials[index])), "log-density": grid.sup(log_p - log_image)}

    return Study.over("eps", case.eps, errors_at)


def image(case: Case, u: Array) -> Array:
    """log (∇φ)_# e^{−f} at the nodes y: −f − log det D²φ at the x that the map sends there."""
    grid = case.problem.domain
    log_det = log_det_inverse(jet_of(linearised(case, u).operators, u).D2, None)[0]
    return at(grid, -case.problem.f - log_det, displacement(grid, u).inverse(grid.points))
