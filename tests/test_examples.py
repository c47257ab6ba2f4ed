"""Every example and the README's own snippet run as they stand, in a fresh namespace."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 3


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert "\nassert " in source, "an example asserts one number"
    runpy.run_path(str(path), run_name="__main__")


@pytest.mark.parametrize("name", ["README.md", "docs/how-to-choose.md"])
def test_snippets_of(name: str) -> None:
    snippets = re.findall(r"```python\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), flags=re.DOTALL)
    assert snippets
    namespace: dict[str, object] = {}
    for snippet in snippets:
        exec(snippet, namespace)  # one after the other, as a reader would
