"""What it costs to complete a plan whose marginals are too small: the upper bound in the certified gap of `plans.Plan`."""

from __future__ import annotations

import numpy as np

from ..machine.arrays import Array
from ..problems.grids import Box, Grid
from ..problems.problem import Measure, Problem
from .softmin.nodes import points


def filling(problem: Problem, log_p: Array, log_q: Array, eps: float) -> float:
    """Bound of the value that a product plan of the missing masses adds to a plan A with marginals e^{log_p} μ and e^{log_q} ν.

    With log_p, log_q ≤ 0, e = (1 − e^{log_p}) μ and e′ = (1 − e^{log_q}) ν, both of mass δ, A + e⊗e′/δ has the marginals μ and ν,
    and by convexity of KL

        ε KL(A + e⊗e′/δ | μ⊗ν) ≤ ε∫log(dA/dμ⊗ν) dA − ε(1−δ) log(1−δ) + ε∫log(e/δμ) de + ε∫log(e′/δν) de′.

    Returned are the last three terms and a bound of ⟨c, e⊗e′/δ⟩: the value itself in ℝᵈ, δ sup c on a torus or in a box.
    """
    (e, entropy), (e2, entropy2) = _missing(problem.mu, log_p), _missing(problem.nu, log_q)
    delta = max(e.sum(), e2.sum())
    if delta <= 0:
        return 0.0
    mixed = -(1.0 - delta) * np.log1p(-delta) if delta < 1 else 0.0
    information = entropy + entropy2 - 2 * delta * np.log(delta)
    return float(eps * (mixed + information) + _product_cost(problem, e, e2, delta))


def _missing(measure: Measure, log_ratio: Array) -> tuple[Array, float]:
    """Masses e of (1 − exp(log_ratio)) μ, flat, and Σ e log(e/μ)."""
    share = -np.expm1(log_ratio).ravel()
    mass = np.exp(measure.log_density).ravel() * measure.cell * share
    logs = np.log(share, out=np.zeros(share.size), where=share > 0)
    return mass, float(np.sum(mass * logs))


def _product_cost(problem: Problem, e: Array, e2: Array, delta: float) -> float:
    """⟨½|x−y|², e⊗e′/δ⟩ in ℝᵈ; δ times the largest cost on a torus (half a period away) or in a box (a side away)."""
    nodes = problem.domain
    if isinstance(nodes, Grid):
        factor = 0.5 if isinstance(nodes, Box) else 0.125
        return delta * factor * float(np.sum(np.square(nodes.lengths)))
    if nodes.period is not None:
        return delta * 0.125 * float(np.sum(np.square(nodes.period)))
    x, y = points(problem.domain), points(problem.codomain)
    centre = e @ x / delta
    x, y = x - centre, y - centre
    return float(0.5 * (e @ np.sum(x**2, axis=1) + e2 @ np.sum(y**2, axis=1)) - (e @ x) @ (e2 @ y) / delta)
