"""How often the interval of `estimate_w2` holds the truth, between normal laws of known W₂.

    python benchmarks/coverage.py --sets 400 --points 250 --dim 1 2 5
    python benchmarks/coverage.py --sets 400 --points 250 --dim 2 5 --equal

Every data set has its own seed, from ``--first`` on.  Printed: coverage of the 95 % interval with its standard error, bias and
scatter of the estimate.
"""

from __future__ import annotations

import argparse

import numpy as np

from pmasolve import estimate_w2


def measured(dim: int, points: int, sets: int, equal: bool, first: int = 0) -> str:
    """One line for one dimension: N(0, I) to N(shift, diag(0.36 … 2.56)), or both N(0, I)."""
    scales = np.ones(dim) if equal else np.linspace(0.6, 1.6, dim) if dim > 1 else np.array([1.7])
    shift = 0.0 if equal else 0.5 / np.sqrt(dim)
    true, values, errors, inside = float(np.sum((scales - 1) ** 2) + dim * shift**2), [], [], []
    for seed in range(first, first + sets):
        rng = np.random.default_rng(seed)
        x, y = rng.standard_normal((points, dim)), rng.standard_normal((points, dim)) * scales + shift
        found = estimate_w2(x, y)
        values.append(found.w2_squared)
        errors.append(found.standard_error)
        inside.append(found.interval[0] <= true <= found.interval[1])
    p, sd = float(np.mean(inside)), float(np.std(values))
    return (
        f"d = {dim}, n = {points}, {sets} sets: covered {p:.2%} ± {np.sqrt(p * (1 - p) / sets):.2%}, true {true:.4g}, "
        f"mean {np.mean(values):.4g}, sd {sd:.3g}, standard error / sd {np.mean(errors) / sd:.3g}"
    )


def main() -> None:
    """One line for each dimension."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dim", type=int, nargs="+", default=[1, 2, 5])
    parser.add_argument("--points", type=int, default=250)
    parser.add_argument("--sets", type=int, default=400)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--equal", action="store_true", help="equal laws, where W₂ = 0")
    given = parser.parse_args()
    for dim in given.dim:
        print(measured(dim, given.points, given.sets, given.equal, given.first), flush=True)


if __name__ == "__main__":
    main()
