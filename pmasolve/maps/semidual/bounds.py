"""A rigorous interval for the optimal cost between two measures on the nodes of a grid, for any potential and any plan.

Lower bound: for every F, ∫F dμ + ∫F^c dν ≤ ½W₂², and `c_transform.c_transform` keeps F(x) + F^c(y) ≤ ½ dist² in real numbers;
replacing F by (F^c)^c can only raise it.  The two integrals are summed in twice the digits and rounded downwards.

Upper bound: the plan ν(y)P(x|y) has the target marginal ν and a source marginal a that is nearly μ.  It is repaired along a
space-filling curve: mass m that is too much at x' moves to a node x'+d that has too little, each y giving in proportion, which
changes the cost by m(½|d|² + d·E[x−y|x']).  The result is a coupling, whose displacements are no shorter than the distances.
Rounding: weights are positive numbers taken as they are, so that what they sum to in each column, the marginal a and the cost are
off by a relative (number of terms)·2⁻⁵³ at most.  Mass that the computed coupling has too much or too little in real numbers would
have to move, at the greatest distance at most: that is added; so are the roundings of the moves, from the sum of their moduli.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nextafter

import numpy as np

from ...machine.arrays import ROUNDOFF, Array
from ...machine.exponentials import jit
from ...problems.grids import Grid
from .c_transform import c_transform
from .curves import curve
from .flows import OPERATIONS, GridNetwork
from .plans import ConditionalPlan

JUMPING_GAP = 2e-4  # of gap W₂²/h²: mass that may jump over tens of cells


def lower_bound(grid: Grid, mu: Array, nu: Array, F: Array) -> tuple[float, Array]:
    """A number ≤ W₂² between Σμδ and Σνδ (masses of any sum, normalised here), and (F^c)^c, the best potential found."""
    G = c_transform(grid, F)
    F = c_transform(grid, G)
    dual = _mass_integral(F, mu) + _mass_integral(G, nu)
    slack = 8 * ROUNDOFF * (float(np.max(np.abs(F))) + float(np.max(np.abs(G))))
    return max(nextafter(2 * (dual - slack), -np.inf), 0.0), F


def _mass_integral(values: Array, mass: Array) -> float:
    return float(_sum((values * mass).ravel()) / _sum(mass.ravel()))


@jit
def _sum(values):
    """Sum as if in twice the digits, rounded once (T. Ogita, S. M. Rump, S. Oishi, SIAM J. Sci. Comput. 26 (2005) 1955, Sum2).

    Off by 2⁻⁵³ of itself and N² 2⁻¹⁰⁵ of the sum of moduli at most.
    """
    total, rest = 0.0, 0.0
    for value in values:
        before = total
        total = before + value
        part = total - before
        rest += (before - (total - part)) + (value - part)
    return total + rest


@dataclass(frozen=True, eq=False)
class PlanMoments:
    """The marginal a of a plan ν(y)P(x|y) on x, and of x − y given x, in nodes: means, (dim, *shape), and mean squares in dist²."""

    marginal: Array
    mean: Array
    square: Array

    @classmethod
    def of(cls, plan: ConditionalPlan, nu: Array) -> PlanMoments:
        """By the adjoint of the plan."""
        grid, a = plan.grid, plan.adjoint(nu)
        mean, square = np.empty((grid.dim, *grid.shape)), np.zeros(grid.shape)
        for j, h in enumerate(grid.spacing):
            mean[j] = plan.adjoint(nu, power_of(grid, j, 1))
            square += h**2 * plan.adjoint(nu, power_of(grid, j, 2))
        for values in (*mean, square):
            np.divide(values, a, out=values, where=a > 0)
        return cls(a, mean, square)

    @property
    def cost(self) -> float:
        """∫|x − y|² of the plan."""
        return float(np.sum(self.marginal * self.square))


@dataclass(frozen=True)
class Repair:
    """Cost (W₂², not half) of the plan as it is and after the repair, and the marginal error Σ|μ − a|."""

    plain: float
    upper: float
    l1: float


def upper_bound(plan: ConditionalPlan, mu: Array, nu: Array, gap: float = 1e-3) -> Repair:
    """Cost of the plan repaired to the source marginal, a number ≥ W₂² between Σμδ and Σνδ; ``gap`` as for `repaired`."""
    mu = mu / mu.sum()
    return repaired(plan.grid, PlanMoments.of(plan, nu / nu.sum()), mu, GridNetwork(plan.grid, mu * mu.size), gap)


def repaired(grid: Grid, moments: PlanMoments, mu: Array, network: GridNetwork, gap: float) -> Repair:
    """`upper_bound` from a plan's moments; mass that costs less than a small part of the ``gap`` is left to jumps."""
    h, cost, a, mean = np.array(grid.spacing), moments.cost, moments.marginal.copy(), moments.mean.copy()
    l1 = float(np.sum(np.abs(a - mu)))
    carried, steps = network.carry(a, mean, mu, JUMPING_GAP * gap * cost / max(h) ** 2)
    order, excess = curve(grid.shape), (a - mu).ravel()
    order = order[excess[order] != 0.0]
    index = np.stack(np.unravel_index(order, grid.shape)).T.astype(np.float64)
    periods = np.array((0,) * grid.dim if grid.reflects else grid.shape, dtype=np.float64)
    mean = mean.reshape(grid.dim, -1).T[order]
    moved, moduli, lost = _moves(index, periods, excess[order], mean, h**2, np.empty(order.size, np.int64))
    terms = 4 * (sum(grid.shape) + grid.size.bit_length() + 64) + (4 * OPERATIONS if steps > 0 else 0)
    farthest = diameter(grid)
    moved, moduli = moved + carried, moduli + steps * max(h) * sum(grid.lengths)
    rounding = terms * (cost + 4 * farthest) + (terms + 2 * grid.size) * moduli
    upper = cost + moved + lost * farthest + ROUNDOFF * rounding
    return Repair(cost, nextafter(upper, np.inf), l1)


def diameter(grid: Grid) -> float:
    """The greatest squared distance of two points."""
    return sum((length if grid.reflects else length / 2) ** 2 for length in grid.lengths)


def power_of(grid: Grid, j: int, power: int) -> tuple[int, ...]:
    """Exponents of the axes: ``power`` for axis j."""
    return tuple(power if axis == j else 0 for axis in range(grid.dim))


@jit
def _moves(index, periods, left, mean, squares, stack):
    """Twice the cost of moving all excess to deficits, the last met first, along the curve; the sum of the costs' moduli; the mass
    that rounding leaves: what nobody takes, and 2⁻⁵³ of all that is subtracted from.

    ``left`` is the excess, overwritten; ``stack`` is room.
    """
    n, dim = index.shape
    size, total, moduli, lost = 0, 0.0, 0.0, 0.0
    for node in range(n):
        while left[node] != 0.0 and size > 0 and left[stack[size - 1]] * left[node] < 0.0:
            other = stack[size - 1]
            giver = node if left[node] > 0.0 else other
            taker = node + other - giver
            mass = left[giver] if left[giver] < -left[taker] else -left[taker]
            cost, modulus = 0.0, 0.0
            for j in range(dim):
                d = index[taker, j] - index[giver, j]
                if periods[j] > 0.0:
                    d -= periods[j] * np.rint(d / periods[j])
                cost += squares[j] * (d * d + 2.0 * d * mean[giver, j])
                modulus += squares[j] * (d * d + 2.0 * abs(d * mean[giver, j]))
            total += mass * cost
            moduli += mass * modulus
            lost += (left[giver] - left[taker]) * ROUNDOFF
            left[giver] -= mass
            left[taker] += mass
            if left[other] == 0.0:
                size -= 1
        if left[node] != 0.0:
            stack[size] = node
            size += 1
    for i in range(size):
        lost += abs(left[stack[i]])
    return total, moduli, lost
