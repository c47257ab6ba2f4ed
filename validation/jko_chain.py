"""Claim: the JKO scheme learned block by block: held-out KL, inverses, Appendix D, and the guarantees with errors in shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
from scipy.special import logsumexp, ndtr, ndtri

from pmasolve import (
    JKO,
    Box,
    ConstantSteps,
    ConvexBlocks,
    Guarantees,
    JKOSampler,
    Posterior,
    Problem,
    SampleProblem,
    Trajectory,
    as_chain,
    evolve,
    transport,
)
from pmasolve.calculus.operators import Fourier
from pmasolve.flows.jko import JKOState
from pmasolve.machine.arrays import Array
from pmasolve.samples.jko.blocks import GradientBlock
from pmasolve.samples.jko.chain import ChainSampler
from pmasolve.samples.jko.cones import Cone, Programme
from pmasolve.samples.jko.flow import CarriedPoints
from pmasolve.samples.jko.gradients import estimated_gradient, exact_gradient, mean_square
from pmasolve.samples.jko.guarantees import way_back
from pmasolve.samples.samplers.reference import Reference

from .claims import AtMost, Check, Claim, Level
from .evidence import Rows, inequality

CLAIM = Claim(
    name="jko-chain",
    title="The JKO scheme learned block by block: held-out points, inverses, Appendix D, guarantees",
    statement="blocks T_k = ∇ψ_k by convex programmes, D²ψ_k ⪰ δI:  KL(p_k|q) of held-out points never rises, that of fresh ones "
    "not by more than two standard errors;  sup|T(T⁻¹(y)) − y| ≤ 1e-8;  for N((3, 3), I), γ = ½, the estimate of ‖∂F‖² falls from "
    "18 to that of the exact step, the exact norm further;  with ε = ‖∂F(p_{n+1})‖ as it is, errors in shape: "
    "(1+γλ/2)W₂²(p_{n+1}, π) + 2γ(G(p_{n+1}) − G(π)) ≤ W₂²(p_n, π) + (2γ/λ)ε², W₂²(p_n, q) ≤ (1+γλ/2)^{−n}W₂²(p₀, q) + 4ε²/λ², "
    "KL ≤ (5/λ² + 2γ/λ)ε²/2γ, W₂ after inverses with errors ≤ ∑_k e_k ∏_{j<k} sup|DT_j⁻¹|;  on a "
    "grid, f λ-convex, steps spoilt by a wave: both again",
    source="Cheng, Lu, Tan, Xie, arXiv 2310.17582: Appendix D, lemma on the inequality, theorem 4.3, corollary 5.2, proposition "
    "5.4; the programme, the stop rule and the bound by certified stretches were made for this package",
    expected="all inequalities; the mean of estimates within three standard errors of the exact steps' and the exact "
    "norm; that below a tenth of it",
    tolerance="violation ≤ 0, on the line and the grid ≤ 1e-9 of the first W₂²; 1e-8",
    problem="plane: two normals, n = 1500, seed 81, fresh ones 82; Appendix D: 5000 points, seed 83, quadratic functions and 20 "
    "ridges, 10 estimates from 1000 points against those of 10 exact steps, at full level 12 from 2000; line: 0.4 N(−1.5, 0.25) + "
    "0.6 N(1.5, 0.64), 2000 quantiles, W₂ by quantiles; grid: f = (x−½)²/2 on the unit interval, γ = 0.05, twelve "
    "steps, wave 0.04 cos 3πx",
    mutations="a weight of the last block lowered until D²ψ has no sign; a hundred ridges on 150 points without the stop rule; the "
    "norm as mean |ξ∘ξ|; the inequality without its term in ε; the inequality without its term in ε, on the grid; "
    "inverses that do not amplify",
)
NEVER, LINE, CLOSE = {"violation": AtMost(0)}, {"violation": AtMost(1e-9)}, {"violation": AtMost(0)}
GAMMA, STEP = 0.5, 0.05
Q = Reference.of(None, 1)


def study(level: Level) -> Iterator[Check]:
    """Plane, Appendix D, line, grid, then what is broken."""
    yield Check("plane, held-out points", held_out(), NEVER)
    yield Check("plane, fresh points", fresh(plane()), NEVER)
    yield Check("plane, inverse at 10⁴ fresh points", inverted(as_chain(plane())), CLOSE)
    points, draws = (1000, 10) if level is Level.QUICK else (2000, 12)
    for name, rows in appendix_d(points, draws).items():
        yield Check(f"Appendix D, {name}", rows, NEVER)
    for name in others():
        yield Check(f"line, inequality, {name}", variational(name), LINE)
    yield Check("line, theorem 4.3", theorem(), LINE)
    yield Check("line, corollary 5.2", entropy(), LINE)
    yield Check("line, the way back", back(), LINE)
    yield Check("grid, inequality", on_grid(), LINE)
    yield Check("grid, theorem 4.3", grid_theorem(), LINE)
    yield from broken()


def broken() -> Iterator[Check]:
    """What must fail."""
    chain = as_chain(plane())
    yield Check(
        "plane", inverted(spoilt(chain), 500), CLOSE, "a weight of the last block lowered until D²ψ has no sign"
    )
    yield Check("plane", fresh(overfitted()), NEVER, "a hundred ridges on 150 points without the stop rule")
    rows = appendix_d(1000, 10, entries=True)["the estimate"]
    yield Check("Appendix D", rows, NEVER, "the norm as mean |ξ∘ξ|")
    yield Check("line", variational("π = q", error=0.0), LINE, "the inequality without its term in ε")
    yield Check("grid", on_grid(error=0.0), LINE, "the inequality without its term in ε, on the grid")
    yield Check("line", back(growth=0.0), LINE, "inverses that do not amplify")


def two(n: int, seed: int) -> Array:
    """½N((−1.5, 0), ·) + ½N((1.5, 0.5), ·)."""
    rng = np.random.default_rng(seed)
    side = rng.random((n, 1)) < 0.5
    return rng.standard_normal((n, 2)) * [0.5, 1.0] + np.where(side, [[-1.5, 0.0]], [[1.5, 0.5]])


@cache
def plane() -> Trajectory:
    """A run up to its stop rule."""
    flow = JKOSampler(SampleProblem(two(1500, 81)), ConvexBlocks(30), ConstantSteps(1.0))
    return evolve(flow, flow.times(8)[-1:], throw=False, progress=False)


def overfitted() -> Trajectory:
    """Four blocks of many numbers on few points; what is held out lies beside the fitted ones, so that nothing stops it."""
    x = two(150, 81)
    beside = x + 1e-9 * np.random.default_rng(85).standard_normal(x.shape)
    flow = JKOSampler(SampleProblem(np.concatenate([x, beside]), held_out=0.2), ConvexBlocks(100, (4.0, 8.0)))
    return evolve(flow, flow.times(4)[-1:], throw=False, progress=False)


def held_out() -> Rows:
    """Each block beside the one before."""
    kl = plane().records["held_out"][: len(as_chain(plane()).blocks)]
    return inequality("block", np.arange(2.0, kl.size + 1), kl[1:], kl[:-1], names=("KL + H", "before"))


def fresh(run: Trajectory) -> Rows:
    """Paired differences of the log-likelihood of 4000 fresh points, less two standard errors."""
    x, nu, rises, total = two(4000, 82), Reference.of(None, 2), [], 0.0
    before = -nu.log_density(x)
    for block in as_chain(run).blocks:
        side = CarriedPoints(x, np.zeros(len(x))).by(block)
        x, total = side.x, total + side.logs
        after = -nu.log_density(x) - total
        rises.append(np.mean(after - before) - 2 * np.std(after - before) / np.sqrt(len(x)))
        before = after
    return inequality("block", np.arange(1.0, len(rises) + 1), rises, 0.0, names=("rise − 2 s.e.", "0"))


def inverted(chain: ChainSampler, count: int = 10_000) -> Rows:
    """sup|T(T⁻¹(y)) − y|, at most 1000."""
    error = chain.inversion_error(np.random.default_rng(84).standard_normal((count, 2)))
    return inequality("row", [1.0], [min(error, 1e3)], 1e-8, names=("error", "bound"))


def spoilt(chain: ChainSampler) -> ChainSampler:
    """A ridge of the last block outweighs its squares."""
    last = chain.blocks[-1]
    assert isinstance(last, GradientBlock)
    w = last.psi.w.copy()
    w[-1] -= 3.0
    worse = GradientBlock(replace(last.psi, w=w))
    return replace(chain, blocks=(*chain.blocks[:-1], worse))


@cache
def _block(n: int, draws: int) -> tuple[list[Array], list[Array], tuple[Array, Array], Array]:
    """From N((3, 3), I), estimated gradients: of exact steps, of the solution, of the start with the exact one; the solution's."""
    rng, nu = np.random.default_rng(83), Reference.of(None, 2)
    x = rng.standard_normal((5000, 2)) + 3
    cone = Cone.around(x, 20, (0.5, 1.0), 0.02, rng)
    found = Programme(cone, x, nu, GAMMA).solve(cone.identity)

    def estimated(after: Array) -> Array:
        return estimated_gradient(after, rng.standard_normal((n, 2)) + 3, nu, GAMMA)

    def carried(theta: Array) -> tuple[Array, Array]:
        """Estimated and exact at fresh points."""
        start = rng.standard_normal((n, 2)) + 3
        side = CarriedPoints(start, np.zeros(n), 3 - start).by(GradientBlock(cone.potential(theta)))
        return estimated(side.x), exact_gradient(start, side.x, np.asarray(side.score), nu, GAMMA)

    steps = [estimated(rng.standard_normal((n, 2)) + 2) for _ in range(draws)]
    ends = [carried(found.path[-1]) for _ in range(draws)]
    return steps, [end[0] for end in ends], carried(found.path[0]), ends[-1][1]


def appendix_d(n: int, draws: int, *, entries: bool = False) -> dict[str, Rows]:
    """Estimates are the exact norm and a noise that exact steps show too; ``entries``: the norm of a public code, mean |ξ∘ξ|."""
    steps, ends, (first, exact_first), exact_end = _block(n, draws)
    size = (lambda g: float(np.mean(np.linalg.norm(g**2, axis=1)))) if entries else mean_square
    noise, found = (np.array([norm(g) for g in gradients]) for norm, gradients in ((mean_square, steps), (size, ends)))
    error = float(np.hypot(noise.std(ddof=1), found.std(ddof=1))) / np.sqrt(draws)
    begun, ended = mean_square(exact_first), mean_square(exact_end)
    note = (
        f"estimates {size(first):.2f}, {found.mean():.3f}; exact steps {noise.mean():.3f}; standard error {error:.3f}"
    )
    note += f"; exact norms {begun:.2f}, {ended:.4f}"
    low, high = [abs(found.mean() - noise.mean() - ended), abs(size(first) - 18.0)], [3 * error, 2.0]
    return {
        "the estimate": inequality("row", [1.0, 2.0], low, high, names=("distance", "allowed"), note=note),
        "the exact norm": inequality(
            "row", [1.0, 2.0], [ended, abs(begun - 18.0)], [0.1 * noise.mean(), 2.0], note=note
        ),
    }


# --- The line: everything by quantiles, T⁻¹ the optimal map --------------------------------------------------------------

WEIGHTS, MEANS, DEVIATIONS = np.array([0.4, 0.6]), np.array([-1.5, 1.5]), np.array([0.5, 0.8])
COUNT = 2000


def _logs(x: Array) -> Array:
    z = (x - MEANS) / DEVIATIONS
    return np.log(WEIGHTS / DEVIATIONS) - 0.5 * z**2 - 0.5 * np.log(2 * np.pi)


def _slope(x: Array) -> Array:
    logs = _logs(x)
    shares = np.exp(logs - logsumexp(logs, axis=1, keepdims=True))
    return np.sum(shares * (x - MEANS) / DEVIATIONS**2, axis=1, keepdims=True)


@cache
def quantiles() -> Array:
    """Of the law, at equal levels, (n, 1)."""
    x = np.linspace(-8, 8, 400_001)
    levels = ndtr((x[:, None] - MEANS) / DEVIATIONS) @ WEIGHTS
    return np.interp((np.arange(COUNT) + 0.5) / COUNT, levels, x)[:, None]


@cache
def line() -> tuple[tuple[Array, ...], Array, Array]:
    """Quantiles of p_0, …, p_N, ε of every step, and KL(p_n|q), n = 1, …, N."""
    law = Posterior(lambda x: -logsumexp(_logs(x), axis=1), _slope, 1)
    x = quantiles()[np.random.default_rng(85).permutation(COUNT)]
    flow = JKOSampler(SampleProblem(x), ConvexBlocks(12, (1.0, 2.0)), ConstantSteps(GAMMA), density=law)
    chain = as_chain(evolve(flow, flow.times(10)[-1:], throw=False, progress=False))
    side = CarriedPoints(quantiles(), np.zeros(COUNT), -law.grad_f(quantiles()))
    at, errors, entropies = [side.x], [], []
    for block in chain.blocks:
        after = side.by(block)
        assert after.score is not None
        errors.append(np.sqrt(mean_square(exact_gradient(side.x, after.x, after.score, Q, GAMMA))))
        entropies.append(-np.mean(law.f(quantiles()) + after.logs + Q.log_density(after.x)))
        at.append(after.x)
        side = after
    return tuple(at), np.array(errors), np.array(entropies)


def others() -> dict[str, tuple[Array, float]]:
    """Quantiles of π, and KL(π|q)."""
    z = ndtri((np.arange(COUNT) + 0.5) / COUNT)[:, None]
    return {
        "π = q": (z, 0.0),
        "π = N(1, ¼)": (1 + 0.5 * z, 0.5 * (0.25 + 1 - 1 - np.log(0.25))),
    }


def _square(x: Array, y: Array) -> float:
    """W₂² by quantiles."""
    return float(np.mean((x - y) ** 2))


def variational(name: str, error: float = 1.0) -> Rows:
    """Every step with its own ε; ``error`` = 0 is a mutation."""
    (at, errors, entropies), (z, own) = line(), others()[name]
    bounds = [Guarantees(GAMMA, 1.0, error * float(e)) for e in errors]
    low = [b.left_hand(_square(x, z), kl - own) for b, x, kl in zip(bounds, at[1:], entropies, strict=True)]
    high = [b.right_hand(_square(x, z)) for b, x in zip(bounds, at[:-1], strict=True)]
    return inequality("n", np.arange(1.0, len(low) + 1), low, high, scale=_square(at[0], z))


def theorem() -> Rows:
    """W₂²(p_n, q) with the largest ε so far."""
    at, errors, _ = line()
    z, worst = others()["π = q"][0], np.maximum.accumulate(errors)
    start = _square(at[0], z)
    high = [Guarantees(GAMMA, 1.0, float(e)).w2_squared(n + 1, start) for n, e in enumerate(worst)]
    low = [_square(x, z) for x in at[1:]]
    return inequality("n", np.arange(1.0, len(low) + 1), low, high, scale=start, names=("W₂²", "bound"))


def entropy() -> Rows:
    """KL of the last law: its bound is promised after so many steps, and holds here before."""
    at, errors, entropies = line()
    bounds = Guarantees(GAMMA, 1.0, float(errors.max()))
    note = f"promised after {bounds.enough(np.sqrt(_square(at[0], others()['π = q'][0])))} of {len(errors)} steps"
    return inequality("row", [1.0], [entropies[-1]], [bounds.kl], names=("KL", "bound"), note=note)


def back(growth: float = 1.0) -> Rows:
    """Inverses of the plane's blocks, each moved by 1e-3 to where the next ones stretch; a coupling bounds W₂."""
    blocks, y = as_chain(plane()).blocks, np.random.default_rng(86).standard_normal((400, 2))
    moved, exact, met = y, y, []
    for block in reversed(blocks):
        moved, exact = block.preimage(moved), block.preimage(exact)
        values, axes = np.linalg.eigh(block.jacobian(moved))
        met.append(float(values[:, 0].min()))
        along = np.sum(axes[:, :, 0] * (moved - exact), axis=1)
        moved = moved + np.where(along < 0, -1e-3, 1e-3)[:, None] * axes[:, :, 0]
    distance = float(np.sqrt(np.mean(np.sum((moved - exact) ** 2, axis=1))))
    errors = np.full(len(blocks), 1e-3)
    bounds = [way_back(errors, growth / np.array(s)) for s in (met[::-1], [block.stretch for block in blocks])]
    note = "with the least stretch at the points that are met, and with the certified one"
    return inequality("row", [1.0, 2.0], distance, bounds, names=("W₂", "bound"), note=note)


# --- A grid: exact steps, each spoilt by a wave ---------------------------------------------------------------------------


@cache
def spoilt_steps() -> tuple[Problem, tuple[Array, ...], Array]:
    """log p_0, …, log p_12 on the unit interval, and ε of every step."""
    box = Box((96,))
    problem = Problem(box, lambda x: 0.5 * (x - 0.5) ** 2, lambda y: 0 * y)
    flow, x, f = JKO(problem, STEP), box.points[0], problem.f
    logs, errors = [_normalised(box, -f + 0.8 * np.cos(np.pi * x))], []
    for _ in range(12):
        exact = flow.advance(JKOState(0, 0.0, logs[-1], None), 2 * STEP).log_density
        logs.append(_normalised(box, exact + 0.04 * np.cos(3 * np.pi * x)))
        back = transport(Problem(box, -logs[-1], -logs[-2]), tolerance=1e-12, progress=False)
        # ∇(f + log p) without differentiating f, which has a kink at the walls: the exact step has it from its own equation
        free = Fourier().on(box).gradient(logs[-1] + f) - (back.map - box.points) / STEP
        errors.append(np.sqrt(box.integral(np.exp(logs[-1]) * free[0] ** 2)))
    return problem, tuple(logs), np.array(errors)


def _normalised(box: Box, logs: Array) -> Array:
    return logs - np.log(box.integral(np.exp(logs)))


@cache
def _grid() -> tuple[Array, Array]:
    """W₂²(p_n, q) and KL(p_n|q), n = 0, …, 12."""
    problem, logs, _ = spoilt_steps()
    box, f = problem.domain, problem.f
    squares = [transport(Problem(box, -rho, f), tolerance=1e-12, progress=False).w2_squared for rho in logs]
    return np.array(squares), np.array([box.integral(np.exp(rho) * (rho + f)) for rho in logs])


def on_grid(error: float = 1.0) -> Rows:
    """The inequality for π = q with λ = 1."""
    (squares, kl), errors = _grid(), spoilt_steps()[2]
    bounds = [Guarantees(STEP, 1.0, error * float(e)) for e in errors]
    low = [b.left_hand(w, entropy) for b, w, entropy in zip(bounds, squares[1:], kl[1:], strict=True)]
    high = [b.right_hand(w) for b, w in zip(bounds, squares[:-1], strict=True)]
    return inequality("n", np.arange(1.0, 13), low, high, scale=squares[0])


def grid_theorem() -> Rows:
    """W₂²(p_n, q) with the largest ε so far."""
    squares, worst = _grid()[0], np.maximum.accumulate(spoilt_steps()[2])
    high = [Guarantees(STEP, 1.0, float(e)).w2_squared(n + 1, squares[0]) for n, e in enumerate(worst)]
    return inequality("n", np.arange(1.0, 13), squares[1:], high, scale=squares[0], names=("W₂²", "bound"))
