"""Sums over whole groups of points: the bound of their error, their agreement with extended precision, where they are used."""

from dataclasses import dataclass, replace
from math import exp, factorial

import numpy as np
import pytest
from test_softmin_clouds import allowance, check, clouds, oracle

from pmasolve.problems.grids import Box, Cloud
from pmasolve.sinkhorn.softmin.blockwise import Blockwise
from pmasolve.sinkhorn.softmin.clouds.blocks import BLOCK
from pmasolve.sinkhorn.softmin.clouds.expansions import largest_argument, monomials
from pmasolve.sinkhorn.softmin.clouds.groups import degrees, grouped, groups_of
from pmasolve.sinkhorn.softmin.clouds.sides import sort


@dataclass(frozen=True)
class Expanding:
    """`Blockwise` with groups of a block wherever their sizes allow an expansion, whether or not it pays."""

    def bind(self, source, target, eps):
        kernel = Blockwise().bind(source, target, eps)
        return replace(kernel, groups=groups_of(BLOCK, kernel.source, kernel.target, eps))


@pytest.fixture
def rng():
    return np.random.default_rng(51907)


@pytest.mark.parametrize("degree", [0, 3, 10, 18])
def test_taylor_remainder(degree):
    """Where |t| ≤ q the polynomial of degree p has the relative error 2⁻⁵³, and at 1.5 q it has not."""
    q = largest_argument(degree)
    assert exp(q) * q ** (degree + 1) / factorial(degree + 1) == pytest.approx(2.0**-53, rel=1e-9)
    t = np.longdouble(-q) * np.array([1, 1.5], np.longdouble)
    terms = [t**k / factorial(k) for k in range(degree + 1)]
    errors = np.abs(np.sum(terms, axis=0) * np.exp(-t) - 1)
    assert errors[0] < 1.01 * 2.0**-53 < errors[1]


def test_monomials_are_all_of_a_degree():
    """Products of the coordinates: at x = (1, 1, 1) all are 1/α!, which sum to Σ 3^p/p!."""
    table = monomials(3)
    assert len(table.parents) == table.counts[-1] == 1330
    for p in (1, 4, 18):
        total = table.inverse_factorials[: table.counts[p]].sum()
        assert total == pytest.approx(sum(3.0**k / factorial(k) for k in range(p + 1)), rel=1e-13)
    assert len(monomials(10).limits) == 5


@pytest.mark.parametrize(
    ("dim", "period", "eps"),
    [(1, None, 0.03), (1, None, 1.0), (2, None, 0.4), (2, None, 3.0), (3, None, 0.6), (4, None, 20.0)],
    ids=str,
)
def test_in_space(dim, period, eps, rng):
    source, target = clouds(rng, 1300, 700, dim, period)
    kernel = check(Expanding(), source, target, eps, 0.1 * rng.random(1300) / eps, rng.standard_normal(700))
    assert kernel.report["expanded"] > 0
    assert kernel.report["summed"] == 0


@pytest.mark.parametrize(("period", "eps"), [((1.0,), 0.02), ((1.0,), 0.03), ((1.0, 1.0), 0.06)], ids=str)
def test_on_a_torus(period, eps, rng):
    source = Cloud(rng.random((1100 * len(period), len(period))), period=period)
    target = Cloud(0.1 + 0.3 * rng.random((150, len(period))), period=period)
    kernel = check(Expanding(), source, target, eps, 0.1 * rng.random(source.size) / eps, rng.standard_normal(150))
    assert kernel.report["expanded"] > 0


def test_in_a_box(rng):
    box = Box((600,))
    kernel = check(Expanding(), box, box, 0.05, 100 * rng.random(600), rng.standard_normal(600))
    assert kernel.report["expanded"] > 0


def test_with_groups_too_wide(rng):
    """A tight cluster and scattered points: some pairs of groups are expanded, the others summed one by one."""
    tight, scattered = 0.02 * rng.random((1024, 2)), rng.random((400, 2)) + np.array([1.0, 0.0])
    source, target = Cloud(np.concatenate([tight, scattered])), Cloud(np.concatenate([scattered[:300], tight]))
    kernel = check(Expanding(), source, target, 0.05, rng.standard_normal(1424), rng.standard_normal(1324))
    assert kernel.report["expanded"] > 0
    assert kernel.report["summed"] > 0


def test_groups_without_mass(rng):
    """Weights from 1e-300 to 1, whole groups without any, exponents a million apart."""
    source, target = clouds(rng, 2000, 600, 1)
    h = np.log(10.0 ** rng.uniform(-300, 0, 2000))
    h[source.points[:, 0] < 0.6] = -np.inf
    back = np.full(600, -np.inf)
    back[17] = -690.0
    kernel = check(Expanding(), source, target, 0.1, h, back)
    assert kernel.report["summed"] == 0
    check(Expanding(), source, target, 0.1, rng.uniform(-1e6, 1e6, 2000), rng.uniform(-1e6, 1e6, 600))


def test_duplicates(rng):
    """Groups of no extent: the polynomial is a constant."""
    source = target = Cloud(np.repeat(rng.random((3, 2)), 400, axis=0))
    check(Expanding(), source, target, 1e-3, rng.random(1200), rng.random(1200))


def test_steep_potentials_at_small_eps(rng):
    """Targets of one group whose sums differ by hundreds of nats; sampled rows against the definition."""
    source, target = clouds(rng, 30_000, 20_000, 2)
    eps = 3e-3
    h = -(0.3 * np.sum(source.points**2, axis=1) + 0.05 * np.cos(9 * source.points[:, 0])) / eps
    kernel = Expanding().bind(source, target, eps)
    values, rows = kernel.forward(h), np.arange(0, 20_000, 2_000)
    some = Cloud(target.points[rows])
    exact = oracle(source, some, eps, h)
    assert kernel.report["expanded"] > 0
    assert np.abs(values[rows] - exact).max() <= allowance(source, some, eps, h, exact)


def test_where_they_pay(rng):
    """Not for few points, nor where ε is small against a block, nor in high dimension; degrees follow the sizes."""
    sides = {(n, dim): sort(rng.random((n, dim))) for n, dim in ((400, 2), (3000, 2), (3000, 8))}
    assert grouped(sides[400, 2], sides[400, 2], 1.0) is None
    assert grouped(sides[3000, 2], sides[3000, 2], 1e-4) is None
    assert grouped(sides[3000, 8], sides[3000, 8], 0.1) is None
    groups = grouped(sides[3000, 2], sides[3000, 2], 0.2)
    assert groups is not None
    assert (groups.swapped().degrees == groups.degrees.T).all()
    finer = degrees(groups.source, groups.target, 0.4)
    assert (finer <= groups.degrees).all()
