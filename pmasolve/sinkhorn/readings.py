"""What can be read off a potential of Sinkhorn's: the map, the density, and whether the nodes resolve ε.

On a grid potentials are functions by interpolation, and all is read off their derivatives (`flows.reading.OnGrid`).  On a cloud
they are functions because a half step defines them everywhere (`potentials.Potential`), and there is a map but no density.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..calculus.operators import Operators, Space
from ..flows.reading import OnGrid, Seen
from ..machine.arrays import Array
from ..problems.grids import Cloud
from ..problems.outcomes import EPS_UNRESOLVED, REACHED, Outcome
from ..problems.points import PointsLike
from ..problems.problem import Problem

NOT_CONVEX = EPS_UNRESOLVED.advising("the potential on the grid is not convex; refine the grid or take a larger ε")


class PotentialFunction(Protocol):
    """A potential as a function of any points, as far as its map."""

    def map(self, x: PointsLike) -> Array:
        """x + ∇u at points (n, dim) as (n, dim)."""
        ...


class IterateReading(Protocol):
    """What a flow of Sinkhorn iterates asks of its domain."""

    @property
    def operators(self) -> Operators:
        """Derivatives of values at the nodes."""
        ...

    def map(self, u: Array, v: Array | None = None) -> Array:
        """x + ∇u at the nodes, a field (dim, *shape), or (n, dim) at the points of a cloud; v is the half step before u."""
        ...

    def log_density(self, u: Array) -> Array:
        """log ρ at the nodes, of their shape."""
        ...

    def look(self, u: Array, mass: bool = True) -> Seen:
        """What is to be seen of a potential at the nodes, and the mass of its density if wanted: `Seen` makes verdicts of it."""
        ...


def reading(problem: Problem, space: Space, function: Callable[[Array], PotentialFunction]) -> IterateReading:
    """What can be read off potentials of a problem: `OnCloud` for samples, `OnGrid` for densities.

    ``function(v)`` is what a flow returns as a function of any points, from the half step v before it.
    """
    return OnCloud(problem, function) if isinstance(problem.domain, Cloud) else OnGrid(problem, space)


def resolution_outcome(seen: Seen, eps: float, quadrature: float) -> Outcome:
    """REACHED, or the outcome that names the least ε that the nodes resolve for a potential that was looked at.

    A potential that is not convex at the nodes does not tell the least ε: its outcome is `NOT_CONVEX`.
    """
    stiffness = seen.stiffness
    if stiffness == np.inf:
        return NOT_CONVEX
    least = stiffness * -np.log(quadrature) / (2 * np.pi**2)
    if eps >= least:
        return REACHED
    return EPS_UNRESOLVED.advising(
        f"eps={eps:.3g} is below {least:.3g}, the least that this grid resolves for this potential; take a larger ε, "
        "refine the grid, or accept a larger quadrature error by quadrature=…"
    )


@dataclass(frozen=True, eq=False)
class OnCloud:
    """Readings of samples, by conditional means."""

    problem: Problem
    function: Callable[[Array], PotentialFunction]

    @property
    def operators(self) -> Operators:
        """Values at points have no derivatives: a ``ValueError``."""
        raise ValueError("values at the points of a cloud have no derivatives; use Plan.of(trajectory, i).phi.gradient")

    def map(self, u: Array, v: Array | None = None) -> Array:
        """x + ∇u at the points, (n, dim): in the plain gauge E[y|x] = ∇φ, the barycentric map; one pass over all pairs or two."""
        if v is None or np.isnan(v).any():
            raise ValueError(
                "the map of a cloud is the conditional mean under the half step before the potential, and there is none: "
                "at t = 0 the potential is known at the points only; ask for t ≥ eps"
            )
        return self.function(v).map(self.problem.domain)

    def log_density(self, u: Array) -> Array:
        """Not known for samples: a ``ValueError``."""
        raise ValueError(
            "ρ = e^(−g(∇φ)) det D²φ needs the target's density e^(−g), and samples carry weights only; "
            "for the marginal of the plan use log_source_marginal, for densities Problem.from_densities on a grid"
        )

    def look(self, u: Array, mass: bool = True) -> Seen:
        """Nothing to be refused: a half step is convex, the points are the problem and no grid, and no density is claimed."""
        return Seen(1.0, 1.0, 1.0, None, 0.0)
