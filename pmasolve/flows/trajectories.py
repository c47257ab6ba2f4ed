"""The flow protocol, and what a run returns.

A flow knows how to start, how to take one step of its own, and how to turn its state into a potential; `loop.evolve` does the
rest for every flow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ..machine.arrays import Array
from ..problems.grids import Grid
from ..problems.outcomes import Outcome
from ..problems.problem import Problem


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

    @property
    def problem(self) -> Problem:
        """Source and target."""
        ...

    @property
    def report(self) -> Mapping[str, float | int | str]:
        """What ran so far, for `Trajectory.provenance`: engines, passes, certificates; empty where nothing was to be chosen."""
        ...

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
    def centred(self) -> Array:
        """The potentials less their means, (m, *shape)."""
        return np.stack([self.flow.problem.domain.centred(u) for u in self.potentials])

    def map(self, i: int) -> Array:
        """x + ∇u at ``times[i]``, shape (dim, *shape)."""
        half = (self.fields["v"][i],) if "v" in self.fields else ()
        return self.flow.map(self.potentials[i], *half)

    def log_density(self, i: int) -> Array:
        """log ρ_t at ``times[i]``, where ρ_t = (∇φ*)_# e^{−g} = e^{−g(∇φ)} det D²φ."""
        return self.flow.log_density(self.potentials[i])


def sup_distances(domain: Grid, a: Array, b: Array) -> Array:
    """sup |aᵢ − bᵢ|, constants removed, for each pair of potentials (m, *shape)."""
    return np.array([domain.sup(domain.centred(x - y)) for x, y in zip(a, b, strict=True)])
