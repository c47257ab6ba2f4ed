"""One implicit Euler step of ∂ₜφ = h(A(φ)), by Newton's method: what `BregmanProximal` and, from the identity, `JKO` take.

    u − ηh(A(u)) = u_k,      Newton:  (1 − ηh′𝓛_u) δ = u_k + ηh(A(u)) − u.

1/h′ − η𝓛 is positive, symmetric with respect to ρ, so that every η > 0 has a Newton step; it is taken as far as φ stays convex
and the residual falls.  A tends to −∞ where convexity is lost, which keeps the search off the boundary.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import LinearOperator, gmres

from ..calculus.operators import Operators
from ..machine.arrays import Array
from ..problems.divergences import Divergence, log_ratio, speed_and_slope
from ..problems.objectives import RELATIVE_ENTROPY
from ..problems.problem import Problem
from .reading import Linearisation, linearise_at

NEWTON_LIMIT, HALVING_LIMIT = 60, 20  # limits
AIMED_AT, ACCEPTED_RMS = (
    1e-11,
    1e-10,
)  # rms of the equation, in units of the mean squared period: aimed at in a time 1/κ², accepted
SHORT_STEP_AIM = 1e-14  # what is aimed at in the shortest steps
LOOSEST, TIGHTEST = 1e-2, 1e-6  # relative residuals of a linear solve
RESTART, RESTARTS = 30, 5


@dataclass(frozen=True, eq=False)
class Implicit:
    """The solution u of u − ηh(A(u)) = u_k, the linearisation there, and what it cost.

    Attributes
    ----------
    u : on the grid.
    here : A and 𝓛 at u.
    residual : rms of u_k + ηh(A(u)) − u over 1 + ηκ², κ the least wavenumber: about the error of u.
    newton, krylov : Newton steps, and products with 𝓛 in all.
    solved : whether the residual is rounding, or near it.
    """

    u: Array
    here: Linearisation
    residual: float
    newton: int
    krylov: int
    solved: bool


class ImplicitStep:
    """The equation u − ηh(A(u)) = u_k on one grid; memory: GMRES has up to 30 arrays of the grid, all else some 20."""

    def __init__(
        self, problem: Problem, operators: Operators, eta: float, objective: Divergence = RELATIVE_ENTROPY
    ) -> None:
        self.problem, self.operators, self.eta, self.objective = problem, operators, eta, objective
        self.scale = float(np.mean(np.square(problem.domain.lengths)))
        self.weight = 1.0 + eta * 4 * np.pi**2 / self.scale
        self.krylov = 0

    def solve(self, before: Array, aim: float = AIMED_AT) -> Implicit:
        """Newton's method from u_k, which must be strictly convex, to a residual of ``aim`` a time 1/κ², or as far as it falls."""
        u, goal = before, self.scale * max(SHORT_STEP_AIM, aim * (1.0 - 1.0 / self.weight))
        here, residual = self._at(u, before)
        size, count = self._size(residual), 0
        while size > goal and count < NEWTON_LIMIT:
            step, t = self._newton(here, residual, size), 1.0
            for _ in range(HALVING_LIMIT):
                new, r = self._at(u + t * step, before)
                if self._size(r) <= (1.0 - 0.1 * t) * size:
                    break
                t *= 0.5
            else:  # rounding, or no descent
                break
            u, here, residual, count = u + t * step, new, r, count + 1
            size = self._size(residual)
        return Implicit(u, here, size, count, self.krylov, size <= ACCEPTED_RMS * self.scale)

    def _at(self, u: Array, before: Array) -> tuple[Linearisation, Array]:
        """The linearisation and the residual, infinite where φ is not convex or h does not increase."""
        here = linearise_at(self.problem, self.operators, u)
        if here.convex:
            drive, slope = speed_and_slope(self.objective, self.problem, here.speed)
            if np.min(slope) > 0 and np.isfinite(drive).all():
                return here, before + self.eta * drive - u
        return here, np.full(u.shape, np.inf)

    def _size(self, residual: Array) -> float:
        return float(np.sqrt(np.mean(residual**2))) / self.weight

    def _newton(self, here: Linearisation, residual: Array, size: float) -> Array:
        """(1 − ηh′𝓛) δ = residual, preconditioned by (1 − ηāΔ)⁻¹, ā the mean of h′ times that eigenvalue of (D²φ)⁻¹."""
        shape, transform = residual.shape, self.operators.transform
        rate = self.eta * self.objective.dh(log_ratio(self.objective, self.problem, here.speed))
        damping = 1.0 + float(np.mean(rate)) * here.diffusion[2] * self.operators.symbol

        def times(v: Array) -> Array:
            self.krylov += 1
            v = v.reshape(shape)
            return (v - rate * here.times(transform.forward(v))).ravel()

        def precondition(r: Array) -> Array:
            smooth = transform.forward(r.reshape(shape)) / damping
            return transform.derivative(smooth, (0,) * len(shape), np.empty(shape)).ravel()

        n = residual.size
        product, inverse = (LinearOperator((n, n), act, dtype=np.float64) for act in (times, precondition))
        rtol = float(np.clip(size / self.scale, TIGHTEST, LOOSEST))
        delta, _ = gmres(product, residual.ravel(), rtol=rtol, M=inverse, restart=RESTART, maxiter=RESTARTS)
        return delta.reshape(shape)
