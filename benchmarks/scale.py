"""How much memory and processor time each entry point takes, and the largest problem for 16, 64 and 256 GB.

    python benchmarks/scale.py [--old PATH] [--only memory speed agreement rough] [--quick] [--large]
                               [--sizes 256 512] [--pairs 0 3 6 …] [--images] [--gap 1e-3]

Every number is from a process of its own, one thread, kernels compiled.  With --old, the folder of another version of the package,
both are measured in turns and ``ratio`` is new over old.  Memory is the peak above what was resident before the call, in bytes for
each point of the grid or cloud and in arrays of it (8 bytes).  Seconds are processor time, medians.  ``agreement``: how far the
potentials of both versions, at their default tolerance, are from that of a solve to roundings, and how far the two versions are
from one another when both are solved to roundings.  ``rough``: every third of the thirty pairs of `rough_pairs` by `SemiDual`,
certified to 1e-3; with --images those of `image_pairs`, as `transport` solves them by default.  --sizes and --pairs choose grids
and pairs, --gap with --images another gap, 0 for exact.  --large adds a smooth pair at 4096².
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import pmasolve as pma

HERE = Path(__file__).resolve()
CONSOLE = Console(width=80)
TAU = 2 * np.pi
GIGABYTES = (16, 64, 256)
ROUNDINGS = "2e-14"  # tolerance of `transport` that rounding leaves room for
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
Run = Callable[[], Any]


def smooth(shape: tuple[int, ...]) -> pma.Problem:
    """Two waves to two waves on the torus."""
    return pma.Problem(
        pma.Torus(shape),
        lambda x, *y: 0.5 * np.cos(TAU * x) + 0.3 * np.cos(TAU * (x + y[-1]) + 1),
        lambda x, *y: 0.4 * np.cos(TAU * y[0]) + 0.2 * np.cos(TAU * (x - y[-1])),
    )


def jumps(shape: tuple[int, ...]) -> pma.Problem:
    """A ball to a shell in the box, over 1e-3."""
    grid = pma.Box(shape)
    r = np.sqrt(sum((x - 0.45) ** 2 for x in grid.points))
    s = np.sqrt(sum((x - 0.5) ** 2 for x in grid.points))
    return pma.Problem.from_densities(grid, (r < 0.25) + 1e-3, (np.abs(s - 0.3) < 0.08) + 1e-3)


def clouds(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Normal points in the plane, and others, stretched."""
    x, y = np.random.default_rng(0).standard_normal((2, n, 2))
    return x, y * [1.3, 0.8] + 0.3


def transport_of(make: Callable[[tuple[int, ...]], pma.Problem], **options: Any) -> Callable[[tuple[int, ...]], Run]:
    """`transport` of a pair of densities."""

    def prepared(shape: tuple[int, ...]) -> Run:
        problem = make(shape)
        return lambda: pma.transport(problem, progress=False, **options)

    return prepared


def monge_ampere(shape: tuple[int, ...]) -> Run:
    """`MongeAmpere` to t = 0.1."""
    problem = smooth(shape)
    return lambda: pma.evolve(pma.MongeAmpere(problem, rtol=1e-6), [0.1], progress=False)


def sinkhorn(shape: tuple[int, ...]) -> Run:
    """`Sinkhorn`, eight iterations at ε = 2/n."""
    problem, eps = smooth(shape), 2.0 / shape[0]
    return lambda: pma.evolve(pma.Sinkhorn(problem, eps), [8 * eps], progress=False)


def cloud_sinkhorn(shape: tuple[int, ...]) -> Run:
    """`Sinkhorn` between clouds, four iterations."""
    problem = pma.Problem.from_samples(*clouds(shape[0]))
    return lambda: pma.evolve(pma.Sinkhorn(problem, 0.1), [0.4], progress=False)


rough = transport_of(jumps, method=pma.SemiDual())
newton = transport_of(smooth)
# name → how it is prepared, the shape that compiles, the shape that is measured
MEMORY: dict[str, tuple[Callable[[tuple[int, ...]], Run], tuple[int, ...], tuple[int, ...]]] = {
    "transport, smooth, 512²": (newton, (64, 64), (512, 512)),
    "transport, smooth, 96³": (newton, (24,) * 3, (96,) * 3),
    "transport, SemiDual, 512²": (rough, (64, 64), (512, 512)),
    "transport, SemiDual, 64³": (rough, (16,) * 3, (64,) * 3),
    "MongeAmpere, 512²": (monge_ampere, (64, 64), (512, 512)),
    "Sinkhorn, 512²": (sinkhorn, (64, 64), (512, 512)),
    "Sinkhorn, 64³": (sinkhorn, (16,) * 3, (64,) * 3),
    "Sinkhorn, clouds, 40 000": (cloud_sinkhorn, (2000,), (40_000,)),
}
SPEED = {
    "transport, smooth, 512²": (newton, (512, 512)),
    "transport, smooth, 1024²": (newton, (1024, 1024)),
    "transport, smooth, 96³": (newton, (96,) * 3),
}
LARGE = {"transport, smooth, 4096²": (newton, (4096, 4096))}


def peak_bytes() -> int:
    """Peak resident memory of this process."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return 1024 * int(line.split()[1])


def measured_memory(name: str) -> float:
    """Bytes for each point, in this process."""
    prepare, small, shape = MEMORY[name]
    prepare(small)()
    run, before = prepare(shape), peak_bytes()
    run()
    return (peak_bytes() - before) / float(np.prod(shape))


def measured_speed(name: str) -> float:
    """Processor seconds of one run after another has compiled, or a small one before a large."""
    prepare, shape = (SPEED | LARGE)[name]
    prepare(shape if name in SPEED else (512, 512))()
    run, began = prepare(shape), process_time()
    run()
    return process_time() - began


def rough_pair(n: int, kind: str, number: int) -> dict[str, Any]:
    """One of the thirty pairs of `rough_pairs`, or of those of `image_pairs`: two densities and whether they are in a box."""
    if kind == "image":
        from image_pairs import pairs

        _, grid, mu, nu = list(pairs(n))[number]
        return {"mu": mu, "nu": nu, "box": isinstance(grid, pma.Box)}
    from rough_pairs import KINDS

    mu, nu = [pair for kind in KINDS.values() for _, pair in kind(n)][number]
    return {"mu": mu, "nu": nu, "box": False}


def measured_rough(name: str) -> float:
    """Processor seconds of a pair that is kept in a file, after the same at 64² has compiled."""
    kind, gap, *files = name.split("|")
    options = {} if kind == "image" else {"method": pma.SemiDual()}
    for file in files:
        with np.load(file) as pair:
            grid = (pma.Box if pair["box"] else pma.Torus)(pair["mu"].shape)
            given = [np.array(pair[side]) for side in ("mu", "nu")]
        began = process_time()
        found = pma.transport(pma.Problem.from_densities(grid, *given), gap=float(gap), progress=False, **options)
        seconds = process_time() - began
    return seconds if found.outcome.ok and found.gap <= 1e-3 else float("nan")


def kept_answer(name: str) -> float:
    """Save the potential of a smooth pair: its name, the tolerance and the file, in one."""
    case, tolerance, file = name.split("|")
    shape = SPEED[case][1]
    options = {"tolerance": float(tolerance)} if tolerance else {}
    u = pma.transport(smooth(shape), progress=False, **options).potential
    np.save(file, u - u.mean())
    return 0.0


MEASURES = {"memory": measured_memory, "speed": measured_speed, "rough": measured_rough, "answer": kept_answer}


def ask(root: Path, measure: str, name: str) -> float:
    """The number of a process that imports the package from ``root``."""
    environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(root)}
    command = [sys.executable, str(HERE), "--child", measure, name]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def in_turns(roots: Sequence[Path], measure: str, name: str, repeats: int) -> list[float]:
    """Medians for each version."""
    told = [[ask(root, measure, name) for root in roots] for _ in range(repeats)]
    return [median(values) for values in zip(*told, strict=True)]


def sides(points: float) -> str:
    """The grids of so many points."""
    return f"{int(points**0.5)}² {int(round(points ** (1 / 3), 9))}³"


def memory(roots: Sequence[Path], options: argparse.Namespace) -> None:
    """Bytes a point, and the largest problems."""
    heads = [*(["old"] if len(roots) > 1 else []), "bytes", "arrays", *(f"{size} GB" for size in GIGABYTES)]
    table = Table("peak, for each point", *heads, title_justify="left", title="Memory")
    for name in list(MEMORY)[: 3 if options.quick else None]:
        *before, found = in_turns(roots, "memory", name, 1)
        largest = [f"{size * 1e9 / found:.1e}" if "clouds" in name else sides(size * 1e9 / found) for size in GIGABYTES]
        table.add_row(name, *(f"{value:.0f}" for value in before), f"{found:.0f}", f"{found / 8:.0f}", *largest)
    CONSOLE.print(table)


def speed(roots: Sequence[Path], options: argparse.Namespace) -> None:
    """Smooth transport."""
    names = [*list(SPEED)[: 1 if options.quick else None], *(LARGE if options.large else ())]
    compare(
        roots, "speed", "Processor seconds, one thread", dict(zip(names, names, strict=True)), 1 if options.large else 3
    )


def rough_pairs(roots: Sequence[Path], options: argparse.Namespace) -> None:
    """Certified transport between images."""
    sizes, kind = options.sizes[: 1 if options.quick else None], "image" if options.images else "pair"
    with tempfile.TemporaryDirectory() as folder:
        names = {}
        for n, number in product(sizes, options.pairs):
            files = [f"{folder}/{size}-{number}.npz" for size in (64, n)]
            for size, file in zip((64, n), files, strict=True):
                np.savez(file, **rough_pair(size, kind, number))
            names[f"{n}², {kind} {number}"] = "|".join((kind, str(options.gap), *files))
        compare(roots, "rough", f"Certified to {options.gap:g}, processor seconds", names, 1)


def agreement(roots: Sequence[Path], options: argparse.Namespace) -> None:
    """sup |u − u*| of each version, u* this version's by a solve to roundings."""
    versions = ["old", "new"][-len(roots) :]
    heads = [*versions, *(["old to roundings"] if len(roots) > 1 else [])]
    table = Table("sup |u − u*|", *heads, title="u* this version's, to roundings", title_justify="left")
    for name in list(SPEED)[: 1 if options.quick else None]:
        with tempfile.TemporaryDirectory() as folder:

            def answer(root: Path, tolerance: str, name: str = name, folder: str = folder) -> np.ndarray:
                ask(root, "answer", f"{name}|{tolerance}|{folder}/u.npy")
                return np.load(f"{folder}/u.npy")

            best = answer(roots[-1], ROUNDINGS)
            found = [answer(root, "") for root in roots] + [answer(root, ROUNDINGS) for root in roots[:-1]]
        table.add_row(name, *(f"{np.max(np.abs(u - best)):.1e}" for u in found))
    CONSOLE.print(table)


def compare(roots: Sequence[Path], measure: str, title: str, names: Mapping[str, str], repeats: int) -> None:
    """A row for each case, by what its process is told, and the median of the ratios."""
    table, ratios = Table("case", "old", "new", "ratio", title=title, title_justify="left"), []
    for name, told in names.items():
        found = in_turns(roots, measure, told, repeats)
        ratios.append(found[-1] / found[0])
        old = f"{found[0]:.3g}" if len(roots) > 1 else ""
        table.add_row(name, old, f"{found[-1]:.3g}", f"{ratios[-1]:.2f}" if old else "")
    CONSOLE.print(table)
    if len(roots) > 1:
        CONSOLE.print(f"median ratio {median(ratios):.2f}\n")


TABLES = {"memory": memory, "speed": speed, "agreement": agreement, "rough": rough_pairs}


def main() -> None:
    """Print the tables asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", type=Path, help="the folder of another version")
    parser.add_argument("--only", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512], help="grids of the rough pairs")
    parser.add_argument("--pairs", type=int, nargs="+", default=list(range(0, 30, 3)))
    parser.add_argument("--images", action="store_true")
    parser.add_argument("--gap", type=float, default=1e-3, help="of rough pairs; 0 with --images")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(MEASURES[options.child[0]](options.child[1])))
        return
    roots = [*([options.old.resolve()] if options.old else []), HERE.parent.parent]
    for name in options.only:
        TABLES[name](roots, options)


if __name__ == "__main__":
    main()
