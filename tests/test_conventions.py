"""Conventions: the peers, started from our converted potentials, take our steps; ours, started from theirs, are at rest."""

import numpy as np
import ot
import pytest
from cases_clouds import EPS, SCALES, STEPS, close, ours, samples, squared, start

from pmasolve import Cloud, Problem, Sinkhorn, Torus, evolve
from pmasolve.sinkhorn.conventions import (
    HALF_SQUARED,
    GeomLossOt,
    Ott,
    Pot,
    Potentials,
    SamplesLoss,
)
from pmasolve.sinkhorn.plans import Plan
from pmasolve.sinkhorn.schroedinger import schroedinger
from pmasolve.sinkhorn.softmin.nodes import log_kernel


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


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
def test_pot_takes_our_steps(scale, zeros):
    problem = samples(zeros)
    potentials = start(problem)
    pot = run_pot(problem, Pot.of(problem, potentials, scale=scale), scale * squared(problem), STEPS)
    close(problem, pot.ours(problem, scale=scale), ours(problem, potentials))


def test_pot_on_a_torus():
    """A grid, with the periodised kernel as cost."""
    torus = Torus((12, 10))
    rng = np.random.default_rng(3)
    problem = Problem.from_densities(torus, 0.5 + rng.random(torus.shape), 0.5 + rng.random(torus.shape))
    points = torus.points.reshape(2, -1).T
    flow = evolve(Sinkhorn(problem, EPS, quadrature=1), [2 * EPS])
    potentials = Potentials(flow.potentials[0], flow.fields["v"][0], EPS)
    cost = -EPS * log_kernel(points, Cloud(points, period=1.0), EPS)
    pot = run_pot(problem, Pot.of(problem, potentials, scale=HALF_SQUARED), cost, STEPS)
    after = evolve(Sinkhorn(problem, EPS, quadrature=1), [STEPS * EPS], initial=potentials.u)
    found = pot.ours(problem, scale=HALF_SQUARED)
    assert np.abs(found.u - after.potentials[0]).max() < 1e-12
    assert np.abs(found.v - after.fields["v"][0]).max() < 1e-12


def test_our_start_from_pot():
    """POT's fixed point is ours, up to a constant moved from one potential to the other."""
    problem = samples()
    cold = Pot(np.zeros(60), np.zeros(45), 2 * EPS)
    theirs = run_pot(problem, cold, squared(problem), 1000).ours(problem)
    found = schroedinger(problem, EPS, marginal=1e-11, start=theirs.u)
    assert found.iterations == 1
    annealed = schroedinger(problem, EPS, marginal=1e-13)
    assert np.abs(problem.domain.centred(theirs.u - annealed.u)).max() < 1e-11


@pytest.mark.parametrize("reg_type", ["KL", "entropy"])
def test_what_pots_functions_return(reg_type):
    """Log-scalings by ``ot.solve`` and by the stabilised loop; by the plain loop the scalings themselves."""
    problem = samples()
    a, b, reg = problem.domain.weights, problem.codomain.weights, 2 * EPS
    u = problem.domain.centred(schroedinger(problem, EPS, marginal=1e-13).u)
    found = ot.solve(squared(problem), a, b, reg=reg, reg_type=reg_type, tol=1e-12, max_iter=5000)
    options = {"log": True, "stopThr": 1e-12, "numItermax": 5000, "warn": False}
    stable = ot.sinkhorn(a, b, squared(problem), reg, method="sinkhorn_stabilized", **options)[1]
    plain = ot.sinkhorn(a, b, squared(problem), reg, **options)[1]
    for log_scalings in (found.potentials, (stable["logu"], stable["logv"]), (np.log(plain["u"]), np.log(plain["v"]))):
        theirs = Pot(*log_scalings, reg).ours(problem)
        assert np.abs(problem.domain.centred(theirs.u) - u).max() < 1e-9
        assert Plan(problem, EPS, theirs.u, theirs.v).mass == pytest.approx(1, abs=1e-9)
    wrong = Pot(plain["u"], plain["v"], reg).ours(problem)  # scalings for their logarithms: the mass tells
    assert np.abs(np.log(Plan(problem, EPS, wrong.u, wrong.v).mass)) > 1


def test_the_mass_tells_one_interface_of_geomloss_from_the_other():
    """The same arrays mean other potentials: the right record gives a plan of mass 1, the wrong one does not."""
    problem = samples()
    f, g, reg = GeomLossOt.of(problem, start(problem))
    right = GeomLossOt(f, g, reg).ours(problem)
    assert Plan(problem, right.eps, right.u, right.v).mass == pytest.approx(1, abs=1e-12)
    for wrong in (
        SamplesLoss(f, g, reg**0.5, False).ours(problem),
        SamplesLoss(f, g, (reg / 2) ** 0.5, False).ours(problem),
    ):
        assert abs(Plan(problem, wrong.eps, wrong.u, wrong.v).mass - 1) > 0.1


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
        for record in (Pot, Ott, GeomLossOt):
            close(problem, record.of(problem, potentials, scale=scale).ours(problem, scale=scale), potentials, 1e-15)
    close(problem, SamplesLoss.of(problem, potentials).ours(problem), potentials, 1e-16)


def test_the_same_plan():
    """All formulas of the table give one matrix."""
    problem = samples()
    u, v, eps = potentials = start(problem)
    plan = Plan(problem, eps, u, v).rows(np.arange(60))
    log_u, log_v, reg = Pot.of(problem, potentials)
    f, g, epsilon = Ott.of(problem, potentials)
    F, G, blur, _ = SamplesLoss.of(problem, potentials)
    f2, g2, reg2 = GeomLossOt.of(problem, potentials, scale=0.37)
    cost, weights = squared(problem), np.outer(problem.domain.weights, problem.codomain.weights)
    others = [
        np.exp(log_u[:, None] + log_v - cost / reg),
        np.exp((f[:, None] + g - cost) / epsilon),
        weights * np.exp((F[:, None] + G - cost / 2) / blur**2),
        weights * np.exp((f2[:, None] + g2 - 0.37 * cost) / reg2),
    ]
    for other in others:
        assert np.abs(other - plan).max() < 1e-14


def test_nodes_without_mass():
    problem = samples(zeros=True)
    pot = Pot.of(problem, start(problem))
    assert np.all(pot.log_u[::4] == -np.inf)
    assert np.all(pot.ours(problem).u[::4] == 0)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda p: Pot.of(p, Potentials(np.zeros(60), np.zeros(45), 0.0)), "positive"),
        (lambda p: Pot.of(p, Potentials(np.zeros(60), np.zeros(45), 0.1), scale=-1.0), "scale"),
        (lambda p: Ott.of(p, Potentials(np.zeros(61), np.zeros(45), 0.1)), "u has shape"),
        (lambda p: SamplesLoss.of(p, Potentials(np.zeros(60), np.full(45, np.nan), 0.1)), "v has"),
        (lambda p: Pot(np.zeros(60), np.zeros(44), 0.1).ours(p), "log_v"),
        (lambda p: Pot(np.zeros(60), np.zeros(45), 0.1).ours(p, scale=0.0), "scale"),
        (lambda p: Pot(np.full(60, -np.inf), np.zeros(45), 0.1).ours(p), "log_u"),
        (lambda p: Ott(np.zeros(60), np.zeros(45), np.nan).ours(p), "positive"),
        (lambda p: SamplesLoss(np.zeros(60), np.zeros(45), -0.1, False).ours(p), "positive"),
        (lambda p: SamplesLoss(np.zeros(6), np.zeros(45), 0.1, False).ours(p), "F has shape"),
        (lambda p: SamplesLoss(np.zeros(60), np.zeros(45), 0.1, True).ours(p), "debias"),
        (lambda p: GeomLossOt(np.zeros(60), np.zeros(5), 0.1).ours(p), "g has shape"),
        (lambda p: GeomLossOt(np.full(60, np.nan), np.zeros(45), 0.1).ours(p), "f has"),
        (lambda p: GeomLossOt(np.zeros(60), np.zeros(45), 0.0).ours(p), "positive"),
        (lambda p: GeomLossOt.of(p, (np.zeros(60), np.zeros(45), 0.1)), "give Potentials"),
    ],
)
def test_bad_input(call, word):
    with pytest.raises(ValueError, match=word):
        call(samples())
