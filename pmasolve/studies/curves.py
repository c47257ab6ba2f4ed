"""Curves for papers: errors against a parameter with their orders, and lines over one axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np

from ..machine.arrays import Array
from .convergence import Study, running_orders
from .entries import Section
from .figures import (
    COLUMN_WIDTH,
    DASHES,
    NO_TICKS,
    OKABE_ITO,
    PAGE_WIDTH,
    Axes,
    Figure,
    legend_below,
    legend_under,
    panels,
)

FAINT = ("x", "+", "1", "2")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
MARKED = 9  # values of a parameter that fit below an axis, and markers on a curve
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
SYMBOLS = {"eps": "ε", "h": "h", "rtol": "rtol"}
NORMS = {"sup": "sup |u − ũ|", "l2": "L² norm of u − ũ", "gradient": "sup |∇u − ∇ũ|"}
BELOW = 0.55  # a reference line stands at so many times its curve
ROOM_OF_SLOPES = 0.18  # for the names of slopes, in widths of the panel


@dataclass(frozen=True, eq=False)
class PlotLine:
    """Values y over x, or errors over a parameter; a ``faint`` line is grey and dashed, one without label is in no legend."""

    label: str
    x: Array
    y: Array
    faint: bool = False


@dataclass(frozen=True, eq=False)
class Panel:
    """One pair of axes, both logarithmic: a title, the parameter below, what stands on the left, and curves of errors."""

    title: str
    parameter: str
    curves: Sequence[PlotLine]
    left: str = "error"


@dataclass(frozen=True, eq=False)
class Lines:
    """One pair of axes with lines; ``logarithmic`` is the axis below, ``powers`` that on the left."""

    title: str
    below: str
    left: str
    lines: Sequence[PlotLine]
    logarithmic: bool = False
    powers: bool = False


def plot_lines(drawn: Sequence[Lines]) -> Figure:
    """Panels side by side, in the style of all figures here, each with its legend below it."""
    with panels(len(drawn), width=COLUMN_WIDTH if len(drawn) == 1 else PAGE_WIDTH) as (figure, axes):
        for axis, panel in zip(axes, drawn, strict=True):
            axis.set(title=panel.title, xlabel=panel.below, ylabel=panel.left)
            if panel.logarithmic:
                axis.set_xscale("log")
            if panel.powers:
                axis.set_yscale("log")
            for line, colour, dashes in zip(panel.lines, cycle(OKABE_ITO), cycle(DASHES), strict=False):
                look = {"color": "0.6", "linestyle": "--"} if line.faint else {"color": colour, "linestyle": dashes}
                axis.plot(line.x, line.y, label=line.label, **look)
            legend_under(axis)
    return figure


def plot_orders(
    studies: Mapping[str, Study], *, norms: Sequence[str] = ("sup",), slopes: Sequence[float] = ()
) -> Figure:
    """Errors against the parameter, both logarithmic, a panel for each norm, a curve for each study, with reference slopes.

    Parameters
    ----------
    studies : by the label of their curves; all with the same parameter.
    norms : which errors to draw, one panel for each.
    slopes : orders to draw as dotted lines, each below the curve whose order is nearest.

    Returns
    -------
    A matplotlib ``Figure``, a journal's column wide; panels stand one above the other.

    Examples
    --------
    >>> study = Study.over("h", [0.1, 0.05, 0.025], lambda h: {"sup": 3 * h**2})
    >>> len(plot_orders({"central differences": study}, slopes=[2]).axes)
    1
    """
    drawn = []
    for norm in norms:
        curves = [PlotLine(label, study.values, study.errors[norm]) for label, study in studies.items()]
        parameter = next(iter(studies.values())).parameter
        drawn.append(Panel("", parameter, curves, NORMS.get(norm, norm) if len(norms) > 1 else "error"))
    return plot_panels(drawn, slopes=slopes, columns=1)


def plot_section(section: Section) -> Figure | None:
    """One panel for each test problem and parameter: checks in colour, what was broken in grey; None if nothing can be drawn."""
    panels: dict[tuple[str, str, str], list[PlotLine]] = {}
    for entry in section.entries:
        problem, _, detail = entry.case.partition(", ")
        left = "error" if entry.orders or not entry.columns else ""
        curves = panels.setdefault((problem, entry.parameter, left), [])
        for name, errors in entry.drawn.items():
            label = f"broken: {entry.mutation}" if entry.mutation else f"{detail}, {name}".removeprefix(", ")
            curves.append(PlotLine(label, entry.values, errors, bool(entry.mutation)))
    slopes = sorted({slope for entry in section.entries for slope in entry.slopes})
    drawn = [Panel(title, parameter, curves, left) for (title, parameter, left), curves in panels.items() if curves]
    return plot_panels(drawn, slopes=slopes) if drawn else None


def plot_panels(drawn: Sequence[Panel], *, slopes: Sequence[float] = (), columns: int = 2) -> Figure:
    """Panels side by side, two to a row unless ``columns`` is 1; equal labels look equal and share one legend."""
    columns = min(columns, len(drawn))
    looks = _looks([curve for panel in drawn for curve in panel.curves])
    with panels(columns, -(-len(drawn) // columns), width=COLUMN_WIDTH * columns, tall=0.66) as (figure, axes):
        for axis, panel in zip(axes, drawn, strict=False):
            _draw_curves(axis, panel, looks, slopes)
        for axis in axes[len(drawn) :]:
            axis.remove()
        short = max(map(len, looks), default=0)
        legend_below(figure, columns * (3 if short < 12 else 2 if short < 24 else 1))
    return figure


def _draw_curves(axis: Axes, panel: Panel, looks: Mapping[str, dict[str, Any]], slopes: Sequence[float]) -> None:
    for curve in panel.curves:
        errors = np.where(curve.y > 0, curve.y, np.nan)  # an error of 0 has no logarithm
        every = max(1, errors.size // MARKED)
        axis.loglog(curve.x, errors, label=curve.label, markevery=every, **looks[curve.label])
    solid = [curve for curve in panel.curves if not curve.faint]
    named = [_reference(axis, solid, slope, looks) for slope in slopes]
    if any(named):
        low, high = axis.get_xlim()
        axis.set_xlim(low * (low / high) ** ROOM_OF_SLOPES, high)
    axis.set(title=panel.title, xlabel=SYMBOLS.get(panel.parameter, panel.parameter), ylabel=panel.left)
    _mark_values(axis, panel.curves)


def _looks(curves: Sequence[PlotLine]) -> dict[str, dict[str, Any]]:
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


def _mark_values(axis: Axes, curves: Sequence[PlotLine]) -> None:
    """Ticks at the values that were run if they are few, as powers of two or 1/n where they are; else at powers of ten."""
    values = np.unique(np.concatenate([curve.x for curve in curves])) if curves else np.array([1.0])
    if values.size <= MARKED:
        axis.set_xticks(values, [_tick(value) for value in values])
    axis.xaxis.set_minor_locator(NO_TICKS)
    axis.yaxis.set_minor_locator(NO_TICKS)
    low, high = axis.get_ylim()
    if np.log10(high / low) < 1.2:  # fewer than two powers of ten in sight
        axis.set_ylim(low / 4, high * 4)


def _tick(value: float) -> str:
    mantissa, exponent = np.frexp(value)
    if mantissa == 0.5:
        return "2" + str(exponent - 1).translate(SUPERSCRIPT)
    n = round(1 / value)
    return f"1/{n}" if n > 1 and abs(n * value - 1) < 1e-9 else f"{value:.3g}"


def _reference(axis: Axes, curves: Sequence[PlotLine], slope: float, looks: Mapping[str, dict[str, Any]]) -> bool:
    """A dotted line of the given slope below the curve whose order is nearest to it, named in its colour; whether there is one."""
    nearest = min(curves, key=lambda curve: _away(curve, slope), default=None)
    if nearest is None or _away(nearest, slope) > 0.5:
        return False
    values, errors = nearest.x, nearest.y
    line = BELOW * errors[-1] * (values / values[-1]) ** slope
    colour = looks[nearest.label]["color"]
    axis.loglog(values, line, ":", color=colour, linewidth=1.0)
    last = int(np.argmin(values))
    axis.annotate(
        f"slope {slope:g}", (values[last], line[last]), (-3, -1), textcoords="offset points",
        ha="right", va="center", fontsize=7, color=colour,
    )  # fmt: skip
    return True


def _away(curve: PlotLine, slope: float) -> float:
    """How far the slope is from the curve's order, over all or over the last two values, whichever is nearer."""
    ends = (0, -2) if curve.x.size > 1 else (0,)
    with np.errstate(divide="ignore", invalid="ignore"):
        orders = [running_orders(curve.x[[i, -1]], curve.y[[i, -1]])[0] for i in ends]
    return min((abs(float(order) - slope) for order in orders if np.isfinite(order)), default=np.inf)
