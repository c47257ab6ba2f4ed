"""Potentials ψ(y) = ½yᵀQy + c·y + ε log Σ_j exp((a_j·y − b_j)/ε): strictly convex by construction, all derivatives closed.

The sum is Sinkhorn's half step on the m anchors a_j; as ε → 0 it becomes their upper envelope, which is dense in the convex
functions.  With p_j ∝ exp((a_j·y − b_j)/ε), ā = Σp_j a_j, α_j = a_j − ā, C = Σp_j α_j α_jᵀ:

    ∇ψ = Qy + c + ā,    D²ψ = Q + C/ε,    ∇tr(G D²ψ) = Σ p_j (α_jᵀGα_j) α_j/ε²    (G constant).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ...machine.arrays import Array
from .matrices import dots

LARGEST_CHANGE = 0.5  # of log ε in one step


@dataclass(frozen=True, eq=False)
class LogSumExpPotential:
    """One member of the family.

    Parameters
    ----------
    a, b, c, Q, eps : as in the formula: (m, d), (m,), (d,), (d, d), number.
    basis : (k, d, d) symmetric matrices in whose span Q moves.
    least : Q ⪰ least·I is kept.
    """

    a: Array = field(repr=False)
    b: Array = field(repr=False)
    c: Array = field(repr=False)
    Q: Array = field(repr=False)
    eps: float
    basis: Array = field(repr=False)
    least: float

    @property
    def dim(self) -> int:
        """The dimension d."""
        return self.a.shape[1]

    @property
    def params(self) -> Array:
        """(p,): anchors, offsets, shift, coordinates of Q in the basis, log ε."""
        norms = np.sum(self.basis**2, axis=(1, 2))
        coordinates = np.sum(self.basis * self.Q, axis=(1, 2)) / norms
        return np.concatenate([self.a.ravel(), self.b, self.c, coordinates, [np.log(self.eps)]])

    @property
    def width(self) -> int:
        """Numbers in the largest array for each point."""
        return self.a.size + self.dim**2 + len(self.basis)

    @property
    def free(self) -> int:
        """Parameters that change the map: all anchors shifted against c, all offsets, and ε of one anchor change nothing."""
        return self.params.size - self.dim - 1 - (len(self.a) == 1)

    @property
    def groups(self) -> Array:
        """One anchor with its offset together; c; Q; ε."""
        m, d = self.a.shape
        anchors = np.concatenate([np.repeat(np.arange(m), d), np.arange(m)])
        return np.concatenate([anchors, np.full(d, m), np.full(len(self.basis), m + 1), [m + 2]])

    @property
    def kinds(self) -> Array:
        """Anchors; offsets; the others each for themselves."""
        m, d = self.a.shape
        alone = np.arange(2, 3 + d + len(self.basis))
        return np.concatenate([np.zeros(m * d, dtype=int), np.ones(m, dtype=int), alone])

    def placed(self, theta: Array) -> LogSumExpPotential:
        """The member with parameters θ (p,)."""
        m, d = self.a.shape
        a, b, c, q, eps = np.split(theta, np.cumsum([m * d, m, d, len(self.basis)]))
        Q = np.tensordot(q, self.basis, 1)
        return replace(self, a=a.reshape(m, d), b=b, c=c, Q=Q, eps=float(np.exp(eps[0])))

    def moved(self, delta: Array) -> LogSumExpPotential:
        """Parameters moved by (p,): log ε by no more than ½, and eigenvalues of Q below the floor lifted to it."""
        step = delta.copy()
        step[-1] = np.clip(step[-1], -LARGEST_CHANGE, LARGEST_CHANGE)
        new = self.placed(self.params + step)
        values, axes = np.linalg.eigh(new.Q)
        return replace(new, Q=(axes * np.maximum(values, self.least)) @ axes.T) if values[0] < self.least else new

    def scaled(self, factor: float, shift: Array) -> LogSumExpPotential:
        """factor·ψ + shift·y."""
        s = factor
        c, least = s * self.c + shift, s * self.least
        return LogSumExpPotential(s * self.a, s * self.b, c, s * self.Q, s * self.eps, self.basis, least)

    def at(self, y: Array) -> LogSumExpAt:
        """Everything at points (n, d)."""
        return LogSumExpAt(self, y)


class LogSumExpAt:
    """Values and derivatives at points y (n, d), each computed when it is first asked for."""

    def __init__(self, psi: LogSumExpPotential, y: Array) -> None:
        self.psi, self.y = psi, y
        self.u = y @ (psi.a.T / psi.eps)
        self.u -= psi.b / psi.eps
        top = self.u.max(axis=1)
        self.p = self.u - top[:, None]
        np.exp(self.p, out=self.p)
        total = self.p @ np.ones(self.p.shape[1])
        self.p /= total[:, None]
        self.log_sum = np.log(total) + top

    def only(self, where: Array) -> LogSumExpAt:
        """Some of the points, without computing anything again."""
        part = object.__new__(LogSumExpAt)
        part.psi, part.y, part.u, part.p = self.psi, self.y[where], self.u[where], self.p[where]
        part.log_sum = self.log_sum[where]
        return part

    @cached_property
    def value(self) -> Array:
        """ψ, (n,)."""
        psi, y = self.psi, self.y
        return 0.5 * dots(y @ psi.Q, y) + y @ psi.c + psi.eps * self.log_sum

    @cached_property
    def mean(self) -> Array:
        """ā, (n, d)."""
        return self.p @ self.psi.a

    @cached_property
    def gradient(self) -> Array:
        """∇ψ, (n, d)."""
        return self.y @ self.psi.Q + self.psi.c + self.mean

    @cached_property
    def hessian(self) -> Array:
        """D²ψ, (n, d, d)."""
        psi = self.psi
        squares = (self.p @ _outer_squares(psi.a)).reshape(-1, psi.dim, psi.dim)
        return psi.Q + (squares - self.mean[:, :, None] * self.mean[:, None, :]) / psi.eps

    def tangent(self) -> Array:
        """∂ψ/∂θ, (n, p)."""
        psi, y, p = self.psi, self.y, self.p
        entropy = self.log_sum - dots(p, self.u)
        quadratic = 0.5 * _forms(psi.basis, y, y)
        anchors = (p[:, :, None] * y[:, None, :]).reshape(len(y), -1)
        return np.hstack([anchors, -p, y, quadratic, psi.eps * entropy[:, None]])

    def paired(self, r: Array, G: Array) -> Array:
        """∂_θ(r·∇ψ(y) + tr(G D²ψ(y))) for vectors r (n, d) and symmetric matrices G (n, d, d) that do not move, (n, p)."""
        psi, y, p, eps = self.psi, self.y, self.p, self.psi.eps
        n, (m, d) = len(y), psi.a.shape
        q, spread = self._quadratic(G)
        w = self._moved(r, q, spread)
        images = (G.reshape(-1, d) @ psi.a.T).reshape(
            n, d, m
        )  # the long axis last: p, w and exponentials are so as well
        images -= np.matmul(G, self.mean[:, :, None])
        images *= 2 / eps
        images += r[:, :, None]
        images *= p[:, None, :]
        images += (y / eps)[:, :, None] * w[:, None, :]
        out = np.empty((n, psi.params.size))
        out[:, : m * d].reshape(n, m, d)[:] = np.swapaxes(images, 1, 2)
        out[:, m * d : m * d + m] = w
        out[:, m * d : m * d + m] /= -eps
        quadratic = _forms(psi.basis, r, y) + G.reshape(n, -1) @ psi.basis.reshape(len(psi.basis), d * d).T
        log_eps = -dots(w, self.u) - spread / eps
        out[:, m * d + m :] = np.hstack([r, quadratic, log_eps[:, None]])
        return out

    def paired_sum(self, r: Array, G: Array) -> Array:
        """The sum of `paired` over the points, (p,), without the array (n, p)."""
        psi, y, p, eps = self.psi, self.y, self.p, self.psi.eps
        d = psi.dim
        q, spread = self._quadratic(G)
        w = self._moved(r, q, spread)
        met = (p.T @ G.reshape(len(y), -1)).reshape(-1, d, d)
        images = np.matmul(met, psi.a[:, :, None])[:, :, 0] - p.T @ np.matmul(G, self.mean[:, :, None])[:, :, 0]
        anchors = w.T @ y / eps + p.T @ r + (2 / eps) * images
        quadratic = np.tensordot(psi.basis, r.T @ y + G.sum(axis=0), 2)
        log_eps = -np.sum(w * self.u) - np.sum(spread) / eps
        return np.concatenate([anchors.ravel(), -w.sum(axis=0) / eps, r.sum(axis=0), quadratic, [log_eps]])

    def third(self, G: Array) -> Array:
        """∇_y tr(G D²ψ(y)), (n, d)."""
        q, spread = self._quadratic(G)
        q -= spread[:, None]
        q *= self.p
        return q @ self.psi.a / self.psi.eps**2

    def _quadratic(self, G: Array) -> tuple[Array, Array]:
        """q_j = α_jᵀGα_j, (n, m), and its mean Σp_j q_j, (n,)."""
        a = self.psi.a
        image = np.matmul(G, self.mean[:, :, None])[:, :, 0]
        q = G.reshape(len(G), -1) @ _outer_squares(a).T
        q -= image @ (2 * a.T)
        q += dots(image, self.mean)[:, None]
        return q, dots(self.p, q)

    def _moved(self, r: Array, q: Array, spread: Array) -> Array:
        """w_j = p_j (r·α_j + (q_j − Σp q)/ε), (n, m); q is used up."""
        q -= spread[:, None]
        q /= self.psi.eps
        q += r @ self.psi.a.T
        q -= dots(r, self.mean)[:, None]
        q *= self.p
        return q


def _outer_squares(a: Array) -> Array:
    """a_j a_jᵀ as rows (m, d²)."""
    return (a[:, :, None] * a[:, None, :]).reshape(len(a), -1)


def _forms(basis: Array, r: Array, y: Array) -> Array:
    """rᵀBy for each matrix of the basis, (n, k)."""
    return (r[:, :, None] * y[:, None, :]).reshape(len(y), -1) @ basis.reshape(len(basis), r.shape[1] ** 2).T
