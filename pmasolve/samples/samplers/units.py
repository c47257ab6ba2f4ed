"""The unit in which a sampler works: data about their mean and over their spread, so that no threshold knows metres from miles."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ...machine.arrays import Array
from .potentials import Parametric


@dataclass(frozen=True, eq=False)
class Unit:
    """x = place + spread·w.

    One number for all coordinates: gradients of convex functions stay such under similarities, and under no other linear maps.

    Parameters
    ----------
    place : (d,).
    spread : positive.

    Examples
    --------
    >>> unit = Unit.of(np.array([[1.0, 0.0], [5.0, 0.0], [3.0, 2.0], [3.0, -2.0]]))
    >>> unit.place.tolist(), round(unit.spread**2, 6), unit.back(unit.white(np.ones((1, 2)))).tolist()
    ([3.0, 0.0], 2.0, [[1.0, 1.0]])
    """

    place: Array = field(repr=False)
    spread: float

    @classmethod
    def of(cls, x: Array) -> Unit:
        """Mean of points (n, d), and the root of the mean of the coordinates' variances."""
        return cls(x.mean(axis=0), float(np.sqrt(np.mean(np.var(x, axis=0)))))

    @classmethod
    def same(cls, dim: int) -> Unit:
        """x = w."""
        return cls(np.zeros(dim), 1.0)

    @property
    def log_volume(self) -> float:
        """log det of x in w: densities of x are those of w over e^this."""
        return len(self.place) * float(np.log(self.spread))

    def white(self, x: Array) -> Array:
        """w of points x (n, d)."""
        return (x - self.place) / self.spread

    def back(self, w: Array) -> Array:
        """x of points w (n, d)."""
        return self.place + self.spread * w

    def potential(self, psi: Parametric) -> Parametric:
        """The potential whose gradient is place + spread·∇ψ."""
        return psi.scaled(self.spread, self.place)
