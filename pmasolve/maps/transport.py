"""The optimal map between two densities on a torus or a box, its cost, and a certificate of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from ..calculus.differences import FiniteDifference
from ..calculus.operators import Fourier, Space
from ..machine.arrays import Array, having, number, shown
from ..machine.progress import progress_bar
from ..machine.speaking import count, drawn, page, sheet
from ..problems.grids import Grid
from ..problems.outcomes import INTERRUPTED, REACHED, UNRESOLVED, Outcome
from ..problems.points import Points
from ..problems.problem import Problem, checked
from .certificates import Certificate, Interval, certify, splitting, walled
from .displacement import QUINTIC, Displacement, Move, Tabulated, push
from .exact import Simplex, between_nodes
from .newton import NewtonKrylov, Solution, newton
from .semidual import SemiDual, semidual
from .semidual.c_transform import c_transform

FOURIER = Fourier()
DISCRETE = (
    "the measures of the nodes, Σ μ(x) h^d δ_x and Σ ν(y) h^d δ_y: rigorous in float64; of W₂ it differs from the densities' own "
    "by less than a cell's diagonal"
)
NEARER = 0.5  # of the root of `splitting`: the error of a map by Newton that is better than the semi-dual's, which jumps by cells
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
    >>> from pmasolve import Torus
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

        By the semi-dual from this potential: an exactly conjugate pair below, an explicit coupling above (`semidual.bounds`).  As
        narrow as asked for where the grid allows: on coarse grids the least ε leaves some percent.
        Cost: that of the finest grid of `SemiDual`.

        Examples
        --------
        >>> from pmasolve import Torus
        >>> T = transport(Problem(Torus((64,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y))
        >>> T.discrete(gap=0.1).gap <= 0.1
        True
        """
        mu, nu = np.exp(-self.problem.f), np.exp(-self.problem.g)
        found = semidual(self.problem.domain, mu, nu, SemiDual(), gap, progress, self.potential)
        return Interval(found.lower, found.upper, DISCRETE)

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
        grid = self.problem.domain
        if self.barycentre is None:
            return Displacement(grid, self.potential, self.space, QUINTIC)
        mu, nu = (measure.log_density > -np.inf for measure in (self.problem.mu, self.problem.nu))
        far = -4.0 * float(np.sum(np.square(grid.lengths)))  # nothing comes from a void or goes there
        v = c_transform(grid, np.where(mu, -self.potential, far))
        u = c_transform(grid, np.where(nu, v, far))
        forward, backward = (-self.space.on(grid).gradient(values) for values in (u, v))
        return Tabulated(grid, np.where(mu, self.barycentre - grid.points, forward), backward)

    def __call__(self, points: Points) -> Array:
        """T at points (n, dim), a `Cloud` or a field (dim, *shape), given back as they are; on a torus not wrapped.

        Raises
        ------
        ValueError : (dim, n), an ambiguous (dim, dim) for dim ≥ 2, other shapes, coordinates that are not finite.
        """
        return self.move(points)

    def inverse(self, points: Points) -> Array:
        """T⁻¹, the optimal map back, at points (n, dim), a `Cloud` or a field (dim, *shape), given back as they are.

        By Newton's method, NaN where that fails; by the gradient of the conjugate potential where u has kinks.
        """
        return self.move.inverse(points)

    def push(self, image: ArrayLike, s: float = 1.0) -> Array:
        """An image (values on the grid) carried along by (1−s) id + sT: the sum of the values is kept."""
        return push(self.move, self.problem.domain.values(image, "image"), s)

    def interpolate(self, s: float) -> Array:
        """McCann's interpolation ρ_s on the grid: the density of ((1−s) id + sT)_# μ, 0 ≤ s ≤ 1.

        Of a smooth map μ / det(I + sD²u) at the point that is sent there, to the accuracy of the splines; else by `push` from both
        ends, the source's share 1 − s and the target's s, so that ρ₀ = μ and ρ₁ = ν.
        """
        if not 0 <= s <= 1:
            raise ValueError(f"s={s}: the path runs from 0 (the source) to 1 (the target)")
        if not isinstance(self.move, Displacement):
            forth, back = self.push(np.exp(-self.problem.f), s), push(self.move.back, np.exp(-self.problem.g), 1.0 - s)
            return (1.0 - s) * forth + s * back
        x = self.move.inverse(self.problem.domain, s)
        return np.exp(-self.problem.source(x)) / np.linalg.det(np.moveaxis(self.move.jacobian(x, s), (0, 1), (-2, -1)))


def transport(
    problem: Problem,
    *,
    space: Space = FOURIER,
    gap: float = 1e-3,
    tolerance: float = 1e-12,
    method: Method | None = None,
    progress: bool | None = None,
) -> Transport:
    """The optimal transport map from e^{−f} to e^{−g} for the cost |x−y|², periodic on a torus.

    Solves e^{−f} = e^{−g(x+∇u)} det(I + D²u), the steady state of `MongeAmpere`.

    Parameters
    ----------
    problem : densities on a torus or a box, 1, 2 or 3 dimensions.
    space : `Fourier()`, or `FiniteDifference(order)` for errors of that order.
    gap : relative width of the certified interval of W₂² that counts as solved; one narrower than `certificates.splitting`, which
        the spacing leaves open, does too: ``outcome`` says so.  0: the optimum between the masses of the nodes, by `Simplex`.
    tolerance : of Newton's method, on ∫|μ − ν(x+∇u) det(I+D²u)|.
    method : `NewtonKrylov(…)` for smooth, positive densities, `SemiDual(…)` for any, `Simplex(…)` for any to the last digit.
        Unless given Newton is tried first, and one of the others where a density vanishes or that interval is wider: the simplex
        between few nodes (1600 of a side) and where the semi-dual does not reach the gap, if POT is installed.  Newton's map is
        kept, with the interval of the nodes in ``T.nodes``, where it is about nearer to that of the densities than cells let the
        others' be.  ``T.method`` tells.
    progress : show a bar; by default on a terminal, once two seconds have passed.

    Returns
    -------
    `Transport`: the map, its cost with bounds, and how it ended.

    Raises
    ------
    ValueError : samples instead of densities, Newton for a density that vanishes, a gap below 0, a tolerance that is not positive.
    ModuleNotFoundError : gap=0 or `Simplex` without POT, ``pip install 'pmasolve[exact]'``.

    Notes
    -----
    Nothing is raised when a method fails: see ``outcome``, ``gap`` and ``residual``.
    The interval of a smooth map speaks of the densities, that of the semi-dual of the measures on the nodes.
    Cost: for densities that a coarse grid resolves, some 60 transforms of the finest grid; memory about 20 arrays of the grid.
    In a box, for densities with slopes at the walls, those of the certificate have 2²⁰ points or 3.4 times those of the grid.

    References
    ----------
    Loeper, Rapetti, C. R. Acad. Sci. Paris 340 (2005); the bound: Peyre, arXiv 1104.4631.

    Examples
    --------
    >>> from pmasolve import Torus
    >>> problem = Problem(Torus((64, 64)), lambda x, y: 0.5 * np.cos(2 * np.pi * x), lambda x, y: 0.5 * np.sin(2 * np.pi * (x + y)))
    >>> T = transport(problem)
    >>> T.outcome.name, T.gap < 1e-8, T.map.shape
    ('reached', True, (2, 64, 64))
    """
    _check_request(problem, space, gap, tolerance, method)
    if isinstance(method, (SemiDual, Simplex)) or (method is None and (problem.vanishing or gap == 0)):
        return _rough(problem, gap, method, progress)
    if method is not None:
        problem.need_positive("Newton's method")
    T, error = _newton(problem, space, gap, tolerance, method or NewtonKrylov(), progress)
    if method is not None or T.outcome.ok or T.outcome == INTERRUPTED:
        return T
    rough = _rough(problem, gap, None, progress, T.records)
    if error <= NEARER * np.sqrt(splitting(problem.domain)):
        return replace(T, nodes=rough.interval, outcome=_beside(T, rough, gap) if rough.outcome.ok else T.outcome)
    return T if not rough.outcome.ok and T.gap < rough.gap else rough


def _newton(
    problem: Problem, space: Space, gap: float, tolerance: float, settings: NewtonKrylov, progress: bool | None
) -> tuple[Transport, float]:
    with progress_bar("Newton", -np.log10(tolerance), progress, "digits") as show:

        def watch(record: Mapping[str, float]) -> None:
            show(-np.log10(record["defect"] + 1e-300), record)

        return _smooth(problem, space, gap, settings, newton(problem, space, tolerance, settings, watch))


def _rough(
    problem: Problem,
    gap: float,
    method: SemiDual | Simplex | None,
    progress: bool | None,
    before: Sequence[Mapping[str, float]] = (),
) -> Transport:
    """By what is certified by itself: the semi-dual or the simplex."""
    grid, mu = problem.domain, np.exp(-problem.f)
    found, settings = between_nodes(grid, mu, np.exp(-problem.g), gap, method, progress)
    return Transport(
        problem,
        found.potential,
        FiniteDifference(2),
        0.5 * (found.lower + found.upper),
        found.residual,
        np.nan,
        Interval(found.lower, found.upper, DISCRETE),
        np.nan,
        found.outcome,
        settings,
        (*before, *found.records),
        np.where(mu > 0, found.barycentre, grid.points),
        np.where(mu > 0, found.spread, 0.0),
        coupling=found.coupling,
    )


def _check_request(problem: Problem, space: Space, gap: float, tolerance: float, method: Method | None) -> None:
    if not checked(problem).has_densities:
        raise ValueError(
            "samples carry weights but no density: estimate densities on a grid (Problem.from_densities), or use schroedinger"
        )
    having(space, "on", "space", "give Fourier(), or FiniteDifference(order)")
    if not (method is None or isinstance(method, (NewtonKrylov, SemiDual, Simplex))):
        raise ValueError(f"method={shown(method)}: give NewtonKrylov(), SemiDual(), Simplex(), or None for all in turn")
    if not (number(gap, "gap") >= 0 and 0 < number(tolerance, "tolerance") < 1):
        raise ValueError(
            f"gap={gap}, tolerance={tolerance}: the gap must be at least 0, the tolerance positive and below 1"
        )
    if gap == 0 and isinstance(method, (NewtonKrylov, SemiDual)):
        raise ValueError("gap=0: that needs an optimal coupling; give method=Simplex(), or None")


def _smooth(
    problem: Problem, space: Space, gap: float, settings: NewtonKrylov, found: Solution
) -> tuple[Transport, float]:
    """What Newton found, certified, and the estimated error of the map where that was needed."""
    level, state, outcome, records = found.level, found.state, found.outcome, found.records
    u, series = level.values, (level.transform, level.coefficients)
    mu = walled(problem.domain, np.exp(-problem.f))
    cost = float(np.sum(np.sum(level.operators.gradient(u) ** 2, axis=0) * mu) / np.sum(mu))
    del found, level, mu  # some fifteen arrays of the grid, as many as the certificate needs
    certificate = certify(problem, series, cost, gap)
    T = Transport(
        problem,
        u,
        space,
        cost,
        state.l1,
        state.sup,
        certificate.interval,
        certificate.min_eigenvalue,
        _judged(outcome, certificate, gap, cost, problem.domain),
        settings,
        records,
    )
    return T, certificate.error


def _judged(outcome: Outcome, certificate: Certificate, gap: float, cost: float, grid: Grid) -> Outcome:
    """Newton's outcome in the light of the certificate."""
    interval, open_ = certificate.interval, splitting(grid)
    identity = max(1e2 * cost, interval.upper) < 1e-18 * float(np.sum(np.square(grid.lengths)))
    if interval.gap <= gap or identity:
        if outcome.ok:
            return REACHED
        return Outcome(
            "within the gap", True, f"Newton: {outcome}; the interval is as narrow as asked for all the same"
        )
    if interval.lower > 0 and interval.upper - interval.lower <= open_:
        return _within_the_grid(interval, gap, open_)
    return outcome if not outcome.ok else _unresolved(interval, gap)


def _within_the_grid(interval: Interval, gap: float, open_: float) -> Outcome:
    return Outcome(
        "within the grid",
        True,
        f"certified gap {interval.gap:.2g} > {gap:.2g}, yet narrower than Σh²/6 = {open_:.2g}, by which W₂² between the masses of "
        "nodes is larger; refine the grid for a narrower one, or take SemiDual() for the masses of the nodes",
    )


def _beside(T: Transport, rough: Transport, gap: float) -> Outcome:
    """Newton's map with the semi-dual's interval."""
    return Outcome(
        "nodes within the gap",
        True,
        f"W₂² between the masses of the nodes is certified, gap {rough.gap:.2g} ≤ {gap:.2g}; that of the densities to {T.gap:.2g} "
        f"only ({T.outcome.name}); the map is Newton's for the densities; refine the grid for a narrower interval",
    )


def _unresolved(interval: Interval, gap: float) -> Outcome:
    return UNRESOLVED.advising(
        f"the equation holds at the nodes but not between them: certified gap {interval.gap:.2g} > {gap:.2g}; refine the grid",
    )
