"""
A barycentre of densities
=========================

The Wasserstein barycentre of three densities on a grid, by the fixed-point iteration of
Álvarez-Esteban, del Barrio, Cuesta-Albertos, Matrán (arXiv 1511.05355): carry the density along the
mean of its optimal maps to all of them. Potentials are means of potentials, so it is a few lines.
"""

import matplotlib.pyplot as plt
import numpy as np

import pmasolve as pma
from pmasolve.maps.displacement import Displacement, push

torus = pma.Torus((64, 64))
x, y = torus.points


def bump(a, b):
    return 0.2 + np.exp(3 * (np.cos(2 * np.pi * (x - a)) + np.cos(2 * np.pi * (y - b)) - 2))


densities = [bump(0.35, 0.4), bump(0.65, 0.4), bump(0.5, 0.62)]
densities = [density / density.mean() for density in densities]
barycentre = np.ones(torus.shape)
for _ in range(6):
    maps = [pma.transport(pma.Problem.from_densities(torus, barycentre, density)) for density in densities]
    mean = np.mean([T.potential for T in maps], axis=0)
    barycentre = push(Displacement(torus, mean, pma.Fourier()), barycentre)
    step = np.sqrt(np.mean(barycentre * np.sum(pma.Fourier().on(torus).gradient(mean) ** 2, axis=0)))
    print(f"sum of W₂² {sum(T.w2_squared for T in maps):.6f}, moved by {step:.1e}")

# %%
# A fixed point: the mean of the maps is the identity there.
assert step < 1e-3

# %%
picture, axes = plt.subplots(1, 4, figsize=(8, 2.2), layout="constrained")
for axis, density, title in zip(axes, [*densities, barycentre], ("1", "2", "3", "barycentre"), strict=True):
    axis.imshow(density.T, origin="lower", cmap="magma")
    axis.set(title=title, xticks=[], yticks=[])
