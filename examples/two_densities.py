"""
The flow until it stands still
==============================

Two densities given as arrays; the parabolic Monge–Ampère flow carries one to the other, and its
steady state is an optimal map.
"""

import numpy as np

import pmasolve as pma

# %%
# Two densities on a grid.
torus = pma.Torus((48, 48))
x, y = torus.points
mu = 1 + 0.5 * np.sin(2 * np.pi * x) * np.sin(2 * np.pi * y)
nu = np.exp(np.cos(2 * np.pi * x))

# %%
# The flow, to the steady state.
problem = pma.Problem.from_densities(torus, mu, nu)
flow = pma.evolve(pma.MongeAmpere(problem, rtol=1e-7), times=[5.0], events=[pma.Event("speed", below=1e-6)])
print(flow.outcome, "at t =", flow.times[-1])

# %%
# The map carries mu to nu: the density that nu is pulled back to is mu.
defect = np.max(np.abs(np.exp(flow.log_density(-1)) - np.exp(-problem.f)))
print(f"sup |rho - mu| = {defect:.1e}")
assert defect < 1e-4

# %%
# Density and displacement at the end.
figure = flow.plot()
