"""What all figures have in common: style, panels, colour bars, legends, files; the only importer of matplotlib.

Figures are made without pyplot: no state, no window, the same on a machine without a display.  Colours are those of Okabe and Ito
(distinct for all common kinds of colour vision), and every curve has a marker or a kind of line of its own besides, for grey print.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO, StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ..machine.archives import atomic_write
from ..machine.arrays import shown
from ..machine.extras import extra

with extra("plot"):
    import matplotlib
    from matplotlib.animation import AbstractMovieWriter, FFMpegWriter, PillowWriter
    from matplotlib.axes import Axes as Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure as Figure
    from matplotlib.ticker import MaxNLocator, NullLocator
    from matplotlib.transforms import ScaledTranslation

STYLE_FILE = Path(__file__).parent / "paper.mplstyle"
STYLE = matplotlib.rc_params_from_file(STYLE_FILE, use_default_template=False)
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
DASHES = ("-", "--", "-.", ":", (0, (3, 1, 1, 1, 1, 1)))
COLUMN_WIDTH, PAGE_WIDTH = 3.4, 7.0  # inches: one column of a journal, and both
FIGURE_FORMATS = ("png", "svg", "pdf")
FOREIGN = (".jpg", ".jpeg", ".eps", ".ps", ".tif", ".tiff", ".webp", ".gif", ".mp4")  # known, and not written here
LABELS = 28  # points that the numbers and the label below an axis take
NO_TICKS = NullLocator()


class NotebookFigure(Figure):
    """A figure that a notebook shows: it knows by itself only those of pyplot."""

    def _repr_png_(self) -> bytes:
        out = BytesIO()
        self.savefig(out, format="png", dpi=150)
        return out.getvalue()


@contextmanager
def panels(
    columns: int, rows: int = 1, *, width: float | None = None, tall: float = 0.82
) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure of panels, row by row; within the block all is drawn in one style.

    ``width`` in inches, that of a journal's column for one panel and of its page for several unless given; ``tall`` is the height
    of a panel over its width.
    """
    wide = width or (COLUMN_WIDTH if columns == 1 else PAGE_WIDTH)
    with matplotlib.rc_context(STYLE):
        figure = NotebookFigure(figsize=(wide, rows * tall * wide / columns), layout="constrained")
        yield figure, list(figure.subplots(rows, columns, squeeze=False).flat)


@contextmanager
def mosaic(layout: str, *, width: float, height: float) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure of panels as letters stand in the layout, "sm;st" for two rows; its axes in alphabetical order of the letters."""
    with matplotlib.rc_context(STYLE):
        figure = NotebookFigure(figsize=(width, height), layout="constrained")
        axes = figure.subplot_mosaic(layout)
        yield figure, [axes[letter] for letter in sorted(axes)]


def few_ticks(axis: Axes, most: int = 3) -> None:
    """At most so many numbers on each axis, round ones, so that they keep apart in a small panel."""
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_locator(MaxNLocator(most, steps=[1, 2, 5, 10]))


def colour_bar(axis: Axes, image: ScalarMappable, label: str = "") -> None:
    """A scale beside an image, as tall as it, with few numbers."""
    bar = axis.figure.colorbar(image, ax=axis, label=label, fraction=0.046, pad=0.03)
    bar.locator = MaxNLocator(4)
    bar.outline.set_linewidth(0.4)
    bar.update_ticks()


def legend_below(figure: Figure, columns: int = 2) -> None:
    """One legend below all panels, off the data; equal labels are named once."""
    entries = {
        label: line for axis in figure.axes for line, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    if entries:
        figure.legend(
            entries.values(), entries.keys(), loc="outside lower center", ncols=max(1, min(columns, len(entries)))
        )


def legend_under(axis: Axes) -> None:
    """A legend of one panel below its label, off the data."""
    count = len(axis.get_legend_handles_labels()[1])
    if count:
        below = axis.transAxes + ScaledTranslation(0, -LABELS / 72, axis.figure.dpi_scale_trans)
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "bbox_transform": below}
        axis.legend(ncols=3 if count > 3 else count, columnspacing=1.0, **place)


def save_figure(figure: Figure, path: str | os.PathLike[str], *, formats: Sequence[str] | None = None) -> list[Path]:
    """Write a figure in the format that the name ends with: ``map.png``, ``map.svg``, ``map.pdf``.

    All are drawn before the first is written, each whole or not at all and without dates: equal figures are equal files.

    Parameters
    ----------
    figure : a matplotlib ``Figure``.
    path : of the file; a name without such an ending gets one of each of ``formats``.
    formats : "svg", "pdf" or "png"; that of the name unless given, "svg" and "pdf" where it has none.

    Returns
    -------
    The paths that were written, one for each format.

    Raises
    ------
    ValueError : another format; a name that ends with one which ``formats`` lacks.
    OSError : the folder does not exist or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> figure = Figure()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in save_figure(figure, f"{folder}/m.png") + save_figure(figure, f"{folder}/m", formats=["svg"])]
    ['m.png', 'm.svg']
    """
    drawn = {target: BytesIO() for target in _targets(Path(path), formats)}
    with matplotlib.rc_context(STYLE):
        for target, out in drawn.items():
            figure.savefig(out, format=target.suffix[1:], metadata=_metadata(target.suffix))
    for target, out in drawn.items():
        with atomic_write(target) as stream:
            stream.write(out.getvalue())
    return list(drawn)


def _targets(path: Path, formats: Sequence[str] | None) -> list[Path]:
    """The files to write."""
    named = path.suffix[1:] if path.suffix[1:] in FIGURE_FORMATS else None
    wanted = list(formats or ([named] if named else ("svg", "pdf")))
    unknown = [f".{name}" for name in wanted if name not in FIGURE_FORMATS] or [
        s for s in (path.suffix,) if s in FOREIGN
    ]
    if unknown:
        raise ValueError(f"{path}: figures are not written as {unknown[0]}: end the name with .png, .svg or .pdf")
    if named is None:
        return [path.with_name(f"{path.name}.{name}") for name in wanted]
    if named not in wanted:
        raise ValueError(f"{path} and formats={shown(wanted)}: leave one out, the name says .{named}")
    return [path.with_suffix(f".{name}") for name in wanted]


def write_film(figure: Figure, update: Callable[[int], object], frames: int, path: Path, fps: float) -> list[Path]:
    """Draw ``update(0)``, ``update(1)``, … into a film (.gif, .mp4), or into numbered pictures: name-00.png, name-01.png, …

    Raises
    ------
    ValueError : another kind of file; .mp4 where there is no ffmpeg.
    OSError : the folder does not exist or cannot be written.
    """
    if path.suffix[1:] in FIGURE_FORMATS:
        digits = len(str(frames - 1))
        names = [path.with_name(f"{path.stem}-{k:0{max(2, digits)}}{path.suffix}") for k in range(frames)]
        with matplotlib.rc_context(STYLE):
            return [file for k, name in enumerate(names) if update(k) is None for file in save_figure(figure, name)]
    writer = _film_writer(path, fps)
    with TemporaryDirectory() as folder, matplotlib.rc_context(STYLE | {"savefig.dpi": 150}):
        part = Path(folder) / path.name
        with writer.saving(figure, str(part), 150):
            for k in range(frames):
                update(k)
                writer.grab_frame()
        with atomic_write(path) as stream:
            stream.write(part.read_bytes())
    return [path]


def check_film(path: Path) -> None:
    """Refuse now a name that `write_film` would refuse after the work."""
    if path.suffix[1:] not in FIGURE_FORMATS:
        _film_writer(path, 1.0)


def _film_writer(path: Path, fps: float) -> AbstractMovieWriter:
    match path.suffix:
        case ".gif":
            return PillowWriter(fps=fps)
        case ".mp4" if FFMpegWriter.isAvailable():
            return FFMpegWriter(fps=fps, extra_args=["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p"])
        case ".mp4":
            raise ValueError(
                f"{path}: .mp4 needs the program ffmpeg, which is not installed: take .gif, or .png for pictures"
            )
    raise ValueError(f"{path}: films end with .gif or .mp4, numbered pictures with .png, .svg or .pdf")


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


def shades(count: int) -> list[tuple[float, ...]]:
    """Colours from dark to light for a sequence, as of times: distinct in grey print too."""
    return [tuple(colour) for colour in matplotlib.colormaps["cividis"](np.linspace(0.0, 0.85, count))]


def _metadata(suffix: str) -> dict[str, None]:
    keys = {
        ".svg": ("Date", "Creator", "Format", "Type"),
        ".pdf": ("CreationDate", "Creator", "Producer"),
        ".png": ("Software",),
    }
    return dict.fromkeys(keys[suffix])
