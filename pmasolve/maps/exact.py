"""Transport between the masses of the nodes of a grid to the last digit: linear programs by a network simplex.

Where the start comes from: between few nodes the program has all pairs.  Small grids go through coarser ones, each optimum the
start of the next.  On large ones the entropic semi-dual comes first (`semidual.even`): its potential leaves 3 to 6 pairs a node.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from math import fsum, nextafter

import numpy as np
from scipy.sparse import csr_array, diags_array

from ..machine.arrays import Array, Indices, keep_integers
from ..machine.progress import progress_bar
from ..problems.grids import Grid
from ..problems.outcomes import INTERRUPTED, REACHED, Outcome
from .few import Support, bounds_of_few, holds, optimum_of_few
from .semidual.arcs import PATHS, WholeCosts
from .semidual.ascent import Masses
from .semidual.bounds import diameter
from .semidual.c_transform import OUT
from .semidual.cascade import SemiDual, eps_of, semidual, two_digits_up
from .semidual.even import even
from .semidual.interval import GAP_NOT_REACHED, LEAST_GAP, SemiDualResult, identity, narrowest, unknown
from .semidual.levels import CUBIC, cascade
from .simplex import GIVEN, NEAR, UNMET, Bounds, BrokenOff, Optimum, optimum

ALL = 1 << 13  # pairs of nodes that a program has at once
SMALL_PROGRAM = 1600  # nodes of a side that need no entropic start
COARSEST_PROGRAM = 8  # points of an axis of the coarsest grid, whose program has all pairs
COARSE_SLACK = 8.0  # slack of the first pairs, in units of ½ h², from a coarser grid
FINE_SLACK = 1.5  # and from the semi-dual
BEYOND_SEMIDUAL = 1e-6  # a gap that the semi-dual does not reach
SEEN = 1e-9  # relative width that is called exact where costs are rounded to whole numbers

EXACT = Outcome("exact", True, "optimal between the masses of the nodes; only roundings lie between the bounds")
ProgramNote = Callable[[Grid, int, int, float, float], None]


@dataclass(frozen=True)
class Simplex:
    """Options of the path to the last digit: an optimal coupling of the masses of the nodes, with potentials that prove it.

    Parameters
    ----------
    nodes : most nodes with mass, both sides together; where there are more the entropic semi-dual goes as far as it can, and the
        outcome says so.

    Raises
    ------
    ValueError : nodes below 2.

    Examples
    --------
    >>> from pmasolve import Box, Problem, transport
    >>> problem = Problem.from_densities(Box((32,)), lambda x: (x < 0.5) + 0.0, lambda y: (y > 0.5) + 0.0)
    >>> T = transport(problem, method=Simplex(), gap=0)
    >>> T.outcome.name, round(T.w2, 12), T.coupling.nnz
    ('exact', 0.5, 16)
    """

    nodes: int = 300_000

    def __post_init__(self) -> None:
        keep_integers(self, nodes=2)

    def holds(self, mu: Array, nu: Array) -> bool:
        """Whether there are few enough nodes."""
        return np.count_nonzero(mu) + np.count_nonzero(nu) <= self.nodes


def between_nodes(
    grid: Grid, mu: Array, nu: Array, gap: float, method: SemiDual | Simplex | None, progress: bool | None
) -> tuple[SemiDualResult, SemiDual | Simplex]:
    """The result of a method and the method; unless one is given the simplex does what is small and what the semi-dual leaves."""
    last = Simplex()
    if isinstance(method, Simplex) or (method is None and (gap < BEYOND_SEMIDUAL or small(mu, nu))):
        return exact(grid, mu, nu, method or last, gap, progress), method or last
    found, settings = semidual(grid, mu, nu, method or SemiDual(), gap, progress), method or SemiDual()
    if method is not None or found.outcome != GAP_NOT_REACHED or not last.holds(mu, nu):
        return found, settings
    return exact(grid, mu, nu, last, gap, progress, found), last


def small(mu: Array, nu: Array) -> bool:
    """Whether densities are positive at so few nodes that the simplex is the fastest way to any gap."""
    return max(np.count_nonzero(mu), np.count_nonzero(nu)) <= SMALL_PROGRAM


class Among:
    """Optimal costs between the nodes of many densities, without couplings: what belongs to one density is made once.

    Parameters
    ----------
    densities : e^{−f} (m, *shape), as `exact` gets them.
    """

    def __init__(self, grid: Grid, densities: Array) -> None:
        self.grid, self.densities = grid, densities
        self.costs = WholeCosts.of(grid, np.ones(grid.shape), np.ones(grid.shape))
        self.supports: dict[int, Support] = {}

    def takes(self, i: int, j: int) -> bool:
        """Whether both have few enough nodes."""
        return small(self.densities[i], self.densities[j]) and holds(self.costs)

    def interval(self, i: int, j: int) -> tuple[float, float]:
        """The bounds of W₂² that `exact` gives, which only roundings keep apart."""
        if (same := identity(self.grid, self.densities[i], self.densities[j])) is not None:
            return same.lower, same.upper
        source, target = self._support(i), self._support(j)
        costs = replace(self.costs, sources=source.nodes, targets=target.nodes)
        return _w2_interval(costs, bounds_of_few(source, target, costs)[0])

    def _support(self, i: int) -> Support:
        if i not in self.supports:
            self.supports[i] = Support.of(self.grid, self.densities[i] / np.mean(self.densities[i]))
        return self.supports[i]


def exact(
    grid: Grid,
    mu: Array,
    nu: Array,
    settings: Simplex,
    gap: float,
    progress: bool | None = None,
    start: SemiDualResult | None = None,
) -> SemiDualResult:
    """The optimal coupling between two densities ≥ 0 on the nodes, or one within the gap; from a semi-dual's result if given.

    The outcome is `REACHED` where the gap is met, `EXACT` where only roundings are in its way.
    Memory: some 200 bytes for each of the pairs, 4 to 8 a node.
    """
    if (same := identity(grid, mu, nu)) is not None:
        return replace(same, coupling=csr_array(diags_array(np.ravel(mu / np.sum(mu)))))
    if not settings.holds(mu, nu):
        return _beyond(start or semidual(grid, mu, nu, SemiDual(), max(gap, LEAST_GAP), progress), gap, settings)
    near = None if small(mu, nu) else even(grid, mu, nu, progress)
    records = [record for before in (start, near) if before is not None for record in before.records]

    def known() -> list[SemiDualResult]:
        return [start or unknown(grid), *([near.bounded()] if near else [])]

    if near is not None and near.interrupted:
        return narrowest(known(), INTERRUPTED, tuple(records))
    masses = Masses.of(grid, mu, nu)
    with progress_bar("simplex", float(grid.size), progress, "points") as show:

        def note(level: Grid, rounds: int, pairs: int, lower: float, upper: float) -> None:
            """A record of one grid, shown."""
            left = (upper - lower) / lower if lower > 0 else np.inf
            records.append({"points": level.size, "pairs": pairs, "gap": left})
            show(level.size, records[-1])

        try:
            if near is None:
                whole, found = _by_levels(masses, gap, note)
            else:
                whole, found = _optimum_on_grid(masses, gap, -near.potential, FINE_SLACK, note)
            result = _result(whole, found, gap, tuple(records))
        except KeyboardInterrupt as stop:
            return narrowest([*known(), *_until(stop, grid)], INTERRUPTED, tuple(records))
    if result.outcome.ok:
        return result
    best = narrowest([*known(), result], result.outcome, result.records)
    return replace(best, outcome=_outcome(whole, best.lower, best.upper, found, gap))


def _until(stop: KeyboardInterrupt, grid: Grid) -> list[SemiDualResult]:
    """What the simplex had found on this grid when it was interrupted; a coupling only if it sends all."""
    if not (isinstance(stop, BrokenOff) and isinstance(stop.costs, WholeCosts) and stop.costs.grid == grid):
        return []
    found = _result(stop.costs, stop.found, 0.0, ())
    return [found if stop.found.missing <= UNMET else replace(found, coupling=None)]


def _by_levels(masses: Masses, gap: float, note: ProgramNote) -> tuple[WholeCosts, Optimum]:
    """Between few nodes at once; else from the coarsest grid to the finest."""
    whole = WholeCosts.of(masses.grid, masses.mu, masses.nu)
    if small(masses.mu, masses.nu) and holds(whole):
        found = optimum_of_few(*(Support.of(masses.grid, mass) for mass in (masses.mu, masses.nu)), whole)
        note(masses.grid, found.rounds, found.arcs, found.lower, found.upper)
        return whole, found
    few = whole.sources.size * whole.targets.size <= ALL
    *coarse, finest = [masses] if few else cascade(masses, COARSEST_PROGRAM)
    F = None
    for level, finer in pairwise([*coarse, finest]):
        F = CUBIC.of(level.grid, _everywhere(*_optimum_on_grid(level, 0.0, F, COARSE_SLACK, note)))(finer.grid.points)
    return _optimum_on_grid(finest, gap, F, COARSE_SLACK, note)


def _optimum_on_grid(
    masses: Masses, gap: float, F: Array | None, width: float, note: ProgramNote
) -> tuple[WholeCosts, Optimum]:
    """The optimum on one grid, from a potential F in units of dist², without one from all pairs."""
    grid, whole = masses.grid, WholeCosts.of(masses.grid, masses.mu, masses.nu)
    a, b = (m.ravel()[nodes] / grid.size for m, nodes in ((masses.mu, whole.sources), (masses.nu, whole.targets)))
    u, slack, near = np.zeros(a.size), whole.farthest, a.size
    if F is not None:
        near = NEAR
        u = F.ravel()[whole.sources] / whole.unit
        slack = np.ceil(width * 0.5 * eps_of(grid, 1.0) / whole.unit)  # potentials stay whole

    def met(lower: float, upper: float) -> bool:
        return gap > 0 and upper - lower <= gap * lower * (1 - 1e-9)

    return whole, optimum(a, b, whole, u, slack, accept=met, told=partial(note, grid), near=near)


def _everywhere(whole: WholeCosts, found: Optimum) -> Array:
    """v^c on all nodes, in units of dist²."""
    nodes = np.arange(whole.grid.size)
    return (replace(whole, sources=nodes).back(found.v) * whole.unit).reshape(whole.grid.shape)


def _result(whole: WholeCosts, found: Optimum, gap: float, records: tuple[Mapping[str, float], ...]) -> SemiDualResult:
    grid, P = whole.grid, found.coupling
    x, y = whole.sources[P.coords[0]], whole.targets[P.coords[1]]
    steps = _steps(grid, x, y)
    lower, upper = _w2_interval(whole, found)
    upper = min(upper, _upper(whole, found, steps)) if whole.rounding > OUT else upper
    mass = np.bincount(x, P.data, grid.size)
    barycentre, variance = grid.points.reshape(grid.dim, -1), np.zeros(grid.size)
    for j, (h, k) in enumerate(zip(grid.spacing, steps, strict=True)):
        first, second = (_averaged(np.bincount(x, P.data * k**p, grid.size), mass) for p in (1, 2))
        barycentre[j] += h * first
        variance += h**2 * np.maximum(second - first**2, 0.0)
    return SemiDualResult(
        grid.centred(-_everywhere(whole, found)),
        lower,
        upper,
        found.missing,
        barycentre.reshape(grid.dim, *grid.shape),
        np.sqrt(variance).reshape(grid.shape),
        _outcome(whole, lower, upper, found, gap),
        records,
        csr_array((P.data, (x, y)), (grid.size, grid.size)),
    )


def _steps(grid: Grid, x: Indices, y: Indices) -> list[Array]:
    """y − x in nodes along each axis, the short way round on a torus."""
    out = []
    for start, end, n in zip(*(np.unravel_index(nodes, grid.shape) for nodes in (x, y)), grid.shape, strict=True):
        k = (end - start).astype(np.float64)
        out.append(k if grid.reflects else k - n * np.rint(k / n))
    return out


def _upper(whole: WholeCosts, found: Optimum, steps: list[Array]) -> float:
    """A number ≥ W₂²: the coupling's cost by the grid's own h², of which those in whole numbers fall short."""
    squares = sum(h**2 * k**2 for h, k in zip(whole.grid.spacing, steps, strict=True))
    cost = fsum(found.coupling.data * squares) * (1 + 4 * OUT)
    return nextafter(cost + (found.missing + 2 * GIVEN) * diameter(whole.grid) * (1 + 4 * OUT), np.inf)


def _w2_interval(whole: WholeCosts, found: Optimum | Bounds) -> tuple[float, float]:
    """Of W₂²."""
    return max(2 * whole.unit * found.lower * (1 - 4 * OUT), 0.0), 2 * whole.unit * found.upper * (1 + 4 * OUT)


def _averaged(total: Array, mass: Array) -> Array:
    return np.divide(total, mass, out=np.zeros(mass.shape), where=mass > 0)


def _outcome(whole: WholeCosts, lower: float, upper: float, found: Optimum, gap: float) -> Outcome:
    if gap > 0 and upper - lower <= gap * lower:
        return REACHED
    left = (upper - lower) / lower if lower > 0 else np.inf
    if whole.rounding > OUT and left > SEEN:
        return GAP_NOT_REACHED.advising(
            f"spacings so unequal have costs in whole numbers that leave a gap of {left:.2g}, and the bounds hold: take spacings "
            "nearer to one another" + (f", or ask for gap={two_digits_up(left):g}" if left < 1 else "")
        )
    if found.exact or upper - lower <= 2 * whole.unit * whole.farthest * PATHS:
        return EXACT
    return GAP_NOT_REACHED.advising(
        f"{found.rounds} programs leave a gap of {left:.2g}, and the bounds hold: ask for gap={two_digits_up(left):g}, or add a "
        "background"
    )


def _beyond(start: SemiDualResult, gap: float, settings: Simplex) -> SemiDualResult:
    """What the semi-dual found, told so where that is not what was asked for."""
    if start.outcome.ok or start.outcome == INTERRUPTED:
        return start
    left = (start.upper - start.lower) / start.lower if start.lower > 0 else np.inf
    told = Outcome(
        "beyond the simplex",
        False,
        f"more than {settings.nodes} nodes have mass: the entropic semi-dual leaves a gap of {left:.2g} > {gap:.2g}, and the "
        f"bounds hold; ask for gap={two_digits_up(left):g}, take a coarser grid, or allow more by Simplex(nodes=…)",
    )
    return replace(start, outcome=told)
