"""What a domain says of the arrays of its values, and of numbers that every process finds from its own share of them.

A grid whose nodes all belong to one process, and every cloud, is `Whole`.  `pmasolve.distributed` has grids that are not: code
that asks the domain for sums and shapes runs on both.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TypeVar

from ..machine.arrays import Array

Part = TypeVar("Part", float, Array)


class Whole:
    """All nodes belong to one process: a part of whatever has a ``shape``."""

    local = property(attrgetter("shape"), doc="Shape of an array of values in this process: here that of all nodes.")

    @property
    def whole(self) -> bool:
        """Whether this process has all nodes."""
        return True

    def summed(self, part: Part) -> Part:
        """The sum over all processes of what each has found on its own nodes."""
        return part

    def least(self, part: float) -> float:
        """The least of what the processes have found; NaN where one has."""
        return part

    def most(self, part: float) -> float:
        """The greatest of what the processes have found; NaN where one has."""
        return part

    def extremes(self, low: float, high: float) -> tuple[float, float]:
        """`least` and `most` at once."""
        return low, high

    def every(self, part: bool) -> bool:
        """Whether all processes say so."""
        return part
