"""Choice of ε and gauge from the samples themselves, by the cross-fit risk (`cross_fit`) on a ladder of ε.

The least risk chooses.  At finite t, where no variational principle holds, the rule is the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..machine.arrays import Array, integer, number, shown
from ..machine.speaking import count, drawn, page, sheet
from ..problems.grids import Cloud
from ..problems.outcomes import REACHED, Outcome
from ..problems.problem import Problem, checked
from ..sinkhorn.gauges import PLAIN, SELF, Gauge
from .affine import AFFINE, Affine
from .cross_fit import Walk
from .fits import FINAL, Candidate, Map
from .units import END_OF_LADDER, LEAST_POINTS, Units, massive, shared_points

WRONG_RISK = "the risk, of independent samples, is wrong"


@dataclass(frozen=True, eq=False)
class Curve:
    """Estimated risk and noise for every ε that was looked at.

    Attributes
    ----------
    eps : (m,), decreasing.
    risk : (m,) for each gauge by name: estimated mean squared error of the map; may be negative where it is small, and is NaN
        below where it has risen clearly.
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
    outcome : reached; "at end of ladder" where the best ε may lie beyond the ladder; "shared points" where x and y have more points
        in common than independent samples would, and risks are wrong; that of the last fit where it failed.

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
    _exact_risk: Callable[[], float] = field(repr=False)

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

    @cached_property
    def exact_error(self) -> float:
        """Estimated RMS error of the maps of exact optimal couplings (`OptimalCoupling.image`), the plain ones of ε → 0.

        Couplings are solved for when it is asked.  NaN at finite t, whose maps have another limit, and where the risk is negative.
        """
        risk = self._exact_risk() if self.t is None else np.nan
        return float(np.sqrt(risk)) if risk > 0 else np.nan

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
        """Estimated error against ε, a curve for each gauge, noise below, the choice marked; and the exact coupling's.

        The last, `exact_error`, is the level that plain maps come to for ε → 0; drawn for optimal maps and n·m up to four million.

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
    problem : samples in ℝᵈ (`Problem.from_samples`), weighted or not, at least 8 on each side; or a density and samples
        (`Problem.from_densities` with a `Cloud`), of which the samples alone are halved.
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
    ValueError : densities on a grid, clouds on a torus, fewer than 8 points with mass, samples without spread, t ≤ 0,
        counts below 1 or not whole, a seed that is no whole number ≥ 0.

    Notes
    -----
    The ladder is 16 s², 8 s², … 12 rungs, s² the mean variance of x, and y is centred and dilated to x first, as optimal maps
    allow: so dilations and translations of x and y change nothing but units.  At finite t it is t, t/2, …, t/64.  It is walked
    from above, each search beginning where the fitted normals, the self-potential and the rung above foresee it, and left two rungs
    below the best.
    Halves do not see how the whole sample fluctuates: weights of far modes and atoms are the hard cases.
    Cost: some 80 passes over all pairs for one halving, 200 for three, twice that where small ε are the best, besides the
    images of ``points``; memory linear in the points.

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
    _admit_choice(problem, t)
    halvings, points, seed = integer(halvings, "halvings"), integer(points, "points"), integer(seed, "seed", 0)
    units = Units.of(problem) if t is None else Units.none(problem)
    kept = _candidates(t, gauges)
    walk = Walk(units, t, kept, halvings, points, seed)
    gauge, rung = walk.best()
    eps, scale = walk.ladder[rung], units.ratio**2
    fit, exact = walk.whole(rung, FINAL), walk.exact_alone()
    fitted = fit.map(gauge, eps)
    curve = Curve(
        np.array(walk.ladder[: len(walk.images)]),
        {g.name: scale * walk.risks(g) for g in kept},
        {g.name: scale * walk.noises(g) for g in kept},
    )
    return EpsChoice(
        problem,
        t,
        eps,
        gauge,
        units.problem,
        None if t is None else round(t / eps),
        _root_of_risk(curve.risk[gauge.name][rung], curve.noise[gauge.name][rung]),
        curve,
        units.ratio * _root_of_risk(*walk.affine_alone()) if t is None else None,
        (walk.pairs + fit.work.pairs) / (units.problem.domain.size * units.problem.codomain.size),
        next(
            (o for o in (fit.work.outcome, walk.outcome, _shared(problem)) if not o.ok), _ended(rung, len(walk.ladder))
        ),
        partial(_in_units, units, fitted),
        partial(_scaled, scale, exact),
    )


def _in_units(units: Units, fitted: Map, z: Array) -> Array:
    """Where the map of the scaled problem takes z, in the units of y; no closure, which could not be pickled."""
    return units.back(fitted(z))


def _scaled(scale: float, risk: Callable[[], float]) -> float:
    """A risk of the scaled problem in squared units of y."""
    return scale * risk()


def _candidates(t: float | None, gauges: Sequence[Candidate]) -> tuple[Candidate, ...]:
    for gauge in gauges:
        if not isinstance(gauge, Affine) and not (isinstance(gauge, Gauge) and not gauge.needs_density):
            raise ValueError(f"gauge={getattr(gauge, 'name', gauge)!r}: of samples choose among SELF, PLAIN and AFFINE")
    kept = tuple(gauge for gauge in gauges if t is None or isinstance(gauge, Gauge))
    if not kept:
        raise ValueError("gauges: give at least one of SELF and PLAIN, or at the fixed point AFFINE")
    return kept


def _root_of_risk(risk: float, noise: float) -> float:
    """The estimated error: from the risk, or where that came out negative, from its part that is variance."""
    return float(np.sqrt(risk if risk > 0 else noise))


def _ended(rung: int, rungs: int) -> Outcome:
    if rung == 0:
        return Outcome(
            END_OF_LADDER, True, "the largest ε is best: an affine map, or one step of length t, may do as well"
        )
    if rung == rungs - 1:
        return Outcome(
            END_OF_LADDER, True, "the least ε of the ladder is best: try smaller ones by Sinkhorn or schroedinger"
        )
    return REACHED


def _shared(problem: Problem) -> Outcome:
    """Whether samples on both sides are independent; the points of a density that is known are no sample."""
    (x, _), (y, _) = massive(problem)
    return (shared_points(x, y, WRONG_RISK) if all(problem.sampled) else None) or REACHED


def _admit_choice(problem: Problem, t: float | None) -> None:
    cloud = checked(problem).domain
    if not isinstance(cloud, Cloud):
        raise ValueError("choose_eps is for samples: for densities on a grid error_estimate() tells the error at an ε")
    if cloud.period is not None:
        raise ValueError(
            f"period={shown(cloud.period)}: choose_eps needs samples in ℝᵈ; on a torus compare a few ε by hand"
        )
    if t is not None and not 0 < number(t, "t") < np.inf:
        raise ValueError(f"t={t}: give a time > 0, or None for the fixed point")
    for name, measure in (("x", problem.mu), ("y", problem.nu)):
        points_left = int(np.sum(np.exp(measure.log_density) > 0))
        if points_left < LEAST_POINTS:
            raise ValueError(
                f"{name} has {count(points_left, 'point')} with mass: halving them needs {LEAST_POINTS} or more; choose ε by hand"
            )
