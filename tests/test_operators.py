"""Gradient and Hessian: spectral accuracy, orders 2, 4 and 6 as declared, symbols that match."""

from __future__ import annotations

import numpy as np
import pytest

from pmasolve import Box, FiniteDifference, Fourier, Torus
from pmasolve.calculus.hessians import packed
from pmasolve.calculus.operators import jet_of
from pmasolve.studies.convergence import running_orders

SPACES = [Fourier(), FiniteDifference(2), FiniteDifference(4), FiniteDifference(6)]
GRIDS = [Torus((16,)), Torus((9, 12), (1.0, 2.0)), Torus((6, 7, 8)), Box((12,), (0.5,)), Box((8, 9)), Box((6, 7, 8))]


def field(kind, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """exp(s), s = ½cos(ωx + p) + ½cos(ωy + q), with gradient and packed Hessian; even at walls on the box."""
    omega, p, q = (2 * np.pi, 0.4, 1.1) if kind is Torus else (np.pi, 0.0, 0.0)
    x, y = points
    a, b = omega * x + p, omega * y + q
    u = np.exp(0.5 * np.cos(a) + 0.5 * np.cos(b))
    sx, sy = -0.5 * omega * np.sin(a), -0.5 * omega * np.sin(b)
    sxx, syy = -0.5 * omega**2 * np.cos(a), -0.5 * omega**2 * np.cos(b)
    return u, u * np.stack([sx, sy]), u * np.stack([sx**2 + sxx, sx * sy, sy**2 + syy])


def errors(space, kind, n: int) -> np.ndarray:
    """sup errors of ∂x, ∂y, ∂xx, ∂xy, ∂yy on an n × 1.5n grid of unit lengths."""
    grid = kind((n, 3 * n // 2))
    u, D, D2 = field(kind, grid.points)
    operators = space.on(grid)
    jet = jet_of(operators, u)
    assert np.array_equal(operators.gradient(u), jet.D) or np.allclose(operators.gradient(u), jet.D, atol=1e-11)
    return np.max(np.abs(np.concatenate([jet.D - D, jet.D2 - D2])), axis=(1, 2))


@pytest.mark.parametrize("kind", [Torus, Box])
@pytest.mark.parametrize("order", [2, 4, 6])
def test_orders_of_differences(kind, order: int) -> None:
    sizes = np.array([32, 48, 64, 96]) if kind is Torus else np.array([16, 24, 32, 48])
    table = np.stack([errors(FiniteDifference(order), kind, n) for n in sizes])
    orders = np.stack([running_orders(1.0 / sizes, column) for column in table.T])
    print(f"\n{kind.__name__} order {order}:", np.array2string(orders[:, -1], precision=3))
    assert np.all(np.abs(orders[:, -2:] - order) < 0.1), orders


@pytest.mark.parametrize("kind", [Torus, Box])
def test_fourier_is_spectral(kind) -> None:
    coarse, fine = (np.max(errors(Fourier(), kind, n)) for n in (8, 40))
    print(f"\n{kind.__name__}: 8 points {coarse:.1e}, 40 points {fine:.1e}")
    assert fine < 1e-10
    assert coarse > 1e3 * fine


@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_symbol_is_that_of_the_second_derivatives(space, grid) -> None:
    u = np.random.default_rng(4).standard_normal(grid.shape)
    operators = space.on(grid)
    coefficients = operators.transform.forward(u)
    diagonal = [row for row, (i, j) in enumerate(packed(grid.dim)) if i == j]
    laplacian = operators.jet(coefficients).D2[diagonal].sum(axis=0)
    by_symbol = operators.transform.derivative(-operators.symbol * coefficients, (0,) * grid.dim, np.empty(grid.shape))
    assert np.all(operators.symbol >= 0)
    assert np.max(np.abs(laplacian - by_symbol)) < 1e-12 * np.max(operators.symbol)


@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_constants_have_no_derivative(space, grid) -> None:
    jet = jet_of(space.on(grid), np.full(grid.shape, 3.0))
    assert max(np.max(np.abs(jet.D)), np.max(np.abs(jet.D2))) < 1e-10


@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize("grid", [*GRIDS, Torus((400, 401)), Box((401, 400))], ids=str)
def test_contraction_is_that_of_the_jet(space, grid) -> None:
    """Σ Sᵢⱼ∂ᵢ∂ⱼv − Σ bᵢ∂ᵢv without the jet; the last grids are large enough for blocks and threads."""
    rng, pairs = np.random.default_rng(6), packed(grid.dim)
    v, S, b = (rng.standard_normal((rows, *grid.shape)) for rows in (1, len(pairs), grid.dim))
    operators = space.on(grid)
    jet = jet_of(operators, v[0])
    twice = np.reshape([2.0 - (i == j) for i, j in pairs], (-1,) + (1,) * grid.dim)
    expected = np.sum(twice * S * jet.D2, axis=0) - np.sum(b * jet.D, axis=0)
    found = operators.contract(operators.transform.forward(v[0]), S, b, np.full(grid.shape, np.nan))
    assert np.max(np.abs(found - expected)) < 1e-13 * np.max(np.abs(expected))
