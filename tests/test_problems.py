"""Problem: normalised, consistent between its entrances, symmetric under exchange; the known ones are really solved."""

from __future__ import annotations

import numpy as np
import pytest
from cases import KNOWN, TAU

from pmasolve import Box, Fourier, Problem, Spline, Torus
from pmasolve.flows.reading import linearise_at


@pytest.mark.parametrize("grid", [Torus((16,)), Torus((12, 15), (1.0, 2.0)), Box((8, 9)), Torus((6, 6, 6))], ids=str)
def test_entrances_agree(grid) -> None:
    def mu(*x):
        return 2 + np.cos(TAU * x[0] / grid.lengths[0])

    def nu(*x):
        return 3 + np.sin(TAU * x[-1] / grid.lengths[-1])

    entrances = [
        Problem.from_densities(grid, mu, nu),
        Problem.from_densities(grid, 5 * mu(*grid.points), nu(*grid.points)),
        Problem(grid, lambda *x: -np.log(mu(*x)) + 3, lambda *x: -np.log(nu(*x))),
        Problem(grid, -np.log(mu(*grid.points)), -np.log(nu(*grid.points)), interpolation=Spline(3)),
    ]
    for problem in entrances:
        assert np.allclose(problem.f, entrances[0].f, atol=1e-13)
        assert np.allclose(problem.g, entrances[0].g, atol=1e-13)
        for values in (problem.f, problem.g):
            assert grid.integral(np.exp(-values)) == pytest.approx(1.0, rel=1e-13)


def test_swapped_exchanges_and_does_not_normalise_again(line: Problem) -> None:
    back = line.swapped()
    assert np.array_equal(back.f, line.g)
    assert np.array_equal(back.g, line.f)
    assert back.swapped().source is line.source


def test_same_densities_on_another_grid() -> None:
    coarse = Problem.from_densities(Torus((16,)), lambda x: 2 + np.cos(TAU * x), lambda y: 3 + np.sin(TAU * y))
    fine = coarse.on(Torus((64,)))
    assert np.allclose(fine.f[::4], coarse.f, atol=1e-12)
    assert fine.domain.integral(np.exp(-fine.g)) == pytest.approx(1.0, rel=1e-13)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_known_problem_satisfies_monge_ampere_to_round_off(dim: int) -> None:
    """Before any solver sees it."""
    problem = KNOWN[dim].problem((48,) * dim if dim < 3 else (24,) * 3)
    operators = Fourier().on(problem.domain)
    here = linearise_at(problem, operators, KNOWN[dim].u(problem.domain.points))
    assert np.max(np.abs(here.speed)) < 5e-12
    assert problem.domain.integral(np.exp(here.log_density)) == pytest.approx(1.0, rel=1e-12)
