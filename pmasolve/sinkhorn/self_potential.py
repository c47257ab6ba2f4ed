"""The self-potential of a measure: Schrödinger's potential from the measure to itself, known without any density.

    u = S(u),    S(u)(z) = ε log ∫exp(−|x−z|²/2ε − u(x)/ε) μ(dx),    u = −(ε/2)f + O(ε²) where μ = e^{−f}.

u ← u + ω(S(u) − u) with ω = ⅔.  S has the derivative −P with P a Markov operator of eigenvalues in [0, 1], so that near the
solution each half step multiplies the error by at most ⅓ (½ for ω = ½), at every ε; and from any start S does not expand sup
distances, for which the residual of such an averaging falls monotonically to 0 (Ishikawa 1976; Baillon, Bruck 1996).
A function subtracted from another is `Debiased`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..machine.arrays import Array
from ..problems.outcomes import REACHED, STALLED, Outcome
from ..problems.points import PointsLike, given
from ..problems.problem import Measure
from .potentials import Potential, half_step
from .softmin.default import default_engine
from .softmin.protocol import Softmin

RELAXED = 2 / 3  # ω: 1 − ω and |1 − 2ω| are both ⅓
END_RESIDUAL = 1e-12  # residual relative to ε at which the iteration ends
ACCEPTED_RESIDUAL = 1e-8  # relative residual that rounding may leave where ε is tiny against the potential
LIMIT = 200  # half steps; some 25 are enough where nothing is wrong


@dataclass(frozen=True, eq=False)
class SelfPotential:
    """u of a measure at its own nodes, and how it was found.

    Attributes
    ----------
    measure : on the nodes of a grid or a cloud.
    eps : ε of the kernel.
    u : the potential, shape of the nodes.
    accuracy : sup |S(u) − u|/ε before the last half step; to first order the error of u/ε in L²(μ) is less.
    half_steps : how many were taken.
    tolerance : the accuracy that was asked for.

    Examples
    --------
    >>> from pmasolve import Problem
    >>> mu = Problem.from_samples([[0.0], [1.0]], [[0.0]]).mu
    >>> found = self_potential(mu, 0.5)  # two equal masses: e^{2u/ε} = (1 + e^{−1})/2
    >>> bool(np.allclose(found.u, 0.25 * np.log((1 + np.exp(-1)) / 2), rtol=1e-12)), found.half_steps < 30
    (True, True)
    """

    measure: Measure
    eps: float
    u: Array = field(repr=False)
    accuracy: float
    half_steps: int
    tolerance: float = END_RESIDUAL

    @property
    def function(self) -> Potential:
        """u as a function of any points."""
        return Potential(self.measure, self.u, self.eps)

    @property
    def outcome(self) -> Outcome:
        """REACHED, or "stalled" where the residual is above 1e-8 ε and above the tolerance."""
        if self.accuracy <= max(ACCEPTED_RESIDUAL, self.tolerance):
            return REACHED
        return STALLED.advising(
            f"the self-potential of the source is known to {self.accuracy:.2g} ε only, after {self.half_steps} half steps; "
            "take a larger ε, or gauge=PLAIN"
        )


def self_potential(
    measure: Measure,
    eps: float,
    softmin: Softmin | None = None,
    *,
    start: Array | None = None,
    tolerance: float = END_RESIDUAL,
) -> SelfPotential:
    """The self-potential of a measure on its nodes; each half step is one pass of the engine.

    Parameters
    ----------
    measure : `Problem.mu` or `Problem.nu`.
    eps : ε > 0 of the kernel, for the cost ½|x−y|².
    softmin : the engine of the log-sums; the domain's own unless given.
    start : values at the nodes to begin with; zero unless given.
    tolerance : sup |S(u) − u|/ε at which the iteration ends.

    Returns
    -------
    `SelfPotential`: values, accuracy and the half steps spent, about 25.

    References
    ----------
    Averaged iteration: Feydy, Séjourné, Vialard, Amari, Trouvé, Peyré, arXiv 1810.08278; Knight, Ruiz, Uçar (2014).
    Convergence from any start: Baillon, Bruck (1996).

    Examples
    --------
    >>> from pmasolve import Problem
    >>> x = np.random.default_rng(0).standard_normal((50, 2))
    >>> found = self_potential(Problem.from_samples(x, x).mu, 0.5)
    >>> found.outcome.name, found.half_steps < 30, found.accuracy < 1e-12
    ('reached', True, True)
    """
    nodes = measure.nodes
    forward = (softmin or default_engine(nodes, nodes)).bind(nodes, nodes, eps).forward
    u = np.zeros(nodes.shape) if start is None else nodes.values(start, "start")
    residual, count = np.inf, 0
    while count < LIMIT:
        change = half_step(forward, measure, u, eps) - u
        before, residual = residual, float(np.max(np.abs(change))) / eps
        u, count = u + RELAXED * change, count + 1
        stuck = residual >= before and residual < ACCEPTED_RESIDUAL  # the rest is rounding
        if residual <= tolerance or stuck or not np.isfinite(residual):
            break
    return SelfPotential(measure, eps, u, residual, count, tolerance)


@dataclass(frozen=True, eq=False)
class Debiased:
    """A potential with a multiple of a self-potential added, as a function of any points: φ + c u₀, its map and Hessian.

    Parameters
    ----------
    phi : the Schrödinger potential, |x|²/2 + u.
    own : u₀, the self-potential of the same side.
    factor : c; −1 for the self gauge.

    Notes
    -----
    Points are (n, dim), a cloud, a grid or a field (dim, *shape), and the answers are in kind, as for `Potential`; each method
    makes one pass over the nodes of each side.  The map for c = −1: z + E[y|z] − E[x|z], the barycentres towards the target and
    towards the source itself.  Unlike `Potential` it need not be the gradient of a convex function.

    Examples
    --------
    >>> from pmasolve import Problem, SELF, Sinkhorn, as_function, evolve
    >>> problem = Problem.from_samples([[0.0], [1.0]], [[5.0], [6.0]])  # a translation by 5
    >>> as_function(evolve(Sinkhorn(problem, 1.0, gauge=SELF), times=[40.0])).map([[0.5], [2.0]]).round(9).ravel()
    array([5.5, 7. ])
    """

    phi: Potential
    own: Potential
    factor: float = -1.0

    def __call__(self, x: PointsLike) -> Array:
        """u + c u₀ at points (n, dim) as (n,), at a field (dim, *shape) as shape."""
        return self._both(x, lambda potential: potential(x))

    def gradient(self, x: PointsLike) -> Array:
        """∇u + c∇u₀, at points (n, dim) as (n, dim), at a field (dim, *shape) as (dim, *shape)."""
        return self._both(x, lambda potential: potential.gradient(x))

    def map(self, x: PointsLike) -> Array:
        """x + ∇u + c∇u₀, at points (n, dim) as (n, dim), at a field (dim, *shape) as (dim, *shape)."""
        where = given(x, self.phi.measure.nodes.dim)
        return where.vectors(where.columns) + self.gradient(x)

    def hessian(self, x: PointsLike) -> Array:
        """D²u + cD²u₀, at points (n, dim) as (n, dim, dim), at a field (dim, *shape) as (dim, dim, *shape)."""
        return self._both(x, lambda potential: potential.hessian(x))

    def jacobian(self, x: PointsLike) -> Array:
        """I + D²u + cD²u₀, the derivative of the map, in the shapes of ``hessian``."""
        where = given(x, dim := self.phi.measure.nodes.dim)
        return where.matrices(np.broadcast_to(np.eye(dim)[:, :, None], (dim, *where.columns.shape))) + self.hessian(x)

    def _both(self, x: PointsLike, read: Callable[[Potential], Array]) -> Array:
        return read(self.phi) + self.factor * read(self.own)
