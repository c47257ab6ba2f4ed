"""Tables of studies and of whole reports: LaTeX (package booktabs), Markdown, CSV, and cells for HTML."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from io import StringIO

import numpy as np

from ..machine.arrays import Array
from .convergence import Study
from .entries import Entry, Section

SHOWN = 24  # rows of a table; files of data hold more
LETTERS = {"eps": "ε"}
LATEX = {"eps": r"$\varepsilon$", "rtol": "rtol"}
NAMED = {"\\": "backslash", "~": "asciitilde", "^": "asciicircum"}
ESCAPED = str.maketrans({c: rf"\{c}" for c in "&%$#_{}"} | {c: rf"\text{name}{{}}" for c, name in NAMED.items()})


def cells(entry: Entry) -> list[list[str]]:
    """Header and rows: parameter, what stands beside, then the errors that something is demanded of, with orders."""
    names = list(entry.labels) or [f"{value:.6g}" for value in entry.values]
    columns = {LETTERS.get(entry.parameter, entry.parameter): names}
    columns |= {name: [f"{value:.6g}" for value in column] for name, column in entry.columns.items()}
    for norm in entry.demands or entry.errors:
        columns[norm] = [f"{error:.2e}" for error in entry.errors[norm]]
        orders = entry.orders.get(norm, np.empty(0))
        if np.isfinite(orders).any():
            columns[f"order ({norm})"] = ["", *map(_order, orders)]
    return [list(columns), *([column[i] for column in columns.values()] for i in entry.shown(SHOWN))]


def _order(order: float) -> str:
    return f"{order:.3f}" if np.isfinite(order) else ""


def latex_table(study: Study, *, norms: Sequence[str] | None = None, caption: str = "") -> str:
    r"""Values, errors and running orders as a LaTeX table (package booktabs).

    Parameters
    ----------
    study : errors over a parameter.
    norms : which errors, by name; all unless given.
    caption : of the table.

    Returns
    -------
    LaTeX source, one line for each value of the parameter.

    Raises
    ------
    KeyError : a norm that the study has not.

    Examples
    --------
    >>> study = Study.over("h", [0.1, 0.05], lambda h: {"sup": h**2})
    >>> print(latex_table(study).splitlines()[3])
    $h$ & sup & order \\
    """
    chosen = tuple(study.errors) if norms is None else norms
    symbol = {"eps": r"\varepsilon", "rtol": r"\mathrm{rtol}"}.get(study.parameter, study.parameter)
    head = [f"${symbol}$", *(word for norm in chosen for word in (norm, "order"))]
    rows = []
    for i, value in enumerate(study.values):
        orders = {norm: f"{study.orders(norm)[i - 1]:.2f}" if i else "--" for norm in chosen}
        rows.append(
            [
                _scientific(value),
                *(cell for norm in chosen for cell in (_scientific(study.errors[norm][i]), orders[norm])),
            ]
        )
    return _latex(head, rows, caption)


def _latex(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str, columns: str = "") -> str:
    body = [" & ".join(cells) + r" \\" for cells in rows]
    return "\n".join(
        [
            r"\begin{table}",
            rf"\begin{{tabular}}{{{columns or 'r' * len(head)}}}",
            r"\toprule",
            " & ".join(head) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            *([rf"\caption{{{caption}}}"] if caption else []),
            r"\end{table}",
        ]
    )


def _scientific(value: float) -> str:
    mantissa, exponent = f"{value:.2e}".split("e")
    return rf"${mantissa} \cdot 10^{{{int(exponent)}}}$"


def latex(sections: Sequence[Section]) -> str:
    """A table of the verdicts, then one of each entry; for XeLaTeX or LuaLaTeX, since the words hold Greek letters."""
    rows = [
        [tex(s.title), s.count(mutations=False), s.count(mutations=True), s.verdict, f"{s.seconds:.1f}"]
        for s in sections
    ]
    head = ["claim", "checks", "mutations caught", "verdict", "seconds"]
    parts = [_latex(head, rows, "Verdicts", "lrrlr")]
    for section in sections:
        for entry in section.entries:
            first, *rest = cells(entry)
            heads = [LATEX.get(entry.parameter, tex(first[0])), *map(tex, first[1:])]
            caption = f"{tex(section.title)}: {tex(entry.label)}"
            lines = [[tex(line[0]), *map(_power_of_ten, line[1:])] for line in rest]
            parts.append(_latex(heads, lines, caption, "l" + "r" * (len(first) - 1)))
    return "\n\n".join(parts) + "\n"


def _power_of_ten(cell: str) -> str:
    """2.00e-03 as a power of ten; other cells as they are."""
    return _scientific(float(cell)) if re.fullmatch(r"-?\d\.\d+e[+-]\d+", cell) else tex(cell)


def tex(words: str) -> str:
    """Words with the characters escaped that mean something to LaTeX.

    Examples
    --------
    >>> tex("a_b & c")
    'a\\\\_b \\\\& c'
    """
    return words.translate(ESCAPED)


def comma_separated(sections: Sequence[Section]) -> str:
    """One line for each number: section, case, mutation, parameter and its value, which error, the number, its order."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("section", "case", "mutation", "parameter", "value", "error", "number", "order"))
    for section in sections:
        for entry in section.entries:
            writer.writerows((section.name, entry.case, entry.mutation, *line) for line in _entry_lines(entry))
    return out.getvalue()


def _entry_lines(entry: Entry) -> Iterator[tuple[str, str, str, str, str]]:
    for kind in (entry.columns, entry.errors):
        for name, column in kind.items():
            orders = np.concatenate([[np.nan], entry.orders.get(name, np.full(max(0, column.size - 1), np.nan))])
            for i, number in enumerate(column):
                where = entry.labels[i] if entry.labels else repr(float(entry.values[i]))
                yield entry.parameter, where, name, _finite_words(number), _finite_words(orders[i])


def _finite_words(number: float) -> str:
    return repr(float(number)) if np.isfinite(number) else ""


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table.

    Examples
    --------
    >>> print(markdown(["a", "b"], [["|x|", "1"]]))
    | a | b |
    |---|---|
    | \\|x\\| | 1 |
    """
    lines = [head, ["---"] * len(head), *([cell.replace("|", r"\|") for cell in row] for row in rows)]
    return "\n".join("|---" * len(head) + "|" if i == 1 else f"| {' | '.join(line)} |" for i, line in enumerate(lines))


def finest(entry: Entry) -> str:
    """What an entry measured, in a few words: the last orders of each error, or its worst value.

    Examples
    --------
    >>> finest(Entry("c", "h", np.array([2.0, 1.0]), {"sup": np.array([4.0, 1.0])}, {"sup": np.array([2.0])}))
    'sup 2.00'
    """
    return ", ".join(f"{norm} {_measured(entry, norm)}" for norm in entry.demands or entry.errors)


def _measured(entry: Entry, norm: str) -> str:
    orders: Array = entry.orders.get(norm, np.empty(0))
    if np.isfinite(orders).any() and "order" in entry.demands.get(norm, "order"):
        return f"{orders[-1]:.2f}"
    return f"{np.max(entry.errors[norm]):.1e}"
