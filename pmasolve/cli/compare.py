"""pmasolve compare: errors between two runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..flows import files as storage
from ..flows.trajectories import Trajectory
from ..studies import convergence
from .building import flow_of, problem_of
from .config import Config, read
from .door import AsJson, door, say
from .evolve import CONFIG, started


def compare(
    a: Annotated[
        Path, typer.Argument(help="a trajectory (.npz), or a configuration (.toml), which is run", show_default=False)
    ],
    b: Annotated[Path, typer.Argument(help="the same, what the first is compared with", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Print the errors of one run against another at their common times: sup, L², gradient, log-density, KL."""
    with door():
        errors = convergence.compare(trajectory(a), trajectory(b))
        say(str(errors), {"times": errors.times, **errors.columns()}, as_json)


def trajectory(path: Path) -> Trajectory:
    """A stored trajectory, with the formulas of its configuration if `pmasolve evolve` made it; or the run of a configuration."""
    if path.suffix not in (".npz", ".toml"):
        raise ValueError(f"{path}: give a trajectory (.npz, what `pmasolve evolve` writes) or a configuration (.toml)")
    if path.suffix == ".toml":
        settings = read(path)
        if settings.run is None:
            raise ValueError(f"{path}: run is missing: a table [run] with times = [0.01, 0.02]")
        return started(settings, settings.run)
    stored = storage.provenance(path).get(CONFIG)
    if not isinstance(stored, str):
        return storage.load(path)
    settings = Config.model_validate_json(stored)
    return storage.load(path, flow_of(settings, problem_of(settings)))
