"""Fourier series of a torus in the arrays of any library of the array API, in slabs where there are several devices.

Every grid is seen as three-dimensional, (first, middle, last); axes that it does not have are one point long.  Coefficients are
those of `calculus.series.Waves`.  Nothing is written in place, since not every library can.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np

from ...calculus.hessians import packed
from ...calculus.series import signs_of, solid, wavenumbers_of
from ...problems.grids import Grid
from .libraries import ArrayLibrary

OrdersInSpace = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class SpectralDerivatives:
    """Derivatives on one torus; arrays are those of ``library``, on each device its own share of them."""

    grid: Grid
    library: ArrayLibrary

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Points of the three axes."""
        return solid(self.grid.shape, 1)

    @cached_property
    def axes(self) -> list[int]:
        """Which of the three the grid has."""
        return {1: [2], 2: [0, 2], 3: [0, 1, 2]}[self.grid.dim]

    @cached_property
    def waves(self) -> tuple[np.ndarray, ...]:
        """Wavenumbers of the three axes, (n, 1, 1), (1, n, 1), (1, 1, n//2 + 1); 0 for an axis that is not there."""
        return self._along([np.ravel(k) for k in wavenumbers_of(self.grid)])

    @cached_property
    def slopes(self) -> tuple[np.ndarray, ...]:
        """Wavenumbers likewise, but 0 at Nyquist's, where an odd derivative vanishes on the grid."""
        pairs = zip(wavenumbers_of(self.grid), signs_of(self.grid), strict=True)
        return self._along([np.ravel(k * sign**2) for k, sign in pairs])

    def _along(self, parts: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
        return tuple(np.ix_(*solid(parts, np.zeros(1))))

    def forward(self, values: Any) -> Any:
        """Coefficients of values."""
        return self._first(self._halfway(values))

    def values(self, coefficients: Any, orders: Sequence[OrdersInSpace]) -> Iterator[Any]:
        """Derivatives of the series, in the order given; those that agree on the first axes and are neighbours share transforms."""
        for first, branches in groupby(orders, key=lambda order: order[0]):
            planes = self._planes(self._times(coefficients, 0, first))
            for middle, members in groupby(branches, key=lambda order: order[1]):
                rows = self._back(self._times(planes, 1, middle), 1)
                for order in members:
                    yield self.library.xp.fft.irfft(self._times(rows, 2, order[2]), n=self.shape[2], axis=2)

    @cached_property
    def gradient(self) -> list[OrdersInSpace]:
        """First derivatives, along each axis that there is."""
        return [tuple(int(i == axis) for i in range(3)) for axis in self.axes]

    @cached_property
    def hessian(self) -> list[OrdersInSpace]:
        """Second derivatives, packed by rows of the upper triangle."""
        units = np.array(self.gradient)
        return [tuple((units[i] + units[j]).tolist()) for i, j in packed(self.grid.dim)]

    def divergence(self, flux: Sequence[Any]) -> Any:
        """Coefficients of ∑ⱼ ∂ⱼfluxⱼ: all axes but the first are added up before the exchange."""
        across = [self._times(self._halfway(v), axis, 1) for v, axis in zip(flux, self.axes, strict=True) if axis]
        out = self._first(sum(across[1:], across[0]))
        return out + self._times(self.forward(flux[0]), 0, 1) if self.axes[0] == 0 else out

    @cached_property
    def weight(self) -> Any:
        """What makes sums over the half spectrum those of values (Parseval): (1, 1, n//2 + 1)."""
        last = self.shape[2]
        count = np.full((1, 1, last // 2 + 1), 2.0)
        count[..., [0] if last % 2 else [0, last // 2]] = 1.0
        return self.library.constant(count / self.grid.size)

    def inverse(self) -> Any:
        """1/|k|² of this device's coefficients, 0 for the constant."""
        symbol = self._sum([k**2 for k in self.waves])
        return self.library.xp.where(symbol > 0, 1 / self.library.xp.where(symbol > 0, symbol, 1.0), 0.0)

    def unseen(self) -> Any:
        """What of |k|² no gradient sees, Nyquist's modes, of this device's coefficients."""
        return self._sum([k**2 - s**2 for k, s in zip(self.waves, self.slopes, strict=True)])

    def _sum(self, parts: Sequence[np.ndarray]) -> Any:
        first, middle, last = map(self.library.constant, parts)
        return first + self.library.mine(middle, 1) + last

    def _halfway(self, values: Any) -> Any:
        rows = self.library.xp.fft.rfft(values, axis=2)
        return self.library.xp.fft.fft(rows, axis=1) if self.shape[1] > 1 else rows

    def _first(self, planes: Any) -> Any:
        columns = self.library.to_columns(planes)
        return self.library.xp.fft.fft(columns, axis=0) if self.shape[0] > 1 else columns

    def _planes(self, columns: Any) -> Any:
        return self.library.to_planes(self._back(columns, 0))

    def _back(self, a: Any, axis: int) -> Any:
        return self.library.xp.fft.ifft(a, axis=axis) if self.shape[axis] > 1 else a

    def _times(self, a: Any, axis: int, order: int) -> Any:
        """(ik)^order times half-transformed values; nothing to do for order 0."""
        return a * self._factors[axis][order] if order else a

    @cached_property
    def _factors(self) -> list[tuple[Any, Any, Any]]:
        constant, pairs = self.library.constant, zip(self.waves, self.slopes, strict=True)
        return [(None, constant(1j * s), constant(-(k**2))) for k, s in pairs]
