"""A million points on each side in bounded memory: one iteration, its time and peak memory, stopped in the middle and resumed.

    python benchmarks/million.py [--n 1000000] [--dim 2] [--eps 1e-4] [--stop 5]

The run is interrupted ``--stop`` seconds after it began (as by Ctrl-C; 0 for never), inside a pass, saved, loaded and resumed.
"""

from __future__ import annotations

import argparse
import resource
import signal
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

import pmasolve as pma


def samples(n: int, dim: int) -> pma.Problem:
    """Uniform points, and points crowded at one corner."""
    rng = np.random.default_rng(0)
    return pma.Problem.from_samples(rng.random((n, dim)), rng.random((n, dim)) ** 1.3)


def megabytes() -> float:
    """Peak resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def stopped(flow: pma.Sinkhorn, seconds: float) -> pma.Trajectory:
    """Two iterations, interrupted after so many seconds."""
    timer = threading.Timer(seconds, lambda: signal.raise_signal(signal.SIGINT))
    timer.start()
    began = time.perf_counter()
    try:
        run = pma.evolve(flow, [flow.eps, 2 * flow.eps], throw=False)
    finally:
        timer.cancel()
    late = time.perf_counter() - began - seconds
    print(f"{run.outcome.name} at t = {run.latest[0]:g}, {late:.1f} s after the signal")
    return run


def main() -> None:
    """Parse the command line, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=2)
    parser.add_argument("--eps", type=float, default=1e-4)
    parser.add_argument("--stop", type=float, default=5.0)
    options = parser.parse_args()
    problem, before = samples(options.n, options.dim), megabytes()
    began = time.perf_counter()
    flow = pma.Sinkhorn(problem, options.eps)
    _ = flow.kernel
    print(
        f"n = {options.n}, dimension {options.dim}, eps = {options.eps:g}; sorted in {time.perf_counter() - began:.1f} s"
    )
    if options.stop:
        with tempfile.TemporaryDirectory() as folder:
            path = pma.save(stopped(flow, options.stop), Path(folder) / "run.npz")
            flow_again = pma.Sinkhorn(problem, options.eps)
            part = pma.load(path, flow_again)
        began, t = time.perf_counter(), part.latest[0] + flow.eps
        run = pma.resume(part, [t])
    else:
        began = time.perf_counter()
        run = pma.evolve(flow, [flow.eps])
    seconds, report = time.perf_counter() - began, run.flow.kernel.report
    pairs = report["pairs"]
    print(
        f"iteration: {seconds:.1f} s; {run.outcome.name} at t = {run.times[-1]:g}, mass − 1 = {run.records['mass'][-1] - 1:.0e}"
    )
    print(f"one by one {report['summed'] / pairs:.1e}, by expansions {report['expanded'] / pairs:.1e} of all pairs")
    peak = megabytes()
    print(
        f"peak memory {peak:.0f} MB, {before:.0f} MB of them before; {(peak - before) * 2**20 / options.n:.0f} bytes a point"
    )


if __name__ == "__main__":
    main()
