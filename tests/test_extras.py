"""What is installed: the wheel, the extras and what is said where one is missing, how little an import loads."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

import pmasolve
from pmasolve.cli.app import app
from pmasolve.flows.loop import _versions
from pmasolve.machine.compiling import Notice
from pmasolve.machine.provenance import package_version, versions

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HEAVY = {
    "matplotlib",
    "scipy",
    "numpy",
    "numba",
    "llvmlite",
    "sksundae",
    "pykeops",
    "ducc0",
    "PIL",
    "mpmath",
    "rich",
}
# What a plain installation lacks, by import name.
EXTRAS = (
    "matplotlib",
    "PIL",
    "h5py",
    "finufft",
    "ot",
    "pykeops",
    "filelock",
    "jinja2",
    "typer",
    "rich",
    "pydantic",
    "ducc0",
    "sklearn",
    "mpi4py",
    "array_api_compat",
)
PLAIN = f"import sys; sys.modules |= dict.fromkeys({EXTRAS})\nimport numpy as np, pmasolve as pma\n"


def python(code: str, *, folder: Path = ROOT, path: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """A new interpreter that runs the code and finds the package in ``path``."""
    environment = {**os.environ, "PYTHONPATH": str(path)}
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)


def test_importing_the_package_loads_none_of_its_libraries() -> None:
    result = python("import sys, json, pmasolve; print(json.dumps(sorted(sys.modules)))")
    loaded = json.loads(result.stdout)
    assert not HEAVY & set(loaded)
    assert [name for name in loaded if name.startswith("pmasolve.")] == []


FIRST = {
    "transport": ("matplotlib", "sksundae", "pykeops", "PIL", "mpmath", "rich", "scipy.integrate", "scipy.stats"),
    "MongeAmpere": ("matplotlib", "pykeops", "PIL", "mpmath", "rich", "scipy.integrate", "scipy.stats"),
    "schroedinger": ("matplotlib", "sksundae", "pykeops", "PIL", "mpmath", "rich", "scipy.integrate", "scipy.stats"),
}


@pytest.mark.parametrize("name", FIRST)
def test_a_name_loads_what_it_needs(name: str) -> None:
    result = python(f"import sys, json, pmasolve; pmasolve.{name}; print(json.dumps(sorted(sys.modules)))")
    assert not set(FIRST[name]) & set(json.loads(result.stdout))


def test_a_plain_installation_solves() -> None:
    """Transport, exact too, PDE, Sinkhorn on a cloud and a report of orders without any extra."""
    code = """
torus = pma.Torus((16,))
problem = pma.Problem(torus, lambda x: 0.3 * np.cos(2 * np.pi * x), lambda x: 0 * x)
T = pma.transport(problem)
exact = pma.transport(problem, gap=0)
flow = pma.evolve(pma.MongeAmpere(problem, rtol=1e-6), [1 / 64])
sink = pma.evolve(pma.Sinkhorn(problem, eps=1 / 64), [1 / 64])
cloud = pma.Problem.from_samples(np.linspace(0, 1, 5)[:, None], np.linspace(0, 1, 6)[:, None])
fixed = pma.schroedinger(cloud, 0.1)
print(T.outcome.ok, exact.outcome.ok, flow.outcome.ok, fixed.outcome.ok, len(str(pma.compare(sink, flow))) > 0)
pma.gaussian.Normal([0.0], [[1.0]])
"""
    result = python(PLAIN + code)
    assert result.stdout.split() == ["True"] * 5, result.stderr


SAID = {
    "plot": "pma.save_figure",
    "images": "open('a.png', 'w').close(); pma.read_array('a.png')",
    "hdf5": "open('a.h5', 'w').close(); pma.read_array('a.h5')",
    "spectral": "import pmasolve.problems.interpolation",
    "mpi": "pma.distributed",
    "gpu": "pma.transport(pma.Problem(pma.Torus((8,)), lambda x: 0 * x, lambda x: 0 * x), device='cuda')",
    "keops": "x = pma.Problem.from_samples(*[np.eye(2)] * 2); pma.schroedinger(x, 0.1, softmin=pma.KeOps())",
    "report": "import pmasolve.studies.pages",
    "cli": "import runpy; runpy.run_module('pmasolve', run_name='__main__')",
}


@pytest.mark.parametrize("extra", SAID)
def test_a_missing_extra_is_named(extra: str, tmp_path: Path) -> None:
    result = python(PLAIN + SAID[extra], folder=tmp_path)
    assert result.returncode == 1
    assert f"pip install '.[{extra}]'" in result.stderr.splitlines()[-1]
    assert extra in PROJECT["optional-dependencies"]


def test_mpi4py_without_a_library_is_told_in_one_sentence_and_the_rest_works(tmp_path: Path) -> None:
    (tmp_path / "mpi4py").mkdir()
    (tmp_path / "mpi4py" / "__init__.py").touch()
    (tmp_path / "mpi4py" / "MPI.py").write_text("raise RuntimeError('cannot load MPI library')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport pmasolve as pma\nprint(pma.Torus((4,)))\npma.distributed"
    result = python(code)
    assert result.stdout
    said = result.stderr.splitlines()[-1]
    assert said.startswith("ImportError: mpi4py finds no MPI library (cannot load MPI library): install Open MPI")


def test_the_readme_tells_what_each_extra_holds() -> None:
    """It had said of ``all`` that it is all, and of ``exact`` nothing."""
    rows = re.findall(r"^\| (`[^|]*) \| ([^|]*)", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)
    told = {name: words for names, words in rows for name in re.findall(r"`(\w+)`", names)}
    extras = PROJECT["optional-dependencies"]
    within = set(re.findall(r"`(\w+)`", told["formats"]))  # one by one
    assert set(extras) - {"test", "dev", "bench", "peers"} - within <= set(told)
    assert f"pmasolve[{','.join(re.findall('`([a-z0-9]+)`', told['all']))}]" == extras["all"][0]


@pytest.mark.parametrize("library", ["filelock", "pykeops"])
def test_keops_names_what_it_lacks(library: str) -> None:
    """Each alone: without the lock of its cache the message named pykeops, which was there."""
    hidden = f"import sys; sys.modules[{library!r}] = None\nimport numpy as np, pmasolve as pma\n"
    result = python(hidden + SAID["keops"])
    last = result.stderr.splitlines()[-1]
    assert result.returncode == 1
    assert library in last.split(";")[0]
    assert "pip install '.[keops]'" in last
    assert "pykeops does not import" not in last


def test_the_claims_name_the_extra_too() -> None:
    result = python(PLAIN + "import runpy; runpy.run_module('validation', run_name='__main__')")
    assert "pip install '.[cli]'" in result.stderr.splitlines()[-1]
    assert result.returncode == 1


def test_the_version_is_that_of_the_sources(tmp_path: Path) -> None:
    assert pmasolve.__version__ == PROJECT["version"] == versions()["pmasolve"]
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "another"\nversion = "9"\n')
    try:
        requires("pmasolve")
    except PackageNotFoundError:
        assert package_version(tmp_path) == "absent"
    else:
        assert package_version(tmp_path) != "9"


def test_a_run_knows_the_versions_that_can_be_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources on the path of a machine whose packages have no metadata: a run had ended with PackageNotFoundError."""

    def unknown(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("pmasolve.machine.provenance.version", unknown)
    monkeypatch.setattr("pmasolve.flows.loop._versions", _versions.__wrapped__)
    provenance = pmasolve.evolve(
        pmasolve.Sinkhorn(pmasolve.Problem(pmasolve.Torus((8,)), np.zeros(8), np.zeros(8)), 0.1), [0.1]
    ).provenance
    assert provenance["numpy"] == "absent"
    assert provenance["pmasolve"] == PROJECT["version"]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_terminal_is_told_once_that_loops_are_compiled(
    terminal: bool, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    notice = Notice()

    def compiled(function: Callable) -> str:
        started = SimpleNamespace(data={"dispatcher": SimpleNamespace(py_func=function)})
        notice.on_start(started)
        return capsys.readouterr().err

    assert compiled(np.mean) == ""  # of another library
    first = compiled(package_version)
    assert first.count("\n") == first.count("this happens once") == first.count("pmasolve warmup") == terminal
    assert compiled(package_version) == ""


LISTENED = """
from numba.core import event
compiled = []
class Listener(event.Listener):
    def on_start(self, e): compiled.append(e.data["dispatcher"].py_func.__qualname__)
    def on_end(self, e): pass
event.register("numba:compile", Listener())
"""


def compiled_by(code: str, cache: Path) -> list[str]:
    """Names of the functions that a new process compiles."""
    script = f"import os, json; os.environ['NUMBA_CACHE_DIR'] = {str(cache)!r}\n{LISTENED}{code}\nprint(json.dumps(compiled))"
    result = python(script)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


CLOUD = """
import numpy as np, pmasolve as pma
problem = pma.Problem.from_samples(np.linspace(0, 1, 40)[:, None], np.linspace(0, 1, 50)[:, None])
pma.evolve(pma.Sinkhorn(problem, 1 / 8), [1 / 4])
"""

GRIDS = """
problem = pma.Problem(pma.Box((24,)), lambda x: 0.3 * np.cos(np.pi * x), lambda y: 0 * y)
pma.transport(problem)
pma.evolve(pma.MongeAmpere(problem), [0.01])
pma.evolve(pma.Sinkhorn(problem, 1 / 8), [1 / 4])
pma.transport(pma.Problem.from_densities(pma.Box((100,)), *np.random.default_rng(1).random((2, 100))), gap=0)
"""
WARMUP = [sys.executable, "-m", "pmasolve", "warmup"]


@pytest.mark.slow
def test_after_a_warmup_first_calls_compile_nothing(tmp_path: Path) -> None:
    """The command as it is called, in 1D; without the warm-up they do compile."""
    assert compiled_by(CLOUD, tmp_path / "cold")
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "warm")}
    done = subprocess.run(
        [*WARMUP, "--dim", "1", "--jobs", "2"], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert compiled_by(CLOUD + GRIDS, tmp_path / "warm") == []


def test_a_warmup_that_is_stopped_says_so_and_nothing_else(tmp_path: Path) -> None:
    """Ctrl-C on a terminal goes to all processes: no traceback, no warning of semaphores, none left behind."""
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell's background job is born with it ignored
    run = subprocess.Popen([*WARMUP, "--jobs", "2"], env=environment, start_new_session=True, preexec_fn=heard, **pipes)
    assert run.stdout is not None
    assert "Ctrl-C" in run.stdout.readline()
    os.killpg(run.pid, signal.SIGINT)
    _, errors = run.communicate()  # until the last process that holds the pipe has ended
    assert errors == "Error: stopped; what is compiled is kept, and the next warmup goes on from there\n"
    assert run.returncode == 130


def test_the_warmup_runs() -> None:
    result = CliRunner().invoke(app, ["warmup", "--dim", "1", "--jobs", "1"])
    assert result.exit_code == 0, result.output
    assert "from the cache" in result.output


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT, check=True)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_has_one_package_with_types_and_claims(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name.split("/")[0] for name in names} == {"pmasolve", f"pmasolve-{PROJECT['version']}.dist-info"}
    claims = {path.name for path in (ROOT / "validation").glob("*.py")}
    assert {name.removeprefix("pmasolve/validation/") for name in names if "/validation/" in name} == claims
    assert {"pmasolve/py.typed", "pmasolve/__init__.pyi", "pmasolve/studies/report.html.jinja"} <= names


@pytest.mark.slow
def test_the_claims_run_from_the_wheel(wheel: Path, tmp_path: Path) -> None:
    """In several processes, in a folder where another package is called validation."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    (tmp_path / "validation").mkdir()
    (tmp_path / "validation" / "__init__.py").write_text("raise RuntimeError('the folder of the user')")
    claims = ["--claim", "metric", "--claim", "half-steps"]
    command = [sys.executable, "-m", "pmasolve", "validate", *claims, "--jobs", "2", "--out", "out"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert {path.stem for path in (tmp_path / "out" / "claims").glob("*.json")} == {"metric", "half-steps"}


@pytest.mark.parametrize("origin", ["wheel", "checkout"])
def test_the_claims_are_found(origin: str, wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = "import sys; sys.argv[1:] = ['validate', '--claim', 'nonsense']; from pmasolve.__main__ import app; app()"
    result = python(code, folder=tmp_path, path=ROOT if origin == "checkout" else tmp_path / "site")
    assert "no claim is called" in result.stderr
    assert "one-step" in result.stderr
