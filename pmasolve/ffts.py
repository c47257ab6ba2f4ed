"""Planned real FFTs of an array: pyfftw where it is installed (planned once, no allocation), scipy.fft otherwise."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from math import prod
from typing import Protocol

import numpy as np
import scipy.fft
from numba import get_num_threads
from numpy.typing import NDArray

from .domains import Array
from .threads import CACHED, blocks, each

try:
    import pyfftw
except ImportError:  # optional, extra "fast"
    pyfftw = None


Weigh = Callable[[Array, Array], None]  # rows of pairs of reals, and where what becomes of them goes
Use = Callable[[slice, Array], None]
Wanted = tuple[Weigh | None, Array | None, Use | None]  # of one inverse along the last axis


class RealFFT(Protocol):
    """rfftn and irfftn of one shape; rows are those of the array seen as (rows, last axis).

    The way back starts from ``work`` and goes in two steps, so that derivatives which agree in the leading axes share the first.
    """

    work: NDArray[np.complex128]  # room for a half spectrum
    lines: Array  # its rows, as pairs of reals

    def forward(self, values: Array, out: NDArray[np.complex128], take: Weigh | None = None) -> NDArray[np.complex128]:
        """The half spectrum, in ``out``.

        ``take(spectra, lines)`` makes lines of ``out`` from rows of half spectra, before the other axes are transformed.
        """
        ...

    def columns(self) -> None:
        """Inverse of ``work`` along all axes but the last, in place."""
        ...

    def rows(self, wanted: Sequence[Wanted]) -> None:
        """Inverses along the last axis: each the values times their number, in ``out`` or in room that is used again.

        ``weigh(rows, weighed)`` multiplies a block of rows; without it, which only the last may be, ``work`` is lost.  ``use``
        gets each block of values with its slice of rows.  All is done to one block before the next: the cache still holds it.
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


class _Cut:
    """How an array is cut into blocks of rows and of columns, and room for a block of rows for each thread."""

    def __init__(self, shape: tuple[int, ...], columns: int, work: NDArray[np.complex128]) -> None:
        self.shape, self.half = shape, work.shape
        self.others = tuple(range(len(shape) - 1))
        self.row_blocks = blocks(prod(shape[:-1]), prod(shape), CACHED)
        self.column_blocks = blocks(columns, prod(shape)) if len(shape) > 1 else ()
        rows, lines = work.reshape(-1, self.half[-1]), pairs(work)
        self.rows, self.lines = [rows[r] for r in self.row_blocks], [lines[r] for r in self.row_blocks]
        self.columns = [work[..., c] for c in self.column_blocks]
        self._most = max(r.stop - r.start for r in self.row_blocks)
        self._own = threading.local()

    def room(self, rows: slice) -> tuple[NDArray[np.complex128], Array, Array]:
        """Weighed rows, the same as pairs of reals, and values."""
        try:
            own = self._own.room
        except AttributeError:
            own = self.make_room(np.empty)
        count = rows.stop - rows.start
        return own if count == self._most else tuple(array[:count] for array in own)

    def make_room(
        self, empty: Callable[[tuple[int, ...], type], NDArray]
    ) -> tuple[NDArray[np.complex128], Array, Array]:
        """For this thread."""
        weighed, values = (
            empty((self._most, self.half[-1]), np.complex128),
            empty((self._most, self.shape[-1]), np.float64),
        )
        self._own.room = weighed, pairs(weighed), values
        return self._own.room

    def values(self, array: Array) -> Array:
        """The values as rows."""
        return array.reshape(-1, self.shape[-1])


class _Scipy:
    """pocketfft, allocating."""

    def __init__(self, shape: tuple[int, ...], columns: int) -> None:
        self.work = np.empty((*shape[:-1], shape[-1] // 2 + 1), np.complex128)
        self.lines, self.cut = pairs(self.work), _Cut(shape, columns, self.work)

    def forward(self, values: Array, out: NDArray[np.complex128], take: Weigh | None = None) -> NDArray[np.complex128]:
        """As in `RealFFT`."""
        if take is None:
            out[...] = scipy.fft.rfftn(values, workers=get_num_threads())
            return out
        x, lines = self.cut.values(values), pairs(out)
        each(lambda r: take(pairs(scipy.fft.rfft(x[r], workers=1)), lines[r]), self.cut.row_blocks)

        def block(c: slice) -> None:
            """Some columns."""
            out[..., c] = scipy.fft.fftn(out[..., c], axes=self.cut.others, workers=1)

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

        def block(r: slice, rows: NDArray[np.complex128], lines: Array) -> None:
            """All that is wanted of some rows."""
            weighed, parts, _ = self.cut.room(r)
            for weigh, out, use in wanted:
                if weigh is not None:
                    weigh(lines, parts)
                source = rows if weigh is None else weighed
                values = scipy.fft.irfft(source, self.cut.shape[-1], norm="forward", overwrite_x=True, workers=1)
                if out is not None:
                    self.cut.values(out)[r] = values
                if use is not None:
                    use(r, values)

        each(block, self.cut.row_blocks, self.cut.rows, self.cut.lines)


class _Pyfftw:
    """FFTW, planned once (ESTIMATE: the same plan, hence the same rounding, in every run).

    Threads take blocks of rows for the last axis and blocks of columns for the others: FFTW's own threads spin at
    barriers and become many times slower than one thread as soon as a core is taken by somebody else.
    """

    def __init__(self, shape: tuple[int, ...], columns: int) -> None:
        self.work = _aligned((*shape[:-1], shape[-1] // 2 + 1), np.complex128)
        self.lines, self.cut = pairs(self.work), (cut := _Cut(shape, columns, self.work))
        flags = ("FFTW_ESTIMATE",) if shape[-1] % 2 == 0 else ("FFTW_ESTIMATE", "FFTW_UNALIGNED")

        def along(source: NDArray, target: NDArray, axes: tuple[int, ...], direction: str) -> pyfftw.FFTW:
            extra = ("FFTW_DESTROY_INPUT",) if direction == "FFTW_BACKWARD" else ()
            return pyfftw.FFTW(source, target, axes=axes, direction=direction, threads=1, flags=(*flags, *extra))

        counts, (half, _, x) = [r.stop - r.start for r in cut.row_blocks], cut.make_room(_aligned)
        self._to_half = [along(x[:m], half[:m], (1,), "FFTW_FORWARD") for m in counts]
        self._from_half = [along(half[:m], x[:m], (1,), "FFTW_BACKWARD") for m in counts]
        self._across = [along(part, part, cut.others, "FFTW_FORWARD") for part in cut.columns]
        self._back = [along(part, part, cut.others, "FFTW_BACKWARD") for part in cut.columns]

    def forward(self, values: Array, out: NDArray[np.complex128], take: Weigh | None = None) -> NDArray[np.complex128]:
        """As in `RealFFT`."""
        x, rows, lines = self.cut.values(values), out.reshape(-1, out.shape[-1]), pairs(out)

        def block(plan: pyfftw.FFTW, r: slice) -> None:
            """Some rows."""
            if take is None:
                _run(plan, x[r], rows[r])
            else:
                spectra, taken, _ = self.cut.room(r)
                _run(plan, x[r], spectra)
                take(taken, lines[r])

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

        def block(plan: pyfftw.FFTW, r: slice, rows: NDArray[np.complex128], lines: Array) -> None:
            """All that is wanted of some rows."""
            weighed, parts, room = self.cut.room(r)
            for weigh, out, use in wanted:
                if weigh is not None:
                    weigh(lines, parts)
                values = room if out is None else self.cut.values(out)[r]
                _run(plan, rows if weigh is None else weighed, values)
                if use is not None:
                    use(r, values)

        each(block, self._from_half, self.cut.row_blocks, self.cut.rows, self.cut.lines)


def _run(plan: pyfftw.FFTW, source: NDArray, target: NDArray) -> None:
    plan.update_arrays(source, target)
    plan.execute()


def _aligned(shape: tuple[int, ...], dtype: type) -> NDArray:
    """An array aligned to 16 bytes and no more, so that plans made with it accept any NumPy array."""
    size = prod(shape) * np.dtype(dtype).itemsize
    return pyfftw.empty_aligned(size + 16, dtype="uint8", n=64)[16 : 16 + size].view(dtype).reshape(shape)
