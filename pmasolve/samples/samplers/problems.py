"""What a sampler is asked for: the law of samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.cluster.vq import kmeans2

from ...gaussian.normal import Normal
from ...machine.arrays import Array, number, real, shown
from ...machine.speaking import count
from ...problems.clouds import FARTHEST
from ...problems.outcomes import Outcome
from ..units import NEAREST_SPAN
from .inversion import INVERSE_TOL, inverse
from .objectives import GaussNewtonObjective, Likelihood
from .potentials import Parametric
from .reference import Nodes, Reference
from .units import Unit
from .verdicts import verdict

FAR_DEVIATIONS = 1e6  # standard deviations from the origin, beyond which inverses lose digits
FLAT = 1e-7  # standard deviation of a direction, over the largest, below which data are no density
REPEATED = 20  # one of so many points, or more: a value that the law repeats
LEAST_NODES = 1024  # of the reference, for Fisher matrices


@dataclass(frozen=True, eq=False, init=False)
class SampleProblem:
    """Samples of an unknown law μ, to be generated as (∇ψ)_# of a normal distribution.

    Parameters
    ----------
    data : (n, d) points, or (n,) in one dimension.
    reference : e^{−g}, a `gaussian.Normal`; N(0, I) unless given.
    held_out : the share of the points, at least 0 and below ½, that is not fitted but used to see overfitting.

    Raises
    ------
    ValueError : NaN or infinite entries; fewer than two points; a constant column, or directions without variance, where there is
        no density; a reference of another dimension.

    Examples
    --------
    >>> problem = SampleProblem(np.random.default_rng(0).standard_normal((500, 3)))
    >>> problem
    <SampleProblem of 500 points in 3 dimensions, 50 held out>
    """

    data: Array = field(repr=False)
    reference: Reference = field(repr=False)
    held_out: float

    def __init__(self, data: ArrayLike, reference: Normal | Reference | None = None, held_out: float = 0.1) -> None:
        x = _checked(data)
        share = number(held_out, "held_out")
        if not 0 <= share < 0.5:
            raise ValueError(f"held_out={held_out}: give a share of the points from 0 to below ½, for example 0.1")
        object.__setattr__(self, "data", x)
        object.__setattr__(self, "reference", Reference.of(reference, x.shape[1]))
        object.__setattr__(self, "held_out", share)

    def __repr__(self) -> str:
        n, d = self.data.shape
        return f"<SampleProblem of {n} points in {count(d, 'dimension')}, {self.held} held out>"

    @property
    def dim(self) -> int:
        """The dimension d."""
        return self.data.shape[1]

    @property
    def held(self) -> int:
        """How many points are held out, at most."""
        return int(self.held_out * len(self.data))

    @cached_property
    def unit(self) -> Unit:
        """In which the flows work: mean and spread of the points."""
        return Unit.of(self.data)

    @cached_property
    def standard(self) -> SampleProblem:
        """Points about their mean and over their spread, with what else was given."""
        return SampleProblem(self.unit.white(self.data), self.reference, self.held_out)

    @cached_property
    def copies(self) -> tuple[Array, Array]:
        """Which of the different points each one is, by number, (n,), and how often each of them comes."""
        _, first, label, counts = np.unique(
            self.data, axis=0, return_index=True, return_inverse=True, return_counts=True
        )
        order = np.argsort(first)
        return np.argsort(order)[label.reshape(-1)], counts[order]

    @property
    def together(self) -> tuple[Array, Array]:
        """`copies`, which are fitted or held out together; each row for itself where a value comes so often that it is of the law.

        Whole numbers, or zeros of a mixture: such values would hardly ever be held out as a whole, and the others too often.
        """
        label, counts = self.copies
        if counts.max() <= max(2, len(label) / REPEATED):
            return label, counts
        return np.arange(len(label)), np.ones(len(label), int)

    def split(self, seed: int) -> tuple[Array, Array]:
        """Rows that are fitted and rows that are held out; copies of one point stay `together`, or they would tell of it.

        Examples
        --------
        >>> fitted, held = SampleProblem([0.0, 1.0, 2.0, 3.0, 1.0, 4.0], held_out=0.4).split(1)
        >>> sorted(fitted.tolist() + held.tolist()), (1 in fitted) == (4 in fitted)
        ([0, 1, 2, 3, 4, 5], True)
        """
        label, counts = self.together
        order = np.random.default_rng(seed).permutation(len(counts))
        few = np.where(counts[order] <= self.held, counts[order], 0)
        out = np.zeros(len(counts), bool)
        out[order[(few > 0) & (np.cumsum(few) <= self.held)]] = True
        rows = np.argsort(np.argsort(order)[label], kind="stable")
        return rows[~out[label[rows]]], rows[out[label[rows]]]

    def seen(self, seed: int) -> SampleProblem:
        """The fitted points in standard units: a start that knew the others would flatter their likelihood."""
        return SampleProblem(self.standard.data[self.split(seed)[0]], self.reference, 0.0)

    @cached_property
    def mean(self) -> Array:
        """Of the points, (d,)."""
        return self.data.mean(axis=0)

    @cached_property
    def covariance(self) -> Array:
        """Of the points, (d, d)."""
        return np.cov(self.data.T).reshape(self.dim, self.dim)

    @property
    def finest(self) -> float:
        """n^{−½}: beyond the last of n points there is no telling how thin the tails are."""
        return float(len(self.data) ** -0.5)

    def anchors(self, count: int, seed: int) -> tuple[Array, Array, Array]:
        """k-means centres, their shares of the points, and the covariance around them."""
        if count == 1:
            return self.mean[None], np.ones(1), self.covariance
        if count > len(self.copies[1]):
            raise ValueError(
                f"{count} anchors for {len(self.copies[1])} different points: give fewer anchors, or more points"
            )
        centres, labels = kmeans2(self.data, count, minit="++", seed=np.random.default_rng(seed), iter=20)
        shares = np.maximum(np.bincount(labels, minlength=count), 0.5) / len(self.data)
        around = self.data - centres[labels]
        return centres, shares, around.T @ around / len(self.data)

    @property
    def different(self) -> int:
        """How many different points are fitted, at least: so many parameters are admitted."""
        return min(len(self.copies[1]), len(self.data) - self.held)

    def admit(self, count: int, smaller: str = "LogSumExp with fewer anchors or Span with fewer ridges") -> None:
        """Refuse more parameters than `different` points; ``smaller`` is the family that would be admitted."""
        if count > self.different:
            raise ValueError(
                f"{count} free parameters for {self.different} different points that are fitted: give more points, or "
                f"a smaller family: {smaller}"
            )

    def law(self, psi: Parametric, nodes: Nodes) -> tuple[Nodes, Array, None]:
        """All points in standard units, held out or not, and the reference's mean as first guess of their preimages."""
        n = len(self.data)
        return Nodes(self.standard.data, np.full(n, 1.0 / n)), np.tile(self.reference.mean, (n, 1)), None

    def verdict(self, psi: Parametric, record: Mapping[str, float], enough: float) -> Outcome:
        """Of a potential at rest: data have no KL to be judged by, and overfitting is seen on the way."""
        return self.reached(psi)

    def reached(self, psi: Parametric) -> Outcome:
        """Whether the points come to the reference, which they must by the time a run ends."""
        at = inverse(psi, self.standard.data, np.tile(self.reference.mean, (len(self.data), 1)), INVERSE_TOL)
        found, often = verdict(at[np.isfinite(at).all(axis=1)], self.reference), self.copies[1].max() / len(self.data)
        if found.ok or often * REPEATED <= 1:
            return found
        return found.advising(
            f"{found.advice}; one value is {often:.0%} of the points, which no density follows: to whole numbers add noise "
            "of the size of their rounding"
        )

    def objectives(self, count: int, seed: int) -> tuple[GaussNewtonObjective, ...]:
        """The one objective of `ImplicitSampler`: minus the mean log-likelihood, of points in standard units."""
        (fitted, held), x = self.split(seed), self.standard.data
        nodes = self.reference.sobol(max(LEAST_NODES, count // 20), seed)
        return (Likelihood(x[fitted], x[held], self.reference, nodes, self.unit, seed),)


def _checked(data: ArrayLike) -> Array:
    """Points (n, d) that can have a density."""
    x = real(data, "data")
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or len(x) < 2 or x.shape[1] < 1:
        raise ValueError(f"data of shape {x.shape}: give at least two points, (n, d)")
    if bad := int(np.count_nonzero(~np.isfinite(x).all(axis=1))):
        raise ValueError(f"data: {bad} of {len(x)} points have NaN or infinite entries: leave them out first")
    spans = x.max(axis=0) - x.min(axis=0)
    size, span = float(np.max(np.abs(x))), float(np.max(spans))
    if size > FARTHEST or 0 < span < NEAREST_SPAN:
        lost = f"points as large as {size:.3g}" if size > FARTHEST else f"points within {span:.3g} of each other"
        raise ValueError(f"data: {lost}: squares leave the range of float64; take another unit of length")
    deviations = x.std(axis=0)
    if flat := np.flatnonzero((deviations <= FLAT * deviations.max()) | (spans == 0)).tolist():
        raise ValueError(f"data: columns {shown(flat)} are constant, so that there is no density: leave them out")
    far = float(np.max(np.abs(x.mean(axis=0)) / deviations))
    if far > FAR_DEVIATIONS:
        raise ValueError(
            f"data: the mean lies {far:.2g} standard deviations from the origin, which costs digits: subtract it first"
        )
    roots = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(x.T).reshape(x.shape[1], -1)), 0.0))
    if not roots[0] > FLAT * roots[-1]:
        raise ValueError(
            f"data: {len(x)} points lie in a plane of {int(np.count_nonzero(roots > FLAT * roots[-1]))} of "
            f"{x.shape[1]} dimensions, so that there is no density: reduce them first (PCA), or give more points"
        )
    return x
