"""pmasolve pairwise: the distances between all pairs of images or arrays."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ..machine import archives
from ..machine.arrays import Array
from ..maps.distances import Distances, pairwise
from ..maps.transport import transport
from ..problems.formats.samples import Samples
from ..problems.grids import Box, Torus
from ..studies.figures import save_figure
from ..studies.pictures import draw
from .door import EXIT_UNDONE, ArrayName, AsJson, Clip, FigureFile, Frame, Lengths, Periodic, door, fail, say
from .inputs import ReadingOptions, check_figure, check_memory, check_outputs, lengths_of

ACROSS = 7  # columns of a block of the printed matrix: 80 characters


def pairwise_command(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="images or arrays of one shape; or one file whose first axis counts them", show_default=False
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="the file for the distances (.npz), kept after each pair")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="go on from the file --out of a run that was stopped")
    ] = False,
    figure: FigureFile = None,
    periodic: Periodic = False,
    floor: Annotated[float, typer.Option(help="added to all, in units of their largest values", min=0.0)] = 0.0,
    gap: Annotated[float, typer.Option(help="relative width of the certified intervals that is good enough")] = 1e-3,
    array: ArrayName = None,
    frame: Frame = None,
    lengths: Lengths = None,
    clip: Clip = 0.0,
    as_json: AsJson = False,
) -> None:
    """Find W₂ between all pairs of densities, with certified bounds; the longest side has length 1 unless lengths are given."""
    kept = None if out is None else archives.target_of(out)
    lost = "interrupted: nothing was kept, --out FILE keeps each pair"
    with door(
        lost if kept is None else f"interrupted: {kept} keeps the pairs that are done, and --resume goes on from there"
    ):
        check_figure(figure)
        _check_resume(kept, resume)
        check_outputs((kept, figure), files)
        stack = _stack(files, ReadingOptions(array, frame, floor, clip))
        names, samples = [str(path) for path, _ in stack], [values for _, values in stack]
        sides = lengths_of(lengths, _typical(stack))
        check_memory(samples[0].values.shape)
        grid = (Torus if periodic else Box)(samples[0].values.shape, sides)
        solve = partial(transport, gap=gap)
        found = pairwise(grid, [image.values for image in samples], solve=solve, path=kept)
        written = [] if kept is None else [kept]
        written += [] if figure is None else save_figure(draw(found), figure)
        say(_words(found, names, written), _record(found, names, sides, written), as_json)
        if not found.ok.all():
            bad, pairs = (int(np.count_nonzero(np.triu(flags, 1))) for flags in (~found.ok, np.ones_like(found.ok)))
            fail(
                f"{bad} of {pairs} pairs are not solved as well as was asked: see solved in --json, ok in --out",
                EXIT_UNDONE,
            )


def _check_resume(kept: Path | None, resume: bool) -> None:
    """A file that is there is gone on with only where that is asked for."""
    if resume and kept is None:
        raise ValueError("--resume goes on from the file --out: give it")
    if resume and kept is not None and not kept.exists():
        raise ValueError(f"{kept} does not exist: there is nothing to go on from, leave --resume out")
    if not resume and kept is not None and kept.exists():
        raise ValueError(f"{kept} exists: --resume goes on from it; else give another name, or remove it")


def _stack(files: list[Path], reading: ReadingOptions) -> list[tuple[Path, Samples]]:
    """All densities with their names: one a file, or the layers of a single file."""
    if len(files) > 1:
        return [(path, reading.of(path)) for path in files]
    whole = reading.of(files[0])
    if whole.values.ndim < 2 or len(whole.values) < 2:
        raise ValueError(
            f"{files[0]} has shape {whole.values.shape}: give two files, or one with several along its first axis"
        )
    spacing = None if whole.spacing is None else whole.spacing[1:]
    return [(Path(f"{files[0]}[{k}]"), Samples(layer, spacing)) for k, layer in enumerate(whole.values)]


def _typical(stack: list[tuple[Path, Samples]]) -> list[tuple[Path, Samples]]:
    """The first and the one that differs from it, if there is one: what `lengths_of` compares."""
    (_, first), *others = stack

    def differs(other: Samples) -> bool:
        """Of another shape, spacing or orientation than the first."""
        return (other.values.shape, other.spacing, other.orientation) != (
            first.values.shape,
            first.spacing,
            first.orientation,
        )

    return [stack[0], next((named for named in others if differs(named[1])), stack[-1])]


def _words(found: Distances, names: list[str], written: list[Path]) -> str:
    """The matrix of W₂ in blocks that fit 80 columns, its widest gap, and the files."""
    count = len(names)
    blocks = [_block(found.w2, range(start, min(start + ACROSS, count))) for start in range(0, count, ACROSS)]
    legend = [f"{k}  {name}" for k, name in enumerate(names)]
    return "\n".join([*legend, "", "\n\n".join(blocks), "", *_widest(found.gaps), *map(str, written)])


def _widest(gaps: Array) -> list[str]:
    """How well the bounds hold W₂², and how many pairs have an upper one only."""
    finite, open_ = gaps[np.isfinite(gaps) & (gaps > 0)], int(np.count_nonzero(np.triu(np.isinf(gaps), 1)))
    return [
        *([f"certified, relative gap of W2² at most {finite.max():.2g}"] if finite.size else []),
        *([f"the lower bound of W2² is 0 for {open_} more: a finer grid tells more"] if open_ else []),
    ]


def _block(w2: Array, columns: range) -> str:
    rows = [" W2 ".rjust(6) + "".join(f"{k:>10}" for k in columns)]
    for i, row in enumerate(w2):
        rows.append(f"{i:>5} " + "".join(f"{row[k]:>10.4g}" for k in columns))
    return "\n".join(rows)


def _record(found: Distances, names: list[str], sides: tuple[float, ...], written: list[Path]) -> dict[str, object]:
    return {
        "files": names,
        "ok": bool(found.ok.all()),
        "w2": found.w2,
        "w2_squared": found.w2_squared,
        "lower": found.lower,
        "upper": found.upper,
        "solved": [[bool(ok) for ok in row] for row in found.ok],
        "gap": float(np.nanmax(found.gaps)),
        "lengths": sides,
        "written": written,
    }
