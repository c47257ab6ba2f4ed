"""The Sinkhorn divergence of two measures: value, potentials, and gradients in points and in weights.

    S_ε(μ, ν) = OT_ε(μ, ν) − ½OT_ε(μ, μ) − ½OT_ε(ν, ν) = ∫f dμ + ∫g dν,      f = u_μμ − u,  g = v_νν − v,

OT_ε the entropic value min ⟨½|x−y|², π⟩ + ε KL(π | μ⊗ν), u and v its potentials, u_μμ and v_νν those of each measure with itself.
f and g are its first variations.  S_ε ≥ 0, = 0 for μ = ν, and S_ε = ½W₂² + bε² + O(ε⁴) where all is smooth.  As
⟨c, γ_ε⟩ = OT_ε − ε ∂OT_ε/∂ε, the same debiasing of the costs without entropy gives ½W₂² − bε² + O(ε⁴): their mean has order 4.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from ..machine.arrays import Array
from ..machine.speaking import sheet
from ..problems.grids import Cloud
from ..problems.outcomes import Outcome
from ..problems.problem import Problem, assembled, checked
from .plans import Plan
from .schroedinger import Schroedinger, schroedinger
from .self_potential import SelfPotential, self_potential
from .softmin.protocol import Softmin


@dataclass(frozen=True, eq=False)
class SinkhornDivergence:
    """S_ε of two measures, for the cost ½|x − y|².

    Attributes
    ----------
    cross : the Schrödinger potentials from source to target.
    source, target : the self-potentials of both sides.

    Examples
    --------
    >>> problem = Problem.from_samples([[0.0], [1.0]], [[3.0], [4.0]])  # a translation by 3, exact at every ε
    >>> found = sinkhorn_divergence(problem, 0.5)
    >>> round(found.value, 9), found.gradient.round(9).ravel().tolist()
    (4.5, [-1.5, -1.5])
    """

    cross: Schroedinger = field(repr=False)
    source: SelfPotential = field(repr=False)
    target: SelfPotential = field(repr=False)

    def __repr__(self) -> str:
        where = self.problem.domain.words
        return f"<SinkhornDivergence at ε = {self.eps:.6g} on {where}: {self.value:.6g}, {self.outcome.name}>"

    def summary(self) -> str:
        """The value beside that without entropy and their mean, and how it ended, on a page of at most 80 columns."""
        return sheet(
            repr(self),
            {
                "outcome": self.outcome,
                "value": f"{self.value:.10g}, near ½W₂² up to O(ε²)",
                "sharp": f"{self.sharp:.10g}, without entropy",
                "mean": f"{self.mean:.10g}, up to O(ε⁴) where all is smooth",
            },
        )

    @property
    def problem(self) -> Problem:
        """The two measures."""
        return self.cross.flow.problem

    @property
    def eps(self) -> float:
        """ε of the three values."""
        return self.cross.eps

    @property
    def outcome(self) -> Outcome:
        """The first outcome of the three solutions that is not ok, or reached."""
        return next((o for o in (self.source.outcome, self.target.outcome) if not o.ok), self.cross.outcome)

    @property
    def f(self) -> Array:
        """u_μμ − u at the source nodes: the first variation of S_ε in μ, up to a constant."""
        return self.source.u - self.cross.u

    @property
    def g(self) -> Array:
        """v_νν − v at the target nodes: the first variation of S_ε in ν, up to a constant."""
        return self.target.u - self.cross.v

    @property
    def value(self) -> float:
        """S_ε = ∫f dμ + ∫g dν; its error is of second order in those of the marginals."""
        return self.problem.mu.integral(self.f) + self.problem.nu.integral(self.g)

    @property
    def weights(self) -> Array:
        """∂S_ε/∂a at a cloud's weights a, which keep their sum: f less its mean, (n,); at densities the same per unit of mass."""
        return self.f - self.problem.mu.integral(self.f)

    @property
    def target_weights(self) -> Array:
        """∂S_ε/∂b at the target's weights, which keep their sum: g less its mean, of the target's shape."""
        return self.g - self.problem.nu.integral(self.g)

    @cached_property
    def gradient(self) -> Array:
        """∂S_ε/∂x of a cloud, (n, dim): aᵢ (E[x′|xᵢ] − E[y|xᵢ]), barycentres towards itself and towards the target."""
        x = self._cloud(self.problem.domain)
        return np.asarray(x.weights)[:, None] * (self.source.function.map(x) - self.cross.plan.phi.map(x))

    @cached_property
    def target_gradient(self) -> Array:
        """∂S_ε/∂y of a cloud, (m, dim): bⱼ (E[y′|yⱼ] − E[x|yⱼ])."""
        y = self._cloud(self.problem.codomain)
        return np.asarray(y.weights)[:, None] * (self.target.function.map(y) - self.cross.plan.psi.map(y))

    @cached_property
    def sharp(self) -> float:
        """⟨c, γ⟩ − ½⟨c, γ_μμ⟩ − ½⟨c, γ_νν⟩, the costs of the three plans without entropy; it may be negative."""
        p, own = self.problem, (self.source, self.target)
        alone = assembled(p.domain, p.domain, p.source, p.source), assembled(p.codomain, p.codomain, p.target, p.target)
        costs = [
            Plan(q, self.eps, s.u, s.u, self.cross.flow.softmin).w2_squared for q, s in zip(alone, own, strict=True)
        ]
        return 0.5 * self.cross.plan.w2_squared - 0.25 * sum(costs)

    @property
    def mean(self) -> float:
        """The mean of ``value`` and ``sharp``: the terms of order ε² cancel, so that it is ½W₂² up to O(ε⁴) where all is smooth."""
        return 0.5 * (self.value + self.sharp)

    def _cloud(self, nodes: object) -> Cloud:
        if not isinstance(nodes, Cloud):
            raise ValueError("the nodes of a grid do not move: take the gradient in the masses, weights")
        return nodes


def sinkhorn_divergence(
    problem: Problem,
    eps: float,
    *,
    marginal: float = 1e-9,
    start: ArrayLike | Schroedinger | None = None,
    softmin: Softmin | None = None,
    progress: bool | None = None,
) -> SinkhornDivergence:
    """The Sinkhorn divergence of two clouds or two densities on a grid, debiased and symmetric.

    Parameters
    ----------
    problem : samples, or densities on a torus or a box; masses may vanish.
    eps : ε > 0 for the cost ½|x − y|².
    marginal : largest ∫|p_X − μ| accepted of the plan between both.
    start : u to begin with, or a result of `schroedinger`.
    softmin : engine of the log-sums; the domain's own unless given.
    progress : show a bar; by default on a terminal, once two seconds have passed.

    Returns
    -------
    `SinkhornDivergence`: ``value``, potentials ``f`` and ``g``, ``gradient`` in the points, ``weights``, ``sharp`` and ``mean``.

    Raises
    ------
    ValueError : what `schroedinger` refuses.

    Notes
    -----
    Cost: that of `schroedinger` and some 25 half steps of each side with itself; gradients take a pass over each side.  On
    clouds the value is that of the points given; of random points it estimates S_ε of their laws with an error of order n^{−½}.

    References
    ----------
    Feydy, Séjourné, Vialard, Amari, Trouvé, Peyré, arXiv 1810.08278 (positivity, gradients).
    Chizat, Roussillon, Léger, Vialard, Peyré, arXiv 2006.08172 (order ε²).

    Examples
    --------
    >>> from pmasolve import Torus
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> found = sinkhorn_divergence(problem, 0.01)
    >>> found.outcome.name, 0 < found.sharp < found.mean < found.value or found.value < found.mean < found.sharp
    ('reached', True)
    """
    options = {"marginal": marginal, "start": start, "softmin": softmin, "progress": progress}
    cross = schroedinger(checked(problem), eps, **options)
    sides = (self_potential(measure, eps, softmin) for measure in (problem.mu, problem.nu))
    return SinkhornDivergence(cross, *sides)
