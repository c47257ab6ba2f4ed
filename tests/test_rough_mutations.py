"""What the semi-dual's interval is made of, each part where it alone decides: one-line changes of it are found here."""

from __future__ import annotations

from fractions import Fraction
from math import fsum

import numpy as np
import ot
import pytest
from test_rough_envelope import half_squares

from pmasolve import Box, SemiDual, Torus
from pmasolve.machine.arrays import ROUNDOFF
from pmasolve.maps.semidual import bounds, semidual
from pmasolve.maps.semidual.bounds import PlanMoments, _moves, _sum, lower_bound, repaired, upper_bound
from pmasolve.maps.semidual.c_transform import OUT, c_transform
from pmasolve.maps.semidual.curves import curve
from pmasolve.maps.semidual.flows import OPERATIONS, GridNetwork, _walk
from pmasolve.maps.semidual.plans import plan


def integral(values: np.ndarray, mass: np.ndarray) -> Fraction:
    """In real numbers."""
    total = sum((Fraction(v) * Fraction(m) for v, m in zip(values.ravel(), mass.ravel(), strict=True)), Fraction(0))
    return total / sum((Fraction(m) for m in mass.ravel()), Fraction(0))


@pytest.mark.parametrize("grid", [Box((9,)), Torus((5, 6))], ids=str)
def test_the_lower_bound_is_below_the_dual_value_in_real_numbers(grid) -> None:
    """With potentials of large modulus, whose roundings are larger than what a wrong sign of the slack would leave."""
    rng = np.random.default_rng(3)
    for scale in (1.0, 1e4, 1e8):
        mu, nu = rng.random((2, *grid.shape))
        F = scale + 0.01 * rng.standard_normal(grid.shape)
        lower, conjugate = lower_bound(grid, mu, nu, F)
        G = c_transform(grid, F)
        dual = 2 * (integral(conjugate, mu) + integral(G, nu))
        assert Fraction(lower) <= max(dual, Fraction(0))
        sup = float(np.max(np.abs(conjugate))) + float(np.max(np.abs(G)))
        rounded = fsum((conjugate * mu).ravel()) / fsum(mu.ravel()) + fsum((G * nu).ravel()) / fsum(nu.ravel())
        if lower > 0:
            assert 2 * rounded - lower >= 12 * ROUNDOFF * sup
        assert 2 * rounded - lower <= max(2 * rounded, 20 * ROUNDOFF * sup)


@pytest.mark.parametrize(("n", "length"), [(7, 0.3), (9, 0.7), (11, 1.1)])
def test_transforms_are_rounded_downwards(n: int, length: float) -> None:
    """From one node only, F = 0 there: whole numbers give ½h²k² exactly, and the last product with the unit may round it up."""
    F = np.full(n, -1e3)
    F[2] = 0.0
    G = c_transform(Box((n,), (length,)), F)
    for y in range(n):
        exact = (Fraction(length) / n * (y - 2)) ** 2 / 2
        assert Fraction(OUT) / 2 * exact <= exact - Fraction(G[y]) <= 2 * Fraction(OUT) * exact


def test_sums_have_twice_the_digits() -> None:
    rng = np.random.default_rng(4)
    for digits in (0, 14):
        values = rng.standard_normal(1000) * 10.0 ** rng.integers(0, digits + 1, 1000)
        values = np.concatenate([values, -values[:-1] * (1 + 1e-12)])
        assert _sum(values) == pytest.approx(fsum(values), rel=4 * ROUNDOFF, abs=1e-24 * np.sum(np.abs(values)))


@pytest.mark.parametrize("shape", [(16, 16), (8, 8, 8), (32,), (5, 12), (3, 4, 7), (1, 1), (512, 2)])
def test_the_curve_goes_through_every_node_from_one_to_the_next(shape: tuple[int, ...]) -> None:
    order = curve(shape)
    assert np.array_equal(np.sort(order), np.arange(order.size))
    steps = np.sum(np.abs(np.diff(np.stack(np.unravel_index(order, shape)))), axis=0)
    if len(set(shape)) == 1:
        assert np.all(steps == 1)  # Hilbert's, where the cube is whole
    else:
        assert np.mean(steps) < 2


def moves(excess, periods, mean=None):
    """On a line of nodes."""
    n = len(excess)
    index = np.arange(n, dtype=float)[:, None]
    mean = np.zeros((n, 1)) if mean is None else np.asarray(mean, dtype=float)[:, None]
    left, room = np.array(excess, dtype=float), np.empty(n, np.int64)
    return _moves(index, np.array([periods]), left, mean, np.array([1.0]), room)


def test_moves_take_the_short_way_round_a_torus() -> None:
    excess = np.zeros(10)
    excess[0], excess[9] = 1.0, -1.0
    assert moves(excess, 0.0)[0] == 81.0
    assert moves(excess, 10.0)[0] == 1.0
    mean = np.full(10, 2.0)
    assert moves(excess, 10.0, mean)[:2] == (1.0 - 4.0, 1.0 + 4.0)  # the step is −1
    assert moves(excess, 0.0, mean)[0] == 81.0 + 2 * 9 * 2


def test_mass_that_nobody_takes_is_counted_as_lost() -> None:
    assert moves([1.0, -0.25, 0.5, -0.5], 0.0)[2] == pytest.approx(0.75, rel=1e-14)
    few, many = (moves(np.tile([1.0, -1.0], k), 0.0)[2] for k in (1, 100))
    assert few == 2 * ROUNDOFF
    assert many == pytest.approx(200 * ROUNDOFF)


@pytest.mark.parametrize("kind", [Torus, Box])
def test_lost_mass_and_roundings_are_in_the_upper_bound(kind, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = kind((6, 5), (1.0, 2.0))
    mu, nu = np.random.default_rng(1).random((2, *grid.shape))
    here = plan(grid, np.zeros(grid.shape), 0.05)
    diameter = 5.0 if kind is Box else 1.25
    given = {}

    def fake(lost: float, moduli: float):
        monkeypatch.setattr(bounds, "_moves", lambda *_: (0.0, moduli, lost))
        monkeypatch.setattr(GridNetwork, "carry", lambda *_: (0.0, 0.0))
        return upper_bound(here, mu, nu)

    given["none"] = fake(0.0, 0.0)
    assert fake(0.5, 0.0).upper - given["none"].upper == pytest.approx(0.5 * diameter, rel=1e-12)
    terms = 4 * (11 + 5 + 64)
    rounding = given["none"].upper - given["none"].plain
    assert rounding == pytest.approx(ROUNDOFF * terms * (given["none"].plain + 4 * diameter), rel=0.05)
    assert fake(0.0, 1e6).upper - given["none"].upper == pytest.approx(ROUNDOFF * (terms + 60) * 1e6, rel=1e-3)
    fake(0.0, 0.0)
    monkeypatch.setattr(GridNetwork, "carry", lambda *_: (0.0, 1e6))
    terms, length = terms + 4 * OPERATIONS, 0.4 * 3.0  # of the longer step, of both sides
    flows = ROUNDOFF * (terms * (given["none"].plain + 4 * diameter) + (terms + 60) * 1e6 * length)
    assert upper_bound(here, mu, nu).upper - given["none"].plain == pytest.approx(flows, rel=1e-3)


def coupling_of(excess: list[float], mean: list[float]) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Masses P(x, y) on a line of nodes with this excess of the marginal over 1, a mean of x − y in nodes, and Σ P (x − y)²."""
    n = len(excess)
    P = np.zeros((n, n))
    for x, (more, o) in enumerate(zip(excess, mean, strict=True)):
        low = int(np.floor(x - o))
        P[x, low], P[x, low + 1] = (1 + more) * (1 - (x - o - low)), (1 + more) * (x - o - low)
    k = np.arange(n)
    return P, P.sum(1), (P * (k[:, None] - k)).sum(1) / P.sum(1), float(np.sum(P * (k[:, None] - k) ** 2))


def test_flows_cost_what_the_coupling_that_they_make_costs() -> None:
    """Walked on whole couplings too: the row of a node gives in proportion to its neighbour."""
    excess = [0.5, 0.25, 0.0, 0.0, -0.5, -0.25, 0.0, 0.0]
    P, a, mean, before = coupling_of(excess, [0.0, 0.5, 0.25, 0.0, 0.5, 0.75, 1.5, 1.0])
    flow = np.zeros((3, 1, 1, 8))
    flow[2, 0, 0] = [1.9, 0.75, 0.75, -0.3, 0.25, 0.0, -0.1, 0.0]
    moved, marginal, k = flow[2, 0, 0].copy(), a.copy(), np.arange(8)
    cost, taken, left = _walk(
        flow, marginal[None, None], mean[None, None, None], np.array([0.0, 0.0, 1.0]), False, False
    )
    for x, f in enumerate(moved):
        giver, taker = (x, x + 1) if f > 0 else (x + 1, x)
        if f != 0:
            part = P[giver] * min(abs(f) / P[giver].sum(), 1.0)
            P[giver] -= part
            P[taker] += part
    assert marginal == pytest.approx(P.sum(1), abs=1e-15)
    assert cost == pytest.approx(np.sum(P * (k[:, None] - k) ** 2) - before, rel=1e-13)
    assert left == pytest.approx((1.9 - 1.5) + (0.25 - 0.2))  # nodes 0 and 4 have no more
    assert taken == pytest.approx(np.sum(np.abs(moved)) - left)
    held = P.sum(1) > 0
    assert mean[held] == pytest.approx((P * (k[:, None] - k)).sum(1)[held] / P.sum(1)[held], abs=1e-14)


@pytest.mark.parametrize("grid", [Torus((24, 20)), Box((20, 24), (1.0, 0.5)), Torus((8, 10, 6)), Box((40,))], ids=str)
def test_a_marginal_error_is_repaired_by_flows(grid) -> None:
    """Nothing is left of it but what jumps cheaply, no mass is lost, and the bound is far below that of jumps alone."""
    rng = np.random.default_rng(2)
    mu, nu = 0.5 + rng.random((2, *grid.shape))
    mu, nu = mu / mu.sum(), nu / nu.sum()
    here = plan(
        grid, 0.3 * np.cos(2 * np.pi * grid.points[0] / grid.lengths[0]) + np.log(mu), 0.5 * max(grid.spacing) ** 2
    )
    moments = PlanMoments.of(here, nu)
    a, mean = moments.marginal.copy(), moments.mean.copy()
    network = GridNetwork(grid, mu * grid.size)
    cost, steps = network.carry(a, mean, mu, 1e-9)
    assert a.sum() == pytest.approx(1.0, abs=1e-14)
    assert np.min(a) >= 0
    assert np.sum(np.abs(a - mu)) < 0.01 * np.sum(np.abs(moments.marginal - mu))
    assert steps > 0
    flows = repaired(grid, moments, mu, network, 1e-3)
    jumps = repaired(grid, moments, mu, network, 1e9)
    assert moments.cost + cost <= flows.upper
    assert flows.upper < jumps.upper or grid.dim == 1


def test_islands_that_do_not_balance_are_repaired_across_the_strait() -> None:
    """Two of 15 nodes, two nodes apart, one with too much: steps to the shore and a jump across it, no jumps from all to all."""
    grid, mu = Box((40,)), np.zeros(40)
    mu[3:18] = mu[20:35] = 1 / 30
    a = np.where(np.arange(40) < 19, 1.02, 0.98) * mu
    moments = PlanMoments(a, np.zeros((1, 40)), np.ones(40))
    flows, jumps = (repaired(grid, moments, mu, GridNetwork(grid, mu * 40), gap).upper - 1 for gap in (0.0, 1e9))
    assert jumps > 0.01 * 15**2 / 40**2
    assert flows < 0.2 * jumps


@pytest.mark.parametrize("grid", [Torus((14, 9), (1.0, 0.6)), Box((11, 12))], ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_small_pairs_against_the_network_simplex(grid, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mu, nu = (np.where(rng.random(grid.shape) < 0.5, rng.random(grid.shape), 0.0) for _ in range(2))
    found = semidual(grid, mu, nu, SemiDual(), 1e-2)
    a, b = mu.ravel() / mu.sum(), nu.ravel() / nu.sum()
    truth = 2 * float(ot.emd2(a, b / b.sum() * a.sum(), half_squares(grid), numItermax=10**6))
    assert found.lower <= truth * (1 + 1e-12)
    assert truth <= found.upper * (1 + 1e-12)
    assert found.upper - found.lower < 0.1 * found.lower
