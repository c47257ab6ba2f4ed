"""The multi-scale complexity of a law: how large the conditional covariance is, where there is mass, at every r.

    Y = rX + Z,   L_r(y) = ‖Cov(rX | Y=y)‖,   s_r(u) = P(L_r(Y) > u),   h(δ, r) = E(L_r(Y) − (1−δ))₊ = ∫_{1−δ}^∞ s_r

Y is log-concave at y where L_r(y) ≤ 1 and denoising expands where L_r(y) > 1.  The worst that a share m = 1/M of the mass can do
is the mean of its largest values of L: 1 − max_δ (δ − M h(δ, r)).  Hence, with s² = 1 + r²/β the factor of (4.2),

    ζ*_M = s² max_δ (δ − M h(δ, r)),   δ* the maximiser, where s_r(1 − δ*) = 1/M,   ζ*_∞ = s² (1 − sup L_r),
    m(δ, r) = h(δ, r)/δ,   m* = min_δ m(δ, r) ≤ 1,

m* the largest share whose values of L have a mean of 1: ζ*_M > 0 exactly for M < 1/m*.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...machine.arrays import Array, generator, integer, number, real
from ...machine.progress import Show, progress_bar
from ...problems.clouds import Cloud
from .points import Points
from .sources import Source, signal_to_noise
from .tails import DrawnTail, LineTail, Tail, turning_point

DEFAULT_SNR = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0)
DELTA = (0.0, 0.5, 1.0)


@dataclass(frozen=True, eq=False)
class Complexity:
    """What `complexity` found: one law of L_r(Y) for every r.

    Attributes
    ----------
    source : the law µ.
    snr : (m,) the r.
    delta : (j,) the δ of ``integrated_tail`` when it is given none.
    tails : m laws of L_r(Y).
    confidence : of the bands.

    Examples
    --------
    >>> found = complexity([-1.0, 1.0], snr=[0.5, 1.5, 3.0])
    >>> found.critical_mass.round(3)  # of the mass, this share is as good as not log-concave
    array([0.   , 0.422, 0.037])
    >>> found.effective_curvature(2.0).round(3)
    array([0.951, 0.443, 9.253])
    """

    source: Source
    snr: Array
    delta: Array
    tails: tuple[Tail, ...]
    confidence: float

    @property
    def exact(self) -> bool:
        """Whether this is quadrature, on the line, and not drawn."""
        return all(isinstance(tail, LineTail) for tail in self.tails)

    @property
    def largest(self) -> Array:
        """(m,) sup_y L_r(y); of drawn laws the largest value seen, which is smaller."""
        return np.array([tail.largest for tail in self.tails])

    @property
    def mean(self) -> Array:
        """(m,) E L_r(Y) = h(1, r); on the line 1 − Fisher information of Y."""
        return np.array([tail.mean for tail in self.tails])

    def survival(self, u: ArrayLike) -> Array:
        """(m, *u.shape) s_r(u) = P(L_r(Y) > u)."""
        return self._read(lambda tail, value: tail.survival(value), u)

    def integrated_tail(self, delta: ArrayLike | None = None) -> Array:
        """(m, *delta.shape) h(δ, r) = E(L_r(Y) − (1−δ))₊, at ``delta`` or at the δ of this object."""
        return self._read(lambda tail, value: tail.excess(1 - value), self.delta if delta is None else delta)

    def mass(self, delta: ArrayLike | None = None) -> Array:
        """(m, *delta.shape) m(δ, r) = h(δ, r)/δ for δ > 0: ζ*_M ≥ 0 for M ≤ 1/m."""
        values = np.asarray(self.delta[self.delta > 0] if delta is None else delta, dtype=np.float64)
        if not np.all(values > 0):
            raise ValueError(f"delta={values.min()}: m = h/δ needs every δ > 0")
        return self.integrated_tail(values) / values

    @property
    def critical_mass(self) -> Array:
        """(m,) m*: the largest share of the mass whose largest values of L have a mean of 1 or more; 0 where sup L < 1."""
        return np.array([_critical(tail)[0] for tail in self.tails])

    @property
    def critical_delta(self) -> Array:
        """(m,) δ* of m*: that share is {L > 1 − δ*}; 1 − sup L where m* = 0."""
        return np.array([_critical(tail)[1] for tail in self.tails])

    def effective_curvature(self, M: float = np.inf, beta: float = 1.0) -> Array:
        """(m,) ζ*_M = (1 + r²/β) max_δ (δ − M h(δ, r)): at the time t with r² = β/(e^{2t} − 1).

        Parameters
        ----------
        M : ≥ 1; how many times denser than µ_t the positions may lie that a coupling moves.  ∞ is the worst case, s²(1 − sup L).
        beta : inverse temperature of the diffusion.
        """
        return (1 + self.snr**2 / _positive_scale(beta, "beta")) * np.array(
            [_effective(t, _bound(M))[0] for t in self.tails]
        )

    def effective_delta(self, M: float = np.inf) -> Array:
        """(m,) δ*_M, the maximiser of δ − M h(δ, r)."""
        return np.array([_effective(tail, _bound(M))[1] for tail in self.tails])

    def survival_band(self, u: ArrayLike) -> tuple[Array, Array]:
        """Lower and upper ends, (m, *u.shape), of a band about ``survival`` that holds for all u at once, at every r by itself.

        Dvoretzky–Kiefer–Wolfowitz, with the exact distribution of Kolmogorov's statistic; of no width where ``exact``.  For
        stratified draws it is wider than need be (their process of errors has the smaller covariance).
        """
        s = self.survival(u)
        width = np.array([t.half_width(self.confidence) if isinstance(t, DrawnTail) else 0.0 for t in self.tails])
        width = width.reshape(-1, *[1] * (s.ndim - 1))
        return np.maximum(s - width, 0.0), np.minimum(s + width, 1.0)

    def integrated_tail_band(self, delta: ArrayLike | None = None) -> tuple[Array, Array]:
        """Lower and upper ends, (m, *delta.shape), for h: the integral of the survival's band up to what L cannot exceed.

        The upper end is ∞ for sources with no known ceiling, and far up at large r; see ``standard_error`` then.
        """
        values = self.delta if delta is None else delta
        ends = [self._read(lambda t, d, i=i: self._between(t, d)[i], values) for i in (0, 1)]
        return ends[0], ends[1]

    def standard_error(self, delta: ArrayLike | None = None) -> Array:
        """(m, *delta.shape) of h, estimated from the draws; 0 where ``exact``."""
        values = self.delta if delta is None else delta
        return self._read(lambda t, d: t.standard_error(1 - d) if isinstance(t, DrawnTail) else 0.0, values)

    @property
    def critical_snr(self) -> tuple[float, float]:
        """Between which two r of the list L first exceeds 1 (somewhere drawn): (0, r₁) if at the first, (r_m, ∞) if nowhere."""
        over = np.flatnonzero(self.largest > 1)
        first = int(over[0]) if over.size else self.snr.size
        padded = np.concatenate([[0.0], self.snr, [np.inf]])
        return float(padded[first]), float(padded[first + 1])

    @property
    def hardest_snr(self) -> float:
        """The r of the list at which E(L_r − 1)₊ = h(0, r) is largest; NaN where it is 0 at all."""
        h = self.integrated_tail(0.0)
        return float(self.snr[np.argmax(h)]) if np.max(h) > 0 else float("nan")

    def _between(self, tail: Tail, delta: float) -> tuple[float, float]:
        if not isinstance(tail, DrawnTail):
            return (tail.excess(1 - delta),) * 2
        r = float(self.snr[self.tails.index(tail)])
        return tail.excess_between(1 - delta, max(self.source.ceiling(r), tail.largest, 1 - delta), self.confidence)

    def _read(self, value: Callable[[Tail, float], float], at: ArrayLike) -> Array:
        points = np.asarray(at, dtype=np.float64)
        if not np.isfinite(points).all():
            raise ValueError(f"{np.count_nonzero(~np.isfinite(points))} values of u or δ are not finite: give numbers")
        out = [[value(tail, float(p)) for p in points.ravel()] for tail in self.tails]
        return np.array(out, dtype=np.float64).reshape(len(self.tails), *points.shape)


def complexity(
    source: Source | Cloud | ArrayLike,
    snr: Sequence[float] | ArrayLike = DEFAULT_SNR,
    delta: Sequence[float] | ArrayLike = DELTA,
    *,
    draws: int = 2048,
    seed: int = 0,
    stratified: bool = True,
    exact: bool = True,
    confidence: float = 0.95,
    progress: bool | None = None,
) -> Complexity:
    """The multi-scale complexity of a law µ (arXiv 2411.01629): at which signal-to-noise ratio is it hard to denoise?

    Parameters
    ----------
    source : samples (n, d) or (n,), a `Cloud` in ℝᵈ, `Points` with weights or of a density on a grid, a `Mixture`, or a law of
        your own (`Source`).
    snr : (m,) the r > 0 of Y = rX + Z, ascending.
    delta : (j,) the δ at which h is tabulated.
    draws : number of draws of Y at every r; the same X and Z serve all r.
    seed : of the draws.
    stratified : draw X from every part of µ as often as its mass asks for.
    exact : on the line, integrate instead of drawing.
    confidence : of the bands, for every r by itself.
    progress : a bar; None shows one on a terminal.

    Returns
    -------
    Complexity : survival s_r, integrated tail h, m*, δ*, ζ*_M and their bands.

    Raises
    ------
    ValueError : r that are not positive and ascending, fewer than two draws, a confidence outside (0, 1), malformed samples.

    Notes
    -----
    For samples every L_r(y) costs up to n·d² operations, and all of it at most about 0.4 GiB beside the samples.  See `resolution`
    for the r up to which n points stand for the law they come from.

    Examples
    --------
    >>> found = complexity([-1.0, 1.0], snr=[1.5, 3.0])
    >>> found.survival([1.0, 0.5]).round(5)
    array([[0.17923, 0.27423],
           [0.00776, 0.01085]])
    >>> found.integrated_tail([0.0, 0.5]).round(5)
    array([[0.12865, 0.23944],
           [0.02366, 0.0282 ]])
    """
    law = as_source(source)
    r = np.atleast_1d(real(snr, "snr"))
    if r.ndim != 1 or r.size == 0 or not np.all(np.diff(r) > 0):
        raise ValueError(f"snr of shape {np.shape(snr)}: give the r in ascending order, each once")
    draws = integer(draws, "draws", 2)
    if not 0 < number(confidence, "confidence") < 1:
        raise ValueError(f"confidence={confidence}: give a level in (0, 1), for example 0.95")
    ratios = [signal_to_noise(value) for value in r]
    with progress_bar("complexity", r.size, progress, "scale") as show:
        if exact and law.dim == 1:
            tails = _followed(ratios, lambda value: LineTail.of(law, value), show)
        else:
            rng = generator(seed)
            x = law.draw(draws, rng, stratified=stratified)
            z = rng.standard_normal(x.shape)
            tails = _followed(ratios, lambda value: DrawnTail.of(law.curvature(value, value * x + z)), show)
    return Complexity(law, r, np.atleast_1d(real(delta, "delta")), tails, confidence)


def as_source(source: Source | Cloud | ArrayLike) -> Source:
    """Samples become `Points`; a source stays what it is.

    Raises
    ------
    ValueError : points on a torus.
    """
    if isinstance(source, Cloud):
        if source.period is not None:
            raise ValueError(f"a cloud with period={source.period}: denoising takes place in ℝᵈ; unwrap the points")
        return Points(source.points, source.weights)
    return source if hasattr(source, "curvature") else Points(source)  # pyright: ignore[reportReturnType, reportArgumentType]


def _followed(ratios: Sequence[float], tail: Callable[[float], Tail], show: Show) -> tuple[Tail, ...]:
    out = []
    for k, value in enumerate(ratios):
        out.append(tail(value))
        show(k + 1, {"r": value})
    return tuple(out)


def _critical(tail: Tail) -> tuple[float, float]:
    """m* and δ*: where δ s(1 − δ) − h(δ), which grows with δ, becomes positive."""
    if tail.survival(1.0) == 0.0:
        return 0.0, 1 - tail.largest
    if tail.mean >= 1:
        return 1.0, 1.0
    delta = turning_point(lambda d: d * tail.survival(1 - d) - tail.excess(1 - d), 0.0, 1.0)
    return tail.excess(1 - delta) / delta, delta


def _effective(tail: Tail, M: float) -> tuple[float, float]:
    """max_δ (δ − M h(δ)) and its δ: the slope 1 − M s(1 − δ) falls as δ grows."""
    least = 1 - tail.largest
    if np.isinf(M):
        return least, least
    delta = turning_point(lambda d: M * tail.survival(1 - d) - 1, least, 1.0)
    return delta - M * tail.excess(1 - delta), delta


def _bound(M: float) -> float:
    if not M >= 1:
        raise ValueError(
            f"M={M}: a density relative to µ is somewhere at least 1; give M ≥ 1, or inf for the worst case"
        )
    return float(M)


def _positive_scale(value: float, name: str) -> float:
    if not 0 < float(value) < np.inf:
        raise ValueError(f"{name}={value}: give a finite number > 0")
    return float(value)
