"""Optimal transport between rough, high-contrast or vanishing densities: entropic semi-dual on a cascade of grids, ε = (q h)².

From the coarsest grid, where ε falls from a large value, to the finest, where q falls until the certified gap is met; see
`ascent` for the method on one grid and `bounds` for the certificate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, pairwise

import numpy as np
from scipy.sparse import csr_array

from ...machine.arrays import Array, integer, number
from ...machine.progress import progress_bar
from ...problems.grids import Grid
from ...problems.outcomes import INTERRUPTED, REACHED, Outcome
from .ascent import FAR, Iterate, Masses, Note, ascend, ascent
from .bounds import Moments, diameter, lower_bound, repaired
from .flows import Network
from .levels import cascade, prolonged

HALF, WORTH_IT = 0.5, 0.75  # q, and that below which the finest grid does not begin at 1
LEAST = 0.354  # q at which it begins at the least
WIDE = 16.0  # q on the coarsest grid at the start, where ε is of the order of the squared diameter
STEEP = (
    2.6  # power of q with which falls what a plan costs more than W₂²: 2 for wide plans, more where it holds few nodes
)
SHARE = 0.45  # of the gap, for that excess
NARROW = 0.9  # of the gap: an excess that leaves room for a repair
HOPELESS = 10.0  # gaps: an excess that the next q will not take away, so that each potential counts


GAP_NOT_REACHED = Outcome("gap not reached", False)
EQUAL = Outcome("equal", True, "W₂ is below a tenth of the spacing; masses at nodes cannot tell these densities apart")
ROUNDED = 2.0**-50  # what normalising takes from masses that are the same, of their sum
IDENTICAL = Outcome("equal", True, "the masses of the nodes are the same: W₂ = 0")


@dataclass(frozen=True)
class SemiDual:
    """Options of the path for rough densities: Newton–CG on the entropic semi-dual at ε = (q h)², on a cascade of grids.

    Parameters
    ----------
    least : smallest q on the finest grid; q falls from 1 by factors √2 until the gap is met.
    marginal : Σ|μ − a| at which Newton stops for q = 1; it falls with q², and further where the repair costs too much.
    steps : most Newton steps at each ε.
    coarsest : most points of an axis of the coarsest grid.

    Raises
    ------
    ValueError : least outside [0.1, 1], marginal outside (0, 1), steps below 1, coarsest below 4.

    Examples
    --------
    >>> from pmasolve import Box, Problem, transport
    >>> problem = Problem.from_densities(Box((32,)), lambda x: (x < 0.5) + 0.0, lambda y: (y > 0.5) + 0.0)
    >>> T = transport(problem, method=SemiDual(), gap=0.02)
    >>> T.outcome.ok, round(T.w2, 2)
    (True, 0.5)
    """

    least: float = 0.25
    marginal: float = 5e-3
    steps: int = 25
    coarsest: int = 32

    def __post_init__(self) -> None:
        integer(self.steps, "steps")
        integer(self.coarsest, "coarsest", 4)
        if not (0.1 <= number(self.least, "least") <= 1 and 0 < number(self.marginal, "marginal") < 1):
            raise ValueError(
                f"least={self.least}, marginal={self.marginal}: 0.1 ≤ least ≤ 1, 0 < marginal < 1 are needed"
            )


@dataclass(frozen=True, eq=False)
class SemiDualResult:
    """What the semi-dual gave.

    Attributes
    ----------
    potential : u, mean-free; φ = |x|²/2 + u is c-concave's counterpart, convex up to the grid.
    lower, upper : rigorous bounds of W₂² between the measures Σμ(x)δ_x and Σν(y)δ_y of the nodes.
    residual : Σ|μ − a| of the plan before its repair.
    barycentre : E[y|x] of the plan, (dim, *shape), on a torus not wrapped; the node itself where there is no mass.
    spread : (E|y − barycentre|²)^½ of the plan, 0 where there is no mass.
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


@dataclass
class _Best:
    """The best bounds so far, for masses on the finest grid."""

    masses: Masses
    wanted: float
    lower: float = 0.0
    upper: float = np.inf
    F: Array | None = None
    moments: Moments | None = None
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

    @cached_property
    def network(self) -> Network:
        """For repairs."""
        return Network(self.masses.grid, self.masses.mu)

    def raised(self, F: Array) -> None:
        """The lower bound by a potential in units of dist², if it is better."""
        lower, conjugate = lower_bound(self.masses.grid, self.masses.mu, self.masses.nu, F)
        if self.F is None or lower > self.lower:
            self.lower, self.F = lower, conjugate

    def take(self, here: Iterate, eps: float) -> float:
        """Bounds of the plan and of its potential; the better ones stay.  How much wider than met they are without any repair.

        What a marginal error is worth, ∫F d(μ − a), and what its repair costs at the least is known before the repair.
        """
        masses, mu = self.masses, self.masses.mu / np.sum(self.masses.mu)
        self.raised(eps * here.F)
        moments = Moments.of(here.plan, masses.nu / np.sum(masses.nu))
        plain = moments.cost + 2 * eps * float(np.mean(here.F * (masses.mu - here.marginal)))
        cells, most = here.l1 * max(masses.grid.spacing) ** 2, (1 + self.wanted) * self.lower
        if plain + 0.5 * self.dear * cells <= most or here.l1 <= 0.5 * self.tried:
            self.tried = here.l1
            repair = repaired(masses.grid, moments, mu, self.network, self.wanted)
            self.dear = (repair.upper - plain) / cells
            if self.moments is None or repair.upper < self.upper:
                self.upper, self.moments, self.l1 = repair.upper, moments, here.l1
        return (plain - self.lower) / (self.wanted * self.lower) if self.lower > 0 else np.inf


def semidual(
    grid: Grid,
    mu: Array,
    nu: Array,
    settings: SemiDual,
    gap: float,
    progress: bool | None = None,
    start: Array | None = None,
) -> SemiDualResult:
    """Potential, plan and certified interval between two densities ≥ 0 on the nodes; from a potential u if one is known.

    Memory: linear in the nodes, the weights of a plan's windows above all.  Cost: 10² to 10³ products with plans,
    most on the finest grid.
    """
    records: list[Mapping[str, float]] = []
    best = _Best(Masses.of(grid, mu, nu), gap)
    if (same := identity(grid, mu, nu)) is not None:
        return same
    with progress_bar("semi-dual", float(grid.size), progress, "points") as show:

        def note(record: Mapping[str, float]) -> None:
            records.append(record)
            show(record["points"], record)

        try:
            outcome = _solve_on(best.masses, start, settings, gap, best, note)
        except KeyboardInterrupt:
            outcome = INTERRUPTED
    return _semi_dual_result(grid, best, outcome, tuple(records))


def identity(grid: Grid, mu: Array, nu: Array) -> SemiDualResult | None:
    """All left in place, if masses differ by their normalisation only; what rounding changes may cross the domain."""
    mu, nu = mu / np.sum(mu), nu / np.sum(nu)
    moved = float(np.sum(np.abs(mu - nu)))
    if moved > ROUNDED:
        return None
    upper = 0.0 if moved == 0 else (moved + ROUNDED) * diameter(grid)
    still = np.zeros(grid.shape)
    return SemiDualResult(still, 0.0, upper, moved, grid.points, still.copy(), IDENTICAL)


def _solve_on(masses: Masses, start: Array | None, settings: SemiDual, gap: float, best: _Best, note: Note) -> Outcome:
    if start is not None:
        return _fine(-start, 1.0, settings, best, note)
    *coarse, finest = cascade(masses, settings.coarsest)
    F, q = None, 1.0
    for masses, finer in pairwise([*coarse, finest]):
        F, here = _coarse(masses, F, settings, note)
        if finer is finest:
            F, q = _before_last(masses, F, here, settings, gap, note)
        F = prolonged(masses.grid, finer.grid, F)
    return _fine(F, q, settings, best, note)


def _at(masses: Masses, F: Array, q: float, tolerance: float, settings: SemiDual, note: Note) -> tuple[Array, Iterate]:
    """Newton at one q: F in units of dist², and the iterate."""
    eps = _eps(masses.grid, q)
    here = ascend(masses, F / eps, eps, tolerance, settings.steps, note)
    return eps * here.F, here


def _coarse(masses: Masses, F: Array | None, settings: SemiDual, note: Note) -> tuple[Array, Iterate]:
    """F in units of dist² at q = 1 on a coarse grid, and the iterate; without a start ε falls by factors of 4 to there."""
    q, F = (1.0, F) if F is not None else (WIDE, np.zeros(masses.grid.shape))
    while True:
        F, here = _at(masses, F, q, 2 * settings.marginal if q <= 1 else FAR, settings, note)
        if q <= 1:
            return F, here
        q *= 0.5


def _before_last(
    masses: Masses, F: Array, here: Iterate, settings: SemiDual, gap: float, note: Note
) -> tuple[Array, float]:
    """F, and the q at which the finest grid begins: what a plan costs more than W₂² goes with q^2.6 h².

    Where that is small the potential is taken to ½ on this grid, which is q = 1 on the finest.
    """
    eps = _eps(masses.grid, 1.0)
    lower, _ = lower_bound(masses.grid, masses.mu, masses.nu, F)
    plain = Moments.of(here.plan, masses.nu / np.sum(masses.nu)).cost
    plain += 2 * eps * float(np.mean(here.F * (masses.mu - here.marginal)))
    wanted = (SHARE * gap * lower / (0.25 * (plain - lower))) ** (1 / STEEP) if plain > lower else 1.0
    if wanted > WORTH_IT:
        return F, 1.0
    F, _ = _at(masses, F, HALF, settings.marginal * HALF, settings, note)
    return F, max(float(wanted), LEAST)


def _fine(F: Array | None, q: float, settings: SemiDual, best: _Best, note: Note) -> Outcome:
    """q falls until the gap is met; Newton goes on at one q where only the cost of the repair is in the way."""
    masses, before = best.masses, None
    grid = masses.grid
    if F is None:
        F, _ = _coarse(masses, None, settings, note)
    while True:
        eps, tolerance, last = _eps(grid, q), settings.marginal * q**2, q * np.sqrt(0.5) < settings.least * 0.999
        for here in islice(ascent(masses, F / eps, eps, note), settings.steps + 1):
            wide = best.take(here, eps)
            if not best.met and before is not None:
                best.raised(2 * eps * here.F - before)
            if best.met:
                return REACHED
            if wide > NARROW and here.l1 <= (tolerance if last or wide > HOPELESS else FAR):
                break
        F = eps * here.F
        if last:
            return (
                EQUAL
                if best.upper <= (0.1 * min(grid.spacing)) ** 2
                else _too_wide(best.gap, best.wanted, settings.least)
            )
        before, q = F, q * np.sqrt(0.5)


def _too_wide(found: float, gap: float, least: float) -> Outcome:
    return GAP_NOT_REACHED.advising(
        f"this grid leaves a gap of {found:.2g} > {gap:.2g} at q = {least:g}, and the bounds hold: ask for "
        f"gap={rounded(found):g}, refine the grid, or allow a smaller q by SemiDual(least=…)",
    )


def rounded(gap: float) -> float:
    """Two digits, upwards."""
    if not np.isfinite(gap):
        return gap
    unit = 10.0 ** (np.floor(np.log10(gap)) - 1)
    return float(f"{np.ceil(gap / unit) * unit:.2g}")


def _eps(grid: Grid, q: float) -> float:
    return q**2 * float(np.prod(grid.spacing)) ** (2 / grid.dim)


def _semi_dual_result(grid: Grid, best: _Best, outcome: Outcome, records: tuple) -> SemiDualResult:
    assert best.F is not None or not outcome.ok
    u = np.zeros(grid.shape) if best.F is None else grid.centred(-best.F)
    points, variance, residual = grid.points, np.zeros(grid.shape), 2.0
    if best.moments is not None:
        variance = best.moments.square.copy()
        for j, h in enumerate(grid.spacing):
            points[j] -= h * best.moments.mean[j]
            variance -= (h * best.moments.mean[j]) ** 2
        residual = best.l1
    return SemiDualResult(
        u, best.lower, best.upper, residual, points, np.sqrt(np.maximum(variance, 0.0)), outcome, records
    )
