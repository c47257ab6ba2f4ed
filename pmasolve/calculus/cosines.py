"""Cosine transforms of a box by FFTs of the box's own size (Makhoul, IEEE Trans. ASSP 28, 1980).

Along a line of n values the vector v = (x₀, x₂, x₄, …, x₅, x₃, x₁) has the FFT Vₖ = wₖ(Xₖ − iXₙ₋ₖ), wₖ = exp(iπk/2n), with X the
cosine transform of x and Xₙ = 0.  A sine series with coefficients s is (−1)ʲ times the cosine series of the coefficients sₙ₋ₖ.
So both are Vₖ = αₖcₖ + βₖcₙ₋ₖ, c the cosine coefficients of the function that is differentiated, and v lists the values of the
even, or odd, continuation at every second point of the doubled line: with points in that order nothing has to be moved or signed.

Every grid is seen as a three-dimensional one, with axes of one point put first, and its arrays as rows along the last axis.  With
R the exchange of k and n − k along an axis, a transform of the other two axes combines four rows: c, R₁c, R₀c and R₀R₁c.  There
neighbours along the last axis, which are real, make one complex number.
"""

from __future__ import annotations

from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..machine.arrays import Array
from ..machine.threads import blocks, each
from ..problems.grids import Box, Grid, Interleaved
from .ffts import Weigh
from .folds import analyse, combine, combine_odd, extract, extract_odd, synthesise
from .halves import RealLine, planar
from .series import Coefficients, Group, Orders, Series

# Of an analysis: weights of rows as `analyse` takes them, and along the last axis.
_Recipe = tuple[NDArray[np.complex128], Weigh]


class CosineSeries:
    """What the transforms of a box have in common: all that is said of coefficients."""

    isometry = np.ones(1)

    def __init__(self, grid: Box | Interleaved) -> None:
        self.grid = grid
        self._axes = [_Line(n, length) for n, length in zip(grid.shape, grid.lengths, strict=True)]

    @cached_property
    def wavenumbers(self) -> tuple[Array, ...]:
        """πm/L of each axis."""
        return tuple(line.k.reshape((-1,) + (1,) * (self.grid.dim - 1 - j)) for j, line in enumerate(self._axes))

    @cached_property
    def signs(self) -> tuple[Array, ...]:
        """1, and 0 for the constant."""
        return tuple(np.sign(k) for k in self.wavenumbers)

    def zeros(self) -> Array:
        """The cosine series of 0."""
        return np.zeros(self.grid.shape)

    def refined(self, coefficients: Array, grid: Grid, out: Array) -> Array:
        """Cut or padded with zeros; there is no Nyquist mode."""
        kept = tuple(slice(0, min(sizes)) for sizes in zip(self.grid.shape, grid.shape, strict=True))
        out[...] = 0.0
        np.multiply(coefficients[kept], np.sqrt(grid.size / self.grid.size), out=out[kept])
        return out

    def keep_redundant(self, coefficients: NDArray, original: NDArray) -> Array:
        """A cosine series has no redundancy."""
        return coefficients

    def as_vector(self, coefficients: NDArray) -> Array:
        """The coefficients, flat."""
        return coefficients.reshape(-1)

    def as_coefficients(self, vector: Array) -> Array:
        """The coefficients, in the shape of the grid."""
        return vector.reshape(self.grid.shape)


class InterleavedTransform(CosineSeries):
    """Cosine transform of a grid of cell centres, listed as `Interleaved` lists them.

    Cost: a real FFT of the grid's shape and two passes over memory.
    """

    def __init__(self, grid: Interleaved) -> None:
        super().__init__(grid)
        self.series = Series(grid, self, (grid.shape[-1] + 1) // 2)
        self._line = RealLine(grid.shape[-1])
        added = 3 - grid.dim
        self._lines = [_Line(1, 1.0)] * added + self._axes
        self._neutral = [(False, np.ones(1))] * added
        first, second, _ = self._lines
        self._sources = np.stack([_rows(k, m) for k, m in product(first.pairs, second.pairs)], axis=1)
        self._rows = len(self._sources), grid.shape[-1]
        self._blocks = blocks(len(self._sources), grid.size)
        self._analysis = self._analysing([(False, np.ones(n)) for n in grid.shape])
        self._slopes: tuple[tuple[Array, ...], list[Group], list[_Recipe]] = ((), [], [])

    @property
    def working(self) -> tuple[Grid, InterleavedTransform]:
        """This one."""
        return self.grid, self

    def forward(self, values: Array, out: Array | None = None) -> Array:
        """Orthonormal DCT-II along every axis."""
        return self._analyse(values, self._analysis, np.empty(self.grid.shape) if out is None else out)

    def derivative(self, coefficients: Coefficients, orders: Orders, out: Array) -> Array:
        """As in `Transform`."""
        self.series.derivatives(coefficients, (orders,), (out,))
        return out

    def leading(self, orders: Orders) -> Array:
        """As in `Basis`."""
        lines = self._lines[2 - len(orders) : 2]
        return self._along_rows([_differentiated(line, order) for line, order in zip(lines, orders, strict=True)])

    def weighing(self, order: int) -> Weigh:
        """As in `Basis`."""
        return self._along_columns(*_differentiated(self._lines[2], order))

    def rows(self, coefficients: Coefficients) -> Array:
        """The coefficients' own rows."""
        return coefficients.reshape(self._rows)

    def fill(self, source: Array, leading: Array, rows: slice, lines: Array) -> None:
        """As in `Basis`."""
        synthesise(source, self._sources, leading, rows.start, rows.stop, lines)

    def slope(self, coefficients: NDArray, multipliers: tuple[Array, ...], j: int, out: Array) -> Array:
        """Cosines become sines along axis j."""
        self.series.synthesise(coefficients, self._recipes(multipliers)[0][j], out)
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
        weights, extract = recipe
        plan, c = self.series.plan, out.reshape(self._rows)
        plan.forward(np.ascontiguousarray(values, dtype=np.float64), plan.work, extract)
        each(lambda b: analyse(plan.lines, self._sources, weights, b.start, b.stop, c), self._blocks)
        return out

    def _along_rows(self, parts: list[tuple[bool, Array]]) -> Array:
        """Weights of `synthesise`, from whether each leading axis has sines and the factors of its coefficients."""
        parts = [*self._neutral, *parts]
        (a, b, t), (c, d, u) = (line.synthesis(*part) for line, part in zip(self._lines[:2], parts, strict=True))
        turns = np.multiply.outer(t, u).ravel()
        weights = [np.multiply.outer(*pair).ravel() for pair in ((a, c), (a, d), (b, c), (b, d))]
        return np.stack([turns.real, turns.imag, *weights], axis=1)

    def _along_columns(self, odd: bool, factors: Array) -> Weigh:
        """Folded spectra of Vₖ = αₖcₖ + βₖcₙ₋ₖ."""
        e, f, v = self._lines[2].synthesis(odd, factors)
        (alpha, far), (beta, near) = (self._line.folding(w[: self._line.half]) for w in (v * e, -1j * v * f))
        if self._line.odd:
            weights = planar((alpha, beta))
            return lambda lines, out: combine_odd(lines, weights, out)
        weights = planar((alpha, beta, far, near))
        return lambda lines, out: combine(lines, weights, out)

    def _analysing(self, parts: list[tuple[bool, Array]]) -> _Recipe:
        parts = [*self._neutral, *parts]
        first, second = (line.analysis(*part) for line, part in zip(self._lines[:2], parts[:2], strict=True))
        weights = np.stack([np.multiply.outer(a, b).ravel() for a, b in product(first, second)], axis=1)
        return weights, self._extracting(self._lines[2].ends(*parts[2])[:, : self._line.half])

    def _extracting(self, ends: NDArray[np.complex128]) -> Weigh:
        """cₖ and cₙ₋ₖ are real parts of these numbers times Vₖ, which is given folded."""
        if self._line.odd:
            weights = planar(tuple(ends.conj()))
            return lambda rows, out: extract_odd(rows, weights, out)
        (a, b), (c, d) = ([end * w for w in self._line.unfolding] for end in ends)
        weights = planar((a.conj()[:-1], b[:-1], d[:0:-1], c.conj()[:0:-1]))  # of Yₖ and Yₘ₋ₖ, also in cₘ₊ₖ
        return lambda rows, out: extract(rows, weights, out)


def _differentiated(line: _Line, order: int) -> tuple[bool, Array]:
    """Whether the derivative is a sine series, and its factors: cosines become sines under odd derivatives."""
    return order % 2 == 1, (-1.0) ** ((order + 1) // 2) * line.k**order


class _Line:
    """One axis with n points; cₖ = norm Xₖ are orthonormal coefficients, of cosines or (``odd``) of sines."""

    def __init__(self, n: int, length: float) -> None:
        index = np.arange(n)
        self.k = np.pi / length * index
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
