"""The site builds without a warning, its links lead somewhere, and the notebooks that it offers run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbclient
import nbformat
import pytest

import pmasolve

ROOT = Path(__file__).parent.parent
TUTORIALS = [path.stem for path in (ROOT / "docs" / "start").glob("*.py")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, strictly; examples are not run here (`test_examples.py` does), notebooks are written."""
    source = tmp_path_factory.mktemp("source")
    for name in ("docs", "examples"):
        made = shutil.ignore_patterns("api", "gallery", "tutorials", "__pycache__")
        shutil.copytree(ROOT / name, source / name, ignore=made)
    for name in ("CHANGELOG.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, source)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-D", "plot_gallery=0"]
    run = subprocess.run([*command, "docs", "site"], cwd=source, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert not run.stderr
    return source


class Links(HTMLParser):
    """Where a page leads, and the places in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.places = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """``href``, ``src`` and ``id``."""
        given = dict(attrs)
        self.found |= {value for key in ("href", "src") if (value := given.get(key))}
        self.places |= {value for key in ("id", "name") if (value := given.get(key))}


def test_links_lead_somewhere(site: Path) -> None:
    pages = {path: Links(path.read_text("utf-8")) for path in (site / "site").rglob("*.html")}
    assert len(pages) > 100
    broken = set()
    for path, page in pages.items():
        for link in map(urlsplit, page.found):
            if link.scheme or link.netloc or path.parent.name == "_static":
                continue
            target = (path.parent / unquote(link.path)).resolve() if link.path else path
            known = pages.get(target)
            if not target.exists() or (known and unquote(link.fragment) not in known.places):
                broken.add(f"{path.relative_to(site)}: {link.geturl()}")
    assert not broken


def test_every_public_name_has_its_page(site: Path) -> None:
    pages = {path.stem.removesuffix("-constant") for path in (site / "site" / "api").glob("*.html")}
    assert not set(pmasolve.__all__) - pages
    text = (site / "site" / "api" / "transport.html").read_text("utf-8")
    assert "<strong>gap</strong>" in text  # parameters are set as a list
    assert "e<sup>−f</sup>" in text  # and powers as powers


def test_equations_are_typeset(site: Path) -> None:
    theory = (site / "site" / "theory.html").read_text("utf-8")
    assert theory.count("<math") > 10
    assert "φ<sub>k</sub>" in theory
    pages = [theory, *(path.read_text("utf-8") for path in (site / "site" / "tutorials").glob("*.html"))]
    assert "^{" not in theory
    assert not re.search(r":math:|\$\$", "".join(pages))


def test_there_are_tutorials() -> None:
    assert {"formulas", "images", "clouds"} <= set(TUTORIALS)


def test_notebooks_run(site: Path) -> None:
    """One kernel for all, emptied in between; `test_examples.py` runs each in a namespace of its own."""
    books = [nbformat.read(site / "docs" / "tutorials" / f"{name}.ipynb", as_version=4) for name in TUTORIALS]
    empty = nbformat.v4.new_code_cell("%reset -f\n%matplotlib inline")
    del empty["id"]  # as those of the books, which have none
    cells = [cell for book in books for cell in (*book.cells, empty)]
    kernel = nbclient.NotebookClient(
        nbformat.v4.new_notebook(cells=cells, nbformat_minor=0),
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": ROOT}},
    )
    kernel.execute()
    for book in books:
        outputs = [out for cell in book.cells for out in cell.get("outputs", [])]
        assert not [out for out in outputs if out.output_type == "error"]
        assert [out for out in outputs if "image/png" in out.get("data", {})]  # and show their figures
