"""The family `LogSumExp`, and sums of several log-sum-exps: potentials ½yᵀQy + c·y + Σ_k ε_k log Σ_j exp((a_kj·y − b_kj)/ε_k).

The cells of one sum cut those of the others, so that as many numbers bend the map in more places, and one sum may have sharp
edges where another is smooth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from ...machine.arrays import Array, keep_integers, number
from .log_sum_exp import LogSumExpAt, LogSumExpPotential
from .potentials import Given

LEAST_WIDTH = 1e-3  # Q ⪰ LEAST_WIDTH × least deviation of the data, or more (`finest`), so that maps have inverses, and laws tails
LEAST_START = 0.1  # the same of the first Q
FULL_DIMENSIONS = (
    12  # up to which all entries of Q are parameters; beyond, the diagonal in the eigenbasis of the covariance
)
TWO_SUMS = 48  # anchors from which two sums of half as many fitted three laws in the plane better than one


@dataclass(frozen=True)
class LogSumExp:
    """Potentials ψ(y) = ½yᵀQy + c·y + Σ_k ε_k log Σ_j exp((a_kj·y − b_kj)/ε_k) on m anchors in one or more sums.

    For `ImplicitSampler` and `MongeAmpereSampler`.  Strictly convex for all parameters, since Q ⪰ δI is kept; dense in the convex
    functions as m grows.  Parameters are the anchors, their offsets, c, Q and the ε_k: m(d+1) + d + k and d(d+1)/2 of Q, beyond 12
    dimensions d (diagonal in the covariance's eigenbasis).

    Parameters
    ----------
    anchors : m ≥ 1.
    eps : ε at the start, in units of the data's spread; of the first sum.
    full : whether Q moves in all its entries, or on the diagonal in the eigenbasis of the covariance; None: up to 12 dimensions.
    sums : among how many sums the anchors are shared out, two or more to each; None: two from 48 anchors on, one below.

    Raises
    ------
    ValueError : no anchors, ε that is not positive, more sums than pairs of anchors.

    Notes
    -----
    A sum is Sinkhorn's half step from its points.  The start of one sum: anchors at the centres of k-means (data), or at normal
    points (posteriors); offsets so that cells are those of the centres; Q from the covariance around them.  Several begin as the
    mean of such starts from seeds that follow each other, ε twice as wide from one to the next: two that were equal would stay so.
    Cost: nm exponentials for n points.

    Examples
    --------
    >>> from pmasolve import SampleProblem
    >>> problem = SampleProblem(np.random.default_rng(0).standard_normal((200, 2)))
    >>> psi = LogSumExp(4).started(problem, seed=0)
    >>> psi.params.size, bool(np.linalg.eigvalsh(psi.at(np.zeros((1, 2))).hessian).min() > 0)
    (18, True)
    """

    anchors: int = 48
    eps: float = 0.08
    full: bool | None = None
    sums: int | None = None

    def __post_init__(self) -> None:
        keep_integers(self, anchors=1, **({} if self.sums is None else {"sums": 1}))
        if self.sums is not None and self.sums > max(1, self.anchors // 2):
            raise ValueError(
                f"sums={self.sums} of {self.anchors} anchors in all: each takes two or more; give fewer sums, or more anchors"
            )
        if not 0 < number(self.eps, "eps") < np.inf:
            raise ValueError(f"eps={self.eps}: give a positive number, in units of the data's spread, for example 0.08")

    @property
    def shares(self) -> list[int]:
        """Anchors of each sum."""
        count = self.sums if self.sums is not None else 1 + (self.anchors >= TWO_SUMS)
        return [self.anchors // count + (k < self.anchors % count) for k in range(count)]

    def started(self, problem: Given, seed: int) -> LogSumExpPotential | LogSumsPotential:
        """The first potential, from centres of the problem's data or of its prior knowledge."""
        starts = [self._one(problem, m, 2.0**k * self.eps, seed + k) for k, m in enumerate(self.shares)]
        return starts[0] if len(starts) == 1 else LogSumsPotential.mean_of(starts)

    def _one(self, problem: Given, m: int, width: float, seed: int) -> LogSumExpPotential:
        """One sum of ε = width, in units of the spread."""
        d = problem.dim
        values, axes = np.linalg.eigh(problem.covariance)
        spread = float(np.sqrt(values.mean()))
        centres, masses, around = problem.anchors(m, seed)
        a = centres - problem.mean
        white = a @ (axes / values**0.25)  # |white|² = aᵀ Σ^{−½} a
        eps = width * spread
        b = 0.5 * np.sum(white**2, axis=1) - eps * np.log(masses)
        inner, turned = np.linalg.eigh(around)
        Q = (turned * np.maximum(np.sqrt(np.maximum(inner, 0.0)), LEAST_START * spread)) @ turned.T
        full = d <= FULL_DIMENSIONS if self.full is None else self.full
        pairs = [(i, j) for i in range(d) for j in range(i, d if full else i + 1)]
        frame = np.eye(d) if full else axes
        least = max(LEAST_WIDTH, problem.finest) * float(np.sqrt(values[0]))
        basis = np.stack([_symmetric_unit(frame, i, j) for i, j in pairs])
        if not full:
            Q = np.tensordot(np.sum(basis * Q, axis=(1, 2)), basis, 1)
        return LogSumExpPotential(a, b, problem.mean.copy(), Q, eps, basis, least)


@dataclass(frozen=True, eq=False)
class LogSumsPotential:
    """½yᵀQy + c·y and a log-sum-exp for each of several groups of anchors.

    Parameters
    ----------
    a, b, c, Q : anchors of all sums one after the other, (m, d), their offsets, (m,), (d,), (d, d).
    eps : of each sum, (k,).
    sizes : anchors of each sum, (k,).
    basis : symmetric matrices in whose span Q moves, (q, d, d).
    least : Q ⪰ least·I is kept.
    """

    a: Array = field(repr=False)
    b: Array = field(repr=False)
    c: Array = field(repr=False)
    Q: Array = field(repr=False)
    eps: Array
    sizes: Array
    basis: Array = field(repr=False)
    least: float

    @classmethod
    def mean_of(cls, starts: Sequence[LogSumExpPotential]) -> LogSumsPotential:
        """The mean of potentials with one basis."""
        zero, share = np.zeros(starts[0].dim), 1 / len(starts)
        parts = [start.scaled(share, zero) for start in starts]
        Q, c = (sum(getattr(part, name) for part in parts) for name in ("Q", "c"))
        return cls._joined([replace(parts[0], Q=Q, c=c, least=starts[0].least), *parts[1:]])

    @classmethod
    def _joined(cls, parts: Sequence[LogSumExpPotential]) -> LogSumsPotential:
        """Of its parts: Q and c are those of the first."""
        a, b = (np.concatenate([getattr(part, name) for part in parts]) for name in ("a", "b"))
        eps, sizes = np.array([part.eps for part in parts]), np.array([len(part.a) for part in parts])
        first = parts[0]
        return cls(a, b, first.c, first.Q, eps, sizes, first.basis, first.least)

    @cached_property
    def parts(self) -> tuple[LogSumExpPotential, ...]:
        """The first with Q and c, the others without."""
        ends = np.cumsum(self.sizes)[:-1]
        first, *others = zip(np.split(self.a, ends), np.split(self.b, ends), self.eps.tolist(), strict=True)
        none, zero = np.zeros((0, self.dim, self.dim)), np.zeros(self.dim)
        rest = (LogSumExpPotential(a, b, zero, np.diag(zero), eps, none, 0.0) for a, b, eps in others)
        a, b, eps = first
        return (LogSumExpPotential(a, b, self.c, self.Q, eps, self.basis, self.least), *rest)

    @cached_property
    def own(self) -> tuple[Array, ...]:
        """Which parameters of each part are counted: the others have no c."""
        first, *others = self.parts
        rest = (np.r_[: part.a.size + len(part.a), part.params.size - 1] for part in others)
        return (np.arange(first.params.size), *rest)

    @property
    def dim(self) -> int:
        """The dimension d."""
        return self.a.shape[1]

    @property
    def params(self) -> Array:
        """(p,): those of the first sum with c and Q, then anchors, offsets and log ε of each of the others."""
        return self.taken([part.params for part in self.parts])

    def taken(self, columns: Sequence[Array]) -> Array:
        """What stands for all parameters of the parts, (…, p_k) each, without what they have in common, (…, p)."""
        return np.concatenate([column[..., own] for column, own in zip(columns, self.own, strict=True)], axis=-1)

    def _spread(self, theta: Array) -> list[Array]:
        """Parameters (p,) for each part, zeros for what it has not."""
        pieces = np.split(theta, np.cumsum([len(own) for own in self.own])[:-1])
        out = [np.zeros(part.params.size) for part in self.parts]
        for whole, own, piece in zip(out, self.own, pieces, strict=True):
            whole[own] = piece
        return out

    @property
    def width(self) -> int:
        """Numbers in the largest array for each point."""
        return sum(part.width for part in self.parts)

    @property
    def free(self) -> int:
        """Parameters that change the map: in each sum all anchors shifted against c, and all offsets, change nothing."""
        return self.params.size - len(self.parts) * (self.dim + 1)

    @property
    def groups(self) -> Array:
        """As of one sum, those of different ones apart."""
        return self._apart([part.groups for part in self.parts])

    @property
    def kinds(self) -> Array:
        """As of one sum, those of different ones apart."""
        return self._apart([part.kinds for part in self.parts])

    def _apart(self, labels: Sequence[Array]) -> Array:
        size = 1 + max(int(label.max()) for label in labels)
        return np.unique(self.taken([label + k * size for k, label in enumerate(labels)]), return_inverse=True)[1]

    def placed(self, theta: Array) -> LogSumsPotential:
        """The member with parameters θ (p,)."""
        return self._joined([part.placed(t) for part, t in zip(self.parts, self._spread(theta), strict=True)])

    def moved(self, delta: Array) -> LogSumsPotential:
        """Parameters moved by (p,): log ε by no more than ½, and eigenvalues of Q below the floor lifted to it."""
        return self._joined([part.moved(t) for part, t in zip(self.parts, self._spread(delta), strict=True)])

    def scaled(self, factor: float, shift: Array) -> LogSumsPotential:
        """factor·ψ + shift·y."""
        first, *others = self.parts
        return self._joined([first.scaled(factor, shift), *(part.scaled(factor, 0 * shift) for part in others)])

    def at(self, y: Array) -> LogSumsAt:
        """Everything at points (n, d)."""
        return LogSumsAt(self, y, [part.at(y) for part in self.parts])


class LogSumsAt:
    """Values and derivatives at points y (n, d): sums over the parts, and what is of parameters side by side."""

    def __init__(self, psi: LogSumsPotential, y: Array, parts: Sequence[LogSumExpAt]) -> None:
        self.psi, self.y, self.parts = psi, y, parts

    def only(self, where: Array) -> LogSumsAt:
        """Some of the points, without computing anything again."""
        return LogSumsAt(self.psi, self.y[where], [part.only(where) for part in self.parts])

    @cached_property
    def value(self) -> Array:
        """ψ, (n,)."""
        return sum(part.value for part in self.parts)

    @cached_property
    def gradient(self) -> Array:
        """∇ψ, (n, d)."""
        return sum(part.gradient for part in self.parts)

    @cached_property
    def hessian(self) -> Array:
        """D²ψ, (n, d, d)."""
        return sum(part.hessian for part in self.parts)

    def tangent(self) -> Array:
        """∂ψ/∂θ, (n, p)."""
        return self.psi.taken([part.tangent() for part in self.parts])

    def paired(self, r: Array, G: Array) -> Array:
        """∂_θ(r·∇ψ(y) + tr(G D²ψ(y))) for vectors r (n, d) and symmetric matrices G (n, d, d) that do not move, (n, p)."""
        return self.psi.taken([part.paired(r, G) for part in self.parts])

    def paired_sum(self, r: Array, G: Array) -> Array:
        """The sum of `paired` over the points, (p,), without the array (n, p)."""
        return self.psi.taken([part.paired_sum(r, G) for part in self.parts])

    def third(self, G: Array) -> Array:
        """∇_y tr(G D²ψ(y)), (n, d)."""
        return sum(part.third(G) for part in self.parts)


def _symmetric_unit(frame: Array, i: int, j: int) -> Array:
    """e_i e_jᵀ + e_j e_iᵀ in a frame, e_i e_iᵀ where i = j."""
    unit = np.outer(frame[:, i], frame[:, j])
    return unit if i == j else unit + unit.T
