"""Gauges: from which potential Sinkhorn's iteration starts, and what it returns, at the nodes and as a function of any points.

The potentials φ_k of the iteration are a distance of order ε from PMA's.  What is known of that distance, ±(ε/2)f or the
self-potential of the source, is put into the start and taken off what is returned: then the distance is of order ε².
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields

import numpy as np

from ..flows.trajectories import Trajectory, followed
from ..problems.problem import Problem, checked
from .potentials import Potential
from .self_potential import Debiased, SelfPotential


@dataclass(frozen=True)
class Gauge:
    """How PMA's potential starts the iteration, φ₀ = u₀ + ε(a f + b log ρ₀) + p u_ff, and what is returned, φ_k + ε c f + q u_ff.

    Attributes
    ----------
    name : in messages and tables.
    source, density : a and b of the start, factors of ε f and of ε log ρ₀.
    returned : c, the factor of ε f in what is returned.
    order : in ε, of the distance from PMA.
    own_source, own_returned : p and q, factors of the self-potential u_ff of the source in the start and in what is returned.

    Examples
    --------
    >>> PLAIN, SYMMETRIC
    (Gauge('plain'), Gauge('symmetric', source=-0.5, returned=0.5, order=2))
    """

    name: str
    source: float = 0.0  # a
    density: float = 0.0  # b
    returned: float = 0.0  # c
    order: int = 1  # in ε, of the distance from PMA
    own_source: float = field(default=0.0, kw_only=True)  # p
    own_returned: float = field(default=0.0, kw_only=True)  # q

    def __repr__(self) -> str:
        """The name and what is not left out."""
        told = (
            f"{one.name}={value!r}" for one in fields(self)[1:] if (value := getattr(self, one.name)) != one.default
        )
        return f"Gauge({', '.join([repr(self.name), *told])})"

    @property
    def needs_density(self) -> bool:
        """Whether f is needed, which samples do not have."""
        return any((self.source, self.density, self.returned))

    @property
    def needs_own(self) -> bool:
        """Whether the self-potential of the source is needed."""
        return any((self.own_source, self.own_returned))

    def remedy(self, eps: float, low: float, folded: float) -> str:
        """For a potential that folds or loses mass, from the least eigenvalues of D²φ_k and of what is returned.

        D²φ_k is a covariance over ε, positive; what the gauge adds shrinks with ε.
        """
        if not (self.returned or self.own_returned):
            return "refine the grid, or smooth the densities"
        least = 0.5 * eps * low / max(low - folded, low)
        return (
            f"at eps={eps:.3g} the gauge bends the potential too far: take ε below about {least:.2g}, on a grid that "
            "resolves it, or gauge=PLAIN, whose φ is convex at every ε"
        )


PLAIN = Gauge("plain")
"""φ₀ = u₀: first order in ε for the potential and for its gradient."""

SYMMETRIC = Gauge("symmetric", source=-0.5, returned=0.5, order=2)
"""φ₀ = u₀ − (ε/2)f and back: second order, errors in even powers of ε only."""

SELF = Gauge("self", order=2, own_source=1.0, own_returned=-1.0)
"""φ₀ = u₀ + u_ff and back: second order, errors in even powers of ε only, and no density is needed."""

FORWARD = Gauge("forward", source=0.5, density=1.0)
"""φ₀ = u₀ + ε(½f + log ρ₀): the start for which (φ_k − φ̃_t)/ε has the gradient ½∇f + ∇log ρ_t in the limit."""

GAUGE_REMEDY = "give PLAIN, SYMMETRIC, SELF or FORWARD (AFFINE belongs to choose_eps)"


def second_order(problem: Problem) -> Gauge:
    """The gauge of order 2 that a problem has: `SYMMETRIC` where f is known, `SELF` for samples.

    Examples
    --------
    >>> second_order(Problem.from_samples([[0.0]], [[1.0]])).name
    'self'
    """
    return SYMMETRIC if checked(problem).has_densities else SELF


def gauged(gauge: Gauge, potential: Potential, own: Callable[[], SelfPotential]) -> Potential | Debiased:
    """A potential with what its gauge returns besides; the self-potential of its side is asked for where it is needed."""
    if gauge.returned:
        raise ValueError(
            f"gauge={gauge.name!r} returns a multiple of f, known at the nodes: read the map there, run.map(i), "
            "or use gauge=SELF or PLAIN"
        )
    return Debiased(potential, own().function, gauge.own_returned) if gauge.own_returned else potential


def as_function(run: Trajectory, i: int = -1) -> Potential | Debiased:
    """What a run of `Sinkhorn` returned at ``times[i]`` as a function of any points: values, gradient, map, Hessian.

    Parameters
    ----------
    run : a trajectory of `Sinkhorn` on a grid or a cloud, in the plain or the self gauge.
    i : which time.

    Returns
    -------
    `Potential` in the plain gauge: map E[y|z].  `Debiased` in the self gauge: map z + E[y|z] − E[x|z], the barycentre towards y
    less the one towards the source itself, of second order in ε.

    Raises
    ------
    ValueError : another flow, the start, before which there is no half step, a gauge that returns multiples of f.

    Examples
    --------
    >>> from pmasolve import Problem, Sinkhorn, evolve
    >>> problem = Problem.from_samples([[0.0], [1.0]], [[0.2], [0.9], [1.5]])
    >>> as_function(evolve(Sinkhorn(problem, 0.5, gauge=SELF), times=[1.0])).map([[0.5]]).shape
    (1, 1)
    """
    flow = followed(run, "run").flow
    if not hasattr(flow, "function"):
        raise ValueError(f"{type(flow).__name__} has no half steps to be read off: give a trajectory of Sinkhorn")
    v = run.fields["v"][i]
    if np.isnan(v).any():
        raise ValueError(f"t={run.times[i]:g}: no half step comes before the start; take an entry with t ≥ eps")
    return flow.function(v)
