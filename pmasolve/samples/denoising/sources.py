"""What a source has to know: its draws, and the law of rX given Y = rX + Z = y, Z standard normal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from ...machine.arrays import Array, number, real


@dataclass(frozen=True, eq=False)
class DenoisingPosterior:
    """The law of rX given Y = y, at k points y.

    Attributes
    ----------
    log_density : (k,) log p_Y(y).
    mean : (k, d) E[rX | Y = y].
    trace : (k,) tr Cov(rX | Y = y).
    """

    log_density: Array
    mean: Array
    trace: Array


class Source(Protocol):
    """A law µ on ℝᵈ, seen through Y = rX + Z.  On the line a source also has ``cdf``."""

    @property
    def dim(self) -> int:
        """Dimension d."""
        ...

    def draw(self, count: int, rng: np.random.Generator, *, stratified: bool) -> Array:
        """(count, d) draws of X; ``stratified``: as many from every part of µ as its mass asks for, up to one."""
        ...

    def posterior(self, r: float, y: Array) -> DenoisingPosterior:
        """The law of rX given Y = y for the rows y (k, d)."""
        ...

    def curvature(self, r: float, y: Array) -> Array:
        """(k,) L_r(y) = ‖Cov(rX | Y = y)‖, the largest eigenvalue, for the rows y (k, d)."""
        ...

    def ceiling(self, r: float) -> float:
        """A number that L_r(y) exceeds at no y; ∞ where none is known."""
        ...

    def span(self, r: float) -> tuple[float, float]:
        """On the line, an interval outside which Y has a mass below 1e-17."""
        ...

    def cdf(self, x: Array) -> Array:
        """On the line, P(X ≤ x), of the shape of x."""
        ...

    def moments(self) -> tuple[Array, float]:
        """The mean (d,), and E|X − mean|²."""
        ...


def drawn_indices(masses: Array, count: int, rng: np.random.Generator, stratified: bool) -> Array:
    """(count,) indices drawn with these masses; ``stratified`` takes one from every ``count``-th part of the whole mass."""
    place = (np.arange(count) + rng.random(count)) / count if stratified else rng.random(count)
    edges = np.cumsum(masses)
    return np.minimum(np.searchsorted(edges, place * edges[-1], side="right"), masses.size - 1)


def signal_to_noise(r: float) -> float:
    """Check one r.

    Raises
    ------
    ValueError : r not a number, not positive, or not finite.
    """
    if not 0 < (value := number(r, "snr")) < np.inf:
        raise ValueError(f"snr={r}: Y = rX + Z needs a finite r > 0; r → 0 is noise alone")
    return value


def rows_of(y: ArrayLike, dim: int, name: str = "y") -> Array:
    """Points (k, d) from (k, d), or from (k,) on the line.

    Raises
    ------
    ValueError : another shape, or values that are not finite real numbers.
    """
    out = real(y, name)
    if dim == 1 and out.ndim <= 1:
        out = out.reshape(-1, 1)
    if out.ndim != 2 or out.shape[1] != dim:
        raise ValueError(f"{name} has shape {np.shape(y)}: give one row for each point, (k, {dim})")
    if not np.isfinite(out).all():
        raise ValueError(f"{name} has {np.count_nonzero(~np.isfinite(out))} NaN or infinite values: clean it first")
    return out
