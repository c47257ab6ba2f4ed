"""How nearly a JKO step is solved: the Wasserstein gradient of its objective at the new law, exact or estimated from samples.

With F(p) = KL(p|q) + W₂²(p, p_k)/2γ, V = −log q and t the optimal map from p_{k+1} to p_k,

    ∂F(p_{k+1}) = ∇V + ∇log p_{k+1} − (t − id)/γ,

which is 0 where the step is exact: Cheng, Lu, Tan, Xie, arXiv 2310.17582, Appendix D, estimates ∇log p by a kernel and t by a
coupling of samples.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from ...machine.arrays import Array
from ..samplers.reference import Reference

BANDWIDTH = 0.1  # the variance of the kernel


def exact_gradient(before: Array, after: Array, score: Array, reference: Reference, gamma: float) -> Array:
    """∂F at the points ``after`` = T(before), (n, d), where ∇log p_{k+1} is known there and T⁻¹ stands for the optimal map.

    T⁻¹ is the optimal map if T is the gradient of a convex function, as `GradientBlock` is; for networks it is another map, and
    this is then the gradient of the step with its own transport cost.

    Parameters
    ----------
    before, after : (n, d).
    score : (n, d) ∇log p_{k+1} at ``after``.
    reference : q.
    gamma : γ.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((5, 2)) + 3  # N((3, 3), I); the exact step, γ = ½, ends at N((2, 2), I)
    >>> np.abs(exact_gradient(x, x - 1, -(x - 3), Reference.of(None, 2), 0.5)).max().round(12)
    np.float64(0.0)
    """
    return reference.slope(after) + score - (before - after) / gamma


def estimated_gradient(
    after: Array, before: Array, reference: Reference, gamma: float, bandwidth: float = BANDWIDTH
) -> Array:
    """∂F at samples of p_{k+1}, estimated from them and as many independent samples of p_k, (n, d).

    ∇log p_{k+1} is that of the kernel density with a normal kernel of variance ``bandwidth``, t the optimal assignment.
    Cost: n² kernels, and n³ at worst for the assignment; memory 2n².

    Parameters
    ----------
    after, before : (n, d) samples of p_{k+1} and of p_k.
    reference : q.
    gamma : γ.
    bandwidth : variance of the kernel.
    """
    squares = cdist(after, after, "sqeuclidean")
    kernel = np.exp(-squares / (2 * bandwidth))
    score = (kernel @ after / kernel.sum(axis=1)[:, None] - after) / bandwidth
    return reference.slope(after) + score - (before[assignment(after, before)] - after) / gamma


def assignment(x: Array, y: Array) -> Array:
    """Partners in y of equally many points x, optimal for |x − y|²: (n,) indices.

    Both are centred first, which changes no partner, and is ten times faster for clouds that lie apart.
    """
    return linear_sum_assignment(cdist(x - x.mean(axis=0), y - y.mean(axis=0), "sqeuclidean"))[1]


def mean_square(gradient: Array) -> float:
    """The squared norm in L²(p), mean |∂F|²: the sum of squares of the entries, not their norm after squaring each."""
    return float(np.mean(np.sum(gradient**2, axis=1)))
