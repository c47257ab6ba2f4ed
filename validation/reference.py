"""Claim: which reference N(b, Θ) makes the mirror flow fast: its rate, Sinkhorn's contraction, the divergence at the start."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.optimize import minimize

from pmasolve.gaussian import ClosedForm, Normal, Pair
from pmasolve.machine.arrays import Array

from .claims import AtMost, Check, Claim, Level
from .evidence import Rows, against, inequality
from .gaussians import Gaussians

CLAIM = Claim(
    name="reference",
    title="The choice of the reference",
    statement="target N(a, Σ), reference N(b, Θ), mᵢ² the eigenvalues of ΣΘ: KL(ρ_t | e^{−f}) falls like e^{−2t/max m}, one "
    "Sinkhorn iteration contracts by (max m·N − ε/2)/(max m·N + ε/2), N = (1 + ε²/4m²)^½; b changes neither;  Θ → c²Θ multiplies "
    "m and B_G by c, and so only changes the clock;  of given det Θ the rate is greatest for Θ = cΣ⁻¹, where all mᵢ are equal and "
    "1/m = (det ΣΘ)^{−1/2d};  KL ≤ B_G(e^{−f} | ρ₀)/t for every Θ",
    source="rates: arXiv 2307.16421, example 3, in general position; the best reference was derived for this package",
    expected="the rates of the closed form; no Θ of the same determinant is faster than Σ⁻¹, and a search finds it",
    tolerance="exponents to 1e-6; scaling to 1e-10; no violation; optimum to 1e-6",
    problem="d = 3, seed 31; Θ = QDQᵀ random with the determinant of the pair's, seeds 71 (200 of them); ρ₀ fixed, ε = 0.1",
    mutations="Σ in place of Σ⁻¹ as the best reference; the rate 1/min m; the bound with B_G/(10t)",
)
RATE, SCALED, HOLDS, BEST = (
    {"difference": AtMost(1e-6)},
    {"difference": AtMost(1e-10)},
    {"violation": AtMost(1e-12)},
    {"difference": AtMost(1e-6)},
)
COUNT, EPS = {Level.QUICK: 40, Level.FULL: 200}, 0.1


def study(level: Level) -> Iterator[Check]:
    """Rates, scaling, the optimum and the bound, then what is broken."""
    g = Gaussians.random(3, 31)
    goal, start = g.pair.source, g.pair.law(g.start)
    thetas = family(goal, float(np.linalg.det(g.pair.target.cov)), COUNT[level])
    gapped = [theta for theta in thetas if scale(goal, theta)[-2] < 0.75 * scale(goal, theta)[-1]][:6]
    yield Check("rates", rates(goal, start, gapped), RATE)
    yield Check("c²Θ", scaling(goal, start, g.pair.target.cov), SCALED)
    yield Check("no reference is faster than Σ⁻¹", faster(goal, thetas), HOLDS)
    yield Check("a search finds Σ⁻¹", found(goal, g.pair.target.cov), BEST)
    yield Check("KL ≤ B_G/t", bound(goal, start, thetas[:6]), HOLDS)
    yield Check("Σ", faster(goal, thetas, best=goal.cov), HOLDS, "Σ in place of Σ⁻¹ as the best reference")
    yield Check("rates", rates(goal, start, gapped, slowest=False), RATE, "the rate 1/min m")
    yield Check("B_G", bound(goal, start, thetas[:6], part=0.1), HOLDS, "the bound with B_G/(10t)")


def family(goal: Normal, determinant: float, count: int) -> list[Array]:
    """Θ with random axes and eigenvalues in [¼, 4] before they are given the determinant."""
    rng, out = np.random.default_rng(71), []
    for _ in range(count):
        axes, _ = np.linalg.qr(rng.standard_normal((goal.dim, goal.dim)))
        values = np.exp(rng.uniform(-np.log(4), np.log(4), goal.dim))
        out.append(normalised(axes @ np.diag(values) @ axes.T, determinant))
    return out


def normalised(M: Array, determinant: float) -> Array:
    """M with this determinant, symmetric."""
    M = M * (determinant / np.linalg.det(M)) ** (1 / len(M))
    return 0.5 * (M + M.T)


def pair(goal: Normal, theta: Array, b: float = 0.0) -> Pair:
    """Goal and reference N(b·1, Θ)."""
    return Pair(goal, Normal(np.full(goal.dim, b), theta))


def scale(goal: Normal, theta: Array) -> Array:
    """m in ascending order, in double precision."""
    return np.sqrt(np.sort(np.linalg.eigvals(goal.cov @ theta).real))


def rates(goal: Normal, start: Normal, thetas: list[Array], slowest: bool = True) -> Rows:
    """Late exponents of KL and of Sinkhorn's mean against m; the same with another b."""
    rows = {}
    for i, theta in enumerate(thetas):
        m = scale(goal, theta)[-1 if slowest else 0]
        for b in (0.0, 2.0):
            here = pair(goal, theta, b)
            flow = ClosedForm(here, here.potential(start))
            t = 40.0 * scale(goal, theta)[-1]
            kl = [flow.law(s).kl(goal) for s in (t, 1.1 * t)]
            rows[f"Θ{i + 1}, b = {b:g}, KL"] = (float(np.log(kl[0] / kl[1]) / (0.1 * t)), 2 / m)
        level = m * np.sqrt(1 + EPS**2 / (4 * m**2))
        rows[f"Θ{i + 1}, contraction"] = (
            float(pair(goal, theta).contraction(EPS).max()),
            float((level - EPS / 2) / (level + EPS / 2)),
        )
    return against(rows, source="the eigenvalues of ΣΘ")


def scaling(goal: Normal, start: Normal, theta: Array) -> Rows:
    """c = 3: B_G, rates and the law at 3t."""
    once, thrice = pair(goal, theta), pair(goal, 9 * theta)
    first, second = (here.potential(start) for here in (once, thrice))
    laws = ClosedForm(once, first).law(0.7), ClosedForm(thrice, second).law(2.1)
    rows = {
        "B_G": (thrice.bregman(goal, second), 3 * once.bregman(goal, first)),
        "rate": (float(thrice.rates.min()), float(once.rates.min()) / 3),
        "W₂ of the laws at t and 3t": (laws[0].wasserstein(laws[1]), 0.0),
    }
    return against(rows, source="Θ with c = 1")


def faster(goal: Normal, thetas: list[Array], best: Array | None = None) -> Rows:
    """1/max m of random references against that of the best one of the same determinant."""
    determinant = float(np.linalg.det(thetas[0]))
    top = normalised(np.linalg.inv(goal.cov) if best is None else best, determinant)
    rate = [1 / scale(goal, theta)[-1] for theta in thetas]
    names = ("1/max m", "of the best")
    return inequality("Θ", np.arange(1.0, len(rate) + 1), rate, 1 / scale(goal, top)[-1], names=names)


def found(goal: Normal, theta: Array) -> Rows:
    """The greatest rate of this determinant by search: log ∑ m^{2p} is smooth, convex along geodesics, and least where max m is."""
    d, determinant = goal.dim, float(np.linalg.det(theta))
    lower = np.tril_indices(d)

    def reference(x: Array) -> Array:
        L = np.zeros((d, d))
        L[lower] = x
        return normalised(L @ L.T + 1e-12 * np.eye(d), determinant)

    def cost(x: Array) -> float:
        return float(np.log(np.sum(scale(goal, reference(x)) ** 4)))

    best = minimize(cost, np.linalg.cholesky(theta)[lower], method="BFGS", options={"gtol": 1e-9}).x
    away = reference(best) - normalised(np.linalg.inv(goal.cov), determinant)
    rate = float(1 / scale(goal, reference(best))[-1])
    rows = {
        "Θ − cΣ⁻¹": (float(np.abs(away).max()), 0.0),
        "rate": (rate, float(np.linalg.det(goal.cov @ theta) ** (-1 / (2 * d)))),
    }
    return against(rows, source="Θ = cΣ⁻¹")


def bound(goal: Normal, start: Normal, thetas: list[Array], part: float = 1.0) -> Rows:
    """KL(ρ_t | e^{−f}) ≤ B_G/t at t = 0.2 max m … 5 max m; ``part`` is for the mutation."""
    low, high = [], []
    for theta in thetas:
        here = pair(goal, theta)
        phi = here.potential(start)
        flow, first = ClosedForm(here, phi), here.bregman(goal, phi)
        for t in scale(goal, theta)[-1] * np.array([0.05, 0.2, 1.0, 5.0]):
            low.append(flow.law(t).kl(goal))
            high.append(part * first / t)
    return inequality("row", np.arange(1.0, len(low) + 1), low, high, names=("KL", "B_G/t"))
