"""What the theory promises of a JKO chain, in numbers: bounds from the convexity of the reference, γ and the error of the steps.

Cheng, Lu, Tan, Xie, arXiv 2310.17582, for G = KL(·|q), q = e^{−V} with D²V ⪰ λI, 0 < λ ≤ 1, and steps with
‖∂F_{n+1}(p_{n+1})‖ ≤ ε in L²(p_{n+1}), F_{n+1}(p) = G(p) + W₂²(p, p_n)/2γ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...flows.trajectories import Trajectory, followed
from ...machine.arrays import Array, integer, number, positive, real, shown
from .chain import ChainSampler, as_chain
from .flow import JKOSampler
from .gradients import assignment, mean_square

PAIRS = 1500  # points on either side of an assignment


@dataclass(frozen=True)
class Guarantees:
    """Bounds of the JKO scheme with inexact steps: distances, KL, total variation, errors of the inverse, short diffusion.

    Parameters
    ----------
    gamma : γ, equal steps.
    convexity : λ in (0, 1]; of a stronger convexity give 1.
    error : ε ≥ 0.

    Raises
    ------
    ValueError : γ, λ or ε outside these ranges.

    Notes
    -----
    Source: Cheng, Lu, Tan, Xie, arXiv 2310.17582: lemma on the inequality, theorem 4.3, corollary 5.2, proposition 5.4, lemma C.1.

    Examples
    --------
    >>> bounds = Guarantees(gamma=0.5, convexity=1.0, error=0.1)
    >>> round(bounds.w2_squared(20, start=18.0), 4), round(bounds.kl, 4), bounds.enough(np.sqrt(18.0))
    (0.2475, 0.06, 60)
    """

    gamma: float
    convexity: float = 1.0
    error: float = 0.0

    def __post_init__(self) -> None:
        positive(self.gamma, "gamma", "the step", "0.5")
        if not 0 < number(self.convexity, "convexity") <= 1:
            raise ValueError(f"convexity={self.convexity}: the bounds are for λ in (0, 1]; of a larger one give 1")
        at_least(self.error, "error", "the norm of the gradients, ≥ 0")

    def right_hand(self, before: float) -> float:
        """Of (1 + γλ/2)W₂²(p_{n+1}, π) + 2γ(G(p_{n+1}) − G(π)) ≤ W₂²(p_n, π) + (2γ/λ)ε², for every π; ``before`` = W₂²(p_n, π)."""
        return before + 2 * self.gamma / self.convexity * self.error**2

    def left_hand(self, after: float, excess: float) -> float:
        """Of the same inequality; ``after`` = W₂²(p_{n+1}, π), ``excess`` = G(p_{n+1}) − G(π)."""
        return (1 + self.gamma * self.convexity / 2) * after + 2 * self.gamma * excess

    def w2_squared(self, n: int, start: float) -> float:
        """Theorem 4.3: W₂²(p_n, q) ≤ (1 + γλ/2)^{−n}W₂²(p_0, q) + 4ε²/λ²; ``start`` = W₂²(p_0, q)."""
        n = integer(n, "n", 0)
        at_least(start, "start", "W₂² from the data to the reference, ≥ 0")
        return (1 + self.gamma * self.convexity / 2) ** -n * start + 4 * self.error**2 / self.convexity**2

    def enough(self, start: float) -> int:
        """Steps n ≥ (8/γλ)(log W₂(p_0, q) + log(λ/ε)) after which W₂² ≤ 5ε²/λ², `kl` and `variation` hold; ``start`` = W₂.

        Where γλ is above 5 these are too few, and 2/log(1 + γλ/2) stands for 8/γλ.
        """
        at_least(start, "start", "W₂ from the data to the reference, ≥ 0")
        if self.error == 0:
            raise ValueError(
                "error=0: no finite number of steps is enough; w2_squared(n, start) tells how near n of them come"
            )
        if start == 0:
            return 0
        logs = np.log(start) + np.log(self.convexity / self.error)
        rate = self.gamma * self.convexity
        return max(0, int(np.ceil(max(8 / rate, 2 / np.log1p(rate / 2)) * logs)))

    def kl_after(self, n: int, start: float) -> float:
        """KL(p|q_0) = KL(p_n|q) ≤ ((1 + γλ/2)^{−(n−1)}W₂²(p_0, q) + 4ε²/λ²)/2γ + ε²/λ for n ≥ 1 steps; ``start`` = W₂²(p_0, q).

        The inequality of `left_hand` and `right_hand` for π = q, and theorem 4.3: as corollary 5.2 is proved, for every n.
        """
        before = self.w2_squared(integer(n, "n") - 1, start)
        return before / (2 * self.gamma) + self.error**2 / self.convexity

    @property
    def kl(self) -> float:
        """Corollary 5.2: KL(p|q_0) = KL(p_N|q) ≤ (5/λ² + 2γ/λ)ε²/2γ, q_0 the law of the exact samples, N − 1 ≥ `enough`."""
        return (5 / self.convexity**2 + 2 * self.gamma / self.convexity) * self.error**2 / (2 * self.gamma)

    @property
    def variation(self) -> float:
        """TV(p, q_0) ≤ (KL/2)^½, by Pinsker."""
        return float(np.sqrt(self.kl / 2))


def way_back(errors: Array, lipschitz: Array) -> float:
    """Proposition 5.4: W₂ between the laws of samples by inverses with errors, and by exact ones.

    ≤ ∑_k e_k L_1⋯L_{k−1}, e_k the error of the inverse of block k (root mean square where it is used), L_j the Lipschitz constant
    of the inverse of block j; with L_j = e^{γK} and e_k = ε_inv at most ε_inv ∑_{j ≤ N} e^{γKj}.

    Parameters
    ----------
    errors : (N,) of T_k⁻¹, first block first.
    lipschitz : (N,) of T_k⁻¹; of a block that stretches by at least s, 1/s.

    Returns
    -------
    The bound.

    Raises
    ------
    ValueError : errors and constants that are not equally many numbers ≥ 0.

    Examples
    --------
    >>> way_back(np.array([0.01, 0.01]), np.array([2.0, 2.0]))
    0.03
    """
    e, constants = real(errors, "errors"), real(lipschitz, "lipschitz")
    if e.ndim != 1 or e.shape != constants.shape or not (np.all(e >= 0) and np.all(constants >= 0)):
        raise ValueError(
            f"errors={shown(e)}, lipschitz={shown(constants)}: give one number ≥ 0 of each for every block"
        )
    growth = np.concatenate([[1.0], np.cumprod(constants)[:-1]])[: e.size]
    return float(np.sum(e * growth))


def smoothed(second_moment: float, dim: int, time: float) -> float:
    """Lemma C.1: W₂²(ρ_δ, P) ≤ (1 − e^{−δ})²E|X|² + (1 − e^{−2δ})d, ρ_δ of Ornstein–Uhlenbeck from P after time δ.

    So a law without a density is within O(δ^½) of one that has one.

    Parameters
    ----------
    second_moment : E|X|² of P.
    dim : d.
    time : δ ≥ 0.

    Returns
    -------
    The bound on W₂².

    Raises
    ------
    ValueError : a second moment or a time that is negative or not finite; no whole dimension.

    Examples
    --------
    >>> round(smoothed(2.0, 2, 0.01), 4)
    0.0398
    """
    at_least(second_moment, "second_moment", "E|X|² ≥ 0")
    at_least(time, "time", "how long is diffused, ≥ 0")
    return float(np.expm1(-time) ** 2 * second_moment - np.expm1(-2 * time) * integer(dim, "dim"))


def guarantees(run: Trajectory, fresh: Array | None = None, seed: int = 0) -> dict[str, Array]:
    """Bounds beside what was measured, block by block, of a run of `JKOSampler` whose density is known.

    ε is the largest gradient so far, λ the least eigenvalue of D²V, at most 1; W₂ between samples, by optimal assignment of
    1500 points on either side, the floor being that of two samples of the reference.

    Parameters
    ----------
    run : what `evolve` returned, of a flow with ``density`` and equal steps.
    fresh : (n, d) samples of the law that were not fitted; the problem's own points unless given.
    seed : of the points of the reference.

    Returns
    -------
    Columns by name, one entry a block: ``error`` ε; ``w2_squared``, ``w2_squared_bound`` (theorem 4.3), ``w2_floor``; ``kl`` and
    ``kl_bound`` (corollary 5.2, which holds after ``enough`` blocks); ``variation_bound``; ``kl_bound_after`` (for every number of
    blocks).

    Raises
    ------
    ValueError : a run of another flow, without a density, without blocks, or with steps that differ; ``fresh`` of another shape, or
        not finite.

    Examples
    --------
    >>> from pmasolve import ConstantSteps, ConvexBlocks, JKOSampler, Posterior, SampleProblem, evolve
    >>> x = 3 + np.random.default_rng(0).standard_normal((1000, 2))
    >>> law = Posterior(lambda x: 0.5 * np.sum((x - 3) ** 2, axis=1) + np.log(2 * np.pi), lambda x: x - 3, 2)
    >>> flow = JKOSampler(SampleProblem(x), ConvexBlocks(0), ConstantSteps(0.5), density=law)
    >>> told = guarantees(evolve(flow, flow.times(4)[-1:], throw=False))
    >>> bool((told["w2_squared"] < told["w2_squared_bound"] + told["w2_floor"]).all())
    True
    """
    chain, flow, bounds = bounded(run)
    count, records = len(bounds), run.records
    x = flow.problem.data if fresh is None else real(fresh, "fresh")
    if x.ndim != 2 or x.shape[1] != chain.dim or not len(x) or not np.isfinite(x).all():
        raise ValueError(f"fresh of shape {x.shape}: give finite points, (n, {chain.dim})")
    x = x[:PAIRS]
    y, other = (flow.problem.reference.sample(len(x), seed + i) for i in (0, 1))
    squares = [assigned(x, y)]
    for block in chain.blocks:
        x = block.image(x)
        squares.append(assigned(x, y))
    return {
        "error": np.array([b.error for b in bounds]),
        "w2_squared": np.array(squares[1:]),
        "w2_squared_bound": np.array([b.w2_squared(n + 1, squares[0]) for n, b in enumerate(bounds)]),
        "w2_floor": np.full(count, assigned(other, y)),
        "kl": records["held_kl"][:count],
        "kl_bound": np.array([b.kl for b in bounds]),
        "kl_bound_after": np.array([b.kl_after(n + 1, squares[0]) for n, b in enumerate(bounds)]),
        "enough": np.array([float(b.enough(np.sqrt(squares[0]))) for b in bounds]),
        "variation_bound": np.array([b.variation for b in bounds]),
    }


def bounded(run: Trajectory) -> tuple[ChainSampler, JKOSampler, list[Guarantees]]:
    """The chain of a run, its flow, and the bounds with the largest ε up to each block.

    Raises
    ------
    ValueError : a run of another flow, without a density, without blocks, or with steps that differ.
    """
    chain, flow = as_chain(followed(run, "run")), run.flow
    count = len(chain.blocks)
    if flow.density is None or not count:
        raise ValueError("run: give one of JKOSampler(…, density=Posterior(f, grad_f, d)) that has at least one block")
    gamma = run.records["gamma"][:count]
    if np.ptp(gamma) > 0:
        raise ValueError(
            f"run: its steps go from {gamma.min():g} to {gamma.max():g}, and the bounds are for equal ones"
        )
    V = np.linalg.inv(flow.problem.reference.factor @ flow.problem.reference.factor.T)
    convexity = min(1.0, float(np.linalg.eigvalsh(V)[0]))
    errors = np.maximum.accumulate(run.records["gradient"][:count])
    return chain, flow, [Guarantees(float(gamma[0]), convexity, float(error)) for error in errors]


def at_least(value: float, name: str, what: str) -> None:
    """Refuse a number that is negative or not finite."""
    if not 0 <= number(value, name) < np.inf:
        raise ValueError(f"{name}={value}: give {what}")


def assigned(x: Array, y: Array) -> float:
    """W₂² between equally many points, by optimal assignment."""
    return mean_square(x - y[assignment(x, y)])
