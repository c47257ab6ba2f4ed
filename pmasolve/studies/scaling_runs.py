"""The methods and the runs of a scaling study: PMA as the reference, with its errors, and Sinkhorn for each ε and gauge, once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from ..calculus.transforms import resample
from ..flows.loop import evolve
from ..flows.monge_ampere import MongeAmpere
from ..flows.refinement import on_finer_grid
from ..flows.trajectories import Stopped, Trajectory
from ..machine.arrays import positive, real
from ..machine.progress import Show
from ..problems.problem import Problem, checked
from ..sinkhorn.gauges import PLAIN, SYMMETRIC, Gauge
from ..sinkhorn.iteration import Sinkhorn
from ..sinkhorn.richardson import extrapolate
from .convergence import Study, compare

LOOSER = 10.0  # the tolerance of the second reference, whose distance from the first is its error in time


@dataclass(frozen=True)
class ScalingMethod:
    """A way to follow PMA by Sinkhorn: runs with ε, ε/2, …, ε/2^(levels−1) in a gauge, extrapolated.

    Attributes
    ----------
    name : in tables.
    gauge : `PLAIN`, or `SYMMETRIC` as extrapolation needs it.
    levels : 1 for no extrapolation.
    order : in ε, expected for smooth densities.
    within : largest distance of an observed order that is accepted: a tenth of the order, for ε that are small enough.

    Examples
    --------
    >>> [method.name for method in SCALING_METHODS], RICHARDSON_METHOD.order
    (['plain', 'symmetric', 'Richardson'], 4.0)
    """

    name: str
    gauge: Gauge
    levels: int
    order: float
    within: float


PLAIN_METHOD = ScalingMethod("plain", PLAIN, 1, 1.0, 0.1)
SYMMETRIC_METHOD = ScalingMethod("symmetric", SYMMETRIC, 1, 2.0, 0.2)
RICHARDSON_METHOD = ScalingMethod("Richardson", SYMMETRIC, 2, 4.0, 0.4)
SCALING_METHODS = (PLAIN_METHOD, SYMMETRIC_METHOD, RICHARDSON_METHOD)


def check_study(problem: Problem, eps: Sequence[float], t: float) -> None:
    """Refuse before any work what cannot be studied: samples, ε that do not decrease or do not divide t."""
    if not checked(problem).has_densities:
        raise ValueError("the problem is made of samples, which PMA has no solver for: give densities on a grid")
    values = real(eps, "eps")
    if values.ndim != 1 or values.size < 2 or np.any(np.diff(values) >= 0):
        raise ValueError(
            f"eps={eps}: an order needs at least two values, decreasing, for example [1/256, 1/512, 1/1024]"
        )
    positive(t, "t", "the time of comparison", "1/32")
    for value in eps:
        Sinkhorn(problem, value).admit(np.array([t]))


def limits(problem: Problem, t: float, initial: ArrayLike | None, rtol: float) -> tuple[Trajectory, ...]:
    """The reference, one at a looser tolerance, and one on twice the points along each axis, read on the reference's grid."""
    flows = [MongeAmpere(problem, rtol=tolerance) for tolerance in (rtol, LOOSER * rtol)]
    tight, loose = (evolve(flow, [t], initial=initial, progress=False) for flow in flows)
    grid, finer = problem.domain, on_finer_grid(flows[0])
    start = resample(tight.initial, grid, finer.problem.domain)
    fine = evolve(finer, [t], initial=start, progress=False).potentials
    potentials = np.stack([resample(u, finer.problem.domain, grid) for u in fine])
    return tight, loose, replace(tight, potentials=potentials)


@dataclass(frozen=True, eq=False)
class Runs:
    """Runs of Sinkhorn that methods share."""

    problem: Problem
    t: float
    initial: ArrayLike | None
    show: Show
    done: dict[tuple[float, Gauge], Trajectory] = field(default_factory=dict)

    def sinkhorn(self, eps: float, gauge: Gauge) -> Trajectory:
        """The run with this ε, made once."""
        if (eps, gauge) not in self.done:
            flow = Sinkhorn(self.problem, eps, gauge=gauge)
            self.done[eps, gauge] = evolve(flow, [self.t], initial=self.initial, progress=False)
            self.show(sum(self.t / value for value, _ in self.done), {"eps": eps})
        return self.done[eps, gauge]

    def of(self, method: ScalingMethod, eps: float) -> Trajectory:
        """What a method makes of the runs with ε, ε/2, …"""
        ladder = [self.sinkhorn(eps / 2**level, method.gauge) for level in range(method.levels)]
        potentials, flow = extrapolate([run.potentials for run in ladder]), ladder[-1].flow
        found = flow.look(potentials[-1]).verdict(lambda: "take smaller ε, or fewer levels")
        run = replace(ladder[-1], potentials=potentials, outcome=found)
        if not found.ok:
            raise Stopped(run)
        return run

    def study(self, method: ScalingMethod, eps: Sequence[float], limit: Trajectory) -> Study:
        """Errors of a method against PMA for each ε, as a `Study`."""
        return Study.over("eps", eps, lambda value: compare(self.of(method, value), limit).last())
