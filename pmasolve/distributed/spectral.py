"""Trigonometric interpolants on slabs: a nonuniform FFT whose fine grid is in slabs too.

With ψ the "exponential of a semicircle" f(x) = ∑ₘ bₘ ψ(x − ξₘ) over nodes ξₘ of a grid twice as fine, b the values there of the
series of f with the coefficients over ψ's (Barnett, Magland, af Klinteberg, SIAM J. Sci. Comput. 41 (2019), arXiv 1808.06736).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numba import njit

from ..calculus.transforms import transform_of
from ..machine.arrays import Array
from ..machine.threads import CACHED, over
from ..problems.densities import SLOW_POINTS, Function
from .densities import Planes, SlabFunction, planes_of
from .domains import SlabTorus

WIDEST = 16  # nodes along an axis


@njit(cache=True, nogil=True)
def _weights(x, count, beta, out):
    """ψ at the ``count`` nodes nearest to x, in units of h; the first of them."""
    first = int(np.ceil(x - 0.5 * count))
    for m in range(count):
        z = 2.0 * (x - first - m) / count
        out[m] = np.exp(beta * (np.sqrt(max(1.0 - z * z, 0.0)) - 1.0))
    return first


@njit(cache=True, nogil=True)
def _sums(planes, index, count, beta, begin, end, out):
    """∑ b ψ at points of (3, N); planes (n₀, n₁, n₂), periodic along the last two."""
    n1, n2 = planes.shape[1], planes.shape[2]
    a, b, c = np.empty(WIDEST), np.empty(WIDEST), np.empty(WIDEST)
    for p in range(begin, end):
        i = _weights(index[0, p], count, beta, a)
        j = _weights(index[1, p], count, beta, b) if n1 > 1 else 0
        k = _weights(index[2, p], count, beta, c)
        total = 0.0
        for r in range(count):
            plane = 0.0
            for s in range(count if n1 > 1 else 1):
                line = 0.0
                row = planes[i + r, (j + s) % n1]
                for t in range(count):
                    line += c[t] * row[(k + t) % n2]
                plane += line * b[s] if n1 > 1 else line
            total += a[r] * plane
        out[p] = total


def _kernel(tolerance: float) -> tuple[int, float]:
    """How many nodes wide ψ is, and its β."""
    count = int(np.clip(np.ceil(1.0 - np.log10(tolerance)), 2, WIDEST))
    return count, 2.30 * count


def _transformed(count: int, beta: float, angles: Array) -> Array:
    """∫ψ(t) cos(angle·t) dt in units of h, by Gauss and Legendre."""
    nodes, weights = np.polynomial.legendre.leggauss(8 * count)
    values = np.exp(beta * (np.sqrt(1.0 - nodes**2) - 1.0)) * weights
    return 0.5 * count * np.cos(0.5 * count * np.multiply.outer(angles, nodes)) @ values


def trigonometric(interpolation: Any, grid: SlabTorus, samples: Array) -> Function:
    """The trigonometric interpolant of samples on slabs, by the options of `Spectral`."""
    count, beta = _kernel(interpolation.tolerance)
    fine = replace(grid, shape=tuple(2 * n for n in grid.shape))
    here, there = transform_of(grid), transform_of(fine)
    modes = here.refined(here.forward(samples), fine, there.zeros())
    for k, h in zip(there.wavenumbers, fine.spacing, strict=True):
        modes /= _transformed(count, beta, np.minimum(np.abs(k), 0.5 * np.pi / h) * h)  # beyond there are none
    b = there.derivative(modes, (0,) * grid.dim, np.empty(fine.local))

    def evaluate(planes: Array, index: Array) -> Array:
        """Values at coordinates in nodes (dim, n)."""
        solid = planes.reshape(len(planes), -1, planes.shape[-1])
        places, out = np.stack([index[0], index[-2], index[-1]]), np.empty(index.shape[1])
        over(
            lambda begin, end: _sums(solid, places, count, beta, begin, end, out),
            out.size,
            share=CACHED,
            small=SLOW_POINTS,
        )
        return out

    return Function(grid.dim, SlabFunction(fine, Planes(fine, b), count // 2 + 1, evaluate, interpolation))


with suppress(ModuleNotFoundError):  # without finufft there are no such options
    from ..problems.interpolation import Spectral

    planes_of.register(Spectral, trigonometric)
