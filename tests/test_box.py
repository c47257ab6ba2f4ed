"""The box: cosine transforms against the torus of doubled size, monotone rearrangement, and what kinks at the walls cost."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from cases import steady

from pmasolve import Box, FiniteDifference, Fourier, MongeAmpere, Problem, Torus, evolve, manufactured
from pmasolve.machine.arrays import Array
from pmasolve.studies.convergence import running_orders

SMOOTH = (
    lambda x, y: 0.4 * np.cos(np.pi * x) + 0.3 * np.cos(np.pi * x) * np.cos(2 * np.pi * y),
    lambda x, y: 0.5 * np.cos(np.pi * y) + 0.2 * np.cos(2 * np.pi * x),
)
KINKED = (lambda x: 0.8 * x, lambda y: 0.5 * np.sin(2.0 * y))  # normal derivatives 0.8 and about 1 at the walls


@pytest.mark.parametrize("space", [Fourier(), FiniteDifference(2), FiniteDifference(6)], ids=str)
def test_the_box_is_the_doubled_torus_restricted(space) -> None:
    """The even extension, shifted by half a cell, solves the torus's problem: same numbers, half the points an axis."""
    n, h = 12, 1 / 12
    box = Problem(Box((n, n)), *SMOOTH)
    torus = Torus((2 * n, 2 * n), lengths=(2.0, 2.0))
    half = tuple(lambda x, y, f=f: f(x + h / 2, y + h / 2) for f in SMOOTH)
    double = Problem(torus, *half)
    times = [0.01, 0.1]
    runs = [evolve(MongeAmpere(problem, space=space, rtol=1e-12), times) for problem in (box, double)]
    inside = runs[1].potentials[:, :n, :n]
    assert np.max(np.abs(inside - runs[0].potentials)) < 1e-10
    assert np.max(np.abs(runs[1].log_density(1)[:n, :n] - np.log(1 / 4) - runs[0].log_density(1) + np.log(1.0))) < 1e-8


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_even_densities_are_resolved_spectrally(dim: int) -> None:
    """Normal derivatives that vanish: errors of a manufactured map fall to rounding."""
    sizes = {1: (6, 9, 14, 24), 2: (6, 9, 14, 20), 3: (6, 8, 10, 16)}[dim]

    def u(*x: Array) -> Array:
        crossed = sum(0.02 * np.cos(np.pi * a) * np.cos(np.pi * b) for a, b in pairwise(x))
        return 0.05 / (3 - np.cos(np.pi * x[0])) + crossed

    errors = []
    for n in sizes:
        problem, exact = manufactured(Box((n,) * dim), u, lambda *y: 0.4 * np.cos(np.pi * y[0]) * np.cos(np.pi * y[-1]))
        errors.append(problem.domain.sup(steady(problem, rtol=1e-11, stop=5.0) - exact))
    print(f"\ndim {dim}: errors {errors}")
    assert errors[-1] < 1e-11
    assert np.all(running_orders(1 / np.array(sizes[:3]), np.array(errors[:3])) > 5)


def test_steady_state_is_the_monotone_rearrangement() -> None:
    """T = G⁻¹∘F on [0, 1], to 1e-10; no shift to choose. Densities whose derivatives vanish at the walls."""
    f, g = (lambda x: 0.8 * np.cos(np.pi * x)), (lambda y: 0.5 * np.cos(2 * np.pi * y))
    problem = Problem(Box((128,)), f, g)
    T = rearrangement(f, g, problem.domain.axis(0))
    found = MongeAmpere(problem).reading.map(steady(problem, rtol=1e-11, stop=5.0))[0]
    print(f"\nmap error {np.max(np.abs(found - T)):.2e}")
    assert np.max(np.abs(found - T)) < 1e-10


def rearrangement(f, g, x: Array) -> Array:
    """Newton's method on G(T) = F(x) with Gauss–Legendre integrals from 0."""
    nodes, weights = np.polynomial.legendre.leggauss(40)

    def distribution(density):
        total = density((nodes + 1) / 2) @ weights / 2
        return (
            lambda t: (density(np.multiply.outer(t, (nodes + 1) / 2)) @ weights) * t / (2 * total),
            lambda t: density(t) / total,
        )

    (F, _), (G, slope) = distribution(lambda t: np.exp(-f(t))), distribution(lambda t: np.exp(-g(t)))
    y = x.copy()
    for _ in range(50):
        y = np.clip(y - (G(y) - F(x)) / slope(y), 0, 1)
    return y


def test_kinks_at_the_walls_leave_order_two() -> None:
    """Normal derivatives that do not vanish: order 2 for every discretisation, Fourier's constant the smallest."""
    sizes, finest = np.array([32, 64, 128]), {}
    for space in (Fourier(), FiniteDifference(2), FiniteDifference(4), FiniteDifference(6)):
        errors = []
        for n in sizes:
            problem = Problem(Box((n,)), *KINKED)
            T = rearrangement(*KINKED, problem.domain.axis(0))
            found = MongeAmpere(problem, space=space).reading.map(steady(problem, space, 1e-9, stop=5.0))[0]
            errors.append(problem.domain.l2(found - T))
        orders, finest[space] = running_orders(1 / sizes, np.array(errors)), errors[-1]
        print(f"\n{space}: map errors {errors}, orders {orders}")
        assert np.all(np.abs(orders - 2) < 0.15)
    assert finest[Fourier()] == min(finest.values())
