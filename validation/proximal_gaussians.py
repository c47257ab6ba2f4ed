"""Ten thousand proximal steps between random normal distributions at once, in double precision and from formulas of their own.

Nothing here is the package's closed form, which has 60 digits: the two are compared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import solve_continuous_are

from pmasolve.gaussian import Normal, Pair, Quadratic, bregman_proximal
from pmasolve.machine.arrays import Array


def root(M: Array) -> Array:
    """Roots of stacked positive matrices (n, d, d)."""
    values, axes = np.linalg.eigh(M)
    return np.einsum("nij,nj,nkj->nik", axes, np.sqrt(values), axes)


def trace(A: Array, B: Array) -> Array:
    """tr AB of symmetric matrices, (n,)."""
    return np.einsum("nij,nij->n", A, B)


def applied(M: Array, v: Array) -> Array:
    """Mv."""
    return np.einsum("nij,nj->ni", M, v)


@dataclass(frozen=True, eq=False)
class Laws:
    """n normal distributions: means (n, d) and covariances (n, d, d)."""

    mean: Array
    cov: Array

    @cached_property
    def precision(self) -> Array:
        """V⁻¹."""
        return np.linalg.inv(self.cov)

    def kl(self, other: Laws) -> Array:
        """KL(self | other), (n,)."""
        shift = self.mean - other.mean
        logs = np.linalg.slogdet(other.cov)[1] - np.linalg.slogdet(self.cov)[1]
        square = np.einsum("ni,nij,nj->n", shift, other.precision, shift)
        return 0.5 * (trace(other.precision, self.cov) - shift.shape[1] + logs + square)


@dataclass(frozen=True, eq=False)
class Steps:
    """One proximal step each from the potentials ½(x−a)ᵀA(x−a) + qᵀ(x−a), with a fourth law π to hold against."""

    source: Laws
    target: Laws
    A: Array
    q: Array
    pi: Laws
    eta: Array

    @classmethod
    def random(cls, count: int, dim: int, seed: int) -> Steps:
        """Covariances with eigenvalues in [0.2, 5] and random axes, η in [1e-3, 1e3]."""
        rng = np.random.default_rng(seed)

        def definite() -> Array:
            axes, _ = np.linalg.qr(rng.standard_normal((count, dim, dim)))
            values = np.exp(rng.uniform(np.log(0.2), np.log(5.0), (count, dim)))
            M = np.einsum("nij,nj,nkj->nik", axes, values, axes)
            return 0.5 * (M + np.swapaxes(M, 1, 2))

        source, target, pi = (Laws(rng.standard_normal((count, dim)), definite()) for _ in range(3))
        return cls(source, target, definite(), rng.standard_normal((count, dim)), pi, 10 ** rng.uniform(-3, 3, count))

    @cached_property
    def after(self) -> Steps:
        """The potentials after the step: ηA⁺Θ⁻¹A⁺ + A⁺ = A + ηΣ⁻¹ by a congruence with Θ^½."""
        F, eta = root(self.target.cov), self.eta[:, None, None]
        back, one = np.linalg.inv(F), np.eye(F.shape[1])
        M = back @ (self.A + eta * self.source.precision) @ back
        A = F @ (2 * M @ np.linalg.inv(one + root(one + 4 * eta * M))) @ F
        A = 0.5 * (A + np.swapaxes(A, 1, 2))
        shift = np.linalg.solve(one + eta * A @ self.target.precision, (self.q - self.target.mean)[..., None])[..., 0]
        return replace(self, A=A, q=self.target.mean + shift)

    @cached_property
    def law(self) -> Laws:
        """ρ = (∇φ*)_# N(b, Θ)."""
        back = np.linalg.inv(self.A)
        return Laws(self.source.mean + applied(back, self.target.mean - self.q), back @ self.target.cov @ back)

    def bregman(self, pi: Laws) -> Array:
        """B_G(π | ρ) = ∫φ dπ + ∫φ* de^{−g} − max E[x·y], (n,)."""
        a, b, back = self.source.mean, self.target.mean, np.linalg.inv(self.A)
        x, y = pi.mean - a, b - self.q
        first = 0.5 * trace(self.A, pi.cov) + 0.5 * np.sum(x * applied(self.A, x), axis=1) + np.sum(self.q * x, axis=1)
        second = 0.5 * trace(back, self.target.cov) + 0.5 * np.sum(y * applied(back, y), axis=1) + np.sum(a * b, axis=1)
        F = root(self.target.cov)
        best = np.trace(root(F @ pi.cov @ F), axis1=1, axis2=2) + np.sum(pi.mean * b, axis=1)
        return first + second - best

    def sides(self, at: Steps) -> tuple[Array, Array]:
        """[B_G(π|ρ_k) − B_G(π|ρ_{k+1})]/η, and KL(ρ|μ) − KL(π|μ) + KL(π|ρ) for the law ρ of ``at``."""
        drop = (self.bregman(self.pi) - self.after.bregman(self.pi)) / self.eta
        law = at.law
        return drop, law.kl(self.source) - self.pi.kl(self.source) + self.pi.kl(law)

    @cached_property
    def moved(self) -> Array:
        """B_G(ρ_{k+1} | ρ_k)/η."""
        return self.bregman(self.after.law) / self.eta

    @cached_property
    def size(self) -> Array:
        """What the sides are made of: the scale of their rounding."""
        parts = self.bregman(self.pi) + self.after.bregman(self.pi) + self.bregman(self.after.law)
        return (
            parts / self.eta
            + self.source.kl(self.after.law)
            + self.after.law.kl(self.source)
            + self.pi.kl(self.after.law)
        )


def closed_forms(steps: Steps, count: int) -> dict[str, tuple[float, float]]:
    """A⁺ of the first ``count`` steps by the package, by scipy's Riccati solver, and as above."""
    rows = {}
    for i in range(count):
        source, target = (
            Normal(steps.source.mean[i], steps.source.cov[i]),
            Normal(steps.target.mean[i], steps.target.cov[i]),
        )
        start, eta = Quadratic(steps.A[i], steps.q[i], 0.0, source.mean), float(steps.eta[i])
        found = bregman_proximal(Pair(source, target), start, eta)
        d = source.dim
        weight = eta * np.linalg.inv(target.cov)
        riccati = solve_continuous_are(
            -0.5 * np.eye(d), np.linalg.cholesky(weight), steps.A[i] + eta * np.linalg.inv(source.cov), np.eye(d)
        )
        top = float(np.max(np.abs(riccati)))
        rows[f"d = {d}, η = {eta:.3g}, Riccati"] = (float(np.max(np.abs(found.hessian - riccati))) / top, 0.0)
        rows[f"d = {d}, η = {eta:.3g}, stacked"] = (float(np.max(np.abs(found.hessian - steps.after.A[i]))) / top, 0.0)
        rows[f"d = {d}, η = {eta:.3g}, slope"] = (float(np.max(np.abs(found.slope - steps.after.q[i]))), 0.0)
    return rows
