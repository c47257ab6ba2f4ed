"""Fourier series on a torus: real FFTs, whose last axis holds the half spectrum."""

from __future__ import annotations

from functools import cached_property
from itertools import product

import numpy as np

from ..machine.arrays import Array
from ..machine.threads import CACHED, blocks, each
from ..problems.grids import Grid, Torus
from .ffts import Complex, library
from .symbols import Symbol, solid


class Waves:
    """The `Basis` exp(ik·x) of a torus."""

    unit = 1j

    def __init__(self, torus: Torus) -> None:
        self.torus, self.shape = torus, (*torus.shape[:-1], torus.shape[-1] // 2 + 1)
        self._library, self._solid = library(), solid(self.shape, 1)
        self.room = self.zeros()
        self._work = self.room.reshape(self._solid)
        self._columns = blocks(self._work[0].size, torus.size)
        self.slabs = blocks(self._solid[0], torus.size, CACHED)

    @cached_property
    def wavenumbers(self) -> tuple[Array, ...]:
        """2πm/L of each axis; m = −n/2, or n/2 along the last, is Nyquist's."""
        *leading, last = self.torus.shape
        modes = [*(np.fft.fftfreq(n, 1.0 / n) for n in leading), np.arange(last // 2 + 1.0)]
        return np.ix_(*(2 * np.pi / length * m for m, length in zip(modes, self.torus.lengths, strict=True)))

    @cached_property
    def signs(self) -> tuple[Array, ...]:
        """±1, and 0 at Nyquist, where an odd derivative of a real series vanishes on the grid."""
        cells = zip(self.wavenumbers, self.torus.spacing, strict=True)
        return tuple(np.where(np.abs(k) * h < np.pi * (1 - 1e-9), np.sign(k), 0.0) for k, h in cells)

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
            self._library.half(source[s].reshape(-1, source.shape[-1]), target[s].reshape(-1, half))
            if middle > 1:
                self._library.whole(target[s], 1, back=False)

        each(slab, self.slabs)
        if first > 1:
            each(lambda c: self._library.whole(columns[:, c], 0, back=False), self._columns)

    def first(self, coefficients: Complex, symbol: Symbol) -> None:
        """ifft."""
        count, factor = self._solid[0], symbol.factors[0][:, None]
        source, target = coefficients.reshape(count, -1), self._work.reshape(count, -1)

        def columns(c: slice) -> None:
            np.multiply(source[:, c], factor, out=target[:, c])
            if count > 1:
                self._library.whole(target[:, c], 0, back=True)

        each(columns, self._columns)

    def middle(self, slab: slice, symbol: Symbol) -> Complex:
        """ifft."""
        part = self._work[slab]
        if part.shape[1] > 1:
            part = part * symbol.factors[1][:, None]
            self._library.whole(part, 1, back=True)
        return part.reshape(-1, part.shape[-1])

    def last(self, rows: Complex, symbol: Symbol, out: Array) -> None:
        """irfft, which does not see the imaginary parts of the constant and of Nyquist's mode."""
        self._library.real(rows * symbol.factors[2], out)

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
