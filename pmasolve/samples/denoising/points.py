"""Samples: weighted points in ℝᵈ, with the exact posterior weights wᵢ ∝ aᵢ exp(−|y − r xᵢ|²/2).

Up to three dimensions (256 points and more) the moments come from the package's engine for clouds (ε = 1/r², at z = y/r): linear
memory, pairs that cannot matter are skipped.  Else the weights of a block of y stand in one matrix of at most `WEIGHTS` numbers,
made by BLAS, and Cov(rX | Y=y)

  * is never formed where few points carry the weight of a y: those points, centred and weighted, are gathered, and the smaller of
    their two Gram matrices has the same largest eigenvalue;
  * is formed for all y of the block by one matrix product with the products xₐx_b, up to `FORMED` dimensions;
  * is else applied to vectors (two matrix products for all y of the block) by Lanczos' method: no d × d matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from math import log, pi

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...machine.arrays import Array
from ...problems.grids import Box, Cloud
from ...sinkhorn.softmin.clouds.moments import Moments, displacement_moments
from ...sinkhorn.softmin.clouds.sides import Side, sort
from ...sinkhorn.softmin.nodes import geometry
from .eigenvalues import largest_eigenvalues
from .sources import Posterior, chosen, rows

Indices = NDArray[np.intp]
WEIGHTS = 1 << 24  # numbers in the matrix of weights of a block of y: 128 MiB
PANEL = 512  # points whose products stand in memory at once: they stay in a core's cache
FORMED = 64  # dimensions up to which covariances are formed
FEW = 1024  # points of one y that are gathered
MOMENTS = 3  # dimensions up to which the engine for clouds has moments …
MANY = 256  # … and points from which on it pays
LEAST = -700.0  # nats: exponentials below are as good as 0, and slow
NEGLIGIBLE = 1e-22  # what all weights left out of a gathering may sum up to


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

    @property
    def _skips(self) -> bool:
        """Whether the engine for clouds serves."""
        return self.dim <= MOMENTS and self.size >= MANY

    @cached_property
    def _side(self) -> Side:
        return sort(self._centred)

    def draw(self, count: int, rng: np.random.Generator, *, stratified: bool = True) -> Array:
        """(count, d) of the points, with their masses; ``stratified``: every point as often as its mass asks for, up to one."""
        return self.points[chosen(self.weights, count, rng, stratified)]

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

    def posterior(self, r: float, y: ArrayLike) -> Posterior:
        """log p_Y, E[rX | Y = y] and tr Cov(rX | Y = y) for the rows y (k, d)."""
        z = self._shifted(r, y)
        if self._skips:
            found = self._moments(r, z, second=True)
            mean, trace = r * (z.T / r + found.mean).T, r * r * np.einsum("aak->k", found.covariance)
            return Posterior(found.log_sum - 0.5 * self.dim * log(2 * pi), mean + r * self._centre, trace)
        density, mean, trace = np.empty(len(z)), np.empty(z.shape), np.empty(len(z))
        for block, weights, log_density in self._weighted(r, z):
            density[block] = log_density
            mean[block], trace[block] = self._moments_of(weights, r)
        return Posterior(density, mean + r * self._centre, trace)

    def curvature(self, r: float, y: ArrayLike) -> Array:
        """(k,) L_r(y) for the rows y (k, d)."""
        z = self._shifted(r, y)
        if self._skips:
            covariances = np.moveaxis(self._moments(r, z, second=True).covariance, -1, 0)
            return r * r * np.maximum(np.linalg.eigvalsh(covariances)[:, -1], 0.0)
        return r * r * self._each(r, z, self._largest)

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
        return rows(y, self.dim) - r * self._centre

    def _each(self, r: float, z: Array, value: Callable[[Array], Array]) -> Array:
        """(k,) values of the weights."""
        out = np.empty(len(z))
        for block, weights, _ in self._weighted(r, z):
            out[block] = value(weights)
        return out

    def _weighted(self, r: float, z: Array) -> Iterator[tuple[slice, Array, Array]]:
        """Blocks of the z, their weights, which are overwritten by the next block's, and log p_Y."""
        step = max(1, min(len(z), WEIGHTS // self.size))
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
        np.maximum(out, LEAST, out=out)
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

    def _largest(self, weights: Array) -> Array:
        """(k,) largest eigenvalues of the covariances under weights (k, n)."""
        heavy = weights > NEGLIGIBLE / self.size
        count = np.count_nonzero(heavy, axis=1)
        few = count <= min(FEW, self.size // 8)
        out = np.empty(len(weights))
        if few.any():
            out[few] = self._largest_of_few(weights, heavy, np.flatnonzero(few), count[few])
        if not few.all():
            many = np.flatnonzero(~few)
            out[many] = (self._largest_formed if self.dim <= FORMED else self._largest_applied)(weights, many)
        return out

    def _largest_of_few(self, weights: Array, heavy: Array, which: Indices, count: Indices) -> Array:
        """From the gathered points, rows of like counts together."""
        out = np.empty(which.size)
        order = np.argsort(count, kind="stable")
        while order.size:
            width = 2 * int(count[order[0]])
            like = np.searchsorted(count[order], width, side="right")
            same = order[: min(like, max(1, WEIGHTS // (8 * width * self.dim)))]
            out[same] = self._gathered(weights[which[same]], heavy[which[same]], int(count[same[-1]]))
            order = order[same.size :]
        return out

    def _gathered(self, weights: Array, heavy: Array, width: int) -> Array:
        """Rows with at most ``width`` heavy points each."""
        row, column = np.nonzero(heavy)
        place = np.arange(row.size) - np.searchsorted(row, row)
        w, x = np.zeros((len(weights), width)), np.zeros((len(weights), width, self.dim))
        w[row, place] = weights[row, column]
        x[row, place] = self._centred[column]
        x -= np.einsum("kc,kcd->kd", w, x)[:, None]
        x *= np.sqrt(w)[:, :, None]
        return _squared_norms(x)

    def _largest_formed(self, weights: Array, which: Indices) -> Array:
        """By the covariances of all these rows at once."""
        i, j = np.triu_indices(self.dim)
        second, products = np.zeros((which.size, i.size)), np.empty((i.size, PANEL))
        mean = np.zeros((which.size, self.dim))
        for low in range(0, self.size, PANEL):
            panel = slice(low, min(low + PANEL, self.size))
            part = weights[which, panel]
            second += part @ _products(self._columns[:, panel], products).T
            mean += part @ self._centred[panel]
        covariance = np.empty((which.size, self.dim, self.dim))
        covariance[:, i, j] = second - mean[:, i] * mean[:, j]
        covariance[:, j, i] = covariance[:, i, j]
        return np.maximum(np.linalg.eigvalsh(covariance)[:, -1], 0.0)

    def _largest_applied(self, weights: Array, which: Indices) -> Array:
        """By products with vectors alone."""
        panels = [slice(low, min(low + PANEL, self.size)) for low in range(0, self.size, PANEL)]
        mean = sum(weights[which, panel] @ self._centred[panel] for panel in panels)

        def product(v: Array) -> Array:
            """The covariances times v, panel by panel of points."""
            out = np.zeros_like(v)
            along = np.einsum("kd,kd->k", mean, v)[:, None]
            for panel in panels:
                inner = (v @ self._columns[:, panel] - along) * weights[which, panel]
                out += inner @ self._centred[panel]
            return out

        return largest_eigenvalues(product, which.size, self.dim, self.size)


def _products(x: Array, out: Array) -> Array:
    """(d(d+1)/2, m) products of the coordinates (d, m), in the order of ``triu_indices``, in the first columns of ``out``."""
    dim, count = x.shape
    low = 0
    for a in range(dim):
        np.multiply(x[a], x[a:], out=out[low : low + dim - a, :count])
        low += dim - a
    return out[:, :count]


def _squared_norms(x: Array) -> Array:
    """(k,) squares of the largest singular values of matrices (k, c, d)."""
    count, *sides = x.shape
    if min(sides) > FORMED:

        def product(v: Array) -> Array:
            """xᵀx v, matrix by matrix."""
            return np.einsum("kcd,kc->kd", x, np.einsum("kcd,kd->kc", x, v))

        return largest_eigenvalues(product, count, sides[1], sides[0])
    gram = x @ x.swapaxes(1, 2) if sides[0] <= sides[1] else x.swapaxes(1, 2) @ x
    return np.maximum(np.linalg.eigvalsh(gram)[:, -1], 0.0)
