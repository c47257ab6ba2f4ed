"""Proximal steps: order 1 to PMA, the identity of each step, any length of step, boxes and space, closed forms, growing steps."""

from __future__ import annotations

import numpy as np
import pytest
from cases import T1_START, T2_START, TAU, t2

from pmasolve import (
    CHI_SQUARED,
    REVERSE_KL,
    Box,
    BregmanProximal,
    Entropy,
    FiniteDifference,
    GrowingSteps,
    JensenShannon,
    MongeAmpere,
    Problem,
    Relaxed,
    Torus,
    compare,
    evolve,
    transport,
)
from pmasolve.flows.mirror import Law, target_law
from pmasolve.gaussian import ClosedForm, Normal, Pair, Quadratic, bregman_proximal

ETAS = (0.005, 0.5, 500.0)


def test_order_one_to_pma_and_its_own_estimate(line: Problem) -> None:
    start = T1_START(line.domain.points)
    exact = evolve(MongeAmpere(line, rtol=1e-11), [1 / 64], initial=start)
    runs = [evolve(BregmanProximal(line, eta), [1 / 64], initial=start) for eta in (1 / 1024, 1 / 2048)]
    errors = [compare(run, exact).sup[0] for run in runs]
    assert 0.95 < np.log2(errors[0] / errors[1]) < 1.05
    assert runs[1].error_estimate().total[0] == pytest.approx(errors[1], rel=0.1)


@pytest.mark.parametrize("objective", [CHI_SQUARED, REVERSE_KL, JensenShannon(), Entropy(), Relaxed(1.5)])
def test_other_objectives(line: Problem, objective) -> None:
    start = T1_START(line.domain.points)
    exact = evolve(MongeAmpere(line, objective=objective, rtol=1e-11), [1 / 64], initial=start)
    runs = [
        evolve(BregmanProximal(line, eta, objective=objective), [1 / 64], initial=start) for eta in (1 / 1024, 1 / 2048)
    ]
    errors = [compare(run, exact).sup[0] for run in runs]
    assert 0.95 < np.log2(errors[0] / errors[1]) < 1.05
    long = evolve(BregmanProximal(line, 0.5, objective=objective), [2.0], initial=start).records
    assert np.all(np.diff(long["value"]) < 1e-15)
    assert np.all(long["slack"] > -1e-12)
    assert np.all(long["pairing"] >= long["value"] - 1e-12)
    assert long["value"][-1] < 1e-9


@pytest.mark.parametrize("eta", ETAS)
def test_a_step_solves_its_equation_and_its_identity(eta: float) -> None:
    problem = t2(24)
    start = T2_START(problem.domain.points)
    flow = BregmanProximal(problem, eta)
    run = evolve(flow, flow.times(3), initial=start)
    before, after = Law(problem, start), Law.of(run, 0)
    assert np.abs(after.potential - start - eta * (problem.f + after.log_density)).max() < 1e-8 * max(1.0, eta)
    goal = target_law(problem)
    drop = (before.bregman(goal) - after.bregman(goal)) / eta
    moved = before.bregman(after) / eta
    assert drop - after.jeffreys == pytest.approx(moved, rel=1e-6, abs=1e-9)
    assert run.records["slack"][0] == pytest.approx(moved, rel=1e-6, abs=1e-9)
    assert run.records["regret"][-1] <= before.bregman(goal)
    assert np.all(np.diff(np.append(before.kl, run.records["kl"])) <= 1e-15)
    assert run.records["newton"].max() <= 4


@pytest.mark.parametrize(
    "grid", [Box((24,)), Box((16, 20), (1.0, 2.0)), Torus((8, 10, 8)), Torus((24, 16), (2.0, 1.0))]
)
def test_one_long_step_is_the_brenier_map(grid) -> None:
    def wave(*x):
        return 0.3 * np.cos(TAU * x[0] / grid.lengths[0]) * np.cos(TAU * x[-1] / grid.lengths[-1])

    problem = Problem(grid, wave, lambda *y: -0.2 * np.cos(TAU * y[-1] / grid.lengths[-1]))
    run = evolve(BregmanProximal(problem, 1e6), [1e6])
    assert grid.sup(grid.centred(run.potentials[0] - transport(problem).potential)) < 1e-6
    assert run.records["newton"][0] <= 5


def test_differences_converge_to_fourier() -> None:
    start, at = lambda x: T1_START(x), {}
    for n in (32, 64):
        line = Problem(Torus((n,)), lambda x: 0.3 * np.cos(TAU * x), lambda y: 0.2 * np.sin(TAU * y))
        u0 = start(line.domain.points)
        pair = [
            evolve(BregmanProximal(line, 0.1, space=s), [0.2], initial=u0)
            for s in (FiniteDifference(4), FiniteDifference(6))
        ]
        fine = evolve(BregmanProximal(line, 0.1), [0.2], initial=u0)
        at[n] = [compare(run, fine).sup[0] for run in pair]
    orders = np.log2(np.array(at[32]) / np.array(at[64]))
    assert orders[0] > 3.7
    assert orders[1] > 5.5


def test_growing_steps_reach_a_steep_map_that_one_step_does_not_start_from() -> None:
    bumps = Problem(Torus((128,)), lambda x: 1.5 * np.cos(TAU * x), lambda y: -1.0 * np.cos(TAU * y))
    flow = BregmanProximal(bumps, GrowingSteps(1e-3, 4.0))
    run = evolve(flow, flow.times(12)[-1:])
    assert run.records["kl"][-1] < 1e-8
    assert run.outcome.ok
    assert bumps.domain.sup(bumps.domain.centred(run.potentials[0] - transport(bumps).potential)) < 1e-6


@pytest.mark.parametrize("d", [1, 3])
def test_closed_form(d: int) -> None:
    rng = np.random.default_rng(4)
    S, T, A = ((lambda M: M @ M.T + 0.3 * np.eye(d))(rng.standard_normal((d, d))) for _ in range(3))
    pair = Pair(Normal(rng.standard_normal(d), S), Normal(rng.standard_normal(d), T))
    start = Quadratic(A, rng.standard_normal(d), 0.3, pair.source.mean)
    eta, x = 0.7, rng.standard_normal((5, d))
    after = bregman_proximal(pair, start, eta)
    speed = (
        np.linalg.slogdet(after.hessian)[1] + pair.target.log_density(after.gradient(x)) - pair.source.log_density(x)
    )
    assert np.allclose(after(x) - eta * speed, start(x), rtol=0, atol=1e-12)
    law, pi = pair.law(after), Normal(np.zeros(d), np.eye(d))
    left = (pair.bregman(pi, start) - pair.bregman(pi, after)) / eta
    right = law.kl(pair.source) - pi.kl(pair.source) + pi.kl(law)
    assert left - right == pytest.approx(pair.bregman(law, start) / eta, rel=1e-10)
    many = [bregman_proximal(pair, start, np.full(n, 1 / n)).hessian for n in (32, 64)]
    errors = [np.abs(H - ClosedForm(pair, start).hessian(1.0)).max() for H in many]
    assert 0.9 < np.log2(errors[0] / errors[1]) < 1.1


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda p: BregmanProximal(p, 0.0), "step=0.0: .* positive"),
        (lambda p: evolve(BregmanProximal(p, 0.01), [0.025]), "t=0.025 is no sum of the first steps"),
        (
            lambda p: evolve(BregmanProximal(p, 0.1), [0.1], initial=np.cos(TAU * p.domain.axis(0))),
            "not strictly convex",
        ),
        (lambda p: GrowingSteps(0.1, 0.5), "factor=0.5"),
        (lambda p: bregman_proximal(Pair(*[Normal([0.0], [[1.0]])] * 2), Quadratic([[1.0]]), [0.1, -1.0]), "etas=-1.0"),
    ],
)
def test_mistakes(line: Problem, act, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        act(line)
