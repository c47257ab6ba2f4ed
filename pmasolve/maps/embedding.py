"""Linearised transport: densities as vectors, by their maps from one reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..machine.arrays import Array
from ..problems.grids import Grid
from .distances import PairSolver, solved, stacked
from .transport import transport


def embedding(grid: Grid, reference: ArrayLike, images: Sequence[ArrayLike], *, solve: PairSolver = transport) -> Array:
    """Linearised transport: vectors whose Euclidean distances are those of the maps from the reference in L²(reference).

    The vector of an image is T − x times the square root of the reference's masses, T the map from the reference: the distance to
    0 is W₂ from the reference, that between two images an upper bound of their W₂, up to the errors of the solver.

    Parameters
    ----------
    grid : torus or box, on whose nodes the densities are given.
    reference, images : densities of any mass, shape ``grid.shape`` each.
    solve : what solves one problem: `transport`, or it with options.

    Returns
    -------
    (m, dim·N), one row for each image; ``row.reshape(dim, *grid.shape)`` is its field.  NaN where the outcome was not ok.

    Raises
    ------
    ValueError : a density that is negative or not finite somewhere or zero everywhere, or of another shape: before any is solved.

    References
    ----------
    Wang, Slepčev, Basu, Ozolek, Rohde, IJCV 101 (2013).

    Examples
    --------
    >>> from pmasolve import Torus
    >>> x = Torus((32,)).axis(0)
    >>> rows = embedding(Torus((32,)), np.ones(32), [1.5 + np.cos(2 * np.pi * (x - s)) for s in (0.0, 0.1)])
    >>> rows.shape, bool(np.linalg.norm(rows[0] - rows[1]) > 0.01)
    ((2, 32), True)
    """
    stack, (source,) = stacked(grid, images, "images[{}]"), stacked(grid, [reference], "reference")
    rows = np.empty((len(stack), grid.dim * grid.size))
    for row, image in zip(rows, stack, strict=True):
        T = solved(solve, grid, source, image)
        if not T.outcome.ok:
            row[:] = np.nan
            continue
        mass = np.exp(T.problem.mu.log_density) * grid.cell
        row[:] = ((T.map - grid.points) * np.sqrt(mass)).ravel()
    return rows
