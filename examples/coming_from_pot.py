"""
The same plan as POT
====================

ε is half of POT's ``reg`` where its cost is :math:`|x-y|^2`; potentials convert both ways.
"""

import matplotlib.pyplot as plt
import numpy as np

import pmasolve as pma
from pmasolve.sinkhorn.conventions import Pot, Potentials

rng = np.random.default_rng(0)
x, y = rng.random((60, 2)), rng.random((50, 2)) ** 1.5
problem = pma.Problem.from_samples(x, y)
found = pma.schroedinger(problem, eps=0.02)
theirs = Pot.of(problem, Potentials(found.u, found.v, found.eps))
assert theirs.reg == 0.04

# %%
# Their plan from their potentials: its marginals are the weights.
cost = np.sum((x[:, None] - y[None]) ** 2, axis=2)
plan = np.exp(theirs.log_u[:, None] + theirs.log_v[None] - cost / theirs.reg)
print(f"marginals off by {np.abs(plan.sum(0) - 1 / 50).max():.1e}, {np.abs(plan.sum(1) - 1 / 60).max():.1e}")
assert np.abs(plan.sum(1) - 1 / 60).max() < 1e-6

# %%
# And back: a start from which nothing is left to do.
assert pma.schroedinger(problem, 0.02, start=theirs.ours(problem).u).iterations == 1
picture, axis = plt.subplots(figsize=(4, 3), layout="constrained")
picture.colorbar(axis.imshow(plan, cmap="magma"), ax=axis, label="mass")
axis.set(xlabel="j", ylabel="i")
