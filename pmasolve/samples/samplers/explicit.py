"""The papers' explicit descent, learned from samples or from a known density: `MongeAmpereSampler`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from ...flows.schedules import ConstantSteps, StepSizes, checked_schedule, steps_until, times_of
from ...machine.arrays import Array, having, keep_integers
from ...problems.outcomes import CONVEXITY_LOST, NO_DESCENT, REACHED, Outcome
from .estimators import Estimator, Logistic, Ratio, Sides
from .inversion import INVERSE_TOL, inverse
from .laws import least_curvature, pushed, values
from .objectives import evidence
from .parameters import Parameters
from .potentials import Family, Given, Parametric
from .readings import OnReference
from .reference import Nodes, Reference
from .span import Span
from .units import Unit

RULE_NODES = 4096
ALLOWED = 2.0  # standard errors by which the semi-dual may rise


class Pulled(Given, Protocol):
    """A problem whose law can be seen from the reference side: `SampleProblem`, `Posterior`."""

    @property
    def reference(self) -> Reference:
        """e^{−g}."""
        ...

    @property
    def unit(self) -> Unit:
        """In which the flow works."""
        ...

    @property
    def standard(self) -> Given:
        """The problem in that unit."""
        ...

    def admit(self, count: int) -> None:
        """Refuse so many parameters."""
        ...

    def law(self, psi: Parametric, nodes: Nodes) -> tuple[Nodes, Array, Array | None]:
        """Weighted points of μ, guesses of their preimages, and h at the nodes where the density is known."""
        ...

    def reached(self, psi: Parametric) -> Outcome:
        """Of the potential that a run ends with."""
        ...


@dataclass(frozen=True, eq=False)
class ExplicitState:
    """ψ_k, the points of both laws, and the sum of the certificate."""

    k: int
    t: float
    psi: Parametric
    x: Nodes
    sides: Sides
    outcome: Outcome = REACHED
    record: Mapping[str, float] = field(default_factory=dict)
    certificate: float = 0.0


@dataclass(frozen=True, eq=False)
class MongeAmpereSampler:
    """Explicit mirror descent ψ_{k+1} = ψ_k − η_k h_k, h_k = log(ρ_k/μ)∘∇ψ_k, ρ_k = (∇ψ_k)_# e^{−g}, learned from samples of μ.

    The algorithm of Deb and Liang in a finite family: h_k = log(ν/π_k), π_k = (∇ψ_k*)_# μ, is fitted on the reference side in the
    family's own tangent space, so that in a `Span` a step is exact.  Generation is one gradient: ∇ψ_T(y), y ~ e^{−g}.
    t is the sum of the steps taken.

    Parameters
    ----------
    problem : `SampleProblem` or `Posterior`.
    family : `Span`, where steps are exact, or `LogSumExp`, where they are projected to the tangent space.
    estimator : `Logistic()` or `ScoreMatching()` of samples, `Known()` of a posterior.
    schedule : step sizes: `ConstantSteps`, `HarmonicSteps`, `square_root_steps(T)`, `logarithmic_steps(T, scale)`.
    nodes : number of Sobol' points of the reference, or points with weights (`samples.samplers.Nodes`).
    seed : of the ridges and of the points.

    Raises
    ------
    ValueError : points in place of a problem; more parameters than points; an estimator that needs f without one; times that
        are not sums of the first steps.

    Notes
    -----
    Samples are taken about their mean and over their spread (the start is ½ spread |y|² + mean·y): steps η, B and the least
    eigenvalue are in units of the spread, and the law found from a·x + b is that from x, moved and scaled.  Of a posterior they are
    in the unit of f, from ½|y|².
    A step is stable only while it is short against the curvature of the family's finest functions: on real shapes it crawls, and
    `ImplicitSampler` is what gives good samples.

    Records of step k, with d = (ψ_k − ψ_{k+1})/η, B_k = ∫ψ_k dν + ∫ψ_k* dμ: ``eta``; ``kl`` = ∫h dν, ``reverse_kl`` = −∫h dπ and
    ``ess`` by the estimate; ``bregman`` = B_k, the Bregman divergence of μ and ρ_k plus max E[x·y]; ``min_hessian`` = inf D²ψ_{k+1}
    at the points, m; ``pairing`` = ∫d (dν − dπ) with its standard error ``error``; ``remainder`` = (η/2m)∫|∇d|²dπ, and the sides of
    pairing − remainder ≤ (B_k − B_{k+1})/η ≤ pairing as ``lower_slack``, ``upper_slack`` ≥ 0, which hold for every d and every
    sample; ``certificate`` = B_0 − B_T + Ση·remainder − Ση·pairing ≥ 0.
    Ends that are not ok: "convexity lost", with the step; "no descent" (B rose by more than two standard errors); of samples
    "reference not reached", at the end of a run: ∇ψ_T* carries them off the reference, so that at least 5 % of what is generated is
    misplaced, as it is before a descent is at rest; the records and the potentials are none the worse for it.
    Source: Deb, Liang, No-Regret Generative Modeling via Parabolic Monge-Ampère PDE, arXiv 2504.09279; the estimators on the
    reference side and the inequality's remainder were derived for this package.

    Examples
    --------
    >>> from pmasolve import SampleProblem, evolve
    >>> rng = np.random.default_rng(0)
    >>> problem = SampleProblem(rng.standard_normal((1000, 2)) * [2.0, 0.5])
    >>> flow = MongeAmpereSampler(problem, schedule=ConstantSteps(0.1))
    >>> run = evolve(flow, flow.times(60)[-1:])
    >>> bool(run.records["kl"][-1] < 0.01), bool(run.records["upper_slack"].min() > -1e-6)
    (True, True)
    """

    problem: Pulled
    family: Family = field(default=Span())
    estimator: Estimator = field(default=Logistic())
    schedule: StepSizes = field(default=ConstantSteps(0.25))
    nodes: int | Nodes = field(default=RULE_NODES, kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        keep_integers(self, seed=0)
        having(self.problem, "law", "problem", "give SampleProblem(points), or Posterior(f, grad_f, d)")
        having(self.family, "started", "family", "give Span(), or LogSumExp()")
        having(self.estimator, "ratio", "estimator", "give Logistic(), ScoreMatching() or Known()")
        if not isinstance(self.nodes, Nodes):
            keep_integers(self, nodes=1)
        checked_schedule(self.schedule)
        self.problem.admit(self.first.free)

    @cached_property
    def first(self) -> Parametric:
        """ψ_0, the start of the family."""
        return self.family.started(self.problem.standard, self.seed)

    @cached_property
    def points(self) -> Nodes:
        """Points of the reference."""
        given = self.nodes
        return given if isinstance(given, Nodes) else self.problem.reference.sobol(given, self.seed)

    @cached_property
    def states(self) -> Parameters:
        """Parameters, in place of a grid."""
        return Parameters(self.first.params.size, self.problem.dim)

    @cached_property
    def reading(self) -> OnReference:
        """Maps at points of the reference."""
        return OnReference(self.problem.reference, self.first, self.problem.unit)

    def times(self, count: int) -> Array:
        """η_0, η_0 + η_1, …: the times of the first ``count`` iterates, the ones that can be asked for."""
        return times_of(self.schedule, count)

    def admit(self, times: Array) -> None:
        """Refuse times that no iterate has."""
        for t in times:
            steps_until(self.schedule, float(t))

    def start(self, initial: Array) -> ExplicitState:
        """The start of the family, moved by the given parameters."""
        return self.resume(initial, 0.0)

    def resume(self, potential: Array, t: float) -> ExplicitState:
        """ψ_k with t the sum of the first k steps; the certificate starts again."""
        psi = self.first.placed(self.first.params + potential)
        if not (low := least_curvature(psi, self.points.points)) > 0:
            raise ValueError(f"initial: D²ψ has the eigenvalue {low:.3g} ≤ 0: start from smaller parameters, or from 0")
        x, sides = self._sides(psi)
        return ExplicitState(steps_until(self.schedule, t), t, psi, x, sides)

    def _sides(self, psi: Parametric, start: Array | None = None) -> tuple[Nodes, Sides]:
        x, guess, h = self.problem.law(psi, self.points)
        z = inverse(psi, x.points, guess if start is None or h is not None else start, 0.1 * INVERSE_TOL)
        return x, Sides(psi, self.problem.reference, self.points, Nodes(z, x.weights), h)

    def last_look(self, state: ExplicitState) -> Outcome:
        """Of the state that a run ends with: whether the points come to the reference."""
        return self.problem.reached(state.psi)

    def potential(self, state: ExplicitState) -> Array:
        """The parameters, less those of the start."""
        return state.psi.params - self.first.params

    def advance(self, state: ExplicitState, until: float) -> ExplicitState:
        """One step; the last state stays where convexity would be lost."""
        eta = self.schedule(state.k)
        ratio = self.estimator.ratio(state.sides)
        new = state.psi.moved(-eta * ratio.c)
        z = inverse(new, state.x.points, state.sides.z.points, 0.1 * INVERSE_TOL)
        lost = CONVEXITY_LOST.advising(
            f"step {state.k} with η={eta:.3g} made D²ψ indefinite: shorter steps, a smaller family, or ImplicitSampler"
        )
        if not np.isfinite(z).all():
            return replace(state, outcome=lost)
        low = min(least_curvature(new, points) for points in (self.points.points, z))
        if not low > 0:
            return replace(state, outcome=lost)
        record = _inequality_record(state, ratio, new, z, eta, low)
        certificate = state.certificate + eta * record["lower_slack"]
        record |= {"certificate": certificate}
        if record["bregman_drop"] < -ALLOWED * eta * record["error"]:
            advice = f"step {state.k} with η={eta:.3g} raised the Bregman divergence of the samples: take shorter steps"
            return replace(state, outcome=NO_DESCENT.advising(advice))
        t = state.t + eta
        t = until if abs(t - until) <= 1e-9 * until else t
        x, sides = self._sides(new, z)
        return ExplicitState(state.k + 1, t, new, x, sides, REACHED, record, certificate)


def _inequality_record(
    state: ExplicitState, ratio: Ratio, new: Parametric, moved: Array, eta: float, low: float
) -> dict[str, float]:
    """Both sides of the evolution variational inequality on the points of both laws."""
    psi, x, y, z = state.psi, state.x, state.sides.y, state.sides.z
    at_y, at_z = ((values(psi, p) - values(new, p)) / eta for p in (y.points, z.points))
    slopes = (pushed(psi, z.points) - pushed(new, z.points)) / eta
    conjugate, after = (
        np.sum(x.points * at, axis=1) - values(potential, at) for potential, at in ((psi, z.points), (new, moved))
    )
    drop = eta * y.mean(at_y) + z.mean(conjugate - after)
    pairing = y.mean(at_y) - z.mean(at_z)
    remainder = eta / (2 * low) * z.mean(np.sum(slopes**2, axis=1))
    told = evidence(ratio.at_y, y)
    return {
        "eta": eta,
        "kl": told["kl"] if state.sides.h is not None else float(y.mean(ratio.at_y)),
        "reverse_kl": told["reverse_kl"] if state.sides.h is not None else -float(z.mean(ratio.at_z)),
        "bregman": float(y.mean(values(psi, y.points)) + z.mean(conjugate)),
        "ess": told["ess"],
        "log_z": told["log_z"],
        "min_hessian": low,
        "pairing": float(pairing),
        "error": float(np.hypot(_error(at_y, y), _error(at_z, z))),
        "remainder": float(remainder),
        "bregman_drop": float(drop),
        "lower_slack": float(drop / eta - pairing + remainder),
        "upper_slack": float(pairing - drop / eta),
    }


def _error(values: Array, nodes: Nodes) -> float:
    """Standard error of the weighted mean of independent points."""
    return float(np.sqrt(np.sum(nodes.weights**2 * (values - nodes.mean(values)) ** 2)))
