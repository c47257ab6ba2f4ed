"""Claim: between normal distributions all orders and rates are exact: PMA, Sinkhorn, its corrector and its fixed point."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp
from scipy.linalg import sqrtm

from pmasolve import Band, Study
from pmasolve.gaussian import ClosedForm, Normal, Pair, Quadratic, corrector, negative_log
from pmasolve.machine.arrays import Array
from pmasolve.sinkhorn.richardson import extrapolate

from .cases import powers
from .claims import AtMost, Check, Claim, Level
from .evidence import Rows, against

CLAIM = Claim(
    name="gaussian",
    title="Normal distributions, in closed form",
    statement="e^{−f} = N(a, Σ), e^{−g} = N(b, Θ), ∇φ_t(x) = A_t(x−a) + q_t:  Ȧ = Σ⁻¹ − AΘ⁻¹A, q̇ = −AΘ⁻¹(q−b);  one "
    "iteration: "
    "C = (A + εΣ⁻¹)⁻¹, A⁺ = (C + εΘ⁻¹)⁻¹, q⁺ = b + A⁺C(q−b);  fixed point A_ε = Σ^{−½}(Σ^½ΘΣ^½ + ε²/4)^½Σ^{−½} − (ε/2)Σ⁻¹;  "
    "with mᵢ² the eigenvalues of Σ^½ΘΣ^½ + ε²/4 the mean contracts by κᵢ = (mᵢ − ε/2)/(mᵢ + ε/2), the covariance by κᵢκⱼ",
    source="fixed point: Janati, Muzellec, Peyré, Cuturi, arXiv 2006.02572; limit: arXiv 2307.16421; closed forms in "
    "time and the corrector were "
    "derived for this package",
    expected="closed forms equal to ODE, recursion and matrix roots; orders 1 (plain), 2 (corrected), 2 (symmetric), "
    "4 (Richardson), "
    "6 (twice); −log κ/ε = rate of PMA + O(ε²)",
    tolerance="relative differences ≤ 1e-10; last two running orders within 0.05 of 1, 2, 2, 4, 0.2 of 6, 0.05 of 2",
    problem="d = 3 and d = 10, covariances with eigenvalues in [½, 2] and random axes that do not commute, seeds 31 "
    "and 32; t = 1",
    mutations="ε in place of ε/2 in the fixed point; A⁺ from Σ⁻¹ in both halves; the corrector without f/2; the plain "
    "start extrapolated",
)
SAME = {"difference": AtMost(1e-10)}
ORDERS = {
    "plain": Band(0.95, 1.05),
    "corrected": Band(1.95, 2.05),
    "symmetric": Band(1.95, 2.05),
    "Richardson": Band(3.95, 4.05),
}
TWICE = {"twice": Band(5.8, 6.2)}
COARSE = powers(3, 5)  # finer ones leave nothing but rounding after the second extrapolation
RATE = {"rate": Band(1.95, 2.05)}
T = 1.0
LADDERS = {Level.QUICK: powers(5, 8), Level.FULL: powers(5, 10)}


@dataclass(frozen=True, eq=False)
class Gaussians:
    """A pair and a start."""

    name: str
    pair: Pair
    start: Quadratic

    @classmethod
    def random(cls, dim: int, seed: int) -> Gaussians:
        """Non-commuting covariances and a start that commutes with neither."""
        rng = np.random.default_rng(seed)
        a, b, q = 0.5 * rng.standard_normal((3, dim))
        source, target, A = (_definite(dim, rng) for _ in range(3))
        pair = Pair(Normal(a, source), Normal(b, target))
        return cls(f"d = {dim}", pair, Quadratic(A, q, 0.0, a))


def _definite(dim: int, rng: np.random.Generator) -> Array:
    axes, _ = np.linalg.qr(rng.standard_normal((dim, dim)))
    matrix = axes @ np.diag(np.geomspace(0.5, 2, dim)) @ axes.T
    return 0.5 * (matrix + matrix.T)


def study(level: Level) -> Iterator[Check]:
    """Closed forms, orders and rates in both dimensions, then what is broken."""
    problems = [Gaussians.random(3, 31), Gaussians.random(10, 32)]
    for g in problems:
        yield Check(f"{g.name}, closed forms", closed_forms(g), SAME)
        yield Check(f"{g.name}, orders", orders(g, LADDERS[level]), ORDERS)
        yield Check(f"{g.name}, extrapolated twice", orders(g, COARSE), TWICE)
        yield Check(f"{g.name}, rate", rates(g), RATE)
    g = problems[0]
    yield Check(g.name, closed_forms(g, only="fixed point", half=1.0), SAME, "ε in place of ε/2 in the fixed point")
    yield Check(g.name, closed_forms(g, only="recursion", swap=True), SAME, "A⁺ from Σ⁻¹ in both halves")
    broken = {name: ORDERS[name] for name in ("corrected", "symmetric", "Richardson")}
    yield Check(g.name, orders(g, COARSE, broken=True), TWICE, "plain start extrapolated twice")
    yield Check(
        g.name, orders(g, LADDERS[level], broken=True), broken, "corrector without f/2; plain start extrapolated"
    )


def step(A: Array, q: Array, g: Gaussians, eps: float, swap: bool = False) -> tuple[Array, Array]:
    """One iteration in double precision."""
    P, Q, b = np.linalg.inv(g.pair.source.cov), np.linalg.inv(g.pair.target.cov), g.pair.target.mean
    C = np.linalg.inv(A + eps * P)
    after = np.linalg.inv(C + eps * (P if swap else Q))
    return after, b + after @ C @ (q - b)


def closed_forms(g: Gaussians, only: str = "", half: float = 0.5, swap: bool = False) -> Rows:
    """PMA against its ODE, iterates against the recursion, fixed point and contraction against matrix roots."""
    eps, source, target = 0.25, g.pair.source.cov, g.pair.target.cov
    A, q = g.start.hessian, g.start.slope
    for _ in range(8):
        A, q = step(A, q, g, eps, swap)
    iterate = ClosedForm(g.pair, g.start, eps)
    root = np.real(sqrtm(source))
    inner = np.real(sqrtm(root @ target @ root + half**2 * eps**2 * np.eye(len(q))))
    back = np.linalg.inv(root)
    fixed = back @ inner @ back - half * eps * np.linalg.inv(source)
    levels = np.linalg.eigvalsh(inner)
    flow = ClosedForm(g.pair, g.start)
    ode = by_ode(g, T)
    pairs = {
        "PMA, A": (flow.hessian(T), ode[0]),
        "PMA, q": (flow.slope(T), ode[1]),
        "recursion, A": (iterate.hessian(8 * eps), A),
        "recursion, q": (iterate.slope(8 * eps), q),
        "fixed point": (g.pair.schroedinger(eps).hessian, fixed),
        "contraction": (g.pair.contraction(eps), (levels - eps / 2) / (levels + eps / 2)),
    }
    rows = {name: (_apart(x, y), 0.0) for name, (x, y) in pairs.items() if name.startswith(only)}
    return against(rows, source="ODE, recursion, matrix roots and spectrum in double precision")


def _apart(a: Array, b: Array) -> float:
    return float(np.max(np.abs(a - b)) / np.max(np.abs(b)))


def by_ode(g: Gaussians, t: float) -> tuple[Array, Array]:
    """A_t and q_t by Dormand and Prince's method of order 8."""
    P, Q, b, d = (
        np.linalg.inv(g.pair.source.cov),
        np.linalg.inv(g.pair.target.cov),
        g.pair.target.mean,
        g.pair.source.dim,
    )

    def rate(_: float, y: Array) -> Array:
        A, q = y[: d * d].reshape(d, d), y[d * d :]
        return np.concatenate([(P - A @ Q @ A).ravel(), -A @ Q @ (q - b)])

    start = np.concatenate([g.start.hessian.ravel(), g.start.slope])
    y = solve_ivp(rate, (0, t), start, method="DOP853", rtol=1e-13, atol=1e-14).y[:, -1]
    return y[: d * d].reshape(d, d), y[d * d :]


def orders(g: Gaussians, ladder: tuple[float, ...], *, broken: bool = False) -> Study:
    """Iterates, corrected, symmetric and extrapolated, against PMA: A and q together, relative."""
    flow, f = ClosedForm(g.pair, g.start), negative_log(g.pair.source)
    limit = _both(flow.hessian(T), flow.slope(T))
    zero = Quadratic(np.zeros_like(g.start.hessian), None, 0.0, g.pair.source.mean)
    r = corrector(g.pair, g.start, zero.plus(f, -0.5) if broken else zero, T)
    first = _both(r.about(g.pair.source.mean).hessian, r.about(g.pair.source.mean).slope)
    gauge = 0.0 if broken else 0.5
    f_here = f.about(g.pair.source.mean)
    shift = _both(f_here.hessian, f_here.slope)

    def run(eps: float, factor: float) -> Array:
        found = ClosedForm(g.pair, g.start.plus(f, -factor * eps), eps)
        return _both(found.hessian(T), found.slope(T)) + factor * eps * shift

    def at(eps: float) -> Mapping[str, float]:
        plain, even = run(eps, 0.0), [run(eps / 2**i, gauge) for i in range(3)]
        values = {
            "plain": plain,
            "corrected": plain - eps * first,
            "symmetric": even[0],
            "Richardson": extrapolate(even[:2]),
            "twice": extrapolate(even),
        }
        return {name: _apart(value, limit) for name, value in values.items()}

    return Study.over("eps", ladder, at)


def _both(A: Array, q: Array) -> Array:
    return np.concatenate([A.ravel(), q])


def rates(g: Gaussians) -> Study:
    """The largest contraction factor of the mean against PMA's spectral gap."""
    gap = g.pair.rates.min()
    return Study.over(
        "eps", powers(2, 6), lambda eps: {"rate": abs(-np.log(g.pair.contraction(eps).max()) / eps / gap - 1)}
    )
