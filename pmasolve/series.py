"""Derivatives of a series on a grid: those that agree along the leading axes share the transform of these.

In the plane five derivatives take three transforms along the first axis and five along the last; in space nine take six of the
two leading axes and nine along the last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from weakref import proxy

import numpy as np
from numpy.typing import NDArray

from .domains import Array, Grid
from .ffts import Fill, Use, Weigh, real_fft

Coefficients = NDArray[np.float64] | NDArray[np.complex128]
Orders = tuple[int, ...]
Leading, Last = TypeVar("Leading"), TypeVar("Last")


@dataclass(frozen=True)
class Group(Generic[Leading, Last]):
    """Derivatives with one factor along the leading axes: their places in the list and their factors along the last axis."""

    leading: Leading
    members: tuple[tuple[int, Last], ...]


class Basis(Protocol[Leading, Last]):
    """What the series of the torus and of the box do not share: their factors, and the way to and from lines of FFTs."""

    def leading(self, orders: Orders) -> Leading:
        """The factor of these derivatives along all axes but the last."""
        ...

    def last(self, order: int) -> Last:
        """That along the last axis."""
        ...

    def filling(self, coefficients: Coefficients, leading: Leading, work: NDArray[np.complex128]) -> Fill:
        """Writes columns of the coefficients times their factor to ``work``."""
        ...

    def weighing(self, last: Last, final: bool) -> Weigh | None:
        """Multiplies rows; None where ``final`` rows, which nothing needs again, may stay as they are."""
        ...

    def writing(self, group: Group[Leading, Last], last: Last, out: Array) -> tuple[Array | None, Use | None]:
        """Where the rows' values go, or who puts them into ``out``."""
        ...

    def adding(self, group: Group[Leading, Last], last: Last, weight: float, factor: Array, sums: Array) -> Use:
        """Adds weight · factor · the rows' values to ``sums``."""
        ...


class Series(Generic[Leading, Last]):
    """Derivatives of the series in a basis, by groups; the plan and the half spectrum that they work in."""

    def __init__(self, grid: Grid, basis: Basis[Leading, Last]) -> None:
        self.half = (*grid.shape[:-1], grid.shape[-1] // 2 + 1)
        self.plan, self.work = real_fft(grid.shape), np.empty(self.half, dtype=np.complex128)
        self._basis = proxy(basis)  # its owner: with a cycle the arrays would outlive both
        self._known: dict[tuple[Orders, ...], list[Group[Leading, Last]]] = {}

    def derivatives(self, coefficients: Coefficients, orders: Sequence[Orders], outs: Sequence[Array]) -> None:
        """Each derivative in its array."""
        for group in self._groups(tuple(orders)):
            self.synthesise(coefficients, group, outs)

    def synthesise(self, coefficients: Coefficients, group: Group[Leading, Last], outs: Sequence[Array]) -> None:
        """Those of one group."""
        self._transform(coefficients, group, lambda k, last: self._basis.writing(group, last, outs[k]))

    def add_derivatives(
        self,
        coefficients: Coefficients,
        orders: Sequence[Orders],
        weights: Sequence[float],
        factors: Sequence[Array],
        out: Array,
    ) -> Array:
        """out + ∑ weight · factor · derivative, in ``out``."""
        for group in self._groups(tuple(orders)):

            def adding(k: int, last: Last, group: Group[Leading, Last] = group) -> tuple[None, Use]:
                return None, self._basis.adding(group, last, weights[k], factors[k], out)

            self._transform(coefficients, group, adding)
        return out

    def _transform(
        self,
        coefficients: Coefficients,
        group: Group[Leading, Last],
        target: Callable[[int, Last], tuple[Array | None, Use | None]],
    ) -> None:
        self.plan.columns(self.work, self._basis.filling(coefficients, group.leading, self.work))
        for m, (k, last) in enumerate(group.members, start=1):
            self.plan.rows(self.work, self._basis.weighing(last, m == len(group.members)), *target(k, last))

    def _groups(self, orders: tuple[Orders, ...]) -> list[Group[Leading, Last]]:
        if orders not in self._known:
            places: dict[Orders, list[int]] = {}
            for k in sorted(range(len(orders)), key=lambda k: -orders[k][-1]):  # what needs no factor comes last
                places.setdefault(orders[k][:-1], []).append(k)
            self._known[orders] = [
                Group(self._basis.leading(lead), tuple((k, self._basis.last(orders[k][-1])) for k in ks))
                for lead, ks in places.items()
            ]
        return self._known[orders]
