"""Windowed soft transforms against sums over all nodes; the preconditioner's symmetry."""

from __future__ import annotations

import numpy as np
import pytest

from pmasolve import Box, Torus
from pmasolve.machine.arrays import Array
from pmasolve.maps.semidual.multigrid import Multigrid
from pmasolve.maps.semidual.plans import Precision, log_masses, plan, soft
from pmasolve.problems.grids import Grid
from pmasolve.sinkhorn.softmin.separable import Separable

GRIDS = [Torus((40,)), Box((23,)), Torus((16, 13), (1.0, 1.4)), Box((9, 14)), Torus((6, 5, 7)), Box((5, 4, 6))]

SUMS, MEANS, SECONDS = ({np.float64: a, np.float32: b} for a, b in ((1e-8, 5e-7), (1e-7, 2e-6), (1e-6, 1e-5)))


def steps(grid: Grid) -> Array:
    """x_j − y_j of all pairs in nodes, nearest image, (dim, N, N)."""
    x = np.indices(grid.shape).reshape(grid.dim, -1)
    d = x[:, :, None] - x[:, None, :]
    n = np.reshape(grid.shape, (-1, 1, 1))
    return (d + n // 2) % n - n // 2 if isinstance(grid, Torus) else d


def dense(grid: Grid, a: Array, eps: float) -> tuple[Array, Array]:
    """S(a) and P(x|y) with all pairs."""
    h = np.reshape(grid.spacing, (-1, 1, 1))
    terms = a.reshape(-1, 1) - np.sum((h * steps(grid)) ** 2, axis=0) / (2 * eps)
    top = terms.max(axis=0)
    value = top + np.log(np.sum(np.exp(terms - top), axis=0))
    return value.reshape(grid.shape), np.exp(terms - value.ravel())


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("q", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("rough", [0.5, 30.0])
def test_sums_expectations_and_adjoints(grid: Grid, q: float, rough: float) -> None:
    sums_expectations_and_adjoints(grid, q, rough, np.float64)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_sums_expectations_and_adjoints_of_the_solver(grid: Grid) -> None:
    """Its terms are float32."""
    sums_expectations_and_adjoints(grid, 1.0, 30.0, np.float32)


def sums_expectations_and_adjoints(grid: Grid, q: float, rough: float, precision: Precision) -> None:
    """All that is made of one plan, against sums over all nodes."""
    rng = np.random.default_rng(911)
    eps = (q * max(grid.spacing)) ** 2
    mass = rng.random(grid.shape) ** 4
    mass[rng.random(grid.shape) < 0.3] = 0.0
    a = rough * rng.standard_normal(grid.shape) + log_masses(mass)
    value, P = dense(grid, a, eps)
    here = plan(grid, a, eps, precision)
    v, z = rng.standard_normal((2, *grid.shape))
    assert np.max(np.abs(soft(grid, a, eps, precision) - value)) < SUMS[precision]
    assert np.max(np.abs(here.value - value)) < SUMS[precision]
    assert np.max(np.abs(here.expect(v).ravel() - v.ravel() @ P)) < MEANS[precision]
    assert np.max(np.abs(here.adjoint(z).ravel() - P @ z.ravel())) < MEANS[precision]
    assert np.max(np.abs(here.expect(np.ones(grid.shape)) - 1.0)) < 1e-13
    for j in range(grid.dim):
        power = tuple(2 if axis == j else 0 for axis in range(grid.dim))
        second = np.sum(P * steps(grid)[j] ** 2, axis=0)
        assert np.max(np.abs(here.expect(np.ones(grid.shape), power).ravel() - second)) < SECONDS[precision]


def test_agrees_with_the_engine_where_one_period_is_enough() -> None:
    grid, eps = Torus((48, 32)), (1.5 / 32) ** 2
    a = np.random.default_rng(12).standard_normal(grid.shape)
    engine = Separable().bind(grid, grid, eps).forward(a)
    assert np.max(np.abs(soft(grid, a, eps, np.float64) - engine)) < 1e-9


@pytest.mark.parametrize("grid", [*GRIDS, Torus((32, 64))], ids=str)
def test_cycle_is_symmetric_and_positive(grid: Grid) -> None:
    """What conjugate gradients need of a preconditioner."""
    rng = np.random.default_rng(77)
    multigrid = Multigrid(grid, np.exp(3 * rng.standard_normal((grid.dim, *grid.shape))), np.full(grid.shape, 1e-3))
    b, c = rng.standard_normal((2, *grid.shape))
    left, right = float(np.sum(b * multigrid.cycle(c))), float(np.sum(c * multigrid.cycle(b)))
    size = np.sqrt(np.sum(b * multigrid.cycle(b)) * np.sum(c * multigrid.cycle(c)))
    assert abs(left - right) <= 1e-10 * size
    assert np.sum(b * multigrid.cycle(b)) > 0


def test_cycle_solves() -> None:
    """Errors of the cycle as a solver fall by a factor below ½ each time: constant coefficients."""
    grid = Torus((64, 64))
    multigrid = Multigrid(grid, np.ones((2, *grid.shape)), np.full(grid.shape, 1e-6))
    rng = np.random.default_rng(5)
    x = rng.standard_normal(grid.shape)
    x -= x.mean()

    def operator(d: Array) -> Array:
        return 4 * d - sum(np.roll(d, s, axis) for s in (1, -1) for axis in (0, 1)) + 1e-6 * d

    b, found = operator(x), np.zeros(grid.shape)
    for _ in range(10):
        found += multigrid.cycle(b - operator(found))
    found -= found.mean()
    assert np.linalg.norm(found - x) < 0.5**10 * np.linalg.norm(x)
