"""PMA: its linearisation, its steady state, its orders in space and time, its dual, its cost."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from cases import KNOWN, T1_START, T2_START, Waves, interpolant, t1, t2
from scipy.integrate import solve_ivp

from pmasolve import Box, FiniteDifference, Fourier, MongeAmpere, Problem, Spline, Torus, evolve
from pmasolve.flows import integrator
from pmasolve.flows.integrator import order_of
from pmasolve.flows.monge_ampere import Evolution
from pmasolve.flows.reading import convexity, linearise, linearise_at
from pmasolve.problems.interpolation import Spectral
from pmasolve.problems.outcomes import CONVEXITY_LOST
from pmasolve.studies.convergence import running_orders

SPACES = [Fourier(), FiniteDifference(2), FiniteDifference(4), FiniteDifference(6)]


def box_problem(n: int) -> Problem:
    """Two densities that are smooth under reflection."""
    return Problem.from_densities(
        Box((n, n)),
        lambda x, y: 1 + 0.3 * np.cos(np.pi * x) * np.cos(np.pi * y),
        lambda x, y: 1 + 0.3 * np.cos(np.pi * y),
    )


@pytest.mark.parametrize(
    "make", [lambda: t1(64), lambda: t2(32), lambda: box_problem(32)], ids=["line", "plane", "box"]
)
def test_linearisation_against_central_differences(make) -> None:
    """𝓛w = DA(φ)[w]; the continuous formula, hence spectrally close to the derivative of the discrete A."""
    problem = make()
    grid, operators = problem.domain, Fourier().on(problem.domain)
    omega = np.pi if isinstance(grid, Box) else 2 * np.pi
    u = 0.004 * np.cos(omega * grid.points[0]) + 0.003 * np.cos(omega * grid.points[-1])
    w = np.cos(omega * grid.points[0]) * np.cos(2 * omega * grid.points[-1])

    def speed(values: np.ndarray) -> np.ndarray:
        return linearise_at(problem, operators, values).speed

    h = 1e-5
    # fourth-order central difference: its own error is far below the tolerance
    expected = (8 * (speed(u + h * w) - speed(u - h * w)) - (speed(u + 2 * h * w) - speed(u - 2 * h * w))) / (12 * h)
    exact = linearise_at(problem, operators, u).times(operators.transform.forward(w))
    error = np.max(np.abs(exact - expected)) / np.max(np.abs(expected))
    print(f"\n{grid}: relative error of the Jacobian product {error:.1e}")
    assert error < 1e-8


@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize(
    "make", [lambda: t1(32), lambda: t2(24), lambda: box_problem(24)], ids=["line", "plane", "box"]
)
def test_system_jacobian_in_coefficients(make, space) -> None:
    """What CVODE sees: derivative and jacobian_times agree up to the truncation error of the chain rule."""
    problem = make()
    system = Evolution(problem, space.on(problem.domain))
    omega = np.pi if isinstance(problem.domain, Box) else 2 * np.pi
    y = system.vector(0.004 * np.cos(omega * problem.domain.points[0]))
    v = system.vector(np.cos(omega * problem.domain.points[-1]))
    h = 1e-5
    ahead, behind, found = np.empty((3, y.size))
    assert system.derivative(y + h * v, ahead)
    assert system.derivative(y - h * v, behind)
    expected = (ahead - behind) / (2 * h)
    assert system.derivative(y, np.empty(y.size))
    system.linearise(y)
    system.jacobian_times(v, found)
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    assert error < (1e-6 if isinstance(space, Fourier) else 2e-2)


@pytest.mark.parametrize("make", [lambda: t2(24), lambda: box_problem(24)], ids=["plane", "box"])
def test_both_ways_to_the_drift_agree(make) -> None:
    """The chain rule and differences of g."""
    problem = make()
    omega, operators = np.pi if isinstance(problem.domain, Box) else 2 * np.pi, Fourier().on(problem.domain)
    c = operators.transform.forward(0.004 * np.cos(omega * problem.domain.points[0]))
    by_rule, by_differences = (linearise(problem, operators, operators.jet(c), way).drift for way in (False, True))
    assert np.max(np.abs(by_rule - by_differences)) < 1e-6 * np.max(np.abs(by_differences))


def test_the_order_of_a_step_is_read_off_its_linear_systems(monkeypatch: pytest.MonkeyPatch, plane: Problem) -> None:
    """dt/γ is 1 + 1/2 + … + 1/q to rounding, in every step that had something to solve."""
    seen: list[float] = []

    def spy(dt: float, gamma: float) -> float:
        seen.append(dt / gamma)
        return order_of(dt, gamma)

    monkeypatch.setattr(integrator, "order_of", spy)
    evolve(MongeAmpere(plane, rtol=1e-6), [0.5])
    ratios = np.array([ratio for ratio in seen if np.isfinite(ratio)])
    assert ratios.size > 20
    assert np.max(np.min(np.abs(ratios[:, None] - integrator.LEADING), axis=1)) < 1e-12


def test_a_step_that_has_converged_is_not_checked_again(monkeypatch: pytest.MonkeyPatch, plane: Problem) -> None:
    """CVODE carries the rate of Newton's method from step to step; without that many a step costs a right-hand side more."""

    def checks() -> float:
        """Right-hand sides for each linear system, and one."""
        records = evolve(MongeAmpere(plane, rtol=1e-9), [3.0]).records
        return float(records["derivatives"][-1] / records["newton_iterations"][-1]) - 1.0

    carried, precond = checks(), integrator.CVODEPrecond
    monkeypatch.setattr(integrator, "CVODEPrecond", lambda prepare, solve: precond(None, solve))
    forgotten = checks()
    print(f"right-hand sides beyond one for each system: {carried:.3f}, without the rate {forgotten:.3f}")
    assert carried < 0.08
    assert carried < 0.6 * forgotten


def test_a_run_gives_its_memory_back(plane: Problem) -> None:
    """Nothing in the integrator refers to itself in a circle."""
    flow = MongeAmpere(plane)
    state = flow.advance(flow.resume(np.zeros(plane.domain.shape), 0.0), 0.01)
    seen = weakref.ref(state.integrator), weakref.ref(state.evolution)
    gc.disable()
    try:
        del state
        assert [ref() for ref in seen] == [None, None]
    finally:
        gc.enable()


def test_a_look_at_a_state_spoils_no_linearisation() -> None:
    """It takes the arrays of that: which numbers records ask for are known, and products are those of a system not looked at."""
    problem = t2(16)
    system, other = (Evolution(problem, Fourier().on(problem.domain)) for _ in range(2))
    y, elsewhere = (system.vector(T2_START(problem.domain.points) * a) for a in (1.0, -0.5))
    assert system.derivative(y, np.empty_like(y))
    assert other.derivative(y, np.empty_like(y))
    assert system.look(elsewhere).low == pytest.approx(
        convexity(other.operators, other.values(elsewhere))[0], rel=1e-12
    )
    assert system.here is not None
    assert other.here is not None
    assert system.here.diffusion == other.here.diffusion
    products = np.empty((2, y.size))
    for one, out in zip((system, other), products, strict=True):
        one.linearise(y)
        one.jacobian_times(elsewhere, out)
    assert np.array_equal(*products)


def test_refused_state_is_refused() -> None:
    problem = t1(32)
    system = Evolution(problem, Fourier().on(problem.domain))
    y = system.vector(0.5 * np.cos(2 * np.pi * problem.domain.points[0]))
    assert not system.derivative(y, np.empty(y.size))


@pytest.mark.parametrize("rtol", [1e-4, 1e-6, 1e-8, 1e-10])
def test_error_follows_rtol(rtol: float) -> None:
    """Against Runge–Kutta of order 8 on the same semi-discrete system: no line of the integrator in common."""
    problem = t1(24)
    operators, t = Fourier().on(problem.domain), 1 / 32
    start = T1_START(problem.domain.points)

    def speed(_, u: np.ndarray) -> np.ndarray:
        return linearise_at(problem, operators, u).speed

    exact = solve_ivp(speed, (0, t), start, method="DOP853", rtol=1e-13, atol=1e-15).y[:, -1]
    u = evolve(MongeAmpere(problem, rtol=rtol), [t], initial=start).potentials[-1]
    error = np.max(np.abs(u - exact))
    print(f"\nrtol {rtol:.0e}: error {error:.1e}")
    assert error < 5 * rtol  # the tolerance is that of one step; errors of the constant add up


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_steady_state_of_a_known_problem(dim: int) -> None:
    known, shape = KNOWN[dim], {1: (64,), 2: (32, 36), 3: (16, 16, 16)}[dim]
    problem = known.problem(shape)
    run = evolve(MongeAmpere(problem, rtol=1e-10), [1.0])
    error = problem.domain.sup(problem.domain.centred(run.potentials[-1] - known.u(problem.domain.points)))
    print(f"\ndim {dim}: distance from the known potential {error:.1e}")
    assert error < (1e-10 if dim < 3 else 1e-8)
    assert run.records["kl"][-1] < 1e-10
    assert (
        np.max(np.abs(run.map(0) - problem.domain.points - known.u.gradient(problem.domain.points)))
        < 20 * error + 1e-10
    )


@pytest.mark.parametrize("order", [2, 4, 6])
def test_order_in_space(order: int) -> None:
    known, sizes = KNOWN[2], np.array([24, 32, 48])
    errors = []
    for n in sizes:
        problem = known.problem((n, n))
        grid = problem.domain
        run = evolve(
            MongeAmpere(problem, space=FiniteDifference(order), rtol=1e-10), [0.6], initial=known.u(grid.points)
        )
        errors.append(grid.sup(grid.centred(run.potentials[-1] - known.u(grid.points))))
    orders = running_orders(1.0 / sizes, np.array(errors))
    print(f"\norder {order}: errors", np.array2string(np.array(errors), precision=2), "orders", np.round(orders, 3))
    assert np.all(np.abs(orders - order) < 0.15), orders


@pytest.mark.parametrize("order", [2, 4, 6])
def test_order_in_space_at_finite_time_on_the_box(order: int) -> None:
    sizes, t = np.array([24, 32, 48]), [0.02]
    errors = []
    for n in sizes:
        fourier, differences = (
            evolve(MongeAmpere(box_problem(n), space=space, rtol=1e-10), t).potentials[0]
            for space in (Fourier(), FiniteDifference(order))
        )
        errors.append(np.max(np.abs(fourier - differences)))
    orders = running_orders(1.0 / sizes, np.array(errors))
    print(f"\nbox, order {order}:", np.round(orders, 3))
    assert np.all(np.abs(orders - order) < 0.15), orders


def conjugate_start(u0: Waves, grid: Torus) -> np.ndarray:
    """v with |y|²/2 + v the Legendre transform of |x|²/2 + u₀: solve x + ∇u₀(x) = y by Newton's method."""
    y = grid.points
    x = y - u0.gradient(y)
    for _ in range(20):
        J = np.eye(grid.dim) + u0.hessian(x)
        residual = np.moveaxis(x + u0.gradient(x) - y, 0, -1)
        x = x - np.moveaxis(np.linalg.solve(J, residual[..., None])[..., 0], -1, 0)
    return -u0(x) - 0.5 * np.sum((y - x) ** 2, axis=0)


@pytest.mark.parametrize(("problem", "u0"), [(t1(64), T1_START), (t2(32), T2_START)], ids=["line", "plane"])
def test_legendre_dual_solves_the_swapped_problem(problem: Problem, u0: Waves) -> None:
    """ψ_t = φ_t*, constants included (arXiv 2307.16421): v(∇φ(x)) = −u − |∇u|²/2."""
    grid, times = problem.domain, [0.005, 0.03]
    primal = evolve(MongeAmpere(problem, rtol=1e-11), times, initial=u0(grid.points))
    dual = evolve(MongeAmpere(problem.swapped(), rtol=1e-11), times, initial=conjugate_start(u0, grid))
    for i in range(2):
        u, y = primal.potentials[i], primal.map(i)
        expected = -u - 0.5 * np.sum((y - grid.points) ** 2, axis=0)
        v = interpolant(grid, dual.potentials[i], y.reshape(grid.dim, -1)).reshape(grid.shape)
        error = np.max(np.abs(v - expected))
        print(f"\ndim {grid.dim}, t = {times[i]}: {error:.1e}")
        assert error < 1e-9


def test_mass_is_conserved_and_entropy_falls(plane: Problem) -> None:
    run = evolve(MongeAmpere(plane, rtol=1e-8), [0.1], initial=T2_START(plane.domain.points))
    assert np.max(np.abs(run.records["mass"] - 1)) < 1e-12
    assert np.all(np.diff(run.records["kl"]) < 1e-12)
    assert np.all(run.records["min_eigenvalue"] > 0)


def test_constants_commute(line: Problem) -> None:
    start = T1_START(line.domain.points)
    a, b = (evolve(MongeAmpere(line, rtol=1e-10), [0.02], initial=start + c).potentials[0] for c in (0.0, 7.0))
    assert np.max(np.abs(b - a - 7.0)) < 1e-10


def test_speed_obeys_the_maximum_principle(line: Problem) -> None:
    """sup ∂ₜφ falls and inf ∂ₜφ rises."""
    flow = MongeAmpere(line, rtol=1e-10)
    run = evolve(flow, np.linspace(0, 0.05, 6), initial=T1_START(line.domain.points))
    speeds = np.stack([line.f + run.log_density(i) for i in range(6)])
    assert np.all(np.diff(speeds.max(axis=1)) < 0)
    assert np.all(np.diff(speeds.min(axis=1)) > 0)


def test_splines_follow_formulas() -> None:
    """Densities given as arrays: composed by splines of degree 5, error of order 6."""
    sizes, errors = np.array([16, 24, 32]), []
    for n in sizes:
        exact = t2(n)
        sampled = Problem(exact.domain, exact.f, exact.g)
        a, b = (evolve(MongeAmpere(p, rtol=1e-11), [0.02]).potentials[0] for p in (exact, sampled))
        errors.append(np.max(np.abs(a - b)))
    orders = running_orders(1.0 / sizes, np.array(errors))
    print("\nsplines in the flow:", np.array(errors), np.round(orders, 2))
    assert orders[-1] > 5.5
    assert errors[-1] < 1e-8


def test_a_nonuniform_transform_follows_formulas() -> None:
    """Densities given as arrays, composed spectrally: the flow of the formulas to rounding, where splines leave 1e-8."""
    exact, times = t2(32), [0.02]
    runs = []
    for interpolation in (Spectral(), Spline(5)):
        sampled = Problem(exact.domain, exact.f, exact.g, interpolation=interpolation)
        run = evolve(MongeAmpere(sampled, rtol=1e-11), times)
        runs.append(np.max(np.abs(run.potentials - evolve(MongeAmpere(exact, rtol=1e-11), times).potentials)))
    print("\nspectral and spline composition:", runs)
    assert runs[0] < 1e-12
    assert runs[0] < 0.1 * runs[1]


def work(n: int, dim: int) -> tuple[int, int]:
    """Right-hand sides and Jacobian products to the steady state at rtol 1e-6."""
    two_pi = 2 * np.pi
    problem = Problem(
        Torus((n,) * dim),
        lambda x, y, z=0.0: 0.3 * np.cos(two_pi * x) + 0.2 * np.sin(two_pi * (y + z)) * np.cos(two_pi * x),
        lambda x, y, z=0.0: 0.3 * np.cos(two_pi * (x - 0.2)) + 0.2 * np.sin(two_pi * (x + y - z)),
    )
    run = evolve(MongeAmpere(problem, rtol=1e-6), [3.0])
    return int(run.records["derivatives"][-1]), int(run.records["jacobian_products"][-1])


SLOW_SIZES = [(512, 2), (1024, 2), (64, 3), (128, 3)]


@pytest.mark.parametrize(
    ("n", "dim"), [(256, 2), (24, 3), *(pytest.param(*size, marks=pytest.mark.slow) for size in SLOW_SIZES)]
)
def test_work_does_not_grow_with_the_grid(n: int, dim: int) -> None:
    coarse, fine = work({2: 64, 3: 16}[dim], dim), work(n, dim)
    print(f"\n{dim}D: right-hand sides and Jacobian products: coarse {coarse}, {n} points an axis {fine}")
    assert np.all(np.abs(np.divide(fine, coarse) - 1) <= 0.15)
    assert fine[0] <= 100
    assert fine[1] <= 140


@pytest.mark.parametrize(("shape", "amplitude"), [((16,), 12.0), ((32,), 12.0), ((16, 16), 3.0), ((16, 16), 6.0)])
def test_lost_convexity_is_named(shape: tuple[int, ...], amplitude: float) -> None:
    """White noise as −log density: the discrete flow leaves the convex functions, and must say so."""
    noise = amplitude * np.random.default_rng(8).standard_normal(shape)
    run = evolve(MongeAmpere(Problem(Torus(shape), noise, np.zeros(shape)), rtol=1e-6), [1.0], throw=False)
    assert run.outcome is CONVEXITY_LOST
    assert run.times.size == 0
    assert 0 < run.latest[0] < 1e-2
    assert convexity(run.flow.operators, run.latest[1])[0] > 0
