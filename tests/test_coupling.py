"""Exact transport between clouds: POT's dense simplex, all permutations, rational arithmetic, sorting; certificates; bad input."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations

import numpy as np
import ot
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.special import softmax

from pmasolve import Cloud, Problem, Torus, optimal_coupling
from pmasolve.maps.forests import settled
from pmasolve.samples.levels import Levels
from pmasolve.sinkhorn.softmin.clouds.pairs import PairCosts


def squares(problem: Problem) -> np.ndarray:
    """|x − y|² of all pairs; on a torus of the nearest images."""
    step = problem.domain.points[:, None] - problem.codomain.points
    if problem.domain.period is not None:
        step -= np.round(step / problem.domain.period) * problem.domain.period
    return np.sum(step**2, axis=2)


def reference(problem: Problem) -> float:
    """W₂² by POT's dense simplex, costs brought to order 1."""
    matrix = squares(problem)
    scale = matrix.max() or 1.0
    return scale * ot.emd2(problem.domain.weights, problem.codomain.weights, matrix / scale, numItermax=10**7)


def drawn(seed: int) -> Problem:
    """Sizes, dimension, weights (zeros, tiny ones), duplicates, ties and period as they come."""
    rng = np.random.default_rng(seed)
    (n, m), d, kind = rng.integers(1, 120, 2), rng.integers(1, 6), seed % 5
    x, y = rng.standard_normal((n, d)), rng.standard_normal((m, d)) ** 2
    if kind == 1:  # ties and duplicates
        x, y = np.round(x), np.round(y)
    if kind == 2:  # the same points on both sides
        y = np.concatenate([x, y])[:m]
    a, b = (None, None) if kind == 3 else (rng.random(n) * (rng.random(n) < 0.7), rng.random(len(y)) ** 4)
    if a is not None and not a.any():
        a = None
    return Problem.from_samples(x, y, a, b, 1.5 if kind == 4 and d < 4 else None)


@pytest.mark.parametrize("start", range(0, 150, 50))
def test_equal_to_the_dense_simplex(start: int) -> None:
    for seed in range(start, start + 50):
        problem = drawn(seed)
        found, best, largest = optimal_coupling(problem), reference(problem), squares(problem).max()
        assert found.outcome.ok
        assert found.w2_squared == pytest.approx(best, rel=1e-12, abs=1e-14 * largest), seed
        assert found.interval.lower - 1e-14 * largest <= best <= found.interval.upper + 1e-14 * largest
        assert found.interval.upper - found.interval.lower <= 1e-12 * found.interval.lower + 2e-12 * largest
        plan = found.coupling.toarray()
        assert np.abs(plan.sum(axis=1) - problem.domain.weights).max() < 1e-13
        assert np.abs(plan.sum(axis=0) - problem.codomain.weights).max() < 1e-13
        assert (plan >= 0).all()
        assert found.coupling.nnz < problem.domain.size + problem.codomain.size
        slack = found.u[:, None] + found.v + squares(problem) / 2
        assert slack.min() > -1e-14 * largest
        assert np.sum(slack * plan) < 1e-12 * largest


def test_the_interval_holds_the_rational_optimum() -> None:
    """Five points on each side: all permutations; potentials feasible for every pair, without any tolerance."""
    rng = np.random.default_rng(3)
    for dim in (1, 2, 3):
        x, y = rng.standard_normal((2, 5, dim))
        found = optimal_coupling(Problem.from_samples(x, y))
        cost = [[sum((Fraction(s) - Fraction(t)) ** 2 for s, t in zip(p, q, strict=True)) for q in y] for p in x]
        best = min(sum(cost[i][j] for i, j in enumerate(order)) for order in permutations(range(5))) / 5
        assert Fraction(found.interval.lower) <= best <= Fraction(found.interval.upper)


@pytest.mark.parametrize("dim", [2, 4])
def test_conjugates_are_rounded_downwards(dim: int) -> None:
    rng = np.random.default_rng(4)
    x, y, u = rng.standard_normal((40, dim)), rng.standard_normal((40, dim)), rng.standard_normal(40)
    v = PairCosts(x, y).conjugate(u)
    for p, s in zip(x, u, strict=True):
        for q, t in zip(y, v, strict=True):
            cost = sum((Fraction(a) - Fraction(b)) ** 2 for a, b in zip(p, q, strict=True)) / 2
            assert Fraction(s) + Fraction(t) <= cost


@pytest.mark.parametrize(("dim", "period"), [(1, None), (2, None), (2, 1.0), (3, None), (9, None)])
def test_conjugates_and_partners_are_those_of_all_pairs(dim: int, period: float | None) -> None:
    """Several blocks and runs of tiles; potentials that vary far more than a block's own."""
    rng = np.random.default_rng(5)
    x, y = rng.random((3000, dim)), rng.random((2500, dim)) ** 2
    problem = Problem.from_samples(x, y, period=period)
    costs = PairCosts(x, y, None if period is None else np.full(dim, period))
    slack = squares(problem) / 2 - (u := 3 * np.sin(4 * x[:, 0]) + 0.1 * rng.random(3000))[:, None]
    v = costs.conjugate(u)
    assert np.allclose(v, slack.min(axis=0), rtol=0, atol=1e-13)
    level = v + 0.02
    arcs = costs.below(u, level, 3000)
    wanted = slack <= level
    assert np.array_equal(np.sort(arcs.rows * 2500 + arcs.columns), np.flatnonzero(wanted))
    if period is not None:
        return  # a source takes a place for each of its images
    few = costs.below(u, level, 4)
    assert np.array_equal(np.bincount(few.columns, minlength=2500), np.minimum(wanted.sum(axis=0), 4))
    worst = np.full(2500, -np.inf)
    np.maximum.at(worst, few.columns, slack[few.rows, few.columns])
    assert np.allclose(
        worst, np.sort(slack, axis=0)[np.minimum(wanted.sum(axis=0), 4) - 1, np.arange(2500)], atol=1e-13
    )


def test_on_a_line_sorting_agrees_with_the_plane_and_with_quantiles() -> None:
    rng = np.random.default_rng(6)
    x, y, a, b = rng.standard_normal(900), 3 * rng.random(700), rng.random(900), rng.random(700)
    line = optimal_coupling(Problem.from_samples(x[:, None], y[:, None], a, b))
    flat = [np.stack([z, np.zeros(z.size)], axis=1) for z in (x, y)]
    plane = optimal_coupling(Problem.from_samples(*flat, a, b))
    assert line.rounds == 0 < plane.rounds
    assert line.w2_squared == pytest.approx(plane.w2_squared, rel=1e-12)
    assert np.allclose(line.map, plane.map[:, :1], atol=1e-9)
    many = rng.standard_normal((2, 60_000))
    found = optimal_coupling(Problem.from_samples(*many[:, :, None]))
    assert found.w2_squared == pytest.approx(np.mean((np.sort(many[0]) - np.sort(many[1])) ** 2), rel=1e-12)
    assert found.interval.upper - found.interval.lower < 1e-13 * np.ptp(many) ** 2


@pytest.mark.parametrize("case", ["one", "equal", "far", "tiny", "huge", "grid", "wide"])
def test_extreme_clouds(case: str) -> None:
    rng = np.random.default_rng(7)
    x, y = rng.random((60, 2)), rng.random((60, 2))
    mesh = np.stack(np.meshgrid(np.arange(8.0), np.arange(8.0)), axis=-1).reshape(-1, 2)
    x, y = {
        "one": (x[:1], y),
        "equal": (np.ones((9, 2)), np.ones((4, 2))),
        "far": (x + 1e6, y),
        "tiny": (1e-130 * x, 1e-130 * y),
        "huge": (1e120 * x, 1e120 * y),
        "grid": (mesh, mesh[::-1] + np.array([0.5, 1.0])),
        "wide": (rng.random((6, 40)), rng.random((4, 40))),
    }[case]
    found = optimal_coupling(problem := Problem.from_samples(x, y))
    assert found.outcome.ok
    assert found.w2_squared == pytest.approx(reference(problem), rel=1e-12)
    assert found.map.shape == x.shape


def test_points_without_mass_have_potentials_and_no_map() -> None:
    x, y = np.array([[0.0, 0.0], [9.0, 9.0]]), np.array([[1.0, 0.0], [5.0, 5.0]])
    found = optimal_coupling(Problem.from_samples(x, y, [1, 0], [1, 0]))
    assert found.map[0].tolist() == [1.0, 0.0]
    assert np.isnan(found.map[1]).all()
    assert (found.u[:, None] + found.v + squares(found.problem) / 2).min() >= 0
    assert found.w2_squared == 1.0


@pytest.mark.parametrize("period", [None, 1.0])
def test_any_point_goes_where_the_potential_sends_it(period: float | None) -> None:
    """All targets with mass looked at, on a torus their nearest images."""
    rng = np.random.default_rng(5)
    x, y, z, b = rng.random((30, 2)), rng.random((40, 2)) ** 2, rng.random((50, 2)), np.repeat([1.0, 0.0], [30, 10])
    found = optimal_coupling(Problem.from_samples(x, y, b=b, period=period))
    step = y[:30] - z[:, None]
    step -= 0 if period is None else np.round(step)
    best = np.argmin(0.5 * np.sum(step**2, axis=2) + found.v[:30], axis=1)
    assert np.abs(found.image(z) - z - step[np.arange(50), best]).max() < 1e-12
    assert (best != np.argmin(np.sum(step**2, axis=2), axis=1)).any()


def test_what_is_refused() -> None:
    x = np.zeros((3, 2))
    with pytest.raises(ValueError, match="for densities on a grid use transport"):
        optimal_coupling(Problem(Torus((8,)), lambda x: 0 * x, lambda y: 0 * y))
    with pytest.raises(ValueError, match="gap=-1"):
        optimal_coupling(Problem.from_samples(x, x), gap=-1)
    with pytest.raises(ValueError, match="NaN"):
        optimal_coupling(Problem.from_samples(x * np.nan, x))
    wrapped = np.zeros((3, 5))
    with pytest.raises(ValueError, match="5 dimensions"):
        optimal_coupling(Problem.from_samples(wrapped, wrapped, period=1.0))
    rng = np.random.default_rng(3)
    for unit in (1e-155, 1e-170):  # squares without digits, squares that are 0
        with pytest.raises(ValueError, match="underflow; take another unit"):
            optimal_coupling(Problem.from_samples(unit * rng.random((9, 2)), unit * rng.random((8, 2))))


def test_it_speaks() -> None:
    found = optimal_coupling(Problem.from_samples([[0.0, 0.0]], [[3.0, 4.0]]))
    assert repr(found).startswith("<OptimalCoupling of 1 and 1 points: W₂ = 5")
    assert max(map(len, found.summary().splitlines())) <= 80


def test_flows_on_a_forest_come_from_the_masses() -> None:
    """The north-west coupling of random masses: from any flow, to the last digit; a cycle keeps its flow."""
    rng = np.random.default_rng(8)
    a, b = rng.random(50), rng.random(40)
    a, b = a / a.sum(), b / b.sum()
    plan = ot.emd_1d(np.arange(50.0)[:, None], np.arange(40.0)[:, None], a, b)
    i, j = np.nonzero(plan)
    found = settled(i, j, a, b, np.zeros(i.size))
    assert np.allclose(found, plan[i, j], atol=1e-15)
    assert np.abs(np.bincount(i, found) - a).sum() + np.abs(np.bincount(j, found) - b).sum() < 1e-15
    square = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    assert settled(*square, np.ones(2), np.ones(2), np.full(4, 0.5)).tolist() == [0.5] * 4


def test_levels_keep_masses_and_centres() -> None:
    rng = np.random.default_rng(9)
    cloud = Cloud(rng.standard_normal((5000, 3)), softmax(rng.standard_normal(5000)))
    levels = Levels(cloud.points, cloud.weights)
    sizes = [levels.at(level)[1].size for level in range(levels.count + 1)]
    assert sizes == [5000, 1024, 256, 128]
    for level in range(levels.count + 1):
        centres, masses = levels.at(level)
        assert masses.sum() == pytest.approx(1, rel=1e-13)
        assert np.allclose(masses @ centres, cloud.weights @ cloud.points, atol=1e-14)
    (near, _), spread = levels.at(1), np.linalg.norm(cloud.points[:, None] - levels.at(1)[0], axis=2).min(axis=1)
    assert np.median(spread) < 0.3  # groups are compact
    assert near.shape == (1024, 3)


@pytest.mark.parametrize("n", [50, 400])
def test_bounds_are_as_near_as_costs_are(n: int) -> None:
    """Potentials off by prices of staying away, ten times the greatest cost, lost it digits: gaps of 1.1e-12 and 1.8e-12."""
    rng = np.random.default_rng(10)
    found = optimal_coupling(Problem.from_samples(rng.random((n, 2)), rng.random((n, 2)) ** 1.5))
    assert found.interval.gap < 2e-13


@pytest.mark.slow
def test_twenty_thousand_points_in_the_plane() -> None:
    rng = np.random.default_rng(10)
    found = optimal_coupling(Problem.from_samples(rng.random((20_000, 2)), rng.random((20_000, 2)) ** 1.5))
    assert found.outcome.ok
    assert found.interval.gap < 1e-12


def test_a_distance_that_roundings_hide_is_named_so() -> None:
    """Two tiny pieces far apart: W₂² is 1e-13 of the largest squared distance."""
    r = np.random.default_rng(0).random
    x, y = (np.r_[1e-6 * r((40, 2)), 1e-6 * r((40, 2)) + 1] for _ in range(2))
    found = optimal_coupling(Problem.from_samples(x, y))
    squared = np.sum((x[:, None] - y) ** 2, axis=-1)
    exact = np.mean(
        squared[linear_sum_assignment(squared * 1e12)]
    )  # POT's is 16 % too large, its tolerance is absolute
    assert found.outcome.name == "within rounding"
    assert found.interval.lower <= exact * (1 + 1e-6)
    assert exact <= found.interval.upper * (1 + 1e-6)
