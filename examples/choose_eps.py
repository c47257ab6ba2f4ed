"""
ε from the data
===============

The estimated error of the map between two samples on a ladder of ε, for three gauges, beside the
error that only the truth can tell.
"""

import matplotlib.pyplot as plt
import numpy as np

import pmasolve as pma

rng = np.random.default_rng(3)
x, y = rng.standard_normal((300, 3)), rng.standard_normal((300, 3)) @ np.diag([2.0, 1.0, 0.5])
problem = pma.Problem.from_samples(x, y)
chosen = pma.choose_eps(problem, halvings=1)
print(chosen.summary())
figure = chosen.plot()

# %%
# New points, and the optimal map between the laws, which is known here.
new = rng.standard_normal((300, 3))
exact = new @ np.diag([2.0, 1.0, 0.5])
error = np.sqrt(np.mean(np.sum((chosen.map(new) - exact) ** 2, axis=1)))
print(f"estimated {chosen.error:.3f}, true {error:.3f}")
assert error < 0.5

# %%
picture, axis = plt.subplots(figsize=(3.4, 3.0), layout="constrained")
axis.scatter(exact.ravel(), chosen.map(new).ravel(), s=4)
axis.axline((0, 0), slope=1, color="0.5", linestyle="--")
axis.set(xlabel="exact", ylabel="estimated", aspect="equal")
