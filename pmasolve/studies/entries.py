"""What a report holds, as plain data that survives files and other processes: sections of measured studies with their verdicts.

`validation` and `scaling_study` fill the same records, and one writer (`pages`) turns them into HTML, JSON, CSV, LaTeX and figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from ..machine.arrays import Array
from .convergence import Study

KEPT = 200  # rows of one entry that go into files


@dataclass(frozen=True, eq=False)
class Entry:
    """One study, or other rows of numbers, with what was demanded of it and how that ended.

    Attributes
    ----------
    case : the test problem, then after a comma what was done to it; entries of one problem share a panel of the figure.
    parameter, values : (m,) the first column.
    errors : (m,) each, by name.
    orders : (m−1,) each, of those errors that have any.
    demands : in words, by the name of the error.
    holds : whether all came out as it should; None if nothing was demanded, or nothing could be decided.
    mutation : what was broken on purpose; the demands must then be refused.
    columns : (m,) each, printed before the errors.
    drawn : (m,) each, by the label of its curve.
    slopes : orders to draw as dotted lines.
    labels : one a row, in place of ``values``.
    note : belongs to all rows.
    printed : whether a paper prints the expected numbers.
    seconds : time it took.
    """

    case: str
    parameter: str
    values: Array
    errors: Mapping[str, Array]
    orders: Mapping[str, Array] = field(default_factory=dict)
    demands: Mapping[str, str] = field(default_factory=dict)
    holds: bool | None = None
    mutation: str = ""
    columns: Mapping[str, Array] = field(default_factory=dict)
    drawn: Mapping[str, Array] = field(default_factory=dict)
    slopes: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()
    note: str = ""
    printed: bool = False
    seconds: float = 0.0

    @property
    def label(self) -> str:
        """The case, and the mutation where something was broken."""
        return f"{self.case}, broken: {self.mutation}" if self.mutation else self.case

    @property
    def verdict(self) -> str:
        """Whether the entry holds, in words."""
        if self.holds is None:
            return "undecided" if self.demands else ""
        if self.mutation:
            return "fails as it must" if self.holds else "NOT NOTICED"
        return "holds" if self.holds else "FAILS"

    def shown(self, count: int) -> list[int]:
        """Which rows stand for all: every one if there are few, else first, last, the worst of each error and some between.

        Examples
        --------
        >>> rows = np.arange(1.0, 1001.0)
        >>> len(Entry("case", "step", rows, {"gap": 1 / rows}).shown(20)) <= 21
        True
        """
        total = self.values.size
        if total <= count:
            return list(range(total))
        spread = np.geomspace(1, total, count).round().astype(int) - 1
        worst = [int(np.argmax(self.errors[name])) for name in self.demands or self.errors]
        return sorted({*spread.tolist(), *worst})

    def thinned(self, count: int = KEPT) -> Entry:
        """The entry with the rows of ``shown`` only; those with orders are short and stay."""
        if self.values.size <= count or self.orders:
            return self
        rows = self.shown(count)
        kept = {name: {k: v[rows] for k, v in getattr(self, name).items()} for name in ("errors", "columns", "drawn")}
        note = f"{self.values.size} rows, of which {len(rows)} are kept"
        return replace(self, values=self.values[rows], note=f"{self.note}; {note}".removeprefix("; "), **kept)


def entry_of(study: Study, case: str, **more: Any) -> Entry:
    """An entry for a study: its errors drawn, its orders beside; ``more`` are further attributes of `Entry`.

    Examples
    --------
    >>> study = Study.over("h", [0.1, 0.05], lambda h: {"sup": h**2})
    >>> entry_of(study, "case").orders["sup"].round(6)
    array([2.])
    """
    orders = {norm: study.orders(norm) for norm in study.errors}
    return Entry(case, study.parameter, study.values, study.errors, orders, **{"drawn": study.errors, **more})


@dataclass(frozen=True, eq=False)
class Section:
    """One claim, or one study of a user's: a title, its mathematics, facts by heading, entries and a verdict.

    Attributes
    ----------
    name : short; files are called after it.
    title : a few words.
    statement : the mathematics, readable as plain text.
    facts : sentences by heading.
    entries : in order.
    holds : None where nothing was demanded or decided.
    crash : the traceback where it did not run to its end.
    """

    name: str
    title: str
    statement: str
    facts: Mapping[str, str]
    entries: tuple[Entry, ...]
    holds: bool | None
    crash: str = ""

    @property
    def seconds(self) -> float:
        """Time of all entries together, in seconds."""
        return sum(entry.seconds for entry in self.entries)

    @property
    def verdict(self) -> str:
        """Whether the section holds, in one word."""
        return "crashed" if self.crash else {True: "holds", False: "fails", None: "undecided"}[self.holds]

    def count(self, *, mutations: bool) -> str:
        """How many checks, or mutations, came out as they should: "3/3"."""
        some = [entry.holds for entry in self.entries if bool(entry.mutation) is mutations]
        return f"{sum(map(bool, some))}/{len(some)}"

    @property
    def mutations(self) -> dict[str, str]:
        """How often each mutation was caught, "2/2", by what was broken."""
        verdicts: dict[str, list[bool]] = {}
        for entry in self.entries:
            if entry.mutation:
                verdicts.setdefault(entry.mutation, []).append(bool(entry.holds))
        return {mutation: f"{sum(caught)}/{len(caught)}" for mutation, caught in verdicts.items()}


def to_json(section: Section) -> dict[str, Any]:
    """Lists, dictionaries, words and numbers; what is not finite becomes None."""
    return {
        "name": section.name,
        "title": section.title,
        "statement": section.statement,
        "facts": dict(section.facts),
        "holds": section.holds,
        "seconds": section.seconds,
        "crash": section.crash or None,
        "checks": [{f.name: _json_ready(getattr(entry, f.name)) for f in fields(Entry)} for entry in section.entries],
    }


def from_json(record: Mapping[str, Any]) -> Section:
    """The section that `to_json` wrote.

    Raises
    ------
    KeyError : the record lacks something.

    Examples
    --------
    >>> section = Section("a", "A", "1 = 1", {}, (Entry("c", "h", np.array([0.5, 0.25]), {"sup": np.array([1.0, np.nan])}),), None)
    >>> from_json(to_json(section)).entries[0].errors["sup"]
    array([ 1., nan])
    """
    return Section(
        record["name"],
        record["title"],
        record["statement"],
        record["facts"],
        tuple(_entry(check) for check in record["checks"]),
        record["holds"],
        record["crash"] or "",
    )


def _entry(check: Mapping[str, Any]) -> Entry:
    arrays = {name: {k: _array(v) for k, v in check[name].items()} for name in ("errors", "orders", "columns", "drawn")}
    lists = {"values": _array(check["values"]), "slopes": tuple(check["slopes"]), "labels": tuple(check["labels"])}
    return Entry(**{**check, **arrays, **lists})


def _array(values: list[float | None]) -> Array:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _json_ready(value: Any) -> Any:
    match value:
        case np.ndarray() | tuple():
            return [_json_ready(item) for item in value]
        case Mapping():
            return {key: _json_ready(item) for key, item in value.items()}
        case bool() | np.bool_():
            return bool(value)
        case float() | np.floating():
            return float(value) if np.isfinite(value) else None
        case _:
            return value
