"""Log-sums on a torus or in a box for large ε, where the kernel is a short Fourier series (Poisson summation).

    θ(d) = √(2πε)/L · Σ_{|k|≤K} q^{k²} exp(2πikd/L),     q = exp(−2π²ε/L²)

The sum cancels by at most max θ / min θ ≈ ½exp(L²/8ε) for each axis.  The series is used where the product of these
over the axes is below exp(LOSS), in the plane from ε = 0.074 L² on; K ≤ 6 modes then give 1e-17.
Cost (n + m)·∏(2K+1) instead of n·m.
"""

from __future__ import annotations

from functools import reduce
from math import log, prod

import numpy as np
from numpy.typing import NDArray

from ....machine.arrays import Array
from ..nodes import Geometry, reflections

LOSS = 2.0  # nats of cancellation allowed: 7 units of rounding
NEGLECTED_NATS = 40.0  # nats of the first neglected mode
MOST_MODES = 500_000  # modes; beyond, neither method is good
PHASES_AT_ONCE = 1 << 20  # complex phases held at a time

ModeNumbers = list[NDArray[np.intp]]


def waves(space: Geometry) -> ModeNumbers | None:
    """Wave numbers 0…K for each axis, or None where the series is not short."""
    if space.periods is None:
        return None
    if np.maximum(space.periods**2 / (8 * space.eps) - log(2), 0).sum() > LOSS:
        return None
    most = np.sqrt(NEGLECTED_NATS / (2 * np.pi**2 * space.eps)) * space.periods
    modes = [np.arange(-int(k), int(k) + 1) for k in most]
    return modes if prod(len(k) for k in modes) <= MOST_MODES else None


def log_sums_by_waves(x: Array, h: Array, y: Array, space: Geometry, modes: ModeNumbers) -> Array:
    """log Σ_i exp(h_i) K_ε(x_i, y_j) by Fourier modes; x (n, dim), y (m, dim), h not all −inf."""
    amplitudes, step = spectrum(x, h, space, modes)
    sums = [(phases(y[j : j + step], space, modes) @ amplitudes).real for j in range(0, len(y), step)]
    return np.log(np.concatenate(sums)) + log_size(h, space)


def derivatives_by_waves(
    x: Array, h: Array, y: Array, space: Geometry, modes: ModeNumbers
) -> tuple[Array, Array, Array]:
    """L = log Σ_i exp(h_i) K_ε(x_i, y_j), ε∇L (dim, m) and ε(I + εD²L) (dim, dim, m) by Fourier modes."""
    amplitudes, step = spectrum(x, h, space, modes)
    grids = np.meshgrid(*(2 * np.pi * k / L for k, L in zip(modes, space.periods, strict=True)), indexing="ij")
    wave = np.stack([grid.ravel() for grid in grids])
    columns = [
        amplitudes,
        *(1j * wave * amplitudes),
        *(-(wave[:, None] * wave).reshape(-1, wave.shape[1]) * amplitudes),
    ]
    matrix = np.stack(columns, axis=1)
    rows = [(phases(y[j : j + step], space, modes) @ matrix).real for j in range(0, len(y), step)]
    sums, dim = np.concatenate(rows).T, space.dim
    slope = space.eps * sums[1 : 1 + dim] / sums[0]
    bend = space.eps**2 * sums[1 + dim :].reshape(dim, dim, -1) / sums[0] - slope[:, None] * slope
    return np.log(sums[0]) + log_size(h, space), slope, bend + space.eps * np.eye(dim)[:, :, None]


def log_size(h: Array, space: Geometry) -> float:
    """Logarithm of what ``spectrum`` leaves out: max exp(h) and ∏ √(2πε)/L."""
    return h.max() + np.sum(np.log(np.sqrt(2 * np.pi * space.eps) / space.periods))


def spectrum(x: Array, h: Array, space: Geometry, modes: ModeNumbers) -> tuple[NDArray[np.complex128], int]:
    """Amplitudes of all modes, conjugated for evaluation, and how many points to take at a time."""
    mass = np.exp(h - h.max())
    signs = reflections(space.dim) if space.reflects else np.ones((1, space.dim))
    decay = [np.exp(-2 * np.pi**2 * space.eps * (k / L) ** 2) for k, L in zip(modes, space.periods, strict=True)]
    count = reduce(np.multiply.outer, decay).size
    step = max(1, PHASES_AT_ONCE // count)
    moments = np.zeros(count, dtype=complex)
    for sign in signs:
        for i in range(0, len(x), step):
            moments += mass[i : i + step] @ phases(sign * x[i : i + step], space, modes)
    moments *= reduce(np.multiply.outer, decay).ravel()
    return moments.conj(), step


def phases(points: Array, space: Geometry, modes: ModeNumbers) -> NDArray[np.complex128]:
    """exp(2πi k·x/L) for all points (n) and modes, shape (n, modes)."""
    out = np.ones((len(points), 1), dtype=complex)
    for j, k in enumerate(modes):
        axis = np.exp(2j * np.pi * np.multiply.outer(points[:, j] / space.periods[j], k))
        out = (out[:, :, None] * axis[:, None, :]).reshape(len(points), -1)
    return out
