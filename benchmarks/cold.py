"""What a first result costs: import and first calls, with an empty cache of compiled loops (cold) and with a full one (warm).

    python benchmarks/cold.py                      this checkout
    python benchmarks/cold.py --old PATH           in turns with the checkout in PATH, on the same installed libraries
    python benchmarks/cold.py --threads 1 --repeats 3

Every run is a process of its own.  Seconds of the processor (all threads) and of the clock, the least over the repeats; on a
machine that others use only the former means something.  Calls that the other checkout does not know are left out of its totals
and of the ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
CALLS = """
import json, time
clocks, laps = (time.perf_counter, time.process_time), {}
def lap(name, call):
    before = [clock() for clock in clocks]
    value = call()
    laps[name] = [clock() - start for clock, start in zip(clocks, before)]
    return value
def load():
    global np, pma
    import numpy as np
    import pmasolve as pma
lap("import", load)
random = np.random.default_rng(0)
wave = lambda x, y: 0.3 * np.cos(2 * np.pi * x) + 0.2 * np.sin(2 * np.pi * y)
def smooth(): return pma.Problem(pma.Torus((64, 64)), wave, lambda x, y: 0.3 * np.cos(2 * np.pi * (x + y)))
def cloud(): return pma.Problem.from_samples(random.random((1000, 2)), random.random((1000, 2)))
def rough(): return pma.Problem.from_densities(pma.Box((64, 64)), random.random((64, 64)), random.random((64, 64)))
assert lap("transport", lambda: pma.transport(smooth())).outcome.ok
assert lap("MongeAmpere", lambda: pma.evolve(pma.MongeAmpere(smooth()), [1 / 32])).outcome.ok
assert lap("Sinkhorn, cloud", lambda: pma.evolve(pma.Sinkhorn(cloud(), eps=1 / 32), [1 / 4])).outcome.ok
assert lap("transport, rough", lambda: pma.transport(rough(), method=pma.SemiDual(), gap=0.05)).outcome.ok
def few(): return pma.Problem.from_densities(pma.Box((16, 16)), random.random((16, 16)), random.random((16, 16)))
if hasattr(pma, "Simplex"): assert lap("transport, exact", lambda: pma.transport(few(), gap=0)).outcome.ok
print(json.dumps(laps))
"""
Laps = dict[str, list[float]]


def run(code: Path, cache: str, threads: int) -> Laps:
    """Clock and processor seconds of each call, in a new process."""
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = {
        **os.environ,
        **one,
        "NUMBA_NUM_THREADS": str(threads),
        "NUMBA_CACHE_DIR": cache,
        "PYTHONPATH": str(code),
    }
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CALLS], cwd=cache, env=environment, check=True, stdout=subprocess.PIPE
    )
    return json.loads(result.stdout.splitlines()[-1])


def least(a: Laps | None, b: Laps) -> Laps:
    """Of two runs."""
    return b if a is None else {name: [min(pair) for pair in zip(a[name], b[name], strict=True)] for name in b}


def measured(codes: dict[str, Path], repeats: int, threads: int) -> dict[str, Laps]:
    """Cold and warm laps of each checkout, in turns; files of bytecode exist beforehand."""
    found: dict[str, Laps] = {}
    for turn in range(repeats + 1):
        for name, code in codes.items():
            with tempfile.TemporaryDirectory() as cache:
                for state in ("cold", "warm"):
                    laps = run(code, cache, threads)
                    if turn:  # the first turn compiles bytecode and fills the disk's cache
                        found[f"{name} {state}"] = least(found.get(f"{name} {state}"), laps)
    return found


def table(found: dict[str, Laps], clock: int) -> str:
    """Seconds, one column a checkout and state."""
    rows = [f"{'':18}" + "".join(f"{name:>12}" for name in found)]
    for name in max(found.values(), key=len):
        cells = (f"{laps[name][clock]:.2f}" if name in laps else "" for laps in found.values())
        rows.append(f"{name:18}" + "".join(f"{cell:>12}" for cell in cells))
    return "\n".join([*rows, f"{'all know':18}" + "".join(f"{total:12.2f}" for total in totals(found, clock))])


def totals(found: dict[str, Laps], clock: int) -> list[float]:
    """Of the calls that all checkouts know."""
    shared = set.intersection(*(set(laps) for laps in found.values()))
    return [sum(laps[name][clock] for name in shared) for laps in found.values()]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--old", type=Path, help="another checkout, measured in turns with this one")
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    codes = ({"old": options.old.resolve()} if options.old else {}) | {"new": HERE}
    found = measured(codes, options.repeats, options.threads)
    for clock, unit in enumerate(("clock", "processor")):
        print(f"seconds of the {unit}\n{table(found, clock)}\n")
    if options.old:
        old, new = totals({name: found[f"{name} cold"] for name in codes}, 1)
        print(f"cold, new / old, by the processor: {new / old:.2f}")


if __name__ == "__main__":
    main()
