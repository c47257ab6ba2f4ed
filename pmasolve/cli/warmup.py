"""pmasolve warmup: compile beforehand what first calls need."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated

import numpy as np
import typer

from ..flows.loop import evolve
from ..flows.monge_ampere import MongeAmpere
from ..machine.arrays import Array
from ..machine.progress import progress_bar
from ..maps.semidual import SemiDual
from ..maps.transport import transport
from ..problems.grids import Box, Grid, Torus
from ..problems.problem import Problem
from ..sinkhorn.iteration import Sinkhorn
from ..sinkhorn.schroedinger import schroedinger
from .door import EXIT_BROKEN_OFF, AsJson, RecordFile, door, fail, say

POINTS = {1: 64, 2: 32, 3: 16}  # of each axis, by dimension
NODES_OF_CLUSTERS = {1: 128, 2: 12, 3: 5}  # likewise: more than fit into one cluster each
CLOUD_OF_PAIRS, CLOUD = 40, 600  # points: all pairs are summed one by one, and by expansions
EPS = 1 / 16
POLLED = 0.1  # seconds between two looks at the processes


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
    for size in (CLOUD_OF_PAIRS, CLOUD):
        problem = Problem.from_samples(random.random((size, dim)), random.random((size, dim)))
        evolve(Sinkhorn(problem, EPS), [EPS], throw=False)
    schroedinger(problem, EPS)


def rough(dim: int) -> None:
    """The map between densities with zeros."""
    values = np.random.default_rng(0).random((2, *(POINTS[dim],) * dim))
    transport(Problem.from_densities(Torus(values.shape[1:]), *np.maximum(values - 0.2, 0.0)), method=SemiDual())


def simplex(dim: int) -> None:
    """Optimal transport between few nodes, exactly."""
    values = np.random.default_rng(0).random((2, *(NODES_OF_CLUSTERS[dim],) * dim))
    transport(Problem.from_densities(Box(values.shape[1:]), *values), gap=0)


WARMUPS: tuple[Callable[[int], None], ...] = (clouds, rough, simplex, maps, equation, grids)


def timed(kind: Callable[[int], None], dims: Sequence[int]) -> float:
    """Seconds of a kind of problem in these dimensions."""
    began = time.perf_counter()
    with progress_bar(kind.__name__, 1.0, False):  # inside, nobody tells how far a flow is
        for dim in dims:
            kind(dim)
    return time.perf_counter() - began


def side_by_side(dims: Sequence[int], jobs: int) -> Iterator[tuple[str, float]]:
    """Compile every kind in a process of its own, so many at a time; their names and seconds since the beginning, as they end.

    The processes have a session of their own, so that Ctrl-C on a terminal comes to this one only, which ends them.
    """
    began, waiting, running = time.perf_counter(), list(WARMUPS), dict[str, subprocess.Popen[bytes]]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                name = waiting.pop(0).__name__
                code = f"from {__name__} import {name}, timed; timed({name}, {list(dims)})"
                running[name] = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
            time.sleep(POLLED)
            for name in [name for name, process in running.items() if process.poll() is not None]:
                del running[name]
                yield name, time.perf_counter() - began
    finally:
        for process in running.values():
            process.terminate()
            process.wait()


def warmup_command(
    dim: Annotated[list[int] | None, typer.Option(help="only this dimension; may be given twice", min=1, max=3)] = None,
    jobs: Annotated[int, typer.Option(help="processes side by side", min=1)] = os.cpu_count() or 1,
    out: RecordFile = None,
    as_json: AsJson = False,
) -> None:
    """Compile what first calls of transport, MongeAmpere and Sinkhorn need in 1D to 3D, so that they start at once.

    It is kept beside the package, or in the folder NUMBA_CACHE_DIR.
    """
    dims, before = dim or (1, 2, 3), signal.signal(signal.SIGTERM, signal.default_int_handler)
    after: dict[str, float] = {}
    try:
        if jobs > 1:
            typer.echo(
                f"compiling in {min(jobs, len(WARMUPS))} processes; Ctrl-C stops, and keeps what is compiled",
                err=as_json,
            )
            for name, seconds in side_by_side(dims, jobs):
                after[name] = seconds
                typer.echo(f"{name} after {seconds:.1f} s", err=as_json)
        # Two processes that keep versions of one loop at the same moment keep one of them; here the other is made again.
        cached = sum(timed(kind, dims) for kind in WARMUPS)
        with door():
            say(
                f"all together from the cache: {cached:.1f} s",
                {"after": after, "cached": cached, "dims": dims},
                as_json,
                out,
            )
    except KeyboardInterrupt:
        fail("stopped; what is compiled is kept, and the next warmup goes on from there", EXIT_BROKEN_OFF)
    finally:
        signal.signal(signal.SIGTERM, before)
