"""What can be read off a potential of Sinkhorn's: the map, the density, and whether the nodes resolve ε.

On a grid potentials are functions by interpolation, and all is read off their derivatives.  On a cloud they are functions
because a half step defines them everywhere (`potentials.Potential`), and there is a map but no density.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from ..calculus.operators import Operators, Space
from ..flows.evolution import convexity, linearise_at
from ..flows.gate import LOST_MASS, inspect, need_convex
from ..machine.arrays import Array
from ..problems.grids import Cloud
from ..problems.outcomes import REACHED, Outcome
from ..problems.problem import Problem
from .potentials import Potential


class Reading(Protocol):
    """What a flow of Sinkhorn iterates asks of its domain."""

    @property
    def operators(self) -> Operators:
        """Derivatives of values at the nodes."""
        ...

    def map(self, u: Array, v: Array | None) -> Array:
        """x + ∇u at the nodes, (dim, *shape); v is the half step before u."""
        ...

    def log_density(self, u: Array) -> Array:
        """log ρ at the nodes."""
        ...

    def admit(self, u: Array) -> None:
        """Refuse a start that is not strictly convex on a grid; clouds take all."""
        ...

    def stiffness(self, u: Array) -> float:
        """h² max(φ″, 1/φ″) of a grid, ∞ where φ is not convex: its quadrature error is exp(−2π²ε/this)."""
        ...

    def resolution(self, u: Array, quadrature: float) -> Outcome:
        """REACHED, or the outcome that names the least ε these nodes resolve."""
        ...

    def inspect(self, u: Array, quadrature: float, remedy: Callable[[], str]) -> Outcome:
        """REACHED, or why a potential that is returned has no map or density to be quoted, with a remedy."""
        ...


def reading(problem: Problem, eps: float, space: Space) -> Reading:
    """The reading of a problem's domain."""
    return OnCloud(problem, eps) if isinstance(problem.domain, Cloud) else OnGrid(problem, eps, space)


@dataclass(frozen=True, eq=False)
class OnGrid:
    """Readings by derivatives on a torus or a box."""

    problem: Problem
    eps: float
    space: Space

    @cached_property
    def operators(self) -> Operators:
        """The discretisation on the grid."""
        return self.space.on(self.problem.domain)

    def map(self, u: Array, v: Array | None) -> Array:
        """x + ∇u."""
        return self.problem.domain.points + self.operators.gradient(u)

    def log_density(self, u: Array) -> Array:
        """log ρ = −g(x+∇u) + log det(I + D²u)."""
        return linearise_at(self.problem, self.operators, u).log_density

    def admit(self, u: Array) -> None:
        """Refuse a start that is not strictly convex."""
        need_convex(self.operators, u)

    def stiffness(self, u: Array) -> float:
        """h² max(φ″, 1/φ″), ∞ where φ is not strictly convex at the nodes."""
        low, high = convexity(self.operators, u)
        return max(self.problem.domain.spacing) ** 2 * max(high, 1.0 / low) if low > 0 else np.inf

    def resolution(self, u: Array, quadrature: float) -> Outcome:
        """Whether the grid resolves ε for this potential."""
        stiffness = self.stiffness(u)
        if stiffness == np.inf:
            return UNRESOLVED
        least = stiffness * -np.log(quadrature) / (2 * np.pi**2)
        return REACHED if self.eps >= least else _unresolved(self.eps, least)

    def inspect(self, u: Array, quadrature: float, remedy: Callable[[], str]) -> Outcome:
        """Whether the map of u does not fold and its density has mass 1, of which ``quadrature`` = 1 asks nothing."""
        return inspect(self.problem, self.operators, u, remedy, LOST_MASS if quadrature < 1 else np.inf)


@dataclass(frozen=True, eq=False)
class OnCloud:
    """Readings by conditional means."""

    problem: Problem
    eps: float

    @property
    def operators(self) -> Operators:
        """None exist: a ``ValueError``."""
        raise ValueError("values at the points of a cloud have no derivatives; use Plan.of(trajectory, i).phi.gradient")

    def map(self, u: Array, v: Array | None) -> Array:
        """The barycentric map E[y|x] = ∇φ at the points, by one pass over all pairs."""
        if v is None or np.isnan(v).any():
            raise ValueError(
                "the map of a cloud is the conditional mean under the half step before the potential, and there is none: "
                "at t = 0 the potential is known at the points only; ask for t ≥ eps"
            )
        return Potential(self.problem.nu, v, self.eps).map(self.problem.domain.points.T)

    def log_density(self, u: Array) -> Array:
        """Not known for samples: a ``ValueError``."""
        raise ValueError(
            "ρ = e^(−g(∇φ)) det D²φ needs the target's density e^(−g), and samples carry weights only; "
            "for the marginal of the plan use log_source_marginal, for densities Problem.from_densities on a grid"
        )

    def admit(self, u: Array) -> None:
        """A half step of any potential is convex: nothing to refuse."""

    def stiffness(self, u: Array) -> float:
        """The distance of samples from PMA cannot be estimated: a ``ValueError``."""
        raise ValueError(
            "errors against PMA need densities, and samples carry weights only; see Plan.duality_gap for the plan's own"
        )

    def resolution(self, u: Array, quadrature: float) -> Outcome:
        """The points are the problem, not a discretisation of it: REACHED."""
        return REACHED

    def inspect(self, u: Array, quadrature: float, remedy: Callable[[], str]) -> Outcome:
        """The barycentric map is the gradient of a convex function, and no density is claimed: REACHED."""
        return REACHED


UNRESOLVED = Outcome(
    "eps unresolved", False, "the potential on the grid is not convex; refine the grid or take a larger ε"
)


def _unresolved(eps: float, least: float) -> Outcome:
    advice = (
        f"eps={eps:.3g} is below {least:.3g}, the least that this grid resolves for this potential; take a larger ε, "
        "refine the grid, or accept a larger quadrature error by quadrature=…"
    )
    return Outcome("eps unresolved", False, advice)
