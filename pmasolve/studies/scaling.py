"""The scaling limit on a user's own densities: orders of Sinkhorn against PMA, reported as `python -m validation` does.

The report needs the extra ``report`` and is imported when one is written.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from ..machine.progress import progress_bar
from ..machine.provenance import digest
from ..machine.speaking import drawn, numbers, page, sheet
from ..problems.problem import Problem
from .convergence import Study, compare
from .entries import Entry, Section, entry_of
from .scaling_runs import SCALING_METHODS, Runs, ScalingMethod, check_study, limits
from .tables import latex_table

T = TypeVar("T")
CLEAR = 3.0  # errors count that exceed the reference's own error so many times
DEMANDED = ("sup", "gradient")
ROUNDING_LEVEL = 1e-9  # an error in space below this is rounding, whatever that in time is
REFINE = (
    "The grid limits it: refine the grid; kinks and jumps of the densities break the expansion in ε, so smooth them"
)


@dataclass(frozen=True, eq=False)
class Scaling:
    """Errors of each method over ε, with their orders.

    Attributes
    ----------
    problem : what was run.
    t : the time of comparison.
    studies : by the name of the method.
    methods : in order.
    in_time, in_space : estimated errors of the reference itself, by norm: against a run at ten times its tolerance, and against
        one on twice the points along each axis.
    seconds : time of each method, the reference's by its name "reference".
    settings : what `scaling_study` was called with, in numbers and words.

    Examples
    --------
    >>> from pmasolve import Torus
    >>> problem = Problem(Torus((16,)), lambda x: 0.1 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> found = scaling_study(problem, eps=[1 / 32, 1 / 64], t=1 / 32, rtol=1e-8, methods=SCALING_METHODS[:1])
    >>> found.studies["plain"].values.tolist(), sorted(found.seconds)
    ([0.03125, 0.015625], ['plain', 'reference'])
    """

    problem: Problem
    t: float
    studies: Mapping[str, Study]
    methods: tuple[ScalingMethod, ...]
    in_time: Mapping[str, float]
    in_space: Mapping[str, float]
    seconds: Mapping[str, float]
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def floor(self) -> Mapping[str, float]:
        """Error of the reference in time and in space together, by norm: smaller errors say nothing."""
        return {norm: self.in_time[norm] + self.in_space[norm] for norm in self.in_time}

    def verdict(self, method: ScalingMethod, norm: str = "sup") -> bool | None:
        """Whether the last order is as expected among errors that exceed the reference's own; None if there is none."""
        study = self.studies[method.name]
        below = np.flatnonzero(study.errors[norm] < CLEAR * self.floor[norm])
        clear = int(below[0]) if below.size else study.values.size
        orders = study.orders(norm)[: max(0, clear - 1)]
        return bool(abs(orders[-1] - method.order) <= method.within) if orders.size else None

    def __repr__(self) -> str:
        words = {True: "as expected", False: "not as expected", None: "undecided"}
        verdicts = ", ".join(f"{method.name} {words[self.verdict(method)]}" for method in self.methods)
        return f"<Scaling on {self.problem.domain.words} at t = {self.t:.6g}: {verdicts}>"

    def _repr_html_(self) -> str:
        return page(self)

    def plot(self) -> Any:
        """Errors of each method over ε, of the potentials above and of their gradients below, with the reference's own error.

        Returns
        -------
        A matplotlib ``Figure``, not shown: notebooks show it, `save_figure` keeps it.
        """
        return drawn(self)

    def latex(self, caption: str = "", label: str = "tab:orders") -> str:
        """A LaTeX table (package booktabs): ε, then error and order of each method, for the potentials and for their gradients."""
        words = caption or (
            r"Sinkhorn's distance from the parabolic Monge--Amp\`ere flow at "
            f"$t = {self.t:g}$ and its observed order in $\\varepsilon$."
        )
        return latex_table(self.studies, norms=DEMANDED, caption=words, label=label)

    def summary(self) -> str:
        """For each method its errors and orders, the reference's own error and the time, on a page of at most 80 columns."""
        facts = {
            name: f"{numbers(study.errors['sup'])}\norders {numbers(study.orders('sup'))}"
            for name, study in self.studies.items()
        }
        times = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.seconds.items())
        return sheet(repr(self), {**facts, "reference": self._own_error(), "time": times})

    def _own_error(self) -> str:
        """What the reference says of itself, and what helps where the grid limits it."""
        parts = (f"{norm} {self.in_time[norm]:.1e} in time, {self.in_space[norm]:.1e} in space" for norm in DEMANDED)
        coarse = any(self.in_space[norm] > max(self.in_time[norm], ROUNDING_LEVEL) for norm in DEMANDED)
        return "its own error: " + "; ".join(parts) + (f". {REFINE}" if coarse else "")

    def __str__(self) -> str:
        return "\n\n".join(self._table(norm) for norm in DEMANDED)

    def _table(self, norm: str) -> str:
        """Errors of one kind with their orders, the methods side by side, in at most 80 columns for up to three of them."""
        names = list(self.studies)
        lines = [f"{norm:<11}" + "".join(f"{name:>12}{'order':>8}" for name in names)]
        orders = {name: ["", *(f"{order:.3f}" for order in self.studies[name].orders(norm))] for name in names}
        for i, eps in enumerate(self.studies[names[0]].values):
            cells = (f"{self.studies[name].errors[norm][i]:>12.2e}{orders[name][i]:>8}" for name in names)
            lines.append(f"{eps:<11.6g}" + "".join(cells))
        return "\n".join(lines)

    def section(self) -> Section:
        """All methods as one section of a report."""
        entries = tuple(self._entry(method) for method in self.methods)
        decided = [entry.holds for entry in entries if entry.holds is not None]
        grid, densities = self.problem.domain, (self.problem.f, self.problem.g)
        contrasts = " and ".join(f"{np.exp(np.ptp(density)):.3g}" for density in densities)
        prints = ", ".join(f"{name} sha256 {digest(density)}" for name, density in zip("fg", densities, strict=True))
        facts = {
            "Source": "Berman, arXiv 1712.03082; Deb, Kim, Pal, Schiebinger, arXiv 2307.16421; docs/theory.md",
            "Expected": "; ".join(f"{m.name}: order {m.order:g} ± {m.within:g}" for m in self.methods),
            "Accepted": f"the last order of errors above {CLEAR:g} times the reference's own; orders are limits: take smaller ε",
            "Problem": f"{type(grid).__name__} of {' × '.join(map(str, grid.shape))} points, sides {grid.lengths}, "
            f"contrasts (greatest over least density) {contrasts}, t = {self.t:g}",
            "Densities": f"e^{{−f}} and e^{{−g}}; values at the nodes: {prints}",
            "Settings": "; ".join(f"{name} = {_listed(value)}" for name, value in self.settings.items()) or "not kept",
            "Reference": f"PMA by the PDE solver, {self.seconds['reference']:.1f} s; {self._own_error()}",
        }
        statement = "φ_{t/ε} → φ̃_t as ε → 0, where ∂ₜφ̃ = f − g(∇φ̃) + log det D²φ̃"
        holds = all(decided) if decided else None
        return Section("orders", "Sinkhorn against the parabolic Monge–Ampère flow", statement, facts, entries, holds)

    def _entry(self, method: ScalingMethod) -> Entry:
        verdicts = {norm: self.verdict(method, norm) for norm in DEMANDED}
        decided = [verdict for verdict in verdicts.values() if verdict is not None]
        study = self.studies[method.name]
        return entry_of(
            study,
            f"errors at t = {self.t:g}, {method.name}",
            demands=dict.fromkeys(DEMANDED, f"order {method.order:g} ± {method.within:g}"),
            holds=all(decided) if decided else None,
            drawn={norm: study.errors[norm] for norm in DEMANDED},
            slopes=(method.order,),
            seconds=self.seconds[method.name],
        )

    def report(
        self,
        directory: str | os.PathLike[str],
        *,
        title: str = "Sinkhorn against the Monge–Ampère flow",
        configuration: str = "",
    ) -> Path:
        """Write report.html, results.json, results.csv, tables.tex and the figure orders.svg, orders.pdf; the path of the page.

        Parameters
        ----------
        directory : made where it is missing.
        title : of the page.
        configuration : what the densities were made from, a formula, a file with its hash or a whole script; the page and
            results.json hold it as it is, beside the settings, the hashes of both densities, versions and times.

        Raises
        ------
        OSError : the directory cannot be made or written.
        ModuleNotFoundError : the extra ``report`` is not installed.
        """
        from .pages import Page, prepare_directory, put, section_figure, write_report

        folder, section = Path(directory), self.section()
        prepare_directory(folder)
        drawing = section_figure(self.plot())
        put(folder / "orders.svg", drawing.svg)
        put(folder / "orders.pdf", drawing.pdf)
        more = {"seconds": sum(self.seconds.values()), "repeat": self.repeat(configuration)}
        appendix = {"To repeat it": configuration} if configuration else None
        svgs = {section.name: drawing.svg}
        return write_report(
            Page(title, appendix=appendix), [section], folder, drawings=svgs, more=more, tables=self.latex()
        )

    def repeat(self, configuration: str = "") -> dict[str, Any]:
        """What another needs to run it again: settings, grid, hashes of the densities, times, the reference's errors."""
        grid = self.problem.domain
        return {
            "configuration": configuration,
            "settings": dict(self.settings),
            "grid": {"kind": type(grid).__name__, "shape": grid.shape, "lengths": grid.lengths},
            "sha256": {"f": digest(self.problem.f), "g": digest(self.problem.g)},
            "reference": {"in_time": dict(self.in_time), "in_space": dict(self.in_space)},
            "seconds": dict(self.seconds),
        }


def scaling_study(
    problem: Problem,
    *,
    eps: Sequence[float],
    t: float,
    initial: ArrayLike | None = None,
    rtol: float = 1e-11,
    methods: Sequence[ScalingMethod] = SCALING_METHODS,
    progress: bool | None = None,
) -> Scaling:
    """Errors of Sinkhorn against PMA at time t for each ε, plain, symmetric and extrapolated, with observed orders and verdicts.

    Parameters
    ----------
    problem : densities on a torus or a box.
    eps : at least two, decreasing, each dividing t; the grid must resolve the smallest (half of it for Richardson).
    t : the time of comparison, > 0.
    initial : u₀ on the grid, 0 unless given.
    rtol : of the reference; a second one at ten times the tolerance measures its error.
    methods : what to run.
    progress : show a bar; by default on a terminal.

    Returns
    -------
    `Scaling`: a `Study` for each method, verdicts, and a report.

    Raises
    ------
    ValueError : samples or vanishing densities, ε that are not decreasing or do not divide t.
    Stopped : a run that did not reach t, with the advice; for ε that the grid does not resolve it names the least that it does.

    Notes
    -----
    Orders are those of smooth densities: kinks and jumps break the expansion in ε, and what the grid does not resolve of them is
    counted as the reference's error in space.
    Cost: three runs of PMA, one of them on 2^dim times the points, and t/ε iterations for each ε and gauge; runs are shared between
    methods.

    Examples
    --------
    >>> from pmasolve import Torus
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> study = scaling_study(problem, eps=[1 / 64, 1 / 128, 1 / 256], t=1 / 32, rtol=1e-9)
    >>> study.studies["symmetric"].orders("sup").round(1)
    array([2., 2.])
    """
    check_study(problem, eps, t)
    seconds: dict[str, float] = {}
    total = t * (2 / eps[-1] + len(methods) * sum(1 / value for value in eps))  # in iterations, roughly
    with progress_bar("scaling study", total, progress) as show:
        limit, looser, finer = _timed(seconds, "reference", lambda: limits(problem, t, initial, rtol))
        runs = Runs(problem, t, initial, show)
        studies = {
            method.name: _timed(seconds, method.name, lambda m=method: runs.study(m, eps, limit)) for method in methods
        }
    own = [compare(other, limit).last() for other in (looser, finer)]
    settings = {
        "ε": [float(value) for value in eps],
        "t": float(t),
        "rtol": rtol,
        "u₀": "0" if initial is None else f"sha256 {digest(limit.initial)}",
        "methods": [f"{m.name} ({m.gauge.name} gauge, levels {m.levels})" for m in methods],
        "reference": repr(limit.flow),
    }
    return Scaling(problem, t, studies, tuple(methods), own[0], own[1], seconds, settings)


def _listed(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _timed(seconds: dict[str, float], name: str, work: Callable[[], T]) -> T:
    began = time.perf_counter()
    result = work()
    seconds[name] = time.perf_counter() - began
    return result
