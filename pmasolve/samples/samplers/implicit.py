"""Samplers by damped Gauss–Newton steps: `ImplicitSampler`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from ...machine.arrays import Array, having, integer, keep_integers, number
from ...machine.speaking import count
from ...problems.outcomes import NO_DESCENT, OVERFITTING, REACHED, STOPPED_EARLY, Outcome
from ...problems.times import admit_multiples
from .laws import damped
from .log_sums import LogSumExp
from .modes import ENOUGH_KL
from .objectives import GaussNewtonObjective, Measured
from .overfitting import SMALLER
from .parameters import Parameters
from .potentials import Family, Given, Parametric
from .readings import OnReference
from .reference import Reference
from .units import Unit

FIRST_DAMPING, WEAKEST_DAMPING = 0.1, 1e-6
GROWTH, SHRINK = 2.0, 0.2  # of the damping, after Nielsen
ACCEPTED_SHARE = 1e-3  # of the decrease that the quadratic model promises
TRIALS = 14
CALM = 3  # steps in a row that lower the objective by less than rtol: damped ones may be short
STAGE = 15  # steps at a temperature on the way
START_NODES, NODES_PER_PARAMETER, MOST_NODES = 4096, 80, 16384
# Held-out likelihood: so often in a row worse than the best, by errors, or nats
RISES, WORSE_DEVIATIONS, WORSE_LIKELIHOOD = 2, 3.0, 0.1


class Fitted(Given, Protocol):
    """A problem with objectives: `SampleProblem`, `Posterior`."""

    @property
    def reference(self) -> Reference:
        """e^{−g}."""
        ...

    @property
    def unit(self) -> Unit:
        """In which the flow works."""
        ...

    def seen(self, seed: int) -> Given:
        """In that unit, without what is held out: what the start of a family may know."""
        ...

    def admit(self, count: int) -> None:
        """Refuse so many parameters."""
        ...

    def objectives(self, count: int, seed: int) -> tuple[GaussNewtonObjective, ...]:
        """What is lowered, one after the other."""
        ...

    def verdict(self, psi: Parametric, record: Mapping[str, float], enough: float) -> Outcome:
        """Of a potential at rest."""
        ...

    def reached(self, psi: Parametric) -> Outcome:
        """Of the potential that a run ends with."""
        ...


@dataclass(frozen=True, eq=False)
class ImplicitState:
    """A potential, the damping of the next step, and the best potential by held-out points."""

    t: float
    stage: int
    here: Measured
    damping: float
    growth: float = GROWTH
    steps: int = 0
    best: Measured | None = None
    best_steps: int = 0
    rises: int = 0
    calm: int = 0
    done: bool = False
    outcome: Outcome = REACHED
    record: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ImplicitSampler:
    """Linearly implicit steps of the Monge–Ampère flow, with ever longer steps: Gauss–Newton on the likelihood or on KL.

    A step solves (F + λD)δ = −∇E: E = −mean log ρ_θ(x_i) for data, KL(ρ_θ|μ) for a posterior, F the Fisher matrix of ρ_θ =
    (∇ψ_θ)_# e^{−g}, D its diagonal blocks (an anchor with its offset), λ the damping, which falls while the model predicts the
    decrease and grows where it does not.

    This is not the algorithm of Deb and Liang, and none of their rates covers it.  It is the linearly implicit Euler step of the
    same flow ∂_tψ = −h, h = log(ρ/μ)∘∇ψ: with L the generator e^g div(e^{−g}(D²ψ)⁻¹∇·), h moves by −Lδ, so that (1/η − L)δ = −h;
    tested with −L∂_θψ, this is (A/η + F)δ = −∫∇∂_θψ·(D²ψ)⁻¹∇h dπ, whose right side is the slope of the likelihood by one
    integration by parts.  Damping by D in place of A/η is what is used, since it was better.

    Parameters
    ----------
    problem : `SampleProblem` or `Posterior`.
    family : of potentials; `LogSumExp` unless given.
    seed : of the start and of the points that are held out.
    rtol : the run is at rest once three steps in a row lower the objective by less than this (nats).
    enough : KL (nats) up to which a posterior's run at rest counts as reached; ∞ for any.

    Raises
    ------
    ValueError : points in place of a problem; more parameters than points; times that are not whole numbers of steps.

    Notes
    -----
    Data are taken about their mean and over their spread, so that the law found from a·x + b is that from x, moved and scaled, to
    roundings; parameters of states are in that unit.  Scaling coordinates one by one gives another law: gradients do not commute
    with it.
    t counts steps; at rest, the flow reaches every later time without further ones.  Records of data: ``nll``, ``held_out``,
    ``min_hessian``; of posteriors ``kl``, ``reverse_kl``, ``log_z``, ``ess``, ``min_hessian``; of both ``damping``, ``drop``.
    Where the likelihood of held-out points is worse than its best by three standard errors or 0.1 nats twice in a row, the best is
    kept, and the end is "stopped early".  Any end is "overfitting", which is not ok, where a normal law is as good: by held-out
    points if these are clear, else by fitted ones, of which a law with p numbers for n points is flattered by p/(n − p − 1) nats.
    Other ends that are not ok: "no descent"; of data "reference not reached", at rest or not (∇ψ* carries the points off the
    reference, so that at least 5 % of the samples are misplaced); of a posterior at rest "modes missed" (as in `Sampler.evidence`),
    "low ess" (importance samples are worth less than a tenth), "large kl".
    Cost: one step np² + p³/3 operations for n points and p parameters, and some 50 nm exponentials for the inverses.

    Examples
    --------
    >>> from pmasolve import LogSumExp, SampleProblem, as_sampler, evolve
    >>> rng = np.random.default_rng(1)
    >>> problem = SampleProblem(rng.standard_normal((400, 1)) + 3 * (rng.random((400, 1)) < 0.5))
    >>> flow = ImplicitSampler(problem, LogSumExp(4))
    >>> run = evolve(flow, flow.times(20)[-1:])
    >>> as_sampler(run).sample(5, seed=0).shape
    (5, 1)
    """

    problem: Fitted
    family: Family = field(default=LogSumExp())
    seed: int = field(default=0, kw_only=True)
    rtol: float = field(default=1e-4, kw_only=True)
    enough: float = field(default=ENOUGH_KL, kw_only=True)

    def __post_init__(self) -> None:
        having(self.problem, "objectives", "problem", "give SampleProblem(points), or Posterior(f, grad_f, d)")
        having(self.family, "started", "family", "give LogSumExp()")
        keep_integers(self, seed=0)
        if not 0 < number(self.rtol, "rtol") < np.inf:
            raise ValueError(f"rtol={self.rtol}: give a positive number of nats, for example 1e-4")
        if not number(self.enough, "enough") > 0:
            raise ValueError(f"enough={self.enough}: give a positive KL in nats, for example 0.05, or inf")
        self.problem.admit(self.first.free)

    @cached_property
    def first(self) -> Parametric:
        """ψ_0, the start of the family."""
        return self.family.started(self.problem.seen(self.seed), self.seed)

    @cached_property
    def states(self) -> Parameters:
        """Parameters, in place of a grid."""
        return Parameters(self.first.params.size, self.problem.dim)

    @cached_property
    def reading(self) -> OnReference:
        """Maps at points of the reference."""
        return OnReference(self.problem.reference, self.first, self.problem.unit)

    @cached_property
    def _objectives(self) -> tuple[GaussNewtonObjective, ...]:
        wanted = NODES_PER_PARAMETER * self.first.params.size
        return self.problem.objectives(min(max(START_NODES, wanted), MOST_NODES), self.seed)

    def times(self, count: int) -> Array:
        """1, 2, …, count: the steps."""
        return np.arange(1.0, integer(count, "count") + 1)

    def admit(self, times: Array) -> None:
        """Refuse times between steps."""
        admit_multiples(times, 1.0)

    def start(self, initial: Array) -> ImplicitState:
        """The start of the family, moved by the given parameters."""
        return self._state(initial, 0.0, 0)

    def resume(self, potential: Array, t: float) -> ImplicitState:
        """A potential of this flow, with the first damping; a tempered run goes on at the last temperature."""
        return self._state(potential, t, len(self._objectives) - 1)

    def _state(self, u: Array, t: float, stage: int) -> ImplicitState:
        here = self._objectives[stage].measured(self.first.placed(self.first.params + u), None)
        if not np.isfinite(here.value):
            raise ValueError(
                "initial: the potential of these parameters is not convex, or sends no point to some of the data"
            )
        return ImplicitState(t, stage, here, FIRST_DAMPING, best=here)

    def potential(self, state: ImplicitState) -> Array:
        """The parameters, less those of the start."""
        return state.here.psi.params - self.first.params

    def advance(self, state: ImplicitState, until: float) -> ImplicitState:
        """One step that lowers the objective; at rest none."""
        if state.done:
            return replace(state, t=until)
        objective = self._objectives[state.stage]
        new, damping, growth = self._step(objective, state)
        last = state.stage + 1 == len(self._objectives)
        drop = state.here.value - new.value
        record = {**objective.record(new), "damping": damping, "drop": drop}
        calm = state.calm + 1 if drop < self.rtol else 0
        rest = drop == 0.0 or calm >= CALM
        after = replace(
            state,
            t=state.t + 1,
            calm=calm,
            here=new,
            damping=damping,
            growth=growth,
            steps=state.steps + 1,
            record=record,
        )
        if not last and (rest or after.steps >= STAGE):
            there = self._objectives[state.stage + 1].measured(new.psi, None)
            return replace(
                after,
                stage=state.stage + 1,
                here=there,
                best=there,
                steps=0,
                calm=0,
                damping=FIRST_DAMPING,
                growth=GROWTH,
            )
        return self._judged(after, rest and last)

    def last_look(self, state: ImplicitState) -> Outcome:
        """Of the state that a run ends with, where it is not at rest."""
        return REACHED if state.done else self._unless_normal(state, self.problem.reached(state.here.psi))

    def _unless_normal(self, state: ImplicitState, outcome: Outcome) -> Outcome:
        """The outcome, or "overfitting" where a normal law is as good."""
        told = self._objectives[state.stage].against(state.here) if outcome.ok else ""
        return OVERFITTING.advising(f"{told}: {SMALLER}") if told else outcome

    def _step(self, objective: GaussNewtonObjective, state: ImplicitState) -> tuple[Measured, float, float]:
        """The potential after a step, or the one before where none lowers the objective; damping and its growth."""
        here, damping, growth = state.here, state.damping, state.growth
        slope, F = objective.slope(here), objective.curvature(here)
        D = damped(F, here.psi)
        for _ in range(TRIALS):
            delta = -np.linalg.solve(F + damping * D, slope)
            promised = -(slope @ delta) - 0.5 * delta @ F @ delta
            new = objective.measured(here.psi.moved(delta), here)
            gain = (here.value - new.value) / promised if np.isfinite(new.value) else -1.0
            if gain > ACCEPTED_SHARE:
                return new, max(damping * max(SHRINK, 1 - (2 * gain - 1) ** 3), WEAKEST_DAMPING), GROWTH
            damping, growth = damping * growth, growth * GROWTH
        return here, damping, growth

    def _judged(self, state: ImplicitState, rest: bool) -> ImplicitState:
        """Whether to go on: rest, overfitting, few effective samples, no descent at the first step."""
        if rest and state.steps == 1 and state.here.value > -np.inf and state.record["drop"] == 0.0:
            advice = "no step from the start lowers the objective: take another family, seed or start"
            return replace(state, done=True, outcome=NO_DESCENT.advising(advice))
        state = _compared(state)
        if state.rises >= RISES:
            return replace(state, here=state.best, done=True, outcome=self._kept(state))
        if not rest:
            return replace(state, outcome=REACHED)
        outcome = self.problem.verdict(state.here.psi, state.record, self.enough)
        return replace(state, done=True, outcome=self._unless_normal(state, outcome))

    def _kept(self, state: ImplicitState) -> Outcome:
        """Of the best potential by held-out points: whether it is better than a normal law."""
        if told := self._objectives[state.stage].against(state.best):
            return OVERFITTING.advising(f"at its best {told}: {SMALLER}")
        found = float(np.mean(state.best.held))
        return STOPPED_EARLY.advising(
            f"the potential after {state.best_steps} of {count(state.steps, 'step')} is kept, with {found:.3f} nats a held-out "
            f"point, which the further ones made less likely: {SMALLER}"
        )


def _compared(state: ImplicitState) -> ImplicitState:
    """The state with the best potential by held-out points, and how often in a row it was clearly better than this one."""
    here, best = state.here, state.best
    if not here.held.size or best is None:
        return state
    worse = here.held - best.held
    mean, error = float(np.mean(worse)), float(np.std(worse)) / np.sqrt(worse.size)
    if mean <= 0:
        return replace(state, best=here, best_steps=state.steps, rises=0)
    return replace(state, rises=state.rises + 1 if mean > min(WORSE_DEVIATIONS * error, WORSE_LIKELIHOOD) else 0)
