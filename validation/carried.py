"""Claim: particles that carry their own potential: the error in N, in ε and in dt, and the invariant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.integrate import solve_ivp

from pmasolve import SELF, Band, Study
from pmasolve.flows.langevin import QuadraticMirror, mirror_langevin
from pmasolve.gaussian import ClosedForm, Normal, Pair, Quadratic, negative_log
from pmasolve.machine.arrays import Array
from pmasolve.samples.interacting import InteractingParticles
from pmasolve.samples.particle_runs import ParticleRun

from .cases import powers
from .claims import AtMost, Check, Claim, Level
from .evidence import Rows, estimates

CLAIM = Claim(
    name="particles",
    title="Particles that carry their own potential",
    statement="N particles with an entropic potential φ̂ towards M = N samples of e^{−g}, A = f − g(∇φ̂) + log det D²φ̂:  dZ = "
    "−(D²φ̂)⁻¹∇A dt, or dZ = −(D²φ̂)⁻¹∇(f + log det D²φ̂) dt + (2(D²φ̂)⁻¹)^½ dB:  between normal distributions the law as N → ∞ is "
    "normal at every ε and dt, with D²φ̂ = c[A_ε(V, Θ/c²) − A_ε(V, V) + 1], c² = tr Θ/tr V, in the self gauge, cA_ε(V, Θ/c²) in the "
    "plain one, A_ε(V, Θ) = V^{−½}(V^½ΘV^½ + ε²/4)^½V^{−½} − (ε/2)V⁻¹; particles are N^{−½} from it, it is O(ε²) (d = 1: 0; plain: "
    "O(ε)) and O(dt) from PMA's; ∇φ̂(Z) ~ e^{−g} likewise;  mirror Langevin with a fixed mirror has "
    "V⁺ = (1 − hA⁻¹Σ⁻¹)V(1 − hΣ⁻¹A⁻¹) + 2hA⁻¹",
    source="diffusion: arXiv 2307.16421; mirror Langevin: Ahn, Chewi, arXiv 2010.16212; entropic potentials of normals: Janati, "
    "Muzellec, Peyré, Cuturi, arXiv 2006.02572; the particle system and its limit were derived for this package",
    expected="exponent −½ in N of the RMS of W₂ by moments; orders 2, 1 and 1 in ε (self, plain) and dt; mirror Langevin's moments",
    tolerance="exponent by least squares within 0.1 of −½ (quick level, with an eighth of the runs: 0.2); last two running orders "
    "within 0.1; mirror Langevin within bands of level 0.999",
    problem="d = 1: N(1, 1) and N(0, 2) from N(−½, ½); d = 2, non-commuting; t = ½, ε = 8, two steps; N = 50 … 400; seeds 61 to 65",
    mutations="10 samples of e^{−g} whatever N; ∇g left out of the deterministic flow; the plain gauge said to be of order 2; D²φ "
    "in place of its inverse in the limit's noise",
)
EXPONENT = {
    Level.QUICK: {"from −½": AtMost(0.2)},
    Level.FULL: {"from −½": AtMost(0.1)},
}  # of fewer runs the slope is less sure
HALF = 0.5
SECOND, FIRST, BANDS = {"W₂": Band(1.9, 2.1)}, {"W₂": Band(0.9, 1.1)}, {"band": AtMost(1.0)}
NONE = {"W₂": AtMost(1e-9)}
EPS, STEPS = 8.0, 2
SIZES = (50, 100, 200, 400)
RUNS = {Level.QUICK: {1: 32, 2: 20}, Level.FULL: {1: 256, 2: 128}}


@dataclass(frozen=True, eq=False)
class Normals:
    """Goal e^{−f}, reference e^{−g} and start ρ₀."""

    name: str
    goal: Normal
    reference: Normal
    start: Normal

    @property
    def exact(self) -> ClosedForm:
        """PMA from ρ₀."""
        pair = Pair(self.goal, self.reference)
        return ClosedForm(pair, pair.potential(self.start))


LINE = Normals("d = 1", Normal([1.0], [[1.0]]), Normal([0.0], [[2.0]]), Normal([-0.5], [[0.5]]))
PLANE = Normals(
    "d = 2",
    Normal([1.0, 0.5], [[1.0, 0.3], [0.3, 0.8]]),
    Normal([0.0, 0.0], [[1.5, -0.4], [-0.4, 1.0]]),
    Normal([-0.5, 0.0], [[0.6, 0.2], [0.2, 1.2]]),
)


def study(level: Level) -> Iterator[Check]:
    """Errors in N, ε and dt, then what is broken."""
    for g, seed in ((LINE, 61), (PLANE, 62)):
        runs = RUNS[level][g.goal.dim]
        for noisy, words in ((False, "deterministic"), (True, "noisy")):
            if level is Level.FULL or noisy is (g is PLANE):
                found = errors(g, runs, seed + 2 * noisy, noisy=noisy)
                yield Check(f"{g.name}, {words}", exponent(*found["law"]), EXPONENT[level])
                yield Check(f"{g.name}, {words}, ∇φ(Z)", exponent(*found["image"]), EXPONENT[level])
        for noisy in (False, True):
            words = "noisy" if noisy else "deterministic"
            yield Check(f"{g.name}, bias in ε, {words}", in_eps(g, noisy), SECOND if g is PLANE else NONE)
            yield Check(f"{g.name}, bias in ε, {words}, plain", in_eps(g, noisy, own=False), FIRST)
            yield Check(f"{g.name}, bias in dt, {words}", in_steps(g, noisy), FIRST)
        yield Check(f"{g.name}, bias of ∇φ(Z) in ε", of_image(g), SECOND if g is PLANE else NONE)
    yield Check("mirror Langevin, d = 2", langevin(PLANE), BANDS)
    yield from broken(RUNS[level][1], EXPONENT[level])


def broken(runs: int, demand: Mapping[str, AtMost]) -> Iterator[Check]:
    """What must fail."""
    few = errors(LINE, runs // 2, 61, noisy=False, samples=10)
    yield Check(LINE.name, exponent(*few["law"]), demand, "10 samples of e^{−g} whatever N")
    without = errors(LINE, runs // 4, 61, noisy=False, slope=False)
    yield Check(LINE.name, exponent(*without["law"]), demand, "∇g left out of the deterministic flow")
    yield Check(LINE.name, in_eps(LINE, True, own=False), SECOND, "the plain gauge said to be of order 2")
    yield Check(PLANE.name, langevin(PLANE, wrong=True), BANDS, "D²φ in place of its inverse in the limit's noise")


@dataclass(frozen=True, eq=False)
class Flat:
    """g with its values and without its slope, for a mutation."""

    g: Quadratic

    def __call__(self, x: Array) -> Array:
        """g itself."""
        return self.g(x)

    def gradient(self, x: Array) -> Array:
        """Nothing."""
        return np.zeros_like(x)


@cache
def errors(
    g: Normals, runs: int, seed: int, *, noisy: bool, samples: int | None = None, slope: bool = True
) -> Mapping[str, tuple[Array, Array]]:
    """N and the root mean square of W₂ by moments to the limit, of Z and of ∇φ(Z) at t = ½."""
    rng, squares = np.random.default_rng(seed), {"law": [], "image": []}
    law = limit_of_steps(g, EPS, STEPS, noisy)
    image = Normal(g.reference.mean, _congruent(hessian(law.cov, g.reference.cov, EPS), law.cov))
    for n in SIZES:
        here = {name: [] for name in squares}
        for _ in range(runs):
            run = once(g, n, samples or n, rng, noisy, slope)
            for name, points, expected in (("law", run.positions[-1], law), ("image", run.images[-1], image)):
                here[name].append(moments(points).wasserstein(expected) ** 2)
        for name, found in here.items():
            squares[name].append(np.mean(found))
    return {name: (np.array(SIZES, dtype=float), np.sqrt(found)) for name, found in squares.items()}


def once(g: Normals, n: int, m: int, rng: np.random.Generator, noisy: bool, slope: bool) -> ParticleRun:
    """n particles and m samples of e^{−g}, two steps to t = ½."""
    minus_log = negative_log(g.reference)
    target = g.reference.sample(m, rng)
    flow = InteractingParticles(
        negative_log(g.goal), target, EPS, g=minus_log if slope else Flat(minus_log), noisy=noisy, gauge=SELF
    )
    run = flow.run(g.start.sample(n, rng), np.linspace(0, HALF, STEPS + 1), rng)
    assert run.outcome.ok, run.outcome
    return run


def moments(z: Array) -> Normal:
    """The normal distribution with the particles' mean and covariance."""
    return Normal(z.mean(axis=0), np.cov(z.T).reshape(z.shape[1], -1))


def exponent(sizes: Array, error: Array) -> Rows:
    """The slope of log error against log N."""
    slope = float(np.polyfit(np.log(sizes), np.log(error), 1)[0])
    away = np.full(sizes.size, abs(slope + 0.5))
    line = float(np.exp(np.mean(np.log(error * sizes**0.5)))) * sizes**-0.5
    drawn = {"RMS of W₂": error, "C N^{−½}": line}
    return Rows("N", sizes, {"from −½": away}, {"RMS of W₂": error, "exponent": np.full(sizes.size, slope)}, drawn)


def _root(M: Array) -> Array:
    value, axes = np.linalg.eigh(M)
    return (axes * np.sqrt(value)) @ axes.T


def _congruent(J: Array, V: Array) -> Array:
    out = J @ V @ J.T
    return 0.5 * (out + out.T)


def entropic(V: Array, T: Array, eps: float) -> Array:
    """A_ε(V, Θ)."""
    R, one = _root(V), np.eye(len(V))
    back = np.linalg.inv(R)
    return back @ _root(_congruent(R, T) + 0.25 * eps**2 * one) @ back - 0.5 * eps * np.linalg.inv(V)


def hessian(V: Array, T: Array, eps: float, own: bool = True) -> Array:
    """D²φ̂ of infinitely many particles; the Brenier potential's for ε = 0."""
    ratio = np.trace(T) / np.trace(V)
    plain = entropic(V, T / ratio, eps)
    return np.sqrt(ratio) * (plain - (entropic(V, V, eps) - np.eye(len(V)) if own else 0.0))


def rates(g: Normals, V: Array, eps: float, noisy: bool, own: bool) -> tuple[Array, Array]:
    """M of the linear velocity, with the mean's −A⁻¹Σ⁻¹, and the noise 2A⁻¹."""
    A = hessian(V, g.reference.cov, eps, own)
    back = np.linalg.inv(A)
    M = -back @ np.linalg.inv(g.goal.cov)
    return (M, 2 * back) if noisy else (M + np.linalg.inv(g.reference.cov) @ A, np.zeros_like(A))


def limit_of_steps(g: Normals, eps: float, steps: int, noisy: bool, own: bool = True) -> Normal:
    """The law of infinitely many particles after Euler steps to t = ½."""
    m, V, dt, one = g.start.mean, g.start.cov, HALF / steps, np.eye(g.goal.dim)
    for _ in range(steps):
        M, noise = rates(g, V, eps, noisy, own)
        pull = -np.linalg.solve(hessian(V, g.reference.cov, eps, own), np.linalg.solve(g.goal.cov, m - g.goal.mean))
        m, V = m + dt * pull, _congruent(one + dt * M, V) + dt * noise
    return Normal(m, V)


def limit(g: Normals, eps: float, noisy: bool, own: bool = True) -> Normal:
    """The same in continuous time, by Dormand and Prince's method of order 8."""
    d = g.goal.dim

    def rate(_: float, y: Array) -> Array:
        m, V = y[:d], y[d:].reshape(d, d)
        M, noise = rates(g, V, eps, noisy, own)
        pull = -np.linalg.solve(hessian(V, g.reference.cov, eps, own), np.linalg.solve(g.goal.cov, m - g.goal.mean))
        return np.concatenate([pull, (M @ V + V @ M.T + noise).ravel()])

    y0 = np.concatenate([g.start.mean, g.start.cov.ravel()])
    y = solve_ivp(rate, (0, HALF), y0, method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    V = y[d:].reshape(d, d)
    return Normal(y[:d], 0.5 * (V + V.T))


def in_eps(g: Normals, noisy: bool, own: bool = True) -> Study:
    """W₂ from the limit at ε to PMA's law."""
    exact = g.exact.law(HALF)
    return Study.over("eps", powers(3, 7), lambda eps: {"W₂": limit(g, eps, noisy, own).wasserstein(exact)})


def in_steps(g: Normals, noisy: bool) -> Study:
    """W₂ from Euler's steps to continuous time, at ε = 8."""
    exact = limit(g, EPS, noisy)
    return Study.over(
        "dt", powers(4, 8), lambda dt: {"W₂": limit_of_steps(g, EPS, round(HALF / dt), noisy).wasserstein(exact)}
    )


def of_image(g: Normals) -> Study:
    """W₂ from ∇φ̂(Z), Z ~ ρ_t, to e^{−g}."""
    V = g.exact.law(HALF).cov

    def at(eps: float) -> Mapping[str, float]:
        pushed = Normal(g.reference.mean, _congruent(hessian(V, g.reference.cov, eps), V))
        return {"W₂": pushed.wasserstein(g.reference)}

    return Study.over("eps", powers(3, 7), at)


def langevin(g: Normals, wrong: bool = False) -> Rows:
    """Moments of 20 000 paths of Ahn's and Chewi's steps with the Brenier potential of goal and reference as mirror."""
    h, count, n, rng = 0.05, 10, 20_000, np.random.default_rng(65)
    phi = Pair(g.goal, g.reference).brenier()
    z = mirror_langevin(QuadraticMirror(phi), negative_log(g.goal).gradient, g.start.sample(n, rng), h, count, rng)
    m, V, back = g.start.mean, g.start.cov, np.linalg.inv(phi.hessian)
    J = np.eye(len(m)) - h * back @ np.linalg.inv(g.goal.cov)
    for _ in range(count):
        m, V = g.goal.mean + J @ (m - g.goal.mean), _congruent(J, V) + 2 * h * (phi.hessian if wrong else back)
    found, rows = np.cov(z.T), {}
    for i in range(len(m)):
        rows[f"mean {i + 1}"] = (float(z[:, i].mean()), float(np.sqrt(V[i, i] / n)), float(m[i]))
        for j in range(i + 1):
            error = float(np.sqrt((V[i, i] * V[j, j] + V[i, j] ** 2) / n))
            rows[f"covariance {i + 1}{j + 1}"] = (float(found[i, j]), error, float(V[i, j]))
    return estimates(rows, confidence=0.999, seeds=[65])
