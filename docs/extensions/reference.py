"""The reference is written from the package: one page for each public name, its docstring as it stands in the source.

Docstrings are plain text with a few sections: what is set in Unicode there (|x|², a*b) is no markup and is escaped here;
`names` become links, indented lines formulas, examples stay as they are.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path
from textwrap import dedent, indent

from matplotlib.figure import Figure
from sphinx.application import Sphinx
from sphinx_gallery.scrapers import figure_rst

import pmasolve

LISTS = ("Parameters", "Attributes", "Raises", "Methods", "Yields")
SECTIONS = (*LISTS, "Returns", "Notes", "References", "Examples", "See Also", "Cost")
VERBATIM = re.compile(r"(^```.*?^```|`[^`\n]+`|^\$\$.*?\$\$|\]\([^)\n]*\)|^ {4}.*?$)", re.MULTILINE | re.DOTALL)
HIGH = re.compile(r"\^\{([^{}\n]+)\}")
LOW = re.compile(r"_(?:\{([^{}\n]+)\}|(?<=\b[A-Za-zφψχργπμνη𝓛]_)([A-Za-zεφ]{1,2})\b)")
MARKUP = re.compile(r"(``.+?``|`[^`]+`|[\^_]\{[^{}`]+\})")


def setup(app: Sphinx) -> dict[str, bool]:
    """Two hooks."""
    app.connect("builder-inited", write_pages)
    app.connect("autodoc-process-docstring", format_docstring)
    app.connect("source-read", raise_powers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def no_arguments(conf: dict, script: dict) -> list[str]:
    """What an example finds in sys.argv."""
    return []


def figures(block: tuple, names: dict, conf: dict) -> str:
    """A scraper: the figures that the package made in this cell (they are no pyplot figures)."""
    seen, saved = names["example_globals"].setdefault("__drawn__", set()), []
    for value in list(names["example_globals"].values()):
        if isinstance(value, Figure) and getattr(value, "number", None) is None and id(value) not in seen:
            seen.add(id(value))
            saved.append(next(names["image_path_iterator"]))
            value.savefig(saved[-1], dpi=150)
    return figure_rst(saved, conf["src_dir"])


# --- Pages ------------------------------------------------------------------------------------------------------------


def write_pages(app: Sphinx) -> None:
    """api/index.rst, in the order of the stub, and api/NAME.rst."""
    folder = Path(app.srcdir) / "api"
    folder.mkdir(exist_ok=True)
    pages = {f"{address(name)}.rst": _page(name) for _, names in rooms() for name in names}
    pages["index.rst"] = _index()
    for old in set(folder.glob("*.rst")) - {folder / name for name in pages}:
        old.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text("utf-8") != text:  # an unchanged page is not read again
            path.write_text(text, "utf-8")


def rooms() -> Iterator[tuple[str, list[str]]]:
    """The headings and public names of pmasolve/__init__.pyi."""
    source = Path(pmasolve.__file__).with_suffix(".pyi").read_text("utf-8")
    for part in re.split(r"\n# (?=[a-z]+: )", source)[1:]:
        names = [
            alias.name
            for node in ast.parse("# " + part).body
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        ]
        yield part.splitlines()[0], names


def address(name: str) -> str:
    """Of a page; where files with capitals and without are one file, AFFINE is not Affine, nor Plan PLAN."""
    return f"{name}-constant" if name.isupper() and not callable(getattr(pmasolve, name)) else name


def _index() -> str:
    lines = [
        "Reference",
        "=========",
        "",
        "Every public name, by the question that it answers. All are imported from the top: ``pmasolve.transport``.",
        "",
    ]
    for heading, names in rooms():
        room, words = heading.split(": ", 1)
        title = f"{words[0].upper()}{words[1:]}"
        lines += [
            title,
            "-" * len(title),
            "",
            f"Defined in ``pmasolve.{room}``.",
            "",
            ".. list-table::",
            "   :widths: 30 70",
            "",
        ]
        for name in names:
            lines += [f"   * - :doc:`{name} <{address(name)}>`", f"     - {_summary(name)}"]
        lines += ["", ".. toctree::", "   :hidden:", "", *(f"   {address(name)}" for name in names), ""]
    return "\n".join(lines)


def _summary(name: str) -> str:
    doc = inspect.getdoc(getattr(pmasolve, name)) or ""
    if not (
        inspect.isclass(getattr(pmasolve, name))
        or inspect.isroutine(getattr(pmasolve, name))
        or inspect.ismodule(getattr(pmasolve, name))
    ):
        doc = f"A constant of the kind `{type(getattr(pmasolve, name)).__name__}`."
    return escaped(doc.split("\n\n")[0].replace("\n", " "))


def _page(name: str) -> str:
    thing = getattr(pmasolve, name)
    lines = [name, "=" * len(name), "", ".. currentmodule:: pmasolve", ""]
    if inspect.ismodule(thing):
        lines += [f".. automodule:: {thing.__name__}", "   :no-index:", ""]
        for inner in members(thing):
            kind = "autoclass" if inspect.isclass(getattr(thing, inner)) else "autofunction"
            lines += [
                inner,
                "-" * len(inner),
                "",
                f".. {kind}:: pmasolve.{name}.{inner}",
                *(["   :members:"] if kind == "autoclass" else []),
                "",
            ]
    elif inspect.isclass(thing):
        lines += [f".. autoclass:: pmasolve.{name}", "   :members:", ""]
    elif inspect.isroutine(thing):
        lines += [f".. autofunction:: pmasolve.{name}", ""]
    else:
        lines += [f".. py:data:: {name}", "", f"   {escaped(repr(thing))}", ""]
    return "\n".join(lines)


def members(module: object) -> list[str]:
    """Public functions and classes that live in a public module or in its folder."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__.startswith(module.__name__)
    ]


def raise_powers(app: Sphinx, name: str, source: list[str]) -> None:
    """In Markdown, where GitHub shows e^{−f} and φ_k as they are: high and low, but not in code and typeset formulas."""
    if app.env.doc2path(name).suffix == ".md":
        parts = VERBATIM.split(source[0])
        parts[::2] = [LOW.sub(r"<sub>\1\2</sub>", HIGH.sub(r"<sup>\1</sup>", part)) for part in parts[::2]]
        source[0] = "".join(parts)


# --- Docstrings -------------------------------------------------------------------------------------------------------


def format_docstring(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """reStructuredText from the plain text of a docstring, in place."""
    lines[:] = "\n".join(_sections(lines)).splitlines()


def _sections(lines: list[str]) -> Iterator[str]:
    starts = [k for k in range(len(lines) - 1) if lines[k] in SECTIONS and re.fullmatch("-{3,}", lines[k + 1])]
    yield from prose(lines[: starts[0] if starts else None])
    for start, end in pairwise([*starts, None]):
        yield from ("", f".. rubric:: {lines[start]}", "")
        body = lines[start + 2 : end]
        yield from entries(body) if lines[start] in LISTS else prose(body)


def entries(lines: list[str]) -> Iterator[str]:
    """``name : words`` with lines that go on further right: a definition list."""
    for line in lines:
        found = re.match(r"(\S[^:]*?) :(?: (.*))?$", line)
        if found and not line.startswith(" "):
            names = ", ".join(f"**{escaped(name)}**" for name in found[1].split(", "))
            yield from ("", names, f"    {escaped(found[2] or '')}")
        else:
            yield escaped(line)


def prose(lines: list[str]) -> Iterator[str]:
    """Paragraphs, with formulas where a block stands further right and examples as they are."""
    for blank, block in groupby(lines, lambda line: not line.strip()):
        part = list(block)
        if blank:
            yield ""
        elif part[0].lstrip().startswith(">>>"):
            yield from ("", *part, "")
        elif part[0].startswith("  "):
            yield from ("", ".. code-block:: text", "", *indent(dedent("\n".join(part)), "    ").splitlines(), "")
        elif any(line.startswith("- ") for line in part):
            yield from map(escaped, part)
        else:
            yield from (escaped(line.strip()) for line in part)


def escaped(line: str) -> str:
    """No character of a formula is markup; `name` and ``code`` are, and a^{b} and a_{b} stand high and low."""
    parts = MARKUP.split(line)
    parts[::2] = [re.sub(r"([\\*|_`])", r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [_raised(part) for part in parts[1::2]]
    return "".join(part if k % 2 == 0 else _apart(parts, k) for k, part in enumerate(parts))


def _raised(part: str) -> str:
    role = {"^{": "sup", "_{": "sub"}.get(part[:2])
    return f":{role}:`{part[2:-1]}`" if role else part


def _apart(parts: list[str], k: int) -> str:
    """Markup begins and ends at a blank: x`name`s would not."""
    before, after = parts[k - 1][-1:], parts[k + 1][:1]
    return ("\\ " if before.strip() else "") + parts[k] + ("\\ " if after.strip() else "")
