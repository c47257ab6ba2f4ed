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
from .ascent import Iterate, Masses, Note, ascent
from .cascade import COARSEST_Q, eps_of
from .interval import GAP_NOT_REACHED, Best, SemiDualResult
from .levels import cascade, prolonged

COARSEST_START = 32  # points of an axis of the coarsest grid
FALLING_Q = 1.0, 0.5**0.5, 0.5  # q on the finest grid
COARSE_PART, EVEN_PART = 0.1, 0.01  # mean of |μ − a|/μ at which Newton ends, on coarser grids and on the finest
EVEN_STEPS = 25  # of Newton at each ε of each grid
LESS_UNEVEN, IN_VAIN = 0.99, 5  # so many steps that do not leave this part of the least end it
WEIGHTLESS = 1e-13  # of the mean: less than that is lost in the roundings of what heavier nodes send
ROUGH_GAP = 1e-3  # the gap at which bounds for what an interruption leaves are near enough


def even(grid: Grid, mu: Array, nu: Array, progress: bool | None = None) -> SemiDualResult:
    """A potential between two densities ≥ 0 on the nodes, all of it within some h² of an optimal one, with bounds of its plan.

    Memory and cost are those of `cascade.semidual`; some 6 to 15 Newton steps on the finest grid.
    """
    records: list[Mapping[str, float]] = []
    best = Best(Masses.of(grid, mu, nu), ROUGH_GAP)
    with progress_bar("semi-dual", float(grid.size), progress, "points") as show:

        def note(record: Mapping[str, float]) -> None:
            records.append(record)
            show(record["points"], record)

        try:
            F = _even_potential(best, note)
        except KeyboardInterrupt:
            return best.result(INTERRUPTED, tuple(records))
    return replace(best.result(GAP_NOT_REACHED, tuple(records)), potential=grid.centred(-F))


def _even_potential(best: Best, note: Note) -> Array:
    """F in units of dist², from the coarsest grid; bounds of the last plan."""
    masses = cascade(best.masses, COARSEST_START)
    F, q = np.zeros(masses[0].grid.shape), COARSEST_Q
    while q > 1:
        F = _evened(masses[0], F, q, COARSE_PART, note)
        q *= 0.5
    for coarse, fine in pairwise(masses):
        F = prolonged(coarse.grid, fine.grid, _evened(coarse, F, 1.0, COARSE_PART, note))
    before = F
    for q in FALLING_Q:
        before, F = F, _evened(best.masses, F, q, EVEN_PART, note, best if q == FALLING_Q[-1] else None)
    return 2 * F - before


def _evened(masses: Masses, F: Array, q: float, wanted: float, note: Note, best: Best | None = None) -> Array:
    """F in units of dist² after Newton at one q, until marginals agree so well; its plan, if wanted, for bounds."""
    eps, least, vain = eps_of(masses.grid, q), np.inf, 0
    for here in islice(ascent(masses, F / eps, eps, note), EVEN_STEPS + 1):
        now = uneven(masses, here)
        least, vain = min(least, now), 0 if now < LESS_UNEVEN * least else vain + 1
        if now <= wanted or vain == IN_VAIN:
            break
    if best is None:
        here.leave()  # the next plan needs the memory
    else:
        best.take(here, eps, surely=True)
    return eps * here.F


def uneven(masses: Masses, here: Iterate) -> float:
    """The mean of min(1, |μ − a|/μ) over the nodes that have mass: each counts the same, however light, above `WEIGHTLESS`."""
    some = masses.mu > WEIGHTLESS
    mu = masses.mu[some]
    return float(np.mean(np.minimum(np.abs(mu - here.marginal[some]), mu) / mu))
