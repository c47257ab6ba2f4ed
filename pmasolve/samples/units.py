"""Samples brought to one scale: points without mass left out, y centred on x and dilated to its spread, and the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..machine.arrays import Array
from ..machine.speaking import count
from ..problems.grids import Cloud
from ..problems.outcomes import Outcome
from ..problems.problem import Problem

SHARED = Outcome("shared points", False)
END_OF_LADDER = "at end of ladder"
LEAST_POINTS = 8  # on each side: halves of four
NEAREST_SPAN = 1e-140  # extent whose square has all its digits
FAR_COORDINATE = 1e70  # and its inverse: potentials are of the square of lengths, and are squared
FLAT_SPREAD = 1e-12  # of the largest coordinate: a spread below it is none


@dataclass(frozen=True, eq=False)
class Units:
    """The problem with y centred on x and dilated to its mean variance, points without mass left out, and the way back.

    ``sampled`` tells which sides are samples; the points of the other stand for a density that is known, and are not halved.
    """

    problem: Problem
    centre: Array
    shift: Array
    ratio: float
    sampled: tuple[bool, bool] = (True, True)

    @classmethod
    def none(cls, problem: Problem) -> Units:
        """All as it is: the flow from |x|²/2 does not commute with dilations of y."""
        (x, a), (y, b) = massive(problem)
        within_reach("x", x, a)
        within_reach("y", y, b)
        zero = np.zeros(x.shape[1])
        return cls(Problem.from_samples(x, y, a, b), zero, zero, 1.0, problem.sampled)

    @classmethod
    def of(cls, problem: Problem) -> Units:
        """The optimal map commutes with translations and dilations of y."""
        (x, a), (y, b) = massive(problem)
        centre, shift = a @ x, b @ y
        spreads = [float(np.sqrt(variance(p, w))) for p, w in ((x, a), (y, b))]
        for name, points, spread in (("x", x, spreads[0]), ("y", y, spreads[1])):
            if not spread > FLAT_SPREAD * np.max(np.abs(points)):
                raise ValueError(
                    f"all points of {name} are equal: the only map is a constant or a translation, without any ε"
                )
        within_reach("x", x, a)
        ratio = spreads[1] / spreads[0]
        scaled = Problem.from_samples(x, (y - shift) / ratio + centre, a, b)
        return cls(scaled, centre, shift, ratio, problem.sampled)

    def back(self, mapped: Array) -> Array:
        """Points of the centred and dilated y in the units of y."""
        return self.shift + self.ratio * (mapped - self.centre)


def variance(points: Array, weights: Array) -> float:
    """The mean over the coordinates of the variance of weighted points (n, dim)."""
    return float(weights @ np.mean((points - weights @ points) ** 2, axis=1))


def within_reach(name: str, points: Array, weights: Array) -> None:
    """A ``ValueError`` where squares of squared distances over- or underflow."""
    farthest = float(np.max(np.abs(points - weights @ points)))
    if farthest and not 1 / FAR_COORDINATE < farthest < FAR_COORDINATE:
        raise ValueError(
            f"{name} has points {farthest:.3g} from its mean: squares of squared distances leave float64; take another unit "
            "of length"
        )


def in_common(x: Array, y: Array) -> int:
    """How many points (rows) of y are points of x, beyond what independent samples of laws with atoms would have.

    Twice as many as have a copy in their own sample, and two, are taken for chance; not where both are the same points.
    """
    (a, n), (b, m) = (np.unique(points, axis=0, return_counts=True) for points in (x, y))
    _, where, times = np.unique(np.concatenate([b, a]), axis=0, return_index=True, return_counts=True)
    found = int(np.sum(m[where[times > 1]]))
    if np.array_equal(a, b) and np.array_equal(n, m):
        return found
    copies = float(np.mean(np.repeat(n, n) > 1)), float(np.mean(np.repeat(m, m) > 1))
    return found if found > 2 + 2 * max(copies) * len(y) else 0


def shared_points(x: Array, y: Array, wrong: str) -> Outcome | None:
    """What is said of samples that are not independent, and what is ``wrong`` for them; None where there is nothing to say."""
    shared = in_common(x, y)
    told = f"{count(shared, 'point')} of y {'is a point' if shared == 1 else 'are points'} of x"
    return SHARED.advising(f"{told}: {wrong} for these; leave them out on one side") if shared else None


def massive(problem: Problem) -> list[tuple[Array, Array]]:
    """Points and weights of both sides, without the points that have no mass."""
    clouds = [nodes for nodes in (problem.domain, problem.codomain) if isinstance(nodes, Cloud)]
    kept = [(cloud, np.asarray(cloud.weights)) for cloud in clouds]
    return [(cloud.points[weights > 0], weights[weights > 0]) for cloud, weights in kept]
