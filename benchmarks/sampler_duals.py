"""OTT-JAX's expectile-regularised neural duals as a sampler: a map from N(0, I) to whitened data, without a density.

python benchmarks/sampler_duals.py     # sliced W₂ of fresh points, processor seconds: the settings on seeds 0–2
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import jax
import numpy as np
import optax
from ott.neural.methods.expectile_neural_dual import ExpectileNeuralDual
from sampler_families import PLANE, Array, sliced

N, FRESH, BATCH = 3000, 4000, 512
GRID = [(1e-3, 1000), (3e-3, 1000)]
RATE, STEPS = 3e-3, 1000  # of GRID, by what `main` prints; the networks are the default ones


def duals(x: Array, seed: int, rate: float = RATE, steps: int = STEPS) -> tuple[float, Callable[[int], Array]]:
    """Processor seconds, compilation included, and samples."""
    began = time.process_time()
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    white, d = ((x - mean) / deviation).astype(np.float32), x.shape[1]
    rng = np.random.default_rng(seed)

    def normals() -> Iterator[Array]:
        """Batches of the reference."""
        while True:
            yield rng.standard_normal((BATCH, d)).astype(np.float32)

    def data() -> Iterator[Array]:
        """Batches of the data."""
        while True:
            yield white[rng.integers(0, len(white), BATCH)]

    f, g = (optax.adam(optax.cosine_decay_schedule(rate, steps), b1=0.9, b2=0.9) for _ in range(2))
    solver = ExpectileNeuralDual(
        d, optimizer_f=f, optimizer_g=g, num_train_iters=steps, valid_freq=steps + 1, rng=jax.random.key(seed)
    )
    found = solver(normals(), data(), normals(), data())

    def sample(n: int) -> Array:
        """n points."""
        y = np.random.default_rng(seed + 1).standard_normal((n, d)).astype(np.float32)
        return np.asarray(found.transport(y), dtype=np.float64) * deviation + mean

    sample(8)
    return time.process_time() - began, sample


def main() -> None:
    """Every setting on both laws and the seeds on which settings are chosen."""
    for rate, steps in GRID:
        for name in ("8 Gaussians", "moons"):
            rows = []
            for seed in range(3):
                rng = np.random.default_rng(seed)
                x, fresh = PLANE[name](N, rng), PLANE[name](FRESH, rng)
                seconds, sample = duals(x, seed, rate, steps)
                rows.append((sliced(sample(FRESH), fresh, rng), seconds))
            distances, seconds = zip(*rows, strict=True)
            told = ", ".join(f"{distance:.3f}" for distance in distances)
            print(f"rate {rate:g}, {steps} steps, {name}: W₂ {told}; {np.median(seconds):.0f} s CPU", flush=True)


if __name__ == "__main__":
    main()
