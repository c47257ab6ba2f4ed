"""Planned transforms of a grid: real FFTs on the torus, cosine transforms on the box.

A transform turns values into coefficients and evaluates any derivative from them; ``isometry`` and ``as_vector`` make the
coefficients a real vector with the same Euclidean norm as the values (Parseval), the state that the time integrator sees.
pyfftw serves where it is installed (planned once, no allocation), scipy.fft otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import Protocol

import numpy as np
import scipy.fft
import scipy.signal
from numba import njit
from numpy.typing import NDArray

from .cosines import BoxTransform
from .domains import Array, Box, Grid, Torus
from .ffts import real_fft
from .pointwise import add_product

Coefficients = NDArray[np.float64] | NDArray[np.complex128]


class Transform(Protocol):
    """Values on a grid ⇄ coefficients of a trigonometric series."""

    @property
    def wavenumbers(self) -> tuple[Array, ...]:
        """Wavenumbers of each axis in radians per unit length, shaped to broadcast against the coefficients."""

    @property
    def isometry(self) -> Array:
        """Factors (broadcastable) that make the coefficients' Euclidean norm that of the values."""

    def zeros(self) -> Coefficients:
        """Coefficients of 0."""

    def refined(self, coefficients: Coefficients, grid: Grid, out: Coefficients) -> Coefficients:
        """Coefficients of the same function on another grid of the domain: modes below Nyquist's of both, the others dropped."""

    def forward(self, values: Array, out: Coefficients | None = None) -> Coefficients:
        """Coefficients of the values, in ``out`` if given; the caller owns the result."""

    def derivative(self, coefficients: Coefficients, orders: tuple[int, ...], out: Array) -> Array:
        """∂^orders of the series at the grid points, written to ``out``; the coefficients are left alone."""

    def add_derivative(
        self, coefficients: Coefficients, orders: tuple[int, ...], weight: float, factor: Array, out: Array
    ) -> Array:
        """out + weight · factor · ∂^orders of the series, in ``out``, without an array of its own."""

    @property
    def signs(self) -> tuple[Array, ...]:
        """Sign of the wavenumber of each axis; 0 where an odd derivative vanishes on the grid."""

    def slope(self, coefficients: Coefficients, multipliers: tuple[Array, ...], j: int, out: Array) -> Array:
        """Values of the derivative along axis ``j`` whose symbol is i·multipliers[j], odd; the coefficients are left alone."""

    def divergence(self, flux: Array, multipliers: tuple[Array, ...], out: Coefficients) -> Coefficients:
        """Coefficients of ∑ⱼ of those derivatives of flux[j], odd along axis j on a box: minus the adjoint of ``slope``."""

    def keep_redundant(self, coefficients: Coefficients, original: Coefficients) -> Coefficients:
        """Put back, in place, those parts of ``original`` that no real function has and no operator sees."""

    def as_vector(self, coefficients: Coefficients) -> Array:
        """A flat real view of the coefficients."""

    def as_coefficients(self, vector: Array) -> Coefficients:
        """The view back."""


@dataclass(frozen=True)
class _Multiplier:
    """rows[r]·columns[k], times i if ``odd``, for the half spectrum seen as (rows, columns)."""

    rows: Array
    columns: Array
    odd: bool


@njit(cache=True, nogil=True)
def _multiply(c, rows, columns, odd, begin, end, out):
    """Columns begin … end − 1 of the product; real and imaginary parts lie side by side."""
    one, two = np.uint64(1), np.uint64(2)
    for r in range(rows.size):
        a = rows[r]
        for k in range(np.uint64(begin), np.uint64(end)):
            w, x, y = a * columns[k], c[r, two * k], c[r, two * k + one]
            out[r, two * k], out[r, two * k + one] = (-w * y, w * x) if odd else (w * x, w * y)


class TorusTransform:
    """Real FFT of a periodic grid; the last axis holds the half spectrum."""

    def __init__(self, torus: Torus) -> None:
        self.torus = torus
        self.shape = (*torus.shape[:-1], torus.shape[-1] // 2 + 1)
        self._work = np.empty(self.shape, dtype=np.complex128)
        self._plan = real_fft(torus.shape)
        self._derivatives: dict[tuple[int, ...], _Multiplier] = {}

    @cached_property
    def wavenumbers(self) -> tuple[Array, ...]:
        """2πm/L of each axis, the Nyquist wavenumber positive."""
        dim = self.torus.dim
        out = []
        for j, (n, length) in enumerate(zip(self.torus.shape, self.torus.lengths, strict=True)):
            modes = np.arange(n // 2 + 1.0) if j == dim - 1 else np.fft.fftfreq(n, 1.0 / n)
            out.append((2 * np.pi / length) * modes.reshape((-1,) + (1,) * (dim - 1 - j)))
        return tuple(out)

    @cached_property
    def isometry(self) -> Array:
        """1/√N, times √2 for the columns that stand for a conjugate pair."""
        n = self.torus.shape[-1]
        paired = np.full(n // 2 + 1, np.sqrt(2.0))
        paired[0] = 1.0
        if n % 2 == 0:
            paired[-1] = 1.0
        return paired / np.sqrt(self.torus.size)

    @cached_property
    def _odd(self) -> tuple[Array, ...]:
        """k of each axis, zero at Nyquist, where an odd derivative of a real series vanishes on the grid."""
        out = []
        for k, n in zip(self.wavenumbers, self.torus.shape, strict=True):
            odd = k.copy()
            if n % 2 == 0:
                odd.ravel()[n // 2] = 0.0
            out.append(odd)
        return tuple(out)

    def _derivative(self, orders: tuple[int, ...]) -> _Multiplier:
        """(ik)^orders."""
        if orders not in self._derivatives:
            sign = (-1.0) ** (sum(orders) // 2)
            parts = [
                odd**order if order % 2 else k**order
                for k, odd, order in zip(self.wavenumbers, self._odd, orders, strict=True)
            ]
            self._derivatives[orders] = self._multiplier(parts, sign, sum(orders) % 2 == 1)
        return self._derivatives[orders]

    def _multiplier(self, parts: Sequence[Array], sign: float, odd: bool) -> _Multiplier:
        """The product of one real factor for each axis, of the sign, of i if ``odd``, and of 1/N."""
        *leading, last = parts
        rows = np.broadcast_to(prod(leading, start=np.ones(1)), (*self.shape[:-1], 1))
        return _Multiplier(rows.ravel(), np.ravel(last) * (sign / self.torus.size), odd)

    def _filling(self, coefficients: Coefficients, by: _Multiplier) -> Callable[[slice], None]:
        """Writes columns of the product into the work array."""
        source, target = (c.reshape(-1, self.shape[-1]).view(np.float64) for c in (coefficients, self._work))
        return lambda c: _multiply(source, by.rows, by.columns, by.odd, c.start, c.stop, target)

    def zeros(self) -> NDArray[np.complex128]:
        """The half spectrum of 0."""
        return np.zeros(self.shape, dtype=np.complex128)

    def refined(self, coefficients: Coefficients, grid: Grid, out: Coefficients) -> NDArray[np.complex128]:
        """The modes below Nyquist, cut or padded with zeros."""
        *across, last = ((min(sizes) + 1) // 2 for sizes in zip(self.torus.shape, grid.shape, strict=True))
        out[...] = 0.0
        for signs in product((1, -1), repeat=len(across)):
            modes = (slice(0, m) if sign > 0 else slice(1 - m, None) for sign, m in zip(signs, across, strict=True))
            where = (*modes, slice(0, last))
            np.multiply(coefficients[where], grid.size / self.torus.size, out=out[where])
        return out

    def forward(self, values: Array, out: Coefficients | None = None) -> NDArray[np.complex128]:
        """rfftn."""
        x = np.ascontiguousarray(values).reshape(-1, values.shape[-1])
        return self._plan.forward(lambda rows: x[rows], np.empty(self.shape, np.complex128) if out is None else out)

    def derivative(self, coefficients: Coefficients, orders: tuple[int, ...], out: Array) -> Array:
        """irfftn of the coefficients times (ik)^orders."""
        self._plan.backward(self._work, out, self._filling(coefficients, self._derivative(orders)))
        return out

    def add_derivative(
        self, coefficients: Coefficients, orders: tuple[int, ...], weight: float, factor: Array, out: Array
    ) -> Array:
        """Added while the cache holds the values."""
        factors, sums = factor.reshape(-1, out.shape[-1]), out.reshape(-1, out.shape[-1])
        self._plan.backward_by_blocks(
            self._work,
            lambda rows, values: add_product(values, factors[rows], weight, sums[rows]),
            self._filling(coefficients, self._derivative(orders)),
        )
        return out

    @cached_property
    def signs(self) -> tuple[Array, ...]:
        """±1, and 0 at Nyquist."""
        return tuple(np.sign(odd) for odd in self._odd)

    def slope(self, coefficients: Coefficients, multipliers: tuple[Array, ...], j: int, out: Array) -> Array:
        """irfftn of the coefficients times i·multiplier."""
        parts = [m if i == j else np.ones_like(m) for i, m in enumerate(multipliers)]
        self._plan.backward(self._work, out, self._filling(coefficients, self._multiplier(parts, 1.0, True)))
        return out

    def divergence(self, flux: Array, multipliers: tuple[Array, ...], out: Coefficients) -> NDArray[np.complex128]:
        """∑ⱼ i·multiplierⱼ · rfftn(fluxⱼ)."""
        for j, multiplier in enumerate(multipliers):
            into = self.forward(flux[j], self._work if j else out)
            into *= 1j * multiplier
            if j:
                out += into
        return out

    def keep_redundant(self, coefficients: Coefficients, original: Coefficients) -> NDArray[np.complex128]:
        """Two planes of the half spectrum hold both k and −k; their anti-Hermitian parts belong to no real function."""
        n = self.torus.shape[-1]
        for plane in (0, n // 2) if n % 2 == 0 else (0,):
            coefficients[..., plane] += _anti_hermitian(original[..., plane] - coefficients[..., plane])
        return coefficients

    def as_vector(self, coefficients: Coefficients) -> Array:
        """Real and imaginary parts, interleaved."""
        return coefficients.reshape(-1).view(np.float64)

    def as_coefficients(self, vector: Array) -> NDArray[np.complex128]:
        """Pairs of reals as complex numbers."""
        return vector.view(np.complex128).reshape(self.shape)


def _anti_hermitian(plane: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """½(c(k) − c(−k)*)."""
    mirrored = np.conj(plane)
    for axis, n in enumerate(plane.shape):
        mirrored = np.take(mirrored, -np.arange(n), axis, mode="wrap")
    return 0.5 * (plane - mirrored)


def plan(grid: Grid) -> Transform:
    """The transform that belongs to a grid."""
    match grid:
        case Torus():
            return TorusTransform(grid)
        case Box():
            return BoxTransform(grid)
        case _:
            raise ValueError(f"{grid!r}: transforms need a Torus or a Box")


def resample(values: Array, grid: Grid, target: Grid) -> Array:
    """The trigonometric interpolant of values on ``grid`` at the points of another grid of the same domain.

    Coefficients are cut or padded with zeros, axis by axis.
    """
    for j in range(grid.dim):
        values = np.moveaxis(_resample_last(np.moveaxis(values, j, -1), target.shape[j], grid), -1, j)
    return np.ascontiguousarray(values)


def _resample_last(values: Array, n: int, grid: Grid) -> Array:
    old = values.shape[-1]
    if isinstance(grid, Torus):
        return scipy.signal.resample(values, n, axis=-1)
    series = scipy.fft.dct(values, norm="forward", axis=-1)[..., :n]
    return scipy.fft.idct(
        np.pad(series, [(0, 0)] * (values.ndim - 1) + [(0, max(0, n - old))]), norm="forward", axis=-1
    )
