"""What looks on while a flow runs: told of every step by the one loop, it may save, draw, or end the run."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from ..machine import archives, progress
from ..machine.arrays import Array, having, keep_integers, positive, shown
from ..problems.outcomes import REACHED, Outcome
from .files import save
from .protocol import Flow, fields_of
from .trajectories import Trajectory


@dataclass(frozen=True, eq=False)
class Step:
    """A step that was just taken, as ``on_step`` of `evolve` is told of it; what costs something is computed when it is asked for.

    Attributes
    ----------
    flow : what runs.
    t : the time reached.
    record : the diagnostics of the step, numbers by name.
    count : of the steps since the run began, from 1.
    potential : u at t, of the domain's shape.
    now : a `Trajectory` of the one time t, for its map, density and picture.

    Examples
    --------
    >>> from pmasolve import MongeAmpere, Problem, Torus, evolve
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> seen = []
    >>> run = evolve(MongeAmpere(problem), [0.01], on_step=lambda step: seen.append(step.now.map(0).shape))
    >>> len(seen) == run.records["t"].size, seen[0]
    (True, (1, 32))
    """

    flow: Flow
    t: float
    record: Mapping[str, float]
    count: int
    state: Any = field(repr=False)
    so_far: Callable[[], Trajectory] = field(repr=False)

    @cached_property
    def potential(self) -> Array:
        """u at t."""
        return self.flow.potential(self.state)

    @cached_property
    def now(self) -> Trajectory:
        """The flow at t alone."""
        columns = {name: values[None] for name, values in fields_of(self.flow, self.state).items()}
        u = self.potential
        return Trajectory(self.flow, np.array([self.t]), u[None], REACHED, (self.t, u), u, columns)

    def run(self) -> Trajectory:
        """The run so far: the requested times that are reached, all records, and this step as its ``latest``."""
        return self.so_far()


OnStep = Callable[[Step], Outcome | None]


def listeners(on_step: OnStep | Sequence[OnStep]) -> tuple[OnStep, ...]:
    """One callable or several, as a tuple.

    Raises
    ------
    ValueError : something that cannot be called.
    """
    given = (on_step,) if callable(on_step) else tuple(on_step) if isinstance(on_step, Sequence) else (on_step,)
    for one in given:
        if not callable(one) or isinstance(one, type):
            raise ValueError(
                f"on_step={shown(one)}: give a function of a Step, SaveEvery(…), StopWhen(…), or a list of such"
            )
    return given


class ListenerFailed(Exception):
    """A function given as ``on_step`` raised an error, its cause: the run so far must not go down with it."""


def asked(listener: OnStep, step: Step) -> Outcome | None:
    """What a listener says to a step.

    Raises
    ------
    ListenerFailed : it raised an error, or returned what is neither None nor an outcome.
    """
    try:
        answer = listener(step)
        if not (answer is None or isinstance(answer, Outcome)):
            raise ValueError(f"on_step returned {shown(answer)}: return None to go on, or an Outcome to end the run")
    except Exception as error:
        raise ListenerFailed from error
    return answer


@dataclass(eq=False)
class Every:
    """When something is due: after every so many steps, or once so many seconds are gone.

    Parameters
    ----------
    steps, seconds : one of the two, positive.

    Raises
    ------
    ValueError : none or both, or one that is not positive.

    Examples
    --------
    >>> [Every(steps=2).due(count) for count in (1, 2, 3, 4)]
    [False, True, False, True]
    """

    steps: int | None = None
    seconds: float | None = None
    last: float = field(default_factory=lambda: progress.clock(), repr=False)

    def __post_init__(self) -> None:
        if (self.steps is None) == (self.seconds is None):
            raise ValueError(f"steps={self.steps}, seconds={self.seconds}: give one of the two")
        if self.steps is not None:
            keep_integers(self, steps=1)
        else:
            positive(self.seconds, "seconds", "the time between", "60")

    def due(self, count: int) -> bool:
        """Whether it is time, after so many steps."""
        if self.steps is not None:
            return count % self.steps == 0
        assert self.seconds is not None
        now = progress.clock()
        if now - self.last < self.seconds:
            return False
        self.last = now
        return True


class SaveEvery:
    """Save the run so far every so often, so that nothing is lost where it is killed: `load` and `resume` go on from the file.

    Parameters
    ----------
    path : of the file (.npz), as for `save`: one that holds more is kept, and the run goes beside it.
    steps, seconds : how often; once a minute unless given.
    notes : words that the file's provenance gets, by name.

    Raises
    ------
    ValueError : both of them, or one that is not positive.
    OSError : the folder does not exist or cannot be written: said now, not after the first step.

    Notes
    -----
    Cost: one writing of all stored potentials each time.

    Examples
    --------
    >>> import tempfile
    >>> from pmasolve import MongeAmpere, Problem, Torus, evolve, load
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = evolve(MongeAmpere(problem), [0.01], on_step=SaveEvery(f"{folder}/run.npz", steps=5))
    ...     load(f"{folder}/run.npz").outcome.name
    'under way'
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        steps: int | None = None,
        seconds: float | None = None,
        notes: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.path, self.notes = path, notes
        self.every = Every(steps, 60.0 if steps is None and seconds is None else seconds)
        archives.check_writable(archives.target_of(path))

    def __call__(self, step: Step) -> None:
        """Save if it is time."""
        if self.every.due(step.count):
            run = step.run()
            save(replace(run, provenance={**run.provenance, **self.notes}), self.path)


@dataclass(frozen=True, eq=False)
class StopWhen:
    """End a run, well, after the first step of which a condition holds; `Event` does so by a number of the record.

    Parameters
    ----------
    condition : of a `Step`, True to stop.
    name : of the condition, for the outcome.

    Raises
    ------
    ValueError : a condition that cannot be called.

    Examples
    --------
    >>> from pmasolve import MongeAmpere, Problem, Torus, evolve
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> moved = StopWhen(lambda step: np.abs(step.now.map(0) - problem.domain.points).max() > 0.01, "moved by a hundredth")
    >>> evolve(MongeAmpere(problem), [0.1], on_step=moved).outcome.name
    'stopped: moved by a hundredth'
    """

    condition: Callable[[Step], bool]
    name: str = "condition met"

    def __post_init__(self) -> None:
        having(self.condition, "__call__", "condition", "give a function of a Step, True to stop")

    def __call__(self, step: Step) -> Outcome | None:
        """The outcome, if the condition holds."""
        return Outcome(f"stopped: {self.name}", True) if self.condition(step) else None
