"""No ok outcome whose interval misses the densities' W₂², no map that folds, nothing that depends on the units of length."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cases import TAU
from hypothesis import given, settings
from hypothesis import strategies as st
from quantiles import exact

from pmasolve import Box, Fourier, NewtonKrylov, Problem, SemiDual, Torus, distances, pairwise, transport
from pmasolve.calculus.transforms import transform_of
from pmasolve.maps import certificates
from pmasolve.maps.certificates import Interval, _energy, certify, measured, splitting, walled
from pmasolve.maps.level import Level, NewtonState
from pmasolve.maps.newton import _start
from pmasolve.maps.transport import _judged_by_certificate
from pmasolve.problems.densities import Spline
from pmasolve.problems.grids import Grid
from pmasolve.problems.interpolation import Spectral
from pmasolve.problems.outcomes import REACHED

NEWTON = NewtonKrylov(steps=12)


def line(rng: np.random.Generator, kind: type):
    """A random smooth function on a line: waves, and on a box powers, which have slopes at its walls."""
    terms, scale = int(rng.integers(1, 4)), rng.choice([0.1, 0.5, 1.0])
    c, phase = scale * rng.standard_normal((2, terms)), rng.uniform(0, TAU, terms)
    ends, period = (0.0, TAU) if kind is Torus else (1.0, np.pi)

    def f(x):
        waves = sum(c[0, k] / (k + 1) * np.cos(period * (k + 1) * x + phase[k]) for k in range(terms))
        return waves + ends * sum(c[1, k] / (k + 1) * x ** (k + 1) for k in range(terms))

    return f


def random_pair(seed: int) -> Problem:
    """Formulas or arrays, on 8 to 256 points."""
    rng = np.random.default_rng(seed)
    kind, n = (Torus, Box)[rng.integers(2)], int(2 ** rng.uniform(3, 8))
    f, g, x = line(rng, kind), line(rng, kind), kind((n,)).points[0]
    return Problem(kind((n,)), f(x), g(x)) if rng.random() < 0.3 else Problem(kind((n,)), f, g)


def holds(T, truth: float) -> bool:
    """Up to the rounding of the sums."""
    return T.interval.lower <= truth * (1 + 1e-12) + 1e-17 and truth * (1 - 1e-12) - 1e-17 <= T.interval.upper


def check_lines(seeds: range) -> int:
    """Intervals against quantile functions; how many outcomes were ok."""
    ok = 0
    for seed in seeds:
        problem = random_pair(seed)
        T = transport(problem, method=NEWTON)
        assert holds(T, exact(problem)), (seed, problem.domain, T.outcome, T.interval)
        ok += T.outcome.ok
    return ok


def test_intervals_hold_the_truth_on_lines() -> None:
    assert check_lines(range(16)) >= 8


def test_intervals_hold_the_truth_on_the_coarser_certificates_of_large_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pmasolve.maps.certificates.LARGE", 0)
    problems = [random_pair(seed) for seed in range(40, 60)]
    boxes = [problem for problem in problems if isinstance(problem.domain, Box)]
    found = [transport(problem, method=NEWTON) for problem in boxes]
    assert all(holds(T, exact(problem)) for T, problem in zip(found, boxes, strict=True))
    assert sum(T.outcome.ok for T in found) >= 4


@pytest.mark.slow
def test_intervals_hold_the_truth_on_lines_at_length() -> None:
    assert check_lines(range(100, 300)) >= 100


def check_products(dim: int, seed: int, kind: type) -> bool:
    """Products of densities: the costs of the axes add up."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(8, {2: 40, 3: 14}[dim]))
    pairs = [(line(rng, kind), line(rng, kind)) for _ in range(dim)]
    f, g = (lambda *x, side=side: sum(pair[side](t) for pair, t in zip(pairs, x, strict=True)) for side in (0, 1))
    T = transport(Problem(kind((n,) * dim), f, g), method=NEWTON)
    truth = sum(exact(Problem(kind((64,)), *pair)) for pair in pairs)
    assert holds(T, truth), (dim, seed, n, T.outcome, T.interval, truth)
    return T.outcome.ok


@pytest.mark.parametrize("kind", [Torus, Box])
def test_intervals_hold_the_truth_for_products(kind: type) -> None:
    assert sum(check_products(2, seed, kind) for seed in range(3)) > 0
    check_products(3, 1, kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [Torus, Box])
@pytest.mark.parametrize("dim", [2, 3])
def test_intervals_hold_the_truth_for_products_at_length(dim: int, kind: type) -> None:
    assert sum(check_products(dim, seed, kind) for seed in range(10, 30)) > (5 if dim == 2 else 2)


def test_the_wall_term_makes_sums_of_order_four() -> None:
    def error(n: int, corrected: bool) -> float:
        box = Box((n, n))
        x, y = box.points
        density = np.exp(x + 0.5 * y)
        even = np.cos(np.pi * x) + np.cos(np.pi * y)
        sums = box.integral(even * (walled(box, density) if corrected else density))
        waves = {a: a * (-np.exp(a) - 1) / (a**2 + np.pi**2) for a in (1.0, 0.5)}  # ∫ e^{ax} cos πx
        whole = {a: np.expm1(a) / a for a in (1.0, 0.5)}
        return abs(sums - waves[1.0] * whole[0.5] - waves[0.5] * whole[1.0])

    assert 1.9 < np.log2(error(16, False) / error(32, False)) < 2.1
    assert 3.8 < np.log2(error(16, True) / error(32, True)) < 4.6


def test_the_certificate_needs_every_factor_where_maps_stretch() -> None:
    """D²φ up to 18 and a map spoilt by 2 % where it stretches: without sup λ_max the interval [.05831, .06197] misses."""
    torus = Torus((1024,))

    def bump(x, width):
        return np.exp((np.cos(TAU * (x - 0.5)) - 1) / (TAU * width) ** 2)

    problem = Problem.from_densities(torus, lambda x: 0.1 + 25 * bump(x, 0.02), lambda y: 1 + 0 * y)
    slope = primitive(np.exp(-problem.f) - 1)
    spoilt = primitive((slope - slope[512]) * (1 - 0.02 * bump(torus.points[0], 0.05)))
    space = Fourier().on(torus)
    cost = problem.mu.integral(space.gradient(spoilt)[0] ** 2)
    interval = certify(problem, (space.transform, space.transform.forward(spoilt)), cost, 1e-3).interval
    truth = exact(problem)
    assert truth == pytest.approx(0.06212364, rel=1e-6)
    assert interval.lower <= truth <= interval.upper
    assert (interval.lower, interval.upper) == pytest.approx((0.05258505, 0.06817538), rel=1e-4)


@pytest.mark.parametrize("grid", [Torus((70, 64), (2.0, 1.0)), Box((64, 130))], ids=str)
def test_a_coarser_grid_loses_what_is_said(grid: Grid) -> None:
    """∑|∇u|² of the modes that go, against the gradient of what is left of u without them."""
    transform = transform_of(grid)
    series = transform, transform.forward(np.random.default_rng(3).standard_normal(grid.shape))
    half = replace(grid, shape=tuple((n + 1) // 2 for n in grid.shape))
    coarse, kept = certificates._resolved_modes(series, half)
    rest = series[1] - coarse.refined(kept, grid, transform.zeros())
    D = Fourier().on(grid).with_slope(rest)[1]
    lost = certificates.squares_of_gradient([grid, half], *series)[0]
    assert lost >= np.sum(D**2) * (1 - 1e-12)
    assert lost <= (1.1 if isinstance(grid, Torus) else 1 + 1e-12) * np.sum(
        D**2
    )  # on the nodes Nyquist's modes have no slope
    assert certificates._sufficient(grid, series, np.sqrt(1.01 * lost / grid.size)) == [grid, half]
    assert certificates._sufficient(grid, series, np.sqrt(0.99 * lost / grid.size)) == [grid]


def primitive(values: np.ndarray) -> np.ndarray:
    """Mean-free, of what is left of the values without their mean, on a circle of length 1."""
    wave = np.fft.rfft(values)
    wave[0] = 0
    wave[1:] /= TAU * 1j * np.arange(1, wave.size)
    return np.fft.irfft(wave, values.size)


def test_the_energy_of_an_unfinished_solve_is_bounded_from_above() -> None:
    """⟨r, δ⟩ of conjugate gradients is below ∫rδ: what is left of the residual has to be added."""
    torus = Torus((64, 64))
    x, y = torus.points
    level = Level(Problem(torus, lambda x, y: 3 * np.cos(TAU * x), lambda x, y: 0 * x), Fourier().on(torus))
    rough = 1 + 30 * np.exp(4 * (np.cos(TAU * x) * np.sin(TAU * 2 * y) - 1))
    level.jet.D2[...] = np.stack([rough, 0 * x, rough])
    r = level.transform.forward(np.cos(TAU * 3 * x) * np.exp(np.sin(TAU * y)) + np.sin(TAU * (x + y)))
    r.ravel()[0] = 0.0
    level.r[...] = r
    dual = float(np.sqrt(level.elliptic.energy(r)))
    bound = _energy(level, NewtonState(0.0, 0.0, dual, 0.0), float(rough.min()))
    loose = level.elliptic.solve(level.jet.D2, r.copy(), 0.05, 300).product
    exact_energy = level.elliptic.solve(level.jet.D2, r.copy(), 1e-10, 3000).product
    assert loose < exact_energy <= bound < 1.2 * exact_energy


def test_the_certificate_solves_where_that_helps_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steep tanh to a wave: W₂ has no lower bound without the solve.  Where Newton has moved nothing, none could give one."""
    solves: list[float] = []
    monkeypatch.setattr(certificates, "_energy", lambda *given: solves.append(_energy(*given)) or solves[-1])

    def interval(contrast: float) -> Interval:
        given = Problem(Torus((96,)), lambda x: 2 * np.tanh(15 * np.sin(TAU * x)), lambda x: contrast * np.cos(TAU * x))
        return transport(given, method=NewtonKrylov(), progress=False).interval

    assert 0 < interval(2).lower < 0.2**2 < interval(2).upper
    assert solves
    solves.clear()
    assert interval(4).lower == 0 < interval(4).upper
    assert not solves


def test_what_counts_as_solved() -> None:
    """Neither thirty times the gap nor five times what the grid leaves open."""
    grid = Torus((32,))
    open_ = splitting(grid)

    def judged(width: float, gap: float) -> str:
        cost = 0.01
        interval = Interval(cost - width / 2, cost + width / 2, "")
        return _judged_by_certificate(REACHED, _Found(interval), gap, cost, grid).name

    assert judged(0.9e-5, 1e-3) == "reached"
    assert judged(1.2e-5, 1e-3) == "within the grid"
    assert judged(0.99 * open_, 1e-6) == "within the grid"
    assert judged(1.01 * open_, 1e-6) == "unresolved"


def test_an_interruption_after_newton_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ends `pairwise`: it was hidden where Newton's own interval was the narrower one."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    images = 0.05 + np.random.default_rng(3).random((2, 16, 16))
    monkeypatch.setattr("pmasolve.maps.exact.optimum_of_few", interrupted)
    assert transport(Problem.from_densities(Torus((16, 16)), *images)).outcome.name == "interrupted"
    with pytest.raises(KeyboardInterrupt):
        pairwise(Torus((16, 16)), images)
    x, y = (grid := Torus((24, 24))).points
    bumps = [0.03 + np.exp(-((x - a) ** 2 + (y - b) ** 2) / 0.01) for a, b in ((0.5, 0.5), (0.6, 0.55))]
    stopped = transport(Problem.from_densities(grid, *bumps))
    assert stopped.outcome.name == "interrupted"
    assert stopped.gap < 0.5  # Newton's, which is all that is known


def _between_walls() -> Problem:
    """Densities whose masses a certificate measures on the problem's own nodes too; on a torus these are 1 from the start."""
    return Problem(Box((64,)), lambda x: -0.3 * np.cos(np.pi * x), lambda y: 0.3 * np.cos(2 * np.pi * y))


@pytest.mark.parametrize("interpolation", [Spline(5), Spectral()], ids=repr)
def test_densities_on_a_torus_have_mass_one_on_its_nodes(interpolation) -> None:
    """By the nodes' quadrature, which a certificate relies on: formulas, samples, and both on other grids and exchanged."""
    torus = Torus((12, 15), (1.0, 2.0))
    x, y = torus.points
    sampled = Problem(torus, 7 + np.cos(TAU * x), np.sin(np.pi * y) - 3, interpolation=interpolation)
    formulas = Problem.from_densities(torus, lambda x, y: 5 + np.cos(TAU * x), 2 + np.sin(np.pi * y))
    for problem in (sampled, formulas, sampled.swapped(), formulas.on(Torus((9, 10), (1.0, 2.0)))):
        masses = [measured(problem.domain, f)[1] for f in (problem.f, problem.g)]
        assert np.allclose(masses, certificates._own_masses(problem), rtol=0, atol=2e-13)
        assert not problem.vanishing


@pytest.mark.parametrize(
    "wrong",
    [
        lambda grid, f, p: grid == p.domain,
        lambda grid, f, p: np.array_equal(f, p.target.at(grid.points)),
        lambda grid, f, p: 2 * (f is p.f),
        lambda grid, f, p: 2 * (f is p.g),
    ],
    ids=["grids", "r", "source", "target"],
)
def test_doubt_about_masses_is_in_the_interval(wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    """Masses that differ by 1e-3 between two grids, or between μ and ν, which leaves r with a mean."""
    problem = _between_walls()
    sure = transport(problem).interval

    def mistaken(grid: Grid, f: np.ndarray) -> tuple[np.ndarray, float]:
        density, mass = measured(grid, f)
        return density, mass * (1 + 1e-3 * wrong(grid, f, problem))

    monkeypatch.setattr(certificates, "measured", mistaken)
    doubtful = transport(problem, method=NEWTON).interval
    width, before = (np.sqrt(i.upper) - np.sqrt(i.lower) for i in (doubtful, sure))
    assert width - before > 2e-3


def test_the_source_has_mass_one_on_the_certificates_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mass that only this grid sees is doubted once, as mass that only the nodes see, and is no residual besides."""
    problem, widths = _between_walls(), []
    for at_nodes in (True, False):

        def heavier(grid: Grid, f: np.ndarray, at_nodes: bool = at_nodes) -> tuple[np.ndarray, float]:
            density, mass = measured(grid, f)
            here = (
                f is problem.f if at_nodes else np.array_equal(f, problem.source.at(grid.points)) and f is not problem.f
            )
            return (1.001 * density, 1.001 * mass) if here else (density, mass)

        monkeypatch.setattr(certificates, "measured", heavier)
        interval = transport(problem, method=NEWTON).interval
        widths.append(np.sqrt(interval.upper) - np.sqrt(interval.lower))
    assert widths[0] > 1e-3
    assert np.isclose(widths[1], widths[0], rtol=0.01)


class _Found:
    """A certificate."""

    def __init__(self, interval: Interval) -> None:
        self.interval = interval


def test_bounds_of_distances_are_those_of_the_intervals() -> None:
    grid = Box((24,))
    x = grid.points[0]
    images = [1 + x, np.where(x < 0.4, 1.0, 0.0)]
    found = distances(grid, images, np.ones(24))
    for i, image in enumerate(images):
        T = transport(Problem.from_densities(grid, image, np.ones(24)))
        assert (found.lower[i], found.upper[i]) == (T.interval.lower, T.interval.upper)
        assert T.interval.lower < found.w2_squared[i] < T.interval.upper


# ---- lengths --------------------------------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(st.floats(-9, 9), st.sampled_from([Torus, Box]), st.integers(0, 3))
def test_units_of_length_do_not_matter(power: float, kind: type, case: int) -> None:
    unit = 10.0**power
    one, other = kind((24, 20), (1.0, 0.7)), kind((24, 20), (unit, 0.7 * unit))
    x, y = one.points
    bump = 1 + 0.5 * np.cos(np.pi * x)
    mu = [bump, (x < 0.5) + 0.0, 1 + 9 * np.exp(-200 * ((x - 0.4) ** 2 + (y - 0.3) ** 2)), bump][case]
    nu = bump if case == 3 else 1 + 0.1 * np.cos(TAU * x)
    S, T = (transport(Problem.from_densities(grid, mu, nu), gap=0.1) for grid in (one, other))
    assert S.outcome.name == T.outcome.name
    assert type(S.method) is type(T.method)
    assert np.allclose(T.map / unit, S.map, atol=1e-6)
    bounds = np.array([[R.interval.lower, R.w2_squared, R.interval.upper] for R in (S, T)])
    assert np.allclose(bounds[1] / unit**2, bounds[0], rtol=1e-4, atol=1e-12)


def test_distances_and_pairs_in_any_unit() -> None:
    x = Box((16,)).points[0]
    images = [np.exp(x), 1 + x, (x > 0.3) + 0.0]
    found = [pairwise(Box((16,), (unit,)), images).w2_squared / unit**2 for unit in (1.0, 1e-9, 1e9)]
    found += [distances(Box((16,), (unit,)), images, images[0]).w2_squared[None] / unit**2 for unit in (1.0, 1e-9)]
    assert np.allclose(found[1], found[0], rtol=1e-6)
    assert np.allclose(found[2], found[0], rtol=1e-6)
    assert np.allclose(found[4], found[3], rtol=1e-6, atol=1e-18)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_a_start_that_is_not_convex_is_halved_in_any_unit(unit: float) -> None:
    torus = Torus((16,), (unit,))
    level = Level(Problem(torus, np.zeros(16), np.zeros(16)), Fourier().on(torus))
    level.coefficients = level.transform.forward(0.03 * unit**2 * np.cos(TAU * torus.points[0] / unit))
    _start(level)
    assert torus.sup(level.values) / unit**2 == pytest.approx(0.015)


# ---- measures on few nodes, densities near the least number -------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([Box((8,)), Torus((9,)), Box((5, 4))]), st.integers(0, 2**20), st.booleans())
def test_isolated_nodes_end(grid, seed: int, same: bool) -> None:
    rng = np.random.default_rng(seed)
    mu, nu = (np.where(rng.random(grid.shape) < 0.3, rng.integers(1, 3, grid.shape), 0.0) for _ in range(2))
    mu.flat[0] = nu.flat[0] = 1.0
    nu = 2 * mu if same else nu
    T = transport(Problem.from_densities(grid, mu, nu), gap=0.05)
    assert T.interval.lower <= T.w2_squared <= T.interval.upper
    if same:
        assert T.outcome.ok
        assert T.interval.lower == 0.0
        assert T.interval.upper < 1e-14
        assert transport(Problem.from_densities(grid, mu, mu)).interval.upper == 0.0


@pytest.mark.parametrize("floor", [1e-300, np.finfo(float).tiny, 5e-324])
@pytest.mark.parametrize("grid", [Box((16,)), Torus((12, 12))], ids=str)
def test_densities_of_almost_nothing(grid, floor: float) -> None:
    x = grid.points[0]
    mu, nu = (np.where(abs(x - c) < w, 1.0, 0.0) + floor for c, w in ((0.3, 0.15), (0.6, 0.25)))
    T = transport(Problem.from_densities(grid, mu, nu), gap=0.1)
    assert T.outcome.ok
    only = transport(Problem.from_densities(grid, mu, nu), method=NEWTON)
    assert not only.outcome.ok


# ---- which map -----------------------------------------------------------------------------------------------------------------


def sech2(t):
    """1/cosh², without overflow."""
    return 1 / np.cosh(np.clip(t, -300, 300)) ** 2


def ring(c: float):
    """A monitor of Budd and Williams's kind: fine along a circle."""
    return lambda x, y: 1 + c * sech2(50 * ((x - 0.5) ** 2 + (y - 0.5) ** 2 - 0.0625))


def shock(c: float):
    """Fine along a curve."""
    return lambda x, y: 1 + c * sech2(20 * (y - 0.5 - 0.2 * np.sin(np.pi * x)))


def bell(c: float, width: float):
    """Fine around a point."""
    return lambda x, y: 1 + c * np.exp(-((x - 0.4) ** 2 + (y - 0.55) ** 2) / width**2)


def bumps(c: float):
    """Two of them on a torus."""

    def one(x, y, a, b):
        return np.exp(8 * (np.cos(TAU * (x - a)) + np.cos(TAU * (y - b)) - 2))

    return lambda x, y: 1 + c * (one(x, y, 0.3, 0.35) + one(x, y, 0.7, 0.6))


MONITORS = {
    "ring": (Box, 32, ring(10)),
    "ring 48": (Box, 48, ring(10)),
    "ring 21": (Box, 48, ring(20)),
    "shock": (Box, 32, shock(10)),
    "shock 21": (Box, 48, shock(20)),
    "bell": (Box, 32, bell(20, 0.1)),
    "bell 51": (Box, 32, bell(50, 0.15)),
    "bell 16": (Box, 32, bell(15, 0.08)),
    "bumps": (Torus, 32, bumps(10)),
    "bumps 41": (Torus, 48, bumps(20)),
}


def least_area(cells: np.ndarray) -> float:
    """Of the quadrilaterals between the images of the nodes."""
    (a, b, c, d), (e, f, g, h) = ((m[:-1, :-1], m[1:, :-1], m[1:, 1:], m[:-1, 1:]) for m in cells)
    return float(np.min((c - a) * (h - f) - (d - b) * (g - e))) / 2


FEW = ("ring", "shock", "bumps")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FEW else pytest.mark.slow) for name in MONITORS]
)
def test_the_nearer_map_is_given(name: str) -> None:
    """The default's map against Newton's, both against the map on twice as many points; cells do not fold or collapse."""
    kind, n, monitor = MONITORS[name]

    def problem(points: int) -> Problem:
        return Problem.from_densities(kind((points, points)), lambda x, y: 1 + 0 * x, monitor)

    truth = transport(problem(2 * n), method=NewtonKrylov())(problem(n).domain)
    T, newton = transport(problem(n)), transport(problem(n), method=NewtonKrylov())
    errors = [np.sqrt(np.mean(np.sum((found.map - truth) ** 2, axis=0))) for found in (T, newton)]
    assert T.outcome.ok
    assert errors[0] <= 2 * errors[1]
    assert least_area(T.map) * n**2 > 0.02
    if T.nodes is not None:
        assert T.outcome.name == "nodes within the gap"
        assert T.nodes.gap <= 1e-3 < T.gap
        assert "nodes" in T.nodes.problem
        assert T.interval.lower <= T.w2_squared <= T.interval.upper


# ---- images carried along -----------------------------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**20), st.sampled_from([Torus((20, 16)), Box((16, 20)), Box((40,))]), st.booleans())
def test_paths_begin_and_end_at_the_densities(seed: int, grid, rough: bool) -> None:
    rng = np.random.default_rng(seed)
    image = rng.random(grid.shape)
    mu, nu = (rng.random(grid.shape) > 0.5, rng.random(grid.shape) > 0.3) if rough else (image + 5, np.ones(grid.shape))
    mu, nu = mu + 0.0, nu + 0.0
    mu.flat[0] = nu.flat[0] = 1.0
    T = transport(Problem.from_densities(grid, mu, nu), gap=0.5, method=SemiDual() if rough else NEWTON)
    assert np.array_equal(T.push(image, 0), image)
    assert np.max(np.abs(T.push(image, 1e-9) - image)) < 1e-6
    assert T.push(image, 0.3).sum() == pytest.approx(image.sum(), rel=1e-12)
    if rough:
        assert np.allclose(T.interpolate(0), np.exp(-T.problem.f), atol=1e-12)
        assert np.allclose(T.interpolate(1), np.exp(-T.problem.g), atol=1e-12)
        assert grid.integral(T.interpolate(0.4)) == pytest.approx(1.0, rel=1e-12)
    else:
        assert np.allclose(T.interpolate(0), np.exp(-T.problem.f), rtol=1e-9)


def test_a_pixel_becomes_its_image_and_is_not_smeared_further() -> None:
    """On a line: its mass, evenly on the interval between the images of its ends, shared among the cells by overlap."""
    box = Box((32,))
    x = box.points[0]
    T = transport(Problem.from_densities(box, 1 + 0.5 * np.cos(np.pi * x), 1 + 0.5 * np.cos(TAU * x)))
    for pixel in (3, 10, 17, 28):
        left, right = T(np.array([[pixel / 32], [(pixel + 1) / 32]])).ravel() * 32
        cells = np.arange(32)
        overlap = np.clip(np.minimum(right, cells + 1) - np.maximum(left, cells), 0, None) / (right - left)
        assert abs(left - pixel) > 0.04  # it moves
        assert np.max(np.abs(T.push(np.eye(32)[pixel]) - overlap)) < 0.03
