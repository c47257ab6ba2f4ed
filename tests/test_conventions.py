"""Conventions: the peers, started from our converted potentials, take our steps; ours, started from theirs, are at rest."""

import numpy as np
import ot
import pytest

from pmasolve import Cloud, Problem, Sinkhorn, Torus, evolve
from pmasolve.conventions import (
    HALF_SQUARED,
    SQUARED,
    GeomLoss,
    Ott,
    Pot,
    Potentials,
    from_geomloss,
    from_ott,
    from_pot,
    to_geomloss,
    to_ott,
    to_pot,
)
from pmasolve.plans import Plan
from pmasolve.schroedinger import schroedinger
from pmasolve.softmin.nodes import log_kernel

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


def run_pot(problem, pot, cost, steps):
    """POT's own log-domain iterations from a warm start."""
    a, b = (
        np.exp(problem.mu.log_density.ravel()) * problem.mu.cell,
        np.exp(problem.nu.log_density.ravel()) * problem.nu.cell,
    )
    options = {"method": "sinkhorn_log", "stopThr": 0, "numItermax": steps, "log": True, "warn": False}
    with np.errstate(divide="ignore"):
        _, log = ot.sinkhorn(a, b, cost, pot.reg, warmstart=(pot.log_u, pot.log_v), **options)
    return Pot(log["log_u"], log["log_v"], pot.reg)


@pytest.fixture
def jax():
    peer = pytest.importorskip("jax", reason="OTT-JAX: jax is not installed")
    pytest.importorskip("ott", reason="OTT-JAX is not installed")
    peer.config.update("jax_enable_x64", True)
    return peer


def run_ott(problem, ott, scale, steps):
    """OTT's own log-domain iterations from given potentials."""
    from ott.geometry import geometry
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import sinkhorn

    geom = geometry.Geometry(cost_matrix=scale * squared(problem), epsilon=ott.epsilon)
    task = linear_problem.LinearProblem(geom, a=problem.domain.weights, b=problem.codomain.weights)
    solver = sinkhorn.Sinkhorn(threshold=-1.0, min_iterations=steps, max_iterations=steps, inner_iterations=1)
    out = solver(task, init=(np.array(ott.f), np.array(ott.g)))
    return Ott(np.asarray(out.f), np.asarray(out.g), ott.epsilon)


@pytest.fixture
def torch():
    peer = pytest.importorskip("torch", reason="GeomLoss: torch is not installed")
    pytest.importorskip("geomloss", reason="GeomLoss is not installed")
    return peer


def run_geomloss(torch, problem, potentials, steps):
    """GeomLoss's own softmin, one side after the other, as in its last extrapolation."""
    from geomloss._legacy.sinkhorn_samples import softmin_tensorized

    a, b = (torch.from_numpy(np.log(nodes.weights))[None] for nodes in (problem.domain, problem.codomain))
    cost = torch.from_numpy(squared(problem))[None] / 2
    F, eps = torch.from_numpy(potentials.F)[None], potentials.blur**2
    for _ in range(steps):
        G = softmin_tensorized(eps, cost.transpose(1, 2), a + F / eps)
        F = softmin_tensorized(eps, cost, b + G / eps)
    return GeomLoss(F[0].numpy(), G[0].numpy(), potentials.blur)


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
def test_pot_takes_our_steps(scale, zeros):
    problem = samples(zeros)
    potentials = start(problem)
    pot = run_pot(problem, to_pot(problem, potentials, scale=scale), scale * squared(problem), STEPS)
    close(problem, from_pot(problem, pot, scale=scale), ours(problem, potentials))


def test_pot_on_a_torus():
    """A grid, with the periodised kernel as cost."""
    torus = Torus((12, 10))
    rng = np.random.default_rng(3)
    problem = Problem.from_densities(torus, 0.5 + rng.random(torus.shape), 0.5 + rng.random(torus.shape))
    points = torus.points.reshape(2, -1).T
    flow = evolve(Sinkhorn(problem, EPS, quadrature=1), [2 * EPS])
    potentials = Potentials(flow.potentials[0], flow.fields["v"][0], EPS)
    cost = -EPS * log_kernel(points, Cloud(points, period=1.0), EPS)
    pot = run_pot(problem, to_pot(problem, potentials, scale=HALF_SQUARED), cost, STEPS)
    after = evolve(Sinkhorn(problem, EPS, quadrature=1), [STEPS * EPS], initial=potentials.u)
    found = from_pot(problem, pot, scale=HALF_SQUARED)
    assert np.abs(found.u - after.potentials[0]).max() < 1e-12
    assert np.abs(found.v - after.fields["v"][0]).max() < 1e-12


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
def test_ott_takes_our_steps(scale, zeros, jax):
    problem = samples(zeros)
    potentials = start(problem)
    ott = run_ott(problem, to_ott(problem, potentials, scale=scale), scale, STEPS)
    close(problem, from_ott(problem, ott, scale=scale), ours(problem, potentials))


def test_geomloss_takes_our_steps(torch):
    problem = samples()
    potentials = start(problem)
    after = run_geomloss(torch, problem, to_geomloss(problem, potentials), STEPS)
    close(problem, from_geomloss(problem, after), ours(problem, potentials))


def test_our_start_from_pot():
    """POT's fixed point is ours, up to a constant moved from one potential to the other."""
    problem = samples()
    cold = Pot(np.zeros(60), np.zeros(45), 2 * EPS)
    theirs = from_pot(problem, run_pot(problem, cold, squared(problem), 1000))
    found = schroedinger(problem, EPS, marginal=1e-11, start=theirs.u)
    assert found.iterations == 1
    annealed = schroedinger(problem, EPS, marginal=1e-13)
    assert np.abs(problem.domain.gauge(theirs.u - annealed.u)).max() < 1e-11


def test_our_start_from_ott(jax):
    problem = samples()
    theirs = from_ott(problem, run_ott(problem, Ott(np.zeros(60), np.zeros(45), 2 * EPS), SQUARED, 1000))
    assert schroedinger(problem, EPS, marginal=1e-11, start=theirs.u).iterations == 1


def test_our_start_from_geomloss(torch):
    """The potentials that SamplesLoss returns, symmetrised and unfinished as they are, save iterations."""
    from geomloss import SamplesLoss

    problem = samples()
    loss = SamplesLoss("sinkhorn", p=2, blur=EPS**0.5, scaling=0.9, debias=False, potentials=True)
    x, y = (torch.from_numpy(nodes.points) for nodes in (problem.domain, problem.codomain))
    a, b = (torch.from_numpy(nodes.weights) for nodes in (problem.domain, problem.codomain))
    F, G = loss(a, x, b, y)
    theirs = from_geomloss(problem, GeomLoss(F.numpy(), G.numpy(), EPS**0.5))
    found = schroedinger(problem, EPS, start=theirs.u)
    assert found.records["marginal_error"][0] < 0.05
    assert found.iterations < schroedinger(problem, EPS).iterations


def test_values():
    """POT's regularised value from our plan's: relative to counting, and twice as large for |x−y|²."""
    problem = samples()
    found = schroedinger(problem, EPS, marginal=1e-12)
    a, b = problem.domain.weights, problem.codomain.weights
    plan = ot.solve(squared(problem), a, b, reg=2 * EPS, reg_type="entropy", tol=1e-12, max_iter=5000).plan
    theirs = np.sum(plan * squared(problem)) + 2 * EPS * np.sum(plan * np.log(plan))
    counting = EPS * (a @ np.log(a) + b @ np.log(b))
    assert abs(theirs - 2 * (found.plan.value + counting)) < 1e-9


def test_there_and_back():
    problem = samples()
    potentials = start(problem)
    for scale in SCALES.values():
        close(problem, from_pot(problem, to_pot(problem, potentials, scale=scale), scale=scale), potentials, 1e-15)
        close(problem, from_ott(problem, to_ott(problem, potentials, scale=scale), scale=scale), potentials, 1e-15)
    close(problem, from_geomloss(problem, to_geomloss(problem, potentials)), potentials, 1e-16)


def test_the_same_plan():
    """All formulas of the table give one matrix."""
    problem = samples()
    u, v, eps = potentials = start(problem)
    plan = Plan(problem, eps, u, v).rows(np.arange(60))
    log_u, log_v, reg = to_pot(problem, potentials)
    f, g, epsilon = to_ott(problem, potentials)
    F, G, blur = to_geomloss(problem, potentials)
    cost, weights = squared(problem), np.outer(problem.domain.weights, problem.codomain.weights)
    others = [
        np.exp(log_u[:, None] + log_v - cost / reg),
        np.exp((f[:, None] + g - cost) / epsilon),
        weights * np.exp((F[:, None] + G - cost / 2) / blur**2),
    ]
    for other in others:
        assert np.abs(other - plan).max() < 1e-14


def test_nodes_without_mass():
    problem = samples(zeros=True)
    pot = to_pot(problem, start(problem))
    assert np.all(pot.log_u[::4] == -np.inf)
    assert np.all(from_pot(problem, pot).u[::4] == 0)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda p: to_pot(p, Potentials(np.zeros(60), np.zeros(45), 0.0)), "positive"),
        (lambda p: to_pot(p, Potentials(np.zeros(60), np.zeros(45), 0.1), scale=-1.0), "scale"),
        (lambda p: to_ott(p, Potentials(np.zeros(61), np.zeros(45), 0.1)), "u has shape"),
        (lambda p: to_geomloss(p, Potentials(np.zeros(60), np.full(45, np.nan), 0.1)), "v has"),
        (lambda p: from_pot(p, Pot(np.zeros(60), np.zeros(44), 0.1)), "log_v"),
        (lambda p: from_pot(p, Pot(np.zeros(60), np.zeros(45), 0.1), scale=0.0), "scale"),
        (lambda p: from_pot(p, Pot(np.full(60, -np.inf), np.zeros(45), 0.1)), "log_u"),
        (lambda p: from_ott(p, Ott(np.zeros(60), np.zeros(45), np.nan)), "positive"),
        (lambda p: from_geomloss(p, GeomLoss(np.zeros(60), np.zeros(45), -0.1)), "positive"),
        (lambda p: from_geomloss(p, GeomLoss(np.zeros(6), np.zeros(45), 0.1)), "F has shape"),
    ],
)
def test_bad_input(call, word):
    with pytest.raises(ValueError, match=word):
        call(samples())
