"""Softmin on clouds of points in any dimension by KeOps: compiled reductions without storing the matrix.

Cost about 3 ns for each pair on two cores in double precision, memory linear in the number of nodes, CPU and CUDA.
The first use of a formula compiles it (seconds, kept on disk by KeOps), which needs a C++ compiler.
"""

from __future__ import annotations

import importlib
import os
import shlex
import shutil
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from functools import cache
from io import StringIO
from math import pi, sqrt
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...machine.arrays import Array
from ...machine.extras import extra, installing
from .nodes import Geometry, exponents, geometry, reflections
from .protocol import GridOrCloud

if TYPE_CHECKING:
    from filelock import FileLock

BACKENDS = {"auto": "auto", "cpu": "CPU", "cuda": "GPU"}
KEOPS_REMEDY = (
    f"install the extra keops ({installing('keops')}) and a C++ compiler (g++ or clang++ on the PATH, or named by CXX), "
    "clear the KeOps cache (pykeops.clean_pykeops()), or use the engine Blockwise(), which needs neither"
)
TARGETS_CHECKED = 16  # targets summed again in double precision, to measure what single precision reached


@dataclass(frozen=True)
class KeOps:
    """Softmin by KeOps.

    Parameters
    ----------
    dtype : numpy.float64, or numpy.float32 for speed on GPUs; ``report["error"]`` then holds the error it reached.
    device : "cpu", "cuda", or "auto": CUDA where KeOps finds it.

    Raises
    ------
    ValueError : another dtype or device; in ``bind``, no working KeOps, with the reason.

    Notes
    -----
    2 to 4 exponentials for each axis and pair on a torus, 2^dim times the pairs in a box.

    Examples
    --------
    >>> KeOps(device="cpu")
    KeOps(dtype=<class 'numpy.float64'>, device='cpu')
    """

    dtype: type = np.float64
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        if self.dtype not in (np.float64, np.float32):
            raise ValueError(f"dtype={self.dtype}: KeOps sums in numpy.float64 or numpy.float32; choose one of them")
        if self.device not in BACKENDS:
            raise ValueError(f"device={self.device!r}: the devices are {', '.join(BACKENDS)}; choose one of them")

    def bind(self, source: GridOrCloud, target: GridOrCloud, eps: float) -> KeOpsKernel:
        """Prepare the sums in both directions for one ε (see ``Softmin``)."""
        space = geometry(source, target, eps)
        reason = why_not()
        if reason is None:
            try:  # one pair, so that a compiler which fails does so here and not in the middle of a run
                with compiling():
                    for options in {
                        self,
                        replace(self, dtype=np.float64),
                    }:  # a run in float32 measures itself in float64
                        keops_log_sums(space.source[:1], np.zeros(1), space.target[:1], space, options)
            except Exception as error:  # KeOps reports a failed compilation as ModuleNotFoundError, RuntimeError, …
                reason = f"its formula did not compile ({type(error).__name__}: {error}); {KEOPS_REMEDY}"
        if reason is not None:
            raise ValueError(f"KeOps cannot run here: {reason}")
        return KeOpsKernel(self, space)


@dataclass(frozen=True, eq=False)
class KeOpsKernel:
    """KeOps bound to two sets of nodes and one ε."""

    options: KeOps
    space: Geometry
    tally: dict[str, float] = field(default_factory=lambda: {"passes": 0, "error": 0.0})

    def forward(self, h: Array) -> Array:
        """Log-sums over the source, one for each target."""
        h = exponents(h, self.space.source_shape)
        return self._sums(self.space.source, h, self.space.target).reshape(self.space.target_shape)

    def backward(self, h: Array) -> Array:
        """Log-sums over the target, one for each source."""
        h = exponents(h, self.space.target_shape)
        return self._sums(self.space.target, h, self.space.source).reshape(self.space.source_shape)

    @property
    def report(self) -> Mapping[str, float | int | str]:
        """Engine, precision, passes; in single precision the largest error of a logarithm found on a sample."""
        report = {"engine": "KeOps", "dtype": np.dtype(self.options.dtype).name, **self.tally}
        if self.options.dtype == np.float64:
            del report["error"]
        return report

    def _sums(self, x: Array, h: Array, y: Array) -> Array:
        mass = h > -np.inf  # a running maximum of −inf gives NaN, so nodes without mass are left out
        if not mass.any():
            return np.full(len(y), -np.inf)
        x, h = x[mass], h[mass]
        if self.space.reflects:
            signs = reflections(self.space.dim)
            x, h = (signs[:, None, :] * x).reshape(-1, self.space.dim), np.tile(h, len(signs))
        out = keops_log_sums(x, h, y, self.space, self.options)
        self.tally["passes"] += 1
        if self.options.dtype == np.float32:
            rows = np.linspace(0, len(y) - 1, min(TARGETS_CHECKED, len(y))).astype(int)
            error = out[rows] - keops_log_sums(x, h, y[rows], self.space, replace(self.options, dtype=np.float64))
            self.tally["error"] = max(self.tally["error"], float(np.abs(error).max()))
        return out


def keops_log_sums(x: Array, h: Array, y: Array, space: Geometry, options: KeOps) -> Array:
    """log Σ_i exp(h_i) K_ε(x_i, y_j) for each j; h finite."""
    top = h.max()  # taken out in double precision: single precision then rounds small numbers only

    def cast(array: Array) -> Array:
        return np.ascontiguousarray(array, dtype=options.dtype)

    module = pykeops()  # Vi, Vj, Pm and not shapes: a cloud of one point must not become a parameter and a new formula
    exponent = module.Vj(cast((h - top)[:, None]))
    for axes, log_kernel in axis_kernels(space):
        displacement = module.Vj(cast(x[:, axes])) - module.Vi(cast(y[:, axes]))
        period = None if space.periods is None else module.Pm(cast(space.periods[axes]))
        exponent = exponent + log_kernel(displacement, period, space.eps)
    # KeOps prints while it compiles; standard output belongs to the caller
    with redirect_stdout(StringIO()):
        out = exponent.logsumexp(axis=1, backend=BACKENDS[options.device])
    return np.asarray(out, dtype=np.float64).ravel() + top


def axis_kernels(space: Geometry) -> list[tuple[NDArray[np.intp], Callable[[Any, Any, float], Any]]]:
    """Axes grouped by the formula of log θ that converges fastest for their ε/L²; fixed sizes, so few compilations."""
    every = np.arange(space.dim)
    if space.periods is None:
        return [(every, log_gauss)]
    ratio = space.eps / space.periods**2
    regimes = [
        (ratio < 1 / 39, lambda d, L, eps: log_theta_images(d, L, eps, 1)),  # the next image is below e⁻³⁹
        ((ratio >= 1 / 39) & (ratio < 0.16), lambda d, L, eps: log_theta_images(d, L, eps, 3)),  # e⁻³⁷
        (ratio >= 0.16, lambda d, L, eps: log_theta_waves(d, L, eps, 3)),  # e⁻⁵⁰
    ]
    return [(every[chosen], formula) for chosen, formula in regimes if chosen.any()]


def log_gauss(d: Any, period: None, eps: float) -> Any:
    """−|d|²/2ε."""
    return -((d**2).sum(-1) / (2 * eps))


def log_theta_images(d: Any, L: Any, eps: float, count: int) -> Any:
    """Σ_axes log Σ_m exp(−(d+mL)²/2ε), relative to the nearest image a = |d − L·round(d/L)| ≤ L/2:

        log θ = −a²/2ε + log(1 + Σ_{m=1…count} exp(−mL(mL−2a)/2ε) + exp(−mL(mL+2a)/2ε)).

    Every exponent is a product of factors without cancellation and ≤ 0: no overflow and full accuracy up to a = L/2,
    where the second image weighs as much as the first.
    """
    a = (d - L * (d / L).round()).abs()
    rest = 1
    for m in range(1, count + 1):
        for image in (m * L - 2 * a, m * L + 2 * a):
            rest = rest + (-(m * L * image) / (2 * eps)).exp()
    return rest.log().sum(-1) - (a**2).sum(-1) / (2 * eps)


def log_theta_waves(d: Any, L: Any, eps: float, count: int) -> Any:
    """log θ of a circle by Poisson summation: log √(2πε)/L + log(1 + 2 Σ_k q^{k²} cos(2πkd/L)), q = exp(−2π²ε/L²).

    For ε ≥ 0.16 L², q < 0.043: the sum in the logarithm stays above 0.9.
    """
    angle = d * (2 * pi) / L
    waves = 1
    for k in range(1, count + 1):
        waves = waves + 2 * (-(2 * pi**2 * k**2 * eps) / (L * L)).exp() * (k * angle).cos()
    return (waves.log() + (sqrt(2 * pi * eps) / L).log()).sum(-1)


def compiling() -> FileLock:
    """Lock of the cache for one process of this user at a time, to hold while KeOps may write to it.

    KeOps compiles a library under its final name, so a second process would load it half written.
    """
    folder = Path(os.environ.get("KEOPS_CACHE_FOLDER") or Path.home() / ".cache")
    folder.mkdir(parents=True, exist_ok=True)
    with extra("keops"):
        locks = importlib.import_module("filelock")
    return locks.FileLock(folder / "pmasolve-keops.lock", is_singleton=True)


@cache
def pykeops() -> ModuleType:
    """Import KeOps silently; not at the top of the file because its import probes compilers and writes to disk."""
    with compiling(), redirect_stdout(StringIO()):
        importlib.import_module("pykeops").set_verbose(False)
        return importlib.import_module("pykeops.numpy")


@cache
def why_not() -> str | None:
    """Why KeOps cannot run on this machine, with the remedy; None when it can.  Compiles nothing; ``bind`` does."""
    try:
        pykeops()
        config = importlib.import_module("keopscore.config").config
    except Exception as error:  # a missing package, but also a missing library, or a cache folder that is read-only
        return f"it does not import ({type(error).__name__}: {error}); {KEOPS_REMEDY}"
    compiler = config.get_cxx_compiler()
    if compiler is None or shutil.which(shlex.split(compiler)[0]) is None:
        return f"it finds no C++ compiler (CXX={os.environ.get('CXX', '')!r}); {KEOPS_REMEDY}"
    return None
