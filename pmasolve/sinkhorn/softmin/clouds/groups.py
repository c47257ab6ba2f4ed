"""Which groups of points are summed by expansions, chosen by counting operations; all other pairs are left to ``blocks``."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ....machine.arrays import Array
from ....machine.threads import spread
from .blocks import BLOCK, Blocks, Sums
from .expansions import group_sums, mixing, monomials
from .sides import Side

GROUP_PAIRS_AT_ONCE = 1 << 20  # pairs of groups whose numbers are held at a time
GROUPS_SAMPLED = 48  # groups of each side from which the cost of a size is estimated
GAIN = 0.8  # of the cost of all pairs: more, and expansions do not pay
EXPONENTIAL = 4.5  # one pair, in products of one monomial
BOTH = 2.5  # products for each monomial, source and target together


@dataclass(frozen=True, eq=False)
class Groups:
    """Runs of ``size`` points on both sides and the degree of the expansion between any two, −1 for none."""

    size: int
    source: Blocks
    target: Blocks
    degrees: NDArray[np.int8]

    def swapped(self) -> Groups:
        """The groups with source and target exchanged, for sums in the other direction."""
        return replace(self, source=self.target, target=self.source, degrees=np.ascontiguousarray(self.degrees.T))

    @property
    def rest(self) -> NDArray[np.bool_]:
        """The pairs (targets, sources) without an expansion."""
        return self.degrees < 0

    def log_sums(self, h: Array, signs: Array, shifts: Array, eps: float, cut: float) -> tuple[Array, int]:
        """Log-sums over all expanded pairs for every target, −inf where there are none, and how many pairs they replace."""
        count = self.target.points.shape[1]
        out, tops = np.empty(count), np.maximum.reduceat(h, np.arange(0, h.size, self.size))
        table = monomials(len(self.source.points))

        sums = Sums(self.source, h, tops, self.target, signs, shifts, 0.5 / eps, cut)

        def work(begin: int, end: int) -> int:
            return group_sums(sums, self.size, table, self.degrees, begin, end, out)

        terms = table.counts[max(0, int(self.degrees.max()))]
        cost = int(len(signs) * terms * (h.size + self.size * len(tops)))
        return out, spread(work, len(self.target.radii), cost)


def grouped(source: Side, target: Side, eps: float) -> Groups | None:
    """The size of group that costs least, or None where all pairs cost less."""
    most = max(source.size, target.size)
    sizes = [BLOCK * 2**k for k in range(64) if BLOCK * 2**k < 2 * most]
    costs = [expected(source.groups(size), target.groups(size), size, eps) for size in sizes]
    if most < 2 * BLOCK or min(costs) > GAIN * EXPONENTIAL * source.size * target.size:
        return None
    return groups_of(sizes[int(np.argmin(costs))], source, target, eps)


def groups_of(size: int, source: Side, target: Side, eps: float) -> Groups:
    """Groups of one size, a multiple of BLOCK."""
    x, y = source.groups(size), target.groups(size)
    return Groups(size, x, y, degrees(x, y, eps))


def degrees(source: Blocks, target: Blocks, eps: float) -> NDArray[np.int8]:
    """Degrees (targets, sources) that their sizes need, −1 where that is more than the table has; one byte for each."""
    table = monomials(len(source.points))
    out = np.empty((len(target.radii), len(source.radii)), np.int8)
    step = max(1, GROUP_PAIRS_AT_ONCE // out.shape[1])
    for low in range(0, len(out), step):
        some = target._replace(halves=target.halves[low : low + step])
        found = np.searchsorted(table.limits, mixing(source, some, eps))
        out[low : low + step] = np.where(found < len(table.limits), found, -1)
    return out


def expected(source: Blocks, target: Blocks, size: int, eps: float) -> float:
    """Operations of a pass over all groups, from a sample of them."""

    def some(side: Blocks) -> tuple[Blocks, float]:
        chosen = np.unique(np.linspace(0, len(side.radii) - 1, GROUPS_SAMPLED).astype(int))
        return side._replace(halves=side.halves[chosen], radii=side.radii[chosen]), len(side.radii) / len(chosen)

    (x, nx), (y, ny) = some(source), some(target)
    n, m = min(size, source.points.shape[1]), min(size, target.points.shape[1])
    degree, table = degrees(x, y, eps), monomials(len(source.points))
    cost = np.where(degree < 0, EXPONENTIAL * n * m, (BOTH / 2 * table.counts[degree] + EXPONENTIAL) * (n + m))
    return float(nx * ny * cost.sum())
