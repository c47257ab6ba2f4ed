"""What is proved about a potential: an interval for W₂² and the errors of the push-forward.

With T = x + ∇u, J = I + D²u positive definite, r = μ − ν(T) det J and A = ν(T) cof J:

* T is the optimal map from μ to T_#μ, so that W₂(μ, T_#μ)² = ∫|∇u|² dμ exactly, and |W₂(μ, ν) − (∫|∇u|² dμ)^½| ≤ W₂(T_#μ, ν);
* W₂(T_#μ, ν) ≤ 2 (sup λ_max(J) ∫rδ)^½ with −div(A∇δ) = r, from W₂(a, b) ≤ 2‖a − b‖_{Ḣ⁻¹(b)} (Peyre, arXiv 1104.4631) and y = T(x);
* ∫rδ ≤ ‖r‖²_{Ḣ⁻¹} / inf λ_min(A), and for any approximate δ with residual q: ∫rδ ≤ ⟨r, δ⟩ + ‖q‖²_{Ḣ⁻¹} / inf λ_min(A).

Densities need not be flat at the walls of a box, where the midpoint rule then errs by h²/24 of their slope.  `walled` takes that
off: masses, the cost and r are of order h⁴.  What two grids disagree in, and the mass that r has too much, is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import scipy.fft
from numba import njit

from ..calculus.operators import Fourier, eigenvalues_over
from ..calculus.series import Amplitudes
from ..calculus.transforms import Transform, transform_of
from ..machine.arrays import Array
from ..machine.exponentials import exp_minus
from ..problems.clouds import FARTHEST
from ..problems.densities import Function, Shifted
from ..problems.grids import Grid
from ..problems.problem import Problem, assembled
from .level import Level, NewtonState

CONTINUOUS = (
    "the densities e^(−f) and e^(−g) as functions on the domain (samples: their interpolants); norms and integrals by quadrature "
    "on a second grid, whose nodes fall between those of the first"
)
COARSEST_CERTIFICATE = 32  # points of an axis of the coarsest grid for a certificate
LOST = 1e-7  # of the gap asked for: what a coarser grid may take from ∇u, relative
RESOLVED = (
    64  # points of an axis that the certificate's grid has at least, unless the potential's has less than half of them
)
SLOPE = np.array([-71.0, 141.0, -93.0, 23.0]) / 24  # h times the slope at a wall, from the four midpoints beside it
LARGE = 1 << 17  # points of a certificate, above which it is not twice as fine as the potential's grid
FAR_OFF = 10.0  # roots of `splitting`: a solve that leaves a larger error, and W₂ no lower bound, is spared
NARROW_ENOUGH = 1e-5  # of the gap asked for: an interval that needs no finer grid
WALLED = 0.02  # the same in boxes, where doubt about masses falls like h⁴ only


@dataclass(frozen=True)
class Interval:
    """Bounds of W₂² (cost |x−y|², not half of it) and the problem that they are proved for."""

    lower: float
    upper: float
    problem: str

    @property
    def gap(self) -> float:
        """(upper − lower)/lower; infinite where the lower bound is 0, unless the upper one is too."""
        if self.lower > 0:
            return (self.upper - self.lower) / self.lower
        return 0.0 if self.upper == 0 else float("inf")


LARGEST_LOG = 700.0  # logarithm of a density
NOTHING = Interval(0.0, float("inf"), CONTINUOUS)


@dataclass(frozen=True)
class Certificate:
    """Interval, the least eigenvalue of I + D²u on the certificate's grid, and an estimate of the map's error in L²(μ).

    The estimate is Newton's next step, (∫|∇δ|² dμ)^½; ∞ where the interval was narrow without it, or could not be with it.
    """

    interval: Interval
    min_eigenvalue: float
    error: float = np.inf


def certify(problem: Problem, series: tuple[Transform, Amplitudes], cost: float, gap: float) -> Certificate:
    """Certify a potential on the problem's grid, given by its trigonometric series, whose cost there is ``cost``.

    The residual is not looked at on the grid itself, where a solver may have made it vanish, but on one of 9/8 as many points
    along each axis: what the grid does not resolve shows there.  Any convex potential has an interval, also this one without its
    highest modes.  So where coarser grids hold ∇u the work is done there, from the coarsest up, until the interval is narrow
    or no longer changes: for smooth densities at no cost to speak of.  On the finest grid: one residual and, where the bound is
    not below ``gap`` without a linear solve, some ten conjugate-gradient iterations; none where W₂ would have no lower bound even
    by ∫rδ ≥ ‖r‖²_{Ḣ⁻¹} / sup λ_max(A).
    """
    masses = _own_masses(problem)
    found, narrow = None, (WALLED if problem.domain.reflects else NARROW_ENOUGH) * gap
    for grid in reversed(_sufficient(problem.domain, series, LOST * gap * np.sqrt(cost))):
        before, found = found, _on_finer_grid(problem, masses, grid, _resolved_modes(series, grid), cost, gap)
        if found.interval.gap <= narrow or (before and _agree(before.interval, found.interval)):
            break
    assert found is not None
    return found


def _own_masses(problem: Problem) -> list[float]:
    """Of both densities on the problem's nodes, to order h⁴: 1 without walls, to which their quadrature has normalised them."""
    walls = problem.domain.offset
    return [measured(problem.domain, f)[1] for f in (problem.f, problem.g)] if walls else [1.0, 1.0]


def _sufficient(grid: Grid, series: tuple[Transform, Amplitudes], tolerance: float) -> list[Grid]:
    """The grid, and those of half the points again and again while the L² norm of ∇u that is lost is within."""
    grids = [grid]
    while min(grids[-1].shape) >= 2 * COARSEST_CERTIFICATE:
        grids.append(replace(grid, shape=tuple((n + 1) // 2 for n in grids[-1].shape)))
    lost = np.cumsum(grid.summed(squares_of_gradient(grids, *series))[:-1]) / grid.size
    return grids[: 1 + int(np.count_nonzero(lost <= tolerance**2))]


def _resolved_modes(series: tuple[Transform, Amplitudes], grid: Grid) -> tuple[Transform, Amplitudes]:
    """The modes that a coarser grid resolves."""
    transform, coefficients = series
    if grid == transform.grid:
        return series
    coarse = transform_of(grid)
    return coarse, transform.refined(coefficients, grid, coarse.zeros())


def squares_of_gradient(grids: Sequence[Grid], transform: Transform, coefficients: Amplitudes) -> Array:
    """∑|∇u|² over the nodes of the first grid, of the modes for each of the grids, each coarser, that is the last to have them."""
    columns = coefficients.shape[-1]
    squares, last = [], []
    for j, k in enumerate(transform.wavenumbers):
        squares.append(k**2)
        last.append(sum(np.abs(k) * grid.spacing[j] < np.pi * (1 - 1e-9) for grid in grids[1:]) + np.zeros_like(k, int))
    rows = np.broadcast_to(sum(squares[:-1], np.zeros(1)), (*coefficients.shape[:-1], 1)).ravel()
    row = np.broadcast_to(reduce(np.minimum, last[:-1], np.array([len(grids)])), (*coefficients.shape[:-1], 1)).ravel()
    weights, out = np.broadcast_to(transform.isometry**2, (columns,)), np.zeros(len(grids))
    lines = coefficients.reshape(-1, columns)
    _sum_by_grid(lines, rows, row, squares[-1].ravel(), last[-1].ravel(), np.ascontiguousarray(weights), out)
    return out


@njit(cache=True, nogil=True)
def _sum_by_grid(c, rows, row, columns, column, weights, out):
    for i in range(c.shape[0]):
        for j in range(c.shape[1]):
            square = c[i, j].real * c[i, j].real + c[i, j].imag * c[i, j].imag
            out[min(row[i], column[j])] += weights[j] * (rows[i] + columns[j]) * square


def _agree(one: Interval, other: Interval) -> bool:
    """Whether the widths differ by less than a tenth."""
    widths = [np.sqrt(i.upper) - np.sqrt(i.lower) for i in (one, other)]
    return bool(np.isfinite(max(widths)) and max(widths) <= 1.1 * min(widths))


def walled(nodes: Grid, density: Array) -> Array:
    """A density on a box's midpoints with h²/24 of its slope at the walls taken off the nodes beside them, in place.

    Sums with functions whose own slope vanishes there, as those of a convex potential do, are then integrals to order h⁴.
    """
    for j in range(nodes.dim if nodes.offset else 0):  # a torus has no walls
        order, lines = np.argsort(nodes.axis(j)), np.moveaxis(density, j, 0)
        slopes = [np.tensordot(SLOPE, lines[near], 1) for near in (order[:4], order[:-5:-1])]
        for node, slope in zip((order[0], order[-1]), slopes, strict=True):
            lines[node] = np.maximum(lines[node] - slope / 24, 0.0)  # on the coarsest grids the rest may be negative
    return density


def squared(field: Array, out: Array | None = None) -> Array:
    """|v|² of a vector field, in one pass over it, in ``out`` if given."""
    return np.einsum("i...,i...->...", field, field, out=out)


def measured(grid: Grid, f: Array) -> tuple[Array, float]:
    """e^{−f}, `walled`, and its mass to order h⁴; both ∞ where an interpolant leaves the floats, as next to the least of them."""
    if not grid.least(float(f.min())) > -LARGEST_LOG:
        return np.full_like(f, np.inf), np.inf
    density = walled(grid, exp_minus(f))
    return density, grid.integral(density)


def _finer(grid: Grid) -> Grid:
    """The grid of the certificate: 9/8 of the points; 9/4 of small grids, and in boxes, where r has layers at the walls.

    Where that makes more than `LARGE` points, 3/2.  Never a grid of the cascade, on whose nodes Newton has made r vanish.
    """
    points = []
    for n in grid.shape:
        if not (grid.reflects or n <= RESOLVED // 2):
            points.append(n + max(n // 8, 1))
        elif 2**grid.dim * grid.size <= LARGE:
            points.append(2 * n + max(n // 4, 1))
        else:
            points.append(n + max(n // 2, 1))
    return replace(grid, shape=tuple(scipy.fft.next_fast_len(n, real=True) for n in points))


def _on_finer_grid(
    problem: Problem, nodal: list[float], grid: Grid, series: tuple[Transform, Amplitudes], cost: float, gap: float
) -> Certificate:
    """The certificate by quadrature on a finer grid than that of the series; ``nodal`` are the masses on the problem's own."""
    between, densities = _finer(grid), (problem.source, problem.target)
    mu, masses = _on_nodes(between, densities)
    if not np.isfinite(masses).all():
        return Certificate(NOTHING, np.nan)
    mu /= masses[0]
    level = Level(_normalised(between, densities, masses), Fourier().on(between))
    series[0].refined(series[1], between, level.coefficients)
    level.operators.jet(level.coefficients, level.jet)
    low, high = (1.0 + value for value in eigenvalues_over(between, level.jet.D2)[:2])
    if not low > 0:
        return Certificate(NOTHING, low)
    finer = between.integral(squared(level.jet.D) * mu)
    state = level.compare(mu, walled(between, level.pulled()))
    least, greatest = eigenvalues_over(between, level.jet.D2)[:2]
    if not least > 0:  # also where a density underflows
        return Certificate(NOTHING, low)
    doubt = abs(between.mean(level.residual)) * between.volume
    doubt += sum(abs(mass / own - 1) for mass, own in zip(masses, nodal, strict=True))
    unseen = doubt * max(between.lengths) / np.sqrt(between.volume * least)
    quadrature = abs(np.sqrt(cost) - np.sqrt(finer))

    def error(energy: float) -> float:
        return 2 * np.sqrt(high) * (np.sqrt(energy) + unseen) + quadrature

    def within(energy: float) -> Interval:
        return _interval_around(cost, error(energy))

    interval = within(state.dual**2 / least)
    hopeless = max(np.sqrt(cost), FAR_OFF * np.sqrt(splitting(problem.domain))) < error(state.dual**2 / greatest)
    if interval.gap <= gap or hopeless:
        return Certificate(interval, low)
    interval = within(_energy(level, state, least))
    step = between.integral(squared(level.elliptic.gradient()) * mu)
    return Certificate(interval, low, float(np.sqrt(max(step, 0.0))))


def _on_nodes(grid: Grid, densities: tuple[Function, Function]) -> tuple[Array, list[float]]:
    """The source's density, `walled`, and the masses of both."""
    points = grid.points
    source, target = (density.at(points) for density in densities)
    mu, mass = measured(grid, source)
    return mu, [mass, measured(grid, target)[1]]


def _normalised(grid: Grid, densities: tuple[Function, Function], masses: list[float]) -> Problem:
    """Densities of mass 1 as functions, for the quadrature of order h⁴."""
    source, target = (
        Function(grid.dim, Shifted(density.at, float(np.log(mass))))
        for density, mass in zip(densities, masses, strict=True)
    )
    return assembled(grid, grid, source, target)


def _energy(level: Level, state: NewtonState, least: float) -> float:
    """∫rδ, from above."""
    solve = level.elliptic.solve(level.jet.D2, level.r, 0.05, 300)
    rest = (solve.relative * state.dual) ** 2 / least
    return min(solve.product * level.grid.volume + rest, state.dual**2 / least)


def _interval_around(cost: float, error: float) -> Interval:
    """(√cost ± error)²; nothing where the square of the error leaves the floats."""
    if not error < FARTHEST:
        return NOTHING
    root = np.sqrt(cost)
    return Interval(float(max(root - error, 0.0) ** 2), float((root + error) ** 2), CONTINUOUS)


def quadrature_bound(grid: Grid) -> float:
    """How far (W₂) the optimal cost's root between densities may be from that between their cells' masses at the nodes: √Σh²."""
    return float(np.sqrt(np.sum(np.square(grid.spacing))))


def splitting(grid: Grid) -> float:
    """By how much W₂² between the masses of the nodes is larger than between smooth densities, about: Σh²/6.

    Mass that is sent to a fraction θ of the way between two nodes is shared among them, which adds θ(1−θ)h² along each axis; the
    mean over θ is h²/6.
    """
    return float(np.sum(np.square(grid.spacing))) / 6
