"""Samples: weighted points in ℝᵈ, with the exact posterior weights wᵢ ∝ aᵢ exp(−|y − r xᵢ|²/2).

Up to three dimensions (256 points and more) the moments come from the package's engine for clouds (ε = 1/r², at z = y/r): linear
memory, pairs that cannot matter are skipped.  Else the weights of a block of y stand in one matrix of at most `WEIGHTS_AT_ONCE`
numbers, made by BLAS, from which `covariances` has the largest eigenvalue of Cov(rX | Y=y).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import log, pi

import numpy as np
from numpy.typing import ArrayLike

from ...machine.arrays import Array
from ...problems.grids import Box, Cloud
from ...sinkhorn.softmin.clouds.moments import Moments, displacement_moments
from ...sinkhorn.softmin.clouds.sides import Side, sort
from ...sinkhorn.softmin.nodes import geometry
from .covariances import WEIGHTS_AT_ONCE, Covariances
from .sources import DenoisingPosterior, drawn_indices, rows_of

MOMENTS = 3  # dimensions up to which the engine for clouds has moments …
MANY_POINTS = 256  # … and points from which on it pays
LEAST_LOG_WEIGHT = -700.0  # nats: exponentials below are as good as 0, and slow


@dataclass(frozen=True, eq=False)
class Points:
    """Σ aᵢ δ(xᵢ): samples with weights.

    Parameters
    ----------
    points : (n, d), or (n,) on the line.
    weights : (n,) masses ≥ 0 with a positive sum, normalised here; uniform unless given.

    Raises
    ------
    ValueError : points that are not finite or not (n, d); weights that are negative, not finite, or all zero.

    Notes
    -----
    Memory beside the points: about 0.4 GiB at most, whatever n, d and the number of y (three or fewer dimensions: linear in n).
    Cost: up to n·d² operations for every y and r.

    Examples
    --------
    >>> two = Points([-1.0, 1.0])
    >>> two.curvature(1.5, [0.0, 1.0]).round(5)  # r² sech²(ry)
    array([2.25   , 0.40659])
    """

    points: Array
    weights: Array | None = None

    def __post_init__(self) -> None:
        points = np.asarray(self.points)
        cloud = Cloud(points.reshape(-1, 1) if points.ndim == 1 else points, self.weights)
        kept = cloud.weights > 0
        object.__setattr__(self, "points", cloud.points[kept])
        object.__setattr__(self, "weights", cloud.weights[kept])

    @classmethod
    def on_grid(cls, box: Box, density: ArrayLike) -> Points:
        """A density on a box, as masses at the cell centres (midpoint rule): right for r well below 1/spacing.

        Parameters
        ----------
        box : where it lives, in ℝ^dim; outside the density is 0.
        density : (*shape) values ≥ 0, normalised here.

        Raises
        ------
        ValueError : another grid than a box, values that are negative or not finite.

        Examples
        --------
        >>> from pmasolve import Box
        >>> flat = Points.on_grid(Box((64,)), np.ones(64))
        >>> float(flat.curvature(1.0, [0.5])[0].round(4))  # a little less than 1/12
        0.0806
        """
        if not isinstance(box, Box):
            raise ValueError(f"{type(box).__name__} as the domain: denoising takes place in ℝᵈ; give a Box")
        values = box.values(density, "density")
        return cls(box.points.reshape(box.dim, -1).T, values.ravel())

    @property
    def size(self) -> int:
        """Number of points with mass."""
        return self.points.shape[0]

    @property
    def dim(self) -> int:
        """Dimension d."""
        return self.points.shape[1]

    @cached_property
    def _centre(self) -> Array:
        return self.weights @ self.points

    @cached_property
    def _centred(self) -> Array:
        return self.points - self._centre

    @cached_property
    def _columns(self) -> Array:
        return np.ascontiguousarray(self._centred.T)

    @cached_property
    def _log_weights(self) -> Array:
        return np.log(self.weights)

    @cached_property
    def _half_squares(self) -> Array:
        return 0.5 * np.einsum("nd,nd->n", self._centred, self._centred)

    @cached_property
    def _covariances(self) -> Covariances:
        return Covariances(self._centred, self._columns)

    @property
    def _skips(self) -> bool:
        """Whether the engine for clouds serves."""
        return self.dim <= MOMENTS and self.size >= MANY_POINTS

    @cached_property
    def _side(self) -> Side:
        return sort(self._centred)

    def draw(self, count: int, rng: np.random.Generator, *, stratified: bool = True) -> Array:
        """(count, d) of the points, with their masses; ``stratified``: every point as often as its mass asks for, up to one."""
        return self.points[drawn_indices(self.weights, count, rng, stratified)]

    def moments(self) -> tuple[Array, float]:
        """The mean (d,), and E|X − mean|²."""
        return self._centre, 2 * float(self.weights @ self._half_squares)

    def ceiling(self, r: float) -> float:
        """r² R², with R the largest distance of a point from the mean: no variance in a ball of radius R is larger."""
        return 2 * r * r * float(np.max(self._half_squares))

    def span(self, r: float) -> tuple[float, float]:
        """On the line, an interval outside which Y has a mass below 1e-17."""
        return r * float(np.min(self.points)) - 9.0, r * float(np.max(self.points)) + 9.0

    def cdf(self, x: ArrayLike) -> Array:
        """On the line, P(X ≤ x), of the shape of x."""
        order = np.argsort(self.points[:, 0])
        total = np.append(0.0, np.cumsum(self.weights[order]))
        return total[np.searchsorted(self.points[order, 0], np.asarray(x, dtype=np.float64), side="right")]

    def posterior(self, r: float, y: ArrayLike) -> DenoisingPosterior:
        """log p_Y, E[rX | Y = y] and tr Cov(rX | Y = y) for the rows y (k, d)."""
        z = self._shifted(r, y)
        if self._skips:
            found = self._moments(r, z, second=True)
            mean, trace = r * (z.T / r + found.mean).T, r * r * np.einsum("aak->k", found.covariance)
            return DenoisingPosterior(found.log_sum - 0.5 * self.dim * log(2 * pi), mean + r * self._centre, trace)
        density, mean, trace = np.empty(len(z)), np.empty(z.shape), np.empty(len(z))
        for block, weights, log_density in self._weighted(r, z):
            density[block] = log_density
            mean[block], trace[block] = self._moments_of(weights, r)
        return DenoisingPosterior(density, mean + r * self._centre, trace)

    def curvature(self, r: float, y: ArrayLike) -> Array:
        """(k,) L_r(y) for the rows y (k, d)."""
        z = self._shifted(r, y)
        if self._skips:
            covariances = np.moveaxis(self._moments(r, z, second=True).covariance, -1, 0)
            return r * r * np.maximum(np.linalg.eigvalsh(covariances)[:, -1], 0.0)
        return r * r * self._each(r, z, self._covariances.largest)

    def posterior_weights(self, r: float, y: ArrayLike) -> Array:
        """(k, n) probabilities of the points given Y = y, for the rows y (k, d); memory k·n.

        Examples
        --------
        >>> Points([0.0, 1.0]).posterior_weights(1.0, [0.5])
        array([[0.5, 0.5]])
        """
        return self._weights(r, self._shifted(r, y))[0]

    def effective_points(self, r: float, y: ArrayLike) -> Array:
        """(k,) 1/Σw²: how many points share the weight given Y = y, for the rows y (k, d)."""
        z = self._shifted(r, y)
        return self._each(r, z, lambda w: 1 / np.einsum("kn,kn->k", w, w))

    def half(self, which: int, rng: np.random.Generator) -> Points:
        """One of two halves into which ``rng`` parts the points; give both the same state."""
        order = rng.permutation(self.size)[which::2]
        return Points(self.points[order], self.weights[order])

    def _shifted(self, r: float, y: ArrayLike) -> Array:
        """y − r·centre: what is left of large coordinates."""
        return rows_of(y, self.dim) - r * self._centre

    def _each(self, r: float, z: Array, value: Callable[[Array], Array]) -> Array:
        """(k,) values of the weights."""
        out = np.empty(len(z))
        for block, weights, _ in self._weighted(r, z):
            out[block] = value(weights)
        return out

    def _weighted(self, r: float, z: Array) -> Iterator[tuple[slice, Array, Array]]:
        """Blocks of the z, their weights, which are overwritten by the next block's, and log p_Y."""
        step = max(1, min(len(z), WEIGHTS_AT_ONCE // self.size))
        memory = np.empty((step, self.size))
        for low in range(0, len(z), step):
            block = slice(low, min(low + step, len(z)))
            yield block, *self._weights(r, z[block], memory[: block.stop - low])

    def _moments(self, r: float, z: Array, second: bool) -> Moments:
        """By the engine for clouds: displacements from z/r to the points."""
        nodes = Cloud(z / r)
        space = geometry(Cloud(self._centred), nodes, 1 / r**2)
        return displacement_moments(self._side, self._log_weights, sort(nodes.points), space, second)

    def _weights(self, r: float, z: Array, out: Array | None = None) -> tuple[Array, Array]:
        """Weights (k, n) of the points given each z, in ``out`` if given, and log p_Y (k,)."""
        out = np.matmul(z, r * self._columns, out=out)
        out += self._log_weights - r * r * self._half_squares
        top = np.max(out, axis=1)
        out -= top[:, None]
        np.maximum(out, LEAST_LOG_WEIGHT, out=out)
        np.exp(out, out=out)
        total = out.sum(axis=1)
        out /= total[:, None]
        squares = 0.5 * np.einsum("kd,kd->k", z, z)
        return out, top + np.log(total) - squares - 0.5 * self.dim * log(2 * pi)

    def _moments_of(self, weights: Array, r: float) -> tuple[Array, Array]:
        """Means and traces under weights (k, n)."""
        mean = weights @ self._centred
        trace = 2 * (weights @ self._half_squares) - np.einsum("kd,kd->k", mean, mean)
        return r * mean, r * r * np.maximum(trace, 0.0)
