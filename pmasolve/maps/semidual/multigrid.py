"""A V-cycle for −div(A∇d) + c d on a grid of cells, the preconditioner of Newton's equation.

The Hessian of the semi-dual is ⟨d, S d⟩ = Σ_y ν(y) Var(d(x)|y) ≈ Σ_y ν(y) Σ_j Var(x_j|y) (∂_j d)²: an elliptic operator with
edge weights A_jj.  Coarse cells join two along each axis (piecewise constant prolongation, hence half the stiffness across),
red-black Gauss–Seidel smooths.  All grids are three-dimensional, with axes of one cell where there are fewer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...machine.arrays import Array
from ...machine.exponentials import jit, part
from ...machine.threads import blocks, each
from ...problems.grids import Grid

SWEEPS = 1  # before and after the coarse grid
WORK = 1  # per cell, against that of plain loops: when to use threads; half sweeps are short, handing them over is not
SOLVE = 24  # sweeps on the coarsest grid


@dataclass(frozen=True, eq=False)
class GridLevel:
    """Edge weights (3, *shape), those of axis j between a cell and the next one; the diagonal; cells joined along each axis."""

    edges: Array
    diagonal: Array
    inverse: Array
    joined: tuple[int, int, int]
    rows: tuple[slice, ...]  # of the cells' lines, in blocks for the threads

    def relax(self, b: Array, x: Array, sweeps: int, backwards: bool = False) -> None:
        """Red-black Gauß–Seidel sweeps, in place; backwards their adjoint, in reverse order, colours exchanged."""
        if len(self.rows) == 1:
            _sweep(self.edges, self.inverse, b, x, 2 * sweeps, backwards)
            return
        for colour in ((1, 0) if backwards else (0, 1)) * sweeps:
            each(
                lambda rows, c=colour: _relax(self.edges, self.inverse, b, x, rows.start, rows.stop, c, backwards),
                self.rows,
            )

    def product(self, x: Array) -> Array:
        """−div A∇x + c x."""
        out = np.empty(x.shape)
        _operator(self.edges, self.diagonal, x, out)
        return out

    def flow(self, x: Array) -> Array:
        """−A∇x along the edges, (3, *shape): from each cell to the next one."""
        out = np.empty(self.edges.shape)
        for j, flow in enumerate(out):
            np.subtract(x, np.roll(x, -1, j), out=flow)
        return np.multiply(self.edges, out, out=out)


class Multigrid:
    """The hierarchy of one operator; `cycle` applies one symmetric V-cycle to a right-hand side from 0."""

    def __init__(self, grid: Grid, conductivity: Array, mass: Array) -> None:
        """``conductivity`` (dim, *shape) ≥ 0 at the cells, ``mass`` > 0 the coefficient c."""
        shape = (1,) * (3 - grid.dim) + grid.shape
        edges = np.zeros((3, *shape))
        for j in range(grid.dim):
            axis = 3 - grid.dim + j
            edges[axis] = _harmonic_means(conductivity[j].reshape(shape), axis, not grid.reflects)
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
        level.relax(b, x, SOLVE if last else SWEEPS)
        if not last:
            halved = tuple(m - 1 for m in level.joined)
            coarse = np.zeros(self.levels[number + 1].diagonal.shape)
            _restrict(level.edges, level.diagonal, b, x, halved, coarse)
            _prolong(self._cycle(number + 1, coarse), halved, x)
        level.relax(b, x, SOLVE if last else SWEEPS, backwards=True)
        return x


def _harmonic_means(cells: Array, axis: int, periodic: bool) -> Array:
    """Harmonic means of neighbours; 0 across the walls of a box and where one side carries nothing."""
    following = np.roll(cells, -1, axis)
    total = cells + following
    edge = np.divide(2 * cells * following, total, out=np.zeros(cells.shape), where=total > 0)
    if not periodic:
        np.moveaxis(edge, axis, 0)[-1] = 0.0
    return edge


def _level(edges: Array, mass: Array) -> GridLevel:
    diagonal = mass + sum(edges[j] + np.roll(edges[j], 1, j) for j in range(3))
    a, b, c = (2 if n % 2 == 0 and n > 2 else 1 for n in mass.shape)
    even = all(
        n % 2 == 0 or n == 1 for n in mass.shape
    )  # else cells of a colour meet across the end: one after the other
    rows = blocks(mass.shape[0] * mass.shape[1], WORK * mass.size if even else 1)
    return GridLevel(edges, diagonal, 1.0 / diagonal, (a, b, c), rows)


def _coarser(level: GridLevel) -> GridLevel:
    shape = tuple(n // m for n, m in zip(level.diagonal.shape, level.joined, strict=True))
    edges, mass = np.zeros((3, *shape)), np.zeros(shape)
    _join(level.edges, level.diagonal, level.joined, edges, mass)
    return _level(edges, np.maximum(mass, 0.0))


@part
def _across(edges, x, i, j, out):
    """Σ over the edges across the line (i, j) of weight times neighbour; axes of one cell have none."""
    n0, n1, n2 = x.shape
    for k in range(n2):
        out[k] = 0.0
    for axis in (1, 0):  # one copy of the loop
        n, at = (n1, j) if axis == 1 else (n0, i)
        if n > 1:
            after, before = at + 1 if at + 1 < n else 0, at - 1 if at > 0 else n - 1
            ia, ja, ib, jb = (i, after, i, before) if axis == 1 else (after, j, before, j)
            e, f, u, v = edges[axis, i, j], edges[axis, ib, jb], x[ia, ja], x[ib, jb]
            for k in range(n2):
                out[k] += e[k] * u[k] + f[k] * v[k]


@jit
def _relax(edges, inverse, b, x, begin, end, colour, backwards):
    """One Gauss–Seidel half sweep over the cells with i + j + k ≡ colour (mod 2) on the lines begin … end − 1; or its adjoint.

    On a periodic axis of odd length neighbours across the end have one colour: there the order of the cells matters.
    """
    _, n1, n2 = x.shape
    across, last = np.empty(n2), n2 - 1
    for step in range(end - begin):
        row = end - 1 - step if backwards else begin + step
        i, j = row // n1, row % n1
        _across(edges, x, i, j, across)
        e, c, d, y = edges[2, i, j], b[i, j], inverse[i, j], x[i, j]
        first = (i + j + colour) % 2
        left, right = first == 0, last > 0 and (last - first) % 2 == 0
        if left and not backwards:
            y[0] = (c[0] + across[0] + e[0] * y[1 % n2] + e[last] * y[last]) * d[0]
        if right and backwards:
            y[last] = (c[last] + across[last] + e[last] * y[0] + e[last - 1] * y[last - 1]) * d[last]
        for k in range(2 - first, last, 2):  # of one colour and no neighbours: in any order
            y[k] = (c[k] + across[k] + e[k] * y[k + 1] + e[k - 1] * y[k - 1]) * d[k]
        if right and not backwards:
            y[last] = (c[last] + across[last] + e[last] * y[0] + e[last - 1] * y[last - 1]) * d[last]
        if left and backwards:
            y[0] = (c[0] + across[0] + e[0] * y[1 % n2] + e[last] * y[last]) * d[0]


@jit
def _sweep(edges, inverse, b, x, halves, backwards):
    """Half sweeps over all lines, colours in turn."""
    for half in range(halves):
        colour = (half + 1) % 2 if backwards else half % 2
        _relax(edges, inverse, b, x, 0, x.shape[0] * x.shape[1], colour, backwards)


@jit
def _operator(edges, diagonal, x, out):
    """(−div A∇ + c) x."""
    n0, n1, n2 = x.shape
    r = np.empty(n2)
    for i in range(n0):
        for j in range(n1):
            _across(edges, x, i, j, r)
            e, d, y, z = edges[2, i, j], diagonal[i, j], x[i, j], out[i, j]
            r[0] += e[0] * y[1 % n2] + e[n2 - 1] * y[n2 - 1]
            for k in range(1, n2 - 1):
                r[k] += e[k] * y[k + 1] + e[k - 1] * y[k - 1]
            if n2 > 1:
                r[n2 - 1] += e[n2 - 1] * y[0] + e[n2 - 2] * y[n2 - 2]
            for k in range(n2):
                z[k] = d[k] * y[k] - r[k]


@jit
def _restrict(edges, diagonal, b, x, halved, out):
    """Sums of b − (−div A∇ + c) x over coarse cells, which are 2^halved cells long."""
    n0, n1, n2 = x.shape
    r = np.empty(n2)
    for i in range(n0):
        for j in range(n1):
            _across(edges, x, i, j, r)
            e, c, d, y = edges[2, i, j], b[i, j], diagonal[i, j], x[i, j]
            r[0] += e[0] * y[1 % n2] + e[n2 - 1] * y[n2 - 1]
            for k in range(1, n2 - 1):
                r[k] += e[k] * y[k + 1] + e[k - 1] * y[k - 1]
            if n2 > 1:
                r[n2 - 1] += e[n2 - 1] * y[0] + e[n2 - 2] * y[n2 - 2]
            into = out[i >> halved[0], j >> halved[1]]
            for k in range(n2):
                into[k >> halved[2]] += r[k] + c[k] - d[k] * y[k]


@jit
def _prolong(coarse, halved, x):
    """Add to each cell what its coarse cell has."""
    n0, n1, n2 = x.shape
    for i in range(n0):
        for j in range(n1):
            y, z = x[i, j], coarse[i >> halved[0], j >> halved[1]]
            for k in range(n2):
                y[k] += z[k >> halved[2]]


@jit
def _join(edges, diagonal, joined, crossing, mass):
    """Coarse cells' edge weights, those of the edges that leave them over their length, and the sums of c."""
    n0, n1, n2 = diagonal.shape
    m0, m1, m2 = joined
    for i in range(n0):
        for j in range(n1):
            row, up, left = edges[:, i, j], edges[0, i - 1, j], edges[1, i, j - 1]
            into, c, d = crossing[:, i // m0, j // m1], mass[i // m0, j // m1], diagonal[i, j]
            ends0, ends1 = i % m0 == m0 - 1, j % m1 == m1 - 1
            for k in range(n2):
                e0, e1, e2 = row[0, k], row[1, k], row[2, k]
                c[k // m2] += d[k] - (e0 + up[k]) - (e1 + left[k]) - (e2 + row[2, k - 1])
                if ends0:
                    into[0, k // m2] += e0 / m0
                if ends1:
                    into[1, k // m2] += e1 / m1
                if k % m2 == m2 - 1:
                    into[2, k // m2] += e2 / m2
