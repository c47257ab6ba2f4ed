"""Bounds of the entropic value that hold in float64: what it costs to complete a plan, and what rounding may hide.

For potentials as they are stored the plan γ = exp(−(u⊕v+c)/ε) μ⊗ν exists exactly; what is computed of it is not exact.  An
exponent is a difference of numbers of size C/ε, so that log dp_X/dμ is known to η ≈ κ·2⁻⁵³·C/ε only: a share η of the mass may be
anywhere.
Every bound here takes the worst of all marginals within η.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..machine.arrays import ROUNDOFF, Array
from ..problems.problem import Measure, Problem
from .softmin.nodes import points

PAIRWISE = 128  # terms that numpy adds one by one; longer sums are sums of such sums, in pairs
LONGEST_SUM = 4096  # terms that an engine adds one by one


@dataclass(frozen=True)
class Slack:
    """How far computed marginals and sums may be from exact ones.

    Attributes
    ----------
    log_ratio : η, of log dp_X/dμ and log dp_Y/dν: see `slack`.
    sums : relative, of an integral against Σ|terms|, with the normalisation of the weights.
    """

    log_ratio: float
    sums: float


def slack(problem: Problem, eps: float, u: Array, v: Array) -> Slack:
    """Count the roundings of a half step and of an integral.

    An exponent −u/ε + log μ − c/ε passes some ten roundings (the cost 3 dim of them), each of 2⁻⁵³ times the largest of its parts;
    where a term matters, c ≤ |u| + |v| + ε log(1/weight), of mean ≤ log n.  Displacements d that are wrapped into a period L have
    the error 2⁻⁵³ L, their costs d²/2ε that of d L/ε.  Sums add 2⁻⁵³ for each term added one by one.
    """
    dim, size = problem.domain.dim, max(problem.domain.size, problem.codomain.size)
    logs = [_largest(m.log_density + np.log(m.cell), m) for m in (problem.mu, problem.nu)]
    parts = (_largest(u, problem.mu) + _largest(v, problem.nu)) / eps + sum(logs) + np.log(size)
    wrapped = np.sqrt(2 * parts * _periods(problem) / eps)
    along = max(sum(problem.domain.shape), sum(problem.codomain.shape))  # axis by axis on grids
    terms = min(along, LONGEST_SUM) + along / LONGEST_SUM
    sums = ROUNDOFF * (min(size, PAIRWISE) + np.log2(size) + 2 * max(logs) + 8)
    return Slack(ROUNDOFF * ((10 + 3 * dim) * parts + 3 * wrapped + terms) + sums, sums)


def _largest(values: Array, measure: Measure) -> float:
    """max |values| over the nodes with mass."""
    return float(np.max(np.abs(values), where=measure.log_density > -np.inf, initial=0.0))


def _periods(problem: Problem) -> float:
    """ΣL² of the periods, of a box those of its reflections; 0 in ℝᵈ."""
    return float(np.sum(np.square(problem.domain.periods or ())))


def integral(measure: Measure, log_ratio: Array, values: Array, relative: float) -> tuple[float, float]:
    """∫ values exp(log_ratio) dμ, and a bound of its error where the weights are known to ``relative``."""
    shifted = replace(measure, log_density=measure.log_density + log_ratio)
    return shifted.integral(values), relative * shifted.integral(np.abs(values))


def equalise(problem: Problem, u: Array, v: Array) -> tuple[Array, Array]:
    """u − α and v + α with equal integrals: the sum over a plan is the same, that of absolute values small."""
    alpha = 0.5 * (problem.mu.integral(u) - problem.nu.integral(v))
    return u - alpha, v + alpha


def filling(problem: Problem, log_p: Array, log_q: Array, eps: float, eta: float = 0.0) -> float:
    """Bound of the value that a product plan of the missing masses adds to a plan A with marginals e^{log_p} μ and e^{log_q} ν.

    With log_p, log_q ≤ 0, e = (1 − e^{log_p}) μ and e′ = (1 − e^{log_q}) ν, both of mass δ, A + e⊗e′/δ has the marginals μ and ν,
    and by convexity of KL

        ε KL(A + e⊗e′/δ | μ⊗ν) ≤ ε∫log(dA/dμ⊗ν) dA − ε(1−δ) log(1−δ) + ε∫log(e/δμ) de + ε∫log(e′/δν) de′.

    Returned are the last three terms and a bound of ⟨c, e⊗e′/δ⟩: the value itself in ℝᵈ, δ sup c on a torus or in a box; all of
    them at their largest where log_p and log_q are known to ``eta`` only.
    """
    e, e2 = _Missing.of(problem.mu, log_p, eta), _Missing.of(problem.nu, log_q, eta)
    most = min(e.most.sum(), e2.most.sum(), 1.0)
    least = min(max(e.least.sum(), e2.least.sum()), most)
    if most <= 0:
        return 0.0
    delta = min(max(TURN, least), most)  # h is concave
    rest = -(1.0 - delta) * np.log1p(-delta) if delta < 1 else 0.0
    information = e.entropy + e2.entropy - 2 * delta * np.log(delta)
    return float(eps * (rest + information) + _product_cost(problem, e, e2, most))


TURN = (np.sqrt(1 + 4 * np.e) - 1) / (2 * np.e)
"""Where h(δ) = −(1−δ) log(1−δ) − 2δ log δ is greatest: 1 − δ = e δ²."""


@dataclass(frozen=True, eq=False)
class _Missing:
    """Bounds of the masses e of (1 − exp(log_ratio)) μ, flat, and of Σ e log(e/μ)."""

    least: Array
    most: Array
    entropy: float

    @classmethod
    def of(cls, measure: Measure, log_ratio: Array, eta: float) -> _Missing:
        """From a ratio ≤ 0 that is known to ``eta``; t log t is convex, so that it is greatest at an end."""
        mass = np.exp(measure.log_density).ravel() * measure.cell
        ends = [np.maximum(-np.expm1(np.minimum(log_ratio.ravel() + s, 0.0)), 0.0) for s in (eta, -eta)]
        entropies = [share * np.log(share, out=np.zeros(share.size), where=share > 0) for share in ends]
        return cls(mass * ends[0], mass * ends[1], float(np.sum(mass * np.maximum(*entropies))))


def product_cost(problem: Problem) -> float:
    """A bound of the value of μ⊗ν, which is a plan: ⟨½|x−y|², μ⊗ν⟩ in ℝᵈ, sup c on a torus or in a box."""
    everything = [_Missing.of(m, np.full(m.log_density.shape, -np.inf), 0.0) for m in (problem.mu, problem.nu)]
    return _product_cost(problem, *everything, 1.0)


def _product_cost(problem: Problem, e: _Missing, e2: _Missing, delta: float) -> float:
    """⟨½|x−y|², e⊗e′/δ⟩ in ℝᵈ; δ times the largest cost on a torus (half a period away) or in a box (a side away).

    About the mean of e it is ½∫|x|² de + ½∫|y|² de′ − ∫x de·∫y de′/δ, and the last term is 0 for the mean of the true e; it is
    never more than the others together.
    """
    farthest = problem.domain.farthest
    if farthest is not None:
        return delta * 0.5 * float(np.sum(np.square(farthest)))
    x, y, middle = points(problem.domain), points(problem.codomain), 0.5 * (e.least + e.most)
    centre = middle @ x / middle.sum()
    to_x, to_y = (np.sum((z - centre) ** 2, axis=1) for z in (x, y))
    squares = 0.5 * float(e.most @ to_x + e2.most @ to_y)
    off = 0.5 * (e.most - e.least) @ np.sqrt(to_x) + ROUNDOFF * e.most @ np.abs(x).sum(axis=1)
    return squares + min(squares, float(off * np.sqrt(np.max(to_y, where=e2.most > 0, initial=0.0))))
