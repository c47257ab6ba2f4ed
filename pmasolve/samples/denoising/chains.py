"""Diffuse, then denoise: a start ν₀ is carried forward by the diffusion and back by the maps of another law µ.

The forward chain brings laws together, W₂(ν_t, µ_t) ≤ e^{−t} W₂(ν₀, µ₀); the maps back move them apart where µ_t is curved the
wrong way.  What remains of W₂² after both is at most exp(−2 Σ η_k ζ*_M(t_k)), up to O(η) (theorem 4, where the places between which
mass moves are at most M times denser than µ_t).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...machine.arrays import Array, generator, integer, positive
from ...machine.progress import progress_bar
from ...problems.clouds import Cloud
from .complexity import as_source, complexity
from .diffusion import Backward, Diffusion, Euler
from .distances import LARGEST, probabilities, quantiles, w2_sampled
from .sources import Source

EULER = Euler()


@dataclass(frozen=True, eq=False)
class RoundTrip:
    """Two laws along the chains: ν from its start, µ from its own, both diffused and denoised.

    Attributes
    ----------
    chain : µ with its diffusion.
    start : ν₀.
    times : (k + 1,) falling from T to 0.
    denoised : (n, d) ν̂, what the maps back make of ν_T: quantiles in order on the line, draws otherwise.
    own : (n, d) µ̂, the same of µ_T.
    target : (n, d) µ: quantiles on the line, fresh draws otherwise.
    before, after : W₂(ν₀, µ) and W₂(ν_T, µ_T).
    shown : (j,) indices of ``times`` at which distances were taken.
    apart : (j,) W₂ of ν̂ and µ̂ there: what maps back do to the distance.
    from_target : (j,) W₂ of ν̂ and µ_t there, with the errors of the maps.

    Examples
    --------
    >>> from pmasolve import denoising
    >>> trip = denoising.diffuse_then_denoise(denoising.normal(0.5), denoising.normal(2.0), steps=20, eta=0.05)
    >>> bool(trip.after < np.exp(-1) * trip.before), trip.contraction**2 < trip.bound(2.0)
    (True, True)
    """

    chain: Diffusion
    start: Source
    times: Array
    denoised: Array
    own: Array
    target: Array
    before: float
    after: float
    shown: Array
    apart: Array
    from_target: Array

    @property
    def ratio(self) -> float:
        """W₂(ν̂, µ)/W₂(ν₀, µ): how much nearer to µ the round trip has brought ν₀."""
        return float(self.from_target[-1] / self.before)

    @property
    def contraction(self) -> float:
        """W₂(ν̂, µ̂)/W₂(ν₀, µ): the net gain of both chains, without the error of the maps on µ itself."""
        return float(self.apart[-1] / self.before)

    def bound(self, M: float, *, draws: int = 2048, seed: int = 0) -> float:
        """exp(−2 Σ η_k ζ*_M(t_k)): what theorem 4 allows for the square of ``contraction``, up to O(η).

        ζ*_M is exact on the line, drawn otherwise; see `complexity`.  Only as good as M: the largest density, relative to µ_t, of
        the places between which the coupling moves mass.
        """
        steps, times = -np.diff(self.times), self.times[:-1]
        found = complexity(self.chain.source, self.chain.snr(times), draws=draws, seed=seed)
        return float(np.exp(-2 * np.sum(steps * found.effective_curvature(M, self.chain.beta))))


def diffuse_then_denoise(
    source: Source | Cloud | ArrayLike,
    start: Source | Cloud | ArrayLike,
    steps: int,
    eta: float,
    *,
    backward: Backward = EULER,
    beta: float = 1.0,
    points: int | None = None,
    seed: int = 0,
    records: int = 11,
    progress: bool | None = None,
) -> RoundTrip:
    """Diffuse a start ν₀ for the time steps·η and denoise it with the scores of µ, in as many steps.

    Parameters
    ----------
    source : µ: samples, a mixture or another source.
    start : ν₀: `dirac()`, samples, a mixture.
    steps, eta : number and length of the steps.
    backward : `Euler` (the paper's), `Tweedie` or `ProbabilityFlow`.
    beta : inverse temperature of the diffusion.
    points : quantiles on the line (4096), draws otherwise (512, at most 4096).
    seed : of the draws, above one dimension.
    records : how often distances are taken on the way back.
    progress : a bar; None shows one on a terminal.

    Returns
    -------
    RoundTrip : both laws where they arrive, and W₂ on the way.

    Raises
    ------
    ValueError : no steps, a step that is not positive, dimensions that differ.

    Notes
    -----
    Forward laws are exact.  Above one dimension W₂ is that of samples, which is larger than that of the laws by their own
    distance to them, about n^{−1/d}.

    Examples
    --------
    >>> trip = diffuse_then_denoise([-1.0, 1.0], [0.0], steps=100, eta=0.01)
    >>> round(trip.ratio, 3)
    0.08
    """
    times = positive(eta, "eta", "a step", "0.01") * np.arange(integer(steps, "steps"), -1, -1.0)
    return round_trip(
        source, start, times, backward=backward, beta=beta, points=points, seed=seed, records=records, progress=progress
    )


def round_trip(
    source: Source | Cloud | ArrayLike,
    start: Source | Cloud | ArrayLike,
    times: Sequence[float] | ArrayLike,
    *,
    backward: Backward = EULER,
    beta: float = 1.0,
    points: int | None = None,
    seed: int = 0,
    records: int = 11,
    progress: bool | None = None,
) -> RoundTrip:
    """Diffuse a start ν₀ for the time times[0] and denoise it with the scores of µ through the times given.

    Parameters
    ----------
    source, start : µ and ν₀, in the same dimension: samples, mixtures or other sources.
    times : falling, from T to 0: for example `Schedule.times`.
    backward : `Euler` (the paper's), `Tweedie` or `ProbabilityFlow`.
    beta : inverse temperature of the diffusion.
    points : quantiles on the line (4096), draws otherwise (512, at most 4096).
    seed : of the draws, above one dimension.
    records : how often distances are taken on the way back, first and last included.
    progress : a bar; None shows one on a terminal.

    Returns
    -------
    RoundTrip : both laws where they arrive, and W₂ on the way.

    Raises
    ------
    ValueError : times that do not fall to 0, dimensions that differ.

    Examples
    --------
    >>> from pmasolve import denoising
    >>> times = denoising.Schedule.exploding(20, least=0.05, largest=50.0).times
    >>> round(round_trip([-1.0, 1.0], [0.0], times).ratio, 2)
    0.02
    """
    chain, other = Diffusion(as_source(source), beta), Diffusion(as_source(start), beta)
    t = np.asarray(times, dtype=np.float64)
    if t.ndim != 1 or t.size < 2 or not np.all(np.diff(t) < 0) or t[-1] != 0 or not np.isfinite(t[0]):
        raise ValueError(f"times of shape {t.shape}: give finite times that fall, from T to 0")
    if chain.dim != other.dim:
        raise ValueError(f"the source has dimension {chain.dim}, the start {other.dim}: both need the same")
    laws = _Laws(chain, other, _count(points, chain.dim), seed)
    shown = np.unique(np.linspace(0, t.size - 1, max(2, records)).round().astype(int))
    x, own = laws.of(other, t[0]), laws.of(chain, t[0])
    apart, from_target = [], []
    with progress_bar("denoising", t.size - 1, progress, "step") as show:
        for k in range(t.size):
            if k in shown:
                apart.append(w2_sampled(x, own))
                from_target.append(w2_sampled(x, laws.fresh(chain, t[k])))
            if k < t.size - 1:
                both = backward(chain, float(t[k]), float(t[k] - t[k + 1]), np.concatenate([x, own]))
                x, own = both[: len(x)], both[len(x) :]
            show(k, {})
    target = laws.fresh(chain, 0.0)
    before = w2_sampled(laws.of(other, 0.0), target)
    return RoundTrip(
        chain, other.source, t, x, own, target, before, apart[0], shown, np.array(apart), np.array(from_target)
    )


@dataclass(frozen=True)
class _Laws:
    """Quantiles on the line, draws otherwise; ``fresh`` ones are independent of the others."""

    chain: Diffusion
    other: Diffusion
    count: int
    seed: int

    def of(self, chain: Diffusion, t: float) -> Array:
        return self._taken(chain, t, self.seed + (chain is self.chain))

    def fresh(self, chain: Diffusion, t: float) -> Array:
        return self._taken(chain, t, self.seed + 2)

    def _taken(self, chain: Diffusion, t: float, seed: int) -> Array:
        if chain.dim == 1:
            return quantiles(chain, t, probabilities(self.count))[:, None]
        return chain.draw(t, self.count, generator(seed))


def _count(points: int | None, dim: int) -> int:
    count = points if points is not None else 4096 if dim == 1 else 512
    if count < 2 or (dim > 1 and count > LARGEST):
        raise ValueError(f"points={points}: take at least 2, and above one dimension at most {LARGEST}")
    return int(count)
