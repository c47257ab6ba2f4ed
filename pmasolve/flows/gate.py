"""What is asked of every potential that a flow on a grid returns: a map that does not fold, and a density of mass 1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..calculus.operators import Operators
from ..machine.arrays import Array
from ..problems.grids import Box, Grid
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
    if isinstance(grid, Box):
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
