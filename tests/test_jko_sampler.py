"""Chains of JKO blocks: the convex programme, inverses, exact and estimated gradients, guarantees, ends by name, files."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

import pmasolve as pma
from pmasolve import (
    ChainSampler,
    Cloud,
    ConstantSteps,
    ConvexBlocks,
    Diffused,
    Guarantees,
    JKOSampler,
    Outcome,
    Posterior,
    SampleProblem,
    as_chain,
    evolve,
    guarantees,
    load_chain,
    mixed_guarantees,
    resume,
)
from pmasolve.gaussian import Normal, jko
from pmasolve.samples.jko.blocks import Block, GradientBlock, log_det_of
from pmasolve.samples.jko.cones import Cone, Programme, least_stretch
from pmasolve.samples.jko.flow import CarriedPoints
from pmasolve.samples.jko.gradients import estimated_gradient, exact_gradient, mean_square
from pmasolve.samples.jko.guarantees import assigned, smoothed, way_back
from pmasolve.samples.jko.mixed import _way_bound, mixed
from pmasolve.samples.jko.networks import ODEBlock, Perceptron, ResidualBlock, numbers_in, width_of
from pmasolve.samples.samplers.reference import Reference
from pmasolve.samples.samplers.verdicts import against_normal, distance

STEP = 1e-5
STANDARD = Reference.of(None, 2)


def two_modes(n: int, seed: int) -> np.ndarray:
    """½N(−2, ¼) + ½N(2, ¼) times N(0, 1)."""
    rng = np.random.default_rng(seed)
    return np.c_[0.5 * rng.standard_normal(n) + np.where(rng.random(n) < 0.5, -2.0, 2.0), rng.standard_normal(n)]


def _f(x: np.ndarray) -> np.ndarray:
    parts = [norm.logpdf(x[:, 0], mean, 0.5) for mean in (-2.0, 2.0)]
    return -logsumexp(np.array(parts), axis=0) + np.log(2) - norm.logpdf(x[:, 1])


LAW = Posterior(_f, lambda x: np.c_[(x[:, 0] - 2 * np.tanh(8 * x[:, 0])) / 0.25, x[:, 1]], 2)


def network(dim: int, *, timed: bool, size: float = 0.6, seed: int = 1) -> Perceptron:
    """Random numbers."""
    widths = width_of(dim, 7, 2, timed=timed)
    return Perceptron.of_row(size * np.random.default_rng(seed).standard_normal(numbers_in(widths)) / 2, widths)


def blocks(dim: int) -> dict[str, Block]:
    """One of each kind."""
    x = np.random.default_rng(2).standard_normal((200, dim)) * np.linspace(1, 2, dim)
    cone = Cone.around(x, 5, (1.0, 2.0), 0.05, np.random.default_rng(3))
    theta = cone.identity + np.random.default_rng(4).uniform(0, 0.5, len(cone.directions))
    return {
        "gradient": GradientBlock(cone.potential(theta)),
        "residual": ResidualBlock(network(dim, timed=False)),
        "ODE": ODEBlock(network(dim, timed=True)),
    }


@pytest.fixture(scope="module")
def run() -> pma.Trajectory:
    """Two modes, up to the stop rule."""
    flow = JKOSampler(SampleProblem(two_modes(1500, 51)), density=LAW)
    return evolve(flow, flow.times(12)[-1:], throw=False)


@pytest.mark.parametrize("kind", ["gradient", "residual", "ODE"])
@pytest.mark.parametrize("dim", [1, 3])
def test_blocks(kind: str, dim: int) -> None:
    """Derivatives by differences, inverses, rows and files of every kind of block."""
    block, x = blocks(dim)[kind], np.random.default_rng(5).standard_normal((6, dim))
    unit = STEP * np.eye(dim)
    by = [(block.image(x + e) - block.image(x - e)) / (2 * STEP) for e in unit]
    assert np.allclose(np.stack(by, axis=2), block.jacobian(x), atol=1e-8)
    slopes = [(log_det_of(block, x + e) - log_det_of(block, x - e)) / (2 * STEP) for e in unit]
    assert np.allclose(np.stack(slopes, axis=1), block.log_det_slope(x), atol=1e-7)
    y = 3 * np.random.default_rng(6).standard_normal((500, dim))
    assert np.abs(block.image(block.preimage(y)) - y).max() < 1e-10
    assert np.linalg.svd(block.jacobian(y), compute_uv=False).min() >= block.stretch
    again = type(block).of(block.arrays)
    assert np.array_equal(again.image(x), block.image(x))
    if kind == "gradient":
        row = ConvexBlocks(5).block(block.row, dim)
        assert row.row.size == ConvexBlocks(5).size(dim)
        assert np.array_equal(row.image(x), block.image(x))
        assert block.stretch >= 0.05 - 1e-12


def test_certificate_sees_signed_ridges() -> None:
    """A ridge with a negative weight that squares do not outweigh has no certificate; one that they do has."""
    cone = Cone.around(two_modes(100, 1), 3, (1.0,), 0.05, np.random.default_rng(0))
    psi = cone.potential(cone.identity)
    assert least_stretch(psi) == pytest.approx(1.0)
    w = psi.w.copy()
    w[-1] -= 0.5
    assert least_stretch(replace(psi, w=w)) == pytest.approx(0.5)
    w[-1] -= 1.0
    assert least_stretch(replace(psi, w=w)) == pytest.approx(-0.5)


def test_programme() -> None:
    """Its value is the loss of the block it makes, its gradient that of differences, and no other point of the cone is lower."""
    x, rng = two_modes(400, 7), np.random.default_rng(8)
    nu = Reference.of(Normal([0.2, -0.1], [[1.0, 0.3], [0.3, 2.0]]), 2)
    cone = Cone.around(x, 8, (1.0, 2.0), 0.05, rng)
    programme, theta = Programme(cone, x, nu, 0.7), cone.identity + rng.uniform(0, 0.3, len(cone.directions))

    def loss(theta: np.ndarray) -> float:
        """From the map itself."""
        block = GradientBlock(cone.potential(theta))
        y = block.image(x)
        moved = np.sum((y - x) ** 2, axis=1) / 1.4
        return float(np.mean(-nu.log_density(y) - log_det_of(block, x) + moved))

    assert programme.value(theta) == pytest.approx(loss(theta), abs=1e-4)
    gradient, _ = programme.slope(theta)
    unit = STEP * np.eye(len(theta))
    measured = np.array([(programme.value(theta + e) - programme.value(theta - e)) / (2 * STEP) for e in unit])
    assert np.allclose(gradient, measured, atol=1e-6)
    found = programme.solve(cone.identity)
    assert found.slope < 1e-5
    assert found.value == pytest.approx(loss(found.theta), abs=1e-4)
    for _ in range(50):
        other = found.theta + 0.1 * rng.standard_normal(len(theta))
        other[2:] = np.maximum(other[2:], 0)
        assert programme.value(other) > found.value


def test_normals_are_exact() -> None:
    """Without ridges three blocks are three exact JKO steps between the normal laws of the points' moments."""
    rng = np.random.default_rng(9)
    x = rng.standard_normal((800, 3)) @ rng.standard_normal((3, 3)) + 2
    flow = JKOSampler(SampleProblem(x), ConvexBlocks(0), ConstantSteps(0.5))
    chain = as_chain(evolve(flow, flow.times(3)[-1:], throw=False))
    fitted = x[np.random.default_rng(0).permutation(800)][80:]
    exact = jko(Normal(np.zeros(3), np.eye(3)), Normal(fitted.mean(axis=0), np.cov(fitted.T, bias=True)), 0.5, 3)
    y = chain.inverse(fitted)
    assert np.abs(y.mean(axis=0) - exact.mean).max() < 1e-5
    assert np.abs(np.cov(y.T, bias=True) - exact.cov).max() < 1e-5


def test_chain(run: pma.Trajectory) -> None:
    """Held-out KL never rises, the certificate holds, the inverse is that of the map, and the density has mass 1."""
    chain, r = as_chain(run), run.records
    count = len(chain.blocks)
    assert count >= 3
    assert np.all(np.diff(r["held_out"]) <= 0)
    assert r["stretch"].min() >= 0.02 - 1e-12
    assert chain.inversion_error(np.random.default_rng(10).standard_normal((10_000, 2))) < 1e-8
    drawn = chain.sample(4000, seed=11)
    assert np.abs(chain.map(chain.inverse(drawn)) - drawn).max() < 1e-8
    assert abs((drawn[:, 0] > 0).mean() - 0.5) < 0.05
    fresh = two_modes(4000, 52)
    print(f"{count} blocks, KL at fresh points {-chain.log_likelihood(fresh) - LAW.f(fresh).mean():.4f}")
    assert -chain.log_likelihood(fresh) - LAW.f(fresh).mean() < 0.12
    side = np.linspace(-7, 7, 281)
    grid = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    mass = np.exp(chain.log_density(Cloud(grid))).sum() * (side[1] - side[0]) ** 2
    assert mass == pytest.approx(1.0, abs=2e-3)
    x = flow_points(run)
    assert r["held_out"][count - 1] == pytest.approx(-chain.log_likelihood(x[:150]), abs=1e-12)
    assert r["held_kl"][count - 1] == pytest.approx(r["held_out"][count - 1] - LAW.f(x[:150]).mean(), abs=1e-12)


def flow_points(run: pma.Trajectory) -> np.ndarray:
    """The problem's points, held-out ones first."""
    data = run.flow.problem.data
    return data[np.random.default_rng(run.flow.seed).permutation(len(data))]


def test_exact_gradient_and_score(run: pma.Trajectory) -> None:
    """The score that is carried along is the gradient of the chain's own log-density of p_{k}, by differences."""
    chain = as_chain(run)
    blocks = chain.blocks[:2]
    x = two_modes(20, 53)
    side = CarriedPoints(x, np.zeros(20), -LAW.grad_f(x))
    for block in blocks:
        side = side.by(block)

    def logs(y: np.ndarray) -> np.ndarray:
        """log p_2."""
        z, total = y, 0.0
        for block in reversed(blocks):
            z = block.preimage(z)
            total = total - log_det_of(block, z)
        return total - LAW.f(z)

    unit = STEP * np.eye(2)
    measured = np.stack([(logs(side.x + e) - logs(side.x - e)) / (2 * STEP) for e in unit], axis=1)
    assert np.allclose(side.score, measured, atol=1e-4 * np.abs(measured).max())
    before = blocks[0].image(x)
    xi = exact_gradient(before, side.x, side.score, STANDARD, 1.0)
    assert np.allclose(xi, side.x + side.score - (before - side.x), atol=1e-12)


def test_estimated_gradient() -> None:
    """By hand for few points; for the exact step of arXiv 2310.17582, Figure A.1, the estimate is all noise."""
    rng = np.random.default_rng(12)
    after, before = rng.standard_normal((5, 2)), rng.standard_normal((5, 2)) + 4
    weights = np.exp(-np.sum((after[:, None] - after[None]) ** 2, axis=2) / 0.2)
    score = np.array([(w @ after / w.sum() - a) / 0.1 for w, a in zip(weights, after, strict=True)])
    costs = [(np.sum((after - before[list(p)]) ** 2), p) for p in __import__("itertools").permutations(range(5))]
    partner = before[list(min(costs)[1])]
    by_hand = after + score - (partner - after) / 0.5
    assert np.allclose(estimated_gradient(after, before, STANDARD, 0.5), by_hand, atol=1e-12)
    assert mean_square(np.array([[3.0, 4.0], [0.0, 0.0]])) == 12.5
    x = rng.standard_normal((600, 2)) + 3
    assert mean_square(exact_gradient(x, x - 1, -(x - 3), STANDARD, 0.5)) < 1e-20
    noise = mean_square(estimated_gradient(rng.standard_normal((600, 2)) + 2, x, STANDARD, 0.5))
    assert 0.1 < noise < 2.0


def test_guarantees(run: pma.Trajectory) -> None:
    bounds = Guarantees(gamma=0.5, convexity=0.5, error=0.2)
    assert bounds.w2_squared(3, 2.0) == pytest.approx(2.0 / 1.125**3 + 0.64)
    assert bounds.kl == pytest.approx((20 + 2) * 0.04)
    assert bounds.variation == pytest.approx(np.sqrt(0.44))
    assert bounds.kl_after(4, 2.0) == pytest.approx(2.0 / 1.125**3 + 0.64 + 0.08)
    assert bounds.enough(2.0) == np.ceil(32 * (np.log(2) + np.log(2.5)))
    for gamma in (0.5, 5.0, 6.0, 1000.0):  # 8/γλ times the logarithms are too few of large steps
        long = Guarantees(gamma, error=1e-3)
        assert long.w2_squared(long.enough(10.0), 100.0) <= 5e-6
    assert bounds.right_hand(1.0) == pytest.approx(1.08)
    assert bounds.left_hand(1.0, 0.5) == pytest.approx(1.625)
    assert way_back([0.1, 0.2, 0.3], [2.0, 3.0, 9.0]) == pytest.approx(0.1 + 0.4 + 1.8)
    assert smoothed(0.0, 3, 1.0) == pytest.approx(3 * (1 - np.exp(-2)))
    told = guarantees(run, two_modes(400, 54))
    assert np.all(told["w2_squared"] < told["w2_squared_bound"])
    assert np.all(told["kl"] < told["kl_bound"])
    assert np.all(told["kl"] < told["kl_bound_after"])
    assert np.array_equal(told["error"], np.maximum.accumulate(told["error"]))
    assert assigned(np.array([[0.0], [1.0]]), np.array([[1.5], [0.5]])) == 0.25
    flow = JKOSampler(SampleProblem(two_modes(300, 1)), ConvexBlocks(0))
    unknown = evolve(flow, flow.times(1), throw=False)
    with pytest.raises(ValueError, match="density="):
        guarantees(unknown)


def test_guarantees_without_a_density_and_with_errors_in_inverses() -> None:
    """A shift of 3 by two blocks: all in closed form; the errors of inverses add up by the stretches that are met."""
    atoms = np.array([[3.0], [3.0], [4.0]])
    law = Diffused(atoms, 0.3)
    s = np.sqrt(-np.expm1(-0.6))
    x = np.linspace(0.0, 6.0, 7)[:, None]
    parts = norm.pdf(x, np.exp(-0.3) * atoms.T, s)
    assert law.density.f(x) == pytest.approx(-np.log(parts.mean(axis=1)))
    slope = (parts * (x - np.exp(-0.3) * atoms.T)).sum(axis=1) / parts.sum(axis=1) / s**2
    assert law.density.grad_f(x)[:, 0] == pytest.approx(slope)
    assert law.w2_squared_bound == pytest.approx(34 / 3 * (1 - np.exp(-0.3)) ** 2 + s**2)
    assert Diffused.within(atoms, 0.7).w2_squared_bound == pytest.approx(0.49)
    assert Diffused.within(np.zeros((2, 3)), 0.1).time == pytest.approx(-0.5 * np.log1p(-0.01 / 3))
    flow = JKOSampler(SampleProblem(law.sample(300, 3)), ConvexBlocks(0), ConstantSteps(0.5), density=law.density)
    run = evolve(flow, flow.times(3)[-1:], throw=False, progress=False)
    told = mixed_guarantees(run, law, inversion=0.01)
    stretch = [float(block.jacobian(np.zeros((1, 1)))[0, 0, 0]) for block in as_chain(run).blocks]  # blocks are affine
    distance = 0.01 * (1 + 1 / stretch[0] + 1 / (stretch[0] * stretch[1]))
    assert told["way_back"] == pytest.approx(distance)
    assert told["way_back_local"] == pytest.approx(distance)
    levels, grid = (np.arange(6000) + 0.5) / 6000, np.linspace(-2, 9, 20_001)
    quantiles = np.interp(levels, norm.cdf(grid[:, None], np.exp(-0.3) * atoms.T, s).mean(axis=1), grid)
    assert told["w2_squared"] == pytest.approx(np.mean((quantiles - np.where(levels < 2 / 3, 3, 4)) ** 2), rel=0.02)
    assert told["w2_squared"] < law.w2_squared_bound
    start = np.mean((quantiles - norm.ppf(levels)) ** 2)
    bound = Guarantees(0.5, 1.0, run.records["gradient"].max()).kl_after(3, start)
    assert told["kl"] < told["kl_bound"] == pytest.approx(bound, rel=0.1)
    by_kl = np.sqrt(law.w2_squared_bound) + distance + np.sqrt(told["kl"] / 2)
    assert told["mixed"] < told["mixed_by_kl"] == pytest.approx(min(1.0, by_kl))
    assert mixed(0.1, 0.02, 0.05, 2.0, 0.5) == pytest.approx(0.35)
    assert mixed(0.1, 0.02, np.inf) == 1.0
    assert _way_bound(0.1, [0.01, 0.02], [2.0, 3.0]) == pytest.approx(
        0.12 + 0.16 * 2
    )  # residuals count by the same constants
    assert _way_bound(0.1, [0.0, 0.0], [2.0, np.inf]) == np.inf


def test_resume_times_and_files(tmp_path) -> None:
    """Going on from two blocks is as three at once; files give the same samples; damaged ones are refused by name."""
    flow = JKOSampler(SampleProblem(two_modes(500, 55)), ConvexBlocks(8))
    whole = evolve(flow, flow.times(3)[[0, 2]], throw=False)
    both = resume(evolve(flow, flow.times(2)[-1:], throw=False), flow.times(3)[-1:], throw=False)
    assert np.abs(both.potentials[-1] - whole.potentials[-1]).max() < 1e-9
    assert len(as_chain(whole, 0).blocks) == 1
    assert whole.map(1).shape == (1024, 2)
    assert np.isfinite(whole.log_density(1)).all()
    assert "parameters of a chain in 2 dimensions" in repr(whole)
    chain = as_chain(whole)
    again = load_chain(chain.save(tmp_path / "chain"))
    assert np.array_equal(again.sample(5, 1), chain.sample(5, 1))
    assert again.outcome == chain.outcome
    (tmp_path / "torn.npz").write_bytes((tmp_path / "chain.npz").read_bytes()[:500])
    with pytest.raises(ValueError, match="torn"):
        load_chain(tmp_path / "torn.npz")
    with pytest.raises(ValueError, match="as_sampler"):
        pma.save(whole, tmp_path / "run")
    mixed = ChainSampler(tuple(blocks(2).values()), STANDARD)
    assert np.array_equal(load_chain(mixed.save(tmp_path / "mixed")).sample(5, 1), mixed.sample(5, 1))


def test_pages_and_pictures(run: pma.Trajectory) -> None:
    for thing in (as_chain(run), run):
        assert thing.plot().axes[0].has_data()
        assert max(map(len, thing.summary().splitlines())) <= 80


class Worse:
    """A family whose second block spreads the points, and whose third one turns them inside out."""

    def __init__(self, block: Block) -> None:
        self.wrong = block

    def admit(self, problem: SampleProblem) -> None:
        """All."""

    def size(self, dim: int) -> int:
        """As of a convex one."""
        return ConvexBlocks(0).size(dim)

    def block(self, row: np.ndarray, dim: int) -> Block:
        """As of a convex one."""
        return ConvexBlocks(0).block(row, dim)

    def fitted(self, x, held, reference, gamma, seed):
        """The first one right."""
        right = ConvexBlocks(0).fitted(x, held, reference, gamma, seed)
        return right if x.mean() > 1 else (self.wrong, {})


def test_ends_by_name() -> None:
    """A block that does not lower the KL of held-out points is not kept; one that folds space is not either."""
    x = np.random.default_rng(13).standard_normal((300, 2)) + 3
    wide, fold = (ResidualBlock(Perceptron((c * np.eye(2),), (np.zeros(2),))) for c in (1.0, -2.0))
    cone = Cone.around(x, 0, (1.0,), 0.02, np.random.default_rng(0))
    spread = GradientBlock(cone.potential(cone.identity * 3))
    for wrong, name in ((spread, "overfitting"), (wide, "overfitting")):
        flow = JKOSampler(SampleProblem(x), Worse(wrong), ConstantSteps(5.0))
        ended = evolve(flow, flow.times(4)[-1:], throw=False)
        assert ended.outcome.name == name
        assert "1 block before it kept" in ended.outcome.advice
        assert len(as_chain(ended).blocks) == 1
    line = np.random.default_rng(13).standard_normal((300, 1)) + 3
    turned = ResidualBlock(Perceptron((-2.0 * np.eye(1),), (np.zeros(1),)))
    assert np.all(log_det_of(turned, line) == -np.inf)
    assert np.all(log_det_of(fold, x) == 0.0), "a half turn of the plane is no fold"
    flow = JKOSampler(SampleProblem(line), Worse(turned), ConstantSteps(5.0))
    assert evolve(flow, flow.times(4)[-1:], throw=False).outcome.name == "not finite"


NORMAL = np.random.default_rng(7).standard_normal((1000, 2))
SIDES = np.where(np.random.default_rng(8).random((1000, 1)) < 0.5, -1.0, 1.0) * [1.0, 0.0]


@pytest.mark.parametrize(
    ("x", "family", "blocks", "name"),
    [
        (NORMAL + 250, ConvexBlocks(0), 4, "reference not reached"),
        (NORMAL + 250, ConvexBlocks(0), 13, "reached"),
        (NORMAL + 3, ConvexBlocks(0), 2, "reference not reached"),
        (1000 * NORMAL, ConvexBlocks(0), 5, "reference not reached"),
        (1000 * NORMAL, ConvexBlocks(0), 14, "reached"),
        (NORMAL + 3 * SIDES, ConvexBlocks(0), 8, "overfitting"),
        (NORMAL + 3 * SIDES, ConvexBlocks(20), 6, "reached"),
        (NORMAL + 1000 * SIDES, ConvexBlocks(8, (2.0,)), 8, "reference not reached"),
    ],
)
def test_a_chain_is_looked_at(x: np.ndarray, family: ConvexBlocks, blocks: int, name: str) -> None:
    """Far, wide and two-moded data ended as "reached" whatever the samples were like; good chains still end well."""
    flow = JKOSampler(SampleProblem(x), family)
    run = evolve(flow, flow.times(blocks)[-1:], throw=False, progress=False)
    chain = as_chain(run)
    assert run.outcome.name == chain.outcome.name == name, run.outcome
    off = np.abs(chain.sample(2000, 1).mean(axis=0) - x.mean(axis=0)) / x.std(axis=0)
    if run.outcome.ok:
        assert off.max() < 0.2
    else:
        assert "samples are misplaced" in run.outcome.advice
        with pytest.raises(pma.Stopped, match=name):
            evolve(flow, flow.times(blocks)[-1:], progress=False)


def test_a_chain_of_a_time_before_the_last_is_looked_at() -> None:
    """The run has reached the reference; after two of its blocks it had not."""
    flow = JKOSampler(SampleProblem(NORMAL + 250), ConvexBlocks(0))
    run = evolve(flow, flow.times(13)[[1, 12]], progress=False)
    assert as_chain(run).outcome == as_chain(run, 1).outcome == run.outcome
    assert as_chain(run, 0).outcome.name == "reference not reached"
    assert as_chain(run.at(2.0)).outcome.name == "reference not reached"


@pytest.mark.parametrize(
    ("flow", "steps"),
    [
        (pma.ImplicitSampler(SampleProblem(NORMAL + 3 * SIDES), pma.LogSumExp(1)), 30),
        (pma.ImplicitSampler(SampleProblem(NORMAL + 3 * SIDES), pma.LogSumExp(8)), 1),
        (pma.MongeAmpereSampler(SampleProblem(NORMAL + 3 * SIDES), schedule=ConstantSteps(0.1)), 6),
    ],
)
def test_all_samplers_of_data_are_looked_at(flow: pma.ImplicitSampler, steps: int) -> None:
    """One anchor for two modes, too few steps, and a normal law for two modes."""
    run = evolve(flow, flow.times(steps)[-1:], throw=False, progress=False)
    assert run.outcome.name == pma.as_sampler(run).outcome.name == "reference not reached", run.outcome
    assert "samples are misplaced" in run.outcome.advice


def test_distance_from_the_reference() -> None:
    """By hand on a line; exact points are let pass in any order and at any size, and each kind of fault is seen where it is."""
    nu = Reference.of(Normal([1.0, -1.0], [[4.0, 1.0], [1.0, 2.0]]), 2)
    y = nu.sample(4000, 3)
    assert not distance(y, nu).told_apart
    assert not distance(y[np.argsort(y[:, 0])], nu).told_apart
    assert distance(y + nu.factor @ [0.3, 0.3], nu).where == "along their mean"
    assert distance(nu.mean + 1.3 * (y - nu.mean), nu).told_apart
    assert not distance(2 * nu.mean - np.concatenate([y, 2 * nu.mean - y]), nu).told_apart
    for n, d in ((40, 1), (60, 20), (300, 100)):
        w = np.random.default_rng(n).standard_normal((n, d))
        wide = Reference.of(None, d)
        assert not distance(w, wide).told_apart
        assert distance(w + 3 / np.sqrt(d), wide).told_apart
    shell = np.random.default_rng(4).standard_normal((4000, 30))
    shell *= np.sqrt(30) / np.linalg.norm(shell, axis=1, keepdims=True)
    assert distance(shell, Reference.of(None, 30)).where == "in norm"
    spikes = distance(np.repeat([[-1.0], [1.0]], 100, axis=0), Reference.of(None, 1))
    assert spikes.share == pytest.approx(norm.cdf(1.0) - norm.cdf(-1.0), abs=1e-12)
    assert spikes.noise == pytest.approx(np.sqrt(np.log(2 * 4 / 1e-3) / 400))


def test_held_out_points_against_a_normal_law() -> None:
    x = NORMAL[:500]
    laws = [norm.logpdf(NORMAL[500:], scale=scale).sum(axis=1) for scale in (1.0, 0.5)]
    assert against_normal(NORMAL[500:], x, laws[0]).ok
    assert against_normal(NORMAL[500:], x, laws[1]).name == "overfitting"


def test_samples_far_beyond_all_data_are_said() -> None:
    """Beyond the data blocks stretch by δ alone: of 100 uniform points some samples were 10⁵ times as far out, and ok."""
    x = np.random.default_rng(2).random((100, 1))
    flow = JKOSampler(SampleProblem(x))
    run = evolve(flow, flow.times(6)[-1:], throw=False, progress=False)
    chain = as_chain(run)
    assert np.abs(chain.sample(1000, 1) - x.mean()).max() > 100
    assert run.outcome.name == chain.outcome.name == "overfitting"
    assert "as far out as any of the data" in run.outcome.advice


def test_copies_of_a_point_are_held_out_together() -> None:
    """Copies of fitted points tell nothing about fresh ones: their likelihood rises with the fit."""
    x = np.repeat(np.random.default_rng(0).standard_normal((200, 1)), 3, axis=0)
    fitted, held = JKOSampler(SampleProblem(x), ConvexBlocks(4))._split()
    assert len(fitted) + len(held) == 600
    assert not np.isin(held, fitted).any()
    few = np.repeat(x[::3][:25], 4, axis=0)  # 100, of which ten cannot be held out
    with pytest.raises(ValueError, match="copies of one point stay together"):
        JKOSampler(SampleProblem(few), ConvexBlocks(0))


def test_a_map_without_inverse_is_said() -> None:
    """x + f with f steeper than −1 folds: its density is 0 there, and where Newton's method finds nothing samples are NaN."""
    steep = ResidualBlock(Perceptron((np.array([[3.0]]), np.array([[-1.5]])), (np.zeros(1), np.zeros(1))))
    chain = ChainSampler((steep,), Reference.of(None, 1), Outcome("reached", True))
    assert steep.stretch == 0.0
    assert chain.log_density([0.0])[0] == -np.inf
    flat = ResidualBlock(Perceptron((np.array([[1.0]]), np.array([[-1.0]])), (np.zeros(1), np.zeros(1))))
    shut = ChainSampler((GradientBlock(blocks(1)["gradient"].psi), flat), Reference.of(None, 1))
    assert shut.inversion_error([0.3, 2.0]) < 1e-8
    nowhere = ResidualBlock(Perceptron((np.array([[-1.0]]),), (np.zeros(1),)))  # x ↦ 0
    lost = ChainSampler((nowhere,), Reference.of(None, 1))
    assert np.isnan(lost.map([0.5])).all()
    assert lost.inversion_error([0.5]) == np.inf


def _short() -> pma.Trajectory:
    """One block."""
    flow = JKOSampler(SampleProblem(np.random.default_rng(0).standard_normal((200, 2)) + 3), ConvexBlocks(0))
    return evolve(flow, flow.times(1), throw=False)


SHORT = _short()


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda x: JKOSampler(SampleProblem(x, held_out=0.0)), "0 held-out points: .* at least 10"),
        (lambda x: JKOSampler(SampleProblem(x[:60])), "6 held-out points"),
        (
            lambda x: JKOSampler(SampleProblem(x), ConvexBlocks(200)),
            r"206 free parameters for 180 different points .* smaller family: ConvexBlocks\(174\)",
        ),
        (
            lambda x: JKOSampler(SampleProblem(np.repeat(x[:20], 10, axis=0)), ConvexBlocks(30)),
            r"36 free .* for 20 diff.*: ConvexBlocks\(14\)",
        ),
        (
            lambda x: JKOSampler(SampleProblem(np.repeat(x[:5], 40, axis=0))),
            r"66 free .* for 5 diff.*: ConvexBlocks\(0\) in fewer columns",
        ),
        (lambda x: JKOSampler(SampleProblem(np.c_[x, np.ones(len(x))])), r"columns \[2\] are constant"),
        (lambda x: JKOSampler(SampleProblem(np.where(x > 2, np.nan, x))), "have NaN"),
        (lambda x: JKOSampler(LAW), "problem="),
        (lambda x: JKOSampler(SampleProblem(x), family=3), "family=3"),
        (
            lambda x: JKOSampler(SampleProblem(x[:, 0]), density=LAW, family=ConvexBlocks(3)),
            "density in 2 dimensions, data in 1",
        ),
        (lambda x: evolve(JKOSampler(SampleProblem(x)), [0.5]), "t=0.5 is no sum"),
        (lambda x: evolve(JKOSampler(SampleProblem(x), most=2), [3.0]), "t=3 takes 3 blocks"),
        (lambda x: ConvexBlocks(-1), "ridges=-1"),
        (lambda x: ConvexBlocks(3, scales=(0.0,)), "scales="),
        (lambda x: ConvexBlocks(3, scales=3.0), r"scales=3.0: give positive widths, for example \(2.0, 4.0, 8.0\)"),
        (lambda x: ConvexBlocks(3, scales=()), r"scales=\(\): give positive widths"),
        (lambda x: ConvexBlocks(3, scales=(2.0, None)), r"scales=None: give a real number"),
        (lambda x: JKOSampler(SampleProblem(x), schedule=0.5), r"schedule=0.5: give ConstantSteps"),
        (lambda x: JKOSampler(SampleProblem(x), schedule=lambda k: -1.0).times(1), r"schedule\(0\)=-1.0: steps must"),
        (lambda x: pma.MongeAmpereSampler(SampleProblem(x), schedule=0.5), r"schedule=0.5: give ConstantSteps"),
        (lambda x: as_chain(SHORT, 9), "i=9: 1 time stored: give one of them"),
        (lambda x: as_chain(SHORT, 0.5), "i=0.5: 1 time stored"),
        (lambda x: SHORT.map(3), "i=3: 1 time stored"),
        (lambda x: SHORT.log_density(-2), "i=-2: 1 time stored"),
        (lambda x: pma.as_sampler(SHORT), r"run=.*of JKOSampler: as_chain"),
        (lambda x: as_chain(evolve(pma.ImplicitSampler(SampleProblem(x), pma.LogSumExp(1)), [1.0])), "as_sampler"),
        (lambda x: smoothed(1.0, 2, -0.1), "time=-0.1: give"),
        (lambda x: smoothed(-1.0, 2, 0.1), "second_moment=-1.0: give"),
        (lambda x: smoothed(1.0, 0, 0.1), "dim=0"),
        (lambda x: smoothed(float("nan"), 2, 0.1), "second_moment=nan: give"),
        (lambda x: Guarantees(0.5).w2_squared(-1, 1.0), "n=-1"),
        (lambda x: Guarantees(0.5).w2_squared(1, -1.0), "start=-1.0"),
        (lambda x: ConvexBlocks(3, least=1.0), "least=1.0"),
        (lambda x: Guarantees(0.5, convexity=2.0), "convexity=2.0"),
        (lambda x: Guarantees(0.5, error=-1.0), "error=-1.0"),
        (lambda x: as_chain(3), "run=3"),
        (
            lambda x: guarantees(
                evolve(pma.FokkerPlanck(pma.Problem(pma.Torus((8,)), np.zeros(8), np.zeros(8))), [0.1])
            ),
            "run of JKOSampler",
        ),
    ],
)
def test_mistake_is_named(act, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        act(np.random.default_rng(7).standard_normal((200, 2)))


def test_other_data() -> None:
    """Points that are all there twice, a line, and a hundred dimensions."""
    x = two_modes(400, 56)[:, 0]
    flow = JKOSampler(SampleProblem(np.repeat(x, 2)), ConvexBlocks(12))
    chain = as_chain(evolve(flow, flow.times(6)[-1:], throw=False))
    assert -chain.log_likelihood(two_modes(2000, 57)[:, 0]) < 1.6  # entropy 1.42
    many = np.random.default_rng(14).standard_normal((500, 100)) * np.linspace(0.5, 2, 100)
    flow = JKOSampler(SampleProblem(many), ConvexBlocks(0))
    found = as_chain(evolve(flow, flow.times(1), throw=False))
    assert found.sample(3, 0).shape == (3, 100)
    assert np.isfinite(found.log_likelihood(many))


def test_without_torch() -> None:
    """Nothing but the training needs it, and that says in one sentence what to install."""
    code = (
        "import sys\n"
        "class Without:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch': raise ModuleNotFoundError('none', name='torch')\n"
        "sys.meta_path.insert(0, Without())\n"
        "import pmasolve as pma, pmasolve.samples.jko.networks, pmasolve.samples.neural\n"
        "assert pma.JKOSampler and pma.load_chain and 'torch' not in sys.modules\n"
        "try: import pmasolve.samples.neural.training\n"
        "except ModuleNotFoundError as error: print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "torch is not installed: in the folder of pmasolve's sources, pip install '.[neural]'\n"


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 1e6), (1e6, 0.0), (1.0, -1e5), (1e4, 3e5)])
def test_blocks_have_inverses_far_from_the_reference(scale: float, shift: float) -> None:
    """1e-12 beside images near 0 is less than the roundings of terms as large as the data: every sample was NaN."""
    z = np.random.default_rng(3).standard_normal((400, 2))
    flow = JKOSampler(SampleProblem(scale * (z + [0, 1] * z[:, ::-1] ** 2) + shift), ConvexBlocks(10))
    chain = as_chain(evolve(flow, flow.times(6)[-1:], throw=False, progress=False))
    y = chain.reference.sample(500, 1)
    x = chain.map(Cloud(y))
    assert np.isfinite(x).all()
    assert np.abs(chain.inverse(Cloud(x)) - y).max() < 1e-11 * (scale + abs(shift))


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: Guarantees(0.5).enough(3.0), "error=0: no finite number of steps"),
        (lambda: Guarantees(0.5, error=0.1).enough(-1.0), "start=-1.0: give W₂"),
        (lambda: Guarantees(0.5, error=0.1).enough(float("nan")), "start=nan: give W₂"),
        (lambda: Guarantees(0.5, error=0.1).enough(float("inf")), "start=inf: give W₂"),
        (lambda: Guarantees(0.5).kl_after(0, 1.0), "n=0"),
        (lambda: Diffused([[1.0, 2.0]], 0.0), "time=0.0: give how long"),
        (lambda: Diffused([[1.0, np.nan]], 0.1), "NaN"),
        (
            lambda: Diffused.within([1.0, -1.0], 1.5),
            r"distance=1.5: give one above 0, its square too, and below .* = 1.41421",
        ),
        (lambda: Diffused.within([1.0, -1.0], 1e-200), "distance=1e-200: give one above 0, its square too"),
        (lambda: mixed(-0.1, 0.0, 0.0), "smoothing=-0.1: give"),
        (lambda: mixed(0.1, 0.0, float("nan")), "way_back=nan: give"),
        (lambda: mixed_guarantees(SHORT), "density="),
        (lambda: way_back(np.array([0.1]), np.array([1.0, 2.0])), "one number ≥ 0 of each"),
        (lambda: way_back(np.array([0.1, np.nan]), np.array([1.0, 2.0])), "one number ≥ 0 of each"),
        (lambda: way_back(np.array([0.1, 0.1]), np.array([-1.0, 2.0])), "one number ≥ 0 of each"),
    ],
)
def test_bounds_of_what_no_bound_is_for_are_refused(act, words: str) -> None:
    """They ended as divisions by zero, overflows, or as numbers of arrays that were stretched."""
    with pytest.raises(ValueError, match=words):
        act()


def test_guarantees_of_equal_laws_and_of_no_block() -> None:
    assert Guarantees(0.5, error=0.1).enough(0.0) == 0
    assert way_back(np.array([]), np.array([])) == 0.0


def test_fresh_points_of_guarantees_are_checked() -> None:
    x = 3 + np.random.default_rng(0).standard_normal((200, 1))
    law = Posterior(lambda x: 0.5 * np.sum((x - 3) ** 2, axis=1) + 0.5 * np.log(2 * np.pi), lambda x: x - 3, 1)
    flow = JKOSampler(SampleProblem(x), ConvexBlocks(0), ConstantSteps(0.5), density=law)
    run = evolve(flow, flow.times(1), throw=False, progress=False)
    for fresh in (np.zeros((5, 2)), np.full((5, 1), np.nan), np.zeros((0, 1)), np.zeros(20)):
        with pytest.raises(ValueError, match=r"fresh of shape .*: give finite points, \(n, 1\)"):
            guarantees(run, fresh)
    assert guarantees(run, x[:20].tolist())["kl"].size == 1


def test_an_event_does_not_hide_a_law_that_is_not_reached() -> None:
    """`evolve` raises where a run ends with a law far from the data's; an event ended such a run well."""
    rng = np.random.default_rng(0)
    far, spike = rng.standard_normal((400, 2)) + 250.0, rng.uniform(0, 1, (400, 1)) ** 9
    samplers = (
        pma.JKOSampler(SampleProblem(far), ConvexBlocks(0)),
        pma.ImplicitSampler(SampleProblem(spike), pma.LogSumExp(4)),
    )
    for flow in samplers:
        with pytest.raises(pma.Stopped, match="reference not reached"):
            evolve(flow, flow.times(9)[-1:], events=[pma.Event("t", above=0.5 * flow.times(1)[0])])
