"""Sinkhorn on clouds: the iterates of POT and of extended precision, by every engine, and what bad input meets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from math import log, pi, sqrt

import numpy as np
import ot
import pytest

from pmasolve import (
    FORWARD,
    SYMMETRIC,
    Blockwise,
    Cloud,
    Dense,
    KeOps,
    MongeAmpere,
    Outcome,
    Problem,
    Richardson,
    Separable,
    Sinkhorn,
    Stopped,
    Torus,
    compare,
    evolve,
    load,
    resume,
    save,
)
from pmasolve.sinkhorn.softmin import default_engine
from pmasolve.sinkhorn.softmin.keops import why_not
from pmasolve.sinkhorn.softmin.nodes import log_kernel

ENGINES = [Dense(), Blockwise()] + ([] if why_not() else [KeOps(device="cpu")])  # in ℝ²: one formula to compile
PERIODIC = ENGINES[:2] + [pytest.param(engine, marks=pytest.mark.slow) for engine in ENGINES[2:]]
NAMES = ["Dense", "Blockwise", "KeOps"][: len(ENGINES)]


@pytest.fixture
def rng():
    return np.random.default_rng(730114)


def samples(rng, n=60, m=45, dim=2, period=None):
    """Two clouds of different size with weights."""
    x, y = rng.random((n, dim)), rng.random((m, dim)) ** 1.5
    return Problem.from_samples(x, y, 0.1 + rng.random(n), 0.1 + rng.random(m), period)


def exponent(problem, eps):
    """log K_ε in extended precision: images summed by the definition."""
    x, y = problem.domain.points.astype(np.longdouble), problem.codomain.points.astype(np.longdouble)
    d = x[:, None] - y[None]
    if problem.domain.period is None:
        return -np.sum(d**2, axis=-1) / (2 * np.longdouble(eps))
    wraps = range(-int(3 + 10 * sqrt(eps)), int(4 + 10 * sqrt(eps)))
    images = [-((d + m * np.array(problem.domain.period)) ** 2) / (2 * np.longdouble(eps)) for m in wraps]
    return np.logaddexp.reduce(images, axis=0).sum(axis=-1)


def oracle(problem, eps, k, u=None):
    """k iterations in extended precision: u and v."""
    table, eps = exponent(problem, eps), np.longdouble(eps)
    with np.errstate(divide="ignore"):
        a, b = (np.log(c.weights.astype(np.longdouble)) for c in (problem.domain, problem.codomain))
    u = np.zeros(len(a), np.longdouble) if u is None else u
    for _ in range(k):
        v = eps * np.logaddexp.reduce(table + (a - u / eps)[:, None], axis=0)
        u = eps * np.logaddexp.reduce(table + (b - v / eps), axis=1)
    return u, v


@pytest.mark.parametrize("period", [None, (1.0, 1.5)], ids=["plane", "torus"])
def test_iterates_of_pot(period, rng):
    """POT's log-scalings are log a − u/ε and log b − v/ε; its start is warm because ours is u = 0, not log a = 0."""
    problem, eps = samples(rng, period=period), 0.01
    a, b = problem.domain.weights, problem.codomain.weights
    cost = -eps * log_kernel(problem.domain.points, problem.codomain, eps)
    counts = [1, 5, 20, 50]
    flow = evolve(Sinkhorn(problem, eps), np.array(counts) * eps)
    for i, k in enumerate(counts):
        options = {"method": "sinkhorn_log", "stopThr": 0, "numItermax": k, "log": True, "warn": False}
        _, peer = ot.sinkhorn(a, b, cost, eps, warmstart=(np.log(a), np.log(b)), **options)
        assert np.abs(flow.potentials[i] - eps * (np.log(a) - peer["log_u"])).max() < 1e-12
        assert np.abs(flow.fields["v"][i] - eps * (np.log(b) - peer["log_v"])).max() < 1e-12


@pytest.mark.parametrize("eps", [1e-3, 0.1])
@pytest.mark.parametrize("engine", ENGINES, ids=NAMES)
def test_engines_agree_with_extended_precision(engine, eps, rng):
    problem = samples(rng, 300, 170)
    start = 0.05 * np.cos(5 * problem.domain.points).sum(axis=1)
    flow = evolve(Sinkhorn(problem, eps, softmin=engine), [10 * eps], initial=start)
    u, v = oracle(problem, eps, 10, start.astype(np.longdouble))
    assert np.abs(flow.potentials[0] - u).max() < 2e-14
    assert np.abs(flow.fields["v"][0] - v).max() < 2e-14


@pytest.mark.parametrize("eps", [1e-3, 0.05, 0.5])
@pytest.mark.parametrize("engine", PERIODIC, ids=NAMES)
def test_engines_on_the_torus(engine, eps, rng):
    problem = samples(rng, 120, 90, period=(1.0, 1.25))
    flow = evolve(Sinkhorn(problem, eps, softmin=engine), [10 * eps])
    assert np.abs(flow.potentials[0] - oracle(problem, eps, 10)[0]).max() < 2e-14 * max(1, 10 * eps)


@pytest.mark.parametrize("engine", ENGINES, ids=NAMES)
def test_tiny_and_no_weights(engine, rng):
    """Weights from 1e-300 to 1 and a fifth of them 0: finite potentials, mass 1, the same iterates."""
    x, y = rng.random((80, 2)), rng.random((50, 2))
    a, b = 10.0 ** rng.uniform(-300, 0, 80), 10.0 ** rng.uniform(-300, 0, 50)
    a[::5] = b[::5] = 0.0
    problem, eps = Problem.from_samples(x, y, a, b), 1e-3
    flow = evolve(Sinkhorn(problem, eps, softmin=engine), [10 * eps])
    assert np.abs(flow.potentials[0] - oracle(problem, eps, 10)[0]).max() < 1e-13
    assert np.abs(flow.records["mass"] - 1).max() < 1e-12
    assert np.isfinite(flow.map(0)).all()


@pytest.mark.parametrize("engine", ENGINES, ids=NAMES)
def test_duplicates_and_single_points(engine, rng):
    """A point given twice is a point of twice the weight; one point sends all it has."""
    x, y = rng.random((5, 2)), rng.random((4, 2))
    once = Problem.from_samples(x, y, [1, 2, 3, 4, 5])
    twice = Problem.from_samples(np.repeat(x, 2, axis=0), y, np.repeat([0.5, 1, 1.5, 2, 2.5], 2))
    a, b = (evolve(Sinkhorn(p, 0.01, softmin=engine), [0.05]).potentials[0] for p in (once, twice))
    assert np.abs(np.repeat(a, 2) - b).max() < 1e-15
    for p in (Problem.from_samples(x[:1], y[:1]), Problem.from_samples(x[:1], y), Problem.from_samples(x, y[:1])):
        flow = evolve(Sinkhorn(p, 0.01, softmin=engine), [0.01, 0.02])
        assert np.abs(np.diff(flow.potentials, axis=0)).max() < 1e-14  # one iteration solves it
        assert np.abs(p.domain.weights @ flow.map(-1) - p.codomain.weights @ p.codomain.points).max() < 1e-14


@pytest.mark.parametrize("engine", ENGINES, ids=NAMES)
def test_other_memory_layouts(engine, rng):
    """float32, strided and Fortran-ordered input is read as float64 and left as it was."""
    x, y = rng.random((80, 2)).astype(np.float32)[::2], np.asfortranarray(rng.random((30, 2)))
    before = x.copy()
    problem = Problem.from_samples(x, y, rng.random(80).astype(np.float32)[::2])
    start = rng.random(80).astype(np.float32)[::2] / 100
    flow = evolve(Sinkhorn(problem, 0.01, softmin=engine), [0.05], initial=start)
    assert flow.potentials.dtype == np.float64
    assert np.abs(flow.potentials[0] - oracle(problem, 0.01, 5, start.astype(np.longdouble))[0]).max() < 2e-14
    assert (x == before).all()


def test_a_grid_is_a_cloud():
    """The same numbers from Problem(torus, …) and from its points with the weights e^{−f} h^d."""
    torus = Torus((24, 20))
    grid = Problem(torus, lambda x, y: 0.3 * np.cos(2 * pi * x), lambda x, y: 0.2 * np.sin(2 * pi * (x + y)))
    a, b = (np.exp(-f).ravel() * torus.cell for f in (grid.f, grid.g))
    points = torus.points.reshape(2, -1).T
    cloud = Problem.from_samples(points, points, a, b, period=1.0)
    one, other = (evolve(Sinkhorn(p, 0.02, quadrature=1), [0.1, 0.2]) for p in (grid, cloud))
    assert np.abs(one.potentials.reshape(2, -1) - other.potentials).max() < 1e-14
    for name in ("marginal_error", "mass", "fastest", "slowest"):
        assert np.abs(one.records[name] - other.records[name]).max() < 1e-11
    assert np.abs(one.map(1).reshape(2, -1).T - other.map(1)).max() < 1e-11


def gaussian_step(A, q, c, a, b, s, theta, eps):
    """One iteration φ = ½A(x−a)² + q(x−a) + c of one-dimensional Gaussians N(a, s), N(b, θ): closed form."""
    C = 1 / (A + eps / s)
    A1 = 1 / (C + eps / theta)
    mean = 0.5 * (b - q) ** 2 / (A + eps / s + theta / eps)
    c1 = c + 0.5 * eps * (log(1 + A * s / eps) - log(1 + C * theta / eps)) - mean
    return A1, b + A1 * C * (q - b), c1


def test_gaussians():
    """A fine cloud with Gaussian weights follows the closed form in value, map and second derivative."""
    a, b, s, theta, eps = 0.3, -0.5, 1.0, 0.49, 0.2
    nodes = np.linspace(-13, 13, 1601)
    x, y = a + sqrt(s) * nodes, b + sqrt(theta) * nodes
    problem = Problem.from_samples(x[:, None], y[:, None], np.exp(-(nodes**2) / 2), np.exp(-(nodes**2) / 2))
    counts = [1, 4, 12]
    flow = evolve(Sinkhorn(problem, eps), np.array(counts) * eps)
    A, q, c, k = 1.0, a, a**2 / 2, 0
    inner = np.abs(nodes) < 4  # further out the ends of the other cloud show
    for i, count in enumerate(counts):
        for _ in range(count - k):
            A, q, c = gaussian_step(A, q, c, a, b, s, theta, eps)
        k = count
        phi = 0.5 * A * (x - a) ** 2 + q * (x - a) + c
        assert np.abs(flow.potentials[i] + x**2 / 2 - phi)[inner].max() < 1e-12
        assert np.abs(flow.map(i)[:, 0] - A * (x - a) - q)[inner].max() < 1e-12


def test_stop_and_resume(rng):
    """Interrupted in the middle and resumed: the same bits as in one go, half steps included."""
    problem, eps = samples(rng, 200, 150), 0.01
    times = np.array([5, 10, 15]) * eps
    whole = evolve(Sinkhorn(problem, eps), times)
    with pytest.raises(Stopped) as stopped:
        evolve(Sinkhorn(problem, eps, softmin=Interrupted(15)), times)
    part = stopped.value.trajectory
    assert part.outcome.name == "interrupted"
    assert part.times.size == 1
    assert part.latest[0] == pytest.approx(7 * eps)
    rest = resume(replace(part, flow=whole.flow), times[1:])
    assert (rest.potentials == whole.potentials).all()
    assert (rest.fields["v"] == whole.fields["v"]).all()
    assert (rest.records["mass"] == whole.records["mass"]).all()


def test_save_and_load(rng, tmp_path):
    """A file holds all that a resumed run and its maps need, and belongs to its points and weights."""
    x, y, a = rng.random((20, 2)), rng.random((15, 2)), rng.random(20)
    a[3] = 0.0
    flow = Sinkhorn(Problem.from_samples(x, y, a, period=1.0), 0.01)
    whole = evolve(flow, [0.02, 0.05])
    again = load(
        save(evolve(flow, [0.02]), tmp_path / "run"), Sinkhorn(Problem.from_samples(x, y, a, period=1.0), 0.01)
    )
    rest = resume(again, [0.05])
    assert (rest.potentials == whole.potentials).all()
    assert (rest.map(0) == whole.map(0)).all()
    for other in (
        Problem.from_samples(x + 0.01, y, a, period=1.0),
        Problem.from_samples(x, y + 0.01, a, period=1.0),
        Problem.from_samples(x, y, period=1.0),
        Problem.from_samples(x, y, a),
    ):
        with pytest.raises(ValueError, match="belongs to another problem or flow"):
            load(tmp_path / "run.npz", Sinkhorn(other, 0.01))


@dataclass(frozen=True)
class Counted:
    """A kernel from two functions and a report."""

    forward: Callable
    backward: Callable
    report: Mapping


@dataclass(frozen=True)
class Interrupted:
    """An engine during whose n-th pass somebody presses Ctrl-C."""

    passes: int
    left: list = field(default_factory=list)

    def bind(self, source, target, eps):
        kernel = Blockwise().bind(source, target, eps)

        forward, backward = (lambda h: self.count(kernel.forward(h))), (lambda h: self.count(kernel.backward(h)))
        return Counted(forward, backward, kernel.report)

    def count(self, values):
        self.left.append(1)
        if len(self.left) == self.passes:
            raise KeyboardInterrupt
        return values


def test_compare(rng):
    """Errors of two runs on clouds: potentials and maps, and no densities."""
    problem = samples(rng)
    fine, coarse = (evolve(Sinkhorn(problem, eps), [0.04]) for eps in (0.01, 0.02))
    errors = compare(fine, coarse).last()
    assert 0 < errors["l2"] <= errors["sup"] < 0.1
    assert 0 < errors["gradient"] < 1
    assert np.isnan(errors["density"])
    assert np.isnan(errors["kl"])
    assert compare(fine, fine).sup[0] == 0
    assert fine.centred.shape == (1, 60)
    assert abs(problem.domain.integral(fine.centred[0])) < 1e-15


def test_equal_clouds_and_norms(rng):
    points, weights = rng.random((7, 3)), rng.random(7)
    cloud, same = Cloud(points, weights), Cloud(points.tolist(), 4 * weights)
    assert cloud == same
    assert hash(cloud) == hash(same)
    assert cloud != Cloud(points)
    assert cloud != Cloud(points, weights, period=1.0)
    assert cloud != Torus((7,))
    vectors = rng.standard_normal((7, 3))
    assert cloud.sup(vectors) == np.sqrt((vectors**2).sum(1)).max()
    assert cloud.l2(vectors) == pytest.approx(np.sqrt((vectors**2).sum(1) @ cloud.weights))
    assert cloud.mean(np.ones(7)) == pytest.approx(1)


def test_points_are_wrapped(rng):
    x, y = rng.random((9, 2)), rng.random((8, 2))
    inside = Problem.from_samples(x, y, period=1.0)
    outside = Problem.from_samples(x + np.array([3, -2]), y - np.array([0, 5]), period=(1.0, 1.0))
    a, b = (evolve(Sinkhorn(p, 0.01), [0.05]).potentials for p in (inside, outside))
    assert np.abs(a - b).max() < 1e-14


def test_swapped(rng):
    problem = samples(rng)
    back = problem.swapped()
    assert back.domain is problem.codomain
    assert back.mu.nodes is problem.codomain
    assert back.swapped().domain is problem.domain


def test_default_engines():
    torus, cloud = Torus((8,)), Cloud([[0.0]])
    assert default_engine(torus, torus) == Separable()
    assert default_engine(cloud, cloud) == Blockwise()
    assert default_engine(torus, Cloud([[0.0]], period=1.0)) == Blockwise()
    assert "engine" in Sinkhorn(Problem.from_samples([[0.0]], [[1.0]]), 1.0).kernel.report


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[0.0]], [[1.0]], [-1.0]), r"x, a: weights has 1 negative"),
        (([[0.0]], [[1.0]], [0.0]), r"x, a: weights are all zero"),
        (([[0.0]], [[1.0]], None, [np.nan]), r"y, b: weights"),
        (([[0.0]], [[1.0]], None, [np.inf]), r"y, b: weights"),
        (([[0.0]], [[1.0]], [1.0, 2.0]), r"x, a: weights has shape \(2,\)"),
        (([[0.0]], [[1.0, 2.0]]), r"x has dimension 1, y has 2"),
        (([[np.nan]], [[1.0]]), r"x, a: points.*finite"),
        (([0.0, 1.0], [[1.0]]), r"x, a: points of shape \(2,\)"),
        ((np.empty((0, 2)), [[1.0, 2.0]]), r"n ≥ 1"),
        (([[0.0]], [[1.0]], None, None, 0.0), r"period=0.0"),
        (([[0.0]], [[1.0]], None, None, (1.0, 2.0)), r"period=\(1.0, 2.0\).*each of 1"),
    ],
)
def test_refuses_samples(arguments, message):
    with pytest.raises(ValueError, match=message):
        Problem.from_samples(*arguments)


def test_refuses_what_needs_a_density(rng):
    problem = samples(rng)
    for gauge in (SYMMETRIC, FORWARD):
        with pytest.raises(ValueError, match=rf"gauge='{gauge.name}'.*gauge=PLAIN"):
            Sinkhorn(problem, 0.01, gauge=gauge)
    with pytest.raises(ValueError, match="gauge='symmetric'"):
        Richardson(problem, 0.01)
    with pytest.raises(ValueError, match="density of the source is not known"):
        _ = problem.f
    with pytest.raises(ValueError, match="Torus or a Box"):
        evolve(MongeAmpere(problem), [0.1])
    flow = evolve(Sinkhorn(problem, 0.01), [0.0, 0.01])
    with pytest.raises(ValueError, match="weights only"):
        flow.log_density(1)
    with pytest.raises(ValueError, match="there is none"):
        flow.map(0)
    with pytest.raises(ValueError, match="errors against PMA need densities"):
        flow.error_estimate()
    with pytest.raises(ValueError, match="have no derivatives"):
        _ = flow.flow.operators
    assert flow.outcome == Outcome("reached", True)


def test_refuses_starts_and_grids(rng):
    problem = samples(rng)
    with pytest.raises(ValueError, match=r"initial has shape \(3,\), the cloud has \(60,\)"):
        evolve(Sinkhorn(problem, 0.01), [0.01], initial=np.zeros(3))
    with pytest.raises(ValueError, match="1 NaN"):
        evolve(Sinkhorn(problem, 0.01), [0.01], initial=np.r_[np.nan, np.zeros(59)])
    with pytest.raises(ValueError, match="Separable needs the same grid"):
        evolve(Sinkhorn(problem, 0.01, softmin=Separable()), [0.01])


def test_maximum_principle(rng):
    """sup (φ_{k+1} − φ_k)/ε never grows, inf never falls, marginal error falls."""
    flow = evolve(Sinkhorn(samples(rng), 0.05), [2.0])
    assert (np.diff(flow.records["fastest"]) <= 1e-14).all()
    assert (np.diff(flow.records["slowest"]) >= -1e-14).all()
    assert flow.records["marginal_error"][-1] < 1e-6 * flow.records["marginal_error"][0]


def test_weights_of_any_size_are_normalised() -> None:
    for least in (8e307, 1.0, 1e-320):
        cloud = Cloud(np.zeros((4, 1)), [least, least, 2 * least, 0.0])
        assert np.allclose(cloud.weights, [0.25, 0.25, 0.5, 0.0], rtol=1e-3)
