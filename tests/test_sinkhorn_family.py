"""Sinkhorn with other objectives and shorter steps, and in continuous time: orders, limits, engines, and what runs say."""

from __future__ import annotations

import numpy as np
import pytest
from cases import T1_START, t1, t2

from pmasolve import (
    CHI_SQUARED,
    HELLINGER,
    KL,
    PLAIN,
    REVERSE_KL,
    SELF,
    SYMMETRIC,
    AlphaDivergence,
    Dense,
    Entropy,
    JensenShannon,
    LinearisedMongeAmpere,
    MongeAmpere,
    Objective,
    Plan,
    Problem,
    Relaxed,
    Richardson,
    Sinkhorn,
    SinkhornFlow,
    Torus,
    as_function,
    corrected,
    cross_check,
    evolve,
    resume,
)
from pmasolve.sinkhorn.steps import SinkhornStep

T = 1 / 32
EPS = [2.0**-j for j in (9, 10, 11)]
START = T1_START(t1(64).domain.points)
RNG = np.random.default_rng(20261129)
CLOUDS = Problem.from_samples(RNG.standard_normal((40, 2)), RNG.standard_normal((50, 2)) + 1, b=RNG.uniform(1, 2, 50))


def orders(errors: list[float]) -> np.ndarray:
    return np.log2(np.array(errors[:-1]) / errors[1:])


@pytest.mark.parametrize("objective", [CHI_SQUARED, JensenShannon(), Entropy()])
def test_order_one_and_two_after_richardson(objective) -> None:
    limit = evolve(MongeAmpere(t1(64), objective=objective, rtol=1e-11), [T], initial=START).potentials[0]
    flow = Sinkhorn(t1(64), EPS[0], objective=objective, quadrature=1e-9)
    plain = [evolve(Sinkhorn(t1(64), eps, objective=objective, quadrature=1e-9), [T], initial=START) for eps in EPS]
    assert orders([np.abs(run.potentials[0] - limit).max() for run in plain]) == pytest.approx(1, abs=0.04)
    twice = [
        evolve(Richardson(t1(64), eps, gauge=PLAIN, objective=objective, quadrature=1e-9), [T], initial=START)
        for eps in EPS[:2]
    ]
    errors = [np.abs(run.potentials[0] - limit).max() for run in twice]
    assert orders(errors) == pytest.approx(2, abs=0.06)
    assert twice[0].potentials[0] == pytest.approx(2 * plain[1].potentials[0] - plain[0].potentials[0], abs=1e-14)
    estimate = flow.error_estimate(plain[0])
    assert estimate.time[0] == pytest.approx(np.ptp(plain[0].potentials[0] - limit) / 2, rel=0.5)


@pytest.mark.parametrize("ratio", [1.0, 0.5, 0.0])
@pytest.mark.parametrize("objective", [KL(), CHI_SQUARED, Entropy()])
def test_corrected_order_is_two_for_every_step_and_objective(objective, ratio: float) -> None:
    """From r₀ = 0.3 cos 2πx, with the second field z."""
    r = 0.3 * np.cos(2 * np.pi * t1(64).domain.points[0])
    direction = r + 0.5 * t1(64).f
    exact = evolve(
        LinearisedMongeAmpere(t1(64), direction, objective=objective, ratio=ratio, rtol=1e-9), [T], initial=START
    )
    term, errors, plain = exact.flow.corrector(exact, 0), [], []
    for eps in EPS:
        discrete = Sinkhorn(t1(64), eps, step=ratio * eps, objective=objective, quadrature=1e-9) if ratio else None
        flow = discrete or SinkhornFlow(t1(64), eps, objective=objective, rtol=1e-10, quadrature=1e-9)
        found = evolve(flow, [T], initial=START + eps * r).potentials[0] - exact.potentials[0]
        plain.append(np.abs(found).max())
        errors.append(np.abs(found - eps * term).max())
    assert orders(errors)[-1] == pytest.approx(2, abs=0.05)
    assert orders(plain)[-1] == pytest.approx(1, abs=0.1)


def test_without_a_ratio_the_second_field_is_that_of_kl() -> None:
    runs = [evolve(LinearisedMongeAmpere(t1(32), t1(32).f, ratio=ratio, rtol=1e-9), [0.01]) for ratio in (None, 1.0)]
    assert runs[0].fields.keys() == {"w"}
    assert np.abs(runs[1].fields["z"]).max() < 1e-9
    assert runs[0].flow.corrector(runs[0], 0) == pytest.approx(runs[1].flow.corrector(runs[1], 0), abs=1e-8)


def test_steps_tend_to_the_flow_with_order_one() -> None:
    eps = 2.0**-8
    exact = evolve(SinkhornFlow(t1(64), eps, rtol=1e-11), [T], initial=START).potentials[0]
    errors = [
        np.abs(evolve(Sinkhorn(t1(64), eps, step=eps / n), [T], initial=START).potentials[0] - exact).max()
        for n in (2, 4, 8)
    ]
    assert orders(errors) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    "flow",
    [
        lambda p, **o: Sinkhorn(p, 0.5, objective=CHI_SQUARED, step=0.0625, **o),
        lambda p, **o: Sinkhorn(p, 0.5, objective=HELLINGER, step=1 / 64, **o),
        lambda p, **o: SinkhornFlow(p, 0.5, objective=JensenShannon(), **o),
    ],
)
def test_clouds_and_every_engine(flow) -> None:
    """One limit, the Schrödinger potential; half steps are those of the potential itself; engines agree."""
    run = evolve(flow(CLOUDS), [0.25, 100.0])
    assert np.abs(Plan.of(run, 1).log_source_ratio).max() < 1e-5  # both marginals
    fallen = run.records["value"]
    assert np.all(np.diff(fallen[fallen > 1e-10]) < 0)
    assert np.array_equal(run.fields["v"][0], evolve(flow(CLOUDS), [0.25]).fields["v"][0])
    dense = evolve(flow(CLOUDS, softmin=Dense()), [0.25])
    assert dense.potentials[0] == pytest.approx(run.potentials[0], abs=1e-12)
    assert Plan.of(run, 0).log_target_ratio == pytest.approx(0, abs=1e-12)  # the plan of φ: its y-marginal is exact
    assert as_function(run, 0).map(CLOUDS.domain.points) == pytest.approx(run.map(0), abs=1e-12)


def test_every_time_is_as_accurate_as_the_steps() -> None:
    """Steps are as long as stability allows: the integrator's interpolant inside the last one was off by 1000 rtol and more."""
    times = np.linspace(0.02, 1 / 32, 8)
    tight, loose = (
        evolve(SinkhornFlow(t1(64), 2.0**-11, rtol=rtol, quadrature=1e-9), times, initial=START).potentials
        for rtol in (1e-13, 1e-11)
    )
    assert np.abs(tight - loose).max() < 5e-11


def test_resumed_runs_and_two_times_in_one_step_of_the_integrator() -> None:
    flow = SinkhornFlow(t1(64), 0.01)
    whole = evolve(flow, [0.001, 0.002, 0.03], initial=START)
    assert resume(evolve(flow, [0.002], initial=START), [0.03]).potentials[-1] == pytest.approx(
        whole.potentials[-1], abs=1e-9
    )
    assert whole.at(0.015).potentials[0] == pytest.approx(evolve(flow, [0.015], initial=START).potentials[0], abs=1e-9)
    stepped = Sinkhorn(t1(64), 0.01, step=0.005, objective=CHI_SQUARED)
    part = resume(evolve(stepped, [0.01], initial=START), [0.03])
    assert np.array_equal(part.potentials[-1], evolve(stepped, [0.03], initial=START).potentials[0])


# ---- what is safe -------------------------------------------------------------------------------------------------------------


def test_a_run_says_where_steps_expand_and_ends_where_they_are_unstable() -> None:
    """(η/ε)h′ up to 1 without a word, up to 2 with a remark, beyond an outcome that names the step."""
    steep = Problem(Torus((64,)), lambda x: 1.5 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    run = evolve(Sinkhorn(steep, 1 / 64, objective=CHI_SQUARED), [1 / 16], throw=False)
    assert run.outcome.name == "unstable step"
    safe = float(run.outcome.advice.split("step ≤ ")[1].split(",")[0])
    quiet = evolve(Sinkhorn(steep, 1 / 64, objective=CHI_SQUARED, step=1 / 512), [1 / 16])
    assert 1 / 512 < safe < 1 / 64
    assert (quiet.outcome.name, quiet.outcome.advice) == ("reached", "")
    assert quiet.records["steepest"].max() <= 1
    between = evolve(Sinkhorn(steep, 1 / 64, objective=CHI_SQUARED, step=1 / 128), [1 / 16, 1 / 8])
    assert between.outcome.ok
    assert 1 < between.records["steepest"].max() < 2
    assert "nonexpansive" in str(between.outcome)
    backwards = evolve(
        Sinkhorn(steep, 1 / 64, objective=Objective(np.sin, np.cos), quadrature=1.0), [1 / 16], throw=False
    )
    assert backwards.outcome.name in ("not parabolic", "reached")


def test_the_thresholds_are_those_of_the_step() -> None:
    """One node's ratio: h′ = e^s."""
    cloud = Problem.from_samples([[0.0], [1.0]], [[0.5]])
    for eta, s, stable in ((1.0, 0.69, True), (1.0, 0.70, False), (0.5, 1.38, True), (0.5, 1.39, False)):
        taken = SinkhornStep(cloud, 1.0, eta, CHI_SQUARED).take(np.zeros(2), np.array([s, 0.0]))
        assert taken.outcome.name == ("reached" if stable else "unstable step")
        assert taken.steepest == pytest.approx(eta * np.exp(s))
    assert (
        SinkhornStep(cloud, 1.0, 1.0, Objective(np.sin, np.cos)).take(np.zeros(2), np.array([1.6, 0.0])).outcome.name
        == "not parabolic"
    )


def test_over_relaxation_is_stable_below_two_and_faster() -> None:
    problem, eps = t1(64), 1 / 64
    speeds = [
        evolve(Sinkhorn(problem, eps, objective=Relaxed(omega)), [16 * eps]).records["marginal_error"][-1]
        for omega in (1.0, 1.5)
    ]
    assert speeds[1] < 0.1 * speeds[0]
    assert evolve(Sinkhorn(problem, eps, objective=Relaxed(2.1)), [eps], throw=False).outcome.name == "unstable step"
    assert "1.5" in evolve(Sinkhorn(problem, eps, objective=Relaxed(1.5)), [eps]).outcome.advice


def test_nonexpansive_while_the_slope_is_at_most_one() -> None:
    """Reverse KL with θ = ½ and h′ ≤ 1.86: two starts come nearer at every step in the sup norm."""
    flow = Sinkhorn(t1(64), 1 / 64, step=1 / 128, objective=REVERSE_KL)
    times = np.arange(1, 9) / 128
    runs = [evolve(flow, times, initial=start) for start in (START, -START + 0.01)]
    assert max(run.records["steepest"].max() for run in runs) <= 1
    apart = [np.abs(a - b).max() for a, b in zip(runs[0].potentials, runs[1].potentials, strict=True)]
    assert np.all(np.diff(apart) <= 1e-15)


def test_kl_with_a_whole_step_is_sinkhorn_to_the_last_bit() -> None:
    runs = [
        evolve(Sinkhorn(t2(32), 1 / 128, **given), [1 / 32]) for given in ({}, {"step": 1 / 128}, {"objective": KL()})
    ]
    assert all(np.array_equal(run.potentials, runs[0].potentials) for run in runs)
    assert all(np.array_equal(run.fields["v"], runs[0].fields["v"]) for run in runs)
    other = evolve(Sinkhorn(t2(32), 1 / 128, objective=AlphaDivergence(0.0)), [1 / 32])
    assert np.abs(other.potentials - runs[0].potentials).max() < 1e-14


def test_cross_check_takes_the_objective_of_the_run() -> None:
    run = evolve(MongeAmpere(t1(64), objective=CHI_SQUARED, rtol=1e-10), [1 / 64], initial=START)
    checked = cross_check(run, 1 / 512, levels=3)
    assert checked.distance[0] < 1e-5
    assert checked.distance[0] < 20 * checked.own_error[0]


# ---- refusals -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Sinkhorn(t1(32), 0.01, step=0.02), "at most eps"),
        (lambda: Sinkhorn(t1(32), 0.01, step=0.0), "positive"),
        (lambda: Sinkhorn(t1(32), 0.01, step="0.01"), "real number"),
        (lambda: Sinkhorn(t1(32), 0.01, objective=max), r"KL\(\)"),
        (lambda: Sinkhorn(t1(32), 0.01, objective=CHI_SQUARED, gauge=SYMMETRIC), "second term of order ε"),
        (lambda: Sinkhorn(t1(32), 0.01, step=0.005, gauge=SELF), "gauge=PLAIN"),
        (lambda: Sinkhorn(CLOUDS, 0.5, objective=Entropy()), "uniform law"),
        (lambda: Richardson(t1(32), 0.01, objective=CHI_SQUARED), "gauge=PLAIN"),
        (lambda: Richardson(t1(32), 0.01, gauge=PLAIN), "odd powers"),
        (lambda: Richardson(CLOUDS, 0.5, objective=CHI_SQUARED, gauge=PLAIN), "samples"),
        (lambda: SinkhornFlow(t1(32), 0.0), "positive"),
        (lambda: SinkhornFlow(t1(32), 0.01, rtol=1.0), "rtol"),
        (lambda: LinearisedMongeAmpere(t1(32), 0 * t1(32).f, ratio=1.5), "ratio"),
        (lambda: Sinkhorn(t1(32), 0.01, step=0.005).admit(np.array([0.0125])), "multiple of step"),
        (
            lambda: Sinkhorn(Problem.from_samples([[0.0], [1.0]], [[0.0]], a=[1, 0]), 0.5, objective=CHI_SQUARED),
            "without weight",
        ),
    ],
)
def test_refusals(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_corrected_has_no_objective_but_kl() -> None:
    """Its gauge would be wrong for another: there is no such parameter."""
    with pytest.raises(TypeError, match="objective"):
        corrected(t1(32), 0.01, objective=CHI_SQUARED)
