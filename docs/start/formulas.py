r"""
I have two formulas
===================

You have two densities :math:`e^{-f}` and :math:`e^{-g}` as formulas and want to see, in a figure
for a paper, that Sinkhorn's iterates follow the parabolic Monge–Ampère equation

.. math:: \partial_t \varphi = f - g(\nabla\varphi) + \log\det\nabla^2\varphi

as the regularisation :math:`\varepsilon` tends to 0 with :math:`k = t/\varepsilon`.
"""

import numpy as np

import pmasolve as pma

# %%
# The problem
# -----------
# A domain, here the flat torus with 96 nodes, and f and g as functions of its points. They need not
# be normalised: constants are added for you.
torus = pma.Torus((96,))
problem = pma.Problem(
    torus,
    lambda x: 0.3 * np.cos(2 * np.pi * x),
    lambda y: 0.3 * np.sin(2 * np.pi * y),
)

# %%
# The limit
# ---------
# The equation, from the identity (u = 0, where φ = x²/2 + u), at two times. It is solved with an
# error that follows ``rtol``, and a run says how it ended.
limit = pma.evolve(pma.MongeAmpere(problem, rtol=1e-11), times=[1 / 64, 1 / 32])
print(limit.summary())

# %%
# One run of Sinkhorn
# -------------------
# The same loop runs the iteration. Times are multiples of ε, so that iterates are exact: no interpolation, no damping.
sinkhorn = pma.evolve(pma.Sinkhorn(problem, eps=1 / 512), times=[1 / 64, 1 / 32])
print(pma.compare(sinkhorn, limit))

# %%
# The orders
# ----------
# Errors at t = 1/32 for four ε, in two gauges: the plain start is of order 1, the symmetric one,
# which costs nothing more, of order 2.


def study(gauge):
    def errors(eps):
        return pma.compare(pma.evolve(pma.Sinkhorn(problem, eps, gauge=gauge), times=[1 / 64, 1 / 32]), limit).last()

    return pma.Study.over("eps", [1 / 256, 1 / 512, 1 / 1024, 1 / 2048], errors)


plain, symmetric = study(pma.PLAIN), study(pma.SYMMETRIC)
print(symmetric.table())
assert plain.verdict("sup", pma.Band(0.95, 1.05))
assert symmetric.verdict("sup", pma.Band(1.95, 2.05))

# %%
# The figure
# ----------
# ``pma.save_figure(figure, "orders")`` writes it for a paper.
figure = pma.plot_orders({"plain": plain, "symmetric": symmetric}, slopes=[1, 2])
figure

# %%
# On your own densities all of this is one call with a report, ``pma.scaling_study``, or, from a shell with a TOML file,
# ``pmasolve study pair.toml``.
