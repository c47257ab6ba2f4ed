"""Conventions of OTT-JAX against the package itself; collected only where it is installed (extra ``peers``)."""

import jax
import numpy as np
import pytest
from cases_clouds import EPS, SCALES, STEPS, close, ours, samples, squared, start
from ott.geometry import geometry, pointcloud
from ott.problems.linear import linear_problem
from ott.solvers.linear import sinkhorn

from pmasolve.sinkhorn.conventions import SQUARED, Ott
from pmasolve.sinkhorn.schroedinger import schroedinger

jax.config.update("jax_enable_x64", True)


def run_ott(problem, ott, scale, steps):
    """OTT's own log-domain iterations from given potentials."""
    geom = geometry.Geometry(cost_matrix=scale * squared(problem), epsilon=ott.epsilon)
    task = linear_problem.LinearProblem(geom, a=problem.domain.weights, b=problem.codomain.weights)
    solver = sinkhorn.Sinkhorn(threshold=-1.0, min_iterations=steps, max_iterations=steps, inner_iterations=1)
    out = solver(task, init=(np.array(ott.f), np.array(ott.g)))
    return Ott(np.asarray(out.f), np.asarray(out.g), ott.epsilon)


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("scale", SCALES.values(), ids=SCALES)
def test_ott_takes_our_steps(scale, zeros):
    problem = samples(zeros)
    potentials = start(problem)
    ott = run_ott(problem, Ott.of(problem, potentials, scale=scale), scale, STEPS)
    close(problem, ott.ours(problem, scale=scale), ours(problem, potentials))


def test_our_start_from_ott():
    problem = samples()
    theirs = run_ott(problem, Ott(np.zeros(60), np.zeros(45), 2 * EPS), SQUARED, 1000).ours(problem)
    assert schroedinger(problem, EPS, marginal=1e-11, start=theirs.u).iterations == 1


@pytest.mark.parametrize(
    "options", [{}, {"scale_cost": "mean"}, {"scale_cost": 3.0}, {"relative_epsilon": "mean"}], ids=str
)
def test_scaled_costs_of_ott(options):
    """``geom.epsilon`` belongs to the cost divided by ``scale_cost``: the scale is ``geom.inv_scale_cost``."""
    problem = samples()
    geom = pointcloud.PointCloud(problem.domain.points, problem.codomain.points, epsilon=0.1, **options)
    task = linear_problem.LinearProblem(geom, a=problem.domain.weights, b=problem.codomain.weights)
    out = sinkhorn.Sinkhorn(threshold=1e-10, max_iterations=5000)(task)
    theirs = Ott(out.f, out.g, float(geom.epsilon)).ours(problem, scale=float(geom.inv_scale_cost))
    best = schroedinger(problem, theirs.eps, marginal=1e-12)
    assert np.abs(problem.domain.centred(theirs.u - best.u)).max() < 1e-8
