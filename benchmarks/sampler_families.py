"""Laws for the benchmarks of samplers: draws, entropies where they are known, and mixtures with their gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Mixture:
    """Isotropic normals of masses w, means (k, d) and variances v."""

    w: Array
    mean: Array
    v: Array

    def logs(self, x: Array) -> Array:
        """log of mass times density of each part, (k, n)."""
        squared = np.sum((x[None] - self.mean[:, None]) ** 2, axis=2)
        d, v = x.shape[1], self.v[:, None]
        return np.log(self.w)[:, None] - 0.5 * squared / v - 0.5 * d * np.log(2 * np.pi * v)

    def f(self, x: Array) -> Array:
        """−log density, (n,)."""
        return -logsumexp(self.logs(x), axis=0)

    def grad_f(self, x: Array) -> Array:
        """(n, d)."""
        logs = self.logs(x)
        r = np.exp(logs - logsumexp(logs, axis=0)) / self.v[:, None]
        return r.sum(axis=0)[:, None] * x - r.T @ self.mean

    def sample(self, n: int, rng: np.random.Generator) -> Array:
        """(n, d)."""
        k = rng.choice(len(self.w), n, p=self.w)
        return self.mean[k] + np.sqrt(self.v[k])[:, None] * rng.standard_normal((n, self.mean.shape[1]))

    def masses(self, x: Array) -> Array:
        """Shares of points nearest to each mean."""
        nearest = np.argmin(np.sum((x[:, None] - self.mean[None]) ** 2, axis=2), axis=1)
        return np.bincount(nearest, minlength=len(self.w)) / len(x)


def ring(s: float) -> Mixture:
    """Eight normals of deviation s on a circle of radius 2."""
    angle = np.arange(8) * np.pi / 4
    return Mixture(np.full(8, 1 / 8), 2 * np.c_[np.cos(angle), np.sin(angle)], np.full(8, s * s))


def five(d: int) -> Mixture:
    """Five unit normals at distance 4 from the origin in d dimensions; the means are the same in every run."""
    mean = np.random.default_rng(7).standard_normal((5, d))
    return Mixture(np.full(5, 0.2), 4 * mean / np.linalg.norm(mean, axis=1, keepdims=True), np.ones(5))


LINE = Mixture(np.array([0.1, 0.2, 0.4, 0.3]), np.array([[-4.0], [-2.0], [2.0], [4.0]]), np.array([1.0, 0.5, 0.5, 1.0]))


def moons(n: int, rng: np.random.Generator) -> Array:
    """Two half circles of radius 1.6 with noise 0.1."""
    t, upper = rng.uniform(0, np.pi, n), rng.random(n) < 0.5
    x = np.where(upper, np.cos(t), 1 - np.cos(t))
    y = np.where(upper, np.sin(t), 0.5 - np.sin(t))
    return (np.c_[x, y] - [0.5, 0.25]) * 1.6 + 0.1 * rng.standard_normal((n, 2))


def checkerboard(n: int, rng: np.random.Generator) -> Array:
    """Uniform on the eight black squares of side 1 in [−2, 2]²."""
    x = rng.uniform(-2, 2, n)
    return np.c_[x, rng.random(n) - 2 * rng.integers(0, 2, n) + np.floor(x) % 2]


Draw = Callable[[int, np.random.Generator], Array]
PLANE: dict[str, Draw] = {"8 Gaussians": ring(0.2).sample, "moons": moons, "checkerboard": checkerboard}


def sliced(x: Array, y: Array, rng: np.random.Generator, lines: int = 200) -> float:
    """Sliced W₂ of equally many points."""
    u = rng.standard_normal((x.shape[1], lines))
    u /= np.linalg.norm(u, axis=0)
    return float(np.sqrt(np.mean((np.sort(x @ u, axis=0) - np.sort(y @ u, axis=0)) ** 2)))
