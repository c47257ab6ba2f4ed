"""The Sinkhorn divergence: orders in ε, finite differences in points and weights, Gaussians, a translation, bad input."""

from __future__ import annotations

import numpy as np
import pytest

from pmasolve import Problem, Torus, sinkhorn_divergence, transport
from pmasolve.sinkhorn.divergence import SinkhornDivergence

RNG = np.random.default_rng(0)
X, Y = RNG.random((12, 2)), RNG.random((9, 2)) + 0.3
A, B = RNG.random(12) + 0.1, RNG.random(9) + 0.1
A, B = A / A.sum(), B / B.sum()
TIGHT = 1e-13


def divergence(x: np.ndarray = X, y: np.ndarray = Y, a: np.ndarray = A, b: np.ndarray = B) -> SinkhornDivergence:
    return sinkhorn_divergence(Problem.from_samples(x, y, a, b), 0.05, marginal=TIGHT)


def test_orders_in_eps_and_the_mean_that_cancels_one() -> None:
    """Value and sharp are off by ± the same multiple of ε²; their mean is of order 4."""
    torus = Torus((64,))
    problem = Problem(
        torus,
        lambda x: 0.5 * np.cos(2 * np.pi * x),
        lambda y: 0.4 * np.sin(2 * np.pi * y) + 0.2 * np.cos(4 * np.pi * y),
    )
    half = transport(problem, gap=1e-10).w2_squared / 2
    runs = [sinkhorn_divergence(problem, eps, marginal=TIGHT) for eps in (2e-3, 1e-3)]
    errors = {name: [getattr(run, name) - half for run in runs] for name in ("value", "sharp", "mean")}
    orders = {name: np.log2(abs(first / second)) for name, (first, second) in errors.items()}
    print(errors, orders)
    assert orders["value"] == pytest.approx(2, abs=0.05)
    assert orders["sharp"] == pytest.approx(2, abs=0.05)
    assert orders["mean"] == pytest.approx(4, abs=0.25)
    assert errors["value"][1] * errors["sharp"][1] < 0


def test_gradients_are_finite_differences() -> None:
    found, step = divergence(), 1e-5
    for i, k in ((3, 0), (7, 1)):
        move = np.zeros_like(X)
        move[i, k] = step
        slope = (divergence(x=X + move).value - divergence(x=X - move).value) / (2 * step)
        assert found.gradient[i, k] == pytest.approx(slope, abs=1e-8)
        move = np.zeros_like(Y)
        move[i, k] = step
        slope = (divergence(y=Y + move).value - divergence(y=Y - move).value) / (2 * step)
        assert found.target_gradient[i, k] == pytest.approx(slope, abs=1e-8)
    for name, masses, slopes in (("a", A, found.weights), ("b", B, found.target_weights)):
        move = np.random.default_rng(1).standard_normal(masses.size)
        move = 1e-7 * (move - move.mean())
        change = divergence(**{name: masses + move}).value - divergence(**{name: masses - move}).value
        assert slopes @ move * 2 == pytest.approx(change, abs=1e-12)
        assert (masses @ slopes) == pytest.approx(0, abs=1e-14)


def test_on_a_grid_weights_are_the_derivative_in_the_density() -> None:
    torus = Torus((32,))
    wave = np.cos(2 * np.pi * torus.axis(0))
    mu, nu, move = 1 + 0.5 * wave, 1 - 0.3 * wave, 1e-5 * np.sin(2 * np.pi * torus.axis(0)) * (1 + wave)
    move -= move.mean()

    def value(density: np.ndarray) -> SinkhornDivergence:
        return sinkhorn_divergence(Problem.from_densities(torus, density, nu), 0.02, marginal=TIGHT)

    slope = value(mu + move).value - value(mu - move).value
    assert torus.integral(value(mu).weights * 2 * move) == pytest.approx(slope, rel=1e-6)
    with pytest.raises(ValueError, match="nodes of a grid do not move"):
        _ = value(mu).gradient


def test_zero_for_equal_measures_symmetric_and_exact_for_translations() -> None:
    same = sinkhorn_divergence(Problem.from_samples(X, X, A, A), 0.1)
    assert abs(same.value) < 1e-12
    assert np.abs(same.gradient).max() < 1e-9
    forth, back = divergence(), sinkhorn_divergence(Problem.from_samples(Y, X, B, A), 0.05, marginal=TIGHT)
    assert forth.value == pytest.approx(back.value, rel=1e-12)
    assert forth.value > 0
    moved = sinkhorn_divergence(Problem.from_samples(X, X + np.array([3.0, 4.0]), A, A), 0.2)
    assert moved.value == pytest.approx(12.5, rel=1e-12)
    assert moved.sharp == pytest.approx(12.5, rel=1e-9)
    assert np.allclose(moved.gradient, -A[:, None] * [3.0, 4.0], atol=1e-9)


def test_one_point_points_without_mass_and_outcomes() -> None:
    assert sinkhorn_divergence(Problem.from_samples(X[:1], Y[:1]), 0.1).value == pytest.approx(
        0.5 * np.sum((X[0] - Y[0]) ** 2)
    )
    masses = np.where(np.arange(12) < 6, A, 0.0)
    part = sinkhorn_divergence(Problem.from_samples(X, Y, masses, B), 0.05)
    whole = sinkhorn_divergence(Problem.from_samples(X[:6], Y, masses[:6], B), 0.05)
    assert part.value == pytest.approx(whole.value, rel=1e-12)
    assert (part.gradient[6:] == 0).all()
    assert max(map(len, part.summary().splitlines())) <= 80
    with pytest.raises(ValueError, match="eps"):
        sinkhorn_divergence(Problem.from_samples(X, Y), 0.0)
