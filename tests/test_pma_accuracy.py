"""PMA against what is known: manufactured maps, one-dimensional transport, separable data, symmetries, extrapolated Sinkhorn."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from cases import steady

from pmasolve import FiniteDifference, Fourier, MongeAmpere, Problem, Richardson, Torus, compare, evolve, manufactured
from pmasolve.flows.reading import linearise_at
from pmasolve.machine.arrays import Array
from pmasolve.studies.convergence import running_orders

TAU = 2 * np.pi


def peak(x: Array) -> Array:
    """A smooth bump whose Fourier coefficients fall like 0.1^k."""
    return 1.0 / (5.0 - np.cos(TAU * x))


def u_known(*x: Array) -> Array:
    """A potential that no grid represents exactly."""
    total = 0.06 * peak(x[0] - 0.1)
    for a, b in pairwise(x):
        total = total + 0.15 * peak(b + 0.2) * peak(a)
    return total


def g_known(*y: Array) -> Array:
    """Not a sum over the axes."""
    return 0.3 * np.sin(TAU * y[0]) + 0.2 * np.cos(TAU * (y[0] + y[-1]))


# --- manufactured static problems -------------------------------------------------------------------------------------

RESOLVED = {1: (72,), 2: (64, 60), 3: (45, 48, 48)}


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_the_test_problem_satisfies_monge_ampere(dim: int) -> None:
    """f − g(∇φ) + log det D²φ = 0 before any solver sees the problem; f is of mass one without being told."""
    problem, u = manufactured(Torus(RESOLVED[dim]), u_known, g_known)
    residual = linearise_at(problem, Fourier().on(problem.domain), u).speed
    print(f"\ndim {dim}: residual {problem.domain.sup(residual):.1e}")
    assert problem.domain.sup(residual) < 1e-11  # rounding of second derivatives


@pytest.mark.parametrize("dim", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("order", [2, 4, 6])
def test_finite_differences_have_their_order(dim: int, order: int) -> None:
    """The last two running orders are within 0.1 of the declared one; started from u, far from the discrete answer."""
    sizes = {1: (32, 48, 72), 2: (32, 48, 72), 3: (28, 36, 46)}[dim]
    errors = []
    for n in sizes:
        problem, u = manufactured(Torus((n,) * dim), u_known, g_known)
        found = steady(problem, FiniteDifference(order), 1e-12 if dim < 3 else 1e-10, initial=u)
        errors.append(problem.domain.l2(found - u))
    orders = running_orders(1.0 / np.array(sizes), np.array(errors))
    print(f"\ndim {dim}, order {order}: errors {errors}, orders {orders}")
    assert np.all(np.abs(orders - order) < 0.1)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_fourier_converges_spectrally(dim: int) -> None:
    """Each refinement by a half gains more than the one before, down to below 1e-11."""
    sizes = {1: (6, 9, 13, 28), 2: (6, 9, 13, 28), 3: (6, 9, 13, 24)}[dim]
    errors = []
    for n in sizes:
        problem, u = manufactured(Torus((n,) * dim), u_known, g_known)
        errors.append(problem.domain.sup(steady(problem, Fourier(), 1e-11) - u))
    orders = running_orders(1.0 / np.array(sizes), np.array(errors))
    print(f"\ndim {dim}: errors {errors}, orders {orders}")
    assert errors[-1] < 1e-11
    assert orders[1] > orders[0] > 5


# --- time -------------------------------------------------------------------------------------------------------------

WAVES = (
    lambda x, y: 0.3 * np.cos(TAU * x) + 0.2 * np.sin(TAU * y) * np.cos(TAU * x),
    lambda x, y: 0.3 * np.cos(TAU * (x - 0.2)) + 0.2 * np.sin(TAU * (x + y)),
)
STRONG = (
    lambda x, y: 0.8 * np.cos(TAU * x) + 0.3 * np.cos(TAU * y),
    lambda x, y: 0.3 * np.cos(TAU * (x - 0.2)) + 0.2 * np.sin(TAU * y),
)


@pytest.mark.parametrize("densities", [WAVES, STRONG], ids=["waves", "strong"])
def test_error_is_proportional_to_rtol(densities) -> None:
    """Over six decades the slope in log–log is within [0.8, 1.2] and the error within a hundred times rtol."""
    problem, times = Problem(Torus((20, 20)), *densities), [0.02, 0.05, 0.1]  # time only: the grid is the same
    reference = evolve(MongeAmpere(problem, rtol=1e-13), times)
    rtols = 10.0 ** -np.arange(4, 11)
    errors = [compare(evolve(MongeAmpere(problem, rtol=rtol), times), reference).sup.max() for rtol in rtols]
    slope = np.polyfit(np.log(rtols), np.log(errors), 1)[0]
    print(f"\nerrors {errors}, slope {slope:.3f}")
    assert 0.8 <= slope <= 1.2
    assert np.all(np.array(errors) < 100 * rtols)


def test_the_tight_run_is_extrapolated_sinkhorn() -> None:
    """Two integrators with nothing in common but the grid: the reference above is right, not only converged."""
    problem = Problem(Torus((64, 64)), *WAVES)
    tight = evolve(MongeAmpere(problem, rtol=1e-13), [0.02])
    sinkhorn = evolve(Richardson(problem, 0.005, levels=4, quadrature=1e-6), [0.02])
    distance, estimate = compare(tight, sinkhorn).sup[-1], sinkhorn.records["error_estimate"][-1]
    print(f"\ndistance {distance:.2e}, estimate of the extrapolation {estimate:.2e}")
    assert distance < 1e-10
    assert distance < estimate


# --- separable data and symmetries ------------------------------------------------------------------------------------


def test_separable_data_are_sums() -> None:
    """f₁(x) + f₂(y), g₁ + g₂: the plane's flow is the sum of two flows on lines, constants included."""
    f = (lambda x: 0.4 * np.cos(TAU * x), lambda y: 0.3 * np.sin(2 * TAU * y))
    g = (lambda x: 0.5 * np.sin(TAU * x), lambda y: 0.2 * np.cos(TAU * (y - 0.1)))
    times = [0.01, 0.05, 0.2]
    plane = Problem(Torus((28, 40)), lambda x, y: f[0](x) + f[1](y), lambda x, y: g[0](x) + g[1](y))
    both = evolve(MongeAmpere(plane, rtol=1e-12), times).potentials
    one, two = (evolve(MongeAmpere(Problem(Torus((n,)), *fg), rtol=1e-12), times).potentials
                for n, fg in zip((28, 40), zip(f, g, strict=True), strict=True))  # fmt: skip
    assert np.max(np.abs(both - one[:, :, None] - two[:, None, :])) < 1e-10


def moved(f, x0: float, y0: float):
    """f translated by (x0, y0)."""
    return lambda x, y: f(x - x0, y - y0)


SYMMETRIES = {
    "translation": (lambda f: moved(f, 3 / 32, -5 / 32), lambda u: np.roll(u, (3, -5), (0, 1))),
    "swap of axes": (lambda f: lambda x, y: f(y, x), lambda u: u.T),
    "reflection": (lambda f: lambda x, y: f(-x, y), lambda u: np.roll(u[::-1], 1, 0)),
    "rotation": (lambda f: lambda x, y: f(y, -x), lambda u: np.roll(u[:, ::-1], 1, 1).T),
}


@pytest.fixture(scope="module", params=[Fourier(), FiniteDifference(4)], ids=str)
def waves_run(request):
    """The flow that the symmetries transform."""
    return evolve(MongeAmpere(Problem(Torus((32, 32)), *WAVES), space=request.param, rtol=1e-11), [0.02, 0.1])


@pytest.mark.parametrize("name", SYMMETRIES)
def test_symmetries(name: str, waves_run) -> None:
    """Transforming both densities transforms the flow."""
    of_density, of_array = SYMMETRIES[name]
    u, space, torus = waves_run.potentials, waves_run.flow.space, waves_run.flow.problem.domain
    other = Problem(torus, of_density(WAVES[0]), of_density(WAVES[1]))
    v = evolve(MongeAmpere(other, space=space, rtol=1e-11), waves_run.times).potentials
    assert max(np.max(np.abs(b - of_array(a))) for a, b in zip(u, v, strict=True)) < 1e-9


def test_legendre_duality() -> None:
    """u solves PMA(f, g) ⇔ u* solves PMA(g, f): v(x + ∇u) = −u − |∇u|²/2, the series of v summed at the moved points."""
    torus = Torus((36, 36))
    problem = Problem(torus, *WAVES)
    times = [0.01, 0.05, 0.2]
    primal = evolve(MongeAmpere(problem, rtol=1e-11), times)
    dual = evolve(MongeAmpere(problem.swapped(), rtol=1e-11), times)
    k = np.fft.fftfreq(36, 1 / 36)
    for i, u in enumerate(primal.potentials):
        y = primal.map(i)
        waves = [np.exp(1j * TAU * k * coordinate.reshape(-1, 1)) for coordinate in y]
        v = np.einsum("pk,kl,pl->p", waves[0], np.fft.fft2(dual.potentials[i]) / torus.size, waves[1]).real
        expected = -u - 0.5 * np.sum((y - torus.points) ** 2, axis=0)
        assert np.max(np.abs(v - expected.ravel())) < 1e-9


# --- one-dimensional transport ----------------------------------------------------------------------------------------


def periodic_transport(f, g, x: Array, modes: int = 128) -> Array:
    """T with ∫₀ˣ e^{−f} + θ = ∫₀ᵀ e^{−g}; the shift θ is that of mean displacement zero (where the cost is least)."""
    nodes = np.arange(modes) / modes
    k = TAU * np.fft.rfftfreq(modes, 1 / modes)[1:-1]

    def distribution(density):
        series = np.fft.rfft(density(nodes)) / np.mean(density(nodes)) / modes
        c = series[1:-1] / (1j * k)

        def cumulative(t: Array) -> Array:
            waves = np.exp(1j * np.multiply.outer(t, k))
            return t + 2 * ((waves - 1) @ c).real

        def slope(t: Array) -> Array:
            return 1 + 2 * (np.exp(1j * np.multiply.outer(t, k)) @ series[1:-1]).real

        return cumulative, slope

    (F, _), (G, G_slope) = distribution(lambda t: np.exp(-f(t))), distribution(lambda t: np.exp(-g(t)))

    def image(theta: float) -> Array:
        y = x + theta
        for _ in range(40):
            y = y - (G(y) - F(x) - theta) / G_slope(y)
        return y

    theta, old = 0.01, 0.0
    shift, before = np.mean(image(theta) - x), np.mean(image(old) - x)
    for _ in range(30):  # secant
        if shift == before:
            break
        theta, old = theta - shift * (theta - old) / (shift - before), theta
        before, shift = shift, np.mean(image(theta) - x)
        if abs(shift) < 1e-16:
            break
    return image(theta)


def test_steady_state_is_transport_on_the_circle() -> None:
    """The map of PMA's limit against cumulative distributions, 1e-10."""
    f, g = (lambda x: 0.8 * np.cos(TAU * x) + 0.2 * np.sin(2 * TAU * x)), (lambda y: 0.7 * np.sin(TAU * y))
    problem = Problem(Torus((144,)), f, g)
    u = steady(problem, rtol=1e-12)
    T = periodic_transport(f, g, problem.domain.axis(0))
    found = MongeAmpere(problem).reading.map(u)[0]
    print(
        f"\nmap error {np.max(np.abs(found - T)):.2e}, largest displacement {np.max(np.abs(T - problem.domain.axis(0))):.2f}"
    )
    assert np.max(np.abs(found - T)) < 1e-10
