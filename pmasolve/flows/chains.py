"""A gradient flow as a chain of optimal maps: what the chain does to points, and how far that is from the optimal map.

A JKO step is an optimal map, and Fokker–Planck their limit: points move by ẋ = v_t(x), v_t = −∇(f + log ρ_t), a gradient at every
time.  The composition X_t carries ρ₀ to ρ_t, but is no gradient in two dimensions and more, hence not the optimal map between them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..calculus.operators import FOURIER
from ..machine.arrays import Array
from ..maps.transport import transport
from ..maps.transported import Transport
from ..problems.densities import QUINTIC, Interpolation
from ..problems.grids import Grid
from ..problems.problem import Problem
from .trajectories import Trajectory, followed


@dataclass(frozen=True, eq=False)
class Chain:
    """The composition of the maps of a gradient flow between two times, and the optimal map with the same ends.

    Attributes
    ----------
    problem : from ρ at the first time to ρ at the last one.
    map : (dim, *shape), where the nodes are carried; not wrapped.

    Examples
    --------
    >>> from pmasolve import FokkerPlanck, Problem, Torus, evolve
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> chain = chain_of_maps(evolve(FokkerPlanck(problem), np.linspace(0, 0.02, 9)))
    >>> bool(chain.distance < 1e-6)  # in one dimension the chain is the optimal map
    True
    """

    problem: Problem
    map: Array = field(repr=False)

    def __repr__(self) -> str:
        return f"<Chain of optimal maps on {self.problem.domain.words}: length {self.length:.6g}>"

    @cached_property
    def optimal(self) -> Transport:
        """The optimal map between the same laws, by `transport`."""
        return transport(self.problem, progress=False)

    @property
    def displacement(self) -> Array:
        """map − x, a field (dim, *shape)."""
        return self.map - self.problem.domain.points

    def _norm(self, field: Array) -> float:
        return float(np.sqrt(self.problem.mu.integral(np.sum(field**2, axis=0))))

    @property
    def distance(self) -> float:
        """‖X − T‖ in L²(ρ₀), T the optimal map."""
        return self._norm(self.map - self.optimal.map)

    @property
    def length(self) -> float:
        """‖X − id‖ in L²(ρ₀), at least ``optimal.w2``."""
        return self._norm(self.displacement)

    @property
    def curl(self) -> float:
        """The antisymmetric part of DX, root mean square in L²(ρ₀): 0 for a gradient."""
        grid = self.problem.domain
        jacobian = np.stack([FOURIER.on(grid).gradient(component) for component in self.displacement])
        turned = 0.5 * (jacobian - np.swapaxes(jacobian, 0, 1))
        return self._norm(turned.reshape(-1, *grid.shape))


def chain_of_maps(trajectory: Trajectory, *, interpolation: Interpolation = QUINTIC) -> Chain:
    """Carry the nodes along v = −∇(f + log ρ_t) of a trajectory of Fokker–Planck, by Runge and Kutta's method of order 4.

    Parameters
    ----------
    trajectory : of `FokkerPlanck` on a torus, at an odd number of equally distant times; each step of the method spans two
        of their intervals.
    interpolation : of v between the nodes.

    Returns
    -------
    `Chain` from the first time to the last; its ``optimal`` map costs one `transport`.

    Raises
    ------
    ValueError : a trajectory without ``log_density``, as of other flows, or on a box; times that are not as described.

    References
    ----------
    Lavenant, Santambrogio, The flow map of the Fokker–Planck equation does not provide optimal transport, Appl. Math. Lett. 133
    (2022).

    Examples
    --------
    >>> from pmasolve import FokkerPlanck, Problem, Torus, evolve
    >>> f = lambda x, y: 0.4 * np.cos(2 * np.pi * x) + 0.4 * np.cos(2 * np.pi * (x + y))
    >>> problem = Problem(Torus((24, 24)), f, lambda x, y: 0.5 * np.cos(2 * np.pi * y))
    >>> chain = chain_of_maps(evolve(FokkerPlanck(problem), np.linspace(0, 0.03, 9)))
    >>> bool(chain.curl > 1e-4), chain.length >= chain.optimal.w2
    (True, True)
    """
    followed(trajectory)
    t, grid, density = trajectory.times, trajectory.flow.problem.domain, trajectory.fields.get("log_density")
    if density is None or not isinstance(grid, Grid) or grid.reflects:
        raise ValueError("trajectory: give one of FokkerPlanck on a Torus, whose fields hold log_density")
    if t.size < 3 or t.size % 2 == 0 or np.ptp(np.diff(t)) > 1e-9 * t[-1]:
        raise ValueError(f"{t.size} times: give an odd number, equally distant, for example numpy.linspace(0, 0.1, 17)")
    operators, f = FOURIER.on(grid), trajectory.flow.problem.f

    def velocity(i: int, x: Array) -> Array:
        """v at time i and points (dim, *shape)."""
        slopes = -operators.gradient(f + density[i])
        return np.stack([interpolation.of(grid, np.ascontiguousarray(s)).at(x) for s in slopes])

    x, h = grid.points.copy(), t[2] - t[0]
    for i in range(0, t.size - 2, 2):
        a = velocity(i, x)
        b = velocity(i + 1, x + 0.5 * h * a)
        c = velocity(i + 1, x + 0.5 * h * b)
        x = x + h / 6 * (a + 2 * b + 2 * c + velocity(i + 2, x + h * c))
    return Chain(Problem(grid, -density[0], -density[-1]), x)
