"""Planned transforms of a grid: real FFTs on the torus, cosine transforms on the box.

A transform turns values into coefficients and evaluates any derivative from them; ``isometry`` and ``as_vector`` make the
coefficients a real vector with the same Euclidean norm as the values (Parseval), the state that the time integrator sees.
pyfftw serves where it is installed (planned once, no allocation), scipy.fft otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..machine.arrays import Array
from ..problems.grids import Box, Grid, Interleaved, Torus
from .boxes import BoxTransform
from .cosines import InterleavedTransform
from .ffts import Weigh, pairs
from .halves import RealLine, fold, planar, unfold
from .series import Coefficients, Derivatives, Group, Orders, Series


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

    def derivative(self, coefficients: Coefficients, orders: Orders, out: Array) -> Array:
        """∂^orders of the series at the grid points, written to ``out``; the coefficients are left alone."""

    @property
    def series(self) -> Derivatives:
        """Several derivatives at once, cheaper than one by one."""

    @property
    def working(self) -> tuple[Grid, Transform]:
        """The same transform with the points in the order that costs least, and the grid that lists them so."""

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
class _Factor:
    """One real number for each row or column of the half spectrum, times i if ``odd``."""

    values: Array
    odd: bool


@njit(cache=True, nogil=True)
def _multiply_rows(c, factor, odd, begin, end, out):
    """The rows' products; real and imaginary parts lie side by side."""
    one, two = np.uint64(1), np.uint64(2)
    for r in range(begin, end):
        a = factor[r]
        if odd:
            for k in range(np.uint64(c.shape[1] // 2)):
                out[r, two * k], out[r, two * k + one] = -a * c[r, two * k + one], a * c[r, two * k]
        else:
            for k in range(np.uint64(c.shape[1])):
                out[r, k] = a * c[r, k]


class TorusTransform:
    """Real FFT of a periodic grid; the last axis holds the half spectrum."""

    def __init__(self, torus: Torus) -> None:
        self.torus, self.series = torus, Series(torus, self)
        self.shape = self.series.plan.work.shape
        self._line = RealLine(torus.shape[-1])
        self._unfolding = planar(self._line.unfolding)[:, :-1].copy()

    @property
    def working(self) -> tuple[Grid, Transform]:
        """This one."""
        return self.torus, self

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

    def derivative(self, coefficients: Coefficients, orders: Orders, out: Array) -> Array:
        """As in `Transform`."""
        self.series.derivatives(coefficients, (orders,), (out,))
        return out

    def leading(self, orders: Orders) -> _Factor:
        """(ik)^orders/N."""
        parts = zip(self.wavenumbers[:-1], self._odd[:-1], orders, strict=True)
        return self._product([_power(k, odd, order) for k, odd, order in parts], sum(orders))

    def weighing(self, order: int) -> Weigh:
        """(ik)^order."""
        return self._weighing(np.ravel(_power(self.wavenumbers[-1], self._odd[-1], order)) * 1j**order)

    def _weighing(self, factors: Array | NDArray[np.complex128]) -> Weigh:
        """Folds rows times ``factors``."""
        weights, last = planar(self._line.folding(factors)), self._line.points // 2
        return lambda lines, folded: fold(lines, weights, last, folded)

    def _unfold(self, folded: Array, lines: Array) -> None:
        """Half spectra."""
        if self._line.odd:
            lines[...] = folded
        else:
            unfold(folded, self._unfolding, lines)

    def _product(self, parts: Sequence[Array], order: int) -> _Factor:
        """That of the leading axes' factors, with i^order/N."""
        rows = np.broadcast_to(prod(parts, start=np.ones(1)), (*self.shape[:-1], 1))
        return _Factor(rows.ravel() * (_sign(order) / self.torus.size), order % 2 == 1)

    def rows(self, coefficients: Coefficients) -> Array:
        """Real and imaginary parts side by side."""
        return pairs(coefficients)

    def fill(self, source: Array, leading: _Factor, rows: slice, lines: Array) -> None:
        """As in `Basis`."""
        _multiply_rows(source, leading.values, leading.odd, rows.start, rows.stop, lines)

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
        out = np.empty(self.shape, np.complex128) if out is None else out
        return self.series.plan.forward(np.ascontiguousarray(values, dtype=np.float64), out, self._unfold)

    @cached_property
    def signs(self) -> tuple[Array, ...]:
        """±1, and 0 at Nyquist."""
        return tuple(np.sign(odd) for odd in self._odd)

    def slope(self, coefficients: Coefficients, multipliers: tuple[Array, ...], j: int, out: Array) -> Array:
        """irfftn of the coefficients times i·multiplier."""
        last = len(multipliers) - 1
        parts = [m if i == j else np.ones_like(m) for i, m in enumerate(multipliers)]
        leading, along = self._product(parts[:last], int(j < last)), np.ravel(parts[last]) * (1j if j == last else 1.0)
        self.series.synthesise(coefficients, Group(leading, ((0, self._weighing(along)),)), out)
        return out

    def divergence(self, flux: Array, multipliers: tuple[Array, ...], out: Coefficients) -> NDArray[np.complex128]:
        """∑ⱼ i·multiplierⱼ · rfftn(fluxⱼ)."""
        for j, multiplier in enumerate(multipliers):
            into = self.forward(flux[j], self.series.plan.work if j else out)
            into *= 1j * multiplier
            if j:
                out += into
        return out

    @cached_property
    def _mirrored(self) -> NDArray[np.intp]:
        """The row of −k for each row of the half spectrum."""
        modes = (-np.arange(n) % n for n in self.shape[:-1])
        index = np.arange(prod(self.shape[:-1])).reshape(self.shape[:-1])
        return index[np.ix_(*modes)].ravel()

    def keep_redundant(self, coefficients: Coefficients, original: Coefficients) -> NDArray[np.complex128]:
        """Two planes of the half spectrum hold both k and −k; their anti-Hermitian parts belong to no real function."""
        n = self.torus.shape[-1]
        c, o = (array.reshape(-1, self.shape[-1]) for array in (coefficients, original))
        for plane in (0, n // 2) if n % 2 == 0 else (0,):
            _keep_anti_hermitian(c, o, plane, self._mirrored)
        return coefficients

    def as_vector(self, coefficients: Coefficients) -> Array:
        """Real and imaginary parts, interleaved."""
        return coefficients.reshape(-1).view(np.float64)

    def as_coefficients(self, vector: Array) -> NDArray[np.complex128]:
        """Pairs of reals as complex numbers."""
        return vector.view(np.complex128).reshape(self.shape)


def _power(k: Array, odd: Array, order: int) -> Array:
    return odd**order if order % 2 else k**order


def _sign(order: int) -> float:
    """i^order, or that over i."""
    return (-1.0) ** (order // 2)


@njit(cache=True, nogil=True)
def _keep_anti_hermitian(c, original, plane, mirrored):
    """Give one plane of c the part ½(o(k) − o(−k)*) of the original."""
    for r in range(c.shape[0]):
        m = mirrored[r]
        if r <= m:
            x, y = original[r, plane] - c[r, plane], original[m, plane] - c[m, plane]
            lost = 0.5 * (x - y.conjugate())
            c[r, plane] += lost
            if r < m:
                c[m, plane] -= lost.conjugate()


def plan(grid: Grid) -> Transform:
    """The transform that belongs to a grid."""
    match grid:
        case Torus():
            return TorusTransform(grid)
        case Box():
            return BoxTransform(grid)
        case Interleaved():
            return InterleavedTransform(grid)
        case _:
            raise ValueError(f"{grid!r}: transforms need a Torus or a Box")
