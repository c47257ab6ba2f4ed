"""Claim: no-regret mirror descent: the two-sided variational inequality, the certificate, and four schedules."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pmasolve.gaussian import Descent, Normal, Pair, Quadratic, mirror_descent
from pmasolve.machine.arrays import Array

from .claims import AtMost, Check, Claim, Level
from .evidence import Rows, inequality
from .gaussians import Gaussians

CLAIM = Claim(
    name="schedules",
    title="Mirror descent without regret: both sides, and four rates",
    statement="ψ_{k+1} = ψ_k + η_k(g − f(∇ψ_k) + log det D²ψ_k), ρ_k = (∇ψ_k)_# e^{−g}:  KL(ρ_k|μ) + KL(μ|ρ_k) − "
    "(η_k/2m_{k+1})∫|ξ_k|²dπ_k ≤ "
    "[B_G(μ|ρ_k) − B_G(μ|ρ_{k+1})]/η_k ≤ KL(ρ_k|μ) + KL(μ|ρ_k), π_k = (∇ψ_k*)_# μ, m_{k+1} = inf D²ψ_{k+1};  η "
    "constant: average KL = O(1/T);  "
    "η = T^{−½}: KL_T = O(T^{−½});  η_k = (M/λ)/(k+1) and η = (M/λ) log T/T: B_G(μ|ρ_T) = O(log T/T)",
    source="Deb, Liang, arXiv 2504.09279 (scheme and rates); the inequality with its remainder and the constant M/λ "
    "were derived for this package",
    expected="both sides at every step, equality on the left for d = 1; every rate with the constant that it has at "
    "the least T",
    tolerance="violation ≤ 1e-12 of the first Jeffreys divergence; equality to 1e-11; T × (rate's quantity) never "
    "above 1.05 times that of the least T",
    problem="normal distributions: d = 1 with Σ = 2, Θ = 1, a = 1, and d = 3, non-commuting, seed 31; T = 50 … 3200, "
    "at full level … 10⁴",
    mutations="the right-hand side with KL(ρ_k|μ) alone; the remainder left out on the left; "
    "(λ/M) log T/T in place of (M/λ) log T/T",
)
HOLDS, EQUAL, BOUND = {"violation": AtMost(1e-12)}, {"violation": AtMost(1e-11)}, {"violation": AtMost(0)}
HORIZONS = {Level.QUICK: (50, 200, 800, 3200), Level.FULL: (50, 100, 200, 400, 800, 1600, 3200, 10_000)}


def study(level: Level) -> Iterator[Check]:
    """Inequalities and rates for both pairs, then what is broken."""
    line = Gaussians(
        "d = 1", Pair(Normal([1.0], [[2.0]]), Normal([0.0], [[1.0]])), Quadratic([[0.8]], None, 0.0, [1.0])
    )
    space = Gaussians.random(3, 31)
    for g in (line, space):
        run = descent(g, np.full(200, 0.1))
        yield Check(f"{g.name}, right-hand side", side(run, run.upper_slack), HOLDS)
        yield Check(f"{g.name}, left-hand side", side(run, run.lower_slack), HOLDS)
        yield Check(f"{g.name}, certificate for every T", side(run, run.certificate), HOLDS)
        if g is line:
            yield Check("d = 1, equality on the left", side(run, -run.lower_slack), EQUAL)
        for name, rows in rates(g, HORIZONS[level]).items():
            yield Check(f"{g.name}, {name}", rows, BOUND)
    run = descent(space, np.full(200, 0.1))
    yield Check(space.name, side(run, run.upper_slack - run.reverse_kl[:-1]), HOLDS, "KL(ρ_k|μ) alone on the right")
    yield Check(space.name, side(run, run.lower_slack - run.remainder), HOLDS, "remainder left out on the left")
    yield Check(
        space.name,
        rates(space, HORIZONS[level], inverted=True)["η ~ log T/T, last B"],
        BOUND,
        "(λ/M) log T/T in place of (M/λ) log T/T",
    )


def descent(g: Gaussians, eta: Array) -> Descent:
    """The scheme from the conjugate of the start."""
    return mirror_descent(g.pair, g.start.conjugate(), eta)


def side(run: Descent, slack: Array) -> Rows:
    """slack ≥ 0 at every step, relative to the first Jeffreys divergence."""
    scale = run.kl[0] + run.reverse_kl[0]
    return inequality("k", np.arange(1.0, slack.size + 1), 0.0, slack, scale=scale, names=("0", "slack"))


def rates(g: Gaussians, horizons: tuple[int, ...], *, inverted: bool = False) -> dict[str, Rows]:
    """The four schedules; ``inverted`` takes λ/M for M/λ in the last one's step, for the mutation."""
    T = np.array(horizons, dtype=np.float64)
    scale = convexity(g) * float(np.linalg.eigvalsh(g.pair.target.cov)[-1])  # M/λ: g is 1/λ_max(Θ)-convex
    average = descent(g, np.full(horizons[-1], 0.2)).average_kl[[n - 1 for n in horizons]]
    root = [descent(g, np.full(n, 0.2 * n**-0.5)).kl[-1] for n in horizons]
    harmonic = [_bounded(g, scale, n).bregman[-1] for n in horizons]
    single = [descent(g, np.full(n, (1 / scale if inverted else scale) * np.log(n) / n)).bregman[-1] for n in horizons]
    logs = np.log(T) / T
    return {
        "η constant, average KL": bounded(T, average, 1 / T),
        "η = c/√T, last KL": bounded(T, np.array(root), T**-0.5),
        "η_k ~ 1/(k+1), last B": bounded(T, np.array(harmonic), logs),
        "η ~ log T/T, last B": bounded(T, np.array(single), logs),
    }


def bounded(T: Array, values: Array, rate: Array) -> Rows:
    """values ≤ 1.05·(constant at the least T)·rate."""
    return inequality("T", T, values, 1.05 * values[0] / rate[0] * rate, scale=values[0], names=("measured", "bound"))


def convexity(g: Gaussians) -> float:
    """M: the largest eigenvalue of D²ψ at the start and in the limit."""
    psi = np.linalg.inv(g.start.hessian), g.pair.brenier().conjugate().hessian
    return float(max(np.linalg.eigvalsh(P)[-1] for P in psi))


def _bounded(g: Gaussians, scale: float, n: int) -> Descent:
    """Harmonic steps, none longer than 0.2: the first ones would lose convexity, and a rate does not see finitely many."""
    return descent(g, np.minimum(scale / np.arange(1.0, n + 1), 0.2))
