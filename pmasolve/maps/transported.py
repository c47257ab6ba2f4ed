"""A solution of an optimal transport problem: the map, its cost with bounds, and what is asked of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from ..calculus.operators import Space
from ..machine.arrays import Array, number
from ..machine.speaking import count, drawn, page, sheet
from ..problems.densities import QUINTIC
from ..problems.outcomes import Outcome
from ..problems.points import PointsLike
from ..problems.problem import Problem, checked
from .certificates import Interval
from .displacement import Displacement, Move, Tabulated, push
from .exact import Simplex
from .newton import NewtonKrylov
from .semidual import SemiDual, semidual
from .semidual.c_transform import c_transform
from .semidual.interval import LEAST_GAP

DISCRETE = (
    "the measures of the nodes, Σ μ(x) h^d δ_x and Σ ν(y) h^d δ_y: rigorous in float64; of W₂ it differs from the densities' own "
    "by less than a cell's diagonal"
)
Method = NewtonKrylov | SemiDual | Simplex


@dataclass(frozen=True, eq=False)
class Transport:
    """The solution of an optimal transport problem.

    Attributes
    ----------
    problem : what was solved.
    potential : u, mean-free, on the grid; the map is the gradient of φ = |x|²/2 + u.
    space : how u is differentiated.
    w2_squared : W₂²: ∫|∇u|² dμ of a smooth map, the middle of the interval otherwise.
    residual : ∫|T_#μ − ν|, the marginal error of the plan before its repair otherwise.
    worst : sup |T_#μ − ν|; NaN otherwise.
    interval : bounds of W₂², and of which problem.
    min_eigenvalue : least eigenvalue of I + D²u, positive for a smooth map; NaN otherwise.
    outcome : named outcome with advice.
    method : the options of the method that ran: `NewtonKrylov` for smooth, `SemiDual` or `Simplex` for other maps.
    records : diagnostics of the steps, also of a method that gave up before.
    barycentre : E[y|x] of the plan, (dim, *shape); None for a smooth map.
    nodes : bounds of W₂² between the measures of the nodes, where the semi-dual ran but Newton's map is the nearer one; else None.
    spread : (E|y − barycentre|²)^½: where it is larger than some cells the mass of a node splits, so that no map is determined
        there and ``map`` is the mean of where it goes; of the order of a cell elsewhere.  None for a smooth map.
    coupling : of `Simplex`, the masses P(x, y) that go from node x to node y, by flat indices: a sparse (N, N) of sum 1, its rows
        one node's targets.  No more entries than nodes have mass, both sides together.  None for other methods.

    Examples
    --------
    >>> from pmasolve import Torus, transport
    >>> T = transport(Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y))
    >>> T.interval.lower <= T.w2_squared <= T.interval.upper, T([0.1, 0.4]).shape, T.map.shape
    (True, (2,), (1, 32))
    """

    problem: Problem
    potential: Array
    space: Space
    w2_squared: float
    residual: float
    worst: float
    interval: Interval
    min_eigenvalue: float
    outcome: Outcome
    method: Method
    records: Sequence[Mapping[str, float]]
    barycentre: Array | None = None
    spread: Array | None = None
    nodes: Interval | None = None
    coupling: csr_array | None = None

    def __repr__(self) -> str:
        return (
            f"<Transport on {self.problem.domain.words}: W₂ = {self.w2:.6g}, gap {self.gap:.2g}, {self.outcome.name}>"
        )

    def _repr_html_(self) -> str:
        return page(self)

    def summary(self) -> str:
        """Outcome with its advice, W₂ with its bounds and what they bound, errors, method, on a page of at most 80 columns."""
        i = self.interval
        return sheet(
            repr(self),
            {
                "outcome": self.outcome,
                "W₂": f"{self.w2:.10g}",
                "W₂²": f"{self.w2_squared:.10g} in [{i.lower:.10g}, {i.upper:.10g}], gap {i.gap:.2g}",
                "bounds of": i.problem,
                "nodes": self.nodes and f"W₂² of their masses in [{self.nodes.lower:.10g}, {self.nodes.upper:.10g}]",
                "residual": f"∫|T_#μ − ν| = {self.residual:.2g}",
                "convexity": None
                if np.isnan(self.min_eigenvalue)
                else f"least eigenvalue of D²φ {self.min_eigenvalue:.3g}",
                "method": f"{self.method!r}, {count(len(self.records), 'step')}",
            },
        )

    def plot(self, lines: int = 24) -> Any:
        """Source, target and the image of a mesh of ``lines`` lines along each axis; in 1D both densities and T(x) − x.

        Returns
        -------
        A matplotlib ``Figure``, not shown: notebooks show it, ``figure.savefig(path)`` keeps it.

        Raises
        ------
        ValueError : three dimensions.
        """
        return drawn(self, lines=lines)

    @property
    def w2(self) -> float:
        """W₂, the root of ``w2_squared``."""
        return float(np.sqrt(self.w2_squared))

    @property
    def gap(self) -> float:
        """(upper − lower)/lower of the interval; it speaks of ``interval.problem``."""
        return self.interval.gap

    @property
    def of_nodes(self) -> bool:
        """Whether the outcome is about the masses of the nodes, not about the densities as functions."""
        return self.nodes is not None or isinstance(self.method, (SemiDual, Simplex))

    def discrete(self, gap: float = 1e-3, *, progress: bool | None = None) -> Interval:
        """An interval for the measures of the nodes, rigorous in float64, whatever method ran.

        The one that is known where it is as narrow as asked for; else by the semi-dual from this potential: an exactly conjugate
        pair below, an explicit coupling above (`semidual.bounds`), as narrow as asked for where the grid allows: on coarse grids
        the least ε leaves some percent.
        Cost: that of the finest grid of `SemiDual`.

        Raises
        ------
        ValueError : a gap below 0.

        Examples
        --------
        >>> from pmasolve import Torus, transport
        >>> T = transport(Problem(Torus((64,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y))
        >>> T.discrete(gap=0.1).gap <= 0.1
        True
        """
        if not (gap := number(gap, "gap")) >= 0:
            raise ValueError(f"gap={gap}: the gap must be at least 0")
        known = self.nodes or (self.interval if self.of_nodes else Interval(0.0, np.inf, DISCRETE))
        if known.gap <= gap:
            return known
        mu, nu = np.exp(-checked(self.problem).f), np.exp(-self.problem.g)
        found = semidual(self.problem.domain, mu, nu, SemiDual(), max(gap, LEAST_GAP), progress, self.potential)
        return Interval(max(found.lower, known.lower), min(found.upper, known.upper), DISCRETE)

    @cached_property
    def map(self) -> Array:
        """T on the grid, (dim, *shape), on a torus not wrapped: x + ∇u, or the barycentre of the plan where u has kinks."""
        if self.barycentre is not None:
            return self.barycentre
        return self.problem.domain.displaced(self.space.on(self.problem.domain).gradient(self.potential))

    @property
    def undefined(self) -> Array:
        """Where the source has no mass, so that no map is determined there; ``map`` is x.  See also ``spread``."""
        return np.isposinf(self.problem.f)

    @cached_property
    def move(self) -> Move:
        """The map between the nodes: splines of order 6 for a smooth map, linear otherwise; `Displacement` takes others."""
        grid = checked(self.problem).domain
        if self.barycentre is None:
            return Displacement(grid, self.potential, self.space, QUINTIC)
        mu, nu = (measure.log_density > -np.inf for measure in (self.problem.mu, self.problem.nu))
        far = -4.0 * float(np.sum(np.square(grid.lengths)))  # nothing comes from a void or goes there
        v = c_transform(grid, np.where(mu, -self.potential, far))
        u = c_transform(grid, np.where(nu, v, far))
        forward, backward = (-self.space.on(grid).gradient(values) for values in (u, v))
        return Tabulated(grid, np.where(mu, self.barycentre - grid.points, forward), backward)

    def __call__(self, points: PointsLike) -> Array:
        """T at points (n, dim), a `Cloud` or a field (dim, *shape), given back as they are; on a torus not wrapped.

        Raises
        ------
        ValueError : (dim, n), an ambiguous (dim, dim) for dim ≥ 2, other shapes, coordinates that are not finite.
        """
        return self.move(points)

    def inverse(self, points: PointsLike) -> Array:
        """T⁻¹, the optimal map back, at points (n, dim), a `Cloud` or a field (dim, *shape), given back as they are.

        By Newton's method, NaN where that fails; by the gradient of the conjugate potential where u has kinks.
        """
        return self.move.inverse(points)

    def push(self, image: ArrayLike, s: float = 1.0) -> Array:
        """An image (values on the grid) carried along by (1−s) id + sT, s finite: the sum of the values is kept.

        Raises
        ------
        ValueError : an image of another shape or that is not finite, an s that is no finite number.
        """
        if not np.isfinite(number(s, "s")):
            raise ValueError(f"s={s}: give a finite number, 0 for the image as it is and 1 for the target's")
        return push(self.move, self.problem.domain.values(image, "image"), float(s))

    def interpolate(self, s: float) -> Array:
        """McCann's interpolation ρ_s on the grid: the density of ((1−s) id + sT)_# μ, 0 ≤ s ≤ 1.

        Of a smooth map μ / det(I + sD²u) at the point that is sent there, to the accuracy of the splines; else by `push` from both
        ends, the source's share 1 − s and the target's s, so that ρ₀ = μ and ρ₁ = ν.
        """
        if not 0 <= number(s, "s") <= 1:
            raise ValueError(f"s={s}: the path runs from 0 (the source) to 1 (the target)")
        if not isinstance(self.move, Displacement):
            forth, back = self.push(np.exp(-self.problem.f), s), push(self.move.back, np.exp(-self.problem.g), 1.0 - s)
            return (1.0 - s) * forth + s * back
        x = self.move.inverse(self.problem.domain, s)
        return np.exp(-self.problem.source(x)) / np.linalg.det(np.moveaxis(self.move.jacobian(x, s), (0, 1), (-2, -1)))
