"""Pictures of a run while it goes on: a listener for ``on_step`` of `evolve`."""

from __future__ import annotations

import os
from pathlib import Path

from ..flows.trackers import Every, Step
from ..machine import archives
from .figures import FIGURE_FORMATS, save_figure
from .runs import plot_trajectory


class PlotEvery:
    """Draw where a run is every so often, into numbered pictures: run-000.png, run-001.png, …

    Parameters
    ----------
    path : ends with .png, .svg or .pdf; the numbers are put before that.
    steps, seconds : how often, one of the two.
    image : whether the first axis runs downwards, see `plot_trajectory`.

    Raises
    ------
    ValueError : another ending; both of them, none, or one that is not positive.
    OSError : the folder does not exist or cannot be written: said now, not after the first step.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from pmasolve import MongeAmpere, Problem, Torus, evolve
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = evolve(MongeAmpere(problem), [0.01], on_step=PlotEvery(f"{folder}/run.svg", steps=20))
    ...     sorted(file.name for file in Path(folder).iterdir())[0]
    'run-000.svg'
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        steps: int | None = None,
        seconds: float | None = None,
        image: bool | None = None,
    ) -> None:
        self.path, self.every, self.image, self.drawn = Path(path), Every(steps, seconds), image, 0
        if self.path.suffix[1:] not in FIGURE_FORMATS:
            raise ValueError(f"{path}: end the name with .{', .'.join(FIGURE_FORMATS)}")
        archives.check_writable(self.path)

    def __call__(self, step: Step) -> None:
        """Draw if it is time."""
        if self.every.due(step.count):
            name = self.path.with_name(f"{self.path.stem}-{self.drawn:03}{self.path.suffix}")
            save_figure(plot_trajectory(step.now, image=self.image), name)
            self.drawn += 1
