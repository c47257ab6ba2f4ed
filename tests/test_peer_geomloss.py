"""Conventions of GeomLoss against the package itself; collected only where it is installed (extra ``peers``)."""

import numpy as np
import torch
from cases_clouds import EPS, STEPS, close, ours, samples, squared, start
from geomloss import SamplesLoss
from geomloss._legacy.sinkhorn_samples import softmin_tensorized

from pmasolve.sinkhorn.conventions import GeomLoss, from_geomloss, to_geomloss
from pmasolve.sinkhorn.schroedinger import schroedinger


def run_geomloss(problem, potentials, steps):
    """GeomLoss's own softmin, one side after the other, as in its last extrapolation."""
    a, b = (torch.from_numpy(np.log(nodes.weights))[None] for nodes in (problem.domain, problem.codomain))
    cost = torch.from_numpy(squared(problem))[None] / 2
    F, eps = torch.from_numpy(potentials.F)[None], potentials.blur**2
    for _ in range(steps):
        G = softmin_tensorized(eps, cost.transpose(1, 2), a + F / eps)
        F = softmin_tensorized(eps, cost, b + G / eps)
    return GeomLoss(F[0].numpy(), G[0].numpy(), potentials.blur)


def test_geomloss_takes_our_steps():
    problem = samples()
    potentials = start(problem)
    after = run_geomloss(problem, to_geomloss(problem, potentials), STEPS)
    close(problem, from_geomloss(problem, after), ours(problem, potentials))


def test_our_start_from_geomloss():
    """The potentials that SamplesLoss returns, symmetrised and unfinished as they are, save iterations."""
    problem = samples()
    loss = SamplesLoss("sinkhorn", p=2, blur=EPS**0.5, scaling=0.9, debias=False, potentials=True)
    x, y = (torch.from_numpy(nodes.points) for nodes in (problem.domain, problem.codomain))
    a, b = (torch.from_numpy(nodes.weights) for nodes in (problem.domain, problem.codomain))
    F, G = loss(a, x, b, y)
    theirs = from_geomloss(problem, GeomLoss(F.numpy(), G.numpy(), EPS**0.5))
    found = schroedinger(problem, EPS, start=theirs.u)
    assert found.records["marginal_error"][0] < 0.05
    assert found.iterations < schroedinger(problem, EPS).iterations
