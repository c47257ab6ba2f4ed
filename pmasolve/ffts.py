"""Planned real FFTs of an array: pyfftw where it is installed (planned once, no allocation), scipy.fft otherwise."""

from __future__ import annotations

import threading
from collections.abc import Callable
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


Weigh = Callable[[NDArray[np.complex128], NDArray[np.complex128]], None]  # rows, and where what becomes of them goes
Use = Callable[[slice, Array], None]


class RealFFT(Protocol):
    """rfftn and irfftn of one shape; rows are those of the array seen as (rows, last axis).

    The way back goes in two steps, so that derivatives which agree in the leading axes share the first.
    """

    def forward(self, values: Array, out: NDArray[np.complex128], take: Weigh | None = None) -> NDArray[np.complex128]:
        """The half spectrum, in ``out``.

        ``take(spectrum, lines)`` makes lines of ``out`` from rows of half spectra, before the other axes are transformed.
        """
        ...

    def columns(self, work: NDArray[np.complex128]) -> None:
        """Inverse along all axes but the last, in place."""
        ...

    def rows(
        self, work: NDArray[np.complex128], weigh: Weigh | None, out: Array | None, use: Use | None = None
    ) -> None:
        """Inverse along the last axis: the values times their number, in ``out`` or in room that is used again.

        ``weigh(rows, weighed)`` multiplies a block of rows; without it ``work`` is lost.  ``use`` gets each block of values with
        its slice of rows while the cache still holds them.
        """
        ...


def real_fft(shape: tuple[int, ...], columns: int | None = None) -> RealFFT:
    """Plan the transforms of arrays of this shape.

    Along the leading axes only the first ``columns`` of the half spectrum are transformed, all unless given.  Arrays keep its
    width all the same: with lines of a power of 2 the caches would get into trouble.
    """
    columns = shape[-1] // 2 + 1 if columns is None else columns
    return _Pyfftw(shape, columns) if pyfftw else _Scipy(shape, columns)


class _Cut:
    """How an array is cut into blocks of rows and of columns, and room for a block of rows for each thread."""

    def __init__(self, shape: tuple[int, ...], columns: int) -> None:
        self.shape, self.half = shape, (*shape[:-1], shape[-1] // 2 + 1)
        self.others = tuple(range(len(shape) - 1))
        self.row_blocks = blocks(prod(shape[:-1]), prod(shape), CACHED)
        self.column_blocks = blocks(columns, prod(shape)) if len(shape) > 1 else ()
        self._most = max(r.stop - r.start for r in self.row_blocks)
        self._own = threading.local()

    def room(self, rows: slice) -> tuple[NDArray[np.complex128], Array]:
        """Weighed rows and values."""
        try:
            weighed, values = self._own.room
        except AttributeError:
            weighed, values = (
                np.empty((self._most, self.half[-1]), np.complex128),
                np.empty((self._most, self.shape[-1])),
            )
            self._own.room = weighed, values
        count = rows.stop - rows.start
        return (weighed, values) if count == self._most else (weighed[:count], values[:count])

    def lines(self, work: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """The half spectrum as rows."""
        return work.reshape(-1, self.half[-1])

    def values(self, array: Array) -> Array:
        """The values as rows."""
        return array.reshape(-1, self.shape[-1])


class _Scipy:
    """pocketfft, allocating."""

    def __init__(self, shape: tuple[int, ...], columns: int) -> None:
        self.cut = _Cut(shape, columns)

    def forward(self, values: Array, out: NDArray[np.complex128], take: Weigh | None = None) -> NDArray[np.complex128]:
        """As in `RealFFT`."""
        if take is None:
            out[...] = scipy.fft.rfftn(values, workers=get_num_threads())
            return out
        x, lines = self.cut.values(values), self.cut.lines(out)
        each(lambda r: take(scipy.fft.rfft(x[r], workers=1), lines[r]), self.cut.row_blocks)

        def block(c: slice) -> None:
            out[..., c] = scipy.fft.fftn(out[..., c], axes=self.cut.others, workers=1)

        if self.cut.column_blocks:
            each(block, self.cut.column_blocks)
        return out

    def columns(self, work: NDArray[np.complex128]) -> None:
        """As in `RealFFT`."""

        def block(c: slice) -> None:
            work[..., c] = scipy.fft.ifftn(work[..., c], axes=self.cut.others, norm="forward", workers=1)

        if self.cut.column_blocks:
            each(block, self.cut.column_blocks)

    def rows(
        self, work: NDArray[np.complex128], weigh: Weigh | None, out: Array | None, use: Use | None = None
    ) -> None:
        """As in `RealFFT`."""
        lines, target = self.cut.lines(work), None if out is None else self.cut.values(out)

        def block(r: slice) -> None:
            source = lines[r]
            if weigh is not None:
                source = self.cut.room(r)[0]
                weigh(lines[r], source)
            values = scipy.fft.irfft(source, self.cut.shape[-1], norm="forward", overwrite_x=True, workers=1)
            if target is not None:
                target[r] = values
            if use is not None:
                use(r, values)

        each(block, self.cut.row_blocks)


class _Pyfftw:
    """FFTW, planned once (ESTIMATE: the same plan, hence the same rounding, in every run).

    Threads take blocks of rows for the last axis and blocks of columns for the others: FFTW's own threads spin at
    barriers and become many times slower than one thread as soon as a core is taken by somebody else.
    """

    def __init__(self, shape: tuple[int, ...], columns: int) -> None:
        self.cut = cut = _Cut(shape, columns)
        flags = ("FFTW_ESTIMATE",) if shape[-1] % 2 == 0 else ("FFTW_ESTIMATE", "FFTW_UNALIGNED")

        def along(source: NDArray, target: NDArray, axes: tuple[int, ...], direction: str) -> pyfftw.FFTW:
            extra = ("FFTW_DESTROY_INPUT",) if direction == "FFTW_BACKWARD" else ()
            return pyfftw.FFTW(source, target, axes=axes, direction=direction, threads=1, flags=(*flags, *extra))

        counts = [r.stop - r.start for r in cut.row_blocks]
        x, half = _aligned((max(counts), shape[-1]), np.float64), _aligned((max(counts), cut.half[-1]), np.complex128)
        self._to_half = [along(x[:m], half[:m], (1,), "FFTW_FORWARD") for m in counts]
        self._from_half = [along(half[:m], x[:m], (1,), "FFTW_BACKWARD") for m in counts]
        work = _aligned(cut.half, np.complex128)
        self._across = [along(work[..., c], work[..., c], cut.others, "FFTW_FORWARD") for c in cut.column_blocks]
        self._back = [along(work[..., c], work[..., c], cut.others, "FFTW_BACKWARD") for c in cut.column_blocks]

    def forward(self, values: Array, out: NDArray[np.complex128], take: Weigh | None = None) -> NDArray[np.complex128]:
        """As in `RealFFT`."""
        x, lines = self.cut.values(values), self.cut.lines(out)

        def block(plan: pyfftw.FFTW, r: slice) -> None:
            if take is None:
                _run(plan, x[r], lines[r])
            else:
                spectrum = self.cut.room(r)[0]
                _run(plan, x[r], spectrum)
                take(spectrum, lines[r])

        each(block, self._to_half, self.cut.row_blocks)
        if self.cut.column_blocks:
            each(lambda plan, c: _run(plan, out[..., c], out[..., c]), self._across, self.cut.column_blocks)
        return out

    def columns(self, work: NDArray[np.complex128]) -> None:
        """As in `RealFFT`."""
        if self.cut.column_blocks:
            each(lambda plan, c: _run(plan, work[..., c], work[..., c]), self._back, self.cut.column_blocks)

    def rows(
        self, work: NDArray[np.complex128], weigh: Weigh | None, out: Array | None, use: Use | None = None
    ) -> None:
        """As in `RealFFT`."""
        lines, target = self.cut.lines(work), None if out is None else self.cut.values(out)

        def block(plan: pyfftw.FFTW, r: slice) -> None:
            weighed, values = self.cut.room(r)
            if weigh is None:
                weighed = lines[r]
            else:
                weigh(lines[r], weighed)
            values = values if target is None else target[r]
            _run(plan, weighed, values)
            if use is not None:
                use(r, values)

        each(block, self._from_half, self.cut.row_blocks)


def _run(plan: pyfftw.FFTW, source: NDArray, target: NDArray) -> None:
    plan.update_arrays(source, target)
    plan.execute()


def _aligned(shape: tuple[int, ...], dtype: type) -> NDArray:
    """An array aligned to 16 bytes and no more, so that plans made with it accept any NumPy array."""
    size = prod(shape) * np.dtype(dtype).itemsize
    return pyfftw.empty_aligned(size + 16, dtype="uint8", n=64)[16 : 16 + size].view(dtype).reshape(shape)
