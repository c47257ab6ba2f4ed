#!/usr/bin/env bash
# OTT-JAX 0.6.0: PointCloud(x, y, epsilon=e, scale_cost="max_cost") divides the cost by its largest entry and leaves epsilon as
# it is, so that potentials f, g and the cost belong to another regularisation of |x-y|^2 than e: to e times that entry.
# Seen: f of the scaled problem times the entry equals f of an unscaled one at epsilon = e * entry, to 1e-9 (jax 0.10.2, CPU).
set -euo pipefail
here=$(mktemp -d); trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install -q --disable-pip-version-check "ott-jax==0.6.0" "jax==0.10.2" "numpy>=2,<3"
"$here/venv/bin/python" -W ignore - <<'PY'
import jax

jax.config.update("jax_enable_x64", True)
import numpy as np
from ott.geometry import pointcloud
from ott.problems.linear import linear_problem
from ott.solvers.linear import sinkhorn

rng = np.random.default_rng(0)
x, y = 3 * rng.random((40, 2)), 3 * rng.random((30, 2))


def solve(**options):
    geometry = pointcloud.PointCloud(x, y, **options)
    out = sinkhorn.Sinkhorn(threshold=1e-12, max_iterations=100_000)(linear_problem.LinearProblem(geometry))
    return geometry, np.asarray(out.f - out.f.mean())


scaled, f = solve(epsilon=0.1, scale_cost="max_cost")
largest = 1 / float(scaled.inv_scale_cost)
_, same_epsilon = solve(epsilon=0.1)
_, scaled_epsilon = solve(epsilon=0.1 * largest)
print(f"largest cost {largest:.3f}; |f - f at epsilon = 0.1| {np.abs(f - same_epsilon).max():.2f}")
print(f"|f * largest - f at epsilon = 0.1 * largest| {np.abs(f * largest - scaled_epsilon).max():.1e}")
assert np.abs(f * largest - scaled_epsilon).max() < 1e-8
assert np.abs(f - same_epsilon).max() > 0.1, "epsilon follows the scale now: this finding is out of date"
PY
