"""exp, exp2 and log2 of the kernels, against the long double functions of the C library."""

from __future__ import annotations

import numpy as np
from numba import njit

from pmasolve.machine.exponentials import exp, exp2, exp_minus, log2


def _all(function, x: np.ndarray) -> np.ndarray:
    @njit
    def loop(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    out = np.empty_like(x)
    loop(x, out)
    return out


def test_relative_errors_are_of_the_last_digit() -> None:
    """Over the whole range, and near the ends of the reduced one, where polynomials are worst; exp's grow with |t|, by ln 2."""
    rng = np.random.default_rng(0)
    near = 0.5 + np.arange(-5, 6)[:, None] + np.array([-1e-9, 1e-9])
    t = np.concatenate([rng.uniform(-708, 709, 10_000), rng.uniform(-1, 1, 10_000), (near * np.log(2)).ravel()])
    exact = np.exp(t.astype(np.longdouble))
    assert np.max(np.abs(_all(exp, t) / exact - 1) / (7e-16 + 4e-17 * np.abs(t))) < 1
    assert np.max(np.abs(_all(exp2, t / np.log(2)) / exact - 1)) > 2 * np.max(np.abs(_all(exp, t) / exact - 1))
    e = np.concatenate([rng.uniform(-1022, 1023, 10_000), rng.uniform(-1, 1, 10_000), near.ravel()])
    assert np.max(np.abs(_all(exp2, e) / np.exp2(e.astype(np.longdouble)) - 1)) < 4e-16
    x = np.concatenate([np.exp(rng.uniform(-700, 700, 10_000)), rng.uniform(0.5, 2, 10_000)])
    exact = np.log2(x.astype(np.longdouble))
    assert np.max(np.abs(_all(log2, x) - exact) / np.maximum(1, np.abs(exact))) < 4e-16


def test_deep_exponents_end_in_a_tiny_number() -> None:
    assert np.all(_all(exp, np.array([-708.5, -1e4, -1e300])) < 1e-307)
    assert np.all(_all(exp, np.array([-708.5, -1e4, -1e300])) > 0)
    assert _all(exp, np.array([0.0]))[0] == 1.0


def test_negative_exponentials_at_the_ends_of_the_floats() -> None:
    """Densities that underflow, vanish or are NaN come out as NumPy has them; usual ones to 5e-16."""
    edge = np.array([0.0, 709.0, 740.0, 745.2, -709.0, -710.0, np.inf, -np.inf, np.nan])
    with np.errstate(over="ignore"):
        assert np.array_equal(exp_minus(edge), np.exp(-edge), equal_nan=True)
    usual = np.random.default_rng(0).uniform(-3, 3, 10_000)
    exact = np.exp(-usual.astype(np.longdouble))
    assert np.max(np.abs(exp_minus(usual) - exact) / exact) < 7e-16
    places = usual.reshape(100, 100).copy().T
    assert exp_minus(places, out=places) is places  # not contiguous: what was written was a copy
    assert np.array_equal(places, exp_minus(usual).reshape(100, 100).T)
    assert np.array_equal(exp_minus(np.array([1, 2])), exp_minus(np.array([1.0, 2.0])))
