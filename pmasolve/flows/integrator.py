"""CVODE (BDF with preconditioned GMRES) for a system that may refuse a state; the only importer of sksundae.

Hindmarsh et al., SUNDIALS, ACM TOMS 31 (2005).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import Protocol

import numpy as np
from sksundae.cvode import CVODE, CVODEJacTimes, CVODEPrecond

from ..machine.arrays import Array, number
from ..problems.nodes import Whole
from ..problems.outcomes import REACHED, REFUSED, STEP_LIMIT, Outcome

# What a refused state reports as its derivative, in units of y over those of time: finite, so that it cannot poison the run, and
# large enough to fail every convergence and error test of the attempt, after which CVODE shrinks the step.
REFUSAL = 1e8

# BDF5's predictor amplifies what the linear solver leaves of the stiff modes by 2⁵ − 1, enough to hold the step size down: at
# tolerance 1e-8 order 5 took three times the steps of order 4 on smooth problems.
MAX_ORDER = 4

# Vectors that GMRES may use for one system; those that none needs take up addresses only.  Smooth problems need 2 to 4, those
# where I + D²u has eigenvalues of 0.01 some 20.  What is left unsolved holds steps small: with 8 vectors at most, random densities
# took up to 10 times the steps.
KRYLOV = 30

GAVE_UP = STEP_LIMIT.advising("the integrator gave up; loosen rtol, or refine the grid where D²u is large")

# BDF of order q with fixed leading coefficient, as CVODE's, solves y − γF(y) = … with γ = dt/(1 + 1/2 + … + 1/q).
LEADING = np.cumsum(1.0 / np.arange(1, MAX_ORDER + 1))


class Steps(Protocol):
    """What steps a `System`: the time and the state reached, how that ended, and what it took."""

    t: float
    y: Array
    reached: float  # the end of the last internal step
    outcome: Outcome
    order: float
    counts: Counts  # so far

    def advance(self, until: float) -> None:
        """One internal step; if it passes ``until``, the interpolant there."""
        ...


class System(Protocol):
    """dy/dt = F(y) with a linearisation and a preconditioner; y is a flat real vector, and so is every ``out``."""

    def derivative(self, y: Array, out: Array) -> bool:
        """Write F(y); False where y is not admissible."""
        ...

    def linearise(self, y: Array) -> None:
        """Prepare DF(y); called only after ``derivative`` accepted a state."""
        ...

    def jacobian_times(self, v: Array, out: Array) -> None:
        """Write DF(y)·v at the state last linearised."""
        ...

    def precondition(self, r: Array, gamma: float, out: Array) -> None:
        """Write an approximation of (1 − γ DF)⁻¹ r."""
        ...


@dataclass
class Counts:
    """Right-hand sides, Newton iterations and Jacobian products so far."""

    steps: int = 0
    derivatives: int = 0
    newton_iterations: int = 0  # linear solves
    jacobian_products: int = 0
    preconditionings: int = 0
    refusals: int = 0


class _Calls:
    """What CVODE calls: a system, counted.  It does not know the integrator, so that nothing refers to itself in a circle."""

    def __init__(self, system: System, refusal: float) -> None:
        self.system, self.refusal, self.counts = system, refusal, Counts()
        self.refused = False  # was the last state tried?
        self.gamma = np.nan  # of the last linear system

    def derivative(self, t: float, y: Array, out: Array) -> None:
        """F, or what makes CVODE refuse the state."""
        self.counts.derivatives += 1
        self.refused = not self.system.derivative(y, out)
        if self.refused:
            self.counts.refusals += 1
            out.fill(self.refusal)

    def linearise(self, t: float, y: Array, derivative: Array) -> None:
        """Before the products of a Newton iteration."""
        self.counts.newton_iterations += 1
        self.system.linearise(y)

    def jacobian_times(self, t: float, y: Array, derivative: Array, v: Array, out: Array) -> None:
        """DF·v."""
        self.counts.jacobian_products += 1
        self.system.jacobian_times(v, out)

    def prepare(self, t, y, derivative, usable, renewed: list[bool], gamma: float) -> None:
        """Nothing is prepared, but with this CVODE carries its estimate of Newton's rate from step to step.

        Without, each step begins as if the rate were 1, and many evaluate F once more only to see that they have converged.
        """
        renewed[0] = True

    def precondition(self, t, y, derivative, r: Array, out: Array, gamma: float, delta: float, side: int) -> None:
        """The preconditioner; it is told γ."""
        self.counts.preconditionings += 1
        self.gamma = gamma
        self.system.precondition(r, gamma, out)


class Integrator:
    """Steps a `System` with local error ‖·‖_rms ≤ ``tolerance``; dense output at any time.

    It ends with `REFUSED` where the system refuses every step tried: why, only the flow can say.  ``rate`` is the unit of y over
    that of time: 1 for potentials, whose unit is that of time.
    """

    def __init__(self, system: System, y: Array, tolerance: float, t: float = 0.0, rate: float = 1.0) -> None:
        self._calls = calls = _Calls(system, REFUSAL * rate)
        self.counts = calls.counts
        self.t, self.y, self.reached, self.outcome = t, y, t, REACHED
        self.order = np.nan  # of the last step
        self._solver = CVODE(
            calls.derivative,
            rtol=0.0,
            atol=tolerance,
            linsolver="gmres",
            max_order=MAX_ORDER,
            krylov_dim=KRYLOV,
            precond=CVODEPrecond(calls.prepare, calls.precondition),
            jactimes=CVODEJacTimes(calls.linearise, calls.jacobian_times),
        )
        self._solver.init_step(t, y)

    def advance(self, until: float) -> None:
        """One internal step; if it passes ``until``, the interpolant there."""
        refusals = self.counts.refusals
        if self.reached < until:
            self._calls.gamma = np.nan
            result = self._solver.step(until, method="onestep")
            self.counts.steps += 1
            if not result.success or self._calls.refused:  # at tiny steps CVODE may accept one built on a refused state
                self.outcome = REFUSED if self.counts.refusals > refusals else GAVE_UP
                return
            self.order = order_of(result.t - self.reached, self._calls.gamma)
            self.t, self.y, self.reached = result.t, result.y, result.t
            del result  # its copy of the state
        if self.reached >= until:
            self.t, self.y = until, self._solver.step(until, method="normal").y


@singledispatch
def integrator_on(domain: Whole, system: System, y: Array, tolerance: float, t: float) -> Steps:
    """What steps a system whose state is of functions on this domain: CVODE, unless the domain registers another."""
    return Integrator(system, y, tolerance, t)


def order_of(dt: float, gamma: float) -> float:
    """Order of a BDF step of size ``dt``, from γ of its linear systems; NaN if it needed none.

    Examples
    --------
    >>> order_of(0.3, 0.2)
    2.0
    """
    return float(np.argmin(np.abs(LEADING * gamma - dt)) + 1) if np.isfinite(gamma) else np.nan


def rms(y: Array) -> float:
    """Root mean square, the integrator's norm."""
    return float(np.sqrt(np.mean(y * y)))


def admit_tolerance(rtol: float) -> None:
    """Refuse a tolerance that a step cannot keep, or that means nothing: a ``ValueError``."""
    if not 1e-13 <= number(rtol, "rtol") <= 1e-2:
        raise ValueError(f"rtol={rtol}: give a tolerance between 1e-13 and 1e-2")
