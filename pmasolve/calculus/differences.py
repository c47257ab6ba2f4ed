"""Gradient and Hessian on a grid by central differences of order 2, 4 and 6."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..machine.arrays import Array, number
from ..machine.threads import in_blocks
from ..problems.grids import Grid
from .hessians import packed
from .operators import Jet
from .series import Amplitudes
from .transforms import Transform, add, transform_of

# Weights of f(x+jh), j = 1 …: first derivative (odd, over h) and second derivative (even, over h²; the centre closes the sum).
_FIRST = {2: (1 / 2,), 4: (2 / 3, -1 / 12), 6: (3 / 4, -3 / 20, 1 / 60)}
_SECOND = {2: (1.0,), 4: (4 / 3, -1 / 12), 6: (3 / 2, -3 / 20, 1 / 90)}


@dataclass(frozen=True)
class FiniteDifference:
    """Central differences of order 2, 4 or 6; mixed derivatives are products of first differences.

    Cost: a few nanoseconds a point and one transform for the preconditioned state.

    Parameters
    ----------
    order : 2, 4 or 6, in h.

    Raises
    ------
    ValueError : another order.

    Examples
    --------
    >>> from pmasolve import Torus
    >>> torus = Torus((64,))
    >>> slope = FiniteDifference(2).on(torus).gradient(np.sin(2 * np.pi * torus.axis(0)))
    >>> bool(1e-3 < np.abs(slope[0] - 2 * np.pi * np.cos(2 * np.pi * torus.axis(0))).max() < 1e-1)
    True
    """

    order: int = 4

    def __post_init__(self) -> None:
        if number(self.order, "order") not in _FIRST:
            raise ValueError(f"order={self.order}: finite differences of order 2, 4 or 6 are offered")

    def on(self, grid: Grid) -> DifferenceOperators:
        """Plan the transform of the grid and set the stencils; a ``ValueError`` where neighbours are in other processes."""
        if not grid.whole:
            raise ValueError(f"{grid.words}: differences need planes of other ranks; take space=Fourier()")
        return DifferenceOperators(grid, transform_of(grid), self.order)


@njit(cache=True, nogil=True)
def _differences(u, neighbours, first, second, begin, end, D, D2):
    """First and second difference along the middle axis of u (A, n, B); both in one pass."""
    width = first.size
    for row in range(begin, end):
        a, i = row // u.shape[1], row % u.shape[1]
        for b in range(u.shape[2]):
            centre = u[a, i, b]
            d, d2 = 0.0, 0.0
            for j in range(width):
                right = u[a, neighbours[i + width + j + 1], b]
                left = u[a, neighbours[i + width - j - 1], b]
                d += first[j] * (right - left)
                d2 += second[j] * ((right - centre) + (left - centre))
            D[a, i, b] = d
            D2[a, i, b] = d2


@dataclass(frozen=True, eq=False)
class DifferenceOperators:
    """Central differences on the grid's own neighbours (periodic, or reflected at walls)."""

    grid: Grid
    transform: Transform
    order: int

    @property
    def symbols(self) -> tuple[Array, ...]:
        """Of the second differences: ∑ₘ wₘ(2 − 2cos(m kⱼ hⱼ))/hⱼ²."""
        weights = list(enumerate(_SECOND[self.order], start=1))
        pairs = zip(self.transform.wavenumbers, self.grid.spacing, strict=True)
        return tuple(sum(w * (2 - 2 * np.cos(m * k * h)) / h**2 for m, w in weights) + np.zeros(1) for k, h in pairs)

    @cached_property
    def symbol(self) -> Array:
        """The symbol of −Δ: the sum of `symbols` over the axes."""
        return sum(self.symbols) + np.zeros(1)

    @cached_property
    def _neighbours(self) -> tuple[NDArray[np.intp], ...]:
        return tuple(self.grid.neighbours(j, self.order // 2) for j in range(self.grid.dim))

    def _along(self, values: Array, axis: int, D: Array, D2: Array) -> None:
        h, shape = self.grid.spacing[axis], self.grid.shape
        block = (int(np.prod(shape[:axis])), shape[axis], int(np.prod(shape[axis + 1 :])))
        first, second = np.array(_FIRST[self.order]) / h, np.array(_SECOND[self.order]) / h**2
        u, d, d2 = values.reshape(block), D.reshape(block), D2.reshape(block)

        def rows(part: slice) -> None:
            _differences(u, self._neighbours[axis], first, second, part.start, part.stop, d, d2)

        in_blocks(rows, block[0] * block[1], values.size)

    def jet(self, coefficients: Amplitudes, out: Jet | None = None) -> Jet:
        """One inverse transform, then differences."""
        out = out or Jet.empty(self.grid)
        values, unused = np.empty(self.grid.shape), np.empty(self.grid.shape)
        self.transform.derivative(coefficients, (0,) * self.grid.dim, values)
        pairs = packed(self.grid.dim)
        for i in range(self.grid.dim):
            self._along(values, i, out.D[i], out.D2[pairs.index((i, i))])
        for row, (i, j) in enumerate(pairs):
            if i != j:
                self._along(out.D[i], j, out.D2[row], unused)
        return out

    def contract(self, coefficients: Amplitudes, S: Array, b: Array, out: Array) -> Array:
        """One inverse transform, then differences, each added as soon as it is known."""
        out.fill(0.0)
        values, first, second, unused = np.empty((4, *self.grid.shape))
        self.transform.derivative(coefficients, (0,) * self.grid.dim, values)
        for i in range(self.grid.dim):
            self._along(values, i, first, second)
            add(first, b[i], -1.0, out)
            for (k, j), factor in zip(packed(self.grid.dim), S, strict=True):
                if k == i:
                    if j > i:
                        self._along(first, j, second, unused)
                    add(second, factor, 2.0 - (i == j), out)
        return out

    def gradient(self, values: Array, out: Array | None = None, room: Amplitudes | None = None) -> Array:
        """First differences, which need no coefficients."""
        D, unused = np.empty((self.grid.dim, *values.shape)) if out is None else out, np.empty_like(values)
        for i in range(self.grid.dim):
            self._along(np.ascontiguousarray(values), i, D[i], unused)
        return D

    def with_slope(self, coefficients: Amplitudes, room: Array | None = None) -> tuple[Array, Array]:
        """One inverse transform, then differences."""
        values = np.empty(self.grid.shape)
        self.transform.derivative(coefficients, (0,) * self.grid.dim, values)
        return values, self.gradient(values, room)
