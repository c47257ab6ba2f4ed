"""What is proved about a potential: an interval for W₂² and the errors of the push-forward.

With T = x + ∇u, J = I + D²u positive definite, r = μ − ν(T) det J and A = ν(T) cof J:

* T is the optimal map from μ to T_#μ, so that W₂(μ, T_#μ)² = ∫|∇u|² dμ exactly, and |W₂(μ, ν) − (∫|∇u|² dμ)^½| ≤ W₂(T_#μ, ν);
* W₂(T_#μ, ν) ≤ 2 (sup λ_max(J) ∫rδ)^½ with −div(A∇δ) = r, from W₂(a, b) ≤ 2‖a − b‖_{Ḣ⁻¹(b)} (Peyre, arXiv 1104.4631) and y = T(x);
* ∫rδ ≤ ‖r‖²_{Ḣ⁻¹} / inf λ_min(A), and for any approximate δ with residual q: ∫rδ ≤ ⟨r, δ⟩ + ‖q‖²_{Ḣ⁻¹} / inf λ_min(A).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.fft

from .domains import Grid
from .newton import REFUSED, Level, State
from .operators import Fourier
from .pointwise import extreme_eigenvalues
from .problems import Problem, assembled
from .transforms import Coefficients, Transform

CONTINUOUS = (
    "the densities e^(−f) and e^(−g) as functions on the domain (samples: their interpolants); norms and integrals by quadrature "
    "on a second grid, whose nodes fall between those of the first"
)


@dataclass(frozen=True)
class Interval:
    """Bounds of W₂² (cost |x−y|², not half of it) and the problem that they are proved for."""

    lower: float
    upper: float
    problem: str

    @property
    def gap(self) -> float:
        """(upper − lower)/lower; infinite where the lower bound is 0, unless the upper one is too."""
        if self.lower > 0:
            return (self.upper - self.lower) / self.lower
        return 0.0 if self.upper == 0 else float("inf")


@dataclass(frozen=True)
class Certificate:
    """Interval, extreme eigenvalues of I + D²u, and the push-forward's errors on the certificate's grid."""

    interval: Interval
    min_eigenvalue: float
    max_eigenvalue: float
    state: State


def certify(problem: Problem, series: tuple[Transform, Coefficients], cost: float, gap: float) -> Certificate:
    """Certify a potential on the problem's grid, given by its trigonometric series, whose cost there is ``cost``.

    The residual is not looked at on the grid itself, where a solver may have made it vanish, but on one of 9/8 as many points
    along each axis: what the grid does not resolve shows there.  The bound takes no linear solve where it is below ``gap``
    without one.  Cost: one residual and, where needed, some ten conjugate-gradient iterations.
    """
    grid, (transform, coefficients) = problem.domain, series
    between = replace(grid, shape=tuple(scipy.fft.next_fast_len(n + max(n // 8, 1), real=True) for n in grid.shape))
    level = Level(assembled(between, between, problem.source, problem.target), Fourier().on(between))
    transform.refined(coefficients, between, level.coefficients)
    level.operators.jet(level.coefficients, level.jet)
    low, high = (1.0 + value for value in extreme_eigenvalues(level.jet.D2))
    if not low > 0:
        return Certificate(Interval(0.0, float("inf"), CONTINUOUS), low, high, REFUSED)
    finer = between.integral(np.sum(level.jet.D**2, axis=0) * level.mu)
    state = level.balance()
    least = extreme_eigenvalues(level.jet.D2)[0]
    quadrature = abs(np.sqrt(cost) - np.sqrt(finer))
    interval = _interval(cost, 2 * np.sqrt(high * state.dual**2 / least) + quadrature)
    if interval.gap > gap:
        interval = _interval(cost, 2 * np.sqrt(high * _energy(level, state, least)) + quadrature)
    return Certificate(interval, low, high, state)


def _energy(level: Level, state: State, least: float) -> float:
    """∫rδ, from above."""
    solve = level.elliptic.solve(level.jet.D2, level.r, 0.05, 300)
    rest = (solve.relative * state.dual) ** 2 / least
    return min(solve.product * level.grid.volume + rest, state.dual**2 / least)


def _interval(cost: float, error: float) -> Interval:
    """(√cost ± error)²."""
    root = np.sqrt(cost)
    return Interval(float(max(root - error, 0.0) ** 2), float((root + error) ** 2), CONTINUOUS)


def quadrature_bound(grid: Grid) -> float:
    """How far (W₂) the optimal cost's root between densities may be from that between their cells' masses at the nodes: √Σh²."""
    return float(np.sqrt(np.sum(np.square(grid.spacing))))
