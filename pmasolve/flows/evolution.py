"""PMA at one potential, and as a system for the integrator: right-hand side, linearisation, preconditioner.

With φ = |x|²/2 + u the state is w = (1 − Δ/κ²)u, κ the least wavenumber (in mean square over the axes), so that the integrator's
error control sees D²u; it is kept as orthonormal coefficients, in which the preconditioner is diagonal and costs no transform.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..calculus.hessians import (
    add_difference,
    all_finite,
    apply,
    eigenvalue_range,
    extreme_eigenvalues,
    log_det_inverse,
)
from ..calculus.operators import Jet, Operators, Shifted, jet_of
from ..calculus.series import Coefficients
from ..machine.arrays import Array
from ..machine.threads import CACHED
from ..problems.problem import Problem

# Beyond this factor GMRES needs more vectors than it is given (measured with least eigenvalues of I + D²u down to 0.003).
STRICTEST = 30.0
LOOKED_AT = 4  # every so many linearisations
MISLED = 0.01  # relative error of the chain rule beyond which g is differentiated itself


@dataclass(frozen=True, eq=False)
class Linearisation:
    """A(φ) = f − g(∇φ) + log det D²φ at one potential, and its derivative 𝓛w = tr(G⁻¹D²w) − ∇g(∇φ)·∇w."""

    problem: Problem
    operators: Operators
    speed: Array  # A(φ); −inf where φ is not convex
    inverse: Array  # G⁻¹, packed
    composed: Array  # g(∇φ)
    slope: Array | None = None  # ∇g(∇φ) where it is known

    @cached_property
    def convex(self) -> bool:
        """Whether I + D²u is positive definite, and everything finite, at every point."""
        return all_finite(self.speed)

    @property
    def log_density(self) -> Array:
        """log ρ = A − f at the nodes, of the grid's shape."""
        return self.speed - self.problem.f

    @cached_property
    def drift(self) -> Array:
        """∇g(∇φ) = G⁻¹∇[g(∇φ)], if it is not known: the chain rule spares a derivative of g off the grid."""
        return self.slope if self.slope is not None else self._drift()

    def _drift(self, out: Array | None = None, room: Coefficients | None = None) -> Array:
        return apply(self.inverse, self.operators.gradient(self.composed, out, room))

    def prepared(self, out: Array, room: Coefficients) -> Linearisation:
        """This linearisation with ∇g(∇φ) known, in ``out`` unless it was before, and without g(∇φ), which has served."""
        return replace(self, slope=self._drift(out, room) if self.slope is None else self.slope, composed=np.empty(0))

    @cached_property
    def diffusion(self) -> tuple[float, float, float]:
        """Least, greatest and mean eigenvalue of G⁻¹."""
        return eigenvalue_range(self.inverse)

    def times(self, coefficients: Coefficients, out: Array | None = None) -> Array:
        """𝓛w on the grid from the coefficients of w, in ``out`` if given."""
        out = np.empty(self.problem.domain.shape) if out is None else out
        return self.operators.contract(coefficients, self.inverse, self.drift, out)


def linearise(problem: Problem, operators: Operators, jet: Jet, differences: bool = False) -> Linearisation:
    """Evaluate A and prepare 𝓛 at the potential with this jet, over which G⁻¹ and the map are written.

    With ``differences`` the derivative of g is taken at the map's points, which costs 2 dim evaluations of g.
    """
    speed, inverse = log_det_inverse(jet.D2, jet.D2)
    if not all_finite(speed):  # not convex: the map may be anywhere, g is not asked
        return Linearisation(problem, operators, speed, inverse, speed)
    composed = problem.target.at(problem.domain.displaced(jet.D))
    add_difference(speed, problem.f, composed)
    slope = central_differences(problem, jet.D) if differences else None
    return Linearisation(problem, operators, speed, inverse, composed, slope)


def central_differences(problem: Problem, points: Array) -> Array:
    """∇g at points (dim, …) to about eight digits, by one call of g for each block of points."""
    flat, out = points.reshape(len(points), -1), np.empty(points.shape)
    steps = 1e-5 * np.array(problem.domain.lengths)
    moves = np.concatenate([np.diag(steps), -np.diag(steps)], axis=1)[:, :, None]  # (dim, 2 dim, 1)
    for first in range(0, flat.shape[1], CACHED):
        ahead, behind = np.split(problem.target.at(flat[:, None, first : first + CACHED] + moves), 2)
        out.reshape(flat.shape)[:, first : first + CACHED] = (ahead - behind) / (2 * steps[:, None])
    return out


def linearise_at(problem: Problem, operators: Operators, u: Array) -> Linearisation:
    """Evaluate A and prepare 𝓛 at a potential given by its values on the grid."""
    return linearise(problem, operators, jet_of(operators, u))


def convexity(operators: Operators, u: Array) -> tuple[float, float]:
    """Least and greatest eigenvalue of D²φ = I + D²u over the grid."""
    low, high = extreme_eigenvalues(jet_of(operators, u).D2)
    return 1.0 + low, 1.0 + high


class Evolution:
    """PMA as a `System` in the preconditioned coefficients."""

    def __init__(self, problem: Problem, operators: Operators) -> None:
        self.problem, self.operators, self.transform = problem, operators, operators.transform
        kappa2 = float(np.mean([k.ravel()[1] ** 2 for k in self.transform.wavenumbers]))
        self._shifted, self._unit = Shifted(self.operators), 1.0 / kappa2
        self._isometry, self._ones = map(self._shifted.weights, (self.transform.isometry, np.ones(1)))
        self.scale = 4 * np.pi**2 / kappa2  # mean squared period: the unit of u and w
        self.here: Linearisation | None = None
        self._sample, self._places = np.empty(0), np.empty(0)
        self._differences = False  # once the grid does not resolve g(∇φ)
        self._linearised = 0
        self._jet = Jet.empty(problem.domain)  # reused: allocating costs more than arithmetic
        self._values = np.empty(problem.domain.shape)
        self._spectrum = self.transform.zeros()
        self._flat = self.transform.as_vector(self._spectrum)
        self._diffusion, self._strictness = 1.0, 1.0

    def vector(self, values: Array) -> Array:
        """State of a function on the grid: orthonormal coefficients of (1 − Δ/κ²)u."""
        out = np.empty(self._shifted.shape).reshape(-1)
        self._write(values, out)
        return out

    def _write(self, values: Array, out: Array) -> None:
        """That state in an array."""
        self.transform.forward(values, self._spectrum)
        self._shifted.multiply(self._flat, self._unit, self._isometry, out)

    def coefficients(self, y: Array) -> Coefficients:
        """Coefficients of u, the function with state y; the next call of any method writes over them."""
        self._shifted.divide(y, self._unit, self._isometry, self._flat)
        return self._spectrum

    def values(self, y: Array) -> Array:
        """The function on the grid that a state stands for, of the grid's shape."""
        out = np.empty(self.problem.domain.shape)
        return self.transform.derivative(self.coefficients(y), (0,) * out.ndim, out)

    def derivative(self, y: Array, out: Array) -> bool:
        """A(φ) at a state, written to ``out``; False where φ is not convex."""
        admissible = self._evaluate(y)
        if self.here is not None:
            self._write(self.here.speed, out)
        return admissible

    def _evaluate(self, y: Array) -> bool:
        """Whether φ is convex; `here` is what is known there."""
        self.here = None
        jet = self.operators.jet(self.coefficients(y), self._jet)
        here = linearise(self.problem, self.operators, jet, self._differences)
        if here.convex:
            self.here, self._sample, self._places = here, self._sampled(y).copy(), self._some(jet.D).copy()
        return self.here is not None

    @staticmethod
    def _sampled(y: Array) -> Array:
        """Some thousand entries, by which a state is known again."""
        return y[:: max(1, y.size // 4096)]

    @staticmethod
    def _some(vectors: Array) -> Array:
        """A few hundred of the vectors (dim, *shape)."""
        flat = vectors.reshape(len(vectors), -1)
        return flat[:, :: max(1, flat.shape[1] // 256)]

    def _misled(self, here: Linearisation) -> bool:
        """Whether the chain rule has lost its digits: Newton's method then stalls, and steps shrink without end.

        Looked at now and then, since the loss is for good.
        """
        self._linearised += 1
        if self._differences or self._linearised % LOOKED_AT != 1:
            return False
        exact = central_differences(self.problem, self._places)
        return float(np.max(np.abs(self._some(here.drift) - exact))) > MISLED * float(np.max(np.abs(exact)) + 1.0)

    def linearise(self, y: Array) -> None:
        """The last admissible state serves unless the integrator has moved on."""
        if self.here is None or not np.array_equal(self._sampled(y), self._sample):
            self._evaluate(y)
        if self.here is None:  # refused: the attempt must fail, any linearisation will do
            return
        self._prepare(self.here)
        if self._misled(self.here):
            self._differences = True
            self._evaluate(y)
            self._prepare(self.here)
        low, _, self._diffusion = self.here.diffusion
        self._strictness = min(max(1.0, self._diffusion / low), STRICTEST)

    def _prepare(self, here: Linearisation) -> None:
        """For products, in the arrays there are: the map gives way to ∇g(∇φ)."""
        if here.slope is None:
            np.copyto(self._values, here.composed)
            here = replace(here, composed=self._values)
        self.here = here.prepared(self._jet.D, self._spectrum)

    def jacobian_times(self, v: Array, out: Array) -> None:
        """𝓛v at the last linearised state, written to ``out``."""
        if self.here is None:
            out.fill(0.0)
            return
        if self.here.slope is None:
            self._prepare(self.here)
        self._write(self.here.times(self.coefficients(v), self._values), out)

    def precondition(self, r: Array, gamma: float, out: Array) -> None:
        """s(1 − γāΔ)⁻¹ r with ā the mean eigenvalue of G⁻¹.

        GMRES ends at a preconditioned residual of fixed size, and where the diffusion is d the error of a stiff mode is ā/d
        times that.  The factor s = ā/min d makes it stop later by as much; unscaled it left so much that steps were held small.
        On what 𝓛 does not see the operator is 1, and so must the preconditioner be: damped there, it would hide these
        parts from GMRES, and the predictor would let them grow.
        """
        self._shifted.divide(r, gamma * self._diffusion, self._ones, out)
        self.transform.keep_redundant(self.transform.as_coefficients(out), self.transform.as_coefficients(r))
        out *= self._strictness
