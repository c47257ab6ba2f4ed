"""Problems the tests share: named densities, starts, and one problem whose answer is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pmasolve import Event, Fourier, MongeAmpere, Problem, Torus, evolve
from pmasolve.calculus.operators import Space

TAU = 2 * np.pi
FOURIER = Fourier()


@dataclass(frozen=True)
class Waves:
    """∑ c cos(k·x + p) with all its derivatives: a trigonometric polynomial on the torus.

    ``amplitudes`` (m,), ``modes`` (m, dim) whole numbers, ``phases`` (m,), ``lengths`` (dim,).
    """

    amplitudes: tuple[float, ...]
    modes: tuple[tuple[int, ...], ...]
    phases: tuple[float, ...]
    lengths: tuple[float, ...] | None = None

    def derivative(self, points: np.ndarray, orders: tuple[int, ...]) -> np.ndarray:
        """∂^orders at points (dim, …)."""
        lengths = self.lengths or (1.0,) * len(points)
        total = np.zeros(points.shape[1:])
        for c, mode, p in zip(self.amplitudes, self.modes, self.phases, strict=True):
            k = [TAU * m / length for m, length in zip(mode, lengths, strict=True)]
            phase = p + sum(kj * x for kj, x in zip(k, points, strict=True)) + 0.5 * np.pi * sum(orders)
            total += c * np.prod([kj**o for kj, o in zip(k, orders, strict=True)]) * np.cos(phase)
        return total

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return self.derivative(points, (0,) * len(points))

    def gradient(self, points: np.ndarray) -> np.ndarray:
        """∇, (dim, …)."""
        return np.stack([self.derivative(points, tuple(unit)) for unit in np.eye(len(points), dtype=int)])

    def hessian(self, points: np.ndarray) -> np.ndarray:
        """D², (…, dim, dim)."""
        units = np.eye(len(points), dtype=int)
        rows = [np.stack([self.derivative(points, tuple(a + b)) for b in units], axis=-1) for a in units]
        return np.stack(rows, axis=-2)


def random_waves(rng: np.random.Generator, shape: tuple[int, ...], lengths: tuple[float, ...], count: int = 6) -> Waves:
    """Modes strictly below the Nyquist wavenumber of the grid."""
    modes = tuple(tuple(int(rng.integers(-((n - 1) // 2), (n - 1) // 2 + 1)) for n in shape) for _ in range(count))
    return Waves(tuple(rng.standard_normal(count)), modes, tuple(rng.uniform(0, TAU, count)), lengths)


def t1(n: int = 64) -> Problem:
    """T1: 1 + 0.3 cos 2πx to 1 + 0.3 sin 2πy."""
    return Problem.from_densities(Torus((n,)), lambda x: 1 + 0.3 * np.cos(TAU * x), lambda y: 1 + 0.3 * np.sin(TAU * y))


T1_START = Waves((0.006,), ((1,),), (0.7,))


def t2(n: int = 64) -> Problem:
    """T2: two densities of the plane torus that are not products."""
    return Problem.from_densities(
        Torus((n, n)),
        lambda x, y: 1 + 0.3 * np.cos(TAU * x) * np.cos(TAU * y) + 0.1 * np.sin(TAU * (x + y)),
        lambda x, y: np.exp(0.3 * np.sin(TAU * x) - 0.2 * np.cos(TAU * (x - y))),
    )


T2_START = Waves((0.004, 0.003), ((1, -1), (0, 1)), (0.3, 1.1))


@dataclass(frozen=True)
class Manufactured:
    """Any potential and any g: with f = g(∇φ) − log det D²φ the potential solves Monge–Ampère."""

    u: Waves
    g: Waves

    def f(self, *points: np.ndarray) -> np.ndarray:
        """g(x + ∇u) − log det(I + D²u)."""
        x = np.stack(np.broadcast_arrays(*points)).astype(float)
        return self.g(x + self.u.gradient(x)) - np.linalg.slogdet(np.eye(len(x)) + self.u.hessian(x))[1]

    def problem(self, shape: tuple[int, ...]) -> Problem:
        """The problem on a grid of unit periods."""
        return Problem(Torus(shape), self.f, lambda *y: self.g(np.stack(y)))


KNOWN = {
    1: Manufactured(Waves((0.008, 0.002), ((1,), (2,)), (0.4, 1.3)), Waves((0.4,), ((1,),), (0.9,))),
    2: Manufactured(
        Waves((0.006, 0.003), ((1, 0), (1, 1)), (0.4, 1.3)), Waves((0.3, 0.2), ((1, 0), (1, -1)), (0.9, 0.2))
    ),
    3: Manufactured(
        Waves((0.005, 0.003, 0.002), ((1, 0, 0), (0, 1, 1), (1, 0, -1)), (0.4, 1.3, 2.0)),
        Waves((0.2, 0.2), ((1, 0, 0), (0, 1, -1)), (0.9, 0.2)),
    ),
}


def interpolant(grid: Torus, values: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The trigonometric interpolant of ``values`` at points (dim, m), by direct summation."""
    coefficients = np.fft.fftn(values).ravel() / grid.size
    waves = [np.fft.fftfreq(n, 1.0 / n) * TAU / length for n, length in zip(grid.shape, grid.lengths, strict=True)]
    k = np.stack([wave.ravel() for wave in np.meshgrid(*waves, indexing="ij")])
    return np.real(np.exp(1j * points.T @ k) @ coefficients)


def steady(
    problem: Problem,
    space: Space = FOURIER,
    rtol: float = 1e-10,
    initial: np.ndarray | None = None,
    stop: float = 20.0,
) -> np.ndarray:
    """The Brenier potential, mean removed, by PMA: loosely most of the way, then tightly to a speed of ``stop`` times rtol."""
    for tolerance, speed in ((1e-6, 1e-4), (rtol, stop * rtol)):
        flow = MongeAmpere(problem, space=space, rtol=tolerance)
        run = evolve(flow, [20.0], events=[Event("speed", below=speed)], initial=initial)
        assert run.outcome.name.startswith("event"), run.outcome
        initial = run.centred[-1]
    return run.centred[-1]
