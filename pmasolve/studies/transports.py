"""The picture of an optimal map: source, target, and what the map does to a mesh, in one to three dimensions."""

from __future__ import annotations

import numpy as np

from ..machine.arrays import Array
from ..maps.transported import Transport
from .fields import View
from .figures import COLUMN_WIDTH, OKABE_ITO, PAGE_WIDTH, Figure, legend_below, mosaic, panels

SPLIT = 3.0  # cells: where the mass of a node is spread further than that, no one point stands for its image
HIDDEN = "undefined and split parts left out"


def hidden(T: Transport) -> Array:
    """Nodes at which no map is determined, booleans on the grid: without mass, or with a mass that splits."""
    away = T.undefined.copy()
    if T.spread is not None:
        away |= T.spread > SPLIT * max(T.problem.domain.spacing)
    return away


def plot_transport(
    T: Transport,
    lines: int = 24,
    *,
    arrows: bool = False,
    image: bool | None = None,
    normal: int = 2,
    at: int | None = None,
    width: float = PAGE_WIDTH,
) -> Figure:
    """Source and target of a map, and the image of a regular mesh under it; in 1D both densities, and the displacement T(x) − x.

    In three dimensions a plane is drawn, with the displacements within it as arrows and those out of it in colour.  Nodes at which
    no map is determined, for want of mass or because their mass splits, are left out; lines are not joined over a tear.

    Parameters
    ----------
    T : a map in one, two or three dimensions.
    lines : of the mesh, along the longer axis.
    arrows : displacements in place of the mesh.
    image : whether the first axis runs downwards, as rows of an image do, or to the right; so where both densities are arrays
        unless given.
    normal, at : in three dimensions the axis that the plane cuts, and its index there; the middle unless given.
    width : of the figure in inches, 7 for the page of a journal or 3.4 for its column.

    Returns
    -------
    A matplotlib ``Figure``: three panels and their colour bars, two panels in 1D.

    Raises
    ------
    ValueError : an axis or an index that the grid has not.

    Examples
    --------
    >>> from pmasolve import Problem, Torus, transport
    >>> len(plot_transport(transport(Problem(Torus((16,)), np.zeros(16), lambda y: 0.1 * np.cos(2 * np.pi * y)))).axes)
    2
    """
    grid = T.problem.domain
    if grid.dim == 1:
        return _map_on_a_line(T, width)
    view = View.of(T.problem, image, normal, at)
    mu, nu = np.exp(-T.problem.f), np.exp(-T.problem.g)
    largest = float(max(mu.max(), nu.max()))
    right, up = view.axes
    shape = min(max(grid.lengths[up] / grid.lengths[right], 0.4), 1.8)
    wide = width > 1.5 * COLUMN_WIDTH
    height = 0.45 + 0.28 * width * shape if wide else 1.0 + 1.1 * width * min(shape, 1.0)
    with mosaic("smt" if wide else "st;mm", width=width, height=height) as (figure, (middle, left, other)):
        view.field(left, mu, f"source{view.where}", "density", largest)
        view.field(other, nu, f"target{view.where}", "density", largest)
        title = f"map, $W_2$ = {T.w2:.4g}"
        away = hidden(T)
        if grid.dim == 3:
            step = T.map - grid.points
            view.field(middle, np.abs(step[normal]), title, f"|T − x| along {'xyz'[normal]}")
            view.arrows(middle, step, away)
        else:
            if arrows:
                view.arrows(middle, T.map - grid.points, away, OKABE_ITO[0])
            else:
                view.mesh(middle, T.map, away, lines, T.barycentre is not None)
            view.dress(middle, title + (f"\n{HIDDEN}" if away.any() else ""))
    return figure


def _map_on_a_line(T: Transport, width: float) -> Figure:
    x = T.problem.domain.axis(0)
    columns = 2 if width > 1.5 * COLUMN_WIDTH else 1
    with panels(columns, 2 // columns, width=width, tall=0.7) as (figure, (left, right)):
        left.plot(x, np.exp(-T.problem.f), color=OKABE_ITO[0], label="source")
        left.plot(x, np.exp(-T.problem.g), color=OKABE_ITO[1], linestyle="--", label="target")
        left.set(xlabel="x", ylabel="density", ylim=(0, None))
        away = hidden(T)
        right.plot(x, np.where(away, np.nan, T.map[0] - x), color="0.2")
        right.axhline(0.0, color="0.7", linewidth=0.6)
        right.set(
            xlabel="x", ylabel="T(x) − x", title=f"map, $W_2$ = {T.w2:.4g}" + (f"\n{HIDDEN}" if away.any() else "")
        )
        legend_below(figure)
    return figure
