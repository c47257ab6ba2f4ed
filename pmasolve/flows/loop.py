"""Runs of any flow: requested times, progress, records, named outcomes, interruption, around `protocol.reach`."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..machine.arrays import Array, having, real, shown
from ..machine.progress import Show, progress_bar
from ..problems.outcomes import INTERRUPTED, REACHED, Outcome
from .protocol import Flow, admit, columns, fields_of, reach, report_of, start
from .trajectories import Event, Stopped, Trajectory, followed


def evolve(
    flow: Flow,
    times: ArrayLike,
    *,
    initial: ArrayLike | None = None,
    events: Sequence[Event] = (),
    throw: bool = True,
    progress: bool | None = None,
) -> Trajectory:
    """Run a flow from t = 0 and return its potentials at exactly the requested times.

    Parameters
    ----------
    flow : what to run.
    times : increasing, > 0 (0 is allowed first).
    initial : u₀ on the grid, shape ``problem.domain.shape``; 0 (the identity map) unless given.
    events : conditions on the record of a step that end the run; the state after that step is then the last entry.
    throw : raise `Stopped` on an outcome that is not ok; with False return the trajectory so far.
    progress : show a bar; by default on a terminal, once two seconds have passed.

    Returns
    -------
    `Trajectory`: the potentials at the requested times, the records of all steps, and how it ended.

    Raises
    ------
    ValueError : times that are not increasing or that the flow cannot visit; a start that is not finite or not convex.
    Stopped : see ``throw``; its ``trajectory`` holds what was reached, also after an interruption from the keyboard.

    Examples
    --------
    >>> from pmasolve import MongeAmpere, Problem, Torus
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> evolve(MongeAmpere(problem), times=[0.01, 0.02]).outcome.name
    'reached'
    """
    requested = increasing(times)
    admit(having(flow, "advance", "flow", "give a flow, for example MongeAmpere(problem)"), requested)
    domain = flow.problem.domain
    u = np.zeros(domain.shape) if initial is None else domain.values(initial, "initial")
    return _run(flow, start(flow, u), u, requested, events, throw, progress)


def resume(
    trajectory: Trajectory,
    times: ArrayLike,
    *,
    events: Sequence[Event] = (),
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
    throw : raise `Stopped` on an outcome that is not ok; with False return the trajectory so far.
    progress : show a bar; by default on a terminal, once two seconds have passed.

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
    new = _run(flow, flow.resume(potential, t), trajectory.initial, requested, events, False, progress)
    joined = Trajectory(
        flow,
        np.concatenate([trajectory.times, new.times]),
        np.concatenate([trajectory.potentials, new.potentials]),
        new.outcome,
        new.latest,
        trajectory.initial,
        _joined(trajectory, new),
        {name: np.concatenate([trajectory.records.get(name, np.empty(0)), new.records[name]]) for name in new.records},
        new.provenance,
    )
    if throw and not joined.outcome.ok:
        raise Stopped(joined)
    return joined


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
    """What survives an interruption."""

    state: Any
    times: list[float] = field(default_factory=list)
    potentials: list[Array] = field(default_factory=list)
    fields: list[Mapping[str, Array]] = field(default_factory=list)
    records: list[Mapping[str, float]] = field(default_factory=list)


def _run(
    flow: Flow,
    state: Any,
    initial: Array,
    times: Array,
    events: Sequence[Event],
    throw: bool,
    progress: bool | None,
) -> Trajectory:
    began, log = time.perf_counter(), _Log(state)
    with progress_bar(type(flow).__name__, float(times[-1]), progress) as show:
        outcome = _visit(flow, times, events, log, show)
    shape = flow.problem.domain.shape
    trajectory = Trajectory(
        flow,
        np.array(log.times),
        np.stack(log.potentials) if log.potentials else np.empty((0, *shape)),
        outcome,
        _latest(flow, log),
        initial,
        {name: np.stack([fields[name] for fields in log.fields]) for name in (log.fields[0] if log.fields else ())},
        columns(log.records),
        _provenance(time.perf_counter() - began) | dict(report_of(flow)),
    )
    if throw and not outcome.ok:
        raise Stopped(trajectory)
    return trajectory


def _latest(flow: Flow, log: _Log) -> tuple[float, Array]:
    kept = log.times and log.times[-1] == log.state.t
    return log.state.t, log.potentials[-1] if kept else flow.potential(log.state)


def _visit(flow: Flow, times: Array, events: Sequence[Event], log: _Log, show: Show) -> Outcome:
    def note(state: Any) -> Outcome:
        """Record a step and show it; an event's outcome if one happened."""
        log.state = state
        log.records.append({"t": state.t, **state.record})
        show(state.t, state.record)
        return next((event.outcome for event in events if event.happened(state.record)), REACHED)

    def keep() -> None:
        """The state at a requested time."""
        log.times.append(log.state.t)
        log.potentials.append(flow.potential(log.state))
        log.fields.append(fields_of(flow, log.state))

    outcome = REACHED
    try:
        for until in times:
            _, outcome = reach(flow, log.state, float(until), note)
            if not outcome.ok:
                return outcome
            keep()
            if outcome != REACHED:  # an event
                return outcome
    except KeyboardInterrupt:
        return INTERRUPTED
    return outcome  # REACHED, which may have a remark


def _joined(old: Trajectory, new: Trajectory) -> dict[str, Array]:
    if old.times.size == 0 or new.times.size == 0:
        return dict(old.fields or new.fields)
    return {name: np.concatenate([old.fields[name], new.fields[name]]) for name in new.fields if name in old.fields}


@cache
def _versions() -> dict[str, str]:
    names = ("pmasolve", "numpy", "scipy", "numba", "scikit-sundae")
    known = {name: version(name) for name in names}
    return {**known, "python": platform.python_version(), "machine": platform.machine()}


def _provenance(seconds: float) -> dict[str, str | float]:
    return {**_versions(), "seconds": seconds}
