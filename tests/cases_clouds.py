"""What the tests of the conventions share: clouds, potentials that are not at rest, our own steps."""

from __future__ import annotations

import numpy as np

from pmasolve import Problem, Sinkhorn, evolve
from pmasolve.sinkhorn.conventions import HALF_SQUARED, SQUARED, Potentials

EPS, STEPS = 0.02, 7
SCALES = {"half squared": HALF_SQUARED, "squared": SQUARED, "scaled": 0.37}


def samples(zeros=False):
    rng = np.random.default_rng(90125)
    a, b = 0.1 + rng.random(60), 0.1 + rng.random(45)
    if zeros:
        a[::4] = b[::5] = 0
    return Problem.from_samples(rng.random((60, 2)), rng.random((45, 2)) ** 1.5, a, b)


def start(problem):
    """Potentials that are not at rest, v being the half step before u."""
    rng = np.random.default_rng(11)
    flow = evolve(Sinkhorn(problem, EPS), [2 * EPS], initial=rng.random(problem.domain.shape) / 20)
    return Potentials(flow.potentials[0], flow.fields["v"][0], EPS)


def ours(problem, potentials, steps=STEPS):
    flow = evolve(Sinkhorn(problem, potentials.eps), [steps * potentials.eps], initial=potentials.u)
    return Potentials(flow.potentials[0], flow.fields["v"][0], potentials.eps)


def squared(problem):
    x, y = problem.domain.points, problem.codomain.points
    return np.sum((x[:, None] - y[None]) ** 2, axis=-1)


def close(problem, a, b, tolerance=1e-12):
    """Equal potentials and ε, constants included, at nodes with mass."""
    assert abs(a.eps - b.eps) < 1e-15
    for measure, one, two in ((problem.mu, a.u, b.u), (problem.nu, a.v, b.v)):
        inside = measure.log_density > -np.inf
        assert np.abs((one - two)[inside]).max() < tolerance
