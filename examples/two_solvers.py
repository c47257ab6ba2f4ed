"""
Two solvers that share nothing but the grid
===========================================

Extrapolated Sinkhorn and the PDE solver agree to ten digits.
"""

import numpy as np

import pmasolve as pma

TWO_PI = 2 * np.pi
problem = pma.Problem(
    pma.Torus((64, 64)),
    lambda x, y: 0.2 * np.cos(TWO_PI * x) * np.cos(TWO_PI * y),
    lambda x, y: 0.2 * np.sin(TWO_PI * (x + y)),
)
times = [0.01, 0.03]
pde = pma.evolve(pma.MongeAmpere(problem, rtol=1e-11), times)
sinkhorn = pma.evolve(pma.Richardson(problem, eps=0.01, levels=5), times)

print(pma.compare(sinkhorn, pde))
assert np.max(pma.compare(sinkhorn, pde).sup) < 1e-9

# %%
# The flow that both have found.
figure = pde.plot()
