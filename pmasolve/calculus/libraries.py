"""The library that transforms: ducc0 where it is installed (extra ``fast``), else those of NumPy and SciPy.

``PMASOLVE_FFT=scipy`` or ``ducc0`` in the environment chooses by name.  Libraries run on one thread, release the interpreter lock,
and write in place without making copies.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import numpy as np
import scipy.fft
from numpy.typing import NDArray

try:
    import ducc0
except ImportError:  # optional, extra "fast"
    ducc0 = None

Complex = NDArray[np.complex128]


class InTo(Protocol):
    """A transform along one axis that writes its result to ``out``, which may be the array itself where shapes agree."""

    def __call__(self, array: Any, *, out: Any) -> object: ...


class Library(Protocol):
    """The transforms that the series of this package are made of, as pairs there and back that are chosen once.

    Ways back divide by the number of points.
    """

    def real(self, n: int) -> tuple[InTo, InTo]:
        """Half spectra (m, n//2 + 1) of real lines (m, n), and real lines of half spectra, which are lost."""
        ...

    def whole(self, axis: int) -> tuple[InTo, InTo]:
        """FFT along an axis and back."""
        ...

    def cosines(self, axis: int) -> tuple[InTo, InTo]:
        """Orthonormal transform of values at cell centres to cosines 0 … n−1, and back."""
        ...

    def sines(self, axis: int) -> tuple[InTo, InTo]:
        """Orthonormal transform of values at cell centres to sines 1 … n, and back."""
        ...


class Scipy:
    """pocketfft: as NumPy has it, which takes the array for the result; SciPy has the cosines and sines."""

    def real(self, n: int) -> tuple[InTo, InTo]:
        """rfft and irfft."""
        return np.fft.rfft, partial(np.fft.irfft, n=n)

    def whole(self, axis: int) -> tuple[InTo, InTo]:
        """fft and ifft."""
        return partial(np.fft.fft, axis=axis), partial(np.fft.ifft, axis=axis)

    def cosines(self, axis: int) -> tuple[InTo, InTo]:
        """dct and idct of type 2."""
        return _settled(scipy.fft.dct, axis=axis, norm="ortho"), _settled(scipy.fft.idct, axis=axis, norm="ortho")

    def sines(self, axis: int) -> tuple[InTo, InTo]:
        """dst and idst of type 2."""
        return _settled(scipy.fft.dst, axis=axis, norm="ortho"), _settled(scipy.fft.idst, axis=axis, norm="ortho")


def _settled(transform: Callable[..., NDArray], **options: Any) -> InTo:
    """SciPy may work in place, and does; it does not have to."""

    def call(array: NDArray, *, out: NDArray) -> None:
        """The result, wherever it is, in ``out``."""
        result = transform(array, overwrite_x=True, **options)
        if not np.may_share_memory(result, out):
            out[...] = result

    return call


class Ducc:
    """The successor of pocketfft, by its author: it takes the array for the result."""

    def real(self, n: int) -> tuple[InTo, InTo]:
        """r2c and c2r."""
        back = {"lastsize": n, "forward": False, "inorm": 2, "allow_overwriting_input": True}
        return partial(ducc0.fft.r2c, axes=(1,)), partial(ducc0.fft.c2r, axes=(1,), **back)

    def whole(self, axis: int) -> tuple[InTo, InTo]:
        """c2c."""
        return partial(ducc0.fft.c2c, axes=(axis,)), partial(ducc0.fft.c2c, axes=(axis,), forward=False, inorm=2)

    def cosines(self, axis: int) -> tuple[InTo, InTo]:
        """dct of types 2 and 3."""
        return tuple(partial(ducc0.fft.dct, type=kind, axes=(axis,), inorm=1) for kind in (2, 3))

    def sines(self, axis: int) -> tuple[InTo, InTo]:
        """dst of types 2 and 3."""
        return tuple(partial(ducc0.fft.dst, type=kind, axes=(axis,), inorm=1) for kind in (2, 3))


def library() -> Library:
    """The one that ``PMASOLVE_FFT`` names, else the fastest there is."""
    name = os.environ.get("PMASOLVE_FFT") or ("ducc0" if ducc0 else "scipy")
    if name not in ("scipy", "ducc0") or (name == "ducc0" and ducc0 is None):
        raise ValueError(f"PMASOLVE_FFT={name}: take scipy, or ducc0 where it is installed (pip install ducc0)")
    return Scipy() if name == "scipy" else Ducc()
