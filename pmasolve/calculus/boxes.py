"""Cosine transforms of a box whose points are in their natural order: those of `cosines`, and one more pass over memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..machine.arrays import Array
from ..problems.grids import Box, Grid
from .cosines import CosineSeries, InterleavedTransform
from .series import Coefficients, Orders, Term


class BoxTransform(CosineSeries):
    """Cosine transform of a box.  Where the order of the points does not matter, ``working`` costs less."""

    def __init__(self, box: Box) -> None:
        super().__init__(box)
        self.order = box.interleaved
        self._inner = InterleavedTransform(self.order)

    @property
    def working(self) -> tuple[Grid, InterleavedTransform]:
        """That of the interleaved points."""
        return self.order, self._inner

    @property
    def series(self) -> BoxTransform:
        """Its own: the interleaved ones, put in order."""
        return self

    def forward(self, values: Array, out: Array | None = None) -> Array:
        """Orthonormal DCT-II along every axis."""
        return self._inner.forward(self.order.listed(values, np.empty(self.grid.shape)), out)

    def derivative(self, coefficients: Coefficients, orders: Orders, out: Array) -> Array:
        """As in `Transform`."""
        values = self._inner.derivative(coefficients, orders, np.empty(self.grid.shape))
        return self.order.unlisted(values, out, _odd(orders))

    def derivatives(self, coefficients: Coefficients, orders: Sequence[Orders], outs: Sequence[Array]) -> None:
        """As in `Derivatives`."""
        self._inner.series.derivatives(coefficients, orders, outs)
        for order, out in zip(orders, outs, strict=True):
            self.order.unlisted(out.copy(), out, _odd(order))

    def add_derivatives(self, coefficients: Coefficients, terms: Sequence[Term], out: Array) -> Array:
        """As in `Derivatives`."""
        for order, weight, factor in terms:
            out += weight * factor * self.derivative(coefficients, order, np.empty(self.grid.shape))
        return out

    def slope(self, coefficients: NDArray, multipliers: tuple[Array, ...], j: int, out: Array) -> Array:
        """Cosines become sines along axis j."""
        values = self._inner.slope(coefficients, multipliers, j, np.empty(self.grid.shape))
        return self.order.unlisted(values, out, (j,))

    def divergence(self, flux: Array, multipliers: tuple[Array, ...], out: Array) -> Array:
        """Sines along axis j become cosines."""
        listed = [self.order.listed(values, np.empty(self.grid.shape), (j,)) for j, values in enumerate(flux)]
        return self._inner.divergence(np.stack(listed), multipliers, out)


def _odd(orders: Orders) -> list[int]:
    """The axes along which the derivative continues oddly."""
    return [j for j, order in enumerate(orders) if order % 2]
