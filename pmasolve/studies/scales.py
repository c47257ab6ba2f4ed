"""Figures of the complexity of a law over r, and the gallery of arXiv 2411.01629: its figures 1 to 11 on one page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path

import numpy as np

from ..machine.arrays import Array
from ..samples import denoising as dn
from ..samples.denoising.complexity import Complexity
from ..samples.denoising.distances import probabilities, quantiles
from ..samples.denoising.sources import Source
from .curves import Lines, PlotLine, plot_lines
from .figures import Figure, svg
from .pages import prepare_directory, put

SNR_AXIS = np.geomspace(0.1, 20.0, 40)
MASSES = (1.5, 3.0, 10.0)
ETA, CHAIN_STEPS = 0.01, 100

Drawn = tuple[str, Callable[[], Figure]]


def plot_complexity(found: Complexity, M: float = 2.0) -> Figure:
    """E L and h(0, r) with their bands, the share m*, and ζ*_M, over r.

    Parameters
    ----------
    found : at two r at least.
    M : of the effective curvature.

    Returns
    -------
    The figure, three pairs of axes; see `pmasolve.save_figure`.

    Examples
    --------
    >>> figure = plot_complexity(dn.complexity([-1.0, 1.0], snr=[0.5, 1.0, 2.0]))
    >>> [axis.get_xlabel() for axis in figure.axes]
    ['r', 'r', 'r']
    """
    r, error = found.snr, 2 * found.standard_error(0.0)
    h = found.integrated_tail(0.0)
    tail = [PlotLine("h(0, r)", r, h)]
    if not found.exact:
        tail += [PlotLine("± 2 standard errors", r, np.maximum(h - error, 0), True), PlotLine("", r, h + error, True)]
    return plot_lines(
        [
            Lines("integrated tail", "r", "E(L − 1)₊", tail, True),
            Lines(
                "shares",
                "r",
                "m*, s(1)",
                [PlotLine("m*", r, found.critical_mass), PlotLine("s(1)", r, found.survival(1.0))],
                True,
            ),
            Lines("effective curvature", "r", "ζ*/(1 + r²)", _curvatures(found, (M,)), True),
        ]
    )


def gallery(directory: Path) -> Path:
    """Write figures 1 to 11 and one page with all of them into a directory; the path of the page.

    Raises
    ------
    OSError : the directory cannot be written.
    """
    prepare_directory(directory)
    parts = []
    for number, (caption, draw) in enumerate(figures().items(), start=1):
        image = svg(draw())
        put(directory / f"figure-{number:02}.svg", image)
        parts.append(f"<figure>{image}<figcaption>Figure {number}. {escape(caption)}</figcaption></figure>")
    return put(directory / "gallery.html", SCALES_PAGE.format(figures="\n".join(parts)))


def figures() -> Mapping[str, Callable[[], Figure]]:
    """Figures 1 to 11 by caption: tails of two points, examples 1 to 3, shapes, then complexity and chains of examples 4 to 6."""
    out: dict[str, Callable[[], Figure]] = {
        "Two points ±1: survival s and integrated tail h at r = 1/√2, 1.5 and 3.": tails,
        "Example 1, X = 0: ζ* = 1/(1 − e^{−2t}) over time.": lambda: over_time({"X = 0": dn.dirac()}),
        "Example 2, normal laws: ζ* = 1/(1 + e^{−2t}(σ² − 1)) over time.": lambda: over_time(
            {f"σ² = {v:g}": dn.normal(v) for v in (0.25, 1.0, 4.0)}
        ),
        "Example 3, uniform on [−1, 1]: ζ* over time, not monotone.": lambda: over_time({"uniform": dn.Uniform()}),
        "The share m(δ, r) = h(δ, r)/δ of two points, least at δ*, and δ − M h(δ, r), largest at δ*_M.": shapes,
    }
    for number, (name, law) in enumerate(EXAMPLES.items(), start=4):
        out[f"Example {number}, {name}: complexity over r."] = lambda law=law: profile(law)
        out[f"Example {number}, {name}: from δ₀, η = {ETA}, {CHAIN_STEPS} steps; laws and W₂ on the way back."] = (
            lambda law=law: chain(law)
        )
    return out


EXAMPLES: Mapping[str, Source] = {
    "two points ±1": dn.two_points(),
    "spike and slab ½δ₀ + ½N(0, 1)": dn.slab(),
    "four normals": dn.four_modes(),
}


def tails() -> Figure:
    """Figure 1."""
    found = dn.complexity(dn.two_points(), snr=[2**-0.5, 1.5, 3.0])
    u, delta = np.linspace(0.0, 2.5, 201), np.linspace(0.0, 1.0, 101)
    names = ("r = 1/√2", "r = 1.5", "r = 3")
    s = [PlotLine(name, u, row) for name, row in zip(names, found.survival(u), strict=True)]
    h = [PlotLine(name, delta, row) for name, row in zip(names, found.integrated_tail(delta), strict=True)]
    return plot_lines([Lines("survival", "u", "s_r(u)", s), Lines("integrated tail", "δ", "h(δ, r)", h)])


def over_time(laws: Mapping[str, Source]) -> Figure:
    """ζ* over t."""
    t = np.linspace(0.05, 2.0, 60)
    r = 1 / np.sqrt(np.expm1(2 * t[::-1]))
    lines = [PlotLine(name, t, dn.complexity(law, r).effective_curvature()[::-1]) for name, law in laws.items()]
    return plot_lines([Lines("curvature of p_t", "t", "ζ*(t)", lines)])


def shapes() -> Figure:
    """m(δ, r) and δ − M h."""
    delta = np.linspace(0.02, 1.0, 99)
    found = dn.complexity(dn.two_points(), snr=[1.2, 1.5, 3.0])
    shares = [PlotLine(f"r = {r:g}", delta, row) for r, row in zip(found.snr, found.mass(delta), strict=True)]
    h = found.integrated_tail(delta)[1]
    worth = [PlotLine(f"M = {M:g}", delta, delta - M * h) for M in MASSES]
    return plot_lines([Lines("m(δ, r)", "δ", "h/δ", shares), Lines("r = 1.5", "δ", "δ − M h", worth)])


def profile(law: Source) -> Figure:
    """Complexity over r."""
    found = dn.complexity(law, SNR_AXIS)
    deltas = (0.0, 0.5, 1.0)
    h = [PlotLine(f"δ = {d:g}", SNR_AXIS, row) for d, row in zip(deltas, found.integrated_tail(deltas).T, strict=True)]
    shares = [PlotLine("m*", SNR_AXIS, found.critical_mass), PlotLine("s(1)", SNR_AXIS, found.survival(1.0))]
    return plot_lines(
        [
            Lines("integrated tail", "r", "h(δ, r)", h, True),
            Lines("shares", "r", "m*, s(1)", shares, True),
            Lines("effective curvature", "r", "ζ*/(1 + r²)", _curvatures(found, MASSES), True),
        ]
    )


def chain(law: Source) -> Figure:
    """Distribution functions where the chain starts and ends, and W₂ to the target on the way."""
    trip = dn.diffuse_then_denoise(law, dn.dirac(), CHAIN_STEPS, ETA, points=1000, records=21)
    q = probabilities(1000)
    laws = [
        PlotLine("target µ", trip.target[:, 0], q),
        PlotLine("denoised", np.sort(trip.denoised[:, 0]), q),
        PlotLine("diffused start", quantiles(dn.Diffusion(trip.start), float(trip.times[0]), q), q, True),
    ]
    return plot_lines(
        [
            Lines("distribution functions", "x", "mass below x", laws),
            Lines("way back", "t", "W₂ to µ_t", [PlotLine("", trip.times[trip.shown], trip.from_target)]),
        ]
    )


def _curvatures(found: Complexity, masses: tuple[float, ...]) -> list[PlotLine]:
    scale: Array = 1 + found.snr**2
    return [PlotLine(f"M = {M:g}", found.snr, found.effective_curvature(M) / scale) for M in masses]


SCALES_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Denoising by transport: figures 1 to 11</title>
<style>body{{font-family:sans-serif;max-width:60rem;margin:2rem auto}}
figure{{margin:2rem 0}}svg{{max-width:100%;height:auto}}</style>
</head><body><h1>Denoising by transport: figures 1 to 11</h1>
<p>After Liang, Dharmakeerthi, Koriyama, arXiv 2411.01629; computed by pmasolve.denoising, exactly on the line.</p>
{figures}
</body></html>
"""
