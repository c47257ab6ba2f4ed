"""Newton's direction by a table of the pairs that matter: it is that of the whole plan, and small ε on clouds ends."""

from __future__ import annotations

import numpy as np
import pytest

from pmasolve import Problem, Sinkhorn, schroedinger
from pmasolve.sinkhorn.markov import Markov, solve
from pmasolve.sinkhorn.truncated import LACKED_MASS, pair_costs, truncated


def colours() -> Problem:
    """300 colours with whole coordinates 0 … 255 on each side."""
    rng = np.random.default_rng(0)
    y = np.clip(rng.normal([90, 140, 60], [40, 50, 30], (300, 3)), 0, 255).round()
    return Problem.from_samples(rng.integers(0, 256, (300, 3)), y)


def test_the_table_is_the_plan() -> None:
    rng = np.random.default_rng(1)
    problem = Problem.from_samples(rng.random((90, 2)), rng.random((70, 2)), rng.random(90) + 0.1, rng.random(70) + 0.1)
    flow = Sinkhorn(problem, 0.003)
    u = 0.01 * np.sin(5 * problem.domain.points[:, 0])
    v = flow.half_step(u)
    after = flow.half_step_back(v)
    markov = Markov(flow, u, v, after)
    costs = pair_costs(problem)
    assert costs is not None
    table = truncated(flow, costs, u, v)
    assert table is not None
    w = rng.standard_normal(90)
    assert np.allclose(table.times(w), markov.times(w), atol=1e-10)
    assert np.allclose(table.masses, markov.masses, rtol=1e-10)
    found, _ = solve(table, after - u, table.conditioner, 1e-10, 1000)
    wanted, _ = solve(markov, after - u, None, 1e-10, 1000)
    assert np.allclose(markov.centred(found), markov.centred(wanted), atol=1e-8 * np.abs(wanted).max())


def test_too_many_pairs_are_not_tabulated(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    problem = Problem.from_samples(rng.random((400, 2)), rng.random((300, 2)))
    flow, u = Sinkhorn(problem, 0.1), np.zeros(400)
    costs = pair_costs(problem)
    assert costs is not None
    assert truncated(flow, costs, u, flow.half_step(u)) is not None
    monkeypatch.setattr("pmasolve.sinkhorn.truncated.MOST_PLACES", 300 * 300)
    assert truncated(flow, costs, u, flow.half_step(u)) is None
    assert LACKED_MASS < 0.01


def test_no_table_for_tori_grids_and_points_without_mass() -> None:
    x = np.random.default_rng(3).random((5, 2))
    assert pair_costs(Problem.from_samples(x, x, period=1.0)) is None
    assert pair_costs(Problem.from_samples(x, x, [1, 1, 1, 0, 1])) is None


def test_small_eps_ends() -> None:
    """ε far below the spacing of the points; without the table the limit of 20 000 iterations was reached."""
    found = schroedinger(colours(), 10.0, limit=400)
    assert found.outcome.ok
    assert found.marginal_error <= 1e-9
    assert 0 <= found.plan.duality_gap < 1e-6 * found.plan.value
