"""The transforms of grids in slabs: those of the package, on a basis whose coefficients are columns."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from ..calculus.series import Amplitudes, Symbol, Waves
from ..calculus.transforms import Transform, transform_of
from ..machine.arrays import Array
from ..problems.grids import Grid
from .columns import Columns
from .domains import SlabTorus
from .series import SlabWaves


class SlabTransform(Transform):
    """Coefficients are those of this rank's columns; what is asked for columns (wavenumbers, signs, isometry) is cut likewise."""

    basis: SlabWaves

    @cached_property
    def wavenumbers(self) -> tuple[Array, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Wavenumbers of each axis, of this rank's columns."""
        return self._cut(self.basis.wavenumbers)

    @cached_property
    def signs(self) -> tuple[Array, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Signs of these wavenumbers; 0 where an odd derivative vanishes on the grid."""
        return self._cut(self.basis.signs)

    @cached_property
    def single(self) -> SlabTransform:
        """A transform of this grid with transposes in float32."""
        return SlabTransform(self.grid, self.basis.single)

    @property
    def isometry(self) -> Array:
        """Factors of the last axis, which is cut in the plane."""
        factors = self.basis.isometry
        return factors[self.basis.mine] if self.grid.dim == 2 and factors.size > 1 else factors

    def _cut(self, axes: tuple[Array, ...]) -> tuple[Array, ...]:
        first, second, *rest = axes
        return (first, second[:, self.basis.mine], *rest)

    def along(self, j: int, multiplier: Array) -> Symbol:
        """Of a multiplier that is known for this rank's columns."""
        if j == 1:
            pieces = self.basis.ranks.gathered(np.ravel(multiplier))
            multiplier = np.concatenate(pieces).reshape(self.basis.wavenumbers[1].shape)
        return super().along(j, multiplier)

    def divergence(self, flux: Array, symbols: Sequence[Symbol], out: Amplitudes) -> Amplitudes:
        """All axes but the first are added up before the transpose: two of these."""
        parts = [
            self.basis.halfway(values, symbol.odd) * _against_planes(symbol)
            for values, symbol in zip(flux[1:], symbols[1:], strict=True)
        ]
        self.basis.finish(sum(parts[1:], parts[0]), False, out)
        first, symbol = self.zeros(), symbols[0]
        self.basis.analyse(flux[0], symbol.odd, first)
        first *= -symbol.factors[0].conj().reshape((-1,) + (1,) * (self.grid.dim - 1))
        out += first
        return out

    def without_mean(self, coefficients: Amplitudes) -> Amplitudes:
        """The constant's is on the first rank."""
        return super().without_mean(coefficients) if self.basis.mine.start == 0 else coefficients


class CoarseTransform(Transform):
    """Of a grid that every rank has whole: alone, but for what goes to grids in slabs."""

    def refined(self, coefficients: Amplitudes, grid: Grid, out: Amplitudes) -> Amplitudes:
        """Modes below Nyquist's of both grids; of slabs this rank's columns."""
        Columns.of(self.grid).refined(coefficients, Columns.of(grid), out)
        return out


def _against_planes(symbol: Symbol) -> Amplitudes:
    """Minus the conjugate of the one factor that is not 1, shaped to broadcast against planes."""
    axis = symbol.odd.index(True)
    return -symbol.factors[axis].conj().reshape((-1,) + (1,) * (2 - axis))


@transform_of.register
def _(grid: SlabTorus) -> Transform:
    return CoarseTransform(grid, Waves(grid)) if grid.whole else SlabTransform(grid, SlabWaves(grid))
