"""Claim: proximal steps of any length obey the variational inequality without any condition on the step; it is an identity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from pmasolve import Band, BregmanProximal, Study, evolve
from pmasolve.machine.arrays import Array

from .cases import ANALYTIC_1D, ANALYTIC_2D, REAL_1D, SMALL_3D, WORDS_3D, Case, linearised, powers, reference
from .claims import AtMost, Check, Claim, Level
from .energies import bregman
from .evi_steps import density
from .evidence import Rows, against, inequality
from .proximal_gaussians import Steps, closed_forms
from .waves import dual

CLAIM = Claim(
    name="proximal",
    title="Proximal steps of any length, without a condition on the step",
    statement="φ_{k+1} − ηA(φ_{k+1}) = φ_k, that is ρ_{k+1} = argmin KL(ρ | μ) + B_G(ρ | ρ_k)/η, μ = e^{−f}, G = ½W₂²(·, e^{−g}): "
    " for every π and every η > 0  [B_G(π | ρ_k) − B_G(π | ρ_{k+1})]/η = KL(ρ_{k+1} | μ) − KL(π | μ) + KL(π | ρ_{k+1}) + "
    "B_G(ρ_{k+1} | ρ_k)/η, so that ∑η(KL(ρ_k | μ) + KL(μ | ρ_k)) ≤ B_G(μ | ρ₀), KL falls, and KL(ρ_T | μ) ≤ B_G(μ | ρ₀)/t_T;  "
    "normal distributions: A⁺ + ηA⁺Θ⁻¹A⁺ = A + ηΣ⁻¹, q⁺ − b = (1 + ηA⁺Θ⁻¹)⁻¹(q − b);  of order 1 in η to PMA",
    source="Bregman's proximal point, Chen, Teboulle 1993, in the geometry of arXiv 2307.16421; the identity was derived for "
    "this package (docs/theory.md)",
    expected="no violation for any η; the remainder B_G(ρ_{k+1} | ρ_k)/η; at most 4 Newton steps for each step; order 1",
    tolerance="no violation; identity to 1e-10 of its terms (grids: 1e-8 of the first Jeffreys divergence); last "
    "two running orders within 0.05 of 1",
    problem="10 000 random normal distributions for d = 1 and d = 3 each, non-commuting, η in [10⁻³, 10³], seeds 51, 52, and "
    "a random π; grids: "
    + WORDS_3D
    + "; four steps of η = 0.005, 0.05, 0.5, 5 and 500, π = μ and another π, dual potentials by "
    "Newton's method on the trigonometric interpolant",
    mutations="the identity without B_G(π | ρ_{k+1}); with the explicit scheme's side, ρ_k for ρ_{k+1}; without its remainder; "
    "the sum with the first step counted twice; A⁺ of an explicit step",
)
HOLDS, SAME = {"violation": AtMost(0)}, {"difference": AtMost(1e-10)}
GRID, FEW, ORDER = {"violation": AtMost(1e-8)}, {"violation": AtMost(0)}, {"sup": Band(0.95, 1.05)}
COUNT, STEPS, NEWTON = 10_000, 4, 4
ROUNDING = 1e-10
ETAS = (0.005, 0.05, 0.5, 5.0, 500.0)


def study(level: Level) -> Iterator[Check]:
    """Normal distributions, grids, then what is broken."""
    line, space = Steps.random(COUNT, 1, 51), Steps.random(COUNT, 3, 52)
    for name, steps in (("d = 1", line), ("d = 3", space)):
        yield Check(f"{name}, inequality", gaussian(steps), HOLDS)
        yield Check(f"{name}, identity", gaussian(steps, remainder=True), HOLDS)
        yield Check(f"{name}, closed form", against(closed_forms(steps, 4), source="Riccati solver of scipy"), SAME)
    plane = replace(ANALYTIC_2D, name="2D analytic 24²", n=24)
    for case in (
        (ANALYTIC_1D.on(64), plane, REAL_1D) if level is Level.QUICK else (ANALYTIC_1D, ANALYTIC_2D.on(48), REAL_1D)
    ):
        for words, other in (("π = μ", False), ("another π", True)):
            yield Check(f"{case.name}, inequality, {words}", on_grid(case, other), GRID)
            yield Check(f"{case.name}, identity, {words}", on_grid(case, other, remainder=True), GRID)
        yield Check(f"{case.name}, sum", sums(case), FEW)
        yield Check(f"{case.name}, Newton steps", newton(case), FEW)
    yield Check(f"{ANALYTIC_1D.name}, order", order(ANALYTIC_1D), ORDER)
    if level is Level.FULL:
        yield Check(f"{SMALL_3D.name}, sum", sums(SMALL_3D), FEW)
        yield Check(f"{SMALL_3D.name}, Newton steps", newton(SMALL_3D), FEW)
        yield Check(f"{ANALYTIC_2D.name}, order", order(ANALYTIC_2D.on(48)), ORDER)
    yield from broken(space, ANALYTIC_1D.on(64))


def broken(steps: Steps, case: Case) -> Iterator[Check]:
    """What must fail."""
    yield Check("d = 3", gaussian(steps, remainder=True, after=0.0), HOLDS, "the identity without B_G(π | ρ_{k+1})")
    yield Check("d = 3", gaussian(steps, explicit=True), HOLDS, "the explicit scheme's side")
    yield Check("d = 3", gaussian(steps, remainder=True, moved=0.0), HOLDS, "the identity without its remainder")
    euler = replace(steps, eta=np.minimum(steps.eta, 1e-2))
    yield Check("d = 3", gaussian(_explicit(euler), remainder=True), HOLDS, "A⁺ of an explicit step")
    yield Check(
        case.name, on_grid(case, True, remainder=True, after=0.0), GRID, "the identity without B_G(π | ρ_{k+1})"
    )
    yield Check(case.name, on_grid(case, True, explicit=True), GRID, "the explicit scheme's side")
    yield Check(case.name, sums(case, factor=2.0), FEW, "the sum with the first step counted twice")


def gaussian(
    steps: Steps, *, remainder: bool = False, moved: float = 1.0, after: float = 1.0, explicit: bool = False
) -> Rows:
    """Right ≤ left for every step, or |left − right − remainder| ≤ 0 with ``remainder``; the rest is for mutations."""
    left, right = steps.sides(steps if explicit else steps.after)
    left = left + (1 - after) * steps.after.bregman(steps.pi) / steps.eta
    low, high, names = right, left, ("right", "left")
    if remainder:
        low, high = np.abs(left - right - moved * steps.moved), ROUNDING * steps.size
        names = ("|left − right − remainder|", "rounding")
    rank = np.argsort(steps.eta)
    eta, low, high, size = (column[rank] for column in (steps.eta, low, high, steps.size))
    rows = inequality("η", eta, low, high, scale=size, names=names)
    return replace(rows, drawn={"of its terms": np.abs(high - low if not remainder else low) / size})


def _explicit(steps: Steps) -> Steps:
    """Steps whose A⁺ is A + η(Σ⁻¹ − AΘ⁻¹A)."""
    eta = steps.eta[:, None, None]
    A = steps.A + eta * (steps.source.precision - steps.A @ steps.target.precision @ steps.A)
    wrong = replace(steps, A=A)
    out = replace(steps)
    vars(out)["after"] = wrong
    return out


@dataclass(frozen=True, eq=False)
class Sides:
    """What the identity is made of at each step of one η."""

    drop: Array  # [B(π | ρ_k) − B(π | ρ_{k+1})]/η
    last: Array  # B(π | ρ_{k+1})/η
    right: Array  # at ρ_{k+1}
    before: Array  # the same at ρ_k
    moved: Array  # B(ρ_{k+1} | ρ_k)/η


@cache
def descend(case: Case, other: bool, eta: float) -> Sides:
    """Four steps, with all integrals against π and e^{−g} on the nodes."""
    grid, problem, flow = case.problem.domain, case.problem, BregmanProximal(case.problem, eta)
    pi = density(replace(case, f=case.g)) if other else np.exp(-problem.f)
    nu, entropy = np.exp(-problem.g), grid.integral(pi * (np.log(pi) + problem.f))
    us = [case.initial, *evolve(flow, flow.times(STEPS), initial=case.initial).potentials]
    duals, rows = [dual(grid, u) for u in us], []

    def bregman_part(i: int, law: Array) -> float:
        """∫φ dπ + ∫φ* de^{−g} but for what π and g say."""
        return grid.integral(us[i] * law + duals[i] * nu)

    def side(u: Array) -> tuple[float, Array]:
        here = linearised(case, u)
        rho = np.exp(here.log_density)
        return grid.integral(rho * here.speed) - entropy + grid.integral(pi * (np.log(pi) - here.log_density)), rho

    for i in range(STEPS):
        (old, _), (new, rho) = side(us[i]), side(us[i + 1])
        first, last = bregman_part(i, pi), bregman_part(i + 1, pi)
        moved = bregman_part(i, rho) - bregman_part(i + 1, rho)  # B(ρ_{k+1} | ρ_{k+1}) = 0
        rows.append(((first - last) / eta, last / eta, new, old, moved / eta))
    return Sides(*np.array(rows).T)


def on_grid(case: Case, other: bool, *, remainder: bool = False, after: float = 1.0, explicit: bool = False) -> Rows:
    """All steps of all η; the last two arguments are for mutations."""
    low, high, where = [], [], []
    for eta in ETAS:
        sides = descend(case, other, eta)
        left, right = sides.drop + (1 - after) * sides.last, sides.before if explicit else sides.right
        low.append(np.abs(left - right - sides.moved) if remainder else right)
        high.append(0.0 * left if remainder else left)
        where.append(eta * np.arange(1.0, STEPS + 1))
    scale = abs(descend(case, False, ETAS[0]).before[0])
    names = ("|left − right − remainder|", "0") if remainder else ("right", "left")
    rows = inequality("t", np.concatenate(where), np.concatenate(low), np.concatenate(high), scale=scale, names=names)
    return replace(rows, drawn={})


@cache
def run(case: Case, eta: float) -> Mapping[str, Array]:
    """Records of six steps."""
    flow = BregmanProximal(case.problem, eta)
    return evolve(flow, flow.times(6)[-1:], initial=case.initial).records


def sums(case: Case, factor: float = 1.0) -> Rows:
    """∑η(KL + reverse KL) ≤ B_0, KL_T ≤ B_0/t and KL_{k+1} ≤ KL_k; ``factor`` counts the first step that often."""
    total, low, high = bregman(case, case.initial), [], []
    for eta in ETAS:
        records = run(case, eta)
        kl = records["kl"]
        low += [records["regret"][-1] + (factor - 1) * eta * records["pairing"][0], kl[-1] * 6 * eta]
        high += [total, total]
        low += kl[1:].tolist()
        high += (kl[:-1] + 1e-14).tolist()
    rows = inequality("row", np.arange(1.0, len(low) + 1), low, high, names=("sum, t·KL, KL", "B₀, KL before"))
    return replace(rows, drawn={})


def newton(case: Case) -> Rows:
    """Newton steps of the hardest of six steps, for each η."""
    return inequality("η", ETAS, [run(case, eta)["newton"].max() for eta in ETAS], NEWTON, names=("Newton steps", "4"))


def order(case: Case) -> Study:
    """sup |φ_{t/η} − φ̃_t|, constants included, against CVODE."""
    exact = reference(case).potentials[0]

    def at(eta: float) -> Mapping[str, float]:
        found = evolve(BregmanProximal(case.problem, eta), [case.t], initial=case.initial).potentials[0]
        return {"sup": case.problem.domain.sup(found - exact)}

    return Study.over("η", powers(8, 11), at)
