"""Pairs of points with their costs, and what knows the points, for `maps.simplex`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..machine.arrays import Array, Indices


@dataclass(frozen=True, eq=False)
class Arcs:
    """Pairs (i, j), each once, with their costs."""

    rows: Indices
    columns: Indices
    costs: Array

    @property
    def size(self) -> int:
        """How many."""
        return self.rows.size

    def chosen(self, which: NDArray) -> Arcs:
        """Some of them, by numbers or by booleans."""
        return Arcs(self.rows[which], self.columns[which], self.costs[which])

    def mixed(self) -> Arcs:
        """In another order, so that a block of them is from everywhere: a simplex then takes a quarter of the time."""
        return self.chosen(np.random.default_rng(0).permutation(self.size))

    def joined(self, other: Arcs) -> Arcs:
        """All arcs of both."""
        parts = ((self.rows, other.rows), (self.columns, other.columns), (self.costs, other.costs))
        return Arcs(*(np.concatenate(pair) for pair in parts))

    def swapped(self) -> Arcs:
        """Rows and columns exchanged."""
        return Arcs(self.columns, self.rows, self.costs)

    def without(self, found: Arcs, width: int) -> Arcs:
        """Those found that are not among these; columns are below ``width``."""
        if not found.size or not self.size:
            return found
        key, known = (arcs.rows * width + arcs.columns for arcs in (found, self))
        order = np.argsort(key)
        place = np.minimum(
            np.searchsorted(key[order], known), key.size - 1
        )  # few against many: the many stay as they are
        fresh = np.ones(found.size, bool)
        fresh[order[place[key[order[place]] == known]]] = False
        return found.chosen(fresh)


class Costs(Protocol):
    """What knows the points and their costs; potentials are in the units of the costs.

    step : slack below −step counts as negative: 1 where costs and potentials are whole numbers, else a few roundings.
    rounding : by how much c_ij may be above what is given, relative; 0 where they are exact, ∞ where nothing is known.
    farthest : no cost is greater.
    """

    step: float
    rounding: float
    farthest: float

    def conjugate(self, u: Array) -> Array:
        """v_j = min_i c_ij − u_i, rounded downwards: u_i + v_j ≤ c_ij in real numbers."""

    def back(self, v: Array) -> Array:
        """u_i = min_j c_ij − v_j, rounded downwards likewise."""

    def below(self, u: Array, level: Array, most: int) -> Arcs:
        """The pairs with c_ij − u_i ≤ level_j, of each column the ``most`` least."""

    @property
    def swapped(self) -> Costs:
        """Rows and columns exchanged."""


def pairs_within(costs: Costs, u: Array, v: Array, slack: float, most: int) -> Arcs:
    """The pairs of at most that slack, of each row and of each column the ``most`` least.

    Of both: a heavy point has a thousand light partners, of which few would be among its own least.  Where no column has so many,
    nothing was left out, and rows have the same pairs.
    """
    found = costs.below(u, v + slack, most)
    if not found.size or np.max(np.bincount(found.columns)) < most:
        return found
    return found.joined(found.without(costs.swapped.below(v, u + slack, most).swapped(), v.size))
