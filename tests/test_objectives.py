"""Objectives other than KL: their formulas, the flows that they give, and what the flows say of values where they are not safe."""

from __future__ import annotations

import numpy as np
import pytest
from cases import T1_START, TAU, t1
from scipy.integrate import quad

from pmasolve import (
    CHI_SQUARED,
    HELLINGER,
    KL,
    REVERSE_KL,
    AlphaDivergence,
    Entropy,
    JensenShannon,
    MongeAmpere,
    Objective,
    Problem,
    Relaxed,
    Torus,
    evolve,
    load,
    save,
)
from pmasolve.calculus.operators import Fourier
from pmasolve.flows.evolution import Evolution
from pmasolve.problems.divergences import Divergence, integrand, value

SINH = Objective(np.sinh, np.cosh)
ALL = [
    KL(),
    CHI_SQUARED,
    HELLINGER,
    REVERSE_KL,
    JensenShannon(),
    Entropy(),
    AlphaDivergence(2.5),
    AlphaDivergence(1e-9),
    SINH,
]
S = np.array([-6.0, -1.0, -0.1, 0.0, 0.3, 1.0, 4.0])


def name(objective: object) -> str:
    return f"{objective}"[:40]


@pytest.mark.parametrize("objective", ALL, ids=name)
def test_pressure_and_integrand_are_the_integrals_of_h(objective: Divergence) -> None:
    """By adaptive quadrature: P = ∫h′e^σ, Φ(e^s) = ∫h e^σ; and h′ by differences."""
    for s in S:
        one = np.array([s])
        P = quad(lambda x: float(np.broadcast_to(objective.dh(np.array([x])), 1)[0]) * np.exp(x), 0, s, epsrel=1e-12)[0]
        phi = quad(lambda x: float(objective.h(np.array([x]))[0]) * np.exp(x), 0, s, epsrel=1e-12)[0]
        assert objective.pressure(one)[0] == pytest.approx(P, rel=1e-10, abs=1e-14)
        assert integrand(objective, one)[0] == pytest.approx(phi, rel=1e-10, abs=1e-14)
    step = 1e-6
    slope = (objective.h(S + step) - objective.h(S - step)) / (2 * step)
    assert slope == pytest.approx(np.broadcast_to(objective.dh(S), S.shape), rel=1e-6, abs=1e-8)
    assert objective.h(np.zeros(1))[0] == 0
    assert objective.dh(np.zeros(1)) == 1


def test_values_are_those_of_the_textbooks() -> None:
    """F of ρ on a grid, from the densities themselves."""
    problem = t1(64)
    rho, mu, integral = 1 + 0.5 * np.sin(TAU * problem.domain.points[0]), np.exp(-problem.f), problem.domain.integral
    A, m = np.log(rho / mu), 0.5 * (rho + mu)
    expected = {
        KL(): integral(rho * np.log(rho / mu)),
        CHI_SQUARED: 0.5 * integral((rho / mu - 1) ** 2 * mu),
        HELLINGER: 2 * integral((np.sqrt(rho) - np.sqrt(mu)) ** 2),
        REVERSE_KL: integral(mu * np.log(mu / rho)),
        JensenShannon(): 2 * integral(rho * np.log(rho / m) + mu * np.log(mu / m)),
        Entropy(): integral(rho * np.log(rho)),
        Relaxed(1.5): 1.5 * integral(rho * np.log(rho / mu)),
    }
    for objective, number in expected.items():
        assert value(objective, problem, A) == pytest.approx(number, rel=1e-12)


def test_the_entropy_of_a_domain_of_another_volume_is_taken_from_the_uniform_law() -> None:
    problem = Problem(Torus((32,), (2.0,)), lambda x: np.cos(np.pi * x), lambda y: 0 * y)
    assert value(Entropy(), problem, problem.f + np.log(0.5)) == pytest.approx(0, abs=1e-15)  # ρ = ½
    run = evolve(MongeAmpere(problem, objective=Entropy()), [0.1])
    assert np.abs(run.potentials).max() < 1e-9  # e^{−g} is uniform already: at rest, without drift of the constant


@pytest.mark.parametrize(
    "objective", [CHI_SQUARED, JensenShannon(), Entropy(), AlphaDivergence(1.0, uniform=True)], ids=name
)
def test_jacobian_is_the_derivative(objective: Divergence) -> None:
    """h′(A)𝓛 against central differences of h(A), in two dimensions."""
    problem = Problem(Torus((16, 16)), lambda x, y: 0.4 * np.cos(TAU * x), lambda x, y: 0.3 * np.sin(TAU * (x + y)))
    system = Evolution(problem, Fourier().on(problem.domain), objective)
    x, y = problem.domain.points
    at, along = system.vector(0.004 * np.cos(TAU * (x - y))), system.vector(np.sin(TAU * x) + np.cos(TAU * (x + y)))
    found, ahead, behind = (np.empty_like(at) for _ in range(3))
    step = 1e-5
    assert system.derivative(at, found)
    system.linearise(at)
    system.jacobian_times(along, found)
    system.derivative(at + step * along, ahead)
    system.derivative(at - step * along, behind)
    assert np.abs((ahead - behind) / (2 * step) - found).max() < 1e-6 * np.abs(found).max()


@pytest.mark.parametrize("objective", [CHI_SQUARED, HELLINGER, REVERSE_KL, JensenShannon(), Entropy(), SINH], ids=name)
def test_the_value_falls_to_the_reference(objective: Divergence) -> None:
    run = evolve(
        MongeAmpere(t1(32), objective=objective, rtol=1e-8), [0.1, 0.5], initial=T1_START(t1(32).domain.points)
    )
    assert np.all(np.diff(run.records["value"]) < 1e-13)  # the tolerance, squared
    goal = 0.0 if objective.uniform else -t1(32).f
    assert np.abs(run.log_density(1) - goal).max() < 1e-6


def test_relaxation_is_another_clock() -> None:
    fast = evolve(MongeAmpere(t1(32), objective=Relaxed(2.0, CHI_SQUARED), rtol=1e-10), [0.02])
    slow = evolve(MongeAmpere(t1(32), objective=CHI_SQUARED, rtol=1e-10), [0.04])
    assert np.abs(fast.potentials[0] - slow.potentials[0]).max() < 1e-9


def test_the_constants_of_kl_are_those_of_the_equation() -> None:
    """AlphaDivergence(0) goes the general way, KL the short one."""
    runs = [evolve(MongeAmpere(t1(32), objective=o, rtol=1e-9), [0.02]) for o in (KL(), AlphaDivergence(0.0))]
    assert np.array_equal(runs[0].potentials, runs[1].potentials)
    assert runs[0].records["value"] == pytest.approx(runs[1].records["value"], rel=1e-9, abs=1e-14)
    assert runs[0].records["speed"] == pytest.approx(runs[1].records["speed"], rel=1e-12)


def test_where_h_does_not_increase_the_run_says_so() -> None:
    steep = Problem(Torus((64,)), lambda x: 2.5 * np.cos(TAU * x), lambda y: 0 * y)
    backwards = MongeAmpere(steep, objective=Objective(np.sin, np.cos))  # h′ < 0 beyond π/2
    run = evolve(backwards, [0.1], throw=False)
    assert run.outcome.name == "not parabolic"
    overflow = evolve(MongeAmpere(steep, objective=AlphaDivergence(500.0)), [0.1], throw=False)
    assert overflow.outcome.name == "not parabolic"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: AlphaDivergence(np.inf), "finite"),
        (lambda: AlphaDivergence("1"), "real number"),
        (lambda: Relaxed(0.0), "positive"),
        (lambda: Relaxed(1.0, "KL"), "KL()"),
        (lambda: Objective(np.exp, np.exp), "normalised"),
        (lambda: Objective(np.sinh, lambda s: 1 + s), "derivative of h"),
        (lambda: Objective(np.sinh, 1.0), "vectorised"),
        (lambda: MongeAmpere(t1(16), objective="chi2"), "AlphaDivergence"),
        (lambda: MongeAmpere(t1(16), objective=KL), "KL()"),
    ],
)
def test_refusals(make, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("(", r"\(").replace(")", r"\)")):
        make()


def test_a_file_knows_the_objective(tmp_path) -> None:
    run = evolve(MongeAmpere(t1(16), objective=Relaxed(0.5, AlphaDivergence(2.0))), [0.01])
    save(run, tmp_path / "run.npz")
    assert load(tmp_path / "run.npz").flow.objective == Relaxed(0.5, AlphaDivergence(2.0))
    with pytest.raises(ValueError, match="objective"):
        load(tmp_path / "run.npz", MongeAmpere(t1(16)))


def test_a_file_knows_another_function(tmp_path) -> None:
    one, other = (Objective(lambda s, c=c: s + c * s**3, lambda s, c=c: 1 + 3 * c * s**2) for c in (0.1, 0.2))
    path = save(evolve(MongeAmpere(t1(16), objective=one), [0.01]), tmp_path / "run.npz")
    assert load(path, MongeAmpere(t1(16), objective=one)).times.size == 1
    with pytest.raises(ValueError, match="objective"):
        load(path, MongeAmpere(t1(16), objective=other))
    with pytest.raises(ValueError, match="does not hold"):
        load(path)
    assert Objective(lambda s: s, lambda s: 1.0).dh(np.zeros(3)) == 1.0  # one number will do
