"""The JKO scheme block by block: likelihood of fresh points, inverses, Appendix D; and an explicit descent by MLPs.

    python benchmarks/jko.py [convex|networks|appendix|mlp] [moons] [seeds]     # all but `convex` need torch

Medians over seeds 201, 202, …; settings were chosen on seeds 0–4.  3000 points are fitted, 4000 fresh ones judge.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from sampler_families import PLANE, Array

import pmasolve as pma
from pmasolve.samples.jko.flow import CarriedPoints
from pmasolve.samples.jko.gradients import estimated_gradient, exact_gradient, mean_square
from pmasolve.samples.samplers.reference import Reference

N, FRESH, FIRST, INVERTED = 3000, 4000, 201, 10_000
STANDARD = Reference.of(None, 2)
GAMMA, DRAWS, SAMPLES, EXACT = 0.5, 20, 2000, 500  # of Appendix D
WIDTH, ITERATIONS, ETA, STEPS = 64, 200, 0.25, 25  # of the MLPs


def chains(families: dict[str, tuple[object, int, int]], seeds: int) -> None:
    """Families of blocks, at most so many, drawn so often, on two laws in the plane."""
    for name in ("8 Gaussians", "moons"):
        for word, (family, most, tries) in families.items():
            rows = []
            for seed in range(FIRST, FIRST + seeds):
                rng = np.random.default_rng(seed)
                x, fresh = PLANE[name](N, rng), PLANE[name](FRESH, rng)
                began = time.process_time()
                flow = pma.JKOSampler(pma.SampleProblem(x), family, tries=tries, seed=seed)
                run = pma.evolve(flow, flow.times(most)[-1:], throw=False, progress=False)
                seconds, chain = time.process_time() - began, pma.as_chain(run)
                error = chain.inversion_error(np.random.default_rng(seed + 1000).standard_normal((INVERTED, 2)))
                rise = float(np.diff(run.records["held_out"]).max(initial=-1.0))
                rows.append((-chain.log_likelihood(pma.Cloud(fresh)), len(chain.blocks), seconds, error, rise))
            nll, blocks, seconds, *_ = np.median(rows, axis=0)
            worst = np.max(rows, axis=0)
            print(
                f"{name}, {word}: NLL {nll:.3f}, at most {worst[0]:.3f}; {blocks:.0f} blocks, {seconds:.1f} s CPU, "
                f"inverse ≤ {worst[3]:.1e}, held-out KL rises by {max(worst[4], 0.0):.1g}",
                flush=True,
            )


def convex(seeds: int) -> None:
    """Convex programmes, with their defaults."""
    chains({"ConvexBlocks": (pma.ConvexBlocks(), 30, 3)}, seeds)


def networks(seeds: int) -> None:
    """Networks, with their defaults."""
    from pmasolve.samples.neural.training import ODEBlocks, ResidualBlocks

    chains({"ODEBlocks": (ODEBlocks(), 4, 1), "ResidualBlocks": (ResidualBlocks(), 12, 1)}, seeds)


def appendix(seeds: int) -> None:
    """Appendix D of arXiv 2310.17582: one ODE block from N((3, 3), I), γ = ½, every 20 iterations."""
    import torch

    from pmasolve.samples.neural.training import ODEBlocks, iterates

    torch.set_num_threads(1)
    for seed in range(FIRST, FIRST + seeds):
        rng, began = np.random.default_rng(seed), time.process_time()
        exact_steps = [
            mean_square(
                estimated_gradient(
                    rng.standard_normal((SAMPLES, 2)) + 2, rng.standard_normal((SAMPLES, 2)) + 3, STANDARD, GAMMA
                )
            )
            for _ in range(DRAWS)
        ]
        x, before, start = (rng.standard_normal((count, 2)) + 3 for count in (10_000, SAMPLES, SAMPLES))
        family, rows, few = ODEBlocks(64, steps=3, iterations=200, batch=500), [], start[:EXACT]
        for k, block in iterates(family, x, STANDARD, GAMMA, seed, 20):
            side = CarriedPoints(few, np.zeros(EXACT), -(few - 3)).by(block)
            estimate = mean_square(estimated_gradient(block.image(start), before, STANDARD, GAMMA))
            rows.append((k, estimate, mean_square(exact_gradient(few, side.x, side.score, STANDARD, GAMMA))))
        mean, deviation = np.mean(exact_steps), np.std(exact_steps, ddof=1)
        outside = [k for k, estimate, _ in rows if k >= 80 and abs(estimate - mean) > 2 * deviation]
        late = max(abs(estimate - mean) / deviation for k, estimate, _ in rows if k >= 80)
        words = ", ".join(f"{k}: {estimate:.2f} ({exact:.4f})" for k, estimate, exact in rows)
        print(
            f"seed {seed}: estimate (exact) {words}; exact step {mean:.3f} ± {deviation:.3f}, from 80 on within {late:.1f} "
            f"deviations{f' (more than two at {outside})' if outside else ''}, {time.process_time() - began:.0f} s CPU",
            flush=True,
        )


def mlp(seeds: int) -> None:
    """The papers' explicit descent ψ_{k+1} = ψ_k − ηh_k, h_k a tanh network trained to tell ν from π_k."""
    import torch

    torch.set_num_threads(1)
    for name in ("8 Gaussians", "moons")["moons" in sys.argv :]:
        rows = []
        for seed in range(FIRST, FIRST + seeds):
            rng = np.random.default_rng(seed)
            x, fresh = PLANE[name](N, rng), PLANE[name](FRESH, rng)
            began = time.process_time()
            rows.append((*_descended(torch, x, fresh, seed), time.process_time() - began))
        nll, steps, seconds = np.median(rows, axis=0)
        print(
            f"{name}, explicit descent by MLPs: NLL {nll:.3f} after {steps:.0f} steps, {seconds:.1f} s CPU", flush=True
        )


def _descended(torch: object, x: Array, fresh: Array, seed: int) -> tuple[float, int]:
    """NLL of fresh points and the steps before convexity is lost: a sum of networks is a span whose ridges were learned."""
    from pmasolve.samples.samplers.inversion import inverse
    from pmasolve.samples.samplers.laws import log_density
    from pmasolve.samples.samplers.span import LINE, RIDGE_FEATURE, SQUARE, SpanPotential

    rng = np.random.default_rng(seed)
    centre, root = x.mean(axis=0), np.linalg.cholesky(np.cov(x.T))
    values, axes = np.linalg.eigh(root @ root.T)
    half = (axes * np.sqrt(values)) @ axes.T - np.eye(2)  # the start is the normal fit, as everywhere
    parts = [(np.eye(2), np.zeros(2), LINE, centre), (axes.T, np.zeros(2), SQUARE, np.diag(axes.T @ half @ axes))]
    best, steps = (np.inf, 0), 0
    psi = None
    for steps in range(STEPS + 1):
        omega, beta, w = (np.concatenate([part[i] for part in parts]) for i in (0, 1, 3))
        kind = np.concatenate([np.full(len(part[3]), part[2]) for part in parts])
        psi = SpanPotential(omega, beta, kind, w)
        z = inverse(psi, x, np.tile(np.zeros(2), (len(x), 1)), 1e-9)
        nll = -log_density(psi, STANDARD, fresh, np.zeros_like(fresh), 1e-9)[0].mean()
        if not (np.isfinite(z).all() and np.isfinite(nll)):
            break
        best = (float(nll), steps)
        W, b, a = _classifier(torch, STANDARD.sobol(4096, seed).points, z, rng)
        parts.append((W, b, RIDGE_FEATURE, -ETA * a * np.sum(W**2, axis=1)))
    return best


def _classifier(torch: object, y: Array, z: Array, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """h = Σa log 2cosh(w·y + b) + constant by logistic regression of y against z, 200 iterations of Adam."""
    W, b, a = 2 * rng.standard_normal((WIDTH, 2)), 2 * rng.standard_normal(WIDTH), np.zeros(WIDTH)
    weights = [torch.tensor(part, requires_grad=True) for part in (W, b, a, np.zeros(()))]
    adam = torch.optim.Adam(weights, lr=2e-2)
    Y, Z = torch.tensor(y), torch.tensor(z)

    def logit(points: object) -> object:
        u = points @ weights[0].T + weights[1]
        return (u.abs() + torch.log1p(torch.exp(-2 * u.abs()))) @ weights[2] + weights[3]

    softplus = torch.nn.functional.softplus
    for _ in range(ITERATIONS):
        loss = softplus(-logit(Y)).mean() + softplus(logit(Z)).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return tuple(part.detach().numpy() for part in weights[:3])


TABLES = {"convex": convex, "networks": networks, "appendix": appendix, "mlp": mlp}


def main() -> None:
    """The tables asked for, or all."""
    words = [word for word in sys.argv[1:] if word in TABLES] or list(TABLES)
    counts = [int(word) for word in sys.argv[1:] if word.isdigit()] or [5]
    for word in words:
        TABLES[word](counts[0])


if __name__ == "__main__":
    main()
