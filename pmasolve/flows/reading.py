"""What can be read off a potential on a grid, its map and its density, and what is asked of every potential that is returned.

A map does not fold, and a density has the mass 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..calculus.operators import Fourier, Operators, Space
from ..machine.arrays import Array
from ..problems.grids import Grid
from ..problems.outcomes import CONVEXITY_LOST, REACHED, UNRESOLVED, Outcome
from ..problems.problem import Problem
from .evolution import convexity, linearise_at

LOST_MASS = 0.05
"""|∫ρ − 1| of the grid's quadrature beyond which a result is not ok: what is left out is seen in no other number."""


def need_convex(operators: Operators, u: Array) -> float:
    """The least eigenvalue of I + D²u at the nodes; a ``ValueError`` for a start where it is not positive."""
    low, _ = convexity(operators, u)
    if not low > 0:
        raise ValueError(
            f"initial: I + D²u₀ has the eigenvalue {low:.3g} ≤ 0, so |x|²/2 + u₀ is not strictly convex; "
            "start from a smaller u₀, or from 0"
        )
    return low


def lost(mass: float, remedy: str) -> Outcome:
    """The outcome of a density whose mass on the grid is not 1."""
    return UNRESOLVED.advising(f"the push-forward has mass {mass:.3g} on the grid, not 1; {remedy}")


def least_stretch(operators: Operators, u: Array) -> float:
    """The least of the eigenvalues of I + D²u at the nodes and of (T_j(x + h_j e_j) − T_j(x))/h_j, T = x + ∇u, between neighbours.

    Positive for a convex potential that the grid resolves.  In a box the neighbours of the outermost nodes are their reflections.
    """
    grid = operators.grid
    between = [float(np.min(_stretches(grid, j, D))) for j, D in enumerate(operators.gradient(u))]
    return min(convexity(operators, u)[0], *between)


def _stretches(grid: Grid, j: int, D: Array) -> Array:
    """1 + (D(x + h e_j) − D(x))/h along axis ``j`` for component ``j`` of a gradient, which is odd at the walls of a box."""
    row = np.moveaxis(np.take(D, grid.neighbours(j, 1), axis=j), j, 0)
    if grid.reflects:
        row[[0, -1]] *= -1.0
    return 1.0 + np.diff(row, axis=0) / grid.spacing[j]


def pushed_mass(problem: Problem, operators: Operators, u: Array) -> float:
    """∫e^{−g(x+∇u)} det(I + D²u) by the grid's quadrature, 1 where the grid resolves the map; NaN where u is not convex."""
    here = linearise_at(problem, operators, u)
    return problem.domain.integral(np.exp(here.log_density)) if here.convex else float("nan")


def inspect(
    problem: Problem, operators: Operators, u: Array, remedy: Callable[[], str], lost_mass: float = LOST_MASS
) -> Outcome:
    """REACHED, or "convexity lost", or "unresolved" for a mass that is wrong by ``lost_mass``; ``remedy()`` ends the advice.

    Densities that vanish have no log-density to be integrated: of them only the map is looked at.
    """
    if not (low := least_stretch(operators, u)) > 0:
        return CONVEXITY_LOST.advising(f"the map x + ∇u folds (least stretch {low:.3g} ≤ 0); {remedy()}")
    if problem.vanishing or lost_mass == np.inf:
        return REACHED
    mass = pushed_mass(problem, operators, u)
    return REACHED if abs(mass - 1.0) <= lost_mass else lost(mass, remedy())


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
