"""Sinkhorn against its peers, side by side in one run: grids, matrix products, clouds, fixed points.

    python benchmarks/sinkhorn.py [--quick | --full] [--threads 1 2] [--only grid products clouds fixed]

Every number is a median over repeated calls after one that warms up, in double precision; those of (a) take turns.  Each number of
threads has a process of its own, pinned to as many cores, so that all packages have the same.  Peers that are not installed, or
fail, are named.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

import numpy as np
from clouds import Run, clouds, dense, ott, pot_lazy, report, report_once
from grid_peers import geomloss_run, missing, ott_run, ott_solve, plain_run, windowed_run
from half_iteration import annealed, in_turn, median_ms

from pmasolve.machine.arrays import Array
from pmasolve.problems.grids import Torus
from pmasolve.problems.problem import Problem
from pmasolve.sinkhorn.schroedinger import schroedinger
from pmasolve.sinkhorn.softmin.blockwise import Blockwise
from pmasolve.sinkhorn.softmin.keops import KeOps, why_not
from pmasolve.sinkhorn.softmin.separable import Separable, SeparableKernel


@dataclass(frozen=True)
class Sizes:
    """How much to measure."""

    grids: tuple[int, ...]
    cubes: tuple[int, ...]
    epsilons: tuple[float, ...]
    products: tuple[int, ...]
    points: int
    stored: int
    fixed: tuple[int, ...]
    peer_seconds: float
    seconds: float = 1.0


QUICK = Sizes((128,), (), (1e-2, 1e-4), (128,), 2_000, 1_000, (32,), 3.0, 0.1)
NORMAL = Sizes((512,), (), (1e-2, 1e-4, 4e-6), (256, 512, 1024), 10_000, 2_000, (64, 256), 60.0)
FULL = Sizes((512,), (128,), (1e-2, 1e-3, 1e-4, 1e-5, 4e-6), (256, 512, 1024), 40_000, 4_000, (64, 256), 600.0)


def potentials(n: int, wanted: tuple[float, ...]) -> list[tuple[float, Array]]:
    """(ε, h) of the annealed hard pair; below its last ε the exponents of that one are scaled."""
    made = dict(annealed(n))
    last = min(made)
    made |= {eps: made[last] * (last / eps) for eps in wanted if eps < last}
    return [(eps, made[eps]) for eps in wanted]


def smooth_potential(torus: Torus, eps: float) -> Array:
    """Exponents of a potential that the grid resolves from ε = 2.5 h² on, any dimension."""
    return -0.01 * np.sum(np.cos(2 * np.pi * torus.points), axis=0) / eps


def grid(sizes: Sizes) -> None:
    """(a) Half-iterations on grids."""
    print("\n(a) one half-iteration on the torus, milliseconds; ratio = peer / pmasolve; GeomLoss on the open square")
    for n in sizes.grids:
        for eps, h in potentials(n, sizes.epsilons):
            grid_row(Torus((n, n)), eps, h, "hard pair")
        for factor in (1.0, 2.5):
            grid_row(torus := Torus((n, n)), eps := factor / n**2, smooth_potential(torus, eps))
    for n in sizes.cubes:
        for eps in (1e-2, 1e-3):
            grid_row(torus := Torus((n,) * 3), eps, smooth_potential(torus, eps))


def grid_row(torus: Torus, eps: float, h: Array, name: str = "smooth potential") -> None:
    """One grid and one ε."""
    kernel = Separable().bind(torus, torus, eps)
    peers = {"numba, whole axes": plain_run(torus, h, eps)}
    if torus.dim == 2:
        peers["numba, windows"] = windowed_run(torus, h, eps)
    if absent := missing("jax", "ott"):
        print(f"    OTT-JAX Grid        not measured: {absent} not installed")
    else:
        peers["OTT-JAX Grid"] = ott_run(torus, h, eps)
    if absent := missing("torch", "geomloss"):
        print(f"    GeomLoss grid       not measured: {absent} not installed")
    elif why_not():
        print(f"    GeomLoss grid       not measured: KeOps: {why_not()}")
    else:
        peers["GeomLoss grid"] = geomloss_run(h, eps)
    call = partial(kernel.forward, h)
    times = in_turn({"caches lost to a peer": call, "ours": call, **peers}, 0.0)
    ours, value = times["ours"], call()
    relative = eps / torus.spacing[0] ** 2
    print(f"  {torus.shape}, {name}, eps = {eps:.3g} ({relative:.3g} h²): pmasolve {ours:.2f} ms, {resolved(kernel)}")
    for name in peers:
        ms, differs = times[name], ""
        if name != "GeomLoss grid":  # whose kernel differs at the seam
            differs = f"   differs by {np.abs(peers[name]() - value).max():.0e} of {np.abs(value).max():.0e}"
        print(f"    {name:18s} {ms:10.2f} ms {ms / ours:8.1f} x{differs}", flush=True)


def resolved(kernel: SeparableKernel) -> str:
    """Whether the grid resolves the potential at this ε, as far as tiles saw."""
    report = kernel.report
    if report["tile_passes"] == 0:
        return "matrix products"
    rough = report["rough_lines"]
    return f"{rough:.0%} of its lines rough" if rough > 0 else f"resolved from {report['resolved_eps']:.1e}"


def products(sizes: Sizes) -> None:
    """(b) Half-iterations against the two matrix products they cannot do without at large ε."""
    print("\n(b) one half-iteration / two n × n matrix products")
    for n in sizes.products:
        torus, a = Torus((n, n)), np.random.default_rng(0).random((n, n))
        gemm = median_ms(lambda a=a: (a @ a, a @ a), sizes.seconds)
        for eps, h in annealed(n):
            kernel = Separable().bind(torus, torus, eps)
            ms = median_ms(lambda kernel=kernel, h=h: kernel.forward(h), sizes.seconds)
            print(f"  {n:5d}²  eps = {eps:6.0e}  {ms:8.2f} ms / {gemm:8.2f} ms = {ms / gemm:5.2f}", flush=True)


def cloud(sizes: Sizes) -> None:
    """(c) Half-iterations on clouds, all pairs counted, ratio to the first row."""
    print("\n(c) clouds in the unit square, per half-iteration; ratio = time of the first row / time")
    for eps in (1e-2, 1e-3):
        n = sizes.points
        source, target, h = clouds(n, 2, eps, None)
        runs: dict[str, Run] = {}
        if why_not():
            print(f"  KeOps not measured: {why_not()}")
        else:
            runs["KeOps"] = partial(KeOps(device="cpu").bind(source, target, eps).forward, h)
        if absent := missing("jax", "ott"):
            print(f"  OTT-JAX not measured: {absent} not installed")
        else:
            runs |= ott(source, target, h, eps)
        runs["pmasolve Blockwise"] = partial(Blockwise().bind(source, target, eps).forward, h)
        print(f"  n = {n}, eps = {eps:g}")
        report(working(runs), n * n, 5)
        if absent := missing("ot"):
            print(f"  POT not measured: {absent} not installed")
        else:
            report_once("POT, lazy", pot_lazy(source, target, h, eps), runs["pmasolve Blockwise"], n * n, 2)
    source, target, h = clouds(sizes.stored, 2, 1e-2, None)
    print(f"  n = {sizes.stored}, eps = 0.01, peers that store the matrix")
    ours = {"pmasolve Blockwise": partial(Blockwise().bind(source, target, 1e-2).forward, h)}
    report(working(dense(source, target, h, 1e-2) | ours), sizes.stored**2, 5)


def working(runs: dict[str, Run]) -> dict[str, Run]:
    """Those that run; a peer that does not fit its own dependencies is named."""
    out: dict[str, Run] = {}
    for name, run in runs.items():
        try:
            run()
            out[name] = run
        except (AttributeError, RuntimeError, MemoryError, TypeError, ValueError) as error:
            print(f"  {name} failed: {str(error).splitlines()[0][:100]}")
    return out


def fixed(sizes: Sizes) -> None:
    """(d) Fixed points at ε = 4h² to the marginal error 1e-9."""
    print("\n(d) fixed point on the torus, eps = 4 h², marginal error 1e-9; one iteration = two half-iterations")
    for n in sizes.fixed:
        problem, eps = smooth_pair(n), 4 / n**2
        schroedinger(problem, eps)  # compiles
        found = schroedinger(problem, eps)
        print(f"  {n}², contraction factor {found.contraction:.6f}")
        told("pmasolve, Newton", found.iterations, found.seconds, found.marginal_error, found.seconds)
        plain = schroedinger(problem, eps, newton=None, limit=10**6)
        told("pmasolve, plain annealed", plain.iterations, plain.seconds, plain.marginal_error, found.seconds)
        if absent := missing("jax", "ott"):
            print(f"    OTT-JAX not measured: {absent} not installed")
            continue
        for acceleration in ("plain", "momentum 1.8", "adaptive momentum", "Anderson"):
            ott_row(problem, eps, acceleration, sizes.peer_seconds, found.seconds)


def smooth_pair(n: int) -> Problem:
    """Two smooth densities of contrast 5 and 2."""
    tau = 2 * np.pi
    return Problem(
        Torus((n, n)),
        lambda x, y: 0.5 * np.cos(tau * x) + 0.3 * np.sin(tau * (x + y)),
        lambda x, y: 0.4 * np.sin(tau * y) * np.cos(tau * x),
    )


def ott_row(problem: Problem, eps: float, acceleration: str, budget: float, ours: float) -> None:
    """OTT with as many iterations as fit the budget of seconds; what it reached is said."""
    half = median_ms(ott_run(problem.domain, -problem.f, eps), 0.0)
    limit = max(10, min(100_000, int(budget / (2.2e-3 * half)) // 10 * 10))
    iterations, seconds, error, reached = ott_solve(problem, eps, 1e-9, limit, acceleration)
    told(f"OTT-JAX, {acceleration}", iterations, seconds, error, ours)
    if not reached:
        print(f"{'':30s}not reached in {limit} iterations, a budget of {budget:g} s", flush=True)


def told(name: str, iterations: int, seconds: float, error: float, ours: float) -> None:
    """One line of (d)."""
    print(
        f"    {name:26s} {iterations:7d} iterations {seconds:9.2f} s   error {error:.1e} {seconds / ours:9.1f} x",
        flush=True,
    )


PARTS = {"grid": grid, "products": products, "clouds": cloud, "fixed": fixed}


def main() -> None:
    """One process for each number of threads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="small sizes, under a minute")
    size.add_argument("--full", action="store_true", help="also 128³, 40 000 points, ten minutes for OTT's fixed point")
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.here:
        for threads in options.threads:
            launch(threads)
        return
    peers = ", ".join(f"{name} {'yes' if find_spec(name) else 'no'}" for name in ("ot", "ott", "geomloss", "pykeops"))
    print(f"=== {options.threads[0]} thread(s), float64; installed: {peers}")
    for part in options.only:
        PARTS[part](QUICK if options.quick else FULL if options.full else NORMAL)


def launch(threads: int) -> None:
    """Run this file again with its threads set before anything is imported."""
    names = ("NUMBA", "OMP", "OPENBLAS", "MKL")
    environment = os.environ | {f"{name}_NUM_THREADS": str(threads) for name in names}
    pinned = set(sorted(os.sched_getaffinity(0))[-threads:]) if hasattr(os, "sched_setaffinity") else None
    kept = [word for word in sys.argv[1:] if word != "--threads" and not word.isdigit()]
    command = [sys.executable, __file__, *kept, "--threads", str(threads), "--here"]
    pin = (lambda: os.sched_setaffinity(0, pinned)) if pinned else None
    subprocess.run(command, env=environment, preexec_fn=pin, check=True)


if __name__ == "__main__":
    main()
