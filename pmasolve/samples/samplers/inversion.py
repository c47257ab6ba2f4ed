"""Inverses of gradient maps: ∇ψ*(x) by Newton's method on y ↦ ψ(y) − x·y, with a line search on its values."""

from __future__ import annotations

import numpy as np

from ...machine.arrays import Array
from .matrices import dots, stacked_log_det, stacked_solve
from .potentials import Parametric, point_blocks

EVALUATIONS = 200  # at most, of one point, steps and shorter steps together
INVERSE_TOL = 1e-9  # of 1 + |x|: the residual of an inverse
SHORTEST_NEWTON_STEP = 2.0**-40  # of a Newton step; then it is taken as it is
SUFFICIENT = 1e-4  # of the decrease that the slope promises
RISE_ROUNDING = 1e-13  # of ψ(y) and of x·y, by which their difference may rise


def inverse(psi: Parametric, x: Array, start: Array, tol: float, least: float = 0.0) -> Array:
    """y with |∇ψ(y) − x| ≤ tol·(1 + |x|) + least, (n, d); NaN in rows where Newton's method did not get there.

    The objective is convex and its values decide, so that the iteration goes downhill from any start, for strictly convex ψ.
    Memory: that of a block of points.

    Parameters
    ----------
    psi : the potential.
    x : (n, d).
    start : (n, d) first guesses.
    tol : relative.
    least : what roundings leave of large terms in ∇ψ that cancel.
    """
    return inverse_and_log_det(psi, x, start, tol, least)[0]


def inverse_and_log_det(psi: Parametric, x: Array, start: Array, tol: float, least: float = 0.0) -> tuple[Array, Array]:
    """`inverse`, and log det D²ψ there, (n,), for which the last step has all that is needed; NaN where it is not positive."""
    size = tol * (1 + np.abs(x).max(axis=1, initial=0.0)) + least  # of units of the potential, see `units`
    y, logs = np.full(x.shape, np.nan), np.full(len(x), np.nan)
    for part in point_blocks(len(x), psi.width):
        y[part], logs[part] = _newton_steps(psi, x[part], start[part], size[part])
    return y, logs


def _newton_steps(psi: Parametric, x: Array, start: Array, size: Array) -> tuple[Array, Array]:
    """Each point takes the longest of the steps 1, ½, ¼, … that lowers ψ(y) − x·y enough: one evaluation is a trial of each."""
    y, logs = np.full(x.shape, np.nan), np.full(len(x), np.nan)
    rows, here, step = np.arange(len(x)), start.copy(), np.zeros_like(start)
    t, bound, slope = np.zeros(len(x)), np.zeros(len(x)), np.zeros(len(x))
    for _ in range(EVALUATIONS):
        there = psi.at(here + t[:, None] * step)
        product, residual = dots(x, there.y), there.gradient - x
        height = there.value - product
        taken = (height <= bound + SUFFICIENT * t * slope) | (t < SHORTEST_NEWTON_STEP)
        done = taken & (dots(residual, residual) <= size**2)
        if done.any():
            y[rows[done]], logs[rows[done]] = there.y[done], stacked_log_det(there.hessian[done])
            if done.all():
                break
        t = np.where(taken, 1.0, 0.5 * t)
        new = taken & ~done
        if new.any():
            rounding = RISE_ROUNDING * (1 + np.abs(there.value) + np.abs(product))
            here[new], bound[new] = there.y[new], (height + rounding)[new]
            step[new] = -stacked_solve(there.hessian[new], residual[new])
            slope[new] = dots(step[new], residual[new])
        kept = ~done & np.isfinite(step).all(axis=1)
        if not kept.all():
            rows, x, size, here, step = rows[kept], x[kept], size[kept], here[kept], step[kept]
            t, bound, slope = t[kept], bound[kept], slope[kept]
    return y, logs
