"""python -m validation, or pmasolve validate: run the claims, print the table as it grows, write the report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

from pmasolve.machine.extras import extra

with extra("cli"):
    import typer
    from rich.console import Console

    from pmasolve.studies.entries import Section
    from pmasolve.studies.pages import prepare_directory, write_report

    from . import docs, suite
    from .claims import Level
    from .fingerprints import fingerprint
    from .output import PAGE
    from .printing import Screen
    from .running import Job, cores, one_by_one, side_by_side, workers
    from .store import drawings, keep, kept

app = typer.Typer(add_completion=False)
INTERRUPTED = 130  # what shells expect after Ctrl-C


@app.command()
def main(
    level: Annotated[Level, typer.Option(help="quick takes a few minutes, full some tens")] = Level.QUICK,
    claim: Annotated[list[str] | None, typer.Option(help="run only this claim; may be given several times")] = None,
    out: Annotated[Path, typer.Option(help="directory for the report, data, tables and figures")] = Path(
        "validation-results"
    ),
    processes: Annotated[int, typer.Option("--jobs", min=1, help="processes side by side")] = cores(),
    scheduler: Annotated[
        str | None, typer.Option(help="run on a Dask cluster instead: its scheduler's address, tcp://host:8786")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="run again what is in --out already")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="print one JSON object at the end, all else on stderr")
    ] = False,
    write_docs: Annotated[
        bool, typer.Option("--docs", help="write the claims into README.md, docs/verified.md and docs/figures")
    ] = False,
) -> None:
    """Measure every claim of the theory, and check that each measurement can fail.

    Claims that are in --out already are not run again, unless their sources, the package, its dependencies or the level changed.
    """
    if write_docs and not (docs.ROOT / "pyproject.toml").exists():
        raise typer.BadParameter(f"{docs.ROOT} is not a folder with the sources", param_hint="--docs")
    try:
        modules = suite.chosen(claim or [])
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--claim") from error
    try:
        prepare_directory(out)
    except OSError as error:
        raise typer.BadParameter(f"{out} cannot be written: {error.strerror or error}", param_hint="--out") from error
    jobs = [Job(module, level, fingerprint(module, level)) for module in modules]
    done = {} if fresh else stored(jobs, out)
    try:
        code = run_all(jobs, out, Screen(Console(stderr=as_json)), done=done, processes=processes, scheduler=scheduler)
    except ConnectionError as error:
        raise typer.BadParameter(str(error), param_hint="--scheduler") from error
    if as_json:
        typer.echo(json.dumps(verdicts(out)))
    if write_docs and code != INTERRUPTED:
        names = [module.CLAIM.name for module in suite.CLAIMS]
        docs.write(docs.ROOT, suite.CLAIMS, {name: kept(name, out) for name in names})
    raise typer.Exit(code)


def verdicts(out: Path) -> dict[str, object]:
    """What results.json says in short: whether all holds, each claim, and the page."""
    results = json.loads((out / "results.json").read_text("utf-8"))
    claims = {claim["name"]: claim["holds"] for claim in results["claims"]}
    return {"ok": results["holds"], "claims": claims, "seconds": results["seconds"], "report": str(out / "report.html")}


def stored(jobs: Sequence[Job], out: Path) -> dict[str, Section]:
    """Sections in ``out`` of claims that nothing has changed for, by name."""
    found = {job.module.CLAIM.name: kept(job.module.CLAIM.name, out, job.key) for job in jobs}
    return {name: section for name, section in found.items() if section is not None}


def run_all(
    jobs: Sequence[Job],
    out: Path,
    screen: Screen,
    *,
    done: Mapping[str, Section],
    processes: int,
    scheduler: str | None,
) -> int:
    """Run what is not done, print and write; the exit code."""
    sections = dict(done)
    names = [job.module.CLAIM.name for job in jobs]
    screen.unchanged(list(done.values()))
    todo = longest_first([job for job in jobs if job.module.CLAIM.name not in done], out)
    try:
        with workers(min(processes, len(todo)), scheduler) as executor:
            live = executor is None
            foreign = scheduler is not None
            results = one_by_one(todo, screen.live) if live else side_by_side(todo, executor, foreign=foreign)
            for result in screen.counted(results, len(todo)):
                keep(result, out)
                sections[result.section.name] = result.section
                screen.finished(result.section, live)
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        ordered = [sections[name] for name in names if name in sections]
        page = write_report(PAGE, ordered, out, drawings=drawings(ordered, out), more={"level": jobs[0].level.value})
        screen.summary(ordered, len(jobs), page)
    return 0 if all(section.holds for section in ordered) else 1


def longest_first(jobs: Sequence[Job], out: Path) -> list[Job]:
    """By the time they took when they last ran here, so that no long one is left for the end; in their own order else."""
    names = [job.module.CLAIM.name for job in jobs]
    found = [kept(name, out) for name in names]
    guess = [float("inf") if name in suite.LONG else 0.0 for name in names]
    seconds = [section.seconds if section else guess[i] for i, section in enumerate(found)]
    return [jobs[i] for i in sorted(range(len(jobs)), key=lambda i: -seconds[i])]


if __name__ == "__main__":
    app(prog_name="python -m validation")
