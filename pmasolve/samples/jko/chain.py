"""A fitted chain of blocks as a sampler: the chain carries data to the reference, its inverse carries the reference to data."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...flows.trajectories import Trajectory, followed
from ...machine import archives
from ...machine.arrays import Array, having, integer
from ...machine.speaking import count, drawn, page, sheet
from ...problems.outcomes import REACHED, Outcome
from ...problems.points import PointsLike, given
from ..samplers.reference import FRESH, Reference
from .blocks import Block, GradientBlock, log_det_of
from .networks import ODEBlock, ResidualBlock

CHAIN_FORMAT = "pmasolve chain 1"
BLOCK_KINDS: Mapping[str, Callable[[Mapping[str, Array]], Block]] = {
    kind.__name__: kind.of for kind in (GradientBlock, ResidualBlock, ODEBlock)
}


@dataclass(frozen=True, eq=False)
class ChainSampler:
    """The law whose image under a chain of blocks T = T_N∘…∘T_1 is the reference e^{−g}.

    Attributes
    ----------
    blocks : T_1, …, T_N; the first one meets the data.
    reference : e^{−g}.
    outcome : how the run ended.

    Notes
    -----
    log ρ(x) = −g(T(x)) + Σ log det DT_k, exact: no inverse is needed.  Samples need the inverse, which is that of the maps
    themselves, by Newton's method, to rounding.  A composition of gradients is no gradient: this is not the optimal map.

    Examples
    --------
    >>> from pmasolve import ConvexBlocks, JKOSampler, SampleProblem, as_chain, evolve
    >>> rng = np.random.default_rng(0)
    >>> flow = JKOSampler(SampleProblem(3 + rng.standard_normal((600, 2))), ConvexBlocks(4))
    >>> chain = as_chain(evolve(flow, flow.times(3)[-1:], throw=False))
    >>> x = chain.sample(1000, seed=1)
    >>> bool(np.allclose(chain.map(chain.inverse(x)), x)), bool(abs(x.mean() - 3) < 0.5)
    (True, True)
    """

    blocks: tuple[Block, ...] = field(repr=False)
    reference: Reference = field(repr=False)
    outcome: Outcome = REACHED

    def __repr__(self) -> str:
        kind = type(self.blocks[0]).__name__ if self.blocks else "block"
        return f"<ChainSampler in {count(self.dim, 'dimension')}: {len(self.blocks)} of {kind}, {self.outcome.name}>"

    def _repr_html_(self) -> str:
        return page(self)

    def summary(self) -> str:
        """Blocks, outcome and moments on a page of at most 80 columns."""
        x = self.sample(FRESH, 0)
        x = x[np.isfinite(x).all(axis=1)]
        return sheet(
            repr(self),
            {
                "outcome": self.outcome,
                "mean": ", ".join(f"{value:.3g}" for value in x.mean(axis=0)[:8]),
                "deviations": ", ".join(f"{value:.3g}" for value in x.std(axis=0)[:8]),
                "no sample": f"{FRESH - len(x)} of {FRESH}" if len(x) < FRESH else None,
            },
        )

    def plot(self) -> Any:
        """4000 samples: a histogram with the density in 1D, the first two coordinates otherwise.

        Returns
        -------
        A matplotlib ``Figure``, not shown.
        """
        return drawn(self)

    @property
    def dim(self) -> int:
        """The dimension d."""
        return len(self.reference.mean)

    def sample(self, n: int, seed: int | np.random.Generator) -> Array:
        """T⁻¹ at n independent points of the reference, (n, d), NaN where a network has no inverse; one seed, one answer."""
        return self._back(self.reference.sample(integer(n, "n", 0), seed))

    def map(self, y: PointsLike) -> Array:
        """T⁻¹(y), from the reference to the data, of the layout of y; NaN where there is none."""
        where = given(y, self.dim)
        return where.vectors(self._back(np.ascontiguousarray(where.columns.T)).T)

    def inverse(self, x: PointsLike) -> Array:
        """T(x), from the data to the reference, of the layout of x."""
        where = given(x, self.dim)
        return where.vectors(self._carried(np.ascontiguousarray(where.columns.T))[0].T)

    def log_density(self, x: PointsLike) -> Array:
        """log ρ(x) = −g(T(x)) + Σ log det DT_k, exact; −∞ where a determinant is not positive."""
        where = given(x, self.dim)
        image, logs = self._carried(np.ascontiguousarray(where.columns.T))
        return where.values(self.reference.log_density(image) + logs)

    def log_likelihood(self, x: PointsLike) -> float:
        """The mean of log ρ over points, such as held-out ones (nats)."""
        values = self.log_density(x)
        if values.size == 0:
            raise ValueError("log_likelihood: there are no points to take the mean over")
        return float(np.mean(values))

    def inversion_error(self, y: PointsLike) -> float:
        """sup |T(T⁻¹(y)) − y| over points of the reference's side; infinite where an inverse was not found."""
        where = given(y, self.dim)
        start = np.ascontiguousarray(where.columns.T)
        there = self._back(start)
        if not np.isfinite(there).all():
            return float("inf")
        return float(np.abs(self._carried(there)[0] - start).max(initial=0.0))

    def _carried(self, x: Array) -> tuple[Array, Array]:
        logs = np.zeros(len(x))
        for block in self.blocks:
            logs += log_det_of(block, x)
            x = block.image(x)
        return x, logs

    def _back(self, y: Array) -> Array:
        for block in reversed(self.blocks):
            found = np.isfinite(y).all(axis=1)
            there = np.full_like(y, np.nan)
            there[found] = block.preimage(y[found])
            y = there
        return y

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the chain to ``path`` (.npz, no pickles), whole or not at all; `load_chain` reads it, without torch.

        Raises
        ------
        OSError : the folder does not exist or cannot be written.
        """
        arrays = {f"block {i}:{name}": a for i, block in enumerate(self.blocks) for name, a in block.arrays.items()}
        arrays |= {"mean": self.reference.mean, "factor": self.reference.factor}
        kinds = [type(block).__name__ for block in self.blocks]
        return archives.write_archive(
            path, {"format": CHAIN_FORMAT, "blocks": kinds, "outcome": self.outcome.stored}, arrays
        )


def as_chain(run: Trajectory, i: int | None = None) -> ChainSampler:
    """The sampler that a run of `JKOSampler` has found.

    Parameters
    ----------
    run : what `evolve` returned, or `Stopped.trajectory`.
    i : which of the requested times; the last block that was kept unless given.

    Returns
    -------
    `ChainSampler`, with the run's outcome; of a run that has ended well and is no good as a sampler, and of a time before the last,
    with what a look at that chain says: see `JKOSampler`.

    Raises
    ------
    ValueError : a run of another flow; no such time.

    Examples
    --------
    >>> from pmasolve import ConvexBlocks, JKOSampler, SampleProblem, evolve
    >>> problem = SampleProblem(3 + np.random.default_rng(0).standard_normal((600, 2)))
    >>> flow = JKOSampler(problem, ConvexBlocks(0))
    >>> as_chain(evolve(flow, flow.times(6)[-1:]))
    <ChainSampler in 2 dimensions: 5 of GradientBlock, stopped early>
    """
    flow = having(followed(run, "run").flow, "chain", "run", "give a run of JKOSampler (of other samplers: as_sampler)")
    k = None if i is None else run.entry(i)
    t, rows = run.latest if k is None else (float(run.times[k]), run.potentials[k])
    judged = flow.last_look(flow.resume(rows, t))
    whole = i is None and (judged.ok or not run.outcome.ok)  # the end of the run says more than a look
    return ChainSampler(flow.chain(rows), flow.problem.reference, run.outcome if whole else judged)


def load_chain(path: str | os.PathLike[str]) -> ChainSampler:
    """Read a chain back; networks need no torch for that.

    Parameters
    ----------
    path : a file of `ChainSampler.save`.

    Returns
    -------
    `ChainSampler`, equal in every array.

    Raises
    ------
    FileNotFoundError : no such file.
    ValueError : a damaged or foreign file.

    Examples
    --------
    >>> import tempfile
    >>> from pmasolve import ConvexBlocks, JKOSampler, SampleProblem, evolve
    >>> problem = SampleProblem(3 + np.random.default_rng(0).standard_normal((600, 2)))
    >>> flow = JKOSampler(problem, ConvexBlocks(0))
    >>> chain = as_chain(evolve(flow, flow.times(6)[-1:]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = load_chain(chain.save(f"{folder}/chain"))
    >>> bool((again.sample(3, 0) == chain.sample(3, 0)).all())
    True
    """
    header, arrays = archives.read_archive(path, CHAIN_FORMAT, ("mean", "factor"))
    with archives.unreadable_refused(path, "a pmasolve chain"):
        archives.check_finite(path, arrays)
        blocks = tuple(
            BLOCK_KINDS[kind](archives.with_prefix(arrays, f"block {i}:")) for i, kind in enumerate(header["blocks"])
        )
        for block in blocks:
            block.image(np.zeros((1, len(arrays["mean"]))))
        end = Outcome.restored(header["outcome"])
        return ChainSampler(blocks, Reference(arrays["mean"], arrays["factor"]), end)
