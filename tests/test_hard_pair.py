"""The hard pair at small ε: a displacement of a third of the period, u/ε over tens of thousands, and no digit lost.

f = 2 cos 2πx + 2 cos 2πy, and g the same shifted by 0.4 along both axes; ε is annealed from 1e-2.
"""

from __future__ import annotations

import numpy as np
import pytest

from pmasolve import Problem, Sinkhorn, Torus, evolve
from pmasolve.sinkhorn.softmin.separable import SeparableKernel

TAU = 2 * np.pi


def hard_pair(n: int) -> Problem:
    def well(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 2 * np.cos(TAU * x) + 2 * np.cos(TAU * y)

    return Problem(Torus((n, n)), well, lambda x, y: well(x - 0.4, y - 0.4))


def exact_columns(grid: Torus, h: np.ndarray, eps: float, columns: list[int]) -> np.ndarray:
    """The log-sums at the nodes (·, y₂) of these columns, shape (columns, n), in long double, over both neighbouring periods."""
    n, kappa = grid.shape[0], np.longdouble(grid.spacing[0]) ** 2 / (2 * np.longdouble(eps))
    x, wide = np.arange(-n, 2 * n), np.tile(h.astype(np.longdouble), (1, 3))

    def sums(lines: np.ndarray, y: int) -> np.ndarray:
        z = lines - kappa * (x - y).astype(np.longdouble) ** 2
        top = z.max(axis=-1)
        return top + np.log(np.exp(z - top[..., None]).sum(axis=-1))

    along = [np.tile(sums(wide, column), 3) for column in columns]
    return np.array([[sums(line, y) for y in range(n)] for line in along])


def anneal(problem: Problem, schedule: dict[float, int]) -> tuple[Sinkhorn, np.ndarray]:
    """The last flow and its potential; in every iteration the mass of p_X is one."""
    u = np.zeros(problem.domain.shape)
    for eps, count in schedule.items():
        flow = Sinkhorn(problem, eps, quadrature=1)
        run = evolve(
            flow, [count * eps], initial=u, throw=False
        )  # on so few nodes derivatives of u oscillate: its map folds
        assert np.max(np.abs(run.records["mass"] - 1)) < 1e-12, eps
        u = run.latest[1]
    return flow, u


def check(n: int, schedule: dict[float, int], columns: list[int], roundings: int) -> dict[str, float | int | str]:
    """Anneal, then compare a half-iteration with long double on some columns, to some roundings of h; the engine's report."""
    problem = hard_pair(n)
    grid, (flow, u) = problem.domain, anneal(problem, schedule)
    h = -u / flow.eps - problem.f
    assert isinstance(flow.kernel, SeparableKernel)
    found = flow.kernel.forward(h)[:, columns].T
    exact = exact_columns(grid, h, flow.eps, columns)
    error, rounding = float(np.max(np.abs(found - exact))), 0.5 * np.finfo(float).eps * np.max(np.abs(h))
    report = dict(flow.kernel.report)
    print(
        f"\nn = {n}, ε = {flow.eps:g}: osc(u)/ε {np.ptp(u) / flow.eps:.0f}, error {error:.1e}, rounding {rounding:.1e}"
    )
    print(report)
    assert error < 1e-13 + roundings * rounding
    return report


def test_hard_pair_on_a_small_grid() -> None:
    report = check(192, {1e-2: 30, 1e-3: 20, 3e-4: 20, 1e-4: 20}, [77], 4)  # two for each pass
    assert report["tile_passes"] > 0
    assert report["least_bits"] > -929


@pytest.mark.slow
def test_hard_pair_annealed_to_1e_5_at_1024() -> None:
    report = check(1024, {1e-2: 60, 3e-3: 40, 1e-3: 40, 3e-4: 30, 1e-4: 30, 3e-5: 20, 1e-5: 20}, [100, 700], 2)
    assert report["matrix_passes"] == 0
    assert report["least_bits"] > -929
