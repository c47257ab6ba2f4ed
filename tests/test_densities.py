"""Formulas and splines: normalised, evaluated anywhere, of the declared order."""

from __future__ import annotations

import numpy as np
import pytest

from pmasolve import Box, Problem, Spline, Torus, schroedinger
from pmasolve.problems.densities import from_formula, from_samples, log_mass, minus_log_on_grid
from pmasolve.studies.convergence import running_orders

SMOOTH = {
    Torus: lambda x, y: np.sin(2 * np.pi * x) * np.exp(0.5 * np.cos(2 * np.pi * y)),
    Box: lambda x, y: np.cos(np.pi * x) * np.exp(0.5 * np.cos(np.pi * y)),  # even at every wall
}


@pytest.mark.parametrize("kind", [Torus, Box])
@pytest.mark.parametrize(("degree", "order"), [(1, 2), (3, 4), (5, 6)])
def test_spline_order(kind, degree: int, order: int) -> None:
    points = np.random.default_rng(3).uniform(-1.0, 2.0, (4000, 2))  # also outside the fundamental cell
    sizes = np.array([32, 64, 128])
    errors = []
    for n in sizes:
        grid = kind((n, n))
        inside = points if kind is Torus else grid.fold(points)
        spline = Spline(degree).of(grid, SMOOTH[kind](*grid.points))
        errors.append(np.sqrt(np.mean((spline(points) - SMOOTH[kind](*inside.T)) ** 2)))
    orders = running_orders(1.0 / sizes, np.array(errors))
    print(f"\n{kind.__name__} degree {degree}:", orders)
    assert abs(orders[-1] - order) < 0.1, orders


@pytest.mark.parametrize("degree", [1, 3, 5])
@pytest.mark.parametrize("grid", [Torus((16,), (2.0,)), Box((9, 12)), Box((4, 5)), Torus((6, 7, 8))], ids=str)
def test_splines_interpolate_and_are_normalised(grid, degree: int) -> None:
    samples = np.random.default_rng(4).standard_normal(grid.shape)
    density = from_samples(grid, samples, "f", Spline(degree))
    values = density(grid.points)
    assert np.ptp(values - samples) < 1e-12
    assert grid.integral(np.exp(-values)) == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize("constant", [0.0, 800.0, -800.0])
def test_formula_is_normalised_whatever_its_constant(constant: float) -> None:
    grid = Torus((32, 16), (1.0, 2.0))
    density, values = from_formula(grid, lambda x, y: np.cos(2 * np.pi * x) + np.sin(np.pi * y) + constant, "f")
    assert np.array_equal(values, density(grid.points))
    assert grid.integral(np.exp(-density(grid.points))) == pytest.approx(1.0, rel=1e-11)


def test_scalar_formula_is_the_uniform_density() -> None:
    grid = Torus((8, 8), (1.0, 3.0))
    density, values = from_formula(grid, lambda x, y: 5.0, "f")
    assert np.allclose(values, np.log(3.0), rtol=1e-14)
    assert density(np.zeros((1, 2)))[0] == pytest.approx(np.log(3.0), rel=1e-14)


@pytest.mark.parametrize("axis", range(3))
def test_every_axis_must_be_periodic(axis: int) -> None:
    lengths = (1.0, 2.0, 0.5)
    with pytest.raises(ValueError, match=f"changes by .* over the period .* of axis {axis}"):
        from_formula(Torus((5, 4, 6), lengths), lambda *x: np.cos(np.pi * x[axis] / lengths[axis]), "f")


def test_log_mass_and_negative_log() -> None:
    grid = Torus((8,))
    density = 1 + 0.5 * np.cos(2 * np.pi * grid.points[0])
    assert log_mass(grid, minus_log_on_grid(grid, 7 * density, "mu")) == pytest.approx(np.log(7), rel=1e-14)


@pytest.mark.parametrize("grid", [Torus((16, 12), (1.0, 2.0)), Box((9, 8))], ids=str)
def test_a_density_may_vanish(grid) -> None:
    """Arrays and callables: +∞ on the grid exactly there, linear in between, finite mass; another grid sees the same void."""

    def mu(*x):
        return np.maximum(np.cos(2 * np.pi * x[0] / grid.lengths[0]), 0.0)

    array, formula = mu(*grid.points), Problem.from_densities(grid, mu, np.ones(grid.shape))
    sampled = Problem.from_densities(grid, 7 * array, np.ones(grid.shape))
    for problem in (formula, sampled):
        assert problem.vanishing
        assert not problem.swapped().domain.integral(np.exp(-problem.f)) - 1 > 1e-13
        assert np.array_equal(np.isposinf(problem.f), array == 0)
        assert np.isfinite(problem.g).all()
    assert np.allclose(np.exp(-sampled.f), np.exp(-formula.f), atol=1e-12)
    fine = type(grid)(tuple(2 * n for n in grid.shape), grid.lengths)
    assert sampled.on(fine).vanishing
    assert fine.integral(np.exp(-sampled.on(fine).f)) == pytest.approx(1.0, rel=1e-12)
    with pytest.raises(ValueError, match="mu has"):
        sampled.need_positive("this")


def test_schroedinger_of_a_density_that_vanishes() -> None:
    grid = Torus((64,))
    mu = np.maximum(np.cos(2 * np.pi * grid.points[0]), 0.0)
    found = schroedinger(Problem.from_densities(grid, mu, np.ones(64)), 0.01, quadrature=1.0)
    assert found.outcome.ok, found.outcome
    with pytest.raises(ValueError, match="gauge 'symmetric' needs a positive density"):
        _ = found.corrected


@pytest.mark.parametrize("kind", [Torus, Box])
@pytest.mark.parametrize("unit", [1.0, 0.7, 3.7e4])
def test_where_samples_vanish_the_density_vanishes_exactly(kind: type, unit: float) -> None:
    """Linear interpolation left 10⁻¹⁵ of a neighbour on nodes that rounding puts beside themselves."""
    grid = kind((24, 20), (unit, 0.7 * unit))
    mu = np.zeros((24, 20))
    mu[:12] = 1.0
    problem = Problem.from_densities(grid, mu, np.ones((24, 20)))
    assert np.array_equal(np.isposinf(problem.f), mu == 0)
    assert np.array_equal(problem.f[:12], np.full((12, 20), problem.f[0, 0]))


def test_integrals_leave_out_what_has_no_mass() -> None:
    """Potentials are infinite or undefined there."""
    mu = Problem.from_densities(Box((8,)), np.r_[1.0, 0.0, np.ones(6)], np.ones(8)).mu
    assert mu.integral(np.r_[2.0, np.inf, np.full(6, 2.0)]) == pytest.approx(2.0)
    assert np.array_equal(mu.weighted(np.r_[0.0, np.nan, np.zeros(6)]), np.zeros(8))
