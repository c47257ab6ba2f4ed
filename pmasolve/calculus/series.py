"""Fourier series on one grid of a torus, by the library of transforms that `libraries` chooses; what all series share.

Libraries run on one thread: blocks of an array are shared among threads here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TypeVar

import numpy as np

from ..machine.arrays import Array
from ..machine.threads import CACHED, blocks, sharing
from ..problems.grids import Grid, Torus
from .libraries import Complex, library

Amplitudes = Array | Complex
Share = TypeVar("Part")


@dataclass(frozen=True)
class Symbol:
    """What a derivative multiplies coefficients by: the product of one factor along each axis.

    Every grid is seen as three-dimensional, (first, middle, last): in the plane the middle axis has one point, on a line the first
    one too.

    Attributes
    ----------
    odd : for each of the three, whether the derivative is of odd order there: cosines become sines.
    factors : of each of the three, flat.
    """

    odd: tuple[bool, ...]
    factors: tuple[Amplitudes, ...]

    @cached_property
    def plain(self) -> tuple[bool, ...]:
        """For each of the three, whether the factor is 1, as in half of the second derivatives: a product that is spared."""
        return tuple(bool(np.all(factor == 1.0)) for factor in self.factors)


def solid(axes: Sequence[Share], missing: Share) -> tuple[Share, Share, Share]:
    """What belongs to the axes of a grid, as (first, middle, last)."""
    return axes[0] if len(axes) > 1 else missing, axes[1] if len(axes) > 2 else missing, axes[-1]


def kept(beyond: Callable[[int], Amplitudes], n: int) -> int:
    """The least m from 1 to n for which all modes ``beyond(m)``, fewer for larger m, are 0: series from coarser grids have few."""
    if n == 1 or beyond(n - 1).any():
        return n
    return 1 + bisect_left(range(1, n), True, key=lambda m: not beyond(m).any())


def overlap(a: slice, b: slice) -> slice:
    """What two slices of an axis share; empty where that is nothing."""
    return slice(max(a.start, b.start), max(a.start, b.start, min(a.stop, b.stop)))


def wavenumbers_of(torus: Grid) -> tuple[Array, ...]:
    """2πm/L of each axis; m = −n/2, or n/2 along the last, is Nyquist's."""
    *leading, last = torus.shape
    modes = [*(np.fft.fftfreq(n, 1.0 / n) for n in leading), np.arange(last // 2 + 1.0)]
    return np.ix_(*(2 * np.pi / length * m for m, length in zip(modes, torus.lengths, strict=True)))


def signs_of(torus: Grid) -> tuple[Array, ...]:
    """±1 of each wavenumber, and 0 at Nyquist, where an odd derivative of a real series vanishes on the grid."""
    cells = zip(wavenumbers_of(torus), torus.spacing, strict=True)
    return tuple(np.where(np.abs(k) * h < np.pi * (1 - 1e-9), np.sign(k), 0.0) for k, h in cells)


class Waves:
    """The `Basis` exp(ik·x) of a torus."""

    unit = 1j

    def __init__(self, torus: Torus) -> None:
        self.torus, self.shape = torus, (*torus.shape[:-1], torus.shape[-1] // 2 + 1)
        self._solid = solid(self.shape, 1)
        (self._half, self._real), whole = library().real(torus.shape[-1]), library().whole
        self._there, self._back = zip(whole(0), whole(1), strict=True)  # of the first axis and of the middle one
        self.room = self.zeros()
        self._work = self.room.reshape(self._solid)
        axis = 1 if self._solid[1] > 1 else 2
        self._on_columns = sharing(blocks(self._solid[axis], torus.size))
        self.on_slabs = sharing(blocks(self._solid[0], torus.size, CACHED))
        self._kept, self._sides = self._solid[2], [slice(0, self._solid[1])]

    @cached_property
    def wavenumbers(self) -> tuple[Array, ...]:
        """See `wavenumbers_of`."""
        return wavenumbers_of(self.torus)

    @cached_property
    def signs(self) -> tuple[Array, ...]:
        """See `signs_of`."""
        return signs_of(self.torus)

    @cached_property
    def isometry(self) -> Array:
        """1/√N, times √2 for the columns that stand for a conjugate pair."""
        paired = np.full(self.shape[-1], np.sqrt(2.0))
        paired[self._alone] = 1.0
        return paired / np.sqrt(self.torus.size)

    @cached_property
    def _alone(self) -> list[int]:
        """Columns of the half spectrum that hold both k and −k."""
        last = self.torus.shape[-1]
        return [0] if last % 2 else [0, last // 2]

    def zeros(self) -> Complex:
        """The half spectrum of 0."""
        return np.zeros(self.shape, dtype=np.complex128)

    def analyse(self, values: Array, odd: tuple[bool, ...], out: Complex) -> None:
        """rfftn; there are no walls."""
        first, middle, half = self._solid
        source, target = values.reshape(first, middle, -1), out.reshape(self._solid)

        def slab(s: slice) -> None:
            self._half(source[s].reshape(-1, source.shape[-1]), out=target[s].reshape(-1, half))
            if middle > 1:
                self._there[1](target[s], out=target[s])

        self.on_slabs(slab)
        if first > 1:
            columns = target if middle > 1 else target[:, 0]
            self._on_columns(lambda c: self._there[0](columns[:, c], out=columns[:, c]))

    def narrow(self, coefficients: Complex) -> None:
        """Modes are 0 beyond a wavenumber of the last axis, and beyond one of the middle axis on either side."""
        c, n = coefficients.reshape(self._solid), self._solid[1]
        self._kept = kept(lambda m: c[:, :, m:], self._solid[2])
        modes = kept(lambda m: c[:, m : n + 1 - m], n // 2 + 1)
        self._sides = [slice(0, modes), slice(n + 1 - modes, n)] if modes <= n // 2 else [slice(0, n)]

    def first(self, coefficients: Complex, symbol: Symbol) -> None:
        """ifft."""
        source, factor = coefficients.reshape(self._solid), symbol.factors[0][:, None, None]

        def columns(c: slice) -> None:
            """Of some columns, those that are not 0."""
            for where in self._seen(c):
                into = self._work[where]
                part = source[where] if symbol.plain[0] else np.multiply(source[where], factor, out=into)
                if self._solid[0] > 1:
                    self._back[0](part, out=into)
                elif part is not into:
                    into[...] = part

        self._on_columns(columns)

    def _seen(self, share: slice) -> list[tuple[slice, slice, slice]]:
        """Where modes are not 0, of a share of the middle axis, or of the last where there is no middle one."""
        every, last = slice(None), slice(0, self._kept)
        if self._solid[1] == 1:
            places = [(every, every, overlap(share, last))]
        else:
            places = [(every, overlap(share, side), last) for side in self._sides]
        return [where for where in places if self._work[where].size]  # libraries refuse to transform nothing

    def rest(self, slab: slice, symbols: Sequence[Symbol], outs: Sequence[Array]) -> None:
        """ifft, then irfft, which does not see the imaginary parts of the constant and of Nyquist's mode."""
        part, symbol = self._work[slab, :, : self._kept], symbols[0]
        if part.shape[1] > 1:
            plain, into = symbol.plain[1] and len(self._sides) == 1, np.empty(part.shape, part.dtype)
            for side in () if plain else self._sides:
                np.multiply(part[:, side], symbol.factors[1][side, None], out=into[:, side])
            into[:, self._sides[0].stop : self._sides[-1].start] = 0.0
            self._back[1](part if plain else into, out=into)
            part = into
        rows, seen = part.reshape(-1, self._kept), slice(0, self._kept)
        for symbol, out in zip(symbols, outs, strict=True):
            lines = np.empty((len(rows), self._solid[2]), rows.dtype)
            if symbol.plain[2]:
                lines[:, seen] = rows
            else:
                np.multiply(rows, symbol.factors[2][seen], out=lines[:, seen])
            lines[:, self._kept :] = 0.0
            self._real(lines, out=out)

    def refined(self, coefficients: Complex, grid: Grid, out: Complex) -> None:
        """The modes below Nyquist's of both grids, the others 0."""
        *across, last = ((min(sizes) + 1) // 2 for sizes in zip(self.torus.shape, grid.shape, strict=True))
        out[...] = 0.0
        for modes in product(*((slice(0, m), slice(1 - m, None)) for m in across)):
            where = (*modes, slice(0, last))
            np.multiply(coefficients[where], grid.size / self.torus.size, out=out[where])

    def keep_redundant(self, coefficients: Complex, original: Complex) -> None:
        """The anti-Hermitian parts of the columns that hold both k and −k."""
        for column in self._alone:
            lost = original[..., column] - coefficients[..., column]
            coefficients[..., column] += 0.5 * (lost - lost[self._mirror].conj())

    @cached_property
    def _mirror(self) -> tuple[np.ndarray, ...]:
        """The place of −k for each k of the leading axes."""
        return np.ix_(*(-np.arange(n) % n for n in self.shape[:-1]))
