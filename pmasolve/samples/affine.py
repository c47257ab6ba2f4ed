"""The affine gauge: entropic maps less the bias that they have towards an affine image of the source.

    T(z) = E[y|z] − E[Ax+b | z] + Az + b,    Az + b the optimal map between the normals fitted to both samples.

It is of second order in ε as the self gauge is (A = I, b = 0), exact between normals at every ε, and tends to Az + b as ε → ∞.
The fitted normals tell more: their Schrödinger potentials, in closed form, are where the search for those of the samples begins.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..machine.arrays import Array
from ..problems.grids import Cloud
from ..problems.problem import Measure, Problem

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


@dataclass(frozen=True, eq=False)
class FittedNormals:
    """Normals with the means and covariances Σ, Θ of two samples, and what is known between them in closed form.

    With S the root of Σ and K = SΘS the Schrödinger potential at ε has the Hessian S⁻¹(K + ε²/4)^½S⁻¹ − (ε/2)Σ⁻¹, and at ε = 0
    the optimal map (Janati, Muzellec, Peyré, Cuturi, arXiv 2006.02572).  Directions in which x has no spread are left out.

    Parameters
    ----------
    centre, image : means m of x and b of y.
    inverse : S⁻¹, zero where x has no spread.
    levels, basis : of K.
    """

    centre: Array
    image: Array
    inverse: Array = field(repr=False)
    levels: Array = field(repr=False)
    basis: Array = field(repr=False)

    @classmethod
    def of(cls, source: Measure, target: Measure) -> FittedNormals:
        """Fitted to two weighted clouds."""
        (m, cov), (b, theta) = (_moments(measure.nodes) for measure in (source, target))
        values, axes = np.linalg.eigh(cov)
        seen = values > RANK**2 * values[-1]
        deviations = np.sqrt(values[seen])
        S, inverse = ((axes[:, seen] * d) @ axes[:, seen].T for d in (deviations, 1 / deviations))
        levels, basis = np.linalg.eigh(S @ theta @ S)
        return cls(m, b, inverse, np.maximum(levels, 0), basis)

    @property
    def map(self) -> AffineMap:
        """The optimal map z ↦ A(z − m) + b."""
        return AffineMap(self._hessian(0.0), self.centre, self.image)

    def u(self, x: Array, eps: float) -> Array:
        """Schrödinger's potential less |x|²/2, up to a constant, at points (n, dim): (n,)."""
        z = x - self.centre
        return 0.5 * np.sum(z @ self._hessian(eps) * z, axis=1) + x @ self.image - 0.5 * np.sum(x**2, axis=1)

    def _hessian(self, eps: float) -> Array:
        root = (self.basis * np.sqrt(self.levels + eps**2 / 4)) @ self.basis.T
        return self.inverse @ (root - 0.5 * eps * np.eye(len(root))) @ self.inverse


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
    return FittedNormals.of(problem.mu, problem.nu).map


def _moments(cloud: object) -> tuple[Array, Array]:
    """Mean (dim,) and covariance (dim, dim) of a weighted cloud."""
    assert isinstance(cloud, Cloud)
    weights = np.asarray(cloud.weights)
    mean = weights @ cloud.points
    centred = cloud.points - mean
    return mean, (weights[:, None] * centred).T @ centred
