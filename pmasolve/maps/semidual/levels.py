"""Measures and potentials on coarser and finer grids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.sparse import coo_array, csr_array

from ...machine.arrays import Array
from ...problems.densities import Sampled, Spline
from ...problems.grids import Grid
from .ascent import Masses
from .c_transform import c_transform

CUBIC = Spline(3)


def cascade(masses: Masses, coarsest: int) -> list[Masses]:
    """The measures on coarser and coarser grids, coarse to fine."""
    grids = [masses]
    while max(grids[0].grid.shape) > coarsest and min(grids[0].grid.shape) >= 8:
        fine = grids[0]
        grid = replace(fine.grid, shape=tuple((n + 1) // 2 for n in fine.grid.shape))
        grids.insert(0, Masses.of(grid, *(_restricted(fine.grid, grid, m) for m in (fine.mu, fine.nu))))
    return grids


def _restricted(fine: Grid, coarse: Grid, density: Array) -> Array:
    """Averages over the cells of a coarser grid, which overlap those of the fine one in any proportion."""
    for j, (n, m) in enumerate(zip(fine.shape, coarse.shape, strict=True)):
        density = np.moveaxis(np.tensordot(_overlap(n, m, fine.reflects), density, axes=(1, j)), 0, j)
    return density


def _overlap(n: int, m: int, box: bool) -> Array:
    """(m, n): part of coarse cell i that fine cell k covers; cells are centred at the nodes."""
    shift = 0.0 if box else 0.5
    left, fine = (np.arange(m) - shift) * n / m, np.arange(n) - shift
    total = np.zeros((m, n))
    for period in (0,) if box else (-n, 0, n):
        begin = np.maximum(left[:, None], fine + period)
        end = np.minimum(left[:, None] + n / m, fine + period + 1)
        total += np.maximum(end - begin, 0.0)
    return total * (m / n)


def prolonged(coarse: Grid, fine: Grid, F: Array) -> Array:
    """Cubic interpolation, then (F^c)^c, which takes off what overshoots c-concavity."""
    F = refined(coarse, fine, F)
    return c_transform(fine, c_transform(fine, F))


def refined(coarse: Grid, fine: Grid, F: Array) -> Array:
    """The cubic spline through F (coarse.shape) at the nodes of another grid of the same domain, axis by axis."""
    spline = CUBIC.of(coarse, F).at
    assert isinstance(spline, Sampled)
    values = spline.coefficients
    for j, (n, m) in enumerate(zip(coarse.shape, fine.shape, strict=True)):
        lines = np.moveaxis(values, j, 0)
        values = np.moveaxis((_cubic(n, m, fine.reflects) @ lines.reshape(n, -1)).reshape(m, *lines.shape[1:]), 0, j)
    return np.ascontiguousarray(values)


def _cubic(n: int, m: int, box: bool) -> csr_array:
    """(m, n): values of the n cubic B-splines of an axis at m nodes, periodic, or even at the walls of a box."""
    shift = 0.5 if box else 0.0
    x = (np.arange(m) + shift) * n / m - shift
    k = np.floor(x).astype(np.int64)
    t = x - k
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, 3 * (1 - t) ** 3 - 6 * (1 - t) ** 2 + 4, t**3]) / 6
    column = (k + np.arange(-1, 3)[:, None]) % (2 * n if box else n)
    column = np.where(column < n, column, 2 * n - 1 - column)
    return coo_array((weights.ravel(), (np.tile(np.arange(m), 4), column.ravel())), shape=(m, n)).tocsr()
