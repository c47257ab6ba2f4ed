"""Matrices with 60 digits, in which every Gaussian closed form is evaluated and rounded once; the only importer of mpmath.

A covariance of condition 10⁸ costs eight digits in its inverse and sixteen in products of two; with 60 there are plenty left.
The context is the module's own: the user's ``mpmath.mp`` is left alone.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
from numpy.typing import ArrayLike

from ..machine.arrays import Array, real

CONTEXT = mpmath.mp.clone()
CONTEXT.dps = 60


def _number(parts: tuple[int, ...]) -> Scalar:
    return CONTEXT.make_mpf(parts)


def _matrix(rows: list[list[Scalar]]) -> Matrix:
    return CONTEXT.matrix(rows)


# a context's own classes have no name by which pickle could find them
copyreg.pickle(CONTEXT.mpf, lambda x: (_number, (tuple(int(part) for part in x._mpf_),)))
copyreg.pickle(CONTEXT.matrix, lambda A: (_matrix, (A.tolist(),)))

Matrix = Any  # mpmath's matrices and numbers carry no types
Scalar = Any


def precise(values: ArrayLike | Matrix) -> Matrix:
    """Floats as they are, with 60 digits; a vector becomes a column."""
    if isinstance(values, CONTEXT.matrix):
        return values
    array = real(values, "a Gaussian's array")
    if array.ndim not in (1, 2) or not array.size:
        raise ValueError(f"a Gaussian's array has shape {array.shape}: give a vector (d,) or a matrix (d, d)")
    return CONTEXT.matrix([[float(x) for x in row] for row in np.reshape(array, (array.shape[0], -1))])


def to_float64(matrix: Matrix) -> Array:
    """To float64; columns become vectors (n,)."""
    array = np.array([[float(matrix[i, j]) for j in range(matrix.cols)] for i in range(matrix.rows)])
    return array[:, 0] if matrix.cols == 1 else array


def square(matrix: Matrix) -> Array:
    """To float64, two axes also for one column."""
    return to_float64(matrix).reshape(matrix.rows, matrix.cols)


def diagonal(entries: list[Scalar]) -> Matrix:
    """The diagonal matrix of these entries."""
    return CONTEXT.diag(entries)


def entries(matrix: Matrix) -> list[Scalar]:
    """The diagonal of a matrix."""
    return [matrix[i, i] for i in range(matrix.rows)]


def precise_identity(n: int) -> Matrix:
    """The d × d identity."""
    return CONTEXT.eye(n)


def trace(matrix: Matrix) -> Scalar:
    """The trace of a matrix."""
    return CONTEXT.fsum(entries(matrix))


def precise_dot(x: Matrix, y: Matrix) -> Scalar:
    """x·y of two columns."""
    return (x.T * y)[0]


def precise_inverse(matrix: Matrix) -> Matrix:
    """The inverse of a matrix."""
    return CONTEXT.inverse(matrix)


def precise_solve(matrix: Matrix, right: Matrix) -> Matrix:
    """A⁻¹B by elimination."""
    return precise_inverse(matrix) * right


def precise_log_det(matrix: Matrix) -> Scalar:
    """log det of a matrix with a positive determinant."""
    return CONTEXT.log(CONTEXT.det(matrix))


def symmetric(matrix: Matrix) -> Matrix:
    """The symmetric part ½(A + Aᵀ)."""
    return (matrix + matrix.T) / 2


def precise_spectrum(matrix: Matrix) -> tuple[list[Scalar], Matrix]:
    """Eigenvalues, ascending, and orthonormal eigenvectors of a symmetric matrix."""
    values, vectors = CONTEXT.eigsy(symmetric(matrix))
    return list(values), vectors


def function_of(matrix: Matrix, f: Callable[[Scalar], Scalar]) -> Matrix:
    """f(A) of a symmetric matrix."""
    values, Q = precise_spectrum(matrix)
    return Q * diagonal([f(value) for value in values]) * Q.T


def root(matrix: Matrix) -> Matrix:
    """A^½ of a symmetric positive definite matrix."""
    return function_of(matrix, CONTEXT.sqrt)


def cholesky(matrix: Matrix) -> Matrix:
    """Lower triangular F with FFᵀ = A."""
    return CONTEXT.cholesky(matrix, tol=CONTEXT.eps * max(entries(matrix)))  # mpmath's own is a number without the unit


def least_eigenvalue(matrix: Matrix) -> float:
    """λ_min of a symmetric matrix."""
    return float(precise_spectrum(matrix)[0][0])
