"""The cross-fit risk of entropic maps on a ladder of ε.

Samples are halved at random, x = A ∪ B and y = A ∪ B, and maps T_A, T_B fitted to both halves at every ε of a ladder.  At points z
of the sample

    risk = ⟨T_A − R_A, T_B − R_B⟩ + ¼ |T_A − T_B|²,

R_A, R_B the self gauge's maps at a much smaller ε: A and B are independent, so that the first term has the expectation of the
squared bias of T against R, without the noise, but for what a half owes to z being its own point; the second is the variance of
the map of the whole sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial

import numpy as np

from ..machine.arrays import Array
from ..problems.outcomes import REACHED, Outcome
from ..problems.problem import Problem
from ..sinkhorn.gauges import SELF
from .coupling import optimal_coupling
from .fits import COMPARED, AtFixedPoint, AtTime, Candidate, Fit
from .units import Units, massive, variance

RUNGS, COARSEST_RUNG = 12, 16.0  # of the ladder at the fixed point: from 16 s² by halves, s² the mean variance of x
RUNGS_AT_T = 7  # of the ladder at time t: ε = t, t/2, …, t/64
FINEST_REFERENCE = 8.0  # no reference is coarser than s²/8, or t/16: a coarse one is as biased as what it judges
BEYOND = 2  # the reference lies so many rungs below the best, and ends the walk of the self gauge
ROUGHLY = 1e-2  # marginal error below that rung, where maps are noisy and fixed points laborious
DROWNED = 6.0  # times the risk of the best: noise that ends the walk before
RISEN = 1.5  # times its least: a risk that is larger, so many rungs below it, has risen clearly

BothHalves = tuple[Array, Array]  # what each half gives


class Walk:
    """The ladder walked from above: maps of both halves of every halving at points of the sample, and their risks.

    The self gauge goes first, until the reference lies `BEYOND` rungs below its best, or all is noise; the plain map of the fixed
    point comes with it.  Other gauges are left where their risk has risen clearly.
    """

    def __init__(
        self, units: Units, t: float | None, gauges: Sequence[Candidate], halvings: int, points: int, seed: int
    ) -> None:
        rng = np.random.default_rng(seed)
        (x, a), (y, b) = massive(units.problem)
        self.units, self.t, self.gauges = units, t, gauges
        self.z, self.weights = subsample(rng, x, a, points, units.sampled[0])
        top, rungs = (COARSEST_RUNG * variance(x, a), RUNGS) if t is None else (t, RUNGS_AT_T)
        self.ladder = [top / 2**j for j in range(rungs)]
        self.floor = round(np.log2(COARSEST_RUNG * FINEST_REFERENCE if t is None else 2 * FINEST_REFERENCE))
        pairs = [halves(rng, (x, a), (y, b), sampled=units.sampled) for _ in range(halvings)]
        self.fits: list[list[Fit]] = [[fit_of(half, t) for half in pair] for pair in pairs]
        self.images: list[list[list[dict[str, Array]]]] = []  # rung, halving, half, gauge
        self._walk()

    def _walk(self) -> None:
        for rung in range(len(self.ladder)):
            self.images.append([[{} for _ in pair] for pair in self.fits])
            self._look(rung, SELF)
            best = self._best_own()
            if rung >= best + BEYOND and (rung >= self.floor or self._drowned(rung, best)):
                break
        for gauge in self.gauges:
            for rung in range(len(self.images)):
                self._look(rung, gauge)
                if self._risen(gauge.name, rung):
                    break

    def _drowned(self, rung: int, best: int) -> bool:
        """Whether maps of the self gauge are so noisy that they and those below tell nothing: soon in many dimensions."""
        noises = [np.mean([self._noise(A[SELF.name], B[SELF.name]) for A, B in self.images[j]]) for j in (rung, best)]
        return bool(noises[0] > DROWNED * max(noises[1], self._risk(SELF.name, best, self._reference(best))))

    def _look(self, rung: int, gauge: Candidate) -> None:
        """The images of z by all fits, where they are not known yet."""
        for pair, found in zip(self.fits, self.images[rung], strict=True):
            for fit, known in zip(pair, found, strict=True):
                if gauge.name not in known:
                    fit.marginal = COMPARED if rung <= self.floor else ROUGHLY
                    known[gauge.name] = fit.image(gauge, self.ladder[rung], self.z, known)

    def _risen(self, name: str, rung: int) -> bool:
        risks = [self._risk(name, j, self.reference) for j in range(rung + 1)]
        best = int(np.argmin(risks))
        return rung >= best + BEYOND and risks[rung] > max(RISEN * risks[best], 0.0)

    @cached_property
    def reference(self) -> int:
        """The rung whose maps of the self gauge stand for the truth."""
        return self._reference(self._best_own())

    def best(self) -> tuple[Candidate, int]:
        """Gauge and rung of the least risk."""
        risks = {(gauge, j): risk for gauge in self.gauges for j, risk in enumerate(self.risks(gauge))}
        return min((key for key, risk in risks.items() if not np.isnan(risk)), key=lambda key: risks[key])

    def risks(self, gauge: Candidate) -> Array:
        """Estimated mean squared error at every rung, (m,); NaN where the gauge was left."""
        return self._over_rungs(gauge, lambda j: self._risk(gauge.name, j, self.reference))

    def noises(self, gauge: Candidate) -> Array:
        """The variance in the risk at every rung, (m,); NaN where the gauge was left."""
        return self._over_rungs(
            gauge, lambda j: float(np.mean([self._noise(A[gauge.name], B[gauge.name]) for A, B in self.images[j]]))
        )

    def affine_alone(self) -> tuple[float, float]:
        """Risk and noise of the affine map between the fitted normals."""
        risks, noises = [], []
        for pair, (A, B) in zip(self.fits, self.images[self.reference], strict=True):
            images = tuple(fit.affine(self.z) for fit in pair if isinstance(fit, AtFixedPoint))
            noises.append(self._noise(*images))
            risks.append(risk_of(images, (A[SELF.name], B[SELF.name]), self.weights))
        return float(np.mean(risks)), float(np.mean(noises))

    def exact_alone(self) -> Callable[[], float]:
        """What finds the risk of the maps of exact optimal couplings, the limits of plain ones for ε → 0; it keeps no fit."""
        references = [(A[SELF.name], B[SELF.name]) for A, B in self.images[self.reference]]
        pairs = [[fit.problem for fit in pair] for pair in self.fits]
        return partial(exact_risk, pairs, references, self.z, self.weights)

    def whole(self, rung: int, marginal: float) -> Fit:
        """The maps of the whole samples, begun with what the halves of the first halving found at a rung."""
        fit = fit_of(self.units.problem, self.t, marginal)
        fit.begin(self.ladder[rung], self.fits[0])
        return fit

    @property
    def pairs(self) -> float:
        """Work so far: pairs of points that were summed over."""
        return sum(fit.work.pairs for pair in self.fits for fit in pair)

    @property
    def outcome(self) -> Outcome:
        """The first outcome of a fit that is not ok, if there is one."""
        return next((fit.work.outcome for pair in self.fits for fit in pair if not fit.work.outcome.ok), REACHED)

    def _over_rungs(self, gauge: Candidate, what: Callable[[int], float]) -> Array:
        rungs = range(len(self.images))
        return np.array([what(j) if gauge.name in self.images[j][0][0] else np.nan for j in rungs])

    def _best_own(self) -> int:
        """The rung of the self gauge's least risk, against a reference that follows it."""
        best = 0
        for _ in range(3):
            reference = self._reference(best)
            best = min(range(len(self.images)), key=lambda j: self._risk(SELF.name, j, reference))
        return best

    def _reference(self, best: int) -> int:
        return min(len(self.images) - 1, max(best + BEYOND, self.floor))

    def _risk(self, name: str, rung: int, reference: int) -> float:
        pairs = zip(self.images[rung], self.images[reference], strict=True)
        risks = [risk_of((A[name], B[name]), (a[SELF.name], b[SELF.name]), self.weights) for (A, B), (a, b) in pairs]
        return float(np.mean(risks))

    def _noise(self, a: Array, b: Array) -> float:
        return noise_of(a, b, self.weights)


def risk_of(images: BothHalves, references: BothHalves, weights: Array) -> float:
    """⟨T_A − R_A, T_B − R_B⟩ + ¼ |T_A − T_B|² from images of weighted points by both halves, (n, dim) each."""
    (A, B), (a, b) = images, references
    return float(weights @ np.sum((A - a) * (B - b), axis=1)) + noise_of(A, B, weights)


def noise_of(a: Array, b: Array, weights: Array) -> float:
    """¼ |T_A − T_B|² from images of weighted points by both halves."""
    return float(weights @ np.sum((a - b) ** 2, axis=1)) / 4


def exact_risk(pairs: Sequence[Sequence[Problem]], references: Sequence[BothHalves], z: Array, weights: Array) -> float:
    """The risk at weighted points z of the maps of exact optimal couplings of both halves of every halving."""
    risks = []
    for halves, given in zip(pairs, references, strict=True):
        one, other = (optimal_coupling(half, progress=False).image(z) for half in halves)
        risks.append(risk_of((one, other), given, weights))
    return float(np.mean(risks))


def fit_of(problem: Problem, t: float | None, marginal: float = COMPARED) -> Fit:
    """The maps of one pair of samples: at the fixed point, or at time t."""
    return AtFixedPoint(problem, marginal) if t is None else AtTime(problem, t, marginal)


def halves(
    rng: np.random.Generator, *sides: tuple[Array, Array], sampled: tuple[bool, bool] = (True, True)
) -> list[Problem]:
    """Both halves at random of each side that is sampled, with their weights."""
    parts = []
    for (points, _), random in zip(sides, sampled, strict=True):
        order = rng.permutation(len(points)) if random else np.arange(len(points))
        middle = len(order) // 2
        parts.append((order[:middle], order[middle:]) if random else (order, order))
    (x, a), (y, b) = sides
    return [Problem.from_samples(x[i], y[j], a[i], b[j]) for i, j in zip(*parts, strict=True)]


def subsample(rng: np.random.Generator, x: Array, a: Array, points: int, sampled: bool) -> tuple[Array, Array]:
    """Some points of x and their weights: drawn evenly of samples, by their mass of the nodes of a density."""
    if sampled or len(x) <= points:
        at = rng.permutation(len(x))[:points]
        return x[at], a[at] / a[at].sum()
    at = rng.choice(len(x), points, p=a)
    return x[at], np.full(points, 1 / points)
