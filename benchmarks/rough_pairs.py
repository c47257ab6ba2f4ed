"""Thirty pairs of images on the torus by the semi-dual, each with its certified interval; the back-and-forth method beside it.

    python benchmarks/rough_pairs.py [--n 128] [--gap 1e-3] [--only photo shapes blobs]

Pairs: photographs and measured images (contrast 15, 1000, or down to exact zeros), shapes with jumps, blobs.
Seconds are CPU time of all threads; back and forth is stopped at the same CPU time.  ``missing``: how far its cost, itself a dual
value, lies below the *lower* end of our interval, relative to it, so that it is wrong by at least that.  Exit status 1 if a gap is
not met.  Needs scikit-learn for two of its photographs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from time import process_time

import numpy as np
from bfm import BackAndForth
from matplotlib import cbook, image
from rich.console import Console
from rich.table import Table
from sklearn.datasets import load_sample_image

from pmasolve import Torus
from pmasolve.machine.arrays import Array
from pmasolve.maps.semidual import SemiDual, SemiDualResult, semidual

Pair = tuple[Array, Array]
HEADS = ("pair", "lower", "upper", "gap", "seconds", "q", "Newton", "CG", "marginal", "BFM steps", "missing")


def resized(picture: Array, n: int) -> Array:
    """Means over n² cells of the middle square, scaled to 0 … 1."""
    side = min(picture.shape)
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    edges, pixels = np.linspace(0, side, n + 1), np.arange(side)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    overlap = np.maximum(overlap, 0.0) * (n / side)
    cells = overlap @ picture[top : top + side, left : left + side] @ overlap.T
    return (cells - cells.min()) / (cells.max() - cells.min())


def pictures(n: int) -> dict[str, Array]:
    """Sample images of matplotlib and scikit-learn."""
    with cbook.get_sample_data("grace_hopper.jpg") as file:
        portrait = image.imread(file).mean(axis=2)
    with cbook.get_sample_data("s1045.ima.gz") as file:
        head = np.frombuffer(file.read(), np.uint16).reshape(256, 256).astype(float)
    with cbook.get_sample_data("jacksboro_fault_dem.npz") as file:
        terrain = file["elevation"].astype(float)
    temple, flower = (load_sample_image(f"{name}.jpg").mean(axis=2) for name in ("china", "flower"))
    every = {"portrait": portrait, "temple": temple, "flower": flower, "head": head, "terrain": terrain}
    return {name: resized(picture, n) for name, picture in every.items()}


def photo(n: int) -> Iterator[tuple[str, Pair]]:
    """Photographs and measurements against each other and against themselves, turned."""
    given = pictures(n)
    given["portrait, turned"] = given["portrait"][::-1, ::-1].T
    names = [("portrait", "portrait, turned"), ("temple", "flower"), ("head", "portrait"), ("terrain", "temple")]
    for a, b in [*names, ("flower", "terrain")]:
        for contrast in (15, 1000, np.inf):
            yield f"{a} → {b}, {contrast:g}", (given[a] + 1 / contrast, given[b] + 1 / contrast)


def shapes(n: int) -> Iterator[tuple[str, Pair]]:
    """A disc, a bar, a ring, two squares: jumps over a background."""
    x = (np.arange(n) + 0.5) / n
    X, Y = np.meshgrid(x, x, indexing="ij")
    disc = 1.0 * ((X - 0.35) ** 2 + (Y - 0.4) ** 2 < 0.04)
    bar = 1.0 * ((np.abs(X - 0.5) < 0.22) & (np.abs(Y - 0.35) < 0.1))
    ring = 1.0 * (np.abs(np.hypot(X - 0.55, Y - 0.5) - 0.25) < 0.08)
    squares = 1.0 * ((np.abs(X - 0.25) < 0.1) & (np.abs(Y - 0.25) < 0.1)) + 0.5 * ((X > 0.6) & (Y > 0.65))
    pairs = {
        "disc + squares → bar": (disc + squares, bar),
        "disc → ring": (disc, ring),
        "ring → squares": (ring, squares),
    }
    for name, (mu, nu) in pairs.items():
        for floor in (1e-2, 1e-3, 0.0):
            yield f"{name}, {floor:g}", (mu + floor, nu + floor)


def blobs(n: int) -> Iterator[tuple[str, Pair]]:
    """Normal bumps, cut at three widths."""
    x = (np.arange(n) + 0.5) / n
    X, Y = np.meshgrid(x, x, indexing="ij")

    def bump(a: float, b: float, width: float) -> Array:
        r2 = ((X - a) ** 2 + (Y - b) ** 2) / width**2
        return np.where(r2 < 9, np.exp(-r2 / 2), 0.0)

    two = bump(0.3, 0.35, 0.07) + 0.7 * bump(0.6, 0.3, 0.05)
    pairs = {
        "two blobs → two": (two, bump(0.65, 0.65, 0.08) + 0.5 * bump(0.3, 0.7, 0.05)),
        "blob → two": (bump(0.5, 0.5, 0.1), two),
    }
    for name, (mu, nu) in pairs.items():
        for floor in (1e-3, 1e-6, 0.0):
            yield f"{name}, {floor:g}", (mu + floor, nu + floor)


KINDS = {"photo": photo, "shapes": shapes, "blobs": blobs}


def back_and_forth(pair: Pair, seconds: float) -> tuple[int, float]:
    """Steps and highest cost within so much CPU time; one step at least."""
    state = BackAndForth(*(density / density.mean() for density in pair))
    began, steps, best = process_time(), 0, 0.0
    while steps == 0 or process_time() - began < seconds:
        state.step()
        steps, best = steps + 1, max(best, state.cost)
    return steps, best


def row(name: str, pair: Pair, gap: float) -> tuple[bool, list[str]]:
    """One pair, both ways; whether the gap was met."""
    torus, began = Torus(pair[0].shape), process_time()
    found: SemiDualResult = semidual(torus, *pair, SemiDual(), gap)
    seconds = process_time() - began
    steps, cost = back_and_forth(pair, seconds)
    finest = [record for record in found.records if record["points"] == torus.size]
    q = np.sqrt(finest[-1]["eps"]) / torus.spacing[0] if finest else np.nan
    relative = (found.upper - found.lower) / found.lower
    krylov = sum(record["krylov"] for record in finest)
    cells = [name, f"{found.lower:.8f}", f"{found.upper:.8f}", f"{relative:.1e}", f"{seconds:.2f}", f"{q:.2f}"]
    cells += [
        str(len(finest)),
        str(krylov),
        f"{found.residual:.0e}",
        str(steps),
        f"{(found.lower - cost) / found.lower:.1e}",
    ]
    return found.outcome.ok, cells


def main() -> int:
    """All pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=128)
    parser.add_argument("--gap", type=float, default=1e-3)
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    options = parser.parse_args()
    for kind in KINDS.values():  # compiled before anything is timed
        _, pair = next(kind(options.n))
        row("", pair, 0.1)
    table = Table(*HEADS, title=f"{options.n}², gap {options.gap:g}", title_justify="left")
    failed = 0
    for kind in options.only:
        for name, pair in KINDS[kind](options.n):
            met, cells = row(name, pair, options.gap)
            failed += not met
            table.add_row(*cells)
            print("·" if met else f"\n{name}: {cells}", end="", flush=True)
    print()
    Console(width=170).print(table)
    print(f"{table.row_count - failed} of {table.row_count} within the gap")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
