"""How many anchors samples bear, and in how many sums: by the likelihood of points that are not fitted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...flows.loop import evolve
from ...machine.arrays import Array, having, integer
from ...machine.progress import progress_bar
from ...machine.speaking import count, sheet
from ...problems.grids import Cloud
from ...problems.outcomes import REACHED, Outcome
from ..units import END_OF_LADDER
from .implicit import ImplicitSampler
from .log_sums import FULL_DIMENSIONS, LogSumExp
from .problems import SampleProblem
from .sampler import as_sampler

ANCHOR_LADDER = (1, 2, 4, 8, 16, 32, 48)
RULE_OF_THUMB, POINTS_PER_PARAMETER = 100, 4  # below so many points the number is a rule of thumb
FOLDS, ONE_FOLD_POINTS = 5, 1000  # folds; points from which one of them is enough
MAP_STEPS = 60
WORSE_RUNGS = 2  # rungs in a row that are clearly worse end the ladder
TRY_TWO_SUMS = 16  # anchors from which they are also tried in two sums, until `LogSumExp` takes two anyway


@dataclass(frozen=True, eq=False)
class FamilyChoice:
    """The number of anchors and of sums that was chosen, and what the choice rests on.

    Attributes
    ----------
    family : `LogSumExp` with the chosen numbers.
    anchors : (m,) of what was fitted, increasing; a rung that was tried in one sum and in two is there twice.
    sums : (m,) among how many sums.
    held_out : (m,) minus the mean log-likelihood of points that were not fitted (nats).
    worse : (m,) by how much that is above the least.
    error : (m,) standard error of ``worse``, whose terms are of the same points.
    outcome : reached; "at end of ladder" where the largest rung, which the points would bear, is the best.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((120, 1)) + np.repeat([[0.0], [9.0]], 60, axis=0)
    >>> choice = choose_family(SampleProblem(x), (1, 2, 4))
    >>> choice.family.anchors > 1, choice.worse.min(), bool(choice.worse[0] > 3 * choice.error[0])
    (True, np.float64(0.0), True)
    """

    family: LogSumExp
    anchors: Array
    sums: Array
    held_out: Array
    worse: Array
    error: Array = field(repr=False)
    outcome: Outcome

    def __repr__(self) -> str:
        rungs = sorted(set(self.anchors.tolist()))
        return f"<FamilyChoice: {anchors_in_words(self.family.anchors, len(self.family.shares))} of {rungs}, {self.outcome.name}>"

    def summary(self) -> str:
        """The ladder on a page of at most 80 columns."""
        rows = zip(self.anchors, self.sums, self.held_out, self.worse, self.error, strict=True)
        rungs = {
            anchors_in_words(int(m), int(k)): f"{nll:.4f}, {w:.4f} ± {e:.4f} above the least"
            for m, k, nll, w, e in rows
        }
        return sheet(repr(self), {"outcome": self.outcome, **rungs})


def anchors_in_words(anchors: int, sums: int) -> str:
    """Such as "16 anchors in 2 sums"."""
    return count(anchors, "anchor") + (f" in {sums} sums" if sums > 1 else "")


def choose_family(
    problem: SampleProblem, anchors: Sequence[int] = ANCHOR_LADDER, *, seed: int = 0, progress: bool | None = None
) -> FamilyChoice:
    """The number of anchors for samples, in one sum or two, by the likelihood of points that are not fitted.

    Each rung of the ladder is fitted by `ImplicitSampler` to four fifths of the points and judged by the others: five times in turn
    below 1000 points, once from there on.  The fewest anchors that are not worse than the best by more than one standard error
    of the difference are chosen.  From 16 anchors on they are tried in one sum and, unless that is clearly worse, in two, of which
    the better counts; from 48 on in two alone, as `LogSumExp` has them.  Clearly is by three standard errors: two rungs in a row
    that are so end the ladder, and so does a map with more parameters than points.

    Parameters
    ----------
    problem : `SampleProblem`.
    anchors : increasing numbers.
    seed : of the folds and of the starts.
    progress : show a bar; by default on a terminal, once two seconds have passed.

    Returns
    -------
    `FamilyChoice`, whose ``family`` is for `ImplicitSampler`.

    Raises
    ------
    ValueError : another problem; an empty ladder, or one that does not increase.

    Notes
    -----
    ε of the potential is one of the parameters that are fitted: it needs no choice.  `choose_eps` is for the entropic map between
    two samples, which has no likelihood.
    Cost: that of the fits, some three times that of the largest; five times that below 1000 points.

    Examples
    --------
    >>> problem = SampleProblem(np.random.default_rng(0).standard_normal((100, 2)))
    >>> choose_family(problem, (1, 2, 4))
    <FamilyChoice: 1 anchor of [1, 2, 4], reached>
    """
    rungs = [integer(count, "anchors") for count in np.atleast_1d(anchors)]
    if not rungs or rungs != sorted(set(rungs)):
        raise ValueError(f"anchors={anchors}: give increasing numbers of anchors, for example (1, 4, 16)")
    folds = list(_folds(having(problem, "together", "problem", "give SampleProblem(points)"), integer(seed, "seed", 0)))
    points = 0.9 * min(len(np.unique(problem.data[fitted], axis=0)) for fitted, _ in folds)
    allowed = [
        count for count in rungs if parameter_count(count, problem.dim, problem.dim <= FULL_DIMENSIONS) <= points
    ] or rungs[:1]
    found: dict[LogSumExp, Array] = {}
    with progress_bar("anchors", len(allowed), progress, "rungs") as show:
        for k, rung in enumerate(allowed):
            for family in _tried(rung):
                if family.sums is None or not _clearly_worse(found, LogSumExp(rung)):
                    found[family] = _held_out(problem, family, folds, seed)
            show(k + 1, {"held_out": float(min(map(np.mean, found.values())))})
            latest = allowed[max(0, k + 1 - WORSE_RUNGS) : k + 1]
            if k >= WORSE_RUNGS and all(_clearly_worse(found, f) for f in found if f.anchors in latest):
                break
    return _chosen_family(found, len(allowed) == len(rungs) and allowed[-1] in {f.anchors for f in found})


def _tried(anchors: int) -> list[LogSumExp]:
    """As by default, and in two sums."""
    family = LogSumExp(anchors)
    return [family, LogSumExp(anchors, sums=2)] if len(family.shares) == 1 and anchors >= TRY_TWO_SUMS else [family]


def affordable(problem: SampleProblem, seed: int, progress: bool | None = None) -> LogSumExp:
    """The family that is chosen, and below 100 points, too few to choose by, what four points on a parameter bear."""
    if len(problem.data) >= RULE_OF_THUMB:
        return choose_family(problem, seed=seed, progress=progress).family
    return borne(*problem.data.shape, ANCHOR_LADDER[-1])


def borne(n: int, d: int, wanted: int) -> LogSumExp:
    """No more than the wanted number of anchors, so that four points come on a parameter; Q diagonal where even one has more.

    Examples
    --------
    >>> borne(200, 2, 48).anchors, borne(10, 3, 48)
    (15, LogSumExp(anchors=1, eps=0.08, full=False, sums=None))
    """
    most = n // POINTS_PER_PARAMETER
    full = d <= FULL_DIMENSIONS and parameter_count(1, d, True) <= most
    return LogSumExp(max(1, min(wanted, (most - parameter_count(0, d, full)) // (d + 1))), full=full)


def parameter_count(count: int, dim: int, full: bool) -> int:
    """Numbers that the map of so many anchors has.

    Examples
    --------
    >>> problem = SampleProblem(np.random.default_rng(0).standard_normal((200, 2)))
    >>> parameter_count(4, 2, True), LogSumExp(4).started(problem, 0).free
    (15, 15)
    >>> parameter_count(1, 2, True), LogSumExp(1).started(problem, 0).free  # a normal law
    (5, 5)
    """
    again = dim * (len(LogSumExp(count).shares) - 1) if count else 0  # shifts of one sum against another
    return count * (dim + 1) - again - (count == 1) + (dim * (dim + 1) // 2 if full else dim)


def _folds(problem: SampleProblem, seed: int) -> Iterator[tuple[Array, Array]]:
    """Fitted and held-out points, by number; copies of one point are of one fold."""
    label, counts = problem.together
    turn = np.random.default_rng(seed).permutation(len(counts))
    for fold in range(FOLDS if len(label) < ONE_FOLD_POINTS else 1):
        out = np.isin(label, turn[fold::FOLDS])
        yield np.flatnonzero(~out), np.flatnonzero(out)


def _held_out(problem: SampleProblem, family: LogSumExp, folds: Sequence[tuple[Array, Array]], seed: int) -> Array:
    """−log-likelihood of every point that is held out once."""
    found = []
    for fitted, held in folds:
        flow = ImplicitSampler(SampleProblem(problem.data[fitted], problem.reference), family, seed=seed)
        run = evolve(flow, flow.times(MAP_STEPS)[-1:], throw=False, progress=False)
        found.append(-as_sampler(run).log_density(Cloud(problem.data[held])))
    return np.concatenate(found)


def _clearly_worse(found: Mapping[LogSumExp, Array], family: LogSumExp) -> bool:
    """Than the best, by three standard errors."""
    best = min(found.values(), key=lambda terms: float(np.mean(terms)))
    worse = found[family] - best
    return bool(np.mean(worse) > 3 * np.std(worse) / np.sqrt(worse.size))


def _chosen_family(found: Mapping[LogSumExp, Array], whole: bool) -> FamilyChoice:
    """By the rule of one standard error, and of equally many anchors the better."""
    families, terms = list(found), np.array(list(found.values()))
    anchors, means = np.array([family.anchors for family in families]), terms.mean(axis=1)
    differences = terms - terms[int(np.argmin(means))]
    worse, error = differences.mean(axis=1), differences.std(axis=1) / np.sqrt(terms.shape[1])
    fewest = anchors[np.flatnonzero(worse <= error)[0]]
    k = int(np.argmin(np.where(anchors == fewest, means, np.inf)))
    last = whole and anchors[0] < fewest == anchors[-1]
    outcome = Outcome(END_OF_LADDER, True, "more anchors may be better: give a longer ladder") if last else REACHED
    sums = np.array([len(family.shares) for family in families])
    return FamilyChoice(families[k], anchors, sums, means, worse, error, outcome)
