"""From a configuration to the objects of the package."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..calculus.differences import FiniteDifference
from ..calculus.operators import Fourier, Space
from ..flows.monge_ampere import MongeAmpere
from ..flows.trajectories import Flow
from ..machine.arrays import Array, shown
from ..problems.grids import Box, Grid, Torus
from ..problems.images import read_array
from ..problems.problem import Problem
from ..sinkhorn.gauges import FORWARD, PLAIN, SELF, SYMMETRIC
from ..sinkhorn.iteration import Sinkhorn
from ..sinkhorn.richardson import Richardson
from .config import Config, DensityTable, MongeAmpereTable, RichardsonTable, SinkhornTable
from .formulas import Formula
from .inputs import ReadingOptions, check_memory

DOMAINS = {"torus": Torus, "box": Box}
GAUGES_BY_NAME = {gauge.name: gauge for gauge in (PLAIN, SYMMETRIC, SELF, FORWARD)}
SPACES_BY_NAME: dict[str, Space] = {
    "fourier": Fourier(),
    "differences-2": FiniteDifference(2),
    "differences-4": FiniteDifference(4),
    "differences-6": FiniteDifference(6),
}


def grid_of(config: Config) -> Grid:
    """The torus or the box, if this machine can hold it."""
    check_memory(config.domain.shape)
    return DOMAINS[config.domain.kind](tuple(config.domain.shape), tuple(config.domain.lengths))


def problem_of(config: Config) -> Problem:
    """The two densities.

    Raises
    ------
    ValueError : a density that the package refuses, or a file of another shape than the grid's.
    OSError : a file that cannot be read.
    """
    grid, tables = grid_of(config), (config.source, config.target)
    if all(table.potential is not None for table in tables):
        return Problem(grid, *(Formula(table.potential or "") for table in tables))
    names = ("source", "target")
    return Problem.from_densities(
        grid, *(_density_of_table(grid, table, name) for table, name in zip(tables, names, strict=True))
    )


def initial_of(config: Config, grid: Grid) -> Array | None:
    """u₀ of a configuration on its grid, of the grid's shape; None for 0."""
    if config.initial.file is not None:
        return read_array(config.initial.file)
    return None if config.initial.formula is None else Formula(config.initial.formula)(*grid.points)


def _density_of_table(grid: Grid, table: DensityTable, name: str) -> Callable[..., Array] | Array:
    """A density of any mass: a callable for formulas, an array for files."""
    if table.file is not None:
        return ReadingOptions(table.array, table.frame, table.floor, table.clip).of(table.file).values
    if table.potential is not None:
        potential = Formula(table.potential)
        return lambda *points: np.exp(-potential(*points))
    density = Formula(table.formula or "")
    lift = table.floor * float(np.max(_checked_values(density, grid, name)))
    return lambda *points: density(*points) + lift


def _checked_values(density: Formula, grid: Grid, name: str) -> Array:
    """The values of a density on the grid.

    Raises
    ------
    ValueError : one that is not finite or negative somewhere, in the words of the file.
    """
    values, said = np.asarray(density(*grid.points)), f"{name}.formula = {shown(density.text)}"
    if (bad := np.count_nonzero(~np.isfinite(values))) > 0:
        raise ValueError(f"{said}: it is not finite at {bad} of {values.size} nodes")
    if (bad := np.count_nonzero(values < 0)) > 0:
        raise ValueError(
            f"{said}: it is negative at {bad} of {values.size} nodes (least {values.min():.3g}), and a density is ≥ 0; "
            "write maximum(…, 0), or potential = '…' for −log of the density"
        )
    return values


def flow_of(config: Config, problem: Problem) -> Flow:
    """The flow of [flow].

    Raises
    ------
    ValueError : there is no such table.
    """
    match config.flow:
        case MongeAmpereTable(rtol=rtol, space=space):
            return MongeAmpere(problem, rtol=rtol, space=SPACES_BY_NAME[space])
        case SinkhornTable(eps=eps, gauge=gauge):
            return Sinkhorn(problem, eps, gauge=GAUGES_BY_NAME[gauge])
        case RichardsonTable(eps=eps, levels=levels):
            return Richardson(problem, eps, levels=levels)
    raise ValueError("flow is missing: a table [flow] with kind = 'monge-ampere', 'sinkhorn' or 'richardson'")
