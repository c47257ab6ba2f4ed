"""How results show themselves: one line, a page of at most 80 columns, and a picture.

Rooms know only what is below them, and pictures are drawn by the topmost one that computes: ``studies.pictures`` is imported when
an object is asked for its picture, by its name, here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from importlib import import_module
from textwrap import wrap
from typing import Any, Protocol

WIDTH = 80
PICTURES = "studies.pictures"


class Speaker(Protocol):
    """What has one line, its ``repr``, and a page, its summary."""

    def __repr__(self) -> str: ...

    def summary(self) -> str:
        """The page: lines of at most 80 columns."""
        ...


def sheet(title: str, facts: Mapping[str, object]) -> str:
    """A page: the title, then one fact after the other, each by its name, wrapped to 80 columns.

    Parameters
    ----------
    title : one line, or more if it is long; without the brackets that a ``repr`` has.
    facts : what is said, by name; None is left out.

    Returns
    -------
    Lines of at most 80 columns.

    Examples
    --------
    >>> print(sheet("Map", {"outcome": "reached", "W₂": 0.25, "spread": None}))
    Map
      outcome  reached
      W₂       0.25
    """
    told = {name: str(fact) for name, fact in facts.items() if fact is not None}
    margin = max(map(len, told), default=0) + 4
    lines = wrap(title.removeprefix("<").removesuffix(">"), WIDTH)
    for name, fact in told.items():
        for i, part in enumerate(part for line in fact.splitlines() for part in wrap(line, WIDTH - margin) or [""]):
            lines.append((f"  {name}" if i == 0 else "").ljust(margin) + part)
    return "\n".join(lines)


def count(number: int, noun: str) -> str:
    """A number of things in words.

    Examples
    --------
    >>> count(1, "step"), count(3, "step")
    ('1 step', '3 steps')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def numbers(values: Any, most: int = 8) -> str:
    """A few numbers with three digits; the first and the last where there are many.

    Examples
    --------
    >>> numbers([0.1, 0.05, 0.025]), numbers(range(1, 100), most=4)
    ('0.1, 0.05, 0.025', '1, 2, …, 98, 99')
    """
    texts = [f"{float(value):.3g}" for value in values]
    if len(texts) > most:
        texts = [*texts[: most // 2], "…", *texts[-(most // 2) :]]
    return ", ".join(texts)


def drawn(thing: object, **options: Any) -> Any:
    """The picture of a result, a matplotlib ``Figure``, by `studies.pictures.draw`."""
    return import_module(f"{__name__.split('.', maxsplit=1)[0]}.{PICTURES}").draw(thing, **options)


def page(thing: Speaker) -> str:
    """HTML for notebooks: the summary, and below it the picture of what can be drawn; without matplotlib the summary alone."""
    words = f"<pre>{escape(thing.summary())}</pre>"
    try:
        pictures = import_module(f"{__name__.split('.', maxsplit=1)[0]}.{PICTURES}")
        return f"<div>{words}{pictures.inline(thing)}</div>"
    except (ImportError, ValueError):
        return f"<div>{words}</div>"
