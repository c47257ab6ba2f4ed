"""Whether a formula has the periods of a torus."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..machine.arrays import Array
from .grids import Grid


def check_periodic(torus: Grid, formula: Callable[[Array], Array], samples: Array, name: str) -> None:
    """Moves planes of nodes in turn by the period of each axis, so that it takes one evaluation for all; nothing to do in a box.

    Raises
    ------
    ValueError : values at the nodes that change: what the grid resolves shows on every such set of planes.
    """
    if torus.reflects:
        return
    points, scale = torus.points, 1.0 + torus.sup(samples)
    plane = np.rint(torus.coordinates(0) / torus.spacing[0]).astype(int) % torus.dim
    for j, length in enumerate(torus.lengths):
        points[j, plane == j] += length
    changes = formula(points) - samples
    for j, length in enumerate(torus.lengths):
        gap = torus.most(float(np.max(np.abs(changes[plane == j]), initial=0.0)))
        if not gap <= 1e-9 * scale:
            raise ValueError(
                f"{name} is not periodic: it changes by {gap:.3g} over the period {length:g} of axis {j}; "
                "use 2π·x/length inside trigonometric functions, or set the torus's lengths"
            )
