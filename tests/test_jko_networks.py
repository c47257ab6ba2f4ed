"""Networks trained by torch for the blocks of a JKO chain: the same map in torch and NumPy, training, Appendix D, bad input."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from pmasolve import ConstantSteps, JKOSampler, SampleProblem, as_chain, evolve, load_chain
from pmasolve.samples.jko.blocks import log_det_of
from pmasolve.samples.jko.gradients import estimated_gradient, exact_gradient, mean_square
from pmasolve.samples.samplers.reference import Reference

torch = pytest.importorskip("torch")
training = pytest.importorskip("pmasolve.samples.neural.training")

FAMILIES = {
    "residual": training.ResidualBlocks(12, iterations=60, batch=128),
    "ODE": training.ODEBlocks(12, iterations=60, batch=128),
}
STANDARD = Reference.of(None, 2)


def layers(family, dim: int):
    """Random ones, the last not zero."""
    widths = training.width_of(dim, family.width, family.depth, timed=family.timed)
    rng = np.random.default_rng(1)
    parts = [(rng.standard_normal((b, a)) / 4, rng.standard_normal(b)) for a, b in pairwise(widths)]
    return [tuple(torch.tensor(part) for part in pair) for pair in parts]


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("dim", [1, 3])
def test_torch_and_numpy_are_one_map(kind: str, dim: int) -> None:
    """Images to rounding; log-determinants to rounding (residual) or to the error of the integral of the divergence (ODE)."""
    family, x = FAMILIES[kind], np.random.default_rng(2).standard_normal((5, dim))
    bounded = family.bounded(layers(family, dim))
    image, logs = family.carried(bounded, torch.tensor(x), None)
    block = family.made(training._arrays(bounded))
    assert np.abs(image.numpy() - block.image(x)).max() < 1e-14
    assert np.abs(logs.numpy() - log_det_of(block, x)).max() < (1e-13 if kind == "residual" else 2e-4)
    assert np.array_equal(family.block(block.row, dim).image(x), block.image(x))
    if kind == "residual":
        assert block.stretch >= 0.1 - 1e-12, "scaled down to the bound"


@pytest.mark.parametrize("kind", FAMILIES)
def test_hutchinson_is_unbiased(kind: str) -> None:
    """Nine dimensions: means over random signs against the exact log-determinants."""
    family, dim, count = FAMILIES[kind], 9, 4000
    bounded = family.bounded(layers(family, dim))
    x = np.tile(np.random.default_rng(3).standard_normal((1, dim)), (count, 1))
    signs = torch.tensor(np.random.default_rng(4).choice([-1.0, 1.0], size=(count, 1, dim)))
    estimate = family.carried(bounded, torch.tensor(x), signs)[1].numpy()
    exact = log_det_of(family.made(training._arrays(bounded)), x[:1])[0]
    assert abs(estimate.mean() - exact) < 4 * estimate.std() / np.sqrt(count) + 2e-3


@pytest.mark.parametrize("kind", FAMILIES)
def test_chain_of_networks(kind: str, tmp_path) -> None:
    """Held-out KL falls, the inverse is that of the map, one seed gives one answer, and files need no torch."""
    rng = np.random.default_rng(5)
    x = 0.6 * rng.standard_normal((600, 2)) + rng.choice([-1.0, 1.5], (600, 1))
    flow = JKOSampler(SampleProblem(x), FAMILIES[kind], ConstantSteps(1.0), tries=1)
    run = evolve(flow, flow.times(2)[-1:], throw=False)
    chain, r = as_chain(run), run.records
    assert len(chain.blocks) >= 1
    assert np.all(np.diff(r["held_out"]) <= 0)
    assert r["held_out"][0] < -np.mean(STANDARD.log_density(x)) - 0.1
    assert chain.inversion_error(np.random.default_rng(6).standard_normal((10_000, 2))) < 1e-8
    again = evolve(flow, flow.times(2)[-1:], throw=False)
    assert np.array_equal(again.latest[1], run.latest[1])
    assert np.array_equal(load_chain(chain.save(tmp_path / "chain")).sample(9, 1), chain.sample(9, 1))


def test_bad_input() -> None:
    x = np.random.default_rng(7).standard_normal((200, 2))
    with pytest.raises(ValueError, match="20 different points: a network needs at least 50"):
        JKOSampler(SampleProblem(np.repeat(x[:20], 10, axis=0)), training.ODEBlocks())
    with pytest.raises(ValueError, match="lipschitz=1"):
        training.ResidualBlocks(lipschitz=1.0)
    with pytest.raises(ValueError, match="width=0"):
        training.ODEBlocks(0)
    with pytest.raises(ValueError, match=r"rate=0\.0"):
        training.ODEBlocks(rate=0.0)


@pytest.mark.slow
def test_appendix_d() -> None:
    """arXiv 2310.17582: the estimate falls from 18 to the baseline, which is all noise; the exact norm goes on falling."""
    rng, gamma, n = np.random.default_rng(61), 0.5, 2000
    family = training.ODEBlocks(64, steps=3, iterations=200, batch=1000, rate=1e-2)
    baseline = [
        mean_square(
            estimated_gradient(rng.standard_normal((n, 2)) + 2, rng.standard_normal((n, 2)) + 3, STANDARD, gamma)
        )
        for _ in range(6)
    ]
    x, before, fresh = (rng.standard_normal((count, 2)) + 3 for count in (10_000, n, n))
    rows = []
    for k, block in training.iterates(family, x, STANDARD, gamma, 62, 40):
        after = block.image(fresh)
        score = -(fresh - 3) - block.log_det_slope(fresh)
        score = np.linalg.solve(np.swapaxes(block.jacobian(fresh), 1, 2), score[:, :, None])[:, :, 0]
        exact = mean_square(exact_gradient(fresh, after, score, STANDARD, gamma))
        rows.append((k, mean_square(estimated_gradient(after, before, STANDARD, gamma)), exact))
        print(f"iteration {k:3d}: estimated {rows[-1][1]:.3f}, exact {rows[-1][2]:.4f}")
    mean, deviation = np.mean(baseline), np.std(baseline)
    print(f"baseline {mean:.3f} ± {deviation:.3f}")
    assert 16 < rows[0][1] < 20
    assert rows[0][2] == pytest.approx(18.0, rel=0.1)
    assert all(abs(estimate - mean) < 3 * deviation for k, estimate, _ in rows if k >= 120)
    assert rows[-1][2] < 0.1
