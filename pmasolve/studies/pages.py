"""The writer of reports: one HTML page that needs nothing else, JSON, CSV and LaTeX beside it, figures as SVG and PDF.

The page is built from `records.Section`s alone, so that a report can be written again from stored results.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..machine.archives import atomic_write
from ..machine.extras import extra
from ..machine.provenance import machine, revision, versions
from .entries import Section, to_json
from .tables import cells, comma_separated, latex

with extra("report"):
    from jinja2 import Environment, PackageLoader, StrictUndefined

    from .curves import plot_section
    from .figures import Figure, pdf, svg


@dataclass(frozen=True)
class SectionFigure:
    """The figure of a section: its <svg> element, and a PDF."""

    svg: str
    pdf: bytes


def drawing_of(section: Section) -> SectionFigure | None:
    """The figure of a section; None where there is nothing to draw."""
    figure = plot_section(section)
    return None if figure is None else section_figure(figure)


def section_figure(figure: Figure) -> SectionFigure:
    """A figure in both forms."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # it is settled now, and costs more than the drawing
    return SectionFigure(svg(figure), pdf(figure))


@dataclass(frozen=True)
class Page:
    """What the page says around its sections.

    Attributes
    ----------
    title : of the page.
    lead : one paragraph above the table of verdicts.
    appendix : paragraphs by heading, after the last section.
    """

    title: str
    lead: str = ""
    appendix: Mapping[str, str] | None = None


def prepare_directory(directory: Path) -> None:
    """Make the directory and prove that it can be written, before any work.

    Raises
    ------
    OSError : it cannot.
    """
    directory.mkdir(parents=True, exist_ok=True)
    probe = directory / ".writable"
    probe.write_text("")
    probe.unlink()


def write_report(
    page: Page,
    sections: Sequence[Section],
    directory: Path,
    *,
    drawings: Mapping[str, str],
    more: Mapping[str, Any],
    tables: str | None = None,
) -> Path:
    """Write report.html, results.json, results.csv and tables.tex into a directory that exists; the path of the page.

    Parameters
    ----------
    page : title and words.
    sections : in order.
    drawings : <svg> elements by section name.
    more : goes into the head of results.json, and of the page where it knows the word: "level", "seconds".
    tables : content of tables.tex; one table for each entry unless given.

    Raises
    ------
    OSError : the directory cannot be written.
    """
    about = {**report_provenance(sections), **more}
    record = {**about, "claims": [to_json(section) for section in sections]}
    contents = {  # all are made before the first is written
        "results.json": json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False),
        "results.csv": comma_separated(sections),
        "tables.tex": latex(sections) if tables is None else tables + "\n",
        "report.html": html(page, sections, about, drawings),
    }
    return [put(directory / name, content) for name, content in contents.items()][-1]


def put(path: Path, content: str | bytes) -> Path:
    """Write a file whole or not at all."""
    with atomic_write(path) as stream:
        stream.write(content.encode("utf-8") if isinstance(content, str) else content)
    return path


def report_provenance(sections: Sequence[Section]) -> dict[str, Any]:
    """When, where, with which versions, and the verdict: None if nothing was decided."""
    decided = [section.holds for section in sections if section.holds is not None]
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "holds": all(decided) if decided else None,
        "seconds": sum(section.seconds for section in sections),
        "versions": versions(),
        "machine": machine(),
        "revision": revision(),
    }


def html(page: Page, sections: Sequence[Section], about: Mapping[str, Any], drawings: Mapping[str, str]) -> str:
    """The page."""
    environment = Environment(
        loader=PackageLoader("pmasolve.studies", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(cells=cells, anchor=anchor)
    entries = [(section, entry) for section in sections for entry in section.entries]
    return environment.get_template("report.html.jinja").render(
        page=page,
        sections=sections,
        about=about,
        drawings=drawings,
        broken=any(entry.mutation for _, entry in entries),
        printed=[(section, entry) for section, entry in entries if entry.printed and not entry.mutation],
    )


def anchor(name: str) -> str:
    """A name fit for an id.

    Examples
    --------
    >>> anchor("Gap, order 2")
    'gap-order-2'
    """
    return re.sub(r"[^a-z0-9]+", "-", name.lower())
