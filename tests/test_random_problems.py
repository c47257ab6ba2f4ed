"""Random problems through every door: nothing hangs, nothing escapes, no ok outcome folds its map or misses an oracle.

PMASOLVE_RANDOM=2000 python -m pytest -m slow tests/test_random_problems.py        # the whole campaign
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import ot
import pytest

import pmasolve as pma
from pmasolve.machine.arrays import Array

COUNT = int(os.environ.get("PMASOLVE_RANDOM", "200"))
FIRST = 20261129  # seeds of the campaign: FIRST, FIRST + 1, …
SECONDS = 120  # for one problem


@dataclass(frozen=True)
class Given:
    """A problem, what made it, and whether its densities are smooth functions that the oracle may evaluate anywhere."""

    grid: pma.Torus | pma.Box
    problem: pma.Problem
    rng: np.random.Generator
    words: str


# --- what is given -------------------------------------------------------------------------------------------------------


def bumps(grid: pma.Torus | pma.Box, rng: np.random.Generator) -> Array:
    """A smooth positive density of random contrast."""
    log = np.zeros(grid.shape)
    for _ in range(3):
        phase = sum(
            2 * np.pi * rng.integers(0, 3) * x / length for x, length in zip(grid.points, grid.lengths, strict=True)
        )
        log = log + rng.uniform(0, 1) * np.cos(phase + rng.uniform(0, 2 * np.pi))
    return np.exp(log)


def noise(grid: pma.Torus | pma.Box, rng: np.random.Generator) -> Array:
    """Independent values, nine orders of magnitude at most."""
    return np.exp(rng.uniform(0, rng.uniform(0, 20), grid.shape))


def holes(grid: pma.Torus | pma.Box, rng: np.random.Generator) -> Array:
    """Zeros in places, at least one value positive."""
    out = noise(grid, rng) * (rng.random(grid.shape) < rng.uniform(0.05, 0.9))
    out.flat[rng.integers(out.size)] = 1.0
    return out


def floored(grid: pma.Torus | pma.Box, rng: np.random.Generator) -> Array:
    """The guard against zeros that many people use."""
    return holes(grid, rng) + np.finfo(float).tiny


def constant(grid: pma.Torus | pma.Box, rng: np.random.Generator) -> Array:
    """No density is simpler."""
    return np.full(grid.shape, 10.0 ** rng.uniform(-9, 9))


DENSITIES = (bumps, bumps, bumps, noise, holes, floored, constant)


def given(seed: int) -> Given:
    """Torus or box, 1 to 3 dimensions, sides of 10⁻³ to 10³, any two of the densities, one in eight times the same twice."""
    rng = np.random.default_rng(seed)
    dim = int(rng.choice([1, 1, 2, 2, 3]))
    most = {1: 65, 2: 17, 3: 8}[dim]
    shape = tuple(int(n) for n in rng.integers(4, most, dim))
    lengths = tuple(10.0 ** rng.uniform(-3, 3) * rng.uniform(1, 2, dim))
    grid = (pma.Torus if rng.random() < 0.5 else pma.Box)(shape, lengths)
    first, second = rng.choice(len(DENSITIES), 2)
    mu, nu = DENSITIES[first](grid, rng), DENSITIES[second](grid, rng)
    if rng.random() < 0.125:
        nu = mu
    words = f"seed {seed}: {grid}, {DENSITIES[first].__name__} to {DENSITIES[second].__name__}"
    return Given(grid, pma.Problem.from_densities(grid, mu, nu), rng, words)


# --- oracles -------------------------------------------------------------------------------------------------------------


def masses(density: Array) -> Array:
    """Weights of the nodes."""
    return (density / density.sum()).ravel()


def node_cost(case: Given) -> float:
    """W₂² of the nodes' masses by the network simplex, costs scaled to order 1 (its tolerance is absolute)."""
    grid, problem = case.grid, case.problem
    x = grid.points.reshape(grid.dim, -1)
    apart = np.abs(x[:, :, None] - x[:, None, :])
    sides = np.array(grid.lengths)[:, None, None]
    if isinstance(grid, pma.Torus):
        apart = np.minimum(apart, sides - apart)
    cost = np.sum(apart**2, axis=0)
    mu, nu = (masses(np.exp(-values)) for values in (problem.f, problem.g))
    return float(ot.emd2(mu, nu, cost / cost.max(), numItermax=10**7)) * cost.max()


def unfolded(grid: pma.Torus | pma.Box, image: Array) -> bool:
    """In each direction the nodes keep their order, up to rounding: necessary for the gradient of a convex function."""
    for j, length in enumerate(grid.lengths):
        steps = np.diff(image[j], axis=j)
        if isinstance(grid, pma.Torus):
            last = np.take(image[j], [0], axis=j) + length - np.take(image[j], [-1], axis=j)
            steps = np.concatenate([steps, last], axis=j)
        if steps.min() < -1e-9 * length:
            return False
    return True


# --- doors ---------------------------------------------------------------------------------------------------------------


def by_transport(case: Given) -> None:
    """The interval of the nodes' masses holds the simplex's value; an ok Newton map is unfolded."""
    T = pma.transport(case.problem, gap=10.0 ** case.rng.uniform(-6, -1))
    if not T.outcome.ok:
        return
    assert np.isfinite(T.map).all()
    assert T.interval.lower <= T.w2_squared * (1 + 1e-12)
    if T.barycentre is None:
        assert unfolded(case.grid, T.map)
    nodes = T.discrete(gap=0.1)
    truth, size = node_cost(case), float(np.sum(np.square(case.grid.lengths)))
    assert nodes.lower <= truth + 1e-13 * size
    assert nodes.upper >= truth - 1e-13 * size


def by_flow(case: Given, flow: Callable[[Given], tuple[object, list[float]]]) -> None:
    """Maps of every time reached by an ok run are unfolded, densities finite and of mass one."""
    made, times = flow(case)
    run = pma.evolve(made, times, throw=False)
    if not run.outcome.ok:
        return
    for i in range(run.times.size):
        assert np.isfinite(run.potentials[i]).all()
        assert unfolded(case.grid, run.map(i))


def unit(case: Given) -> float:
    """Of time and of ε: the squared size of the domain."""
    return float(np.mean(np.square(case.grid.lengths)))


def sinkhorn(gauge: pma.Gauge) -> Callable[[Given], tuple[object, list[float]]]:
    """Some iterations at a random ε."""

    def make(case: Given) -> tuple[object, list[float]]:
        eps = unit(case) * 10.0 ** case.rng.uniform(-4, 0)
        return pma.Sinkhorn(case.problem, eps, gauge=gauge), [eps, 4 * eps]

    return make


def monge_ampere(case: Given) -> tuple[object, list[float]]:
    return pma.MongeAmpere(case.problem, rtol=1e-5), [unit(case) * 10.0 ** case.rng.uniform(-5, -2)]


def fokker_planck(case: Given) -> tuple[object, list[float]]:
    return pma.FokkerPlanck(case.problem, rtol=1e-5), [unit(case) * 10.0 ** case.rng.uniform(-5, -3)]


def jko(case: Given) -> tuple[object, list[float]]:
    step = unit(case) * 10.0 ** case.rng.uniform(-4, -2)
    return pma.JKO(case.problem, step), [step, 2 * step]


def richardson(case: Given) -> tuple[object, list[float]]:
    eps = unit(case) * 10.0 ** case.rng.uniform(-3, -1)
    return pma.Richardson(case.problem, eps, levels=2), [2 * eps]


FLOWS = {
    "plain": sinkhorn(pma.PLAIN),
    "symmetric": sinkhorn(pma.SYMMETRIC),
    "forward": sinkhorn(pma.FORWARD),
    "MongeAmpere": monge_ampere,
    "FokkerPlanck": fokker_planck,
    "JKO": jko,
    "Richardson": richardson,
}


def by_fixed_point(case: Given) -> None:
    """A certified gap is not negative, and the entropic value lies between dual and upper bound of another run."""
    eps = unit(case) * 10.0 ** case.rng.uniform(-3, 0)
    found = pma.schroedinger(case.problem, eps, marginal=1e-6, limit=2000)
    plan = found.plan
    assert plan.duality_gap >= 0
    assert plan.dual <= plan.upper


def by_clouds(case: Given) -> None:
    """Weighted points of any scale: bounds in order, and the cost of the plan not below W₂² of its own marginals' bound."""
    rng, dim = case.rng, case.grid.dim
    n, m = rng.integers(1, 12, 2)
    scale = 10.0 ** rng.uniform(-6, 6)
    x, y = scale * rng.standard_normal((n, dim)), scale * (rng.standard_normal((m, dim)) + rng.uniform(-9, 9))
    a, b = np.exp(rng.uniform(-20, 0, n)), np.exp(rng.uniform(-20, 0, m))
    problem = pma.Problem.from_samples(x, y, a, b)
    eps = scale**2 * 10.0 ** rng.uniform(-4, 1)
    found = pma.schroedinger(problem, eps, limit=2000)
    plan, cost = found.plan, 0.5 * np.sum((x[:, None] - y[None]) ** 2, axis=2)
    assert plan.duality_gap >= 0
    truth = float(ot.emd2(a / a.sum(), b / b.sum(), cost / max(cost.max(), 1e-300))) * cost.max()
    assert plan.upper >= truth * (1 - 1e-12)  # the entropic value is at least the transport cost


DOORS = {"transport": by_transport, "schroedinger": by_fixed_point, "clouds": by_clouds} | {
    name: (lambda case, flow=flow: by_flow(case, flow)) for name, flow in FLOWS.items()
}


# --- the campaign --------------------------------------------------------------------------------------------------------


@contextmanager
def limited(seconds: int, words: str) -> Iterator[None]:
    """An assertion where something does not end."""

    def end(*_: object) -> None:
        raise AssertionError(f"{words}: not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def run(door: str, seed: int) -> None:
    """One problem through one door; refusals are ``ValueError`` of one line, or ``Stopped``."""
    case = given(seed)
    words = f"{door}, {case.words}"
    with limited(SECONDS, words):
        try:
            DOORS[door](case)
        except (ValueError, pma.Stopped) as refusal:
            message = str(refusal)
        except AssertionError as error:
            raise AssertionError(f"{words}: {error}") from error
        else:
            message = ""
    assert len(message) < 1000, words


@pytest.mark.parametrize("door", DOORS)
def test_a_few(door: str) -> None:
    for seed in range(2):
        run(door, seed)


@pytest.mark.slow
@pytest.mark.parametrize("door", DOORS)
def test_many(door: str) -> None:
    """All failures of a door at once."""
    failures = []
    for i in range(COUNT // len(DOORS)):
        try:
            run(door, FIRST + i)
        except Exception as error:  # whatever it is, the campaign goes on
            failures.append(f"seed {FIRST + i}: {type(error).__name__}: {str(error)[:300]}")
    assert not failures, "\n".join(failures)


def test_the_oracles_are_not_blind() -> None:
    """A folded map is seen, and the node cost of a shift is its square."""
    grid = pma.Torus((8,), (2.0,))
    assert unfolded(grid, grid.points)
    assert not unfolded(grid, np.roll(grid.points, 1, axis=1)[:, ::-1])
    bump = np.zeros(8)
    bump[1] = 1.0
    case = Given(grid, pma.Problem.from_densities(grid, bump, np.roll(bump, 2)), np.random.default_rng(0), "")
    assert node_cost(case) == pytest.approx(0.25)
    assert node_cost(replace(case, problem=pma.Problem.from_densities(grid, bump, np.roll(bump, 7)))) == pytest.approx(
        0.0625
    )
