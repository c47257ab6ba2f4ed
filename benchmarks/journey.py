"""How far one must walk to follow `evolve(MongeAmpere)`: files entered, and changes from one file of the package to another.

Run it in the folder of a checkout, with one thread: NUMBA_NUM_THREADS=1 python benchmarks/journey.py [-v].
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path.cwd()))
import pmasolve as pma

ROOT = str(Path("pmasolve").resolve())
changes: Counter[tuple[str, str]] = Counter()
here: list[str] = []


def follow(frame, event: str, _: object) -> None:
    """A call or a return between two files of the package; what libraries do counts with their caller."""
    if event in ("call", "return") and (file := frame.f_code.co_filename).startswith(ROOT):
        before = here[-1] if here else file
        _ = here.append(file) if event == "call" else here.pop()
        changes[before, here[-1] if here else file] += 1


def f(x, y):
    """The README's source."""
    return 0.3 * np.cos(2 * np.pi * x) + 0.2 * np.sin(2 * np.pi * y)


def flow() -> pma.MongeAmpere:
    """A fresh one: its transforms are planned when it runs."""
    problem = pma.Problem(pma.Torus((64, 64)), f, lambda x, y: 0.3 * np.cos(2 * np.pi * (x + y)))
    return pma.MongeAmpere(problem, rtol=1e-9)


pma.evolve(flow(), [0.02])  # compiling is no part of the journey
walk = flow()
sys.setprofile(follow)
pma.evolve(walk, [0.02])
sys.setprofile(None)
changes = Counter({pair: count for pair, count in changes.items() if pair[0] != pair[1]})
print(f"{len({file for pair in changes for file in pair})} files, {changes.total()} changes of file")
for (a, b), count in changes.most_common(100 if "-v" in sys.argv else 0):
    print(f"{count:6d}  {Path(a).relative_to(ROOT)} → {Path(b).relative_to(ROOT)}")
