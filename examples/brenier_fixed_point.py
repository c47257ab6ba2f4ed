"""
From Schrödinger to Brenier
===========================

The fixed point of Sinkhorn at one ε, and its extrapolation to ε = 0, where it is the optimal map.
"""

import numpy as np

import pmasolve as pma

problem = pma.Problem(pma.Torus((64,)), lambda x: 0.4 * np.cos(2 * np.pi * x), lambda y: 0.3 * np.sin(2 * np.pi * y))
exact = pma.transport(problem, tolerance=1e-14)

# %%
# At one ε the symmetric gauge has an error of order ε²; each step of the extrapolation adds two orders.


def distance(u):
    return np.ptp(u - exact.potential) / 2  # constants do not count


study = pma.Study.over(
    "eps", [1 / 16, 1 / 32, 1 / 64], lambda eps: {"sup": distance(pma.schroedinger(problem, eps).corrected)}
)
found = pma.brenier(problem, eps=1 / 16)
print(study.table())
print(found.summary())
print(f"extrapolated: {distance(found.potential):.1e}")
assert distance(found.potential) < min(found.error_estimate, 0.2 * study.errors["sup"][-1])

# %%
figure = study.plot(slopes=(2,))
