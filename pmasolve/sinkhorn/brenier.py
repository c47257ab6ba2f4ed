"""Brenier's potential from Schrödinger's, extrapolated to ε → 0: an optimal transport solver of order 2, 4, 6, …

In the symmetric gauge the fixed points expand in even powers,

    χ^ε = φ^ε + (ε/2)f = φ + ε² e₂ + ε⁴ e₄ + …,

and in the self gauge, χ^ε = φ^ε − u_ff, because ε → −ε turns an iteration into its inverse.  Richardson's extrapolation over
ε, ε/r, ε/r², … takes the powers off one by one, and the difference that each of them makes estimates the error of the result
without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from numpy.typing import ArrayLike

from ..machine.arrays import Array, integer, number
from ..machine.speaking import count, numbers, sheet
from ..problems.outcomes import INTERRUPTED, REACHED, Outcome
from ..problems.problem import Problem, checked
from .fixed_points import BROKEN_OFF, NEWTON, SinkhornNewton
from .gauges import SYMMETRIC, Gauge
from .iteration import Sinkhorn
from .richardson import extrapolate, need_even_powers
from .schroedinger import Schroedinger, schroedinger
from .softmin.protocol import Softmin

SERIES_REMEDY = (
    "the series in ε does not converge from here: take a smaller ε on a grid that resolves it, or fewer levels"
)


@dataclass(frozen=True, eq=False)
class Brenier:
    """Extrapolated potentials, from the fixed points ``runs`` at ε, ε/r, …, coarse to fine.

    Attributes
    ----------
    runs : `Schroedinger` for each ε that was finished.
    stopped : the outcome that ended the ladder early, if one did.

    Examples
    --------
    >>> import numpy as np
    >>> from pmasolve import Torus
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> found = brenier(problem, 0.02, levels=2)
    >>> found.orders, len(found.estimates), found.potential.shape
    ((2, 4), 1, (32,))
    """

    runs: tuple[Schroedinger, ...]
    stopped: Outcome = REACHED

    def __repr__(self) -> str:
        where = self.runs[0].flow.problem.domain.words
        return f"<Brenier on {where}: {count(len(self.runs), 'level')} to ε = {self.runs[-1].eps:.6g}, {self.outcome.name}>"

    def summary(self) -> str:
        """Outcome with its advice, the ladder of ε, orders and estimated errors, on a page of at most 80 columns."""
        return sheet(
            repr(self),
            {
                "outcome": self.outcome,
                "ε": numbers([run.eps for run in self.runs]),
                "orders": numbers(self.orders),
                "estimates": numbers(self.estimates) or None,
                "error": f"{self.error_estimate:.2g}, estimated" if len(self.runs) > 1 else None,
                "marginals": numbers([run.marginal_error for run in self.runs]),
                "work": count(self.iterations, "iteration"),
            },
        )

    @cached_property
    def potentials(self) -> tuple[Array, ...]:
        """u, mean-free, of order 2, 4, 6, … in the finest ε: from the finest 1, 2, 3, … runs."""
        return tuple(_polynomial(self.runs[-count:], 0.0) for count in range(1, len(self.runs) + 1))

    @property
    def potential(self) -> Array:
        """u of the highest order, mean-free, with φ = |x|²/2 + u."""
        return self.potentials[-1]

    @property
    def orders(self) -> tuple[int, ...]:
        """Orders in ε of ``potentials``: 2, 4, 6, …"""
        return tuple(range(2, 2 * len(self.runs) + 1, 2))

    @property
    def estimates(self) -> tuple[float, ...]:
        """Estimated sup errors of all potentials but the last: the distance to the next order.

        Levels close together (ratio < 2) share so much that the truth may be a few times larger.
        """
        sup = self.runs[0].flow.problem.domain.sup
        pairs = zip(self.potentials[:-1], self.potentials[1:], strict=True)
        return tuple(sup(high - low) for low, high in pairs)

    @property
    def error_estimate(self) -> float:
        """By how much (sup) the finest run changed ``potential``: an estimate that proved safe; NaN with one level.

        Where it exceeds the estimates, rounding or a diverging series, not ε, limits the accuracy.
        """
        if len(self.runs) < 2:
            return float("nan")
        return self.runs[0].flow.problem.domain.sup(self.potential - _polynomial(self.runs[:-1], 0.0))

    @property
    def outcome(self) -> Outcome:
        """The outcome of the first run that is not well; else of the ladder; else whether ``potential`` has a map and a density."""
        ended = next((run.outcome for run in self.runs if not run.outcome.ok), self.stopped)
        return self._inspected if ended.ok else ended

    @cached_property
    def _inspected(self) -> Outcome:
        return self.runs[-1].flow.look(self.potential).verdict(lambda: SERIES_REMEDY)

    @property
    def iterations(self) -> int:
        """Iterations and equivalents of all runs."""
        return sum(run.iterations for run in self.runs)

    @property
    def map(self) -> Array:
        """x + ∇u at the nodes for the potential of the highest order, a field (dim, *shape)."""
        return self.runs[-1].flow.reading.map(self.potential)


def brenier(
    problem: Problem,
    eps: float,
    *,
    levels: int = 3,
    ratio: float = 2.0,
    marginal: float = 1e-12,
    start: ArrayLike | None = None,
    gauge: Gauge = SYMMETRIC,
    newton: SinkhornNewton | None = NEWTON,
    limit: int = 20_000,
    softmin: Softmin | None = None,
    quadrature: float = 1e-12,
    progress: bool | None = None,
) -> Brenier:
    """Brenier's potential by Schrödinger potentials at ε, ε/r, …, ε/r^{levels−1}: order 2·levels in ε.

    Parameters
    ----------
    problem : densities on a grid; the noise of samples is amplified by extrapolation, and they are refused.
    eps : the largest ε.
    levels : how many, ≥ 1.
    ratio : of neighbouring ε, > 1.  Since the series diverges in the end, many levels close together (√2) give more digits at the
        same least ε than few far apart, until rounding of the fixed points, amplified some tens of times, shows.
    marginal : largest marginal error of each; an error of the potential is about that over the spectral gap.
    start : u of Brenier's potential, where something is known of it, read as χ for ``eps``; annealing otherwise.
    gauge : `SYMMETRIC`, χ = φ + (ε/2)f, or `SELF`, χ = φ − u_ff with the self-potential of the source: even powers of ε both.
    newton, limit, softmin, quadrature, progress : as in `schroedinger`, for each level.

    Returns
    -------
    `Brenier`: the extrapolated potentials, their estimated errors, and the fixed points they come from.

    Raises
    ------
    ValueError : samples; a gauge of order 1; levels < 1, ratio ≤ 1; what `schroedinger` refuses.

    Notes
    -----
    Every level starts from the polynomial in ε² through those before it, so that the finer ones take few iterations.
    The finest ε must be resolved by the grid, see ``outcome``.  Ctrl-C returns the levels finished so far.

    References
    ----------
    Deb, Kim, Pal, Schiebinger, arXiv 2307.16421 (the limit); Chizat, Roussillon, Léger, Vialard, Peyré, arXiv 2006.08172
    (Richardson's extrapolation of the debiased cost; here of the potential itself, whose bias of order ε is known to be −f/2).

    Examples
    --------
    >>> import numpy as np
    >>> from pmasolve import Torus
    >>> torus = Torus((64,))
    >>> problem = Problem(torus, lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> found = brenier(problem, 8e-3, levels=4)
    >>> found.outcome.name, found.orders, found.error_estimate < 1e-6
    ('reached', (2, 4, 6, 8), True)
    """
    eps = number(eps, "eps")
    levels = integer(levels, "levels")
    if not number(ratio, "ratio") > 1:
        raise ValueError(f"ratio={ratio}: neighbouring ε must differ; give a number above 1, for example 2")
    need_even_powers(checked(problem), gauge)
    if gauge.needs_density:
        problem.need_positive("extrapolation in ε")
    chi = None if start is None else problem.domain.values(start, "start")
    runs: list[Schroedinger] = []
    for level in range(levels):
        step = eps / ratio**level
        flow = Sinkhorn(problem, step, gauge=gauge, softmin=softmin)
        u = None if chi is None else flow.iterate_of(chi)
        options = {"gauge": gauge, "newton": newton, "limit": limit, "softmin": softmin}
        options |= {"quadrature": quadrature, "progress": progress}
        try:
            run = schroedinger(problem, step, marginal=marginal, start=u, **options)
        except KeyboardInterrupt:  # before its first iteration was complete
            if not runs:
                raise
            return Brenier(tuple(runs), BROKEN_OFF)
        if run.outcome == INTERRUPTED and runs:
            return Brenier(tuple(runs), BROKEN_OFF)
        runs.append(run)
        if run.outcome == INTERRUPTED:
            break
        chi = _polynomial(runs, step / ratio)
    return Brenier(tuple(runs))


def _polynomial(runs: Sequence[Schroedinger], eps: float) -> Array:
    """χ at another ε by the polynomial in ε² through all runs; 0 for the limit."""
    return extrapolate([run.chi for run in runs], [run.eps for run in runs], eps)
