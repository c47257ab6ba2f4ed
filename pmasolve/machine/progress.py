"""A progress bar for anything that takes more than two seconds on a terminal; the only importer of rich (extra ``cli``).

rich takes a tenth of a second to import and is an extra: it is imported when a bar is made.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from typing import TYPE_CHECKING

from .extras import extra

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE = 2.0  # seconds without a sign of life

Show = Callable[[float, Mapping[str, float]], None]

_LISTENER: ContextVar[Callable[[float], None]] = ContextVar("listener", default=lambda share: None)


def part(share: float) -> None:
    """Tell the bar in charge, if there is one, what share of a long operation inside a step is done."""
    _LISTENER.get()(share)


@contextmanager
def progress_bar(title: str, total: float, wanted: bool | None, unit: str = "t") -> Iterator[Show]:
    """Yield ``show(done, record)``; the bar appears after two seconds, on stderr, and only where somebody looks.

    Where nobody asked for it and rich is not installed there is none.
    """
    if wanted is False or (wanted is None and not (sys.stderr.isatty() and find_spec("rich"))):
        yield lambda done, record: None
        return
    bar = _bar()
    task = bar.add_task(title, total=total, note="", part="")
    began, shown = time.perf_counter(), False

    def appear() -> None:
        """Start the bar once it is wanted or late."""
        nonlocal shown
        if not shown and (wanted or time.perf_counter() - began > PATIENCE):
            bar.start()
            shown = True

    def inside(share: float) -> None:
        """Note how much of a pass is done."""
        appear()
        bar.update(task, part=f" ({share:.0%} of a pass)" if share < 1 else "")

    def show(done: float, record: Mapping[str, float]) -> None:
        """Move on, with the record beside the bar."""
        appear()
        bar.update(
            task, completed=done, note=f"{unit}={done:.4g} " + " ".join(f"{k}={v:.3g}" for k, v in record.items())
        )

    token = _LISTENER.set(inside)
    try:
        yield show
    finally:
        _LISTENER.reset(token)
        if shown:
            bar.stop()


def _bar() -> Progress:
    """Title, bar, where the run is, time gone and time left."""
    with extra("cli"):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}{task.fields[part]}"))
    return Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True)
