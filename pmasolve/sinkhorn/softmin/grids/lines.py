"""All outputs of all lines by tiles: edges found by halving, tiles halved until they are certified.

Nothing can fail: a tile without certificate is cut in two, and a single output is summed term by term.
"""

from __future__ import annotations

import numpy as np

from ....machine.exponentials import CHUNK, FLOOR, exp2, jit, lean, log2
from .stretch import STEP
from .tiles import Edges, Scratch, tile
from .vectors import GROUP, LANES
from .windows import count_kinks, edge, extend, is_concave

SPLITS, ROUGH, LOWEST, STEEPEST = range(4)  # slots of the statistics


@lean
def single(b, kappa, y, first, last, best):
    """One output summed directly, shifted by its largest term."""
    total = 0.0
    for x in range(first, last + 1):
        d = np.float64(x - y)
        v = b[x] - kappa * d * d - best
        total += exp2(v if v > FLOOR else FLOOR)
    return best + log2(total)


@lean
def put_edge(axis, edges, concave, r, y, first, p0, p1, last, work):
    """Edge y of line r, its argmax in p0 … p1 and its window in first … last."""
    smooth = concave[r] or work.kinks[r, last] == work.kinks[r, first + 1]
    first, p, last, best = edge(
        work.b[r], work.iota, axis.kappa, smooth, y + axis.reach, first, p0, p1, last, work.g, work.lanes
    )
    edges.low[r, y], edges.arg[r, y], edges.high[r, y], edges.best[r, y] = first, p, last, best


@lean
def new_edge(axis, edges, concave, n, y0, y, y1, work):
    """Edge y of the group from those on both sides; edge 0 from nothing, edge n as an image of it if periodic."""
    for r in range(GROUP):
        first, p0 = (edges.low[r, y0], edges.arg[r, y0]) if y > 0 else (0, 0)
        p1, last = n + 2 * axis.reach, n + 2 * axis.reach
        if y == 0:
            p1, last = 2 * axis.reach, 2 * axis.reach
        elif y < n:
            p1, last = edges.arg[r, y1], edges.high[r, y1]
        if y == n and not axis.reflect:
            edges.low[r, n], edges.arg[r, n] = first + n, p0 + n
            edges.high[r, n], edges.best[r, n] = edges.high[r, 0] + n, edges.best[r, 0]
        else:
            put_edge(axis, edges, concave, r, y, first, p0, p1, last, work)


@lean
def note(edges, concave, y0, y1, bits, stats):
    """Keep the least certificate, and the largest of φ'' and 1/φ'' seen by the edges of smooth lines."""
    stats[LOWEST] = min(stats[LOWEST], bits)
    for r in range(GROUP):
        if concave[r]:
            slope = np.float64(max(1, edges.arg[r, y1] - edges.arg[r, y0])) / np.float64(y1 - y0)
            stats[STEEPEST] = max(stats[STEEPEST], slope, 1.0 / slope)


@lean
def one_group(axis, edges, n, work, concave, out, stats):
    """All outputs of a group of extended lines: halve the outputs until they fit a tile and the tile is certified."""
    stack, depth = work.stack, 1
    stack[0, 0], stack[0, 1] = 0, n
    for y in (0, n):
        new_edge(axis, edges, concave, n, 0, y, y, work)
    while depth > 0:
        depth -= 1
        y0, y1 = stack[depth, 0], stack[depth, 1]
        m = y1 - y0
        if m <= axis.block:
            bits = tile(axis, edges, y0, y1, work, out)
            if bits > -np.inf:
                note(edges, concave, y0, y1, bits, stats)
                continue
            stats[SPLITS] += 1
            if m == 1:
                for r in range(GROUP):
                    low, high, best = edges.low[r, y0], edges.high[r, y0], edges.best[r, y0]
                    out[r, y0] = single(work.b[r], axis.kappa, y0 + axis.reach, low, high, best)
                continue
        ym = y0 + (m >> 1) if m <= 2 * LANES else y0 + ((m >> 1) + LANES - 1) // LANES * LANES
        new_edge(axis, edges, concave, n, y0, ym, y1, work)
        stack[depth, 0], stack[depth, 1] = ym, y1
        stack[depth + 1, 0], stack[depth + 1, 1] = y0, ym
        depth += 2


@jit
def space(n, axis):
    """Edges and scratch of one thread."""
    span = n + 2 * axis.reach + 1
    shape = (GROUP, n + 1)
    edges = Edges(np.empty(shape, np.int64), np.empty(shape, np.int64), np.empty(shape, np.int64), np.empty(shape))
    work = Scratch(
        b=np.empty((GROUP, span)),
        kinks=np.empty((GROUP, span), np.int64),
        iota=np.empty(span + axis.block),
        g=np.empty(span + CHUNK),
        lanes=np.empty(CHUNK),
        sources=np.empty((GROUP, 2 * span + STEP)),
        acc=np.empty((GROUP, axis.block + LANES)),
        level=np.empty((GROUP, 2)),
        stack=np.empty((128, 2), np.int64),
    )
    for i in range(work.iota.size):
        work.iota[i] = np.float64(i)
    return edges, work


@lean
def one_block(lines, r0, r1, scale, axis, scale_out, edges, work, concave, buffer, out, stats):
    """Lines r0 … r1−1, a cache line of outputs at a time."""
    n = lines.shape[1]
    for start in range(r0, r1, LANES):
        rows = min(LANES, r1 - start)
        for group in range(0, rows, GROUP):
            for r in range(GROUP):  # an incomplete group repeats the last line
                extend(lines[min(start + group + r, r1 - 1)], scale, axis.reflect, axis.reach, work.b[r])
                concave[r] = is_concave(work.b[r], axis.kappa, axis.reach, n)
                if not concave[r]:
                    count_kinks(work.b[r], axis.kappa, work.kinks[r])
                stats[ROUGH] += not concave[r] and group + r < rows
            one_group(axis, edges, n, work, concave, buffer[group : group + GROUP], stats)
        for y in range(n):
            target = out[y, start : start + rows]
            for r in range(rows):
                target[r] = buffer[r, y] * scale_out


@jit
def tile_lines(lines, r0, r1, scale, axis, scale_out, out, stats):
    """Lines r0 … r1−1 of (R, n) into columns of ``out`` (n, R)."""
    n = lines.shape[1]
    edges, work = space(n, axis)
    concave, buffer = np.empty(GROUP, np.bool_), np.empty((LANES, n + LANES))  # not a power of two apart
    one_block(lines, r0, r1, scale, axis, scale_out, edges, work, concave, buffer, out, stats)
