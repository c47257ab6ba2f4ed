"""Clouds in three and in ten dimensions: iterates and costs of POT, maps out of sample."""

import numpy as np
import ot
import pytest

from pmasolve import KeOps, Plan, Problem, Sinkhorn, evolve
from pmasolve.sinkhorn.schroedinger import schroedinger
from pmasolve.sinkhorn.softmin.keops import why_not


def samples(dim):
    """Two clouds with weights; ε is a few hundredths of the mean squared distance."""
    rng = np.random.default_rng(61209)
    x, y = rng.random((80, dim)), rng.random((65, dim)) ** 1.5
    return Problem.from_samples(x, y, 0.1 + rng.random(80), 0.1 + rng.random(65)), 0.02 * dim


def cost_matrix(problem):
    return 0.5 * np.sum((problem.domain.points[:, None] - problem.codomain.points) ** 2, axis=-1)


@pytest.mark.parametrize("dim", [3, 10])
def test_iterates(dim):
    problem, eps = samples(dim)
    a, b = problem.domain.weights, problem.codomain.weights
    flow = evolve(Sinkhorn(problem, eps), [5 * eps, 20 * eps])
    for i, k in enumerate((5, 20)):
        options = {"method": "sinkhorn_log", "stopThr": 0, "numItermax": k, "log": True, "warn": False}
        _, peer = ot.sinkhorn(a, b, cost_matrix(problem), eps, warmstart=(np.log(a), np.log(b)), **options)
        assert np.abs(flow.potentials[i] - eps * (np.log(a) - peer["log_u"])).max() < 1e-12


@pytest.mark.parametrize("dim", [3, 10])
def test_costs(dim):
    """Primal cost, entropic value, dual and gap at the fixed point, from POT's plan."""
    problem, eps = samples(dim)
    found = schroedinger(problem, eps, marginal=1e-12)
    a, b, C = problem.domain.weights, problem.codomain.weights, cost_matrix(problem)
    gamma = ot.sinkhorn(a, b, C, eps, method="sinkhorn_log", stopThr=1e-13, numItermax=20_000)
    assert found.plan.w2_squared == pytest.approx(2 * np.sum(gamma * C), abs=1e-10)
    value = np.sum(gamma * C) + eps * np.sum(gamma * np.log(gamma / np.outer(a, b)))
    assert found.plan.value == pytest.approx(value, abs=1e-10)
    assert found.plan.dual == pytest.approx(value, abs=1e-10)
    assert 0 <= found.plan.duality_gap + 1e-14 < 1e-10
    assert np.abs(found.plan.rows(np.arange(80)) - gamma).max() < 1e-10


@pytest.mark.parametrize("dim", [3, 10])
def test_map_out_of_sample(dim):
    """∇φ at new points: the softmax average of the targets, and the gradient of φ by differences."""
    problem, eps = samples(dim)
    plan = Plan.of(evolve(Sinkhorn(problem, eps), [10 * eps]), 0)
    z = np.random.default_rng(3).random((7, dim))
    h = -0.5 * np.sum((z[:, None] - problem.codomain.points) ** 2, axis=-1) / eps - plan.v / eps
    weights = problem.codomain.weights * np.exp(h - h.max(axis=1, keepdims=True))
    means = (weights / weights.sum(axis=1, keepdims=True)) @ problem.codomain.points
    assert np.abs(plan.phi.map(z) - means).max() < 1e-13
    step = 1e-5 * np.eye(dim)[0]
    slope = (plan.phi(z + step) - plan.phi(z - step)) / 2e-5
    assert np.abs(slope - plan.phi.gradient(z)[:, 0]).max() < 1e-8


if not why_not():

    @pytest.mark.slow
    def test_keops_in_ten_dimensions():
        problem, eps = samples(10)
        engines = (None, KeOps(device="cpu"))
        a, b = (evolve(Sinkhorn(problem, eps, softmin=engine), [5 * eps]).potentials for engine in engines)
        assert np.abs(a - b).max() < 1e-13
