"""The words that transforms of tori (`waves`) and boxes (`cosines`) share: coefficients, symbols, the protocol of a basis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..machine.arrays import Array
from ..problems.grids import Grid

Coefficients = NDArray[np.float64] | NDArray[np.complex128]
Part = TypeVar("Part")


@dataclass(frozen=True)
class Symbol:
    """What a derivative multiplies coefficients by: the product of one factor along each axis.

    Every grid is seen as three-dimensional, (first, middle, last): in the plane the middle axis has one point, on a line the first
    one too.

    Attributes
    ----------
    odd : for each of the three, whether the derivative is of odd order there: cosines become sines.
    factors : of each of the three, flat.
    """

    odd: tuple[bool, ...]
    factors: tuple[Coefficients, ...]


EVEN = (False, False, False)


def solid(axes: Sequence[Part], missing: Part) -> tuple[Part, Part, Part]:
    """What belongs to the axes of a grid, as (first, middle, last)."""
    return axes[0] if len(axes) > 1 else missing, axes[1] if len(axes) > 2 else missing, axes[-1]


class Basis(Protocol):
    """Products of functions of one coordinate each, on one grid, with room for one array of coefficients.

    From coefficients to values it goes axis by axis, so that derivatives that agree on the first axes can share what is done there.
    """

    shape: tuple[int, ...]  # of the coefficients
    unit: complex  # what a derivative along an axis multiplies by, besides the wavenumber
    slabs: tuple[slice, ...]  # blocks of the first axis

    @property
    def wavenumbers(self) -> tuple[Array, ...]:
        """Wavenumbers of each axis in radians per unit length, shaped to broadcast against the coefficients."""

    @property
    def signs(self) -> tuple[Array, ...]:
        """Sign of the wavenumber of each axis; 0 where an odd derivative vanishes on the grid."""

    @property
    def isometry(self) -> Array:
        """Factors of the last axis that make the coefficients' Euclidean norm that of the values."""

    @property
    def room(self) -> Coefficients:
        """An array of coefficients that ``analyse`` may fill and ``first`` may write over."""

    def zeros(self) -> Coefficients:
        """Coefficients of 0."""

    def analyse(self, values: Array, odd: tuple[bool, ...], out: Coefficients) -> None:
        """Coefficients, in ``out``, of values that continue oddly beyond walls along the axes ``odd``."""

    def first(self, coefficients: Coefficients, symbol: Symbol) -> None:
        """Times the symbol's first factor, then from wavenumbers to points along the first axis, in room of its own."""

    def middle(self, slab: slice, symbol: Symbol) -> Coefficients:
        """The next axis for a slab of these, as rows along the last axis that must not be written to."""

    def last(self, rows: Coefficients, symbol: Symbol, out: Array) -> None:
        """The last axis: values, in ``out``."""

    def refined(self, coefficients: Coefficients, grid: Grid, out: Coefficients) -> None:
        """Coefficients of the same function on another grid."""

    def keep_redundant(self, coefficients: Coefficients, original: Coefficients) -> None:
        """Put back what of ``original`` no real function has."""
