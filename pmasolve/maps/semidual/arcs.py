"""Squared distances between the nodes of a grid in whole numbers, and all pairs of nodes of small slack, for `maps.simplex`.

Counted in a unit of which the A_j = ½ h_j² are whole multiples, so are the costs C(x, y) = Σ_j A_j k_j² and the potentials of a
basis: nothing is rounded.  Where the h_j² have no common measure the A_j are rounded down, as in `c_transform`.

Pairs with C(x, y) − u(x) ≤ level(y) are found axis by axis, as the c-transform is made: V₂ = −u, V₁ = min over x₂,
V₀ = min over x₁; x₁ is looked for where A₁ (x₁ − y₁)² + V₁ ≤ level, then x₂ where what is left admits it.  Both are looked for in
windows only, from the first to the last node within the greatest slack, which grow with y (as in `plans`): work and memory are
linear in nodes and pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import lcm

import numba
import numpy as np
from numpy.typing import NDArray

from ...machine.arrays import Array, Indices, Integers
from ...machine.threads import in_blocks
from ...problems.grids import Grid
from ..pairs import Arcs
from .c_transform import INTEGER, OUT, Quanta, lowest

POTENTIAL_PARTS = 1 << 16  # parts of a unit in which potentials are counted that are not whole
RANGE = 8  # potentials farther below the greatest one than so many times the greatest cost are at no minimum
EXACT_COSTS = 1 << 35  # costs up to it: sums over a path through all nodes are exact in float64 too
PATHS = 2.0**-44  # of the greatest cost: what sums over paths lose
EFFORT = 16  # of finding the pairs of a node, against that of plain loops: when to use threads


@dataclass(frozen=True, eq=False)
class WholeCosts:
    """Costs between the nodes that have mass, ½ dist², in units of ``unit``; see `pairs.Costs`.

    Attributes
    ----------
    grid : where the nodes are.
    sources, targets : flat indices of the nodes that have mass; u and v are numbered like them.
    unit : ½ dist² ≥ unit C(x, y)(1 − 2⁻⁵⁰), and ≤ unit C(x, y)(1 + ``rounding``); ∞ where an axis is so short that it costs 0.
    A : costs of one step along each axis.
    fine : parts of a unit in which potentials are counted.
    """

    grid: Grid
    sources: Indices
    targets: Indices
    unit: float
    A: tuple[int, ...]
    fine: int
    rounding: float

    @classmethod
    def of(cls, grid: Grid, mu: Array, nu: Array) -> WholeCosts:
        """Between the nodes where densities are positive."""
        h = [Fraction(length) / n for length, n in zip(grid.lengths, grid.shape, strict=True)]
        squares = [hj**2 / h[0] ** 2 for hj in h]
        common = lcm(*(r.denominator for r in squares))
        A, unit, rounding = tuple(int(r * common) for r in squares), float(h[0] ** 2 / (2 * common)), OUT
        if _farthest(grid, A) > EXACT_COSTS:
            quanta = Quanta.of(grid, RANGE * sum(length**2 for length in grid.lengths))
            A, unit = quanta.A, quanta.unit
            rounding += max(float(r * A[0] / a - 1) if a else np.inf for r, a in zip(squares, A, strict=True))
        room = 2**INTEGER // (8 * max(grid.shape) * RANGE * _farthest(grid, A))
        fine = min(1 << max(room.bit_length() - 1, 0), POTENTIAL_PARTS)
        return cls(grid, *(np.flatnonzero(mass > 0) for mass in (mu, nu)), unit, A, fine, rounding)

    @property
    def step(self) -> float:
        """The least difference of potentials; where costs have more digits than sums over paths leave exact, roundings of those."""
        return max(1.0 / self.fine, PATHS * self.farthest if self.farthest > EXACT_COSTS else 0.0)

    @property
    def farthest(self) -> float:
        """The greatest cost."""
        return float(_farthest(self.grid, self.A))

    def conjugate(self, u: Array) -> Array:
        """u^c(y) = minₓ C(x, y) − u(x) at the targets."""
        stages, base = self._stages(u)
        return (stages.lowest[self.targets] - base) / self.fine

    def back(self, v: Array) -> Array:
        """v^c(x) = min_y C(x, y) − v(y) at the sources."""
        return self.swapped.conjugate(v)

    def below(self, u: Array, level: Array, most: int) -> Arcs:
        """The pairs with C(x, y) − u(x) ≤ level(y), of each y the ``most`` least."""
        stages, base = self._stages(u)
        levels = np.full(self.grid.size, np.iinfo(np.int64).min)
        levels[self.targets] = np.floor(level * self.fine).astype(np.int64) + base
        slack = int(np.max(levels[self.targets] - stages.lowest[self.targets]))
        if slack < 0:
            return Arcs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
        x, y, costs = stages.pairs(levels, slack, most)
        return Arcs(self._numbers[x], self.swapped._numbers[y], costs / self.fine)

    @cached_property
    def swapped(self) -> WholeCosts:
        """Sources and targets exchanged."""
        return WholeCosts(self.grid, self.targets, self.sources, self.unit, self.A, self.fine, self.rounding)

    @cached_property
    def _numbers(self) -> Indices:
        """Number of each node among the sources."""
        numbers = np.full(self.grid.size, -1)
        numbers[self.sources] = np.arange(self.sources.size)
        return numbers

    def _stages(self, u: Array) -> tuple[_Stages, int]:
        """The minima of C − u in finest units, axis by axis, and what was taken off u."""
        base, nothing = int(np.ceil(np.max(u))), RANGE * _farthest(self.grid, self.A)
        values = np.full(self.grid.size, nothing * self.fine)
        values[self.sources] = -np.ceil(np.maximum(u - base, -nothing) * self.fine).astype(np.int64)
        return _Stages.of(
            self.grid, values, tuple(a * self.fine for a in self.A), nothing * self.fine
        ), base * self.fine


def _farthest(grid: Grid, A: tuple[int, ...]) -> int:
    """The greatest cost."""
    return sum(a * (n - 1 if grid.reflects else n // 2) ** 2 for a, n in zip(A, grid.shape, strict=True))


@dataclass(frozen=True, eq=False)
class _Stages:
    """V₃ = values [x₁, x₂, x₃], V₂ [y₃, x₁, x₂], V₁ [y₂, y₃, x₁], V₀ [y₁, y₂, y₃] of a grid with axes of one node in front."""

    shape: tuple[int, ...]
    A: tuple[int, ...]
    periodic: bool
    nothing: int  # the value where there is no node
    values: tuple[Integers, ...]

    @classmethod
    def of(cls, grid: Grid, values: Integers, A: tuple[int, ...], nothing: int) -> _Stages:
        """Passes along the axes, the last one first."""
        flat = (1,) * (3 - grid.dim)
        shape, A, periodic = flat + grid.shape, flat + A, not grid.reflects
        made = [values.reshape(shape)]
        for j in (2, 1, 0):
            lines = made[-1].reshape(-1, shape[j])
            turned = lowest(lines, A[j], periodic) if shape[j] > 1 else np.ascontiguousarray(lines.T)
            made.append(turned.reshape(shape[j], *made[-1].shape[:2]))
        return cls(shape, A, periodic, nothing, tuple(made))

    @property
    def lowest(self) -> Integers:
        """V₀ of all nodes."""
        return self.values[3].ravel()

    def windows(self, j: int, slack: int) -> NDArray[np.int32]:
        """First and last node within the slack, (2, …, y_j), of the pass along axis j."""
        V, W, n = self.values[2 - j], self.values[3 - j], self.shape[j]
        lines, best, ends = V.reshape(-1, n), W.reshape(n, -1), np.empty((2, *V.shape), np.int32)
        flat, before = ends.reshape(2, -1, n), n // 2 if self.periodic else 0
        in_blocks(
            lambda b: _windows(lines[b], best[:, b], self.A[j], slack, before, flat[:, b]), len(lines), lines.size
        )
        return ends

    def pairs(self, levels: Integers, slack: int, most: int) -> tuple[Indices, Indices, Integers]:
        """x, y and C of all pairs of nodes."""
        windows = [self.windows(j, slack) for j in range(3)]

        def share(b: slice) -> Integers:
            """The pairs of a block of targets, in as many rooms as it takes."""
            y, found = b.start, [np.empty((4, 0), np.int64)]
            while y < b.stop:
                room = np.empty((4, 8 * (b.stop - y) + most), np.int64)
                count, y = _pairs(*self.values, *windows, self.A, self.nothing, levels, most, y, b.stop, room)
                found.append(room[:, :count])
            return np.concatenate(found, axis=1)

        x, y, _, costs = np.concatenate(in_blocks(share, levels.size, EFFORT * levels.size), axis=1)
        return x, y, costs


@numba.njit(cache=True, nogil=True)
def _windows(lines, best, A, slack, before, ends):
    """First and last k with A (k − y)² + lines[r, k] ≤ best[y, r] + slack, within one period around y on a torus."""
    rows, n = lines.shape
    for r in range(rows):
        line, k = lines[r], -before
        for y in range(n):
            k = max(k, y - before) if before else k
            while A * (k - y) ** 2 + line[k % n] > best[y, r] + slack:
                k += 1
            ends[0, r, y] = k
        k = 2 * n - before - 1 if before else n - 1
        for y in range(n - 1, -1, -1):
            k = min(k, y - before + n - 1) if before else k
            while A * (k - y) ** 2 + line[k % n] > best[y, r] + slack:
                k -= 1
            ends[1, r, y] = k


@numba.njit(cache=True, nogil=True)
def _pairs(V3, V2, V1, V0, ends1, ends2, ends3, A, nothing, levels, most, begin, end, room):
    """Pairs of the outputs begin … end − 1 into ``room`` (x, y, C − u, C); how many, and the output at which it was full."""
    lows, count = V0.ravel(), 0
    for y in range(begin, end):
        if levels[y] >= lows[y]:
            if count + most > room.shape[1]:
                return count, y
            count += _of_one(V3, V2, V1, ends1, ends2, ends3, A, nothing, levels[y], most, y, room[:, count:])
    return count, end


@numba.njit(cache=True, nogil=True)
def _of_one(V3, V2, V1, ends1, ends2, ends3, A, nothing, level, most, y, room):
    """Pairs of one output y, at most ``most`` of them, those of least value in front."""
    n1, n2, n3 = V3.shape
    y1, y2, y3, size = y // (n2 * n3), (y // n3) % n2, y % n3, 0
    for k1 in range(ends1[0, y2, y3, y1], ends1[1, y2, y3, y1] + 1):
        x1, c1 = k1 % n1, A[0] * (k1 - y1) ** 2
        if c1 + V1[y2, y3, x1] > level:
            continue
        for k2 in range(ends2[0, y3, x1, y2], ends2[1, y3, x1, y2] + 1):
            x2, c2 = k2 % n2, c1 + A[1] * (k2 - y2) ** 2
            if c2 + V2[y3, x1, x2] > level:
                continue
            for k3 in range(ends3[0, x1, x2, y3], ends3[1, x1, x2, y3] + 1):
                x3, c3 = k3 % n3, c2 + A[2] * (k3 - y3) ** 2
                value = c3 + V3[x1, x2, x3]
                if value > level or V3[x1, x2, x3] >= nothing:
                    continue
                size = min(size + 1, most)
                i = size - 1
                while i > 0 and room[2, i - 1] > value:
                    for part in range(4):
                        room[part, i] = room[part, i - 1]
                    i -= 1
                room[0, i], room[1, i], room[2, i], room[3, i] = (x1 * n2 + x2) * n3 + x3, y, value, c3
                if size == most:
                    level = room[2, size - 1] - 1
    return size
