"""Exact transport between weighted points: a network simplex on few pairs; those that are cheaper come in until there is none.

    min Σ c_ij P_ij,  P 1 = a, Pᵀ 1 = b, P ≥ 0        =        max Σ u_i a_i + Σ v_j b_j,  u_i + v_j ≤ c_ij.

Near-optimal potentials tell which pairs matter: those of small slack c_ij − u_i − v_j, a few for each point.  The optimum among
them (POT's sparse network simplex) has potentials, whose exact conjugate v_j = min_i c_ij − u_i makes a feasible pair: a lower
bound.  Pairs of negative slack come in, and again: every round is the optimum of more pairs, so that it ends.  What knows the
points (a grid, a cloud) answers three questions, see `Costs`.  The library is imported when a problem is solved.

The simplex gets the slacks in place of the costs: the optimum is the same, and what is tight is taken first (9.7 s without, 0.13 s
with that at 10⁵ pairs of 2·10⁴ points).  Where the pairs admit no coupling the rest stays away at a price (one more point on each
side), which rises until all has gone.

Bounds count roundings, those of masses too, which are within `GIVEN` of what they stand for.  Below: products, added up exactly
(math.fsum), are each off by some 2⁻⁵³ of their moduli.  Above: where the coupling's marginals, summed with twice the digits, are
not a and b, less is sent, and the rest goes anywhere, at the greatest cost at most.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from math import fsum, nextafter
from typing import Any, Protocol

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array

from ..machine.arrays import Array
from ..machine.extras import extra

ULP = 2.0**-53
GIVEN = 2 * ULP  # relative: masses as floats against those that they stand for, normalised
PIVOTS = 1 << 40  # of one simplex: no limit
NEAR, AT_ONCE = 64, 16  # pairs at most for each point at first, and of those that come in: of least slack
ROUNDS = 64  # of a simplex each
OPTIMAL = 1  # POT's result code
AWAY, DEARER = 8.0, 8.0  # the price of staying away, in units of the first slack, and by what it rises
LIGHT = 2.0**-6  # the total mass: POT takes sums for equal, and artificial arcs for empty, at 1e-14
UNMET = 2.0**-46  # of the mass: left by roundings

Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Arcs:
    """Pairs (i, j), each once, with their costs."""

    rows: Indices
    columns: Indices
    costs: Array

    @property
    def size(self) -> int:
        """How many."""
        return self.rows.size

    def joined(self, other: Arcs, width: int) -> Arcs:
        """All arcs of both, each once; columns are below ``width``."""
        keys = np.concatenate([self.rows * width + self.columns, other.rows * width + other.columns])
        _, first = np.unique(keys, return_index=True)
        parts = ((self.rows, other.rows), (self.columns, other.columns), (self.costs, other.costs))
        return Arcs(*(np.concatenate(pair)[first] for pair in parts))


class Costs(Protocol):
    """What knows the points and their costs; potentials are in the units of the costs.

    step : slack below −step counts as negative: 1 where costs and potentials are whole numbers, else a few roundings.
    rounding : by how much c_ij, as given, may be off, relative; 0 where they are exact.
    farthest : no cost is greater.
    """

    step: float
    rounding: float
    farthest: float

    def conjugate(self, u: Array) -> Array:
        """v_j = min_i c_ij − u_i, rounded downwards: u_i + v_j ≤ c_ij in real numbers."""

    def back(self, v: Array) -> Array:
        """u_i = min_j c_ij − v_j, rounded downwards likewise."""

    def below(self, u: Array, level: Array, most: int) -> Arcs:
        """The pairs with c_ij − u_i ≤ level_j, of each column the ``most`` least."""


@dataclass(frozen=True, eq=False)
class Basic:
    """Optimum among some arcs: those that carry mass and how much, the mass that stays away, and the potentials of the basis."""

    used: Arcs
    flow: Array
    away: float
    u: Array
    v: Array


@dataclass(frozen=True, eq=False)
class Optimum:
    """What `optimum` found.

    coupling : P (n, m), sparse; at most n + m − 1 entries.
    u, v : potentials, u_i + v_j ≤ c_ij for all pairs in real numbers.
    lower, upper : bounds of the optimal cost, roundings counted.
    missing : Σ|a − P 1| + Σ|b − Pᵀ 1|.
    exact : whether P is optimal: no pair has negative slack, so that only roundings lie between the bounds.
    rounds, arcs : simplices solved, pairs that the last one had.
    """

    coupling: coo_array
    u: Array
    v: Array
    lower: float
    upper: float
    missing: float
    exact: bool
    rounds: int
    arcs: int


def optimum(
    a: Array,
    b: Array,
    costs: Costs,
    u: Array,
    slack: float,
    *,
    accept: Callable[[float, float], bool] = lambda lower, upper: False,
    told: Callable[[int, int, float, float], None] = lambda rounds, arcs, lower, upper: None,
    most: int = 1 << 26,
    near: int = NEAR,
) -> Optimum:
    """The optimal coupling of two measures, from a potential u that is nearly optimal.

    Parameters
    ----------
    a, b : positive masses (n,), (m,) of sum 1 up to roundings, see `GIVEN`.
    costs : see `Costs`.
    u : (n,) any numbers; the nearer to an optimal potential, the fewer pairs.
    slack : the first pairs are those with c_ij − u_i − u^c_j ≤ slack.
    accept : whether bounds (lower, upper) are near enough: ends earlier.
    told : is told rounds, pairs and bounds.
    most : pairs beyond which no more come in; then ``exact`` is False.
    near : first pairs of each column at most, those of least slack.

    Returns
    -------
    `Optimum`.  Memory: some 200 bytes for each pair.

    Raises
    ------
    ModuleNotFoundError : POT is not installed.
    """
    v, price = costs.conjugate(u), AWAY * slack
    u = costs.back(v)
    arcs, best, rounds = costs.below(u, v + slack, near), _Bounds(a, b, costs), 0
    while True:
        basic, rounds = simplex(a, b, arcs, (u, v), price), rounds + 1
        u, v = best.take(basic)
        told(rounds, arcs.size, best.lower, best.upper)
        new = costs.below(basic.u, basic.v - costs.step, AT_ONCE)
        before, arcs = arcs.size, arcs.joined(new, b.size)
        exact = new.size == 0 and basic.away <= UNMET
        if exact or rounds == ROUNDS or arcs.size > most or accept(best.lower, best.upper):
            return best.optimum(basic, exact, rounds, before)
        if arcs.size == before:
            price *= DEARER
            if price > DEARER * AWAY * (costs.farthest + slack):
                return best.optimum(basic, exact, rounds, before)


class _Bounds:
    """The best bounds of several bases."""

    def __init__(self, a: Array, b: Array, costs: Costs) -> None:
        self.a, self.b, self.costs = a, b, costs
        self.lower, self.upper = -np.inf, np.inf
        self.pair: tuple[Array, Array] | None = None

    def take(self, basic: Basic) -> tuple[Array, Array]:
        """Bounds of a basis; returns the feasible pair of its u."""
        v = self.costs.conjugate(basic.u)
        lower = dual_bound(self.a, self.b, basic.u, v)
        if lower > self.lower:
            self.lower, self.pair = lower, (basic.u, v)
        self.upper = min(self.upper, coupling_bound(self.a, self.b, basic.used, basic.flow, self.costs))
        return basic.u, v

    def optimum(self, basic: Basic, exact: bool, rounds: int, arcs: int) -> Optimum:
        """The last coupling and the best pair."""
        assert self.pair is not None
        missing = differences(self.a, self.b, basic.used, basic.flow)
        coupling = coo_array((basic.flow, (basic.used.rows, basic.used.columns)), (self.a.size, self.b.size))
        return Optimum(coupling, *self.pair, self.lower, self.upper, missing, exact, rounds, arcs)


def dual_bound(a: Array, b: Array, u: Array, v: Array) -> float:
    """A number ≤ Σ u a + Σ v b in real numbers."""
    middle = 0.5 * (float(np.median(u)) - float(np.median(v)))
    products = np.concatenate([(u - middle) * a, (v + middle) * b])  # a and b have one sum up to rounding
    total, moduli = fsum(products), float(np.sum(np.abs(products)))
    shifted = abs(middle) * abs(fsum([*a, *-b]))
    return nextafter(total - (4 * ULP + GIVEN) * moduli - shifted, -np.inf)


def coupling_bound(a: Array, b: Array, arcs: Arcs, flow: Array, costs: Costs) -> float:
    """A number ≥ the optimal cost: that of the flow, and of mending its marginals."""
    products = flow * arcs.costs
    missing = differences(a, b, arcs, flow) + 2 * GIVEN
    rounded = (4 * ULP + costs.rounding) * float(np.sum(products))
    return nextafter(fsum(products) + rounded + missing * costs.farthest, np.inf)


def differences(a: Array, b: Array, arcs: Arcs, flow: Array) -> float:
    """Σ|a − P 1| + Σ|b − Pᵀ 1|, from above."""
    return _difference(arcs.rows, flow, a) + _difference(arcs.columns, flow, b)


def _difference(index: Indices, flow: Array, mass: Array) -> float:
    """Σ_i |mass_i − Σ_{k: index_k = i} flow_k|, from above."""
    total, small = np.zeros(mass.size), np.zeros(mass.size)
    _add(index, flow, total, small)
    rest = np.abs((mass - total) - small)
    return float(np.sum(rest)) * (1 + 1e-10) + 4 * ULP * float(np.sum(rest)) + ULP**2 * flow.size * float(np.sum(flow))


@numba.njit(cache=True, nogil=True)
def _add(index, flow, total, small):
    """Sums in two parts, the second what the first has rounded off (Knuth's two-sum)."""
    for k in range(index.size):
        i, x = index[k], flow[k]
        s = total[i] + x
        z = s - total[i]
        small[i] += (total[i] - (s - z)) + (x - z)
        total[i] = s


def simplex(a: Array, b: Array, arcs: Arcs, pair: tuple[Array, Array], price: float) -> Basic:
    """The optimum among the arcs, by POT, where mass may stay away at this price; c_ij − u_i − v_j ≥ 0 for the pair.

    Costs are brought to order 1 by a power of 2, masses to `LIGHT`: its tolerances are absolute.
    """
    (n, m), (u, v) = (a.size, b.size), pair
    if arcs.size == n * m:
        return _of_all(a, b, arcs, pair)
    rows = np.concatenate([arcs.rows, np.arange(n + 1), np.full(m, n)])
    columns = np.concatenate([arcs.columns, np.full(n + 1, m), np.arange(m)])
    dear = np.full(n + m + 1, price)
    dear[n] = 0.0  # what stays on both sides
    slacks = np.concatenate([(arcs.costs - u[arcs.rows]) - v[arcs.columns], dear])
    scale = 2.0 ** -np.frexp(np.max(slacks))[1]
    matrix = coo_array((slacks * scale, (rows, columns)), (n + 1, m + 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what it warns of is looked at
        masses = (np.append(mass, 1.0) * LIGHT for mass in (a, b))
        plan, found = _pot().emd(*masses, matrix, numItermax=PIVOTS, log=True, center_dual=False)
    assert found["result_code"] == OPTIMAL, "there is a coupling: all stay away"
    rows, columns = (index.astype(np.int64) for index in plan.coords)
    real = (rows < n) & (columns < m) & (plan.data > 0)
    away = float(np.sum(plan.data[(rows == n) & (columns < m)])) / LIGHT
    rows, columns = rows[real], columns[real]
    used = Arcs(rows, columns, _looked_up(arcs, rows, columns, m))
    # the pair is feasible: where potentials differ from it, by the price at most, exactness of whole numbers is kept
    return Basic(used, plan.data[real] / LIGHT, away, u + found["u"][:n] / scale, v + found["v"][:m] / scale)


def _of_all(a: Array, b: Array, arcs: Arcs, pair: tuple[Array, Array]) -> Basic:
    """`simplex` where all pairs are there, so that none stays away: by POT's simplex for whole matrices."""
    u, v = pair
    costs = np.empty((a.size, b.size))
    costs[arcs.rows, arcs.columns] = arcs.costs
    slacks = (costs - u[:, None]) - v
    scale = 2.0 ** -np.frexp(np.max(slacks))[1]
    plan, found = _pot().emd(a * LIGHT, b * LIGHT, slacks * scale, numItermax=PIVOTS, log=True, center_dual=False)
    assert found["result_code"] == OPTIMAL, "there is a coupling among all pairs"
    rows, columns = np.nonzero(plan)
    used = Arcs(rows, columns, costs[rows, columns])
    return Basic(used, plan[rows, columns] / LIGHT, 0.0, u + found["u"] / scale, v + found["v"] / scale)


def _looked_up(arcs: Arcs, rows: Indices, columns: Indices, width: int) -> Array:
    """Costs of pairs that are among the arcs."""
    keys = arcs.rows * width + arcs.columns
    order = np.argsort(keys)
    return arcs.costs[order[np.searchsorted(keys, rows * width + columns, sorter=order)]]


def available() -> bool:
    """Whether POT is installed."""
    return find_spec("ot") is not None


def _pot() -> Any:
    """POT, which is imported when a problem is solved."""
    with extra("exact"):
        import ot
    return ot
