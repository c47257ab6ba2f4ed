"""Schrödinger potentials as functions: their values, gradients and Hessians at any point, from the potential on the other side.

    φ(x) = ε log ∫exp((x·y − ψ(y))/ε) ν(dy) = |x|²/2 + u(x),    ∇φ(x) = E[y|x],    D²φ(x) = Cov(y|x)/ε,

the conditional law of y given x having the weights exp((x·y − ψ(y) − φ(x))/ε) ν(dy).  On a torus and in a box y runs over the
periodic and reflected images of the nodes, so that these are the derivatives of the periodised kernel's log-sum, exactly.
The map ∇φ is the entropic out-of-sample map (Pooladian, Niles-Weed, arXiv 2109.12004).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from ..machine.arrays import Array
from ..problems.grids import Box, Cloud, Grid
from ..problems.problem import Measure
from .softmin.clouds.moments import Moments, displacement_moments
from .softmin.clouds.sides import Side, sort
from .softmin.nodes import Geometry, exponents, points, shape, space


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
    All methods take points (dim, …), coordinates first as on a grid, and take one pass over all pairs of points and nodes, less
    what cannot matter (two passes for Hessians), in double precision.  Memory is linear in points plus nodes.  On a torus the
    map is not wrapped: map(x) − x is the displacement.  Relative error of the Hessian of φ about max|v|/ε·10⁻¹⁶.

    Examples
    --------
    >>> from pmasolve import Problem
    >>> problem = Problem.from_samples([[0.0]], [[-1.0], [1.0]])
    >>> phi = Potential(problem.nu, np.zeros(2), eps=1.0)  # φ(x) = log cosh x + const, ∇φ = tanh x
    >>> bool(np.allclose(phi.map([[0.3, 2.0]]), np.tanh([[0.3, 2.0]]), rtol=1e-14))
    True
    """

    measure: Measure
    other: Array
    eps: float

    def __post_init__(self) -> None:
        if not 0 < self.eps < np.inf:
            raise ValueError(f"eps={self.eps}: the kernel needs a positive and finite ε")
        object.__setattr__(self, "other", self.measure.nodes.values(self.other, "the potential on the other side"))

    def __call__(self, x: ArrayLike) -> Array:
        """u at points (dim, …), shape (…)."""
        x = self._checked(x)
        moments = self._moments(x, False)
        return (self.eps * (moments.log_sum + np.log(self.measure.cell))).reshape(x.shape[1:])

    def gradient(self, x: ArrayLike) -> Array:
        """∇u = E[y|x] − x at points (dim, …), shape (dim, …)."""
        x = self._checked(x)
        return self._moments(x, False).mean.reshape(x.shape)

    def map(self, x: ArrayLike) -> Array:
        """∇φ = x + ∇u, the conditional mean E[y|x], at points (dim, …), shape (dim, …)."""
        return np.asarray(x, dtype=np.float64) + self.gradient(x)

    def jacobian(self, x: ArrayLike) -> Array:
        """D²φ = I + D²u = Cov(y|x)/ε, positive semidefinite, at points (dim, …), shape (dim, dim, …)."""
        x = self._checked(x)
        covariance = self._moments(x, True).covariance
        assert covariance is not None
        return (covariance / self.eps).reshape(x.shape[:1] + x.shape)

    def hessian(self, x: ArrayLike) -> Array:
        """D²u = Cov(y|x)/ε − I at points (dim, …), shape (dim, dim, …)."""
        jacobian = self.jacobian(x)
        for j in range(jacobian.shape[0]):
            jacobian[j, j] -= 1.0
        return jacobian

    def expected_cost(self, x: ArrayLike) -> Array:
        """E[½|y−x|² | x], the mean cost of what leaves x (over images on a torus or in a box), shape (…)."""
        x = self._checked(x)
        moments = self._moments(x, True)
        assert moments.covariance is not None
        cost = 0.5 * (np.trace(moments.covariance) + np.sum(moments.mean**2, axis=0))
        return cost.reshape(x.shape[1:])

    @cached_property
    def _nodes(self) -> Side:
        return sort(points(self.measure.nodes))

    def _checked(self, x: ArrayLike) -> Array:
        out, dim = np.asarray(x, dtype=np.float64), self.measure.nodes.dim
        if out.ndim == 0 or out.shape[0] != dim:
            raise ValueError(
                f"points of shape {out.shape}: give (dim, …) with dim={dim}, coordinates first; transpose (n, dim)"
            )
        if not np.isfinite(out).all():
            raise ValueError(f"points: {np.count_nonzero(~np.isfinite(out))} coordinates are NaN or infinite")
        return out

    def _moments(self, x: Array, second: bool) -> Moments:
        nodes = self.measure.nodes
        z = wrapped(nodes, x.reshape(nodes.dim, -1).T)
        if z.size == 0:
            return Moments(np.empty(0), np.empty((nodes.dim, 0)), np.empty((nodes.dim, nodes.dim, 0)))
        periods, reflects = space(nodes)
        lengths = None if periods is None else np.array(periods)
        where = Geometry(self._nodes.points, z, shape(nodes), (len(z),), self.eps, lengths, reflects)
        h = exponents(-self.other / self.eps + self.measure.log_density, shape(nodes))
        return displacement_moments(self._nodes, h, sort(z), where, second)


def half_step(log_sums: Callable[[Array], Array], measure: Measure, u: Array, eps: float) -> Array:
    """ε log ∫exp(−|x−y|²/2ε − u(x)/ε) μ(dx) at the other side's nodes, by an engine's ``forward`` or ``backward``."""
    return eps * (log_sums(-u / eps + measure.log_density) + np.log(measure.cell))


def wrapped(nodes: Grid | Cloud, z: Array) -> Array:
    """Points (n, dim) moved by periods to where the images of the nodes are listed; displacements to these do not change.

    That is [0, P) on a torus and [−L, L) for a box of sides L.
    """
    periods = space(nodes)[0]
    if periods is None:
        return np.ascontiguousarray(z)
    turns = z / np.array(periods)
    return z - np.array(periods) * (np.round(turns) if isinstance(nodes, Box) else np.floor(turns))
