"""Both engines for clouds against sums in extended precision, in every space and at the edges of the input."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from filelock import FileLock

from pmasolve.problems.grids import Box, Cloud, Torus
from pmasolve.sinkhorn.softmin import default_engine, keops
from pmasolve.sinkhorn.softmin.blockwise import Blockwise
from pmasolve.sinkhorn.softmin.keops import KeOps, why_not
from pmasolve.sinkhorn.softmin.nodes import geometry

FUSED = [pytest.param(Blockwise(), id="Blockwise")]
KEOPS = [] if why_not() else [pytest.param(KeOps(device="cpu"), id="KeOps")]
BOTH = FUSED + KEOPS
FUSED_AND_SLOW = FUSED + [pytest.param(*p.values, id="KeOps", marks=pytest.mark.slow) for p in KEOPS]
# every further formula of KeOps compiles for seconds; where it cannot run its tests are absent, and refusals are tested below


def oracle(source, target, eps, h):
    """log Σ exp(h) K_ε in extended precision by the definition: every image, no bound, no shortcut."""
    space = geometry(source, target, eps)
    x, y, h = space.source.astype(np.longdouble), space.target.astype(np.longdouble), np.ravel(h).astype(np.longdouble)
    eps, dim = np.longdouble(eps), space.dim
    signs = list(product((1, -1), repeat=dim)) if space.reflects else [(1,) * dim]
    terms = []
    for sign in signs:
        d = y[:, None, :] - x[None] * np.array(sign)
        if space.periods is None:
            log_kernel = -np.sum(d**2, axis=-1) / (2 * eps)
        else:
            most = int(3 + 10 * np.sqrt(float(eps)) / space.periods.min())
            wraps = [-((d + m * space.periods.astype(np.longdouble)) ** 2) / (2 * eps) for m in range(-most, most + 1)]
            log_kernel = np.logaddexp.reduce(wraps, axis=0).sum(axis=-1)
        terms.append(log_kernel + h)
    return np.logaddexp.reduce(np.concatenate(terms, axis=1), axis=1).reshape(space.target_shape)


def allowance(source, target, eps, h, values):
    """1e-14 for the sum, and what half an ulp in h, in the exponents and in the coordinates makes of it.

    The exponents that matter are at most A = max|h| + max|values|; so are |d|²/2ε, and a displacement perturbed by uL
    changes by uL|d|/ε ≤ uL√(2A/ε).
    """
    space = geometry(source, target, eps)
    size = max(
        np.abs(space.source).max(), np.abs(space.target).max(), *(() if space.periods is None else space.periods)
    )
    largest = np.abs(np.ravel(h)[np.isfinite(np.ravel(h))]).max() + np.abs(values).max()
    return 1e-14 + 4e-16 * (largest + size * np.sqrt(2 * largest / eps))


def check(engine, source, target, eps, h, back):
    """Compare both directions with the oracle; return the kernel."""
    kernel = engine.bind(source, target, eps)
    for values, exact, exponents in (
        (kernel.forward(h), oracle(source, target, eps, h), h),
        (kernel.backward(back), oracle(target, source, eps, back), back),
    ):
        assert values.dtype == np.float64
        assert values.shape == exact.shape
        assert np.abs(values - exact).max() <= allowance(source, target, eps, exponents, values)
    return kernel


def clouds(rng, n, m, dim, period=None):
    """Two clouds; the second has another density, so that blocks differ in size."""
    return Cloud(rng.random((n, dim)), period=period), Cloud(rng.random((m, dim)) ** 1.5, period=period)


@pytest.fixture
def rng():
    return np.random.default_rng(20240611)


@pytest.mark.parametrize("eps", [1e-6, 1e-3, 0.1, 1e4])
@pytest.mark.parametrize("engine", BOTH)
def test_plane(engine, eps, rng):
    source, target = clouds(rng, 700, 300, 2)
    check(engine, source, target, eps, 0.1 * rng.random(700) / eps, rng.standard_normal(300))


@pytest.mark.parametrize("dim", [1, 3, 5])
@pytest.mark.parametrize("engine", FUSED_AND_SLOW)
def test_dimensions(engine, dim, rng):
    source, target = clouds(rng, 500, 400, dim)
    for eps in (1e-4, 0.05):
        check(engine, source, target, eps, 0.1 * rng.random(500) / eps, rng.standard_normal(400))


@pytest.mark.parametrize("eps", [1e-5, 1e-2])
@pytest.mark.parametrize("engine", BOTH)
def test_circle(engine, eps, rng):
    source, target = clouds(rng, 600, 130, 1, period=1.0)
    check(engine, source, target, eps, 0.1 * rng.random(600) / eps, rng.standard_normal(130))


@pytest.mark.parametrize("engine", FUSED_AND_SLOW)
def test_circle_by_waves(engine, rng):
    source, target = clouds(rng, 200, 90, 1, period=1.0)
    check(engine, source, target, 0.3, 0.1 * rng.random(200) / 0.3, rng.standard_normal(90))


@pytest.mark.parametrize("eps", [1e-5, 1e-2, 0.04, 0.07, 1.0])
@pytest.mark.parametrize("period", [(0.7,), (1.0, 2.5), (1.0, 1.0, 1.0)], ids=len)
@pytest.mark.parametrize("engine", FUSED_AND_SLOW)
def test_torus(engine, period, eps, rng):
    source, target = clouds(rng, 400, 150, len(period), period)
    check(engine, source, target, eps, 0.1 * rng.random(400) / eps, rng.standard_normal(150))


@pytest.mark.parametrize("engine", BOTH)
def test_second_image_at_half_a_period(engine):
    """At half a period both images weigh the same, however small ε: forgetting one costs log 2."""
    source, target = Cloud([[0.0]], period=1.0), Cloud([[0.5], [0.5 - 1e-9]], period=1.0)
    for eps in (1e-8, 1e-2):
        values = engine.bind(source, target, eps).forward(np.zeros(1))
        assert values[0] == pytest.approx(-0.125 / eps + np.log(2), rel=1e-15)
        check(engine, source, target, eps, np.zeros(1), np.zeros(2))


@pytest.mark.parametrize("eps", [1e-4, 1e-2, 0.5])
@pytest.mark.parametrize("grid", [Torus((40,)), Box((30,)), Torus((12, 10), (1, 2)), Box((10, 14), (1, 2))], ids=str)
@pytest.mark.parametrize("engine", FUSED_AND_SLOW)
def test_grids_as_nodes(engine, grid, eps, rng):
    check(engine, grid, grid, eps, 0.1 * rng.random(grid.shape) / eps, rng.standard_normal(grid.shape))


if KEOPS:

    @pytest.mark.parametrize("engine", KEOPS)
    def test_box_by_keops(engine, rng):
        """One formula in the default run; the others with the slow tests."""
        check(engine, Box((30,)), Box((16,)), 1e-2, rng.random(30), rng.random(16))


def test_grid_and_cloud_on_one_torus(rng):
    torus = Torus((16, 16))
    check(Blockwise(), torus, Cloud(rng.random((90, 2)), period=1.0), 1e-2, rng.random((16, 16)), rng.random(90))


@pytest.mark.parametrize("period", [None, 1.0])
@pytest.mark.parametrize("engine", FUSED_AND_SLOW)
def test_no_mass_and_little_mass(engine, period, rng):
    source, target = clouds(rng, 300, 200, 2, period)
    h = np.log(10.0 ** rng.uniform(-300, 0, 300))
    h[rng.random(300) < 0.3] = -np.inf
    back = np.full(200, -np.inf)
    back[17] = -690.0  # a single node carries everything
    kernel = check(engine, source, target, 1e-3, h, back)
    assert (kernel.forward(np.full(300, -np.inf)) == -np.inf).all()
    if period:
        assert (engine.bind(source, target, 1.0).forward(np.full(300, -np.inf)) == -np.inf).all()


@pytest.mark.parametrize("engine", BOTH)
def test_duplicates_and_single_points(engine, rng):
    one, many = Cloud([[0.25, 0.5]]), Cloud(np.repeat(rng.random((3, 2)), 200, axis=0))
    for source, target in ((one, one), (one, many), (many, one), (many, many)):
        check(engine, source, target, 1e-3, rng.random(source.size), rng.random(target.size))


@pytest.mark.parametrize("engine", BOTH)
def test_far_apart_and_huge_exponents(engine, rng):
    """Exponents of −10⁸ and a spread of 10⁶ nats over one block: no overflow, no lost sum."""
    source, target = Cloud(rng.random((300, 2))), Cloud(rng.random((40, 2)) + 100.0)
    check(engine, source, target, 1e-4, rng.uniform(-1e6, 1e6, 300), rng.uniform(-1e6, 1e6, 40))


@pytest.mark.parametrize("engine", BOTH)
def test_other_memory_layouts(engine, rng):
    """Strided and float32 arrays are read as float64; the input stays as it was."""
    wide = rng.random((2, 120)).astype(np.float32)
    source, target = Cloud(wide.T[::2]), Cloud(np.asfortranarray(rng.random((50, 2))))
    h = rng.random(120).astype(np.float32)[::2]
    before = h.copy()
    check(engine, source, target, 1e-2, h, rng.random(100)[::2])
    assert (h == before).all()


def test_sum_of_many_terms(rng):
    """40 000 terms keep 14 digits."""
    source, target = Cloud(rng.random((40_000, 2))), Cloud(rng.random((20, 2)))
    h = rng.standard_normal(40_000)
    error = Blockwise().bind(source, target, 0.5).forward(h) - oracle(source, target, 0.5, h)
    assert np.abs(error).max() < 1e-14


def test_pruning_is_large_and_harmless(rng):
    """At small ε most pairs are skipped; the shares of the threads do not change a bit."""
    source, target = clouds(rng, 6000, 5000, 2)
    h = -0.05 * np.cos(7 * source.points).sum(axis=1) / 1e-4
    kernel = Blockwise().bind(source, target, 1e-4)
    values = kernel.forward(h)
    assert kernel.report["summed"] < 0.2 * kernel.report["pairs"]
    rows = np.arange(0, 5000, 100)
    some = Cloud(target.points[rows])
    exact = oracle(source, some, 1e-4, h)
    assert np.abs(values[rows] - exact).max() <= allowance(source, some, 1e-4, h, exact)
    assert (values == Blockwise().bind(source, target, 1e-4).forward(h)).all()


@pytest.mark.parametrize("dim", [1, 2, 3, 4])
def test_waves_lose_no_digits(dim):
    """All mass at one point and the target in the opposite corner, where the Fourier series cancels most."""
    source, target = Cloud(np.zeros((1, dim)), period=1.0), Cloud(np.full((1, dim), 0.5), period=1.0)
    for eps in (0.02, 0.03, 0.05, 0.08, 0.11, 0.2, 1.0):
        if dim < 4 or eps > 0.1:
            error = Blockwise().bind(source, target, eps).forward(np.zeros(1)) - oracle(
                source, target, eps, np.zeros(1)
            )
            assert abs(error) < 2e-14


def test_constant_commutes(rng):
    """Adding a constant to h adds it to the sums."""
    source, target = clouds(rng, 300, 200, 2, period=1.0)
    kernel, h = Blockwise().bind(source, target, 1e-2), rng.random(300)
    assert np.abs(kernel.forward(h + 64.0) - kernel.forward(h) - 64.0).max() < 1e-13


if KEOPS:

    @pytest.mark.slow
    @pytest.mark.parametrize("engine", KEOPS)
    def test_single_precision_reports_its_error(engine, rng):
        source, target = clouds(rng, 500, 400, 2)
        kernel = replace(engine, dtype=np.float32).bind(source, target, 1e-2)
        h = rng.random(500)
        error = np.abs(kernel.forward(h) - oracle(source, target, 1e-2, h)).max()
        assert 1e-8 < kernel.report["error"] < 1e-4
        assert error < 10 * kernel.report["error"]


@pytest.mark.parametrize("engine", [Blockwise(), KeOps()], ids=["Blockwise", "KeOps"])
@pytest.mark.parametrize(
    ("source", "target", "eps", "message"),
    [
        (Cloud([[0.0]]), Cloud([[1.0]]), 0.0, r"eps=0\.0.*finite ε > 0; choose"),
        (Cloud([[0.0]]), Cloud([[1.0]]), -1.0, r"eps=-1\.0"),
        (Cloud([[0.0]]), Cloud([[1.0]]), np.nan, r"eps=nan"),
        (Cloud([[0.0]]), Cloud([[1.0]]), 1e-305, r"overflows.*larger ε"),
        (Cloud([[0.0]]), Cloud([[1.0, 2.0]]), 1.0, r"dimension 1, target 2.*coordinates"),
        (Cloud([[0.0]], period=1.0), Cloud([[1.0]]), 1.0, r"torus of periods \(1\.0,\).*ℝ\^1.*pass Cloud"),
        (Torus((4,)), Cloud([[0.0]], period=2.0), 1.0, r"periods \(1\.0,\).*periods \(2\.0,\)"),
        (Torus((4,), (2.0,)), Box((4,)), 1.0, r"torus.*box"),
    ],
)
def test_refuses(engine, source, target, eps, message):
    with pytest.raises(ValueError, match=message):
        engine.bind(source, target, eps)


@pytest.mark.parametrize("engine", BOTH)
def test_refuses_values(engine):
    kernel = engine.bind(Cloud([[0.0, 0.0]]), Cloud([[1.0, 0.0], [2.0, 0.0]]), 1.0)
    with pytest.raises(ValueError, match=r"shape \(2,\), its nodes have \(1,\)"):
        kernel.forward(np.zeros(2))
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match=r"1 NaN or \+inf values: use −inf"):
            kernel.backward(np.array([0.0, bad]))


def test_refuses_options():
    with pytest.raises(ValueError, match="float16"):
        KeOps(dtype=np.float16)
    with pytest.raises(ValueError, match="tpu"):
        KeOps(device="tpu")


PROBE = """
import pmasolve.sinkhorn.softmin.keops as keops
from pmasolve.problems.grids import Cloud
point = Cloud([[0.0, 1.0]])
try:
    keops.KeOps().bind(point, point, 1.0)
except ValueError as error:
    assert "C++ compiler" in str(error) and "Blockwise()" in str(error), error
else:
    raise SystemExit("bound without a compiler")
"""


def test_with_a_broken_compiler(tmp_path):
    """A clear refusal naming the remedy, and nothing on standard output."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    path = os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])
    kept |= {"PYTHONPATH": path, "HOME": str(tmp_path), "KEOPS_CACHE_FOLDER": str(tmp_path / "keops"), "CXX": "false"}
    run = subprocess.run([sys.executable, "-c", PROBE], env=kept, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""


TWINS = """
import numpy as np
from pmasolve.problems.grids import Cloud
from pmasolve.sinkhorn.softmin.keops import KeOps
point = Cloud(np.zeros((1, 2)))
print(KeOps(device="cpu").bind(point, point, 1.0).forward(np.zeros(1)).item())
"""


@pytest.mark.slow
@pytest.mark.parametrize("engine", KEOPS)
def test_processes_that_compile_at_once(engine, tmp_path):
    """Three processes with one empty cache: each computes log 1 = 0."""
    env = dict(os.environ) | {"KEOPS_CACHE_FOLDER": str(tmp_path)}
    runs = [
        subprocess.Popen([sys.executable, "-c", TWINS], env=env, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    assert [run.communicate(timeout=300)[0] for run in runs] == ["0.0\n"] * 3


@pytest.mark.parametrize("engine", KEOPS)
def test_waits_while_another_process_compiles(engine, tmp_path, monkeypatch):
    engine.bind(*POINTS, 1.0)  # compiled in the cache of this machine
    monkeypatch.setenv("KEOPS_CACHE_FOLDER", str(tmp_path))
    with ThreadPoolExecutor(1) as pool:
        with FileLock(keops.compiling().lock_file):
            waiting = pool.submit(engine.bind, *POINTS, 1.0)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.3)
        assert waiting.result(timeout=600).forward(np.zeros(1))[0] == pytest.approx(-0.5)


@pytest.fixture
def forgotten():
    """What is known of this machine's KeOps is found out anew, before and after."""
    why_not.cache_clear()
    yield
    why_not.cache_clear()


def test_without_a_compiler(forgotten, monkeypatch):
    monkeypatch.setattr(keops.shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match=r"KeOps cannot run here: it finds no C\+\+ compiler.*Blockwise\(\)"):
        KeOps().bind(*POINTS, 1.0)
    assert default_engine(*POINTS).bind(*POINTS, 1.0).forward(np.zeros(1))[0] == pytest.approx(-0.5)


def test_without_pykeops(forgotten, monkeypatch):
    def absent():
        raise ModuleNotFoundError("No module named 'pykeops'")

    monkeypatch.setattr(keops, "pykeops", absent)
    with pytest.raises(ValueError, match=r"does not import \(ModuleNotFoundError.*extra keops.*Blockwise\(\)"):
        KeOps().bind(*POINTS, 1.0)
    assert default_engine(*POINTS).bind(*POINTS, 1.0).forward(np.zeros(1))[0] == pytest.approx(-0.5)


POINTS = Cloud([[0.0]]), Cloud([[1.0]])
