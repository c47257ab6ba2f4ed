"""The shape of the package: imports point down, nothing is hidden, everything public is described."""

from __future__ import annotations

import ast
import pydoc
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

import pmasolve

ROOT = Path(pmasolve.__file__).parent
# The rooms, lowest first: a file imports from its own room and from those before it.
ROOMS = [*pmasolve._ROOMS, "__main__"]
FILES = sorted(path for path in ROOT.rglob("*.py") if path != ROOT / "__init__.py")
TREES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def module_of(name: str) -> str:
    """The dotted name inside the package: softmin/dense.py is softmin.dense."""
    return name.removesuffix(".py").replace("/", ".")


def imported(name: str) -> set[str]:
    """Modules of the package that a file imports, dotted, without ``pmasolve.``."""
    here = module_of(name).split(".")[:-1]
    found = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = here[: len(here) - node.level + 1]
            target = [*base, *(node.module.split(".") if node.module else [])]
            names = [target] if node.module else [[*base, alias.name] for alias in node.names]
            found |= {".".join(parts) for parts in names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pmasolve"):
            found.add(node.module.removeprefix("pmasolve").removeprefix("."))
        elif isinstance(node, ast.Import):
            found |= {a.name.removeprefix("pmasolve.") for a in node.names if a.name.startswith("pmasolve.")}
    return {target for target in found if target}


def functions(tree: ast.Module) -> list[ast.FunctionDef]:
    """All functions and methods."""
    return [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


@pytest.mark.parametrize("name", TREES)
def test_imports_point_down(name: str) -> None:
    room = module_of(name).split(".")[0]
    assert room in ROOMS, f"{name}: give the new room its place in ROOMS"
    for target in imported(name):
        assert target.split(".")[0] in ROOMS[: ROOMS.index(room) + 1], f"{name} imports {target}, which is not below it"


def test_every_room_says_what_lives_there_and_which_question_sends_you_there() -> None:
    for folder in {path.parent for path in FILES if path.parent != ROOT}:
        words = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
        assert "Come here to " in words or "Come here for " in words, f"{folder}: {words}"


def test_no_cycles() -> None:
    graph = {module_of(name): imported(name) for name in TREES}
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, f"cycle: {' → '.join((*above, module))}"
        if module not in done:
            for target in graph.get(module, ()):
                visit(target, (*above, module))
            done.add(module)

    for module in graph:
        visit(module, ())


# Files that import inside a function, because what they import is heavy or an extra; their docstrings say so.
LATE = {
    "machine/progress.py": {"_rich"},
    "studies/scaling.py": {"report"},
    "maps/devices/choice.py": {"_torch", "_jax"},
}


@pytest.mark.parametrize("name", TREES)
def test_no_import_is_hidden_in_a_function(name: str) -> None:
    hidden = {
        function.name
        for function in functions(TREES[name])
        for node in ast.walk(function)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    assert hidden == LATE.get(name, set())
    assert not hidden or "is imported when" in (ast.get_docstring(TREES[name]) or "")


@pytest.mark.parametrize("name", TREES)
def test_public_names_are_described(name: str) -> None:
    """Modules, public classes, public functions and public methods; a protocol's __call__ needs none."""
    tree = TREES[name]
    missing = [] if ast.get_docstring(tree) or not tree.body else ["the module"]

    def look(nodes: list[ast.stmt], prefix: str) -> None:
        for node in nodes:
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_"):
                if not ast.get_docstring(node):
                    missing.append(prefix + node.name)
                if isinstance(node, ast.ClassDef):
                    look(node.body, f"{node.name}.")

    look([node for node in tree.body if not getattr(node, "name", "_").startswith("_")], "")
    assert not missing, f"{name}: no docstring on {missing}"


LONG = 40  # lines of a function without its docstring


@pytest.mark.parametrize("name", TREES)
def test_functions_and_modules_are_short(name: str) -> None:
    for function in functions(TREES[name]):
        body = function.body[ast.get_docstring(function) is not None :]
        length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
        assert length <= LONG, f"{name}: {function.name} has {length} lines"
    lines = len((ROOT / name).read_text(encoding="utf-8").splitlines())
    assert lines <= 300, f"{name} has {lines} lines: part it by the questions that it answers"


def test_no_module_called_utils() -> None:
    names = {part for name in TREES for part in module_of(name).split(".")}
    assert not names & {"utils", "util", "helpers", "misc", "common", "base", "core"}


# Names that more than one file defines on purpose: in which files, and why.  All others have one home.
SHARED = {
    "read": (r"problems/formats/\w+", "one for each kind of file, chosen by its suffix"),
    "save": (r"(flows|distributed)/files", "`pmasolve.distributed` has the same calls for slabs"),
    "load": (r"(flows|distributed)/files", "likewise"),
    "read_array": (r"problems/images|distributed/files", "likewise"),
    "_words": (r"cli/\w+", "what a command prints"),
    "_record": (r"cli/\w+", "what it prints with --json"),
}


def defined(tree: ast.Module) -> set[str]:
    """Functions, classes and constants of a module; imports are none, nor is `_`, the name of what is registered."""
    names = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        names |= {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
    return names - {"_"}


def test_a_name_is_defined_in_one_file() -> None:
    homes: dict[str, list[str]] = {}
    for file, tree in TREES.items():
        for name in defined(tree):
            homes.setdefault(name, []).append(file.removesuffix(".py"))
    several = {name: files for name, files in homes.items() if len(files) > 1}
    wrong = {name: files for name, files in several.items() if name not in SHARED}
    assert not wrong, f"say in the name what each is, or keep one, in the lower room: {wrong}"
    assert set(several) == set(SHARED), "no longer in two files: take it from SHARED"
    for name, (pattern, _) in SHARED.items():
        assert all(re.fullmatch(pattern, file) for file in several[name]), (name, several[name])


def test_public_names() -> None:
    """The stub is the one list: nothing but `from .x import Y as Y`, each once, each there, none but these public."""
    tree = ast.parse((ROOT / "__init__.pyi").read_text(encoding="utf-8"))
    *imports, version, everything = tree.body
    assert [ast.unparse(node) for node in (version, everything)] == ["__version__: str", "__all__: list[str]"]
    names, homes = [], []
    for node in imports:
        assert isinstance(node, ast.ImportFrom), f"line {node.lineno}: only imports belong here"
        assert node.level == 1
        homes.append((node.module or node.names[0].name).split(".")[0])
        for alias in node.names:
            assert alias.asname == alias.name, f"{alias.name}: write `{alias.name} as {alias.name}`"
            names.append(alias.name)
    assert names
    assert len(set(names)) == len(names)
    assert homes == sorted(homes, key=ROOMS.index), "room by room, the lowest first"
    assert pmasolve.__all__ == names
    assert {name for name in dir(pmasolve) if not name.startswith("_")} == set(names)
    star: dict[str, object] = {}
    exec("from pmasolve import *", star)
    assert set(star) - {"__builtins__"} == set(names)
    assert all(star[name] is getattr(pmasolve, name) for name in names)


def test_a_public_name_is_what_its_module_has() -> None:
    """Also `mirror`, a module, and a name that a module has imported from another room."""
    for node in ast.parse((ROOT / "__init__.pyi").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            space: dict[str, object] = {}
            exec(f"from pmasolve{'.' + node.module if node.module else ''} import {node.names[0].name} as found", space)
            assert getattr(pmasolve, node.names[0].name) is space["found"]
    missing = set() if find_spec("mpi4py") else {"distributed"}
    for room in [room for room in ROOMS[:-2] if room not in missing]:
        assert getattr(pmasolve, room).__name__ == f"pmasolve.{room}"
    with pytest.raises(AttributeError, match="'pmasolve' has no attribute 'nothing'"):
        _ = pmasolve.nothing


def test_the_docstring_of_the_package_is_a_map_of_all_names() -> None:
    """Functions come first in help(pmasolve): its first part is this docstring, and only then are modules listed."""
    assert pmasolve.__doc__
    words = set(re.findall(r"\w+", pmasolve.__doc__))
    assert set(pmasolve.__all__) - words == set()
    shown = pydoc.plain(pydoc.render_doc(pmasolve))
    assert shown.index("transport → Transport") < shown.index("PACKAGE CONTENTS")


def test_optional_libraries_have_one_importer_each() -> None:
    owners = {
        "sksundae": "flows.integrator",
        "matplotlib": "studies.figures",
        "ot": "maps.simplex",
        "pykeops": "sinkhorn.softmin.keops",
        "filelock": "sinkhorn.softmin.keops",
        "ducc0": "calculus.libraries",
        "finufft": "problems.interpolation",
        "mpmath": "gaussian.precise",
        "pydantic": "cli.config",
        "sklearn": "samples.samplers.scikit",
        "torch": "samples.neural.training",
        "rich": "machine.progress",
        "jinja2": "studies.pages",
        "PIL": "problems.formats.pictures",
        "h5py": "problems.formats.hdf5",
        "astropy": "problems.formats.fits",
        "nibabel": "problems.formats.nifti",
        "nrrd": "problems.formats.nrrd",
        "tifffile": "problems.formats.tiff",
        "mpi4py": "distributed.ranks",
        "array_api_compat": "maps.devices.choice",
        "jax": "maps.devices.choice",
    }
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            for library in {n.split(".")[0] for n in names} & set(owners):
                assert module_of(name) == owners[library], f"{name} imports {library}: leave that to {owners[library]}"
