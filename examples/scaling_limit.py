"""
Sinkhorn follows the parabolic Monge–Ampère flow
================================================

Of order 2 in ε in the symmetric gauge.
"""

import numpy as np

import pmasolve as pma

problem = pma.Problem(pma.Torus((96,)), lambda x: 0.3 * np.cos(2 * np.pi * x), lambda y: 0.3 * np.sin(2 * np.pi * y))
limit = pma.evolve(pma.MongeAmpere(problem, rtol=1e-11), times=[1 / 32])


def errors(eps):
    return pma.compare(pma.evolve(pma.Sinkhorn(problem, eps, gauge=pma.SYMMETRIC), times=[1 / 32]), limit).last()


study = pma.Study.over("eps", [1 / 256, 1 / 512, 1 / 1024], errors)
print(study.table())
assert study.verdict("sup", pma.Band(1.95, 2.05))

# %%
# Errors of the potential and of its gradient.
figure = study.plot(slopes=(2,))
