"""Claim: the complexity in many dimensions, drawn: products, normal laws, invariances, Fisher information, bands."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.stats import norm, ortho_group

from pmasolve import denoising as dn
from pmasolve.machine.arrays import Array
from pmasolve.samples.denoising.tails import DrawnTail

from .claims import AtMost, Check, Claim, Level
from .evidence import Rows, against, inequality

CLAIM = Claim(
    name="denoising-dimensions",
    title="Denoising by transport: many dimensions, and Monte Carlo that says how sure it is",
    statement="L_r(y) = ‖Cov(rX | Y=y)‖;  product of two-point masses: s = 1 − (1 − s₁)²;  X ~ N(m, Σ): L ≡ r²λ/(1 + r²λ), λ the "
    "largest eigenvalue of Σ;  rotations and translations change nothing;  E tr Cov(rX | Y) = d − Fisher information of Y;  "
    "sup_u|s_n(u) − s(u)| ≤ ε_n with probability 0.95, ε_n Kolmogorov's quantile;  h(δ, r) is convex and grows with δ, with the "
    "slope s(1 − δ) ≤ 1, h(δ) ≥ (E L − 1 + δ)₊, and ζ*_M falls as M grows, to (1 + r²)(1 − sup L)",
    source="arXiv 2411.01629, definitions of section 4; Dvoretzky–Kiefer–Wolfowitz with Massart's constant, exact at finite n",
    expected="closed forms; 0.32633 and 0.47326 for {±1}² at r = 1.5; coverage 95 %",
    tolerance="closed forms within 1e-10; bands of 40 000 draws; 95 ± 2 % of 400 repetitions; shapes without violation",
    problem="{±1}²; N(m, Σ) in d = 10, Σ full; 600 points in d = 6; a mixture in the plane; ±1 and ½δ₀ + ½N(0, 1)",
    mutations="the covariance not centred; bands of half the width",
)
EXACT, INSIDE, NEAR = {"difference": AtMost(1e-10)}, {"violation": AtMost(0)}, {"difference": AtMost(1e-5)}


def study(level: Level) -> Iterator[Check]:
    """Closed forms, bands, shapes, then what is broken."""
    yield Check("product of two-point masses", product(), INSIDE)
    yield Check("normal law, d = 10", normal(), EXACT)
    yield Check("rotation and translation", moved(), EXACT)
    yield Check("mean trace", fisher(), NEAR)
    yield Check("coverage", coverage(1.0), INSIDE)
    yield Check("shapes of s, h and ζ*", shapes(), {"violation": AtMost(1e-9)})
    yield Check("samples", samples(True), EXACT)
    yield Check("samples", samples(False), EXACT, "the covariance not centred")
    yield Check("coverage", coverage(0.5), INSIDE, "bands of half the width")


def product() -> Rows:
    """Drawn survival of {±1}² in its band about 1 − (1 − s₁)²."""
    square = np.array([[a, b] for a in (-1.0, 1.0) for b in (-1.0, 1.0)])
    one = dn.complexity(dn.two_points(), snr=[1.5]).survival([1.0, 0.5])[0]
    expected = 1 - (1 - one) ** 2
    found = dn.complexity(square, snr=[1.5], draws=40_000, seed=5)
    low, high = (end[0] for end in found.survival_band([1.0, 0.5]))
    return inequality(
        "bound", [1, 2, 3, 4], [*low, *expected], [*expected, *high], note="s(1), s(½): .32633, .47326; seed 5"
    )


def normal() -> Rows:
    """L of N(m, Σ) at random y."""
    rng = np.random.default_rng(0)
    root = rng.standard_normal((10, 10)) / 3
    law = dn.Mixture([1.0], rng.standard_normal((1, 10)), [root @ root.T])
    top, rows = np.linalg.eigvalsh(root @ root.T)[-1], {}
    for r in (0.3, 1.0, 4.0):
        L = law.curvature(r, 3 * rng.standard_normal((50, 10)))
        for name, value in (("least", L.min()), ("largest", L.max())):
            rows[f"r = {r:g}, {name}"] = (float(value), float(r**2 * top / (1 + r**2 * top)))
    return against(rows, source="r²λ/(1 + r²λ)")


def moved() -> Rows:
    """L of turned and shifted samples."""
    rng = np.random.default_rng(1)
    x, turn = rng.standard_normal((600, 6)), ortho_group.rvs(6, random_state=2)
    y = 1.2 * x[:5] + rng.standard_normal((5, 6))
    plain, other = dn.Points(x).curvature(1.2, y), dn.Points(x @ turn + 30).curvature(1.2, y @ turn + 36)
    return against(
        {f"y{i}": (float(a), float(b)) for i, (a, b) in enumerate(zip(other, plain, strict=True))}, source="x"
    )


def fisher() -> Rows:
    """E tr Cov by quadrature in the plane, the score by differences of log p."""
    law = dn.Mixture([0.4, 0.6], [[-1.5, 0.0], [1.5, 0.5]], [np.diag([0.3, 0.2]), np.array([[0.4, 0.1], [0.1, 0.2]])])
    axis, h, rows = np.linspace(-13.0, 13.0, 181), 1e-3, {}
    y = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    for r in (0.7, 1.4):
        here = law.posterior(r, y)
        mass = np.exp(here.log_density) * (axis[1] - axis[0]) ** 2
        ends = [[law.posterior(r, y + k * h * e).log_density for k in (1, -1)] for e in np.eye(2)]
        score = np.array([(up - down) / (2 * h) for up, down in ends])
        rows[f"r = {r:g}"] = (float(mass @ here.trace), float(2 - np.sum(mass * score**2)))
    return against(rows, source="d − Fisher information")


def coverage(width: float) -> Rows:
    """Share of 400 repetitions inside, between 0.93 and 0.97: closed forms of ±1 at r = 1.5."""
    r, n, inside = 1.5, 200, 0
    for seed in range(400):
        x = dn.two_points().draw(n, rng := np.random.default_rng(seed), stratified=False)
        tail = DrawnTail.of(dn.two_points().curvature(r, r * x + rng.standard_normal(x.shape)))
        half = np.arccosh(np.maximum(r / np.sqrt(tail.values), 1.0)) / r
        true = norm.cdf(half - r) - norm.cdf(-half - r)  # decreasing in the value
        place = np.arange(n)
        gap = np.max(np.maximum(np.abs(1 - place / n - true), np.abs(1 - (place + 1) / n - true)))
        inside += gap <= width * tail.half_width(0.95)
    share = inside / 400
    return inequality("bound", [1, 2], [0.93, share], [share, 0.97], note="seeds 0 to 399")


def shapes() -> Rows:
    """Differences of h over δ, and of ζ*_M over M, by their signs, for ±1 and the slab."""
    delta, slack = np.linspace(0.0, 1.0, 41), []
    for law in (dn.two_points(), dn.slab()):
        found = dn.complexity(law, snr=[0.8, 1.5, 4.0])
        h = found.integrated_tail(delta)
        slope = np.diff(h) / np.diff(delta)
        zeta = np.stack([found.effective_curvature(M) for M in (1.0, 1.5, 3.0, 10.0, np.inf)])
        worst = (1 + found.snr**2) * (1 - found.largest)
        slack += [np.min(slope), np.min(np.diff(slope, axis=1)), np.min(1 - slope), np.min(-np.diff(zeta, axis=0))]
        slack += [np.min(h - np.maximum(found.mean[:, None] - 1 + delta, 0)), -np.max(np.abs(zeta[-1] - worst))]
        between = found.survival(1 - 0.5 * (delta[1:] + delta[:-1]))
        slack.append(-np.max(np.abs(slope - between)) + 0.2)  # of a secant, for a decreasing function
    return inequality("shape", np.arange(len(slack)), 0.0, np.array(slack))


def samples(centred: bool) -> Rows:
    """L of weighted points in d = 6 by the definition, or without the mean."""
    rng, r, rows = np.random.default_rng(7), 0.9, {}
    x, weights = rng.standard_normal((300, 6)) + 1.0, rng.random(300)
    law = dn.Points(x, weights)
    y = r * x[:4] + rng.standard_normal((4, 6))
    for i, (place, found) in enumerate(zip(y, law.curvature(r, y), strict=True)):
        rows[f"y{i}"] = (float(found), r * r * float(np.linalg.eigvalsh(_second(x, weights, r, place, centred))[-1]))
    return against(rows, source="the definition, one y at a time")


def _second(x: Array, weights: Array, r: float, y: Array, centred: bool) -> Array:
    w = weights * np.exp(-0.5 * np.sum((y - r * x) ** 2, axis=1))
    w /= w.sum()
    away = x - (w @ x if centred else 0.0)
    return (away * w[:, None]).T @ away
