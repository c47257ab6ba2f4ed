"""Half-iterations on clouds in the unit square: ns for each pair of points, peers side by side in one run.

    python benchmarks/clouds.py --n 20000 --eps 0.1 0.001 --repeat 5

The number is the time over *all* pairs, the one that matters to a user: ``Blockwise`` sums some one by one, some by expansions, and
skips those below rounding.  Every row is checked against the first.  Peers that store the matrix run on fewer points.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from statistics import median

import numba
import numpy as np

from pmasolve.machine.arrays import Array
from pmasolve.problems.grids import Cloud
from pmasolve.sinkhorn.softmin.blockwise import Blockwise
from pmasolve.sinkhorn.softmin.keops import KeOps, why_not

Run = Callable[[], Array]
BATCH = 256  # targets: of 64 to 1024 the fastest or near it
PEERS = {"ott": "OTT-JAX", "geomloss": "GeomLoss"}


def clouds(n: int, dim: int, eps: float, period: float | None) -> tuple[Cloud, Cloud, Array]:
    """Two random clouds and a smooth potential, h = −u/ε."""
    rng = np.random.default_rng(0)
    x, y = rng.random((n, dim)), rng.random((n, dim)) ** 1.3
    return Cloud(x, period=period), Cloud(y, period=period), -0.05 * np.cos(2 * np.pi * x).sum(axis=1) / eps


def dense(source: Cloud, target: Cloud, h: Array, eps: float) -> dict[str, Run]:
    """The half-iterations of POT (its log-domain Sinkhorn with its own log-sum-exp) and of SciPy, dense matrices."""
    from ot.backend import NumpyBackend
    from scipy.special import logsumexp

    matrix = -((source.points[:, None, :] - target.points[None]) ** 2).sum(axis=-1) / (2 * eps)
    return {
        "POT, log domain": lambda: NumpyBackend().logsumexp(matrix + h[:, None], axis=0),
        "SciPy logsumexp": lambda: logsumexp(matrix + h[:, None], axis=0),
    }


def ott(source: Cloud, target: Cloud, h: Array, eps: float) -> dict[str, Run]:
    """OTT-JAX, its point-cloud geometry in double precision on batches of targets.

    Its own ``batch_size`` calls what JAX has since removed, so the batches are made here.
    """
    import jax

    jax.config.update("jax_enable_x64", True)
    from ott.geometry import costs, pointcloud

    cost, zero = costs.SqEuclidean(), np.zeros(BATCH)
    pad = -target.size % BATCH
    batches = np.concatenate([target.points, np.zeros((pad, target.dim))]).reshape(-1, BATCH, target.dim)

    def batch(f, y):
        geometry = pointcloud.PointCloud(source.points, y, cost_fn=cost, epsilon=2 * eps)
        return geometry.apply_lse_kernel(f, zero, 2 * eps, axis=0)[0] / (2 * eps)

    apply = jax.jit(lambda f: jax.lax.map(lambda y: batch(f, y), batches).ravel()[: target.size])
    return {"OTT-JAX": lambda: np.asarray(apply(2 * eps * h).block_until_ready())}


def pot_lazy(source: Cloud, target: Cloud, h: Array, eps: float) -> Run:
    """POT's lazy Sinkhorn, which stores blocks of rows only: one iteration, that is two half-iterations."""
    from ot.bregman import empirical_sinkhorn

    def run() -> Array:
        start = np.zeros(target.size), h
        f, _ = empirical_sinkhorn(
            target.points,
            source.points,
            2 * eps,
            numIterMax=1,
            isLazy=True,
            batchSize=BATCH,
            warn=False,
            warmstart=start,
        )
        return -np.log(target.size) - f

    return run


def geomloss(source: Cloud, target: Cloud, h: Array, eps: float) -> dict[str, Run]:
    """GeomLoss, its tensorised softmin in double precision."""
    import torch
    from geomloss._legacy.sinkhorn_samples import softmin_tensorized

    x, y = torch.from_numpy(source.points)[None], torch.from_numpy(target.points)[None]
    cost = ((y[:, :, None] - x[:, None]) ** 2).sum(-1) / 2
    exponents = torch.from_numpy(h)[None]
    return {"GeomLoss, tensorised": lambda: -softmin_tensorized(eps, cost, exponents)[0].numpy() / eps}


def compare(runs: dict[str, Run], repeat: int) -> tuple[dict[str, float], dict[str, Array]]:
    """Median seconds of each, taken in turns so that the machine's other work falls on all."""
    values = {name: run() for name, run in runs.items()}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeat):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: median(s) for name, s in seconds.items()}, values


def report(runs: dict[str, Run], pairs: int, repeat: int) -> None:
    """Print one block: ns for each pair, ratio to the first row, largest difference from the first row."""
    seconds, values = compare(runs, repeat)
    first = next(iter(runs))
    for name in runs:
        ratio, difference = seconds[first] / seconds[name], np.abs(values[name] - values[first]).max()
        print(f"  {name:24s} {seconds[name] / pairs * 1e9:9.3f} ns/pair   {ratio:7.1f} x   differs by {difference:.0e}")


def report_once(name: str, run: Run, ours: Run, pairs: int, halves: int) -> None:
    """The same for a slow peer: one call of so many half-iterations, and its ratio to ours."""
    ours()
    (seconds, values), (own, expected) = (_timed(call) for call in (run, ours))
    difference = np.abs(values - expected).max()
    print(
        f"  {name:24s} {seconds / (halves * pairs) * 1e9:9.3f} ns/pair   pmasolve is {seconds / (halves * own):.0f} times faster"
        f"   differs by {difference:.0e}",
        flush=True,
    )


def _timed(call: Run) -> tuple[float, Array]:
    start = time.perf_counter()
    value = call()
    return time.perf_counter() - start, value


def main() -> None:
    """Parse the command line and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=10_000, help="points in each cloud")
    parser.add_argument(
        "--small", type=int, default=2_000, help="points for the peers that store the matrix, 0 for none"
    )
    parser.add_argument("--dim", type=int, default=2)
    parser.add_argument("--eps", type=float, nargs="+", default=[0.1, 1e-2, 1e-3, 1e-4])
    parser.add_argument("--period", type=float, default=None)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    print(f"threads {numba.get_num_threads()}, float64, dimension {options.dim}, period {options.period}")
    for eps in options.eps:
        table(options.n, options, eps, {"ott": ott} if options.period is None else {})
    if options.period is None and options.small:
        table(options.small, options, options.eps[0], {"dense": dense, "geomloss": geomloss})


def table(n: int, options: argparse.Namespace, eps: float, peers: dict[str, Callable[..., dict[str, Run]]]) -> None:
    """One comparison at one size and one ε."""
    source, target, h = clouds(n, options.dim, eps, options.period)
    engines = {"Blockwise": Blockwise()} if why_not() else {"KeOps": KeOps(device="cpu"), "Blockwise": Blockwise()}
    kernels = {name: engine.bind(source, target, eps) for name, engine in engines.items()}
    runs: dict[str, Run] = {name: (lambda kernel=kernel: kernel.forward(h)) for name, kernel in kernels.items()}
    for name, peer in peers.items():
        if name in PEERS and importlib.util.find_spec(name) is None:
            print(f"  {PEERS[name]}: not installed, not measured")
        else:
            runs |= peer(source, target, h, eps)
    kernels["Blockwise"].forward(h)
    summed, expanded = (kernels["Blockwise"].report[name] / n**2 for name in ("summed", "expanded"))
    print(
        f"n = {n}, eps = {eps:g}: of each pair's images Blockwise sums {summed:.3f} one by one, {expanded:.3f} by expansions"
    )
    report(runs, n * n, options.repeat)


if __name__ == "__main__":
    main()
