"""pmasolve study: orders of Sinkhorn against PMA on the densities of a configuration, with a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..studies.entries import to_json
from ..studies.scaling import scaling_study
from .building import initial_of, problem_of
from .config import read
from .door import UNDONE, AsJson, ConfigFile, door, fail, say


def study(
    config: ConfigFile,
    out: Annotated[Path | None, typer.Option(help="the folder for the report, in place of study.out")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure the orders of plain, symmetric and extrapolated Sinkhorn at the ε of [study], and write a report.

    The exit code is 1 where an order is not as the theory says.
    """
    with door():
        settings = read(config)
        if (wanted := settings.study) is None:
            raise ValueError(
                f"{config}: study is missing: a table [study] with eps = ['1/256', '1/512'] and t = '1/32'"
            )
        problem = problem_of(settings)
        initial = initial_of(settings, problem.domain)
        result = scaling_study(problem, eps=wanted.eps, t=wanted.t, rtol=wanted.rtol, initial=initial)
        page = result.report(out or wanted.out, title=f"Sinkhorn against the Monge–Ampère flow: {config.name}")
        section = result.section()
        verdicts = "\n".join(f"{method.name}: {_word(result.verdict(method))}" for method in result.methods)
        say(f"{result}\n\n{verdicts}\n{page}", {**to_json(section), "report": page}, as_json)
        if section.holds is False:
            fail("an order is not as expected: take smaller ε, or see the report", UNDONE)


def _word(verdict: bool | None) -> str:
    return {True: "order as expected", False: "order NOT as expected", None: "errors too small to decide"}[verdict]
