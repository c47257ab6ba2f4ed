"""The certified interval against an exact solver, for jumps, vacuum and noise; and against potentials that are wrong."""

from __future__ import annotations

import numpy as np
import ot
import pytest

from pmasolve import Box, Torus
from pmasolve.domains import Array, Grid
from pmasolve.rough import SemiDual, semidual
from pmasolve.rough.ascent import Masses, iterate
from pmasolve.rough.bounds import curve, lower_bound, upper_bound
from pmasolve.trajectories import INTERRUPTED


def exact(grid: Grid, mu: Array, nu: Array) -> float:
    """W₂² between the masses of the nodes, by the network simplex; 1e-12 for its own rounding."""
    x = grid.points.reshape(grid.dim, -1)
    d = np.abs(x[:, :, None] - x[:, None, :])
    if isinstance(grid, Torus):
        d = np.minimum(d, np.reshape(grid.lengths, (-1, 1, 1)) - d)
    cost, a, b = np.sum(d**2, axis=0), mu.ravel() / mu.sum(), nu.ravel() / nu.sum()
    rows, columns = a > 0, b > 0
    return float(ot.emd2(a[rows], b[columns] * (a[rows].sum() / b[columns].sum()), cost[np.ix_(rows, columns)], 10**7))


def discs(grid: Grid, floor: float) -> tuple[Array, Array]:
    """Two discs and one: jumps over a background."""
    x = grid.points / np.reshape(grid.lengths, (-1,) + (1,) * grid.dim)

    def disc(radius: float, centre: float) -> Array:
        return 1.0 * (np.sum((x - centre) ** 2, axis=0) < radius**2)

    return disc(0.2, 0.3) + 0.5 * disc(0.15, 0.75) + floor, disc(0.3, 0.55) + floor


def noise(grid: Grid, floor: float) -> tuple[Array, Array]:
    """Noise of high contrast; a third of the nodes have the floor."""
    rng = np.random.default_rng(52)
    raw = rng.random((2, *grid.shape))
    mu, nu = np.where(raw > 1 / 3, raw**6, 0.0) + floor
    return mu, nu


GRIDS = [Torus((24, 24)), Box((24, 24)), Torus((24, 18), (1.0, 2.0)), Box((21, 27), (3.0, 1.3))]
CASES = [(grid, pair, floor) for grid in GRIDS for pair in (discs, noise) for floor in (1e-3, 0.0)]


@pytest.mark.parametrize(("grid", "pair", "floor"), CASES)
def test_interval_holds_the_exact_cost(grid: Grid, pair, floor: float) -> None:
    mu, nu = pair(grid, floor)
    gap = 0.02 if pair is discs else 0.05  # noise between nodes three times as far apart along one axis: 0.043 at q = ¼
    result = semidual(grid, mu, nu, SemiDual(coarsest=16), gap)
    truth = exact(grid, mu, nu)
    assert result.lower <= truth * (1 + 1e-12)
    assert truth <= result.upper * (1 + 1e-12)
    assert result.outcome.ok, result.outcome
    assert result.upper - result.lower <= gap * result.lower
    assert np.array_equal(result.undefined, mu == 0)


@pytest.mark.parametrize(
    "grid", [Torus((48,)), Box((53,), (2.0,)), Torus((8, 6, 10)), Box((6, 8, 7), (1.0, 1.2, 1.1))], ids=str
)
def test_one_and_three_dimensions(grid: Grid) -> None:
    mu, nu = discs(grid, 0.01)
    result = semidual(grid, mu, nu, SemiDual(coarsest=16), gap=0.05)
    truth = exact(grid, mu, nu)
    assert result.lower <= truth * (1 + 1e-12)
    assert truth <= result.upper * (1 + 1e-12)
    assert result.upper - result.lower <= 0.05 * result.lower, result.outcome


@pytest.mark.parametrize("grid", [GRIDS[0], GRIDS[3]], ids=str)
@pytest.mark.parametrize("seed", [3301, 3302, 3303])
def test_wrong_potentials_give_wide_intervals_never_wrong_ones(grid: Grid, seed: int) -> None:
    """Noise of any size in place of the potential: bounds of the exact cost all the same."""
    rng = np.random.default_rng(seed)
    mu, nu = noise(grid, 0.0)
    truth = exact(grid, mu, nu)
    for scale in (1e-6, 1e-3, 1.0, 1e3):
        F = scale * rng.standard_normal(grid.shape)
        lower, conjugate = lower_bound(grid, mu, nu, F)
        eps = float(rng.uniform(0.3, 3.0) * max(grid.spacing)) ** 2
        upper = upper_bound(iterate(Masses.of(grid, mu, nu), F / eps, eps).plan, mu, nu).upper
        assert lower <= truth * (1 + 1e-12)
        assert truth <= upper * (1 + 1e-12)
        assert np.isfinite(conjugate).all()


def test_interval_of_the_identity_is_at_zero() -> None:
    grid = Torus((32, 32))
    mu, _ = noise(grid, 1e-3)
    result = semidual(grid, mu, mu, SemiDual(), gap=1e-3)
    assert 0.0 <= result.lower <= result.upper < 1e-4 * max(grid.spacing) ** 2 * 100


def test_translation_is_found_in_vacuum() -> None:
    """A blob and itself, moved by whole nodes of a box: W₂ = the length of the move, and so do the barycentres of mass."""
    grid = Box((64, 64))
    x, y = grid.points
    mu = np.where((x - 0.3) ** 2 + (y - 0.4) ** 2 < 0.04, 1.0 + x, 0.0)
    nu = np.roll(mu, (16, 8), axis=(0, 1))
    result = semidual(grid, mu, nu, SemiDual(), gap=1e-3)
    truth = (16 / 64) ** 2 + (8 / 64) ** 2
    assert result.lower <= truth <= result.upper
    moved = (result.barycentre - grid.points)[:, mu > 0]
    assert np.max(np.abs(moved - np.array([[16 / 64], [8 / 64]]))) < 0.5 / 64
    assert np.count_nonzero(result.undefined) == np.count_nonzero(mu == 0)


def test_unreachable_gap_is_said_and_bounds_hold() -> None:
    grid = Torus((24, 24))
    mu, nu = discs(grid, 1e-3)
    result = semidual(grid, mu, nu, SemiDual(least=1.0), gap=1e-9)
    assert not result.outcome.ok
    assert "gap" in result.outcome.advice
    assert result.lower <= exact(grid, mu, nu) <= result.upper


def test_swapping_the_measures_keeps_the_cost() -> None:
    grid = Box((32, 24))
    mu, nu = discs(grid, 1e-2)
    one, two = (semidual(grid, *pair, SemiDual(), gap=5e-3) for pair in ((mu, nu), (nu, mu)))
    assert max(one.lower, two.lower) <= min(one.upper, two.upper)


@pytest.mark.parametrize("shape", [(8,), (8, 8), (5, 9), (4, 6, 5)])
def test_curve_visits_every_node_once(shape: tuple[int, ...]) -> None:
    order = curve(shape)
    assert sorted(order) == list(range(np.prod(shape)))


def test_curve_moves_by_one_node_on_a_power_of_two() -> None:
    index = np.stack(np.unravel_index(curve((16, 16)), (16, 16)))
    assert np.all(np.sum(np.abs(np.diff(index, axis=1)), axis=0) == 1)


def test_interrupted_keeps_what_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Torus((32, 32))
    mu, nu = discs(grid, 1e-3)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pmasolve.rough.cascade._fine", stop)
    result = semidual(grid, mu, nu, SemiDual(), gap=1e-3)
    assert result.outcome is INTERRUPTED
    assert result.lower == 0.0
    assert result.upper == np.inf


@pytest.mark.parametrize("wrong", [{"least": 0.0}, {"marginal": 0.0}, {"steps": 0}, {"coarsest": 2}])
def test_options_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="needed"):
        SemiDual(**wrong)
