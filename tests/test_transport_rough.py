"""Rough and vanishing densities through `transport`: which method runs, what its interval bounds, what can be done with the map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import ot
import pytest
from cases import t2
from scipy.ndimage import gaussian_filter

from pmasolve import (
    Box,
    NewtonKrylov,
    Problem,
    SemiDual,
    Simplex,
    Torus,
    embedding,
    load_map,
    plot_transport,
    save_map,
    transport,
)
from pmasolve.maps.certificates import splitting


def disc(grid, centre: tuple[float, float], radius: float) -> np.ndarray:
    """1 inside, 0 outside; across the seam on a torus."""
    d = np.stack([x - c for x, c in zip(grid.points, centre, strict=True)])
    d = d - np.round(d) if isinstance(grid, Torus) else d
    return (np.sum(d**2, axis=0) < radius**2).astype(float)


def discs(kind, n: int, floor: float = 0.0) -> Problem:
    """A disc to a larger one beside it, on a background."""
    grid = kind((n, n))
    return Problem.from_densities(grid, disc(grid, (0.4, 0.45), 0.15) + floor, disc(grid, (0.55, 0.5), 0.22) + floor)


def exact(problem: Problem) -> float:
    """W₂² between the masses of the nodes, by POT's network simplex on those that have mass."""
    x = problem.domain.points.reshape(2, -1).T
    a, b = (np.exp(m.log_density).ravel() for m in (problem.mu, problem.nu))
    d = x[a > 0][:, None] - x[b > 0][None]
    d = d - np.round(d) if isinstance(problem.domain, Torus) else d
    a, b = a[a > 0], b[b > 0]
    return float(ot.emd2(a / a.sum(), b / b.sum(), np.sum(d**2, axis=-1), numItermax=10**7))


def blocks(values: np.ndarray) -> np.ndarray:
    """Means of blocks of 8 × 8."""
    n, m = values.shape
    return values.reshape(n // 8, 8, m // 8, 8).mean(axis=(1, 3))


@pytest.mark.parametrize("kind", [Torus, Box])
@pytest.mark.parametrize("method", [None, SemiDual()])
def test_a_density_that_vanishes_takes_the_simplex_or_the_semi_dual(kind, method) -> None:
    problem = discs(kind, 32)
    T = transport(problem, gap=2e-2, method=method)
    assert isinstance(T.method, SemiDual if method else Simplex)
    assert T.outcome.ok, T.outcome
    assert T.gap <= 2e-2
    assert "nodes" in T.interval.problem
    assert T.interval.lower * (1 - 1e-13) <= exact(problem) <= T.interval.upper * (1 + 1e-13)
    assert T.interval.lower <= T.w2_squared <= T.interval.upper
    assert np.array_equal(T.undefined, np.exp(-problem.f) == 0)
    x = problem.domain.points
    assert np.array_equal(T.map[:, T.undefined], x[:, T.undefined])
    there = ~T.undefined
    shift = problem.mu.integral(np.sum((T.map - x) ** 2, axis=0))
    assert shift == pytest.approx(T.w2_squared, rel=0.05)
    # the disc is stretched about its centre
    centre = np.array([0.55, 0.5]) + (np.array([x[0][there].mean(), x[1][there].mean()]) - [0.4, 0.45])
    assert np.allclose([T.map[0][there].mean(), T.map[1][there].mean()], centre, atol=0.02)


def test_where_mass_splits(tmp_path: Path) -> None:
    """A disc and a bar on each side of it: the nodes of one line send their mass to both."""
    grid = Box((64, 64))
    x, y = grid.points
    bars = ((abs(x - 0.5) > 0.2) & (abs(y - 0.5) < 0.2)).astype(float)
    T = transport(Problem.from_densities(grid, disc(grid, (0.4, 0.45), 0.17), bars), gap=2e-2)
    split = T.spread > 0.1
    assert 15 < np.count_nonzero(split) < 30
    assert np.unique(x[split]).size == 1
    assert np.max(T.spread[~split]) < 2 / 64 * np.sqrt(2)
    assert 0.2 < np.max(T.spread) < 0.25  # half of the 0.4 between the bars, and some of their height
    assert np.all(T.spread[T.undefined] == 0)
    assert np.array_equal(load_map(save_map(T, tmp_path / "map")).spread, T.spread)
    assert transport(t2(32)).spread is None


def test_a_stall_of_newton_hands_over() -> None:
    problem = discs(Torus, 32, 1e-3)
    T = transport(problem, gap=3e-2)
    assert isinstance(T.method, Simplex)
    assert T.outcome.ok, T.outcome
    assert T.interval.lower <= exact(problem) <= T.interval.upper
    assert any("defect" in record for record in T.records)  # Newton's steps stay on record
    only = transport(problem, method=NewtonKrylov(steps=5))
    assert isinstance(only.method, NewtonKrylov)
    assert not only.outcome.ok
    assert not only.undefined.any()


def test_newton_is_kept_where_its_interval_is_narrower_than_what_the_nodes_leave_open() -> None:
    """Smoothed noise: the exact cost between the masses of nodes is further off than the interval is wide."""
    grid = Torus((32, 32))
    noise = np.random.default_rng(20261125).uniform(0, 1, (2, 32, 32))
    mu, nu = (0.6 + gaussian_filter(values, 1.0, mode="wrap") for values in noise)
    problem = Problem.from_densities(grid, mu, nu)
    T = transport(problem, gap=1e-4)
    assert isinstance(T.method, NewtonKrylov)
    assert T.outcome.ok
    assert T.outcome.name == "within the grid"
    assert "Σh²/6" in T.outcome.advice
    assert T.gap > 1e-4
    assert T.interval.upper - T.interval.lower < exact(problem) - T.interval.upper < 2 * splitting(grid)
    finer = transport(problem.on(Torus((128, 128))))  # the same functions
    assert T.interval.lower <= finer.interval.upper
    assert finer.interval.lower <= T.interval.upper


def test_both_methods_agree_on_a_smooth_pair() -> None:
    problem = t2(32)
    T, rough = transport(problem), transport(problem, method=SemiDual(), gap=0.2)
    assert isinstance(T.method, NewtonKrylov)
    assert rough.w2_squared == pytest.approx(T.w2_squared, rel=0.2)
    assert problem.domain.sup(rough.map - T.map) < 0.03
    x = np.random.default_rng(0).uniform(0, 1, (200, 2))
    assert np.max(np.abs(rough(x) - T(x))) < 0.03
    assert np.max(np.abs(rough.inverse(x) - T.inverse(x))) < 0.03


@pytest.mark.parametrize("kind", [Torus, Box])
def test_what_a_map_between_voids_does(kind, tmp_path: Path) -> None:
    problem = discs(kind, 32)
    T = transport(problem, gap=2e-2)
    mu, nu = np.exp(-problem.f), np.exp(-problem.g)
    pushed = T.push(mu)
    assert pushed.sum() == pytest.approx(mu.sum(), rel=1e-12)
    assert np.mean(np.abs(blocks(pushed) - blocks(nu))) < 0.1  # of means 1; in blocks, as the rim is shared among cells
    assert problem.domain.integral(T.interpolate(0.5)) == pytest.approx(1.0, rel=1e-12)
    assert np.all(T.interpolate(0.5) >= 0)
    y = problem.domain.points[:, nu > 0].T
    back = T.inverse(y) - [0.4, 0.45]
    assert np.max(np.sqrt(np.sum(back**2, axis=1))) < 0.15 + 2.0 / 32  # into the source's disc
    again = load_map(save_map(T, tmp_path / "map"))
    assert again.method == T.method
    assert np.array_equal(again.map, T.map)
    assert np.array_equal(again.undefined, T.undefined)
    assert np.allclose(again.inverse(y), T.inverse(y))
    assert len(plot_transport(T).axes) == 5  # with two colour bars


def test_images_need_not_be_positive() -> None:
    grid = Box((32, 32))
    a, b = disc(grid, (0.4, 0.4), 0.2), disc(grid, (0.6, 0.4), 0.2)
    vectors = embedding(grid, np.ones((32, 32)), [a, b], solve=lambda problem: transport(problem, gap=0.05))
    assert (
        np.linalg.norm(vectors[0] - vectors[1]) > 0.19
    )  # W₂ is 0.2, the embedding's distance no less but for the grid
