"""What a family of potentials ψ_θ knows, and blocks of points.

Everything that is computed from a potential, values, maps, densities, Fisher matrices, needs these members and no others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from ...machine.arrays import Array

BLOCK_NUMBERS = 1 << 18  # numbers in the largest array of a block of points, so that it stays in the cache


class Local(Protocol):
    """A potential at n points: derivatives in y, and in the parameters."""

    @property
    def value(self) -> Array:
        """ψ, (n,)."""
        ...

    @property
    def gradient(self) -> Array:
        """∇ψ, (n, d)."""
        ...

    @property
    def hessian(self) -> Array:
        """D²ψ, (n, d, d)."""
        ...

    def tangent(self) -> Array:
        """∂ψ/∂θ, (n, p)."""
        ...

    def paired(self, r: Array, G: Array) -> Array:
        """∂_θ(r·∇ψ + tr(G D²ψ)) for r (n, d) and symmetric G (n, d, d) that do not move, (n, p)."""
        ...

    def paired_sum(self, r: Array, G: Array) -> Array:
        """The sum over the points of `paired`, (p,), without its array."""
        ...

    def third(self, G: Array) -> Array:
        """∇_y tr(G D²ψ) for symmetric G (n, d, d) that do not move, (n, d)."""
        ...

    def only(self, where: Array) -> Any:
        """Some of the points."""
        ...


class Parametric(Protocol):
    """A convex potential ψ_θ on R^d, θ of p numbers."""

    @property
    def dim(self) -> int:
        """The dimension d."""
        ...

    @property
    def params(self) -> Array:
        """θ, (p,)."""
        ...

    @property
    def width(self) -> int:
        """Numbers in the largest array for each point."""
        ...

    @property
    def free(self) -> int:
        """How many numbers the map has."""
        ...

    @property
    def groups(self) -> Array:
        """Which parameters are damped together, (p,) integers."""
        ...

    @property
    def kinds(self) -> Array:
        """Which parameters are of one kind, (p,) integers: what damps one of them least is an average over its kind."""
        ...

    def placed(self, theta: Array) -> Any:
        """ψ_θ."""
        ...

    def moved(self, delta: Array) -> Any:
        """ψ_{θ+δ}, δ (p,), brought back to where ψ is convex if the family can do that."""
        ...

    def scaled(self, factor: float, shift: Array) -> Any:
        """The potential with the gradient factor·∇ψ + shift, of another member of the family."""
        ...

    def at(self, y: Array) -> Local:
        """Everything at points (n, d)."""
        ...


class Given(Protocol):
    """What a family may ask of a problem for its start."""

    @property
    def dim(self) -> int:
        """The dimension d."""
        ...

    @property
    def mean(self) -> Array:
        """A centre, (d,)."""
        ...

    @property
    def covariance(self) -> Array:
        """A spread, (d, d)."""
        ...

    @property
    def finest(self) -> float:
        """What the problem cannot tell apart, over a standard deviation."""
        ...

    def anchors(self, count: int, seed: int) -> tuple[Array, Array, Array]:
        """Centres (count, d), their masses (count,), and the covariance around them (d, d)."""
        ...


class Family(Protocol):
    """Makes the start of a run: `LogSumExp`, `Span`."""

    def started(self, problem: Given, seed: int) -> Parametric:
        """ψ_0."""
        ...


def point_blocks(count: int, width: int) -> Iterator[slice]:
    """Slices of points whose largest array, ``width`` numbers a point, has about 2^18 numbers.

    Examples
    --------
    >>> [part.stop for part in point_blocks(10_000, 64)]
    [4096, 8192, 10000]
    """
    size = max(16, BLOCK_NUMBERS // width)
    return (slice(i, min(i + size, count)) for i in range(0, count, size))
