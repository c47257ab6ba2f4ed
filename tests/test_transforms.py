"""Every derivative of a trigonometric polynomial is exact; Parseval; redundancy; both FFT libraries."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from cases import random_waves

from pmasolve import Box, Fourier, Torus
from pmasolve.calculus import libraries
from pmasolve.calculus.transforms import transform_of

TORI = [
    Torus((16,)),
    Torus((15,), (2.5,)),
    Torus((12, 10), (1.0, 0.7)),
    Torus((9, 11), (3.0, 1.0)),
    Torus((9, 8)),
    Torus((8, 7), (0.5, 2.0)),
    Torus((6, 7, 8), (1.0, 2.0, 0.5)),
    Torus((7, 6, 5)),
]
BOXES = [Box((16,)), Box((15,), (2.5,)), Box((12, 9), (1.0, 0.7)), Box((6, 7, 8), (1.0, 2.0, 0.5))]
LIBRARIES = ["ducc0", "scipy"] if libraries.ducc0 else ["scipy"]


@pytest.fixture(params=LIBRARIES)
def _library(request, monkeypatch) -> None:
    monkeypatch.setenv("PMASOLVE_FFT", request.param)


def all_orders(dim: int) -> list[tuple[int, ...]]:
    """All derivatives of order 0, 1, 2, and one of order 3."""
    orders = [o for o in product(range(3), repeat=dim) if sum(o) <= 2]
    return [*orders, (3,) + (0,) * (dim - 1), (1,) * (dim - 1) + (2,)]


def frequency(grid) -> float:
    """The largest wavenumber."""
    return max(np.pi * n / length for n, length in zip(grid.shape, grid.lengths, strict=True))


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("torus", TORI, ids=str)
def test_derivatives_on_the_torus(torus: Torus) -> None:
    waves = random_waves(np.random.default_rng(torus.size), torus.shape, torus.lengths)
    transform, out = transform_of(torus), np.empty(torus.shape)
    coefficients = transform.forward(waves(torus.points))
    kept = coefficients.copy()
    for orders in all_orders(torus.dim):
        transform.derivative(coefficients, orders, out)
        error = np.max(np.abs(out - waves.derivative(torus.points, orders)))
        assert error < 1e-13 * frequency(torus) ** sum(orders) * 10, orders
        assert np.array_equal(coefficients, kept)


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("box", BOXES, ids=str)
def test_derivatives_on_the_box(box: Box) -> None:
    """Products of cosines, every mode of the grid; odd derivatives become sines."""
    rng = np.random.default_rng(box.size)
    transform, out = transform_of(box), np.empty(box.shape)
    modes = [tuple(int(rng.integers(0, n)) for n in box.shape) for _ in range(5)]
    modes.append(tuple(n - 1 for n in box.shape))
    weights = rng.standard_normal(len(modes))

    def exact(orders: tuple[int, ...]) -> np.ndarray:
        total = np.zeros(box.shape)
        for c, mode in zip(weights, modes, strict=True):
            k = np.pi * np.array(mode) / np.array(box.lengths)
            factors = [kj**o * np.cos(kj * x + 0.5 * np.pi * o) for kj, o, x in zip(k, orders, box.points, strict=True)]
            total += c * np.prod(factors, axis=0)
        return total

    coefficients = transform.forward(exact((0,) * box.dim))
    kept = coefficients.copy()
    for orders in all_orders(box.dim):
        transform.derivative(coefficients, orders, out)
        assert np.max(np.abs(out - exact(orders))) < 1e-12 * frequency(box) ** sum(orders), orders
        assert np.array_equal(coefficients, kept)


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("grid", [*TORI, *BOXES, Torus((60, 60, 60)), Box((400, 400)), Box((60, 60, 60))], ids=str)
def test_modes_that_are_zero_may_be_left_out(grid) -> None:
    """Series of few modes, after one of all, which fills the room: the same with a mode of 1e-300 at the far end, left in."""
    rng = np.random.default_rng(11)
    transform, out = transform_of(grid), np.empty((2, *grid.shape))
    for few in (4, 5):
        coarse = replace(grid, shape=tuple(min(few + j, n) for j, n in enumerate(grid.shape)))
        there = transform_of(coarse)
        modes = there.refined(there.forward(rng.standard_normal(coarse.shape)), grid, transform.zeros())
        full = modes.copy()
        full[
            tuple(n // 2 if j < grid.dim - 1 and isinstance(grid, Torus) else -1 for j, n in enumerate(grid.shape))
        ] = 1e-300
        for orders in all_orders(grid.dim)[:: 1 if grid.size < 1000 else 6]:
            transform.derivative(full, orders, out[0])
            transform.derivative(transform.forward(rng.standard_normal(grid.shape)), orders, out[1])
            transform.derivative(modes, orders, out[1])
            assert np.allclose(out[1], out[0], rtol=0, atol=1e-14 * frequency(grid) ** sum(orders) * 10), orders


def test_nyquist_has_even_derivatives_only() -> None:
    torus, out = Torus((8,)), np.empty(8)
    sawtooth = (-1.0) ** np.arange(8)
    coefficients = transform_of(torus).forward(sawtooth)
    assert np.max(np.abs(transform_of(torus).derivative(coefficients, (1,), out))) < 1e-13
    assert np.allclose(
        transform_of(torus).derivative(coefficients, (2,), out), -((8 * np.pi) ** 2) * sawtooth, rtol=1e-13
    )


@pytest.mark.parametrize("grid", TORI + BOXES, ids=str)
def test_parseval_and_way_back(grid) -> None:
    values = np.random.default_rng(1).standard_normal(grid.shape)
    transform = transform_of(grid)
    vector = transform.as_vector(transform.forward(values) * transform.isometry)
    assert vector.dtype == np.float64
    assert vector.ndim == 1
    assert np.linalg.norm(vector) == pytest.approx(np.linalg.norm(values), rel=1e-13)
    coefficients = transform.as_coefficients(vector) / transform.isometry
    back = transform.derivative(coefficients, (0,) * grid.dim, np.empty(grid.shape))
    assert np.allclose(back, values, rtol=0, atol=1e-13)


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("torus", TORI, ids=str)
def test_redundant_parts_are_kept_and_seen_by_no_function(torus: Torus) -> None:
    rng, transform = np.random.default_rng(2), transform_of(torus)
    zero = (0,) * torus.dim
    size = transform.forward(np.zeros(torus.shape)).size
    original = transform.as_coefficients(rng.standard_normal(2 * size))  # belongs to no real function
    damped = original / 3
    seen = transform.derivative(damped, zero, np.empty(torus.shape))
    kept = transform.keep_redundant(damped.copy(), original)
    assert np.allclose(transform.derivative(kept, zero, np.empty(torus.shape)), seen, rtol=0, atol=1e-14)
    # what remains once the real function is taken away is the original's, undamped
    invisible = original - transform.forward(transform.derivative(original, zero, np.empty(torus.shape)))
    assert np.allclose(kept - transform.forward(seen), invisible, rtol=0, atol=1e-12)
    assert np.max(np.abs(invisible)) > 0.1


@pytest.mark.parametrize("torus", TORI, ids=str)
def test_real_functions_have_nothing_redundant(torus: Torus) -> None:
    transform = transform_of(torus)
    coefficients = transform.forward(np.random.default_rng(3).standard_normal(torus.shape))
    assert np.allclose(transform.keep_redundant(coefficients / 3, coefficients), coefficients / 3, rtol=0, atol=1e-12)


@pytest.mark.parametrize("box", BOXES, ids=str)
def test_cosines_have_nothing_redundant(box: Box) -> None:
    transform = transform_of(box)
    coefficients = transform.forward(np.random.default_rng(3).standard_normal(box.shape))
    assert np.array_equal(transform.keep_redundant(coefficients / 3, coefficients), coefficients / 3)


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("grid", TORI + BOXES, ids=str)
def test_slope_is_the_derivative_and_divergence_minus_its_adjoint(grid) -> None:
    rng, transform = np.random.default_rng(5), transform_of(grid)
    pairs = enumerate(zip(transform.signs, transform.wavenumbers, strict=True))
    along = [transform.along(j, sign * np.abs(k)) for j, (sign, k) in pairs]
    coefficients = transform.forward(rng.standard_normal(grid.shape))
    kept, D, out = coefficients.copy(), np.empty((grid.dim, *grid.shape)), np.empty(grid.shape)
    transform.slopes(coefficients, along, D)
    for j, unit in enumerate(np.eye(grid.dim, dtype=int)):
        assert np.allclose(D[j], transform.derivative(coefficients, tuple(unit), out), rtol=0, atol=1e-12)
    assert np.array_equal(coefficients, kept)
    flux, zero = rng.standard_normal(D.shape), (0,) * grid.dim
    divergence = transform.derivative(transform.divergence(flux, along, np.empty_like(kept)), zero, out)
    u = transform.derivative(coefficients, zero, np.empty(grid.shape))
    assert np.sum(u * divergence) == pytest.approx(-np.sum(D * flux), rel=1e-11)


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("grid", [*TORI, *BOXES, Torus((400, 401)), Box((401, 400))], ids=str)
def test_derivatives_together_are_those_one_by_one(grid) -> None:
    """In any order, one of them twice; sums of products too."""
    rng, transform = np.random.default_rng(7), transform_of(grid)
    orders = all_orders(grid.dim)
    orders = [orders[k] for k in rng.permutation(len(orders))] + orders[:1]
    coefficients = transform.forward(rng.standard_normal(grid.shape))
    kept, outs = coefficients.copy(), np.empty((len(orders), *grid.shape))
    transform.derivatives(coefficients, orders, list(outs))
    alone = np.stack([transform.derivative(coefficients, o, np.empty(grid.shape)) for o in orders])
    size = np.max(np.abs(alone), axis=tuple(range(1, alone.ndim)), keepdims=True)
    assert np.all(np.abs(outs - alone) <= 1e-13 * size)
    weights, factors, out = rng.standard_normal(len(orders)), rng.standard_normal(outs.shape), np.ones(grid.shape)
    transform.add_derivatives(coefficients, list(zip(orders, weights, factors, strict=True)), out)
    expected = 1.0 + np.einsum("k,k...->...", weights, factors * alone)
    assert np.max(np.abs(out - expected)) <= 1e-13 * np.max(np.abs(expected))
    assert np.array_equal(coefficients, kept)


@pytest.mark.usefixtures("_library")
@pytest.mark.parametrize("grid", TORI + BOXES, ids=str)
def test_refined_is_the_same_function(grid) -> None:
    finer = type(grid)(tuple(n + 3 + j for j, n in enumerate(grid.shape)), grid.lengths)
    if isinstance(grid, Torus):
        waves = random_waves(np.random.default_rng(grid.size), grid.shape, grid.lengths)
    else:

        def waves(x):
            return np.prod([1 + np.cos(np.pi * t / length) for t, length in zip(x, grid.lengths, strict=True)], axis=0)

    coarse, fine = transform_of(grid), transform_of(finer)
    c = coarse.refined(coarse.forward(waves(grid.points)), finer, fine.zeros() + 1.0)
    assert np.allclose(c, fine.forward(waves(finer.points)), rtol=0, atol=1e-11 * finer.size)
    back = fine.refined(c, grid, coarse.zeros() + 1.0)  # cut again
    assert np.allclose(back, coarse.forward(waves(grid.points)), rtol=0, atol=1e-11 * grid.size)
    assert not coarse.zeros().any()
    assert coarse.zeros().shape == coarse.forward(np.zeros(grid.shape)).shape


@pytest.mark.parametrize("grid", [Torus((8, 8)), Box((8, 8))], ids=str)
def test_memory_is_given_back_with_the_transform(grid) -> None:
    """No cycle of references keeps the arrays until somebody collects garbage."""
    transform = transform_of(grid)
    transform.derivative(transform.forward(np.ones(grid.shape)), (1, 1), np.empty(grid.shape))
    seen = weakref.ref(transform)
    gc.disable()
    try:
        del transform
        assert seen() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("shape", [(8,), (8, 10), (8, 9, 10), (64, 48, 64)])
def test_series_of_nothing_and_of_few_modes_have_their_derivatives(shape: tuple[int, ...]) -> None:
    torus = Torus(shape)
    operators, wave = Fourier().on(torus), np.cos(2 * np.pi * torus.points[-1])
    for factor in (0.0, 1.0, 0.0):
        jet = operators.jet(operators.transform.forward(factor * wave))
        assert np.max(np.abs(jet.D2[-1] + factor * (2 * np.pi) ** 2 * wave)) < 1e-11
        assert np.max(np.abs(jet.D2[:-1]), initial=0.0) < 1e-11
    assert np.all(operators.jet(operators.transform.zeros()).D2 == 0)
