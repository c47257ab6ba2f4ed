"""Problem: two densities e^{−f} and e^{−g} on one domain; and problems whose answers are known."""

from __future__ import annotations

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
from .domains import Array, Box, Grid, Torus

SPLINE = Spline()


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

    domain: Grid
    source: NegativeLogDensity
    target: NegativeLogDensity

    def __init__(
        self, domain: Grid, f: Formula | ArrayLike, g: Formula | ArrayLike, *, interpolation: Interpolation = SPLINE
    ) -> None:
        if not isinstance(domain, (Torus, Box)):
            raise ValueError(f"domain={domain!r}: give a Torus or a Box; for points use Problem.from_samples")
        object.__setattr__(self, "domain", domain)
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
        return _assembled(domain, on_grid(self.source, domain), on_grid(self.target, domain))

    def swapped(self) -> Problem:
        """The problem with source and target exchanged: its flow is the Legendre dual (arXiv 2307.16421)."""
        return _assembled(self.domain, self.target, self.source)


def _assembled(domain: Grid, source: NegativeLogDensity, target: NegativeLogDensity) -> Problem:
    problem = object.__new__(Problem)
    for name, value in (("domain", domain), ("source", source), ("target", target)):
        object.__setattr__(problem, name, value)
    return problem


def _density(domain: Grid, f: Formula | ArrayLike, name: str, interpolation: Interpolation) -> NegativeLogDensity:
    return from_formula(domain, f, name) if callable(f) else from_samples(domain, f, name, interpolation)


def _minus_log(domain: Grid, density: Formula | ArrayLike, name: str) -> Formula | Array:
    if not callable(density):
        return negative_log(domain, density, name)
    negative_log(domain, np.broadcast_to(density(*domain.points), domain.shape), name)  # refuses zeros
    return lambda *points: -np.log(density(*points))
