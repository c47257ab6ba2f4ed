"""The McKean–Vlasov diffusion has the law of the flow: moments within confidence bands; seeds are fixed.

Bands are 4 standard errors (99.99 % for one moment) plus the weak error of the step, measured or bounded as said.
"""

from __future__ import annotations

import numpy as np
import pytest
from cases import T1_START, T2_START, TAU, t2

from pmasolve import Box, MongeAmpere, Problem, evolve
from pmasolve.flows.mirror import Law
from pmasolve.flows.particles import GaussianCoefficients, TrajectoryCoefficients, drift_of, sample, simulate
from pmasolve.gaussian import ClosedForm, Normal, Pair, Quadratic

PAIR = Pair(Normal([0.5, -0.2], [[1.0, 0.3], [0.3, 0.6]]), Normal([0.1, 0.4], [[0.8, -0.2], [-0.2, 1.5]]))
START = Quadratic([[1.0, 0.2], [0.2, 0.7]], [0.3, 0.0])


def test_gaussian_law_by_moments() -> None:
    flow, rng, n = ClosedForm(PAIR, START), np.random.default_rng(20250711), 60_000
    z = simulate(GaussianCoefficients(flow), flow.law(0.0).sample(n, rng), np.linspace(0, 0.5, 101), rng)
    law = flow.law(0.5)
    scale = np.sqrt(np.diag(law.cov))
    assert np.all(np.abs(z.mean(axis=0) - law.mean) < 4 * scale / np.sqrt(n) + 0.005 * scale)
    assert np.all(np.abs(np.cov(z.T) - law.cov) < (4 * np.sqrt(2 / n) + 0.005) * np.outer(scale, scale))
    y = flow.potential(0.5).gradient(z)  # e^{−g} for all t
    spread = np.sqrt(np.diag(PAIR.target.cov))
    assert np.all(np.abs(np.cov(y.T) - PAIR.target.cov) < (4 * np.sqrt(2 / n) + 0.005) * np.outer(spread, spread))


def test_both_forms_of_the_drift_agree() -> None:
    flow, z = ClosedForm(PAIR, START), np.random.default_rng(3).standard_normal((50, 2))
    short, long = (GaussianCoefficients(flow, reduced=reduced)(0.3)[0](z) for reduced in (True, False))
    assert short == pytest.approx(long, rel=1e-12)
    problem = t2(32)
    law = Law(problem, T2_START(problem.domain.points))
    assert (
        np.max(np.abs(drift_of(law) - drift_of(law, reduced=False))) < 1e-5
    )  # round-off and aliasing of third derivatives


def test_without_the_target_force_the_law_is_wrong() -> None:
    """−∇g(∇φ) left out: the test above would notice."""
    flow, rng, n = ClosedForm(PAIR, START), np.random.default_rng(11), 5_000

    class Broken(GaussianCoefficients):
        def __call__(self, t: float):
            drift, noise = super().__call__(t)
            A, q, Q = flow.hessian(t), flow.slope(t), np.linalg.inv(PAIR.target.cov)
            return lambda z: drift(z) + ((z - PAIR.source.mean) @ A + q - PAIR.target.mean) @ Q, noise

    z = simulate(Broken(flow, reduced=False), flow.law(0.0).sample(n, rng), np.linspace(0, 0.5, 26), rng)
    assert np.abs(np.cov(z.T) - flow.law(0.5).cov).max() > 0.3


@pytest.mark.parametrize("dim", [1, 2])
def test_torus_law_by_fourier_moments(dim: int, line: Problem) -> None:
    problem, start, n = (line, T1_START, 100_000) if dim == 1 else (t2(32), T2_START, 30_000)
    times = np.linspace(0, 1 / 64, 33)
    run = evolve(MongeAmpere(problem), times, initial=start(problem.domain.points))
    rng = np.random.default_rng(17 + dim)
    z = simulate(TrajectoryCoefficients(run), sample(Law.of(run, 0), n, rng), times, rng)
    law, x = Law.of(run, -1), problem.domain.points
    for wave in np.eye(dim):
        phase, points = TAU * np.tensordot(wave, x, 1), TAU * z @ wave
        for f in (np.cos, np.sin):
            assert abs(np.mean(f(points)) - law.mean(f(phase))) < 4 * np.sqrt(0.5 / n) + 0.002


def test_seed_and_times() -> None:
    flow = ClosedForm(PAIR, START)
    runs = [
        simulate(GaussianCoefficients(flow), np.zeros((3, 2)), [0, 0.1, 0.2], np.random.default_rng(seed))
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(runs[0], runs[1])
    assert not np.allclose(runs[0], runs[2])
    with pytest.raises(ValueError, match="increasing"):
        simulate(GaussianCoefficients(flow), np.zeros((3, 2)), [0.1, 0.1], np.random.default_rng(1))


def test_walls_are_refused() -> None:
    box = Problem(Box((16,)), lambda x: 0 * x, lambda y: 0 * y)
    with pytest.raises(ValueError, match="particles move on a Torus"):
        TrajectoryCoefficients(evolve(MongeAmpere(box), [0.01]))


def test_times_must_be_the_trajectory_s(line: Problem) -> None:
    run = evolve(MongeAmpere(line), [0.0, 0.01])
    with pytest.raises(ValueError, match="not among the trajectory's times"):
        simulate(TrajectoryCoefficients(run), np.zeros(3), [0.0, 0.005, 0.01], np.random.default_rng(1))
