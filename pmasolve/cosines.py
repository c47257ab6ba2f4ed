"""Cosine transforms of a box by real FFTs of the box's own size (Makhoul, IEEE Trans. ASSP 28, 1980).

Along a line of n values the vector v = (x₀, x₂, x₄, …, x₅, x₃, x₁) has the FFT Vₖ = wₖ(Xₖ − iXₙ₋ₖ), wₖ = exp(iπk/2n), with X the
cosine transform of x and Xₙ = 0.  A sine series with coefficients s is (−1)ʲ times the cosine series of the coefficients sₙ₋ₖ.
So both are Vₖ = αₖcₖ + βₖcₙ₋ₖ, c the cosine coefficients of the function that is differentiated.

Arrays are seen as rows along their last axis.  Along the other axes rows k and n − k exchange: in an orbit of 2^(dim−1) rows the
transform of one axis is a butterfly of pairs, so that one loop serves every dimension.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .domains import Array, Box, Grid
from .ffts import real_fft
from .threads import blocks, each


class BoxTransform:
    """Cosine transform of a grid of cell centres: the even reflection's real series, on the box's own points.

    Cost: a real FFT of the box's shape and two passes over memory.
    """

    isometry = np.ones(1)

    def __init__(self, box: Box) -> None:
        self.box = box
        self._plan = real_fft(box.shape)
        self._lines = [_Line(n, length) for n, length in zip(box.shape, box.lengths, strict=True)]
        self._order = _product_of_rows(box.shape[:-1], [line.permutation[:, None] for line in self._lines[:-1]])[:, 0]
        self._orbits = _product_of_rows(box.shape[:-1], [line.pairs for line in self._lines[:-1]])
        self._rows = len(self._order), box.shape[-1]
        self._half = np.empty((*box.shape[:-1], box.shape[-1] // 2 + 1), dtype=np.complex128)
        self._blocks = blocks(len(self._orbits), box.size)
        self._analysis = self._recipe(_Line.analysis, [(False, np.ones(n)) for n in box.shape])
        self._derivatives: dict[tuple[int, ...], _Recipe] = {}
        self._slopes: tuple[tuple[Array, ...], list[_Recipe], list[_Recipe]] = ((), [], [])

    @cached_property
    def wavenumbers(self) -> tuple[Array, ...]:
        """πm/L of each axis."""
        dim = self.box.dim
        return tuple(line.k.reshape((-1,) + (1,) * (dim - 1 - j)) for j, line in enumerate(self._lines))

    @cached_property
    def signs(self) -> tuple[Array, ...]:
        """1, and 0 for the constant."""
        return tuple(np.sign(k) for k in self.wavenumbers)

    def zeros(self) -> Array:
        """The cosine series of 0."""
        return np.zeros(self.box.shape)

    def refined(self, coefficients: Array, grid: Grid, out: Array) -> Array:
        """Padded with zeros; there is no Nyquist mode."""
        out[...] = 0.0
        out[tuple(slice(0, n) for n in self.box.shape)] = coefficients * np.sqrt(grid.size / self.box.size)
        return out

    def forward(self, values: Array, out: Array | None = None) -> Array:
        """Orthonormal DCT-II along every axis."""
        return self._analyse(values, self._analysis, np.empty(self.box.shape) if out is None else out)

    def derivative(self, coefficients: NDArray, orders: tuple[int, ...], out: Array) -> Array:
        """Cosine series stay cosine series under even derivatives and become sine series under odd ones."""
        if orders not in self._derivatives:
            factors = [(-1.0) ** ((o + 1) // 2) * line.k**o for line, o in zip(self._lines, orders, strict=True)]
            odd = [order % 2 == 1 for order in orders]
            self._derivatives[orders] = self._recipe(_Line.synthesis, list(zip(odd, factors, strict=True)))
        return self._synthesise(coefficients, self._derivatives[orders], out)

    def slope(self, coefficients: NDArray, multipliers: tuple[Array, ...], j: int, out: Array) -> Array:
        """Cosines become sines along axis j."""
        return self._synthesise(coefficients, self._recipes(multipliers)[0][j], out)

    def divergence(self, flux: Array, multipliers: tuple[Array, ...], out: Array) -> Array:
        """Sines along axis j become cosines."""
        recipes = self._recipes(multipliers)[1]
        self._analyse(flux[0], recipes[0], out)
        for values, recipe in zip(flux[1:], recipes[1:], strict=True):
            out += self._analyse(values, recipe, np.empty_like(out))
        return out

    def _recipes(self, multipliers: tuple[Array, ...]) -> tuple[list[_Recipe], list[_Recipe]]:
        """Of slope and divergence; those of the last multipliers are kept."""
        if self._slopes[0] is not multipliers:
            factors = [np.ravel(m) for m in multipliers]
            there, back = (
                [
                    [(i == j, sign * m if i == j else np.ones(m.size)) for i, m in enumerate(factors)]
                    for j in range(len(factors))
                ]
                for sign in (-1.0, 1.0)
            )
            self._slopes = (
                multipliers,
                [self._recipe(_Line.synthesis, parts) for parts in there],
                [self._recipe(_Line.analysis, parts) for parts in back],
            )
        return self._slopes[1:]

    def _analyse(self, values: Array, recipe: _Recipe, out: Array) -> Array:
        x, c = np.ascontiguousarray(values).reshape(self._rows), out.reshape(self._rows)

        def folded(rows: slice) -> Array:
            v = np.empty((rows.stop - rows.start, c.shape[1]))
            _fold(x, self._order[rows], recipe.signs[rows], recipe.sign, v)
            return v

        V = self._as_rows(self._plan.forward(folded, self._half))
        each(lambda b: _analyse(V, self._orbits[b], recipe.weights[b], recipe.last, c), self._blocks)
        return out

    def _synthesise(self, coefficients: NDArray, recipe: _Recipe, out: Array) -> Array:
        c, x, V = coefficients.reshape(self._rows), out.reshape(self._rows), self._as_rows(self._half)
        each(lambda b: _synthesise(c, self._orbits[b], recipe.weights[b], recipe.last, V), self._blocks)

        def unfold(rows: slice, v: Array) -> None:
            _unfold(v, self._order[rows], recipe.signs[rows], recipe.sign, x)

        self._plan.backward_by_blocks(self._half, unfold)
        return out

    def _recipe(self, weights: Callable, parts: list[tuple[bool, Array]]) -> _Recipe:
        """From whether each axis has sines, and the factors of its coefficients."""
        signs, shape = np.ones(1), self.box.shape[:-1]
        rows = np.empty((*self._orbits.shape, len(shape), 2), dtype=np.complex128)
        for axis, index in enumerate(np.unravel_index(self._orbits, shape) if shape else ()):
            line, (odd, factors) = self._lines[axis], parts[axis]
            rows[:, :, axis] = np.moveaxis(weights(line, odd, factors)[:, index], 0, -1)
            signs = np.multiply.outer(signs, line.signs if odd else np.ones(len(line.signs))).ravel()
        last = self._lines[-1]
        ends = last.ends(*parts[-1]) if weights is _Line.analysis else last.synthesis(*parts[-1])
        half = _planar(ends[:, : self._half.shape[-1]])
        return _Recipe(np.ascontiguousarray(np.swapaxes(rows, 1, 2)), half, signs, -1.0 if parts[-1][0] else 1.0)

    def _as_rows(self, half: NDArray[np.complex128]) -> Array:
        return half.reshape(len(self._order), -1).view(np.float64)

    def keep_redundant(self, coefficients: NDArray, original: NDArray) -> Array:
        """A cosine series has no redundancy."""
        return coefficients

    def as_vector(self, coefficients: NDArray) -> Array:
        """The coefficients, flat."""
        return coefficients.reshape(-1)

    def as_coefficients(self, vector: Array) -> Array:
        """The coefficients, in the shape of the grid."""
        return vector.reshape(self.box.shape)


@dataclass(frozen=True)
class _Recipe:
    """Butterflies of the rows, weights of the last axis, signs of the rows and of the last axis's odd points."""

    weights: NDArray[np.complex128]
    last: Array
    signs: Array
    sign: float


class _Line:
    """One axis with n points; cₖ = norm Xₖ are orthonormal coefficients, of cosines or (``odd``) of sines."""

    def __init__(self, n: int, length: float) -> None:
        index, half = np.arange(n), np.arange(n // 2 + 1)
        self.k = np.pi / length * index
        self.permutation = np.concatenate([index[::2], index[1::2][::-1]])
        self.signs = (-1.0) ** self.permutation
        self.pairs = np.stack([half, -half % n], axis=1)  # k and n − k; 0 pairs with itself and stands for n
        self._w = np.exp(0.5j * np.pi * index / n)
        self._norm = np.where(index > 0, np.sqrt(2.0 / n), np.sqrt(1.0 / n))

    def synthesis(self, odd: bool, factors: Array) -> NDArray[np.complex128]:
        """α and β (2, n) for the coefficients times ``factors``, for transforms without the factor 1/n."""
        scale = factors / (self._norm * self.k.size)
        mirrored = np.concatenate([[0.0], scale[:0:-1]])  # sₙ = 0
        own, other = (-1j, 1.0) if odd else (1.0, -1j)
        return self._w * np.stack([own * scale, other * mirrored])

    def analysis(self, odd: bool, factors: Array) -> NDArray[np.complex128]:
        """Weights (2, n) of Vₖ and Vₙ₋ₖ in cₖ times ``factors`` where lines are complex: Xₖ = ½(w*V)ₖ + ½wₖVₙ₋ₖ."""
        pair = np.stack([self._w.conj(), self._w])
        return 0.5 * self._norm * factors * (np.array([[1j], [-1j]]) * pair if odd else pair)

    def ends(self, odd: bool, factors: Array) -> NDArray[np.complex128]:
        """z, z′ (2, n) with cₖ = Re zₖVₖ and cₙ₋ₖ = Re z′ₖVₖ where lines are real: w*V = Xₖ − iXₙ₋ₖ."""
        scale = self._norm * factors
        mirrored = np.concatenate([[0.0], scale[:0:-1]])
        pair = np.stack([self._w.conj() * scale, 1j * self._w.conj() * mirrored])
        return np.array([[1j], [-1j]]) * pair if odd else pair


def _product_of_rows(shape: tuple[int, ...], axes: list[NDArray[np.intp]]) -> NDArray[np.intp]:
    """Flat row indices in an array of this shape from each axis's indices (m, p): (∏m, ∏p), the first axis's p fastest."""
    out = np.zeros((1, 1), dtype=np.intp)
    for n, axis in zip(shape, axes, strict=True):
        out = out[:, None, None, :] * n + axis[None, :, :, None]
        out = out.reshape(out.shape[0] * out.shape[1], -1)
    return out


def _planar(weights: NDArray[np.complex128]) -> Array:
    """Real and imaginary parts of (m, h) numbers as rows (2m, h): compiled loops over separate parts use vector instructions."""
    return np.concatenate([[w.real, w.imag] for w in weights])


# Unsigned indices: numba would test signed ones for wrapping around, and the loops would not use vector instructions.


@njit(cache=True, nogil=True)
def _fold(x, order, signs, sign, v):
    """Rows of v = (x₀, x₂, …, x₃, x₁), with signs."""
    n = x.shape[1]
    for r in range(order.size):
        source, even = order[r], signs[r]
        odd = even * sign
        for j in range(n // 2):
            v[r, j] = even * x[source, 2 * j]
            v[r, n - 1 - j] = odd * x[source, 2 * j + 1]
        if n % 2:
            v[r, n // 2] = even * x[source, n - 1]


@njit(cache=True, nogil=True)
def _unfold(v, order, signs, sign, x):
    """The way back."""
    n = v.shape[1]
    for r in range(order.size):
        target, even = order[r], signs[r]
        odd = even * sign
        for j in range(n // 2):
            x[target, 2 * j] = even * v[r, j]
            x[target, 2 * j + 1] = odd * v[r, n - 1 - j]
        if n % 2:
            x[target, n - 1] = even * v[r, n // 2]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _combine(weights, o, T):
    """Butterflies of orbit o, axis by axis; T (2, rows, h) holds real and imaginary parts."""
    for axis in range(weights.shape[1]):
        bit = 1 << axis
        for p in range(T.shape[1]):
            if p & bit == 0:
                _pair(weights[o, axis, p, 0], weights[o, axis, p, 1], weights[o, axis, p | bit, 0],
                      weights[o, axis, p | bit, 1], T, p, p | bit)  # fmt: skip


@njit(cache=True, nogil=True, fastmath={"contract"})
def _pair(u, u2, v, v2, T, p, q):
    """Rows (P, Q) ← (uP + u₂Q, vQ + v₂P)."""
    a, b, c, d = u.real, u.imag, u2.real, u2.imag
    e, f, g, h = v.real, v.imag, v2.real, v2.imag
    for k in range(np.uint64(T.shape[2])):
        pr, pi, qr, qi = T[0, p, k], T[1, p, k], T[0, q, k], T[1, q, k]
        T[0, p, k] = a * pr - b * pi + c * qr - d * qi
        T[1, p, k] = a * pi + b * pr + c * qi + d * qr
        T[0, q, k] = e * qr - f * qi + g * pr - h * pi
        T[1, q, k] = e * qi + f * qr + g * pi + h * pr


@njit(cache=True, nogil=True, fastmath={"contract"})
def _analyse(V, orbits, weights, last, c):
    """Cosine coefficients from the half spectrum, whose rows are pairs of reals."""
    zero, one, two, n = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(c.shape[1])
    half = np.uint64(last.shape[1])
    T = np.empty((2, orbits.shape[1], half))
    for o in range(orbits.shape[0]):
        for p in range(orbits.shape[1]):
            r = orbits[o, p]
            for k in range(zero, half):
                T[0, p, k], T[1, p, k] = V[r, two * k], V[r, two * k + one]
        _combine(weights, o, T)
        for p in range(orbits.shape[1]):
            r = orbits[o, p]
            for k in range(one, half):
                c[r, n - k] = last[2, k] * T[0, p, k] - last[3, k] * T[1, p, k]
            for k in range(zero, half):
                c[r, k] = last[0, k] * T[0, p, k] - last[1, k] * T[1, p, k]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _synthesise(c, orbits, weights, last, V):
    """Half spectrum, rows of pairs of reals, from cosine coefficients."""
    zero, one, two, n = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(c.shape[1])
    half = np.uint64(last.shape[1])
    T = np.empty((2, orbits.shape[1], half))
    for o in range(orbits.shape[0]):
        for p in range(orbits.shape[1]):
            r = orbits[o, p]
            T[0, p, 0], T[1, p, 0] = last[0, 0] * c[r, 0], last[1, 0] * c[r, 0]
            for k in range(one, half):
                T[0, p, k] = last[0, k] * c[r, k] + last[2, k] * c[r, n - k]
                T[1, p, k] = last[1, k] * c[r, k] + last[3, k] * c[r, n - k]
        _combine(weights, o, T)
        for p in range(orbits.shape[1]):
            r = orbits[o, p]
            for k in range(zero, half):
                V[r, two * k], V[r, two * k + one] = T[0, p, k], T[1, p, k]
