"""Where the states of a sampler live: parameters of a potential, less those at the start."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...machine.arrays import Array, real
from ...machine.speaking import count


@dataclass(frozen=True)
class Parameters:
    """R^p, in place of a grid: shape, words, and the gate for a start.

    Parameters
    ----------
    count : p.
    dim : of the space of the potential.
    of : what has them.

    Examples
    --------
    >>> Parameters(7, 2).words
    '7 parameters of a potential in 2 dimensions'
    """

    count: int
    dim: int
    of: str = "a potential"

    @property
    def shape(self) -> tuple[int, ...]:
        """(p,)."""
        return (self.count,)

    @property
    def local(self) -> tuple[int, ...]:
        """(p,): no other process has any."""
        return self.shape

    @property
    def words(self) -> str:
        """For the one line of a trajectory."""
        return f"{count(self.count, 'parameter')} of {self.of} in {count(self.dim, 'dimension')}"

    def values(self, initial: ArrayLike, name: str) -> Array:
        """The given parameters, less those of the start: (p,) finite numbers."""
        u = real(initial, name)
        if u.shape != self.shape or not np.isfinite(u).all():
            raise ValueError(f"{name} of shape {u.shape}: give {self.count} finite parameters, less those at the start")
        return u

    def centred(self, u: Array) -> Array:
        """Parameters have no constant that could be removed."""
        return u
