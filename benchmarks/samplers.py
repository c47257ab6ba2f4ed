"""Samplers beside their peers, in turns, in one process: likelihood of fresh points, sliced W₂, processor seconds, failures.

    python benchmarks/samplers.py [plane|dimensions|line|posterior|ring] [seeds]     # `plane` needs torch, zuko and OTT-JAX
    python benchmarks/samplers.py plane [eight|moons|checkerboard] [mixtures|torch|zuko|ott] [seeds]
    python benchmarks/samplers.py dimensions [d=10|d=20|d=50] [alone] [seeds]
    python benchmarks/samplers.py ring [s=0.35|s=0.2] [seeds]

Medians over seeds 301, 302, …, or those from 401 on with `from=401`; settings of the peers were chosen on seeds 0–2, that two
sums share out 48 anchors on seeds 310–313, and 24 of the line on seeds 0–19.  3000 points are fitted, 4000 fresh ones judge.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from sampler_families import LINE, PLANE, Array, Mixture, five, ring, sliced
from scipy.special import expit, log_expit, ndtr
from scipy.stats import norm
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity

import pmasolve as pma

N, FRESH = 3000, 4000
FIRST = next((int(word.removeprefix("from=")) for word in sys.argv if word.startswith("from=")), 301)
ANCHORS = 48
RATE, STEPS, CHECK = 3e-2, 600, 25  # of Adam, chosen on seeds 0–2
WORDS = {"8 Gaussians": "eight", "moons": "moons", "checkerboard": "checkerboard"}  # of the command line
NEAR, JUDGES = 0.005, 1500  # nats: NLL called equal; fresh points by which that is judged on the way
COMPONENTS = (4, 8, 12, 16, 24, 32, 48)
BANDWIDTHS = np.geomspace(0.03, 1.0, 12)

Fit = tuple[float, Callable[[Array], float], Callable[[int], Array]]  # seconds, NLL, samples


def ours(x: Array, seed: int, anchors: int = ANCHORS) -> Fit:
    """The implicit sampler with its defaults."""
    began = time.process_time()
    flow = pma.ImplicitSampler(pma.SampleProblem(x), pma.LogSumExp(anchors), seed=seed)
    found = pma.as_sampler(pma.evolve(flow, flow.times(100)[-1:], throw=False, progress=False))
    seconds = time.process_time() - began
    return seconds, lambda t: -found.log_likelihood(pma.Cloud(t)), lambda n: found.sample(n, seed)


def mixture(x: Array, seed: int) -> Fit:
    """scikit-learn's mixture of full normals, its size by BIC."""
    began = time.process_time()
    fits = [GaussianMixture(k, random_state=seed, n_init=2).fit(x) for k in COMPONENTS]
    best = min(fits, key=lambda fit: fit.bic(x))
    return time.process_time() - began, lambda t: -best.score(t), lambda n: best.sample(n)[0]


def kernel(x: Array, seed: int) -> Fit:
    """scikit-learn's kernel density, its bandwidth by cross-validation."""
    began = time.process_time()
    widths = BANDWIDTHS * x.std()
    best = GridSearchCV(KernelDensity(), {"bandwidth": widths}, cv=3).fit(x).best_estimator_
    return time.process_time() - began, lambda t: -best.score(t) / len(t), lambda n: best.sample(n, random_state=seed)


def normal(x: Array, seed: int) -> Fit:
    """The normal fit."""
    fit = GaussianMixture(1).fit(x)
    return 0.0, lambda t: -fit.score(t), lambda n: fit.sample(n)[0]


def torch_fit(x: Array, fresh: Array, seed: int, goal: float) -> tuple[Fit, float, bool]:
    """Maximum likelihood by Adam on the same potential: all steps; the seconds until it first has the NLL of ours at the fresh
    points, or, where it never has, its own best; and whether it has.
    """
    import torch
    from sampler_peers import likelihood

    test, path = torch.tensor(fresh), []
    for spent, psi in likelihood(x, ANCHORS, seed, RATE, STEPS, CHECK):
        path.append((psi.nll(test), spent))
    equal = [after for nll, after in path if nll <= goal + NEAR]
    after = equal[0] if equal else min(path)[1]
    return (spent, lambda t: psi.nll(torch.tensor(t)), lambda n: psi.sample(n, seed)), after, bool(equal)


def coupling_fit(x: Array, seed: int) -> Fit:
    """A coupling flow, its rate and size chosen by points that it holds out."""
    from sampler_peers import coupling

    return coupling(x, seed)


def dual_fit(x: Array, seed: int) -> Fit:
    """A neural dual, which has no density."""
    from sampler_duals import duals

    seconds, sample = duals(x, seed)
    return seconds, lambda _: np.inf, sample


def plane(seeds: int) -> None:
    """Three laws in the plane."""
    words = {"mixtures", "torch", "zuko", "ott"}
    peers = words & set(sys.argv) or words
    for name, draw in PLANE.items():
        if {"eight", "moons", "checkerboard"} & set(sys.argv) and WORDS[name] not in sys.argv:
            continue
        rows: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
        ratios, equals, floors = [], [], []
        for seed in range(FIRST, FIRST + seeds):
            rng = np.random.default_rng(seed)
            x, fresh, other = draw(N, rng), draw(FRESH, rng), draw(FRESH, rng)
            floors.append(sliced(other, fresh, rng))
            fit = ours(x, seed)
            some = fresh[:JUDGES]
            goal = fit[1](some)
            fits = {"ImplicitSampler, 48 anchors": fit, "normal": normal(x, seed)}
            if "mixtures" in peers:
                fits |= {"mixture, BIC": mixture(x, seed), "kernel density, CV": kernel(x, seed)}
            if "zuko" in peers:
                fits["coupling flow (zuko NSF)"] = coupling_fit(x, seed)
            if "torch" in peers:
                fits["torch likelihood, same ψ"], after, equal = torch_fit(x, some, seed, goal)
                ratios.append(after / fit[0])
                equals.append(equal)
            if "ott" in peers:
                fits["OTT-JAX, neural dual"] = dual_fit(x, seed)
            for word, (seconds, nll, sample) in fits.items():
                rows[word].append((nll(fresh), sliced(sample(FRESH), fresh, rng), seconds))
            print(f"seed {seed}:", "; ".join(f"{word} {shorter(row[-1])}" for word, row in rows.items()), flush=True)
        told(name, rows)
        print(f"   floor of sliced W₂ {np.median(floors):.3f}")
        if ratios:
            least, middle, most = np.quantile(ratios, (0.0, 0.5, 1.0))
            print(
                f"   torch's seconds to our NLL, or to its best, over ours: {middle:.1f} ({least:.1f} to {most:.1f});",
                end=" ",
            )
            print(f"it gets there in {sum(equals)} of {len(equals)}\n", flush=True)


def told(name: str, rows: dict[str, list[tuple[float, float, float]]]) -> None:
    """Medians and ranges."""
    print(f"{name:28s}     NLL               sliced W₂             CPU s              failed")
    for word, values in rows.items():
        table = np.array(values)
        failed = int(np.sum(~np.isfinite(table[:, 1])))
        columns = [f"{np.median(c):.3f} ({c.min():.3f} to {c.max():.3f})" for c in table.T]
        print(f"   {word:25s} {'  '.join(columns)} {failed:3d}")
    sys.stdout.flush()


def shorter(values: tuple[float, float, float]) -> str:
    """NLL, sliced W₂, seconds of one fit."""
    return " ".join(f"{value:.3f}" for value in values)


def dimensions(seeds: int) -> None:
    """Five normals in 10, 20, 50 dimensions: NLL over the entropy of the same fresh points."""
    for d, anchors in ((10, 12), (20, 12), (50, 6)):  # each anchor has d + 1 parameters
        if any(word.startswith("d=") for word in sys.argv) and f"d={d}" not in sys.argv:
            continue
        law = five(d)
        rows: dict[str, list[tuple[float, float, float]]] = defaultdict(list)
        for seed in range(FIRST, FIRST + seeds):
            rng = np.random.default_rng(seed)
            x, fresh = law.sample(N, rng), law.sample(FRESH, rng)
            entropy = float(law.f(fresh).mean())
            fits = {f"ImplicitSampler, {anchors} anchors": ours(x, seed, anchors), "normal": normal(x, seed)}
            if "alone" not in sys.argv:
                fits["mixture, BIC"] = mixture(x, seed)
            for word, (seconds, nll, sample) in fits.items():
                rows[word].append((nll(fresh) - entropy, sliced(sample(FRESH), fresh, rng), seconds))
            print(f"seed {seed}:", "; ".join(f"{word} {shorter(row[-1])}" for word, row in rows.items()), flush=True)
        told(f"five normals, d = {d}: NLL − H", rows)


def line(seeds: int) -> None:
    """Root mean square error of the map to four normals on a line, beside the quantile map of the sample."""
    y = norm.ppf((np.arange(20_000) + 0.5) / 20_000)
    grid = np.linspace(-9, 9, 200_001)
    cdf = LINE.w @ ndtr((grid - LINE.mean) / np.sqrt(LINE.v)[:, None])
    exact = np.interp(ndtr(y), cdf, grid)
    for family in (pma.LogSumExp(24), pma.LogSumExp(24, sums=2)):
        errors = []
        for seed in range(FIRST, FIRST + seeds):
            x = LINE.sample(N, np.random.default_rng(seed))
            flow = pma.ImplicitSampler(pma.SampleProblem(x, held_out=0.0), family, seed=seed)
            found = pma.as_sampler(pma.evolve(flow, flow.times(100)[-1:], throw=False, progress=False))
            empirical = np.quantile(x[:, 0], ndtr(y), method="hazen")
            errors.append([np.sqrt(np.mean((found.map(y) - exact) ** 2)), np.sqrt(np.mean((empirical - exact) ** 2))])
        table = np.array(errors)
        ratios, (own, quantiles) = table[:, 0] / table[:, 1], np.median(table, axis=0)
        words = f"ratio {np.median(ratios):.3f} ({', '.join(f'{ratio:.3f}' for ratio in ratios)})"
        print(f"line, {family}: map {own:.4f}, quantiles {quantiles:.4f}, {words}", flush=True)


def logistic_regression(d: int = 10) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """40 observations, prior N(0, 4I): f and its gradient."""
    rng = np.random.default_rng(5)
    A, theta = rng.standard_normal((4 * d, d)), 1.5 * rng.standard_normal(d)
    B = A * np.where(rng.random(4 * d) < expit(A @ theta), 1.0, -1.0)[:, None]

    def f(x: Array) -> Array:
        """Minus log-likelihood and log-prior, the prior's constant left out."""
        return -np.sum(log_expit(x @ B.T), axis=1) + np.sum(x**2, axis=1) / 8

    return f, lambda x: -expit(-(x @ B.T)) @ B + x / 4


def annealed(problem: pma.Posterior, chains: int = 4000, rungs: int = 2000) -> tuple[float, float]:
    """log ∫e^{−f} by annealed importance sampling from twice the normal approximation's covariance, random-walk Metropolis."""
    rng, d = np.random.default_rng(99), problem.dim
    L = np.linalg.cholesky(2 * problem.covariance)
    constant = 0.5 * d * np.log(2 * np.pi) + np.log(np.diag(L)).sum()
    z = rng.standard_normal((chains, d))  # in whitened coordinates

    def excess(z: Array) -> Array:
        """f plus the log-density of the start."""
        return problem.f(problem.mean + z @ L.T) - 0.5 * np.sum(z**2, axis=1) - constant

    here, weight, step = excess(z), np.zeros(chains), 0.5
    for before, beta in pairwise(np.linspace(0, 1, rungs + 1)):
        weight -= (beta - before) * here
        new = z + step * rng.standard_normal(z.shape)
        there = excess(new)
        cost = beta * (there - here) + 0.5 * (np.sum(new**2, axis=1) - np.sum(z**2, axis=1))
        accepted = rng.random(chains) < np.exp(-np.clip(cost, 0, 700))
        z[accepted], here[accepted] = new[accepted], there[accepted]
        step *= np.exp(0.05 * (accepted.mean() - 0.25))
    top = weight.max()
    w = np.exp(weight - top)
    return float(np.log(w.mean()) + top), float(w.std() / w.mean() / np.sqrt(chains))


def posterior(seeds: int) -> None:
    """Bayesian logistic regression in 10 dimensions: log Z beside annealed importance sampling, effective sample size."""
    problem = pma.Posterior(*logistic_regression(), 10)
    began = time.process_time()
    log_z, error = annealed(problem)
    seconds = time.process_time() - began
    print(f"AIS, 4000 chains, 2000 rungs: log Z = {log_z:.4f} ± {error:.4f}, {seconds:.0f} s CPU", flush=True)
    for word, family in (("LogSumExp(16)", pma.LogSumExp(16, eps=1.0)), ("LogSumExp(32)", pma.LogSumExp(32, eps=1.0))):
        for seed in range(FIRST, FIRST + seeds):
            began = time.process_time()
            flow = pma.ImplicitSampler(problem, family, seed=seed)
            run = pma.evolve(flow, flow.times(60)[-1:], throw=False, progress=False)
            seconds = time.process_time() - began
            found = pma.as_sampler(run).evidence(problem, count=50_000, seed=seed + 1000)
            print(f"{word}: {found}, log Z − AIS {found.log_z - log_z:+.4f}, {seconds:.1f} s CPU", flush=True)


def modes(seeds: int) -> None:
    """Eight normals on a circle from their density alone."""
    for s in (0.35, 0.2):
        if any(word.startswith("s=") for word in sys.argv) and f"s={s:g}" not in sys.argv:
            continue
        law: Mixture = ring(s)
        problem = pma.Posterior(law.f, law.grad_f, 2, spread=2.0)
        for seed in range(FIRST, FIRST + seeds):
            began = time.process_time()
            flow = pma.ImplicitSampler(problem, pma.LogSumExp(64, eps=0.15), seed=seed)
            run = pma.evolve(flow, flow.times(250)[-1:], throw=False, progress=False)
            seconds, found = time.process_time() - began, pma.as_sampler(run)
            masses = law.masses(found.sample(20_000, seed))
            words = f"{found.evidence(problem, seed=seed)}, run {run.outcome.name}"
            print(f"s = {s}: {words}, masses {masses.min():.3f}–{masses.max():.3f}, {seconds:.1f} s CPU", flush=True)


TABLES = {"plane": plane, "dimensions": dimensions, "line": line, "posterior": posterior, "ring": modes}


def main() -> None:
    """The tables asked for, or all."""
    words = [word for word in sys.argv[1:] if word in TABLES] or list(TABLES)
    counts = [int(word) for word in sys.argv[1:] if word.isdigit()] or [5]
    for word in words:
        TABLES[word](counts[0])


if __name__ == "__main__":
    main()
