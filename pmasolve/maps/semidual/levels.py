"""Measures and potentials on coarser and finer grids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...machine.arrays import Array
from ...problems.densities import Spline
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
    F = CUBIC.of(coarse, F)(fine.points)
    return c_transform(fine, c_transform(fine, F))
