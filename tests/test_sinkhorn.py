"""Sinkhorn: exact iterates (against POT), exact identities, engines, gauges."""

from __future__ import annotations

import numpy as np
import ot
import pytest
from cases import T1_START, T2_START, TAU, t1, t2
from hypothesis import given, settings
from hypothesis import strategies as st

from pmasolve import FORWARD, PLAIN, SYMMETRIC, Box, MongeAmpere, Problem, Sinkhorn, Study, Torus, evolve, load, save
from pmasolve.sinkhorn.softmin.blockwise import Blockwise
from pmasolve.sinkhorn.softmin.dense import Dense
from pmasolve.sinkhorn.softmin.keops import KeOps, why_not
from pmasolve.sinkhorn.softmin.separable import AxisMethod, Separable
from pmasolve.studies.convergence import Band

ENGINES = [Separable()]  # each is compared with Dense(); add an engine here
LINE, PLANE = t1(48), t2(16)
STARTS = {LINE: T1_START, PLANE: T2_START}


def start_of(problem: Problem) -> np.ndarray:
    """The standard start of a standard problem."""
    return STARTS[problem](problem.domain.points)


def iterates(problem: Problem, eps: float, start: np.ndarray, count: int, softmin=None):
    """u_0 … u_count and v_1 … v_{count+1}: u[k] is φ_k, v[k] is ψ_{k+1}."""
    flow = Sinkhorn(problem, eps, softmin=softmin or Dense(), quadrature=1)
    u, v = [start], []
    for _ in range(count):
        v.append(flow.half_step(u[-1]))
        u.append(flow.half_step_back(v[-1]))
    return u, [*v, flow.half_step(u[-1])]


def plan(problem: Problem, eps: float, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """γ = exp((x·y − φ − ψ)/ε − f − g)·(cell)², a matrix of masses over all pairs of grid points."""
    grid = problem.domain
    kernel = Dense().bind(grid, grid, eps).log_kernel
    source, target = -u / eps - problem.f, -v / eps - problem.g
    return np.exp(kernel + source.reshape(-1, 1) + target.reshape(1, -1)) * grid.cell**2


def kl(p: np.ndarray, q: np.ndarray) -> float:
    """∑ p log(p/q) for masses."""
    return float(np.sum(p * np.log(p / q)))


def masses(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """e^{−f} and e^{−g} as masses of the grid points, flat."""
    return tuple((np.exp(-values) * problem.domain.cell).ravel() for values in (problem.f, problem.g))


# --- the iterates ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zero", [True, False], ids=["from zero", "from u0"])
@pytest.mark.parametrize("k", [1, 5, 20])
@pytest.mark.parametrize("problem", [LINE, PLANE], ids=["line", "plane"])
def test_iterates_are_those_of_pot(problem: Problem, k: int, zero: bool) -> None:
    """POT keeps log scalings log a − u/ε and log b − v/ε, and starts each iteration on the target's side."""
    grid, eps = problem.domain, 0.01
    start = np.zeros(grid.shape) if zero else start_of(problem)
    log_a, log_b = (np.log(m) for m in masses(problem))
    cost = -eps * Dense().bind(grid, grid, eps).log_kernel
    _, log = ot.sinkhorn(
        np.exp(log_a),
        np.exp(log_b),
        cost,
        eps,
        method="sinkhorn_log",
        stopThr=0,
        numItermax=k,
        warmstart=(log_a - start.ravel() / eps, log_b),
        log=True,
        warn=False,
    )
    theirs = eps * (log_a - log["log_u"]), eps * (log_b - log["log_v"])
    u, v = iterates(problem, eps, start, k)
    run = evolve(Sinkhorn(problem, eps), [k * eps], initial=start)
    for mine, other in ((u[k], theirs[0]), (v[k - 1], theirs[1]), (run.potentials[-1], theirs[0])):
        assert np.max(np.abs(mine.ravel() - other)) < 1e-12


@pytest.mark.parametrize("eps", [0.05, 0.2, 1.0])
def test_iterates_by_the_heat_semigroup(eps: float) -> None:
    """The periodised kernel is √(2πε) times the heat kernel at time ε/2: multiplier exp(−2π²εk²)."""
    problem = t1(64)
    k = np.fft.rfftfreq(64, 1 / 64)

    def half(h: np.ndarray) -> np.ndarray:
        return eps * np.log(
            np.sqrt(TAU * eps) * np.fft.irfft(np.exp(-2 * (np.pi * k) ** 2 * eps) * np.fft.rfft(np.exp(h)), 64)
        )

    u = T1_START(problem.domain.points)
    v = half(-u / eps - problem.f)
    expected = half(-v / eps - problem.g)
    for softmin in (Dense(), *ENGINES):
        got = evolve(Sinkhorn(problem, eps, softmin=softmin), [eps], initial=u).potentials[0]
        assert np.max(np.abs(got - expected)) < 1e-13 * max(1, eps)


@pytest.mark.parametrize("engine", ENGINES, ids=str)
@pytest.mark.parametrize("eps", [3e-4, 1e-2, 0.3])
@pytest.mark.parametrize("name", ["line", "plane", "long torus", "box"])
def test_engines_agree(engine, eps: float, name: str) -> None:
    """To 1e-12 of the potential's scale after five iterations."""
    problems = {
        "line": LINE,
        "plane": PLANE,
        "long torus": Problem(
            Torus((24, 16), (1.0, 0.6)), lambda x, y: np.cos(TAU * x), lambda x, y: np.sin(TAU * y / 0.6)
        ),
        "box": Problem(Box((18, 14)), lambda x, y: np.cos(np.pi * x), lambda x, y: np.sin(3 * y) + x),
    }
    problem = problems[name]
    start = 0.003 * np.cos(TAU * problem.domain.points[0])
    (u, v), (a, b) = iterates(problem, eps, start, 5, engine), iterates(problem, eps, start, 5)
    scale = 1 + max(np.max(np.abs(w)) for w in (*a, *b))
    for mine, reference in zip((*u, *v), (*a, *b), strict=True):
        assert np.max(np.abs(mine - reference)) < 1e-12 * scale


# --- exact identities (any ε, any grid) ------------------------------------------------------------------------------


@pytest.mark.parametrize("eps", [1e-3, 0.03, 0.5])
@pytest.mark.parametrize("problem", [LINE, PLANE], ids=["line", "plane"])
def test_marginals_and_mirror_identity(problem: Problem, eps: float) -> None:
    """p_X γ_k = e^{−f} exp((φ_k − φ_{k−1})/ε) and p_Y γ_k = e^{−g}; hence (φ_k − φ_{k−1})/ε = log dp_X γ_k/de^{−f}."""
    a, b = masses(problem)
    u, v = iterates(problem, eps, start_of(problem), 4)
    for k in range(1, 5):
        gamma = plan(problem, eps, u[k - 1], v[k - 1])
        p_x = gamma.sum(axis=1)
        speed = ((u[k] - u[k - 1]) / eps).ravel()
        assert np.max(np.abs(p_x / (a * np.exp(speed)) - 1)) < 1e-12
        assert np.max(np.abs(np.log(p_x / a) - speed)) < 1e-12
        assert np.max(np.abs(gamma.sum(axis=0) / b - 1)) < 1e-12
        assert gamma.sum() == pytest.approx(1.0, abs=1e-12)
        half = plan(problem, eps, u[k], v[k - 1])
        assert np.max(np.abs(half.sum(axis=1) / a - 1)) < 1e-12


def test_log_marginals_of_the_flow(line: Problem) -> None:
    eps, grid = 2e-3, line.domain
    u, v = iterates(line, eps, T1_START(grid.points), 2)
    for gauge in (PLAIN, SYMMETRIC):
        flow = Sinkhorn(line, eps, gauge=gauge)
        potential = u[0] + eps * gauge.returned * line.f
        expected = plan(line, eps, u[0], v[0]).sum(axis=1) / grid.cell
        assert np.max(np.abs(flow.log_source_marginal(potential) - np.log(expected))) < 1e-11
        expected = plan(line, eps, u[1], v[0]).sum(axis=0) / grid.cell
        assert np.max(np.abs(flow.log_target_marginal(potential) - np.log(expected))) < 1e-11


@pytest.mark.parametrize("problem", [LINE, PLANE], ids=["line", "plane"])
def test_pythagoras(problem: Problem) -> None:
    """KL(γ*|γ_k) − KL(γ*|γ_{k+1}) = KL(e^{−f}|p_X γ_k) + KL(e^{−g}|p_Y γ_{k+½})."""
    eps = 0.05
    a, b = masses(problem)
    u, v = iterates(problem, eps, start_of(problem), 80)
    optimal = plan(problem, eps, u[80], v[80])
    assert np.max(np.abs(optimal.sum(axis=1) / a - 1)) < 1e-13, "not converged"
    for k in range(1, 5):
        now, between, after = (plan(problem, eps, u[i], v[j]) for i, j in ((k - 1, k - 1), (k, k - 1), (k, k)))
        left = kl(optimal, now) - kl(optimal, after)
        right = kl(a, now.sum(axis=1)) + kl(b, between.sum(axis=0))
        assert abs(left - right) < 1e-12
        assert left > 1e-12 or k > 2


@pytest.mark.parametrize("eps", [2e-3, 0.05])
@pytest.mark.parametrize("problem", [LINE, PLANE], ids=["line", "plane"])
def test_extremes_of_the_speed_are_monotone(problem: Problem, eps: float) -> None:
    run = evolve(Sinkhorn(problem, eps, quadrature=1), [20 * eps], initial=start_of(problem))
    assert np.all(np.diff(run.records["fastest"]) < 1e-12)
    assert np.all(np.diff(run.records["slowest"]) > -1e-12)
    assert np.max(np.abs(run.records["mass"] - 1)) < 1e-12


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.floats(1e-6, 10), eps=st.floats(1e-3, 1))
def test_nonexpansive(seed: int, size: float, eps: float) -> None:
    """sup |S(φ) − S(φ̃)| ≤ sup |φ − φ̃| for any two starts, convex or not."""
    a, b = size * np.random.default_rng(seed).standard_normal((2, 48))
    after = [iterates(LINE, eps, start, 1)[0][1] for start in (a, b)]
    assert np.max(np.abs(after[0] - after[1])) <= np.max(np.abs(a - b)) * (1 + 1e-12) + 1e-13


@pytest.mark.parametrize("softmin", [Blockwise(), KeOps(device="cpu")], ids=str)
@pytest.mark.parametrize("problem", [LINE, PLANE], ids=["line", "plane"])
def test_engines_for_nodes_give_the_grids_iterates(softmin, problem: Problem) -> None:
    """KeOps and the fused loops on the same nodes, to 1e-12 of the potential's scale after five iterations."""
    if isinstance(softmin, KeOps) and (reason := why_not()):
        pytest.skip(reason)
    u, _ = iterates(problem, 0.01, start_of(problem), 5, softmin)
    w, _ = iterates(problem, 0.01, start_of(problem), 5, Dense())
    assert np.max(np.abs(u[5] - w[5])) < 1e-12 * (1 + np.max(np.abs(w[5])))


@pytest.mark.parametrize("softmin", [Dense(), *ENGINES], ids=str)
@pytest.mark.parametrize("constant", [1.0, -30.0])
def test_constants_commute(softmin, constant: float) -> None:
    u, _ = iterates(LINE, 0.01, start_of(LINE), 3, softmin)
    w, _ = iterates(LINE, 0.01, start_of(LINE) + constant, 3, softmin)
    assert np.max(np.abs(w[3] - u[3] - constant)) < 1e-12


# --- the flow --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("eps", [1e-3, 1 / 700, 0.1, 1 / 3])
def test_multiples_of_eps_are_visited_exactly(eps: float, line: Problem) -> None:
    for k in (1, 3, 30):
        run = evolve(Sinkhorn(line, eps), [k * eps])
        assert run.records["t"].size == k
        assert run.times[0] == k * eps
    run = evolve(Sinkhorn(line, 1e-3), [0.01, 0.03])
    assert np.array_equal(run.times, [0.01, 0.03])
    assert run.records["t"].size == 30


def test_gauges_start_and_return_as_declared(line: Problem) -> None:
    eps, u0 = 1e-3, T1_START(line.domain.points)
    rho = Sinkhorn(line, eps).reading.log_density(u0)
    for gauge, start, returned in (
        (PLAIN, u0, 0.0),
        (SYMMETRIC, u0 - 0.5 * eps * line.f, 0.5 * eps * line.f),
        (FORWARD, u0 + eps * (0.5 * line.f + rho), 0.0),
    ):
        run = evolve(Sinkhorn(line, eps, gauge=gauge), [3 * eps], initial=u0)
        expected = iterates(line, eps, start, 3)[0][3] + returned
        assert np.max(np.abs(run.potentials[0] - expected)) < 1e-13


def test_unresolved_eps_is_a_named_outcome(line: Problem) -> None:
    run = evolve(Sinkhorn(line, 1e-6), [1e-6], throw=False)
    assert run.outcome.name == "eps unresolved"
    assert "larger ε" in run.outcome.advice
    assert run.times.size == 0
    assert evolve(Sinkhorn(line, 1e-6, quadrature=1), [1e-6]).outcome.ok


@pytest.mark.parametrize(("gauge", "order"), [(PLAIN, 1), (SYMMETRIC, 2)], ids=["plain", "symmetric"])
@pytest.mark.parametrize("make", [lambda: t1(128), lambda: t2(96)], ids=["line", "plane"])
def test_order_in_eps(make, gauge, order: int) -> None:
    """The scaling limit, in sup norm and without removing constants: no additive constant is lost."""
    problem, t = make(), 1 / 32
    start = (T1_START if problem.domain.dim == 1 else T2_START)(problem.domain.points)
    limit = evolve(MongeAmpere(problem, rtol=1e-11), [t], initial=start).potentials[0]

    def errors(eps: float) -> dict[str, float]:
        run = evolve(Sinkhorn(problem, eps, gauge=gauge), [t], initial=start)
        return {"sup": float(np.max(np.abs(run.potentials[0] - limit)))}

    study = Study.over("eps", [2.0**-j for j in (9, 10, 11)], errors)
    print("\n" + study.table())
    assert study.verdict("sup", Band(order - 0.05, order + 0.05))


def test_gradient_limit_holds_forward_and_only_there() -> None:
    """(∇φ_k − ∇φ̃_t)/ε → ½∇f + ∇log ρ_t for the start φ̃₀ + ε(½f + log ρ₀), not for φ̃₀."""
    problem, t = t1(128), 1 / 32
    start = T1_START(problem.domain.points)
    pma = evolve(MongeAmpere(problem, rtol=1e-12), [t], initial=start)
    gradient = pma.flow.operators.gradient
    expected = gradient(0.5 * problem.f + pma.log_density(0))

    def residual(eps: float, gauge) -> float:
        run = evolve(Sinkhorn(problem, eps, gauge=gauge), [t], initial=start)
        return float(np.max(np.abs((run.map(0) - pma.map(0)) / eps - expected)))

    study = Study.over("eps", [2.0**-j for j in (9, 10, 11)], lambda eps: {"sup": residual(eps, FORWARD)})
    print("\n" + study.table())
    assert study.verdict("sup", Band(0.85, 1.1))
    assert residual(2.0**-11, PLAIN) > 0.1


@pytest.mark.parametrize(("method", "passes"), [(None, "matrix_passes"), (AxisMethod.TILES, "tile_passes")])
def test_a_run_says_what_ran(method: AxisMethod | None, passes: str, tmp_path) -> None:
    """Engine, passes, splits and certificate, also from a file."""
    run = evolve(Sinkhorn(t2(64), 2e-3, softmin=Separable(method)), [4e-3])
    path = tmp_path / "run.npz"
    save(run, path)
    told = load(path, run.flow).provenance
    assert told["engine"] == "separable"
    assert told[passes] == 8  # two iterations, two half-steps, two axes
    assert told["splits"] >= 0
    assert -929 < told["least_bits"] <= 0
