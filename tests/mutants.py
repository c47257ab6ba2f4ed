"""One-line mutations of the package, and the tests that must notice each:  python tests/mutants.py [part of a name …]

A tool of general use (mutmut 3.8, cosmic-ray) makes thousands of mutants and skips the compiled kernels; these are the few that
once passed every test, kept so that they never do again.  Each is applied to a copy of the package in a temporary folder.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
NO_SUCH_TEST = (4, 5)  # pytest's exit codes: usage error, nothing collected


@dataclass(frozen=True)
class Mutant:
    """``old``, which stands once in ``file``, becomes ``new``; ``test`` (a file or node of tests/) must fail then."""

    name: str
    file: str
    old: str
    new: str
    test: str


def mutants() -> list[Mutant]:
    """Those of mutants.jsonl, one JSON object a line."""
    return [Mutant(**json.loads(line)) for line in (HERE / "mutants.jsonl").read_text("utf-8").splitlines() if line]


def caught(mutant: Mutant) -> bool:
    """Whether its test fails with it."""
    with TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("pmasolve", "tests", "validation", "docs"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "CONTRIBUTING.md"):
            shutil.copy(ROOT / name, copy)
        path = copy / mutant.file
        path.write_text(path.read_text("utf-8").replace(mutant.old, mutant.new), "utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", mutant.test]
        environment = {**os.environ, "PYTHONPATH": folder, "NUMBA_CACHE_DIR": str(copy / ".numba")}
        run = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    if run.returncode in NO_SUCH_TEST:
        raise SystemExit(f"{mutant.name}: {mutant.test} is no test\n{run.stdout[-500:]}")
    return run.returncode != 0


def main(words: list[str]) -> int:
    """Try those whose names hold one of the words, all without words; the number that nothing caught."""
    chosen = [m for m in mutants() if not words or any(word in m.name for word in words)]
    missed = 0
    for mutant in chosen:
        found = caught(mutant)
        missed += not found
        print(f"{'caught' if found else 'NOT CAUGHT':10}  {mutant.name}  ({mutant.test})", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} caught")
    return missed


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1:]), 1))
