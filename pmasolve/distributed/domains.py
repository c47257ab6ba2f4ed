"""Tori in slabs along their first axis, one for each rank; coarse grids of few planes are held by every rank."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..machine.arrays import Array, shown
from ..problems.grids import Torus
from .ranks import Ranks, Slices, cut, ranks_of, width


@dataclass(frozen=True)
class SlabTorus(Torus):
    """A `Torus` in slabs, from `slabs`: the nodes of this rank are the planes ``planes`` of the first axis."""

    ranks: Ranks = field(kw_only=True, repr=False)

    @property
    def columns(self) -> int:
        """Of coefficients along the second axis, which are cut; of the half spectrum where that is the last."""
        return self.shape[1] // 2 + 1 if self.dim == 2 else self.shape[1]

    @property
    def whole(self) -> bool:
        """Whether every rank has all nodes, as of grids with fewer planes, or columns of coefficients, than ranks."""
        return min(self.shape[0], self.columns) < self.ranks.size

    @cached_property
    def cuts(self) -> Slices:
        """The planes of each rank."""
        return cut(self.shape[0], self.ranks.size)

    @property
    def planes(self) -> slice:
        """The planes of this rank."""
        return slice(0, self.shape[0]) if self.whole else self.cuts[self.ranks.rank]

    @property
    def local(self) -> tuple[int, ...]:
        """Shape of an array of values on this rank."""
        return (width(self.planes), *self.shape[1:])

    def coordinates(self, j: int) -> Array:
        """Coordinates along axis ``j`` of the nodes of this rank."""
        return self.axis(0)[self.planes] if j == 0 else self.axis(j)

    def summed(self, part: Any) -> Any:
        """The sum over the ranks of what each has found."""
        return part if self.whole else self.ranks.summed(part)

    def most(self, part: float) -> float:
        """The greatest of what the ranks have found; NaN where one has."""
        return part if self.whole else self.ranks.most(part)

    def least(self, part: float) -> float:
        """The least of what the ranks have found; NaN where one has."""
        return -self.most(-part)

    def extremes(self, low: float, high: float) -> tuple[float, float]:
        """`least` and `most` at once."""
        below, above = (-low, high) if self.whole else self.ranks.most(np.array([-low, high]))
        return -float(below), float(above)

    def every(self, part: bool) -> bool:
        """Whether all ranks say so."""
        return self.least(float(part)) > 0

    def across(self, values: Array, j: int) -> tuple[Array, ...]:
        """Differences from the last nodes of this rank along axis ``j`` to the next; of the first axis on the next rank."""
        if j > 0 or self.whole:
            return super().across(values, j)
        return (self.ranks.following(values[0]) - values[-1],)

    def values(self, array: ArrayLike, name: str) -> Array:
        """One finite number for each node of this rank; what is wrong on one rank is an error on all."""
        found, error = np.empty(0), None
        try:
            found = self._values(array, name)
        except ValueError as wrong:
            error = wrong
        self.ranks.agree(error)
        return found

    def _values(self, array: ArrayLike, name: str) -> Array:
        if np.shape(array) == self.shape != self.local:
            a, b = self.planes.start, self.planes.stop
            raise ValueError(
                f"{name} has the shape {self.shape} of the whole grid: give the planes of this rank, here {name}[{a}:{b}], that is "
                "the values at grid.points, or a callable"
            )
        return super().values(array, name)

    @property
    def words(self) -> str:
        """In a few words, the same on every rank."""
        return f"{self.united.words} on {self.ranks.size} ranks"

    @property
    def description(self) -> dict[str, Any]:
        """The united grid in numbers and words, for files."""
        return self.united.description

    @property
    def united(self) -> Torus:
        """A torus of this shape for one process."""
        return Torus(self.shape, self.lengths)


def slabs(grid: Torus, comm: Any = None) -> Torus:
    """The torus in slabs along its first axis, one for each rank of MPI; the grid itself where there is one process only.

    Parameters
    ----------
    grid : a `Torus` of 2 or 3 axes.
    comm : a communicator of mpi4py; ``MPI.COMM_WORLD`` unless given.

    Returns
    -------
    A domain like any other for `Problem`, `transport` by Newton's method, `Sinkhorn` and `MongeAmpere`.  ``shape`` is that of the
    whole grid, ``local`` that of the arrays of this rank, ``points`` its nodes, ``planes`` which planes of the first axis these
    are.  ``ranks.sent`` counts the bytes that this rank has sent.

    Raises
    ------
    ValueError : one axis only, or more ranks than planes or columns; on all ranks.
    ImportError : no mpi4py, or no MPI library; when ``pmasolve.distributed`` is first asked for.

    Notes
    -----
    All ranks run the same script and call the same functions in the same order.  Callable densities are evaluated on a rank's
    own points: one that normalises itself, by ``x.max()`` say, is wrong there.  Once this was called an error that nobody catches
    ends all ranks, and only the first shows progress.  Cost: an evaluation of the equation sends 4 transposes, each of
    8(1 + 2/n)(P − 1)/P bytes a point; one inner step of Newton's method the same in float32, half of that.

    Examples
    --------
    >>> torus = slabs(Torus((16, 16)))  # run by mpirun -n 4 it has 4 planes on each rank
    >>> torus.local, torus.shape
    ((16, 16), (16, 16))
    """
    if not isinstance(grid, Torus):
        raise ValueError(
            f"grid={shown(grid)}: slabs are of tori; a density in a box may be put into a torus of twice its sides"
        )
    ranks = ranks_of(comm)
    if ranks.size == 1 or isinstance(grid, SlabTorus):
        return grid
    if grid.dim == 1:
        raise ValueError(f"{grid!r}: slabs are of grids with 2 or 3 axes; one axis fits into one process")
    made = SlabTorus(grid.shape, grid.lengths, ranks=ranks)
    if made.whole:
        most = min(made.shape[0], made.columns)
        raise ValueError(
            f"{ranks.size} ranks for the shape {grid.shape}, which has {made.shape[0]} planes and {made.columns} columns of "
            f"coefficients: each rank needs one of both; take at most {most} ranks (mpirun -n {most}), with threads inside them"
        )
    return made
