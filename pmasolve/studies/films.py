"""Films: a trajectory over its times, McCann's path of a map from source to target."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import singledispatch
from pathlib import Path

import numpy as np

from ..flows.trajectories import Trajectory
from ..machine.archives import check_writable
from ..machine.arrays import Array, integer, number, shown
from ..maps.transported import Transport
from ..problems.grids import Cloud, Grid
from ..problems.problem import Problem
from .fields import View
from .figures import OKABE_ITO, Figure, check_film, legend_below, panels, write_film
from .runs import drawn_points, projected

Frames = tuple[Figure, Callable[[int], None], int]


def save_film(
    thing: Trajectory | Transport,
    path: str | os.PathLike[str],
    *,
    frames: int | None = None,
    fps: float = 12.0,
    image: bool | None = None,
) -> list[Path]:
    """A trajectory at its times, or McCann's path from the source of a map to its target, as a film or as numbered pictures.

    Parameters
    ----------
    thing : a `Trajectory`, one frame for each of its times; a `Transport`, ρ_s at s = 0, …, 1 (`Transport.interpolate`).  In three
        dimensions the plane in the middle of the third axis is drawn.
    path : ends with .gif, or .mp4 where the program ffmpeg is installed; with .png, .svg or .pdf for name-00.png, name-01.png, …
    frames : at least two; of a trajectory at most so many of its times, all unless given; of a map 24 unless given.
    fps : frames a second.
    image : whether the first axis runs downwards, as rows of an image do; so where both densities are arrays unless given.

    Returns
    -------
    The files that were written.

    Raises
    ------
    ValueError : another ending, a count below 2, a trajectory without times, .mp4 without ffmpeg: said before anything is drawn.
    OSError : the folder does not exist or cannot be written.

    Notes
    -----
    Cost: one interpolation a frame, some six evaluations of the map in every node; one frame is held at a time.

    Examples
    --------
    >>> import tempfile
    >>> from pmasolve import Problem, Torus, transport
    >>> T = transport(Problem(Torus((16,)), np.zeros(16), lambda y: 0.1 * np.cos(2 * np.pi * y)))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [file.name for file in save_film(T, f"{folder}/path.png", frames=2)]
    ['path-00.png', 'path-01.png']
    """
    target = Path(path)
    check_film(target)
    check_writable(target)
    if not 0 < number(fps, "fps") < np.inf:
        raise ValueError(f"fps={fps}: give a positive number of frames a second, for example 12")
    figure, update, count = _frames(thing, None if frames is None else integer(frames, "frames", 2), image)
    return write_film(figure, update, count, target, fps)


@singledispatch
def _frames(thing: object, frames: int | None, image: bool | None) -> Frames:
    raise ValueError(f"{shown(thing)} has no film: give a Trajectory or a Transport")


@_frames.register
def _(thing: Transport, frames: int | None, image: bool | None) -> Frames:
    s = np.linspace(0.0, 1.0, frames or 24)
    mu, nu = np.exp(-thing.problem.f), np.exp(-thing.problem.g)
    largest = float(max(mu.max(), nu.max()))  # no density on the way is larger (McCann)
    return _densities(
        thing.problem, image, lambda k: thing.interpolate(float(s[k])), lambda k: f"s = {s[k]:.2f}", largest, s.size
    )


@_frames.register
def _(thing: Trajectory, frames: int | None, image: bool | None) -> Frames:
    if not thing.times.size:
        raise ValueError(f"the trajectory has no times ({thing.outcome}): there is nothing to draw")
    kept = np.unique(
        np.linspace(0, thing.times.size - 1, min(frames or thing.times.size, thing.times.size)).astype(int)
    )

    def words(k: int) -> str:
        return f"t = {thing.times[kept[k]]:.3g}"

    if isinstance(thing.flow.problem.domain, Cloud):
        return _point_frames(thing, kept, words)
    largest = float(np.exp(max(float(thing.log_density(int(j)).max()) for j in kept)))
    return _densities(
        thing.flow.problem, image, lambda k: np.exp(thing.log_density(int(kept[k]))), words, largest, kept.size
    )


def _densities(
    problem: Problem,
    image: bool | None,
    density: Callable[[int], Array],
    words: Callable[[int], str],
    largest: float,
    count: int,
) -> Frames:
    """A density that moves: in one dimension between the faint source and target, else in colour on one scale."""
    grid = problem.domain
    assert isinstance(grid, Grid)
    with panels(1, tall=0.85) as (figure, (axis,)):
        if grid.dim == 1:
            x = grid.axis(0)
            axis.plot(x, np.exp(-problem.f), "--", color="0.6", label="source")
            axis.plot(x, np.exp(-problem.g), ":", color="0.6", label="target")
            (line,) = axis.plot(x, density(0), color=OKABE_ITO[0])
            axis.set(xlabel="x", ylabel="density", ylim=(0, 1.05 * largest))
            legend_below(figure)
        else:
            view = View.of(problem, image)
            view.field(axis, density(0), " ", "density", largest)

    def update(k: int) -> None:
        """Draw frame k."""
        values = density(k)
        if grid.dim == 1:
            line.set_ydata(values)
        else:
            axis.images[0].set_data(view.plane(values))
        axis.set_title(words(k) + (view.where if grid.dim > 1 else ""))

    return figure, update, count


def _point_frames(thing: Trajectory, kept: Array, words: Callable[[int], str]) -> Frames:
    """Points that move to where the map sends them."""
    source, target = thing.flow.problem.domain, thing.flow.problem.codomain
    some, others = drawn_points(source), drawn_points(target)
    dims = min(source.dim, 2)

    def places(k: int) -> Array:
        image = thing.map(int(kept[k]))[some, :dims]
        return image if dims == 2 else np.hstack([image, np.zeros_like(image)])

    still = target.points[others, :dims]
    with panels(1, tall=0.9 if dims == 2 else 0.4) as (figure, (axis,)):
        axis.scatter(
            still[:, 0],
            still[:, 1] if dims == 2 else 0 * still[:, 0],
            s=5,
            color=OKABE_ITO[1],
            marker="^",
            label="target",
        )
        moving = axis.scatter(*places(0).T, s=6, color=OKABE_ITO[0], label="source, moved")
        axis.set(xlabel="x", ylabel="y" if dims == 2 else "")
        axis.margins(0.1)
        axis.autoscale(False)
        legend_below(figure)

    def update(k: int) -> None:
        moving.set_offsets(places(k))
        axis.set_title(words(k) + projected(source))

    return figure, update, kept.size
