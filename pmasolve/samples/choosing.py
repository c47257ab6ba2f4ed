"""Choice of ε and gauge from the samples themselves: a cross-fit risk on a ladder of ε.

Samples are halved at random, x = A ∪ B and y = A ∪ B, and maps T_A, T_B fitted to both halves at every ε of a ladder.  At points z
of the sample

    risk = ⟨T_A − R_A, T_B − R_B⟩ + ¼ |T_A − T_B|²,

R_A, R_B the self gauge's maps at a much smaller ε: A and B are independent, so that the first term has the expectation of the
squared bias of T against R, without the noise; the second is the variance of the map of the whole sample.  The least risk
chooses.  At finite t, where no variational principle holds, the rule is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..flows.loop import evolve
from ..machine.arrays import Array, number, shown
from ..machine.speaking import count, drawn, page, sheet
from ..problems.grids import Cloud
from ..problems.outcomes import REACHED, Outcome
from ..problems.problem import Problem, checked
from ..sinkhorn.gauges import PLAIN, SELF, Gauge, as_function, gauged
from ..sinkhorn.iteration import Sinkhorn
from ..sinkhorn.potentials import Potential
from ..sinkhorn.schroedinger import schroedinger
from ..sinkhorn.self_potential import Debiased, SelfPotential, self_potential
from .affine import AFFINE, Affine, Affinely, affine_map

Map = Callable[[Array], Array]
Candidate = Gauge | Affine

RUNGS, COARSEST = 12, 16.0  # of the ladder at the fixed point: from 16 s² by halves, s² the mean variance of x
STEPS = 7  # of the ladder at time t: ε = t, t/2, …, t/64
FINE = 8.0  # no reference is coarser than s²/8, or t/16: a coarse one is as biased as what it judges
BEYOND = 2  # the reference lies so many rungs below the best; the walk ends one rung further
MARGINAL = 1e-3  # of the fixed points that are compared
OWN = 1e-4  # residual of their self-potentials, over ε
LEAST = 8  # points on each side: halves of four
END = "at end of ladder"


@dataclass(frozen=True, eq=False)
class Curve:
    """Estimated risk and noise for every ε that was looked at.

    Attributes
    ----------
    eps : (m,), decreasing.
    risk : (m,) for each gauge by name: estimated mean squared error of the map; may be negative where it is small.
    noise : (m,) for each gauge by name: the part of it that is variance, ¼ mean |T_A − T_B|².
    """

    eps: Array
    risk: Mapping[str, Array]
    noise: Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class EpsChoice:
    """ε and gauge chosen from samples, the map fitted there, and what the choice rests on.

    Attributes
    ----------
    problem, t : what was asked; t None for the fixed point, the optimal map.
    eps, gauge : the choice, for ``scaled``.
    scaled : the problem without points of no mass; at the fixed point with y centred on x and dilated to its spread.
    k : t/ε, the iterations from |x|²/2; None at the fixed point.
    error : estimated RMS error of the map, an estimate and no bound: on average some 3/4 of the truth.
    curve : `Curve` of estimated risks, in squared units of y.
    affine_error : estimated RMS error of the affine map between the fitted normals alone; None at finite t.
    half_steps : work, in passes over all pairs of the whole samples.
    outcome : reached; "at end of ladder" where the best ε may lie beyond the ladder; that of the last fit where it failed.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x, y = rng.standard_normal((60, 2)), 3 * rng.standard_normal((60, 2)) + 1
    >>> found = choose_eps(Problem.from_samples(x, y), halvings=1)
    >>> found.map([[0.0, 0.0], [1.0, 1.0]]).shape
    (2, 2)
    """

    problem: Problem
    t: float | None
    eps: float
    gauge: Candidate
    scaled: Problem
    k: int | None
    error: float
    curve: Curve
    affine_error: float | None
    half_steps: float
    outcome: Outcome
    _map: Map = field(repr=False)

    def __repr__(self) -> str:
        where = "the fixed point" if self.t is None else f"t = {self.t:.6g}, k = {self.k}"
        return f"<EpsChoice at {where}: ε = {self.eps:.6g}, gauge {self.gauge.name}, {self.outcome.name}>"

    def _repr_html_(self) -> str:
        return page(self)

    def map(self, points: ArrayLike) -> Array:
        """Where the map takes points (n, dim): (n, dim); rows are points, also where n = dim."""
        z, dim = Cloud(np.asarray(points)).points, self.problem.domain.dim
        if z.shape[1] != dim:
            raise ValueError(f"points of shape {z.shape}: the samples have {dim} columns; give (n, {dim})")
        return self._map(z)

    def summary(self) -> str:
        """The choice, its estimated error beside that of the affine map alone, and the work, on a page of at most 80 columns."""
        alone = self.affine_error
        return sheet(
            repr(self),
            {
                "outcome": self.outcome,
                "error": f"{self.error:.3g}, estimated RMS of the map",
                "affine": f"{alone:.3g}, of the affine map between the fitted normals alone"
                if alone is not None
                else None,
                "ladder": f"{count(self.curve.eps.size, 'ε')} from {self.curve.eps[0]:.3g} to {self.curve.eps[-1]:.3g}",
                "work": f"{self.half_steps:.0f} passes over all pairs",
            },
        )

    def plot(self) -> Any:
        """Estimated error against ε, a curve for each gauge, noise below, the choice marked.

        Returns
        -------
        A matplotlib ``Figure``, not shown: notebooks show it, ``figure.savefig(path)`` keeps it.
        """
        return drawn(self)


def choose_eps(
    problem: Problem,
    t: float | None = None,
    *,
    gauges: Sequence[Candidate] = (SELF, PLAIN, AFFINE),
    halvings: int = 3,
    points: int = 400,
    seed: int = 0,
) -> EpsChoice:
    """ε and gauge of the entropic map from the samples themselves, by the cross-fit risk, and the map fitted there.

    Parameters
    ----------
    problem : samples in ℝᵈ (`Problem.from_samples`), weighted or not, at least 8 on each side.
    t : the time of the flow from |x|²/2; None for the fixed point, the optimal map.
    gauges : candidates among `SELF`, `PLAIN` and, at the fixed point, `AFFINE`; at finite t the last is left out.
    halvings : random halvings that the risk is averaged over, ≥ 1.
    points : at most so many points of x, drawn at random, where maps are compared.
    seed : of halvings and points.

    Returns
    -------
    `EpsChoice`: ``eps``, ``gauge``, ``k``, ``map(points)``, the ``curve`` of risks, ``plot()``.

    Raises
    ------
    ValueError : densities on a grid, clouds on a torus, fewer than 8 points with mass, samples without spread, t ≤ 0.

    Notes
    -----
    The ladder is 16 s², 8 s², … 12 rungs, s² the mean variance of x, and y is centred and dilated to x first, as optimal maps
    allow: so dilations and translations of x and y change nothing but units.  At finite t it is t, t/2, …, t/64.  It is walked
    from above, with warm starts, and left three rungs below the best.
    Halves do not see how the whole sample fluctuates: weights of far modes and atoms are the hard cases.
    Cost: some hundred passes over all pairs for one halving, 600 for three, a few thousand where small ε are the best; memory
    linear in the points.

    References
    ----------
    Entropic maps: Pooladian, Niles-Weed, arXiv 2109.12004.
    Debiased ones may lose: Pooladian, Cuturi, Niles-Weed, arXiv 2202.08919.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> x, y = rng.standard_normal((80, 2)), rng.standard_normal((80, 2)) * [2.0, 0.5]
    >>> found = choose_eps(Problem.from_samples(x, y), halvings=1)
    >>> found.gauge.name in ("self", "plain", "affine"), found.eps > 0.01
    (True, True)
    """
    _admit(problem, t, halvings, points)
    units = Units.of(problem) if t is None else Units.none(problem)
    kept = _candidates(t, gauges)
    walk = Walk(units.problem, t, kept, halvings, points, seed)
    gauge, rung = walk.best()
    ladder = walk.ladder[: len(walk.maps)]
    fit = Fit(units.problem, t, (gauge,), marginal=1e-6)
    fitted, scale = fit.at(ladder[rung])[gauge.name], units.ratio**2
    curve = Curve(
        np.array(ladder),
        {g.name: scale * walk.risks(g) for g in kept},
        {g.name: scale * walk.noises(g) for g in kept},
    )
    eps = float(ladder[rung])
    return EpsChoice(
        problem,
        t,
        eps,
        gauge,
        units.problem,
        None if t is None else round(t / eps),
        _root(curve.risk[gauge.name][rung], curve.noise[gauge.name][rung]),
        curve,
        units.ratio * _root(*walk.affine_alone()) if t is None else None,
        walk.half_steps + fit.half_steps,
        next((o for o in (fit.outcome, walk.outcome) if not o.ok), _ended(rung, len(walk.ladder))),
        lambda z: units.back(fitted(z)),
    )


def _candidates(t: float | None, gauges: Sequence[Candidate]) -> tuple[Candidate, ...]:
    for gauge in gauges:
        if not isinstance(gauge, Affine) and not (isinstance(gauge, Gauge) and not gauge.needs_density):
            raise ValueError(f"gauge={getattr(gauge, 'name', gauge)!r}: of samples choose among SELF, PLAIN and AFFINE")
    kept = tuple(gauge for gauge in gauges if t is None or isinstance(gauge, Gauge))
    if not kept:
        raise ValueError("gauges: give at least one of SELF and PLAIN, or at the fixed point AFFINE")
    return kept


def _root(risk: float, noise: float) -> float:
    """The estimated error: from the risk, or where that came out negative, from its part that is variance."""
    return float(np.sqrt(risk if risk > 0 else noise))


def _ended(rung: int, rungs: int) -> Outcome:
    if rung == 0:
        return Outcome(END, True, "the largest ε is best: an affine map, or one step of length t, may do as well")
    if rung == rungs - 1:
        return Outcome(END, True, "the least ε of the ladder is best: try smaller ones by Sinkhorn or schroedinger")
    return REACHED


def _admit(problem: Problem, t: float | None, halvings: int, points: int) -> None:
    cloud = checked(problem).domain
    if not isinstance(cloud, Cloud):
        raise ValueError("choose_eps is for samples: for densities on a grid error_estimate() tells the error at an ε")
    if cloud.period is not None:
        raise ValueError(
            f"period={shown(cloud.period)}: choose_eps needs samples in ℝᵈ; on a torus compare a few ε by hand"
        )
    if t is not None and not 0 < number(t, "t") < np.inf:
        raise ValueError(f"t={t}: give a time > 0, or None for the fixed point")
    for name, value in (("halvings", halvings), ("points", points)):
        if number(value, name) < 1:
            raise ValueError(f"{name}={value}: at least 1")
    for name, measure in (("x", problem.mu), ("y", problem.nu)):
        massive = int(np.sum(np.exp(measure.log_density) > 0))
        if massive < LEAST:
            raise ValueError(
                f"{name} has {massive} points with mass: halving them needs {LEAST} or more; choose ε by hand"
            )


@dataclass(frozen=True, eq=False)
class Units:
    """The problem with y centred on x and dilated to its mean variance, points without mass left out, and the way back."""

    problem: Problem
    centre: Array
    shift: Array
    ratio: float

    @classmethod
    def none(cls, problem: Problem) -> Units:
        """All as it is: the flow from |x|²/2 does not commute with dilations of y."""
        (x, a), (y, b) = _massive(problem)
        zero = np.zeros(x.shape[1])
        return cls(Problem.from_samples(x, y, a, b), zero, zero, 1.0)

    @classmethod
    def of(cls, problem: Problem) -> Units:
        """The optimal map commutes with translations and dilations of y."""
        (x, a), (y, b) = _massive(problem)
        centre, shift = a @ x, b @ y
        spreads = [float(np.sqrt(w @ np.mean((p - m) ** 2, axis=1))) for p, w, m in ((x, a, centre), (y, b, shift))]
        for name, points, spread in (("x", x, spreads[0]), ("y", y, spreads[1])):
            if not spread > 1e-12 * np.max(np.abs(points)):
                raise ValueError(
                    f"all points of {name} are equal: the only map is a constant or a translation, without any ε"
                )
        ratio = spreads[1] / spreads[0]
        return cls(Problem.from_samples(x, (y - shift) / ratio + centre, a, b), centre, shift, ratio)

    def back(self, mapped: Array) -> Array:
        """Points of the centred and dilated y in the units of y."""
        return self.shift + self.ratio * (mapped - self.centre)


def _massive(problem: Problem) -> list[tuple[Array, Array]]:
    clouds = [nodes for nodes in (problem.domain, problem.codomain) if isinstance(nodes, Cloud)]
    kept = [(cloud, np.asarray(cloud.weights)) for cloud in clouds]
    return [(cloud.points[weights > 0], weights[weights > 0]) for cloud, weights in kept]


class Fit:
    """The maps of one pair of samples by gauge, from large ε to small, each started from the ε before."""

    def __init__(
        self, problem: Problem, t: float | None, gauges: Sequence[Candidate], marginal: float = MARGINAL
    ) -> None:
        self.problem, self.t, self.gauges, self.marginal = problem, t, gauges, marginal
        self.half_steps, self.outcome = 0.0, REACHED
        self.u = self.own = np.zeros(problem.domain.shape)

    def at(self, eps: float) -> dict[str, Map]:
        """The map of each gauge at this ε."""
        return self._fixed(eps) if self.t is None else self._moved(eps)

    @cached_property
    def affinely(self) -> Affinely:
        """The affine map between the fitted normals, and its own Schrödinger potentials."""
        return Affinely(affine_map(self.problem), self.problem)

    def _fixed(self, eps: float) -> dict[str, Map]:
        run = schroedinger(self.problem, eps, start=self.u, marginal=self.marginal, progress=False)
        self.u = run.u
        self._note(run.outcome, 2 * run.iterations)
        out: dict[str, Map] = {}
        for gauge in self.gauges:
            if isinstance(gauge, Gauge):
                out[gauge.name] = _of_rows(gauged(gauge, run.function, lambda: self._own(eps)))
            else:
                out[gauge.name], own = self.affinely.debiased(run, self.marginal)
                self._note(own.outcome, 2 * own.iterations)
        return out

    def _note(self, outcome: Outcome, half_steps: int) -> None:
        """Keep the first outcome that is not ok, and count."""
        self.half_steps += half_steps
        self.outcome = self.outcome if not self.outcome.ok else outcome

    def _own(self, eps: float) -> SelfPotential:
        found = self_potential(self.problem.mu, eps, start=self.own, tolerance=OWN * self.marginal / MARGINAL)
        self.own = found.u
        self._note(found.outcome, found.half_steps)
        return found

    def _moved(self, eps: float) -> dict[str, Map]:
        assert self.t is not None
        out: dict[str, Map] = {}
        for gauge in self.gauges:
            assert isinstance(gauge, Gauge)
            run = evolve(Sinkhorn(self.problem, eps, gauge=gauge), [self.t], progress=False)
            self._note(run.outcome, 2 * round(self.t / eps) + int(run.provenance.get("self_half_steps", 0)))
            out[gauge.name] = _of_rows(as_function(run))
        return out


def _of_rows(function: Potential | Debiased) -> Map:
    """The map of a potential for arrays (n, dim) of any n, also n = dim."""
    return lambda z: function.map(Cloud(z))


class Walk:
    """The ladder walked from above: maps of both halves of every halving at points of the sample, and their risks."""

    def __init__(
        self, problem: Problem, t: float | None, gauges: Sequence[Candidate], halvings: int, points: int, seed: int
    ) -> None:
        rng = np.random.default_rng(seed)
        (x, a), (y, b) = _massive(problem)
        self.gauges = gauges
        at = rng.permutation(len(x))[:points]
        self.z, self.weights = x[at], a[at] / a[at].sum()
        spread = float(a @ np.mean((x - a @ x) ** 2, axis=1))
        self.ladder = (
            [COARSEST * spread / 2**j for j in range(RUNGS)] if t is None else [t / 2**j for j in range(STEPS)]
        )
        self.floor = round(np.log2(COARSEST * FINE)) if t is None else round(np.log2(2 * FINE))
        looked_at = tuple({gauge.name: gauge for gauge in (SELF, *gauges)}.values())
        self.fits = [[Fit(half, t, looked_at) for half in _halves(rng, (x, a), (y, b))] for _ in range(halvings)]
        self.maps: list[list[list[dict[str, Array]]]] = []  # rung, halving, half, gauge
        self._walk()

    def _walk(self) -> None:
        for rung, eps in enumerate(self.ladder):
            self.maps.append(
                [[{name: move(self.z) for name, move in fit.at(eps).items()} for fit in pair] for pair in self.fits]
            )
            if rung >= self.floor and rung > self._best_own() + BEYOND:
                return

    @cached_property
    def reference(self) -> int:
        """The rung whose maps of the self gauge stand for the truth."""
        return self._reference(self._best_own())

    def best(self) -> tuple[Candidate, int]:
        """Gauge and rung of the least risk."""
        rungs = range(len(self.maps))
        return min(
            ((g, j) for g in self.gauges for j in rungs), key=lambda c: self._risk(c[0].name, c[1], self.reference)
        )

    def risks(self, gauge: Candidate) -> Array:
        """Estimated mean squared error at every rung, (m,)."""
        return np.array([self._risk(gauge.name, j, self.reference) for j in range(len(self.maps))])

    def noises(self, gauge: Candidate) -> Array:
        """The variance in the risk at every rung, (m,)."""
        return np.array(
            [self._mean(lambda A, B: self._noise(A[gauge.name], B[gauge.name]), j) for j in range(len(self.maps))]
        )

    def affine_alone(self) -> tuple[float, float]:
        """Risk and noise of the affine map between the fitted normals."""
        risks, noises = [], []
        for pair, reference in zip(self.fits, self.maps[self.reference], strict=True):
            one, other = (fit.affinely.affine(self.z) for fit in pair)
            noises.append(self._noise(one, other))
            risks.append(self._dot(one - reference[0][SELF.name], other - reference[1][SELF.name]) + noises[-1])
        return float(np.mean(risks)), float(np.mean(noises))

    @property
    def half_steps(self) -> float:
        """Work so far, in passes over all pairs of the whole sample; a half has a quarter of them."""
        return sum(fit.half_steps for pair in self.fits for fit in pair) / 4

    @property
    def outcome(self) -> Outcome:
        """The first outcome of a fit that is not ok, if there is one."""
        return next((fit.outcome for pair in self.fits for fit in pair if not fit.outcome.ok), REACHED)

    def _best_own(self) -> int:
        """The rung of the self gauge's least risk, against a reference that follows it."""
        best = 0
        for _ in range(3):
            reference = self._reference(best)
            best = min(range(len(self.maps)), key=lambda j: self._risk(SELF.name, j, reference))
        return best

    def _reference(self, best: int) -> int:
        return min(len(self.maps) - 1, max(best + BEYOND, self.floor))

    def _risk(self, name: str, rung: int, reference: int) -> float:
        total = 0.0
        for (A, B), (a, b) in zip(self.maps[rung], self.maps[reference], strict=True):
            total += self._dot(A[name] - a[SELF.name], B[name] - b[SELF.name]) + self._noise(A[name], B[name])
        return total / len(self.fits)

    def _mean(self, what: Callable[[dict[str, Array], dict[str, Array]], float], rung: int) -> float:
        return float(np.mean([what(A, B) for A, B in self.maps[rung]]))

    def _noise(self, a: Array, b: Array) -> float:
        return self._dot(a - b, a - b) / 4

    def _dot(self, a: Array, b: Array) -> float:
        return float(self.weights @ np.sum(a * b, axis=1))


def _halves(rng: np.random.Generator, *sides: tuple[Array, Array]) -> list[Problem]:
    """Both halves of each side at random, with their weights."""
    orders = [rng.permutation(len(points)) for points, _ in sides]
    parts = [[order[: len(order) // 2] for order in orders], [order[len(order) // 2 :] for order in orders]]
    (x, a), (y, b) = sides
    return [Problem.from_samples(x[i], y[j], a[i], b[j]) for i, j in parts]
