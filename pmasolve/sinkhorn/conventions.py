"""Potentials, ε and costs in the conventions of POT, OTT-JAX and GeomLoss, and back.  Arithmetic on arrays; no peer is imported.

Ours: measures μ = Σ aᵢ δ(xᵢ), ν = Σ bⱼ δ(yⱼ), potentials u, v, and the plan γᵢⱼ = aᵢ bⱼ exp(−(uᵢ + vⱼ)/ε) exp(−½|xᵢ−yⱼ|²/ε).
All packages have the same plan when they agree on the kernel: a cost s|x−y|² needs the regularisation 2sε.

    package       written as                        cost       regularisation     entropy relative to   potentials from u, v
    ------------  --------------------------------  ---------  -----------------  --------------------  ----------------------------
    pmasolve      aᵢ bⱼ exp((−uᵢ − vⱼ − Cᵢⱼ)/ε)     ½|x−y|²    ε                  μ⊗ν                   u, v
    POT           exp(log_uᵢ + log_vⱼ − Mᵢⱼ/reg)    s|x−y|²    reg = 2sε          counting              log a − u/ε,  log b − v/ε
    OTT-JAX       exp((fᵢ + gⱼ − Cᵢⱼ)/epsilon)      s|x−y|²    epsilon = 2sε      counting              2sε log a − 2su,  and b, v
    SamplesLoss   aᵢ bⱼ exp((Fᵢ + Gⱼ − Cᵢⱼ)/blur²)  ½|x−y|²    blur = √ε          μ⊗ν                   −u, −v
    geomloss.ot   aᵢ bⱼ exp((fᵢ + gⱼ − Cᵢⱼ)/reg)    s|x−y|²    reg = 2sε          μ⊗ν                   −2su, −2sv

s = ½ is our cost; s = 1 that of ``ot.dist``, of OTT's ``SqEuclidean`` and of ``geomloss.ot.solve_sample``.

Each interface has a record with two ways: ``Pot.of(problem, potentials)`` is what it takes, ``Pot(…).ours(problem)`` reads what it
returned.

* GeomLoss has two interfaces whose numbers for one plan differ by the factor 2s: `SamplesLoss` and `GeomLossOt`.  No record
  serves both, since an array does not tell where it comes from.
* ``SamplesLoss`` debiases unless told otherwise: such potentials belong to another functional and have no counterpart here.
* POT: ``log["log_u"]`` (``sinkhorn_log``), ``log["logu"]`` (``sinkhorn_stabilized``) and ``ot.solve(…).potentials`` are the
  log-scalings meant here; ``log["u"]`` of ``sinkhorn`` are the scalings themselves, of which to take the logarithm.
* OTT divides the cost by what ``scale_cost`` says: then s = ``geom.inv_scale_cost``; ``geom.epsilon`` is the epsilon that is meant.
* On a grid the masses are a = e^{−f} h^d, densities times cells; arrays go out flat in C order, the order of the nodes in
  `Problem.domain.points`, and come back in the shape of the grid.
* Periodic domains and boxes have the cost −ε log K_ε in place of ½|x−y|², images being summed; the peers then need this
  matrix, `pmasolve.softmin.nodes.log_kernel`, and s = ½.
* Warm start.  Our start u = 0 is log_u = log a in POT and f = epsilon·log a in OTT; theirs, log_u = 0 and f = 0, is
  u = ε log a, and on a uniform cloud the same up to a constant.  In all an iteration updates the target side first, so
  that only u matters.
* Values.  With s|x−y|² the value is 2s times ours; entropy relative to counting adds reg·(Σ a log a + Σ b log b) to ours.
* At nodes without mass the peers' log a − u/ε is −∞ and says nothing of u: 0 comes back, which no half step sees.
* A test of any conversion: after a half step, theirs or ours, ``Plan(problem, eps, u, v).mass`` is 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..machine.arrays import Array, having, real
from ..problems.problem import Measure, Problem

HALF_SQUARED = 0.5
"""Scale s of our own cost, ½|x−y|²."""

SQUARED = 1.0
"""Scale s of |x−y|², the default of `ot.dist`, of OTT's ``SqEuclidean`` and of ``geomloss.ot``."""


class Potentials(NamedTuple):
    """Our potentials, with φ = |x|²/2 + u and ψ = |y|²/2 + v, and ε for the cost ½|x−y|².

    Attributes
    ----------
    u, v : values at the nodes of source and target, of their shapes.
    eps : ε > 0.

    Examples
    --------
    >>> Potentials(np.zeros(3), np.zeros(2), 0.1).eps
    0.1
    """

    u: Array
    v: Array
    eps: float


class Pot(NamedTuple):
    """POT's potentials: ``warmstart=(log_u, log_v)``, ``log["log_u"]``, ``log["log_v"]``, ``ot.solve(…).potentials``, and ``reg``.

    Attributes
    ----------
    log_u, log_v : (n,) and (m,) log-scalings, in the order of the nodes.
    reg : the factor of the entropy.

    Examples
    --------
    >>> problem = Problem.from_samples([[0.0], [1.0]], [[0.5]])
    >>> Pot.of(problem, Potentials(np.zeros(2), np.zeros(1), 0.1)).reg
    0.2
    >>> Pot(np.zeros(2), np.zeros(1), 0.2).ours(problem).u.round(6)  # ε log a
    array([-0.069315, -0.069315])
    """

    log_u: Array
    log_v: Array
    reg: float

    @classmethod
    def of(cls, problem: Problem, potentials: Potentials, *, scale: float = SQUARED) -> Pot:
        """For POT with the cost matrix ``scale``·|x−y|²; a ``ValueError`` for potentials that are no numbers at the nodes."""
        f, g, reg = Ott.of(problem, potentials, scale=scale)
        return cls(f / reg, g / reg, reg)

    def ours(self, problem: Problem, *, scale: float = SQUARED) -> Potentials:
        """u, v and ε, the cost matrix having been ``scale``·|x−y|²; a ``ValueError`` for arrays that do not fit the problem."""
        eps = _eps(self.reg, scale)
        u = _counted(problem.mu, self.log_u, eps, "log_u")
        return Potentials(u, _counted(problem.nu, self.log_v, eps, "log_v"), eps)


class Ott(NamedTuple):
    """OTT-JAX's potentials: ``init=(f, g)``, ``output.f``, ``output.g``, and the ``epsilon`` of the geometry.

    Attributes
    ----------
    f, g : (n,) and (m,), in the order of the nodes.
    epsilon : the factor of the entropy.

    Examples
    --------
    >>> problem = Problem.from_samples([[0.0]], [[0.5]])
    >>> Ott.of(problem, Potentials(np.ones(1), np.zeros(1), 0.1)).f.tolist()
    [-2.0]
    >>> Ott(np.array([-2.0]), np.zeros(1), 0.2).ours(problem).u
    array([1.])
    """

    f: Array
    g: Array
    epsilon: float

    @classmethod
    def of(cls, problem: Problem, potentials: Potentials, *, scale: float = SQUARED) -> Ott:
        """For OTT with the cost ``scale``·|x−y|²; a ``ValueError`` for potentials that are no numbers at the nodes."""
        f, g, reg = GeomLossOt.of(problem, potentials, scale=scale)
        return cls(f + reg * _log_masses(problem.mu), g + reg * _log_masses(problem.nu), reg)

    def ours(self, problem: Problem, *, scale: float = SQUARED) -> Potentials:
        """u, v and ε, the cost having been ``scale``·|x−y|²; a ``ValueError`` for arrays that do not fit the problem."""
        eps, f, g = _eps(self.epsilon, scale), real(self.f, "f"), real(self.g, "g")
        u = _counted(problem.mu, f / self.epsilon, eps, "f")
        return Potentials(u, _counted(problem.nu, g / self.epsilon, eps, "g"), eps)


class SamplesLoss(NamedTuple):
    """GeomLoss's potentials by its class: ``SamplesLoss("sinkhorn", p=2, blur=blur, debias=False, potentials=True)(a, x, b, y)``.

    Attributes
    ----------
    F, G : (n,) and (m,), in the order of the nodes.
    blur : √ε.
    debias : what was said in the call, where it is True unless said otherwise; debiased potentials are refused.

    Examples
    --------
    >>> problem = Problem.from_samples([[0.0]], [[0.5]])
    >>> SamplesLoss.of(problem, Potentials(np.ones(1), np.zeros(1), 0.25)).blur
    0.5
    >>> SamplesLoss(np.array([-1.0]), np.zeros(1), 0.5, debias=False).ours(problem).u
    array([1.])
    """

    F: Array
    G: Array
    blur: float
    debias: bool

    @classmethod
    def of(cls, problem: Problem, potentials: Potentials) -> SamplesLoss:
        """For ``SamplesLoss``, whose cost is ours; a ``ValueError`` for potentials that are no numbers at the nodes."""
        F, G, eps = GeomLossOt.of(problem, potentials, scale=HALF_SQUARED)
        return cls(F, G, float(np.sqrt(eps)), debias=False)

    def ours(self, problem: Problem) -> Potentials:
        """u, v and ε; a ``ValueError`` for debiased potentials, and for arrays that do not fit the problem."""
        if self.debias:
            raise ValueError(
                f"debias={self.debias}: such potentials have no counterpart; call SamplesLoss(debias=False)"
            )
        eps = _eps(self.blur, HALF_SQUARED) ** 2
        return Potentials(*_negative(problem, (self.F, self.G), 1.0, "FG"), eps)


class GeomLossOt(NamedTuple):
    """GeomLoss's potentials by its module: ``potential_a`` and ``potential_b`` of ``geomloss.ot.solve_sample`` and ``solve``.

    Attributes
    ----------
    f, g : (n,) and (m,), in the order of the nodes; debiased or not, they are these.
    reg : as in the call; 2 blur² for ``solve_sample(blur=blur)``.

    Examples
    --------
    >>> problem = Problem.from_samples([[0.0]], [[0.5]])
    >>> GeomLossOt.of(problem, Potentials(np.ones(1), np.zeros(1), 0.1)).reg
    0.2
    >>> GeomLossOt(np.array([-2.0]), np.zeros(1), 0.2).ours(problem).u
    array([1.])
    """

    f: Array
    g: Array
    reg: float

    @classmethod
    def of(cls, problem: Problem, potentials: Potentials, *, scale: float = SQUARED) -> GeomLossOt:
        """For the cost ``scale``·|x−y|²; a ``ValueError`` for potentials that are no numbers at the nodes."""
        u, v, eps = (
            getattr(having(potentials, "eps", "potentials", "give Potentials(u, v, eps)"), x) for x in ("u", "v", "eps")
        )
        u, v = problem.domain.values(u, "u"), problem.codomain.values(v, "v")
        return cls(-2 * scale * u.ravel(), -2 * scale * v.ravel(), 2 * scale * _positive(eps, scale))

    def ours(self, problem: Problem, *, scale: float = SQUARED) -> Potentials:
        """u, v and ε, the cost having been ``scale``·|x−y|²; a ``ValueError`` for arrays that do not fit the problem."""
        eps = _eps(self.reg, scale)
        return Potentials(*_negative(problem, (self.f, self.g), 2 * scale, "fg"), eps)


def _positive(regularisation: float, scale: float) -> float:
    """The regularisation, where it and the scale are positive and finite."""
    if not (0 < regularisation < np.inf and 0 < scale < np.inf):
        raise ValueError(
            f"regularisation {regularisation}, scale {scale}: both must be positive and finite; scale=1 for |x−y|²"
        )
    return float(regularisation)


def _eps(regularisation: float, scale: float) -> float:
    """Our ε from the regularisation of the cost ``scale``·|x−y|²."""
    return _positive(regularisation, scale) / (2 * scale)


def _log_masses(measure: Measure) -> Array:
    """log a of every node, flat; −∞ for none."""
    return (measure.log_density + np.log(measure.cell)).ravel()


def _negative(problem: Problem, potentials: tuple[ArrayLike, ArrayLike], factor: float, names: str) -> list[Array]:
    """u = −F/factor and v = −G/factor."""
    sides = zip((problem.domain, problem.codomain), potentials, names, strict=True)
    return [
        nodes.values(-_shaped(real(theirs, name), nodes.shape, name) / factor, name) for nodes, theirs, name in sides
    ]


def _counted(measure: Measure, log_scaling: ArrayLike, eps: float, name: str) -> Array:
    """ε(log a − log_scaling) where there is mass, 0 elsewhere."""
    scaling = _shaped(real(log_scaling, name), measure.nodes.shape, name)
    log_mass = _log_masses(measure).reshape(measure.nodes.shape)
    inside = log_mass > -np.inf
    out = np.zeros(measure.nodes.shape)
    out[inside] = eps * (log_mass[inside] - scaling[inside])
    return measure.nodes.values(out, name)


def _shaped(values: Array, shape: tuple[int, ...], name: str) -> Array:
    if values.size != np.prod(shape):
        raise ValueError(
            f"{name} has shape {values.shape}: one number for each of the {np.prod(shape)} nodes is needed"
        )
    return values.reshape(shape)
