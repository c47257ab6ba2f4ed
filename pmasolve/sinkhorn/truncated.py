"""Newton's equation on a table of the pairs that matter: at small ε few pairs carry the mass, and log-sums search for them again.

Only the direction comes from the table; whether a step is good, and how good the potentials are, log-sums over all pairs tell.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from scipy.sparse import csr_array

from ..machine.arrays import Array
from ..problems.grids import Cloud
from ..problems.problem import Problem
from .iteration import Sinkhorn
from .softmin.clouds.blocks import TILE
from .softmin.clouds.pairs import PairCosts

CUT_NATS = 28.0  # nats: a pair this far below the mass of its target is left out
MOST_PLACES = 1 << 24  # places of a table: 64 MB while it is made
SAMPLED_TILES, ROOM = 4, 0.9  # tiles looked at first, and the share of the places that they may take
LACKED_MASS = 1e-3  # of the mass: what a table may lack
ROUNDED_DEFECT = 1e-13  # of I − P: below is rounding


@dataclass(frozen=True, eq=False)
class Truncated:
    """P = E[E[·|Y]|X] of the pairs that matter of a plan γ between clouds, normalised as they are; see `markov.Markov`.

    Attributes
    ----------
    plan : γ (n, m), sparse.
    masses : its source marginal, the weights of the inner product.
    back : γᵀ over its target marginal, (m, n): means given the target.
    """

    products: ClassVar[int] = 2000  # most of a Newton step
    passes: ClassVar[int] = 0  # of a product, in iterations: a table's are cheap
    least_damping: ClassVar[float] = 1e-5  # above 0

    plan: csr_array
    masses: Array
    back: csr_array
    damping: float = 0.0

    def times(self, w: Array) -> Array:
        """P w − damping·w at the source points."""
        return (self.plan @ (self.back @ w)) / self.masses - self.damping * w

    def dot(self, a: Array, b: Array) -> float:
        """The inner product ∫ab dp of two functions of the source points."""
        return float(np.sum(self.masses * a * b))

    def centred(self, w: Array) -> Array:
        """w less its p-mean: the range of I − P."""
        return w - self.dot(w, np.ones_like(w)) / self.masses.sum()

    @cached_property
    def conditioner(self) -> Diagonal:
        """The inverse of the diagonal of I − P: small for a point whose partners are its own."""
        kept = self.plan.multiply(self.back.T).sum(axis=1) / self.masses
        return Diagonal(1.0 / np.maximum(1.0 + self.damping - kept, ROUNDED_DEFECT))


@dataclass(frozen=True, eq=False)
class Diagonal:
    """A preconditioner that multiplies by factors."""

    factors: Array

    def times(self, r: Array, density: Array) -> Array:
        """The factors times r."""
        return self.factors * r


def pair_costs(problem: Problem) -> PairCosts | None:
    """What finds the pairs of a problem that matter; None on grids, tori, and where points have no mass."""
    x, y = problem.domain, problem.codomain
    if not (isinstance(x, Cloud) and isinstance(y, Cloud)) or x.period is not None or problem.vanishing:
        return None
    return PairCosts(x.points, y.points)


def truncated(flow: Sinkhorn, costs: PairCosts, u: Array, v: Array) -> Truncated | None:
    """The table of the plan of (u, v), v the half step of u; None where too many pairs matter."""
    mu, nu, eps = flow.problem.mu, flow.problem.nu, flow.eps
    height, level, most = eps * mu.log_density - u, CUT_NATS * eps - v, max(1, MOST_PLACES // v.size)
    some = costs.target.order[: TILE * SAMPLED_TILES]  # neighbours: cheap, and enough to turn back early
    sample = np.full(v.size, -np.inf)
    sample[some] = level[some]
    if costs.below(height, sample, most).size > ROOM * most * some.size < ROOM * u.size * some.size:
        return None
    arcs = costs.below(height, level, most)
    mass = np.exp((height[arcs.rows] - v[arcs.columns] - arcs.costs) / eps + nu.log_density[arcs.columns])
    columns = np.bincount(arcs.columns, mass, v.size)
    rows = np.bincount(arcs.rows, mass, u.size)
    if not (rows > 0).all() or np.sum(np.abs(columns - np.exp(nu.log_density))) > LACKED_MASS:
        return None
    plan = csr_array((mass, (arcs.rows, arcs.columns)), (u.size, v.size))
    back = csr_array((mass / columns[arcs.columns], (arcs.columns, arcs.rows)), (v.size, u.size))
    return Truncated(plan, rows, back)
