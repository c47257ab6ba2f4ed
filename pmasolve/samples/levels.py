"""Clouds seen from afar: groups of points halved again and again across their longest side, each replaced by its centre of mass.

The optimal potentials of a few groups are a start for those of more, down to the points themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..machine.arrays import Array

FEWEST = 96  # groups of the coarsest level, or a little more
FACTOR = 4  # groups of a level, in those of the level before


@dataclass(frozen=True, eq=False)
class Levels:
    """Points (n, dim) with positive masses (n,), and their groups."""

    points: Array
    masses: Array

    @property
    def count(self) -> int:
        """How many times a quarter of the groups is left until `FEWEST` are."""
        return max(0, int(np.ceil(np.log(len(self.points) / FEWEST) / np.log(FACTOR))))

    def at(self, level: int) -> tuple[Array, Array]:
        """Centres (g, dim) and masses (g,) of some n/4^level groups; the points themselves at level 0, and where they are few."""
        halvings = round(np.log2(max(len(self.points) / FACTOR**level, FEWEST)))
        if level == 0 or 2 * 2**halvings > len(self.points):
            return self.points, self.masses
        order, starts = self._halved[0], self._halved[1][halvings]
        mass = np.add.reduceat(self.masses[order], starts)
        centre = np.add.reduceat(self.masses[order, None] * self.points[order], starts) / mass[:, None]
        return centre, mass

    @cached_property
    def _halved(self) -> tuple[NDArray[np.intp], list[NDArray[np.intp]]]:
        """An order of the points in which all groups are runs, and where the runs begin after 0, 1, 2, … halvings."""
        n = len(self.points)
        order, starts = np.arange(n), [np.zeros(1, np.intp)]
        while 4 * starts[-1].size <= n:
            last, points = starts[-1], self.points[order]
            sizes = np.diff(last, append=n)
            group = np.repeat(np.arange(last.size), sizes)
            sides = np.maximum.reduceat(points, last) - np.minimum.reduceat(points, last)
            along = points[np.arange(n), np.argmax(sides, axis=1)[group]]
            order = order[np.lexsort((along, group))]
            starts.append(np.sort(np.concatenate([last, last + sizes // 2])))
        return order, starts
