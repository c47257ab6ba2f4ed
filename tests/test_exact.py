"""Exact transport on grids: a simplex on few pairs against dense linear programs; its certificates in rational arithmetic."""

from __future__ import annotations

import _thread
import signal
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from threading import Timer

import numba
import numpy as np
import ot
import pytest
from scipy.ndimage import gaussian_filter
from scipy.optimize import linprog
from scipy.sparse import eye_array, kron, vstack

from pmasolve import Box, Problem, SemiDual, Simplex, Torus, Transport, load_map, pairwise, save_map, transport
from pmasolve import distances as reference
from pmasolve.machine.arrays import Array
from pmasolve.machine.interruptions import breakable
from pmasolve.maps import distances as many
from pmasolve.maps import exact, few
from pmasolve.maps.few import Support, holds, optimum_of_few
from pmasolve.maps.network import NetworkBasis, heights
from pmasolve.maps.pairs import Arcs
from pmasolve.maps.semidual import ascent
from pmasolve.maps.semidual import even as even_module
from pmasolve.maps.semidual.arcs import WholeCosts
from pmasolve.maps.semidual.ascent import Masses
from pmasolve.maps.semidual.even import even
from pmasolve.maps.simplex import Basic, Optimum, coupling_bound, dual_bound, optimum
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


def normalised(grid: Grid, mu: Array, nu: Array) -> tuple[WholeCosts, Array, Array]:
    """The costs, and the positive masses of sum 1."""
    whole = WholeCosts.of(grid, mu, nu)
    a, b = mu.ravel()[whole.sources], nu.ravel()[whole.targets]
    return whole, a / a.sum(), b / b.sum()


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_costs_and_pairs_are_those_of_the_dense_matrix(grid: Grid) -> None:
    rng = np.random.default_rng(grid.size)
    for kind in KINDS:
        mu, nu = masses(grid, kind, rng)
        whole = WholeCosts.of(grid, mu, nu)
        everything = whole.below(np.zeros(whole.sources.size), np.full(whole.targets.size, 20 * whole.farthest), 10**6)
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


def solve_and_check(grid: Grid, kind: str, seed: int) -> Optimum:
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
        solve_and_check(grid, kind, i)


@pytest.mark.slow
def test_three_hundred_random_problems_equal_the_linear_program() -> None:
    """All grids and kinds; ties and degenerate bases end."""
    for seed in range(300):
        solve_and_check(GRIDS[seed % len(GRIDS)], KINDS[(seed // len(GRIDS)) % len(KINDS)], seed)


@dataclass(frozen=True)
class Matrix:
    """Any matrix of costs, see `pairs.Costs`."""

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

    @property
    def swapped(self) -> Matrix:
        """The matrix transposed."""
        return Matrix(self.C.T, self.step, self.rounding)


def test_any_costs_and_a_start_without_a_coupling() -> None:
    """Costs that are no distances; the first pairs are too few, so that much stays away."""
    rng = np.random.default_rng(3)
    costs = Matrix(rng.random((30, 40)))
    a, b = rng.dirichlet(np.ones(30)), rng.dirichlet(np.ones(40))
    v = costs.conjugate(np.zeros(30))
    arcs = costs.below(np.zeros(30), v + 1e-9, 10)
    network = NetworkBasis.of(a, b, 1e-15)
    network.add(arcs.rows, arcs.columns, arcs.costs)
    network.price(np.full(30, 1e-3), v + 1e-3)
    network.solve()
    assert Basic.of(network, arcs, a, b).away > 0.1
    found = optimum(a, b, costs, np.zeros(30), 1e-9)
    value = by_linprog(costs.C, a, b)
    assert found.exact
    assert found.rounds > 1
    assert found.lower <= value + 1e-12
    assert found.upper >= value - 1e-12
    assert found.upper - found.lower < 1e-13


@pytest.mark.parametrize("swap", [False, True])
def test_a_heavy_point_has_all_its_light_partners_at_once(swap: bool) -> None:
    """Of its own least pairs a few would come in each round; there were 35 and 32 rounds."""
    grid, light = Box((600,)), np.ones(600)
    heavy = np.full(600, 1e-3)
    heavy[100] = 600.0
    whole, a, b = normalised(grid, *((heavy, light) if swap else (light, heavy)))
    to_heavy = 1.0 * (np.arange(600) - 100) ** 2
    u = whole.back(to_heavy) if swap else to_heavy
    found = optimum(a, b, whole, u, 1.0)
    assert found.exact
    assert found.rounds <= 4
    assert found.lower == pytest.approx(by_simplex(distances(grid), a, b) / (2 * whole.unit), rel=1e-12)


def dense(C: Array, a: Array, b: Array) -> tuple[NetworkBasis, Array, Array]:
    """A network that has all pairs, and their ends."""
    i, j = np.indices(C.shape).reshape(2, -1)
    far = C.max() + 1.0
    network = NetworkBasis.of(a, b, 1e-15)
    network.add(i, j, C.ravel())
    network.price(np.full(a.size, far), np.full(b.size, far))
    return network, i, j


def in_order(network: NetworkBasis) -> bool:
    """Whether order, sizes, ends and heights are those of the tree of the parents; arcs without flow point to the root."""
    height = np.zeros_like(network.height)
    heights(network.n, network.cost, height, network.tree)
    parent, _, after, before, size, last = (x.tolist() for x in network.tree)
    root = len(parent) - 1
    order = [root]
    while after[order[-1]] != root:
        order.append(after[order[-1]])
    count, end = [1] * (root + 1), list(range(root + 1))
    place = {x: k for k, x in enumerate(order)}
    for x in reversed(order[1:]):
        count[parent[x]] += count[x]
        end[parent[x]] = max(end[parent[x]], end[x], key=place.__getitem__)
    up = network.tail[network.tree[1][:-1]] == np.arange(root)
    return (
        len(place) == root + 1
        and all(before[after[x]] == x for x in order)
        and all(place[parent[x]] < place[x] for x in order[1:])
        and (count, end) == (size, last)
        and bool(np.all(up | (network.flow[:-1] > 0)))
        and np.array_equal(network.height, height)
    )


@pytest.mark.parametrize("ties", [False, True])
def test_a_network_is_the_linear_program_and_goes_on(ties: bool) -> None:
    """Also from some pairs to all, and to other prices; equal masses and whole costs: most pivots send nothing."""
    rng = np.random.default_rng(5)
    for n, m in ((1, 1), (1, 7), (20, 20), (40, 25)):
        C = rng.integers(0, 4, (n, m)) + 0.0 if ties else rng.random((n, m))
        a, b = (np.full(k, 1 / k) if ties else rng.dirichlet(np.ones(k)) for k in (n, m))
        whole, i, j = dense(C, a, b)
        few = rng.permutation(i.size)
        first, rest = few[: i.size // 3], few[i.size // 3 :]
        some = NetworkBasis.of(a, b, 1e-15)
        some.add(i[first], j[first], C.ravel()[first])
        some.price(np.full(n, 0.1), np.full(m, 0.1))
        some.solve()
        assert in_order(some)
        some.add(i[rest], j[rest], C.ravel()[rest])
        some.price(np.full(n, 9.0), np.full(m, 9.0))
        for network, order in ((whole, np.arange(i.size)), (some, few)):
            network.solve()
            assert in_order(network)
            assert network.away == 0
            arcs, flow = network.basic()
            arcs, plan = order[arcs], np.zeros((n, m))
            np.add.at(plan, (i[arcs], j[arcs]), flow / 2.0**60)
            assert np.abs(plan.sum(1) - a).max() <= 1e-15
            assert np.abs(plan.sum(0) - b).max() <= 1e-15
            assert np.sum(plan * C) == pytest.approx(by_simplex(C, a, b) if C.max() > 0 else 0.0, abs=1e-14)
            u, v = network.potentials
            assert u @ a + v @ b == pytest.approx(np.sum(plan * C), abs=1e-13)
            assert (C - u[:, None] - v >= -1e-13).all()


@pytest.mark.parametrize("ties", [False, True])
def test_a_first_basis_takes_the_pairs_in_their_order(ties: bool) -> None:
    """It is a tree as the network keeps it, each pair takes what its nodes have left, and pivots go on from it to the optimum."""
    rng = np.random.default_rng(9)
    for n, m in ((1, 1), (1, 7), (20, 20), (40, 25)):
        C = rng.integers(0, 4, (n, m)) + 0.0 if ties else rng.random((n, m))
        a, b = (np.full(k, 1 / k) if ties else rng.dirichlet(np.ones(k)) for k in (n, m))
        network, i, j = dense(C, a, b)
        left, sent = [network.flow[:n].copy(), network.flow[n:-1].copy()], {}
        order = np.argsort(C.ravel(), kind="stable")[: 2 * C.size // 3]
        for k in order.tolist():
            if (most := min(left[0][i[k]], left[1][j[k]])) > 0:
                sent[k] = most
                left[0][i[k]] -= most
                left[1][j[k]] -= most
        network.begin(order)
        heights(network.n, network.cost, network.height, network.tree)
        assert in_order(network)
        assert dict(zip(*(x.tolist() for x in network.basic()), strict=True)) == sent
        assert network.away == left[0].sum() / 2.0**60
        network.solve()
        arcs, flow = network.basic()
        assert in_order(network)
        assert network.away == 0
        assert flow / 2.0**60 @ C.ravel()[arcs] == pytest.approx(by_simplex(C, a, b) if C.max() > 0 else 0.0, abs=1e-14)


def test_near_potentials_leave_fewer_pivots_than_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pairs of small slack make a basis at once; where all stays away at first there are more than one for each node."""
    made = []

    def counted(network: NetworkBasis) -> int:
        made.append(solve(network))
        return made[-1]

    solve = NetworkBasis.solve
    monkeypatch.setattr(NetworkBasis, "solve", counted)
    mu, nu = (gaussian_filter(x, 3, mode="wrap") + 0.02 for x in np.random.default_rng(4).random((2, 48, 48)) ** 8)
    T = transport(Problem.from_densities(Torus((48, 48)), mu, nu), gap=0)
    print(f"{sum(made)} pivots between {2 * mu.size} nodes")
    assert T.outcome.name == "exact"
    assert 100 < sum(made) < 0.8 * 2 * mu.size


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


# ---- through the door ------------------------------------------------------------------------------------------------------------


def value(grid: Grid, mu: Array, nu: Array) -> float:
    """W₂² by a dense simplex."""
    here, there = np.flatnonzero(mu), np.flatnonzero(nu)
    a, b = mu.ravel()[here], nu.ravel()[there]
    return by_simplex(distances(grid)[np.ix_(here, there)], a / a.sum(), b / b.sum())


@pytest.mark.parametrize(("grid", "kind"), list(zip(GRIDS, (*KINDS, *KINDS[:3]), strict=True)), ids=str)
def test_gap_0_is_exact(grid: Grid, kind: str, tmp_path: Path) -> None:
    mu, nu = masses(grid, kind, np.random.default_rng(7))
    T = transport(Problem.from_densities(grid, mu, nu), gap=0)
    wanted = value(grid, mu, nu)
    assert T.outcome.name == "exact", T.outcome
    assert T.outcome.ok
    assert T.gap <= 1e-12
    assert T.w2_squared == pytest.approx(wanted, rel=1e-12)
    assert T.interval.lower <= T.w2_squared <= T.interval.upper
    P = T.coupling
    assert np.allclose(P.sum(axis=1), mu.ravel() / mu.sum(), rtol=1e-13, atol=1e-15)
    assert np.allclose(P.sum(axis=0), nu.ravel() / nu.sum(), rtol=1e-13, atol=1e-15)
    assert P.multiply(distances(grid)).sum() == pytest.approx(wanted, rel=1e-12)
    assert P.nnz < np.count_nonzero(np.exp(-T.problem.f)) + np.count_nonzero(np.exp(-T.problem.g))
    again = load_map(save_map(T, tmp_path / "map.npz"))
    assert (again.coupling != P).nnz == 0
    assert again.method == T.method == Simplex()


def test_map_and_spread_are_those_of_the_coupling() -> None:
    """A point in the middle of a torus sends its mass to two, across the wall and not."""
    torus = Torus((8, 8))
    mu, nu = np.zeros((2, 8, 8))
    mu[0, 0] = 1
    nu[2, 0], nu[7, 0] = 0.75, 0.25
    T = transport(Problem.from_densities(torus, mu, nu), gap=0)
    assert T.map[:, 0, 0].tolist() == [0.75 * 0.25 - 0.25 * 0.125, 0.0]
    assert T.spread[0, 0] == pytest.approx(np.sqrt(0.75 * 0.25) * 0.375, rel=1e-12)
    assert T.w2_squared == pytest.approx(0.75 * 0.0625 + 0.25 / 64, rel=1e-14)
    assert T.coupling.shape == (64, 64)
    assert T.coupling.nnz == 2


def photographs(n: int) -> tuple[Array, Array]:
    """Two rough positive images."""
    rng = np.random.default_rng(11)
    return tuple(0.05 + gaussian_filter(rng.random((n, n)), s, mode="wrap") ** 8 for s in (0.7, 2))


def test_from_the_semi_dual_and_through_coarse_grids_it_is_one_number(monkeypatch: pytest.MonkeyPatch) -> None:
    grid, (mu, nu) = Torus((32, 32)), photographs(32)
    problem = Problem.from_densities(grid, mu, nu)
    coarse = transport(problem, gap=0)
    monkeypatch.setattr(exact, "SMALL_PROGRAM", 0)
    fine = transport(problem, gap=0)
    assert any("krylov" in record for record in fine.records)
    assert not any("krylov" in record for record in coarse.records)
    assert fine.outcome.name == coarse.outcome.name == "exact"
    assert fine.w2_squared == pytest.approx(coarse.w2_squared, rel=1e-13)
    assert fine.w2_squared == pytest.approx(value(grid, mu, nu), rel=1e-12)


@pytest.mark.parametrize("gap", [1e-4, 1e-9])
def test_what_the_semi_dual_leaves_the_simplex_does(gap: float) -> None:
    """Also a gap that is narrower than any that ε of the order of h² can give, for which the semi-dual is not asked."""
    grid, (mu, nu) = Box((48, 48)), photographs(48)
    mu[:3] = 0
    problem = Problem.from_densities(grid, mu, nu)
    T = transport(problem, gap=gap)
    assert T.outcome.name == "reached"
    assert T.gap <= gap
    left = transport(problem, gap=gap, method=SemiDual())
    assert left.outcome.name == "gap not reached"
    assert left.interval.lower <= T.interval.lower <= T.interval.upper <= left.interval.upper


def rounds_from(grid: Grid, mu: Array, nu: Array) -> tuple[int, int]:
    """How many programs follow the entropic start, and its Newton steps on the finest grid; its bounds hold the optimum."""
    start, rounds = even(grid, mu, nu), []
    whole, found = exact._optimum_on_grid(
        Masses.of(grid, mu, nu), 0.0, -start.potential, exact.FINE_SLACK, lambda grid, n, *_: rounds.append(n)
    )
    bounds = start.bounded()
    assert found.exact
    assert bounds.lower <= 2 * whole.unit * found.lower <= bounds.upper
    return len(rounds), sum(record["points"] == grid.size for record in start.records)


def cross_and_disc(grid: Grid) -> tuple[Array, Array]:
    """Indicators."""
    a, b = np.abs(grid.points - 0.5)
    cross = (a < 0.08) & (b < 0.35) | (b < 0.08) & (a < 0.35)
    return cross + 0.0, (np.hypot(*(grid.points - 0.4)) < 0.15) + 0.0


def disc_and_squares(grid: Grid) -> tuple[Array, Array]:
    """Indicators."""
    x = grid.points
    squares = np.maximum(np.abs(x[0] - 0.3), np.abs(x[1] - 0.35)) < 0.12
    squares |= np.maximum(np.abs(x[0] - 0.7), np.abs(x[1] - 0.6)) < 0.15
    return (np.hypot(x[0] - 0.42, x[1] - 0.45) < 0.2) + 0.0, squares + 0.0


def test_a_light_background_costs_no_more_rounds() -> None:
    """A potential that is near where the mass is, and 100 times ½ h² off elsewhere, took 13 rounds; at 128² 5 times as long."""
    grid = Box((64, 64))
    assert rounds_from(grid, *(1e-4 + mass for mass in cross_and_disc(grid)))[0] <= 4


@pytest.mark.parametrize("each", [1e-15, 1e-13, 2.0**-40, 1e-10])
def test_a_background_of_next_to_nothing_costs_no_more_rounds(each: float) -> None:
    """So much of the mass in each node took 3 to 25 rounds, after 18 to 67 Newton steps on the finest grid, most in vain."""
    grid = Box((64, 64))
    rounds, steps = rounds_from(grid, *(each + mass / mass.sum() for mass in cross_and_disc(grid)))
    assert rounds <= 3
    assert steps <= 25


@pytest.mark.parametrize("each", [(1e-14, 1e-11), (1e-11, 1e-14), (1e-9, 1e-15)], ids=str)
def test_backgrounds_of_unequal_next_to_nothing_cost_no_more_rounds(each: tuple[float, float]) -> None:
    """18, 46 and 23 rounds where the start took the one to be nearly as heavy as the other: their ratio says who sends to whom."""
    grid = Box((64, 64))
    lightly = (e + mass / mass.sum() for e, mass in zip(each, cross_and_disc(grid), strict=True))
    assert rounds_from(grid, *lightly)[0] <= 5


def test_tails_of_any_lightness_cost_few_rounds() -> None:
    """What lies at 10⁻⁵ to 10⁻²⁰ of the mean is no flat background: clipped there it took 30 rounds, evened out 7."""
    grid = Box((48, 48))
    bells = (np.exp(-0.5 * np.sum((grid.points - c) ** 2, axis=0) / s**2) for c, s in ((0.3, 0.07), (0.62, 0.08)))
    rounds, steps = rounds_from(grid, *(bell + 1e-300 for bell in bells))
    assert rounds <= 3
    assert steps <= 35


@pytest.mark.slow
def test_the_potential_of_a_whole_region_is_near() -> None:
    """Directions by the residual alone left the background's off by 8 times ½ h² in the median, at most 53: 10 rounds."""
    grid = Box((256, 256))
    assert rounds_from(grid, *(1e-3 + mass for mass in disc_and_squares(grid)))[0] <= 4


def test_a_pair_whose_potential_is_near_already_begins_with_less_eps() -> None:
    """On the finest grid, at ½ h²; shapes at h²."""
    grid = Box((48, 48))
    for given, first in ((photographs(48), 0.5), (tuple(1e-3 + mass for mass in cross_and_disc(grid)), 1.0)):
        start = even(grid, *given)
        assert max(record["eps"] for record in start.records if record["points"] == grid.size) * grid.size == (
            pytest.approx(first)
        )


def test_products_are_few_where_windows_are_wide() -> None:
    """A disc that becomes a ring took 83: a V-cycle alone is too small for what varies within a window."""
    grid = Box((64, 64))
    ring = (np.abs(np.hypot(*(grid.points - 0.5)) - 0.28) < 0.08) + 0.0
    start = even(grid, 1e-3 + cross_and_disc(grid)[1], 1e-3 + ring)
    assert sum(record["krylov"] for record in start.records) <= 65


def test_directions_end_by_their_energy_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    """⟨r, S⁻¹ r⟩ of the residual r, computed anew, is a quarter of what it was at most; by ‖r‖ alone one left 2.9 times as much."""
    left, cycles, find, cycle_of = [], [], ascent._Directions.at, ascent._Directions._of

    def of(*given: object) -> object:
        cycles.append(cycle_of(*given))
        return cycles[-1]

    def at(directions: ascent._Directions, here: ascent.Iterate, damping: float) -> Array:
        d = find(directions, here, damping)
        damped = here.marginal + ascent._ridge(here, damping)
        before = directions.masses.mu - here.marginal
        after = before - damped * d + here.plan.adjoint(here.plan.expect(d) * directions.masses.nu)
        old, new = (np.vdot(r, cycles[-1].cycle(r) + r / damped) for r in (before, after))
        assert directions.krylov < directions.most
        left.append(new / old)
        return d

    monkeypatch.setattr(ascent._Directions, "_of", of)
    monkeypatch.setattr(ascent._Directions, "at", at)
    grid = Box((64, 64))
    even(grid, *(1e-3 + mass for mass in disc_and_squares(grid)))
    print(f"{len(left)} directions leave up to {max(left):.2f} of the energy")
    assert len(left) > 10
    assert max(left) <= ascent.FORCING**2 * (1 + 1e-6)


def test_beyond_the_simplex_the_smallest_gap_is_said() -> None:
    grid, (mu, nu) = Torus((48, 48)), photographs(48)
    T = transport(Problem.from_densities(grid, mu, nu), gap=0, method=Simplex(nodes=1000))
    assert T.outcome.name == "beyond the simplex"
    assert not T.outcome.ok
    assert 0 < T.gap < 0.1
    assert "more than 1000 nodes" in T.outcome.advice
    assert T.coupling is None


@pytest.mark.parametrize("rough", [True, False])
def test_an_interruption_leaves_what_is_known(rough: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the start, between it and the simplex, there within a gap of 0.1; in the simplex, which ends its round."""
    grid, (mu, nu) = Torus((48, 48)), photographs(48)
    if not rough:
        mu, nu = (0.01 + np.exp(-30 * np.sum((grid.points - x) ** 2, axis=0)) for x in (0.3, 0.6))
    problem = Problem.from_densities(grid, mu, nu)
    wanted = transport(problem, gap=0).w2_squared

    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    def solved_and_interrupted(
        network: NetworkBasis, solve: Callable[[NetworkBasis], int] = NetworkBasis.solve
    ) -> None:
        solve(network)
        raise KeyboardInterrupt

    def at_the_finest(masses: Masses, here: object) -> float:
        return interrupted() if masses.grid == grid else 0.0

    def stopped(bound: float, size: int = exact.SMALL_PROGRAM, **patches: object) -> Transport:
        with monkeypatch.context() as patch:
            patch.setattr(exact, "SMALL_PROGRAM", size)
            for name, new in patches.items():
                patch.setattr({"solve": NetworkBasis, "uneven": even_module}.get(name, exact), name, new)
            T = transport(problem, gap=0)
        assert T.outcome.name == "interrupted"
        assert T.gap <= bound
        assert T.interval.lower <= wanted <= T.interval.upper
        return T

    assert stopped(np.inf, uneven=interrupted).interval.upper < 0.5
    assert stopped(np.inf if rough else 0.1, uneven=at_the_finest).interval.upper < 20 / 48**2 + wanted
    assert stopped(0.1, optimum=interrupted).coupling is None
    stopped(0.1, _result=interrupted)
    assert stopped(1e-3, solve=solved_and_interrupted).coupling.sum() == pytest.approx(1.0)
    stopped(np.inf, 10**6, optimum=interrupted, optimum_of_few=interrupted)


def test_no_bounds_are_wider_than_those_known_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too few pairs, of which no more come in, are worse than the start; asked again, exact bounds stay."""
    grid, (mu, nu) = Torus((48, 48)), photographs(48)
    problem = Problem.from_densities(grid, mu, nu)
    start = even(grid, np.exp(-problem.f), np.exp(-problem.g)).bounded()
    T = transport(problem, gap=0)
    assert T.discrete(1e-3) == T.discrete(0) == T.interval
    with pytest.raises(ValueError, match="at least 0"):
        T.discrete(-1.0)
    monkeypatch.setattr("pmasolve.maps.simplex.ROUNDS", 1)
    monkeypatch.setattr(exact, "FINE_SLACK", 0.0)
    few = transport(problem, gap=0)
    assert few.outcome.name == "gap not reached"
    assert start.lower <= few.interval.lower <= T.w2_squared <= few.interval.upper <= start.upper
    assert f"leave a gap of {few.gap:.2g}," in str(few.outcome)
    assert transport(problem, gap=1.01 * few.gap, method=Simplex()).outcome.name == "reached"  # by the start


def test_the_same_masses_stay() -> None:
    mu = np.arange(64.0).reshape(8, 8)
    T = transport(Problem.from_densities(Box((8, 8)), mu, mu), gap=0)
    assert T.outcome.ok
    assert T.w2_squared == 0
    assert np.allclose(T.coupling.toarray(), np.diag(mu.ravel() / mu.sum()), rtol=1e-15)


UNEQUAL = [
    Box((5, 6, 6), (31.204, 0.01, 19.271)),
    Torus((5, 6, 6), (31.204, 0.01, 19.271)),
    Box((8, 9), (1.0, 1e-4)),
    Torus((8, 9), (1e-5, 1.0)),
    Box((8, 9), (1e3, 1e-3)),
]


@pytest.mark.parametrize("grid", UNEQUAL, ids=str)
def test_exact_has_its_digits_where_spacings_are_unequal(grid: Grid) -> None:
    """Costs rounded to whole numbers fell short by 1e-6 to 1: their interval was [0, 2 W₂²], its middle \"exact\"."""
    rng, axis = np.random.default_rng(3), int(np.argmin(grid.spacing))
    mu, point = rng.exponential(size=grid.shape), np.zeros(grid.shape)
    point.flat[grid.size // 2] = 1.0
    T = transport(Problem.from_densities(grid, mu, point), gap=0)
    wanted = float(np.sum(mu / mu.sum() * distances(grid)[:, grid.size // 2].reshape(grid.shape)))
    assert T.outcome.name == "exact", T.outcome
    assert T.w2_squared == pytest.approx(wanted, rel=1e-11)
    assert T.interval.lower <= wanted <= T.interval.upper
    short = transport(Problem.from_densities(grid, mu, np.flip(mu, axis)), gap=0)  # along the short axis alone
    line = type(grid)((grid.shape[axis],), (grid.lengths[axis],))
    rows = np.moveaxis(mu, axis, -1).reshape(-1, grid.shape[axis])  # no mass goes to another row: that is far
    wanted = sum(float(row.sum()) * value(line, row, row[::-1]) for row in rows) / float(mu.sum())
    assert short.interval.lower <= wanted * (1 + 1e-12)
    assert short.interval.upper >= wanted * (1 - 1e-12)
    assert short.outcome.ok == (short.gap <= 1e-9)
    if short.outcome.ok:
        assert short.w2_squared == pytest.approx(wanted, rel=1e-9)
    else:
        assert "spacings nearer to one another" in short.outcome.advice


# ---- between few nodes -----------------------------------------------------------------------------------------------------------


def few_masses(grid: Grid, kind: str, rng: np.random.Generator) -> tuple[Array, Array]:
    """Also one node against many and one against one."""
    if kind == "one node":
        mu, nu = np.zeros((2, *grid.shape))
        mu.flat[rng.integers(grid.size)] = 1.0
        nu.flat[rng.integers(grid.size)] = 3.0
        return mu, nu
    mu, nu = masses(grid, "zeros" if kind == "from one node" else kind, rng)
    if kind == "from one node":
        mu[:] = 0.0
        mu.flat[rng.integers(grid.size)] = 1.0
    return mu, nu


@pytest.mark.parametrize("kind", [*KINDS, "one node", "from one node"])
def test_between_few_nodes_it_is_the_linear_program(kind: str) -> None:
    """The coupling, its bounds, and potentials that are feasible for all pairs of nodes, whatever the clusters are."""
    commensurable = [grid for grid in GRIDS if holds(WholeCosts.of(grid, np.ones(grid.shape), np.ones(grid.shape)))]
    assert len(commensurable) >= 7
    for k, grid in enumerate([*commensurable, Box((40,)), Torus((15, 13))]):
        mu, nu = few_masses(grid, kind, np.random.default_rng(100 + k))
        whole, a, b = normalised(grid, mu, nu)
        found = optimum_of_few(*(Support.of(grid, density / density.mean()) for density in (mu, nu)), whole)
        dist = distances(grid)[np.ix_(whole.sources, whole.targets)]
        lower, upper = 2 * whole.unit * found.lower, 2 * whole.unit * found.upper
        assert abs(by_simplex(dist, a, b) - lower) <= 1e-14 * dist.max()
        assert 0 <= upper - lower <= 2e-14 * whole.unit * whole.farthest + 2 * whole.rounding * upper
        if kind not in ("contrast", "positive"):
            assert by_linprog(dist, a, b) == pytest.approx(lower, rel=1e-9, abs=1e-14)
        slack = dist * (1 + 1e-12) + 1e-300 - 2 * whole.unit * (found.u[:, None] + found.v)
        assert slack.min() >= 0
        plan = found.coupling.toarray()
        assert np.abs(plan.sum(1) - a).max() <= 1e-15
        assert np.abs(plan.sum(0) - b).max() <= 1e-15
        assert np.abs(slack[plan > 0]).max() <= 1e-10 * dist.max(initial=1e-300)


def strokes(count: int) -> Array:
    """Smooth lines on zeros."""
    rng = np.random.default_rng(4)
    drawn = np.zeros((count, 20, 20))
    for image in drawn:
        i, j = np.clip(np.rint(np.cumsum(rng.normal(0, 2, (2, 20)), axis=1) + 10), 2, 17).astype(int)
        image[i, j] = 1.0
        image[:] = np.maximum(gaussian_filter(image, 1.0) - 0.02, 0.0)
    return drawn


def test_many_at_once_are_the_same_to_the_last_bit() -> None:
    """As one by one: with zeros by default, all with gap 0; the same image twice; a callable of the user's is called."""
    grid, images = Box((20, 20)), strokes(4)
    images[3] = 2 * images[0]
    images = np.concatenate([images, images[:2] + 0.1])
    for gap in (0.0, 1e-3):
        called = []

        def one_by_one(problem: Problem, gap: float = gap, called: list[Problem] = called) -> Transport:
            called.append(problem)
            return transport(problem, gap=gap)

        at_once = pairwise(grid, images, solve=partial(transport, gap=gap) if gap == 0 else transport)
        slowly = pairwise(grid, images, solve=one_by_one)
        assert len(called) == 15
        assert at_once.ok.all()
        for name in ("w2_squared", "lower", "upper"):
            assert np.array_equal(getattr(at_once, name), getattr(slowly, name)), name
        assert at_once.w2_squared[0, 3] < 1e-12
        to_one = reference(grid, images[1:], images[0], solve=partial(transport, gap=gap))
        assert np.allclose(to_one.upper[:3], at_once.upper[0, 1:4], rtol=1e-12, atol=1e-14)  # the other way round
    assert at_once.w2_squared[0, 1] == pytest.approx(value(grid, images[0], images[1]), rel=1e-12)


@pytest.mark.parametrize("moved", [1e-15, 3e-15, 1e-14])
def test_lower_bounds_are_not_negative(moved: float) -> None:
    """Nearly equal masses: roundings of the dual cost are more than W₂²."""
    images = [strokes(1)[0]]
    for seed in range(6):
        near, rng = images[0].copy(), np.random.default_rng(seed)
        i, j = rng.choice(np.flatnonzero(near), 2)
        mass = min(moved * near.sum(), near.flat[j])
        near.flat[i] += mass
        near.flat[j] -= mass
        images.append(near)
    found = reference(Box((20, 20)), images[1:], images[0])
    assert np.all(found.lower >= 0)
    assert np.all(found.upper >= found.lower)


def test_many_at_once_make_no_problem_for_a_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(many, "solved", lambda *_: pytest.fail("one by one"))
    assert pairwise(Box((20, 20)), strokes(3)).ok.all()


def test_masses_beside_a_light_background_are_those_given() -> None:
    """Splines of −log μ return a strip beside 10⁻³⁰⁰ to 10⁻¹² only: so much of it went far, and bounds missed the true W₂²."""
    grid = Box((6, 6, 6), (1.0, 1.0, 50.0))
    mu, nu = np.full(grid.shape, 1e-300), np.full(grid.shape, 1e-300)
    mu[3], nu[0], nu[-1] = 1.0, 1.0, 0.3
    true = (Fraction(1, 4) + Fraction(1, 9) * Fraction(3, 10)) / Fraction(13, 10)
    problem = Problem.from_densities(grid, mu, nu)
    assert np.ptp(problem.f[3]) == np.ptp(problem.g[0]) == np.ptp(problem.g[-1]) == 0
    for given in (problem, problem.swapped(), problem.on(grid)):
        assert max(np.ptp(strip) for values in (given.f, given.g) for strip in values) == 0
        interval = transport(given, gap=0, progress=False).interval
        assert Fraction(interval.lower) <= true <= Fraction(interval.upper)


@numba.njit(nogil=True)
def _busy(count):
    """Two arrays, after a while: tuples are what Numba calls Python for."""
    x = 1.0
    for k in range(count):
        x += np.sin(x + k)
    return np.array([x]), np.empty(1, np.uint32)


def _busy_again(times: int) -> None:
    for _ in range(times):
        _busy(10**6)


def test_an_interruption_while_compiled_code_runs() -> None:
    """Numba made a ``SystemError`` of it, with which every Ctrl-C between few nodes ended."""
    _busy(1)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # shells have jobs in the background ignore it
    try:
        Timer(0.05, _thread.interrupt_main).start()
        with pytest.raises(KeyboardInterrupt), breakable():
            _busy_again(1000)  # until the timer has been there: some of the first times
    finally:
        signal.signal(signal.SIGINT, before)
    with pytest.raises(SystemError, match="of another cause"), breakable():
        raise SystemError("of another cause")


def test_an_interruption_between_few_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Numba raises it, see above."""

    def interrupted(*given: object) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as stop:
            raise SystemError from stop

    grid = Box((8, 8))
    mu, nu = np.random.default_rng(3).random((2, 8, 8))
    monkeypatch.setattr(few, "_simplex", interrupted)
    assert transport(Problem.from_densities(grid, mu, nu), gap=0).outcome.name == "interrupted"
    with pytest.raises(KeyboardInterrupt):
        pairwise(grid, [mu, nu], solve=partial(transport, gap=0))
