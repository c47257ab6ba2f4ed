"""
A map between samples, where no sample lies
===========================================

Schrödinger's potentials of two clouds give a map at any point.
"""

import matplotlib.pyplot as plt
import numpy as np

import pmasolve as pma

# %%
# Samples of two Gaussians; the optimal map between the laws is x ↦ (2x₁, x₂/2) + (1, 0).
rng = np.random.default_rng(7)
x = rng.standard_normal((1000, 2))
y = rng.standard_normal((1000, 2)) * [2.0, 0.5] + [1.0, 0.0]
problem = pma.Problem.from_samples(x, y)

# %%
# Schrödinger potentials at ε = 0.05, certified.
found = pma.schroedinger(problem, eps=0.05)
print(found.outcome, "in", found.iterations, "iterations; duality gap", f"{found.plan.duality_gap:.1e}")

# %%
# The map at new points.
new = rng.standard_normal((500, 2))
exact = new * [2.0, 0.5] + [1.0, 0.0]
error = np.sqrt(np.mean(np.sum((found.plan.phi.map(new) - exact) ** 2, axis=1)))
print(f"root mean square error of the map {error:.2f}")
assert error < 0.3

# %%
# Samples of the target, and new points where the map takes them.
picture, axis = plt.subplots(figsize=(4.5, 3.0), layout="constrained")
axis.scatter(*y[:500].T, s=5, color="0.7", label="target")
axis.scatter(*found.plan.phi.map(new).T, s=5, label="new points, moved")
axis.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
axis.legend()
