"""Who looks on while a flow runs: listeners of ``on_step``, and signs of life on terminals and off them."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from cases import t1
from rich.console import Console

import pmasolve as pma
from pmasolve.flows.trackers import Every
from pmasolve.machine import progress
from pmasolve.problems.outcomes import LISTENER_FAILED, UNDER_WAY

EPS = 1 / 64
LINE = t1(32)


def sinkhorn(times, **options) -> pma.Trajectory:
    """Steps of 1/64 on a line."""
    return pma.evolve(pma.Sinkhorn(LINE, EPS), times, **options)


def test_every_step_is_told_and_nothing_is_changed() -> None:
    seen = []
    run = sinkhorn([3 * EPS, 6 * EPS], on_step=[lambda step: seen.append(step), lambda step: None])
    assert [step.t for step in seen] == run.records["t"].tolist() == pytest.approx([k * EPS for k in range(1, 7)])
    assert [step.count for step in seen] == [1, 2, 3, 4, 5, 6]
    assert seen[0].record["mass"] == run.records["mass"][0]
    np.testing.assert_array_equal(seen[2].potential, run.potentials[0])
    np.testing.assert_array_equal(seen[5].now.map(0), run.map(1))
    np.testing.assert_array_equal(seen[5].now.log_density(0), run.log_density(1))
    np.testing.assert_array_equal(sinkhorn([3 * EPS, 6 * EPS]).potentials, run.potentials)


def test_the_run_so_far_can_be_gone_on_with() -> None:
    kept = {}
    whole = sinkhorn([2 * EPS, 6 * EPS], on_step=lambda step: kept.update({step.count: step.run()}))
    half = kept[4]
    assert half.outcome == UNDER_WAY
    assert half.times.tolist() == [2 * EPS]
    assert half.latest[0] == 4 * EPS
    rest = pma.resume(half, [6 * EPS], on_step=lambda step: kept.update(last=step.run()))
    np.testing.assert_array_equal(rest.potentials, whole.potentials)
    assert kept["last"].records["t"].size == 6  # the old steps and the new ones


def test_a_requested_time_is_part_of_the_run_so_far() -> None:
    """Saved at the very step that reaches it, it was missing, and resume could not go back to it."""
    runs = []
    sinkhorn([2 * EPS, 3 * EPS], on_step=lambda step: runs.append(step.run()))
    assert [run.times.size for run in runs] == [0, 1, 2]
    assert runs[1].latest[0] == runs[1].times[-1] == 2 * EPS


def test_a_run_is_saved_while_it_goes_on(tmp_path: Path) -> None:
    """Killed after the third of six steps, it is there up to the second."""
    path = tmp_path / "run.npz"

    def killed(step: pma.Step) -> None:
        if step.count == 3:
            raise SystemExit

    with pytest.raises(SystemExit):
        sinkhorn([EPS, 6 * EPS], on_step=[killed, pma.SaveEvery(path, steps=2)])
    stored = pma.load(path, pma.Sinkhorn(LINE, EPS))
    assert (stored.latest[0], stored.times.tolist()) == (2 * EPS, [EPS])
    rest = pma.resume(stored, [6 * EPS], on_step=pma.SaveEvery(path, steps=1))
    np.testing.assert_array_equal(rest.potentials, sinkhorn([EPS, 6 * EPS]).potentials)
    assert pma.load(path).records["t"].size == 6
    assert [file.name for file in tmp_path.iterdir()] == ["run.npz"]


def test_seconds_are_counted_by_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(0, 1000, 10))  # ten seconds at every look
    monkeypatch.setattr(progress, "clock", lambda: float(next(now)))
    every = Every(seconds=25.0)
    assert [every.due(k) for k in range(6)] == [False, False, True, False, False, True]


def test_a_condition_ends_a_run_well() -> None:
    run = sinkhorn([8 * EPS], on_step=pma.StopWhen(lambda step: step.count == 3, "three steps"))
    assert (run.outcome.name, run.outcome.ok) == ("stopped: three steps", True)
    assert run.times.tolist() == [3 * EPS]
    own = pma.Outcome("enough", True)
    assert sinkhorn([8 * EPS], on_step=lambda step: own).times.tolist() == [EPS]


@pytest.mark.parametrize("answer", [True, "stop", 1 / 3])
def test_an_answer_that_is_none_is_refused(answer: object) -> None:
    with pytest.raises(pma.Stopped, match="return None to go on, or an Outcome") as raised:
        sinkhorn([2 * EPS], on_step=lambda step: answer)
    assert raised.value.trajectory.latest[0] == EPS


def test_an_error_of_a_listener_loses_nothing() -> None:
    """After hours of a run: what was reached is there, and the error is the cause."""

    def wrong(step: pma.Step) -> None:
        if step.count == 4:
            _ = {}["nothing"]

    with pytest.raises(pma.Stopped, match="KeyError") as raised:
        sinkhorn([2 * EPS, 8 * EPS], on_step=wrong)
    assert isinstance(raised.value.__cause__, KeyError)
    run = raised.value.trajectory
    assert run.outcome == LISTENER_FAILED
    np.testing.assert_array_equal(pma.resume(run, [8 * EPS]).potentials, sinkhorn([2 * EPS, 8 * EPS]).potentials)
    assert sinkhorn([8 * EPS], on_step=wrong, throw=False).outcome == LISTENER_FAILED


def test_pictures_are_drawn_while_it_goes_on(tmp_path: Path) -> None:
    sinkhorn([6 * EPS], on_step=pma.PlotEvery(tmp_path / "run.svg", steps=3))
    assert sorted(file.name for file in tmp_path.iterdir()) == ["run-000.svg", "run-001.svg"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: pma.SaveEvery(folder / "run", steps=0), "steps=0"),
        (lambda folder: pma.SaveEvery(folder / "run", steps=1, seconds=1), "one of the two"),
        (lambda folder: pma.SaveEvery(folder / "run", seconds=-1.0), "seconds=-1"),
        (lambda folder: pma.SaveEvery(folder / "none" / "run"), "does not exist"),
        (lambda folder: pma.PlotEvery(folder / "run.png"), "one of the two"),
        (lambda folder: pma.PlotEvery(folder / "run.jpg", steps=1), r"\.png, \.svg, \.pdf"),
        (lambda folder: sinkhorn([EPS], on_step=3), "on_step=3"),
        (lambda folder: sinkhorn([EPS], on_step=[pma.SaveEvery]), "on_step=<class"),
        (lambda folder: pma.StopWhen(3), "condition=3: give a function of a Step"),
    ],
)
def test_listeners_that_cannot_work_are_refused_at_once(make, words: str, tmp_path: Path) -> None:
    with pytest.raises((ValueError, OSError), match=words):
        make(tmp_path)


# ---- signs of life ---------------------------------------------------------------------------------------------------------------


class Clock:
    """Seconds that pass only when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "clock", made)
    return made


def test_off_a_terminal_a_line_comes_every_half_minute(clock: Clock, capsys: pytest.CaptureFixture) -> None:
    with progress.progress_bar("Sinkhorn", 100.0, None) as show:
        for k in range(1, 101):
            clock.now = 2.0 * k
            show(float(k), {"mass": 1.0, "a long name of a record": 0.123456789, "another one": 2.0})
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 6
    assert lines[0] == "Sinkhorn: 15%, 0:30 gone, 2:50 left; t=15 mass=1 a long name of a record=0.123"
    assert max(map(len, lines)) < 80


def test_who_asks_gets_the_first_line_soon_and_who_declines_gets_none(
    clock: Clock, capsys: pytest.CaptureFixture
) -> None:
    for wanted, count in ((True, 1), (None, 0), (False, 0)):
        clock.now = 0.0
        with progress.progress_bar("t", 10.0, wanted) as show:
            clock.now = 3.0
            show(5.0, {})
        assert len(capsys.readouterr().err.splitlines()) == count


def test_a_task_within_another_is_told_as_its_share(clock: Clock, capsys: pytest.CaptureFixture) -> None:
    with progress.progress_bar("distances", 4.0, None, "solved") as outer:
        outer(2.0, {})
        with progress.progress_bar("Newton", 10.0, None, "digits") as inner:
            clock.now = 40.0
            inner(5.0, {"defect": 1e-3})
    assert capsys.readouterr().err == "distances: 50% + 50% of a step, 0:40 gone, 0:40 left; solved=2\n"


def test_who_declines_hears_nothing_of_tasks_inside_either(clock: Clock, capsys: pytest.CaptureFixture) -> None:
    """Claims, which declare themselves so, had lines of every long flow between their checks."""
    with progress.progress_bar("a claim", 1.0, False) as outer:
        for wanted in (None, True):
            with progress.progress_bar("Sinkhorn", 10.0, wanted) as inner:
                clock.now += 40.0
                inner(5.0, {})
                progress.tell_share(0.5)
        outer(1.0, {})
    assert capsys.readouterr().err == ""
    assert progress._LISTENER.get() is None


@pytest.mark.parametrize("title", ["MongeAmpere", "scaling study of a long name"])
def test_the_bar_fits_a_terminal_of_eighty_columns(title: str, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bar, percentage and time left: the record beside it had squeezed the bar to nothing."""
    screen = io.StringIO()
    screen.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    with progress.progress_bar(title, 10.0, None) as show:
        show(0.0, {})
        clock.now = 3.0
        show(4.2, {"step": 1.23e-4, "speed": 0.345, "min_eigenvalue": 0.123, "mass": 1.0, "residual": 1e-9})
        bar = progress._LISTENER.get().__closure__
        display = next(cell.cell_contents for cell in bar if isinstance(cell.cell_contents, progress._Bar))
        console = Console(width=80, file=io.StringIO(), color_system=None)
        console.print(display.bar.get_renderable())
        (line,) = console.file.getvalue().splitlines()
    assert len(line) <= 80
    assert title in line
    assert re.search(r"━{6,}", line)
    assert "42%" in line
    assert "left" in line
    assert "t=4.2" in line
    assert "…" in line  # the record as far as there is room
