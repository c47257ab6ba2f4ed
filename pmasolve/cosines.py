"""Cosine transforms of a box by real FFTs of the box's own size (Makhoul, IEEE Trans. ASSP 28, 1980).

Along a line of n values the vector v = (x₀, x₂, x₄, …, x₅, x₃, x₁) has the FFT Vₖ = wₖ(Xₖ − iXₙ₋ₖ), wₖ = exp(iπk/2n), with X the
cosine transform of x and Xₙ = 0.  A sine series with coefficients s is (−1)ʲ times the cosine series of the coefficients sₙ₋ₖ.
So both are Vₖ = αₖcₖ + βₖcₙ₋ₖ, c the cosine coefficients of the function that is differentiated.

Every grid is seen as a three-dimensional one, with axes of one point put first, and its arrays as rows along the last axis.  With
R the exchange of k and n − k along an axis, a transform of the other two axes combines four rows: c, R₀R₁c, R₁c and R₀c.
"""

from __future__ import annotations

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
        added = 3 - box.dim
        self._lines = [_Line(1, 1.0)] * added + [_Line(n, le) for n, le in zip(box.shape, box.lengths, strict=True)]
        self._neutral = [(False, np.ones(1))] * added
        first, second, _ = self._lines
        self._order = _rows(first.permutation, second.permutation)
        exchanges = [(0, 0), (1, 1), (0, 1), (1, 0)]
        self._sources = np.stack([_rows(first.pairs[p], second.pairs[q]) for p, q in exchanges], axis=1)
        self._rows = len(self._order), box.shape[-1]
        self._half = np.empty((*box.shape[:-1], box.shape[-1] // 2 + 1), dtype=np.complex128)
        self._blocks = blocks(len(self._order), box.size)
        self._analysis = self._analysing([(False, np.ones(n)) for n in box.shape])
        self._derivatives: dict[tuple[int, ...], _Recipe] = {}
        self._slopes: tuple[tuple[Array, ...], list[_Recipe], list[_Recipe]] = ((), [], [])

    @cached_property
    def wavenumbers(self) -> tuple[Array, ...]:
        """πm/L of each axis."""
        dim = self.box.dim
        return tuple(line.k.reshape((-1,) + (1,) * (dim - 1 - j)) for j, line in enumerate(self._lines[3 - dim :]))

    @cached_property
    def signs(self) -> tuple[Array, ...]:
        """1, and 0 for the constant."""
        return tuple(np.sign(k) for k in self.wavenumbers)

    def zeros(self) -> Array:
        """The cosine series of 0."""
        return np.zeros(self.box.shape)

    def refined(self, coefficients: Array, grid: Grid, out: Array) -> Array:
        """Cut or padded with zeros; there is no Nyquist mode."""
        kept = tuple(slice(0, min(sizes)) for sizes in zip(self.box.shape, grid.shape, strict=True))
        out[...] = 0.0
        np.multiply(coefficients[kept], np.sqrt(grid.size / self.box.size), out=out[kept])
        return out

    def forward(self, values: Array, out: Array | None = None) -> Array:
        """Orthonormal DCT-II along every axis."""
        return self._analyse(values, self._analysis, np.empty(self.box.shape) if out is None else out)

    def derivative(self, coefficients: NDArray, orders: tuple[int, ...], out: Array) -> Array:
        """Cosine series stay cosine series under even derivatives and become sine series under odd ones."""
        return self._synthesise(coefficients, self._derivative(orders), out)

    def add_derivative(
        self, coefficients: NDArray, orders: tuple[int, ...], weight: float, factor: Array, out: Array
    ) -> Array:
        """Added while the cache holds the values."""
        recipe, sums, factors = self._derivative(orders), out.reshape(self._rows), factor.reshape(self._rows)

        def add(rows: slice, v: Array) -> None:
            _unfold_product(v, self._order[rows], weight * recipe.signs[rows], recipe.sign, factors, sums)

        self._spectrum(coefficients, recipe)
        self._plan.backward_by_blocks(self._half, add)
        return out

    def _derivative(self, orders: tuple[int, ...]) -> _Recipe:
        if orders not in self._derivatives:
            k = [line.k for line in self._lines[-len(orders) :]]
            factors = [(-1.0) ** ((o + 1) // 2) * kj**o for kj, o in zip(k, orders, strict=True)]
            odd = [order % 2 == 1 for order in orders]
            self._derivatives[orders] = self._synthesising(list(zip(odd, factors, strict=True)))
        return self._derivatives[orders]

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
            factors, axes = [np.ravel(m) for m in multipliers], range(len(multipliers))
            there, back = (
                [[(i == j, sign * factors[i] if i == j else np.ones(factors[i].size)) for i in axes] for j in axes]
                for sign in (-1.0, 1.0)
            )
            self._slopes = multipliers, [self._synthesising(p) for p in there], [self._analysing(p) for p in back]
        return self._slopes[1:]

    def _analyse(self, values: Array, recipe: _Recipe, out: Array) -> Array:
        x, c = np.ascontiguousarray(values).reshape(self._rows), out.reshape(self._rows)

        def folded(rows: slice) -> Array:
            v = np.empty((rows.stop - rows.start, c.shape[1]))
            _fold(x, self._order[rows], recipe.signs[rows], recipe.sign, v)
            return v

        V = self._as_rows(self._plan.forward(folded, self._half))
        each(lambda b: _analyse(V, self._sources[b], recipe.weights[b], recipe.last, c[b]), self._blocks)
        return out

    def _spectrum(self, coefficients: NDArray, recipe: _Recipe) -> None:
        c, V = coefficients.reshape(self._rows), self._as_rows(self._half)
        each(lambda b: _synthesise(c, self._sources[b], recipe.weights[b], recipe.last, V[b]), self._blocks)

    def _synthesise(self, coefficients: NDArray, recipe: _Recipe, out: Array) -> Array:
        x = out.reshape(self._rows)

        def unfold(rows: slice, v: Array) -> None:
            _unfold(v, self._order[rows], recipe.signs[rows], recipe.sign, x)

        self._spectrum(coefficients, recipe)
        self._plan.backward_by_blocks(self._half, unfold)
        return out

    def _synthesising(self, parts: list[tuple[bool, Array]]) -> _Recipe:
        """From whether each axis has sines, and the factors of its coefficients."""
        parts = [*self._neutral, *parts]
        (a, b, t), (c, d, u), (e, f, v) = (line.synthesis(*part) for line, part in zip(self._lines, parts, strict=True))
        turns = np.multiply.outer(t, u).ravel()
        weights = [np.multiply.outer(*pair).ravel() for pair in ((a, c), (b, d), (a, d), (b, c))]
        last = _planar(np.stack([v * e, -1j * v * f])[:, : self._half.shape[-1]])
        return self._recipe(np.stack([*weights, turns.real, turns.imag], axis=1), last, parts)

    def _analysing(self, parts: list[tuple[bool, Array]]) -> _Recipe:
        parts = [*self._neutral, *parts]
        first, second = (line.analysis(*part) for line, part in zip(self._lines[:2], parts[:2], strict=True))
        weights = [np.multiply.outer(first[p], second[q]).ravel() for p, q in ((0, 0), (1, 1), (0, 1), (1, 0))]
        last = _planar(self._lines[2].ends(*parts[2])[:, : self._half.shape[-1]])
        return self._recipe(np.stack(weights, axis=1), last, parts)

    def _recipe(self, weights: NDArray, last: Array, parts: list[tuple[bool, Array]]) -> _Recipe:
        first, second = (
            line.signs if odd else np.ones(len(line.signs))
            for line, (odd, _) in zip(self._lines[:2], parts[:2], strict=True)
        )
        return _Recipe(weights, last, np.multiply.outer(first, second).ravel(), -1.0 if parts[2][0] else 1.0)

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
    """Weights of the source rows and of the last axis, signs of the rows and of the last axis's odd points."""

    weights: NDArray
    last: Array
    signs: Array
    sign: float


class _Line:
    """One axis with n points; cₖ = norm Xₖ are orthonormal coefficients, of cosines or (``odd``) of sines."""

    def __init__(self, n: int, length: float) -> None:
        index = np.arange(n)
        self.k = np.pi / length * index
        self.permutation = np.concatenate([index[::2], index[1::2][::-1]])
        self.signs = (-1.0) ** self.permutation
        self.pairs = index, -index % n  # k and n − k; 0 stands for n
        self._w = np.exp(0.5j * np.pi * index / n)
        self._norm = np.where(index > 0, np.sqrt(2.0 / n), np.sqrt(1.0 / n))

    def synthesis(self, odd: bool, factors: Array) -> tuple[Array, Array, NDArray[np.complex128]]:
        """a, b, t of V = t(a − ibR)c for the coefficients times ``factors``, and transforms without the factor 1/n."""
        scale = factors / (self._norm * self.k.size)
        mirrored = np.concatenate([[0.0], scale[:0:-1]])  # sₙ = 0
        return (scale, -mirrored, -1j * self._w) if odd else (scale, mirrored, self._w)

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


def _rows(first: NDArray[np.intp], second: NDArray[np.intp]) -> NDArray[np.intp]:
    """Flat indices of the rows (first, second)."""
    return np.add.outer(first * len(second), second).ravel()


def _planar(weights: NDArray[np.complex128]) -> Array:
    """Real and imaginary parts of (m, h) numbers as rows (2m, h): compiled loops over separate parts use vector instructions."""
    return np.concatenate([[w.real, w.imag] for w in weights])


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


@njit(cache=True, nogil=True)
def _unfold_product(v, order, signs, sign, factor, x):
    """The same times ``factor``, added."""
    n = v.shape[1]
    for r in range(order.size):
        target, even = order[r], signs[r]
        odd = even * sign
        for j in range(n // 2):
            x[target, 2 * j] += even * factor[target, 2 * j] * v[r, j]
            x[target, 2 * j + 1] += odd * factor[target, 2 * j + 1] * v[r, n - 1 - j]
        if n % 2:
            x[target, n - 1] += even * factor[target, n - 1] * v[r, n // 2]


# Unsigned indices: numba would test signed ones for wrapping around, and the loops would not use vector instructions.


@njit(cache=True, nogil=True, fastmath={"contract"})
def _analyse(V, sources, weights, last, c):
    """Cosine coefficients from the half spectrum, whose rows are pairs of reals."""
    zero, one, two, n = np.uint64(0), np.uint64(1), np.uint64(2), np.uint64(c.shape[1])
    half = np.uint64(last.shape[1])
    T = np.zeros((2, half))
    for r in range(c.shape[0]):
        T[:] = 0.0
        for p in range(4):
            s, a, b = sources[r, p], weights[r, p].real, weights[r, p].imag
            for k in range(zero, half):
                T[0, k] += a * V[s, two * k] - b * V[s, two * k + one]
                T[1, k] += a * V[s, two * k + one] + b * V[s, two * k]
        for k in range(one, half):
            c[r, n - k] = last[2, k] * T[0, k] - last[3, k] * T[1, k]
        for k in range(zero, half):
            c[r, k] = last[0, k] * T[0, k] - last[1, k] * T[1, k]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _synthesise(c, sources, weights, last, V):
    """Half spectrum t(P − iQ), rows of pairs of reals, from cosine coefficients."""
    one, two, n = np.uint64(1), np.uint64(2), np.uint64(c.shape[1])
    for r in range(V.shape[0]):
        i, j, h, m = sources[r]
        A, B, C, D, u, v = weights[r]
        P, Q = A * c[i, 0] - B * c[j, 0], C * c[h, 0] + D * c[m, 0]
        x, y = last[0, 0] * P + last[1, 0] * Q, last[1, 0] * P - last[0, 0] * Q
        V[r, 0], V[r, 1] = u * x - v * y, u * y + v * x
        for k in range(one, np.uint64(last.shape[1])):
            P, Q = A * c[i, k] - B * c[j, k], C * c[h, k] + D * c[m, k]
            p, q = A * c[i, n - k] - B * c[j, n - k], C * c[h, n - k] + D * c[m, n - k]
            x = last[0, k] * P + last[1, k] * Q + last[2, k] * p + last[3, k] * q
            y = last[1, k] * P - last[0, k] * Q + last[3, k] * p - last[2, k] * q
            V[r, two * k], V[r, two * k + one] = u * x - v * y, u * y + v * x
