"""
Distances between many images
=============================

All pairs of a stack, and linearised transport, which makes vectors of images.
"""

import matplotlib.pyplot as plt
import numpy as np

import pmasolve as pma

torus = pma.Torus((32, 32))
x, y = torus.points
stack = [1.2 + np.cos(2 * np.pi * (x - s)) * np.cos(2 * np.pi * y) for s in np.linspace(0, 0.25, 6)]
found = pma.pairwise(torus, stack)
print(found.summary())
assert found.ok.all()

# %%
# The vectors of linearised transport: distances between them are bounds from above.
rows = pma.embedding(torus, np.ones(torus.shape), stack)
linear = np.linalg.norm(rows[:, None] - rows[None], axis=2)
assert np.all(linear >= found.w2 - 1e-6)

# %%
picture, axes = plt.subplots(1, 2, figsize=(6, 2.6), layout="constrained")
for axis, matrix, title in zip(axes, (found.w2, linear), ("$W_2$", "linearised"), strict=True):
    picture.colorbar(axis.imshow(matrix), ax=axis)
    axis.set(title=title, xlabel="image", ylabel="image")
