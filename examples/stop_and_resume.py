"""
Stop, save, go on
=================

A run that ends by an event, is written to a file, read back and continued as if it had not stopped.
"""

import tempfile
from pathlib import Path

import numpy as np

import pmasolve as pma

problem = pma.Problem(pma.Torus((48,)), lambda x: 0.4 * np.cos(2 * np.pi * x), lambda y: 0.2 * np.sin(2 * np.pi * y))
flow = pma.Sinkhorn(problem, eps=1 / 256)
whole = pma.evolve(flow, times=[8 / 256, 16 / 256])
half = pma.evolve(flow, times=[8 / 256])

# %%
# The file knows the flow.
with tempfile.TemporaryDirectory() as folder:
    pma.save(half, Path(folder, "run.npz"))
    again = pma.load(Path(folder, "run.npz"))
rest = pma.resume(again, [16 / 256])
print(rest.summary())
assert np.allclose(rest.potentials[-1], whole.potentials[-1], rtol=0, atol=1e-15)

# %%
# An event: stop when nothing moves any more.
still = pma.evolve(pma.MongeAmpere(problem), times=[5.0], events=[pma.Event("speed", below=1e-6)])
print(still.outcome, f"at t = {still.times[-1]:.3f}")
figure = still.plot()
