"""pmasolve warmup: compile beforehand what first calls need."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from typing import Annotated

import numpy as np
import typer

from ..flows.loop import evolve
from ..flows.monge_ampere import MongeAmpere
from ..machine.arrays import Array
from ..maps.semidual import SemiDual
from ..maps.transport import transport
from ..problems.grids import Box, Grid, Torus
from ..problems.problem import Problem
from ..sinkhorn.iteration import Sinkhorn
from ..sinkhorn.schroedinger import schroedinger

POINTS = {1: 64, 2: 32, 3: 16}  # of each axis, by dimension
CLOUD = 600
EPS = 1 / 16


def smooth(dim: int, kind: type[Torus] | type[Box] = Torus) -> Problem:
    """A small problem that Newton's method and the PDE solve."""

    def wave(*x: Array) -> Array:
        return 0.1 * sum(np.cos(2 * np.pi * axis) for axis in x)

    grid: Grid = kind((POINTS[dim],) * dim)
    return Problem(grid, wave, lambda *x: -wave(*x))


def maps(dim: int) -> None:
    """The map between smooth densities."""
    for kind in (Torus, Box):
        transport(smooth(dim, kind))


def equation(dim: int) -> None:
    """The parabolic Monge–Ampère equation."""
    for kind in (Torus, Box):
        evolve(MongeAmpere(smooth(dim, kind), rtol=1e-4), [1 / 64], throw=False)


def grids(dim: int) -> None:
    """Sinkhorn on grids."""
    for kind in (Torus, Box):
        evolve(Sinkhorn(smooth(dim, kind), EPS), [EPS], throw=False)


def clouds(dim: int) -> None:
    """Sinkhorn on clouds of points, and its fixed point."""
    random = np.random.default_rng(0)
    problem = Problem.from_samples(random.random((CLOUD, dim)), random.random((CLOUD, dim)))
    evolve(Sinkhorn(problem, EPS), [EPS], throw=False)
    schroedinger(problem, EPS)


def rough(dim: int) -> None:
    """The map between densities with zeros."""
    values = np.random.default_rng(0).random((2, *(POINTS[dim],) * dim))
    transport(Problem.from_densities(Torus(values.shape[1:]), *np.maximum(values - 0.2, 0.0)), method=SemiDual())


KINDS: tuple[Callable[[int], None], ...] = (clouds, rough, maps, equation, grids)


def timed(kind: Callable[[int], None], dim: int) -> float:
    """Seconds of a kind of problem, for the first time."""
    began = time.perf_counter()
    kind(dim)
    return time.perf_counter() - began


def warmup(
    dim: Annotated[list[int] | None, typer.Option(help="only this dimension; may be given twice", min=1, max=3)] = None,
    jobs: Annotated[int, typer.Option(help="processes side by side", min=1)] = os.cpu_count() or 1,
) -> None:
    """Compile what first calls of transport, MongeAmpere and Sinkhorn need in 1D to 3D, so that they start at once.

    It is kept beside the package, or in the folder NUMBA_CACHE_DIR.
    """
    todo = list(product(KINDS, dim or (1, 2, 3)))
    if jobs > 1:
        with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
            running = {pool.submit(timed, *job): job for job in todo}
            for future in as_completed(running):
                kind, dimension = running[future]
                typer.echo(f"{kind.__name__} in {dimension}D: {future.result():.1f} s")
    # Two processes that keep versions of one loop at the same moment keep one of them; here the other is made again.
    seconds = sum(timed(*job) for job in todo)
    typer.echo(f"all together from the cache: {seconds:.1f} s")
