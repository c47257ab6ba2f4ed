"""Sinkhorn linearised: the Markov operator P = E[E[·|Y]|X] of a plan, and conjugate gradients for (I − P)w = b.

The derivative of φ ↦ S_ε(φ) is P.  It is self-adjoint in L²(p_X), its eigenvalues lie in [0, 1], constants have the eigenvalue 1,
and the next one, λ₁, is the contraction factor of the iteration near its fixed point: −log λ₁/ε = gap of −𝓛 + O(ε²), where 𝓛 is
the linearised PMA (Berman, arXiv 1712.03082).  A conditional expectation is a quotient of two log-sums, so that P needs no more
than what every engine has.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..calculus.operators import Fourier, FourierOperators
from ..machine.arrays import Array
from ..problems.grids import Grid
from .iteration import Sinkhorn

LANCZOS = 500  # most products for λ₁
FLATTEST = 1e-3  # densities are not taken below this part of their mean by the preconditioner


@dataclass(frozen=True, eq=False)
class Markov:
    """P of the plan γ of (φ, ψ), where ψ is the half step of φ and φ⁺ = S_ε(φ) the next.

    Parameters
    ----------
    flow : problem, ε and engine.
    u, v, after : φ, ψ and φ⁺ less ½|·|², at their nodes.

    Notes
    -----
    One application costs the two passes of a Sinkhorn iteration.  Its error is about 10⁻¹⁶·(1 + osc(u)/ε) times the range of w.
    Values at nodes without mass are averages like all others; what w holds there does not matter.

    Examples
    --------
    >>> from pmasolve import Problem
    >>> flow = Sinkhorn(Problem.from_samples([[0.0], [1.0]], [[0.0], [1.0]]), 0.5)
    >>> v = flow.half_step(np.zeros(2))
    >>> P = Markov(flow, np.zeros(2), v, flow.half_step_back(v))
    >>> bool(np.allclose(P.times(np.ones(2)), 1)), round(P.contraction, 6)
    (True, 0.213552)
    """

    flow: Sinkhorn
    u: Array = field(repr=False)
    v: Array = field(repr=False)
    after: Array = field(repr=False)

    def given_target(self, w: Array) -> Array:
        """E[w(X) | Y = y], shape of the target nodes."""
        eps, mu = self.flow.eps, self.flow.problem.mu
        total = self.v / eps - np.log(mu.cell)
        return _mean(self.flow.kernel.forward, mu.log_density - self.u / eps, total, w)

    def given_source(self, z: Array) -> Array:
        """E[z(Y) | X = x], shape of the source nodes."""
        eps, nu = self.flow.eps, self.flow.problem.nu
        total = self.after / eps - np.log(nu.cell)
        return _mean(self.flow.kernel.backward, nu.log_density - self.v / eps, total, z)

    def times(self, w: Array) -> Array:
        """P w at the source nodes, of their shape."""
        return self.given_source(self.given_target(w))

    @cached_property
    def masses(self) -> Array:
        """p_X = μ exp((φ⁺ − φ)/ε) of every node: the weights of the inner product."""
        mu = self.flow.problem.mu
        return np.exp(mu.log_density + (self.after - self.u) / self.flow.eps) * mu.cell

    def dot(self, a: Array, b: Array) -> float:
        """The inner product ∫ab dp_X of two functions of the source nodes."""
        return float(np.sum(self.masses * a * b))

    def centred(self, w: Array) -> Array:
        """w less its p_X-mean: the range of I − P."""
        return w - self.dot(w, np.ones_like(w)) / self.masses.sum()

    @property
    def contraction(self) -> float:
        """λ₁, by conjugate gradients on its Rayleigh quotient (Knyazev's LOBPCG): some ten products on grids, more on clouds."""
        conditioner = preconditioner(self.flow)
        basis = [self.times(np.cos(np.arange(self.u.size) + 0.5).reshape(self.u.shape))]
        basis, images = self._orthonormal(basis, [self.times(basis[0])])
        if not basis:  # nothing but constants
            return 0.0
        w = basis[0]
        for _ in range(LANCZOS):
            w, Pw = basis[0], images[0]
            value = self.dot(w, Pw)
            r = Pw - value * w
            if self.dot(r, r) <= (1e-6 * (1.0 - value)) ** 2:
                break
            z = self.centred(r if conditioner is None else conditioner.times(r, self.masses))
            basis, images = self._orthonormal([w, *basis[1:], z], [Pw, *images[1:], self.times(z)])
            small = np.array([[self.dot(a, Pb) for Pb in images] for a in basis])
            top = np.linalg.eigh(0.5 * (small + small.T))[1][:, -1]
            d = [self._combined(np.r_[0.0, top[1:]], arrays) for arrays in (basis, images)]
            w, Pw = (self._combined(top, arrays) for arrays in (basis, images))
            basis, images = self._orthonormal([w, d[0]], [Pw, d[1]])
        return self.dot(w, self.times(w)) / self.dot(w, w)  # images that were combined many times have lost digits

    def _combined(self, weights: Array, arrays: list[Array]) -> Array:
        return np.tensordot(weights, np.stack(arrays), axes=1)

    def _orthonormal(self, basis: list[Array], images: list[Array]) -> tuple[list[Array], list[Array]]:
        """Gram and Schmidt in L²(p_X), after constants, of functions and their images; what depends on others is left out."""
        out: tuple[list[Array], list[Array]] = [], []
        for start, image in zip(basis, images, strict=True):
            size = np.sqrt(self.dot(start, start))
            w, Pw = self.centred(start), self.centred(image)
            for _ in range(2):
                for a, Pa in zip(*out, strict=True):
                    share = self.dot(a, w)
                    w, Pw = w - share * a, Pw - share * Pa
            norm = np.sqrt(self.dot(w, w))
            if norm > 1e-10 * size:
                out[0].append(w / norm)
                out[1].append(Pw / norm)
        return out


def _mean(log_sum: Callable[[Array], Array], h: Array, total: Array, w: Array) -> Array:
    """Averages of w with the weights exp(h)·K/exp(total): exact for constants, whatever total holds of rounding."""
    low, high = float(w.min()), float(w.max())
    if not high > low:
        return np.full(total.shape, low)
    scaled = np.log1p((w - low) / (high - low))  # of numbers from 1 to 2
    return low + (high - low) * np.expm1(log_sum(h + scaled) - total)


@dataclass(frozen=True, eq=False)
class Preconditioner:
    """C = T p⁻¹ T p with T² = (1 − exp(εΔ))⁻¹, diagonal in Fourier space: symmetric in L²(p), as I − P is.

    On smooth functions I − P ≈ −ε𝓛 = −(ε/p) div(p G⁻¹∇); in one dimension C inverts it but for G, which is near 1 on average.
    On functions that oscillate within √ε both are the identity.  Cost: four transforms.
    """

    operators: FourierOperators
    eps: float

    def times(self, r: Array, density: Array) -> Array:
        """C r for a function r on the grid; ``density`` is proportional to p."""
        floor = FLATTEST * float(density.mean())
        return self._root(self._root(density * r) / np.maximum(density, floor))

    @cached_property
    def _factors(self) -> Array:
        symbol = self.operators.symbol
        least = float(symbol[symbol > 0].min())
        return 1.0 / np.sqrt(-np.expm1(-self.eps * np.maximum(symbol, least)))

    def _root(self, values: Array) -> Array:
        transform = self.operators.transform
        coefficients = transform.forward(values)
        coefficients *= self._factors
        return transform.derivative(coefficients, (0,) * values.ndim, np.empty(values.shape))


def preconditioner(flow: Sinkhorn) -> Preconditioner | None:
    """The preconditioner of I − P on a grid; None on clouds."""
    grid = flow.problem.domain
    return Preconditioner(Fourier().on(grid), flow.eps) if isinstance(grid, Grid) else None


def solve(
    markov: Markov, b: Array, conditioner: Preconditioner | None, tolerance: float, limit: int
) -> tuple[Array, int]:
    """w with ‖(I − P)w − b‖ ≤ tolerance·‖b‖ in L²(p_X), and the applications of P it took, at most ``limit``.

    Preconditioned conjugate gradients (Hestenes and Stiefel 1952).  Their last residual is added, one more step of Sinkhorn's
    linear iteration, which also sets w at nodes without mass.
    """

    def condition(r: Array) -> Array:
        return r if conditioner is None else markov.centred(conditioner.times(r, markov.masses))

    w, r = np.zeros_like(b), markov.centred(b)
    z = d = condition(r)
    goal, rho = tolerance**2 * markov.dot(r, r), markov.dot(r, z)
    for count in range(limit):
        if markov.dot(r, r) <= goal or rho <= 0:
            return w + r, count
        Ad = d - markov.times(d)
        alpha = rho / markov.dot(d, Ad)
        w, r = w + alpha * d, markov.centred(r - alpha * Ad)
        z = condition(r)
        rho, old = markov.dot(r, z), rho
        d = z + (rho / old) * d
    return w + r, limit
