"""Whether a map covers the modes of a posterior: minima of f from many starts, and the map's density there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import minimize

from ...machine.arrays import Array
from ...problems.grids import Cloud
from ...problems.points import Points
from .posteriors import Posterior

STARTS = 32
REACH = 3.0  # spreads of the start's normal law from which is started
SAME = 1e-2  # of a spread: minima nearer than that are one
DEPTH = 12.0  # nats above the deepest minimum beyond which one has no mass worth a word
MISSED = 3.0  # nats by which the map's density may lie below the posterior's


@dataclass(frozen=True, eq=False)
class Modes:
    """Minima of f.

    Attributes
    ----------
    at : (k, d).
    missing : (k,) log of the posterior's density over the map's, at each.
    """

    at: Array = field(repr=False)
    missing: Array

    @property
    def covered(self) -> bool:
        """No mode has a density of the map below e⁻³ of the posterior's."""
        return bool((self.missing < MISSED).all())

    @property
    def words(self) -> str:
        """For advice."""
        worst = int(np.argmax(self.missing)) if len(self.missing) else 0
        count = int(np.count_nonzero(self.missing >= MISSED))
        place = np.array2string(self.at[worst], precision=3, threshold=6) if len(self.at) else ""
        return f"{count} of {len(self.at)} modes found, as that at {place}, are not reached"


def missed(log_density: Callable[[Points], Array], posterior: Posterior, log_z: float, seed: int) -> Modes:
    """Minima of f found by 32 descents from a law three times as wide as the start's, and how the map covers them.

    Parameters
    ----------
    log_density : of the map, points (n, d) ↦ (n,).
    posterior : f and its gradient.
    log_z : log ∫e^{−f}.
    seed : of the starts.
    """
    d, scale = posterior.dim, np.linalg.cholesky(posterior.covariance)
    starts = posterior.mean + REACH * np.random.default_rng(seed).standard_normal((STARTS, d)) @ scale.T
    found: list[Array] = []
    for start in starts:
        end = minimize(
            lambda x: float(posterior.f(x[None])[0]),
            start,
            jac=lambda x: posterior.grad_f(x[None])[0],
            method="L-BFGS-B",
        )
        near = SAME * np.sqrt(np.trace(posterior.covariance))
        if np.isfinite(end.fun) and all(np.linalg.norm(end.x - other) > near for other in found):
            found.append(np.asarray(end.x))
    at = np.array(found).reshape(-1, d)
    depth = np.asarray(posterior.f(at))
    at, depth = at[depth < depth.min() + DEPTH], depth[depth < depth.min() + DEPTH]
    return Modes(at, -depth - log_z - log_density(Cloud(at)))
