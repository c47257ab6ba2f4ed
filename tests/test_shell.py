"""What the commands share: figures, films, records, Ctrl-C, completion, 80 columns, and that nothing ends in a traceback."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from test_cli import SINKHORN, invoke

import pmasolve as pma
from pmasolve.cli import evolve as evolving
from pmasolve.cli.app import COMMANDS
from pmasolve.flows import files
from pmasolve.machine import progress

CONFIG = (
    SINKHORN.replace('gauge = "symmetric"\n', "") + '\n[study]\neps = ["1/128", "1/256"]\nt = "1/32"\nrtol = 1e-9\n'
)
GRID = pma.Box((12, 16), (0.75, 1.0))


def refused(result: Any, code: int = 2) -> str:
    """What was said, in one or a few lines, with the exit code and without a traceback."""
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    assert "Errno" not in result.output
    return result.output


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration for all commands that take one."""
    path = tmp_path / "pair.toml"
    path.write_text(CONFIG, "utf-8")
    return path


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    """Three images of one shape."""
    x, y = GRID.points
    paths = [tmp_path / f"{name}.png" for name in "abc"]
    for path, shift in zip(paths, (0.3, 0.5, 0.7), strict=True):
        density = 80 + 120 * np.exp(-8 * ((x - 0.4) ** 2 + (y - shift) ** 2))
        Image.fromarray(density.round().astype(np.uint8)).save(path)
    return paths


# ---- pairwise --------------------------------------------------------------------------------------------------------------------


def test_pairs_are_those_of_python(images: list[Path], tmp_path: Path) -> None:
    out, figure = tmp_path / "pairs", tmp_path / "pairs.png"
    result = invoke("pairwise", *images, "--out", out, "--figure", figure, "--gap", 0.2, "--json")
    record = json.loads(result.stdout)
    densities = [np.asarray(Image.open(path), dtype=float) for path in images]
    expected = pma.pairwise(GRID, densities, solve=lambda problem: pma.transport(problem, gap=0.2))
    np.testing.assert_allclose(record["w2"], expected.w2)
    np.testing.assert_allclose(record["upper"], expected.upper)
    assert record["lengths"] == [0.75, 1.0]
    assert record["written"] == [str(tmp_path / "pairs.npz"), str(figure)]
    np.save(tmp_path / "stack.npy", densities)
    again = json.loads(invoke("pairwise", tmp_path / "stack.npy", "--gap", 0.2, "--json").stdout)
    np.testing.assert_array_equal(again["w2"], record["w2"])


def test_pairs_are_gone_on_with_where_that_is_asked_for(
    images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, solved, solve = tmp_path / "pairs.npz", [], pma.transport

    def impatient(problem, **options):
        solved.append(1)
        if len(solved) == 3:
            raise KeyboardInterrupt
        return solve(problem, **options)

    impatient.__module__, impatient.__name__ = solve.__module__, solve.__name__
    monkeypatch.setattr("pmasolve.cli.pairwise.transport", impatient)
    arguments = ("pairwise", *images, "--out", out, "--gap", 0.2)
    assert "--resume goes on" in refused(invoke(*arguments), 130)
    assert "exists: --resume goes on" in refused(invoke(*arguments))
    assert invoke(*arguments, "--resume").exit_code == 0
    assert len(solved) == 3 + 1  # two pairs were kept
    assert "now by transport(gap=0.3)" in refused(invoke(*arguments[:-1], 0.3, "--resume"))
    assert "nothing to go on from" in refused(invoke("pairwise", *images, "--out", tmp_path / "no", "--resume"))
    assert "give it" in refused(invoke("pairwise", *images, "--resume"))


def test_pairs_whose_lower_bound_is_nothing_are_counted(tmp_path: Path) -> None:
    """Rough rows of twelve: the bounds of the densities are wide, and a gap of 0 would hide it."""
    np.save(tmp_path / "rough.npy", np.random.default_rng(0).random((3, 12)) + 0.2)
    found = json.loads(invoke("pairwise", tmp_path / "rough.npy", "--json").stdout)
    lower, upper = (np.array(found[name])[np.triu_indices(3, 1)] for name in ("lower", "upper"))
    open_ = int(np.count_nonzero((lower == 0) & (upper > 0)))
    assert open_ > 0
    assert found["gap"] is None
    assert f"lower bound of W2² is 0 for {open_} more" in invoke("pairwise", tmp_path / "rough.npy").output


def test_the_matrix_fits_eighty_columns(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "stack.npy", 1 + 0.2 * rng.random((9, 8)))
    result = invoke("pairwise", tmp_path / "stack.npy", "--gap", 9)
    lines = [line for line in result.output.splitlines() if "stack.npy" not in line and "Error" not in line]
    assert max(map(len, lines)) <= 80
    assert sum(line.startswith("   W2 ") for line in lines) == 2


def test_what_transport_says_fits_eighty_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    x, y = np.indices((24, 24)) / 24
    np.save("a.npy", ((x - 0.4) ** 2 + (y - 0.4) ** 2 < 0.03).astype(float))
    np.save("b.npy", ((x - 0.6) ** 2 + (y - 0.5) ** 2 < 0.03).astype(float))
    result = invoke("transport", "a.npy", "b.npy")
    assert result.exit_code == 0, result.output
    assert "rigorous in float64" in " ".join(result.output.split())
    assert max(map(len, result.output.splitlines())) <= 80


def test_what_is_no_pair_is_refused(images: list[Path], tmp_path: Path) -> None:
    np.save(tmp_path / "other.npy", np.ones((3, 3)))
    np.save(tmp_path / "line.npy", np.ones(9))
    assert "resize one" in refused(invoke("pairwise", *images, tmp_path / "other.npy"))
    assert "give two files" in refused(invoke("pairwise", tmp_path / "line.npy"))


# ---- figures, films, records -----------------------------------------------------------------------------------------------------


def test_mccanns_path_from_the_shell(images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    a, b, _ = images
    result = invoke("transport", a, b, "--gap", 0.2, "--figure", "m.png", "--frames", 3)
    assert result.exit_code == 0, result.output
    written = ["m.png", *(f"frames-{k:02}.png" for k in range(3))]
    assert result.output.splitlines()[-4:] == written
    assert invoke("transport", a, b, "--gap", 0.2, "--film", "path.gif", "--frames", 4).exit_code == 0
    assert Image.open("path.gif").n_frames == 4
    assert sorted({path.name for path in tmp_path.iterdir()} - {"a.png", "b.png", "c.png"}) == sorted(
        [*written, "path.gif"]
    )
    assert "films end with" in refused(invoke("transport", a, b, "--film", "path.avi"))
    assert "--frames" in refused(invoke("transport", a, b, "--frames", 1))
    assert "is one of the densities" in refused(invoke("transport", a, b, "--figure", a))


def test_runs_are_drawn_and_compared(config: Path, tmp_path: Path) -> None:
    run, other = tmp_path / "run.npz", tmp_path / "other.npz"
    result = invoke("evolve", config, "--out", run, "--figure", tmp_path / "run.pdf", "--film", tmp_path / "run.gif")
    assert result.exit_code == 0, result.output
    assert Image.open(tmp_path / "run.gif").n_frames == 2
    assert (tmp_path / "run.pdf").read_bytes().startswith(b"%PDF")
    config.write_text(CONFIG.replace('kind = "sinkhorn"\neps = "1/256"', 'kind = "monge-ampere"'), "utf-8")
    assert invoke("evolve", config, "--out", other).exit_code == 0
    out, figure = tmp_path / "errors.json", tmp_path / "errors.svg"
    printed = json.loads(invoke("compare", run, other, "--out", out, "--figure", figure, "--json").stdout)
    assert printed == json.loads(out.read_text("utf-8"))
    assert printed["written"] == [str(figure)]
    table = invoke("compare", run, other).output
    assert max(map(len, table.splitlines())) <= 80


def test_studies_say_what_they_were_made_from(config: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "mu.npy", 1 + 0.1 * np.cos(2 * np.pi * np.arange(32) / 32))
    text = CONFIG.replace('formula = "1 + 0.3*cos(2*pi*x)"', 'file = "mu.npy"')
    config.write_text(text, "utf-8")
    result = invoke("study", config, "--out", tmp_path / "study", "--figure", tmp_path / "orders.png")
    assert "symmetric" in result.output
    assert max(map(len, (line for line in result.output.splitlines() if "/" not in line))) <= 80
    assert (tmp_path / "orders.png").exists()
    said = json.loads((tmp_path / "study" / "results.json").read_text("utf-8"))["repeat"]["configuration"]
    assert text.strip() in said
    assert pma.machine.provenance.digest((tmp_path / "mu.npy").read_bytes()) in said


def test_a_stored_run_knows_the_files_that_it_was_made_from(config: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "mu.npy", np.linspace(1, 2, 32))
    config.write_text(CONFIG.replace('formula = "1 + 0.3*cos(2*pi*x)"', 'file = "mu.npy"'))
    assert invoke("evolve", config, "--out", tmp_path / "run.npz").exit_code == 0
    known = files.provenance(tmp_path / "run.npz")
    assert known["source sha256"] == pma.machine.provenance.digest((tmp_path / "mu.npy").read_bytes())
    assert "target sha256" not in known


def test_samples_are_measured_into_a_record(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "x.csv", [[-1.0], [-0.5], [0.5], [1.0]], delimiter=",")
    out, figure = tmp_path / "scales.json", tmp_path / "scales.png"
    result = invoke("denoising", tmp_path / "x.csv", "--count", 3, "--out", out, "--figure", figure)
    assert result.exit_code == 0, result.output
    assert json.loads(out.read_text("utf-8"))["samples"] == 4
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert max(map(len, (line for line in result.output.splitlines() if "/" not in line))) <= 80
    assert "ends with" in refused(invoke("denoising", tmp_path / "x.csv", "--figure", "x.jpg"))


def test_a_run_is_saved_while_it_goes_on(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed in the fifth step: the file has the fourth, knows its configuration, and --resume goes on from it."""
    out, seconds, advance = tmp_path / "run.npz", iter(range(10**6)), pma.Sinkhorn.advance

    def killed(flow, state, until):
        if state.k == 4:
            raise SystemExit(137)
        return advance(flow, state, until)

    with monkeypatch.context() as patch:
        patch.setattr(pma.Sinkhorn, "advance", killed)
        patch.setattr(progress, "clock", lambda: float(next(seconds)))
        assert invoke("evolve", config, "--out", out, "--save-every", 1).exit_code == 137
    assert pma.load(out).latest[0] == 4 / 256
    assert evolving.CONFIG in files.provenance(out)
    assert invoke("evolve", config, "--out", out, "--resume").exit_code == 0
    assert max(json.loads(invoke("compare", out, config, "--json").stdout)["sup"]) < 1e-15


def test_new_files_have_the_permissions_of_the_umask(config: Path, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        assert invoke("evolve", config, "--out", tmp_path / "run.npz", "--figure", tmp_path / "run.png").exit_code == 0
    finally:
        os.umask(before)
    for name in ("run.npz", "run.png"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o640


# ---- endings ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "where"),
    [
        ("study", "pmasolve.cli.study.scaling_study"),
        ("transport", "pmasolve.cli.transport.transport"),
        ("pairwise", "pmasolve.cli.pairwise.pairwise"),
        ("compare", "pmasolve.cli.compare.trajectory"),
        ("denoising", "pmasolve.cli.denoising.complexity"),
    ],
)
def test_an_interruption_is_one_sentence(
    command: str, where: str, config: Path, images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    __import__(f"pmasolve.cli.{command}")
    monkeypatch.setattr(where, pressed)
    np.save(tmp_path / "x.npy", np.zeros((2, 1)))
    inputs = {"study": [config], "compare": [config, config], "denoising": [tmp_path / "x.npy"]}
    said = refused(invoke(command, *inputs.get(command, images[:2])), 130)
    assert said.startswith("Error: interrupted")
    assert said.count("\n") == 1


def test_an_interruption_while_a_command_is_imported_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def pressed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pmasolve.cli.app.import_module", pressed)
    assert refused(invoke("evolve", "pair.toml"), 130) == "Error: interrupted before anything was begun\n"


def test_completion_is_offered() -> None:
    assert "_pmasolve_completion" in invoke(
        "--show-completion", env={"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    ).output or ("--install-completion" in invoke("--help").output)
    environment = {"_PMASOLVE_COMPLETE": "complete_bash", "COMP_WORDS": "pmasolve ", "COMP_CWORD": "1"}
    offered = invoke(prog_name="pmasolve", env=environment).output.split()
    assert set(COMMANDS) <= set(offered)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_and_names_json(command: str) -> None:
    result = invoke(command, "--help", terminal_width=80)
    assert result.exit_code == 0
    assert "--json" in result.output
    assert max(map(len, result.output.splitlines())) <= 80


DIRECTORY = "a folder"
ODD = {
    "a folder": b"",
    "empty": b"",
    "a mark of byte order": b"\xef\xbb\xbf",
    "half a mark": b"\xff\xfe\x00",
    "nothing but zeros": bytes(300),
    "an archive that is none": b"PK\x03\x04" + bytes(100),
    "deep TOML": b"x = " + b"[" * 4000 + b"]" * 4000,
    "deep tables": b"[" + b"a." * 3000 + b"a]\nb = 1",
    "an array of objects": b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (3,), }".ljust(128)
    + b"\n",
    "a huge array": b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000), }".ljust(
        127
    )
    + b"\n",
}


@pytest.mark.parametrize("content", ODD)
@pytest.mark.parametrize("ending", [".toml", ".npz", ".npy", ".png", ""])
def test_odd_files_are_refused_in_words(content: str, ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"odd{ending}"
    if content == DIRECTORY:
        path.mkdir()
    else:
        path.write_bytes(ODD[content])
    for arguments in (
        ("evolve", path, "--out", tmp_path / "run"),
        ("compare", path, path),
        ("study", path),
        ("transport", path, path),
        ("pairwise", path, path),
        ("denoising", path),
    ):
        said = refused(invoke(*arguments))
        assert "odd" in said
        assert len(said) < 600


@pytest.mark.parametrize("target", ["folder", "none/run", "/proc/run"])
@pytest.mark.parametrize("option", ["--out", "--figure"])
def test_places_that_cannot_be_written_are_refused_before_any_work(
    target: str, option: str, config: Path, images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending = ".png" if option == "--figure" else ".npz"
    place = tmp_path / f"{target}{ending}"
    if target == "folder":
        place.mkdir()
    for where in ("evolve.started", "transport.transport", "pairwise.pairwise", "compare.trajectory"):
        __import__(f"pmasolve.cli.{where.split('.')[0]}")
        monkeypatch.setattr(f"pmasolve.cli.{where}", lambda *_, **__: pytest.fail("worked"))
    for arguments in (
        ("evolve", config),
        ("transport", *images[:2]),
        ("pairwise", *images),
        ("compare", config, config),
    ):
        said = refused(invoke(*arguments, option, place))
        assert any(
            words in said for words in ("is a folder", "does not exist", "cannot be written", "exists: --resume")
        )


# ---- whatever a file may say -----------------------------------------------------------------------------------------------------

NUMBERS = st.one_of(
    st.integers(-(10**20), 10**20), st.floats(), st.sampled_from([0, 1, 4, 8, -1, 10**5, 1e-300, float("inf")])
)
WORDS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        ["1/0", "2**-8", "sinkhorn", "torus", "box", "x", "x/0", "1e999", "log(0)", "9**9**9", "../..", "(" * 90]
    ),
)
VALUES = st.recursive(NUMBERS | WORDS | st.booleans(), lambda inner: st.lists(inner, max_size=3), max_leaves=5)
KEYS = {
    "domain": ["kind", "shape", "lengths"],
    "source": ["formula", "potential", "file", "floor", "clip", "array", "frame"],
    "target": ["formula", "potential", "floor"],
    "initial": ["formula", "file"],
    "flow": ["kind", "eps", "gauge", "rtol", "space", "levels"],
    "run": ["times", "out"],
    "study": ["eps", "t", "rtol"],
    "more": ["x"],
}
GOOD: dict[str, dict[str, Any]] = {
    "domain": {"shape": [8]},
    "source": {"formula": "1"},
    "target": {"formula": "2 + cos(2*pi*x)"},
    "flow": {"kind": "sinkhorn", "eps": 0.25},
    "run": {"times": [0.25]},
    "study": {"eps": [0.25, 0.125], "t": 0.25},
}


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    match value:
        case bool():
            return str(value).lower()
        case list():
            return f"[{', '.join(map(toml, value))}]"
        case str():
            return json.dumps(value).replace("\x7f", "\\u007f")
    return repr(value)


@settings(
    max_examples=120, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    changes=st.lists(
        st.sampled_from([(table, key) for table, keys in KEYS.items() for key in keys]),
        min_size=1,
        max_size=3,
        unique=True,
    ),
    values=st.lists(VALUES, min_size=3, max_size=3),
    command=st.sampled_from(["evolve", "study"]),
)
def test_whatever_a_configuration_says_is_answered_in_words(
    changes: list[tuple[str, str]],
    values: list[Any],
    command: str,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch,
) -> None:
    """Exit code 2 and a sentence, or a run: here it is not run, only what it would need is made."""
    content = {name: dict(table) for name, table in GOOD.items()}
    for (table, key), value in zip(changes, values, strict=False):
        content.setdefault(table, {})[key] = value
    text = "\n".join(
        f"[{name}]\n" + "\n".join(f"{key} = {toml(value)}" for key, value in table.items())
        for name, table in content.items()
    )
    folder = tmp_path_factory.mktemp("odd")
    path = folder / "odd.toml"
    path.write_text(text, "utf-8", errors="surrogatepass")

    def prepared(settings_of_run, run, *_):
        flow = evolving.flow_of(settings_of_run, evolving.problem_of(settings_of_run))
        pma.flows.protocol.admit(flow, pma.flows.loop.increasing(run.times))
        raise ValueError("ready")

    def studied(problem, **options):
        raise ValueError("ready")

    monkeypatch.setattr("pmasolve.cli.evolve.started", prepared)
    monkeypatch.setattr("pmasolve.cli.study.scaling_study", studied)
    with np.errstate(all="warn"):
        refused(invoke(command, path, *(("--out", folder / "run") if command == "evolve" else ())))
