"""What a library of arrays has to do for `equation`, and those whose arrays lie on one device.

Kinds of arrays that compiled work takes: "planes" are values, cut along the first axis, "columns" coefficients, cut along the
second, "whole" what every device has; or lists of such arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ...problems.grids import Grid

ArrayFunction = Callable[..., Any]
POINTS_AT_ONCE = 1 << 20  # points


class ArrayLibrary(Protocol):
    """Arrays of one library on its device, or shared out among several."""

    xp: Any  # its functions, by the names of the array API
    name: str

    def admit(self, grid: Grid) -> None:
        """Raise ``ValueError`` for a grid that the devices cannot share."""
        ...

    def on(self, grid: Grid) -> ArrayLibrary:
        """What calculates on a grid of the cascade: this, or one of the devices where they cannot share it."""
        ...

    def constant(self, array: np.ndarray) -> Any:
        """Something to calculate with, the same on every device."""
        ...

    def place(self, array: np.ndarray, kind: str) -> Any:
        """An array of NumPy on the device."""
        ...

    def fetch(self, array: Any) -> np.ndarray:
        """All of an array, as one of NumPy."""
        ...

    def compiled(self, work: ArrayFunction, takes: Sequence[str], gives: Sequence[str] | str) -> ArrayFunction:
        """Work on arrays of the kinds ``takes``, with results of the kinds ``gives``, as each device does its share."""
        ...

    def to_columns(self, planes: Any) -> Any:
        """Of some planes all columns to of all planes some columns."""
        ...

    def to_planes(self, columns: Any) -> Any:
        """Back."""
        ...

    def mine(self, array: Any, axis: int) -> Any:
        """This device's share of what every device has, along an axis."""
        ...

    def pointwise(self, work: ArrayFunction, points: Sequence[Any]) -> Any:
        """Values (n,) of work that makes many arrays from coordinates (n,), in little memory."""
        ...

    def added(self, count: int, term: Callable[[Any], Any]) -> Any:
        """term(0) + … + term(count − 1)."""
        ...

    def summed(self, part: Any) -> Any:
        """The sum over the devices."""
        ...

    def most(self, part: Any) -> Any:
        """The greatest over the devices."""
        ...


@dataclass(frozen=True, eq=False)
class OneDevice:
    """A library whose arrays lie on one device: nothing is shared out, nothing compiled."""

    xp: Any = np
    name: str = "numpy"
    options: dict[str, Any] = field(default_factory=dict)  # of new arrays: the device

    def admit(self, grid: Grid) -> None:
        """Every grid."""

    def on(self, grid: Grid) -> ArrayLibrary:
        """The one device there is."""
        return self

    def constant(self, array: np.ndarray) -> Any:
        """An array on the device."""
        return self.xp.asarray(array, **self.options)

    def place(self, array: np.ndarray, kind: str) -> Any:
        """An array on the device, which nobody else writes to."""
        return self.constant(array.copy())

    def fetch(self, array: Any) -> np.ndarray:
        """By way of the processor."""
        return np.asarray(array.cpu() if hasattr(array, "cpu") else array)

    def compiled(self, work: ArrayFunction, takes: Sequence[str], gives: Sequence[str] | str) -> ArrayFunction:
        """The work itself."""
        return work

    def to_columns(self, planes: Any) -> Any:
        """All is there."""
        return planes

    def to_planes(self, columns: Any) -> Any:
        """All is there."""
        return columns

    def mine(self, array: Any, axis: int) -> Any:
        """All of it."""
        return array

    def pointwise(self, work: ArrayFunction, points: Sequence[Any]) -> Any:
        """Block by block."""
        size = points[0].shape[0]
        parts = [work([x[begin : begin + POINTS_AT_ONCE] for x in points]) for begin in range(0, size, POINTS_AT_ONCE)]
        return self.xp.concat(parts) if len(parts) > 1 else parts[0]

    def added(self, count: int, term: Callable[[Any], Any]) -> Any:
        """One after the other."""
        total = term(0)
        for m in range(1, count):
            total = total + term(m)
        return total

    def summed(self, part: Any) -> Any:
        """The part is the whole."""
        return part

    def most(self, part: Any) -> Any:
        """The part is the whole."""
        return part
