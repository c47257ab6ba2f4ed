"""The contract of `evolve`, over a toy flow and over every flow of the package."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from cases import T1_START

from pmasolve import (
    CHI_SQUARED,
    FORWARD,
    JKO,
    PLAIN,
    SELF,
    SYMMETRIC,
    BregmanProximal,
    ConstantSteps,
    Event,
    FiniteDifference,
    FokkerPlanck,
    LinearisedMongeAmpere,
    MirrorDescent,
    MongeAmpere,
    Outcome,
    Problem,
    Richardson,
    Sinkhorn,
    SinkhornFlow,
    Stopped,
    StopWhen,
    Torus,
    Trajectory,
    evolve,
    resume,
)
from pmasolve.flows.trajectories import ErrorEstimate
from pmasolve.problems.outcomes import CONVEXITY_LOST, INTERRUPTED, REACHED
from pmasolve.sinkhorn.softmin.dense import Dense

EPS = 1 / 512
PAGE = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")


def _shown() -> type:
    """The flow of CONTRIBUTING.md, shorter than 40 lines."""
    (code, *_), names = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL), {}
    exec(code, names)
    body = [line for line in code.partition("@dataclass")[2].splitlines() if line.strip()]
    assert len(body) < 40
    return names["Euler"]


EULER = _shown()
FLOWS = {
    "MongeAmpere": lambda p: MongeAmpere(p, rtol=1e-9),
    "MongeAmpere, differences": lambda p: MongeAmpere(p, space=FiniteDifference(4), rtol=1e-9),
    "LinearisedMongeAmpere": lambda p: LinearisedMongeAmpere(p, p.f / 2, rtol=1e-9),
    "Sinkhorn, plain": lambda p: Sinkhorn(p, EPS, gauge=PLAIN),
    "Sinkhorn, symmetric": lambda p: Sinkhorn(p, EPS, gauge=SYMMETRIC),
    "Sinkhorn, self": lambda p: Sinkhorn(p, EPS, gauge=SELF),
    "Sinkhorn, forward": lambda p: Sinkhorn(p, EPS, gauge=FORWARD),
    "Sinkhorn, dense": lambda p: Sinkhorn(p, EPS, softmin=Dense()),
    "Sinkhorn, other objective": lambda p: Sinkhorn(p, EPS, objective=CHI_SQUARED),
    "Sinkhorn, shorter steps": lambda p: Sinkhorn(p, EPS, step=EPS / 2),
    "SinkhornFlow": lambda p: SinkhornFlow(p, EPS),
    "Richardson": lambda p: Richardson(p, EPS, levels=2),
    "MirrorDescent": lambda p: MirrorDescent(p, ConstantSteps(EPS), modes=4),
    "BregmanProximal": lambda p: BregmanProximal(p, EPS),
    "FokkerPlanck": lambda p: FokkerPlanck(p),
    "JKO": lambda p: JKO(p, EPS),
    "Euler of CONTRIBUTING": lambda p: EULER(p, EPS / 64),
}
ADAPTIVE = {"MongeAmpere", "LinearisedMongeAmpere", "FokkerPlanck", "SinkhornFlow"}  # in time
TIMES = [2 * EPS, 5 * EPS, 16 * EPS]


@dataclass(frozen=True)
class ToyState:
    """Steps taken."""

    t: float
    u: np.ndarray
    k: int = 0
    outcome: Outcome = REACHED

    @property
    def record(self) -> dict[str, float]:
        """The count."""
        return {"k": self.k}


@dataclass(frozen=True)
class Toy:
    """u(t) = u₀ + t in steps of at most dt; at step ``bad`` it does what it is told."""

    dt: float = 0.25
    bad: int = -1
    ending: Outcome | BaseException = REACHED
    problem: Problem = field(default_factory=lambda: Problem(Torus((4,)), np.zeros(4), np.zeros(4)))

    def admit(self, times: np.ndarray) -> None:
        """All."""

    def start(self, initial: np.ndarray) -> ToyState:
        """At 0."""
        return ToyState(0.0, initial)

    def advance(self, state: ToyState, until: float) -> ToyState:
        """One step."""
        t = min(until, state.t + self.dt)
        if state.k + 1 == self.bad:
            if isinstance(self.ending, BaseException):
                raise self.ending
            return ToyState(t, state.u, state.k + 1, self.ending)
        return ToyState(t, state.u + (t - state.t), state.k + 1)

    def resume(self, potential: np.ndarray, t: float) -> ToyState:
        """Go on."""
        return ToyState(t, potential)

    def potential(self, state: ToyState) -> np.ndarray:
        """u."""
        return state.u


@dataclass(frozen=True)
class Telling(Toy):
    """The toy with all optional members."""

    report = {"engine": "toy"}  # noqa: RUF012

    def fields(self, state: ToyState) -> dict[str, np.ndarray]:
        """The step count, as a field."""
        return {"k": np.full(4, state.k)}

    @property
    def reading(self) -> Telling:
        """Itself."""
        return self

    def map(self, u: np.ndarray, v: np.ndarray | None = None) -> np.ndarray:
        """Nowhere."""
        return np.full((1, 4), 7.0)

    def log_density(self, u: np.ndarray) -> np.ndarray:
        """Anything."""
        return 0 * u + 3.0

    def error_estimate(self, trajectory: Trajectory) -> ErrorEstimate:
        """One."""
        return ErrorEstimate(trajectory.times, 0 * trajectory.times, 1 + 0 * trajectory.times)


def test_optional_members_serve() -> None:
    run = evolve(Telling(), [0.5])
    assert run.provenance["engine"] == "toy"
    assert np.all(run.fields["k"] == 2)
    assert np.all(run.map(0) == 7)
    assert np.all(run.log_density(0) == 3)
    assert run.error_estimate().total == 1


def test_defaults_serve_where_a_flow_has_none() -> None:
    run = evolve(Toy(), [0.5])
    assert "engine" not in run.provenance
    assert run.fields == {}
    assert np.allclose(run.map(0), run.flow.problem.domain.points)  # u is constant
    assert np.allclose(run.log_density(0), 0, atol=1e-15)
    with pytest.raises(ValueError, match=r"Toy has no error_estimate: .*by_refinement"):
        run.error_estimate()


def test_an_error_inside_an_optional_member_is_not_its_absence(line: Problem) -> None:
    class Broken(Toy):
        @property
        def reading(self) -> object:
            return self.nothing

    with pytest.raises(AttributeError, match="nothing"):
        evolve(Broken(), [0.5]).map(0)


def test_the_default_reading_takes_the_derivatives_of_the_flow(line: Problem) -> None:
    """Of order 2, if the flow says so: the map of a known potential is off by more than Fourier's."""

    @dataclass(frozen=True)
    class Spaced(Toy):
        space: FiniteDifference = field(default=FiniteDifference(2))

    flows = Toy(problem=line), Spaced(problem=line)
    maps = [evolve(flow, [0.25], initial=T1_START(line.domain.points)).map(0) for flow in flows]
    assert 1e-6 < np.max(np.abs(maps[0] - maps[1])) < 1e-2


def test_toy_visits_exactly_the_requested_times() -> None:
    times = [0.0, 0.1, 0.7, 1.0]
    run = evolve(Toy(), times, initial=np.arange(4.0))
    assert np.array_equal(run.times, times)
    assert np.allclose(run.potentials, np.arange(4.0) + np.array(times)[:, None], atol=1e-15)
    assert run.outcome is REACHED
    assert np.array_equal(run.records["k"], np.arange(1, 7))
    assert np.allclose(run.records["t"], [0.1, 0.35, 0.6, 0.7, 0.95, 1.0])
    assert np.max(np.abs(run.centred.mean(axis=1))) < 1e-15


def test_scalar_time_and_start_at_zero() -> None:
    run = evolve(Toy(), 0.5)
    assert run.potentials.shape == (1, 4)
    assert np.all(run.potentials == 0.5)


BROKEN = Outcome("broken", False, "buy another")


def test_bad_outcome_keeps_what_was_reached() -> None:
    run = evolve(Toy(bad=4, ending=BROKEN), [0.25, 0.5, 0.75, 1.0], throw=False)
    assert run.outcome is BROKEN
    assert np.array_equal(run.times, [0.25, 0.5, 0.75])
    assert run.potentials.shape == (3, 4)
    assert run.records["k"][-1] == 4


def test_throw_raises_with_the_advice_and_the_trajectory() -> None:
    with pytest.raises(Stopped, match="broken: buy another") as caught:
        evolve(Toy(bad=3, ending=BROKEN), [0.25, 1.0])
    assert np.array_equal(caught.value.trajectory.times, [0.25])


def test_interruption_keeps_what_was_computed() -> None:
    flow = Toy(bad=3, ending=KeyboardInterrupt())
    run = evolve(flow, [0.25, 0.5, 0.75], throw=False)
    assert run.outcome is INTERRUPTED
    assert np.array_equal(run.times, [0.25, 0.5])
    with pytest.raises(Stopped, match="interrupted") as caught:
        evolve(flow, [0.25, 0.5, 0.75])
    assert np.array_equal(caught.value.trajectory.potentials, run.potentials)


def test_interruption_before_the_first_time() -> None:
    run = evolve(Toy(bad=1, ending=KeyboardInterrupt()), [0.25], throw=False)
    assert run.times.shape == (0,)
    assert run.potentials.shape == (0, 4)
    assert run.records == {}


def test_other_exceptions_are_not_swallowed() -> None:
    with pytest.raises(ZeroDivisionError):
        evolve(Toy(bad=2, ending=ZeroDivisionError()), [1.0], throw=False)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, ZeroDivisionError])
def test_integrator_lets_exceptions_through(line: Problem, kind, monkeypatch) -> None:
    """Raised inside a right-hand side, from which CVODE calls back."""
    flow, calls = MongeAmpere(line), 0
    original = type(flow.operators).jet

    def jet(self, coefficients, out=None):
        nonlocal calls
        calls += 1
        if calls > 60:
            raise kind
        return original(self, coefficients, out)

    monkeypatch.setattr(type(flow.operators), "jet", jet)
    times = np.linspace(0, 0.2, 101)[1:]
    if kind is KeyboardInterrupt:
        run = evolve(flow, times, throw=False)
        assert run.outcome is INTERRUPTED
        assert 0 < run.times.size < 100
    else:
        with pytest.raises(kind):
            evolve(flow, times, throw=False)


@pytest.mark.parametrize("name", FLOWS)
def test_contract(name: str, line: Problem) -> None:
    flow, start = FLOWS[name](line), T1_START(line.domain.points)
    kept = start.copy()
    run = evolve(flow, TIMES, initial=start)
    assert np.array_equal(start, kept), "the start was changed"
    assert np.array_equal(run.times, TIMES)
    assert run.potentials.shape == (3, 64)
    assert run.outcome.ok
    assert run.flow is flow
    t = run.records["t"]
    assert np.all(np.diff(t) >= 0)
    assert set(TIMES) <= set(t), "every requested time is one that was reached exactly"
    assert all(column.shape == t.shape for column in run.records.values())
    assert {"pmasolve", "numpy", "python", "machine", "seconds"} <= set(run.provenance)
    for i in range(3):
        assert run.map(i).shape == (1, 64)
        mass = line.domain.integral(np.exp(run.log_density(i)))
        # spectral: round-off; differences of order 4: what their error in D²u allows
        assert mass == pytest.approx(1.0, abs=1e-11 if "differences" not in name else 1e-5)


@pytest.mark.parametrize("name", FLOWS)
def test_time_zero_is_the_start(name: str, line: Problem) -> None:
    flow, start = FLOWS[name](line), T1_START(line.domain.points)
    run = evolve(flow, [0.0, EPS], initial=start)
    expected = start
    if name == "Sinkhorn, forward":  # φ₀ = u₀ + ε(½f + log ρ₀)
        expected = start + EPS * (0.5 * line.f + flow.reading.log_density(start))
    assert np.max(np.abs(run.potentials[0] - expected)) < 1e-15


@pytest.mark.parametrize("name", FLOWS)
def test_intermediate_times_change_nothing(name: str, line: Problem) -> None:
    flow, start = FLOWS[name](line), T1_START(line.domain.points)
    many = evolve(flow, TIMES, initial=start).potentials[-1]
    once = evolve(flow, TIMES[-1:], initial=start).potentials[-1]
    assert np.max(np.abs(many - once)) <= (1e-10 if ADAPTIVE & {name.split(",")[0]} else 0.0)


@pytest.mark.parametrize("name", FLOWS)
def test_resume(name: str, line: Problem) -> None:
    flow, start = FLOWS[name](line), T1_START(line.domain.points)
    whole = evolve(flow, [8 * EPS, 16 * EPS], initial=start)
    first = evolve(flow, [8 * EPS], initial=start)
    if name == "LinearisedMongeAmpere":
        with pytest.raises(ValueError, match="evolve it from t = 0"):
            resume(first, [16 * EPS])
        return
    both = resume(first, [16 * EPS])
    assert np.array_equal(both.times, whole.times)
    assert np.array_equal(both.potentials[0], whole.potentials[0])
    # CVODE restarts at order 1; Richardson's runs restart together: the estimate of its error is the yardstick
    tolerance = 5e-9 if ADAPTIVE & {name.split(",")[0]} else 1e-15
    if name == "Richardson":
        tolerance = whole.records["error_estimate"][-1]
    assert np.max(np.abs(both.potentials[1] - whole.potentials[1])) < tolerance
    with pytest.raises(ValueError, match="later"):
        resume(whole, [8 * EPS])


def test_resume_after_an_interruption() -> None:
    flow = Toy(bad=3, ending=KeyboardInterrupt())
    run = evolve(flow, [0.25, 1.0], throw=False)
    assert run.latest[0] == 0.5  # between the requested times
    rest = resume(run, [0.75, 1.0], throw=False)  # fewer than three steps are left
    assert np.array_equal(rest.times, [0.25, 0.75, 1.0])
    assert np.allclose(rest.potentials, rest.times[:, None], atol=1e-15)
    assert rest.outcome is REACHED


def test_events_end_a_run_well() -> None:
    run = evolve(Telling(), [1.0, 2.0], events=[Event("k", above=2.5)])
    assert run.outcome.ok
    assert run.outcome.name == "event: k above 2.5"
    assert np.array_equal(run.times, [0.75])
    assert np.all(run.fields["k"] == 3)
    with pytest.raises(ValueError, match="records t, k"):
        evolve(Toy(), [1.0], events=[Event("entropy", below=0)])


def _folding() -> tuple[Problem, np.ndarray]:
    """A start that is convex at twelve nodes, and whose map folds between them."""
    problem = Problem(Torus((12,)), np.zeros(12), np.zeros(12))
    return problem, 3e-3 * np.random.default_rng(1165).standard_normal(12)


@pytest.mark.parametrize(
    "make",
    [
        MongeAmpere,
        lambda p: LinearisedMongeAmpere(p, p.f),
        lambda p: BregmanProximal(p, 1e-9),
        lambda p: MirrorDescent(p, ConstantSteps(1e-9)),
    ],
    ids=["MongeAmpere", "LinearisedMongeAmpere", "BregmanProximal", "MirrorDescent"],
)
@pytest.mark.parametrize("stop", [{}, {"events": [Event("mass", below=2)]}, {"on_step": StopWhen(lambda step: True)}])
def test_no_folding_map_is_handed_out(make, stop: dict) -> None:
    """An event between the requested times ended well with any state, and `MirrorDescent` looked nowhere."""
    problem, initial = _folding()
    run = evolve(make(problem), [1e-6 if stop else 1e-9], initial=initial, throw=False, **stop)
    assert (run.outcome.ok, run.times.size) == (False, 0)
    assert "folds between nodes" in run.outcome.advice


@pytest.mark.parametrize("make", [Sinkhorn, SinkhornFlow, lambda p, eps: Richardson(p, 4 * eps)])
def test_an_event_does_not_hide_an_unresolved_eps(make) -> None:
    x, eps = 2 * np.pi * np.arange(32) / 32, 1.5 / 32**2
    run = evolve(
        make(Problem(Torus((32,)), 2 * np.cos(x), -2 * np.cos(x)), eps),
        [1600 * eps],
        events=[Event("t", above=7 * eps)],
        throw=False,
    )
    assert (run.outcome.name, run.times.size) == ("eps unresolved", 0)


def test_an_event_does_not_hide_a_potential_that_was_not_found() -> None:
    """The step of JKO was returned with a potential whose least eigenvalue is −0.39, well."""
    x = 2 * np.pi * np.arange(64) / 64
    flow = JKO(Problem(Torus((64,)), 0.3 * np.cos(x), 10 * np.cos(x)), 1e-4)
    run = evolve(flow, [1e-3], events=[Event("kl", above=0)], throw=False)
    assert (run.outcome.name, run.times.size) == ("convexity lost", 0)


def test_an_event_on_a_step_that_failed() -> None:
    """It was a ``ValueError``: the record of a step whose last state was refused has fewer columns."""

    class Mute(Telling):
        """Its failing step records nothing."""

        def advance(self, state: ToyState, until: float) -> ToyState:
            """One step, the second of which fails."""
            return _Failed(state.t, state.u, 2, CONVEXITY_LOST) if state.k == 1 else super().advance(state, until)

    run = evolve(Mute(), [1.0], events=[Event("k", above=9)], throw=False)
    assert run.outcome == CONVEXITY_LOST


class _Failed(ToyState):
    record = {}  # noqa: RUF012


def test_events_of_the_time() -> None:
    run = evolve(Telling(), [1.0, 2.0], events=[Event("t", above=0.6)])
    assert np.array_equal(run.times, [0.75])


def test_steady_state_by_an_event(line: Problem) -> None:
    run = evolve(MongeAmpere(line, rtol=1e-9), [9.0], events=[Event("speed", below=1e-6)])
    assert run.outcome.name.startswith("event: speed")
    assert run.times[0] < 1
    assert np.ptp(line.f + run.log_density(0)) < 1e-5


@pytest.mark.parametrize("name", FLOWS)
def test_no_start_is_zero(name: str, line: Problem) -> None:
    flow = FLOWS[name](line)
    default = evolve(flow, [EPS]).potentials
    assert np.array_equal(default, evolve(flow, [EPS], initial=np.zeros(64)).potentials)


@pytest.mark.parametrize("name", FLOWS)
def test_runs_are_reproducible(name: str, line: Problem) -> None:
    assert np.array_equal(*(evolve(FLOWS[name](line), [4 * EPS]).potentials for _ in range(2)))


@pytest.mark.parametrize("name", FLOWS)
def test_between_the_stored_times(name: str, line: Problem) -> None:
    flow, start = FLOWS[name](line), T1_START(line.domain.points)
    run = evolve(flow, [4 * EPS, 16 * EPS], initial=start)
    whole = evolve(flow, [2 * EPS, 4 * EPS, 8 * EPS, 16 * EPS], initial=start)
    tolerance = 5e-9 if ADAPTIVE & {name.split(",")[0]} else 1e-15
    if name == "Richardson":  # its runs restart together: the estimate of its error is the yardstick
        tolerance = whole.records["error_estimate"][7]
    for i, t in enumerate(whole.times):
        if name == "LinearisedMongeAmpere" and t == 8 * EPS:
            with pytest.raises(ValueError, match="evolve it from t = 0"):
                run.at(t)
            continue
        here = run.at(t)
        assert here.flow is flow
        assert here.outcome == REACHED
        assert np.array_equal(here.times, [t])
        assert here.latest[0] == t
        assert here.records["t"][-1] == t
        assert np.max(np.abs(here.potentials[0] - whole.potentials[i])) < tolerance
        assert all(np.array_equal(here.potentials[0], u) for u in run.potentials[run.times == t]), "stored: as it is"
        assert np.max(np.abs(here.map(0) - whole.map(i))) < 100 * tolerance
        assert np.max(np.abs(here.log_density(0) - whole.log_density(i))) < 1e4 * tolerance
        assert here.fields.keys() == whole.fields.keys()
        assert all(
            np.max(np.abs(values[0] - whole.fields[key][i])) < 1e3 * tolerance for key, values in here.fields.items()
        )
    assert run.at(4 * EPS).map(0).shape == (1, 64)
    assert len(run.at(8 * EPS if "Linearised" not in name else 2 * EPS).records["t"]) > 0


def test_steps_between_are_those_from_the_last_stored_time() -> None:
    run = evolve(Toy(), [0.5, 2.0])
    assert np.array_equal(run.at(1.1).records["t"], [0.75, 1.0, 1.1])
    assert np.array_equal(run.at(0.3).records["t"], [0.25, 0.3])
    assert np.array_equal(run.at(0.5).records["t"], [0.25, 0.5])
    assert np.array_equal(run.at(0.0).potentials, np.zeros((1, 4)))
    assert np.allclose(run.at(2.0).potentials, 2.0)


@pytest.mark.parametrize("t", [-0.1, 0.6, np.nan, np.inf])
def test_no_state_outside_of_what_was_reached(t: float) -> None:
    with pytest.raises(ValueError, match=r"the trajectory goes from 0 to 0\.5; resume"):
        evolve(Toy(), [0.5]).at(t)


def test_between_times_the_flow_has_the_last_word(line: Problem) -> None:
    run = evolve(Sinkhorn(line, EPS), [4 * EPS])
    with pytest.raises(ValueError, match="not a multiple of eps"):
        run.at(1.5 * EPS)
    flow = Toy(bad=2, ending=BROKEN)
    run = Trajectory(flow, np.array([0.25, 1.0]), np.zeros((2, 4)), REACHED, (1.0, np.zeros(4)), np.zeros(4))
    with pytest.raises(Stopped, match="broken") as caught:
        run.at(0.9)
    assert caught.value.trajectory.times[0] == 0.75


def test_outcomes_of_one_name_are_equal_whatever_their_advice() -> None:
    assert BROKEN.advising("mend it") == BROKEN
    assert str(BROKEN.advising("mend it")) == "broken: mend it"
    assert INTERRUPTED != REACHED
    assert Outcome("reached", False) != REACHED


def test_the_flow_shown_says_when_its_steps_are_too_long(line: Problem) -> None:
    run = evolve(EULER(line, EPS), [16 * EPS], initial=T1_START(line.domain.points), throw=False)
    assert run.outcome == CONVEXITY_LOST
    assert "shorter" in run.outcome.advice


def test_progress_bar_runs(line: Problem, capsys) -> None:
    evolve(Sinkhorn(line, EPS), [4 * EPS], progress=True)
    assert capsys.readouterr().out == ""  # it belongs on stderr
