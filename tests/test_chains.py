"""Fokker–Planck's flow map: it carries the density, is the optimal map where that is known, and is not elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
from cases import TAU

from pmasolve import Box, FokkerPlanck, MongeAmpere, Problem, Torus, evolve
from pmasolve.flows.chains import chain_of_maps
from pmasolve.gaussian import Normal, Pair, fokker_planck, fokker_planck_map


def test_the_chain_carries_the_density_and_turns_in_the_plane() -> None:
    problem = Problem(
        Torus((16, 16)),
        lambda x, y: 0.8 * np.cos(TAU * x) + 0.6 * np.sin(TAU * (x + y)),
        lambda x, y: 0.6 * np.sin(TAU * y) - 0.6 * np.cos(TAU * (x - y)),
    )
    run = evolve(FokkerPlanck(problem), np.linspace(0, 0.03, 13))
    chain = chain_of_maps(run)
    grid, wave = problem.domain, lambda p: np.cos(TAU * (p[0] + 2 * p[1]) + 0.3)
    before = grid.integral(np.exp(run.fields["log_density"][0]) * wave(chain.map))
    after = grid.integral(np.exp(run.fields["log_density"][-1]) * wave(grid.points))
    assert before == pytest.approx(after, abs=3e-5)
    assert chain.curl > 1e-2
    assert chain.distance > 2e-3
    assert chain.length > chain.optimal.w2


def test_on_the_line_it_is_the_optimal_map() -> None:
    problem = Problem(Torus((32,)), lambda x: np.cos(TAU * x), lambda y: 0.5 * np.cos(2 * TAU * y))
    errors = [
        chain_of_maps(evolve(FokkerPlanck(problem, rtol=1e-11), np.linspace(0, 0.02, n))).distance for n in (9, 17)
    ]
    assert errors[1] < 2e-5
    assert 3.0 < np.log2(errors[0] / errors[1]) < 4.5


def test_between_normals_it_is_symmetric_only_where_they_commute() -> None:
    goal, t = Normal([0.0, 1.0], [[1.0, 0.0], [0.0, 4.0]]), 0.7
    for cov, apart in (([[2.0, 0.0], [0.0, 0.5]], False), ([[2.0, 1.0], [1.0, 2.0]], True)):
        start = Normal([1.0, 1.0], cov)
        M, after = fokker_planck_map(goal, start, t), fokker_planck(goal, start, t)
        best = Pair(start, after).brenier().hessian
        assert np.allclose(M @ start.cov @ M.T, after.cov, rtol=1e-10)
        for gap in (np.abs(M - best).max(), np.abs(M - M.T).max()):
            assert gap > 1e-5 if apart else gap < 1e-10
    assert np.array_equal(fokker_planck_map(goal, start, 0.0), np.eye(2))


@pytest.mark.parametrize(
    ("flow", "times", "words"),
    [
        (MongeAmpere, np.linspace(0, 0.01, 3), "log_density"),
        (FokkerPlanck, np.linspace(0, 0.01, 4), "4 times: give an odd number"),
        (FokkerPlanck, np.array([0, 0.001, 0.01]), "equally distant"),
    ],
)
def test_mistakes(flow, times, words: str) -> None:
    problem = Problem(Torus((16,)), lambda x: 0.2 * np.cos(TAU * x), lambda y: 0 * y)
    with pytest.raises(ValueError, match=words):
        chain_of_maps(evolve(flow(problem), times))


def test_boxes_are_refused() -> None:
    problem = Problem(Box((16,)), lambda x: 0.2 * np.cos(TAU * x), lambda y: 0 * y)
    with pytest.raises(ValueError, match="on a Torus"):
        chain_of_maps(evolve(FokkerPlanck(problem), np.linspace(0, 0.01, 3)))
