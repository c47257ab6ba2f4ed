"""The tables of claims in README.md and docs/verified.md and some figures, written from the claims and their stored results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pmasolve.studies.entries import Section
from pmasolve.studies.pages import drawing_of, put
from pmasolve.studies.tables import finest, markdown

from .claims import Claim, ClaimModule

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- claims: written by python -m validation --docs -->", "<!-- end of claims -->"
SHOWN = 6  # measurements of one claim in docs/verified.md; the report has all
PICTURED = ("corrector", "symmetric", "marginals", "value", "static", "work")  # the README shows ``symmetric``
HEAD = f"""# Verified claims

{BEGIN}

Every statement here is measured by `python -m validation`, and must fail when something is broken on purpose. The report that
the command writes has all tables and figures; here are the first few measurements of each claim: for orders the last
running order, else the largest error.
"""


def write(root: Path, modules: Sequence[ClaimModule], results: Mapping[str, Section | None]) -> list[Path]:
    """Write both files and the figures; claims without a stored result have their statement and no numbers."""
    claims = [module.CLAIM for module in modules]
    readme = root / "README.md"
    figures = root / "docs" / "figures"
    figures.mkdir(exist_ok=True)
    verified = HEAD + "\n" + "\n".join(article(claim, results.get(claim.name)) for claim in claims) + f"\n{END}\n"
    return [
        put(readme, between(readme.read_text("utf-8"), summary(claims))),
        put(root / "docs" / "verified.md", verified),
        *(
            put(figures / f"{name}.svg", drawing.svg)
            for name in PICTURED
            if (section := results.get(name)) is not None and (drawing := drawing_of(section)) is not None
        ),
    ]


def between(text: str, table: str) -> str:
    """The text with the table in place of what stands between the markers.

    Raises
    ------
    ValueError : a marker is missing.
    """
    if BEGIN not in text or END not in text:
        raise ValueError(f"the text needs the lines {BEGIN!r} and {END!r}, between which the table goes")
    before, rest = text.split(BEGIN, 1)
    return f"{before}{BEGIN}\n{table}\n{END}{rest.split(END, 1)[1]}"


def summary(claims: Sequence[Claim]) -> str:
    """Title and expectation of every claim."""
    return markdown(["claim", "", "expected"], [[f"`{c.name}`", c.title, c.expected] for c in claims])


def article(claim: Claim, section: Section | None) -> str:
    """One claim with what was measured."""
    lines = [
        f"## {claim.title}",
        f"`{claim.name}` · {claim.source}",
        f"> {claim.statement}",
        f"Expected: {claim.expected}. Accepted: {claim.tolerance}.",
    ]
    if section is not None:
        kept = [entry for entry in section.entries if not entry.mutation]
        rows = [[entry.case, finest(entry)] for entry in kept[:SHOWN]]
        more = f", {len(kept) - SHOWN} more in the report" if len(kept) > SHOWN else ""
        caught = "; ".join(f"{mutation} ({count})" for mutation, count in section.mutations.items())
        lines += [
            markdown(["measured", ""], rows),
            f"{section.count(mutations=False)} checks hold{more}.",
            f"Broken on purpose, and caught: {caught}.",
        ]
        if claim.name in PICTURED:
            lines += [f"![Errors of the claim {claim.name}, with reference slopes](figures/{claim.name}.svg)"]
    else:
        lines += [f"Broken on purpose: {claim.mutations}."]
    return "\n\n".join(lines) + "\n"
