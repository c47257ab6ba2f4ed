"""
A posterior with several modes
==============================

A law is known up to its constant; a map of normal points to it gives samples, log Z, and says how good it is.
"""

import matplotlib.pyplot as plt
import numpy as np

import pmasolve as pma


# %%
# Two bent ridges: f and its gradient, for points as rows.
def f(x):
    return 0.5 * (x[:, 1] - 0.3 * x[:, 0] ** 2) ** 2 + 0.5 * (np.abs(x[:, 0]) - 2) ** 2


def grad_f(x):
    bend = x[:, 1] - 0.3 * x[:, 0] ** 2
    return np.c_[-0.6 * bend * x[:, 0] + (np.abs(x[:, 0]) - 2) * np.sign(x[:, 0]), bend]


# %%
# Tempered from a law that covers all modes.  KL, log Z and the effective sample size are of fresh points.
problem = pma.Posterior(f, grad_f, 2, spread=2.0)
flow = pma.ImplicitSampler(problem, pma.LogSumExp(24, eps=0.15))
sampler = pma.as_sampler(pma.evolve(flow, flow.times(150)[-1:]))
found = sampler.evidence(problem)
print(found)

# %%
# The same number by quadrature.
axis = np.linspace(-7, 7, 701), np.linspace(-8, 24, 1601)
grid = np.stack(np.meshgrid(*axis, indexing="ij"), axis=-1)
exact = np.log(np.exp(-f(grid.reshape(-1, 2))).sum() * (axis[0][1] - axis[0][0]) * (axis[1][1] - axis[1][0]))
print(f"log Z by quadrature {exact:.4f}")
assert abs(found.log_z - exact) < 0.02

# %%
picture, panel = plt.subplots(figsize=(4.5, 3.2), layout="constrained")
window = grid[::4, :800:4]
panel.contour(
    window[..., 0], window[..., 1], np.exp(-f(window.reshape(-1, 2))).reshape(window.shape[:2]), 6, linewidths=0.8
)
panel.plot(*sampler.sample(1500, seed=2).T, ".", markersize=1.5)
panel.set(xlabel="$x_1$", ylabel="$x_2$", xlim=(-5, 5), ylim=(-3, 7))
