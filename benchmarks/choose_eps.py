"""Regret of `choose_eps`: its error over the best of any gauge at any rung (walked, and one more), for each data set and family.

    python benchmarks/choose_eps.py [main|hard|timed] [n] [first seed] [seeds] [halvings] [family ...]
    for example: main 500 0 7 3

The truth is known (`families`).  Errors are RMS at 500 fresh points.  In brackets 95 % intervals: Wilson's of the share, that of
the ninth decile by bootstrap, for data sets taken as independent and alike.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
from families import HARD, MAIN, TIMED, Array, Family
from scipy.stats import binomtest, bootstrap

import pmasolve as pma
from pmasolve.samples.cross_fit import fit_of
from pmasolve.samples.units import Units

GROUPS: dict[str, dict[str, tuple[Family, float | None]]] = {
    "main": {name: (family, None) for name, family in MAIN.items()},
    "hard": {name: (family, None) for name, family in HARD.items()},
    "timed": dict(TIMED),
}
GAUGES = (pma.PLAIN, pma.SELF, pma.AFFINE)


def regret(
    family: Family, t: float | None, seed: list[int], n: int, halvings: int
) -> tuple[float, float, pma.EpsChoice]:
    """Error of the choice, the least of all, and the choice."""
    draw, truth, target = family(np.random.default_rng(seed))
    x, y, z = draw(n), target(n), draw(500)
    problem, exact = pma.Problem.from_samples(x, y), truth(z)
    found = pma.choose_eps(problem, t, halvings=halvings)
    return rms(found.map(z) - exact), min(_every(problem, t, found.curve.eps, z, exact)), found


def _every(problem: pma.Problem, t: float | None, ladder: Array, z: Array, exact: Array) -> Iterator[float]:
    """Errors of all gauges at all rungs and one more."""
    units = Units.of(problem) if t is None else Units.none(problem)
    fit = fit_of(units.problem, t)
    for eps in [*ladder, ladder[-1] / 2]:
        known: dict[str, Array] = {}
        for gauge in GAUGES if t is None else GAUGES[:2]:
            known[gauge.name] = fit.image(gauge, float(eps), z, known)
            yield rms(units.back(known[gauge.name]) - exact)


def rms(difference: Array) -> float:
    """Root of the mean squared length of rows."""
    return float(np.sqrt(np.mean(np.sum(difference**2, axis=1))))


def shares(ratios: list[float]) -> str:
    """How many are at most 1.3, and the ninth decile, with their intervals."""
    within, decile = sum(ratio <= 1.3 for ratio in ratios), np.quantile(ratios, 0.9)
    low, high = binomtest(within, len(ratios)).proportion_ci(method="wilson")
    spread = bootstrap((ratios,), lambda r, axis: np.quantile(r, 0.9, axis=axis), method="percentile", rng=0)
    least, most = spread.confidence_interval
    return f"within 1.3 {within}, {within / len(ratios):.3f} [{low:.3f}, {high:.3f}], q90 {decile:.2f} [{least:.2f}, {most:.2f}]"


def main() -> None:
    """One line for each family, then all."""
    given = [*sys.argv[1:6], *("main", "500", "0", "7", "3")[len(sys.argv) - 1 :]][:5]
    group, (n, first, seeds, halvings) = GROUPS[given[0]], map(int, given[1:])
    ratios, work, honest = [], [], []
    for name in sys.argv[6:] or group:
        family, t = group[name]
        keys = [[seed, n, list(group).index(name)] for seed in range(first, first + seeds)]
        rows = [regret(family, t, key, n, halvings) for key in keys]
        here = [chosen / best for chosen, best, _ in rows]
        names = [f.gauge.name for _, _, f in rows]
        picked = ", ".join(f"{g} {names.count(g)}" for g in sorted(set(names)))
        print(f"{name:8} median {np.median(here):.2f}, most {max(here):.2f}; {picked}", flush=True)
        ratios += here
        work += [f.half_steps for _, _, f in rows]
        honest += [f.error / chosen for chosen, _, f in rows]
    print(
        f"{given[0]}: {len(ratios)} sets, n = {n}, {halvings} halvings: {shares(ratios)}, "
        f"most {max(ratios):.2f}; passes {np.median(work):.0f} (q90 "
        f"{np.quantile(work, 0.9):.0f}, most {max(work):.0f}); estimated/true {np.median(honest):.2f}"
    )


if __name__ == "__main__":
    main()
