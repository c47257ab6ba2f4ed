"""
Error against ε, and where the samples themselves put it
========================================================

The error of the map from samples, plain and in the self gauge, for every ε of a ladder, beside the ε, the gauge and
the error of ``choose_eps``, which sees the samples alone. From a shell:

``python examples/error_against_eps.py [samples, 300 unless given] [data sets, 2 unless given] [figure,
which is written if given]``
"""

import sys

import matplotlib.pyplot as plt
import numpy as np

import pmasolve as pma

counts = [int(word) for word in sys.argv[1:] if word.isdigit()]
n, sets = [*counts, *(300, 2)[len(counts) :]]
names = [word for word in sys.argv[1:] if not word.isdigit()]
ladder = [4.0 / 2**j for j in range(9)]


# %%
# Two maps of normal points in the plane: the gradient of a smooth convex function, and one that is cut along a line.
def smooth(x):
    return x + np.tanh(1.5 * x) * [0.6, 0.3]


def cut(x):
    return x + 0.8 * np.sign(x) * [1.0, 0.0]


def rms(difference):
    return np.sqrt(np.mean(np.sum(difference**2, axis=-1)))


# %%
# Below ε = 1 or so the noise of the samples grows; above it the bias does, like ε in the plain gauge, like ε² in the self gauge.
figure, axes = plt.subplots(1, 2, figsize=(7.0, 2.9), layout="constrained", sharey=True)
for axis, truth in zip(axes, (smooth, cut), strict=True):
    errors, chosen = np.zeros((2, len(ladder))), []
    for seed in range(sets):
        rng = np.random.default_rng(seed)
        x, y, z = rng.standard_normal((n, 2)), truth(rng.standard_normal((n, 2))), rng.standard_normal((500, 2))
        problem, start = pma.Problem.from_samples(x, y), np.zeros(n)
        for j, eps in enumerate(ladder):
            found = pma.schroedinger(problem, eps, start=start, marginal=1e-4, gauge=pma.SELF)
            start = found.u
            for g, function in enumerate((found.plan.phi, found.function)):
                errors[g, j] += rms(function.map(z) - truth(z)) ** 2 / sets
        choice = pma.choose_eps(problem, gauges=(pma.SELF, pma.PLAIN))
        spread = np.mean(np.var(y, axis=0)) / np.mean(np.var(choice.scaled.codomain.points, axis=0))
        chosen.append((choice.eps * np.sqrt(spread), rms(choice.map(z) - truth(z)), choice.gauge.name))
    errors = np.sqrt(errors)
    for name, row, color in zip(("plain", "self"), errors, ("#0072B2", "#D55E00"), strict=True):
        axis.loglog(ladder, row, "o-", markersize=3, color=color, label=name)
        picked = np.array([(eps, error) for eps, error, gauge in chosen if gauge == name]).reshape(-1, 2)
        axis.plot(
            *picked.T, "*", markersize=9, color=color, markeredgecolor="k", markeredgewidth=0.4, label=f"chosen: {name}"
        )
    axis.set(xlabel="ε", title="a smooth map" if truth is smooth else "a map with a cut")
    print(truth.__name__, "best plain, self", errors.min(axis=1), "chosen", chosen)
    assert (
        np.sqrt(np.mean([error**2 for _, error, _ in chosen])) < 1.2 * errors[0].min()
    )  # no worse than the best plain map
axes[0].set(ylabel="RMS error of the map")
axes[1].legend()
if names:
    figure.savefig(names[0], metadata={"Date": None})
