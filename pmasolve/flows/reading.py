"""What can be read off a potential on a grid: its map, its density, and whether they are fit to be quoted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..calculus.operators import Fourier, Operators, Space
from ..machine.arrays import Array
from ..problems.outcomes import Outcome
from ..problems.problem import Problem
from .evolution import convexity, linearise_at
from .gate import LOST_MASS, inspect, need_convex


@dataclass(frozen=True, eq=False)
class OnGrid:
    """Readings by derivatives on a torus or a box: those of most flows.

    Parameters
    ----------
    problem : densities; only maps without them.
    space : derivatives.

    Examples
    --------
    >>> from pmasolve import Problem, Torus
    >>> reading = OnGrid(Problem(Torus((8,)), np.zeros(8), np.zeros(8)))
    >>> reading.map(np.zeros(8)).shape, float(np.max(np.abs(reading.log_density(np.zeros(8)))))
    ((1, 8), 0.0)
    """

    problem: Problem
    space: Space = field(default=Fourier())

    @cached_property
    def operators(self) -> Operators:
        """The discretisation on the grid."""
        return self.space.on(self.problem.domain)

    def map(self, u: Array, v: Array | None = None) -> Array:
        """x + ∇u, (dim, *shape); a half step ``v`` before u is not needed."""
        return self.problem.domain.points + self.operators.gradient(u)

    def log_density(self, u: Array) -> Array:
        """log ρ = −g(x+∇u) + log det(I + D²u), of ρ = (∇φ*)_# e^{−g}."""
        return linearise_at(self.problem, self.operators, u).log_density

    def admit(self, u: Array) -> None:
        """Refuse a start that is not strictly convex: a ``ValueError``."""
        need_convex(self.operators, u)

    def stiffness(self, u: Array) -> float:
        """h² max(φ″, 1/φ″), ∞ where φ is not strictly convex at the nodes: e^{−|x−y|²/2ε} is summed up to exp(−2π²ε/this)."""
        low, high = convexity(self.operators, u)
        return max(self.problem.domain.spacing) ** 2 * max(high, 1.0 / low) if low > 0 else np.inf

    def inspect(self, u: Array, quadrature: float, remedy: Callable[[], str]) -> Outcome:
        """Whether the map of u does not fold and its density has mass 1, of which ``quadrature`` = 1 asks nothing."""
        return inspect(self.problem, self.operators, u, remedy, LOST_MASS if quadrature < 1 else np.inf)
