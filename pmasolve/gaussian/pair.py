"""Two normal distributions, e^{−f} = N(a, Σ) and e^{−g} = N(b, Θ), seen in the coordinates in which both are diagonal.

x = a + Tx̃ and y = b + T⁻ᵀỹ leave x·y alone and turn Σ and Θ both into S = diag(m), mᵢ² the eigenvalues of ΣΘ (balanced
coordinates, as in the model reduction of linear systems).  There Monge–Ampère reads M' = S⁻¹ − MS⁻¹M, with fixed point I.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..machine.arrays import Array, having, positive
from .normal import Normal, correlation
from .precise import (
    CONTEXT,
    Matrix,
    Scalar,
    cholesky,
    diagonal,
    precise_dot,
    precise_identity,
    precise_inverse,
    precise_log_det,
    precise_spectrum,
    trace,
)
from .quadratic import Quadratic


@dataclass(frozen=True, eq=False)
class Pair:
    """Source e^{−f} = N(a, Σ) and target e^{−g} = N(b, Θ) in Rᵈ, of any covariances; they need not commute.

    Everything is evaluated with 60 digits and rounded once, so that conditions of 10⁸ and more and times of 10³ and more
    cost no accuracy.  Cost: eigenvectors of one d × d matrix, 60 ms at d = 10; then a few matrix products for each value.

    Parameters
    ----------
    source, target : the two laws, of the same dimension.

    Raises
    ------
    ValueError : dimensions that differ.

    Examples
    --------
    >>> pair = Pair(Normal([0.0], [[4.0]]), Normal([1.0], [[0.25]]))
    >>> pair.brenier().hessian, pair.rates, round(pair.value(1e-9), 6)  # W₂²/2 = ½(1 + 1.5²) as ε → 0
    (array([[0.25]]), array([1.]), 1.625)
    """

    source: Normal
    target: Normal

    def __post_init__(self) -> None:
        for name in ("source", "target"):
            having(getattr(self, name), "V", name, "give a Normal")
        if self.source.dim != self.target.dim:
            raise ValueError(f"source has dimension {self.source.dim}, target {self.target.dim}: they must agree")

    @cached_property
    def _balanced(self) -> tuple[list[Scalar], Matrix, Matrix]:
        """m and T, T⁻¹: with Σ = FFᵀ and FᵀΘF = Q diag(m²) Qᵀ, T = FQ diag(m)^{−½}."""
        F = cholesky(self.source.V)
        squares, Q = precise_spectrum(F.T * self.target.V * F)
        m = [CONTEXT.sqrt(square) for square in squares]
        T = F * Q * diagonal([1 / CONTEXT.sqrt(mi) for mi in m])
        return m, T, precise_inverse(T)

    @property
    def scales(self) -> list[Scalar]:
        """m, the square roots of the eigenvalues of ΣΘ, ascending, with all digits."""
        return self._balanced[0]

    @property
    def spread(self) -> Matrix:
        """T of the balanced coordinates x = a + Tx̃, (d, d) with all digits."""
        return self._balanced[1]

    @property
    def unspread(self) -> Matrix:
        """T⁻¹; gradients transform by its transpose."""
        return self._balanced[2]

    @cached_property
    def rates(self) -> Array:
        """1/m, descending: the mean of ρ_t converges at the last (least), the covariance at twice that (PMA's spectral gap)."""
        return np.array([float(1 / m) for m in self.scales])

    def level(self, eps: float) -> list[Scalar]:
        """N = (1 + ε²/4m²)^½, the fixed point of Sinkhorn in the symmetric gauge and balanced coordinates; 1 for ε = 0."""
        return [CONTEXT.sqrt(1 + CONTEXT.mpf(eps) ** 2 / (4 * m**2)) for m in self.scales]

    def contraction(self, eps: float) -> Array:
        """κᵢ = (mᵢNᵢ − ε/2)/(mᵢNᵢ + ε/2), ascending: factors of the mean for one iteration; the covariance has κᵢκⱼ.

        −log κ/ε = (1/m)(1 − ε²/24m² + …), PMA's rates to second order.
        """
        return np.array([float(k) for k in self.factors(eps)])

    def factors(self, eps: float) -> list[Scalar]:
        """The contraction factors κᵢ of one Sinkhorn iteration, ascending, with all digits; see `contraction`."""
        h = CONTEXT.mpf(positive(eps, "eps", "the regularisation")) / 2
        return [(m * n - h) / (m * n + h) for m, n in zip(self.scales, self.level(eps), strict=True)]

    def brenier(self) -> Quadratic:
        """The optimal map's potential, A = Σ^{−½}(Σ^½ΘΣ^½)^½Σ^{−½}, q = b, c = 0."""
        return Quadratic(self.unspread.T * self.unspread, self.target.m, 0, self.source.m)

    def schroedinger(self, eps: float) -> Quadratic:
        """φ of the Schrödinger pair: A = Σ^{−½}(Σ^½ΘΣ^½ + ε²/4)^½Σ^{−½} − (ε/2)Σ⁻¹, q = b, c = 0; ψ is its half step."""
        h = CONTEXT.mpf(positive(eps, "eps", "the regularisation")) / 2
        M = diagonal([n - h / m for n, m in zip(self.level(eps), self.scales, strict=True)])
        return Quadratic(self.unspread.T * M * self.unspread, self.target.m, 0, self.source.m)

    def law(self, phi: Quadratic) -> Normal:
        """ρ = (∇φ*)_# e^{−g} = N(a + A⁻¹(b−q), A⁻¹ΘA⁻¹)."""
        return phi.conjugate().push(self.target)

    def potential(self, law: Normal) -> Quadratic:
        """φ with (∇φ)_# law = e^{−g}, c = 0: the start of a flow that is to begin in this law; centred at a."""
        return Pair(law, self.target).brenier().about(self.source.m)

    def half_step(self, phi: Quadratic, eps: float) -> Quadratic:
        """ψ(y) = ε log∫exp((x·y − φ(x))/ε − f(x)) dx, centred at q."""
        return _half_step(self.source, phi, positive(eps, "eps", "the regularisation"))

    def half_step_back(self, psi: Quadratic, eps: float) -> Quadratic:
        """φ(x) = ε log∫exp((x·y − ψ(y))/ε − g(y)) dy, centred at a."""
        return _half_step(self.target, psi, positive(eps, "eps", "the regularisation")).about(self.source.m)

    def iterate(self, phi: Quadratic, eps: float, count: int = 1) -> Quadratic:
        """``count`` Sinkhorn iterations by the recursion itself; `ClosedForm` jumps there."""
        for _ in range(count):
            phi = self.half_step_back(self.half_step(phi, eps), eps)
        return phi

    def source_marginal(self, phi: Quadratic, eps: float) -> Normal:
        """p_Xγ of the plan γ of (φ, ψ), ψ its half step: e^{−f} exp((φ⁺ − φ)/ε) with φ⁺ the next iterate."""
        return _tilted(self.source, phi, self.iterate(phi, eps), eps)

    def target_marginal(self, psi: Quadratic, eps: float) -> Normal:
        """p_Yγ of the plan γ of (φ, ψ), φ the half step back from ψ: e^{−g} exp((ψ⁺ − ψ)/ε)."""
        return _tilted(self.target, psi, self.half_step(self.half_step_back(psi, eps), eps), eps)

    def bregman(self, law: Normal, phi: Quadratic) -> float:
        """B_G(law | ρ_φ) = ∫φ d law + ∫φ* de^{−g} − sup E[x·y], the Bregman divergence of G(ρ) = ½W₂²(ρ, e^{−g})."""
        best = precise_dot(law.m, self.target.m) + correlation(law, self.target)
        return float(phi.mean(law) + phi.conjugate().mean(self.target) - best)

    def value(self, eps: float) -> float:
        """min ∫½|x−y|²dγ + ε KL(γ | e^{−f} ⊗ e^{−g}) (Janati et al., arXiv 2006.02572).

        = ½W₂² − (dε/2) log 2πε + (ε/2)(entropies) + (ε²/8)∑1/mᵢ + O(ε⁴).
        """
        e, shift = CONTEXT.mpf(positive(eps, "eps", "the regularisation")), self.source.m - self.target.m
        kept = CONTEXT.mpf(0)
        for m in self.scales:
            s = (CONTEXT.sqrt(e**2 + 4 * m**2) - e) / (2 * m)  # the plan's correlation, 1 − s² = εs/m
            kept += m * s + e / 2 * CONTEXT.log(e * s / m)
        return float((precise_dot(shift, shift) + trace(self.source.V + self.target.V)) / 2 - kept)

    @property
    def fisher_information(self) -> float:
        """∫₀¹∫|∇log ρ|²ρ dt along the displacement interpolation: ∑1/mᵢ."""
        return float(CONTEXT.fsum(1 / m for m in self.scales))


def _half_step(law: Normal, phi: Quadratic, eps: float) -> Quadratic:
    here, e = phi.about(law.m), CONTEXT.mpf(eps)
    C = precise_inverse(here.A + e * law.precision)
    constant = (
        precise_dot(law.m, here.q) - here.c - e / 2 * precise_log_det(precise_identity(law.dim) + here.A * law.V / e)
    )
    return Quadratic(C, law.m, constant, here.q)


def _tilted(law: Normal, before: Quadratic, after: Quadratic, eps: float) -> Normal:
    """The law times exp((after − before)/ε)."""
    e = CONTEXT.mpf(eps)
    change = after.about(law.m).plus(before, -1)
    V = precise_inverse(law.precision - change.A / e)
    return Normal(law.m + V * change.q / e, V)
