"""−div(A∇δ) = r on a grid, A symmetric positive definite: conjugate gradients in coefficients, inverse Laplacian in front.

The gradient has the symbol i·sign(k)·√s(k), s the symbol of the discretisation's second derivative: spectral for `Fourier`, and for
finite differences an operator whose square is the second difference, so that the Laplacian in front matches at every wavenumber.
Nyquist's modes, which no gradient sees, get the mean of A.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Protocol

import numpy as np
from numba import njit

from ..calculus.hessians import apply
from ..calculus.operators import Operators
from ..calculus.series import Amplitudes, Symbol
from ..calculus.transforms import Transform
from ..machine.arrays import Array
from ..machine.compiling import inner
from ..machine.threads import blocks, each

# On (rows, columns) arrays of coefficients; ``weight`` (columns,) makes the sums those of values (Parseval), and the preconditioner
# is 1/|k|², |k|² = across[row] + along[column], computed where it is needed: as fast as to read it, and half an array less.


@njit(cache=True, nogil=True, fastmath={"reassoc"})
def _dot(a, b, weight):
    total = 0.0
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            total += weight[j] * (a[i, j].real * b[i, j].real + a[i, j].imag * b[i, j].imag)
    return total


@inner(error_model="numpy")
def _inverse(square):
    """1/|k|², 0 for the constant."""
    return 1.0 / square if square > 0.0 else 0.0


@njit(cache=True, nogil=True, fastmath={"reassoc"}, error_model="numpy")
def _weighted_energy(r, across, along, weight):
    total = 0.0
    for i in range(r.shape[0]):
        for j in range(r.shape[1]):
            square = r[i, j].real * r[i, j].real + r[i, j].imag * r[i, j].imag
            total += weight[j] * _inverse(across[i] + along[j]) * square
    return total


@njit(cache=True, nogil=True, fastmath={"reassoc"}, error_model="numpy")
def _advance(x, r, p, q, alpha, across, along, weight):
    """x += αp, r −= αq; returns r·Pr."""
    total = 0.0
    for i in range(r.shape[0]):
        for j in range(r.shape[1]):
            x[i, j] += alpha * p[i, j]
            s = r[i, j] - alpha * q[i, j]
            r[i, j] = s
            total += weight[j] * _inverse(across[i] + along[j]) * (s.real * s.real + s.imag * s.imag)
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def _turn(p, r, across, along, beta):
    """p = Pr + βp."""
    for i in range(r.shape[0]):
        for j in range(r.shape[1]):
            p[i, j] = _inverse(across[i] + along[j]) * r[i, j] + beta * p[i, j]


@dataclass(frozen=True)
class Solve:
    """What a solve cost and left: applications of the operator, ⟨δ, r⟩, and the relative residual in the Ḣ⁻¹ norm.

    ``bits`` are those of the numbers that processes exchanged.
    """

    iterations: int
    product: float
    relative: float
    bits: int = 64


class Iterates(Protocol):
    """The arrays of a solve: x = 0 and p = 0 at first, the residual r; every number is one of all processes."""

    def energy(self) -> float:
        """r·Pr."""
        ...

    def turn(self, beta: float) -> float:
        """p = Pr + βp and q = −div(A∇p); p·q."""
        ...

    def advance(self, alpha: float) -> float:
        """x += αp, r −= αq; r·Pr."""
        ...


def conjugate_gradients(iterates: Iterates, size: int, tolerance: float, limit: int) -> Solve:
    """x until r·Pr is ``tolerance``² times what it was, or ``limit`` steps; ``size`` nodes turn sums into averages."""
    first = rho = iterates.energy()
    beta, product, k = 0.0, 0.0, 0
    while rho > tolerance**2 * first and k < limit:
        curvature = iterates.turn(beta)
        if not curvature > 0:  # rounding has taken over
            break
        alpha = rho / curvature
        product += alpha * rho
        new = iterates.advance(alpha)
        beta, rho, k = new / rho, new, k + 1
    return Solve(k, product / size, float(np.sqrt(rho / first)) if first > 0 else 0.0)


@dataclass(frozen=True, eq=False)
class Elliptic:
    """The operators of one grid and room to work in: five arrays of coefficients, one vector field."""

    operators: Operators
    field: Array  # (dim, *shape), overwritten

    @cached_property
    def _shape(self) -> tuple[int, int]:
        """Rows and columns of coefficients."""
        shape = np.broadcast_shapes(*(symbol.shape for symbol in self.operators.symbols))
        return prod(shape[:-1]), shape[-1]

    @cached_property
    def _squares(self) -> tuple[Array, Array]:
        """|k|² in the discretisation's sense: the parts of the rows and of the columns."""
        *leading, last = self.operators.symbols
        shape = np.broadcast_shapes(*(symbol.shape for symbol in (*leading, last[..., :1])))
        return np.broadcast_to(sum(leading, start=np.zeros(1)), shape).ravel(), last.ravel()

    @cached_property
    def solution(self) -> Amplitudes:
        """δ."""
        return self.operators.transform.zeros()

    @cached_property
    def _slopes(self) -> list[Symbol]:
        transform = self.operators.transform
        pairs = enumerate(zip(transform.signs, self.operators.symbols, strict=True))
        return [transform.along(j, sign * np.sqrt(symbol)) for j, (sign, symbol) in pairs]

    @cached_property
    def _unseen(self) -> list[tuple[tuple[slice, ...], Array]]:
        """For each axis the modes that its slope does not see, and their symbol."""
        signs, dim = self.operators.transform.signs, self.operators.grid.dim
        out = []
        for j, (sign, symbol) in enumerate(zip(signs, self.operators.symbols, strict=True)):
            lost = np.flatnonzero((sign.ravel() == 0) & (symbol.ravel() > 0))
            for m in lost:
                where = tuple(slice(m, m + 1) if i == j else slice(None) for i in range(dim))
                out.append((where, symbol.ravel()[m]))
        return out

    @cached_property
    def _work(self) -> tuple[Amplitudes, Amplitudes]:
        return self.operators.transform.zeros(), self.operators.transform.zeros()

    @cached_property
    def _weight(self) -> Array:
        return np.ascontiguousarray(np.broadcast_to(self.operators.transform.isometry**2, self._shape[1:]))

    def energy(self, r: Amplitudes) -> float:
        """Average of |∇Δ⁻¹r|²: the square of the Ḣ⁻¹ norm over the volume."""
        return self.weighted(r) / self.operators.grid.size

    def weighted(self, r: Amplitudes) -> float:
        """The sum of |∇Δ⁻¹r|²: r·Pr."""
        (across, along), w = self._squares, self._weight
        return self._sum(lambda rows, b: _weighted_energy(b(r), across[rows], along, w))

    def square(self, r: Amplitudes) -> float:
        """Average of the values' squares."""
        return self._sum(lambda _, b: _dot(b(r), b(r), self._weight)) / self.operators.grid.size

    def apply(self, A: Array, p: Amplitudes, out: Amplitudes, transform: Transform | None = None) -> Amplitudes:
        """−div(A∇p), by another transform than the operators' if one is given."""
        transform = transform or self.operators.transform
        apply(A, transform.slopes(p, self._slopes, self.field))
        transform.divergence(self.field, self._slopes, out)
        np.negative(out, out=out)
        mean = self.operators.grid.mean(A[0])
        for where, symbol in self._unseen:
            out[where] += mean * symbol * p[where]
        return out

    def gradient(self) -> Array:
        """∇δ of ``solution``, in ``field``."""
        return self.operators.transform.slopes(self.solution, self._slopes, self.field)

    def solve(self, A: Array, r: Amplitudes, tolerance: float, limit: int) -> Solve:
        """δ in ``solution`` until the residual's Ḣ⁻¹ norm is ``tolerance`` times that of r, which is overwritten by it."""
        return self._solve(A, r, tolerance, limit, self.operators.transform)

    def solve_in_single(self, A: Array, r: Amplitudes, tolerance: float, limit: int) -> Solve:
        """δ in ``solution`` as by `solve`, with exchanges between processes in float32: the residual of an operator 1e-7 off.

        First r is scaled to about 1, by a power of 2, so that nothing leaves the range of float32.
        """
        scale = 2.0 ** -np.frexp(np.sqrt(self.energy(r)))[1]
        r *= scale
        solve = self._solve(A, r, tolerance, limit, self.operators.transform.single)
        np.multiply(self.solution, 1 / scale, out=self.solution)
        return replace(solve, product=solve.product / scale**2, bits=32)

    def _solve(self, A: Array, r: Amplitudes, tolerance: float, limit: int, transform: Transform) -> Solve:
        self.solution[...] = 0.0
        self._work[0][...] = 0.0
        return conjugate_gradients(_Iterates(self, A, r, transform), self.operators.grid.size, tolerance, limit)

    @cached_property
    def _rows(self) -> tuple[slice, ...]:
        return blocks(self._shape[0], self.operators.grid.size)

    def _each(self, work: Callable) -> None:
        shape = self._shape
        each(lambda rows: work(rows, lambda c: c.reshape(shape)[rows]), self._rows)

    def _sum(self, work: Callable) -> float:
        shape, sums = self._shape, np.empty(len(self._rows))

        def part(k: int, rows: slice) -> None:
            sums[k] = work(rows, lambda c: c.reshape(shape)[rows])

        each(part, list(range(sums.size)), self._rows)
        return self.operators.grid.summed(float(sums.sum()))


@dataclass(frozen=True, eq=False)
class _Iterates:
    """`Iterates` in the arrays of an `Elliptic`: x is its ``solution``."""

    on: Elliptic
    A: Array
    r: Amplitudes
    transform: Transform

    def energy(self) -> float:
        """r·Pr."""
        return self.on.weighted(self.r)

    def turn(self, beta: float) -> float:
        """p = Pr + βp and q = −div(A∇p); p·q."""
        on, (p, q), (across, along) = self.on, self.on._work, self.on._squares
        on._each(lambda rows, b: _turn(b(p), b(self.r), across[rows], along, beta))
        on.apply(self.A, p, q, self.transform)
        return on._sum(lambda _, b: _dot(b(p), b(q), on._weight))

    def advance(self, alpha: float) -> float:
        """x += αp, r −= αq; r·Pr."""
        on, (p, q), (across, along) = self.on, self.on._work, self.on._squares
        x, r, w = on.solution, self.r, on._weight
        return on._sum(lambda rows, b: _advance(b(x), b(r), b(p), b(q), alpha, across[rows], along, w))
