"""Inverses of gradient maps: ∇ψ*(x) by Newton's method on y ↦ ψ(y) − x·y, with a line search on its values."""

from __future__ import annotations

import numpy as np

from ...machine.arrays import Array
from .potentials import Local, Parametric, blocks

ITERATIONS, HALVINGS = 80, 40
SUFFICIENT = 1e-4  # of the decrease that the slope promises
ROUNDING = 1e-13  # of ψ(y) and of x·y, by which their difference may rise


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
    y, size = (
        start.copy(),
        tol * (1 + np.abs(x).max(axis=1, initial=0.0)) + least,
    )  # of units of the potential, see `units`
    for part in blocks(len(x), psi.width):
        y[part] = _newton(psi, x[part], y[part], size[part])
    return y


def _newton(psi: Parametric, x: Array, y: Array, tol: Array) -> Array:
    active, here = np.arange(len(x)), psi.at(y)
    for _ in range(ITERATIONS):
        residual = here.gradient - x[active]
        open_ = ~(np.linalg.norm(residual, axis=1) <= tol)
        if not open_.any():
            return y
        if not open_.all():
            active, here, residual, tol = active[open_], here.only(open_), residual[open_], tol[open_]
        step, ok = _solved(here.hessian, residual)
        if not ok:
            break
        y[active], here = _searched(psi, x[active], y[active], here, step, np.sum(step * residual, axis=1))
    lost = ~(np.linalg.norm(here.gradient - x[active], axis=1) <= tol)
    y[active[lost]] = np.nan
    return y


def _solved(hessian: Array, residual: Array) -> tuple[Array, bool]:
    """Newton's steps, and whether every matrix could be solved."""
    try:
        step = -np.linalg.solve(hessian, residual[:, :, None])[:, :, 0]
    except np.linalg.LinAlgError:  # one of them is singular to rounding: far from where the potential is used
        return residual, False
    return step, bool(np.isfinite(step).all())


def _searched(psi: Parametric, x: Array, y: Array, here: Local, step: Array, slope: Array) -> tuple[Array, Local]:
    """The longest of the steps 1, ½, ¼, … that lowers ψ(y) − x·y enough, for each point."""
    product = np.sum(x * y, axis=1)
    value = here.value - product
    rounding, t = ROUNDING * (1 + np.abs(here.value) + np.abs(product)), np.ones(len(x))
    new = y + step
    there = psi.at(new)
    for _ in range(HALVINGS):
        worse = ~(there.value - np.sum(x * new, axis=1) <= value + SUFFICIENT * t * slope + rounding)
        if not worse.any():
            break
        t[worse] *= 0.5
        new = y + t[:, None] * step
        there = psi.at(new)
    return new, there
