"""Regret of `choose_eps`: its error over the best of any gauge at any rung (walked, and one more), for each data set and family.

    python benchmarks/choose_eps.py [n] [first seed] [seeds] [halvings] [family ...]        for example: 500 0 7 3

The truth is known: optimal maps between normals, gradients of convex functions.  Errors are RMS at 500 fresh points.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from scipy.special import ndtr
from scipy.stats import norm

import pmasolve as pma
from pmasolve.samples.fits import AtFixedPoint
from pmasolve.samples.units import Units

Array = np.ndarray
GAUGES = (pma.SELF, pma.PLAIN, pma.AFFINE)


def normal(d: int) -> Callable[[np.random.Generator], tuple[Callable[[int], Array], Callable[[Array], Array]]]:
    """Random covariances, the optimal map by `pma.gaussian`."""

    def make(rng: np.random.Generator) -> tuple[Callable[[int], Array], Callable[[Array], Array]]:
        a, b = (
            (0.6 + 0.2 * i) * np.eye(d) + (0.5 + 0.3 * i) / d * (m @ m.T)
            for i, m in enumerate(rng.standard_normal((2, d, d)))
        )
        source, target = (pma.gaussian.Normal(np.zeros(d), s) for s in (a, b))
        A = pma.gaussian.Pair(source, target).brenier().hessian
        return (lambda n: source.sample(n, rng)), lambda x: x @ A.T

    return make


def smooth(d: int) -> Callable[[np.random.Generator], tuple[Callable[[int], Array], Callable[[Array], Array]]]:
    """Normal points, 0.8 x + the gradient of three sigmoidal ridges."""

    def make(rng: np.random.Generator) -> tuple[Callable[[int], Array], Callable[[Array], Array]]:
        w, b, a = 1.2 * rng.standard_normal((3, d)) / np.sqrt(d), rng.standard_normal(3), np.array([1.0, 0.8, 0.6])
        return (
            lambda n: rng.standard_normal((n, d))
        ), lambda x: 0.8 * x + (a / (1 + np.exp(-2 * (x @ w.T + b)))) @ w + 0.2

    return make


def _two_modes(x: Array) -> Array:
    """The monotone map from N(0, 1) to ½N(−1.5, 0.16) + ½N(1.5, 0.16), axis by axis."""
    q = np.linspace(-6, 6, 20001)
    return np.interp(ndtr(x), 0.5 * norm.cdf(q, -1.5, 0.4) + 0.5 * norm.cdf(q, 1.5, 0.4), q)


def fixed(dim_law: str, truth: Callable[[Array], Array]):
    """A fixed map of normal or uniform points of the plane."""

    def make(rng: np.random.Generator) -> tuple[Callable[[int], Array], Callable[[Array], Array]]:
        draw = {"normal": lambda n: rng.standard_normal((n, 2)), "square": lambda n: 2 * rng.random((n, 2)) - 1}[
            dim_law
        ]
        return draw, truth

    return make


FAMILIES = {
    "gauss1": normal(1),
    "gauss2": normal(2),
    "gauss5": normal(5),
    "smooth2": smooth(2),
    "smooth5": smooth(5),
    "modes": fixed("normal", _two_modes),
    "square": fixed("square", lambda x: np.stack([1.5 * x[:, 0] + 0.3 * np.tanh(2 * x[:, 0]), 0.7 * x[:, 1]], 1)),
    "split": fixed("normal", lambda x: np.stack([x[:, 0] + 0.8 * np.sign(x[:, 0]), x[:, 1]], 1)),
}


def regret(name: str, n: int, seed: int, halvings: int) -> tuple[float, float, pma.EpsChoice]:
    """Error of the choice, the least of all, and the choice."""
    rng = np.random.default_rng([seed, n, list(FAMILIES).index(name)])
    draw, truth = FAMILIES[name](rng)
    x, y, z = draw(n), truth(draw(n)), draw(500)
    problem, exact = pma.Problem.from_samples(x, y), truth(z)
    found = pma.choose_eps(problem, halvings=halvings)
    units = Units.of(problem)
    fit = AtFixedPoint(units.problem)
    ladder = [*found.curve.eps, found.curve.eps[-1] / 2]
    every = [_rms(units.back(fit.map(gauge, eps)(z)) - exact) for eps in ladder for gauge in GAUGES]
    return _rms(found.map(z) - exact), min(every), found


def _rms(difference: Array) -> float:
    return float(np.sqrt(np.mean(np.sum(difference**2, axis=1))))


def main() -> None:
    """One line for each family, then all."""
    n, first, seeds, halvings = (int(v) for v in (*sys.argv[1:5], *("500", "0", "7", "3")[len(sys.argv) - 1 :]))
    ratios, work, honest = [], [], []
    for name in sys.argv[5:] or FAMILIES:
        rows = [regret(name, n, seed, halvings) for seed in range(first, first + seeds)]
        here = [chosen / best for chosen, best, _ in rows]
        names = [f.gauge.name for _, _, f in rows]
        picked = ", ".join(f"{g} {names.count(g)}" for g in sorted(set(names)))
        print(f"{name:8} median {np.median(here):.2f}, most {max(here):.2f}; {picked}", flush=True)
        ratios += here
        work += [f.half_steps for _, _, f in rows]
        honest += [f.error / chosen for chosen, _, f in rows]
    print(sorted(round(r, 2) for r in ratios))
    print(
        f"{len(ratios)} sets, n = {n}, {halvings} halvings: within 1.3 {np.mean(np.array(ratios) <= 1.3):.3f}, ", end=""
    )
    print(f"q90 {np.quantile(ratios, 0.9):.2f}, most {max(ratios):.2f}; ", end="")
    print(f"passes {np.median(work):.0f} (most {max(work):.0f}); estimated/true {np.median(honest):.2f}")


if __name__ == "__main__":
    main()
