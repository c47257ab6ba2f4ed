"""On a line, where points are in order: a start from the monotone coupling, and Newton's equation with a good preconditioner.

The monotone coupling is optimal at ε = 0, and φ_ε = φ_0 + u_ff + O(ε²), u_ff the self-potential of the source: a start at any ε.

P = E[E[·|Y]|X] is a reversible chain with conductances cᵢⱼ.  For a function that is straight over its jumps the energy
½ Σ cᵢⱼ (wᵢ − wⱼ)² is that of a chain between neighbours, whose conductance over the gap g between two of them is F_g/Δ_g, Δ_g its
length and

    F_g = Σ over jumps across g of cᵢⱼ (xⱼ − xᵢ) = Σ_{i ≤ g} mᵢ ((Px)ᵢ − xᵢ),

one product with P.  With L that chain's generator I − P is near L/(1 + L): functions that change within one jump are left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

from ..machine.arrays import Array
from ..maps.line import potentials
from ..problems.grids import Cloud
from ..problems.problem import Problem
from .markov import Markov
from .self_potential import SelfPotential, self_potential

NEAR = 1e-3  # residual of the self-potential that a start is made with
FLATTEST = 1e-13  # damping below it is rounding, and keeps a chain that is broken from being singular


def on_a_line(problem: Problem) -> bool:
    """Whether both sides are points with mass in ℝ."""
    x, y = problem.domain, problem.codomain
    if not (isinstance(x, Cloud) and isinstance(y, Cloud)):
        return False
    return x.dim == 1 and x.period is None and not problem.vanishing


def start_on_a_line(problem: Problem, eps: float) -> tuple[Array, SelfPotential]:
    """u of the monotone coupling, midway between its optimal ones, and the self-potential of x at ε, which belongs to it."""
    x, y = problem.domain, problem.codomain
    assert isinstance(x, Cloud) and isinstance(y, Cloud)
    kantorovich = potentials(x.points[:, 0], y.points[:, 0], np.asarray(x.weights), np.asarray(y.weights))
    own = self_potential(problem.mu, eps, tolerance=NEAR)
    return own.u - kantorovich, own


@dataclass(frozen=True, eq=False)
class Line:
    """P − damping of a plan between points on a line, with a preconditioner; see `markov.solve`.

    Attributes
    ----------
    markov : P.
    order : of the points from left to right.
    conductance : F_g/Δ_g of the gaps between them.
    """

    products: ClassVar[int] = 40  # most of a Newton step
    passes: ClassVar[int] = 1  # of a product, in iterations

    markov: Markov
    order: NDArray[np.intp]
    conductance: Array
    damping: float = 0.0

    @classmethod
    def of(cls, markov: Markov) -> Line:
        """That of a plan, by one product."""
        nodes = markov.flow.problem.domain
        assert isinstance(nodes, Cloud)
        x, m = nodes.points[:, 0], markov.masses
        order = np.argsort(x, kind="stable")
        pull = m * (markov.times(x) - x)
        flux = np.cumsum((pull - m * (pull.sum() / m.sum()))[order])[:-1]
        gaps = np.maximum(np.diff(x[order]), np.finfo(float).eps * np.ptp(x))
        return cls(markov, order, np.maximum(flux, 0.0) / gaps)

    @property
    def masses(self) -> Array:
        """The weights of the inner product."""
        return self.markov.masses

    def times(self, w: Array) -> Array:
        """P w − damping·w at the source points."""
        return self.markov.times(w) - self.damping * w

    def dot(self, a: Array, b: Array) -> float:
        """The inner product ∫ab dp of two functions of the source points."""
        return self.markov.dot(a, b)

    def centred(self, w: Array) -> Array:
        """w less its p-mean: the range of I − P."""
        return self.markov.centred(w)

    @cached_property
    def conditioner(self) -> Chain:
        """1 + (L + damping)⁻¹."""
        m, k = self.masses[self.order], self.conductance
        matrix = np.zeros((2, m.size))
        matrix[1] = max(self.damping, FLATTEST) * m
        matrix[1, :-1] += k
        matrix[1, 1:] += k
        matrix[0, 1:] = -k
        return Chain(self.order, matrix)


@dataclass(frozen=True, eq=False)
class Chain:
    """A preconditioner: r plus the solution of the equation of a chain between neighbours, whose matrix is in upper banded form."""

    order: NDArray[np.intp]
    matrix: Array

    def times(self, r: Array, density: Array) -> Array:
        """For r; ``density`` are the masses of the points."""
        w = np.empty_like(r)
        w[self.order] = solveh_banded(self.matrix, (density * r)[self.order])
        return r + w
