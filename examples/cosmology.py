"""Reconstruction in a periodic box: particles moved by a Gaussian random field, and their displacement back from the density.

    python examples/cosmology.py [points of an axis, 32 unless given]

While no two streams of particles cross, the displacement and x together are the gradient of a convex potential, the
optimal map from the uniform density (Frisch, Matarrese, Mohayaee, Sobolevski, Nature 417 (2002), arXiv astro-ph/0109483).
"""

import sys

import numpy as np
from matplotlib.figure import Figure

import pmasolve as pma
from pmasolve.maps import Displacement, push

n = int(sys.argv[1]) if sys.argv[1:] and sys.argv[1].isdigit() else 32
torus = pma.Torus((n, n, n))

# --- A Gaussian random potential with the spectrum k⁻³ exp(−(k/k₀)²), scaled so that no two streams cross ---
rng = np.random.default_rng(20261125)
k = (
    2
    * np.pi
    * np.stack(np.meshgrid(np.fft.fftfreq(n, 1 / n), np.fft.fftfreq(n, 1 / n), np.arange(n // 2 + 1), indexing="ij"))
)
size = np.sqrt(np.sum(k**2, axis=0))
size[0, 0, 0] = 1.0
noise = np.fft.rfftn(rng.standard_normal(torus.shape))
noise[0, 0, 0] = 0.0
chi = np.fft.irfftn(noise * size**-3.0 * np.exp(-((size / (2 * np.pi * 4)) ** 2)), torus.shape, axes=(0, 1, 2))
second = [np.fft.irfftn(-ki * kj * np.fft.rfftn(chi), torus.shape, axes=(0, 1, 2)) for ki, kj in zip(k, k, strict=True)]
chi *= 0.35 / np.max(np.abs(second))

# --- Eight particles of each cell, moved; their masses make the density that is observed ---
move = Displacement(torus, chi, pma.Fourier())
density = push(move, np.ones(torus.shape), parts=2)
print(f"density from {density.min():.2f} to {density.max():.2f}")

# --- Transport from the uniform density: the displacement of each initial point ---
T = pma.transport(pma.Problem.from_densities(torus, np.ones(torus.shape), density), gap=0.05, tolerance=1e-6)
print(T.outcome, f"in {len(T.records)} steps; least eigenvalue {T.min_eigenvalue:.2f}")

# --- Correlation of the recovered and the true potential, scale by scale ---
shells = np.round(size / (2 * np.pi)).astype(int)


def spectrum(a, b):
    cross = np.real(np.fft.rfftn(a) * np.conj(np.fft.rfftn(b)))
    return np.bincount(shells.ravel(), cross.ravel())[1 : n // 2]


correlation = spectrum(T.potential, chi) / np.sqrt(spectrum(T.potential, T.potential) * spectrum(chi, chi))
print("correlation at k = 1, 2, …:", np.round(correlation[:8], 4))
figure = Figure(figsize=(3.4, 2.8), layout="constrained")
axis = figure.subplots()
axis.plot(np.arange(1, n // 2), correlation, "o-")
axis.set(xlabel="k, waves in a side", ylabel="correlation of the potentials", ylim=(0, 1.05))
if n != 32:
    pma.save_figure(figure, "cosmology")
assert np.min(correlation[:4]) > 0.99
