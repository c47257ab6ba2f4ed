"""A trajectory checked by a code that shares nothing with its solver but the grid: Sinkhorn, extrapolated to ε → 0."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..flows.loop import evolve
from ..flows.protocol import objective_of
from ..flows.trajectories import Trajectory, followed, sup_distances
from ..machine.arrays import Array
from ..machine.speaking import count
from ..problems.objectives import KL
from .gauges import PLAIN, SYMMETRIC
from .richardson import Richardson


@dataclass(frozen=True, eq=False)
class CrossCheck:
    """Distance of a trajectory from extrapolated Sinkhorn, and the latter's own estimated error.

    Attributes
    ----------
    times : (m,).
    distance : (m,), sup |u − ũ|, means removed.
    own_error : (m,), estimated error of the extrapolated run.
    """

    times: Array = field(repr=False)
    distance: Array = field(repr=False)
    own_error: Array = field(repr=False)

    def __repr__(self) -> str:
        sizes = f"distance ≤ {np.max(self.distance):.2g}, own error ≤ {np.max(self.own_error):.2g}"
        return f"<CrossCheck at {count(self.times.size, 'time')}: {sizes}>"

    def __str__(self) -> str:
        rows = zip(self.times, self.distance, self.own_error, strict=True)
        return "\n".join(f"t={t:<10.4g} distance {d:.2e}   own error {e:.2e}" for t, d, e in rows)


def cross_check(trajectory: Trajectory, eps: float, *, levels: int = 4) -> CrossCheck:
    """Check a PMA trajectory by a code that shares nothing with its solver but the grid: `Richardson` to the same times.

    Parameters
    ----------
    trajectory : of any flow over a torus or a box.
    eps : largest ε of the ladder; the trajectory's times are its multiples.
    levels : runs of the ladder.

    Returns
    -------
    `CrossCheck`: for each time the sup distance of the two, and the other's own estimated error.

    Raises
    ------
    ValueError : times that are not multiples of ``eps``, samples.
    Stopped : the other run failed, as for ε that the grid does not resolve.

    Examples
    --------
    >>> from pmasolve import MongeAmpere, Problem, Torus, evolve
    >>> problem = Problem(Torus((64,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> flow = evolve(MongeAmpere(problem, rtol=1e-10), times=[0.02])
    >>> bool(cross_check(flow, eps=0.01).distance[0] < 1e-8)
    True
    """
    problem = followed(trajectory).flow.problem
    objective = objective_of(followed(trajectory).flow)
    gauge = SYMMETRIC if objective == KL() else PLAIN
    ladder = Richardson(problem, eps, levels=levels, gauge=gauge, objective=objective)
    other = evolve(ladder, trajectory.times, initial=trajectory.initial)
    distance = sup_distances(problem.domain, trajectory.potentials, other.potentials)
    return CrossCheck(trajectory.times, distance, other.error_estimate().total)
