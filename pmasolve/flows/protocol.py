"""The flow protocol: what a flow must know, what it may know besides, and the only loop over its steps.

A flow is four members.  Ten more are optional; what stands in for them where a flow has none is said here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import getattr_static
from typing import Any, Protocol

import numpy as np

from ..calculus.operators import Fourier, Space
from ..machine.arrays import Array
from ..problems.divergences import Divergence
from ..problems.objectives import KL
from ..problems.outcomes import REACHED, Outcome
from ..problems.problem import Problem
from .reading import OnGrid


class State(Protocol):
    """What a flow needs to go on: the time, how the last step ended, and what only the flow itself looks at."""

    @property
    def t(self) -> float:
        """The time reached."""
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
    """A flow of potentials over a problem: four members, and up to ten more that have defaults.

    Optional members, each with what stands in for it:

    admit(times) : raises ``ValueError`` for times that the flow cannot visit exactly; every time can be visited.
    start(initial) : the state at t = 0 from u₀ on the grid; ``resume(initial, 0.0)``.
    states : `States`, where its potentials live; the problem's domain.
    objective : what falls along it, a `problems.objectives.Divergence`; KL.
    reading : `Reading`; derivatives on the grid by the flow's ``space``, by `Fourier()` if it has none.
    fields(state) : other functions on the grid that the flow carries along, by name; none.
    last_look(state) : `Outcome` of the state at the last requested time, where more than reaching it was asked for; `REACHED`.
    halted(state) : `Outcome` of a state between requested times at which an event ends the run: what the flow asks of those at
        requested times, a map that does not fold for instance; ``last_look(state)``.
    report : what ran so far, for `Trajectory.provenance`: engines, passes, certificates; nothing.
    error_estimate(trajectory) : `ErrorEstimate` of one of its trajectories, by `refinement.by_refinement` in two lines; refused.
    """

    @property
    def problem(self) -> Problem:
        """The problem: source and target."""
        ...

    def resume(self, potential: Array, t: float) -> Any:
        """State at time t from a potential that this flow returned."""
        ...

    def advance(self, state: Any, until: float) -> Any:
        """One step, never past ``until``; the state's t equals ``until`` when it is reached."""
        ...

    def potential(self, state: Any) -> Array:
        """u on the grid at the state's time."""
        ...


class Reading(Protocol):
    """What can be read off a potential: its map and its density."""

    def map(self, u: Array, v: Array | None = None) -> Array:
        """x + ∇u at the nodes, (dim, *shape); v is the half step before u, for flows that carry one as a field."""
        ...

    def log_density(self, u: Array) -> Array:
        """log ρ at the nodes, where ρ = (∇φ*)_# e^{−g}."""
        ...


def admit(flow: Flow, times: Array) -> None:
    """Raise ``ValueError`` where the flow cannot visit these times exactly."""
    _optional(flow, "admit", lambda times: None)(times)


def start(flow: Flow, initial: Array) -> Any:
    """The flow's state at t = 0 from u₀ on the grid."""
    return _optional(flow, "start", lambda u: flow.resume(u, 0.0))(initial)


class States(Protocol):
    """Where potentials live: a domain, or anything else that is an array of one shape."""

    @property
    def local(self) -> tuple[int, ...]:
        """Shape of one potential, of its part in this process."""
        ...

    @property
    def words(self) -> str:
        """For the one line of a trajectory."""
        ...

    def values(self, values: Any, name: str) -> Array:
        """A start, checked; 0 is the flow's own."""
        ...

    def centred(self, u: Array) -> Array:
        """A potential without what does not count."""
        ...


def states_of(flow: Flow) -> States:
    """Where the flow's potentials live: what it says, or its problem's domain."""
    return _optional(flow, "states", None) or flow.problem.domain


def reading_of(flow: Flow) -> Reading:
    """The flow's own reading, or the one by derivatives on the grid."""
    space: Space = _optional(flow, "space", Fourier())
    return _optional(flow, "reading", None) or OnGrid(flow.problem, space)


def objective_of(flow: Flow) -> Divergence:
    """What falls along the flow; KL(ρ | e^{−f}) unless it says otherwise."""
    return _optional(flow, "objective", KL())


def fields_of(flow: Flow, state: Any) -> Mapping[str, Array]:
    """Other functions that the flow carries along, by name."""
    return _optional(flow, "fields", lambda state: {})(state)


def last_look_of(flow: Flow, state: Any) -> Outcome:
    """What a flow says of the state that a run ends with; `REACHED` where it has no more to ask than the time."""
    return _optional(flow, "last_look", lambda state: REACHED)(state)


def halted_of(flow: Flow, state: Any) -> Outcome:
    """What a flow says of a state between requested times that is handed out because an event ends the run."""
    return _optional(flow, "halted", lambda state: last_look_of(flow, state))(state)


def report_of(flow: Flow) -> Mapping[str, float | int | str]:
    """What a flow tells of what ran so far, by name; nothing where it tells nothing."""
    return _optional(flow, "report", {})


def estimator_of(flow: Flow) -> Callable[[Any], Any]:
    """The flow's `error_estimate`; a ``ValueError`` when called if it has none."""

    def refuse(trajectory: Any) -> Any:
        """Says how such a flow can have one."""
        raise ValueError(
            f"{type(flow).__name__} has no error_estimate: give it one by refinement.by_refinement, or compare runs on n and 2n "
            "points and with shorter steps"
        )

    return _optional(flow, "error_estimate", refuse)


def _optional(flow: Flow, name: str, default: Any) -> Any:
    """A member, unless the flow has none of this name; an ``AttributeError`` inside a property is not taken for that."""
    known = getattr_static(flow, name, None) is not None
    return getattr(flow, name) if known else default


def reach(
    flow: Flow, state: Any, until: float, note: Callable[[Any], Outcome] = lambda state: REACHED
) -> tuple[Any, Outcome]:
    """Advance a flow's state to ``until``, or to the first other outcome: the only loop over time.

    ``note`` is told of the state after every step, and may end the run by an outcome other than `REACHED`.
    """
    outcome = state.outcome
    while state.t < until and outcome == REACHED:
        state = flow.advance(state, until)
        happened = note(state)
        outcome = happened if state.outcome == REACHED != happened else state.outcome  # which may have a remark
    return state, outcome


def columns(rows: Sequence[Mapping[str, float]]) -> dict[str, Array]:
    """Records by name, NaN where a step has none of this name."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}
