"""Entropic maps of one pair of samples, gauge by gauge, from large ε to small: each search begins where the one before ended.

Potentials change with ε mostly as those of the fitted normals do, which are known, and as the self-potential of the source does,
which is cheap (half steps that contract by ⅓).  What is left changes little, and is carried from one ε to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..flows.loop import evolve
from ..machine.arrays import Array
from ..problems.grids import Cloud
from ..problems.outcomes import REACHED, Outcome
from ..problems.problem import Problem
from ..sinkhorn.gauges import PLAIN, SELF, Gauge, as_function
from ..sinkhorn.iteration import Sinkhorn
from ..sinkhorn.potentials import Potential
from ..sinkhorn.schroedinger import schroedinger
from ..sinkhorn.self_potential import Debiased, SelfPotential, self_potential
from .affine import AFFINE, Affine, AffineMap, FittedNormals

Map = Callable[[Array], Array]
Candidate = Gauge | Affine
Order = NDArray[np.intp]

COMPARED, FINAL = 3e-3, 1e-4  # marginal errors of fixed points, those that are compared and the last
OWN = 1.0  # residual of self-potentials over ε, for each unit of marginal error


@dataclass
class Work:
    """Pairs of points summed over so far, and the first outcome that was not ok."""

    pairs: float = 0.0
    outcome: Outcome = REACHED

    def note(self, outcome: Outcome, passes: float, *sides: int) -> None:
        """Count passes over all pairs of so many points, and keep the outcome if none before it failed."""
        self.pairs += passes * float(np.prod(sides))
        self.outcome = self.outcome if not self.outcome.ok else outcome


class Fit(Protocol):
    """The maps of one pair of samples at any ε; they are asked for from large ε to small."""

    work: Work
    marginal: float

    def map(self, gauge: Candidate, eps: float) -> Map:
        """The map of a gauge, for points (n, dim)."""
        ...

    def image(self, gauge: Candidate, eps: float, z: Array, known: dict[str, Array]) -> Array:
        """Where it takes z, (n, dim), from images by other gauges that are known, by name; what is found on the way is added."""
        ...

    def begin(self, eps: float, parts: Sequence[tuple[Order, Fit]]) -> None:
        """Take the potentials at ε of parts of the points, each at those it has, to begin with."""
        ...


@dataclass
class Carried:
    """A potential at the points of x, less that of the fitted normals, at every ε so far; it tells where to begin at the next."""

    normals: FittedNormals
    x: Array
    rest: dict[float, Array] = field(default_factory=dict)

    def start(self, eps: float, beside: Carried | None = None) -> Array:
        """u to begin with at ε: the rest is that at the ε before, and changes as that of a potential beside it does."""
        zero = np.zeros(len(self.x))
        before = min(self.rest, default=np.inf)
        rest = self.rest.get(before, zero) + self.normals.u(self.x, eps)
        return rest + beside.rest.get(eps, zero) - beside.rest.get(before, zero) if beside else rest

    def keep(self, eps: float, u: Array) -> None:
        """What was found at ε."""
        self.rest[eps] = u - self.normals.u(self.x, eps)

    def join(self, eps: float, parts: Iterable[tuple[Order, Carried]], *, free: bool) -> None:
        """What parts of the points found at ε, each at those it has; ``free`` of constants, which then agree on average."""
        u = np.zeros(len(self.x))
        for order, part in parts:
            if eps not in part.rest:
                return
            u[order] = part.rest[eps] + part.normals.u(part.x, eps)
            u[order] -= np.mean(u[order] - self.normals.u(part.x, eps)) if free else 0.0
        self.keep(eps, u)


class AtFixedPoint:
    """Maps at the fixed point: E[y|z] in the plain gauge, in the others with z − E[x|z] or Az + b − E[Ax+b|z] added.

    Parameters
    ----------
    problem : samples in ℝᵈ, all with mass.
    marginal : marginal error of the fixed points; self-potentials are solved for in proportion.
    """

    def __init__(self, problem: Problem, marginal: float = COMPARED) -> None:
        source = problem.domain
        assert isinstance(source, Cloud)
        self.problem, self.marginal, self.work = problem, marginal, Work()
        normals = FittedNormals.of(problem.mu, problem.nu)
        self.affine: AffineMap = normals.map
        weights = source.weights
        self.image_problem = Problem.from_samples(source.points, self.affine(source.points), weights, weights)
        by_name = {PLAIN.name: normals, SELF.name: FittedNormals.of(problem.mu, problem.mu), AFFINE.name: normals}
        self.carried = {name: Carried(found, source.points) for name, found in by_name.items()}
        self._latest: dict[str, tuple[float, Potential]] = {}

    def map(self, gauge: Candidate, eps: float) -> Map:
        """The map of a gauge, for points (n, dim)."""
        plain, added = self._potential(PLAIN.name, eps), self._added(gauge, eps)
        return lambda z: plain.map(Cloud(z)) + added(z)

    def image(self, gauge: Candidate, eps: float, z: Array, known: dict[str, Array]) -> Array:
        """Where it takes z: from the plain image, which is added to what is known."""
        added = self._added(gauge, eps)(z)
        if PLAIN.name not in known:
            known[PLAIN.name] = self._potential(PLAIN.name, eps).map(Cloud(z))
        return known[PLAIN.name] + added

    def begin(self, eps: float, parts: Sequence[tuple[Order, Fit]]) -> None:
        """Take the potentials at ε of parts of the points, each at those it has, to begin with."""
        for name, carried in self.carried.items():
            known = [(order, part.carried[name]) for order, part in parts if isinstance(part, AtFixedPoint)]
            carried.join(eps, known, free=name != SELF.name)

    def _added(self, gauge: Candidate, eps: float) -> Map:
        """What a gauge adds to the plain map."""
        if isinstance(gauge, Gauge) and not gauge.needs_own:
            return lambda z: np.zeros(z.shape)
        own, affine = self._potential(gauge.name, eps), self.affine
        if isinstance(gauge, Affine):
            return lambda z: affine(z) - own.map(Cloud(z))
        return lambda z: -own.gradient(Cloud(z))

    def _potential(self, name: str, eps: float) -> Potential:
        """The potential towards y, towards x itself, or towards the affine image of x, at ε; only the latest is held."""
        if self._latest.get(name, (np.nan,))[0] != eps:
            self._latest[name] = eps, self._own(eps) if name == SELF.name else self._solved(name, eps)
        return self._latest[name][1]

    def _solved(self, name: str, eps: float) -> Potential:
        problem = self.image_problem if name == AFFINE.name else self.problem
        start = self.carried[name].start(eps, self.carried[SELF.name])
        run = schroedinger(problem, eps, start=start, marginal=self.marginal, progress=False)
        self.carried[name].keep(eps, run.u)
        self.work.note(run.outcome, 2 * run.iterations, problem.domain.size, problem.codomain.size)
        return run.plan.phi

    def _own(self, eps: float) -> Potential:
        start = self.carried[SELF.name].start(eps)
        found = self_potential(self.problem.mu, eps, start=start, tolerance=OWN * self.marginal)
        self.carried[SELF.name].keep(eps, found.u)
        self.work.note(found.outcome, found.half_steps, found.u.size, found.u.size)
        return found.function


class AtTime:
    """Maps of the flow from |x|²/2 at time t, k = t/ε iterations; the self gauge starts from u_ff and takes it off again."""

    def __init__(self, problem: Problem, t: float, marginal: float = COMPARED) -> None:
        source = problem.domain
        assert isinstance(source, Cloud)
        self.problem, self.t, self.marginal, self.work = problem, t, marginal, Work()
        self.carried = Carried(FittedNormals.of(problem.mu, problem.mu), source.points)

    def map(self, gauge: Candidate, eps: float) -> Map:
        """The map of a gauge, for points (n, dim)."""
        assert isinstance(gauge, Gauge)
        own = self._own(eps) if gauge.needs_own else None
        initial = None if own is None else gauge.own_source * own.u
        run = evolve(Sinkhorn(self.problem, eps), [self.t], initial=initial, progress=False)
        self.work.note(run.outcome, 2 * round(self.t / eps), self.problem.domain.size, self.problem.codomain.size)
        phi = as_function(run)
        move = phi if own is None else Debiased(phi, own.function, gauge.own_returned)
        return lambda z: move.map(Cloud(z))

    def image(self, gauge: Candidate, eps: float, z: Array, known: dict[str, Array]) -> Array:
        """Where it takes z; images by other gauges tell nothing."""
        return self.map(gauge, eps)(z)

    def begin(self, eps: float, parts: Sequence[tuple[Order, Fit]]) -> None:
        """Take the self-potentials at ε of parts of the points, each at those it has, to begin with."""
        self.carried.join(eps, [(order, part.carried) for order, part in parts if isinstance(part, AtTime)], free=False)

    def _own(self, eps: float) -> SelfPotential:
        found = self_potential(self.problem.mu, eps, start=self.carried.start(eps), tolerance=OWN * self.marginal)
        self.carried.keep(eps, found.u)
        self.work.note(found.outcome, found.half_steps, found.u.size, found.u.size)
        return found
