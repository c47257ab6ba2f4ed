"""Potentials as functions and the plans they make: derivatives, marginals, rows, costs, identities."""

from itertools import product
from math import pi

import numpy as np
import pytest

from pmasolve import Box, FiniteDifference, MongeAmpere, Plan, Potential, Problem, Sinkhorn, Torus, evolve
from pmasolve.problems.grids import Cloud
from pmasolve.sinkhorn.softmin.nodes import log_kernel, points

STENCIL = np.array([-1 / 280, 4 / 105, -1 / 5, 4 / 5])  # of order 8: f′(0) ≈ Σ s_k (f((k−4)h) − f((4−k)h))/h


@pytest.fixture
def rng():
    return np.random.default_rng(555001)


def problem_on(space, rng):
    """A problem of each kind."""
    if isinstance(space, Torus | Box):
        c = pi * (2 if isinstance(space, Torus) else 1) / np.array(space.lengths)
        return Problem(
            space,
            lambda *x: 0.3 * sum(np.cos(k * z) for k, z in zip(c, x, strict=True)),
            lambda *y: 0.2 * sum(np.cos(2 * k * z) for k, z in zip(c, y, strict=True)),
        )
    dim, period = space
    x, y = rng.random((70, dim)), rng.random((55, dim)) ** 1.3
    return Problem.from_samples(x, y, 0.1 + rng.random(70), 0.1 + rng.random(55), period)


SPACES = [(2, None), (1, 1.0), (2, (1.0, 1.3)), (3, None), Torus((24, 20), (1.0, 1.5)), Box((40,)), Box((12, 14))]


@pytest.fixture(params=SPACES, ids=str)
def plan(request, rng):
    """(φ₃, ψ₃) at ε = 0.03."""
    flow = evolve(Sinkhorn(problem_on(request.param, rng), 0.03, quadrature=1), [0.09])
    return Plan.of(flow, 0)


def images_of(nodes):
    """Coordinates (count, n, dim) of all images of the nodes that could matter, by the definition."""
    x = points(nodes).astype(np.longdouble)
    if isinstance(nodes, Cloud) and nodes.period is None:
        return x[None]
    lengths = np.array(nodes.period if isinstance(nodes, Cloud) else nodes.lengths)
    reflects = isinstance(nodes, Box)
    signs = list(product((1, -1), repeat=nodes.dim)) if reflects else [(1,) * nodes.dim]
    shifts = list(product(range(-5, 6), repeat=nodes.dim))
    period = lengths * (2 if reflects else 1)
    return np.stack([x * np.array(s) + np.array(m) * period for s in signs for m in shifts])


def exact(potential, x):
    """u (n,), E[d] (n, dim), Cov (n, dim, dim) at points (n, dim) in extended precision."""
    eps, measure = np.longdouble(potential.eps), potential.measure
    d = images_of(measure.nodes)[:, :, None] - x.astype(np.longdouble)
    with np.errstate(divide="ignore"):
        h = (measure.log_density + np.log(measure.cell)).ravel() - potential.other.ravel() / eps
    exponents = h[None, :, None] - (d**2).sum(-1) / (2 * eps)
    top = exponents.max(axis=(0, 1))
    w = np.exp(exponents - top)
    total = w.sum(axis=(0, 1))
    w /= total
    mean = np.einsum("gin,gind->nd", w, d)
    centred = d - mean
    return eps * (top + np.log(total)), mean, np.einsum("gin,gind,gine->nde", w, centred, centred)


def test_against_extended_precision(plan, rng):
    """Values, gradients and Hessians of both potentials at any points, also outside of the cell."""
    x = 4 * rng.random((40, plan.problem.domain.dim)) - 1.5
    for function in (plan.phi, plan.psi):
        u, mean, covariance = exact(function, x)
        assert np.abs(function(x) - u).max() < 1e-14
        assert np.abs(function.gradient(x) - mean).max() < 1e-13
        assert np.abs(function.jacobian(x) - covariance / function.eps).max() < 1e-12
        spread = np.trace(covariance, axis1=1, axis2=2)
        assert np.abs(function.expected_cost(x) - 0.5 * (spread + (mean**2).sum(1))).max() < 1e-13


def test_derivatives_by_differences(plan, rng):
    """∇u and D²u are the derivatives of u, to the accuracy of differences of order 8."""
    x, h = rng.random((25, plan.problem.domain.dim)), 0.005
    phi, dim = plan.phi, plan.problem.domain.dim
    gradient, hessian = phi.gradient(x), phi.hessian(x)
    for j in range(dim):
        e = np.eye(dim)[j]
        slope = sum(s * (phi(x + (4 - k) * h * e) - phi(x - (4 - k) * h * e)) for k, s in enumerate(STENCIL)) / h
        bend = (
            sum(
                s * (phi.gradient(x + (4 - k) * h * e) - phi.gradient(x - (4 - k) * h * e))
                for k, s in enumerate(STENCIL)
            )
            / h
        )
        assert np.abs(slope - gradient[:, j]).max() < 1e-9
        assert np.abs(bend - hessian[:, j]).max() < 1e-8


def test_phi_extends_the_iterate(plan):
    """At the source nodes φ is the iterate, and the map is that of the trajectory on clouds."""
    nodes = plan.problem.domain
    x = nodes.points  # (n, dim) of a cloud, a field (dim, *shape) of a grid
    assert plan.phi(x).shape == nodes.shape
    assert np.abs(plan.phi(x) - plan.u).max() < 1e-14
    assert plan.phi.map(x).shape == x.shape
    if isinstance(nodes, Cloud):
        flow = evolve(Sinkhorn(plan.problem, 0.03), [0.09])
        assert (flow.map(0) == plan.phi.map(x)).all()


@pytest.mark.parametrize("torus", [Torus((96,)), Torus((60, 64), (1.0, 1.5))], ids=str)
def test_against_fourier(torus, rng):
    """Derivatives of the grid's iterate by Fourier series and by conditional moments agree."""
    flow = evolve(Sinkhorn(problem_on(torus, rng), 0.01, quadrature=1), [0.03])
    phi, operators = Plan.of(flow, 0).phi, flow.flow.operators
    gradient = operators.gradient(flow.potentials[0])
    assert np.abs(phi.gradient(torus.points) - gradient).max() < 1e-11
    bend = np.stack([operators.gradient(row) for row in gradient])
    assert np.abs(phi.hessian(torus.points) - bend).max() < 1e-9


@pytest.mark.parametrize("eps", [0.3, 3.0, 1e4])
@pytest.mark.parametrize("space", [(1, 1.0), (2, (1.0, 1.3)), Box((16,))], ids=str)
def test_large_eps_by_waves(space, eps, rng):
    """Where the kernel is a short Fourier series, derivatives come from that series."""
    problem = problem_on(space, rng)
    phi = Potential(problem.nu, 0.1 * rng.random(problem.codomain.shape), eps)
    x, h = rng.random((20, problem.domain.dim)), 0.02
    for j, e in enumerate(np.eye(problem.domain.dim)):
        pairs = [(s, x + (4 - k) * h * e, x - (4 - k) * h * e) for k, s in enumerate(STENCIL)]
        slope = sum(s * (phi(a) - phi(b)) for s, a, b in pairs) / h
        bend = sum(s * (phi.gradient(a) - phi.gradient(b)) for s, a, b in pairs) / h
        assert np.abs(slope - phi.gradient(x)[:, j]).max() < 1e-11 * max(1.0, eps)
        assert np.abs(bend - phi.hessian(x)[:, j]).max() < 1e-9 * max(1.0, eps)


def test_small_eps_keeps_the_digits_of_hessians(rng):
    """ε = 1e-8 and displacements of order 1: Cov/ε to ten digits, though |d|²/ε is 10⁸."""
    y = 0.7 + 1e-4 * rng.standard_normal((400, 2))
    problem = Problem.from_samples(rng.random((3, 2)), y)
    phi = Potential(problem.nu, 0.5 * ((y + 0.3) ** 2).sum(1) - 0.5 * (y**2).sum(1), 1e-8)
    x = 0.3 + np.array([[0.7, 0.7], [0.70005, 0.7], [0.7, 0.70005]])
    _, mean, covariance = exact(phi, x)
    assert np.abs(phi.gradient(x) - mean).max() < 1e-9
    assert np.abs(phi.jacobian(x) - covariance / 1e-8).max() < 1e-7


def test_shapes_and_scattered_points(rng):
    """Points, fields (dim, *shape), one point, and none."""
    phi = Plan.after(problem_on((2, None), rng), 0.05, np.zeros(70)).phi
    x = rng.random((2, 3, 5))
    assert phi(x).shape == (3, 5)
    assert phi.gradient(x).shape == (2, 3, 5)
    assert phi.hessian(x).shape == (2, 2, 3, 5)
    assert phi(x[:, 0, :1].T).shape == (1,)
    assert phi(x[:, 0, :1].T)[0] == pytest.approx(phi(x)[0, 0], rel=1e-15)
    listed = x.reshape(2, -1).T
    assert np.array_equal(phi.hessian(listed), np.moveaxis(phi.hessian(x).reshape(2, 2, -1), -1, 0))
    assert phi.gradient(np.empty((0, 2))).shape == (0, 2)
    assert phi.hessian(np.empty((0, 2))).shape == (0, 2, 2)


def dense(plan):
    """The whole matrix of masses."""
    return plan.rows(np.arange(plan.problem.domain.size)).reshape(plan.problem.domain.size, -1)


def masses(measure, log_ratio=0.0):
    return np.exp(measure.log_density + log_ratio).ravel() * measure.cell


def test_marginals(plan):
    """After a whole iteration p_X = μ; after a half step p_Y = ν and p_X = μ exp((φ_k − φ_{k−1})/ε), all with mass 1."""
    problem, eps = plan.problem, plan.eps
    matrix = dense(plan)
    assert np.abs(matrix.sum(1) - masses(problem.mu)).max() < 1e-14
    assert np.abs(np.exp(plan.log_source_marginal).ravel() * problem.mu.cell - matrix.sum(1)).max() < 1e-15
    assert np.abs(np.exp(plan.log_target_marginal).ravel() * problem.nu.cell - matrix.sum(0)).max() < 1e-14
    half = Plan.after(problem, eps, plan.u)
    following = Plan.of(evolve(Sinkhorn(problem, eps, quadrature=1), [eps], initial=plan.u), 0)
    matrix = dense(half)
    assert np.abs(matrix.sum(0) - masses(problem.nu)).max() < 1e-14
    assert np.abs(matrix.sum(1) - masses(problem.mu, (following.u - plan.u) / eps)).max() < 1e-14
    assert half.mass == pytest.approx(1, abs=1e-12)
    assert plan.mass == pytest.approx(1, abs=1e-12)


def test_rows_anywhere(plan, rng):
    """Conditional laws sum to 1 at any x, and have φ's gradient as mean displacement in ℝᵈ."""
    x = rng.random((6, plan.problem.domain.dim))
    laws = plan.conditional(x).reshape(6, -1)
    assert np.abs(laws.sum(1) - 1).max() < 1e-12
    if isinstance(plan.problem.domain, Cloud) and plan.problem.domain.period is None:
        assert np.abs(laws @ plan.problem.codomain.points - plan.phi.map(x)).max() < 1e-13
    some = plan.rows([3, 1])
    assert np.abs(some.reshape(2, -1) - dense(plan)[[3, 1]]).max() == 0


def test_costs(plan):
    """value = ⟨c, γ⟩ + ε KL(γ | μ⊗ν) and dual by their definitions, with c = −ε log K."""
    problem, eps = plan.problem, plan.eps
    matrix, product_measure = dense(plan), np.outer(masses(problem.mu), masses(problem.nu))
    c = -eps * log_kernel(points(problem.domain), problem.codomain, eps)
    kl = np.sum(matrix * np.log(matrix / product_measure)) - matrix.sum() + 1
    assert plan.value == pytest.approx(np.sum(matrix * c) + eps * kl, abs=1e-13)
    assert 0.5 * plan.w2_squared >= np.sum(matrix * c) - 1e-14
    if isinstance(problem.domain, Cloud) and problem.domain.period is None:
        assert 0.5 * plan.w2_squared == pytest.approx(np.sum(matrix * c), abs=1e-14)
    dual = -masses(problem.mu) @ plan.u.ravel() - masses(problem.nu) @ plan.v.ravel() - eps * (matrix.sum() - 1)
    assert plan.dual == pytest.approx(dual, abs=1e-13)


@pytest.mark.parametrize("space", [(2, None), (2, (1.0, 1.3)), Torus((20, 16)), Box((30,))], ids=str)
def test_gap(space, rng):
    """dual ≤ entropic value ≤ upper in every iteration, dual never falls, and the gap closes."""
    problem, eps = problem_on(space, rng), 0.05
    flow = evolve(Sinkhorn(problem, eps, quadrature=1), np.array([1, 2, 5, 10, 20, 40, 400]) * eps)
    plans = [Plan.of(flow, i) for i in range(flow.times.size)]
    value = plans[-1].value
    for plan in plans:
        assert plan.dual <= value + 1e-14
        assert plan.upper >= value - 1e-14
        assert plan.duality_gap >= -1e-14
    assert (np.diff([plan.dual for plan in plans]) >= -1e-14).all()
    assert plans[0].duality_gap > 1e-4
    assert plans[-1].duality_gap < 1e-12
    assert Plan.after(problem, eps, flow.potentials[0]).duality_gap > 0


def test_upper_bound_is_that_of_a_plan(rng):
    """From any potentials: scaled to marginals ≤ μ, ν and filled by a product, a plan has the marginals and at most that value."""
    problem, eps = problem_on((2, None), rng), 0.05
    plan = Plan(problem, eps, 0.03 * rng.standard_normal(70) - 0.1, 0.03 * rng.standard_normal(55))
    mu, nu = masses(problem.mu), masses(problem.nu)
    part = dense(plan)
    assert plan.mass == pytest.approx(part.sum())
    assert plan.mass > 1.2
    part = part * np.minimum(1, nu / part.sum(0))
    part = part * np.minimum(1, mu / part.sum(1))[:, None]
    e, e2 = mu - part.sum(1), nu - part.sum(0)
    rest, delta, reference = np.outer(e, e2) / e.sum(), e.sum(), np.outer(mu, nu)
    whole, c = part + rest, -eps * log_kernel(problem.domain.points, problem.codomain, eps)
    assert np.abs(whole.sum(0) - nu).max() < 1e-15
    assert np.abs(whole.sum(1) - mu).max() < 1e-15

    def kl(p, q):
        return np.sum(p * np.log(p / q, out=np.zeros(p.shape), where=p > 0))

    convex = kl(part / (1 - delta), reference) * (1 - delta) + delta * kl(rest / delta, reference)
    value = np.sum(dense(plan) * c) + eps * (kl(dense(plan), reference) - plan.mass + 1)
    assert plan.value == pytest.approx(value, abs=1e-13)
    assert plan.upper == pytest.approx(np.sum(whole * c) + eps * convex, abs=1e-13)
    assert plan.dual <= np.sum(whole * c) + eps * kl(whole, reference) <= plan.upper


@pytest.mark.parametrize("space", [(2, None), (2, (1.0, 1.3)), Torus((16, 12))], ids=str)
def test_pythagoras(space, rng):
    """KL(γ*|γ_k) − KL(γ*|γ_{k+1}) = KL(μ|p_X γ_k) + KL(ν|p_Y γ_{k+1/2}), exactly."""
    problem, eps = problem_on(space, rng), 0.05
    flow = evolve(Sinkhorn(problem, eps, quadrature=1), np.array([1, 2, 1000]) * eps)
    best = dense(Plan.of(flow, 2))
    first = Plan.after(problem, eps, np.zeros(problem.domain.shape))  # (φ₀, ψ₁)
    middle = Plan.of(flow, 0)  # (φ₁, ψ₁)
    last = Plan(problem, eps, flow.potentials[0], flow.fields["v"][1])  # (φ₁, ψ₂)

    def kl(p, q):
        return np.sum(p * np.log(p / q))

    left = kl(best, dense(first)) - kl(best, dense(last))
    mu, nu = masses(problem.mu), masses(problem.nu)
    right = kl(mu, dense(first).sum(1)) + kl(nu, dense(middle).sum(0))
    assert left == pytest.approx(right, abs=1e-13)
    assert left > 1e-6


def test_points_without_mass(rng):
    """Zero weights: potentials, maps, marginals and costs are finite, and the same as without these points."""
    x, y = rng.random((30, 2)), rng.random((25, 2))
    a, b = rng.random(30), rng.random(25)
    a[20:], b[20:] = 0.0, 0.0
    full, part = Problem.from_samples(x, y, a, b), Problem.from_samples(x[:20], y[:20], a[:20], b[:20])
    one, other = (Plan.of(evolve(Sinkhorn(p, 0.01), [0.03]), 0) for p in (full, part))
    for name in ("value", "dual", "w2_squared", "mass", "upper"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), abs=1e-14)
    assert np.abs(one.u[:20] - other.u).max() < 1e-15
    assert np.isfinite(one.phi.map(x)).all()
    assert (one.log_source_marginal[20:] == -np.inf).all()


def test_refuses(rng):
    problem = problem_on((2, None), rng)
    phi = Plan.after(problem, 0.05, np.zeros(70)).phi
    with pytest.raises(ValueError, match=r"points of shape \(5, 3\).*dim=2"):
        phi(np.zeros((5, 3)))
    with pytest.raises(ValueError, match=r"points of shape \(2, 5\).*that is x\.T"):
        phi(np.zeros((2, 5)))
    with pytest.raises(ValueError, match="1 coordinates are NaN"):
        phi.map([[0.0, np.nan], [0.0, 0.0], [0.0, 0.0]])
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        Potential(problem.nu, np.zeros(3), 0.1)
    with pytest.raises(ValueError, match="eps=0"):
        Potential(problem.nu, np.zeros(55), 0.0)
    with pytest.raises(ValueError, match="u has shape"):
        Plan(problem, 0.1, np.zeros(3), np.zeros(55))
    with pytest.raises(ValueError, match="no half step"):
        Plan.of(evolve(Sinkhorn(problem, 0.1), [0.0, 0.1]), 0)
    grid = Problem(Torus((16, 16)), lambda x, y: 0 * x, lambda x, y: 0.1 * np.cos(2 * pi * x))
    with pytest.raises(ValueError, match=r"MongeAmpere at t=0\.01 has no half step"):
        Plan.of(evolve(MongeAmpere(grid, space=FiniteDifference(2)), [0.01]), 0)
