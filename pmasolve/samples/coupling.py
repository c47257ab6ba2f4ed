"""Exact optimal transport between clouds: the coupling, its cost with bounds that hold in float64, the potentials.

    min Σ ½|xᵢ − yⱼ|² γᵢⱼ  over couplings γ of a and b      =      max −Σ uᵢ aᵢ − Σ vⱼ bⱼ,   uᵢ + vⱼ + ½|xᵢ − yⱼ|² ≥ 0.

From few groups of points to all of them: the optimal potentials of one level, c-transformed, say which pairs of the next have small
slack; a simplex on those (`maps.simplex`) has the optimum among them, and pairs that the c-transform of its potentials shows to be
cheaper come in until there is none.  On a line the monotone coupling is optimal, and sorting finds it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import coo_array, csr_array

from ..machine.arrays import ROUNDOFF, Array, number
from ..machine.progress import Show, progress_bar
from ..machine.speaking import count, sheet
from ..maps.certificates import Interval
from ..maps.line import monotone
from ..maps.pairs import Arcs
from ..maps.simplex import Optimum, coupling_bound, dual_bound, marginal_differences, optimum
from ..problems.grids import Cloud
from ..problems.outcomes import REACHED, STALLED, Outcome
from ..problems.problem import Problem, checked
from ..sinkhorn.softmin.clouds.blocks import TILE
from ..sinkhorn.softmin.clouds.pairs import PairCosts
from .levels import Levels
from .units import NEAREST_SPAN

NEAR_BOUNDS = 2.0**-46  # of the largest squared distance: the search ends when bounds are this near
HELD_ROUNDING = 2.0**-40  # of it: what roundings leave at most, more where weights are below 10⁻¹⁴, 0 for the simplex
SEEN_AS_REACHED = 1e-9  # relative width that is called reached where roundings leave no less
NO_EXTENT = 1e-300  # where all points are equal
COARSE_GAP = 1e-3  # relative gap at which a level of groups is left
NEAREST, SPREAD = 8, 3.5  # first pairs: of slack up to 3.5 times that of the eighth-cheapest partner of a typical point
WRAPPED = 4  # dimensions of a torus, whose 81 images are looked at
TYPICAL_TILES = 16  # tiles of targets that tell what is typical
OF_POINTS = (
    "the weighted points themselves, Σ aᵢ δ(xᵢ) and Σ bⱼ δ(yⱼ), with the weights normalised: rigorous in float64"
)
BOUNDS_STALLED = STALLED.advising(
    "the bounds are as near as rounding or the simplex let them; quote the interval, or ask for a larger gap"
)


WITHIN_ROUNDING = Outcome(
    "within rounding",
    True,
    "W₂ is so small beside the largest distance that roundings of it leave the gap shown; solve near pieces one by one for more",
)


@dataclass(frozen=True, eq=False)
class OptimalCoupling:
    """An optimal coupling of two clouds.

    Attributes
    ----------
    problem : the clouds.
    coupling : γ, a sparse array (n, m) of masses, at most n + m − 1 of them positive.
    u, v : optimal potentials at the points (n,), (m,): uᵢ + vⱼ + ½|xᵢ − yⱼ|² ≥ 0, and 0 where γ is positive, up to roundings.
    interval : bounds of W₂² between the weighted points, with all roundings counted.
    outcome : reached; "within rounding" where W₂ is tiny beside the largest distance, whose roundings leave the gap that is shown;
        "stalled" where the interval is wider than was asked for.
    rounds, pairs : simplices solved at the points themselves and pairs that the last one had; 0 on a line, where sorting does it.

    Examples
    --------
    >>> x, y = np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    >>> found = optimal_coupling(Problem.from_samples(x, y, b=[2, 1, 1]))
    >>> found.coupling.toarray()
    array([[0.  , 0.25, 0.25],
           [0.5 , 0.  , 0.  ]])
    >>> found.map.tolist(), bool(found.interval.lower <= 1.0 <= found.interval.upper)
    ([[0.0, 1.0], [1.0, 1.0]], True)
    """

    problem: Problem
    coupling: coo_array
    u: Array = field(repr=False)
    v: Array = field(repr=False)
    interval: Interval
    outcome: Outcome
    rounds: int
    pairs: int

    def __repr__(self) -> str:
        sizes = f"{self.coupling.shape[0]} and {self.coupling.shape[1]} points"
        return f"<OptimalCoupling of {sizes}: W₂ = {self.w2:.6g}, gap {self.interval.gap:.2g}, {self.outcome.name}>"

    def summary(self) -> str:
        """Outcome with its advice, W₂ and its bounds, how many pairs carry mass, on a page of at most 80 columns."""
        i = self.interval
        return sheet(
            repr(self),
            {
                "outcome": self.outcome,
                "W₂": f"{self.w2:.12g}",
                "W₂²": f"{self.w2_squared:.12g} in [{i.lower:.12g}, {i.upper:.12g}], gap {i.gap:.2g}",
                "bounds of": i.problem,
                "coupling": f"{count(self.coupling.nnz, 'pair')} with mass",
                "work": f"{self.rounds} rounds, {self.pairs} pairs" if self.rounds else "sorting",
            },
        )

    @cached_property
    def w2_squared(self) -> float:
        """⟨|x − y|², γ⟩."""
        nodes = self.problem.domain, self.problem.codomain
        costs = PairCosts(*(_points_of(n) for n in nodes), _periods_of(nodes[0]))
        return 2 * float(np.sum(costs.between(*self.coupling.coords) * self.coupling.data))

    @property
    def w2(self) -> float:
        """W₂, the root of ``w2_squared``."""
        return float(np.sqrt(self.w2_squared))

    @cached_property
    def map(self) -> Array:
        """E[y|x] at the points of the source, (n, dim): where the mass of a point goes on average; on a torus not wrapped.

        NaN at points without mass.
        """
        x, y = _points_of(self.problem.domain), _points_of(self.problem.codomain)
        (i, j), periods = self.coupling.coords, _periods_of(self.problem.domain)
        step = y[j] - x[i]
        if periods is not None:
            step -= np.round(step / periods) * periods
        plan = csr_array((self.coupling.data, (i, np.arange(i.size))), (len(x), i.size))
        mass = plan.sum(axis=1)[:, None]
        return x + np.divide(plan @ step, mass, out=np.full(x.shape, np.nan), where=mass > 0)

    def image(self, points: ArrayLike) -> Array:
        """Where any points z (n, dim) go: to the yⱼ with mass of least ½|z − yⱼ|² + vⱼ, as E[y|z] for ε → 0."""
        z, periods = Cloud(np.asarray(points)).points, _periods_of(self.problem.domain)
        massive = np.flatnonzero(self.problem.codomain.weights > 0)
        y = _points_of(self.problem.codomain)[massive]
        best = PairCosts(y, z, periods).below(-self.v[massive], np.full(len(z), np.inf), 1)
        step = np.empty(z.shape)
        step[best.columns] = y[best.rows] - z[best.columns]
        return z + (step if periods is None else step - np.round(step / periods) * periods)


def optimal_coupling(problem: Problem, *, gap: float = 1e-12, progress: bool | None = None) -> OptimalCoupling:
    """The optimal coupling of two weighted clouds for the cost |x − y|², and W₂ between them, exactly.

    It answers what the distance of *these points* is.  How far the laws that they were drawn from are apart is another question:
    see `estimate_w2`.

    Parameters
    ----------
    problem : samples (`Problem.from_samples`), n and m points, with or without weights, in ℝᵈ or on a torus.
    gap : relative width of the interval at which the search ends; 2⁻⁴⁰ of the largest squared distance is always enough.
    progress : show a bar; by default on a terminal, once two seconds have passed.

    Returns
    -------
    `OptimalCoupling`: a sparse coupling, W₂ and bounds that hold in float64, the potentials.

    Raises
    ------
    ValueError : densities on a grid, a torus of more than four dimensions, a gap that is negative or NaN.

    Notes
    -----
    On a line it sorts: any number of points, n log n.  In the plane 10⁴ points take about a second and 10⁵ less than a minute, in
    memory linear in the points (some 8 kB each).  In many dimensions each c-transform looks at all n·m pairs: some 10⁴ points.
    Where the optimum is not unique this is one of the optimal couplings.

    References
    ----------
    Sparse pairs from coarser levels: Schmitzer, arXiv 1510.05466.  Network simplex: Bonneel, van de Panne, Paris, Heidrich,
    Displacement interpolation using Lagrangian mass transport (2011), in POT, JMLR 22:78 (2021).

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> found = optimal_coupling(Problem.from_samples(rng.random((200, 2)), rng.random((300, 2)) + [1.0, 0.0]))
    >>> found.interval.gap < 1e-12, found.map.shape
    (True, (200, 2))
    """
    if not number(gap, "gap") >= 0:
        raise ValueError(f"gap={gap}: give the relative gap at which to stop, 0 or more, for example 1e-12")
    nodes = checked(problem).domain, problem.codomain
    if not all(isinstance(cloud, Cloud) for cloud in nodes):
        raise ValueError("optimal_coupling is for clouds: for densities on a grid use transport(problem)")
    kept = [np.flatnonzero(cloud.weights > 0) for cloud in nodes]
    (x, a), (y, b) = ((cloud.points[i], cloud.weights[i]) for cloud, i in zip(nodes, kept, strict=True))
    need_squares(x, y)
    costs = PairCosts(x, y, _periods_of(nodes[0]))
    if costs.periods is not None and costs.periods.size > WRAPPED:
        raise ValueError(
            f"period in {costs.periods.size} dimensions: 3^dim images would be looked at; up to {WRAPPED} are, otherwise give the "
            "matrix of costs to ot.emd2"
        )
    if x.shape[1] == 1 and costs.periods is None:
        found = monotone_coupling(a, b, costs)
    else:
        with progress_bar("optimal_coupling", 1.0, progress, "share") as show:
            found = descended(Levels(x, a), Levels(y, b), costs.periods, gap, show)
    (i, j), flow = found.coupling.coords, found.coupling.data
    lower, upper = max(2 * found.lower, 0.0), 2 * found.upper
    outcome = _judged_by_bounds(lower, upper, gap, 2 * HELD_ROUNDING * costs.farthest)
    coupling = coo_array((flow, (kept[0][i], kept[1][j])), (nodes[0].size, nodes[1].size))
    u = -PairCosts(y, nodes[0].points, costs.periods).conjugate(found.v)
    v = -PairCosts(nodes[0].points, nodes[1].points, costs.periods).conjugate(-u)
    return OptimalCoupling(
        problem, coupling, u, v, Interval(lower, upper, OF_POINTS), outcome, found.rounds, found.arcs
    )


def _judged_by_bounds(lower: float, upper: float, gap: float, rounded: float) -> Outcome:
    """As near as asked for, or as ``rounded`` lets the bounds be: by that name where digits of W₂² are lost."""
    width = upper - lower
    if width <= max(gap * lower, NO_EXTENT) or width <= min(rounded, SEEN_AS_REACHED * lower):
        return REACHED
    return WITHIN_ROUNDING if width <= rounded else BOUNDS_STALLED


def need_squares(x: Array, y: Array) -> None:
    """Refuse points so near that squared distances are 0, or have lost digits."""
    span = float(max(np.max(x.max(axis=0) - y.min(axis=0)), np.max(y.max(axis=0) - x.min(axis=0))))
    if 0 < span < NEAREST_SPAN:
        raise ValueError(
            f"points within {span:.3g} of each other: squared distances would underflow; take another unit of length"
        )


def _points_of(nodes: object) -> Array:
    assert isinstance(nodes, Cloud)
    return nodes.points


def _periods_of(nodes: object) -> Array | None:
    assert isinstance(nodes, Cloud)
    return None if nodes.period is None else np.array(nodes.period)


def descended(source: Levels, target: Levels, periods: Array | None, gap: float, show: Show) -> Optimum:
    """The optimum between all points, through levels of ever more groups."""
    coarsest = max(source.count, target.count)
    before: tuple[Array, Array] | None = None
    for level in range(coarsest, -1, -1):
        (x, a), (y, b) = source.at(level), target.at(level)
        costs = PairCosts(x, y, periods)
        if before is None:
            u, slack = np.zeros(len(x)), costs.farthest or 1.0
        else:
            u = PairCosts(before[0], x, periods).conjugate(before[1])
            slack = typical_slack(costs, u)
        near = partial(_near_enough, COARSE_GAP if level else gap, NEAR_BOUNDS * costs.farthest)
        found = optimum(a / a.sum(), b / b.sum(), costs, u, slack, accept=near)
        before = y, found.v
        show(4.0**-level, {"lower": 2 * found.lower, "upper": 2 * found.upper})
    return found


def _near_enough(gap: float, width: float, lower: float, upper: float) -> bool:
    """Whether bounds are as near as asked for, or as roundings let them."""
    return upper - lower <= max(gap * lower, width)


def typical_slack(costs: PairCosts, u: Array) -> float:
    """Slack up to which a typical target has some 25 partners."""
    v, tiles = costs.conjugate(u), len(costs.target.tiles.radii)
    chosen = np.unique(np.linspace(0, tiles - 1, TYPICAL_TILES).astype(int))
    near = np.concatenate([costs.target.order[TILE * tile : TILE * (tile + 1)] for tile in chosen])
    level = np.full(len(v), -np.inf)
    level[near] = np.inf
    arcs = costs.below(u, level, NEAREST)
    eighth = np.zeros(len(v))
    np.maximum.at(eighth, arcs.columns, arcs.costs - u[arcs.rows] - v[arcs.columns])
    least = NEAR_BOUNDS * costs.farthest or 1.0
    return SPREAD * max(float(np.median(eighth[near])), least)


def monotone_coupling(a: Array, b: Array, costs: PairCosts) -> Optimum:
    """The monotone coupling, which is optimal for convex costs of x − y, and potentials along it.

    Masses are added up and cut with twice the digits, so that marginals hold to a rounding.
    """
    i, j, flow = monotone(costs.x[:, 0], costs.y[:, 0], a, b)
    c = 0.5 * (costs.x[i, 0].astype(np.longdouble) - costs.y[j, 0]) ** 2
    # from one pair to the next either i or j changes, and the potential of the one that changes by the change of the cost
    along = np.diff(c)
    moves = np.diff(i) != 0
    u, v = np.empty(a.size), np.empty(b.size)
    u[i] = np.concatenate([[0.0], np.cumsum(np.where(moves, along, 0.0))])
    v[j] = c[0] + np.concatenate([[0.0], np.cumsum(np.where(moves, 0.0, along))])
    v = v - (64 * ROUNDOFF + i.size * float(np.finfo(np.longdouble).eps)) * costs.farthest
    keep = flow > 0
    used, flow = Arcs(i[keep], j[keep], costs.between(i[keep], j[keep])), flow[keep]
    coupling = coo_array((flow, (used.rows, used.columns)), (a.size, b.size))
    upper = coupling_bound(a, b, used, flow, costs)
    return Optimum(coupling, u, v, dual_bound(a, b, u, v), upper, marginal_differences(a, b, used, flow), True, 0, 0)
