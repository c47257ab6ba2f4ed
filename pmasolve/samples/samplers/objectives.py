"""What `ImplicitSampler` lowers: minus the log-likelihood of data, KL(μ|ρ) up to a constant; or KL(ρ|μ) of a posterior.

Both have slopes in closed form and the Fisher matrix of ρ as their second derivative at the optimum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ...machine.arrays import Array
from .inversion import INVERSE_TOL
from .laws import fisher, least_curvature, log_density, log_density_at, mean_score, pushed
from .matrices import inverse_of
from .overfitting import flattered, no_better, normal_of
from .potentials import Parametric, point_blocks
from .reference import Nodes, Reference
from .units import Unit

FISHER_POINTS = 1024  # points of either kind for a Fisher matrix, more where there are more parameters


@dataclass(frozen=True, eq=False)
class Measured:
    """A potential with the objective there.

    Attributes
    ----------
    psi : the potential.
    value : the objective; not finite where the potential is none.
    at : (n, d) points y of what the objective sums over.
    terms : (n,) its terms.
    held : the terms of points that are not fitted.
    """

    psi: Parametric
    value: float
    at: Array = field(repr=False)
    terms: Array = field(repr=False)
    held: Array = field(repr=False)


class GaussNewtonObjective(Protocol):
    """A function of potentials that a Gauss–Newton step lowers."""

    def measured(self, psi: Parametric, before: Measured | None) -> Measured:
        """The objective at a potential, near one where it is known."""
        ...

    def slope(self, here: Measured) -> Array:
        """The derivative of the objective in the parameters, (p,)."""
        ...

    def curvature(self, here: Measured) -> Array:
        """The Fisher matrix, (p, p)."""
        ...

    def record(self, here: Measured) -> Mapping[str, float]:
        """What people want to see."""
        ...

    def against(self, here: Measured) -> str:
        """Why the simplest law is as good; empty where it is not."""
        ...


@dataclass(frozen=True, eq=False)
class Likelihood:
    """−(1/n)Σ log ρ(x_i).

    Parameters
    ----------
    x : (n, d) points that are fitted, in standard units.
    held : (h, d) points that are not.
    reference : e^{−g}.
    nodes : points of the reference, for one half of the Fisher matrix; the other is of the data.
    unit : of the points: the likelihood is that of points in their own unit.
    seed : of the choice of points for it.
    tol : of the inverses.
    """

    x: Array = field(repr=False)
    held: Array = field(repr=False)
    reference: Reference = field(repr=False)
    nodes: Nodes = field(repr=False)
    unit: Unit
    seed: int = 0
    tol: float = INVERSE_TOL

    def measured(self, psi: Parametric, before: Measured | None) -> Measured:
        """Preimages of all points by Newton's method from those before; terms −log ρ."""
        points = np.concatenate([self.x, self.held])
        start = np.tile(self.reference.mean, (len(points), 1)) if before is None else before.at
        with np.errstate(all="ignore"):  # a trial far off overflows, and is refused for that
            logs, z = log_density(psi, self.reference, points, start, self.tol)
        terms = self.unit.log_volume - logs
        n = len(self.x)
        return Measured(psi, float(np.mean(terms[:n])), z, terms[:n], terms[n:])

    def slope(self, here: Measured) -> Array:
        """−(1/n)Σ∂_θ log ρ(x_i)."""
        n = len(self.x)
        return -mean_score(here.psi, self.reference, Nodes(here.at[:n], np.full(n, 1.0 / n)))

    def curvature(self, here: Measured) -> Array:
        """Half of model points, half of data: the first is right at the optimum, the second where the data are."""
        n = min(len(self.x), max(FISHER_POINTS, 2 * here.psi.params.size))
        some = np.random.default_rng(self.seed).permutation(len(self.x))[:n]
        both = np.concatenate([self.nodes.points, here.at[some]])
        count = len(self.nodes.points)
        weights = np.concatenate([np.full(count, 0.5 / count), np.full(n, 0.5 / n)])
        return fisher(here.psi, self.reference, Nodes(both, weights))

    def record(self, here: Measured) -> dict[str, float]:
        """``nll`` of the fitted points, ``held_out`` of the others, ``min_hessian`` at the preimages."""
        held = float(np.mean(here.held)) if len(self.held) else float("nan")
        return {
            "nll": here.value,
            "held_out": held,
            "min_hessian": self.unit.spread * least_curvature(here.psi, here.at),
        }

    def against(self, here: Measured) -> str:
        """What `no_better` says of a normal law with the moments of the fitted points."""
        normal, numbers = normal_of(self.x)
        different = len(np.unique(self.x, axis=0))
        gap = here.value - self.unit.log_volume + float(np.mean(normal.log_density(self.x)))
        gap += flattered(here.psi.free, different) - min(flattered(numbers, different), float(different))
        return no_better(here.held - self.unit.log_volume + normal.log_density(self.held), gap)


@dataclass(frozen=True, eq=False)
class FreeEnergy:
    """∫h dν with h = f∘∇ψ − g − log det D²ψ, which is KL(ρ | e^{−f}/Z) − log Z.

    Parameters
    ----------
    f, grad_f : points (n, d) ↦ (n,), (n, d).
    reference : ν = e^{−g}.
    nodes : its points, over which is summed.
    """

    f: Callable[[Array], Array] = field(repr=False)
    grad_f: Callable[[Array], Array] = field(repr=False)
    reference: Reference = field(repr=False)
    nodes: Nodes = field(repr=False)

    def measured(self, psi: Parametric, before: Measured | None) -> Measured:
        """h at the nodes."""
        with np.errstate(all="ignore"):
            h = pulled_log_ratio(psi, self.reference, self.f, self.nodes.points)
        return Measured(psi, float(self.nodes.mean(h)), self.nodes.points, h, np.empty(0))

    def slope(self, here: Measured) -> Array:
        """∫(∇f·∂_θ∇ψ − tr((D²ψ)⁻¹∂_θD²ψ)) dν."""
        psi, y, weights = here.psi, self.nodes.points, self.nodes.weights
        total = np.zeros(psi.params.size)
        for part in point_blocks(len(y), psi.width):
            at, w = psi.at(y[part]), weights[part]
            total += at.paired_sum(self.grad_f(at.gradient) * w[:, None], -inverse_of(at.hessian) * w[:, None, None])
        return total

    def curvature(self, here: Measured) -> Array:
        """The Fisher matrix of the law ρ at some of the nodes."""
        n = min(len(self.nodes.points), max(2 * FISHER_POINTS, 4 * here.psi.params.size))
        return fisher(here.psi, self.reference, Nodes(self.nodes.points[:n], np.full(n, 1.0 / n)))

    def record(self, here: Measured) -> dict[str, float]:
        """``kl``, ``reverse_kl``, ``log_z``, ``ess`` by importance weights at the nodes, and ``min_hessian``."""
        return evidence(here.terms, self.nodes) | {"min_hessian": least_curvature(here.psi, self.nodes.points)}

    def against(self, here: Measured) -> str:
        """f is known, and judges."""
        return ""


def pulled_log_ratio(psi: Parametric, nu: Reference, f: Callable[[Array], Array], y: Array) -> Array:
    """h(y) = log(ρ/e^{−f})(∇ψ(y)) = f(∇ψ) − g − log det D²ψ, (n,)."""
    return log_density_at(psi, nu, y) + f(pushed(psi, y))


def evidence(h: Array, nodes: Nodes) -> dict[str, float]:
    """What the log-ratio h of points of ν says: KL both ways, log Z, and the effective share of importance samples.

    The weights e^{−h} are those of μ against ρ: Z = ∫e^{−h}dν, KL(ρ|μ) = ∫h dν + log Z, KL(μ|ρ) = −∫h e^{−h}dν/Z − log Z, and
    ess = Z²/∫e^{−2h}dν in (0, 1].

    Examples
    --------
    >>> evidence(np.zeros(4), Nodes(np.zeros((4, 1)), np.full(4, 0.25)))
    {'kl': 0.0, 'reverse_kl': 0.0, 'log_z': 0.0, 'ess': 1.0}
    """
    low = float(h.min())
    ratios = np.exp(-(h - low))
    total = float(nodes.mean(ratios))
    log_z = float(np.log(total)) - low
    weighted = nodes.mean(ratios * h) / total
    return {
        "kl": float(nodes.mean(h)) + log_z,
        "reverse_kl": 0.0 - float(weighted) - log_z,
        "log_z": log_z,
        "ess": total**2 / float(nodes.mean(ratios**2)),
    }
