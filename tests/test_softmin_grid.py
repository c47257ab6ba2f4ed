"""The grid engines against long double, against each other, and against what must hold exactly."""

from __future__ import annotations

import numpy as np
import pytest

from pmasolve.problems.grids import Box, Cloud, Grid, Torus
from pmasolve.sinkhorn.softmin.dense import Dense
from pmasolve.sinkhorn.softmin.grids.tiles import product
from pmasolve.sinkhorn.softmin.kernel import axis_log_kernel, log_theta
from pmasolve.sinkhorn.softmin.separable import Axis, AxisMethod, Separable

METHODS = (None, AxisMethod.MATRIX, AxisMethod.TILES)
ROUNDING = np.finfo(float).eps
rng = np.random.default_rng(20260112)


def exact_line(grid: Grid, a: np.ndarray, eps: float, images: int = 3) -> np.ndarray:
    """Log-sums of one line in long double, over this many periods to either side."""
    n, h = grid.shape[0], np.longdouble(grid.spacing[0])
    x = np.arange(-images * n, (images + 1) * n)
    folded = grid.neighbours(0, images * n)
    z = a.astype(np.longdouble)[folded][:, None] - (x[:, None] - np.arange(n)) ** 2 * (h * h / (2 * np.longdouble(eps)))
    top = z.max(axis=0)
    return top + np.log(np.exp(z - top).sum(axis=0))


def tolerance(h: np.ndarray) -> float:
    """1e-13 and two roundings of the potential, at entry and at exit."""
    return 1e-13 + 4 * ROUNDING * float(np.max(np.abs(h[np.isfinite(h)])))


def bind(grid: Grid, eps: float, force: AxisMethod | None):
    return Separable(force).bind(grid, grid, eps)


def shapes_of_lines(n: int, eps: float) -> dict[str, np.ndarray]:
    """Potentials −u/ε of every kind."""
    x = np.arange(n) / n
    noise = np.random.default_rng(n).standard_normal(n)
    cosine = np.cos(2 * np.pi * x)
    half = np.where(x < 0.5, 0.3 * noise, -np.inf)
    point = np.full(n, -np.inf)
    point[n // 3] = 2.0
    return {
        "zero": np.zeros(n),
        "displaced by a quarter": 0.24 * cosine / (2 * np.pi * eps),
        "displaced, with rough f": 0.2 * cosine / (2 * np.pi * eps) + noise,
        "non-convex": 0.6 * cosine / (2 * np.pi * eps),
        "kink": -0.2 * np.abs(x - 0.5) / eps,
        "noise": 30 * noise,
        "half empty": half,
        "one point": point,
        "a million bits of noise": 1e6 * noise,
    }


LINES = tuple(shapes_of_lines(8, 1.0))


@pytest.mark.parametrize("name", LINES)
@pytest.mark.parametrize("grid", [Torus((128,)), Box((100,)), Torus((75,), (0.7,))], ids=str)
def test_lines_against_long_double(grid: Grid, name: str) -> None:
    for eps in (0.3, 1e-2, 1e-3, 1e-4, 1e-5, 0.1 * grid.spacing[0] ** 2):
        a = shapes_of_lines(grid.shape[0], eps)[name]
        exact = exact_line(grid, a, eps, images=9 if eps > 0.1 else 3)
        for method in METHODS:
            error = np.max(np.abs(bind(grid, eps, method).forward(a) - exact))
            assert error < tolerance(a) + 4 * ROUNDING * np.max(np.abs(exact)), (eps, method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "grid",
    [
        Torus((12, 20), (1.0, 0.7)),
        Box((14, 9), (1.3, 0.6)),
        Torus((6, 7, 9), (1.0, 0.5, 2.0)),
        Box((8, 5, 7), (1.0, 0.5, 2.0)),
    ],
    ids=str,
)
def test_planes_and_volumes_against_dense(grid: Grid, method: AxisMethod | None) -> None:
    for eps in (1e-4, 1e-3, 1e-2, 0.1, 0.3, 3.0):
        reference = Dense().bind(grid, grid, eps)
        for size in (1.0, 100.0, 1e5):
            h = size * rng.standard_normal(grid.shape)
            h[h > 1.5 * size] = -np.inf
            expected = reference.forward(h)
            error = np.max(np.abs(bind(grid, eps, method).forward(h) - expected))
            assert error < tolerance(h) + 8 * ROUNDING * np.max(np.abs(expected)), (eps, size)


def displaced(grid: Grid, eps: float) -> np.ndarray:
    """−u/ε whose map moves points by a third of the period along each axis."""
    lengths = np.reshape(grid.lengths, (-1,) + (1,) * grid.dim)
    return np.sum(0.33 * lengths**2 / (2 * np.pi) * np.cos(2 * np.pi * grid.points / lengths), axis=0) / eps


@pytest.mark.parametrize("grid", [Torus((128, 96)), Box((96, 128)), Torus((24, 16, 20))], ids=str)
def test_methods_agree(grid: Grid) -> None:
    for eps in (1e-2, 2e-3, 3e-5, 5e-6):
        h = displaced(grid, eps) + rng.standard_normal(grid.shape)
        by_matrix, by_tiles = bind(grid, eps, AxisMethod.MATRIX), bind(grid, eps, AxisMethod.TILES)
        expected = by_tiles.forward(h)
        assert np.max(np.abs(by_matrix.forward(h) - expected)) < grid.dim * tolerance(h)
        assert by_tiles.report["tile_passes"] == grid.dim
        assert by_matrix.report["tile_passes"] + by_matrix.report["matrix_passes"] == grid.dim


def test_strong_displacement_at_tiny_eps() -> None:
    grid, eps = Torus((256, 256)), 2e-6  # oscillation of u/eps: 100 000, below the resolution limit
    h = displaced(grid, eps)
    assert np.ptp(h) > 1e5
    # a sum of functions of one variable each: the answer is the sum of the answers
    x = displaced(Torus((256,)), eps)
    line = exact_line(Torus((256,)), x, eps)
    error = np.max(np.abs(bind(grid, eps, None).forward(h) - (line[:, None] + line)))
    assert error < tolerance(h)


def test_matrix_without_certificate_is_replaced() -> None:
    grid, eps = Torus((64,)), 1e-5
    h = displaced(grid, eps)
    kernel = bind(grid, eps, AxisMethod.MATRIX)
    assert np.max(np.abs(kernel.forward(h) - exact_line(grid, h, eps))) < tolerance(h)
    assert kernel.report["tile_passes"] == 1
    assert kernel.report["matrix_passes"] == 0


def test_matrix_product_that_loses_its_sums_is_seen_afterwards() -> None:
    """No oscillation where there is mass, but the mass is too far away."""
    grid, eps = Torus((64,)), 1e-5
    h = np.full(64, -np.inf)
    h[:3] = 0.0
    axis = Axis(grid, 0, eps, AxisMethod.MATRIX)
    assert np.min(axis.matrix @ np.exp(h)) < 2.0**-900
    kernel = bind(grid, eps, AxisMethod.MATRIX)
    assert np.max(np.abs(kernel.forward(h) - exact_line(grid, h, eps))) < 1e-11
    assert kernel.report["tile_passes"] == 1


@pytest.mark.parametrize("method", METHODS)
def test_empty_half_and_single_point(method: AxisMethod | None) -> None:
    grid = Torus((40, 48))
    half = np.where(grid.points[0] < 0.5, rng.standard_normal(grid.shape), -np.inf)
    point = np.full(grid.shape, -np.inf)
    point[3, 5] = 1.0
    for eps in (1e-1, 1e-2, 1e-3, 1e-4):
        reference = Dense().bind(grid, grid, eps)
        for h in (half, point):
            expected = reference.forward(h)
            found = bind(grid, eps, method).forward(h)
            assert np.max(np.abs(found - expected)) < 1e-13 + 8 * ROUNDING * np.max(np.abs(expected))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("eps", [1e-2, 1e-4])
def test_constants_commute(method: AxisMethod | None, eps: float) -> None:
    grid = Torus((64, 48))
    h = displaced(grid, eps) + rng.standard_normal(grid.shape)
    kernel = bind(grid, eps, method)
    assert np.max(np.abs(kernel.forward(h + 1234.5) - 1234.5 - kernel.forward(h))) < tolerance(h + 1234.5)


@pytest.mark.parametrize("grid", [Torus((96, 64)), Box((64, 96), (1.0, 1.5))], ids=str)
@pytest.mark.parametrize("eps", [1e-2, 1e-3, 1e-4, 1e-5])
def test_mass_identity(grid: Grid, eps: float) -> None:
    """After a full iteration the marginal of the source has mass one."""
    f = 2 * np.cos(2 * np.pi * grid.points[0]) + rng.standard_normal(grid.shape)
    f += np.log(grid.integral(np.exp(-f)))
    g = np.roll(f, (17, 9), (0, 1))
    kernel, w = bind(grid, eps, None), np.log(grid.cell)
    u = -eps * displaced(grid, eps)
    v = eps * kernel.forward(-u / eps - f + w)
    u = eps * kernel.backward(-v / eps - g + w)
    v = eps * kernel.forward(-u / eps - f + w)
    plan = -u / eps - f + kernel.backward(-v / eps - g + w)
    assert abs(grid.integral(np.exp(plan)) - 1) < 1e-12 + ROUNDING * np.ptp(u) / eps


def test_input_may_be_strided_and_is_not_changed() -> None:
    grid = Torus((32, 40))
    h = rng.standard_normal((40, 64)).T[::2]
    h.flags.writeable = False
    for method in METHODS:
        kernel = bind(grid, 1e-3, method)
        assert np.array_equal(kernel.forward(h), kernel.forward(h.copy()))
        assert np.array_equal(kernel.forward(h), kernel.backward(h))


def test_many_lines_take_the_threaded_path() -> None:
    grid = Torus((4096, 100))
    h = rng.standard_normal(grid.shape)
    for eps in (1e-3, 1e-4):
        found = [bind(grid, eps, method).forward(h) for method in METHODS]
        assert np.max(np.abs(found[1] - found[2])) < 1e-13
        assert np.max(np.abs(found[0] - found[2])) < 1e-13


def test_report() -> None:
    grid = Torus((64, 64))
    kernel = bind(grid, 1e-2, None)
    kernel.forward(np.zeros(grid.shape))
    assert kernel.report["matrix_passes"] == 2
    kernel = bind(grid, 2e-3, AxisMethod.TILES)
    kernel.forward(np.zeros(grid.shape))
    assert kernel.report["tile_passes"] == 2
    assert kernel.report["rough_lines"] == 0
    assert 1.5 / 64**2 <= kernel.report["resolved_eps"] < 2 / 64**2


def test_refusals() -> None:
    grid = Torus((8, 8))
    kernel = bind(grid, 1e-2, None)
    for bad in (np.full((8, 8), -np.inf), np.full((8, 8), np.nan), np.full((8, 8), np.inf), np.zeros((8, 9))):
        with pytest.raises(ValueError, match="h"):
            kernel.forward(bad)
    with pytest.raises(ValueError, match="eps"):
        bind(grid, 0.0, None)
    with pytest.raises(ValueError, match="Dense"):
        Separable().bind(grid, Box((8, 8)), 1.0)
    with pytest.raises(ValueError, match="pairs"):
        Dense(pairs=100).bind(grid, grid, 1.0)
    with pytest.raises(ValueError, match="one space"):
        Dense().bind(Cloud([[0.0]]), Cloud([[0.0]], period=1.0), 1.0)


@pytest.mark.parametrize(("m", "count"), [(1, 1), (8, 3), (29, 50), (64, 131)])
def test_panels_of_the_product(m: int, count: int) -> None:
    table, sources, acc = rng.random(400), rng.random((4, count + 2)), np.full((4, 72), np.nan)
    starts = rng.integers(0, 300, count)
    product(sources, starts, 20, count, table, acc, m)
    rows = table[starts[:, None] + 20 + np.arange(m)]
    assert np.max(np.abs(acc[:, :m] - sources[:, :count] @ rows)) < 1e-13
    assert np.isnan(acc[:, (m + 7) // 8 * 8 :]).all()


def test_theta_function_at_every_eps() -> None:
    """Both series against many images in long double; they meet at 2πε = L²."""
    d = np.linspace(-2, 2, 41)
    for eps in (1e-4, 1e-2, 0.15, 0.1591, 0.1592, 0.2, 1.0, 30.0):
        m = np.arange(-90, 91)[:, None].astype(np.longdouble)
        z = -((d.astype(np.longdouble) + m) ** 2) / (2 * np.longdouble(eps))
        expected = z.max(axis=0) + np.log(np.exp(z - z.max(axis=0)).sum(axis=0))
        assert np.max(np.abs(log_theta(d, eps, 1.0) - expected)) < 4 * ROUNDING * (1 + np.max(np.abs(expected)))


def test_box_is_the_doubled_torus() -> None:
    box, doubled, eps = Box((9,), (0.8,)), Torus((18,), (1.6,)), 0.03
    h = rng.standard_normal(9)
    reflected = Dense().bind(doubled, doubled, eps).forward(np.concatenate([h, h[::-1]]))[:9]
    assert np.allclose(Dense().bind(box, box, eps).forward(h), reflected, rtol=0, atol=1e-14)
    kernel = axis_log_kernel(box, 0, eps)
    assert np.array_equal(kernel, kernel.T)


def test_dense_on_clouds() -> None:
    x, y, h = rng.random((7, 3)), rng.random((5, 3)), rng.standard_normal(7)
    d2 = np.sum((x[:, None] - y) ** 2, axis=-1)
    kernel = Dense().bind(Cloud(x), Cloud(y), 0.2)
    assert np.allclose(kernel.forward(h), np.log(np.exp(h) @ np.exp(-d2 / 0.4)), rtol=0, atol=1e-14)
    assert np.allclose(kernel.backward(kernel.forward(h)).shape, 7)
    grid = Torus((4, 5, 6), (1.0, 2.0, 0.5))
    nodes = Cloud(grid.points.reshape(3, -1).T, period=grid.lengths)
    h = rng.standard_normal(grid.shape)
    expected = Dense().bind(grid, grid, 0.02).forward(h)
    assert np.allclose(Dense().bind(nodes, nodes, 0.02).forward(h.ravel()), expected.ravel(), rtol=0, atol=1e-13)


@pytest.mark.slow
def test_large_grid_against_long_double() -> None:
    """1024 × 1024 at ε down to the resolution limit, on sampled outputs."""
    grid = Torus((1024, 1024))
    for eps in (1e-3, 1e-4, 1e-5):
        line = shapes_of_lines(1024, eps)["displaced, with rough f"]
        exact = exact_line(Torus((1024,)), line, eps, images=2)
        found = bind(grid, eps, None).forward(line[:, None] + line)
        assert np.max(np.abs(found - (exact[:, None] + exact))) < 2 * tolerance(line)
