"""Tables of studies and of whole reports: LaTeX (package booktabs), Markdown, CSV, and cells for HTML."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO

import numpy as np

from ..machine.arrays import Array
from .convergence import Study
from .entries import Entry, Section

SHOWN_ROWS = 24  # rows of a table; files of data hold more
LETTERS = {"eps": "ε"}
LATEX_SYMBOLS = {"eps": r"$\varepsilon$", "rtol": r"$\mathrm{rtol}$"}
LATEX_NORMS = {
    "sup": r"$\sup|u-\tilde u|$",
    "l2": r"$\|u-\tilde u\|_{L^2}$",
    "gradient": r"$\sup|\nabla u-\nabla\tilde u|$",
}
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
    return [list(columns), *([column[i] for column in columns.values()] for i in entry.shown(SHOWN_ROWS))]


def _order(order: float) -> str:
    return f"{order:.3f}" if np.isfinite(order) else ""


def latex_table(
    study: Study | Mapping[str, Study], *, norms: Sequence[str] | None = None, caption: str = "", label: str = ""
) -> str:
    r"""Values, errors and running orders as a LaTeX table (package booktabs); several studies stand side by side.

    Parameters
    ----------
    study : errors over a parameter; or several over the same values of it, by the names that stand above their columns.
    norms : which errors, by name; all unless given.  Of one study they are columns, of several blocks of rows.
    caption, label : of the table; ``caption`` is LaTeX.

    Returns
    -------
    LaTeX source, one line for each value of the parameter, powers of two and fractions written as such.

    Raises
    ------
    KeyError : a norm that a study has not.
    ValueError : studies of other parameters or values.

    Examples
    --------
    >>> study = Study.over("h", [2.0**-4, 2.0**-5], lambda h: {"sup": h**2})
    >>> print(latex_table({"central": study, "compact": study}, label="tab:h"))
    \begin{table}\centering
    \begin{tabular}{rrrrr}
    \toprule
     & \multicolumn{2}{c}{central} & \multicolumn{2}{c}{compact} \\
    \cmidrule(lr){2-3} \cmidrule(lr){4-5}
    $h$ & error & order & error & order \\
    \midrule
    $2^{-4}$ & $3.91 \cdot 10^{-3}$ & -- & $3.91 \cdot 10^{-3}$ & -- \\
    $2^{-5}$ & $9.77 \cdot 10^{-4}$ & 2.00 & $9.77 \cdot 10^{-4}$ & 2.00 \\
    \bottomrule
    \end{tabular}
    \label{tab:h}
    \end{table}
    """
    if isinstance(study, Study):
        chosen = tuple(study.errors) if norms is None else tuple(norms)
        head = [_symbol(study), *(word for norm in chosen for word in (tex(norm), "order"))]
        return _latex([head], _rows([(study, norm) for norm in chosen]), caption, label=label)
    first, *others = study.values()
    if any(other.parameter != first.parameter or not np.array_equal(other.values, first.values) for other in others):
        raise ValueError("the studies have other parameters or values: give one table for each")
    return _side_by_side(study, tuple(first.errors) if norms is None else tuple(norms), caption, label)


def _side_by_side(studies: Mapping[str, Study], norms: Sequence[str], caption: str, label: str) -> str:
    """Two columns for each study, a block of rows for each norm."""
    n = len(studies)
    above = " & ".join(["", *(rf"\multicolumn{{2}}{{c}}{{{tex(name)}}}" for name in studies)])
    rules = " ".join(rf"\cmidrule(lr){{{2 * k + 2}-{2 * k + 3}}}" for k in range(n))
    head = [[f"{above} \\\\\n{rules}\n{_symbol(next(iter(studies.values())))}", *["error", "order"] * n]]
    rows: list[Sequence[str]] = []
    for norm in norms:
        if len(norms) > 1:
            rows.append(
                [
                    (r"\midrule" + "\n" if rows else "")
                    + rf"\multicolumn{{{2 * n + 1}}}{{l}}{{{LATEX_NORMS.get(norm, tex(norm))}}}"
                ]
            )
        rows += _rows([(study, norm) for study in studies.values()])
    return _latex(head, rows, caption, label=label)


def _rows(columns: Sequence[tuple[Study, str]]) -> list[Sequence[str]]:
    """For each value of the parameter the value, and the error and its order in each column."""
    orders = [["--", *(f"{order:.2f}" for order in study.orders(norm))] for study, norm in columns]
    return [
        [
            _parameter(value),
            *(
                cell
                for (s, norm), order in zip(columns, orders, strict=True)
                for cell in (_scientific(s.errors[norm][i]), order[i])
            ),
        ]
        for i, value in enumerate(columns[0][0].values)
    ]


def _symbol(study: Study) -> str:
    return LATEX_SYMBOLS.get(study.parameter, f"${study.parameter}$")


def _parameter(value: float) -> str:
    """A power of two or a fraction 1/n as such, else a power of ten."""
    mantissa, exponent = np.frexp(value)
    if mantissa == 0.5:
        return f"$2^{{{exponent - 1}}}$"
    n = round(1 / value)
    return f"$1/{n}$" if n > 1 and abs(n * value - 1) < 1e-12 else _scientific(value)


def _latex(
    heads: Sequence[Sequence[str]], rows: Sequence[Sequence[str]], caption: str, columns: str = "", label: str = ""
) -> str:
    head, body = ([" & ".join(cells) + r" \\" for cells in lines] for lines in (heads, rows))
    end = [*([rf"\caption{{{caption}}}"] if caption else []), *([rf"\label{{{label}}}"] if label else [])]
    begin = [r"\begin{table}\centering", rf"\begin{{tabular}}{{{columns or 'r' * len(heads[0])}}}", r"\toprule"]
    return "\n".join([*begin, *head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}", *end, r"\end{table}"])


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
    parts = [_latex([head], rows, "Verdicts", "lrrlr")]
    for section in sections:
        for entry in section.entries:
            first, *rest = cells(entry)
            heads = [LATEX_SYMBOLS.get(entry.parameter, tex(first[0])), *map(tex, first[1:])]
            caption = f"{tex(section.title)}: {tex(entry.label)}"
            lines = [[tex(line[0]), *map(_power_of_ten, line[1:])] for line in rest]
            parts.append(_latex([heads], lines, caption, "l" + "r" * (len(first) - 1)))
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
