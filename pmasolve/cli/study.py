"""pmasolve study: orders of Sinkhorn against PMA on the densities of a configuration, with a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..machine.provenance import digest
from ..studies.entries import to_json
from ..studies.figures import save_figure
from ..studies.scaling import scaling_study
from .building import initial_of, problem_of
from .config import Config, read_config
from .door import EXIT_UNDONE, AsJson, ConfigFile, FigureFile, door, fail, say
from .inputs import check_figure, check_outputs


def study_command(
    config: ConfigFile,
    out: Annotated[Path | None, typer.Option(help="the folder for the report, in place of study.out")] = None,
    figure: FigureFile = None,
    as_json: AsJson = False,
) -> None:
    """Measure the orders of plain, symmetric and extrapolated Sinkhorn at the ε of [study], and write a report.

    The exit code is 1 where an order is not as the theory says.
    """
    with door("interrupted: a study keeps nothing of its runs, run it again"):
        check_figure(figure)
        check_outputs((figure,), (config,))
        settings = read_config(config)
        if (wanted := settings.study) is None:
            raise ValueError(
                f"{config}: study is missing: a table [study] with eps = ['1/256', '1/512'] and t = '1/32'"
            )
        problem = problem_of(settings)
        initial = initial_of(settings, problem.domain)
        result = scaling_study(problem, eps=wanted.eps, t=wanted.t, rtol=wanted.rtol, initial=initial)
        title = f"Sinkhorn against the Monge–Ampère flow: {config.name}"
        page = result.report(out or wanted.out, title=title, configuration=study_provenance(config, settings))
        written = [page, *([] if figure is None else save_figure(result.plot(), figure))]
        section = result.section()
        verdicts = "\n".join(f"{method.name}: {_word(result.verdict(method))}" for method in result.methods)
        files = "\n".join(map(str, written))
        say(f"{result}\n\n{verdicts}\n{files}", {**to_json(section), "report": page, "written": written}, as_json)
        if section.holds is False:
            fail("an order is not as expected: take smaller ε, or see the report", EXIT_UNDONE)


def study_provenance(config: Path, settings: Config) -> str:
    """The configuration as it stands in its file, and the hash of every file that it names."""
    files = (settings.source.file, settings.target.file, settings.initial.file)
    hashes = [f"{file}: sha256 {digest(file.read_bytes())}" for file in files if file is not None]
    return "\n".join([config.read_text("utf-8-sig").rstrip(), *hashes])


def _word(verdict: bool | None) -> str:
    return {True: "order as expected", False: "order NOT as expected", None: "errors too small to decide"}[verdict]
