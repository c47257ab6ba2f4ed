"""Noise schedules of diffusion models, laid over the curvature of a law: where the bottleneck is, and steps that respect it.

With r² = 1/(e^{2t} − 1) a step dt is −d log r/(1 + r²), and ζ*_M dt = δ_M(r) |d log r| with δ_M = max_δ (δ − M h(δ, r)).  A step of
Euler's map stretches by 1 + (1 − ζ) dt: the logarithms of the stretches sum up the monitor |1/(1 + r²) − δ_M(r)| over log r.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...machine.arrays import Array
from .complexity import Complexity, complexity
from .diffusion import Diffusion
from .sources import Source

LEAST_DENSITY_OF_STEPS = 0.05  # of the monitor: no stretch of log r goes without steps


@dataclass(frozen=True, eq=False)
class Schedule:
    """The signal-to-noise ratios at which a denoiser takes its steps, ascending; the last step ends at r = ∞.

    Parameters
    ----------
    snr : (k,) r > 0, ascending.
    name : for tables and figures.

    Raises
    ------
    ValueError : r that are not positive and ascending.

    Examples
    --------
    >>> Schedule.exploding(3, least=0.1, largest=10.0).snr.round(6)
    array([ 0.1,  1. , 10. ])
    """

    snr: Array
    name: str = "listed"

    def __post_init__(self) -> None:
        r = np.asarray(self.snr, dtype=np.float64)
        if r.ndim != 1 or r.size == 0 or not np.all(r > 0) or not np.all(np.diff(r) > 0) or not np.isfinite(r).all():
            raise ValueError(f"snr of shape {r.shape}: give finite r > 0 in ascending order, each once")
        object.__setattr__(self, "snr", r)

    @classmethod
    def of_signal(cls, kept: Array, name: str) -> Schedule:
        """From ᾱ, the kept share of the signal's variance: r² = ᾱ/(1 − ᾱ); ᾱ in (0, 1), in any order."""
        values = np.sort(np.asarray(kept, dtype=np.float64))
        return cls(np.sqrt(values / (1 - values)), name)

    @classmethod
    def variance_preserving(cls, steps: int, low: float = 0.1, high: float = 20.0) -> Schedule:
        """ᾱ(u) = exp(−low·u − ½(high − low)u²), u = 1/k … 1: noise of linearly growing rate (Ho et al. 2020, Song et al. 2021)."""
        u = np.arange(1, steps + 1) / steps
        return cls.of_signal(np.exp(-low * u - 0.5 * (high - low) * u**2), "variance preserving")

    @classmethod
    def exploding(cls, steps: int, least: float = 0.01, largest: float = 100.0) -> Schedule:
        """r in geometric progression: noise of σ = 1/r added to the signal (Song and Ermon 2019)."""
        return cls(np.geomspace(least, largest, steps), "variance exploding")

    @classmethod
    def cosine(cls, steps: int, offset: float = 0.008, last: float = 0.9999) -> Schedule:
        """ᾱ(u) = cos²(½π (u + offset)/(1 + offset)), u = 1/k … ``last`` (Nichol and Dhariwal 2021)."""
        u = np.minimum(np.arange(1, steps + 1) / steps, last)
        return cls.of_signal(np.cos(0.5 * np.pi * (u + offset) / (1 + offset)) ** 2, "cosine")

    @classmethod
    def uniform(cls, steps: int, eta: float) -> Schedule:
        """The paper's: t = η, 2η, …, kη with r² = 1/(e^{2t} − 1)."""
        return cls(1 / np.sqrt(np.expm1(2 * eta * np.arange(steps, 0, -1))), "uniform in time")

    @property
    def times(self) -> Array:
        """(k + 1,) the times t = ½ log(1 + 1/r²) of the diffusion with β = 1, falling, and 0."""
        return np.append(0.5 * np.log1p(1 / self.snr**2), 0.0)

    def over(self, source: Source, M: float, *, draws: int = 2048, seed: int = 0) -> Laid:
        """Lay the steps over ζ*_M of a source; exact on the line, from draws otherwise.

        Parameters
        ----------
        M : ≥ 1; how many times denser than µ_t the places may be between which mass is moved.
        """
        return Laid(self, complexity(source, self.snr, draws=draws, seed=seed), float(M))


@dataclass(frozen=True, eq=False)
class Laid:
    """A schedule over the curvature of a law.

    Attributes
    ----------
    schedule : its r.
    found : the complexity at these r.
    M : of ζ*_M.
    """

    schedule: Schedule
    found: Complexity
    M: float

    @property
    def curvature(self) -> Array:
        """(k,) ζ*_M at the steps."""
        return self.found.effective_curvature(self.M)

    @property
    def gains(self) -> Array:
        """(k,) η_k ζ*_M(t_k): what every step contributes to −log W₂; negative where it loses."""
        return -np.diff(self.schedule.times) * self.curvature

    @property
    def bottleneck(self) -> float:
        """The r of the step with the smallest ζ*_M."""
        return float(self.schedule.snr[np.argmin(self.curvature)])

    @property
    def stretches(self) -> Array:
        """(k,) η_k |1 − ζ*_M(t_k)|: how far every step's map is from a shift; large is coarse."""
        return -np.diff(self.schedule.times) * np.abs(1 - self.curvature)


def equidistributed(found: Complexity, steps: int, M: float, *, floor: float = LEAST_DENSITY_OF_STEPS) -> Schedule:
    """A schedule from the least to the largest r of a complexity, with equal parts of the monitor in its steps.

    The monitor |1/(1 + r²) − δ_M(r)| + floor, interpolated linearly in log r, is what Euler's maps stretch in each unit of log r.

    Parameters
    ----------
    found : at two r at least, dense enough to interpolate.
    steps : ≥ 2.
    M : ≥ 1, of ζ*_M.
    floor : > 0, added so that no stretch of log r goes without steps.

    Returns
    -------
    Schedule : of so many r.

    Raises
    ------
    ValueError : fewer than two steps or r, a floor that is not positive.

    Examples
    --------
    >>> found = complexity([-1.0, 1.0], snr=np.geomspace(0.1, 20, 40))
    >>> equidistributed(found, 10, 2.0).snr[[0, -1]].round(6)
    array([ 0.1, 20. ])
    """
    if steps < 2 or found.snr.size < 2 or not floor > 0:
        raise ValueError(
            f"steps={steps}, {found.snr.size} values of r, floor={floor}: give 2 or more of both, floor > 0"
        )
    place = np.log(found.snr)
    shrunk = found.effective_curvature(M) / (1 + found.snr**2)
    monitor = np.abs(1 / (1 + found.snr**2) - shrunk) + floor
    total = np.append(0.0, np.cumsum(0.5 * (monitor[1:] + monitor[:-1]) * np.diff(place)))
    inside = np.interp(np.linspace(0, total[-1], steps), total, place)
    return Schedule(np.exp(inside), "equidistributed")


def diffusion_times(chain: Diffusion, snr: Sequence[float] | Array) -> Array:
    """(k + 1,) the times of a diffusion, of any β, at which it has these r, falling, and 0."""
    return np.append(np.sort(chain.time(np.asarray(snr, dtype=np.float64)))[::-1], 0.0)
