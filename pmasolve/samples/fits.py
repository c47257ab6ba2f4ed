"""Entropic maps of one pair of samples, gauge by gauge, from large ε to small: each search begins where the one before ended.

Potentials change with ε mostly as those of the fitted normals do, which are known, and as the self-potential of the source does,
which is cheap (half steps that contract by ⅓).  What is left changes little, and is carried from one ε to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import numpy as np

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

COMPARED = 3e-3  # marginal error of fixed points that are compared
FINAL = 1e-3  # and of the last, in which maps move by far less than their noise
OWN_RESIDUAL = 1.0  # residual of self-potentials over ε, for each unit of marginal error


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

    problem: Problem
    work: Work
    marginal: float

    def map(self, gauge: Candidate, eps: float) -> Map:
        """The map of a gauge, for points (n, dim)."""
        ...

    def image(self, gauge: Candidate, eps: float, z: Array, known: dict[str, Array]) -> Array:
        """Where it takes z, (n, dim), from images by other gauges that are known, by name; what is found on the way is added."""
        ...

    def begin(self, eps: float, parts: Sequence[Fit]) -> None:
        """Take the means of the potentials of parts of the points at ε, as functions of any points, to begin with."""
        ...


@dataclass
class CarriedPotential:
    """A potential at the points of x, less that of the fitted normals, at every ε so far; it tells where to begin at the next."""

    normals: FittedNormals
    x: Array
    rest: dict[float, Array] = field(default_factory=dict)

    def start(self, eps: float, beside: CarriedPotential | None = None) -> Array:
        """u to begin with at ε, from the two ε before; what a potential beside it, if known there, tells of the change is used."""
        other = (
            beside.rest if beside and eps in beside.rest else dict.fromkeys((eps, *self.rest), np.zeros(len(self.x)))
        )
        rest = foreseen({e: r - other[e] for e, r in self.rest.items() if e in other}, eps)
        return rest + other[eps] + self.normals.u(self.x, eps)

    def keep(self, eps: float, u: Array) -> None:
        """What was found at ε."""
        self.rest[eps] = u - self.normals.u(self.x, eps)

    def at(self, eps: float) -> Array:
        """u that was found at ε."""
        return self.rest[eps] + self.normals.u(self.x, eps)


def foreseen(known: Mapping[float, Array], eps: float) -> Array | float:
    """What is known at larger ε, continued to ε along the straight line through the last two."""
    if eps in known or len(known) < 2:
        return known.get(eps, next(iter(known.values()), 0.0))
    before, last = sorted(known, reverse=True)[-2:]
    return known[last] + (last - eps) / (before - last) * (known[last] - known[before])


def start_from(carried: CarriedPotential, eps: float, parts: Sequence[Potential], work: Work) -> None:
    """Begin at ε with the mean of what parts of the points found there: half of the noise is gone, and each saw other points."""
    if parts:
        carried.keep(eps, np.mean([part(Cloud(carried.x)) for part in parts], axis=0))
        work.note(REACHED, 1, len(carried.x), sum(part.measure.nodes.size for part in parts))


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
        self.carried = {name: CarriedPotential(found, source.points) for name, found in by_name.items()}
        self._latest: dict[str, tuple[float, Potential]] = {}

    def map(self, gauge: Candidate, eps: float) -> Map:
        """The map of a gauge, for points (n, dim)."""
        plain, added = self._potential(PLAIN.name, eps), self._added(gauge, eps)
        return partial(_with, plain, added)

    def image(self, gauge: Candidate, eps: float, z: Array, known: dict[str, Array]) -> Array:
        """Where it takes z: from the plain image, which is added to what is known."""
        added = self._added(gauge, eps)(z)
        if PLAIN.name not in known:
            known[PLAIN.name] = self._potential(PLAIN.name, eps).map(Cloud(z))
        return known[PLAIN.name] + added

    def begin(self, eps: float, parts: Sequence[Fit]) -> None:
        """Take the means of the potentials of parts of the points at ε, as functions of any points, to begin with."""
        for name, carried in self.carried.items():
            known = [part for part in parts if isinstance(part, AtFixedPoint) and eps in part.carried[name].rest]
            start_from(carried, eps, [part.found(name, eps) for part in known], self.work)

    def found(self, name: str, eps: float) -> Potential:
        """The potential that was found at ε, as a function of any points; up to a constant if it is no self-potential."""
        u = self.carried[name].at(eps)
        if name == SELF.name:
            return Potential(self.problem.mu, u, eps)
        flow = Sinkhorn(self._between(name), eps)
        self.work.note(REACHED, 1, flow.problem.domain.size, flow.problem.codomain.size)
        return flow.function(flow.half_step(u))

    def _added(self, gauge: Candidate, eps: float) -> Map:
        """What a gauge adds to the plain map."""
        if isinstance(gauge, Gauge) and not gauge.needs_own:
            return _plain_gauge
        own, affine = self._potential(gauge.name, eps), self.affine
        if isinstance(gauge, Affine):
            return partial(_affine_gauge, affine, own)
        return partial(_self_gauge, own)

    def _potential(self, name: str, eps: float) -> Potential:
        """The potential towards y, towards x itself, or towards the affine image of x, at ε; only the latest is held."""
        if self._latest.get(name, (np.nan,))[0] != eps:
            self._latest[name] = eps, self._own(eps) if name == SELF.name else self._solved(name, eps)
        return self._latest[name][1]

    def _between(self, name: str) -> Problem:
        return self.image_problem if name == AFFINE.name else self.problem

    def _solved(self, name: str, eps: float) -> Potential:
        problem = self._between(name)
        start = self.carried[name].start(eps, self.carried[SELF.name])
        run = schroedinger(problem, eps, start=start, marginal=self.marginal, progress=False)
        self.carried[name].keep(eps, run.u)
        self.work.note(run.outcome, 2 * run.iterations, problem.domain.size, problem.codomain.size)
        return run.plan.phi

    def _own(self, eps: float) -> Potential:
        start = self.carried[SELF.name].start(eps)
        found = self_potential(self.problem.mu, eps, start=start, tolerance=OWN_RESIDUAL * self.marginal)
        self.carried[SELF.name].keep(eps, found.u)
        self.work.note(found.outcome, found.half_steps, found.u.size, found.u.size)
        return found.function


class AtTime:
    """Maps of the flow from |x|²/2 at time t, k = t/ε iterations; the self gauge starts from u_ff and takes it off again."""

    def __init__(self, problem: Problem, t: float, marginal: float = COMPARED) -> None:
        source = problem.domain
        assert isinstance(source, Cloud)
        self.problem, self.t, self.marginal, self.work = problem, t, marginal, Work()
        self.carried = CarriedPotential(FittedNormals.of(problem.mu, problem.mu), source.points)

    def map(self, gauge: Candidate, eps: float) -> Map:
        """The map of a gauge, for points (n, dim)."""
        assert isinstance(gauge, Gauge)
        own = self._own(eps) if gauge.needs_own else None
        initial = None if own is None else gauge.own_source * own.u
        run = evolve(Sinkhorn(self.problem, eps), [self.t], initial=initial, progress=False)
        self.work.note(run.outcome, 2 * round(self.t / eps), self.problem.domain.size, self.problem.codomain.size)
        phi = as_function(run)
        move = phi if own is None else Debiased(phi, own.function, gauge.own_returned)
        return partial(_moved, move)

    def image(self, gauge: Candidate, eps: float, z: Array, known: dict[str, Array]) -> Array:
        """Where it takes z; images by other gauges tell nothing."""
        return self.map(gauge, eps)(z)

    def begin(self, eps: float, parts: Sequence[Fit]) -> None:
        """Take the mean of the self-potentials of parts of the points at ε, as functions of any points, to begin with."""
        known = [part for part in parts if isinstance(part, AtTime) and eps in part.carried.rest]
        start_from(self.carried, eps, [part.found(eps) for part in known], self.work)

    def found(self, eps: float) -> Potential:
        """The self-potential that was found at ε, as a function of any points."""
        return Potential(self.problem.mu, self.carried.at(eps), eps)

    def _own(self, eps: float) -> SelfPotential:
        found = self_potential(
            self.problem.mu, eps, start=self.carried.start(eps), tolerance=OWN_RESIDUAL * self.marginal
        )
        self.carried.keep(eps, found.u)
        self.work.note(found.outcome, found.half_steps, found.u.size, found.u.size)
        return found


# Parts of maps, with names, as closures cannot be pickled.


def _moved(move: Potential | Debiased, z: Array) -> Array:
    """Where a potential takes z."""
    return move.map(Cloud(z))


def _with(plain: Potential, added: Map, z: Array) -> Array:
    """Where a potential takes z, with what a gauge adds."""
    return plain.map(Cloud(z)) + added(z)


def _plain_gauge(z: Array) -> Array:
    """What the plain gauge adds."""
    return np.zeros(z.shape)


def _affine_gauge(affine: AffineMap, own: Potential, z: Array) -> Array:
    """What the affine gauge adds: an affine map less its own entropic one."""
    return affine(z) - own.map(Cloud(z))


def _self_gauge(own: Potential, z: Array) -> Array:
    """What the self gauge adds."""
    return -own.gradient(Cloud(z))
