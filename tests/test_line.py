"""Schrödinger potentials between points on a line: the start, the chain between neighbours, and that small ε ends."""

from __future__ import annotations

import numpy as np
import pytest

from pmasolve import Problem, schroedinger
from pmasolve.maps.line import potentials
from pmasolve.sinkhorn import fixed_points
from pmasolve.sinkhorn.fixed_points import Point, Search
from pmasolve.sinkhorn.iteration import Sinkhorn
from pmasolve.sinkhorn.line import Line, on_a_line, start_on_a_line
from pmasolve.sinkhorn.markov import Markov, solve


def points(n: int, m: int, weighted: bool = False) -> Problem:
    rng = np.random.default_rng(n + m)
    x, y = rng.standard_normal((n, 1)), rng.standard_normal((m, 1))
    weights = (rng.random(n) + 0.1, rng.random(m) + 0.1) if weighted else (None, None)
    return Problem.from_samples(x, 0.5 * y + np.tanh(2 * y) + 1, *weights)


def plan_of(problem: Problem, eps: float) -> tuple[Point, Markov, np.ndarray]:
    """A point near the fixed point, its Markov operator, and its plan as a matrix."""
    flow = Sinkhorn(problem, eps)
    here = Point.at(flow, start_on_a_line(problem, eps, None)[0])
    x, y = problem.domain.points, problem.codomain.points
    exponent = -(0.5 * (x - y.T) ** 2 + here.u[:, None] + here.v) / eps
    plan = np.exp(exponent + problem.mu.log_density[:, None] + problem.nu.log_density)
    return here, Markov(flow, here.u, here.v, here.after), plan


def test_potentials_of_the_monotone_coupling_are_optimal_and_midway() -> None:
    rng = np.random.default_rng(0)
    for n, m in ((7, 7), (9, 5)):
        x, y, a, b = rng.random(n), rng.random(m), np.full(n, 1 / n), np.full(m, 1 / m)
        u = potentials(x, y, a, b)
        cost = 0.5 * (x[:, None] - y) ** 2
        v = (cost - u[:, None]).min(axis=0)
        sorted_cost = np.mean((np.sort(x) - np.sort(y)) ** 2) / 2 if n == m else None
        if sorted_cost is not None:
            assert u @ a + v @ b == pytest.approx(sorted_cost, abs=1e-14)
            i, j = np.argsort(x), np.argsort(y)
            v[j] = cost[i, j] - u[i]
            slack = (cost - u[:, None] - v)[np.ix_(i, j)]
            assert np.allclose(np.diag(slack, 1), np.diag(slack, -1), atol=1e-14)  # midway
            assert slack.min() > -1e-14
        assert (u - (cost - v).min(axis=1)).max() < 1e-12


def test_currents_are_those_of_all_jumps() -> None:
    problem = points(40, 30, weighted=True)
    _, markov, plan = plan_of(problem, 0.05)
    line, x = Line.of(markov), problem.domain.points[:, 0]
    chain = plan @ (plan / plan.sum(axis=0)).T  # conductances, symmetric
    o = line.order
    for g in (3, 20, 38):
        across = chain[np.ix_(o[: g + 1], o[g + 1 :])] * (x[o[g + 1 :]] - x[o[: g + 1], None])
        assert (x[o[g + 1]] - x[o[g]]) / line.resistance[g] == pytest.approx(across.sum(), rel=1e-6)


def test_the_chain_is_solved_with_equal_points_too() -> None:
    x = np.array([0.0, 0.3, 0.3, 1.0, 1.1])
    problem = Problem.from_samples(x[:, None], x[::-1, None] * 2, [1, 2, 1, 3, 1])
    _, markov, _ = plan_of(problem, 0.1)
    line = Line(markov, np.argsort(x), np.array([0.5, 0.0, 2.0, 0.1]), damping=0.3)
    r = np.array([1.0, -2.0, 0.5, 0.7, 0.1])
    w = line.conditioner.times(r, line.masses) - r
    m, R = line.masses, line.resistance
    assert w[1] == pytest.approx(w[2], abs=1e-14)
    q = -np.diff(w) / np.where(R > 0, R, np.nan)
    w = w + m @ (r / 0.3 - w) / m.sum()  # the constant: currents carry no mass away
    assert m[0] * 0.3 * w[0] + q[0] == pytest.approx(m[0] * r[0])
    assert m[4] * 0.3 * w[4] - q[3] == pytest.approx(m[4] * r[4])
    assert (m[1:3] * (0.3 * w[1:3] - r[1:3])).sum() + q[2] - q[0] == pytest.approx(0.0, abs=1e-12)


def test_the_chain_of_two_points() -> None:
    """(L + δ)w = r, L of one link: mass 0.25 and 0.75, resistance 2, δ = 0.3."""
    problem = Problem.from_samples([[0.0], [1.0]], [[0.5], [2.0]], [1, 3])
    _, markov, _ = plan_of(problem, 0.1)
    line = Line(markov, np.arange(2), np.array([2.0]), damping=0.3)
    m, r = line.masses, np.array([1.0, -2.0])
    w = line.conditioner.times(r, m) - r
    solved = np.linalg.solve(np.array([[1, -1], [-1, 1]]) / 2.0 / m[:, None] + 0.3 * np.eye(2), r)
    assert w[0] - w[1] == pytest.approx(solved[0] - solved[1])


@pytest.mark.parametrize("eps", [1e-2, 1e-3])
def test_products_do_not_grow_as_eps_falls(eps: float) -> None:
    here, markov, _ = plan_of(points(600, 600), eps)
    line = Line(**{**vars(Line.of(markov)), "damping": 1e-4})
    w, products = solve(line, here.after - here.u, line.conditioner, 1e-4, 200)
    _, without = solve(line, here.after - here.u, None, 1e-4, 200)
    print(eps, products, without)
    assert products <= 12 < 2 * without
    left = line.centred(here.after - here.u - (w - line.times(w)))
    assert np.sqrt(line.dot(left, left)) < 1e-3 * np.sqrt(line.dot(here.after - here.u, here.after - here.u))


def test_the_start_is_near() -> None:
    """Within O(ε) and the noise of samples; without the self-potential a third of the mass is misplaced."""
    for eps, most in ((1e-2, 0.06), (1e-3, 0.06)):
        here, _, _ = plan_of(points(600, 600), eps)
        print(eps, here.marginal_error)
        assert here.marginal_error < most


@pytest.mark.parametrize(("n", "m"), [(500, 500), (500, 430)])
def test_the_potentials_are_those_of_annealing(n: int, m: int) -> None:
    problem = points(n, m, weighted=n != m)
    found = schroedinger(problem, 1e-3, marginal=1e-10)
    annealed = schroedinger(problem, 1e-3, marginal=1e-10, ladder=[1.0, 0.1, 0.01])
    assert found.outcome.ok
    assert np.abs(found.map - annealed.map).max() < 1e-6  # u itself is open by what no mass crosses
    assert list(dict.fromkeys(found.records["eps"])) == [1e-3]


@pytest.mark.parametrize("eps", [1e-4, 1e-6, 1e-9])
def test_small_eps_ends(eps: float) -> None:
    """From many points within √ε to none: annealing stalled at a marginal error of 1e-3."""
    found = schroedinger(points(2000, 2000), eps, marginal=1e-6)
    print(eps, found.iterations)
    assert found.outcome.name == "reached"
    assert found.iterations < 1500


def test_slow_modes_end() -> None:
    """Points nearly in pairs, apart from the others: damping above the gaps of I − P took one iteration in 300 of the error."""
    rng = np.random.default_rng(0)
    x, y = (
        rng.standard_normal((1000, 1)),
        1.5 * rng.standard_normal((1000, 1)) + np.tanh(2 * rng.standard_normal((1000, 1))),
    )
    found = schroedinger(Problem.from_samples(x, y), 1e-6, limit=1000)
    assert found.outcome.name == "reached"


@pytest.mark.slow
def test_many_points_end() -> None:
    found = schroedinger(points(60_000, 60_000), 1e-5, marginal=1e-6)
    assert found.outcome.name == "reached"
    assert found.iterations < 200


def test_what_is_on_a_line() -> None:
    x = np.random.default_rng(3).random((5, 1))
    assert on_a_line(Problem.from_samples(x, x[:3]))
    assert not on_a_line(Problem.from_samples(x, x, period=1.0))
    assert not on_a_line(Problem.from_samples(x, x, [1, 1, 1, 0, 1]))
    assert not on_a_line(Problem.from_samples(np.repeat(x, 2, axis=1), np.repeat(x, 2, axis=1)))
    one = schroedinger(Problem.from_samples(x[:1], x), 1e-3)
    assert one.outcome.ok


def test_steps_of_a_singular_equation_are_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of pairs may be singular in float64: directions of 1e300 or NaN ended in an error of the log-sums."""
    x = np.random.default_rng(4).random((50, 2))
    problem = Problem.from_samples(x, x[::-1] ** 2)
    search = Search(Sinkhorn(problem, 1e-3), None, 100)
    here = search._visit(np.zeros(50))
    for size in (1e300, np.nan, np.inf):
        assert search._tried(here, np.full(50, size), 0) is None
    for size in (1e300, np.nan):
        monkeypatch.setattr(fixed_points, "solve", lambda markov, b, *rest, size=size: (b * size, 1))
        assert schroedinger(problem, 0.1, marginal=1e-6).outcome.name == "reached"


@pytest.mark.parametrize(("n", "m"), [(2, 2), (2, 3), (3, 2), (1, 4), (4, 1), (1, 1)])
def test_one_two_and_three_points(n: int, m: int) -> None:
    """As in the plane, where nothing is known of lines."""
    x, y = np.linspace(0, 1, n) ** 2, 0.5 + np.linspace(0, 1, m)
    along, across = (
        schroedinger(Problem.from_samples(points(x), points(y)), 0.05, progress=False)
        for points in (lambda z: z[:, None], lambda z: np.stack([z, 0 * z], axis=1))
    )
    assert along.outcome.ok
    assert np.allclose(along.u - along.u.mean(), across.u - across.u.mean(), atol=1e-8)
