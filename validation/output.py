"""What a run leaves behind: results.json, figures, and one HTML report that needs nothing else."""

from __future__ import annotations

import json
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from pmasolve.report import Curve, plot_panels, save_figure, svg

from . import densities
from .claims import Check, Level, Result, Row

PACKAGES = ("pmasolve", "numpy", "scipy", "numba", "scikit-sundae", "matplotlib", "pyfftw")


def prepare(directory: Path) -> None:
    """Make the directory and prove that it can be written, before any work.

    Raises
    ------
    OSError : it cannot.
    """
    directory.mkdir(parents=True, exist_ok=True)
    probe = directory / ".writable"
    probe.write_text("")
    probe.unlink()


def draw(result: Result, directory: Path) -> str:
    """Save the figure of one claim as SVG and PDF; its <svg> element for the report, empty if the claim got nowhere."""
    if not result.rows:
        return ""
    drawn = figure(result)
    drawn.draw_without_rendering()
    drawn.set_layout_engine("none")  # it is settled now, and costs more than the drawing
    save_figure(drawn, directory / result.claim.name, formats=("pdf",))
    inline = svg(drawn)
    (directory / f"{result.claim.name}.svg").write_text(inline, "utf-8")
    return inline


def write(results: Sequence[Result], figures: Mapping[str, str], level: Level, directory: Path) -> None:
    """Data and report; called after each claim, so that an interrupted run keeps what it has."""
    about = provenance(level, results)
    record = {**about, "claims": [as_record(result) for result in results]}
    (directory / "results.json").write_text(json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False), "utf-8")
    (directory / "report.html").write_text(html(results, about, figures), "utf-8")


def provenance(level: Level, results: Sequence[Result]) -> dict[str, Any]:
    """When, where, with which versions, and the verdict."""
    return {
        "level": level.value,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "holds": all(result.holds for result in results),
        "seconds": sum(result.seconds for result in results),
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": f"{platform.system()} {platform.machine()}",
        "revision": revision(),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def revision() -> str | None:
    """The git revision these files belong to, with a + if they were changed since; None outside a repository."""
    here = Path(__file__).resolve().parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"],
            cwd=here, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
        tracked = subprocess.run(
            ["git", "ls-files", "--error-unmatch", __file__], cwd=here, capture_output=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() if tracked.returncode == 0 else None  # installed inside somebody else's repository


def as_record(result: Result) -> dict[str, Any]:
    """One claim for results.json."""
    return {
        **asdict(result.claim),
        "holds": result.holds,
        "seconds": result.seconds,
        "crash": result.crash or None,
        "checks": [_check_record(row) for row in result.rows],
    }


def _check_record(row: Row) -> dict[str, Any]:
    check, study = row.check, row.check.study
    return {
        "case": check.case,
        "mutation": check.mutation or None,
        "holds": check.holds,
        "seconds": row.seconds,
        "parameter": study.parameter,
        "values": _finite(study.values),
        "errors": {norm: _finite(errors) for norm, errors in study.errors.items()},
        "orders": {norm: _finite(study.orders(norm)) for norm in study.errors},
        "demands": {
            norm: {"demand": str(d), "as it should be": check.verdict(norm)} for norm, d in check.demands.items()
        },
    }


def _finite(values: np.ndarray) -> list[float | None]:
    """JSON has no NaN and no infinity."""
    return [float(value) if np.isfinite(value) else None for value in values]


def figure(result: Result) -> Figure:
    """One panel for each test problem: its checks in colour, what was broken in grey."""
    panels: dict[str, list[Curve]] = {}
    slopes: set[float] = set()
    for check in (row.check for row in result.rows):
        problem, _, detail = check.case.partition(", ")
        for norm, demand in check.demands.items():
            name = f"broken: {check.mutation}" if check.mutation else f"{detail}, {norm}".removeprefix(", ")
            panels.setdefault(problem, []).append(
                Curve(name, check.study.values, check.study.errors[norm], bool(check.mutation))
            )
            slopes |= {float(round(demand.low))} if hasattr(demand, "low") else set()
    return plot_panels(panels, result.rows[0].check.study.parameter, slopes=sorted(slopes))


def html(results: Sequence[Result], about: Mapping[str, Any], figures: Mapping[str, str]) -> str:
    """The report."""
    environment = Environment(
        loader=PackageLoader("validation", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(table=table, anchor=anchor)
    return environment.get_template("report.html.jinja").render(
        results=results, about=about, figures=figures, real_pair=densities.__doc__.replace("`", "")
    )


def anchor(name: str) -> str:
    """A name fit for an id."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())


def table(check: Check) -> list[list[str]]:
    """Header and rows of one check: the parameter, then errors and running orders of the norms that something is demanded of."""
    study = check.study
    head = [study.parameter.replace("eps", "ε")]
    rows = [[f"{value:.4g}"] for value in study.values]
    for norm in check.demands:
        head += [norm, "order"]
        orders = study.orders(norm)
        for i, row in enumerate(rows):
            row += [f"{study.errors[norm][i]:.2e}", f"{orders[i - 1]:.3f}" if i and np.isfinite(orders[i - 1]) else ""]
    return [head, *rows]
