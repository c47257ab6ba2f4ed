"""Pairs of laws with a known map, by name: how to draw from the source, and where the map takes points.

MAIN, HARD: optimal maps. TIMED: maps of the flow from |x|²/2 at the times given.  Each is made from a random generator: covariances
and ridges are drawn, the rest is fixed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy.special import ndtr, softmax
from scipy.stats import norm

import pmasolve as pma
from pmasolve.gaussian import ClosedForm, Normal, Pair, Quadratic

Array = np.ndarray
Law = tuple[Callable[[int], Array], Callable[[Array], Array], Callable[[int], Array]]
Family = Callable[[np.random.Generator], Law]


def mapped(draw: Callable[[int], Array], truth: Callable[[Array], Array]) -> Law:
    """The target is the image of the source."""
    return draw, truth, lambda n: truth(draw(n))


def normals(d: int, t: float | None = None, apart: float = 1.0) -> Family:
    """Random covariances (of one law where ``apart`` is 0); the optimal map, or that of the flow at t, in closed form."""

    def make(rng: np.random.Generator) -> Law:
        spreads = [
            (0.6 + 0.2 * apart * i) * np.eye(d) + (0.5 + 0.3 * apart * i) / d * (m @ m.T)
            for i, m in enumerate(rng.standard_normal((2, d, d)))
        ]
        source, target = (Normal(np.zeros(d), spread) for spread in spreads)
        pair, start = Pair(source, target), Quadratic(np.eye(d), np.zeros(d), 0.0, np.zeros(d))
        A = pair.brenier().hessian if t is None else ClosedForm(pair, start).hessian(t)
        return (lambda n: source.sample(n, rng)), (lambda x: x @ A), (lambda n: target.sample(n, rng))

    return make


def smooth(d: int) -> Family:
    """Normal points, 0.8 x + the gradient of three sigmoidal ridges."""

    def make(rng: np.random.Generator) -> Law:
        w, b, a = 1.2 * rng.standard_normal((3, d)) / np.sqrt(d), rng.standard_normal(3), np.array([1.0, 0.8, 0.6])
        return mapped(
            lambda n: rng.standard_normal((n, d)),
            lambda x: 0.8 * x + (a / (1 + np.exp(-2 * (x @ w.T + b)))) @ w + 0.2,
        )

    return make


def anchored(d: int) -> Family:
    """Normal points, the gradient of |x|²/2 + ½ log Σ exp 2(a·x − b) over five normal anchors a and shifts b."""

    def make(rng: np.random.Generator) -> Law:
        a, b = rng.standard_normal((5, d)), rng.standard_normal(5)
        return mapped(lambda n: rng.standard_normal((n, d)), lambda x: x + softmax(2 * (x @ a.T - b), axis=1) @ a)

    return make


def bimodal(q: Array) -> Array:
    """Distribution function of ½N(−1.5, 0.16) + ½N(1.5, 0.16)."""
    return 0.5 * norm.cdf(q, -1.5, 0.4) + 0.5 * norm.cdf(q, 1.5, 0.4)


def to_modes(x: Array) -> Array:
    """The monotone map from N(0, 1) to two modes, axis by axis."""
    q = np.linspace(-6, 6, 20001)
    return np.interp(ndtr(x), bimodal(q), q)


def bend(x: Array) -> Array:
    """0.7 x + 0.7 tanh 1.5 x, axis by axis."""
    return 0.7 * x + 0.7 * np.tanh(1.5 * x)


def gaussian(d: int, scale: tuple[float, ...] = (1.0,)) -> Callable[[np.random.Generator], Callable[[int], Array]]:
    """Independent normal coordinates."""
    return lambda rng: lambda n: rng.standard_normal((n, d)) * scale


def square(rng: np.random.Generator) -> Callable[[int], Array]:
    """Uniform in [−1, 1]²."""
    return lambda n: 2 * rng.random((n, 2)) - 1


def two_modes(rng: np.random.Generator) -> Callable[[int], Array]:
    """Two narrow modes at ±1.5 on the first axis."""

    def draw(n: int) -> Array:
        x = 0.35 * rng.standard_normal((n, 2))
        x[:, 0] += np.where(rng.random(n) < 0.5, -1.5, 1.5)
        return x

    return draw


def fixed(law: Callable[[np.random.Generator], Callable[[int], Array]], truth: Callable[[Array], Array]) -> Family:
    """A fixed map of a law."""
    return lambda rng: mapped(law(rng), truth)


def columns(*maps: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """One map for each coordinate; the last for all that are left."""
    return lambda x: np.stack([maps[min(j, len(maps) - 1)](x[:, j]) for j in range(x.shape[1])], axis=1)


def cut(x: Array) -> Array:
    """Moved apart at 0."""
    return x + 0.8 * np.sign(x)


def same(x: Array) -> Array:
    """Left where it is."""
    return x


ATOMS = np.array([[np.cos(a), np.sin(a)] for a in np.arange(8) * np.pi / 4 + 0.2]) * np.linspace(0.5, 1.2, 8)[:, None]


def nearest_atom(x: Array) -> Array:
    """The gradient of max(x·a − c): to one of eight atoms."""
    return ATOMS[np.argmax(x @ ATOMS.T - 0.5 * np.sum(ATOMS**2, axis=1), axis=1)]


def at_time(image: Callable[[Array], Array], t: float, nodes: int = 500) -> Callable[[Array], Array]:
    """The flow's map at t from N(0, 1) to its image, one coordinate: Sinkhorn on quadrature nodes, extrapolated to order 4."""
    x = (np.arange(nodes) + 0.5) / nodes * 13 - 6.5
    problem = pma.Problem.from_samples(x[:, None], image(x)[:, None], norm.pdf(x), norm.pdf(x))
    coarse, fine = (
        pma.as_function(pma.evolve(pma.Sinkhorn(problem, t / k, gauge=pma.SELF), [t], progress=False)).map(x[:, None])
        for k in (32, 64)
    )
    values = (4 * fine - coarse)[:, 0] / 3
    return lambda z: np.interp(z, x, values)


def timed(image: Callable[[Array], Array], t: float) -> Family:
    """N(0, I) in the plane to its image, at time t."""

    def make(rng: np.random.Generator) -> Law:
        draw, truth = gaussian(2)(rng), at_time(image, t)
        return draw, columns(truth), lambda n: image(draw(n))

    return make


MAIN: Mapping[str, Family] = {
    "gauss1": normals(1),
    "gauss2": normals(2),
    "gauss5": normals(5),
    "smooth2": smooth(2),
    "smooth5": smooth(5),
    "modes": fixed(gaussian(2), to_modes),
    "square": fixed(square, columns(lambda x: 1.5 * x + 0.3 * np.tanh(2 * x), lambda x: 0.7 * x)),
    "split": fixed(gaussian(2), columns(cut, same)),
}
HARD: Mapping[str, Family] = {
    "sqsplit": fixed(square, columns(cut, same)),
    "annulus": fixed(gaussian(2), lambda x: x * (1 + 1 / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9))),
    "mixmix": fixed(two_modes, columns(lambda x: 0.6 * x + 0.5 * np.tanh(2 * x), lambda x: 1.6 * x)),
    "heavy": fixed(gaussian(2), lambda x: np.sinh(1.2 * x) / 1.2),
    "split5": fixed(gaussian(5), columns(cut, same)),
    "line": fixed(gaussian(2, (1.0, 0.02)), columns(lambda x: np.tanh(x) + 0.5 * x, lambda x: 1.2 * x)),
    "atoms": fixed(square, nearest_atom),
}
TIMED: Mapping[str, tuple[Family, float]] = {
    "gauss1": (normals(1, 1.0), 1.0),
    "gauss2": (normals(2, 1.0), 1.0),
    "gauss5": (normals(5, 1.0), 1.0),
    "modes": (timed(to_modes, 0.5), 0.5),
    "tanh": (timed(bend, 0.5), 0.5),
}
