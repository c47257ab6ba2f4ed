"""Claim: every explicit step of mirror descent on a grid obeys the variational inequality from both sides, for any density π."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from pmasolve import Fourier
from pmasolve.flows.reading import convexity
from pmasolve.machine.arrays import Array

from .cases import ANALYTIC_1D, ANALYTIC_2D, REAL_1D, REAL_2D, TAU, WORDS, Case, linearised
from .claims import AtMost, Check, Claim, Level
from .evidence import Rows, inequality
from .waves import at, displacement, dual

CLAIM = Claim(
    name="evi-steps",
    title="The variational inequality of every step, from both sides, on grids",
    statement="φ_{k+1} = φ_k + η(f − g(∇φ_k) + log det D²φ_k), ρ_k = (∇φ_k)_# e^{−f}, μ = e^{−g}, any π:  KL(ρ_k|μ) − "
    "KL(π|μ) + KL(π|ρ_k) − (η/2m_{k+1})∫|ξ_k|²dπ_k ≤ [B_G(π|ρ_k) − B_G(π|ρ_{k+1})]/η ≤ KL(ρ_k|μ) − KL(π|μ) + KL(π|ρ_k),  "
    "G = ½W₂²(·, e^{−f}), ξ_k = ∇(log(ρ_k/μ)∘∇φ_k), π_k = (∇φ_k*)_# π, m_{k+1} = inf D²φ_{k+1}",
    source="scheme: Deb, Liang, arXiv 2504.09279; the inequality with its remainder was derived for this package",
    expected="both sides at every step while φ_{k+1} is convex, for π = μ and for another π",
    tolerance="no violation",
    problem=WORDS + "; four steps η = 10⁻³, longer than what is stable in the long run; π = e^{−g} and "
    "π with (id + ∇q)_# π = e^{−f}, q = 0.01 cos(2πy₁ + 1); dual potentials by Newton's method on the trigonometric interpolant",
    mutations="the remainder left out on the left; KL(π|ρ_k) left out on the right; −KL(π|μ) left out on the left",
)
HOLDS = {"violation": AtMost(0)}
ETA, STEPS = 1e-3, 4


def study(level: Level) -> Iterator[Check]:
    """Both sides for both π on every problem, then what is broken."""
    small = [ANALYTIC_1D.on(64), ANALYTIC_2D.on(32), REAL_1D]
    finer = [replace(ANALYTIC_2D, name="2D analytic 48²", n=48), REAL_2D.on(72)]
    for case in small if level is Level.QUICK else [*small, *finer]:
        for words, other in (("π = μ", False), ("another π", True)):
            run = descend(case, other)
            yield Check(f"{case.name}, {words}, right-hand side", run.right(), HOLDS)
            yield Check(f"{case.name}, {words}, left-hand side", run.left(), HOLDS)
    equal, run = descend(small[0], False), descend(small[0], True)
    yield Check(small[0].name, equal.left(remainder=0.0), HOLDS, "the remainder left out on the left")
    yield Check(small[0].name, equal.right(reverse=0.0), HOLDS, "KL(π|ρ_k) left out on the right")
    yield Check(small[0].name, run.left(entropy=0.0), HOLDS, "−KL(π|μ) left out on the left")


@dataclass(frozen=True, eq=False)
class Sides:
    """What the inequality is made of at each step, (STEPS,)."""

    kl: Array  # KL(ρ_k | μ)
    entropy: Array  # KL(π | μ)
    reverse: Array  # KL(π | ρ_k)
    drop: Array  # [B(π | ρ_k) − B(π | ρ_{k+1})]/η
    remainder: Array

    def right(self, reverse: float = 1.0) -> Rows:
        """drop ≤ KL(ρ_k|μ) − KL(π|μ) + KL(π|ρ_k); the factor is for a mutation."""
        bound = self.kl - self.entropy + reverse * self.reverse
        return self._rows(self.drop, bound, ("drop of B/η", "right-hand side"))

    def left(self, remainder: float = 1.0, entropy: float = 1.0) -> Rows:
        """KL(ρ_k|μ) − KL(π|μ) + KL(π|ρ_k) − remainder ≤ drop; the factors are for mutations."""
        bound = self.kl - entropy * self.entropy + self.reverse - remainder * self.remainder
        return self._rows(bound, self.drop, ("left-hand side", "drop of B/η"))

    def _rows(self, low: Array, high: Array, names: tuple[str, str]) -> Rows:
        rows = inequality("k", np.arange(1.0, STEPS + 1), low, high, scale=self.remainder, names=names)
        return replace(rows, drawn={"slack over remainder": (high - low) / self.remainder})


def descend(case: Case, other: bool) -> Sides:
    """STEPS steps from the case's start, with all integrals against π on the nodes y."""
    grid, problem = case.problem.domain, case.problem
    pi, rows, u = density(case) if other else np.exp(-problem.g), [], case.initial
    entropy = grid.integral(pi * (np.log(pi) + problem.g))
    for _ in range(STEPS):
        here, x = linearised(case, u), displacement(grid, u).inverse(grid.points)
        after = u + ETA * here.speed
        kl = -grid.integral(here.speed * np.exp(-problem.f))
        log_ratio = -at(grid, here.speed, x)  # log(ρ_k/μ) at y
        reverse = grid.integral(pi * (np.log(pi) + problem.g - log_ratio))
        drop = grid.integral(pi * (dual(grid, u) - dual(grid, after))) + ETA * kl  # of ∫φ* dπ + ∫φ de^{−f}
        slope = sum(at(grid, part, x) ** 2 for part in here.operators.gradient(here.speed))
        low = convexity(here.operators, after)[0]
        rows.append((kl, entropy, reverse, drop / ETA, ETA / (2 * low) * grid.integral(slope * pi)))
        u = after
    return Sides(*np.array(rows).T)


def density(case: Case) -> Array:
    """π = e^{−f(y + ∇q)} det(I + D²q), q = 0.01 cos(2πy₁ + 1), on the nodes."""
    grid = case.problem.domain
    y = grid.points
    wave = 0.01 * np.cos(TAU * y[0] + 1)
    moved = grid.displaced(Fourier().on(grid).gradient(wave))
    return np.exp(-case.f(*moved)) * (1 - TAU**2 * wave) / _mass(case)


def _mass(case: Case) -> float:
    """∫e^{−f} of the formula, which is normalised only on the problem's grid."""
    return case.problem.domain.integral(np.exp(-case.f(*case.problem.domain.points)))
