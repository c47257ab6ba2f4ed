"""Log-sum-exp on grids, one axis after the other: the kernel is a product over axes.

    forward(h) = log Σ_{x₁} K₁(x₁, y₁) Σ_{x₂} K₂(x₂, y₂) … exp h(x₁, x₂, …)

is one pass of one-dimensional log-sum-exps per axis.  A pass takes the last axis and writes the transpose,
(R, n) → (n, R), so that d passes restore the order of the axes and every pass reads contiguous lines.  Where matrix products are
faster for every axis and exp h oscillates little enough, all passes are products, with no logarithms between.  Else blocks of
lines go either through a scaled matrix product (``matrix``) or through tiles (``lines``, ``tiles``), whichever the cost
model prefers; a matrix product that is not certified is replaced by tiles, block by block.  The kernel is symmetric:
backward is forward.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

import numpy as np
from numba import get_num_threads

from ...machine.arrays import Array
from ...machine.exponentials import CHUNK, LN2, LOG2E
from ...machine.threads import Result, each
from ...problems.grids import Grid
from .grids.lines import LOWEST, ROUGH, SPLITS, STEEPEST, tile_lines
from .grids.matrix import SURE, direct_lines, logarithms, powers, scale_lines, unscale_lines
from .grids.stretch import Pass, block_of, prepare, reach_of
from .grids.vectors import LANES
from .kernel import axis_log_kernel
from .protocol import GridOrCloud

SMALL_WORK = 100_000  # points below which handing work to threads costs more than it saves
LARGEST_MATRIX = 4096  # nodes of an axis beyond which its kernel matrix (128 MB) is not made
FARTHEST_IMAGE = 4  # periods an image may be away for tiles to look at it; beyond, sum directly
PART = 2**15  # numbers of an array whose powers or logarithms one thread takes at a time
SHEET = 2**17  # numbers in one matrix product: 1 MB, and few enough calls for BLAS to use its threads


class AxisMethod(Enum):
    """How a pass is taken when the choice is not left to the cost model."""

    MATRIX = "matrix products where certified"
    TILES = "tiles"


@dataclass(frozen=True)
class Separable:
    """Axis-by-axis log-sum-exp on a torus or a box, never wrong and fast at every ε.

    Relative error of each sum: 1e-13 plus two roundings of h (2·10⁻¹⁶ max|h|).  Cost per point and axis, one thread:
    about n/20 + 3 ns by matrix products, 18 – 30 ns by tiles while ε is small.

    Parameters
    ----------
    force : take every pass by this method (tiles still stand in for a matrix product without certificate); for tests.

    Raises
    ------
    ValueError : in ``bind``, source and target that are not one grid, ε not positive.

    Examples
    --------
    >>> from pmasolve import Torus
    >>> nodes = Torus((16,))
    >>> kernel = Separable().bind(nodes, nodes, 0.1)
    >>> kernel.forward(np.zeros(16)).shape
    (16,)
    """

    force: AxisMethod | None = None

    def bind(self, source: GridOrCloud, target: GridOrCloud, eps: float) -> SeparableKernel:
        """Prepare both methods for every axis; source and target are the same grid."""
        if not isinstance(source, Grid) or source != target:
            raise ValueError(f"source {source} and target {target}: Separable needs the same grid twice; try Dense")
        if not source.whole:
            raise ValueError(f"{source.words}: Separable needs all nodes in one process; on slabs leave softmin= out")
        if not 0 < eps < np.inf:
            raise ValueError(f"eps={eps}: give a positive number")
        return SeparableKernel(source, eps, tuple(Axis(source, j, eps, self.force) for j in range(source.dim)))


@dataclass(frozen=True, eq=False)
class Axis:
    """What the passes along one axis need; tables are made when first used."""

    grid: Grid
    j: int
    eps: float
    force: AxisMethod | None

    @property
    def n(self) -> int:
        """Nodes along the axis."""
        return self.grid.shape[self.j]

    @property
    def kappa(self) -> float:
        """κ = h²/(2ε ln 2), bits lost at the neighbouring node."""
        return self.grid.spacing[self.j] ** 2 / (2 * self.eps) * LOG2E

    @property
    def reflects(self) -> bool:
        """Are lines continued by reflection rather than periodically?"""
        return self.grid.reflects

    @property
    def tiles_reach(self) -> bool:
        """Are all images that matter near enough for tiles?"""
        return reach_of(self.n, self.kappa, self.reflects) <= FARTHEST_IMAGE * self.n

    @property
    def matrix_first(self) -> bool:
        """Is a matrix product tried first?  Measured cost per output in ns, one thread."""
        if self.force is not None or self.n > LARGEST_MATRIX:
            return self.force is AxisMethod.MATRIX
        if not self.tiles_reach:
            return True
        terms = block_of(self.kappa) + 11.7 * np.sqrt(self.eps) / self.grid.spacing[self.j]
        return self.n / 20 + 6 < 11 + 0.082 * terms

    @cached_property
    def tiles(self) -> Pass:
        """Tables that all tiles of the axis share."""
        return prepare(self.n, self.kappa, self.reflects)

    @cached_property
    def log_kernel(self) -> Array:
        """Kernel of the axis in bits, shape (n, n): for sums taken term by term."""
        return axis_log_kernel(self.grid, self.j, self.eps) * LOG2E

    @cached_property
    def matrix(self) -> Array:
        """Kernel of the axis, shape (n, n); what underflows is below every certificate."""
        return np.exp(np.maximum(axis_log_kernel(self.grid, self.j, self.eps), -700.0))


@dataclass(frozen=True, eq=False)
class SeparableKernel:
    """Separable bound to a grid and an ε."""

    grid: Grid
    eps: float
    axes: tuple[Axis, ...]
    tally: Tally = field(default_factory=lambda: Tally())

    def forward(self, h: Array) -> Array:
        """log Σₓ exp(h[x]) K(x, y) at every node y; h and the result have the shape of the grid."""
        if np.shape(h) != self.grid.shape:
            raise ValueError(f"h has shape {np.shape(h)}, the grid has {self.grid.shape}")
        top = np.max(h)
        if not np.isfinite(top):
            raise ValueError(f"max h = {top}: give finite numbers or -inf, and at least one node with mass")
        values = np.ascontiguousarray(h, dtype=np.float64)
        if (found := _by_products(self.axes, values, float(top))) is not None:
            self.tally.matrix_passes += self.grid.dim
            return found
        for j in reversed(range(self.grid.dim)):
            # bits inside: h is converted as the first pass reads it, the result as the last one writes it
            scales = LOG2E if j == self.grid.dim - 1 else 1.0, LN2 if j == 0 else 1.0
            values = one_pass(self.axes[j], values.reshape(-1, self.axes[j].n), scales, self.tally)
        return values.reshape(self.grid.shape)

    backward = forward

    @property
    def report(self) -> Mapping[str, float | int | str]:
        """What ran: passes of each kind; of the tiles, how many were halved and the least certificate in bits.

        ``rough_lines`` is the fraction of lines whose potential is not concave to the eye of the kernel (slower, not
        wrong); ``resolved_eps`` = 1.5 h² max(φ″, 1/φ″) the least ε that the grid resolves, as far as tiles saw.
        """
        return self.tally.report(self.grid)


@dataclass
class Tally:
    """Counts of what ran so far: passes and tiles."""

    matrix_passes: int = 0
    tile_passes: int = 0
    tile_lines: int = 0
    statistics: Array = field(default_factory=lambda: np.zeros(4))

    def add(self, results: list[Array], lines: int) -> None:
        """Count one pass from the statistics of the blocks, if any, that went through tiles."""
        self.tile_passes += bool(results)
        self.matrix_passes += not results
        self.tile_lines += lines
        for s in results:
            self.statistics[[SPLITS, ROUGH]] += s[[SPLITS, ROUGH]]
            self.statistics[LOWEST] = min(self.statistics[LOWEST], s[LOWEST])
            self.statistics[STEEPEST] = max(self.statistics[STEEPEST], s[STEEPEST])

    def report(self, grid: Grid) -> Mapping[str, float | int | str]:
        """Counts of what ran so far, by name."""
        return {
            "engine": "separable",
            "matrix_passes": self.matrix_passes,
            "tile_passes": self.tile_passes,
            "splits": int(self.statistics[SPLITS]),
            "least_bits": float(self.statistics[LOWEST]),
            "rough_lines": float(self.statistics[ROUGH] / max(1, self.tile_lines)),
            "resolved_eps": 1.5 * max(grid.spacing) ** 2 * float(self.statistics[STEEPEST]),
        }


def _by_products(axes: tuple[Axis, ...], h: Array, top: float) -> Array | None:
    """All passes by matrix products of exp(h − top); None where those are slower for an axis, or cannot be certified."""
    low = float(np.min(h))
    if not all(axis.matrix_first for axis in axes) or -np.inf < low < top - SURE * LN2:
        return None
    flat, sums = h.ravel(), np.empty(h.size)
    _each(lambda block: powers(flat[slice(*block)], top, sums[slice(*block)]), _blocks(h.size, PART), h.size)
    for axis in reversed(axes):
        sums = axis.matrix @ sums.reshape(-1, axis.n).T
    if not np.min(sums) > 2.0**-SURE:
        return None
    out = sums.ravel()
    _each(lambda block: logarithms(out[slice(*block)], top), _blocks(h.size, PART), h.size)
    return out.reshape(h.shape)


def _each(work: Callable[[tuple[int, int]], Result], blocks: list[tuple[int, int]], points: int) -> list[Result]:
    """The work for every block, on threads where that pays."""
    return [work(block) for block in blocks] if points < SMALL_WORK else each(work, blocks)


def one_pass(axis: Axis, lines: Array, scales: tuple[float, float], tally: Tally) -> Array:
    """Log-sums along the last axis of (R, n), transposed: (n, R)."""
    rows, n = lines.shape
    out = np.empty((n, rows))
    # products one after the other, since BLAS has threads of its own; whatever they leave goes to tiles on ours
    blocks = _blocks(rows, max(256, SHEET // n) if axis.matrix_first else _share(rows))
    if axis.matrix_first:
        blocks = [block for block in blocks if not _by_matrix(axis, lines, block, scales, out)]

    def tiles(block: tuple[int, int]) -> Array:
        return _by_tiles(axis, lines, block, scales, out)

    tally.add(_each(tiles, blocks, rows * n), sum(r1 - r0 for r0, r1 in blocks))
    return out


def _share(rows: int) -> int:
    """Lines of a block of tiles: a few blocks for each thread, since lines cost unequal times and each block some of Python."""
    threads = get_num_threads()
    return rows if threads == 1 else max(LANES, rows // (4 * threads) // LANES * LANES)


def _blocks(rows: int, step: int) -> list[tuple[int, int]]:
    return [(r, min(r + step, rows)) for r in range(0, rows, step)]


def _by_matrix(axis: Axis, lines: Array, block: tuple[int, int], scales: tuple[float, float], out: Array) -> bool:
    """One block by a scaled matrix product; False if it cannot be certified, and is to be written again."""
    r0, r1 = block
    scaled, tops, lanes = np.empty((r1 - r0, axis.n)), np.empty(r1 - r0), np.empty(CHUNK)
    if not scale_lines(lines, r0, r1, scales[0], scaled, tops, lanes):
        return False
    return unscale_lines(axis.matrix @ scaled.T, tops, scales[1], out, r0, lanes)


def _by_tiles(axis: Axis, lines: Array, block: tuple[int, int], scales: tuple[float, float], out: Array) -> Array:
    """One block by tiles, or term by term where ε is too large for them; the statistics."""
    r0, r1 = block
    statistics = np.zeros(4)
    if axis.tiles_reach:
        tile_lines(lines, r0, r1, scales[0], axis.tiles, scales[1], out, statistics)
    else:
        direct_lines(lines, r0, r1, scales[0], axis.log_kernel, scales[1], out)
    return statistics
