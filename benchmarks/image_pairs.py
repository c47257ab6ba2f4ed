"""Thirty pairs of rough densities through `transport`: photographs, shapes with jumps, blobs on a background down to 0.

    python benchmarks/image_pairs.py [--quick] [--size 256] [--gap 1e-3] [--bfm]

Photographs are matplotlib's and scikit-learn's sample images, in luminance, averaged down to the grid.  ``--bfm`` adds the
back-and-forth method on the periodic pairs: its dual value against the certified interval.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from time import perf_counter

import matplotlib
import numpy as np
from bfm import BackAndForth
from PIL import Image
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_sample_image

from pmasolve import Box, Problem, Torus, read_array, transport
from pmasolve.machine.arrays import Array
from pmasolve.problems.grids import Grid

CONSOLE = Console(width=140)


def reduced(values: Array, n: int) -> Array:
    """The middle square, averaged down to n × n."""
    side = min(values.shape)
    top, left = ((m - side) // 2 for m in values.shape)
    square = Image.fromarray(values[top : top + side, left : left + side].astype(np.float32))
    return np.asarray(square.resize((n, n), Image.Resampling.BOX), dtype=np.float64)


def photographs(n: int) -> dict[str, Array]:
    """Luminances in [0, 1]."""
    portrait = read_array(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg")
    samples = {name: load_sample_image(f"{name}.jpg").mean(axis=2) for name in ("china", "flower")}
    out = {name: reduced(values, n) / 255 for name, values in {"portrait": portrait, **samples}.items()}
    return {**out, "portrait turned": np.rot90(out["portrait"], 2).T.copy()}


def disc(x: Array, centre: tuple[float, float], radius: float) -> Array:
    """1 inside."""
    return (np.hypot(x[0] - centre[0], x[1] - centre[1]) < radius).astype(float)


def shapes(x: Array) -> dict[str, Array]:
    """Indicators of a disc, a ring, a cross and two squares."""
    a, b = np.abs(x[0] - 0.5), np.abs(x[1] - 0.5)
    squares = np.maximum(np.abs(x[0] - 0.3), np.abs(x[1] - 0.35)) < 0.12
    squares |= np.maximum(np.abs(x[0] - 0.7), np.abs(x[1] - 0.6)) < 0.15
    return {
        "disc": disc(x, (0.42, 0.45), 0.2),
        "ring": disc(x, (0.5, 0.5), 0.35) - disc(x, (0.5, 0.5), 0.2),
        "cross": ((a < 0.08) & (b < 0.35) | (b < 0.08) & (a < 0.35)).astype(float),
        "squares": squares.astype(float),
    }


def blob(x: Array, centre: tuple[float, float], width: float) -> Array:
    """A Gaussian, cut off to 0 at four widths."""
    r2 = np.sum((x - np.reshape(centre, (2, 1, 1))) ** 2, axis=0) / width**2
    return np.where(r2 < 16, np.exp(-0.5 * r2), 0.0)


def pairs(n: int) -> Iterator[tuple[str, Grid, Array, Array]]:
    """Thirty: all photographs at contrasts 15 and 10³, shapes on 10⁻³ and 0, blobs on 10⁻³, 10⁻⁶ and 0."""
    box, torus = Box((n, n)), Torus((n, n))
    for floor in (1 / 14, 1e-3):
        for (one, a), (two, b) in combinations(photographs(n).items(), 2):
            yield f"{one} → {two}, floor {floor:.2g}", torus, a + floor, b + floor
    for floor, grid in ((1e-3, box), (0.0, box)):
        for (one, a), (two, b) in combinations(shapes(grid.points).items(), 2):
            yield f"{one} → {two}, floor {floor:g}", grid, a + floor, b + floor
    for grid in (torus, box):
        a = blob(grid.points, (0.3, 0.4), 0.06)
        b = blob(grid.points, (0.6, 0.55), 0.08) + 0.5 * blob(grid.points, (0.45, 0.75), 0.05)
        for floor in (1e-3, 1e-6, 0.0):
            yield f"blobs, floor {floor:g}, {type(grid).__name__}", grid, a + floor, b + floor


def main() -> None:
    """Parse, run, print, and say how many failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="32², gap 0.05")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--gap", type=float, default=1e-3)
    parser.add_argument("--bfm", action="store_true", help="20 steps of back and forth on the periodic pairs")
    parser.add_argument("--match", default="", help="only pairs whose name contains this")
    chosen = parser.parse_args()
    n, gap = (32, 0.05) if chosen.quick else (chosen.size, chosen.gap)
    table = Table(
        "pair", "method", "s", "steps", "CG", "lower", "gap", "outcome", "back and forth: s", "below the interval"
    )
    warm = Problem.from_densities(Torus((64, 64)), *(disc(Torus((64, 64)).points, (c, 0.5), 0.2) for c in (0.4, 0.6)))
    transport(warm, gap=0.1)
    failed = 0
    for name, grid, a, b in pairs(n):
        if chosen.match not in name:
            continue
        problem = Problem.from_densities(grid, a, b)
        began = perf_counter()
        T = transport(problem, gap=gap)
        spent, failed = perf_counter() - began, failed + (not T.outcome.ok)
        conjugate = sum(int(record.get("krylov", record.get("cg", 0))) for record in T.records)
        row = [name, type(T.method).__name__, f"{spent:.2f}", str(len(T.records)), str(conjugate)]
        row += [f"{T.interval.lower:.8g}", f"{T.gap:.1e}", T.outcome.name]
        table.add_row(*row, *(peer(problem, T.interval.lower) if chosen.bfm and isinstance(grid, Torus) else ("", "")))
    CONSOLE.print(table)
    CONSOLE.print(f"{failed} of {table.row_count} did not reach the gap {gap:g} at {n}²")


def peer(problem: Problem, lower: float) -> tuple[str, str]:
    """Twenty steps of back and forth: seconds, and how far its value lies below the certified lower bound, relative."""
    method = BackAndForth(*(np.exp(-f) for f in (problem.f, problem.g)))
    began = perf_counter()
    for _ in range(20):
        method.step()
    return f"{perf_counter() - began:.2f}", f"{1 - method.w2_squared / lower:.1e}"


if __name__ == "__main__":
    main()
