"""The plan of a pair of potentials: marginals, rows and costs, without ever storing its matrix.

γ = exp(−(u⊕v)/ε) K_ε · μ⊗ν,      K_ε = exp(−|x−y|²/2ε), summed over images on a torus and in a box.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike

from ..flows.trajectories import Trajectory, followed
from ..machine.arrays import Array, indices
from ..machine.speaking import drawn, page, sheet
from ..problems.points import PointsLike, given, rows
from ..problems.problem import Measure, Problem, checked
from .potentials import Potential, half_step
from .rounding import Slack, equalise, filling, integral, product_cost, slack
from .softmin.default import default_engine
from .softmin.nodes import points
from .softmin.protocol import Kernel, Softmin


class _HalfStepping(Protocol):
    """What a flow has whose trajectories hold half steps."""

    problem: Problem
    eps: float
    softmin: Softmin | None

    def iterate_of(self, potential: Array) -> Array: ...


@dataclass(frozen=True, eq=False)
class Plan:
    """The plan of potentials φ = |x|²/2 + u on the source and ψ = |y|²/2 + v on the target.

    Parameters
    ----------
    problem : measures on grids or clouds.
    eps : ε for the cost ½|x−y|².
    u, v : values at the nodes of source and target.
    softmin : the engine of the log-sums; the domain's own unless given.

    Attributes
    ----------
    phi : the function that v generates (`Potential`).  Where u is the half step of v, as in `Plan.of`, phi extends u to all points.
    psi : the function that u generates.  Where v is the half step of u, as in `Plan.after`, psi extends v.

    Raises
    ------
    ValueError : potentials of another shape or not finite, ε that is not positive.

    Notes
    -----
    After a whole iteration (`of`) the source marginal is exactly μ, the target marginal ν·exp((ψ_{k+1} − ψ_k)/ε); after a half
    step (`after`) the target marginal is exactly ν and the source marginal μ·exp((φ_{k+1} − φ_k)/ε).
    Each marginal costs one pass of the engine, all costs together three more.  Memory: a few arrays of the nodes.

    Examples
    --------
    >>> from pmasolve import Problem, Sinkhorn, evolve
    >>> problem = Problem.from_samples([[0.0], [1.0]], [[0.2], [0.9], [1.5]])
    >>> plan = Plan.of(evolve(Sinkhorn(problem, 0.5), times=[25.0]), -1)
    >>> plan.rows([0, 1]).sum(axis=0).round(12)
    array([0.33333333, 0.33333333, 0.33333333])
    >>> bool(plan.duality_gap < 1e-12)
    True
    """

    problem: Problem
    eps: float
    u: Array
    v: Array
    softmin: Softmin | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "u", checked(self.problem).domain.values(self.u, "u"))
        object.__setattr__(self, "v", self.problem.codomain.values(self.v, "v"))
        _ = self.phi

    def __repr__(self) -> str:
        return f"<Plan at ε = {self.eps:.6g}, {self.problem.domain.words} to {self.problem.codomain.words}>"

    def _repr_html_(self) -> str:
        return page(self)

    def plot(self) -> Any:
        """Some points of a cloud, joined with the targets that get most of their mass: a matplotlib ``Figure``, for clouds only."""
        return drawn(self)

    def summary(self) -> str:
        """Cost, entropic value with its bounds, mass and marginals, on a page of at most 80 columns; five passes of the engine."""
        mu, nu = self.problem.mu, self.problem.nu
        errors = (
            mu.integral(np.abs(np.expm1(self.log_source_ratio))),
            nu.integral(np.abs(np.expm1(self.log_target_ratio))),
        )
        return sheet(
            repr(self),
            {
                "W₂": f"{self.w2:.10g}, the root of ⟨|x−y|², γ⟩",
                "value": f"{self.value:.10g}, of the plan with entropy",
                "bounds": f"[{self.dual:.10g}, {self.upper:.10g}] of the entropic value, duality gap {self.duality_gap:.2g}",
                "marginals": f"∫|p_X − μ| = {errors[0]:.2g}, ∫|p_Y − ν| = {errors[1]:.2g}",
                "mass": f"{self.mass:.12g}",
            },
        )

    @classmethod
    def of(cls, trajectory: Trajectory, i: int) -> Plan:
        """The plan (φ_k, ψ_k) at entry ``i`` of a Sinkhorn trajectory: φ_k with the half step before it.

        Raises
        ------
        ValueError : a trajectory of another flow, or the start, before which there is no half step.
        """
        flow = cast(_HalfStepping, followed(trajectory).flow)
        v = trajectory.fields["v"][i] if "v" in trajectory.fields else np.array(np.nan)
        if np.isnan(v).any():
            raise ValueError(
                f"{type(flow).__name__} at t={trajectory.times[i]:g} has no half step: take an entry with t > 0 of a Sinkhorn "
                "trajectory, or Plan.after(problem, eps, u) for the plan after the next half step"
            )
        u = flow.iterate_of(trajectory.potentials[trajectory.entry(i)])
        return cls(flow.problem, flow.eps, u, v, flow.softmin)

    @classmethod
    def after(cls, problem: Problem, eps: float, u: ArrayLike, softmin: Softmin | None = None) -> Plan:
        """The plan (φ, ψ) with ψ the half step of φ = |x|²/2 + u: its target marginal is ν."""
        start = cls(problem, eps, u, np.zeros(checked(problem).codomain.shape), softmin)
        return cls(problem, eps, start.u, start._half_step(start.u), softmin)

    @cached_property
    def phi(self) -> Potential:
        """ε log ∫exp(−|x−y|²/2ε − v/ε) ν(dy) as a function of x."""
        return Potential(self.problem.nu, self.v, self.eps)

    @cached_property
    def psi(self) -> Potential:
        """ε log ∫exp(−|x−y|²/2ε − u/ε) μ(dx) as a function of y."""
        return Potential(self.problem.mu, self.u, self.eps)

    @cached_property
    def kernel(self) -> Kernel:
        """The engine bound to the nodes of both sides and to ε."""
        source, target = self.problem.domain, self.problem.codomain
        return (self.softmin or default_engine(source, target)).bind(source, target, self.eps)

    @property
    def log_source_marginal(self) -> Array:
        """log p_X at the source nodes, −f + (φ′ − φ)/ε with φ′ generated by ψ: log density on a grid, log masses on a cloud."""
        return self.problem.mu.log_density + self.log_source_ratio

    @property
    def log_target_marginal(self) -> Array:
        """log p_Y at the target nodes, −g + (ψ′ − ψ)/ε with ψ′ generated by φ: log density on a grid, log masses on a cloud."""
        return self.problem.nu.log_density + self.log_target_ratio

    @cached_property
    def log_source_ratio(self) -> Array:
        """log dp_X/dμ = (φ′ − φ)/ε at the source nodes, 0 where the marginal holds."""
        return (self._half_step_back(self.v) - self.u) / self.eps

    @cached_property
    def log_target_ratio(self) -> Array:
        """log dp_Y/dν = (ψ′ − ψ)/ε at the target nodes, 0 where the marginal holds."""
        return (self._half_step(self.u) - self.v) / self.eps

    @property
    def mass(self) -> float:
        """Total mass of γ, 1 up to rounding after any half step."""
        return _integral(self.problem.mu, self.log_source_ratio, np.ones(self.u.shape))

    def rows(self, nodes: ArrayLike) -> Array:
        """Masses γ(xᵢ, ·) for the source nodes with these flat indices: (r, *codomain.shape); cost and memory r·m.

        Raises
        ------
        ValueError : what is no index of a node, as a mask (``np.flatnonzero(mask)`` has its indices).
        """
        mu = self.problem.mu
        i = indices(nodes, mu.nodes.size, "nodes")
        log_rows = self.phi.log_terms(points(mu.nodes)[i]) - self.u.ravel()[i, None] / self.eps
        log_rows += mu.log_density.ravel()[i, None] + np.log(mu.cell)
        return np.exp(log_rows).reshape(-1, *self.problem.codomain.shape)

    def conditional(self, x: PointsLike) -> Array:
        """Masses of the law of y given x at any points (n, dim), normalised: (n, *codomain.shape); cost and memory n·m.

        The points may be a cloud, or a field (dim, *shape), whose points are then listed one after the other.
        """
        at = given(x, self.problem.domain.dim).columns.T
        log_rows = self.phi.log_terms(at) - self.phi(rows(at))[:, None] / self.eps
        return np.exp(log_rows).reshape(-1, *self.problem.codomain.shape)

    @cached_property
    def dual(self) -> float:
        """−∫u dμ − ∫v dν − ε(mass − 1), a lower bound of the entropic value min ⟨c, π⟩ + ε KL(π | μ⊗ν).

        The cost is c = −ε log K_ε, which is ½|x−y|² in ℝᵈ; the minimum runs over plans π with the marginals μ and ν.  What rounding
        may have added is taken off: some 10⁻¹⁵(|u| + |v|), more where costs are 10⁸ ε and above.
        """
        problem, unsure = self.problem, self._slack
        (u, v), ratio = equalise(problem, self.u, self.v), self.log_source_ratio
        flat = np.zeros(ratio.shape)
        parts = (
            integral(problem.mu, flat, u, unsure.sums),
            integral(problem.nu, np.zeros(v.shape), v, unsure.sums),
            (self.eps * (self.mass - 1.0), self.eps * (np.expm1(unsure.log_ratio) * self.mass + unsure.sums)),
        )
        return -sum(value for value, _ in parts) - sum(error for _, error in parts)

    @cached_property
    def value(self) -> float:
        """⟨c, γ⟩ + ε KL(γ | μ⊗ν) = −∫u dp_X − ∫v dp_Y − ε(mass − 1) of this plan, to within `value_error`.

        It is the entropic value where both marginals hold, no bound of it otherwise: those are `dual` and `upper`.
        For the entropy ε∫γ log γ in place of KL to the product add
        ε∫log μ dp_X + ε∫log ν dp_Y.
        """
        return self._spent[0] - self.eps * (self.mass - 1.0)

    @property
    def value_error(self) -> float:
        """A bound of the rounding in `value`: about 10⁻¹⁵ (|u| + |v|)²/ε where that is large."""
        return self._spent[1] + self.eps * (np.expm1(self._slack.log_ratio) * self.mass + self._slack.sums)

    @cached_property
    def w2_squared(self) -> float:
        """⟨|x−y|², γ⟩, twice the transport cost ⟨c, γ⟩ without entropy; on a torus and in a box over pairs of x and images of y.

        One pass for the mean costs E[½|x−y|² | x]; the images make it at least that of the distance, equal up to exp(−L²/8ε).
        """
        costs = self.phi.expected_cost(self.problem.domain)
        return 2.0 * _integral(self.problem.mu, self.log_source_ratio, costs)

    @property
    def w2(self) -> float:
        """⟨|x−y|², γ⟩^½, an upper bound of W₂ between the plan's own marginals."""
        return float(np.sqrt(self.w2_squared))

    @cached_property
    def upper(self) -> float:
        """An upper bound of the entropic value: that of a plan with the right marginals, near γ, or of μ⊗ν if that is less.

        γ is scaled down to marginals ≤ μ, ν (Altschuler, Weed, Rigollet, arXiv 1705.09634); what is missing, of mass δ, is
        filled with a product measure, and the value of the sum is bounded by convexity of KL.  Rounding is counted: marginals are
        known to about 10⁻¹⁵ (|u| + |v|)/ε, and what they may miss is filled too.
        """
        part = self.scaled
        ratios = part.log_source_ratio, part.log_target_ratio
        bound = sum(part._spent) + filling(self.problem, *ratios, self.eps, part._slack.log_ratio)
        least = float(min(bound, product_cost(self.problem)))
        return least + self._slack.sums * abs(least)

    @cached_property
    def scaled(self) -> Plan:
        """This plan scaled down to marginals ≤ μ and ≤ ν, by so much more that rounding cannot hide an excess."""
        above = self.eps * self._slack.log_ratio
        v = np.maximum(self.v, self._half_step(self.u)) + above
        return replace(self, u=np.maximum(self.u, self._half_step_back(v)) + above, v=v)

    @property
    def duality_gap(self) -> float:
        """upper − dual ≥ 0: how far the dual value is, at most, from the entropic value, with all that rounding may have hidden."""
        return self.upper - self.dual

    @property
    def _spent(self) -> tuple[float, float]:
        """−∫u dp_X − ∫v dp_Y = ⟨c, γ⟩ + ε∫log(dγ/dμ⊗ν) dγ, and a bound of its error."""
        u, v = equalise(self.problem, self.u, self.v)
        relative = float(np.expm1(self._slack.log_ratio)) + self._slack.sums
        x, y = (
            integral(self.problem.mu, self.log_source_ratio, u, relative),
            integral(self.problem.nu, self.log_target_ratio, v, relative),
        )
        return -x[0] - y[0], x[1] + y[1]

    @cached_property
    def _slack(self) -> Slack:
        return slack(self.problem, self.eps, self.u, self.v)

    def _half_step(self, u: Array) -> Array:
        return half_step(self.kernel.forward, self.problem.mu, u, self.eps)

    def _half_step_back(self, v: Array) -> Array:
        return half_step(self.kernel.backward, self.problem.nu, v, self.eps)


def _integral(measure: Measure, log_ratio: Array, values: Array) -> float:
    """∫ values exp(log_ratio) dμ."""
    return replace(measure, log_density=measure.log_density + log_ratio).integral(values)
