"""Step sizes η_k of the flows that go by steps of their own, `MirrorDescent` and `BregmanProximal`, and the times they reach."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..machine.arrays import Array, integer, number, positive, shown

LONGEST_STEP = 1e100
"""No step of `GrowingSteps` is longer, so that sums of steps are finite."""


class StepSizes(Protocol):
    """Step sizes η_k, k = 0, 1, …, of `MirrorDescent` and `BregmanProximal`."""

    def __call__(self, k: int) -> float:
        """η_k > 0 of step k."""
        ...


@dataclass(frozen=True)
class ConstantSteps:
    """Constant steps η_k = eta of `MirrorDescent`: the average of KL over T steps is O(1/T).

    Parameters
    ----------
    eta : η > 0.

    Raises
    ------
    ValueError : a step that is not positive and finite.

    Examples
    --------
    >>> ConstantSteps(0.1)(7)
    0.1
    """

    eta: float

    def __post_init__(self) -> None:
        positive(self.eta, "eta", "steps")

    def __call__(self, k: int) -> float:
        return self.eta


@dataclass(frozen=True)
class HarmonicSteps:
    """Steps η_k = scale/(k + 1) of `MirrorDescent`: the Bregman divergence is O(log T/T).

    Parameters
    ----------
    scale : M/λ for D²φ ≤ M and a λ-strongly convex −log of the reference density.

    Raises
    ------
    ValueError : a scale that is not positive and finite.

    Examples
    --------
    >>> HarmonicSteps(2.0)(3)
    0.5
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        positive(self.scale, "scale", "steps")

    def __call__(self, k: int) -> float:
        return self.scale / (k + 1)


@dataclass(frozen=True)
class GrowingSteps:
    """Steps η_k = first·factor^k of `BregmanProximal`, up to ``longest``: a road to the Brenier map from any start.

    Parameters
    ----------
    first : η₀ > 0.
    factor : what each step is longer by, ≥ 1.
    longest : no step is longer; 1e100 unless given.

    Raises
    ------
    ValueError : a first or longest step that is not positive, a factor below 1.

    Examples
    --------
    >>> [GrowingSteps(0.1, 10.0, 20.0)(k) for k in range(4)]
    [0.1, 1.0, 10.0, 20.0]
    """

    first: float
    factor: float = 4.0
    longest: float | None = None

    def __post_init__(self) -> None:
        positive(self.first, "first", "steps")
        if not 1 <= number(self.factor, "factor") < np.inf:
            raise ValueError(f"factor={self.factor}: steps grow by a factor ≥ 1, for example 4")
        if self.longest is not None:
            positive(self.longest, "longest", "steps")

    def __call__(self, k: int) -> float:
        with np.errstate(over="ignore"):  # the largest float is long enough
            grown = min(float(self.first * np.float64(self.factor) ** k), LONGEST_STEP)
        return grown if self.longest is None else min(grown, self.longest)


def square_root_steps(count: int) -> ConstantSteps:
    """Constant steps η = T^{−1/2} of `MirrorDescent`: the last iterate has KL O(T^{−1/2}).

    Parameters
    ----------
    count : T ≥ 1, the number of steps that will be taken.

    Returns
    -------
    `ConstantSteps`.

    Examples
    --------
    >>> square_root_steps(100)
    ConstantSteps(eta=0.1)
    """
    return ConstantSteps(integer(count, "count") ** -0.5)


def logarithmic_steps(count: int, scale: float = 1.0) -> ConstantSteps:
    """Constant steps η = scale·log T/T of `MirrorDescent`: the Bregman divergence is O(log T/T).

    Parameters
    ----------
    count : T ≥ 2, the number of steps that will be taken.
    scale : M/λ for D²φ ≤ M and a λ-strongly convex −log of the reference density.

    Returns
    -------
    `ConstantSteps`.

    Raises
    ------
    ValueError : T = 1, whose step would be 0.

    Examples
    --------
    >>> float(logarithmic_steps(100).eta.round(6))
    0.046052
    """
    return ConstantSteps(number(scale, "scale") * np.log(integer(count, "count", 2)) / count)


@dataclass(frozen=True)
class Halved:
    """Each step of a schedule taken as two halves: what errors in η are estimated by."""

    schedule: StepSizes

    def __call__(self, k: int) -> float:
        return 0.5 * self.schedule(k // 2)


def checked_schedule(schedule: StepSizes) -> StepSizes:
    """A schedule, where it can be called; anything else, and the class of one, is a ``ValueError``."""
    if not callable(schedule) or isinstance(schedule, type):
        raise ValueError(f"schedule={shown(schedule)}: give ConstantSteps(eta), or another function k ↦ η_k > 0")
    return schedule


def step_of(schedule: StepSizes, k: int) -> float:
    """η_k, which must be positive."""
    return positive(schedule(k), f"schedule({k})", "steps")


def times_of(schedule: StepSizes, count: int) -> Array:
    """η_0, η_0 + η_1, …: the times of the first ``count`` iterates."""
    return np.cumsum([step_of(schedule, k) for k in range(count)])


def steps_until(schedule: StepSizes, t: float) -> int:
    """k with η_0 + … + η_{k−1} = t; a ``ValueError`` where no sum of the first steps is t."""
    k, reached = 0, 0.0
    while reached < t * (1 - 1e-12):
        before, reached, k = reached, reached + step_of(schedule, k), k + 1
    if abs(reached - t) > 1e-9 * t:
        raise ValueError(
            f"t={t:g} is no sum of the first steps; the nearest are {before:.17g} and {reached:.17g}; see times(count)"
        )
    return k
