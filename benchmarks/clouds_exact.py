"""Exact transport between clouds and the Sinkhorn divergence beside their peers, in turns, CPU seconds.

    python benchmarks/clouds_exact.py --points 2000 10000 100000
    python benchmarks/clouds_exact.py --divergence --eps 0.05

Peak memory is that of the process: give one number of points for a number of its own.
Peers: POT's dense ``emd2`` up to 4000 points; for the divergence GeomLoss and OTT-JAX, where they are installed.  A peer that is
missing is left out with a word.
"""

from __future__ import annotations

import argparse
import importlib.util
import resource
import time
from collections.abc import Callable
from statistics import median

import numpy as np

from pmasolve import Problem, optimal_coupling, sinkhorn_divergence

DENSE = 4000  # points up to which a dense matrix is given to POT
COMPILING = 1000  # points of a first run, which is not measured
Run = Callable[[], float]


def seconds(runs: dict[str, Run], repeat: int) -> None:
    """Print value and median CPU seconds of each, compiled before, in turns, and the ratio to the first."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    values: dict[str, float] = {}
    for _ in range(repeat):
        for name, run in runs.items():
            began = time.process_time()
            values[name] = run()
            times[name].append(time.process_time() - began)
    first = median(next(iter(times.values())))
    for name, value in values.items():
        print(
            f"  {name:24} {value:.15g}  {median(times[name]):8.3f} s  ratio {median(times[name]) / first:.2f}",
            flush=True,
        )


def peak() -> int:
    """Bytes of this process."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def drawn(n: int, dim: int) -> tuple[np.ndarray, np.ndarray]:
    """Uniform points, and others denser at the origin."""
    rng = np.random.default_rng(0)
    return rng.random((n, dim)), rng.random((n, dim)) ** 1.5


def exact(n: int, dim: int, repeat: int) -> None:
    """W₂² of n points on each side."""
    x, y = drawn(n, dim)
    problem = Problem.from_samples(x, y)
    runs: dict[str, Run] = {"optimal_coupling": lambda: optimal_coupling(problem).w2_squared}
    if n <= DENSE and importlib.util.find_spec("ot"):
        import ot

        uniform = np.full(n, 1 / n)
        runs["POT emd2, dense"] = lambda: float(ot.emd2(uniform, uniform, ot.dist(x, y), numItermax=10**8))
    optimal_coupling(Problem.from_samples(x[:COMPILING], y[:COMPILING]))
    print(f"n = {n}, d = {dim}")
    before = peak()
    seconds(runs, repeat)
    print(
        f"  peak memory {peak() / 2**20:.0f} MB, {(peak() - before) / n:.0f} bytes for each point of a side above what it was"
    )


def divergence(n: int, dim: int, eps: float, repeat: int) -> None:
    """S_ε of n points on each side, cost ½|x − y|², marginal 1e-6."""
    x, y = drawn(n, dim)
    problem = Problem.from_samples(x, y)
    runs: dict[str, Run] = {"sinkhorn_divergence": lambda: sinkhorn_divergence(problem, eps, marginal=1e-6).value}
    if importlib.util.find_spec("geomloss"):
        import torch
        from geomloss import SamplesLoss

        torch.set_num_threads(1)
        a, b = torch.tensor(x), torch.tensor(y)
        loss = SamplesLoss("sinkhorn", p=2, blur=eps**0.5, scaling=0.95, debias=True, backend="tensorized")
        runs["GeomLoss, scaling 0.95"] = lambda: float(loss(a, b))
    if importlib.util.find_spec("ott"):
        import jax

        jax.config.update("jax_enable_x64", True)
        import jax.numpy as jnp
        from ott.geometry import costs, pointcloud
        from ott.tools import sinkhorn_divergence as peer

        def ott() -> float:
            options = {"cost_fn": costs.SqEuclidean(), "epsilon": 2 * eps}
            out = peer.sinkhorn_divergence(pointcloud.PointCloud, jnp.asarray(x), jnp.asarray(y), **options)
            return float(getattr(out[0], "divergence", out[0])) / 2

        runs["OTT-JAX"] = ott
    print(f"Sinkhorn divergence, n = {n}, d = {dim}, ε = {eps}")
    for run in runs.values():  # compiled
        run()
    seconds(runs, repeat)


def main() -> None:
    """Exact transport for every number of points, or the divergence."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, nargs="+", default=[2000, 10_000])
    parser.add_argument("--dim", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--divergence", action="store_true")
    parser.add_argument("--eps", type=float, default=0.05)
    given = parser.parse_args()
    for n in given.points:
        if given.divergence:
            divergence(n, given.dim, given.eps, given.repeat)
        else:
            exact(n, given.dim, given.repeat)


if __name__ == "__main__":
    main()
