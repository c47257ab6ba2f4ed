"""One side a density, the other samples: against weighted points, closed forms, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import logsumexp

import pmasolve as pma
from pmasolve.gaussian import Normal, Pair
from pmasolve.samples.cross_fit import halves

BOX = pma.Box((24, 20), (6.0, 5.0))
MIDDLE = np.array([3.0, 2.5])


@pytest.fixture
def rng():
    return np.random.default_rng(31)


def bell(x, y):
    """A normal law about the middle of the box, of any mass."""
    return 7.0 * np.exp(-0.5 * ((x - 3.0) ** 2 + (y - 2.5) ** 2) / 0.3)


def nodes(domain, density):
    """The nodes of a grid (n, dim) and their masses, by hand."""
    x = domain.points.reshape(domain.dim, -1)
    masses = density(*x) * np.prod(domain.spacing)
    return x.T, masses / masses.sum()


def rms(difference) -> float:
    return float(np.sqrt(np.mean(np.sum(difference**2, axis=1))))


@pytest.mark.parametrize("gauge", [pma.PLAIN, pma.SELF], ids=lambda gauge: gauge.name)
@pytest.mark.parametrize("known", ["source", "target"])
def test_it_is_the_problem_of_the_nodes_as_weighted_points(rng, known, gauge):
    y, b = rng.standard_normal((30, 2)) * [1.5, 0.6] + MIDDLE, rng.random(30)
    x, a = nodes(BOX, bell)
    semi = pma.Problem.from_densities(BOX, bell, pma.Cloud(y, b))
    both = pma.Problem.from_samples(x, y, a, b)
    if known == "target":
        semi, both = pma.Problem.from_densities(BOX, pma.Cloud(y, b), bell), both.swapped()
    z = rng.random((9, 2)) * [6.0, 5.0]
    engines = (None, pma.Dense())
    runs = [
        pma.evolve(pma.Sinkhorn(p, 0.2, gauge=gauge, softmin=engine), [1.0])
        for p, engine in zip((semi, both), engines, strict=True)
    ]
    assert_allclose(runs[0].potentials, runs[1].potentials, rtol=0, atol=1e-11)
    assert_allclose(*(pma.as_function(run).map(z) for run in runs), rtol=0, atol=1e-10)
    found, expected = (pma.schroedinger(p, 0.2, gauge=gauge, marginal=1e-11) for p in (semi, both))
    assert found.outcome.ok
    assert_allclose(found.function.map(z), expected.function.map(z), rtol=0, atol=1e-8)
    assert_allclose(found.plan.value, expected.plan.value, rtol=1e-10)


def test_a_half_step_is_the_sum_written_out(rng):
    y = rng.standard_normal((7, 2)) + MIDDLE
    flow = pma.Sinkhorn(pma.Problem.from_densities(BOX, bell, pma.Cloud(y)), 0.3)
    x, a = nodes(BOX, bell)
    u = rng.standard_normal(len(x))
    cost = 0.5 * np.sum((x[:, None] - y) ** 2, axis=-1)
    assert_allclose(flow.half_step(u), 0.3 * logsumexp(-(cost + u[:, None]) / 0.3, b=a[:, None], axis=0), atol=1e-12)


def test_on_a_torus_images_are_summed(rng):
    torus, y = pma.Torus((32,), (2.0,)), rng.random((9, 1)) * 5 - 1

    def wave(x):
        return 1 + 0.4 * np.cos(np.pi * x)

    semi = pma.Problem.from_densities(torus, wave, pma.Cloud(y))
    assert semi.codomain.period == (2.0,)
    x, a = nodes(torus, wave)
    both = pma.Problem.from_samples(x, y, a, period=2.0)
    runs = [pma.evolve(pma.Sinkhorn(p, 0.05), [0.5]).potentials for p in (semi, both)]
    assert_allclose(*runs, rtol=0, atol=1e-12)
    same = pma.Problem.from_densities(torus, wave, pma.Cloud(y, period=2.0))
    assert same.codomain == semi.codomain


def test_maps_are_fields_on_the_grid_and_the_density_is_known(rng):
    y = rng.standard_normal((40, 2)) + MIDDLE
    semi = pma.Problem.from_densities(BOX, bell(*BOX.points), pma.Cloud(y))
    assert semi.sampled == (False, True)
    assert semi.swapped().sampled == (True, False)
    assert not semi.has_densities
    assert_allclose(np.exp(-semi.f).sum() * BOX.cell, 1.0)
    with pytest.raises(ValueError, match="density of the target is not known"):
        _ = semi.g
    found = pma.schroedinger(semi, 0.2, gauge=pma.SELF)
    assert found.function.map(BOX).shape == (2, 24, 20)
    assert found.inverse.map(y).shape == y.shape
    assert "a density and samples" in repr(semi)
    assert "a density and samples" in semi.summary().replace("\n", " ")


def test_a_run_is_kept_as_weighted_points(rng, tmp_path):
    semi = pma.Problem.from_densities(BOX, bell, pma.Cloud(rng.standard_normal((9, 2)) + MIDDLE))
    run = pma.evolve(pma.Sinkhorn(semi, 0.25), [0.5])
    pma.save(run, tmp_path / "run.npz")
    later = [pma.resume(r, [1.0]).potentials for r in (pma.load(tmp_path / "run.npz"), run)]
    assert_allclose(*later, rtol=0, atol=1e-12)
    again = pma.load(tmp_path / "run.npz", run.flow)
    assert again.flow is run.flow


def errors(n: int, seed: int, samples_only: bool) -> float:
    """RMS error of the map from a normal law in a fine box to n samples of another, or from n samples of it."""
    rng, shape = np.random.default_rng([seed, n]), np.array([[1.0, 0.3], [0.3, 0.5]])
    box, middle, target = pma.Box((28, 28), (8.0, 8.0)), np.array([4.0, 4.0]), Normal([0.0, 0.0], shape)
    law = Normal([0.0, 0.0], 0.6 * np.eye(2))
    A = Pair(law, target).brenier().hessian
    y, z = target.sample(n, rng) + middle, law.sample(300, rng)
    if samples_only:
        problem = pma.Problem.from_samples(law.sample(n, rng) + middle, y)
    else:

        def density(*x):
            return np.exp(-np.sum((np.array(x) - 4.0) ** 2, axis=0) / 1.2)

        problem = pma.Problem.from_densities(box, density, pma.Cloud(y))
    found = pma.schroedinger(problem, 0.3, gauge=pma.SELF, marginal=1e-5)
    return rms(found.function.map(z + middle) - z @ A - middle)


def test_the_error_falls_with_the_samples_and_a_known_side_helps():
    """Seeds 0 … 3 as they come: from 60 to 960 samples, sixteen times as many, the error falls to a quarter, bias apart."""
    few, many = (np.sqrt(np.mean([errors(n, s, False) ** 2 for s in range(4)])) for n in (60, 960))
    both = np.sqrt(np.mean([errors(60, s, True) ** 2 for s in range(4)]))
    print(few, many, both)
    assert many < 0.4 * few
    assert few < both


def test_choose_eps_halves_the_samples_alone(rng):
    y = rng.standard_normal((60, 2)) * [0.9, 0.4] + MIDDLE
    semi = pma.Problem.from_densities(BOX, bell, pma.Cloud(y))
    x, a = nodes(BOX, bell)
    one, other = halves(rng, (x, a), (y, np.full(60, 1 / 60)), sampled=semi.sampled)
    assert one.domain == other.domain
    assert np.array_equal(one.domain.points, x)
    assert sorted(map(tuple, np.concatenate([one.codomain.points, other.codomain.points]))) == sorted(map(tuple, y))
    found = pma.choose_eps(semi, halvings=1)
    spread = pma.gaussian.Normal(MIDDLE, np.diag([0.3, 0.3]))
    A = Pair(spread, Normal(MIDDLE, np.diag([0.81, 0.16]))).brenier().hessian
    z = spread.sample(200, rng)
    assert rms(found.map(z) - (z - MIDDLE) @ A - MIDDLE) < 0.25
    back = pma.choose_eps(semi.swapped(), halvings=1)
    assert rms(back.map(found.map(z)) - z) < 0.25


def test_refusals(rng):
    y = pma.Cloud(rng.random((5, 2)))
    torus = pma.Torus((8, 8))
    for domain, mu, nu, words in (
        (BOX, y, y, "both samples: use Problem.from_samples"),
        (BOX, bell, pma.Cloud(rng.random((5, 3))), "target has points of dimension 3, the grid 2"),
        (BOX, pma.Cloud(rng.random((5, 2)), period=1.0), bell, "source has period="),
        (torus, np.ones((8, 8)), pma.Cloud(rng.random((5, 2)), period=2.0), "target has period="),
        (BOX, -np.ones(BOX.shape), y, "source has 480 negative values"),
        (BOX, rng.random((5, 2)), y, "source has shape"),
        (y, bell, y, "give a Torus or a Box"),
    ):
        with pytest.raises(ValueError, match=words):
            pma.Problem.from_densities(domain, mu, nu)
    semi = pma.Problem.from_densities(BOX, bell, y)
    with pytest.raises(ValueError, match="gauge='symmetric'"):
        pma.Sinkhorn(semi, 0.1, gauge=pma.SYMMETRIC)
    with pytest.raises(ValueError, match="samples carry weights but no density"):
        pma.transport(semi)
