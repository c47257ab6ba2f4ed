"""pmasolve compare: errors between two runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ..flows import files as storage
from ..flows.trajectories import Trajectory
from ..studies.convergence import Comparison, compare
from ..studies.curves import Lines, PlotLine, plot_lines
from ..studies.figures import Figure, save_figure
from .building import flow_of, problem_of
from .config import Config, read_config
from .door import AsJson, FigureFile, RecordFile, door, say
from .evolve import CONFIG, started
from .inputs import check_figure, check_outputs


def compare_command(
    a: Annotated[
        Path, typer.Argument(help="a trajectory (.npz), or a configuration (.toml), which is run", show_default=False)
    ],
    b: Annotated[Path, typer.Argument(help="the same, what the first is compared with", show_default=False)],
    figure: FigureFile = None,
    out: RecordFile = None,
    as_json: AsJson = False,
) -> None:
    """Print the errors of one run against another at their common times: sup, L², gradient, log-density, KL."""
    with door():
        check_figure(figure)
        check_outputs((figure, out), (a, b))
        errors = compare(trajectory(a), trajectory(b))
        written = [] if figure is None else save_figure(plot_errors(errors), figure)
        record = {"times": errors.times, **errors.columns(), "written": written}
        say("\n".join([str(errors), *map(str, written)]), record, as_json, out)


def plot_errors(errors: Comparison) -> Figure:
    """Each error over time."""
    known = {name: np.where(c > 0, c, np.nan) for name, c in errors.columns().items() if np.any(c > 0)}
    return plot_lines(
        [
            Lines(
                "",
                "t",
                "error",
                [PlotLine(name, errors.times, column) for name, column in known.items()],
                powers=True,
            )
        ]
    )


def trajectory(path: Path) -> Trajectory:
    """A stored trajectory, with the formulas of its configuration if `pmasolve evolve` made it; or the run of a configuration."""
    if path.suffix not in (".npz", ".toml"):
        raise ValueError(f"{path}: give a trajectory (.npz, what `pmasolve evolve` writes) or a configuration (.toml)")
    if path.suffix == ".toml":
        settings = read_config(path)
        if settings.run is None:
            raise ValueError(f"{path}: run is missing: a table [run] with times = [0.01, 0.02]")
        return started(settings, settings.run)
    stored = storage.provenance(path).get(CONFIG)
    if not isinstance(stored, str):
        return storage.load(path)
    settings = Config.model_validate_json(stored)
    return storage.load(path, flow_of(settings, problem_of(settings)))
