"""
One objective, two geometries
=============================

KL to :math:`e^{-f}` falls along its mirror flow (PMA) and along its gradient flow (Fokker–Planck), from one start.
"""

import matplotlib.pyplot as plt
import numpy as np

import pmasolve as pma
from pmasolve.flows.mirror import along, target_law

problem = pma.Problem(pma.Torus((64,)), lambda x: 0.6 * np.cos(2 * np.pi * x), lambda y: 0.3 * np.sin(2 * np.pi * y))
times, goal = [0.01, 0.02, 0.03, 0.04, 0.06], target_law(problem)
picture, axis = plt.subplots(figsize=(4.5, 3.0), layout="constrained")
for flow in (pma.MongeAmpere(problem), pma.FokkerPlanck(problem), pma.JKO(problem, 0.01)):
    columns = along(pma.evolve(flow, times), goal)
    print(type(flow).__name__, *(f"{name} {column[-1]:.3e}" for name, column in columns.items()))
    axis.semilogy(times, columns["kl"], "o-", label=type(flow).__name__)
    assert np.all(np.diff(columns["kl"]) < 0)
axis.set(xlabel="t", ylabel="KL(ρ | exp(−f))")
axis.legend()

# %%
# Between normal distributions everything is known in closed form.
a, b = pma.gaussian.Normal([0.0, 0.0], np.diag([1.0, 2.0])), pma.gaussian.Normal([1.0, 0.0], [[0.5, 0.2], [0.2, 0.4]])
exact = pma.gaussian.ClosedForm(pma.gaussian.Pair(a, b), pma.gaussian.Quadratic(np.eye(2)))
print("KL of the mirror flow between normal distributions:", [exact.law(t).kl(a) for t in (0.0, 1.0, 2.0)])
assert exact.law(20.0).kl(a) < 1e-12
