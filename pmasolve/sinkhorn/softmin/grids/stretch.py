"""Tables for the tiles of one axis: Gaussians k_q(j) = 2^(−κj²/q) for stretches q = 2⁻⁶ … 2⁶, laid out for vectors.

The product Σₛ E[s] k_q(s−qt) reads, for each source s, a contiguous row over the outputs t.
"""

from __future__ import annotations

from math import ceil, sqrt
from typing import NamedTuple

import numpy as np

from ....machine.arrays import Array, Integers
from ....machine.exponentials import jit
from .vectors import LANES
from .windows import TOLERANCE

CLASSES = 6  # stretches 2^−6 … 2^6
STEP = 4  # sources of one step of the product: that many rows are tabulated beyond the last


class Pass(NamedTuple):
    """All that a pass along one axis needs to know.

    The stretched kernels lie in ``table``, row by row.  For q ≥ 1 a class c = log2 q has q rows, row r holding
    k_q(qj − r); for q ≤ 1 it has one, holding k_q(q·j).  The row of source s begins, for output 0, at
    starts[middle[c+6] + s], |s| ≤ limit[c+6]; sources beyond multiply zeros.
    """

    kappa: float
    reflect: bool
    reach: int
    block: int
    table: Array
    starts: Integers
    middle: Integers
    limit: Integers


def reach_of(n: int, kappa: float, reflect: bool) -> int:
    """How far images can matter: the best one lies within half a period, one beyond the reach is 2^−T below it."""
    period = 2 * n if reflect else n
    return period // 2 + ceil((TOLERANCE + 1) / (2 * kappa * period)) + 2


def block_of(kappa: float) -> int:
    """Outputs of a tile, from the half-width (in nodes) of the kernel above e^−80: measured optimum."""
    width = sqrt(80 / (2 * kappa * np.log(2)))
    return 64 if width < 20 else 128


def prepare(n: int, kappa: float, reflect: bool) -> Pass:
    """Tabulate the stretched kernels of one axis."""
    reach = reach_of(n, kappa, reflect)
    block = block_of(kappa)
    tables, starts, limits, size = [], [], [], 0
    for c in range(-CLASSES, CLASSES + 1):
        table, offsets = _stretched(kappa, c, n + 2 * reach, block)
        tables.append(table)
        starts.append(offsets + size)
        limits.append((offsets.size - STEP) // 2)
        size += table.size
    limit = np.array(limits, dtype=np.int64)
    middle = np.cumsum(2 * limit + STEP) - limit - STEP
    return Pass(kappa, reflect, reach, block, np.concatenate(tables), np.concatenate(starts), middle, limit)


def _stretched(kappa: float, c: int, span: int, block: int) -> tuple[Array, Integers]:
    """Table of the class q = 2^c, and where in it the row of each source s = −limit … limit begins for output 0."""
    q, p = max(1, 2**c), max(1, 2**-c)
    zero = sqrt(1010 * 2.0**c / kappa) + 2.0**c * block  # |s − qt| beyond which k_q(s − qt) is below every floor
    limit = min(span, ceil(zero) + 1)
    half = (limit + STEP) * p // q + block + LANES
    j, r = np.arange(-half, half + 1), np.arange(q)[:, None]
    exponent = -kappa * ((q * j - r) / p) ** 2 / 2.0**c
    s = np.arange(-limit, limit + STEP)
    starts = (s % q) * j.size + half - p * (s // q)
    return np.where(exponent > -1020, np.exp2(np.maximum(exponent, -1020)), 0.0).ravel(), starts


@jit
def stretch_class(dx, dy):
    """The class c with 2^c nearest to dx/dy in the logarithm, between −6 and 6."""
    c = -CLASSES
    while c < CLASSES and np.float64(dx) > np.float64(dy) * 2.0**c * 1.4142135623730951:
        c += 1
    return c
