"""Soft c-transforms and the plans behind them, on windows that lose nothing.

    S(a)(y) = log Σₓ exp(a(x) − |x−y|²/2ε),      P(x|y) = exp(a(x) − |x−y|²/2ε − S(a)(y)),

one pass of one-dimensional sums per axis, so that P(x|y) is a product of one-dimensional conditional probabilities, which are kept:
expectations E[v(x)|y] and their adjoints are then banded products.  The package's engines give S but not P; hence these passes.

For each output y of a line the window is [lo(y), hi(y)], the first and the last x whose term is within e^{−W} of the greatest, W of
`WINDOWS`.  Both grow with y: (a(x) − κ(x−y)²) − (a(p) − κ(p−y)²) is affine in y with slope 2κ(x−p).  So three sweeps along the line
find all windows, whatever a is, and what they leave out is certainly below n e^{−W} of a sum.  For the same reason
[lo(y), hi(y+3)] holds the windows of four outputs side by side; that is the one used, three nodes longer on average.  On a torus
windows keep to one period around y: |x−y| is the distance to the nearest image, and the kernel is symmetric.
Exponents and sums are float64; terms are float32 unless asked otherwise: S is off by some 10⁻⁷, and P is the plan that they make.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...machine.arrays import Array
from ...machine.exponentials import VOID
from ...machine.threads import in_blocks
from ...problems.grids import Grid
from .windows import WINDOW_LANES, find, gather, scatter, sums

WINDOWS = {np.float32: 17.0, np.float64: 37.0}  # nats: terms below half an ulp of the greatest are left out
HEAVY = 4  # work per point, against that of plain loops: when to use threads

WindowEnds = NDArray[np.int32]
Precision = type[np.float32] | type[np.float64]


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of `WINDOW_LANES` outputs each, all lines of one pass: first node, offset of entries; what makes weights sum to 1."""

    low: WindowEnds  # (R, ⌈n/WINDOW_LANES⌉), counted from −n/2 on a torus
    start: NDArray[np.integer]  # (R ⌈n/WINDOW_LANES⌉ + 1,)
    scale: Array  # (R, n), at first the greatest terms
    kappa: float
    before: int  # images before the line, n/2 on a torus, else 0


def log_masses(density: Array) -> Array:
    """log of a density; a finite number far below everything where there is none."""
    return np.log(density, out=np.full(density.shape, VOID), where=density > 0)


def kappas(grid: Grid, eps: float) -> tuple[float, ...]:
    """h²/2ε of every axis."""
    return tuple(h**2 / (2 * eps) for h in grid.spacing)


def soft(grid: Grid, a: Array, eps: float, precision: Precision = np.float32) -> Array:
    """S(a) on the nodes, in nats, from terms of this precision; a may hold VOID for no mass."""
    for j in reversed(range(grid.dim)):
        lines, w = _windows_of(grid, j, a, eps, WINDOWS[precision])
        a = _transposed(lines, w, (lines, w.low, w.scale, w.scale), sums, np.empty(0, precision))
    return a.reshape(grid.shape)


@dataclass(frozen=True, eq=False)
class ConditionalPlan:
    """The conditional probabilities P(x|y), axis by axis, and S(a).

    Memory: 16 bytes and the window's weights, 4 bytes each in float32, for each node and axis; windows have about
    12 √(ε φ″)/h + 3 entries.  Float32 makes another plan of P, off by 10⁻⁷; that its columns sum to 1 is seen to in float64.
    """

    grid: Grid
    value: Array
    windows: tuple[Windows, ...]  # last axis first
    weights: tuple[NDArray[np.float32 | np.float64], ...]

    @property
    def entries(self) -> int:
        """How many pairs of nodes the coupling keeps."""
        return sum(w.size for w in self.weights)

    def expect(self, v: Array, moments: tuple[int, ...] = ()) -> Array:
        """E[v(x) ∏ (x_j − y_j)^{m_j} | y] in units of the nodes, for v on x; on a torus x_j − y_j is not wrapped."""
        for j, w, weights in zip(reversed(range(self.grid.dim)), self.windows, self.weights, strict=True):
            lines = v.reshape(-1, self.grid.shape[j])
            v = _transposed(lines, w, (lines, w.low, w.scale), gather, weights, moments[j] if moments else 0)
        return v.reshape(self.grid.shape)

    def adjoint(self, z: Array, moments: tuple[int, ...] = ()) -> Array:
        """Σ_y z(y) P(x|y) ∏ (x_j − y_j)^{m_j}, the adjoint of `expect`."""
        passes = list(zip(reversed(range(self.grid.dim)), self.windows, self.weights, strict=True))
        for j, w, weights in reversed(passes):
            z = _adjoint_gather(z.reshape(self.grid.shape[j], -1), w, weights, moments[j] if moments else 0)
        return z.reshape(self.grid.shape)


def plan(grid: Grid, a: Array, eps: float, precision: Precision = np.float32) -> ConditionalPlan:
    """S(a) with all conditional probabilities; each of them sums to 1 over x up to rounding."""
    windows, weights = [], []
    for j in reversed(range(grid.dim)):
        lines, w = _windows_of(grid, j, a, eps, WINDOWS[precision])
        kept = np.empty(w.start[-1], precision)
        a = _transposed(lines, w, (lines, w.low, w.scale, w.scale), sums, kept)
        windows.append(w)
        weights.append(kept)
    return ConditionalPlan(grid, a.reshape(grid.shape), tuple(windows), tuple(weights))


def _transposed(lines: Array, w: Windows, cut: tuple[Array, ...], kernel: Callable[..., None], *options: Any) -> Array:
    """(n, R): what a kernel makes of the lines (R, n), block by block of the arrays ``cut``."""
    rows, n = lines.shape
    out = np.empty((n, rows))

    def work(b: slice) -> None:
        start = w.start[b.start * w.low.shape[1] : b.stop * w.low.shape[1] + 1]
        kernel(*(part[b] for part in cut), start, w.kappa, w.before, *options, out[:, b])

    in_blocks(work, rows, HEAVY * lines.size)
    return out


def _adjoint_gather(columns: Array, w: Windows, weights: Array, power: int) -> Array:
    """(R, n): the adjoint of `passes.gather` on columns (n, R)."""
    n, rows = columns.shape
    columns, out = np.ascontiguousarray(columns), np.empty((rows, n))  # one order of numbers to compile for

    def work(b: slice) -> None:
        start = w.start[b.start * w.low.shape[1] : b.stop * w.low.shape[1] + 1]
        scatter(columns[:, b], w.low[b], w.scale[b], start, w.before, weights, power, out[b])

    in_blocks(work, rows, HEAVY * columns.size)
    return out


def _windows_of(grid: Grid, j: int, a: Array, eps: float, window: float) -> tuple[Array, Windows]:
    """The lines of the pass along axis j and their windows."""
    n, kappa = grid.shape[j], kappas(grid, eps)[j]
    lines = a.reshape(-1, n)
    before = 0 if grid.reflects else n // 2
    shape, best = (lines.shape[0], -(-n // WINDOW_LANES)), np.empty(lines.shape)
    low, width = np.empty(shape, np.int32), np.empty(shape, np.int32)
    in_blocks(
        lambda b: find(lines[b], kappa, before, window, low[b], width[b], best[b]), len(lines), HEAVY * lines.size
    )
    width *= WINDOW_LANES
    total = int(np.sum(width, dtype=np.int64))
    start = np.zeros(width.size + 1, np.int32 if total < 2**31 else np.int64)
    np.cumsum(width.reshape(-1), out=start[1:], dtype=start.dtype)
    return lines, Windows(low, start, best, kappa, before)
