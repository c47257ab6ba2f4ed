"""Functions on the torus between the nodes, to rounding: the trigonometric interpolant summed term by term.

Slower than a nonuniform transform and than splines, but exact and of a few lines: what the claims need on small grids.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pmasolve import Fourier
from pmasolve.machine.arrays import Array
from pmasolve.maps.displacement import Displacement
from pmasolve.problems.densities import Function
from pmasolve.problems.grids import Grid
from pmasolve.problems.points import PointsLike

BLOCK = 4096  # points summed at once


@dataclass(frozen=True)
class Waves:
    """Interpolation by all waves that the grid resolves; an even axis loses its last one, which has no derivative there."""

    def of(self, grid: Grid, samples: Array) -> Function:
        """The series of ``samples`` (grid.shape)."""
        modes = np.fft.fftn(samples) / samples.size
        for axis, n in enumerate(samples.shape):
            if n % 2 == 0:
                np.moveaxis(modes, axis, 0)[n // 2] = 0.0
        return Function(grid.dim, Series(grid, modes))


@dataclass(frozen=True, eq=False)
class Series:
    """∑ₖ cₖ exp(2πi k·x/L)."""

    grid: Grid
    modes: NDArray[np.complex128]

    def __call__(self, points: Array) -> Array:
        """Values (…) at coordinates (dim, …)."""
        flat = np.reshape(points, (self.grid.dim, -1))
        blocks = [self._sum(flat[:, i : i + BLOCK]) for i in range(0, flat.shape[1], BLOCK)]
        return np.concatenate(blocks).reshape(points.shape[1:])

    def _sum(self, x: Array) -> Array:
        """Axis after axis: the sum over the first is a matrix product, the others keep each point to itself."""
        waves = [
            np.exp(2j * np.pi / length * xj[:, None] * np.fft.fftfreq(n, 1 / n))
            for xj, length, n in zip(x, self.grid.lengths, self.grid.shape, strict=True)
        ]
        out = (waves[0] @ self.modes.reshape(self.modes.shape[0], -1)).reshape(x.shape[1], *self.modes.shape[1:])
        for wave in waves[1:]:
            out = np.einsum("pk,pk...->p...", wave, out)
        return out.real


def displacement(grid: Grid, u: Array) -> Displacement:
    """x ↦ x + ∇u(x) at any points, and its inverse, to rounding."""
    return Displacement(grid, u, Fourier(), Waves())


def at(grid: Grid, values: Array, points: PointsLike) -> Array:
    """The function with these values at the nodes, at points (n, dim) or a field (dim, *shape)."""
    return Waves().of(grid, values)(points)


def dual(grid: Grid, u: Array) -> Array:
    """v of the Legendre transform ψ = φ* at the nodes y: ψ(y) = x·y − φ(x) at the x that the map sends to y.

    With φ = |x|²/2 + u and ψ = |y|²/2 + v this is v(y) = −½|y − x|² − u(x).
    """
    y = grid.points
    x = displacement(grid, u).inverse(y)
    return -0.5 * np.sum((y - x) ** 2, axis=0) - at(grid, u, x)


def lot(grid: Grid, density: Array, u: Array, other: Array) -> float:
    """‖∇φ* − ∇φ̂*‖ in L²(e^{−g}), the linearised transport distance of the densities ρ of φ and ρ̂ of φ̂ (arXiv 2307.16421).

    With y = ∇φ(x) it is ‖x − ∇φ̂*(∇φ(x))‖ in L²(ρ); ``density`` is ρ on the grid, u and ``other`` are φ and φ̂ less |x|²/2.
    """
    x = grid.points
    moved = displacement(grid, other).inverse(grid.displaced(Fourier().on(grid).gradient(u)))
    return float(np.sqrt(grid.integral(np.sum((moved - x) ** 2, axis=0) * density)))
