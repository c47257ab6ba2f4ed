"""Up to which r do n samples stand for the law they come from?

As r → ∞ the posterior of an empirical measure settles on the sample that y came from, and L → 0 whatever the law; before that, L is
the covariance of a handful of samples.  Two signs of it: a half of the samples sees another L at draws from the other half than at
its own (many dimensions), and too few samples share the weight, m = 1/Σw², for a covariance of effective rank k = tr Cov/L: its own
relative error is about ((1 + k)/m)^½ (few dimensions).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import kstwobign

from ...machine.arrays import Array, integer
from ...problems.clouds import Cloud
from .complexity import as_source
from .points import Points
from .sources import signal_to_noise

FLUCTUATION = 0.2  # relative error of L that is accepted
SURVIVAL_TOLERANCE = 0.1  # of the distance of two survivals, beside what the draws explain


@dataclass(frozen=True, eq=False)
class Resolution:
    """The split-half comparison.

    Attributes
    ----------
    snr : (m,) the r.
    own : (m, k) L_r of one half at draws from the same half.
    held_out : (m, k) L_r of that half at draws from the other.
    gap : (m,) sup_u |s_own(u) − s_held_out(u)|.
    noise : what two sets of k draws from one law differ by at most, at 99 %.
    sharing : (m,) median of 1/Σw² at draws from the same half: how many samples share the weight.
    fluctuation : (m,) median of ((1 + tr Cov/L) Σw²)^½: the relative error of L for so few samples.

    Examples
    --------
    >>> cloud = np.random.default_rng(1).standard_normal((400, 2))
    >>> resolution(cloud, [0.1, 0.5, 2.0, 8.0], draws=200).limit
    0.5
    """

    snr: Array
    own: Array
    held_out: Array
    gap: Array
    noise: float
    sharing: Array
    fluctuation: Array

    @property
    def resolved(self) -> Array:
        """(m,) whether, at this r and all smaller ones, the halves agree up to noise and a tenth, and L is known to a fifth."""
        return np.logical_and.accumulate(
            (self.gap <= self.noise + SURVIVAL_TOLERANCE) & (self.fluctuation <= FLUCTUATION)
        )

    @property
    def limit(self) -> float:
        """The largest r of the list that is resolved; NaN if none is."""
        return float(self.snr[self.resolved][-1]) if self.resolved.any() else float("nan")


def resolution(
    samples: Points | Cloud | ArrayLike, snr: Sequence[float] | ArrayLike, *, draws: int = 1024, seed: int = 0
) -> Resolution:
    """Compare L_r of one half of the samples at draws from that half and from the other.

    Parameters
    ----------
    samples : (n, d) or (n,), a `Cloud`, or `Points`; at least 4.
    snr : (m,) the r, ascending.
    draws : of Y from each half, at every r.
    seed : of the split and the draws.

    Returns
    -------
    Resolution : ``limit``, the largest r of the list that is resolved, and what it is judged by.

    Raises
    ------
    ValueError : a law that is no set of samples, too few of them, r that are not positive and ascending, draws
        or a seed that are no whole numbers ≥ 1, ≥ 0.

    Notes
    -----
    One half has half the samples: all of them resolve a little more.  Cost: five times that of `complexity` for half the samples.

    Examples
    --------
    >>> cloud = np.random.default_rng(1).standard_normal((400, 5))
    >>> found = resolution(cloud, [0.05, 0.1, 3.0, 30.0], draws=200)
    >>> found.resolved
    array([ True,  True, False, False])
    """
    law = as_source(samples)
    if not isinstance(law, Points) or law.size < 4:
        raise ValueError(f"{type(law).__name__}: a resolution belongs to samples, 4 or more; exact laws have none")
    ratios = [signal_to_noise(r) for r in np.atleast_1d(snr)]
    if not np.all(np.diff(ratios) > 0):
        raise ValueError(f"snr of shape {np.shape(snr)}: give the r in ascending order, each once")
    draws, seed = integer(draws, "draws"), integer(seed, "seed", 0)
    first, second = (law.half(which, np.random.default_rng(seed)) for which in (0, 1))
    rng = np.random.default_rng(seed + 1)
    x, other = first.draw(draws, rng), second.draw(draws, rng)
    z, noises = rng.standard_normal(x.shape), rng.standard_normal(x.shape)
    own = np.stack([np.sort(first.curvature(r, r * x + z)) for r in ratios])
    held = np.stack([np.sort(first.curvature(r, r * other + noises)) for r in ratios])
    sharing = [first.effective_points(r, r * x + z) for r in ratios]
    rough = [np.median(np.sqrt(_rank(first, r, r * x + z) / m)) for r, m in zip(ratios, sharing, strict=True)]
    gap = np.array([_gap(a, b) for a, b in zip(own, held, strict=True)])
    noise = float(kstwobign.isf(0.01) * np.sqrt(2 / draws))
    return Resolution(np.array(ratios), own, held, gap, noise, np.median(sharing, axis=1), np.array(rough))


def _rank(law: Points, r: float, y: Array) -> Array:
    """1 + tr Cov/L; 1 where a single sample has all the weight."""
    L = law.curvature(r, y)
    return 1 + law.posterior(r, y).trace / np.where(L > 0, L, np.inf)


def _gap(a: Array, b: Array) -> float:
    """Largest distance of two empirical distribution functions of sorted values; what agrees to rounding counts as equal."""
    grid = np.concatenate([a, b]) + 1e-9
    return float(np.max(np.abs(np.searchsorted(a, grid) / a.size - np.searchsorted(b, grid) / b.size)))
