"""Points one way round: rows (n, dim) are points, arrays (dim, *shape) are fields on a grid, and what could be both is refused.

Everything that takes points (maps, potentials, densities, quadratics, particles) reads them by `given` and answers in kind:

    given                       values      vectors             matrices
    points (n, dim)             (n,)        (n, dim)            (n, dim, dim)
    a field (dim, *shape)       shape       (dim, *shape)       (dim, dim, *shape)        shape of dim axes, as of a grid
    in one dimension also (n,)  (n,)        (n,)                (n,)
    a `Cloud`, a grid           those of its points (n, dim), or of its nodes as a field
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from ..machine.arrays import Array, real


class Layout(Enum):
    """How points were given, and how what is found there is given back."""

    ROWS = "points (n, dim)"
    FIELD = "a field (dim, *shape)"
    LINE = "numbers (n,) in one dimension"


@dataclass(frozen=True, eq=False)
class Places:
    """Points as coordinates (dim, n), with the way back to the layout in which they were given.

    Parameters
    ----------
    columns : (dim, n) coordinates, float64 and finite.
    shape : of values at the points: (n,), or that of the field.
    layout : how they were given.
    """

    columns: Array = field(repr=False)
    shape: tuple[int, ...]
    layout: Layout

    @property
    def dim(self) -> int:
        """Dimension of the space."""
        return len(self.columns)

    def placed(self) -> Places:
        """Itself: points that were read already are points."""
        return self

    def values(self, found: Array) -> Array:
        """Numbers (n,) as they belong to what was given: (n,), or the shape of the field."""
        return found.reshape(self.shape)

    def vectors(self, found: Array) -> Array:
        """Vectors (dim, n) as (n, dim), or as a field (dim, *shape)."""
        return self._leading(found, 1)

    def matrices(self, found: Array) -> Array:
        """Matrices (dim, dim, n) as (n, dim, dim), or as a field (dim, dim, *shape)."""
        return self._leading(found, 2)

    def _leading(self, found: Array, axes: int) -> Array:
        match self.layout:
            case Layout.ROWS:
                return np.ascontiguousarray(np.moveaxis(found, -1, 0))
            case Layout.FIELD:
                return found.reshape(*found.shape[:axes], *self.shape)
            case Layout.LINE:
                return found.reshape(self.shape)


@runtime_checkable
class Placed(Protocol):
    """What knows its own points: clouds and grids."""

    @property
    def dim(self) -> int:
        """Dimension of the space."""
        ...

    def placed(self) -> Places:
        """The points of a cloud, or the nodes of a grid, with the way to give results back."""
        ...


PointsLike = ArrayLike | Placed


def given(points: PointsLike, dim: int) -> Places:
    """Read points, refusing what has another shape or could be read in two ways.

    Parameters
    ----------
    points : (n, dim); or a field (dim, *shape) with dim further axes; or (n,) where dim = 1; or a cloud or a grid, for its own.
    dim : dimension of the space.

    Returns
    -------
    Their coordinates (dim, n), and how to give results back.

    Raises
    ------
    ValueError : (dim, n), which is the other way round; (dim, dim) for dim ≥ 2, which could be either (`Cloud(x)` says that rows
        are points); other shapes; coordinates that are not finite real numbers.

    Examples
    --------
    >>> given([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], 2).columns
    array([[0., 2., 4.],
           [1., 3., 5.]])
    >>> given(np.zeros((2, 8, 9)), 2).shape
    (8, 9)
    """
    if isinstance(points, Placed):
        if points.dim != dim:
            raise ValueError(f"points of dimension {points.dim}, in a space of dimension {dim}: they must agree")
        return points.placed()
    x = real(points, "points")
    layout = _layout(x.shape, dim)
    if not np.isfinite(x).all():
        raise ValueError(
            f"points: {np.count_nonzero(~np.isfinite(x))} coordinates are NaN or infinite: clean them first"
        )
    match layout:
        case Layout.ROWS:
            return rows(x)
        case Layout.FIELD:
            return field(x)
        case Layout.LINE:
            return Places(x[None], x.shape, layout)


def rows(points: Array) -> Places:
    """Points (n, dim), which are known to be this way round."""
    return Places(np.ascontiguousarray(points.T), points.shape[:1], Layout.ROWS)


def field(points: Array) -> Places:
    """Places of a field (dim, *shape) of points."""
    return Places(points.reshape(len(points), -1), points.shape[1:], Layout.FIELD)


def _layout(shape: tuple[int, ...], dim: int) -> Layout:
    """What an array of this shape is."""
    if len(shape) == 2 and shape[1] == dim:
        if shape[0] == dim > 1:
            raise ValueError(
                f"points of shape {shape}: which axis is the coordinates? give Cloud(x) for points that are rows (n, dim), "
                "or evaluate them one by one, as (1, dim)"
            )
        return Layout.ROWS
    if len(shape) == dim + 1 and shape[0] == dim:
        return Layout.FIELD
    if len(shape) == dim == 1:
        return Layout.LINE
    raise ValueError(f"points of shape {shape}: give (n, dim) with dim={dim}{_remedy(shape, dim)}")


def _remedy(shape: tuple[int, ...], dim: int) -> str:
    if len(shape) == 2 and shape[0] == dim:
        return ", that is x.T"
    if shape == (dim,):
        return "; one point is x[None]"
    if len(shape) > 2 and shape[-1] == dim:
        return f", that is x.reshape(-1, {dim})"
    if len(shape) > 2 and shape[0] == dim:
        return f", that is x.reshape({dim}, -1).T, or a field with {dim} further axes"
    return ""
