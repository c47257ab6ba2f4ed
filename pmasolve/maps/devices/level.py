"""The equation on one grid in the arrays of another library: what Newton's method moves on, by the names of `maps.level.Level`."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np

from ...calculus.operators import Fourier, Space
from ...calculus.series import Waves
from ...machine.arrays import shown
from ...problems.grids import Torus
from ...problems.problem import Problem
from ..elliptic import Solve, conjugate_gradients
from ..level import REFUSED_STATE, Level, NewtonState
from ..newton import LevelFactory
from .choice import library_of
from .densities import tried
from .equation import Equation
from .libraries import ArrayLibrary


class DeviceLevel:
    """The equation, with its arrays on the device; coefficients come to the processor from grid to grid and at the end."""

    def __init__(self, problem: Problem, library: ArrayLibrary) -> None:
        library = library.on(problem.domain)
        self.problem, self.grid, self.library = problem, problem.domain, library
        self._equation = equation = Equation.of(problem, library)
        self._host, planes, columns = Waves(problem.domain), "planes", "columns"
        self._data = [library.place(array, "whole") for array in equation.target.data]
        self.coefficients = library.place(np.zeros(self._shape, np.complex128), columns)
        self._evaluate = library.compiled(
            equation.evaluate, (columns, planes, columns, "whole"), (columns, planes, "whole")
        )
        self._height = library.compiled(equation.height, (columns,), "whole")
        self.energy = library.compiled(equation.energy, (columns, columns), "whole")
        kinds = ("whole", columns, columns, planes, columns, columns)
        self.turn = library.compiled(equation.turn, kinds, (columns, columns, "whole"))
        self.advance = library.compiled(equation.advance, ("whole", *[columns] * 5), (columns, columns, "whole"))

    @property
    def _shape(self) -> tuple[int, ...]:
        """Of coefficients with three axes."""
        first, middle, last = self._equation.spectral.shape
        return first, middle, last // 2 + 1

    @cached_property
    def _mu(self) -> Any:
        data = [self.library.place(array, "whole") for array in self._equation.source.data]
        return self.library.compiled(self._equation.mu, ("whole",), "planes")(data)

    @cached_property
    def _symbols(self) -> tuple[Any, Any]:
        return self.library.compiled(self._equation.symbols, (), ("columns", "columns"))()

    def start_from(self, coarse: DeviceLevel) -> None:
        """The potential of a coarser level; modes that it does not have are exactly 0."""
        out = self._host.zeros()
        coarse._host.refined(coarse.fetched, self.grid, out)
        self.coefficients = self.library.place(out.reshape(self._shape), "columns")

    @property
    def fetched(self) -> np.ndarray:
        """The coefficients on the processor."""
        return self.library.fetch(self.coefficients).reshape(self._host.shape)

    @property
    def here(self) -> Level:
        """The level on the processor."""
        level = Level(self.problem, Fourier().on(self.grid))
        level.coefficients = np.array(self.fetched)
        return level

    def begin(self) -> NewtonState:
        """Evaluate where the level stands."""
        return self._look(self.coefficients)

    def shrink(self, factor: float) -> None:
        """Scale the potential."""
        self.coefficients = factor * self.coefficients

    def correct(self, forcing: float, limit: int, exact: bool = False) -> Solve:
        """Newton's direction, to a relative residual ``forcing``, in float64; the residual is lost."""
        iterates = _DeviceIterates(self)
        solve = conjugate_gradients(iterates, self.grid.size, forcing, limit)
        self._direction, self._r, self._A = iterates.x, None, None
        return solve

    def move(self, t: float) -> NewtonState:
        """Evaluate a step t along that direction."""
        self._trial = self.coefficients - t * self._direction
        return self._look(self._trial)

    def keep(self) -> None:
        """Stand where the last step led to."""
        self.coefficients = self._trial

    @property
    def height(self) -> float:
        """sup |u|."""
        return float(self._height(self.coefficients))

    @property
    def steepest(self) -> float:
        """What second derivatives multiply the fastest wave by."""
        return float(sum(np.max(k**2) for k in self._equation.spectral.waves))

    def _look(self, coefficients: Any) -> NewtonState:
        self._r, self._A, numbers = self._evaluate(coefficients, self._mu, self._symbols[0], self._data)
        bad, total, worst, energy, square = self.library.fetch(numbers).tolist()
        if bad:
            return REFUSED_STATE
        size, volume = self.grid.size, self.grid.volume
        dual, defect = np.sqrt(energy / size * volume), np.sqrt(square / size) * volume
        return NewtonState(total / size * volume, worst, float(dual), float(defect))


class _DeviceIterates:
    """`Iterates` on a device."""

    def __init__(self, level: DeviceLevel) -> None:
        self.on, self.r = level, level._r
        self.x = self.p = 0.0 * level._r

    def energy(self) -> float:
        return float(self.on.energy(self.r, self.on._symbols[0]))

    def turn(self, beta: float) -> float:
        self.p, self.q, curvature = self.on.turn(beta, self.p, self.r, self.on._A, *self.on._symbols)
        return float(curvature)

    def advance(self, alpha: float) -> float:
        self.x, self.r, rho = self.on.advance(alpha, self.x, self.r, self.p, self.q, self.on._symbols[0])
        return float(rho)


def levels_on(device: Any, problem: Problem, space: Space) -> LevelFactory:
    """What makes levels on a device, see `library_of`.

    Raises
    ------
    ValueError : a box, slabs, differences, no such device, a density that the device cannot evaluate.
    """
    grid = problem.domain
    if not (isinstance(grid, Torus) and grid.whole and isinstance(space, Fourier)):
        raise ValueError(
            f"device={shown(str(device))} with {grid.words} and space={space!r}: on a device there are tori of one process "
            "with Fourier(); leave device= out for others"
        )
    library = library_of(device)
    library.admit(grid)
    tried(problem, library)
    return lambda problem, space: DeviceLevel(problem, library)
