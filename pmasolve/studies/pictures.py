"""The picture of each result, for its ``plot()`` and for notebooks; what all have in common is in `figures`."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

from ..flows.protocol import states_of
from ..flows.trajectories import Trajectory
from ..machine.arrays import Array
from ..maps.distances import Distances
from ..maps.transported import Transport
from ..problems.grids import Cloud, Grid
from ..samples.choosing import EpsChoice
from ..samples.jko.chain import ChainSampler
from ..samples.samplers.parameters import Parameters
from ..samples.samplers.sampler import Sampler
from ..sinkhorn.plans import Plan
from ..sinkhorn.schroedinger import Schroedinger
from .convergence import Study
from .curves import NORMS, Panel, PlotLine, plot_panels
from .fields import View
from .figures import OKABE_ITO, Axes, Figure, colour_bar, legend_below, panels, svg
from .runs import draw_clouds, plot_trajectory, projected
from .scaling import Scaling
from .transports import plot_transport

POINTS_SAMPLED = 4000  # of a sampler
PICTURE_WIDTH = 520  # pixels: the width of a picture in a notebook
PLAN_ROWS = 60  # source points of a coupling that are joined with their targets
PAIRS_COUPLED = 2**22  # that exact couplings of their halves are solved for, which takes a second
STRONG = 3  # targets of each of them


@singledispatch
def draw(thing: object, **options: Any) -> Figure:
    """The picture of a trajectory, a transport map, a study, distances, Schrödinger potentials or a coupling of clouds.

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
def _(thing: Trajectory, i: int = -1, **options: Any) -> Figure:
    if isinstance(states_of(thing.flow), Parameters):
        return _of_parameters(thing)
    return plot_trajectory(thing, i, **options)


@draw.register
def _(thing: Sampler | ChainSampler) -> Figure:
    x = thing.sample(POINTS_SAMPLED, 0)
    x = x[np.isfinite(x).all(axis=1)]  # a network need not have an inverse
    with panels(1) as (figure, (axis,)):
        if thing.dim == 1:
            line = np.sort(x[:, 0])
            axis.hist(line, bins=60, density=True, color=OKABE_ITO[1], label="samples")
            axis.plot(line, np.exp(thing.log_density(line)), color=OKABE_ITO[0], label="density")
            axis.legend(loc="best")
        else:
            axis.plot(x[:, 0], x[:, 1], ".", color=OKABE_ITO[0], markersize=2)
            axis.set(aspect="equal", xlabel="x₁", ylabel="x₂")
        axis.set(title=f"{len(x)} samples" + (", the first two coordinates" if thing.dim > 2 else ""))
    return figure


@draw.register
def _(thing: Transport, lines: int = 24, **options: Any) -> Figure:
    return plot_transport(thing, lines, **options)


@draw.register
def _(thing: Study, slopes: tuple[float, ...] = ()) -> Figure:
    curves = [PlotLine(norm, thing.values, errors) for norm, errors in thing.errors.items()]
    return plot_panels([Panel("", thing.parameter, curves)], slopes=slopes, columns=1)


@draw.register
def _(thing: Scaling) -> Figure:
    slopes = [method.order for method in thing.methods]
    drawn = []
    for norm in ("sup", "gradient"):
        curves = [PlotLine(name, study.values, study.errors[norm]) for name, study in thing.studies.items()]
        own = PlotLine("error of the reference", curves[0].x, np.full(curves[0].x.size, thing.floor[norm]), True)
        drawn.append(Panel("", "eps", [*curves, own], NORMS[norm]))
    return plot_panels(drawn, slopes=slopes, columns=1)


@draw.register
def _(thing: EpsChoice) -> Figure:
    domain, codomain = thing.problem.domain, thing.problem.codomain
    clouds = isinstance(domain, Cloud) and isinstance(codomain, Cloud)
    with panels(2 if clouds else 1) as (figure, axes):
        _draw_risks(axes[0], thing)
        if clouds:
            draw_clouds(axes[1], domain, codomain, thing.map(domain.points))
            axes[1].set(title=f"the map{projected(domain)}")
        legend_below(figure, 4)
    return figure


def _draw_risks(axis: Axes, found: EpsChoice) -> None:
    """Estimated error against ε in every gauge, the noise in it, the level of the exact coupling, and the choice."""
    curve, names = found.curve, list(found.curve.risk)
    for color, name in zip(OKABE_ITO, names, strict=False):
        shown = np.where(curve.risk[name] > 0, curve.risk[name], np.nan)
        axis.loglog(curve.eps, np.sqrt(shown), "o-", color=color, label=name)
        axis.loglog(curve.eps, np.sqrt(curve.noise[name]), ":", color=color)
    exact = found.exact_error if found.scaled.domain.size * found.scaled.codomain.size <= PAIRS_COUPLED else np.nan
    if np.isfinite(exact):
        axis.axhline(exact, color="0.35", linestyle="-.", label="exact coupling")
    axis.plot([found.eps], [found.error], "k*", markersize=12, label="chosen")
    axis.set(title="RMS error of the map (dotted: noise)", xlabel="ε", ylabel="estimated error")


@draw.register
def _(thing: Distances) -> Figure:
    with panels(1) as (figure, (axis,)):
        if thing.w2.ndim == 2:
            _draw_pairs(axis, thing)
        else:
            _draw_row(axis, thing)
            legend_below(figure, 3)
    return figure


def _of_parameters(run: Trajectory) -> Figure:
    """What a sampler lowers, against its steps."""
    with panels(1) as (figure, (axis,)):
        names = [name for name in ("nll", "held_out", "kl", "reverse_kl") if name in run.records]
        for color, name in zip(OKABE_ITO, names, strict=False):
            axis.plot(run.records["t"], run.records[name], color=color, label=name)
        axis.set(title="nats", xlabel="t")
        axis.legend(loc="best")
    return figure


def _draw_pairs(axis: Axes, found: Distances) -> None:
    image = axis.imshow(found.w2, cmap="cividis", vmin=0.0)
    axis.set(xlabel="density", ylabel="density")
    axis.locator_params(integer=True)
    colour_bar(axis, image, "$W_2$")


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


@draw.register
def _(thing: Schroedinger) -> Figure:
    problem = thing.flow.problem
    with panels(2, tall=0.8) as (figure, axes):
        _draw_annealing(axes[0], thing)
        match problem.domain:
            case Cloud() as cloud:
                draw_clouds(axes[1], cloud, problem.codomain, thing.map)
                axes[1].set(title=f"map{projected(cloud)}")
            case Grid(dim=1) as grid:
                _draw_potentials(axes[1], grid.axis(0), thing)
            case Grid():
                view = View.of(problem)
                view.field(axes[1], thing.u - np.min(thing.u), f"potential u − min u{view.where}")
        legend_below(figure, 4)
    return figure


@draw.register
def _(thing: Plan) -> Figure:
    """Some points of a cloud, each joined with the targets that get most of its mass."""
    source, target = thing.problem.domain, thing.problem.codomain
    if not (isinstance(source, Cloud) and source.dim > 1):
        raise ValueError("a coupling is drawn for clouds in two dimensions or more: for others take rows of Plan.rows")
    some = np.linspace(0, source.size - 1, min(source.size, PLAN_ROWS)).astype(int)
    rows = thing.rows(some)
    with panels(1, tall=0.9) as (figure, (axis,)):
        for node, row in zip(some, rows, strict=True):
            for j in np.argsort(row)[-STRONG:]:
                ends = np.stack([source.points[node, :2], target.points[j, :2]])
                axis.plot(*ends.T, color="0.5", linewidth=0.6 * row[j] / row.max(), zorder=0)
        draw_clouds(axis, source, target)
        axis.set(title=f"coupling, ε = {thing.eps:.3g}{projected(source)}")
        legend_below(figure)
    return figure


def _draw_potentials(axis: Axes, x: Array, found: Schroedinger) -> None:
    axis.plot(x, found.u - np.mean(found.u), color=OKABE_ITO[0], label="u")
    axis.plot(x, found.v - np.mean(found.v), color=OKABE_ITO[1], linestyle="--", label="v")
    axis.set(title="potentials, means removed", xlabel="x")


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
