"""A potential on a grid: the equation at it, its map and its density, and what is asked of every potential that is returned.

With φ = |x|²/2 + u the equation's right-hand side is A(φ) = f − g(∇φ) + log det D²φ = f + log ρ, so that speed and density are
one number.  A map does not fold, and a density has the mass 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import attrgetter
from typing import Protocol

import numpy as np

from ..calculus.hessians import add_difference, apply, log_det_inverse
from ..calculus.operators import Fourier, Jet, Operators, Space, eigenvalues_over, jet_of
from ..calculus.series import Amplitudes
from ..machine.arrays import Array
from ..machine.threads import CACHED
from ..problems.grids import Grid
from ..problems.outcomes import CONVEXITY_LOST, REACHED, UNRESOLVED, Outcome
from ..problems.problem import Problem

LOOKED_AT = 4  # every so many linearisations
MISLED = 0.01  # relative error of the chain rule beyond which g is differentiated itself
LOST_MASS = 0.05
"""|∫ρ − 1| of the grid's quadrature beyond which a result is not ok: what is left out is seen in no other number."""


@dataclass(frozen=True, eq=False)
class Linearisation:
    """A(φ) = f − g(∇φ) + log det D²φ at one potential, and its derivative 𝓛w = tr(G⁻¹D²w) − ∇g(∇φ)·∇w."""

    problem: Problem
    operators: Operators
    speed: Array  # A(φ); −inf where φ is not convex
    inverse: Array  # G⁻¹, packed
    composed: Array  # g(∇φ)
    convex: bool  # whether I + D²u is positive definite, and A finite, at every point
    slope: Array | None = None  # ∇g(∇φ) where it is known

    @property
    def log_density(self) -> Array:
        """log ρ = A − f at the nodes, of the grid's shape."""
        return self.speed - self.problem.f

    @cached_property
    def drift(self) -> Array:
        """∇g(∇φ) = G⁻¹∇[g(∇φ)], if it is not known: the chain rule spares a derivative of g off the grid."""
        return self.slope if self.slope is not None else self._drift()

    def _drift(self, out: Array | None = None, room: Amplitudes | None = None) -> Array:
        return apply(self.inverse, self.operators.gradient(self.composed, out, room))

    def prepared(self, out: Array, room: Amplitudes) -> Linearisation:
        """This linearisation with ∇g(∇φ) known, in ``out`` unless it was before, and without g(∇φ), which has served."""
        return replace(self, slope=self._drift(out, room) if self.slope is None else self.slope, composed=np.empty(0))

    @cached_property
    def diffusion(self) -> tuple[float, float, float]:
        """Least, greatest and mean eigenvalue of G⁻¹."""
        return eigenvalues_over(self.problem.domain, self.inverse)

    def times(self, coefficients: Amplitudes, out: Array | None = None) -> Array:
        """𝓛w on the grid from the coefficients of w, in ``out`` if given."""
        out = np.empty(self.problem.domain.local) if out is None else out
        return self.operators.contract(coefficients, self.inverse, self.drift, out)


def linearise(problem: Problem, operators: Operators, jet: Jet, differences: bool = False) -> Linearisation:
    """Evaluate A and prepare 𝓛 at the potential with this jet, over which G⁻¹ and the map are written.

    With ``differences`` the derivative of g is taken at the map's points, which costs 2 dim evaluations of g.
    """
    speed, inverse, convex = log_det_inverse(jet.D2, jet.D2)
    if not problem.domain.every(convex):  # the map may be anywhere, g is not asked
        return Linearisation(problem, operators, speed, inverse, speed, False)
    composed = problem.target.at(problem.domain.displaced(jet.D))
    finite = problem.domain.every(add_difference(speed, problem.f, composed))
    slope = central_differences(problem, jet.D) if differences else None
    return Linearisation(problem, operators, speed, inverse, composed, finite, slope)


def central_differences(problem: Problem, points: Array) -> Array:
    """∇g at points (dim, …) to about eight digits, by one call of g for each block of points; as many of them in every process."""
    flat, out = points.reshape(len(points), -1), np.empty(points.shape)
    steps = 1e-5 * np.array(problem.domain.lengths)
    moves = np.concatenate([np.diag(steps), -np.diag(steps)], axis=1)[:, :, None]  # (dim, 2 dim, 1)
    for block in range(int(problem.domain.most(-(-flat.shape[1] // CACHED)))):
        some = slice(block * CACHED, (block + 1) * CACHED)
        ahead, behind = np.split(problem.target.at(flat[:, None, some] + moves), 2)
        out.reshape(flat.shape)[:, some] = (ahead - behind) / (2 * steps[:, None])
    return out


class ChainRule:
    """Whether ∇g(∇φ) = G⁻¹∇[g(∇φ)] still has its digits: it loses them where the grid does not resolve g(∇φ).

    Newton's method then stalls, and steps shrink without end.  Looked at now and then, since the loss is for good.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem, self.lost = problem, False
        self._asked, self._points = 0, np.empty(0)

    def remember(self, points: Array) -> None:
        """The map (dim, *shape), before it is written over: some of it is kept."""
        self._points = _some(points).copy()

    def fails(self, drift: Array) -> bool:
        """Whether the digits are lost now, by ∇g at the points kept; ``drift`` is the chain rule's."""
        self._asked += 1
        if self.lost or self._asked % LOOKED_AT != 1:
            return False
        exact = central_differences(self.problem, self._points)
        most = self.problem.domain.most
        self.lost = most(float(np.max(np.abs(_some(drift) - exact)))) > MISLED * (
            most(float(np.max(np.abs(exact)))) + 1.0
        )
        return self.lost


def _some(vectors: Array) -> Array:
    """A few hundred of the vectors (dim, *shape)."""
    flat = vectors.reshape(len(vectors), -1)
    return flat[:, :: max(1, flat.shape[1] // 256)]


def linearise_at(problem: Problem, operators: Operators, u: Array) -> Linearisation:
    """Evaluate A and prepare 𝓛 at a potential given by its values on the grid."""
    return linearise(problem, operators, jet_of(operators, u))


@dataclass(frozen=True)
class Seen:
    """What the derivatives of one potential show, all from one evaluation: every verdict is made of it.

    Attributes
    ----------
    low, high : least and greatest eigenvalue of I + D²u at the nodes.
    stretch : the least of ``low`` and of (T_j(x + h_j e_j) − T_j(x))/h_j between neighbours, T = x + ∇u; positive for a convex
        potential that the grid resolves.
    mass : ∫e^{−g(T)} det(I + D²u) by the grid's quadrature, 1 where the grid resolves the map; NaN where it is not finite; None
        where it was not asked for, or the map folds, or densities vanish and have no logarithm to be integrated.
    width : the greatest h; 0 for potentials that are not known by a grid.
    """

    low: float
    high: float
    stretch: float
    mass: float | None
    width: float

    @property
    def stiffness(self) -> float:
        """h² max(φ″, 1/φ″), ∞ where φ is not strictly convex at the nodes: e^{−|x−y|²/2ε} is summed up to exp(−2π²ε/this)."""
        return self.width**2 * max(self.high, 1.0 / self.low) if self.low > 0 else np.inf

    def admitted(self) -> Seen:
        """This of a start; a ``ValueError`` where that is not strictly convex at the nodes."""
        if not self.low > 0:
            raise ValueError(
                f"initial: I + D²u₀ has the eigenvalue {self.low:.3g} ≤ 0, so |x|²/2 + u₀ is not strictly convex; "
                "start from a smaller u₀, or from 0"
            )
        return self

    def verdict(self, remedy: Callable[[], str], lost_mass: float = LOST_MASS) -> Outcome:
        """REACHED, or "convexity lost", or "unresolved" for a mass that is wrong by ``lost_mass``; ``remedy()`` ends the advice."""
        if not self.stretch > 0:
            return CONVEXITY_LOST.advising(f"the map x + ∇u folds (least stretch {self.stretch:.3g} ≤ 0); {remedy()}")
        if self.mass is None or abs(self.mass - 1.0) <= lost_mass:
            return REACHED
        return lost(self.mass, remedy())


def look(operators: Operators, u: Array, problem: Problem | None = None) -> Seen:
    """What is to be seen of a potential on the grid; its density's mass where a problem is given.

    Examples
    --------
    >>> from pmasolve import Torus
    >>> seen = look(Fourier().on(Torus((16,))), np.zeros(16))
    >>> seen.low, seen.high, seen.stretch
    (1.0, 1.0, 1.0)
    """
    grid, jet = operators.grid, jet_of(operators, u)
    seen = seen_in(grid, jet)
    if problem is None or problem.vanishing or not seen.stretch > 0:
        return seen
    here = linearise(problem, operators, jet)  # over the jet
    return replace(seen, mass=grid.integral(_density_over(here.speed, problem.f)) if here.convex else np.nan)


def seen_in(grid: Grid, jet: Jet) -> Seen:
    """What is to be seen of a potential with this jet, without the mass of its density."""
    low, high = (1.0 + bound for bound in eigenvalues_over(grid, jet.D2)[:2])
    stretch = min(low, *(_least_stretch(grid, j, D) for j, D in enumerate(jet.D)))
    return Seen(low, high, stretch, None, max(grid.spacing))


def _density_over(speed: Array, f: Array) -> Array:
    """ρ = e^{A − f}, over A: what is looked at beside a run should take few arrays."""
    return np.exp(np.subtract(speed, f, out=speed), out=speed)


def _least_stretch(grid: Grid, j: int, D: Array) -> float:
    """The least 1 + (D(x + h e_j) − D(x))/h along axis ``j`` of component ``j`` of a gradient, odd at the walls of a box."""
    inside = np.min(np.diff(D, axis=j), initial=np.inf)
    return 1.0 + grid.least(float(min(inside, *(np.min(end) for end in grid.across(D, j))))) / grid.spacing[j]


def convexity(operators: Operators, u: Array) -> tuple[float, float]:
    """Least and greatest eigenvalue of D²φ = I + D²u over the grid."""
    low, high, _ = eigenvalues_over(operators.grid, jet_of(operators, u).D2)
    return 1.0 + low, 1.0 + high


def need_convex(operators: Operators, u: Array) -> float:
    """The least eigenvalue of I + D²u at the nodes; a ``ValueError`` for a start where it is not positive."""
    return look(operators, u).admitted().low


def folds(seen: Seen) -> str:
    """What is said of a potential whose map folds between the nodes; nothing where it does not."""
    return (
        ""
        if seen.stretch > 0
        else f"the map x + ∇u folds between nodes (least stretch {seen.stretch:.3g}); refine the grid"
    )


def lost(mass: float, remedy: str) -> Outcome:
    """The outcome of a density whose mass on the grid is not 1."""
    return UNRESOLVED.advising(f"the push-forward has mass {mass:.3g} on the grid, not 1; {remedy}")


class Discretised(Protocol):
    """What has a problem on a grid, and derivatives there: most flows."""

    @property
    def problem(self) -> Problem:
        """Source and target."""
        ...

    @property
    def space(self) -> Space:
        """How derivatives are taken."""
        ...


@dataclass(frozen=True, eq=False)
class OnGrid:
    """Readings by derivatives on a torus or a box: those of most flows.

    Parameters
    ----------
    problem : densities; only maps without them.
    space : derivatives.

    Examples
    --------
    >>> from pmasolve import Problem, Torus
    >>> reading = OnGrid(Problem(Torus((8,)), np.zeros(8), np.zeros(8)))
    >>> reading.map(np.zeros(8)).shape, float(np.max(np.abs(reading.log_density(np.zeros(8)))))
    ((1, 8), 0.0)
    """

    problem: Problem
    space: Space = field(default=Fourier())

    @classmethod
    def of(cls, flow: Discretised) -> OnGrid:
        """Maps and densities from potentials, by the flow's own derivatives: ``reading.map(u)``, ``reading.log_density(u)``."""
        return cls(flow.problem, flow.space)

    @cached_property
    def operators(self) -> Operators:
        """The discretisation on the grid."""
        return self.space.on(self.problem.domain)

    def map(self, u: Array, v: Array | None = None) -> Array:
        """x + ∇u, (dim, *shape); a half step ``v`` before u is not needed."""
        return self.problem.domain.points + self.operators.gradient(u)

    def log_density(self, u: Array) -> Array:
        """log ρ = −g(x+∇u) + log det(I + D²u), of ρ = (∇φ*)_# e^{−g}."""
        return linearise_at(self.problem, self.operators, u).log_density

    def look(self, u: Array, mass: bool = True) -> Seen:
        """What is to be seen of u: whether it is convex, whether its map folds, and the mass of its density if wanted."""
        return look(self.operators, u, self.problem if mass else None)


OPERATORS = property(attrgetter("reading.operators"), doc="The discretisation on the problem's grid.")
"""A member of flows that read by derivatives, as ``reading = cached_property(OnGrid.of)`` is."""
