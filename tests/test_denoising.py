"""Denoising complexity: exact values, two routes to each, bands that cover, chains and schedules."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import ortho_group
from typer.testing import CliRunner

import pmasolve as pma
from pmasolve import denoising as dn
from pmasolve.cli.app import app
from pmasolve.samples.denoising import covariances
from pmasolve.samples.denoising import points as points_module
from pmasolve.samples.denoising.distances import quantiles
from pmasolve.samples.denoising.eigenvalues import largest_eigenvalues
from pmasolve.samples.denoising.points import Points
from pmasolve.samples.denoising.schedules import diffusion_times
from pmasolve.samples.denoising.sources import Source
from pmasolve.samples.denoising.tails import DrawnTail, LineTail

SQUARE = np.array([[a, b] for a in (-1.0, 1.0) for b in (-1.0, 1.0)])
THREE = dn.Mixture([0.2, 0.5, 0.3], [-1.0, 0.3, 2.0], [0.36, 1.21, 0.64])


def plane_mixture() -> dn.Mixture:
    return dn.Mixture([0.4, 0.6], [[-1.5, 0.0], [1.5, 0.5]], [np.diag([0.3, 0.2]), np.array([[0.4, 0.1], [0.1, 0.2]])])


def plain_curvature(x: np.ndarray, weights: np.ndarray, r: float, y: np.ndarray) -> np.ndarray:
    """The definition, one y at a time."""
    out = []
    for z in y:
        logs = np.log(weights) - 0.5 * np.sum((z - r * x) ** 2, axis=1)
        w = np.exp(np.maximum(logs - logs.max(), -700))
        w /= w.sum()
        away = x - w @ x
        out.append(r * r * np.linalg.eigvalsh((away * w[:, None]).T @ away)[-1])
    return np.array(out)


# ---- one r, on the line --------------------------------------------------------------------------------------------------------


def test_figure_1_to_the_printed_digits() -> None:
    found = dn.complexity(dn.two_points(), snr=[2**-0.5, 1.5, 3.0])
    assert found.exact
    np.testing.assert_allclose(found.survival([1.0, 0.5]), [[0, 0], [0.17923, 0.27423], [0.00776, 0.01085]], atol=5e-6)
    tail = [[0, 0, 0.32494], [0.12865, 0.23944, 0.44380], [0.02366, 0.02820, 0.03736]]
    np.testing.assert_allclose(found.integrated_tail([0.0, 0.5, 1.0]), tail, atol=5e-6)


def test_example_5_masses_tend_to_a_half() -> None:
    found = dn.complexity(dn.slab(), snr=[2.0, 5.0, 10.0, 100.0])
    np.testing.assert_allclose(found.critical_mass, [0.325, 0.5985, 0.598, 0.5236], atol=5e-4)
    assert dn.critical_snr(dn.slab(), 1.0, 2.0) == pytest.approx(1.50030, abs=1e-5)
    assert dn.critical_snr(dn.four_modes(), 0.2, 0.8) == pytest.approx(0.42775, abs=5e-6)
    assert dn.critical_snr(dn.four_modes(0.25), 0.2, 0.8) == pytest.approx(0.42400, abs=5e-6)


@pytest.mark.parametrize(
    "law", [dn.two_points(1.5), dn.slab(), THREE, dn.Uniform(2.0), dn.Points([0.0, 1.0, 3.5], [1, 2, 1])]
)
@pytest.mark.parametrize("r", [0.4, 1.7, 6.0])
def test_the_mean_is_one_less_the_fisher_information(law: Source, r: float) -> None:
    low, high = law.span(r)

    def squared_score(y: float) -> float:
        here = law.posterior(r, np.array([[y]]))
        return float((here.mean[0, 0] - y) ** 2 * np.exp(here.log_density[0]))

    fisher = quad(squared_score, low, high, limit=2000, epsabs=1e-11)[0]
    assert dn.complexity(law, snr=[r]).mean[0] == pytest.approx(1 - fisher, abs=1e-8)


@pytest.mark.parametrize("law", [THREE, dn.Uniform(0.7), dn.two_points()])
def test_curvature_is_one_plus_the_second_derivative_of_the_log_density(law: Source) -> None:
    y, h = np.linspace(-3.0, 3.0, 13)[:, None], 2e-3
    values = [law.posterior(1.3, y + k * h).log_density for k in (-2, -1, 0, 1, 2)]
    second = (np.array([-1, 16, -30, 16, -1]) @ np.array(values)) / (12 * h * h)
    np.testing.assert_allclose(law.curvature(1.3, y), 1 + second, atol=1e-7)
    np.testing.assert_allclose(law.posterior(1.3, y).trace, 1 + second, atol=1e-7)


def test_the_uniform_law_far_outside_its_interval() -> None:
    """Where the cut normal law is all tail: against an integral scaled by its largest value."""
    for y in (3.0, 8.0, 30.0):
        f = [
            quad(lambda z, k=k, y=y: z**k * np.exp(-0.5 * (z - y) ** 2 + 0.5 * (1 - y) ** 2), -1, 1)[0]
            for k in (0, 1, 2)
        ]
        found = dn.Uniform().posterior(1.0, [y])
        assert found.mean[0, 0] == pytest.approx(f[1] / f[0], rel=1e-10)
        assert found.trace[0] == pytest.approx(f[2] / f[0] - (f[1] / f[0]) ** 2, abs=2e-10 * (1 + y**2))


def test_quadrature_against_a_million_plain_sums() -> None:
    y = np.linspace(-40, 40, 1_000_001)
    law = THREE.posterior(2.5, y[:, None])
    mass, L = np.exp(law.log_density) * (y[1] - y[0]), law.trace
    found = dn.complexity(THREE, snr=[2.5])
    assert found.survival(0.8)[0] == pytest.approx(mass[L > 0.8].sum(), abs=2e-5)
    assert found.integrated_tail(0.2)[0] == pytest.approx((mass * np.maximum(L - 0.8, 0)).sum(), abs=1e-9)
    assert found.largest[0] == pytest.approx(L[mass > 1e-20].max(), abs=1e-8)


# ---- readings of a tail --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exact", [True, False])
def test_the_effective_curvature_is_the_mean_of_the_worst_share(exact: bool) -> None:
    """By its definition, 1 − the mean of the largest values with mass 1/M, without δ."""
    found = dn.complexity(THREE, snr=[0.8, 2.0], exact=exact, draws=4000)
    for i, r in enumerate(found.snr):
        if exact:
            y = np.linspace(*THREE.span(r), 200_001)
            law = THREE.posterior(r, y[:, None])
            L, mass = law.trace, np.exp(law.log_density) * (y[1] - y[0])
        else:
            L, mass = found.tails[i].values, np.full(4000, 1 / 4000)
        order = np.argsort(-L)
        below = np.concatenate([[0.0], np.cumsum(mass[order])])
        for M in (1.0, 2.0, 7.0):
            share = np.clip(1 / M - below[:-1], 0.0, mass[order])
            worst = M * np.sum(share * L[order])
            assert found.effective_curvature(M)[i] == pytest.approx((1 + r * r) * (1 - worst), abs=2e-5)
        assert found.effective_curvature(3.0, beta=2.0)[i] == pytest.approx(
            (1 + r * r / 2) / (1 + r * r) * found.effective_curvature(3.0)[i]
        )
        assert found.effective_curvature()[i] == pytest.approx((1 + r * r) * (1 - L.max()), abs=1e-6)


def test_the_critical_mass_is_where_the_effective_curvature_vanishes() -> None:
    found = dn.complexity(dn.two_points(), snr=[1.5, 3.0])
    for i, mass in enumerate(found.critical_mass):
        assert found.effective_curvature(1 / mass)[i] == pytest.approx(0.0, abs=1e-9)
        assert found.mass(found.critical_delta[i])[i] == pytest.approx(mass)
        assert found.survival(1 - found.critical_delta[i])[i] == pytest.approx(mass, abs=1e-9)
        assert np.all(found.mass(np.linspace(0.01, 1, 50))[i] >= mass - 1e-12)


def test_examples_1_to_4() -> None:
    t = np.array([0.2, 0.5, 1.0])
    r = 1 / np.sqrt(np.expm1(2 * t))[::-1]
    t = t[::-1]
    order = np.argsort(r)
    for law, zeta in (
        (dn.dirac(), 1 / (1 - np.exp(-2 * t))),
        (dn.normal(3.0), 1 / (1 + 2 * np.exp(-2 * t))),
        (dn.normal(0.4), 1 / (1 - 0.6 * np.exp(-2 * t))),
    ):
        found = dn.complexity(law, snr=r[order])
        for M in (1.0, 4.0, np.inf):  # L is constant: M does not matter
            np.testing.assert_allclose(found.effective_curvature(M), zeta[order], rtol=1e-9)
    uniform = dn.complexity(dn.Uniform(), snr=[0.2, 1.0, 1.5, 2.0, 3.0])
    np.testing.assert_allclose(uniform.effective_curvature(), [1.026, 1.418, 1.4575, 1.131, 0.267], atol=5e-4)
    np.testing.assert_allclose(uniform.largest[1:4], [0.2911, 0.5515, 0.7737], atol=5e-5)
    assert dn.critical_snr(dn.two_points(0.5), 0.5, 5.0) == pytest.approx(2.0, abs=1e-8)
    assert 1 < dn.hardest_snr(dn.two_points(), 1.0, 4.0) < 2
    listed = dn.complexity(dn.two_points(), snr=[0.5, 0.9, 1.2, 1.7, 3.0])
    assert listed.critical_snr == (0.9, 1.2)
    assert listed.hardest_snr == 1.7
    assert np.isnan(dn.complexity(dn.normal(1.0), snr=[1.0, 2.0]).hardest_snr)
    assert dn.complexity(dn.normal(1.0), snr=[1.0, 2.0]).critical_snr == (2.0, np.inf)


# ---- many dimensions -----------------------------------------------------------------------------------------------------------


def test_a_product_of_two_points() -> None:
    """s = 1 − (1 − s₁)², inside the band of the drawn one; at the engine for clouds and at BLAS."""
    one = dn.complexity(dn.two_points(), snr=[1.5]).survival([1.0, 0.5])[0]
    np.testing.assert_allclose(1 - (1 - one) ** 2, [0.32633, 0.47326], atol=5e-6)
    found = dn.complexity(SQUARE, snr=[1.5], draws=40_000, seed=5)
    assert not found.exact
    low, high = found.survival_band([1.0, 0.5])
    expected = 1 - (1 - one) ** 2
    assert np.all(low[0] <= expected)
    assert np.all(expected <= high[0])
    assert np.all(high - low < 0.014)


def test_a_normal_law_in_ten_dimensions() -> None:
    rng = np.random.default_rng(0)
    root = rng.standard_normal((10, 10)) / 3
    law = dn.Mixture([1.0], rng.standard_normal((1, 10)), [root @ root.T])
    top = np.linalg.eigvalsh(root @ root.T)[-1]
    for r in (0.3, 1.0, 4.0):
        L = law.curvature(r, 3 * rng.standard_normal((50, 10)))
        np.testing.assert_allclose(L, r**2 * top / (1 + r**2 * top), rtol=1e-10)


@pytest.mark.parametrize("dim", [2, 6])
def test_rotations_and_translations_change_nothing(dim: int) -> None:
    rng = np.random.default_rng(1)
    x = rng.standard_normal((600, dim)) * np.linspace(0.5, 2, dim)
    turn, shift = ortho_group.rvs(dim, random_state=2), 30.0 * np.ones(dim)
    y = 1.2 * x[:40] + rng.standard_normal((40, dim))
    moved = dn.Points(x @ turn + shift).curvature(1.2, y @ turn + 1.2 * shift)
    np.testing.assert_allclose(dn.Points(x).curvature(1.2, y), moved, rtol=1e-10)
    law = dn.Mixture([0.3, 0.7], x[:2], [np.diag(np.linspace(1, 2, dim)), np.eye(dim)])
    turned = dn.Mixture([0.3, 0.7], x[:2] @ turn + shift, [turn.T @ C @ turn for C in law.covariances])
    np.testing.assert_allclose(law.curvature(1.2, y), turned.curvature(1.2, y @ turn + 1.2 * shift), rtol=1e-10)


def test_the_mean_trace_is_the_dimension_less_the_fisher_information() -> None:
    """The score by differences of the log density, independent of the posterior means; normal in d = 3 for a closed form."""
    law, r, rng = plane_mixture(), 1.4, np.random.default_rng(3)
    axis = np.linspace(-13.0, 13.0, 181)
    y = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    here, h = law.posterior(r, y), 1e-3
    mass = np.exp(here.log_density) * (axis[1] - axis[0]) ** 2
    assert mass.sum() == pytest.approx(1, abs=1e-9)
    score = np.stack(
        [
            (law.posterior(r, y + h * e).log_density - law.posterior(r, y - h * e).log_density) / (2 * h)
            for e in np.eye(2)
        ]
    )
    assert mass @ here.trace == pytest.approx(2 - np.sum(mass * score**2), abs=1e-5)
    np.testing.assert_allclose(score.T, here.mean - y, atol=1e-4)
    C = np.diag([0.5, 1.0, 2.0])
    trace = dn.Mixture([1.0], np.zeros((1, 3)), [C]).posterior(r, rng.standard_normal((4, 3))).trace
    np.testing.assert_allclose(trace, 3 - np.trace(np.linalg.inv(np.eye(3) + r**2 * C)), rtol=1e-12)


@pytest.mark.parametrize(
    ("n", "dim"), [(40, 1), (400, 1), (40, 2), (400, 3), (500, 5), (2000, 6), (300, 70), (30, 200)]
)
@pytest.mark.parametrize("r", [0.05, 0.7, 3.0, 10.0])
def test_every_route_to_the_curvature_of_samples(n: int, dim: int, r: float) -> None:
    """Engine for clouds, gathered points, formed covariances and Lanczos, against the definition."""
    rng = np.random.default_rng(dim)
    x = rng.standard_normal((n, dim)) * np.linspace(0.3, 1.5, dim) * 2 / np.sqrt(dim) + 7
    weights = rng.random(n) + 0.01
    law = dn.Points(x, weights)
    y = r * law.draw(15, rng) + rng.standard_normal((15, dim))
    expected = plain_curvature(x, weights, r, y)
    np.testing.assert_allclose(law.curvature(r, y), expected, rtol=2e-6, atol=1e-13)


def test_all_routes_agree_at_the_same_points(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(8)
    x = np.concatenate([rng.standard_normal((500, 3)), rng.standard_normal((500, 3)) * 0.3 + 2])
    y = 1.5 * x[::40] + rng.standard_normal((25, 3))
    found = [Points(x).curvature(1.5, y)]
    monkeypatch.setattr(points_module, "MOMENTS", 0)
    found.append(Points(x).curvature(1.5, y))  # formed
    monkeypatch.setattr(covariances, "FORMED", 0)
    found.append(Points(x).curvature(1.5, y))  # Lanczos
    monkeypatch.setattr(points_module, "WEIGHTS_AT_ONCE", 3000)
    found.append(Points(x).curvature(1.5, y))  # in blocks of three
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-9)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 6))
def test_lanczos_against_dense_eigenvalues(seed: int, dim: int, rank: int) -> None:
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((3, dim, min(rank, dim)))
    matrices = root @ root.swapaxes(1, 2)
    found = largest_eigenvalues(lambda v: np.einsum("kij,kj->ki", matrices, v), 3, dim, min(rank, dim))
    np.testing.assert_allclose(found, np.linalg.eigvalsh(matrices)[:, -1], rtol=1e-7)


def test_a_thousand_dimensions_form_no_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    """n = 50 points in d = 1000: eigenvalues of 50 × 50 matrices at most."""
    rng = np.random.default_rng(4)
    law = dn.Points(rng.standard_normal((50, 1000)) / 30)
    rotated, _ = np.linalg.qr(law.points.T)  # the same points, in the 50 dimensions that they span
    seen: list[int] = []
    plain = np.linalg.eigvalsh
    monkeypatch.setattr(np.linalg, "eigvalsh", lambda a: seen.append(a.shape[-1]) or plain(a))
    y = 2.0 * law.draw(8, rng) + rng.standard_normal((8, 1000))
    found = law.curvature(2.0, y)
    assert max(seen, default=0) <= 50
    np.testing.assert_allclose(found, plain_curvature(law.points @ rotated, law.weights, 2.0, y @ rotated), rtol=1e-6)


def test_a_density_on_a_grid() -> None:
    """A normal density on a box, against the mixture: to all digits, for the grid resolves it and the walls are far."""
    box = pma.Box((48, 48), lengths=(8.0, 8.0))
    x = box.points - 4.0
    law = dn.Points.on_grid(box, np.exp(-0.5 * (x[0] ** 2 / 0.5 + x[1] ** 2 / 0.3)))
    exact = dn.Mixture([1.0], [[4.0, 4.0]], [np.diag([0.5, 0.3])])
    y = np.array([[4.0, 4.5], [5.0, 3.0]])
    np.testing.assert_allclose(law.curvature(1.5, y), exact.curvature(1.5, y), rtol=1e-6)


# ---- bands ---------------------------------------------------------------------------------------------------------------------


def test_bands_cover_as_often_as_they_say() -> None:
    """400 repetitions of independent draws: the survival inside at all u in 95 ± 2 %; stratified ones no less often."""
    law, r, n = dn.two_points(), 1.5, 200
    exact = LineTail.of(law, r)
    grid = np.linspace(1e-3, 2.2499, 100)
    true = np.array([exact.survival(u) for u in grid])
    slab, slab_tail = dn.slab(), LineTail.of(dn.slab(), 2.0)
    wide = np.array([slab_tail.survival(u) for u in grid])
    inside, stratified, means = 0, 0, 0
    for seed in range(400):
        rng = np.random.default_rng(seed)
        x = law.draw(n, rng, stratified=False)
        tail = DrawnTail.of(law.curvature(r, r * x + rng.standard_normal(x.shape)))
        inside += _covers(tail, grid, true)
        low, high = tail.excess_between(1.0, law.ceiling(r), 0.95)
        means += low <= exact.excess(1.0) <= high
        x = slab.draw(n, rng, stratified=True)
        stratified += _covers(DrawnTail.of(slab.curvature(2.0, 2 * x + rng.standard_normal(x.shape))), grid, wide)
    assert 0.93 <= inside / 400 <= 0.97
    assert stratified / 400 >= 0.93
    assert means / 400 >= 0.95


def _covers(tail: DrawnTail, grid: np.ndarray, true: np.ndarray) -> bool:
    drawn = 1 - np.searchsorted(tail.values, grid, side="right") / tail.values.size
    return bool(np.max(np.abs(drawn - true)) <= tail.half_width(0.95))


def test_the_band_of_the_integrated_tail_and_its_standard_error() -> None:
    found = dn.complexity(dn.two_points(), snr=[1.5], exact=False, draws=5000, seed=11)
    low, high = found.integrated_tail_band()
    true = dn.complexity(dn.two_points(), snr=[1.5]).integrated_tail()
    assert np.all(low <= true)
    assert np.all(true <= high)
    many = [
        dn.complexity(dn.two_points(), snr=[1.5], exact=False, draws=500, seed=s, stratified=False).integrated_tail()
        for s in range(200)
    ]
    one = dn.complexity(dn.two_points(), snr=[1.5], exact=False, draws=500, seed=1).standard_error()
    np.testing.assert_allclose(np.std(many, axis=0)[0], one[0], rtol=0.2)
    exact = dn.complexity(dn.two_points(), snr=[1.5])
    np.testing.assert_array_equal(exact.standard_error(), 0.0)
    np.testing.assert_array_equal(exact.survival_band(0.7)[0], exact.survival(0.7))
    assert np.isinf(dn.complexity(plane_mixture(), snr=[1.0], draws=50).integrated_tail_band()[1]).all()


def test_stratified_draws_hit_every_part() -> None:
    rng = np.random.default_rng(0)
    counts = np.unique(dn.Points([0.0, 1.0, 2.0], [1, 2, 5]).draw(800, rng), return_counts=True)[1]
    assert np.all(np.abs(counts - [100, 200, 500]) <= 1)
    plain = dn.Points([0.0, 1.0], [1, 3]).draw(4000, rng, stratified=False).mean()
    assert plain == pytest.approx(0.75, abs=0.03)
    draws = plane_mixture().draw(20_000, rng)
    mean, spread = plane_mixture().moments()
    np.testing.assert_allclose(draws.mean(axis=0), mean, atol=0.02)
    assert np.sum((draws - mean) ** 2) / 20_000 == pytest.approx(spread, rel=0.02)
    np.testing.assert_allclose(dn.Uniform(2.0).draw(1000, rng).ravel(), np.linspace(-2, 2, 1000), atol=0.01)


def test_what_samples_resolve() -> None:
    """Inside the reported range the samples give the law's h, beyond it they do not."""
    law, r = plane_mixture(), [0.2, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0]
    x = law.draw(2000, np.random.default_rng(3), stratified=False)
    found = dn.resolution(x, r)
    assert 1.5 <= found.limit <= 5.0
    true, seen = (dn.complexity(s, r, draws=2000).integrated_tail(0.0) for s in (law, x))
    assert np.all(np.abs(true - seen)[found.resolved] < 0.015)
    assert np.abs(true - seen)[-1] > 0.1
    assert not dn.resolution(np.random.default_rng(0).standard_normal((300, 40)), [1.0, 3.0]).resolved.any()


def test_both_signs_count_and_what_follows_an_unresolved_r_is_not_resolved() -> None:
    r, none = np.array([1.0, 2.0, 3.0]), np.zeros((3, 0))
    fine = np.full(3, 0.1)
    for gap, fluctuation in ((np.array([0.05, 0.9, 0.05]), fine), (fine, np.array([0.1, 0.9, 0.1]))):
        found = dn.Resolution(r, none, none, gap, 0.05, fine, fluctuation)
        np.testing.assert_array_equal(found.resolved, [True, False, False])
        assert found.limit == 1.0


# ---- chains --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("law", "ratios"),
    [(dn.two_points(), (0.0802, 0.0825)), (dn.slab(), (0.0944, 0.0819)), (dn.four_modes(), (0.3755, 0.0780))],
    ids=["two points", "slab", "four normals"],
)
def test_diffuse_then_denoise(law: Source, ratios: tuple[float, float]) -> None:
    """η = 0.01, from δ₀: W₂ ratios after 100 and 300 steps."""
    for steps, ratio in zip((100, 300), ratios, strict=True):
        trip = dn.diffuse_then_denoise(law, dn.dirac(), steps, 0.01, records=2)
        assert trip.ratio == pytest.approx(ratio, abs=1e-3)
        assert trip.after <= np.exp(-0.01 * steps) * trip.before


def test_backward_maps_of_a_normal_law_are_linear() -> None:
    chain, t, eta = dn.Diffusion(dn.normal(4.0), beta=2.0), 0.7, 0.3
    var = 4 * np.exp(-2 * t) + (1 - np.exp(-2 * t)) / 2
    before = 4 * np.exp(-2 * (t - eta)) + (1 - np.exp(-2 * (t - eta))) / 2
    x = np.array([[1.0]])
    assert dn.Euler()(chain, t, eta, x) == pytest.approx(1 + eta * (1 - 1 / (2 * var)))
    assert dn.Tweedie()(chain, t, eta, x) == pytest.approx(np.exp(-eta) * before / var)
    assert dn.ProbabilityFlow()(chain, t, eta, x) == pytest.approx(np.sqrt(before / var), abs=1e-7)
    assert chain.score(t, x) == pytest.approx(-1 / var)
    assert chain.largest_second_derivative(t, x) == pytest.approx(-1 / var)
    assert chain.log_density(t, x)[0] == pytest.approx(-0.5 / var - 0.5 * np.log(2 * np.pi * var))
    assert chain.time(chain.snr(t)) == pytest.approx(t)
    np.testing.assert_allclose(diffusion_times(chain, chain.snr(np.array([0.2, 0.7]))), [0.7, 0.2, 0.0])


def test_the_probability_flow_arrives_and_euler_converges_to_it() -> None:
    law = dn.Mixture([0.5, 0.5], [-1.0, 1.0], [0.3, 0.3])
    flow = dn.diffuse_then_denoise(law, law, 4, 0.2, backward=dn.ProbabilityFlow(), points=400, records=2)
    assert flow.from_target[-1] < 1e-5
    errors = [
        dn.diffuse_then_denoise(law, law, k, 0.8 / k, points=400, records=2).from_target[-1] for k in (20, 40, 80)
    ]
    assert np.log2(errors[1] / errors[2]) == pytest.approx(1.0, abs=0.1)
    dirac = dn.diffuse_then_denoise(dn.two_points(), dn.two_points(), 3, 0.3, backward=dn.ProbabilityFlow(), points=200)
    assert dirac.from_target[-1] < 1e-6


def test_euler_steps_in_forward_order_do_not_denoise() -> None:
    chain = dn.Diffusion(dn.two_points())
    q = (np.arange(1000) + 0.5) / 1000
    target, x = quantiles(chain, 0.0, q), quantiles(chain, 1.0, q)[:, None]
    right, wrong = x, x
    for k in range(100, 0, -1):
        right, wrong = (dn.Euler()(chain, 0.01 * j, 0.01, z) for j, z in ((k, right), (101 - k, wrong)))
    assert dn.w2_line(right, target) < 0.085
    assert dn.w2_line(wrong, target) > 0.13


@pytest.mark.slow
def test_forward_contraction_by_quantiles_clouds_and_grids() -> None:
    """W₂(ν_t, µ_t) ≤ e^{−t} W₂(ν₀, µ₀), with equality for point masses; three ways to measure it."""
    a, b = dn.Points([[0.0, 0.0]]), dn.Points([[2.0, 1.0]])
    first, second = dn.Diffusion(a), dn.Diffusion(b)
    t = 0.4
    expected = np.exp(-t) * np.sqrt(5.0)
    rng = (np.random.default_rng(1), np.random.default_rng(1))
    clouds = dn.w2_clouds(first.draw(t, 300, rng[0]), second.draw(t, 300, rng[1]))
    assert clouds == pytest.approx(expected, rel=1e-10)  # the same noise: shifted clouds
    box = pma.Box((64, 64), lengths=(10.0, 10.0))
    assert (
        abs(dn.w2_on_grid(first, second, t, box).w2_squared - expected**2) < box.spacing[0] ** 2
    )  # cells are spread out
    line = [quantiles(dn.Diffusion(dn.Points([m])), t, np.linspace(0.001, 0.999, 999)) for m in (0.0, 2.0)]
    assert dn.w2_line(*line) == pytest.approx(2 * np.exp(-t), rel=1e-9)
    trip = dn.diffuse_then_denoise(dn.slab(), dn.normal(2.0), 50, 0.01, records=2)
    assert trip.after < np.exp(-0.5) * trip.before


@pytest.mark.slow
def test_clouds_against_the_interval_of_schroedinger() -> None:
    """W₂ by assignment lies between the dual and the upper bound of the package's entropic plan."""
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal((60, 2)), rng.standard_normal((60, 2)) * 0.5 + 1
    plan = pma.schroedinger(pma.Problem.from_samples(x, y), 0.02, marginal=1e-8).plan
    half = 0.5 * dn.w2_clouds(x, y) ** 2
    assert plan.w2_squared / 2 >= half - 1e-6
    assert plan.w2_squared / 2 <= half + 0.02 * np.log(60)


def test_a_round_trip_in_the_plane_and_its_bound() -> None:
    trip = dn.diffuse_then_denoise(plane_mixture(), dn.normal(1.0, 2), 20, 0.05, points=300, records=3)
    assert trip.denoised.shape == (300, 2)
    assert trip.ratio < 0.6
    line = dn.diffuse_then_denoise(dn.Mixture([0.5, 0.5], [-1, 1], [0.3, 0.3]), dn.normal(0.5), 40, 0.02, points=500)
    assert line.contraction**2 <= line.bound(2.0) <= line.bound(4.0)


# ---- schedules -----------------------------------------------------------------------------------------------------------------


def test_schedules_have_their_noise() -> None:
    vp = dn.Schedule.variance_preserving(1000)
    kept = 1 / (1 + 1 / vp.snr**2)
    u = np.arange(1, 1001)[::-1] / 1000
    np.testing.assert_allclose(kept, np.exp(-0.1 * u - 9.95 * u**2), rtol=1e-10)
    cosine = dn.Schedule.cosine(100)
    assert cosine.snr[49] == pytest.approx(1 / np.tan(0.5 * np.pi * (0.51 + 0.008) / 1.008))
    np.testing.assert_allclose(np.diff(dn.Schedule.uniform(50, 0.02).times), -0.02, rtol=1e-9)
    times = dn.Schedule.exploding(7).times
    assert times[-1] == 0
    assert np.all(np.diff(times) < 0)


@pytest.mark.slow
def test_the_bottleneck_of_two_points_and_what_equal_steps_gain() -> None:
    """Ten steps: W₂ ratio 0.030 against 0.52 (uniform), 0.29 (variance preserving), 0.15 (cosine), 0.046 (exploding)."""
    law = dn.two_points()
    found = dn.complexity(law, np.geomspace(0.05, 50, 24))
    laid = dn.Schedule.exploding(30, 0.05, 50).over(law, 2.0)
    assert 1.0 < laid.bottleneck < 2.5
    assert np.sum(laid.gains) == pytest.approx(np.sum(laid.curvature * -np.diff(laid.schedule.times)))
    equal = dn.equidistributed(found, 10, 2.0)
    others = [dn.Schedule.uniform(10, 0.3), dn.Schedule.variance_preserving(10), dn.Schedule.cosine(10)]
    others.append(dn.Schedule.exploding(10, 0.05, 50))
    ratio = [dn.round_trip(law, dn.dirac(), s.times, points=200, records=2).ratio for s in (equal, *others)]
    assert ratio[0] < 0.7 * min(ratio[1:])
    assert ratio[0] < 0.1 * ratio[1]
    fine = dn.equidistributed(found, 30, 2.0).over(law, 2.0)
    uneven = dn.Schedule.uniform(30, 0.1).over(law, 2.0)
    assert np.max(fine.stretches[:-1]) < 0.6 * np.max(uneven.stretches)


def test_equal_steps_have_equal_parts_of_the_monitor() -> None:
    """N(0, 4): δ = 1/(1 + 4r²), so that the monitor is known, and its integral over log r by a finer rule."""
    found = dn.complexity(dn.normal(4.0), np.geomspace(0.05, 20, 200))
    parts = np.log(dn.equidistributed(found, 9, 2.0, floor=0.1).snr)
    place = np.linspace(parts[:-1], parts[1:], 401)
    square = np.exp(2 * place)
    parts = np.trapezoid(np.abs(1 / (1 + square) - 1 / (1 + 4 * square)) + 0.1, place, axis=0)
    np.testing.assert_allclose(parts, parts.mean(), rtol=1e-3)


# ---- refusals ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: dn.complexity([0.0, 1.0], snr=[0.0, 1.0]), "finite r > 0"),
        (lambda: dn.complexity([0.0, 1.0], snr=[2.0, 1.0]), "ascending"),
        (lambda: dn.complexity([0.0, 1.0], snr=[]), "ascending"),
        (lambda: dn.complexity([0.0, np.nan], snr=[1.0]), "NaN"),
        (lambda: dn.complexity(np.zeros((3, 2, 2))), "shape"),
        (lambda: dn.complexity([0.0, 1.0], draws=1), "draws"),
        (lambda: dn.complexity([0.0, 1.0], confidence=1.0), "level"),
        (lambda: dn.complexity(pma.Cloud([[0.2]], period=1.0)), "unwrap"),
        (lambda: dn.complexity([0.0, 1.0], [1.0]).effective_curvature(0.5), "M ≥ 1"),
        (lambda: dn.complexity([0.0, 1.0], [1.0]).mass(0.0), "δ > 0"),
        (lambda: dn.Points.on_grid(pma.Torus((8,)), np.ones(8)), "Box"),
        (lambda: dn.Points.on_grid(pma.Box((8,)), -np.ones(8)), "negative"),
        (lambda: dn.Mixture([1.0], [0.0], [-1.0]), "variances are ≥ 0"),
        (lambda: dn.Mixture([1.0], [[0.0, 0.0]], [[[1.0, 1.0], [0.0, 1.0]]]), "symmetric"),
        (lambda: dn.Mixture([1.0, 1.0], [0.0, 1.0], [1.0]), "variances"),
        (lambda: dn.Uniform(0.0), "a > 0"),
        (lambda: dn.critical_snr(SQUARE, 0.5, 2.0), "on the line"),
        (lambda: dn.critical_snr([-1.0, 1.0], 2.0, 3.0), "bracket"),
        (lambda: dn.two_points().curvature(1.0, [[0.0, 1.0]]), "one row"),
        (lambda: dn.Diffusion(dn.dirac(), beta=0.0), "temperature"),
        (lambda: dn.Diffusion(dn.dirac()).score(0.0, [0.0]), "t > 0"),
        (lambda: dn.diffuse_then_denoise([0.0, 1.0], [0.0], 0, 0.1), "steps=0: give a whole number"),
        (lambda: dn.diffuse_then_denoise([0.0, 1.0], [[0.0, 0.0]], 3, 0.1), "dimension"),
        (lambda: dn.round_trip([0.0, 1.0], [0.0], [0.0, 1.0]), "fall"),
        (lambda: dn.w2_clouds(np.zeros((2, 2)), np.zeros((3, 2))), "equal shapes"),
        (lambda: dn.Schedule([1.0, 0.5]), "ascending"),
        (lambda: dn.equidistributed(dn.complexity([0.0, 1.0], [1.0]), 3, 2.0), "2 or more"),
        (lambda: dn.resolution(dn.normal(1.0), [1.0]), "belongs to samples"),
    ],
)
def test_wrong_calls_are_refused_with_a_remedy(call, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


# ---- command line and gallery --------------------------------------------------------------------------------------------------


def test_the_command_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((300, 2)) * 0.3 + np.where(rng.random((300, 1)) < 0.5, 2.0, -2.0)
    np.save(tmp_path / "data.npy", x)
    arguments = ["denoising", str(tmp_path / "data.npy"), "--count", "6", "--draws", "200"]
    result = CliRunner().invoke(app, [*arguments, "--json", "--figure", str(tmp_path / "out.svg")])
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    expected = dn.complexity(x, np.geomspace(0.1, 10, 6), draws=200)
    np.testing.assert_allclose(record["integrated_tail"], expected.integrated_tail(0.0))
    assert record["hardest_snr"] == pytest.approx(expected.hardest_snr)
    assert record["resolved"][0]
    assert not record["resolved"][-1]
    assert (tmp_path / "out.svg").read_text(encoding="utf-8").count("<svg") == 1
    words = CliRunner().invoke(app, arguments).output
    assert "300 samples in 2 dimensions" in words
    assert max(map(len, words.splitlines())) <= 80
    assert len([line for line in words.splitlines() if line.endswith(("yes", "no"))]) == 6


@pytest.mark.parametrize(
    ("arguments", "words"),
    [([], "one of the two"), (["absent.npy"], "No such file"), (["data.npy", "--low", "2", "--high", "1"], "0 < low")],
)
def test_the_command_line_refuses(arguments: list[str], words: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("data.npy", np.zeros(5))
    result = CliRunner().invoke(app, ["denoising", *arguments])
    assert result.exit_code == 2
    assert words in result.output


@pytest.mark.slow
def test_the_gallery_has_eleven_figures(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["denoising", "--gallery", str(tmp_path / "gallery")])
    assert result.exit_code == 0, result.output
    page = (tmp_path / "gallery" / "gallery.html").read_text(encoding="utf-8")
    assert page.count("<svg") == page.count("<figcaption>") == len(list((tmp_path / "gallery").glob("*.svg"))) == 11
