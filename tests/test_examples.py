"""Every example and the README's own snippet run as they stand, in a fresh namespace."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from pmasolve.cli import config
from pmasolve.cli.app import COMMANDS, app
from pmasolve.cli.formulas import FUNCTIONS

ROOT = Path(__file__).parent.parent
DOCS = [
    f"docs/{name}.md"
    for name in (
        "how-to-choose",
        "transport",
        "validation",
        "clouds",
        "denoising",
        "samplers",
        "coming-from",
        "citing",
        "pictures",
    )
]
SNIPPETS = ["README.md", "CONTRIBUTING.md", "paper/paper.md", *DOCS]
EXAMPLES = sorted([*(ROOT / "examples").glob("*.py"), *(ROOT / "docs" / "start").glob("*.py")])


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 18


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = path.read_text(encoding="utf-8")
    assert "\nassert " in source or "\n    assert " in source, "an example asserts one number"
    assert "figure = " in source or "plt.subplots" in source, "and shows a picture"
    monkeypatch.setattr("sys.argv", [str(path)])
    runpy.run_path(str(path), run_name="__main__")
    plt.close("all")


def test_figures_of_the_docs() -> None:
    """Every figure that a page shows is there and is whole, and no other is kept."""
    shown = set()
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        shown |= {page.parent / name for name in re.findall(r"!\[[^]]+\]\(([^)]+)\)", page.read_text(encoding="utf-8"))}
    assert shown == set((ROOT / "docs" / "figures").iterdir())
    assert all(ElementTree.parse(path).getroot().tag.endswith("svg") for path in shown)


@pytest.mark.parametrize("name", SNIPPETS)
def test_snippets_of(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # some write files
    snippets = re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), flags=re.DOTALL)
    assert snippets
    namespace: dict[str, object] = {}
    for snippet in snippets:
        exec(snippet, namespace)  # one after the other, as a reader would


def test_the_paper_cites_what_its_bibliography_has() -> None:
    text, works = ((ROOT / "paper" / name).read_text(encoding="utf-8") for name in ("paper.md", "paper.bib"))
    cited = set(re.findall(r"@([A-Z][A-Za-z]+\d{4})", text))
    assert len(cited) > 8
    assert cited == set(re.findall(r"^@\w+\{(\w+),", works, flags=re.MULTILINE))


def test_the_paper_quotes_the_measured_tables() -> None:
    """Ratios in the paper are those of docs/speed.md."""
    text, speed = ((ROOT / name).read_text(encoding="utf-8") for name in ("paper/paper.md", "docs/speed.md"))
    quoted = re.findall(r"(\d+) to (\d+)\s*(?:times|,)", text.split("# State of the field")[1].split("# Design")[0])
    assert len(quoted) >= 6
    numbers = set(re.findall(r"\d+", speed))
    assert not {number for pair in quoted for number in pair} - numbers


def test_the_command_line_in_the_docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")
    (toml,) = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    (commands,) = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    Path("pair.toml").write_text(toml, encoding="utf-8")
    for command in commands.splitlines():
        program, *arguments = command.split()
        assert program == "pmasolve"
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
    assert Path("pair-study/report.html").exists()


def test_the_commands_of_the_page_on_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is run on three small images, and every option of any command that draws or writes is named."""
    monkeypatch.chdir(tmp_path)
    x, y = np.meshgrid(np.linspace(0, 1, 24), np.linspace(0, 1, 24))
    for name, centre in zip("abc", (0.4, 0.5, 0.6), strict=True):
        density = 120 + 80 * np.exp(-8 * ((x - centre) ** 2 + (y - 0.5) ** 2))
        Image.fromarray(density.round().astype(np.uint8)).save(f"{name}.png")
    text = (ROOT / "docs" / "shell.md").read_text(encoding="utf-8")
    (commands,) = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    for command in commands.splitlines():
        program, *arguments = command.split()
        assert program == "pmasolve"
        result = CliRunner().invoke(app, [*arguments, "--gap", "0.2"])
        assert result.exit_code == 0, result.output
    assert {f"pmasolve {name}" for name in COMMANDS} <= set(re.findall(r"pmasolve \w+", text))


def test_the_docs_name_every_key_and_function_of_a_configuration() -> None:
    text = (ROOT / "docs" / "validation.md").read_text(encoding="utf-8")
    tables = [*config.CONFIG_TABLES.items(), *(("flow", table) for table in config.FLOW_TABLES.values())]
    missing = {f"{name}.{key}" for name, table in tables for key in table.model_fields if f"`{key}`" not in text}
    assert not missing
    assert not {name for name in FUNCTIONS if not re.search(rf"\b{name}\b", text)}
