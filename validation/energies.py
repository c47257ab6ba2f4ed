"""Distances along PMA that several claims measure, each from its formula on the grid."""

from __future__ import annotations

import numpy as np

from pmasolve import Fourier
from pmasolve.calculus.hessians import apply
from pmasolve.calculus.operators import jet_of
from pmasolve.flows.reading import Linearisation, linearise_at
from pmasolve.machine.arrays import Array

from .cases import Case, linearised, steady


def bregman(case: Case, u: Array) -> float:
    """B_G(e^{−f} | ρ_φ) of G(ρ) = ½W₂²(ρ, e^{−g}):  ∫φ dμ + ∫φ* dν less the same at Brenier's potential.

    With y = ∇φ(x) the second integral is −∫(½|∇u|² + u) dρ_φ, so that no dual potential is needed.
    """
    return energy(case, u, np.exp(-case.problem.f)) + 0.5 * steady(case).w2_squared


def energy(case: Case, u: Array, pi: Array) -> float:
    """∫φ dπ + ∫φ* dν less ½∫|x|² dπ + ½∫|y|² dν: the part of B_G(π | ρ_φ) that depends on φ."""
    grid = case.problem.domain
    gradient, rho = Fourier().on(grid).gradient(u), np.exp(linearised(case, u).log_density)
    return grid.integral(u * (pi - rho)) - 0.5 * grid.integral(np.sum(gradient**2, axis=0) * rho)


def divergences(case: Case, u: Array) -> tuple[float, float]:
    """KL(ρ_φ | e^{−f}) and KL(e^{−f} | ρ_φ); A(φ) = f + log ρ_φ is the logarithm of their ratio."""
    grid, here = case.problem.domain, linearised(case, u)
    return grid.integral(np.exp(here.log_density) * here.speed), -grid.integral(np.exp(-case.problem.f) * here.speed)


def dissipation(case: Case, u: Array, *, wrong_metric: bool = False) -> float:
    """∫∇A·(D²φ)⁻¹∇A dρ_φ = −dKL(ρ_t | e^{−f})/dt; with D²φ in place of its inverse for a mutation."""
    grid, here = case.problem.domain, linearised(case, u)
    gradient = here.operators.gradient(here.speed)
    image = hessian_times(here, u, gradient) if wrong_metric else apply(here.inverse, gradient.copy())
    return grid.integral(np.sum(gradient * image, axis=0) * np.exp(here.log_density))


def hessian_times(here: Linearisation, u: Array, vectors: Array) -> Array:
    """D²φ times vectors."""
    return vectors + apply(jet_of(here.operators, u).D2, vectors.copy())


def fisher_along_geodesic(case: Case, nodes: int = 16) -> float:
    """∫₀¹ FI(ρ_s) ds along McCann's geodesic ρ_s = (x + s∇u)_# e^{−f}, FI = ∫|∇ log ρ_s|² dρ_s; Gauss in s.

    At y = x + s∇u(x), log ρ_s = −f − log det(I + sD²u), whose gradient in y is (I + sD²u)⁻¹ times that in x.
    """
    grid, u = case.problem.domain, steady(case).potential
    s, weights = np.polynomial.legendre.leggauss(nodes)
    flat = type(case.problem)(grid, case.problem.f, np.zeros(grid.shape))
    total = 0.0
    for si, weight in zip(0.5 * (s + 1), 0.5 * weights, strict=True):
        here = linearise_at(flat, Fourier().on(grid), si * u)
        log_rho = -(here.speed)  # f + log det, with the other density constant
        gradient = apply(here.inverse, here.operators.gradient(log_rho))
        total += weight * grid.integral(np.sum(gradient**2, axis=0) * np.exp(-case.problem.f))
    return total
