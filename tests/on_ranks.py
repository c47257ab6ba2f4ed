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
import pytest
from mpi4py import MPI

import pmasolve as pma
from pmasolve import distributed as dist
from pmasolve.calculus.operators import Fourier
from pmasolve.maps import certificates, elliptic
from pmasolve.maps.level import Level
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
        "bits": sorted({r["bits"] for r in T.records}),
        "sent": sent,
    }


def many(*cases: list[Any]) -> list[Any]:
    """Several of them in one run."""
    return [solved(*case) for case in cases]


def flowed(shape: list[int], kind: str, rtol: float) -> dict[str, Any] | None:
    """Sinkhorn and MongeAmpere to two times, in slabs and on one process; MongeAmpere also against a run of all digits."""
    alone = pma.Torus(tuple(shape))
    torus, times, eps = dist.slabs(alone), [0.05, 0.1], 0.01
    given = problem(torus, kind)
    runs = [
        pma.evolve(pma.Sinkhorn(given, eps, gauge=pma.SYMMETRIC, quadrature=1e-3), times),
        pma.evolve(pma.MongeAmpere(given, rtol=rtol), times),
    ]
    last = [whole(torus, run.potentials[-1]) for run in runs]
    steps = COMM.allgather([len(run.records["t"]) for run in runs])
    if last[0] is None:
        return None
    given = problem(alone, kind)
    sinkhorn = pma.evolve(pma.Sinkhorn(given, eps, gauge=pma.SYMMETRIC, quadrature=1e-3), times)
    flow, exact = (pma.evolve(pma.MongeAmpere(given, rtol=r), times) for r in (rtol, 1e-12))
    centred = [alone.centred(u) for u in (last[1], flow.potentials[-1], exact.potentials[-1])]
    names = ("derivatives", "jacobian_products")
    return {
        "sinkhorn": float(np.max(np.abs(last[0] - sinkhorn.potentials[-1]))),
        "records": max(float(np.max(np.abs(runs[0].records[k] - v))) for k, v in sinkhorn.records.items()),
        "errors": [float(np.max(np.abs(u - centred[2]))) for u in centred[:2]],
        "distance": float(np.max(np.abs(alone.centred(last[0]) - centred[0]))),
        "calls": [[float(run.records[name][-1]) for name in names] for run in (runs[1], flow)],
        "mass": float(runs[1].records["mass"][-1]),
        "same steps": all(one == steps[0] for one in steps),
        "outcomes": [run.outcome.name for run in runs],
    }


def kept(folder: str, leave: bool) -> float | None:
    """A run is saved on half the way; or gone on with from there, and compared with one that never stopped."""
    torus = dist.slabs(pma.Torus((20, 24)))
    flow = pma.Sinkhorn(problem(torus, "callable"), 0.01, quadrature=1e-3)
    if leave:
        dist.save(pma.evolve(flow, [0.03, 0.05]), f"{folder}/run")
        dist.write_array(torus, torus.points, f"{folder}/points.npy")
        return None
    again = pma.resume(dist.load(f"{folder}/run", flow), [0.08])
    assert again.times.tolist() == [0.03, 0.05, 0.08]
    assert np.array_equal(dist.read_array(torus, f"{folder}/points.npy"), torus.points)
    other = pma.Sinkhorn(pma.Problem(torus, source, source), 0.01, quadrature=1e-3)
    for wrong in (other, pma.Sinkhorn(flow.problem, 0.02, quadrature=1e-3)):
        with pytest.raises(ValueError, match="belongs to"):
            dist.load(f"{folder}/run", wrong)
    assert np.array_equal(dist.read_array(torus, f"{folder}/points.h5", "x"), torus.points)
    assert np.array_equal(np.load(f"{folder}/points.npy"), pma.Torus((20, 24)).points)  # a file for everybody
    for file, name in (("points.h5", "y"), ("points.h5", None), ("other.npy", None)):
        with pytest.raises(ValueError, match="holds"):
            dist.read_array(torus, f"{folder}/{file}", name)
    straight = pma.evolve(flow, [0.03, 0.05, 0.08])
    gap = max(float(np.max(np.abs(a - b))) for a, b in zip(again.potentials, straight.potentials, strict=True))
    return COMM.allreduce(gap, op=MPI.MAX)


def folded() -> list[float]:
    """The least stretch of a potential whose map folds between the last node of each rank and the next only, and of none."""
    alone = pma.Torus((16, 16))
    torus = dist.slabs(alone)
    D = np.zeros(alone.shape)
    D[: torus.cuts[0].stop] = 3 / 16  # falls at the cut, by more than the spacing
    steps = [float(np.min(part)) for part in torus.across(D[torus.planes], 0)]
    inside = float(np.min(np.diff(D[torus.planes], axis=0)))
    return [torus.least(min(steps)), torus.least(inside)]


def agreed() -> list[Any]:
    """Least and greatest rank, at once; the same where one rank has NaN; whether all ranks are, or are the first."""
    torus = dist.slabs(pma.Torus((16, 16)))
    mine = float(COMM.rank)
    lost = mine if COMM.rank else np.nan
    return [*torus.extremes(mine, mine), *torus.extremes(lost, mine), torus.every(mine >= 0), torus.every(mine == 0)]


def scattered(n: int, m: int) -> dict[str, Any]:
    """Sinkhorn between clouds whose targets are shared out, and on one process."""
    x, y = np.random.default_rng(3).standard_normal((2, n + m, 2))
    given = pma.Problem.from_samples(x[:n], 0.7 * y[:m] + 0.3)
    engine = dist.shared()
    one, many = (pma.evolve(pma.Sinkhorn(given, 0.25, gauge=pma.SELF, softmin=s), [0.5, 1.0]) for s in (None, engine))
    work = [COMM.allreduce(run.flow.kernel.report["pairs"]) for run in (one, many)]
    return {
        "gap": COMM.allreduce(float(np.max(np.abs(one.potentials - many.potentials))), op=MPI.MAX),
        "pairs": [work[0] / COMM.size, work[1]],
        "gathers": engine.ranks.calls["gathers"],
        "bytes": COMM.allreduce(engine.ranks.sent["gathers"]),
        "outcome": many.outcome.name,
    }


def sent(shape: list[int]) -> dict[str, float] | None:
    """Bytes a point of one evaluation, of an inner step of Newton's and of one of the certificate, over all ranks.

    ``tiny``: how many inner steps a residual takes, and one far below the range of float32.
    """
    torus = dist.slabs(pma.Torus(tuple(shape)))
    level = Level(problem(torus, "callable"), Fourier().on(torus))
    state = level.evaluate(level.coefficients)
    residuals, solves, found = (level.r, level.r.copy(), level.r * 1e-48), [], {}

    def solved(k: int, work: Callable[[], Any]) -> int:
        level.r = residuals[k]
        with pytest.MonkeyPatch.context() as patch:
            inner = elliptic.conjugate_gradients
            patch.setattr(elliptic, "conjugate_gradients", lambda *given: solves.append(inner(*given)) or solves[-1])
            work()
        return solves[-1].iterations

    for name, work in (
        ("certificate", lambda: solved(0, lambda: certificates._energy(level, state, 0.1))),
        ("inner step", lambda: solved(1, lambda: level.correct(0.05, 100))),
        ("tiny", lambda: solved(2, lambda: level.correct(0.05, 100))),
        ("evaluation", lambda: level.evaluate(level.coefficients) and 1),
    ):
        torus.ranks.sent.clear()
        torus.ranks.calls.clear()
        steps = work()
        found[name] = COMM.allreduce(sum(torus.ranks.sent.values())) / torus.size / steps
        found[f"{name} calls"] = {purpose: count / steps for purpose, count in torus.ranks.calls.items()}
    return found | {"steps": [solve.iterations for solve in solves]}


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
        lambda: pma.evolve(pma.Sinkhorn(good, 0.1, gauge=pma.SELF, quadrature=1.0), [0.1]),
        lambda: pma.evolve(pma.Sinkhorn(good, 0.1, softmin=pma.Separable(), quadrature=1.0), [0.1]),
        lambda: pma.evolve(pma.Sinkhorn(good, 0.1, softmin=pma.Blockwise(), quadrature=1.0), [0.1]),
        lambda: pma.save(pma.evolve(pma.Sinkhorn(good, 0.1, quadrature=1.0), [0.1]), "nowhere"),
        lambda: pma.transport(good, method=pma.NewtonKrylov()).inverse([[0.1, 0.2]]),
        lambda: pma.transport(good, device="cuda"),
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


def several(cases: dict[str, list[Any]]) -> dict[str, Any]:
    """Cases one after the other, by their names."""
    return {name: globals()[name](*arguments) for name, arguments in cases.items()}


if __name__ == "__main__":
    name, arguments = sys.argv[1], json.loads(sys.argv[2])
    result = globals()[name](*arguments)
    if COMM.rank == 0:
        print("FOUND", json.dumps(result), flush=True)
