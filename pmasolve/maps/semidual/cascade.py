"""Optimal transport between rough, high-contrast or vanishing densities: entropic semi-dual on a cascade of grids, ε = (q h)².

From the coarsest grid, where ε falls from a large value, to the finest, where q falls until the certified gap is met; see
`ascent` for the method on one grid and `bounds` for the certificate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice, pairwise

import numpy as np

from ...machine.arrays import Array, keep_integers, number
from ...machine.interruptions import breakable
from ...machine.progress import progress_bar
from ...problems.grids import Grid
from ...problems.outcomes import INTERRUPTED, REACHED, Outcome
from .ascent import FAR, Iterate, Masses, Note, ascend, ascent
from .bounds import PlanMoments, lower_bound
from .interval import EQUAL, GAP_NOT_REACHED, LEAST_GAP, REPAIRABLE, Best, SemiDualResult, identity
from .levels import cascade, prolonged
from .support import Held

HALF_Q, WORTH_IT = 0.5, 0.75  # q, and that below which the finest grid does not begin at 1
LEAST_Q = 0.354  # q at which it begins at the least
COARSE_ERROR = 4.0  # times the marginal error of the finest grid, on others
COARSEST_Q = 16.0  # q on the coarsest grid at the start, where ε is of the order of the squared diameter
STEEP = (
    2.6  # power of q with which falls what a plan costs more than W₂²: 2 for wide plans, more where it holds few nodes
)
SHARE = 0.45  # of the gap, for that excess
HOPELESS = 10.0  # gaps: an excess that the next q will not take away, so that each potential counts


@dataclass(frozen=True)
class SemiDual:
    """Options of the path for rough densities: Newton–CG on the entropic semi-dual at ε = (q h)², on a cascade of grids.

    Parameters
    ----------
    least : smallest q on the finest grid; q falls from 1 by factors √2 until the gap is met.
    marginal : Σ|μ − a| at which Newton stops for q = 1; it falls with q², and further where the repair costs too much.
    steps : most Newton steps at each ε of each grid.
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
        keep_integers(self, steps=1, coarsest=4)
        if not (0.1 <= number(self.least, "least") <= 1 and 0 < number(self.marginal, "marginal") < 1):
            raise ValueError(
                f"least={self.least}, marginal={self.marginal}: 0.1 ≤ least ≤ 1, 0 < marginal < 1 are needed"
            )


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

    Memory: linear in the nodes, the weights of a plan's windows above all.  Cost: a plan or two of the finest grid and a repair, as
    much again on coarser ones, where the potential of those is good enough; else some ten to thirty products for each Newton step.
    """
    if (same := identity(grid, mu, nu)) is not None:
        return same
    gap = max(gap, LEAST_GAP)  # less is nothing in products
    held = Held.of(grid, mu, nu, settings.coarsest)
    if held is None:
        return _on_all(grid, mu, nu, settings, gap, progress, start)
    start = None if start is None else start[held.nodes]
    return held.extended(
        _on_all(held.grid, mu[held.nodes], nu[held.nodes], settings, held.wanted(gap), progress, start)
    )


def _on_all(
    grid: Grid, mu: Array, nu: Array, settings: SemiDual, gap: float, progress: bool | None, start: Array | None
) -> SemiDualResult:
    """`semidual` on all nodes of the grid."""
    records: list[Mapping[str, float]] = []
    best = Best(Masses.of(grid, mu, nu), gap)
    with progress_bar("semi-dual", float(grid.size), progress, "points") as show:

        def note(record: Mapping[str, float]) -> None:
            records.append(record)
            show(record["points"], record)

        try:
            outcome = _solve_on(best.masses, start, settings, gap, best, note)
        except KeyboardInterrupt:
            outcome = INTERRUPTED
    return best.result(outcome, tuple(records))


@breakable()
def _solve_on(masses: Masses, start: Array | None, settings: SemiDual, gap: float, best: Best, note: Note) -> Outcome:
    if start is not None:
        return falling(-start, 1.0, settings, best, note)
    *coarse, finest = cascade(masses, settings.coarsest)
    F, q = None, 1.0
    for masses, finer in pairwise([*coarse, finest]):
        F, here = _coarse(masses, F, settings, note)
        if finer is finest:
            F, q = _before_last(masses, F, here, settings, gap, note)
        here.leave()
        F = prolonged(masses.grid, finer.grid, F)
    only = [F]  # so that nobody else keeps it while the finest grid needs the memory
    del F
    return falling(only.pop(), q, settings, best, note)


def _at(masses: Masses, F: Array, q: float, tolerance: float, settings: SemiDual, note: Note) -> tuple[Array, Iterate]:
    """Newton at one q: F in units of dist², and the iterate."""
    eps = eps_of(masses.grid, q)
    here = ascend(masses, F / eps, eps, tolerance, settings.steps, note)
    return eps * here.F, here


def _coarse(masses: Masses, F: Array | None, settings: SemiDual, note: Note) -> tuple[Array, Iterate]:
    """F in units of dist² at q = 1 on a coarse grid, and the iterate; without a start ε falls by factors of 4 to there."""
    q, F = (1.0, F) if F is not None else (COARSEST_Q, np.zeros(masses.grid.shape))
    while True:
        F, here = _at(masses, F, q, COARSE_ERROR * settings.marginal if q <= 1 else FAR, settings, note)
        if q <= 1:
            return F, here
        q *= 0.5


def _before_last(
    masses: Masses, F: Array, here: Iterate, settings: SemiDual, gap: float, note: Note
) -> tuple[Array, float]:
    """F, and the q at which the finest grid begins: what a plan costs more than W₂² goes with q^2.6 h².

    Where that is small the potential is taken to ½ on this grid, which is q = 1 on the finest.
    """
    eps = eps_of(masses.grid, 1.0)
    lower, _ = lower_bound(masses.grid, masses.mu, masses.nu, F)
    plain = PlanMoments.of(here.plan, masses.nu / np.sum(masses.nu)).cost
    plain += 2 * eps * float(np.mean(here.F * (masses.mu - here.marginal)))
    wanted = (SHARE * gap * lower / (0.25 * (plain - lower))) ** (1 / STEEP) if plain > lower else 1.0
    if wanted > WORTH_IT:
        return F, 1.0
    F, _ = _at(masses, F, HALF_Q, settings.marginal * HALF_Q, settings, note)
    return F, max(float(wanted), LEAST_Q)


def falling(F: Array | None, q: float, settings: SemiDual, best: Best, note: Note) -> Outcome:
    """q falls on the finest grid until the gap is met; Newton goes on at one q where only the cost of the repair is in the way."""
    masses, before = best.masses, None
    grid = masses.grid
    if F is None:
        F, _ = _coarse(masses, None, settings, note)
    while True:
        eps, tolerance, last = eps_of(grid, q), settings.marginal * q**2, q * np.sqrt(0.5) < settings.least * 0.999
        iterates = islice(ascent(masses, F / eps, eps, note), settings.steps + 1)
        del F
        for here in iterates:
            wide = best.take(here, eps)
            if not best.met and before is not None:
                best.raised(2 * eps * here.F - before)
            if best.met:
                return REACHED
            if wide > REPAIRABLE and here.l1 <= (tolerance if last or wide > HOPELESS else FAR):
                break
        F = eps * here.F
        if last:
            if here.plan:  # not repaired yet
                best.take(here, eps, surely=True)
            if not best.met:  # what takes off the error in ε was solved roughly, or not at all
                best.raised(2 * F - _at(masses, F, q * np.sqrt(2), tolerance, settings, note)[0])
            return _left(best, settings)
        before, q = F, q * np.sqrt(0.5)


def _left(best: Best, settings: SemiDual) -> Outcome:
    """The outcome at the least q."""
    if best.met:
        return REACHED
    if best.upper <= (0.1 * min(best.masses.grid.spacing)) ** 2:
        return EQUAL
    return GAP_NOT_REACHED.advising(
        f"this grid leaves a gap of {best.gap:.2g} > {best.wanted:.2g} at q = {settings.least:g}, and the bounds hold: ask for "
        f"gap={two_digits_up(best.gap):g}, refine the grid, or allow a smaller q by SemiDual(least=…)",
    )


def two_digits_up(gap: float) -> float:
    """Two digits, upwards."""
    if not np.isfinite(gap):
        return gap
    unit = 10.0 ** (np.floor(np.log10(gap)) - 1)
    return float(f"{np.ceil(gap / unit) * unit:.2g}")


def eps_of(grid: Grid, q: float) -> float:
    """ε = (q h)², h the geometric mean of the spacings."""
    return q**2 * float(np.prod(grid.spacing)) ** (2 / grid.dim)
