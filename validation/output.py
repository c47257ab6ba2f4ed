"""Claims as sections of a report, and the words around them."""

from __future__ import annotations

from pmasolve.studies.entries import Entry, Section
from pmasolve.studies.pages import Page

from . import densities
from .claims import Check, Result, Row

PAGE = Page(
    "pmasolve: validation",
    "Each claim is measured on the test problems that it names, real densities among them where the statement needs no "
    "closed form. In the same run something is broken on purpose (a mutation), and the claim must then fail: a check that "
    "cannot fail proves nothing.",
    {"The real pair of densities": (densities.__doc__ or "").replace("`", "")},
)
HEADINGS = {
    "source": "Source",
    "expected": "Expected",
    "tolerance": "Accepted",
    "problem": "Test problem",
    "mutations": "Broken on purpose",
}


def section(result: Result) -> Section:
    """One claim, as it ended, as plain data."""
    claim = result.claim
    facts = {heading: getattr(claim, name) for name, heading in HEADINGS.items()}
    entries = tuple(entry(row) for row in result.rows)
    return Section(claim.name, claim.title, claim.statement, facts, entries, result.holds, result.crash)


def entry(row: Row) -> Entry:
    """One check as plain data; the verdict was taken on all its rows, of which long ones keep some hundred."""
    check, rows = row.check, row.check.rows
    return Entry(
        check.case,
        rows.parameter,
        rows.values,
        rows.errors,
        {norm: check.study.orders(norm) for norm in rows.errors} if check.study is not rows else {},
        {norm: str(demand) for norm, demand in check.demands.items()},
        check.holds,
        check.mutation,
        rows.columns,
        rows.drawn,
        slopes(check),
        rows.labels,
        rows.note,
        rows.printed,
        row.seconds,
    ).thinned()


def slopes(check: Check) -> tuple[float, ...]:
    """The orders that the demands are about, to be drawn."""
    lows = (getattr(demand, "low", None) for demand in check.demands.values())
    return tuple({float(round(low)) for low in lows if low is not None})
