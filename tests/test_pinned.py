"""Numbers that no other test would miss: each of these fails for a change of one line that all the others pass."""

from __future__ import annotations

import numpy as np
import pytest
from cases import T1_START, T2_START, TAU, t1, t2

from pmasolve import (
    JKO,
    Band,
    ConstantSteps,
    MirrorDescent,
    MongeAmpere,
    Problem,
    Richardson,
    Sinkhorn,
    Torus,
    evolve,
    transport,
)
from pmasolve.flows.mirror import Law
from pmasolve.flows.particles import TrajectoryCoefficients, sample
from pmasolve.problems.interpolation import Spectral

CIRCLE = Torus((64,))


def flat(shape: tuple[int, ...] = (64,), lengths: tuple[float, ...] = ()) -> Problem:
    """Uniform to uniform."""
    return Problem(Torus(shape, lengths), np.zeros(shape), np.zeros(shape))


def test_wasserstein_is_a_distance_not_its_square() -> None:
    """The law of u is carried to the uniform one by x + ∇u, optimally: W₂² = ∫|∇u|² dρ; and a triangle, which squares fail."""
    laws = [Law(flat(), a * np.cos(TAU * CIRCLE.axis(0))) for a in (0.008, 0.0, -0.008)]
    exact = np.sqrt(laws[0].mean(laws[0].displacement[0] ** 2))
    assert laws[0].wasserstein(laws[1]) == pytest.approx(exact, rel=1e-6)
    sides = laws[0].wasserstein(laws[1]) + laws[1].wasserstein(laws[2])
    assert laws[0].wasserstein(laws[2]) <= sides * (1 + 1e-9)


def test_records_of_jko_are_those_of_its_densities() -> None:
    """KL(ρ_{k+1} | e^{−f}) and W₂(ρ_k, ρ_{k+1}) from the stored densities, the distance by another solver."""
    problem = t1(48)
    run = evolve(JKO(problem, 1 / 256), [1 / 256, 1 / 128], initial=T1_START(problem.domain.points))
    one, two = run.fields["log_density"]
    kl = [problem.domain.integral(np.exp(log_rho) * (log_rho + problem.f)) for log_rho in (one, two)]
    assert run.records["kl"] == pytest.approx(kl, rel=1e-8)
    between = transport(Problem(problem.domain, -two, -one), progress=False)
    assert run.records["distance"][1] == pytest.approx(between.w2, rel=1e-6)


def test_remainder_of_mirror_descent() -> None:
    """η/(2m)·∫|∇d|²dρ by hand: d the step over η, m the least eigenvalue after it, and what the two slacks add up to."""
    problem, eta = t1(48), 1e-3
    flow = MirrorDescent(problem, ConstantSteps(eta), modes=6)
    run = evolve(flow, flow.times(2), initial=T1_START(problem.domain.points))
    u, after = run.potentials
    rho = np.exp(Law(problem, u).log_density)
    slope = flow.operators.gradient((after - u) / eta)[0]
    least = 1 + flow.operators.jet(flow.operators.transform.forward(after)).D2[0].min()
    record = {name: column[1] for name, column in run.records.items()}
    assert record["remainder"] == pytest.approx(eta / (2 * least) * problem.domain.integral(slope**2 * rho), rel=1e-9)
    assert record["lower_slack"] + record["upper_slack"] == pytest.approx(record["remainder"], rel=1e-6)


def test_noise_has_the_covariance_of_the_diffusion() -> None:
    """σσᵀ = 2(D²φ)⁻¹ at the nodes, off the diagonal too: with σ transposed it is another matrix."""
    problem = t2(24)
    x = problem.domain.points
    u = T2_START(x) + 0.01 * np.cos(TAU * (x[0] + x[1]))
    run = evolve(MongeAmpere(problem), [0.0, 1e-3], initial=u)
    _, noise = TrajectoryCoefficients(run)(0.0)
    z = x.reshape(2, -1).T
    sigma = np.stack([noise(z, np.tile(unit, (len(z), 1))) for unit in np.eye(2)], axis=-1)  # (n, component, variate)
    xx, xy, yy = (row.ravel() for row in Law.of(run, 0).inverse_hessian)
    covariance = sigma @ np.swapaxes(sigma, 1, 2)
    for (i, j), expected in (((0, 0), xx), ((0, 1), xy), ((1, 1), yy)):
        assert covariance[:, i, j] == pytest.approx(2 * expected, abs=1e-10)
    assert np.abs(xy).max() > 0.1


def test_samples_lie_about_their_nodes() -> None:
    """On eight nodes half a cell is a shift by 1/16, far above the noise of 20 000 points."""
    law = Law(flat((8,)), 0.015 * np.cos(TAU * np.arange(8) / 8))
    z = sample(law, 20_000, np.random.default_rng(11))[:, 0]
    wave = np.mean(np.exp(1j * TAU * z))
    nodes = law.problem.domain.axis(0)
    moments = [law.mean(f(TAU * nodes)) * np.sinc(1 / 8) for f in (np.cos, np.sin)]
    assert wave.real == pytest.approx(moments[0], abs=0.02)
    assert wave.imag == pytest.approx(moments[1], abs=0.02)
    assert abs(moments[0]) > 0.2


@pytest.mark.parametrize("amplitude", [0.4, -0.2], ids=["steep", "flat"])
def test_resolution_asks_for_the_greatest_h_and_for_flat_potentials_too(amplitude: float) -> None:
    """The least ε is log(1/quadrature) h² max(φ″, 1/φ″)/2π², h the coarser axis: one just below is refused."""
    grid = Torus((16, 64))
    problem = flat((16, 64))
    u = -amplitude * sum(np.cos(TAU * k * grid.points[0]) / (TAU * k) ** 2 for k in range(1, 5))
    second = amplitude * sum(np.cos(TAU * k * grid.axis(0)) for k in range(1, 5))
    stretch = max(1 + second.max(), 1 / (1 + second.min()))
    assert (1 + second.max() > 1 / (1 + second.min())) == (amplitude > 0)  # one case for each
    least = np.log(1e12) * stretch / 16**2 / (2 * np.pi**2)
    assert Sinkhorn(problem, 1.0).reading.look(u).stiffness == pytest.approx(stretch / 16**2, rel=1e-9)
    for factor, name in ((1.001, "reached"), (0.999, "eps unresolved")):
        eps = factor * least
        assert evolve(Sinkhorn(problem, eps), [0.0], initial=u, throw=False).outcome.name == name


@pytest.mark.parametrize("flow", [Sinkhorn, Richardson, JKO])
def test_times_off_by_a_thousandth_of_a_step_are_refused(flow) -> None:
    """k = t/ε rounded would cost an order; rounding of t itself is no reason to refuse."""
    problem, eps = t1(32), 1 / 64
    for t in (10.001 * eps, 1.0001 * eps, 10 * eps * (1 + 1e-7)):
        with pytest.raises(ValueError, match="not a multiple"):
            flow(problem, eps).admit(np.array([t]))
    flow(problem, eps).admit(np.array([0.1 + 0.2, 0.3]) / 0.3 * eps)


@pytest.mark.parametrize("shape", [(16,), (12, 16)])
def test_spectral_interpolants_have_no_nyquist_mode(shape: tuple[int, ...]) -> None:
    """It has no derivative on the grid: alternating signs are seen as nothing, the rest as it is; an odd axis has none."""
    grid, rng = Torus(shape), np.random.default_rng(3)
    smooth = np.cos(TAU * grid.points[0])
    zigzag = np.where(np.indices(shape).sum(0) % 2 == 0, 1.0, -1.0)
    points = rng.random((50, len(shape)))
    found = Spectral().of(grid, smooth + zigzag)
    assert found(points) == pytest.approx(np.cos(TAU * points[:, 0]), abs=1e-11)
    along = np.where(np.arange(shape[-1]) % 2 == 0, 1.0, -1.0) * np.ones(shape)
    assert np.abs(Spectral().of(grid, along)(points)).max() < 1e-11
    odd = Torus((15,))
    alternating = np.where(np.arange(15) % 2 == 0, 1.0, -1.0)
    assert Spectral().of(odd, alternating)(odd.points.T) == pytest.approx(alternating, abs=1e-11)


def test_a_band_looks_at_the_last_orders() -> None:
    """Errors that enter the asymptotic regime late are admitted, errors that leave it are not."""
    band, errors = Band(1.9, 2.1), np.full(4, 1e-3)
    assert band.admits(np.array([1.0, 2.0, 2.0]), errors)
    assert not band.admits(np.array([2.0, 2.0, 1.0]), errors)
    assert not band.admits(np.array([2.0]), errors[:2])
