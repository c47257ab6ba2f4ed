"""Exact transport on grids: a simplex on few pairs against dense linear programs; its certificates in rational arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import ot
import pytest
from scipy.optimize import linprog
from scipy.sparse import eye_array, kron, vstack

from pmasolve import Box, Torus
from pmasolve.machine.arrays import Array
from pmasolve.maps.semidual.arcs import Whole
from pmasolve.maps.simplex import Arcs, Optimum, coupling_bound, dual_bound, optimum, simplex
from pmasolve.problems.grids import Grid

GRIDS = [
    Torus((12,)),
    Box((9,)),
    Torus((8, 6)),
    Torus((7, 9), (1.0, 2.0)),
    Box((8, 8)),
    Box((5, 9), (1.0, 3.0)),
    Torus((6, 8), (1.0, np.pi)),
    Torus((5, 4, 6)),
    Box((4, 5, 4), (1.0, 1.3, 2.1)),
]
KINDS = ("positive", "equal", "zeros", "translated", "half a period", "contrast")


def masses(grid: Grid, kind: str, rng: np.random.Generator) -> tuple[Array, Array]:
    """Two densities: random, of equal masses, with zeros, copies of one another, or from 1 down to 1e-12."""
    mu, nu = rng.random((2, *grid.shape))
    if kind == "equal":
        return (mu > 0.4) + 0.0, (nu > 0.6) + 0.0
    if kind == "zeros":
        return np.where(mu > 0.5, mu, 0.0), np.where(nu > 0.3, nu, 0.0)
    if kind == "translated":
        mu = np.where(mu > 0.5, np.round(4 * mu), 0.0)
        return mu, np.roll(mu, (2,) * grid.dim, tuple(range(grid.dim)))
    if kind == "half a period":  # each node is as far one way round as the other
        mu = np.where(mu > 0.7, 1.0, 0.0)
        return mu, np.roll(mu, tuple(n // 2 for n in grid.shape), tuple(range(grid.dim)))
    if kind == "contrast":
        return 10.0 ** (-12 * mu), 10.0 ** (-12 * nu)
    return mu, nu


def distances(grid: Grid) -> Array:
    """dist² between all nodes, by the definition."""
    points = grid.points.reshape(grid.dim, -1)
    apart = np.abs(points[:, :, None] - points[:, None])
    if not grid.reflects:
        lengths = np.reshape(grid.lengths, (-1, 1, 1))
        apart = np.minimum(apart, lengths - apart)
    return np.sum(apart**2, axis=0)


def by_simplex(cost: Array, a: Array, b: Array) -> float:
    """The optimal value by POT's simplex on the whole matrix."""
    return float(ot.emd2(a, b, cost / cost.max())) * float(cost.max())


def by_linprog(cost: Array, a: Array, b: Array) -> float:
    """The optimal value by HiGHS."""
    n, m = cost.shape
    equations = [kron(eye_array(n), np.ones((1, m))), kron(np.ones((1, n)), eye_array(m))]
    options = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    return linprog(cost.ravel(), A_eq=vstack(equations), b_eq=np.concatenate([a, b]), options=options).fun


def normalised(grid: Grid, mu: Array, nu: Array) -> tuple[Whole, Array, Array]:
    """The costs, and the positive masses of sum 1."""
    whole = Whole.of(grid, mu, nu)
    a, b = mu.ravel()[whole.sources], nu.ravel()[whole.targets]
    return whole, a / a.sum(), b / b.sum()


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_costs_and_pairs_are_those_of_the_dense_matrix(grid: Grid) -> None:
    rng = np.random.default_rng(grid.size)
    for kind in KINDS:
        mu, nu = masses(grid, kind, rng)
        whole = Whole.of(grid, mu, nu)
        everything = whole.below(np.zeros(whole.sources.size), np.full(whole.targets.size, whole.farthest), 10**6)
        C = np.empty((whole.sources.size, whole.targets.size))
        C[everything.rows, everything.columns] = everything.costs
        assert everything.size == C.size
        dist = distances(grid)[np.ix_(whole.sources, whole.targets)]
        assert np.allclose(2 * whole.unit * C, dist, rtol=1e-12, atol=0)
        assert C.max() <= whole.farthest
        u = rng.random(whole.sources.size) * C.max()
        rounded = np.ceil(u * whole.fine) / whole.fine
        v = whole.conjugate(u)
        assert np.array_equal(v, (C - rounded[:, None]).min(axis=0))
        level = v + 0.3 * C.max() * rng.random(v.size) - 0.05 * C.max()
        found, wanted = whole.below(u, level, 10**6), C - rounded[:, None] <= level
        assert found.size == wanted.sum()
        assert wanted[found.rows, found.columns].all()
        assert np.array_equal(found.costs, C[found.rows, found.columns])
        few = whole.below(u, level, 3)
        least = np.sort(np.where(wanted, C - rounded[:, None], np.inf), axis=0)[:3][-1]
        assert ((C - rounded[:, None])[few.rows, few.columns] <= least[few.columns]).all()
        assert np.array_equal(np.bincount(few.columns, minlength=v.size), np.minimum(wanted.sum(axis=0), 3))


def check(grid: Grid, kind: str, seed: int) -> Optimum:
    """The optimum from no potential at all equals the linear program's, is a coupling, and its pair is feasible."""
    mu, nu = masses(grid, kind, np.random.default_rng(seed))
    whole, a, b = normalised(grid, mu, nu)
    found = optimum(a, b, whole, np.zeros(a.size), 2.0 * min(whole.A))
    dist = distances(grid)[np.ix_(whole.sources, whole.targets)]
    lower, upper = 2 * whole.unit * found.lower, 2 * whole.unit * found.upper
    assert found.exact
    assert abs(by_simplex(dist, a, b) - lower) <= 1e-14 * dist.max()
    assert 0 <= upper - lower <= 1e-14 * dist.max() + 2 * whole.rounding * upper
    if kind != "contrast":  # HiGHS gives up
        assert by_linprog(dist, a, b) == pytest.approx(lower, rel=1e-9, abs=1e-14)
    plan = found.coupling.toarray()
    assert np.abs(plan.sum(1) - a).max() <= 1e-15
    assert np.abs(plan.sum(0) - b).max() <= 1e-15
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_random_problems_equal_the_linear_program(kind: str) -> None:
    for i, grid in enumerate(GRIDS[:6]):
        check(grid, kind, i)


@dataclass(frozen=True)
class Matrix:
    """Any matrix of costs, see `simplex.Costs`."""

    C: Array
    step: float = 1e-13
    rounding: float = 2.0**-53

    @property
    def farthest(self) -> float:
        """The greatest."""
        return float(self.C.max())

    def conjugate(self, u: Array) -> Array:
        """min_i C_ij − u_i."""
        return np.nextafter((self.C - u[:, None]).min(axis=0), -np.inf)

    def back(self, v: Array) -> Array:
        """min_j C_ij − v_j."""
        return np.nextafter((self.C - v).min(axis=1), -np.inf)

    def below(self, u: Array, level: Array, most: int) -> Arcs:
        """All of them."""
        i, j = np.nonzero(self.C - u[:, None] <= level)
        return Arcs(i, j, self.C[i, j])


def test_any_costs_and_a_start_without_a_coupling() -> None:
    """Costs that are no distances; the first pairs are too few, so that much stays away."""
    rng = np.random.default_rng(3)
    costs = Matrix(rng.random((30, 40)))
    a, b = rng.dirichlet(np.ones(30)), rng.dirichlet(np.ones(40))
    v = costs.conjugate(np.zeros(30))
    assert simplex(a, b, costs.below(np.zeros(30), v + 1e-9, 10), (np.zeros(30), v), 1e-3).away > 0.1
    found = optimum(a, b, costs, np.zeros(30), 1e-9)
    value = by_linprog(costs.C, a, b)
    assert found.exact
    assert found.rounds > 1
    assert found.lower <= value + 1e-12
    assert found.upper >= value - 1e-12
    assert found.upper - found.lower < 1e-13


@pytest.mark.parametrize("seed", range(10))
def test_certificates_hold_in_rational_arithmetic(seed: int) -> None:
    """The potentials are feasible for all nodes and worth at least the bound below; the mended flow costs at most the one above."""
    grid, kind = GRIDS[seed % 6], KINDS[seed % len(KINDS)]
    mu, nu = masses(grid, kind, np.random.default_rng(seed))
    whole, a, b = normalised(grid, mu, nu)
    found = optimum(a, b, whole, np.zeros(a.size), 2.0 * min(whole.A))
    h = [Fraction(length) / n for length, n in zip(grid.lengths, grid.shape, strict=True)]
    true = [[Fraction(m) for m in mass.ravel() if m > 0] for mass in (mu, nu)]
    alpha, beta = ([m / sum(mass) for m in mass] for mass in true)
    x, y = (np.stack(np.unravel_index(nodes, grid.shape), 1).tolist() for nodes in (whole.sources, whole.targets))
    u, v = [Fraction(t) for t in found.u.tolist()], [Fraction(t) for t in found.v.tolist()]
    unit = Fraction(whole.unit) * (1 - Fraction(1, 2**50))
    cost = {}
    for i, xi in enumerate(x):
        for j, yj in enumerate(y):
            k = [abs(p - q) for p, q in zip(xi, yj, strict=True)]
            k = k if grid.reflects else [min(d, n - d) for d, n in zip(k, grid.shape, strict=True)]
            cost[i, j] = sum((d * hj) ** 2 for d, hj in zip(k, h, strict=True)) / 2 / unit
            assert u[i] + v[j] <= cost[i, j]
    dual = sum(p * q for p, q in zip(u, alpha, strict=True)) + sum(p * q for p, q in zip(v, beta, strict=True))
    assert found.lower <= dual
    flow = {(i, j): Fraction(p) for i, j, p in zip(*found.coupling.coords, found.coupling.data, strict=True)}
    row, column = [Fraction(0)] * len(alpha), [Fraction(0)] * len(beta)
    for (i, j), p in flow.items():
        row[i] += p
        column[j] += p
    for (i, j), p in flow.items():  # no marginal too large; what is missing is sent as far as can be
        flow[i, j] = p * min(alpha[i] / row[i], 1) * min(beta[j] / column[j], 1)
    missing = 1 - sum(flow.values())
    total = sum(p * cost[key] for key, p in flow.items()) + missing * max(cost.values())
    assert total * (1 - Fraction(1, 2**49)) <= Fraction(found.upper) * (1 + Fraction(whole.rounding))


def test_bounds_notice_what_is_wrong() -> None:
    """A flow that lacks mass is not cheap, a potential with a constant added is not worth more."""
    costs = Matrix(np.array([[0.0, 1.0], [1.0, 0.0]]))
    a = np.array([0.5, 0.5])
    arcs = Arcs(np.array([0, 1]), np.array([0, 1]), np.zeros(2))
    assert coupling_bound(a, a, arcs, np.array([0.5, 0.5]), costs) <= 1e-15
    assert coupling_bound(a, a, arcs, np.array([0.5, 0.4]), costs) >= 0.1
    for shift in (0.0, 1e3, 1e9):
        assert dual_bound(a, a, np.full(2, shift), np.full(2, -shift)) <= 0
    assert dual_bound(a, a, np.array([0.3, 0.1]), np.zeros(2)) == pytest.approx(0.2, abs=1e-15)
