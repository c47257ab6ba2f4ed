"""The sampler as a density estimator of scikit-learn, the extra ``learn``: fit, score_samples, sample."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...flows.loop import evolve
from ...machine.arrays import Array, integer
from ...machine.extras import extra
from ...problems.grids import Cloud
from .choosing import affordable, borne
from .implicit import ImplicitSampler
from .problems import SampleProblem
from .sampler import Sampler, as_sampler

with extra("learn"):
    from sklearn.base import BaseEstimator, DensityMixin
    from sklearn.utils import check_random_state
    from sklearn.utils.validation import check_is_fitted, validate_data

FEW_TO_HOLD_OUT = 200  # points, below which none is held out


class SamplerDensity(DensityMixin, BaseEstimator):
    """Density estimation by `ImplicitSampler`, with the face of scikit-learn's `GaussianMixture`.

    Parameters
    ----------
    anchors : of the log-sum-exp potential, at most; fewer where there are few points, so that four points come on a parameter.
        None: chosen by the likelihood of points that are not fitted (`choose_family`), and below 100 points by that rule.
    steps : at most.
    held_out : share of the points that is not fitted but used to see overfitting, for 200 points or more.
    random_state : of the start and of the points that are held out.

    Attributes
    ----------
    sampler_ : the `Sampler` that was found.
    n_features_in_ : the dimension.

    Raises
    ------
    ValueError : in `fit`, points that have no density: fewer than parameters, constant columns, NaN.

    Notes
    -----
    ``sampler_.outcome`` says how the fit ended: one that overfits is kept at its best.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((300, 2))
    >>> found = SamplerDensity(anchors=4).fit(x)
    >>> found.score_samples(x).shape, found.sample(5, random_state=1).shape, bool(-2.95 < found.score(x) < -2.7)
    ((300,), (5, 2), True)
    """

    def __init__(
        self, anchors: int | None = None, steps: int = 60, held_out: float = 0.1, random_state: int | Any | None = 0
    ) -> None:
        self.anchors = anchors
        self.steps = steps
        self.held_out = held_out
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: object = None) -> SamplerDensity:
        """Fit to points (n, d)."""
        x = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        problem = SampleProblem(x, held_out=self.held_out if len(x) >= FEW_TO_HOLD_OUT else 0.0)
        family = (
            affordable(problem, seed, False)
            if self.anchors is None
            else borne(*x.shape, integer(self.anchors, "anchors"))
        )
        flow = ImplicitSampler(problem, family, seed=seed)
        run = evolve(flow, flow.times(integer(self.steps, "steps"))[-1:], throw=False, progress=False)
        self.sampler_ = as_sampler(run)
        return self

    def score_samples(self, X: ArrayLike) -> Array:
        """log-density at points, (n,)."""
        return self._fitted().log_density(Cloud(validate_data(self, X, dtype=np.float64, reset=False)))

    def score(self, X: ArrayLike, y: object = None) -> float:
        """The mean log-density, as `GaussianMixture` has it."""
        return float(np.mean(self.score_samples(X)))

    def sample(self, n_samples: int = 1, random_state: int | Any | None = None) -> Array:
        """Points (n_samples, d)."""
        return self._fitted().sample(n_samples, int(check_random_state(random_state).randint(2**31 - 1)))

    def _fitted(self) -> Sampler:
        check_is_fitted(self)
        return self.sampler_
