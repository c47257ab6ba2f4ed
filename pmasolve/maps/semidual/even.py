"""Potentials that are as near where there is little mass as elsewhere: the start of a simplex, to which every node counts the same.

A semi-dual that ends by its gap, or by Σ|μ − a|, leaves the potential off by 20 to 500 times ½ h² on a background of 10⁻³ or 10⁻⁶,
and each round of pairs mends a few of those.  Here Newton goes on until |μ − a| is a small part of μ itself, averaged over the
nodes.  Its steps are whole ones where ε is h² or more: so ε comes down on the finest grid too, by halves, two or three steps each.
The last two potentials take off what is of first order in ε: 2 F(ε/2) − F(ε).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice, pairwise

import numpy as np

from ...machine.arrays import Array
from ...machine.progress import progress_bar
from ...problems.grids import Grid
from ...problems.outcomes import INTERRUPTED
from .ascent import Iterate, Masses, Note, ascent, iterate
from .cascade import COARSEST_Q, SemiDual, eps_of, falling
from .interval import GAP_NOT_REACHED, Best, SemiDualResult
from .levels import cascade, prolonged

COARSEST_START = 32  # points of an axis of the coarsest grid
FALLING_Q = 1.0, 0.5**0.5, 0.5  # q on the finest grid
COARSE_PART, EVEN_PART = 0.1, 0.01  # mean of |μ − a|/μ at which Newton ends, on coarser grids and on the finest
EVEN_STEPS = 25  # of Newton at each ε of each grid
EVEN_KRYLOV = 60  # products in each at most: long steps, where light nodes are left to mend, bring more than short ones
LESS_UNEVEN, IN_VAIN = 0.99, 5  # so many steps that do not leave this part of the least end it
WEIGHTLESS = 1e-13  # of the mean: less than that is lost in the roundings of what heavier nodes send
ROUGH_GAP = 1e-3  # of which a small part may be lost in a repair
NEAR_BOUNDS_GAP = 0.1  # of what an interruption leaves; where W₂ is below some cells that takes smaller ε


def even(grid: Grid, mu: Array, nu: Array, progress: bool | None = None) -> SemiDualResult:
    """A potential between two densities ≥ 0 on the nodes, all of it within some h² of an optimal one, with bounds.

    Where it is interrupted, the bounds are those of what was reached.
    Memory and cost are those of `cascade.semidual`; some 6 to 15 Newton steps on the finest grid.
    """
    records: list[Mapping[str, float]] = []
    way = _Way(Best(Masses.of(grid, mu, nu), ROUGH_GAP))
    with progress_bar("semi-dual", float(grid.size), progress, "points") as show:

        def note(record: Mapping[str, float]) -> None:
            records.append(record)
            show(record["points"], record)

        try:
            F = way.potential(note)
        except KeyboardInterrupt:
            way.certify()
            return way.best.result(INTERRUPTED, tuple(records))
    return replace(way.best.result(GAP_NOT_REACHED, tuple(records)), potential=grid.centred(-F))


class _Way:
    """From the coarsest grid to the potential: the grid and the F, in units of dist², that it has come to."""

    def __init__(self, best: Best) -> None:
        self.best, self.grid, self.F = best, best.masses.grid, np.zeros(best.masses.grid.shape)

    def potential(self, note: Note) -> Array:
        """F; bounds of the last plan, and of plans of less ε where those are far apart."""
        masses = cascade(self.best.masses, COARSEST_START)
        F, q = np.zeros(masses[0].grid.shape), COARSEST_Q
        while q > 1:
            F = self._evened(masses[0], F, q, COARSE_PART, note)
            q *= 0.5
        for coarse, fine in pairwise(masses):
            F = prolonged(coarse.grid, fine.grid, self._evened(coarse, F, 1.0, COARSE_PART, note))
        before = F
        for q in FALLING_Q:
            before, F = F, self._evened(self.best.masses, F, q, EVEN_PART, note, q == FALLING_Q[-1])
        F = 2 * F - before
        self._narrow(F, note)
        return F

    def certify(self) -> None:
        """Bounds of what it has come to."""
        grid = self.best.masses.grid
        eps, F = eps_of(grid, 1.0), self.F if self.grid == grid else prolonged(self.grid, grid, self.F)
        self.best.take(iterate(self.best.masses, F / eps, eps), eps, surely=True)

    def _narrow(self, F: Array, note: Note) -> None:
        """Bounds so near each other that they are worth something where the simplex is interrupted."""
        if self.best.gap > NEAR_BOUNDS_GAP:
            self.best.raised(F)
        if self.best.gap > NEAR_BOUNDS_GAP:
            self.best.wanted = NEAR_BOUNDS_GAP
            falling(F, FALLING_Q[-1] * 0.5**0.5, SemiDual(), self.best, note)

    def _evened(self, masses: Masses, F: Array, q: float, wanted: float, note: Note, last: bool = False) -> Array:
        """F after Newton at one q, until marginals agree so well; bounds of the last plan."""
        eps, least, vain = eps_of(masses.grid, q), np.inf, 0
        self.grid, self.F = masses.grid, F
        for here in islice(ascent(masses, F / eps, eps, note, EVEN_KRYLOV), EVEN_STEPS + 1):
            self.F, now = eps * here.F, uneven(masses, here)
            least, vain = min(least, now), 0 if now < LESS_UNEVEN * least else vain + 1
            if now <= wanted or vain == IN_VAIN:
                break
        if last:
            self.best.take(here, eps, surely=True)
        else:
            here.leave()  # the next plan needs the memory
        return self.F


def uneven(masses: Masses, here: Iterate) -> float:
    """The mean of min(1, |μ − a|/μ) over the nodes that have mass: each counts the same, however light, above `WEIGHTLESS`."""
    some = masses.mu > WEIGHTLESS
    mu = masses.mu[some]
    return float(np.mean(np.minimum(np.abs(mu - here.marginal[some]), mu) / mu))
