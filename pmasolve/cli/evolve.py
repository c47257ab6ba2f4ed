"""pmasolve evolve: run the flow of a configuration and keep its trajectory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ..flows import files as storage
from ..flows.loop import evolve, resume
from ..flows.trackers import OnStep, SaveEvery
from ..flows.trajectories import Trajectory
from ..machine import archives
from ..machine.provenance import digest
from ..problems.outcomes import INTERRUPTED
from ..studies.convergence import format_table
from ..studies.figures import check_film, save_figure
from ..studies.films import save_film
from ..studies.runs import plot_trajectory
from .building import flow_of, initial_of, problem_of
from .config import Config, Run, read_config
from .door import AsJson, ConfigFile, FigureFile, door, say, undone
from .inputs import check_figure, check_outputs

CONFIG = "config"  # the configuration in a stored trajectory's provenance


def evolve_command(
    config: ConfigFile,
    out: Annotated[Path | None, typer.Option(help="the file for the trajectory, in place of run.out")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="go on from the file of a run that was interrupted")] = False,
    save_every: Annotated[
        float, typer.Option(help="seconds from one saving of the run so far to the next", min=1.0)
    ] = 60.0,
    figure: FigureFile = None,
    film: Annotated[
        Path | None, typer.Option(help="the densities over time as a film (.gif, .mp4), or as pictures: name-00.png, …")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run the flow of [flow] to the times of [run] and save the trajectory, also one that was interrupted."""
    with door("interrupted before the first step: nothing was written, run it again"):
        check_figure(figure)
        if film is not None:
            check_film(film)
        settings = read_config(config)
        if settings.run is None:
            raise ValueError(f"{config}: run is missing: a table [run] with times = [0.01, 0.02]")
        target = out or settings.run.out
        read_from = (settings.source.file, settings.target.file, settings.initial.file)
        check_outputs((archives.target_of(target), figure, film), read_from)
        keep = SaveEvery(target, seconds=save_every, notes=origin(settings))
        trajectory = resumed(settings, settings.run, target, keep) if resume else started(settings, settings.run, keep)
        path = storage.save(signed(trajectory, settings), target)
        outcome = trajectory.outcome
        drawn = save_figure(plot_trajectory(trajectory), figure) if figure and trajectory.times.size else []
        drawn += save_film(trajectory, film) if film and trajectory.times.size else []
        record = {"outcome": outcome.name, "ok": outcome.ok, "times": trajectory.times, "out": path, "written": drawn}
        words = [str(outcome), _table(trajectory), _where_written(path, target), *map(str, drawn)]
        say("\n".join(filter(None, words)), record | _last(trajectory), as_json)
        if outcome == INTERRUPTED:
            undone(outcome, f"interrupted: {path} keeps what was reached, and --resume goes on from there")
        if not outcome.ok:
            undone(outcome)


def _where_written(path: Path, wanted: Path) -> str:
    """The file that was written, and why if it is another than was asked for."""
    wanted = archives.target_of(wanted)
    return str(path) if path == wanted else f"{path} (not {wanted}, which holds more and is kept)"


def started(settings: Config, run: Run, *on_step: OnStep) -> Trajectory:
    """The trajectory of a configuration, as far as it got."""
    flow = flow_of(settings, problem_of(settings))
    start = initial_of(settings, flow.problem.domain)
    return evolve(flow, run.times, initial=start, on_step=on_step, throw=False)


def resumed(settings: Config, run: Run, path: Path, *on_step: OnStep) -> Trajectory:
    """The rest of a stored trajectory; itself if it is complete."""
    stored = storage.load(path, flow_of(settings, problem_of(settings)))
    start, t = initial_of(settings, stored.flow.problem.domain), stored.latest[0]
    if not np.allclose(stored.initial, 0.0 if start is None else start, rtol=1e-12, atol=0):
        raise ValueError(f"{path} began at another start than [initial]: run it without --resume, to another file")
    passed = [time for time in run.times if time <= t and not np.isclose(stored.times, time, rtol=1e-12, atol=0).any()]
    if passed:
        raise ValueError(
            f"run.times: {path} went past t={passed[0]:.6g} to t={t:.6g} without keeping it: "
            "run it without --resume, to another file, or take Trajectory.at(t) in Python"
        )
    rest = [time for time in run.times if time > t]
    return resume(stored, rest, on_step=on_step, throw=False) if rest else stored


def signed(trajectory: Trajectory, settings: Config) -> Trajectory:
    """A trajectory with the configuration in its provenance, so that its flow can be made again from the file."""
    return replace(trajectory, provenance={**trajectory.provenance, **origin(settings)})


def origin(settings: Config) -> dict[str, str]:
    """What a stored trajectory says of where it comes from: the configuration, and the hash of each file that it names."""
    files = {name: getattr(settings, name).file for name in ("source", "target", "initial")}
    hashes = {f"{name} sha256": digest(file.read_bytes()) for name, file in files.items() if file is not None}
    return {CONFIG: settings.model_dump_json(), **hashes}


def _last(trajectory: Trajectory) -> dict[str, object]:
    """Seconds, and the diagnostics of the last step."""
    records = {name: float(column[-1]) for name, column in trajectory.records.items() if column.size}
    return {"seconds": trajectory.provenance.get("seconds"), "last_step": records}


def _table(trajectory: Trajectory) -> str:
    """The size of potential and displacement at each time."""
    grid = trajectory.flow.problem.domain
    shown = range(trajectory.times.size)
    columns = {
        "t": trajectory.times,
        "sup|u|": [grid.sup(u) for u in trajectory.centred] if shown else [],
        "sup|grad u|": [grid.sup(trajectory.map(i) - grid.points) for i in shown],
    }
    return format_table(columns) if shown else ""
