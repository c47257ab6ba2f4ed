"""How far one must walk to follow a run, as docs/design.md says it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


def test_the_journey_is_as_long_as_the_design_says() -> None:
    checkout = Path(__file__).parents[1]
    told = (checkout / "docs" / "design.md").read_text(encoding="utf-8")
    files, changes = (
        int(number.replace(" ", "")) for number in re.findall(r"(\d+) files, ([\d ]+) changes of file", told)[0]
    )
    run = [sys.executable, "benchmarks/journey.py"]
    options = {"cwd": checkout, "env": {**os.environ, "NUMBA_NUM_THREADS": "1"}, "capture_output": True, "text": True}
    found = [int(word) for word in subprocess.run(run, check=True, **options).stdout.split() if word.isdigit()]
    assert found[0] == files
    assert found[1] == pytest.approx(changes, rel=0.04)  # libraries differ in roundings, and so in steps
    assert found[1] < 0.5 * 44_696  # of the old way
