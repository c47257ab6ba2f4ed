"""Negative log-densities that can be evaluated anywhere: given by a formula or by samples on a grid.

Both kinds are a `Function` and know the constant that makes e^{−f} a probability density for the quadrature of the grid, the same
quadrature that Sinkhorn's discrete marginals use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike
from scipy.ndimage import map_coordinates, spline_filter1d

from ..machine.arrays import Array, number, real
from ..machine.exponentials import exp_minus
from ..machine.threads import CACHED, over
from .grids import Grid
from .periods import check_periodic
from .points import PointsLike, given
from .vanishing import MinusLog, Vanishing, minus_log

PointFunction = Callable[..., ArrayLike]
SLOW_POINTS = 1 << 13  # points from which threads pay: formulas and splines take tens of nanoseconds each


@dataclass(frozen=True, eq=False)
class Function:
    """A function on the domain's space, of points; f with ∫e^{−f} = 1 where it stands for a density.

    Parameters
    ----------
    dim : of the space.
    at : what evaluates it at coordinates (dim, …), for loops that have them so: values (…), nothing is checked.

    Examples
    --------
    >>> f = Function(2, lambda x: x[0] + 10 * x[1])
    >>> f([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    array([21., 43., 65.])
    """

    dim: int
    at: Callable[[Array], Array]

    def __call__(self, points: PointsLike) -> Array:
        """Values (n,) at points (n, dim), or of the shape of a field (dim, *shape).

        Raises
        ------
        ValueError : points of another shape, an ambiguous array (dim, dim), coordinates that are not finite.
        """
        where = given(points, self.dim)
        return where.values(self.at(where.columns))


@dataclass(frozen=True)
class Analytic:
    """f(x, y, …) from a vectorised callable, plus the constant that normalises it: coordinates (dim, …) to values (…)."""

    formula: PointFunction
    shift: float

    def __call__(self, points: Array) -> Array:
        def evaluate(block: Array, out: Array) -> None:
            values = self.formula(*block)
            plain = type(values) is np.ndarray and values.dtype == np.float64
            np.add(values if plain else real(values, "a density's formula"), self.shift, out=out)

        return _pointwise(evaluate, points)


class Interpolation(Protocol):
    """How samples on a grid become a function: plain options."""

    def of(self, grid: Grid, samples: Array) -> Function:
        """The interpolant of the samples, periodic on a torus and reflected at the walls of a box."""
        ...


@dataclass(frozen=True)
class Spline:
    """Interpolating B-splines of odd degree: order of accuracy ``degree`` + 1 where f is smooth.

    Parameters
    ----------
    degree : 1, 3 or 5.

    Raises
    ------
    ValueError : another degree.

    Notes
    -----
    Cost: about 0.4 µs a point in 2D at degree 5, one thread.  For spectral accuracy see `problems.interpolation.Spectral`.

    Examples
    --------
    >>> from pmasolve import Torus
    >>> torus = Torus((32,))
    >>> f = Spline(5).of(torus, np.cos(2 * np.pi * torus.axis(0)))
    >>> bool(abs(f([0.1]) - np.cos(0.2 * np.pi)) < 1e-6)
    True
    """

    degree: int = 5

    def __post_init__(self) -> None:
        if number(self.degree, "degree") not in (1, 3, 5):
            raise ValueError(f"degree={self.degree}: splines of degree 1, 3 or 5 are offered")

    def of(self, grid: Grid, samples: Array) -> Function:
        """The spline through ``samples`` (grid.shape), periodic on a torus, even at the walls of a box."""
        return Function(grid.dim, Sampled(grid, _coefficients(grid, samples, self.degree), self.degree))


QUINTIC = Spline(5)


@dataclass(frozen=True, eq=False)
class Sampled:
    """A spline by its B-spline coefficients: coordinates (dim, …) to values (…)."""

    grid: Grid
    coefficients: Array = field(repr=False)
    degree: int

    @property
    def interpolation(self) -> Spline:
        """The options of the spline: `Spline` of its degree."""
        return Spline(self.degree)

    def __call__(self, points: Array) -> Array:
        def evaluate(block: Array, out: Array) -> None:
            index = block / np.reshape(self.grid.spacing, (-1, 1)) - self.grid.offset
            mode, order = _mode(self.grid), self.degree
            map_coordinates(self.coefficients, index, output=out, order=order, mode=mode, prefilter=False)

        return _pointwise(evaluate, points)


def _pointwise(evaluate: Callable[[Array, Array], None], points: Array) -> Array:
    """evaluate(points (dim, n), out (n,)) on blocks of the points: on all threads, and with small temporaries."""
    flat, out = points.reshape(points.shape[0], -1), np.empty(points.shape[1:])
    flat_out = out.reshape(-1)
    over(
        lambda begin, end: evaluate(flat[:, begin:end], flat_out[begin:end]), out.size, share=CACHED, small=SLOW_POINTS
    )
    return out


def _coefficients(grid: Grid, samples: Array, degree: int) -> Array:
    """B-spline coefficients; on a box those of the even reflection, because SciPy's own "reflect" is inexact on short axes."""
    if degree == 1:  # SciPy's filters refuse it: the coefficients are the samples
        return samples
    out = samples
    for j, n in enumerate(grid.shape):
        line = np.concatenate([out, np.flip(out, j)], axis=j) if grid.reflects else out
        out = np.take(spline_filter1d(line, order=degree, axis=j, mode="grid-wrap"), range(n), axis=j)
    return out


def _mode(grid: Grid) -> str:
    return "reflect" if grid.reflects else "grid-wrap"


def from_formula(grid: Grid, formula: PointFunction, name: str) -> tuple[Function, Array]:
    """A callable negative log-density, normalised on ``grid``, and its values there; it must be finite and, on a torus, periodic.

    Raises
    ------
    ValueError : values that are not finite, a wrong shape, or values that change by a period of the torus.
    """
    raw = Analytic(formula, 0.0)
    samples = grid.values(raw(grid.points), name)
    check_periodic(grid, raw, samples, name)
    shift = log_mass(grid, samples)
    samples += shift
    return Function(grid.dim, Analytic(formula, shift)), samples


def from_density_formula(grid: Grid, density: PointFunction, name: str) -> Function:
    """−log of a callable density ≥ 0, normalised on ``grid``; +∞ where it vanishes.

    Raises
    ------
    ValueError : values that are negative or not finite, no mass, or a density that changes by a period of the torus.
    """
    raw = Analytic(density, 0.0)
    samples = raw(grid.points)
    f = minus_log_on_grid(grid, samples, name)
    check_periodic(grid, raw, samples, name)
    return Function(grid.dim, Analytic(MinusLog(density), log_mass(grid, f)))


def from_density_samples(grid: Grid, samples: ArrayLike, name: str, interpolation: Interpolation) -> Function:
    """−log of a sampled density ≥ 0: by ``interpolation`` if it is positive, linear in the density itself if it vanishes."""
    f = minus_log_on_grid(grid, samples, name)
    if not grid.most(float(np.isposinf(f).any())):
        return from_samples(grid, f, name, interpolation)
    density = np.exp(-log_mass(grid, f) - f)
    return Function(grid.dim, Vanishing(grid, density, Spline(1).of(grid, density).at))


def given_on_nodes(grid: Grid, density: ArrayLike, name: str) -> Array:
    """−log of a sampled density, normalised, as it is given: splines beside a light background return it to some 10⁻¹² only."""
    f = minus_log_on_grid(grid, density, name)
    return f + log_mass(grid, f)


def from_samples(grid: Grid, samples: ArrayLike, name: str, interpolation: Interpolation) -> Function:
    """Normalise a sampled negative log-density and interpolate it."""
    return with_samples(grid, samples, name, interpolation)[0]


def with_samples(grid: Grid, samples: ArrayLike, name: str, interpolation: Interpolation) -> tuple[Function, Array]:
    """`from_samples`, and the normalised values."""
    values = grid.values(samples, name)
    values = values + log_mass(grid, values)
    return interpolant(grid, values, interpolation), values


@singledispatch
def interpolant(grid: Grid, samples: Array, interpolation: Interpolation) -> Function:
    """The function through samples on a grid; grids that are not `Whole` register their own way."""
    return interpolation.of(grid, samples)


@dataclass(frozen=True, eq=False)
class Shifted:
    """Another negative log-density plus a constant: coordinates (dim, …) to values (…)."""

    density: Callable[[Array], Array]
    shift: float

    @property
    def interpolation(self) -> Interpolation:
        """The options by which the density without the constant was interpolated."""
        return getattr(self.density, "interpolation", Spline())

    def __call__(self, points: Array) -> Array:
        values = self.density(points)
        values += self.shift
        return values


def on_grid(density: Function, grid: Grid) -> tuple[Function, Array]:
    """A density normalised by the quadrature of another grid of its domain, and its values there."""
    values = density.at(grid.points)
    shift = log_mass(grid, values)
    values += shift
    if isinstance(density.at, Analytic):
        return Function(grid.dim, Analytic(density.at.formula, density.at.shift + shift)), values
    return Function(grid.dim, Shifted(density.at, shift)), values


def log_mass(grid: Grid, f: Array) -> float:
    """log ∫e^{−f}, the constant to add to f."""
    low = grid.least(float(f.min()))
    return float(np.log(grid.integral(exp_minus(f - low)))) - low


def minus_log_on_grid(grid: Grid, density: ArrayLike, name: str) -> Array:
    """−log of a density ≥ 0 given on the grid, of any mass; +∞ where it vanishes.

    Raises
    ------
    ValueError : a value that is negative, NaN or infinite, with the number of such values; no mass at all.
    """
    values = grid.values(density, name)
    if (bad := int(grid.summed(float(np.count_nonzero(values < 0))))) > 0:
        raise ValueError(
            f"{name} has {bad} negative values (least {grid.least(float(values.min())):.3g}): a density is ≥ 0; "
            f"clip it, for example np.maximum({name}, 0)"
        )
    if not grid.most(float(values.max())):
        raise ValueError(f"{name} is zero everywhere: a density needs mass somewhere")
    return minus_log(values)
