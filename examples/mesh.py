"""
An equidistributing mesh
========================

The optimal map from the uniform density to a monitor function, applied to a regular grid. From a shell:

``python examples/mesh.py [figure, which is written if given]``
"""

import sys

import numpy as np

import pmasolve as pma

# %%
# A monitor function: large where the mesh is to be fine, here along a ring.
box = pma.Box((96, 96))


def monitor(x, y):
    return 1.0 + 4.0 * np.exp(-(((np.hypot(x - 0.5, y - 0.5) - 0.25) / 0.08) ** 2))


# %%
# The map makes monitor(T) det DT constant: T is the mesh, walls stay walls, and it cannot fold.
problem = pma.Problem.from_densities(box, np.ones(box.shape), monitor)
T = pma.transport(problem)
print(T.outcome, f"least eigenvalue of DT {T.min_eigenvalue:.2f}")

# %%
# Quality of the mesh of 48² cells: monitor times area of each cell, and its shape.
corners = np.stack(np.meshgrid(*2 * [np.linspace(0, 1, 49)], indexing="ij"))
mesh = T(corners)
a, b = mesh[:, 1:, 1:] - mesh[:, :-1, :-1], mesh[:, :-1, 1:] - mesh[:, 1:, :-1]  # diagonals of the cells
area = 0.5 * (a[0] * b[1] - a[1] * b[0])
centre = 0.25 * (mesh[:, 1:, 1:] + mesh[:, :-1, :-1] + mesh[:, :-1, 1:] + mesh[:, 1:, :-1])
share = monitor(*centre) * area
share = share / share.mean()
eigenvalues = np.linalg.eigvalsh(T.move.jacobian(centre.reshape(2, -1).T))
aspect = np.max(eigenvalues[..., 1] / eigenvalues[..., 0])
print(f"cells: area from {area.min():.1e} to {area.max():.1e}, aspect ratio up to {aspect:.1f}")
print(f"equidistributed to {np.ptp(share):.1%}")
assert area.min() > 0
assert np.ptp(share) < 0.1

# %%
# Uniform density, mesh and monitor.
figure = pma.plot_transport(T, lines=32)
if sys.argv[1:]:
    print(*pma.save_figure(figure, sys.argv[1], formats=["svg"]))
