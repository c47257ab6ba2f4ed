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
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from .domains import Array
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

    def advance(self, state: Any, until: float) -> Any:
        """One step, never past ``until``; the state's t equals ``until`` when it is reached."""
        ...

    def potential(self, state: Any) -> Array:
        """u at the state's time."""
        ...

    def map(self, u: Array) -> Array:
        """x + ∇u."""
        ...

    def log_density(self, u: Array) -> Array:
        """log ρ for a potential of this flow."""
        ...


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Potentials at the requested times, and everything that follows from them.

    Attributes
    ----------
    flow : the flow that made it, with its parameters.
    times : (m,).
    potentials : (m, *shape), u with φ = |x|²/2 + u.
    outcome : named outcome with advice.
    records : diagnostics of every step: arrays by name, all with one entry a step (``t`` among them).
    provenance : versions, machine, seconds.
    """

    flow: Flow
    times: Array
    potentials: Array
    outcome: Outcome
    records: Mapping[str, Array] = field(default_factory=dict)
    provenance: Mapping[str, str | float] = field(default_factory=dict)

    @property
    def gauged(self) -> Array:
        """The potentials less their means, (m, *shape)."""
        return np.stack([self.flow.problem.domain.gauge(u) for u in self.potentials])

    def map(self, i: int) -> Array:
        """x + ∇u at ``times[i]``, shape (dim, *shape)."""
        return self.flow.map(self.potentials[i])

    def log_density(self, i: int) -> Array:
        """log ρ_t at ``times[i]``, where ρ_t = (∇φ*)_# e^{−g} = e^{−g(∇φ)} det D²φ."""
        return self.flow.log_density(self.potentials[i])


def evolve(
    flow: Flow, times: ArrayLike, *, initial: ArrayLike | None = None, throw: bool = True, progress: bool | None = None
) -> Trajectory:
    """Run a flow from t = 0 and return its potentials at exactly the requested times.

    Parameters
    ----------
    flow : what to run.
    times : increasing, > 0 (0 is allowed first).
    initial : u₀ on the grid, shape ``problem.domain.shape``; 0 (the identity map) unless given.
    throw : raise `Stopped` on an outcome that is not REACHED; with False return the trajectory so far.
    progress : show a bar; by default on a terminal, once two seconds have passed.

    Raises
    ------
    ValueError : times that are not increasing or that the flow cannot visit; a start that is not finite or not c-convex.
    Stopped : see ``throw``; its ``trajectory`` holds what was reached.

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
    began, log = time.perf_counter(), _Log()
    with progress_bar(type(flow).__name__, float(requested[-1]), progress) as show:
        outcome = _visit(flow, flow.start(start), requested, log, show)
    trajectory = Trajectory(
        flow,
        requested[: len(log.potentials)],
        np.stack(log.potentials) if log.potentials else np.empty((0, *domain.shape)),
        outcome,
        _columns(log.records),
        _provenance(time.perf_counter() - began),
    )
    if throw and not outcome.ok:
        raise Stopped(trajectory)
    return trajectory


@dataclass
class _Log:
    """What survives an interruption."""

    potentials: list[Array] = field(default_factory=list)
    records: list[Mapping[str, float]] = field(default_factory=list)


def _visit(flow: Flow, state: State, times: Array, log: _Log, show: Show) -> Outcome:
    def note(state: State) -> None:
        log.records.append({"t": state.t, **state.record})
        show(state.t, state.record)

    try:
        for until in times:
            state = reach(flow, state, float(until), note)
            if not state.outcome.ok:
                return state.outcome
            log.potentials.append(flow.potential(state))
    except KeyboardInterrupt:
        return INTERRUPTED
    return REACHED


def reach(flow: Flow, state: Any, until: float, note: Callable[[Any], None] = lambda state: None) -> Any:
    """Advance a flow's state to ``until``, or to the first outcome that is not ok: the only loop over time."""
    while state.t < until and state.outcome.ok:
        state = flow.advance(state, until)
        note(state)
    return state


def _increasing(times: ArrayLike) -> Array:
    out = np.atleast_1d(np.asarray(times, dtype=np.float64))
    if out.ndim != 1 or out.size == 0 or not np.isfinite(out).all() or out[0] < 0 or np.any(np.diff(out) <= 0):
        raise ValueError(f"times={times}: give finite, strictly increasing times ≥ 0, for example [0.01, 0.02]")
    return out


def _columns(records: Sequence[Mapping[str, float]]) -> dict[str, Array]:
    names = records[0] if records else ()
    return {name: np.array([record.get(name, np.nan) for record in records]) for name in names}


def _provenance(seconds: float) -> dict[str, str | float]:
    names = ("pmasolve", "numpy", "scipy", "numba", "scikit-sundae")
    versions: dict[str, str | float] = {name: version(name) for name in names}
    return {**versions, "python": platform.python_version(), "machine": platform.machine(), "seconds": seconds}
