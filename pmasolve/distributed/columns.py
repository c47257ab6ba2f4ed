"""Columns of coefficients that change hands: from grid to grid, and to the rank that has −k."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..calculus.series import Amplitudes
from ..machine.arrays import Indices
from ..problems.grids import Grid
from .domains import SlabTorus
from .ranks import Slices, cut


@dataclass(frozen=True, eq=False)
class Columns:
    """Who has which columns, along the second axis, of a grid's coefficients; all of them where the grid is not cut."""

    grid: SlabTorus
    cuts: Slices

    @classmethod
    def of(cls, grid: Grid) -> Columns:
        """Of a slab, or of a coarse grid that every rank has whole."""
        assert isinstance(grid, SlabTorus)
        n, size = grid.columns, grid.ranks.size
        return cls(grid, (slice(0, n),) * size if grid.whole else cut(n, size))

    @property
    def mine(self) -> slice:
        """The columns of this rank."""
        return self.cuts[self.grid.ranks.rank]

    def refined(self, coefficients: Amplitudes, other: Columns, out: Amplitudes) -> None:
        """Modes that both grids resolve, times what their sizes ask for; the others 0."""
        scale = other.grid.size / self.grid.size
        (rows, new_rows), (here, there), *last = (self._modes(other, j) for j in range(self.grid.dim))
        own = _within(there, other.mine) if self.grid.whole else _within(here, self.mine)
        part = coefficients[np.ix_(rows, here[own] - self.mine.start, *(old for old, _ in last))]
        part *= scale
        if not self.grid.whole:
            part = self._sent(part, here, there, other, "modes")
        out[...] = 0.0
        target = there[_within(there, other.mine)] - other.mine.start
        out[np.ix_(new_rows, target, *(new for _, new in last))] = part

    def keep_redundant(self, coefficients: Amplitudes, original: Amplitudes, alone: list[int]) -> None:
        """Put back the anti-Hermitian parts where the last axis is at ``alone``, which no real function has."""
        if self.grid.dim == 2:
            places = [(slice(None), k - self.mine.start) for k in alone if self.mine.start <= k < self.mine.stop]
            for place in places:
                lost = original[place] - coefficients[place]
                coefficients[place] += 0.5 * (lost - lost[-np.arange(len(lost))].conj())
            return
        lost = original[:, :, alone] - coefficients[:, :, alone]
        here = np.arange(self.grid.columns)
        there = -here % len(here)
        mirrored = np.empty_like(lost)
        mirrored[:, there[_within(there, self.mine)] - self.mine.start] = self._sent(lost, here, there, self, "mirrors")
        coefficients[:, :, alone] += 0.5 * (lost - mirrored[-np.arange(len(lost))].conj())

    def _modes(self, other: Columns, j: int) -> tuple[Indices, Indices]:
        """Places along axis ``j``, here and there, of the modes below Nyquist's of both grids."""
        n, m = self.grid.shape[j], other.grid.shape[j]
        front = np.arange((min(n, m) + 1) // 2)
        if j == self.grid.dim - 1:
            return front, front
        back = -front[:0:-1]
        return np.concatenate([front, back + n]), np.concatenate([front, back + m])

    def _sent(self, part: Amplitudes, here: Indices, there: Indices, other: Columns, purpose: str) -> Amplitudes:
        """Columns ``here`` of this rank, (rows, columns, …), to whoever has ``there``; what comes is in the order of ``here``."""
        rank, lines = self.grid.ranks.rank, np.moveaxis(part, 1, 0)
        place = there[_within(here, self.mine)]
        pieces = [lines[_within(place, cut_)] for cut_ in other.cuts]
        wanted = here[_within(there, other.cuts[rank])]
        size = int(np.prod(lines.shape[1:]))
        counts = [size * int(np.count_nonzero(_within(wanted, cut_))) for cut_ in self.cuts]
        got = self.grid.ranks.exchange(pieces, counts, purpose)
        return np.moveaxis(np.concatenate(got).reshape(-1, *lines.shape[1:]), 0, 1)


def _within(places: Indices, part: slice) -> NDArray[np.bool_]:
    return (places >= part.start) & (places < part.stop)
