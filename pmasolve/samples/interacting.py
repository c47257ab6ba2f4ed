"""Particles that carry their own potential: the mirror flow of F from samples alone, without a grid and without a density of ρ_t.

N particles Z have the law ρ̂; φ̂ is the entropic potential at ε from ρ̂ to samples of e^{−g}, which are centred on the particles
and dilated to their spread for that, and brought back.  It is found anew at every step, with ∇φ̂ and G = D²φ̂ in closed form.  With
A = f − g(∇φ̂) + log det G the particles move by

    dZ = −h′(A)G⁻¹∇A dt                                          (deterministic)
    dZ = [−h′(A)G⁻¹∇A − ∇g(∇φ̂)] dt + (2G⁻¹)^½ dB                 (noisy; Itô),

of which the second has for KL (h′ = 1) the drift −G⁻¹∇(f + log det G): no g is needed, and it is the mirror Langevin diffusion
(Ahn, Chewi, arXiv 2010.16212) with the mirror φ̂ that moves along.  As N → ∞, ε → 0 both have the law of the flow ∂ₜφ = h(A(φ)).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ..flows.loop import increasing
from ..machine.arrays import Array, having, positive, shown
from ..problems.divergences import Divergence, checked_objective
from ..problems.grids import Cloud
from ..problems.objectives import KL
from ..problems.outcomes import UNSTABLE_STEP
from ..problems.points import PointsLike, given
from ..problems.problem import Problem
from ..sinkhorn.gauges import PLAIN, SELF, Gauge
from ..sinkhorn.potentials import Potential
from ..sinkhorn.schroedinger import schroedinger
from ..sinkhorn.self_potential import Debiased, self_potential
from .choosing import choose_eps
from .particle_runs import CarriedParticles, Log, ParticleRun
from .units import Units

FARTHEST_MOVE = 10.0  # spreads of the particles that one may leave the others behind in a step
PROBE_STEP = 1e-3  # of √ε: between the points at which log det D²φ̂ is compared


class Smooth(Protocol):
    """A function with its gradient, such as −log of a density: `gaussian.negative_log(law)` is one."""

    def __call__(self, x: PointsLike) -> Array:
        """Values at points (n, dim), as (n,)."""
        ...

    def gradient(self, x: PointsLike) -> Array:
        """Gradients at points (n, dim), as (n, dim)."""
        ...


@dataclass(frozen=True, eq=False)
class InteractingParticles:
    """The mirror flow of F by N particles that carry their own entropic potential towards samples of e^{−g}.

    Parameters
    ----------
    f : −log of the density that F compares with, normalised unless F is KL: values and gradients at points.
    target : samples of e^{−g}, (M, dim), or a `Cloud` of them with weights: a density stands there by nodes with its masses.
    eps : ε of the potentials, for a target as wide as the particles: a fraction of their variance, or more in the self gauge; None:
        chosen at the start by `choose_eps` from particles and target (some seconds).
    g : −log of the target's density, as f; needed unless ``noisy`` with F = KL.
    objective : F: `KL()` or another f-divergence from e^{−f}.
    noisy : the McKean–Vlasov diffusion; False: the deterministic flow.
    gauge : `SELF`, bias of order ε², none between normals of proportional covariances, or `PLAIN`, of order ε, whose potential
        is convex at every ε.
    marginal : error ∫|p_X − ρ̂| of the plan at which the potential is accepted.

    Raises
    ------
    ValueError : ``g`` missing where it is needed, objectives with a uniform reference, gauges that need a density.

    Notes
    -----
    Errors in the law are of order N^{−½} + M^{−½}, ε (ε² in the self gauge) and dt, each measured in the claim `particles`.
    A step in the self gauge costs 4 dim + 4 passes over all pairs of particles and nodes besides Sinkhorn's some ten; memory is
    linear in N + M.
    Where D²φ̂ is not positive definite the run ends with "convexity lost" and names a larger ε; where a step throws a particle ten
    spreads away from the others, with "unstable step".

    References
    ----------
    The diffusion: Deb, Kim, Pal, Schiebinger, arXiv 2307.16421; entropic maps: Pooladian, Niles-Weed, arXiv 2109.12004; the
    particle system and the self gauge are this package's (docs/theory.md).

    Examples
    --------
    >>> from pmasolve.gaussian import Normal, negative_log
    >>> rng = np.random.default_rng(1)
    >>> goal, reference = Normal([1.0], [[1.0]]), Normal([0.0], [[2.0]])
    >>> flow = InteractingParticles(negative_log(goal), reference.sample(200, rng), 0.3)
    >>> run = flow.run(Normal([-1.0], [[0.5]]).sample(200, rng), np.linspace(0, 3, 31), rng)
    >>> run.outcome.name, bool(abs(run.positions[-1].mean() - 1) < 0.3)
    ('reached', True)
    """

    f: Smooth
    target: PointsLike
    eps: float | None = None
    g: Smooth | None = field(default=None, kw_only=True)
    objective: Divergence = field(default=KL(), kw_only=True)
    noisy: bool = field(default=True, kw_only=True)
    gauge: Gauge = field(default=SELF, kw_only=True)
    marginal: float = field(default=1e-4, kw_only=True)

    def __post_init__(self) -> None:
        having(self.f, "gradient", "f", "give a function with .gradient, for example gaussian.negative_log(law)")
        if self.eps is not None:
            positive(self.eps, "eps", "the regularisation", "0.5")
        positive(self.marginal, "marginal", "the error of the plan", "1e-4")
        if checked_objective(self.objective).uniform:
            raise ValueError(
                f"objective={shown(self.objective)}: in ℝᵈ there is no uniform law; give KL() or a divergence"
            )
        if self.gauge not in (SELF, PLAIN):
            raise ValueError(f"gauge={shown(self.gauge)}: particles have no density; give SELF or PLAIN")
        if self.g is None and not (self.noisy and isinstance(self.objective, KL)):
            raise ValueError(
                "g=None: only the noisy flow of KL goes without the target's density; give g with .gradient"
            )

    def carry(self, z: Array, eps: float, before: CarriedParticles | None = None) -> CarriedParticles:
        """The particles (N, dim) with their potential at ε, found from that of a step before."""
        y = self.target if isinstance(self.target, Cloud) else Cloud(self.target)
        units = Units.of(Problem.from_samples(z, y.points, b=y.weights))
        problem = units.problem
        start = None if before is None else before.found.u
        found = schroedinger(problem, eps, start=start, marginal=self.marginal, progress=False)
        phi = Potential(problem.nu, found.v, eps)
        if self.gauge == PLAIN:
            return CarriedParticles(z, phi, units, found, None)
        first = None if before is None or before.own is None else before.own.u
        own = self_potential(problem.mu, eps, start=first, tolerance=0.1 * self.marginal)
        return CarriedParticles(z, Debiased(phi, own.function), units, found, own)

    def drift(self, here: CarriedParticles) -> Array:
        """The drift at the particles, (N, dim)."""
        z, G = here.z, here.hessian
        slope = self.f.gradient(z) + _log_det_gradient(here.phi, z, np.sqrt(here.found.eps))
        if self.g is None:
            return -_solve_each(G, slope)
        image = here.image
        rise = self.g.gradient(image)
        A = self.f(z) - self.g(image) + np.linalg.slogdet(G)[1]
        speed = np.reshape(self.objective.dh(A), (-1, 1)) * (_solve_each(G, slope) - rise)
        return -speed - rise if self.noisy else -speed

    def run(self, start: PointsLike, times: Array, rng: np.random.Generator | None = None) -> ParticleRun:
        """Euler(–Maruyama) steps of all particles at once, from each time to the next.

        Parameters
        ----------
        start : (N, dim) particles, or a cloud, independent with the law ρ₀.
        times : (m,) increasing, at least two; the steps.
        rng : the source of randomness of the noisy flow.

        Returns
        -------
        `ParticleRun`; all times unless the outcome says otherwise.

        Raises
        ------
        ValueError : times that do not increase, a noisy flow without ``rng``.
        """
        if self.noisy and rng is not None:
            having(rng, "standard_normal", "rng", "give a generator, for example np.random.default_rng(0)")
        t = increasing(times)
        if t.size < 2 or (self.noisy and rng is None):
            raise ValueError(
                f"times={shown(times)}, rng={rng}: give two times or more, and to the noisy flow a Generator"
            )
        z = np.ascontiguousarray(given(start, np.shape(_points(self.target))[1]).columns.T)
        eps = self.eps or choose_eps(Problem.from_samples(z, _points(self.target)), gauges=(self.gauge,)).eps
        log = Log()
        here = self.carry(z, eps)
        for i, now in enumerate(t):
            outcome = log.keep(float(now), here)
            if not outcome.ok or i + 1 == t.size:
                break
            dt = float(t[i + 1] - now)
            z = self._moved(here, dt, rng)
            if not (moved := _torn(here.z, z)) <= FARTHEST_MOVE:
                outcome = UNSTABLE_STEP.advising(
                    f"a step of {dt:.3g} from t={now:.4g} throws a particle {moved:.3g} spreads away from the others: "
                    "take shorter steps, or a larger eps"
                )
                break
            here = self.carry(z, eps, here)
        return log.run(eps, outcome)

    def _moved(self, here: CarriedParticles, dt: float, rng: np.random.Generator | None) -> Array:
        z = here.z + dt * self.drift(here)
        if not self.noisy or rng is None:
            return z
        factor = np.linalg.cholesky(np.linalg.inv(here.hessian))
        return z + np.sqrt(2 * dt) * np.einsum("nij,nj->ni", factor, rng.standard_normal(z.shape))


def _points(target: PointsLike) -> Array:
    return target.points if isinstance(target, Cloud) else Cloud(target).points


def _torn(z: Array, moved: Array) -> float:
    """The largest move of a particle, less their mean move, over the spread of all."""
    with np.errstate(all="ignore"):  # infinite moves are refused
        move = moved - z
        return float(np.max(np.abs(move - move.mean(axis=0))) / np.sqrt(np.mean(np.var(z, axis=0))))


def _log_det_gradient(phi: Potential | Debiased, z: Array, width: float) -> Array:
    """∇log det D²φ̂ by central differences, (N, dim)."""
    n, dim = z.shape
    moves = PROBE_STEP * width * np.concatenate([np.eye(dim), -np.eye(dim)])
    around = (z + moves[:, None, :]).reshape(-1, dim)
    ahead, behind = np.split(np.linalg.slogdet(phi.jacobian(around))[1].reshape(2 * dim, n), 2)
    return (ahead - behind).T / (2 * PROBE_STEP * width)


def _solve_each(G: Array, vectors: Array) -> Array:
    """G⁻¹v of stacked matrices (N, dim, dim) and vectors (N, dim)."""
    return np.linalg.solve(G, vectors[..., None])[..., 0]
