"""`transport` in the arrays of other libraries: the answers of the processor, by the same steps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import scipy.special

import pmasolve as pma
from pmasolve.maps.devices.choice import library_of
from pmasolve.maps.devices.formulas import evaluated
from pmasolve.maps.devices.libraries import OneDevice

TAU = 2 * np.pi
TORCH = bool(find_spec("torch") and find_spec("array_api_compat"))
needs_torch = pytest.mark.skipif(not TORCH, reason="needs torch and array_api_compat (extra gpu)")
DEVICES = [OneDevice(), pytest.param("cpu", marks=needs_torch)]


def f(*x: Any) -> Any:
    """A source."""
    return 0.3 * np.cos(TAU * x[0]) + 0.1 * np.sin(TAU * (x[-1] + 2 * x[0]))


def g(*x: Any) -> Any:
    """A target."""
    return 0.4 * np.cos(TAU * (x[0] + x[-1])) + 0.1 * np.sin(2 * TAU * x[-1])


def of_formulas(torus: pma.Torus) -> pma.Problem:
    """f and g."""
    return pma.Problem(torus, f, g)


def of_densities(torus: pma.Torus) -> pma.Problem:
    """The same by densities."""
    return pma.Problem.from_densities(torus, lambda *x: 3 * np.exp(-f(*x)), lambda *x: np.exp(-g(*x)))


def of_samples(degree: int) -> Any:
    """The same by values on the nodes."""

    def problem(torus: pma.Torus) -> pma.Problem:
        return pma.Problem(torus, f(*torus.points), g(*torus.points), interpolation=pma.Spline(degree))

    return problem


def same(T: pma.Transport, S: pma.Transport) -> None:
    """An answer from a device and that of the processor."""
    print(np.max(np.abs(T.potential - S.potential)), [r["krylov"] for r in T.records])
    assert np.max(np.abs(S.potential)) > 1e-3
    assert np.max(np.abs(T.potential - S.potential)) < 1e-14
    assert T.outcome == S.outcome
    counts = [[(r["points"], r["krylov"], r["length"]) for r in run.records] for run in (T, S)]
    assert counts[0] == counts[1]
    for name in ("w2_squared", "min_eigenvalue"):
        assert getattr(T, name) == pytest.approx(getattr(S, name), rel=1e-11)
    for name in ("residual", "worst"):
        assert getattr(T, name) == pytest.approx(getattr(S, name), rel=1e-5, abs=1e-14)
    bounds = [(run.interval.lower, run.interval.upper) for run in (T, S)]
    assert bounds[0] == pytest.approx(bounds[1], rel=1e-9)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    ("shape", "problem"),
    [
        ((48,), of_formulas),
        ((64, 64), of_densities),  # even axes, two grids
        ((33, 40), of_samples(5)),
        ((30, 25), of_samples(1)),
        ((18, 20, 15), of_formulas),
        ((12, 16, 14), of_samples(3)),
    ],
)
def test_a_device_finds_what_the_processor_does(device: Any, shape: tuple[int, ...], problem: Any) -> None:
    given = problem(pma.Torus(shape, tuple(1.0 for _ in shape)))
    options = {"tolerance": 1e-10, "gap": 0.1}
    same(pma.transport(given, device=device, **options), pma.transport(given, method=pma.NewtonKrylov(), **options))


@pytest.mark.parametrize("device", DEVICES)
def test_a_rough_field_takes_nyquists_modes_and_a_period_of_any_length(device: Any) -> None:
    torus = pma.Torus((16, 12), (2.0, 0.5))
    values = 0.02 * np.random.default_rng(5).standard_normal((2, *torus.shape))
    given, method = pma.Problem(torus, *values), pma.NewtonKrylov(steps=6)
    T, S = (pma.transport(given, method=method, gap=10.0, device=place) for place in (device, None))
    assert [r["krylov"] for r in T.records] == [r["krylov"] for r in S.records]
    assert len(T.records) > 2
    assert [r["defect"] for r in T.records] == pytest.approx([r["defect"] for r in S.records], rel=1e-6, abs=1e-13)
    assert np.max(np.abs(T.potential - S.potential)) < 1e-14


@pytest.mark.parametrize("device", DEVICES)
def test_steps_too_long_are_halved_likewise(device: Any) -> None:
    torus = pma.Torus((32, 32))
    given = pma.Problem(torus, lambda x, y: 2.5 * np.cos(TAU * x), lambda x, y: 1.5 * np.sin(TAU * (x + y)))
    T, S = (pma.transport(given, method=pma.NewtonKrylov(steps=12), gap=10.0, device=d) for d in (device, None))
    assert min(r["length"] for r in S.records) < 1
    assert [(r["krylov"], r["length"]) for r in T.records] == [(r["krylov"], r["length"]) for r in S.records]
    assert np.max(np.abs(T.potential - S.potential)) < 1e-13


CALLS = [
    lambda x, y: np.where(x > 0.5, np.arctan2(y, x), x**3),
    lambda x, y: np.exp(-((x - 0.5) ** 2)) / (1 + abs(y)),
    lambda x, y: np.log1p(x) + np.sqrt(y) - np.arccos(0.5 * x) * np.float64(2.0),
    lambda x, y: np.maximum(x, y) % 0.3 + np.clip(x, 0.2, 0.7),
    lambda x, y: sum(np.array([0.5, 0.25])[k] * np.cos(k * x) for k in range(2)),
    lambda x, y: np.stack([x, y])[0] + 1j.real * y,
    lambda x, y: 1.5,
    lambda x, y: np.where(y > 0.5, 0.1, 0.3),  # which torch alone would have in float32
    lambda x, y: 0.1 * (y > 0.5) * np.cos(x),
    lambda x, y: x + (0.1 + (y > 0.5)) / 3.0,
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("formula", CALLS)
def test_formulas_are_what_they_are_with_numpy(device: Any, formula: Any) -> None:
    library, points = library_of(device), np.random.default_rng(1).uniform(0.1, 0.9, (2, 7))
    found = library.fetch(evaluated(formula, [library.constant(x) for x in points], library))
    assert found.shape == (7,)
    assert found == pytest.approx(np.broadcast_to(formula(*points), 7), rel=1e-14)


TORUS = pma.Torus((12, 12))
GOOD = pma.Problem(TORUS, f, g)
BAD: list[tuple[Any, dict[str, Any], str]] = [
    (GOOD, {"device": 3.5}, "device=3.5: give a device of torch"),
    (GOOD, {"device": OneDevice(), "method": pma.SemiDual()}, "Newton's method alone"),
    (GOOD, {"device": OneDevice(), "gap": 0}, "Newton's method alone"),
    (GOOD, {"device": OneDevice(), "space": pma.FiniteDifference(2)}, "tori of one process with Fourier"),
    (pma.Problem(pma.Box((12, 12)), f, g), {"device": OneDevice()}, "tori of one process with Fourier"),
    (pma.Problem.from_densities(TORUS, np.eye(12), np.ones((12, 12))), {"device": OneDevice()}, "a positive density"),
    (pma.Problem(TORUS, lambda x, y: scipy.special.erf(np.cos(TAU * x)), g), {"device": OneDevice()}, "has no erf"),
    (pma.Problem(TORUS, lambda x, y: np.cos(TAU * x) + 0 * x.sum(), g), {"device": OneDevice()}, "no attribute 'sum'"),
    (
        pma.Problem(TORUS, lambda x, y: np.cos(TAU * x) / np.sum(np.cos(TAU * y) ** 2), g),
        {"device": OneDevice()},
        "gives other values on numpy",
    ),
    (
        pma.Problem(pma.Torus((64, 64)), lambda x, y: 0.1 * np.cos(TAU * x) + 0.1 * np.roll(np.sin(TAU * y), 1), g),
        {"device": OneDevice()},
        "gives other values on numpy",  # by every 64th node, all of them at y = 0, it did not
    ),
]


def test_whole_numbers_that_become_float32_are_refused() -> None:
    """As torch divides them: no formula calculates in seven digits."""
    xp = SimpleNamespace(float32=np.float32, complex64=np.complex64, divide=lambda a, b: np.float32(a / b))
    with pytest.raises(TypeError, match="divide of whole numbers or truth values in float32"):
        evaluated(lambda x: x / 3, [np.arange(4)], OneDevice(xp))


@pytest.mark.parametrize(("problem", "options", "words"), BAD)
def test_what_a_device_cannot_do_is_refused_by_name(problem: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        pma.transport(problem, **options)


def test_a_series_is_refused_by_name() -> None:
    pytest.importorskip("finufft")
    from pmasolve.problems.interpolation import Spectral

    given = pma.Problem(TORUS, f(*TORUS.points), g(*TORUS.points), interpolation=Spectral())
    with pytest.raises(ValueError, match="formulas or splines of samples"):
        pma.transport(given, device=OneDevice())


@needs_torch
@pytest.mark.parametrize("device", ["cuda:7", "nowhere"])
def test_a_device_that_is_not_there_is_told_in_one_sentence(device: str) -> None:
    with pytest.raises(ValueError, match=f"device='{device}': torch has no such device here") as told:
        pma.transport(GOOD, device=device)
    assert "\n" not in str(told.value)


SHARDED = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
import jax
jax.config.update("jax_enable_x64", True)
import numpy as np
import pmasolve as pma
from pmasolve.maps.devices.level import DeviceLevel
from pmasolve.maps.devices.sharded import sharded_over
from test_devices import of_formulas, of_samples

mesh, torus = jax.make_mesh((4,), ("x",)), pma.Torus((16, 12, 10))
found = []
for problem, device in ((of_formulas, mesh), (of_samples(3), mesh), (of_formulas, jax.devices()[1])):
    # (8, 6, 5), which four cannot share, comes first
    options = {"tolerance": 1e-10, "gap": 0.1, "method": pma.NewtonKrylov(coarsest=5)}
    runs = [pma.transport(problem(torus), device=d, **options) for d in (device, None)]
    gap = float(np.max(np.abs(runs[0].potential - runs[1].potential)))
    assert len({r["points"] for r in runs[0].records}) == 3
    found.append([gap, *([r["krylov"] for r in run.records] for run in runs)])
level = DeviceLevel(of_formulas(torus), sharded_over(jax, mesh))
level.begin()
zero = 0 * level.coefficients
given = {
    level._evaluate: (level.coefficients, level._mu, level._symbols[0], level._data),
    level.turn: (0.0, zero, zero, level._A, *level._symbols),
}
texts = [work.lower(*arguments).compile().as_text() for work, arguments in given.items()]
told = []
for bad in (pma.Torus((18, 12, 10)), pma.Torus((16, 12))):
    try:
        pma.transport(of_formulas(bad), device=mesh)
    except ValueError as error:
        told.append(str(error))
jax.config.update("jax_enable_x64", False)
try:
    pma.transport(of_formulas(torus), device=mesh)
except ValueError as error:
    told.append(str(error))
counts = [[text.count(f" {name}(") for name in ("all-to-all", "all-gather")] for text in texts]
print("FOUND", json.dumps({"runs": found, "exchanges": counts, "told": told}))
"""


@pytest.mark.skipif(not find_spec("jax"), reason="needs jax")
def test_four_devices_of_jax_find_what_the_processor_does_and_gather_nothing() -> None:
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=4", "JAX_PLATFORMS": "cpu"}
    here = Path(__file__).parent
    environment = {**os.environ, **flags, "PYTHONPATH": str(here.parent)}
    run = subprocess.run([sys.executable, "-c", SHARDED, str(here)], env=environment, capture_output=True, text=True)
    assert "FOUND" in run.stdout, run.stderr[-3000:]
    found = json.loads(run.stdout.partition("FOUND ")[2])
    print(found)
    for gap, there, here_ in found["runs"]:
        assert gap < 1e-14
        assert there == here_
        assert sum(there) > 5
    assert found["exchanges"] == [[4, 0], [4, 0]]
    assert [words.partition(":")[0][:14] for words in found["told"][:2]] == ["Torus(shape=(1"] * 2
    assert found["told"][2].startswith("JAX calculates in float32")
