"""Claim: JKO steps solved with a gradient error ε: variational inequality, rates, the way back, and the same steps on grids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np

from pmasolve import JKO, Band, FokkerPlanck, Fourier, Problem, Study, Trajectory, evolve, transport
from pmasolve.calculus.hessians import packed
from pmasolve.calculus.operators import jet_of
from pmasolve.gaussian import Normal, fokker_planck, jko
from pmasolve.machine.arrays import Array

from .cases import ANALYTIC_1D, ANALYTIC_2D, REAL_1D, WORDS, Case, linearised, powers
from .claims import AtMost, Check, Claim, Level
from .evidence import Rows, against, inequality
from .gap import spectrum
from .gaussians import Gaussians

CLAIM = Claim(
    name="inexact-jko",
    title="JKO steps with errors, and on grids",
    statement="G = KL(·|q) λ-convex, p_{n+1} with ‖∂(G + W₂²(·, p_n)/2γ)(p_{n+1})‖ ≤ ε, 0 < λ ≤ 1:  (1+γλ/2)W₂²(p_{n+1}, π) "
    "+ 2γ(G(p_{n+1}) − G(π)) ≤ W₂²(p_n, π) + (2γ/λ)ε² for every π;  W₂²(p_n, q) ≤ (1+γλ/2)^{−n}W₂²(p₀, q) + 4ε²/λ²;  "
    "from n ≥ (8/γλ)(log W₂(p₀, q) + log(λ/ε)) on W₂² ≤ 5ε²/λ² and KL(p_{n+1}|q) ≤ 9ε²/(2γλ²), TV ≤ (KL/2)^½;  inverse maps "
    "with errors ε_inv: W₂(q̃₀, q₀) ≤ ε_inv ∑_{j≤N} e^{γKj};  ρ_δ of Ornstein–Uhlenbeck from P: W₂²(ρ_δ, P) ≤ "
    "(1−e^{−δ})²E|X|² + (1−e^{−2δ})d;  ε = 0: the mean contracts by (1+γ/s)^{−1} exactly;  on grids: "
    "(1+γλ)W₂²(ρ_{n+1}, π) + 2γ(KL(ρ_{n+1}) − KL(π)) ≤ W₂²(ρ_n, π) with λ = inf D²f < 0, KL falls by W₂²(ρ_{n+1}, ρ_n)/2γ at "
    "least, log(ρ_n/e^{−f}) contracts by (1+γλ₁)^{−1}, λ₁ of the generator, and ρ_n is O(γ) from Fokker–Planck",
    source="Cheng, Lu, Tan, Xie, arXiv 2310.17582: lemma on the inequality, theorem 4.3, corollary 5.2, proposition 5.4, "
    "lemma C.1; on grids: Jordan, Kinderlehrer, Otto 1998, and Ambrosio, Gigli, Savaré 2008",
    expected="all inequalities; the exact contraction; order 1",
    tolerance="violation ≤ 1e-12 of the first W₂² (grids: 1e-9); relative differences ≤ 1e-10, on grids 1e-3; last two "
    "running orders in [0.9, 1.05]",
    problem="d = 3, seed 31, λ = 1/λ_max(Σ), γ = ½, ε = 0.1 along an axis of Σ, at full level along each in turn; grids: "
    + WORDS,
    mutations="the inequality without its term in ε; the stationary error ε²/4λ² for 4ε²/λ²; the way back with K = 0; the "
    "inequality on the grid with λ = +3|inf D²f|; contraction by (1+2γλ₁)^{−1}",
)
HOLDS, EXACT = {"violation": AtMost(1e-12)}, {"difference": AtMost(1e-10)}
GRID, LATE = {"violation": AtMost(1e-9)}, {"difference": AtMost(1e-3)}
ORDER = {"log-density": Band(0.9, 1.05)}
GAMMA, EPS, COUNT = 0.5, 0.1, 60
H, LONG = 1 / 512, 0.125  # step on grids, and when the slowest wave is alone
OTHERS = {"π = e^{−f}": lambda case: case.problem.f, "π = e^{−g}": lambda case: case.problem.g}


def study(level: Level) -> Iterator[Check]:
    """Normal distributions, grids, then what is broken."""
    g = Gaussians.random(3, 31)
    for axis in (2,) if level is Level.QUICK else (0, 1, 2):
        yield Check(f"d = 3, inequality, error along axis {axis + 1}", variational(g, axis), HOLDS)
        yield Check(f"d = 3, theorem 4.3, error along axis {axis + 1}", theorem(g, axis), HOLDS)
    yield Check("d = 3, after n steps", late(g), HOLDS)
    yield Check("d = 3, the way back", way_back(g), HOLDS)
    yield Check("d = 3, lemma C.1", smoothing(g), HOLDS)
    yield Check("exact contraction of the mean", exact(), EXACT)
    for case in (ANALYTIC_1D, REAL_1D) if level is Level.QUICK else (ANALYTIC_1D, REAL_1D, ANALYTIC_2D.on(48)):
        for name in OTHERS:
            yield Check(f"{case.name}, inequality, {name}", on_grid(case, name), GRID)
        yield Check(f"{case.name}, KL falls", falls(case), GRID)
        yield Check(f"{case.name}, contraction", contraction(case), LATE)
        yield Check(f"{case.name}, towards Fokker–Planck", towards(case), ORDER)
    yield from broken(g)


def broken(g: Gaussians) -> Iterator[Check]:
    """What must fail."""
    yield Check("d = 3", variational(g, 2, error=0.0), HOLDS, "the inequality without its term in ε")
    yield Check("d = 3", theorem(g, 2, factor=0.25), HOLDS, "the stationary error ε²/4λ²")
    yield Check("d = 3", way_back(g, growth=0.0), HOLDS, "the way back with K = 0")
    yield Check(ANALYTIC_1D.name, on_grid(ANALYTIC_1D, "π = e^{−f}", factor=-3.0), GRID, "λ = +3|inf D²f|")
    yield Check(ANALYTIC_1D.name, contraction(ANALYTIC_1D, factor=2.0), LATE, "contraction by (1+2γλ₁)^{−1}")


def convexity(g: Gaussians) -> float:
    """λ = 1/λ_max(Σ), at most 1."""
    return min(1.0, 1 / float(np.linalg.eigvalsh(g.pair.source.cov)[-1]))


@cache
def inexact(g: Gaussians, axis: int, count: int = COUNT) -> tuple[Normal, ...]:
    """p₀, p₁, …: the mean of each exact step moved by γ(1+γΣ⁻¹)⁻¹e, |e| = ε, so that the gradient there is e."""
    q, error = g.pair.source, EPS * np.linalg.eigh(g.pair.source.cov)[1][:, axis]
    shift = GAMMA * np.linalg.solve(np.eye(q.dim) + GAMMA * np.linalg.inv(q.cov), error)
    laws = [g.pair.law(g.start)]
    for _ in range(count):
        step = jko(q, laws[-1], GAMMA)
        laws.append(Normal(step.mean + shift, step.cov))
    return tuple(laws)


def variational(g: Gaussians, axis: int, error: float = 1.0) -> Rows:
    """Every step, against q, e^{−g} and the stationary law of the steps; ``error`` = 0 is a mutation."""
    q, laws, scale = g.pair.source, inexact(g, axis)[:25], convexity(g)
    others = (q, g.pair.target, inexact(g, axis)[-1])
    rows = [
        (
            (1 + GAMMA * scale / 2) * after.wasserstein(pi) ** 2 + 2 * GAMMA * (after.kl(q) - pi.kl(q)),
            before.wasserstein(pi) ** 2 + error * 2 * GAMMA / scale * EPS**2,
        )
        for pi in others
        for before, after in pairwise(laws)
    ]
    low, high = np.array(rows).T
    return listed(
        inequality("row", np.arange(1.0, low.size + 1), low, high, note="q, e^{−g}, the last iterate, 24 steps each")
    )


def listed(rows: Rows) -> Rows:
    """Rows that have nothing to be drawn against."""
    return replace(rows, drawn={})


def theorem(g: Gaussians, axis: int, factor: float = 4.0) -> Rows:
    """W₂²(p_n, q) ≤ (1+γλ/2)^{−n}W₂²(p₀, q) + 4ε²/λ²."""
    q, laws, scale = g.pair.source, inexact(g, axis)[:60], convexity(g)
    squares = np.array([law.wasserstein(q) ** 2 for law in laws])
    n = np.arange(float(squares.size))
    bound = (1 + GAMMA * scale / 2) ** -n * squares[0] + factor * EPS**2 / scale**2
    return inequality("n", n, squares, bound, names=("W₂²", "bound"))


def late(g: Gaussians) -> Rows:
    """The bounds from n = (8/γλ)(log W₂(p₀, q) + log(λ/ε)) on, and total variation along the first axis."""
    q, scale = g.pair.source, convexity(g)
    start = g.pair.law(g.start).wasserstein(q)
    n = int(np.ceil(8 / (GAMMA * scale) * (np.log(start) + np.log(scale / EPS))))
    here, after = inexact(g, 2, n + 1)[-2:]
    entropy = after.kl(q)
    low = [here.wasserstein(q) ** 2, entropy, _variation(after, q)]
    high = [5 * EPS**2 / scale**2, 9 * EPS**2 / (2 * GAMMA * scale**2), np.sqrt(entropy / 2)]
    return listed(inequality("row", [1.0, 2.0, 3.0], low, high, note=f"W₂², KL and TV after n = {n}"))


def _variation(p: Normal, q: Normal) -> float:
    """Total variation of the first coordinates, at most that of the laws."""
    x = np.linspace(-12, 12, 4801)
    first = [np.exp(Normal(law.mean[:1], law.cov[:1, :1]).log_density(x)) for law in (p, q)]
    return float(0.5 * np.sum(np.abs(first[0] - first[1])) * (x[1] - x[0]))


def way_back(g: Gaussians, growth: float = 1.0) -> Rows:
    """Proposition 5.4: inverse maps of exact steps, each moved by ε_inv along the axis that they stretch most."""
    q, laws = g.pair.source, [g.pair.law(g.start)]
    for _ in range(10):
        laws.append(jko(q, laws[-1], GAMMA))
    maps = [_linear(after, before) for before, after in pairwise(laws)]
    K = growth * max(0.0, *(np.log(np.linalg.norm(A, 2)) for A in maps)) / GAMMA
    rows, error = [], 0.01
    for N in range(1, 11):
        moved = np.zeros(q.dim)
        for A in reversed(maps[:N]):  # ε_inv along what the next maps stretch: it adds up
            moved = A @ moved
            moved = moved + error * (moved / np.linalg.norm(moved) if moved.any() else np.linalg.svd(A)[2][0])
        rows.append((float(np.linalg.norm(moved)), error * float(np.sum(np.exp(GAMMA * K * np.arange(1, N + 1))))))
    low, high = np.array(rows).T
    return inequality("N", np.arange(1.0, 11), low, high, names=("W₂(q̃₀, q₀)", "bound"))


def _linear(p: Normal, q: Normal) -> Array:
    """The linear part of the optimal map from p to q."""
    value, axes = np.linalg.eigh(p.cov)
    root, back = (axes * value**0.5) @ axes.T, (axes * value**-0.5) @ axes.T
    inner, turned = np.linalg.eigh(root @ q.cov @ root)
    return back @ (turned * inner**0.5) @ turned.T @ back


def smoothing(g: Gaussians) -> Rows:
    """Lemma C.1 for P = e^{−f}, e^{−g} and ρ₀, δ = 0.01 … 1."""
    deltas, one, rows = (0.01, 0.1, 1.0), Normal(np.zeros(3), np.eye(3)), []
    for law in (g.pair.source, g.pair.target, g.pair.law(g.start)):
        second = float(law.mean @ law.mean + np.trace(law.cov))
        for delta in deltas:
            square = fokker_planck(one, law, delta).wasserstein(law) ** 2
            rows.append((square, (1 - np.exp(-delta)) ** 2 * second + (1 - np.exp(-2 * delta)) * 3))
    low, high = np.array(rows).T
    return listed(inequality("row", np.arange(1.0, low.size + 1), low, high, names=("W₂²(ρ_δ, P)", "bound")))


def exact() -> Rows:
    """Normal distributions that differ in the mean only."""
    rows = {}
    for s in (0.5, 2.0):
        q, p = Normal([0.3], [[s]]), Normal([2.0], [[s]])
        after, later = jko(q, p, GAMMA, 8), jko(q, p, GAMMA, 9)
        rows[f"s = {s:g}"] = (float((later.mean - q.mean)[0] / (after.mean - q.mean)[0]), 1 / (1 + GAMMA / s))
    return against(rows, source="(1 + γ/s)⁻¹")


@cache
def run(case: Case) -> Trajectory:
    """JKO on the grid, eight steps."""
    return evolve(JKO(case.problem, H), H * np.arange(1.0, 9), initial=case.initial)


@cache
def densities(case: Case) -> tuple[Array, ...]:
    """log ρ₀, …, log ρ₈."""
    return (linearised(case, case.initial).log_density, *run(case).fields["log_density"])


@cache
def squares(case: Case, name: str) -> Array:
    """W₂²(ρ_n, π), n = 0, …, 8."""
    grid, pi = case.problem.domain, OTHERS[name](case)
    return np.array([transport(Problem(grid, -rho, pi), tolerance=1e-13).w2_squared for rho in densities(case)])


def entropies(case: Case) -> Array:
    """KL(ρ_n | e^{−f}), n = 0, …, 8."""
    grid, f = case.problem.domain, case.problem.f
    return np.array([grid.integral(np.exp(rho) * (rho + f)) for rho in densities(case)])


def on_grid(case: Case, name: str, factor: float = 1.0) -> Rows:
    """The inequality of exact steps with λ = inf D²f; ``factor`` is for a mutation."""
    grid, f, pi = case.problem.domain, case.problem.f, OTHERS[name](case)
    scale = factor * float(np.min(np.linalg.eigvalsh(_hessian(case))))
    kl, square = entropies(case), squares(case, name)
    low = (1 + H * scale) * square[1:] + 2 * H * (kl[1:] - grid.integral(np.exp(-pi) * (f - pi)))
    return inequality("n", np.arange(1.0, 9), low, square[:-1], scale=square.max())


def _hessian(case: Case) -> Array:
    """D²f at the nodes, (*shape, dim, dim)."""
    grid, packed_rows = case.problem.domain, jet_of(Fourier().on(case.problem.domain), case.problem.f).D2
    out = np.empty((*grid.shape, grid.dim, grid.dim))
    for row, (i, j) in zip(packed_rows, packed(grid.dim), strict=True):
        out[..., i, j] = out[..., j, i] = row
    return out


def falls(case: Case) -> Rows:
    """KL(ρ_{n+1}) + W₂²(ρ_{n+1}, ρ_n)/2γ ≤ KL(ρ_n)."""
    kl = entropies(case)
    moved = run(case).records["distance"] ** 2 / (2 * H)
    return inequality("n", np.arange(1.0, 9), kl[1:] + moved, kl[:-1], scale=kl[0])


def contraction(case: Case, factor: float = 1.0) -> Rows:
    """Late: log(ρ_n/e^{−f}) projected on the eigenfunction that it has most of."""
    values, functions = spectrum(case, identity=True)
    count = round(LONG / H)
    late = evolve(JKO(case.problem, H), [count * H, (count + 1) * H], initial=case.initial).fields["log_density"]
    first, second = (np.array([case.problem.mu.integral(w * (h + case.problem.f)) for w in functions]) for h in late)
    largest = int(np.argmax(np.abs(first)))
    rows = {"ratio": (float(second[largest] / first[largest]), 1 / (1 + factor * H * values[largest]))}
    return against(rows, source="(1 + γλ₁)⁻¹")


def towards(case: Case) -> Study:
    """sup |log ρ_n − log FP| at t = 1/64."""
    exact_law = evolve(FokkerPlanck(case.problem, rtol=1e-11), [1 / 64], initial=case.initial).fields["log_density"][0]

    def at(step: float) -> Mapping[str, float]:
        found = evolve(JKO(case.problem, step), [1 / 64], initial=case.initial).fields["log_density"][0]
        return {"log-density": case.problem.domain.sup(found - exact_law)}

    return Study.over("γ", powers(8, 11), at)
