"""Sinkhorn's alternating iteration in logarithms, as a flow: one iteration is one time step of length ε.

    ψ_k(y) = ε log ∫exp((x·y − φ_{k−1}(x))/ε − f(x)) dx,      φ_k(x) = ε log ∫exp((x·y − ψ_k(y))/ε − g(y)) dy.

With φ = |x|²/2 + u and ψ = |y|²/2 + v the exponent becomes −|x−y|²/2ε − u/ε − f, and |x−y|² is periodised.  The iterates are exact:
no damping, no stopping rule, no re-centring.  They follow PMA to first order in ε, and to second order in the
symmetric gauge χ = φ + (ε/2)f (Berman, arXiv 1712.03082; Deb, Kim, Pal, Schiebinger, arXiv 2307.16421), and in the self gauge
χ = φ − u_ff, where u_ff = −(ε/2)f + O(ε²) is the source's self-potential (`self_potential`): samples have it too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ..calculus.operators import Fourier, Space
from ..flows.reading import OPERATORS, Seen
from ..flows.trajectories import ErrorEstimate, Trajectory
from ..machine.arrays import Array, having, positive
from ..problems.divergences import Divergence
from ..problems.objectives import KL
from ..problems.outcomes import NOT_FINITE, REACHED, Outcome
from ..problems.problem import Problem, checked
from ..problems.times import admit_multiples
from .estimates import by_halving
from .gauges import GAUGE_REMEDY, PLAIN, Gauge, gauged
from .potentials import Potential, half_step
from .readings import IterateReading, reading, resolution_outcome
from .self_potential import Debiased, SelfPotential, self_potential
from .softmin.default import default_engine
from .softmin.protocol import Kernel, Softmin
from .steps import SinkhornStep


@dataclass(frozen=True, eq=False)
class SinkhornState:
    """φ_k and the half step ψ_k before it (None at the start), as u and v."""

    k: int
    t: float
    u: Array
    v: Array | None
    outcome: Outcome = REACHED
    record: Mapping[str, float] = field(default_factory=dict)
    steepest: float = 0.0  # greatest (η/ε)h′ of all steps so far


DIGITS = 2.0**-53  # of the squared extent: rounding of the largest cost


@dataclass(frozen=True, eq=False)
class Sinkhorn:
    """Exact Sinkhorn iterates on a grid or on clouds of points, φ_k at t = kε; and their relatives φ + η h((S_ε φ − φ)/ε), t = kη.

    Parameters
    ----------
    problem : densities on a torus or a box, or weighted samples (`Problem.from_samples`).
    eps : regularisation ε > 0 for the cost ½|x−y|², which is also the time step (for the cost |x−y|² it is half of its ε).
    gauge : `PLAIN`, `SYMMETRIC`, `SELF` or `FORWARD`; for samples, whose f is not known, `PLAIN` or `SELF`.
    objective : what falls, and so h: the iterates follow ∂ₜφ = h(A(φ)), as `MongeAmpere` with this objective, to first order in
        ε.  `KL()`, for which h(s) = s, `AlphaDivergence`, `JensenShannon()`, `Entropy()` (for densities), `Relaxed`, `Objective`.
    step : η, 0 < η ≤ ε, the time step; ε unless given.  Towards 0 it is `SinkhornFlow`.
    softmin : the engine of the log-sums; unless given `softmin.Separable()` on grids, `softmin.Blockwise()` on clouds.
    space : derivatives of potentials on grids, for maps, densities and the test of resolution; clouds use conditional means.
    quadrature : largest relative quadrature error exp(−2π²ε/(h² max(φ″, 1/φ″))) accepted; where the start or a requested
        iterate exceeds it, the run ends with an outcome that names the least ε the grid resolves.  1 accepts all, and asks
        nothing of the mass of ρ; clouds are what they are and have no such test.

    Raises
    ------
    ValueError : ε that is not positive and finite, or below 2⁻⁵³ of the squared extent; a gauge that needs f for a problem made of
        samples; a step that is not in (0, ε]; a gauge other than `PLAIN` with another objective or step, for which it is wrong.

    Notes
    -----
    Records of each step: ``marginal_error`` = ∫|p_X − e^{−f}| with p_X = e^{−f} exp((S_ε φ_{k−1} − φ_{k−1})/ε), ``mass`` = ∫p_X (1
    up to rounding), ``value`` = F(p_X), ``fastest`` and ``slowest`` the sup and inf of (φ_k − φ_{k−1})/η, which decrease and
    increase with k, ``speed`` its distance from its mean; for another objective or step also ``steepest``, the greatest (η/ε)h′.
    Where that is at most 1 steps do not expand sup distances; up to 2 they are stable, and the outcome says so; beyond, the run
    ends with "unstable step" and the step that is safe.  Their half step ``v`` is that of φ_k itself: on clouds the map is the
    plan's, E[y|x] = ∇S_ε(φ_k), as φ_k is known at the nodes only.
    What is returned is looked at: a map x + ∇u that folds, as φ_k + (ε/2)f may where ε is large, ends the run with the outcome
    "convexity lost", a density whose mass on the grid is off by 5 % with "unresolved", both with an ε or a gauge that works.
    Rounding of a potential limits every log-sum to about osc(u)/ε · 10⁻¹⁶.
    `SELF` solves for u_ff once, by some 25 half steps of the source with itself; their number is in ``report``, and what they left.
    Cost: two log-sum passes of the engine for each axis and iteration; on clouds two passes over all pairs of points, less what
    `Blockwise` can skip.  Memory: a few arrays of the nodes.

    Examples
    --------
    >>> from pmasolve import CHI_SQUARED, Problem, Torus, evolve
    >>> problem = Problem(Torus((64,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> evolve(Sinkhorn(problem, 1e-3), times=[0.01]).records["t"].size
    10
    >>> run = evolve(Sinkhorn(problem, 1e-3, step=5e-4, objective=CHI_SQUARED), times=[0.01])
    >>> run.records["t"].size, bool(run.records["value"][-1] < run.records["value"][0])
    (20, True)
    """

    problem: Problem
    eps: float = None  # type: ignore[assignment]  # refused, with where to find one
    gauge: Gauge = field(default=PLAIN, kw_only=True)
    objective: Divergence = field(default=KL(), kw_only=True)
    step: float | None = field(default=None, kw_only=True)
    softmin: Softmin | None = field(default=None, kw_only=True)
    space: Space = field(default=Fourier(), kw_only=True)
    quadrature: float = field(default=1e-12, kw_only=True)

    def __post_init__(self) -> None:
        positive(self.quadrature, "quadrature", "the relative error", "1e-12, or 1 to accept any")
        having(self.gauge, "needs_density", "gauge", GAUGE_REMEDY)
        if self.softmin is not None:
            having(self.softmin, "bind", "softmin", "give an engine, as Blockwise() or Separable(), or None")
        if self.eps is None:
            raise ValueError(
                "eps=None: for samples choose_eps(problem) finds it, with the gauge; for densities take what the grid "
                "resolves, for example 1e-3, and look at error_estimate()"
            )
        positive(self.eps, "eps", "the regularisation")
        least = DIGITS * checked(self.problem, shared=True).extent ** 2
        if self.eps < least:
            raise ValueError(
                f"eps={self.eps:.3g}: costs over ε have no digits left after the point; take at least {least:.3g}"
            )
        self.stepping.admit_gauge(self.gauge)
        if not self.gauge.needs_density:
            return
        if not self.problem.has_densities:
            raise ValueError(
                f"gauge={self.gauge.name!r} adds multiples of f, and samples carry weights but no density e^(−f): "
                "use gauge=SELF, of order 2 without them, or gauge=PLAIN, or estimate the densities on a grid and use "
                "Problem.from_densities"
            )
        self.problem.need_positive(f"the gauge {self.gauge.name!r}")

    @cached_property
    def stepping(self) -> SinkhornStep:
        """The steps φ ← φ + η h((S_ε φ − φ)/ε) of this flow."""
        return SinkhornStep(self.problem, self.eps, self.eps if self.step is None else self.step, self.objective)

    @cached_property
    def kernel(self) -> Kernel:
        """The engine bound to the nodes of both sides and to ε."""
        source, target = self.problem.domain, self.problem.codomain
        return (self.softmin or default_engine(source, target)).bind(source, target, self.eps)

    @property
    def report(self) -> Mapping[str, float | int | str]:
        """What ran since this flow was made, also in `Trajectory.provenance`: ``engine``, its passes and its certificates.

        On grids passes by matrix products and by tiles, ``splits`` of tiles and their ``least_bits`` (certified above −929);
        on clouds the pairs, and how many of them were summed; see the engines.  In the self gauge also ``self_half_steps`` and
        ``self_accuracy``, the residual of u_ff over ε.
        """
        if not self.gauge.needs_own:
            return self.kernel.report
        return {
            **self.kernel.report,
            "self_half_steps": self.own.half_steps,
            "self_accuracy": self.own.accuracy,
        }

    @cached_property
    def own(self) -> SelfPotential:
        """u_ff, the self-potential of the source at this ε."""
        return self_potential(checked(self.problem).mu, self.eps, self.softmin)

    @cached_property
    def own_target(self) -> SelfPotential:
        """v_gg, the self-potential of the target at this ε."""
        return self_potential(checked(self.problem).nu, self.eps, self.softmin)

    def function(self, v: Array) -> Potential | Debiased:
        """What is returned as a function of any points, from the half step v before it; with another objective or step S_ε(φ_k).

        Raises
        ------
        ValueError : a gauge that returns multiples of f, which is known at the nodes.
        """
        return gauged(self.gauge, Potential(checked(self.problem).nu, v, self.eps), lambda: self.own)

    def inverse(self, u: Array) -> Potential | Debiased:
        """The half step after φ = |x|²/2 + u as a function of any y, in this gauge: ψ + q v_gg, whose map goes back from y to x."""
        return gauged(self.gauge, Potential(checked(self.problem).mu, u, self.eps), lambda: self.own_target)

    operators = OPERATORS

    @cached_property
    def reading(self) -> IterateReading:
        """``map(u, v)`` and ``log_density(u)`` of a potential on this domain; clouds need v, the half step before u."""
        return reading(self.problem, self.space, self.function)

    def admit(self, times: Array) -> None:
        """Refuse times that are not multiples of the step: rounding k = t/ε would cost a whole order."""
        admit_multiples(times, self.stepping.length, "eps" if self.step is None else "step")

    def start(self, initial: Array) -> SinkhornState:
        """The state at t = 0: φ₀ of the chosen gauge from u₀."""
        seen = self.look(initial).admitted()
        u = self._plus(initial, self.gauge.source, self.gauge.own_source)
        outcome = self.verdict(seen, seen)
        if self.gauge.density:
            u = u + self.eps * self.gauge.density * self.reading.log_density(initial)
        if self.gauge.needs_own and outcome.ok:
            outcome = self.own.outcome
        return SinkhornState(0, 0.0, u, None, outcome)

    def resume(self, potential: Array, t: float) -> SinkhornState:
        """φ_k with k = t/η from what `potential` returned."""
        return SinkhornState(round(t / self.stepping.length), t, self.iterate_of(potential), None)

    def half_step(self, u: Array) -> Array:
        """v with ψ = |y|²/2 + v, from φ = |x|²/2 + u: v = ε log ∫exp(−|x−y|²/2ε − u/ε − f) dx."""
        return half_step(self.kernel.forward, self.problem.mu, u, self.eps)

    def half_step_back(self, v: Array) -> Array:
        """u from v: the second half of an iteration."""
        return half_step(self.kernel.backward, self.problem.nu, v, self.eps)

    def advance(self, state: SinkhornState, until: float) -> SinkhornState:
        """One iteration φ ↦ ψ ↦ φ: two passes of the engine."""
        v = self.half_step(state.u)
        image = self.half_step_back(v)
        taken, k, eta = self.stepping.take(state.u, image), state.k + 1, self.stepping.length
        record = self.stepping.record(taken.change, taken.drive)
        if not self.stepping.whole:
            record["steepest"] = taken.steepest
        if not np.isfinite(record["mass"]):
            return replace(state, outcome=NOT_FINITE, record=record)
        if not taken.outcome.ok:
            return replace(state, outcome=taken.outcome, record=record)
        arrived, steepest, u = k >= round(until / eta), max(state.steepest, taken.steepest), taken.u
        del image, taken  # the look takes some eight arrays
        after = SinkhornState(k, until if arrived else k * eta, u, v, REACHED, record, steepest)
        return replace(after, outcome=self.halted(after)) if arrived else after

    def look(self, u: Array) -> Seen:
        """What is to be seen of a potential that is returned; ``quadrature`` = 1 does not ask for its mass."""
        return self.reading.look(u, mass=self.quadrature < 1)

    def halted(self, state: SinkhornState) -> Outcome:
        """The verdict on φ_k and on what is returned for it, where a run is asked or ends; a remark on steps that expand."""
        returned = self.returned(state.u)
        seen = self.look(returned)
        found = self.verdict(seen if returned is state.u else self.reading.look(state.u, mass=False), seen)
        return self.stepping.remark(state.steepest) if found.ok else found

    def verdict(self, iterate: Seen, returned: Seen) -> Outcome:
        """Whether the nodes resolve ε for φ_k, and what is returned has a map and a density."""
        found = resolution_outcome(iterate, self.eps, self.quadrature)
        return returned.verdict(lambda: self.gauge.remedy(self.eps, iterate.low, returned.low)) if found.ok else found

    def potential(self, state: SinkhornState) -> Array:
        """u of φ_k, or of χ_k in the gauges of order 2."""
        return self.returned(state.u)

    def returned(self, u: Array) -> Array:
        """What this gauge returns for φ_k's u."""
        return self._plus(u, self.gauge.returned, self.gauge.own_returned)

    def iterate_of(self, potential: Array) -> Array:
        """φ_k's u from a potential of this flow's trajectory: takes the gauge off."""
        return self._plus(potential, -self.gauge.returned, -self.gauge.own_returned)

    def log_source_marginal(self, potential: Array) -> Array:
        """log p_Xγ_{k+1} = −f + (φ_{k+1} − φ_k)/ε, the x-marginal of the plan of (φ_k, ψ_{k+1}); log masses on a cloud."""
        u = self.iterate_of(potential)
        return (self.half_step_back(self.half_step(u)) - u) / self.eps + self.problem.mu.log_density

    def log_target_marginal(self, potential: Array) -> Array:
        """log p_Yγ_{k+3/2} = −g + (ψ_{k+2} − ψ_{k+1})/ε, the y-marginal of the plan of (φ_{k+1}, ψ_{k+1})."""
        v = self.half_step(self.iterate_of(potential))
        return (self.half_step(self.half_step_back(v)) - v) / self.eps + self.problem.nu.log_density

    def fields(self, state: SinkhornState) -> Mapping[str, Array]:
        """``v`` of the half step before the potential, ψ_k = |y|²/2 + v on the target nodes; NaN at the start, before any.

        With another objective or step φ_k is no half step's image, and ``v`` is the half step of φ_k, by one more pass.
        """
        if not self.stepping.whole:
            return {"v": self.half_step(state.u)}
        return {"v": np.full(self.problem.codomain.local, np.nan) if state.v is None else state.v}

    def error_estimate(self, trajectory: Trajectory) -> ErrorEstimate:
        """Distance from PMA.  Time: by halving ε, given the order in ε of the gauge.  Space: of the quadrature, at the worst time.

        The quadrature estimate is 2t·exp(−2π²ε/(h² max(φ″, 1/φ″))).  Cost: twice that of the trajectory.
        """
        halved = replace(self, eps=self.eps / 2, step=None if self.step is None else self.step / 2, quadrature=1.0)
        return by_halving(trajectory, self.reading, halved, self.gauge.order)

    def _plus(self, u: Array, f: float, own: float) -> Array:
        """u + ε f·(this factor) + u_ff·(the other)."""
        u = u + self.eps * f * self.problem.f if f else u
        return u + own * self.own.u if own else u
