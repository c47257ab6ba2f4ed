"""Half-iterations of Sinkhorn on n × n grids: tiles, matrix products, the dispatch, bare products, plain log-sum-exp.

    python benchmarks/half_iteration.py [n ...]

The hard pair f = 2 cos 2πx + 2 cos 2πy and g, the same shifted by 0.4 along both axes; the potential is annealed from
ε = 1e-2 down, so that its map moves mass by a third of a period.  Milliseconds are medians of calls that take turns, so that
a busy machine slows all alike.  ``best`` is what `Separable()` takes; ``best/2GEMM`` its ratio to two matrix products;
``plain`` sums the same certified windows term by term, without tiles, on one thread; ``mass`` is the largest |∫p_X − 1| of all
iterations so far; ``bits`` the least certificate of a tile (above −929).  For one thread set NUMBA_NUM_THREADS=1 and
OPENBLAS_NUM_THREADS=1; with more, two last columns say how much faster tiles are than on one, and how much faster
plain exponentials are, which no memory or balance holds back: what the machine has to give.
Other packages: python benchmarks/sinkhorn.py --only grid --full --threads 1 2
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from time import perf_counter

import numba
import numpy as np

from pmasolve.machine.arrays import Array
from pmasolve.machine.exponentials import CHUNK, LN2, LOG2E, exp2, jit, log2
from pmasolve.machine.threads import each
from pmasolve.problems.grids import Torus
from pmasolve.sinkhorn.softmin.grids.windows import edge, extend, is_concave
from pmasolve.sinkhorn.softmin.separable import AxisMethod, Separable, SeparableKernel

STEPS = ((1e-2, 60), (3e-3, 40), (1e-3, 40), (3e-4, 30), (1e-4, 30), (3e-5, 20), (1e-5, 20))


def hard_pair(n: int) -> tuple[Torus, Array, Array]:
    """The grid and the two negative log-densities, each of mass one."""
    torus = Torus((n, n))

    def normalised(x: Array, y: Array) -> Array:
        f = 2 * np.cos(2 * np.pi * x) + 2 * np.cos(2 * np.pi * y)
        return f + np.log(torus.integral(np.exp(-f)))

    x, y = torus.points
    return torus, normalised(x, y), normalised(x - 0.4, y - 0.4)


def stages(n: int) -> Iterator[tuple[float, Array, float]]:
    """(ε, h, mass error) for every ε: h of the first half-step at the potential reached there from larger ε."""
    torus, f, g = hard_pair(n)
    w = np.log(torus.cell)
    u, worst = np.zeros(torus.shape), 0.0
    for eps, count in STEPS:
        kernel = Separable().bind(torus, torus, eps)
        for _ in range(count):
            v = eps * kernel.forward(-u / eps - f + w)
            new = eps * kernel.backward(-v / eps - g + w)
            worst = max(worst, abs(float(np.sum(np.exp((new - u) / eps - f + w))) - 1))
            u = new
        yield eps, -u / eps - f + w, worst


def annealed(n: int) -> Iterator[tuple[float, Array]]:
    """(ε, h) for every ε of the table."""
    return ((eps, h) for eps, h, _ in stages(n))


def median_ms(call: Callable[[], object], seconds: float = 1.0) -> float:
    """Median time of a call after one that warms up."""
    call()
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return 1e3 * float(np.median(times))


def in_turn(calls: dict[str, Callable[[], object]], seconds: float = 1.5) -> dict[str, float]:
    """Median milliseconds of calls that take turns, after one round that warms up."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    began = perf_counter()
    while perf_counter() - began < seconds or len(times[next(iter(times))]) < 4:
        for name, call in calls.items():
            start = perf_counter()
            call()
            times[name].append(perf_counter() - start)
    return {name: 1e3 * float(np.median(values[1:])) for name, values in times.items()}


@jit
def plain_pass(lines, kappa, scale, scale_out, reach, out):
    """The windows of every eighth output, summed term by term."""
    rows, n = lines.shape
    span = n + 2 * reach + 1
    b, iota, g, lanes = np.empty(span), np.empty(span), np.empty(span), np.empty(CHUNK)
    for x in range(span):
        iota[x] = np.float64(x)
    for r in range(rows):
        extend(lines[r], scale, False, reach, b)
        concave = is_concave(b, kappa, reach, n)
        first, p, _, _ = edge(b, iota, kappa, concave, reach, 0, 0, 2 * reach, 2 * reach, g, lanes)
        for y0 in range(0, n, 8):
            y1 = min(n, y0 + 8)
            start, p, last, _ = edge(b, iota, kappa, concave, reach + y1, first, p, span - 1, span - 1, g, lanes)
            for y in range(y0 + reach, y1 + reach):
                best = -1e300
                for x in range(first, last + 1):
                    v = b[x] - kappa * np.float64(x - y) ** 2
                    best = v if v > best else best
                total = 0.0
                for x in range(first, last + 1):
                    v = b[x] - kappa * np.float64(x - y) ** 2 - best
                    total += exp2(v if v > -1000.0 else -1000.0)
                out[y - reach, r] = (best + log2(total)) * scale_out
            first = start


def plain(h: Array, kernel: SeparableKernel) -> Array:
    """The whole half-iteration by windowed log-sum-exps, one thread."""
    n = h.shape[0]
    axis = kernel.axes[0]
    middle, out = np.empty_like(h), np.empty_like(h)
    plain_pass(h, axis.kappa, LOG2E, 1.0, axis.tiles.reach, middle)
    plain_pass(middle, axis.kappa, 1.0, LN2, axis.tiles.reach, out)
    assert out.shape == (n, n)
    return out


def alone(call: Callable[[], object]) -> Callable[[], object]:
    """The same on one thread of the tiles."""

    def run() -> None:
        threads = numba.get_num_threads()
        numba.set_num_threads(1)
        call()
        numba.set_num_threads(threads)

    return run


@jit
def exponentials(count):
    """A sum that needs no memory."""
    total = 0.0
    for i in range(count):
        total += np.exp(-1e-7 * i)
    return total


def row(eps: float, h: Array, mass: float) -> str:
    """One line of the table."""
    n, torus = h.shape[0], Torus(h.shape)
    tiles, matrix, best = (
        Separable(force).bind(torus, torus, eps) for force in (AxisMethod.TILES, AxisMethod.MATRIX, None)
    )
    matrix.forward(h)
    a = np.random.default_rng(0).random((n, n))
    calls = {"tiles": lambda: tiles.forward(h), "best": lambda: best.forward(h), "gemm": lambda: (a @ a, a @ a)}
    if matrix.report["tile_passes"] == 0:
        calls["matrix"] = lambda: matrix.forward(h)
    if threads := numba.get_num_threads() > 1:
        calls["alone"] = alone(calls["tiles"])
        calls["compute"] = lambda: each(exponentials, [100_000] * 16)
        calls["compute alone"] = alone(calls["compute"])
    ms, slow = in_turn(calls), median_ms(lambda: plain(h, tiles), 0.0)
    return (
        f"{n:5d} {eps:6.0e} {eps * n * n:7.1f} {ms['tiles']:7.2f} {ms.get('matrix', np.nan):7.2f}"
        f" {ms['best']:7.2f} {ms['gemm']:7.2f} {ms['best'] / ms['gemm']:10.2f} {slow / ms['best']:10.1f}"
        f" {mass:6.0e} {tiles.report['least_bits']:5.0f}"
        + (f" {ms['alone'] / ms['tiles']:5.2f} {ms['compute alone'] / ms['compute']:8.2f}" if threads else "")
    )


if __name__ == "__main__":
    threads = numba.get_num_threads()
    print(f"{threads} thread(s) of the tiles; milliseconds per half-iteration; nan: no certificate")
    print(
        "    n    eps  eps/h2   tiles  matrix    best  2 GEMM best/2GEMM plain/best   mass  bits"
        + ("  two  compute" if threads > 1 else "")
    )
    for n in [int(a) for a in sys.argv[1:]] or (256, 512, 1024):
        for eps, h, mass in stages(n):
            print(row(eps, h, mass), flush=True)
