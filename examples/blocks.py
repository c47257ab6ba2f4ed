"""
A law learned block by block
============================

The JKO scheme from data to a normal law, each step a convex programme.  Held-out points say when to stop: a block that
does not make them likelier is not kept.
"""

import matplotlib.pyplot as plt
import numpy as np

import pmasolve as pma


# %%
# Two half circles with noise.
def moons(n, rng):
    t, upper = rng.uniform(0, np.pi, n), rng.random(n) < 0.5
    x, y = np.where(upper, np.cos(t), 1 - np.cos(t)), np.where(upper, np.sin(t), 0.5 - np.sin(t))
    return 1.6 * (np.c_[x, y] - [0.5, 0.25]) + 0.1 * rng.standard_normal((n, 2))


data = moons(2000, np.random.default_rng(71))
flow = pma.JKOSampler(pma.SampleProblem(data))
run = pma.evolve(flow, flow.times(20)[-1:], throw=False)
chain = pma.as_chain(run)
print(chain, run.outcome.advice)

# %%
# Minus the log-likelihood of points that were fitted and of those that were not, block by block; then fresh ones.
fresh = moons(2000, np.random.default_rng(72))
print(np.c_[run.records["nll"], run.records["held_out"]].round(3))
print(f"fresh points {-chain.log_likelihood(fresh):.3f}")
assert (np.diff(run.records["held_out"]) <= 0).all()
assert -chain.log_likelihood(fresh) < 1.75

# %%
# Samples are the inverse of the chain, exact to rounding.
y = np.random.default_rng(73).standard_normal((1500, 2))
assert chain.inversion_error(y) < 1e-8

# %%
picture, panels = plt.subplots(1, 4, figsize=(9, 2.4), layout="constrained", sharex=True, sharey=True)
x, shown = data[:1500], (0, 1, len(chain.blocks))
for k, block in enumerate((*chain.blocks, None)):
    if k in shown:
        panels[shown.index(k)].plot(*x.T, ".", markersize=1.2)
        panels[shown.index(k)].set(title="data" if k == 0 else f"after {k} block" + "s" * (k > 1), aspect="equal")
    x = x if block is None else block.image(x)
panels[3].plot(*chain.map(y).T, ".", markersize=1.2)
panels[3].set(title="samples", aspect="equal", xlim=(-3.5, 3.5), ylim=(-3.5, 3.5))
