"""What a run of particles with their own potential holds: one moment of it, the log while it runs, and the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..machine.arrays import Array
from ..problems.outcomes import CONVEXITY_LOST, REACHED, Outcome
from ..sinkhorn.potentials import Potential
from ..sinkhorn.schroedinger import Schroedinger
from ..sinkhorn.self_potential import Debiased, SelfPotential
from .units import Units


@dataclass(frozen=True, eq=False)
class CarriedParticles:
    """The particles with the potential that they carry.

    Attributes
    ----------
    z : (N, dim).
    phi : the potential towards the centred and dilated target, as a function of any points: ``map``, ``jacobian``.
    units : centring and dilation.
    found, own : the Schrödinger problem that gave it, and the self-potential of the particles; None in the plain gauge.
    """

    z: Array
    phi: Potential | Debiased
    units: Units
    found: Schroedinger
    own: SelfPotential | None

    @cached_property
    def image(self) -> Array:
        """∇φ̂(Z), (N, dim): of the law e^{−g} at all times, up to errors in N and ε."""
        return self.units.back(self.phi.map(self.z))

    @cached_property
    def hessian(self) -> Array:
        """G = D²φ̂(Z), (N, dim, dim)."""
        return self.units.ratio * self.phi.jacobian(self.z)


@dataclass(frozen=True, eq=False)
class ParticleRun:
    """Particles at the requested times.

    Attributes
    ----------
    times : (m,), those that were reached, 0 first.
    positions : (m, N, dim).
    images : (m, N, dim), ∇φ̂ there.
    eps : ε of the potentials.
    outcome : reached, or why the run ended.
    records : of each step, arrays by name: ``t``, ``min_eigenvalue`` of D²φ̂, ``iterations`` of Sinkhorn or what costs as much,
        ``marginal_error`` of the plan.
    """

    times: Array
    positions: Array = field(repr=False)
    images: Array = field(repr=False)
    eps: float
    outcome: Outcome
    records: Mapping[str, Array] = field(repr=False)

    def __repr__(self) -> str:
        count = self.positions.shape[1] if self.times.size else 0
        return f"<ParticleRun: {count} particles at {self.times.size} times, ε = {self.eps:.6g}, {self.outcome.name}>"


class Log:
    """What a run keeps."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.positions: list[Array] = []
        self.images: list[Array] = []
        self.rows: list[dict[str, float]] = []

    def keep(self, t: float, here: CarriedParticles) -> Outcome:
        """Record the particles at a time; whether the flow can go on from there."""
        low = float(np.linalg.eigvalsh(here.hessian)[:, 0].min())
        found = here.found
        self.rows.append(
            {"t": t, "min_eigenvalue": low, "iterations": found.iterations, "marginal_error": found.marginal_error}
        )
        if not found.outcome.ok:
            return found.outcome
        if here.own is not None and not here.own.outcome.ok:
            return here.own.outcome
        if not low > 0:
            return CONVEXITY_LOST.advising(
                f"D²φ̂ has the eigenvalue {low:.3g} at a particle at t={t:g}; take eps above {found.eps:.3g}, more particles, "
                "or gauge=PLAIN, whose potential is convex"
            )
        self.times.append(t)
        self.positions.append(here.z)
        self.images.append(here.image)
        return REACHED

    def run(self, eps: float, outcome: Outcome) -> ParticleRun:
        """All of it."""
        records = {name: np.array([row[name] for row in self.rows]) for name in self.rows[0]}
        empty = np.empty((0, 0, 0))
        positions, images = (np.stack(kept) if kept else empty for kept in (self.positions, self.images))
        return ParticleRun(np.array(self.times), positions, images, eps, outcome, records)
