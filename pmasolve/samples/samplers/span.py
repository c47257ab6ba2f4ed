"""Potentials linear in their parameters: ψ(y) = ½|y|² + Σ_i w_i s_i(ω_i·y + β_i), s_i linear, quadratic, or a ridge.

A mirror step ψ − ηh with h in the span is exact: w ← w − ηc.  Convex only near w = 0 and where it is looked at, which is why the
records have ``min_hessian``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ...machine.arrays import Array, keep_integers, number
from .potentials import Given

LINE, SQUARE, RIDGE_FEATURE = 0, 1, 2


@dataclass(frozen=True)
class Span:
    """The finite span ψ(y) = ½|y|² + linear + quadratic functions + ridges log 2cosh(ω·y + β)/|ω|², for `MongeAmpereSampler`.

    Parameters
    ----------
    quadratics : all d(d+1)/2 quadratic functions; without them the span has d linear functions and ridges only.
    ridges : how many ridges, in random directions, of widths ``scales`` and with offsets where the reference has mass.
    scales : |ω| of the ridges, each drawn from these.
    directions : (k, d) directions for the ridges in place of random ones, taken in turn; of any length.

    Raises
    ------
    ValueError : a negative number of ridges, scales that are not positive.

    Examples
    --------
    >>> from pmasolve import SampleProblem
    >>> problem = SampleProblem(np.random.default_rng(0).standard_normal((200, 2)))
    >>> Span(ridges=3).started(problem, seed=0).params.size  # 2 + 3 + 3
    8
    """

    quadratics: bool = True
    ridges: int = 0
    scales: tuple[float, ...] = (0.5, 1.0, 2.0)
    directions: Array | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        keep_integers(self, ridges=0)
        if not self.scales or not all(0 < number(scale, "scales") < np.inf for scale in self.scales):
            raise ValueError(f"scales={self.scales}: give positive widths, for example (0.5, 1.0, 2.0)")

    def started(self, problem: Given, seed: int) -> SpanPotential:
        """½|y|², the identity map."""
        d, rng = problem.dim, np.random.default_rng(seed)
        unit = np.eye(d)
        pairs = [(i, j) for i in range(d) for j in range(i + 1)] if self.quadratics else []
        squares = np.array([unit[i] if i == j else unit[i] + unit[j] for i, j in pairs]).reshape(-1, d)
        directions = self._directions(d, rng)
        scales = rng.choice(np.array(self.scales), size=self.ridges)
        omega = np.concatenate([unit, squares, directions * scales[:, None]])
        beta = np.concatenate([np.zeros(d + len(pairs)), -scales * rng.standard_normal(self.ridges)])
        kind = np.repeat([LINE, SQUARE, RIDGE_FEATURE], [d, len(pairs), self.ridges])
        return SpanPotential(omega, beta, kind, np.zeros(len(kind)))

    def _directions(self, d: int, rng: np.random.Generator) -> Array:
        """Unit vectors (ridges, d)."""
        if self.directions is None:
            found = rng.standard_normal((self.ridges, d))
        else:
            found = np.asarray(self.directions, dtype=np.float64)[np.arange(self.ridges) % len(self.directions)]
        return found / np.linalg.norm(found, axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class SpanPotential:
    """One member of the span.

    Parameters
    ----------
    omega, beta, kind : (p, d), (p,), (p,) the functions, by kind.
    w : (p,) their coefficients.
    base : of ½|y|².
    """

    omega: Array = field(repr=False)
    beta: Array = field(repr=False)
    kind: Array = field(repr=False)
    w: Array = field(repr=False)
    base: float = 1.0

    @property
    def dim(self) -> int:
        """The dimension d."""
        return self.omega.shape[1]

    @cached_property
    def parts(self) -> tuple[int, int]:
        """Where the quadratic functions and the ridges begin."""
        return int(np.searchsorted(self.kind, SQUARE)), int(np.searchsorted(self.kind, RIDGE_FEATURE))

    @cached_property
    def squared(self) -> Array:
        """|ω|² of the ridges."""
        return np.sum(self.omega[self.parts[1] :] ** 2, axis=1)

    @cached_property
    def products(self) -> Array:
        """ωωᵀ as rows (p, d²)."""
        return (self.omega[:, :, None] * self.omega[:, None, :]).reshape(len(self.omega), -1)

    @property
    def params(self) -> Array:
        """w, (p,)."""
        return self.w

    @property
    def width(self) -> int:
        """Numbers in the largest array for each point."""
        return 3 * len(self.w) + self.dim**2

    @property
    def free(self) -> int:
        """Parameters that change the map: all."""
        return len(self.w)

    @property
    def groups(self) -> Array:
        """Each function for itself."""
        return np.arange(len(self.w))

    @property
    def kinds(self) -> Array:
        """Linear, quadratic, ridges."""
        return self.kind

    def placed(self, theta: Array) -> SpanPotential:
        """The member with coefficients θ (p,)."""
        return replace(self, w=theta)

    def moved(self, delta: Array) -> SpanPotential:
        """w + δ: whether it is convex is for the caller to see."""
        return replace(self, w=self.w + delta)

    def scaled(self, factor: float, shift: Array) -> SpanPotential:
        """factor·ψ + shift·y."""
        w = factor * self.w
        w[: self.dim] += shift
        return replace(self, w=w, base=factor * self.base)

    def at(self, y: Array) -> SpanAt:
        """Everything at points (n, d)."""
        return SpanAt(self, y)


class SpanAt:
    """Values and derivatives at points y (n, d), each computed when it is first asked for."""

    def __init__(self, psi: SpanPotential, y: Array) -> None:
        self.psi, self.y = psi, y
        self.z = y @ psi.omega.T + psi.beta

    @cached_property
    def bend(self) -> Array:
        """tanh z of the ridges, (n, r)."""
        return np.tanh(self.z[:, self.psi.parts[1] :])

    def only(self, where: Array) -> SpanAt:
        """Some of the points, without computing anything again."""
        part = object.__new__(SpanAt)
        part.psi, part.y, part.z = self.psi, self.y[where], self.z[where]
        return part

    def _by_kind(self, line: float | Array, square: float | Array, ridge: Array) -> Array:
        """Columns of the three kinds side by side, (n, p)."""
        first, second = self.psi.parts
        out = np.empty_like(self.z)
        out[:, :first], out[:, first:second] = line, square
        out[:, second:] = ridge / self.psi.squared
        return out

    @property
    def _lines(self) -> Array:
        return self.z[:, : self.psi.parts[0]]

    @property
    def _squares(self) -> Array:
        return self.z[:, self.psi.parts[0] : self.psi.parts[1]]

    @cached_property
    def s(self) -> Array:
        """s_i, (n, p)."""
        ridges = np.abs(self.z[:, self.psi.parts[1] :])
        return self._by_kind(self._lines, 0.5 * self._squares**2, ridges + np.log1p(np.exp(-2 * ridges)))

    @cached_property
    def s1(self) -> Array:
        """s_i′, (n, p)."""
        return self._by_kind(1.0, self._squares, self.bend)

    @cached_property
    def s2(self) -> Array:
        """s_i″, (n, p)."""
        return self._by_kind(0.0, 1.0, 1 - self.bend**2)

    @cached_property
    def value(self) -> Array:
        """ψ, (n,)."""
        return 0.5 * self.psi.base * np.sum(self.y**2, axis=1) + self.s @ self.psi.w

    @cached_property
    def gradient(self) -> Array:
        """∇ψ, (n, d)."""
        return self.psi.base * self.y + (self.s1 * self.psi.w) @ self.psi.omega

    @cached_property
    def hessian(self) -> Array:
        """D²ψ, (n, d, d)."""
        d = self.psi.dim
        return self.psi.base * np.eye(d) + ((self.s2 * self.psi.w) @ self.psi.products).reshape(-1, d, d)

    def tangent(self) -> Array:
        """∂ψ/∂w = s, (n, p)."""
        return self.s

    def paired(self, r: Array, G: Array) -> Array:
        """∂_w(r·∇ψ + tr(G D²ψ)) = s′ r·ω + s″ ωᵀGω, (n, p)."""
        return self.s1 * (r @ self.psi.omega.T) + self.s2 * self._forms(G)

    def paired_sum(self, r: Array, G: Array) -> Array:
        """The sum over the points of `paired`, (p,)."""
        return self.paired(r, G).sum(axis=0)

    def third(self, G: Array) -> Array:
        """∇_y tr(G D²ψ), (n, d)."""
        third = self._by_kind(0.0, 0.0, -2 * self.bend * (1 - self.bend**2))
        return (third * self.psi.w * self._forms(G)) @ self.psi.omega

    def _forms(self, G: Array) -> Array:
        """ωᵀGω, (n, p)."""
        return G.reshape(len(G), -1) @ self.psi.products.T
