"""No result depends on the unit of length: lengths × s, and ε, times, steps and potentials × s², for s from 1e-9 to 1e9."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from cases import TAU

from pmasolve import (
    HELLINGER,
    JKO,
    KL,
    SYMMETRIC,
    Box,
    BregmanProximal,
    ConstantSteps,
    Entropy,
    FokkerPlanck,
    LinearisedMongeAmpere,
    MirrorDescent,
    MongeAmpere,
    Plan,
    Problem,
    Richardson,
    Sinkhorn,
    Torus,
    brenier,
    corrected,
    cross_check,
    evolve,
    schroedinger,
    transport,
)
from pmasolve.flows.mirror import Law
from pmasolve.problems.divergences import Divergence

SCALES = [1e-9, 1e9]
X, Y = (np.random.default_rng(seed).random((12, 2)) for seed in (1, 2))


def grid_problem(s: float, domain=Torus, shape: tuple[int, ...] = (32,)) -> Problem:
    """Waves on a grid of side s."""
    grid = domain(shape, tuple(s for _ in shape))
    x = domain(shape).points
    f = 0.3 * np.cos(TAU * x[0]) + (0.2 * np.sin(TAU * x[1]) if len(shape) > 1 and domain is Torus else 0)
    return Problem(grid, f, 0.3 * np.cos(TAU * x[-1]))


def cloud_problem(s: float, period: float | None = None) -> Problem:
    """Twelve points in a square of side s."""
    return Problem.from_samples(s * X, s * Y, period=None if period is None else period * s)


def flow_of(make: Callable[[Problem, float], object], t: float, problem: Callable[[float], Problem] = grid_problem):
    """Potentials of a flow at time t·s², over s², with its density."""

    def measured(s: float) -> np.ndarray:
        run = evolve(make(problem(s), s**2), [t * s**2])
        density = run.log_density(0) + np.log(problem(s).domain.volume) if problem(s).has_densities else 0.0
        return np.stack([run.potentials[0] / s**2, density + 0 * run.potentials[0]])

    return measured


def fixed_point(problem: Callable[[float], Problem], eps: float):
    """Bounds, value and costs of a plan, over s²."""

    def measured(s: float) -> np.ndarray:
        found = schroedinger(problem(s), eps * s**2, marginal=1e-11)
        assert found.outcome.ok, found.outcome
        plan = found.plan
        assert plan.duality_gap <= 1e-7 * s**2
        return (
            np.array(
                [plan.dual, plan.upper, plan.value, plan.w2_squared, *problem(s).domain.centred(found.u).ravel()[:4]]
            )
            / s**2
        )

    return measured


def phi(s: float) -> np.ndarray:
    """A potential off its nodes: value, gradient and Hessian."""
    function = Plan.after(cloud_problem(s), 0.05 * s**2, np.zeros(12)).psi
    z = s * np.array([[0.3, 0.4], [2.0, -1.0], [0.7, 0.1]])
    return np.concatenate(
        [np.ravel(function(z)) / s**2, np.ravel(function.gradient(z)) / s, np.ravel(function.hessian(z))]
    )


def laws(s: float) -> np.ndarray:
    """Distances and rates of a law."""
    problem = grid_problem(s)
    here, there = (Law(problem, a * s**2 * np.cos(TAU * np.arange(32) / 32)) for a in (0.008, 0.0))
    lengths = [here.lot(there) / s, here.wasserstein(there) / s, here.speed() * s]
    return np.array([here.kl, here.bregman(there) / s**2, here.dissipation() * s**2, *lengths])


def series(s: float) -> np.ndarray:
    """Brenier's potential."""
    found = brenier(grid_problem(s), 8e-3 * s**2, levels=3)
    assert found.outcome.ok, found.outcome
    return found.potential / s**2


def checked(s: float) -> np.ndarray:
    """PMA against Richardson."""
    run = evolve(MongeAmpere(grid_problem(s), rtol=1e-10), [0.02 * s**2])
    return np.array([float(cross_check(run, 0.02 * s**2).distance[0] / s**2 < 1e-5), *run.potentials[0] / s**2])


ENTRIES = {
    "sinkhorn": flow_of(lambda p, q: Sinkhorn(p, 0.02 * q), 0.1),
    "sinkhorn, plane": flow_of(lambda p, q: Sinkhorn(p, 0.02 * q), 0.1, lambda s: grid_problem(s, Torus, (20, 24))),
    "sinkhorn, box": flow_of(lambda p, q: Sinkhorn(p, 0.02 * q, gauge=SYMMETRIC), 0.1, lambda s: grid_problem(s, Box)),
    "sinkhorn, cloud": flow_of(lambda p, q: Sinkhorn(p, 0.05 * q), 0.5, cloud_problem),
    "corrected": flow_of(lambda p, q: corrected(p, 0.01 * q), 0.1),
    "ladder": flow_of(lambda p, q: Richardson(p, 0.02 * q), 0.1),
    "Monge–Ampère": flow_of(lambda p, q: MongeAmpere(p, rtol=1e-9), 0.02),
    "Monge–Ampère, box": flow_of(lambda p, q: MongeAmpere(p, rtol=1e-9), 0.02, lambda s: grid_problem(s, Box)),
    "linearised": flow_of(lambda p, q: LinearisedMongeAmpere(p, q * p.f / 2, rtol=1e-9), 0.02),
    "Fokker–Planck": flow_of(lambda p, q: FokkerPlanck(p), 0.02),
    "JKO": flow_of(lambda p, q: JKO(p, 0.01 * q), 0.02),
    "proximal": flow_of(lambda p, q: BregmanProximal(p, 0.01 * q), 0.02),
    "mirror descent": flow_of(lambda p, q: MirrorDescent(p, ConstantSteps(5e-4 * q), modes=4), 5e-3),
    "fixed point": fixed_point(grid_problem, 0.01),
    "fixed point, cloud": fixed_point(cloud_problem, 0.05),
    "fixed point, periodic cloud": fixed_point(lambda s: cloud_problem(s, 1.0), 0.05),
    "potential": phi,
    "law": laws,
    "brenier": series,
    "cross check": checked,
}
ADAPTIVE = {"Monge–Ampère", "Monge–Ampère, box", "linearised", "Fokker–Planck", "cross check"}


@cache
def at_one(name: str) -> np.ndarray:
    """The numbers at s = 1."""
    return ENTRIES[name](1.0)


@pytest.mark.parametrize("s", SCALES)
@pytest.mark.parametrize("name", ENTRIES)
def test_lengths_may_have_any_unit(name: str, s: float) -> None:
    """To rounding; to a fraction of rtol where steps are adaptive, which rounding may choose otherwise."""
    assert ENTRIES[name](s) == pytest.approx(at_one(name), rel=1e-6, abs=1e-7 if name in ADAPTIVE else 1e-9)


@pytest.mark.parametrize("s", [1e-40, *SCALES, 1e40])
@pytest.mark.parametrize("objective", [KL(), HELLINGER, Entropy()], ids=["KL", "Hellinger", "entropy"])
def test_the_tolerance_of_fokker_planck_has_no_unit(s: float, objective: Divergence) -> None:
    """It was of ρe^{f/2} in the unit of length: log ρ was off by 6e-5 at s = 1e9, the potential by 15 % at 1e40, both "reached"."""

    def measured(s: float) -> np.ndarray:
        return flow_of(lambda p, _: FokkerPlanck(p, objective=objective), 1 / 640)(s)

    potential, log_density = measured(s) - measured(1.0)
    assert np.abs(log_density).max() < 1e-8
    assert np.ptp(potential) < 1e-9


def test_a_refused_state_is_far_off_in_any_unit() -> None:
    """A derivative of 1e8, small where κ² is 4e19, was no refusal: no first step was found in units of 1e-9."""

    def steps(s: float) -> int:
        x = TAU * np.arange(32) / 32
        problem = Problem(Torus((32,), (s,)), 0.3 * np.cos(x), 15 * np.cos(x))
        run = evolve(FokkerPlanck(problem, rtol=1e-6), [1e-3 * s**2], throw=False)
        assert run.outcome.name == "positivity lost"
        return run.records["dt"].size

    assert min(steps(1.0), steps(1e-9)) > 10


@pytest.mark.parametrize("s", [1e-40, 1e40])
@pytest.mark.parametrize("domain", [Torus, Box])
@pytest.mark.parametrize("shape", [(16,), (10, 12), (8, 8, 8)])
def test_maps_in_the_smallest_and_largest_units(s: float, domain: type, shape: tuple[int, ...]) -> None:
    def squared(s: float) -> float:
        found = transport(grid_problem(s, domain, shape), gap=0.01)
        assert found.outcome.ok
        assert found.interval.lower <= found.w2_squared <= found.interval.upper
        return found.w2_squared / s**2

    assert squared(s) == pytest.approx(squared(1.0), rel=1e-9)


@pytest.mark.parametrize("side", [1e-41, 1e41, 1e-77, 1e77])
def test_sides_whose_volumes_have_no_squares_are_refused(side: float) -> None:
    """In the plane `transport` was "reached" with seven times W₂² at 1e-77, with 0 at 1e100; JKO took no step at 1e-100."""
    for domain in (Torus, Box):
        with pytest.raises(ValueError, match=r"lengths=.*1e-40 and 1e\+40; take another unit"):
            domain((12, 12), (1.0, side))
