"""Cosine series on a box: cosine transforms of type 2 of the values at cell centres; odd derivatives are sine series."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..machine.arrays import Array
from ..machine.threads import CACHED, blocks, each
from ..problems.grids import Box, Grid
from .ffts import library
from .symbols import Symbol, solid

PADDING = 8  # entries between lines: at distances of a power of 2 they would drive each other out of the caches


class Cosines:
    """The `Basis` ∏ cos(kⱼxⱼ) of a box; coefficients are orthonormal."""

    unit, isometry = -1.0, np.ones(1)

    def __init__(self, box: Box) -> None:
        self.box, self.shape = box, box.shape
        self._library, self._solid = library(), solid(self.shape, 1)
        self._work = _padded(*self._solid)
        axis = 1 if self._solid[1] > 1 else 2
        parts = blocks(self._solid[axis], box.size)
        self._columns = [(slice(None),) * axis + (part,) for part in parts]
        self.slabs = blocks(self._solid[0], box.size, CACHED)

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

        each(slab, self.slabs)
        each(lambda c: self._transform(self._work[c], 0, odd[0], back=False), self._columns)
        target[tuple(slice(int(sines), None) for sines in odd)] = self._work[
            tuple(slice(-1 if s else None) for s in odd)
        ]
        for axis in np.flatnonzero(odd):
            target[(slice(None),) * axis + (0,)] = 0.0

    def first(self, coefficients: Array, symbol: Symbol) -> None:
        """Cosines or sines."""
        source = coefficients.reshape(self._solid)

        def columns(c: tuple[slice, ...]) -> None:
            self._synthesise(source[c], symbol, 0, self._work[c])

        each(columns, self._columns)

    def middle(self, slab: slice, symbol: Symbol) -> Array:
        """Cosines or sines."""
        part = self._work[slab]
        if part.shape[1] > 1:
            source, part = part, _padded(*part.shape)
            self._synthesise(source, symbol, 1, part)
        return part.reshape(-1, part.shape[2])

    def last(self, rows: Array, symbol: Symbol, out: Array) -> None:
        """Cosines or sines."""
        self._synthesise(rows[None], symbol, 2, out[None])

    def _synthesise(self, source: Array, symbol: Symbol, axis: int, out: Array) -> None:
        """Sine m is taken from the place of cosine m; there is no sine n."""
        factor, along = symbol.factors[axis].reshape((-1,) + (1,) * (2 - axis)), (slice(None),) * axis
        if symbol.odd[axis]:
            np.multiply(source[(*along, slice(1, None))], factor[1:], out=out[(*along, slice(-1))])
            out[(*along, -1)] = 0.0
        else:
            np.multiply(source, factor, out=out)
        self._transform(out, axis, symbol.odd[axis], back=True)

    def _transform(self, array: Array, axis: int, sines: bool, back: bool) -> None:
        if array.shape[axis] > 1:
            self._library.waves(array, axis, sines, back)

    def refined(self, coefficients: Array, grid: Grid, out: Array) -> None:
        """Cut or padded with zeros; there is no Nyquist mode."""
        kept = tuple(slice(0, min(sizes)) for sizes in zip(self.shape, grid.shape, strict=True))
        out[...] = 0.0
        np.multiply(coefficients[kept], np.sqrt(grid.size / self.box.size), out=out[kept])

    def keep_redundant(self, coefficients: Array, original: Array) -> None:
        """Every series is that of a real function."""


def _padded(first: int, middle: int, last: int) -> Array:
    """Uninitialised, with some room between the lines."""
    return np.empty((first, middle, last + PADDING))[..., :last]
