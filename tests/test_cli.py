"""The command line: what it computes, what it refuses and how it says so."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import pmasolve as pma
from pmasolve.cli.app import app
from pmasolve.cli.building import problem_of
from pmasolve.cli.config import checked_config, read_config
from pmasolve.cli.formulas import Formula, formula_value
from pmasolve.problems.images import read_array
from pmasolve.studies import pages

CONFIG = """
[domain]
shape = [32]

[source]
formula = "1 + 0.3*cos(2*pi*x)"

[target]
potential = "0.3*sin(2*pi*x)"

[flow]
kind = "monge-ampere"
rtol = 1e-9

[run]
times = ["1/64", 0.03125]
"""
SINKHORN = CONFIG.replace('kind = "monge-ampere"\nrtol = 1e-9', 'kind = "sinkhorn"\neps = "1/256"\ngauge = "symmetric"')
STUDY = CONFIG.replace("[32]", "[64]") + '\n[study]\neps = ["1/256", "1/512"]\nt = "1/32"\nrtol = 1e-9\n'


def invoke(*arguments: object, **options: Any):
    """Run the command line in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **options)


@pytest.fixture
def write(tmp_path: Path):
    """Write a configuration to a file."""

    def to(text: str, name: str = "config.toml") -> Path:
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return path

    return to


def test_evolve_and_compare_give_what_python_gives(write, tmp_path: Path) -> None:
    pde, sink = write(CONFIG, "pde.toml"), write(SINKHORN, "sink.toml")
    assert invoke("evolve", pde, "--out", tmp_path / "pde.npz").exit_code == 0
    result = invoke("evolve", sink, "--out", tmp_path / "sink.npz", "--json")
    record = json.loads(result.stdout)
    assert (record["outcome"], record["ok"], record["times"]) == ("reached", True, [1 / 64, 1 / 32])
    assert record["last_step"]["mass"] == pytest.approx(1)

    problem = pma.Problem.from_densities(
        pma.Torus((32,)), lambda x: 1 + 0.3 * np.cos(2 * np.pi * x), lambda x: np.exp(-0.3 * np.sin(2 * np.pi * x))
    )
    times = [1 / 64, 1 / 32]
    limit = pma.evolve(pma.MongeAmpere(problem, rtol=1e-9), times)
    expected = pma.compare(pma.evolve(pma.Sinkhorn(problem, 1 / 256, gauge=pma.SYMMETRIC), times), limit)
    for a, b in (("sink.npz", "pde.npz"), ("sink.toml", "pde.npz")):  # stored, and run on the spot
        errors = json.loads(invoke("compare", tmp_path / a, tmp_path / b, "--json").stdout)
        for name, column in expected.columns().items():
            assert errors[name] == pytest.approx(column, rel=1e-4, abs=1e-12)
    assert "gradient" in invoke("compare", tmp_path / "sink.npz", tmp_path / "pde.npz").output


def test_a_run_is_gone_on_with(write, tmp_path: Path) -> None:
    out = tmp_path / "run.npz"
    assert invoke("evolve", write(CONFIG), "--out", out).exit_code == 0
    longer = write(CONFIG.replace("0.03125", '0.03125, "1/16"'), "longer.toml")
    for _ in range(2):  # the second time nothing is left to do
        assert invoke("evolve", longer, "--out", out, "--resume").exit_code == 0
    whole = tmp_path / "whole.npz"
    assert invoke("evolve", longer, "--out", whole).exit_code == 0
    errors = json.loads(invoke("compare", out, whole, "--json").stdout)
    assert errors["times"] == [1 / 64, 1 / 32, 1 / 16]
    assert max(errors["sup"]) < 1e-7


def test_an_interrupted_run_is_kept_and_gone_on_with(write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, out, advance = write(SINKHORN), tmp_path / "run.npz", pma.Sinkhorn.advance

    def impatient(flow, state, until):
        if state.k == 5:
            raise KeyboardInterrupt
        return advance(flow, state, until)

    with monkeypatch.context() as patched:
        patched.setattr(pma.Sinkhorn, "advance", impatient)
        result = invoke("evolve", config, "--out", out)
    assert result.exit_code == 130
    assert "interrupted" in result.output
    assert "--resume" in result.output
    assert invoke("evolve", config, "--out", out, "--resume").exit_code == 0
    assert json.loads(invoke("compare", out, config, "--json").stdout)["sup"] == pytest.approx([0, 0], abs=1e-15)


def test_study_writes_the_report_and_fails_where_an_order_does(write, tmp_path: Path) -> None:
    config = write(STUDY)
    result = invoke("study", config, "--out", tmp_path / "study")
    assert result.exit_code == 0, result.output
    assert "symmetric: order as expected" in result.output
    assert (tmp_path / "study" / "report.html").exists()
    record = json.loads(invoke("study", config, "--out", tmp_path / "study", "--json").stdout)
    assert record["holds"] is True
    coarse = write(STUDY.replace('["1/256", "1/512"]', '["1/32", "1/64"]'), "coarse.toml")
    result = invoke("study", coarse, "--out", tmp_path / "study")
    assert result.exit_code == 1
    assert "NOT as expected" in result.output


def test_a_run_that_fails_says_why_and_is_kept(write, tmp_path: Path) -> None:
    steep = write(CONFIG + '\n[initial]\nformula = "0.1*cos(2*pi*x)"\n')
    result = invoke("evolve", steep, "--out", tmp_path / "run.npz")
    assert result.exit_code != 0
    assert "convex" in result.output
    unresolved = write(SINKHORN.replace("1/256", "1/65536"), "small.toml")
    result = invoke("evolve", unresolved, "--out", tmp_path / "run.npz")
    assert result.exit_code == 1
    assert "quadrature" in result.output
    assert (tmp_path / "run.npz").exists()


# the line that replaces another: what the message must say
WRONG = {
    "unknown value": ('shape = [32]\nkind = "taurus"', ["domain.kind = 'taurus'", "'torus' or 'box'"]),
    "unknown key": ("shape = [32]\nsize = 3", ["domain.size", "no such key", "kind, shape, lengths"]),
    "missing key": ('kind = "torus"', ["domain.shape is missing"]),
    "too few points": ("shape = [2]", ["domain.shape[0] = 2", "greater than or equal to 4"]),
    "a word for a number": ('shape = ["many"]', ["domain.shape[0] = 'many'"]),
    "a value the package refuses": ("shape = [32]\nlengths = [1, 1]", ["lengths=", "each of the 1 axes"]),
    "not TOML": ("shape = [32", ["not a TOML file"]),
}
ELSEWHERE = {
    "unknown table": ("[run]", "[runs]", ["runs", "no such key", "domain, source, target, initial, flow, run, study"]),
    "unknown flow": ("monge-ampere", "heat", ["flow.kind = 'heat'", "'monge-ampere'", "'sinkhorn'", "'richardson'"]),
    "a key of another flow": ("rtol = 1e-9", "eps = 1e-3", ["flow.eps", "no such key", "kind, rtol, space"]),
    "unknown function": ("0.3*sin(2*pi*x)", "0.3*sen(x)", ["target.potential", "no function 'sen'", "sin, cos"]),
    "a foreign coordinate": ("0.3*sin(2*pi*x)", "y", ["'y'", "coordinate", "does not have"]),
    "two densities at once": ("potential =", 'file = "a"\npotential =', ["target", "one of formula, potential, file"]),
    "two starts at once": ("[run]", '[initial]\nformula = "0"\nfile = "u"\n[run]', ["initial", "one of formula, file"]),
    "negative times": ("0.03125", "-1", ["run.times[1] = -1", "greater than or equal to 0"]),
    "times that are no multiples": ('"1/64"', "0.1", ["times", "increasing"]),
    "a file that is not there": ('formula = "1 + 0.3*cos(2*pi*x)"', 'file = "mu.npy"', ["No such file", "mu.npy"]),
    "a density below zero": (
        "1 + 0.3*cos(2*pi*x)",
        "cos(2*pi*x)",
        ["source.formula = 'cos(2*pi*x)'", "negative at 16 of 32", "maximum(", "potential"],
    ),
    "a density that is nowhere finite": (
        "1 + 0.3*cos(2*pi*x)",
        "1/(x - x)",
        ["source.formula = '1/(x - x)'", "not finite at 32 of 32"],
    ),
    "not periodic": ("0.3*sin(2*pi*x)", "x", ["not periodic"]),
}


@pytest.mark.parametrize(
    ("old", "new", "words"), [*(("shape = [32]", *case) for case in WRONG.values()), *ELSEWHERE.values()],
    ids=[*WRONG, *ELSEWHERE],
)  # fmt: skip
def test_a_wrong_configuration_is_refused_with_the_key_and_what_is_allowed(
    old: str, new: str, words: list[str], write
) -> None:
    assert old in CONFIG
    result = invoke("evolve", write(CONFIG.replace(old, new)))
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    for word in words:
        assert word in result.output, result.output


def test_tables_that_a_command_needs_are_named(write, tmp_path: Path) -> None:
    assert "study is missing" in invoke("study", write(CONFIG)).output
    assert "flow is missing" in invoke("evolve", write(re.sub(r"\[flow\][^\[]*", "", CONFIG))).output
    assert "run is missing" in invoke("evolve", write(re.sub(r"\[run\].*", "", CONFIG, flags=re.DOTALL))).output
    assert "No such file" in invoke("evolve", tmp_path / "none.toml").output


def test_a_trajectory_of_python_is_compared(tmp_path: Path) -> None:
    flow = pma.MongeAmpere(pma.Problem(pma.Torus((16,)), lambda x: np.cos(2 * np.pi * x) / 9, lambda y: 0 * y))
    path = pma.save(pma.evolve(flow, [0.01]), tmp_path / "python.npz")
    result = invoke("compare", path, path, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["sup"] == [0.0]


def test_a_run_resumed_with_other_settings_is_refused_by_name(write, tmp_path: Path) -> None:
    """ε = 1/512 went on as ε = 1/1024, under the new name."""
    out, config = tmp_path / "run.npz", SINKHORN.replace("1/256", "1/512")
    assert invoke("evolve", write(config), "--out", out).exit_code == 0
    before = out.read_bytes()
    changes = {
        "eps: the file has 1/512, the flow 1/1024": ("1/512", "1/1024"),
        "gauge: the file has symmetric, the flow plain": ('"symmetric"', '"plain"'),
        "lengths=": ("shape = [32]", "shape = [32]\nlengths = [2]"),
        "f differs": ("0.3*cos(2*pi*x)", "0.3*cos(4*pi*x)"),
        "g differs": ("0.3*sin(2*pi*x)", "0.31*sin(2*pi*x)"),
    }
    for words, (old, new) in changes.items():
        assert old in config
        result = invoke("evolve", write(config.replace(old, new)), "--out", out, "--resume")
        assert result.exit_code == 2
        assert words in result.output
        assert out.read_bytes() == before


def test_a_run_resumed_from_another_start_or_past_a_time_is_refused(write, tmp_path: Path) -> None:
    """The old numbers were signed anew under the new [initial]; a time in between was left out, "reached"."""
    out = tmp_path / "run.npz"
    assert invoke("evolve", write(SINKHORN), "--out", out).exit_code == 0
    before = out.read_bytes()
    begun = SINKHORN + '\n[initial]\nformula = "0.001*cos(2*pi*x)"\n'
    between = SINKHORN.replace("times = [", "times = [0.00390625, ")
    assert between != SINKHORN
    for config, words in ((begun, "another start"), (between, "went past t=0.00390625")):
        result = invoke("evolve", write(config), "--out", out, "--resume")
        assert result.exit_code == 2, result.output
        assert words in result.output
        assert out.read_bytes() == before
    assert invoke("evolve", write(SINKHORN), "--out", out, "--resume").exit_code == 0


def test_a_run_that_fails_leaves_the_file_of_a_better_one(write, tmp_path: Path) -> None:
    out = tmp_path / "run.npz"
    assert invoke("evolve", write(SINKHORN), "--out", out).exit_code == 0
    before = out.read_bytes()
    result = invoke("evolve", write(SINKHORN.replace("1/256", "1/65536")), "--out", out)
    assert result.exit_code == 1
    assert "run.unfinished.npz (not" in result.output
    assert out.read_bytes() == before
    assert pma.load(tmp_path / "run.unfinished.npz").times.size == 0


@pytest.mark.parametrize("command", ["evolve", "compare", "study"])
def test_help_names_the_options(command: str) -> None:
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert "--json" in result.output
    assert command in invoke("--help").output


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')", "().__class__", "x.real", "x[0]", "lambda: 0", "[x for x in (1, 2)]", "'a'", "1j",
        "True", "x if x else 1", "x < 1", "sin(x=1)", "sin(*x)", "f'{x}'", "x := 2", "exec", "q", "", "1 +", "2**(",
        "+" * 4000 + "x", "9" * 400, "(" * 2000, "x" * 9000,
    ],
)  # fmt: skip
def test_formulas_can_say_nothing_but_formulas(text: str) -> None:
    with pytest.raises(ValueError, match=r"cannot be said|there is no|not a formula|longer than|nested"):
        Formula(text)


def test_formulas_mean_what_numpy_means() -> None:
    x, y = np.linspace(-1, 1, 7), np.linspace(0.5, 2, 7)
    value = Formula("-exp(-x**2/2) + 2*maximum(x, 0.1)*log(y) - 3/4*pi + abs(e - y)")(x, y)
    expected = -np.exp(-(x**2) / 2) + 2 * np.maximum(x, 0.1) * np.log(y) - 0.75 * np.pi + abs(np.e - y)
    np.testing.assert_allclose(value, expected, rtol=1e-14)
    assert Formula("1")(x).shape == x.shape
    assert formula_value("2**-8") == 1 / 256
    with pytest.raises(ValueError, match="sin takes 1 argument, not 2"):
        Formula("sin(x, x)")  # NumPy would take the second for its output


def test_densities_come_from_arrays_and_images_beside_the_file(write, tmp_path: Path) -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.save(tmp_path / "nu.npy", 1.0 + grey)
    text = CONFIG.replace("[32]", "[8, 8]").replace('formula = "1 + 0.3*cos(2*pi*x)"', 'file = "grey.png"\nfloor = 0.5')
    problem = problem_of(read_config(write(text.replace('potential = "0.3*sin(2*pi*x)"', 'file = "nu.npy"'))))
    mu, nu = np.exp(-problem.f), np.exp(-problem.g)
    np.testing.assert_allclose(mu / mu[0, 0], (grey + 31.5) / 31.5, rtol=1e-12)
    np.testing.assert_allclose(nu / nu[0, 0], 1.0 + grey, rtol=1e-12)
    (tmp_path / "nu.npy").write_text("text")
    (tmp_path / "words.png").write_text("text")
    for name in ("nu.npy", "words.png"):
        with pytest.raises(ValueError, match="cannot be read"):
            read_array(tmp_path / name)


def test_a_configuration_of_another_shape_than_its_file_is_refused(write, tmp_path: Path) -> None:
    np.save(tmp_path / "mu.npy", np.ones(16))
    result = invoke("evolve", write(CONFIG.replace('formula = "1 + 0.3*cos(2*pi*x)"', 'file = "mu.npy"')))
    assert result.exit_code == 2
    assert "(16,)" in result.output
    assert "(32,)" in result.output


def test_numbers_must_be_finite() -> None:
    with pytest.raises(ValueError, match="finite number"):
        checked_config({"domain": {"shape": [8], "lengths": [float("nan")]}}, "here")


def test_transport_of_vanishing_densities_prints_strict_json(tmp_path: Path) -> None:
    """Maps with kinks have no least eigenvalue: null, not NaN."""
    x, y = np.meshgrid(*2 * [(np.arange(16) + 0.5) / 16])
    paths = [tmp_path / "a.npy", tmp_path / "b.npy"]
    for path, disc in zip(paths, [(x - 0.4) ** 2 + y**2 < 0.2, (x - 0.6) ** 2 + (y - 0.5) ** 2 < 0.1], strict=True):
        np.save(path, disc.astype(float))
    record = json.loads(invoke("transport", *paths, "--gap", "0.05", "--json").stdout, parse_constant=pytest.fail)
    assert record["method"] == "Simplex"
    assert record["min_eigenvalue"] is None
    assert record["ok"]
    assert "eigenvalue" not in invoke("transport", *paths, "--gap", "0.05").output


# ---- files in --------------------------------------------------------------------------------------------------------------------


def spots(shape=(24, 24)) -> tuple[np.ndarray, np.ndarray]:
    """Two smooth densities on a grid."""
    x, y = np.meshgrid(*[(np.arange(n) + 0.5) / n for n in shape], indexing="ij")
    return tuple(1 + 0.3 * np.cos(np.pi * x) * s + 0.2 * np.cos(np.pi * y) for s in (1, -1))


def test_sides_have_the_lengths_that_are_given_or_that_the_files_know(tmp_path: Path) -> None:
    """Pixels twice as high as wide: W₂ is that of a grid of such pixels, from options and from a header alike."""
    mu, nu = spots()
    expected = pma.transport(pma.Problem.from_densities(pma.Box((24, 24), (1.0, 0.5)), mu, nu)).w2_squared
    plain = [tmp_path / "a.npy", tmp_path / "b.csv"]
    np.save(plain[0], mu)
    np.savetxt(plain[1], nu, delimiter=",", fmt="%.17g")
    known = [tmp_path / "a.nrrd", tmp_path / "b.nrrd"]
    for path, values in zip(known, (mu, nu), strict=True):
        nrrd.write(str(path), values, {"spacings": [2.0, 1.0]})
    square = json.loads(invoke("transport", *plain, "--json").stdout)
    assert square["lengths"] == [1, 1]
    for options in ((*plain, "--lengths", "1,0.5"), known, (known[0], plain[1])):
        record = json.loads(invoke("transport", *options, "--json").stdout)
        assert record["lengths"] == [1.0, 0.5]
        assert record["w2_squared"] == pytest.approx(expected, rel=1e-9)
    assert abs(square["w2_squared"] / expected - 1) > 1e-3
    twice = json.loads(invoke("transport", *known, "--lengths", "2,1", "--json").stdout)
    assert twice["w2_squared"] == pytest.approx(4 * expected, rel=1e-9)
    nrrd.write(str(known[1]), nu, {"spacings": [1.0, 1.0]})
    for options, words in (
        (known, "has spacing (2.0, 1.0)"),
        ((*plain, "--lengths", "1"), "give 2 positive numbers"),
        ((*plain, "--lengths", "1,-1"), "give 2 positive numbers"),
        ((*plain, "--lengths", "wide"), "give 2 positive numbers"),
    ):
        result = invoke("transport", *options)
        assert result.exit_code == 2
        assert words in result.output


def test_axes_that_point_elsewhere_are_not_compared(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((6, 6, 6)) + 1
    for name, sign in (("a.nii", 1), ("b.nii", -1)):
        nibabel.save(nibabel.Nifti1Image(values, np.diag([sign, 1, 1, 1])), tmp_path / name)
    result = invoke("transport", tmp_path / "a.nii", tmp_path / "b.nii")
    assert result.exit_code == 2
    assert "axes RAS" in result.output
    assert "LAS: turn one" in result.output


def test_rounding_below_zero_is_clipped_and_named_by_its_file(tmp_path: Path) -> None:
    mu, nu = spots()
    hole = mu * (mu > 1)
    noisy = np.where(hole > 0, hole, -1e-18)
    paths = [tmp_path / "mu.npy", tmp_path / "nu.npy"]
    for values, name in ((noisy, "mu.npy"), (nu, "nu.npy"), (hole, "exact.npy")):
        np.save(tmp_path / name, values)
    result = invoke("transport", *paths)
    assert result.exit_code == 2
    assert re.search(r"mu\.npy has \d+ negative values \(least -\S+ of the largest\).*--clip", result.output)
    remedy = re.search(r"--clip (\S+)", result.output).group(1)
    config = {
        "domain": {"shape": [24, 24]},
        "source": {"file": str(paths[0]), "clip": remedy},
        "target": {"file": str(paths[1])},
    }
    clipped, exact = (
        problem_of(checked_config(config, "here")),
        pma.Problem.from_densities(pma.Torus((24, 24)), hole, nu),
    )
    assert np.array_equal(clipped.f, exact.f)
    options = ["--gap", "0.9", "--json"]
    choices = ((paths[0], "--clip", remedy), (tmp_path / "exact.npy",))
    found = [json.loads(invoke("transport", *choice, paths[1], *options).stdout) for choice in choices]
    assert found[0]["w2_squared"] == found[1]["w2_squared"]
    np.save(paths[0], np.where(hole > 0, hole, -0.1))
    assert invoke("transport", *paths, "--clip", "1e-12").exit_code == 2


def test_one_frame_of_several_is_taken_and_axes_of_one_point_are_dropped(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((8, 8), grey, np.uint8)) for grey in (10, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    np.save(tmp_path / "a.npy", np.ones((1, 8, 8)))
    result = invoke("transport", tmp_path / "a.gif", tmp_path / "a.npy")
    assert result.exit_code == 2
    assert "a.gif has 2 frames" in result.output
    assert "--frame" in result.output
    record = json.loads(invoke("transport", tmp_path / "a.gif", tmp_path / "a.npy", "--frame", "0", "--json").stdout)
    assert record["w2_squared"] == pytest.approx(0, abs=1e-20)
    config = {
        "domain": {"shape": [8, 8]},
        "source": {"file": str(tmp_path / "a.gif"), "frame": 1},
        "target": {"formula": "1"},
    }
    assert np.ptp(problem_of(checked_config(config, "here")).f) == 0
    with pytest.raises(ValueError, match="frame are for files"):
        checked_config(config | {"target": {"formula": "1", "frame": 1}}, "here")


SHAPES = {
    (3,): ["shape=(3,)", "np.repeat"],
    (9, 9, 3): ["colours", "mean(axis=-1)"],
    (2, 2, 2, 2): ["shape (2, 2, 2, 2)", "--frame"],
    (): ["shape ()", "1, 2 or 3 axes"],
    (0, 4): ["shape (0, 4)"],
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes_that_are_no_grid_say_what_to_do(shape: tuple[int, ...], tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones(shape))
    result = invoke("transport", tmp_path / "a.npy", tmp_path / "a.npy")
    assert result.exit_code == 2
    for word in SHAPES[shape]:
        assert word in result.output


def test_bad_files_end_in_one_line(write, tmp_path: Path) -> None:
    """No traceback, no error numbers: folders, marks of byte order, nesting, sizes that no memory holds."""
    (tmp_path / "folder").mkdir()
    np.save(tmp_path / "mu.npy", np.ones((8, 8)))
    result = invoke("evolve", write("\ufeff" + CONFIG), "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    deep = "\nx = " + "[" * 5000 + "]" * 5000
    for arguments, words in (
        (("evolve", tmp_path / "folder"), "is a folder"),
        (("evolve", write(deep, "deep.toml")), "not a TOML file"),
        (("evolve", write(CONFIG.replace("[32]", "[100000, 100000]"), "big.toml")), "take fewer points"),
        (("evolve", tmp_path / "none.toml"), "none.toml: No such file or directory"),
        (("evolve", write(CONFIG, "a.toml"), "--out", tmp_path / "none" / "run"), "does not exist"),
        (("evolve", write(CONFIG, "a.toml"), "--resume", "--out", tmp_path / "mu.npy.npz"), "No such file"),
        (("transport", tmp_path / "folder", tmp_path / "mu.npy"), "is a folder"),
        (("transport", tmp_path / "none.png", tmp_path / "mu.npy"), "none.png: No such file or directory"),
        (("compare", tmp_path / "mu.npy", tmp_path / "mu.npy"), "mu.npy: give a trajectory (.npz"),
        (("compare", write(CONFIG, "a.toml"), tmp_path / "a.png"), "a.png: give a trajectory (.npz"),
    ):
        result = invoke(*arguments)
        assert result.exit_code == 2, (arguments, result.output)
        assert isinstance(result.exception, SystemExit)
        assert "Errno" not in result.output
        assert words in result.output


def test_a_run_does_not_overwrite_what_it_reads(write, tmp_path: Path) -> None:
    np.savez(tmp_path / "mu.npz", np.ones(32))
    config = write(CONFIG.replace('formula = "1 + 0.3*cos(2*pi*x)"', 'file = "mu.npz"'))
    before = (tmp_path / "mu.npz").read_bytes()
    result = invoke("evolve", config, "--out", tmp_path / "mu.npz")
    assert result.exit_code == 2
    assert "is one of the densities" in result.output
    assert (tmp_path / "mu.npz").read_bytes() == before


def test_figures_and_reports_are_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = pma.plot_orders({"h": pma.Study.over("h", [0.1, 0.05], lambda h: {"sup": h})})
    first = [path.read_bytes() for path in pma.save_figure(figure, tmp_path / "a")]
    savefig = type(figure).savefig

    def full(self, target, **options):
        if options["format"] == "pdf":
            target.write(b"%PDF")
            raise OSError("No space left on device")
        return savefig(self, target, **options)

    monkeypatch.setattr(type(figure), "savefig", full)
    with pytest.raises(OSError, match="No space"):
        pma.save_figure(figure, tmp_path / "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pdf", "a.svg"]
    assert [(tmp_path / name).read_bytes() for name in ("a.svg", "a.pdf")] == first

    def broken(*_: object) -> str:
        raise RuntimeError("no page")

    monkeypatch.setattr(pages, "html", broken)
    with pytest.raises(RuntimeError, match="no page"):
        pages.write_report(pages.Page("t"), [], tmp_path, drawings={}, more={})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pdf", "a.svg"]
