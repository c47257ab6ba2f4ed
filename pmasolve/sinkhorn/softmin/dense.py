"""The readable reference: every pair of nodes, in logarithms.

    forward(h)[y] = log Σₓ exp(h[x] + log K_ε(x, y)),

taken with scipy's logsumexp over the whole matrix of pairs, so that nothing is assumed about nodes, kernel or ε.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from ...machine.arrays import Array
from ...problems.grids import Cloud, Grid
from .kernel import axis_log_kernel, log_theta
from .protocol import GridOrCloud

PAIRS_AT_ONCE = 2**24  # pairs held at a time: 128 MB for the sum and its exponential


@dataclass(frozen=True)
class Dense:
    """Log-sum-exp over all pairs of nodes: exact to round-off for every ε, for a torus, a box or a cloud.

    Parameters
    ----------
    pairs : refuse nodes with more pairs than this.  Time is about 10 ns and memory 8 bytes per pair.

    Raises
    ------
    ValueError : in ``bind``, more pairs than ``pairs``, ε not positive.

    Examples
    --------
    >>> from pmasolve import Cloud
    >>> kernel = Dense().bind(Cloud([[0.0], [1.0]]), Cloud([[0.0]]), 0.5)
    >>> kernel.forward(np.zeros(2)).round(6)  # log(1 + e^{−1})
    array([0.313262])
    """

    pairs: int = 2**27

    def bind(self, source: GridOrCloud, target: GridOrCloud, eps: float) -> DenseKernel:
        """Tabulate the log-kernel; both nodes are the same grid, or two clouds of one space."""
        if not source.whole:
            raise ValueError(f"{source.words}: Dense needs all nodes in one process; on slabs leave softmin= out")
        if not 0 < eps < np.inf:
            raise ValueError(f"eps={eps}: give a positive number")
        if source.size * target.size > self.pairs:
            raise ValueError(
                f"{source.size} × {target.size} pairs of nodes are more than pairs={self.pairs}: "
                "use Separable on a grid, a fused engine on clouds, or raise the limit"
            )
        return DenseKernel(source, target, eps, _log_kernel(source, target, eps))


@dataclass(frozen=True)
class DenseKernel:
    """The log-kernel of two sets of nodes, ``log_kernel`` of shape (source.size, target.size)."""

    source: GridOrCloud
    target: GridOrCloud
    eps: float
    log_kernel: Array

    def forward(self, h: Array) -> Array:
        """log Σₓ exp(h[x]) K(x, y) for every target node y."""
        return _log_sums(self.log_kernel.T, _flat(h, self.source)).reshape(self.target.shape)

    def backward(self, h: Array) -> Array:
        """log Σ_y exp(h[y]) K(x, y) for every source node x."""
        return _log_sums(self.log_kernel, _flat(h, self.target)).reshape(self.source.shape)

    @property
    def report(self) -> Mapping[str, float | int | str]:
        """The engine and the number of pairs it sums."""
        return {"engine": "dense", "pairs": self.log_kernel.size}


def _log_sums(log_kernel: Array, h: Array) -> Array:
    """Row-wise log-sum-exp of ``log_kernel + h``, a bounded number of rows at a time."""
    step = max(1, PAIRS_AT_ONCE // h.size)
    rows = (log_kernel[i : i + step] for i in range(0, log_kernel.shape[0], step))
    return np.concatenate([logsumexp(block + h, axis=1) for block in rows])


def _log_kernel(source: GridOrCloud, target: GridOrCloud, eps: float) -> Array:
    """log K_ε between all nodes, shape (source.size, target.size)."""
    if isinstance(source, Cloud) and isinstance(target, Cloud):
        return _between_clouds(source, target, eps)
    if isinstance(source, Grid) and source == target:
        return _on_grid(source, eps)
    raise ValueError(f"source {source} and target {target}: give the same grid twice, or two clouds")


def _on_grid(grid: Grid, eps: float) -> Array:
    """Sum of the one-axis log-kernels: the kernel is a product over axes."""
    log_kernel = np.zeros((1, 1))
    for j in range(grid.dim):
        axis = axis_log_kernel(grid, j, eps)
        rows, n = log_kernel.shape[0], axis.shape[0]
        log_kernel = (log_kernel[:, None, :, None] + axis[:, None, :]).reshape(rows * n, rows * n)
    return log_kernel


def _between_clouds(source: Cloud, target: Cloud, eps: float) -> Array:
    """Sum over coordinates of the log-kernels, periodic ones if the clouds are."""
    if source.dim != target.dim or source.period != target.period:
        raise ValueError(
            f"clouds in dimension {source.dim} with period {source.period} and in dimension {target.dim} "
            f"with period {target.period}: both must live in one space"
        )
    log_kernel = np.zeros((source.size, target.size))
    for j in range(source.dim):
        distance = source.points[:, None, j] - target.points[None, :, j]
        log_kernel += log_theta(distance, eps, None if source.period is None else source.period[j])
    return log_kernel


def _flat(h: Array, nodes: GridOrCloud) -> Array:
    if np.shape(h) != nodes.shape:
        raise ValueError(f"h has shape {np.shape(h)}, the nodes have {nodes.shape}")
    top = np.max(h)
    if not np.isfinite(top):
        raise ValueError(f"max h = {top}: give finite numbers or -inf, and at least one node with mass")
    return np.ravel(h)
