"""One step of Sinkhorn's family, φ ← φ + η h(s) with s = (S_ε(φ) − φ)/ε, and for which values of s it is safe.

s is log p_X/e^{−f} of the plan of φ, and A(φ) + O(ε); so the steps follow ∂ₜφ = h(A(φ)) to first order, for every objective and
every η ≤ ε.  S_ε is monotone and commutes with constants.  Where 0 ≤ (η/ε) h′ ≤ 1 on the values of s the step is so too, and does
not expand sup distances; linearised it is 1 − (η/ε)h′(1 − P), P a Markov operator with eigenvalues in [0, 1]: stable up to 2.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from ..machine.arrays import Array, number
from ..problems.divergences import Divergence, checked_objective, speed_and_slope, value
from ..problems.objectives import KL
from ..problems.outcomes import NOT_PARABOLIC, REACHED, UNSTABLE_STEP, Outcome
from ..problems.problem import Problem
from .gauges import PLAIN, Gauge

STABLE = 2.0  # (η/ε)h′ beyond which a step amplifies what it should damp
ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Taken:
    """A step that was looked at: where it leads, and what it met.

    Attributes
    ----------
    u : the next potential.
    change : (S_ε φ − φ)/ε at the nodes.
    drive : h(s) at the nodes.
    steepest : greatest (η/ε)h′ on the values of s at nodes with mass.
    outcome : REACHED; "not parabolic" for h′ < 0; "unstable step" beyond 2, where no step is taken.
    """

    u: Array = field(repr=False)
    change: Array = field(repr=False)
    drive: Array = field(repr=False)
    steepest: float
    outcome: Outcome


@dataclass(frozen=True, eq=False)
class SinkhornStep:
    """Steps of length η for one problem, ε and objective.

    Parameters
    ----------
    problem : densities or samples.
    eps, length : ε and η ≤ ε.
    objective : what falls.

    Raises
    ------
    ValueError : η that is not in (0, ε]; an objective with the uniform law as reference for samples, one other than KL for a source
        that vanishes somewhere.
    """

    problem: Problem
    eps: float
    length: float
    objective: Divergence

    def __post_init__(self) -> None:
        if not 0 < number(self.length, "step") <= self.eps:
            raise ValueError(
                f"step={self.length}: η is positive and at most eps={self.eps:g}, at which it is Sinkhorn's own; "
                "for steps beyond it take objective=Relaxed(omega)"
            )
        checked_objective(self.objective)
        if self.objective.uniform and not self.problem.has_densities:
            raise ValueError(
                f"objective={self.objective}: the uniform law is no reference for samples, whose density is not known; take an "
                "f-divergence from the source, as KL() or AlphaDivergence(alpha)"
            )
        if self.objective != KL() and self.problem.mu.vanishes:
            raise ValueError(
                f"objective={self.objective}: the source vanishes at some nodes, where the ratio of densities is not known; "
                "add a floor, or leave the points without weight out"
            )

    @property
    def whole(self) -> bool:
        """Whether a step is φ ← S_ε(φ): η = ε and F = KL."""
        return self.length == self.eps and self.objective == KL()

    def take(self, u: Array, image: Array) -> Taken:
        """The step from φ = |x|²/2 + u whose image under S_ε is known."""
        change = (image - u) / self.eps
        drive, slope = speed_and_slope(self.objective, self.problem, change)
        bounds = self.problem.domain.extremes(float(np.min(slope)), float(np.max(slope)))
        low, high = (bound * self.length / self.eps for bound in bounds)
        after = image if self.whole else u + self.length * drive
        return Taken(after, change, drive, high, self._verdict(low, high))

    def record(self, change: Array, drive: Array) -> dict[str, float]:
        """Of (S_ε φ − φ)/ε and h of it: how far the plan's source marginal is from e^{−f}, F of it, and the speed."""
        domain, mu = self.problem.domain, self.problem.mu
        with np.errstate(over="ignore", invalid="ignore"):  # without mass, a ratio of masses may be anything
            moved = np.expm1(change)
            excess = mu.total(mu.weighted(moved, out=moved))  # p_X − e^{−f}
            kl = self._kl(moved, change) - excess if self.objective == KL() else None
        error = mu.total(np.abs(moved, out=moved))
        slowest, fastest = domain.extremes(float(drive.min()), float(drive.max()))
        return {
            "marginal_error": error,
            "mass": 1.0 + excess,
            "value": value(self.objective, self.problem, change) if kl is None else kl,
            "fastest": fastest,
            "slowest": slowest,
            "speed": domain.sup(domain.centred(drive)),
        }

    def _kl(self, moved: Array, change: Array) -> float:
        """∫s p_X, from p_X − e^{−f} and s = log p_X/e^{−f}; KL's Φ(r) is r log r − (r − 1)."""
        mu = self.problem.mu
        terms = moved + mu.mass
        terms *= change
        return mu.total(terms if mu.positive else np.where(mu.mass > 0, terms, 0.0))

    def _verdict(self, low: float, high: float) -> Outcome:
        if not low >= 0:
            return NOT_PARABOLIC
        if not high <= STABLE * (1 + ROUNDING):
            return UNSTABLE_STEP.advising(f"(η/ε)h' is {high:.3g} on the values met: {self._safe(high)}")
        return REACHED

    def remark(self, steepest: float) -> Outcome:
        """REACHED, with what is to be said of a run whose steps were stable but may have expanded sup distances."""
        if steepest <= 1.0 + ROUNDING:
            return REACHED
        return REACHED.advising(f"(η/ε)h' reached {steepest:.3g} on the values met: {self._safe(steepest)}")

    def _safe(self, high: float) -> str:
        longest = self.length / high
        return (
            f"steps are nonexpansive up to 1, that is for step ≤ {longest:.3g}, and linearly stable up to 2, "
            f"for step ≤ {2 * longest:.3g}"
        )

    def admit_gauge(self, gauge: Gauge) -> None:
        """Refuse gauges of order 2 and `FORWARD`, which know one of the two terms of order ε, where the other is not 0."""
        if self.whole or gauge == PLAIN:
            return
        raise ValueError(
            f"gauge={gauge.name!r} is for KL with step=eps: other objectives and steps have a second term of order ε, "
            "½z with ∂z = h'𝓛(z + A − (η/ε)h(A)); use gauge=PLAIN, with Richardson(problem, eps, objective=…, gauge=PLAIN) or "
            "LinearisedMongeAmpere(…, ratio=…).corrector for order 2"
        )
