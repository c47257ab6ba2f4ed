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
from .softmin.protocol import Softmin

START_RESIDUAL = 1e-3  # residual of the self-potential that a start is made with
CHAIN_DAMPING = 1e-9  # damping of a chain at least, which may be broken
BROKEN = 1e-30  # of the greatest flux: less is none


def on_a_line(problem: Problem) -> bool:
    """Whether both sides are points with mass in ℝ."""
    x, y = problem.domain, problem.codomain
    if not (isinstance(x, Cloud) and isinstance(y, Cloud)):
        return False
    return x.dim == 1 and x.period is None and not problem.vanishing


def start_on_a_line(problem: Problem, eps: float, softmin: Softmin | None) -> tuple[Array, SelfPotential]:
    """u of the monotone coupling, midway between its optimal ones, and the self-potential of x at ε, which belongs to it."""
    x, y = problem.domain, problem.codomain
    assert isinstance(x, Cloud)
    assert isinstance(y, Cloud)
    kantorovich = potentials(x.points[:, 0], y.points[:, 0], np.asarray(x.weights), np.asarray(y.weights))
    own = self_potential(problem.mu, eps, softmin, tolerance=START_RESIDUAL)
    u = own.u - kantorovich
    return u - problem.mu.integral(u), own


@dataclass(frozen=True, eq=False)
class Line:
    """P − damping of a plan between points on a line, with a preconditioner; see `markov.solve`.

    Attributes
    ----------
    markov : P.
    order : of the points from left to right.
    resistance : R_g = Δ_g/F_g of the gaps between them.
    """

    products: ClassVar[int] = 40  # most of a Newton step
    passes: ClassVar[int] = 1  # of a product, in iterations
    least_damping: ClassVar[float] = 1e-7  # above 0: what P shrinks by 1 − λ alone gains λ/(λ + δ) in a step

    markov: Markov
    order: NDArray[np.intp]
    resistance: Array
    damping: float = 0.0

    @classmethod
    def of(cls, markov: Markov) -> Line:
        """Of a plan: one product with P."""
        nodes = markov.flow.problem.domain
        assert isinstance(nodes, Cloud)
        x, m = nodes.points[:, 0], markov.masses
        order = np.argsort(x, kind="stable")
        pull = m * (markov.times(x) - x)
        flux = np.cumsum((pull - m * (pull.sum() / m.sum()))[order])[:-1]
        least = BROKEN * max(float(np.max(flux, initial=0.0)), np.finfo(float).tiny / BROKEN)
        return cls(markov, order, np.diff(x[order]) / np.maximum(flux, least))

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

    @property
    def conditioner(self) -> ChainPreconditioner:
        """1 + (L + damping)⁻¹."""
        m, least = self.masses[self.order], max(self.damping, CHAIN_DAMPING)
        matrix = np.zeros((2, m.size - 1))
        matrix[1] = least * self.resistance + 1 / m[:-1] + 1 / m[1:]
        matrix[0, 1:] = -1 / m[1:-1]
        return ChainPreconditioner(self.order, self.resistance, matrix)


@dataclass(frozen=True, eq=False)
class ChainPreconditioner:
    """A preconditioner: r plus w with (L + δ)w = r, up to a constant, L of a chain between neighbours.

    Its unknowns are the currents q_g = (w_g − w_{g+1})/R_g; no digits are lost where points are equal, R = 0:

        δR_g q_g + (q_g − q_{g−1})/m_g − (q_{g+1} − q_g)/m_{g+1} = r_g − r_{g+1}.
    """

    order: NDArray[np.intp]
    resistance: Array
    matrix: Array

    def times(self, r: Array, density: Array) -> Array:
        """For r; the masses of the points are in the matrix."""
        w = np.zeros_like(r)
        jumps = -np.diff(r[self.order])
        # SciPy's solver for three diagonals refuses a single equation
        currents = solveh_banded(self.matrix, jumps) if jumps.size > 1 else jumps / self.matrix[1]
        w[self.order[1:]] = -np.cumsum(currents * self.resistance)
        return r + w
