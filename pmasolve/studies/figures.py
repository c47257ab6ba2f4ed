"""Plots for papers; the only importer of matplotlib.

Figures are made without pyplot: no state, no window, the same on a machine without a display.  Colours are those of Okabe and Ito
(distinct for all common kinds of colour vision), and every curve has a marker of its own besides.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO, StringIO
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from ..flows.trajectories import Trajectory
from ..machine.archives import whole
from ..machine.arrays import Array
from ..machine.extras import extra
from ..maps.transport import Transport
from .convergence import Study
from .entries import Section

with extra("plot"):
    import matplotlib
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
FAINT = ("x", "+", "1", "2")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
STYLE = {
    "font.size": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 6.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "svg.hashsalt": "pmasolve",  # the same figure gives the same file
}
MARKED = 9  # values of a parameter that fit below an axis, and markers on a curve
PANEL = (3.4, 2.8)  # inches: one column of a journal
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
SYMBOLS = {"eps": "ε", "h": "h", "rtol": "rtol"}


@dataclass(frozen=True, eq=False)
class Curve:
    """Errors against a parameter; ``faint`` curves are drawn grey and dashed, for contrast."""

    label: str
    values: Array
    errors: Array
    faint: bool = False


@dataclass(frozen=True, eq=False)
class Panel:
    """One pair of axes: a title, the parameter below, what stands on the left, and the curves."""

    title: str
    parameter: str
    curves: Sequence[Curve]
    left: str = "error"


@dataclass(frozen=True, eq=False)
class Line:
    """Values y over x, joined; a ``faint`` line is grey and dashed, and one without label has no entry in the legend."""

    label: str
    x: Array
    y: Array
    faint: bool = False


@dataclass(frozen=True, eq=False)
class Lines:
    """One pair of axes with lines; ``logarithmic`` is the axis below."""

    title: str
    below: str
    left: str
    lines: Sequence[Line]
    logarithmic: bool = False


def plot_lines(panels: Sequence[Lines]) -> Figure:
    """Panels side by side, linear on the left, in the style of all figures here."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(len(panels) * PANEL[0], PANEL[1]), layout="constrained")
        for axis, panel in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
            axis.set(title=panel.title, xlabel=panel.below, ylabel=panel.left)
            if panel.logarithmic:
                axis.set_xscale("log")
            for line, colour in zip(panel.lines, cycle(OKABE_ITO)):
                look = {"color": "0.6", "linestyle": "--"} if line.faint else {"color": colour}
                axis.plot(line.x, line.y, label=line.label, **look)
            if any(line.label for line in panel.lines):
                axis.legend()
    return figure


def plot_orders(
    studies: Mapping[str, Study], *, norms: Sequence[str] = ("sup",), slopes: Sequence[float] = ()
) -> Figure:
    """Errors against the parameter, both logarithmic, one curve for each study and norm, with reference slopes.

    Parameters
    ----------
    studies : by the label of their curves; all with the same parameter.
    norms : which errors to draw.
    slopes : orders to draw as dotted lines.

    Returns
    -------
    A matplotlib ``Figure`` of one panel.

    Examples
    --------
    >>> study = Study.over("h", [0.1, 0.05, 0.025], lambda h: {"sup": 3 * h**2})
    >>> len(plot_orders({"central differences": study}, slopes=[2]).axes)
    1
    """
    curves = [
        Curve(f"{label}, {norm}" if len(norms) > 1 else label, study.values, study.errors[norm])
        for label, study in studies.items()
        for norm in norms
    ]
    parameter = next(iter(studies.values())).parameter
    return plot_panels([Panel("", parameter, curves)], slopes=slopes)


def plot_section(section: Section) -> Figure | None:
    """One panel for each test problem and parameter: checks in colour, what was broken in grey; None if nothing can be drawn."""
    panels: dict[tuple[str, str, str], list[Curve]] = {}
    for entry in section.entries:
        problem, _, detail = entry.case.partition(", ")
        left = "error" if entry.orders or not entry.columns else ""
        curves = panels.setdefault((problem, entry.parameter, left), [])
        for name, errors in entry.drawn.items():
            label = f"broken: {entry.mutation}" if entry.mutation else f"{detail}, {name}".removeprefix(", ")
            curves.append(Curve(label, entry.values, errors, bool(entry.mutation)))
    slopes = sorted({slope for entry in section.entries for slope in entry.slopes})
    drawn = [Panel(title, parameter, curves, left) for (title, parameter, left), curves in panels.items() if curves]
    return plot_panels(drawn, slopes=slopes) if drawn else None


def plot_panels(panels: Sequence[Panel], *, slopes: Sequence[float] = ()) -> Figure:
    """Panels side by side, two to a row; equal labels look equal and share one legend."""
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    looks = _looks([curve for panel in panels for curve in panel.curves])
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(PANEL[0] * columns, PANEL[1] * rows), layout="constrained")
        axes = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axis, panel in zip(axes, panels, strict=False):
            _draw_curves(axis, panel, looks, slopes)
        for axis in axes[len(panels) :]:
            axis.remove()
        entries = {label: line for axis in axes for line, label in zip(*axis.get_legend_handles_labels(), strict=True)}
        figure.legend(
            entries.values(), entries.keys(), loc="outside lower center", ncols=columns if len(entries) > 1 else 1
        )
    return figure


@contextmanager
def panels(columns: int) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure of panels side by side, each as wide as a journal's column; within the block all is drawn in one style."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(PANEL[0] * columns, PANEL[1]), layout="constrained")
        yield figure, list(figure.subplots(1, columns, squeeze=False).flat)


def _draw_curves(axis: Axes, panel: Panel, looks: Mapping[str, dict[str, Any]], slopes: Sequence[float]) -> None:
    for curve in panel.curves:
        errors = np.where(curve.errors > 0, curve.errors, np.nan)  # an error of 0 has no logarithm
        every = max(1, errors.size // MARKED)
        axis.loglog(curve.values, errors, label=curve.label, markevery=every, **looks[curve.label])
    for slope in slopes:
        _reference(axis, [curve for curve in panel.curves if not curve.faint], slope)
    axis.set(title=panel.title, xlabel=SYMBOLS.get(panel.parameter, panel.parameter), ylabel=panel.left)
    _mark_values(axis, panel.curves)


def _looks(curves: Sequence[Curve]) -> dict[str, dict[str, Any]]:
    """A colour and a marker for each label; a grey marker for the faint ones."""
    plain, faint = (list(dict.fromkeys(c.label for c in curves if c.faint is wanted)) for wanted in (False, True))
    bright = {
        label: {"color": color, "marker": marker}
        for label, color, marker in zip(plain, cycle(OKABE_ITO), cycle(MARKERS), strict=False)
    }
    grey = {
        label: {"color": "0.55", "marker": marker, "linestyle": "--", "markersize": 4, "linewidth": 0.8}
        for label, marker in zip(faint, cycle(FAINT), strict=False)
    }
    return {**grey, **bright}


def _mark_values(axis: Axes, curves: Sequence[Curve]) -> None:
    """Ticks at the values that were run if they are few, as powers of two or 1/n where they are; else at powers of ten."""
    values = np.unique(np.concatenate([curve.values for curve in curves])) if curves else np.array([1.0])
    if values.size <= MARKED:
        axis.set_xticks(values, [_tick(value) for value in values])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_minor_locator(NullLocator())
    low, high = axis.get_ylim()
    if np.log10(high / low) < 1.2:  # fewer than two powers of ten in sight
        axis.set_ylim(low / 4, high * 4)


def _tick(value: float) -> str:
    mantissa, exponent = np.frexp(value)
    if mantissa == 0.5:
        return "2" + str(exponent - 1).translate(SUPERSCRIPT)
    n = round(1 / value)
    return f"1/{n}" if n > 1 and abs(n * value - 1) < 1e-9 else f"{value:.3g}"


def _reference(axis: Axes, curves: Sequence[Curve], slope: float) -> None:
    """A dotted line of the given slope below the curve whose overall order is nearest to it."""
    nearest = min(curves, key=lambda curve: abs(_overall_order(curve) - slope), default=None)
    if nearest is None or abs(_overall_order(nearest) - slope) > 0.5:
        return
    values, errors = nearest.values, nearest.errors
    line = 0.5 * errors[-1] * (values / values[-1]) ** slope
    axis.loglog(values, line, ":", color="0.4", linewidth=0.8)
    middle = float(np.sqrt(values[0] * values[-1])), float(np.sqrt(line[0] * line[-1]))
    axis.annotate(f"slope {slope:g}", middle, (3, -3), textcoords="offset points", va="top", fontsize=6.5)


def _overall_order(curve: Curve) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        order = np.log(curve.errors[0] / curve.errors[-1]) / np.log(curve.values[0] / curve.values[-1])
    return float(order) if np.isfinite(order) else np.inf


def plot_trajectory(trajectory: Trajectory, i: int = -1) -> Figure:
    """What the flow did until ``times[i]``.

    In 1D the potentials and the densities of all times up to it; in 2D its density and the displacement ∇u, with arrows.

    Parameters
    ----------
    trajectory : on a torus or a box, in one or two dimensions.
    i : index of the last time drawn.

    Returns
    -------
    A matplotlib ``Figure`` of two panels.

    Raises
    ------
    ValueError : three dimensions; slice the arrays and plot those.

    Examples
    --------
    >>> from pmasolve import MongeAmpere, Problem, Torus, evolve
    >>> problem = Problem(Torus((16,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> len(plot_trajectory(evolve(MongeAmpere(problem), [0.01])).axes)
    2
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(2 * PANEL[0], PANEL[1]), layout="constrained")
        left, right = figure.subplots(1, 2)
        match trajectory.flow.problem.domain.dim:
            case 1:
                _draw_line(trajectory, range(trajectory.times.size)[i], left, right)
            case 2:
                _draw_plane(trajectory, range(trajectory.times.size)[i], left, right)
            case dim:
                raise ValueError(f"a trajectory in {dim} dimensions: plot_trajectory draws 1 or 2; slice the arrays")
    return figure


def _draw_line(trajectory: Trajectory, last: int, left: Axes, right: Axes) -> None:
    x = trajectory.flow.problem.domain.axis(0)
    colors = matplotlib.colormaps["cividis"](np.linspace(0.0, 0.85, last + 1))
    for j in range(last + 1):
        left.plot(x, trajectory.centred[j], color=colors[j], label=f"t = {trajectory.times[j]:.3g}")
        right.plot(x, np.exp(trajectory.log_density(j)), color=colors[j])
    right.plot(x, np.exp(-trajectory.flow.problem.f), "k:", label="$e^{-f}$")
    left.set(xlabel="x", ylabel="u, mean removed")
    right.set(xlabel="x", ylabel=r"density $\rho_t$")
    left.legend(loc="best")
    right.legend(loc="best")


def _draw_plane(trajectory: Trajectory, i: int, left: Axes, right: Axes) -> None:
    grid = trajectory.flow.problem.domain
    displacement = trajectory.map(i) - grid.points
    pictures = (
        (left, np.exp(trajectory.log_density(i)), rf"density $\rho_t$, t = {trajectory.times[i]:.3g}"),
        (right, np.hypot(*displacement), r"displacement $|\nabla u|$"),
    )
    for axis, values, title in pictures:
        image = axis.pcolormesh(*grid.points, values, cmap="cividis", shading="nearest", rasterized=True)
        axis.set(title=title, xlabel="x", ylabel="y", aspect="equal")
        axis.figure.colorbar(image, ax=axis, shrink=0.85)
    every = tuple(slice(n // 32, None, max(1, n // 16)) for n in grid.shape)
    arrows = (*grid.points[(slice(None), *every)], *displacement[(slice(None), *every)])
    right.quiver(*arrows, color="white", angles="xy", pivot="tail", width=0.006)


def plot_transport(T: Transport, lines: int = 24) -> Figure:
    """Source and target of a map, and the image of a regular mesh under it; in 1D both densities, and the displacement T(x) − x.

    Parameters
    ----------
    T : a map in one or two dimensions.
    lines : of the mesh, along each axis.

    Returns
    -------
    The figure: three axes in 2D, two in 1D.

    Raises
    ------
    ValueError : three dimensions.

    Examples
    --------
    >>> from pmasolve import Problem, Torus, transport
    >>> len(plot_transport(transport(Problem(Torus((16,)), np.zeros(16), lambda y: 0.1 * np.cos(2 * np.pi * y)))).axes)
    2
    """
    grid = T.problem.domain
    if grid.dim == 1:
        return _plot_on_a_line(T)
    if grid.dim != 2:
        raise ValueError(f"a map in {grid.dim} dimensions: plot_transport draws 1 or 2; slice the arrays")
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3 * PANEL[0], PANEL[1]), layout="constrained")
        left, middle, right = figure.subplots(1, 3)
        for axis, f, title in ((left, T.problem.f, "source"), (right, T.problem.g, "target")):
            axis.pcolormesh(*grid.points, np.exp(-f), cmap="cividis", vmin=0.0, shading="nearest", rasterized=True)
            axis.set(title=title, aspect="equal")
        step = [max(1, n // lines) for n in grid.shape]
        middle.plot(*T.map[:, :: step[0]].transpose(0, 2, 1), color=OKABE_ITO[0], linewidth=0.5)
        middle.plot(*T.map[:, :, :: step[1]], color=OKABE_ITO[0], linewidth=0.5)
        middle.set(title=f"map, $W_2$ = {T.w2:.4g}", aspect="equal")
    return figure


def _plot_on_a_line(T: Transport) -> Figure:
    x = T.problem.domain.axis(0)
    with panels(2) as (figure, (left, right)):
        left.plot(x, np.exp(-T.problem.f), color=OKABE_ITO[0], label="source")
        left.plot(x, np.exp(-T.problem.g), color=OKABE_ITO[1], linestyle="--", label="target")
        left.set(xlabel="x", ylabel="density", ylim=(0, None))
        left.legend(loc="best")
        right.plot(x, T.map[0] - x, color=OKABE_ITO[0])
        right.axhline(0.0, color="0.7", linewidth=0.6)
        right.set(xlabel="x", ylabel="T(x) − x", title=f"map, $W_2$ = {T.w2:.4g}")
    return figure


def save_figure(figure: Figure, path: str | Path, *, formats: Sequence[str] = ("svg", "pdf")) -> list[Path]:
    """Write ``path`` once for each format, with the format's suffix, without dates: equal figures are equal files.

    All are drawn before the first is written, and each is written whole or not at all.

    Parameters
    ----------
    figure : a matplotlib ``Figure``.
    path : of the files, without a suffix.
    formats : their suffixes, "svg", "pdf" or "png".

    Returns
    -------
    The paths that were written, one for each format.

    Raises
    ------
    OSError : the folder does not exist or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> study = Study.over("h", [0.1, 0.05], lambda h: {"sup": h**2})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in save_figure(plot_orders({"a": study}), f"{folder}/orders", formats=["svg"])]
    ['orders.svg']
    """
    drawn = {Path(f"{os.fspath(path)}.{suffix}"): BytesIO() for suffix in formats}
    with matplotlib.rc_context(STYLE):
        for target, out in drawn.items():
            figure.savefig(out, format=target.suffix[1:], metadata=_metadata(target.suffix))
    for target, out in drawn.items():
        with whole(target) as stream:
            stream.write(out.getvalue())
    return list(drawn)


def svg(figure: Figure) -> str:
    """The <svg> element alone, to be put into HTML: no declaration, no links, no fonts."""
    out = StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(out, format="svg", metadata=_metadata(".svg"))
    return out.getvalue()[out.getvalue().index("<svg") :]


def pdf(figure: Figure) -> bytes:
    """The bytes of a PDF file with the figure, without dates."""
    out = BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(out, format="pdf", metadata=_metadata(".pdf"))
    return out.getvalue()


def _metadata(suffix: str) -> dict[str, None]:
    keys = {".svg": ("Date", "Creator", "Format", "Type"), ".pdf": ("CreationDate", "Creator", "Producer")}
    return dict.fromkeys(keys.get(suffix, ()))
