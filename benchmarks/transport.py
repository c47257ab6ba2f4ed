"""`transport` against its peers, side by side in one run: smooth pairs, entropic solvers, the exact oracle.

    python benchmarks/transport.py [--quick] [--large] [--only smooth bfm entropic oracle]

Times are medians of repeated calls after one that warms up, or single ones where a call takes seconds.  ``pairs`` counts in
forward-and-back transforms of the same grid, timed in the same run: the measure that a busy machine does not move.
Every peer is compared at the accuracy that it reaches: the sup error of its map against the known one.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from resource import RUSAGE_SELF, getrusage
from statistics import median
from time import perf_counter

import numpy as np
import ot
from bfm import BackAndForth
from grid_peers import missing, ott_geometry
from rich.console import Console
from rich.table import Table

from pmasolve import FiniteDifference, Fourier, Problem, Torus, manufactured, transport
from pmasolve.calculus.transforms import transform_of
from pmasolve.machine.arrays import Array
from pmasolve.maps.certificates import quadrature_bound
from pmasolve.maps.newton import NewtonKrylov, newton

TAU = 2 * np.pi
CONSOLE = Console(width=140)


def show(title: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """One table; rows appear when all are there."""
    table = Table(*heads, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row))
    CONSOLE.print(table)


def seconds(call: Callable[[], object], repeats: int = 5, patience: float = 2.0) -> float:
    """Median time of a call, warmed up; one call only if it takes longer than ``patience``."""
    times = []
    for _ in range(repeats + 1):
        began = perf_counter()
        call()
        times.append(perf_counter() - began)
        if times[-1] > patience:
            return times[-1]
    return median(times[1:])


def pair_seconds(grid: Torus) -> float:
    """A forward and a backward transform."""
    transform, values = transform_of(grid), np.random.default_rng(0).standard_normal(grid.shape)
    coefficients, out = transform.forward(values), np.empty(grid.shape)

    def pair() -> None:
        transform.forward(values, coefficients)
        transform.derivative(coefficients, (0,) * grid.dim, out)

    return seconds(pair, 9)


def pair_of(n: int, dim: int = 2) -> tuple[Problem, Array]:
    """A smooth pair whose map is known, and the map's displacement on the grid."""

    def u(x: Array, y: Array, z: Array | float = 0.0) -> Array:
        return 0.006 * np.cos(TAU * (x - z) + 0.4) + 0.003 * np.cos(TAU * (x + y) + 1.3)

    def g(x: Array, y: Array, z: Array | float = 0.0) -> Array:
        return 0.3 * np.cos(TAU * x + 0.9) + 0.2 * np.cos(TAU * (x - y + z) + 0.2)

    problem, values = manufactured(Torus((n,) * dim), u, g)
    return problem, Fourier().on(problem.domain).gradient(values)


def error_of(problem: Problem, map_: Array, displacement: Array) -> float:
    """sup |T − T*|, the nearest image."""
    d = map_ - problem.domain.points - displacement
    return float(np.max(np.abs(d - np.round(d))))


def smooth(sizes: Sequence[tuple[int, int]]) -> Iterator[Sequence[object]]:
    """Size, time of Newton and with the certificate, in pairs, map error, gap, memory."""
    for n, dim in sizes:
        problem, displacement = pair_of(n, dim)
        _ = problem.f, problem.g
        T = transport(problem)
        whole = seconds(lambda problem=problem: transport(problem))
        alone = seconds(lambda problem=problem: newton(problem, Fourier(), 1e-12, NewtonKrylov()))
        pair = pair_seconds(problem.domain)
        memory = getrusage(RUSAGE_SELF).ru_maxrss / 1e6
        error = error_of(problem, T.map, displacement)
        krylov = sum(record["krylov"] for record in T.records if record["points"] == problem.domain.size)
        size = "×".join([str(n)] * dim)
        yield size, alone, whole, 1e3 * pair, alone / pair, whole / pair, krylov, error, T.gap, memory


def differences(sizes: Sequence[int]) -> Iterator[Sequence[object]]:
    """Map errors by finite differences."""
    for n in sizes:
        problem, displacement = pair_of(n)
        spaces = [FiniteDifference(2), FiniteDifference(4), FiniteDifference(6), Fourier()]
        yield n, *(error_of(problem, transport(problem, space=space).map, displacement) for space in spaces)


def back_and_forth(sizes: Sequence[int], marks: Sequence[int]) -> Iterator[Sequence[object]]:
    """The back-and-forth method after so many steps, against Newton to its accuracy, to all digits, and with the certificate."""
    for n in sizes:
        problem, displacement = pair_of(n)
        full = seconds(lambda problem=problem: newton(problem, Fourier(), 1e-12, NewtonKrylov()))
        certified = seconds(lambda problem=problem: transport(problem))
        BackAndForth(np.exp(-problem.f), np.exp(-problem.g)).step()  # compile
        peer, spent, done = BackAndForth(np.exp(-problem.f), np.exp(-problem.g)), 0.0, 0
        for mark in marks:
            began = perf_counter()
            for _ in range(mark - done):
                peer.step()
            spent, done, error = spent + perf_counter() - began, mark, error_of(problem, peer.map, displacement)
            found = newton(problem, Fourier(), error, NewtonKrylov())
            ours = error_of(
                problem, problem.domain.points + Fourier().on(problem.domain).gradient(found.level.values), displacement
            )
            equal = seconds(lambda p=problem, e=error: newton(p, Fourier(), e, NewtonKrylov()))
            yield n, mark, error, spent, ours, spent / equal, spent / full, spent / certified


def entropic(n: int, rungs: Sequence[float]) -> Iterator[Sequence[object]]:
    """Barycentric maps of entropic solvers, ε by ε, against `transport` on the same grid, and against Newton to their accuracy."""
    problem, displacement = pair_of(n)
    ours = seconds(lambda: transport(problem))
    yield "pmasolve", "", ours, error_of(problem, transport(problem).map, displacement), 1.0, ""
    for eps in rungs:
        for name, solve in ENTROPIC.items():
            if n > 64 and name != "OTT-JAX":
                continue  # dense: n⁴ numbers
            if need := missing(*NEEDS[name]):
                yield name, eps, f"not installed: {need}", "", "", ""
                continue
            spent, map_ = solve(problem, eps)
            error = error_of(problem, map_, displacement)
            equal = seconds(lambda e=error: newton(problem, Fourier(), min(e, 0.1), NewtonKrylov()))
            yield name, eps, spent, error, spent / ours, spent / equal


def _barycentric(problem: Problem, plan_: Array) -> Array:
    """E[y|x] on the torus, the nearest image, from a dense plan."""
    x = problem.domain.points.reshape(2, -1)
    rows = plan_.sum(axis=1)
    moved = [np.sum(plan_ * _nearest(axis[None, :] - axis[:, None]), axis=1) / rows for axis in x]
    return (x + np.stack(moved)).reshape(problem.domain.points.shape)


def _nearest(d: Array) -> Array:
    return d - np.round(d)


def pot(problem: Problem, eps: float) -> tuple[float, Array]:
    """POT's log-domain Sinkhorn on the dense periodic cost."""
    a, b, cost = _dense(problem)
    began = perf_counter()
    plan_ = ot.sinkhorn(a, b, cost, eps, method="sinkhorn_log", numItermax=2000, stopThr=1e-6, warn=False)
    return perf_counter() - began, _barycentric(problem, plan_)


def ott(problem: Problem, eps: float) -> tuple[float, Array]:
    """OTT-JAX on its separable grid geometry, compiled first."""
    import jax
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import sinkhorn

    a, b = _masses(problem)
    task = linear_problem.LinearProblem(ott_geometry(problem.domain, eps), a=a, b=b)
    solver = jax.jit(sinkhorn.Sinkhorn(threshold=1e-6, max_iterations=2000)).lower(task).compile()
    began = perf_counter()
    out = jax.block_until_ready(solver(task))
    spent = perf_counter() - began
    f = np.asarray(out.f).reshape(problem.domain.shape)
    return spent, problem.domain.points - Fourier().on(problem.domain).gradient(f)  # the conditional mean


def geomloss(problem: Problem, eps: float) -> tuple[float, Array]:
    """GeomLoss's symmetric Sinkhorn on the dense periodic cost, potentials out."""
    import torch
    from geomloss import SamplesLoss

    a, b, cost = _dense(problem)
    points = torch.from_numpy(problem.domain.points.reshape(2, -1).T.copy())

    def periodic(x, y):
        d = x[:, :, None, :] - y[:, None, :, :]
        return 0.5 * ((d - d.round()) ** 2).sum(-1)

    loss = SamplesLoss(
        "sinkhorn", p=2, blur=eps**0.5, cost=periodic, debias=False, potentials=True, backend="tensorized", scaling=0.9
    )
    began = perf_counter()
    f, g = loss(torch.from_numpy(a), points, torch.from_numpy(b), points)
    spent = perf_counter() - began
    log_plan = (
        (f.numpy().ravel()[:, None] + g.numpy().ravel()[None] - cost) / eps + np.log(a)[:, None] + np.log(b)[None]
    )
    return spent, _barycentric(problem, np.exp(log_plan))


def _masses(problem: Problem) -> tuple[Array, Array]:
    a, b = ((np.exp(m.log_density) * m.cell).ravel() for m in (problem.mu, problem.nu))
    return a / a.sum(), b / b.sum()


def _dense(problem: Problem) -> tuple[Array, Array, Array]:
    """Masses and ½dist²."""
    x = problem.domain.points.reshape(2, -1)
    cost = sum(0.5 * _nearest(axis[:, None] - axis[None]) ** 2 for axis in x)
    return *_masses(problem), cost


ENTROPIC = {"POT sinkhorn_log": pot, "OTT-JAX": ott, "GeomLoss": geomloss}
NEEDS = {"POT sinkhorn_log": ("ot",), "OTT-JAX": ("ott", "jax"), "GeomLoss": ("geomloss", "torch")}


def oracle(sizes: Sequence[int]) -> Iterator[Sequence[object]]:
    """POT's network simplex: the exact value of the discretised problem, against the interval and its quadrature bound."""
    for n in sizes:
        problem, _ = pair_of(n)
        a, b, cost = _dense(problem)
        began = perf_counter()
        exact = 2 * ot.emd2(a, b, cost, numItermax=10**7)
        spent, T, slack = perf_counter() - began, transport(problem), quadrature_bound(problem.domain)
        inside = abs(np.sqrt(exact) - np.sqrt(T.w2_squared)) <= slack + np.sqrt(T.interval.upper) - np.sqrt(
            T.w2_squared
        )
        yield (
            n,
            exact,
            T.w2_squared,
            exact / T.w2_squared - 1,
            slack,
            inside,
            spent,
            spent / seconds(lambda problem=problem: transport(problem)),
        )


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes, seconds in all")
    parser.add_argument("--large", action="store_true", help="4096² as well")
    parser.add_argument("--only", nargs="*", default=["smooth", "bfm", "entropic", "oracle"])
    chosen = parser.parse_args()
    sizes = [(64, 2), (128, 2), (24, 3)] if chosen.quick else [(256, 2), (512, 2), (1024, 2), (64, 3), (128, 3)]
    if "smooth" in chosen.only:
        heads = [
            "grid",
            "Newton s",
            "all s",
            "pair ms",
            "Newton pairs",
            "all pairs",
            "fine CG",
            "map error",
            "gap",
            "peak GB",
        ]
        show("Smooth pair, spectral", heads, smooth(sizes + [(4096, 2)] * chosen.large))
        counts = [32, 64] if chosen.quick else [32, 64, 128, 256]
        show(
            "Map error by differences of order 2, 4, 6 and Fourier",
            ["n", "2", "4", "6", "Fourier"],
            differences(counts),
        )
    if "bfm" in chosen.only:
        counts, marks = ([64], [2, 5, 10]) if chosen.quick else ([256, 512, 1024], [5, 10, 20, 40])
        heads = ["n", "steps", "map error", "s", "Newton's error", "ratio", "ratio, all digits", "ratio, certified"]
        show("Back and forth", heads, back_and_forth(counts, marks))
    if "entropic" in chosen.only:
        heads = ["solver", "ε", "s", "map error", "ratio", "ratio, equal error"]
        runs = [(48, [1e-2, 3e-3]), (64, [1e-3]), (96, [1e-3]), (128, [1e-3]), (256, [1e-3])]
        for n, rungs in [(32, [1e-2])] if chosen.quick else runs:
            show(f"Entropic solvers, {n}²", heads, entropic(n, rungs))
    if "oracle" in chosen.only:
        heads = ["n", "emd", "cost", "relative", "bound of √", "inside", "emd s", "ratio"]
        show("Exact oracle", heads, oracle([16] if chosen.quick else [16, 32]))


if __name__ == "__main__":
    main()
