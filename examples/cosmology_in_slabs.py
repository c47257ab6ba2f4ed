"""
A reconstruction on several ranks
=================================

The displacement of matter in a periodic box from its density, in slabs over the ranks of MPI. From a shell, at 256³ on two:

``mpirun -n 2 python examples/cosmology_in_slabs.py [points of an axis, 24 unless given]``

Without ``mpirun``, or without MPI at all, the same script runs on one process. The gallery's "Reconstruction in a periodic box"
moves particles; here the displacement is a sum of waves, so that every rank knows the density at its own points, and nobody
needs an array of the whole box.
"""

import sys
from importlib.util import find_spec
from time import perf_counter

import numpy as np
from matplotlib.figure import Figure

import pmasolve as pma

n = next((int(word) for word in sys.argv[1:] if word.isdigit()), 24)
torus = pma.Torus((n, n, n))
if find_spec("mpi4py"):
    torus = pma.distributed.slabs(torus)
tells = torus.whole or torus.ranks.rank == 0

# %%
# The true potential: ten waves of random phases, largest on large scales, as weak as keeps two streams from crossing.
rng = np.random.default_rng(20261129)
waves = np.array([k for k in np.ndindex(3, 3, 3) if 0 < np.dot(k, k) <= 5 and k[0] * k[1] == 0][:10], dtype=float)
phases = rng.uniform(0, 2 * np.pi, len(waves))
strengths = np.linalg.norm(waves, axis=1) ** -3.0
strengths *= 0.45 / np.sum(strengths * np.sum(waves**2, axis=1)) / (2 * np.pi) ** 2


def potential(q):
    """u at points (3, …)."""
    return sum(
        a * np.cos(np.tensordot(k, q, 1) + p) for k, p, a in zip(2 * np.pi * waves, phases, strengths, strict=True)
    )


def displacement(q):
    """∇u."""
    D = np.zeros_like(q)
    for k, phase, a in zip(2 * np.pi * waves, phases, strengths, strict=True):
        D -= a * np.sin(np.tensordot(k, q, 1) + phase) * k[:, None, None, None]
    return D


def volume(q):
    """det(I + D²u)."""
    J = np.tile(np.eye(3)[:, :, None, None, None], q.shape[1:])
    for k, phase, a in zip(2 * np.pi * waves, phases, strengths, strict=True):
        J -= a * np.cos(np.tensordot(k, q, 1) + phase) * np.multiply.outer(k, k)[:, :, None, None, None]
    return np.sum(J[0] * np.cross(J[1], J[2], axis=0), axis=0)


# %%
# The density at each point x of this rank: matter comes from q with q + ∇u(q) = x, and q ↦ x − ∇u(q) is a contraction.
x = torus.points
q = x.copy()
for _ in range(60):
    q, before = x - displacement(q), q
    if torus.sup(q - before) < 1e-11:
        break
density = 1.0 / volume(q)
low, high = torus.least(density.min()), torus.most(density.max())
if tells:
    print(f"{torus.words}: density from {low:.2f} to {high:.2f}")

# %%
# Transport from the uniform density gives the displacement back.
began = perf_counter()
problem = pma.Problem.from_densities(torus, lambda x, y, z: 1.0 + 0.0 * x, density)
T = pma.transport(problem, gap=0.05, tolerance=1e-8)
u = torus.centred(potential(x))
error = torus.l2(T.potential - u) / torus.l2(u)
if tells:
    print(f"{T.outcome} in {len(T.records)} steps, {perf_counter() - began:.1f} s; gap {T.gap:.1e}, error {error:.1e}")
assert error < 1e-2

# %%
# Where the matter of one plane came from; of the first rank's planes, for the picture.
figure = Figure(figsize=(3.4, 2.8), layout="constrained")
axis = figure.subplots()
shown = axis.pcolormesh(x[1, 0], x[2, 0], density[0], shading="nearest")
step = max(1, n // 12)
axis.quiver(*(a[0, ::step, ::step] for a in (x[1], x[2], T.map[1] - x[1], T.map[2] - x[2])), angles="xy", color="w")
axis.set(xlabel="y", ylabel="z", aspect="equal")
figure.colorbar(shown, label="density")
