"""The normal distribution in d dimensions and the distances between two of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from ..machine.arrays import Array, integer, shown
from ..problems.points import PointsLike, given
from .precise import (
    CONTEXT,
    Matrix,
    Scalar,
    cholesky,
    least_eigenvalue,
    precise,
    precise_dot,
    precise_inverse,
    precise_log_det,
    root,
    square,
    symmetric,
    to_float64,
    trace,
)


@dataclass(frozen=True, eq=False, init=False)
class Normal:
    """N(mean, cov), kept with 60 digits: what is computed from it is rounded once, at the end.

    Parameters
    ----------
    mean : (d,).
    cov : (d, d), symmetric up to rounding and positive definite.

    Raises
    ------
    ValueError : values that are not finite, shapes that disagree, a covariance that is not symmetric positive definite.

    Examples
    --------
    >>> a, b = Normal([0.0, 0.0], [[1.0, 0.0], [0.0, 4.0]]), Normal([3.0, 4.0], [[1.0, 0.0], [0.0, 1.0]])
    >>> round(a.wasserstein(b) ** 2, 12), round(b.kl(b), 12)  # 25 + (2 − 1)²
    (26.0, 0.0)
    """

    m: Matrix
    V: Matrix

    def __init__(self, mean: ArrayLike | Matrix, cov: ArrayLike | Matrix) -> None:
        m, V = precise(mean), symmetric(definite(cov, "cov"))
        if (m.rows, m.cols) != (V.rows, 1):
            raise ValueError(f"mean has {m.rows * m.cols} entries, cov is {V.rows} × {V.rows}: give a mean of {V.rows}")
        if not np.isfinite(to_float64(m)).all():
            raise ValueError(f"mean={shown(mean)}: every entry must be finite")
        object.__setattr__(self, "m", m)
        object.__setattr__(self, "V", V)

    def __repr__(self) -> str:
        if self.dim > 3:
            return f"<Normal in {self.dim} dimensions, covariance with trace {np.trace(self.cov):.6g}>"
        return f"Normal({self.mean.tolist()}, {self.cov.tolist()})"

    @property
    def dim(self) -> int:
        """The dimension d."""
        return self.V.rows

    @cached_property
    def mean(self) -> Array:
        """The mean m, (d,)."""
        return to_float64(self.m)

    @cached_property
    def cov(self) -> Array:
        """The covariance V, (d, d)."""
        return square(self.V)

    @cached_property
    def precision(self) -> Matrix:
        """V⁻¹, with all digits."""
        return precise_inverse(self.V)

    @cached_property
    def factor(self) -> Array:
        """Lower triangular F with FFᵀ = cov, for sampling."""
        return square(cholesky(self.V))

    @cached_property
    def log_det(self) -> Scalar:
        """log det V, with all digits."""
        return precise_log_det(self.V)

    def log_density(self, x: PointsLike) -> Array:
        """−½|x − m|²_{V⁻¹} − ½ log det 2πV at points x (n, d), as (n,); at a field (d, *shape), of its shape."""
        where = given(x, self.dim)
        centred = where.columns - self.mean[:, None]
        constant = float(self.log_det) + self.dim * np.log(2 * np.pi)
        return where.values(-0.5 * np.sum(centred * (square(self.precision) @ centred), axis=0) - 0.5 * constant)

    def sample(self, count: int, rng: np.random.Generator) -> Array:
        """``count`` independent points, (count, d)."""
        return self.mean + rng.standard_normal((integer(count, "count", 0), self.dim)) @ self.factor.T

    @property
    def entropy(self) -> float:
        """The entropy −∫ρ log ρ = ½ log det 2πeV."""
        return float((self.log_det + self.dim * CONTEXT.log(2 * CONTEXT.pi * CONTEXT.e)) / 2)

    def kl(self, other: Normal) -> float:
        """KL(self | other) = ½(tr V₂⁻¹V₁ − d + log det V₂/det V₁ + |m₁ − m₂|²_{V₂⁻¹})."""
        shift, P = self.m - self._beside(other).m, other.precision
        twice = trace(P * self.V) - self.dim + other.log_det - self.log_det + precise_dot(shift, P * shift)
        return float(twice / 2)

    def jeffreys(self, other: Normal) -> float:
        """Jeffreys' divergence KL(self | other) + KL(other | self)."""
        return self.kl(other) + other.kl(self)

    def wasserstein(self, other: Normal) -> float:
        """W₂ for the cost |x − y|²: W₂² = |m₁ − m₂|² + tr(V₁ + V₂ − 2(V₁^½V₂V₁^½)^½)."""
        shift = self.m - self._beside(other).m
        squared = precise_dot(shift, shift) + trace(self.V + other.V) - 2 * correlation(self, other)
        return float(CONTEXT.sqrt(max(squared, 0)))

    def _beside(self, other: Normal) -> Normal:
        """The other, where it is a normal distribution on this space."""
        if not isinstance(other, Normal) or other.dim != self.dim:
            raise ValueError(f"other={shown(other)}: give a Normal in {self.dim} dimensions")
        return other


def correlation(a: Normal, b: Normal) -> Scalar:
    """Largest E[(x−m₁)·(y−m₂)] of all couplings, tr(V₁^½V₂V₁^½)^½, with all digits."""
    F = cholesky(a.V)
    return trace(root(F.T * b.V * F))


def definite(matrix: ArrayLike | Matrix, name: str) -> Matrix:
    """Check that a matrix is finite, square, symmetric to rounding and positive definite."""
    out = precise(matrix)
    if out.rows != out.cols:
        raise ValueError(f"{name} is {out.rows} × {out.cols}: give a square matrix")
    values = square(out)
    if not np.isfinite(values).all():
        raise ValueError(f"{name}={shown(values.tolist())}: every entry must be finite")
    if not np.allclose(values, values.T, rtol=0, atol=1e-12 * np.abs(values).max()):
        raise ValueError(f"{name} is not symmetric: take ½({name} + {name}ᵀ)")
    if not (least := least_eigenvalue(out)) > 1e-30 * np.abs(values).max():
        raise ValueError(
            f"{name} has the eigenvalue {least:.3g} ≤ 0: it must be positive definite; "
            "leave out directions without variance, or add a multiple of the identity"
        )
    return out
