"""Particles with their own potential: drifts, objectives, gauges, invariants, outcomes; mirror Langevin in a barrier."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from pmasolve import (
    CHI_SQUARED,
    PLAIN,
    SYMMETRIC,
    Cloud,
    Entropy,
    InteractingParticles,
    Objective,
    mirror_langevin,
)
from pmasolve.flows.langevin import QuadraticMirror
from pmasolve.gaussian import ClosedForm, Normal, Pair, Quadratic, negative_log

GOAL, REFERENCE, START = Normal([1.0], [[1.0]]), Normal([0.0], [[2.0]]), Normal([-0.5], [[0.5]])
F, G = negative_log(GOAL), negative_log(REFERENCE)
FLAT = QuadraticMirror(Quadratic([[1.0]]))


def grid_cloud(law: Normal, n: int = 400) -> Cloud:
    """A density as nodes with masses."""
    y = np.linspace(-7, 7, n)
    return Cloud(y[:, None], np.exp(law.log_density(y)))


def quantiles(law: Normal, n: int) -> np.ndarray:
    """Points of equal mass, (n, 1)."""
    return law.mean + np.sqrt(law.cov[0, 0]) * norm.ppf((np.arange(n) + 0.5) / n)[:, None]


@pytest.mark.parametrize("noisy", [False, True])
def test_a_density_as_nodes_and_the_drift_of_the_closed_form(noisy: bool) -> None:
    flow = InteractingParticles(F, grid_cloud(REFERENCE), 0.1, g=G, noisy=noisy)
    z = quantiles(START, 800)
    here, pair = flow.carry(z, 0.1), Pair(GOAL, REFERENCE)
    middle = np.abs(z[:, 0] + 0.5) < 1.0
    A = pair.potential(START).hessian[0, 0]
    expected = -(z - 1.0) / A + (0.0 if noisy else A * (z + 0.5) / 2.0)
    assert np.abs(flow.drift(here) - expected)[middle].max() < 0.05
    assert np.abs(here.hessian[middle, 0, 0] - A).max() < 0.05
    assert here.image.var() == pytest.approx(2.0, rel=0.02)


def test_other_objectives_scale_the_speed() -> None:
    rng = np.random.default_rng(2)
    z, y = START.sample(60, rng), REFERENCE.sample(60, rng)
    kl, chi, own = (
        InteractingParticles(F, y, 1.0, g=G, noisy=False, objective=objective)
        for objective in (Objective(lambda s: s, np.ones_like), CHI_SQUARED, Objective(np.expm1, np.exp))
    )
    here = kl.carry(z, 1.0)
    A = F(z) - G(here.image) + np.log(here.hessian[:, 0, 0])
    assert np.allclose(chi.drift(here), np.exp(A)[:, None] * kl.drift(here), rtol=1e-10)
    assert np.allclose(chi.drift(here), own.drift(here), rtol=1e-10)
    noisy = InteractingParticles(F, y, 1.0, g=G)
    assert np.allclose(noisy.drift(here), InteractingParticles(F, y, 1.0).drift(here), rtol=1e-9, atol=1e-9)


def test_a_run_reaches_the_flow_in_both_gauges_and_chooses_eps() -> None:
    exact = ClosedForm(Pair(GOAL, REFERENCE), Pair(GOAL, REFERENCE).potential(START)).law(0.5)
    z, y, times = quantiles(START, 150), quantiles(REFERENCE, 150), np.linspace(0, 0.5, 6)
    runs = {
        "self": InteractingParticles(F, y, 0.5, g=G, noisy=False).run(z, times),
        "plain": InteractingParticles(F, y, 0.2, g=G, noisy=False, gauge=PLAIN).run(z, times),
        "chosen": InteractingParticles(F, y, None, g=G, noisy=False).run(z, times),
    }
    for name, run in runs.items():
        assert run.outcome.ok
        law = Normal(run.positions[-1].mean(axis=0), np.cov(run.positions[-1].T).reshape(1, 1))
        assert law.wasserstein(exact) < (0.15 if name == "plain" else 0.08), name
        assert abs(run.images[-1].mean()) < 1e-2
        assert run.records["min_eigenvalue"].min() > 0
    assert 0 < runs["chosen"].eps < 10
    assert repr(runs["self"]) == "<ParticleRun: 150 particles at 6 times, ε = 0.5, reached>"


def test_a_potential_that_folds_ends_the_run_by_name() -> None:
    rng = np.random.default_rng(0)
    z = np.concatenate([rng.normal(m, 0.1, (n, 1)) for m, n in ((-2, 40), (0, 2), (2, 40))])
    run = InteractingParticles(F, rng.normal(0, 0.1, (40, 1)), 2.0).run(z, [0.0, 0.1], rng)
    assert run.outcome.name == "convexity lost"
    assert "eps above 2" in run.outcome.advice
    assert run.positions.size == 0


def test_mirror_langevin_keeps_to_a_barrier_and_finds_its_law() -> None:
    class Interval:
        """φ = −log(1 − x²)."""

        def gradient(self, x):
            return 2 * x / (1 - x**2)

        def hessian(self, x):
            return (2 * (1 + x**2) / (1 - x**2) ** 2)[:, :, None]

        def inverse(self, y):
            return y / (1 + np.sqrt(1 + y**2))

    rng, start = np.random.default_rng(7), np.full((8000, 1), 0.5)
    x = mirror_langevin(Interval(), lambda x: 4 * x / (1 - x**2), start, 0.01, 300, rng)  # density ∝ (1 − x²)²
    assert np.abs(x).max() < 1
    assert x.mean() == pytest.approx(0, abs=0.02)
    assert x.var() == pytest.approx(1 / 7, rel=0.06)


def test_in_the_mirror_of_the_limit_both_diffusions_are_one() -> None:
    phi = Pair(GOAL, REFERENCE).brenier()
    start, rng = START.sample(8000, np.random.default_rng(3)), np.random.default_rng(4)
    z = mirror_langevin(QuadraticMirror(phi), F.gradient, start, 0.05, 160, rng, inner=1)
    assert Normal(z.mean(axis=0), np.cov(z.T).reshape(1, 1)).wasserstein(GOAL) < 0.08
    assert np.var(phi.gradient(z)) == pytest.approx(2.0, rel=0.05)


def test_a_step_that_throws_a_particle_away_is_named_and_the_others_are_kept() -> None:
    rng = np.random.default_rng(1)
    goal, reference = Normal([1.0], [[1.0]]), Normal([0.0], [[2.0]])
    y, z = reference.sample(100, rng), Normal([-1.0], [[0.5]]).sample(100, rng)
    flow = InteractingParticles(negative_log(goal), y, 0.3, gauge=PLAIN)
    run = flow.run(
        z, np.linspace(0, 1, 11), np.random.default_rng(0)
    )  # D²φ̂ falls to 0.008, and Euler's steps are too long
    assert run.outcome.name == "unstable step"
    assert run.times.size >= 8
    assert np.abs(run.positions).max() < 20
    far = flow.run(z - 100.0, [0.0, 0.1, 0.2], np.random.default_rng(0))  # all together may go as far as they like
    assert far.outcome.ok


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda y: InteractingParticles(F, y, 0.0), "eps=0.0: .* positive"),
        (lambda y: InteractingParticles(F, y, 1.0, noisy=False), "g=None"),
        (lambda y: InteractingParticles(F, y, 1.0, objective=CHI_SQUARED), "g=None"),
        (lambda y: InteractingParticles(F, y, 1.0, g=G, objective=Entropy()), "no uniform law"),
        (lambda y: InteractingParticles(F, y, 1.0, gauge=SYMMETRIC), "SELF or PLAIN"),
        (lambda y: InteractingParticles(lambda x: x, y, 1.0), "f=.*gradient"),
        (lambda y: InteractingParticles(F, y, 1.0).run(y, [0.0, 0.1]), "rng=None"),
        (lambda y: InteractingParticles(F, y, 1.0).run(y, [0.0, 0.1], 0), "rng=0: .*default_rng"),
        (lambda y: InteractingParticles(F, y, 1.0).run(y, [0.1], np.random.default_rng(0)), "two times"),
        (
            lambda y: mirror_langevin(
                QuadraticMirror(Quadratic([[1.0]])), F.gradient, y, 0.0, 1, np.random.default_rng(0)
            ),
            "step=0.0",
        ),
        (
            lambda y: mirror_langevin(QuadraticMirror(Quadratic([[1.0]])), F.gradient, y, 0.1, 1, 0),
            "rng=0: .*default_rng",
        ),
        (
            lambda y: mirror_langevin(
                QuadraticMirror(Quadratic([[1.0]])), lambda x: x * np.nan, y, 0.1, 1, np.random.default_rng(0)
            ),
            "5 coordinates are not finite in step 0",
        ),
    ],
)
def test_mistakes(act, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        act(np.linspace(-1, 1, 5)[:, None])
