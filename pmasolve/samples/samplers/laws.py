"""The law ρ = (∇ψ)_# e^{−g} of a potential: log-densities, log-ratios, scores in the parameters and Fisher matrices, by blocks.

    log ρ(x) = −g(z) − log det D²ψ(z),  z = ∇ψ*(x),        ∂_θ log ρ(x) = r·∂_θ∇ψ(z) − tr(G ∂_θD²ψ(z)),

G = (D²ψ)⁻¹ and r = G(∇g + ∇log det D²ψ) at z: the second by ∂_θz = −G ∂_θ∇ψ.
"""

from __future__ import annotations

import numpy as np

from ...machine.arrays import Array
from .inversion import inverse_and_log_det
from .matrices import inverse_of, stacked_log_det
from .potentials import Local, Parametric, point_blocks
from .reference import Nodes, Reference

DAMPING_ROUNDING = 1e-9  # of the largest diagonal entry, added to the damping


def log_density_at(psi: Parametric, nu: Reference, z: Array) -> Array:
    """log ρ at the points ∇ψ(z), (n,)."""
    out = nu.log_density(z)
    for part in point_blocks(len(z), psi.width):
        out[part] -= stacked_log_det(psi.at(z[part]).hessian)
    return out


def log_density(psi: Parametric, nu: Reference, x: Array, start: Array, tol: float) -> tuple[Array, Array]:
    """log ρ at points x (n, d), and their preimages z, which `start` guesses."""
    z, logs = inverse_and_log_det(psi, x, start, tol)
    return nu.log_density(z) - logs, z


def pushed(psi: Parametric, y: Array) -> Array:
    """∇ψ(y), (n, d)."""
    return np.concatenate([psi.at(y[part]).gradient for part in point_blocks(len(y), psi.width)] or [np.empty_like(y)])


def values(psi: Parametric, y: Array) -> Array:
    """ψ(y), (n,)."""
    return np.concatenate([psi.at(y[part]).value for part in point_blocks(len(y), psi.width)])


def least_curvature(psi: Parametric, y: Array) -> float:
    """The least eigenvalue of D²ψ at the points."""
    parts = point_blocks(len(y), psi.width)
    return min(float(np.linalg.eigvalsh(psi.at(y[part]).hessian)[:, 0].min()) for part in parts)


def pulled(here: Local, nu: Reference) -> tuple[Array, Array]:
    """r and G of the formula at the head of this file, (n, d) and (n, d, d)."""
    G = inverse_of(here.hessian)
    return np.matmul(G, (nu.slope(here.y) + here.third(G))[:, :, None])[:, :, 0], G


def mean_score(psi: Parametric, nu: Reference, nodes: Nodes) -> Array:
    """∫∂_θ log ρ∘∇ψ over the nodes z, (p,): the slope of the log-likelihood of the points ∇ψ(z)."""
    total = np.zeros(psi.params.size)
    for part in point_blocks(len(nodes.points), psi.width):
        here = psi.at(nodes.points[part])
        r, G = pulled(here, nu)
        weights = nodes.weights[part]
        total += here.paired_sum(r * weights[:, None], -G * weights[:, None, None])
    return total


def fisher(psi: Parametric, nu: Reference, nodes: Nodes) -> Array:
    """∫∂_θ log ρ ∂_θ log ρᵀ over the nodes, (p, p).  Memory: p² and a block of points."""
    total = np.zeros((psi.params.size,) * 2)
    for part in point_blocks(len(nodes.points), psi.width):
        here = psi.at(nodes.points[part])
        r, G = pulled(here, nu)
        scores = here.paired(r, -G) * np.sqrt(nodes.weights[part])[:, None]
        total += scores.T @ scores
    return total


def damped(F: Array, psi: Parametric) -> Array:
    """The blocks of F of what is damped together, and the mean over its kind on the diagonal: (p, p)."""
    groups, kinds, diagonal = psi.groups, psi.kinds, np.diag(F)
    means = np.bincount(kinds, diagonal) / np.maximum(np.bincount(kinds), 1)
    out = np.where(groups[:, None] == groups[None, :], F, 0.0)
    out[np.diag_indices(len(F))] += means[kinds] + DAMPING_ROUNDING * diagonal.max()
    return out


def dirichlet(psi: Parametric, z: Nodes, factors: Array | None = None) -> Array:
    """∫∇φ_i·M∇φ_j over z for the tangents φ = ∂ψ/∂θ, M = factors·factorsᵀ, or I; (p, p)."""
    d, total = psi.dim, np.zeros((psi.params.size,) * 2)
    for part in point_blocks(len(z.points), psi.width):
        here, count = psi.at(z.points[part]), len(z.points[part])
        columns = np.broadcast_to(np.eye(d), (count, d, d)) if factors is None else factors[part]
        none = np.zeros((count, d, d))
        for k in range(d):
            slopes = here.paired(np.ascontiguousarray(columns[:, :, k]), none) * np.sqrt(z.weights[part])[:, None]
            total += slopes.T @ slopes
    return total
