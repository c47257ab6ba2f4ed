"""W₂ of laws and of samples: closed forms, coverage, weights, bad input."""

from __future__ import annotations

import numpy as np
import pytest

from pmasolve import Cloud, Problem, estimate_w2, optimal_coupling
from pmasolve.samples.units import in_common


def normals(rng: np.random.Generator, n: int, m: int, dim: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Samples of two normal laws, and W₂² of the laws."""
    scales, shift = np.linspace(0.6, 1.6, dim) if dim > 1 else np.array([1.7]), 0.5 / np.sqrt(dim)
    true = float(np.sum((scales - 1) ** 2) + dim * shift**2)
    return rng.standard_normal((n, dim)), rng.standard_normal((m, dim)) * scales + shift, true


def test_two_numbers_for_two_questions() -> None:
    """Samples of one law are apart; their law is not."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 200, 5))
    found = estimate_w2(x, y)
    assert found.points.w2 > 1.0
    assert found.interval[0] == 0.0
    assert found.interval[1] < 1.0
    assert found.points.w2_squared == pytest.approx(optimal_coupling(Problem.from_samples(x, y)).w2_squared)
    assert "laws" in repr(found)
    assert max(map(len, found.summary().splitlines())) <= 80


def test_the_truth_in_the_mean_and_the_standard_error() -> None:
    """24 data sets in 2D: the mean is within four of its standard errors and .03, and these have the size of the scatter."""
    rng = np.random.default_rng(1)
    runs, truths = [], []
    for _ in range(24):
        x, y, true = normals(rng, 100, 80, 2)
        runs.append(estimate_w2(x, y))
        truths.append(true)
    values, errors = np.array([r.w2_squared for r in runs]), np.array([r.standard_error for r in runs])
    assert abs(values.mean() - truths[0]) < 4 * values.std() / np.sqrt(24) + 0.03
    assert 0.7 < errors.mean() / values.std() < 1.4
    assert np.mean([r.interval[0] <= t <= r.interval[1] for r, t in zip(runs, truths, strict=True)]) >= 0.8


def test_units_translations_and_weights() -> None:
    rng = np.random.default_rng(2)
    x, y, _ = normals(rng, 40, 30, 3)
    base, larger = estimate_w2(x, y), estimate_w2(1e3 * x + 5e4, 1e3 * y + 5e4)
    assert larger.w2_squared == pytest.approx(1e6 * base.w2_squared, rel=1e-4)
    assert larger.standard_error == pytest.approx(1e3**2 * base.standard_error, rel=1e-4)
    narrow = estimate_w2(x, y, level=0.5)
    assert base.interval[0] <= narrow.interval[0] < narrow.interval[1] < base.interval[1]
    junk = np.full((5, 3), 99.0)
    weighted = estimate_w2(np.concatenate([x, junk]), y, np.r_[np.ones(40), np.zeros(5)])
    assert weighted.w2_squared == pytest.approx(base.w2_squared, rel=1e-9)


def test_more_dimensions_than_points_and_one_side_without_spread() -> None:
    rng = np.random.default_rng(3)
    wide = estimate_w2(rng.standard_normal((20, 60)), rng.standard_normal((25, 60)))
    assert wide.outcome.ok
    assert np.isfinite([*wide.interval, wide.standard_error]).all()
    one = estimate_w2(np.zeros((50, 2)), rng.standard_normal((60, 2)) + 3.0)
    truth = 18.0 + 2.0  # of the mean, and of the variance
    assert one.interval[0] < truth < one.interval[1]


def test_what_is_refused() -> None:
    x = np.random.default_rng(4).standard_normal((20, 2))
    with pytest.raises(ValueError, match="x has 1 point with mass"):
        estimate_w2(x[:1], x)
    with pytest.raises(ValueError, match="y has 3 points with mass"):
        estimate_w2(x, x, b=np.arange(20) < 3)
    with pytest.raises(ValueError, match="all points of each side are equal"):
        estimate_w2(np.ones((9, 2)), np.zeros((9, 2)))
    with pytest.raises(ValueError, match="level=95"):
        estimate_w2(x, x, level=95)
    with pytest.raises(ValueError, match="NaN"):
        estimate_w2(x, x * np.nan)
    with pytest.raises(ValueError, match="same number of columns"):
        estimate_w2(x, x[:, :1])
    with pytest.raises(ValueError, match="halvings"):
        estimate_w2(x, x, halvings=0)
    with pytest.raises(ValueError, match="x is a Cloud: give its points"):
        estimate_w2(Cloud(x), x)
    with pytest.raises(ValueError, match="y is a Problem: give its points"):
        estimate_w2(x, Problem.from_samples(x, x))


def test_points_in_common_are_said() -> None:
    """The same sample twice was an interval [0, 0] that is reached; rounded data may have points in common by chance."""
    rng = np.random.default_rng(6)
    x, y = rng.standard_normal((2, 40, 2))
    for other, count in ((x, 40), (x[::-1], 40), (np.concatenate([y[:30], x[:10]]), 10)):
        found = estimate_w2(x, other)
        assert (found.outcome.name, found.outcome.ok) == ("shared points", False)
        assert f"{count} points of y are points of x" in found.outcome.advice
    assert estimate_w2(x, y).outcome.name == "reached"
    whole = rng.integers(0, 5, (2, 60, 2))
    assert in_common(*whole) == 0
    assert in_common(whole[0], whole[0][::-1]) == 60
    assert in_common(np.repeat(x, 2, axis=0), np.repeat(x, 2, axis=0)) == 80


@pytest.mark.slow
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_coverage(dim: int) -> None:
    """100 data sets of 200 points: between the 0.1 % quantiles of the binomial law at 92 and 98 %."""
    rng = np.random.default_rng(5)
    inside = []
    for _ in range(100):
        x, y, true = normals(rng, 200, 200, dim)
        low, high = estimate_w2(x, y).interval
        inside.append(low <= true <= high)
    print(dim, np.mean(inside))
    assert 0.83 <= np.mean(inside) <= 1.0


@pytest.mark.parametrize("power", [-460, -400, -250, 250, 400, 460])
def test_the_unit_of_length_does_not_matter(power: int) -> None:
    """Variances of squares are fourth powers: at 1e-150 the interval was one number, and reached; at 1e140 ε was infinite."""
    x, y = np.random.default_rng(5).standard_normal((2, 24, 2)) + np.array([[[0.0, 0.0]], [[1.0, 0.0]]])
    one, other = estimate_w2(x, y), estimate_w2(x * 2.0**power, y * 2.0**power)
    assert other.outcome == one.outcome
    for a, b in ((one.w2_squared, other.w2_squared), (one.standard_error, other.standard_error)):
        assert b == a * 4.0**power
    assert other.interval == tuple(end * 4.0**power for end in one.interval)
    assert other.eps == tuple(step * 4.0**power for step in one.eps)


def test_points_whose_squares_vanish_are_refused() -> None:
    x, y = np.random.default_rng(5).standard_normal((2, 24, 2))
    for unit in (1e-150, 1e-200, 1e-300):
        with pytest.raises(ValueError, match="squared distances would underflow"):
            estimate_w2(x * unit, y * unit)


def test_samples_too_far_apart_are_named_with_what_helps() -> None:
    """The message was of an ε that nobody can give here."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 2)), rng.standard_normal((50, 2))
    with pytest.raises(ValueError, match=r"x and y are so far apart.*translate y") as caught:
        estimate_w2(x, y + np.array([1e8, 0.0]))
    assert "eps" not in str(caught.value)
    near, far = estimate_w2(x, y), estimate_w2(x, y + np.array([1e5, 0.0]))
    shift = 2e5 * (y.mean(axis=0) - x.mean(axis=0))[0] + 1e10
    assert far.w2_squared == pytest.approx(near.w2_squared + shift, rel=1e-10)
