"""The linearised flow ∂ₜw = 𝓛_{φ_t} w, or h′𝓛w, integrated together with PMA, or with ∂ₜφ = h(A(φ)).

𝓛_φ w = ρ⁻¹ div(ρ G⁻¹∇w) = tr(G⁻¹D²w) − ∇g(∇φ)·∇w is the derivative of φ ↦ f − g(∇φ) + log det D²φ.  Constants and ∂ₜφ_t are
solutions; w with w₀ = r₀ + f/2 gives Sinkhorn's first-order corrector r_t = w_t − f/2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..calculus.operators import Fourier, Space
from ..machine.arrays import Array, number
from ..problems.divergences import Divergence
from ..problems.objectives import KL
from ..problems.outcomes import Outcome
from ..problems.problem import Problem, checked
from .monge_ampere import Evolution, MongeAmpere, MongeAmpereState, local_tolerance, take_step, unfolded
from .reading import OPERATORS, Linearisation, OnGrid, Seen
from .trajectories import ErrorEstimate, Trajectory


class LinearisedEvolution:
    """The equation and its linearisation as one `System`; the state is that of u followed by that of w, and of z with a ``ratio``.

    ∂ₜw = h′𝓛w and ∂ₜz = h′𝓛(z + A − ratio·h(A)).
    """

    def __init__(self, base: Evolution, ratio: float | None = None) -> None:
        self.base, self.ratio = base, ratio
        self.parts = 2 if ratio is None else 3

    @property
    def here(self) -> Linearisation | None:
        """The linearisation at the last admissible potential."""
        return self.base.here

    @property
    def objective(self) -> Divergence:
        """What falls along the flow."""
        return self.base.objective

    @property
    def drive(self) -> Array:
        """h(A) at that potential."""
        return self.base.drive

    @property
    def refusal(self) -> Outcome:
        """Why the last state that was refused was."""
        return self.base.refusal

    def look(self, y: Array) -> Seen:
        """What is to be seen of the potential of a state."""
        return self.base.look(np.split(y, self.parts)[0])

    def derivative(self, y: Array, out: Array) -> bool:
        """h(A(φ)), h′𝓛w and h′𝓛(z + A − ratio·h(A)) at a state, written to ``out``; False where φ is not admissible."""
        (u, w, *z), (speed, change, *forced) = np.split(y, self.parts), np.split(out, self.parts)
        admissible = self.base.derivative(u, speed)
        if admissible:
            self.base.jacobian_times(w, change)
            for field_, rate in zip(z, forced, strict=True):
                assert self.here is not None
                source = self.base.vector(self.here.speed)
                self.base.jacobian_times(field_ + source - self.ratio * speed, rate)
        return admissible

    def linearise(self, y: Array) -> None:
        """All blocks on the diagonal are h′𝓛."""
        self.base.linearise(y[: y.size // self.parts])

    def jacobian_times(self, v: Array, out: Array) -> None:
        """Of what lies below the diagonal, z's forcing by 𝓛δu is kept, of fourth order in δu; how 𝓛 changes with u is left out.

        What is left out costs Newton one iteration at most.
        """
        (du, dw, *dz), (speed, change, *forced) = np.split(v, self.parts), np.split(out, self.parts)
        self.base.jacobian_times(du, speed)
        self.base.jacobian_times(dw, change)
        for field_, rate in zip(dz, forced, strict=True):
            self.base.jacobian_times(field_ + self.base.forcing(speed, self.ratio), rate)

    def precondition(self, r: Array, gamma: float, out: Array) -> None:
        """The preconditioner of PMA, applied to each of the blocks."""
        for part, result in zip(np.split(r, self.parts), np.split(out, self.parts), strict=True):
            self.base.precondition(part, gamma, result)


@dataclass(frozen=True, eq=False)
class LinearisedMongeAmpere:
    """PMA and ∂ₜw = 𝓛_{φ_t} w together; the trajectory's ``fields["w"]`` holds w at the requested times.

    For another objective ∂ₜφ = h(A) with ∂ₜw = h′(A)𝓛w.  With ``ratio`` = θ there is a second field, ``fields["z"]``:
    ∂ₜz = h′𝓛(z + A − θh(A)), z₀ = 0.

    Parameters
    ----------
    problem : densities on a torus or a box.
    direction : w₀ on the grid.
    objective : what falls, and so h, as in `MongeAmpere`.
    ratio : θ = η/ε in [0, 1] of the scheme whose error z is for: 1 for Sinkhorn's own step, 0 for `SinkhornFlow`; without it
        there is no z, which is 0 for KL with θ = 1.
    space, rtol : as in `MongeAmpere`; the tolerance controls u, w and z alike.

    Notes
    -----
    The first-order corrector of φ ← φ + η h((S_ε φ − φ)/ε), started at φ̃₀ + εr₀: φ_{t/η} = φ̃_t + ε r_t + O(ε²) with
    r_t = w_t − f/2 + ½z_t and w₀ = r₀ + f/2 (docs/theory.md).  `corrector` reads r off a trajectory.

    References
    ----------
    Derived for this package; PMA as the limit: Berman, arXiv 1712.03082, and Deb, Kim, Pal, Schiebinger, arXiv 2307.16421.

    Examples
    --------
    >>> from pmasolve import Problem, Torus, evolve
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> evolve(LinearisedMongeAmpere(problem, problem.f / 2), times=[0.01]).fields["w"].shape
    (1, 32)
    >>> run = evolve(LinearisedMongeAmpere(problem, problem.f / 2, ratio=0.5), times=[0.01])
    >>> run.flow.corrector(run, 0).shape
    (32,)
    """

    problem: Problem
    direction: Array = field(repr=False)
    objective: Divergence = field(default=KL(), kw_only=True)
    ratio: float | None = field(default=None, kw_only=True)
    space: Space = field(default=Fourier(), kw_only=True)
    rtol: float = field(default=1e-8, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "direction", checked(self.problem).domain.values(self.direction, "direction"))
        if self.ratio is not None and not 0 <= number(self.ratio, "ratio") <= 1:
            raise ValueError(f"ratio={self.ratio}: η/ε is in [0, 1]; 0 is the Sinkhorn flow, 1 Sinkhorn's own step")
        _ = self.flow

    @cached_property
    def flow(self) -> MongeAmpere:
        """`MongeAmpere`, the flow that is linearised."""
        return MongeAmpere(self.problem, objective=self.objective, space=self.space, rtol=self.rtol)

    @property
    def reading(self) -> OnGrid:
        """Maps and densities from potentials, those of `MongeAmpere`."""
        return self.flow.reading

    operators = OPERATORS

    def start(self, initial: Array) -> MongeAmpereState:
        """The state at t = 0: u₀ and w₀."""
        base = self.flow.resume(initial, 0.0).evolution
        assert isinstance(base, Evolution)
        parts = [initial, self.direction, *([np.zeros_like(initial)] if self.ratio is not None else [])]
        y = np.concatenate([base.vector(part) for part in parts])
        system, tolerance = LinearisedEvolution(base, self.ratio), local_tolerance(self.rtol) * base.scale
        return MongeAmpereState.of(self.problem.domain, system, y, tolerance, 0.0)

    def resume(self, potential: Array, t: float) -> MongeAmpereState:
        """w is not known from the potential alone."""
        raise ValueError("a linearised flow cannot be resumed from a potential: evolve it from t = 0")

    def advance(self, state: MongeAmpereState, until: float) -> MongeAmpereState:
        """One step of the integrator, or the interpolant at ``until``."""
        return unfolded(take_step(state, until), until)

    def halted(self, state: MongeAmpereState) -> Outcome:
        """Whether the map folds between the nodes, where an event ends the run."""
        return unfolded(state, state.t).outcome

    def potential(self, state: MongeAmpereState) -> Array:
        """u on the grid at the state's time."""
        return self._part(state, 0)

    def fields(self, state: MongeAmpereState) -> Mapping[str, Array]:
        """What the state carries besides: ``w`` on the grid, and ``z`` where there is a ratio."""
        second = {} if self.ratio is None else {"z": self._part(state, 2)}
        return {"w": self._part(state, 1), **second}

    def corrector(self, trajectory: Trajectory, i: int) -> Array:
        """r = w − f/2 + ½z at ``times[i]`` of a trajectory of this flow, on the grid; z = 0 without a ratio."""
        z = trajectory.fields["z"][i] if "z" in trajectory.fields else 0.0
        return trajectory.fields["w"][i] - 0.5 * self.problem.f + 0.5 * z

    def error_estimate(self, trajectory: Trajectory) -> ErrorEstimate:
        """Of the potentials, as `MongeAmpere.error_estimate`."""
        return self.flow.error_estimate(trajectory)

    def _part(self, state: MongeAmpereState, i: int) -> Array:
        assert isinstance(state.evolution, LinearisedEvolution)
        return state.evolution.base.values(np.split(state.y, state.evolution.parts)[i])
