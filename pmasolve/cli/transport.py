"""pmasolve transport: the optimal map between two images or arrays."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap
from typing import Annotated

import numpy as np
import typer

from ..machine import archives
from ..machine.speaking import WIDTH
from ..maps.certificates import Interval
from ..maps.files import save_map
from ..maps.transport import transport
from ..maps.transported import Transport
from ..problems.grids import Box, Torus
from ..problems.problem import Problem
from ..studies.figures import check_film, save_figure
from ..studies.films import save_film
from ..studies.transports import plot_transport
from .door import ArrayName, AsJson, Clip, FigureFile, Frame, Lengths, Periodic, door, say, undone
from .inputs import ReadingOptions, check_figure, check_memory, check_outputs, lengths_of


def transport_command(
    source: Annotated[
        Path, typer.Argument(help="an image, an array, a table: what read_array reads", show_default=False)
    ],
    target: Annotated[Path, typer.Argument(help="the same, of the same shape", show_default=False)],
    out: Annotated[Path | None, typer.Option(help="the file for the map (.npz)")] = None,
    figure: FigureFile = None,
    film: Annotated[
        Path | None, typer.Option(help="McCann's path as a film (.gif, .mp4) or as pictures: path-00.png, …")
    ] = None,
    frames: Annotated[int | None, typer.Option(help="of the path, to frames-00.png, … without --film", min=2)] = None,
    periodic: Periodic = False,
    floor: Annotated[float, typer.Option(help="added to both, in units of their largest values", min=0.0)] = 0.0,
    gap: Annotated[float, typer.Option(help="relative width of the certified interval that is good enough")] = 1e-3,
    array: ArrayName = None,
    frame: Frame = None,
    lengths: Lengths = None,
    clip: Clip = 0.0,
    as_json: AsJson = False,
) -> None:
    """Find the optimal map between two densities and what it costs; the longest side has length 1 unless lengths are given."""
    with door():
        film = film or (frames and Path("frames.png")) or None
        check_figure(figure)
        if film is not None:
            check_film(film)
        check_outputs((out and archives.target_of(out), figure, film), (source, target))
        problem = _problem_of_files((source, target), ReadingOptions(array, frame, floor, clip), lengths, periodic)
        T = transport(problem, gap=gap)
        written = [] if out is None else [save_map(T, out)]
        if figure is not None:
            written += save_figure(plot_transport(T), figure)
        if film is not None:
            written += save_film(T, film, frames=frames)
        say(_map_words(T, written), _map_record(T, written), as_json)
        if not T.outcome.ok:
            undone(T.outcome)


def _problem_of_files(
    files: tuple[Path, Path], reading: ReadingOptions, lengths: str | None, periodic: bool
) -> Problem:
    samples = [(path, reading.of(path)) for path in files]
    (_, mu), (_, nu) = samples
    check_memory(mu.values.shape)
    grid = (Torus if periodic else Box)(mu.values.shape, lengths_of(lengths, samples))
    return Problem.from_densities(grid, mu.values, nu.values)


def _map_words(T: Transport, written: list[Path]) -> str:
    i = T.interval
    nodes = (
        []
        if T.nodes is None
        else [f"between the masses of the nodes W2² in [{T.nodes.lower:.10g}, {T.nodes.upper:.10g}]"]
    )
    said = [
        _headline(T),
        f"W2 = {_digits(T.w2, i)}, W2² in [{i.lower:.10g}, {i.upper:.10g}], gap {T.gap:.2g}",
        f"of {i.problem}",
        *nodes,
        f"push-forward error {T.residual:.2g} (L¹)" + _convexity(T),
    ]
    lines = [line for words in said for line in wrap(words, WIDTH, subsequent_indent="  ")]
    return "\n".join([*lines, *map(str, written)])


def _headline(T: Transport) -> str:
    """The outcome, and which problem it is about."""
    between = "masses at the nodes (pixels, bins)" if T.of_nodes else "densities as functions, not their pixels' masses"
    return f"{T.outcome.name}, between {between}" + (f": {T.outcome.advice}" if T.outcome.advice else "")


def _digits(value: float, interval: Interval) -> str:
    """W₂ with as many digits as its interval holds, ten at most."""
    width = np.sqrt(interval.upper) - np.sqrt(interval.lower)
    if not np.isfinite(width) or width == 0.0:
        return f"{value:.10g}"
    last = int(np.floor(np.log10(width)))  # the place of the last digit that means something
    kept = round(value, -last) + 0.0
    return "0" if kept == 0 else f"{kept:.{max(1, min(10, int(np.floor(np.log10(kept))) - last + 1))}g}"


def _convexity(T: Transport) -> str:
    """The least eigenvalue, which maps with kinks do not have."""
    return "" if np.isnan(T.min_eigenvalue) else f", least eigenvalue of D²φ {T.min_eigenvalue:.3g}"


def _map_record(T: Transport, written: list[Path]) -> dict[str, object]:
    return {
        "outcome": T.outcome.name,
        "ok": T.outcome.ok,
        "w2": T.w2,
        "w2_squared": T.w2_squared,
        "lower": T.interval.lower,
        "upper": T.interval.upper,
        "gap": T.gap,
        "problem": T.interval.problem,
        "nodes": None if T.nodes is None else [T.nodes.lower, T.nodes.upper],
        "residual": T.residual,
        "min_eigenvalue": None if np.isnan(T.min_eigenvalue) else T.min_eigenvalue,
        "method": type(T.method).__name__,
        "lengths": T.problem.domain.lengths,
        "written": written,
    }
