"""Densities at the points of another library: formulas, and splines by their coefficients; the same numbers as on the processor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, singledispatch
from typing import Any

import numpy as np

from ...machine.arrays import Array
from ...problems.densities import Analytic, Function, Sampled, Shifted
from ...problems.problem import Problem
from ...problems.vanishing import MinusLog
from .formulas import evaluated
from .libraries import ArrayLibrary

AGREE = 1e-12  # of their size: values here and there, in the trial
TRIED = 64  # points
GOLDEN = 0.5 * (5**0.5 - 1)
Coordinates = Sequence[Any]


@dataclass(frozen=True, eq=False)
class Ported:
    """−log of a density: ``at(library, data, points)`` with coordinates (n,) of each axis gives (n,).

    ``data`` are arrays of NumPy that every device gets whole, since compiled work must not hold large ones.
    """

    at: Callable[[ArrayLibrary, Sequence[Any], Coordinates], Any]
    data: tuple[Array, ...] = ()


@singledispatch
def ported(density: Any) -> Ported:
    """A density's `Function.at` as something for devices."""
    raise ValueError(
        f"a density by {type(density).__name__}: on a device densities are formulas or splines of samples, "
        "interpolation=Spline(5); leave device= out for others"
    )


@ported.register
def _(density: Analytic) -> Ported:
    return Ported(lambda library, data, points: _formula(density.formula, points, library) + density.shift)


def _formula(formula: Callable[..., Any], points: Coordinates, library: ArrayLibrary) -> Any:
    if isinstance(formula, MinusLog):
        return -library.xp.log(evaluated(formula.density, points, library))
    return evaluated(formula, points, library)


@ported.register
def _(density: Shifted) -> Ported:
    inner = ported(density.density)
    return Ported(lambda library, data, points: inner.at(library, data, points) + density.shift, inner.data)


@ported.register
def _(density: Sampled) -> Ported:
    grid, degree = density.grid, density.degree

    def some(library: ArrayLibrary, flat: Any, points: Coordinates) -> Any:
        """∑ coefficients times B-splines, over the (degree + 1)^dim nodes near each point."""
        sides = zip(points, grid.spacing, grid.shape, strict=True)
        axes = [(*_near(library.xp, x / h, degree), n) for x, h, n in sides]

        def term(m: Any) -> Any:
            """Of one of the nodes, which are counted through."""
            place, weight = 0, 1.0
            for j, (first, weights, n) in enumerate(axes):
                i = m // (degree + 1) ** j % (degree + 1)
                place, weight = place * n + (first + i) % n, weight * weights[i, ...]
            return weight * library.xp.take(flat, place, axis=0)

        return library.added((degree + 1) ** grid.dim, term)

    return Ported(
        lambda library, data, points: library.pointwise(partial(some, library, data[0]), points),
        (density.coefficients.reshape(-1),),
    )


def _near(xp: Any, index: Any, degree: int) -> tuple[Any, Any]:
    """The first node near coordinates in units of h, and the B-splines (degree + 1, n), by the recursion over the degree."""
    first = xp.floor(index)
    u, weights = index - first, [1.0 + 0.0 * index]
    for k in range(1, degree + 1):
        before = [0.0, *weights, 0.0]
        weights = [((u + k - j) * before[j] + (j + 1 - u) * before[j + 1]) / k for j in range(k + 1)]
    return xp.astype(first, xp.int64) - degree // 2, xp.stack(weights)


def tried(problem: Problem, library: ArrayLibrary) -> None:
    """Evaluate both densities at some points on the device and on the processor.

    Raises
    ------
    ValueError : a formula that the library cannot run, or that gives other values there.
    """
    points = problem.domain.points.reshape(problem.domain.dim, -1)
    spread = np.arange(TRIED) * GOLDEN % 1.0 * points.shape[1]  # equal distances may lead along one line
    points = np.ascontiguousarray(points[:, np.unique(spread.astype(int))])
    for density in (problem.source, problem.target):
        halves = np.split(points, [points.shape[1] // 2], axis=1)  # so that what looks at more than one point is seen
        expected = np.concatenate([density.at(half) for half in halves])
        found = _once(density, points, library)
        gap = float(np.max(np.abs(found - expected)))
        if not gap <= AGREE * (1.0 + float(np.max(np.abs(expected)))):
            raise ValueError(
                f"a density's formula gives other values on {library.name} than with NumPy (by {gap:.3g}): "
                "it may look at more than one point, or calculate in other ways there; give its values on the grid"
            )


def _once(density: Function, points: Array, library: ArrayLibrary) -> Array:
    there = ported(density.at)

    def work(data: Sequence[Any], points: Any) -> Any:
        """Of a few points, which every device has."""
        return there.at(library, data, list(points))

    placed = [library.place(array, "whole") for array in there.data], library.place(points, "whole")
    try:
        return library.fetch(library.compiled(work, ("whole", "whole"), "whole")(*placed))
    except (TypeError, AttributeError, RuntimeError) as error:
        why = str(error).splitlines()[0]
        raise ValueError(
            f"a density's formula cannot be run on {library.name}: {why}; write it with NumPy's functions of its arguments, "
            "or give its values on the grid"
        ) from None
