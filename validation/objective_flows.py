"""Claim: what all mirror flows of f-divergences share: F falls by its dissipation, and the rate at the end is one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from scipy.integrate import solve_ivp

from pmasolve import (
    CHI_SQUARED,
    AlphaDivergence,
    ConstantSteps,
    FokkerPlanck,
    MirrorDescent,
    MongeAmpere,
    Relaxed,
    Sinkhorn,
    SinkhornFlow,
    Trajectory,
    evolve,
)
from pmasolve.calculus.hessians import apply
from pmasolve.flows.mirror import Law
from pmasolve.flows.protocol import objective_of
from pmasolve.machine.arrays import Array
from pmasolve.problems.divergences import Divergence, log_ratio, value

from .cases import ANALYTIC_1D, TAU, Case
from .claims import AtMost, Check, Claim, Level
from .evidence import Rows, against, inequality
from .gap import spectrum
from .objectives import FAMILY, MILD_2D, MORE

CLAIM = Claim(
    name="objective-flows",
    title="Every f-divergence falls by its dissipation, and all end at one rate",
    statement="∂ₜφ = h(A(φ)):  dF/dt = −∫∇h(A)·(D²φ)⁻¹∇h(A) dρ_t;  every f-divergence from e^{−f}, h(0) = 0 and h'(0) = 1, ends "
    "with the rate of PMA, the gap of −𝓛_{φ_∞};  along ∂ₜρ = div(ρ∇h(f + log ρ)), the Wasserstein gradient flow, "
    "dF/dt = −∫|∇h|² dρ_t;  F(p_X) falls along Sinkhorn's steps, and F along the explicit scheme",
    source="derived for this package (docs/theory.md); for KL Deb, Kim, Pal, Schiebinger, arXiv 2307.16421",
    expected="equal to the integral of the dissipation; one rate; F falls at every step of every run; the potential of a method of "
    "lines written here, with scipy's Runge–Kutta of order 8",
    tolerance="dissipation: relative difference ≤ 1e-6; rate ≤ 1e-3; no rise beyond 1e-12 of F at the start; potential ≤ 1e-9",
    problem=f"{ANALYTIC_1D.name}: {ANALYTIC_1D.words}; {MILD_2D.name}: {MILD_2D.words}; integrals over time by Gauss' rule, 9 "
    "nodes on each of [0, t/4], [t/4, t], [t, 4t]; rates from ∂ₜφ̃ projected on an eigenfunction between t = 0.3 and 0.4; ε = t/8",
    mutations="D²φ in place of its inverse; the dissipation of KL for χ²; h'(0) = 1.1; F of χ² along the flow of the entropy, "
    "from near the end; another α in the method of lines",
)
DISSIPATION, RATE, LINES, FALLS = ({"difference": AtMost(bound)} for bound in (1e-6, 1e-3, 1e-9, 0.0))
MONOTONE = {"violation": AtMost(1e-12)}
NODES, TIMES = 9, (0.3, 0.4)


def study(level: Level) -> Iterator[Check]:
    """Every objective, then what is broken."""
    family = FAMILY if level is Level.QUICK else FAMILY | MORE
    line, plane = ANALYTIC_1D.on(64), MILD_2D.on(32 if level is Level.QUICK else 48)
    for name, objective in family.items():
        both = level is Level.FULL or name in ("KL", "χ²")
        yield Check(f"{line.name}, {name}, dissipation", dissipation(line, objective, both=both), DISSIPATION)
        if not objective.uniform:  # which ends elsewhere
            yield Check(f"{line.name}, {name}, rate", rate(line, objective), RATE)
        yield Check(f"{line.name}, {name}, method of lines", lines(line, objective), LINES)
        yield Check(f"{line.name}, {name}", falls(line, objective), MONOTONE)
        for case in (line, plane) if level is Level.FULL or name == "χ²" else (line,):
            yield Check(f"{case.name}, {name}, other flows", others(case, objective), MONOTONE)
    yield Check(
        f"{plane.name}, χ², dissipation", dissipation(plane, CHI_SQUARED, both=level is Level.FULL), DISSIPATION
    )
    yield Check(f"{plane.name}, χ²", falls(plane, CHI_SQUARED), MONOTONE)
    yield from broken(line)


def broken(case: Case) -> Iterator[Check]:
    """Wrong rates of F, of the flow, and wrong equations."""
    yield Check(
        case.name, dissipation(case, CHI_SQUARED, wrong_metric=True), DISSIPATION, "D²φ in place of its inverse"
    )
    yield Check(case.name, dissipation(case, CHI_SQUARED, of=FAMILY["KL"]), DISSIPATION, "the dissipation of KL for χ²")
    yield Check(case.name, rate(case, Relaxed(1.1, CHI_SQUARED)), RATE, "h'(0) = 1.1")
    late = run(case, CHI_SQUARED).potentials[-1]
    other = evolve(MongeAmpere(case.problem, objective=MORE["entropy"]), [case.t], initial=late)
    yield Check(case.name, fall_of(other, CHI_SQUARED), MONOTONE, "F of χ² along the flow of the entropy")
    yield Check(case.name, lines(case, CHI_SQUARED, AlphaDivergence(1.01)), LINES, "α = 1.01 in place of 1")


@cache
def run(case: Case, objective: Divergence, wasserstein: bool = False) -> Trajectory:
    """The mirror flow, or the gradient flow, at all nodes and cuts."""
    cuts, nodes, _ = pieces(case)
    flow = FokkerPlanck if wasserstein else MongeAmpere
    return evolve(flow(case.problem, objective=objective, rtol=1e-11), np.union1d(cuts, nodes), initial=case.initial)


def pieces(case: Case) -> tuple[Array, Array, Array]:
    """Cuts, nodes and weights of the rule in time."""
    x, w = np.polynomial.legendre.leggauss(NODES)
    cuts = case.t * np.array([0.0, 0.25, 1.0, 4.0])
    half = 0.5 * np.diff(cuts)[:, None]
    return cuts, cuts[:-1, None] + half * (x + 1), half * w


def dissipation(
    case: Case, objective: Divergence, *, both: bool = True, wrong_metric: bool = False, of: Divergence | None = None
) -> Rows:
    """Fall of F on each piece against the integral of its dissipation, in ``both`` geometries; the rest is for mutations."""
    rows, (cuts, nodes, weights) = {}, pieces(case)
    for geometry, wasserstein in (("mirror flow", False), ("Wasserstein flow", True))[: 1 + both]:
        found, other = run(case, objective, wasserstein), wasserstein != wrong_metric
        at = {t: i for i, t in enumerate(found.times)}
        values = {t: _value(case, found, at[t], objective) for t in cuts}
        rates = {t: _rate(case, found, at[t], of or objective, other) for t in nodes.flat}
        for i, (times, w) in enumerate(zip(nodes, weights, strict=True)):
            fall = values[cuts[i]] - values[cuts[i + 1]]
            rows[f"{geometry}, piece {i + 1}"] = (fall, float(np.dot(w, [rates[t] for t in times])))
    return against(rows, source="the integral of the dissipation")


def _ratio(case: Case, found: Trajectory, i: int, objective: Divergence) -> tuple[Law, Array, Array]:
    """The law at one time, its log-density and A; Fokker–Planck knows its density itself."""
    law = Law(case.problem, found.potentials[i], objective=objective)
    log_density = found.fields["log_density"][i] if "log_density" in found.fields else law.log_density
    return law, log_density, log_density + case.problem.f


def _value(case: Case, found: Trajectory, i: int, objective: Divergence) -> float:
    """F."""
    return value(objective, case.problem, _ratio(case, found, i, objective)[2])


def _rate(case: Case, found: Trajectory, i: int, objective: Divergence, flat: bool) -> float:
    """−dF/dt, in the metric D²φ or the Euclidean one."""
    law, log_density, A = _ratio(case, found, i, objective)
    gradient = law.operators.gradient(objective.h(log_ratio(objective, case.problem, A)))
    image = gradient if flat else apply(law.inverse_hessian, gradient.copy())
    return case.problem.domain.integral(np.sum(gradient * image, axis=0) * np.exp(log_density))


def rate(case: Case, objective: Divergence) -> Rows:
    """Decay of an eigenfunction's share of ∂ₜφ̃, of the one with the largest, against its eigenvalue, which knows no h."""
    values, functions = spectrum(case)
    found = evolve(MongeAmpere(case.problem, objective=objective, rtol=1e-11), TIMES, initial=case.initial)
    speeds = [Law.of(found, i).variation for i in range(2)]
    first, second = (np.array([case.problem.mu.integral(w * speed) for w in functions]) for speed in speeds)
    largest = int(np.argmax(np.abs(first)))
    measured = float(np.log(first[largest] / second[largest]) / (TIMES[1] - TIMES[0]))
    return against(
        {f"rate of eigenfunction {largest + 1}": (measured, float(values[largest]))}, source="its eigenvalue"
    )


def lines(case: Case, objective: Divergence, equation: Divergence | None = None) -> Rows:
    """The potential at t against a method of lines that shares nothing with the package but f and g; another equation breaks it."""
    h, (x,) = (equation or objective).h, case.problem.domain.points
    k = TAU * np.fft.rfftfreq(x.size, 1 / x.size)
    f, shift = case.problem.f, case.problem.f[0] - case.f(x)[0]  # e^{−f} has the mass 1; so has e^{−g}
    uniform = f if objective.uniform else 0.0

    def speed(_: float, u: Array) -> Array:
        modes = np.fft.rfft(u)
        first, second = np.fft.irfft(1j * k * modes, x.size), np.fft.irfft(-(k**2) * modes, x.size)
        return h(case.f(x) + shift - uniform - case.g(x + first) + np.log1p(second))

    with np.errstate(invalid="ignore"):  # its first trial step may be too long
        own = solve_ivp(speed, (0, case.t), case.initial, "DOP853", rtol=1e-12, atol=1e-15)
    found = evolve(MongeAmpere(case.problem, objective=objective, rtol=1e-12), [case.t], initial=case.initial)
    difference = float(np.abs(found.potentials[0] - own.y[:, -1]).max())
    return against({"sup |u − ũ|": (difference, 0.0)}, source="a method of lines, Runge–Kutta of order 8")


def falls(case: Case, objective: Divergence) -> Rows:
    """F along the mirror flow, at every step: its rise from one step to the next, relative to F at the start."""
    found = evolve(MongeAmpere(case.problem, objective=objective), [8 * case.t], initial=case.initial)
    times, values = found.records["t"], found.records["value"]
    rise = np.diff(values, append=-np.inf)  # the last has no next
    return Rows("t", times, {"violation": np.maximum(rise, -1.0) / values[0]}, {"F": values}, {"F(ρ_t)": values})


def others(case: Case, objective: Divergence) -> Rows:
    """The largest rise of F from one step to the next, relative to F at the start, along four other flows."""
    eps, explicit = case.t / 8, ConstantSteps(case.t / 512)
    flows = {
        "Wasserstein flow": FokkerPlanck(case.problem, objective=objective),
        "Sinkhorn": Sinkhorn(case.problem, eps, step=eps / 2, objective=objective),
        "continuous Sinkhorn": SinkhornFlow(case.problem, eps, objective=objective),
        "explicit": MirrorDescent(case.problem, explicit, objective=objective, modes=4),
    }
    rows = [fall_of(evolve(flow, [case.t], initial=case.initial), objective) for flow in flows.values()]
    rises = np.concatenate([row.columns["largest rise"] for row in rows])
    columns = {"largest rise": rises, "bound": np.zeros(len(rows))}
    return Rows("flow", np.arange(1.0, len(rows) + 1), {"violation": rises}, columns, {}, tuple(flows))


def fall_of(found: Trajectory, objective: Divergence) -> Rows:
    """The largest rise of F along one run, by its records, or of another F by its laws for the mutation."""
    recorded = objective_of(found.flow) == objective
    laws = (found.initial, *found.potentials)
    values = (
        found.records["value"] if recorded else [Law(found.flow.problem, u, objective=objective).value for u in laws]
    )
    rise = float(np.max(np.diff(values))) / float(values[0])
    return inequality("flow", [1.0], [rise], 0.0, names=("largest rise", "bound"))
