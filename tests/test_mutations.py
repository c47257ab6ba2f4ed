"""Checks that can fail: each one passes for the package and fails for a deliberately wrong copy of one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from cases import KNOWN, T1_START, t1

from pmasolve import SYMMETRIC, Gauge, MongeAmpere, Richardson, Sinkhorn, evolve
from pmasolve.calculus.hessians import log_det_inverse
from pmasolve.flows import evolution
from pmasolve.flows.reading import Linearisation
from pmasolve.sinkhorn.softmin.dense import Dense, DenseKernel
from pmasolve.sinkhorn.softmin.separable import Separable
from pmasolve.studies.convergence import running_orders

# --- PMA: signs --------------------------------------------------------------------------------------------------------


def wrong_linearise(sign_g: float, sign_f: float, sign_det: float) -> Callable:
    """`evolution.linearise` with chosen signs."""

    def linearise(problem, operators, jet, differences=False):
        logdet, inverse, _ = log_det_inverse(jet.D2, jet.D2)
        composed = sign_g * problem.target.at(problem.domain.displaced(jet.D))
        speed = sign_f * problem.f + sign_det * logdet - composed
        return Linearisation(problem, operators, speed, inverse, composed, bool(np.isfinite(speed).all()))

    return linearise


def distance_from_extrapolated_sinkhorn() -> float:
    """Two solvers with no line in common."""
    problem, times = t1(64), [1 / 64]
    start = T1_START(problem.domain.points)
    a = evolve(MongeAmpere(problem, rtol=1e-9), times, initial=start, throw=False)
    b = evolve(Richardson(problem, 1 / 128, levels=4, quadrature=1e-8), times, initial=start, throw=False)
    return float(np.max(np.abs(a.potentials - b.potentials))) if a.times.size and b.times.size else np.inf


def distance_from_the_known_answer() -> float:
    """A manufactured steady state."""
    problem = KNOWN[1].problem((48,))
    run = evolve(MongeAmpere(problem, rtol=1e-9), [0.6], throw=False)
    if not run.times.size:
        return np.inf
    return problem.domain.sup(problem.domain.centred(run.potentials[-1] - KNOWN[1].u(problem.domain.points)))


CHECKS = [distance_from_extrapolated_sinkhorn, distance_from_the_known_answer]


@pytest.mark.parametrize("check", CHECKS)
def test_right_signs_pass(check, monkeypatch) -> None:
    assert check() < 1e-7
    monkeypatch.setattr(evolution, "linearise", wrong_linearise(1, 1, 1))  # the copy itself is right
    assert check() < 1e-7


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize(
    "signs", [(-1, 1, 1), (1, -1, 1), (0, 1, 1), (1, 1, 0.5)], ids=["-g", "-f", "no g", "half log det"]
)
def test_wrong_signs_fail(check, signs, monkeypatch) -> None:
    monkeypatch.setattr(evolution, "linearise", wrong_linearise(*signs))
    assert check() > 1e-4


# --- the marginal: e^{−f} dropped ----------------------------------------------------------------------------------------


def marginal_defect(log_marginal: Callable) -> float:
    """sup |log p − log p_X γ| against the row sums of the plan itself."""
    problem, eps = t1(48), 0.01
    grid, flow = problem.domain, Sinkhorn(problem, eps)
    u = T1_START(grid.points)
    v = flow.half_step(u)
    kernel = Dense().bind(grid, grid, eps).log_kernel
    gamma = np.exp(kernel + (-u / eps - problem.f)[:, None] + (-v / eps - problem.g)[None, :]) * grid.cell**2
    return float(np.max(np.abs(log_marginal(flow, u) - np.log(gamma.sum(axis=1) / grid.cell))))


def test_marginal_needs_its_factor() -> None:
    assert marginal_defect(Sinkhorn.log_source_marginal) < 1e-12
    assert marginal_defect(lambda flow, u: flow.log_source_marginal(u) + flow.problem.f) > 0.1


# --- the kernel: nearest image instead of all images -----------------------------------------------------------------------


@dataclass(frozen=True)
class NearestImage:
    """exp(−dist²/2ε): wrong on a torus by exp(−1/8ε)."""

    def bind(self, source, target, eps: float) -> DenseKernel:
        """A dense kernel of nearest images."""
        d = source.axis(0)[:, None] - target.axis(0)[None, :]
        return DenseKernel(source, target, eps, -((d - np.round(d)) ** 2) / (2 * eps))


def heat_defect(softmin, eps: float) -> float:
    """One iteration against the heat semigroup: convolution with √(2πε)·(heat kernel at time ε/2) by Fourier multipliers."""
    problem = t1(64)
    multiplier = np.sqrt(2 * np.pi * eps) * np.exp(-2 * (np.pi * np.fft.rfftfreq(64, 1 / 64)) ** 2 * eps)
    u = T1_START(problem.domain.points)
    v = eps * np.log(np.fft.irfft(multiplier * np.fft.rfft(np.exp(-u / eps - problem.f)), 64))
    expected = eps * np.log(np.fft.irfft(multiplier * np.fft.rfft(np.exp(-v / eps - problem.g)), 64))
    got = evolve(Sinkhorn(problem, eps, softmin=softmin), [eps], initial=u).potentials[0]
    return float(np.max(np.abs(got - expected)))


@pytest.mark.parametrize("eps", [0.1, 0.5])
def test_kernel_needs_all_images(eps: float) -> None:
    assert heat_defect(Dense(), eps) < 1e-13
    assert heat_defect(Separable(), eps) < 1e-13
    assert heat_defect(NearestImage(), eps) > 1e-3


# --- the gauge: half of it ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "gauge", [SYMMETRIC, Gauge("flipped", source=0.5, returned=-0.5), Gauge("one-sided", source=-0.5)], ids=str
)
def test_symmetric_gauge_needs_its_sign_and_both_halves(gauge: Gauge) -> None:
    problem, t = t1(96), 1 / 32
    start = T1_START(problem.domain.points)
    limit = evolve(MongeAmpere(problem, rtol=1e-11), [t], initial=start).potentials[0]
    epsilons = np.array([2.0**-8, 2.0**-9])
    runs = [evolve(Sinkhorn(problem, eps, gauge=gauge), [t], initial=start) for eps in epsilons]
    order = running_orders(epsilons, np.array([np.max(np.abs(run.potentials[0] - limit)) for run in runs]))[0]
    assert (abs(order - 2) < 0.1) == (gauge is SYMMETRIC)
