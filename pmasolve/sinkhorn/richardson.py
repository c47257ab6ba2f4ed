"""What the known expansion in ε buys: Sinkhorn extrapolated to ε → 0.

In the symmetric and the self gauge χ_k = φ̃_{kε} + ε²e₂ + ε⁴e₄ + …, even powers only, so that runs with ε, ε/2, ε/4, …
combine to orders 4, 6, … (Richardson).  The limit is PMA itself: an integrator that shares nothing with the PDE solver but the
grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ..flows.protocol import reach
from ..flows.trajectories import ErrorEstimate, Trajectory
from ..machine.arrays import Array, having, keep_integers
from ..problems.divergences import Divergence, checked_objective
from ..problems.objectives import KL
from ..problems.outcomes import REACHED, Outcome
from ..problems.problem import Problem, checked
from .gauges import GAUGE_REMEDY, SYMMETRIC, Gauge, second_order
from .iteration import Sinkhorn, SinkhornState
from .readings import IterateReading
from .softmin.protocol import Softmin

LADDER_REMEDY = (
    "the extrapolation of the ladder lost what its members have: "
    "take a smaller ε on a grid that resolves it, or fewer levels"
)


def corrected(
    problem: Problem,
    eps: float,
    *,
    gauge: Gauge | None = None,
    softmin: Softmin | None = None,
    quadrature: float = 1e-12,
) -> Sinkhorn:
    """Sinkhorn without its known bias of order ε: χ_k = φ_k + (ε/2)f from φ₀ = u₀ − (ε/2)f, within O(ε²) of PMA at t = kε.

    For samples, whose f is not known, χ_k = φ_k − u_ff from φ₀ = u₀ + u_ff, with the self-potential u_ff of the source.
    It costs what plain Sinkhorn costs.  `Trajectory.error_estimate` says how far it is from PMA, by a run with ε/2;
    `Richardson` takes off the powers ε², ε⁴, … too.  Of the static potential: `Schroedinger.corrected`.

    Parameters
    ----------
    problem : positive densities on a torus or a box, or samples.
    eps : ε > 0, the time step.
    gauge : one of order 2; unless given `SYMMETRIC` for densities, `SELF` for samples.
    softmin : the engine of the log-sums; the domain's own unless given.
    quadrature : largest relative error of the quadrature that is accepted; 1 asks nothing of the grid.

    Returns
    -------
    `Sinkhorn` in that gauge.

    Raises
    ------
    ValueError : what `Sinkhorn` refuses; a gauge of order 1; densities that vanish, whose f is infinite (`SELF` takes them).

    References
    ----------
    The symmetric gauge: Berman, arXiv 1712.03082; Deb, Kim, Pal, Schiebinger, arXiv 2307.16421.

    Examples
    --------
    >>> from pmasolve import Problem, Torus, evolve
    >>> problem = Problem(Torus((64,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> run = evolve(corrected(problem, 1e-3), times=[0.01])
    >>> bool(run.error_estimate().total[0] < 1e-5)
    True
    """
    gauge = second_order(checked(problem)) if gauge is None else having(gauge, "needs_density", "gauge", GAUGE_REMEDY)
    if gauge.order < 2:
        raise ValueError(
            f"gauge={gauge.name!r} leaves the bias of order ε: take SYMMETRIC, or SELF where f is not known"
        )
    return Sinkhorn(problem, eps, gauge=gauge, softmin=softmin, quadrature=quadrature)


@dataclass(frozen=True, eq=False)
class RichardsonState:
    """One Sinkhorn state for each ε of the ladder."""

    t: float
    ladder: tuple[SinkhornState, ...]
    outcome: Outcome
    record: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Richardson:
    """Sinkhorn on the ladder ε, ε/2, …, ε/2^{levels−1}, extrapolated: order 2·levels in ε, for other objectives than KL levels.

    Parameters
    ----------
    problem : densities on a torus or a box.
    eps : the largest ε; requested times are its multiples.
    levels : runs of the ladder, ≥ 1; the finest has ε/2^{levels−1} and must be resolved by the grid.
    gauge : `SYMMETRIC`, or `SELF`: both have errors in even powers of ε.  `PLAIN` for other objectives.
    objective : what falls; only KL's iterates have a gauge with even powers, and all powers of ε are extrapolated for the others.
    softmin : the engine of the log-sums; the domain's own unless given.

    Raises
    ------
    ValueError : a gauge of order 1 with KL, one of order 2 with another objective; samples, whose noise extrapolation amplifies:
        take one run of `Sinkhorn` with gauge=SELF.

    Notes
    -----
    Records of each coarse step: ``error_estimate``, the sup distance (constants removed) from the extrapolation
    without the finest run: an estimate of that one's error, hence a safe one of the result's.
    Cost: 2^levels − 1 Sinkhorn iterations for each coarse step.

    Examples
    --------
    >>> from pmasolve import Problem, Torus, evolve
    >>> problem = Problem(Torus((64,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> flow = evolve(Richardson(problem, 0.005, levels=3), times=[0.02])
    >>> bool(flow.records["error_estimate"][-1] < 1e-5)
    True
    """

    problem: Problem
    eps: float
    levels: int = field(default=2, kw_only=True)
    gauge: Gauge = field(default=SYMMETRIC, kw_only=True)
    objective: Divergence = field(default=KL(), kw_only=True)
    softmin: Softmin | None = field(default=None, kw_only=True)
    quadrature: float = field(default=1e-12, kw_only=True)

    def __post_init__(self) -> None:
        keep_integers(self, levels=1)
        if checked_objective(self.objective) == KL():
            need_even_powers(checked(self.problem), self.gauge)
        else:
            need_densities(checked(self.problem), self.gauge)
        _ = self.ladder

    @property
    def power(self) -> int:
        """Of ε, whose multiples alone occur in the errors: 2 for KL in its gauges, 1 for other objectives."""
        return 2 if self.objective == KL() else 1

    @cached_property
    def ladder(self) -> tuple[Sinkhorn, ...]:
        """The Sinkhorn flows with ε, ε/2, …, coarse to fine."""
        given = {"softmin": self.softmin, "quadrature": self.quadrature}
        first = Sinkhorn(self.problem, self.eps, gauge=self.gauge, objective=self.objective, **given)
        return tuple(replace(first, eps=self.eps / 2**level) for level in range(self.levels))

    @property
    def reading(self) -> IterateReading:
        """Maps and densities from potentials, by derivatives on the grid."""
        return self.ladder[0].reading

    @property
    def report(self) -> Mapping[str, float | int | str]:
        """What ran for the least ε."""
        return self.ladder[-1].report

    def admit(self, times: Array) -> None:
        """Times must be multiples of the largest ε."""
        self.ladder[0].admit(times)

    def start(self, initial: Array) -> RichardsonState:
        """The state at t = 0: all runs of the ladder from one u₀."""
        states = tuple(flow.start(initial) for flow in self.ladder)
        return RichardsonState(0.0, states, _worst(states), {})

    def resume(self, potential: Array, t: float) -> RichardsonState:
        """All runs start again from the extrapolated potential; the expansion holds from there as from any other."""
        states = tuple(flow.resume(potential, t) for flow in self.ladder)
        return RichardsonState(t, states, _worst(states), {})

    def advance(self, state: RichardsonState, until: float) -> RichardsonState:
        """One step of the largest ε, 2^level steps of the others."""
        k = round(state.t / self.eps) + 1
        t = until if k >= round(until / self.eps) else k * self.eps
        states = tuple(reach(flow, s, t)[0] for flow, s in zip(self.ladder, state.ladder, strict=True))
        outcome = _worst(states)
        after = RichardsonState(t, states, outcome, {"error_estimate": self._last_change(states)})
        return replace(after, outcome=self.halted(after)) if outcome.ok and t >= until else after

    def halted(self, state: RichardsonState) -> Outcome:
        """The verdict on the extrapolated potential, at a requested time or where an event ends the run."""
        return self.ladder[-1].look(self.potential(state)).verdict(lambda: LADDER_REMEDY)

    def potential(self, state: RichardsonState) -> Array:
        """The extrapolated potential u at the state's time, on the grid."""
        return self._extrapolated(self._potentials(state.ladder))

    def _extrapolated(self, potentials: list[Array]) -> Array:
        return extrapolate(potentials, power=self.power)

    def _last_change(self, states: tuple[SinkhornState, ...]) -> float:
        """sup distance between extrapolations with and without the finest run; NaN with one level."""
        potentials = self._potentials(states)
        if self.levels < 2:
            return float("nan")
        grid = self.problem.domain
        return grid.sup(grid.centred(self._extrapolated(potentials) - self._extrapolated(potentials[:-1])))

    def error_estimate(self, trajectory: Trajectory) -> ErrorEstimate:
        """Time: the recorded distance between the last two extrapolations.  Space: of the quadrature with the least ε."""
        recorded = trajectory.records["error_estimate"][np.searchsorted(trajectory.records["t"], trajectory.times)]
        space = self.ladder[-1].error_estimate(trajectory).space
        return ErrorEstimate(trajectory.times, recorded, space)

    def _potentials(self, states: tuple[SinkhornState, ...]) -> list[Array]:
        return [flow.potential(state) for flow, state in zip(self.ladder, states, strict=True)]


def need_even_powers(problem: Problem, gauge: Gauge) -> None:
    """Refuse what extrapolation in ε² makes no sense for: gauges of order 1, and samples."""
    if having(gauge, "order", "gauge", GAUGE_REMEDY).order < 2:
        raise ValueError(f"gauge={gauge.name!r} has odd powers of ε, which extrapolation keeps: take SYMMETRIC or SELF")
    need_densities(problem, gauge)


def need_densities(problem: Problem, gauge: Gauge) -> None:
    """Refuse samples, whose noise extrapolation amplifies."""
    if not checked(problem).has_densities:
        raise ValueError(
            f"gauge={gauge.name!r} extrapolated over samples, which carry weights but no density e^(−f), amplifies their noise: "
            "use Sinkhorn or schroedinger with gauge=SELF, of order 2 without f, or densities on a grid (Problem.from_densities)"
        )


def extrapolate(
    values: Sequence[Array], epsilons: Sequence[float] | None = None, at: float = 0.0, power: int = 2
) -> Array:
    """The polynomial in ε² through values at ``epsilons``, unless given 1, ½, ¼, …, taken at another ε, the limit 0 (Lagrange).

    Even powers up to ε^{2(n−1)} are exact with n values; with ``power`` 1 it is a polynomial in ε, exact up to ε^{n−1}.

    Examples
    --------
    >>> float(extrapolate([np.array(3.0 + 4.0), np.array(3.0 + 1.0)]))  # 3 + 4ε²
    3.0
    """
    nodes = np.power(0.5 ** np.arange(len(values)) if epsilons is None else np.array(epsilons), power)
    weights = [np.prod([(at**power - b) / (a - b) for b in nodes if b != a]) for a in nodes]
    return np.tensordot(weights, np.stack(values), axes=1)


def _worst(states: tuple[SinkhornState, ...]) -> Outcome:
    return next((state.outcome for state in states if not state.outcome.ok), REACHED)
