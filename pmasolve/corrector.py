"""What the known expansion in ε buys: Sinkhorn extrapolated to ε → 0.

In the symmetric gauge χ_k = φ̃_{kε} + ε²e₂ + ε⁴e₄ + …, even powers only, so that runs with ε, ε/2, ε/4, … combine to
orders 4, 6, … (Richardson).  The limit is PMA itself: an integrator that shares nothing with the PDE solver but the grid.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

from .domains import Array
from .problems import Problem
from .sinkhorn import SYMMETRIC, Sinkhorn, SinkhornState
from .softmin.protocol import Softmin
from .trajectories import REACHED, Outcome, reach


@dataclass(frozen=True, eq=False)
class RichardsonState:
    """One Sinkhorn state for each ε of the ladder."""

    t: float
    ladder: tuple[SinkhornState, ...]
    outcome: Outcome
    record: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Richardson:
    """Symmetric Sinkhorn on the ladder ε, ε/2, …, ε/2^{levels−1}, extrapolated: order 2·levels in ε.

    Parameters
    ----------
    problem : densities on a torus or a box.
    eps : the largest ε; requested times are its multiples.
    levels : runs of the ladder, ≥ 1; the finest has ε/2^{levels−1} and must be resolved by the grid.
    softmin : the engine of the log-sums; the domain's own unless given.

    Notes
    -----
    Records of each coarse step: ``error_estimate``, the sup distance (constants removed) between the last two
    extrapolations: an estimate of the error of the last but one, hence a safe one of the result.
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
    softmin: Softmin | None = field(default=None, kw_only=True)
    quadrature: float = field(default=1e-12, kw_only=True)

    def __post_init__(self) -> None:
        if self.levels < 1:
            raise ValueError(f"levels={self.levels}: the ladder needs at least one ε")
        _ = self.ladder

    @cached_property
    def ladder(self) -> tuple[Sinkhorn, ...]:
        """The runs, coarse to fine."""
        first = Sinkhorn(self.problem, self.eps, gauge=SYMMETRIC, softmin=self.softmin, quadrature=self.quadrature)
        return tuple(replace(first, eps=self.eps / 2**level) for level in range(self.levels))

    def admit(self, times: Array) -> None:
        """Times must be multiples of the largest ε."""
        self.ladder[0].admit(times)

    def start(self, initial: Array) -> RichardsonState:
        """The same start for every ε."""
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
        return RichardsonState(t, states, _worst(states), {"error_estimate": self.error_estimate(states)})

    def potential(self, state: RichardsonState) -> Array:
        """The extrapolated χ."""
        return extrapolate(self._potentials(state.ladder))

    def error_estimate(self, states: tuple[SinkhornState, ...]) -> float:
        """sup distance between extrapolations with and without the coarsest run; NaN with one level."""
        potentials = self._potentials(states)
        if self.levels < 2:
            return float("nan")
        grid = self.problem.domain
        return grid.sup(grid.gauge(extrapolate(potentials) - extrapolate(potentials[1:])))

    def map(self, u: Array) -> Array:
        """x + ∇u."""
        return self.ladder[0].map(u)

    def log_density(self, u: Array) -> Array:
        """log ρ of the potential."""
        return self.ladder[0].log_density(u)

    def _potentials(self, states: tuple[SinkhornState, ...]) -> list[Array]:
        return [flow.potential(state) for flow, state in zip(self.ladder, states, strict=True)]


def extrapolate(values: list[Array]) -> Array:
    """Limit ε → 0 of values at ε, ε/2, ε/4, … that expand in even powers of ε (Neville's scheme)."""
    row = list(values)
    for power in range(1, len(values)):
        row = [fine + (fine - coarse) / (4.0**power - 1.0) for coarse, fine in pairwise(row)]
    return row[0]


def _worst(states: tuple[SinkhornState, ...]) -> Outcome:
    return next((state.outcome for state in states if not state.outcome.ok), REACHED)
