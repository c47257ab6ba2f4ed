"""Claim: the worked examples of the slides and papers, their printed numbers beside ours."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pmasolve.flows.euclidean import QUADRATIC, QUARTIC, RECIPROCAL
from pmasolve.gaussian import ClosedForm, Normal, Pair, Quadratic, entropy_mirror_flow, fokker_planck, heat, jko

from .claims import AtMost, Check, Claim, Level
from .evidence import Rows, against

CLAIM = Claim(
    name="examples",
    title="Worked examples of the papers",
    statement="mirror flows of F = x²/2 from 1: e^{−t}, (1 − t/6)^½ for u = x⁴, (1 + 3t/2)^{−1/3} for u = 1/x;  ∫ρ "
    "log ρ from N(0, 1): mirror flow "
    "N(0, (1+t)²), Wasserstein flow N(0, 1+2t);  towards N(0, 1) with e^{−g} = N(0, η²), ρ₀ = N(0, η²): mirror flow "
    "σ = (1 − Re^{−2t/η})/(1 + Re^{−2t/η}), R = (1−η)/(1+η), Fokker–Planck σ² = 1 + (η²−1)e^{−2t};  a shifted mean "
    "has the sharp rate 2/√(sθ)",
    source="slides on arXiv 2504.09279 and arXiv 2307.16421, examples 1 to 3 (1 with two corrections: the heat flow "
    "has variance 1+2t, not 1+t); "
    "JKO step: Cheng, Lu, Tan, Xie, arXiv 2310.17582, Fig. A.1",
    expected="the printed formulas",
    tolerance="relative difference ≤ 1e-10; the asymptotic ratio of the two rates ≤ 0.02",
    problem="t = 0.3 and 1; η = ½; s = 1.3, θ = 0.7",
    mutations="the printed variance 1 + t of the heat flow; e^{−t/η} in place of e^{−2t/η}; the rate 1/√(sθ)",
)
EXACT, ASYMPTOTIC = {"difference": AtMost(1e-10)}, {"difference": AtMost(0.02)}
ETA, TIMES = 0.5, (0.3, 1.0)


def study(level: Level) -> Iterator[Check]:
    """Every example, then what is broken."""
    yield Check("mirror flows on the half-line", euclidean(), EXACT)
    yield Check("example 1, entropy", entropy(2.0), EXACT)
    yield Check("example 2, scalar", scalar(2.0), EXACT)
    yield Check("example 2, who is faster", ratio(), ASYMPTOTIC)
    yield Check("example 3, diagonal", diagonal(), EXACT)
    yield Check("sharp rate of the entropy", sharp(2.0), {"difference": AtMost(1e-6)})
    yield Check("one JKO step", step(), EXACT)
    yield Check("example 1", entropy(1.0), {"difference": AtMost(1e-3)}, "the printed variance 1 + t of the heat flow")
    yield Check("example 2", scalar(1.0), EXACT, "e^{−t/η} in place of e^{−2t/η}")
    yield Check("sharp rate", sharp(1.0), {"difference": AtMost(1e-6)}, "the rate 1/√(sθ)")


def euclidean() -> Rows:
    """Integrated numerically, against the printed solutions."""
    rows = {}
    for name, flow, printed in (
        ("u = x²/2", QUADRATIC, lambda t: np.exp(-t)),
        ("u = x⁴", QUARTIC, lambda t: np.sqrt(1 - t / 6)),
        ("u = 1/x", RECIPROCAL, lambda t: (1 + 1.5 * t) ** (-1 / 3)),
    ):
        found = flow.flow([1.0], TIMES).points[:, 0]
        rows |= {f"{name}, t = {t:g}": (float(x), float(printed(t))) for t, x in zip(TIMES, found, strict=True)}
    return against(rows, source="slides on arXiv 2504.09279, Euclidean mirror flows", printed=True)


def entropy(factor: float) -> Rows:
    """The entropy's two flows from N(0, 1)."""
    one, start = Normal([0.0], [[1.0]]), Quadratic([[1.0]])
    rows = {}
    for t in TIMES:
        mirror = entropy_mirror_flow(one, start, t).cov[0, 0]
        if factor == 2.0:
            rows[f"mirror flow, t = {t:g}"] = (float(mirror), (1 + t) ** 2)
        rows[f"Wasserstein flow, t = {t:g}"] = (float(heat(one, t).cov[0, 0]), 1 + factor * t)
    return against(rows, source="slides on arXiv 2504.09279, example 1; heat flow corrected", printed=True)


def _scalar(t: float) -> tuple[float, float]:
    """Variances of mirror flow and Fokker–Planck."""
    pair, start = Pair(Normal([0.0], [[1.0]]), Normal([0.0], [[ETA**2]])), Normal([0.0], [[ETA**2]])
    flow = ClosedForm(pair, pair.potential(start))
    return float(flow.law(t).cov[0, 0]), float(fokker_planck(pair.source, start, t).cov[0, 0])


def scalar(factor: float) -> Rows:
    """Example 2."""
    R, rows = (1 - ETA) / (1 + ETA), {}
    for t in TIMES:
        mirror, fokker = _scalar(t)
        decayed = R * np.exp(-factor * t / ETA)
        rows[f"mirror flow, t = {t:g}"] = (mirror, ((1 - decayed) / (1 + decayed)) ** 2)
        if factor == 2.0:
            rows[f"Fokker–Planck, t = {t:g}"] = (fokker, 1 + (ETA**2 - 1) * np.exp(-2 * t))
    return against(rows, source="slides on arXiv 2504.09279, example 2", printed=True)


def ratio() -> Rows:
    """|1 − σ_F²|/|1 − σ_M²| against ((1+η)²/4) e^{2t(1/η − 1)}, late."""
    rows = {}
    for t in (2.0, 4.0):
        mirror, fokker = _scalar(t)
        rows[f"t = {t:g}"] = (abs(1 - fokker) / abs(1 - mirror), 0.25 * (1 + ETA) ** 2 * np.exp(2 * t * (1 / ETA - 1)))
    return against(rows, source="slides on arXiv 2504.09279, example 2", printed=True)


def diagonal() -> Rows:
    """Example 3: Σ = diag s, e^{−g} = N(0, diag θ), φ₀ = |x|²/2 scaled so that ρ₀ = N(0, 1)."""
    s, theta, t = np.array([2.0, 0.5]), np.array([0.3, 0.2]), 0.4
    pair = Pair(Normal([0, 0], np.diag(s)), Normal([0, 0], np.diag(theta)))
    found = np.diag(ClosedForm(pair, pair.potential(Normal([0, 0], np.eye(2)))).law(t).cov)
    r, decay = (np.sqrt(s) - 1) / (np.sqrt(s) + 1), np.exp(-2 * t / np.sqrt(s * theta))
    printed = s * ((1 - r * decay) / (1 + r * decay)) ** 2
    rows = {f"variance {i + 1}": (float(found[i]), float(printed[i])) for i in range(2)}
    return against(rows, source="slides on arXiv 2504.09279, example 3", printed=True)


def sharp(factor: float) -> Rows:
    """Rate of KL(ρ_t | e^{−f}) for a shifted mean, against 2/√(sθ)."""
    s, theta = 1.3, 0.7
    pair = Pair(Normal([0.0], [[s]]), Normal([0.0], [[theta]]))
    brenier = pair.brenier()
    flow = ClosedForm(pair, Quadratic(brenier.hessian, [0.8]))
    first, second = (flow.law(t).kl(pair.source) for t in TIMES)
    rate = np.log(first / second) / (TIMES[1] - TIMES[0])
    return against(
        {"rate": (float(rate), factor / np.sqrt(s * theta))},
        source="2/√(sθ) = 2.09657; arXiv 2307.16421, the logarithmic Sobolev rate",
    )


def step() -> Rows:
    """p₀ = N((3, 3), 1), γ = ½, towards N(0, 1)."""
    law = jko(Normal([0.0, 0.0], np.eye(2)), Normal([3.0, 3.0], np.eye(2)), 0.5)
    rows = {"mean": (float(law.mean[0]), 2.0), "variance": (float(law.cov[0, 0]), 1.0)}
    return against(rows, source="arXiv 2310.17582, Fig. A.1", printed=True)
