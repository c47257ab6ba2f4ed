r"""
I have two images
=================

You have two images, or any two arrays of masses on a grid, and want the optimal transport map
between them, the distance :math:`W_2`, and to know how far the answer can be trusted.
"""

import matplotlib.pyplot as plt
import numpy as np

import pmasolve as pma

# %%
# Read
# ----
# ``pma.read_array("photo.png")`` reads images, FITS, TIFF, NIfTI, CSV and others as their own
# communities do. Here two pictures are drawn: a disc and a ring, 64 by 64 pixels, zero outside.
box = pma.Box((64, 64))
x, y = box.points
disc = ((x - 0.4) ** 2 + (y - 0.45) ** 2 < 0.03).astype(float)
ring = (abs(np.hypot(x - 0.5, y - 0.5) - 0.25) < 0.08).astype(float)

# %%
# Solve
# -----
# ``Box`` has walls, ``Torus`` is periodic; masses are normalised. ``gap`` is the width of the
# interval that provably holds the squared distance, relative to it.
T = pma.transport(pma.Problem.from_densities(box, disc, ring), gap=1e-3)
print(T.summary())
assert T.outcome.ok
assert T.interval.lower <= T.w2_squared <= T.interval.upper

# %%
# Look
# ----
# Source, target, and the image of a regular mesh under the map.
figure = T.plot()
figure

# %%
# Where no map exists
# -------------------
# The mass of a pixel may have to split: ``T.spread`` is the standard deviation of the places that it
# goes to, and ``T.undefined`` marks pixels without mass.
split = (T.spread > 2 / 64) & ~T.undefined
print(f"{split.sum()} of {int(disc.sum())} pixels are sent to places more than two pixels apart")

# %%
# In between
# ----------
# McCann's interpolation moves each pixel along a straight line. Mass is kept.
frames = [T.interpolate(s) for s in (0.0, 0.25, 0.5, 0.75, 1.0)]
assert np.allclose([frame.sum() for frame in frames], frames[0].sum())

# %%
film, axes = plt.subplots(1, 5, figsize=(8, 1.8), layout="constrained")
for axis, frame, s in zip(axes, frames, (0.0, 0.25, 0.5, 0.75, 1.0), strict=True):
    axis.imshow(frame, cmap="magma")
    axis.set(title=f"s = {s}", xticks=[], yticks=[])

# %%
# From a shell the same is ``pmasolve transport source.png target.png --out map.npz --figure map.svg``.
