"""W₂ between the laws of a chain: by quantiles on the line, by assignment between clouds, by `transport` on grids."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from ...machine.arrays import Array
from ...maps.transport import transport
from ...maps.transported import Transport
from ...problems.grids import Box
from ...problems.problem import Problem
from .diffusion import Diffusion
from .tails import BRACKET_HALVINGS, LineTail

LARGEST = 4096  # points that are assigned: the costs are a matrix, the time grows with the cube


def probabilities(count: int) -> Array:
    """(count,) the midpoints of as many equal parts of [0, 1]."""
    return (np.arange(count) + 0.5) / count


def quantiles(chain: Diffusion, t: float, q: Array) -> Array:
    """(k,) quantiles of X_t on the line, t ≥ 0, at the probabilities q in (0, 1).

    Examples
    --------
    >>> from pmasolve import denoising
    >>> quantiles(denoising.Diffusion(denoising.dirac()), 0.5, np.array([0.975])).round(4)  # of N(0, 1 − 1/e)
    array([1.5583])
    """
    if t == 0:
        low, high = (bound for bound in chain.source.span(1.0))
        return _inverted(chain.source.cdf, low, high, q)
    tail = LineTail.of(chain.source, float(chain.snr(t)))
    return _inverted(tail.cdf, tail.edges[0], tail.edges[-1], q) / float(chain.scale(t))


def _inverted(cdf, low: float, high: float, q: Array) -> Array:
    """Least x with cdf(x) ≥ q."""
    below, above = np.full(q.shape, low), np.full(q.shape, high)
    for _ in range(BRACKET_HALVINGS):
        middle = 0.5 * (below + above)
        up = cdf(middle) >= q
        below, above = np.where(up, below, middle), np.where(up, middle, above)
    return above


def w2_line(x: Array, y: Array) -> float:
    """W₂ of two samples on the line of equal size and equal masses: sorted, side by side.

    Parameters
    ----------
    x, y : (n,) or (n, 1).

    Returns
    -------
    W₂, not its square.

    Examples
    --------
    >>> w2_line(np.array([0.0, 1.0]), np.array([3.0, 2.0]))
    2.0
    """
    return float(np.sqrt(np.mean((np.sort(x, axis=None) - np.sort(y, axis=None)) ** 2)))


def w2_clouds(x: Array, y: Array) -> float:
    """W₂ of two clouds (n, d) of equal size and equal masses, exactly, by assignment (Jonker–Volgenant).

    Parameters
    ----------
    x, y : (n, d) points.

    Returns
    -------
    W₂, not its square.

    Raises
    ------
    ValueError : sizes that differ, or more than 4096 points; take `schroedinger` for those.

    Examples
    --------
    >>> w2_clouds(np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[1.0, 2.0], [0.0, 2.0]]))
    2.0
    """
    if x.shape != y.shape or len(x) > LARGEST:
        raise ValueError(f"clouds of shapes {x.shape} and {y.shape}: give equal shapes of at most {LARGEST} points")
    costs = cdist(x, y, "sqeuclidean")
    row, column = linear_sum_assignment(costs)
    return float(np.sqrt(costs[row, column].mean()))


def w2_sampled(x: Array, y: Array) -> float:
    """W₂ of two samples (n, d) of equal size and equal masses."""
    return w2_line(x, y) if x.shape[1] == 1 else w2_clouds(x, y)


def w2_on_grid(first: Diffusion, second: Diffusion, t: float, box: Box) -> Transport:
    """The optimal map between two chains at time t > 0, with its certified W₂, on a box that holds their mass.

    The walls of the box matter where mass reaches them: take it some deviations wider than both laws.  Coordinates of the box
    run from 0 to its lengths; the laws are centred in it.

    Parameters
    ----------
    first, second : chains in as many dimensions as the box has.
    t : time > 0.
    box : the grid; laws as wide as a few cells at least.

    Returns
    -------
    Transport : its ``w2`` and the interval about it.

    Examples
    --------
    >>> from pmasolve import denoising
    >>> first, second = (denoising.Diffusion(denoising.normal(v)) for v in (0.5, 2.0))
    >>> found = w2_on_grid(first, second, 1.0, Box((256,), lengths=(16.0,)))
    >>> round(found.w2, 3)  # of N(0, 1 − e⁻²/2) and N(0, 1 + e⁻²)
    0.1
    """
    points = box.points.reshape(box.dim, -1).T - 0.5 * np.array(box.lengths)

    def density(chain: Diffusion) -> Array:
        return np.exp(chain.log_density(t, points)).reshape(box.shape)

    return transport(Problem.from_densities(box, density(first), density(second)))
