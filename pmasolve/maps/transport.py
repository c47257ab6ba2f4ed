"""The optimal map between two densities on a torus or a box, its cost, and a certificate of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..calculus.differences import FiniteDifference
from ..calculus.operators import FOURIER, Space
from ..machine.arrays import having, number, shown
from ..machine.progress import progress_bar
from ..problems.grids import Grid
from ..problems.outcomes import INTERRUPTED, REACHED, UNRESOLVED, Outcome
from ..problems.problem import Problem, checked
from .certificates import Certificate, Interval, certify, splitting, squared, walled
from .devices.level import levels_on
from .exact import Simplex, between_nodes
from .newton import LevelFactory, NewtonKrylov, Solution, newton, on_processor
from .semidual import SemiDual
from .transported import DISCRETE, Method, Transport

NEARER = 0.5  # of the root of `splitting`: the error of a map by Newton that is better than the semi-dual's, which jumps by cells


def transport(
    problem: Problem,
    *,
    space: Space = FOURIER,
    gap: float = 1e-3,
    tolerance: float = 1e-12,
    method: Method | None = None,
    progress: bool | None = None,
    device: Any = None,
) -> Transport:
    """The optimal transport map from e^{−f} to e^{−g} for the cost |x−y|², periodic on a torus.

    Solves e^{−f} = e^{−g(x+∇u)} det(I + D²u), the steady state of `MongeAmpere`.

    Parameters
    ----------
    problem : densities on a torus or a box, 1, 2 or 3 dimensions.
    space : `Fourier()`, or `FiniteDifference(order)` for errors of that order.
    gap : relative width of the certified interval of W₂² that counts as solved; one narrower than `certificates.splitting`, which
        the spacing leaves open, does too: ``outcome`` says so.  0: the optimum between the masses of the nodes, by `Simplex`.
    tolerance : of Newton's method, on ∫|μ − ν(x+∇u) det(I+D²u)|.
    method : `NewtonKrylov(…)` for smooth, positive densities, `SemiDual(…)` for any, `Simplex(…)` for any to the last digit.
        Unless given Newton is tried first, and one of the others where a density vanishes or that interval is wider: the simplex
        between few nodes (1600 of a side) and where the semi-dual does not reach the gap.  Newton's map is
        kept, with the interval of the nodes in ``T.nodes``, where it is about nearer to that of the densities than cells let the
        others' be.  ``T.method`` tells.
    progress : show a bar; by default on a terminal, once two seconds have passed.
    device : Newton's method on a torus in the arrays of another library: "cuda", "cuda:1", "cpu" and others that torch knows
        (extra ``gpu``), or a device of JAX or a mesh of several.  Densities are formulas written with NumPy's functions, which run
        there as they stand, or splines of samples; the answer is that of the processor but for roundings, after the same steps, and
        its certificate is the processor's.  Unless given, compiled loops on the processor.

    Returns
    -------
    `Transport`: the map, its cost with bounds, and how it ended.

    Raises
    ------
    ValueError : samples instead of densities, Newton for a density that vanishes, a gap below 0, a tolerance that is not positive;
        a device that is not there, or for a box, differences, the other methods or a formula that it cannot run.

    Notes
    -----
    Nothing is raised when a method fails: see ``outcome``, ``gap`` and ``residual``.
    The interval of a smooth map speaks of the densities, that of the semi-dual of the measures on the nodes.
    Cost: for densities that a coarse grid resolves, some 60 transforms of the finest grid; memory about 20 arrays of the grid.
    In a box, for densities with slopes at the walls, those of the certificate have 2²⁰ points or 3.4 times those of the grid.

    References
    ----------
    Loeper, Rapetti, C. R. Acad. Sci. Paris 340 (2005); the bound: Peyre, arXiv 1104.4631.

    Examples
    --------
    >>> from pmasolve import Torus
    >>> problem = Problem(Torus((64, 64)), lambda x, y: 0.5 * np.cos(2 * np.pi * x), lambda x, y: 0.5 * np.sin(2 * np.pi * (x + y)))
    >>> T = transport(problem)
    >>> T.outcome.name, T.gap < 1e-8, T.map.shape
    ('reached', True, (2, 64, 64))
    """
    _check_request(problem, space, gap, tolerance, method)
    gap = number(gap, "gap")  # a whole number beyond the floats is infinite
    if device is not None:
        return _on_device(problem, space, gap, tolerance, method, progress, device)
    if isinstance(method, (SemiDual, Simplex)) or (method is None and (problem.vanishing or gap == 0)):
        return _rough(problem, gap, method, progress)
    if method is not None:
        problem.need_positive("Newton's method")
    T, error = _newton(problem, space, gap, tolerance, method or NewtonKrylov(), progress, on_processor)
    if method is not None or T.outcome.ok or T.outcome == INTERRUPTED or not problem.domain.whole:
        return T
    rough = _rough(problem, gap, None, progress, T.records)
    if rough.outcome == INTERRUPTED:
        return replace(T if T.gap < rough.gap else rough, outcome=INTERRUPTED)
    if error <= NEARER * np.sqrt(splitting(problem.domain)):
        return replace(T, nodes=rough.interval, outcome=_beside(T, rough, gap) if rough.outcome.ok else T.outcome)
    return T if not rough.outcome.ok and T.gap < rough.gap else rough


def _newton(
    problem: Problem,
    space: Space,
    gap: float,
    tolerance: float,
    settings: NewtonKrylov,
    progress: bool | None,
    levels: LevelFactory,
) -> tuple[Transport, float]:
    with progress_bar("Newton", -np.log10(tolerance), progress, "digits") as show:

        def watch(record: Mapping[str, float]) -> None:
            show(-np.log10(record["defect"] + 1e-300), record)

        return _smooth(problem, space, gap, settings, newton(problem, space, tolerance, settings, watch, levels))


def _on_device(
    problem: Problem,
    space: Space,
    gap: float,
    tolerance: float,
    method: Method | None,
    progress: bool | None,
    device: Any,
) -> Transport:
    """By Newton's method alone: the others are compiled loops."""
    settings = NewtonKrylov() if method is None else method
    if gap == 0 or not isinstance(settings, NewtonKrylov):
        raise ValueError(
            f"device={shown(str(device))}: Newton's method alone, with gap= above 0; leave device= out for {method!r}"
        )
    problem.need_positive("Newton's method on a device")
    return _newton(problem, space, gap, tolerance, settings, progress, levels_on(device, problem, space))[0]


def _rough(
    problem: Problem,
    gap: float,
    method: SemiDual | Simplex | None,
    progress: bool | None,
    before: Sequence[Mapping[str, float]] = (),
) -> Transport:
    """By what is certified by itself: the semi-dual or the simplex."""
    grid, mu = checked(problem).domain, np.exp(-problem.f)
    found, settings = between_nodes(grid, mu, np.exp(-problem.g), gap, method, progress)
    return Transport(
        problem,
        found.potential,
        FiniteDifference(2),
        0.5 * (found.lower + found.upper),
        found.residual,
        np.nan,
        Interval(found.lower, found.upper, DISCRETE),
        np.nan,
        found.outcome,
        settings,
        (*before, *found.records),
        np.where(mu > 0, found.barycentre, grid.points),
        np.where(mu > 0, found.spread, 0.0),
        coupling=found.coupling,
    )


def _check_request(problem: Problem, space: Space, gap: float, tolerance: float, method: Method | None) -> None:
    if not checked(problem, shared=True).has_densities:
        raise ValueError(
            "samples carry weights but no density: estimate densities on a grid (Problem.from_densities), or use schroedinger"
        )
    having(space, "on", "space", "give Fourier(), or FiniteDifference(order)")
    if not (method is None or isinstance(method, (NewtonKrylov, SemiDual, Simplex))):
        raise ValueError(f"method={shown(method)}: give NewtonKrylov(), SemiDual(), Simplex(), or None for all in turn")
    if not (number(gap, "gap") >= 0 and 0 < number(tolerance, "tolerance") < 1):
        raise ValueError(
            f"gap={gap}, tolerance={tolerance}: the gap must be at least 0, the tolerance positive and below 1"
        )
    if gap == 0 and isinstance(method, (NewtonKrylov, SemiDual)):
        raise ValueError("gap=0: that needs an optimal coupling; give method=Simplex(), or None")


def _smooth(
    problem: Problem, space: Space, gap: float, settings: NewtonKrylov, found: Solution
) -> tuple[Transport, float]:
    """What Newton found, certified, and the estimated error of the map where that was needed."""
    level, state, outcome, records = found.level, found.state, found.outcome, found.records
    series, mu = (level.transform, level.coefficients), walled(problem.domain, level.mu)
    u, slope = level.operators.with_slope(level.coefficients, level.jet.D)
    moved = np.multiply(squared(slope, level.jet.D2[0]), mu, out=level.jet.D2[0])
    cost = problem.domain.total(moved) / problem.domain.total(mu)
    del found, level, mu, slope, moved  # some ten arrays of the grid, as many as the certificate needs
    certificate = certify(problem, series, cost, gap)
    T = Transport(
        problem,
        u,
        space,
        cost,
        state.l1,
        state.sup,
        certificate.interval,
        certificate.min_eigenvalue,
        _judged_by_certificate(outcome, certificate, gap, cost, problem.domain),
        settings,
        records,
    )
    return T, certificate.error


def _judged_by_certificate(outcome: Outcome, certificate: Certificate, gap: float, cost: float, grid: Grid) -> Outcome:
    """Newton's outcome in the light of the certificate."""
    interval, open_ = certificate.interval, splitting(grid)
    identity = max(1e2 * cost, interval.upper) < 1e-18 * float(np.sum(np.square(grid.lengths)))
    if interval.gap <= gap or identity:
        if outcome.ok:
            return REACHED
        return Outcome(
            "within the gap", True, f"Newton: {outcome}; the interval is as narrow as asked for all the same"
        )
    if interval.lower > 0 and interval.upper - interval.lower <= open_:
        return _within_the_grid(interval, gap, open_)
    return outcome if not outcome.ok else _unresolved(interval, gap)


def _within_the_grid(interval: Interval, gap: float, open_: float) -> Outcome:
    return Outcome(
        "within the grid",
        True,
        f"certified gap {interval.gap:.2g} > {gap:.2g}, yet narrower than Σh²/6 = {open_:.2g}, by which W₂² between the masses of "
        "nodes is larger; refine the grid for a narrower one, or take SemiDual() for the masses of the nodes",
    )


def _beside(T: Transport, rough: Transport, gap: float) -> Outcome:
    """Newton's map with the semi-dual's interval."""
    return Outcome(
        "nodes within the gap",
        True,
        f"W₂² between the masses of the nodes is certified, gap {rough.gap:.2g} ≤ {gap:.2g}; that of the densities to {T.gap:.2g} "
        f"only ({T.outcome.name}); the map is Newton's for the densities; refine the grid for a narrower interval",
    )


def _unresolved(interval: Interval, gap: float) -> Outcome:
    return UNRESOLVED.advising(
        f"the equation holds at the nodes but not between them: certified gap {interval.gap:.2g} > {gap:.2g}; refine the grid",
    )
