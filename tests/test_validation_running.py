"""How the suite runs claims: in several processes, on a cluster, again, after an interruption; and the tables it writes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from distributed import LocalCluster
from suite_claims import cheap, dies, shared
from typer.testing import CliRunner

from validation import docs, suite
from validation.__main__ import app
from validation.claims import Check, Level
from validation.fingerprints import closure, fingerprint
from validation.running import measure_named

TESTS = Path(__file__).parent


def invoke(out: Path, *arguments: str):
    """Run the command line in this process."""
    return CliRunner().invoke(app, ["--out", str(out), *arguments])


def verdicts(out: Path) -> dict[str, bool]:
    """What results.json says of each claim."""
    return {entry["name"]: entry["holds"] for entry in json.loads((out / "results.json").read_text("utf-8"))["claims"]}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[Level]:
    """Two claims, of which the second crashes when first run; the levels they were run at."""
    runs: list[Level] = []

    def holds(level: Level) -> Iterator[Check]:
        runs.append(level)
        yield from shared.CHECKS

    def recovers(level: Level) -> Iterator[Check]:
        runs.append(level)
        yield from shared.CHECKS
        if len(runs) == 2:
            raise RuntimeError("once")

    claims = (SimpleNamespace(CLAIM=shared.made_up(f.__name__), study=f) for f in (holds, recovers))
    monkeypatch.setattr(suite, "CLAIMS", tuple(claims))
    return runs


def test_only_what_changed_or_crashed_is_run_again(counted: list[Level], tmp_path: Path) -> None:
    assert invoke(tmp_path, "--jobs", "1").exit_code == 1
    again = invoke(tmp_path, "--jobs", "1")
    assert again.exit_code == 0
    assert "not run again" in again.output
    assert len(counted) == 3  # the crashed one only
    assert invoke(tmp_path, "--jobs", "1").exit_code == 0
    assert len(counted) == 3
    assert verdicts(tmp_path) == {"holds": True, "recovers": True}
    assert (tmp_path / "report.html").read_text("utf-8").count("<svg") == 2
    assert invoke(tmp_path, "--jobs", "1", "--fresh").exit_code == 0
    assert len(counted) == 5
    assert invoke(tmp_path, "--jobs", "1", "--level", "full").exit_code == 0
    assert counted[5:] == [Level.FULL] * 2


def test_a_damaged_result_is_made_again(counted: list[Level], tmp_path: Path) -> None:
    invoke(tmp_path, "--jobs", "1", "--claim", "holds")
    (tmp_path / "claims" / "holds.json").write_text("{")
    assert invoke(tmp_path, "--jobs", "1", "--claim", "holds").exit_code == 0
    assert len(counted) == 2


def test_a_fingerprint_sees_the_claim_what_it_imports_and_the_level(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "claims_in_a_folder"
    package.mkdir()
    for path in (TESTS / "suite_claims").glob("*.py"):
        (package / path.name).write_text(path.read_text("utf-8"), "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    module = __import__("claims_in_a_folder.cheap").cheap
    assert {path.name for path in closure(package / "cheap.py")} == {"cheap.py", "shared.py"}
    seen = [fingerprint(module, Level.QUICK), fingerprint(module, Level.FULL)]
    (package / "waits.py").write_text("# not imported")
    assert fingerprint(module, Level.QUICK) == seen[0]
    for name in ("cheap.py", "shared.py"):
        (package / name).write_text((package / name).read_text("utf-8") + "# changed\n", "utf-8")
        seen.append(fingerprint(module, Level.QUICK))
    assert len(set(seen)) == 4


def test_claims_run_side_by_side_and_a_killed_process_is_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "CLAIMS", (dies, cheap))
    result = invoke(tmp_path, "--jobs", "2")
    assert result.exit_code == 1
    assert not verdicts(tmp_path)["dies"]
    assert "terminated abruptly" in (tmp_path / "report.html").read_text("utf-8")
    monkeypatch.setattr(suite, "CLAIMS", (cheap,))
    assert invoke(tmp_path, "--jobs", "2").exit_code == 0


INTERRUPTED = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job is born with it ignored
from suite_claims import cheap, waits
from validation import suite
from validation.__main__ import app
if __name__ == "__main__":
    suite.CLAIMS = (cheap, waits)
    app()
"""


@pytest.mark.slow
def test_an_interruption_ends_all_processes_and_keeps_what_is_done(tmp_path: Path) -> None:
    script = tmp_path / "run.py"
    script.write_text(INTERRUPTED)
    out = tmp_path / "out"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])}
    command = [sys.executable, str(script), "--out", str(out), "--jobs", "2"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        until(lambda: (out / "claims" / "cheap.json").exists())
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=600)  # a living child would keep the pipe open
    assert process.returncode == 130
    assert "1 of 2 claims are done" in output
    assert verdicts(out) == {"cheap": True}


def until(happened: Callable[[], bool], patience: float = 600.0) -> None:
    """Wait."""
    end = time.monotonic() + patience
    while not happened():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


@pytest.mark.parametrize("processes", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_claims_run_on_a_cluster(processes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "CLAIMS", (cheap, dies))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(TESTS.parent)]))
    loopback = {"host": "127.0.0.1", "protocol": "tcp", "dashboard_address": None}
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=processes, **loopback) as machines:
        result = invoke(tmp_path, "--scheduler", machines.scheduler_address, "--claim", "cheap")
    assert result.exit_code == 0, result.output
    assert verdicts(tmp_path) == {"cheap": True}


def test_a_worker_with_other_sources_refuses() -> None:
    key = fingerprint(cheap, Level.QUICK)
    assert measure_named(cheap.__name__, Level.QUICK, key, True).section.holds
    with pytest.raises(RuntimeError, match="other sources"):
        measure_named(cheap.__name__, Level.QUICK, "another", True)


def test_a_scheduler_that_does_not_answer_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "CLAIMS", (cheap,))
    result = invoke(tmp_path, "--scheduler", "nonsense://127.0.0.1:1")
    assert result.exit_code == 2
    assert "no scheduler answers" in result.output


def test_data_and_tables_hold_the_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "CLAIMS", (cheap,))
    assert invoke(tmp_path).exit_code == 0
    lines = (tmp_path / "results.csv").read_text("utf-8").splitlines()
    assert lines[0] == "section,case,mutation,parameter,value,error,number,order"
    assert len(lines) == 1 + 2 * 3
    assert re.fullmatch(r"cheap,case,,h,0.1,sup,0.0100\d*,(2.0|1.99)\d*", lines[2])
    latex = (tmp_path / "tables.tex").read_text("utf-8")
    assert latex.count(r"\begin{table}") == latex.count(r"\end{table}") == 3
    assert r"$1.00 \cdot 10^{-2}$ & 2.000 \\" in latex


def test_docs_and_readme_list_the_claims_there_are() -> None:
    readme = (docs.ROOT / "README.md").read_text("utf-8")
    claims = [module.CLAIM for module in suite.CLAIMS]
    assert docs.between(readme, docs.summary(claims)) == readme, "run python -m validation --docs"
    verified = (docs.ROOT / "docs" / "verified.md").read_text("utf-8")
    headings = re.findall(r"^## (.*)\n\n`(.*?)`", verified, flags=re.MULTILINE)
    assert headings == [(claim.title, claim.name) for claim in claims], "run python -m validation --docs"


def test_docs_are_written_from_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "CLAIMS", (cheap,))
    monkeypatch.setattr(docs, "ROOT", tmp_path)
    monkeypatch.setattr(docs, "PICTURED", ("cheap",))
    (tmp_path / "docs").mkdir()
    refused = invoke(tmp_path / "out", "--docs")
    assert refused.exit_code == 2
    assert "--docs" in refused.output
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "README.md").write_text(f"before\n{docs.BEGIN}\nold\n{docs.END}\nafter\n", "utf-8")
    assert invoke(tmp_path / "out", "--docs").exit_code == 0
    readme = (tmp_path / "README.md").read_text("utf-8")
    assert readme.startswith("before")
    assert readme.endswith("after\n")
    assert "| `cheap` | The claim cheap | order 2 |" in readme
    assert "old" not in readme
    verified = (tmp_path / "docs" / "verified.md").read_text("utf-8")
    assert "| case | sup 2.00 |" in verified
    assert "1/1 checks hold." in verified
    assert "caught: broken (1/1)." in verified
    assert "(figures/cheap.svg)" in verified
    assert (tmp_path / "docs" / "figures" / "cheap.svg").read_text("utf-8").startswith("<svg")
    with pytest.raises(ValueError, match="needs the lines"):
        docs.between("nothing", "table")
