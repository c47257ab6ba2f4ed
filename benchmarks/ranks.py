"""`transport` in slabs on 1, 2, 3 … ranks of this machine: agreement with one process, counts, bytes, processor time.

    python benchmarks/ranks.py [--ranks 1 2 3 4] [--shapes 64x64 48x48x48]

Needs the extra mpi and mpirun.  CPU seconds are summed over the ranks, waiting included, since Open MPI waits busily; they are of
a second run, kernels compiled.  ``bytes`` are those that the transposes have sent, for each point of the grid.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from time import process_time
from typing import Any

import numpy as np

import pmasolve as pma

TAU = 2 * np.pi
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
ROOT = dict.fromkeys(("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"), "1")


def problem(torus: pma.Torus) -> pma.Problem:
    """Two waves to two waves."""
    return pma.Problem(
        torus,
        lambda *x: 0.3 * np.cos(TAU * x[0]) + 0.2 * np.sin(TAU * (x[1] + x[-1])),
        lambda *x: 0.5 * np.cos(TAU * (x[0] + x[1])) + 0.2 * np.sin(2 * TAU * x[-1]),
    )


def work(shape: tuple[int, ...]) -> None:
    """On every rank: solve twice, and tell the first rank."""
    alone = pma.Torus(shape)
    torus = pma.distributed.slabs(alone)
    pma.transport(problem(torus))
    begun, split = process_time(), not torus.whole
    if split:
        torus.ranks.sent.clear()
    T = pma.transport(problem(torus))
    seconds = process_time() - begun
    if split:
        planes = torus.ranks.gathered(T.potential)
        seconds, sent = torus.ranks.summed(seconds), torus.ranks.summed(float(torus.ranks.sent["transposes"]))
        if torus.ranks.rank > 0:
            return
    S = pma.transport(problem(alone))
    u = np.concatenate(planes) if split else T.potential
    found = {
        "gap": float(np.max(np.abs(u - S.potential))),
        "steps": [r["krylov"] for r in T.records],
        "same": [r["krylov"] for r in T.records] == [r["krylov"] for r in S.records],
        "bytes": sent / torus.size if split else 0.0,
        "seconds": seconds,
    }
    print("FOUND", json.dumps(found), flush=True)


def measured(ranks: int, shape: str) -> Any:
    """One run of ``work``."""
    command = ["mpirun", "--oversubscribe", "--mca", "mpi_yield_when_idle", "1", "-n", str(ranks), sys.executable]
    environment = {**os.environ, **ONE_THREAD, **ROOT}
    result = subprocess.run([*command, __file__, "--work", shape], capture_output=True, text=True, env=environment)
    if "FOUND" not in result.stdout:
        sys.exit(result.stderr)
    return json.loads(result.stdout.partition("FOUND ")[2].splitlines()[0])


def main() -> None:
    """A line for each shape and number of ranks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 3, 4])
    parser.add_argument("--shapes", nargs="+", default=["64x64", "48x48x48"])
    parser.add_argument("--work", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.work:
        work(tuple(int(n) for n in asked.work.split("x")))
        return
    print(
        f"{'grid':>10} {'ranks':>5} {'sup |u − serial|':>16} {'inner steps':>11} {'same':>5} {'bytes':>6} {'CPU s':>6}"
    )
    for shape in asked.shapes:
        for ranks in asked.ranks:
            r = measured(ranks, shape)
            counts = f"{sum(r['steps']):11.0f} {r['same']!s:>5} {r['bytes']:6.0f} {r['seconds']:6.2f}"
            print(f"{shape:>10} {ranks:5} {r['gap']:16.1e} {counts}")


if __name__ == "__main__":
    main()
