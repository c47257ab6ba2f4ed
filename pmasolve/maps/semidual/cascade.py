"""Optimal transport between rough, high-contrast or vanishing densities: entropic semi-dual on a cascade of grids, ε = (q h)².

From the coarsest grid, where ε falls from a large value, to the finest, where q falls until the certified gap is met; see
`ascent` for the method on one grid and `bounds` for the certificate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array

from ...machine.arrays import Array, integer, number
from ...machine.progress import progress_bar
from ...problems.grids import Grid
from ...problems.outcomes import INTERRUPTED, REACHED, Outcome
from .ascent import Iterate, Masses, Note, ascend, iterate
from .bounds import Repair, diameter, lower_bound, power_of, upper_bound
from .levels import cascade, prolonged

HALF, WORTH_IT = 0.5, 0.75  # q, and that below which the finest grid does not begin at 1
WIDE = 16.0  # q on the coarsest grid at the start, where ε is of the order of the squared diameter


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
    """The best bounds so far."""

    lower: float = 0.0
    upper: float = np.inf
    F: Array | None = None
    iterate: Iterate | None = None
    repair: Repair | None = None

    @property
    def gap(self) -> float:
        """(upper − lower)/lower."""
        return (self.upper - self.lower) / self.lower if self.lower > 0 else np.inf

    def raised(self, masses: Masses, F: Array) -> None:
        """The lower bound by a potential in units of dist², if it is better."""
        lower, conjugate = lower_bound(masses.grid, masses.mu, masses.nu, F)
        if self.F is None or lower > self.lower:
            self.lower, self.F = lower, conjugate

    def take(self, masses: Masses, here: Iterate, eps: float) -> Repair:
        """Bounds of the plan and of its potential; the better ones stay."""
        self.raised(masses, eps * here.F)
        repair = upper_bound(here.plan, masses.mu, masses.nu)
        if self.iterate is None or repair.upper < self.upper:
            self.upper, self.iterate, self.repair = repair.upper, here, repair
        return repair


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
    best = _Best()
    if (same := identity(grid, mu, nu)) is not None:
        return same
    with progress_bar("semi-dual", float(grid.size), progress, "points") as show:

        def note(record: Mapping[str, float]) -> None:
            records.append(record)
            show(record["points"], record)

        try:
            outcome = _solve_on(Masses.of(grid, mu, nu), start, settings, gap, best, note)
        except KeyboardInterrupt:
            outcome = INTERRUPTED
    return _semi_dual_result(grid, mu, nu / np.mean(nu), best, outcome, tuple(records))


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
        return _fine(masses, -start, 1.0, settings, gap, best, note)
    *coarse, finest = cascade(masses, settings.coarsest)
    F, q = None, 1.0
    for masses, finer in pairwise([*coarse, finest]):
        F = _coarse(masses, F, settings, note)
        if finer is finest:
            F, q = _before_last(masses, F, settings, gap, note)
        F = prolonged(masses.grid, finer.grid, F)
    return _fine(finest, F, q, settings, gap, best, note)


def _at(
    masses: Masses, F: Array, q: float, tolerance: float, settings: SemiDual, note: Note
) -> tuple[Array, Iterate, float]:
    """Newton at one q: F in units of dist², the iterate, and its ε."""
    eps = _eps(masses.grid, q)
    here = ascend(masses, F / eps, eps, tolerance, settings.steps, note)
    return eps * here.F, here, eps


def _coarse(masses: Masses, F: Array | None, settings: SemiDual, note: Note) -> Array:
    """F in units of dist² at q = 1 on a coarse grid; where there is no start, ε falls by factors of 4 to there."""
    q, F = (1.0, F) if F is not None else (WIDE, np.zeros(masses.grid.shape))
    while True:
        F = _at(masses, F, q, 2 * settings.marginal, settings, note)[0]
        if q <= 1:
            return F
        q *= 0.5


def _before_last(masses: Masses, F: Array, settings: SemiDual, gap: float, note: Note) -> tuple[Array, float]:
    """F, and the q at which the finest grid begins: what a plan costs more than W₂² goes with ε, so with q² h².

    Where that is ½ the potential is taken to there on this grid, which is q = 1 on the finest.
    """
    here = iterate(masses, F / _eps(masses.grid, 1.0), _eps(masses.grid, 1.0))
    lower, _ = lower_bound(masses.grid, masses.mu, masses.nu, F)
    blur = 0.25 * (upper_bound(here.plan, masses.mu, masses.nu).plain - lower)
    wanted = np.sqrt(gap * lower / blur) if blur > 0 else 1.0
    if wanted > WORTH_IT:
        return F, 1.0
    F = _at(masses, F, HALF, settings.marginal * HALF, settings, note)[0]
    return F, max(float(wanted), HALF)


def _fine(
    masses: Masses, F: Array | None, q: float, settings: SemiDual, gap: float, best: _Best, note: Note
) -> Outcome:
    """q falls until the gap is met; Newton goes on at one q where only the cost of the repair is in the way."""
    grid, before = masses.grid, None
    if F is None:
        F = _coarse(masses, None, settings, note)
    while True:
        tolerance = settings.marginal * q**2
        while True:
            F, here, eps = _at(masses, F, q, tolerance, settings, note)
            repair = best.take(masses, here, eps)
            if best.gap > gap and before is not None:
                best.raised(masses, 2 * F - before)
            if best.gap <= gap:
                return REACHED
            if here.l1 > tolerance or repair.plain - best.lower >= 0.9 * gap * best.lower:
                break
            tolerance = here.l1 * _shrinking(repair, best.lower, gap)
        if q * np.sqrt(0.5) < settings.least * 0.999:
            return EQUAL if best.upper <= (0.1 * min(grid.spacing)) ** 2 else _too_wide(best.gap, gap, settings.least)
        before, q = F, q * np.sqrt(0.5)


def _shrinking(repair: Repair, lower: float, gap: float) -> float:
    """Factor of Σ|μ − a| at which the repair, whose cost goes with it, should leave the interval within the gap."""
    allowed = (1 + gap) * lower - repair.plain
    return float(np.clip(0.9 * allowed / (repair.upper - repair.plain), 0.2, 0.7))


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


def _semi_dual_result(
    grid: Grid, mu: Array, nu: Array, best: _Best, outcome: Outcome, records: tuple
) -> SemiDualResult:
    assert best.F is not None or not outcome.ok
    u = np.zeros(grid.shape) if best.F is None else grid.centred(-best.F)
    points, variance, residual = grid.points, np.zeros(grid.shape), 2.0
    if best.iterate is not None:
        coupling, a = best.iterate.plan, best.iterate.marginal
        for j, h in enumerate(grid.spacing):
            first, second = (_mean_by_mass(coupling.adjoint(nu, power_of(grid, j, p)), a) for p in (1, 2))
            points[j] -= h * first
            variance += h**2 * np.maximum(second - first**2, 0.0)
        residual = best.iterate.l1
    return SemiDualResult(u, best.lower, best.upper, residual, points, np.sqrt(variance), outcome, records)


def _mean_by_mass(total: Array, mass: Array) -> Array:
    return np.divide(total, mass, out=np.zeros(mass.shape), where=mass > 0)
