"""What a trajectory of a sampler reads off its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from ...machine.arrays import Array
from .inversion import INVERSE_TOL
from .laws import log_density, pushed
from .potentials import Parametric
from .reference import Reference
from .units import Unit


@dataclass(frozen=True, eq=False)
class OnReference:
    """Readings of parameters: maps at 1024 points of the reference.

    Parameters
    ----------
    reference : e^{−g}.
    first : the potential at the start.
    unit : in which the parameters are.
    """

    reference: Reference
    first: Parametric
    unit: Unit

    @cached_property
    def points(self) -> Array:
        """Sobol' points of the reference, (1024, d)."""
        return self.reference.sobol(1024).points

    def map(self, u: Array, v: Array | None = None) -> Array:
        """∇ψ at the points, (1024, d)."""
        return self.unit.back(pushed(self.first.placed(self.first.params + u), self.points))

    def log_density(self, u: Array) -> Array:
        """log ρ at the points, (1024,)."""
        psi = self.first.placed(self.first.params + u)
        here = log_density(psi, self.reference, self.unit.white(self.points), self.points, INVERSE_TOL)[0]
        return here - self.unit.log_volume
