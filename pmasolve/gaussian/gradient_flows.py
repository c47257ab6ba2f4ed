"""Flows to compare with, in closed form: Fokker–Planck and its implicit (JKO) steps, heat, the entropy's mirror flow."""

from __future__ import annotations

import numpy as np
from scipy.integrate import solve_ivp

from ..machine.arrays import Array, integer, number, positive
from .normal import Normal
from .precise import CONTEXT, function_of, precise_identity, precise_inverse, root
from .quadratic import Quadratic


def fokker_planck(equilibrium: Normal, start: Normal, t: float) -> Normal:
    """∂ₜρ = div(ρ∇log(ρ/π)), π = N(a, Σ): N(a + e^{−tΣ⁻¹}(m₀−a), Σ + e^{−tΣ⁻¹}(V₀−Σ)e^{−tΣ⁻¹}).

    Parameters
    ----------
    equilibrium : π = N(a, Σ), d dimensions.
    start : ρ₀ = N(m₀, V₀), of the same dimension.
    t : time ≥ 0, finite.

    Returns
    -------
    ρ_t, rounded once from 60 digits.

    Raises
    ------
    ValueError : a time that is negative or not finite.

    Examples
    --------
    >>> law = fokker_planck(Normal([0.0], [[1.0]]), Normal([1.0], [[1.0]]), np.log(2.0))
    >>> law.mean.round(12), law.cov.round(12)
    (array([0.5]), array([[1.]]))
    """
    _admit_time(t)
    a, V = equilibrium.m, equilibrium.V
    decay = function_of(V, lambda value: CONTEXT.exp(-CONTEXT.mpf(t) / value))
    return Normal(a + decay * (start.m - a), V + decay * (start.V - V) * decay)


def fokker_planck_map(equilibrium: Normal, start: Normal, t: float) -> Array:
    """The linear part M_t of Fokker–Planck's flow map x ↦ M_t(x − m₀) + m_t: Ṁ = (V_t⁻¹ − Σ⁻¹)M, M₀ = 1.

    The chain of infinitesimal optimal maps: M V₀ Mᵀ = V_t, yet M is symmetric, so the optimal map, only where V₀ and Σ commute.

    Parameters
    ----------
    equilibrium : π = N(a, Σ), d dimensions.
    start : ρ₀ = N(m₀, V₀), of the same dimension.
    t : time ≥ 0, finite.

    Returns
    -------
    (d, d), in double precision: by Dormand and Prince's method of order 8 to 1e-12, N = e^{tΣ⁻¹}M having Ṅ = E W⁻¹N with
    E = e^{2tΣ⁻¹}, W = V₀ + (E − 1)Σ.

    Raises
    ------
    ValueError : a time that is negative or not finite.

    References
    ----------
    Lavenant, Santambrogio, The flow map of the Fokker–Planck equation does not provide optimal transport, Appl. Math. Lett. 133
    (2022).

    Examples
    --------
    >>> pi, rho = Normal([0.0, 0.0], [[1.0, 0.0], [0.0, 4.0]]), Normal([0.0, 0.0], [[2.0, 1.0], [1.0, 2.0]])
    >>> M = fokker_planck_map(pi, rho, 0.5)
    >>> bool(np.allclose(M @ rho.cov @ M.T, fokker_planck(pi, rho, 0.5).cov, rtol=1e-10)), bool(abs(M[0, 1] - M[1, 0]) > 1e-5)
    (True, True)
    """
    _admit_time(t)
    (values, axes), d = np.linalg.eigh(equilibrium.cov), equilibrium.dim
    V = axes.T @ start.cov @ axes

    def rate(s: float, y: Array) -> Array:
        grown = np.exp(2 * s / values)
        return (grown[:, None] * np.linalg.solve(V + np.diag((grown - 1) * values), y.reshape(d, d))).ravel()

    if t == 0:
        return np.eye(d)
    N = solve_ivp(rate, (0, t), np.eye(d).ravel(), method="DOP853", rtol=1e-12, atol=1e-14).y[:, -1].reshape(d, d)
    return axes @ (np.exp(-t / values)[:, None] * N) @ axes.T


def jko(equilibrium: Normal, start: Normal, step: float, count: int = 1) -> Normal:
    """``count`` steps argmin KL(ρ | π) + W₂²(ρ, ρ₀)/2h with h = ``step`` (Jordan, Kinderlehrer, Otto 1998), V₀ and Σ general.

    With P = 1 + hΣ⁻¹ and S = P^{−½}V₀P^{−½}: V₁ = P^{−½}·½[S + 2h + (S² + 4hS)^½]·P^{−½}, m₁ = P⁻¹(m₀ + hΣ⁻¹a).

    Parameters
    ----------
    equilibrium : π = N(a, Σ).
    start : ρ₀, of the same dimension.
    step : h > 0.
    count : number of steps ≥ 0.

    Returns
    -------
    The law after ``count`` steps.

    Raises
    ------
    ValueError : a step that is not positive and finite.

    Examples
    --------
    >>> jko(Normal([0.0, 0.0], np.eye(2)), Normal([3.0, 3.0], np.eye(2)), 0.5).mean.round(12)  # arXiv 2310.17582, Fig. A.1
    array([2., 2.])
    """
    positive(step, "step", "the step", "1e-2")
    h = CONTEXT.mpf(step)
    P = precise_identity(equilibrium.dim) + h * equilibrium.precision
    back = precise_inverse(root(P))
    law = start
    for _ in range(integer(count, "count", 0)):
        S = back * law.V * back
        grown = (S + 2 * h * precise_identity(law.dim) + root(S * S + 4 * h * S)) / 2
        law = Normal(back * back * (law.m + h * equilibrium.precision * equilibrium.m), back * grown * back)
    return law


def heat(start: Normal, t: float) -> Normal:
    """∂ₜρ = Δρ, the Wasserstein gradient flow of ∫ρ log ρ: N(m, V + 2t).

    Parameters
    ----------
    start : N(m, V).
    t : time ≥ 0.

    Returns
    -------
    N(m, V + 2t).

    Raises
    ------
    ValueError : a time that is negative or not finite.

    Examples
    --------
    >>> heat(Normal([0.0], [[1.0]]), 3.0).cov
    array([[7.]])
    """
    _admit_time(t)
    return Normal(start.m, start.V + 2 * CONTEXT.mpf(t) * precise_identity(start.dim))


def entropy_mirror_flow(reference: Normal, start: Quadratic, t: float) -> Normal:
    """ρ_t of the mirror flow ∂ₜφ = log ρ_t of ∫ρ log ρ, mirror map ½W₂²(·, N(b, Θ)): A_t⁻¹ = A₀⁻¹ + tΘ⁻¹.

    Parameters
    ----------
    reference : N(b, Θ), to which all maps go.
    start : φ₀, strictly convex.
    t : time ≥ 0.

    Returns
    -------
    ρ_t = (∇φ_t*)_# N(b, Θ).

    Raises
    ------
    ValueError : a time that is negative or not finite.

    Examples
    --------
    >>> entropy_mirror_flow(Normal([0.0], [[1.0]]), Quadratic([[1.0]]), 3.0).cov  # (1 + t)²
    array([[16.]])
    """
    _admit_time(t)
    G = precise_identity(reference.dim) + CONTEXT.mpf(t) * reference.precision * start.A
    back = precise_inverse(G)
    moved = Quadratic(start.A * back, reference.m + back.T * (start.q - reference.m), 0, start.a)
    return moved.conjugate().push(reference)


def _admit_time(t: float) -> None:
    if not 0 <= number(t, "t") < np.inf:
        raise ValueError(f"t={t}: times are finite and ≥ 0")
