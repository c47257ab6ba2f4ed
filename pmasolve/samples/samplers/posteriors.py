"""Laws whose density is known up to its constant: what variational inference by a map is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.optimize import minimize

from ...gaussian.normal import Normal
from ...machine.arrays import Array, having, integer, number, shown
from ...machine.speaking import count
from ...problems.outcomes import REACHED, Outcome
from .inversion import INVERSE_TOL
from .laws import log_density, pushed
from .modes import judged, missed
from .objectives import FreeEnergy, GaussNewtonObjective, pulled_log_ratio
from .potentials import Parametric
from .reference import Nodes, Reference
from .units import Unit

SLOPES = (1e-4, 1e-6)  # steps of the differences that grad_f is compared with
TEMPERATURES = (0.03, 0.06, 0.12, 0.25, 0.5, 0.75, 1.0)  # inverse temperatures from the broad law to the posterior
FIRST_WIDTH = 0.15  # of the spread: the first Q of a posterior
DIFFERENCE = 1e-4  # of a standard deviation, for second derivatives of f


@dataclass(frozen=True, eq=False, init=False)
class Posterior:
    """A law μ = e^{−f}/Z with f known and Z not: variational inference by a map, with KL, log Z and effective sample size.

    Parameters
    ----------
    f : points (n, d) ↦ (n,).
    grad_f : points (n, d) ↦ (n, d).
    d : the dimension.
    spread : of a law N(0, spread²I) that covers all modes: the run is then tempered from it.  Without it the run starts from the
        normal approximation at the mode that is found from 0, which suits one mode.
    reference : e^{−g}, a `gaussian.Normal`; N(0, I) unless given.

    Raises
    ------
    ValueError : f or grad_f that do not return such arrays, or not finite ones at the origin; grad_f that is not the gradient of
        f near the origin; no positive spread.

    Examples
    --------
    >>> Posterior(lambda x: 0.5 * np.sum(x**2, axis=1), lambda x: x, 2).mean
    array([0., 0.])
    """

    f: Callable[[Array], Array] = field(repr=False)
    grad_f: Callable[[Array], Array] = field(repr=False)
    dim: int
    spread: float | None
    reference: Reference = field(repr=False)

    def __init__(
        self,
        f: Callable[[Array], Array],
        grad_f: Callable[[Array], Array],
        d: int,
        spread: float | None = None,
        reference: Normal | None = None,
    ) -> None:
        dim = integer(d, "d")
        if spread is not None and not 0 < number(spread, "spread") < np.inf:
            raise ValueError(f"spread={spread}: give a positive number, a scale that covers all modes")
        for function, shape, name in ((f, (3,), "f"), (grad_f, (3, dim), "grad_f")):
            having(function, "__call__", name, f"give a function of points (n, {dim})")
            found = np.asarray(function(np.zeros((3, dim))))
            if found.shape != shape or not np.isfinite(found).all():
                raise ValueError(
                    f"{name} at three points of zeros gives {shown(found)}: it must take (n, {dim}) and give finite "
                    f"numbers of shape {('n', *shape[1:])}"
                )
        _check_slope(f, grad_f, dim)
        for name, value in (
            ("f", f),
            ("grad_f", grad_f),
            ("dim", dim),
            ("spread", spread),
            ("reference", Reference.of(reference, dim)),
        ):
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        how = "from its mode" if self.spread is None else f"tempered from a spread of {self.spread:g}"
        return f"<Posterior in {count(self.dim, 'dimension')}, {how}>"

    @property
    def unit(self) -> Unit:
        """None but that of f, so that steps of `MongeAmpereSampler` are those of the papers."""
        return Unit.same(self.dim)

    @property
    def standard(self) -> Posterior:
        """Itself."""
        return self

    def seen(self, seed: int) -> Posterior:
        """Itself: nothing is held out."""
        return self

    @cached_property
    def mean(self) -> Array:
        """The mode that is found from 0; 0 with a spread, (d,)."""
        if self.spread is not None:
            return np.zeros(self.dim)
        found = minimize(
            lambda x: float(self.f(x[None])[0]),
            np.zeros(self.dim),
            jac=lambda x: self.grad_f(x[None])[0],
            method="BFGS",
        )
        return np.asarray(found.x)

    @cached_property
    def covariance(self) -> Array:
        """The inverse of D²f at the mode, by differences of grad_f; spread² I with a spread, (d, d)."""
        d = self.dim
        if self.spread is not None:
            return self.spread**2 * np.eye(d)
        h = DIFFERENCE * max(1.0, float(np.abs(self.mean).max()))
        steps = h * np.eye(d)
        hessian = (self.grad_f(self.mean + steps) - self.grad_f(self.mean - steps)) / (2 * h)
        values, axes = np.linalg.eigh(0.5 * (hessian + hessian.T))
        if not values[0] > 0:
            raise ValueError(
                f"f has the curvature {values[0]:.3g} ≤ 0 at {shown(self.mean.tolist())}, so that there is no normal "
                "approximation: give spread, a scale that covers all modes"
            )
        return (axes / values) @ axes.T

    @property
    def finest(self) -> float:
        """Nothing, since f is known."""
        return 0.0

    def anchors(self, count: int, seed: int) -> tuple[Array, Array, Array]:
        """Points of the start's normal law, of equal masses, and a narrow covariance around them."""
        points = Reference(self.mean, np.linalg.cholesky(self.covariance)).sobol(count, seed).points[:count]
        return points, np.full(count, 1.0 / count), FIRST_WIDTH**2 * self.covariance

    def admit(self, count: int) -> None:
        """Any number of parameters."""

    def law(self, psi: Parametric, nodes: Nodes) -> tuple[Nodes, Array, Array]:
        """The images of the nodes with importance weights e^{−h}, the nodes as their preimages, and h."""
        h = pulled_log_ratio(psi, self.reference, self.f, nodes.points)
        weights = nodes.weights * np.exp(-(h - h.min()))
        return Nodes(pushed(psi, nodes.points), weights / weights.sum()), nodes.points, h

    def verdict(self, psi: Parametric, record: Mapping[str, float], enough: float) -> Outcome:
        """Whether a map at rest is that of the posterior: modes, effective samples, KL."""

        def density(x: Array) -> Array:
            """Of the map, (n,)."""
            return log_density(psi, self.reference, x, np.tile(self.reference.mean, (len(x), 1)), INVERSE_TOL)[0]

        return judged(record, 0.0, missed(density, self, record["log_z"], 0), enough)

    def reached(self, psi: Parametric) -> Outcome:
        """A run that ends before it is at rest is judged by `Sampler.evidence` only."""
        return REACHED

    def objectives(self, count: int, seed: int) -> tuple[GaussNewtonObjective, ...]:
        """Divergences for `ImplicitSampler`: the posterior alone, or the ladder of tempered ones."""
        nodes = self.reference.sobol(count, seed)
        ladder = (1.0,) if self.spread is None else TEMPERATURES
        return tuple(self.tempered(beta, nodes) for beta in ladder)

    def tempered(self, beta: float, nodes: Nodes) -> FreeEnergy:
        """KL to the law with βf + (1−β)|x|²/2 spread² in place of f."""
        if beta == 1.0:
            return FreeEnergy(self.f, self.grad_f, self.reference, nodes)
        variance = float(self.spread or 1.0) ** 2

        def f(x: Array) -> Array:
            """βf and the rest of the broad law."""
            return beta * self.f(x) + (1 - beta) / (2 * variance) * np.sum(x**2, axis=1)

        def grad_f(x: Array) -> Array:
            """∇ of the tempered f."""
            return beta * self.grad_f(x) + (1 - beta) / variance * x

        return FreeEnergy(f, grad_f, self.reference, nodes)


def _check_slope(f: Callable[[Array], Array], grad_f: Callable[[Array], Array], dim: int) -> None:
    """Refuse a grad_f that differences of f contradict with two steps, at three points near the origin."""
    rng = np.random.default_rng(0)
    x, v = rng.standard_normal((3, dim)), rng.standard_normal((3, dim))
    slope = np.sum(grad_f(x) * v, axis=1)
    wrong = np.ones(3, bool)
    for h in SLOPES:
        ahead, behind = f(x + h * v), f(x - h * v)
        with np.errstate(invalid="ignore"):  # infinite where there is no mass
            difference = (ahead - behind) / (2 * h)
        rounding = 1e-14 * (np.abs(ahead) + np.abs(behind)) / h
        wrong &= np.abs(difference - slope) > 0.01 * np.maximum(np.abs(difference), np.abs(slope)) + rounding
    if wrong.any():
        i = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"grad_f is not the gradient of f: along {shown(v[i].round(3).tolist())} at {shown(x[i].round(3).tolist())} it gives "
            f"{slope[i]:.6g}, and differences of f give {difference[i]:.6g}"
        )
