"""Samplers: derivatives by differences, the Gaussian recursion, both sides of the inequality, densities, evidence, ends by name."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from typer.testing import CliRunner

import pmasolve as pma
from pmasolve import (
    Cloud,
    ConstantSteps,
    ImplicitSampler,
    Known,
    Logistic,
    LogSumExp,
    MongeAmpereSampler,
    Posterior,
    SampleProblem,
    ScoreMatching,
    Span,
    Stopped,
    as_sampler,
    evolve,
    load_sampler,
    resume,
)
from pmasolve.cli.app import app
from pmasolve.gaussian import Normal
from pmasolve.samples.samplers import matrices
from pmasolve.samples.samplers.choosing import affordable, parameter_count
from pmasolve.samples.samplers.log_sums import LogSumsPotential
from pmasolve.samples.samplers.modes import Modes, judged
from pmasolve.samples.samplers.objectives import Likelihood
from pmasolve.samples.samplers.scikit import SamplerDensity

STEP = 1e-5


def normals(d: int) -> tuple[Normal, Normal]:
    """A target that is not diagonal, and a reference that is not standard."""
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.standard_normal((d, d)))[0]
    target = Normal(0.5 * rng.standard_normal(d), (Q * np.linspace(0.5, 2.0, d)) @ Q.T)
    return target, Normal(np.full(d, 0.3), np.diag(np.linspace(0.5, 1.5, d)))


def posterior_of(law: Normal, reference: Normal | None = None) -> Posterior:
    """A normal law as a density that is known."""
    P = np.linalg.inv(law.cov)
    return Posterior(lambda x: -law.log_density(Cloud(x)), lambda x: (x - law.mean) @ P, law.dim, reference=reference)


def two_modes(n: int, seed: int) -> np.ndarray:
    """½N(−2, ¼) + ½N(2, ¼)."""
    rng = np.random.default_rng(seed)
    return 0.5 * rng.standard_normal((n, 1)) + np.where(rng.random((n, 1)) < 0.5, -2.0, 2.0)


def two_modes_log(x: np.ndarray) -> np.ndarray:
    """The log-density of `two_modes`."""
    parts = [-0.5 * ((x - mean) / 0.5) ** 2 - np.log(0.5 * np.sqrt(2 * np.pi)) for mean in (-2.0, 2.0)]
    return logsumexp(np.array(parts), axis=0)[:, 0] - np.log(2)


def differences(function, psi) -> np.ndarray:
    """∂_θ by central differences, (n, p)."""
    unit = STEP * np.eye(psi.params.size)
    theta = psi.params
    return np.stack(
        [(function(psi.placed(theta + e)) - function(psi.placed(theta - e))) / (2 * STEP) for e in unit], -1
    )


@pytest.fixture(scope="module")
def fitted() -> pma.Sampler:
    """Two modes on a line."""
    flow = ImplicitSampler(SampleProblem(two_modes(2000, 21)), LogSumExp(8))
    return as_sampler(evolve(flow, flow.times(30)[-1:]))


@pytest.mark.parametrize("family", [LogSumExp(6, eps=0.5), LogSumExp(5, eps=0.5, sums=2), Span(ridges=5)])
@pytest.mark.parametrize("dim", [1, 3])
def test_derivatives(family, dim: int) -> None:
    """Closed forms against central differences, in the parameters and in y."""
    rng = np.random.default_rng(5)
    psi = family.started(SampleProblem(rng.standard_normal((200, dim)) * np.linspace(1, 2, dim)), 3)
    psi = psi.moved(0.03 * rng.standard_normal(psi.params.size))
    y, r, G = rng.standard_normal((4, dim)), rng.standard_normal((4, dim)), rng.standard_normal((4, dim, dim))
    G = G + np.swapaxes(G, 1, 2)
    here, unit = psi.at(y), STEP * np.eye(dim)

    def met(other) -> np.ndarray:
        """r·∇ψ + tr(G D²ψ)."""
        at = other.at(y)
        return np.sum(r * at.gradient, axis=1) + np.sum(G * at.hessian, axis=(1, 2))

    def along(function) -> np.ndarray:
        """∇_y by central differences, in the last axis."""
        return np.stack([(function(psi.at(y + e)) - function(psi.at(y - e))) / (2 * STEP) for e in unit], axis=-1)

    assert np.allclose(along(lambda at: at.value), here.gradient, atol=1e-7)
    assert np.allclose(along(lambda at: at.gradient), here.hessian, atol=1e-7)
    assert np.allclose(along(lambda at: np.sum(G * at.hessian, axis=(1, 2))), here.third(G), atol=1e-6)
    assert np.allclose(differences(lambda other: other.at(y).value, psi), here.tangent(), atol=1e-7)
    assert np.allclose(differences(met, psi), here.paired(r, G), atol=1e-6)
    assert np.allclose(here.paired(r, G).sum(axis=0), here.paired_sum(r, G), atol=1e-11)
    alone = psi.at(y[[2]]).gradient  # BLAS may round one row otherwise than four
    assert np.allclose(here.only(np.array([2])).gradient, alone, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("dim", [1, 2, 13])
def test_sums_of_anchors(dim: int) -> None:
    """Free parameters are those that move the map; the mean of a start with itself is that start; scaled, it is a scaled map."""
    problem = SampleProblem(np.random.default_rng(6).standard_normal((300, dim)))
    one = LogSumExp(4, eps=0.5).started(problem, 1)
    y = np.random.default_rng(7).standard_normal((200, dim))
    twice = LogSumsPotential.mean_of([one, one])
    assert np.allclose(twice.at(y).gradient, one.at(y).gradient, rtol=1e-13, atol=1e-13)
    assert twice.sizes.tolist() == [4, 4]
    psi = LogSumExp(7, eps=0.5, sums=3).started(problem, 1)
    assert psi.sizes.tolist() == [3, 2, 2]
    slopes = [psi.at(y).paired(np.tile(e, (200, 1)), np.zeros((200, dim, dim))) for e in np.eye(dim)]
    singular = np.linalg.svd(np.concatenate(slopes), compute_uv=False)
    assert np.count_nonzero(singular > 1e-9 * singular[0]) == psi.free
    assert np.allclose(psi.placed(psi.params).params, psi.params, rtol=1e-12, atol=1e-14)
    shift = np.arange(1.0, dim + 1)
    assert np.allclose(psi.scaled(3.0, shift).at(y).gradient, 3 * psi.at(y).gradient + shift, rtol=1e-12)
    step = np.zeros(psi.params.size)
    step[-1] = 9.0
    assert psi.moved(step).eps[-1] == pytest.approx(np.exp(0.5) * psi.eps[-1])
    assert len(np.unique(psi.groups)) == 7 + 1 + 1 + 3, "an anchor with its offset; c; Q; each ε"


def test_the_default_family_has_the_parameters_that_are_counted() -> None:
    """48 anchors in two sums, for ladders of anchors and for what points bear."""
    psi = LogSumExp().started(SampleProblem(np.random.default_rng(8).standard_normal((400, 2))), 0)
    assert psi.sizes.tolist() == [24, 24]
    assert psi.free == parameter_count(48, 2, True)


def test_two_sums_of_anchors_are_likelier() -> None:
    """Eight clusters on a circle, 20 anchors in all: fresh points, nats."""
    rng = np.random.default_rng(45)
    angle = rng.integers(0, 8, 1600) * np.pi / 4
    x = 2 * np.c_[np.cos(angle), np.sin(angle)] + 0.2 * rng.standard_normal((1600, 2))
    found = []
    for sums in (1, 2):
        flow = ImplicitSampler(SampleProblem(x[:600]), LogSumExp(20, sums=sums))
        found.append(as_sampler(evolve(flow, [10.0], throw=False)).log_likelihood(x[600:]))
    print(f"one sum {-found[0]:.3f}, two {-found[1]:.3f}")
    assert found[1] > found[0] + 0.03


@pytest.mark.parametrize("problem", [SampleProblem(two_modes(60, 2)), posterior_of(normals(2)[0], normals(2)[1])])
def test_slopes_of_the_objectives(problem) -> None:
    """Minus the log-likelihood by implicit differentiation of the inverse, KL by hand, against differences of the values."""
    flow = ImplicitSampler(problem, LogSumExp(3, eps=0.5))
    objective, psi = flow._objectives[-1], flow.first
    if isinstance(objective, Likelihood):
        objective = replace(objective, tol=1e-13)
    here = objective.measured(psi, None)
    measured = differences(lambda other: np.array([objective.measured(other, here).value]), psi)[0]
    assert np.allclose(objective.slope(here), measured, atol=1e-6 * np.abs(measured).max())


@pytest.mark.parametrize("dim", [2, 10])
def test_known_normals_follow_the_recursion(dim: int) -> None:
    """P⁺ = P − η(PΣ⁻¹P − Θ⁻¹), m⁺ = m − ηPΣ⁻¹(m − a): to rounding, forty steps."""
    target, reference = normals(dim)
    problem, eta = posterior_of(target, reference), 0.2
    flow = MongeAmpereSampler(problem, Span(), Known(), ConstantSteps(eta), nodes=512)
    run = evolve(flow, flow.times(40)[-1:])
    F, T = np.linalg.inv(target.cov), np.linalg.inv(reference.cov)
    P, m = np.eye(dim), reference.mean
    for _ in range(40):
        P, m = P - eta * (P @ F @ P - T), m - eta * P @ F @ (m - target.mean)
    here = as_sampler(run).psi.at(reference.mean[None])
    print(f"d = {dim}: {np.abs(here.hessian[0] - P).max():.1e}, {np.abs(here.gradient[0] - m).max():.1e}")
    assert np.abs(here.hessian[0] - P).max() < 1e-14
    assert np.abs(here.gradient[0] - m).max() < 1e-14
    assert run.records["ess"][-1] > 0.999
    assert run.records["kl"][-1] < 1e-5


@pytest.mark.parametrize("estimator", [Logistic(), ScoreMatching()])
def test_normals_from_samples(estimator) -> None:
    """The last KL is that of maximum likelihood on the same points; the inequality holds on both sides at every step."""
    target, n = normals(2)[0], 4096
    problem = SampleProblem(target.sample(n, np.random.default_rng(31)))
    flow = MongeAmpereSampler(problem, Span(), estimator, ConstantSteps(0.2))
    run = evolve(flow, flow.times(40)[-1:])
    at = as_sampler(run).psi.at(np.zeros((1, 2)))
    law = Normal(at.gradient[0], at.hessian[0] @ at.hessian[0])
    print(f"{type(estimator).__name__}: KL {law.kl(target):.2e}, p/2n {5 / (2 * n):.2e}")
    likely = Normal(problem.mean, np.cov(problem.data.T))
    assert law.kl(target) < 1.2 * likely.kl(target)
    records = run.records
    for side in ("lower_slack", "upper_slack"):
        assert np.all(records[side] > -1e-9)
        assert np.all(records[side][:10] > 1e-6)
    jeffreys = records["kl"] + records["reverse_kl"]
    assert np.all(np.abs(jeffreys - records["pairing"]) <= 2 * records["error"] + 1e-6)
    assert np.all(np.diff(records["certificate"]) > -1e-9)
    assert np.allclose(np.diff(records["bregman"]), -records["bregman_drop"][:-1], atol=1e-9)


def test_likelihood_and_density(fitted: pma.Sampler) -> None:
    """Held-out likelihood near the entropy; the density has mass 1; samples and inverse belong to the map."""
    x = two_modes(4000, 22)
    entropy = -float(np.mean(two_modes_log(x)))
    print(f"NLL {-fitted.log_likelihood(x):.4f}, entropy {entropy:.4f}")
    assert -fitted.log_likelihood(x) < entropy + 0.03
    line = np.linspace(-8, 8, 4001)
    assert np.trapezoid(np.exp(fitted.log_density(line)), line) == pytest.approx(1.0, abs=1e-6)
    drawn = fitted.sample(10_000, seed=4)
    assert np.abs(fitted.map(fitted.inverse(drawn)) - drawn).max() < 1e-8
    assert abs((drawn > 0).mean() - 0.5) < 0.03
    assert np.array_equal(drawn, fitted.sample(10_000, seed=4))


def test_the_map_is_the_one_that_transport_finds() -> None:
    """∇ψ against the map between the two densities on a grid, which knows nothing of ψ."""
    rng = np.random.default_rng(38)
    x = 0.6 * rng.standard_normal((300, 1)) + np.where(rng.random((300, 1)) < 0.4, -0.7, 0.7)
    flow = ImplicitSampler(SampleProblem(x), LogSumExp(3))
    law = as_sampler(evolve(flow, [12.0], throw=False))
    box, corner = pma.Box((256,), (9.0,)), np.array([-4.5])
    T = pma.transport(law.problem(box, corner))
    y = law.reference.sobol(2048).points
    error = np.abs(T(y - corner) + corner - law.map(y))
    cost = float(np.mean((law.map(y) - y) ** 2))
    print(f"{T.outcome.name}, {T.method}, {np.quantile(error, 0.99):.5f}, W₂² {T.w2_squared:.5f} and {cost:.5f}")
    assert np.quantile(error, 0.99) < 0.01
    assert T.w2_squared == pytest.approx(cost, rel=1e-2)
    with pytest.raises(ValueError, match="lies outside"):
        law.problem(pma.Box((16,), (1.0,)), corner)
    with pytest.raises(ValueError, match="the sampler has 1"):
        law.problem(pma.Box((16, 16), (9.0, 9.0)), corner)


def test_the_derivative_of_the_map() -> None:
    """By differences, in the unit of the data; matrices of a field are a field."""
    x = 1e3 * np.random.default_rng(36).standard_normal((200, 2)) @ [[1.0, 0.3], [0.0, 0.5]]
    flow = ImplicitSampler(SampleProblem(x), LogSumExp(3))
    law, y = as_sampler(evolve(flow, [8.0], throw=False)), np.random.default_rng(37).standard_normal((5, 2))
    by_differences = [(law.map(y + e) - law.map(y - e)) / (2 * STEP) for e in STEP * np.eye(2)]
    assert np.allclose(law.jacobian(y), np.stack(by_differences, axis=-1), rtol=1e-6, atol=1e-3)
    field = y[:4].T.reshape(2, 2, 2)
    assert np.array_equal(law.jacobian(field).reshape(2, 2, -1), np.moveaxis(law.jacobian(y[:4]), 0, -1))


def test_plane_and_many_dimensions() -> None:
    """A ring of modes in the plane beats the normal fit by a nat; one anchor in 100 dimensions is nearly the normal fit."""
    rng = np.random.default_rng(3)
    angle = rng.integers(0, 4, 1500) * np.pi / 2
    x = 2 * np.c_[np.cos(angle), np.sin(angle)] + 0.25 * rng.standard_normal((1500, 2))
    flow = ImplicitSampler(SampleProblem(x[:1000]), LogSumExp(16))
    run = evolve(flow, flow.times(40)[-1:])
    normal = Normal(x[:1000].mean(axis=0), np.cov(x[:1000].T))
    assert as_sampler(run).log_likelihood(x[1000:]) > normal.log_density(x[1000:]).mean() + 1.0
    assert set(run.records) == {"t", "nll", "held_out", "min_hessian", "damping", "drop"}
    many = rng.standard_normal((700, 100)) * np.linspace(0.5, 2, 100)
    flow = ImplicitSampler(SampleProblem(many[:500], held_out=0.0), LogSumExp(1))
    found = as_sampler(evolve(flow, flow.times(2)[-1:]))
    entropy = 50 * np.log(2 * np.pi * np.e) + np.log(np.linspace(0.5, 2, 100)).sum()
    print(f"d = 100: NLL − H = {-found.log_likelihood(many[500:]) - entropy:.2f}")
    assert -found.log_likelihood(many[500:]) < entropy + 10.0


def test_posterior_with_two_modes() -> None:
    """Tempered: KL and log Z at fresh points, equal masses; the same without a spread misses a mode and says so."""

    def f(x: np.ndarray) -> np.ndarray:
        return 3.0 - two_modes_log(x)

    def grad_f(x: np.ndarray) -> np.ndarray:
        return (x - 2 * np.tanh(8 * x)) / 0.25

    problem = Posterior(f, grad_f, 1, spread=3.0)
    flow = ImplicitSampler(problem, LogSumExp(16))
    run = evolve(flow, flow.times(200)[-1:])
    found = as_sampler(run).evidence(problem)
    print(found)
    assert found.outcome.ok
    assert found.kl < 0.03
    assert found.ess > 0.95
    assert abs(found.log_z + 3.0) < 4 * found.log_z_error + 1e-3
    assert abs((as_sampler(run).sample(20_000, 5) > 0).mean() - 0.5) < 0.02
    one = Posterior(lambda x: f(x + 2), lambda x: grad_f(x + 2), 1)  # its mode at 0 is that from which is started
    flow = ImplicitSampler(one, LogSumExp(1))
    run = evolve(flow, flow.times(20)[-1:], throw=False)
    missing = as_sampler(run).evidence(one)
    assert (run.outcome.name, missing.outcome.name) == ("modes missed", "modes missed")
    assert missing.ess > 0.9, "neither KL nor ESS can see what the map never reaches"
    assert len(missing.modes.at) == 2


def test_resume_and_times_between() -> None:
    problem = SampleProblem(two_modes(500, 23))
    flow = MongeAmpereSampler(problem, Span(), schedule=ConstantSteps(0.1))
    whole = evolve(flow, flow.times(6)[[2, 5]], throw=False)
    first = evolve(flow, flow.times(3)[-1:], throw=False)
    both = resume(first, flow.times(6)[-1:], throw=False)
    assert np.abs(both.potentials - whole.potentials).max() < 1e-12
    fourth = evolve(flow, flow.times(4)[-1:], throw=False).potentials[0]
    assert np.abs(whole.at(float(flow.times(4)[-1])).potentials[0] - fourth).max() < 1e-12
    assert "parameters of a potential in 1 dimension" in repr(whole)
    assert whole.map(0).shape == (1024, 1)
    assert np.isfinite(whole.log_density(0)).all()
    assert np.abs(whole.centred - whole.potentials).max() == 0
    implicit = ImplicitSampler(problem, LogSumExp(4))
    run = evolve(implicit, [3.0, 500.0])
    assert run.times.tolist() == [3.0, 500.0]
    assert run.records["t"].size < 100, "at rest no step is taken"
    assert as_sampler(run, 0).psi.params.tolist() != as_sampler(run).psi.params.tolist()


def test_pictures_and_pages(fitted: pma.Sampler) -> None:
    flow = MongeAmpereSampler(SampleProblem(two_modes(100, 26)))
    for thing in (fitted, evolve(flow, flow.times(2)[-1:], throw=False)):
        assert thing.plot().axes[0].has_data()
        assert len(repr(thing)) < 400
        assert max(map(len, thing.summary().splitlines())) <= 80
        assert thing._repr_html_().count("<svg") == 1


def test_files(fitted: pma.Sampler, tmp_path) -> None:
    flow = MongeAmpereSampler(SampleProblem(two_modes(100, 26)))
    with pytest.raises(ValueError, match=r"as_sampler\(run\).save"):
        pma.save(evolve(flow, flow.times(1), throw=False), tmp_path / "run")
    two = ImplicitSampler(SampleProblem(two_modes(100, 26)), LogSumExp(5, sums=2))
    summed = as_sampler(evolve(two, [2.0], throw=False))
    assert np.array_equal(load_sampler(summed.save(tmp_path / "two")).sample(5, 1), summed.sample(5, 1))
    again = load_sampler(fitted.save(tmp_path / "sampler"))
    assert np.array_equal(again.sample(5, 1), fitted.sample(5, 1))
    assert again.outcome == fitted.outcome
    (tmp_path / "torn.npz").write_bytes((tmp_path / "sampler.npz").read_bytes()[:500])
    with pytest.raises(ValueError, match="torn"):
        load_sampler(tmp_path / "torn.npz")


def test_ends_by_name() -> None:
    problem = SampleProblem(3 * np.random.default_rng(1).standard_normal((400, 1)))
    flow = MongeAmpereSampler(problem, schedule=ConstantSteps(3.0))
    with pytest.raises(Stopped, match=r"(convexity lost|no descent): step \d+ with η=3") as caught:
        evolve(flow, flow.times(20)[-1:])
    assert as_sampler(caught.value.trajectory).sample(3, 0).shape == (3, 1)
    few = ImplicitSampler(SampleProblem(np.random.default_rng(2).standard_normal((80, 2)), held_out=0.4), LogSumExp(10))
    run = evolve(few, few.times(60)[-1:], throw=False)
    assert run.outcome.name == "overfitting"
    assert "more than by a normal law" in run.outcome.advice
    assert run.records["nll"][-1] < run.records["held_out"][-1] - 0.3
    held = as_sampler(run).log_likelihood(few.problem.unit.back(few._objectives[0].held))
    assert -held <= run.records["held_out"].min() + 1e-9, "the best is kept"


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda x: SampleProblem([[1.0, np.nan], [0.0, 1.0], [2.0, 3.0]]), "1 of 3 points have NaN"),
        (lambda x: SampleProblem(np.c_[x, np.ones(len(x))]), r"columns \[2\] are constant"),
        (lambda x: SampleProblem(np.full((40, 2), 0.1)), r"columns \[0, 1\] are constant"),
        (lambda x: SampleProblem(np.c_[x, x[:, 0] - x[:, 1]]), "plane of 2 of 3 dimensions"),
        (
            lambda x: SampleProblem(1e200 * x),
            r"points as large as .*e\+200: squares leave the range .* another unit of length",
        ),
        (lambda x: SampleProblem(1e160 * x[:, :1]), r"points as large as .*e\+160: squares"),
        (lambda x: SampleProblem(1e-200 * x), r"points within .*e-200 of each other: squares"),
        (lambda x: SampleProblem(1e-160 * x[:, 0]), r"points within .*e-160 of each other: squares"),
        (lambda x: SampleProblem(x[:1]), "at least two points"),
        (lambda x: SampleProblem(x, held_out=0.7), r"held_out=0.7: .* below ½"),
        (lambda x: SampleProblem(x, reference=Normal([0.0], [[1.0]])), "gaussian.Normal in 2 dimensions"),
        (lambda x: ImplicitSampler(SampleProblem(x), LogSumExp(64)), r"193 free parameters for 90 different points"),
        (
            lambda x: ImplicitSampler(SampleProblem(np.repeat(x[:12], 20, axis=0)), LogSumExp(4)),
            r"15 free parameters for 12 diff",
        ),
        (lambda x: MongeAmpereSampler(SampleProblem(x), Span(ridges=200)), "205 free parameters for"),
        (lambda x: ImplicitSampler(SampleProblem(x > 0), LogSumExp(8)), "8 anchors for 4 different points"),
        (lambda x: LogSumExp(0), "anchors=0"),
        (lambda x: LogSumExp(3, eps=-1.0), "eps=-1.0"),
        (lambda x: LogSumExp(3, sums=2), "sums=2 of 3 anchors"),
        (lambda x: LogSumExp(3, sums=0), "sums=0"),
        (lambda x: Span(scales=(0.0,)), "scales="),
        (lambda x: Posterior(lambda z: z, lambda z: z, 2), "f at three points of zeros"),
        (lambda x: Posterior(lambda z: z[:, 0], lambda z: z, 2, spread=0.0), "spread=0.0"),
        (lambda x: ImplicitSampler(Posterior(lambda z: -(z[:, 0] ** 2), lambda z: -2 * z, 1)), "curvature"),
        (lambda x: evolve(MongeAmpereSampler(SampleProblem(x), estimator=Known()), [0.25]), "needs f"),
        (lambda x: evolve(MongeAmpereSampler(SampleProblem(x)), [0.3]), "t=0.3 is no sum"),
        (lambda x: evolve(ImplicitSampler(SampleProblem(x), LogSumExp(3)), [0.5]), "t=0.5 is not a multiple"),
        (lambda x: MongeAmpereSampler(SampleProblem(x), estimator="logistic"), "estimator='logistic'"),
        (lambda x: as_sampler(3), "run=3"),
    ],
)
def test_mistake_is_named(act, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        act(np.random.default_rng(7).standard_normal((100, 2)))


def pair(dim: int, distance: float) -> Posterior:
    """Two unit normals so far from each other, the first at the origin, without a spread."""
    means = np.array([[0.0], [distance / np.sqrt(dim)]]) * np.ones(dim)

    def logs(x: np.ndarray) -> np.ndarray:
        """log of half the density of each, (2, n)."""
        return np.stack([-0.5 * np.sum((x - mean) ** 2, axis=1) for mean in means])

    def grad_f(x: np.ndarray) -> np.ndarray:
        """(n, d)."""
        return x - np.exp(logs(x) - logsumexp(logs(x), axis=0)).T @ means

    return Posterior(lambda x: -logsumexp(logs(x), axis=0), grad_f, dim)


@pytest.mark.parametrize(("dim", "distance"), [(1, 20.0), (2, 100.0), (6, 30.0)])
def test_a_mode_far_off_is_not_missed_in_silence(dim: int, distance: float) -> None:
    """Neither KL nor ESS of the run sees it: both are perfect."""
    flow = ImplicitSampler(pair(dim, distance), LogSumExp(1))
    run = evolve(flow, [40.0], throw=False)
    assert run.records["ess"][-1] > 0.999
    assert run.outcome.name == "modes missed"
    assert "1 of 2 modes found" in run.outcome.advice


def test_too_small_a_family_is_said() -> None:
    """Modes reached, importance samples fair, and KL a tenth of a nat: it ended as reached."""
    angle = np.arange(4) * np.pi / 2
    means, s = 2 * np.c_[np.cos(angle), np.sin(angle)], 0.3

    def logs(x: np.ndarray) -> np.ndarray:
        """(4, n)."""
        return np.stack([-0.5 * np.sum((x - mean) ** 2, axis=1) / s**2 for mean in means])

    def grad_f(x: np.ndarray) -> np.ndarray:
        """(n, 2)."""
        return (x - np.exp(logs(x) - logsumexp(logs(x), axis=0)).T @ means) / s**2

    problem = Posterior(lambda x: -logsumexp(logs(x), axis=0), grad_f, 2, spread=2.0)
    flow = ImplicitSampler(problem, LogSumExp(6, eps=0.15))
    run = evolve(flow, [250.0], throw=False)
    told = as_sampler(run).evidence(problem)
    print(told)
    assert told.modes.covered
    assert told.ess > 0.1
    assert (run.outcome.name, told.outcome.name) == ("large kl", "large kl")
    assert told.kl > 0.05
    assert as_sampler(run).evidence(problem, enough=np.inf).outcome.ok
    with pytest.raises(ValueError, match="enough=0"):
        ImplicitSampler(problem, enough=0)


def test_verdicts() -> None:
    """In the order of what is worst."""
    covered, missed = Modes(np.zeros((1, 1)), np.zeros(1)), Modes(np.zeros((1, 1)), np.array([3.5]))
    for told, modes, name in (
        ({"kl": 0.3, "ess": 0.05}, missed, "modes missed"),
        ({"kl": 0.3, "ess": 0.05}, covered, "low ess"),
        ({"kl": 0.3, "ess": 0.5}, covered, "large kl"),
        ({"kl": 0.06, "ess": 0.9}, covered, "reached"),
        ({"kl": np.nan, "ess": 0.9}, covered, "not finite"),
    ):
        assert judged(told, 0.01, modes, 0.05).name == name


def test_anchors_are_chosen_by_points_that_are_not_fitted() -> None:
    """One for a normal law, more for four clusters; the tails of a law from few points are no cliff."""
    rng = np.random.default_rng(33)
    choice = pma.choose_family(SampleProblem(rng.standard_normal((150, 2))), (1, 2, 7))
    assert choice.family.anchors == 1
    assert max(map(len, choice.summary().splitlines())) <= 80
    assert np.all(choice.held_out < 6), "one point of forty had −5·10⁵ nats: Q had shrunk to nothing"
    angle = rng.integers(0, 4, 150) * np.pi / 2
    x = 2 * np.c_[np.cos(angle), np.sin(angle)] + 0.3 * rng.standard_normal((150, 2))
    choice = pma.choose_family(SampleProblem(x), (1, 4))
    assert (choice.family.anchors, choice.outcome.name) == (4, "at end of ladder")
    assert choice.worse[0] > 3 * choice.error[0] > 0
    angle = rng.integers(0, 8, 1000) * np.pi / 4
    ring = 2 * np.c_[np.cos(angle), np.sin(angle)] + 0.2 * rng.standard_normal((1000, 2))
    choice = pma.choose_family(SampleProblem(ring), (2, 16))
    assert (choice.anchors.tolist(), choice.sums.tolist()) == ([2, 16, 16], [1, 1, 2])
    assert choice.family == LogSumExp(16, sums=2)
    assert repr(choice) == "<FamilyChoice: 16 anchors in 2 sums of [2, 16], at end of ladder>"
    assert choice.worse[1] > choice.worse[2] == 0
    with pytest.raises(ValueError, match="increasing"):
        pma.choose_family(SampleProblem(x), (4, 1))
    few = affordable(SampleProblem(x[:60]), 0)
    assert few.anchors == 4, "four points on a parameter"


def test_duplicated_points_and_one_dimension() -> None:
    """Each point twice is as each once: the density is that of the points, not of their copies."""
    x = two_modes(300, 24)
    flow = ImplicitSampler(SampleProblem(np.repeat(x, 2, axis=0), held_out=0.0), LogSumExp(4))
    assert -as_sampler(evolve(flow, flow.times(20)[-1:])).log_likelihood(two_modes(2000, 25)) < 1.6
    assert SampleProblem(x[:, 0]).dim == 1


def test_values_that_a_law_repeats_are_held_out_row_by_row() -> None:
    """Whole numbers: their common values were too many to be held out, their rare ones all were, and means were off by 0.24."""
    x = np.random.default_rng(1).poisson(2.0, (1000, 1)).astype(float)
    problem = SampleProblem(x)
    fitted, held = problem.split(0)
    assert len(held) == 100
    assert abs(x[held].mean() - x.mean()) < 0.5
    assert len(np.unique(x[fitted])) == len(np.unique(x))
    flow = ImplicitSampler(problem, LogSumExp(2))
    run = evolve(flow, flow.times(100)[-1:], throw=False, progress=False)
    assert abs(as_sampler(run).sample(20_000, 0).mean() - x.mean()) < 0.1
    assert run.outcome.name == "reference not reached"
    assert "which no density follows" in run.outcome.advice
    assert len(pma.choose_family(problem, (1,)).held_out) == 1


def test_command_line(tmp_path) -> None:
    """The numbers that Python gives; a bad table is refused in one line."""
    np.savetxt(tmp_path / "data.csv", two_modes(300, 27), delimiter=",")
    arguments = [
        str(tmp_path / "data.csv"),
        "--anchors",
        "4",
        "--count",
        "50",
        "--json",
        "--out",
        str(tmp_path / "new.csv"),
    ]
    result = CliRunner().invoke(app, ["sample", *arguments, "--keep", str(tmp_path / "kept")])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["samples"], told["dim"], told["ok"]) == (300, 1, True)
    law = load_sampler(tmp_path / "kept.npz").sample(8192, 0)  # of the law, not of the fifty points
    assert np.allclose([told["mean"], told["deviations"]], [law.mean(axis=0), law.std(axis=0)])
    assert np.allclose(np.loadtxt(tmp_path / "new.csv"), load_sampler(tmp_path / "kept.npz").sample(50, 0)[:, 0])
    angle = np.random.default_rng(34).integers(0, 8, 200) * np.pi / 4
    ring = 2 * np.c_[np.cos(angle), np.sin(angle)] + 0.2 * np.random.default_rng(35).standard_normal((200, 2))
    np.savetxt(tmp_path / "ring.csv", ring, delimiter=",")
    result = CliRunner().invoke(app, ["sample", str(tmp_path / "ring.csv"), "--json", "--steps", "40"])
    told = json.loads(result.stdout)
    assert (told["ok"], told["anchors"] in (8, 16, 32)) == (True, True), "200 points ended overfitting"
    np.savetxt(tmp_path / "flat.csv", np.ones((20, 2)), delimiter=",")
    refused = CliRunner().invoke(app, ["sample", str(tmp_path / "flat.csv")])
    assert refused.exit_code == 2
    assert "constant" in refused.output


def test_estimator_of_scikit_learn() -> None:
    """All of scikit-learn's own checks; in a pipeline, a log-density with the scale's determinant."""
    failed = [
        (told["check_name"], told["exception"])
        for told in check_estimator(SamplerDensity(anchors=3, steps=4), on_fail=None)
        if told["status"] not in {"passed", "skipped"}
    ]
    assert failed == []
    x = 5 * two_modes(400, 28)
    pipe = make_pipeline(StandardScaler(), SamplerDensity(anchors=6)).fit(x)
    assert pipe.score(x) - np.log(x.std()) == pytest.approx(two_modes_log(x / 5).mean() - np.log(5), abs=0.05)


@pytest.mark.parametrize("make", [lambda p: ImplicitSampler(p, LogSumExp(6)), MongeAmpereSampler])
def test_the_unit_of_the_data_does_not_matter(make) -> None:
    """x → ax + b moves and scales the law that is found, to roundings: it differed by hundredths of a nat."""
    rng = np.random.default_rng(29)
    x = rng.standard_normal((300, 2)) * [0.4, 0.7] + np.where(rng.random((300, 1)) < 0.4, -1.0, 1.0)

    def learned(x: np.ndarray) -> tuple[pma.Sampler, pma.Trajectory]:
        flow = make(SampleProblem(x))
        run = evolve(flow, flow.times(20)[-1:], throw=False)
        return as_sampler(run), run

    law, run = learned(x)
    for a, b in ((1e-6, 0.0), (3.7, [12.0, -1.0]), (1e5, 1e7)):
        other, again = learned(a * x + b)
        assert np.abs(other.log_density(a * x + b) - law.log_density(x) + 2 * np.log(a)).max() < 1e-8
        assert np.abs((other.sample(500, 1) - b) / a - law.sample(500, 1)).max() < 1e-8
        assert np.abs(other.inverse(a * x + b) - law.inverse(x)).max() < 1e-8
        assert np.abs((again.map(0) - b) / a - run.map(0)).max() < 1e-8
        places = run.map(0)[:50]  # readings of runs and of samplers are in the units of the data
        assert np.abs((other.psi.at(places).gradient - b) / a - law.psi.at(places).gradient).max() < 1e-8
        here = np.abs(again.log_density(0)).max()
        assert np.isfinite(here)
        if "nll" in run.records:
            assert np.abs(again.records["nll"] - run.records["nll"] - 2 * np.log(a)).max() < 1e-8
            assert np.allclose(again.records["min_hessian"], a * run.records["min_hessian"])


def test_the_inverse_of_one_point_does_not_depend_on_the_others(fitted: pma.Sampler) -> None:
    """The tolerance was that of the largest point of all."""
    x = np.linspace(-3, 3, 11)
    beside = fitted.log_density(np.append(x, 1e9))[:-1]
    assert np.abs(beside - fitted.log_density(x)).max() < 1e-10


def test_far_from_the_origin_every_point_has_its_preimage() -> None:
    """ψ(y) and x·y are large there, and their difference, which decides, has their roundings."""
    x = np.random.default_rng(0).standard_normal((300, 2))
    for place in (0.0, 1e3, 1e5):
        flow = ImplicitSampler(SampleProblem(x + place))
        sampler = as_sampler(evolve(flow, [10.0], throw=False))
        assert np.isfinite(sampler.log_density(x + place)).all()
    with pytest.raises(ValueError, match="no points"):
        sampler.log_likelihood(np.zeros((0, 2)))


def test_a_gradient_of_another_function_is_refused() -> None:
    """Half of it went through unnoticed, with a KL of 0.15 behind reached."""
    with pytest.raises(ValueError, match="grad_f is not the gradient of f"):
        pma.Posterior(lambda x: 0.5 * ((x - 3) ** 2).sum(1), lambda x: 2 * (x - 3), 2)
    for scale in (1e-6, 1.0, 1e6):
        pma.Posterior(lambda x, s=scale: 0.5 * s * (x**2).sum(1), lambda x, s=scale: s * x, 2)
    pma.Posterior(lambda x: np.abs(x).sum(1), lambda x: np.sign(x), 2)


def test_data_far_from_the_origin_are_refused() -> None:
    """At 1e8 the samples' deviations were 0.44 for 1."""
    x = np.random.default_rng(0).standard_normal((50, 2))
    with pytest.raises(ValueError, match="standard deviations from the origin"):
        pma.SampleProblem(x + 1e8)
    pma.SampleProblem(x + 1e4)


def fresh_excess(flow, normal: np.ndarray, fresh: np.ndarray) -> tuple[pma.Trajectory, float]:
    """A run to rest, and the nats a fresh point that its law has more than the normal law of the given points."""
    run = evolve(flow, [40.0], throw=False, progress=False)
    law = Normal(normal.mean(axis=0), np.cov(normal.T).reshape(normal.shape[1], -1))
    return run, float(np.mean(law.log_density(Cloud(fresh)))) - as_sampler(run).log_likelihood(Cloud(fresh))


@pytest.mark.parametrize(
    ("n", "copies", "anchors", "held_out", "words"),
    [
        (50, 10, 8, 0.1, "held-out points have"),  # ended as reached: copies of a point told of the point held out
        (60, 1, 16, 0.1, "normal law"),  # stopped early, which is ok: six points said so
        (100, 1, 20, 0.0, "as far as the fitted ones can tell"),  # reached: nothing was held out
        (1000, 1, 32, 0.1, "held-out points have"),  # reached: the end at rest was not judged
    ],
)
def test_worse_than_a_normal_law_is_said(n: int, copies: int, anchors: int, held_out: float, words: str) -> None:
    rng = np.random.default_rng(41)
    x, fresh = rng.standard_normal((n, 2)), rng.standard_normal((2000, 2))
    problem = SampleProblem(np.repeat(x, copies, axis=0), held_out=held_out)
    run, excess = fresh_excess(ImplicitSampler(problem, LogSumExp(anchors)), x, fresh)
    outcome = as_sampler(run).outcome
    print(f"{outcome.name}: {excess:.3f} nats, {outcome.advice}")
    assert excess > 0.04
    assert outcome.name == "overfitting"
    assert words in outcome.advice
    assert run.outcome == outcome
    run, excess = fresh_excess(ImplicitSampler(SampleProblem(x), LogSumExp(1)), x, fresh)
    assert as_sampler(run).outcome.ok, "the family of normal laws"
    assert excess < 0.05


def test_stopped_early_keeps_what_is_better_than_the_law_at_rest() -> None:
    """Eight clusters, 200 points: the law that is kept, its step and its nats are those that are said."""
    rng = np.random.default_rng(501)
    angle = rng.integers(0, 8, 1200) * np.pi / 4
    x = 2 * np.c_[np.cos(angle), np.sin(angle)] + 0.2 * rng.standard_normal((1200, 2))
    problem, family = SampleProblem(x[:200]), LogSumExp(24)
    flow = ImplicitSampler(problem, family)
    run = evolve(flow, flow.times(60)[-1:])
    law, held_out = as_sampler(run), run.records["held_out"]
    found = re.match(
        r"the potential after (\d+) of (\d+) steps is kept, with ([\d.]+) nats a held-out point", run.outcome.advice
    )
    assert run.outcome.name == "stopped early"
    assert run.outcome.ok
    assert found is not None
    best, steps, nats = int(found[1]), int(found[2]), float(found[3])
    assert 0 < best == 1 + np.argmin(held_out) < steps == len(held_out)
    fitted, held = problem.split(0)
    assert (
        nats
        == pytest.approx(-law.log_likelihood(problem.data[held]), abs=1e-3)
        == pytest.approx(held_out.min(), abs=1e-3)
    )
    rest = ImplicitSampler(SampleProblem(x[fitted], held_out=0.0), family)
    at_rest = as_sampler(evolve(rest, rest.times(60)[-1:], throw=False))
    print(
        f"{run.outcome}; fresh points {-law.log_likelihood(x[200:]):.3f}, at rest {-at_rest.log_likelihood(x[200:]):.3f}"
    )
    assert law.log_likelihood(x[200:]) > at_rest.log_likelihood(x[200:]) + 0.05


def test_a_run_at_rest_is_compared_with_a_normal_law() -> None:
    """It ended as reached, a sixth of a nat worse."""
    rng = np.random.default_rng(1)
    x = rng.standard_normal((300, 1))
    run, excess = fresh_excess(ImplicitSampler(SampleProblem(x), LogSumExp(8)), x, rng.standard_normal((2000, 1)))
    assert excess > 0.1
    assert run.outcome.name == "overfitting"
    assert "at its best" not in run.outcome.advice


def test_the_start_knows_nothing_of_what_is_held_out() -> None:
    """The covariance of all points, of which it was made, gave held-out points eight nats less than fresh ones."""
    rng = np.random.default_rng(42)
    x, fresh = rng.standard_normal((200, 50)), rng.standard_normal((1000, 50))
    flow = ImplicitSampler(SampleProblem(x, held_out=0.4), LogSumExp(1))
    run = evolve(flow, [1.0], throw=False)
    excess = -as_sampler(run).log_likelihood(Cloud(fresh)) - run.records["held_out"][-1]
    print(f"{excess:.1f} nats")
    assert abs(excess) < 3


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_small_matrices(dim: int) -> None:
    """Closed forms beside LAPACK; a singular matrix says nothing of the others."""
    rng = np.random.default_rng(43)
    A, r = rng.standard_normal((6, dim, dim)), rng.standard_normal((6, dim))
    H = A @ np.swapaxes(A, 1, 2) + 0.1 * np.eye(dim)
    H[1] *= -1
    assert np.allclose(matrices.inverse_of(H), np.linalg.inv(H), rtol=1e-12)
    sign, logs = np.linalg.slogdet(H)
    assert np.allclose(matrices.stacked_log_det(H), np.where(sign > 0, logs, np.nan), rtol=1e-12, equal_nan=True)
    exact = np.linalg.solve(H, r[:, :, None])[:, :, 0]
    H[2] = 0.0
    found = matrices.stacked_solve(H, r)
    assert not np.isfinite(found[2]).all()
    others = np.arange(6) != 2
    assert np.allclose(found[others], exact[others], rtol=1e-10)


@pytest.mark.parametrize("sampler", [ImplicitSampler, MongeAmpereSampler, pma.choose_family])
@pytest.mark.parametrize("given", [np.ones((9, 2)), 5, None, "points"])
def test_points_in_place_of_a_problem_are_refused(sampler, given: object) -> None:
    with pytest.raises(ValueError, match=r"problem=.*: give SampleProblem\(points\)"):
        sampler(given)


@pytest.mark.parametrize("sampler", [ImplicitSampler, MongeAmpereSampler])
def test_anything_in_place_of_a_family_is_refused(sampler) -> None:
    with pytest.raises(ValueError, match=r"family=24: give "):
        sampler(SampleProblem(two_modes(60, 2)), 24)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda p: MongeAmpereSampler(p, schedule=pma.ConstantSteps), "schedule=.*: give ConstantSteps"),
        (lambda p: pma.JKOSampler(p, density=5), r"density=5: give the data's Posterior"),
        (lambda p: pma.choose_family(p, (1, 2), seed=np.ones(2)), "seed="),
        (lambda p: pma.choose_family(p, ()), "anchors="),
        (pma.as_function, "run=.*: give a Trajectory"),
    ],
)
def test_other_things_are_refused_by_name(act, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        act(SampleProblem(two_modes(300, 2)))
