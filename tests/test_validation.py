"""The suite: that it runs end to end, that it fails when a claim fails, and that nothing is lost on the way."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from pmasolve import Band, Study
from pmasolve.studies.tables import cells
from validation import suite
from validation.__main__ import app
from validation.claims import AtLeast, AtMost, Check, Claim, Level, Row
from validation.densities import real_pair
from validation.evidence import against, estimates, inequality
from validation.output import entry

GOOD, BAD = (Study.over("h", [0.2, 0.1, 0.05], lambda h, p=p: {"sup": h**p}) for p in (2, 1))
BAND = {"sup": Band(1.9, 2.1)}


def claim(name: str, study: Callable[[Level], Iterator[Check]]) -> SimpleNamespace:
    """A claim made of a generator of checks."""
    return SimpleNamespace(
        CLAIM=Claim(name, f"The claim {name}", "a < b & c", "arXiv", "2", "0.1", "none", "one"), study=study
    )


def holds(level: Level) -> Iterator[Check]:
    """As it should be."""
    yield Check("case", GOOD, BAND)
    yield Check("case", BAD, BAND, "broken")


def fails(level: Level) -> Iterator[Check]:
    """The wrong order."""
    yield Check("case", BAD, BAND)
    yield Check("case", BAD, BAND, "broken")


def blind(level: Level) -> Iterator[Check]:
    """What was broken is not noticed."""
    yield Check("case", GOOD, BAND)
    yield Check("case", GOOD, BAND, "broken")


def unchallenged(level: Level) -> Iterator[Check]:
    """Nothing is broken, so nothing shows that it can fail."""
    yield Check("case", GOOD, BAND)


def crashes(level: Level) -> Iterator[Check]:
    """Stops halfway."""
    yield Check("case", GOOD, BAND)
    raise RuntimeError("out of paper")


def invoke(out: Path, *arguments: str):
    """Run the command line in this process."""
    return CliRunner().invoke(app, ["--out", str(out), "--jobs", "1", *arguments])


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replace the suite's claims."""
    return lambda *studies: monkeypatch.setattr(suite, "CLAIMS", tuple(claim(s.__name__, s) for s in studies))


def test_a_claim_runs_end_to_end(tmp_path: Path) -> None:
    name = "one-step"
    result = invoke(tmp_path, "--claim", name)
    assert result.exit_code == 0, result.output
    record = json.loads((tmp_path / "results.json").read_text("utf-8"))
    (entry,) = record["claims"]
    assert (entry["name"], entry["holds"], record["holds"], record["level"]) == (name, True, True, "quick")
    assert {"python", "numpy", "pmasolve"} <= set(record["versions"])
    assert any(check["mutation"] for check in entry["checks"])
    assert all(check["holds"] and check["values"] and check["errors"] for check in entry["checks"])
    assert {path.suffix for path in (tmp_path / "claims").glob(f"{name}.*")} == {".svg", ".pdf", ".json"}
    page = (tmp_path / "report.html").read_text("utf-8")
    assert page.count("<svg") == 1
    assert entry["title"] in page
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!#)|url\((?!#)|@import|<script|<link""", page)


def test_results_and_report_hold_every_error_and_verdict(claims: Callable[..., None], tmp_path: Path) -> None:
    claims(holds)
    assert invoke(tmp_path).exit_code == 0
    (entry,) = json.loads((tmp_path / "results.json").read_text("utf-8"))["claims"]
    assert entry["checks"][0]["errors"]["sup"] == pytest.approx([0.04, 0.01, 0.0025])
    assert entry["checks"][1]["orders"]["sup"] == pytest.approx([1, 1])
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "a &lt; b &amp; c" in page
    assert "fails as it must" in page


@pytest.mark.parametrize(
    ("study", "word"), [(fails, "FAILS"), (blind, "MISSED"), (unchallenged, "no mutation"), (crashes, "out of paper")]
)
def test_a_claim_that_does_not_hold_sets_the_exit_code(
    study: Callable, word: str, claims: Callable[..., None], tmp_path: Path
) -> None:
    claims(study, holds)
    result = invoke(tmp_path)
    assert result.exit_code == 1
    assert word in result.output
    record = json.loads((tmp_path / "results.json").read_text("utf-8"))
    assert [entry["holds"] for entry in record["claims"]] == [False, True]  # the others still ran
    assert not record["holds"]


def test_a_crash_keeps_what_came_before_it(claims: Callable[..., None], tmp_path: Path) -> None:
    claims(crashes)
    assert invoke(tmp_path).exit_code == 1
    (entry,) = json.loads((tmp_path / "results.json").read_text("utf-8"))["claims"]
    assert len(entry["checks"]) == 1
    assert "RuntimeError: out of paper" in entry["crash"]
    assert "out of paper" in (tmp_path / "report.html").read_text("utf-8")


def test_an_interruption_keeps_the_claims_that_are_done(claims: Callable[..., None], tmp_path: Path) -> None:
    def interrupted(level: Level) -> Iterator[Check]:
        raise KeyboardInterrupt
        yield

    claims(holds, interrupted)
    assert invoke(tmp_path).exit_code == 130
    assert len(json.loads((tmp_path / "results.json").read_text("utf-8"))["claims"]) == 1


def test_an_unknown_claim_lists_those_there_are(tmp_path: Path) -> None:
    result = invoke(tmp_path, "--claim", "perpetual-motion")
    assert result.exit_code == 2
    assert all(module.CLAIM.name in result.output for module in suite.CLAIMS)


def test_a_directory_that_cannot_be_written_is_said_first(tmp_path: Path, claims: Callable[..., None]) -> None:
    claims(crashes)
    (tmp_path / "file").write_text("in the way")
    result = invoke(tmp_path / "file" / "results")
    assert result.exit_code == 2
    assert "cannot be written" in result.output
    assert "The claim" not in result.output


@pytest.mark.parametrize("module", suite.CLAIMS, ids=lambda module: module.CLAIM.name)
def test_every_claim_says_what_it_needs_to(module) -> None:
    assert all(getattr(module.CLAIM, name) for name in Claim.__dataclass_fields__)
    assert "arXiv" in module.CLAIM.source


@pytest.mark.parametrize("module", suite.CLAIMS, ids=lambda module: module.CLAIM.name)
def test_every_claim_holds_and_every_mutation_is_caught(module: suite.ClaimModule) -> None:
    """What `python -m validation` does, so that the tests notice too."""
    result = suite.run(module, Level.QUICK, lambda row: None)
    assert not result.crash, result.crash
    assert result.mutated
    assert [row.check.label for row in result.rows if not row.check.holds] == []


def test_the_real_densities_are_smooth_positive_and_real() -> None:
    x = np.arange(128) / 128
    for F, contrast in zip(real_pair(2), (2.96, 2.65), strict=True):
        values = F(*np.meshgrid(x, x, indexing="ij"))
        assert np.exp(np.ptp(values)) == pytest.approx(contrast, abs=0.01)
        np.testing.assert_allclose(values, np.roll(values[::-1, ::-1], 1, (0, 1)), atol=1e-12)  # even reflection
        assert np.abs(F.coefficients[-1]).max() < 1e-14
        assert np.abs(F(np.array(0.3), np.array(0.4)) - F(np.array(1.3), np.array(-0.6))) < 1e-12


def test_demands() -> None:
    orders, errors = np.array([0.0]), np.array([1.0, 2.0])
    assert AtMost(2).admits(orders, errors)
    assert not AtMost(1.5).admits(orders, errors)
    assert AtLeast(1).admits(orders, errors)
    assert not AtLeast(1.5).admits(orders, errors)
    assert not AtLeast(1).admits(orders, np.array([np.nan, 2.0]))


def test_numbers_stand_beside_the_papers_and_must_agree() -> None:
    rows = against({"a": (1.01, 1.0), "b": (-2.0, -2.0), "c": (1e-9, 0.0)}, source="arXiv 0, table 1", printed=True)
    assert rows.errors["difference"] == pytest.approx([0.01, 0.0, 1e-9])
    assert Check("case", rows, {"difference": AtMost(0.02)}).holds
    assert not Check("case", rows, {"difference": AtMost(0.005)}).holds
    assert Check("case", rows, {"difference": AtMost(0.005)}, "broken").holds


def test_a_mutation_that_only_breaks_the_program_is_not_caught() -> None:
    for value, holds in ((1.0, True), (np.nan, False), (np.inf, False)):
        study = Study("h", np.array([0.2, 0.1]), {"sup": np.array([1.0, value])})
        assert Check("case", study, {"sup": AtMost(0.5)}, "broken").holds is holds


def test_a_confidence_band_holds_all_rows_at_once_with_its_probability() -> None:
    rng, runs, inside = np.random.default_rng(20261), 2000, 0
    for _ in range(runs):
        draws = {str(i): (mean, 0.1, 0.0) for i, mean in enumerate(0.1 * rng.standard_normal(5))}
        inside += Check("c", estimates(draws, confidence=0.9, seeds=[1]), {"band": AtMost(1)}).holds
    assert 0.9 - 0.02 < inside / runs < 0.9 + 0.02  # independent rows: 0.98⁵ = 0.904
    with pytest.raises(ValueError, match="level in"):
        estimates({"a": (0.0, 1.0, 0.0)}, confidence=1.5, seeds=[1])


def test_an_inequality_fails_at_one_step() -> None:
    step = np.arange(1.0, 1001.0)
    larger = np.where(step == 500, 0.0, 2 / step)
    for bound, holds in ((2 / step, True), (larger, False)):
        check = Check("case", inequality("step", step, 1 / step, bound), {"violation": AtMost(0)})
        assert check.holds is holds
    record = entry(Row(check, 0.0))
    assert 500 in record.values  # the worst row is kept
    assert record.values.size <= 201
    assert len(cells(record)) < 30


def other_evidence(level: Level) -> Iterator[Check]:
    """All kinds beside studies."""
    numbers = against({"a": (1.01, 1.0)}, source="arXiv 0, table 1", printed=True)
    yield Check("numbers", numbers, {"difference": AtMost(0.02)})
    yield Check("numbers", numbers, {"difference": AtMost(0.005)}, "broken")
    band = estimates({"m": (0.1, 0.2, 0.0)}, confidence=0.9, seeds=[3, 5], parameter="t", values=[0.5])
    yield Check("mean", band, {"band": AtMost(1)})
    yield Check("bound", inequality("step", [1, 2, 3], [1, 1, 1], 2, names=("gap", "bound")), {"violation": AtMost(0)})


def test_other_evidence_is_reported_and_drawn(claims: Callable[..., None], tmp_path: Path) -> None:
    claims(other_evidence)
    assert invoke(tmp_path).exit_code == 0
    (entry,) = json.loads((tmp_path / "results.json").read_text("utf-8"))["claims"]
    assert entry["checks"][0]["labels"] == ["a"]
    assert entry["checks"][0]["columns"] == {"measured": [1.01], "paper": [1.0]}
    assert entry["checks"][3]["columns"]["slack"] == [1, 1, 1]
    page = (tmp_path / "report.html").read_text("utf-8")
    assert all(words in page for words in ("<th>paper</th>", "table 1", "seeds 3, 5", "half-width", "<th>slack</th>"))
    assert page.count("<svg") == 1
