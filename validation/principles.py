"""Claim: maximum principle, nonexpansiveness, and the bound on Sinkhorn's distance from PMA that they give for all times."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pmasolve import MongeAmpere, Sinkhorn, Trajectory, evolve
from pmasolve.machine.arrays import Array

from .cases import NARROW, QUADRATURE, TAU, WORDS_3D, Case, light, linearised
from .claims import AtMost, Check, Claim, Level
from .evidence import Rows, inequality

CLAIM = Claim(
    name="principles",
    title="Maximum principle, nonexpansiveness, and a bound uniform in time",
    statement="sup (φ_{k+1} − φ_k) falls and inf rises with k, and so do sup and inf of ∂ₜφ̃;  sup |φ_k − φ_k'| falls "
    "for any two starts, "
    "and so does sup |φ̃_t − φ̃_t'|;  sup_k |φ_k − φ̃_{kε}| ≤ ½ε (max f − min f) + O(ε²), without growth in k",
    source="comparison for PMA and Sinkhorn as a monotone map that commutes with constants: Berman, arXiv 1712.03082; "
    "the last bound was derived for this package from the corrector's maximum principle",
    expected="inequalities at every step and time; the constant is ½ (max f − min f)",
    tolerance="no violation beyond 1e-12 for Sinkhorn, 1e-9 for PMA at rtol 1e-11; the last bound with 10 % for O(ε²)",
    problem=WORDS_3D
    + "; the second start adds 0.002 cos 4πx₁, in the last check 10⁻⁷(2·[|x₁ − ½| < ¼√ε] − 1), smoothed; times up "
    "to 8t; for the constant " + NARROW.words,
    mutations="an over-relaxed iteration, factor 1.5; the bound with ⅓ in place of ½",
)
STEPS = 16  # comparison times
SINKHORN, PMA, ZERO = ({"violation": AtMost(bound)} for bound in (1e-12, 1e-9, 0.0))


def study(level: Level) -> Iterator[Check]:
    """Every principle on every problem, then what is broken."""
    problems = light(level)
    for case in problems:
        eps = case.eps[2]
        yield Check(f"{case.name}, Sinkhorn", iteration(case, eps), SINKHORN)
        yield Check(f"{case.name}, PMA", flow(case), PMA)
        yield Check(f"{case.name}, distance for all k", distance(case, eps), ZERO)
    case, eps = problems[0], problems[0].t / 16
    yield Check(f"{case.name}, a narrow difference", iteration(case, eps, narrow(case, eps)), SINKHORN)
    yield Check(f"{NARROW.name}, distance for all k", distance(NARROW, NARROW.eps[2]), ZERO)
    relaxed = iteration(case, eps, narrow(case, eps), factor=1.5)
    yield Check(case.name, relaxed, SINKHORN, "an over-relaxed iteration, factor 1.5")
    yield Check(NARROW.name, distance(NARROW, NARROW.eps[2], constant=1 / 3), ZERO, "the bound with ⅓ in place of ½")


def other(case: Case) -> Array:
    """A second start."""
    return case.initial + 0.002 * np.cos(2 * TAU * case.problem.domain.points[0])


def narrow(case: Case, eps: float) -> Array:
    """A start that differs by a constant, and by its opposite where the kernel is much wider: averages turn the sign there."""
    x = case.problem.domain.points[0]
    return case.initial + 1e-7 * (2 * np.exp(-0.5 * ((x - 0.5) / (0.25 * np.sqrt(eps))) ** 2) - 1)


def iteration(case: Case, eps: float, second: Array | None = None, factor: float = 1.0) -> Rows:
    """Sup and inf of the changes, and distances of two runs, after every iteration; ``factor`` is for the mutation."""
    sinkhorn = Sinkhorn(case.problem, eps, quadrature=QUADRATURE)

    def step(u: Array) -> Array:
        return u + factor * (sinkhorn.half_step_back(sinkhorn.half_step(u)) - u)

    u, w, rows = case.initial, other(case) if second is None else second, []
    for _ in range(round(2 * case.t / eps)):
        after, w_after = step(u), step(w)
        rows.append(((after - u).max() / eps, (u - after).max() / eps, np.abs(u - w).max() / eps))
        u, w = after, w_after
    return falling("k", np.arange(1.0, len(rows)), np.array(rows))


def flow(case: Case) -> Rows:
    """The same for PMA, at `STEPS` times."""
    times = 2 * case.t * np.arange(1, STEPS + 1) / STEPS
    u, w = (
        evolve(MongeAmpere(case.problem, rtol=1e-11), times, initial=start) for start in (case.initial, other(case))
    )
    speeds = [linearised(case, potential).speed for potential in u.potentials]
    rows = [
        (s.max(), -s.min(), np.abs(a - b).max()) for s, a, b in zip(speeds, u.potentials, w.potentials, strict=True)
    ]
    return falling("t", times[1:], np.array(rows))


def falling(parameter: str, values: Array, rows: Array) -> Rows:
    """The largest rise of any column from one row to the next, against 0."""
    rise = np.max(np.diff(rows, axis=0), axis=1)
    return inequality(parameter, values, rise, 0.0, names=("largest rise", "bound"))


def distance(case: Case, eps: float, constant: float = 0.5) -> Rows:
    """sup |φ_k − φ̃_{kε}|/ε at times up to 8t, constants included."""
    times = case.t * np.array([0.25, 0.5, 1, 2, 4, 8])
    runs: list[Trajectory] = [
        evolve(flow, times, initial=case.initial)
        for flow in (Sinkhorn(case.problem, eps, quadrature=QUADRATURE), MongeAmpere(case.problem, rtol=1e-10))
    ]
    apart = [np.abs(a - b).max() / eps for a, b in zip(runs[0].potentials, runs[1].potentials, strict=True)]
    bound = 1.1 * constant * float(np.ptp(case.problem.f))
    return inequality("t", times, apart, bound, names=("sup |φ_k − φ̃|/ε", "bound"))
