"""What people do with maps: files in and out, the command line, stacks of images, linearised transport."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from cases import TAU, t2
from PIL import Image
from typer.testing import CliRunner

from pmasolve import (
    Box,
    FiniteDifference,
    NewtonKrylov,
    Problem,
    SemiDual,
    Simplex,
    Torus,
    distances,
    embedding,
    load_map,
    pairwise,
    plot_transport,
    read_array,
    save_map,
    transport,
)
from pmasolve.cli.app import app
from pmasolve.cli.transport import _digits
from pmasolve.machine import archives
from pmasolve.maps import exact
from pmasolve.maps.certificates import Interval
from pmasolve.maps.files import METHODS, SPACES
from pmasolve.maps.solvers import described_solver
from pmasolve.problems.grids import GRIDS

LINE = Torus((128,))
GAP = 1e-3
SHIFTS = (0.0, 0.1, 0.25, 0.4)
STACK = [1.5 + np.cos(TAU * (LINE.axis(0) - s)) for s in SHIFTS]


def invoke(*arguments: object):
    """Run the command line in this process."""
    return CliRunner().invoke(app, ["transport", *(str(argument) for argument in arguments)])


def pictures(folder: Path, floor: int = 60) -> tuple[Path, Path]:
    """Two smooth grey images."""
    x, y = Box((48, 40)).points
    shapes = np.cos(np.pi * x) * np.cos(np.pi * y), np.cos(np.pi * x) + 0.3 * np.cos(2 * np.pi * y)
    paths = folder / "source.png", folder / "target.png"
    for path, values in zip(paths, shapes, strict=True):
        Image.fromarray((150 + floor * values).astype(np.uint8)).save(path)
    return paths


def test_all_kinds_of_files_hold_the_same_numbers(tmp_path: Path) -> None:
    values = np.arange(12.0).reshape(3, 4)
    np.save(tmp_path / "a.npy", values)
    np.savez(tmp_path / "a.npz", only=values)
    np.savez(tmp_path / "b.npz", first=values, second=-values)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/data"] = values
    Image.fromarray(values.astype(np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(values.astype(np.uint8)).convert("RGB").save(tmp_path / "rgb.tiff")
    Image.fromarray(values.astype(np.float32)).save(tmp_path / "a.tif")
    for name in ("a.npy", "a.npz", "a.h5", "a.png", "rgb.tiff", "a.tif"):
        np.testing.assert_array_equal(read_array(tmp_path / name), values)
    np.testing.assert_array_equal(read_array(tmp_path / "b.npz", "second"), -values)
    np.testing.assert_array_equal(read_array(tmp_path / "a.h5", "group/data"), values)


def test_what_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 255, (64, 64), dtype=np.uint8)
    np.savez(tmp_path / "b.npz", first=values, second=values)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = values
    np.save(tmp_path / "a.npy", values)
    Image.fromarray(values).save(tmp_path / "a.png")
    for name in ("a.npy", "b.npz", "a.h5", "a.png"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / f"cut-{name}").write_bytes(whole[: len(whole) // 2])
        with pytest.raises(ValueError, match=f"cut-{name}.*truncated"):
            read_array(tmp_path / f"cut-{name}")
    np.save(tmp_path / "words.npy", np.array(["a", "b"]))
    np.save(tmp_path / "complex.npy", np.array([1j, 2.0]))
    for kind in ("words", "complex"):
        with pytest.raises(ValueError, match=rf"{kind}\.npy holds .* real numbers"):
            read_array(tmp_path / f"{kind}.npy")
    with pytest.raises(ValueError, match=r"b\.npz: several arrays and no name; it holds first, second"):
        read_array(tmp_path / "b.npz")
    with pytest.raises(ValueError, match="no array 'third'"):
        read_array(tmp_path / "b.npz", "third")
    with pytest.raises(FileNotFoundError):
        read_array(tmp_path / "nowhere.png")
    monkeypatch.setitem(sys.modules, "h5py", None)
    monkeypatch.delitem(sys.modules, "pmasolve.problems.formats.hdf5", raising=False)
    with pytest.raises(ValueError, match=r"pip install '\.\[hdf5\]'"):
        read_array(tmp_path / "a.h5")


@pytest.mark.parametrize("space", [SPACES["Fourier"](), FiniteDifference(6)], ids=str)
def test_a_map_comes_back_from_its_file(space, tmp_path: Path) -> None:
    T = transport(t2(32), space=space)
    back = load_map(save_map(T, tmp_path / "map"))
    assert back.outcome == T.outcome
    assert (back.space, back.method, back.interval, back.w2_squared) == (T.space, T.method, T.interval, T.w2_squared)
    assert list(back.records) == [dict(record) for record in T.records]
    x = np.random.default_rng(0).uniform(0, 1, (20, 2))
    np.testing.assert_array_equal(back.map, T.map)
    np.testing.assert_array_equal(back(x), T(x))
    np.testing.assert_allclose(back.interpolate(0.5), T.interpolate(0.5), atol=1e-8)
    with np.load(tmp_path / "map.npz") as data:  # for programs that do not know the package
        np.testing.assert_array_equal(data["map"], T.map)
    assert {"Torus", "Box"} == set(GRIDS)
    assert type(T.method).__name__ in METHODS


def test_map_files_that_are_none(tmp_path: Path) -> None:
    path = save_map(transport(t2(32)), tmp_path / "map.npz")
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"text"):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="cannot be read"):
            load_map(path)
    np.savez(path, a=np.zeros(3))
    with pytest.raises(ValueError, match="format None"):
        load_map(path)
    archives.write_archive(path, {"format": "pmasolve map 1"}, {"potential": np.zeros(3)})
    with pytest.raises(ValueError, match="lacks source, target"):
        load_map(path)


def test_command_line(tmp_path: Path) -> None:
    source, target = pictures(tmp_path)
    out, figure = tmp_path / "map.npz", tmp_path / "map.svg"
    result = invoke(source, target, "--out", out, "--figure", figure, "--gap", 0.5, "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    T = load_map(out)
    assert record["ok"]
    assert record["w2_squared"] == T.w2_squared
    assert record["lower"] <= record["w2_squared"] <= record["upper"]
    assert record["written"] == [str(out), str(figure)]
    assert T.problem.domain == Box((48, 40), (1.0, 40 / 48))
    assert "<svg" in figure.read_text(encoding="utf-8")
    words = invoke(source, target, "--periodic", "--floor", 0.1, "--gap", 2.0)
    assert "W2 = " in words.output


def test_the_command_line_says_which_problem_it_solved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Densities as functions, or masses of pixels; and what the grid leaves where the gap is out of reach of the semi-dual."""
    monkeypatch.setattr(exact, "small", lambda *_: False)
    monkeypatch.setattr(Simplex, "holds", lambda *_: False)
    rng = np.random.default_rng(5)
    x, y = Box((32, 32)).points
    arrays = {"smooth": 2 + np.cos(np.pi * x), "disc": (x - 0.5) ** 2 + y**2 < 0.2, "noise": rng.random((32, 32))}
    for name, values in (arrays | {"one": np.ones((32, 32))}).items():
        np.save(tmp_path / f"{name}.npy", values.astype(float))
    first = {
        name: invoke(tmp_path / "one.npy", tmp_path / f"{name}.npy", "--gap", gap)
        for name, gap in (("smooth", 1e-3), ("disc", 0.05), ("noise", 1e-3), ("one", 1e-3))
    }
    lines = {name: result.output.splitlines() for name, result in first.items()}
    said = {name: " ".join(result.output.split()).split(" W2 = ")[0] for name, result in first.items()}  # the headline
    assert "densities as functions" in said["smooth"]
    assert "masses at the nodes" in said["disc"]
    assert "this grid leaves a gap of" in said["noise"]
    assert "ask for gap=" in said["noise"]
    assert first["noise"].exit_code == 1
    assert any(line.startswith("W2 = 0, ") for line in lines["one"])
    again = invoke(
        tmp_path / "one.npy", tmp_path / "noise.npy", "--gap", said["noise"].split("ask for gap=")[1].split(",")[0]
    )
    assert again.exit_code == 0


def test_as_many_digits_as_the_interval_holds() -> None:
    cases = {
        (0.0971234, 0.097, 0.0973): "0.0971",
        (0.123456789123, 0.123456, 0.123457): "0.123457",
        (1e-14, 0.0, 3e-13): "0",
        (0.0, 0.0, 0.0): "0",
        (0.5, 0.5, 0.5): "0.5",
        (0.4, 0.0, np.inf): "0.4",
    }
    for (value, low, high), words in cases.items():
        assert _digits(value, Interval(low**2, high**2, "")) == words


@pytest.fixture
def _unsolved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is wrong is said before anything is solved."""
    monkeypatch.setattr("pmasolve.cli.transport.transport", lambda *a, **k: pytest.fail("solved"))


@pytest.mark.usefixtures("_unsolved")
def test_the_command_line_refuses_before_it_solves(tmp_path: Path) -> None:
    source, target = pictures(tmp_path)
    np.save(tmp_path / "small.npy", np.ones((8, 8)))
    np.save(tmp_path / "nan.npy", np.full((48, 40), np.nan))
    np.save(tmp_path / "zero.npy", np.zeros((48, 40)))
    np.save(tmp_path / "minus.npy", -np.ones((48, 40)))
    cases = {
        ("--out", tmp_path / "nowhere" / "map.npz"): "does not exist",
        ("--out", "/proc/map.npz"): "cannot be written",
        ("--figure", tmp_path / "map.jpg"): "ends with .png, .svg, .pdf",
        ("--figure", tmp_path / "nowhere" / "map.svg"): "does not exist",
    }
    for options, words in cases.items():
        result = invoke(source, target, *options)
        assert result.exit_code == 2
        assert words in result.output
    for name, words in {"small": "resize", "nan": "NaN", "zero": "zero everywhere", "minus": "negative"}.items():
        result = invoke(source, tmp_path / f"{name}.npy")
        assert result.exit_code == 2
        assert words in result.output


@pytest.mark.usefixtures("_unsolved")
def test_the_command_line_refuses_arrays_that_are_no_densities(tmp_path: Path) -> None:
    source, target = pictures(tmp_path)
    wrong = {
        "scalar": np.float64(1),
        "empty": np.ones((0, 40)),
        "four": np.ones((4,) * 4),
        "hole": np.diag([np.inf] * 3),
    }
    for name, values in wrong.items():
        np.save(tmp_path / f"{name}.npy", values)
    for name, words in {
        "scalar": "1, 2 or 3 axes",
        "empty": "1, 2 or 3 axes",
        "four": "axes",
        "hole": "hole.npy has 3",
    }.items():
        result = invoke(tmp_path / f"{name}.npy", target, "--floor", 0.1)
        assert result.exit_code == 2
        assert words in result.output
    assert "floor=inf" in invoke(source, target, "--floor", "inf").output


@pytest.mark.usefixtures("_unsolved")
def test_the_command_line_refuses_outputs_that_cannot_be(tmp_path: Path) -> None:
    source, target = pictures(tmp_path)
    line = tmp_path / "line.npy"
    np.save(line, np.ones(30))
    assert "ends with .png, .svg, .pdf" in invoke(line, line, "--figure", tmp_path / "line.jpg").output
    np.savez(tmp_path / "input.npz", np.ones((48, 40)))
    before = (tmp_path / "input.npz").read_bytes()
    assert "overwritten" in invoke(source, tmp_path / "input.npz", "--out", tmp_path / "input").output
    assert (tmp_path / "input.npz").read_bytes() == before
    (tmp_path / "map.npz").mkdir()
    assert "is a folder" in invoke(source, target, "--out", tmp_path / "map").output


def test_figures_in_one_to_three_dimensions() -> None:
    """Panels, and two colour bars for densities; in 3D a third one for what leaves the plane."""
    assert len(plot_transport(transport(t2(32))).axes) == 5
    assert len(plot_transport(transport(load_problem())).axes) == 2
    assert len(plot_transport(transport(Problem(Torus((8, 8, 8)), np.zeros((8,) * 3), np.zeros((8,) * 3)))).axes) == 6


def load_problem():
    """A problem in one dimension."""
    return transport_problem(STACK[0], STACK[1])


def transport_problem(a, b):
    """Two densities on the line."""
    from_densities = type(t2(8)).from_densities
    return from_densities(LINE, a, b)


def test_distances_to_a_reference() -> None:
    found = distances(LINE, STACK, STACK[0])
    assert found.ok.all()
    singles = [transport(transport_problem(image, STACK[0])).w2_squared for image in STACK]
    np.testing.assert_allclose(found.w2_squared, singles, rtol=1e-12)
    assert np.all((found.lower <= found.w2_squared) & (found.w2_squared <= found.upper))
    np.testing.assert_allclose(found.w2**2, found.w2_squared)


def test_solvers_are_told_apart_by_their_options() -> None:
    """By defaults, constants, closures and globals; what a function counts for itself is no option."""
    coarse, fine, calls = 1e-2, 1e-4, 0

    def counted(problem):
        nonlocal calls
        calls += 1
        return transport(problem, gap=coarse)

    def with_default(problem, gap=1e-2):
        return transport(problem, gap=gap)

    makers = [
        transport,
        partial(transport, gap=coarse),
        partial(transport, gap=fine),
        lambda problem: transport(problem, gap=coarse),
        lambda problem: transport(problem, gap=fine),
        lambda problem: transport(problem, gap=0.3),
        lambda problem: transport(problem, gap=GAP),
        lambda problem: transport(problem, method=SemiDual()),
        lambda problem: transport(problem, method=NewtonKrylov()),
        with_default,
        counted,
    ]
    words = [described_solver(solve) for solve in makers]
    assert len(set(words)) == len(words), words
    counted(transport_problem(STACK[0], STACK[0]))
    assert described_solver(counted) == words[-1]
    assert all(" at 0x" not in text for text in words)


def test_pairs_resume_from_a_file(tmp_path: Path) -> None:
    path, count = tmp_path / "pairs", 0

    def solve(problem):
        nonlocal count
        count += 1
        if count == 4:
            raise KeyboardInterrupt
        return transport(problem)

    with pytest.raises(KeyboardInterrupt):
        pairwise(LINE, STACK, solve=solve, path=path)
    found = pairwise(LINE, STACK, solve=solve, path=path)
    assert count == 4 + 3  # six pairs, three were kept
    whole = pairwise(LINE, STACK)
    np.testing.assert_array_equal(found.w2_squared, whole.w2_squared)
    np.testing.assert_array_equal(found.w2_squared, found.w2_squared.T)
    assert found.ok.all()
    assert np.all(np.diag(found.w2_squared) == 0)
    with pytest.raises(ValueError, match="other densities"):
        pairwise(LINE, STACK[:3], path=path, solve=solve)
    with pytest.raises(ValueError, match=r"was solved by solve\(.*, now by transport: give another file"):
        pairwise(LINE, STACK, path=path)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        pairwise(LINE, STACK, solve=lambda problem: pytest.fail("solved"), path=tmp_path / "nowhere" / "pairs.npz")


@pytest.mark.parametrize("run", [distances, embedding, pairwise], ids=lambda run: run.__name__)
def test_a_wrong_image_is_found_before_any_is_solved(run) -> None:
    def solve(problem):
        pytest.fail("solved")

    def of(images, reference=STACK[0]):
        given = {distances: (images, reference), embedding: (reference, images), pairwise: (images,)}[run]
        return run(LINE, *given, solve=solve)

    nan = np.where(LINE.axis(0) < 0.1, np.nan, 1.0)
    wrong = {"negative": -STACK[1], "zero everywhere": 0 * STACK[1], "NaN": nan, r"shape \(4,\)": np.ones(4)}
    for words, image in wrong.items():
        with pytest.raises(ValueError, match=rf"images\[2\].*{words}"):
            of([*STACK[:2], image])
        if run is not pairwise:
            with pytest.raises(ValueError, match=f"reference.*{words}"):
                of(STACK, image)
    assert len(of([]) if run is embedding else of([]).w2_squared) == 0


def test_embedding_is_an_isometry_in_one_dimension_and_an_upper_bound_in_two() -> None:
    """On an interval all optimal maps are monotone, and linearised transport is exact."""
    interval = Box((64,))
    bumps = [1.5 + np.cos(np.pi * k * interval.axis(0)) for k in (1, 2)]
    vectors = embedding(interval, np.ones(64), bumps)
    exact = distances(interval, bumps[:1], bumps[1]).w2[0]
    assert np.linalg.norm(vectors[0] - vectors[1]) == pytest.approx(exact, rel=2e-4)
    for vector, bump in zip(vectors, bumps, strict=True):
        assert np.linalg.norm(vector) == pytest.approx(distances(interval, [np.ones(64)], bump).w2[0], rel=1e-6)
    plane = Torus((32, 32))
    x, y = plane.points
    pair = [3 + np.cos(TAU * x) * np.sin(TAU * y), 3 + np.sin(TAU * (x + y))]
    a, b = embedding(plane, np.ones((32, 32)), pair)
    assert np.linalg.norm(a - b) >= distances(plane, pair[:1], pair[1]).w2[0]


def test_map_files_are_validated_and_a_worse_map_replaces_none(tmp_path: Path) -> None:
    T = transport(t2(16))
    path = save_map(T, tmp_path / "map.npz")
    with np.load(path) as data:
        kept = {name: data[name] for name in data.files}
    header, nan = json.loads(str(kept.pop("header"))), np.full((16, 16), np.nan)
    damage = [
        ({}, {"potential": nan}, "potential holds"),
        ({}, {"potential": np.zeros((16, 15))}, "potential has shape"),
        ({}, {"source": -kept["source"]}, "negative"),
        ({"grid": ["Cloud", [16, 16], [1, 1]]}, {}, "cannot be read"),
        ({"outcome": ["reached", 1, ""]}, {}, "cannot be read"),
        ({"numbers": {}}, {}, "cannot be read"),
        ({"numbers": dict(header["numbers"], w2_squared="0")}, {}, "cannot be read"),
        ({"interval": {"lower": 0}}, {}, "cannot be read"),
    ]
    for change, arrays, words in damage:
        damaged = archives.write_archive(tmp_path / "damaged.npz", header | change, kept | arrays)
        with pytest.raises(ValueError, match=words) as caught:
            load_map(damaged)
        assert str(damaged) in str(caught.value)
    before, failed = path.read_bytes(), replace(T, outcome=replace(T.outcome, ok=False))
    beside = save_map(failed, path)
    assert (beside.name, path.read_bytes()) == ("map.unfinished.npz", before)
    assert not load_map(beside).outcome.ok
    assert save_map(failed, beside) == beside
