"""Exact transport on grids against exact peers, and certified bounds against an older version of the package.

    python benchmarks/exact.py [--quick] [--only small] [--sizes 32 64 128] [--every 3] [--old PATH]

Per pair of `image_pairs.py`: CPU seconds of the certified answer (gap 1e-3), of the exact one (gap 0), and of the peers, in turns:
POT's dense `emd2` up to 48² nodes with mass, OR-tools' min-cost flow on its three-layer graph (masses rounded to 2⁻⁴⁰) where it is
installed.  MultiScaleOT's exact solver and the back-and-forth code have no package: `native_peers.py` runs them.  ``--old`` is a
checkout, whose certified answers run in a process of their own.  First come
pairs of 28² nodes, with zeros and without, one by one and at once by `pairwise`; there POT has the matrix between all nodes, made
once, and cuts the rows and columns of each pair out.
Threads are those of the environment: NUMBA_NUM_THREADS=OMP_NUM_THREADS=1 for ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from itertools import combinations, islice
from time import process_time

import numpy as np
import ot
from image_pairs import pairs
from rich.console import Console
from rich.table import Table
from scipy.ndimage import gaussian_filter

from pmasolve import Box, Problem, pairwise, transport
from pmasolve.machine.arrays import Array
from pmasolve.problems.grids import Grid

CONSOLE = Console(width=150)
DENSE = 48**2  # nodes of a side up to which POT's matrix is made
WHOLE = 1 << 40  # parts of the mass for solvers in whole numbers
OLD = """
import json, sys
from time import process_time
sys.path.insert(0, sys.argv[1])
from image_pairs import pairs
from pmasolve import Problem, transport
n, every = int(sys.argv[2]), int(sys.argv[3])
chosen = list(pairs(n))[::every]
transport(Problem.from_densities(*chosen[0][1:]))
for name, *given in chosen:
    began = process_time()
    transport(Problem.from_densities(*given))
    print(json.dumps([name, process_time() - began]), flush=True)
"""


def timed(work: Callable[[], object]) -> tuple[float, object]:
    """CPU seconds and the result."""
    began = process_time()
    result = work()
    return process_time() - began, result


def squared(grid: Grid, here: Array, there: Array) -> Array:
    """dist² between two sets of nodes."""
    x = grid.points.reshape(grid.dim, -1)
    d = np.abs(x[:, here, None] - x[:, None, there])
    if not grid.reflects:
        d = np.minimum(d, np.reshape(grid.lengths, (-1, 1, 1)) - d)
    return np.sum(d**2, axis=0)


def pot(grid: Grid, mu: Array, nu: Array) -> tuple[float, float]:
    """CPU seconds and W₂² of POT's dense simplex, the matrix given."""
    here, there = np.flatnonzero(mu), np.flatnonzero(nu)
    if max(here.size, there.size) > DENSE:
        return np.nan, np.nan
    a, b, cost = mu.ravel()[here], nu.ravel()[there], squared(grid, here, there)
    return timed(lambda: float(ot.emd2(a / a.sum(), b / b.sum(), cost, numItermax=10**8)))


def layers(grid: Grid) -> tuple[Array, Array, Array]:
    """Tails, heads and whole costs of the graph in three layers: the first axis is crossed, then the second."""
    n, m = grid.shape

    def along(k: int) -> Array:
        d = np.abs(np.subtract.outer(np.arange(k), np.arange(k)))
        return (d if grid.reflects else np.minimum(d, k - d)) ** 2

    i, j = np.indices(grid.shape).reshape(2, -1)
    first, second = along(n)[i], along(m)[j]  # (N, n), (N, m)
    size = grid.size
    one = np.repeat(np.arange(size), n), size + (np.arange(n) * m + j[:, None]).ravel(), first.ravel()
    two = size + np.repeat(np.arange(size), m), 2 * size + (i[:, None] * m + np.arange(m)).ravel(), second.ravel()
    return tuple(np.concatenate(pair) for pair in zip(one, two, strict=True))


def ortools(grid: Grid, mu: Array, nu: Array) -> tuple[float, float]:
    """CPU seconds and W₂² of OR-tools in whole numbers, the graph given."""
    if find_spec("ortools") is None or grid.shape[0] > 64:
        return np.nan, np.nan
    from ortools.graph.python import min_cost_flow

    tails, heads, costs = layers(grid)
    supplies = []
    for mass in (mu, nu):
        whole = np.floor(mass.ravel() / mass.sum() * WHOLE).astype(np.int64)
        whole[np.argmax(whole)] += WHOLE - whole.sum()
        supplies.append(whole)
    solver = min_cost_flow.SimpleMinCostFlow()
    solver.add_arcs_with_capacity_and_unit_cost(tails, heads, np.full(tails.size, WHOLE), costs)
    solver.set_nodes_supplies(np.arange(3 * grid.size), np.concatenate([supplies[0], 0 * supplies[0], -supplies[1]]))
    seconds, _ = timed(solver.solve)
    return seconds, solver.optimal_cost() / WHOLE * grid.spacing[0] ** 2


def certified_before(path: str, n: int, every: int) -> dict[str, float]:
    """CPU seconds of an older checkout, by pair."""
    here = os.path.dirname(os.path.abspath(__file__))
    run = subprocess.run(
        [sys.executable, "-c", OLD, here, str(n), str(every)],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return dict(map(json.loads, run.stdout.splitlines()))


def of_images(n: int, every: int, old: str | None) -> None:
    """One table."""
    table = Table(
        "pair", "1e-3", "exact", "gap", "rounds", "pairs a node", "POT", "OR-tools", "before", "agrees", title=f"{n}²"
    )
    before = certified_before(old, n, every) if old else {}
    ratios: dict[str, list[float]] = {"POT / exact": [], "OR-tools / exact": [], "before / certified": []}
    chosen = list(pairs(n))[::every]
    transport(Problem.from_densities(*chosen[0][1:]), gap=0)
    for name, grid, mu, nu in chosen:
        problem = Problem.from_densities(grid, mu, nu)
        certified, _ = timed(lambda problem=problem: transport(problem))
        seconds, T = timed(lambda problem=problem: transport(problem, gap=0))
        programs = [record for record in T.records if "pairs" in record and record["points"] == grid.size]
        peers = {"POT / exact": pot(grid, mu, nu), "OR-tools / exact": ortools(grid, mu, nu)}
        for key, (spent, _) in peers.items():
            ratios[key].append(spent / seconds)
        ratios["before / certified"].append(before.get(name, np.nan) / certified)
        apart = [abs(value / T.w2_squared - 1) for _, value in peers.values() if np.isfinite(value)]
        density = programs[-1]["pairs"] / np.count_nonzero(mu)
        shown = [f"{x:.2f}" for x in (certified, seconds)] + [
            f"{T.gap:.0e} {T.outcome.name}",
            str(len(programs)),
            f"{density:.1f}",
        ]
        shown += [f"{x:.2f}" for x in (*(spent for spent, _ in peers.values()), before.get(name, np.nan))]
        table.add_row(name, *shown, f"{max(apart):.0e}" if apart else "")
    CONSOLE.print(table)
    for key, values in ratios.items():
        if np.isfinite(values).any():
            CONSOLE.print(
                f"{n}²: {key}: median {np.nanmedian(values):.2g}, {np.nanmin(values):.2g} to {np.nanmax(values):.2g}"
            )


def digits(zeros: bool) -> Iterator[Array]:
    """Strokes on 28² pixels of 0 to 255, on 0 or on 1."""
    rng = np.random.default_rng(28)
    while True:
        walk = np.cumsum(rng.normal(0, 2.2, (40, 2)), axis=0)
        i, j = np.clip(np.rint(walk - walk.mean(axis=0) + 14), 3, 24).astype(int).T
        image = np.zeros((28, 28))
        image[i, j] = 1.0
        image = gaussian_filter(image, 1.0)
        yield np.round(255 * np.maximum(image / image.max() - 0.02, 0.0)) + (not zeros)


def of_digits(count: int) -> None:
    """Small images one by one: medians of POT's time over ours."""
    grid = Box((28, 28))
    for zeros in (True, False):
        images = list(islice(digits(zeros), 50))
        transport(Problem.from_densities(grid, *images[:2]), gap=0)
        ratios, apart, spent = [], 0.0, []
        for a, b in islice(combinations(images, 2), count):
            ours, T = timed(lambda a=a, b=b: transport(Problem.from_densities(grid, a, b), gap=0))
            theirs, value = pot(grid, a, b)
            ratios.append(theirs / ours)
            spent.append(ours)
            apart = max(apart, abs(value / T.w2_squared - 1))
        CONSOLE.print(
            f"28² {'with zeros' if zeros else 'without'}, {count} pairs: {1e3 * np.median(spent):.2g} ms a pair, "
            f"POT / exact median {np.median(ratios):.2g}, {np.min(ratios):.2g} to {np.max(ratios):.2g}; "
            f"POT is faster on {np.mean(np.less(ratios, 1)):.1%}; values agree to {apart:.0e}"
        )


def of_batches(size: int, batches: int) -> None:
    """All pairs of so many small images at once by `pairwise`, against POT's `emd2` pair by pair; batches in turns."""
    grid = Box((28, 28))
    every = squared(grid, *(np.arange(grid.size),) * 2)

    def peer(images: list[Array]) -> Array:
        nodes = [np.flatnonzero(image) for image in images]
        masses = [image.ravel()[k] / image.sum() for image, k in zip(images, nodes, strict=True)]
        return np.array(
            [
                ot.emd2(
                    masses[i], masses[j], every[np.ix_(nodes[i], nodes[j])], numItermax=10**8, check_marginals=False
                )
                for i, j in combinations(range(len(images)), 2)
            ]
        )

    for zeros in (True, False):
        source, ratios, apart, spent = digits(zeros), [], 0.0, 0.0
        pairwise(grid, list(islice(digits(zeros), 2)), solve=partial(transport, gap=0))
        for _ in range(batches):
            images = list(islice(source, size))
            ours, found = timed(lambda images=images: pairwise(grid, images, solve=partial(transport, gap=0)))
            theirs, values = timed(lambda images=images: peer(images))
            upper = np.triu_indices(size, 1)
            assert found.ok.all()
            ratios.append(theirs / ours)
            spent += ours
            apart = max(apart, float(np.max(np.abs(values / found.w2_squared[upper] - 1))))
            gap = float(np.max(found.gaps[upper]))
        pairs_ = batches * size * (size - 1) // 2
        which = f"28² {'with zeros' if zeros else 'without'}, {pairs_} pairs in {batches} batches"
        CONSOLE.print(
            f"{which}: {1e3 * spent / pairs_:.2g} ms a pair, POT / pairwise median {np.median(ratios):.2g}, "
            f"{np.min(ratios):.2g} to {np.max(ratios):.2g}; values agree to {apart:.0e}, gaps {gap:.0e}"
        )


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="32² only, every fifth pair, ten small images")
    parser.add_argument("--sizes", type=int, nargs="*", default=[32, 64, 128])
    parser.add_argument("--every", type=int, default=1, help="take every so many-th of the thirty pairs")
    parser.add_argument("--old", help="a checkout of an older version")
    parser.add_argument("--only", choices=["small", "images"], help="the pairs of 28² nodes, or all but those")
    chosen = parser.parse_args()
    if find_spec("ortools") is None:
        CONSOLE.print("OR-tools is not installed (pip install ortools): left out")
    if chosen.only != "images":
        of_digits(10 if chosen.quick else 1000)
        of_batches(4 if chosen.quick else 15, 2 if chosen.quick else 10)
    if chosen.only == "small":
        return
    for n in [32] if chosen.quick else chosen.sizes:
        of_images(n, 5 if chosen.quick else chosen.every, chosen.old)


if __name__ == "__main__":
    main()
