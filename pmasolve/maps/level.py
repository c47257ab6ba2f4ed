"""The elliptic equation on one grid: residual, linearisation and steps, in the arrays of this processor.

r = μ − ν(x+∇u) det(I+D²u).  `Level` is what Newton's method moves on; levels elsewhere (`devices`) do the same by the same names.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..calculus.operators import Jet, Operators
from ..calculus.series import Amplitudes
from ..machine.arrays import Array
from ..machine.exponentials import exp_minus
from ..problems.problem import Problem
from .elliptic import Elliptic, Solve
from .residual import balance, positive_definite

SHORTEST, LONGEST = 1e-8, 1e8  # periods with which densities and gradients stay in the range of float32
LEAST_IN_SINGLE = 1e-5  # relative residual of a linear solve whose operator is off by float32's roundings, some 1e-7


@dataclass(frozen=True)
class NewtonState:
    """Where Newton stands: norms of r; infinite where convexity is lost.

    ``l1`` = ∫|r| = ∫|T_#μ − ν|, ``sup`` = sup |T_#μ − ν|, ``dual`` the Ḣ⁻¹ norm.  ``defect`` ≥ ∫|r − r̄|, by Cauchy and Schwarz, is
    what Newton reduces: on a grid the two sides may differ in mass by the truncation error, which no potential can change.
    """

    l1: float
    sup: float
    dual: float
    defect: float


REFUSED_STATE = NewtonState(np.inf, np.inf, np.inf, np.inf)


class Level:
    """The equation on one grid, with all the memory that it needs."""

    def __init__(self, problem: Problem, operators: Operators) -> None:
        self.problem, self.grid = problem, problem.domain
        self.operators, self.transform = operators, operators.transform
        self.jet = Jet.empty(self.grid)
        self.elliptic = Elliptic(self.operators, self.jet.D)
        self.coefficients: Amplitudes = self.transform.zeros()  # of u
        self.r: Amplitudes = self.transform.zeros()  # of the residual

    @property
    def residual(self) -> Array:
        """r at the nodes after an evaluation, until a linear system is solved: in the first of the gradient's arrays."""
        return self.jet.D[0]

    @cached_property
    def trial(self) -> Amplitudes:
        """Room for another potential."""
        return self.transform.zeros()

    @cached_property
    def mu(self) -> Array:
        """e^{−f} at the nodes."""
        return exp_minus(self.problem.f)

    def start_from(self, coarse: Level) -> None:
        """The potential of a coarser level; modes that it does not have are exactly 0."""
        coarse.transform.refined(coarse.coefficients, self.grid, self.coefficients)

    @property
    def here(self) -> Level:
        """The level on this processor: itself."""
        return self

    def begin(self) -> NewtonState:
        """Evaluate where the level stands."""
        return self.evaluate(self.coefficients)

    def shrink(self, factor: float) -> None:
        """Scale the potential."""
        self.coefficients *= factor

    def correct(self, forcing: float, limit: int, exact: bool = False) -> Solve:
        """Newton's direction, to a relative residual ``forcing``; the residual is lost.

        Processes exchange float32 unless ``exact``, or where its digits or its range are too few; the next evaluation, in float64,
        sees all.
        """
        single = self.transform.single is not self.transform and forcing >= LEAST_IN_SINGLE and not exact
        single = single and all(SHORTEST < length < LONGEST for length in self.grid.lengths)
        solve = self.elliptic.solve_in_single if single else self.elliptic.solve
        return solve(self.jet.D2, self.r, forcing, limit)

    def move(self, t: float) -> NewtonState:
        """Evaluate a step t along that direction."""
        np.multiply(self.elliptic.solution, -t, out=self.trial)
        self.trial += self.coefficients
        return self.evaluate(self.trial)

    def keep(self) -> None:
        """Stand where the last step led to."""
        self.coefficients, self.trial = self.trial, self.coefficients

    @property
    def height(self) -> float:
        """sup |u|."""
        return self.grid.sup(self.values)

    @property
    def steepest(self) -> float:
        """What second derivatives multiply the fastest wave by."""
        return self.grid.most(float(np.max(self.operators.symbol)))

    def evaluate(self, coefficients: Amplitudes) -> NewtonState:
        """Residual and linearisation at a potential; `REFUSED_STATE` if it is not strictly convex."""
        self.operators.jet(coefficients, self.jet)
        return self.balance() if self.grid.every(positive_definite(self.jet.D2)) else REFUSED_STATE

    def balance(self) -> NewtonState:
        """Residual where ``jet`` is that of a strictly convex potential: the gradient is lost, D²u becomes ν(T) cof(I+D²u)."""
        return self.compare(self.mu, self.pulled())

    def pulled(self) -> Array:
        """ν at x + ∇u; the gradient is lost."""
        nu = self.problem.target.at(self.problem.domain.displaced(self.jet.D))
        return exp_minus(nu, out=nu)

    def compare(self, mu: Array, nu: Array) -> NewtonState:
        """r = μ − ν det(I+D²u) of two densities on the nodes; D²u becomes ν cof(I+D²u)."""
        total, worst = balance(self.jet.D2, nu, mu, self.residual)  # which takes the place of the gradient
        mean, worst = self.grid.summed(total) / self.grid.size, self.grid.most(worst)
        self.transform.without_mean(self.transform.forward(self.residual, self.r))  # which no potential changes
        volume, dual, square = self.grid.volume, self.elliptic.energy(self.r), self.elliptic.square(self.r)
        return NewtonState(mean * volume, worst, float(np.sqrt(dual * volume)), float(np.sqrt(square)) * volume)

    @property
    def values(self) -> Array:
        """u on the grid, mean-free, of its shape."""
        return self.transform.derivative(self.coefficients, (0,) * self.grid.dim, np.empty(self.grid.local))
