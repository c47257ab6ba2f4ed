"""
An optimal map that splits mass
===============================

A disc is carried to two bars. Half of it goes each way, along a line where no map is determined;
the interval holds W₂² all the same.
"""

import numpy as np

import pmasolve as pma

box = pma.Box((64, 64))
x, y = box.points
disc = ((x - 0.4) ** 2 + (y - 0.45) ** 2 < 0.03).astype(float)
bars = ((abs(x - 0.5) > 0.2) & (abs(y - 0.5) < 0.2)).astype(float)
T = pma.transport(pma.Problem.from_densities(box, disc, bars), gap=0.01)
print(T.summary())

# %%
# ``spread`` is the standard deviation of the places that the mass of a pixel goes to.
split = T.spread > 0.1
print(f"{split.sum()} of {int(disc.sum())} pixels split")
assert 0 < split.sum() < 0.2 * disc.sum()
assert np.ptp(x[split]) < 2 / 64  # one line across the disc

# %%
figure = T.plot()
