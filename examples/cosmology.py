"""
Reconstruction in a periodic box
================================

Particles moved by a Gaussian random field, and their displacement back from the density. From a shell:

``python examples/cosmology.py [points of an axis, several if wanted; 32 unless given] [figure,
which is written if given]``

While no two streams of particles cross, the displacement and x together are the gradient of a convex potential, the
optimal map from the uniform density (Frisch, Matarrese, Mohayaee, Sobolevski, Nature 417 (2002),
arXiv astro-ph/0109483).
"""

import sys
from time import perf_counter

import numpy as np
from matplotlib.figure import Figure

import pmasolve as pma
from pmasolve.maps.displacement import Displacement, push

sizes = [int(word) for word in sys.argv[1:] if word.isdigit()] or [32]
names = [word for word in sys.argv[1:] if not word.isdigit()]


def spectrum(a, b, shells):
    """Sums of the products of the modes of two fields, scale by scale."""
    cross = np.real(np.fft.rfftn(a) * np.conj(np.fft.rfftn(b)))
    return np.bincount(shells.ravel(), cross.ravel())[1 : a.shape[0] // 2]


def random_potential(n, waves):
    """Gaussian, with the spectrum k⁻³ exp(−(k/4)²), scaled so that no two streams cross."""
    size = np.linalg.norm(waves, axis=0)
    size[0, 0, 0] = np.inf
    noise = np.fft.rfftn(np.random.default_rng(20261125).standard_normal((n, n, n)))
    modes = noise * size**-3.0 * np.exp(-((np.where(size < np.inf, size, 0.0) / 4) ** 2))
    second = [np.fft.irfftn(-a * b * modes, (n, n, n), axes=(0, 1, 2)) for a, b in zip(waves, waves, strict=True)]
    return np.fft.irfftn(modes, (n, n, n), axes=(0, 1, 2)) * 0.35 / (4 * np.pi**2 * np.max(np.abs(second)))


figure = Figure(figsize=(3.6, 2.8), layout="constrained")
axis = figure.subplots()
largest_scales = []
for n in sizes:
    # --- Eight particles of each cell, moved; their masses make the density that is observed ---
    torus = pma.Torus((n, n, n))
    k = np.fft.fftfreq(n, 1 / n)
    waves = np.stack(np.meshgrid(k, k, np.arange(n // 2 + 1), indexing="ij"))
    truth = random_potential(n, waves)
    density = push(Displacement(torus, truth, pma.Fourier()), np.ones(torus.shape), parts=2)
    print(f"{n}³: density from {density.min():.2f} to {density.max():.2f}")

    # --- Transport from the uniform density: the displacement of each initial point ---
    began = perf_counter()
    problem = pma.Problem.from_densities(torus, np.ones(torus.shape), density, interpolation=pma.Spline(3))
    T = pma.transport(problem, gap=0.05, tolerance=1e-6)
    print(f"{T.outcome} in {len(T.records)} steps, {perf_counter() - began:.1f} s; gap {T.gap:.1e}")

    # --- Correlation of the recovered and the true potential, and so of the displacements, scale by scale ---
    shells = np.round(np.linalg.norm(waves, axis=0)).astype(int)
    both, found, true = (spectrum(a, b, shells) for a, b in ((T.potential, truth), (T.potential,) * 2, (truth,) * 2))
    correlation = both / np.sqrt(found * true)
    print("correlation at k = 1, 2, …:", np.round(correlation[:10], 4))
    axis.plot(np.arange(1, 17)[: len(correlation)], correlation[:16], "o-", label=f"{n}³")
    largest_scales.append(correlation[:4])

axis.set(xlabel="k, waves in a side", ylabel="correlation, recovered with true", ylim=(0, 1.05))
axis.legend()
for name in names:
    print(*pma.save_figure(figure, name, formats=["svg"]))
assert np.min(largest_scales) > 0.99
