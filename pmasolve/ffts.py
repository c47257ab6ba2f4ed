"""Planned real FFTs of an array: pyfftw where it is installed (planned once, no allocation), scipy.fft otherwise."""

from __future__ import annotations

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


Fill = Callable[[slice], None]


class RealFFT(Protocol):
    """rfftn and irfftn of one shape; rows are those of the array seen as (rows, last axis).

    The way back may be given ``fill``, which writes the coefficients' columns of a slice just before they are needed.
    """

    def forward(self, rows: Callable[[slice], Array], out: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """The half spectrum, in ``out``, of the values that ``rows`` yields for a slice of rows: (…, last axis)."""
        ...

    def backward(self, coefficients: NDArray[np.complex128], out: Array, fill: Fill | None = None) -> None:
        """The values times their number, in ``out``; the coefficients are lost."""
        ...

    def backward_by_blocks(
        self, coefficients: NDArray[np.complex128], use: Callable[[slice, Array], None], fill: Fill | None = None
    ) -> None:
        """The same, handed to ``use`` with the slice of rows as soon as they are known, while the cache still holds them."""
        ...


def real_fft(shape: tuple[int, ...]) -> RealFFT:
    """Plan the transforms of arrays of this shape."""
    return _Pyfftw(shape) if pyfftw else _Scipy(shape)


class _Scipy:
    """pocketfft, allocating."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self._all = shape, slice(0, prod(shape[:-1]))

    def forward(self, rows: Callable[[slice], Array], out: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """As in `RealFFT`."""
        out[...] = scipy.fft.rfftn(rows(self._all).reshape(self.shape), workers=get_num_threads())
        return out

    def _values(self, coefficients: NDArray[np.complex128], fill: Fill | None) -> Array:
        if fill is not None:
            parts = blocks(coefficients.shape[-1], prod(self.shape))
            each(fill, parts)
        return scipy.fft.irfftn(coefficients, s=self.shape, workers=get_num_threads(), overwrite_x=True, norm="forward")

    def backward(self, coefficients: NDArray[np.complex128], out: Array, fill: Fill | None = None) -> None:
        """As in `RealFFT`."""
        out[...] = self._values(coefficients, fill)

    def backward_by_blocks(
        self, coefficients: NDArray[np.complex128], use: Callable[[slice, Array], None], fill: Fill | None = None
    ) -> None:
        """As in `RealFFT`; blocks come when all is transformed."""
        values = self._values(coefficients, fill).reshape(-1, self.shape[-1])
        each(lambda r: use(r, values[r]), blocks(len(values), values.size))


class _Pyfftw:
    """FFTW, planned once (ESTIMATE: the same plan, hence the same rounding, in every run).

    Threads take blocks of rows for the last axis and blocks of columns for the others: FFTW's own threads spin at
    barriers and become many times slower than one thread as soon as a core is taken by somebody else.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        values, half = _aligned(shape, np.float64), (*shape[:-1], shape[-1] // 2 + 1)
        work, count = _aligned(half, np.complex128), prod(shape[:-1])
        self.half = half
        self._rows = blocks(count, values.size, CACHED)
        self._columns = blocks(half[-1], values.size) if len(shape) > 1 else ()
        others = tuple(range(len(shape) - 1))
        flags = ("FFTW_ESTIMATE",) if shape[-1] % 2 == 0 else ("FFTW_ESTIMATE", "FFTW_UNALIGNED")

        def along(source: NDArray, target: NDArray, axes: tuple[int, ...], direction: str) -> pyfftw.FFTW:
            extra = ("FFTW_DESTROY_INPUT",) if direction == "FFTW_BACKWARD" else ()
            return pyfftw.FFTW(source, target, axes=axes, direction=direction, threads=1, flags=(*flags, *extra))

        x, lines = values.reshape(count, -1), work.reshape(count, -1)
        self._to_half = [along(x[r], lines[r], (1,), "FFTW_FORWARD") for r in self._rows]
        self._from_half = [along(lines[r], x[r], (1,), "FFTW_BACKWARD") for r in self._rows]
        self._across = [along(work[..., c], work[..., c], others, "FFTW_FORWARD") for c in self._columns]
        self._back = [along(work[..., c], work[..., c], others, "FFTW_BACKWARD") for c in self._columns]

    def forward(self, rows: Callable[[slice], Array], out: NDArray[np.complex128]) -> NDArray[np.complex128]:
        """As in `RealFFT`."""
        lines = out.reshape(-1, self.half[-1])
        each(lambda plan, r: _run(plan, rows(r), lines[r]), self._to_half, self._rows)
        if self._columns:
            each(lambda plan, c: _run(plan, out[..., c], out[..., c]), self._across, self._columns)
        return out

    def backward(self, coefficients: NDArray[np.complex128], out: Array, fill: Fill | None = None) -> None:
        """As in `RealFFT`."""
        lines, values = self._lines(coefficients, fill), out.reshape(-1, out.shape[-1])
        each(lambda plan, r: _run(plan, lines[r], values[r]), self._from_half, self._rows)

    def backward_by_blocks(
        self, coefficients: NDArray[np.complex128], use: Callable[[slice, Array], None], fill: Fill | None = None
    ) -> None:
        """As in `RealFFT`, block by block on all threads."""
        lines = self._lines(coefficients, fill)

        def block(plan: pyfftw.FFTW, r: slice) -> None:
            values = np.empty(plan.output_shape)
            _run(plan, lines[r], values)
            use(r, values)

        each(block, self._from_half, self._rows)

    def _lines(self, coefficients: NDArray[np.complex128], fill: Fill | None) -> NDArray[np.complex128]:
        def columns(plan: pyfftw.FFTW, c: slice) -> None:
            if fill is not None:
                fill(c)
            _run(plan, coefficients[..., c], coefficients[..., c])

        if self._columns:
            each(columns, self._back, self._columns)
        elif fill is not None:
            fill(slice(0, self.half[-1]))
        return coefficients.reshape(-1, self.half[-1])


def _run(plan: pyfftw.FFTW, source: NDArray, target: NDArray) -> None:
    plan.update_arrays(source, target)
    plan.execute()


def _aligned(shape: tuple[int, ...], dtype: type) -> NDArray:
    """An array aligned to 16 bytes and no more, so that plans made with it accept any NumPy array."""
    size = prod(shape) * np.dtype(dtype).itemsize
    return pyfftw.empty_aligned(size + 16, dtype="uint8", n=64)[16 : 16 + size].view(dtype).reshape(shape)
