"""Files: what is saved comes back, runs go on, and bad files are refused."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

import pmasolve as pma
from pmasolve.flows import descriptions
from pmasolve.flows import files as storage
from pmasolve.machine import archives
from pmasolve.problems.interpolation import Spectral
from pmasolve.problems.outcomes import INTERRUPTED, REACHED, Outcome
from pmasolve.sinkhorn.softmin.separable import AxisMethod


def f(x):
    return 0.4 * np.cos(2 * np.pi * x)


def g(y):
    return 0.4 * np.sin(2 * np.pi * y)


@pytest.fixture
def flow():
    return pma.MongeAmpere(pma.Problem(pma.Torus((48,)), f, g), rtol=1e-9)


def test_round_trip(flow, tmp_path):
    run = pma.evolve(flow, [0.01, 0.02])
    back = pma.load(pma.save(run, tmp_path / "run"), flow)
    assert np.array_equal(back.potentials, run.potentials)
    assert np.array_equal(back.times, run.times)
    assert back.outcome == run.outcome
    assert back.records["kl"].size == run.records["kl"].size
    assert back.provenance["numpy"] == np.__version__


@pytest.mark.parametrize("gauge", [pma.PLAIN, pma.SYMMETRIC, pma.SELF, pma.FORWARD])
def test_sinkhorn_resumed_from_a_file_has_the_same_iterates(gauge, tmp_path):
    flow = pma.Sinkhorn(pma.Problem(pma.Torus((64,)), f, g), 1e-3, gauge=gauge)
    path = pma.save(pma.evolve(flow, [0.01]), tmp_path / "run.npz")
    resumed = pma.resume(pma.load(path, flow), [0.02])
    whole = pma.evolve(flow, [0.01, 0.02])
    assert np.max(np.abs(resumed.potentials - whole.potentials)) < 1e-14
    assert resumed.records["t"].size == 20


def test_an_interrupted_run_loses_nothing_and_goes_on(flow, tmp_path):
    class Impatient(type(flow)):
        def advance(self, state, until):
            if state.t > 0.015:
                raise KeyboardInterrupt
            return super().advance(state, until)

    with pytest.raises(pma.Stopped, match="interrupted") as stopped:
        pma.evolve(Impatient(flow.problem, rtol=flow.rtol), [0.01, 0.03])
    part = stopped.value.trajectory
    assert part.times.tolist() == [0.01]
    assert part.latest[0] > 0.015
    pma.save(part, tmp_path / "part.npz")
    with pytest.raises(ValueError, match="Impatient"):
        pma.load(tmp_path / "part.npz", flow)
    part = pma.load(tmp_path / "part.npz", Impatient(flow.problem, rtol=flow.rtol))
    resumed = pma.resume(pma.Trajectory(**{**vars(part), "flow": flow}), [0.03])
    assert pma.compare(resumed, pma.evolve(flow, [0.01, 0.03])).sup.max() < 1e-8


def test_resuming_into_the_past_is_refused(flow):
    with pytest.raises(ValueError, match="later times"):
        pma.resume(pma.evolve(flow, [0.01]), [0.005])


def test_other_problems_and_bad_files_are_refused(flow, tmp_path):
    path = pma.save(pma.evolve(flow, [0.01]), tmp_path / "run.npz")
    with pytest.raises(ValueError, match="another problem"):
        pma.load(path, pma.MongeAmpere(flow.problem.swapped(), rtol=1e-9))
    with pytest.raises(ValueError, match="not of Sinkhorn"):
        pma.load(path, pma.Sinkhorn(flow.problem, 1e-3))
    (tmp_path / "half.npz").write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (tmp_path / "text.npz").write_text("no arrays here")
    np.savez(tmp_path / "foreign.npz", a=np.ones(3))
    np.save(tmp_path / "array.npz", np.ones(3))
    (tmp_path / "array.npz.npy").rename(tmp_path / "array.npz")
    (tmp_path / "folder.npz").mkdir()
    wrong = {
        "half": "truncated",
        "text": "not a file of",
        "foreign": "format None",
        "array": "not a file of",
        "folder": "is a folder",
    }
    for name, words in wrong.items():
        for read in (pma.load, storage.provenance, pma.load_map):
            with pytest.raises(ValueError, match=words) as caught:
                read(tmp_path / f"{name}.npz")
            assert str(tmp_path) in str(caught.value)
    with pytest.raises(FileNotFoundError):
        pma.load(tmp_path / "none.npz", flow)


def test_a_failed_write_leaves_the_old_file(flow, tmp_path, monkeypatch):
    path = pma.save(pma.evolve(flow, [0.01]), tmp_path / "run.npz")
    before = path.read_bytes()

    def full_disk(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="No space"):
        pma.save(pma.evolve(flow, [0.02]), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["run.npz"]


# ---- the file knows its flow --------------------------------------------------------------------------------------------------

GRID = pma.Torus((16,))
X = GRID.axis(0)
PROBLEM = pma.Problem(GRID, f(X), g(X))

# every kind of flow, and for each of its parameters values of which no two are equal
EPSILONS = st.sampled_from([2.0**-k for k in range(4, 12)] + [0.1, 1 / 3, 0.01])
TOLERANCES = st.sampled_from([1e-6, 1e-8, 1e-9, 1.1e-8])
SPACES = st.sampled_from([pma.Fourier(), pma.FiniteDifference(2), pma.FiniteDifference(4), pma.FiniteDifference(6)])
SPLINES = st.sampled_from([pma.Spline(3), pma.Spline(5), Spectral(), Spectral(1e-10)])
ENGINES = st.sampled_from([None, pma.Dense(), pma.Dense(pairs=10**6), pma.Separable(), pma.Separable(AxisMethod.TILES)])
GAUGES = st.sampled_from([pma.PLAIN, pma.SYMMETRIC, pma.SELF, pma.FORWARD, replace(pma.SYMMETRIC, order=1)])
EVEN = st.sampled_from([pma.SYMMETRIC, pma.SELF, pma.PLAIN])
QUADRATURES = st.sampled_from([1e-12, 1e-10, 1.0])
STEPS = st.sampled_from(
    [pma.ConstantSteps(0.01), pma.ConstantSteps(0.02), pma.HarmonicSteps(0.01), pma.HarmonicSteps()]
)
OBJECTIVES = st.sampled_from(
    [pma.KL(), pma.CHI_SQUARED, pma.AlphaDivergence(0.0), pma.JensenShannon(), pma.Entropy(), pma.Relaxed(1.5)]
)
GROWING = st.sampled_from([pma.GrowingSteps(0.01), pma.GrowingSteps(0.01, 2.0), pma.GrowingSteps(0.01, 2.0, 1.0)])
MOSTLY_KL = st.sampled_from([pma.KL(), pma.KL(), pma.CHI_SQUARED, pma.Relaxed(1.5)])
FLOWS = {
    pma.MongeAmpere: {"objective": OBJECTIVES, "rtol": TOLERANCES, "space": SPACES},
    pma.FokkerPlanck: {"objective": OBJECTIVES, "rtol": TOLERANCES, "space": SPACES},
    pma.LinearisedMongeAmpere: {
        "direction": st.sampled_from([X, X + 1e-9, 2 * X]), "objective": OBJECTIVES,
        "ratio": st.sampled_from([None, 0.0, 0.5, 1.0]), "rtol": TOLERANCES, "space": SPACES,
    },
    pma.SinkhornFlow: {
        "eps": EPSILONS, "objective": OBJECTIVES, "softmin": ENGINES, "space": SPACES, "quadrature": QUADRATURES,
        "rtol": TOLERANCES,
    },
    pma.JKO: {"step": EPSILONS, "space": SPACES, "interpolation": SPLINES},
    pma.MirrorDescent: {"schedule": STEPS, "objective": OBJECTIVES, "space": SPACES, "modes": st.sampled_from([None, 3, 4])},
    pma.BregmanProximal: {"step": EPSILONS | STEPS | GROWING, "objective": OBJECTIVES, "space": SPACES},
    pma.Sinkhorn: {
        "eps": EPSILONS, "gauge": GAUGES, "objective": MOSTLY_KL, "step": st.sampled_from([None, None, 2.0**-12, 2.0**-13]),
        "softmin": ENGINES, "space": SPACES, "quadrature": QUADRATURES,
    },
    pma.Richardson: {
        "eps": EPSILONS, "levels": st.integers(1, 4), "gauge": EVEN, "objective": MOSTLY_KL, "softmin": ENGINES,
        "quadrature": QUADRATURES,
    },
}  # fmt: skip
ONCE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def at_rest(flow, times=(0.25,), outcome=REACHED, t=None):
    """A trajectory that needs no run."""
    zero = np.zeros(flow.problem.domain.shape)
    latest = (times[-1] if t is None else t, zero)
    potentials = np.zeros((len(times), *zero.shape))
    return pma.Trajectory(flow, np.array(times, dtype=float), potentials, outcome, latest, zero)


def valid(kind, options):
    """The flow; draws that it refuses, as another objective in a gauge of order 2, do not count."""
    try:
        return kind(PROBLEM, **options)
    except ValueError:
        reject()


def same(a, b):
    return np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b


@pytest.mark.parametrize("kind", FLOWS)
@given(data=st.data())
@settings(max_examples=30, parent=ONCE)
def test_any_single_changed_parameter_is_refused_by_its_name(kind, data, tmp_path):
    options = {name: data.draw(values, name) for name, values in FLOWS[kind].items()}
    assert set(options) == set(descriptions.parameters(valid(kind, options))), "a parameter that no test changes"
    path = pma.save(at_rest(kind(PROBLEM, **options)), tmp_path / "run.npz")
    assert pma.load(path, kind(PROBLEM, **options)).outcome == REACHED
    name = data.draw(st.sampled_from(sorted(options)))
    other = data.draw(FLOWS[kind][name].filter(lambda value: not same(value, options[name])), "other")
    changed = valid(kind, {**options, name: other})
    with pytest.raises(ValueError, match=rf"[(; ]{name}(:| differs)"):
        pma.load(path, changed)


@pytest.mark.parametrize("kind", FLOWS)
@given(data=st.data())
@settings(max_examples=10, parent=ONCE)
def test_the_file_alone_gives_the_flow_back(kind, data, tmp_path):
    options = {name: data.draw(values, name) for name, values in FLOWS[kind].items()}
    path = pma.save(at_rest(valid(kind, options)), tmp_path / "run.npz")
    back = pma.load(path).flow
    assert type(back) is kind
    assert all(same(getattr(back, name), value) for name, value in options.items())
    assert pma.save(at_rest(back), path)
    assert pma.load(path, kind(PROBLEM, **options)).flow.problem is PROBLEM


DENSITIES = {
    "f": (f(X) + 1e-9 * X, g(X)),
    "g": (f(X), g(X) + 1e-9 * X),
    "g between the nodes": (f(X), lambda y: g(y) + 1e-3 * np.sin(16 * np.pi * y)),  # 0 on the nodes
    "f between the nodes": (lambda x: f(x) + 1e-3 * np.sin(16 * np.pi * x), g(X)),
}


@pytest.mark.parametrize("name", DENSITIES)
def test_each_density_is_compared_on_the_nodes_and_between_them(name, tmp_path):
    path = pma.save(at_rest(pma.MongeAmpere(PROBLEM)), tmp_path / "run.npz")
    with pytest.raises(ValueError, match=f"{name} differs"):
        pma.load(path, pma.MongeAmpere(pma.Problem(GRID, *DENSITIES[name])))


def test_the_torus_is_not_the_box_and_lengths_count(tmp_path):
    box, long = pma.Box((16,)), pma.Torus((16,), (2.0,))
    path = pma.save(at_rest(pma.MongeAmpere(PROBLEM)), tmp_path / "run.npz")
    for grid, words in ((box, r"has Torus\(.*the flow Box"), (long, r"lengths=\[1.0\]\), the flow .*\[2.0\]")):
        with pytest.raises(ValueError, match=words):
            pma.load(path, pma.MongeAmpere(pma.Problem(grid, PROBLEM.f, PROBLEM.g)))


def test_without_its_flow_a_run_is_the_same(tmp_path):
    """Arrays come back as they were; formulas as the interpolants of their values: the maps differ by the interpolation only."""
    for problem, close in ((pma.Problem(pma.Torus((48,)), f, g), 1e-6), (PROBLEM, 1e-14)):
        flow = pma.MongeAmpere(problem, rtol=1e-9)
        run = pma.evolve(flow, [0.01, 0.02])
        back = pma.load(pma.save(run, tmp_path / "run"))
        assert np.array_equal(back.potentials, run.potentials)
        assert np.array_equal(back.map(1), run.map(1))
        assert np.max(np.abs(back.log_density(1) - run.log_density(1))) < close
        part = pma.load(pma.save(pma.evolve(flow, [0.01]), tmp_path / "part"))
        assert pma.compare(pma.resume(part, [0.02]), run).sup.max() < max(close, 1e-8)


def test_densities_that_vanish_and_clouds_come_back_without_their_flow(tmp_path):
    hole = np.where(X < 0.3, 0.0, 1.0 + X)
    rng = np.random.default_rng(2)
    clouds = pma.Problem.from_samples(rng.random((9, 2)), rng.random((7, 2)), b=[0, *range(1, 7)], period=(1.0, 2.0))
    for problem in (pma.Problem.from_densities(GRID, hole, 2.0 - X), clouds):
        run = pma.evolve(pma.Sinkhorn(problem, 0.05, quadrature=1.0), [0.1])
        back = pma.load(pma.save(run, tmp_path / "run.npz"))
        assert back.flow.problem.domain == problem.domain
        np.testing.assert_allclose(np.exp(back.flow.problem.nu.log_density), np.exp(problem.nu.log_density), rtol=1e-14)
        whole, rest = pma.resume(run, [0.2]), pma.resume(back, [0.2])
        np.testing.assert_allclose(rest.potentials, whole.potentials, atol=1e-13)
        np.testing.assert_allclose(rest.map(1), whole.map(1), atol=1e-13)


def test_a_flow_of_ones_own_is_named(tmp_path):
    class Mine(pma.MongeAmpere):
        pass

    path = pma.save(at_rest(Mine(PROBLEM)), tmp_path / "run.npz")
    with pytest.raises(ValueError, match=r"Mine.*not a flow.*load\(path, flow\)"):
        pma.load(path)
    assert pma.load(path, Mine(PROBLEM)).times.size == 1
    path = pma.save(at_rest(pma.MirrorDescent(PROBLEM, lambda k: 0.01)), path)
    with pytest.raises(ValueError, match=r"part that a file does not hold.*lambda.*load\(path, flow\)"):
        pma.load(path)


def rewritten(path, change, **arrays):
    """The file with another header and arrays."""
    with np.load(path) as data:
        kept = {name: data[name] for name in data.files}
    header = json.loads(str(kept.pop("header")))
    change(header)
    return archives.write_archive(path, header, kept | arrays)


DAMAGE = {
    "earlier version": (lambda h: h.update(format="pmasolve trajectory 1"), {}, "make the file again"),
    "no outcome": (lambda h: h.pop("outcome"), {}, "cannot be read"),
    "outcome of a wrong type": (lambda h: h.update(outcome=["reached", "yes", ""]), {}, "cannot be read"),
    "no flow": (lambda h: h.pop("flow"), {}, "cannot be read"),
    "a flow that is none": (lambda h: h["flow"].update(type="Cloud"), {}, "cannot be read"),
    "a flow that is a function": (lambda h: h["flow"].update(type="evolve"), {}, "not a flow"),
    "a flow of words": (lambda h: h["flow"]["fields"].update(rtol="x"), {}, "cannot be read"),
    "an unknown parameter": (lambda h: h["flow"]["fields"].update(more=1), {}, "cannot be read"),
    "a parameter out of range": (lambda h: h["flow"]["fields"].update(rtol=7.0), {}, "rtol=7.0"),
    "time that is none": (lambda h: h.update(t="now"), {}, "cannot be read"),
    "a time before the last": (lambda h: h.update(t=0.0), {}, "times do not increase"),
    "provenance": (lambda h: h.update(provenance=3), {}, "cannot be read"),
    "NaN": (lambda h: None, {"potentials": np.full((1, 16), np.nan)}, "potentials holds"),
    "NaN at the start": (lambda h: None, {"initial": np.full(16, np.nan)}, "initial holds"),
    "NaN as time": (lambda h: None, {"times": np.array([np.nan])}, "times holds"),
    "words": (lambda h: None, {"potentials": np.array([["a"] * 16])}, "cannot be read|potentials holds"),
    "another shape": (lambda h: None, {"potentials": np.zeros((1, 15))}, "shapes"),
    "more times": (lambda h: None, {"times": np.array([0.1, 0.2])}, "shapes"),
    "falling times": (lambda h: None, {"times": np.array([0.2, 0.1])}, "times do not increase"),
    "latest of another shape": (lambda h: None, {"latest": np.zeros(3)}, "shapes"),
    "records of two lengths": (lambda h: None, {"record:a": np.zeros(3), "record:b": np.zeros(4)}, "shapes"),
    "a field of another shape": (lambda h: None, {"field:v": np.zeros((2, 16))}, "shapes"),
    "a density of another shape": (lambda h: None, {"flow:f": np.zeros(15)}, "shape"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_headers_and_arrays_are_validated(name, tmp_path):
    change, arrays, words = DAMAGE[name]
    path = rewritten(pma.save(at_rest(pma.MongeAmpere(PROBLEM)), tmp_path / "run.npz"), change, **arrays)
    with pytest.raises(ValueError, match=words) as caught:
        pma.load(path)
    assert str(path) in str(caught.value)


def test_what_files_share_is_checked_in_one_place() -> None:
    """Finite numbers of any real kind; outcomes with their advice."""
    archives.check_finite("run", {"a": np.arange(3), "b": np.ones(2)})
    for bad in (np.array([1.0, np.inf]), np.array(["1"]), np.array([1j]), np.array([None])):
        with pytest.raises(ValueError, match="run is damaged: b holds"):
            archives.check_finite("run", {"a": np.ones(1), "b": bad})
    again = Outcome.restored(json.loads(json.dumps(INTERRUPTED.stored)))
    assert (again, again.advice) == (INTERRUPTED, INTERRUPTED.advice)


@given(at=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), cut=st.booleans())
@settings(max_examples=60, parent=ONCE)
def test_damaged_files_are_refused_or_read_right(at, bit, cut, tmp_path):
    path = tmp_path / "run.npz"
    if not path.exists():
        pma.save(at_rest(pma.MongeAmpere(PROBLEM)), path)
    whole = path.read_bytes()
    where = int(at * len(whole))
    flipped = whole[:where] + bytes([whole[where] ^ (1 << bit)]) + whole[where + 1 :]
    damaged = tmp_path / "damaged.npz"
    damaged.write_bytes(whole[:where] if cut else flipped)
    try:
        back = pma.load(damaged)
    except ValueError as error:
        assert str(damaged) in str(error)  # noqa: PT017
    else:
        assert not cut
        assert np.array_equal(back.potentials, np.zeros((1, 16)))
        assert np.array_equal(back.flow.problem.g, pma.load(path).flow.problem.g)


# ---- a file that holds more stays ---------------------------------------------------------------------------------------------


def test_an_unfinished_run_never_replaces_a_file_that_holds_more(flow, tmp_path):
    path, beside = tmp_path / "run.npz", tmp_path / "run.unfinished.npz"
    held = {"interrupted early": ((), 0.1), "fewer times": ((0.1,), 0.15), "as many, an earlier end": ((0.1, 0.2), 0.2)}
    for times, t in held.values():
        pma.save(at_rest(flow, (0.1, 0.2), t=0.25), path)
        before = path.read_bytes()
        assert pma.save(at_rest(flow, times, INTERRUPTED, t), path) == beside
        assert path.read_bytes() == before
        assert pma.load(beside).times.tolist() == list(times)
    assert (
        pma.save(at_rest(flow, (), INTERRUPTED, 0.0), path).name == "run.unfinished-2.npz"
    )  # the one beside holds more too
    assert pma.save(at_rest(flow, (0.1, 0.2, 0.3), INTERRUPTED), path) == path  # it holds more itself
    assert pma.save(at_rest(flow, (0.05,)), path) == path  # what was asked for, whole


def test_an_unfinished_run_replaces_no_other_file(flow, tmp_path):
    path = tmp_path / "run.npz"
    other = pma.MongeAmpere(flow.problem, rtol=1e-8)
    for write in (
        lambda: pma.save(at_rest(other), path),
        lambda: np.savez(path, mu=X),
        lambda: path.write_text("notes"),
    ):
        write()
        before = path.read_bytes()
        assert pma.save(at_rest(flow, (0.1, 0.2), INTERRUPTED), path) != path
        assert path.read_bytes() == before


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_files_obey_the_umask_and_keep_their_permissions(flow, tmp_path):
    for mask, mode in ((0o022, 0o644), (0o077, 0o600), (0o002, 0o664)):
        old = os.umask(mask)
        try:
            path = pma.save(at_rest(flow), tmp_path / f"{mask}.npz")
        finally:
            os.umask(old)
        assert path.stat().st_mode & 0o777 == mode
    path.chmod(0o640)
    link = tmp_path / "link.npz"
    link.symlink_to(path)
    pma.save(at_rest(flow, (0.5,)), link)
    assert path.stat().st_mode & 0o777 == 0o640
    assert link.is_symlink()
    assert pma.load(path).times.tolist() == [0.5]
