"""Points one way round: what is read, what is given back, and what is refused, by everything that takes points."""

from __future__ import annotations

import numpy as np
import pytest
from cases import T2_START, t1, t2
from hypothesis import given as generated
from hypothesis import strategies as st

from pmasolve import Box, Cloud, Fourier, MongeAmpere, Plan, Problem, Spline, Torus, evolve, transport
from pmasolve.flows.mirror import Law
from pmasolve.flows.particles import TrajectoryCoefficients, sample, simulate
from pmasolve.gaussian import Normal, Quadratic
from pmasolve.maps.displacement import Displacement, Tabulated, deposit
from pmasolve.problems.interpolation import Spectral
from pmasolve.problems.points import given


@generated(st.integers(1, 4), st.integers(0, 6), st.integers(0, 2**32 - 1))
def test_there_and_back(dim: int, n: int, seed: int) -> None:
    """Points (n, dim) and fields (dim, *shape) come back as they were given; values and matrices belong to the same points."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, dim))
    where = given(Cloud(x) if n == dim > 1 else x, dim)
    assert np.array_equal(where.vectors(where.columns), x)
    assert where.values(where.columns[0]).shape == (n,)
    squares = where.matrices(where.columns[:, None] * where.columns)
    assert np.array_equal(squares, x[:, :, None] * x[:, None, :])
    shape = (2,) * (dim - 1) + (3,)
    field = rng.standard_normal((dim, *shape))
    where = given(field, dim)
    assert np.array_equal(where.vectors(where.columns), field)
    assert np.array_equal(where.values(where.columns[-1]), field[-1])
    assert np.array_equal(where.matrices(where.columns[:, None] * where.columns), field[:, None] * field)


REFUSED = {
    "other way round": ((2, 5), 2, r"\(2, 5\).*\(n, dim\) with dim=2, that is x\.T"),
    "either way round": ((3, 3), 3, r"\(3, 3\).*Cloud\(x\).*\(1, dim\)"),
    "one point": ((2,), 2, r"one point is x\[None\]"),
    "coordinates last": ((4, 5, 2), 2, r"that is x\.reshape\(-1, 2\)"),
    "a curve": ((3, 4, 5), 3, r"x\.reshape\(3, -1\)\.T"),
    "another dimension": ((5, 3), 2, r"\(5, 3\).*dim=2"),
    "a number": ((), 1, r"\(\).*dim=1"),
}


@pytest.mark.parametrize(("shape", "dim", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_points_is_refused(shape: tuple[int, ...], dim: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        given(np.zeros(shape), dim)


def test_what_is_not_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="2 coordinates are NaN or infinite"):
        given([[0.0, np.nan], [np.inf, 1.0], [0.0, 0.0]], 2)
    with pytest.raises(ValueError, match="complex128 values: give real numbers"):
        given(np.zeros((3, 2), complex), 2)
    with pytest.raises(ValueError, match="points of dimension 3, in a space of dimension 2"):
        given(Cloud(np.zeros((3, 3))), 2)


@pytest.fixture(scope="module")
def functions() -> dict:
    """All that takes points in the plane, with the axes its answer has for each point."""
    problem = t2(32)
    T = transport(problem)
    plan = Plan.after(problem, 0.05, np.zeros(problem.domain.shape))
    move = Displacement(problem.domain, T.potential, Fourier(), Spline(3))
    table = Tabulated(problem.domain, T.map - problem.domain.points, problem.domain.points - T.map)
    quadratic, normal = Quadratic([[2.0, 0.5], [0.5, 1.0]], [0.1, 0.2]), Normal([0.0, 1.0], [[2.0, 0.5], [0.5, 1.0]])
    samples = np.random.default_rng(0).random((9, 2)), np.random.default_rng(1).random((8, 2))
    cloud = Plan.after(Problem.from_samples(*samples), 0.05, np.zeros(9))
    f = problem.f
    values = {
        "source": problem.source,
        "target": problem.swapped().source,
        "phi": plan.phi,
        "cost": plan.phi.expected_cost,
        "phi of a cloud": cloud.phi,
        "quadratic": quadratic,
        "normal": normal.log_density,
        "spline": Spline().of(problem.domain, f),
        "series": Spectral().of(problem.domain, f),
    }
    vectors = {
        "T": T,
        "T⁻¹": T.inverse,
        "displacement": move,
        "displacement⁻¹": move.inverse,
        "table": table,
        "table⁻¹": table.inverse,
        "∇φ": plan.phi.map,
        "∇φ of a cloud": cloud.phi.map,
        "∇u": plan.psi.gradient,
        "∇ of a quadratic": quadratic.gradient,
        "fold of a torus": problem.domain.fold,
        "fold of a box": Box((8, 9)).fold,
    }
    matrices = {"DT": move.jacobian, "D²φ": plan.phi.jacobian, "D²u": plan.phi.hessian}
    return {name: (f, axes) for axes, group in enumerate((values, vectors, matrices)) for name, f in group.items()}


def test_everything_answers_in_kind(functions: dict) -> None:
    """A field, its points as rows, as a cloud and one by one: the same numbers; the other way round and a square: refused."""
    field = np.random.default_rng(2).uniform(0.1, 0.9, (2, 3, 4))
    rows = field.reshape(2, -1).T
    for name, (function, axes) in functions.items():
        listed = function(rows)
        assert listed.shape == (12,) + (2,) * axes, name
        there = function(field)
        assert there.shape == (2,) * axes + (3, 4), name
        assert np.allclose(np.moveaxis(there.reshape((2,) * axes + (-1,)), -1, 0), listed, rtol=0, atol=1e-12), name
        assert np.array_equal(function(Cloud(rows)), listed), name
        two = function(Cloud(rows[:2]))
        assert np.allclose(two, [function(x[None])[0] for x in rows[:2]], rtol=0, atol=1e-12), name
        for wrong, words in ((rows.T, r"x\.T"), (rows[:2], r"Cloud\(x\)"), (rows[0], r"x\[None\]")):
            with pytest.raises(ValueError, match=words):
                function(wrong)


def test_in_one_dimension_plain_numbers_are_points() -> None:
    """(n,), (n, 1), the field (1, n) and the grid itself: the same numbers, each in its own shape."""
    problem = t1(32)
    T, x = transport(problem), np.array([0.2, 0.5, 0.7])
    for function in (T, T.inverse, problem.domain.fold, T.move.jacobian):
        plain = function(x)
        assert plain.shape == (3,)
        assert np.array_equal(function(x[:, None]).ravel(), plain)
        assert function(x[:, None]).shape == ((3, 1, 1) if function == T.move.jacobian else (3, 1))
        assert np.array_equal(function(x[None]).ravel(), plain)
        assert function(x[None])[..., 0].shape == ((1, 1) if function == T.move.jacobian else (1,))
    assert problem.source(x).shape == problem.source(x[None]).shape == (3,)
    assert np.array_equal(T(problem.domain), T(problem.domain.points))
    assert T(problem.domain).shape == T.map.shape


def test_plans_and_particles() -> None:
    """Conditional laws of points, particles (n, dim), masses dropped at points: one row for each."""
    problem = t2(16)
    plan = Plan.after(problem, 0.05, np.zeros((16, 16)))
    rows = np.random.default_rng(3).random((5, 2))
    laws = plan.conditional(rows)
    assert laws.shape == (5, 16, 16)
    assert np.allclose(laws[:2], plan.conditional(Cloud(rows[:2])), rtol=1e-12)
    assert plan.conditional(np.empty((0, 2))).shape == (0, 16, 16)
    run = evolve(MongeAmpere(problem), [0.0, 0.001], initial=T2_START(problem.domain.points))
    drawn = sample(Law.of(run, 0), 7, np.random.default_rng(4))
    assert drawn.shape == (7, 2)
    end = simulate(TrajectoryCoefficients(run), drawn, [0.0, 0.001], np.random.default_rng(5))
    assert end.shape == (7, 2)
    assert 0 < np.max(np.abs(end - drawn)) < 0.5
    for call in (
        plan.conditional,
        lambda x: simulate(TrajectoryCoefficients(run), x, [0.0, 0.001], np.random.default_rng(5)),
        lambda x: deposit(Torus((16, 16)), x, np.ones(2), np.zeros((16, 16))),
    ):
        with pytest.raises(ValueError, match=r"Cloud\(x\)"):
            call(rows[:2])
    spread = deposit(Torus((16, 16)), rows, np.arange(5.0), np.zeros((16, 16)))
    assert spread.sum() == pytest.approx(10)
