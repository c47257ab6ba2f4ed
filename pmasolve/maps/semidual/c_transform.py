"""Exact c-transforms on grids, F^c(y) = minₓ ½ dist(x, y)² − F(x), in whole numbers.

The cost is a sum over axes, so the transform is one pass of one-dimensional transforms per axis,

    V(y) = min_k A (y − k)² + V(k),        A = ½ h²,

the lower envelope of n parabolas (P. Felzenszwalb and D. Huttenlocher, Theory of Computing 8 (2012) 415), 2n on a torus.
All is counted in a unit of which every A is a multiple, and int64 holds every product: A is rounded down (by nothing where the h²
have a common measure), F up, the result down.  Nothing else is rounded, so that F(x) + F^c(y) ≤ ½ dist(x, y)² holds for every
pair in real numbers, whatever F was; and F^c is the largest such function up to a few units, 10⁻¹⁵ of max|F| + diameter².
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor, log2

import numba
import numpy as np

from ...machine.arrays import Array, Integers
from ...machine.threads import in_blocks
from ...problems.grids import Grid

INTEGER = 62  # bits of a product of two int64 numbers
EXACT_BITS = 51  # bits of the whole numbers; float64 has 53
CANDIDATES = 1 << 16  # units among which the one that divides the A's best is chosen
OUT = 2.0**-50  # relative, more than the roundings of the unit and of one division or product by it


@dataclass(frozen=True)
class Quanta:
    """The unit of a c-transform, and A = ½ h² of every axis in it, rounded down."""

    unit: float
    A: tuple[int, ...]

    @classmethod
    def of(cls, grid: Grid, largest: float) -> Quanta:
        """The unit ½ h₀²/m for functions of at most this modulus, with m as large as int64 allows or a little less.

        With k² ≤ (3n/2)², numbers stay below 2 max|F| + 3 Σ L², and differences of two, times 2n, below 2⁶³.
        """
        bits = min(EXACT_BITS, INTEGER - 1 - ceil(log2(max(grid.shape))))
        half = 0.5 * grid.spacing[0] ** 2
        most = floor(half * 2.0**bits / (4.0 * largest + 6.0 * sum(length**2 for length in grid.lengths)))
        if most < 1:
            raise ValueError(f"max|F| = {largest:.3g} is beyond 2⁵⁰ h²: subtract a constant, or use the units of dist²")
        h = [Fraction(length) / n for length, n in zip(grid.lengths, grid.shape, strict=True)]
        ratios = [(hj / h[0]) ** 2 for hj in h]
        m = np.arange(most, max(most // 2, most - CANDIDATES), -1)
        parts = [(float(r) * m) % 1.0 for r in ratios if r.denominator > 1]
        left = sum(
            (np.where(p < 2.0**-14, 1.0, p) for p in parts), np.zeros(m.size)
        )  # 0 may be just below a whole number
        best = int(m[np.argmin(left)])
        return cls(half / best, tuple(floor(r * best) for r in ratios))


def c_transform(grid: Grid, F: Array) -> Array:
    """F^c(y) = minₓ ½ dist(x, y)² − F(x) over the nodes x, with F(x) + F^c(y) ≤ ½ dist(x, y)² guaranteed against rounding.

    Parameters
    ----------
    grid : a torus (distance to the nearest image) or a box (Euclidean distance), of 1, 2 or 3 axes.
    F : (*grid.shape), finite numbers in the units of dist².

    Returns
    -------
    F^c on the nodes, below the exact minimum by at most 10⁻¹³ (max|F| + Σ L²).

    Raises
    ------
    ValueError : F of another shape, not finite, or beyond 2⁵⁰ h².

    Notes
    -----
    Costs about 20 ns for each node and axis on a torus, 13 in a box, one thread; 24 bytes a node.

    Examples
    --------
    >>> import numpy as np
    >>> from pmasolve import Torus
    >>> c_transform(Torus((8,)), np.zeros(8)).max()
    np.float64(0.0)
    """
    F = grid.values(F, "F")
    quanta = Quanta.of(grid, float(np.max(np.abs(F))))
    values = -np.ceil((F + OUT * np.abs(F)) / quanta.unit).astype(np.int64)
    for j in reversed(range(grid.dim)):
        values = lowest(values.reshape(-1, grid.shape[j]), quanta.A[j], not grid.reflects)
    G = values.reshape(grid.shape) * quanta.unit
    return G - OUT * np.abs(G)


def lowest(lines: Integers, A: int, periodic: bool) -> Integers:
    """The transform along the last axis of (R, n), transposed: (n, R)."""
    rows, n = lines.shape
    out = np.empty((n, rows), dtype=np.int64)
    in_blocks(lambda b: _lines(lines[b], A, periodic, out[:, b]), rows, lines.size)
    return out


@numba.njit(cache=True, nogil=True)
def _lines(lines, A, periodic, out):
    """min_k A (y − k)² + lines[r, k] for every line r, into out[y, r]."""
    rows, n = lines.shape
    before = n // 2 if periodic else 0  # images that can be nearest
    span = 2 * n if periodic else n
    W, k, hull = np.empty(span, np.int64), np.empty(span, np.int64), np.empty(span, np.int64)
    for i in range(span):
        k[i] = i - before
    for r in range(rows):
        for i in range(span):
            W[i] = lines[r, k[i] % n] + A * k[i] * k[i]
        size = _hull(W, hull)
        i = 0
        for y in range(n):  # the value at y falls along the hull, then rises
            best = W[hull[i]] - 2 * A * y * k[hull[i]]
            while i + 1 < size:
                following = W[hull[i + 1]] - 2 * A * y * k[hull[i + 1]]
                if following > best:
                    break
                best = following
                i += 1
            out[y, r] = best + A * y * y


@numba.njit(cache=True, nogil=True)
def _hull(W, hull):
    """Indices of the corners of the lower convex hull of the points (i, W[i]), and their number."""
    size = 0
    for i in range(W.size):
        while size >= 2:
            p, r = hull[size - 1], hull[size - 2]
            if (W[i] - W[p]) * (p - r) > (W[p] - W[r]) * (i - p):
                break
            size -= 1
        hull[size] = i
        size += 1
    return size
