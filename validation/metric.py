"""Claim: PMA moves densities with the velocity −(D²φ)⁻¹∇(f + log ρ), in the metric of linearised transport."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

import numpy as np

from pmasolve import Band, MongeAmpere, Study, Trajectory, evolve
from pmasolve.calculus.hessians import apply
from pmasolve.machine.arrays import Array

from .cases import WORDS, Case, light, linearised, powers
from .claims import Check, Claim, Level
from .energies import hessian_times
from .waves import displacement

CLAIM = Claim(
    name="metric",
    title="The velocity of PMA, and the metric derivative",
    statement="LOT(ρ_{t+h}, ρ_t)/h → ‖v_t‖_{L²(ρ_t)}, LOT(ρ, ρ') = ‖∇φ* − ∇φ'*‖_{L²(e^{−g})}, v = −(D²φ̃_t)⁻¹∇(f + "
    "log ρ_t);  "
    "in labels y: ∂ₜ∇ψ_t(y) = v_t(∇ψ_t(y)), ψ = φ̃*",
    source="Deb, Kim, Pal, Schiebinger, arXiv 2307.16421, and the slides on arXiv 2504.09279",
    expected="central differences in h: order 2 for the metric derivative and for the velocity in every point; "
    "one-sided: order 1",
    tolerance="last two running orders in [1.95, 2.05] and [0.95, 1.05]",
    problem=WORDS + "; inverse maps by Newton's method on the trigonometric interpolant",
    mutations="D²φ in place of its inverse (wrong metric); v without ∇f; quotients at the point x in place of its label ∇φ̃_t(x)",
)
CENTRAL = {name: Band(1.95, 2.05) for name in ("LOT", "velocity")}
FORWARD = {name: Band(0.95, 1.05) for name in ("LOT", "velocity")}
FINEST = {1: 256, 2: 72}  # points along each axis: sums over all waves at all points cost their number squared
STEPS = powers(10, 13)


def study(level: Level) -> Iterator[Check]:
    """Central and one-sided differences on every problem in one and two dimensions, then what is broken."""
    problems = [case.on(min(case.n, FINEST[case.dim])) for case in light(level) if case.dim < 3]
    for case in problems:
        v = velocity(case)
        yield Check(f"{case.name}, central", errors(case, v, True), CENTRAL)
        yield Check(f"{case.name}, one-sided", errors(case, v, False), FORWARD)
    case = problems[0]
    yield Check(
        case.name, errors(case, velocity(case, wrong_metric=True), True), CENTRAL, "D²φ in place of its inverse"
    )
    yield Check(case.name, errors(case, velocity(case, with_f=False), True), CENTRAL, "v without ∇f")
    yield Check(
        case.name, errors(case, velocity(case), True, moved=False), CENTRAL, "quotients at x in place of its label"
    )


@cache
def run(case: Case) -> Trajectory:
    """PMA around t."""
    times = sorted({case.t, *(case.t + s * h for h in STEPS for s in (-1, 1))})
    return evolve(MongeAmpere(case.problem, rtol=1e-12), times, initial=case.initial)


def potential(case: Case, t: float) -> Array:
    """u at one of the times."""
    found = run(case)
    return found.potentials[int(np.argmin(np.abs(found.times - t)))]


def velocity(case: Case, *, wrong_metric: bool = False, with_f: bool = True) -> Array:
    """v on the grid; the last two arguments are for the mutations."""
    u = potential(case, case.t)
    here = linearised(case, u)
    gradient = here.operators.gradient(here.speed - (0 if with_f else 1) * case.problem.f)
    return -(hessian_times(here, u, gradient) if wrong_metric else apply(here.inverse, gradient))


def errors(case: Case, v: Array, central: bool, *, moved: bool = True) -> Study:
    """Difference quotients of inverse maps at the labels y = ∇φ̃_t(x), or at x for the mutation, against v, relative."""
    grid, u = case.problem.domain, potential(case, case.t)
    rho = np.exp(linearised(case, u).log_density)
    labels = displacement(grid, u)(grid.points) if moved else grid.points

    def norm(vectors: Array) -> float:
        return float(np.sqrt(grid.integral(np.sum(vectors**2, axis=0) * rho)))

    def at(h: float) -> Mapping[str, float]:
        after = displacement(grid, potential(case, case.t + h)).inverse(labels)
        before = displacement(grid, potential(case, case.t - h)).inverse(labels) if central else grid.points
        d = (after - before) / ((1 + central) * h)
        return {"LOT": abs(norm(d) / norm(v) - 1), "velocity": grid.sup(d - v) / grid.sup(v)}

    return Study.over("h", STEPS, at)
