"""The library that transforms: ducc0 where it is installed (extra ``fast``), else scipy.fft.

``PMASOLVE_FFT=scipy`` or ``ducc0`` in the environment chooses by name.  Libraries run on one thread, release the interpreter lock,
and write in place without making copies.
"""

from __future__ import annotations

import os
from typing import Protocol

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from ..machine.arrays import Array

try:
    import ducc0
except ImportError:  # optional, extra "fast"
    ducc0 = None

Complex = NDArray[np.complex128]


class Library(Protocol):
    """The transforms that the series of this package are made of; ways back divide by the number of points."""

    def half(self, lines: Array, out: Complex) -> None:
        """Half spectra of real lines (m, n), in ``out`` (m, n//2 + 1)."""

    def real(self, spectra: Complex, out: Array) -> None:
        """Real lines (m, n) of half spectra, in ``out``; the spectra are lost."""

    def whole(self, array: Complex, axis: int, back: bool) -> None:
        """FFT along an axis, or ``back``, in place."""

    def waves(self, array: Array, axis: int, sines: bool, back: bool) -> None:
        """Orthonormal transform of values at cell centres to cosines 0 … n−1, or sines 1 … n, in place, or ``back``."""


class Scipy:
    """pocketfft as SciPy has it, and as NumPy has it where that takes the array for the result."""

    def half(self, lines: Array, out: Complex) -> None:
        """rfft."""
        np.fft.rfft(lines, out=out)

    def real(self, spectra: Complex, out: Array) -> None:
        """irfft."""
        np.fft.irfft(spectra, out.shape[-1], out=out)

    def whole(self, array: Complex, axis: int, back: bool) -> None:
        """fft and ifft."""
        _settle((scipy.fft.ifft if back else scipy.fft.fft)(array, axis=axis, overwrite_x=True), array)

    def waves(self, array: Array, axis: int, sines: bool, back: bool) -> None:
        """dct, idct, dst and idst of type 2."""
        transform = _WAVES[sines, back]
        _settle(transform(array, axis=axis, norm="ortho", overwrite_x=True), array)


_WAVES = {
    (False, False): scipy.fft.dct,
    (False, True): scipy.fft.idct,
    (True, False): scipy.fft.dst,
    (True, True): scipy.fft.idst,
}


def _settle(result: NDArray, array: NDArray) -> None:
    """SciPy may work in place, and does; it does not have to."""
    if not np.may_share_memory(result, array):
        array[...] = result


class Ducc:
    """The successor of pocketfft, by its author: it takes the array for the result."""

    def half(self, lines: Array, out: Complex) -> None:
        """r2c."""
        ducc0.fft.r2c(lines, (1,), out=out)

    def real(self, spectra: Complex, out: Array) -> None:
        """c2r."""
        ducc0.fft.c2r(spectra, (1,), out.shape[-1], forward=False, inorm=2, out=out, allow_overwriting_input=True)

    def whole(self, array: Complex, axis: int, back: bool) -> None:
        """c2c."""
        ducc0.fft.c2c(array, (axis,), forward=not back, inorm=2 if back else 0, out=array)

    def waves(self, array: Array, axis: int, sines: bool, back: bool) -> None:
        """dct and dst of types 2 and 3."""
        transform = ducc0.fft.dst if sines else ducc0.fft.dct
        transform(array, 3 if back else 2, (axis,), inorm=1, out=array)


def library() -> Library:
    """The one that ``PMASOLVE_FFT`` names, else the fastest there is."""
    name = os.environ.get("PMASOLVE_FFT") or ("ducc0" if ducc0 else "scipy")
    if name not in ("scipy", "ducc0") or (name == "ducc0" and ducc0 is None):
        raise ValueError(f"PMASOLVE_FFT={name}: take scipy, or ducc0 where it is installed (pip install ducc0)")
    return Scipy() if name == "scipy" else Ducc()
