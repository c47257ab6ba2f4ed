"""Functions 1 + a(−Δ) of the Laplacian, in the transform's coefficients: one pass over memory, no array of symbols."""

from __future__ import annotations

import numpy as np

from ..machine.arrays import Array
from ..machine.threads import blocks, each
from .hessians import vectorised
from .operators import Operators


class Shifted:
    """Multiplication and division of coefficients, as real rows, by weight·(1 + a|k|²), |k|² in the discretisation's sense."""

    def __init__(self, operators: Operators) -> None:
        *leading, last = operators.symbols
        like = operators.transform.zeros()
        self._parts = 2 if np.iscomplexobj(like) else 1  # real and imaginary parts lie side by side
        self.shape = like.size // like.shape[-1], like.shape[-1] * self._parts
        self._rows = np.broadcast_to(sum(leading) + np.zeros(1), (*like.shape[:-1], 1)).ravel()
        self._columns = np.repeat(np.ravel(last), self._parts)
        self._blocks = blocks(self.shape[0], operators.grid.size)

    def weights(self, columns: Array) -> Array:
        """What the other methods take, from one number for each column of the coefficients, or for all."""
        return np.repeat(columns, self._parts if columns.size > 1 else self.shape[1])

    def multiply(self, y: Array, a: float, weights: Array, out: Array) -> Array:
        """y·weight·(1 + a|k|²) of flat real vectors."""
        return self._map(_multiply, y, a, weights, out)

    def divide(self, y: Array, a: float, weights: Array, out: Array) -> Array:
        """y/(weight·(1 + a|k|²))."""
        return self._map(_divide, y, a, weights, out)

    def _map(self, kernel, y: Array, a: float, weights: Array, out: Array) -> Array:
        source, target = y.reshape(self.shape), out.reshape(self.shape)
        each(lambda b: kernel(source, self._rows, self._columns, weights, a, b.start, b.stop, target), self._blocks)
        return out


@vectorised
def _multiply(y, rows, columns, weight, a, begin, end, out):
    for r in range(begin, end):
        for k in range(np.uint64(columns.size)):
            out[r, k] = y[r, k] * (weight[k] * (1.0 + a * (rows[r] + columns[k])))


@vectorised
def _divide(y, rows, columns, weight, a, begin, end, out):
    for r in range(begin, end):
        for k in range(np.uint64(columns.size)):
            out[r, k] = y[r, k] / (weight[k] * (1.0 + a * (rows[r] + columns[k])))
