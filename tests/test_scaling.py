"""Studies of a user's own densities."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pmasolve import PLAIN, Problem, Scaling, ScalingMethod, Torus, scaling_study
from pmasolve.studies.scaling_runs import PLAIN_METHOD, SCALING_METHODS

TAU = 2 * np.pi
EPS = [1 / 128, 1 / 256, 1 / 512]
PROBLEM = Problem(Torus((64,)), lambda x: 0.3 * np.cos(TAU * x), lambda y: 0.3 * np.sin(TAU * y))


@pytest.fixture(scope="module")
def study() -> Scaling:
    """All methods in one dimension."""
    return scaling_study(PROBLEM, eps=EPS, t=1 / 32)


def test_each_method_has_its_order(study: Scaling) -> None:
    print(study)
    rows = str(study).splitlines()
    assert rows[0].split() == ["sup", "plain", "order", "symmetric", "order", "Richardson", "order"]
    assert float(rows[2].split()[3]) == pytest.approx(study.studies["symmetric"].errors["sup"][1], rel=1e-2)
    assert max(map(len, rows)) <= 80
    orders = {method.name: study.studies[method.name].orders("sup")[-1] for method in SCALING_METHODS}
    assert orders["plain"] == pytest.approx(1, abs=0.05)
    assert orders["symmetric"] == pytest.approx(2, abs=0.05)
    assert orders["Richardson"] == pytest.approx(4, abs=0.3)
    assert all(study.verdict(method, norm) for method in SCALING_METHODS for norm in ("sup", "gradient"))
    assert max(study.floor["sup"], study.studies["Richardson"].errors["sup"][-1]) < 1e-8


def test_a_wrong_expectation_fails_and_errors_below_the_references_decide_nothing(study: Scaling) -> None:
    wrong = ScalingMethod("plain", PLAIN, 1, 2.0, 0.2)
    assert study.verdict(wrong) is False
    assert replace(study, methods=(wrong,)).section().verdict == "fails"
    vague = replace(study, methods=(PLAIN_METHOD,), in_space=dict.fromkeys(study.in_space, 1.0))
    assert vague.verdict(PLAIN_METHOD) is None
    assert vague.section().verdict == "undecided"


def test_the_references_error_in_space_counts() -> None:
    """A target with jumps: 3e-11 in time was printed as all there is, while the grid leaves 10⁻⁶ and more."""
    grid = Torus((32,))
    jump = np.where(np.abs(grid.axis(0) - 0.5) < 0.2, 1.5, 1.0)
    found = scaling_study(Problem.from_densities(grid, np.ones(32), jump), eps=[1 / 64, 1 / 128], t=1 / 64, rtol=1e-10)
    assert found.in_time["sup"] < 1e-8
    assert found.in_space["sup"] > 1e-6
    assert found.floor["sup"] == found.in_time["sup"] + found.in_space["sup"]
    told = found.section().facts["Reference"]
    assert f"{found.in_time['sup']:.1e} in time, {found.in_space['sup']:.1e} in space" in told
    assert "refine the grid; kinks" in told
    assert "refine the grid" in " ".join(found.summary().split())


def test_smooth_densities_are_told_nothing_of_the_grid(study: Scaling) -> None:
    assert study.in_space["sup"] < 1e-9
    assert "refine" not in study.section().facts["Reference"]


def test_the_report_is_that_of_the_suite(study: Scaling, tmp_path: Path) -> None:
    page = study.report(tmp_path / "mine", title="My densities").read_text("utf-8")
    assert {path.name for path in (tmp_path / "mine").iterdir()} == {
        "report.html", "results.json", "results.csv", "tables.tex", "orders.svg", "orders.pdf",
    }  # fmt: skip
    assert all(words in page for words in ("<title>My densities", "order (sup)", "symmetric", "64 points"))
    assert page.count("<svg") == 1
    assert "mutation" not in page
    table = (tmp_path / "mine" / "tables.tex").read_text("utf-8")
    assert table.count(r"\begin{table}") == 1
    assert r"\multicolumn{2}{c}{Richardson}" in table
    assert table.count("$2^{-9}$ & ") == 2
    (record,) = json.loads((tmp_path / "mine" / "results.json").read_text("utf-8"))["claims"]
    assert record["holds"] is True
    assert record["checks"][1]["errors"]["sup"] == study.studies["symmetric"].errors["sup"].tolist()


def test_the_report_can_be_repeated(study: Scaling, tmp_path: Path) -> None:
    """Settings, versions, both densities' hashes, the total time and what the user says of them, in the page and beside it."""
    script = "mu = 1 + 0.3*cos(2*pi*x)  # <my file>"
    page = study.report(tmp_path, configuration=script).read_text("utf-8")
    record = json.loads((tmp_path / "results.json").read_text("utf-8"))
    again = record["repeat"]
    assert again["configuration"] == script
    assert "&lt;my file&gt;" in page
    hashes = [hashlib.sha256(values.astype("<f8").tobytes()).hexdigest() for values in (PROBLEM.f, PROBLEM.g)]
    assert list(again["sha256"].values()) == hashes
    assert all(text in page for text in hashes)
    assert again["settings"]["rtol"] == 1e-11
    assert again["settings"]["methods"] == [
        f"{m.name} ({m.gauge.name} gauge, levels {m.levels})" for m in SCALING_METHODS
    ]
    assert again["reference"]["in_space"]["sup"] == study.in_space["sup"]
    assert record["seconds"] == pytest.approx(sum(study.seconds.values()))  # that of the reference was left out
    assert {"numpy", "pmasolve", "python"} <= record["versions"].keys()


def test_the_picture_has_both_errors_and_the_references_own(study: Scaling) -> None:
    axes = study.plot().axes
    assert [axis.get_ylabel() for axis in axes] == ["sup |u − ũ|", "sup |∇u − ∇ũ|"]
    for axis, norm in zip(axes, ("sup", "gradient"), strict=True):
        lines = {line.get_label(): line.get_ydata() for line in axis.get_lines()}
        np.testing.assert_array_equal(lines["Richardson"], study.studies["Richardson"].errors[norm])
        assert lines["error of the reference"][0] == study.floor[norm]
        assert [text.get_text() for text in axis.texts] == ["slope 1", "slope 2", "slope 4"]


def test_what_cannot_be_studied_is_refused_before_any_work() -> None:
    for eps, t, words in (
        ([1 / 256], 1 / 32, "at least two"),
        ([1 / 512, 1 / 256], 1 / 32, "decreasing"),
        (EPS, 0.0, "positive"),
        (EPS, 0.03, "not a multiple"),
    ):
        with pytest.raises(ValueError, match=words):
            scaling_study(PROBLEM, eps=eps, t=t)
    with pytest.raises(ValueError, match="samples"):
        scaling_study(Problem.from_samples([[0.0], [1.0]], [[0.0], [1.0]]), eps=[0.5, 0.25], t=1.0)
