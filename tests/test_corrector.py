"""Sinkhorn extrapolated to ε → 0: its orders, its own error estimate, and its agreement with the PDE solver."""

from __future__ import annotations

import numpy as np
import pytest
from cases import T1_START, T2_START, t1, t2

from pmasolve import Box, MongeAmpere, Problem, Richardson, Study, Torus, compare, evolve
from pmasolve.sinkhorn.richardson import extrapolate
from pmasolve.sinkhorn.softmin.dense import Dense
from pmasolve.studies.convergence import Band


def test_pma_and_extrapolated_sinkhorn_agree_in_the_plane() -> None:
    """Two solvers with nothing in common but the grid."""
    problem = t2(96)
    start, times = T2_START(problem.domain.points), [0.01, 0.03]
    a = evolve(Richardson(problem, 0.01, levels=6), times, initial=start)
    b = evolve(MongeAmpere(problem, rtol=1e-11), times, initial=start)
    with_constants = np.max(np.abs(a.potentials - b.potentials))
    print(f"\nsup distance {with_constants:.1e}, constants included\n{compare(a, b)}")
    assert with_constants < 2e-10
    assert np.max(compare(a, b).gradient) < 1e-8


def test_they_agree_on_the_box() -> None:
    problem = Problem.from_densities(
        Box((40, 40)),
        lambda x, y: 1 + 0.3 * np.cos(np.pi * x) * np.cos(np.pi * y),
        lambda x, y: 1 + 0.3 * np.cos(np.pi * y),
    )
    a = evolve(Richardson(problem, 0.02, levels=5), [0.04])
    b = evolve(MongeAmpere(problem, rtol=1e-11), [0.04])
    distance = np.max(np.abs(a.potentials - b.potentials))
    print(f"\nbox: sup distance {distance:.1e}")
    assert distance < 1e-9


@pytest.mark.parametrize("levels", [1, 2])
def test_orders(levels: int) -> None:
    """2 and 4 in the largest ε, against PMA."""
    problem, t = t1(192), 1 / 32
    start = T1_START(problem.domain.points)
    limit = evolve(MongeAmpere(problem, rtol=1e-12), [t], initial=start).potentials[0]

    def errors(eps: float) -> dict[str, float]:
        run = evolve(Richardson(problem, eps, levels=levels), [t], initial=start)
        return {"sup": float(np.max(np.abs(run.potentials[0] - limit)))}

    study = Study.over("eps", [2.0**-j for j in (9, 10, 11)], errors)
    print(f"\n{levels} levels\n{study.table()}")
    assert study.verdict("sup", Band(2 * levels - 0.15, 2 * levels + 0.15))


def test_order_of_three_levels() -> None:
    """Towards 6, on a mild problem: round-off is reached before the order is.  Reference: six levels of a finer ladder."""
    problem = Problem.from_densities(
        Torus((128,)), lambda x: 1 + 0.05 * np.cos(2 * np.pi * x), lambda y: 1 + 0.05 * np.sin(2 * np.pi * y)
    )
    t = 1 / 16
    limit = evolve(Richardson(problem, 2.0**-7, levels=6, quadrature=1), [t]).potentials[0]

    def errors(eps: float) -> dict[str, float]:
        return {"sup": float(np.max(np.abs(evolve(Richardson(problem, eps, levels=3), [t]).potentials[0] - limit)))}

    study = Study.over("eps", [2.0**-j for j in (5, 6, 7, 8)], errors)
    print(f"\n{study.table()}")
    orders = study.orders("sup")
    assert np.all(np.diff(orders) > 0)
    assert 5.5 < orders[-1] < 6.15
    assert study.errors["sup"][-1] < 1e-11


@pytest.mark.parametrize("eps", [2.0**-6, 2.0**-7, 2.0**-8])
@pytest.mark.parametrize("levels", [2, 3, 4])
def test_error_estimate_is_an_upper_bound(eps: float, levels: int) -> None:
    problem, times = t1(96), [2.0**-6, 2.0**-5]
    start = T1_START(problem.domain.points)
    limit = evolve(MongeAmpere(problem, rtol=1e-12), times, initial=start)
    run = evolve(Richardson(problem, eps, levels=levels), times, initial=start)
    errors = compare(run, limit).sup
    estimates = [run.records["error_estimate"][np.argmin(np.abs(run.records["t"] - t))] for t in times]
    assert np.all(errors <= np.array(estimates) + 1e-13), (errors, estimates)


def test_extrapolation_is_exact_on_even_polynomials() -> None:
    eps = 0.5 ** np.arange(4)
    values = [np.array([3.0 + 2 * e**2 - 5 * e**4 + 7 * e**6]) for e in eps]
    assert extrapolate(values)[0] == pytest.approx(3.0, abs=1e-13)
    assert extrapolate(values[:1])[0] == values[0][0]


def test_one_level_has_no_estimate_and_engines_are_passed_on(line) -> None:
    run = evolve(Richardson(line, 2e-3, levels=1), [4e-3])
    assert np.isnan(run.records["error_estimate"]).all()
    flow = Richardson(line, 2e-3, levels=3, softmin=Dense())
    assert [rung.eps for rung in flow.ladder] == [2e-3, 1e-3, 5e-4]
    assert all(rung.softmin == Dense() for rung in flow.ladder)
    a, b = (evolve(f, [4e-3]).potentials for f in (flow, Richardson(line, 2e-3, levels=3)))
    assert np.max(np.abs(a - b)) < 1e-13
