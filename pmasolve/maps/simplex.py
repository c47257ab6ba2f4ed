"""Exact transport between weighted points: a network simplex on few pairs; those that are cheaper come in until there is none.

    min Σ c_ij P_ij,  P 1 = a, Pᵀ 1 = b, P ≥ 0        =        max Σ u_i a_i + Σ v_j b_j,  u_i + v_j ≤ c_ij.

Near-optimal potentials tell which pairs matter: those of small slack c_ij − u_i − v_j, a few for each point.  The optimum among
them (POT's sparse network simplex) has potentials, whose exact conjugate v_j = min_i c_ij − u_i makes a feasible pair: a lower
bound.  Pairs of negative slack come in, and again: every round is the optimum of more pairs, so that it ends.  What knows the
points (a grid, a cloud) answers three questions, see `Costs`.  The library is imported when a problem is solved.

Bounds count roundings, those of masses too, which are within `GIVEN` of what they stand for.  Below: products, added up exactly
(math.fsum), are each off by some 2⁻⁵³ of their moduli.  Above: where the coupling's marginals, summed with twice the digits, are
not a and b, less is sent, and the rest goes anywhere, at the greatest cost at most.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
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
WIDENED = 4  # doublings of the slack where the pairs admit no coupling; then a staircase is added
ROUNDS = 64  # of a simplex each
NEAR, AT_ONCE = 64, 16  # pairs at most for each point at first, and of those that come in: of least slack

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
        """These and those of another that are not among them; columns are below ``width``."""
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

    def below(self, u: Array, level: Array, most: int) -> Arcs:
        """The pairs with c_ij − u_i ≤ level_j, of each column the ``most`` least."""

    def between(self, rows: Indices, columns: Indices) -> Array:
        """c_ij of some pairs."""


@dataclass(frozen=True, eq=False)
class Basic:
    """Optimum among some arcs: the arcs that carry mass and how much, and the potentials of the basis."""

    used: Arcs
    flow: Array
    u: Array
    v: Array


@dataclass(frozen=True, eq=False)
class Optimum:
    """What `optimum` found.

    coupling : P (n, m), sparse; at most n + m − 1 entries.
    u, v : potentials, u_i + v_j ≤ c_ij for all pairs in real numbers.
    lower, upper : bounds of the optimal cost, roundings counted.
    exact : whether P is optimal: no pair has negative slack, so that only roundings lie between the bounds.
    rounds, arcs : simplices solved, pairs that the last one had.
    """

    coupling: coo_array
    u: Array
    v: Array
    lower: float
    upper: float
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
) -> Optimum:
    """The optimal coupling of two measures, from a potential u that is nearly optimal.

    Parameters
    ----------
    a, b : positive masses (n,), (m,) of sum 1 up to roundings, see `GIVEN`.
    costs : see `Costs`.
    u : (n,) any numbers; the nearer to an optimal potential, the fewer pairs.
    slack : the first pairs are those with c_ij − u_i − u^c_j ≤ slack; doubled where they admit no coupling.
    accept : whether bounds (lower, upper) are near enough: ends earlier.
    told : is told rounds, pairs and bounds.
    most : pairs beyond which no more come in; then ``exact`` is False.

    Returns
    -------
    `Optimum`.  Memory: some 200 bytes for each pair.

    Raises
    ------
    ModuleNotFoundError : POT is not installed.
    """
    arcs, best = costs.below(u, costs.conjugate(u) + slack, NEAR), _Bounds(a, b, costs)
    basic = simplex(a, b, arcs)
    for _ in range(WIDENED):
        if basic is not None:
            break
        slack *= 2
        arcs = costs.below(u, costs.conjugate(u) + slack, NEAR)
        basic = simplex(a, b, arcs)
    if basic is None:
        arcs = arcs.joined(staircase(a, b, costs), b.size)
        basic = simplex(a, b, arcs)
    assert basic is not None, "a staircase is a coupling"
    rounds = 1
    while True:
        v = best.take(basic)
        told(rounds, arcs.size, best.lower, best.upper)
        new = costs.below(basic.u, basic.v - costs.step, AT_ONCE)
        joined = arcs.joined(new, b.size)
        if joined.size == arcs.size or rounds == ROUNDS or joined.size > most or accept(best.lower, best.upper):
            return best.optimum(basic, v, new.size == 0, rounds, arcs.size)
        arcs, rounds = joined, rounds + 1
        basic = simplex(a, b, arcs)
        assert basic is not None, "more pairs admit what fewer did"


class _Bounds:
    """The best bounds of several bases."""

    def __init__(self, a: Array, b: Array, costs: Costs) -> None:
        self.a, self.b, self.costs = a, b, costs
        self.lower, self.upper = -np.inf, np.inf
        self.pair: tuple[Array, Array] | None = None

    def take(self, basic: Basic) -> Array:
        """Bounds of a basis; returns the conjugate of its u."""
        v = self.costs.conjugate(basic.u)
        lower = dual_bound(self.a, self.b, basic.u, v)
        if lower > self.lower:
            self.lower, self.pair = lower, (basic.u, v)
        self.upper = min(self.upper, coupling_bound(self.a, self.b, basic.used, basic.flow, self.costs))
        return v

    def optimum(self, basic: Basic, v: Array, exact: bool, rounds: int, arcs: int) -> Optimum:
        """The last coupling, the best pair; at an optimum the last pair, which belongs to the coupling."""
        u, v = (basic.u, v) if exact or self.pair is None else self.pair
        coupling = coo_array((basic.flow, (basic.used.rows, basic.used.columns)), (self.a.size, self.b.size))
        return Optimum(coupling, u, v, self.lower, self.upper, exact, rounds, arcs)


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
    missing = _difference(arcs.rows, flow, a) + _difference(arcs.columns, flow, b) + 2 * GIVEN
    rounded = (4 * ULP + costs.rounding) * float(np.sum(products))
    return nextafter(fsum(products) + rounded + missing * costs.farthest, np.inf)


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


def simplex(a: Array, b: Array, arcs: Arcs) -> Basic | None:
    """The optimum among the arcs, by POT; None where they admit no coupling.

    Costs and masses are brought to order 1 by powers of 2: its tolerances are absolute.
    """
    if arcs.size == 0:
        return None
    scale = 2.0 ** -np.frexp(np.max(np.abs(arcs.costs)))[1]
    total = 2.0 ** a.size.bit_length()
    matrix = coo_array((arcs.costs * scale, (arcs.rows, arcs.columns)), (a.size, b.size))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what it warns of is looked at
        plan, found = _pot().emd(a * total, b * total, matrix, numItermax=PIVOTS, log=True, center_dual=False)
    if found["result_code"] != 1:  # OPTIMAL
        return None
    keep = plan.data > 0
    rows, columns = plan.coords[0][keep].astype(np.int64), plan.coords[1][keep].astype(np.int64)
    u, v = _closed_up(found["u"] / scale, found["v"] / scale, 2 * float(np.max(arcs.costs)))
    return Basic(Arcs(rows, columns, _looked_up(arcs, rows, columns, b.size)), plan.data[keep] / total, u, v)


def _closed_up(u: Array, v: Array, widest: float) -> tuple[Array, Array]:
    """Potentials with no gap wider than this in the values of u and −v together: it says that no arcs go one way across it.

    A basis that falls into parts joins them by artificial arcs of huge costs.  No mass goes across such a gap, as
    u_i − (−v_j) = c_ij where it does; what was feasible stays so.
    """
    values = np.concatenate([u, -v])
    order = np.argsort(values)
    gaps = np.diff(values[order], prepend=values[order[0]])
    values[order] -= np.cumsum(np.maximum(gaps - widest, 0.0))
    return values[: u.size], -values[u.size :]


def _looked_up(arcs: Arcs, rows: Indices, columns: Indices, width: int) -> Array:
    """Costs of pairs that are among the arcs."""
    keys = arcs.rows * width + arcs.columns
    order = np.argsort(keys)
    return arcs.costs[order[np.searchsorted(keys, rows * width + columns, sorter=order)]]


def staircase(a: Array, b: Array, costs: Costs) -> Arcs:
    """Pairs that carry a coupling: both measures taken in their order, n + m − 1 of them and some beside, against rounding."""
    ends = [np.cumsum(mass) / np.sum(mass) for mass in (a, b)]
    cuts = np.sort(np.concatenate(ends))
    i, j = (np.minimum(np.searchsorted(end, cuts), end.size - 1) for end in ends)
    i, j = np.concatenate([i, np.minimum(i + 1, a.size - 1), i]), np.concatenate([j, j, np.minimum(j + 1, b.size - 1)])
    keys = np.unique(i * b.size + j)
    rows, columns = keys // b.size, keys % b.size
    return Arcs(rows, columns, costs.between(rows, columns))


def _pot() -> Any:
    """POT, which is imported when a problem is solved."""
    with extra("exact"):
        import ot
    return ot
