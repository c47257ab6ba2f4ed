"""Derivatives of a series on a grid: those that agree along the leading axes share the transform of these.

In the plane five derivatives take three transforms along the first axis and five along the last; in space nine take six of the
two leading axes and nine along the last.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

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


class Series(ABC, Generic[Leading, Last]):
    """What the transforms of torus and box share."""

    def __init__(self, grid: Grid) -> None:
        self._half = (*grid.shape[:-1], grid.shape[-1] // 2 + 1)
        self._plan, self._work = real_fft(grid.shape), np.empty(self._half, dtype=np.complex128)
        self._known: dict[tuple[Orders, ...], list[Group[Leading, Last]]] = {}

    def derivative(self, coefficients: Coefficients, orders: Orders, out: Array) -> Array:
        """As in `Transform`."""
        self.derivatives(coefficients, (orders,), (out,))
        return out

    def derivatives(self, coefficients: Coefficients, orders: Sequence[Orders], outs: Sequence[Array]) -> None:
        """As in `Transform`."""
        self._synthesise(coefficients, self._groups(tuple(orders)), outs)

    def add_derivatives(
        self,
        coefficients: Coefficients,
        orders: Sequence[Orders],
        weights: Sequence[float],
        factors: Sequence[Array],
        out: Array,
    ) -> Array:
        """As in `Transform`."""

        for group in self._groups(tuple(orders)):
            self._transform(
                coefficients,
                group,
                lambda k, last, group=group: (None, self._adding(group, last, weights[k], factors[k], out)),
            )
        return out

    def _synthesise(
        self, coefficients: Coefficients, groups: Sequence[Group[Leading, Last]], outs: Sequence[Array]
    ) -> None:
        for group in groups:
            self._transform(coefficients, group, lambda k, last, group=group: self._writing(group, last, outs[k]))

    def _transform(
        self,
        coefficients: Coefficients,
        group: Group[Leading, Last],
        target: Callable[[int, Last], tuple[Array | None, Use | None]],
    ) -> None:
        self._plan.columns(self._work, self._filling(coefficients, group.leading))
        for m, (k, last) in enumerate(group.members, start=1):
            self._plan.rows(self._work, self._weighing(last, m == len(group.members)), *target(k, last))

    def _groups(self, orders: tuple[Orders, ...]) -> list[Group[Leading, Last]]:
        if orders not in self._known:
            places: dict[Orders, list[int]] = {}
            for k in sorted(range(len(orders)), key=lambda k: -orders[k][-1]):  # what needs no factor comes last
                places.setdefault(orders[k][:-1], []).append(k)
            self._known[orders] = [
                Group(self._leading(lead), tuple((k, self._last(orders[k][-1])) for k in ks))
                for lead, ks in places.items()
            ]
        return self._known[orders]

    @abstractmethod
    def _leading(self, orders: Orders) -> Leading:
        """The factor of these derivatives along all axes but the last."""

    @abstractmethod
    def _last(self, order: int) -> Last:
        """That along the last axis."""

    @abstractmethod
    def _filling(self, coefficients: Coefficients, leading: Leading) -> Fill:
        """Writes columns of the coefficients times their factor to ``_work``."""

    @abstractmethod
    def _weighing(self, last: Last, final: bool) -> Weigh | None:
        """Multiplies rows; None where ``final`` rows, which nothing needs again, may stay as they are."""

    @abstractmethod
    def _writing(self, group: Group[Leading, Last], last: Last, out: Array) -> tuple[Array | None, Use | None]:
        """Where the rows' values go, or who puts them into ``out``."""

    @abstractmethod
    def _adding(self, group: Group[Leading, Last], last: Last, weight: float, factor: Array, sums: Array) -> Use:
        """Adds weight · factor · the rows' values to ``sums``."""
