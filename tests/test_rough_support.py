"""The part of a box that holds all mass, splines and curves on it: the same problem, potentials and bounds on the whole."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import islice

import numpy as np
import pytest
from test_rough_semidual import exact, shapes

from pmasolve import Box, SemiDual, Torus
from pmasolve.machine.arrays import Array
from pmasolve.maps.semidual import flows, semidual
from pmasolve.maps.semidual.ascent import FAR, FAR_ON_ZEROS, Masses, _approached, ascent, iterate
from pmasolve.maps.semidual.bounds import lower_bound
from pmasolve.maps.semidual.cascade import _on_all
from pmasolve.maps.semidual.curves import _sorted, curve
from pmasolve.maps.semidual.interval import LEAST_GAP, REPAIRABLE, Best
from pmasolve.maps.semidual.levels import CUBIC, refined
from pmasolve.maps.semidual.support import MARGIN, ROUNDED, Held
from pmasolve.problems.grids import Grid


def corner(grid: Grid) -> tuple[Array, Array]:
    """Noise in two small rectangles of a box, zeros elsewhere, and zeros within as well."""
    rng, out = np.random.default_rng(11), np.zeros((2, *grid.shape))
    for density, first in zip(out, (0.45, 0.55), strict=True):
        part = tuple(slice(int(first * n), int((first + 0.2) * n)) for n in grid.shape)
        density[part] = rng.random(density[part].shape) * (rng.random(density[part].shape) < 0.7)
    return out[0], out[1]


@pytest.mark.parametrize("grid", [Box((90,)), Box((70, 60), (0.3, 0.7)), Box((50, 40, 45))], ids=str)
def test_the_part_holds_all_mass_with_a_margin_on_the_same_nodes(grid: Box) -> None:
    mu, nu = corner(grid)
    held = Held.of(grid, mu, nu, 16)
    assert held is not None
    assert held.grid.size < 0.7 * grid.size
    for density in (mu, nu):
        assert np.sum(density[held.nodes]) == pytest.approx(np.sum(density), rel=1e-14)
        inner = tuple(slice(MARGIN, -MARGIN) for _ in grid.shape)
        assert np.sum(density[held.nodes][inner]) == pytest.approx(np.sum(density), rel=1e-14)
    for j, part in enumerate(held.nodes):
        assert np.allclose(held.grid.axis(j) + part.start * grid.spacing[j], grid.axis(j)[part], rtol=1e-14)
        h, inside = Fraction(grid.lengths[j]) / grid.shape[j], Fraction(held.grid.lengths[j]) / held.grid.shape[j]
        assert abs((inside / h) ** 2 - 1) <= Fraction(ROUNDED) / 4


def test_there_is_no_part_where_mass_is_everywhere_or_distances_go_round() -> None:
    ones = np.ones((64, 64))
    assert Held.of(Box((64, 64)), ones, ones, 32) is None
    assert Held.of(Box((64, 64)), *corner(Box((64, 64))), 32) is not None
    assert Held.of(Torus((64, 64)), *corner(Torus((64, 64))), 32) is None
    mu = np.zeros((64, 64))
    mu[0, 0] = mu[-1, -1] = 1.0
    assert Held.of(Box((64, 64)), mu, mu, 32) is None


@pytest.mark.parametrize("grid", [Box((120,)), Box((60, 70), (1.0, 0.7))], ids=str)
def test_what_is_found_on_the_part_holds_on_the_whole(grid: Box) -> None:
    mu, nu = corner(grid)
    found, plain = semidual(grid, mu, nu, SemiDual(), 0.02), _on_all(grid, mu, nu, SemiDual(), 0.02, False, None)
    cost = exact(grid, mu, nu)
    assert found.outcome.ok
    assert (found.upper - found.lower) / found.lower <= 0.02
    assert found.lower <= cost * (1 + 1e-12)
    assert cost <= found.upper * (1 + 1e-12)
    assert lower_bound(grid, mu, nu, -found.potential)[0] == pytest.approx(found.lower, rel=1e-12)
    assert found.potential.shape == grid.shape
    assert abs(np.mean(found.potential)) < 1e-12
    there = mu > 0
    away = np.sum((found.barycentre - plain.barycentre)[:, there] ** 2, axis=0) @ mu[there] / np.sum(mu)
    assert away <= 4 * 0.02 * cost  # both are plans within the gap
    assert np.all(found.barycentre[:, ~there] == grid.points[:, ~there])
    assert np.all(found.spread[~there] == 0)


def test_bounds_make_up_for_roundings_of_the_part() -> None:
    grid = Box((60, 70), (1.0, 0.7))
    mu, nu = corner(grid)
    held = Held.of(grid, mu, nu, 32)
    assert held is not None
    inside = _on_all(held.grid, mu[held.nodes], nu[held.nodes], SemiDual(), 0.02, False, None)
    found = held.extended(inside)
    assert 1 - 2 * ROUNDED <= found.lower / inside.lower <= 1 - ROUNDED / 2
    assert 1 + ROUNDED / 2 <= found.upper / inside.upper <= 1 + 2 * ROUNDED
    for gap in (1e-12, 1e-3, 7.0):
        assert (1 + held.wanted(gap)) * (1 + 1.1 * ROUNDED) / (1 - 1.1 * ROUNDED) - 1 <= gap
        assert held.wanted(gap) == pytest.approx(gap, rel=0.02)


@pytest.mark.parametrize("kind", [Torus, Box])
@pytest.mark.parametrize(("shape", "fine"), [((8,), (16,)), ((9, 6), (17, 13)), ((4, 5, 6), (7, 9, 12))], ids=str)
def test_splines_axis_by_axis_are_those_at_points(kind, shape: tuple[int, ...], fine: tuple[int, ...]) -> None:
    lengths = (1.0, 2.0, 0.3)[: len(shape)]
    coarse, finer = kind(shape, lengths), kind(fine, lengths)
    F = np.random.default_rng(5).standard_normal(shape)
    assert np.max(np.abs(refined(coarse, finer, F) - CUBIC.of(coarse, F)(finer.points))) < 1e-14


@pytest.mark.parametrize("shape", [(32, 32), (24, 20), (8, 8, 8), (7, 6, 5), (16,), (13,), (1, 1)], ids=str)
def test_the_curve_by_doubling_is_the_sorted_one(shape: tuple[int, ...]) -> None:
    assert np.array_equal(curve(shape), _sorted(shape, max((max(shape) - 1).bit_length(), 1)))


def test_a_first_plan_that_costs_more_than_the_gap_allows_is_not_repaired() -> None:
    """Its excess is known before, and another ε comes first; later ones are repaired once their marginals are twice as near."""
    masses, eps = Masses.of(Box((32, 32)), *np.random.default_rng(3).random((2, 32, 32))), 0.01
    best, dear, nearer = (
        Best(masses, 1e-3),
        *(here for here in islice(ascent(masses, np.zeros((32, 32)), eps, print), 2)),
    )
    first, second = dear.l1, nearer.l1
    assert second <= 0.5 * first
    for here in (replace(nearer, l1=first), replace(nearer, l1=0.6 * first)):
        assert best.take(here, eps) > REPAIRABLE
        assert here.plan is not None
        assert best.upper == np.inf
    best.take(replace(nearer, l1=0.5 * first), eps)
    assert best.lower <= best.upper < np.inf
    sure = Best(masses, 1e-3)
    sure.take(iterate(masses, nearer.F, eps), eps, surely=True)
    assert sure.upper < np.inf


def test_walks_end_where_they_are_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flows out of nodes that have nothing: where one of each order took little, the next ones would do no better."""
    grid, walks, walk = Box((40,)), [], flows._walk
    a, mu = np.full(40, 1e-9), np.full(40, 1e-9)
    a[0], mu[-1] = 1.0, 1.0

    def counted(*given):
        out = walk(*given)
        walks.append(out[1:])
        return out

    monkeypatch.setattr(flows, "_walk", counted)
    network = flows.GridNetwork(grid, mu * 40)
    mean = np.zeros((1, 40))
    network.carry(a, mean, mu, 1e-12)
    assert sum(taken < flows.STUCK * left for taken, left in walks) <= flows.SOLVES * len(flows.ORDERS)
    assert np.min(a) >= 0


@pytest.mark.parametrize("turns", range(4))
def test_mass_crosses_a_light_background_in_every_direction(turns: int) -> None:
    """From one corner to another, many times what lies between them: along the order of one walk in four, against it in others."""
    density = np.full((32, 32), 1e-3)
    density[:8, :8] = density[-8:, -8:] = 1.0
    more = np.ones((32, 32))
    more[:8, :8], more[-8:, -8:] = 1.04, 0.96
    mu, a = (np.rot90(mass / np.sum(mass), turns).copy() for mass in (density, density * more))
    network, before = flows.GridNetwork(Box((32, 32)), mu * 32**2), np.sum(np.abs(a - mu))
    network.carry(a, np.zeros((2, 32, 32)), mu, 1e-4 * before)
    # 1e-5; nine tenths stay with two orders, all where one walk that takes little is the last
    assert np.sum(np.abs(a - mu)) < 1e-3 * before


@pytest.mark.parametrize("floor", [0.0, 1e-3])
def test_sinkhorn_iterations_go_nearer_where_a_density_vanishes(floor: float) -> None:
    """Each iteration halves what is left here: 0.37, 0.17, 0.085, 0.042 on zeros."""
    grid, eps = Box((64, 64)), (8 / 64) ** 2
    masses = Masses.of(grid, *shapes(grid, floor))
    here = _approached(masses, iterate(masses, np.zeros(grid.shape), eps), eps)
    assert 0.4 * FAR_ON_ZEROS < here.l1 <= FAR
    assert (here.l1 <= FAR_ON_ZEROS) == (floor == 0)


@pytest.mark.parametrize("gap", [np.inf, 1e300, 1e-320])
@pytest.mark.parametrize("length", [1.0, 1e-30])
@pytest.mark.parametrize("kind", [Torus, Box])
def test_any_gap_may_be_asked_for(kind, length: float, gap: float) -> None:
    """Infinite ones are met by the first plan; below `LEAST_GAP` products with W₂² may be nothing."""
    grid = kind((40,), (length,))
    mu, nu = corner(grid)
    found, cost = semidual(grid, mu, nu, SemiDual(), gap), length**2 * exact(kind((40,)), mu, nu)
    assert found.outcome.ok == (gap > 1)
    assert found.lower <= cost * (1 + 1e-12)
    assert cost <= found.upper * (1 + 1e-12) < np.inf
    part = Held.of(Box((64, 64)), *corner(Box((64, 64))), 32)
    assert part is not None
    assert part.wanted(gap) == pytest.approx(max(gap, LEAST_GAP), rel=1e-12)


@pytest.mark.parametrize("grid", [Box((40,)), Box((60, 9), (1.0, 0.7)), Torus((12, 9))], ids=str)
def test_bounds_between_one_node_and_others_are_those_of_its_only_plan(grid: Grid) -> None:
    """Marginals are right before any step; the potential in the void is then still what it began with."""
    mu, nu = np.zeros(grid.shape), corner(grid)[1]
    mu.flat[-1] = 1.0
    for source, target in ((mu, nu), (nu, mu)):
        found, cost = semidual(grid, source, target, SemiDual(), 1e-3), exact(grid, source, target)
        assert found.outcome.ok
        assert found.lower == pytest.approx(cost, rel=1e-9)
        assert found.lower <= cost * (1 + 1e-12)
        assert cost <= found.upper * (1 + 1e-12)


def test_a_plan_whose_weights_are_lost_has_no_bound() -> None:
    """Spacings so unequal leave columns without any weight: the upper bound and the barycentre were NaN."""
    grid, (mu, nu) = Torus((7, 7), (1e10, 1e-10)), np.zeros((2, 7, 7))
    mu[2, 3], nu[:] = 1.0, np.random.default_rng(15).random((7, 7))
    mu[5, 1] = 0.3
    found = semidual(grid, mu, nu, SemiDual(), 0.05)
    assert not found.outcome.ok
    assert 0 <= found.lower <= found.upper
    assert np.isfinite(found.barycentre).all()
    assert np.isfinite(found.spread).all()
