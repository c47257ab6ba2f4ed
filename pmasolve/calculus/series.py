"""Series on one grid, Fourier's on a torus and of cosines on a box, by the library of transforms that `libraries` chooses.

Libraries run on one thread: blocks of an array are shared among threads here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from typing import TypeVar

import numpy as np
from numba import njit

from ..machine.arrays import Array
from ..machine.threads import CACHED, blocks, sharing
from ..problems.grids import Box, Grid, Torus
from .libraries import Complex, library

Coefficients = Array | Complex
Part = TypeVar("Part")

PADDING = 8  # entries between lines: at distances of a power of 2 they would drive each other out of the caches


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
    factors: tuple[Coefficients, ...]

    @cached_property
    def plain(self) -> tuple[bool, ...]:
        """For each of the three, whether the factor is 1, as in half of the second derivatives: a product that is spared."""
        return tuple(bool(np.all(factor == 1.0)) for factor in self.factors)


def solid(axes: Sequence[Part], missing: Part) -> tuple[Part, Part, Part]:
    """What belongs to the axes of a grid, as (first, middle, last)."""
    return axes[0] if len(axes) > 1 else missing, axes[1] if len(axes) > 2 else missing, axes[-1]


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
        self._on_columns = sharing(blocks(self._work[0].size, torus.size))
        self.on_slabs = sharing(blocks(self._solid[0], torus.size, CACHED))

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
        source, target, columns = values.reshape(first, middle, -1), out.reshape(self._solid), out.reshape(first, -1)

        def slab(s: slice) -> None:
            self._half(source[s].reshape(-1, source.shape[-1]), out=target[s].reshape(-1, half))
            if middle > 1:
                self._there[1](target[s], out=target[s])

        self.on_slabs(slab)
        if first > 1:
            self._on_columns(lambda c: self._there[0](columns[:, c], out=columns[:, c]))

    def first(self, coefficients: Complex, symbol: Symbol) -> None:
        """ifft."""
        count, factor = self._solid[0], symbol.factors[0][:, None]
        source, target = coefficients.reshape(count, -1), self._work.reshape(count, -1)

        def columns(c: slice) -> None:
            """Of some columns."""
            into = target[:, c]
            part = source[:, c] if symbol.plain[0] else np.multiply(source[:, c], factor, out=into)
            if count > 1:
                self._back[0](part, out=into)
            elif part is not into:
                into[...] = part

        self._on_columns(columns)

    def rest(self, slab: slice, symbols: Sequence[Symbol], outs: Sequence[Array]) -> None:
        """ifft, then irfft, which does not see the imaginary parts of the constant and of Nyquist's mode."""
        part, symbol = self._work[slab], symbols[0]
        if part.shape[1] > 1:
            into = np.empty_like(part) if symbol.plain[1] else part * symbol.factors[1][:, None]
            self._back[1](part if symbol.plain[1] else into, out=into)
            part = into
        rows = part.reshape(-1, part.shape[-1])
        for symbol, out in zip(symbols, outs, strict=True):
            self._real(rows.copy() if symbol.plain[2] else rows * symbol.factors[2], out=out)

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

    def first(self, coefficients: Array, symbol: Symbol) -> None:
        """Cosines or sines."""
        source = coefficients.reshape(self._solid)

        def columns(c: tuple[slice, ...]) -> None:
            self._synthesise(source[c], symbol, 0, self._work[c])

        self._on_columns(columns)

    def rest(self, slab: slice, symbols: Sequence[Symbol], outs: Sequence[Array]) -> None:
        """Cosines or sines."""
        part = self._work[slab]
        if part.shape[1] > 1:
            source, part = part, _padded(*part.shape)
            self._synthesise(source, symbols[0], 1, part)
        rows = part.reshape(1, -1, part.shape[2])
        for symbol, out in zip(symbols, outs, strict=True):
            self._synthesise(rows, symbol, 2, out[None])

    def _synthesise(self, source: Array, symbol: Symbol, axis: int, out: Array) -> None:
        """Sine m is taken from the place of cosine m; there is no sine n."""
        factor, along = symbol.factors[axis], (slice(None),) * axis
        if symbol.plain[axis]:
            out[...] = source
        elif symbol.odd[axis]:
            _product()(source[(*along, slice(1, None))], factor[1:], axis, out[(*along, slice(-1))])
            out[(*along, -1)] = 0.0
        else:
            _product()(source, factor, axis, out)
        self._transform(out, axis, symbol.odd[axis], back=True)

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
