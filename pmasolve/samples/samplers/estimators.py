"""Estimators of h = log(ρ/μ)∘∇ψ = log(ν/π), π = (∇ψ*)_# μ, on the reference side, in the potential's own tangent space.

h needs neither a composition nor a Hessian: the data are pulled back by ∇ψ* and compared with the reference.  Each estimator is
convex or a linear system, so that there is no learning rate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from scipy.special import expit

from ...machine.arrays import Array
from .laws import dirichlet
from .potentials import Parametric, point_blocks
from .reference import Nodes, Reference

HESSIAN_RIDGE = 1e-9  # of the mean diagonal entry of the logistic Hessian
CUT = 1e-11  # of the largest eigenvalue: directions below are not seen by the points
ITERATIONS = 25
DECREMENT = 1e-13  # of Newton's method


@dataclass(frozen=True, eq=False)
class Sides:
    """Both laws on the reference side.

    Attributes
    ----------
    psi : the potential.
    reference : ν.
    y : its points.
    z : points of π.
    h : log(ν/π) at the points y, where the density of μ is known.
    """

    psi: Parametric
    reference: Reference = field(repr=False)
    y: Nodes = field(repr=False)
    z: Nodes = field(repr=False)
    h: Array | None = field(repr=False)


@dataclass(frozen=True, eq=False)
class Ratio:
    """h ≈ c·∂ψ/∂θ + offset.

    Attributes
    ----------
    c : (p,).
    at_y, at_z : the estimate at both sides' points.
    """

    c: Array = field(repr=False)
    at_y: Array = field(repr=False)
    at_z: Array = field(repr=False)


class Estimator(Protocol):
    """From both sides to the log-ratio."""

    def ratio(self, sides: Sides) -> Ratio:
        """h in the tangent space."""
        ...


@dataclass(frozen=True)
class Logistic:
    """The log-ratio by logistic regression of reference points against pulled-back data, for `MongeAmpereSampler`.

    Convex; Newton's method on the two classes with equal masses, so that the logit is log(ν/π) with its constant.
    Cost: (n + m)p² + p³/3 operations for each of some ten iterations; memory (n + m)p.

    Examples
    --------
    >>> from pmasolve import ConstantSteps, MongeAmpereSampler, SampleProblem, Span, evolve
    >>> problem = SampleProblem(2 + np.random.default_rng(0).standard_normal((500, 1)))
    >>> flow = MongeAmpereSampler(problem, Span(), Logistic(), ConstantSteps(0.5))
    >>> bool(evolve(flow, flow.times(12)[-1:]).records["kl"][-1] < 0.01)
    True
    """

    def ratio(self, sides: Sides) -> Ratio:
        """The logit."""
        Sy, Sz = (tangents(sides.psi, nodes.points) for nodes in (sides.y, sides.z))
        A = np.concatenate([Sy, Sz])
        centre = A.mean(axis=0)
        A = np.concatenate([A - centre, np.ones((len(A), 1))], axis=1)
        label = np.repeat([1.0, 0.0], [len(Sy), len(Sz)])
        c = _logistic(A, label, 0.5 * np.concatenate([sides.y.weights, sides.z.weights]))
        logit = A @ c
        return Ratio(c[:-1], logit[: len(Sy)], logit[len(Sy) :])


@dataclass(frozen=True)
class ScoreMatching:
    """The log-ratio by implicit score matching, one linear system, for `MongeAmpereSampler`.

    ∇h = ∇log ν − ∇log π in the least squares of π: Mc = ∫(Δφ − ∇g·∇φ) dπ with M = ∫∇φ_i·∇φ_j dπ over φ = ∂ψ/∂θ; the constant by
    ∫e^{−h}dν = 1.  Cost: dnp² + p³ operations for n points; memory p² and a block of points.

    Examples
    --------
    >>> from pmasolve import ConstantSteps, MongeAmpereSampler, SampleProblem, Span, evolve
    >>> problem = SampleProblem(2 + np.random.default_rng(0).standard_normal((500, 1)))
    >>> flow = MongeAmpereSampler(problem, Span(), ScoreMatching(), ConstantSteps(0.5))
    >>> bool(evolve(flow, flow.times(12)[-1:]).records["kl"][-1] < 0.01)
    True
    """

    def ratio(self, sides: Sides) -> Ratio:
        """The solution of the system."""
        psi, z, unit = sides.psi, sides.z, np.eye(sides.psi.dim)
        right = np.zeros(psi.params.size)
        for part in point_blocks(len(z.points), psi.width):
            here, w = psi.at(z.points[part]), z.weights[part]
            slope = -sides.reference.slope(z.points[part]) * w[:, None]
            right += here.paired_sum(slope, w[:, None, None] * unit)
        c = _solved(dirichlet(psi, z), right)
        at_y, at_z = (tangents(psi, nodes.points) @ c for nodes in (sides.y, sides.z))
        low = at_y.min()
        offset = float(np.log(sides.y.mean(np.exp(-(at_y - low)))) - low)
        return Ratio(c, at_y + offset, at_z + offset)


@dataclass(frozen=True)
class Known:
    """The log-ratio from a known f: h = f∘∇ψ − g − log det D²ψ, projected to the tangent space, for `MongeAmpereSampler`.

    The projection is the least squares of ν.  Variational inference: it needs a `Posterior`.
    Cost: np² operations for n points; memory np.

    Examples
    --------
    >>> from pmasolve import ConstantSteps, MongeAmpereSampler, Posterior, Span, evolve
    >>> problem = Posterior(lambda x: 0.5 * np.sum((x - 2) ** 2, axis=1), lambda x: x - 2, 1)
    >>> flow = MongeAmpereSampler(problem, Span(), Known(), ConstantSteps(0.5))
    >>> bool(evolve(flow, flow.times(30)[-1:]).records["kl"][-1] < 1e-10)
    True
    """

    def ratio(self, sides: Sides) -> Ratio:
        """The projection; its values are h itself."""
        if sides.h is None:
            raise ValueError("Known() needs f: give a Posterior, or Logistic() or ScoreMatching() for samples")
        S, w = tangents(sides.psi, sides.y.points), sides.y.weights
        root = np.sqrt(w)[:, None]
        centred = (S - w @ S) * root
        c = np.linalg.lstsq(centred, (sides.h - w @ sides.h) * root[:, 0], rcond=1e-13)[0]
        return Ratio(c, sides.h, sides.h)


def tangents(psi: Parametric, y: Array) -> Array:
    """∂ψ/∂θ at points, (n, p)."""
    return np.concatenate([psi.at(y[part]).tangent() for part in point_blocks(len(y), psi.width)])


def _logistic(A: Array, label: Array, weight: Array) -> Array:
    """Newton's method with a line search on the weighted logistic loss of A @ c; the last column is the constant."""
    c = np.zeros(A.shape[1])

    def loss(c: Array) -> float:
        """Weighted."""
        z = A @ c
        return float(weight @ (np.logaddexp(0, z) - label * z))

    now = loss(c)
    for _ in range(ITERATIONS):
        p = expit(A @ c)
        g = A.T @ (weight * (p - label))
        H = (A * (weight * p * (1 - p))[:, None]).T @ A
        H[np.diag_indices(len(H))] += HESSIAN_RIDGE * np.trace(H) / len(H)
        step, t = -np.linalg.solve(H, g), 1.0
        if -(g @ step) < DECREMENT:
            break
        while (new := loss(c + t * step)) > now + 1e-4 * t * (g @ step) and t > 1e-6:
            t *= 0.5
        c, now = c + t * step, new
    return c


def _solved(M: Array, right: Array) -> Array:
    """M⁻¹ on the directions that the points see."""
    values, axes = np.linalg.eigh(M)
    seen = values > CUT * values[-1]
    return axes[:, seen] @ ((axes[:, seen].T @ right) / values[seen])
