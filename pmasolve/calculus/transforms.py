"""Values on a grid ⇄ coefficients of a series, Fourier's on a torus and of cosines on a box; derivatives from coefficients.

``transform_of(grid)`` gives the transform of a grid.  ``isometry`` and ``as_vector`` make the coefficients a real vector with the
Euclidean norm of the values (Parseval), the state that the time integrator sees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Protocol

import numpy as np

from ..machine.arrays import Array
from ..machine.threads import over
from ..problems.grids import Box, Grid, Torus
from .cosines import Cosines
from .hessians import vectorised
from .series import Amplitudes, Symbol, Waves, solid

Orders = tuple[int, ...]
Term = tuple[Orders, float, Array]  # a derivative, its weight and its factor

EVEN = (False, False, False)


@dataclass(frozen=True)
class Branch:
    """Derivatives that differ along the last axis only: their places in a list of them, and their symbols."""

    places: list[int] = field(default_factory=list)
    symbols: list[Symbol] = field(default_factory=list)

    def add(self, place: int, symbol: Symbol) -> None:
        """One more."""
        self.places.append(place)
        self.symbols.append(symbol)


Tree = list[list[Branch]]
Use = Callable[[Branch, slice, slice], None]  # what is done with a branch on a slab, and its lines along the last axis


class Basis(Protocol):
    """Products of functions of one coordinate each, on one grid, with room for one array of coefficients.

    From coefficients to values it goes axis by axis, so that derivatives that agree on the first axes can share what is done there.
    """

    shape: tuple[int, ...]  # of the coefficients
    unit: complex  # what a derivative along an axis multiplies by, besides the wavenumber
    on_slabs: Callable[[Callable[[slice], None]], object]  # calls work on each block of the first axis, on all threads

    @property
    def wavenumbers(self) -> tuple[Array, ...]:
        """Wavenumbers of each axis in radians per unit length, shaped to broadcast against the coefficients."""

    @property
    def signs(self) -> tuple[Array, ...]:
        """Sign of the wavenumber of each axis; 0 where an odd derivative vanishes on the grid."""

    @property
    def isometry(self) -> Array:
        """Factors of the last axis that make the coefficients' Euclidean norm that of the values."""

    @property
    def room(self) -> Amplitudes:
        """An array of coefficients that ``analyse`` may fill and ``first`` may write over."""

    def zeros(self) -> Amplitudes:
        """Coefficients of 0."""

    def analyse(self, values: Array, odd: tuple[bool, ...], out: Amplitudes) -> None:
        """Coefficients, in ``out``, of values that continue oddly beyond walls along the axes ``odd``."""

    def narrow(self, coefficients: Amplitudes) -> None:
        """Look where these are 0: the next transforms, of these only, leave that out."""

    def first(self, coefficients: Amplitudes, symbol: Symbol) -> None:
        """Times the symbol's first factor, then from wavenumbers to points along the first axis, in room of its own."""

    def rest(self, slab: slice, symbols: Sequence[Symbol], outs: Sequence[Array]) -> None:
        """The other axes for a slab of these: values, (lines, n) in ``outs``, of derivatives that differ along the last only."""

    def refined(self, coefficients: Amplitudes, grid: Grid, out: Amplitudes) -> None:
        """Coefficients of the same function on another grid."""

    def keep_redundant(self, coefficients: Amplitudes, original: Amplitudes) -> None:
        """Put back what of ``original`` no real function has."""


class Transform:
    """Transforms of one grid, with the array that they work in.

    Derivatives that agree along their first axes share the transforms of these: in the plane all five first and second ones take
    three transforms along the first axis and five along the last; in space nine take three, six and nine.
    """

    def __init__(self, grid: Grid, basis: Basis) -> None:
        self.grid, self.basis = grid, basis
        self._middle = solid(grid.shape, 1)[1]
        self._trees: dict[tuple[Orders, ...], Tree] = {}

    @property
    def wavenumbers(self) -> tuple[Array, ...]:
        """Wavenumbers of each axis in radians per unit length, shaped to broadcast against the coefficients."""
        return self.basis.wavenumbers

    @property
    def signs(self) -> tuple[Array, ...]:
        """Sign of the wavenumber of each axis; 0 where an odd derivative vanishes on the grid."""
        return self.basis.signs

    @property
    def single(self) -> Transform:
        """A transform of this grid that sends float32 from process to process: itself where nothing is sent."""
        return self

    @property
    def isometry(self) -> Array:
        """Factors (broadcastable) that make the coefficients' Euclidean norm that of the values."""
        return self.basis.isometry

    def zeros(self) -> Amplitudes:
        """Coefficients of 0."""
        return self.basis.zeros()

    def forward(self, values: Array, out: Amplitudes | None = None) -> Amplitudes:
        """Coefficients of the values, in ``out`` if given; the caller owns the result."""
        out = self.basis.zeros() if out is None else out
        self.basis.analyse(np.ascontiguousarray(values, dtype=np.float64), EVEN, out)
        return out

    def derivative(self, coefficients: Amplitudes, orders: Orders, out: Array) -> Array:
        """∂^orders of the series at the grid points, written to ``out``; the coefficients are left alone."""
        self.derivatives(coefficients, (orders,), (out,))
        return out

    def derivatives(self, coefficients: Amplitudes, orders: Sequence[Orders], outs: Sequence[Array]) -> None:
        """Each derivative in its array, cheaper than one by one."""
        values = [out.reshape(-1, out.shape[-1]) for out in outs]
        self._together(coefficients, self._tree(orders), self._into(values))

    def add_derivatives(self, coefficients: Amplitudes, terms: Sequence[Term], out: Array) -> Array:
        """out + ∑ weight · factor · derivative, in ``out``, without an array for the derivatives."""
        sums, n = out.reshape(-1), out.shape[-1]
        factors = [factor.reshape(-1) for _, _, factor in terms]

        def use(branch: Branch, slab: slice, lines: slice) -> None:
            """Of some lines: the derivatives of a branch, each added to the sum."""
            values = np.empty((len(branch.places), lines.stop - lines.start, n))
            self.basis.rest(slab, branch.symbols, values)
            for k, part in zip(branch.places, values, strict=True):
                _add_product(part.reshape(-1), factors[k], terms[k][1], lines.start * n, sums)

        self._together(coefficients, self._tree([orders for orders, _, _ in terms]), use)
        return out

    def along(self, j: int, multiplier: Array) -> Symbol:
        """The symbol i·multiplier, multiplier odd, of a derivative along axis ``j``."""
        factors = [multiplier if i == j else np.ones_like(k) for i, k in enumerate(self.basis.wavenumbers)]
        return self._of([i == j for i in range(self.grid.dim)], factors)

    def slopes(self, coefficients: Amplitudes, symbols: Sequence[Symbol], out: Array) -> Array:
        """Values of the derivatives with these symbols, `along` each axis, (dim, *shape); the coefficients are left alone.

        Those along other axes than the first share what is done along that.
        """
        along, across = ([Branch([k], [s]) for k, s in enumerate(symbols) if s.odd[0] == odd] for odd in (True, False))
        values = list(out.reshape(len(symbols), -1, out.shape[-1]))
        self._together(coefficients, [branches for branches in (along, across) if branches], self._into(values))
        return out

    def divergence(self, flux: Array, symbols: Sequence[Symbol], out: Amplitudes) -> Amplitudes:
        """Coefficients of ∑ⱼ of those derivatives of flux[j], odd along axis j on a box: minus the adjoint of ``slope``."""
        for j, (values, symbol) in enumerate(zip(flux, symbols, strict=True)):
            into = self.basis.room if j else out
            self.basis.analyse(values, symbol.odd, into)
            into *= -symbol.factors[symbol.odd.index(True)].conj().reshape(self.wavenumbers[j].shape)
            if j:
                out += into
        return out

    def without_mean(self, coefficients: Amplitudes) -> Amplitudes:
        """With the constant's coefficient set to 0, in place."""
        coefficients.ravel()[0] = 0.0
        return coefficients

    def refined(self, coefficients: Amplitudes, grid: Grid, out: Amplitudes) -> Amplitudes:
        """Coefficients of the same function on another grid of the domain: modes below Nyquist's of both, the others dropped."""
        self.basis.refined(coefficients, grid, out)
        return out

    def keep_redundant(self, vector: Array, original: Array) -> Array:
        """Put back, in place, those parts of a state ``original`` that no real function has and no operator sees."""
        self.basis.keep_redundant(self.as_coefficients(vector), self.as_coefficients(original))
        return vector

    def as_vector(self, coefficients: Amplitudes) -> Array:
        """A flat real view of the coefficients."""
        return coefficients.reshape(-1).view(np.float64)

    def as_coefficients(self, vector: Array) -> Amplitudes:
        """The view back."""
        return vector.view(type(self.basis.unit)).reshape(self.basis.shape)

    def _together(self, coefficients: Amplitudes, tree: Tree, use: Use) -> None:
        """All that begins with one transform along the first axis, slab by slab: the cache still holds it."""
        self.basis.narrow(coefficients)
        for branches in tree:
            self.basis.first(coefficients, branches[0].symbols[0])

            def slab(s: slice, branches: Sequence[Branch] = branches) -> None:
                """The other axes."""
                lines = slice(s.start * self._middle, s.stop * self._middle)
                for branch in branches:
                    use(branch, s, lines)

            self.basis.on_slabs(slab)

    def _into(self, values: Sequence[Array]) -> Use:
        """Each derivative in its array of lines."""

        def use(branch: Branch, slab: slice, lines: slice) -> None:
            self.basis.rest(slab, branch.symbols, [values[k][lines] for k in branch.places])

        return use

    def _tree(self, orders: Sequence[Orders]) -> Tree:
        """Derivatives by their order along the first axis, then the middle one; looked up, being needed often."""
        key = tuple(orders)
        if key not in self._trees:
            first: dict[int, dict[int, Branch]] = {}
            for k, order in enumerate(key):
                a, b, _ = solid(order, 0)
                first.setdefault(a, {}).setdefault(b, Branch()).add(k, self._symbol(order))
            self._trees[key] = [list(branches.values()) for branches in first.values()]
        return self._trees[key]

    def _symbol(self, orders: Orders) -> Symbol:
        """(ik)^orders."""
        axes = zip(self.basis.wavenumbers, self.basis.signs, orders, strict=True)
        return self._of(
            [o % 2 == 1 for o in orders],
            [(k * sign**2 if o % 2 else k) ** o * (-1.0) ** (o // 2) for k, sign, o in axes],
        )

    def _of(self, odd: Sequence[bool], factors: Sequence[Array]) -> Symbol:
        """Of real factors of the axes, times the basis's unit where a derivative is odd."""
        values = [f.ravel() * self.basis.unit**o for f, o in zip(factors, odd, strict=True)]
        return Symbol(solid(odd, False), solid(values, np.ones(1)))


@vectorised
def _add_product(v, factor, weight, begin, out):
    """out += weight·factor·v, v a block that begins at ``begin``."""
    begin = np.uint64(begin)
    for i in range(np.uint64(v.size)):
        out[begin + i] += weight * factor[begin + i] * v[i]


def add(v: Array, factor: Array, weight: float, out: Array) -> Array:
    """out += weight·factor·v of arrays of one shape, on all threads."""
    v, factor, sums = v.reshape(-1), factor.reshape(-1), out.reshape(-1)
    over(lambda begin, end: _add_product(v[begin:end], factor, weight, begin, sums), out.size)
    return out


@singledispatch
def transform_of(grid: Grid) -> Transform:
    """The transform that belongs to a grid; other kinds of grids register theirs."""
    match grid:
        case Torus():
            return Transform(grid, Waves(grid))
        case Box():
            return Transform(grid, Cosines(grid))
        case _:
            raise ValueError(f"{grid!r}: transforms need a Torus or a Box")


def resample(values: Array, grid: Grid, target: Grid) -> Array:
    """A trigonometric interpolant on another grid of the same domain, without the modes that one of the two does not resolve."""
    here, there = transform_of(grid), transform_of(target)
    modes = here.refined(here.forward(values), target, there.zeros())
    return there.derivative(modes, (0,) * target.dim, np.empty(target.local))
