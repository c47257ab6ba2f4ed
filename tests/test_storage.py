"""Files: what is saved comes back, runs go on, and bad files are refused."""

import numpy as np
import pytest

import pmasolve as pma


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


@pytest.mark.parametrize("gauge", [pma.PLAIN, pma.SYMMETRIC, pma.FORWARD])
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
    for name, words in (("half", "truncated"), ("text", "not a pmasolve"), ("foreign", "lacks")):
        with pytest.raises(ValueError, match=words):
            pma.load(tmp_path / f"{name}.npz", flow)
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
