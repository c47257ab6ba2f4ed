"""r = μ − ν(x+∇u) det(I+D²u), its linearisation and the steps of conjugate gradients, as work that a library may compile.

Matrices are packed by rows of the upper triangle.  What a function is given it does not change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...problems.problem import Problem
from .densities import Ported, ported
from .libraries import ArrayLibrary
from .spectral import SpectralDerivatives


@dataclass(frozen=True, eq=False)
class Equation:
    """The work of each device on one grid."""

    spectral: SpectralDerivatives
    source: Ported
    target: Ported

    @classmethod
    def of(cls, problem: Problem, library: ArrayLibrary) -> Equation:
        """The equation of a problem on its own grid."""
        return cls(SpectralDerivatives(problem.domain, library), ported(problem.source.at), ported(problem.target.at))

    @property
    def library(self) -> ArrayLibrary:
        """Whose arrays these are."""
        return self.spectral.library

    def mu(self, data: Sequence[Any]) -> Any:
        """e^{−f} at the nodes."""
        return self._density(self.source, data, [0.0] * len(self.spectral.axes))

    def symbols(self) -> tuple[Any, Any]:
        """1/|k|², and what of |k|² no gradient sees."""
        return self.spectral.inverse(), self.spectral.unseen()

    def height(self, c: Any) -> Any:
        """sup |u|."""
        (u,) = self.spectral.values(c, [(0, 0, 0)])
        return self.library.most(self.library.xp.max(self.library.xp.abs(u)))

    def evaluate(self, c: Any, mu: Any, inverse: Any, data: Sequence[Any]) -> tuple[Any, Any, Any]:
        """r without its mean, ν cof(I+D²u), and five numbers.

        How many matrices are not positive definite, ∑|r|, max |r|/det, and the sums behind the Ḣ⁻¹ and the L² norm of r.
        """
        xp, orders = self.library.xp, sorted({*self.spectral.gradient, *self.spectral.hessian})
        jet = dict(zip(orders, self.spectral.values(c, orders), strict=True))
        nu = self._density(self.target, data, [jet.pop(order) for order in self.spectral.gradient])
        bad, det, cofactors = _matrices([jet.pop(order) for order in self.spectral.hessian])
        A = [nu * cofactors.pop(0) for _ in self.spectral.hessian]
        values = mu - nu * det
        r = self.spectral.forward(values)
        r = xp.where(inverse > 0, r, 0.0 * r)
        summed, size = self.library.summed, abs(values)
        energy, square = self._energy(r, inverse), summed(xp.sum(self.spectral.weight * _sum_of_squares(xp, r)))
        numbers = summed(xp.sum(bad * 1.0)), summed(xp.sum(size)), self.library.most(xp.max(size / det))
        return r, A, xp.stack([*numbers, energy, square])

    def energy(self, r: Any, inverse: Any) -> Any:
        """r·Pr."""
        return self._energy(r, inverse)

    def turn(self, beta: Any, p: Any, r: Any, A: Any, inverse: Any, unseen: Any) -> tuple[Any, Any, Any]:
        """p = Pr + βp, q = −div(A∇p), p·q."""
        xp, library = self.library.xp, self.library
        p = inverse * r + beta * p
        flux = _matrix_times(A, list(self.spectral.values(p, self.spectral.gradient)))
        mean = library.summed(xp.sum(A[0])) / self.spectral.grid.size
        q = mean * unseen * p - self.spectral.divergence(flux)
        dot = self.spectral.weight * (xp.real(p) * xp.real(q) + xp.imag(p) * xp.imag(q))
        return p, q, library.summed(xp.sum(dot))

    def advance(self, alpha: Any, x: Any, r: Any, p: Any, q: Any, inverse: Any) -> tuple[Any, Any, Any]:
        """x + αp, r − αq, and r·Pr of that."""
        r = r - alpha * q
        return x + alpha * p, r, self._energy(r, inverse)

    def _energy(self, r: Any, inverse: Any) -> Any:
        xp = self.library.xp
        return self.library.summed(xp.sum(self.spectral.weight * inverse * _sum_of_squares(xp, r)))

    def _density(self, density: Ported, data: Sequence[Any], displacement: Sequence[Any]) -> Any:
        """e^{−g} at x + displacement, of the shape of this device's values."""
        library, grid = self.library, self.spectral.grid
        xp, axes = library.xp, []
        for j, axis in enumerate(self.spectral.axes):
            shape = [grid.shape[j] if i == axis else 1 for i in range(3)]
            x = library.constant(grid.axis(j).reshape(shape))
            axes.append(library.mine(x, 0) if axis == 0 else x)
        zero = sum(0.0 * x for x in axes)
        points = [xp.reshape(x + d + zero, (-1,)) for x, d in zip(axes, displacement, strict=True)]
        return xp.reshape(xp.exp(-density.at(library, data, points)), zero.shape)


def _sum_of_squares(xp: Any, r: Any) -> Any:
    return xp.real(r) ** 2 + xp.imag(r) ** 2


def _matrices(H: list[Any]) -> tuple[Any, Any, list[Any]]:
    """Where I + H is not positive definite (NaN neither), its determinant, its cofactors; H is used up."""
    if len(H) == 1:
        a = 1.0 + H.pop()
        return ~(a > 0), a, [0.0 * a + 1.0]
    if len(H) == 3:
        a, b, c = 1.0 + H.pop(0), H.pop(0), 1.0 + H.pop(0)
        det = a * c - b * b
        return ~((a > 0) & (det > 0)), det, [c, -b, a]
    a, b, c, d, e, f = 1.0 + H.pop(0), H.pop(0), H.pop(0), 1.0 + H.pop(0), H.pop(0), 1.0 + H.pop(0)
    cof = [d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b]
    det = a * cof[0] + b * cof[1] + c * cof[2]
    return ~((a > 0) & (cof[5] > 0) & (det > 0)), det, cof


ROWS = {1: [[0]], 2: [[0, 1], [1, 2]], 3: [[0, 1, 2], [1, 3, 4], [2, 4, 5]]}  # of a symmetric matrix, packed


def _matrix_times(A: Any, v: Sequence[Any]) -> list[Any]:
    """A times v."""
    return [sum(A[k] * part for k, part in zip(row, v, strict=True)) for row in ROWS[len(v)]]
