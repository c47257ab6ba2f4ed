"""Errors of a trajectory, estimated by running its flow again closer to the limit: in time, then on a finer grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..calculus.transforms import resample
from ..machine.arrays import Array
from .loop import evolve
from .protocol import Flow
from .trajectories import ErrorEstimate, Trajectory, sup_distances


def by_refinement(
    trajectory: Trajectory, closer: Flow, factor: float = 1.0, finer: Flow | None = None
) -> ErrorEstimate:
    """Sup distances, constants removed, on the trajectory's grid: from a flow closer in time, and of that from one on a finer grid.

    Parameters
    ----------
    trajectory : on a torus or a box.
    closer : the trajectory's flow with a smaller error in time: a tighter tolerance, a shorter step.
    factor : the error in time is this times the distance: 1/(1 − 2^−p) where ``closer`` halves the step of a scheme of order p.
    finer : ``closer`` on a grid of the same domain with more points; unless given on ``problem.domain.refined``.

    Returns
    -------
    Estimates at the trajectory's times.  Cost: that of both runs.
    """
    close = evolve(closer, trajectory.times, initial=trajectory.initial)
    return ErrorEstimate(
        trajectory.times,
        factor * sup_distances(closer.problem.domain, trajectory.potentials, close.potentials),
        _distance_to(finer or on_finer_grid(closer), close),
    )


def on_finer_grid(flow: Flow) -> Flow:
    """The flow, a dataclass, over its problem on twice the points along each axis."""
    return replace(flow, problem=flow.problem.on(flow.problem.domain.refined))  # pyright: ignore[reportArgumentType]


def _distance_to(finer: Flow, close: Trajectory) -> Array:
    grid, fine = close.flow.problem.domain, finer.problem.domain
    reference = evolve(finer, close.times, initial=resample(close.initial, grid, fine)).potentials
    return sup_distances(grid, close.potentials, np.stack([resample(u, fine, grid) for u in reference]))
