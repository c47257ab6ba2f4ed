"""Cosine transforms of a box by real FFTs of the box's own size (Makhoul, IEEE Trans. ASSP 28, 1980).

Along a line of n values the vector v = (x₀, x₂, x₄, …, x₅, x₃, x₁) has the FFT Vₖ = wₖ(Xₖ − iXₙ₋ₖ), wₖ = exp(iπk/2n), with X the
cosine transform of x and Xₙ = 0.  A sine series with coefficients s is (−1)ʲ times the cosine series of the coefficients sₙ₋ₖ.
So both are Vₖ = αₖcₖ + βₖcₙ₋ₖ, c the cosine coefficients of the function that is differentiated.

Every grid is seen as a three-dimensional one, with axes of one point put first, and its arrays as rows along the last axis.  With
R the exchange of k and n − k along an axis, a transform of the other two axes combines four rows: c, R₁c, R₀c and R₀R₁c; of one
axis two.  These complex lines hold the real ones of k and n − k along the last axis together.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from .domains import Array, Box, Grid
from .ffts import Fill, Use, Weigh
from .folds import analyse, combine, fold, synthesise, unfold, unfold_product
from .series import Coefficients, Group, Orders, Series
from .threads import blocks, each


@dataclass(frozen=True)
class _Rows:
    """Along the leading axes: weights of the source rows as `synthesise` or `analyse` take them, and signs of the rows."""

    weights: NDArray
    signs: Array


@dataclass(frozen=True)
class _Columns:
    """Along the last axis: weights of k and n − k, and the sign of the odd points."""

    weights: Array
    sign: float

    @cached_property
    def weigh(self) -> Weigh:
        """Makes the half spectrum of rows."""
        return lambda rows, out: combine(rows.view(np.float64), self.weights, out.view(np.float64))


_Recipe = tuple[_Rows, _Columns]  # of an analysis


class BoxTransform:
    """Cosine transform of a grid of cell centres: the even reflection's real series, on the box's own points.

    Cost: a real FFT of the box's shape and two passes over memory.
    """

    isometry = np.ones(1)

    def __init__(self, box: Box) -> None:
        self.box, self.series = box, Series(box, self)
        added = 3 - box.dim
        self._lines = [_Line(1, 1.0)] * added + [_Line(n, le) for n, le in zip(box.shape, box.lengths, strict=True)]
        self._neutral = [(False, np.ones(1))] * added
        first, second, _ = self._lines
        self._order = _rows(first.permutation, second.permutation)
        exchanged = first.pairs if box.dim == 3 else first.pairs[:1]
        self._sources = np.stack([_rows(k, m) for k, m in product(exchanged, second.pairs)], axis=1)
        self._rows = len(self._order), box.shape[-1]
        self._blocks = blocks(len(self._order), box.size)
        self._analysis = self._analysing([(False, np.ones(n)) for n in box.shape])
        self._slopes: tuple[tuple[Array, ...], list[Group], list[_Recipe]] = ((), [], [])

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

    def derivative(self, coefficients: Coefficients, orders: Orders, out: Array) -> Array:
        """As in `Transform`."""
        self.series.derivatives(coefficients, (orders,), (out,))
        return out

    def leading(self, orders: Orders) -> _Rows:
        """As in `Basis`."""
        lines = self._lines[2 - len(orders) : 2]
        return self._along_rows([_differentiated(line, order) for line, order in zip(lines, orders, strict=True)])

    def last(self, order: int) -> _Columns:
        """As in `Basis`."""
        return self._along_columns(*_differentiated(self._lines[2], order))

    def slope(self, coefficients: NDArray, multipliers: tuple[Array, ...], j: int, out: Array) -> Array:
        """Cosines become sines along axis j."""
        self.series.synthesise(coefficients, self._recipes(multipliers)[0][j], [out])
        return out

    def divergence(self, flux: Array, multipliers: tuple[Array, ...], out: Array) -> Array:
        """Sines along axis j become cosines."""
        recipes = self._recipes(multipliers)[1]
        self._analyse(flux[0], recipes[0], out)
        for values, recipe in zip(flux[1:], recipes[1:], strict=True):
            out += self._analyse(values, recipe, np.empty_like(out))
        return out

    def _recipes(self, multipliers: tuple[Array, ...]) -> tuple[list[Group], list[_Recipe]]:
        """Of slope and divergence; those of the last multipliers are kept."""
        if self._slopes[0] is not multipliers:
            factors, axes = [np.ravel(m) for m in multipliers], range(len(multipliers))
            there, back = (
                [[(i == j, sign * factors[i] if i == j else np.ones(factors[i].size)) for i in axes] for j in axes]
                for sign in (-1.0, 1.0)
            )
            groups = [Group(self._along_rows(p[:-1]), ((0, self._along_columns(*p[-1])),)) for p in there]
            self._slopes = multipliers, groups, [self._analysing(p) for p in back]
        return self._slopes[1:]

    def _analyse(self, values: Array, recipe: _Recipe, out: Array) -> Array:
        x, c = np.ascontiguousarray(values).reshape(self._rows), out.reshape(self._rows)
        leading, last = recipe
        weights, signs = leading.weights, leading.signs

        def folded(rows: slice) -> Array:
            v = np.empty((rows.stop - rows.start, c.shape[1]))
            fold(x, self._order[rows], signs[rows], last.sign, v)
            return v

        V = _as_rows(self.series.plan.forward(folded, self.series.work))
        each(lambda b: analyse(V, self._sources[b], weights[b], last.weights, c[b]), self._blocks)
        return out

    def filling(self, coefficients: NDArray, leading: _Rows, work: NDArray[np.complex128]) -> Fill:
        """As in `Basis`."""
        c, V = coefficients.reshape(self._rows), _as_rows(work)
        return lambda k: synthesise(c, self._sources, leading.weights, k.start, k.stop, V)

    def weighing(self, last: _Columns, final: bool) -> Weigh:
        """As in `Basis`."""
        return last.weigh

    def writing(self, group: Group[_Rows, _Columns], last: _Columns, out: Array) -> tuple[None, Use]:
        """As in `Basis`."""
        x, signs = out.reshape(self._rows), group.leading.signs
        return None, lambda rows, v: unfold(v, self._order[rows], signs[rows], last.sign, x)

    def adding(self, group: Group[_Rows, _Columns], last: _Columns, weight: float, factor: Array, sums: Array) -> Use:
        """As in `Basis`."""
        x, factors, signs = sums.reshape(self._rows), factor.reshape(self._rows), weight * group.leading.signs
        return lambda rows, v: unfold_product(v, self._order[rows], signs[rows], last.sign, factors, x)

    def _along_rows(self, parts: list[tuple[bool, Array]]) -> _Rows:
        """Synthesis, from whether each leading axis has sines and the factors of its coefficients."""
        parts = [*self._neutral, *parts]
        (a, b, t), (c, d, u) = (line.synthesis(*part) for line, part in zip(self._lines[:2], parts, strict=True))
        turns = np.multiply.outer(t, u).ravel()
        weights = [np.multiply.outer(*pair).ravel() for pair in ((a, c), (a, d), (b, c), (b, d))]
        return _Rows(np.stack([turns.real, turns.imag, *weights], axis=1), self._signs(parts))

    def _along_columns(self, odd: bool, factors: Array) -> _Columns:
        e, f, v = self._lines[2].synthesis(odd, factors)
        return _Columns(_planar(np.stack([v * e, -1j * v * f])[:, : self.series.half[-1]]), -1.0 if odd else 1.0)

    def _analysing(self, parts: list[tuple[bool, Array]]) -> _Recipe:
        parts = [*self._neutral, *parts]
        first, second = (line.analysis(*part) for line, part in zip(self._lines[:2], parts[:2], strict=True))
        first = first if self.box.dim == 3 else first.sum(axis=0, keepdims=True)
        weights = np.stack([np.multiply.outer(a, b).ravel() for a, b in product(first, second)], axis=1)
        last = _planar(self._lines[2].ends(*parts[2])[:, : self.series.half[-1]])
        return _Rows(weights, self._signs(parts[:2])), _Columns(last, -1.0 if parts[2][0] else 1.0)

    def _signs(self, parts: list[tuple[bool, Array]]) -> Array:
        """Of the rows; ``parts`` are those of the two leading axes."""
        first, second = (
            line.signs if odd else np.ones(len(line.signs))
            for line, (odd, _) in zip(self._lines[:2], parts, strict=True)
        )
        return np.multiply.outer(first, second).ravel()

    def keep_redundant(self, coefficients: NDArray, original: NDArray) -> Array:
        """A cosine series has no redundancy."""
        return coefficients

    def as_vector(self, coefficients: NDArray) -> Array:
        """The coefficients, flat."""
        return coefficients.reshape(-1)

    def as_coefficients(self, vector: Array) -> Array:
        """The coefficients, in the shape of the grid."""
        return vector.reshape(self.box.shape)


def _differentiated(line: _Line, order: int) -> tuple[bool, Array]:
    """Whether the derivative is a sine series, and its factors: cosines become sines under odd derivatives."""
    return order % 2 == 1, (-1.0) ** ((order + 1) // 2) * line.k**order


def _as_rows(half: NDArray[np.complex128]) -> Array:
    """Rows of pairs of reals."""
    return half.reshape(-1, half.shape[-1]).view(np.float64)


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
