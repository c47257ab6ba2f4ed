"""The minimising movements of Jordan, Kinderlehrer and Otto, each an elliptic equation of Monge–Ampère type.

The step argmin KL(ρ | e^{−f}) + W₂²(ρ, ρ_k)/2h is ρ_{k+1} = e^{−f + w/h} where x + ∇w carries it to ρ_k, that is

    w = h {f + log ρ_k(x + ∇w) + log det(I + D²w)}:

one implicit Euler step, from the identity, of PMA between e^{−f} and ρ_k.  Newton's method solves (1 − h𝓛_w) δ = hA(w) − w.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ..calculus.operators import Fourier, Space
from ..machine.arrays import Array, positive
from ..problems.densities import Interpolation, Spline
from ..problems.outcomes import REACHED, STALLED, Outcome
from ..problems.problem import Problem, checked
from ..problems.times import admit_multiples
from . import densities_as_states
from .densities_as_states import brenier_potential, starting_law
from .implicit import ImplicitStep
from .reading import OPERATORS, OnGrid
from .refinement import by_refinement
from .trajectories import ErrorEstimate, Trajectory

UNSOLVED = STALLED.advising("Newton's method did not solve the JKO step; take a shorter step or a finer grid")


@dataclass(frozen=True, eq=False)
class JKOState:
    """ρ_k, and its potential where it is known."""

    k: int
    t: float
    log_density: Array
    u: Array | None
    outcome: Outcome = REACHED
    record: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class JKO:
    """Minimising movements of KL(· | e^{−f}) with step h, from ρ₀ = (∇φ₀*)_# e^{−g}; first order in h to Fokker–Planck.

    The trajectory's potentials are the Brenier potentials from ρ_k to e^{−g}; ``fields["log_density"]`` is log ρ_k itself.

    Parameters
    ----------
    problem : densities on a torus or a box, 1 to 3 dimensions.
    step : h > 0; requested times are its multiples.
    space : derivatives.
    interpolation : of log ρ_k between nodes: `Spline(5)`, order 6, or `problems.interpolation.Spectral()`.

    Raises
    ------
    ValueError : a step that is not positive, times that are not multiples of it, a start that is not strictly convex, samples,
        densities that vanish.

    Notes
    -----
    Records of each step: ``newton`` steps, ``residual`` (rms of the equation for w), ``mass`` ∫ρ (1 up to the interpolation),
    ``kl`` = KL(ρ | e^{−f}), ``distance`` = W₂(ρ_{k+1}, ρ_k) = (∫|∇w|²ρ_{k+1})^½.
    Where `transport` fails the run ends with its advice.
    Cost: some five Newton steps of some ten Krylov steps; one `transport` for each requested time.

    References
    ----------
    Jordan, Kinderlehrer, Otto, SIAM J. Math. Anal. 29 (1998); Cheng, Lu, Tan, Xie, arXiv 2310.17582.

    Examples
    --------
    >>> from pmasolve import Problem, Torus, evolve
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> evolve(JKO(problem, 0.005), times=[0.01]).records["kl"].size
    2
    """

    problem: Problem
    step: float
    space: Space = field(default=Fourier(), kw_only=True)
    interpolation: Interpolation = field(default=Spline(5), kw_only=True)

    def __post_init__(self) -> None:
        positive(self.step, "step", "the step")
        checked(self.problem).need_positive("a JKO step")

    reading = cached_property(OnGrid.of)
    operators = OPERATORS
    potential = densities_as_states.potential
    fields = densities_as_states.fields
    halted = densities_as_states.halted

    def admit(self, times: Array) -> None:
        """Refuse times that are not multiples of the step."""
        admit_multiples(times, self.step)

    def resume(self, potential: Array, t: float) -> JKOState:
        """The state at time t: the law ρ_k of a potential."""
        return JKOState(round(t / self.step), t, starting_law(self.problem, self.operators, potential), potential)

    def advance(self, state: JKOState, until: float) -> JKOState:
        """One minimising movement."""
        domain = self.problem.domain
        back = Problem(domain, self.problem.f, -state.log_density, interpolation=self.interpolation)
        found = ImplicitStep(back, self.operators, self.step).solve(np.zeros(domain.shape), 0.0)
        if not found.solved:
            return replace(state, outcome=UNSOLVED)
        k, w, grid = state.k + 1, found.u, domain
        log_density = w / self.step - self.problem.f
        density = np.exp(log_density)
        record = {
            "newton": float(found.newton),
            "residual": found.residual,
            "mass": grid.integral(density),
            "kl": grid.integral(density * w) / self.step,
            "distance": np.sqrt(grid.integral(density * np.sum(self.operators.gradient(w) ** 2, axis=0))),
        }
        t = until if k >= round(until / self.step) else k * self.step
        arrived = t >= until
        u, outcome = brenier_potential(self.problem, self.operators, log_density) if arrived else (None, REACHED)
        return JKOState(k, t, log_density, u, outcome, record)

    def error_estimate(self, trajectory: Trajectory) -> ErrorEstimate:
        """Distance from Fokker–Planck.  Time: by halving the step, order 1.  Space: that run on a grid refined twice.

        Sup distances with constants removed, on the trajectory's own grid.  Cost: that of the two runs, with twice the steps
        each on 1 and 2^dim times the points.
        """
        return by_refinement(trajectory, replace(self, step=self.step / 2), 2.0)
