"""What a check shows besides orders: numbers beside a paper's, estimates beside their confidence bands, inequalities.

A `Rows` answers to everything that a `Study` does (parameter, values, errors, orders), so that demands, tables, figures and files
treat both alike.  Its errors are scaled: `against` demands AtMost(tolerance), `estimates` AtMost(1), `inequality` AtMost(0).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from pmasolve import Study
from pmasolve.machine.arrays import Array


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of numbers, and the errors that something is demanded of.

    Attributes
    ----------
    parameter : name of the first column.
    values : (m,) the first column; 1, 2, 3, … where rows have labels instead.
    errors : (m,) each, by name: what the demands of a check look at.
    columns : (m,) each, by name: printed before the errors.
    drawn : (m,) each, by the label of its curve, against ``values``; nothing is drawn for rows with labels.
    labels : one a row, in place of the values.
    note : what belongs to all rows: where the expected numbers are printed, confidence and seeds.
    printed : whether a paper prints the expected numbers; the report lists these once more at its end.
    """

    parameter: str
    values: Array
    errors: Mapping[str, Array]
    columns: Mapping[str, Array] = field(default_factory=dict)
    drawn: Mapping[str, Array] = field(default_factory=dict)
    labels: tuple[str, ...] = ()
    note: str = ""
    printed: bool = False

    def orders(self, name: str) -> Array:
        """NaN, (m−1,): no order is expected of rows."""
        return np.full(max(0, self.values.size - 1), np.nan)

    @classmethod
    def of(cls, study: Study, norms: Sequence[str]) -> Rows:
        """A study, with its errors in these norms drawn."""
        return cls(study.parameter, study.values, study.errors, drawn={norm: study.errors[norm] for norm in norms})


def against(rows: Mapping[str, tuple[float, float]], *, source: str, printed: bool = False) -> Rows:
    """Measured and expected numbers: error ``difference`` = |measured − expected|/|expected|, absolute where 0 is expected.

    Parameters
    ----------
    rows : (measured, expected) by what it is.
    source : where the expected numbers come from, with the place: "arXiv 2307.16421, example 4".
    printed : whether they stand in a paper, so that the report lists them.

    Examples
    --------
    >>> against({"half": (0.5001, 0.5)}, source="school").errors["difference"].round(6)
    array([0.0002])
    """
    measured, expected = np.array([*rows.values()], dtype=np.float64).T
    difference = np.abs(measured - expected) / np.where(expected == 0, 1.0, np.abs(expected))
    columns = {"measured": measured, "paper" if printed else "expected": expected}
    return Rows("quantity", _count(rows), {"difference": difference}, columns, {}, tuple(rows), source, printed)


def estimates(
    rows: Mapping[str, tuple[float, float, float]],
    *,
    confidence: float,
    seeds: Sequence[int],
    degrees: float = np.inf,
    parameter: str = "quantity",
    values: ArrayLike | None = None,
) -> Rows:
    """Statistical estimates: error ``band`` = |estimate − expected| / half-width of the band, at most 1 inside.

    The half-width is q·(standard error), q the quantile of the normal distribution (Student's with ``degrees`` of freedom) for
    which all rows are inside *at once* with probability ≥ ``confidence`` if the expectation is true (Bonferroni).

    Parameters
    ----------
    rows : (estimate, standard error, expected) by what it is.
    confidence : of all rows together, in (0, 1): 0.999 makes one false alarm in 1000 new seeds.
    seeds : all seeds that the estimates used.
    parameter, values : a number for each row, against which to draw them; without, rows have their names only.

    Raises
    ------
    ValueError : a confidence outside (0, 1), a standard error that is not positive.

    Examples
    --------
    >>> rows = estimates({"mean": (0.1, 0.05, 0.0)}, confidence=0.95, seeds=[7])
    >>> float(rows.columns["half-width"][0].round(3)), float(rows.errors["band"][0].round(3))
    (0.098, 1.02)
    """
    estimate, deviation, expected = np.array([*rows.values()], dtype=np.float64).T
    if not 0 < confidence < 1 or not np.all(deviation > 0):
        raise ValueError(f"confidence={confidence}, standard errors {deviation}: give a level in (0, 1), errors > 0")
    tail = (1 - confidence) / 2 / len(rows)
    width = deviation * (stats.norm.isf(tail) if np.isinf(degrees) else stats.t.isf(tail, degrees))
    distance = np.abs(estimate - expected)
    columns = {"estimate": estimate, "expected": expected, "half-width": width}
    note = f"confidence {confidence:g} for all rows at once; seeds {', '.join(map(str, seeds))}"
    if values is None:
        return Rows(parameter, _count(rows), {"band": distance / width}, columns, {}, tuple(rows), note)
    where, drawn = np.asarray(values, dtype=np.float64), {"|estimate − expected|": distance, "half-width": width}
    return Rows(parameter, where, {"band": distance / width}, columns, drawn, (), note)


def inequality(
    parameter: str,
    values: ArrayLike,
    smaller: ArrayLike,
    larger: ArrayLike,
    *,
    scale: ArrayLike = 1.0,
    names: tuple[str, str] = ("smaller", "larger"),
    note: str = "",
) -> Rows:
    """smaller ≤ larger at every value: error ``violation`` = (smaller − larger)/scale, at most 0 where it holds; slack is printed.

    Demand ``AtMost(0)``; ``AtMost(1e-12)`` where both sides may be equal up to rounding.

    Parameters
    ----------
    parameter, values : the step, the time or the horizon, (m,); all are checked, long tables are thinned when printed.
    smaller, larger : (m,) or numbers.
    scale : what a violation is divided by, > 0: a natural size of the two sides.
    names : of the two sides, in tables and figures.

    Examples
    --------
    >>> inequality("step", [1, 2], [0.1, 0.3], 0.2).errors["violation"].round(6)
    array([-0.1,  0.1])
    """
    where, low, high, size = (
        np.array(column) for column in np.broadcast_arrays(*map(_float, (values, smaller, larger, scale)))
    )
    columns = {names[0]: low, names[1]: high, "slack": high - low}
    drawn = {names[0]: low, names[1]: high}
    return Rows(parameter, where, {"violation": (low - high) / size}, columns, drawn, (), note)


def _float(values: ArrayLike) -> Array:
    return np.asarray(values, dtype=np.float64)


def _count(rows: Mapping[str, object]) -> Array:
    return np.arange(1.0, len(rows) + 1)
