"""Claim: JKO chains for data without a density, and with inverses that have errors: distances and KL mixed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import pairwise

import numpy as np
from scipy.special import logsumexp
from scipy.stats import norm

from pmasolve import ConstantSteps, ConvexBlocks, Guarantees, JKOSampler, SampleProblem, Trajectory, evolve
from pmasolve.gaussian import Normal, fokker_planck, jko
from pmasolve.machine.arrays import Array
from pmasolve.samples.jko.guarantees import smoothed, way_back
from pmasolve.samples.jko.mixed import Diffused, mixed, mixed_guarantees

from .claims import AtMost, Check, Claim, Level
from .evidence import Rows, against, inequality

CLAIM = Claim(
    name="jko-mixed",
    title="JKO chains for data without a density, and with inverses that have errors",
    statement="P with E|X|² < ∞, ρ_δ of Ornstein–Uhlenbeck from P after δ, p₀ = ρ_δ, N steps with gradients ≤ ε, q₀ = "
    "(T⁻¹)_#q, q̃₀ by inverses with errors e_k, L_k = Lip T_k⁻¹:  W₂²(P, ρ_δ) ≤ (1−e^{−δ})²E|X|² + (1−e^{−2δ})d, equal for an "
    "atom;  KL(ρ_δ|q₀) = KL(p_N|q) ≤ ((1+γλ/2)^{−(N−1)}W₂²(ρ_δ, q) + 4ε²/λ²)/2γ + ε²/λ;  W₂(q₀, q̃₀) ≤ ∑ e_k L₁⋯L_{k−1};  "
    "|∫h dP − ∫h dq̃₀| ≤ ℓ(a + c) + ω(K/2)^½ for h with Lipschitz constant ℓ and oscillation ω, a, K, c the three bounds",
    source="this package, docs/samplers.md, in the sense in which the abstract of Cheng, Lu, Tan, Xie, arXiv 2310.17582, "
    "announces its corollaries 5.3 to 5.5",
    expected="equalities and inequalities",
    tolerance="relative differences ≤ 1e-10; violation ≤ 1e-12, for the run ≤ 0",
    problem="d = 3, an atom at (1, 2, −1), q = N(0, diag(½, 1, 2)), λ = ½, γ = ½, N = 10, 40, 100, ε = 0.05, errors of 0.1 in "
    "every inverse, δ = 0.001 and 0.01; line: atoms −2, 2, 2, δ = 0.2, 1500 points, 12 ridges, seed 91",
    mutations="the smoothing without its term in d; KL without its terms in ε; the mixed bound without the way back",
)
SAME, HOLDS, NEVER = {"difference": AtMost(1e-10)}, {"violation": AtMost(1e-12)}, {"violation": AtMost(0)}
ATOM, Q, GAMMA, CONVEXITY, EPS, ERROR = np.array([1.0, 2.0, -1.0]), np.diag([0.5, 1.0, 2.0]), 0.5, 0.5, 0.05, 0.1
COUNTS, DELTAS = (10, 40, 100), (0.001, 0.01)


def study(level: Level) -> Iterator[Check]:
    """An atom in closed form, atoms on a line by a run, then what is broken."""
    yield Check("an atom, smoothing", smoothing(), SAME)
    yield Check("an atom, KL by samples and by data", both_ways(), SAME)
    yield Check("an atom, KL after N steps", entropies(), HOLDS)
    yield Check("an atom, the way back", ways_back(), HOLDS)
    yield Check("an atom, mixed", bounded_means(), HOLDS)
    yield Check("atoms on a line, a run", line(), NEVER)
    yield Check("an atom", smoothing(dimensions=0.0), SAME, "the smoothing without its term in d")
    yield Check("an atom", entropies(error=0.0), HOLDS, "KL without its terms in ε")
    yield Check("an atom", bounded_means(inverses=0.0), HOLDS, "the mixed bound without the way back")


def smoothing(dimensions: float = 1.0) -> Rows:
    """W₂² between an atom and the law after δ, by the closed form of Fokker–Planck from a normal of variance 1e-24."""
    rows, near, one = {}, Normal(ATOM, 1e-24 * np.eye(3)), Normal(np.zeros(3), np.eye(3))
    for delta in (*DELTAS, 1.0):
        expected = smoothed(float(ATOM @ ATOM), 3, delta) + (dimensions - 1) * 3 * -np.expm1(-2 * delta)
        rows[f"δ = {delta:g}"] = (fokker_planck(one, near, delta).wasserstein(near) ** 2, expected)
    return against(rows, source="lemma C.1")


@cache
def chain(delta: float) -> tuple[Normal, ...]:
    """ρ_δ, p_1, …, p_100: the mean of each exact step moved by γ(1 + γΣ⁻¹)⁻¹e along the last axis, so that the gradient is e."""
    q, laws = Normal(np.zeros(3), Q), [Normal(np.exp(-delta) * ATOM, -np.expm1(-2 * delta) * np.eye(3))]
    shift = np.array([0.0, 0.0, GAMMA * EPS / (1 + GAMMA / Q[2, 2])])
    for _ in range(COUNTS[-1]):
        step = jko(q, laws[-1], GAMMA)
        laws.append(Normal(step.mean + shift, step.cov))
    return tuple(laws)


def slopes(laws: tuple[Normal, ...]) -> list[Array]:
    """The inverse maps' linear parts, diagonal as all covariances are."""
    return [np.sqrt(np.diag(before.cov) / np.diag(after.cov)) for before, after in pairwise(laws)]


def returned(delta: float, count: int, error: float) -> tuple[Array, Array]:
    """Mean and deviations of q̃₀: q by the inverses of ``count`` steps, each moved by so much to the far side of the atom."""
    laws = chain(delta)[: count + 1]
    mean, deviation = np.zeros(3), np.sqrt(np.diag(Q))
    for (before, after), slope in zip(reversed([*pairwise(laws)]), reversed(slopes(laws)), strict=True):
        mean = before.mean + slope * (mean - after.mean) - error * ATOM / np.linalg.norm(ATOM)
        deviation = slope * deviation
    return mean, deviation


def cases() -> list[tuple[float, int]]:
    """Every δ with every N."""
    return [(delta, count) for delta in DELTAS for count in COUNTS]


def both_ways() -> Rows:
    """KL(ρ_δ|q₀) and KL(p_N|q)."""
    rows, q = {}, Normal(np.zeros(3), Q)
    for delta, count in cases():
        mean, deviation = returned(delta, count, 0.0)
        data = chain(delta)[0].kl(Normal(mean, np.diag(deviation**2)))
        rows[f"δ = {delta:g}, N = {count}"] = (data, chain(delta)[count].kl(q))
    return against(rows, source="bijections keep KL")


def _bounds(delta: float, count: int, error: float = EPS) -> float:
    start = chain(delta)[0].wasserstein(Normal(np.zeros(3), Q)) ** 2
    return Guarantees(GAMMA, CONVEXITY, error).kl_after(count, start)


def entropies(error: float = EPS) -> Rows:
    """KL after N steps; ``error`` = 0 is a mutation."""
    q = Normal(np.zeros(3), Q)
    low = [chain(delta)[count].kl(q) for delta, count in cases()]
    high = [_bounds(delta, count, error) for delta, count in cases()]
    return inequality("row", np.arange(1.0, len(low) + 1), low, high, names=("KL", "bound"))


def _way(delta: float, count: int) -> float:
    return way_back(np.full(count, ERROR), [float(slope.max()) for slope in slopes(chain(delta)[: count + 1])])


def ways_back() -> Rows:
    """W₂ between normals of one covariance is the distance of their means."""
    low = [np.linalg.norm(returned(*case, ERROR)[0] - returned(*case, 0.0)[0]) for case in cases()]
    high = [_way(*case) for case in cases()]
    return inequality("row", np.arange(1.0, len(low) + 1), low, high, names=("W₂(q̃₀, q₀)", "bound"))


def _clipped(mean: float, deviation: float, c: Array) -> Array:
    """E clip(X − c, −½, ½) for X normal: ½ less the integral of P(X ≤ t) over [c − ½, c + ½]."""

    def integral(t: Array) -> Array:
        z = (t - mean) / deviation
        return deviation * (z * norm.cdf(z) + norm.pdf(z))

    return 0.5 - integral(c + 0.5) + integral(c - 0.5)


def bounded_means(inverses: float = 1.0) -> Rows:
    """The largest difference of means of clip(u·x − c, −½, ½) between the atom and q̃₀; ``inverses`` = 0 is a mutation."""
    low, high = [], []
    for delta, count in cases():
        mean, deviation = returned(delta, count, ERROR)
        a, far = np.sqrt(smoothed(float(ATOM @ ATOM), 3, delta)), 0.0
        for u in (*np.eye(3), ATOM / np.linalg.norm(ATOM)):
            c = np.linspace(-4, 4, 81)
            sample = _clipped(float(u @ mean), float(np.linalg.norm(u * deviation)), c)
            far = max(far, float(np.abs(np.clip(u @ ATOM - c, -0.5, 0.5) - sample).max()))
        low.append(far)
        high.append(mixed(a, _bounds(delta, count), inverses * _way(delta, count)))
    return inequality("row", np.arange(1.0, len(low) + 1), low, high, names=("difference", "bound"))


@cache
def run() -> tuple[Trajectory, Diffused]:
    """Blocks from the diffused atoms."""
    law = Diffused([-2.0, 2.0, 2.0], 0.2)
    flow = JKOSampler(
        SampleProblem(law.sample(1500, 91)), ConvexBlocks(12, (1.0, 2.0)), ConstantSteps(GAMMA), density=law.density
    )
    return evolve(flow, flow.times(6)[-1:], throw=False, progress=False), law


def line() -> Rows:
    """All that a run is told, and its density by hand."""
    found, law = run()
    told = mixed_guarantees(found, law, inversion=1e-4)
    s, x = np.sqrt(-np.expm1(-2 * law.time)), np.linspace(-4, 4, 81)[:, None]
    by_hand = logsumexp(norm.logpdf(x, np.exp(-law.time) * np.array([-2.0, 2.0, 2.0]), s), axis=1) - np.log(3)
    low = [*(told[n] for n in ("w2_squared", "kl", "way_back", "way_back_local", "mixed", "mixed_by_kl"))]
    high = [
        *(told[n] for n in ("w2_squared_bound", "kl_bound", "way_back_local", "way_back_bound", "mixed_by_kl")),
        told["mixed_bound"],
    ]
    low.append(float(np.abs(law.density.f(x) + by_hand).max()))
    note = "W₂², KL, way back (local, certified), mixed (by KL, by bounds), density"
    return inequality("row", np.arange(1.0, len(low) + 1), low, [*high, 1e-12], note=note)
