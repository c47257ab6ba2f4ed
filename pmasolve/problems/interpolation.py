"""Sampled densities composed with spectral accuracy, by a nonuniform FFT; the only importer of finufft (extra ``spectral``).

Barnett, Magland, af Klinteberg, SIAM J. Sci. Comput. 41 (2019), arXiv 1808.06736.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..machine.arrays import Array
from ..machine.extras import extra
from .densities import Function
from .grids import Grid, Torus

with extra("spectral"):
    import finufft

_EVALUATE = {1: finufft.nufft1d2, 2: finufft.nufft2d2, 3: finufft.nufft3d2}


@dataclass(frozen=True)
class Spectral:
    """The trigonometric interpolant of the samples, evaluated to relative precision ``tolerance``.

    Only on a torus, with an odd or even number of points (the Nyquist mode of an even axis is dropped: it has no derivative on
    the grid).  Cost: one FFT and about 0.5 µs a point in 2D.

    Examples
    --------
    >>> torus = Torus((16,))
    >>> f = Spectral().of(torus, np.cos(2 * np.pi * torus.axis(0)))
    >>> bool(abs(f(np.array([[0.1]]))[0] - np.cos(0.2 * np.pi)) < 1e-12)
    True
    """

    tolerance: float = 1e-13

    def of(self, grid: Grid, samples: Array) -> Function:
        """The trigonometric interpolant of ``samples`` (grid.shape).

        Raises
        ------
        ValueError : a box.
        """
        if grid.reflects:
            raise ValueError(f"{grid!r}: Spectral needs a Torus; on a box use Spline(5)")
        modes = np.fft.fftshift(np.fft.fftn(samples)) / samples.size
        for axis, n in enumerate(samples.shape):
            if n % 2 == 0:
                np.moveaxis(modes, axis, 0)[0] = 0.0
        return Function(grid.dim, TrigonometricSeries(grid, modes, self.tolerance))


@dataclass(frozen=True, eq=False)
class TrigonometricSeries:
    """∑ₖ cₖ exp(2πi k·x/L): coordinates (dim, …) to values (…)."""

    grid: Torus
    modes: NDArray[np.complex128] = field(repr=False)
    tolerance: float

    @property
    def interpolation(self) -> Spectral:
        """The options of the series: `Spectral` of its tolerance."""
        return Spectral(self.tolerance)

    def __call__(self, points: Array) -> Array:
        angles = [np.ravel(p) * (2 * np.pi / length) for p, length in zip(points, self.grid.lengths, strict=True)]
        values = _EVALUATE[self.grid.dim](*angles, self.modes, eps=self.tolerance, isign=1)
        return np.ascontiguousarray(values.real).reshape(points.shape[1:])
