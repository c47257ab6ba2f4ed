"""The test problems, and the runs that several claims share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from pmasolve import (
    PLAIN,
    Fourier,
    Gauge,
    LinearisedMongeAmpere,
    MongeAmpere,
    Problem,
    Sinkhorn,
    Torus,
    Trajectory,
    Transport,
    evolve,
    transport,
)
from pmasolve.flows.reading import Linearisation, linearise_at
from pmasolve.machine.arrays import Array

from .claims import Level
from .densities import real_pair

Formula = Callable[..., Array]
TAU = 2 * np.pi

# Quadrature error relative to ε that is accepted: four digits below the smallest relative error any claim measures.
QUADRATURE = 1e-10


@dataclass(frozen=True, eq=False)
class Case:
    """A test problem on the unit torus: f, g, the start u₀ and the final time; ``n`` points along each axis."""

    name: str
    words: str
    dim: int
    f: Formula
    g: Formula
    u0: Formula
    t: float
    n: int
    eps: tuple[float, ...]

    @property
    def problem(self) -> Problem:
        """The problem on n points along each axis; one object for all claims."""
        return _problem(self)

    @property
    def initial(self) -> Array:
        """u₀ on the grid."""
        return self.u0(*self.problem.domain.points)

    def on(self, n: int) -> Case:
        """The same problem on another grid."""
        return replace(self, n=n)


@cache
def _problem(case: Case) -> Problem:
    return Problem(Torus((case.n,) * case.dim), case.f, case.g)


@cache
def reference(case: Case, rtol: float = 1e-11) -> Trajectory:
    """PMA at the final time by the PDE solver, Fourier in space."""
    return evolve(MongeAmpere(case.problem, rtol=rtol), [case.t], initial=case.initial)


@cache
def steady(case: Case) -> Transport:
    """The limit t → ∞ of PMA: Brenier's potential."""
    return transport(case.problem, tolerance=1e-14)


def linearised(case: Case, u: Array) -> Linearisation:
    """A(φ), log ρ_φ and 𝓛_φ at a potential on the case's grid."""
    return linearise_at(case.problem, Fourier().on(case.problem.domain), u)


@cache
def plain_corrector(case: Case) -> Array:
    """w_t of the plain start, w₀ = f/2."""
    return corrector(case, 0.5 * case.problem.f)


def corrector(case: Case, w: Array, rtol: float = 1e-9) -> Array:
    """w_t at the final time, from w₀ on the grid: ∂ₜw = 𝓛w along PMA."""
    flow = LinearisedMongeAmpere(case.problem, w, rtol=rtol)
    return evolve(flow, [case.t], initial=case.initial).fields["w"][0]


@cache
def sinkhorn(case: Case, eps: float, gauge: Gauge = PLAIN) -> Trajectory:
    """Sinkhorn at the final time."""
    flow = Sinkhorn(case.problem, eps, gauge=gauge, quadrature=QUADRATURE)
    return evolve(flow, [case.t], initial=case.initial)


def powers(first: int, last: int) -> tuple[float, ...]:
    """2^−first, …, 2^−last."""
    return tuple(2.0**-j for j in range(first, last + 1))


ANALYTIC_1D = Case(
    "1D analytic",
    "period 1, e^{−f} = 1 + 0.3 cos 2πx, e^{−g} = 1 + 0.3 sin 2πy, u₀ = 0.006 cos(2πx + 0.7), t = 1/32",
    1,
    lambda x: -np.log(1 + 0.3 * np.cos(TAU * x)),
    lambda y: -np.log(1 + 0.3 * np.sin(TAU * y)),
    lambda x: 0.006 * np.cos(TAU * x + 0.7),
    1 / 32,
    128,
    powers(8, 12),
)
ANALYTIC_2D = Case(
    "2D analytic",
    "f = 0.4 cos 2πx + 0.3 sin 2π(x+y), g = 0.3 sin 2πy − 0.3 cos 2π(x−y), "
    "u₀ = 0.004 cos(2πx + 0.7) + 0.003 sin 2π(x−y), t = 1/32",
    2,
    lambda x, y: 0.4 * np.cos(TAU * x) + 0.3 * np.sin(TAU * (x + y)),
    lambda x, y: 0.3 * np.sin(TAU * y) - 0.3 * np.cos(TAU * (x - y)),
    lambda x, y: 0.004 * np.cos(TAU * x + 0.7) + 0.003 * np.sin(TAU * (x - y)),
    1 / 32,
    72,
    powers(8, 11),
)
REAL_1D = Case(
    "1D real",
    "middle columns of photograph and elevation model, smoothed (see validation/densities.py), u₀ = 0, t = 1/64",
    1,
    real_pair(1)[0],
    real_pair(1)[1],
    lambda x: 0.0 * x,
    1 / 64,
    128,
    powers(9, 12),
)
REAL_2D = Case(
    "2D real",
    "photograph (source) and elevation model (target), smoothed to the 128² torus (see validation/densities.py), u₀ = 0, t = 1/64",
    2,
    real_pair(2)[0],
    real_pair(2)[1],
    lambda x, y: 0.0 * x,
    1 / 64,
    128,
    powers(9, 12),
)
QUICK = (ANALYTIC_1D, ANALYTIC_2D, REAL_1D, REAL_2D)
SMALL_3D = Case(
    "3D analytic",
    "f = 0.2 cos 2πx + 0.2 sin 2π(y+z), g = 0.2 sin 2πz − 0.2 cos 2π(x−y), u₀ = 0.002 cos 2π(x+y), t = 1/64",
    3,
    lambda x, y, z: 0.2 * np.cos(TAU * x) + 0.2 * np.sin(TAU * (y + z)),
    lambda x, y, z: 0.2 * np.sin(TAU * z) - 0.2 * np.cos(TAU * (x - y)),
    lambda x, y, z: 0.002 * np.cos(TAU * (x + y)),
    1 / 64,
    32,
    powers(6, 9),
)
NARROW = Case(
    "1D narrow",
    "f = exp((cos 2πx − 1)/0.1), g = 0, u₀ = 0, t = 1/32",
    1,
    lambda x: np.exp((np.cos(TAU * x) - 1) / 0.1),
    lambda y: 0.0 * y,
    lambda x: 0.0 * x,
    1 / 32,
    256,
    powers(10, 14),
)
FLAT = Case(
    "1D flat",
    "f = 0.01 cos 2πx, g = 0, u₀ = 0, t = 1/32",
    1,
    lambda x: 0.01 * np.cos(TAU * x),
    lambda y: 0.0 * y,
    lambda x: 0.0 * x,
    1 / 32,
    64,
    powers(8, 12),
)


def _bumps(x: Array, share: float) -> Array:
    """Two bumps of width 0.08 at ¼ and ¾, with this share of the mass in the first, on a floor of 0.02."""
    first, second = (
        np.exp((np.cos(TAU * (x - c)) - 1) / (0.08 * TAU) ** 2) / (0.08 * np.sqrt(TAU)) for c in (0.25, 0.75)
    )
    return -np.log(0.02 + share * first + (1 - share) * second)


CLUSTERS = Case(
    "1D two bumps",
    "two bumps of width 0.08 at ¼ and ¾ on a floor of 0.02, masses (0.01, 0.99) and (½, ½), u₀ = 0, t = 3/1000",
    1,
    lambda x: _bumps(x, 0.01),
    lambda y: _bumps(y, 0.5),
    lambda x: 0.0 * x,
    0.003,
    384,
    powers(10, 12),
)
FULL = (
    replace(ANALYTIC_1D, n=256, eps=powers(8, 14)),
    replace(ANALYTIC_2D, n=128, eps=powers(8, 12)),
    replace(REAL_1D, n=256, eps=powers(9, 14)),
    replace(REAL_2D, eps=powers(9, 13)),
)
WORDS = "; ".join(f"{case.name}: {case.words}" for case in QUICK)
WORDS_3D = f"{WORDS}; {SMALL_3D.name}: {SMALL_3D.words}"


LIGHT = (ANALYTIC_1D, replace(ANALYTIC_2D, n=48, eps=powers(7, 10)), REAL_1D)


def light(level: Level) -> tuple[Case, ...]:
    """Where every ε costs more than an iteration or two: three small problems, or all four and one in three dimensions."""
    return LIGHT if level is Level.QUICK else (*FULL, SMALL_3D)


def cases(level: Level) -> tuple[Case, ...]:
    """The four test problems with the grids and ε of a level."""
    return QUICK if level is Level.QUICK else FULL
