"""Log-sum-exp on slabs: the passes of `softmin.Separable`, those along the first axis on lines that a transpose has gathered.

A half step of Sinkhorn sends two real transposes, 16(P − 1)/P bytes a point.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..machine.arrays import Array
from ..machine.exponentials import LN2, LOG2E
from ..sinkhorn.softmin.default import default_engine
from ..sinkhorn.softmin.protocol import GridOrCloud, Kernel, Softmin
from ..sinkhorn.softmin.separable import Axis, Separable, Tally, one_pass
from .domains import SlabTorus
from .ranks import Transpose, cut, width


@dataclass(frozen=True)
class SlabSeparable:
    """`Separable` on a torus in slabs."""

    def bind(self, source: GridOrCloud, target: GridOrCloud, eps: float) -> Kernel:
        """Prepare every axis; source and target are the same slabs."""
        if not isinstance(source, SlabTorus) or source != target:
            raise ValueError(f"source {source} and target {target}: slabs need the same torus twice")
        if source.whole:
            return Separable().bind(source, target, eps)
        return SlabKernel(source, eps, tuple(Axis(source, j, eps, None) for j in range(source.dim)))


@dataclass(frozen=True, eq=False)
class SlabKernel:
    """The engine bound to slabs and an ε."""

    grid: SlabTorus
    eps: float
    axes: tuple[Axis, ...]
    tally: Tally = field(default_factory=Tally)

    def forward(self, h: Array) -> Array:
        """log Σₓ exp(h[x]) K(x, y) at the nodes y of this rank, from h at its nodes x."""
        grid, ranks = self.grid, self.grid.ranks
        top = grid.most(float(np.max(h)))
        if not np.isfinite(top):
            raise ValueError(f"max h = {top}: give finite numbers or -inf, and at least one node with mass")
        planes, values = len(h), np.ascontiguousarray(h, dtype=np.float64)
        for j in reversed(range(1, grid.dim)):  # a pass writes the transpose; planes stay in front
            lines = values.reshape(-1, grid.shape[j])
            found = one_pass(self.axes[j], lines, (LOG2E if j == grid.dim - 1 else 1.0, 1.0), self.tally)
            values = np.ascontiguousarray(found.reshape(grid.shape[j], planes, -1).transpose(1, 0, 2))
        rows = values.reshape(planes, -1)
        columns = cut(rows.shape[1], ranks.size)
        transpose = Transpose(ranks, grid.cuts, columns)
        lines = np.empty((grid.shape[0], width(columns[ranks.rank])))
        transpose.to_columns(rows, lines)
        sums = one_pass(self.axes[0], np.ascontiguousarray(lines.T), (1.0, LN2), self.tally)
        transpose.to_rows(sums, rows)
        return rows.reshape(grid.local)

    backward = forward

    @property
    def report(self) -> Mapping[str, float | int | str]:
        """What ran on this rank: passes of each kind, tiles halved and their least certificate."""
        return self.tally.report(self.grid)


@default_engine.register
def engine_on_slabs(source: SlabTorus, target: GridOrCloud) -> Softmin:
    """Axis by axis, with transposes."""
    return SlabSeparable()
