"""Cosine transforms of the box: the even reflection's real series, on the box's own points."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy.fft
from numba import get_num_threads

from .domains import Array, Box


class BoxTransform:
    """Cosine transform of a grid of cell centres: the even reflection's real series, on the box's own points."""

    isometry = np.ones(1)

    def __init__(self, box: Box) -> None:
        self.box = box

    @cached_property
    def wavenumbers(self) -> tuple[Array, ...]:
        """πm/L of each axis."""
        dim = self.box.dim
        return tuple(
            (np.pi / length) * np.arange(float(n)).reshape((-1,) + (1,) * (dim - 1 - j))
            for j, (n, length) in enumerate(zip(self.box.shape, self.box.lengths, strict=True))
        )

    @cached_property
    def signs(self) -> tuple[Array, ...]:
        """1, and 0 for the constant."""
        return tuple(np.sign(k) for k in self.wavenumbers)

    def forward(self, values: Array, out: Array | None = None) -> Array:
        """Orthonormal DCT-II along every axis."""
        series = scipy.fft.dctn(values, norm="ortho", workers=get_num_threads())
        if out is None:
            return series
        out[...] = series
        return out

    def slope(self, coefficients: Array, multipliers: tuple[Array, ...], j: int, out: Array) -> Array:
        """Cosines become sines along axis j."""
        even, workers = tuple(i for i in range(out.ndim) if i != j), get_num_threads()
        series = _sines(-multipliers[j] * coefficients, (j,))
        series = scipy.fft.idstn(series, axes=(j,), type=2, norm="ortho", workers=workers, overwrite_x=True)
        if even:
            series = scipy.fft.idctn(series, axes=even, norm="ortho", workers=workers, overwrite_x=True)
        out[...] = series
        return out

    def divergence(self, flux: Array, multipliers: tuple[Array, ...], out: Array) -> Array:
        """Sines along axis j become cosines."""
        workers = get_num_threads()
        out[...] = 0.0
        for j, multiplier in enumerate(multipliers):
            even = tuple(i for i in range(flux.shape[0]) if i != j)
            series = scipy.fft.dstn(flux[j], axes=(j,), type=2, norm="ortho", workers=workers)
            if even:
                series = scipy.fft.dctn(series, axes=even, norm="ortho", workers=workers, overwrite_x=True)
            out += multiplier * _cosines(series, j)
        return out

    def derivative(self, coefficients: Array, orders: tuple[int, ...], out: Array) -> Array:
        """Cosine series stay cosine series under even derivatives and become sine series under odd ones."""
        series, workers = coefficients, get_num_threads()
        for j, order in enumerate(orders):
            if order:
                series = series * ((-1.0) ** ((order + 1) // 2) * self.wavenumbers[j] ** order)
        odd = tuple(j for j, order in enumerate(orders) if order % 2)
        even = tuple(j for j, order in enumerate(orders) if order % 2 == 0)
        fresh = series is not coefficients
        if even:
            series = scipy.fft.idctn(series, axes=even, norm="ortho", workers=workers, overwrite_x=fresh)
        if odd:
            series = scipy.fft.idstn(
                _sines(series, odd), axes=odd, type=2, norm="ortho", workers=workers, overwrite_x=True
            )
        out[...] = series
        return out

    def keep_redundant(self, coefficients: Array, original: Array) -> Array:
        """A cosine series has no redundancy."""
        return coefficients

    def as_vector(self, coefficients: Array) -> Array:
        """The coefficients, flat."""
        return coefficients.reshape(-1)

    def as_coefficients(self, vector: Array) -> Array:
        """The coefficients, in the shape of the grid."""
        return vector.reshape(self.box.shape)


def _sines(series: Array, odd: tuple[int, ...]) -> Array:
    """Coefficients of ∑ₘ sₘ sin(πm(i+½)/n) as the DST has them: it counts modes from 1, so they move down by one.

    m = 0 carries no sine; the last sine, m = n, is absent from the derivative of a cosine series.
    """
    out = np.zeros_like(series)
    to = tuple(slice(None, -1) if j in odd else slice(None) for j in range(series.ndim))
    of = tuple(slice(1, None) if j in odd else slice(None) for j in range(series.ndim))
    out[to] = series[of]
    return out


def _cosines(series: Array, j: int) -> Array:
    """The way back from `_sines` along axis j: modes move up by one, the last sine is dropped."""
    out = np.zeros_like(series)
    up = tuple(slice(1, None) if i == j else slice(None) for i in range(series.ndim))
    down = tuple(slice(None, -1) if i == j else slice(None) for i in range(series.ndim))
    out[up] = series[down]
    return out
