"""What a JKO chain promises for data without a density, and with inverses that have errors: distances and KL mixed.

The abstract of Cheng, Lu, Tan, Xie, arXiv 2310.17582, announces both, as its corollaries 5.3 to 5.5.  Statements and constants here
are this package's own, in that sense; they are proved in docs/samplers.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from ...flows.trajectories import Trajectory
from ...machine.arrays import Array, generator, integer, number
from ..denoising.diffusion import Diffusion
from ..denoising.points import Points
from ..samplers.posteriors import Posterior
from ..samplers.reference import Reference
from .chain import ChainSampler
from .gradients import mean_square
from .guarantees import assigned, at_least, bounded, smoothed, way_back

FEW_PAIRS = 512  # points on either side of an assignment
DIRECTIONS, SHIFTS, NODES = 16, 33, 2048  # test functions, and points of the reference for their means


@dataclass(frozen=True, eq=False)
class Diffused:
    """ρ_δ, the law of e^{−δ}X + (1 − e^{−2δ})^½ Z for X uniform on given points and Z standard normal: near them, with a density.

    Parameters
    ----------
    data : (n, d), or (n,) on the line: all of the law P, which needs no density; a point may be there more than once.
    time : δ > 0.

    Raises
    ------
    ValueError : points that are not finite or not (n, d), a time that is not positive and finite.

    Notes
    -----
    W₂²(P, ρ_δ) ≤ (1 − e^{−δ})²E|X|² + (1 − e^{−2δ})d = ``w2_squared_bound``: lemma C.1 of arXiv 2310.17582, an equality for one
    point.

    Examples
    --------
    >>> law = Diffused.within([-1.0, 1.0, 1.0], 0.3)
    >>> round(law.w2_squared_bound, 12), law.sample(4, seed=0).shape, law.density.dim
    (0.09, (4, 1), 1)
    """

    data: Array = field(repr=False)
    time: float

    def __post_init__(self) -> None:
        if not 0 < number(self.time, "time") < np.inf:
            raise ValueError(f"time={self.time}: give how long is diffused, a finite number > 0")
        object.__setattr__(self, "data", Points(self.data).points)

    @classmethod
    def within(cls, data: ArrayLike, distance: float) -> Diffused:
        """The longest diffusion whose bound on W₂(P, ρ_δ) is the given distance.

        Parameters
        ----------
        data : as for the class.
        distance : > 0, its square in floats too, and below (E|X|² + d)^½, which no time reaches.

        Raises
        ------
        ValueError : another distance.
        """
        x = Points(data).points
        second, d = mean_square(x), x.shape[1]
        if not (number(distance, "distance") > 0 and 0 < distance**2 < second + d):
            raise ValueError(
                f"distance={distance}: give one above 0, its square too, and below (E|X|² + d)^½ = {np.sqrt(second + d):g}, "
                "which no diffusion reaches"
            )
        most = np.hypot(d, np.sqrt(second - d) * distance) if second > d else np.sqrt(d**2 - (d - second) * distance**2)
        left = distance**2 / (d + most)  # 1 − e^{−δ}
        return cls(x, -float(np.log1p(-left)))

    @property
    def dim(self) -> int:
        """The dimension d."""
        return self.data.shape[1]

    @property
    def w2_squared_bound(self) -> float:
        """Of W₂²(P, ρ_δ)."""
        return smoothed(mean_square(self.data), self.dim, self.time)

    @cached_property
    def _chain(self) -> Diffusion:
        return Diffusion(Points(self.data))

    @property
    def density(self) -> Posterior:
        """−log ρ_δ, normalised, and its gradient: for ``JKOSampler(…, density=…)``."""
        return Posterior(self._minus_log, self._slope, self.dim)

    def _minus_log(self, x: Array) -> Array:
        return -self._chain.log_density(self.time, x)

    def _slope(self, x: Array) -> Array:
        return -self._chain.score(self.time, x)

    def sample(self, n: int, seed: int | np.random.Generator) -> Array:
        """n points of ρ_δ, (n, d), as evenly from all points of the data as n allows; one seed, one answer."""
        return self._chain.draw(self.time, integer(n, "n"), generator(seed))


def mixed(smoothing: float, kl: float, way_back: float, lipschitz: float = 1.0, oscillation: float = 1.0) -> float:
    """|∫h dP − ∫h dq̃₀| ≤ ℓ(a + c) + ω(K/2)^½, and ≤ ω, for every h with Lipschitz constant ℓ and sup h − inf h ≤ ω.

    P is the law of the data, q̃₀ that of the samples, if there are ρ and q₀ with W₂(P, ρ) ≤ a, KL(ρ|q₀) ≤ K, W₂(q₀, q̃₀) ≤ c.

    Parameters
    ----------
    smoothing : a ≥ 0.
    kl : K ≥ 0, such as `Guarantees.kl_after`.
    way_back : c ≥ 0, such as `way_back`; infinite where nothing is known.
    lipschitz, oscillation : ℓ ≥ 0 and ω ≥ 0.

    Returns
    -------
    The bound.

    Raises
    ------
    ValueError : a negative number, or one that is not finite, except ``way_back``.

    Examples
    --------
    >>> round(mixed(0.1, 0.02, 0.05), 12)
    0.25
    """
    for name, value in (("smoothing", smoothing), ("kl", kl), ("lipschitz", lipschitz), ("oscillation", oscillation)):
        at_least(value, name, "a finite number ≥ 0")
    if not number(way_back, "way_back") >= 0:
        raise ValueError(f"way_back={way_back}: give a bound on W₂ ≥ 0, infinite where none is known")
    return min(oscillation, lipschitz * (smoothing + way_back) + oscillation * float(np.sqrt(kl / 2)))


def mixed_guarantees(
    run: Trajectory, diffused: Diffused | None = None, *, inversion: float = 0.0, seed: int = 0
) -> dict[str, float]:
    """Bounds beside what was measured, of the whole chain of a run of `JKOSampler`: no density of the data, no exact inverse.

    Parameters
    ----------
    run : what `evolve` returned, of a flow with ``density`` and equal steps.
    diffused : where the data had no density: those of the run are samples of this law, and ``diffused.density`` is its density.
        Without it P is the law of the problem's data, a = 0.
    inversion : an error put into the inverse of every block at every point, on the side to which the others have moved it; 0 for
        the inverses as they are.
    seed : of the points.

    Returns
    -------
    Numbers by name: ``w2_squared`` between P and ρ_δ (512 pairs) and ``w2_squared_bound``; ``kl`` = KL(ρ_δ|q₀) by held-out points
    and ``kl_bound`` after so many blocks; ``way_back``, the root mean square between samples by inverses with errors and without,
    which is at least W₂(q₀, q̃₀), with ``way_back_bound`` by the stretches that are certified and ``way_back_local`` by those that
    were met; ``mixed``, the largest |∫h dP − ∫h dq̃₀| found among h(x) = clip(u·x − c, −½, ½), with ``mixed_bound`` (`mixed`), and
    ``mixed_by_kl``, the same with ``kl`` as measured and ``way_back_local``.

    Raises
    ------
    ValueError : a run of another flow, without a density, without blocks, or with steps that differ; a negative ``inversion``; a
        law in another dimension.

    Examples
    --------
    >>> from pmasolve import ConstantSteps, ConvexBlocks, JKOSampler, SampleProblem, evolve
    >>> law = Diffused.within([[-1.0, 0.0], [1.0, 0.5]], 0.5)
    >>> problem = SampleProblem(law.sample(1000, seed=1))
    >>> flow = JKOSampler(problem, ConvexBlocks(20), ConstantSteps(0.5), density=law.density)
    >>> told = mixed_guarantees(evolve(flow, flow.times(6)[-1:], throw=False), law, inversion=1e-3)
    >>> bool(told["mixed"] < told["mixed_by_kl"] < told["mixed_bound"]), bool(told["way_back"] < told["way_back_local"])
    (True, True)
    """
    chain, flow, bounds = bounded(run)
    at_least(inversion, "inversion", "the error of an inverse, ≥ 0")
    if diffused is not None and diffused.dim != chain.dim:
        raise ValueError(f"diffused in {diffused.dim} dimensions, the run in {chain.dim}: give the law of its data")
    law = flow.problem.data if diffused is None else diffused.data
    rng, fitted = generator(integer(seed, "seed", 0)), flow.problem.data[:FEW_PAIRS]
    start = assigned(fitted, flow.problem.reference.sample(len(fitted), rng))
    smoothing = (0.0, 0.0) if diffused is None else (_to_diffused(diffused, rng), diffused.w2_squared_bound)
    samples, moved, *back = _returned(chain, flow.problem.reference.sobol(NODES, seed).points, inversion, rng)
    kl, bound = max(0.0, float(run.records["held_kl"][len(bounds) - 1])), bounds[-1].kl_after(len(bounds), start)
    return {
        "w2_squared": smoothing[0],
        "w2_squared_bound": smoothing[1],
        "kl": kl,
        "kl_bound": bound,
        "way_back": moved,
        "way_back_bound": back[0],
        "way_back_local": back[1],
        "mixed": _farthest_means(law, samples, rng),
        "mixed_bound": mixed(float(np.sqrt(smoothing[1])), bound, back[0]),
        "mixed_by_kl": mixed(float(np.sqrt(smoothing[1])), kl, back[1]),
    }


def _to_diffused(law: Diffused, rng: np.random.Generator) -> float:
    """W₂² between points of P and as many of ρ_δ, even ones."""
    x, z = Points(law.data).draw(FEW_PAIRS, rng), Reference.of(None, law.dim).sobol(FEW_PAIRS, 0).points
    return assigned(x, np.exp(-law.time) * x + np.sqrt(-np.expm1(-2 * law.time)) * z)


def _returned(
    chain: ChainSampler, y: Array, error: float, rng: np.random.Generator
) -> tuple[Array, float, float, float]:
    """Samples by inverses with errors, how far they are from those without, and the bounds on that."""
    moved, exact, residuals, certified, met = y, y, [], [], []
    along = rng.standard_normal(y.shape)
    for block in reversed(chain.blocks):
        there, exact = block.preimage(moved), block.preimage(exact)
        if not (np.isfinite(there).all() and np.isfinite(exact).all()):
            raise ValueError(f"run: a block of {chain!r} has no inverse at some points; nothing bounds the way back")
        least = min(float(np.linalg.svd(block.jacobian(part), compute_uv=False).min()) for part in (there, exact))
        residuals.append(float(np.sqrt(mean_square(block.image(there) - moved))))
        apart = there - exact if np.any(there != exact) else along
        moved = there + error * apart / np.maximum(np.linalg.norm(apart, axis=1, keepdims=True), np.finfo(float).tiny)
        certified.append(1 / block.stretch if block.stretch > 0 else np.inf)
        met.append(1 / least)
    bounds = (_way_bound(error, residuals[::-1], constants[::-1]) for constants in (certified, met))
    return moved, float(np.sqrt(mean_square(moved - exact))), *bounds


def _way_bound(error: float, residuals: list[float], constants: list[float]) -> float:
    """Of the way back, an inverse off by what was put in and its residual times its constant; infinite if one is not known."""
    known = np.isfinite(constants).all()
    return way_back(error + np.multiply(residuals, constants), np.array(constants)) if known else np.inf


def _farthest_means(law: Array, samples: Array, rng: np.random.Generator) -> float:
    """The largest difference of means of clip(u·x − c, −½, ½), which is 1-Lipschitz and oscillates by 1."""
    u = rng.standard_normal((DIRECTIONS, law.shape[1])) if law.shape[1] > 1 else np.ones((1, 1))
    far = 0.0
    for direction in u / np.linalg.norm(u, axis=1, keepdims=True):
        a, b = law @ direction, samples @ direction
        for c in np.quantile(np.concatenate([a, b]), np.linspace(0, 1, SHIFTS)):
            far = max(far, abs(float(np.clip(a - c, -0.5, 0.5).mean() - np.clip(b - c, -0.5, 0.5).mean())))
    return far
