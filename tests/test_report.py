"""Figures and tables."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from pmasolve import (
    MongeAmpere,
    Outcome,
    Problem,
    Study,
    Torus,
    Trajectory,
    evolve,
    latex_table,
    plot_orders,
    plot_trajectory,
    save_figure,
)
from pmasolve.studies.curves import MARKERS
from pmasolve.studies.entries import Entry, Section
from pmasolve.studies.figures import OKABE_ITO, svg
from pmasolve.studies.tables import latex

TAU = 2 * np.pi
STUDY = Study.over("eps", [2.0**-6, 2.0**-7, 2.0**-8], lambda e: {"sup": 3 * e**2, "gradient": e, "exact": 0.0})


def lines(axis) -> list:
    """What is drawn, without the reference slopes."""
    return [line for line in axis.get_lines() if line.get_linestyle() != ":"]


def test_orders_are_drawn_on_logarithmic_labelled_axes_with_reference_slopes() -> None:
    """A panel for each norm; the slope is drawn below the curve that has it, in its colour, and named at its fine end."""
    axes = plot_orders({"Sinkhorn": STUDY}, norms=("sup", "gradient"), slopes=(1, 2)).axes
    for axis, order, left in zip(axes, (2, 1), ("sup |u − ũ|", "sup |∇u − ∇ũ|"), strict=True):
        assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
        assert (axis.get_xlabel(), axis.get_ylabel()) == ("ε", left)
        (curve,), (dotted,) = lines(axis), [line for line in axis.get_lines() if line.get_linestyle() == ":"]
        x, y = dotted.get_data()
        assert np.log(y[0] / y[-1]) / np.log(x[0] / x[-1]) == pytest.approx(order)
        (name,) = axis.texts
        assert name.get_text() == f"slope {order}"
        assert name.get_color() == dotted.get_color() == curve.get_color()
        assert name.xy == (x[-1], y[-1])
        assert np.all(y < curve.get_ydata())


def test_curves_differ_in_colour_and_in_marker() -> None:
    (axis,) = plot_orders({f"run {i}": STUDY for i in range(7)}).axes
    assert {line.get_color() for line in lines(axis)} == set(OKABE_ITO)
    assert {line.get_marker() for line in lines(axis)} == set(MARKERS)


def test_errors_of_zero_are_left_out() -> None:
    assert len(svg(plot_orders({"exact": STUDY}, norms=("exact",), slopes=(1,)))) > 1000


def test_ticks_are_the_values_that_were_run() -> None:
    (axis,) = plot_orders({"a": STUDY}).axes
    assert [text.get_text() for text in axis.get_xticklabels()] == ["2⁻⁸", "2⁻⁷", "2⁻⁶"]


@pytest.mark.parametrize("dim", [1, 2])
def test_a_trajectory_is_drawn_and_saved_as_svg_and_pdf(dim: int, tmp_path: Path) -> None:
    problem = Problem(Torus((32,) * dim), lambda x, *y: 0.3 * np.cos(TAU * x), lambda x, *y: 0.2 * np.sin(TAU * x))
    flow = evolve(MongeAmpere(problem), [0.01, 0.02])
    drawing, page = save_figure(plot_trajectory(flow), tmp_path / "flow.t2")
    assert drawing.name == "flow.t2.svg"
    assert ElementTree.parse(drawing).getroot().tag.endswith("svg")
    assert page.read_bytes().startswith(b"%PDF")


def test_a_run_without_times_is_not_drawn() -> None:
    problem, u = Problem(Torus((8,)), np.zeros(8), np.zeros(8)), np.zeros(8)
    flow = Trajectory(MongeAmpere(problem), np.empty(0), np.empty((0, 8)), Outcome("made up", False), (0.0, u), u)
    with pytest.raises(ValueError, match=r"no times \(made up"):
        plot_trajectory(flow)


def test_equal_figures_are_equal_files(tmp_path: Path) -> None:
    first, second = (save_figure(plot_orders({"a": STUDY}), tmp_path / name) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_the_svg_needs_nothing_from_outside() -> None:
    drawing = svg(plot_orders({"a": STUDY}))
    assert drawing.startswith("<svg")
    assert 'href="http' not in drawing
    ElementTree.fromstring(drawing)


def test_latex_has_one_row_for_each_value() -> None:
    rows = latex_table(STUDY, norms=("sup",), caption="Sinkhorn").splitlines()
    assert rows[3] == r"$\varepsilon$ & sup & order \\"
    assert rows[5].endswith(r"& -- \\")
    assert rows[6].endswith(r"& 2.00 \\")
    assert r"\caption{Sinkhorn}" in rows


def test_studies_stand_side_by_side() -> None:
    """One table for a paper: ε as a power of two, error and order of each method, a block for each norm."""
    text = latex_table({"plain": STUDY, "symmetric": STUDY}, norms=("sup", "gradient"), caption="C", label="tab:o")
    rows = [line for line in text.splitlines() if line.startswith("$2^")]
    assert [row.split(" & ")[0] for row in rows] == ["$2^{-6}$", "$2^{-7}$", "$2^{-8}$"] * 2
    assert rows[2] == r"$2^{-8}$ & $4.58 \cdot 10^{-5}$ & 2.00 & $4.58 \cdot 10^{-5}$ & 2.00 \\"
    assert r"\multicolumn{2}{c}{plain} & \multicolumn{2}{c}{symmetric} \\" in text
    assert text.splitlines()[-3:] == [r"\caption{C}", r"\label{tab:o}", r"\end{table}"]
    other = Study.over("eps", [0.5, 0.25], lambda e: {"sup": e})
    with pytest.raises(ValueError, match="other parameters or values"):
        latex_table({"plain": STUDY, "other": other})


def test_pyplot_is_never_imported() -> None:
    code = "import sys, pmasolve; assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_latex_words_are_escaped_and_rows_are_complete() -> None:
    """What LaTeX stops at: special characters in words, braces and environments that do not match, rows of other lengths."""
    words = r"π = e^{−f}, 50% & $a_b$ #1 ~ \x"
    entry = Entry(
        words, "quantity", np.ones(2), {words: np.full(2, 0.1)}, {}, {words: "≤ 1"}, True, labels=(words, "b")
    )
    text = latex([Section("name", words, "", {}, (entry,), True)])
    plain = re.sub(r"\\(?:text\w+\{\}|[&%$#_{}])", "x", text)  # escaped characters are letters
    plain = re.sub(r"\$[^$]*\$", "0", plain)  # formulas are numbers
    assert not set("^%#_~$") & set(plain)
    assert plain.count("{") == plain.count("}")
    assert plain.count(r"\begin{") == plain.count(r"\end{") == 4
    for columns, body in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end", plain, flags=re.DOTALL):
        rows = [row for row in body.splitlines() if row.endswith(r"\\")]
        assert len(rows) > 1
        assert {row.count("&") for row in rows} == {len(columns) - 1}
