"""The Gaussian kernel of one axis, in logarithms: on the line, on a circle (theta function) and between two walls.

The theta function is summed from whichever of its two series converges at once,

    θ(d) = Σₘ exp(−(d+mL)²/2ε) = √(2πε)/L · Σₖ exp(−2π²εk²/L²) cos(2πkd/L)         (Poisson),

the left one for 2πε < L², the right one beyond.  At the crossing both have terms exp(−πm²), so that a handful of them
leaves less than 1e−17 of the sum behind, for every ε.
"""

from __future__ import annotations

import numpy as np

from ...machine.arrays import Array
from ...problems.grids import Grid

IMAGES = np.array([-4, -3, -2, -1, 1, 2, 3, 4])  # the next one adds less than exp(−π·4·5) = 5e−28
HARMONICS = np.arange(1, 5)  # the next one adds less than 2 exp(−π·25) = 2e−34


def log_theta(distance: Array, eps: float, period: float | None = None) -> Array:
    """Log of exp(−d²/2ε), summed over the images d + mL when a period L is given; the shape of ``distance``."""
    if period is None:
        return -(distance**2) / (2 * eps)
    d = distance - period * np.round(distance / period)
    if 2 * np.pi * eps < period**2:
        return _sum_of_images(d, eps, period)
    return _sum_of_waves(d, eps, period)


def _sum_of_images(d: Array, eps: float, period: float) -> Array:
    """The left series with the nearest image taken out; |d| ≤ L/2, so that no exponent is positive."""
    others = np.zeros_like(d)
    for m in IMAGES:
        others += np.exp(-(m * period) * (m * period + 2 * d) / (2 * eps))
    return -(d**2) / (2 * eps) + np.log1p(others)


def _sum_of_waves(d: Array, eps: float, period: float) -> Array:
    """The right series; its sum lies within 2·exp(−π)(1 + …) of 1, so that nothing cancels."""
    waves = np.zeros_like(d)
    for k in HARMONICS:
        waves += 2 * np.exp(-2 * eps * (np.pi * k / period) ** 2) * np.cos(2 * np.pi * k * d / period)
    return 0.5 * np.log(2 * np.pi * eps / period**2) + np.log1p(waves)


def axis_log_kernel(grid: Grid, j: int, eps: float) -> Array:
    """Log of the kernel between all nodes of axis ``j``, shape (n, n): periodic, or reflected at two walls."""
    n, length, h = grid.shape[j], grid.lengths[j], grid.spacing[j]
    i = np.arange(2 * n)
    distances = i.astype(np.float64) * h
    i = i[:n]
    if not grid.reflects:
        return log_theta(distances[:n], eps, length)[np.abs(i[:, None] - i)]
    # the images of y are y + 2mL and −y + 2mL; on cell centres x + y = (i + j + 1)h
    line = log_theta(distances, eps, 2 * length)
    return np.logaddexp(line[np.abs(i[:, None] - i)], line[i[:, None] + i + 1])
