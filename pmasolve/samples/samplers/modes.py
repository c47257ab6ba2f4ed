"""Whether a map is a posterior's: KL, effective samples, and modes, found as minima of f from many starts, that it misses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from scipy.optimize import minimize

from ...machine.arrays import Array
from ...problems.outcomes import LARGE_KL, LOW_ESS, MODES_MISSED, NOT_FINITE, REACHED, Outcome

REACHES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)  # spreads of the start's normal law from which is started
STARTS = 12  # from each
SAME_MINIMUM = 1e-2  # of a spread, a coordinate: minima nearer than that are one
DEPTH = 12.0  # nats above the deepest minimum beyond which one has no mass worth a word
MISSED = 3.0  # nats by which the map's density may lie below the posterior's
ENOUGH_ESS, ENOUGH_KL = 0.1, 0.05


class UnnormalisedDensity(Protocol):
    """A density known up to its constant, and a normal law that stands for its scale: `Posterior`."""

    @property
    def f(self) -> Callable[[Array], Array]:
        """−log density up to a constant, (n, d) ↦ (n,)."""
        ...

    @property
    def grad_f(self) -> Callable[[Array], Array]:
        """(n, d) ↦ (n, d)."""
        ...

    @property
    def mean(self) -> Array:
        """(d,)."""
        ...

    @property
    def covariance(self) -> Array:
        """(d, d)."""
        ...


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


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a map says of a posterior, at fresh points of the reference.

    Attributes
    ----------
    kl, kl_error : KL(ρ|μ) with log Z from the same points, and its standard error.
    log_z, log_z_error : log ∫e^{−f} by importance sampling, and its standard error.
    ess : effective share of the importance samples, in (0, 1].
    count : of fresh points.
    modes : minima of f that were found and how the map covers them.
    outcome : reached; "modes missed"; "low ess" below a tenth; "large kl".
    """

    kl: float
    kl_error: float
    log_z: float
    log_z_error: float
    ess: float
    count: int
    modes: Modes = field(repr=False)
    outcome: Outcome

    def __repr__(self) -> str:
        return (
            f"<Evidence: KL = {self.kl:.4f} ± {self.kl_error:.4f}, log Z = {self.log_z:.4f} ± {self.log_z_error:.4f}, "
            f"ESS {self.ess:.1%} of {self.count}, {self.outcome.name}>"
        )


def missed(log_density: Callable[[Array], Array], posterior: UnnormalisedDensity, log_z: float, seed: int) -> Modes:
    """Minima of f found by 72 descents from laws 1, 3, 10, … 300 times as wide as the start's, and how the map covers them.

    Parameters
    ----------
    log_density : of the map, points (n, d) ↦ (n,).
    posterior : f and its gradient.
    log_z : log ∫e^{−f}.
    seed : of the starts.
    """
    scale = np.linalg.cholesky(posterior.covariance)
    d = len(scale)

    def place(w: Array) -> Array:
        """In spreads of the start's law, so that the unit of x does not matter."""
        return (posterior.mean + scale @ w)[None]

    starts = np.repeat(REACHES, STARTS)[:, None] * np.random.default_rng(seed).standard_normal(
        (len(REACHES) * STARTS, d)
    )
    found: list[Array] = []
    with np.errstate(all="ignore"):  # f may overflow far off
        for start in starts:
            end = minimize(
                lambda w: float(posterior.f(place(w))[0]),
                start,
                jac=lambda w: scale.T @ posterior.grad_f(place(w))[0],
                method="L-BFGS-B",
            )
            new = all(np.linalg.norm(end.x - other) > SAME_MINIMUM * np.sqrt(d) for other in found)
            if np.isfinite(end.fun) and new:
                found.append(np.asarray(end.x))
        at = np.concatenate([place(w) for w in found] or [np.empty((0, d))])
        depth = np.asarray(posterior.f(at))
    kept = depth < depth.min(initial=np.inf) + DEPTH
    return Modes(at[kept], -depth[kept] - log_z - log_density(at[kept]))


def judged(told: Mapping[str, float], error: float, modes: Modes, enough: float) -> Outcome:
    """What KL (less two standard errors), effective samples and modes come to.

    Parameters
    ----------
    told : ``kl`` and ``ess``.
    error : standard error of ``kl``.
    modes : minima of f.
    enough : KL that counts as reached.
    """
    kl, ess = told["kl"], told["ess"]
    if not (np.isfinite(ess) and np.isfinite(kl)):
        return NOT_FINITE
    if not modes.covered:
        return MODES_MISSED.advising(f"{modes.words}: give the posterior a larger spread, or take more anchors")
    worth = f"importance samples are worth {ess:.2g} of as many exact ones"
    if ess < ENOUGH_ESS:
        return LOW_ESS.advising(f"{worth}: take more anchors, or a larger spread")
    if kl - 2 * error > enough:
        return LARGE_KL.advising(
            f"KL = {kl:.3g} > {enough:.3g}, {worth}: take more anchors, or weigh the samples by e^(−h)"
        )
    return REACHED
