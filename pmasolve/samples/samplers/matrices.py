"""Small symmetric matrices, one for each point: in closed form on a line and in the plane, where calling LAPACK takes longer."""

from __future__ import annotations

import numpy as np

from ...machine.arrays import Array


def stacked_log_det(H: Array) -> Array:
    """log det of matrices (n, d, d), (n,); NaN where it is not positive."""
    if H.shape[1] > 2:
        sign, logs = np.linalg.slogdet(H)
        return np.where(sign > 0, logs, np.nan)
    with np.errstate(all="ignore"):
        if H.shape[1] == 1:
            return np.log(H[:, 0, 0])
        _, pivot = _eliminated(H)
        return np.where((H[:, 0, 0] > 0) == (pivot > 0), np.log(np.abs(H[:, 0, 0])) + np.log(np.abs(pivot)), np.nan)


def inverse_of(H: Array) -> Array:
    """H⁻¹, symmetric, (n, d, d)."""
    if H.shape[1] > 2:
        G = np.linalg.inv(H)
        return 0.5 * (G + np.swapaxes(G, 1, 2))
    with np.errstate(all="ignore"):
        if H.shape[1] == 1:
            return 1 / H
        ratio, pivot = _eliminated(H)
        G = np.empty_like(H)
        G[:, 1, 1] = 1 / pivot
        G[:, 0, 1] = G[:, 1, 0] = -ratio / pivot
        G[:, 0, 0] = 1 / H[:, 0, 0] + ratio**2 / pivot
        return G


def stacked_solve(H: Array, r: Array) -> Array:
    """H⁻¹r, (n, d); not finite where H is singular to rounding.

    Examples
    --------
    >>> H = np.array([[[2.0, 1.0], [1.0, 3.0]], [[1.0, 1.0], [1.0, 1.0]]])
    >>> stacked_solve(H, np.array([[3.0, 4.0], [1.0, 0.0]])).tolist()
    [[1.0, 1.0], [inf, -inf]]
    """
    if H.shape[1] > 2:
        return _least_squares(H, r)
    with np.errstate(all="ignore"):
        if H.shape[1] == 1:
            return r / H[:, 0]
        ratio, pivot = _eliminated(H)
        second = (r[:, 1] - ratio * r[:, 0]) / pivot
        return np.stack([(r[:, 0] - H[:, 0, 1] * second) / H[:, 0, 0], second], axis=1)


def dots(a: Array, b: Array) -> Array:
    """a_i·b_i, (n,)."""
    return np.einsum("ij,ij->i", a, b)


def _eliminated(H: Array) -> tuple[Array, Array]:
    """b/a and c − b²/a of [[a, b], [b, c]]."""
    ratio = H[:, 0, 1] / H[:, 0, 0]
    return ratio, H[:, 1, 1] - ratio * H[:, 0, 1]


def _least_squares(H: Array, r: Array) -> Array:
    try:
        return np.linalg.solve(H, r[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:  # one singular matrix says nothing of the others
        good = np.linalg.slogdet(H)[0] != 0
        out = np.full(r.shape, np.nan)
        out[good] = np.linalg.solve(H[good], r[good][:, :, None])[:, :, 0]
        return out
