"""Mirror flows in Wasserstein space: what a potential says of its law ρ = (∇φ*)_# e^{−g}, and of how it moves.

With the mirror map G(ρ) = ½W₂²(ρ, e^{−g}), δG/δρ = ½|x|² − φ = −u, the mirror flow of an objective F is

    ∂ₜu = δF/δρ(ρ_t)  (mirror coordinate),      ∂ₜρ + div(ρv) = 0,  v = −(D²φ)⁻¹∇δF/δρ  (primal);

for F = KL(· | e^{−f}) it is the parabolic Monge–Ampère flow (Deb, Kim, Pal, Schiebinger, arXiv 2307.16421).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..calculus.hessians import apply
from ..calculus.operators import FOURIER, Operators, Space
from ..machine.arrays import Array
from ..maps.displacement import Displacement
from ..maps.transport import transport
from ..problems.densities import QUINTIC, Interpolation
from ..problems.divergences import Divergence, checked_objective, log_ratio, value
from ..problems.objectives import KL
from ..problems.problem import Problem, checked
from .densities_as_states import problem_between
from .protocol import objective_of
from .reading import Linearisation, linearise_at
from .trajectories import Trajectory, followed


@dataclass(frozen=True, eq=False)
class Law:
    """ρ = (∇φ*)_# e^{−g} of a potential on the grid, its mirror geometry, and how it moves to make an objective fall.

    Parameters
    ----------
    problem : densities on a torus or a box.
    potential : u with φ = |x|²/2 + u strictly convex.
    objective : F, for `value`, `velocity`, `dissipation` and the rates; `KL()` unless given, `AlphaDivergence`, `Entropy()`, ….
    space : derivatives.
    interpolation : of maps between nodes, for `lot`.

    Raises
    ------
    ValueError : a potential that is not strictly convex, samples, densities that vanish.

    Examples
    --------
    >>> from pmasolve import Problem, Torus
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> law = Law(problem, np.zeros(32))
    >>> law.velocity().shape, round(law.kl, 4) == round(problem.domain.integral(problem.f), 4)
    ((1, 32), True)
    """

    problem: Problem
    potential: Array = field(repr=False)
    objective: Divergence = field(default=KL(), kw_only=True)
    space: Space = field(default=FOURIER, kw_only=True)
    interpolation: Interpolation = field(default=QUINTIC, kw_only=True)

    def __post_init__(self) -> None:
        checked(self.problem).need_positive("mirror geometry")
        checked_objective(self.objective)
        object.__setattr__(self, "potential", self.problem.domain.values(self.potential, "potential"))
        if not self._here.convex:
            raise ValueError(
                "potential: |x|²/2 + u is not strictly convex on the grid, so that it has no law; take a smaller u"
            )

    @classmethod
    def of(cls, trajectory: Trajectory, i: int) -> Law:
        """The law at ``trajectory.times[i]``, of any flow on a grid, with the flow's objective."""
        return cls(
            followed(trajectory).flow.problem,
            trajectory.potentials[trajectory.entry(i)],
            objective=objective_of(trajectory.flow),
        )

    @cached_property
    def operators(self) -> Operators:
        """The discretisation of derivatives on the grid."""
        return self.space.on(self.problem.domain)

    @cached_property
    def _here(self) -> Linearisation:
        return linearise_at(self.problem, self.operators, self.potential)

    @property
    def log_density(self) -> Array:
        """log ρ at the nodes, of the grid's shape."""
        return self._here.log_density

    @property
    def log_det(self) -> Array:
        """log det D²φ at the nodes, of the grid's shape."""
        return self.log_density + self._here.composed

    @property
    def inverse_hessian(self) -> Array:
        """(D²φ)⁻¹, packed by rows of the upper triangle."""
        return self._here.inverse

    @cached_property
    def target_slope(self) -> Array:
        """∇g(∇φ) at the nodes, a field (dim, *shape)."""
        return self._here.drift

    @cached_property
    def density(self) -> Array:
        """ρ at the nodes, of the grid's shape."""
        return np.exp(self.log_density)

    @cached_property
    def displacement(self) -> Array:
        """∇u at the nodes, a field (dim, *shape): the optimal map from ρ to e^{−g} less the identity."""
        return self.operators.gradient(self.potential)

    def mean(self, values: Array) -> float:
        """∫ values dρ of values at the nodes."""
        return self.problem.domain.integral(values * self.density)

    @cached_property
    def variation(self) -> Array:
        """δF/δρ = h(s) at the nodes, s the log of ρ over the reference: f + log ρ for KL, log ρ + log |X| for the entropy."""
        return self.objective.h(log_ratio(self.objective, self.problem, self._here.speed))

    @property
    def value(self) -> float:
        """F(ρ) = ∫Φ d(reference), ≥ 0."""
        return value(self.objective, self.problem, self._here.speed)

    def downhill(self, values: Array) -> Array:
        """−(D²φ)⁻¹∇values of a function on the grid, a field (dim, *shape): the way down in the mirror's metric."""
        return -apply(self._here.inverse, self.operators.gradient(values))

    def velocity(self) -> Array:
        """The velocity v = −(D²φ)⁻¹∇δF/δρ of the mirror flow of F, a field (dim, *shape)."""
        return self.downhill(self.variation)

    def speed(self) -> float:
        """‖v‖_{L²(ρ)} = lim LOT(ρ_{t+h}, ρ_t)/h, the metric derivative in linearised transport."""
        return float(np.sqrt(self.mean(np.sum(self.velocity() ** 2, axis=0))))

    def mirror_rate(self) -> Array:
        """∂ₜρ as the mirror coordinate has it: ρ𝓛[∂ₜu] with ∂ₜu = δF/δρ."""
        return self.density * self._here.times(self.operators.transform.forward(self.variation))

    def primal_rate(self) -> Array:
        """∂ₜρ as the continuity equation has it: −div(ρv)."""
        flux = self.density * self.velocity()
        return -sum(self.operators.gradient(component)[i] for i, component in enumerate(flux))

    def dissipation(self) -> float:
        """−dF/dt = ∫∇δF/δρ·(D²φ)⁻¹∇δF/δρ dρ along the mirror flow of F."""
        return self.mean(-np.sum(self.velocity() * self.operators.gradient(self.variation), axis=0))

    def wasserstein_dissipation(self) -> float:
        """−dF/dt = ∫|∇δF/δρ|² dρ along the Wasserstein gradient flow of F, `FokkerPlanck`."""
        return self.mean(np.sum(self.operators.gradient(self.variation) ** 2, axis=0))

    @property
    def kl(self) -> float:
        """KL(ρ | e^{−f}) = ∫ρ(f + log ρ), whatever the objective."""
        return self.mean(self._here.speed)

    @property
    def reverse_kl(self) -> float:
        """KL(e^{−f} | ρ), the other way round."""
        return -self.problem.mu.integral(self._here.speed)

    @property
    def jeffreys(self) -> float:
        """KL(ρ | e^{−f}) + KL(e^{−f} | ρ) = −d/dt B_G(e^{−f} | ρ_t) along the flow."""
        return self.kl + self.reverse_kl

    def bregman(self, other: Law) -> float:
        """B_G(other | self) = ∫(u − ũ) dρ̃ + ∫(ũ + ½|∇ũ|²) dρ̃ − ∫(u + ½|∇u|²) dρ, ≥ 0, of G = ½W₂²(·, e^{−g})."""
        return other.mean(self.potential - other.potential) + other._conjugate() - self._conjugate()

    def _conjugate(self) -> float:
        """−∫v e^{−g}, v the Legendre partner of u, as v(x + ∇u) = −u − ½|∇u|²."""
        return self.mean(self.potential + 0.5 * np.sum(self.displacement**2, axis=0))

    def lot(self, other: Law) -> float:
        """Linearised transport with reference e^{−g}: ‖∇ψ − ∇ψ̃‖_{L²(e^{−g})} ≥ W₂; the same label y = ∇φ(x) in both."""
        grid = self.problem.domain
        back = Displacement(grid, other.potential, other.space, other.interpolation)
        gap = back.inverse(grid.points + self.displacement) - grid.points
        return float(np.sqrt(self.mean(np.sum(gap**2, axis=0))))

    def wasserstein(self, other: Law) -> float:
        """W₂(self, other) by `transport`; a ``RuntimeError`` with its advice where that fails."""
        found = transport(problem_between(self.problem, self.log_density, other.log_density), progress=False)
        if not found.outcome.ok:
            raise RuntimeError(f"W₂ between two laws was not found: {found.outcome}")
        return float(np.sqrt(found.w2_squared))


def target_law(problem: Problem, *, space: Space = FOURIER) -> Law:
    """e^{−f} as a law, to which mirror flows of KL go: the law of the Brenier potential, found by `transport`.

    Parameters
    ----------
    problem : positive densities on a torus or a box.
    space : derivatives.

    Returns
    -------
    The `Law` whose density is e^{−f} up to the discretisation.

    Raises
    ------
    RuntimeError : `transport` failed; with its advice.
    ValueError : samples, densities that vanish.

    Examples
    --------
    >>> from pmasolve import Problem, Torus
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> goal = target_law(problem)
    >>> bool(np.abs(goal.log_density + problem.f).max() < 1e-8)
    True
    """
    found = transport(checked(problem), space=space, progress=False)
    if not found.outcome.ok:
        raise RuntimeError(f"the Brenier potential of the problem was not found: {found.outcome}")
    return Law(problem, found.potential, space=space)


def along(trajectory: Trajectory, goal: Law | None = None) -> Mapping[str, Array]:
    """The objective, and distances from ρ_t to e^{−f}, along a trajectory of any flow on a grid; one `transport` for each time.

    Parameters
    ----------
    trajectory : of any flow on a torus or a box.
    goal : the law distances are taken to, `target_law` of the problem unless given.

    Returns
    -------
    Columns (m,), one number for each time, by name: ``kl``, ``reverse_kl``, ``jeffreys``, ``bregman`` = B_G(e^{−f} | ρ_t), ``lot``,
    ``wasserstein``; and of the mirror flow of the flow's objective F (KL where it has none) ``value`` = F(ρ_t), ``speed`` = ‖v_t‖
    and ``dissipation`` = −dF/dt.

    Raises
    ------
    RuntimeError : `transport` failed on one of the laws; with its advice.

    Examples
    --------
    >>> from pmasolve import MongeAmpere, Problem, Torus, evolve
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> columns = along(evolve(MongeAmpere(problem), times=[0.01, 0.02]))
    >>> bool(np.all(np.diff(columns["bregman"]) < 0)), bool(np.all(columns["lot"] >= columns["wasserstein"] - 1e-9))
    (True, True)
    """
    goal = goal or target_law(followed(trajectory).flow.problem)
    rows = []
    for i in range(trajectory.times.size):
        law = Law.of(trajectory, i)
        rows.append(
            {
                "kl": law.kl,
                "reverse_kl": law.reverse_kl,
                "jeffreys": law.jeffreys,
                "bregman": law.bregman(goal),
                "lot": law.lot(goal),
                "wasserstein": law.wasserstein(goal),
                "value": law.value,
                "speed": law.speed(),
                "dissipation": law.dissipation(),
            }
        )
    return {name: np.array([row[name] for row in rows]) for name in (rows[0] if rows else ())}
