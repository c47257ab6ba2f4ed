"""Derivatives of a series on a grid: those that agree along the leading axes share the transform of these.

In the plane five derivatives take three transforms along the first axis and five along the last; in space nine take six of the
two leading axes and nine along the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from weakref import proxy

import numpy as np
from numpy.typing import NDArray

from ..machine.arrays import Array
from ..machine.threads import blocks, each
from ..problems.grids import Grid
from .ffts import Use, Weigh, real_fft
from .hessians import add_product

Coefficients = NDArray[np.float64] | NDArray[np.complex128]
Orders = tuple[int, ...]
Term = tuple[Orders, float, Array]  # a derivative, its weight and its factor
Leading = TypeVar("Leading")


@dataclass(frozen=True)
class Group(Generic[Leading]):
    """Derivatives with one factor along the leading axes: their places in the list and how rows are weighed for them."""

    leading: Leading
    members: tuple[tuple[int, Weigh], ...]


class Derivatives(Protocol):
    """Several derivatives of one function at once, which costs less than one by one."""

    def derivatives(self, coefficients: Coefficients, orders: Sequence[Orders], outs: Sequence[Array]) -> None:
        """Each derivative in its array."""
        ...

    def add_derivatives(self, coefficients: Coefficients, terms: Sequence[Term], out: Array) -> Array:
        """out + ∑ weight · factor · derivative, in ``out``."""
        ...


class Basis(Protocol[Leading]):
    """What the series of the torus and of the box do not share: their factors, and the way to lines of FFTs."""

    def leading(self, orders: Orders) -> Leading:
        """The factor of these derivatives along all axes but the last."""
        ...

    def weighing(self, order: int) -> Weigh:
        """Makes folded spectra from rows, times the factor of this derivative along the last axis."""
        ...

    def rows(self, coefficients: Coefficients) -> Array:
        """The coefficients as real rows."""
        ...

    def fill(self, source: Array, leading: Leading, rows: slice, lines: Array) -> None:
        """Write these rows of half spectra: those of the coefficients times their factor."""
        ...


class Series(Generic[Leading]):
    """Derivatives of the series in a basis, by groups; the plan with the half spectrum that they work in.

    Nothing is cut or looked up here that could be beforehand: on small grids it would cost as much as the FFTs.
    """

    def __init__(self, grid: Grid, basis: Basis[Leading], columns: int | None = None) -> None:
        self.plan = real_fft(grid.shape, columns)
        self._blocks = blocks(grid.size // grid.shape[-1], grid.size)
        self._basis = proxy(basis)  # its owner: with a cycle the arrays would outlive both
        self._known: dict[tuple[Orders, ...], list[Group[Leading]]] = {}

    def derivatives(self, coefficients: Coefficients, orders: Sequence[Orders], outs: Sequence[Array]) -> None:
        """As in `Derivatives`."""
        source = self._basis.rows(coefficients)
        for group in self._groups(tuple(orders)):
            self._lead(source, group)
            self.plan.rows([(weigh, outs[k], None) for k, weigh in group.members])

    def synthesise(self, coefficients: Coefficients, group: Group[Leading], out: Array) -> None:
        """The one derivative of a group."""
        self._lead(self._basis.rows(coefficients), group)
        self.plan.rows([(group.members[0][1], out, None)])

    def add_derivatives(self, coefficients: Coefficients, terms: Sequence[Term], out: Array) -> Array:
        """As in `Derivatives`."""
        source, sums, last = self._basis.rows(coefficients), out.reshape(-1), out.shape[-1]

        def adding(k: int) -> Use:
            weight, factor = terms[k][1], terms[k][2].reshape(-1)
            return lambda rows, v: add_product(v.reshape(-1), factor, weight, rows.start * last, sums)

        for group in self._groups(tuple(orders for orders, _, _ in terms)):
            self._lead(source, group)
            self.plan.rows([(weigh, None, adding(k)) for k, weigh in group.members])
        return out

    def _lead(self, source: Array, group: Group[Leading]) -> None:
        """Transform along the leading axes."""
        fill, leading, lines = self._basis.fill, group.leading, self.plan.lines
        each(lambda r: fill(source, leading, r, lines), self._blocks)
        self.plan.columns()

    def _groups(self, orders: tuple[Orders, ...]) -> list[Group[Leading]]:
        if orders not in self._known:
            places: dict[Orders, list[int]] = {}
            for k, order in enumerate(orders):
                places.setdefault(order[:-1], []).append(k)
            weighing = self._basis.weighing
            self._known[orders] = [
                Group(self._basis.leading(lead), tuple((k, weighing(orders[k][-1])) for k in ks))
                for lead, ks in places.items()
            ]
        return self._known[orders]
