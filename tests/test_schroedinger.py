"""Schrödinger potentials: fixed points, marginals, the contraction factor, closed forms, extrapolation, honest outcomes."""

import re
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pytest

from pmasolve import Blockwise, Box, Dense, Event, MongeAmpere, Problem, Sinkhorn, Torus, evolve
from pmasolve.sinkhorn.brenier import brenier
from pmasolve.sinkhorn.fixed_points import Search, SinkhornNewton
from pmasolve.sinkhorn.markov import Markov
from pmasolve.sinkhorn.schroedinger import schroedinger
from pmasolve.sinkhorn.softmin import default_engine

TAU = 2 * np.pi


def line(n=128, domain=Torus):
    """Two mild densities on an interval of length 1."""
    return Problem(
        domain((n,)), lambda x: -np.log(1 + 0.3 * np.cos(TAU * x)), lambda y: -np.log(1 + 0.2 * np.cos(2 * TAU * y))
    )


def plane(n=48):
    """A smooth pair on the torus."""
    return Problem(
        Torus((n, n)),
        lambda x, y: 0.5 * np.cos(TAU * x) + 0.3 * np.sin(TAU * (x + y)),
        lambda x, y: 0.4 * np.sin(TAU * y) * np.cos(TAU * x),
    )


def cloud(n=150, m=110, period=None):
    """Two clouds with weights."""
    rng = np.random.default_rng(40961)
    return Problem.from_samples(
        rng.random((n, 2)), rng.random((m, 2)) ** 1.5, 0.1 + rng.random(n), 0.1 + rng.random(m), period
    )


def manufactured(n=64, a=0.004):
    """A problem on the torus with the Brenier potential u = a cos 2πx + (a/2) sin 2π(x+y)."""

    def g(x, y):
        return 0.4 * np.sin(TAU * y) * np.cos(TAU * x)

    def f(x, y):
        both = a / 2 * TAU * np.cos(TAU * (x + y))
        mixed = -a / 2 * TAU**2 * np.sin(TAU * (x + y))
        xx = mixed - a * TAU**2 * np.cos(TAU * x)
        return g(x - a * TAU * np.sin(TAU * x) + both, y + both) - np.log((1 + xx) * (1 + mixed) - mixed**2)

    torus = Torus((n, n))
    x, y = torus.points
    return Problem(torus, f, g), torus.centred(a * np.cos(TAU * x) + a / 2 * np.sin(TAU * (x + y)))


CASES = {
    "line": (line(), 1e-3),
    "interval": (line(domain=Box), 1e-3),
    "plane": (plane(), 2e-3),
    "cloud": (cloud(), 5e-3),
    "periodic cloud": (cloud(period=1.0), 5e-3),
}


@pytest.mark.parametrize("case", CASES)
def test_fixed_point(case):
    """One more iteration changes nothing, both marginals hold, and no constant is left over."""
    problem, eps = CASES[case]
    found = schroedinger(problem, eps, marginal=1e-12)
    assert found.outcome.name == "reached"
    assert found.marginal_error <= 1e-12
    once = evolve(Sinkhorn(problem, eps), [eps], initial=found.u).potentials[0]
    assert np.abs(once - found.u).max() < 1e-12
    assert problem.mu.integral(np.abs(np.expm1(found.plan.log_source_ratio))) < 1e-12
    assert problem.nu.integral(np.abs(np.expm1(found.plan.log_target_ratio))) < 2e-12
    assert abs(found.plan.duality_gap) < 1e-12


def test_the_limit_of_plain_iterations():
    """Newton, Newton without preconditioner and plain Sinkhorn meet, with and without annealing."""
    problem, eps = line(), 4e-3
    newton = schroedinger(problem, eps, marginal=1e-13)
    others = [
        schroedinger(problem, eps, marginal=1e-13, newton=SinkhornNewton(precondition=False)),
        schroedinger(problem, eps, marginal=1e-13, newton=None),
        schroedinger(problem, eps, marginal=1e-13, start=np.zeros(128)),
        schroedinger(problem, eps, marginal=1e-13, ladder=[0.1, 0.02], softmin=Dense()),
    ]
    for other in others:
        assert np.abs(problem.domain.centred(other.u - newton.u)).max() < 1e-13
    assert newton.iterations < 40 < others[1].iterations


@pytest.mark.parametrize("case", CASES)
def test_fewer_iterations_than_sinkhorn(case):
    """Everything counted: products with P, steps taken back, all ε of the annealing."""
    problem, eps = CASES[case]
    fast, plain = schroedinger(problem, eps), schroedinger(problem, eps, newton=None)
    assert plain.outcome.ok
    assert 2 * fast.iterations < plain.iterations


def test_iterations_do_not_grow_as_eps_falls():
    """On grids the preconditioner takes the place of ever more iterations: plain Sinkhorn's grow like 1/ε."""
    counts = [schroedinger(plane(96), eps, marginal=1e-9).iterations for eps in (4e-3, 1e-3, 5e-4)]
    assert max(counts) < 50


def test_contraction_factor():
    """λ₁ of the dense matrix E[E[·|Y]|X], of Lanczos, and of the iteration itself."""
    problem, eps = cloud(40, 30), 0.02
    found = schroedinger(problem, eps, marginal=1e-14)
    rows = found.plan.rows(np.arange(40))
    matrix = (rows / rows.sum(axis=1, keepdims=True)) @ (rows / rows.sum(axis=0)).T
    values = np.sort(np.linalg.eigvals(matrix).real)
    assert abs(values[-1] - 1) < 1e-13
    assert abs(found.contraction - values[-2]) < 1e-12
    plain = schroedinger(problem, eps, marginal=1e-12, newton=None, start=problem.domain.points[:, 0] / 10)
    assert abs(plain.records["contraction"][-1] - values[-2]) < 1e-3


def test_markov_operator_is_the_derivative_and_self_adjoint():
    problem = cloud(30, 40)
    flow = Sinkhorn(problem, 0.05)
    rng = np.random.default_rng(77)
    u, w, z = (rng.random(30) / 10 for _ in range(3))
    v = flow.half_step(u)
    P = Markov(flow, u, v, flow.half_step_back(v))
    t = 1e-5
    slope = [flow.half_step_back(flow.half_step(u + s * w)) for s in (-t, t)]
    assert np.abs((slope[1] - slope[0]) / (2 * t) - P.times(w)).max() < 1e-9
    assert abs(P.dot(P.times(w), z) - P.dot(w, P.times(z))) < 1e-16
    assert np.abs(P.times(np.full(30, 0.3)) - 0.3).max() == 0


def test_contraction_is_the_gap_of_monge_ampere():
    """−log λ₁/ε = gap + O(ε²), order 2."""
    epsilons = [4e-3, 2e-3, 1e-3, 5e-4]
    rates = [-np.log(schroedinger(line(), e, marginal=1e-13).contraction) / e for e in epsilons]
    steps = np.abs(np.diff(rates))
    orders = np.log2(steps[:-1] / steps[1:])
    assert np.all(np.abs(orders - 2) < 0.15), orders


@pytest.mark.parametrize("eps", [0.02, 0.3, 2.0])
def test_gaussians(eps):
    """φ = ½Ax² + const with A = (√(σθ + ε²/4) − ε/2)/σ for variances σ and θ (arXiv 2006.02572)."""
    x = np.linspace(-8, 8, 801)
    sigma, theta = 1.0, 0.49
    problem = Problem.from_samples(
        x[:, None], 0.7 * x[:, None], np.exp(-(x**2) / (2 * sigma)), np.exp(-((0.7 * x) ** 2) / (2 * theta))
    )
    found = schroedinger(problem, eps, marginal=1e-12)
    A = (np.sqrt(sigma * theta + eps**2 / 4) - eps / 2) / sigma
    inside = np.abs(x) < 3
    error = (found.u - 0.5 * (A - 1) * x**2)[inside]
    assert np.ptp(error) < 1e-9
    kappa = (np.sqrt(sigma * theta + eps**2 / 4) - eps / 2) / (np.sqrt(sigma * theta + eps**2 / 4) + eps / 2)
    assert abs(found.contraction - kappa) < 1e-11


def test_gap_as_criterion():
    problem = cloud()
    found = schroedinger(problem, 0.01, marginal=np.inf, duality_gap=1e-6)
    assert found.outcome.ok
    assert 0 <= found.plan.duality_gap <= 1e-6
    assert (
        found.marginal_error > 1e-9
    )  # a certificate costs four iterations, a Newton step from a table one: it ends earlier


def test_no_mass():
    """Nodes without mass do not matter, whatever their number."""
    rng = np.random.default_rng(5)
    x, y, a = rng.random((60, 2)), rng.random((50, 2)), rng.random(60)
    a[::3] = 0
    found = schroedinger(Problem.from_samples(x, y, a), 0.01, marginal=1e-12)
    rest = schroedinger(Problem.from_samples(x[a > 0], y, a[a > 0]), 0.01, marginal=1e-12)
    assert found.outcome.ok
    assert np.abs((found.u[a > 0] - rest.u) - (found.u[a > 0] - rest.u).mean()).max() < 1e-13


def test_one_point():
    for n, m in ((1, 1), (1, 5), (5, 1)):
        rng = np.random.default_rng(n)
        found = schroedinger(Problem.from_samples(rng.random((n, 2)), rng.random((m, 2))), 0.1, marginal=1e-13)
        assert found.outcome.ok


def test_asking_too_much_is_reported():
    """Below rounding the run ends as stalled, with the error it has."""
    found = schroedinger(plane(96), 1e-3, marginal=1e-18)
    assert found.outcome.name == "stalled"
    assert not found.outcome.ok
    assert "rounding" in found.outcome.advice
    assert found.marginal_error < 1e-13
    plain = schroedinger(plane(), 1e-2, marginal=1e-18, newton=None)
    assert plain.outcome.name == "stalled"


def test_step_limit():
    found = schroedinger(line(), 1e-3, limit=20, newton=None)
    assert found.outcome.name == "step limit"
    assert found.iterations == 20
    early = schroedinger(line(), 1e-4, limit=1, newton=None)
    assert early.outcome.name == "step limit"
    assert early.eps > 1e-4
    again = schroedinger(line(), 1e-3, start=found.u)
    assert again.outcome.ok
    short = schroedinger(line(), 1e-3, limit=20)
    assert short.iterations <= 25


def test_unresolved_eps_is_named():
    found = schroedinger(line(16), 1e-3)
    assert found.outcome.name == "eps unresolved"
    assert found.marginal_error <= 1e-9
    assert schroedinger(line(16), 1e-3, quadrature=1.0).outcome.ok


def test_the_least_eps_is_named_where_the_iteration_does_not_end():
    """At the end the potential is not convex and tells no least ε; those of larger ε did."""
    found = schroedinger(plane(), 1e-7, limit=200)
    assert found.marginal_error > 1e-9
    assert found.outcome.name == "eps unresolved"
    assert re.search(r"eps=1e-07 is below 0\.0", found.outcome.advice)


def test_records():
    found = schroedinger(plane(), 4e-3)
    records = found.records
    assert records["marginal_error"][-1] == found.marginal_error
    assert np.all(np.diff(records["iterations"]) > 0)
    assert np.all(np.diff(records["dual"][records["eps"] == 4e-3]) > -1e-14)
    assert records["products"].sum() + len(records["eps"]) == found.iterations


def test_from_ones_own_potential():
    """A solution as a start costs one iteration."""
    first = schroedinger(plane(), 4e-3, marginal=1e-12)
    assert schroedinger(plane(), 4e-3, marginal=1e-11, start=first.u).iterations == 1


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"eps": 0.0}, "eps"),
        ({"eps": np.nan}, "eps"),
        ({"marginal": 0.0}, "marginal"),
        ({"duality_gap": -1.0}, "duality_gap"),
        ({"limit": 0}, "limit"),
        ({"start": np.zeros(3)}, "start"),
        ({"start": np.full(128, np.nan)}, "start"),
        ({"ladder": [1e-4]}, "ladder"),
        ({"ladder": [0.1, 0.2]}, "ladder"),
    ],
)
def test_bad_input(change, word):
    with pytest.raises(ValueError, match=word):
        schroedinger(line(), **({"eps": 1e-3} | change))


def test_orders_of_extrapolation():
    """2, 4 and 6 in ε for the static potentials in one dimension, against a far smaller ε."""
    torus = Torus((128,))
    problem = Problem(torus, lambda x: 0.1 * np.cos(TAU * x), lambda y: 0.1 * np.sin(TAU * y))
    exact = brenier(problem, 3e-3, levels=6, ratio=2**0.5, marginal=1e-14)
    found = [brenier(problem, eps, levels=3, marginal=1e-14) for eps in (16e-3, 8e-3, 4e-3)]
    for j, order in enumerate((2, 4, 6)):
        errors = [torus.sup(b.potentials[j] - exact.potential) for b in found]
        orders = np.log2(np.array(errors[:-1]) / errors[1:])
        print(order, errors, orders)
        assert abs(orders[-1] - order) < (0.15, 0.3, 0.8)[j]


def test_extrapolation_meets_the_exact_potential():
    problem, u = manufactured()
    found = brenier(problem, 4e-3, levels=5, ratio=2**0.5)
    assert found.outcome.ok
    assert found.runs[-1].eps > 0.999e-3
    error = problem.domain.sup(found.potential - u)
    assert error < 1e-9
    assert error < found.error_estimate < 1e-8
    assert found.iterations < 100


def test_extrapolation_meets_monge_ampere():
    """Two codes that share nothing but the grid, 1e-9 apart."""
    problem, _ = manufactured(48)
    found = brenier(problem, 4e-3, levels=5, ratio=2**0.5)
    flow = evolve(MongeAmpere(problem, rtol=1e-9), [2.0], events=[Event("speed", below=1e-9)])
    assert problem.domain.sup(found.potential - flow.centred[-1]) < 1e-9


def test_bad_input_of_extrapolation():
    for options, word in (({"levels": 0}, "levels"), ({"ratio": 1.0}, "ratio")):
        with pytest.raises(ValueError, match=word):
            brenier(line(), 1e-2, **options)
    with pytest.raises(ValueError, match="samples"):
        brenier(cloud(), 1e-2)
    assert np.isnan(brenier(line(), 1e-2, levels=1).error_estimate)


@pytest.mark.slow
def test_hard_pair():
    """Displacements of a third of a period, φ″ from 0.02 to 46: annealing gets there."""

    def f(x, y):
        return 2 * np.cos(TAU * x) + 2 * np.cos(TAU * y)

    problem = Problem(Torus((256, 256)), f, lambda x, y: f(x - 0.4, y - 0.4))
    found = schroedinger(problem, 1e-3, quadrature=1.0)
    assert found.outcome.ok
    assert found.iterations < 200
    other = schroedinger(
        problem, 1e-3, quadrature=1.0, softmin=None, newton=replace(SinkhornNewton(), precondition=False)
    )
    assert problem.domain.sup(problem.domain.centred(other.u - found.u)) < 1e-9


@pytest.mark.slow
def test_large_cloud():
    rng = np.random.default_rng(3)
    problem = Problem.from_samples(rng.random((5000, 2)), rng.random((5000, 2)) ** 1.5)
    found = schroedinger(problem, 1e-3, softmin=Blockwise())
    assert found.outcome.ok
    assert abs(found.plan.duality_gap) < 1e-9


@dataclass(frozen=True)
class Interrupting:
    """An engine during whose n-th pass somebody presses Ctrl-C, counted over all ε."""

    passes: int
    done: list = field(default_factory=list)

    def bind(self, source, target, eps):
        kernel = default_engine(source, target).bind(source, target, eps)
        return SimpleNamespace(forward=self.counted(kernel.forward), backward=self.counted(kernel.backward))

    def counted(self, log_sums):
        def counting(h):
            self.done.append(1)
            if len(self.done) == self.passes:
                raise KeyboardInterrupt
            return log_sums(h)

        return counting


@pytest.mark.parametrize("passes", [3, 8, 21, 40])
@pytest.mark.parametrize("case", ["line", "cloud"])
def test_interrupted_and_resumed(case, passes):
    """The best potentials so far come back, at the ε where they belong, and the rest costs no more than what was left."""
    problem, eps = CASES[case]
    whole = schroedinger(problem, eps, marginal=1e-12)
    part = schroedinger(problem, eps, marginal=1e-12, softmin=Interrupting(passes))
    assert part.outcome.name == "interrupted"
    assert part.eps >= eps
    assert part.marginal_error == part.records["marginal_error"][part.records["eps"] == part.eps].min()
    once = Sinkhorn(problem, part.eps).half_step_back(part.v)
    assert np.abs(once - part.u).max() < 1e-14
    rest = schroedinger(problem, eps, marginal=1e-12, start=part, softmin=None)
    assert rest.outcome.ok
    assert rest.records["eps"][0] == part.eps
    assert problem.domain.sup(problem.domain.centred(rest.u - whole.u)) < 1e-11
    assert part.iterations + rest.iterations < 1.5 * whole.iterations + 10


def test_interrupted_before_anything_is_known():
    with pytest.raises(KeyboardInterrupt):
        schroedinger(line(), 1e-3, softmin=Interrupting(1))


def test_going_on_to_another_eps():
    """A result is a start for any ε: through the ladder below its own, or straight to a larger one."""
    problem = cloud()
    coarse = schroedinger(problem, 0.05)
    fine = schroedinger(problem, 2e-3, start=coarse)
    assert fine.records["eps"][0] == 0.05
    assert fine.outcome.ok
    assert fine.iterations < schroedinger(problem, 2e-3).iterations
    back = schroedinger(problem, 0.05, start=fine)
    assert set(back.records["eps"]) == {0.05}
    assert problem.domain.sup(problem.domain.centred(back.u - coarse.u)) < 1e-7
    listed = schroedinger(problem, 2e-3, start=coarse, ladder=[0.3, 0.01])
    assert list(dict.fromkeys(listed.records["eps"])) == [0.05, 0.01, 2e-3]


def test_extrapolation_interrupted():
    """The levels finished stay; nothing is extrapolated from an unfinished one."""
    counter = Interrupting(10**9)
    whole = brenier(line(), 8e-3, levels=3, softmin=counter)
    part = brenier(line(), 8e-3, levels=3, softmin=Interrupting(len(counter.done) - 2))
    assert part.outcome.name == "interrupted"
    assert len(part.runs) == 2
    assert (part.potential == brenier(line(), 8e-3, levels=2).potential).all()
    assert np.abs(part.potential - whole.potential).max() < part.error_estimate
    first = brenier(line(), 8e-3, levels=3, softmin=Interrupting(7))
    assert first.outcome.name == "interrupted"
    assert len(first.runs) == 1


def test_progress(capsys):
    """With a bar the result is the same, and nothing goes to standard output."""
    with_bar = schroedinger(cloud(), 5e-3, progress=True)
    assert capsys.readouterr().out == ""
    assert (with_bar.u == schroedinger(cloud(), 5e-3, progress=False).u).all()


def test_share_of_the_way():
    """What the bar is told rises from stage to stage and ends at the number of ε."""
    told = []
    search = Search(
        Sinkhorn(cloud(), 0.05), SinkhornNewton(), 1000, lambda done, record: told.append((done, dict(record)))
    )
    search.run(np.zeros(150), 1e-2, np.inf)
    search.flow = replace(search.flow, eps=0.02)
    search.run(search.best.after, 1e-10, np.inf)
    done = [d for d, _ in told]
    assert done[0] == 0
    assert done[-1] == 2
    assert np.all(np.diff(done) >= 0)
    assert told[-1][1] == {"eps": 0.02, "error": search.best.marginal_error}
