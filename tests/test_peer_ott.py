"""Conventions of OTT-JAX against the package itself; collected only where it is installed (extra ``peers``)."""

import jax
import numpy as np
import pytest
from cases_clouds import EPS, SCALES, STEPS, close, ours, samples, squared, start
from ott.geometry import geometry
from ott.problems.linear import linear_problem
from ott.solvers.linear import sinkhorn

from pmasolve.sinkhorn.conventions import SQUARED, Ott, from_ott, to_ott
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
    ott = run_ott(problem, to_ott(problem, potentials, scale=scale), scale, STEPS)
    close(problem, from_ott(problem, ott, scale=scale), ours(problem, potentials))


def test_our_start_from_ott():
    problem = samples()
    theirs = from_ott(problem, run_ott(problem, Ott(np.zeros(60), np.zeros(45), 2 * EPS), SQUARED, 1000))
    assert schroedinger(problem, EPS, marginal=1e-11, start=theirs.u).iterations == 1
