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
    """Save the figure of one claim as SVG and PDF; its <svg> element for the report, empty if it has none."""
    if (drawn := figure(result)) is None:
        return ""
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
    check, study = row.check, row.check.rows
    return {
        "case": check.case,
        "mutation": check.mutation or None,
        "holds": check.holds,
        "seconds": row.seconds,
        "note": study.note or None,
        "parameter": study.parameter,
        "values": _finite(study.values),
        "labels": study.labels or None,
        "columns": {name: _finite(column) for name, column in study.columns.items()},
        "errors": {norm: _finite(errors) for norm, errors in study.errors.items()},
        "orders": {norm: _finite(check.study.orders(norm)) for norm in study.errors},
        "demands": {
            norm: {"demand": str(d), "as it should be": check.verdict(norm)} for norm, d in check.demands.items()
        },
    }


def _finite(values: np.ndarray) -> list[float | None]:
    """JSON has no NaN and no infinity."""
    return [float(value) if np.isfinite(value) else None for value in values]


def figure(result: Result) -> Figure | None:
    """One panel for each test problem and parameter: checks in colour, what was broken in grey; None if nothing can be drawn."""
    panels: dict[tuple[str, str], list[Curve]] = {}
    slopes: set[float] = set()
    for check in (row.check for row in result.rows):
        problem, _, detail = check.case.partition(", ")
        for name, errors in check.rows.drawn.items():
            label = f"broken: {check.mutation}" if check.mutation else f"{detail}, {name}".removeprefix(", ")
            curve = Curve(label, check.rows.values, errors, bool(check.mutation))
            panels.setdefault((problem, check.rows.parameter), []).append(curve)
        slopes |= {float(round(demand.low)) for demand in check.demands.values() if hasattr(demand, "low")}
    return plot_panels(panels, slopes=sorted(slopes)) if panels else None


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


SHOWN = 24  # rows of a table in the report; results.json holds all


def table(check: Check) -> list[list[str]]:
    """Header and rows of one check: parameter, what stands beside, then the errors that something is demanded of, with orders."""
    rows = check.rows
    names = rows.labels or [f"{value:.6g}" for value in rows.values]
    columns = {rows.parameter.replace("eps", "ε"): list(names)}
    columns |= {name: [f"{value:.6g}" for value in column] for name, column in rows.columns.items()}
    for norm in check.demands:
        columns[norm] = [f"{error:.2e}" for error in rows.errors[norm]]
        orders = check.study.orders(norm)
        if np.isfinite(orders).any():
            columns[f"order({norm})"] = ["", *(f"{order:.3f}" if np.isfinite(order) else "" for order in orders)]
    return [list(columns), *([column[i] for column in columns.values()] for i in shown(check))]


def shown(check: Check) -> list[int]:
    """Which rows are printed: all if they are few, else the first, the last, the worst of each error and some between."""
    count = check.rows.values.size
    if count <= SHOWN:
        return list(range(count))
    spread = np.geomspace(1, count, SHOWN).round().astype(int) - 1
    worst = [int(np.argmax(check.rows.errors[norm])) for norm in check.demands]
    return sorted({*spread.tolist(), *worst})
