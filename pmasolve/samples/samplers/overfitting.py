"""Whether a law that was fitted to points is worth more than the normal law of the same points."""

from __future__ import annotations

import numpy as np

from ...machine.arrays import Array
from .reference import Reference

SMALLER = "fewer anchors (choose_family), or more points"
ENOUGH_HELD_OUT = 20  # held-out points from which they alone may say that it is
CLEAR_DEVIATIONS = 2.0  # standard errors
# Nats that held-out points bear, that fitted ones do, and that count as nothing
HELD_OUT_LOSS, FITTED_LOSS, SAME = 0.05, 0.02, 1e-3


def normal_of(x: Array) -> tuple[Reference, int]:
    """The normal law with the moments of points x (n, d), and its numbers; of independent coordinates where points are few.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((9, 3))
    >>> normal_of(np.repeat(x, 3, axis=0))[1], normal_of(x)[1]
    (9, 6)
    """
    n, d = x.shape
    full = d + d * (d + 1) // 2
    if n > 2 * full:
        return Reference(x.mean(axis=0), np.linalg.cholesky(np.cov(x.T).reshape(d, d))), full
    return Reference(x.mean(axis=0), np.diag(x.std(axis=0))), 2 * d


def flattered(free: int, count: int) -> float:
    """Nats by which fitted points are likelier than fresh ones, p/(n − p − 1) for p numbers and n points; ∞ where p ≥ n − 1.

    Hurvich, Tsai, Regression and time series model selection in small samples, Biometrika 76, 1989.
    """
    return free / (count - free - 1) if free < count - 1 else np.inf


def no_better(worse: Array, gap: float) -> str:
    """What is against a law, in words; empty where nothing is.

    Held-out points speak where they are clear, and for the law where they are many as well.  Otherwise the fitted ones do.

    Parameters
    ----------
    worse : (h,) −log-densities of held-out points, less those of the normal law with the moments of the fitted points.
    gap : the mean of the same over the fitted points, with what each law is flattered by.

    Examples
    --------
    >>> no_better(np.full(30, -0.5), 0.3), no_better(np.full(30, 0.2), -0.3)
    ('', 'held-out points have 0.200 nats more than by a normal law')
    >>> no_better(np.full(6, -0.5), 0.3)
    'fresh points would have some 0.300 nats more than by a normal law, as far as the fitted ones can tell'
    """
    mean, error = (float(np.mean(worse)), float(np.std(worse)) / np.sqrt(worse.size)) if worse.size else (0.0, np.inf)
    if worse.size and not mean <= max(SAME, min(HELD_OUT_LOSS, CLEAR_DEVIATIONS * error)):  # not a number is no better
        return f"held-out points have {mean:.3f} nats more than by a normal law"
    if not gap <= FITTED_LOSS and not (worse.size >= ENOUGH_HELD_OUT and mean < -CLEAR_DEVIATIONS * error):
        return (
            f"fresh points would have some {gap:.3f} nats more than by a normal law, as far as the fitted ones can tell"
        )
    return ""
