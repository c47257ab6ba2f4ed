"""A cone of convex functions in ridges, and the JKO step in it: one smooth convex programme over θ ≥ 0.

    ψ(x) = ½δ|x|² + c·x + Σ_k θ_k φ_k(x),   θ ≥ 0,   D²φ_k = b_k(x) e_k e_kᵀ,   b_k ≥ 0,

with φ a square (b = 1), a ridge log 2cosh z (b = 1 − tanh² z) or a dip ½z² − log 2cosh z (b = tanh² z), z = ω·x + β, in units of
|ω|.  So D²ψ ⪰ δI everywhere, while ridges and dips together are all signed ridges that squares outweigh.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from scipy.optimize import nnls

from ...machine.arrays import Array
from ..samplers.reference import Reference
from ..samplers.span import LINE, RIDGE_FEATURE, SQUARE, SpanPotential

ROTATED_AXES = 12  # dimensions up to which squares along sums and differences of axes are there
ARRAY_NUMBERS = 1 << 23  # of the arrays for the second derivative of −∫log det, from as many points as fit
RIDGE_PENALTY = 1e-7  # of the mean diagonal entry of the quadratic part
NEWTON_ITERATIONS, LINE_HALVINGS = 60, 40
NEWTON_DECREMENT = 1e-11  # nats that Newton's model still promises
SUFFICIENT_DECREASE = 1e-4


@dataclass(frozen=True, eq=False)
class Cone:
    """The functions φ_k.

    Parameters
    ----------
    axes : (q, d) unit directions of the squares, the d axes first.
    centre : (d,) where lines and squares vanish.
    omega, beta : (r, d), (r,) of the ridges and dips.
    least : δ.
    """

    axes: Array = field(repr=False)
    centre: Array = field(repr=False)
    omega: Array = field(repr=False)
    beta: Array = field(repr=False)
    least: float

    @classmethod
    def around(cls, x: Array, ridges: int, scales: tuple[float, ...], least: float, rng: np.random.Generator) -> Cone:
        """Squares along the axes of the points' covariance; ridges across the points, in units of their spread."""
        d, centre = x.shape[1], x.mean(axis=0)
        values, frame = np.linalg.eigh(np.cov(x.T).reshape(d, d))
        directions = rng.standard_normal((ridges, d))
        directions *= rng.choice(np.array(scales), size=(ridges, 1)) / np.linalg.norm(directions, axis=1, keepdims=True)
        omega = (directions / np.sqrt(values)) @ frame.T
        beta = -np.sum(omega * x[rng.integers(len(x), size=ridges)], axis=1)
        return cls(_axes_and_diagonals(frame), centre, omega, beta, least)

    @property
    def dim(self) -> int:
        """The dimension d."""
        return self.axes.shape[1]

    @cached_property
    def norms(self) -> Array:
        """|ω|, (r,)."""
        return np.linalg.norm(self.omega, axis=1)

    @cached_property
    def directions(self) -> Array:
        """e_k of lines, squares, ridges, dips, (K, d)."""
        unit = self.omega / self.norms[:, None]
        return np.concatenate([np.eye(self.dim), self.axes, unit, unit])

    @property
    def identity(self) -> Array:
        """θ of ½|x|², (K,)."""
        theta = np.zeros(len(self.directions))
        d = self.dim
        theta[:d], theta[d : 2 * d] = (1 - self.least) * self.centre, 1 - self.least
        return theta

    def slopes(self, x: Array) -> tuple[Array, Array]:
        """∇φ_k = a_k e_k and D²φ_k = b_k e_k e_kᵀ at points (n, d): a and b, (n, K)."""
        z = x @ self.omega.T + self.beta
        bend, n, d, q = np.tanh(z), len(x), self.dim, len(self.axes)
        a = [np.ones((n, d)), (x - self.centre) @ self.axes.T, bend / self.norms, (z - bend) / self.norms]
        b = [np.zeros((n, d)), np.ones((n, q)), 1 - bend**2, bend**2]
        return np.hstack(a), np.hstack(b)

    def potential(self, theta: Array) -> SpanPotential:
        """ψ as a member of the span of lines, squares and ridges."""
        d, q, r = self.dim, len(self.axes), len(self.omega)
        c, squares, up, down = np.split(theta, np.cumsum([d, q, r]))
        squares = squares.copy()
        squares[:d] -= 1 - self.least  # a span begins at ½|x|², a cone at ½δ|x|²
        unit = self.directions[-r:] if r else np.empty((0, d))
        shift = self.beta / self.norms
        omega = np.concatenate([np.eye(d), self.axes, unit, self.omega])
        beta = np.concatenate([np.zeros(d), -self.axes @ self.centre, shift, self.beta])
        w = np.concatenate([c - (1 - self.least) * self.centre, squares, down, up - down])
        return SpanPotential(omega, beta, np.repeat([LINE, SQUARE, RIDGE_FEATURE], [d, q + r, r]), w)


def least_stretch(psi: SpanPotential) -> float:
    """A bound below on the eigenvalues of D²ψ at every point: the least of base·I + Σ_squares wωωᵀ + Σ_ridges min(w, 0)ωωᵀ/|ω|²."""
    first, second = psi.parts
    omega = psi.omega[first:]
    w = np.concatenate([psi.w[first:second], np.minimum(psi.w[second:], 0.0) / psi.squared])
    return float(np.linalg.eigvalsh(psi.base * np.eye(psi.dim) + (omega * w[:, None]).T @ omega)[0])


def squares_in(dim: int) -> int:
    """How many squares a cone has in so many dimensions."""
    return dim**2 if dim <= ROTATED_AXES else dim


def _axes_and_diagonals(frame: Array) -> Array:
    """The axes, and up to twelve dimensions their sums and differences, as unit rows."""
    d = len(frame)
    pairs = [(i, j, s) for i in range(d) for j in range(i) for s in (1.0, -1.0)] if d <= ROTATED_AXES else []
    return np.array([*frame.T, *((frame[:, i] + s * frame[:, j]) / np.sqrt(2) for i, j, s in pairs)])


@dataclass(frozen=True, eq=False)
class ConeMinimiser:
    """The minimiser of a step.

    Attributes
    ----------
    theta : (K,).
    value : the loss there.
    slope : the largest violation of the optimality conditions, in units of the loss per θ.
    steps : of Newton's method.
    path : θ before every step, and the last.
    """

    theta: Array = field(repr=False)
    value: float
    slope: float
    steps: int
    path: tuple[Array, ...] = field(repr=False)


class Programme:
    """E[V(∇ψ)] − E[log det D²ψ] + E|∇ψ − x|²/2γ over the cone, at points x (n, d); V = −log of the reference."""

    def __init__(self, cone: Cone, x: Array, reference: Reference, gamma: float) -> None:
        self.cone, n, E = cone, len(x), cone.directions
        a, b = cone.slopes(x)
        self.some = b[: max(1, min(n, ARRAY_NUMBERS // (len(E) * min(len(E), cone.dim**2))))]
        first = len(E) - 2 * len(cone.omega)
        self.bend = b[:, first : first + len(cone.omega)].copy()  # of the ridges; the dips have 1 − bend
        unit = E[first : first + len(cone.omega)]
        self.products = (unit[:, :, None] * unit[:, None, :]).reshape(len(unit), cone.dim**2)
        inverse = np.linalg.inv(reference.factor @ reference.factor.T)
        pull, moved = cone.least * x - reference.mean, (1 - cone.least) * x
        self.A = (a.T @ a / n) * (E @ (inverse + np.eye(cone.dim) / gamma) @ E.T)
        self.A[np.diag_indices(len(E))] += RIDGE_PENALTY * np.trace(self.A) / len(E)
        self.right = np.mean(a * ((pull @ inverse - moved / gamma) @ E.T), axis=0)
        self.constant = 0.5 * np.mean(np.sum(pull @ inverse * pull, axis=1) + np.sum(moved**2, axis=1) / gamma)
        self.constant -= float(reference.log_density(reference.mean[None])[0])

    def _split(self, theta: Array) -> list[Array]:
        """Lines, squares, ridges, dips."""
        d, q, r = self.cone.dim, len(self.cone.axes), len(self.cone.omega)
        return np.split(theta, [d, d + q, d + q + r])

    def hessians(self, theta: Array) -> Array:
        """D²ψ, (n, d, d)."""
        d, axes = self.cone.dim, self.cone.axes
        _, squares, up, down = self._split(theta)
        constant = self.cone.least * np.eye(d) + (axes * squares[:, None]).T @ axes
        along = down + self.bend * (up - down)
        return constant + (along @ self.products).reshape(-1, d, d)

    def value(self, theta: Array) -> float:
        """The loss."""
        log_det = np.linalg.slogdet(self.hessians(theta))[1].mean()
        return float(0.5 * theta @ self.A @ theta + self.right @ theta + self.constant - log_det)

    def slope(self, theta: Array) -> tuple[Array, Array]:
        """The gradient and the second derivative, the latter from some of the points."""
        d, axes = self.cone.dim, self.cone.axes
        G = np.linalg.inv(self.hessians(theta))
        forms = G.reshape(len(G), -1) @ self.products.T  # uᵀGu
        bent = np.mean(self.bend * forms, axis=0)
        squares = np.sum(axes @ G.mean(axis=0) * axes, axis=1)
        traces = np.concatenate([np.zeros(d), squares, bent, forms.mean(axis=0) - bent])
        return self.A @ theta + self.right - traces, self.A + self._curvature(G[: len(self.some)])

    def _curvature(self, G: Array) -> Array:
        """E[b_i b_j (e_iᵀGe_j)²] over some of the points, (K, K)."""
        E, b, d = self.cone.directions, self.some, self.cone.dim
        if len(E) < d**2:  # the products themselves have fewer numbers than squares of vectors
            return np.mean((E @ G @ E.T) ** 2 * b[:, :, None] * b[:, None, :], axis=0)
        along = np.matmul(E, np.linalg.cholesky(0.5 * (G + np.swapaxes(G, 1, 2))))  # (n, K, d): eᵀL, G = LLᵀ
        outer = (along[:, :, :, None] * along[:, :, None, :] * b[:, :, None, None]).reshape(*along.shape[:2], -1)
        root = np.swapaxes(outer, 1, 2).reshape(-1, len(E))
        return root.T @ root / len(G)

    def solve(self, start: Array) -> ConeMinimiser:
        """Newton's method on the cone: each step a non-negative least squares problem, with a line search."""
        theta, value, path = start, self.value(start), [start]
        for _ in range(NEWTON_ITERATIONS):
            gradient, H = self.slope(theta)
            step = self._quadratic(H, gradient, theta) - theta
            promised = -float(gradient @ step)
            if promised < NEWTON_DECREMENT:
                break
            t = 1.0
            while (
                new := self.value(theta + t * step)
            ) > value - SUFFICIENT_DECREASE * t * promised and t > 0.5**LINE_HALVINGS:
                t *= 0.5
            if not new < value:
                break
            theta, value = theta + t * step, new
            path.append(theta)
        d = self.cone.dim
        violation = np.abs(gradient)
        violation[d:] = np.where(theta[d:] > 0, violation[d:], np.maximum(-gradient[d:], 0.0))
        return ConeMinimiser(theta, value, float(violation.max()), len(path) - 1, tuple(path))

    def _quadratic(self, H: Array, gradient: Array, theta: Array) -> Array:
        """The minimiser of the model ½(ϑ−θ)ᵀH(ϑ−θ) + g·(ϑ−θ), the lines free, all others ≥ 0."""
        d = self.cone.dim
        R = cholesky(H)
        goal = R @ theta - solve_triangular(R, gradient, trans=1)
        rest = nnls(R[d:, d:], goal[d:])[0]
        lines = solve_triangular(R[:d, :d], goal[:d] - R[:d, d:] @ rest)
        return np.concatenate([lines, rest])
