"""Clouds: weighted points in ℝᵈ or on a torus, with the integral, mean and norms of their weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..machine.arrays import Array, real, shown
from .nodes import Whole
from .points import Places, rows

FARTHEST = 1e150  # the square of a larger number may be infinite


def finite(array: ArrayLike, name: str, shape: tuple[int, ...], rule: str) -> Array:
    """One finite number for each node, as a contiguous float64 copy; ``rule`` says what another shape means."""
    out = real(array, name)
    if out.shape != shape:
        hint = f"; drop the axes of one point, {name}.squeeze()" if np.squeeze(out).shape == shape else ""
        raise ValueError(f"{name} has shape {out.shape}, {rule.format(shape)}{hint}")
    if not np.isfinite(out).all():
        raise ValueError(f"{name} has {np.count_nonzero(~np.isfinite(out))} NaN or infinite values: clean it first")
    return out


def _masses(weights: ArrayLike, n: int) -> Array:
    """Checked and normalised, without overflow."""
    out = finite(weights, "weights", (n,), "the cloud has {}: give one number for each point")
    if (bad := np.count_nonzero(out < 0)) > 0:
        raise ValueError(f"weights has {bad} negative values (least {out.min():.3g}): masses are ≥ 0")
    if not out.any():
        raise ValueError(
            "weights are all zero: a cloud needs mass somewhere (sums other than 1 are normalised for you)"
        )
    out /= out.max()
    return out / out.sum()


@dataclass(frozen=True, eq=False)
class Cloud(Whole):
    """Weighted points in ℝᵈ, or on a torus when ``period`` is given (points are then wrapped into it).

    Parameters
    ----------
    points : (n, dim) coordinates.
    weights : (n,) masses ≥ 0 with a positive sum, normalised here; uniform unless given.
    period : None for ℝᵈ, or one period for each coordinate.

    Raises
    ------
    ValueError : non-finite points, negative or non-finite or all-zero weights, shapes that disagree.

    Notes
    -----
    Values at the points are arrays (n,), vectors (n, dim) as the points are; integral, mean, and L² norm use the weights.
    Where points are asked for a cloud may be given: it says that rows are points, which an array (dim, dim) leaves open.

    Examples
    --------
    >>> Cloud([[0.0], [1.5]], weights=[1, 3], period=1.0).points.ravel()
    array([0. , 0.5])
    """

    points: Array
    weights: Array | None = None
    period: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        points = real(self.points, "points")
        if points.ndim != 2 or points.size == 0:
            hint = ", points[:, None] for points on a line" if points.ndim == 1 else ""
            raise ValueError(f"points of shape {points.shape}: give a finite array of shape (n, dim), n ≥ 1{hint}")
        points = finite(points, "points", points.shape, "")
        if (size := float(np.max(np.abs(points)))) > FARTHEST:
            raise ValueError(
                f"points as large as {size:.3g}: squared distances would overflow; take another unit of length"
            )
        n, dim = points.shape
        weights = np.full(n, 1.0 / n) if self.weights is None else _masses(self.weights, n)
        if self.period is not None:
            period = tuple(np.ravel(real(self.period, "period")).tolist())
            period = period * dim if len(period) == 1 else period
            if len(period) != dim or not all(0 < p < np.inf for p in period):
                raise ValueError(
                    f"period={shown(self.period)}: give one positive period, or one for each of {dim} axes"
                )
            points = points - np.floor(points / period) * period
            object.__setattr__(self, "period", period)
        object.__setattr__(self, "points", points)
        object.__setattr__(self, "weights", weights)

    @property
    def size(self) -> int:
        """Number of points n."""
        return self.points.shape[0]

    @property
    def dim(self) -> int:
        """Dimension of the space."""
        return self.points.shape[1]

    @property
    def shape(self) -> tuple[int]:
        """Shape (n,) of the arrays of values."""
        return (self.size,)

    @property
    def reflects(self) -> bool:
        """False: a cloud has no walls."""
        return False

    @property
    def periods(self) -> tuple[float, ...] | None:
        """The periods of the torus that the points live on, (dim,); None in ℝᵈ."""
        return self.period

    @property
    def farthest(self) -> tuple[float, ...] | None:
        """The largest distance along each axis, half a period; None in ℝᵈ."""
        return None if self.period is None else tuple(0.5 * period for period in self.period)

    def extent(self, other: Cloud) -> float:
        """The largest distance along an axis: half a period, or the spread of this cloud and another."""
        if self.farthest is not None:
            return max(self.farthest)
        return float(np.max(np.ptp(np.concatenate([self.points, other.points]), axis=0)))

    def placed(self) -> Places:
        """The points of the cloud as `Places`, for what evaluates at points."""
        return rows(self.points)

    def __repr__(self) -> str:
        return f"<Cloud of {self.words}>"

    @property
    def words(self) -> str:
        """In a few words: "400 points in 2 dimensions"."""
        where = "" if self.period is None else f", periods {shown(self.period)}"
        return f"{self.size} point{'s' * (self.size > 1)} in {self.dim} dimension{'s' * (self.dim > 1)}{where}"

    @property
    def facts(self) -> dict[str, str]:
        """What a summary tells besides: nothing, its words say all."""
        return {}

    @property
    def measured(self) -> str:
        """What a measure has at the nodes: "400 points in 2 dimensions, masses"."""
        return f"{self.words}, masses"

    @property
    def description(self) -> dict[str, Any]:
        """The cloud in numbers, lists and words, for files that hold its points apart."""
        return {"type": "Cloud", "size": self.size, "period": None if self.period is None else list(self.period)}

    @property
    def signature(self) -> Array:
        """What tells this cloud from others, but for the weights: points, and the period in a last row (∞ in ℝᵈ)."""
        return np.vstack([self.points, self.period or (np.inf,) * self.dim])

    def __eq__(self, other: object) -> bool:
        """Whether points, weights and period are equal, number for number."""
        if not isinstance(other, Cloud):
            return NotImplemented
        same = self.period == other.period and np.array_equal(self.points, other.points)
        return same and np.array_equal(self.weights, other.weights)

    def __hash__(self) -> int:
        return hash((self.points.shape, self.period, float(self.points[0, 0])))

    def integral(self, values: Array) -> float:
        """Σ weights·values; nodes without mass do not count, whatever their value."""
        return float(np.sum(np.multiply(self.weights, values, out=np.zeros(self.size), where=self.weights > 0)))

    def mean(self, values: Array) -> float:
        """Average of the values: the integral, as the weights sum to 1."""
        return self.integral(values)

    def centred(self, values: Array) -> Array:
        """The values less their weighted mean: potentials are determined up to a constant."""
        return values - self.mean(values)

    def sup(self, values: Array) -> float:
        """sup |values| over all points, of the Euclidean length for vectors of shape (n, dim)."""
        return float(np.max(np.abs(values) if values.ndim == 1 else np.sqrt(np.sum(values**2, axis=1))))

    def l2(self, values: Array) -> float:
        """(weighted average of |values|²)^½, of values (n,) or vectors (n, dim)."""
        return float(np.sqrt(self.integral(values**2 if values.ndim == 1 else np.sum(values**2, axis=1))))

    def values(self, array: ArrayLike, name: str) -> Array:
        """Check that ``array`` holds one finite number for each point and return it as contiguous float64."""
        return finite(array, name, self.shape, "the cloud has {}: give one number for each point")
