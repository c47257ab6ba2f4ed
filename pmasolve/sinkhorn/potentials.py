"""Schrödinger potentials as functions: their values, gradients and Hessians at any point, from the potential on the other side.

    φ(x) = ε log ∫exp((x·y − ψ(y))/ε) ν(dy) = |x|²/2 + u(x),    ∇φ(x) = E[y|x],    D²φ(x) = Cov(y|x)/ε,

the conditional law of y given x having the weights exp((x·y − ψ(y) − φ(x))/ε) ν(dy).  On a torus and in a box y runs over the
periodic and reflected images of the nodes, so that these are the derivatives of the periodised kernel's log-sum, exactly.
The map ∇φ is the entropic out-of-sample map (Pooladian, Niles-Weed, arXiv 2109.12004).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..machine.arrays import Array, having, number
from ..problems.grids import Cloud, Grid
from ..problems.points import Places, PointsLike, given
from ..problems.problem import Measure
from .softmin.clouds.moments import Moments, displacement_moments
from .softmin.clouds.sides import Side, sort
from .softmin.nodes import Geometry, exponents, log_kernel, points


@dataclass(frozen=True, eq=False)
class Potential:
    """The potential u(x) = ε log ∫exp(−v(y)/ε) K_ε(x, y) ν(dy) as a function of any points.

    Parameters
    ----------
    measure : the measure integrated over, `Problem.nu` for φ and `Problem.mu` for ψ.
    other : v at its nodes, finite (shape of the nodes).
    eps : ε of the kernel.

    Raises
    ------
    ValueError : v of another shape or not finite, ε not positive, points of another dimension or not finite.

    Notes
    -----
    All methods take points (n, dim), a cloud, a grid or a field (dim, *shape), and answer in kind.  Each costs one pass over all
    pairs of points and nodes, less what cannot matter (two passes for Hessians), in double precision.  Memory is linear in points
    plus nodes.  On a torus the map is not wrapped: map(x) − x is the displacement.  Relative error of the Hessian of φ about
    max|v|/ε·10⁻¹⁶.

    Examples
    --------
    >>> from pmasolve import Problem
    >>> problem = Problem.from_samples([[0.0]], [[-1.0], [1.0]])
    >>> phi = Potential(problem.nu, np.zeros(2), eps=1.0)  # φ(x) = log cosh x + const, ∇φ = tanh x
    >>> bool(np.allclose(phi.map([0.3, 2.0]), np.tanh([0.3, 2.0]), rtol=1e-14))
    True
    """

    measure: Measure
    other: Array = field(repr=False)
    eps: float

    def __post_init__(self) -> None:
        if not 0 < number(self.eps, "eps") < np.inf:
            raise ValueError(f"eps={self.eps}: the kernel needs a positive and finite ε")
        nodes = having(self.measure, "nodes", "measure", "give problem.nu or problem.mu").nodes
        object.__setattr__(self, "other", nodes.values(self.other, "the potential on the other side"))

    def __call__(self, x: PointsLike) -> Array:
        """u at points (n, dim) as (n,), at a field (dim, *shape) as shape."""
        where = self._given(x)
        return where.values(self.eps * (self._moments(where, False).log_sum + np.log(self.measure.cell)))

    def gradient(self, x: PointsLike) -> Array:
        """∇u = E[y|x] − x at points (n, dim) as (n, dim), at a field (dim, *shape) as (dim, *shape)."""
        where = self._given(x)
        return where.vectors(self._moments(where, False).mean)

    def map(self, x: PointsLike) -> Array:
        """∇φ = x + ∇u, the conditional mean E[y|x], at points (n, dim) as (n, dim), at a field (dim, *shape) as (dim, *shape)."""
        where = self._given(x)
        return where.vectors(where.columns + self._moments(where, False).mean)

    def jacobian(self, x: PointsLike) -> Array:
        """D²φ = I + D²u = Cov(y|x)/ε ≥ 0, at points (n, dim) as (n, dim, dim), at a field (dim, *shape) as (dim, dim, *shape)."""
        where = self._given(x)
        return where.matrices(self._covariance(where) / self.eps)

    def hessian(self, x: PointsLike) -> Array:
        """D²u = Cov(y|x)/ε − I, at points (n, dim) as (n, dim, dim), at a field (dim, *shape) as (dim, dim, *shape)."""
        where = self._given(x)
        return where.matrices(self._covariance(where) / self.eps - np.eye(self.measure.nodes.dim)[:, :, None])

    def expected_cost(self, x: PointsLike) -> Array:
        """E[½|y−x|² | x], the mean cost of what leaves x (over images on a torus or in a box): (n,), or the shape of a field."""
        where = self._given(x)
        moments = self._moments(where, True)
        assert moments.covariance is not None
        return where.values(0.5 * (np.trace(moments.covariance) + np.sum(moments.mean**2, axis=0)))

    def log_terms(self, x: Array) -> Array:
        """Logarithms of what is summed over the nodes, exp(−v(y)/ε) K_ε(x, y) ν(y), for a few points (r, dim): (r, size)."""
        measure = self.measure
        h = measure.log_density + np.log(measure.cell) - self.other / self.eps
        return log_kernel(x, measure.nodes, self.eps) + h.ravel()

    @cached_property
    def _nodes(self) -> Side:
        return sort(points(self.measure.nodes))

    def _given(self, x: PointsLike) -> Places:
        return given(x, self.measure.nodes.dim)

    def _covariance(self, where: Places) -> Array:
        """Cov(y|x), (dim, dim, n)."""
        covariance = self._moments(where, True).covariance
        assert covariance is not None
        return covariance

    def _moments(self, at: Places, second: bool) -> Moments:
        nodes = self.measure.nodes
        z = wrapped(nodes, at.columns.T)
        if z.size == 0:
            return Moments(np.empty(0), np.empty((nodes.dim, 0)), np.empty((nodes.dim, nodes.dim, 0)))
        periods, reflects = nodes.periods, nodes.reflects
        lengths = None if periods is None else np.array(periods)
        where = Geometry(self._nodes.points, z, nodes.shape, (len(z),), self.eps, lengths, reflects)
        h = exponents(-self.other / self.eps + self.measure.log_density, nodes.shape)
        return displacement_moments(self._nodes, h, sort(z), where, second)


def half_step(log_sums: Callable[[Array], Array], measure: Measure, u: Array, eps: float) -> Array:
    """ε log ∫exp(−|x−y|²/2ε − u(x)/ε) μ(dx) at the other side's nodes, by an engine's ``forward`` or ``backward``."""
    h = u / -eps
    h += measure.log_density
    out = log_sums(h)
    out += np.log(measure.cell)
    out *= eps
    return out


def wrapped(nodes: Grid | Cloud, z: Array) -> Array:
    """Points (n, dim) moved by periods to where the images of the nodes are listed; displacements to these do not change.

    That is [0, P) on a torus and [−L, L) for a box of sides L.
    """
    periods = nodes.periods
    if periods is None:
        return np.ascontiguousarray(z)
    turns = z / np.array(periods)
    return z - np.array(periods) * (np.round(turns) if nodes.reflects else np.floor(turns))
