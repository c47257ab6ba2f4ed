"""What a run returns: potentials at the requested times, what follows from them, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..machine.arrays import Array, number, shown
from ..machine.speaking import count, drawn, numbers, page, sheet
from ..problems.grids import Grid
from ..problems.outcomes import REACHED, Outcome
from .protocol import Flow, State, admit, columns, estimator_of, fields_of, reach, reading_of, start, states_of


class Stopped(RuntimeError):
    """A flow ended before the last requested time.

    Attributes
    ----------
    trajectory : what was reached, with its outcome and advice; `resume` goes on from it.

    Examples
    --------
    >>> from pmasolve import Problem, Sinkhorn, Torus, evolve
    >>> problem = Problem(Torus((8,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> try:
    ...     evolve(Sinkhorn(problem, eps=1e-5), times=[1e-3])
    ... except Stopped as stopped:
    ...     print(stopped.trajectory.outcome.name)
    eps unresolved
    """

    def __init__(self, trajectory: Trajectory) -> None:
        super().__init__(f"{trajectory.outcome} (reached {trajectory.times.size} of the requested times)")
        self.trajectory = trajectory


@dataclass(frozen=True, eq=False)
class ErrorEstimate:
    """Estimated sup errors of the potentials, constants removed, one for each time of a trajectory.

    Attributes
    ----------
    times : (m,).
    time : (m,), from stepping (a tighter tolerance, a smaller ε).
    space : (m,), from the grid (a finer grid, a higher order, the quadrature).
    """

    times: Array = field(repr=False)
    time: Array = field(repr=False)
    space: Array = field(repr=False)

    def __repr__(self) -> str:
        sizes = f"time ≤ {np.max(self.time):.2g}, space ≤ {np.max(self.space):.2g}" if self.times.size else "none"
        return f"<ErrorEstimate at {count(self.times.size, 'time')}: {sizes}>"

    @property
    def total(self) -> Array:
        """Errors from stepping and from the grid added, (m,)."""
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

    Examples
    --------
    >>> from pmasolve import MongeAmpere, Problem, Torus, evolve
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> run = evolve(MongeAmpere(problem), times=[0.01, 0.02])
    >>> run
    <Trajectory of MongeAmpere on a torus of 32 points: 2 times to t = 0.02, reached>
    >>> run.potentials.shape, run.map(-1).shape, run.log_density(0).shape
    ((2, 32), (1, 32), (32,))
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

    def __repr__(self) -> str:
        where = states_of(self.flow).words
        times = f"{count(self.times.size, 'time')}" + (f" to t = {self.times[-1]:.6g}" if self.times.size else "")
        return f"<Trajectory of {type(self.flow).__name__} on {where}: {times}, {self.outcome.name}>"

    def _repr_html_(self) -> str:
        return page(self)

    def summary(self) -> str:
        """Flow, times, outcome with its advice, and the last step's diagnostics, on a page of at most 80 columns."""
        steps = next((column.size for column in self.records.values()), 0)
        last = ", ".join(f"{name} {column[-1]:.3g}" for name, column in self.records.items() if column.size)
        seconds = self.provenance.get("seconds")
        return sheet(
            repr(self),
            {
                "flow": repr(self.flow),
                "times": numbers(self.times) or "none",
                "outcome": self.outcome,
                "steps": f"{count(steps, 'step')}" + (f" in {float(seconds):.2g} s" if seconds is not None else ""),
                "last step": last or None,
                "fields": ", ".join(self.fields) or None,
            },
        )

    def plot(self, i: int = -1) -> Any:
        """What the flow did until ``times[i]``: potentials and densities in 1D, density and displacement in 2D, arrows on clouds.

        Returns
        -------
        A matplotlib ``Figure``, not shown: notebooks show it, ``figure.savefig(path)`` keeps it.

        Raises
        ------
        ValueError : three dimensions.

        Examples
        --------
        >>> from pmasolve import MongeAmpere, Problem, Torus, evolve
        >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
        >>> len(evolve(MongeAmpere(problem), times=[0.01]).plot().axes)
        2
        """
        return drawn(self, i=i)

    def error_estimate(self) -> ErrorEstimate:
        """How far the potentials are from the flow's exact ones, in time and in space, as the flow itself estimates it.

        Raises
        ------
        ValueError : a flow that has no estimate.
        """
        return estimator_of(self.flow)(self)

    @property
    def centred(self) -> Array:
        """The potentials less their means, (m, *shape)."""
        return np.stack([states_of(self.flow).centred(u) for u in self.potentials])

    def map(self, i: int) -> Array:
        """x + ∇u at the nodes at ``times[i]``: a field (dim, *shape), or (n, dim) at the points of a cloud."""
        k = self.entry(i)
        return reading_of(self.flow).map(self.potentials[k], self.fields["v"][k] if "v" in self.fields else None)

    def log_density(self, i: int) -> Array:
        """log ρ_t at ``times[i]``, where ρ_t = (∇φ*)_# e^{−g} = e^{−g(∇φ)} det D²φ."""
        return reading_of(self.flow).log_density(self.potentials[self.entry(i)])

    def entry(self, i: int) -> int:
        """i, where there is such a time; from the end where it is negative.

        Raises
        ------
        ValueError : no such time.
        """
        if number(i, "i") not in range(-self.times.size, self.times.size):
            raise ValueError(
                f"i={shown(i)}: {count(self.times.size, 'time')} stored: give one of them, from 0 on or −1 for the last"
            )
        return int(i)

    def at(self, t: float) -> Trajectory:
        """The flow at one time between the stored ones, by going on from the last stored state before it.

        Exact for schemes with steps of their own, up to rounding (`Richardson`: to its recorded error); an adaptive integrator
        starts again at low order, so that the answer has the flow's tolerance.  Cost: the steps from the stored state to t.

        Parameters
        ----------
        t : 0 ≤ t ≤ the time reached, ``latest[0]``; one that the flow can visit.

        Returns
        -------
        A trajectory with the one time t: ``at(t).potentials[0]``, ``at(t).map(0)``, ``at(t).log_density(0)``.

        Raises
        ------
        ValueError : t outside that range, or not admitted by the flow, such as no multiple of Sinkhorn's ε.
        Stopped : the flow failed on the way.

        Examples
        --------
        >>> from pmasolve import MongeAmpere, Problem, Torus, evolve
        >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
        >>> evolve(MongeAmpere(problem), times=[0.01, 0.02]).at(0.013).map(0).shape
        (1, 32)
        """
        if not 0 <= (t := number(t, "t")) <= self.latest[0]:
            raise ValueError(
                f"t={t:g}: the trajectory goes from 0 to {self.latest[0]:g}; resume(trajectory, [{t:g}]) goes on to later times"
            )
        admit(self.flow, np.array([float(t)]))
        i = int(np.searchsorted(self.times, t, side="right")) - 1  # the last stored time ≤ t; −1 if there is none
        return self._stored(i) if i >= 0 and self.times[i] == t else self._from(i, float(t))

    def _stored(self, i: int) -> Trajectory:
        """The stored state i alone, with the records up to it."""
        t, u = float(self.times[i]), self.potentials[i]
        fields = {name: values[i] for name, values in self.fields.items()}
        done = self.records["t"] <= t if self.records else slice(0)
        return self._alone(t, u, REACHED, fields, {name: values[done] for name, values in self.records.items()})

    def _from(self, i: int, t: float) -> Trajectory:
        """At t, from the stored state i, or from the start where i = −1; records of the steps between."""
        flow, rows = self.flow, []

        def note(state: State) -> Outcome:
            rows.append({"t": state.t, **state.record})
            return REACHED

        state = start(flow, self.initial) if i < 0 else flow.resume(self.potentials[i], float(self.times[i]))
        state, outcome = reach(flow, state, t, note)
        found = self._alone(state.t, flow.potential(state), outcome, fields_of(flow, state), columns(rows))
        if not outcome.ok:
            raise Stopped(found)
        return found

    def _alone(
        self, t: float, u: Array, outcome: Outcome, fields: Mapping[str, Array], records: Mapping[str, Array]
    ) -> Trajectory:
        """A trajectory of this flow with one time."""
        columns = {name: values[None] for name, values in fields.items()}
        return replace(
            self,
            times=np.array([t]),
            potentials=u[None],
            outcome=outcome,
            latest=(t, u),
            fields=columns,
            records=records,
        )


def followed(trajectory: Trajectory, name: str = "trajectory") -> Trajectory:
    """The trajectory, where it is one.

    Raises
    ------
    ValueError : it is something else.
    """
    if not isinstance(trajectory, Trajectory):
        raise ValueError(f"{name}={shown(trajectory)}: give a Trajectory, what evolve, resume and load return")
    return trajectory


def sup_distances(domain: Grid, a: Array, b: Array) -> Array:
    """sup |aᵢ − bᵢ|, constants removed, for each pair of potentials (m, *shape)."""
    return np.array([domain.sup(domain.centred(x - y)) for x, y in zip(a, b, strict=True)])
