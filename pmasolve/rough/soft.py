"""Soft c-transforms and the plans behind them, on windows that lose nothing.

    S(a)(y) = log Σₓ exp(a(x) − |x−y|²/2ε),      P(x|y) = exp(a(x) − |x−y|²/2ε − S(a)(y)),

one pass of one-dimensional sums per axis, so that P(x|y) is a product of one-dimensional conditional probabilities, which are kept:
expectations E[v(x)|y] and their adjoints are then banded products.  The package's engines give S but not P; hence these passes.

For each output y of a line the window is [lo(y), hi(y)], the first and the last x whose term is within e^{−WINDOW} of the greatest.
Both grow with y: (a(x) − κ(x−y)²) − (a(p) − κ(p−y)²) is affine in y with slope 2κ(x−p).  So three sweeps along the line find all
windows, whatever a is, and what they leave out is certainly below n e^{−WINDOW} of a sum.  On a torus windows keep to one period
around y: |x−y| is the distance to the nearest image, and the kernel is symmetric.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..domains import Array, Grid, Torus
from ..softmin.bits import FLOOR, LOG2E, VOID, exp2, jit
from ..threads import blocks, each

WINDOW = 23.0  # nats: terms below 1e-10 of the greatest are left out
EMPTY = 0.1 * VOID  # below: no mass
HEAVY = 4  # work per point, against that of plain loops: when to use threads

Indices = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of all outputs of all lines of one pass: first node, offset of its entry, the greatest term."""

    low: Indices  # (R, n), counted from −n/2 on a torus
    start: NDArray[np.int64]  # (R n + 1,)
    best: Array  # (R, n)
    kappa: float
    before: int  # images before the line, n/2 on a torus, else 0


def log_mass(density: Array) -> Array:
    """log of a density; a finite number far below everything where there is none."""
    return np.log(density, out=np.full(density.shape, VOID), where=density > 0)


def kappas(grid: Grid, eps: float) -> tuple[float, ...]:
    """h²/2ε of every axis."""
    return tuple(h**2 / (2 * eps) for h in grid.spacing)


def soft(grid: Grid, a: Array, eps: float) -> Array:
    """S(a) on the nodes, in nats; a may hold VOID for no mass."""
    for j in reversed(range(grid.dim)):
        lines, w = _windows_of(grid, j, a, eps)
        a = _transposed(lines, w, (lines, w.low, w.best), _sums)
    return a.reshape(grid.shape)


@dataclass(frozen=True, eq=False)
class Plan:
    """The conditional probabilities P(x|y), axis by axis, and S(a).

    Memory: 12 bytes and the window's weights, 8 bytes each, for each node and axis; windows have about 14 √(ε φ″)/h entries.
    """

    grid: Grid
    value: Array
    windows: tuple[Windows, ...]  # last axis first
    weights: tuple[Array, ...]

    @property
    def entries(self) -> int:
        """Numbers kept."""
        return sum(w.size for w in self.weights)

    def expect(self, v: Array, moments: tuple[int, ...] = ()) -> Array:
        """E[v(x) ∏ (x_j − y_j)^{m_j} | y] in units of the nodes, for v on x; on a torus x_j − y_j is not wrapped."""
        for j, w, weights in zip(reversed(range(self.grid.dim)), self.windows, self.weights, strict=True):
            lines = v.reshape(-1, self.grid.shape[j])
            v = _transposed(lines, w, (lines, w.low), _gather, weights, moments[j] if moments else 0)
        return v.reshape(self.grid.shape)

    def adjoint(self, z: Array, moments: tuple[int, ...] = ()) -> Array:
        """Σ_y z(y) P(x|y) ∏ (x_j − y_j)^{m_j}, the adjoint of `expect`."""
        passes = list(zip(reversed(range(self.grid.dim)), self.windows, self.weights, strict=True))
        for j, w, weights in reversed(passes):
            z = _scattered(z.reshape(self.grid.shape[j], -1), w, weights, moments[j] if moments else 0)
        return z.reshape(self.grid.shape)


def plan(grid: Grid, a: Array, eps: float) -> Plan:
    """S(a) with all conditional probabilities; each of them sums to 1 over x up to rounding."""
    windows, weights = [], []
    for j in reversed(range(grid.dim)):
        lines, w = _windows_of(grid, j, a, eps)
        kept = np.empty(w.start[-1])
        a = _transposed(lines, w, (lines, w.low, w.best), _weights, kept)
        windows.append(w)
        weights.append(kept)
    return Plan(grid, a.reshape(grid.shape), tuple(windows), tuple(weights))


def _transposed(lines: Array, w: Windows, cut: tuple[Array, ...], kernel: Callable[..., None], *options: Any) -> Array:
    """(n, R): what a kernel makes of the lines (R, n), block by block of the arrays ``cut``."""
    rows, n = lines.shape
    out = np.empty((n, rows))

    def work(b: slice) -> None:
        start = w.start[b.start * n : b.stop * n + 1]
        kernel(*(part[b] for part in cut), start, w.kappa, w.before, *options, out[:, b])

    each(work, blocks(rows, HEAVY * lines.size))
    return out


def _scattered(columns: Array, w: Windows, weights: Array, power: int) -> Array:
    """(R, n): the adjoint of `_gather` on columns (n, R)."""
    n, rows = columns.shape
    out = np.empty((rows, n))

    def work(b: slice) -> None:
        start = w.start[b.start * n : b.stop * n + 1]
        _scatter(columns[:, b], w.low[b], start, w.before, weights, power, out[b])

    each(work, blocks(rows, HEAVY * columns.size))
    return out


def _windows_of(grid: Grid, j: int, a: Array, eps: float) -> tuple[Array, Windows]:
    """The lines of the pass along axis j and their windows."""
    n, kappa = grid.shape[j], kappas(grid, eps)[j]
    lines = a.reshape(-1, n)
    before = n // 2 if isinstance(grid, Torus) else 0
    low, high, best = np.empty(lines.shape, np.int32), np.empty(lines.shape, np.int32), np.empty(lines.shape)
    each(
        lambda b: _find(lines[b], kappa, before, WINDOW, low[b], high[b], best[b]),
        blocks(lines.shape[0], HEAVY * lines.size),
    )
    start = np.zeros(lines.size + 1, np.int64)
    np.cumsum((high - low + 1).reshape(-1), out=start[1:])
    return lines, Windows(low, start, best, kappa, before)


@jit
def _extended(line, before, buffer):
    """The line at the nodes −before … n − 1 + n − before on a torus, itself in a box; the number of nodes."""
    n = line.size
    if before == 0:
        buffer[:n] = line
        return n
    buffer[:before] = line[n - before :]
    buffer[before : before + n] = line
    buffer[before + n : 2 * n] = line[: n - before]
    return 2 * n


@jit
def _find(lines, kappa, before, window, low, high, best):
    """Greatest term and window for each output y of each line."""
    rows, n = lines.shape
    e, hull = np.empty(2 * n), np.empty(2 * n, np.int64)
    for r in range(rows):
        span = _extended(lines[r], before, e)
        size = _corners(e, span, kappa, hull)
        if size == 0:  # no mass on the line: one entry, which no later pass will give any weight
            low[r, :], high[r, :], best[r, :] = 0, 0, VOID
            continue
        _greatest(e, kappa, before, hull, size, best[r])
        k = 0
        for y in range(n):
            k = max(k, y) if before else k
            while e[k] - kappa * (k - before - y) ** 2 < best[r, y] - window:
                k += 1
            low[r, y] = k
        k = span - 1
        for y in range(n - 1, -1, -1):
            k = min(k, y + n - 1) if before else k
            while e[k] - kappa * (k - before - y) ** 2 < best[r, y] - window:
                k -= 1
            high[r, y] = k


@jit
def _corners(e, span, kappa, hull):
    """Nodes whose parabola is somewhere the greatest: the upper hull of the points (k, e[k] − κk²), and their number."""
    size = 0
    for k in range(span):
        if e[k] < EMPTY:
            continue
        v = e[k] - kappa * k * k
        while size >= 2:
            p, r = hull[size - 1], hull[size - 2]
            vp, vr = e[p] - kappa * p * p, e[r] - kappa * r * r
            if (v - vp) * (p - r) < (vp - vr) * (k - p):
                break
            size -= 1
        hull[size] = k
        size += 1
    return size


@jit
def _greatest(e, kappa, before, hull, size, best):
    """max_k e[k] − κ(k − before − y)² for each y, along the hull."""
    i = 0
    for y in range(best.size):
        here = e[hull[i]] - kappa * (hull[i] - before - y) ** 2
        while i + 1 < size:
            following = e[hull[i + 1]] - kappa * (hull[i + 1] - before - y) ** 2
            if following < here:
                break
            here = following
            i += 1
        best[y] = here


@jit
def _terms(e, low, start, best, kappa, before, terms):
    """exp(e[k] − κ(k − before − y)² − best[y]) for all windows of one line, one after the other; VOID lines give 1."""
    first = start[0]
    for y in range(low.size):
        for i in range(start[y], start[y + 1]):
            k = low[y] + i - start[y]
            terms[i - first] = (e[k] - kappa * (k - before - y) ** 2 - best[y]) * LOG2E
    count = start[low.size] - first
    for i in range(count):
        terms[i] = exp2(max(terms[i], FLOOR))


@jit
def _sums(lines, low, best, start, kappa, before, out):
    """S of each line, into the columns of ``out``."""
    rows, n = lines.shape
    e, terms = np.empty(2 * n), np.empty(0)
    for r in range(rows):
        s = start[r * n : (r + 1) * n + 1]
        if s[n] - s[0] > terms.size:
            terms = np.empty(2 * (s[n] - s[0]))
        _extended(lines[r], before, e)
        if best[r, 0] < EMPTY:
            out[:, r] = VOID
            continue
        _terms(e, low[r], s, best[r], kappa, before, terms)
        for y in range(n):
            total = 0.0
            for i in range(s[y] - s[0], s[y + 1] - s[0]):
                total += terms[i]
            out[y, r] = best[r, y] + np.log(total)


@jit
def _weights(lines, low, best, start, kappa, before, kept, out):
    """The same, keeping the normalised terms."""
    rows, n = lines.shape
    e = np.empty(2 * n)
    for r in range(rows):
        s = start[r * n : (r + 1) * n + 1]
        terms = kept[s[0] : s[n]]
        if best[r, 0] < EMPTY:
            out[:, r], terms[:] = VOID, 1.0
            continue
        _extended(lines[r], before, e)
        _terms(e, low[r], s, best[r], kappa, before, terms)
        for y in range(n):
            total = 0.0
            for i in range(s[y] - s[0], s[y + 1] - s[0]):
                total += terms[i]
            out[y, r] = best[r, y] + np.log(total)
            scale = 1.0 / total
            for i in range(s[y] - s[0], s[y + 1] - s[0]):
                terms[i] *= scale


@jit
def _gather(lines, low, start, kappa, before, weights, power, out):
    """out[y, r] = Σ_x P(x|y) (x − y)^power lines[r, x]."""
    rows, n = lines.shape
    e = np.empty(2 * n)
    for r in range(rows):
        _extended(lines[r], before, e)
        for y in range(n):
            first, last = start[r * n + y], start[r * n + y + 1]
            k, total = low[r, y], 0.0
            if power == 0:
                for i in range(last - first):
                    total += weights[first + i] * e[k + i]
            else:
                for i in range(last - first):
                    total += weights[first + i] * e[k + i] * (k + i - before - y) ** power
            out[y, r] = total


@jit
def _scatter(z, low, start, before, weights, power, out):
    """out[r, x] = Σ_y z[y, r] P(x|y) (x − y)^power."""
    n, rows = z.shape
    e = np.empty(2 * n)
    for r in range(rows):
        e[:] = 0.0
        for y in range(n):
            first, last = start[r * n + y], start[r * n + y + 1]
            k, value = low[r, y], z[y, r]
            if power == 0:
                for i in range(last - first):
                    e[k + i] += weights[first + i] * value
            else:
                for i in range(last - first):
                    e[k + i] += weights[first + i] * value * (k + i - before - y) ** power
        out[r, :] = e[before : before + n]
        for i in range(before):
            out[r, n - before + i] += e[i]
        for i in range(n - before if before else 0):
            out[r, i] += e[before + n + i]
