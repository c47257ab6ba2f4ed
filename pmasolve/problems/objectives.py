"""Objectives: what falls along a mirror flow, as an f-divergence of ρ from a reference law, and the speed h that it gives.

With r = e^s the density of ρ against the reference, s = f + log ρ for the reference e^{−f},

    F(ρ) = ∫Φ(r) d(reference),     δF/δρ = h(s) = Φ′(e^s),     Φ(1) = Φ′(1) = 0,

and the mirror flow of F is ∂ₜφ = h(A(φ)), A(φ) = f − g(∇φ) + log det D²φ; it is parabolic where h increases.  All else follows from
h: h′, P(s) = ∫₀ˢ h′(σ)e^σ dσ, the pressure of the Wasserstein gradient flow ∂ₜρ = div(e^{−f}∇P), and Φ = e^s h − P.
All but `Relaxed` have h′(0) = 1, one clock for all: the same spectral gap at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..machine.arrays import Array, having, number
from .divergences import Divergence, checked_objective

GAUSS_NODES, GAUSS_WEIGHTS = (
    0.5 * (x + shift) for x, shift in zip(np.polynomial.legendre.leggauss(32), (1.0, 0.0), strict=True)
)
PROBES = np.array([-1.0, -0.3, 0.2, 0.7])  # where h′ is compared with differences of h


@dataclass(frozen=True)
class KL:
    """F = KL(ρ | e^{−f}) = ∫ρ (f + log ρ): h(s) = s, the parabolic Monge–Ampère equation itself.

    References
    ----------
    Deb, Kim, Pal, Schiebinger, arXiv 2307.16421.

    Examples
    --------
    >>> KL().h(np.array([0.0, 0.5]))
    array([0. , 0.5])
    """

    uniform = False

    def h(self, s: Array) -> Array:
        """The array s itself, not a copy."""
        return s

    def dh(self, s: Array) -> float:
        """h′ = 1."""
        return 1.0

    def pressure(self, s: Array) -> Array:
        """P = e^s − 1."""
        return np.expm1(s)


@dataclass(frozen=True)
class Entropy:
    """F = ∫ρ log ρ + log |X|, the relative entropy of ρ from the uniform law of a domain of volume |X|: h = log ρ + log |X|.

    The flow goes to the uniform law, whatever the source e^{−f}; densities are needed, which samples do not have.

    References
    ----------
    Slides on arXiv 2504.09279, example 1.

    Examples
    --------
    >>> from pmasolve import MongeAmpere, Problem, Torus, evolve
    >>> problem = Problem(Torus((32,)), lambda x: 0 * x, lambda y: 0.5 * np.cos(2 * np.pi * y))
    >>> run = evolve(MongeAmpere(problem, objective=Entropy()), times=[2.0])
    >>> bool(np.abs(run.log_density(0)).max() < 1e-6)
    True
    """

    uniform = True
    h, dh, pressure = KL.h, KL.dh, KL.pressure  # of another s


@dataclass(frozen=True)
class AlphaDivergence:
    """F = ∫Φ(ρ e^f) e^{−f} with h(s) = (e^{αs} − 1)/α: a family through χ², KL, Hellinger's distance and the reverse KL.

    Parameters
    ----------
    alpha : α, any finite number.  1 is `CHI_SQUARED`, F = ½∫(ρe^f − 1)² e^{−f}; 0 is KL(ρ | e^{−f}); −½ is `HELLINGER`,
        F = 2∫(√ρ − e^{−f/2})²; −1 is `REVERSE_KL`, F = KL(e^{−f} | ρ).
    uniform : take the uniform law of the domain as reference in place of e^{−f}; α = 1 is then ½∫ρ² less a constant.

    Raises
    ------
    ValueError : α that is not a finite number.

    References
    ----------
    Amari's family; which mirror flow it gives was derived for this package (docs/theory.md).

    Examples
    --------
    >>> AlphaDivergence(1.0) == CHI_SQUARED, CHI_SQUARED.h(np.log([0.5, 2.0]))  # ratio of densities less 1
    (True, array([-0.5,  1. ]))
    """

    alpha: float
    uniform: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if not np.isfinite(number(self.alpha, "alpha")):
            raise ValueError(f"alpha={self.alpha}: give a finite number, for example 1 for χ² or -0.5 for Hellinger's")

    def h(self, s: Array) -> Array:
        """(e^{αs} − 1)/α."""
        return _power(self.alpha, s)

    def dh(self, s: Array) -> Array:
        """e^{αs}."""
        return np.exp(self.alpha * s)

    def pressure(self, s: Array) -> Array:
        """(e^{(1+α)s} − 1)/(1+α)."""
        return _power(1.0 + self.alpha, s)


CHI_SQUARED = AlphaDivergence(1.0)
"""χ²: F = ½∫(ρe^f − 1)² e^{−f}, h = ρe^f − 1."""

HELLINGER = AlphaDivergence(-0.5)
"""Hellinger's squared distance: F = 2∫(√ρ − e^{−f/2})², h = 2(1 − (ρe^f)^{−1/2})."""

REVERSE_KL = AlphaDivergence(-1.0)
"""The reverse relative entropy: F = KL(e^{−f} | ρ), h = 1 − e^{−f}/ρ."""


@dataclass(frozen=True)
class JensenShannon:
    """F = 2 KL(ρ | m) + 2 KL(e^{−f} | m), m = (ρ + e^{−f})/2, four times Jensen and Shannon's: h(s) = 2 log(2/(1 + e^{−s})).

    References
    ----------
    Lin, IEEE Trans. Inf. Theory 37 (1991); the mirror flow was derived for this package (docs/theory.md).

    Examples
    --------
    >>> JensenShannon().h(np.array([0.0, 50.0])).round(6)
    array([0.      , 1.386294])
    """

    uniform = False

    def h(self, s: Array) -> Array:
        """2 log(2/(1 + e^{−s}))."""
        return 2.0 * (np.log(2.0) - np.logaddexp(0.0, -s))

    def dh(self, s: Array) -> Array:
        """2/(1 + e^s)."""
        return 1.0 - np.tanh(0.5 * s)

    def pressure(self, s: Array) -> Array:
        """2 log((1 + e^s)/2)."""
        return 2.0 * (np.logaddexp(0.0, s) - np.log(2.0))


@dataclass(frozen=True)
class Objective:
    """Any f-divergence, from h(s) = Φ′(e^s) and its derivative: F(ρ) = ∫Φ(ρ e^f) e^{−f}.

    Parameters
    ----------
    h : vectorised, increasing, with h(0) = 0 and h′(0) = 1.
    dh : h′, vectorised; compared with differences of h at four places.
    uniform : take the uniform law of the domain as reference in place of e^{−f}.

    Raises
    ------
    ValueError : h(0) ≠ 0, h′(0) ≠ 1, an ``dh`` that is not the derivative of ``h``.

    Notes
    -----
    Values of F need P(s) = ∫₀ˢ h′(σ)e^σ dσ, which is taken by Gauss' rule with 32 nodes: to rounding while h′(σ)e^σ is
    smooth over [0, s], as for |s| ≤ 30 of the closed forms of this module.  A file of a trajectory does not hold functions: `load`
    it with the flow.

    Examples
    --------
    >>> cubic = Objective(lambda s: s + s**3, lambda s: 1 + 3 * s**2)
    >>> bool(np.allclose(Objective(np.expm1, np.exp).pressure(np.array([0.7])), CHI_SQUARED.pressure(np.array([0.7]))))
    True
    """

    h: Callable[[Array], Array]
    dh: Callable[[Array], Array]
    uniform: bool = field(default=False, kw_only=True)
    tried: tuple[float, ...] = field(init=False, repr=False, compare=False)  # h there: by it files know another h

    def __post_init__(self) -> None:
        for value, name in ((self.h, "h"), (self.dh, "dh")):
            having(value, "__call__", name, "give a vectorised function of s = log of the ratio of densities")
        start, slope = (float(np.broadcast_to(read(np.zeros(1)), 1)[0]) for read in (self.h, self.dh))
        if not (abs(start) < 1e-12 and abs(slope - 1.0) < 1e-9):
            raise ValueError(
                f"h(0)={start:.6g}, h'(0)={slope:.6g}: an objective is normalised to 0 and 1; take (h − h(0))/h'(0), and "
                "Relaxed(omega, objective) for another clock"
            )
        step = 1e-5
        measured = (self.h(PROBES + step) - self.h(PROBES - step)) / (2 * step)
        gap = np.abs(measured - self.dh(PROBES)) / np.maximum(1.0, np.abs(measured))
        if not np.all(gap < 1e-4):
            worst = int(np.nanargmax(gap)) if np.isfinite(gap).any() else 0
            raise ValueError(
                f"dh({PROBES[worst]:g})={np.broadcast_to(self.dh(PROBES), PROBES.shape)[worst]:.6g}, and differences of h "
                f"say {measured[worst]:.6g}: give the derivative of h"
            )
        object.__setattr__(self, "tried", tuple(float(f"{value:.9g}") for value in self.h(PROBES)))

    def pressure(self, s: Array) -> Array:
        """∫₀ˢ h′(σ)e^σ dσ by Gauss' rule; two arrays of the shape of s besides the answer."""
        total = np.zeros(np.shape(s))
        for x, weight in zip(GAUSS_NODES, GAUSS_WEIGHTS, strict=True):
            total += weight * self.dh(x * s) * np.exp(x * s)
        return s * total


RELATIVE_ENTROPY = KL()


@dataclass(frozen=True)
class Relaxed:
    """ωF: the flow of F on the clock ωt, h = ω h_F.  Of KL in `Sinkhorn` it is over-relaxation, φ + ω(S_ε φ − φ), stable for ω ≤ 2.

    Parameters
    ----------
    omega : ω > 0.
    objective : F; KL unless given.

    Raises
    ------
    ValueError : ω that is not positive and finite; something else than an objective.

    References
    ----------
    Over-relaxed Sinkhorn: Thibault, Chizat, Dossal, Papadakis, arXiv 1711.01851; Lehmann, von Renesse, Sambale, Uschmajew,
    arXiv 2012.12562.

    Examples
    --------
    >>> Relaxed(1.5).h(np.array([1.0]))
    array([1.5])
    """

    omega: float
    objective: Divergence = field(default=KL())  # frozen

    def __post_init__(self) -> None:
        if not 0 < number(self.omega, "omega") < np.inf:
            raise ValueError(f"omega={self.omega}: the factor must be positive and finite, for example 1.5")
        checked_objective(self.objective)

    @property
    def uniform(self) -> bool:
        """Whether the reference is the uniform law: F's."""
        return self.objective.uniform

    def h(self, s: Array) -> Array:
        """ω h_F(s)."""
        return self.omega * self.objective.h(s)

    def dh(self, s: Array) -> Array | float:
        """ω h_F′(s)."""
        return self.omega * self.objective.dh(s)

    def pressure(self, s: Array) -> Array:
        """ω P_F(s)."""
        return self.omega * self.objective.pressure(s)


def _power(a: float, s: Array) -> Array:
    """(e^{as} − 1)/a, s for a = 0."""
    return np.expm1(a * s) / a if a else s
