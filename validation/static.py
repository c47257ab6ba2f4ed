"""Claim: Schrödinger's potentials in the symmetric gauge tend to Brenier's with order 2, and extrapolated with orders 4 and 6."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pmasolve import Band, Problem, Study, Torus, manufactured, schroedinger
from pmasolve.machine.arrays import Array
from pmasolve.sinkhorn.richardson import extrapolate

from .cases import REAL_1D, TAU, powers, steady
from .claims import Check, Claim, Level

CLAIM = Claim(
    name="static",
    title="From Schrödinger to Brenier: orders 2, 4, 6",
    statement="φ^ε = S_ε(φ^ε) ⇒ φ^ε + ½εf = φ_∞ + ε²e₂ + ε⁴e₄ + …, f = g(∇φ_∞) − log det D²φ_∞;  Richardson's "
    "extrapolation has orders 4 and 6",
    source="derived for this package (the symmetric iteration is inverted by ε → −ε); limit: arXiv 2307.16421; "
    "extrapolation of the cost: "
    "Chizat, Roussillon, Léger, Vialard, Peyré, arXiv 2006.08172",
    expected="orders 2, 4 and 6",
    tolerance="last running order in [1.95, 2.05], at least 3.9 (at most 4.1), at least 5.5 (at most 6.5); 3D, "
    "coarser ε: order 2 in [1.9, 2.1]",
    problem="manufactured on the unit torus: u_∞ = 0.008 cos(2πx + 0.3), g = 0.3 sin 2πy in 1D; u_∞ = 0.003 cos "
    "2π(x+y) + 0.003 sin 2πx, "
    "g = 0.2 cos 2πy in 2D; u_∞ = 0.002 cos 2π(x+y) + 0.002 sin 2πz, g = 0.1 cos 2πz in 3D; 1D real against Newton's "
    "solution",
    mutations="the wrong sign of the gauge; no gauge; ε in place of ε² eliminated",
)
ORDERS = {"order 2": Band(1.95, 2.05, last=1), "order 4": Band(3.9, 4.1, last=1), "order 6": Band(5.5, 6.5, last=1)}
COARSE = {"order 2": Band(1.9, 2.1, last=1)}


@dataclass(frozen=True, eq=False)
class Static:
    """A problem, its exact u_∞ and the ladder."""

    name: str
    problem: Problem
    exact: Array
    eps: tuple[float, ...]

    @cached_property
    def runs(self) -> list[Array]:
        """u of the fixed points at every ε, each started from the one before."""
        found: list[Array] = []
        for i, eps in enumerate(self.eps):
            start = None if i == 0 else found[-1] + 0.5 * (self.eps[i - 1] - eps) * self.problem.f
            found.append(schroedinger(self.problem, eps, marginal=1e-13, start=start, quadrature=1e-11).u)
        return found


def study(level: Level) -> Iterator[Check]:
    """Every problem, then what is broken on the first."""
    problems = list(statics(level))
    for static in problems:
        yield Check(static.name, errors(static), COARSE if static.problem.domain.dim == 3 else ORDERS)
    first = problems[0]
    yield Check(first.name, errors(first, gauge=-0.5), ORDERS, "the wrong sign of the gauge")
    yield Check(first.name, errors(first, gauge=0.0), ORDERS, "no gauge")
    yield Check(first.name, errors(first, power=1), {"order 4": ORDERS["order 4"]}, "ε in place of ε² eliminated")


def statics(level: Level) -> Iterator[Static]:
    """The problems of a level."""
    full = level is Level.FULL

    def made(name: str, shape: tuple[int, ...], u, g, eps: tuple[float, ...]) -> Static:
        return Static(name, *manufactured(Torus(shape), u, g), eps)

    yield made(
        "1D manufactured", (256,), lambda x: 0.008 * np.cos(TAU * x + 0.3), lambda y: 0.3 * np.sin(TAU * y), powers(8, 13)
    )  # fmt: skip
    yield Static(REAL_1D.name, REAL_1D.on(256).problem, steady(REAL_1D.on(256)).potential, powers(8, 14))
    if not full:
        return
    yield made(
        "2D manufactured", (192, 192),
        lambda x, y: 0.003 * np.cos(TAU * (x + y)) + 0.003 * np.sin(TAU * x), lambda x, y: 0.2 * np.cos(TAU * y) + 0 * x,
        powers(9, 14),
    )  # fmt: skip
    yield made(
        "3D manufactured", (40, 40, 40),
        lambda x, y, z: 0.002 * np.cos(TAU * (x + y)) + 0.002 * np.sin(TAU * z), lambda x, y, z: 0.1 * np.cos(TAU * z),
        powers(6, 9),
    )  # fmt: skip


def errors(static: Static, gauge: float = 0.5, power: int = 2) -> Study:
    """Sup errors, constants removed, of one, two and three neighbouring runs combined; the last arguments are for the mutations."""
    grid = static.problem.domain
    chi = [u + gauge * eps * static.problem.f for u, eps in zip(static.runs, static.eps, strict=True)]

    def at(eps: float) -> Mapping[str, float]:
        i = static.eps.index(eps)
        combined = [extrapolate(chi[i : i + count]) if power == 2 else 2 * chi[i + 1] - chi[i] for count in (1, 2, 3)]
        return {f"order {2 * j}": grid.sup(grid.centred(u - static.exact)) for j, u in enumerate(combined, 1)}

    return Study.over("eps", static.eps[:-2], at)
