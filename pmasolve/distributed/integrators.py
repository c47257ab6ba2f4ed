"""Flows on slabs step by `flows.bdf`, whose norms are sums over the ranks: CVODE's would differ from rank to rank."""

from __future__ import annotations

from ..flows.bdf import Bdf
from ..flows.integrator import Integrator, Steps, System, integrator_on
from ..machine.arrays import Array
from .domains import SlabTorus


@integrator_on.register
def integrator_on_slabs(domain: SlabTorus, system: System, y: Array, tolerance: float, t: float) -> Steps:
    """BDF whose every decision is that of all ranks."""
    if domain.whole:
        return Integrator(system, y, tolerance, t)
    return Bdf(system, y, tolerance, t, domain.summed)
