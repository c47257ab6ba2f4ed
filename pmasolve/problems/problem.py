"""Problem: two densities e^{−f} and e^{−g} on one domain, two weighted clouds of points, or one of each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from ..machine.arrays import Array, shown
from ..machine.speaking import sheet
from .densities import (
    Function,
    Interpolation,
    PointFunction,
    Spline,
    from_formula,
    given_on_nodes,
    on_grid,
    with_samples,
)
from .grids import Box, Cloud, Grid, Torus
from .measures import Measure as Measure
from .measures import Unknown as Unknown
from .measures import counted, from_density, measure_words, semi_discrete

SPLINE = Spline()


@dataclass(frozen=True, eq=False)
class Problem:
    """Transport e^{−f} on x to e^{−g} on y, both normalised to probability densities on ``domain``.

    Parameters
    ----------
    domain : the torus or the box, with its grid.
    f, g : vectorised callables f(x, y, …), negative log-densities up to any constant; or arrays of their values on
        the grid.
    interpolation : how arrays are evaluated off the grid: `Spline(5)` unless given, or `problems.interpolation.Spectral()`.

    Attributes
    ----------
    source, target : f and g, normalised, as functions of any points: (n, dim) gives (n,), a field (dim, *shape) its shape.
    f, g : their values on the grid, shape ``domain.local``, with ∑ e^{−f} h^d = 1.
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
    source: Function
    target: Function

    def __init__(
        self,
        domain: Grid,
        f: PointFunction | ArrayLike,
        g: PointFunction | ArrayLike,
        *,
        interpolation: Interpolation = SPLINE,
    ) -> None:
        checked_grid(domain)
        object.__setattr__(self, "domain", domain)
        object.__setattr__(self, "codomain", domain)
        source, values = _density(domain, f, "f", interpolation)
        object.__setattr__(self, "source", source)
        target, given = _density(domain, g, "g", interpolation)
        object.__setattr__(self, "target", target)
        # the cached properties: values on the nodes, which are finite, or there were an error
        vars(self).update(f=values, vanishing=False, **({} if callable(g) else {"g": given}))

    @classmethod
    def from_densities(
        cls,
        domain: Grid,
        mu: PointFunction | ArrayLike | Cloud,
        nu: PointFunction | ArrayLike | Cloud,
        *,
        interpolation: Interpolation = SPLINE,
    ) -> Problem:
        """The problem of two densities ≥ 0, arrays on the grid or callables, of any positive mass; or of a density and samples.

        One of the two may be samples, ``Cloud(y)`` or ``Cloud(y, weights)``: semi-discrete transport.  The density then stands as
        weighted points, the nodes of the grid (spacing h ≲ √ε) with the masses of its quadrature; potentials on its side have the
        shape (domain.size,).  On a torus the samples take its periods; a box is a window of ℝᵈ, without walls, and samples may lie
        outside.  Sinkhorn in the plain and the self gauge, `schroedinger`, plans and `choose_eps` (which halves the samples alone)
        take such problems; files keep the weighted points.

        Array-valued densities are composed with x + ∇u by ``interpolation`` of −log ν, splines of degree 5 (order 6) unless given.
        Where a density vanishes f or g is +∞ and ``vanishing`` is True: `transport` and Sinkhorn in the plain gauge take that,
        flows that need log-densities everywhere (`MongeAmpere`, the symmetric and the forward gauge) refuse it.

        Raises
        ------
        ValueError : a density that is negative or not finite somewhere, or zero everywhere; samples on both sides, of another
            dimension or of other periods.

        Examples
        --------
        >>> problem = Problem.from_densities(Torus((8,)), np.ones(8), lambda y: 2 + np.sin(2 * np.pi * y))
        >>> bool(np.all(problem.f == 0))
        True
        >>> Problem.from_densities(Box((32,)), lambda x: 1 + x, Cloud([[0.2], [0.9]]))
        <Problem: a density and samples, 32 points in 1 dimension and 2 points in 1 dimension>
        """
        checked_grid(domain)
        if isinstance(mu, Cloud) or isinstance(nu, Cloud):
            return assembled(*semi_discrete(domain, mu, nu, interpolation))
        source, target = (from_density(domain, d, name, interpolation) for d, name in ((mu, "mu"), (nu, "nu")))
        arrays = {at: (d, name) for at, d, name in (("f", mu, "mu"), ("g", nu, "nu")) if not callable(d)}
        values = {at: given_on_nodes(domain, *given) for at, given in arrays.items()}
        return assembled(domain, domain, source, target, **values)

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
        Samples have no density: flows that need f or g (MongeAmpere, the symmetric and the forward gauge of Sinkhorn) refuse them.

        Examples
        --------
        >>> problem = Problem.from_samples([[0.0], [1.0], [2.0]], [[0.5], [1.5]], b=[1, 3])
        >>> problem.domain.size, problem.nu.integral(np.array([0.0, 1.0]))
        (3, 0.75)
        """
        source, target = _cloud(x, a, period, "x, a"), _cloud(y, b, period, "y, b")
        if source.dim != target.dim:
            raise ValueError(f"x has dimension {source.dim}, y has {target.dim}: both need the same number of columns")
        f, g = (Function(source.dim, Unknown(name)) for name in ("source", "target"))
        return assembled(source, target, f, g)

    def __repr__(self) -> str:
        if self.has_densities:
            return f"<Problem: two densities on {self.domain.words}>"
        between = f"{self.domain.words} and {self.codomain.words}"
        kinds = ["samples" if sampled else "a density" for sampled in self.sampled]
        return f"<Problem: {'samples' if all(self.sampled) else ' and '.join(kinds)}, {between}>"

    def summary(self) -> str:
        """What is given, on a page of at most 80 columns: the nodes, and how far the densities or the weights vary.

        Examples
        --------
        >>> print(Problem.from_samples([[0.0], [1.0]], [[0.5]]).summary())
        Problem: samples, 2 points in 1 dimension and 1 point in 1 dimension
          source  2 points in 1 dimension, masses from 0.5 to 0.5
          target  1 point in 1 dimension, masses from 1 to 1
        """
        measures = {"source": measure_words(self.mu), "target": measure_words(self.nu)}
        return sheet(repr(self), {**self.domain.facts, **measures})

    @property
    def has_densities(self) -> bool:
        """Whether f and g are known, and live on a grid: not for samples."""
        return not any(self.sampled)

    @property
    def sampled(self) -> tuple[bool, bool]:
        """Whether source and target are samples, whose densities are not known."""
        return isinstance(self.source.at, Unknown), isinstance(self.target.at, Unknown)

    @property
    def extent(self) -> float:
        """Length over which mass can move: half a period, a side, or the spread of both clouds."""
        return self.domain.extent(self.codomain)  # pyright: ignore[reportArgumentType]  # both are grids, or both clouds

    @cached_property
    def mu(self) -> Measure:
        """The source as a measure on the nodes of ``domain``."""
        return Measure(self.domain, -self.f, self.domain.cell) if self.has_densities else counted(self.domain)

    @cached_property
    def nu(self) -> Measure:
        """The target as a measure on the nodes of ``codomain``."""
        return Measure(self.codomain, -self.g, self.codomain.cell) if self.has_densities else counted(self.codomain)

    @cached_property
    def f(self) -> Array:
        """f at the nodes of the source, of their shape."""
        return self.source(self.domain)

    @cached_property
    def g(self) -> Array:
        """g at the nodes of the target, of their shape."""
        return self.target(self.codomain)

    @cached_property
    def vanishing(self) -> bool:
        """Whether one of the measures gives no mass to some of its nodes: f or g is +∞ there."""
        if self.has_densities:  # without the measures, which hold arrays of their own
            return self.domain.most(max(float(self.f.max()), float(self.g.max()))) == np.inf
        return any(measure.vanishes for measure in (self.mu, self.nu))

    def need_positive(self, purpose: str) -> None:
        """Raise ``ValueError`` if a density vanishes: ``purpose`` says who needs log-densities everywhere."""
        # in this order, and g is not kept: flows that go by formulas never ask for it again
        f, g = self.f, self.target.at(self.codomain.points)
        for values, name in ((f, "mu"), (g, "nu")):
            if (bad := int(self.domain.summed(float(np.count_nonzero(np.isposinf(values)))))) > 0:
                raise ValueError(
                    f"{name} has {bad} values ≤ 0 (least 0): {purpose} needs a positive density; "
                    f"add a floor, for example {name} + 1e-3·max({name})"
                )

    def on(self, domain: Grid) -> Problem:
        """The problem of these densities on another grid of the domain, normalised by its quadrature."""
        if domain == self.domain:
            return self
        source, f = on_grid(self.source, domain)  # evaluated for the mass anyway
        return assembled(domain, domain, source, on_grid(self.target, domain)[0], f=f)

    def swapped(self) -> Problem:
        """The problem with source and target exchanged: its flow is the Legendre dual (arXiv 2307.16421)."""
        values = {at: vars(self)[of] for at, of in (("f", "g"), ("g", "f")) if of in vars(self)}
        return assembled(self.codomain, self.domain, self.target, self.source, **values)


def assembled(
    domain: Grid | Cloud, codomain: Grid | Cloud, source: Function, target: Function, **values: Array
) -> Problem:
    """A problem from its parts, which are taken as they are, and the ``f`` or ``g`` of its nodes where they are known."""
    problem = object.__new__(Problem)
    for name, value in (("domain", domain), ("codomain", codomain), ("source", source), ("target", target)):
        object.__setattr__(problem, name, value)
    vars(problem).update(values)  # of the cached properties
    return problem


def checked(problem: Problem, shared: bool = False) -> Problem:
    """The problem, where it is one; on a domain in slabs only where the caller can be ``shared`` among ranks.

    Raises
    ------
    ValueError : it is something else, or in slabs.
    """
    if not isinstance(problem, Problem):
        raise ValueError(f"problem={shown(problem)}: give a Problem of densities on a grid, or Problem.from_samples")
    if not (shared or problem.domain.whole):
        raise ValueError(
            f"{problem}: in slabs there are transport by Newton's method, Sinkhorn and MongeAmpere; for the rest give "
            "one process the whole grid"
        )
    return problem


def _cloud(points: ArrayLike, weights: ArrayLike | None, period: float | tuple[float, ...] | None, name: str) -> Cloud:
    try:
        return Cloud(points, weights, period)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _density(domain: Grid, f: PointFunction | ArrayLike, name: str, by: Interpolation) -> tuple[Function, Array]:
    """A function and its values on the nodes."""
    return from_formula(domain, f, name) if callable(f) else with_samples(domain, f, name, by)


def checked_grid(domain: Grid, name: str = "domain") -> Grid:
    """The grid, where it is one.

    Raises
    ------
    ValueError : it is something else.
    """
    if not isinstance(domain, (Torus, Box)):
        raise ValueError(f"{name}={shown(domain)}: give a Torus or a Box; for points use Problem.from_samples")
    return domain
