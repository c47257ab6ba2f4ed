"""pmasolve clouds: the map between two samples, with ε and gauge chosen from them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ..machine.archives import atomic_write
from ..machine.arrays import Array
from ..problems.formats.tables import data_lines
from ..problems.images import SUFFIXES, read_array
from ..problems.problem import Problem
from ..samples.choosing import EpsChoice, choose_eps
from ..samples.units import LEAST_POINTS
from ..samples.wasserstein import W2Estimate, estimate_w2
from ..studies.figures import save_figure
from .door import ArrayName, AsJson, FigureFile, door, say, undone
from .inputs import POINT_FILES, check_figure, check_outputs


def clouds_command(
    x: Annotated[Path, typer.Argument(help="points, one a row: what read_array reads", show_default=False)],
    y: Annotated[Path, typer.Argument(help="points of the target, of as many columns", show_default=False)],
    t: Annotated[float | None, typer.Option(help="time of the flow from the identity; else the optimal map")] = None,
    at: Annotated[Path | None, typer.Option(help="points to be mapped; else x")] = None,
    out: Annotated[Path | None, typer.Option(help="the file for the mapped points (.csv or .npy)")] = None,
    figure: FigureFile = None,
    halvings: Annotated[int, typer.Option(help="random halvings that the choice of ε rests on", min=1)] = 3,
    seed: Annotated[int, typer.Option(help="of the halvings", min=0)] = 0,
    exact: Annotated[bool, typer.Option("--exact", help="also W₂ between the points themselves, exactly")] = False,
    array: ArrayName = None,
    as_json: AsJson = False,
) -> None:
    """Find the map between two samples, at the ε and in the gauge that the samples themselves choose, its estimated error, and W₂
    between the laws that they come from, with a confidence interval."""
    with door():
        check_figure(figure)
        if out is not None and out.suffix not in POINT_FILES:
            raise ValueError(f"out={out}: give a name that ends with {' or '.join(POINT_FILES)}")
        check_outputs((out, figure), (x, y, at))
        problem = Problem.from_samples(points_of(x, array), points_of(y, array))
        z = points_of(x if at is None else at, array)
        if z.shape[1] != problem.domain.dim:
            raise ValueError(f"{at} has points of {z.shape[1]} columns: the samples have {problem.domain.dim} columns")
        found = choose_eps(problem, t, halvings=halvings, seed=seed)
        laws = _laws(problem, seed, exact)
        image, written = found.map(z), []
        if out is not None:
            written.append(_kept(image, out))
        if figure is not None:
            written += save_figure(found.plot(), figure)
        moved = float(np.sqrt(np.mean(np.sum((image - z) ** 2, axis=1))))
        words, record = _words(found, z, moved), _record(found, z, moved)
        said = _distances(laws, exact)
        say(
            "\n".join([words, *said, *map(str, written)]),
            record | _numbers(laws, exact) | {"written": written},
            as_json,
        )
        if not found.outcome.ok:
            undone(found.outcome)


def points_of(path: Path, name: str | None = None) -> Array:
    """Points in a file, (n, dim); one column is points on a line, and one row of a table one point.

    Raises
    ------
    ValueError : an array of another number of axes, with the file's name.
    """
    values = read_array(path, name)
    if values.ndim not in (1, 2):
        raise ValueError(f"{path} has shape {values.shape}: give points as rows, (n, dim)")
    if values.ndim == 1 and path.suffix.lower() in SUFFIXES["tables"] and len(data_lines(path)) == 1:
        return values[None]
    return values[:, None] if values.ndim == 1 else values


def _kept(image: Array, out: Path) -> Path:
    """The mapped points in a file, whole or not at all."""
    with atomic_write(out) as stream:
        np.save(stream, image) if out.suffix == ".npy" else np.savetxt(stream, image, delimiter=",", fmt="%.17g")
    return out


def _laws(problem: Problem, seed: int, exact: bool) -> W2Estimate | None:
    """W₂ between the laws, and that of the points where it is asked for; None of samples too small to halve."""
    x, y = problem.domain.points, problem.codomain.points
    if min(len(x), len(y)) < LEAST_POINTS and not exact:
        return None
    found = estimate_w2(x, y, seed=seed)
    if exact:
        _ = found.points  # solved now: what is missing is said before anything is written
    return found


def _words(found: EpsChoice, z: Array, moved: float) -> str:
    moves = f"  moved    {moved:.6g}, the root of the mean squared distance that {len(z)} points go"
    return f"{found.summary()}\n{moves}"


def _distances(laws: W2Estimate | None, exact: bool) -> list[str]:
    if laws is None:
        return [f"  W₂       not estimated: fewer than {LEAST_POINTS} points on a side"]
    low, high = laws.w2_interval
    lines = [
        f"  W₂       {laws.w2:.6g} between the laws, in [{low:.6g}, {high:.6g}] at {laws.level:.0%}, {laws.outcome.name}"
    ]
    return (
        [*lines, f"           {laws.points.w2:.12g} between the points, {laws.points.outcome.name}"] if exact else lines
    )


def _numbers(laws: W2Estimate | None, exact: bool) -> dict[str, object]:
    if laws is None:
        return {"w2": None}
    numbers = {"w2": laws.w2, "w2_interval": laws.w2_interval, "level": laws.level, "w2_outcome": laws.outcome.name}
    return numbers | ({"points_w2": laws.points.w2, "points_outcome": laws.points.outcome.name} if exact else {})


def _record(found: EpsChoice, z: Array, moved: float) -> dict[str, object]:
    return {
        "outcome": found.outcome.name,
        "ok": found.outcome.ok,
        "samples": [found.problem.domain.size, found.problem.codomain.size],
        "dim": found.problem.domain.dim,
        "t": found.t,
        "eps": found.eps,
        "gauge": found.gauge.name,
        "k": found.k,
        "error": found.error,
        "affine_error": found.affine_error,
        "moved": moved,
        "mapped": len(z),
        "passes": found.half_steps,
        "curve": {"eps": found.curve.eps, "risk": found.curve.risk, "noise": found.curve.noise},
    }
