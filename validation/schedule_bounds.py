"""Claim: four schedules of mirror descent stay below bounds with explicit constants, at every step up to the horizon."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pmasolve.gaussian import Descent, Normal, Pair, Quadratic
from pmasolve.machine.arrays import Array

from .claims import AtMost, Check, Claim, Level
from .evidence import Rows, inequality
from .gaussians import Gaussians
from .schedules import convexity, descent

CLAIM = Claim(
    name="schedule-bounds",
    title="Mirror descent: bounds with their constants, at every step",
    statement="J_k = KL(ρ_k|μ) + KL(μ|ρ_k), B_k = B_G(μ|ρ_k), remainder (η_k/2m_{k+1})∫|ξ_k|²dπ_k = η_k D_k, D = max D_k:  "
    "η constant: (1/k)∑J_j ≤ (B₀ + ∑_{j<T} η²D_j)/(ηk);  η = c/√T: KL_k falls, and KL_k ≤ (B₀/η + ηkD)/k, at the horizon "
    "(B₀/c + cD)/√T;  KL(μ|ρ_k) ≥ (λ/M)B_k for D²ψ_k ≤ M and λ-convex g, hence with s = M/λ: η_k = "
    "s/(k+1+K): (k+K)B_k ≤ KB₀ "
    "+ s²D∑_{K<j≤k+K} 1/j = O(log k);  η = s log T/T: B_k ≤ (1−log T/T)^k B₀ + s²D log T/T, at the "
    "horizon (B₀ + s²D log T)/T",
    source="schedules and rates: Deb, Liang, arXiv 2504.09279; constants derived for this package by telescoping the "
    "inequality (the printed λ/(k+1) is up to constants; s = M/λ and the shift K, after which steps are "
    "below 0.2, are ours)",
    expected="every bound at every step",
    tolerance="violation ≤ 1e-12 of the first value",
    problem="normal distributions: d = 1 with Σ = 2, Θ = 1, a = 1, and d = 3, non-commuting, seed 31, "
    "and a shift: d = 1 with Σ = Θ = 1, a = 1, D²ψ = 1; T = 800, at full "
    "level 10⁴; M the largest eigenvalue of D²ψ at the start and in the limit",
    mutations="the remainders left out of the first bound; KL(μ|ρ_k) ≥ (3λ/2M)B_k; B_k ≤ (1−log T/T)^{3k} B₀",
)
HOLDS = {"violation": AtMost(1e-12)}
HORIZON = {Level.QUICK: 800, Level.FULL: 10_000}
LONGEST = 0.2


@dataclass(frozen=True, eq=False)
class Schedules:
    """The four runs of one pair up to T."""

    g: Gaussians
    T: int

    @cached_property
    def scale(self) -> float:
        """M/λ: g is 1/λ_max(Θ)-convex."""
        return convexity(self.g) * float(np.linalg.eigvalsh(self.g.pair.target.cov)[-1])

    @cached_property
    def shift(self) -> int:
        """K."""
        return int(np.ceil(self.scale / LONGEST))

    @cached_property
    def constant(self) -> Descent:
        """η = 0.2."""
        return descent(self.g, np.full(self.T, LONGEST))

    @cached_property
    def root(self) -> Descent:
        """η = 0.2/√T."""
        return descent(self.g, np.full(self.T, LONGEST * self.T**-0.5))

    @cached_property
    def harmonic(self) -> Descent:
        """η_k = (M/λ)/(k+1+K)."""
        return descent(self.g, self.scale / np.arange(1.0 + self.shift, self.T + 1 + self.shift))

    @cached_property
    def logarithmic(self) -> Descent:
        """η = (M/λ) log T/T."""
        return descent(self.g, np.full(self.T, self.scale * np.log(self.T) / self.T))

    @property
    def k(self) -> Array:
        """1, …, T."""
        return np.arange(1.0, self.T + 1)

    def average(self, remainders: float = 1.0) -> Rows:
        """The averages of J under constant steps; the factor is for a mutation."""
        run, k = self.constant, self.k
        jeffreys = np.cumsum((run.kl + run.reverse_kl)[:-1]) / k
        total = run.bregman[0] + remainders * np.sum(run.eta * run.remainder)
        return _below(k, jeffreys, total / (LONGEST * k))

    def falls(self) -> Rows:
        """KL_{k} ≤ KL_{k−1}."""
        kl = self.root.kl
        return _below(self.k, kl[1:], kl[:-1])

    def last(self) -> Rows:
        """KL_k under η = c/√T, by the average of the k values before it."""
        run, k = self.root, self.k
        eta, D = run.eta[0], _largest(run)
        return _below(k, run.kl[1:], (run.bregman[0] / eta + eta * k * D) / k)

    def talagrand(self, factor: float = 1.0) -> Rows:
        """(λ/M)B_k ≤ KL(μ | ρ_k) in the harmonic run; the factor is for a mutation."""
        run = self.harmonic
        return _below(np.arange(self.T + 1.0), factor * run.bregman / self.scale, run.reverse_kl)

    def shrinking(self) -> Rows:
        """B_k under harmonic steps."""
        run, k, K = self.harmonic, self.k, self.shift
        sums = np.cumsum(1 / np.arange(K + 1.0, K + self.T + 1))
        return _below(k, run.bregman[1:], (K * run.bregman[0] + self.scale**2 * _largest(run) * sums) / (k + K))

    def single(self, power: float = 1.0, remainders: float = 1.0) -> Rows:
        """B_k under η = (M/λ) log T/T; the arguments are for a mutation."""
        run, k, rate = self.logarithmic, self.k, np.log(self.T) / self.T
        bound = (1 - rate) ** (power * k) * run.bregman[0] + remainders * self.scale**2 * _largest(run) * rate
        return _below(k, run.bregman[1:], bound)


def study(level: Level) -> Iterator[Check]:
    """All bounds for both pairs, then what is broken."""
    line = Gaussians(
        "d = 1", Pair(Normal([1.0], [[2.0]]), Normal([0.0], [[1.0]])), Quadratic([[0.8]], None, 0.0, [1.0])
    )
    shift = Gaussians(
        "shift", Pair(Normal([1.0], [[1.0]]), Normal([0.0], [[1.0]])), Quadratic([[1.0]], None, 0.0, [0.0])
    )
    for g in (line, shift, Gaussians.random(3, 31)):
        runs = Schedules(g, HORIZON[level])
        yield Check(f"{g.name}, η constant, average", runs.average(), HOLDS)
        yield Check(f"{g.name}, η = c/√T, KL falls", runs.falls(), HOLDS)
        yield Check(f"{g.name}, η = c/√T, last", runs.last(), HOLDS)
        yield Check(f"{g.name}, KL(μ|ρ_k) ≥ (λ/M)B_k", runs.talagrand(), HOLDS)
        yield Check(f"{g.name}, η_k = s/(k+1+K), B", runs.shrinking(), HOLDS)
        yield Check(f"{g.name}, η = s log T/T, B", runs.single(), HOLDS)
    runs = Schedules(line, HORIZON[Level.QUICK])
    yield Check("d = 1", runs.average(remainders=0.0), HOLDS, "the remainders left out of the first bound")
    runs = Schedules(shift, HORIZON[Level.QUICK])
    yield Check(shift.name, runs.talagrand(factor=1.5), HOLDS, "KL(μ|ρ_k) ≥ (3λ/2M)B_k")
    yield Check(shift.name, runs.single(power=3.0, remainders=0.0), HOLDS, "B_k ≤ (1−log T/T)^{3k} B₀")


def _largest(run: Descent) -> float:
    """D = max D_k."""
    return float(np.max(run.remainder / run.eta))


def _below(k: Array, values: Array, bound: Array) -> Rows:
    """values ≤ bound, relative to the first value."""
    return inequality("k", k, values, bound, scale=float(values[0]), names=("measured", "bound"))
