"""Conventions of GeomLoss against the package itself; collected only where it is installed (extra ``peers``)."""

import geomloss
import numpy as np
import pytest
import torch
from cases_clouds import EPS, STEPS, close, ours, samples, squared, start
from geomloss import ot
from geomloss._legacy.sinkhorn_samples import softmin_tensorized

from pmasolve.sinkhorn.conventions import GeomLossOt, SamplesLoss
from pmasolve.sinkhorn.plans import Plan
from pmasolve.sinkhorn.schroedinger import schroedinger


def run_geomloss(problem, potentials, steps):
    """GeomLoss's own softmin, one side after the other, as in its last extrapolation."""
    a, b = (torch.from_numpy(np.log(nodes.weights))[None] for nodes in (problem.domain, problem.codomain))
    cost = torch.from_numpy(squared(problem))[None] / 2
    F, eps = torch.from_numpy(potentials.F)[None], potentials.blur**2
    for _ in range(steps):
        G = softmin_tensorized(eps, cost.transpose(1, 2), a + F / eps)
        F = softmin_tensorized(eps, cost, b + G / eps)
    return SamplesLoss(F[0].numpy(), G[0].numpy(), potentials.blur, debias=False)


def test_geomloss_takes_our_steps():
    problem = samples()
    potentials = start(problem)
    after = run_geomloss(problem, SamplesLoss.of(problem, potentials), STEPS)
    close(problem, after.ours(problem), ours(problem, potentials))


def test_our_start_from_geomloss():
    """The potentials that SamplesLoss returns, symmetrised and unfinished as they are, save iterations."""
    problem = samples()
    loss = geomloss.SamplesLoss("sinkhorn", p=2, blur=EPS**0.5, scaling=0.9, debias=False, potentials=True)
    x, y = (torch.from_numpy(nodes.points) for nodes in (problem.domain, problem.codomain))
    a, b = (torch.from_numpy(nodes.weights) for nodes in (problem.domain, problem.codomain))
    F, G = loss(a, x, b, y)
    theirs = SamplesLoss(F.numpy(), G.numpy(), EPS**0.5, debias=False).ours(problem)
    found = schroedinger(problem, EPS, start=theirs.u)
    assert found.records["marginal_error"][0] < 0.05
    assert found.iterations < schroedinger(problem, EPS).iterations


def by_module(problem, **options):
    """The potentials by ``geomloss.ot``, of the cost |x−y|²."""
    x, y, a, b = (torch.from_numpy(z) for z in arrays(problem))
    return ot.solve_sample(x, y, a, b, max_iter=2000, **options)


def arrays(problem):
    """Points and weights of both sides."""
    return problem.domain.points, problem.codomain.points, problem.domain.weights, problem.codomain.weights


@pytest.mark.parametrize("options", [{"reg": 2 * EPS}, {"blur": EPS**0.5}, {"reg": 2 * EPS, "debias": True}])
def test_potentials_of_the_module(options):
    """Cost |x−y|², reg = 2ε = 2 blur², potentials −2u, also with ``debias``; as the other interface's they were off by 0.4."""
    problem = samples()
    found = by_module(problem, **options)
    theirs = GeomLossOt(found.potential_a.numpy(), found.potential_b.numpy(), 2 * EPS).ours(problem)
    best = schroedinger(problem, EPS, marginal=1e-12)
    off = problem.domain.centred(theirs.u - best.u)
    assert np.abs(off).max() < 1e-3 * np.ptp(best.u)
    assert Plan(problem, theirs.eps, theirs.u, theirs.v).mass == pytest.approx(1, abs=1e-2)
    for blur in (EPS**0.5, (2 * EPS) ** 0.5):  # both readings as the class's
        mistaken = SamplesLoss(found.potential_a.numpy(), found.potential_b.numpy(), blur, debias=False).ours(problem)
        assert np.abs(problem.domain.centred(mistaken.u - best.u)).max() > 0.3 * np.ptp(best.u)
        assert abs(Plan(problem, mistaken.eps, mistaken.u, mistaken.v).mass - 1) > 0.1


@pytest.mark.parametrize("scale", [0.37, 0.5])
def test_potentials_of_the_module_for_another_matrix(scale):
    problem = samples()
    *_, a, b = (torch.from_numpy(z) for z in arrays(problem))
    found = ot.solve(torch.from_numpy(scale * squared(problem)), reg=2 * scale * EPS, a=a, b=b, max_iter=2000)
    theirs = GeomLossOt(found.potential_a.numpy(), found.potential_b.numpy(), 2 * scale * EPS).ours(
        problem, scale=scale
    )
    best = schroedinger(problem, EPS, marginal=1e-12)
    assert np.abs(problem.domain.centred(theirs.u - best.u)).max() < 1e-3 * np.ptp(best.u)


def test_debiased_potentials_of_the_class_have_no_counterpart():
    """What SamplesLoss returns by default is far from −u, and nothing in the arrays says so: the record asks."""
    problem = samples()
    x, y, a, b = (torch.from_numpy(z) for z in arrays(problem))
    F, G = geomloss.SamplesLoss("sinkhorn", p=2, blur=EPS**0.5, scaling=0.9, potentials=True)(a, x, b, y)
    best = schroedinger(problem, EPS, marginal=1e-12)
    assert np.abs(problem.domain.centred(F.numpy().ravel() + best.u)).max() > 0.1 * np.ptp(best.u)
    with pytest.raises(ValueError, match="debias=True"):
        SamplesLoss(F.numpy(), G.numpy(), EPS**0.5, debias=True).ours(problem)
