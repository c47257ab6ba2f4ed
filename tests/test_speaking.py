"""Results speak: one short line, a page of 80 columns, a picture; no arrays, and what draws is imported when asked."""

from __future__ import annotations

import subprocess
import sys
from html import escape
from xml.etree import ElementTree

import numpy as np
import pytest
from cases import t1, t2

from pmasolve import (
    JKO,
    PLAIN,
    Cloud,
    ConstantSteps,
    FokkerPlanck,
    MirrorDescent,
    MongeAmpere,
    Outcome,
    Problem,
    SemiDual,
    Sinkhorn,
    Spline,
    Study,
    Torus,
    Trajectory,
    brenier,
    compare,
    cross_check,
    distances,
    evolve,
    pairwise,
    schroedinger,
    transport,
)
from pmasolve.flows.mirror import Law
from pmasolve.gaussian import ClosedForm, Normal, Pair, Quadratic
from pmasolve.machine.speaking import sheet

SUMMARY = ("Trajectory", "Transport", "Distances", "Study", "Comparison", "Schroedinger", "Brenier", "Plan", "Problem")
PICTURE = ("Trajectory", "Transport", "Distances", "Study", "Schroedinger")


def _normals() -> dict[str, object]:
    """Closed forms in ten dimensions."""
    A = np.random.default_rng(1).standard_normal((10, 10))
    law = Normal(np.arange(10.0), A @ A.T + np.eye(10))
    pair, start = Pair(law, Normal(np.zeros(10), np.eye(10))), Quadratic(np.eye(10))
    small = Quadratic([[2.0, 0.1], [0.1, 1.0]], [1 / 3, 0.0])
    return {
        "Normal": law,
        "Pair": pair,
        "Quadratic": start,
        "a small Quadratic": small,
        "ClosedForm": ClosedForm(pair, start),
    }


def _maps() -> dict[str, object]:
    """Smooth and rough, on a line and in the plane, and stacks of them."""
    line = t1(32)
    grid, densities = line.domain, [np.exp(-line.f), np.exp(-line.g), np.ones(32)]
    rough = transport(line, method=SemiDual(), gap=0.2)
    return {
        "Transport, 1D": transport(line),
        "Transport, 2D": transport(t2(32)),
        "Transport, rough": rough,
        "Displacement": transport(line).move,
        "Tabulated": rough.move,
        "Distances, to one": distances(grid, densities, densities[0]),
        "Distances, pairs": pairwise(grid, densities),
    }


def _runs() -> dict[str, object]:
    """Trajectories of flows and what is made from them."""
    rng, line, plane = np.random.default_rng(0), t1(32), t2(32)
    plane_cloud = Problem.from_samples(rng.random((60, 2)), rng.random((50, 2)) ** 1.5)
    line_cloud = Problem.from_samples(rng.random((40, 1)), rng.random((50, 1)) ** 2, period=1.0)
    run = evolve(MongeAmpere(line), [0.005, 0.01])
    steps = evolve(Sinkhorn(line, 1 / 400, quadrature=1), [0.005, 0.01])
    flows = [Sinkhorn(plane, 0.01), FokkerPlanck(line), JKO(line, 0.01), MirrorDescent(line, ConstantSteps(0.01))]
    cloud = evolve(Sinkhorn(plane_cloud, 0.02), [0.02, 0.2])
    found = schroedinger(line, 0.01)
    return {
        **{f"flow {i}": flow for i, flow in enumerate(flows)},
        "Trajectory, 1D": run,
        "Trajectory, 2D": evolve(MongeAmpere(plane), [0.005]),
        "Trajectory, Sinkhorn": steps,
        "Trajectory, clouds": cloud,
        "Trajectory, clouds on a circle": evolve(Sinkhorn(line_cloud, 0.01), [0.1]),
        "ErrorEstimate": run.error_estimate(),
        "Comparison": compare(steps, run),
        "CrossCheck": cross_check(run, 1 / 200, levels=2),
        "Law": Law.of(run, 0),
        "Schroedinger, 1D": found,
        "Schroedinger, 2D": schroedinger(plane, 0.02),
        "Schroedinger, clouds": schroedinger(plane_cloud, 0.02),
        "Brenier": brenier(line, 0.01, levels=2),
        "Plan": found.plan,
        "Potential": found.plan.phi,
        "Problem": line,
        "Problem, clouds": plane_cloud,
        "Cloud": Cloud(rng.random((1000, 3)), period=(1.0, 2.0, 1 / 3)),
        "Measure": line.mu,
        "source": line.source,
        "sampled source": Problem(line.domain, line.f, line.g).source,
        "Torus": Torus((64, 64, 64)),
        "Spline": Spline(3),
        "Gauge": PLAIN,
        "Study": Study.over("eps", 2.0 ** -np.arange(3, 24), lambda e: {"sup": e, "a longer name": e**2, "kl": e**3}),
    }


@pytest.fixture(scope="module")
def things() -> dict[str, object]:
    return {**_runs(), **_maps(), **_normals()}


def test_one_short_line(things: dict[str, object]) -> None:
    """At most 400 characters on at most five lines, no arrays; a Trajectory printed 7239 characters once."""
    for name, thing in things.items():
        text = repr(thing)
        assert 5 < len(text) <= 400, (name, text)
        assert text.count("\n") < 5, name
        assert "array(" not in text, name
        assert "matrix(" not in text, name


def test_a_page_of_eighty_columns(things: dict[str, object]) -> None:
    """What, outcome with its advice, key numbers; the title says what the one line says."""
    for name, thing in things.items():
        if name.split(",")[0] not in SUMMARY:
            continue
        page = thing.summary()
        lines = page.splitlines()
        assert max(map(len, lines)) <= 80, page
        assert 3 <= len(lines) <= 30, page
        assert " ".join(page.split()).startswith(" ".join(repr(thing).strip("<>").split())), page
        assert "array(" not in page
        print("\n" + page)
    assert "W₂²" in things["Transport, 1D"].summary()
    assert f"{things['Transport, 1D'].w2:.10g}" in things["Transport, 1D"].summary()


def test_a_page_tells_the_advice() -> None:
    """An outcome that is not well is told with its advice, in the page and by its name in the line."""
    u = np.zeros((1, 32))
    outcome = Outcome("made up", False, "take another one " * 9)
    run = Trajectory(MongeAmpere(t1(32)), np.array([0.01]), u, outcome, (0.01, u[0]), u[0])
    assert "made up" in repr(run)
    assert " ".join(run.summary().split()).count("take another one") == 9
    assert max(map(len, run.summary().splitlines())) <= 80


def test_a_picture(things: dict[str, object]) -> None:
    """``plot()`` gives a figure; notebooks get the page and one small picture."""
    for name, thing in things.items():
        if name.split(",")[0] not in PICTURE:
            continue
        figure = thing.plot()
        assert figure.axes, name
        assert all(axis.has_data() for axis in figure.axes), name
        html = thing._repr_html_()
        assert html.count("<svg") == 1, name
        assert len(html) < 400_000, (name, len(html))
        tree = ElementTree.fromstring(html[html.index("<svg") : html.index("</svg>") + 6])
        assert "px" in tree.attrib["style"]
        assert escape(thing.summary()) in html


def test_what_cannot_be_drawn_is_told_in_words(things: dict[str, object]) -> None:
    """A notebook has the page alone, and ``plot`` says why."""
    plan = things["Plan"]
    assert plan._repr_html_() == f"<div><pre>{escape(plan.summary())}</pre></div>"
    with pytest.raises(ValueError, match="clouds in two dimensions or more"):
        plan.plot()


def test_three_dimensions_are_drawn_by_a_plane() -> None:
    cube = Problem(Torus((8,) * 3), np.zeros((8,) * 3), np.zeros((8,) * 3))
    for thing in (transport(cube), evolve(MongeAmpere(cube), [0.01])):
        assert "z = 0.5" in thing.plot().axes[0].get_title()
        assert thing._repr_html_().count("<svg") == 1


def test_pictures_are_imported_when_asked_for() -> None:
    """Not by an import, not by a repr, not by a summary."""
    code = (
        "import sys, numpy as np, pmasolve as pma\n"
        "p = pma.Problem(pma.Torus((8,)), np.zeros(8), np.zeros(8))\n"
        "run = pma.evolve(pma.MongeAmpere(p), [0.01]); repr(run); run.summary()\n"
        "assert 'matplotlib' not in sys.modules\n"
        "run.plot()\n"
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_long_facts_are_wrapped() -> None:
    page = sheet("<A title>", {"short": 1, "left out": None, "long": "word " * 60, "two lines": "one\ntwo"})
    assert page.startswith("A title\n  short")
    assert "left out" not in page
    assert max(map(len, page.splitlines())) <= 80
    assert page.count("word") == 60
    assert page.splitlines()[-1].strip() == "two"
