"""Newton on Monge–Ampère: the linearisation is the derivative, solves are exact, maps are known ones, orders as declared."""

from __future__ import annotations

from copy import copy

import numpy as np
import pytest
from cases import KNOWN, TAU, t1

from pmasolve import Box, FiniteDifference, Fourier, Problem, Torus, manufactured, transport
from pmasolve.calculus.hessians import apply, packed
from pmasolve.calculus.operators import jet_of
from pmasolve.calculus.transforms import Transform
from pmasolve.maps import certificates
from pmasolve.maps.level import REFUSED_STATE, Level
from pmasolve.maps.newton import NewtonKrylov, _coarse_to_fine, _halved, _jagged, _unmoved, newton
from pmasolve.maps.residual import positive_definite
from pmasolve.studies.convergence import running_orders

SIZES = {1: (32,), 2: (24, 25), 3: (16, 15, 16)}
SPACES = [Fourier(), FiniteDifference(2), FiniteDifference(4), FiniteDifference(6)]
QUICK = NewtonKrylov()


def on_box(shape: tuple[int, ...]) -> tuple[Problem, np.ndarray]:
    """A problem on a box whose answer is known."""

    def wave(*x):
        return sum(0.02 / (j + 1) * np.cos(np.pi * (j + 1) * x[j]) for j in range(len(x)))

    def u(*x):
        return 0.5 * wave(*x) + 0.004 * np.prod([np.cos(np.pi * t) for t in x], axis=0)

    return manufactured(Box(shape), u, lambda *y: 10 * wave(*y))


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_residual_and_linearisation(dim: int) -> None:
    """r against an independent formula; −div(ν cof ∇v) against a difference quotient; symmetric."""
    problem = KNOWN[dim].problem(SIZES[dim])
    grid, level = problem.domain, Level(problem, Fourier().on(problem.domain))
    u = 0.5 * KNOWN[dim].u(grid.points)
    state = level.evaluate(level.transform.forward(u))
    H = np.eye(dim) + 0.5 * KNOWN[dim].u.hessian(grid.points)
    nu = np.exp(-problem.target(grid.points + 0.5 * KNOWN[dim].u.gradient(grid.points)))
    r = np.exp(-problem.f) - nu * np.linalg.det(H)
    assert np.allclose(level.residual, r, atol=1e-12)
    assert state.l1 == pytest.approx(grid.integral(np.abs(r)), rel=1e-10)
    assert state.sup == pytest.approx(np.max(np.abs(r) / np.linalg.det(H)), rel=1e-10)
    assert state.l1 - abs(grid.integral(r)) <= state.defect <= np.max(np.abs(r)) * 1.001
    cofactors = nu[..., None, None] * np.linalg.det(H)[..., None, None] * np.linalg.inv(H)
    for row, (i, j) in enumerate(packed(dim)):
        assert np.allclose(level.jet.D2[row], cofactors[..., i, j], atol=1e-11)
    v = KNOWN[dim].g(grid.points) * 1e-5  # smooth
    A, zero = level.jet.D2.copy(), (0,) * dim
    c = level.transform.forward(v)
    applied = level.transform.derivative(level.elliptic.apply(A, c, np.empty_like(c)), zero, np.empty(grid.shape))
    up, down = (level.evaluate(level.transform.forward(w)) and level.residual.copy() for w in (u + v, u - v))
    assert np.allclose(0.5 * (up - down), applied, atol=2e-3 * np.max(np.abs(applied)))


@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize("grid", [Torus((16,)), Torus((12, 9), (1.0, 2.0)), Box((8, 10)), Torus((8, 6, 7))], ids=str)
def test_operator_is_symmetric_and_solved(space, grid) -> None:
    rng = np.random.default_rng(7)
    level = Level(Problem(grid, np.zeros(grid.shape), np.zeros(grid.shape)), space.on(grid))
    jet = jet_of(Fourier().on(grid), 1e-3 * rng.standard_normal(grid.shape) / grid.dim)
    A = 1e-2 * jet.D2 / np.max(np.abs(jet.D2))
    for row, (i, j) in enumerate(packed(grid.dim)):
        A[row] += (i == j) * (1.0 + 0.3 * i)
    a, b = (level.transform.forward(rng.standard_normal(grid.shape)) for _ in range(2))
    zero, weight = (0,) * grid.dim, level.transform.isometry**2

    def dot(x, y):
        return float(np.sum(weight * np.real(np.conj(x) * y)))

    Aa, Ab = (level.elliptic.apply(A, x, np.empty_like(x)) for x in (a, b))
    assert dot(b, Aa) == pytest.approx(dot(a, Ab), rel=1e-10)
    assert dot(a, Aa) > 0
    a.ravel()[0] = 0.0
    wanted = level.transform.derivative(a, zero, np.empty(grid.shape))
    solve = level.elliptic.solve(A, Aa, 1e-11, 100)
    found = level.transform.derivative(level.elliptic.solution, zero, np.empty(grid.shape))
    assert solve.relative <= 1e-11
    assert np.allclose(found, wanted, rtol=0, atol=1e-8)
    # ⟨δ, r⟩, by the way
    assert solve.product == pytest.approx(dot(a, level.elliptic.apply(A, a, Aa)) / grid.size, rel=1e-8)


def test_flux_and_convexity_of_matrices() -> None:
    rng = np.random.default_rng(8)
    for dim in (1, 2, 3):
        M = 0.4 * rng.standard_normal((50, dim, dim))
        M = M + np.swapaxes(M, 1, 2)
        A = np.stack([M[:, i, j] for i, j in packed(dim)]).reshape(-1, *(50,) + (1,) * (dim - 1))
        v = rng.standard_normal((dim, *A.shape[1:]))
        wanted = np.einsum("nij,jn->in", M, v.reshape(dim, -1))
        apply(A, v)
        assert np.allclose(v.reshape(dim, -1), wanted)
        for k in range(50):
            definite = np.linalg.eigvalsh(np.eye(dim) + M[k])[0] > 0
            assert positive_definite(A.reshape(A.shape[0], -1)[:, k].reshape(-1, *(1,) * dim)) == definite
        A[0, 0] = np.nan
        assert not positive_definite(A)


@pytest.mark.parametrize("kind", [Torus, Box])
def test_manufactured_densities_have_no_noise_on_fine_grids(kind: type) -> None:
    """f to 1e-13, where second derivatives of the rounding of u are 1e-10 and more; Newton has nothing to do on fine grids."""
    grid, k = kind((4096,)), TAU if kind is Torus else np.pi
    problem, _ = manufactured(grid, lambda x: 0.04 / k * np.cos(k * x), lambda y: 0.3 * np.cos(k * y))
    (x,) = grid.points
    exact = 0.3 * np.cos(k * (x - 0.04 * np.sin(k * x))) - np.log1p(-0.04 * k * np.cos(k * x))
    error = problem.f - exact
    assert np.ptp(error) < 1e-13
    found = newton(problem, Fourier(), 1e-12, QUICK)
    assert found.outcome.ok
    assert max(record["points"] for record in found.records) < 1024


@pytest.mark.parametrize(("dim", "n"), [(1, 128), (2, 256), (3, 48)])
def test_known_maps_are_found(dim: int, n: int) -> None:
    """To 1e-10 at 256², and with margin."""
    problem = KNOWN[dim].problem((n,) * dim)
    found = newton(problem, Fourier(), 1e-12, QUICK)
    grid = problem.domain
    assert found.outcome.ok
    assert found.state.l1 < 2e-12
    error = Fourier().on(grid).gradient(found.level.values) - KNOWN[dim].u.gradient(grid.points)
    assert np.max(np.abs(error)) < 3e-12
    fine = [record for record in found.records if record["points"] == grid.size]
    assert dim == 3 or len(fine) <= 2  # the cascade has done the work


@pytest.mark.parametrize("shape", [(128,), (64, 60)], ids=str)
def test_known_maps_of_a_box_are_found(shape: tuple[int, ...]) -> None:
    problem, u = on_box(shape)
    found = newton(problem, Fourier(), 1e-12, QUICK)
    assert found.outcome.ok
    assert np.max(np.abs(found.level.values - u)) < 1e-11


@pytest.mark.parametrize("order", [2, 4, 6])
@pytest.mark.parametrize("dim", [1, 2])
def test_orders_of_differences(dim: int, order: int) -> None:
    sizes, errors = np.array([32, 64, 128]), []
    for n in sizes:
        problem = KNOWN[dim].problem((n,) * dim)
        found = newton(problem, FiniteDifference(order), 1e-11, QUICK)
        assert found.outcome.ok
        errors.append(
            problem.domain.l2(problem.domain.centred(found.level.values - KNOWN[dim].u(problem.domain.points)))
        )
    orders = running_orders(1.0 / sizes, np.array(errors))
    print(f"\norder {order}, dim {dim}:", errors, orders)
    assert np.all(np.abs(orders - order) < 0.15), orders


def test_one_dimension_against_cumulative_distributions() -> None:
    """T1 by quadrature of both densities and a bisected shift: the optimal rotation has mean displacement 0."""
    problem = t1(256)
    x = problem.domain.points[0]
    map_ = x + Fourier().on(problem.domain).gradient(newton(problem, Fourier(), 1e-13, QUICK).level.values)[0]

    def source(s):
        return s + 0.3 * np.sin(TAU * s) / TAU

    def target(s):
        return s - 0.3 * np.cos(TAU * s) / TAU

    shift = np.mean(target(map_) - source(x))
    assert np.max(np.abs(target(map_) - source(x) - shift)) < 1e-12
    assert abs(np.mean(map_ - x)) < 1e-15


def test_hard_starts_are_found_by_damping() -> None:
    """Bumps on a background of a tenth: full steps lose convexity or increase the residual."""
    grid = Torus((128, 128))

    def bump(x, y, a, b, s):
        return np.exp(-(np.sin(np.pi * (x - a)) ** 2 + np.sin(np.pi * (y - b)) ** 2) / (2 * np.pi**2 * s**2))

    mu = 0.1 + bump(*grid.points, 0.3, 0.3, 0.08)
    nu = 0.1 + bump(*grid.points, 0.6, 0.5, 0.12) + bump(*grid.points, 0.3, 0.8, 0.07)
    found = newton(Problem.from_densities(grid, mu, nu), Fourier(), 1e-10, QUICK)
    assert found.outcome.ok
    assert found.state.l1 < 1e-9
    assert min(record["length"] for record in found.records) < 1


def test_outcomes_and_refusals() -> None:
    problem = KNOWN[2].problem((32, 32))
    level = Level(problem, Fourier().on(problem.domain))
    assert level.evaluate(level.transform.forward(0.1 * np.cos(TAU * problem.domain.points[0]))) is REFUSED_STATE
    assert newton(problem, Fourier(), 1e-13, NewtonKrylov(steps=1)).outcome.name == "step limit"
    rough = Problem.from_densities(
        problem.domain, np.random.default_rng(9).uniform(1e-4, 1, (32, 32)), np.ones((32, 32))
    )
    found = newton(rough, Fourier(), 1e-12, NewtonKrylov(steps=60))
    assert found.outcome.name in ("stalled", "step limit")
    assert np.isfinite(found.level.values).all()
    with pytest.raises(ValueError, match="steps"):
        NewtonKrylov(steps=0)


def test_records_are_watched() -> None:
    seen = []
    found = newton(KNOWN[1].problem((64,)), Fourier(), 1e-12, QUICK, seen.append)
    assert seen == list(found.records)
    assert {"points", "step", "defect", "krylov", "length"} <= set(seen[0])


def test_grids_are_near_to_each_other_where_data_are_smooth_and_halved_where_they_are_not() -> None:
    """And Newton makes r vanish on the nodes of no grid that a certificate may look at."""
    records = newton(KNOWN[2].problem((256, 256)), Fourier(), 1e-12, QUICK).records
    assert sum(record["krylov"] for record in records) < 44  # 48 if coarse grids were solved as the finest
    seen = [round(record["points"] ** 0.5) for record in records]
    assert sorted(set(seen)) == [32, 64, 90][: len(set(seen))]
    box = Box((128, 128))
    rough = Problem.from_densities(box, lambda x, y: 1 + x, lambda x, y: 1 + x * y)
    seen = [round(record["points"] ** 0.5) for record in newton(rough, Fourier(), 1e-12, QUICK).records]
    assert sorted(set(seen)) == [32, 64, 128]
    for kind in (Torus, Box):
        for n in range(16, 700):
            grid = kind((n, n))
            cascade = _coarse_to_fine(_halved(grid, QUICK.coarsest), QUICK.coarsest)
            sizes = [g.shape[0] for g in cascade]
            assert sizes == sorted(set(sizes))
            assert cascade[-1] == grid
            while min(grid.shape) >= 2 * certificates.COARSEST_CERTIFICATE:
                assert certificates._finer(grid) not in cascade
                grid = kind(tuple((m + 1) // 2 for m in grid.shape))
            assert certificates._finer(grid) not in cascade


def sharp(floor: float, target: float) -> Problem:
    """From a narrow bump to a uniform density, or to another bump that is cut off."""
    grid = Torus((128, 128))
    x, y = grid.points
    mu = floor + np.exp(-((x - 0.5) ** 2 + (y - 0.5) ** 2) / (2 * 0.02**2))
    return Problem.from_densities(grid, mu, 1e-3 + target * (np.hypot(x - 0.3, y - 0.4) < 0.2) + (target == 0))


def test_finer_grids_are_spared_where_coarse_ones_stall_alike_and_only_there(monkeypatch) -> None:
    stalled = newton(sharp(0.003, 1.0), Fourier(), 1e-10, QUICK)
    assert {record["points"] for record in stalled.records} == {32**2, 64**2}
    assert stalled.outcome.name == "stalled"
    assert stalled.level.grid.shape == (128, 128)  # with residual norms of the problem's own grid
    assert stalled.state.defect > 0.1
    monkeypatch.setattr("pmasolve.maps.newton._jagged", lambda problem: True)  # that it is nearer is enough
    found = newton(sharp(0.003, 0.0), Fourier(), 1e-3, QUICK)  # which stalls on 32² and 64² too
    defects = {record["points"]: record["defect"] for record in found.records}
    assert defects[64**2] > 1
    assert found.outcome.name == "reached"


def test_finer_grids_are_spared_after_two_without_a_step() -> None:
    """Blobs that they resolve, on next to nothing: 128² and 256² would begin with the same potential, and stall as 64² did."""
    grid = Torus((256, 256))
    x, y = grid.points
    blobs = [np.exp(-((x - c) ** 2 + (y - d) ** 2) / (2 * 0.05**2)) for c, d in ((0.3, 0.3), (0.5, 0.7), (0.7, 0.4))]
    problem = Problem.from_densities(grid, 1e-3 + blobs[0], 1e-3 + blobs[1] + blobs[2])
    found = newton(problem, Fourier(), 1e-10, NewtonKrylov())
    assert not _jagged(problem)
    assert [record["points"] for record in found.records] == [32**2, 64**2]
    assert found.outcome.name == "stalled"
    stuck, moved = {"step": 1, "length": 0.0}, {"step": 2, "length": 0.0}
    assert [_unmoved(both) for both in ([stuck, stuck], [moved, stuck], [stuck, moved])] == [True, False, False]


def test_no_grid_is_spared_that_resolves_sharp_densities() -> None:
    """Two coarser ones have stalled alike, and the others converge; with noise they help, and cost nothing where they are small."""

    def narrow(x: np.ndarray, centre: float, width: float) -> np.ndarray:
        return -np.log(0.01 + np.exp(-((np.sin(np.pi * (x - centre)) / (np.pi * width)) ** 2) / 2))

    problem = Problem(Torus((8192,)), lambda x: narrow(x, 0.2, 0.02), lambda x: narrow(x, 0.3, 0.06))
    found = newton(problem, Fourier(), 1e-10, QUICK)
    defects = {record["points"]: record["defect"] for record in found.records}
    assert defects[64] > 0.9 * defects[32] > 2
    assert found.outcome.name == "reached"
    grid = Torus((512,))
    noise = 0.02 * np.random.default_rng(0).standard_normal(512)
    T = transport(
        Problem(grid, narrow(grid.points[0], 0.2, 0.02) + noise, narrow(grid.points[0], 0.3, 0.06)),
        gap=0.02,
        method=QUICK,
    )
    assert T.outcome.name == "within the gap"


@pytest.mark.parametrize(("length", "bits"), [(1.0, 32), (1e22, 64), (1e-22, 64)])
def test_float32_is_not_exchanged_where_units_leave_its_range(length: float, bits: int, monkeypatch) -> None:
    """Centimetres between galaxies: on ranks it overflowed, with warnings, and all was done again."""
    monkeypatch.setattr(Transform, "single", property(copy))
    grid = Torus((8, 8), lengths=(1.0, length))
    level = Level(Problem(grid, lambda x, y: 0.1 * np.cos(TAU * x), lambda x, y: 0 * x), Fourier().on(grid))
    level.begin()
    assert level.correct(0.05, 10).bits == bits


@pytest.mark.parametrize("grid", [Box((4, 6)), Torus((4, 12)), Box((4, 6, 4)), Torus((5,)), Box((4,))], ids=str)
def test_the_smallest_grids_have_no_coarser_ones(grid: Box | Torus) -> None:
    """Two thirds of 4 points are 3, which is no axis of a grid."""
    mu, nu = 1 + np.random.default_rng(3).random((2, *grid.shape))
    problem = Problem.from_densities(grid, mu, nu)
    assert transport(problem, gap=1e-2).outcome.ok
    assert _coarse_to_fine([grid], 32) == [grid]
    assert transport(problem, method=NewtonKrylov()).potential.shape == grid.shape
