"""Pictures: which way up, what is left out, legends and slopes off the data, names of files, films."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from cases import t1, t2
from matplotlib.figure import Figure
from PIL import Image

import pmasolve as pma
from pmasolve.studies import figures
from pmasolve.studies.curves import Lines, PlotLine, plot_lines
from pmasolve.studies.fields import View
from pmasolve.studies.figures import COLUMN_WIDTH, PAGE_WIDTH, STYLE_FILE
from pmasolve.studies.films import _frames
from pmasolve.studies.transports import hidden

BOX = pma.Box((24, 36), (2 / 3, 1.0))


def spot(row: float, column: float, size: float = 60.0) -> np.ndarray:
    """A density on the box with one bright place."""
    x, y = BOX.points
    return 0.2 + np.exp(-size * ((x - row) ** 2 + (y - column) ** 2))


@pytest.fixture(scope="module")
def images() -> pma.Transport:
    """Between two images: bright at the upper right, bright at the lower middle."""
    return pma.transport(pma.Problem.from_densities(BOX, spot(0.15, 0.8), spot(0.5, 0.5)))


@pytest.fixture(scope="module")
def discs() -> pma.Transport:
    """From one disc to two, in an empty box: no map outside, and a tear within."""
    x, y = BOX.points
    one = (x - 0.33) ** 2 + (y - 0.5) ** 2 < 0.06
    two = ((x - 0.2) ** 2 + (y - 0.2) ** 2 < 0.02) | ((x - 0.45) ** 2 + (y - 0.8) ** 2 < 0.03)
    return pma.transport(pma.Problem.from_densities(BOX, one.astype(float), two.astype(float)), gap=0.1)


def brightest(figure: Figure, panel: int) -> tuple[float, float]:
    """Where the most yellow pixels of a panel are, as shares of its width from the left and of its height from above."""
    out = BytesIO()
    figure.savefig(out, format="png", dpi=100)
    pixels = np.asarray(Image.open(out).convert("RGB")).astype(float)
    box = figure.axes[panel].get_window_extent()
    top = pixels.shape[0]
    part = pixels[int(top - box.y1) : int(top - box.y0), int(box.x0) : int(box.x1)]
    yellow = part[..., 0] + part[..., 1] - part[..., 2]
    rows, columns = np.nonzero(yellow > 0.98 * yellow.max())
    return float(columns.mean() / part.shape[1]), float(rows.mean() / part.shape[0])


def test_images_stand_as_images(images: pma.Transport) -> None:
    """The first axis runs downwards; it ran to the right, so that pictures lay on their side."""
    figure = images.plot()
    panels = {axis.get_title().split(",")[0]: k for k, axis in enumerate(figure.axes)}
    for name, row, column in (("source", 0.15, 0.8), ("target", 0.5, 0.5)):
        across, down = brightest(figure, panels[name])
        assert across == pytest.approx(column, abs=0.04)
        assert down == pytest.approx(row / (2 / 3), abs=0.05)
    axis = figure.axes[panels["map"]]
    assert axis.yaxis_inverted()
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("y (columns)", "x (rows)")
    drawn = np.concatenate([line.get_xydata() for line in axis.get_lines()])
    assert np.ptp(drawn[:, 0]) == pytest.approx(1.0, abs=0.1)  # columns to the right
    assert np.ptp(drawn[:, 1]) == pytest.approx(2 / 3, abs=0.1)


def test_formulas_stand_as_in_mathematics() -> None:
    """x to the right, y upwards; and as images where that is asked for."""
    grid = pma.Torus((24, 24))
    problem = pma.Problem(
        grid, lambda x, y: np.cos(2 * np.pi * (x - 0.3)) + np.cos(2 * np.pi * (y - 0.3)), lambda x, y: 0 * x
    )
    T = pma.transport(problem)  # most mass at (0.8, 0.8), the nodes from −h/2
    across, down = brightest(T.plot(), 0 if T.plot().axes[0].get_title() == "source" else 1)
    assert (across, down) == pytest.approx((0.8, 0.2), abs=0.06)
    assert not pma.plot_transport(T).axes[0].yaxis_inverted()
    assert all(axis.yaxis_inverted() for axis in pma.plot_transport(T, image=True).axes[:3])


def test_undefined_and_split_parts_are_left_out(discs: pma.Transport) -> None:
    """What is drawn of the map lies on the target; with the hidden nodes spikes covered the square."""
    figure = discs.plot()
    (axis,) = [axis for axis in figure.axes if axis.get_title().startswith("map")]
    assert "left out" in axis.get_title()
    target = np.exp(-discs.problem.g) > 0
    far = max(BOX.spacing) * 2.5

    def outside(lines) -> float:
        """The share of points that are far from the target's nodes."""
        points = np.concatenate([line.get_xydata() for line in lines])
        points = points[np.isfinite(points).all(axis=1)][:, ::-1]
        nodes = BOX.points[:, target].T
        return float(np.mean(np.min(np.linalg.norm(points[:, None] - nodes[None], axis=-1), axis=1) > far))

    assert outside(axis.get_lines()) < 0.02
    for line in axis.get_lines():  # no line crosses from one disc to the other
        steps = np.linalg.norm(np.diff(line.get_xydata(), axis=0), axis=1)
        assert np.nanmax(steps, initial=0.0) < 0.2
    whole, view = Figure(), View.of(discs.problem)
    everything = whole.subplots()
    view.mesh(everything, discs.map, np.zeros(BOX.shape, bool), 24, torn=False)
    assert outside(everything.get_lines()) > 0.3
    assert hidden(discs)[discs.undefined].all()


def test_arrows_start_where_there_is_mass(discs: pma.Transport, images: pma.Transport) -> None:
    (arrows,) = [c for axis in pma.plot_transport(discs, arrows=True).axes for c in axis.collections if hasattr(c, "U")]
    starts = np.stack([arrows.Y, arrows.X])
    x, y = BOX.points
    nearest = np.argmin((x.ravel()[:, None] - starts[0]) ** 2 + (y.ravel()[:, None] - starts[1]) ** 2, axis=0)
    assert not discs.undefined.ravel()[nearest].any()
    step = (images.map - BOX.points).reshape(2, -1)
    (arrows,) = [
        c for axis in pma.plot_transport(images, arrows=True).axes for c in axis.collections if hasattr(c, "U")
    ]
    nearest = np.argmin((x.ravel()[:, None] - arrows.Y) ** 2 + (y.ravel()[:, None] - arrows.X) ** 2, axis=0)
    np.testing.assert_allclose([arrows.V, arrows.U], step[:, nearest])  # rows are V, downwards as their axis


def test_planes_of_three_dimensions() -> None:
    grid = pma.Torus((4, 6, 8))
    values = np.arange(192.0).reshape(grid.shape)
    for normal, at, expected in ((2, None, values[:, :, 4].T), (0, 1, values[1].T), (1, -1, values[:, 5].T)):
        np.testing.assert_array_equal(View(grid, False, normal, at).plane(values), expected)
    np.testing.assert_array_equal(View(grid, True, 0, 1).plane(values), values[1])
    problem = pma.Problem(grid, np.zeros(grid.shape), np.zeros(grid.shape))
    for options in ({"normal": 3}, {"at": 8}):
        with pytest.raises(ValueError, match="give an axis"):
            View.of(problem, **options)


def test_figures_fit_a_journal(images: pma.Transport, discs: pma.Transport) -> None:
    """A column or a page wide, no letter below 7 points, and every legend below all panels."""
    line, plane = t1(32), t2(24)
    run = pma.evolve(pma.MongeAmpere(line), [0.01, 0.02])
    study = pma.Study.over("eps", [0.1, 0.05], lambda e: {"sup": e, "gradient": e**2})
    drawn = [
        images.plot(),
        pma.plot_transport(discs, width=COLUMN_WIDTH),
        run.plot(),
        pma.plot_trajectory(run, width=COLUMN_WIDTH),
    ]
    drawn += [pma.evolve(pma.MongeAmpere(plane), [0.01]).plot(), pma.transport(line).plot()]
    drawn += [pma.plot_orders({"a": study, "b": study}, norms=("sup", "gradient"), slopes=(1, 2)), study.plot()]
    for figure in drawn:
        assert figure.get_figwidth() in (COLUMN_WIDTH, PAGE_WIDTH)
        figure.draw_without_rendering()
        panels = [axis.get_tightbbox() for axis in figure.axes]
        for legend in figure.legends:
            assert all(not legend.get_window_extent().overlaps(panel) for panel in panels)
        words = [text for text in figure.findobj(lambda a: hasattr(a, "get_fontsize")) if text.get_text()]
        assert min(text.get_fontsize() for text in words) >= 7
        assert not any(axis.get_legend() for axis in figure.axes)


def test_legends_of_single_panels_stand_below_their_labels() -> None:
    x = np.linspace(0, 1, 5)
    lines = [PlotLine(name, x, x + k) for k, name in enumerate("abcd")]
    figure = plot_lines([Lines("one", "x", "y", lines), Lines("two", "x", "y", lines[:2], True, True)])
    figure.draw_without_rendering()
    for axis in figure.axes:
        legend, label = axis.get_legend().get_window_extent(), axis.xaxis.label.get_window_extent()
        assert legend.y1 <= label.y0 + 1
        assert legend.y0 >= 0
    assert figure.axes[1].get_yscale() == figure.axes[1].get_xscale() == "log"


def test_the_style_is_a_file_for_everybody() -> None:
    import matplotlib.style

    with matplotlib.style.context(str(STYLE_FILE)):
        assert matplotlib.rcParams["font.size"] == 8


@pytest.mark.parametrize(
    ("name", "formats", "written"),
    [
        ("m.png", None, ["m.png"]),
        ("m.svg", None, ["m.svg"]),
        ("m.pdf", None, ["m.pdf"]),
        ("m", None, ["m.svg", "m.pdf"]),
        ("flow.t2", None, ["flow.t2.svg", "flow.t2.pdf"]),
        ("m", ["png"], ["m.png"]),
        ("m.png", ["png", "svg"], ["m.png", "m.svg"]),
    ],
)
def test_the_name_says_the_format(name: str, formats: list[str] | None, written: list[str], tmp_path: Path) -> None:
    """m.png became m.png.svg."""
    begins = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}
    paths = pma.save_figure(Figure(), tmp_path / name, formats=formats)
    assert [path.name for path in paths] == written == sorted((p.name for p in tmp_path.iterdir()), key=written.index)
    assert all(path.read_bytes().startswith(begins[path.suffix]) for path in paths)


@pytest.mark.parametrize(
    ("name", "formats", "words"),
    [
        ("m.jpg", None, r"not written as \.jpg"),
        ("m", ["eps"], r"not written as \.eps"),
        ("m.png", ["svg"], "leave one out"),
    ],
)
def test_other_formats_are_refused(name: str, formats: list[str] | None, words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        pma.save_figure(Figure(), tmp_path / name, formats=formats)
    assert not list(tmp_path.iterdir())


def test_films_run_from_source_to_target(images: pma.Transport, tmp_path: Path) -> None:
    figure, update, count = _frames(images, 3, None)
    densities = []
    for k in range(count):
        update(k)
        densities.append(np.array(figure.axes[0].images[0].get_array()))
    np.testing.assert_allclose(densities[0], np.exp(-images.problem.f), rtol=1e-6)
    np.testing.assert_allclose(densities[2], np.exp(-images.problem.g), rtol=0.02)  # of 24 × 36 nodes
    assert figure.axes[0].get_title() == "s = 1.00"
    (film,) = pma.save_film(images, tmp_path / "m.gif", frames=3)
    assert Image.open(film).n_frames == 3
    names = pma.save_film(images, tmp_path / "m.png", frames=2)
    assert [path.name for path in names] == ["m-00.png", "m-01.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m-00.png", "m-01.png", "m.gif"]


def test_films_of_runs(tmp_path: Path) -> None:
    """One frame for each time, of lines and of points."""
    rng = np.random.default_rng(0)
    line = pma.evolve(pma.MongeAmpere(t1(32)), [0.01, 0.02, 0.03])
    figure, update, count = _frames(line, None, None)
    assert count == 3
    update(2)
    np.testing.assert_allclose(figure.axes[0].get_lines()[2].get_ydata(), np.exp(line.log_density(2)))
    assert _frames(line, 2, None)[2] == 2
    for dim in (1, 2, 3):
        problem = pma.Problem.from_samples(rng.random((20, dim)), rng.random((20, dim)))
        run = pma.evolve(pma.Sinkhorn(problem, 0.1), [0.1, 0.2])
        figure, update, _ = _frames(run, None, None)
        update(1)
        moved = figure.axes[0].collections[1].get_offsets()
        np.testing.assert_allclose(moved[:, : min(dim, 2)], run.map(1)[:, :2])
    assert Image.open(pma.save_film(run, tmp_path / "points.gif")[0]).n_frames == 2


def test_films_that_cannot_be_written_are_refused_before_any_work(
    images: pma.Transport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures.FFMpegWriter, "isAvailable", lambda: False)
    monkeypatch.setattr(pma.Transport, "interpolate", lambda self, s: pytest.fail("drawn"))
    for name, options, words in (
        ("m.mp4", {}, "ffmpeg, which is not installed: take .gif"),
        ("m.avi", {}, r"films end with \.gif or \.mp4"),
        ("m", {}, "films end with"),
        ("m.gif", {"frames": 1}, "at least 2"),
        ("m.gif", {"fps": 0}, "fps=0"),
    ):
        with pytest.raises(ValueError, match=words):
            pma.save_film(images, tmp_path / name, **options)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        pma.save_film(images, tmp_path / "none" / "m.gif")
    with pytest.raises(ValueError, match="has no film"):
        pma.save_film(3, tmp_path / "m.gif")
    run = pma.evolve(pma.MongeAmpere(t1(16)), [0.01])
    with pytest.raises(ValueError, match="no times"):
        pma.save_film(replace(run, times=np.empty(0), potentials=run.potentials[:0]), tmp_path / "m.gif")


@pytest.mark.skipif(not figures.FFMpegWriter.isAvailable(), reason="no ffmpeg")
def test_films_for_a_talk(images: pma.Transport, tmp_path: Path) -> None:
    (film,) = pma.save_film(images, tmp_path / "m.mp4", frames=3)
    assert b"ftyp" in film.read_bytes()[:32]


def test_couplings_and_clouds_are_drawn() -> None:
    """Each chosen point is joined with targets that get its mass."""
    rng = np.random.default_rng(2)
    problem = pma.Problem.from_samples(rng.random((30, 3)), rng.random((20, 3)))
    plan = pma.schroedinger(problem, 0.05).plan
    axis = plan.plot().axes[0]
    assert "the first 2 of 3 coordinates" in axis.get_title()
    ends = np.array([line.get_xydata() for line in axis.get_lines()])
    assert ends.shape == (90, 2, 2)
    np.testing.assert_array_equal(ends[0, 0], problem.domain.points[0, :2])
    j = int(np.argmax(plan.rows([0])[0]))
    assert (ends[:3, 1] == problem.codomain.points[j, :2]).all(axis=1).any()
