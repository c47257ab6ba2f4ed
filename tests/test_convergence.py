"""Errors between trajectories, running orders and verdicts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pmasolve import Band, FiniteDifference, MongeAmpere, Problem, Study, Torus, Trajectory, compare, evolve
from pmasolve.studies.convergence import format_table, running_orders

TAU = 2 * np.pi


def run(n: int = 64, space: FiniteDifference | None = None) -> Trajectory:
    """A short PMA run in one dimension."""
    problem = Problem(Torus((n,)), lambda x: 0.3 * np.cos(TAU * x), lambda y: 0.2 * np.sin(TAU * y))
    flow = MongeAmpere(problem, rtol=1e-9)
    return evolve(flow if space is None else replace(flow, space=space), [0.01, 0.02])


def shifted(trajectory: Trajectory, change: np.ndarray | float) -> Trajectory:
    """The trajectory with something added to its potentials."""
    return replace(trajectory, potentials=trajectory.potentials + change)


def test_a_trajectory_has_no_distance_from_itself_nor_from_its_shift_by_a_constant() -> None:
    flow = run()
    for other in (flow, shifted(flow, 7.0)):
        assert (
            max(np.max(column) for column in compare(flow, other).columns().values()) < 1e-9
        )  # D²u amplifies rounding


def test_errors_are_those_of_a_known_change() -> None:
    flow = run()
    x = flow.flow.problem.domain.axis(0)
    errors = compare(shifted(flow, 1e-6 * np.cos(TAU * x)), flow).last()
    assert errors["sup"] == pytest.approx(1e-6, rel=1e-6)
    assert errors["l2"] == pytest.approx(1e-6 / np.sqrt(2), rel=1e-6)
    assert errors["gradient"] == pytest.approx(TAU * 1e-6, rel=1e-6)


def test_norms_do_not_depend_on_the_grid() -> None:
    sizes = []
    for n in (32, 64):
        flow = run(n)
        sizes.append(compare(shifted(flow, 1e-3 * np.cos(TAU * flow.flow.problem.domain.axis(0))), flow).last()["l2"])
    assert sizes[0] == pytest.approx(sizes[1], rel=1e-12)


def test_kl_is_not_negative_where_the_masses_differ() -> None:
    assert np.all(compare(run(space=FiniteDifference(2)), run()).kl > 0)


def test_kl_of_a_small_change_is_half_its_weighted_square() -> None:
    flow = run()
    x = flow.flow.problem.domain.axis(0)
    other = shifted(flow, 1e-5 * np.cos(TAU * x))
    ratio = other.log_density(1) - flow.log_density(1)
    half_square = 0.5 * flow.flow.problem.domain.integral(np.exp(flow.log_density(1)) * ratio**2)
    assert compare(other, flow).kl[1] == pytest.approx(half_square, rel=1e-2)


def test_other_grids_and_other_times_are_refused() -> None:
    flow = run()
    with pytest.raises(ValueError, match="same nodes"):
        compare(flow, run(32))
    with pytest.raises(ValueError, match="same times"):
        compare(flow, replace(flow, times=flow.times + 0.001))


def test_orders_of_powers_are_their_exponents() -> None:
    values = np.array([0.1, 0.04, 0.02])
    for order in (1, 2, 3.5):
        np.testing.assert_allclose(running_orders(values, 3 * values**order), order, rtol=1e-12)


def test_a_study_runs_coarse_to_fine_and_refuses_other_orders() -> None:
    seen = []
    study = Study.over("h", [0.2, 0.1], lambda h: seen.append(h) or {"sup": h**2, "l2": h})
    assert seen == [0.2, 0.1]
    assert study.orders("l2") == pytest.approx([1.0])
    for values in ([0.1, 0.2], [0.1], [0.1, 0.0]):
        with pytest.raises(ValueError, match="decreasing"):
            Study.over("h", values, lambda h: {"sup": h})


def test_errors_of_zero_give_no_warning_and_no_pass() -> None:
    study = Study.over("h", [0.2, 0.1, 0.05], lambda h: {"sup": 0.0})
    assert not study.verdict("sup", Band(1.9, 2.1))


@pytest.mark.parametrize(
    ("errors", "holds"),
    [
        ([4e-2, 1e-2, 2.5e-3], True),
        ([4e-2, 1e-2, 5e-3], False),  # the last pair is of order 1
        ([2e-2, 1e-2, 2.5e-3], False),  # the pair before is
        ([4.0, 1.0, 0.25], False),  # the right order, too large
        ([4e-2, 1e-2, np.nan], False),
    ],
)
def test_a_band_wants_rate_and_size_on_the_last_two_pairs(errors: list[float], holds: bool) -> None:
    study = Study("h", np.array([0.2, 0.1, 0.05]), {"sup": np.array(errors)})
    assert study.verdict("sup", Band(1.9, 2.1, below=1e-1)) is holds


def test_a_band_refuses_too_few_levels() -> None:
    study = Study("h", np.array([0.2, 0.1]), {"sup": np.array([4e-2, 1e-2])})
    assert not study.verdict("sup", Band(1.9, 2.1))
    assert study.verdict("sup", Band(1.9, 2.1, last=1))


def test_tables_align_and_leave_the_first_order_empty() -> None:
    lines = Study("eps", np.array([0.2, 0.1]), {"sup": np.array([4e-2, 1e-2])}).table().splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[1].split() == ["2.000e-01", "4.000e-02"]
    assert lines[2].split() == ["1.000e-01", "1.000e-02", "2.000"]
    assert format_table({"t": np.array([1.0])}).splitlines()[1].strip() == "1.000e+00"


@pytest.mark.parametrize(
    ("errors", "words"),
    [
        ({"sup": -1e-3}, r"the error sup at h=0\.1 is -0\.001: errors are ≥ 0"),
        ({"sup": 1j}, r"the error sup at h=0\.1=1j: give a real number"),
        ({"sup": "small"}, "give a real number"),
        ({"sup": np.array([1.0, 2.0])}, "give a real number"),
        ([1.0], "errors by name"),
    ],
)
def test_errors_that_are_none_are_refused(errors: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Study.over("h", [0.1, 0.05], lambda h: errors)


def test_a_study_wants_the_same_errors_at_each_value() -> None:
    with pytest.raises(ValueError, match=r"h=0\.05 gave .*the same at each value \(sup\)"):
        Study.over("h", [0.1, 0.05], lambda h: {"sup": h} if h > 0.07 else {"l2": h})
    found = Study.over("h", [0.1, 0.05], lambda h: {"kl": np.nan, "sup": h})  # samples have no densities
    assert np.isnan(found.errors["kl"]).all()
