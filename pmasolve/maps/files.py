"""Transport maps on disk: one .npz file, from which the map is there again without solving."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..calculus.operators import FiniteDifference, Fourier
from ..machine import archives
from ..problems.grids import Box, Grid, Torus
from ..problems.outcomes import Outcome
from ..problems.problem import Problem
from .certificates import Interval
from .newton import NewtonKrylov
from .semidual import SemiDual
from .transport import Transport

FORMAT = "pmasolve map 1"
GRIDS: dict[str, type[Grid]] = {"Torus": Torus, "Box": Box}
SPACES: dict[str, type] = {"Fourier": Fourier, "FiniteDifference": FiniteDifference}
METHODS: dict[str, type] = {"NewtonKrylov": NewtonKrylov, "SemiDual": SemiDual}


def save_map(T: Transport, path: str | os.PathLike[str]) -> Path:
    """Write a transport map to ``path`` (.npz): ``map`` (dim, *shape) and ``potential`` for any program, the rest for `load_map`.

    Raises
    ------
    OSError : the folder does not exist or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pmasolve import transport
    >>> T = transport(Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     float(load_map(save_map(T, f"{folder}/map.npz")).w2_squared) == T.w2_squared
    True
    """
    grid = T.problem.domain
    header = {
        "format": FORMAT,
        "grid": [type(grid).__name__, grid.shape, grid.lengths],
        "space": [type(T.space).__name__, asdict(T.space)],
        "method": [type(T.method).__name__, asdict(T.method)],
        "outcome": [T.outcome.name, T.outcome.ok, T.outcome.advice],
        "interval": asdict(T.interval),
        "numbers": {name: getattr(T, name) for name in ("w2_squared", "residual", "worst", "min_eigenvalue")},
        "records": [dict(record) for record in T.records],
    }
    arrays = {"potential": T.potential, "map": T.map, "source": np.exp(-T.problem.f), "target": np.exp(-T.problem.g)}
    arrays |= {name: values for name in ("barycentre", "spread") if (values := getattr(T, name)) is not None}
    return archives.write(path, header, arrays)


def load_map(path: str | os.PathLike[str]) -> Transport:
    """Read a transport map back; its densities are the interpolants of their values on the grid.

    Raises
    ------
    FileNotFoundError : no such file.
    ValueError : a truncated or foreign file.
    """
    header, arrays = archives.read(path, FORMAT, ("potential", "source", "target"))
    kind, shape, lengths = header["grid"]
    grid = GRIDS[kind](tuple(shape), tuple(lengths))
    return Transport(
        problem=Problem.from_densities(grid, arrays["source"], arrays["target"]),
        potential=arrays["potential"],
        space=_made(SPACES, header["space"]),
        method=_made(METHODS, header["method"]),
        outcome=Outcome(*header["outcome"]),
        interval=Interval(**header["interval"]),
        records=tuple(header["records"]),
        barycentre=arrays.get("barycentre"),
        spread=arrays.get("spread"),
        **header["numbers"],
    )


def _made(kinds: Mapping[str, type], described: tuple[str, Mapping[str, Any]]) -> Any:
    name, options = described
    return kinds[name](**options)
