"""Arrays and trajectories of slabs on disk: one .npy file for each array, to which every rank writes its own planes.

NumPy reads such a file anywhere, ``np.load(path, mmap_mode="r")``; any number of ranks reads its planes back.  What is written
stands under a name of its own until all ranks are done, and takes its place then: a file is whole, or the one before it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap

from ..flows.descriptions import flow_description
from ..flows.trajectories import Flow, Trajectory, followed
from ..machine.archives import BadFile
from ..machine.arrays import Array
from ..machine.extras import extra
from ..problems.formats.samples import Choice
from ..problems.grids import Grid
from ..problems.outcomes import Outcome
from .domains import SlabTorus

SLABS_FORMAT = "pmasolve slabs 1"
HDF5 = (".h5", ".hdf5")


def write_array(domain: Grid, values: Array, path: str | os.PathLike[str]) -> Path:
    """Write values on the nodes, or a field of vectors, to one .npy file; every rank writes its planes.

    Parameters
    ----------
    domain : the grid, in slabs or not.
    values : (…, *domain.local), with any axes in front.
    path : of the file; an old one is replaced once all is written.

    Returns
    -------
    The path.

    Raises
    ------
    ValueError : values of another shape; on all ranks.

    Examples
    --------
    >>> import tempfile
    >>> from pmasolve import Torus
    >>> torus = Torus((4, 8))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_array(torus, torus.points, f"{folder}/x.npy")
    ...     read_array(torus, path).shape
    (2, 4, 8)
    """
    target, front = Path(path), values.ndim - domain.dim
    wrong = values.shape[max(front, 0) :] != domain.local
    _raise_everywhere(
        domain, ValueError(f"values of shape {values.shape}: give (…, *{domain.local})") if wrong else None
    )
    part = target.with_name(target.name + ".part")
    if _is_first_rank(domain):
        open_memmap(part, "w+", np.float64, (*values.shape[:front], *domain.shape)).flush()
    _wait(domain)
    out = open_memmap(part, "r+")
    out[(slice(None),) * front + (_planes(domain),)] = values
    out.flush()
    _wait(domain)
    if _is_first_rank(domain):
        part.replace(target)
    _wait(domain)
    return target


def read_array(domain: Grid, path: str | os.PathLike[str], name: str | None = None) -> Array:
    """This rank's planes of an array that `write_array`, NumPy or whoever writes HDF5 has written.

    Parameters
    ----------
    domain : the grid, in slabs or not.
    path : a .npy file, or an HDF5 file of this ending (.h5, .hdf5; extra ``hdf5``), of float64 or float32, (…, *domain.shape).
        Every rank opens it for itself and reads no more than its planes, so that HDF5 needs no MPI of its own.
    name : which data set of an HDF5 file, where it holds several.

    Returns
    -------
    (…, *domain.local), float64.

    Raises
    ------
    FileNotFoundError : no such file; on all ranks.
    ValueError : an array of another shape or of other numbers, no such data set.
    ModuleNotFoundError : h5py is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from pmasolve import Torus
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/x.npy", np.zeros((4, 8)))
    ...     read_array(Torus((4, 8)), f"{folder}/x.npy").sum()
    np.float64(0.0)
    """
    error, values = None, np.empty(0)
    try:
        values = np.array(_read_part(Path(path), name, partial(_own_planes, domain, path)), np.float64)
    except (OSError, ValueError, ModuleNotFoundError) as wrong:
        error = wrong
    _raise_everywhere(domain, error)
    return values


def _own_planes(domain: Grid, path: str | os.PathLike[str], shape: tuple[int, ...], kind: np.dtype) -> tuple:
    """This rank's planes in an array of this shape."""
    front = max(len(shape) - domain.dim, 0)
    if shape[front:] != domain.shape or kind not in (np.float64, np.float32):
        raise BadFile(f"{path} holds {kind} of shape {shape}, the grid has {domain.shape} of float64 or float32")
    return (slice(None),) * front + (_planes(domain),)


def _read_part(file: Path, name: str | None, where: Callable[[tuple[int, ...], np.dtype], tuple]) -> Array:
    if file.suffix in HDF5:
        with extra("hdf5"):
            reader = import_module("..problems.formats.hdf5", __package__)
        return reader.read_part(file, Choice(name), where)
    stored = np.load(file, mmap_mode="r", allow_pickle=False)
    return stored[where(stored.shape, stored.dtype)]


def save(trajectory: Trajectory, path: str | os.PathLike[str]) -> Path:
    """Write a trajectory on slabs to a folder, from which any number of ranks goes on.

    Parameters
    ----------
    trajectory : of `MongeAmpere` or `Sinkhorn` on a torus, in slabs or not.
    path : of the folder; an old one is replaced once all is written.

    Returns
    -------
    The path.

    Raises
    ------
    OSError : the folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import pmasolve as pma
    >>> flow = pma.Sinkhorn(pma.Problem(pma.Torus((8, 8)), lambda x, y: 0 * x, lambda x, y: 0 * x), 0.1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     load(save(pma.evolve(flow, [0.1]), f"{folder}/run"), flow).times
    array([0.1])
    """
    target, domain = Path(path), followed(trajectory).flow.problem.domain
    part = target.with_name(target.name + ".part")
    if _is_first_rank(domain):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
    _wait(domain)
    arrays = {"potentials": trajectory.potentials, "latest": trajectory.latest[1], "initial": trajectory.initial}
    for name, values in (arrays | {f"field {name}": v for name, v in trajectory.fields.items()}).items():
        write_array(domain, values, part / f"{name}.npy")
    fingerprint = _fingerprint(trajectory.flow)
    if _is_first_rank(domain):
        header = {
            "format": SLABS_FORMAT,
            "flow": flow_description(trajectory.flow),
            "densities": fingerprint,
            "times": trajectory.times.tolist(),
            "t": float(trajectory.latest[0]),
            "outcome": trajectory.outcome.stored,
            "fields": list(trajectory.fields),
            "records": {name: column.tolist() for name, column in trajectory.records.items()},
            "provenance": dict(trajectory.provenance),
        }
        (part / "header.json").write_text(json.dumps(header), encoding="utf-8")
        old = target.with_name(target.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.replace(old)
        part.replace(target)
        shutil.rmtree(old, ignore_errors=True)
    _wait(domain)
    return target


def load(path: str | os.PathLike[str], flow: Flow) -> Trajectory:
    """Read a trajectory back for the flow that made it, on any number of ranks; `resume` goes on from it.

    Parameters
    ----------
    path : a folder of `save`.
    flow : every parameter and both densities equal, on a domain in slabs or not.

    Returns
    -------
    The `Trajectory`, each rank with its own planes.

    Raises
    ------
    FileNotFoundError : no such folder.
    ValueError : a damaged one, or that of another flow; on all ranks.

    Examples
    --------
    >>> import tempfile
    >>> import pmasolve as pma
    >>> flow = pma.Sinkhorn(pma.Problem(pma.Torus((8, 8)), lambda x, y: 0 * x, lambda x, y: 0 * x), 0.1)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = load(save(pma.evolve(flow, [0.1]), f"{folder}/run"), flow)
    >>> pma.resume(run, [0.2]).times
    array([0.1, 0.2])
    """
    folder, domain = Path(path), flow.problem.domain
    mine, error, header = _fingerprint(flow), None, {}
    try:
        header = json.loads((folder / "header.json").read_text(encoding="utf-8"))
        if header.get("format") != SLABS_FORMAT:
            raise BadFile(f"{folder} is no trajectory in slabs of this version")
        if header["flow"] != json.loads(json.dumps(flow_description(flow))):
            raise BadFile(f"{folder} belongs to another flow: give the one that made it")
        if not np.allclose(header["densities"], mine, rtol=1e-9, atol=1e-9):
            raise BadFile(f"{folder} belongs to other densities: give the flow that made it")
    except (OSError, ValueError) as wrong:
        error = wrong
    _raise_everywhere(domain, error)
    return Trajectory(
        flow,
        np.array(header["times"]),
        read_array(domain, folder / "potentials.npy"),
        Outcome.restored(header["outcome"]),
        (header["t"], read_array(domain, folder / "latest.npy")),
        read_array(domain, folder / "initial.npy"),
        {name: read_array(domain, folder / f"field {name}.npy") for name in header["fields"]},
        _columns(header["records"]),
        header["provenance"],
    )


def _columns(records: Mapping[str, list[float]]) -> dict[str, Array]:
    return {name: np.array(column, dtype=np.float64) for name, column in records.items()}


def _fingerprint(flow: Flow) -> list[float]:
    """Some sums of f and g, by which other densities are told apart; the same on any number of ranks but for roundings."""
    grid = flow.problem.domain
    uneven = np.cos(sum((j + 1.7) * x for j, x in enumerate(grid.points)))
    return [grid.mean(weight * f) for f in (flow.problem.f, flow.problem.g) for weight in (1.0, f, uneven)]


def _planes(domain: Grid) -> slice:
    return domain.planes if isinstance(domain, SlabTorus) else slice(None)


def _is_first_rank(domain: Grid) -> bool:
    return not isinstance(domain, SlabTorus) or domain.ranks.rank == 0


def _wait(domain: Grid) -> None:
    if isinstance(domain, SlabTorus):
        domain.ranks.comm.Barrier()


def _raise_everywhere(domain: Grid, error: Exception | None) -> None:
    """Raise on all ranks."""
    if isinstance(domain, SlabTorus):
        domain.ranks.agree(error)
    elif error is not None:
        raise error
