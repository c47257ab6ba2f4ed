"""The command line: what it computes, what it refuses and how it says so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import pmasolve as pma
from pmasolve.cli.app import app
from pmasolve.cli.building import problem_of
from pmasolve.cli.config import checked, read
from pmasolve.cli.formulas import Formula, number
from pmasolve.problems.images import read_array

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


def invoke(*arguments: object):
    """Run the command line in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


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
    record = json.loads(result.output)
    assert (record["outcome"], record["ok"], record["times"]) == ("reached", True, [1 / 64, 1 / 32])
    assert record["last_step"]["mass"] == pytest.approx(1)

    problem = pma.Problem.from_densities(
        pma.Torus((32,)), lambda x: 1 + 0.3 * np.cos(2 * np.pi * x), lambda x: np.exp(-0.3 * np.sin(2 * np.pi * x))
    )
    times = [1 / 64, 1 / 32]
    limit = pma.evolve(pma.MongeAmpere(problem, rtol=1e-9), times)
    expected = pma.compare(pma.evolve(pma.Sinkhorn(problem, 1 / 256, gauge=pma.SYMMETRIC), times), limit)
    for a, b in (("sink.npz", "pde.npz"), ("sink.toml", "pde.npz")):  # stored, and run on the spot
        errors = json.loads(invoke("compare", tmp_path / a, tmp_path / b, "--json").output)
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
    errors = json.loads(invoke("compare", out, whole, "--json").output)
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
    assert invoke("evolve", config, "--out", out, "--resume").exit_code == 0
    assert json.loads(invoke("compare", out, config, "--json").output)["sup"] == pytest.approx([0, 0], abs=1e-15)


def test_study_writes_the_report_and_fails_where_an_order_does(write, tmp_path: Path) -> None:
    config = write(STUDY)
    result = invoke("study", config, "--out", tmp_path / "study")
    assert result.exit_code == 0, result.output
    assert "symmetric: order as expected" in result.output
    assert (tmp_path / "study" / "report.html").exists()
    record = json.loads(invoke("study", config, "--out", tmp_path / "study", "--json").output)
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
    "negative times": ("0.03125", "-1", ["run.times[1] = -1", "greater than or equal to 0"]),
    "times that are no multiples": ('"1/64"', "0.1", ["times", "increasing"]),
    "a file that is not there": ('formula = "1 + 0.3*cos(2*pi*x)"', 'file = "mu.npy"', ["No such file", "mu.npy"]),
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
    assert json.loads(result.output)["sup"] == [0.0]


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
    assert number("2**-8") == 1 / 256
    with pytest.raises(ValueError, match="sin takes 1 argument, not 2"):
        Formula("sin(x, x)")  # NumPy would take the second for its output


def test_densities_come_from_arrays_and_images_beside_the_file(write, tmp_path: Path) -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.save(tmp_path / "nu.npy", 1.0 + grey)
    text = CONFIG.replace("[32]", "[8, 8]").replace('formula = "1 + 0.3*cos(2*pi*x)"', 'file = "grey.png"\nfloor = 0.5')
    problem = problem_of(read(write(text.replace('potential = "0.3*sin(2*pi*x)"', 'file = "nu.npy"'))))
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
        checked({"domain": {"shape": [8], "lengths": [float("nan")]}}, "here")


def test_transport_of_vanishing_densities_prints_strict_json(tmp_path: Path) -> None:
    """Maps with kinks have no least eigenvalue: null, not NaN."""
    x, y = np.meshgrid(*2 * [(np.arange(16) + 0.5) / 16])
    paths = [tmp_path / "a.npy", tmp_path / "b.npy"]
    for path, disc in zip(paths, [(x - 0.4) ** 2 + y**2 < 0.2, (x - 0.6) ** 2 + (y - 0.5) ** 2 < 0.1], strict=True):
        np.save(path, disc.astype(float))
    record = json.loads(invoke("transport", *paths, "--gap", "0.05", "--json").output, parse_constant=pytest.fail)
    assert record["method"] == "SemiDual"
    assert record["min_eigenvalue"] is None
    assert record["ok"]
    assert "eigenvalue" not in invoke("transport", *paths, "--gap", "0.05").output
