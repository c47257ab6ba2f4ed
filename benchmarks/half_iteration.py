"""Half-iterations of Sinkhorn on n × n grids: tiles, matrix products, the dispatch, bare products, plain log-sum-exp.

    python benchmarks/half_iteration.py [n ...]

The hard pair f = 2 cos 2πx + 2 cos 2πy and g, the same shifted by 0.4 along both axes; the potential is annealed from
ε = 1e-2 down, so that its map moves mass by a third of a period.  For one thread set NUMBA_NUM_THREADS=1 and
OPENBLAS_NUM_THREADS=1; column ``plain`` has one thread in any case: it sums the
same certified windows term by term, without tiles.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from time import perf_counter

import numba
import numpy as np

from pmasolve.domains import Array, Torus
from pmasolve.softmin.bits import CHUNK, LN2, LOG2E, exp2, jit, log2
from pmasolve.softmin.separable import Method, Separable, SeparableKernel
from pmasolve.softmin.windows import edge, extend, is_concave

STEPS = ((1e-2, 60), (3e-3, 40), (1e-3, 40), (3e-4, 30), (1e-4, 30), (3e-5, 20), (1e-5, 20))
SHOWN = (1e-2, 1e-3, 1e-4, 1e-5)


def hard_pair(n: int) -> tuple[Torus, Array, Array]:
    """The grid and the two negative log-densities, each of mass one."""
    torus = Torus((n, n))

    def normalised(x: Array, y: Array) -> Array:
        f = 2 * np.cos(2 * np.pi * x) + 2 * np.cos(2 * np.pi * y)
        return f + np.log(torus.integral(np.exp(-f)))

    x, y = torus.points
    return torus, normalised(x, y), normalised(x - 0.4, y - 0.4)


def annealed(n: int) -> Iterator[tuple[float, Array]]:
    """(ε, h) for every ε of the table: h of the first half-step at the potential reached there from larger ε."""
    torus, f, g = hard_pair(n)
    w = np.log(torus.cell)
    u = np.zeros(torus.shape)
    for eps, count in STEPS:
        kernel = Separable().bind(torus, torus, eps)
        for _ in range(count):
            v = eps * kernel.forward(-u / eps - f + w)
            u = eps * kernel.backward(-v / eps - g + w)
        if eps in SHOWN:
            yield eps, -u / eps - f + w


def median_ms(call: Callable[[], object], seconds: float = 1.0) -> float:
    """Median time of a call after one that warms up."""
    call()
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return 1e3 * float(np.median(times))


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


def row(eps: float, h: Array) -> str:
    """One line of the table."""
    n = h.shape[0]
    torus = Torus(h.shape)
    kernels = [Separable(force).bind(torus, torus, eps) for force in (Method.TILES, Method.MATRIX, None)]
    tiles, matrix, both = (median_ms(lambda k=k: k.forward(h)) for k in kernels)
    certified = kernels[1].report["tile_passes"] == 0
    a = kernels[0].axes[0].matrix
    gemm = median_ms(lambda: (a @ a, a @ a))
    slow = median_ms(lambda: plain(h, kernels[0]), 0.0)
    report = kernels[0].report
    return (
        f"{n:5d} {eps:7.0e} {tiles:9.2f} {f'{matrix:9.2f}' if certified else '  invalid'} {both:9.2f} {gemm:9.2f}"
        f" {slow:9.1f}   {np.ptp(h):8.0f} {report['splits']:7d} {report['rough_lines']:6.2f}"
    )


if __name__ == "__main__":
    print(f"{numba.config.NUMBA_NUM_THREADS} threads; milliseconds per half-iteration")
    print("    n     eps     tiles    matrix  dispatch  two GEMM     plain    osc(h)  splits  rough")
    for n in [int(a) for a in sys.argv[1:]] or (256, 512, 1024):
        for eps, h in annealed(n):
            print(row(eps, h), flush=True)
