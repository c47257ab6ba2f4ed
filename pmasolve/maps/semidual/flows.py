"""A nearly right marginal made right by small moves: mass flows from node to neighbouring node.

A coupling with source marginal a is to have the marginal μ.  Mass m that goes from x' to the node x'+d beside it, each target y
giving in proportion, changes the cost by m(|d|² + 2d·E[x−y|x']).  The second term is what the change of the marginal is worth, up
to second order; so of all ways to move a − μ those with the least Σ m|d|² are cheap.  A step to the next cell costs h² for each
cell on the way, a jump over k cells k² h².  Hence a flow f with div f = a − μ, f = −A∇p: one elliptic equation, whose A is μ so
that mass goes where mass is, and a little more, which joins regions with voids between them where these are narrow.  Its edges are
walked through one by one, each taking no more than there is; the rest waits for the next walk, in another order.  Every step makes
one coupling of another, so that the bound holds whatever the flow is.
"""

from __future__ import annotations

from itertools import cycle, islice

import numpy as np
from scipy.sparse.linalg import LinearOperator, cg

from ...machine.arrays import Array
from ...machine.exponentials import jit, part
from ...problems.grids import Grid
from .multigrid import Multigrid

SOLVES, FLOW_KRYLOV_STEPS = 3, 8
FLOW_FORCING = 1e-2  # of ‖a − μ‖, which a solve leaves
WALKS = 8  # through all edges for one flow
ORDERS = (False, False), (True, True), (False, True), (True, False)  # rows, and nodes of a row, backwards or not
STUCK = 0.25  # of what is left: none follows where walks in all orders took less
FLOW_RIDGE = 1e-6  # of μ: regions between which nothing flows need not balance
VOIDS = 0.01  # of the mean mass: what nodes without mass conduct
OPERATIONS = 4 * 3 * SOLVES * WALKS  # on the mean of one node, at most


class GridNetwork:
    """The edges between neighbouring nodes, and the equation of flows along them."""

    def __init__(self, grid: Grid, mass: Array) -> None:
        """``mass`` ≥ 0 of mean 1 conducts."""
        ridge, conductivity = FLOW_RIDGE * mass + 1e-14, mass + VOIDS
        self.grid = grid
        self.multigrid = Multigrid(grid, np.broadcast_to(conductivity, (grid.dim, *grid.shape)), ridge)

    def carry(self, a: Array, mean: Array, mu: Array, enough: float) -> tuple[float, float]:
        """Move a (in place, with its means (dim, *shape) of x − y in nodes) towards μ, until Σ|a − μ| ≤ enough or no flow helps.

        Returns
        -------
        What that adds to the cost Σ h² |x − y|², and the mass moved, step by step.
        """
        finest = self.multigrid.levels[0]
        shape, squares = finest.diagonal.shape, np.zeros(3)
        squares[3 - self.grid.dim :] = np.square(self.grid.spacing)
        cost, moved, before = 0.0, 0.0, np.inf
        for _ in range(SOLVES):
            excess = a - mu
            l1 = float(np.sum(np.abs(excess)))
            if l1 <= enough or l1 > 0.5 * before:
                break
            before, p = l1, self._potential(excess)
            flow, stuck = finest.flow(p.reshape(shape)), 0
            for order in islice(cycle(ORDERS), WALKS):
                more, taken, left = _walk(flow, a.reshape(shape), mean.reshape(self.grid.dim, *shape), squares, *order)
                cost, moved = cost + more, moved + taken
                stuck = stuck + 1 if taken < STUCK * left else 0
                if left <= 0.1 * enough or stuck == len(ORDERS):
                    break
        return cost, moved

    def _potential(self, excess: Array) -> Array:
        finest, size = self.multigrid.levels[0], self.grid.size
        shape = finest.diagonal.shape
        operator = LinearOperator((size, size), matvec=lambda x: finest.product(x.reshape(shape)).ravel(), dtype=float)
        smoother = LinearOperator((size, size), matvec=lambda b: self.multigrid.cycle(b).ravel(), dtype=float)
        return cg(operator, excess.ravel(), rtol=FLOW_FORCING, maxiter=FLOW_KRYLOV_STEPS, M=smoother)[0]


@jit
def _walk(flow, a, mean, squares, rows_back, nodes_back):
    """Take each flow (3, n0, n1, n2), that from a node to the next one of an axis, as far as there is mass.

    Returns the cost added, the mass taken and what is left of the flows; ``flow``, ``a`` and ``mean`` are what remains.
    """
    _, n0, n1, n2 = flow.shape
    dim = mean.shape[0]
    cost, moved, rest = 0.0, 0.0, 0.0
    for row in range(n0 * n1):
        row = n0 * n1 - 1 - row if rows_back else row
        i, j = row // n1, row % n1
        for k in range(n2):
            k = n2 - 1 - k if nodes_back else k
            for axis in range(3 - dim, 3):
                f = flow[axis, i, j, k]
                if f == 0.0:
                    continue
                ii = (i + 1) % n0 if axis == 0 else i
                jj = (j + 1) % n1 if axis == 1 else j
                kk = (k + 1) % n2 if axis == 2 else k
                giver, taker = ((i, j, k), (ii, jj, kk)) if f > 0.0 else ((ii, jj, kk), (i, j, k))
                mass, more = _send_flow(f, a, mean, giver, taker, axis + dim - 3)
                cost += more * squares[axis]
                moved += mass
                flow[axis, i, j, k] = f - mass if f > 0.0 else f + mass
                rest += abs(f) - mass
    return cost, moved, rest


@part
def _send_flow(f, a, mean, giver, taker, along):
    """One flow, as far as there is mass: how much that is, and its cost in squared steps."""
    mass = min(abs(f), a[giver])
    if mass == 0.0:
        return 0.0, 0.0
    d = 1.0 if f > 0.0 else -1.0
    gi, gj, gk = giver
    ti, tj, tk = taker
    cost = mass * (1.0 + 2.0 * d * mean[along, gi, gj, gk])
    share = mass / (a[taker] + mass)
    for c in range(mean.shape[0]):
        on = d if c == along else 0.0
        mean[c, ti, tj, tk] += share * (mean[c, gi, gj, gk] + on - mean[c, ti, tj, tk])
    a[giver] -= mass
    a[taker] += mass
    return mass, cost
