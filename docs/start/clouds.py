r"""
I have two clouds of points
===========================

You have samples of two laws, in any dimension, and want the map that carries one to the other, at
points that were not among the samples, without choosing a regularisation by hand.
"""

import matplotlib.pyplot as plt
import numpy as np

import pmasolve as pma

# %%
# Two samples
# -----------
# Points are rows. Here the truth is known, so that the answer can be judged: the map is :math:`x
# \mapsto (2x_1, x_2/2) + (1, 0)`.
rng = np.random.default_rng(7)
x = rng.standard_normal((400, 2))
y = rng.standard_normal((400, 2)) * [2.0, 0.5] + [1.0, 0.0]
problem = pma.Problem.from_samples(x, y)

# %%
# ε from the data
# ---------------
# The entropic map needs an ε: too large and it is biased, too small and it repeats the noise of the
# samples. ``choose_eps`` estimates the error of the map on a ladder of ε by halving the samples, for
# three gauges, and takes the best.
chosen = pma.choose_eps(problem, halvings=1)
print(chosen.summary())
figure = chosen.plot()
figure

# %%
# The map at new points
# ---------------------
new = rng.standard_normal((200, 2))
moved, exact = chosen.map(new), new * [2.0, 0.5] + [1.0, 0.0]
error = np.sqrt(np.mean(np.sum((moved - exact) ** 2, axis=1)))
print(f"root mean square error {error:.3f}")
assert error < 0.5

# %%
picture, axis = plt.subplots(figsize=(4.5, 3.2), layout="constrained")
axis.scatter(*y.T, s=6, color="0.7", label="target samples")
axis.scatter(*moved.T, s=6, label="new points, moved")
axis.quiver(*new[:40].T, *(moved - new)[:40].T, angles="xy", scale_units="xy", scale=1, width=0.003, color="C1")
axis.set(xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
axis.legend(loc="lower right")

# %%
# At an ε of your own
# -------------------
# ``schroedinger`` solves the static problem at one ε; in the self gauge its map is of second order in
# ε without any density.
found = pma.schroedinger(problem, eps=0.3, gauge=pma.SELF)
at_own = found.function.map(new)
print(f"at ε = 0.3: {np.sqrt(np.mean(np.sum((at_own - exact) ** 2, axis=1))):.3f}")
