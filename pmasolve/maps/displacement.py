"""The map x ↦ x + ∇u of a potential on a grid, at any points: forward, inverse, and what it does to masses.

On a box everything happens on the torus of twice its size, on which the even extension of u is periodic.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Protocol

import numpy as np
from scipy.ndimage import map_coordinates

from ..calculus.hessians import packed
from ..calculus.operators import Space, jet_of
from ..machine.arrays import Array
from ..problems.densities import QUINTIC, Function, Interpolation
from ..problems.grids import Grid, Torus
from ..problems.points import PointsLike, given

ACCURACY = 1e-13  # of the inverse, in units of the largest side
INVERSE_TRIES = 60


@dataclass(frozen=True, eq=False)
class Displacement:
    """x ↦ x + s∇u(x) between the nodes.

    Parameters
    ----------
    grid : torus or box.
    potential : u on it.
    space : how it is differentiated at the nodes.
    interpolation : of the components of ∇u: `Spline` (order degree + 1) or, to rounding, `problems.interpolation.Spectral()`.

    Examples
    --------
    >>> torus = Torus((64,))
    >>> u = 0.01 * np.cos(2 * np.pi * torus.axis(0))
    >>> from pmasolve import Fourier
    >>> move = Displacement(torus, u, Fourier())
    >>> y = move([0.1, 0.3])
    >>> np.allclose(move.inverse(y), [0.1, 0.3], atol=1e-9)
    True
    """

    grid: Grid
    potential: Array = field(repr=False)
    space: Space
    interpolation: Interpolation = QUINTIC

    def __call__(self, points: PointsLike, s: float = 1.0) -> Array:
        """x + s∇u(x) at points (n, dim) or a field (dim, *shape), given back as they are; on a torus not wrapped."""
        where = given(points, self.grid.dim)
        return where.vectors(self._moved(where.columns, s))

    def jacobian(self, points: PointsLike, s: float = 1.0) -> Array:
        """I + s D²u at points (n, dim) as (n, dim, dim), at a field (dim, *shape) as (dim, dim, *shape)."""
        where = given(points, self.grid.dim)
        return where.matrices(np.moveaxis(self._bent(where.columns, s), 0, -1))

    def inverse(self, points: PointsLike, s: float = 1.0) -> Array:
        """x with x + s∇u(x) = y for points y (n, dim) or a field (dim, *shape), as they are; by Newton's method.

        NaN where it finds none, as when φ is not convex.  Cost: some six evaluations of the map and its Jacobian.
        """
        where = given(points, self.grid.dim)
        return where.vectors(self._source_of(where.columns, s))

    def _source_of(self, y: Array, s: float) -> Array:
        """T⁻¹ at coordinates (dim, n)."""
        x = y - s * self._gradient(y)
        accuracy = ACCURACY * max(self.grid.lengths)
        left = np.arange(y.shape[1])
        for _ in range(INVERSE_TRIES):
            defect = y[:, left] - self._moved(x[:, left], s)
            open_ = np.max(np.abs(defect), axis=0) > accuracy
            left, defect = left[open_], defect[:, open_]
            if left.size == 0:
                return x
            x[:, left] = self._improved(x[:, left], y[:, left], defect, s)
        # interpolated derivatives: the last digits may take longer
        small = np.max(np.abs(defect), axis=0) < 1e4 * accuracy
        x[:, left[~small]] = np.nan
        return x

    def _moved(self, x: Array, s: float) -> Array:
        return x + s * self._gradient(x)

    def _bent(self, x: Array, s: float) -> Array:
        """I + s D²u at coordinates (dim, n), as (n, dim, dim)."""
        out, shifted = np.empty((x.shape[1], self.grid.dim, self.grid.dim)), self._shifted(x)
        for (i, j), second in zip(packed(self.grid.dim), self._second, strict=True):
            out[:, i, j] = out[:, j, i] = s * second.at(shifted) + (i == j)
        return out

    def _gradient(self, x: Array) -> Array:
        shifted = self._shifted(x)
        return np.stack([component.at(shifted) for component in self._first])

    def _improved(self, x: Array, y: Array, defect: Array, s: float) -> Array:
        """One Newton step for each point, halved where it does not bring the image nearer to y."""
        step = np.linalg.solve(self._bent(x, s), defect.T[..., None])[..., 0].T
        size, t = np.sum(defect**2, axis=0), np.ones(x.shape[1])
        for _ in range(4):
            worse = np.sum((y - self._moved(x + t * step, s)) ** 2, axis=0) > size
            if not worse.any():
                break
            t = np.where(worse, 0.5 * t, t)
        return x + t * step

    @cached_property
    def _torus(self) -> tuple[Torus, Array]:
        """A torus, and u on it."""
        if not self.grid.reflects:
            return self.grid, self.potential
        u = self.potential
        for axis in range(u.ndim):
            u = np.concatenate([u, np.flip(u, axis)], axis)
        return Torus(u.shape, tuple(2 * length for length in self.grid.lengths)), u

    def _shifted(self, x: Array) -> Array:
        """A box's first node is the origin of its torus."""
        return x - self.grid.offset * np.reshape(self.grid.spacing, (-1, 1))

    @cached_property
    def _first(self) -> list[Function]:
        torus, u = self._torus
        return [self.interpolation.of(torus, D) for D in self.space.on(torus).gradient(u)]

    @cached_property
    def _second(self) -> list[Function]:
        torus, u = self._torus
        return [QUINTIC.of(torus, D2) for D2 in jet_of(self.space.on(torus), u).D2]


@dataclass(frozen=True, eq=False)
class Tabulated:
    """A map known at the nodes only, that may jump between them: displacements there and back, linear in between.

    Parameters
    ----------
    grid : torus or box.
    forward, backward : (dim, *shape) displacements T(x) − x and T⁻¹(y) − y at the nodes.
    """

    grid: Grid
    forward: Array = field(repr=False)
    backward: Array = field(repr=False)

    def __call__(self, points: PointsLike, s: float = 1.0) -> Array:
        """x + s(T(x) − x) at points (n, dim) or a field (dim, *shape), as they are; on a torus not wrapped."""
        where = given(points, self.grid.dim)
        return where.vectors(where.columns + s * self._linear(self.forward, where.columns))

    def inverse(self, points: PointsLike) -> Array:
        """T⁻¹ at points (n, dim) or a field (dim, *shape), as they are."""
        where = given(points, self.grid.dim)
        return where.vectors(where.columns + self._linear(self.backward, where.columns))

    @property
    def back(self) -> Tabulated:
        """T⁻¹ as a map."""
        return Tabulated(self.grid, self.backward, self.forward)

    def _linear(self, displacement: Array, x: Array) -> Array:
        index = x / np.reshape(self.grid.spacing, (-1, 1)) - self.grid.offset
        mode = "nearest" if self.grid.reflects else "grid-wrap"
        return np.stack([map_coordinates(d, index, order=1, mode=mode) for d in displacement])


class Move(Protocol):
    """A map x ↦ T(x) at any points, and its inverse."""

    @property
    def grid(self) -> Grid:
        """The grid on which the map is known."""

    def __call__(self, points: PointsLike, s: float = 1.0) -> Array:
        """x + s(T(x) − x) at points (n, dim) or a field (dim, *shape), as they are."""
        ...

    def inverse(self, points: PointsLike) -> Array:
        """T⁻¹ at points (n, dim) or a field (dim, *shape), as they are."""
        ...


def push(move: Move, mass: Array, s: float = 1.0, parts: int = 4) -> Array:
    """Push the masses of the grid's cells forward by (1−s) id + sT: the same total, as masses of cells.

    Each cell is cut into ``parts`` along each axis; each part becomes a box as long as the cell's image, cut as well, and is shared
    among the cells that it covers: for s = 0 the image itself, to rounding.  What is left of the pattern of the parts decays like
    parts⁻².  Cost: in 2D about 15 µs a point.
    """
    if s == 0:
        return mass.copy()
    out, x = np.zeros(mass.shape), move.grid.points
    h = np.reshape(move.grid.spacing, (-1,) + (1,) * mass.ndim)
    width = _widths(move, x, h, s) / parts
    for offset in product((np.arange(parts) + 0.5) / parts - 0.5, repeat=mass.ndim):
        y = move(x + np.reshape(offset, h.shape) * h, s)
        deposit(move.grid, y, mass / parts**mass.ndim, out, width)
    return out


def _widths(move: Move, x: Array, h: Array, s: float) -> Array:
    """Lengths of the images of the cells along each axis, in cells."""
    out = np.empty(x.shape)
    for j in range(len(x)):
        half = np.zeros(h.shape)
        half[j] = 0.5 * h[j]
        out[j] = (move(x + half, s)[j] - move(x - half, s)[j]) / h[j]
    return out


def deposit(grid: Grid, points: PointsLike, mass: Array, out: Array, width: Array | None = None) -> Array:
    """Add masses in boxes around points (n, dim) or a field (dim, *shape) to ``out``, shared among the cells that they cover.

    ``mass`` is (n,) or of the field's shape, ``out`` of the grid's.  ``width`` (dim, …), in cells, is taken as at most 1; of one
    cell each unless given (cloud in cell, multilinear).  Periodic on a torus; on a box what lies beyond a wall belongs to the node
    beside it.
    """
    index = [p / h - grid.offset for p, h in zip(given(points, grid.dim).columns, grid.spacing, strict=True)]
    widths = np.ones((grid.dim, 1)) if width is None else np.clip(width.reshape(grid.dim, -1), 1e-6, 1.0)
    low = [np.floor(i + 0.5 * (1 - w)).astype(np.intp) for i, w in zip(index, widths, strict=True)]
    upper = [np.clip((i - a - 0.5) / w + 0.5, 0.0, 1.0) for i, a, w in zip(index, low, widths, strict=True)]
    for corner in product((0, 1), repeat=grid.dim):
        weight, where = np.ravel(mass).astype(np.float64), []
        for part, a, bit, n in zip(upper, low, corner, grid.shape, strict=True):
            weight = weight * (part if bit else 1.0 - part)
            where.append(np.clip(a + bit, 0, n - 1) if grid.reflects else (a + bit) % n)
        flat = np.ravel_multi_index(where, grid.shape)
        out += np.bincount(flat, weight, grid.size).reshape(grid.shape)
    return out
