"""Inputs found from outside that once gave a wrong number behind an ok outcome, with their right values."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import test_random_problems as random_problems
import tifffile
from astropy.io import fits
from PIL import Image

import pmasolve as pma
from pmasolve.studies.scaling import SCALING_METHODS

# ---- maps and their certificates -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [32, 64, 128, 256])
def test_a_density_with_slopes_at_the_walls(n: int) -> None:
    """Uniform to e^(−y): the interval missed by 4e-6 to 4e-4 of W₂², "reached"."""
    T = pma.transport(pma.Problem(pma.Box((n,)), lambda x: 0 * x, lambda y: y))
    assert T.outcome.ok
    assert T.interval.lower <= 0.00807680693 <= T.interval.upper
    assert T.interval.upper - T.interval.lower < 1 / (6 * n**2)


def test_a_ring_of_ten_times_the_density() -> None:
    """The default gave the semi-dual's map, cells of area 1e-7; true W₂ 0.097132."""

    def monitor(x, y):
        return 1 + 10 / np.cosh(50 * ((x - 0.5) ** 2 + (y - 0.5) ** 2 - 0.0625)) ** 2

    T = pma.transport(pma.Problem.from_densities(pma.Box((64, 64)), lambda x, y: 1 + 0 * x, monitor))
    assert T.outcome.ok
    assert T.w2 == pytest.approx(0.097132, abs=1e-6)
    assert T.min_eigenvalue > 0.2
    assert T.interval.lower <= 0.0971319**2 <= T.interval.upper
    assert T.nodes.lower <= 0.0975834**2 <= T.nodes.upper  # what the masses of the nodes cost


def test_a_box_of_a_nanometre() -> None:
    """A true gap of 0.13 was "within the gap" in a box of side 1e-9."""
    outcomes = []
    for side in (1.0, 1e-9):
        box = pma.Box((16,), (side,))
        x = box.points[0] / side
        bump = 1 + 30 * np.exp(-(((x - 0.5) / 0.06) ** 2))
        T = pma.transport(pma.Problem.from_densities(box, np.ones(16), bump), method=pma.NewtonKrylov())
        outcomes.append((T.outcome.name, round(T.w2 / side, 8)))
    assert outcomes[0] == outcomes[1]


def test_isolated_nodes_of_equal_mass() -> None:
    """Did not return."""
    mu = np.zeros(8)
    mu[[0, 4]] = 1.0
    T = pma.transport(pma.Problem.from_densities(pma.Box((8,)), mu, mu))
    assert (T.outcome.ok, T.w2, T.interval.upper) == (True, 0.0, 0.0)
    assert pma.pairwise(pma.Box((8,)), [mu, mu, 2 * mu]).w2.max() < 1e-7


def test_the_least_float_as_a_floor() -> None:
    """ZeroDivisionError."""
    x = pma.Box((16, 16)).points[0]
    mu = np.where(abs(x - 0.3) < 0.2, 1.0, 0.0) + np.finfo(float).tiny
    nu = np.roll(mu, 5, axis=0)
    T = pma.transport(pma.Problem.from_densities(pma.Box((16, 16)), mu, nu), gap=0.05)
    assert T.outcome.ok
    assert T.interval.lower <= (5 / 16) ** 2 * (1 + 1e-12)  # −log and exp round the masses
    assert T.interval.upper >= (5 / 16) ** 2 * (1 - 1e-12)


# ---- Sinkhorn, its plans and fixed points --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("eps", "least"), [(1 / 256, -0.0060587), (1 / 64, -0.0595217)])
def test_a_corrected_potential_that_folds(eps: float, least: float) -> None:
    """f = cos 8πx, g = 0, t = 4ε: the least difference of the map over a cell is ``least``, and was "reached"."""
    problem = pma.Problem(pma.Torus((64,)), lambda x: np.cos(8 * np.pi * x), lambda y: 0 * y)
    run = pma.evolve(pma.corrected(problem, eps), [4 * eps], throw=False)
    assert run.outcome.name == "convexity lost"
    (T,) = run.flow.reading.map(run.latest[1])
    assert np.diff(T, append=T[0] + 1).min() == pytest.approx(least, abs=1e-7)
    assert pma.evolve(pma.Sinkhorn(problem, eps), [4 * eps]).outcome.ok


@pytest.mark.parametrize("far", [1e2, 1e4, 1e7])
def test_bounds_between_clusters_that_lie_far_apart(far: float) -> None:
    """At 1e4 upper was 371.0023991341 and the gap −6.4e-4, "reached"; at 1e7 the gap was −6.9e8."""
    problem = pma.Problem.from_samples(
        [(2.2, 2.3), (2.8, 3.5), (0.9, 4.1), (0.5, far)], [(5.7, 18), (3.7, 21), (15, 51), (2.8, far)]
    )
    plan = pma.schroedinger(problem, 0.5).plan
    assert plan.dual <= 371.0030431215 + 1e-9
    assert plan.upper >= 371.0030431215 - 1e-9
    assert plan.duality_gap >= 0
    if far <= 1e4:
        assert abs(plan.value - 371.0030431215) <= plan.value_error + 1e-9


@pytest.mark.parametrize(("door", "seed"), [("transport", 20261232), ("FokkerPlanck", 20261312)])
def test_intervals_beyond_the_floats_and_walls_of_seven_nodes(door: str, seed: int) -> None:
    """The least floats between nodes, whose error has no square; a wall term larger than the density beside it."""
    random_problems.run(door, seed)


# ---- flows and their files -----------------------------------------------------------------------------------------------------


def test_a_map_that_folds_between_nodes_is_not_ok() -> None:
    """Noise on a box of 4 × 16 nodes: convex at the nodes, and yet not a gradient of a convex function between them."""
    random_problems.run("MongeAmpere", 20261169)


def test_a_stored_run_keeps_its_eps(tmp_path) -> None:
    """Stored at ε = 1/512, it went on at 1/1024 with the old numbers under the new name."""
    grid = pma.Torus((32,))
    problem = pma.Problem(grid, 0.3 * np.cos(2 * np.pi * grid.axis(0)), np.zeros(32))
    path = pma.save(pma.evolve(pma.Sinkhorn(problem, 1 / 512), [1 / 32]), tmp_path / "run.npz")
    with pytest.raises(ValueError, match="eps: the file has 1/512, the flow 1/1024"):
        pma.load(path, pma.Sinkhorn(problem, 1 / 1024))
    with pytest.raises(ValueError, match="g differs"):
        pma.load(path, pma.Sinkhorn(pma.Problem(grid, problem.f, problem.f), 1 / 512))
    assert pma.load(path).flow.eps == 1 / 512


def test_a_run_that_fails_keeps_the_file_of_one_that_did_not(tmp_path) -> None:
    """Two times became ``times []``."""
    grid = pma.Torus((32,))
    problem = pma.Problem(grid, 0.3 * np.cos(2 * np.pi * grid.axis(0)), np.zeros(32))
    path = pma.save(pma.evolve(pma.Sinkhorn(problem, 1 / 256), [1 / 64, 1 / 32]), tmp_path / "run.npz")
    failed = pma.evolve(pma.Sinkhorn(problem, 2.0**-16), [1 / 64, 1 / 32], throw=False)
    assert not failed.outcome.ok
    assert pma.save(failed, path) != path
    assert pma.load(path).times.tolist() == [1 / 64, 1 / 32]


# ---- doors for data ------------------------------------------------------------------------------------------------------------

DISC = np.hypot(*np.meshgrid(np.arange(12) - 4.0, np.arange(12) - 5.0)) < 3
HIGH = np.where(DISC, 60000, 33000).astype(np.uint16)  # beyond what 16 bits with a sign hold


def disc_in_alpha(path):
    """Black everywhere; the shape is in the alpha channel alone."""
    Image.fromarray(np.dstack([np.zeros((12, 12, 3), np.uint8), 255 * DISC.astype(np.uint8)])).save(path)


def disc_in_fine_colours(path):
    """16 bits a channel, the shape in the lower 8."""
    path.write_bytes(b"P6 12 12 65535\n" + np.repeat(256 + 255 * DISC[..., None], 3, axis=-1).astype(">u2").tobytes())


WRITTEN = {
    "unsigned FITS": ("a.fits", lambda path: fits.writeto(path, HIGH), HIGH),
    "FITS under another name": ("a.png", lambda path: fits.writeto(path, HIGH), HIGH),
    "white is zero": ("a.tif", lambda path: tifffile.imwrite(path, 65535 - HIGH, photometric="miniswhite"), HIGH),
    "half precision": ("a.tif", lambda path: tifffile.imwrite(path, DISC.astype(np.float16)), DISC),
    "double precision": ("a.tif", lambda path: tifffile.imwrite(path, DISC.astype(np.float64)), DISC),
    "fine colours": ("a.tif", lambda path: tifffile.imwrite(path, np.dstack([HIGH] * 3), photometric="rgb"), HIGH),
    "fine colours, cut": ("a.ppm", disc_in_fine_colours, "colours of 16 bits"),
    "transparency": ("a.png", disc_in_alpha, "transparent"),
    "bytes of colours": ("a.npy", lambda path: np.save(path, np.dstack([HIGH.astype(np.uint8)] * 4)), "in colour"),
    "DOTmark": ("a.csv", lambda path: np.savetxt(path, HIGH, delimiter=",", fmt="%d"), HIGH),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_files_are_what_was_written_or_refused(name, tmp_path) -> None:
    """Distances between such files were 0, 0.028 or 0.0005 where they are 0.566, behind a certified gap."""
    file, write, expected = WRITTEN[name]
    write(tmp_path / file)
    if isinstance(expected, str):
        with pytest.raises(ValueError, match=expected):
            pma.read_array(tmp_path / file)
    else:
        np.testing.assert_allclose(pma.read_array(tmp_path / file), expected, rtol=1e-14)


def test_a_mask_is_not_dropped() -> None:
    """The fill value below a mask counted as mass."""
    masked = np.ma.array(np.where(DISC, 1e9, 1.0), mask=DISC)
    grid = pma.Torus((12, 12))
    with pytest.raises(ValueError, match=r"mu is masked at \d+ places.*mu\.filled\(0\)"):
        pma.Problem.from_densities(grid, masked, np.ones((12, 12)))
    problem = pma.Problem.from_densities(grid, masked.filled(0), np.ones((12, 12)))
    assert np.array_equal(np.isposinf(problem.f), DISC)


# ---- many densities, plans, particles ------------------------------------------------------------------------------------------


def interrupted_at(pair: int):
    """`transport`, whose given call hears Ctrl-C while Newton is at work."""
    calls = iter(range(1, 100))

    def solve(problem: pma.Problem) -> pma.Transport:
        if next(calls) != pair:
            return pma.transport(problem)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pmasolve.maps.newton._solve", raising)
            return pma.transport(problem)

    def raising(*_: object) -> None:
        raise KeyboardInterrupt

    return solve


def test_an_interruption_ends_all_pairs(tmp_path) -> None:
    """`transport` returns what it has: the pair was kept for solved, in the file too, and the next ones were begun."""
    line = pma.Torus((32,))
    stack = [1.5 + np.cos(2 * np.pi * (line.axis(0) - s)) for s in (0.0, 0.1, 0.25)]
    path, solve = tmp_path / "pairs.npz", interrupted_at(2)
    for act in (
        lambda: pma.pairwise(line, stack, path=path, solve=solve),
        lambda: pma.distances(line, stack, stack[0], solve=interrupted_at(2)),
        lambda: pma.embedding(line, stack[0], stack, solve=interrupted_at(2)),
    ):
        with pytest.raises(KeyboardInterrupt):
            act()
    found = pma.pairwise(line, stack, path=path, solve=solve)
    assert found.ok.all()
    np.testing.assert_array_equal(found.w2, pma.pairwise(line, stack).w2)


def test_no_vector_for_a_map_that_was_not_found() -> None:
    """Its row was that of a map with residual 0.5, and nothing told it."""
    line = pma.Torus((16,))
    noise = np.exp(np.random.default_rng(0).uniform(0, 9, 16))
    stack = [1.5 + np.cos(2 * np.pi * line.axis(0)), noise]

    def solve(problem: pma.Problem) -> pma.Transport:
        return pma.transport(problem, method=pma.NewtonKrylov(steps=1))

    rows = pma.embedding(line, np.ones(16), stack, solve=solve)
    ok = pma.distances(line, stack, np.ones(16), solve=lambda problem: solve(problem.swapped())).ok
    assert not ok[1]
    assert np.isnan(rows).all(axis=1).tolist() == (~ok).tolist()


def test_a_mask_is_not_a_list_of_nodes() -> None:
    """The rows of a mask were rows 0 and 1 again and again, as many as it has places."""
    plan = pma.schroedinger(pma.Problem.from_samples([[0.0], [1.0], [3.0]], [[0.5], [2.0]]), 0.5).plan
    mask = np.array([False, True, True])
    with pytest.raises(ValueError, match=r"flatnonzero\(mask\)"):
        plan.rows(mask)
    np.testing.assert_array_equal(plan.rows(np.flatnonzero(mask)), plan.rows([0, 1, 2])[1:])


def test_particles_at_no_time() -> None:
    """NaN among the times gave NaN everywhere; on short scales another time within 1e-18 was taken for the one asked for."""
    side = 1e-9
    torus = pma.Torus((16,), (side,))
    problem = pma.Problem(torus, lambda x: 0.3 * np.cos(2 * np.pi * x / side), lambda y: 0 * y)
    run = pma.evolve(pma.MongeAmpere(problem), [1e-3 * side**2, 2e-3 * side**2])
    coefficients, rng = pma.particles.TrajectoryCoefficients(run), np.random.default_rng(0)
    for times in ([0.0, 1e-3 * side**2], [1.5e-3 * side**2, 2e-3 * side**2]):
        with pytest.raises(ValueError, match="not among the trajectory's times"):
            pma.particles.simulate(coefficients, np.zeros((3, 1)), times, rng)
    with pytest.raises(ValueError, match="finite, strictly increasing"):
        pma.particles.simulate(coefficients, np.zeros((3, 1)), [0.0, np.nan], rng)


# ---- closed forms ---------------------------------------------------------------------------------------------------------------


def test_gaussians_take_numbers_only() -> None:
    """The fill value of a mask counted, −1 steps were none, and what is no number was a TypeError or IndexError."""
    a, b = pma.gaussian.Normal([0.0], [[1.0]]), pma.gaussian.Normal([1.0], [[2.0]])
    flow = pma.gaussian.ClosedForm(pma.gaussian.Pair(a, b), pma.gaussian.Quadratic([[1.0]]))
    plane = pma.gaussian.Normal([0.0, 0.0], np.eye(2))
    for act, words in (
        (lambda: pma.gaussian.Normal(np.ma.masked_array([3.0], [True]), [[1.0]]), "is masked at 1"),
        (lambda: pma.gaussian.Normal(0.0, [[1.0]]), r"has shape \(\)"),
        (lambda: pma.gaussian.Normal([], [[]]), r"has shape \(0,\)"),
        (lambda: pma.gaussian.Normal(["1"], [[1.0]]), "holds <U1"),
        (lambda: pma.gaussian.jko(a, b, 0.1, -1), "count=-1"),
        (lambda: pma.gaussian.jko(a, b, None), "step=None"),
        (lambda: pma.gaussian.heat(a, "1"), "t='1'"),
        (lambda: flow.law(None), "t=None"),
        (lambda: a.wasserstein(plane), "other=.* 1 dimensions"),
        (lambda: a.kl(None), "other=None"),
        (lambda: a.sample(2.5, np.random.default_rng(0)), "count=2.5"),
        (lambda: pma.gaussian.Pair(a, None), "target=None"),
    ):
        with pytest.raises(ValueError, match=words):
            act()


def test_gaussians_travel_between_processes() -> None:
    """PicklingError, as for the workers of a study; all 60 digits come along."""
    a, b = pma.gaussian.Normal([0.1, 0.2], [[1.0, 0.1], [0.1, 2.0]]), pma.gaussian.Normal([1.0, 0.0], np.eye(2))
    pair = pma.gaussian.Pair(a, b)
    flow = pma.gaussian.ClosedForm(pair, pma.gaussian.Quadratic(np.eye(2), constant=0.3))
    for made in (a, pair, flow, flow.potential(0.3)):
        there = pickle.loads(pickle.dumps(made))
        assert repr(there) == repr(made)
    assert pickle.loads(pickle.dumps(a.precision)) == a.precision
    assert pickle.loads(pickle.dumps(flow)).potential(0.3)([[1.0, 2.0]]) == flow.potential(0.3)([[1.0, 2.0]])


# ---- studies -------------------------------------------------------------------------------------------------------------------


def test_a_study_tells_what_its_grid_leaves() -> None:
    """A target with a jump (on 64²: 3e-11 was printed for an error of 6e-6 in space)."""
    grid = pma.Torus((20, 20))
    x, y = grid.points
    target = np.where((x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.09, 1.5, 1.0)
    problem = pma.Problem.from_densities(grid, np.ones(grid.shape), target)
    found = pma.scaling_study(problem, eps=[1 / 32, 1 / 64], t=1 / 32, rtol=1e-7, methods=SCALING_METHODS[:1])
    assert found.in_space["sup"] > 1e-6 > 10 * found.in_time["sup"]
    assert "refine the grid" in found.section().facts["Reference"]
