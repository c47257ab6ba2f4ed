"""Runs of any flow: requested times, progress, records, named outcomes, interruption, around `protocol.reach`."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..machine.arrays import Array, having, real, shown
from ..machine.progress import Show, progress_bar
from ..machine.provenance import versions
from ..problems.outcomes import INTERRUPTED, LISTENER_FAILED, REACHED, UNDER_WAY, Outcome
from .events import Event
from .protocol import Flow, admit, columns, fields_of, halted_of, last_look_of, reach, report_of, start, states_of
from .trackers import ListenerFailed, OnStep, Step, asked, listeners
from .trajectories import Stopped, Trajectory, followed


def evolve(
    flow: Flow,
    times: ArrayLike,
    *,
    initial: ArrayLike | None = None,
    events: Sequence[Event] = (),
    on_step: OnStep | Sequence[OnStep] = (),
    throw: bool = True,
    progress: bool | None = None,
) -> Trajectory:
    """Run a flow from t = 0 and return its potentials at exactly the requested times.

    Parameters
    ----------
    flow : what to run.
    times : increasing, > 0 (0 is allowed first).
    initial : u₀ on the grid, shape ``problem.domain.shape``; 0 (the identity map) unless given.  Of a sampler, its parameters less
        those of its own start.
    events : conditions on the record of a step that end the run; the state after that step is then the last entry, if it is one
        that the flow would hand out at a requested time; else the outcome is what it lacks.
    on_step : told of every `Step`, one function or several: `SaveEvery`, `StopWhen`, `PlotEvery`, or your own; an `Outcome` that
        it returns ends the run, as an event does.
    throw : raise `Stopped` on an outcome that is not ok; with False return the trajectory so far.
    progress : show a bar on a terminal once two seconds have passed, elsewhere a line every half minute on stderr; True: the first
        line soon, False: nothing.

    Returns
    -------
    `Trajectory`: the potentials at the requested times, the records of all steps, and how it ended.

    Raises
    ------
    ValueError : times that are not increasing or that the flow cannot visit; a start that is not finite or not convex.
    Stopped : see ``throw``; its ``trajectory`` holds what was reached, also after an interruption from the keyboard, and where
        ``on_step`` raised an error, which is the cause then.

    Examples
    --------
    >>> from pmasolve import MongeAmpere, Problem, Torus
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> evolve(MongeAmpere(problem), times=[0.01, 0.02]).outcome.name
    'reached'
    """
    requested = increasing(times)
    admit(having(flow, "advance", "flow", "give a flow, for example MongeAmpere(problem)"), requested)
    states = states_of(flow)
    u = np.zeros(states.local) if initial is None else states.values(initial, "initial")
    log = _Log(flow, u, start(flow, u))
    return _run(log, requested, events, listeners(on_step), throw, progress)


def resume(
    trajectory: Trajectory,
    times: ArrayLike,
    *,
    events: Sequence[Event] = (),
    on_step: OnStep | Sequence[OnStep] = (),
    throw: bool = True,
    progress: bool | None = None,
) -> Trajectory:
    """Go on from the last step of a trajectory, interrupted, loaded from a file or complete, to later times.

    The result holds the old times and the new ones.  An adaptive integrator restarts at low order, so that the answer agrees
    with that of an uninterrupted run to the tolerance; Sinkhorn's iterates are the same.

    Parameters
    ----------
    trajectory : interrupted, loaded from a file or complete.
    times : increasing, later than ``trajectory.latest[0]``.
    events : conditions on the record of a step that end the run; the state after that step is then the last entry.
    on_step : told of every `Step`, one function or several: `SaveEvery`, `StopWhen`, `PlotEvery`, or your own; an `Outcome` that
        it returns ends the run.
    throw : raise `Stopped` on an outcome that is not ok; with False return the trajectory so far.
    progress : show a bar on a terminal once two seconds have passed, elsewhere a line every half minute on stderr; True: the first
        line soon, False: nothing.

    Returns
    -------
    `Trajectory` of the old times and the new ones.

    Raises
    ------
    ValueError : times that are not later than ``trajectory.latest``.
    Stopped : as in `evolve`.

    Examples
    --------
    >>> from pmasolve import MongeAmpere, Problem, Torus
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> resume(evolve(MongeAmpere(problem), times=[0.01]), times=[0.02]).times
    array([0.01, 0.02])
    """
    requested, (t, potential) = increasing(times), followed(trajectory).latest
    if requested[0] <= t:
        raise ValueError(f"times={shown(times)}: the trajectory has reached t={t:g} already; ask for later times")
    flow = trajectory.flow
    admit(flow, requested)
    log = _Log(flow, trajectory.initial, flow.resume(potential, t), trajectory)
    return _run(log, requested, events, listeners(on_step), throw, progress)


def increasing(times: ArrayLike) -> Array:
    """Finite, strictly increasing times ≥ 0, (m,); anything else is a ``ValueError``.

    Examples
    --------
    >>> increasing(0.5)
    array([0.5])
    """
    out = np.atleast_1d(real(times, "times"))
    if out.ndim != 1 or out.size == 0 or not np.isfinite(out).all() or out[0] < 0 or np.any(np.diff(out) <= 0):
        raise ValueError(f"times={shown(times)}: give finite, strictly increasing times ≥ 0, for example [0.01, 0.02]")
    return out


@dataclass
class _Log:
    """What survives an interruption: a run under way, after an earlier one that it goes on from."""

    flow: Flow
    initial: Array
    state: Any
    before: Trajectory | None = None
    began: float = field(default_factory=time.perf_counter)
    times: list[float] = field(default_factory=list)
    potentials: list[Array] = field(default_factory=list)
    fields: list[Mapping[str, Array]] = field(default_factory=list)
    records: list[Mapping[str, float]] = field(default_factory=list)
    failure: BaseException | None = None

    def run(self, outcome: Outcome = UNDER_WAY) -> Trajectory:
        """The trajectory as far as it got, with what was there before."""
        shape = states_of(self.flow).local
        new = Trajectory(
            self.flow,
            np.array(self.times),
            np.stack(self.potentials) if self.potentials else np.empty((0, *shape)),
            outcome,
            self._latest(),
            self.initial,
            {name: np.stack([row[name] for row in self.fields]) for name in (self.fields[0] if self.fields else ())},
            columns(self.records),
            _provenance(time.perf_counter() - self.began) | dict(report_of(self.flow)),
        )
        return new if self.before is None else _joined(self.before, new)

    def _latest(self) -> tuple[float, Array]:
        kept = self.times and self.times[-1] == self.state.t
        return self.state.t, self.potentials[-1] if kept else self.flow.potential(self.state)

    def keep(self) -> None:
        """The state at a requested time, once."""
        if self.times and self.times[-1] == self.state.t:
            return
        self.times.append(self.state.t)
        self.potentials.append(self.flow.potential(self.state))
        self.fields.append(fields_of(self.flow, self.state))

    def step(self) -> Step:
        """The last step, for those who look on."""
        return Step(self.flow, self.state.t, self.records[-1], len(self.records), self.state, self.run)


def _run(
    log: _Log, times: Array, events: Sequence[Event], on_step: Sequence[OnStep], throw: bool, progress: bool | None
) -> Trajectory:
    with progress_bar(type(log.flow).__name__, float(times[-1]), progress) as show:
        outcome = _visit(log, times, events, on_step, show)
    trajectory = log.run(outcome)
    if throw and not outcome.ok:
        raise Stopped(trajectory) from log.failure
    return trajectory


def _visit(log: _Log, times: Array, events: Sequence[Event], listening: Sequence[OnStep], show: Show) -> Outcome:
    def note(state: Any) -> Outcome:
        """Record a step, show it, and ask who listens; the first outcome that somebody gives."""
        log.state = state
        log.records.append({"t": state.t, **state.record})
        show(state.t, state.record)
        looked_at = events if state.outcome.ok else ()  # a step that failed has no record of a state
        ended = next((event.outcome for event in looked_at if event.happened(log.records[-1])), REACHED)
        if ended != REACHED or not listening:
            return ended
        if state.t == until and state.outcome.ok:
            log.keep()  # who saves the run now saves this time too
        told = log.step()
        return next((answer for listener in listening if (answer := asked(listener, told)) is not None), REACHED)

    outcome = REACHED
    try:
        for until in times:
            _, outcome = reach(log.flow, log.state, float(until), note)
            if not outcome.ok:
                return outcome
            if outcome != REACHED:  # an event, or who listens
                judged = halted_of(log.flow, log.state)
                if not judged.ok:
                    return judged
            log.keep()
            if outcome != REACHED:
                return outcome
        judged = last_look_of(log.flow, log.state)
        outcome = outcome if judged.ok else judged  # REACHED, which may have a remark
    except KeyboardInterrupt:
        return INTERRUPTED
    except ListenerFailed as failed:
        log.failure = failed.__cause__
        return LISTENER_FAILED.advising(
            f"{type(log.failure).__name__}: {log.failure}; resume goes on from the last step"
        )
    return outcome


def _joined(old: Trajectory, new: Trajectory) -> Trajectory:
    """Both, one after the other."""
    fields = dict(old.fields or new.fields)
    if old.times.size and new.times.size:
        fields = {
            name: np.concatenate([old.fields[name], new.fields[name]]) for name in new.fields if name in old.fields
        }
    records = {name: np.concatenate([old.records.get(name, np.empty(0)), new.records[name]]) for name in new.records}
    return replace(
        new,
        times=np.concatenate([old.times, new.times]),
        potentials=np.concatenate([old.potentials, new.potentials]),
        fields=fields,
        records=records,
    )


@cache
def _versions() -> dict[str, str]:
    return {**versions(), "machine": platform.machine()}


def _provenance(seconds: float) -> dict[str, str | float]:
    return {**_versions(), "seconds": seconds}
