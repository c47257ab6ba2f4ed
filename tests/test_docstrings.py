"""What is public is documented when read alone: an example that runs, what is taken, what comes back, and no leaning on others."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import pmasolve

ROOT = Path(pmasolve.__file__).parent
# A docstring that begins so says something only beside another one.
LEANS = re.compile(
    r"(?i)(the same\b|as (in|above|before|for)\b|see above|for these\b|this one\b|these\b|those (of|with)\b|that of\b|likewise\b|"
    r"ditto\b|the (way back|other one)\b|both together\b|its\b|their\b)"
)


def public() -> Iterator[tuple[str, object]]:
    """Functions and classes among the public names, and those of the public modules."""
    for name in pmasolve.__all__:
        thing = getattr(pmasolve, name)
        inside = vars(thing).items() if isinstance(thing, ModuleType) else ()
        home = getattr(thing, "__name__", "")
        for inner, value in inside:
            own = getattr(value, "__module__", "").startswith(home)
            if not inner.startswith("_") and own and (inspect.isclass(value) or inspect.isfunction(value)):
                yield f"{name}.{inner}", value
        if inspect.isclass(thing) or inspect.isfunction(thing):
            yield name, thing


PUBLIC = dict(public())


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_have_an_example_and_say_what_they_take_and_return(name: str) -> None:
    thing, words = PUBLIC[name], inspect.getdoc(PUBLIC[name]) or ""
    assert ">>> " in words, f"{name} has no example"
    if inspect.isfunction(thing):
        assert inspect.signature(thing).return_annotation not in (None, "None"), (
            f"{name} returns nothing: then say why here"
        )
        assert "\nReturns\n-------\n" in words, f"{name} does not say what it returns"
        assert "\nParameters\n----------\n" in words, f"{name} does not say what it takes"
        section = words.split("\nParameters\n----------\n")[1].split("\n\n")[0]
        for parameter in inspect.signature(thing).parameters:
            assert re.search(rf"(^|[ ,]){parameter}\b[^:]* :", section, re.MULTILINE), (
                f"{name}: {parameter} is not described"
            )


def test_there_are_many_public_names() -> None:
    """Guards the two above against an empty list."""
    assert len(PUBLIC) > 80
    assert {"transport", "Trajectory", "gaussian.Normal", "particles.simulate", "conventions.Ott"} <= set(PUBLIC)


def docstrings() -> Iterator[tuple[str, str]]:
    """All of the package, by file and name."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and (words := ast.get_docstring(node)):
                yield f"{path.relative_to(ROOT)}: {node.name}", words


def test_no_docstring_leans_on_another() -> None:
    leaning = [f"{name}: {words[:60]}" for name, words in docstrings() if LEANS.match(words)]
    assert not leaning, "\n".join(leaning)


@pytest.mark.parametrize(
    "words", ["The same.", "As in `Basis`.", "For these.", "This one.", "Those of a grid.", "The way back."]
)
def test_leaning_is_recognised(words: str) -> None:
    assert LEANS.match(words)
