"""Exact transport between weighted points: a network simplex on few pairs; those that are cheaper come in until there is none.

    min Σ c_ij P_ij,  P 1 = a, Pᵀ 1 = b, P ≥ 0        =        max Σ u_i a_i + Σ v_j b_j,  u_i + v_j ≤ c_ij.

Near-optimal potentials tell which pairs matter: those of small slack c_ij − u_i − v_j, a few for each point.  The optimum among
them (`network`) has potentials, whose exact conjugate v_j = min_i c_ij − u_i makes a feasible pair: a lower bound.  Pairs of
negative slack come in, and again: every round is the optimum of more pairs, so that it ends.  What knows the points (a grid, a
cloud) answers three questions, see `pairs.Costs`.

Where the pairs admit no coupling the rest stays away at a price above the potentials, which keeps the next ones near, and rises
where nothing else helps.  One basis goes on from round to round.

Bounds count roundings, those of masses too, which are within `GIVEN` of what they stand for.  Below: products, added up exactly
(math.fsum), are each off by some 2⁻⁵³ of their moduli.  Above: where the coupling's marginals, summed with twice the digits, are
not a and b, less is sent, and the rest goes anywhere, at the greatest cost at most.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import fsum, nextafter

import numba
import numpy as np
from scipy.sparse import coo_array

from ..machine.arrays import ROUNDOFF, Array, Indices
from ..machine.interruptions import breakable
from .forests import settled
from .network import WHOLE, NetworkBasis
from .pairs import Arcs, Costs, pairs_within

GIVEN = 2 * ROUNDOFF  # relative: masses as floats against those that they stand for, normalised
NEAR, AT_ONCE = 64, 8  # pairs at most for each point at first, and of those that come in: of least slack
ROUNDS = 512  # of pairs that come in
BEGUN = 0.25  # of the first slack: pairs within it make the first basis
AWAY, DEARER = 8.0, 8.0  # the price of staying away, in units of the first slack, and by what it rises
UNMET = 2.0**-46  # of the mass: left by roundings
QUANTA = 2.0**-2, 2.0**-5  # of `pairs.Costs.step`, in which a network counts
LEAST_COST_STEP = 2.0**-53  # of the greatest cost: 2¹⁰ of those are whole numbers of 64 bits


@dataclass(frozen=True, eq=False)
class Basic:
    """Optimum among some arcs: those that carry mass and how much, the mass that stays away, and the potentials of the basis."""

    used: Arcs
    flow: Array
    away: float
    u: Array
    v: Array

    @classmethod
    def of(cls, network: NetworkBasis, arcs: Arcs, a: Array, b: Array) -> Basic:
        """The basis of a network among these arcs; where all is sent flows are those of the masses, not of their parts."""
        chosen, flow = network.basic()
        used, sent = arcs.chosen(chosen), flow / WHOLE
        if network.away <= UNMET:
            sent = settled(used.rows, used.columns, a, b, sent)
        return cls(used.chosen(sent > 0), sent[sent > 0], network.away, *network.potentials)


class Program:
    """Some of the pairs, the basis among them, and the best bounds so far."""

    def __init__(self, best: Bounds, arcs: Arcs, network: NetworkBasis) -> None:
        self.best, self.arcs, self.network, self.rounds = best, arcs, network, 0
        network.add(arcs.rows, arcs.columns, arcs.costs)

    def begin(self, u: Array, v: Array, slack: float) -> None:
        """A first basis, of the pairs within the slack by the rule of least slack."""
        left = self.arcs.costs - u[self.arcs.rows] - v[self.arcs.columns]
        near = np.flatnonzero(left <= slack)
        self.network.begin(near[np.argsort(left[near])])

    def add(self, new: Arcs) -> None:
        """More pairs."""
        self.arcs = self.arcs.joined(new)
        self.network.add(new.rows, new.columns, new.costs)

    def solve(self, sources: Array, targets: Array) -> Basic:
        """The optimum among the pairs at these prices of staying away."""
        self.rounds += 1
        self.network.price(sources, targets)
        self.network.solve()
        return self.basic()

    def basic(self) -> Basic:
        """The basis as it is."""
        return Basic.of(self.network, self.arcs, self.best.a, self.best.b)


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


class BrokenOff(KeyboardInterrupt):
    """An interruption, and what was found for these costs: its bounds hold; what is not sent yet is ``missing`` in its coupling."""

    def __init__(self, costs: Costs, found: Optimum) -> None:
        super().__init__()
        self.costs, self.found = costs, found


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
    costs : see `pairs.Costs`.
    u : (n,) any numbers; the nearer to an optimal potential, the fewer pairs.
    slack : the first pairs are those with c_ij − u_i − u^c_j ≤ slack.
    accept : whether bounds (lower, upper) are near enough: ends earlier.
    told : is told rounds, pairs and bounds.
    most : pairs beyond which no more come in; then ``exact`` is False.
    near : first pairs of each row and of each column at most, those of least slack.

    Returns
    -------
    `Optimum`.  Memory: some 200 bytes for each pair.

    Raises
    ------
    BrokenOff : on an interruption; it has the best bounds so far.
    """
    v = costs.conjugate(u)
    u = costs.back(v)
    first, best = pairs_within(costs, u, v, slack, near).mixed(), Bounds(a, b, costs)
    program = Program(best, first, NetworkBasis.of(a, b, _quantum(costs)))
    program.begin(u, v, BEGUN * slack)
    try:
        return _rounds(program, u, v, slack, accept, told, most)
    except KeyboardInterrupt:
        basic = program.basic()  # any basis has bounds
        best.take(basic, costs.conjugate(basic.u))
        raise BrokenOff(costs, best.optimum(best.basic, False, program.rounds, program.arcs.size)) from None


@breakable()
def _rounds(
    program: Program,
    u: Array,
    v: Array,
    slack: float,
    accept: Callable[[float, float], bool],
    told: Callable[[int, int, float, float], None],
    most: int,
) -> Optimum:
    """Round after round, until no pair is cheaper or bounds are near enough."""
    best, costs = program.best, program.best.costs
    price, dearest = AWAY * slack, AWAY * (costs.farthest + slack)
    while True:
        basic = program.solve(u + price, v + price)
        u, v, sent = basic.u, costs.conjugate(basic.u), basic.away <= UNMET
        new = program.arcs.without(pairs_within(costs, u, basic.v, -costs.step, AT_ONCE), v.size)
        rounds, size = program.rounds, program.arcs.size
        exact, full = sent and new.size == 0, rounds == ROUNDS or size > most or price > dearest
        if sent or full:
            best.take(basic, v)
        told(rounds, size, best.lower, best.upper)
        if exact or full or accept(best.lower, best.upper):
            return best.optimum(basic if exact else best.basic, exact, rounds, size)
        price *= 1.0 if new.size else DEARER
        program.add(new)


def _quantum(costs: Costs) -> float:
    """The finer one where there is room: a cost loses up to a quantum, and so does the bound below.  Costs may all be 0."""
    coarse, fine = (part * costs.step for part in QUANTA)
    return (fine if fine >= LEAST_COST_STEP * costs.farthest else coarse) or 1.0


class Bounds:
    """The best bounds of several bases."""

    def __init__(self, a: Array, b: Array, costs: Costs) -> None:
        self.a, self.b, self.costs = a, b, costs
        self.lower, self.upper = -np.inf, np.inf
        self.pair: tuple[Array, Array] | None = None
        self.basic: Basic | None = None

    def take(self, basic: Basic, v: Array) -> None:
        """Bounds of a basis and of the feasible pair of its u with v."""
        lower = dual_bound(self.a, self.b, basic.u, v)
        if lower > self.lower:
            self.lower, self.pair = lower, (basic.u, v)
        upper = coupling_bound(self.a, self.b, basic.used, basic.flow, self.costs)
        if upper <= self.upper:
            self.upper, self.basic = upper, basic

    def optimum(self, basic: Basic | None, exact: bool, rounds: int, arcs: int) -> Optimum:
        """This coupling and the best pair."""
        assert self.pair is not None
        assert basic is not None
        missing = marginal_differences(self.a, self.b, basic.used, basic.flow)
        coupling = coo_array((basic.flow, (basic.used.rows, basic.used.columns)), (self.a.size, self.b.size))
        return Optimum(coupling, *self.pair, self.lower, self.upper, missing, exact, rounds, arcs)


def dual_bound(a: Array, b: Array, u: Array, v: Array) -> float:
    """A number ≤ Σ u a + Σ v b in real numbers."""
    middle = 0.5 * (_middle(u) - _middle(v))
    products = np.concatenate([(u - middle) * a, (v + middle) * b])  # a and b have one sum up to rounding
    total, moduli = fsum(products.tolist()), float(np.sum(np.abs(products)))
    shifted = abs(middle) * abs(fsum([*a.tolist(), *(-b).tolist()]))
    return nextafter(total - (4 * ROUNDOFF + GIVEN) * moduli - shifted, -np.inf)


def _middle(x: Array) -> float:
    """A number amid others."""
    return float(np.partition(x, x.size // 2)[x.size // 2])


def coupling_bound(a: Array, b: Array, arcs: Arcs, flow: Array, costs: Costs) -> float:
    """A number ≥ the optimal cost: that of the flow, and of mending its marginals."""
    products = flow * arcs.costs
    missing = marginal_differences(a, b, arcs, flow) + 2 * GIVEN
    if np.isinf(costs.rounding):
        return np.inf
    rounded = (4 * ROUNDOFF + costs.rounding) * float(np.sum(products))
    return nextafter(fsum(products.tolist()) + rounded + missing * costs.farthest, np.inf)


def marginal_differences(a: Array, b: Array, arcs: Arcs, flow: Array) -> float:
    """Σ|a − P 1| + Σ|b − Pᵀ 1|, from above."""
    return _difference(arcs.rows, flow, a) + _difference(arcs.columns, flow, b)


def _difference(index: Indices, flow: Array, mass: Array) -> float:
    """Σ_i |mass_i − Σ_{k: index_k = i} flow_k|, from above."""
    total, small = np.zeros(mass.size), np.zeros(mass.size)
    _add(index, flow, total, small)
    rest = np.abs((mass - total) - small)
    return (
        float(np.sum(rest)) * (1 + 1e-10)
        + 4 * ROUNDOFF * float(np.sum(rest))
        + ROUNDOFF**2 * flow.size * float(np.sum(flow))
    )


@numba.njit(cache=True, nogil=True)
def _add(index, flow, total, small):
    """Sums in two parts, the second what the first has rounded off (Knuth's two-sum)."""
    for k in range(index.size):
        i, x = index[k], flow[k]
        s = total[i] + x
        z = s - total[i]
        small[i] += (total[i] - (s - z)) + (x - z)
        total[i] = s
