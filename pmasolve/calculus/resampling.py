"""Values of a trigonometric interpolant on another grid."""

from __future__ import annotations

import numpy as np
import scipy  # loads its parts when they are used: signal takes a second

from ..machine.arrays import Array
from ..problems.grids import Grid, Torus


def resample(values: Array, grid: Grid, target: Grid) -> Array:
    """The trigonometric interpolant of values on ``grid`` at the points of another grid of the same domain.

    Coefficients are cut or padded with zeros, axis by axis.
    """
    for j in range(grid.dim):
        values = np.moveaxis(_resample_last(np.moveaxis(values, j, -1), target.shape[j], grid), -1, j)
    return np.ascontiguousarray(values)


def _resample_last(values: Array, n: int, grid: Grid) -> Array:
    old = values.shape[-1]
    if isinstance(grid, Torus):
        return scipy.signal.resample(values, n, axis=-1)
    series = scipy.fft.dct(values, norm="forward", axis=-1)[..., :n]
    return scipy.fft.idct(
        np.pad(series, [(0, 0)] * (values.ndim - 1) + [(0, max(0, n - old))]), norm="forward", axis=-1
    )
