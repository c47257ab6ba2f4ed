"""Trajectories on disk: one .npz file with arrays and a JSON header, no pickles; written whole or not at all.

The file holds the flow as plain data: its type and parameters, and both densities by their values on the nodes.  So a trajectory
is there again without its flow, and one that is loaded *for* a flow is refused, by name, where anything differs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..machine import archives
from ..machine.archives import BadFile, check_finite, with_prefix
from ..machine.arrays import Array, having
from ..problems.outcomes import Outcome
from ..problems.problem import checked
from .descriptions import Description, differences, flow_arrays, flow_description, made
from .trajectories import Flow, Trajectory, followed

TRAJECTORY_FORMAT = "pmasolve trajectory 3"
NEEDED = ("times", "potentials", "latest", "initial", "flow:f", "flow:g")


def save(trajectory: Trajectory, path: str | os.PathLike[str]) -> Path:
    """Write a trajectory, complete or interrupted, to ``path`` (.npz); an existing file is replaced only once all is written.

    A trajectory whose outcome is not ok never takes the place of a file that holds more: another flow's trajectory, more times, or
    a later last step.  It then goes beside it, to name.unfinished.npz.

    Parameters
    ----------
    trajectory : of any flow.
    path : of the file; .npz is added where it is missing.

    Returns
    -------
    The path that was written.

    Raises
    ------
    OSError : the folder does not exist or cannot be written.
    ValueError : a run of a sampler, which is saved by ``as_sampler(run).save(path)``, or ``as_chain``.

    Examples
    --------
    >>> from pmasolve import MongeAmpere, Problem, Torus, evolve
    >>> flow = MongeAmpere(Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y))
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save(evolve(flow, times=[0.01]), Path(folder) / "run.npz")
    ...     load(path).times, load(path).flow.rtol
    (array([0.01]), 1e-08)
    """
    t, latest = followed(trajectory).latest
    remedy = "it has no densities on nodes: save what it found, as_sampler(run).save(path), of JKOSampler as_chain(run).save(path)"
    having(trajectory.flow.problem, "mu", "trajectory", remedy)
    checked(trajectory.flow.problem)
    arrays = {
        "times": trajectory.times,
        "potentials": trajectory.potentials,
        "initial": trajectory.initial,
        "latest": latest,
        **{f"field:{name}": values for name, values in trajectory.fields.items()},
        **{f"record:{name}": values for name, values in trajectory.records.items()},
        **{f"flow:{name}": values for name, values in flow_arrays(trajectory.flow).items()},
    }
    outcome = trajectory.outcome
    header = {
        "format": TRAJECTORY_FORMAT,
        "flow": flow_description(trajectory.flow),
        "t": float(t),
        "outcome": outcome.stored,
        "provenance": dict(trajectory.provenance),
    }
    free = path if outcome.ok else archives.spared(path, lambda old: _holds_longer_run(old, trajectory))
    return archives.write_archive(free, header, arrays)


def load(path: str | os.PathLike[str], flow: Flow | None = None) -> Trajectory:
    """Read a trajectory back; `resume` goes on from it.

    Parameters
    ----------
    path : a file of `save`.
    flow : the flow that made it, every parameter and both densities equal.  Unless given it is made from the file, with the
        densities' interpolants through their values on the nodes: where the densities were formulas, maps and log-densities read
        from it, and what `resume` adds, then carry the interpolation error (splines of degree 5: order 6).

    Returns
    -------
    The `Trajectory`, equal in every array; `resume` goes on from it.

    Raises
    ------
    FileNotFoundError : no such file.
    ValueError : a damaged or foreign file, or one of an earlier version; another flow than ``flow``, by the names of what differs;
        without ``flow``, a flow that is not of the package.

    Examples
    --------
    >>> import tempfile
    >>> from pmasolve import MongeAmpere, Problem, Torus, evolve
    >>> flow = MongeAmpere(Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     load(save(evolve(flow, times=[0.01]), f"{folder}/run"), flow).outcome.name
    'reached'
    """
    header, arrays = archives.read_archive(path, TRAJECTORY_FORMAT, NEEDED)
    with archives.unreadable_refused(path, "a pmasolve trajectory"):
        description, stored = header["flow"], with_prefix(arrays, "flow:")
        if flow is None:
            flow = _made_flow(path, description, stored)
        else:
            _compare(path, description, stored, flow)
        trajectory = Trajectory(
            flow,
            arrays["times"],
            arrays["potentials"],
            Outcome.restored(header["outcome"]),
            (float(header["t"]), arrays["latest"]),
            arrays["initial"],
            with_prefix(arrays, "field:"),
            with_prefix(arrays, "record:"),
            dict(header["provenance"]),
        )
        _check_run(path, trajectory)
    return trajectory


def provenance(path: str | os.PathLike[str]) -> dict[str, str | float]:
    """What a stored trajectory knows of its origin: versions, machine, seconds, and what the maker of the file added.

    Raises
    ------
    FileNotFoundError : no such file.
    ValueError : a damaged or foreign file.
    """
    header, _ = archives.read_archive(path, TRAJECTORY_FORMAT, NEEDED)
    with archives.unreadable_refused(path, "a pmasolve trajectory"):
        return dict(header["provenance"])


def _made_flow(path: str | os.PathLike[str], description: Description, stored: Mapping[str, Array]) -> Flow:
    try:
        return made(description, stored)
    except BadFile as error:
        raise BadFile(f"{path} holds a run of {description['type']}: {error}") from None


def _compare(path: str | os.PathLike[str], description: Description, stored: Mapping[str, Array], flow: Flow) -> None:
    if description["type"] != type(flow).__name__:
        raise BadFile(
            f"{path} holds a run of {description['type']}, not of {type(flow).__name__}: load it for such a flow"
        )
    if found := sorted(differences((description, stored), (flow_description(flow), flow_arrays(flow)))):
        raise BadFile(
            f"{path} belongs to another problem or flow ({'; '.join(found)}): "
            "give the flow that made it, or none: load(path)"
        )


def _holds_longer_run(path: Path, new: Trajectory) -> bool:
    """Whether a file must not give way to an unfinished trajectory."""
    try:
        old = load(path, new.flow)
    except ValueError:  # another flow's, or no trajectory: not ours to replace
        return True
    return old.times.size > new.times.size or old.latest[0] > new.latest[0]


def _check_run(path: str | os.PathLike[str], run: Trajectory) -> None:
    """That the numbers can be those of a run."""
    shape, m, t = run.flow.problem.domain.shape, run.times.size, run.latest[0]
    numbers = {"times": run.times, "potentials": run.potentials, "initial": run.initial}
    if run.outcome.ok:
        numbers["latest"] = run.latest[1]
    check_finite(path, numbers)
    if run.times.ndim != 1 or np.any(np.diff(run.times) <= 0) or np.any(run.times < 0) or not np.all(run.times <= t):
        raise BadFile(f"{path} is damaged: its times do not increase from 0 to the last step")
    steps = {column.shape for column in run.records.values()}
    ends = (shape, run.flow.problem.codomain.shape)
    fitting = [
        run.potentials.shape == (m, *shape),
        run.latest[1].shape == run.initial.shape == shape,
        all(values.shape[:1] == (m,) and values.shape[1:] in ends for values in run.fields.values()),
        len(steps) <= 1 and all(len(step) == 1 for step in steps),
    ]
    if not all(fitting):
        raise BadFile(f"{path} is damaged: the shapes of its arrays do not belong together")
