"""Fokker–Planck and JKO on grids: against the heat equation, against one another, and their conservation laws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cases import T1_START, T2_START, TAU, t1, t2

from pmasolve import (
    CHI_SQUARED,
    JKO,
    Box,
    BregmanProximal,
    ConstantSteps,
    Entropy,
    FiniteDifference,
    FokkerPlanck,
    JensenShannon,
    MirrorDescent,
    MongeAmpere,
    Outcome,
    Problem,
    Relaxed,
    Stopped,
    Torus,
    compare,
    evolve,
)
from pmasolve.flows import densities_as_states as laws
from pmasolve.flows.mirror import Law


def test_heat_equation_exactly() -> None:
    """f = 0: ρ − 1 decays by e^{−4π²t}."""
    problem = Problem(Torus((32,)), lambda x: 0 * x, lambda y: -np.log(1 + 0.3 * np.cos(TAU * y)))
    run = evolve(FokkerPlanck(problem, rtol=1e-12), [0.01, 0.05])
    for t, log_rho in zip(run.times, run.fields["log_density"], strict=True):
        exact = 1 + 0.3 * np.exp(-(TAU**2) * t) * np.cos(TAU * problem.domain.axis(0))
        assert np.max(np.abs(np.exp(log_rho) - exact)) < 1e-10


@pytest.mark.parametrize("space", [None, FiniteDifference(2)])
def test_stationary_density_and_mass(space: FiniteDifference | None) -> None:
    problem = t2(20)
    flow = FokkerPlanck(problem) if space is None else FokkerPlanck(problem, space=space)
    run = evolve(flow, [0.4], initial=T2_START(problem.domain.points))
    assert np.max(np.abs(run.records["mass"] - run.records["mass"][0])) < flow.rtol  # what the Krylov solver leaves
    assert np.max(np.abs(run.fields["log_density"][0] + problem.f)) < 1e-6
    assert np.all(np.diff(run.records["kl"]) < 1e-12)


def test_potential_and_density_agree(line: Problem) -> None:
    start = T1_START(line.domain.points)
    for flow in (FokkerPlanck(line), JKO(line, 1 / 256)):
        run = evolve(flow, [1 / 256, 1 / 64], initial=start)
        for i in range(2):
            assert np.max(np.abs(run.log_density(i) - run.fields["log_density"][i])) < 1e-8


def test_jko_has_order_one(line: Problem) -> None:
    start = T1_START(line.domain.points)
    exact = evolve(FokkerPlanck(line, rtol=1e-11), [1 / 64], initial=start)
    errors = [compare(evolve(JKO(line, h), [1 / 64], initial=start), exact).sup[0] for h in (1 / 512, 1 / 1024)]
    assert 0.92 < np.log2(errors[0] / errors[1]) < 1.02
    assert errors[1] < 1.3e-4


def test_jko_step_is_a_minimum(line: Problem) -> None:
    """KL + W₂²/2h at the step's density is below that of densities nearby."""
    h, run = 0.01, evolve(JKO(line, 0.01), [0.01], initial=T1_START(line.domain.points))
    before, after = JKO(line, h).reading.log_density(T1_START(line.domain.points)), run.fields["log_density"][0]
    grid, x = line.domain, line.domain.axis(0)

    def value(log_rho: np.ndarray) -> float:
        density = np.exp(log_rho)
        density /= grid.integral(density)
        kl = grid.integral(density * (np.log(density) + line.f))
        mu, nu = (np.cumsum(np.repeat(d, 40)) / 40 / 64 for d in (density, np.exp(before)))
        return kl + _circle(mu, nu) / (2 * h)

    at = value(after)
    for bump in (np.cos(TAU * x + 0.4), np.sin(2 * TAU * x)):
        assert min(value(after + s * bump) for s in (-0.05, 0.05)) > at + 1e-5


def _circle(F: np.ndarray, G: np.ndarray) -> float:
    """W₂² on the unit circle from two distribution functions at equispaced points: least over shifts of the quantiles."""
    levels, x = (np.arange(4000) + 0.5) / 4000, np.arange(1, F.size + 1) / F.size
    extended = np.concatenate([G - 1, G, G + 1]), np.concatenate([x - 1, x, x + 1])
    source = np.interp(levels, np.concatenate([[0], F]), np.concatenate([[0], x]))
    return min(np.mean((np.interp(levels + s, *extended) - source) ** 2) for s in np.linspace(-0.05, 0.05, 201))


def test_plane_and_box() -> None:
    plane = t2(24)
    u0 = T2_START(plane.domain.points)
    exact = evolve(FokkerPlanck(plane), [1 / 128], initial=u0)
    errors = [compare(evolve(JKO(plane, h), [1 / 128], initial=u0), exact).sup[0] for h in (1 / 256, 1 / 512)]
    assert 0.85 < np.log2(errors[0] / errors[1]) < 1.05
    box = Problem(Box((32,)), lambda x: 0.4 * np.cos(np.pi * x), lambda y: 0 * y)
    run = evolve(FokkerPlanck(box), [0.02])
    assert run.records["mass"][-1] == pytest.approx(1, abs=1e-9)
    assert compare(evolve(JKO(box, 0.001), [0.02]), run).sup[0] < 1e-3


def test_the_three_flows_differ_but_share_start_and_end(line: Problem) -> None:
    """Fokker–Planck, JKO and PMA start from one ρ₀ and end in e^{−f}; between, the mirror flow is another one."""
    start, times = T1_START(line.domain.points), [0.005, 1.0]
    fokker, pma = (evolve(flow, times, initial=start) for flow in (FokkerPlanck(line), MongeAmpere(line)))
    between, end = compare(fokker, pma).sup
    assert between > 1e-5
    assert end < 1e-7


def test_errors_estimate_themselves(line: Problem) -> None:
    run = evolve(JKO(line, 1 / 256), [1 / 64], initial=T1_START(line.domain.points))
    exact = evolve(FokkerPlanck(line, rtol=1e-11), [1 / 64], initial=T1_START(line.domain.points))
    assert run.error_estimate().total[0] == pytest.approx(compare(run, exact).sup[0], rel=0.1)
    assert exact.error_estimate().total[0] < 1e-9


def test_too_long_a_step_says_so() -> None:
    rough = Problem(Torus((32,)), lambda x: 6 * np.cos(TAU * x), lambda y: 3 * np.cos(3 * TAU * y))
    with pytest.raises(Stopped, match="shorter step"):
        evolve(JKO(rough, 50.0), [50.0])


def test_density_that_the_grid_does_not_resolve() -> None:
    spiky = Problem(Torus((16,)), lambda x: 0 * x, lambda y: 8 * np.cos(5 * TAU * y))
    run = evolve(FokkerPlanck(spiky), [1e-3, 2e-3], throw=False)
    assert run.outcome.name == "positivity lost"
    assert "refine the grid" in run.outcome.advice


@pytest.mark.parametrize("make", [FokkerPlanck, lambda p: JKO(p, 0.01)])
def test_a_potential_that_is_not_found_ends_the_run(make, line: Problem, monkeypatch) -> None:
    original = laws.transport
    broken = Outcome("stalled", False, "on purpose")
    monkeypatch.setattr(laws, "transport", lambda problem, progress: replace(original(problem), outcome=broken))
    run = evolve(make(line), [0.01, 0.02], throw=False)
    assert run.outcome.name == "potential not found"
    assert "transport: stalled: on purpose" in run.outcome.advice
    assert run.times.size == 0
    assert np.isfinite(run.latest[1]).all()


@pytest.mark.parametrize(
    "make",
    [
        FokkerPlanck,
        lambda p: JKO(p, 0.01),
        lambda p: MirrorDescent(p, ConstantSteps(0.01)),
        lambda p: BregmanProximal(p, 0.1),
    ],
)
def test_densities_are_needed_everywhere(make) -> None:
    with pytest.raises(ValueError, match="density of the source is not known"):
        make(Problem.from_samples([[0.0], [1.0]], [[0.5]]))
    hole = np.where(np.arange(16) < 4, 0.0, 1.0)
    with pytest.raises(ValueError, match=r"mu has 4 values ≤ 0 .* add a floor"):
        make(Problem.from_densities(Torus((16,)), hole, np.ones(16)))


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda p: JKO(p, 0.0), "step=0.0: .* positive"),
        (lambda p: evolve(JKO(p, 0.01), [0.025]), "t=0.025 is not a multiple of step=0.01"),
        (lambda p: FokkerPlanck(p, rtol=1.0), "rtol=1.0: .* between"),
        (lambda p: evolve(FokkerPlanck(p), [0.1], initial=np.cos(TAU * p.domain.axis(0))), "not strictly convex"),
    ],
)
def test_mistake_is_named(act, words: str, line: Problem) -> None:
    with pytest.raises(ValueError, match=words):
        act(line)


@pytest.mark.parametrize("objective", [CHI_SQUARED, JensenShannon(), Entropy(), Relaxed(2.0)])
def test_other_objectives_fall_by_their_dissipation(objective) -> None:
    """−dF/dt = ∫|∇h(f + log ρ)|² dρ along ∂ₜρ = div(ρ∇h), F falls, and mass is conserved."""
    problem, h, t = t1(48), 1e-4, 0.01
    flow = FokkerPlanck(problem, objective=objective, rtol=1e-11)
    run = evolve(flow, [t - h, t, t + h], initial=T1_START(problem.domain.points))
    before, now, after = (Law.of(run, i) for i in range(3))
    assert (before.value - after.value) / (2 * h) == pytest.approx(now.wasserstein_dissipation(), rel=1e-3)
    assert np.all(np.diff(run.records["value"]) < 0)
    assert np.abs(run.records["mass"] - 1).max() < 1e-9
