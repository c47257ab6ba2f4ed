"""The JKO scheme learned from samples, one block a step: `JKOSampler`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ...flows.schedules import ConstantSteps, StepSizes, checked_schedule, step_of, steps_until, times_of
from ...machine.arrays import Array, having, keep_integers
from ...machine.speaking import count
from ...problems.outcomes import NOT_FINITE, OVERFITTING, REACHED, STOPPED_EARLY, Outcome
from ..samplers.parameters import Parameters
from ..samplers.posteriors import Posterior
from ..samplers.problems import SampleProblem
from ..samplers.verdicts import against_normal, verdict, within
from .blocks import Block, BlockFamily, ConvexBlocks, log_det_of
from .chain import ChainSampler
from .gradients import exact_gradient

LEAST_HELD = 10  # points
LOOKED = 1024  # points of the reference, whose preimages a verdict asks for


@dataclass(frozen=True, eq=False)
class CarriedPoints:
    """Points on their way: where they are, the log-determinants so far, and ∇log p_k there if it is known."""

    x: Array = field(repr=False)
    logs: Array = field(repr=False)
    score: Array | None = field(default=None, repr=False)

    def by(self, block: Block) -> CarriedPoints:
        """One block further: ∇log p_{k+1}(T(x)) = DT(x)⁻ᵀ(∇log p_k(x) − ∇log det DT(x))."""
        after = CarriedPoints(block.image(self.x), self.logs + log_det_of(block, self.x))
        if self.score is None:
            return after
        rest = self.score - block.log_det_slope(self.x)
        turned = np.swapaxes(block.jacobian(self.x), 1, 2)
        return replace(after, score=np.linalg.solve(turned, rest[:, :, None])[:, :, 0])


@dataclass(frozen=True, eq=False)
class JKOSamplerState:
    """The blocks so far, and where they carry the points that are fitted and those that are not."""

    t: float
    blocks: tuple[Block, ...]
    fitted: CarriedPoints
    held: CarriedPoints
    outcome: Outcome = REACHED
    record: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class JKOSampler:
    """The JKO scheme from data to a normal law q, learned block by block.

    p_{k+1} = (T_k)_# p_k nearly minimises KL(·|q) + W₂²(·, p_k)/2γ_k.

    Block k minimises E[V(T(x))] − E[log det DT(x)] + E|T(x) − x|²/2γ_k over a family of maps, V = −log q, x the samples carried by
    the blocks before: by a convex programme (`ConvexBlocks`, no torch) or by training a network (`samples.neural`).  A block that
    does not lower the KL of held-out points is not kept, and ends the run.

    Parameters
    ----------
    problem : `SampleProblem`; its reference is q, its held-out points are what stops the run.
    family : of blocks.
    schedule : γ_k: `ConstantSteps`, `GrowingSteps`, or any function; t is the sum of the steps taken.
    most : blocks, at most.
    density : the data's own law with f normalised, a `Posterior`, where it is known: then KL and the exact gradients are recorded.
    tries : blocks drawn anew where one does not lower the KL of held-out points, before the run ends.
    seed : of the points that are held out and of the blocks.

    Raises
    ------
    ValueError : fewer than ten held-out points; more numbers in a convex block than different points; times that are not sums of
        the first steps, or of more than ``most``.

    Notes
    -----
    Records of a block: ``gamma``; ``nll`` of the fitted points and ``held_out`` of the others, which are KL(p_k|q) plus the entropy
    of the data, and of which ``held_out`` never rises; ``moved`` = E|T(x) − x|², W₂² between the points before and after if T is a
    gradient; ``stretch``, a bound below on |DT v|/|v| at every point (0: none is known); ``inversion``, the error of the inverse
    of all blocks at held-out points; what the family tells.  With a density also ``kl``, ``held_kl`` and ``gradient``, the exact
    norm of the Wasserstein gradient of the step's objective at p_{k+1}, with T⁻¹ for the optimal map, and ``gradient_median``.
    A block that does not lower ``held_out`` is not kept, and ends the run: "stopped early", which is ok, or "overfitting" where the
    chain before it is no good.  That is asked of the last chain of every run, which may end with "reference not reached" (points
    that were fitted are told from the reference, so that at least 5 % of the samples are misplaced), "overfitting" (points held out
    are less likely than by a normal law, or some samples lie ten times as far from the mean as any of the data: blocks that stretch
    by ``least`` alone beyond the data have inverses that stretch by its inverse, each) or "not finite" (an overflow, or points of
    the reference without a preimage).
    The scheme and its networks: Xu, Cheng, Xie, Normalizing flow neural networks by JKO scheme, arXiv 2212.14424; Cheng, Lu, Tan,
    Xie, arXiv 2310.17582.  The convex programme and the stop rule were made for this package.

    Examples
    --------
    >>> from pmasolve import SampleProblem, as_chain, evolve
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((800, 1)) * 0.4 + rng.choice([-2.0, 2.0], (800, 1))
    >>> flow = JKOSampler(SampleProblem(x), ConvexBlocks(30))
    >>> run = evolve(flow, flow.times(12)[-1:], throw=False)
    >>> bool((np.diff(run.records["held_out"]) <= 0).all()), bool(run.records["held_out"][-1] < 1.5)
    (True, True)
    """

    problem: SampleProblem
    family: BlockFamily = field(default=ConvexBlocks())
    schedule: StepSizes = field(default=ConstantSteps(1.0))
    most: int = field(default=30, kw_only=True)
    density: Posterior | None = field(default=None, kw_only=True)
    tries: int = field(default=3, kw_only=True)
    seed: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        keep_integers(self, seed=0, tries=1, most=1)
        checked_schedule(self.schedule)
        having(self.problem, "held", "problem", "give SampleProblem(data)")
        if (held := len(self._split()[1])) < LEAST_HELD:
            raise ValueError(
                f"{held} held-out points: they are what stops the run, so give at least {LEAST_HELD}, by "
                "SampleProblem(data, held_out=0.1) of more points or a larger share; copies of one point stay together"
            )
        density = "give the data's Posterior(f, grad_f, d), or None"
        if self.density is not None and having(self.density, "grad_f", "density", density).dim != self.problem.dim:
            raise ValueError(f"density in {self.density.dim} dimensions, data in {self.problem.dim}: they must agree")
        having(self.family, "fitted", "family", "give ConvexBlocks()").admit(self.problem)

    @cached_property
    def states(self) -> Parameters:
        """Rows of numbers, one for each block that may come."""
        return Parameters(self.most * self.family.size(self.problem.dim), self.problem.dim, "a chain")

    @cached_property
    def reading(self) -> OnPoints:
        """Maps at points of the reference."""
        return OnPoints(self)

    def times(self, count: int) -> Array:
        """γ_0, γ_0 + γ_1, …: the times of the first ``count`` blocks, the ones that can be asked for."""
        return times_of(self.schedule, count)

    def admit(self, times: Array) -> None:
        """Refuse times that no block has."""
        for t in times:
            if (k := steps_until(self.schedule, float(t))) > self.most:
                raise ValueError(f"t={t:g} takes {k} blocks, and there are at most {self.most}: give most={k}")

    def chain(self, rows: Array) -> tuple[Block, ...]:
        """The blocks of a state's numbers: rows up to the first one of zeros."""
        table = rows.reshape(self.most, -1)
        count = int(np.argmin(np.append(table.any(axis=1), False)))
        return tuple(self.family.block(row, self.problem.dim) for row in table[:count])

    def resume(self, potential: Array, t: float) -> JKOSamplerState:
        """The blocks of ``potential``, and the points where they carry them."""
        sides = [self._begun(part) for part in self._split()]
        blocks = self.chain(potential)
        for block in blocks:
            sides = [side.by(block) for side in sides]
        return JKOSamplerState(t, blocks, *sides)

    def _split(self) -> tuple[Array, Array]:
        """Points that are fitted, and those that are held out."""
        fitted, held = self.problem.split(self.seed)
        return self.problem.data[fitted], self.problem.data[held]

    def _begun(self, x: Array) -> CarriedPoints:
        score = None if self.density is None else -np.asarray(self.density.grad_f(x))
        return CarriedPoints(x, np.zeros(len(x)), score)

    def potential(self, state: JKOSamplerState) -> Array:
        """Rows of all blocks, zeros for those that have not come."""
        out = np.zeros(self.states.shape)
        if state.blocks:
            rows = np.concatenate([block.row for block in state.blocks])
            out[: len(rows)] = rows
        return out

    def advance(self, state: JKOSamplerState, until: float) -> JKOSamplerState:
        """One block; the state stays where none is kept."""
        gamma, before = step_of(self.schedule, len(state.blocks)), self._likelihood(state.held)
        outcome = REACHED
        for attempt in range(self.tries):
            block, told = self._fitted(state, gamma, attempt)
            fitted, held = state.fitted.by(block), state.held.by(block)
            after = self._likelihood(held)
            if np.isfinite(self._likelihood(fitted)) and after < before:
                t = state.t + gamma
                t = until if abs(t - until) <= 1e-9 * until else t
                record = {"gamma": gamma, **told, **self._record(state, block, fitted, held, gamma)}
                return JKOSamplerState(t, (*state.blocks, block), fitted, held, REACHED, record)
            outcome = self._refused(state, before, after, fitted)
        return replace(state, outcome=outcome)

    def last_look(self, state: JKOSamplerState) -> Outcome:
        """Of the chain that a run ends with.

        Whether the points that were fitted come to the reference, those held out are no less likely than by a normal law, and the
        reference has preimages, none of them far from all data.
        """
        nu, chain = self.problem.reference, ChainSampler(state.blocks, self.problem.reference)
        samples = chain._back(nu.sobol(LOOKED).points)
        lost = int(np.count_nonzero(~np.isfinite(samples).all(axis=1)))
        if lost:
            return NOT_FINITE.advising(f"no inverse was found at {lost} of {LOOKED} points: take shorter steps")
        x, held = self._split()
        looked = verdict(state.fitted.x, nu), against_normal(held, x, nu.log_density(state.held.x) + state.held.logs)
        return next((found for found in (*looked, within(self.problem.data, samples)) if not found.ok), REACHED)

    def _fitted(self, state: JKOSamplerState, gamma: float, attempt: int) -> tuple[Block, Mapping[str, float]]:
        words = np.random.SeedSequence([self.seed, len(state.blocks), attempt])
        seed = int(words.generate_state(1)[0])
        return self.family.fitted(state.fitted.x, state.held.x, self.problem.reference, gamma, seed)

    def _refused(self, state: JKOSamplerState, before: float, after: float, fitted: CarriedPoints) -> Outcome:
        """Why the next block is not kept, which is no fault where the chain before it stands up to a look."""
        k = len(state.blocks)
        if not np.isfinite(self._likelihood(fitted)):
            return NOT_FINITE.advising(
                f"block {k + 1} folds space or overflows at points that were fitted: take shorter steps"
            )
        told = (
            f"block {k + 1} did not lower the KL of held-out points ({after:.4f} after {before:.4f}); "
            f"{count(k, 'block')} before it kept"
        )
        found = self.last_look(state)
        return STOPPED_EARLY.advising(told) if found.ok else OVERFITTING.advising(f"{told}, but {found.advice}")

    def _likelihood(self, side: CarriedPoints) -> float:
        """Minus the mean log-likelihood of the points as they were at the start."""
        return -float(np.mean(self.problem.reference.log_density(side.x) + side.logs))

    def _record(
        self, state: JKOSamplerState, block: Block, fitted: CarriedPoints, held: CarriedPoints, gamma: float
    ) -> dict[str, float]:
        chain = ChainSampler((*state.blocks, block), self.problem.reference)
        record = {
            "nll": self._likelihood(fitted),
            "held_out": self._likelihood(held),
            "moved": float(np.mean(np.sum((fitted.x - state.fitted.x) ** 2, axis=1))),
            "stretch": block.stretch,
            "inversion": chain.inversion_error(held.x),
        }
        if self.density is None or fitted.score is None:
            return record
        f, f_held = (np.asarray(self.density.f(part)) for part in self._split())
        squares = np.sum(exact_gradient(state.fitted.x, fitted.x, fitted.score, self.problem.reference, gamma) ** 2, 1)
        return record | {
            "kl": record["nll"] - float(np.mean(f)),
            "held_kl": record["held_out"] - float(np.mean(f_held)),
            "gradient": float(np.sqrt(np.mean(squares))),
            "gradient_median": float(np.sqrt(np.median(squares))),
        }


@dataclass(frozen=True, eq=False)
class OnPoints:
    """Readings of a chain's numbers: maps at 1024 points of the reference.

    Parameters
    ----------
    flow : what made them.
    """

    flow: JKOSampler

    def _chain(self, u: Array) -> tuple[ChainSampler, Array]:
        nu = self.flow.problem.reference
        return ChainSampler(self.flow.chain(u), nu), nu.sobol(1024).points

    def map(self, u: Array, v: Array | None = None) -> Array:
        """T⁻¹ at the points, (1024, d)."""
        chain, points = self._chain(u)
        return chain._back(points)

    def log_density(self, u: Array) -> Array:
        """log ρ at the points, (1024,)."""
        chain, points = self._chain(u)
        image, logs = chain._carried(points)
        return chain.reference.log_density(image) + logs
