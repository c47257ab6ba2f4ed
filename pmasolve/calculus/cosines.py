"""Series of cosines on one grid of a box, by the library of transforms that `libraries` chooses.

Libraries run on one thread: blocks of an array are shared among threads here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cached_property

import numpy as np
from numba import njit

from ..machine.arrays import Array
from ..machine.threads import CACHED, blocks, sharing
from ..problems.grids import Box, Grid
from .libraries import library
from .series import Symbol, kept, solid

PADDING = 8  # entries between lines: at distances of a power of 2 they would drive each other out of the caches


class Cosines:
    """The `Basis` ∏ cos(kⱼxⱼ) of a box; coefficients are orthonormal."""

    unit, isometry = -1.0, np.ones(1)

    def __init__(self, box: Box) -> None:
        self.box, self.shape = box, box.shape
        self._solid = solid(self.shape, 1)
        self._cosines, self._sines = (list(map(kind, range(3))) for kind in (library().cosines, library().sines))
        self._work = _padded(*self._solid)
        axis = 1 if self._solid[1] > 1 else 2
        parts = blocks(self._solid[axis], box.size)
        self._on_columns = sharing([(slice(None),) * axis + (part,) for part in parts])
        self.on_slabs = sharing(blocks(self._solid[0], box.size, CACHED))
        self._kept = self._solid[1:]

    @cached_property
    def wavenumbers(self) -> tuple[Array, ...]:
        """πm/L of each axis."""
        sides = zip(self.box.shape, self.box.lengths, strict=True)
        return np.ix_(*(np.pi / length * np.arange(n) for n, length in sides))

    @cached_property
    def signs(self) -> tuple[Array, ...]:
        """1, and 0 for the constant."""
        return tuple(np.sign(k) for k in self.wavenumbers)

    @cached_property
    def room(self) -> Array:
        """Not the array that transforms work in, whose lines are further apart."""
        return self.zeros()

    def zeros(self) -> Array:
        """The cosine series of 0."""
        return np.zeros(self.shape)

    def analyse(self, values: Array, odd: tuple[bool, ...], out: Array) -> None:
        """Sine m comes to the place of cosine m."""
        source, target = values.reshape(self._solid), out.reshape(self._solid)

        def slab(s: slice) -> None:
            self._work[s] = source[s]
            for axis in (2, 1):
                self._transform(self._work[s], axis, odd[axis], back=False)

        self.on_slabs(slab)
        self._on_columns(lambda c: self._transform(self._work[c], 0, odd[0], back=False))
        target[tuple(slice(int(sines), None) for sines in odd)] = self._work[
            tuple(slice(-1 if s else None) for s in odd)
        ]
        for axis in np.flatnonzero(odd):
            target[(slice(None),) * axis + (0,)] = 0.0

    def narrow(self, coefficients: Array) -> None:
        """Modes are 0 beyond a wavenumber of the middle axis and one of the last."""
        c = coefficients.reshape(self._solid)
        self._kept = kept(lambda m: c[:, m:], self._solid[1]), kept(lambda m: c[:, :, m:], self._solid[2])

    def first(self, coefficients: Array, symbol: Symbol) -> None:
        """Cosines or sines."""
        middle, last = self._kept
        source, target = (c[:, :middle, :last] for c in (coefficients.reshape(self._solid), self._work))

        def columns(c: tuple[slice, ...]) -> None:
            if source[c].size:
                self._synthesise(source[c], symbol, 0, target[c])

        self._on_columns(columns)

    def rest(self, slab: slice, symbols: Sequence[Symbol], outs: Sequence[Array]) -> None:
        """Cosines or sines."""
        part = self._work[slab, : self._kept[0], : self._kept[1]]
        if self._solid[1] > 1:
            source, part = part, _padded(part.shape[0], self._solid[1], part.shape[2])
            self._synthesise(source, symbols[0], 1, part)
        rows = part.reshape(1, -1, part.shape[2])
        for symbol, out in zip(symbols, outs, strict=True):
            self._synthesise(rows, symbol, 2, out[None])

    def _synthesise(self, source: Array, symbol: Symbol, axis: int, out: Array) -> None:
        """Sine m is taken from the place of cosine m; there is no sine n, and what the source does not have is 0."""
        factor, along, odd, count = symbol.factors[axis], (slice(None),) * axis, symbol.odd[axis], source.shape[axis]
        into, beyond = ((*along, part) for part in (slice(count - odd), slice(count - odd, None)))
        if symbol.plain[axis]:
            out[into] = source
        else:
            _product()(source[(*along, slice(int(odd), None))], factor[int(odd) : count], axis, out[into])
        out[beyond] = 0.0
        self._transform(out, axis, odd, back=True)

    def _transform(self, array: Array, axis: int, sines: bool, back: bool) -> None:
        if array.shape[axis] > 1:
            (self._sines if sines else self._cosines)[axis][back](array, out=array)

    def refined(self, coefficients: Array, grid: Grid, out: Array) -> None:
        """Cut or padded with zeros; there is no Nyquist mode."""
        kept = tuple(slice(0, min(sizes)) for sizes in zip(self.shape, grid.shape, strict=True))
        out[...] = 0.0
        np.multiply(coefficients[kept], np.sqrt(grid.size / self.box.size), out=out[kept])

    def keep_redundant(self, coefficients: Array, original: Array) -> None:
        """Every series is that of a real function."""


def _multiply(source, factor, axis, out):
    for i in range(source.shape[0]):
        for j in range(source.shape[1]):
            if axis == 2:
                for k in range(np.uint64(source.shape[2])):
                    out[i, j, k] = factor[k] * source[i, j, k]
            else:
                weight = factor[i] if axis == 0 else factor[j]
                for k in range(np.uint64(source.shape[2])):
                    out[i, j, k] = weight * source[i, j, k]


@cache
def _product():
    """out = factor·source, the factor along an axis: NumPy's loops over short lines take three times as long.

    Compiled when the first box is transformed, once for arrays of all strides.
    """
    return njit("void(f8[:,:,:], f8[:], i8, f8[:,:,:])", cache=True, nogil=True, error_model="numpy")(_multiply)


def _padded(first: int, middle: int, last: int) -> Array:
    """Uninitialised, with some room between the lines."""
    return np.empty((first, middle, last + PADDING))[..., :last]
