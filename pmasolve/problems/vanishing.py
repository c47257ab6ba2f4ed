"""−log of densities that may be zero somewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..machine.arrays import Array
from .grids import Grid


@dataclass(frozen=True, eq=False)
class Vanishing:
    """−log of a density that is zero somewhere: linear between the samples of the density itself, +∞ where that is 0."""

    grid: Grid
    samples: Array
    density: Callable[[Array], Array]

    def __call__(self, points: Array) -> Array:
        grid = self.grid
        h, n = (np.reshape(part, (-1,) + (1,) * (points.ndim - 1)) for part in (grid.spacing, grid.shape))
        index = points / h - grid.offset
        nearest = np.rint(index)
        near = np.abs(index - nearest) < 1e-9  # there the sample itself: rounding must not leak into the void
        at = np.where(near, nearest, index)
        node = np.all(near & (nearest >= 0) & (nearest < n), axis=0)
        sample = self.samples[tuple(np.where(node, nearest, 0).astype(np.intp))]
        return minus_log(np.where(node, sample, self.density((at + grid.offset) * h)))


def minus_log(density: Array) -> Array:
    """−log of an array of values ≥ 0; +∞ for 0."""
    return -np.log(density, out=np.full(np.shape(density), -np.inf), where=~(density <= 0))


@dataclass(frozen=True, eq=False)
class MinusLog:
    """−log of a formula for a density; +∞ where that is 0."""

    density: Callable[..., ArrayLike]

    def __call__(self, *coordinates: Array) -> Array:
        return minus_log(np.asarray(self.density(*coordinates), dtype=np.float64))
