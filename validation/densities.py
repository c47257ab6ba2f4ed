"""A real pair of densities that everybody has who has matplotlib: a photograph and an elevation model.

``grace_hopper.jpg`` (luminance) and ``jacksboro_fault_dem.npz`` from matplotlib's sample data become densities of the unit
torus in five steps:

1. the largest centred square of the raster, averaged over 64 × 64 equal cells;
2. grey values I mapped affinely to [0, 1], then F = −log(`FLOOR` + I): the floor bounds the contrast by (1 + `FLOOR`)/`FLOOR` = 11;
3. even reflection in both axes: 128 × 128, continuous across the period;
4. Gaussian smoothing of F: its cosine coefficients are multiplied by exp(−2π²σ²|k|²), σ = `WIDTH` periods;
5. truncation to k ≤ `DEGREE` in each axis, where that factor has fallen below 10⁻¹⁴.

After smoothing the densities e^{−F} have contrasts 3.0 (photograph) and 2.6 (elevation).  F is a cosine polynomial, evaluated
exactly at any point and on any grid: no interpolation error enters the orders, and refining h refines one and the same problem.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from matplotlib.cbook import get_sample_data
from matplotlib.image import imread
from scipy.fft import dctn

from pmasolve.machine.arrays import Array

SIDE = 64  # cells along each axis before reflection
FLOOR = 0.1
WIDTH = 0.1
DEGREE = 13


@dataclass(frozen=True, eq=False)
class Cosines:
    """∑ c_k ∏ⱼ cos(2πkⱼxⱼ) over 0 ≤ kⱼ ≤ degree, in one or two dimensions."""

    coefficients: Array

    def __call__(self, *points: Array) -> Array:
        waves = [_chebyshev(np.cos(2 * np.pi * np.ravel(x)), self.coefficients.shape[0]) for x in points]
        inner = self.coefficients @ waves[1] if len(waves) == 2 else self.coefficients[:, None]
        return np.sum(waves[0] * inner, axis=0).reshape(np.shape(points[0]))


def _chebyshev(c: Array, count: int) -> Array:
    """cos(kθ) for k < count from c = cos θ, (count, N): the three-term recurrence, far cheaper than cosines."""
    rows = np.empty((count, c.size))
    rows[0], rows[1] = 1.0, c
    for k in range(2, count):
        rows[k] = 2 * c * rows[k - 1] - rows[k - 2]
    return rows


def photograph() -> Array:
    """Luminance of the photograph, (64, 64), in [0, 1]."""
    with get_sample_data("grace_hopper.jpg") as file:
        rgb = imread(file, format="jpg").astype(np.float64)
    return _cells(rgb @ np.array([0.299, 0.587, 0.114]))


def elevation() -> Array:
    """The elevation model, (64, 64), in [0, 1]."""
    with get_sample_data("jacksboro_fault_dem.npz") as file:
        return _cells(file["elevation"].astype(np.float64))


def _cells(raster: Array) -> Array:
    """Averages over SIDE × SIDE equal cells of the largest centred square, scaled to [0, 1]."""
    n = min(raster.shape)
    rows, columns = ((size - n) // 2 for size in raster.shape)
    average = _averaging(n)
    cells = average @ raster[rows : rows + n, columns : columns + n] @ average.T
    return (cells - cells.min()) / np.ptp(cells)


def _averaging(n: int) -> Array:
    """Row i averages the part of n unit pixels that lies in [i, i+1]·n/SIDE."""
    edges = np.linspace(0, n, SIDE + 1)
    overlap = np.minimum(edges[1:, None], np.arange(1, n + 1)) - np.maximum(edges[:-1, None], np.arange(n))
    return np.maximum(overlap, 0.0) * SIDE / n


def smoothed(image: Array) -> Cosines:
    """Steps 2 to 5 for an image in [0, 1]; the cosine transform of type 2 is the even reflection about the cells' walls."""
    coefficients = dctn(-np.log(FLOOR + image), type=2) / SIDE**image.ndim
    factor = np.exp(-2 * (np.pi * WIDTH * np.arange(SIDE)) ** 2)
    factor[0] = 0.5
    for axis in range(image.ndim):
        coefficients = np.moveaxis(np.moveaxis(coefficients, axis, -1) * factor, -1, axis)
    return Cosines(coefficients[(slice(DEGREE + 1),) * image.ndim])


@cache
def real_pair(dim: int) -> tuple[Cosines, Cosines]:
    """−log of photograph and elevation, up to constants; in one dimension of their middle columns."""
    return _prepare(photograph(), dim), _prepare(elevation(), dim)


def _prepare(image: Array, dim: int) -> Cosines:
    return smoothed(image if dim == 2 else image[:, SIDE // 2])
