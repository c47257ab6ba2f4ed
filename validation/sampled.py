"""Pairs of laws with a known optimal map, and the errors of entropic maps fitted to samples of both."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

import numpy as np
from scipy.special import ndtr
from scipy.stats import norm

from pmasolve import PLAIN, SELF, Gauge, Potential, Problem, schroedinger
from pmasolve.machine.arrays import Array
from pmasolve.sinkhorn.gauges import gauged
from pmasolve.sinkhorn.self_potential import self_potential

FRESH = 300  # points at which maps are compared
ATOMS = np.array([[np.cos(a), np.sin(a)] for a in np.arange(8) * np.pi / 4 + 0.2]) * np.linspace(0.5, 1.2, 8)[:, None]


@dataclass(frozen=True)
class Pair:
    """A source to draw from, and the optimal map to the target.

    Attributes
    ----------
    name : in tables.
    dim : of the space.
    draw : (generator, n) to points (n, dim).
    truth : points (n, dim) to points.
    """

    name: str
    dim: int
    draw: Callable[[np.random.Generator, int], Array]
    truth: Callable[[Array], Array]

    def sets(self, seed: int, n: int) -> tuple[Problem, Array, Array]:
        """n samples on each side, fresh points of the source, and where the map takes them."""
        rng = np.random.default_rng([seed, n, self.dim])
        x, y, z = self.draw(rng, n), self.truth(self.draw(rng, n)), self.draw(rng, FRESH)
        return Problem.from_samples(x, y), z, self.truth(z)


def normal(rng: np.random.Generator, n: int, d: int = 2) -> Array:
    """Of the standard law."""
    return rng.standard_normal((n, d))


def normals(d: int) -> Pair:
    """N(0, I) to N(0, A²), A with eigenvalues from ½ to 2 in coordinates that are turned."""
    turn, _ = np.linalg.qr(np.random.default_rng(d).standard_normal((d, d)))
    A = (turn * np.geomspace(0.5, 2.0, d) if d > 1 else np.array([[2.0]])) @ (turn.T if d > 1 else np.eye(1))
    return Pair(f"normal, d = {d}", d, lambda rng, n: normal(rng, n, d), lambda x: x @ A.T)


def ridges(d: int) -> Pair:
    """N(0, I) by the gradient of the convex function 0.4 |x|² + Σ log cosh of two ridges."""
    w = np.random.default_rng(50 + d).standard_normal((2, d)) / np.sqrt(d)
    return Pair(
        f"gradient, d = {d}", d, lambda rng, n: normal(rng, n, d), lambda x: 0.8 * x + np.tanh(1.5 * x @ w.T) @ w
    )


def _two_modes(x: Array) -> Array:
    q = np.linspace(-6, 6, 20001)
    return np.interp(ndtr(x), 0.5 * norm.cdf(q, -1.5, 0.4) + 0.5 * norm.cdf(q, 1.5, 0.4), q)


def square(rng: np.random.Generator, n: int) -> Array:
    """Uniform in [−1, 1]²."""
    return 2 * rng.random((n, 2)) - 1


MODES = Pair("two modes", 2, normal, _two_modes)
CUT = Pair("kink", 2, normal, lambda x: x + 0.8 * np.sign(x) * [1.0, 0.0])
CUT_SQUARE = Pair("square, cut", 2, square, lambda x: x + 0.8 * np.sign(x) * [1.0, 0.0])
TO_ATOMS = Pair(
    "square to atoms", 2, square, lambda x: ATOMS[np.argmax(x @ ATOMS.T - 0.5 * np.sum(ATOMS**2, axis=1), axis=1)]
)


def diabetes() -> Pair | None:
    """Ten measurements of 442 patients, with a little noise (Efron et al. 2004, in scikit-learn); None without the library."""
    if find_spec("sklearn") is None:
        return None
    data = import_module("sklearn.datasets").load_diabetes(return_X_y=True, scaled=False)[0]
    data = (data - data.mean(axis=0)) / data.std(axis=0)
    bent = ridges(10)

    def draw(rng: np.random.Generator, n: int) -> Array:
        return data[rng.integers(len(data), size=n)] + 0.1 * rng.standard_normal((n, 10))

    return Pair("diabetes, d = 10", 10, draw, bent.truth)


def rms(difference: Array) -> float:
    """Root of the mean squared length of rows."""
    return float(np.sqrt(np.mean(np.sum(difference**2, axis=-1))))


def maps(problem: Problem, z: Array, ladder: Iterable[float], gauges: Iterable[Gauge] = (PLAIN, SELF)) -> Array:
    """Images of z by the fixed points, (gauge, ε, n, dim); each starts from the one at the ε before."""
    u, own, out = np.zeros(problem.domain.shape), np.zeros(problem.domain.shape), []
    for eps in ladder:
        run = schroedinger(problem, eps, start=u, marginal=1e-4, progress=False)
        found = self_potential(problem.mu, eps, start=own, tolerance=1e-6)
        u, own, phi = run.u, found.u, Potential(problem.nu, run.v, eps)
        out.append([gauged(gauge, phi, lambda found=found: found).map(z) for gauge in gauges])
    return np.swapaxes(out, 0, 1)


def errors(pair: Pair, seeds: Iterable[int], n: int, ladder: Iterable[float]) -> Array:
    """RMS errors over data sets and fresh points, plain and self, (2, number of ε)."""
    squares = []
    for seed in seeds:
        problem, z, truth = pair.sets(seed, n)
        squares.append(np.mean(np.sum((maps(problem, z, ladder) - truth) ** 2, axis=-1), axis=-1))
    return np.sqrt(np.mean(squares, axis=0))
