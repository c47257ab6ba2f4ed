"""The linearised flow and the corrector; events, records, resuming."""

from __future__ import annotations

import numpy as np
import pytest

from pmasolve import (
    Event,
    FiniteDifference,
    Fourier,
    LinearisedMongeAmpere,
    MongeAmpere,
    Problem,
    Sinkhorn,
    Torus,
    evolve,
    resume,
)
from pmasolve.calculus.operators import FourierOperators
from pmasolve.flows.reading import linearise_at
from pmasolve.machine.arrays import Array
from pmasolve.studies.convergence import running_orders

TAU = 2 * np.pi


def waves(n: int = 32) -> Problem:
    """Two modes in the plane."""
    return Problem(
        Torus((n, n)),
        lambda x, y: 0.3 * np.cos(TAU * x) + 0.2 * np.sin(TAU * y) * np.cos(TAU * x),
        lambda x, y: 0.3 * np.cos(TAU * (x - 0.2)) + 0.2 * np.sin(TAU * (x + y)),
    )


def speed(flow: MongeAmpere, u: Array) -> Array:
    """∂ₜu = A(φ)."""
    return linearise_at(flow.problem, flow.operators, u).speed


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_the_speed_solves_the_linearised_equation(dim: int) -> None:
    """w₀ = A(φ₀) gives w = ∂ₜφ along the whole trajectory."""
    n = {1: 48, 2: 32, 3: 16}[dim]
    problem = Problem(
        Torus((n,) * dim),
        lambda *x: 0.3 * np.cos(TAU * x[0]) + 0.1 * np.sin(TAU * x[-1]),
        lambda *y: 0.2 * np.cos(TAU * (y[0] + y[-1])),
    )
    flow = MongeAmpere(problem)
    times = [0.003, 0.01, 0.04]
    direction = speed(flow, np.zeros(problem.domain.shape))
    run = evolve(LinearisedMongeAmpere(problem, direction, rtol=1e-10), times)
    for i in range(3):
        w, expected = run.fields["w"][i], speed(flow, run.potentials[i])
        assert np.max(np.abs(w - expected)) < (2e-8 if dim < 3 else 1e-6)


def test_the_drift_is_computed_once_for_each_right_hand_side(monkeypatch: pytest.MonkeyPatch) -> None:
    """Newton's products find it there.  One gradient more: of the map at the requested time, which is looked at."""
    calls, gradient = [], FourierOperators.gradient

    def counted(*arguments) -> Array:
        calls.append(1)
        return gradient(*arguments)

    monkeypatch.setattr(FourierOperators, "gradient", counted)
    run = evolve(LinearisedMongeAmpere(waves(16), np.zeros((16, 16)), rtol=1e-6), [0.02])
    assert 0 < len(calls) <= run.records["derivatives"][-1] + 1


@pytest.mark.parametrize("space", [Fourier(), FiniteDifference(4)], ids=str)
def test_constants_stay_constant(space) -> None:
    """𝓛1 = 0, and the equation is linear in w: a constant may be added."""
    problem = waves(24)
    x = problem.domain.points[0]
    runs = [
        evolve(LinearisedMongeAmpere(problem, w0, space=space, rtol=1e-9), [0.02])
        for w0 in (np.full(x.shape, 3.0), np.cos(TAU * x), np.cos(TAU * x) + 3.0)
    ]
    constant, wave, both = (run.fields["w"][0] for run in runs)
    assert np.max(np.abs(constant - 3.0)) < 1e-9
    assert np.max(np.abs(both - wave - 3.0)) < 1e-6
    assert (
        np.max(np.abs(runs[0].potentials[0] - evolve(MongeAmpere(problem, space=space), [0.02]).potentials[0])) < 1e-7
    )


def test_the_corrector_leaves_second_order() -> None:
    """φ_{t/ε} − φ̃_t − ε r_t = O(ε²), r_t = w_t − f/2, w₀ = f/2: the running orders are 2.00 ± 0.03."""
    problem, times = waves(64), [0.032]
    run = evolve(LinearisedMongeAmpere(problem, problem.f / 2, rtol=1e-11), times)
    corrector = run.fields["w"][0] - problem.f / 2
    eps = np.array([0.004, 0.002, 0.001])
    errors = []
    for value in eps:
        phi = evolve(Sinkhorn(problem, value, quadrature=1e-8), times).potentials[0]
        errors.append(problem.domain.sup(phi - run.potentials[0] - value * corrector))
    orders = running_orders(eps, np.array(errors))
    print(f"\nerrors {errors}, orders {orders}")
    assert np.all(np.abs(orders - 2) < 0.03)


def test_records_hold_what_is_promised() -> None:
    """One entry a step; work grows, entropy and speed fall, mass stays 1, eigenvalues are those of I + D²u."""
    flow = MongeAmpere(waves())
    run = evolve(flow, [0.01, 0.3])
    records = run.records
    names = {
        "t",
        "dt",
        "order",
        "derivatives",
        "newton_iterations",
        "jacobian_products",
        "min_eigenvalue",
        "mass",
        "kl",
        "speed",
    }
    assert set(records) >= names
    assert {records[name].shape for name in names} == {records["t"].shape}
    assert np.all(np.diff(records["t"]) >= 0)
    assert {0.01, 0.3} <= set(records["t"])
    orders = records["order"][np.isfinite(records["order"])]
    assert orders.size >= records["t"].size - 4  # the first steps are so small that there was nothing to solve
    assert {1.0, 2.0, 3.0, 4.0} >= set(orders) >= {2.0, 3.0}
    assert np.max(np.abs(np.diff(orders))) <= 1  # BDF changes its order by one at most
    for work in ("derivatives", "newton_iterations", "jacobian_products"):
        assert np.all(np.diff(records[work]) >= 0)
    assert np.all(records["newton_iterations"] < records["derivatives"])  # the first evaluation belongs to no iteration
    assert (
        records["newton_iterations"][-1] <= records["jacobian_products"][-1]
    )  # a Krylov vector for each, bar the first few
    assert np.max(np.abs(records["mass"] - 1)) < 1e-12
    assert np.all(np.diff(records["kl"]) < 1e-12)
    assert records["speed"][-1] < 1e-5 < records["speed"][0]
    jet = flow.operators.jet(flow.operators.transform.forward(run.potentials[-1]))
    hessian = np.moveaxis(jet.D2[[0, 1, 1, 2]].reshape(2, 2, *flow.problem.domain.shape), (0, 1), (-2, -1))
    least = 1 + np.linalg.eigvalsh(hessian).min()
    assert abs(records["min_eigenvalue"][-1] - least) < 1e-6


def test_events_end_runs_at_the_first_step_that_meets_them() -> None:
    """Speed, least eigenvalue, entropy."""
    for event, holds in (
        (Event("speed", below=1e-3), lambda r: r["speed"] < 1e-3),
        (Event("min_eigenvalue", below=0.9), lambda r: r["min_eigenvalue"] < 0.9),
        (Event("kl", below=1e-4), lambda r: r["kl"] < 1e-4),
    ):
        run = evolve(MongeAmpere(waves()), [5.0], events=[event])
        assert run.outcome.ok
        assert run.outcome.name.startswith("event: ")
        assert run.times[-1] == run.latest[0] < 5.0
        met = holds(run.records)
        assert met[-1]
        assert not met[:-1].any()


@pytest.mark.parametrize("cut", ["at a requested time", "in the middle", "twice"])
def test_resuming_agrees_with_the_uninterrupted_run(cut: str) -> None:
    """To the tolerance; with an event as the interruption the cut is at a time that nobody asked for."""
    flow, times = MongeAmpere(waves(), rtol=1e-9), [0.01, 0.05, 0.2]
    whole = evolve(flow, times)
    if cut == "in the middle":
        run = evolve(flow, times, events=[Event("kl", below=1e-3)])
        assert run.latest[0] not in times
        rest = resume(run, [t for t in times if t > run.latest[0]])
        kept = [i for i, t in enumerate(rest.times) if t in times]
        potentials = rest.potentials[kept]
    else:
        run = resume(evolve(flow, times[:1]), times[1:2]) if cut == "twice" else evolve(flow, times[:2])
        potentials = resume(run, times[2:]).potentials
    assert np.max(np.abs(potentials - whole.potentials)) < 1e-8


def test_a_linearised_flow_cannot_be_resumed() -> None:
    problem = waves(16)
    run = evolve(LinearisedMongeAmpere(problem, problem.f), [0.01])
    with pytest.raises(ValueError, match="cannot be resumed"):
        resume(run, [0.02])
