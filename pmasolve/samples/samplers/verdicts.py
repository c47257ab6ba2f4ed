"""Whether a fitted law is that of its points: these must come to the reference, and be no less likely than by a normal law.

The map that carries points to the reference is a bijection, so that the total variation between the law of samples and that of the
points is that between the reference and the law of the carried points.  Along any direction, and of any norm, the distance of
Kolmogorov and Smirnov is a bound below on it: a share of samples that are misplaced, whatever the unit and the dimension.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtr, ndtr

from ...machine.arrays import Array
from ...problems.outcomes import OVERFITTING, REACHED, REFERENCE_NOT_REACHED, Outcome
from .reference import Reference

MISPLACED = 0.05  # of the samples, at least: fewer are let pass
DOUBT = 1e-3  # that an exact map is found wanting
POINTS_LOOKED_AT = 20_000  # points that are looked at: their noise is less than a third of what is let pass
WORSE, DEVIATIONS = 0.05, 3.0  # nats by which held-out points are less likely than by a normal law, and standard errors
FAR_SAMPLE = 10.0  # times as far from the mean as all data, where no sample may lie


@dataclass(frozen=True)
class Distance:
    """How far carried points are from the reference.

    Parameters
    ----------
    share : the largest distance of Kolmogorov and Smirnov along the directions that were looked at, of samples misplaced.
    noise : what points of the reference itself exceed with probability 10⁻³ at most (Dvoretzky, Kiefer, Wolfowitz; Massart).
    where : the direction, in words.
    """

    share: float
    noise: float
    where: str

    @property
    def told_apart(self) -> bool:
        """Whether the points are surely not those of the reference, by more than is let pass."""
        return self.share > max(self.noise, MISPLACED)


def distance(y: Array, reference: Reference) -> Distance:
    """Of points y (n, d) from the reference, in standard units w of that.

    Looked at along the coordinates, by |w|, which has the law χ_d, and along the mean and the principal axes of the points.  These
    are chosen by the points themselves, which lie off along them by chance: √(d/n)/2 more are let pass there.

    Parameters
    ----------
    y : (n, d), n ≥ 2; 20 000 of them, drawn at random, if there are more.
    reference : e^{−g}.

    Examples
    --------
    >>> nu = Reference.of(None, 2)
    >>> y = nu.sample(2000, seed=1)
    >>> distance(y, nu).told_apart, distance(y + [0.3, 0.0], nu).told_apart, distance(1.2 * y, nu).told_apart
    (False, True, True)
    """
    some = (
        y if len(y) <= POINTS_LOOKED_AT else y[np.random.default_rng(0).choice(len(y), POINTS_LOOKED_AT, replace=False)]
    )
    w, (n, d) = reference.white(some), some.shape
    mean, axes = w.mean(axis=0), np.linalg.eigh(np.cov(w.T).reshape(d, d))[1].T
    size = np.linalg.norm(mean)
    directions = np.concatenate([np.eye(d), mean[None] / size if size else axes[:1], axes])
    shares = [_kolmogorov(chdtr(d, np.sum(w**2, axis=1))), *(_kolmogorov(ndtr(w @ u)) for u in directions)]
    noise = np.full(len(shares), np.sqrt(np.log(2 * len(shares) / DOUBT) / (2 * n)))
    noise[d + 1 :] += 0.5 * np.sqrt(d / n)
    words = ["in norm", *(f"in coordinate {i}" for i in range(d)), "along their mean", *["along a principal axis"] * d]
    worst = int(np.argmax(shares - np.maximum(noise, MISPLACED)))
    return Distance(shares[worst], float(noise[worst]), words[worst])


def _kolmogorov(levels: Array) -> float:
    """sup|F_n − F| of the values F(x_i)."""
    steps, ordered = np.arange(len(levels) + 1) / len(levels), np.sort(levels)
    return float(max(np.max(steps[1:] - ordered), np.max(ordered - steps[:-1])))


def verdict(y: Array, reference: Reference) -> Outcome:
    """Of points that were fitted, carried to y (n, d): `REACHED`, or `REFERENCE_NOT_REACHED` with the share that is misplaced."""
    found = distance(y, reference)
    if not found.told_apart:
        return REACHED
    return REFERENCE_NOT_REACHED.advising(
        f"some {found.share:.0%} of the samples are misplaced: the points that were fitted are carried off the reference "
        f"{found.where} (by chance {found.noise:.0%}); take more or longer steps, or a larger family"
    )


def against_normal(held: Array, x: Array, log_likelihood: Array) -> Outcome:
    """Of points that were not fitted: `REACHED`, or `OVERFITTING` where a normal law makes them clearly more likely.

    Parameters
    ----------
    held : (h, d).
    x : (n, d) the points that were fitted.
    log_likelihood : (h,) of the held-out points, by the law that was found.
    """
    covariance = np.cov(x.T).reshape(x.shape[1], -1)
    normal = Reference(x.mean(axis=0), np.linalg.cholesky(covariance)).log_density(held)
    worse = normal - log_likelihood
    mean, error = float(np.mean(worse)), float(np.std(worse)) / np.sqrt(len(worse))
    if mean <= max(WORSE, DEVIATIONS * error):
        return REACHED
    return OVERFITTING.advising(
        f"points that were not fitted have {-np.mean(log_likelihood):.3g} nats, by a normal law {-np.mean(normal):.3g}: "
        "take a smaller family, shorter steps or more points"
    )


def within(data: Array, samples: Array) -> Outcome:
    """`REACHED`, or `OVERFITTING` where samples lie far beyond all data: a share too small to be seen in the carried points.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((100, 2))
    >>> within(x, 2 * x).ok, within(x, np.append(x, [[0.0, 90.0]], axis=0)).ok
    (True, False)
    """
    far, near = (float(np.max(np.linalg.norm(points - data.mean(axis=0), axis=1))) for points in (samples, data))
    if far <= FAR_SAMPLE * near:
        return REACHED
    return OVERFITTING.advising(
        f"some samples lie {far / near:.3g} times as far out as any of the data: take fewer ridges or blocks, a larger "
        "least (of ConvexBlocks), or more points"
    )
