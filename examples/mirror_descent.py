"""
Mirror descent without regret
=============================

Explicit steps of the mirror flow, with both sides of the variational inequality recorded at each
(Deb and Liang, arXiv 2504.09279).
"""

import matplotlib.pyplot as plt
import numpy as np

import pmasolve as pma

problem = pma.Problem(pma.Torus((32,)), lambda x: 0.5 * np.cos(2 * np.pi * x), lambda y: 0.3 * np.sin(2 * np.pi * y))
flow = pma.MirrorDescent(problem, pma.ConstantSteps(1e-3), modes=4)
run = pma.evolve(flow, flow.times(60)[-1:])
print(run.summary())

# %%
# What a step gains lies between the two sides.
records = run.records
gain = records["bregman_drop"] / records["eta"]
picture, axis = plt.subplots(figsize=(4.5, 3.0), layout="constrained")
axis.fill_between(
    records["t"], gain - records["lower_slack"], gain + records["upper_slack"], alpha=0.3, label="both sides"
)
axis.plot(records["t"], gain, label="$(B_k - B_{k+1})/\\eta$")
axis.set(xlabel="t", yscale="log")
axis.legend()
assert min(records["lower_slack"].min(), records["upper_slack"].min()) > 0
