"""What the result of a claim depends on, as one number: if that is the same, the claim need not be run again."""

from __future__ import annotations

import ast
import inspect
import json
from functools import cache
from hashlib import sha256
from pathlib import Path

import pmasolve
from pmasolve.machine.provenance import versions

from .claims import ClaimModule, Level

PACKAGE = Path(pmasolve.__file__).parent
OUTSIDE = ("cli", "__main__.py", "validation")  # of the package: they compute nothing, or are claims


def fingerprint(module: ClaimModule, level: Level) -> str:
    """Hash of the claim's own source, of what it imports from its folder, of the whole package, of versions and level."""
    own = inspect.getsourcefile(module.study)
    assert own is not None, module
    digest = sha256(json.dumps([module.CLAIM.name, level.value, versions()], sort_keys=True).encode())
    for path in sorted(closure(Path(own))):
        digest.update(path.read_bytes())
    digest.update(_package())
    return digest.hexdigest()


def closure(path: Path) -> set[Path]:
    """A file and all files of its folder that it imports, directly or not."""
    found, waiting = set(), [path]
    while waiting:
        here = waiting.pop()
        if here not in found:
            found.add(here)
            waiting += [path for path in (here.parent / f"{name}.py" for name in neighbours(here)) if path.exists()]
    return found


@cache
def neighbours(path: Path) -> frozenset[str]:
    """Names that a file imports from its own folder: ``from .x import y`` and ``from . import x``."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 1:
            names |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
    return frozenset(names)


@cache
def _package() -> bytes:
    digest = sha256()
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] not in OUTSIDE:
            digest.update(path.read_bytes())
    return digest.digest()
