"""Blocks of a chain: invertible maps that know their Jacobian, and their parameters as one row of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ...machine.arrays import Array, keep_integers, number, shown
from ..samplers.inversion import inverse
from ..samplers.potentials import point_blocks
from ..samplers.problems import SampleProblem
from ..samplers.reference import Reference
from ..samplers.span import LINE, RIDGE_FEATURE, SQUARE, SpanPotential
from .cones import Cone, Programme, least_stretch, squares_in

BLOCK_INVERSE_TOL = 1e-12  # of 1 + |y|, or of 1 + sup|y| over many
CONSTANT_ROUNDING = 2.0**-50  # of the constants in T, which cancel where data are far from the reference
INVERSE_STEPS, INVERSE_HALVINGS = 60, 30


class Block(Protocol):
    """One map T of R^d with an inverse."""

    @property
    def dim(self) -> int:
        """The dimension d."""
        ...

    @property
    def row(self) -> Array:
        """All its numbers, (p,); never all zeros."""
        ...

    @property
    def arrays(self) -> Mapping[str, Array]:
        """What it is made from, by name, for files."""
        ...

    def image(self, x: Array) -> Array:
        """T(x), (n, d)."""
        ...

    def jacobian(self, x: Array) -> Array:
        """DT(x), (n, d, d)."""
        ...

    def log_det_slope(self, x: Array) -> Array:
        """∇log det DT, (n, d)."""
        ...

    def preimage(self, y: Array) -> Array:
        """T⁻¹(y), (n, d); NaN in rows where it was not found."""
        ...

    @property
    def stretch(self) -> float:
        """A number below |DT v|/|v| at every point; 0 where none is known."""
        ...


class BlockFamily(Protocol):
    """Makes blocks from points: `ConvexBlocks`, and the networks of `samples.neural`."""

    def admit(self, problem: SampleProblem) -> None:
        """Refuse a problem that has too few points."""
        ...

    def size(self, dim: int) -> int:
        """Numbers in a row."""
        ...

    def block(self, row: Array, dim: int) -> Block:
        """The block of a row."""
        ...

    def fitted(
        self, x: Array, held: Array, reference: Reference, gamma: float, seed: int
    ) -> tuple[Block, Mapping[str, float]]:
        """The block of one step from points x (n, d), and what is to be recorded; ``held`` is for stopping early only."""
        ...


@dataclass(frozen=True, eq=False)
class GradientBlock:
    """x ↦ ∇ψ(x), ψ strictly convex with a bound below on D²ψ.

    Parameters
    ----------
    psi : lines, squares and ridges.
    """

    psi: SpanPotential

    @property
    def dim(self) -> int:
        """The dimension d."""
        return self.psi.dim

    @property
    def row(self) -> Array:
        """ω, β, w one after the other."""
        return np.concatenate([self.psi.omega.ravel(), self.psi.beta, self.psi.w])

    @property
    def arrays(self) -> Mapping[str, Array]:
        """ω, β, kinds, w."""
        return {name: getattr(self.psi, name) for name in ("omega", "beta", "kind", "w")}

    @classmethod
    def of(cls, arrays: Mapping[str, Array]) -> GradientBlock:
        """The block of a file."""
        return cls(SpanPotential(**arrays))

    def image(self, x: Array) -> Array:
        """∇ψ."""
        return _by_blocks(x, self.psi.width, lambda part: self.psi.at(part).gradient)

    def jacobian(self, x: Array) -> Array:
        """D²ψ."""
        return _by_blocks(x, self.psi.width, lambda part: self.psi.at(part).hessian)

    def log_det_slope(self, x: Array) -> Array:
        """∇tr(G D²ψ) with G = (D²ψ)⁻¹ held fixed."""

        def slope(part: Array) -> Array:
            at = self.psi.at(part)
            G = np.linalg.inv(at.hessian)
            return at.third(0.5 * (G + np.swapaxes(G, 1, 2)))

        return _by_blocks(x, self.psi.width, slope)

    def preimage(self, y: Array) -> Array:
        """By Newton's method on the convex ψ(x) − x·y."""
        return inverse(self.psi, y, y.copy(), BLOCK_INVERSE_TOL, CONSTANT_ROUNDING * self._constants)

    @property
    def _constants(self) -> float:
        """Σ|w||ω|, of squares Σ|w||ω||β|: the size of what does not depend on x."""
        lengths = np.abs(self.psi.w) * np.linalg.norm(self.psi.omega, axis=1)
        return float(np.sum(lengths * np.where(self.psi.kind == SQUARE, np.abs(self.psi.beta), 1.0)))

    @property
    def stretch(self) -> float:
        """The certified least eigenvalue of D²ψ."""
        return least_stretch(self.psi)


@dataclass(frozen=True)
class ConvexBlocks:
    """JKO steps as convex programmes, for `JKOSampler`: blocks ∇ψ, ψ in a cone of convex squares, ridges and dips.

    A step minimises E[V(∇ψ)] − E[log det D²ψ] + E|∇ψ − x|²/2γ, V = −log of the reference, over
    ψ(x) = ½δ|x|² + c·x + Σθ_kφ_k(x), θ ≥ 0: a smooth convex programme, solved by Newton's method with non-negative least squares.
    D²ψ ⪰ δI holds at every point, so that every block has an inverse.

    Parameters
    ----------
    ridges : r; there are as many dips.  In random directions, through random points.
    scales : |ω| of the ridges, each drawn from these, several numbers, in units of one over the points' deviation.
    least : δ in (0, 1), the least that a block stretches.

    Raises
    ------
    ValueError : a negative number of ridges, scales that are not positive, δ outside (0, 1).

    Notes
    -----
    Up to 12 dimensions there are squares along the axes of the points' covariance and their sums and differences, beyond along the
    axes only.  Cost of a Newton step for n points and K = d + d² + 2r numbers: nKd² for the values, up to 2^23 K for the second
    derivative, K³ for the least squares.

    Examples
    --------
    >>> from pmasolve import JKOSampler, SampleProblem, as_chain, evolve
    >>> rng = np.random.default_rng(0)
    >>> flow = JKOSampler(SampleProblem(3 + rng.standard_normal((600, 2))), ConvexBlocks(4))
    >>> run = evolve(flow, flow.times(2)[-1:], throw=False)
    >>> bool(run.records["stretch"].min() >= 0.02)
    True
    """

    ridges: int = 60
    scales: tuple[float, ...] = (2.0, 4.0, 8.0)
    least: float = 0.02

    def __post_init__(self) -> None:
        keep_integers(self, ridges=0)
        scales = self.scales if np.iterable(self.scales) and not isinstance(self.scales, str) else ()
        if not len(tuple(scales)) or not all(0 < number(scale, "scales") < np.inf for scale in scales):
            raise ValueError(f"scales={shown(self.scales)}: give positive widths, for example (2.0, 4.0, 8.0)")
        object.__setattr__(self, "scales", tuple(float(scale) for scale in scales))
        if not 0 < number(self.least, "least") < 1:
            raise ValueError(f"least={self.least}: give a number between 0 and 1, for example 0.02")

    def admit(self, problem: SampleProblem) -> None:
        """Refuse more numbers than different points; a ridge and its dip are one number, the weight of either sign."""
        least = problem.dim + squares_in(problem.dim)
        ridges = problem.different - least
        problem.admit(
            least + self.ridges, f"ConvexBlocks({ridges})" if ridges >= 0 else "ConvexBlocks(0) in fewer columns"
        )

    def size(self, dim: int) -> int:
        """(d + 2) numbers for each of d lines, the squares and the ridges with their dips."""
        return (dim + 2) * (dim + squares_in(dim) + 2 * self.ridges)

    def block(self, row: Array, dim: int) -> GradientBlock:
        """The gradient block of a row."""
        squares, r = squares_in(dim), self.ridges
        p = dim + squares + 2 * r
        omega, beta, w = np.split(row, np.cumsum([p * dim, p]))
        kind = np.repeat([LINE, SQUARE, RIDGE_FEATURE], [dim, squares + r, r])
        return GradientBlock(SpanPotential(omega.reshape(p, dim), beta, kind, w))

    def fitted(
        self, x: Array, held: Array, reference: Reference, gamma: float, seed: int
    ) -> tuple[GradientBlock, dict[str, float]]:
        """The minimiser over a cone drawn anew; ``slope`` is what violates the optimality conditions."""
        cone = Cone.around(x, self.ridges, self.scales, self.least, np.random.default_rng(seed))
        found = Programme(cone, x, reference, gamma).solve(cone.identity)
        told = {"loss": found.value, "newton": float(found.steps), "slope": found.slope}
        return GradientBlock(cone.potential(found.theta)), told


def log_det_of(block: Block, x: Array) -> Array:
    """log det DT at points (n, d); −∞ where the determinant is not positive."""
    sign, logs = np.linalg.slogdet(block.jacobian(x))
    return np.where(sign > 0, logs, -np.inf)


def newton_inverse(block: Block, y: Array, start: Array, size: float) -> Array:
    """T⁻¹(y) by Newton's method with halved steps on |T(x) − y|, from first guesses; NaN where it is above ``size``."""
    x, residual = start.copy(), block.image(start) - y
    for _ in range(INVERSE_STEPS):
        norm = np.linalg.norm(residual, axis=1)
        open_ = np.flatnonzero(~(norm <= size))
        if not open_.size:
            break
        try:
            step = np.linalg.solve(block.jacobian(x[open_]), residual[open_][:, :, None])[:, :, 0]
        except np.linalg.LinAlgError:  # a fold
            break
        t = np.ones(len(open_))
        for _ in range(INVERSE_HALVINGS):
            new = block.image(x[open_] - t[:, None] * step) - y[open_]
            worse = ~(np.linalg.norm(new, axis=1) <= norm[open_] * (1 - 0.1 * t))
            if not worse.any():
                break
            t[worse] *= 0.5
        better = np.linalg.norm(new, axis=1) < norm[open_]
        if not better.any():
            break
        x[open_[better]] -= (t[:, None] * step)[better]
        residual[open_[better]] = new[better]
    x[~(np.linalg.norm(residual, axis=1) <= size)] = np.nan
    return x


def _by_blocks(x: Array, width: int, function: Any) -> Array:
    return np.concatenate([function(x[part]) for part in point_blocks(len(x), width)] or [function(x)])
