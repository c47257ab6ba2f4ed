"""Results of claims in the output folder: one file each, written as soon as the claim is done."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pmasolve.studies.entries import Section, from_json, to_json
from pmasolve.studies.pages import SectionFigure, put

FOLDER = "claims"


@dataclass(frozen=True, eq=False)
class Done:
    """A claim that was run: its section, its figure, and the fingerprint of what it was run with."""

    section: Section
    drawing: SectionFigure | None
    fingerprint: str


def keep(done: Done, out: Path) -> None:
    """Write one claim: the figure first, so that a result on disk has one."""
    folder, name = out / FOLDER, done.section.name
    folder.mkdir(exist_ok=True)
    if done.drawing is not None:
        put(folder / f"{name}.svg", done.drawing.svg)
        put(folder / f"{name}.pdf", done.drawing.pdf)
    record = {"fingerprint": done.fingerprint, "section": to_json(done.section)}
    put(folder / f"{name}.json", json.dumps(record, ensure_ascii=False, allow_nan=False))


def kept(name: str, out: Path, fingerprint: str | None = None) -> Section | None:
    """The section that was stored with this fingerprint (with any, unless given); None where there is none or it crashed."""
    try:
        record = json.loads((out / FOLDER / f"{name}.json").read_text("utf-8"))
        section = from_json(record["section"])
    except (OSError, ValueError, KeyError, TypeError):  # absent, cut off, or of another version
        return None
    return section if not section.crash and fingerprint in (None, record["fingerprint"]) else None


def drawings(sections: list[Section], out: Path) -> dict[str, str]:
    """The <svg> elements of sections, empty for those that have none."""
    paths = {section.name: out / FOLDER / f"{section.name}.svg" for section in sections}
    return {name: path.read_text("utf-8") if path.exists() else "" for name, path in paths.items()}
