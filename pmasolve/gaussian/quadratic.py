"""Quadratic potentials φ(x) = ½(x−a)ᵀA(x−a) + qᵀ(x−a) + c."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from ..machine.arrays import Array
from ..problems.points import PointsLike, given
from .normal import Normal
from .precise import (
    CONTEXT,
    Matrix,
    Scalar,
    precise,
    precise_dot,
    precise_inverse,
    square,
    symmetric,
    to_float64,
    trace,
)


@dataclass(frozen=True, eq=False, init=False)
class Quadratic:
    """φ(x) = ½(x−a)ᵀA(x−a) + qᵀ(x−a) + c, kept with 60 digits; ∇φ(x) = A(x−a) + q.

    Parameters
    ----------
    hessian : A (d, d); symmetric; positive definite where a convex potential is asked for, any for correctors.
    slope : q (d,), the gradient at the centre; 0 unless given.
    constant : c.
    centre : a (d,); 0 unless given.

    Examples
    --------
    >>> phi = Quadratic([[2.0]], [1.0], centre=[3.0])
    >>> phi([4.0]), phi.gradient([4.0]), phi.conjugate().gradient([3.0])
    (array([2.]), array([3.]), array([4.]))
    """

    A: Matrix
    q: Matrix
    c: Scalar
    a: Matrix

    def __init__(
        self,
        hessian: ArrayLike | Matrix,
        slope: ArrayLike | Matrix | None = None,
        constant: float | Scalar = 0.0,
        centre: ArrayLike | Matrix | None = None,
    ) -> None:
        A = precise(hessian)
        zero = precise(np.zeros(A.rows))
        q = zero if slope is None else precise(slope)
        a = zero if centre is None else precise(centre)
        if not A.rows == A.cols == q.rows == a.rows:
            raise ValueError(
                f"hessian is {A.rows} × {A.cols}, slope has {q.rows} entries, centre {a.rows}: they must agree"
            )
        for name, value in (("A", symmetric(A)), ("q", q), ("c", constant), ("a", a)):
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        if self.A.rows > 2:
            return f"<Quadratic in {self.A.rows} dimensions, Hessian with trace {np.trace(self.hessian):.6g}>"
        slope, centre = self.slope.tolist(), self.centre.tolist()
        return f"Quadratic({self.hessian.tolist()}, {slope}, {self.constant}, centre={centre})"

    @cached_property
    def hessian(self) -> Array:
        """A = D²φ, (d, d)."""
        return square(self.A)

    @cached_property
    def slope(self) -> Array:
        """q = ∇φ(a), the gradient at the centre, (d,)."""
        return to_float64(self.q)

    @property
    def constant(self) -> float:
        """c = φ(a), the value at the centre."""
        return float(self.c)

    @cached_property
    def centre(self) -> Array:
        """a, the point about which φ is written, (d,)."""
        return to_float64(self.a)

    def __call__(self, x: PointsLike) -> Array:
        """φ at points (n, d), as (n,); at a field (d, *shape), of its shape."""
        where = given(x, self.A.rows)
        z = where.columns - self.centre[:, None]
        return where.values(np.sum(z * (0.5 * self.hessian @ z + self.slope[:, None]), axis=0) + self.constant)

    def gradient(self, x: PointsLike) -> Array:
        """∇φ = A(x−a) + q at points (n, d) or a field (d, *shape), given back as they are."""
        where = given(x, self.A.rows)
        return where.vectors(self.hessian @ (where.columns - self.centre[:, None]) + self.slope[:, None])

    def about(self, centre: ArrayLike | Matrix) -> Quadratic:
        """φ written about another centre (d,): an equal function."""
        to = precise(centre)
        z = to - self.a
        return Quadratic(
            self.A, self.q + self.A * z, self.c + precise_dot(self.q, z) + precise_dot(z, self.A * z) / 2, to
        )

    def conjugate(self) -> Quadratic:
        """φ*(y) = sup x·y − φ(x) = ½(y−q)ᵀA⁻¹(y−q) + aᵀ(y−q) + a·q − c, centred at q."""
        return Quadratic(precise_inverse(self.A), self.a, precise_dot(self.a, self.q) - self.c, self.q)

    def plus(self, other: Quadratic, factor: float | Scalar = 1) -> Quadratic:
        """The sum φ + factor·other, written about φ's centre."""
        moved = other.about(self.a)
        return Quadratic(self.A + factor * moved.A, self.q + factor * moved.q, self.c + factor * moved.c, self.a)

    def mean(self, law: Normal) -> Scalar:
        """∫φ d law, with all digits."""
        here = self.about(law.m)
        return here.c + trace(self.A * law.V) / 2

    def push(self, law: Normal) -> Normal:
        """The law (∇φ)_# law = N(A(m−a) + q, AVA) of ∇φ(X) for X of this law."""
        return Normal(self.A * (law.m - self.a) + self.q, self.A * law.V * self.A)


def negative_log(law: Normal) -> Quadratic:
    """−log of the density of N(m, V), normalised: f(x) = ½(x−m)ᵀV⁻¹(x−m) + ½ log det 2πV.

    Parameters
    ----------
    law : N(m, V).

    Returns
    -------
    f with ∫e^{−f} = 1, centred at m.

    Examples
    --------
    >>> f, law = negative_log(Normal([1.0], [[4.0]])), Normal([1.0], [[4.0]])
    >>> bool(abs(f([3.0]) + law.log_density([3.0])) < 1e-15)
    True
    """
    return Quadratic(law.precision, None, (law.log_det + law.dim * CONTEXT.log(2 * CONTEXT.pi)) / 2, law.m)
