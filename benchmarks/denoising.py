"""L_r(y) of samples: `pmasolve.denoising` beside a plain NumPy loop and scikit-learn's pairwise kernels, in one run.

    python benchmarks/denoising.py --n 100000 --dim 50 --scales 20 --draws 1024 --peers 8

Milliseconds of CPU for one y (of all threads together, so that a busy machine does not matter much), and the whole of
``complexity``; the peers run on ``--peers`` of the y at every r, and every value is checked.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np
from sklearn.metrics.pairwise import rbf_kernel

from pmasolve import denoising as dn
from pmasolve.machine.arrays import Array

Curvature = Callable[[Array, float, Array], Array]


def plain(x: Array, r: float, y: Array) -> Array:
    """One y at a time: weights, centred points, covariance, largest eigenvalue."""
    out = []
    for z in y:
        logs = -0.5 * np.sum((z - r * x) ** 2, axis=1)
        w = np.exp(logs - logs.max())
        w /= w.sum()
        away = x - w @ x
        out.append(r * r * np.linalg.eigvalsh((away * w[:, None]).T @ away)[-1])
    return np.array(out)


def kernels(x: Array, r: float, y: Array) -> Array:
    """All kernels at once by scikit-learn; they underflow where every sample is far, and then the value is NaN."""
    weights = rbf_kernel(y, r * x, gamma=0.5)
    out = []
    for w in weights:
        if not (total := w.sum()) > 0:
            out.append(np.nan)
            continue
        away = x - (w / total) @ x
        out.append(r * r * np.linalg.eigvalsh((away * (w / total)[:, None]).T @ away)[-1])
    return np.array(out)


def samples(n: int, dim: int) -> Array:
    """Eight clusters with unequal spreads along the axes."""
    rng = np.random.default_rng(0)
    centres = 1.5 * rng.standard_normal((8, dim))
    return centres[rng.integers(0, 8, n)] + rng.standard_normal((n, dim)) * np.linspace(0.3, 1.2, dim)


def timed(work: Callable[[], Array]) -> tuple[Array, float]:
    """Result and seconds of CPU."""
    began = time.process_time()
    out = work()
    return out, time.process_time() - began


def main() -> None:
    """Peers in turns at every r, then all of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("n", 100_000), ("dim", 50), ("scales", 20), ("draws", 1024), ("peers", 8)):
        parser.add_argument(f"--{name}", type=int, default=value)
    a = parser.parse_args()
    x = samples(a.n, a.dim)
    law, rng = dn.Points(x), np.random.default_rng(1)
    scales = np.geomspace(0.05, 10, a.scales)
    total = {"plain": 0.0, "scikit-learn": 0.0}
    print(f"n = {a.n}, d = {a.dim}; ms of CPU for one y\n{'r':>8} {'plain':>8} {'sklearn':>8}  largest difference")
    for r in scales:
        y = r * law.draw(a.peers, rng) + rng.standard_normal((a.peers, a.dim))
        (loop, first), (kernel, second) = timed(lambda: plain(x, r, y)), timed(lambda: kernels(x, r, y))  # noqa: B023
        gap = np.nanmax(np.abs(np.array([loop, kernel]) - law.curvature(r, y)) / np.maximum(loop, 1e-6))
        total["plain"] += first
        total["scikit-learn"] += second
        print(f"{r:8.3g} {1e3 * first / a.peers:8.1f} {1e3 * second / a.peers:8.1f}  {gap:.1e}", flush=True)
        assert gap < 1e-5
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    _, seconds = timed(lambda: dn.complexity(law, scales, draws=a.draws).mean)
    each = seconds / a.scales / a.draws
    wall = time.perf_counter() - began
    print(f"complexity: {wall:.1f} s ({seconds:.1f} s of CPU) for {a.scales} r with {a.draws} draws each")
    print(f"{1e3 * each:.2f} ms of CPU for one y")
    for name, spent in total.items():
        print(f"{spent / a.scales / a.peers / each:.1f} times as fast as {name}")
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"peak memory {after / 2**20:.2f} GiB ({before / 2**20:.2f} before complexity)")


if __name__ == "__main__":
    main()
