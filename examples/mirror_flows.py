"""
Other objectives, other mirrors
===============================

Five f-divergences from :math:`e^{-f}` fall along their own mirror flows, each followed by its own Sinkhorn; and the printed mirror
flows on the half-line, with explicit and proximal steps.

    python examples/mirror_flows.py [figure, which is drawn if given]
"""

import sys

import matplotlib.pyplot as plt
import numpy as np

import pmasolve as pma
from pmasolve.flows.euclidean import QUADRATIC, QUARTIC, RECIPROCAL

problem = pma.Problem(pma.Torus((64,)), lambda x: 1.2 * np.cos(2 * np.pi * x), lambda y: 0.8 * np.sin(2 * np.pi * y))
family = {
    "KL": pma.KL(),
    "χ²": pma.CHI_SQUARED,
    "reverse KL": pma.REVERSE_KL,
    "Hellinger": pma.HELLINGER,
    "Jensen–Shannon": pma.JensenShannon(),
}
eps, eta = 1 / 256, 1 / 4096

# %%
# The PDE :math:`\partial_t\varphi = h(A(\varphi))`, and the steps
# :math:`\varphi \leftarrow \varphi + \eta\,h((S_\varepsilon\varphi - \varphi)/\varepsilon)` with η so short that no value of
# h′ expands them: F falls along both, and all end at one rate.
picture, axes = plt.subplots(1, 2, figsize=(8.5, 3.2), layout="constrained")
for name, objective in family.items():
    flow = pma.evolve(pma.MongeAmpere(problem, objective=objective), [1 / 8])
    steps = pma.evolve(pma.Sinkhorn(problem, eps, step=eta, objective=objective), [1 / 8])
    (line,) = axes[0].semilogy(flow.records["t"], flow.records["value"], label=name)
    every = slice(0, None, 32)
    axes[0].semilogy(steps.records["t"][every], steps.records["value"][every], ".", color=line.get_color())
    apart = pma.compare(steps, flow).sup[0]
    print(f"{name:15} F falls from {flow.records['value'][0]:.3f} to {flow.records['value'][-1]:.1e}; {steps.outcome}")
    assert np.all(np.diff(flow.records["value"]) < 0)
    assert apart < eps
axes[0].set(xlabel="t", ylabel="F(ρ), dots: Sinkhorn", title="f-divergences")
axes[0].legend(fontsize="small")

# %%
# Half of a step, and Sinkhorn in continuous time: the term of order ε is known for each.
half = pma.evolve(pma.Sinkhorn(problem, eps, step=eps / 2), [1 / 32])
for run, ratio in ((half, 0.5), (pma.evolve(pma.SinkhornFlow(problem, eps), [1 / 32]), 0.0)):
    linear = pma.evolve(pma.LinearisedMongeAmpere(problem, problem.f / 2, ratio=ratio), [1 / 32])
    error = run.potentials[0] - linear.potentials[0]
    left = error - eps * linear.flow.corrector(linear, 0)
    print(f"step {ratio:g} ε: error {np.abs(error).max():.1e}, less its first-order term {np.abs(left).max():.1e}")
    assert np.abs(left).max() < 0.1 * np.abs(error).max()

# %%
# F = x²/2 in three mirrors: lines are the flow, circles explicit steps, crosses proximal ones, η = ½.
fine = np.linspace(0, 5.5, 111)
for name, mirror in (("u = x²/2", QUADRATIC), ("u = x⁴", QUARTIC), ("u = 1/x", RECIPROCAL)):
    (line,) = axes[1].plot(fine, mirror.flow([1.0], fine).points, label=name)
    for scheme, marker in (("explicit", "o"), ("proximal", "x")):
        path = getattr(mirror, scheme)([1.0], 0.5, 11)
        axes[1].plot(path.times, path.points, marker, color=line.get_color(), fillstyle="none", markersize=4)
    assert np.allclose(mirror.flow([1.0], fine).points, mirror.exact(fine), atol=1e-10)
axes[1].set(xlabel="t", ylabel="x", title="on the half-line, F = x²/2")
axes[1].legend(fontsize="small")
for name in sys.argv[1:]:
    print(*pma.save_figure(picture, name, formats=["svg"]))
