"""Claim: mirror flows in ℝᵈ: the three printed cases, both schemes of order 1, and inequalities for every step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from scipy.integrate import solve_ivp

from pmasolve import Band, Study
from pmasolve.flows.euclidean import QUADRATIC, QUARTIC, RECIPROCAL, Convex, EuclideanMirror

from .claims import AtMost, Check, Claim, Level
from .evidence import Rows, against, inequality

CLAIM = Claim(
    name="euclidean",
    title="Mirror flows in Euclidean space",
    statement="d/dt ∇u(x) = −∇F(x):  for F = x²/2 from 1, e^{−t} for u = x²/2, (1 − t/6)^½ for u = x⁴, (1 + 3t/2)^{−1/3} for "
    "u = 1/x;  explicit steps ∇u(x_{k+1}) = ∇u(x_k) − η∇F(x_k) and proximal ones ∇u(x_{k+1}) + η∇F(x_{k+1}) = ∇u(x_k) are of "
    "order 1;  B_u(π|x_k) − B_u(π|x_{k+1}) ≥ η(F(x_{k+1}) − F(π)) for every η and π along proximal steps",
    source="the slides on arXiv 2504.09279, Euclidean mirror flows, for the three cases; the inequality: Chen, Teboulle, SIAM J. "
    "Optim. 3 (1993)",
    expected="the printed solutions; order 1; no violation; in ℝ³ the solution of ẏ = −∇F(∇u*(y)) by another method",
    tolerance="printed: relative difference ≤ 1e-10; orders in [0.97, 1.03]; violation ≤ 1e-12; three dimensions ≤ 1e-8",
    problem="t up to 5; u = Σ x log x − x and F = ½(x − x*)·M(x − x*) on the positive orthant of ℝ³; η = 0.01, 1, 100, 60 "
    "random π",
    mutations="the exponent −1/2 for u = 1/x; explicit steps in the inequality of the proximal ones; F(x_k) in place of F(x_{k+1})",
)
GOAL = np.array([0.2, 0.3, 0.5])
MATRIX = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 1.5]])
ENTROPIC = Convex(lambda x: float(np.sum(x * np.log(x) - x)), np.log, lambda x: np.diag(1 / x))
SQUARES = Convex(
    lambda x: float(0.5 * (x - GOAL) @ MATRIX @ (x - GOAL)), lambda x: MATRIX @ (x - GOAL), lambda x: MATRIX
)
SPACE = EuclideanMirror(ENTROPIC, SQUARES)
START = np.array([1.0, 0.1, 2.0])
PRINTED = {"u = x²/2": QUADRATIC, "u = x⁴": QUARTIC, "u = 1/x": RECIPROCAL}
TIMES = np.array([0.05, 0.1, 0.2, 0.4, 0.8, 1.2, 1.6, 2.4, 3.2, 4.0, 4.8])
EXACT, ORDER, HOLDS = {"difference": AtMost(1e-10)}, {"error": Band(0.97, 1.03)}, {"violation": AtMost(1e-12)}


def study(level: Level) -> Iterator[Check]:
    """The printed cases, orders, ℝ³, then what is broken."""
    for name, mirror in PRINTED.items():
        yield Check(name, printed(mirror), EXACT)
        for scheme in ("explicit", "proximal"):
            yield Check(f"{name}, {scheme}", orders(mirror, scheme), ORDER)
    yield Check("three dimensions, flow", dual(), {"difference": AtMost(1e-8)})
    for eta in (0.01, 1.0, 100.0):
        yield Check(f"three dimensions, η = {eta:g}", variational(eta, "proximal"), HOLDS)
    wrong = EuclideanMirror(RECIPROCAL.u, RECIPROCAL.F, lambda t: ((1 + 1.5 * t) ** -0.5)[:, None])
    yield Check("u = 1/x", printed(wrong), EXACT, "the exponent −1/2")
    yield Check("three dimensions", variational(1.0, "explicit"), HOLDS, "explicit steps")
    yield Check("three dimensions", variational(1.0, "proximal", shifted=True), HOLDS, "F(x_k)")


def printed(mirror: EuclideanMirror) -> Rows:
    """x_t by integration, and both schemes with η = 0.4 where they have a point, beside the printed solution."""
    found, exact = mirror.flow([1.0], TIMES).points[:, 0], mirror.exact(TIMES)[:, 0]
    steps = {name: getattr(mirror, name)([1.0], 0.4, 12).points[:, 0] for name in ("explicit", "proximal")}
    drawn = {"exact": exact} | {
        f"{name}, η = 0.4": np.interp(TIMES, 0.4 * np.arange(13), x) for name, x in steps.items()
    }
    return Rows("t", TIMES, {"difference": np.abs(found / exact - 1)}, {"measured": found, "paper": exact}, drawn)


def orders(mirror: EuclideanMirror, scheme: str) -> Study:
    """|x_k − x_t| at t = 1."""
    goal = mirror.exact(np.ones(1))[0]

    def at(eta: float) -> Mapping[str, float]:
        return {"error": float(np.abs(getattr(mirror, scheme)([1.0], eta, round(1 / eta)).points[-1] - goal)[0])}

    return Study.over("eta", [1 / 64, 1 / 128, 1 / 256, 1 / 512], at)


def dual() -> Rows:
    """The flow in ℝ³ against its mirror coordinate y = ∇u(x) = log x, by an implicit Runge–Kutta method."""
    times = np.array([0.3, 1.0, 4.0])
    found = solve_ivp(
        lambda _, y: -SQUARES.gradient(np.exp(y)), (0, 4), np.log(START), "Radau", times, rtol=1e-11, atol=1e-13
    )
    points = SPACE.flow(START, times).points
    rows = {
        f"x{i + 1}, t = {t:g}": (float(points[k, i]), float(np.exp(found.y[i, k])))
        for k, t in enumerate(times)
        for i in range(3)
    }
    return against(rows, source="ẏ = −∇F(e^y)")


def variational(eta: float, scheme: str, shifted: bool = False) -> Rows:
    """The inequality at 20 steps, worst over 60 points π; the last argument is for the mutation."""
    path = getattr(SPACE, scheme)(START, eta, 20)
    others = np.random.default_rng(20261129).exponential(1.0, (60, 3))
    B = np.array([[ENTROPIC.bregman(other, x) for x in path.points] for other in (GOAL, *others)])
    goals = np.array([SQUARES.value(other) for other in (GOAL, *others)])
    values = path.values[:-1] if shifted else path.values[1:]
    gap = (eta * (values - goals[:, None]) + np.diff(B, axis=1)).max(axis=0)
    return inequality("k", np.arange(1.0, gap.size + 1), gap, 0.0, names=("largest violation", "bound"))
