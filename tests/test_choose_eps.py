"""Choice of ε and gauge from samples: the rule against a reference, equivariance, regret, cost, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from test_self_gauge import normals

import pmasolve as pma
from pmasolve.samples import choosing, cross_fit, fits
from pmasolve.samples.affine import FittedNormals, affine_map
from pmasolve.samples.cross_fit import Walk
from pmasolve.samples.fits import AtFixedPoint, AtTime
from pmasolve.samples.units import Units

ALL = (pma.SELF, pma.PLAIN, pma.AFFINE)


@pytest.fixture
def rng():
    return np.random.default_rng(21)


def bent(x):
    """The gradient of a smooth convex function."""
    return np.stack([x[:, 0] + 0.6 * np.tanh(1.5 * x[:, 0]), 0.8 * x[:, 1]], axis=1) + np.array([1.0, -2.0])


def sampled(rng, n=80, m=70):
    return rng.standard_normal((n, 2)), bent(rng.standard_normal((m, 2)))


def rms(difference) -> float:
    return float(np.sqrt(np.mean(np.sum(difference**2, axis=1))))


def test_the_risk_is_that_of_the_two_halves(rng):
    x, y = sampled(rng)
    walk = Walk(Units.of(pma.Problem.from_samples(x, y)), None, ALL, 2, 50, 0)
    j, ref, expected = 3, walk.reference, []
    for halving in range(2):
        (A, B), (a, b) = walk.images[j][halving], walk.images[ref][halving]
        bias = np.mean(np.sum((A["plain"] - a["self"]) * (B["plain"] - b["self"]), axis=1))
        expected.append(bias + np.mean(np.sum((A["plain"] - B["plain"]) ** 2, axis=1)) / 4)
    assert abs(walk.risks(pma.PLAIN)[j] - np.mean(expected)) < 1e-14
    gauge, rung = walk.best()
    risks = {g.name: walk.risks(g) for g in ALL}
    assert risks[gauge.name][rung] == min(np.nanmin(r) for r in risks.values())
    assert walk.z.shape == (50, 2)
    assert len(walk.images) == max(int(np.argmin(risks["self"])) + 2, walk.floor) + 1


def test_the_walk_ends_where_all_is_noise(rng, monkeypatch):
    """d = 30: at the rungs below two of seven fixed points take some hundred passes each, and tell nothing."""
    x, y = rng.standard_normal((60, 30)), 1.3 * rng.standard_normal((60, 30)) + 1.0
    problem = pma.Problem.from_samples(x, y)
    found = pma.choose_eps(problem, halvings=1)
    print(found.curve.eps.size, found.half_steps)
    assert found.curve.eps.size <= 4
    assert found.half_steps <= 200
    error = rms(found.map(x) - 1.3 * x - 1.0)
    monkeypatch.setattr(cross_fit, "DROWNED", np.inf)
    longer = pma.choose_eps(problem, halvings=1)
    assert longer.curve.eps.size >= 8
    assert longer.half_steps > 2 * found.half_steps
    assert error < 1.1 * rms(longer.map(x) - 1.3 * x - 1.0)


def test_halves_share_no_point_and_keep_weights(rng):
    x, y, a, b = *sampled(rng, 9, 12), rng.random(9), rng.random(12)
    one, other = cross_fit.halves(np.random.default_rng(0), (x, a / a.sum()), (y, b / b.sum()))
    assert sorted(half.domain.size for half in (one, other)) == [4, 5]
    for side, whole, weights in (("domain", x, a), ("codomain", y, b)):
        parts = [getattr(half, side) for half in (one, other)]
        together = np.concatenate([part.points for part in parts])
        assert sorted(map(tuple, together)) == sorted(map(tuple, whole))
        for part in parts:
            index = [int(np.flatnonzero((whole == p).all(axis=1))[0]) for p in part.points]
            assert np.allclose(part.weights, weights[index] / weights[index].sum())


def test_dilations_and_translations_change_units_only(rng):
    x, y = sampled(rng)
    z = rng.standard_normal((9, 2))
    found = pma.choose_eps(pma.Problem.from_samples(x, y), halvings=1)
    for c, s in ((1000.0, 1000.0), (1e-3, 5.0), (1.0, 1e-3)):
        other = pma.choose_eps(pma.Problem.from_samples(c * x + 5, s * y - 7), halvings=1)
        assert other.gauge == found.gauge
        assert abs(other.eps / (c**2 * found.eps) - 1) < 1e-9
        assert rms((other.map(c * z + 5) + 7) / s - found.map(z)) < 1e-4 * rms(found.map(z))
        assert abs(other.error / (s * found.error) - 1) < 1e-3
    moved = pma.choose_eps(pma.Problem.from_samples(x, y), 1.0, halvings=1)
    larger = pma.choose_eps(pma.Problem.from_samples(10 * x, 10 * y), 100.0, halvings=1)
    assert (larger.k, larger.gauge) == (moved.k, moved.gauge)
    assert rms(larger.map(10 * z) / 10 - moved.map(z)) < 1e-9


def test_the_map_is_that_of_the_gauge_and_eps_it_names(rng):
    x, y = sampled(rng)
    problem, z = pma.Problem.from_samples(x, y), rng.standard_normal((9, 2))
    for gauge in (pma.SELF, pma.PLAIN):
        found = pma.choose_eps(problem, gauges=(gauge,), halvings=1)
        assert found.gauge is gauge
        units = Units.of(problem)
        run = pma.schroedinger(found.scaled, found.eps, marginal=1e-9, gauge=gauge)
        assert rms(found.map(z) - units.back(run.function.map(z))) < 1e-3  # noise is 0.1
        moved = pma.choose_eps(problem, 1.0, gauges=(gauge,), halvings=1)
        assert moved.k == round(1 / moved.eps)
        run = pma.evolve(pma.Sinkhorn(problem, moved.eps, gauge=gauge), [1.0])
        assert rms(moved.map(z) - pma.as_function(run).map(z)) < 1e-4


def test_the_affine_gauge_is_exact_between_samples_that_are_affine_images(rng):
    x, z = rng.standard_normal((40, 3)), rng.standard_normal((5, 3))
    A = np.array([[2.0, 0.3, 0.0], [0.3, 1.0, 0.2], [0.0, 0.2, 0.5]])
    problem = pma.Problem.from_samples(x, rng.permutation(x) @ A + 1.0)
    assert np.abs(affine_map(problem)(z) - z @ A - 1.0).max() < 1e-10
    for eps in (4.0, 0.3):
        fit = AtFixedPoint(problem, marginal=1e-10)
        assert rms(fit.map(pma.AFFINE, eps)(z) - z @ A - 1.0) < 1e-7
        assert rms(fit.map(pma.SELF, eps)(z) - z @ A - 1.0) > 1e-3


def test_the_affine_map_where_there_are_fewer_points_than_dimensions(rng):
    x, y = rng.standard_normal((10, 20)), rng.standard_normal((12, 20))
    problem = pma.Problem.from_samples(x, y)
    found = affine_map(problem)
    assert np.isfinite(found(x)).all()
    assert np.linalg.eigvalsh(found.A).min() > -1e-12
    choice = pma.choose_eps(problem, halvings=1)
    assert np.isfinite(choice.map(x)).all()


def test_rows_are_points_also_where_there_are_as_many_as_dimensions(rng):
    x, y = rng.standard_normal((9, 9)), rng.standard_normal((9, 9))
    choice = pma.choose_eps(pma.Problem.from_samples(x, y), halvings=1)
    assert np.abs(choice.map(x)[:4] - choice.map(x[:4])).max() < 1e-12
    with pytest.raises(ValueError, match="9 columns"):
        choice.map(x[:, :3])


def test_between_normals_the_choice_is_near_the_best_and_cheap(rng):
    """d = 3, n = 150, seeds 0 … 3 as they come: mean regret, against all gauges and rungs."""
    ratios = []
    for seed in range(4):
        rng = np.random.default_rng([seed, 77])
        a, b, _ = normals(rng, 3)
        A = pma.gaussian.Pair(*(pma.gaussian.Normal(np.zeros(3), s) for s in (a, b))).brenier().hessian
        x, y, z = (rng.standard_normal((150, 3)) @ np.linalg.cholesky(s).T for s in (a, b, a))
        problem = pma.Problem.from_samples(x, y)
        found = pma.choose_eps(problem, halvings=2)
        units = Units.of(problem)
        fit = AtFixedPoint(units.problem)
        every = [rms(units.back(fit.map(g, eps)(z)) - z @ A) for eps in found.curve.eps for g in ALL]
        ratios.append(rms(found.map(z) - z @ A) / min(every))
        assert found.half_steps <= 1000
        assert found.error > 0
    print(ratios)
    assert np.mean(ratios) <= 1.3


def test_weights_and_points_without_mass(rng):
    x, y = sampled(rng)
    a = rng.random(80) * (np.arange(80) % 4 > 0)
    found = pma.choose_eps(pma.Problem.from_samples(x, y, a), halvings=1)
    kept = pma.choose_eps(pma.Problem.from_samples(x[a > 0], y, a[a > 0]), halvings=1)
    assert np.abs(found.map(x) - kept.map(x)).max() < 1e-12


def test_the_end_of_the_ladder_is_said(rng):
    x = rng.standard_normal((60, 2))
    found = pma.choose_eps(pma.Problem.from_samples(x, 2 * rng.standard_normal((60, 2))), 1.0, halvings=1)
    assert (found.eps == 1.0) == (found.outcome.name == "at end of ladder")
    assert choosing._ended(0, 12).name == choosing._ended(11, 12).name == "at end of ladder"
    assert choosing._ended(5, 12) == pma.Outcome("reached", True)
    assert choosing._root_of_risk(-1.0, 4.0) == 2.0
    assert choosing._root_of_risk(9.0, 4.0) == 3.0


def test_the_error_of_exact_couplings_is_estimated(rng):
    """Beside the truth of the whole samples' coupling, in units of y; at finite t there is none."""
    x, y = sampled(rng, 300, 300)
    problem, z = pma.Problem.from_samples(x, 10 * y), rng.standard_normal((500, 2))
    found = pma.choose_eps(problem, halvings=1)
    truth = rms(pma.optimal_coupling(problem).image(z) - 10 * bent(z))
    assert 0.7 < found.exact_error / truth < 1.3
    assert found.error < found.exact_error
    assert np.isnan(pma.choose_eps(pma.Problem.from_samples(x[:60], y[:60]), 1.0, halvings=1).exact_error)


def test_what_it_says_and_draws(rng):
    found = pma.choose_eps(pma.Problem.from_samples(*sampled(rng, 40, 40)), halvings=1)
    assert "affine map between the fitted normals alone" in found.summary()
    assert found.plot().axes[0].get_xlabel() == "ε"
    assert len(found.plot().axes) == 2  # and where the points go
    assert "exact coupling" in found.plot().axes[0].get_legend_handles_labels()[1]
    assert set(found.curve.risk) == set(found.curve.noise) == {"self", "plain", "affine"}
    assert all(noise.shape == found.curve.eps.shape for noise in found.curve.noise.values())


def test_duplicates_across_both_samples_are_no_trouble(rng):
    x = rng.standard_normal((40, 2))
    found = pma.choose_eps(pma.Problem.from_samples(np.repeat(x, 2, axis=0), x), halvings=1)
    assert rms(found.map(x) - x) < 0.3


def test_refusals(rng):
    x, y = sampled(rng)
    torus = pma.Problem(pma.Torus((8,)), np.zeros(8), np.zeros(8))
    for problem, options, words in (
        (torus, {}, "for samples"),
        (pma.Problem.from_samples(x, y, period=9.0), {}, "on a torus"),
        (pma.Problem.from_samples(x[:7], y), {}, "x has 7 points with mass"),
        (pma.Problem.from_samples(x, y[:1]), {}, "y has 1 point with mass"),
        (pma.Problem.from_samples(x, np.ones((9, 2))), {}, "all points of y are equal"),
        (pma.Problem.from_samples(np.ones((9, 2)), y), {}, "all points of x are equal"),
        (pma.Problem.from_samples(x, y), {"t": 0.0}, "t=0.0"),
        (pma.Problem.from_samples(x, y), {"halvings": 0}, "halvings=0"),
        (pma.Problem.from_samples(x, y), {"t": 1.0, "gauges": (pma.AFFINE,)}, "gauges: give at least one"),
        (pma.Problem.from_samples(x, y), {"gauges": (pma.SYMMETRIC,)}, "gauge='symmetric'"),
        (pma.Problem.from_samples(x, y), {"gauges": (pma.FORWARD,)}, "gauge='forward'"),
    ):
        with pytest.raises(ValueError, match=words):
            pma.choose_eps(problem, **options)
    with pytest.raises(ValueError, match=r"choose_eps\(problem\)"):
        pma.Sinkhorn(pma.Problem.from_samples(x, y))
    with pytest.raises(ValueError, match=r"gauge=Affine.*AFFINE belongs to choose_eps"):
        pma.Sinkhorn(pma.Problem.from_samples(x, y), 0.1, gauge=pma.AFFINE)


def test_a_fit_that_failed_is_not_ok(rng, monkeypatch):
    x, y = sampled(rng, 30, 30)
    solve = fits.schroedinger
    monkeypatch.setattr(fits, "schroedinger", lambda *given, **options: solve(*given, **options, limit=1))
    found = pma.choose_eps(pma.Problem.from_samples(x, y), halvings=1, gauges=(pma.SELF, pma.PLAIN))
    assert found.outcome.name == "step limit"


def test_fitted_normals_have_the_schroedinger_potentials_of_normal_laws(rng):
    """By the closed form of `gaussian`; the start of a search, exact where samples are normal."""
    x, y = rng.standard_normal((60, 3)), rng.standard_normal((60, 3)) @ rng.standard_normal((3, 3)) + 2.0
    problem, z = pma.Problem.from_samples(x, y), rng.standard_normal((20, 3))
    laws = [pma.gaussian.Normal(p.mean(axis=0), np.cov(p.T, bias=True)) for p in (x, y)]
    for eps in (5.0, 0.1):
        exact = pma.gaussian.Pair(*laws).schroedinger(eps)
        apart = FittedNormals.of(problem.mu, problem.nu).u(z, eps) - (exact(z) - 0.5 * np.sum(z**2, axis=1))
        assert np.ptp(apart) < 1e-12 * np.ptp(exact(z))


def test_searches_begin_where_those_before_them_ended(rng):
    """Together with self-potentials fewer passes than the fixed points alone from the u before; to the same maps."""
    x, y = sampled(rng, 200, 200)
    problem, z = pma.Problem.from_samples(x, y), rng.standard_normal((50, 2))
    ladder = [16.0 / 2**j for j in range(9)]
    walked, u, spent = AtFixedPoint(problem), np.zeros(200), 0
    for eps in ladder:
        maps = [walked.map(gauge, eps)(z) for gauge in (pma.SELF, pma.PLAIN)]
        run = pma.schroedinger(problem, eps, start=u, marginal=fits.COMPARED, gauge=pma.SELF)
        u, spent = run.u, spent + 2 * run.iterations
    own = sum(pma.self_potential(problem.mu, eps, tolerance=fits.COMPARED).half_steps for eps in ladder)
    print(walked.work.pairs / 200**2, spent, own)
    assert walked.work.pairs / 200**2 < 0.8 * (spent + own)
    assert rms(maps[0] - run.function.map(z)) < 3e-3
    again = AtFixedPoint(problem)
    again.begin(ladder[-1], [walked])
    assert rms(again.map(pma.SELF, ladder[-1])(z) - maps[0]) < 3e-3
    assert again.work.pairs / 200**2 <= 5


def test_the_last_fit_begins_with_the_mean_of_what_halves_found(rng):
    """As functions of all points: where each half begins at its own points alone, the marginal error is many times as large."""
    x, y = rng.standard_normal((2, 300, 2))
    y[:, 0] += 0.8 * np.sign(y[:, 0])
    problem, eps = pma.Problem.from_samples(x, y), 1 / 4
    parts = [AtFixedPoint(pma.Problem.from_samples(x[i], y[i])) for i in (slice(150), slice(150, None))]
    for part in parts:
        part.map(pma.AFFINE, eps)
        part.map(pma.SELF, eps)
    fit = AtFixedPoint(problem)
    fit.begin(eps, parts)
    for name, between in (("plain", problem), ("affine", fit.image_problem)):
        whole = pma.schroedinger(between, eps, start=fit.carried[name].start(eps, fit.carried["self"]))
        apart = pma.schroedinger(between, eps, start=np.concatenate([part.carried[name].at(eps) for part in parts]))
        errors = [run.records["marginal_error"][0] for run in (whole, apart)]
        assert errors[0] < errors[1] / 4
        assert whole.iterations < apart.iterations
    own, cold = (
        pma.self_potential(problem.mu, eps, start=u, tolerance=0.1) for u in (fit.carried["self"].at(eps), None)
    )
    assert own.half_steps < cold.half_steps
    spent = fit.work.pairs
    fit.begin(eps / 2, parts)  # nothing is known there
    assert eps / 2 not in fit.carried["plain"].rest
    assert fit.work.pairs == spent > 0


@pytest.mark.parametrize("unit", [1e140, 1e-140])
def test_units_out_of_reach_are_named(rng, unit):
    """Fourth powers of them overflowed, and points were refused as infinite, or vanished, without a word."""
    x, y = sampled(rng, 40, 30)
    for t in (None, unit**2):
        with pytest.raises(ValueError, match=r"x has points .* from its mean: .* take another unit of length"):
            pma.choose_eps(pma.Problem.from_samples(unit * x, unit * y), t, halvings=1)
    with pytest.raises(ValueError, match="y has points"):
        pma.choose_eps(pma.Problem.from_samples(x, unit * y), 1.0, halvings=1)
    near, far = (pma.choose_eps(pma.Problem.from_samples(x, c * y), halvings=1) for c in (1.0, unit))
    assert np.allclose(far.map(x) / unit, near.map(x), rtol=0, atol=1e-6)


def test_what_is_foreseen_lies_on_a_straight_line():
    a, b = np.array([1.0, 2.0]), np.array([3.0, -1.0])
    known = {eps: a + eps * b for eps in (2.0, 4.0, 8.0)}
    assert np.allclose(fits.foreseen(known, 1.5), a + 1.5 * b)
    assert fits.foreseen(known, 4.0) is known[4.0]
    assert fits.foreseen({2.0: a}, 1.0) is a
    assert fits.foreseen({}, 1.0) == 0.0


def test_cuts_cost_at_most_two_hundred_passes():
    """Of one halving: the laborious kind, small ε and a map that is no smooth one."""
    for seed in range(4):
        rng = np.random.default_rng([9, seed])
        x, y = rng.random((2, 200, 2)) * 2 - 1
        y[:, 0] += 0.8 * np.sign(y[:, 0])
        found = pma.choose_eps(pma.Problem.from_samples(x, y), halvings=1)
        assert found.half_steps <= 200, seed


def test_at_time_t_the_maps_are_those_of_the_flow(rng):
    x, y = sampled(rng)
    problem, z = pma.Problem.from_samples(x, y), rng.standard_normal((9, 2))
    fit = AtTime(problem, 1.0, 1e-12)
    for gauge in (pma.SELF, pma.PLAIN):
        run = pma.evolve(pma.Sinkhorn(problem, 0.25, gauge=gauge), [1.0])
        assert rms(fit.map(gauge, 0.25)(z) - pma.as_function(run).map(z)) < 1e-9


def test_points_in_common_are_said(rng):
    """The same sample twice had a risk, and ended as reached or at the end of the ladder."""
    x, y = rng.standard_normal((2, 24, 2))
    cases = [
        (x, x, 24),
        (x, x[::-1], 24),
        (x, np.concatenate([y[:16], x[:8]]), 8),
        (x, np.concatenate([y[:21], x[:3]]), 3),
    ]
    for t in (None, 0.5):
        for one, other, shared in cases[: 4 if t is None else 1]:
            found = pma.choose_eps(pma.Problem.from_samples(one, other), t, halvings=1)
            assert (found.outcome.name, found.outcome.ok) == ("shared points", False)
            assert f"{shared} points of y are points of x: the risk" in found.outcome.advice
        assert pma.choose_eps(pma.Problem.from_samples(x, y), t, halvings=1).outcome.ok


def test_one_point_is_said_in_the_singular():
    x = np.random.default_rng(0).standard_normal((9, 2))
    for ask in (lambda a, b: pma.choose_eps(pma.Problem.from_samples(a, b)), pma.estimate_w2):
        with pytest.raises(ValueError, match="x has 1 point with mass"):
            ask(x[:1], x)
        with pytest.raises(ValueError, match="y has 2 points with mass"):
            ask(x, x[:2])
