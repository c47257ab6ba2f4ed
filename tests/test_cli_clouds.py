"""pmasolve clouds: what Python gives, from files; what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import ot
import pytest
from typer.testing import CliRunner

import pmasolve as pma
from pmasolve.cli.app import app
from pmasolve.cli.clouds import points_of


def invoke(*arguments: object):
    """Run the command line in this process."""
    return CliRunner().invoke(app, ["clouds", *map(str, arguments)])


@pytest.fixture
def files(tmp_path: Path):
    """Two files of points."""
    rng = np.random.default_rng(8)
    x, y = rng.standard_normal((40, 2)), rng.standard_normal((30, 2)) * [2.0, 0.5] + 1.0
    np.savetxt(tmp_path / "x.csv", x, delimiter=",", fmt="%.17g")
    np.save(tmp_path / "y.npy", y)
    return tmp_path / "x.csv", tmp_path / "y.npy", x, y


def test_it_gives_what_python_gives_and_writes_it(files, tmp_path: Path) -> None:
    one, other, x, y = files
    found = pma.choose_eps(pma.Problem.from_samples(x, y), halvings=1)
    out, figure = tmp_path / "mapped.csv", tmp_path / "choice.svg"
    result = invoke(one, other, "--halvings", 1, "--out", out, "--figure", figure, "--json")
    assert result.exit_code == 0, result.output
    record = json.loads(result.stdout)
    assert (record["eps"], record["gauge"], record["error"]) == (found.eps, found.gauge.name, found.error)
    assert record["samples"] == [40, 30]
    assert record["written"] == [str(out), str(figure)]
    assert set(record["curve"]["risk"]) == {"self", "plain", "affine"}
    image = np.loadtxt(out, delimiter=",")
    assert np.array_equal(image, found.map(x))
    assert abs(record["moved"] - np.sqrt(np.mean(np.sum((image - x) ** 2, axis=1)))) < 1e-12
    assert "<svg" in figure.read_text("utf-8")


def test_it_tells_how_far_the_laws_are_apart_and_on_demand_the_points(files) -> None:
    one, other, x, y = files
    result = invoke(one, other, "--halvings", 1, "--exact")
    assert result.exit_code == 0, result.output
    found = pma.estimate_w2(x, y)
    low, high = found.w2_interval
    said = " ".join(result.output.split())
    assert f"{found.w2:.6g} between the laws, in [{low:.6g}, {high:.6g}] at 95%, reached" in said
    exact = ot.emd2([], [], ot.dist(x, y)) ** 0.5
    record = json.loads(invoke(one, other, "--halvings", 1, "--exact", "--json").stdout)
    assert record["w2"] == found.w2
    assert record["points_w2"] == pytest.approx(exact, rel=1e-12)


def test_other_points_and_times(files, tmp_path: Path) -> None:
    one, other, x, y = files
    np.savetxt(tmp_path / "z.txt", x[:5] / 2)
    result = invoke(one, other, "--t", 0.5, "--halvings", 1, "--at", tmp_path / "z.txt", "--out", tmp_path / "z.npy")
    assert result.exit_code == 0, result.output
    assert "t = 0.5, k = " in result.output
    assert "5 points go" in result.output
    found = pma.choose_eps(pma.Problem.from_samples(x, y), 0.5, halvings=1)
    assert np.allclose(np.load(tmp_path / "z.npy"), found.map(np.loadtxt(tmp_path / "z.txt")), atol=1e-12)


def test_refusals_are_one_line(files, tmp_path: Path) -> None:
    one, other, x, _ = files
    np.savetxt(tmp_path / "few.csv", x[:3], delimiter=",")
    np.savetxt(tmp_path / "line.csv", x[:, 0])
    np.save(tmp_path / "cube.npy", np.ones((3, 3, 3)))
    (tmp_path / "titles.csv").write_text("a,b\n1,2\n")
    for arguments, words in (
        ((tmp_path / "few.csv", other), "x has 3 points with mass"),
        ((tmp_path / "line.csv", other), "x has dimension 1, y has 2"),
        ((tmp_path / "cube.npy", other), "give points as rows"),
        ((tmp_path / "titles.csv", other), "without a line of titles"),
        ((one, tmp_path / "none.csv"), "No such file"),
        ((one, other, "--out", tmp_path / "map.png"), "ends with .csv or .npy"),
        ((one, other, "--figure", tmp_path / "map.gif"), "ends with .png, .svg, .pdf"),
        ((one, other, "--out", one), "would be overwritten"),
        ((one, other, "--t", -1.0), "t=-1.0"),
        ((one, other, "--at", tmp_path / "line.csv", "--halvings", 1), "the samples have 2 columns"),
    ):
        result = invoke(*arguments)
        assert result.exit_code == 2, (arguments, result.output)
        assert words in result.output, result.output
        assert len(result.output.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "text", "shape"),
    [
        ("a.csv", "1,2,3\n", (1, 3)),
        ("a.txt", "# x y\n1 2\n\n", (1, 2)),
        ("A.TSV", "1\t2\t3\t4", (1, 4)),
        ("a.dat", "1\n2\n3\n", (3, 1)),
        ("a.csv", "1,2\n3,4\n5,6\n", (3, 2)),
    ],
)
def test_a_row_is_a_point(tmp_path: Path, name: str, text: str, shape: tuple[int, int]) -> None:
    """A table of one row, one point in three dimensions, was three points on a line."""
    (tmp_path / name).write_text(text)
    assert points_of(tmp_path / name).shape == shape


def test_points_on_a_line_in_an_array(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(5.0))
    assert points_of(tmp_path / "x.npy").shape == (5, 1)
