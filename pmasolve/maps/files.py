"""Transport maps on disk: one .npz file, from which the map is there again without solving."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from ..calculus.differences import FiniteDifference
from ..calculus.operators import Fourier
from ..machine import archives
from ..machine.archives import BadFile, check_finite
from ..machine.arrays import Array, number
from ..problems.grids import GRIDS, Grid
from ..problems.outcomes import Outcome
from ..problems.problem import Problem, checked
from .certificates import Interval
from .exact import Simplex
from .newton import NewtonKrylov
from .semidual import SemiDual
from .transported import Transport

MAP_FORMAT = "pmasolve map 1"
SPACES: dict[str, type] = {"Fourier": Fourier, "FiniteDifference": FiniteDifference}
NUMBERS = ("w2_squared", "residual", "worst", "min_eigenvalue")
METHODS: dict[str, type] = {"NewtonKrylov": NewtonKrylov, "SemiDual": SemiDual, "Simplex": Simplex}


def save_map(T: Transport, path: str | os.PathLike[str]) -> Path:
    """Write a transport map to ``path`` (.npz): ``map`` (dim, *shape) and ``potential`` for any program, the rest for `load_map`.

    A map whose outcome is not ok never takes the place of a file that holds more: another pair's map, one that is ok, or one with
    a narrower gap.  It then goes beside it, to name.unfinished.npz.

    Parameters
    ----------
    T : a transport map.
    path : of the file; .npz is added where it is missing.

    Returns
    -------
    The path that was written.

    Raises
    ------
    OSError : the folder does not exist or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pmasolve import Torus, transport
    >>> T = transport(Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     float(load_map(save_map(T, f"{folder}/map.npz")).w2_squared) == T.w2_squared
    True
    """
    grid = checked(T.problem).domain
    header = {
        "format": MAP_FORMAT,
        "grid": [type(grid).__name__, grid.shape, grid.lengths],
        "space": [type(T.space).__name__, asdict(T.space)],
        "method": [type(T.method).__name__, asdict(T.method)],
        "outcome": T.outcome.stored,
        "interval": asdict(T.interval),
        "nodes": T.nodes and asdict(T.nodes),
        "numbers": {name: getattr(T, name) for name in NUMBERS},
        "records": [dict(record) for record in T.records],
    }
    arrays = {"potential": T.potential, "map": T.map, "source": np.exp(-T.problem.f), "target": np.exp(-T.problem.g)}
    arrays |= {name: values for name in ("barycentre", "spread") if (values := getattr(T, name)) is not None}
    if T.coupling is not None:
        pairs = T.coupling.tocoo()
        arrays["coupling"] = np.stack([*pairs.coords, pairs.data])
    free = path if T.outcome.ok else archives.spared(path, lambda old: _holds_more(old, T))
    return archives.write_archive(free, header, arrays)


def load_map(path: str | os.PathLike[str]) -> Transport:
    """Read a transport map back; its densities are the interpolants of their values on the grid.

    Parameters
    ----------
    path : a file of `save_map`.

    Returns
    -------
    The `Transport`; its densities are the interpolants of their values on the grid.

    Raises
    ------
    FileNotFoundError : no such file.
    ValueError : a damaged or foreign file.

    Examples
    --------
    >>> import tempfile
    >>> from pmasolve import Torus, transport
    >>> T = transport(Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     load_map(save_map(T, f"{folder}/map.npz")).outcome.name
    'reached'
    """
    header, arrays = archives.read_archive(path, MAP_FORMAT, ("potential", "source", "target"))
    with archives.unreadable_refused(path, "a map of pmasolve"):
        kind, shape, lengths = header["grid"]
        grid = GRIDS[kind](tuple(shape), tuple(lengths))
        _check_map(path, grid, arrays)
        return Transport(
            problem=Problem.from_densities(grid, arrays["source"], arrays["target"]),
            potential=arrays["potential"],
            space=_made_setting(SPACES, header["space"]),
            method=_made_setting(METHODS, header["method"]),
            outcome=Outcome.restored(header["outcome"]),
            interval=Interval(**header["interval"]),
            records=tuple(header["records"]),
            barycentre=arrays.get("barycentre"),
            spread=arrays.get("spread"),
            nodes=Interval(**header["nodes"]) if header.get("nodes") else None,
            coupling=_coupling(grid, arrays.get("coupling")),
            **{name: number(header["numbers"][name], name) for name in NUMBERS},
        )


def _coupling(grid: Grid, triples: Array | None) -> csr_array | None:
    """The matrix of rows (x, y, mass)."""
    if triples is None:
        return None
    x, y, mass = triples
    return csr_array((mass, (x.astype(np.int64), y.astype(np.int64))), (grid.size, grid.size))


def _check_map(path: str | os.PathLike[str], grid: Grid, arrays: Mapping[str, Array]) -> None:
    """That each array is one of finite numbers on the grid."""
    shapes = {"map": (grid.dim, *grid.shape), "barycentre": (grid.dim, *grid.shape)}
    if "coupling" in arrays:
        shapes["coupling"] = (3, arrays["coupling"].shape[-1])
    for name, values in arrays.items():
        if values.shape != shapes.get(name, grid.shape):
            raise BadFile(f"{path} is damaged: {name} has shape {values.shape}, and the grid {grid.shape}")
    check_finite(path, arrays)


def _holds_more(path: Path, new: Transport) -> bool:
    """Whether a file must not give way to a map that is not ok."""
    try:
        old = load_map(path)
    except ValueError:  # no map: not ours to replace
        return True
    pairs = ((old.problem.f, new.problem.f), (old.problem.g, new.problem.g))
    if old.problem.domain != new.problem.domain or not all(np.allclose(a, b, rtol=1e-9, atol=1e-9) for a, b in pairs):
        return True
    return old.outcome.ok or old.gap < new.gap


def _made_setting(kinds: Mapping[str, type], described: tuple[str, Mapping[str, Any]]) -> Any:
    name, options = described
    return kinds[name](**options)
