"""
Closed forms between normal distributions
=========================================

The error of Sinkhorn after time t against ε, in any dimension, without a grid.
"""

import numpy as np

import pmasolve as pma

gaussian = pma.gaussian
source = gaussian.Normal([0.0, 0.0, 0.0], np.diag([1.0, 2.0, 0.5]))
target = gaussian.Normal([1.0, 0.0, 0.0], [[0.8, 0.3, 0.0], [0.3, 0.9, 0.1], [0.0, 0.1, 1.2]])
pair, start = gaussian.Pair(source, target), gaussian.Quadratic(np.eye(3))

# %%
# ``ClosedForm(pair, start, eps)`` is Sinkhorn at ε, and PMA for ε = 0: one formula.
exact = gaussian.ClosedForm(pair, start).hessian(0.5)


def error(eps):
    return {"Hessian": np.abs(gaussian.ClosedForm(pair, start, eps).hessian(0.5) - exact).max()}


study = pma.Study.over("eps", [2.0**-k for k in range(3, 9)], error)
print(study.table())
figure = study.plot(slopes=(1,))
assert study.verdict("Hessian", pma.Band(0.95, 1.05))
