"""Problems whose transport map is known: any potential and any g, and the f that makes the one solve Monge–Ampère for the other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..machine.arrays import Array
from ..problems.densities import PointFunction
from ..problems.grids import Grid
from ..problems.problem import Problem, checked_grid
from .hessians import log_det_inverse, packed

# Points of each axis, by dimension, on which a manufactured u is differentiated
RESOLVING_POINTS = {1: 96, 2: 64, 3: 48}


def manufactured(domain: Grid, u: Callable[..., Array], g: PointFunction) -> tuple[Problem, Array]:
    """A problem whose Brenier potential is known: f = g(x + ∇u) − log det(I + D²u) makes |x|²/2 + u the steady state.

    Parameters
    ----------
    domain : a torus or a box; u's periodic, or even, extension must be smooth.
    u : vectorised callable u(x, y, …) with I + D²u > 0, resolved to rounding by 96, 64² or 48³ points, on which it is
        differentiated by FFT whatever the grid of ``domain``, so that coarse grids see the true f.
    g : as in `Problem`.

    Returns
    -------
    problem, u on the grid with mean 0.

    Raises
    ------
    ValueError : I + D²u is not positive definite somewhere on the grid.

    Examples
    --------
    >>> from pmasolve import Torus
    >>> problem, u = manufactured(Torus((8, 8)), lambda x, y: 0.01 * np.cos(2 * np.pi * (x + y)), lambda x, y: 0 * x)
    >>> u.shape
    (8, 8)
    """
    gradient, hessian, values = _fine_jet(checked_grid(domain), u)
    logdet, _, convex = log_det_inverse(hessian)
    if not convex:
        raise ValueError("u: I + D²u is not positive definite everywhere on the grid; take a smaller u")
    f = np.broadcast_to(g(*(domain.points + gradient)), domain.shape) - logdet
    return Problem(domain, f, g), domain.centred(values)


def _fine_jet(domain: Grid, u: Callable[..., Array]) -> tuple[Array, Array, Array]:
    """∇u, packed D²u and u on the grid, from the FFT of u on a finer torus (of the even extension, on a box)."""
    sides = 2 if domain.reflects else 1
    factors = [
        2 * max(0, -(-RESOLVING_POINTS[domain.dim] // n) // 2) + 1 for n in domain.shape
    ]  # odd: cell centres stay centres
    shape = [sides * m * n for m, n in zip(factors, domain.shape, strict=True)]
    axes = [(np.arange(s) + domain.offset) * h / m for s, h, m in zip(shape, domain.spacing, factors, strict=True)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"))
    series = np.fft.fftn(u(*domain.fold(points)))
    modes = np.meshgrid(*(np.fft.fftfreq(s, 1 / s) for s in shape), indexing="ij", sparse=True)
    k = [2j * np.pi * m / (sides * L) for m, L in zip(modes, domain.lengths, strict=True)]
    # of a fine grid's modes those that are rounding: times |k|² they would be white noise in D²u and f, 1e-10 at 4096²
    beyond = np.any(np.broadcast_arrays(*(2 * np.abs(m) > sides * RESOLVING_POINTS[domain.dim] for m in modes)), axis=0)
    series[beyond & (np.abs(series) <= np.finfo(float).eps * np.max(np.abs(series)))] = 0.0
    every = tuple(slice(m // 2 if domain.offset else 0, m * n, m) for m, n in zip(factors, domain.shape, strict=True))

    def sampled(multiplier: Array | float) -> Array:
        return np.ascontiguousarray(np.fft.ifftn(multiplier * series).real[every])

    return (
        np.stack([sampled(ki) for ki in k]),
        np.stack([sampled(k[i] * k[j]) for i, j in packed(domain.dim)]),
        sampled(1.0),
    )
