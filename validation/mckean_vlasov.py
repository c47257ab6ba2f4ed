"""Claim: the diffusion with the mirror flow's law, by moments and by histograms, with confidence bands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from pmasolve import MongeAmpere, Trajectory, evolve
from pmasolve.flows.mirror import Law
from pmasolve.flows.particles import Coefficients, GaussianCoefficients, TrajectoryCoefficients, simulate
from pmasolve.gaussian import ClosedForm
from pmasolve.machine.arrays import Array

from .cases import ANALYTIC_1D, ANALYTIC_2D, WORDS, Case
from .claims import AtMost, Check, Claim, Level
from .evidence import Rows, estimates
from .gaussians import Gaussians
from .waves import displacement

CLAIM = Claim(
    name="mckean-vlasov",
    title="The McKean–Vlasov diffusion has the mirror flow's law",
    statement="dZ = [−(D²φ̃_t)⁻¹∇(f + log ρ_t)(Z) − ∇g(∇φ̃_t(Z))] dt + (2(D²φ̃_t(Z))⁻¹)^½ dB (Itô), Z₀ ~ ρ₀ ⇒ Z_t ~ "
    "ρ_t and ∇φ̃_t(Z_t) ~ e^{−g}; "
    "the drift is −(D²φ̃_t)⁻¹∇(f + log det D²φ̃_t)",
    source="Deb, Kim, Pal, Schiebinger, arXiv 2307.16421; equation (0.1) of the slides on arXiv 2504.09279; the form "
    "without ρ was derived for this package",
    expected="moments of N(m, V) at t, and the masses of 16 cells of each coordinate of Z_t and of ∇φ̃_t(Z_t)",
    tolerance="all estimates of a check at once within their confidence bands of level 0.999; Euler–Maruyama steps so "
    "short that their bias is "
    "below a tenth of the bands",
    problem="d = 3, non-commuting, seed 31, t = ½; " + WORDS + "; seeds of the paths 41 to 44",
    mutations="the drift without −∇g(∇φ̃_t(Z)); D²φ̃ in place of its inverse in the noise (wrong metric)",
)
BAND = {"band": AtMost(1.0)}
CONFIDENCE = 0.999
PATHS, STEPS = {Level.QUICK: 20_000, Level.FULL: 200_000}, {Level.QUICK: 100, Level.FULL: 800}
CELLS, HALF = 16, 0.5


@dataclass(frozen=True, eq=False)
class Broken:
    """Coefficients with a wrong drift or noise."""

    right: Coefficients
    drift: Callable[[float, Array, Array], Array] = lambda t, z, value: value
    noise: Callable[[float, Array, Array], Array] = lambda t, z, value: value

    @property
    def dim(self) -> int:
        """That of ``right``."""
        return self.right.dim

    def __call__(self, t: float) -> tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]:
        """Those of ``right``, passed on through ``drift`` and ``noise``."""
        drift, noise = self.right(t)
        return lambda z: self.drift(t, z, drift(z)), lambda z, xi: self.noise(t, z, noise(z, xi))


def study(level: Level) -> Iterator[Check]:
    """Normal distributions, the torus, then what is broken."""
    g = Gaussians.random(3, 31)
    flow = ClosedForm(g.pair, g.start)
    for reduced in (True, False):
        words = "drift without ρ" if reduced else "drift as printed"
        yield Check(
            f"d = 3, {words}", moments(flow, GaussianCoefficients(flow, reduced), level, 41 + (not reduced)), BAND
        )
    for seed, case in ((43, ANALYTIC_1D), (44, ANALYTIC_2D)) if level is Level.FULL else ((43, ANALYTIC_1D),):
        yield Check(f"{case.name}, histograms", histograms(case, level, seed), BAND)
    right = GaussianCoefficients(flow)
    yield Check(
        "d = 3",
        moments(flow, Broken(right, drift=lambda t, z, v: v + slope(flow, t, z)), level, 41),
        BAND,
        "−∇g left out of the drift",
    )
    yield Check(
        "d = 3",
        moments(flow, Broken(right, noise=lambda t, z, v: v @ flow.hessian(t)), level, 41),
        BAND,
        "D²φ̃^½ in the noise",
    )


def slope(flow: ClosedForm, t: float, z: Array) -> Array:
    """∇g(∇φ_t(z))."""
    a, b = flow.pair.source.mean, flow.pair.target.mean
    return np.linalg.solve(flow.pair.target.cov, ((z - a) @ flow.hessian(t) + flow.slope(t) - b).T).T


def moments(flow: ClosedForm, coefficients: Coefficients, level: Level, seed: int) -> Rows:
    """Means and covariances at t = ½."""
    rng, n = np.random.default_rng(seed), PATHS[level]
    z = simulate(coefficients, flow.law(0).sample(n, rng), np.linspace(0, HALF, STEPS[level] + 1), rng)
    law, rows = flow.law(HALF), {}
    V, found = law.cov, np.cov(z.T)
    for i in range(law.dim):
        rows[f"mean {i + 1}"] = (float(z[:, i].mean()), float(np.sqrt(V[i, i] / n)), float(law.mean[i]))
        for j in range(i + 1):
            error = float(np.sqrt((V[i, i] * V[j, j] + V[i, j] ** 2) / n))
            rows[f"covariance {i + 1}{j + 1}"] = (float(found[i, j]), error, float(V[i, j]))
    return estimates(rows, confidence=CONFIDENCE, seeds=[31, seed])


def histograms(case: Case, level: Level, seed: int) -> Rows:
    """Masses of cells of each coordinate, of Z_t and of ∇φ̃_t(Z_t)."""
    rng, n, grid = np.random.default_rng(seed), PATHS[level], case.problem.domain
    run = trajectory(case, STEPS[level])
    first, last = Law.of(run, 0), Law.of(run, run.times.size - 1)
    start = displacement(grid, first.potential).inverse(target_sample(case, n, rng))  # ρ₀ = (∇φ₀*)_# e^{−g}
    z = simulate(TrajectoryCoefficients(run), start, run.times, rng)
    image = displacement(grid, last.potential)(grid.fold(z))
    rows = {}
    for name, points, density in (("Z", z, last.density), ("∇φ(Z)", image, np.exp(-case.problem.g))):
        for axis in range(grid.dim):
            expected = cell_masses(density, axis)
            counted = np.histogram(grid.fold(points)[:, axis], CELLS, (0.0, 1.0))[0] / n
            for cell, (p, q) in enumerate(zip(counted, expected, strict=True)):
                rows[f"{name}, axis {axis + 1}, cell {cell + 1}"] = (
                    float(p),
                    float(np.sqrt(q * (1 - q) / n)),
                    float(q),
                )
    return estimates(rows, confidence=CONFIDENCE, seeds=[seed])


def trajectory(case: Case, steps: int) -> Trajectory:
    """PMA at every time of a step."""
    return evolve(MongeAmpere(case.problem, rtol=1e-9), np.linspace(0, case.t, steps + 1), initial=case.initial)


def target_sample(case: Case, n: int, rng: np.random.Generator) -> Array:
    """Independent points of e^{−g}, by rejection."""
    ceiling, kept, count = float(np.exp(-case.problem.g).max()) * 1.05, [], 0
    while count < n:
        points = rng.random((2 * n, case.dim))
        accepted = points[rng.random(2 * n) * ceiling < np.exp(-case.problem.target(points))]
        kept.append(accepted)
        count += len(accepted)
    return np.concatenate(kept)[:n]


def cell_masses(density: Array, axis: int) -> Array:
    """Masses of `CELLS` equal cells of one coordinate: the marginal's Fourier series integrated."""
    marginal = density.mean(axis=tuple(i for i in range(density.ndim) if i != axis))
    modes = np.fft.rfft(marginal)[: marginal.size // 2] / marginal.size
    edges, k = np.arange(CELLS + 1) / CELLS, np.arange(1, modes.size)
    primitive = edges * modes[0].real
    primitive = primitive + 2 * np.real(np.exp(2j * np.pi * np.outer(edges, k)) @ (modes[1:] / (2j * np.pi * k)))
    return np.diff(primitive)
