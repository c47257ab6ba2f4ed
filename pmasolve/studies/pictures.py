"""The picture of each result, for its ``plot()`` and for notebooks; what all have in common is in `figures`."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

from ..flows.trajectories import Trajectory
from ..machine.arrays import Array
from ..maps.distances import Distances
from ..maps.transport import Transport
from ..problems.grids import Cloud, Grid
from ..samples.choosing import EpsChoice
from ..sinkhorn.schroedinger import Schroedinger
from .convergence import Study
from .figures import OKABE_ITO, Axes, Curve, Figure, Panel, panels, plot_panels, plot_trajectory, plot_transport, svg

POINTS_DRAWN = 400  # points of a cloud that are drawn
PICTURE_WIDTH = 520  # pixels: the width of a picture in a notebook


@singledispatch
def draw(thing: object, **options: Any) -> Figure:
    """The picture of a trajectory, a transport map, a study, distances or Schrödinger potentials.

    Raises
    ------
    ValueError : what has no picture, and results in more dimensions than can be drawn.
    """
    raise ValueError(f"a {type(thing).__name__} has no picture: take one of its arrays")


def inline(thing: object) -> str:
    """The picture as an <svg> element of a notebook's width."""
    figure = draw(thing)
    width, height = figure.get_size_inches()
    scale = min(1.0, PICTURE_WIDTH / (100 * width))
    opening, rest = svg(figure).split(">", 1)
    style = f'style="width:{100 * width * scale:.0f}px;height:{100 * height * scale:.0f}px;background:white"'
    return f"{opening} {style}>{rest}"


@draw.register
def _(thing: Trajectory, i: int = -1) -> Figure:
    return _of_clouds(thing, i) if isinstance(thing.flow.problem.domain, Cloud) else plot_trajectory(thing, i)


@draw.register
def _(thing: Transport, lines: int = 24) -> Figure:
    return plot_transport(thing, lines)


@draw.register
def _(thing: Study, slopes: tuple[float, ...] = ()) -> Figure:
    curves = [Curve(norm, thing.values, errors) for norm, errors in thing.errors.items()]
    return plot_panels([Panel("", thing.parameter, curves)], slopes=slopes)


@draw.register
def _(thing: EpsChoice) -> Figure:
    domain, codomain = thing.problem.domain, thing.problem.codomain
    with panels(2 if domain.dim < 3 else 1) as (figure, axes):
        _draw_risks(axes[0], thing)
        if isinstance(domain, Cloud) and isinstance(codomain, Cloud) and domain.dim < 3:
            _draw_arrows(axes[1], domain, codomain, thing.map(domain.points))
            axes[1].set(title="the map")
    return figure


def _draw_risks(axis: Axes, found: EpsChoice) -> None:
    """Estimated error against ε in every gauge, the noise in it, and the choice."""
    curve, names = found.curve, list(found.curve.risk)
    for color, name in zip(OKABE_ITO, names, strict=False):
        shown = np.where(curve.risk[name] > 0, curve.risk[name], np.nan)
        axis.loglog(curve.eps, np.sqrt(shown), "o-", color=color, label=name)
        axis.loglog(curve.eps, np.sqrt(curve.noise[name]), ":", color=color)
    axis.plot([found.eps], [found.error], "k*", markersize=12, label="chosen")
    axis.set(title="Estimated RMS error of the map (dotted: noise)", xlabel="ε", ylabel="error")
    axis.legend()


@draw.register
def _(thing: Distances) -> Figure:
    with panels(1) as (figure, (axis,)):
        if thing.w2.ndim == 2:
            _draw_pairs(axis, thing)
        else:
            _draw_row(axis, thing)
    return figure


def _draw_pairs(axis: Axes, found: Distances) -> None:
    image = axis.imshow(found.w2, cmap="cividis", vmin=0.0)
    axis.set(title="$W_2$ between pairs", xlabel="density", ylabel="density")
    axis.locator_params(integer=True)
    axis.figure.colorbar(image, ax=axis, shrink=0.85)


def _draw_row(axis: Axes, found: Distances) -> None:
    """A bar from bound to bound for each density, and W₂ in it."""
    low, high = (np.sqrt(np.maximum(bound, 0)) for bound in (found.lower, found.upper))
    n = np.arange(found.w2.size)
    axis.vlines(n, low, high, color=OKABE_ITO[0], linewidth=6, alpha=0.4, label="certified")
    axis.plot(n, found.w2, "o", color=OKABE_ITO[0], label="$W_2$")
    if not found.ok.all():
        axis.plot(n[~found.ok], found.w2[~found.ok], "x", color=OKABE_ITO[1], label="not ok")
    axis.set(title="$W_2$ to the reference", xlabel="density", ylim=(0, None))
    axis.locator_params(axis="x", integer=True)
    axis.legend(loc="best")


@draw.register
def _(thing: Schroedinger) -> Figure:
    domain = thing.flow.problem.domain
    with panels(2 if domain.dim < 3 else 1) as (figure, axes):
        _draw_annealing(axes[0], thing)
        match domain:
            case Cloud() if domain.dim < 3:
                _draw_arrows(axes[1], domain, thing.flow.problem.codomain, thing.map)
            case Grid() if domain.dim == 1:
                _draw_potentials(axes[1], domain.axis(0), thing)
            case Grid() if domain.dim == 2:
                image = axes[1].pcolormesh(*domain.points, thing.u, cmap="cividis", shading="nearest", rasterized=True)
                axes[1].set(title="potential u", xlabel="x", ylabel="y", aspect="equal")
                figure.colorbar(image, ax=axes[1], shrink=0.85)
    return figure


def _draw_potentials(axis: Axes, x: Array, found: Schroedinger) -> None:
    axis.plot(x, found.u - np.mean(found.u), color=OKABE_ITO[0], label="u")
    axis.plot(x, found.v - np.mean(found.v), color=OKABE_ITO[1], linestyle="--", label="v")
    axis.set(title="potentials, means removed", xlabel="x")
    axis.legend(loc="best")


def _draw_annealing(axis: Axes, found: Schroedinger) -> None:
    """The marginal error against the iterations spent, in one colour for each ε; Newton steps marked."""
    records = found.records
    ladder = list(dict.fromkeys(records["eps"].tolist()))
    for k, eps in enumerate(ladder):
        here = (records["eps"] == eps) & (records["marginal_error"] > 0)
        newton = here & (records["newton"] > 0)
        color = OKABE_ITO[k % len(OKABE_ITO)]
        label = f"ε = {eps:.3g}" if k in (0, len(ladder) - 1) else None
        axis.semilogy(records["iterations"][here], records["marginal_error"][here], ".-", color=color, label=label)
        axis.semilogy(records["iterations"][newton], records["marginal_error"][newton], "D", color=color, markersize=4)
    axis.set(title="marginal error (diamonds: Newton)", xlabel="iterations spent")
    axis.legend(loc="best")


def _of_clouds(trajectory: Trajectory, i: int) -> Figure:
    """Where the points of a cloud go."""
    domain, codomain = trajectory.flow.problem.domain, trajectory.flow.problem.codomain
    if domain.dim > 2:
        raise ValueError(
            f"clouds in {domain.dim} dimensions: pictures are drawn in 1 or 2; plot columns of trajectory.map(i)"
        )
    with panels(1) as (figure, (axis,)):
        _draw_arrows(axis, domain, codomain, trajectory.map(i))
        axis.set(title=f"t = {trajectory.times[i]:.3g}")
    return figure


def _draw_arrows(axis: Axes, source: Cloud, target: Cloud, image: Array) -> None:
    """Points of both clouds and where the first go; in one dimension the graph of the map."""
    if source.dim == 1:
        order = np.argsort(source.points[:, 0])
        axis.plot(source.points[order, 0], image[order, 0], ".", color=OKABE_ITO[0], markersize=2)
        axis.set(xlabel="x", ylabel="map")
        return
    some = np.linspace(0, source.size - 1, min(source.size, POINTS_DRAWN)).astype(int)
    others = np.linspace(0, target.size - 1, min(target.size, POINTS_DRAWN)).astype(int)
    axis.scatter(*target.points[others].T, s=6, color=OKABE_ITO[1], linewidths=0, label="target")
    axis.scatter(*source.points[some].T, s=6, color=OKABE_ITO[0], linewidths=0, label="source")
    start, step = source.points[some], image[some] - source.points[some]
    axis.quiver(*start.T, *step.T, angles="xy", scale_units="xy", scale=1, width=0.0025, color="0.4", alpha=0.6)
    axis.set(aspect="equal")
    axis.margins(0.05)
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
