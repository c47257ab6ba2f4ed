"""Planned real FFTs of an array: pyfftw where it is installed (planned once, no allocation), scipy.fft otherwise."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from math import prod
from typing import NamedTuple, Protocol

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from ..machine.arrays import Array
from ..machine.threads import CACHED, blocks, each
from .halves import RealLine

try:
    import pyfftw
except ImportError:  # optional, extra "fast"
    pyfftw = None


IN_PLACE = 256  # points of a line up to which FFTW (ESTIMATE) takes less time in place
Weigh = Callable[[Array, Array], None]  # rows of pairs of reals, and where what becomes of them goes
Use = Callable[[slice, Array], None]
Wanted = tuple[Weigh, Array | None, Use | None]  # of one inverse along the last axis


class RealFFT(Protocol):
    """rfftn and irfftn of one shape; rows are those of the array seen as (rows, last axis).

    Rows of values have the folded spectra of `RealLine`.  The way back starts from ``work`` and goes in two steps, so that
    derivatives which agree in the leading axes share the first.
    """

    work: NDArray[np.complex128]  # room for a half spectrum
    lines: Array  # its rows, as pairs of reals

    def forward(self, values: Array, out: NDArray[np.complex128], take: Weigh) -> NDArray[np.complex128]:
        """FFTs along all axes, in ``out``.

        ``take(folded, lines)`` makes lines of ``out`` from rows of folded spectra, before the other axes are transformed.
        """
        ...

    def columns(self) -> None:
        """Inverse of ``work`` along all axes but the last, in place."""
        ...

    def rows(self, wanted: Sequence[Wanted]) -> None:
        """Inverses along the last axis: each the values times their number, in ``out`` or in room that is used again.

        ``weigh(lines, folded)`` makes folded spectra of a block of rows.  ``use`` gets each block of values with its slice of
        rows.  All is done to one block before the next: the cache still holds it.
        """
        ...


def real_fft(shape: tuple[int, ...], columns: int | None = None) -> RealFFT:
    """Plan the transforms of arrays of this shape.

    Along the leading axes only the first ``columns`` of the half spectrum are transformed, all unless given.  Arrays keep its
    width all the same: with lines of a power of 2 the caches would get into trouble.
    """
    columns = shape[-1] // 2 + 1 if columns is None else columns
    return _Pyfftw(shape, columns) if pyfftw else _Scipy(shape, columns)


def pairs(lines: NDArray[np.complex128]) -> Array:
    """Rows along the last axis, of pairs of reals."""
    return lines.reshape(-1, lines.shape[-1]).view(np.float64)


class _Room(NamedTuple):
    """For a block of rows, of one thread: folded spectra, the same as pairs of reals with one more of no meaning, and values."""

    folded: NDArray[np.complex128]
    parts: Array
    values: Array


class _Cut:
    """How an array is cut into blocks of rows and of columns, and room for a block of rows for each thread."""

    def __init__(self, shape: tuple[int, ...], columns: int, work: NDArray[np.complex128]) -> None:
        self.shape, self.half = shape, work.shape
        self.even = shape[-1] % 2 == 0
        self.others = tuple(range(len(shape) - 1))
        self.row_blocks = blocks(prod(shape[:-1]), prod(shape), CACHED)
        self.column_blocks = blocks(columns, prod(shape)) if len(shape) > 1 else ()
        lines = pairs(work)
        self.lines = [lines[r] for r in self.row_blocks]
        self.columns = [work[..., c] for c in self.column_blocks]
        self._most = max(r.stop - r.start for r in self.row_blocks)
        self._own = threading.local()

    def room(self, rows: slice) -> _Room:
        """For these."""
        try:
            own = self._own.room
        except AttributeError:
            own = self.make_room(np.empty)
        count = rows.stop - rows.start
        return own if count == self._most else _Room(*(array[:count] for array in own))

    def make_room(self, empty: Callable[[tuple[int, ...], type], NDArray]) -> _Room:
        """For this thread."""
        spectra = empty((self._most, self.half[-1]), np.complex128)
        folded, values = spectra[:, : RealLine(self.shape[-1]).folded], empty((self._most, self.shape[-1]), np.float64)
        self._own.room = _Room(folded, pairs(spectra), values)
        return self._own.room

    def values(self, array: Array) -> Array:
        """The values as rows."""
        return array.reshape(-1, self.shape[-1])

    def read(self, rows: Array) -> NDArray:
        """Rows of values as the FFTs along them take them."""
        return rows.view(np.complex128) if self.even else rows


class _Scipy:
    """pocketfft, allocating."""

    def __init__(self, shape: tuple[int, ...], columns: int) -> None:
        self.work = np.zeros((*shape[:-1], shape[-1] // 2 + 1), np.complex128)
        self.lines, self.cut = pairs(self.work), _Cut(shape, columns, self.work)

    def forward(self, values: Array, out: NDArray[np.complex128], take: Weigh) -> NDArray[np.complex128]:
        """As in `RealFFT`."""
        x, lines, along = self.cut.values(values), pairs(out), scipy.fft.fft if self.cut.even else scipy.fft.rfft

        def rows(r: slice) -> None:
            """Some rows."""
            room = self.cut.room(r)
            room.folded[...] = along(self.cut.read(x[r]), workers=1)
            take(room.parts, lines[r])

        def block(c: slice) -> None:
            """Some columns."""
            out[..., c] = scipy.fft.fftn(out[..., c], axes=self.cut.others, workers=1)

        each(rows, self.cut.row_blocks)
        if self.cut.column_blocks:
            each(block, self.cut.column_blocks)
        return out

    def columns(self) -> None:
        """As in `RealFFT`."""

        def block(part: NDArray[np.complex128]) -> None:
            """Some columns."""
            part[...] = scipy.fft.ifftn(part, axes=self.cut.others, norm="forward", workers=1)

        if self.cut.columns:
            each(block, self.cut.columns)

    def rows(self, wanted: Sequence[Wanted]) -> None:
        """As in `RealFFT`."""

        def block(r: slice, lines: Array) -> None:
            """All that is wanted of some rows."""
            room = self.cut.room(r)
            for weigh, out, use in wanted:
                values = room.values if out is None else self.cut.values(out)[r]
                if self.cut.even:
                    weigh(lines, values)
                    target = self.cut.read(values)
                    target[...] = scipy.fft.ifft(target, norm="forward", overwrite_x=True, workers=1)
                else:
                    weigh(lines, room.parts)
                    values[...] = scipy.fft.irfft(
                        room.folded, values.shape[1], norm="forward", overwrite_x=True, workers=1
                    )
                if use is not None:
                    use(r, values)

        each(block, self.cut.row_blocks, self.cut.lines)


class _Pyfftw:
    """FFTW, planned once (ESTIMATE: the same plan, hence the same rounding, in every run).

    Threads take blocks of rows for the last axis and blocks of columns for the others: FFTW's own threads spin at
    barriers and become many times slower than one thread as soon as a core is taken by somebody else.
    """

    def __init__(self, shape: tuple[int, ...], columns: int) -> None:
        self.work = _aligned((*shape[:-1], shape[-1] // 2 + 1), np.complex128)
        self.work.fill(0.0)
        self.lines, self.cut = pairs(self.work), (cut := _Cut(shape, columns, self.work))
        flags = ("FFTW_ESTIMATE",) if cut.even else ("FFTW_ESTIMATE", "FFTW_UNALIGNED")

        def along(source: NDArray, target: NDArray, axes: tuple[int, ...], direction: str) -> pyfftw.FFTW:
            extra = ("FFTW_DESTROY_INPUT",) if direction == "FFTW_BACKWARD" else ()
            return pyfftw.FFTW(source, target, axes=axes, direction=direction, threads=1, flags=(*flags, *extra))

        counts, room = [r.stop - r.start for r in cut.row_blocks], cut.make_room(_aligned)
        folded, x = room.folded, cut.read(room.values)
        self._to_half = [along(x[:m], folded[:m], (1,), "FFTW_FORWARD") for m in counts]
        self._in_place = cut.even and shape[-1] <= IN_PLACE
        source = x if self._in_place else folded
        self._from_half = [along(source[:m], x[:m], (1,), "FFTW_BACKWARD") for m in counts]
        self._across = [along(part, part, cut.others, "FFTW_FORWARD") for part in cut.columns]
        self._back = [along(part, part, cut.others, "FFTW_BACKWARD") for part in cut.columns]

    def forward(self, values: Array, out: NDArray[np.complex128], take: Weigh) -> NDArray[np.complex128]:
        """As in `RealFFT`."""
        x, lines = self.cut.values(values), pairs(out)

        def block(plan: pyfftw.FFTW, r: slice) -> None:
            """Some rows."""
            room = self.cut.room(r)
            _run(plan, self.cut.read(x[r]), room.folded)
            take(room.parts, lines[r])

        each(block, self._to_half, self.cut.row_blocks)
        if self.cut.column_blocks:
            each(lambda plan, c: _run(plan, out[..., c], out[..., c]), self._across, self.cut.column_blocks)
        return out

    def columns(self) -> None:
        """As in `RealFFT`."""
        if self._back:
            each(pyfftw.FFTW.execute, self._back)

    def rows(self, wanted: Sequence[Wanted]) -> None:
        """As in `RealFFT`."""

        def block(plan: pyfftw.FFTW, r: slice, lines: Array) -> None:
            """All that is wanted of some rows."""
            room = self.cut.room(r)
            for weigh, out, use in wanted:
                values = room.values if out is None else self.cut.values(out)[r]
                target = self.cut.read(values)
                weigh(lines, values if self._in_place else room.parts)
                _run(plan, target if self._in_place else room.folded, target)
                if use is not None:
                    use(r, values)

        each(block, self._from_half, self.cut.row_blocks, self.cut.lines)


def _run(plan: pyfftw.FFTW, source: NDArray, target: NDArray) -> None:
    plan.update_arrays(source, target)
    plan.execute()


def _aligned(shape: tuple[int, ...], dtype: type) -> NDArray:
    """An array aligned to 16 bytes and no more, so that plans made with it accept any NumPy array."""
    size = prod(shape) * np.dtype(dtype).itemsize
    return pyfftw.empty_aligned(size + 16, dtype="uint8", n=64)[16 : 16 + size].view(dtype).reshape(shape)
