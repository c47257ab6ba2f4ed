"""Log-sums between clouds, the targets shared out among ranks: every rank has all points, and sums for some of them.

A half step gathers one potential: 8 bytes a point to every rank.  What follows from it is found by every rank, the same on all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..machine.arrays import Array, having, shown
from ..problems.grids import Cloud
from ..sinkhorn.softmin.blockwise import Blockwise
from ..sinkhorn.softmin.protocol import GridOrCloud, Kernel, Softmin
from .ranks import Ranks, cut, ranks_of, width

ENGINE = Blockwise()


def shared(softmin: Softmin = ENGINE, comm: Any = None) -> Softmin:
    """An engine for clouds whose targets are shared out among the ranks of MPI; the engine itself where there is one process.

    Parameters
    ----------
    softmin : what sums on each rank, `softmin.Blockwise()` unless given.
    comm : a communicator of mpi4py; ``MPI.COMM_WORLD`` unless given.

    Returns
    -------
    An engine to be given as ``softmin=``, to `Sinkhorn`, `schroedinger` and whatever takes one; all ranks are given the same points
    and find the same potentials, all of them.

    Raises
    ------
    ValueError : in ``bind``, nodes other than clouds, fewer points than ranks.

    Notes
    -----
    Cost: that of the engine divided by the number of ranks, and one gather of 8 bytes a point for each half step.  Memory: on every
    rank as on one process, linear in the points.

    Examples
    --------
    >>> import pmasolve as pma
    >>> problem = pma.Problem.from_samples([[0.0], [1.0]], [[0.2], [0.9]])
    >>> pma.evolve(pma.Sinkhorn(problem, 0.5, softmin=shared()), [0.5]).potentials.shape
    (1, 2)
    """
    ranks = ranks_of(comm)
    engine = having(softmin, "bind", "softmin", "give an engine, as Blockwise()")
    return engine if ranks.size == 1 else Shared(engine, ranks)


@dataclass(frozen=True, eq=False)
class Shared:
    """An engine on every rank, for the targets of that rank."""

    softmin: Softmin
    ranks: Ranks

    def bind(self, source: GridOrCloud, target: GridOrCloud, eps: float) -> Kernel:
        """Bind the engine twice, to this rank's share of either side."""
        for nodes in (source, target):
            if not isinstance(nodes, Cloud) or nodes.size < self.ranks.size:
                raise ValueError(
                    f"{shown(nodes)}: targets shared out among {self.ranks.size} ranks are the points of clouds, at least as many; "
                    "for grids take distributed.slabs"
                )
        there, back = (self._part(nodes) for nodes in (target, source))
        return SharedKernel(
            self.ranks,
            (source.size, target.size),
            self.softmin.bind(source, there, eps),
            self.softmin.bind(target, back, eps),
        )

    def _part(self, cloud: Cloud) -> Cloud:
        return Cloud(cloud.points[cut(cloud.size, self.ranks.size)[self.ranks.rank]], None, cloud.period)


@dataclass(frozen=True, eq=False)
class SharedKernel:
    """The engine bound to both shares."""

    ranks: Ranks
    sizes: tuple[int, int]
    there: Kernel
    back: Kernel

    def forward(self, h: Array) -> Array:
        """Log-sums over the source, one for each target, on every rank."""
        return self._gathered(self.there.forward(h), self.sizes[1])

    def backward(self, h: Array) -> Array:
        """Log-sums over the target, one for each source, on every rank."""
        return self._gathered(self.back.forward(h), self.sizes[0])

    @property
    def report(self) -> Mapping[str, float | int | str]:
        """What ran on this rank."""
        return {**self.there.report, "ranks": self.ranks.size}

    def _gathered(self, part: Array, n: int) -> Array:
        return self.ranks.joined(np.ascontiguousarray(part), [width(share) for share in cut(n, self.ranks.size)])
