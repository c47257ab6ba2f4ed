"""What every objective has, its protocol, and what follows from it: F, its first variation, and which h are safe to evaluate.

With A = f + log ρ at the nodes, s is A or, for objectives that are taken from the uniform law, A − f + log |X|.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ..machine.arrays import Array, having
from .problem import Problem

OBJECTIVES = "give KL(), AlphaDivergence(alpha), JensenShannon(), Entropy(), or Objective(h, dh)"


class Divergence(Protocol):
    """An objective: h and what follows from it, each of arrays s of any shape."""

    @property
    def uniform(self) -> bool:
        """Whether the reference is the uniform law of the domain, in place of the source e^{−f}."""
        ...

    def h(self, s: Array) -> Array:
        """δF/δρ where ρ is e^s times the reference, up to the constant that makes h(0) = 0."""
        ...

    def dh(self, s: Array) -> Array | float:
        """h′(s), one number where it is constant; 1 at 0."""
        ...

    def pressure(self, s: Array) -> Array:
        """P(s) = ∫₀ˢ h′(σ)e^σ dσ."""
        ...


def checked_objective(objective: Divergence) -> Divergence:
    """The objective, where it is one; a ``ValueError`` that lists them for something else."""
    return having(objective, "pressure", "objective", OBJECTIVES)


def log_ratio(objective: Divergence, problem: Problem, A: Array) -> Array:
    """s = log of ρ over the objective's reference, from A = f + log ρ at the nodes: A itself, or A − f + log |X|."""
    if not objective.uniform:
        return A
    return A - problem.f + np.log(problem.domain.volume)


def speed_and_slope(objective: Divergence, problem: Problem, A: Array) -> tuple[Array, Array | float]:
    """h(s) and h′(s), not finite where they are beyond the floats: a state that is tried may be far away."""
    s = log_ratio(objective, problem, A)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return objective.h(s), objective.dh(s)


def is_identity(objective: Divergence) -> bool:
    """Whether h(s) = s: KL and the entropy, whose flows have shorter roads."""
    probe = np.ones(1)
    return objective.h(probe) is probe


def integrand(objective: Divergence, s: Array) -> Array:
    """Φ(e^s) = e^s h(s) − P(s) ≥ 0, not finite where that is beyond the floats."""
    with np.errstate(over="ignore", invalid="ignore"):
        return np.exp(s) * objective.h(s) - objective.pressure(s)


def value(objective: Divergence, problem: Problem, A: Array) -> float:
    """F(ρ) = ∫Φ(e^s) d(reference) by the grid's quadrature, from A = f + log ρ at the nodes.

    Examples
    --------
    >>> from pmasolve import CHI_SQUARED, KL, Problem, Torus
    >>> problem = Problem(Torus((64,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> kl, chi = value(KL(), problem, problem.f), value(CHI_SQUARED, problem, problem.f)  # of ρ = 1
    >>> bool(abs(kl - problem.domain.integral(problem.f)) < 1e-14 and kl < chi)
    True
    """
    phi = integrand(objective, log_ratio(objective, problem, A))
    return problem.domain.integral(phi) / problem.domain.volume if objective.uniform else problem.mu.integral(phi)


def value_of(objective: Divergence, problem: Problem, A: Array, kl: float, mass: float) -> float:
    """F(ρ) where KL = ∫ρA and ∫ρ are known already, from which KL's own follows at once."""
    short = is_identity(objective) and not objective.uniform
    return kl - mass + 1.0 if short else value(objective, problem, A)
