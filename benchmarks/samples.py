"""Maps from samples against their known truth: both gauges over a ladder of ε, the choice from data, other packages, many points.

    python benchmarks/samples.py ratios [sets] [d,n ...]     best error of the self gauge over the best plain one, and of the choice
    python benchmarks/samples.py dimensions [sets]           where the affine map alone is best
    python benchmarks/samples.py peers [n] [d]               CPU time to the best error of POT and OTT-JAX (where installed)
    python benchmarks/samples.py large [n] [d]               time and peak memory of many points

Errors are RMS at 1000 fresh points, over data sets with the seeds 0, 1, 2, …  ``ratios`` and ``dimensions`` print a line for each
size; ``normals`` are maps of the flow at t = 1, covariances 0.6 I + MMᵀ/2d; the others are optimal maps, of normal points by three
ridges (``smooth``), a softmax of anchors or 0.7 x + 0.7 tanh 1.5 x on each axis (``bend``), between normal laws (``linear``;
`families`).  Times are of the process.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
from families import Array, Family, anchored, bend, fixed, gaussian, normals, smooth

import pmasolve as pma
from pmasolve.samples.affine import affine_map
from pmasolve.samples.cross_fit import fit_of

LADDER = {1.0: [1, 0.5, 0.25, 0.125, 0.0625], None: [4, 2, 1, 0.5, 0.25, 0.125, 0.0625, 0.03125]}
FRESH = 1000
PEER_EPS = (1.0, 0.7, 0.5, 0.35, 0.25, 0.18, 0.125)  # of entropic maps, for the cost |x−y|²


def drawn(family: Family, seed: list[int], n: int) -> tuple[pma.Problem, Array, Array]:
    """Samples, fresh points and where they belong."""
    draw, truth, target = family(np.random.default_rng(seed))
    x, y, z = draw(n), target(n), draw(FRESH)
    return pma.Problem.from_samples(x, y), z, truth(z)


def squares(move: Callable[[Array], Array], z: Array, truth: Array) -> float:
    """Mean squared error."""
    return float(np.mean(np.sum((move(z) - truth) ** 2, axis=1)))


def one_set(family: Family, t: float | None, seed: list[int], n: int) -> tuple[Array, float]:
    """Mean squared errors (gauge, ε) of one data set, and that of the choice."""
    problem, z, truth = drawn(family, seed, n)
    fit = fit_of(problem, t, 1e-4)
    every = [[squares(fit.map(g, float(e)), z, truth) for g in (pma.PLAIN, pma.SELF)] for e in LADDER[t]]
    return np.transpose(every), squares(pma.choose_eps(problem, t, halvings=1).map, z, truth)


def ratios(sets: int, sizes: list[tuple[int, int]]) -> None:
    """The best errors of both gauges, their ratio, and the ratio with the choice (one halving) in place of the best self."""
    print(f"RMS over {sets} data sets: plain (at ε), self (at ε), self/plain, choice/plain, choice/self")
    at_time = ("normals", lambda d: normals(d, 1.0, 0.0), 1.0)
    maps = {"smooth": smooth, "anchored": anchored, "linear": normals, "bend": lambda d: fixed(gaussian(d), bend)}
    for name, make, t in (at_time, *((name, make, None) for name, make in maps.items())):
        for d, n in sizes:
            every, choice = zip(*(one_set(make(d), t, [seed, d, n], n) for seed in range(sets)), strict=True)
            rms, chosen = np.sqrt(np.mean(every, axis=0)), float(np.sqrt(np.mean(choice)))
            plain, own = rms.min(axis=1)
            best = [f"{row.min():.3f} ({LADDER[t][int(row.argmin())]:g})" for row in rms]
            print(
                f"{name:8} d = {d}, n = {n}: {best[0]:>14} {best[1]:>14}  {own / plain:.2f}  {chosen / plain:.2f}  "
                f"{chosen / own:.2f}",
                flush=True,
            )


def dimensions(sets: int) -> None:
    """Translation, affine map alone, best maps of the three gauges, and the choice."""
    print(
        f"RMS over {sets} data sets: translation, affine map alone, plain, self and affine gauge at their best ε, choice"
    )
    for name, make in (("normals", normals), ("smooth", smooth)):
        for d, n in ((2, 500), (10, 500), (10, 2000), (50, 500), (50, 2000)):
            rows, picked = [], []
            for seed in range(sets):
                problem, z, truth = drawn(make(d), [seed, d, n], n)
                x, y, fit = problem.domain.points, problem.codomain.points, fit_of(problem, None, 1e-3)
                shift = y.mean(axis=0) - x.mean(axis=0)
                gauges = [
                    min(squares(fit.map(g, 64.0 / 2**j), z, truth) for j in range(9))
                    for g in (pma.PLAIN, pma.SELF, pma.AFFINE)
                ]
                found = pma.choose_eps(problem, halvings=1)
                picked.append(found.gauge.name)
                alone = [squares(lambda w, s=shift: w + s, z, truth), squares(affine_map(problem), z, truth)]
                rows.append([*alone, *gauges, squares(found.map, z, truth)])
            print(
                f"{name:8} d = {d}, n = {n}: ",
                *(f"{v:.3f}" for v in np.sqrt(np.mean(rows, axis=0))),
                picked,
                flush=True,
            )


def timed(name: str, solve: Callable[[], Callable[[Array], Array]], z: Array, truth: Array) -> tuple[float, float]:
    """CPU seconds of a map with its values at z, and its error."""
    began = time.process_time()
    error = np.sqrt(squares(solve(), z, truth))
    seconds = time.process_time() - began
    print(f"{name:44} {seconds:8.1f} s   error {error:.3f}", flush=True)
    return seconds, float(error)


def peers(n: int, d: int) -> None:
    """Their maps of n samples; then ours, of as few of the same samples as reach the least of their errors, and of all."""
    problem, z, truth = drawn(smooth(d), [0, d, n], n)
    x, y = problem.domain.points, problem.codomain.points
    found = [timed("POT, emd and nearest neighbour", lambda: by_emd(x, y), z, truth)] if find_spec("ot") else []
    if find_spec("ott"):
        found += [
            timed(f"OTT-JAX, entropic map, ε = {eps or 'default'}", lambda eps=eps: by_ott(x, y, eps), z, truth)
            for eps in (None, *PEER_EPS)
        ]
    if find_spec("ot"):
        found += [
            timed(f"POT, entropic map, reg = {eps:g}", lambda eps=eps: by_pot(x, y, eps), z, truth) for eps in PEER_EPS
        ]
    least = min(error for _, error in found) if found else 0.0
    theirs = min((seconds for seconds, error in found if error <= 1.02 * least), default=np.nan)
    pma.choose_eps(pma.Problem.from_samples(x[:50], y[:50]), halvings=1)  # compiles
    spent, m = 0.0, 500
    while m <= n:
        part = pma.Problem.from_samples(x[:m], y[:m])
        seconds, error = timed(
            f"choose_eps and its map, {m} samples", lambda part=part: pma.choose_eps(part, halvings=1).map, z, truth
        )
        spent += seconds
        if error <= least:
            print(
                f"their best error {least:.3f}, or 2 % more, takes {theirs:.1f} s; reached by {m} samples in {seconds:.2f} s:"
            )
            print(f"{theirs / seconds:.1f} times less, {theirs / spent:.1f} with the smaller samples before")
            break
        m *= 2
    timed(f"choose_eps and its map, {n} samples", lambda: pma.choose_eps(problem, halvings=1).map, z, truth)


def by_emd(x: Array, y: Array) -> Callable[[Array], Array]:
    """The exact coupling's map at the samples, carried to the nearest sample."""
    import ot
    from scipy.spatial import cKDTree

    uniform = np.full(len(x), 1 / len(x))
    plan = ot.emd(uniform, uniform, ot.dist(x, y), numItermax=10_000_000)
    image, tree = y[np.argmax(plan, axis=1)], cKDTree(x)
    return lambda z: image[tree.query(z)[1]]


def by_pot(x: Array, y: Array, eps: float) -> Callable[[Array], Array]:
    """Conditional means from its dual potentials."""
    import ot

    uniform = np.full(len(x), 1 / len(x))
    v = eps * np.log(ot.sinkhorn(uniform, uniform, ot.dist(x, y), eps, stopThr=1e-3, log=True)[1]["v"])

    def move(z: Array) -> Array:
        logits = (v - ot.dist(z, y)) / eps
        weights = np.exp(logits - logits.max(axis=1, keepdims=True))
        return weights @ y / weights.sum(axis=1, keepdims=True)

    return move


def by_ott(x: Array, y: Array, eps: float | None) -> Callable[[Array], Array]:
    """Its entropic map, in single precision as it comes."""
    import jax.numpy as jnp
    from ott.geometry import pointcloud
    from ott.solvers import linear

    out = linear.solve(pointcloud.PointCloud(jnp.asarray(x), jnp.asarray(y), epsilon=eps), threshold=1e-3)
    potentials = out.to_dual_potentials()
    return lambda z: np.asarray(potentials.transport(jnp.asarray(z)))


def large(n: int, d: int) -> None:
    """The map in the self gauge at ε = s²/2, and the choice with one halving."""
    problem, z, truth = drawn(normals(d), [0, d, n], n)
    spread = float(np.mean(np.var(problem.domain.points, axis=0)))
    timed(
        f"self gauge at ε = {spread / 2:.2g}, n = {n}, d = {d}",
        lambda: fit_of(problem, None, 1e-3).map(pma.SELF, spread / 2),
        z,
        truth,
    )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB", flush=True)
    timed("choose_eps, one halving", lambda: pma.choose_eps(problem, halvings=1).map, z, truth)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB", flush=True)


def main() -> None:
    """The part that is asked for."""
    part, *rest = sys.argv[1:] or ["ratios"]
    match part:
        case "ratios":
            sizes = [tuple(map(int, pair.split(","))) for pair in rest[1:]] or [(2, 2000), (5, 2000)]
            ratios(int(rest[0]) if rest else 20, sizes)
        case "dimensions":
            dimensions(int(rest[0]) if rest else 4)
        case "peers":
            peers(*(tuple(map(int, rest)) or (8000, 5)))
        case "large":
            large(*(tuple(map(int, rest)) or (100_000, 2)))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
