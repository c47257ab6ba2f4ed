"""python -m validation: run the claims, print the table as it grows, write the report, fail if a claim fails."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from . import suite
from .claims import Check, ClaimModule, Level, Result, Row
from .output import draw, prepare, write

app = typer.Typer(add_completion=False)
INTERRUPTED = 130  # what shells expect after Ctrl-C


@app.command()
def main(
    level: Annotated[Level, typer.Option(help="quick takes a minute, full a few")] = Level.QUICK,
    claim: Annotated[list[str] | None, typer.Option(help="run only this claim; may be given several times")] = None,
    out: Annotated[Path, typer.Option(help="directory for results.json, the figures and report.html")] = Path(
        "validation-results"
    ),
) -> None:
    """Measure every claim of the theory, and check that each measurement can fail."""
    try:
        modules = suite.chosen(claim or [])
        prepare(out)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--claim") from error
    except OSError as error:
        raise typer.BadParameter(f"{out} cannot be written: {error.strerror or error}", param_hint="--out") from error
    raise typer.Exit(run_all(modules, level, out, Console()))


def run_all(modules: tuple[ClaimModule, ...], level: Level, out: Path, console: Console) -> int:
    """Run, print and write; the exit code."""
    results: list[Result] = []
    figures: dict[str, str] = {}
    try:
        for module in modules:
            results.append(_run_one(module, level, console))
            figures[module.CLAIM.name] = draw(results[-1], out)
            write(results, figures, level, out)
    except KeyboardInterrupt:
        console.print(f"interrupted; {len(results)} of {len(modules)} claims are in {out}", soft_wrap=True)
        return INTERRUPTED
    console.print(_summary(results))
    console.print(f"{out / 'report.html'}\n{out / 'results.json'}", soft_wrap=True, highlight=False)
    return 0 if all(result.holds for result in results) else 1


def _run_one(module: ClaimModule, level: Level, console: Console) -> Result:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    console.rule(f"[bold]{module.CLAIM.title}", align="left")
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        progress.add_task(module.CLAIM.name)
        result = suite.run(module, level, lambda row: console.print(_line(row), soft_wrap=True, highlight=False))
    if result.crash:
        console.print(f"  [red]crashed[/]: {result.crash.strip().splitlines()[-1]}", soft_wrap=True)
    elif not result.mutated:
        console.print("  [red]no mutation was tried[/]: nothing shows that this claim can fail")
    return result


def _line(row: Row) -> str:
    check = row.check
    word = _word(check)
    orders = ";  ".join(f"{norm} {_numbers(check, norm)}" for norm in check.demands)
    return f"  {word}  {row.seconds:5.1f} s  {check.label}:  {orders}"


def _word(check: Check) -> str:
    if check.mutation:
        return "[green]caught [/]" if check.holds else "[red]MISSED [/]"
    return "[green]holds  [/]" if check.holds else "[red]FAILS  [/]"


def _numbers(check: Check, norm: str) -> str:
    errors, orders = check.study.errors[norm], check.study.orders(norm)[-2:]
    if "order" not in str(check.demands[norm]):
        return f"{np.max(errors):.1e}"
    return f"{errors[-1]:.1e} (orders … {' '.join(f'{order:.2f}' for order in orders)})"


def _summary(results: list[Result]) -> Table:
    table = Table(title="Claims", title_justify="left")
    for name in ("claim", "checks", "mutations caught", "verdict", "seconds"):
        table.add_column(name, justify="right" if name == "seconds" else "left")
    for result in results:
        kept = [row.check for row in result.rows if not row.check.mutation]
        broken = [row.check for row in result.rows if row.check.mutation]
        counts = (f"{sum(check.holds for check in checks)}/{len(checks)}" for checks in (kept, broken))
        verdict = "[green]holds" if result.holds else "[red]crashed" if result.crash else "[red]fails"
        table.add_row(result.claim.title, *counts, verdict, f"{result.seconds:.1f}")
    return table


if __name__ == "__main__":
    app(prog_name="python -m validation")
