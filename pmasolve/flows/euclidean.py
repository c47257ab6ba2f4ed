"""Mirror flows in ℝᵈ, d/dt ∇u(x) = −∇F(x): in continuous time, by explicit and by proximal steps.

    flow        ẋ = −(D²u(x))⁻¹∇F(x),  a gradient flow in the metric D²u
    explicit    ∇u(x_{k+1}) = ∇u(x_k) − η∇F(x_k),  mirror descent
    proximal    ∇u(x_{k+1}) + η∇F(x_{k+1}) = ∇u(x_k),  the minimum of F + B_u(· | x_k)/η

with the Bregman divergence B_u(π | x) = u(π) − u(x) − ∇u(x)·(π − x).  It falls along all three, from any point π with F(π) ≤ F:
d/dt B_u(π | x_t) = −∇F(x_t)·(x_t − π) ≤ F(π) − F(x_t), and for the proximal step, whatever η,

    B_u(π | x_k) − B_u(π | x_{k+1}) ≥ η(F(x_{k+1}) − F(π)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp

from ..machine.arrays import Array, having, integer, positive, real, shown
from ..problems.outcomes import REACHED, STALLED, STEP_LIMIT, Outcome
from .integrator import admit_tolerance
from .loop import increasing

NEWTON_STEPS, STEP_HALVINGS = 100, 60  # Newton steps for one step of a scheme, and halvings of one of them
ROUNDED_STEP = 1e-9  # Newton step relative to x from which on only rounding ends the iteration


@dataclass(frozen=True)
class Convex:
    """A smooth convex function on ℝᵈ, or on an open part of it, with its derivatives.

    Attributes
    ----------
    value : (d,) to a number.
    gradient : (d,) to (d,).
    hessian : (d,) to (d, d), positive semidefinite.

    Examples
    --------
    >>> half = Convex(lambda x: 0.5 * x @ x, lambda x: x, lambda x: np.eye(x.size))
    >>> float(half.value(np.array([3.0, 4.0])))
    12.5
    """

    value: Callable[[Array], float]
    gradient: Callable[[Array], Array]
    hessian: Callable[[Array], Array]

    def bregman(self, other: ArrayLike, x: ArrayLike) -> float:
        """B(other | x) ≥ 0: the value at ``other`` less that of the tangent at ``x``."""
        there, here = np.asarray(other, dtype=np.float64), np.asarray(x, dtype=np.float64)
        return float(self.value(there) - self.value(here) - self.gradient(here) @ (there - here))


@dataclass(frozen=True)
class EuclideanPath:
    """Points of a mirror flow or of a scheme, and how it ended.

    Attributes
    ----------
    times : (m,), for the schemes kη.
    points : (m, d).
    values : (m,), F at the points.
    outcome : REACHED; "stalled" where no point solves the step, "step limit" where the flow could not go on: the path ends before.

    Examples
    --------
    >>> QUADRATIC.flow([1.0], [1.0, 2.0]).points.shape
    (2, 1)
    """

    times: Array
    points: Array = field(repr=False)
    values: Array = field(repr=False)
    outcome: Outcome


@dataclass(frozen=True)
class EuclideanMirror:
    """The mirror flow d/dt ∇u(x) = −∇F(x) in ℝᵈ of an objective F with the mirror u, and its two schemes.

    Parameters
    ----------
    u : strictly convex, the mirror.
    F : convex, the objective.
    exact : the solution from (1, …, 1) where it is known, times (m,) to (m, d).

    Raises
    ------
    ValueError : u or F without value, gradient and Hessian.

    References
    ----------
    Nemirovski, Yudin (1983); Beck, Teboulle, Oper. Res. Lett. 31 (2003); slides on arXiv 2504.09279, which print three cases.

    Examples
    --------
    >>> times = np.array([0.5, 1.0])
    >>> bool(np.allclose(QUARTIC.flow([1.0], times).points, QUARTIC.exact(times), rtol=1e-10))
    True
    """

    u: Convex
    F: Convex
    exact: Callable[[Array], Array] | None = None

    def __post_init__(self) -> None:
        for value, name in ((self.u, "u"), (self.F, "F")):
            having(value, "hessian", name, "give Convex(value, gradient, hessian)")

    def flow(self, start: ArrayLike, times: ArrayLike, rtol: float = 1e-12) -> EuclideanPath:
        """x at increasing times by Dormand and Prince's method of order 8, relative tolerance ``rtol`` in [1e-13, 1e-2].

        The path ends where D²u is singular, as u = x⁴ is at rest after t = 6, with the outcome "step limit".
        """
        admit_tolerance(rtol)
        t, x = increasing(times), _point(start)
        least = 1e-14 * (float(np.abs(x).max()) or 1.0)

        def speed(_: float, x: Array) -> Array:
            """−(D²u)⁻¹∇F."""
            return -np.linalg.solve(self.u.hessian(x), self.F.gradient(x))

        begin, points = 0.0, []
        for (
            end
        ) in t:  # steps end there: the interpolant inside one that is as long as stability allows is far less accurate
            with np.errstate(all="ignore"):
                try:
                    found = solve_ivp(speed, (begin, end), x, method="DOP853", rtol=rtol, atol=least)
                except np.linalg.LinAlgError:
                    break
            if not found.success:
                break
            begin, x = end, found.y[:, -1]
            points.append(x)
        reached = REACHED if len(points) == t.size else _singular(begin)
        return self._path(t[: len(points)], np.reshape(points, (-1, x.size)), reached)

    def explicit(self, start: ArrayLike, eta: float, count: int) -> EuclideanPath:
        """x_0, …, x_count by ∇u(x_{k+1}) = ∇u(x_k) − η∇F(x_k); "stalled" where the right-hand side leaves the range of ∇u."""
        return self._steps(start, eta, count, lambda x: (self.u.gradient(x) - eta * self.F.gradient(x), 0.0))

    def proximal(self, start: ArrayLike, eta: float, count: int) -> EuclideanPath:
        """x_0, …, x_count by ∇u(x_{k+1}) + η∇F(x_{k+1}) = ∇u(x_k), for any η > 0."""
        return self._steps(start, eta, count, lambda x: (self.u.gradient(x), eta))

    def _steps(
        self, start: ArrayLike, eta: float, count: int, target: Callable[[Array], tuple[Array, float]]
    ) -> EuclideanPath:
        positive(eta, "eta", "steps")
        points, outcome = [_point(start)], REACHED
        for _ in range(integer(count, "count")):
            after = self._solve(*target(points[-1]), points[-1])
            if after is None:
                outcome = STALLED.advising(
                    f"step {len(points)} with η={eta:.3g} has no solution that Newton's method finds: take shorter steps, or "
                    "proximal ones"
                )
                break
            points.append(after)
        return self._path(eta * np.arange(len(points)), np.stack(points), outcome)

    def _solve(self, target: Array, eta: float, x: Array) -> Array | None:
        """∇u(x) + η∇F(x) = target by Newton's method from x, damped: |residual| falls at each step.

        It ends at a step that is small against x: where there is no solution |residual| may fall forever, and x run away.
        """
        residual = self._residual(x, target, eta)
        for _ in range(NEWTON_STEPS):
            try:
                step = np.linalg.solve(self.u.hessian(x) + eta * self.F.hessian(x), residual)
            except np.linalg.LinAlgError:
                return None
            small = np.linalg.norm(step) <= ROUNDED_STEP * np.linalg.norm(x)
            trials = (x - 0.5**halving * step for halving in range(1 if small else STEP_HALVINGS))
            after = next((y for y in trials if self._norm(y, target, eta) < np.linalg.norm(residual)), None)
            if after is None:  # rounding, or no solution
                return x if small else None
            x, residual = after, self._residual(after, target, eta)
        return None

    def _residual(self, x: Array, target: Array, eta: float) -> Array:
        with np.errstate(all="ignore"):  # outside of the domain of u a trial is refused
            return self.u.gradient(x) + eta * self.F.gradient(x) - target

    def _norm(self, x: Array, target: Array, eta: float) -> float:
        """|residual|, ∞ outside of the domain, where value or Hessian are not those of a convex function."""
        with np.errstate(all="ignore"):
            inside = np.isfinite(self.u.value(x)) and bool(np.all(np.diag(self.u.hessian(x)) >= 0))
        norm = float(np.linalg.norm(self._residual(x, target, eta)))
        return norm if inside and np.isfinite(norm) else np.inf

    def _path(self, times: Array, points: Array, outcome: Outcome) -> EuclideanPath:
        return EuclideanPath(times, points, np.array([float(self.F.value(x)) for x in points]), outcome)


def _point(start: ArrayLike) -> Array:
    x = np.atleast_1d(real(start, "start"))
    if x.ndim != 1 or not np.isfinite(x).all():
        raise ValueError(f"start={shown(start)}: give one point (d,) of finite numbers")
    return x


def _singular(t: float) -> Outcome:
    return STEP_LIMIT.advising(
        f"the flow could not go on beyond t≈{t:.4g}: D²u is singular there, or the solution ends"
    )


def _scalar(value: Callable, gradient: Callable, second: Callable) -> Convex:
    """A function of one variable."""
    return Convex(lambda x: float(value(x)[0]), gradient, lambda x: second(x)[:, None])


HALF_SQUARE = _scalar(lambda x: 0.5 * x**2, lambda x: x, np.ones_like)

QUADRATIC = EuclideanMirror(HALF_SQUARE, HALF_SQUARE, lambda t: np.exp(-t)[:, None])
"""F = u = x²/2, the gradient flow: e^{−t}."""

QUARTIC = EuclideanMirror(
    _scalar(lambda x: x**4, lambda x: 4 * x**3, lambda x: 12 * x**2),
    HALF_SQUARE,
    lambda t: np.sqrt(np.maximum(1 - t / 6, 0))[:, None],
)
"""F = x²/2, u = x⁴: (1 − t/6)₊^½, at rest after t = 6."""

RECIPROCAL = EuclideanMirror(
    _scalar(lambda x: 1 / x, lambda x: -1 / x**2, lambda x: 2 / x**3),
    HALF_SQUARE,
    lambda t: ((1 + 1.5 * t) ** (-1 / 3))[:, None],
)
"""F = x²/2, u = 1/x on x > 0: (1 + 3t/2)^{−1/3}."""
