"""Any nodes (torus, box, cloud) as plain points, with the group of images that their kernel is summed over.

    K_ε(x, y) = Σ_g exp(−|x − g·y|²/2ε),     g·y = σ∘y + s

In ℝᵈ the group holds the identity alone, on a torus s runs over the periods, on a box σ over the reflections and s over
the periods of the doubled torus.  The engines for clouds need no other geometry.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from ...machine.arrays import Array
from .kernel import log_theta
from .protocol import GridOrCloud

NEGLIGIBLE = 48.0  # nats: exp(−48) ≈ 1.4e-21, so that 10⁴ neglected terms stay below the rounding of one


@dataclass(frozen=True, eq=False)
class Geometry:
    """Source and target as points (n, dim), the periods (None in ℝᵈ) and whether walls reflect.

    For a box ``periods`` are those of the doubled torus, 2L.
    """

    source: Array
    target: Array
    source_shape: tuple[int, ...]
    target_shape: tuple[int, ...]
    eps: float
    periods: Array | None
    reflects: bool

    @property
    def dim(self) -> int:
        """Dimension of the space."""
        return self.source.shape[1]


def geometry(source: GridOrCloud, target: GridOrCloud, eps: float) -> Geometry:
    """Check that the nodes share one space and that ε is usable, and return them as points.

    Raises
    ------
    ValueError : ε not positive and finite, dimensions, periods or walls that differ, ε too small for the distances.
    """
    eps = float(eps)
    if not 0 < eps < np.inf:
        raise ValueError(f"eps={eps}: the kernel exp(−|x−y|²/2ε) needs a finite ε > 0; choose one")
    if not (source.whole and target.whole):
        raise ValueError(f"{source.words}: this engine needs all nodes in one process; on slabs leave softmin= out")
    if source.dim != target.dim:
        raise ValueError(
            f"source has dimension {source.dim}, target {target.dim}: both need the same; drop or add coordinates"
        )
    periods, reflects = source.periods, source.reflects
    if (periods, reflects) != (target.periods, target.reflects):
        raise ValueError(
            f"source lives in {describe(source)}, target in {describe(target)}: both need the same periods and walls; "
            "pass Cloud(points, period=…) with the period of the other side, or no period at all"
        )
    x, y = points(source), points(target)
    reach = max(np.abs(x).max(), np.abs(y).max(), *(periods or (0.0,)))
    if not source.dim * (4 * reach) ** 2 / eps < 1e300:
        raise ValueError(f"eps={eps}: |x−y|²/2ε overflows for coordinates of size {reach:.3g}; take a larger ε")
    lengths = None if periods is None else np.array(periods)
    return Geometry(x, y, source.shape, target.shape, eps, lengths, reflects)


def describe(nodes: GridOrCloud) -> str:
    """The space of these nodes in words, for messages."""
    periods, reflects = nodes.periods, nodes.reflects
    if periods is None:
        return f"ℝ^{nodes.dim}"
    return f"a box of sides {tuple(p / 2 for p in periods)}" if reflects else f"a torus of periods {periods}"


def points(nodes: GridOrCloud) -> Array:
    """Coordinates as (n, dim), grid points in C order."""
    return nodes.placed().columns.T


def exponents(h: Array, shape: tuple[int, ...]) -> Array:
    """Check ``h``: one number or −inf for each node; returned as a flat contiguous float64 array."""
    flat = np.ascontiguousarray(h, dtype=np.float64)
    if flat.shape != shape:
        raise ValueError(f"h has shape {flat.shape}, its nodes have {shape}: give one value for each node")
    if not (flat < np.inf).all():
        raise ValueError(f"h has {np.count_nonzero(~(flat < np.inf))} NaN or +inf values: use −inf for zero mass")
    return flat.ravel()


def reflections(dim: int) -> Array:
    """The 2^dim sign vectors σ of the reflections of a box, shape (2^dim, dim); the identity first."""
    return np.array(list(product((1.0, -1.0), repeat=dim)))


def images(geometry: Geometry) -> tuple[Array, Array]:
    """Signs σ and shifts s, each (count, dim), of the images that can matter to 1e-20.

    Displacements of points in one cell, or of a box and its reflections in the doubled torus, satisfy |d| ≤ L, so the
    image d + mL, |m| ≥ 1, can compete with the nearest one only while (|m|−1)²L² < 2ε·NEGLIGIBLE.
    """
    dim = geometry.dim
    if geometry.periods is None:
        return np.ones((1, dim)), np.zeros((1, dim))
    most = 1 + np.floor(np.sqrt(2 * geometry.eps * NEGLIGIBLE) / geometry.periods).astype(int)
    shifts = np.array(list(product(*(np.arange(-m, m + 1) for m in most)))) * geometry.periods
    signs = reflections(dim) if geometry.reflects else np.ones((1, dim))
    return np.repeat(signs, len(shifts), axis=0), np.tile(shifts, (len(signs), 1))


def log_kernel(x: Array, nodes: GridOrCloud, eps: float) -> Array:
    """log K_ε between a few points (r, dim) and all nodes, (r, size)."""
    periods, reflects = nodes.periods, nodes.reflects
    y, out = points(nodes), np.zeros((len(x), nodes.size))
    for j in range(nodes.dim):
        period = None if periods is None else periods[j]
        line = log_theta(x[:, None, j] - y[:, j], eps, period)
        out += np.logaddexp(line, log_theta(x[:, None, j] + y[:, j], eps, period)) if reflects else line
    return out
