"""What a run shows on the terminal: every check with its verdict, a count while waiting, and the table at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from pmasolve.studies.entries import Entry, Section
from pmasolve.studies.tables import finest

from .claims import ClaimModule, Row
from .output import entry
from .store import Done


@dataclass(frozen=True)
class Screen:
    """Where a run is shown."""

    console: Console

    def unchanged(self, sections: Sequence[Section]) -> None:
        """Name the claims that need not be run."""
        if sections:
            names = ", ".join(section.name for section in sections)
            self._print(f"unchanged since they were run, hence not run again (--fresh does): {names}")

    def counted(self, results: Iterable[Done], total: int) -> Iterator[Done]:
        """The same results, with a bar on a terminal."""
        columns = (SpinnerColumn(), TextColumn("claims"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True, disable=not self.console.is_terminal) as bar:
            task = bar.add_task("claims", total=total)
            for result in results:
                yield result
                bar.advance(task)

    def live(self, module: ClaimModule) -> Callable[[Row], None]:
        """Print a title now, and every check when it is told of it."""
        self._title(module.CLAIM.title)
        return lambda row: self._print(line(entry(row)))

    def finished(self, section: Section, live: bool) -> None:
        """Print a claim that is done, all of it unless its checks were printed live."""
        if not live:
            self._title(section.title)
            for check in section.entries:
                self._print(line(check))
        if section.crash:
            self._print(f"  [red]crashed[/]: {escape(section.crash.strip().splitlines()[-1])}")
        elif not any(check.mutation for check in section.entries):
            self._print("  [red]no mutation was tried[/]: nothing shows that this claim can fail")

    def summary(self, sections: Sequence[Section], total: int, page: Path) -> None:
        """The table of verdicts, and where the report is."""
        table = Table(title="Claims", title_justify="left")
        for name in ("claim", "checks", "mutations caught", "verdict", "seconds"):
            table.add_column(name, justify="right" if name == "seconds" else "left")
        for section in sections:
            counts = (section.count(mutations=False), section.count(mutations=True))
            verdict = f"[{'green' if section.holds else 'red'}]{section.verdict}"
            table.add_row(escape(section.title), *counts, verdict, f"{section.seconds:.1f}")
        self.console.print(table)
        if len(sections) < total:
            self._print(f"interrupted; {len(sections)} of {total} claims are done and kept: run again for the rest")
        self._print(f"{page}\n{page.with_name('results.json')}")

    def _title(self, title: str) -> None:
        self.console.rule(f"[bold]{escape(title)}", align="left")

    def _print(self, words: str) -> None:
        self.console.print(words, soft_wrap=True, highlight=False)


def line(check: Entry) -> str:
    """One check: verdict, seconds, what was measured."""
    good, bad = ("caught ", "MISSED ") if check.mutation else ("holds  ", "FAILS  ")
    word = f"[green]{good}[/]" if check.holds else f"[red]{bad}[/]"
    return f"  {word}  {check.seconds:5.1f} s  {escape(check.label)}:  {escape(finest(check))}"
