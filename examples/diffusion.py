"""
A diffusion with the law of the flow
====================================

Particles of the McKean–Vlasov equation (0.1): their covariance follows the mirror flow between normal distributions.
"""

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np

import pmasolve as pma

gaussian, particles = pma.gaussian, pma.particles
pair = gaussian.Pair(gaussian.Normal([0.0], [[1.0]]), gaussian.Normal([0.0], [[4.0]]))
flow, rng = gaussian.ClosedForm(pair, gaussian.Quadratic([[1.0]])), np.random.default_rng(5)
z, times, variances = flow.law(0).sample(20_000, rng), np.linspace(0, 2, 9), []
for a, b in pairwise(times):
    z = particles.simulate(particles.GaussianCoefficients(flow), z, np.linspace(a, b, 11), rng)
    variances.append(z.var())
exact = [flow.law(t).cov[0, 0] for t in times[1:]]

# %%
picture, axis = plt.subplots(figsize=(4.5, 3.0), layout="constrained")
axis.plot(times[1:], exact, label="mirror flow")
axis.plot(times[1:], variances, "o", label="20 000 particles")
axis.set(xlabel="t", ylabel="variance")
axis.legend()
print(np.round(variances, 3), np.round(exact, 3))
assert np.allclose(variances, exact, rtol=0.06)
