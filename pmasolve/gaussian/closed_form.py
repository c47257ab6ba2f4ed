"""PMA and Sinkhorn's iterates between normal distributions at any time: one formula, of which PMA is the case ε = 0.

In balanced coordinates (see `pair`) and the symmetric gauge, X = TᵀAT + (ε/2)S⁻¹ follows a linear-fractional map whose blocks
are diagonal.  With its fixed point N, E = κ^{t/ε} (e^{−t/m} for ε = 0), D = X₀ − N and p = Tᵀ(q₀ − b)

    J = [1 + ½(1−E²)N⁻¹D]⁻¹,    X_t = N + E D J E,    Tᵀ(q_t − b) = E Jᵀ p,

as P = (X−N)⁻¹ obeys P_t = E⁻¹(P₀ + ½N⁻¹(1−E²))E⁻¹.  This is the k-th power of the blocks [[1, ε/2], [0, 1]]·[[1, ε/2],
[ε/S², 1 + ½ε²/S²]] in closed form.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from ..machine.arrays import Array, number
from ..problems.times import admit_multiples
from .normal import Normal, definite
from .pair import Pair
from .precise import (
    CONTEXT,
    Matrix,
    Scalar,
    diagonal,
    precise_dot,
    precise_identity,
    precise_inverse,
    precise_log_det,
    precise_spectrum,
    square,
    to_float64,
    trace,
)
from .quadratic import Quadratic, negative_log

GAUSS_POINTS, RATIO = (
    20,
    3.0,
)  # Gauss–Legendre on panels [s, 3s]: the integrand's singularities have Re s ≤ 0, error (2+√3)^{−2·20}

FIRST_SUMMED, SUMMED = 8, 28  # the same for sums: panels begin at j = 8, 28 Chebyshev points each, error (2+√3)^{−28}


@dataclass(frozen=True, eq=False)
class ClosedForm:
    """φ_t of the parabolic Monge–Ampère flow, or with ``eps`` the Sinkhorn iterate φ_k, k = t/ε.

    Parameters
    ----------
    pair : source and target.
    start : φ₀, strictly convex (for Sinkhorn in the plain gauge: φ₀ itself).
    eps : 0 for PMA; > 0 for Sinkhorn.

    Raises
    ------
    ValueError : a start that is not strictly convex; ε < 0; times that are negative or, for Sinkhorn, no multiples of ε.

    Notes
    -----
    ``hessian``, ``slope`` and ``law`` cost one d × d inverse with 60 digits (1 ms at d = 3, 15 ms at d = 10) whatever t.
    ``potential`` also has the constant, the sum (integral) of log det over the way: some 25 terms for each factor 3 in t
    (d = 3: 0.1 s, d = 10: a few seconds).

    Examples
    --------
    >>> pair = Pair(Normal([0.0], [[1.0]]), Normal([0.0], [[4.0]]))
    >>> ClosedForm(pair, Quadratic([[1.0]])).hessian(1e3)
    array([[2.]])
    >>> start = Quadratic([[1.0]])
    >>> ClosedForm(pair, start, eps=0.1).hessian(0.2) - pair.iterate(start, 0.1, 2).hessian
    array([[0.]])
    """

    pair: Pair
    start: Quadratic
    eps: float = 0.0

    def __post_init__(self) -> None:
        definite(self.start.A, "hessian of the start")
        if not 0 <= self.eps < np.inf:
            raise ValueError(f"eps={self.eps}: 0 gives the Monge–Ampère flow, ε > 0 Sinkhorn's iterates")

    @cached_property
    def _half(self) -> Matrix:
        """(ε/2)S⁻¹."""
        return diagonal([CONTEXT.mpf(self.eps) / 2 / m for m in self.pair.scales])

    @cached_property
    def _level(self) -> list[Scalar]:
        return self.pair.level(self.eps)

    @cached_property
    def _start(self) -> tuple[Matrix, Matrix, Scalar]:
        """D, p and c₀."""
        T, here = self.pair.spread, self.start.about(self.pair.source.m)
        return T.T * here.A * T + self._half - diagonal(self._level), T.T * (here.q - self.pair.target.m), here.c

    @cached_property
    def _factors(self) -> list[Scalar]:
        """E = factor^t."""
        if self.eps == 0:
            return [CONTEXT.exp(-1 / m) for m in self.pair.scales]
        return [k ** (1 / CONTEXT.mpf(self.eps)) for k in self.pair.factors(self.eps)]

    def _step(self, t: float | Scalar) -> tuple[Matrix, Matrix, Matrix]:
        """E, Z = ½(1−E²)N⁻¹ and J at time t."""
        E = [factor**t for factor in self._factors]
        Z = diagonal([(1 - e**2) / (2 * n) for e, n in zip(E, self._level, strict=True)])
        return diagonal(E), Z, precise_inverse(precise_identity(len(E)) + Z * self._start[0])

    def _gauged(self, t: float | Scalar) -> Matrix:
        """X_t."""
        E, _, J = self._step(t)
        return diagonal(self._level) + E * self._start[0] * J * E

    def _exact(self, t: float) -> Scalar:
        """t, made a multiple of ε to all digits."""
        if not 0 <= number(t, "t") < np.inf:
            raise ValueError(f"t={t}: times are finite and ≥ 0")
        if self.eps == 0:
            return CONTEXT.mpf(t)
        admit_multiples(t, self.eps, "eps")
        return round(t / self.eps) * CONTEXT.mpf(self.eps)

    def _gradient(self, t: float) -> tuple[Matrix, Matrix]:
        """A and q with all digits."""
        E, _, J = self._step(self._exact(t))
        D, p, _ = self._start
        M = diagonal(self._level) - self._half + E * D * J * E
        return self.pair.unspread.T * M * self.pair.unspread, self.pair.target.m + self.pair.unspread.T * (
            E * (J.T * p)
        )

    def hessian(self, t: float) -> Array:
        """A_t = D²φ_t, (d, d), rounded once."""
        return square(self._gradient(t)[0])

    def slope(self, t: float) -> Array:
        """q_t = ∇φ_t(a), (d,), rounded once."""
        return to_float64(self._gradient(t)[1])

    def law(self, t: float) -> Normal:
        """The law ρ_t = (∇φ_t*)_# e^{−g} at time t, a `Normal`."""
        return self.pair.law(Quadratic(*self._gradient(t), 0, self.pair.source.m))

    def potential(self, t: float) -> Quadratic:
        """φ_t with its constant, centred at the source's mean a, a `Quadratic`."""
        time, (_, p, c) = self._exact(t), self._start
        _, Z, J = self._step(time)
        grown = self._summed(time) if self.eps else self.integral(time, lambda s: precise_log_det(self._gauged(s)))
        return Quadratic(*self._gradient(t), c + grown - precise_dot(p, J * Z * p) / 2, self.pair.source.m)

    def _summed(self, t: Scalar) -> Scalar:
        """(ε/2)∑ log det(X_j + (ε/2)S⁻¹) + log det(X_{j+1} − (ε/2)S⁻¹), j < k, by panels [j, 3j]."""
        count, eps = round(float(t) / self.eps), CONTEXT.mpf(self.eps)

        def term(j: Scalar) -> Scalar:
            before, after = self._gauged(j * eps), self._gauged((j + 1) * eps)
            return precise_log_det(before + self._half) + precise_log_det(after - self._half)

        edges = [0]
        while edges[-1] < count:
            edges.append(min(count, max(FIRST_SUMMED, int(RATIO * edges[-1]))))
        return eps / 2 * CONTEXT.fsum(_panel_sum(term, low, high) for low, high in pairwise(edges))

    def integral(self, t: Scalar, integrand: Callable[[Scalar], Scalar]) -> Scalar:
        """∫₀ᵗ of a function of the solution that is analytic for Re s > 0 and decays with it: Gauss–Legendre on growing panels."""
        values, _ = precise_spectrum(self._start[0] + diagonal(self._level))
        first = min(self.pair.scales) * min(values[0], 1 / values[-1], 1)
        end, rule = min(t, 45 * max(self.pair.scales)), np.polynomial.legendre.leggauss(GAUSS_POINTS)
        edges = [CONTEXT.mpf(0)]
        while edges[-1] < end:
            edges.append(min(end, max(first, edges[-1] * RATIO)))
        total = CONTEXT.mpf(0)
        for low, high in pairwise(edges):
            half = (high - low) / 2
            total += half * CONTEXT.fsum(
                wi * integrand(low + half * (1 + xi)) for xi, wi in zip(*np.asarray(rule).tolist(), strict=True)
            )
        return total


def _panel_sum(term: Callable[[Scalar], Scalar], low: int, high: int) -> Scalar:
    """∑ term(j), low ≤ j < high, of a function analytic right of 0: long sums by Chebyshev's interpolant."""
    count = high - low
    if count <= SUMMED:
        return CONTEXT.fsum(term(CONTEXT.mpf(j)) for j in range(low, high))
    angles, orders = (np.arange(SUMMED) + 0.5) * np.pi / SUMMED, np.arange(SUMMED)
    sums = np.array([np.sum(np.cos(m * np.arccos(np.linspace(-1, 1, count)))) for m in orders])
    weights = np.cos(np.outer(angles, orders)) @ (np.where(orders == 0, 1, 2) * sums) / SUMMED
    points = low + (count - 1) * (1 + np.cos(angles)) / 2
    return CONTEXT.fsum(w * term(CONTEXT.mpf(j)) for w, j in zip(weights.tolist(), points.tolist(), strict=True))


def corrector(pair: Pair, start: Quadratic, first: Quadratic, t: float) -> Quadratic:
    """r_t of φ^ε_{t/ε} = φ̃_t + ε r_t + O(ε²), for Sinkhorn started at φ̃₀ + ε r₀ (plain gauge).

    r = w − f/2 with ∂ₜw = 𝓛w, that is Ẇ = −(WΘ⁻¹A + AΘ⁻¹W) and ṡ = −WΘ⁻¹(q−b) − AΘ⁻¹s for the Hessian and the slope of w:
    with U = EJᵀ they are UW₀Uᵀ and U(s₀ − W₀JZp) in balanced coordinates.

    Parameters
    ----------
    pair, start : the flow φ̃.
    first : r₀, not necessarily convex.
    t : time ≥ 0.

    Returns
    -------
    r_t as a quadratic, centred at the source's mean.

    Raises
    ------
    ValueError : a time that is negative or not finite, dimensions that differ.

    Examples
    --------
    >>> pair = Pair(Normal([0.0], [[1.0]]), Normal([0.0], [[4.0]]))
    >>> zero = Quadratic([[0.0]])
    >>> corrector(pair, Quadratic([[1.0]]), zero, 0.0).hessian, corrector(pair, Quadratic([[1.0]]), zero, 90.0).hessian.round(12)
    (array([[0.]]), array([[-0.5]]))
    """
    flow, f = ClosedForm(pair, start), negative_log(pair.source)
    w = first.about(pair.source.m).plus(f, CONTEXT.mpf(1) / 2)
    W, s = pair.spread.T * w.A * pair.spread, pair.spread.T * w.q
    _, p, _ = flow._start

    def at(time: Scalar) -> tuple[Matrix, Matrix, Matrix]:
        E, Z, J = flow._step(time)
        U = E * J.T
        return U, U * W * U.T, U * (s - W * (J * (Z * p)))

    def rate(time: Scalar) -> Scalar:
        """𝓛w at a: tr(M⁻¹W) − pᵀS⁻¹s."""
        U, Wt, st = at(time)
        pulled = [a * b / m for a, b, m in zip(U * p, st, pair.scales, strict=True)]
        return trace(precise_inverse(flow._gauged(time)) * Wt) - CONTEXT.fsum(pulled)

    time = flow._exact(t)
    _, Wt, st = at(time)
    constant = w.c + flow.integral(time, rate)
    return Quadratic(pair.unspread.T * Wt * pair.unspread, pair.unspread.T * st, constant, pair.source.m).plus(
        f, -CONTEXT.mpf(1) / 2
    )
