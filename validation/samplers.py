"""Claim: the explicit descent learned in a finite span: the recursion, both sides, four schedules, statistical error."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from pmasolve import (
    ConstantSteps,
    Known,
    Logistic,
    MongeAmpereSampler,
    Posterior,
    SampleProblem,
    ScoreMatching,
    Span,
    Trajectory,
    as_sampler,
    evolve,
)
from pmasolve.flows.schedules import StepSizes
from pmasolve.gaussian import Normal
from pmasolve.machine.arrays import Array
from pmasolve.samples.samplers import Nodes
from pmasolve.samples.samplers.inversion import inverse
from pmasolve.samples.samplers.laws import log_density, values
from pmasolve.samples.samplers.span import SpanPotential

from .claims import AtMost, Check, Claim, Level
from .evidence import Rows, against, inequality

CLAIM = Claim(
    name="samplers",
    title="The explicit descent learned in a span: recursion, both sides, four schedules, statistical error",
    statement="ψ_{k+1} = ψ_k − η_k h_k, h_k = log(ν/π_k) fitted in the span of linear, quadratic functions and ridges, π_k = "
    "(∇ψ_k*)_# μ:  between normals, f known, P⁺ = P − η(PΣ⁻¹P − Θ⁻¹);  every step, d = (ψ_k − ψ_{k+1})/η: ∫d(dν − dπ) − "
    "(η/2m)∫|∇d|²dπ ≤ (B_k − B_{k+1})/η ≤ ∫d(dν − dπ);  η constant: average KL = O(1/T);  η = c/√T: KL_T = O(T^{−½});  "
    "η_k = (M/λ)/(k+1), η = (M/λ) log T/T: B_G(μ|ρ_T) = O(log T/T);  from n samples the last KL is p/2n",
    source="Deb, Liang, arXiv 2504.09279 (scheme and rates); estimators on the reference side, the remainder and M/λ were "
    "derived for this package",
    expected="the recursion to rounding; both sides at every step; every rate with the constant that it has at the least T; "
    "KL·2n/p near 1, order −1 in n",
    tolerance="1e-14; violation ≤ 1e-12 with quadrature, 1e-8 with samples; T × (rate's quantity) never above 1.05 times that "
    "of the least T; means of KL·2n/p over five seeds ≤ 1.5, orders −1 ± 0.15",
    problem="normals in 2 and 10 dimensions; rates on a line, ν = N(0, 1), μ = (∇ψ*)_# ν with ψ* in the span of three ridges, "
    "64 Gauss–Hermite nodes, T = 10 … 160, at full level … 640, all steps capped at 0.25; samples of a normal law in 5 "
    "dimensions, p = 20, n = 500, 2000, 8000, seeds 41–45, by logistic regression, at full level by score matching too",
    mutations="PΣ⁻¹ in place of PΣ⁻¹P; the remainder left out on the left; steps λ/M log T/T² in place of (M/λ) log T/T; "
    "four steps in place of twenty-four",
)
HOLDS, BOUND = {"violation": AtMost(1e-12)}, {"violation": AtMost(0)}
CAP, STEP = 0.25, 1e-5
HORIZONS = {Level.QUICK: (10, 40, 160), Level.FULL: (10, 20, 40, 80, 160, 320, 640)}
SEEDS, SIZES, STEPS, FEW = (41, 42, 43, 44, 45), (500, 2000, 8000), 24, 4


def study(level: Level) -> Iterator[Check]:
    """Normals, rates, samples, then what is broken."""
    for d in (2, 10):
        yield Check(f"d = {d}, recursion", recursion(d), {"difference": AtMost(1e-14)})
    run = descent(ConstantSteps(CAP), 40)
    yield Check("line, right-hand side", _side(run, run.records["upper_slack"]), HOLDS)
    yield Check("line, left-hand side", _side(run, run.records["lower_slack"]), HOLDS)
    yield Check("line, certificate for every T", _side(run, run.records["certificate"]), HOLDS)
    for name, rows in rates(HORIZONS[level]).items():
        yield Check(f"line, {name}", rows, BOUND)
    for estimator in (Logistic(), ScoreMatching())[: 1 + (level is Level.FULL)]:
        name = type(estimator).__name__
        scaled, order = statistical(estimator, STEPS)
        yield Check(f"{name}, KL·2n/p", scaled, BOUND)
        yield Check(f"{name}, order in n", order, {"difference": AtMost(0.15)})
        yield Check(f"{name}, both sides from samples", sampled_sides(estimator), {"violation": AtMost(1e-8)})
    yield Check("d = 2", recursion(2, once=True), {"difference": AtMost(1e-14)}, "PΣ⁻¹ in place of PΣ⁻¹P")
    left = run.records["lower_slack"] - run.records["remainder"]
    yield Check("line", _side(run, left), HOLDS, "the remainder left out on the left")
    short = single(HORIZONS[Level.QUICK], shrink=True)
    yield Check("line", short, BOUND, "steps λ/M log T/T² in place of (M/λ) log T/T")
    yield Check("Logistic", statistical(Logistic(), FEW)[0], BOUND, "four steps in place of twenty-four")


def recursion(d: int, *, once: bool = False) -> Rows:
    """Forty steps of the flow beside the matrices; ``once`` breaks the recursion."""
    rng = np.random.default_rng(d)
    turn = np.linalg.qr(rng.standard_normal((d, d)))[0]
    law = Normal(0.5 * rng.standard_normal(d), (turn * np.linspace(0.5, 2.0, d)) @ turn.T)
    nu = Normal(np.full(d, 0.3), np.diag(np.linspace(0.5, 1.5, d)))
    F, T = np.linalg.inv(law.cov), np.linalg.inv(nu.cov)
    constant = 0.5 * np.linalg.slogdet(2 * np.pi * law.cov)[1]

    def f(x: Array) -> Array:
        """−log density of the law."""
        z = x - law.mean
        return 0.5 * np.sum((z @ F) * z, axis=1) + constant

    flow = MongeAmpereSampler(
        Posterior(f, lambda x: (x - law.mean) @ F, d, reference=nu), Span(), Known(), ConstantSteps(0.2), nodes=512
    )
    run = evolve(flow, flow.times(40)[-1:], progress=False)
    P, m = np.eye(d), nu.mean
    for _ in range(40):
        P, m = P - 0.2 * ((P @ F if once else P @ F @ P) - T), m - 0.2 * P @ F @ (m - law.mean)
    here = as_sampler(run).psi.at(nu.mean[None])
    far = {"P": float(np.abs(here.hessian[0] - P).max()), "m": float(np.abs(here.gradient[0] - m).max())}
    return against({name: (value, 0.0) for name, value in far.items()}, source="the recursion in float64")


@cache
def line() -> tuple[Posterior, SpanPotential, Nodes]:
    """μ = (∇ψ*)_# N(0, 1) with ψ* in the span, and the nodes."""
    y, w = np.polynomial.hermite_e.hermegauss(64)
    kept = w > 1e-14 * w.sum()
    nodes = Nodes(y[kept, None], w[kept] / w[kept].sum())
    standard = Posterior(lambda x: np.zeros(len(x)), lambda x: 0 * x, 1, spread=1.0)
    star = Span(ridges=3).started(standard, 0).placed(np.array([0.7, 0.3, 0.4, 0.5, 0.3]))

    def f(x: Array) -> Array:
        """−log density by Newton's inverse."""
        return -log_density(star, standard.reference, x, np.zeros_like(x), 1e-14)[0]

    def slope(x: Array) -> Array:
        """By differences: the explicit steps do not ask for it."""
        return ((f(x + STEP) - f(x - STEP)) / (2 * STEP))[:, None]

    return Posterior(f, slope, 1, spread=1.0), star, nodes


def descent(schedule: StepSizes, count: int) -> Trajectory:
    """A run on the line with quadrature."""
    problem, _, nodes = line()
    flow = MongeAmpereSampler(problem, Span(ridges=3), Known(), schedule, nodes=nodes)
    return evolve(flow, flow.times(count)[-1:], progress=False)


def bregman(run: Trajectory) -> float:
    """B_G(μ|ρ_T) by quadrature: ∫ψ dν + ∫ψ* dμ less the same of ψ_star."""
    _, star, nodes = line()
    psi, y = as_sampler(run).psi, nodes.points
    x = star.at(y).gradient
    z = inverse(psi, x, y, 1e-14)
    own = values(psi, y) + np.sum(x * z, axis=1) - values(psi, z)
    return float(nodes.mean(own - np.sum(x * y, axis=1)))


def rates(horizons: tuple[int, ...]) -> dict[str, Rows]:
    """The four schedules."""
    T = np.array(horizons, dtype=np.float64)
    constant = descent(ConstantSteps(CAP), horizons[-1]).records["kl"]
    average = np.cumsum(constant)[[n - 1 for n in horizons]] / T
    root = [descent(ConstantSteps(CAP * n**-0.5), n).records["kl"][-1] for n in horizons]
    harmonic = [bregman(descent(lambda k: min(_scale() / (k + 1), CAP), n)) for n in horizons]
    return {
        "η constant, average KL": _bounded(T, average, 1 / T),
        "η = c/√T, last KL": _bounded(T, np.array(root), T**-0.5),
        "η_k ~ 1/(k+1), last B": _bounded(T, np.array(harmonic), np.log(T) / T),
        "η ~ log T/T, last B": single(horizons),
    }


def single(horizons: tuple[int, ...], *, shrink: bool = False) -> Rows:
    """The last of the schedules, one step size for each T; ``shrink`` breaks it."""
    T = np.array(horizons, dtype=np.float64)
    steps = np.log(T) / T**2 / _scale() if shrink else _scale() * np.log(T) / T
    runs = [descent(ConstantSteps(min(eta, CAP)), n) for eta, n in zip(steps.tolist(), horizons, strict=True)]
    return _bounded(T, np.array([bregman(run) for run in runs]), np.log(T) / T)


def _scale() -> float:
    """M/λ with λ = 1, of the start and the limit."""
    _, star, nodes = line()
    return max(1.0, float(star.at(nodes.points).hessian.max()))


def statistical(estimator: Logistic | ScoreMatching, steps: int) -> tuple[Rows, Rows]:
    """Means of KL·2n/p over the seeds beside 1.5, and the order of the means in n."""
    means = np.array([np.mean([_last(estimator, n, seed, steps) for seed in SEEDS]) for n in SIZES])
    n = np.array(SIZES, dtype=np.float64)
    order = float(np.polyfit(np.log(n), np.log(means), 1)[0])
    return (
        inequality("n", n, means * 2 * n / 20, 1.5, names=("KL·2n/p", "bound")),
        against({"order of KL in n": (order, -1.0)}, source="p/2n"),
    )


def _last(estimator: Logistic | ScoreMatching, n: int, seed: int, steps: int) -> float:
    """KL of the law that the last step has."""
    run = _learned(estimator, n, seed)
    at = as_sampler(run, (FEW, STEPS).index(steps)).psi.at(np.zeros((1, 5)))
    return Normal(at.gradient[0], at.hessian[0] @ at.hessian[0]).kl(_law())


@cache
def _law() -> Normal:
    """A normal law in five dimensions with deviations from 0.7 to 1.4."""
    turn = np.linalg.qr(np.random.default_rng(3).standard_normal((5, 5)))[0]
    return Normal(np.linspace(-0.5, 0.5, 5), (turn * np.linspace(0.5, 2.0, 5)) @ turn.T)


@cache
def _learned(estimator: Logistic | ScoreMatching, n: int, seed: int) -> Trajectory:
    """A run whose states after `FEW` and all steps are kept."""
    problem = SampleProblem(_law().sample(n, np.random.default_rng(seed)))
    flow = MongeAmpereSampler(problem, Span(), estimator, ConstantSteps(0.25), nodes=4096)
    return evolve(flow, [flow.times(STEPS)[k - 1] for k in (FEW, STEPS)], progress=False)


def sampled_sides(estimator: Logistic | ScoreMatching) -> Rows:
    """The larger violation of both sides with KL + reverse KL as estimated, less two standard errors, at every step."""
    r = _learned(estimator, 2000, SEEDS[0]).records
    jeffreys, drop = r["kl"] + r["reverse_kl"], r["bregman_drop"] / r["eta"]
    worst = np.maximum(jeffreys - r["remainder"] - drop, drop - jeffreys) - 2 * r["error"]
    return inequality("k", np.arange(1.0, worst.size + 1), worst, 0.0, names=("violation less 2 s.e.", "0"))


def _side(run: Trajectory, slack: Array) -> Rows:
    """slack ≥ 0 at every step, relative to the first pairing."""
    steps = np.arange(1.0, slack.size + 1)
    return inequality("k", steps, 0.0, slack, scale=float(run.records["pairing"][0]), names=("0", "slack"))


def _bounded(T: Array, measured: Array, rate: Array) -> Rows:
    """measured ≤ 1.05·(constant at the least T)·rate."""
    bound = 1.05 * measured[0] / rate[0] * rate
    return inequality("T", T, measured, bound, scale=measured[0], names=("measured", "bound"))
