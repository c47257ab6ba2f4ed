"""Bounds of the entropic value contain the truth and their own rounding, also between clusters that lie far apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pmasolve import Box, Plan, Problem, Torus, schroedinger
from pmasolve.sinkhorn.plans import Plan as Coupling
from pmasolve.sinkhorn.rounding import filling, product_cost, slack
from pmasolve.sinkhorn.softmin.blockwise import Blockwise
from pmasolve.sinkhorn.softmin.dense import Dense
from pmasolve.sinkhorn.softmin.nodes import log_kernel, points

LONG = np.longdouble
CLUSTERS = st.lists(st.tuples(*[st.floats(-3, 3)] * 4), min_size=1, max_size=4)


def clusters(seed: int, far: float, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs of clouds with one point more each, the k-th pair displaced by k·far along the second axis."""
    rng = np.random.default_rng(seed)
    shift = np.array([0.0, far])
    return [(rng.normal(size=(k + 1, 2)) + k * shift, rng.normal(size=(k + 1, 2)) + k * shift) for k in range(count)]


def truth(pairs: list[tuple[np.ndarray, np.ndarray]], eps: float) -> tuple[float, float]:
    """Bounds of the value of all pairs together: each on its own, about its own centre, with the entropy of the choice of a pair.

    What passes from one cluster to another is below exp(−far²/4ε).
    """
    total = sum(len(x) for x, _ in pairs)
    low = high = 0.0
    for x, y in pairs:
        share, centre = len(x) / total, x[0]
        plan = schroedinger(Problem.from_samples(x - centre, y - centre), eps, marginal=1e-13, limit=2000).plan
        choice = eps * np.log(1 / share)
        low, high = low + share * (plan.dual + choice), high + share * (plan.upper + choice)
    return low, high


@settings(deadline=None, max_examples=25, derandomize=True)
@given(st.integers(0, 10**6), st.floats(2, 7), st.integers(2, 3), st.sampled_from([0.3, 1.0]), st.floats(-1, 1))
def test_truth_lies_between_the_bounds(seed: int, exponent: float, count: int, eps: float, off: float) -> None:
    """Costs of 10⁴ to 10¹⁴ ε, at the fixed point and off it: dual ≤ truth ≤ upper, and no gap is negative."""
    pairs = clusters(seed, 10.0**exponent, count)
    low, high = truth(pairs, eps)
    assert high - low < 1e-9
    x, y = (np.concatenate(side) for side in zip(*pairs, strict=True))
    found = schroedinger(Problem.from_samples(x, y), eps, limit=300)
    moved = Plan(found.flow.problem, eps, found.u + off, found.v - 0.3 * off)
    for plan in (found.plan, moved):
        if found.eps == eps:
            assert plan.dual <= high + 1e-12
            assert plan.upper >= low - 1e-12
            assert plan.duality_gap >= 0


def test_no_gap_is_claimed_that_rounding_hides() -> None:
    """Asked for less than float64 can know, the fixed point says so; asked for more than that, it is reached."""
    x, y = (np.concatenate(side) for side in zip(*clusters(1, 1e4, 2), strict=True))
    problem = Problem.from_samples(x, y)
    hidden = schroedinger(problem, 0.5, duality_gap=1e-6, limit=500)
    assert not hidden.outcome.ok
    assert hidden.plan.duality_gap > 1e-6
    near = Problem.from_samples(*(np.concatenate(side) for side in zip(*clusters(1, 3.0, 2), strict=True)))
    assert schroedinger(near, 0.5, duality_gap=1e-9).outcome.ok


def exact_half_step(problem: Problem, u: np.ndarray, eps: float) -> np.ndarray:
    """v in long double, from all pairs."""
    x, y = points(problem.domain).astype(LONG), points(problem.codomain).astype(LONG)
    cost = sum((x[:, None, j] - y[None, :, j]) ** 2 for j in range(x.shape[1])) / (2 * LONG(eps))
    terms = (problem.mu.log_density - u.astype(LONG) / LONG(eps))[:, None] - cost
    top = terms.max(0)
    return LONG(eps) * (top + np.log(np.exp(terms - top).sum(0)))


@pytest.mark.parametrize("engine", [Dense(), Blockwise()], ids=["dense", "blocks"])
@pytest.mark.parametrize(("far", "eps"), [(0.0, 1.0), (1e2, 1e-2), (1e4, 0.5), (1e6, 1e-3)])
def test_rounding_of_a_half_step_is_counted(engine, far: float, eps: float) -> None:
    """The count holds for each engine, and is not more than some hundred times too large."""
    rng = np.random.default_rng(4)
    x, y = (rng.normal(size=(150, 2)) + np.where(np.arange(150) % 2, far, 0.0)[:, None] * [0, 1] for _ in range(2))
    problem, u = Problem.from_samples(x, y), 0.5 * x[:, 1] + 0.1 * rng.normal(size=150)
    v = Plan.after(problem, eps, u, engine).v
    error = float(np.max(np.abs(v - exact_half_step(problem, u, eps)))) / eps
    counted = slack(problem, eps, u, v).log_ratio
    print(f"far {far:g}, ε {eps:g}: error {error:.1e}, counted {counted:.1e}")
    assert error <= 0.5 * counted
    assert counted <= 1000 * max(error, 1e-16)


def test_scaled_plan_has_no_marginal_above() -> None:
    """After scaling by computed ratios the exact marginals are below μ and ν, at costs of 10⁸ ε."""
    x, y = (np.concatenate(side) for side in zip(*clusters(3, 1e4, 3), strict=True))
    problem, eps = Problem.from_samples(x, y), 0.5
    part = schroedinger(problem, eps).plan.scaled
    ratio = exact_half_step(problem, part.u, eps) - part.v
    assert ratio.max() <= 0
    assert ratio.min() >= -8 * eps * slack(problem, eps, part.u, part.v).log_ratio


def test_filling_at_its_largest() -> None:
    """Whatever the ratios within η are, what they cost is below the bound for η."""
    rng = np.random.default_rng(6)
    problem = Problem.from_samples(rng.normal(size=(6, 2)) * 30, rng.normal(size=(6, 2)) * 30)
    for eta in (1e-8, 1e-3, 0.3):
        bounds = []
        for _ in range(200):
            log_p, log_q = (-rng.exponential(eta * rng.choice([0.1, 1, 10]), size=6) for _ in range(2))
            shares = [-np.expm1(np.minimum(r + eta * rng.uniform(-1, 1, 6), 0)) for r in (log_p, log_q)]
            delta = min(share.sum() for share in shares) / 6  # both sides miss the same mass
            exact = [np.log1p(-share * delta * 6 / share.sum()) if share.any() else 0 * share for share in shares]
            if all(np.abs(e - r).max() <= eta for e, r in zip(exact, (log_p, log_q), strict=True)):
                bounds.append(filling(problem, log_p, log_q, 0.5, eta) / max(filling(problem, *exact, 0.5), 1e-300))
        assert len(bounds) > 20
        assert min(bounds) >= 1


@pytest.mark.parametrize(
    ("grid", "share"),
    [(Torus((8,)), 0.99), (Torus((8, 6), (1.0, 2.0)), 0.99), (Box((8,)), 0.75), (Box((8, 6)), 0.7)],
    ids=repr,
)
def test_mass_that_goes_as_far_as_it_can(grid, share: float) -> None:
    """From one node to the farthest: the value is the cost between them, at which a plan that misses all mass is filled."""
    source, target = np.zeros(grid.shape), np.zeros(grid.shape)
    source[(0,) * grid.dim] = 1.0
    target[tuple(n // 2 if isinstance(grid, Torus) else n - 1 for n in grid.shape)] = 1.0
    problem, eps = Problem.from_densities(grid, source, target), 1e-3
    cost = -eps * log_kernel(points(grid)[:1], grid, eps)[0, np.flatnonzero(target)[0]]
    nothing = Plan(problem, eps, np.full(grid.shape, 5.0), np.full(grid.shape, 5.0))
    assert nothing.upper >= cost
    assert product_cost(problem) >= cost >= share * product_cost(problem)


@pytest.mark.parametrize("shift", [-0.2, -0.02, 0.1])
def test_mass_term_of_the_dual(shift: float) -> None:
    """With too much mass the potentials alone exceed the truth: ε(mass − 1) takes that off, half of it would not."""
    rng = np.random.default_rng(2)
    problem, eps = Problem.from_samples(rng.random((9, 2)), rng.random((7, 2))), 0.05
    found = schroedinger(problem, eps, marginal=1e-13)
    plan = Coupling(problem, eps, found.u + shift, found.v)
    exact = found.plan.dual - shift - eps * np.expm1(-shift / eps)
    assert plan.dual == pytest.approx(exact, rel=1e-10)
    assert plan.dual < found.plan.dual


def test_value_knows_its_rounding() -> None:
    """ε KL + cost of the plan itself in long double, at costs of 10⁸ ε."""
    x, y = (np.concatenate(side) for side in zip(*clusters(5, 1e4, 2), strict=True))
    problem, eps = Problem.from_samples(x, y), 0.5
    plan = schroedinger(problem, eps).plan
    u, v = plan.u.astype(LONG), plan.v.astype(LONG)
    X, Y = x.astype(LONG), y.astype(LONG)
    cost = ((X[:, None] - Y[None]) ** 2).sum(-1) / 2
    logs = -(u[:, None] + v[None] + cost) / eps
    mass = np.exp(logs + problem.mu.log_density[:, None] + problem.nu.log_density[None])
    exact = float((mass * (cost + eps * logs)).sum() - eps * (mass.sum() - 1))
    print(f"value {plan.value!r}, exact {exact!r}, bound {plan.value_error:.1e}")
    assert abs(plan.value - exact) <= plan.value_error


def test_periodic_cloud_that_goes_as_far_as_it_can() -> None:
    """From a point to the one half a period away along both axes: all mass is filled at the cost between them."""
    problem, eps = Problem.from_samples([[0.0, 0.0]], [[0.5, 1.0]], period=(1.0, 2.0)), 1e-3
    cost = -eps * log_kernel(np.zeros((1, 2)), problem.codomain, eps)[0, 0]
    nothing = Plan(problem, eps, np.array([5.0]), np.array([5.0]))
    assert nothing.upper >= cost >= 0.99 * product_cost(problem)
