"""Mirror geometry along trajectories: identities of the continuous flow, distances, Euclidean examples."""

from __future__ import annotations

import numpy as np
import pytest
from cases import T1_START, T2_START, TAU, t1, t2

from pmasolve import (
    CHI_SQUARED,
    KL,
    REVERSE_KL,
    Entropy,
    FokkerPlanck,
    JensenShannon,
    MirrorDescent,
    MongeAmpere,
    Problem,
    Torus,
    evolve,
)
from pmasolve.flows.mirror import Law, along, target_law
from pmasolve.flows.schedules import ConstantSteps


@pytest.mark.parametrize(("problem", "start"), [(t1(48), T1_START), (t2(32), T2_START)])
@pytest.mark.parametrize("objective", [KL(), Entropy(), CHI_SQUARED])
def test_mirror_and_primal_coordinates_give_one_continuity_equation(problem: Problem, start, objective) -> None:
    law = Law(problem, start(problem.domain.points), objective=objective)
    assert np.max(np.abs(law.mirror_rate() - law.primal_rate())) < 2e-6
    assert abs(problem.domain.integral(law.primal_rate())) < 1e-12


@pytest.mark.parametrize("objective", [KL(), Entropy(), CHI_SQUARED, REVERSE_KL, JensenShannon()])
def test_density_moves_as_the_velocity_says(line: Problem, objective) -> None:
    """(ρ_{t+h} − ρ_{t−h})/2h against −div(ρv), and of F against the dissipation."""
    h, t = 1e-4, 0.01
    flow = MongeAmpere(line, objective=objective, rtol=1e-11)
    run = evolve(flow, [t - h, t, t + h], initial=T1_START(line.domain.points))
    before, now, after = (Law.of(run, i) for i in range(3))
    rate = (after.density - before.density) / (2 * h)
    assert now.objective == objective
    assert np.max(np.abs(rate - now.primal_rate())) < 2e-3 * np.max(np.abs(rate))
    assert (before.value - after.value) / (2 * h) == pytest.approx(now.dissipation(), rel=1e-3)


@pytest.mark.parametrize(("problem", "start"), [(t1(48), T1_START), (t2(24), T2_START)])
def test_bregman_falls_at_the_rate_of_jeffreys(problem: Problem, start) -> None:
    """arXiv 2307.16421: the continuous variational inequality is an identity."""
    h, t, goal = 2e-4, 0.005, target_law(problem)
    times = [t - 2 * h, t - h, t, t + h, t + 2 * h]
    run = evolve(MongeAmpere(problem, rtol=1e-12), times, initial=start(problem.domain.points))
    B = [Law.of(run, i).bregman(goal) for i in range(5)]
    rate = (B[0] - 8 * B[1] + 8 * B[3] - B[4]) / (12 * h)
    assert -rate == pytest.approx(Law.of(run, 2).jeffreys, rel=1e-6)


def test_metric_derivative_of_linearised_transport(line: Problem) -> None:
    h, t = 1e-4, 0.01
    run = evolve(MongeAmpere(line, rtol=1e-12), [t - h, t, t + h], initial=T1_START(line.domain.points))
    before, now, after = (Law.of(run, i) for i in range(3))
    assert after.lot(before) / (2 * h) == pytest.approx(now.speed(), rel=1e-4)
    assert now.lot(now) < 1e-12
    assert after.wasserstein(before) <= after.lot(before) * (1 + 1e-9)


def test_along_any_flow(line: Problem) -> None:
    start, times, goal = T1_START(line.domain.points), [0.004, 0.012], target_law(line)
    runs = [
        evolve(flow, times, initial=start)
        for flow in (MongeAmpere(line), FokkerPlanck(line), MirrorDescent(line, ConstantSteps(0.001), modes=6))
    ]
    for run in runs:
        columns = along(run, goal)
        assert set(columns) >= {"kl", "reverse_kl", "jeffreys", "bregman", "lot", "wasserstein", "speed", "dissipation"}
        assert all(np.all(np.diff(column) < 0) for column in columns.values())
        assert np.all(columns["bregman"] > 0)
        assert np.all(columns["wasserstein"] <= columns["lot"] * (1 + 1e-9))
        # Bregman ≥ half the modulus of convexity of G: here D²ψ* within a few percent of 1
        assert np.all(np.abs(columns["bregman"] / (0.5 * columns["lot"] ** 2) - 1) < 0.5)


def test_potential_without_a_law_is_refused() -> None:
    problem = Problem(Torus((32,)), np.zeros(32), np.zeros(32))
    with pytest.raises(ValueError, match=r"not strictly convex .* smaller"):
        Law(problem, np.cos(TAU * problem.domain.axis(0)))
