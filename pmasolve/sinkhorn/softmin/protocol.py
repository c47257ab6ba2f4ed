"""The one signature of every engine: log-sum-exp against the Gaussian kernel of step ε.

    forward(h)[y]  = log Σₓ exp(h[x]) K_ε(x, y),      backward(h)[x] = log Σ_y exp(h[y]) K_ε(x, y)

with K_ε(x, y) = exp(−|x−y|²/2ε) in ℝᵈ, summed over the periods of a torus (theta function, not the nearest image)
and over the reflections of a box.  The half-steps of Sinkhorn are v = ε·forward(−u/ε − f + log w), with w the weights of the
quadrature.  ``h`` may hold −inf (no mass).  Arrays have the shape of the nodes they live on: ``grid.shape``, or (n,) for a cloud.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ...machine.arrays import Array
from ...problems.grids import Cloud, Grid

GridOrCloud = Grid | Cloud


class Kernel(Protocol):
    """An engine bound to its nodes and its ε."""

    def forward(self, h: Array) -> Array:
        """Log-sums over the source nodes, one for each target node."""
        ...

    def backward(self, h: Array) -> Array:
        """Log-sums over the target nodes, one for each source node."""
        ...

    @property
    def report(self) -> Mapping[str, float | int | str]:
        """What ran so far: engine, passes, splits, certificates."""
        ...


class Softmin(Protocol):
    """An engine: plain options (a frozen dataclass), bound to nodes by ``bind``."""

    def bind(self, source: GridOrCloud, target: GridOrCloud, eps: float) -> Kernel:
        """Prepare the kernel for one ε; raise ``ValueError`` where the engine cannot serve these nodes."""
        ...
