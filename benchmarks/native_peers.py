"""Peers without a package, built outside and never fetched, against `transport`: MultiScaleOT's exact solver, back and forth.

    python benchmarks/native_peers.py [--quick] [--only exact bfm] [--sizes 32 64] [--every 3 | --pairs 0] [--repeats 3] [--primal]

**MultiScaleOT** (ShortCut over LEMON's network simplex, C++, BSD): `liblemon-dev` of the system, a checkout of
github.com/bernhard-schmitzer/MultiScaleOT (the package on PyPI, 0.3.8, lacks `ShortCutSolver` and `LP_Lemon`; those of v0.2.0 in
…/optimal-transport, without other shields, costs and solvers, were what docs/speed.md has), and in its `src`

    g++ -O3 -std=c++14 -I . PATH/TO/benchmarks/multiscale_ot.cpp Common/*.cpp Common/Models/*.cpp \\
        ShortCutSolver/*.cpp LP_Lemon/*.cpp -o multiscale_ot -llemon
    export MULTISCALE_OT=$PWD/multiscale_ot

or its own CMake for the libraries: -DUSE_LEMON=ON -DUSE_SINKHORN=OFF -DUSE_PYBIND=OFF, LEMON_LIBRARY, LEMON_INCLUDE_DIRECTORY.
It knows the box only, and no node without mass: both get masses in multiples of 2⁻⁴⁰, one of them where there was none; `zeros`
is the time of `transport` on the pair itself.  What counts is its dual check (VCHECK_DUAL); ``--primal`` adds the check that its
example has for LEMON, and how far that value is from the optimum.

**Back and forth** (C++ by Jacobs, Lee and Léger, no licence): a checkout of github.com/Math-Jacobs/bfm, and
`pip install ./bfm/python`, or `--target=FOLDER` and BFM_W2=FOLDER.  Its c-transform and push-forward in the loop and with the step
rule of its `example.py`, from each of four first steps; the best of them counts, for each goal.  The known optimum stops it: once
its dual value is within 1e-3 of that, and once within the true error of ours.  By the middle of its bounds `transport(gap=2e-3)`
is a certified 1e-3 of the value; `SemiDual()` is the same with that method, without the try of Newton's.

Pairs are those of `image_pairs.py`, all on the box; CPU seconds, in turns, medians; one thread (NUMBA_NUM_THREADS=1) for ratios.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from time import process_time

import numpy as np
from exact import timed
from image_pairs import pairs
from rich.console import Console
from rich.table import Table
from scipy.fft import dctn, idctn

from pmasolve import Box, Problem, SemiDual, Transport, transport
from pmasolve.machine.arrays import Array

CONSOLE = Console(width=160)
WHOLE = 1 << 40  # parts of the mass for MultiScaleOT
FIRST = (0.25, 1.0, 4.0, 16.0)  # first steps, over the greatest density; 4 is that of the authors' example
Pair = tuple[str, Array, Array]


def ours(n: int, a: Array, b: Array, gap: float, method: SemiDual | None = None) -> tuple[float, Transport]:
    """CPU seconds and the map."""
    return timed(lambda: transport(Problem.from_densities(Box((n, n)), a, b), gap=gap, method=method))


def whole(mass: Array) -> Array:
    """Multiples of 2⁻⁴⁰ with sum 1, none 0."""
    parts = np.maximum(np.rint(mass / mass.sum() * WHOLE), 1.0)
    parts.flat[np.argmax(parts)] += WHOLE - parts.sum()
    return parts / WHOLE


def multiscale(binary: str, masses: tuple[Array, Array], *options: str) -> tuple[float, float]:
    """CPU seconds and W₂² of the library, nan where its return code is not 0."""
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder, name)) for name in ("mu", "nu")]
        for file, mass in zip(files, masses, strict=True):
            mass.tofile(file)
        run = [binary, str(len(masses[0])), *files, *options]
        code, value, seconds, _ = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split()
    return (float(seconds), float(value)) if code == "0" else (np.nan, np.nan)


def of_exact(n: int, chosen: list[Pair], binary: str, repeats: int, primal: bool) -> None:
    """One table of exact answers."""
    heads = "pair", "exact", "gap", "zeros", "MultiScaleOT", "over exact", "apart", "primal check", "is off by"
    table = Table(*heads, title=f"{n}², exact")
    ratios, apart, zeros = [], [], []
    for name, a, b in chosen:
        empty = not (a.all() and b.all())
        masses = whole(a), whole(b)
        runs = []
        for _ in range(repeats):
            spent, T = ours(n, *masses, 0.0)
            bare = ours(n, a, b, 0.0)[0] if empty else spent
            theirs, value = multiscale(binary, masses)
            runs.append((spent, bare, theirs))
        spent, bare, theirs = np.median(runs, axis=0)
        ratios.append(theirs / spent)
        zeros.append(theirs / bare)
        apart.append(abs(value / T.w2_squared - 1))
        quick, wrong = multiscale(binary, masses, "--primal") if primal else (np.nan, np.nan)
        check = [f"{quick:.3f}", f"{wrong / T.w2_squared - 1:.0e}"] if primal else ["", ""]
        shown = [f"{spent:.3f}", f"{T.gap:.0e} {T.outcome.name}", f"{bare:.3f}" if empty else "", f"{theirs:.3f}"]
        table.add_row(name, *shown, f"{ratios[-1]:.2g}", f"{apart[-1]:.0e}", *check)
        print(name, *shown, f"{ratios[-1]:.2g} {zeros[-1]:.2g} {apart[-1]:.0e}", file=sys.stderr, flush=True)
    CONSOLE.print(table)
    for what, values in (("the same masses", ratios), ("zeros kept", zeros)):
        CONSOLE.print(
            f"{n}², {what}: MultiScaleOT / exact median {np.median(values):.2g}, {np.min(values):.2g} to "
            f"{np.max(values):.2g}, {len(values)} pairs; values agree to {np.max(apart):.0e}"
        )


def ascent(engine: type, mu: Array, nu: Array, first: float) -> Iterator[float]:
    """W₂² after each step, forth and back: φ pushes ν and ψ pushes μ, densities of mean 1 on the unit square."""
    n = len(mu)
    x = (np.arange(n) + 0.5) / n
    square = 0.5 * (x[:, None] ** 2 + x**2)
    symbol = 2 * n**2 * (1 - np.cos(np.pi * np.arange(n) / n))
    laplacian = symbol[:, None] + symbol
    laplacian[0, 0] = np.inf
    phi, psi, pushed = square.copy(), square.copy(), mu.copy()
    method, sigma, before = engine(n, n, mu), first / max(mu.max(), nu.max()), 0.0
    while True:
        for a, b, mass in ((phi, psi, nu), (psi, phi, mu)):
            pushed -= mass
            direction = idctn(dctn(pushed, norm="ortho") / laplacian, norm="ortho")
            slope = sigma * np.mean(direction * pushed)
            a += sigma * direction
            method.ctransform(b, a)
            method.ctransform(a, b)
            value = np.mean((square - phi) * nu) + np.mean((square - psi) * mu)
            sigma *= 1 / 0.95 if value - before > 0.75 * slope else 0.95 if value - before < 0.25 * slope else 1.0
            before = value
            method.pushforward(pushed, a, mass)
        yield 2.0 * value


def until(
    engine: type, a: Array, b: Array, exact: float, goals: list[float], limit: float
) -> tuple[list[tuple[float, int, float]], float]:
    """For each goal CPU seconds, steps and first step of the best of `FIRST` (∞ where not met), and the least error seen."""
    mu, nu = (np.ascontiguousarray(mass / mass.mean()) for mass in (a, b))
    best, least = [(np.inf, 0, np.nan) for _ in goals], np.inf
    for first in FIRST:
        began, missing = process_time(), set(range(len(goals)))
        for step, value in enumerate(ascent(engine, mu, nu, first), 1):
            spent, error = process_time() - began, 1 - value / exact
            for k in [k for k in missing if error <= goals[k]]:
                best[k] = min(best[k], (spent, step, first))
                missing.remove(k)
            least = min(least, error)
            if not missing or spent > limit:
                break
    return best, least


def of_bfm(n: int, chosen: list[Pair], engine: type, repeats: int, patience: float) -> None:
    """One table of certified answers and of back and forth to 1e-3 and to our true error."""
    heads = ["pair", *("gap 1e-3", "error") * 2, "SemiDual()", "back and forth: 1e-3", "over 2e-3", "over SemiDual()"]
    heads[3] = "gap 2e-3"
    table = Table(*heads, "to our error", "over 1e-3", title=f"{n}², certified; back and forth: s (steps, first step)")
    ratios: dict[str, list[float]] = {
        "1e-3 / gap=2e-3": [],
        "1e-3 / SemiDual(), gap=2e-3": [],
        "our error / gap=1e-3": [],
    }
    kinds = (1e-3, None), (2e-3, None), (2e-3, SemiDual())
    for name, a, b in chosen:
        exact = ours(n, a, b, 0.0)[1].w2_squared
        runs = [[ours(n, a, b, *kind) for kind in kinds] for _ in range(repeats)]
        one, two, rough = np.median([[spent for spent, _ in run] for run in runs], axis=0)
        errors = [abs(T.w2_squared / exact - 1) for _, T in runs[-1]]
        best, least = until(engine, a, b, exact, [1e-3, errors[0]], patience * one)
        found = best[0][0] / two, best[0][0] / rough, best[1][0] / one
        for values, ratio in zip(ratios.values(), found, strict=True):
            values.append(ratio)
        cells = [
            f"{s:.2f} ({k}, {first:g})" if np.isfinite(s) else f"not in {patience * one:.1f} s: {least:.0e}"
            for s, k, first in best
        ]
        row = [f"{one:.2f}", f"{errors[0]:.0e}", f"{two:.2f}", f"{errors[1]:.0e}", f"{rough:.2f}"]
        row += [cells[0], f"{found[0]:.2g}", f"{found[1]:.2g}", cells[1], f"{found[2]:.2g}"]
        table.add_row(name, *row)
        print(name, *row, sep=" | ", file=sys.stderr, flush=True)
    CONSOLE.print(table)
    for what, values in ratios.items():
        CONSOLE.print(
            f"{n}², back and forth to {what}: median {np.median(values):.2g}, least {np.min(values):.2g}, "
            f"{np.mean(np.less(values, 1)):.0%} of {len(values)} pairs below 1, {np.mean(np.isinf(values)):.0%} not met"
        )


def engine() -> type | None:
    """The class of the authors' module, where there is one."""
    sys.path[:0] = [folder for folder in [os.environ.get("BFM_W2")] if folder]
    if find_spec("w2") is None:
        return None
    from w2 import BFM

    return BFM


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="32² only, every fifth pair")
    parser.add_argument("--only", nargs="*", choices=["exact", "bfm"], default=["exact", "bfm"])
    parser.add_argument("--sizes", type=int, nargs="*", default=[32, 64, 128], help="powers of 2")
    parser.add_argument("--every", type=int, default=1, help="take every so many-th of the thirty pairs")
    parser.add_argument("--pairs", type=int, nargs="*", help="numbers of pairs to take instead")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--primal", action="store_true", help="MultiScaleOT's other check as well")
    parser.add_argument("--patience", type=float, default=4.0, help="back and forth may take so many times ours")
    options = parser.parse_args()
    binary, method = os.environ.get("MULTISCALE_OT"), engine()
    if binary is None or not os.path.exists(binary):
        CONSOLE.print("MULTISCALE_OT names no binary of MultiScaleOT (see --help): left out")
        binary = None
    if method is None:
        CONSOLE.print("no module w2 of back and forth, nor a folder of it in BFM_W2 (see --help): left out")
    for n in [32] if options.quick else options.sizes:
        every = [(name, a, b) for name, _, a, b in pairs(n)]
        step = 5 if options.quick else options.every
        chosen = [every[k] for k in options.pairs] if options.pairs else every[::step]
        for gap in (1e-3, 0.0):  # compiled before anything is timed
            ours(n, *chosen[0][1:], gap)
        if binary and "exact" in options.only:
            of_exact(n, chosen, binary, options.repeats, options.primal)
        if method and "bfm" in options.only:
            of_bfm(n, chosen, method, options.repeats, options.patience)


if __name__ == "__main__":
    main()
