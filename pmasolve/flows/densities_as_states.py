"""Flows whose state is a density ρ: how they start from a potential, and what they return, members that they share.

Every flow of the package returns potentials u with ρ = (∇φ*)_# e^{−g}.  Fokker–Planck and JKO know ρ; their u is the Brenier
potential from ρ to e^{−g}, found by `transport` at the requested times only.  So any two flows compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..calculus.operators import Operators
from ..machine.arrays import Array
from ..maps.transport import transport
from ..problems.densities import log_mass
from ..problems.outcomes import POTENTIAL_NOT_FOUND, REACHED, Outcome
from ..problems.problem import Problem
from .reading import linearise_at, look, need_convex

DENSITY_REMEDY = (
    "the density is known (fields), its Brenier potential only to the accuracy of the semi-dual: refine the grid, or smooth the "
    "densities"
)


def starting_law(problem: Problem, operators: Operators, u: Array) -> Array:
    """log ρ₀ of a start u₀, of mass 1.

    Raises
    ------
    ValueError : |x|²/2 + u₀ is not strictly convex.
    """
    need_convex(operators, u)
    log_density = linearise_at(problem, operators, u).log_density
    return log_density - log_mass(problem.domain, -log_density)  # differences leave a mass near 1


def problem_between(problem: Problem, log_density: Array, other: Array | None = None) -> Problem:
    """The problem from ρ on the grid to e^{−g}, or to another density on the grid."""
    target = (lambda *points: problem.target.at(np.stack(points))) if other is None else -other
    return Problem(problem.domain, -log_density, target)


def brenier_potential(problem: Problem, operators: Operators, log_density: Array) -> tuple[Array, Outcome]:
    """u, mean-free, with (x + ∇u)_# ρ = e^{−g}, and REACHED; or what `transport` had when it failed, and why.

    A potential whose own map folds or whose own density has not the mass 1, as rough ones do, is no answer either.
    """
    found = transport(problem_between(problem, log_density), progress=False)
    if found.outcome.ok:
        return found.potential, look(operators, found.potential, problem).verdict(lambda: DENSITY_REMEDY)
    why = f"the density is known (fields) but its Brenier potential is not; transport: {found.outcome}"
    return found.potential, POTENTIAL_NOT_FOUND.advising(why)


def potential(flow: Any, state: Any) -> Array:
    """u of the Brenier potential from ρ to e^{−g}, mean-free, found by `transport`."""
    return brenier_potential(flow.problem, flow.operators, state.log_density)[0] if state.u is None else state.u


def halted(flow: Any, state: Any) -> Outcome:
    """Whether the state, at which an event ends the run, has a Brenier potential."""
    return REACHED if state.u is not None else brenier_potential(flow.problem, flow.operators, state.log_density)[1]


def fields(flow: Any, state: Any) -> Mapping[str, Array]:
    """What the state carries besides: ``log_density``, log ρ at the nodes."""
    return {"log_density": state.log_density}
