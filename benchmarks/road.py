"""Proximal steps that grow as a road to the Brenier map, beside `transport`'s own two methods, on steep monitors.

    python benchmarks/road.py [--n 128]

Monitors: a ring of contrast 10 … 10⁴ as target (the mesh is refined there), and waves.  CPU seconds and outcome of Newton's
cascade, of the road (`BregmanProximal` with `GrowingSteps`, from 10⁻³ by factors of 4) and of the semi-dual, and the residual
∫|T_#μ − ν| on the nodes.  Where Newton stops the road gets to the same residual or stops too: the grid does not resolve the map;
the semi-dual, which asks less, takes a tenth of its time.  So `transport` does not take the road.
"""

from __future__ import annotations

import argparse
from time import process_time

import numpy as np
from rich.console import Console
from rich.table import Table

from pmasolve import BregmanProximal, GrowingSteps, NewtonKrylov, Problem, SemiDual, Torus, evolve, transport
from pmasolve.flows.reading import linearise_at

TAU = 2 * np.pi
STEPS = 16  # 4¹⁶ · 10⁻³: the elliptic equation


def ring(contrast: float, n: int) -> Problem:
    """Uniform to 1 + contrast on a ring."""

    def g(x, y):
        radius = np.hypot(np.sin(np.pi * (x - 0.5)), np.sin(np.pi * (y - 0.5))) / np.pi
        return -np.log(1 + contrast * np.exp(-(((radius - 0.25) / 0.05) ** 2)))

    return Problem(Torus((n, n)), lambda x, y: 0 * x, g)


def waves(amplitude: float, n: int) -> Problem:
    """Contrast e^{2 amplitude} in the source."""
    return Problem(
        Torus((n, n)),
        lambda x, y: amplitude * np.cos(TAU * x) * np.cos(TAU * y),
        lambda x, y: -np.cos(TAU * (x + y)),
    )


def road(problem: Problem) -> tuple[str, float]:
    """Outcome and residual of the proximal road."""
    flow = BregmanProximal(problem, GrowingSteps(1e-3, 4.0))
    run = evolve(flow, flow.times(STEPS)[-1:], throw=False, progress=False)
    here = linearise_at(problem, flow.operators, run.latest[1])
    name = run.outcome.name if run.outcome.ok else f"{run.outcome.name} at step {run.records['eta'].size}"
    return name, problem.domain.integral(np.abs(np.exp(here.log_density) - np.exp(-problem.f)))


def main() -> None:
    """One row for each monitor."""
    n = argparse.ArgumentParser(description=__doc__)
    n.add_argument("--n", type=int, default=128)
    size = n.parse_args().n
    table = Table("monitor", "Newton", "s", "residual", "road", "s", "residual", "semi-dual", "s", "gap")
    cases = {f"ring, contrast {c:g}": ring(c, size) for c in (10, 100, 1e3, 1e4)}
    cases |= {f"waves, contrast {np.exp(2 * a):.0f}": waves(a, size) for a in (1.5, 2.5, 3.5)}
    for name, problem in cases.items():
        began = process_time()
        newton = transport(problem, method=NewtonKrylov(), progress=False)
        first = process_time()
        how, residual = road(problem)
        second = process_time()
        dual = transport(problem, method=SemiDual(), progress=False)
        third = process_time()
        row = (newton.outcome.name, first - began, newton.residual, how, second - first, residual)
        row += (dual.outcome.name, third - second, dual.gap)
        table.add_row(name, *(f"{x:.2g}" if isinstance(x, float) else x for x in row))
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
