"""Results go to other processes: what the public functions return is pickled, and comes back as it was."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest

import pmasolve as pma
from pmasolve import denoising

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((40, 2)), RNG.standard_normal((40, 2)) * [2.0, 0.5]
WAVE = 0.3 * np.cos(2 * np.pi * np.arange(16) / 16)


def line() -> pma.Problem:
    """Arrays: a user's own lambdas are for the user to name."""
    return pma.Problem(pma.Torus((16,)), WAVE, np.zeros(16))


def clouds() -> pma.Problem:
    """Samples."""
    return pma.Problem.from_samples(X, Y)


def implicit() -> pma.Trajectory:
    """Of samples on a line."""
    flow = pma.ImplicitSampler(pma.SampleProblem(np.concatenate([X[:, 0], Y[:, 0]])), pma.LogSumExp(1))
    return pma.evolve(flow, flow.times(3)[-1:], throw=False)


def blocks() -> pma.Trajectory:
    """From diffused points."""
    law = pma.Diffused.within(X, 0.4)
    flow = pma.JKOSampler(pma.SampleProblem(law.sample(150, 0)), pma.ConvexBlocks(0), density=law.density)
    return pma.evolve(flow, flow.times(1), throw=False)


MADE: dict[str, Callable[[], object]] = {
    "Problem": line,
    "Trajectory": lambda: pma.evolve(pma.MongeAmpere(line()), [0.01]),
    "Trajectory of clouds": lambda: pma.evolve(pma.Sinkhorn(clouds(), 0.5), [1.0]),
    "Transport": lambda: pma.transport(line()),
    "rough Transport": lambda: pma.transport(line(), method=pma.SemiDual(), gap=0.2),
    "Distances": lambda: pma.pairwise(line().domain, [1 + WAVE, np.ones(16)]),
    "Schroedinger": lambda: pma.schroedinger(line(), 0.05),
    "Plan": lambda: pma.schroedinger(clouds(), 1.0).plan,
    "Brenier": lambda: pma.brenier(line(), 0.05, levels=2),
    "EpsChoice": lambda: pma.choose_eps(clouds(), halvings=1, gauges=(pma.PLAIN,)),
    "EpsChoice of SELF": lambda: pma.choose_eps(clouds(), halvings=1, gauges=(pma.SELF,)),
    "EpsChoice of AFFINE": lambda: pma.choose_eps(clouds(), halvings=1, gauges=(pma.AFFINE,)),
    "EpsChoice at t": lambda: pma.choose_eps(clouds(), 0.5, halvings=1, gauges=(pma.SELF,)),
    "OptimalCoupling": lambda: pma.optimal_coupling(clouds()),
    "W2Estimate": lambda: pma.estimate_w2(X, Y),
    "SinkhornDivergence": lambda: pma.sinkhorn_divergence(clouds(), 1.0),
    "FamilyChoice": lambda: pma.choose_family(pma.SampleProblem(X), (1,)),
    "run of samples": implicit,
    "Sampler": lambda: pma.as_sampler(implicit()),
    "run of blocks": blocks,
    "ChainSampler": lambda: pma.as_chain(blocks()),
    "Diffused": lambda: pma.Diffused.within(X, 0.4),
    "complexity": lambda: denoising.complexity(denoising.Points(X), snr=[0.5, 1.0], draws=16),
    "Study": lambda: pma.Study.over("eps", [0.1, 0.05], lambda eps: {"sup": eps}),
}


@pytest.mark.parametrize("name", MADE)
def test_results_are_pickled(name: str) -> None:
    made = MADE[name]()
    again = pickle.loads(pickle.dumps(made))
    assert repr(again) == repr(made)
    assert pickle.dumps(again)
    if hasattr(made, "map") and name.startswith(("EpsChoice", "Sampler", "ChainSampler")):
        y = np.array([[0.1, -0.2], [1.0, 0.5], [-0.3, 0.2]])[:, : 1 if name == "Sampler" else 2]
        assert np.array_equal(again.map(y), made.map(y))
