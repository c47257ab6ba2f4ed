"""A progress bar for anything that takes more than two seconds on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

PATIENCE = 2.0  # seconds without a sign of life

Show = Callable[[float, Mapping[str, float]], None]


@contextmanager
def progress_bar(title: str, total: float, wanted: bool | None, unit: str = "t") -> Iterator[Show]:
    """Yield ``show(done, record)``; the bar appears after two seconds, on stderr, and only where somebody looks."""
    if wanted is False or (wanted is None and not sys.stderr.isatty()):
        yield lambda done, record: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
    bar = Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True)
    task = bar.add_task(title, total=total, note="")
    began, shown = time.perf_counter(), False

    def show(done: float, record: Mapping[str, float]) -> None:
        nonlocal shown
        if not shown and (wanted or time.perf_counter() - began > PATIENCE):
            bar.start()
            shown = True
        bar.update(
            task, completed=done, note=f"{unit}={done:.4g} " + " ".join(f"{k}={v:.3g}" for k, v in record.items())
        )

    try:
        yield show
    finally:
        if shown:
            bar.stop()
