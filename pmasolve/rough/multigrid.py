"""A V-cycle for −div(A∇d) + c d on a grid of cells, the preconditioner of Newton's equation.

The Hessian of the semi-dual is ⟨d, S d⟩ = Σ_y ν(y) Var(d(x)|y) ≈ Σ_y ν(y) Σ_j Var(x_j|y) (∂_j d)²: an elliptic operator with
edge weights A_jj.  Coarse cells join two along each axis (piecewise constant prolongation, hence half the stiffness across),
red-black Gauss–Seidel smooths.  All grids are three-dimensional, with axes of one cell where there are fewer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..domains import Array, Grid, Torus
from ..softmin.bits import jit

SWEEPS = 2  # before and after the coarse grid
SOLVE = 24  # sweeps on the coarsest grid


@dataclass(frozen=True, eq=False)
class Level:
    """Edge weights (3, *shape), those of axis j between a cell and the next one; the diagonal; cells joined along each axis."""

    edges: Array
    diagonal: Array
    joined: tuple[int, int, int]


class Multigrid:
    """The hierarchy of one operator; `cycle` applies one symmetric V-cycle to a right-hand side from 0."""

    def __init__(self, grid: Grid, conductivity: Array, mass: Array) -> None:
        """``conductivity`` (dim, *shape) ≥ 0 at the cells, ``mass`` > 0 the coefficient c."""
        shape = (1,) * (3 - grid.dim) + grid.shape
        edges = np.zeros((3, *shape))
        for j in range(grid.dim):
            axis = 3 - grid.dim + j
            edges[axis] = _between(conductivity[j].reshape(shape), axis, isinstance(grid, Torus))
        self.shape = grid.shape
        self.levels = [_level(edges, mass.reshape(shape))]
        while max(self.levels[-1].joined) > 1:
            self.levels.append(_coarser(self.levels[-1]))

    def cycle(self, b: Array) -> Array:
        """An approximate solution, linear and symmetric in b."""
        return self._cycle(0, b.reshape(self.levels[0].diagonal.shape)).reshape(self.shape)

    def _cycle(self, number: int, b: Array) -> Array:
        level, x = self.levels[number], np.zeros(b.shape)
        last = number + 1 == len(self.levels)
        for colour in (0, 1) * (SOLVE if last else SWEEPS):
            _relax(level.edges, level.diagonal, b, x, colour, False)
        if not last:
            residual = np.empty(b.shape)
            _residual(level.edges, level.diagonal, b, x, residual)
            coarse = self._cycle(number + 1, _sum(residual, level.joined))
            for axis, m in enumerate(level.joined):
                coarse = np.repeat(coarse, m, axis)
            x += coarse
        for colour in (1, 0) * (SOLVE if last else SWEEPS):
            _relax(level.edges, level.diagonal, b, x, colour, True)
        return x


def _between(cells: Array, axis: int, periodic: bool) -> Array:
    """Harmonic means of neighbours; 0 across the walls of a box and where one side carries nothing."""
    following = np.roll(cells, -1, axis)
    total = cells + following
    edge = np.divide(2 * cells * following, total, out=np.zeros(cells.shape), where=total > 0)
    if not periodic:
        np.moveaxis(edge, axis, 0)[-1] = 0.0
    return edge


def _level(edges: Array, mass: Array) -> Level:
    diagonal = mass + sum(edges[j] + np.roll(edges[j], 1, j) for j in range(3))
    a, b, c = (2 if n % 2 == 0 and n > 2 else 1 for n in mass.shape)
    return Level(edges, diagonal, (a, b, c))


def _coarser(level: Level) -> Level:
    mass = level.diagonal - sum(level.edges[j] + np.roll(level.edges[j], 1, j) for j in range(3))
    edges = []
    for j, m in enumerate(level.joined):
        crossing = np.moveaxis(np.moveaxis(level.edges[j], j, 0)[m - 1 :: m], 0, j)
        across = tuple(1 if axis == j else k for axis, k in enumerate(level.joined))
        edges.append(_sum(crossing, across) / m)
    return _level(np.stack(edges), _sum(np.maximum(mass, 0.0), level.joined))


def _sum(values: Array, joined: tuple[int, ...]) -> Array:
    """Sums over groups of ``joined`` cells along each axis."""
    split = [part for n, m in zip(values.shape, joined, strict=True) for part in (n // m, m)]
    return np.ascontiguousarray(values.reshape(split).sum(axis=(1, 3, 5)))


@jit
def _neighbours(edges, x, i, j, a, c, b, d, k):
    """Σ over the six edges of weight times neighbour; a, c before and after i, b, d before and after j."""
    last = x.shape[2] - 1
    e, f = k - 1 if k > 0 else last, k + 1 if k < last else 0
    total = edges[0, i, j, k] * x[c, j, k] + edges[0, a, j, k] * x[a, j, k]
    total += edges[1, i, j, k] * x[i, d, k] + edges[1, i, b, k] * x[i, b, k]
    return total + edges[2, i, j, k] * x[i, j, f] + edges[2, i, j, e] * x[i, j, e]


@jit
def _relax(edges, diagonal, b, x, colour, backwards):
    """One Gauss–Seidel half sweep over the cells with i + j + k ≡ colour (mod 2); backwards, its adjoint.

    On a periodic axis of odd length neighbours across the end have one colour: there the order of the cells matters.
    """
    n0, n1, n2 = x.shape
    for p in range(n0):
        i = n0 - 1 - p if backwards else p
        for q in range(n1):
            j = n1 - 1 - q if backwards else q
            before, after, left, right = (i - 1) % n0, (i + 1) % n0, (j - 1) % n1, (j + 1) % n1
            first = (i + j + colour) % 2
            count = (n2 - first + 1) // 2
            for r in range(count):
                k = first + 2 * (count - 1 - r if backwards else r)
                pull = _neighbours(edges, x, i, j, before, after, left, right, k)
                x[i, j, k] = (b[i, j, k] + pull) / diagonal[i, j, k]


@jit
def _residual(edges, diagonal, b, x, out):
    """b − (−div A∇ + c) x."""
    n0, n1, n2 = x.shape
    for i in range(n0):
        for j in range(n1):
            before, after, left, right = (i - 1) % n0, (i + 1) % n0, (j - 1) % n1, (j + 1) % n1
            for k in range(n2):
                pull = _neighbours(edges, x, i, j, before, after, left, right, k)
                out[i, j, k] = b[i, j, k] + pull - diagonal[i, j, k] * x[i, j, k]
