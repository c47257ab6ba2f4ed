"""What a sampler is asked for: the law of samples, or a posterior with a known density up to its constant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.cluster.vq import kmeans2
from scipy.optimize import minimize

from ...gaussian.normal import Normal
from ...machine.arrays import Array, integer, number, real, shown
from .laws import images
from .objectives import Divergence, Likelihood, Objective, log_ratio
from .potentials import Parametric
from .reference import Nodes, Reference

FAR = 1e6  # standard deviations from the origin, beyond which inverses lose digits
SLOPES = (1e-4, 1e-6)  # steps of the differences that grad_f is compared with
FLAT = 1e-7  # standard deviation of a direction, over the largest, below which data are no density
LADDER = (0.03, 0.06, 0.12, 0.25, 0.5, 0.75, 1.0)  # inverse temperatures from the broad law to the posterior
LEAST_NODES = 1024  # of the reference, for Fisher matrices
NARROW = 0.15  # of the spread: the first Q of a posterior
DIFFERENCE = 1e-4  # of a standard deviation, for second derivatives of f


@dataclass(frozen=True, eq=False, init=False)
class SampleProblem:
    """Samples of an unknown law μ, to be generated as (∇ψ)_# of a normal distribution.

    Parameters
    ----------
    data : (n, d) points, or (n,) in one dimension.
    reference : e^{−g}, a `gaussian.Normal`; N(0, I) unless given.
    held_out : the share of the points, at least 0 and below ½, that is not fitted but used to see overfitting.

    Raises
    ------
    ValueError : NaN or infinite entries; fewer than two points; a constant column, or directions without variance, where there is
        no density; a reference of another dimension.

    Examples
    --------
    >>> problem = SampleProblem(np.random.default_rng(0).standard_normal((500, 3)))
    >>> problem
    <SampleProblem of 500 points in 3 dimensions, 50 held out>
    """

    data: Array = field(repr=False)
    reference: Reference = field(repr=False)
    held_out: float

    def __init__(self, data: ArrayLike, reference: Normal | None = None, held_out: float = 0.1) -> None:
        x = _checked(data)
        share = number(held_out, "held_out")
        if not 0 <= share < 0.5:
            raise ValueError(f"held_out={held_out}: give a share of the points from 0 to below ½, for example 0.1")
        object.__setattr__(self, "data", x)
        object.__setattr__(self, "reference", Reference.of(reference, x.shape[1]))
        object.__setattr__(self, "held_out", share)

    def __repr__(self) -> str:
        n, d = self.data.shape
        return f"<SampleProblem of {n} points in {d} dimensions, {self.held} held out>"

    @property
    def dim(self) -> int:
        """The dimension d."""
        return self.data.shape[1]

    @property
    def held(self) -> int:
        """How many points are held out."""
        return int(self.held_out * len(self.data))

    @cached_property
    def mean(self) -> Array:
        """Of the points, (d,)."""
        return self.data.mean(axis=0)

    @cached_property
    def covariance(self) -> Array:
        """Of the points, (d, d)."""
        return np.cov(self.data.T).reshape(self.dim, self.dim)

    def anchors(self, count: int, seed: int) -> tuple[Array, Array, Array]:
        """k-means centres, their shares of the points, and the covariance around them."""
        if count == 1:
            return self.mean[None], np.ones(1), self.covariance
        centres, labels = kmeans2(self.data, count, minit="++", seed=np.random.default_rng(seed), iter=20)
        shares = np.maximum(np.bincount(labels, minlength=count), 0.5) / len(self.data)
        around = self.data - centres[labels]
        return centres, shares, around.T @ around / len(self.data)

    def admit(self, count: int) -> None:
        """Refuse more parameters than different points."""
        different = min(len(np.unique(self.data, axis=0)), len(self.data) - self.held)
        if count > different:
            raise ValueError(
                f"{count} free parameters for {different} different points that are fitted: give more points, or a smaller "
                "family, for example LogSumExp with fewer anchors"
            )

    def law(self, psi: Parametric, nodes: Nodes) -> tuple[Nodes, Array, None]:
        """All points, held out or not, and the reference's mean as first guess of their preimages."""
        n = len(self.data)
        return Nodes(self.data, np.full(n, 1.0 / n)), np.tile(self.reference.mean, (n, 1)), None

    def objectives(self, count: int, seed: int) -> tuple[Objective, ...]:
        """The one objective of `ImplicitSampler`: minus the mean log-likelihood."""
        order = np.random.default_rng(seed).permutation(len(self.data))
        x, nodes = self.data[order], self.reference.sobol(max(LEAST_NODES, count // 20), seed)
        return (Likelihood(x[self.held :], x[: self.held], self.reference, nodes, seed),)


@dataclass(frozen=True, eq=False, init=False)
class Posterior:
    """A law μ = e^{−f}/Z with f known and Z not: variational inference by a map, with KL, log Z and effective sample size.

    Parameters
    ----------
    f : points (n, d) ↦ (n,).
    grad_f : points (n, d) ↦ (n, d).
    d : the dimension.
    spread : of a law N(0, spread²I) that covers all modes: the run is then tempered from it.  Without it the run starts from the
        normal approximation at the mode that is found from 0, which suits one mode.
    reference : e^{−g}, a `gaussian.Normal`; N(0, I) unless given.

    Raises
    ------
    ValueError : f or grad_f that do not return such arrays, or not finite ones at the origin; grad_f that is not the gradient of
        f near the origin; no positive spread.

    Examples
    --------
    >>> Posterior(lambda x: 0.5 * np.sum(x**2, axis=1), lambda x: x, 2).mean
    array([0., 0.])
    """

    f: Callable[[Array], Array] = field(repr=False)
    grad_f: Callable[[Array], Array] = field(repr=False)
    dim: int
    spread: float | None
    reference: Reference = field(repr=False)

    def __init__(
        self,
        f: Callable[[Array], Array],
        grad_f: Callable[[Array], Array],
        d: int,
        spread: float | None = None,
        reference: Normal | None = None,
    ) -> None:
        dim = integer(d, "d")
        if spread is not None and not 0 < number(spread, "spread") < np.inf:
            raise ValueError(f"spread={spread}: give a positive number, a scale that covers all modes")
        for function, shape, name in ((f, (3,), "f"), (grad_f, (3, dim), "grad_f")):
            found = np.asarray(function(np.zeros((3, dim))))
            if found.shape != shape or not np.isfinite(found).all():
                raise ValueError(
                    f"{name} at three points of zeros gives {shown(found)}: it must take (n, {dim}) and give finite "
                    f"numbers of shape {('n', *shape[1:])}"
                )
        _check_slope(f, grad_f, dim)
        for name, value in (
            ("f", f),
            ("grad_f", grad_f),
            ("dim", dim),
            ("spread", spread),
            ("reference", Reference.of(reference, dim)),
        ):
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        how = "from its mode" if self.spread is None else f"tempered from a spread of {self.spread:g}"
        return f"<Posterior in {self.dim} dimensions, {how}>"

    @cached_property
    def mean(self) -> Array:
        """The mode that is found from 0; 0 with a spread, (d,)."""
        if self.spread is not None:
            return np.zeros(self.dim)
        found = minimize(
            lambda x: float(self.f(x[None])[0]),
            np.zeros(self.dim),
            jac=lambda x: self.grad_f(x[None])[0],
            method="BFGS",
        )
        return np.asarray(found.x)

    @cached_property
    def covariance(self) -> Array:
        """The inverse of D²f at the mode, by differences of grad_f; spread² I with a spread, (d, d)."""
        d = self.dim
        if self.spread is not None:
            return self.spread**2 * np.eye(d)
        h = DIFFERENCE * max(1.0, float(np.abs(self.mean).max()))
        steps = h * np.eye(d)
        hessian = (self.grad_f(self.mean + steps) - self.grad_f(self.mean - steps)) / (2 * h)
        values, axes = np.linalg.eigh(0.5 * (hessian + hessian.T))
        if not values[0] > 0:
            raise ValueError(
                f"f has the curvature {values[0]:.3g} ≤ 0 at {shown(self.mean.tolist())}, so that there is no normal "
                "approximation: give spread, a scale that covers all modes"
            )
        return (axes / values) @ axes.T

    def anchors(self, count: int, seed: int) -> tuple[Array, Array, Array]:
        """Points of the start's normal law, of equal masses, and a narrow covariance around them."""
        points = Reference(self.mean, np.linalg.cholesky(self.covariance)).sobol(count, seed).points[:count]
        return points, np.full(count, 1.0 / count), NARROW**2 * self.covariance

    def admit(self, count: int) -> None:
        """Any number of parameters."""

    def law(self, psi: Parametric, nodes: Nodes) -> tuple[Nodes, Array, Array]:
        """The images of the nodes with importance weights e^{−h}, the nodes as their preimages, and h."""
        h = log_ratio(psi, self.reference, self.f, nodes.points)
        weights = nodes.weights * np.exp(-(h - h.min()))
        return Nodes(images(psi, nodes.points), weights / weights.sum()), nodes.points, h

    def objectives(self, count: int, seed: int) -> tuple[Objective, ...]:
        """Divergences for `ImplicitSampler`: the posterior alone, or the ladder of tempered ones."""
        nodes = self.reference.sobol(count, seed)
        ladder = (1.0,) if self.spread is None else LADDER
        return tuple(self.tempered(beta, nodes) for beta in ladder)

    def tempered(self, beta: float, nodes: Nodes) -> Divergence:
        """KL to the law with βf + (1−β)|x|²/2 spread² in place of f."""
        if beta == 1.0:
            return Divergence(self.f, self.grad_f, self.reference, nodes)
        variance = float(self.spread or 1.0) ** 2

        def f(x: Array) -> Array:
            """βf and the rest of the broad law."""
            return beta * self.f(x) + (1 - beta) / (2 * variance) * np.sum(x**2, axis=1)

        def grad_f(x: Array) -> Array:
            """∇ of the tempered f."""
            return beta * self.grad_f(x) + (1 - beta) / variance * x

        return Divergence(f, grad_f, self.reference, nodes)


def _check_slope(f: Callable[[Array], Array], grad_f: Callable[[Array], Array], dim: int) -> None:
    """Refuse a grad_f that differences of f contradict with two steps, at three points near the origin."""
    rng = np.random.default_rng(0)
    x, v = rng.standard_normal((3, dim)), rng.standard_normal((3, dim))
    slope = np.sum(grad_f(x) * v, axis=1)
    wrong = np.ones(3, bool)
    for h in SLOPES:
        ahead, behind = f(x + h * v), f(x - h * v)
        with np.errstate(invalid="ignore"):  # infinite where there is no mass
            difference = (ahead - behind) / (2 * h)
        rounding = 1e-14 * (np.abs(ahead) + np.abs(behind)) / h
        wrong &= np.abs(difference - slope) > 0.01 * np.maximum(np.abs(difference), np.abs(slope)) + rounding
    if wrong.any():
        i = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"grad_f is not the gradient of f: along {shown(v[i].round(3).tolist())} at {shown(x[i].round(3).tolist())} it gives "
            f"{slope[i]:.6g}, and differences of f give {difference[i]:.6g}"
        )


def _checked(data: ArrayLike) -> Array:
    """Points (n, d) that can have a density."""
    x = real(data, "data")
    x = x[:, None] if x.ndim == 1 else x
    if x.ndim != 2 or len(x) < 2 or x.shape[1] < 1:
        raise ValueError(f"data of shape {x.shape}: give at least two points, (n, d)")
    if bad := int(np.count_nonzero(~np.isfinite(x).all(axis=1))):
        raise ValueError(f"data: {bad} of {len(x)} points have NaN or infinite entries: leave them out first")
    deviations = x.std(axis=0)
    if flat := np.flatnonzero(deviations <= FLAT * deviations.max()).tolist():
        raise ValueError(f"data: columns {shown(flat)} are constant, so that there is no density: leave them out")
    far = float(np.max(np.abs(x.mean(axis=0)) / deviations))
    if far > FAR:
        raise ValueError(
            f"data: the mean lies {far:.2g} standard deviations from the origin, which costs digits: subtract it first"
        )
    roots = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(x.T).reshape(x.shape[1], -1)), 0.0))
    if not roots[0] > FLAT * roots[-1]:
        raise ValueError(
            f"data: {len(x)} points lie in a plane of {int(np.count_nonzero(roots > FLAT * roots[-1]))} of "
            f"{x.shape[1]} dimensions, so that there is no density: reduce them first (PCA), or give more points"
        )
    return x
