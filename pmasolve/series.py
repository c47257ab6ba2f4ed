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
from .ffts import Use, Weigh, real_fft
from .pointwise import add_product
from .threads import blocks, each

Coefficients = NDArray[np.float64] | NDArray[np.complex128]
Orders = tuple[int, ...]
Term = tuple[Orders, float, Array]  # a derivative, its weight and its factor
Leading, Last = TypeVar("Leading"), TypeVar("Last")


@dataclass(frozen=True)
class Group(Generic[Leading, Last]):
    """Derivatives with one factor along the leading axes: their places in the list and their factors along the last axis."""

    leading: Leading
    members: tuple[tuple[int, Last], ...]


class Derivatives(Protocol):
    """Several derivatives of one function at once, which costs less than one by one."""

    def derivatives(self, coefficients: Coefficients, orders: Sequence[Orders], outs: Sequence[Array]) -> None:
        """Each derivative in its array."""
        ...

    def add_derivatives(self, coefficients: Coefficients, terms: Sequence[Term], out: Array) -> Array:
        """out + ∑ weight · factor · derivative, in ``out``."""
        ...


class Basis(Protocol[Leading, Last]):
    """What the series of the torus and of the box do not share: their factors, and the way to lines of FFTs."""

    def leading(self, orders: Orders) -> Leading:
        """The factor of these derivatives along all axes but the last."""
        ...

    def last(self, order: int) -> Last:
        """That along the last axis."""
        ...

    def filling(
        self, coefficients: Coefficients, leading: Leading, work: NDArray[np.complex128]
    ) -> Callable[[slice], None]:
        """Writes rows of the coefficients times their factor to ``work``."""
        ...

    def weighing(self, last: Last, final: bool) -> Weigh | None:
        """Multiplies rows; None where ``final`` rows, which nothing needs again, may stay as they are."""
        ...


class Series(Generic[Leading, Last]):
    """Derivatives of the series in a basis, by groups; the plan and the half spectrum that they work in."""

    def __init__(self, grid: Grid, basis: Basis[Leading, Last], columns: int | None = None) -> None:
        self.plan = real_fft(grid.shape, columns)
        self.work = np.empty((*grid.shape[:-1], grid.shape[-1] // 2 + 1), dtype=np.complex128)
        self._blocks = blocks(grid.size // grid.shape[-1], grid.size)
        self._basis = proxy(basis)  # its owner: with a cycle the arrays would outlive both
        self._known: dict[tuple[Orders, ...], list[Group[Leading, Last]]] = {}

    def derivatives(self, coefficients: Coefficients, orders: Sequence[Orders], outs: Sequence[Array]) -> None:
        """As in `Derivatives`."""
        for group in self._groups(tuple(orders)):
            self.synthesise(coefficients, group, outs)

    def synthesise(self, coefficients: Coefficients, group: Group[Leading, Last], outs: Sequence[Array]) -> None:
        """Those of one group."""
        self._transform(coefficients, group, lambda k: (outs[k], None))

    def add_derivatives(self, coefficients: Coefficients, terms: Sequence[Term], out: Array) -> Array:
        """As in `Derivatives`."""
        sums = out.reshape(-1, out.shape[-1])

        def adding(k: int) -> tuple[None, Use]:
            weight, factor = terms[k][1], terms[k][2].reshape(sums.shape)
            return None, lambda rows, v: add_product(v.ravel(), factor[rows].ravel(), weight, sums[rows].reshape(-1))

        for group in self._groups(tuple(orders for orders, _, _ in terms)):
            self._transform(coefficients, group, adding)
        return out

    def _transform(
        self,
        coefficients: Coefficients,
        group: Group[Leading, Last],
        target: Callable[[int], tuple[Array | None, Use | None]],
    ) -> None:
        each(self._basis.filling(coefficients, group.leading, self.work), self._blocks)
        self.plan.columns(self.work)
        for m, (k, last) in enumerate(group.members, start=1):
            self.plan.rows(self.work, self._basis.weighing(last, m == len(group.members)), *target(k))

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
