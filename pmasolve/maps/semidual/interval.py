"""What the semi-dual gives, and how it grows: the best bounds so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.sparse import csr_array

from ...machine.arrays import Array
from ...problems.grids import Grid
from ...problems.outcomes import INTERRUPTED, Outcome
from .ascent import Iterate, Masses
from .bounds import PlanMoments, diameter, lower_bound, repaired
from .flows import GridNetwork

GAP_NOT_REACHED = Outcome("gap not reached", False)
EQUAL = Outcome("equal", True, "W₂ is below a tenth of the spacing; masses at nodes cannot tell these densities apart")
REPAIRABLE = 0.9  # of the gap: an excess that leaves room for a repair
LEAST_GAP = 1e-15  # that is asked of the semi-dual
NORMALISING = 2.0**-50  # what normalising takes from masses that are the same, of their sum
IDENTICAL = Outcome("equal", True, "the masses of the nodes are the same: W₂ = 0")


@dataclass(frozen=True, eq=False)
class SemiDualResult:
    """What the semi-dual gave.

    Attributes
    ----------
    potential : u, mean-free; φ = |x|²/2 + u is c-concave's counterpart, convex up to the grid.
    lower, upper : rigorous bounds of W₂² between the measures Σμ(x)δ_x and Σν(y)δ_y of the nodes.
    residual : Σ|μ − a| of the plan before its repair.
    barycentre : E[y|x] of the plan, (dim, *shape), on a torus not wrapped; the node itself where the plan sends none.
    spread : (E|y − barycentre|²)^½ of the plan, 0 where it sends none.
    outcome : `REACHED` if (upper − lower)/lower met the gap.
    records : one for each Newton step.
    coupling : (N, N) by flat indices, of sum 1, where the simplex made one.
    """

    potential: Array
    lower: float
    upper: float
    residual: float
    barycentre: Array
    spread: Array
    outcome: Outcome
    records: tuple[Mapping[str, float], ...] = field(default=())
    coupling: csr_array | None = None


def narrowest(
    known: Sequence[SemiDualResult], outcome: Outcome, records: tuple[Mapping[str, float], ...]
) -> SemiDualResult:
    """Of several results for the same masses the largest lower bound with its potential, the least upper one with its plan."""
    below, above = max(known, key=lambda found: found.lower), min(known, key=lambda found: found.upper)
    return replace(above, potential=below.potential, lower=below.lower, outcome=outcome, records=records)


def unknown(grid: Grid) -> SemiDualResult:
    """What is known before anything is."""
    still = np.zeros(grid.shape)
    return SemiDualResult(still, 0.0, np.inf, 2.0, grid.points, still.copy(), INTERRUPTED)


@dataclass
class Best:
    """The best bounds so far, for masses on the finest grid."""

    masses: Masses
    wanted: float
    lower: float = 0.0
    upper: float = np.inf
    F: Array | None = None
    moments: PlanMoments | None = None
    l1: float = 2.0
    tried: float = np.inf  # the last Σ|μ − a| that was repaired
    dear: float = 1.0  # what the repair of Σ|μ − a| = 1 costs, in h², at the least

    @property
    def gap(self) -> float:
        """(upper − lower)/lower."""
        return (self.upper - self.lower) / self.lower if self.lower > 0 else np.inf

    @property
    def met(self) -> bool:
        """Whether it is as narrow as wanted."""
        return self.gap <= self.wanted

    def raised(self, F: Array) -> None:
        """The lower bound by a potential in units of dist², if it is better.  What it is in a void of the source is no bound.

        There a start that is right already, as between one node and others, has not been looked at.
        """
        grid, mu = self.masses.grid, self.masses.mu
        if not mu.all():
            F = np.where(mu > 0, F, np.min(F, where=mu > 0, initial=np.inf) - 0.5 * diameter(grid))
        lower, conjugate = lower_bound(grid, mu, self.masses.nu, F)
        if self.F is None or lower > self.lower:
            self.lower, self.F = lower, conjugate

    def take(self, here: Iterate, eps: float, surely: bool = False) -> float:
        """Bounds of the plan and of its potential; the better ones stay.  How much wider than met they are without any repair.

        What a marginal error is worth, ∫F d(μ − a), and what its repair costs at the least is known before the repair, which is
        left out where it would not help, as for a first plan that is dear by itself, unless ``surely``.
        """
        masses, mu = self.masses, self.masses.mu / np.sum(self.masses.mu)
        self.raised(eps * here.F)
        moments = PlanMoments.of(here.plan, masses.nu / np.sum(masses.nu))
        plain = moments.cost + 2 * eps * float(np.mean(here.F * (masses.mu - here.marginal)))
        wide = (plain - self.lower) / (self.wanted * self.lower) if self.lower > 0 else np.inf
        cells, most = here.l1 * max(masses.grid.spacing) ** 2, (1 + self.wanted) * self.lower
        likely = plain + 0.5 * self.dear * cells <= most
        if np.isinf(self.tried) and wide > REPAIRABLE and not surely:
            self.tried = here.l1  # another ε comes first
        elif likely or here.l1 <= 0.5 * self.tried or surely:
            self.tried = here.l1
            here.leave()  # the repair needs as much memory
            repair = repaired(masses.grid, moments, mu, GridNetwork(masses.grid, masses.mu), self.wanted)
            self.dear = (repair.upper - plain) / max(cells, 1e-300)
            lost = np.isnan(repair.upper)  # weights that all round to nothing, between spacings too unequal
            if not lost and (self.moments is None or repair.upper < self.upper):
                self.upper, self.moments, self.l1 = repair.upper, moments, here.l1
        return wide

    def result(self, outcome: Outcome, records: tuple[Mapping[str, float], ...]) -> SemiDualResult:
        """What was found, in the units of the grid."""
        grid = self.masses.grid
        assert self.F is not None or not outcome.ok
        u = np.zeros(grid.shape) if self.F is None else grid.centred(-self.F)
        points, variance, residual = grid.points, np.zeros(grid.shape), 2.0
        if self.moments is not None:
            variance = self.moments.square.copy()
            for j, h in enumerate(grid.spacing):
                points[j] -= h * self.moments.mean[j]
                variance -= (h * self.moments.mean[j]) ** 2
            residual = self.l1
        return SemiDualResult(
            u, self.lower, self.upper, residual, points, np.sqrt(np.maximum(variance, 0.0)), outcome, records
        )


def identity(grid: Grid, mu: Array, nu: Array) -> SemiDualResult | None:
    """All left in place, if masses differ by their normalisation only; what rounding changes may cross the domain."""
    mu, nu = mu / np.sum(mu), nu / np.sum(nu)
    moved = float(np.sum(np.abs(mu - nu)))
    if moved > NORMALISING:
        return None
    upper = 0.0 if moved == 0 else (moved + NORMALISING) * diameter(grid)
    still = np.zeros(grid.shape)
    return SemiDualResult(still, 0.0, upper, moved, grid.points, still.copy(), IDENTICAL)
