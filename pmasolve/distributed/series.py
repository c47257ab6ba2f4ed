"""Fourier series on slabs: a `Basis` whose coefficients are columns, all of the first axis and some of the second.

Values (n₀/P, n₁, n₂) go axis by axis to planes of half-transformed values, by a transpose to columns, and there along the
first axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property

import numpy as np

from ..calculus.series import Complex, Symbol, library, signs_of, solid, wavenumbers_of
from ..machine.arrays import Array
from ..machine.threads import CACHED, blocks, sharing
from ..problems.grids import Grid
from .columns import Columns
from .domains import SlabTorus
from .ranks import Transpose, cut


class SlabWaves:
    """exp(ik·x) of a torus in slabs; ``wavenumbers`` and ``signs`` are those of all columns, from which symbols are made."""

    unit = 1j

    def __init__(self, torus: SlabTorus) -> None:
        ranks, half = torus.ranks, (*torus.shape[:-1], torus.shape[-1] // 2 + 1)
        self.torus, self.ranks, transforms = torus, ranks, library()
        self._half, self._real = transforms.real(torus.shape[-1])
        self._there, self._back = zip(*(transforms.whole(axis) for axis in (0, 1)), strict=True)
        self.cuts = cut(half[1], ranks.size)
        self.mine = self.cuts[ranks.rank]
        self.shape = (half[0], self.mine.stop - self.mine.start, *half[2:])
        rest = int(np.prod(half[2:]))
        flat = tuple(slice(part.start * rest, part.stop * rest) for part in self.cuts)
        self._transpose = Transpose(ranks, torus.cuts, flat)
        self._work = np.empty(solid((torus.local[0], *half[1:]), 1), np.complex128)  # planes
        self.on_slabs = sharing(blocks(len(self._work), int(np.prod(torus.local)), CACHED))
        self._on_columns = sharing(blocks(self.shape[1] * rest, int(np.prod(torus.local))))

    @cached_property
    def wavenumbers(self) -> tuple[Array, ...]:
        """Of all columns, see `calculus.series.wavenumbers_of`."""
        return wavenumbers_of(self.torus)

    @cached_property
    def signs(self) -> tuple[Array, ...]:
        """See `calculus.series.signs_of`."""
        return signs_of(self.torus)

    @property
    def alone(self) -> list[int]:
        """Columns of the last axis that hold both k and −k."""
        last = self.torus.shape[-1]
        return [0] if last % 2 else [0, last // 2]

    @cached_property
    def isometry(self) -> Array:
        """1/√N, times √2 for the columns that stand for a conjugate pair."""
        paired = np.full(self.torus.shape[-1] // 2 + 1, np.sqrt(2.0))
        paired[self.alone] = 1.0
        return paired / np.sqrt(self.torus.size)

    @cached_property
    def single(self) -> SlabWaves:
        """This basis, in the same room, with exchanges in float32."""
        twin = copy(self)
        twin._transpose = replace(self._transpose, sends=np.complex64)
        return twin

    @property
    def room(self) -> Complex:
        """Made anew: nothing here has the shape of the coefficients."""
        return self.zeros()

    def zeros(self) -> Complex:
        """The columns of 0."""
        return np.zeros(self.shape, dtype=np.complex128)

    def halfway(self, values: Array, odd: tuple[bool, ...]) -> Complex:
        """Planes, all but the first axis transformed; they are lost when anything else is transformed."""
        work, source = self._work, values.reshape(len(self._work), self._work.shape[1], -1)

        def slab(s: slice) -> None:
            self._half(source[s].reshape(-1, source.shape[-1]), out=work[s].reshape(-1, work.shape[-1]))
            if work.shape[1] > 1:
                self._there[1](work[s], out=work[s])

        self.on_slabs(slab)
        return work

    def finish(self, planes: Complex, odd: bool, out: Complex) -> None:
        """The first axis: planes to columns."""
        lines = out.reshape(len(out), -1)
        self._transpose.to_columns(planes.reshape(len(planes), -1), out)
        self._on_columns(lambda c: self._there[0](lines[:, c], out=lines[:, c]))

    def analyse(self, values: Array, odd: tuple[bool, ...], out: Complex) -> None:
        """rfftn."""
        self.finish(self.halfway(values, odd), odd[0], out)

    def narrow(self, coefficients: Complex) -> None:
        """All modes are transformed."""

    def first(self, coefficients: Complex, symbol: Symbol) -> None:
        """ifft, and back to planes."""
        source, factor = coefficients.reshape(len(coefficients), -1), symbol.factors[0][:, None]
        lines = np.empty_like(source)

        def columns(c: slice) -> None:
            np.multiply(source[:, c], factor, out=lines[:, c])
            self._back[0](lines[:, c], out=lines[:, c])

        self._on_columns(columns)
        self._transpose.to_rows(lines, self._work.reshape(len(self._work), -1))

    def rest(self, slab: slice, symbols: Sequence[Symbol], outs: Sequence[Array]) -> None:
        """ifft, then irfft."""
        part = self._work[slab]
        if part.shape[1] > 1:
            part = part * symbols[0].factors[1][:, None]
            self._back[1](part, out=part)
        rows = part.reshape(-1, part.shape[-1])
        for symbol, out in zip(symbols, outs, strict=True):
            self._real(rows * symbol.factors[2], out=out)

    def refined(self, coefficients: Complex, grid: Grid, out: Complex) -> None:
        """The modes below Nyquist's of both grids, the others 0."""
        Columns.of(self.torus).refined(coefficients, Columns.of(grid), out)

    def keep_redundant(self, coefficients: Complex, original: Complex) -> None:
        """The anti-Hermitian parts of the columns that hold both k and −k."""
        Columns.of(self.torus).keep_redundant(coefficients, original, self.alone)
