"""The self gauge: orders against PMA, closed forms between normals, the self-potential itself, maps out of sample, refusals."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from cases import T1_START, T2_START, t1, t2
from scipy.special import logsumexp

import pmasolve as pma
from pmasolve.gaussian import ClosedForm, Normal, Pair, Quadratic
from pmasolve.sinkhorn import self_potential as module

HALF = replace(pma.SELF, name="half", own_source=0.5, own_returned=-0.5)
FLIPPED = replace(pma.SELF, name="flipped", own_source=-1.0, own_returned=1.0)
ONE_SIDED = replace(pma.SELF, name="one-sided", own_returned=0.0)


@pytest.fixture
def rng():
    return np.random.default_rng(12)


def orders(errors) -> np.ndarray:
    return np.log2(np.array(errors[:-1]) / errors[1:])


FINEST = pytest.param(t2, T2_START, 80, 12, marks=pytest.mark.slow)  # finer: quadrature


@pytest.mark.parametrize(
    ("make", "start", "n", "last"),
    [(t1, T1_START, 96, 12), (t2, T2_START, 48, 11), FINEST],
    ids=["T1", "T2", "T2 fine"],
)
def test_order_two_in_even_powers_and_so_near_the_symmetric_gauge(make, start, n, last):
    problem, t = make(n), 1 / 32
    u0 = start(np.stack(problem.domain.points))
    sup, centred = problem.domain.sup, problem.domain.centred
    reference = pma.evolve(pma.MongeAmpere(problem, rtol=1e-13), [t], initial=u0).potentials[0]
    epsilons = [2.0**-j for j in range(8, last + 1)]
    runs, symmetric = (
        [
            pma.evolve(pma.Sinkhorn(problem, e, gauge=g, quadrature=1e-4), [t], initial=u0).potentials[0]
            for e in epsilons
        ]
        for g in (pma.SELF, pma.SYMMETRIC)
    )
    errors = [sup(centred(u - reference)) for u in runs]
    extrapolated = [sup(centred((4 * b - a) / 3 - reference)) for a, b in pairwise(runs)]
    apart = [sup(centred(a - b)) for a, b in zip(runs, symmetric, strict=True)]
    print(errors, orders(errors), extrapolated, orders(extrapolated), orders(apart))
    assert np.all(np.abs(orders(errors)[-2:] - 2) < 0.05)
    assert 3.7 < orders(extrapolated)[-1] < 4.1
    assert last < 12 or orders(extrapolated)[-1] >= 3.9
    assert np.all(np.abs(orders(apart)[-2:] - 2) < 0.05)
    assert apart[-1] > 0.01 * errors[-1]  # two gauges, not one computed twice


@pytest.mark.parametrize("gauge", [HALF, FLIPPED, ONE_SIDED], ids=lambda gauge: gauge.name)
def test_a_broken_gauge_has_order_one(gauge):
    problem, t = t1(96), 1 / 32
    reference = pma.evolve(pma.MongeAmpere(problem, rtol=1e-10), [t]).potentials[0]
    runs = [pma.evolve(pma.Sinkhorn(problem, e, gauge=gauge), [t]).potentials[0] for e in (1 / 512, 1 / 1024, 1 / 2048)]
    errors = [problem.domain.sup(problem.domain.centred(u - reference)) for u in runs]
    assert np.all(np.abs(orders(errors) - 1) < 0.1)


def own_hessian(source: Normal, eps: float) -> np.ndarray:
    """D²u_ff of a normal law."""
    return Pair(source, source).schroedinger(eps).hessian - np.eye(source.dim)


def chi(pair: Pair, start: Quadratic, t: float, k: int, factor: float = 1.0) -> np.ndarray:
    """D²χ_k in the self gauge, by closed forms."""
    own = factor * own_hessian(pair.source, t / k)
    begun = Quadratic(start.hessian + own, np.zeros(len(own)), 0.0, np.zeros(len(own)))
    return ClosedForm(pair, begun, t / k).hessian(t) - own


def test_between_normals_on_a_line_the_errors_are_those_of_the_recursion():
    """s = 1, θ = 2.5, t = ½; the recursion of one number: c = 1/(a + ε/s), a⁺ = 1/(c + ε/θ)."""
    pair, start = Pair(Normal([0.0], [[1.0]]), Normal([0.0], [[2.5]])), Quadratic([[1.0]], [0.0], 0.0, [0.0])
    exact, errors = ClosedForm(pair, start).hessian(0.5)[0, 0], []
    for k in (8, 16, 32, 64):
        eps = 0.5 / k
        own = np.sqrt(1 + eps**2 / 4) - eps / 2 - 1
        a = 1.0 + own
        for _ in range(k):
            a = 1 / (1 / (a + eps) + eps / 2.5)
        assert abs(chi(pair, start, 0.5, k)[0, 0] - (a - own)) < 1e-14
        errors.append(abs(a - own - exact))
    assert np.allclose(errors, [7.147e-5, 1.787e-5, 4.469e-6, 1.117e-6], rtol=5e-4)


def test_between_normals_in_space_the_orders_are_two_and_four():
    rng = np.random.default_rng(5)
    spread = [0.3 * (m @ m.T) + 0.6 * np.eye(3) for m in rng.standard_normal((3, 3, 3))]
    pair = Pair(Normal(np.zeros(3), spread[0]), Normal(np.ones(3), spread[1]))
    start = Quadratic(spread[2], np.zeros(3), 0.0, np.zeros(3))
    exact = ClosedForm(pair, start).hessian(0.5)
    runs = [chi(pair, start, 0.5, k) for k in (16, 32, 64, 128, 256)]
    errors = [np.abs(a - exact).max() for a in runs]
    fourth = [np.abs((4 * b - a) / 3 - exact).max() for a, b in pairwise(runs)]
    assert np.all(np.abs(orders(errors)[-2:] - 2) < 0.05)
    assert 3.9 < orders(fourth)[-1] < 4.1
    half = [np.abs(chi(pair, start, 0.5, k, 0.5) - exact).max() for k in (64, 128)]
    assert orders(half)[0] < 1.2


def brute(x, w, eps, steps=120):
    """u_ff by averaging with ½, the matrix written out."""
    cost = 0.5 * np.sum((x[:, None] - x[None]) ** 2, axis=-1)
    u = np.zeros(len(x))
    for _ in range(steps):
        u = 0.5 * (u + eps * logsumexp(-(cost + u) / eps, b=w, axis=1))
    return u


@pytest.mark.parametrize("eps", [10.0, 0.3, 1e-2, 1e-5])
@pytest.mark.parametrize("kind", ["normal", "one point", "equal points", "weights with zeros", "two units"])
def test_the_self_potential_is_that_of_the_matrix(rng, kind, eps):
    x = rng.standard_normal((30, 2))
    w = np.full(30, 1 / 30)
    match kind:
        case "one point":
            x, w = x[:1], np.ones(1)
        case "equal points":
            x = np.repeat(x[:15], 2, axis=0)
        case "weights with zeros":
            w = np.where(np.arange(30) % 3, rng.random(30), 0.0)
            w /= w.sum()
        case "two units":
            x = x * [1.0, 1e-3]
    found = pma.self_potential(pma.Problem.from_samples(x, x[:1], w).mu, eps)
    assert np.abs(found.u - brute(x, w, eps)).max() < 1e-11 * (eps + 1)
    assert found.outcome.ok
    assert found.half_steps <= 40
    assert found.accuracy <= 1e-12


def test_a_self_potential_that_was_not_found_ends_the_run_and_says_so(rng, monkeypatch):
    monkeypatch.setattr(module, "LIMIT", 4)
    problem = pma.Problem.from_samples(rng.standard_normal((20, 1)), rng.standard_normal((20, 1)))
    flow = pma.Sinkhorn(problem, 0.1, gauge=pma.SELF)
    run = pma.evolve(flow, [0.1], throw=False)
    assert run.outcome.name == "stalled"
    assert "4 half steps" in run.outcome.advice
    assert flow.report["self_half_steps"] == 4
    assert flow.report["self_accuracy"] > 1e-8
    assert pma.schroedinger(problem, 0.1, gauge=pma.SELF).outcome.name == "stalled"


def sampled(rng, gauge=pma.SELF):
    problem = pma.Problem.from_samples(
        rng.standard_normal((40, 2)), rng.standard_normal((30, 2)) * [2, 0.5], b=rng.random(30)
    )
    return problem, pma.evolve(pma.Sinkhorn(problem, 0.5, gauge=gauge), [0.5, 1.5])


def test_the_map_out_of_sample_is_the_difference_of_two_barycentres(rng):
    problem, run = sampled(rng)
    z, eps, v = rng.standard_normal((7, 2)), 0.5, run.fields["v"][1]

    def barycentre(points, weights, other):
        log = np.log(weights) - other / eps - np.sum((z[:, None] - points) ** 2, axis=-1) / (2 * eps)
        return np.exp(log - logsumexp(log, axis=1)[:, None]) @ points

    x, y = problem.domain, problem.codomain
    own = brute(x.points, x.weights, eps)
    expected = z + barycentre(y.points, y.weights, v) - barycentre(x.points, x.weights, own)
    function = pma.as_function(run)
    assert np.abs(function.map(z) - expected).max() < 1e-12
    assert np.abs(run.map(1) - function.map(x)).max() < 1e-13
    assert np.abs(run.potentials[1] - function(x)).max() < 1e-12


def test_derivatives_of_what_is_returned(rng):
    _, run = sampled(rng)
    function, z, h = pma.as_function(run), rng.standard_normal((5, 2)), 1e-5
    for axis in np.eye(2):
        slope = (function(z + h * axis) - function(z - h * axis)) / (2 * h)
        assert np.abs(slope - function.gradient(z) @ axis).max() < 1e-9
        bend = (function.map(z + h * axis) - function.map(z - h * axis)) / (2 * h)
        assert np.abs(bend - function.jacobian(z) @ axis).max() < 1e-8
    assert np.abs(function.jacobian(z) - function.hessian(z) - np.eye(2)).max() < 1e-15
    assert np.abs(function.map(z.T.reshape(2, 5, 1)).reshape(2, 5).T - function.map(z)).max() < 1e-15


def test_a_translation_is_exact_at_every_eps_and_so_is_its_inverse(rng):
    x, shift = rng.standard_normal((50, 3)), np.array([3.0, -1.0, 0.5])
    problem, z = pma.Problem.from_samples(x, rng.permutation(x) + shift), rng.standard_normal((6, 3))
    for eps in (4.0, 0.25):
        found = pma.schroedinger(problem, eps, marginal=1e-12, gauge=pma.SELF)
        assert np.abs(found.map - x - shift).max() < 1e-9
        assert np.abs(found.function.map(z) - z - shift).max() < 1e-9
        assert np.abs(found.inverse.map(z) - z + shift).max() < 1e-9
        assert problem.domain.sup(found.corrected - problem.domain.centred(x @ shift)) < 1e-8
        broken = replace(found.flow, gauge=HALF)
        assert np.abs(broken.function(found.v).map(z) - z - shift).max() > 0.01


def test_the_target_side_is_the_source_side_of_the_problem_swapped(rng):
    problem, _ = sampled(rng)
    z = rng.standard_normal((6, 2))
    one, other = (pma.schroedinger(p, 0.5, marginal=1e-12, gauge=pma.SELF) for p in (problem, problem.swapped()))
    assert np.abs(one.inverse.map(z) - other.function.map(z)).max() < 1e-8
    assert np.abs(one.inverse.map(z) - one.function.map(z)).max() > 0.1


def test_files_keep_the_gauge_and_runs_go_on(rng, tmp_path):
    _, run = sampled(rng)
    loaded = pma.load(pma.save(run, tmp_path / "run.npz"))
    assert loaded.flow.gauge == pma.SELF
    whole = pma.evolve(run.flow, [0.5, 1.5, 3.0])
    assert np.abs(pma.resume(loaded, [3.0]).potentials[-1] - whole.potentials[-1]).max() < 1e-12
    with pytest.raises(ValueError, match="gauge: the file has self, the flow half"):
        pma.load(tmp_path / "run.npz", replace(run.flow, gauge=HALF))


def test_extrapolation_and_brenier_take_the_self_gauge_on_grids():
    problem, t = t1(64), 1 / 32
    runs = [
        pma.evolve(pma.Richardson(problem, 1 / 256, gauge=g, levels=3), [t]).potentials[0]
        for g in (pma.SELF, pma.SYMMETRIC)
    ]
    assert problem.domain.sup(problem.domain.centred(runs[0] - runs[1])) < 1e-9
    found = [pma.brenier(problem, 8e-3, levels=4, gauge=g) for g in (pma.SELF, pma.SYMMETRIC)]
    assert all(b.outcome.ok for b in found)
    assert problem.domain.sup(found[0].potential - found[1].potential) < 3 * max(b.error_estimate for b in found) < 1e-6
    fixed = pma.schroedinger(problem, 2e-3, gauge=pma.SELF)
    assert problem.domain.sup(fixed.corrected - found[1].potential) < 1.1 * fixed.error_estimate() < 1e-4
    assert np.abs(fixed.function.map(problem.domain) - fixed.map).max() < 1e-9  # log-sums against Fourier


def test_what_makes_no_sense_is_refused_by_name(rng):
    problem, run = sampled(rng)
    for refuse in (
        lambda: pma.Richardson(problem, 0.1, gauge=pma.SELF),
        lambda: pma.brenier(problem, 0.1, gauge=pma.SELF),
    ):
        with pytest.raises(ValueError, match=r"gauge='self'.*amplifies their noise"):
            refuse()
    for refuse in (
        lambda: pma.Richardson(t1(), 0.01, gauge=pma.PLAIN),
        lambda: pma.brenier(t1(), 0.01, gauge=pma.PLAIN),
    ):
        with pytest.raises(ValueError, match=r"gauge='plain' has odd powers"):
            refuse()
    with pytest.raises(ValueError, match=r"gauge='plain' leaves the bias"):
        pma.corrected(problem, 0.1, gauge=pma.PLAIN)
    assert pma.corrected(problem, 0.1).gauge is pma.SELF
    assert pma.corrected(t1(), 0.1).gauge is pma.SYMMETRIC
    with pytest.raises(ValueError, match="MongeAmpere has no half steps"):
        pma.as_function(pma.evolve(pma.MongeAmpere(t1()), [0.01]))
    with pytest.raises(ValueError, match="before the start"):
        pma.as_function(pma.evolve(run.flow, [0.0, 0.5]), 0)
    with pytest.raises(ValueError, match=r"gauge='symmetric' returns a multiple of f"):
        pma.as_function(pma.evolve(pma.corrected(t1(), 0.01), [0.01]))
    with pytest.raises(ValueError, match="for samples the noise"):
        pma.schroedinger(problem, 0.5).error_estimate()


def normals(rng, d):
    """Two laws and the map at t = 1 from |x|²/2."""
    a, b = (0.6 * np.eye(d) + 0.5 / d * (m @ m.T) for m in rng.standard_normal((2, d, d)))
    pair = Pair(Normal(np.zeros(d), a), Normal(np.zeros(d), b))
    exact = ClosedForm(pair, Quadratic(np.eye(d), np.zeros(d), 0.0, np.zeros(d))).hessian(1.0)
    return a, b, exact


def map_errors(seed, d, n, gauge, epsilons):
    """Mean squared error of the map at t = 1 at fresh points, for each ε."""
    rng = np.random.default_rng([seed, d, n])
    a, b, exact = normals(rng, d)
    x, y, z = (rng.standard_normal((m, d)) @ np.linalg.cholesky(s).T for m, s in ((n, a), (n, b), (400, a)))
    problem = pma.Problem.from_samples(x, y)
    maps = [pma.as_function(pma.evolve(pma.Sinkhorn(problem, e, gauge=gauge), [1.0])).map(z) for e in epsilons]
    return np.array([np.mean(np.sum((m - z @ exact) ** 2, axis=1)) for m in maps])


def test_from_samples_the_self_gauge_beats_every_plain_map():
    """Best ε of each gauge for the average over six data sets; seeds 0 … 5, taken as they come."""
    epsilons = [1.0, 0.5, 0.25, 0.125]
    plain, own = (
        np.sqrt(np.mean([map_errors(seed, 3, 100, gauge, epsilons) for seed in range(6)], axis=0))
        for gauge in (pma.PLAIN, pma.SELF)
    )
    print(plain, own, own.min() / plain.min())
    assert own.min() <= 0.75 * plain.min()
