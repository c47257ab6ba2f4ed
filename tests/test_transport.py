"""The optimal map: known ones, exact costs inside the certified interval, oracles, and what people do with a map."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import ot
import pytest
from cases import KNOWN, TAU, t2
from test_newton import on_box

from pmasolve import Box, FiniteDifference, Fourier, MongeAmpere, NewtonKrylov, Problem, Torus, evolve, transport
from pmasolve.calculus.libraries import InTo, Scipy
from pmasolve.maps.certificates import certify, quadrature_bound, splitting
from pmasolve.maps.displacement import deposit
from pmasolve.maps.newton import newton
from pmasolve.problems.outcomes import INTERRUPTED


def exact_cost(dim: int) -> float:
    """∫|∇u|² dμ of the known map, by a quadrature that resolves it to rounding."""
    n = {1: 256, 2: 128, 3: 64}[dim]
    problem = KNOWN[dim].problem((n,) * dim)
    return problem.mu.integral(np.sum(KNOWN[dim].u.gradient(problem.domain.points) ** 2, axis=0))


@pytest.mark.parametrize(("dim", "n", "bound"), [(1, 256, 1e-11), (2, 256, 1e-10), (3, 32, 1e-7)])
def test_known_maps(dim: int, n: int, bound: float) -> None:
    problem = KNOWN[dim].problem((n,) * dim)
    T, exact = transport(problem), exact_cost(dim)
    points = problem.domain.points
    assert T.outcome.ok
    assert np.max(np.abs(T.map - points - KNOWN[dim].u.gradient(points))) < bound
    assert T.interval.lower <= exact * (1 + 1e-14)
    assert exact * (1 - 1e-14) <= T.interval.upper
    assert T.gap < 1e-8
    assert T.w2_squared == pytest.approx(exact, rel=1e-9)
    assert "densities" in T.interval.problem
    lowest = np.min(np.linalg.eigvalsh(np.eye(dim) + KNOWN[dim].u.hessian(points)))
    assert T.min_eigenvalue == pytest.approx(lowest, rel=0.05)


@pytest.mark.slow
def test_three_dimensions_at_full_size() -> None:
    problem = KNOWN[3].problem((128,) * 3)
    T = transport(problem)
    assert np.max(np.abs(T.map - problem.domain.points - KNOWN[3].u.gradient(problem.domain.points))) < 1e-10


@pytest.mark.parametrize("order", [2, 4, 6])
def test_the_certificate_sees_the_error_of_differences(order: int) -> None:
    widths = []
    for n in (32, 64):
        T = transport(KNOWN[2].problem((n, n)), space=FiniteDifference(order), gap=1e-6, method=NewtonKrylov())
        assert T.interval.lower <= exact_cost(2) <= T.interval.upper
        widths.append(T.gap)
    assert order - 0.5 < np.log2(widths[0] / widths[1]) < order + 1, widths


@pytest.mark.parametrize("amplitude", [3e-3, 1e-4, 1e-6])
def test_the_bound_is_true_and_not_far_from_the_truth(amplitude: float) -> None:
    """A spoilt potential: the cost of its map differs from the optimal one by less than the bound, and not by much less."""
    problem = KNOWN[2].problem((64, 64))
    x = problem.domain.points
    spoilt = KNOWN[2].u(x) + amplitude * np.cos(TAU * (x[0] - x[1]) + 0.3) / TAU**2
    gradient = Fourier().on(problem.domain).gradient(spoilt)
    cost = problem.mu.integral(np.sum(gradient**2, axis=0))
    transform = Fourier().on(problem.domain).transform
    found = certify(problem, (transform, transform.forward(spoilt)), cost, 1e-15)
    interval, exact = found.interval, exact_cost(2)
    assert interval.lower <= exact <= interval.upper
    # W₂(T_#μ, ν) itself, to first order the L²(μ) distance of the maps
    error = problem.mu.integral(np.sum((gradient - KNOWN[2].u.gradient(x)) ** 2, axis=0)) ** 0.5
    bound = 0.5 * (np.sqrt(interval.upper) - np.sqrt(interval.lower))
    assert error <= bound * 1.01
    assert bound <= 5 * error


def test_exact_oracle_on_a_coarse_grid() -> None:
    """POT's network simplex, periodic cost, 32²: the interval holds up to the quadrature bound, the cost up to Σh²/6."""
    for n in (16, 32):
        problem = t2(n)
        T = transport(problem)
        x = problem.domain.points.reshape(2, -1).T
        d = x[:, None] - x[None]
        cost = np.sum((d - np.round(d)) ** 2, axis=-1)
        masses = [np.exp(m.log_density).ravel() * m.cell for m in (problem.mu, problem.nu)]
        exact = ot.emd2(masses[0] / masses[0].sum(), masses[1] / masses[1].sum(), cost, numItermax=10**7)
        slack = quadrature_bound(problem.domain)
        assert np.sqrt(T.interval.lower) - slack <= np.sqrt(exact) <= np.sqrt(T.interval.upper) + slack
        nodes = T.discrete(gap=0.1)
        assert "nodes" in nodes.problem
        assert nodes.lower <= exact <= nodes.upper
        assert nodes.gap <= 0.1
        assert exact - T.w2_squared == pytest.approx(splitting(problem.domain), rel=0.2)


def test_interval_of_the_nodes_narrows_as_asked() -> None:
    T = transport(t2(128))
    wide, narrow = T.discrete(1e-2), T.discrete(1e-3)
    assert narrow.gap <= 1e-3 < wide.gap <= 1e-2
    assert wide.lower < narrow.upper
    assert narrow.lower < wide.upper
    assert abs(np.sqrt(narrow.lower) - np.sqrt(T.w2_squared)) < quadrature_bound(T.problem.domain)


def test_steady_state_of_the_flow() -> None:
    problem = t2(32)
    flow = evolve(MongeAmpere(problem, rtol=1e-11), [3.0])
    assert np.max(np.abs(problem.domain.centred(flow.potentials[-1]) - transport(problem).potential)) < 1e-9


@pytest.mark.parametrize("space", [Fourier(), FiniteDifference(6)], ids=str)
def test_box(space) -> None:
    problem, u = on_box((64, 60))
    T = transport(problem, space=space)
    exact = problem.mu.integral(np.sum(Fourier().on(problem.domain).gradient(u) ** 2, axis=0))
    assert T.outcome.ok
    assert T.interval.lower <= exact <= T.interval.upper
    inside = np.random.default_rng(0).uniform(0, 1, (500, 2))
    there = T(inside)
    assert np.all((there > 0) & (there < 1))
    assert np.max(np.abs(T.inverse(there) - inside)) < 1e-10
    corners = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    assert np.max(np.abs(T(corners) - corners)) < 1e-8  # walls are kept


@pytest.mark.parametrize(("dim", "n"), [(1, 128), (2, 128), (3, 32)])
def test_points_between_the_nodes(dim: int, n: int) -> None:
    T = transport(KNOWN[dim].problem((n,) * dim))
    x = np.random.default_rng(1).uniform(-1, 2, (300, dim))  # any period
    assert np.max(np.abs(T(x) - x - KNOWN[dim].u.gradient(x.T).T)) < 1e-9
    assert np.max(np.abs(T.inverse(T(x)) - x)) < 1e-10
    J = T.move.jacobian(x)
    assert np.max(np.abs(J - np.eye(dim) - KNOWN[dim].u.hessian(x.T))) < 1e-7


def test_inverse_is_the_map_back() -> None:
    problem = KNOWN[2].problem((96, 96))
    back = transport(problem.swapped())
    assert np.max(np.abs(transport(problem).inverse(problem.domain.points) - back.map)) < 1e-9


def test_inverse_says_where_there_is_none() -> None:
    T = transport(KNOWN[1].problem((64,)))
    y = T([0.25])
    folded = T.move.inverse(np.linspace(0, 1, 50), s=-5.0)  # no longer monotone
    assert np.isfinite(T.inverse(y)).all()
    found = np.isfinite(folded)
    assert np.allclose(T.move(folded[found], s=-5.0), np.linspace(0, 1, 50)[found], atol=1e-8)


@pytest.mark.parametrize("grid", [Torus((64, 48), (1.0, 2.0)), Box((64, 48), (1.0, 2.0)), Torus((64,))], ids=str)
def test_push_keeps_the_mass_and_carries_the_source_to_the_target(grid) -> None:
    w = TAU / np.array(grid.lengths)
    mu = 1 + 0.5 * np.prod([np.cos(k * x) for k, x in zip(w, grid.points, strict=True)], axis=0)
    nu = 1 + 0.3 * np.cos(w[-1] * grid.points[-1])
    problem = Problem.from_densities(grid, mu, nu)
    T = transport(problem)
    pushed = T.push(np.exp(-problem.f))
    assert pushed.sum() == pytest.approx(np.exp(-problem.f).sum(), rel=1e-13)
    assert grid.integral(np.abs(pushed - np.exp(-problem.g))) < 0.015
    assert np.allclose(T.push(mu, s=0.0), mu, atol=0.02)
    image = np.random.default_rng(2).standard_normal(grid.shape)
    assert T.push(image).sum() == pytest.approx(image.sum(), rel=1e-10)


def test_deposit_shares_among_neighbours() -> None:
    out = deposit(Torus((4, 4)), np.array([[0.125, 0.975]]), np.array([8.0]), np.zeros((4, 4)))
    assert np.allclose(out[:2, [3, 0]], [[0.4, 3.6], [0.4, 3.6]])
    out = deposit(Box((4,)), np.array([0.0, 1.0, 0.25]), np.array([1.0, 2.0, 4.0]), np.zeros(4))
    assert np.allclose(out, [3.0, 2.0, 0.0, 2.0])


def test_interpolation_runs_from_the_source_to_the_target() -> None:
    problem = KNOWN[2].problem((96, 96))
    T, grid = transport(problem), problem.domain
    assert np.allclose(T.interpolate(0.0), np.exp(-problem.f), atol=1e-9)
    assert np.allclose(T.interpolate(1.0), np.exp(-problem.g), atol=1e-6)
    middle = T.interpolate(0.5)
    assert grid.integral(middle) == pytest.approx(1.0, abs=1e-8)
    # half way along the geodesic, half the distance from both ends
    for end in (problem.f, problem.g):
        half = transport(Problem.from_densities(grid, middle, np.exp(-end)))
        assert half.w2_squared == pytest.approx(0.25 * T.w2_squared, rel=1e-6)
    with pytest.raises(ValueError, match=r"s=1\.5"):
        T.interpolate(1.5)


def test_nothing_to_do() -> None:
    problem = Problem(Torus((32, 32)), lambda x, y: np.cos(TAU * x), lambda x, y: np.cos(TAU * x))
    T = transport(problem)
    assert T.outcome.ok
    assert T.w2_squared < 1e-25
    assert np.allclose(T.map, problem.domain.points, atol=1e-13)


def test_what_the_grid_does_not_see_is_seen_by_the_certificate() -> None:
    """f oscillates with the grid's own period: at the nodes it is constant, and Newton has nothing to do."""
    T = transport(Problem(Torus((32,)), lambda x: np.cos(TAU * 32 * x), lambda y: 0 * y), method=NewtonKrylov())
    assert T.outcome.name == "unresolved"
    assert T.gap == np.inf
    assert T.residual < 1e-12


@pytest.mark.parametrize("n", [32, 128])
def test_no_grid_is_too_coarse_for_the_certificate_to_see_it(n: int) -> None:
    """The potential is 0, so that any grid holds it; what the nodes do not see is seen all the same."""
    found = transport(Problem(Torus((n,)), lambda x: 0.1 * np.cos(TAU * n * x), lambda y: 0 * y), method=NewtonKrylov())
    assert not found.outcome.ok


def test_the_certificate_of_a_smooth_map_costs_next_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """In points transformed, over those of the finest grid; Newton with its certificate within 60 forward-and-back transforms."""
    points: list[float] = []

    class Counting(Scipy):
        """Real transforms of all axes, one half along the last and one along the others."""

        def real(self, n: int) -> tuple[InTo, InTo]:
            there, back = super().real(n)
            return counted(there, lambda lines, out: 0.5 * lines.size), counted(
                back, lambda spectra, out: 0.5 * out.size
            )

        def whole(self, axis: int) -> tuple[InTo, InTo]:
            there, back = super().whole(axis)
            return counted(there, lambda array, out: array.size), counted(back, lambda array, out: array.size)

    def counted(transform: InTo, size: Callable[[np.ndarray, np.ndarray], float]) -> InTo:
        def call(array: np.ndarray, *, out: np.ndarray) -> None:
            points.append(size(array, out))
            transform(array, out=out)

        return call

    problem = KNOWN[2].problem((256, 256))
    monkeypatch.setattr("pmasolve.calculus.series.library", Counting)
    newton(problem, Fourier(), 1e-12, NewtonKrylov())
    alone = sum(points) / problem.domain.size
    points.clear()
    assert transport(problem).gap < 1e-8
    whole = sum(points) / problem.domain.size
    print(f"transforms of the finest grid: {alone:.1f} by Newton, {whole:.1f} in all")
    assert whole - alone < 6  # u and its gradient take four
    assert whole < 2 * 60


def test_a_stall_within_the_gap_is_good_enough(monkeypatch) -> None:
    T = transport(KNOWN[2].problem((32, 32)), method=NewtonKrylov(steps=3), tolerance=1e-14)
    assert T.outcome.ok
    assert T.outcome.name == "within the gap"
    assert 1e-14 < T.gap < 1e-3


@pytest.mark.parametrize(("calls", "name"), [(6, INTERRUPTED.name), (10, "within the gap")])
def test_interruption_keeps_what_there_is(calls: int, name: str) -> None:
    """On the coarse grid, and on the fine one, where the answer is good enough already."""
    count = 0

    def g(x, y):
        nonlocal count
        count += 1
        if count == calls:
            raise KeyboardInterrupt
        return 0.3 * np.cos(TAU * (x + y))

    T = transport(Problem(Torus((64, 64)), t2(64).f, g))
    assert count > calls
    assert T.outcome.name == name
    assert T.potential.shape == (64, 64)
    assert np.isfinite(T.potential).all()


MISTAKES = {
    "samples": (lambda: transport(Problem.from_samples([[0.1]], [[0.2]])), ["samples", "from_densities"]),
    "gap": (lambda: transport(t2(8), gap=-0.1), ["gap=-0.1", "at least 0"]),
    "gap of a method": (lambda: transport(t2(8), gap=0, method=NewtonKrylov()), ["gap=0", "Simplex()"]),
    "tolerance": (lambda: transport(t2(8), tolerance=2.0), ["tolerance=2.0", "below 1"]),
    "void": (
        lambda: transport(Problem.from_densities(Torus((8,)), np.arange(8) % 2, np.ones(8)), method=NewtonKrylov()),
        ["mu has 4 values ≤ 0", "Newton", "floor"],
    ),
    "points": (lambda: transport(t2(8))(np.zeros((2, 5))), ["points of shape (2, 5)", "(n, dim)", "x.T"]),
    "points NaN": (lambda: transport(t2(8))(np.full((1, 2), np.nan)), ["2 coordinates are NaN"]),
    "image": (lambda: transport(t2(8)).push(np.zeros((4, 4))), ["image has shape (4, 4)", "(8, 8)"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_named(name: str) -> None:
    act, words = MISTAKES[name]
    with pytest.raises(ValueError, match=re.escape(words[0])) as caught:
        act()
    for word in words:
        assert word in str(caught.value), str(caught.value)
