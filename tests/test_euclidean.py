"""Mirror flows in ℝᵈ: the printed cases, orders of both schemes, inequalities, and what ends a path."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from pmasolve.flows.euclidean import QUADRATIC, QUARTIC, RECIPROCAL, Convex, EuclideanMirror

PRINTED = {"x²/2": (QUADRATIC, 5.0), "x⁴": (QUARTIC, 5.9), "1/x": (RECIPROCAL, 5.0)}
GOAL = np.array([0.2, 0.3, 0.5])
MATRIX = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 1.5]])
ENTROPIC = Convex(lambda x: np.sum(x * np.log(x) - x), np.log, lambda x: np.diag(1 / x))  # exponentiated gradients
SQUARES = Convex(lambda x: 0.5 * (x - GOAL) @ MATRIX @ (x - GOAL), lambda x: MATRIX @ (x - GOAL), lambda x: MATRIX)
SIMPLEX = EuclideanMirror(ENTROPIC, SQUARES)


@pytest.mark.parametrize(("mirror", "end"), PRINTED.values(), ids=PRINTED)
def test_printed_cases(mirror: EuclideanMirror, end: float) -> None:
    times = np.linspace(0, end, 12)
    path = mirror.flow([1.0], times)
    assert path.outcome.name == "reached"
    assert np.max(np.abs(path.points - mirror.exact(times))) < 1e-10
    assert mirror.exact(np.zeros(1))[0] == 1


def test_quartic_comes_to_rest() -> None:
    assert np.array_equal(QUARTIC.exact(np.array([6.0, 7.0])), [[0], [0]])
    path = QUARTIC.flow([1.0], [1.0, 5.0, 7.0])
    assert path.outcome.name == "step limit"
    assert "t≈" in path.outcome.advice
    assert path.times.size == path.points.shape[0] == 2


@pytest.mark.parametrize("scheme", ["explicit", "proximal"])
@pytest.mark.parametrize("mirror", [QUADRATIC, QUARTIC, RECIPROCAL])
def test_schemes_are_of_order_one(mirror: EuclideanMirror, scheme: str) -> None:
    errors = [
        abs(getattr(mirror, scheme)([1.0], 1 / n, n).points[-1] - mirror.exact(np.ones(1))[0])[0] for n in (32, 64, 128)
    ]
    assert np.log2(np.array(errors[:-1]) / errors[1:]) == pytest.approx(1.0, abs=0.05)


def test_in_three_dimensions_the_flow_is_that_of_the_mirror_coordinate() -> None:
    """With y = log x: ẏ = −∇F(e^y), by another method."""
    start, times = np.array([1.0, 0.1, 2.0]), np.array([0.3, 1.0, 4.0])
    dual = solve_ivp(
        lambda _, y: -SQUARES.gradient(np.exp(y)), (0, 4), np.log(start), "Radau", times, rtol=1e-11, atol=1e-13
    )
    assert np.max(np.abs(SIMPLEX.flow(start, times).points - np.exp(dual.y.T))) < 1e-8
    multiplicative = start * np.exp(-0.1 * SQUARES.gradient(start))
    assert SIMPLEX.explicit(start, 0.1, 1).points[1] == pytest.approx(multiplicative, rel=1e-12)


def test_stiff_flows_are_as_accurate_at_every_time_as_their_steps() -> None:
    """ẋ = −(x₁, 100 x₂): the interpolant inside steps that are as long as stability allows was off by 1.6e-9 at rtol 1e-12."""
    square = Convex(lambda x: 0.5 * x @ x, lambda x: x, lambda x: np.eye(2))
    stiff = Convex(
        lambda x: 0.5 * (x[0] ** 2 + 100 * x[1] ** 2), lambda x: x * [1.0, 100.0], lambda x: np.diag([1.0, 100.0])
    )
    times = np.linspace(0.1, 3, 30)
    exact = np.stack([np.exp(-times), np.exp(-100 * times)], axis=1)
    assert np.max(np.abs(EuclideanMirror(square, stiff).flow([1.0, 1.0], times).points - exact)) < 5e-12


@pytest.mark.parametrize("eta", [0.05, 1.0, 100.0])
def test_proximal_steps_obey_the_inequality_for_every_step(eta: float) -> None:
    """B(π|x_k) − B(π|x_{k+1}) ≥ η(F(x_{k+1}) − F(π)) for π the minimum and others; F and B fall."""
    path = SIMPLEX.proximal([1.0, 0.1, 2.0], eta, 12)
    assert path.outcome.ok
    assert np.all(np.diff(path.values) < 1e-16)
    for other in (GOAL, np.array([1.0, 1.0, 0.01]), np.array([3.0, 0.2, 0.7])):
        B = np.array([ENTROPIC.bregman(other, x) for x in path.points])
        assert np.all(-np.diff(B) - eta * (path.values[1:] - SQUARES.value(other)) > -1e-12)


def test_explicit_steps_that_have_no_solution_are_said() -> None:
    path = RECIPROCAL.explicit([1.0], 1.0, 30)  # −1/x² = −1 − x: fine; up the hill it is not
    assert path.outcome.ok
    uphill = EuclideanMirror(
        RECIPROCAL.u, Convex(lambda x: float(-x[0]), lambda x: -np.ones_like(x), lambda x: np.zeros((1, 1)))
    )
    path = uphill.explicit([1.0], 1.0, 5)  # −1/x² = 0 has no solution
    assert path.outcome.name == "stalled"
    assert path.points.shape == (1, 1)


def test_the_flow_is_the_same_in_every_unit_and_outside_of_the_domain_it_stops() -> None:
    times = [1.0, 30.0]
    for unit in (1e-12, 1e9):
        assert QUADRATIC.flow([unit], times).points.ravel() == pytest.approx(unit * np.exp(-np.array(times)), rel=1e-3)
    path = RECIPROCAL.flow([-1.0], [1.0])  # 1/x is not convex there
    assert path.outcome.name == "step limit"
    assert path.points.shape == (0, 1)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: EuclideanMirror(np.exp, QUADRATIC.F), "Convex"),
        (lambda: QUADRATIC.proximal([1.0], 0.0, 3), "positive"),
        (lambda: QUADRATIC.proximal([1.0], 0.1, 0.5), "whole number"),
        (lambda: QUADRATIC.flow([np.nan], [1.0]), "finite"),
        (lambda: QUADRATIC.flow([1.0], [2.0, 1.0]), "increasing"),
        (lambda: QUADRATIC.flow([1.0], [1.0], rtol=np.nan), "rtol=nan"),  # scipy goes on forever
    ],
)
def test_refusals(call, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call()
