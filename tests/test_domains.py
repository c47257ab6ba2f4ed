"""Points, quadrature, gauge, norms; wrapping and reflection."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pmasolve import Box, Cloud, Torus

GRIDS = [
    Torus((6,)),
    Torus((5, 8), (1.0, 2.5)),
    Torus((4, 5, 6)),
    Box((7,), (0.5,)),
    Box((4, 6)),
    Box((4, 5, 6), (1, 2, 3)),
]


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_points_cover_the_domain(grid) -> None:
    assert grid.points.shape == (grid.dim, *grid.shape)
    assert grid.cell * grid.size == pytest.approx(grid.volume, rel=1e-15)
    for j, (n, length) in enumerate(zip(grid.shape, grid.lengths, strict=True)):
        axis = grid.axis(j)
        assert np.allclose(np.diff(axis), length / n, rtol=1e-14)
        assert np.array_equal(np.moveaxis(grid.points[j], j, -1)[(0,) * (grid.dim - 1)], axis)
    first = np.array([grid.points[j].min() for j in range(grid.dim)])
    expected = 0.0 if isinstance(grid, Torus) else 0.5 * np.array(grid.spacing)
    assert np.allclose(first, expected, atol=1e-16)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_integral_gauge_and_norms(grid) -> None:
    one = np.ones(grid.shape)
    assert grid.integral(one) == pytest.approx(grid.volume, rel=1e-14)
    values = np.random.default_rng(1).standard_normal(grid.shape)
    assert abs(grid.mean(grid.centred(values))) < 1e-15
    assert grid.sup(-3 * one) == 3
    assert grid.l2(-3 * one) == pytest.approx(3, rel=1e-15)
    assert grid.sup(np.stack([one] * grid.dim)) == pytest.approx(np.sqrt(grid.dim), rel=1e-15)


def test_quadrature_is_exact_on_what_the_grid_resolves() -> None:
    torus, box = Torus((9, 8), (1.0, 2.0)), Box((9,), (2.0,))
    x, y = torus.points
    assert torus.integral(1 + np.cos(2 * np.pi * 4 * x) * np.sin(np.pi * 3 * y)) == pytest.approx(2.0, rel=1e-14)
    assert box.integral(1 + np.cos(np.pi * 8 * box.points[0] / 2)) == pytest.approx(2.0, rel=1e-14)


@pytest.mark.parametrize("width", [0, 1, 3, 9])
def test_neighbours(width: int) -> None:
    n = 4
    i = np.arange(-width, n + width)
    assert np.array_equal(Torus((n,)).neighbours(0, width), i % n)
    box, reflected = Box((n,)), Box((n,)).neighbours(0, width)
    assert np.allclose(box.axis(0)[reflected], box.fold(((i + 0.5) / n)[None])[0], atol=1e-15)


@pytest.mark.parametrize("grid", [Box((5,)), Torus((6, 7), (1.0, 2.0)), Box((7, 4, 6)), Torus((401, 400))], ids=str)
def test_displaced_points(grid) -> None:
    D = np.random.default_rng(3).standard_normal((grid.dim, *grid.shape))
    expected = grid.points + D
    moved = grid.displaced(D)
    assert np.array_equal(moved, expected)
    assert moved is D  # written over


@given(x=st.floats(-50, 50), length=st.floats(0.1, 10))
def test_fold_lands_inside_and_is_the_same_point(x: float, length: float) -> None:
    torus, box = Torus((4,), (length,)), Box((4,), (length,))
    on_torus, in_box = float(torus.fold(np.array([[x]]))[0, 0]), float(box.fold(np.array([[x]]))[0, 0])
    assert -1e-12 <= on_torus <= length
    assert -1e-12 <= in_box <= length * (1 + 1e-12)
    assert np.cos(2 * np.pi * on_torus / length) == pytest.approx(np.cos(2 * np.pi * x / length), abs=1e-10)
    assert np.cos(np.pi * in_box / length) == pytest.approx(np.cos(np.pi * x / length), abs=1e-10)


def test_grids_are_values() -> None:
    assert Torus((8, 8)) == Torus([8, 8], (1, 1))
    assert Torus((8, 8)) != Box((8, 8))
    assert len({Torus((8,)), Torus((8,)), Torus((8,), (2.0,))}) == 2


def test_cloud_normalises_and_wraps() -> None:
    cloud = Cloud([[0.25, 2.0], [-0.5, 0.5]], weights=[1, 3], period=(1.0, 2.0))
    assert np.array_equal(cloud.points, [[0.25, 0.0], [0.5, 0.5]])
    assert np.array_equal(cloud.weights, [0.25, 0.75])
    assert (cloud.size, cloud.dim) == (2, 2)
    assert Cloud(np.zeros((5, 1))).weights.sum() == pytest.approx(1.0, rel=1e-15)
