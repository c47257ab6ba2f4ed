"""Measures on nodes, by their log-densities: densities on a grid and weighted points in one form."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from ..machine.arrays import Array, shown
from .densities import Function, Interpolation, PointFunction, from_density_formula, from_density_samples
from .grids import Cloud, Grid


@dataclass(frozen=True, eq=False)
class Measure:
    """A probability measure on nodes: exp(log_density) times the weight ``cell`` that the quadrature gives every node.

    On a grid log_density = −f and ``cell`` = h^d; on a cloud log_density = log weights (−inf for none) and ``cell`` = 1.
    """

    nodes: Grid | Cloud
    log_density: Array = field(repr=False)
    cell: float

    def integral(self, values: Array) -> float:
        """∫ values dμ; nodes without mass do not count, whatever their value."""
        return self.total(self.weighted(values))

    def weighted(self, values: Array, out: Array | None = None) -> Array:
        """Values times the density at the nodes, 0 at nodes without mass, in ``out`` if given, which may be the values."""
        kept = values if self.positive else np.where(self.mass > 0, values, 0.0)
        return np.multiply(self.mass, kept, out=out)

    def total(self, terms: Array) -> float:
        """The sum of terms over the nodes times the weight of a node: of `weighted` values the integral."""
        return self.nodes.summed(float(np.sum(terms))) * self.cell

    @property
    def vanishes(self) -> bool:
        """Whether some nodes have no mass."""
        return bool(self.nodes.most(float(np.isneginf(self.log_density).any())))

    @cached_property
    def mass(self) -> Array:
        """The density at the nodes, of which ``cell`` times the sum is 1."""
        return np.exp(self.log_density)

    @cached_property
    def positive(self) -> bool:
        """Whether every node has mass."""
        return bool(np.all(self.mass > 0))


@dataclass(frozen=True)
class Unknown:
    """The negative log-density of samples: not known, so that asking for it is a ``ValueError``."""

    name: str

    def __call__(self, points: Array) -> Array:
        raise ValueError(
            f"the density of the {self.name} is not known: the problem was made from samples, which carry weights only; "
            "use Sinkhorn in the plain or the self gauge, or estimate densities on a grid and use Problem.from_densities"
        )


def counted(cloud: Cloud) -> Measure:
    """The measure of a cloud's weights."""
    with np.errstate(divide="ignore"):
        return Measure(cloud, np.log(cloud.weights), 1.0)


def measure_words(measure: Measure) -> str:
    """What varies over the nodes of a measure, and how far."""
    values = np.exp(measure.log_density)
    nodes, low, high = measure.nodes, float(values.min()), float(values.max())
    return f"{nodes.measured} from {nodes.least(low):.3g} to {nodes.most(high):.3g}"


def from_density(domain: Grid, density: PointFunction | ArrayLike, name: str, interpolation: Interpolation) -> Function:
    """−log of a density ≥ 0, a formula or values on the grid, normalised."""
    if callable(density):
        return from_density_formula(domain, density, name)
    return from_density_samples(domain, density, name, interpolation)


def semi_discrete(
    domain: Grid,
    mu: PointFunction | ArrayLike | Cloud,
    nu: PointFunction | ArrayLike | Cloud,
    interpolation: Interpolation,
) -> tuple[Cloud, Cloud, Function, Function]:
    """Points of both sides and their densities, of which one is unknown.

    Raises
    ------
    ValueError : samples on both sides, or of another space than the grid's.
    """
    if isinstance(mu, Cloud) and isinstance(nu, Cloud):
        raise ValueError("mu and nu are both samples: use Problem.from_samples(x, y), which needs no grid")
    clouds, densities = [], []
    for given, name in ((mu, "source"), (nu, "target")):
        if isinstance(given, Cloud):
            clouds.append(_in_space_of(given, domain, name))
            densities.append(Function(domain.dim, Unknown(name)))
        else:
            densities.append(from_density(domain, given, name, interpolation))
            clouds.append(_quadrature(domain, densities[-1]))
    return (*clouds, *densities)


def _quadrature(domain: Grid, density: Function) -> Cloud:
    """A density as weighted points: the nodes of its grid, with the masses of the quadrature; on a torus with its periods.

    A box has no walls here: its nodes stand for a density in ℝᵈ, and points outside of it are points like others.
    """
    columns = domain.placed().columns
    return Cloud(columns.T, np.exp(-density.at(columns)) * domain.cell, _period(domain))


def _in_space_of(samples: Cloud, domain: Grid, name: str) -> Cloud:
    """Samples in the space of a grid: with the periods of a torus.

    Raises
    ------
    ValueError : another dimension; periods other than those of the torus, or any with a box.
    """
    if samples.dim != domain.dim:
        raise ValueError(f"{name} has points of dimension {samples.dim}, the grid {domain.dim}: they must agree")
    period = _period(domain)
    if samples.period not in (None, period):
        raise ValueError(
            f"{name} has period={shown(samples.period)}, the grid {shown(period)}: leave it out, the grid tells it"
        )
    return Cloud(samples.points, samples.weights, period)


def _period(domain: Grid) -> tuple[float, ...] | None:
    return None if domain.reflects else domain.lengths
