"""Largest eigenvalues of the covariances of the same points under many weights at once.

A covariance

  * is never formed where few points carry the weight: those points, centred and weighted, are gathered, and the smaller of their
    two Gram matrices has the same largest eigenvalue;
  * is formed for all weights by one matrix product with the products xₐx_b, up to `FORMED` dimensions;
  * is else applied to vectors (two matrix products for all weights) by Lanczos' method: no d × d matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...machine.arrays import Array, Indices
from .eigenvalues import largest_eigenvalues

WEIGHTS_AT_ONCE = 1 << 24  # numbers in the matrix of weights of a block of y: 128 MiB
PRODUCT_PANEL = 512  # points whose products stand in memory at once: they stay in a core's cache
FORMED = 64  # dimensions up to which covariances are formed
GATHERED_POINTS = 1024  # points of one y that are gathered
NEGLIGIBLE_WEIGHT = 1e-22  # what all weights left out of a gathering may sum up to


@dataclass(frozen=True, eq=False)
class Covariances:
    """Of points with mean near 0 (far from it digits would be lost).

    Attributes
    ----------
    points : (n, d).
    columns : (d, n), the same.
    """

    points: Array
    columns: Array

    def largest(self, weights: Array) -> Array:
        """(k,) largest eigenvalues of the covariances under weights (k, n)."""
        heavy = weights > NEGLIGIBLE_WEIGHT / len(self.points)
        count = np.count_nonzero(heavy, axis=1)
        few = count <= min(GATHERED_POINTS, len(self.points) // 8)
        out = np.empty(len(weights))
        if few.any():
            out[few] = self._of_few(weights, heavy, np.flatnonzero(few), count[few])
        if not few.all():
            many = np.flatnonzero(~few)
            out[many] = (self._formed if len(self.columns) <= FORMED else self._applied)(weights, many)
        return out

    def _of_few(self, weights: Array, heavy: Array, which: Indices, count: Indices) -> Array:
        """From the gathered points, rows of like counts together."""
        out = np.empty(which.size)
        order = np.argsort(count, kind="stable")
        while order.size:
            width = 2 * int(count[order[0]])
            like = np.searchsorted(count[order], width, side="right")
            same = order[: min(like, max(1, WEIGHTS_AT_ONCE // (8 * width * len(self.columns))))]
            out[same] = self._gathered(weights[which[same]], heavy[which[same]], int(count[same[-1]]))
            order = order[same.size :]
        return out

    def _gathered(self, weights: Array, heavy: Array, width: int) -> Array:
        """Rows with at most ``width`` heavy points each."""
        row, column = np.nonzero(heavy)
        place = np.arange(row.size) - np.searchsorted(row, row)
        w, x = np.zeros((len(weights), width)), np.zeros((len(weights), width, len(self.columns)))
        w[row, place] = weights[row, column]
        x[row, place] = self.points[column]
        x -= np.einsum("kc,kcd->kd", w, x)[:, None]
        x *= np.sqrt(w)[:, :, None]
        return _squared_norms(x)

    def _formed(self, weights: Array, which: Indices) -> Array:
        """By the covariances of all these rows at once."""
        i, j = np.triu_indices(len(self.columns))
        second, products = np.zeros((which.size, i.size)), np.empty((i.size, PRODUCT_PANEL))
        mean = np.zeros((which.size, len(self.columns)))
        for low in range(0, len(self.points), PRODUCT_PANEL):
            panel = slice(low, min(low + PRODUCT_PANEL, len(self.points)))
            part = weights[which, panel]
            second += part @ _products_of_coordinates(self.columns[:, panel], products).T
            mean += part @ self.points[panel]
        covariance = np.empty((which.size, len(self.columns), len(self.columns)))
        covariance[:, i, j] = second - mean[:, i] * mean[:, j]
        covariance[:, j, i] = covariance[:, i, j]
        return np.maximum(np.linalg.eigvalsh(covariance)[:, -1], 0.0)

    def _applied(self, weights: Array, which: Indices) -> Array:
        """By products with vectors alone."""
        panels = [
            slice(low, min(low + PRODUCT_PANEL, len(self.points))) for low in range(0, len(self.points), PRODUCT_PANEL)
        ]
        mean = sum(weights[which, panel] @ self.points[panel] for panel in panels)

        def product(v: Array) -> Array:
            """The covariances times v, panel by panel of points."""
            out = np.zeros_like(v)
            along = np.einsum("kd,kd->k", mean, v)[:, None]
            for panel in panels:
                inner = (v @ self.columns[:, panel] - along) * weights[which, panel]
                out += inner @ self.points[panel]
            return out

        return largest_eigenvalues(product, which.size, len(self.columns), len(self.points))


def _products_of_coordinates(x: Array, out: Array) -> Array:
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
