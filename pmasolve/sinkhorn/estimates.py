"""How far a run with ε is from the limit ε → 0, estimated by a run with half of it."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ..flows.loop import evolve
from ..flows.protocol import Flow
from ..flows.trajectories import ErrorEstimate, Trajectory, sup_distances
from ..machine.arrays import Array
from .readings import IterateReading


class Entropic(Flow, Protocol):
    """A flow with an ε."""

    @property
    def eps(self) -> float:
        """ε of its kernel."""
        ...


def by_halving(trajectory: Trajectory, reading: IterateReading, halved: Entropic, order: int) -> ErrorEstimate:
    """Time: the distance from the flow with ε/2, given the order in ε.  Space: 2t·exp(−2π²ε/(h² max(φ″, 1/φ″))) of the stiffest φ.

    Parameters
    ----------
    trajectory : of the flow with ε.
    reading : of that flow.
    halved : with ε/2.
    order : in ε, of the distance from the limit.

    Raises
    ------
    ValueError : samples, which have no PMA to be compared with.
    """
    problem = halved.problem
    if not problem.has_densities:
        raise ValueError(
            "errors against PMA need densities, and samples carry weights only; see Plan.duality_gap for the plan's own"
        )
    finer = evolve(halved, trajectory.times, initial=trajectory.initial)
    distances = sup_distances(problem.domain, trajectory.potentials, finer.potentials)
    return ErrorEstimate(
        trajectory.times, distances / (1.0 - 0.5**order), quadrature_error(trajectory, reading, 2 * halved.eps)
    )


def quadrature_error(trajectory: Trajectory, reading: IterateReading, eps: float) -> Array:
    """2t·exp(−2π²ε/(h² max(φ″, 1/φ″))) at a trajectory's times."""
    stiffest = max(reading.look(u, mass=False).stiffness for u in trajectory.potentials)
    return 2 * trajectory.times * np.exp(-2 * np.pi**2 * eps / stiffest)
