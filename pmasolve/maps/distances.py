"""Many densities at once: distances to a reference and between all pairs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..machine import archives
from ..machine.arrays import Array, shown
from ..machine.progress import progress_bar
from ..machine.speaking import drawn, page, sheet
from ..problems.densities import minus_log_on_grid
from ..problems.grids import Grid
from ..problems.outcomes import INTERRUPTED
from ..problems.problem import Problem, checked_grid
from .exact import Among
from .solvers import described_solver
from .transport import transport
from .transported import Transport

DISTANCES_FORMAT = "pmasolve distances 3"
PairSolver = Callable[[Problem], Transport]
PairBounds = tuple[float, float, float, bool]  # bounds, W₂², whether it went well


@dataclass(frozen=True, eq=False)
class Distances:
    """Squared distances W₂² of densities with their certified bounds: what `distances` and `pairwise` return.

    Attributes
    ----------
    w2_squared : (m,) against a reference, symmetric (m, m) between pairs; NaN where not solved.
    lower, upper : bounds of W₂² of the same shape, see `Transport.interval`.
    ok : booleans of the same shape, where the outcome was well.

    Examples
    --------
    >>> from pmasolve import Torus
    >>> wave = np.cos(2 * np.pi * Torus((32,)).axis(0))
    >>> found = distances(Torus((32,)), [1.5 + wave, 1.5 - wave], 1.5 + 0.5 * wave)
    >>> found.ok.tolist(), bool((found.lower <= found.w2_squared).all())
    ([True, True], True)
    """

    w2_squared: Array
    lower: Array
    upper: Array
    ok: Array

    def __repr__(self) -> str:
        kind = "between all pairs" if self.w2_squared.ndim == 2 else "to a reference"
        left = int(np.isnan(self.w2_squared).sum())
        return (
            f"<Distances of {len(self.w2_squared)} densities {kind}: {left} not solved, {int((~self.ok).sum())} not ok>"
        )

    def _repr_html_(self) -> str:
        return page(self)

    def summary(self) -> str:
        """How many are solved and well, the range of W₂ and the widest certified gap, on a page of at most 80 columns."""
        known = self.w2[np.isfinite(self.w2) & (self.w2 > 0)]
        return sheet(
            repr(self),
            {
                "W₂": f"from {known.min():.4g} to {known.max():.4g}" if known.size else "none above 0",
                "gap": f"at most {np.nanmax(self.gaps):.2g}, relative" if known.size else None,
                "not ok": "see ok" if not self.ok.all() else None,
            },
        )

    def plot(self) -> Any:
        """W₂ to the reference with the certified bounds; between pairs as a matrix.

        Returns
        -------
        A matplotlib ``Figure``, not shown: notebooks show it, ``figure.savefig(path)`` keeps it.
        """
        return drawn(self)

    @property
    def w2(self) -> Array:
        """W₂, the root of ``w2_squared``, of its shape."""
        return np.sqrt(self.w2_squared)

    @property
    def gaps(self) -> Array:
        """(upper − lower)/lower: 0 where both bounds are 0, ∞ where only the lower one is, NaN where not solved."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.upper == 0, 0.0, (self.upper - self.lower) / self.lower)


def distances(
    grid: Grid,
    images: Sequence[ArrayLike],
    reference: ArrayLike,
    *,
    solve: PairSolver = transport,
    progress: bool | None = None,
) -> Distances:
    """W₂² of each density to a reference.

    Parameters
    ----------
    grid : torus or box, on whose nodes the densities are given.
    images, reference : densities of any mass.
    solve : what solves one problem: `transport`, or it with options, ``lambda problem: transport(problem, gap=1e-4)``.
    progress : show a bar; by default on a terminal, once two seconds have passed.

    Returns
    -------
    `Distances` of arrays (m,), one entry for each image.

    Raises
    ------
    ValueError : a density that is negative or not finite somewhere or zero everywhere, or of another shape: before any is solved.

    Examples
    --------
    >>> from pmasolve import Torus
    >>> x = Torus((64,)).axis(0)
    >>> moved = [1.5 + np.cos(2 * np.pi * (x - s)) for s in (0.0, 0.1)]
    >>> distances(Torus((64,)), moved, moved[0]).w2.round(4).tolist()[0]
    0.0
    """
    stack, (target,) = stacked(grid, images, "images[{}]"), stacked(grid, [reference], "reference")
    out = _empty((len(stack),))
    _fill(grid, [*stack, target], [(i, i, len(stack)) for i in range(len(stack))], out, solve, progress, _nowhere)
    return out


def pairwise(
    grid: Grid,
    images: Sequence[ArrayLike],
    *,
    solve: PairSolver = transport,
    path: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> Distances:
    """W₂² between all pairs of densities.

    Parameters
    ----------
    grid : torus or box, on whose nodes the densities are given.
    images : m densities of any mass, shape ``grid.shape`` each.
    solve : what solves one problem: `transport`, or it with options, ``lambda problem: transport(problem, gap=1e-4)``.
    path : a file (.npz) that is written after each pair; a run that finds it there, for the same densities and ``solve``, goes on.
    progress : show a bar; by default on a terminal, once two seconds have passed.

    Returns
    -------
    `Distances` of symmetric arrays (m, m) with zeros on the diagonal; m(m−1)/2 problems are solved.

    Raises
    ------
    ValueError : a density that is negative or not finite somewhere or zero everywhere, or of another shape; a file that belongs to
        other densities, another grid or another ``solve``: all said before anything is solved.
    OSError : the file cannot be written: said before anything is solved.

    Notes
    -----
    An interruption ends it all and loses the pair at work; ``path`` keeps the others, with the name and the options of ``solve``.
    Where `transport` would take the simplex between few nodes, for densities with zeros or ``partial(transport, gap=0)``, a pair is
    solved to the same numbers without its map, and exactly whatever the gap: in some 2 ms between 300 nodes of a side.

    Examples
    --------
    >>> from pmasolve import Torus
    >>> x = Torus((32,)).axis(0)
    >>> found = pairwise(Torus((32,)), [1.5 + np.cos(2 * np.pi * (x - s)) for s in (0.0, 0.1, 0.2)])
    >>> bool(np.isclose(found.w2[0, 1], found.w2[1, 2], rtol=1e-3)), found.w2.shape
    (True, (3, 3))
    """
    stack = stacked(grid, images, "images[{}]")
    out = _empty((len(stack),) * 2)
    for array in (out.w2_squared, out.lower, out.upper):
        np.fill_diagonal(array, 0.0)
    np.fill_diagonal(out.ok, True)
    save: Callable[[], object] = _nowhere
    if path is not None:
        archives.check_writable(path)
        _resume(archives.target_of(path), grid, stack, solve, out)
        save = partial(archives.write_archive, path, _header(grid, solve), {"images": stack, **vars(out)})
    left = [((i, j), i, j) for i, j in combinations(range(len(stack)), 2) if np.isnan(out.w2_squared[i, j])]
    _fill(grid, stack, left, out, solve, progress, save)
    return out


def stacked(grid: Grid, images: Sequence[ArrayLike], name: str) -> Array:
    """All densities (m, *shape); whatever is wrong with one of them is said before anything is solved."""
    if not hasattr(images, "__len__"):
        raise ValueError(f"images={shown(images)}: give a list of densities, or an array (m, *grid.shape)")
    stack = np.empty((len(images), *checked_grid(grid, "grid").shape))
    for i, image in enumerate(images):
        stack[i] = grid.values(image, name.format(i))
        minus_log_on_grid(grid, stack[i], name.format(i))
    return stack


def _empty(shape: tuple[int, ...]) -> Distances:
    nan = np.full(shape, np.nan)
    return Distances(nan, nan.copy(), nan.copy(), np.zeros(shape, dtype=bool))


def _fill(
    grid: Grid,
    stack: Sequence[Array],
    tasks: Sequence[tuple[int | tuple[int, int], int, int]],
    out: Distances,
    solve: PairSolver,
    progress: bool | None,
    save: Callable[[], object],
) -> None:
    at_once = _at_once(grid, stack, solve)
    with progress_bar("distances", len(tasks), progress, "solved") as show:
        for done, (where, i, j) in enumerate(tasks, start=1):
            lower, upper, value, ok = at_once(i, j) or _one_by_one(solve, grid, stack[i], stack[j])
            for place in {where, where[::-1]} if isinstance(where, tuple) else {where}:
                out.w2_squared[place], out.ok[place] = value, ok
                out.lower[place], out.upper[place] = lower, upper
            save()
            show(done, {"W2²": value, "gap": (upper - lower) / lower if lower > 0 else np.inf})


def _at_once(grid: Grid, stack: Sequence[Array], solve: PairSolver) -> Callable[[int, int], PairBounds | None]:
    """What `transport` answers by the simplex between few nodes, without a problem and a map for each pair; None for the rest."""
    gap = gap_of(solve)
    if gap is None or not len(stack):
        return lambda i, j: None
    among = Among(grid, np.stack([np.exp(-Problem.from_densities(grid, image, image).f) for image in stack]))
    zeros = [not image.all() for image in among.densities]

    def answer(i: int, j: int) -> PairBounds | None:
        """Bounds, value and whether that is ok."""
        if not ((gap == 0 or zeros[i] or zeros[j]) and among.takes(i, j)):
            return None
        lower, upper = among.interval(i, j)
        return lower, upper, 0.5 * (lower + upper), True

    return answer


def gap_of(solve: PairSolver) -> float | None:
    """The gap that is asked for, where ``solve`` is `transport`, as it is or by ``partial`` with a gap and nothing else."""
    if solve is transport:
        return transport.__kwdefaults__["gap"]
    plain = isinstance(solve, partial) and solve.func is transport and not solve.args and set(solve.keywords) == {"gap"}
    gap = solve.keywords["gap"] if plain else None
    return gap if isinstance(gap, (int, float)) and not isinstance(gap, bool) and gap >= 0 else None


def _one_by_one(solve: PairSolver, grid: Grid, a: Array, b: Array) -> PairBounds:
    T = solved(solve, grid, a, b)
    return T.interval.lower, T.interval.upper, T.w2_squared, T.outcome.ok


def solved(solve: PairSolver, grid: Grid, a: ArrayLike, b: ArrayLike) -> Transport:
    """One pair; Ctrl-C, which `transport` answers with what it has, ends the whole."""
    T = solve(Problem.from_densities(grid, a, b))
    if T.outcome == INTERRUPTED:
        raise KeyboardInterrupt
    return T


def _nowhere() -> None:
    """Keep no file."""


def _header(grid: Grid, solve: PairSolver) -> dict[str, object]:
    kind = [type(grid).__name__, list(grid.lengths)]
    return {"format": DISTANCES_FORMAT, "grid": kind, "solve": described_solver(solve)}


def _resume(path: Path, grid: Grid, stack: Array, solve: PairSolver, out: Distances) -> None:
    if not path.exists():
        return
    header, arrays = archives.read_archive(path, DISTANCES_FORMAT, ("images", *vars(out)))
    now = _header(grid, solve)
    if header["grid"] == now["grid"] and header["solve"] != now["solve"] and np.array_equal(arrays["images"], stack):
        was, is_ = (str(words["solve"])[:80] for words in (header, now))
        raise ValueError(f"{path} was solved by {was}, now by {is_}: give another file, or the same solve")
    if header != now or not np.array_equal(arrays["images"], stack):
        raise ValueError(f"{path} belongs to other densities or another grid: give another file, or remove it")
    for name, values in vars(out).items():
        values[...] = arrays[name]
