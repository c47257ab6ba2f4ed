"""Rough, high-contrast and vanishing densities: the certified interval against an exact solver."""

from __future__ import annotations

import numpy as np
import ot
import pytest
from test_rough_envelope import half_squares

from pmasolve import Box, SemiDual, Torus
from pmasolve.machine.arrays import Array
from pmasolve.maps.semidual import semidual
from pmasolve.maps.semidual.ascent import Masses, iterate
from pmasolve.maps.semidual.bounds import lower_bound, upper_bound
from pmasolve.maps.semidual.curves import curve
from pmasolve.problems.grids import Grid


def shapes(grid: Grid, floor: float) -> tuple[Array, Array]:
    """A disc and a bar, elsewhere ``floor``: jumps of contrast 1/floor."""
    x = grid.points / np.reshape(grid.lengths, (-1,) + (1,) * grid.dim)
    disc = np.sum((x - 0.35) ** 2, axis=0) < 0.05
    bar = np.all(np.abs(x - 0.6) < np.reshape((0.3, 0.12, 0.2)[: grid.dim], (-1,) + (1,) * grid.dim), axis=0)
    return floor + disc, floor + bar


def noise(grid: Grid, floor: float) -> tuple[Array, Array]:
    """White noise, as in a photograph's grain."""
    rng = np.random.default_rng(20251)
    return floor + rng.random(grid.shape), floor + rng.random(grid.shape) ** 2


def exact(grid: Grid, mu: Array, nu: Array) -> float:
    """W₂² of the masses at the nodes by the network simplex."""
    a, b = mu.ravel() / mu.sum(), nu.ravel() / nu.sum()
    return 2 * float(ot.emd2(a, b / b.sum() * a.sum(), half_squares(grid), numItermax=2_000_000))


GRIDS = [
    Torus((20, 20)),
    Box((24, 24)),
    Torus((12, 21), (1.0, 0.6)),
    Box((15, 18), (1.0, 2.0)),
    Torus((70,)),
    Box((8, 7, 9)),
]


@pytest.mark.parametrize("make", [shapes, noise], ids=lambda f: f.__name__)
@pytest.mark.parametrize(("grid", "floor"), [(g, 0.0) for g in GRIDS] + [(GRIDS[0], 1e-3), (GRIDS[3], 1e-6)], ids=str)
def test_the_interval_contains_the_exact_cost(grid: Grid, floor: float, make) -> None:
    mu, nu = make(grid, floor)
    found = semidual(grid, mu, nu, SemiDual(), 1e-2)
    cost = exact(grid, mu, nu)
    assert found.lower <= cost * (1 + 1e-12)
    assert cost <= found.upper * (1 + 1e-12)
    assert found.outcome.ok == (found.upper - found.lower <= 1e-2 * found.lower)
    assert (found.upper - found.lower) / found.lower < 0.1


@pytest.mark.parametrize("grid", [GRIDS[0], GRIDS[3]], ids=str)
def test_no_potential_whatever_makes_a_wrong_interval(grid: Grid) -> None:
    mu, nu = shapes(grid, 0.0)
    masses, cost, rng = Masses.of(grid, mu, nu), exact(grid, mu, nu), np.random.default_rng(7)
    for scale in (0.0, 1e-3, 0.1, 10.0):
        F = scale * rng.standard_normal(grid.shape)
        assert lower_bound(grid, mu, nu, F)[0] <= cost
        here = iterate(masses, F / 0.01, 0.01)
        assert here.l1 > 0.1  # nowhere near a coupling, before the repair
        assert upper_bound(here.plan, mu, nu).upper >= cost


def test_bounds_can_be_wrong_if_the_repair_is_left_out() -> None:
    """The plan before its repair is no coupling: its cost is below the optimal one, which a missing repair would show."""
    grid = Torus((24, 24))
    mu, nu = shapes(grid, 0.0)
    here = iterate(Masses.of(grid, mu, nu), np.zeros(grid.shape), 1e-3)
    assert upper_bound(here.plan, mu, nu).plain < 0.5 * exact(grid, mu, nu)


@pytest.mark.parametrize("shape", [(8, 8), (4, 4, 4), (6, 10), (9,)])
def test_the_curve_visits_every_node_and_its_neighbours_are_near(shape: tuple[int, ...]) -> None:
    order = curve(shape)
    steps = np.abs(np.diff(np.stack(np.unravel_index(order, shape)), axis=1)).sum(axis=0)
    assert np.array_equal(np.sort(order), np.arange(np.prod(shape)))
    assert np.mean(steps) < 1.2


@pytest.mark.parametrize(
    "options", [{"least": 0.01}, {"marginal": 0.0}, {"steps": 0}, {"coarsest": 2}], ids=lambda o: next(iter(o))
)
def test_options_are_checked(options: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        SemiDual(**options)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_least_eps_alone_is_extrapolated_too(seed: int) -> None:
    """Random masses, met by no other ε on the finest grid: a solution at 2ε takes the error of order ε off the lower bound."""
    mu, nu = np.random.default_rng(seed).random((2, 64, 64))
    found = semidual(Box((64, 64)), mu, nu, SemiDual(), 0.01)
    assert (found.upper - found.lower) / found.lower < 0.035  # 0.067 without
