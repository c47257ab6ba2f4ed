"""Mixtures of normal distributions in ℝᵈ, point masses among them: exact laws of Y = rX + Z and of rX given Y.

With qᵢ(y) the probabilities of the components given Y = y, Bᵢ = r²Cᵢ(I + r²Cᵢ)⁻¹ and µᵢ(y) = r mᵢ + Bᵢ(y − r mᵢ),

    E[rX | Y=y] = Σ qᵢ µᵢ = µ,     Cov(rX | Y=y) = Σ qᵢ [Bᵢ + (µᵢ − µ)(µᵢ − µ)ᵀ].
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import log, pi

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from ...machine.arrays import Array, real
from ...problems.clouds import Cloud
from .sources import DenoisingPosterior, drawn_indices, rows_of

ASYMMETRY = 1e-12  # of a covariance, relative to its largest entry
NUMBERS_AT_ONCE = 1 << 21  # numbers in the arrays (k, components, d, d) of a block


@dataclass(frozen=True, eq=False)
class Mixture:
    """Σ aᵢ N(mᵢ, Cᵢ).

    Parameters
    ----------
    weights : (m,) masses ≥ 0 with a positive sum, normalised here.
    means : (m, d), or (m,) on the line.
    covariances : (m, d, d), symmetric positive semidefinite; or (m,) variances σᵢ² for Cᵢ = σᵢ² I.  0 is a point mass.

    Raises
    ------
    ValueError : values that are not finite, shapes that disagree, covariances that are not symmetric positive semidefinite.

    Examples
    --------
    >>> slab = Mixture([0.5, 0.5], [0.0, 0.0], [0.0, 1.0])  # ½δ₀ + ½N(0, 1)
    >>> Mixture([1.0], [[0.0, 0.0]], [3.0]).curvature(1.0, [[7.0, -2.0]])  # r²σ²/(1 + r²σ²)
    array([0.75])
    """

    weights: Array
    means: Array
    covariances: Array

    def __post_init__(self) -> None:
        means = real(self.means, "means")
        cloud = Cloud(means.reshape(-1, 1) if means.ndim == 1 else means, real(self.weights, "weights"))
        kept = cloud.weights > 0
        object.__setattr__(self, "weights", cloud.weights[kept])
        object.__setattr__(self, "means", cloud.points[kept])
        object.__setattr__(self, "covariances", _covariances(self.covariances, *cloud.points.shape)[kept])

    @property
    def dim(self) -> int:
        """Dimension d."""
        return self.means.shape[1]

    @cached_property
    def _spectra(self) -> tuple[Array, Array]:
        """Eigenvalues (m, d) and eigenvectors (m, d, d) of the covariances."""
        values, vectors = np.linalg.eigh(self.covariances)
        return np.maximum(values, 0.0), vectors

    def moments(self) -> tuple[Array, float]:
        """The mean (d,), and E|X − mean|²."""
        mean = self.weights @ self.means
        spread = np.sum((self.means - mean) ** 2, axis=1) + np.einsum("mdd->m", self.covariances)
        return mean, float(self.weights @ spread)

    def draw(self, count: int, rng: np.random.Generator, *, stratified: bool = True) -> Array:
        """(count, d) draws; ``stratified``: from every component as many as its weight asks for, up to one."""
        which = drawn_indices(self.weights, count, rng, stratified)
        values, vectors = self._spectra
        normal = rng.standard_normal((count, self.dim))
        out = self.means[which]
        for i in range(self.weights.size):
            out[which == i] += (normal[which == i] * np.sqrt(values[i])) @ vectors[i].T
        return out

    def ceiling(self, r: float) -> float:
        """sup L for one component, and with equal covariances C: ‖B‖ + r² R², R the radius of the means; ∞ otherwise."""
        shrunk = r * r * self._spectra[0] / (1 + r * r * self._spectra[0])
        if np.ptp(self.covariances, axis=0).max() > 0:
            return np.inf
        radius = np.max(np.sum((self.means - self.moments()[0]) ** 2, axis=1))
        return float(shrunk.max() + r * r * radius)

    def span(self, r: float) -> tuple[float, float]:
        """On the line, an interval outside which Y has a mass below 1e-17."""
        wide = 9.0 * np.sqrt(1 + r * r * self.covariances[:, 0, 0])
        return float(np.min(r * self.means[:, 0] - wide)), float(np.max(r * self.means[:, 0] + wide))

    def cdf(self, x: ArrayLike) -> Array:
        """On the line, P(X ≤ x), of the shape of x."""
        deviation = np.sqrt(self.covariances[:, 0, 0])
        gap = np.asarray(x, dtype=np.float64)[..., None] - self.means[:, 0]
        steps = np.where(gap >= 0, 1.0, 0.0)
        smooth = ndtr(gap / np.where(deviation > 0, deviation, 1.0))
        return np.where(deviation > 0, smooth, steps) @ self.weights

    def posterior(self, r: float, y: ArrayLike) -> DenoisingPosterior:
        """log p_Y, E[rX | Y = y] and tr Cov(rX | Y = y) for the rows y (k, d)."""
        parts = [self._posterior(r, block) for block in self._blocks(y)]
        return DenoisingPosterior(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def curvature(self, r: float, y: ArrayLike) -> Array:
        """(k,) L_r(y) for the rows y (k, d); cost m·d² + d³ for each."""
        return np.concatenate([np.linalg.eigvalsh(self._covariance(r, block))[:, -1] for block in self._blocks(y)])

    def diffused(self, shrink: float, variance: float) -> Mixture:
        """The law of shrink·X + √variance·Z."""
        added = variance * np.eye(self.dim)
        return Mixture(self.weights, shrink * self.means, shrink**2 * self.covariances + added)

    def _blocks(self, y: ArrayLike) -> list[Array]:
        points = rows_of(y, self.dim)
        step = max(1, NUMBERS_AT_ONCE // (self.weights.size * self.dim + self.dim**2))
        return [points[low : low + step] for low in range(0, max(1, len(points)), step)]

    def _terms(self, r: float, y: Array) -> tuple[Array, Array, Array]:
        """Log of the joint densities (k, m), means µᵢ − y (k, m, d), and the eigenvalues of Bᵢ (m, d)."""
        values, vectors = self._spectra
        total = 1 + r * r * values
        along = np.einsum("kmd,mde->kme", y[:, None] - r * self.means, vectors)
        logs = np.log(self.weights) - 0.5 * np.sum(np.log(total), axis=1)
        logs = logs - 0.5 * np.einsum("kme,me->km", along**2, 1 / total) - 0.5 * self.dim * log(2 * pi)
        return logs, -np.einsum("kme,mde->kmd", along / total, vectors), r * r * values / total

    def _posterior(self, r: float, y: Array) -> tuple[Array, Array, Array]:
        q, log_density, mean, deviation, shrunk = self._centred(r, y)
        trace = np.einsum("km,km->k", q, shrunk.sum(axis=1) + np.sum(deviation**2, axis=2))
        return log_density, y + mean, trace

    def _covariance(self, r: float, y: Array) -> Array:
        """(k, d, d)."""
        q, _, _, deviation, shrunk = self._centred(r, y)
        vectors = self._spectra[1]
        within = np.einsum("mde,me,mfe->mdf", vectors, shrunk, vectors)
        spread = np.sqrt(q)[:, :, None] * deviation
        return np.tensordot(q, within, axes=1) + spread.swapaxes(1, 2) @ spread

    def _centred(self, r: float, y: Array) -> tuple[Array, Array, Array, Array, Array]:
        """q, log p_Y, µ − y, µᵢ − µ and the eigenvalues of Bᵢ."""
        logs, shift, shrunk = self._terms(r, y)
        top = np.max(logs, axis=1)
        q = np.exp(np.maximum(logs - top[:, None], -700.0))
        total = q.sum(axis=1)
        q /= total[:, None]
        mean = np.einsum("km,kmd->kd", q, shift)
        return q, top + np.log(total), mean, shift - mean[:, None], shrunk


def _covariances(given: ArrayLike, count: int, dim: int) -> Array:
    """(m, d, d) from variances or matrices, checked."""
    raw = real(given, "covariances")
    if raw.shape not in ((count,), (count, dim, dim)):
        raise ValueError(
            f"covariances have shape {raw.shape}: give ({count},) variances or ({count}, {dim}, {dim}) matrices"
        )
    if not np.isfinite(raw).all():
        raise ValueError(
            f"covariances hold {np.count_nonzero(~np.isfinite(raw))} NaN or infinite values: clean them first"
        )
    full = raw[:, None, None] * np.eye(dim) if raw.ndim == 1 else raw
    size = float(np.max(np.abs(full)))
    if np.max(np.abs(full - full.swapaxes(1, 2))) > ASYMMETRY * size:
        raise ValueError("a covariance is not symmetric: give (C + Cᵀ)/2")
    full = 0.5 * (full + full.swapaxes(1, 2))
    if (least := float(np.linalg.eigvalsh(full).min())) < -ASYMMETRY * size:
        raise ValueError(f"a covariance has the eigenvalue {least:.3g}: variances are ≥ 0; project it")
    return full
