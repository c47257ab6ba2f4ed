"""Trajectories on disk: one .npz file with arrays and a JSON header, no pickles; written whole or not at all.

The flow itself is not stored (densities may be callables): a trajectory is loaded *for* a flow, and the file knows the densities'
values on the grid, so that a flow over another problem is refused.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..machine import archives
from ..machine.arrays import Array
from ..problems.outcomes import Outcome
from .trajectories import Flow, Trajectory

FORMAT = "pmasolve trajectory 1"


def save(trajectory: Trajectory, path: str | os.PathLike[str]) -> Path:
    """Write a trajectory, complete or interrupted, to ``path`` (.npz); an existing file is replaced only once all is written.

    Raises
    ------
    OSError : the folder does not exist or cannot be written.

    Examples
    --------
    >>> from pmasolve import MongeAmpere, Problem, Torus, evolve
    >>> flow = MongeAmpere(Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y))
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save(evolve(flow, times=[0.01]), Path(folder) / "run.npz")
    ...     load(path, flow).times
    array([0.01])
    """
    t, latest = trajectory.latest
    arrays = {
        "times": trajectory.times,
        "potentials": trajectory.potentials,
        "initial": trajectory.initial,
        "latest": latest,
        **{f"field:{name}": values for name, values in trajectory.fields.items()},
        **{f"record:{name}": values for name, values in trajectory.records.items()},
        **_fingerprint(trajectory.flow),
    }
    outcome = trajectory.outcome
    header = {
        "format": FORMAT,
        "flow": type(trajectory.flow).__name__,
        "t": t,
        "outcome": [outcome.name, outcome.ok, outcome.advice],
        "provenance": dict(trajectory.provenance),
    }
    return archives.write(path, header, arrays)


def load(path: str | os.PathLike[str], flow: Flow) -> Trajectory:
    """Read a trajectory of ``flow`` back; `resume` goes on from it.

    Raises
    ------
    FileNotFoundError : no such file.
    ValueError : a truncated or foreign file, another kind of flow, or other densities or another grid than the flow's.
    """
    arrays = _read(Path(path))
    header = _header(arrays, path)
    if header["flow"] != type(flow).__name__:
        raise ValueError(
            f"{path} holds a run of {header['flow']}, not of {type(flow).__name__}: load it for such a flow"
        )
    for name, values in _fingerprint(flow).items():
        stored = arrays.get(name)
        if stored is None or stored.shape != values.shape or not np.allclose(stored, values, rtol=1e-12, atol=1e-12):
            raise ValueError(f"{path} belongs to another problem ({name} differs): give the flow that made it")
    return Trajectory(
        flow,
        arrays["times"],
        arrays["potentials"],
        Outcome(*header["outcome"]),
        (float(header["t"]), arrays["latest"]),
        arrays["initial"],
        _named(arrays, "field:"),
        _named(arrays, "record:"),
        header["provenance"],
    )


def provenance(path: str | os.PathLike[str]) -> dict[str, str | float]:
    """What a stored trajectory knows of its origin: versions, machine, seconds, and what the maker of the file added.

    Raises
    ------
    FileNotFoundError : no such file.
    ValueError : a truncated or foreign file.
    """
    return _header(_read(Path(path)), path)["provenance"]


def _header(arrays: Mapping[str, Array], path: str | os.PathLike[str]) -> dict[str, Any]:
    header = json.loads(str(arrays["header"]))
    if header.get("format") != FORMAT:
        raise ValueError(f"{path} has format {header.get('format')!r}; this version of pmasolve reads {FORMAT!r}")
    return header


def _fingerprint(flow: Flow) -> dict[str, Array]:
    problem = flow.problem
    where = {"lengths": problem.domain.signature, "target": problem.codomain.signature}
    return {"f": -problem.mu.log_density, "g": -problem.nu.log_density, **where}


def _named(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    return {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}


def _read(path: Path) -> dict[str, Array]:
    try:
        with np.load(path, allow_pickle=False) as data:
            arrays = {name: data[name] for name in data.files}
    except FileNotFoundError:
        raise
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read ({error}): it is truncated, or not a pmasolve trajectory") from error
    missing = {"header", "times", "potentials", "latest", "initial"} - arrays.keys()
    if missing:
        raise ValueError(f"{path} is not a pmasolve trajectory: it lacks {', '.join(sorted(missing))}")
    return arrays
