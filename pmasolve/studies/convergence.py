"""Measurement: errors between trajectories, observed orders, and the verdict on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..flows.trajectories import Trajectory, followed
from ..machine.arrays import Array, number, real, shown
from ..machine.speaking import WIDTH, count, drawn, numbers, page, sheet
from ..problems.grids import Cloud, Grid


@dataclass(frozen=True, eq=False)
class Comparison:
    """Errors between two trajectories, one row for each time; constants of the potentials are removed.

    Attributes
    ----------
    times : (m,).
    sup : sup |u − ũ|, means removed.
    l2 : (average |u − ũ|²)^½, means removed.
    gradient : sup |∇u − ∇ũ|.
    density : sup |log ρ − log ρ̃|; NaN for samples, which have no densities.
    kl : KL(ρ | ρ̃) = ∫ρ log(ρ/ρ̃) − ρ + ρ̃, which is ≥ 0 also where the masses differ, as they do for finite differences;
        NaN for samples.

    Examples
    --------
    >>> from pmasolve import MongeAmpere, Problem, Torus, evolve
    >>> problem = Problem(Torus((16,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> run = evolve(MongeAmpere(problem), [0.01])
    >>> compare(run, run).last()["sup"]
    0.0
    """

    times: Array
    sup: Array
    l2: Array
    gradient: Array
    density: Array
    kl: Array

    def __repr__(self) -> str:
        if not self.times.size:
            return "<Comparison at no times>"
        worst = {name: np.max(column) for name, column in (("sup", self.sup), ("gradient", self.gradient))}
        errors = ", ".join(f"{name} ≤ {error:.2g}" for name, error in worst.items())
        return f"<Comparison at {count(self.times.size, 'time')} to t = {self.times[-1]:.6g}: {errors}>"

    def summary(self) -> str:
        """The largest errors over all times, and those at the last, on a page of at most 80 columns; ``str`` is the whole table."""
        if not self.times.size:
            return sheet(repr(self), {})
        facts = {
            name: f"{column[-1]:.3g} at the last time, at most {np.max(column):.3g}"
            for name, column in self.columns().items()
            if not np.isnan(column).all()
        }
        return sheet(repr(self), facts)

    def last(self) -> dict[str, float]:
        """The errors at the last time, by name."""
        return {name: float(column[-1]) for name, column in self.columns().items()}

    def columns(self) -> dict[str, Array]:
        """The errors by name, without the times."""
        return {"sup": self.sup, "l2": self.l2, "gradient": self.gradient, "density": self.density, "kl": self.kl}

    def __str__(self) -> str:
        return format_table({"t": self.times, **self.columns()})


def compare(a: Trajectory, b: Trajectory) -> Comparison:
    """Errors of ``a`` against ``b`` at their common times.

    Maps and densities are taken from each trajectory's own flow, so that the two may come from different discretisations of
    one grid.

    Parameters
    ----------
    a, b : trajectories at the same times on the same nodes, of any two flows.

    Returns
    -------
    `Comparison`: one row for each time.

    Raises
    ------
    ValueError : other grids, or times that are not the same.

    Examples
    --------
    >>> from pmasolve import FiniteDifference, MongeAmpere, Problem, Torus, evolve
    >>> problem = Problem(Torus((32,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0 * y)
    >>> a, b = (evolve(MongeAmpere(problem, space=FiniteDifference(p)), [0.01]) for p in (2, 4))
    >>> bool(1e-6 < compare(a, b).sup[0] < 1e-4)
    True
    """
    grid = followed(a, "a").flow.problem.domain
    if followed(b, "b").flow.problem.domain != grid:
        raise ValueError(f"the trajectories live on {grid} and {b.flow.problem.domain}: run both on the same nodes")
    if a.times.shape != b.times.shape or not np.allclose(a.times, b.times, rtol=1e-12, atol=0):
        raise ValueError(
            f"the trajectories have times {shown(a.times)} and {shown(b.times)}: evolve both to the same times"
        )
    if not a.times.size:
        raise ValueError("the trajectories have no times: runs that failed at once have nothing to compare")
    rows = [_errors(grid, a, b, i) for i in range(a.times.size)]
    return Comparison(a.times, **{name: np.array([row[name] for row in rows]) for name in rows[0]})


def _errors(domain: Grid | Cloud, a: Trajectory, b: Trajectory, i: int) -> dict[str, float]:
    difference = domain.centred(a.potentials[i] - b.potentials[i])
    return {
        "sup": domain.sup(difference),
        "l2": domain.l2(difference),
        "gradient": domain.sup(a.map(i) - b.map(i)),
        **(_of_densities(domain, a, b, i) if a.flow.problem.has_densities else {"density": np.nan, "kl": np.nan}),
    }


def _of_densities(grid: Grid, a: Trajectory, b: Trajectory, i: int) -> dict[str, float]:
    log_rho = a.log_density(i)
    ratio = log_rho - b.log_density(i)
    return {"density": grid.sup(ratio), "kl": grid.integral(np.exp(log_rho) * (ratio + np.expm1(-ratio)))}


@dataclass(frozen=True)
class Band:
    """What theory allows: each of the last running orders in [low, high], the finest error at most ``below``.

    Parameters
    ----------
    low, high : bounds of the orders.
    last : how many of the running orders count, from the finest.
    below : bound of the finest error; none unless given.

    Examples
    --------
    >>> Band(1.9, 2.1, last=1).admits(np.array([1.5, 2.0]), np.array([1e-1, 3e-2, 8e-3]))
    True
    """

    low: float
    high: float
    last: int = 2
    below: float = np.inf

    def __str__(self) -> str:
        size = f", finest error ≤ {self.below:g}" if np.isfinite(self.below) else ""
        return f"last {self.last} running order{'s' * (self.last > 1)} in [{self.low:g}, {self.high:g}]{size}"

    def admits(self, orders: Array, errors: Array) -> bool:
        """Whether orders and size are both within."""
        observed = orders[-self.last :]
        within = observed.size == self.last and bool(np.all((observed >= self.low) & (observed <= self.high)))
        return within and bool(errors[-1] <= self.below)


@dataclass(frozen=True, eq=False)
class Study:
    """Errors against a parameter that goes to zero, and their running orders.

    Attributes
    ----------
    parameter : its name, "eps", "h" or "rtol".
    values : (m,) decreasing.
    errors : (m,) each, by the name of the norm.

    Examples
    --------
    >>> study = Study.over("h", [0.1, 0.05, 0.025], lambda h: {"sup": 3 * h**2})
    >>> study.orders("sup").round(6)
    array([2., 2.])
    >>> study.verdict("sup", Band(1.9, 2.1))
    True
    """

    parameter: str
    values: Array
    errors: Mapping[str, Array]

    def __repr__(self) -> str:
        runs = f"{count(self.values.size, 'value')} from {self.values[0]:.4g} to {self.values[-1]:.4g}"
        return f"<Study of {self.parameter}: {runs}, errors {', '.join(self.errors)}>"

    def _repr_html_(self) -> str:
        return page(self)

    def summary(self) -> str:
        """For each norm its errors, coarse to fine, and the running orders, on a page of at most 80 columns."""
        facts = {
            name: f"{numbers(errors)}\norders {numbers(self.orders(name))}" for name, errors in self.errors.items()
        }
        return sheet(repr(self), {self.parameter: numbers(self.values), **facts})

    def plot(self, slopes: tuple[float, ...] = ()) -> Any:
        """Errors against the parameter, both logarithmic, one curve for each norm.

        Parameters
        ----------
        slopes : orders that are drawn as dotted lines.

        Returns
        -------
        A matplotlib ``Figure``, not shown: notebooks show it, ``figure.savefig(path)`` keeps it.
        """
        return drawn(self, slopes=slopes)

    @classmethod
    def over(cls, parameter: str, values: Sequence[float], errors_at: Callable[[float], Mapping[str, float]]) -> Study:
        """Run ``errors_at(value)`` for every value, coarse to fine.

        Raises
        ------
        ValueError : values that are not positive and decreasing; errors that are negative, complex or no numbers (NaN says that
            there is none), or of other names than at the first value.
        """
        points = real(values, parameter)
        if points.ndim != 1 or points.size < 2 or np.any(np.diff(points) >= 0) or points[-1] <= 0:
            raise ValueError(f"{parameter}={values}: give at least two positive values, decreasing")
        rows: list[dict[str, float]] = []
        for value in points.tolist():
            rows.append(_checked_errors(f"{parameter}={value:g}", errors_at(value), rows[0] if rows else None))
        return cls(parameter, points, {name: np.array([row[name] for row in rows]) for name in rows[0]})

    def orders(self, norm: str) -> Array:
        """Running orders log(eᵢ/eᵢ₊₁)/log(vᵢ/vᵢ₊₁), (m−1,)."""
        return running_orders(self.values, self.errors[norm])

    def verdict(self, norm: str, band: Band) -> bool:
        """Whether the orders and the size of one error are within a band."""
        return band.admits(self.orders(norm), self.errors[norm])

    def table(self) -> str:
        """Values, errors and running orders, aligned."""
        columns: dict[str, Array] = {self.parameter: self.values}
        for name, errors in self.errors.items():
            columns[name] = errors
            columns[f"order({name})"] = np.concatenate([[np.nan], self.orders(name)])
        return format_table(columns)


def _checked_errors(where: str, errors: Mapping[str, float], first: Mapping[str, float] | None) -> dict[str, float]:
    """Errors ≥ 0 by name, the names being those of the first value."""
    if not isinstance(errors, Mapping) or (first is not None and errors.keys() != first.keys()):
        names = ", ".join(first) if first else "sup"
        raise ValueError(f"{where} gave {shown(errors)}: give errors by name, the same at each value ({names})")
    out = {name: number(error, f"the error {name} at {where}") for name, error in errors.items()}
    if negative := [name for name, error in out.items() if error < 0]:
        raise ValueError(
            f"the error {negative[0]} at {where} is {out[negative[0]]:.3g}: errors are ≥ 0, take its absolute value"
        )
    return out


def running_orders(values: Array, errors: Array) -> Array:
    """Observed orders between neighbouring levels."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(errors[:-1] / errors[1:]) / np.log(values[:-1] / values[1:])


def format_table(columns: Mapping[str, Array]) -> str:
    """Plain aligned text of at most 80 columns; orders with three decimals, all else with three significant digits.

    What does not fit stands below, with the first column again.
    """

    def cell(name: str, value: float) -> str:
        if np.isnan(value):
            return ""
        return f"{value:.3f}" if name.startswith("order") else f"{value:.3e}"

    texts = {name: [cell(name, float(value)) for value in column] for name, column in columns.items()}
    widths = {name: max(len(name), *(len(text) for text in column)) for name, column in texts.items()}
    first, *others = texts
    blocks = [[first]]
    for name in others:
        if sum(widths[n] + 2 for n in [*blocks[-1], name]) > WIDTH + 2:
            blocks.append([first])
        blocks[-1].append(name)
    rows = [{name: name for name in texts}, *({n: t[i] for n, t in texts.items()} for i in range(len(texts[first])))]
    return "\n\n".join("\n".join("  ".join(row[n].rjust(widths[n]) for n in names) for row in rows) for names in blocks)
