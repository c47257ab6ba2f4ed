"""Signs of life of anything that takes long: a bar on a terminal, a line every so often elsewhere; both on stderr.

The only importer of rich (extra ``cli``), which takes a tenth of a second to import and is imported when a bar is made; a terminal
without it gets the lines.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from .extras import extra

if TYPE_CHECKING:
    from rich.progress import Progress

SILENCE = 2.0  # seconds without a sign of life on a terminal, and where somebody asked for one
LINE_INTERVAL = 30.0  # seconds from line to line
COLUMNS = 80
clock = time.monotonic

Show = Callable[[float, Mapping[str, float]], None]


class Display(Protocol):
    """What shows how far a task is: told after each of its steps, of shares of long ones in between, and of its end."""

    def show(self, done: float, share: float, words: str) -> None:
        """``done`` of the total, and a share of a pass beyond it; 1 where there is none."""
        ...

    def close(self) -> None:
        """Leave the screen as it was."""
        ...


_LISTENER: ContextVar[Callable[[float], None] | None] = ContextVar("listener", default=None)


def tell_share(share: float) -> None:
    """Tell the display in charge, if there is one, what share of a long operation inside a step is done."""
    if (listener := _LISTENER.get()) is not None:
        listener(share)


def silence() -> None:
    """No more bars and lines in this process: another one shows them."""
    _LISTENER.set(lambda share: None)


@contextmanager
def progress_bar(title: str, total: float, wanted: bool | None, unit: str = "t") -> Iterator[Show]:
    """Yield ``show(done, record)``.

    A bar appears on a terminal after two seconds; elsewhere a line is written every thirty seconds, the first after two where
    ``wanted`` is True.  Inside another task this one is told as a share of a step of that.  Nothing where ``wanted`` is False, of
    this task and, unless another is shown around it, of those inside.
    """
    if _LISTENER.get() is not None:
        yield lambda done, record: None if wanted is False else tell_share(done / total if total > 0 else 1.0)
        return
    if wanted is False:
        with _told(_nobody):
            yield lambda done, record: None
        return
    display = _display(title, total, bool(wanted))
    done, words = 0.0, ""

    def inside(share: float) -> None:
        """Show how much of a pass is done."""
        display.show(done, share, words)

    def show(now: float, record: Mapping[str, float]) -> None:
        """Move on, with the record beside the bar."""
        nonlocal done, words
        done, words = now, " ".join([f"{unit}={now:.4g}", *(f"{name}={value:.3g}" for name, value in record.items())])
        display.show(done, 1.0, words)

    try:
        with _told(inside):
            yield show
    finally:
        display.close()


def _nobody(share: float) -> None:
    """What nobody wants to hear."""


@contextmanager
def _told(listener: Callable[[float], None]) -> Iterator[None]:
    """Tasks inside are shares of a step, which this listener hears of."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def _display(title: str, total: float, soon: bool) -> Display:
    """A bar where it can be seen, else lines."""
    if sys.stderr.isatty() and find_spec("rich"):
        return _Bar(title, total)
    return _Lines(title, total, SILENCE if soon else LINE_INTERVAL)


class _Bar:
    """A bar of 80 columns with percentage, time left and the record as far as there is room; it leaves no trace."""

    def __init__(self, title: str, total: float) -> None:
        self.bar, self.began, self.shown = _rich(), clock(), False
        self.task = self.bar.add_task(title, total=total, note="")

    def show(self, done: float, share: float, words: str) -> None:
        """Appear once two seconds are gone."""
        if not self.shown and clock() - self.began > SILENCE:
            self.bar.start()
            self.shown = True
        self.bar.update(self.task, completed=done, note=words if share >= 1 else f"{share:.0%} of a step, {words}")

    def close(self) -> None:
        """Take the bar away."""
        if self.shown:
            self.bar.stop()


class _Lines:
    """A line on stderr when so many seconds are gone, and then every thirty."""

    def __init__(self, title: str, total: float, first: float) -> None:
        self.title, self.total, self.began = title, total, clock()
        self.due = self.began + first

    def show(self, done: float, share: float, words: str) -> None:
        """Write a line if it is time for one."""
        now = clock()
        if now < self.due:
            return
        self.due = now + LINE_INTERVAL
        gone, ready = now - self.began, done / self.total if self.total > 0 else 0.0
        left = f", {_span(gone * (1 - ready) / ready)} left" if 0 < ready <= 1 else ""
        within = "" if share >= 1 else f" + {share:.0%} of a step"
        line = f"{self.title}: {ready:.0%}{within}, {_span(gone)} gone{left}; {words}"
        print(line[: COLUMNS - 1].rstrip(), file=sys.stderr, flush=True)

    def close(self) -> None:
        """Nothing is left behind."""


def _span(seconds: float) -> str:
    """Hours, minutes and seconds.

    Examples
    --------
    >>> _span(75), _span(7384)
    ('1:15', '2:03:04')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _rich() -> Progress:
    """Title, bar, percentage, time left, and what else there is room for."""
    with extra("cli"):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
        from rich.table import Column
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=16),
        TaskProgressColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("left", markup=False),
        TextColumn(
            "{task.fields[note]}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")
        ),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True, expand=True)
