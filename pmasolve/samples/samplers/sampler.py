"""A fitted sampler: samples, map, inverse, densities, evidence; files."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...flows.trajectories import Trajectory, followed
from ...machine import archives
from ...machine.arrays import Array, having, integer, real
from ...machine.speaking import count, drawn, page, sheet
from ...problems.grids import Box, Cloud
from ...problems.outcomes import REACHED, Outcome
from ...problems.points import PointsLike, given
from ...problems.problem import Problem
from .inversion import inverse
from .laws import log_density_at, pushed
from .log_sum_exp import LogSumExpPotential
from .log_sums import LogSumsPotential
from .modes import ENOUGH_KL, Evidence, judged, missed
from .objectives import evidence, pulled_log_ratio
from .posteriors import Posterior
from .potentials import Parametric
from .reference import FRESH, Nodes, Reference
from .span import SpanPotential
from .units import Unit

SAMPLER_FORMAT = "pmasolve sampler 2"
TOL = 1e-12
WITHIN = 0.999  # of points, in a window
POTENTIAL_KINDS = {kind.__name__: kind for kind in (LogSumExpPotential, LogSumsPotential, SpanPotential)}


@dataclass(frozen=True, eq=False)
class Sampler:
    """The law ρ = (∇ψ)_# e^{−g} of a fitted potential.

    Attributes
    ----------
    standard : the potential in the unit.
    reference : e^{−g}.
    unit : of the points: the map is place + spread·∇standard.
    outcome : how the run ended.

    Notes
    -----
    ∇ψ is the optimal map from the reference to ρ for the cost |x−y|², as a gradient of a convex function.

    Examples
    --------
    >>> from pmasolve import ConstantSteps, MongeAmpereSampler, SampleProblem, as_sampler, evolve
    >>> problem = SampleProblem(3 + np.random.default_rng(0).standard_normal((500, 1)))
    >>> flow = MongeAmpereSampler(problem, schedule=ConstantSteps(0.5))
    >>> sampler = as_sampler(evolve(flow, flow.times(20)[-1:]))
    >>> x = sampler.sample(1000, seed=1)
    >>> bool(abs(x.mean() - 3) < 0.2), bool(np.allclose(sampler.map(sampler.inverse(x)), x))
    (True, True)
    """

    standard: Parametric = field(repr=False)
    reference: Reference = field(repr=False)
    unit: Unit = field(repr=False)
    outcome: Outcome = REACHED

    def __repr__(self) -> str:
        p = self.standard.params.size
        kind = type(self.standard).__name__.removesuffix("Potential")
        return f"<Sampler in {count(self.dim, 'dimension')}: {kind} of {count(p, 'parameter')}, {self.outcome.name}>"

    def _repr_html_(self) -> str:
        return page(self)

    def summary(self) -> str:
        """Family, outcome and moments on a page of at most 80 columns."""
        x = self.sample(FRESH, 0)
        return sheet(
            repr(self),
            {
                "outcome": self.outcome,
                "mean": ", ".join(f"{value:.3g}" for value in x.mean(axis=0)[:8]),
                "deviations": ", ".join(f"{value:.3g}" for value in x.std(axis=0)[:8]),
            },
        )

    def plot(self) -> Any:
        """4000 samples: a histogram with the density in 1D, the first two coordinates otherwise.

        Returns
        -------
        A matplotlib ``Figure``, not shown.
        """
        return drawn(self)

    @property
    def dim(self) -> int:
        """The dimension d."""
        return self.standard.dim

    @cached_property
    def psi(self) -> Parametric:
        """The potential ψ whose gradient is the map."""
        return self.unit.potential(self.standard)

    def sample(self, n: int, seed: int | np.random.Generator) -> Array:
        """∇ψ at n independent points of the reference, (n, d); one seed, one answer."""
        return self.unit.back(pushed(self.standard, self.reference.sample(integer(n, "n", 0), seed)))

    def map(self, y: PointsLike) -> Array:
        """∇ψ(y), of the layout of y."""
        where = given(y, self.dim)
        return where.vectors(self.unit.back(pushed(self.standard, np.ascontiguousarray(where.columns.T))).T)

    def jacobian(self, y: PointsLike) -> Array:
        """D²ψ(y), the derivative of the map, in the shapes of matrices at y."""
        where = given(y, self.dim)
        parts = self.standard.at(np.ascontiguousarray(where.columns.T)).hessian
        return where.matrices(self.unit.spread * np.moveaxis(parts, 0, -1))

    def problem(self, box: Box, corner: ArrayLike) -> Problem:
        """Reference and law as densities on a window, for `transport` and every flow: ∇ψ is the map that these look for.

        Parameters
        ----------
        box : a grid whose point z stands for corner + z.
        corner : (d,).

        Returns
        -------
        `Problem`.

        Raises
        ------
        ValueError : another dimension; a window without a thousandth of 8192 points of either law, or more.
        """
        having(box, "points", "box", "give a grid, for example Box((64, 64), (8.0, 8.0))")
        low = real(corner, "corner")
        if low.shape != (self.dim,) or box.dim != self.dim:
            raise ValueError(f"corner of shape {low.shape}, a box in {box.dim} dimensions: the sampler has {self.dim}")
        for name, points in (("reference", self.reference.sample(FRESH, 0)), ("law", self.sample(FRESH, 0))):
            inside = np.all((points >= low) & (points <= low + np.array(box.lengths)), axis=1)
            if not inside.mean() > WITHIN:
                raise ValueError(f"box: {1 - inside.mean():.2%} of the {name} lies outside: take a larger window")
        places = low + box.points.reshape(self.dim, -1).T
        mu, nu = self.reference.log_density(places), self.log_density(Cloud(places))
        return Problem.from_densities(box, *(np.exp(logs - logs.max()).reshape(box.shape) for logs in (mu, nu)))

    def inverse(self, x: PointsLike) -> Array:
        """∇ψ*(x), by Newton's method with a line search on values, to 1e-12 of distance and spread; NaN where there is none."""
        where = given(x, self.dim)
        return where.vectors(self._preimages(np.ascontiguousarray(where.columns.T)).T)

    def log_density(self, x: PointsLike) -> Array:
        """log ρ(x) = −g(∇ψ*(x)) − log det D²ψ(∇ψ*(x)), exact; −∞ where x is no image."""
        where = given(x, self.dim)
        z = self._preimages(np.ascontiguousarray(where.columns.T))
        found = np.isfinite(z).all(axis=1)
        out = np.full(len(z), -np.inf)
        out[found] = log_density_at(self.standard, self.reference, z[found]) - self.unit.log_volume
        return where.values(out)

    def log_likelihood(self, x: PointsLike) -> float:
        """The mean of log ρ over points, such as held-out ones (nats)."""
        values = self.log_density(x)
        if values.size == 0:
            raise ValueError("log_likelihood: there are no points to take the mean over")
        return float(np.mean(values))

    def _preimages(self, x: Array) -> Array:
        return inverse(self.standard, self.unit.white(x), np.tile(self.reference.mean, (len(x), 1)), TOL)

    def evidence(self, posterior: Posterior, count: int = FRESH, seed: int = 1, enough: float = ENOUGH_KL) -> Evidence:
        """KL, log Z and effective sample size at fresh points, and whether modes of the posterior are missed.

        Parameters
        ----------
        posterior : f and its gradient.
        count : fresh points of the reference.
        seed : of the points and of the starts from which modes are looked for.
        enough : KL (nats) up to which the map counts as that of the posterior; ∞ for any.

        Returns
        -------
        `Evidence`.

        Raises
        ------
        ValueError : a posterior in another dimension.
        """
        if having(posterior, "grad_f", "posterior", "give Posterior(f, grad_f, d)").dim != self.dim:
            raise ValueError(f"a posterior in {posterior.dim} dimensions for a sampler in {self.dim}: they must agree")
        y = self.reference.sample(count, seed)
        h = pulled_log_ratio(self.psi, self.reference, posterior.f, y)
        nodes = Nodes(y, np.full(count, 1.0 / count))
        told = evidence(h, nodes)
        weights = np.exp(-h - told["log_z"])
        modes = missed(lambda x: self.log_density(Cloud(x)), posterior, told["log_z"], seed)
        errors = [float(np.std(values)) / np.sqrt(count) for values in (h + weights, weights)]
        outcome = judged(told, errors[0], modes, enough)
        return Evidence(told["kl"], errors[0], told["log_z"], errors[1], told["ess"], count, modes, outcome)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the sampler to ``path`` (.npz, no pickles), whole or not at all; `load_sampler` reads it.

        Raises
        ------
        OSError : the folder does not exist or cannot be written.
        """
        psi = self.standard
        arrays = {f"psi:{part.name}": np.asarray(getattr(psi, part.name)) for part in fields(psi)}
        arrays |= {"mean": self.reference.mean, "factor": self.reference.factor}
        arrays |= {"place": self.unit.place, "spread": np.asarray(self.unit.spread)}
        return archives.write_archive(
            path, {"format": SAMPLER_FORMAT, "psi": type(psi).__name__, "outcome": self.outcome.stored}, arrays
        )


def as_sampler(run: Trajectory, i: int | None = None) -> Sampler:
    """The sampler that a run of `MongeAmpereSampler` or `ImplicitSampler` has found.

    Parameters
    ----------
    run : what `evolve` returned, or `Stopped.trajectory`.
    i : which of the requested times; the last step that was taken unless given.

    Returns
    -------
    `Sampler`, with the run's outcome.

    Raises
    ------
    ValueError : a run of another flow; no such time.

    Examples
    --------
    >>> from pmasolve import ConstantSteps, MongeAmpereSampler, SampleProblem, evolve
    >>> problem = SampleProblem(np.random.default_rng(0).standard_normal((200, 2)))
    >>> flow = MongeAmpereSampler(problem, schedule=ConstantSteps(0.2))
    >>> as_sampler(evolve(flow, flow.times(5)[-1:]))
    <Sampler in 2 dimensions: Span of 5 parameters, reached>
    """
    remedy = "give a run of MongeAmpereSampler or ImplicitSampler (of JKOSampler: as_chain)"
    flow = having(followed(run, "run").flow, "first", "run", remedy)
    u = run.latest[1] if i is None else run.potentials[run.entry(i)]
    psi, problem = flow.first.placed(flow.first.params + u), flow.problem
    return Sampler(psi, problem.reference, problem.unit, run.outcome)


def load_sampler(path: str | os.PathLike[str]) -> Sampler:
    """Read a sampler back.

    Parameters
    ----------
    path : a file of `Sampler.save`.

    Returns
    -------
    `Sampler`, equal in every array.

    Raises
    ------
    FileNotFoundError : no such file.
    ValueError : a damaged or foreign file.

    Examples
    --------
    >>> import tempfile
    >>> from pmasolve import ConstantSteps, MongeAmpereSampler, SampleProblem, evolve
    >>> problem = SampleProblem(np.random.default_rng(0).standard_normal((200, 2)))
    >>> flow = MongeAmpereSampler(problem, schedule=ConstantSteps(0.2))
    >>> sampler = as_sampler(evolve(flow, flow.times(5)[-1:]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     again = load_sampler(sampler.save(f"{folder}/sampler"))
    >>> bool((again.sample(3, 0) == sampler.sample(3, 0)).all())
    True
    """
    header, arrays = archives.read_archive(path, SAMPLER_FORMAT, ("mean", "factor", "place", "spread"))
    with archives.unreadable_refused(path, "a pmasolve sampler"):
        archives.check_finite(path, arrays)
        parts = archives.with_prefix(arrays, "psi:")
        parts = {name: float(value) if value.ndim == 0 else value for name, value in parts.items()}
        psi = POTENTIAL_KINDS[header["psi"]](**parts)
        psi.at(np.zeros((1, psi.dim)))
        reference, unit = Reference(arrays["mean"], arrays["factor"]), Unit(arrays["place"], float(arrays["spread"]))
        return Sampler(psi, reference, unit, Outcome.restored(header["outcome"]))
