"""Claim: along PMA the Bregman divergence falls at the rate of Jeffreys' divergence, an identity."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from pmasolve import MongeAmpere, Trajectory, evolve

from .cases import CLUSTERS, WORDS_3D, Case, light, linearised
from .claims import AtMost, Check, Claim, Level
from .energies import bregman, divergences, energy
from .evidence import Rows, against, inequality

CLAIM = Claim(
    name="evi",
    title="Jeffreys' identity, and KL ≤ B/t",
    statement="d/dt B_G(e^{−f} | ρ_t) = −KL(ρ_t | e^{−f}) − KL(e^{−f} | ρ_t), G = ½W₂²(·, e^{−g});  hence KL(ρ_t | "
    "e^{−f}) ≤ B_G(e^{−f} | ρ₀)/t;  for any π:  d/dt B_G(π | ρ_t) = KL(π | e^{−f}) − KL(π | ρ_t) − KL(ρ_t | e^{−f})",
    source="the evolution variational inequality of the mirror flow: Deb, Kim, Pal, Schiebinger, arXiv 2307.16421; "
    "Deb, Liang, "
    "arXiv 2504.09279; that it is an identity along PMA was derived for this package",
    expected="B_G at 0 less B_G at t equals the integral of Jeffreys' divergence; the inequality at every time",
    tolerance="relative difference ≤ 1e-8; no violation",
    problem=WORDS_3D
    + f"; {CLUSTERS.name}: {CLUSTERS.words}; integrals over time by Gauss' rule with 12 nodes on [0, t/4], [t/4, t] and [t, 4t]",
    mutations="KL(π | e^{−f}) left out; KL(ρ_t | e^{−f}) alone, twice; G without its factor ½; the bound B_G(e^{−f} | ρ₀)/(4t)",
)
IDENTITY = {"difference": AtMost(1e-8)}
HOLDS = {"violation": AtMost(0)}
NODES = 12
CUTS = (0.0, 0.25, 1.0, 4.0)  # in units of t


def study(level: Level) -> Iterator[Check]:
    """Identity and inequality, then what is broken."""
    problems = light(level)
    for case in problems:
        yield Check(f"{case.name}, identity", identity(case), IDENTITY)
        yield Check(f"{case.name}, identity for π = e^{{−g}}", other_law(case), IDENTITY)
        yield Check(f"{case.name}, KL ≤ B/t", bound(case), HOLDS)
    case = problems[0]
    yield Check(f"{CLUSTERS.name}, KL ≤ B/t", bound(CLUSTERS), HOLDS)
    yield Check(case.name, other_law(case, kept=0.0), IDENTITY, "KL(π | e^{−f}) left out")
    yield Check(case.name, identity(case, weights=(2.0, 0.0)), IDENTITY, "KL(ρ_t | e^{−f}) alone, twice")
    yield Check(case.name, identity(case, factor=2.0), IDENTITY, "G without its factor ½")
    yield Check(CLUSTERS.name, bound(CLUSTERS, part=0.25), HOLDS, "the bound B_G(e^{−f} | ρ₀)/(4t)")


def _nodes(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Gauss' nodes and weights on each piece, (pieces, NODES)."""
    x, w = np.polynomial.legendre.leggauss(NODES)
    cuts = case.t * np.array(CUTS)
    length = np.diff(cuts)[:, None]
    return cuts[:-1, None] + 0.5 * length * (x + 1), 0.5 * length * w


@cache
def run(case: Case) -> Trajectory:
    """PMA at all nodes and cuts but 0."""
    times = np.union1d(_nodes(case)[0], case.t * np.array(CUTS[1:]))
    return evolve(MongeAmpere(case.problem, rtol=1e-11), times, initial=case.initial)


def _at(case: Case, t: float) -> np.ndarray:
    found = run(case)
    return case.initial if t == 0 else found.potentials[int(np.argmin(np.abs(found.times - t)))]


def identity(case: Case, weights: tuple[float, float] = (1.0, 1.0), factor: float = 1.0) -> Rows:
    """Fall of B_G on each piece against the integral; the last two arguments are for the mutations."""
    nodes, quadrature = _nodes(case)
    values = [factor * bregman(case, _at(case, case.t * cut)) for cut in CUTS]
    rows = {}
    for i, (times, w) in enumerate(zip(nodes, quadrature, strict=True)):
        jeffreys = [np.dot(weights, divergences(case, _at(case, t))) for t in times]
        name = f"fall of B from {CUTS[i]:g}t to {CUTS[i + 1]:g}t"
        rows[name] = (values[i] - values[i + 1], float(np.dot(w, jeffreys)))
    return against(rows, source="the integral of Jeffreys' divergence")


def other_law(case: Case, kept: float = 1.0) -> Rows:
    """The same for π = e^{−g} taken as a density of the source's side; what does not depend on ρ cancels in the fall of B_G."""
    grid, pi = case.problem.domain, np.exp(-case.problem.g)
    offset = (1 - kept) * grid.integral(pi * (case.problem.f - case.problem.g))  # KL(π | e^{−f}), for the mutation
    nodes, quadrature = _nodes(case)

    def rate(t: float) -> float:
        here = linearised(case, _at(case, t))
        return grid.integral(here.speed * (np.exp(here.log_density) - pi)) + offset

    values, rows = [energy(case, _at(case, case.t * cut), pi) for cut in CUTS], {}
    for i, (times, w) in enumerate(zip(nodes, quadrature, strict=True)):
        name = f"fall of B from {CUTS[i]:g}t to {CUTS[i + 1]:g}t"
        rows[name] = (values[i] - values[i + 1], float(np.dot(w, [rate(t) for t in times])))
    return against(rows, source="the integral of KL(ρ_t | μ) − KL(π | μ) + KL(π | ρ_t)")


def bound(case: Case, part: float = 1.0) -> Rows:
    """KL(ρ_t | e^{−f}) ≤ B_G(e^{−f} | ρ₀)/t at all nodes."""
    times, first = run(case).times, bregman(case, case.initial)
    kl = [divergences(case, u)[0] for u in run(case).potentials]
    return inequality("t", times, kl, part * first / times, names=("KL(ρ_t | μ)", "B/t"))
