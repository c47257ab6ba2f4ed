"""The algebra at every point, against numpy.linalg."""

from __future__ import annotations

import numpy as np
import pytest

from pmasolve.calculus.hessians import (
    add_difference,
    all_finite,
    apply,
    eigenvalue_range,
    extreme_eigenvalues,
    log_det_inverse,
    packed,
)
from pmasolve.calculus.transforms import add
from pmasolve.flows.monge_ampere import density_sums
from pmasolve.machine.threads import FEW_POINTS

DIMS = [1, 2, 3]
SHAPES = {1: (500,), 2: (20, 25), 3: (8, 8, 8)}


def pack(matrices: np.ndarray) -> np.ndarray:
    """(*shape, dim, dim) to (rows, *shape)."""
    return np.stack([matrices[..., i, j] for i, j in packed(matrices.shape[-1])])


def symmetric(dim: int, seed: int) -> np.ndarray:
    """Random symmetric matrices, (*shape, dim, dim)."""
    a = np.random.default_rng(seed).standard_normal((*SHAPES[dim], dim, dim))
    return 0.5 * (a + np.swapaxes(a, -1, -2))


def positive(dim: int) -> np.ndarray:
    """Random positive definite matrices with condition numbers up to 1e3."""
    rng = np.random.default_rng(10 + dim)
    q = np.linalg.qr(rng.standard_normal((*SHAPES[dim], dim, dim)))[0]
    return np.einsum("...ij,...j,...kj->...ik", q, 10.0 ** rng.uniform(-1.5, 1.5, (*SHAPES[dim], dim)), q)


@pytest.mark.parametrize("dim", DIMS)
def test_log_det_and_inverse(dim: int) -> None:
    G = np.eye(dim) + symmetric(dim, dim) / 6 / dim
    logdet, inverse, finite = log_det_inverse(pack(G - np.eye(dim)))
    assert finite
    assert np.allclose(logdet, np.linalg.slogdet(G)[1], rtol=0, atol=1e-14)
    assert np.allclose(inverse, pack(np.linalg.inv(G)), rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("dim", DIMS)
def test_ill_conditioned_inverse(dim: int) -> None:
    G = positive(dim)
    _, inverse, _ = log_det_inverse(pack(G - np.eye(dim)))
    exact = pack(np.linalg.inv(G))
    eigenvalues = np.linalg.eigvalsh(G)
    condition = (1 + eigenvalues[..., -1]) * (1 + 1 / eigenvalues[..., 0])  # of G stored as G − I
    assert np.all(np.abs(inverse - exact) <= 2e-15 * condition**2 * np.max(np.abs(exact), axis=0))


@pytest.mark.parametrize("dim", DIMS)
def test_indefinite_matrices_are_refused(dim: int) -> None:
    G = 2 * symmetric(dim, 30 + dim)
    logdet, _, finite = log_det_inverse(pack(G - np.eye(dim)))
    assert not finite
    definite = np.linalg.eigvalsh(G)[..., 0] > 0
    assert 0 < definite.sum() < definite.size
    assert np.array_equal(np.isfinite(logdet), definite)
    assert np.all(logdet[~definite] == -np.inf)


def test_logarithms_at_the_ends_of_the_range() -> None:
    """Small, huge, zero and lost determinants among ordinary ones, and 1 up to its last digit."""
    G = np.array([1e-310, 1e-5, 1e305, 0.0, np.nan, -1.0, 3.0])
    logdet, _, finite = log_det_inverse((G - 1.0)[None])
    assert not finite
    usable = np.array([False, True, True, False, False, False, True])
    assert np.array_equal(np.isfinite(logdet), usable)
    assert np.allclose(logdet[usable], np.log(G[usable]), rtol=1e-10)
    assert log_det_inverse((G[usable] - 1.0)[None])[2]
    near = np.array([1e-15, -1e-15, 1e-9, 1e-3, 0.5, 40.0])
    assert np.allclose(log_det_inverse(near[None])[0], np.log(1.0 + near), rtol=4e-16, atol=0)


@pytest.mark.parametrize("dim", DIMS)
def test_blocks_of_a_large_array_are_the_same_as_one(dim: int) -> None:
    """Threads take blocks of it, of lengths that no number of lanes divides."""
    rng, shape = np.random.default_rng(dim), (2 * FEW_POINTS + 13,) + (1,) * (dim - 1)
    H = 0.2 * rng.standard_normal((len(packed(dim)), *shape))
    logdet, inverse, _ = log_det_inverse(H)
    for part in (slice(0, 1000), slice(FEW_POINTS - 7, FEW_POINTS + 1000), slice(2 * FEW_POINTS, None)):
        again, same, _ = log_det_inverse(np.ascontiguousarray(H[:, part]))
        assert np.allclose(again, logdet[part], rtol=1e-14, atol=1e-15)
        assert np.allclose(same, inverse[:, part], rtol=1e-14)
    full = np.empty((*shape, dim, dim))
    for row, (i, j) in enumerate(packed(dim)):
        full[..., i, j] = full[..., j, i] = H[row]
    eigenvalues = np.linalg.eigvalsh(full)
    assert np.allclose(extreme_eigenvalues(H), (eigenvalues.min(), eigenvalues.max()), rtol=0, atol=1e-13)


@pytest.mark.parametrize("size", [5, 64, 1000, 2 * FEW_POINTS + 13])
def test_density_sums(size: int) -> None:
    A, f = np.random.default_rng(size).standard_normal((2, size))
    A[2], f[3] = 30.0, 800.0  # a peak, and a point of next to no mass
    sums, rho = density_sums(A, f), np.exp(A - f)
    assert sums.mass == pytest.approx(rho.sum(), rel=1e-14)
    assert sums.entropy == pytest.approx((rho * A).sum(), rel=1e-14)
    assert sums.total == pytest.approx(A.sum(), abs=1e-15 * np.abs(A).sum())
    assert (sums.low, sums.high) == (A.min(), A.max())


@pytest.mark.parametrize("signs", [(-1, -1), (-1, -1, 1), (1, -1, -1), (-1, 1, -1), (-1,)])
def test_positive_determinant_is_not_enough(signs: tuple[int, ...]) -> None:
    dim = len(signs)
    H = pack(np.broadcast_to(np.diag(signs) - np.eye(dim), (*SHAPES[dim], dim, dim)))
    assert np.all(log_det_inverse(H)[0] == -np.inf)


@pytest.mark.parametrize("dim", DIMS)
def test_inverse_in_place(dim: int) -> None:
    H = pack(symmetric(dim, 3) * 0.1)
    logdet, inverse, _ = log_det_inverse(H)
    again, same, _ = log_det_inverse(H, H)
    assert same is H
    assert np.array_equal(again, logdet)
    assert np.array_equal(H, inverse)


@pytest.mark.parametrize("dim", DIMS)
def test_add(dim: int) -> None:
    v, factor, out = np.random.default_rng(5).standard_normal((3, *SHAPES[dim]))
    expected = out - 2.0 * factor * v
    assert np.allclose(add(v, factor, -2.0, out), expected, rtol=0, atol=1e-14)


@pytest.mark.parametrize("size", [1, 1000, 2 * FEW_POINTS + 13])
def test_differences_and_what_is_finite(size: int) -> None:
    total, a, b = np.random.default_rng(size).standard_normal((3, size))
    expected = total - b + a
    assert add_difference(total, a, b)
    assert np.allclose(total, expected, rtol=0, atol=1e-15)
    assert all_finite(total)
    for bad in (np.nan, np.inf, -np.inf):
        for place in (0, size // 2, -1):
            spoiled = total.copy()
            spoiled[place] = bad
            assert not all_finite(spoiled)
            assert not add_difference(spoiled, a, b)


@pytest.mark.parametrize("dim", DIMS)
def test_extreme_eigenvalues(dim: int) -> None:
    H = symmetric(dim, 7)
    low, high = extreme_eigenvalues(pack(H))
    exact = np.linalg.eigvalsh(H)
    assert low == pytest.approx(exact.min(), abs=1e-12)
    assert high == pytest.approx(exact.max(), abs=1e-12)
    assert extreme_eigenvalues(np.zeros_like(pack(H))) == (0.0, 0.0)
    assert eigenvalue_range(pack(H)) == (low, high, pytest.approx(exact.mean(), abs=1e-13))


@pytest.mark.parametrize("dim", DIMS)
def test_apply(dim: int) -> None:
    S, v = symmetric(dim, 8), np.random.default_rng(9).standard_normal((dim, *SHAPES[dim]))
    assert np.allclose(apply(pack(S), v.copy()), np.einsum("...ij,j...->i...", S, v), rtol=0, atol=1e-14)
