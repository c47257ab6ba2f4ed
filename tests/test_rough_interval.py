"""The certified interval where the answer is known, where it is not reached, and on finer grids; what an interruption leaves."""

from __future__ import annotations

import numpy as np
import pytest
from test_rough_semidual import exact, noise, shapes

from pmasolve import Box, SemiDual, Torus
from pmasolve.maps.semidual import semidual
from pmasolve.problems.grids import Grid
from pmasolve.problems.outcomes import INTERRUPTED


@pytest.mark.slow
@pytest.mark.parametrize("make", [shapes, noise], ids=lambda f: f.__name__)
@pytest.mark.parametrize("floor", [1e-3, 1e-6, 0.0])
@pytest.mark.parametrize("grid", [Torus((32, 32)), Box((32, 32)), Torus((48, 48)), Box((48, 48))], ids=str)
def test_interval_holds_the_exact_cost_on_finer_grids(grid: Grid, floor: float, make) -> None:
    mu, nu = make(grid, floor)
    result = semidual(grid, mu, nu, SemiDual(), gap=0.005)
    truth = exact(grid, mu, nu)
    assert result.lower <= truth * (1 + 1e-12)
    assert truth <= result.upper * (1 + 1e-12)
    print(
        f"{grid} {make.__name__} {floor:g}: {(result.lower - truth) / truth:.1e} … {(result.upper - truth) / truth:.1e}"
    )


def test_interval_of_the_identity_begins_at_zero() -> None:
    grid = Torus((32, 32))
    mu, _ = noise(grid, 1e-3)
    result = semidual(grid, mu, mu, SemiDual(), gap=1e-3)
    assert 0.0 <= result.lower <= result.upper < 0.01 * max(grid.spacing) ** 2
    assert result.outcome.ok
    assert result.outcome.name == "equal"


def test_translation_is_found_in_vacuum() -> None:
    """A blob and itself, moved by whole nodes of a box: W₂ = the length of the move, and so do the barycentres of mass."""
    grid = Box((64, 64))
    x, y = grid.points
    mu = np.where((x - 0.3) ** 2 + (y - 0.4) ** 2 < 0.04, 1.0 + x, 0.0)
    nu = np.roll(mu, (16, 8), axis=(0, 1))
    result = semidual(grid, mu, nu, SemiDual(), gap=1e-3)
    truth = (16 / 64) ** 2 + (8 / 64) ** 2
    assert result.outcome.ok
    assert result.lower <= truth <= result.upper
    moved = (result.barycentre - grid.points)[:, mu > 0]
    assert np.max(np.abs(moved - np.array([[16 / 64], [8 / 64]]))) < 0.5 / 64
    assert np.all(result.spread[mu == 0] == 0)
    assert np.max(result.spread) < 2 * max(grid.spacing)


def test_a_gap_that_is_not_reached_is_said_and_the_bounds_hold() -> None:
    grid = Torus((20, 20))
    mu, nu = shapes(grid, 1e-3)
    result = semidual(grid, mu, nu, SemiDual(least=1.0), gap=1e-9)
    assert not result.outcome.ok
    assert "gap" in result.outcome.advice
    assert result.lower <= exact(grid, mu, nu) <= result.upper


def test_swapping_the_measures_keeps_the_cost() -> None:
    grid = Box((32, 24))
    mu, nu = shapes(grid, 1e-2)
    one, two = (semidual(grid, *pair, SemiDual(), gap=5e-3) for pair in ((mu, nu), (nu, mu)))
    assert max(one.lower, two.lower) <= min(one.upper, two.upper)


def test_an_interruption_leaves_an_interval_that_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Torus((32, 32))
    mu, nu = shapes(grid, 1e-3)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pmasolve.maps.semidual.cascade.falling", stop)
    result = semidual(grid, mu, nu, SemiDual(), gap=1e-3)
    assert result.outcome is INTERRUPTED
    assert result.lower == 0.0
    assert result.upper == np.inf
