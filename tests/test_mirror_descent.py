"""Explicit mirror descent: order 1 to PMA, both sides of the variational inequality, the certificate, the CFL bound."""

from __future__ import annotations

import numpy as np
import pytest
from cases import T1_START, T2_START, t2

from pmasolve import (
    ConstantSteps,
    HarmonicSteps,
    MirrorDescent,
    MongeAmpere,
    Problem,
    Stopped,
    compare,
    evolve,
    logarithmic_steps,
    square_root_steps,
)


def test_order_one_to_pma(line: Problem) -> None:
    start = T1_START(line.domain.points)
    exact = evolve(MongeAmpere(line, rtol=1e-11), [1 / 64], initial=start)
    errors = [
        compare(evolve(MirrorDescent(line, ConstantSteps(eta), modes=8), [1 / 64], initial=start), exact).sup[0]
        for eta in (1 / 4096, 1 / 8192)
    ]
    assert 0.95 < np.log2(errors[0] / errors[1]) < 1.05


@pytest.mark.parametrize(
    "schedule", [ConstantSteps(1e-3), HarmonicSteps(2e-3), logarithmic_steps(2000, 0.3), ConstantSteps(2e-4)]
)
def test_both_sides_and_the_certificate(line: Problem, schedule) -> None:
    flow = MirrorDescent(line, schedule, modes=6)
    run = evolve(flow, flow.times(40)[-1:], initial=T1_START(line.domain.points))
    records = run.records
    assert records["eta"] == pytest.approx([schedule(k) for k in range(40)])
    assert np.all(records["lower_slack"] > -1e-12)
    assert np.all(records["upper_slack"] > -1e-12)
    assert np.all(records["lower_slack"][:5] < records["remainder"][:5]), "the remainder is what the bound needs"
    assert np.all(np.diff(records["certificate"]) > -1e-14)
    total = np.sum(
        records["eta"] * (records["bregman_drop"] / records["eta"] - records["pairing"] + records["remainder"])
    )
    assert records["certificate"][-1] == pytest.approx(total, rel=1e-10)
    projected = records["kl"] + records["reverse_kl"] - records["pairing"]
    assert np.max(np.abs(projected)) < 1e-6 * records["pairing"][0]


def test_plane() -> None:
    problem = t2(24)
    flow = MirrorDescent(problem, ConstantSteps(1e-3), modes=4)
    run = evolve(flow, flow.times(20)[-1:], initial=T2_START(problem.domain.points))
    assert np.all(run.records["lower_slack"] > -1e-12)
    assert np.all(run.records["upper_slack"] > -1e-12)
    assert run.records["kl"][-1] < 0.6 * run.records["kl"][0]


def test_cfl_separates_stable_from_unstable(line: Problem) -> None:
    start = T1_START(line.domain.points)
    bound = MirrorDescent(line, ConstantSteps(1.0)).cfl(start)
    assert bound == pytest.approx(2 * (1 - 0.006 * 4 * np.pi**2) / (64 * np.pi) ** 2, rel=1e-3)
    with pytest.raises(Stopped, match=r"convexity lost: step .* fewer modes") as caught:
        evolve(MirrorDescent(line, ConstantSteps(8 * bound)), [240 * bound], initial=start)
    assert caught.value.trajectory.latest[0] < 240 * bound
    assert evolve(MirrorDescent(line, ConstantSteps(bound / 2)), [240 * bound], initial=start).outcome.ok
    fewer = MirrorDescent(line, ConstantSteps(8 * bound), modes=8)
    assert fewer.cfl(start) == pytest.approx(16 * bound, rel=1e-12)
    assert evolve(fewer, [240 * bound], initial=start).outcome.ok


def test_errors_estimate_themselves(line: Problem) -> None:
    start = T1_START(line.domain.points)
    run = evolve(MirrorDescent(line, ConstantSteps(1 / 1024), modes=6), [1 / 64], initial=start)
    exact = evolve(MongeAmpere(line, rtol=1e-10), [1 / 64], initial=start)
    assert run.error_estimate().total[0] == pytest.approx(compare(run, exact).sup[0], rel=0.2)


def test_schedules() -> None:
    assert square_root_steps(400)(7) == 0.05
    assert HarmonicSteps(3.0)(2) == 1.0
    assert logarithmic_steps(100, 2.0)(0) == pytest.approx(0.02 * np.log(100))


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda p: ConstantSteps(0.0), "eta=0.0: .* positive"),
        (lambda p: MirrorDescent(p, ConstantSteps(1e-3), modes=0), "modes=0: .* at least 1"),
        (lambda p: evolve(MirrorDescent(p, HarmonicSteps(1e-3)), [0.0012]), "t=0.0012 is no sum .* 0.001 and 0.0015"),
        (lambda p: MirrorDescent(p, lambda k: -1.0).times(3), r"schedule\(0\)=-1.0"),
    ],
)
def test_mistake_is_named(act, words: str, line: Problem) -> None:
    with pytest.raises(ValueError, match=words):
        act(line)
