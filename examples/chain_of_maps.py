"""
A chain of optimal maps is not an optimal map
=============================================

Fokker–Planck moves every point along an optimal map at every moment. Composed, these maps turn: the chain carries the first density
to the last one, but is not the optimal map between them.
"""

import matplotlib.pyplot as plt
import numpy as np

import pmasolve as pma
from pmasolve.flows.chains import chain_of_maps

problem = pma.Problem(
    pma.Torus((20, 20)),
    lambda x, y: 0.8 * np.cos(2 * np.pi * x) + 0.6 * np.sin(2 * np.pi * (x + y)),
    lambda x, y: 0.6 * np.sin(2 * np.pi * y) - 0.6 * np.cos(2 * np.pi * (x - y)),
)
chain = chain_of_maps(pma.evolve(pma.FokkerPlanck(problem), np.linspace(0, 0.1, 9)))
print(f"length of the chain {chain.length:.5f}, W₂ {chain.optimal.w2:.5f}")
print(f"distance of the maps {chain.distance:.5f}, curl of the chain {chain.curl:.5f}")
assert chain.length > chain.optimal.w2
assert chain.distance > 0.01

# %%
# Left where points go, right the difference of the two maps, ten times as long.
picture, axes = plt.subplots(1, 2, figsize=(7, 3.4), layout="constrained", sharey=True)
x = problem.domain.points
for axis, field, scale, words in (
    (axes[0], chain.displacement, 1.0, "the chain"),
    (axes[1], chain.map - chain.optimal.map, 10.0, "the chain less the optimal map, ×10"),
):
    axis.quiver(*x, *(scale * field), angles="xy", scale_units="xy", scale=1.0, width=0.004)
    axis.set(title=words, xlim=(0, 1), ylim=(0, 1), aspect="equal")

# %%
# Between normal distributions the chain is a matrix, symmetric only where the covariances commute.
goal = pma.gaussian.Normal([0.0, 0.0], np.diag([1.0, 8.0]))
for cov in (np.diag([4.0, 0.5]), [[4.0, 1.2], [1.2, 0.5]]):
    start = pma.gaussian.Normal([0.0, 0.0], cov)
    M = pma.gaussian.fokker_planck_map(goal, start, 1.0)
    best = pma.gaussian.Pair(start, pma.gaussian.fokker_planck(goal, start, 1.0)).brenier().hessian
    print(f"antisymmetric part {abs(M[0, 1] - M[1, 0]) / 2:.2e}, distance {np.abs(M - best).max():.2e}")
