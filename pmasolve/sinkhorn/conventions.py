"""Potentials, ε and costs in the conventions of POT, OTT-JAX and GeomLoss, and back.  Arithmetic on arrays; no peer is imported.

Ours: measures μ = Σ aᵢ δ(xᵢ), ν = Σ bⱼ δ(yⱼ), potentials u, v, and the plan γᵢⱼ = aᵢ bⱼ exp(−(uᵢ + vⱼ)/ε) exp(−½|xᵢ−yⱼ|²/ε).
All packages have the same plan when they agree on the kernel: a cost s|x−y|² needs the regularisation 2sε.

    package    written as                        cost       regularisation     entropy relative to   potentials from u, v
    ---------  --------------------------------  ---------  -----------------  --------------------  -----------------------------
    pmasolve   aᵢ bⱼ exp((−uᵢ − vⱼ − Cᵢⱼ)/ε)     ½|x−y|²    ε                  μ⊗ν                   u, v
    POT        exp(log_uᵢ + log_vⱼ − Mᵢⱼ/reg)    s|x−y|²    reg = 2sε          counting              log a − u/ε,  log b − v/ε
    OTT-JAX    exp((fᵢ + gⱼ − Cᵢⱼ)/epsilon)      s|x−y|²    epsilon = 2sε      counting              2sε log a − 2su,  and with b, v
    GeomLoss   aᵢ bⱼ exp((Fᵢ + Gⱼ − Cᵢⱼ)/blur²)  ½|x−y|²    blur = √ε          μ⊗ν                   −u, −v

s = ½ is our cost; s = 1 that of ``ot.dist`` and of OTT's ``SqEuclidean``; s = 1/max|x−y|² a cost scaled to 1.

* On a grid the masses are a = e^{−f} h^d, densities times cells; arrays go out flat in C order, the order of the nodes in
  `Problem.domain.points`, and come back in the shape of the grid.
* Periodic domains and boxes have the cost −ε log K_ε in place of ½|x−y|², images being summed; the peers then need this
  matrix, `pmasolve.softmin.nodes.log_kernel`, and s = ½.
* Warm start.  Our start u = 0 is log_u = log a in POT and f = epsilon·log a in OTT; theirs, log_u = 0 and f = 0, is
  u = ε log a, and on a uniform cloud the same up to a constant.  In all three an iteration updates the target side first, so
  that only u matters.
* Values.  With s|x−y|² the value is 2s times ours; entropy relative to counting adds reg·(Σ a log a + Σ b log b) to ours.  Debiased
  potentials (``debias=True`` in GeomLoss) belong to another functional and have no counterpart here.
* At nodes without mass the peers' log a − u/ε is −∞ and says nothing of u: 0 comes back, which no half step sees.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ..machine.arrays import Array, real
from ..problems.problem import Measure, Problem

HALF_SQUARED = 0.5
"""Scale s of our own cost, ½|x−y|²."""

SQUARED = 1.0
"""Scale s of |x−y|², the default of `ot.dist` and of OTT's ``SqEuclidean``."""


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
    """POT's potentials: ``warmstart=(log_u, log_v)``, ``log["log_u"]``, ``log["log_v"]`` and ``reg``.

    Attributes
    ----------
    log_u, log_v : (n,) and (m,) log-scalings.
    reg : the factor of the entropy.

    Examples
    --------
    >>> Pot(np.zeros(3), np.zeros(2), 0.2).reg
    0.2
    """

    log_u: Array
    log_v: Array
    reg: float


class Ott(NamedTuple):
    """OTT-JAX's potentials: ``init=(f, g)``, ``output.f``, ``output.g``, and the ``epsilon`` of the geometry.

    Attributes
    ----------
    f, g : (n,) and (m,).
    epsilon : the factor of the entropy.

    Examples
    --------
    >>> Ott(np.zeros(3), np.zeros(2), 0.2).epsilon
    0.2
    """

    f: Array
    g: Array
    epsilon: float


class GeomLoss(NamedTuple):
    """GeomLoss's potentials: those of ``SamplesLoss("sinkhorn", p=2, blur=blur, debias=False, potentials=True)``.

    Attributes
    ----------
    F, G : (n,) and (m,).
    blur : √ε.

    Examples
    --------
    >>> GeomLoss(np.zeros(3), np.zeros(2), 0.5).blur
    0.5
    """

    F: Array
    G: Array
    blur: float


def to_pot(problem: Problem, potentials: Potentials, *, scale: float = SQUARED) -> Pot:
    """Log-scalings and ``reg`` for POT with the cost matrix ``scale``·|x−y|².

    Parameters
    ----------
    problem : densities on a grid, or samples.
    potentials : u and v at the nodes, and ε: Potentials(u, v, eps).
    scale : the cost is ``scale``·|x−y|²; 1 (`SQUARED`) unless given, ½ for ours.

    Returns
    -------
    `Pot`, flat arrays (n,), (m,) in the order of the nodes.

    Raises
    ------
    ValueError : scale or ε not positive, potentials of another shape or not finite.

    Examples
    --------
    >>> problem = Problem.from_samples([[0.0], [1.0]], [[0.5]])
    >>> to_pot(problem, Potentials(np.zeros(2), np.zeros(1), 0.1)).reg
    0.2
    """
    u, v, eps = _checked_potentials(problem, potentials)
    reg = _regularisation(eps, scale)
    return Pot(_log_masses(problem.mu) - u.ravel() / eps, _log_masses(problem.nu) - v.ravel() / eps, reg)


def from_pot(problem: Problem, pot: Pot, *, scale: float = SQUARED) -> Potentials:
    """u, v and ε from POT's log-scalings for the cost matrix ``scale``·|x−y|².

    Parameters
    ----------
    problem : densities on a grid, or samples.
    pot : what POT returned, as `Pot`.
    scale : the cost is ``scale``·|x−y|²; 1 (`SQUARED`) unless given, ½ for ours.

    Returns
    -------
    `Potentials`, u and v of the shapes of the nodes.

    Raises
    ------
    ValueError : scale or reg not positive, arrays of another size, values that are not finite where there is mass.

    Examples
    --------
    >>> problem = Problem.from_samples([[0.0], [1.0]], [[0.5]])
    >>> from_pot(problem, Pot(np.zeros(2), np.zeros(1), 0.2)).u.round(6)  # ε log a
    array([-0.069315, -0.069315])
    """
    eps = _regularisation(pot.reg, 0.25 / scale if scale > 0 else scale)
    u = _potential(problem.mu, pot.log_u, eps, "log_u")
    return Potentials(u, _potential(problem.nu, pot.log_v, eps, "log_v"), eps)


def to_ott(problem: Problem, potentials: Potentials, *, scale: float = SQUARED) -> Ott:
    """Potentials and ``epsilon`` for OTT-JAX with the cost ``scale``·|x−y|².

    Parameters
    ----------
    problem : densities on a grid, or samples.
    potentials : u and v at the nodes, and ε: Potentials(u, v, eps).
    scale : the cost is ``scale``·|x−y|²; 1 (`SQUARED`) unless given, ½ for ours.

    Returns
    -------
    `Ott`, flat arrays (n,), (m,) in the order of the nodes.

    Raises
    ------
    ValueError : scale or ε not positive, potentials of another shape or not finite.

    Examples
    --------
    >>> problem = Problem.from_samples([[0.0]], [[0.5]])
    >>> [float(x) for x in to_ott(problem, Potentials(np.ones(1), np.zeros(1), 0.1)).f]
    [-2.0]
    """
    log_u, log_v, reg = to_pot(problem, potentials, scale=scale)
    return Ott(reg * log_u, reg * log_v, reg)


def from_ott(problem: Problem, ott: Ott, *, scale: float = SQUARED) -> Potentials:
    """u, v and ε from OTT-JAX's potentials for the cost ``scale``·|x−y|².

    Parameters
    ----------
    problem : densities on a grid, or samples.
    ott : what OTT-JAX returned, as `Ott`.
    scale : the cost is ``scale``·|x−y|²; 1 (`SQUARED`) unless given, ½ for ours.

    Returns
    -------
    `Potentials`, u and v of the shapes of the nodes.

    Raises
    ------
    ValueError : scale or epsilon not positive, arrays of another size, values that are not finite where there is mass.

    Examples
    --------
    >>> problem = Problem.from_samples([[0.0]], [[0.5]])
    >>> from_ott(problem, Ott(np.array([-2.0]), np.zeros(1), 0.2)).u
    array([1.])
    """
    f, g = (real(x, name) for x, name in ((ott.f, "f"), (ott.g, "g")))
    epsilon = _regularisation(ott.epsilon, HALF_SQUARED)
    return from_pot(problem, Pot(f / epsilon, g / epsilon, epsilon), scale=scale)


def to_geomloss(problem: Problem, potentials: Potentials) -> GeomLoss:
    """Potentials and ``blur`` for GeomLoss, p = 2, whose cost is ours.

    Parameters
    ----------
    problem : densities on a grid, or samples.
    potentials : u and v at the nodes, and ε: Potentials(u, v, eps).

    Returns
    -------
    `GeomLoss`, flat arrays (n,), (m,) in the order of the nodes.

    Raises
    ------
    ValueError : scale or ε not positive, potentials of another shape or not finite.

    Examples
    --------
    >>> problem = Problem.from_samples([[0.0]], [[0.5]])
    >>> to_geomloss(problem, Potentials(np.ones(1), np.zeros(1), 0.25)).blur
    0.5
    """
    u, v, eps = _checked_potentials(problem, potentials)
    return GeomLoss(-u.ravel(), -v.ravel(), float(np.sqrt(eps)))


def from_geomloss(problem: Problem, geomloss: GeomLoss) -> Potentials:
    """u, v and ε from GeomLoss's potentials, p = 2, without debiasing.

    Parameters
    ----------
    problem : densities on a grid, or samples.
    geomloss : what GeomLoss returned, as `GeomLoss`.

    Returns
    -------
    `Potentials`, u and v of the shapes of the nodes.

    Raises
    ------
    ValueError : blur not positive, arrays of another size or not finite.

    Examples
    --------
    >>> problem = Problem.from_samples([[0.0]], [[0.5]])
    >>> from_geomloss(problem, GeomLoss(np.ones(1), np.zeros(1), 0.5)).eps
    0.25
    """
    eps = _regularisation(geomloss.blur, HALF_SQUARED) ** 2
    F, G = (real(x, name) for x, name in ((geomloss.F, "F"), (geomloss.G, "G")))
    domain, codomain = problem.domain, problem.codomain
    return Potentials(
        domain.values(-_shaped(F, domain.shape, "F"), "F"), codomain.values(-_shaped(G, codomain.shape, "G"), "G"), eps
    )


def _regularisation(eps: float, scale: float) -> float:
    """2·scale·eps, both positive and finite."""
    if not (0 < eps < np.inf and 0 < scale < np.inf):
        raise ValueError(f"regularisation {eps}, scale {scale}: both must be positive and finite; scale=1 for |x−y|²")
    return float(2 * scale * eps)


def _checked_potentials(problem: Problem, potentials: Potentials) -> Potentials:
    u, v, eps = potentials
    return Potentials(
        problem.domain.values(u, "u"), problem.codomain.values(v, "v"), _regularisation(eps, HALF_SQUARED)
    )


def _log_masses(measure: Measure) -> Array:
    """log a of every node, flat; −∞ for none."""
    return (measure.log_density + np.log(measure.cell)).ravel()


def _potential(measure: Measure, log_scaling: ArrayLike, eps: float, name: str) -> Array:
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
