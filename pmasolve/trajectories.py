"""The flow protocol, the only time loop, and what it returns.

A flow knows how to start, how to take one step of its own, and how to turn its state into a potential.  `evolve` does
the rest for every flow: requested times, progress, records, named outcomes, interruption.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from .domains import Array, Grid
from .problems import Problem
from .progress import Show, progress_bar


@dataclass(frozen=True)
class Outcome:
    """How a computation ended: a name, whether the answer is what was asked for, and advice where it is not."""

    name: str
    ok: bool
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.advice}" if self.advice else self.name


REACHED = Outcome("reached", True)
CONVEXITY_LOST = Outcome(
    "convexity lost",
    False,
    "det(I + D²u) fell to 0 at every step size tried; refine the grid, smooth the densities or start nearer to the solution",
)
STEP_LIMIT = Outcome("step limit", False, "the integrator gave up; loosen rtol, or refine the grid where D²u is large")
NOT_FINITE = Outcome("not finite", False, "the potential overflowed; look for wild values in f, g or the start")
INTERRUPTED = Outcome("interrupted", False, "stopped by the user; evolve again from the last potential for the rest")


@dataclass(frozen=True)
class Event:
    """Ends a run, well, after the first step whose record has ``quantity`` below ``below`` or above ``above``.

    Examples
    --------
    >>> steady = Event("speed", below=1e-8)  # sup |∂ₜu − mean| of MongeAmpere
    >>> steady.happened({"speed": 1e-9})
    True
    """

    quantity: str
    below: float = -np.inf
    above: float = np.inf

    def happened(self, record: Mapping[str, float]) -> bool:
        """Whether the record of a step meets the condition; a quantity the flow does not record is a ``ValueError``."""
        if self.quantity not in record:
            raise ValueError(f"event on {self.quantity!r}: this flow records {', '.join(record)}")
        return record[self.quantity] < self.below or record[self.quantity] > self.above

    @property
    def outcome(self) -> Outcome:
        """What the trajectory says of it."""
        bound = f"below {self.below:g}" if np.isfinite(self.below) else f"above {self.above:g}"
        return Outcome(f"event: {self.quantity} {bound}", True)


class Stopped(RuntimeError):
    """A flow ended before the last requested time; ``trajectory`` holds what was reached."""

    def __init__(self, trajectory: Trajectory) -> None:
        super().__init__(f"{trajectory.outcome} (reached {trajectory.times.size} of the requested times)")
        self.trajectory = trajectory


class State(Protocol):
    """What a flow needs to go on."""

    @property
    def t(self) -> float:
        """Time reached."""
        ...

    @property
    def outcome(self) -> Outcome:
        """REACHED while all is well."""
        ...

    @property
    def record(self) -> Mapping[str, float]:
        """Diagnostics of the last step, for people."""
        ...


class Flow(Protocol):
    """A flow of potentials over a problem."""

    problem: Problem

    def admit(self, times: Array) -> None:
        """Raise ``ValueError`` if the flow cannot visit these times exactly."""
        ...

    def start(self, initial: Array) -> Any:
        """State at t = 0 from u₀ on the grid."""
        ...

    def resume(self, potential: Array, t: float) -> Any:
        """State at time t from a potential that this flow returned."""
        ...

    def advance(self, state: Any, until: float) -> Any:
        """One step, never past ``until``; the state's t equals ``until`` when it is reached."""
        ...

    def potential(self, state: Any) -> Array:
        """u at the state's time."""
        ...

    def fields(self, state: Any) -> Mapping[str, Array]:
        """Other functions on the grid that the flow carries along, by name."""
        ...

    def error_estimate(self, trajectory: Trajectory) -> ErrorEstimate:
        """Errors of one of this flow's trajectories."""
        ...

    def map(self, u: Array) -> Array:
        """x + ∇u; flows with a field ``v``, the half step before u, take it as a second argument."""
        ...

    def log_density(self, u: Array) -> Array:
        """log ρ for a potential of this flow."""
        ...


@runtime_checkable
class Reporting(Protocol):
    """A flow that can say what ran; `Trajectory.provenance` then holds it."""

    @property
    def report(self) -> Mapping[str, float | int | str]:
        """Engine, passes, splits, certificates."""
        ...


@dataclass(frozen=True, eq=False)
class ErrorEstimate:
    """Estimated sup errors of the potentials, constants removed, one for each time of a trajectory.

    Attributes
    ----------
    times : (m,).
    time : (m,), from stepping (a tighter tolerance, a smaller ε).
    space : (m,), from the grid (a finer grid, a higher order, the quadrature).
    """

    times: Array
    time: Array
    space: Array

    @property
    def total(self) -> Array:
        """Both together."""
        return self.time + self.space


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Potentials at the requested times, and everything that follows from them.

    Attributes
    ----------
    flow : the flow that made it, with its parameters.
    times : (m,).
    potentials : (m, *shape), u with φ = |x|²/2 + u.
    outcome : named outcome with advice.
    latest : time and potential of the last step taken, from which `resume` goes on.
    initial : u₀.
    fields : other functions that the flow carries along, by name, (m, *shape) each, or (m, *codomain.shape) on the target side.
    records : diagnostics of every step: arrays by name, all with one entry a step (``t`` among them).
    provenance : versions, machine, seconds; of Sinkhorn also what ran, see its ``report``.
    """

    flow: Flow
    times: Array
    potentials: Array
    outcome: Outcome
    latest: tuple[float, Array]
    initial: Array
    fields: Mapping[str, Array] = field(default_factory=dict)
    records: Mapping[str, Array] = field(default_factory=dict)
    provenance: Mapping[str, str | float] = field(default_factory=dict)

    def error_estimate(self) -> ErrorEstimate:
        """How far the potentials are from the flow's exact ones, in time and in space: what the flow knows, see there."""
        return self.flow.error_estimate(self)

    @property
    def gauged(self) -> Array:
        """The potentials less their means, (m, *shape)."""
        return np.stack([self.flow.problem.domain.gauge(u) for u in self.potentials])

    def map(self, i: int) -> Array:
        """x + ∇u at ``times[i]``, shape (dim, *shape)."""
        half = (self.fields["v"][i],) if "v" in self.fields else ()
        return self.flow.map(self.potentials[i], *half)

    def log_density(self, i: int) -> Array:
        """log ρ_t at ``times[i]``, where ρ_t = (∇φ*)_# e^{−g} = e^{−g(∇φ)} det D²φ."""
        return self.flow.log_density(self.potentials[i])


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
    requested = _increasing(times)
    flow.admit(requested)
    domain = flow.problem.domain
    start = np.zeros(domain.shape) if initial is None else domain.values(initial, "initial")
    return _run(flow, flow.start(start), start, requested, events, throw, progress)


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
    requested, (t, potential) = _increasing(times), trajectory.latest
    if requested[0] <= t:
        raise ValueError(f"times={times}: the trajectory has reached t={t:g} already; ask for later times")
    flow = trajectory.flow
    flow.admit(requested)
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
        _columns(log.records),
        _provenance(time.perf_counter() - began) | dict(flow.report if isinstance(flow, Reporting) else {}),
    )
    if throw and not outcome.ok:
        raise Stopped(trajectory)
    return trajectory


def _latest(flow: Flow, log: _Log) -> tuple[float, Array]:
    kept = log.times and log.times[-1] == log.state.t
    return log.state.t, log.potentials[-1] if kept else flow.potential(log.state)


def _visit(flow: Flow, times: Array, events: Sequence[Event], log: _Log, show: Show) -> Outcome:
    def note(state: Any) -> Outcome:
        log.state = state
        log.records.append({"t": state.t, **state.record})
        show(state.t, state.record)
        return next((event.outcome for event in events if event.happened(state.record)), REACHED)

    def keep() -> None:
        log.times.append(log.state.t)
        log.potentials.append(flow.potential(log.state))
        log.fields.append(flow.fields(log.state))

    try:
        for until in times:
            _, outcome = reach(flow, log.state, float(until), note)
            if not outcome.ok:
                return outcome
            keep()
            if outcome is not REACHED:  # an event
                return outcome
    except KeyboardInterrupt:
        return INTERRUPTED
    return REACHED


def reach(
    flow: Flow, state: Any, until: float, note: Callable[[Any], Outcome] = lambda state: REACHED
) -> tuple[Any, Outcome]:
    """Advance a flow's state to ``until``, or to the first other outcome: the only loop over time."""
    outcome = state.outcome
    while state.t < until and outcome is REACHED:
        state = flow.advance(state, until)
        happened = note(state)
        outcome = state.outcome if not state.outcome.ok else happened
    return state, outcome


def _increasing(times: ArrayLike) -> Array:
    out = np.atleast_1d(np.asarray(times, dtype=np.float64))
    if out.ndim != 1 or out.size == 0 or not np.isfinite(out).all() or out[0] < 0 or np.any(np.diff(out) <= 0):
        raise ValueError(f"times={times}: give finite, strictly increasing times ≥ 0, for example [0.01, 0.02]")
    return out


def _joined(old: Trajectory, new: Trajectory) -> dict[str, Array]:
    if old.times.size == 0 or new.times.size == 0:
        return dict(old.fields or new.fields)
    return {name: np.concatenate([old.fields[name], new.fields[name]]) for name in new.fields if name in old.fields}


def _columns(records: Sequence[Mapping[str, float]]) -> dict[str, Array]:
    names = dict.fromkeys(name for record in records for name in record)
    return {name: np.array([record.get(name, np.nan) for record in records]) for name in names}


def _provenance(seconds: float) -> dict[str, str | float]:
    names = ("pmasolve", "numpy", "scipy", "numba", "scikit-sundae")
    versions: dict[str, str | float] = {name: version(name) for name in names}
    return {**versions, "python": platform.python_version(), "machine": platform.machine(), "seconds": seconds}


def sup_distances(domain: Grid, a: Array, b: Array) -> Array:
    """sup |aᵢ − bᵢ|, constants removed, for each pair of potentials (m, *shape)."""
    return np.array([domain.sup(domain.gauge(x - y)) for x, y in zip(a, b, strict=True)])
