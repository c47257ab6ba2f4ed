"""pmasolve sample: new points like those of a file, with the density that was learned."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from ..flows.loop import evolve
from ..machine.archives import atomic_write
from ..problems.grids import Cloud
from ..samples.samplers.choosing import affordable, anchors_in_words
from ..samples.samplers.implicit import ImplicitSampler
from ..samples.samplers.log_sums import LogSumExp
from ..samples.samplers.problems import SampleProblem
from ..samples.samplers.reference import FRESH
from ..samples.samplers.sampler import Sampler, as_sampler
from ..studies.figures import save_figure
from .clouds import points_of
from .door import ArrayName, AsJson, FigureFile, door, say, undone
from .inputs import POINT_FILES, check_figure, check_outputs


def sample_command(
    data: Annotated[Path, typer.Argument(help="points, one a row: what read_array reads", show_default=False)],
    count: Annotated[int, typer.Option(help="how many new points", min=1)] = 1000,
    anchors: Annotated[
        int | None, typer.Option(help="of the potential; chosen by points that are not fitted unless given", min=1)
    ] = None,
    steps: Annotated[int, typer.Option(help="at most", min=1)] = 100,
    seed: Annotated[int, typer.Option(help="of the start, of what is held out, and of the new points", min=0)] = 0,
    out: Annotated[Path | None, typer.Option(help="the file for the new points (.csv or .npy)")] = None,
    keep: Annotated[Path | None, typer.Option(help="the file for the sampler (.npz), for load_sampler")] = None,
    figure: FigureFile = None,
    array: ArrayName = None,
    as_json: AsJson = False,
) -> None:
    """Learn the law of samples and draw new ones: a tenth of the points is held out to see overfitting."""
    with door():
        check_figure(figure)
        if out is not None and out.suffix not in POINT_FILES:
            raise ValueError(f"out={out}: give a name that ends with {' or '.join(POINT_FILES)}")
        check_outputs((out, keep, figure), (data,))
        problem = SampleProblem(points_of(data, array))
        family = affordable(problem, seed) if anchors is None else LogSumExp(anchors)
        flow = ImplicitSampler(problem, family, seed=seed)
        run = evolve(flow, flow.times(steps)[-1:], throw=False)
        found, written = as_sampler(run), []
        new = found.sample(count, seed)
        if out is not None:
            with atomic_write(out) as stream:
                np.save(stream, new) if out.suffix == ".npy" else np.savetxt(stream, new, delimiter=",", fmt="%.17g")
            written.append(out)
        if keep is not None:
            written.append(found.save(keep))
        if figure is not None:
            written += save_figure(found.plot(), figure)
        record = _record(problem, found, family, written)
        say(_words(found, record), record, as_json)
        if not found.outcome.ok:
            undone(found.outcome)


def _words(found: Sampler, record: dict[str, object]) -> str:
    lines = [
        found.summary(),
        f"  likelihood  {record['log_likelihood']:.4f} nats a point, all points; "
        f"{anchors_in_words(record['anchors'], record['sums'])}",
    ]
    return "\n".join([*lines, *(str(path) for path in record["written"])])


def _record(problem: SampleProblem, found: Sampler, family: LogSumExp, written: list[Path]) -> dict[str, object]:
    many = found.sample(FRESH, 0)  # as in the summary: of the law, whatever count
    return {
        "outcome": found.outcome.name,
        "ok": found.outcome.ok,
        "samples": len(problem.data),
        "dim": problem.dim,
        "parameters": found.standard.params.size,
        "anchors": family.anchors,
        "sums": len(family.shares),
        "log_likelihood": found.log_likelihood(Cloud(problem.data)),
        "mean": many.mean(axis=0),
        "deviations": many.std(axis=0),
        "written": written,
    }
