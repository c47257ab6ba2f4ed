"""Error of the map from samples, plain gauge against self gauge: RMS over data sets at fresh points, for every ε of a ladder.

    python benchmarks/samples.py [sets] [d,n ...]        for example: 20 2,2000 5,2000

Between normals the flow stands at t = 1, where the map is known in closed form, covariances 0.6 I + MMᵀ/2d; ``smooth`` is the
fixed point, the truth 0.8 x + the gradient of three sigmoidal ridges.  Seeds are 0, 1, 2, …
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np

import pmasolve as pma
from pmasolve.gaussian import ClosedForm, Normal, Pair, Quadratic

EPSILONS = {1.0: [1, 0.5, 0.25, 0.125, 0.0625], None: [2, 1, 0.5, 0.25, 0.125, 0.0625]}
FRESH = 1000

Array = np.ndarray
Sets = Callable[[np.random.Generator, int, int], tuple[Array, Array, Array, Array]]


def normals(rng: np.random.Generator, d: int, n: int) -> tuple[Array, Array, Array, Array]:
    """x, y, fresh z, and where the flow takes z until t = 1."""
    a, b = (0.6 * np.eye(d) + 0.5 / d * (m @ m.T) for m in rng.standard_normal((2, d, d)))
    source, target = Normal(np.zeros(d), a), Normal(np.zeros(d), b)
    exact = ClosedForm(Pair(source, target), Quadratic(np.eye(d), np.zeros(d), 0.0, np.zeros(d))).hessian(1.0)
    z = source.sample(FRESH, rng)
    return source.sample(n, rng), target.sample(n, rng), z, z @ exact


def smooth(rng: np.random.Generator, d: int, n: int) -> tuple[Array, Array, Array, Array]:
    """x, y, fresh z, and the gradient of a known convex function there."""
    w, b, a = 1.2 * rng.standard_normal((3, d)) / np.sqrt(d), rng.standard_normal(3), np.array([1.0, 0.8, 0.6])

    def truth(x: Array) -> Array:
        return 0.8 * x + (a / (1 + np.exp(-2 * (x @ w.T + b)))) @ w

    z = rng.standard_normal((FRESH, d))
    return rng.standard_normal((n, d)), truth(rng.standard_normal((n, d))), z, truth(z)


def errors(make: Sets, t: float | None, d: int, n: int, seed: int) -> Array:
    """Mean squared errors (gauge, ε) of one data set."""
    x, y, z, truth = make(np.random.default_rng([seed, d, n]), d, n)
    problem = pma.Problem.from_samples(x, y)

    def move(eps: float, gauge: pma.Gauge) -> Array:
        if t is None:
            return pma.schroedinger(problem, eps, marginal=1e-4, gauge=gauge, progress=False).function.map(z)
        return pma.as_function(pma.evolve(pma.Sinkhorn(problem, eps, gauge=gauge), [t], progress=False)).map(z)

    return np.array(
        [[np.mean(np.sum((move(e, g) - truth) ** 2, 1)) for e in EPSILONS[t]] for g in (pma.PLAIN, pma.SELF)]
    )


def main() -> None:
    """One line for each family, dimension and size."""
    sets = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    sizes = [tuple(map(int, pair.split(","))) for pair in sys.argv[2:]] or [(2, 2000), (5, 2000)]
    print(f"RMS over {sets} data sets: best error (at ε), plain and self, and their ratio")
    for make, t in ((normals, 1.0), (smooth, None)):
        for d, n in sizes:
            rms = np.sqrt(np.mean([errors(make, t, d, n, seed) for seed in range(sets)], axis=0))
            best = [f"{row.min():.3f} ({EPSILONS[t][int(row.argmin())]:g})" for row in rms]
            print(
                f"{make.__name__:8} d = {d}, n = {n}: {best[0]:>14} {best[1]:>14}   {rms[1].min() / rms[0].min():.2f}"
            )


if __name__ == "__main__":
    main()
