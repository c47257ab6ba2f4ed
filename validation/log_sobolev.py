"""Claim: a logarithmic Sobolev inequality gives the exponential rate of PMA."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from pmasolve import Fourier, MongeAmpere, Trajectory, evolve
from pmasolve.flows.reading import convexity

from .cases import FLAT, TAU, WORDS_3D, Case, light
from .claims import AtMost, Check, Claim, Level
from .energies import dissipation, divergences
from .evidence import Rows, against, inequality

CLAIM = Claim(
    name="log-sobolev",
    title="Entropy falls, and exponentially under a logarithmic Sobolev inequality",
    statement="dKL(ρ_t | e^{−f})/dt = −∫∇h·(D²φ̃_t)⁻¹∇h dρ_t, h = f + log ρ_t;  if KL ≤ FI/2κ for e^{−f} and "
    "(D²φ̃_t)⁻¹ ≥ λ then "
    "KL(ρ_t | e^{−f}) ≤ e^{−2κλt} KL(ρ₀ | e^{−f})",
    source="Deb, Kim, Pal, Schiebinger, arXiv 2307.16421, and the slides on arXiv 2504.09279; on the unit torus κ = "
    "4π² e^{−(max f − min f)} "
    "(Emery, Yukich; tensorisation; Holley, Stroock)",
    expected="identity and inequality",
    tolerance="relative difference of the integrated identity ≤ 1e-7; no violation at any time",
    problem=WORDS_3D + f"; {FLAT.name}: {FLAT.words}; λ = 1/sup λ_max(D²φ̃) over all times visited, up to 4t; integrals "
    f"over time by Gauss' rule, 12 nodes a piece",
    mutations="D²φ in place of its inverse (wrong metric); twice the dissipation; κ with e^{+(max f − min f)}; 1.5κ",
)
IDENTITY, HOLDS = {"difference": AtMost(1e-7)}, {"violation": AtMost(0)}
NODES = 12


def study(level: Level) -> Iterator[Check]:
    """Both on every problem, then what is broken."""
    problems = light(level)
    for case in problems:
        yield Check(f"{case.name}, dissipation", identity(case), IDENTITY)
        yield Check(f"{case.name}, rate", rate(case), HOLDS)
    yield Check(f"{FLAT.name}, rate", rate(FLAT), HOLDS)
    yield Check(FLAT.name, rate(FLAT, factor=1.5), HOLDS, "1.5κ")
    case = problems[0]
    yield Check(case.name, identity(case, wrong_metric=True), IDENTITY, "D²φ in place of its inverse")
    yield Check(case.name, identity(case, factor=2.0), IDENTITY, "twice the dissipation")
    yield Check(case.name, rate(case, sign=+1), HOLDS, "κ with e^{+(max f − min f)}")


def pieces(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cuts, nodes and weights of the rule in time."""
    x, w = np.polynomial.legendre.leggauss(NODES)
    cuts = case.t * np.array([0.0, 1.0, 4.0])
    half = 0.5 * np.diff(cuts)[:, None]
    return cuts, cuts[:-1, None] + half * (x + 1), half * w


@cache
def run(case: Case) -> Trajectory:
    """PMA at all nodes and cuts."""
    cuts, nodes, _ = pieces(case)
    return evolve(MongeAmpere(case.problem, rtol=1e-11), np.union1d(cuts, nodes), initial=case.initial)


def identity(case: Case, *, wrong_metric: bool = False, factor: float = 1.0) -> Rows:
    """Fall of KL on each piece against the integral of the dissipation."""
    found, (cuts, nodes, weights) = run(case), pieces(case)
    kl = dict(zip(found.times, (divergences(case, u)[0] for u in found.potentials), strict=True))
    where = dict(zip(found.times, found.potentials, strict=True))
    rows = {}
    for i, (times, w) in enumerate(zip(nodes, weights, strict=True)):
        integral = sum(
            wi * dissipation(case, where[t], wrong_metric=wrong_metric) for t, wi in zip(times, w, strict=True)
        )
        rows[f"fall of KL on piece {i + 1}"] = (kl[cuts[i]] - kl[cuts[i + 1]], factor * float(integral))
    return against(rows, source="the integral of the dissipation")


def rate(case: Case, sign: int = -1, factor: float = 1.0) -> Rows:
    """KL against its bound at all times; sign and factor of κ are for the mutations."""
    found, grid = run(case), case.problem.domain
    largest = max(convexity(Fourier().on(grid), u)[1] for u in found.potentials)
    kappa = factor * TAU**2 * np.exp(sign * np.ptp(case.problem.f))
    kl = np.array([divergences(case, u)[0] for u in found.potentials])
    bound = kl[0] * np.exp(-2 * kappa / largest * found.times)
    return inequality("t", found.times[1:], kl[1:], bound[1:], names=("KL(ρ_t | μ)", "bound"))
