"""The linearised flow ∂ₜw = 𝓛_{φ_t} w, integrated together with PMA.

𝓛_φ w = ρ⁻¹ div(ρ G⁻¹∇w) = tr(G⁻¹D²w) − ∇g(∇φ)·∇w is the derivative of φ ↦ f − g(∇φ) + log det D²φ.  Constants and ∂ₜφ_t are
solutions; w with w₀ = r₀ + f/2 gives Sinkhorn's first-order corrector r_t = w_t − f/2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..calculus.operators import Fourier, Space
from ..machine.arrays import Array
from ..problems.objectives import Divergence
from ..problems.outcomes import Outcome
from ..problems.problem import Problem, checked
from .monge_ampere import Evolution, MongeAmpere, MongeAmpereState, local_tolerance, take_step, unfolded
from .reading import OPERATORS, Linearisation, OnGrid
from .trajectories import ErrorEstimate, Trajectory


class LinearisedEvolution:
    """PMA and its linearisation as one `System`; the state is that of u followed by that of w."""

    def __init__(self, base: Evolution) -> None:
        self.base = base

    @property
    def here(self) -> Linearisation | None:
        """The linearisation at the last admissible potential."""
        return self.base.here

    @property
    def objective(self) -> Divergence:
        """What falls along the flow."""
        return self.base.objective

    @property
    def refusal(self) -> Outcome:
        """Why the last state that was refused was."""
        return self.base.refusal

    def derivative(self, y: Array, out: Array) -> bool:
        """A(φ) and 𝓛w at a state, written to ``out``; False where φ is not convex."""
        (u, w), (speed, change) = np.split(y, 2), np.split(out, 2)
        admissible = self.base.derivative(u, speed)
        if admissible:
            self.base.jacobian_times(w, change)
        return admissible

    def linearise(self, y: Array) -> None:
        """Both blocks on the diagonal are 𝓛."""
        self.base.linearise(y[: y.size // 2])

    def jacobian_times(self, v: Array, out: Array) -> None:
        """The block that feels the change of 𝓛 with u is left out: below the diagonal, it costs Newton one iteration at most."""
        for part, result in zip(np.split(v, 2), np.split(out, 2), strict=True):
            self.base.jacobian_times(part, result)

    def precondition(self, r: Array, gamma: float, out: Array) -> None:
        """The preconditioner of PMA, applied to each of the two blocks."""
        for part, result in zip(np.split(r, 2), np.split(out, 2), strict=True):
            self.base.precondition(part, gamma, result)


@dataclass(frozen=True, eq=False)
class LinearisedMongeAmpere:
    """PMA and ∂ₜw = 𝓛_{φ_t} w together; the trajectory's ``fields["w"]`` holds w at the requested times.

    Parameters
    ----------
    problem : densities on a torus or a box.
    direction : w₀ on the grid.
    space, rtol : as in `MongeAmpere`; the tolerance controls u and w alike.

    References
    ----------
    The corrector r_t = w_t − f/2 with w₀ = r₀ + f/2 of Sinkhorn's iterates φ_{t/ε} = φ̃_t + ε r_t + O(ε²).

    Examples
    --------
    >>> from pmasolve import Problem, Torus, evolve
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> evolve(LinearisedMongeAmpere(problem, problem.f / 2), times=[0.01]).fields["w"].shape
    (1, 32)
    """

    problem: Problem
    direction: Array = field(repr=False)
    space: Space = field(default=Fourier(), kw_only=True)
    rtol: float = field(default=1e-8, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "direction", checked(self.problem).domain.values(self.direction, "direction"))
        _ = self.flow

    @cached_property
    def flow(self) -> MongeAmpere:
        """`MongeAmpere`, the flow that is linearised."""
        return MongeAmpere(self.problem, space=self.space, rtol=self.rtol)

    @property
    def reading(self) -> OnGrid:
        """Maps and densities from potentials, those of `MongeAmpere`."""
        return self.flow.reading

    operators = OPERATORS

    def start(self, initial: Array) -> MongeAmpereState:
        """The state at t = 0: u₀ and w₀."""
        base = self.flow.resume(initial, 0.0).evolution
        assert isinstance(base, Evolution)
        y = np.concatenate([base.vector(initial), base.vector(self.direction)])
        return MongeAmpereState.of(LinearisedEvolution(base), y, local_tolerance(self.rtol) * base.scale, 0.0)

    def resume(self, potential: Array, t: float) -> MongeAmpereState:
        """w is not known from the potential alone."""
        raise ValueError("a linearised flow cannot be resumed from a potential: evolve it from t = 0")

    def advance(self, state: MongeAmpereState, until: float) -> MongeAmpereState:
        """One step of the integrator, or the interpolant at ``until``."""
        return unfolded(take_step(state, until), until, self.operators, self.potential)

    def potential(self, state: MongeAmpereState) -> Array:
        """u on the grid at the state's time."""
        return self._part(state, 0)

    def fields(self, state: MongeAmpereState) -> Mapping[str, Array]:
        """What the state carries besides: ``w`` on the grid."""
        return {"w": self._part(state, 1)}

    def error_estimate(self, trajectory: Trajectory) -> ErrorEstimate:
        """Of the potentials, as `MongeAmpere.error_estimate`."""
        return self.flow.error_estimate(trajectory)

    def _part(self, state: MongeAmpereState, i: int) -> Array:
        assert isinstance(state.evolution, LinearisedEvolution)
        return state.evolution.base.values(np.split(state.y, 2)[i])
