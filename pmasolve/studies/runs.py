"""The picture of a trajectory: potentials and densities over time, displacements, and where the points of clouds go."""

from __future__ import annotations

import numpy as np

from ..flows.trajectories import Trajectory, followed
from ..machine.arrays import Array
from ..problems.grids import Cloud
from .fields import View
from .figures import COLUMN_WIDTH, OKABE_ITO, PAGE_WIDTH, Axes, Figure, legend_below, panels, shades

SHOWN_DENSITIES = 3  # densities in one row
CURVES = 6  # times in one pair of axes
POINTS_DRAWN = 400  # points of a cloud that are drawn
ARROWS_DRAWN = 80


def plot_trajectory(
    trajectory: Trajectory, i: int = -1, *, image: bool | None = None, normal: int = 2, width: float = PAGE_WIDTH
) -> Figure:
    """What the flow did until ``times[i]``: in 1D potentials and densities, in 2D and 3D densities and the displacement ∇u.

    Up to three of the times are drawn in 2D and 3D, up to six in 1D, the last one is ``times[i]``; of clouds where the points go.

    Parameters
    ----------
    trajectory : of a flow on a torus, on a box, or between clouds.
    i : index of the last time drawn.
    image : whether the first axis runs downwards, as rows of an image do; so where both densities are arrays unless given.
    normal : in three dimensions the axis that the plane drawn cuts, in the middle.
    width : of the figure in inches, 7 for the page of a journal or 3.4 for its column.

    Returns
    -------
    A matplotlib ``Figure``: two panels in 1D, one for clouds, else one for each time and one for the displacement.

    Raises
    ------
    ValueError : a trajectory without times.

    Examples
    --------
    >>> from pmasolve import MongeAmpere, Problem, Torus, evolve
    >>> problem = Problem(Torus((16,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> len(plot_trajectory(evolve(MongeAmpere(problem), [0.01])).axes)
    2
    """
    if not followed(trajectory).times.size:
        raise ValueError(f"the trajectory has no times ({trajectory.outcome}): there is nothing to draw")
    last = range(trajectory.times.size)[i]
    domain = trajectory.flow.problem.domain
    if isinstance(domain, Cloud):
        return _of_clouds(trajectory, last)
    if domain.dim == 1:
        return _trajectory_on_a_line(trajectory, last, width)
    return _in_a_plane(trajectory, last, View.of(trajectory.flow.problem, image, normal), width)


def spread_indices(last: int, count: int) -> list[int]:
    """Indices from the first to the last, evenly spread, at most so many.

    Examples
    --------
    >>> spread_indices(9, 3), spread_indices(1, 3)
    ([0, 4, 9], [0, 1])
    """
    return sorted({int(k) for k in np.linspace(0, last, min(count, last + 1))})


def _trajectory_on_a_line(trajectory: Trajectory, last: int, width: float) -> Figure:
    x, times = trajectory.flow.problem.domain.axis(0), spread_indices(last, CURVES)
    columns = 2 if width > 1.5 * COLUMN_WIDTH else 1
    with panels(columns, 2 // columns, width=width, tall=0.7) as (figure, (left, right)):
        for k, (j, colour) in enumerate(zip(times, shades(len(times)), strict=True)):
            look = {"color": colour, "linestyle": ("-", "--", "-.")[k % 3]}
            left.plot(x, trajectory.centred[j], label=f"t = {trajectory.times[j]:.3g}", **look)
            right.plot(x, np.exp(trajectory.log_density(j)), **look)
        right.plot(x, np.exp(-trajectory.flow.problem.f), "k:", label="$e^{-f}$, the limit")
        left.set(xlabel="x", ylabel="u, mean removed")
        right.set(xlabel="x", ylabel=r"density $\rho_t$")
        legend_below(figure, 4 if columns == 2 else 2)
    return figure


def _in_a_plane(trajectory: Trajectory, last: int, view: View, width: float) -> Figure:
    times = spread_indices(last, SHOWN_DENSITIES)
    densities = [np.exp(trajectory.log_density(j)) for j in times]
    displacement = trajectory.map(last) - view.grid.points
    count, fit = len(times) + 1, 2 if width > 1.5 * COLUMN_WIDTH else 1
    columns = min(count, 2 * fit)
    with panels(columns, -(-count // columns), width=width, tall=0.85) as (figure, axes):
        largest = float(max(map(np.max, densities)))
        for axis, j, density in zip(axes, times, densities, strict=False):
            view.field(axis, density, rf"$\rho_t$, t = {trajectory.times[j]:.3g}{view.where}", "", largest)
        here = axes[len(times)]
        size = np.sqrt(np.sum(displacement**2, axis=0))
        view.field(here, size, rf"$|\nabla u|$, t = {trajectory.times[last]:.3g}{view.where}")
        view.arrows(here, displacement, np.zeros(view.grid.shape, bool))
        for axis in axes[count:]:
            axis.remove()
    return figure


def _of_clouds(trajectory: Trajectory, last: int) -> Figure:
    """Where the points of a cloud go."""
    problem = trajectory.flow.problem
    with panels(1, tall=0.9) as (figure, (axis,)):
        draw_clouds(axis, problem.domain, problem.codomain, trajectory.map(last))
        axis.set(title=f"t = {trajectory.times[last]:.3g}{projected(problem.domain)}")
        legend_below(figure)
    return figure


def projected(cloud: Cloud) -> str:
    """What is said where only two coordinates are drawn."""
    return f", the first 2 of {cloud.dim} coordinates" if cloud.dim > 2 else ""


def draw_clouds(axis: Axes, source: Cloud, target: Cloud, image: Array | None = None) -> None:
    """Points of both clouds, their areas as their masses, and where the first go; in one dimension the graph of the map."""
    if source.dim == 1:
        order = np.argsort(source.points[:, 0])
        y = source.points if image is None else image
        axis.plot(source.points[order, 0], y[order, 0], ".", color=OKABE_ITO[0], markersize=2)
        axis.set(xlabel="x", ylabel="map")
        return
    some, others = (drawn_points(cloud) for cloud in (source, target))
    sizes = [6 * cloud.weights[kept] / cloud.weights.mean() for cloud, kept in ((source, some), (target, others))]
    look = {
        "facecolors": "none",
        "edgecolors": OKABE_ITO[1],
        "marker": "^",
        "linewidths": 0.6,
    }  # hollow: told apart in grey
    axis.scatter(*target.points[others, :2].T, s=2 * sizes[1], label="target", **look)
    axis.scatter(*source.points[some, :2].T, s=sizes[0], color=OKABE_ITO[0], linewidths=0, label="source")
    if image is not None:
        few = some[:: max(1, some.size // ARROWS_DRAWN)]
        start, step = source.points[few, :2], image[few, :2] - source.points[few, :2]
        axis.quiver(*start.T, *step.T, angles="xy", scale_units="xy", scale=1, width=0.004, color="0.35")
    axis.set(aspect="equal", xlabel="x", ylabel="y")
    axis.margins(0.05)


def drawn_points(cloud: Cloud) -> Array:
    """Indices of the points that are drawn: all where they are few, else evenly spread through the list."""
    return np.linspace(0, cloud.size - 1, min(cloud.size, POINTS_DRAWN)).astype(int)
