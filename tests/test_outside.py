"""Inputs found from outside that once gave a wrong number behind an ok outcome, with their right values."""

from __future__ import annotations

import numpy as np
import pytest

import pmasolve as pma

# ---- maps and their certificates -----------------------------------------------------------------------------------------------

# ---- Sinkhorn, its plans and fixed points --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("eps", "least"), [(1 / 256, -0.0060587), (1 / 64, -0.0595217)])
def test_a_corrected_potential_that_folds(eps: float, least: float) -> None:
    """f = cos 8πx, g = 0, t = 4ε: the least difference of the map over a cell is ``least``, and was "reached"."""
    problem = pma.Problem(pma.Torus((64,)), lambda x: np.cos(8 * np.pi * x), lambda y: 0 * y)
    run = pma.evolve(pma.corrected(problem, eps), [4 * eps], throw=False)
    assert run.outcome.name == "convexity lost"
    (T,) = run.flow.reading.map(run.latest[1])
    assert np.diff(T, append=T[0] + 1).min() == pytest.approx(least, abs=1e-7)
    assert pma.evolve(pma.Sinkhorn(problem, eps), [4 * eps]).outcome.ok


# ---- flows and their files -----------------------------------------------------------------------------------------------------


def test_a_stored_run_keeps_its_eps(tmp_path) -> None:
    """Stored at ε = 1/512, it went on at 1/1024 with the old numbers under the new name."""
    grid = pma.Torus((32,))
    problem = pma.Problem(grid, 0.3 * np.cos(2 * np.pi * grid.axis(0)), np.zeros(32))
    path = pma.save(pma.evolve(pma.Sinkhorn(problem, 1 / 512), [1 / 32]), tmp_path / "run.npz")
    with pytest.raises(ValueError, match="eps: the file has 1/512, the flow 1/1024"):
        pma.load(path, pma.Sinkhorn(problem, 1 / 1024))
    with pytest.raises(ValueError, match="g differs"):
        pma.load(path, pma.Sinkhorn(pma.Problem(grid, problem.f, problem.f), 1 / 512))
    assert pma.load(path).flow.eps == 1 / 512


def test_a_run_that_fails_keeps_the_file_of_one_that_did_not(tmp_path) -> None:
    """Two times became ``times []``."""
    grid = pma.Torus((32,))
    problem = pma.Problem(grid, 0.3 * np.cos(2 * np.pi * grid.axis(0)), np.zeros(32))
    path = pma.save(pma.evolve(pma.Sinkhorn(problem, 1 / 256), [1 / 64, 1 / 32]), tmp_path / "run.npz")
    failed = pma.evolve(pma.Sinkhorn(problem, 2.0**-16), [1 / 64, 1 / 32], throw=False)
    assert not failed.outcome.ok
    assert pma.save(failed, path) != path
    assert pma.load(path).times.tolist() == [1 / 64, 1 / 32]


# ---- doors for data ------------------------------------------------------------------------------------------------------------

# ---- studies -------------------------------------------------------------------------------------------------------------------
