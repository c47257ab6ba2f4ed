"""Problem: two densities e^{−f} and e^{−g} on one domain, or two weighted clouds of points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from .densities import (
    Formula,
    Interpolation,
    NegativeLogDensity,
    Spline,
    from_formula,
    from_samples,
    negative_log,
    on_grid,
)
from .domains import Array, Box, Cloud, Grid, Torus
from .pointwise import log_det_inverse, packed

SPLINE = Spline()


@dataclass(frozen=True, eq=False)
class Measure:
    """A probability measure on nodes: exp(log_density) times the weight ``cell`` that the quadrature gives every node.

    On a grid log_density = −f and ``cell`` = h^d; on a cloud log_density = log weights (−inf for none) and ``cell`` = 1.
    """

    nodes: Grid | Cloud
    log_density: Array
    cell: float

    def integral(self, values: Array) -> float:
        """∫ values dμ; nodes without mass do not count, whatever their value."""
        mass = np.exp(self.log_density)
        return float(np.sum(np.multiply(mass, values, out=np.zeros(mass.shape), where=mass > 0))) * self.cell


@dataclass(frozen=True)
class Unknown:
    """The negative log-density of samples: not known, so that asking for it is a ``ValueError``."""

    name: str

    def __call__(self, points: Array) -> Array:
        raise ValueError(
            f"the density of the {self.name} is not known: the problem was made from samples, which carry weights only; "
            "use Sinkhorn in the plain gauge, or estimate densities on a grid and use Problem.from_densities"
        )


@dataclass(frozen=True, eq=False)
class Problem:
    """Transport e^{−f} on x to e^{−g} on y, both normalised to probability densities on ``domain``.

    Parameters
    ----------
    domain : the torus or the box, with its grid.
    f, g : vectorised callables f(x, y, …), negative log-densities up to any constant; or arrays of their values on
        the grid.
    interpolation : how arrays are evaluated off the grid: `Spline(5)` unless given, or `spectral.Spectral()`.

    Attributes
    ----------
    source, target : f and g as callables of points (dim, …), normalised.
    f, g : their values on the grid, shape ``domain.shape``, with ∑ e^{−f} h^d = 1.
    codomain : where the target lives: the domain again, or the target's cloud.
    mu, nu : source and target as measures on nodes, for grids and clouds alike.

    Raises
    ------
    ValueError : values that are not finite, shapes that disagree with the grid, callables that are not periodic.

    Examples
    --------
    >>> import numpy as np
    >>> torus = Torus((16,))
    >>> problem = Problem(torus, lambda x: np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> round(torus.integral(np.exp(-problem.f)), 12)
    1.0
    """

    domain: Grid | Cloud
    codomain: Grid | Cloud
    source: NegativeLogDensity
    target: NegativeLogDensity

    def __init__(
        self, domain: Grid, f: Formula | ArrayLike, g: Formula | ArrayLike, *, interpolation: Interpolation = SPLINE
    ) -> None:
        if not isinstance(domain, (Torus, Box)):
            raise ValueError(f"domain={domain!r}: give a Torus or a Box; for points use Problem.from_samples")
        object.__setattr__(self, "domain", domain)
        object.__setattr__(self, "codomain", domain)
        object.__setattr__(self, "source", _density(domain, f, "f", interpolation))
        object.__setattr__(self, "target", _density(domain, g, "g", interpolation))

    @classmethod
    def from_densities(
        cls, domain: Grid, mu: Formula | ArrayLike, nu: Formula | ArrayLike, *, interpolation: Interpolation = SPLINE
    ) -> Problem:
        """The problem of two positive densities, arrays on the grid or vectorised callables, of any mass.

        Array-valued densities are composed with x + ∇u by ``interpolation`` of −log ν, splines of degree 5 (order 6) unless given.

        Raises
        ------
        ValueError : a density that vanishes, is negative or is not finite somewhere.

        Examples
        --------
        >>> problem = Problem.from_densities(Torus((8,)), np.ones(8), lambda y: 2 + np.sin(2 * np.pi * y))
        >>> bool(np.all(problem.f == 0))
        True
        """
        return cls(domain, _minus_log(domain, mu, "mu"), _minus_log(domain, nu, "nu"), interpolation=interpolation)

    @classmethod
    def from_samples(
        cls,
        x: ArrayLike,
        y: ArrayLike,
        a: ArrayLike | None = None,
        b: ArrayLike | None = None,
        period: float | tuple[float, ...] | None = None,
    ) -> Problem:
        """The problem of two weighted clouds, Σ aᵢ δ(xᵢ) and Σ bⱼ δ(yⱼ), in ℝᵈ or on a torus.

        Parameters
        ----------
        x, y : (n, dim) and (m, dim) points; n and m may differ and points may repeat.
        a, b : (n,) and (m,) weights ≥ 0 with positive sums, normalised here; uniform unless given.
        period : None for ℝᵈ; one period, or one for each coordinate, for a torus.  Points outside are wrapped into [0, period).

        Raises
        ------
        ValueError : points that are not finite or not (n, dim), dimensions that differ, weights that are negative, NaN,
            infinite or all zero.

        Notes
        -----
        Samples have no density: flows that need f or g (MongeAmpere, the other gauges of Sinkhorn) refuse them.

        Examples
        --------
        >>> problem = Problem.from_samples([[0.0], [1.0], [2.0]], [[0.5], [1.5]], b=[1, 3])
        >>> problem.domain.size, problem.nu.integral(np.array([0.0, 1.0]))
        (3, 0.75)
        """
        source, target = _cloud(x, a, period, "x, a"), _cloud(y, b, period, "y, b")
        if source.dim != target.dim:
            raise ValueError(f"x has dimension {source.dim}, y has {target.dim}: both need the same number of columns")
        return _assembled(source, target, Unknown("source"), Unknown("target"))

    @property
    def has_densities(self) -> bool:
        """Whether f and g are known: not for samples."""
        return not isinstance(self.source, Unknown)

    @cached_property
    def mu(self) -> Measure:
        """The source as a measure on the nodes of ``domain``."""
        return Measure(self.domain, -self.f, self.domain.cell) if self.has_densities else _counted(self.domain)

    @cached_property
    def nu(self) -> Measure:
        """The target as a measure on the nodes of ``codomain``."""
        return Measure(self.codomain, -self.g, self.codomain.cell) if self.has_densities else _counted(self.codomain)

    @cached_property
    def f(self) -> Array:
        """f on the grid."""
        return self.source(self.domain.points)

    @cached_property
    def g(self) -> Array:
        """g on the grid."""
        return self.target(self.domain.points)

    def on(self, domain: Grid) -> Problem:
        """The same densities on another grid of the same domain."""
        return _assembled(domain, domain, on_grid(self.source, domain), on_grid(self.target, domain))

    def swapped(self) -> Problem:
        """The problem with source and target exchanged: its flow is the Legendre dual (arXiv 2307.16421)."""
        return _assembled(self.codomain, self.domain, self.target, self.source)


def _assembled(
    domain: Grid | Cloud, codomain: Grid | Cloud, source: NegativeLogDensity, target: NegativeLogDensity
) -> Problem:
    problem = object.__new__(Problem)
    for name, value in (("domain", domain), ("codomain", codomain), ("source", source), ("target", target)):
        object.__setattr__(problem, name, value)
    return problem


def _counted(cloud: Cloud) -> Measure:
    with np.errstate(divide="ignore"):
        return Measure(cloud, np.log(cloud.weights), 1.0)


def _cloud(points: ArrayLike, weights: ArrayLike | None, period: float | tuple[float, ...] | None, name: str) -> Cloud:
    try:
        return Cloud(points, weights, period)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _density(domain: Grid, f: Formula | ArrayLike, name: str, interpolation: Interpolation) -> NegativeLogDensity:
    return from_formula(domain, f, name) if callable(f) else from_samples(domain, f, name, interpolation)


def _minus_log(domain: Grid, density: Formula | ArrayLike, name: str) -> Formula | Array:
    if not callable(density):
        return negative_log(domain, density, name)
    negative_log(domain, np.broadcast_to(density(*domain.points), domain.shape), name)  # refuses zeros
    return lambda *points: -np.log(density(*points))


RESOLVED = {1: 96, 2: 64, 3: 48}  # points of each axis, by dimension, on which a manufactured u is differentiated


def manufactured(domain: Grid, u: Callable[..., Array], g: Formula) -> tuple[Problem, Array]:
    """A problem whose Brenier potential is known: f = g(x + ∇u) − log det(I + D²u) makes |x|²/2 + u the steady state.

    Parameters
    ----------
    domain : a torus or a box; u's periodic, or even, extension must be smooth.
    u : vectorised callable u(x, y, …) with I + D²u > 0, resolved to rounding by 96, 64² or 48³ points, on which it is
        differentiated by FFT whatever the grid of ``domain``, so that coarse grids see the true f.
    g : as in `Problem`.

    Returns
    -------
    problem, u on the grid with mean 0.

    Raises
    ------
    ValueError : I + D²u is not positive definite somewhere on the grid.

    Examples
    --------
    >>> problem, u = manufactured(Torus((8, 8)), lambda x, y: 0.01 * np.cos(2 * np.pi * (x + y)), lambda x, y: 0 * x)
    >>> u.shape
    (8, 8)
    """
    gradient, hessian, values = _fine_jet(domain, u)
    logdet, _ = log_det_inverse(hessian)
    if not np.isfinite(logdet).all():
        raise ValueError("u: I + D²u is not positive definite everywhere on the grid; take a smaller u")
    f = np.broadcast_to(g(*(domain.points + gradient)), domain.shape) - logdet
    return Problem(domain, f, g), domain.gauge(values)


def _fine_jet(domain: Grid, u: Callable[..., Array]) -> tuple[Array, Array, Array]:
    """∇u, packed D²u and u on the grid, from the FFT of u on a finer torus (of the even extension, on a box)."""
    sides = 2 if isinstance(domain, Box) else 1
    factors = [
        2 * max(0, -(-RESOLVED[domain.dim] // n) // 2) + 1 for n in domain.shape
    ]  # odd: cell centres stay centres
    shape = [sides * m * n for m, n in zip(factors, domain.shape, strict=True)]
    axes = [(np.arange(s) + domain.offset) * h / m for s, h, m in zip(shape, domain.spacing, factors, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"))
    series = np.fft.fftn(u(*domain.fold(points)))
    k = [2j * np.pi * np.fft.fftfreq(s, sides * L / s) for s, L in zip(shape, domain.lengths, strict=True)]
    k = np.meshgrid(*k, indexing="ij", sparse=True)
    every = tuple(slice(m // 2 if domain.offset else 0, m * n, m) for m, n in zip(factors, domain.shape, strict=True))

    def sampled(multiplier: Array | float) -> Array:
        return np.ascontiguousarray(np.fft.ifftn(multiplier * series).real[every])

    return (
        np.stack([sampled(ki) for ki in k]),
        np.stack([sampled(k[i] * k[j]) for i, j in packed(domain.dim)]),
        sampled(1.0),
    )
