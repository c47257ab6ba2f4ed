"""Potentials that are as near where there is little mass as elsewhere: the start of a simplex, to which every node counts the same.

A semi-dual that ends by its gap, or by Σ|μ − a|, leaves the potential off by 20 to 500 times ½ h² on a background of 10⁻³ or 10⁻⁶,
and each round of pairs mends a few of those.  Here Newton goes on until |μ − a| is a small part of μ itself, averaged over the
nodes.  Its steps are whole ones where ε is h² or more: so ε comes down on the finest grid too, by halves, two or three steps each;
where a coarser grid's potential was near already, from ½ h² on.
The last two potentials take off what is of first order in ε: 2 F(ε/2) − F(ε).

Light nodes are lifted first, those of both sides by the same factor.  Optimal potentials change little with little mass, but much
with how one side's compares to the other's; and light nodes are next to nothing to Newton: terms of less than e⁻¹⁷ of the greatest
are left out of sums, J is too rough for what they gain, and steps that mend them alone are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice, pairwise

import numpy as np

from ...machine.arrays import Array
from ...machine.interruptions import breakable
from ...machine.progress import progress_bar
from ...problems.grids import Grid
from ...problems.outcomes import INTERRUPTED
from .ascent import Iterate, Masses, Note, ascent, iterate
from .cascade import COARSEST_Q, SemiDual, eps_of, falling
from .interval import GAP_NOT_REACHED, Best, SemiDualResult
from .levels import cascade, prolonged

COARSEST_START = 16  # points of an axis of the coarsest grid
FALLING_Q = 1.0, 0.5**0.5, 0.5  # q on the finest grid
NEAR_ALREADY = 0.25  # mean of |μ − a|/μ after a coarser grid that spares the first of them
COARSE_PART, EVEN_PART = 0.1, 0.006  # mean of |μ − a|/μ at which Newton ends, on coarser grids and on the finest
EVEN_STEPS = 25  # of Newton at each ε of each grid
EVEN_KRYLOV = 60  # products in each at most: long steps, where light nodes are left to mend, bring more than short ones
LESS_UNEVEN, IN_VAIN = 0.99, 5  # so many steps that do not leave this part of the least end it
LIGHT, LIGHTEST = 1e-6, 1e-18  # of the mean mass: what is lifted, and the least that a simplex tells from nothing
ROUGH_GAP = 1e-3  # of which a small part may be lost in a repair
NEAR_BOUNDS_GAP = 0.1  # of what an interruption leaves; where W₂ is below some cells that takes smaller ε


def even(grid: Grid, mu: Array, nu: Array, progress: bool | None = None) -> EvenStart:
    """A potential between two densities ≥ 0 on the nodes, all of it within some h² of an optimal one; or what an interruption left.

    Memory and cost are those of `cascade.semidual`; some 3 to 15 Newton steps on the finest grid.
    """
    way = EvenStart(Masses.of(grid, mu, nu))
    with progress_bar("semi-dual", float(grid.size), progress, "points") as show:

        def note(record: Mapping[str, float]) -> None:
            way.records.append(record)
            show(record["points"], record)

        try:
            way.go(note)
        except KeyboardInterrupt:
            way.interrupted = True
    return way


class EvenStart:
    """From the coarsest grid to the potential.

    Attributes
    ----------
    grid, F : the grid and the potential, in units of dist², that it has come to.
    potential : u on the finest grid, mean-free, once it is there.
    interrupted : whether it was, on the way.
    records : one for each Newton step.
    """

    def __init__(self, masses: Masses) -> None:
        self.masses, self.grid, self.F, self.q = masses, masses.grid, np.zeros(masses.grid.shape), FALLING_Q[0]
        self.potential, self.interrupted, self.began = self.F, False, np.inf
        self.records: list[Mapping[str, float]] = []

    @breakable()
    def go(self, note: Note) -> None:
        """To the potential."""
        levels = cascade(lifted(self.masses), COARSEST_START)
        F, q, finest = np.zeros(levels[0].grid.shape), COARSEST_Q, levels[-1]
        while q > 1:
            F = self._evened(levels[0], F, q, COARSE_PART, note)
            q *= 0.5
        for here, finer in pairwise(levels):
            F = prolonged(here.grid, finer.grid, self._evened(here, F, 1.0, COARSE_PART, note))
        spared = len(levels) > 1 and self.began <= NEAR_ALREADY
        before = F
        for q in FALLING_Q[1:] if spared else FALLING_Q:
            before, F = F, self._evened(finest, F, q, EVEN_PART, note)
        self.potential = finest.grid.centred(before - 2 * F)

    def bounded(self) -> SemiDualResult:
        """Bounds of what it has come to, as near each other as is worth something where a simplex is interrupted."""
        best, grid = Best(self.masses, ROUGH_GAP), self.masses.grid
        eps, F = eps_of(grid, self.q), self.F if self.grid == grid else prolonged(self.grid, grid, self.F)
        best.take(iterate(self.masses, F / eps, eps), eps, surely=True)
        if not self.interrupted and best.gap > NEAR_BOUNDS_GAP:
            best.raised(-self.potential)
        if not self.interrupted and best.gap > NEAR_BOUNDS_GAP:
            best.wanted = NEAR_BOUNDS_GAP
            falling(-self.potential, FALLING_Q[-1] * 0.5**0.5, SemiDual(), best, lambda record: None)
        return best.result(INTERRUPTED if self.interrupted else GAP_NOT_REACHED, tuple(self.records))

    def _evened(self, masses: Masses, F: Array, q: float, wanted: float, note: Note) -> Array:
        """F after Newton at one q, until marginals agree so well; ``began`` is how they did at first."""
        eps, least, vain = eps_of(masses.grid, q), np.inf, 0
        self.grid, self.F, self.q = masses.grid, F, q if masses.grid == self.masses.grid else 1.0
        for step, here in enumerate(islice(ascent(masses, F / eps, eps, note, EVEN_KRYLOV), EVEN_STEPS + 1)):
            self.F, now = eps * here.F, uneven(masses, here)
            self.began = self.began if step else now
            least, vain = min(least, now), 0 if now < LESS_UNEVEN * least else vain + 1
            if now <= wanted or vain == IN_VAIN:
                break
        here.leave()  # the next plan needs the memory
        return self.F


def lifted(masses: Masses) -> Masses:
    """Light nodes of both sides times one factor, which brings the heaviest of them to `LIGHT`; 1 where a side has none."""
    both = masses.mu, masses.nu
    light = [(mass > 0) & (mass < LIGHT) for mass in both]
    heaviest = [np.max(mass, where=some, initial=0.0) for mass, some in zip(both, light, strict=True)]
    factor = LIGHT / max(heaviest) if all(heaviest) else 1.0
    lifts = (np.where(some, factor * np.maximum(mass, LIGHTEST), mass) for mass, some in zip(both, light, strict=True))
    return Masses.of(masses.grid, *lifts)


def uneven(masses: Masses, here: Iterate) -> float:
    """The mean of min(1, |μ − a|/μ) over the nodes that have mass: each counts the same, however light."""
    some = masses.mu > 0
    mu = masses.mu[some]
    return float(np.mean(np.minimum(np.abs(mu - here.marginal[some]), mu) / mu))
