"""Claim: what holds exactly for every ε: marginals, mirror identity, Pythagoras, maximum principle, heat kernel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from pmasolve import Problem, Sinkhorn, Study, Torus
from pmasolve.machine.arrays import Array

from .cases import ANALYTIC_1D, ANALYTIC_2D, REAL_1D, REAL_2D, Case
from .claims import AtMost, Check, Claim, Level

CLAIM = Claim(
    name="identities",
    title="Identities that hold for every ε and on every grid",
    statement="p_Xγ_k = e^{−f} exp((φ_k − φ_{k−1})/ε);  p_Yγ_k = e^{−g};  p_Yγ_{k+½} = e^{−g} exp((ψ_{k+1} − ψ_k)/ε);  "
    "KL(γ*|γ_k) − KL(γ*|γ_{k+1}) = KL(e^{−f}|p_Xγ_k) + KL(e^{−g}|p_Yγ_{k+½});  sup(φ_{k+1} − φ_k) falls and inf rises with k;  "
    "sup |S_ε(φ) − S_ε(φ̃)| ≤ sup |φ − φ̃|;  for f = 0 and e^{−u/ε} = 1 + a cos 2πx: e^{v/ε} = (2πε)^{d/2}(1 + a e^{−2π²ε} cos 2πy)",
    source="mirror descent and Pythagoras: Deb, Kim, Pal, Schiebinger, arXiv 2307.16421, and the slides on arXiv 2504.09279 "
    "(which print the first one without e^{−f}); periodised kernel: the heat kernel of the torus at time ε/2",
    expected="equality up to rounding",
    tolerance="every error ≤ 1e-11",
    problem="f, g and u₀ of the four test problems on 64 points (1D) and 16² points (2D), ε = 0.2, 0.05, 0.02, three iterations; "
    "the plans γ are formed as full matrices from a kernel summed over nine periods, sharing nothing with the engines",
    mutations="e^{−f} dropped from the marginal; nearest image in place of the periodised kernel",
)
EPS = (0.2, 0.05, 0.02)
NAMES = (
    "x-marginal",
    "y-marginal",
    "half-step marginal",
    "Pythagoras",
    "maximum principle",
    "nonexpansive",
    "heat kernel",
)
DEMANDS = {name: AtMost(1e-11) for name in NAMES}
DROPPED, NEAREST = "exp(−f) dropped from the marginal", "nearest image in place of the periodised kernel"


def study(level: Level) -> Iterator[Check]:
    """All identities on every problem, then the mutations."""
    small = [case.on(64 if case.dim == 1 else 16) for case in (ANALYTIC_1D, ANALYTIC_2D, REAL_1D, REAL_2D)]
    for case in small:
        yield Check(case.name, Study.over("eps", EPS, Identities(case).errors), DEMANDS)
    for case in small[:2]:
        broken = Study.over("eps", EPS, Identities(case, with_f=False).errors)
        yield Check(case.name, broken, {"x-marginal": DEMANDS["x-marginal"]}, DROPPED)
        broken = Study.over("eps", EPS, Identities(case, periods=0).errors)
        yield Check(case.name, broken, {name: DEMANDS[name] for name in ("x-marginal", "heat kernel")}, NEAREST)


@dataclass(frozen=True, eq=False)
class Identities:
    """The identities on one problem; the last two arguments are for the mutations.

    ``periods`` images on either side make the kernel of the explicit plans and heat kernel; 0 leaves the nearest image.
    """

    case: Case
    with_f: bool = field(default=True, kw_only=True)
    periods: int = field(default=4, kw_only=True)

    def errors(self, eps: float) -> Mapping[str, float]:
        """Largest violation of each identity at one ε."""
        flow = Sinkhorn(self.case.problem, eps, quadrature=1.0)
        us, vs = iterates(flow, self.case.initial, 3)
        return {
            **self.marginals(flow, us, vs),
            "Pythagoras": self.pythagoras(flow, us, vs),
            **principles(flow, us),
            "heat kernel": self.heat(eps),
        }

    def plan(self, flow: Sinkhorn, u: Array, v: Array) -> Array:
        """γ = exp((x·y − φ − ψ)/ε − f − g) times cell volumes, as a matrix of points by points."""
        problem, cell = self.case.problem, self.case.problem.domain.cell
        left = np.exp(-u / flow.eps - problem.f).ravel() * cell
        right = np.exp(-v / flow.eps - problem.g).ravel() * cell
        return left[:, None] * kernel(problem.domain, flow.eps, self.periods) * right

    def marginals(self, flow: Sinkhorn, us: list[Array], vs: list[Array]) -> Mapping[str, float]:
        """The three marginals of explicit plans against the formulas, in logarithms."""
        problem, cell = self.case.problem, self.case.problem.domain.cell
        gamma, half = self.plan(flow, us[1], vs[1]), self.plan(flow, us[2], vs[1])
        predicted = flow.log_source_marginal(us[1]) + (0.0 if self.with_f else problem.f)
        return {
            "x-marginal": gap(gamma.sum(1) / cell, predicted),
            "y-marginal": gap(gamma.sum(0) / cell, -problem.g),
            "half-step marginal": gap(half.sum(0) / cell, flow.log_target_marginal(us[1])),
        }

    def pythagoras(self, flow: Sinkhorn, us: list[Array], vs: list[Array]) -> float:
        """Both sides from explicit plans; γ* by iterating until nothing changes."""
        problem, cell = self.case.problem, self.case.problem.domain.cell
        more_us, more_vs = iterates(flow, us[-1], 400)
        best = self.plan(flow, more_us[-2], more_vs[-1])
        gamma, half, after = (self.plan(flow, us[i], vs[j]) for i, j in ((1, 1), (2, 1), (2, 2)))
        left = kl(best, gamma) - kl(best, after)
        right = kl(np.exp(-problem.f).ravel() * cell, gamma.sum(1)) + kl(np.exp(-problem.g).ravel() * cell, half.sum(0))
        return abs(left - right)

    def heat(self, eps: float) -> float:
        """A half step with f = 0 against the heat semigroup of the torus, relative."""
        domain = self.case.problem.domain
        wave = np.cos(2 * np.pi * domain.points[0])
        u = -eps * np.log(1 + 0.5 * wave)
        exact = (2 * np.pi * eps) ** (domain.dim / 2) * (1 + 0.5 * np.exp(-2 * np.pi**2 * eps) * wave)
        if self.periods:
            flat = Problem(domain, np.zeros(domain.shape), np.zeros(domain.shape))
            return gap(exact, Sinkhorn(flat, eps).half_step(u) / eps)
        return gap(exact, np.log(kernel(domain, eps, 0) @ np.exp(-u / eps).ravel() * domain.cell))


def iterates(flow: Sinkhorn, u: Array, count: int) -> tuple[list[Array], list[Array]]:
    """φ₀ … φ_count and ψ₁ … ψ_count, as u and v: γ_{k+1} belongs to us[k], vs[k]."""
    us, vs = [u], []
    for _ in range(count):
        vs.append(flow.half_step(us[-1]))
        us.append(flow.half_step_back(vs[-1]))
    return us, vs


def kernel(torus: Torus, eps: float, periods: int) -> Array:
    """∑ₘ exp(−|x − y + m|²/2ε) over |mⱼ| ≤ periods, points by points, after x − y is folded into [−½, ½]."""
    points = torus.points.reshape(torus.dim, -1)
    difference = points[:, :, None] - points[:, None, :]
    difference = difference - np.round(difference)
    images = (np.exp(-((difference + m) ** 2) / (2 * eps)) for m in range(-periods, periods + 1))
    return np.prod(sum(images), axis=0)


def principles(flow: Sinkhorn, us: list[Array]) -> Mapping[str, float]:
    """By how much the maximum principle and nonexpansiveness are violated; 0 if they hold."""
    changes = [b - a for a, b in pairwise(us)]
    rises = [max(b.max() - a.max(), a.min() - b.min()) for a, b in pairwise(changes)]
    other = us[0] + 0.01 * np.cos(2 * np.pi * flow.problem.domain.points[0])
    after = iterates(flow, other, 1)[0][-1]
    stretch = np.max(np.abs(after - us[1])) - np.max(np.abs(other - us[0]))
    return {"maximum principle": float(max(0.0, *rises)), "nonexpansive": float(max(0.0, stretch))}


def gap(density: Array, logarithm: Array) -> float:
    """sup |log density − logarithm|."""
    return float(np.max(np.abs(np.log(np.ravel(density)) - np.ravel(logarithm))))


def kl(p: Array, q: Array) -> float:
    """KL(p | q) of arrays of masses."""
    return float(np.sum(p * np.log(p / q)))
