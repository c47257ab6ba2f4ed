"""pmasolve denoising: at which signal-to-noise ratio are these samples hard to denoise?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ..samples.denoising import Complexity, Resolution, complexity, resolution
from ..samples.denoising.points import Points
from ..studies.figures import save_figure
from ..studies.scales import gallery as write_gallery
from ..studies.scales import plot_complexity
from .clouds import points_of
from .door import AsJson, FigureFile, RecordFile, door, say
from .inputs import check_figure, check_outputs


def denoising_command(
    data: Annotated[
        Path | None, typer.Argument(help="samples (n, d) or (n,): what read_array reads", show_default=False)
    ] = None,
    low: Annotated[float, typer.Option(help="least signal-to-noise ratio r, per unit of the data")] = 0.1,
    high: Annotated[float, typer.Option(help="largest r")] = 10.0,
    count: Annotated[int, typer.Option(help="how many r", min=2)] = 12,
    draws: Annotated[int, typer.Option(help="draws of Y at every r", min=2)] = 1024,
    seed: Annotated[int, typer.Option(help="of the draws")] = 0,
    figure: FigureFile = None,
    out: RecordFile = None,
    gallery: Annotated[Path | None, typer.Option(help="a folder for figures 1 to 11 of arXiv 2411.01629")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the complexity of samples at every scale, and up to which r so many samples tell it."""
    with door():
        if (data is None) == (gallery is None):
            raise ValueError("one of the two: a file of samples, or --gallery FOLDER for the figures of the paper")
        if gallery is not None:
            page = write_gallery(gallery)
            say(str(page), {"gallery": page}, as_json)
        elif data is not None:
            check_figure(figure)
            check_outputs((figure, out), (data,))
            found = _measure(data, np.geomspace(*_range(low, high), count), draws, seed, figure)
            say(*found, as_json, out)


def _measure(data: Path, snr: np.ndarray, draws: int, seed: int, figure: Path | None) -> tuple[str, dict[str, object]]:
    """What is printed, in words and as a record."""
    law = Points(points_of(data))
    found = complexity(law, snr, draws=draws, seed=seed)
    known = resolution(law, snr, draws=draws, seed=seed)
    written = []
    if figure is not None:
        written = save_figure(plot_complexity(found), figure)
    return _words(law, found, known, written), _record(law, found, known, written)


def _range(low: float, high: float) -> tuple[float, float]:
    if not 0 < low < high < np.inf:
        raise ValueError(f"low={low}, high={high}: give 0 < low < high")
    return low, high


def _words(law: Points, found: Complexity, known: Resolution, written: list[Path]) -> str:
    how = "by quadrature" if found.exact else "drawn"
    lines = [
        f"{law.size} samples in {law.dim} dimensions, {how}",
        "       r    E L_r     s(1)   h(0,r)  ± error       m*  resolved",
    ]
    columns = (found.snr, found.mean, found.survival(1.0), found.integrated_tail(0.0), found.standard_error(0.0))
    for *row, mass, resolved in zip(*columns, found.critical_mass, known.resolved, strict=True):
        lines.append(" ".join(f"{value:8.4g}" for value in (*row, mass)) + ("  yes" if resolved else "  no"))
    low, high = found.critical_snr
    lines += [
        f"L exceeds 1 first between r = {low:.4g} and {high:.4g}; h(0, r) is largest at r = {found.hardest_snr:.4g}",
        f"so many samples tell the law's own numbers up to r = {known.limit:.4g}",
        *(str(path) for path in written),
    ]
    return "\n".join(lines)


def _record(law: Points, found: Complexity, known: Resolution, written: list[Path]) -> dict[str, object]:
    low, high = found.survival_band(1.0)
    return {
        "samples": law.size,
        "dim": law.dim,
        "exact": found.exact,
        "snr": found.snr,
        "mean": found.mean,
        "largest": found.largest,
        "survival": found.survival(1.0),
        "survival_lower": low,
        "survival_upper": high,
        "integrated_tail": found.integrated_tail(0.0),
        "standard_error": found.standard_error(0.0),
        "critical_mass": found.critical_mass,
        "critical_snr": found.critical_snr,
        "hardest_snr": found.hardest_snr,
        "resolved": [bool(value) for value in known.resolved],
        "resolved_up_to": known.limit,
        "written": written,
    }
