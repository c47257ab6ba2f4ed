"""∂ₜφ = h(A(φ)) as a system for the integrator: what CVODE asks of the parabolic Monge–Ampère equation and its relatives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..calculus.hessians import all_finite
from ..calculus.operators import Jet, Operators, ShiftedLaplacian, eigenvalues_over
from ..calculus.series import Amplitudes
from ..machine.arrays import Array
from ..problems.divergences import Divergence, speed_and_slope
from ..problems.objectives import RELATIVE_ENTROPY
from ..problems.outcomes import CONVEXITY_LOST, NOT_PARABOLIC, Outcome
from ..problems.problem import Problem
from .reading import ChainRule, Linearisation, Seen, linearise, seen_in

# Beyond this factor GMRES needs more vectors than it is given (measured with least eigenvalues of I + D²u down to 0.003).
STRICTEST = 30.0


class Evolution:
    """∂ₜφ = h(A(φ)), PMA for KL, as a `System`: right-hand side, linearisation h′(A)𝓛, preconditioner.

    The state is w = (1 − Δ/κ²)u, κ the least wavenumber (in mean square over the axes), so that the integrator's error control
    sees D²u; it is kept as orthonormal coefficients, in which the preconditioner is diagonal and costs no transform.
    """

    def __init__(self, problem: Problem, operators: Operators, objective: Divergence = RELATIVE_ENTROPY) -> None:
        self.problem, self.operators, self.transform = problem, operators, operators.transform
        self.objective = objective
        self.refusal: Outcome = CONVEXITY_LOST  # why the last state was refused
        kappa2 = float(np.mean([(2 * np.pi / period) ** 2 for period in problem.domain.periods]))
        self._shifted, self._unit = ShiftedLaplacian(self.operators), 1.0 / kappa2
        self._isometry, self._ones = map(self._shifted.weights, (self.transform.isometry, np.ones(1)))
        self.scale = 4 * np.pi**2 / kappa2  # mean squared period: the unit of u and w
        self.here: Linearisation | None = None
        self._sample, self._chain_rule = np.empty(0), ChainRule(problem)
        self._jet = Jet.empty(problem.domain)  # reused: allocating costs more than arithmetic
        self._values = np.empty(problem.domain.local)
        self._spectrum = self.transform.zeros()
        self._flat = self.transform.as_vector(self._spectrum)
        self._diffusion, self._strictness = 1.0, 1.0
        self.drive, self.slope = np.empty(0), 1.0  # h(A) and h′(A) at the last potential

    def vector(self, values: Array) -> Array:
        """State of a function on the grid: orthonormal coefficients of (1 − Δ/κ²)u."""
        out = np.empty(self._shifted.shape).reshape(-1)
        self._write(values, out)
        return out

    def _write(self, values: Array, out: Array) -> None:
        """That state in an array."""
        self.transform.forward(values, self._spectrum)
        self._shifted.multiply(self._flat, self._unit, self._isometry, out)

    def coefficients(self, y: Array) -> Amplitudes:
        """Coefficients of u, the function with state y; the next call of any method writes over them."""
        self._shifted.divide(y, self._unit, self._isometry, self._flat)
        return self._spectrum

    def values(self, y: Array) -> Array:
        """The function on the grid that a state stands for, of the grid's shape."""
        out = np.empty(self.problem.domain.local)
        return self.transform.derivative(self.coefficients(y), (0,) * out.ndim, out)

    def derivative(self, y: Array, out: Array) -> bool:
        """h(A(φ)) at a state, written to ``out``; False where φ is not convex, or h does not increase."""
        admissible = self._evaluate(y)
        if admissible:
            self._write(self.drive, out)
        return admissible

    def _evaluate(self, y: Array) -> bool:
        """Whether φ is convex and the equation parabolic there; `here` is what is known."""
        self.here = None
        jet = self.operators.jet(self.coefficients(y), self._jet)
        here = linearise(self.problem, self.operators, jet, differences=self._chain_rule.lost)
        if not here.convex:
            self.refusal = CONVEXITY_LOST
            return False
        self.drive, self.slope = speed_and_slope(self.objective, self.problem, here.speed)
        if self.drive is not here.speed and not self._parabolic():
            self.refusal = NOT_PARABOLIC
            return False
        self.here, self._sample = here, self._sampled(y).copy()
        self._chain_rule.remember(jet.D)
        return True

    def _parabolic(self) -> bool:
        """Whether h increases, and is finite, at the last potential; KL's always does."""
        return self.problem.domain.every(bool(np.min(self.slope) > 0) and all_finite(self.drive))

    def look(self, y: Array) -> Seen:
        """What is to be seen of the function with state y; written over the linearisation, which is made anew before it serves."""
        if self.here is not None:
            self.here.diffusion  # noqa: B018  # kept: records ask for it
        self._sample = np.empty(0)
        return seen_in(self.problem.domain, self.operators.jet(self.coefficients(y), self._jet))

    @staticmethod
    def _sampled(y: Array) -> Array:
        """Some thousand entries, by which a state is known again."""
        return y[:: max(1, y.size // 4096)]

    def linearise(self, y: Array) -> None:
        """The last admissible state serves unless the integrator has moved on."""
        if self.here is None or not self.problem.domain.every(np.array_equal(self._sampled(y), self._sample)):
            self._evaluate(y)
        if self.here is None:  # refused: the attempt must fail, any linearisation will do
            return
        self._prepare(self.here)
        if self._chain_rule.fails(self.here.drift):
            self._evaluate(y)
            self._prepare(self.here)
        low, _, self._diffusion = self._diffusions(self.here)
        self._strictness = min(max(1.0, self._diffusion / low), STRICTEST)

    def _diffusions(self, here: Linearisation) -> tuple[float, float, float]:
        """Least, greatest and mean eigenvalue of h′G⁻¹."""
        if np.ndim(self.slope) == 0:
            return tuple(float(self.slope) * value for value in here.diffusion)  # pyright: ignore[reportReturnType]
        return eigenvalues_over(self.problem.domain, self.slope * here.inverse)

    def _prepare(self, here: Linearisation) -> None:
        """For products, in the arrays there are: the map gives way to ∇g(∇φ)."""
        if here.slope is None:
            np.copyto(self._values, here.composed)
            here = replace(here, composed=self._values)
        self.here = here.prepared(self._jet.D, self._spectrum)

    def jacobian_times(self, v: Array, out: Array) -> None:
        """h′𝓛v at the last linearised state, written to ``out``."""
        if self.here is None:
            out.fill(0.0)
            return
        if self.here.slope is None:
            self._prepare(self.here)
        change = self.here.times(self.coefficients(v), self._values)
        if np.ndim(self.slope) or self.slope != 1.0:
            change *= self.slope
        self._write(change, out)

    def forcing(self, speed: Array, ratio: float) -> Array:
        """State of (1 − ratio·h′)𝓛v, from that of h′𝓛v."""
        values = self.values(speed)
        return self.vector((1.0 / self.slope - ratio) * values)

    def precondition(self, r: Array, gamma: float, out: Array) -> None:
        """s(1 − γāΔ)⁻¹ r with ā the mean eigenvalue of h′G⁻¹.

        GMRES ends at a preconditioned residual of fixed size, and where the diffusion is d the error of a stiff mode is ā/d
        times that.  The factor s = ā/min d makes it stop later by as much; unscaled it left so much that steps were held small.
        On what 𝓛 does not see the operator is 1, and so must the preconditioner be: damped there, it would hide these
        parts from GMRES, and the predictor would let them grow.
        """
        self._shifted.divide(r, gamma * self._diffusion, self._ones, out)
        self.transform.keep_redundant(out, r)
        out *= self._strictness
