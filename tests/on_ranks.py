"""What tests/test_distributed.py runs under mpirun: a case by its name; the first rank writes what it found, a line of JSON."""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

import pmasolve as pma
from pmasolve import distributed as dist
from pmasolve.calculus.operators import Fourier
from pmasolve.maps.newton import Level
from pmasolve.problems.interpolation import Spectral

COMM = MPI.COMM_WORLD
TAU = 2 * np.pi


def source(*x: np.ndarray) -> np.ndarray:
    """f."""
    return 0.3 * np.cos(TAU * x[0]) + 0.2 * np.sin(TAU * (x[1] + (x[2] if len(x) > 2 else 0)))


def target(*x: np.ndarray) -> np.ndarray:
    """g: mass moves by up to a tenth of the period."""
    return 0.5 * np.cos(TAU * (x[0] + x[1])) + 0.2 * np.sin(2 * TAU * x[-1]) + 0.4 * np.sin(TAU * x[0])


def problem(domain: pma.Torus, kind: str) -> pma.Problem:
    """Of formulas, or of their values on the nodes."""
    if kind == "callable":
        return pma.Problem(domain, source, target)
    interpolation = Spectral() if kind == "spectral" else pma.Spline(5)
    x = domain.points
    return pma.Problem(domain, source(*x), target(*x), interpolation=interpolation)


def whole(domain: pma.Torus, values: np.ndarray) -> np.ndarray | None:
    """All planes, on the first rank: for comparison only."""
    parts = COMM.gather(values)
    return None if parts is None else np.concatenate(parts)


def solved(shape: list[int], kind: str) -> dict[str, Any] | None:
    """transport in slabs and on one process."""
    alone = pma.Torus(tuple(shape))
    torus = dist.slabs(alone)
    T = pma.transport(problem(torus, kind))
    u, mapped = whole(torus, T.potential), COMM.gather(T.map)
    sent = [COMM.reduce(torus.ranks.sent[name]) for name in ("ghosts", "routing")]
    if u is None:
        return None
    S = pma.transport(problem(alone, kind))
    return {
        "u": float(np.max(np.abs(u - S.potential))),
        "map": float(np.max(np.abs(np.concatenate(mapped, axis=1) - S.map))),
        "size": float(np.max(np.abs(S.potential))),
        "cost": [T.w2_squared, S.w2_squared],
        "interval": [T.interval.lower, T.interval.upper, S.interval.lower, S.interval.upper],
        "norms": [T.residual, T.worst, T.min_eigenvalue, S.residual, S.worst, S.min_eigenvalue],
        "outcome": [T.outcome.name, S.outcome.name],
        "counts": [[[r["points"], r["krylov"], r["length"]] for r in run.records] for run in (T, S)],
        "sent": sent,
    }


def many(*cases: list[Any]) -> list[Any]:
    """Several of them in one run."""
    return [solved(*case) for case in cases]


def sent(shape: list[int]) -> dict[str, float] | None:
    """Bytes a point of one evaluation and one inner step, over all ranks."""
    torus = dist.slabs(pma.Torus(tuple(shape)))
    level = Level(problem(torus, "callable"), Fourier().on(torus))
    level.evaluate(level.coefficients)
    level.elliptic.apply(level.jet.D2, level.r, level.trial)  # symbols are made
    found = {}
    for name, work in (
        ("evaluation", lambda: level.evaluate(level.coefficients)),
        ("step", lambda: level.elliptic.apply(level.jet.D2, level.r, level.trial)),
    ):
        torus.ranks.sent.clear()
        torus.ranks.calls.clear()
        work()
        found[name] = COMM.allreduce(sum(torus.ranks.sent.values())) / torus.size
        found[f"{name} calls"] = dict(torus.ranks.calls)
    return found


def refused() -> list[str]:
    """What every rank is told of bad use, the same."""
    torus = dist.slabs(pma.Torus((12, 16)))
    good = problem(torus, "callable")
    bad = np.zeros(torus.local)
    bad[0, 0] = np.nan if COMM.rank == 1 else 0.0
    cases: list[Callable[[], Any]] = [
        lambda: pma.Problem(torus, np.zeros((12, 16)), np.zeros((12, 16))),
        lambda: pma.Problem(torus, bad, np.zeros(torus.local)),
        lambda: pma.Problem(torus, lambda x, y: x, lambda x, y: 0 * x),
        lambda: pma.Problem.from_densities(torus, np.full(torus.local, -1.0 * (COMM.rank == 0)), np.ones(torus.local)),
        lambda: dist.slabs(pma.Torus((4, 64)), MPI.COMM_WORLD) if COMM.size > 4 else dist.slabs(pma.Torus((64, 4))),
        lambda: dist.slabs(pma.Torus((16,))),
        lambda: dist.slabs(pma.Box((16, 16))),
        lambda: pma.transport(good, method=pma.SemiDual()),
        lambda: pma.transport(good, space=pma.FiniteDifference(2)),
        lambda: pma.schroedinger(good, 0.1),
        lambda: pma.transport(good, method=pma.NewtonKrylov()).inverse([[0.1, 0.2]]),
    ]
    told = []
    for case in cases:
        try:
            case()
            told.append("nothing")
        except ValueError as error:
            told.append(str(error))
    answers = COMM.allgather(told)
    assert all(answer == told for answer in answers), answers
    return told


def killed(how: str) -> None:
    """The second rank ends in the midst of a run."""
    torus = dist.slabs(pma.Torus((48, 48)))
    pma.transport(problem(torus, "callable"))
    print("under way", flush=True)
    if COMM.rank == 1:
        if how == "signal":
            os.kill(os.getpid(), signal.SIGKILL)
        raise RuntimeError("this rank has had enough")
    for _ in range(1000):
        pma.transport(problem(torus, "callable"))
    time.sleep(100)


def limited(n: int, arrays: int) -> dict[str, bool] | None:
    """Whether a run fits into so many arrays of a slab besides what the libraries need."""
    pma.transport(problem(dist.slabs(pma.Torus((32, 16, 16))), "callable"))
    alone = pma.Torus((n, n, n))
    torus = dist.slabs(alone)
    held = int(Path("/proc/self/status").read_text().partition("VmData:")[2].split()[0]) * 1024
    most = held + arrays * 8 * int(np.prod(torus.local))
    resource.setrlimit(resource.RLIMIT_DATA, (most, resource.RLIM_INFINITY))
    fits = pma.transport(problem(torus, "callable")).outcome.ok
    try:
        pma.transport(problem(alone, "callable"))
        serial = True
    except MemoryError:
        serial = False
    return {"slabs": bool(COMM.allreduce(fits, op=MPI.LAND)), "serial": bool(COMM.allreduce(serial, op=MPI.LOR))}


if __name__ == "__main__":
    name, arguments = sys.argv[1], json.loads(sys.argv[2])
    result = globals()[name](*arguments)
    if COMM.rank == 0:
        print("FOUND", json.dumps(result), flush=True)
