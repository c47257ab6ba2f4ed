"""Exact c-transforms against the minimum over all pairs of nodes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from pmasolve import Box, Torus
from pmasolve.machine.arrays import Array
from pmasolve.maps.semidual.c_transform import c_transform
from pmasolve.problems.grids import Grid

GRIDS = [
    Torus((33,), (2.0,)),
    Box((32,)),
    Torus((12, 17), (1.0, 0.3)),
    Box((15, 10), (0.7, 2.0)),
    Torus((6, 4, 5), (1.0, 2.0, 0.5)),
    Box((5, 6, 4)),
]


def half_squares(grid: Grid) -> Array:
    """½ dist(x, y)² of all pairs of nodes, (N, N)."""
    x = grid.points.reshape(grid.dim, -1)
    d = np.abs(x[:, :, None] - x[:, None, :])
    if isinstance(grid, Torus):
        d = np.minimum(d, np.reshape(grid.lengths, (-1, 1, 1)) - d)
    return 0.5 * np.sum(d**2, axis=0)


def functions(grid: Grid) -> list[Array]:
    """Noise small and large against the cost, a smooth function, a spike, a constant far from 0."""
    rng = np.random.default_rng(20241)
    noise = rng.standard_normal(grid.shape)
    spike = np.zeros(grid.shape)
    spike.flat[3] = 1e3
    return [1e-3 * noise, noise, 1e6 * noise, 0.1 * np.cos(2 * np.pi * grid.points[0]), spike, np.full(grid.shape, 1e5)]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_is_the_minimum_over_all_nodes(grid: Grid) -> None:
    cost = half_squares(grid)
    for F in functions(grid):
        exact = np.min(cost - F.reshape(-1, 1), axis=0)
        scale = np.max(np.abs(F)) + sum(length**2 for length in grid.lengths)
        assert np.max(np.abs(c_transform(grid, F).ravel() - exact)) <= 1e-13 * scale


@pytest.mark.parametrize("grid", [GRIDS[0], GRIDS[2], GRIDS[3]], ids=str)
def test_pairs_are_admissible_in_real_numbers(grid: Grid) -> None:
    """F(x) + F^c(y) ≤ ½ dist(x, y)² in fractions, with the grid's own lengths: no rounding anywhere."""
    spacing = [Fraction(length) / n for length, n in zip(grid.lengths, grid.shape, strict=True)]
    nodes = [tuple(int(i) for i in index) for index in np.ndindex(grid.shape)]

    def cost(x: tuple[int, ...], y: tuple[int, ...]) -> Fraction:
        d = [abs(a - b) for a, b in zip(x, y, strict=True)]
        if isinstance(grid, Torus):
            d = [min(a, n - a) for a, n in zip(d, grid.shape, strict=True)]
        return sum((a * h) ** 2 for a, h in zip(d, spacing, strict=True)) / 2

    F = functions(grid)[0]
    G = c_transform(grid, F)
    slack = [cost(x, y) - Fraction(F[x]) - Fraction(G[y]) for x in nodes[::7] for y in nodes[::5]]
    assert min(slack) >= 0
    best = [min(cost(x, y) - Fraction(F[x]) - Fraction(G[y]) for x in nodes) for y in nodes[::11]]
    assert min(best) >= 0
    assert max(best) < 1e-13


def test_twice_is_conjugate() -> None:
    """F ≤ F^cc and F^ccc = F^c, up to quanta."""
    grid = Torus((24, 20))
    for F in functions(grid):
        G = c_transform(grid, F)
        FF = c_transform(grid, G)
        tiny = 1e-13 * (np.max(np.abs(F)) + 2.0)
        assert np.min(FF - F) >= -tiny
        assert np.max(np.abs(c_transform(grid, FF) - G)) <= 2 * tiny


def test_long_line() -> None:
    """Whole numbers leave room for lines of 4096 nodes."""
    grid = Torus((4096,))
    F = 0.1 * np.sin(2 * np.pi * grid.points[0]) + 1e-3 * np.random.default_rng(7).standard_normal(4096)
    d = np.arange(4096) / 4096
    cost = 0.5 * np.minimum(d, 1 - d) ** 2
    for y in (0, 1000, 4095):
        exact = np.min(np.roll(cost, y) - F)
        assert abs(c_transform(grid, F)[y] - exact) <= 1e-14


def test_refuses_what_is_not_a_function_on_the_grid() -> None:
    with pytest.raises(ValueError, match="shape"):
        c_transform(Torus((8, 8)), np.zeros(8))
    with pytest.raises(ValueError, match="finite"):
        c_transform(Torus((8,)), np.full(8, np.nan))
