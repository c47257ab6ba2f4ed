"""The affine gauge: entropic maps less the bias that they have towards an affine image of the source.

    T(z) = E[y|z] − E[Ax+b | z] + Az + b,    Az + b the optimal map between the normals fitted to both samples.

It is of second order in ε as the self gauge is (A = I, b = 0), exact between normals at every ε, and tends to Az + b as ε → ∞.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..machine.arrays import Array
from ..problems.grids import Cloud
from ..problems.problem import Problem
from ..sinkhorn.schroedinger import Schroedinger, schroedinger

RANK = 1e-6  # of the largest standard deviation of x: directions below it are left as they are not seen


@dataclass(frozen=True)
class Affine:
    """A gauge for fixed points of samples: debiased against the affinely transported sample; `choose_eps` takes it.

    Attributes
    ----------
    name : in messages and tables.
    order : in ε.

    Examples
    --------
    >>> AFFINE.name, AFFINE.order
    ('affine', 2)
    """

    name: str = "affine"
    order: int = 2


AFFINE = Affine()
"""T(z) = E[y|z] − E[Ax+b | z] + Az + b: exact between normals; fixed points only."""


@dataclass(frozen=True, eq=False)
class AffineMap:
    """z ↦ A(z − centre) + image."""

    A: Array
    centre: Array
    image: Array

    def __call__(self, z: Array) -> Array:
        """Points (n, dim) to points (n, dim)."""
        return (z - self.centre) @ self.A.T + self.image


def affine_map(problem: Problem) -> AffineMap:
    """The optimal map between the normals with the samples' means and covariances: A = S⁻¹(SΘS)^½S⁻¹, S the root of Σ.

    Directions in which x has no spread, as where dim > n, are mapped to the mean.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((50, 2))
    >>> found = affine_map(Problem.from_samples(x, 3 * x + 1))
    >>> bool(np.allclose(found(x), 3 * x + 1))
    True
    """
    (m, cov), (b, target) = (
        _moments(nodes) for nodes in (problem.domain, problem.codomain) if isinstance(nodes, Cloud)
    )
    values, axes = np.linalg.eigh(cov)
    seen = values > RANK**2 * values[-1]
    deviations = np.sqrt(values[seen])
    S, inverse = ((axes[:, seen] * d) @ axes[:, seen].T for d in (deviations, 1 / deviations))
    levels, basis = np.linalg.eigh(S @ target @ S)
    root = (basis * np.sqrt(np.maximum(levels, 0))) @ basis.T
    return AffineMap(inverse @ root @ inverse, m, b)


def _moments(cloud: Cloud) -> tuple[Array, Array]:
    weights = np.asarray(cloud.weights)
    mean = weights @ cloud.points
    centred = cloud.points - mean
    return mean, (weights[:, None] * centred).T @ centred


class Affinely:
    """The fixed points between a source and its affine image, each started from the ε before."""

    def __init__(self, affine: AffineMap, problem: Problem) -> None:
        source = problem.domain
        assert isinstance(source, Cloud)
        self.affine = affine
        self.problem = Problem.from_samples(source.points, affine(source.points), source.weights, source.weights)
        self.u = np.zeros(source.shape)

    def debiased(self, run: Schroedinger, marginal: float) -> tuple[Callable[[Array], Array], Schroedinger]:
        """The map of a fixed point in the affine gauge, and the fixed point that was solved for it."""
        own = schroedinger(self.problem, run.eps, start=self.u, marginal=marginal, progress=False)
        self.u, phi = own.u, run.plan.phi
        return lambda z: phi.map(Cloud(z)) - own.plan.phi.map(Cloud(z)) + self.affine(z), own
