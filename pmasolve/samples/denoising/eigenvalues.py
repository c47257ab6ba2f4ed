"""The largest eigenvalues of many positive semidefinite matrices at once, from their products with vectors.

Lanczos' method with full reorthogonalisation, side by side: one call of ``product`` serves all matrices.  The largest Ritz value θ
has the residual ‖Av − θv‖ = β_j |s_j|, with s_j the last entry of its vector in the Krylov basis, so that an eigenvalue lies within
the residual of θ; the random start makes it the largest one (with probability 1).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ...machine.arrays import Array

RITZ_TOLERANCE = (
    1e-7  # residual over eigenvalue; the eigenvalue's own error is its square over the gap, or this at worst
)
RITZ_INTERVAL = 3  # steps between looks at the Ritz values


def largest_eigenvalues(product: Callable[[Array], Array], count: int, dim: int, rank: int) -> Array:
    """(count,) largest eigenvalues of ``count`` matrices of size ``dim`` and at most this rank.

    Parameters
    ----------
    product : turns vectors (count, dim), one for each matrix, into their products.

    Notes
    -----
    Memory count·dim·steps numbers; ten to thirty steps are usual.  The start is random with a fixed seed, one for all matrices.
    """
    v = np.random.default_rng(20).standard_normal(dim)
    basis = [np.tile(v / np.linalg.norm(v), (count, 1))]
    diagonal, off = [], []
    steps = min(dim, rank + 1)
    for step in range(steps):
        w = product(basis[-1])
        diagonal.append(np.einsum("kd,kd->k", w, basis[-1]))
        rest = _orthogonal(w, basis)
        off.append(np.sqrt(np.einsum("kd,kd->k", rest, rest)))
        if step == steps - 1 or step % RITZ_INTERVAL == RITZ_INTERVAL - 1:
            top, residual = _ritz(diagonal, off)
            if np.all(residual <= RITZ_TOLERANCE * top):
                return top
        small = off[-1] <= 1e-15 * np.abs(diagonal[0])
        basis.append(np.where(small[:, None], 0.0, rest / np.where(small, 1.0, off[-1])[:, None]))
    return _ritz(diagonal, off)[0]


def _orthogonal(w: Array, basis: list[Array]) -> Array:
    """w less its parts along the basis, twice: once leaves rounding."""
    Q = np.stack(basis, axis=1)
    for _ in range(2):
        w = w - np.einsum("kj,kjd->kd", np.einsum("kjd,kd->kj", Q, w), Q)
    return w


def _ritz(diagonal: list[Array], off: list[Array]) -> tuple[Array, Array]:
    """Largest Ritz values and their residuals."""
    size = len(diagonal)
    T = np.zeros((diagonal[0].size, size, size))
    i = np.arange(size)
    T[:, i, i] = np.stack(diagonal, axis=1)
    if size > 1:
        between = np.stack(off[:-1], axis=1)
        T[:, i[1:], i[:-1]] = between
        T[:, i[:-1], i[1:]] = between
    values, vectors = np.linalg.eigh(T)
    return np.maximum(values[:, -1], 0.0), off[-1] * np.abs(vectors[:, -1, -1])
