"""What flows return: no ok outcome with a map that folds or a density whose mass is not 1, for any start, gauge or roughness."""

from __future__ import annotations

import re

import numpy as np
import pytest
from cases import TAU
from hypothesis import given, settings
from hypothesis import strategies as st

from pmasolve import (
    FORWARD,
    JKO,
    PLAIN,
    SELF,
    SYMMETRIC,
    Box,
    BregmanProximal,
    ConstantSteps,
    FiniteDifference,
    FokkerPlanck,
    Fourier,
    MirrorDescent,
    Outcome,
    Problem,
    Richardson,
    Sinkhorn,
    Torus,
    Trajectory,
    brenier,
    corrected,
    evolve,
    schroedinger,
)
from pmasolve.flows.reading import LOST_MASS, look
from pmasolve.problems.grids import Grid

GAUGES = [PLAIN, SYMMETRIC, FORWARD, SELF]


def waves(amplitude: float = 1.0, mode: int = 4, n: int = 64) -> Problem:
    """f = a cos 2πkx on a circle, g = 0."""
    return Problem(Torus((n,)), lambda x: amplitude * np.cos(TAU * mode * x), lambda y: 0 * y)


def increments(grid: Grid, T: np.ndarray) -> np.ndarray:
    """Differences of a map of the circle or the interval, over its period or from wall to wall, by hand."""
    ends = (T[:1] + grid.lengths[0],) if isinstance(grid, Torus) else (2 * grid.lengths[0] - T[-1:],)
    return np.diff(np.concatenate([*(() if isinstance(grid, Torus) else (-T[:1],)), T, *ends]))


def sound(run: Trajectory) -> None:
    """All that was returned has an increasing map, a convex potential and mass 1."""
    problem = run.flow.problem
    for i, u in enumerate(run.potentials):
        assert increments(problem.domain, run.map(i)[0]).min() > 0
        assert 1 + run.flow.operators.jet(run.flow.operators.transform.forward(u)).D2.min() > 0
        assert problem.domain.integral(np.exp(run.log_density(i))) == pytest.approx(1, abs=LOST_MASS)


@pytest.mark.parametrize("eps", [1 / 64, 1 / 256])
@pytest.mark.parametrize(
    "make", [corrected, Richardson, lambda p, eps: Sinkhorn(p, eps, gauge=SYMMETRIC)], ids=["corrected", "ladder", "χ"]
)
def test_a_correction_that_folds_is_named_and_the_advice_works(make, eps: float) -> None:
    """The mass of the density was 1.66 and 3.6; the ε and the gauge that are named do what is said of them."""
    problem, t = waves(), 4 * eps
    run = evolve(make(problem, eps), [t], throw=False)
    assert run.outcome.name == "convexity lost"
    assert run.times.size == 0
    assert "from 0" not in run.outcome.advice
    named = float(re.search(r"ε below about (\S+),", run.outcome.advice)[1])
    assert "gauge=PLAIN" in run.outcome.advice
    smaller = t / np.ceil(t / named)
    for flow in (Sinkhorn(problem, eps), corrected(problem, smaller)):
        again = evolve(flow, [t])
        assert again.outcome.ok
        sound(again)
        assert np.isfinite(again.error_estimate().total).all()


def test_static_corrections_that_fold_are_refused() -> None:
    """Of one fixed point, and of the series through several."""
    found = schroedinger(waves(), 1 / 64)
    assert found.outcome.ok
    with pytest.raises(ValueError, match=r"eps=0.015625 is too large to be corrected .* folds .* smaller ε"):
        _ = found.corrected
    series = brenier(waves(), 1 / 64, levels=1)
    assert series.outcome.name == "convexity lost"
    assert "smaller ε" in series.outcome.advice
    assert brenier(waves(0.1), 4e-3, levels=2).outcome.ok


def test_a_potential_lost_between_the_nodes_is_named() -> None:
    """Rough densities: eigenvalues at the nodes may all be positive while the map turns back between them."""
    grid, spikes = Torus((16,)), np.where(np.arange(16) % 2 == 0, 1.0, -1.0)
    u = 0.012 * spikes
    flow = Sinkhorn(Problem(grid, np.zeros(16), np.zeros(16)), 0.1)
    assert look(flow.operators, u).stretch < 0
    found = look(flow.operators, u, flow.problem).verdict(lambda: "remedy")
    assert (found.name, found.advice.endswith("remedy")) == ("convexity lost", True)


@pytest.mark.parametrize("grid", [Torus((12,)), Box((12,)), Torus((8, 10)), Box((8, 10), (2.0, 1.0))], ids=repr)
@pytest.mark.parametrize("space", [Fourier(), FiniteDifference(2)], ids=["Fourier", "differences"])
def test_least_stretch_by_hand(grid: Grid, space) -> None:
    """Beside eigenvalues, map differences over neighbours: a wave along the first axis, at amplitudes on both sides of a fold."""
    x, length = grid.points[0], grid.lengths[0]
    wave = np.cos((2 if isinstance(grid, Torus) else 1) * np.pi * x / length)
    operators = space.on(grid)
    for amplitude in (0.001, 0.2):
        u = amplitude * length**2 * wave
        T = (x + operators.gradient(u)[0]).reshape(grid.shape[0], -1)[:, 0]
        least = increments(grid, T).min() / grid.spacing[0]
        assert min(1.0, least) >= look(operators, u).stretch - 1e-12
        assert (look(operators, u).stretch > 0) == (least > 0)


def test_mass_is_looked_at() -> None:
    """Five per cent, on either side, of a density that a grid of 16 points sees wrongly."""
    problem = Problem(Torus((16,)), lambda x: 0 * x, lambda y: 1.5 * np.cos(TAU * 8 * y) + np.cos(TAU * y))
    operators = Fourier().on(problem.domain)
    u = 0.01 * np.cos(TAU * problem.domain.axis(0))
    seen = look(operators, u, problem)
    off = abs(seen.mass - 1)
    assert off > 0.05
    assert seen.verdict(lambda: "remedy").name == "unresolved"
    assert seen.verdict(lambda: "remedy", off * 1.01).ok
    assert not seen.verdict(lambda: "remedy", off * 0.99).ok
    for quadrature, name in ((1e-12, "unresolved"), (1.0, "reached")):
        flow = Sinkhorn(problem, 0.1, quadrature=quadrature)
        assert evolve(flow, [0.0], initial=u, throw=False).outcome.name == name


def test_semi_dual_potentials_that_fold_are_not_returned() -> None:
    """Fokker–Planck and JKO find the potential of a rough density by the semi-dual: its derivative on the grid folds."""
    rough = np.random.default_rng(1).normal(size=(2, 16))  # the map's least difference was −0.124, the mass 2.50
    run = evolve(FokkerPlanck(Problem(Torus((16,)), *rough)), [0.25], throw=False)
    assert run.outcome.name == "convexity lost"
    assert "semi-dual" in run.outcome.advice


ROUGH = st.tuples(st.integers(0, 2**32 - 1), st.floats(0.05, 2.0), st.integers(1, 6), st.booleans(), st.booleans())


def drawn(seed: int, amplitude: float, mode: int, rough: bool, walls: bool) -> Problem:
    """Noise of the nodes, or waves, of an amplitude, on a circle or an interval of 32 points."""
    rng, grid = np.random.default_rng(seed), (Box if walls else Torus)((32,))
    if rough:
        return Problem(grid, amplitude * rng.normal(size=32), amplitude * rng.normal(size=32))
    phase = 0.0 if walls else rng.uniform(0, TAU)
    k = np.pi * mode if walls else TAU * mode
    return Problem(grid, lambda x: amplitude * np.cos(k * x + phase), lambda y: amplitude * np.cos(k * y / mode))


@settings(deadline=None, max_examples=60, derandomize=True)
@given(ROUGH, st.sampled_from([1 / 16, 1 / 64, 1 / 128, 1 / 512]), st.integers(0, 3))
def test_every_ok_iterate_is_sound(parts, eps: float, which: int) -> None:
    problem = drawn(*parts)
    flow = Richardson(problem, eps) if which == 3 else Sinkhorn(problem, eps, gauge=GAUGES[which])
    told(evolve(flow, [eps, 2 * eps, 8 * eps], throw=False))


@settings(deadline=None, max_examples=12, derandomize=True)
@given(ROUGH, st.sampled_from([1 / 16, 1 / 128]), st.integers(0, 3))
def test_every_ok_state_of_the_other_flows_is_sound(parts, step: float, which: int) -> None:
    problem = drawn(*parts)
    descent = MirrorDescent(problem, ConstantSteps(step / 256), modes=3)
    flow = (JKO(problem, step), FokkerPlanck(problem), BregmanProximal(problem, 16 * step), descent)[which]
    told(evolve(flow, flow.times(2) if which > 1 else [step, 2 * step], throw=False))


def told(run: Trajectory) -> None:
    """What was returned is sound, and what was not has a name and advice."""
    sound(run)
    assert isinstance(run.outcome, Outcome)
    assert run.outcome.ok or run.outcome.advice
